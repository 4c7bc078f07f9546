#include "engine/tape.h"

#include <stdatomic.h>
#include <string.h>

#include "engine/tape_inside.h"

const struct op_args op_args_default = {.alpha = 1, .beta = 1, .ignore_index = -100};

/* No two rounds of the process have the same number, whatever their tapes. A leaf outlives tapes,
 * and must not take the node it had on one for a node of the next tape at the same address. */
static uint64_t next_round(void)
{
    static atomic_uint_fast64_t rounds;
    return atomic_fetch_add_explicit(&rounds, 1, memory_order_relaxed) + 1;
}

void tape_init_dry(struct tape *t, const struct kernels *kernels)
{
    *t = (struct tape){.kernels = kernels, .round = next_round(), .dry = true};
}

enum err_kind tape_init(struct tape *t, const struct kernels *kernels, struct err *e)
{
    tape_init_dry(t, kernels);
    t->dry = false;
    t->workspace = mem_array(1, MATMUL_WORKSPACE_BYTES + ROOM_BYTES);
    return t->workspace ? ERR_OK : err_set(e, ERR_NOMEM, "", "no memory for a tape");
}

void tape_close(struct tape *t)
{
    arena_close(&t->arena);
    mem_free(t->workspace);
    t->workspace = NULL;
}

void tape_reset(struct tape *t)
{
    arena_reset(&t->arena);
    t->newest = NULL;
    t->bytes = 0;
    t->round = next_round();
}

enum err_kind tape_no_memory(struct err *e)
{
    return err_set(e, ERR_NOMEM, "", "no memory for the operation's tensors");
}

/* ---- tensors ------------------------------------------------------------------------------- */

bool tape_allocate(struct tape *t, struct tensor *x)
{
    size_t bytes;
    if (!mem_mul((size_t)tensor_count(x), dtype_bytes(x->dtype), &bytes))
        bytes = SIZE_MAX; /* which is refused below */
    t->bytes = bytes < SIZE_MAX - t->bytes ? t->bytes + bytes : SIZE_MAX;
    x->storage = arena_alloc(&t->arena, sizeof *x->storage);
    void *data = t->dry ? NULL : arena_alloc(&t->arena, bytes);
    if (!x->storage || (!data && !t->dry))
        return false;
    *x->storage = (struct storage){.data = data, .bytes = bytes};
    x->offset = 0;
    return true;
}

struct tensor *tape_alias(struct tape *t, const struct tensor *like)
{
    struct tensor *x = arena_alloc(&t->arena, sizeof *x);
    if (!x)
        return NULL;
    *x = tensor_seen(like);
    return x;
}

struct tensor *tape_tensor(struct tape *t, enum dtype dtype, const struct shape *shape)
{
    struct tensor *x = arena_alloc(&t->arena, sizeof *x);
    if (!x)
        return NULL;
    *x = (struct tensor){.dtype = dtype, .shape = *shape};
    tensor_set_contiguous(x);
    return tape_allocate(t, x) ? x : NULL;
}

void tape_copy(const struct tape *t, struct tensor *dst, const struct tensor *src)
{
    if (!t->dry)
        tensor_copy(dst, src);
}

const struct tensor *tape_prepared(struct tape *t, const struct tensor *x, enum dtype dtype,
                                   bool any_strides)
{
    if (x->dtype == dtype && (any_strides || tensor_is_contiguous(x)))
        return x;
    struct tensor *copy = tape_tensor(t, dtype, &x->shape);
    if (copy)
        tape_copy(t, copy, x);
    return copy;
}

/* ---- rows ---------------------------------------------------------------------------------- */

int op_arity(const struct op *op)
{
    int names = 1;
    for (const char *c = op->inputs; *c; c++)
        names += *c == ' ';
    return names;
}

/* With the mark before it. */
static const char *marked_name(const struct op *op, int i)
{
    const char *name = op->inputs;
    for (; i > 0 && strchr(name, ' '); i--)
        name = strchr(name, ' ') + 1;
    return name;
}

const char *op_input_name(const struct op *op, int i, int *bytes)
{
    const char *name = marked_name(op, i);
    name += *name == '-';
    *bytes = (int)strcspn(name, " ");
    return name;
}

bool op_has_edge(const struct op *op, int i)
{
    return *marked_name(op, i) != '-';
}

/* ---- recording ----------------------------------------------------------------------------- */

/* A node with room for so many inputs. */
static struct node *node_new(struct tape *t, int inputs)
{
    size_t each = sizeof(struct tensor *) * 3 + sizeof(struct node *) + sizeof(struct saved);
    struct node *n =
        arena_alloc(&t->arena, sizeof *n + (size_t)inputs * each + 2 * sizeof(struct saved));
    if (!n)
        return NULL;
    *n = (struct node){.older = t->newest};
    n->call.inputs = inputs;
    n->saved = (struct saved *)(n + 1);
    n->input = (struct tensor **)(n->saved + inputs + 2);
    n->next = (struct node **)(n->input + inputs);
    n->call.in = (const struct tensor **)(n->next + inputs);
    n->call.grad_in = (struct tensor **)(n->call.in + inputs);
    t->newest = n;
    return n;
}

bool tape_edge(struct tape *t, struct tensor *x, struct node **edge)
{
    *edge = x->grad_fn;
    if (!x->requires_grad || x->grad_fn)
        return true;
    if (x->round != t->round) {
        struct node *n = node_new(t, 0);
        if (!n)
            return false;
        n->leaf = x;
        x->accumulate = n;
        x->round = t->round;
    }
    *edge = x->accumulate;
    return true;
}

/* What the gradients that are asked for are made of, as SAVE_* bits. */
static uint64_t needed(const struct op *op, struct tensor *const *in, int inputs)
{
    uint64_t bits = 0;
    for (int i = 0; i < inputs && i < SAVED_INPUTS_MAX; i++)
        if (in[i]->requires_grad)
            bits |= op->saves >> (SAVE_BITS * i);
    return bits;
}

static struct saved saved_of(const struct tensor *x)
{
    return (struct saved){.storage = x->storage, .version = x->storage->version};
}

/* Fills a node for the call that made out; what backward does not read is NULL in its call. */
static void fill(struct node *n, const struct op_call *call, struct tensor *const *in,
                 struct tensor *out)
{
    uint64_t bits = needed(call->op, in, call->inputs);
    const struct tensor **saved_in = n->call.in;
    struct tensor **grad_in = n->call.grad_in;
    n->call = *call;
    n->call.in = saved_in;
    n->call.given = (const struct tensor *const *)n->input;
    n->call.grad_in = grad_in;
    n->output = out;
    for (int i = 0; i < call->inputs; i++) {
        bool keep = i < SAVED_INPUTS_MAX && bits & SAVE_IN(i);
        n->input[i] = in[i];
        n->call.in[i] = keep ? call->in[i] : NULL;
        n->saved[i] = keep ? saved_of(in[i]) : (struct saved){.storage = NULL};
    }
    struct saved *of_outputs = n->saved + call->inputs;
    n->call.out = bits & SAVE_OUT ? out : NULL;
    of_outputs[0] = n->call.out ? saved_of(out) : (struct saved){.storage = NULL};
    n->call.aux = bits & SAVE_AUX ? call->aux : NULL;
    of_outputs[1] = n->call.aux ? saved_of(call->aux) : (struct saved){.storage = NULL};
}

/* Leaves a node for the call that made out. The leaves' nodes come first: it is younger. */
static bool record(struct tape *t, const struct op_call *call, struct tensor *const *in,
                   struct tensor *out)
{
    struct node *edge;
    for (int i = 0; i < call->inputs; i++)
        if (!tape_edge(t, in[i], &edge))
            return false;
    struct node *n = node_new(t, call->inputs);
    if (!n)
        return false;
    fill(n, call, in, out);
    for (int i = 0; i < call->inputs; i++)
        if (!tape_edge(t, in[i], &n->next[i])) /* there is one now: finds it */
            return false;
    out->grad_fn = n;
    out->requires_grad = true;
    return true;
}

/* ---- applying ------------------------------------------------------------------------------ */

/* A view whose base was changed in place has a history that leaves the change out. */
static enum err_kind check_view(const struct tensor *x, struct err *e)
{
    if (!x->base || x->base->grad_fn == x->base_fn)
        return ERR_OK;
    return err_set(e, ERR_INVALID, "",
                   "this is a view of a tensor that was changed in place after the view was made; "
                   "gradients through it are not supported: make the view anew");
}

/* PyTorch's function of several outputs is named for that. */
static enum err_kind check_differentiable(const struct tape *t, const struct op *op,
                                          struct tensor *const *in, int inputs, struct err *e)
{
    for (int i = 0; i < inputs && op->node && !t->grad_disabled; i++) {
        if (!in[i]->requires_grad || op_has_edge(op, i))
            continue;
        int bytes;
        const char *name = op_input_name(op, i, &bytes);
        return err_set(e, ERR_INVALID, "",
                       "The function '%s%s' is not differentiable with respect to argument '%.*s'. "
                       "This input cannot have requires_grad True.",
                       op->name, op->flags & HAS_AUX ? "_forward" : "", bytes, name);
    }
    return ERR_OK;
}

/* The type that the row computes input i in. */
static enum dtype operand_type(const struct op_call *c, const struct tensor *x, enum dtype common)
{
    const struct op *op = c->op;
    enum dtype dtype = op->flags & PROMOTES ? common : x->dtype;
    if (c->args.has_dtype && op->flags & CASTS)
        dtype = c->args.dtype;
    if (dtype == DTYPE_BOOL && op->flags & (BOOL_AS_INT | SUMS))
        dtype = DTYPE_INT64;
    if (!dtype_is_float(dtype) && op->flags & TO_FLOAT)
        dtype = DTYPE_FLOAT32;
    return dtype;
}

/* The type that the operands have in common, of which the arguments may be one. */
static enum dtype common_type(const struct op_call *c)
{
    const struct tensor *const *in = c->given;
    const struct tensor number = {.dtype = c->args.number, .number = true};
    int first = c->op->flags & CONDITION ? 1 : 0;
    if (c->op->flags & WITH_NUMBER)
        return tensor_result_type((const struct tensor *const[]){in[0], &number}, 2);
    return tensor_result_type(in + first, c->inputs - first);
}

/* Brings the inputs to what the row takes: its strides, and the type it computes in. */
static enum err_kind prepare_inputs(struct tape *t, struct op_call *c, enum dtype *common,
                                    struct err *e)
{
    const struct tensor *const *in = c->given;
    *common = common_type(c);
    c->in = arena_alloc(&t->arena, (size_t)c->inputs * sizeof *c->in);
    if (!c->in)
        return tape_no_memory(e);
    for (int i = 0; i < c->inputs; i++) {
        enum err_kind rc = check_view(in[i], e);
        if (rc)
            return rc;
        bool condition = i == 0 && c->op->flags & CONDITION;
        enum dtype dtype = condition ? in[i]->dtype : operand_type(c, in[i], *common);
        c->in[i] = tape_prepared(t, in[i], dtype, c->op->flags & ANY_STRIDES);
        if (!c->in[i])
            return tape_no_memory(e);
    }
    return ERR_OK;
}

static enum err_kind count_work(struct tape *t, double cost, struct err *e)
{
    t->work += cost;
    if (t->work_max == 0 || t->work <= t->work_max)
        return ERR_OK;
    return err_set(e, ERR_INVALID, "", "the products would take more than %.3g multiplications",
                   t->work_max);
}

/* Infers, allocates and computes; c->out and c->aux are there afterwards. */
static enum err_kind compute(struct tape *t, struct op_call *c, struct err *e)
{
    double cost = 0;
    struct tensor *y = arena_alloc(&t->arena, sizeof *y);
    if (c->op->flags & HAS_AUX)
        c->aux = arena_alloc(&t->arena, sizeof *y);
    if (!y || (c->op->flags & HAS_AUX && !c->aux))
        return tape_no_memory(e);
    *y = (struct tensor){.dtype = c->inputs ? c->in[0]->dtype : DTYPE_FLOAT32};
    if (c->aux)
        *c->aux = *y;
    c->cost = &cost;
    enum err_kind rc = c->op->infer(c, y, e);
    if (!rc)
        rc = count_work(t, cost, e);
    if (rc)
        return rc;
    c->cost = NULL;
    c->out = y;
    if (c->aux) {
        tensor_set_contiguous(c->aux);
        if (!tape_allocate(t, c->aux))
            return tape_no_memory(e);
    }
    if (c->op->flags & IS_VIEW) {
        y->storage = c->in[0]->storage;
        return ERR_OK;
    }
    tensor_set_contiguous(y);
    if (!tape_allocate(t, y))
        return tape_no_memory(e);
    if (!t->dry)
        c->op->forward(c);
    return ERR_OK;
}

static bool wants_gradient(const struct tape *t, const struct op_call *c, struct tensor *const *in)
{
    bool wanted = false;
    for (int i = 0; i < c->inputs; i++)
        wanted = wanted || in[i]->requires_grad;
    return wanted && c->op->node && dtype_is_float(c->out->dtype) && !t->grad_disabled;
}

static void note_base(struct tensor *view, const struct tensor *of)
{
    view->base = of->base ? of->base : of;
    view->base_fn = view->base->grad_fn;
}

enum err_kind op_apply_many(struct tape *t, enum op_id id, const struct op_args *args,
                            struct tensor *const *in, int inputs, struct tensor **out,
                            struct tensor **aux, struct err *e)
{
    struct op_call c = {.op = &t->kernels->ops[id],
                        .kernels = t->kernels,
                        .args = args ? *args : op_args_default,
                        .inputs = inputs,
                        .given = (const struct tensor *const *)in};
    tape_lend(t, &c);
    enum dtype common;
    enum err_kind rc = check_differentiable(t, c.op, in, inputs, e);
    if (!rc)
        rc = prepare_inputs(t, &c, &common, e);
    if (!rc)
        rc = compute(t, &c, e);
    if (rc)
        return rc;
    if (common == DTYPE_BOOL && c.out->dtype == DTYPE_INT64 && c.op->flags & BOOL_AS_INT) {
        c.out = (struct tensor *)tape_prepared(t, c.out, DTYPE_BOOL, true);
        if (!c.out)
            return tape_no_memory(e);
    }
    if ((c.op->flags & (IS_VIEW | SOLE_VIEW)) == IS_VIEW && c.in[0]->storage == in[0]->storage)
        note_base(c.out, in[0]);
    if (wants_gradient(t, &c, in) && !record(t, &c, in, c.out))
        return tape_no_memory(e);
    *out = c.out;
    if (aux)
        *aux = c.aux;
    return ERR_OK;
}

enum err_kind op_apply(struct tape *t, enum op_id id, const struct op_args *args,
                       struct tensor *const *in, struct tensor **out, struct err *e)
{
    return op_apply_many(t, id, args, in, op_arity(&t->kernels->ops[id]), out, NULL, e);
}

/* ---- in place ------------------------------------------------------------------------------ */

/* By row: its form in place, with a tensor and with a number as the second operand; +1. */
static const struct {
    int with_tensor, with_number;
} in_place_rows[OP_COUNT] = {
#define OTHER_ROWS(id, tensor, number) [OP_##id] = {OP_##tensor + 1, OP_##number + 1}
    OTHER_ROWS(LEAKY_RELU, LEAKY_RELU_, LEAKY_RELU_),
    OTHER_ROWS(ELU, ELU_, ELU_),
    OTHER_ROWS(FLOOR_DIVIDE, FLOOR_DIVIDE_, FLOOR_DIVIDE_),
    OTHER_ROWS(EQ, EQ_, EQ_NUMBER_),
    OTHER_ROWS(NE, NE_, NE_NUMBER_),
    OTHER_ROWS(LT, LT_, LT_NUMBER_),
    OTHER_ROWS(LE, LE_, LE_NUMBER_),
    OTHER_ROWS(GT, GT_, GT_NUMBER_),
    OTHER_ROWS(GE, GE_, GE_NUMBER_),
#undef OTHER_ROWS
};

enum op_id op_in_place(enum op_id id, bool with_number)
{
    int row = with_number ? in_place_rows[id].with_number : in_place_rows[id].with_tensor;
    return row ? (enum op_id)(row - 1) : id;
}

/* requires_grad: the operation gives x a history. */
static enum err_kind check_in_place(const struct tape *t, const struct tensor *x,
                                    bool requires_grad, struct err *e)
{
    if (t->grad_disabled)
        return ERR_OK;
    if (x->requires_grad && !x->grad_fn)
        return err_set(
            e, ERR_INVALID, "",
            "a leaf Variable that requires grad is being used in an in-place operation.");
    if (x->base && x->base->requires_grad && !x->base->grad_fn)
        return err_set(e, ERR_INVALID, "",
                       "a view of a leaf Variable that requires grad is being used in an in-place "
                       "operation.");
    if (x->base && (x->requires_grad || x->base->requires_grad || requires_grad))
        return err_set(e, ERR_INVALID, "",
                       "an in-place operation on a view is not supported where gradients are "
                       "recorded");
    for (int d = 0; d < x->shape.rank; d++)
        if (x->stride[d] == 0 && x->shape.dim[d] > 1)
            return err_set(e, ERR_INVALID, "",
                           "unsupported operation: more than one element of the written-to tensor "
                           "refers to a single memory location. Please clone() the tensor before "
                           "performing the operation.");
    return ERR_OK;
}

static enum err_kind check_result(const struct tensor *x, const struct tensor *y, struct err *e)
{
    char tx[SHAPE_TEXT_BYTES], ty[SHAPE_TEXT_BYTES];
    if (!shape_equal(&x->shape, &y->shape))
        return err_set(e, ERR_INVALID, "",
                       "output with shape %s doesn't match the broadcast shape %s",
                       shape_text(&x->shape, tx, sizeof tx), shape_text(&y->shape, ty, sizeof ty));
    bool higher = dtype_is_float(y->dtype) ? !dtype_is_float(x->dtype)
                                           : y->dtype > x->dtype && x->dtype == DTYPE_BOOL;
    if (higher)
        return err_set(e, ERR_INVALID, "",
                       "result type %s can't be cast to the desired output type %s",
                       dtype_type_name(y->dtype), dtype_type_name(x->dtype));
    return ERR_OK;
}

/* What the row reads of x must outlive the writing: it gets a copy, with x's history. */
static struct tensor *stand_in(struct tape *t, struct tensor *x, const struct op *op)
{
    struct tensor *copy = x;
    bool reads = false;
    for (int i = 0; i < SAVED_INPUTS_MAX; i++)
        reads = reads || (op->saves >> (SAVE_BITS * i)) & SAVE_IN(0);
    if (!reads || t->grad_disabled)
        return x;
    copy = tape_tensor(t, x->dtype, &x->shape);
    if (!copy)
        return NULL;
    tape_copy(t, copy, x);
    copy->grad_fn = x->grad_fn;
    copy->requires_grad = x->requires_grad;
    return copy;
}

/* x, overwritten by y, takes y's place in the node that made it. */
static void take_over(struct tape *t, struct tensor *x, struct tensor *y)
{
    tape_copy(t, x, y);
    x->storage->version++;
    if (!y->grad_fn)
        return;
    struct node *n = y->grad_fn;
    n->output = x;
    if (n->call.out) {
        n->call.out = x;
        n->saved[n->call.inputs] = saved_of(x);
    }
    x->grad_fn = n;
    x->requires_grad = true;
}

/* Of a row without a derivative: *y is what x becomes, with a history that forgets the one of x. */
static enum err_kind overwrite(struct tape *t, enum op_id id, struct tensor *const *in, int inputs,
                               struct tensor **y, struct err *e)
{
    const struct op *op = &t->kernels->ops[id];
    enum op_id with = op_in_place(id, inputs > 1 && in[1]->number);
    if (with == id)
        return err_set(e, ERR_INVALID, "",
                       "%s_() has no derivative: where gradients are recorded it is not supported",
                       op->name);
    struct tensor *operands[] = {in[0], in[1], *y};
    return op_apply_many(t, with, NULL, operands, 3, y, NULL, e);
}

/* What x becomes, not yet there. */
static enum err_kind compute_aside(struct tape *t, enum op_id id, const struct op_args *args,
                                   struct tensor *const *in, int inputs, bool recorded,
                                   struct tensor **y, struct err *e)
{
    bool plain = !t->kernels->ops[id].node;
    if (!plain)
        id = op_in_place(id, false);
    struct tensor **operands = arena_alloc(&t->arena, (size_t)inputs * sizeof *operands);
    if (!operands)
        return tape_no_memory(e);
    memcpy(operands, in, (size_t)inputs * sizeof *operands);
    operands[0] = stand_in(t, in[0], &t->kernels->ops[id]);
    if (!operands[0])
        return tape_no_memory(e);
    enum err_kind rc = op_apply_many(t, id, args, operands, inputs, y, NULL, e);
    return rc || !plain || !recorded ? rc : overwrite(t, id, in, inputs, y, e);
}

enum err_kind op_apply_in_place(struct tape *t, enum op_id id, const struct op_args *args,
                                struct tensor *const *in, int inputs, struct err *e)
{
    struct tensor *x = in[0], *y;
    bool others = false;
    for (int i = 1; i < inputs; i++)
        others = others || in[i]->requires_grad;
    enum err_kind rc = check_in_place(t, x, others, e);
    bool recorded = !t->grad_disabled && dtype_is_float(x->dtype) && (x->requires_grad || others);
    if (!rc)
        rc = compute_aside(t, id, args, in, inputs, recorded, &y, e);
    if (!rc)
        rc = check_result(x, y, e);
    if (!rc)
        take_over(t, x, y);
    return rc;
}
