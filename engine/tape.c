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

enum err_kind tape_equip(struct tape *t, struct err *e)
{
    if (!t->workspace)
        t->workspace = mem_array(1, MATMUL_WORKSPACE_BYTES + ROOM_BYTES);
    t->dry = !t->workspace;
    return t->workspace ? ERR_OK : err_set(e, ERR_NOMEM, "", "no memory for a tape");
}

enum err_kind tape_init(struct tape *t, const struct kernels *kernels, struct err *e)
{
    tape_init_dry(t, kernels);
    return tape_equip(t, e);
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
    t->owed = NULL;
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

void tape_copy(struct tape *t, struct tensor *dst, const struct tensor *src)
{
    if (t->dry)
        return;
    tensor_copy(dst, src);
    if (t->trace.recording)
        tape_did(t, DEED_COPY, dst, src);
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
    n->dtype = out->dtype;
    for (int i = 0; i < call->inputs; i++) {
        bool keep = i < SAVED_INPUTS_MAX && bits & SAVE_IN(i);
        n->input[i] = in[i];
        n->call.in[i] = keep ? call->in[i] : NULL;
        n->saved[i] = keep ? tape_saved(in[i]) : (struct saved){.storage = NULL};
    }
    struct saved *of_outputs = n->saved + call->inputs;
    n->call.out = bits & SAVE_OUT ? out : NULL;
    of_outputs[0] = n->call.out ? tape_saved(out) : (struct saved){.storage = NULL};
    n->call.aux = bits & SAVE_AUX ? call->aux : NULL;
    of_outputs[1] = n->call.aux ? tape_saved(call->aux) : (struct saved){.storage = NULL};
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
    if (!(c->op->flags & (PROMOTES | BOOL_AS_INT)))
        return in[0]->dtype; /* asked of nobody */
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

/* What an operation walks through: a view by strides of 0, or rows without elements, may be far
 * more than there is memory for. Where work is bounded, so is that. */
static enum err_kind check_extent(const struct tape *t, const struct tensor *x, struct err *e)
{
    double extent = 1;
    for (int d = 0; d < x->shape.rank; d++)
        extent *= x->shape.dim[d] ? (double)x->shape.dim[d] : 1;
    if (t->work_max == 0 || extent <= TAPE_EXTENT_MAX)
        return ERR_OK;
    return err_set(e, ERR_INVALID, "",
                   "a tensor of more than %.0f elements (dimensions of 0 count as 1) is not "
                   "supported here",
                   TAPE_EXTENT_MAX);
}

static enum err_kind check_extents(const struct tape *t, const struct op_call *c,
                                   const struct tensor *y, struct err *e)
{
    enum err_kind rc = check_extent(t, y, e);
    for (int i = 0; !rc && i < c->inputs; i++)
        rc = check_extent(t, c->given[i], e);
    return rc;
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
    if (!rc)
        rc = check_extents(t, c, y, e);
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
    if (t->trace.recording)
        tape_did_call(t, DEED_FORWARD, c, NULL);
    return ERR_OK;
}

static bool wants_gradient(const struct tape *t, const struct op_call *c, struct tensor *const *in)
{
    bool wanted = false;
    for (int i = 0; i < c->inputs; i++)
        wanted = wanted || in[i]->requires_grad;
    return wanted && c->op->node && dtype_is_float(c->out->dtype) && !t->grad_disabled;
}

static void note_base(const struct tape *t, struct tensor *view, struct tensor *of)
{
    view->base = of->base ? of->base : of;
    view->base_version = view->storage->version;
    view->without_grad = of->without_grad || t->grad_disabled;
}

static enum err_kind refresh_all(struct tape *t, const struct op *op, struct tensor *const *in,
                                 int inputs, struct err *e)
{
    enum err_kind rc = ERR_OK;
    for (int i = 0; !rc && i < inputs && op->node && !t->grad_disabled; i++)
        rc = tape_refresh(t, in[i], e);
    return rc;
}

static struct op_call call_of(const struct tape *t, enum op_id id, const struct op_args *args,
                              struct tensor *const *in, int inputs)
{
    struct op_call c = {.op = &t->kernels->ops[id],
                        .kernels = t->kernels,
                        .args = args ? *args : op_args_default,
                        .inputs = inputs,
                        .given = (const struct tensor *const *)in};
    tape_lend(t, &c);
    return c;
}

/* Computes and records; c->out and c->aux are there afterwards. */
static enum err_kind apply(struct tape *t, struct op_call *c, struct tensor *const *in,
                           struct err *e)
{
    enum dtype common;
    enum err_kind rc = refresh_all(t, c->op, in, c->inputs, e);
    if (!rc)
        rc = check_differentiable(t, c->op, in, c->inputs, e);
    if (!rc)
        rc = prepare_inputs(t, c, &common, e);
    if (!rc)
        rc = compute(t, c, e);
    if (rc)
        return rc;
    if (common == DTYPE_BOOL && c->out->dtype == DTYPE_INT64 && c->op->flags & BOOL_AS_INT) {
        c->out = (struct tensor *)tape_prepared(t, c->out, DTYPE_BOOL, true);
        if (!c->out)
            return tape_no_memory(e);
    }
    if ((c->op->flags & (IS_VIEW | SOLE_VIEW)) == IS_VIEW && c->in[0]->storage == in[0]->storage)
        note_base(t, c->out, in[0]);
    return wants_gradient(t, c, in) && !record(t, c, in, c->out) ? tape_no_memory(e) : ERR_OK;
}

enum err_kind op_apply_many(struct tape *t, enum op_id id, const struct op_args *args,
                            struct tensor *const *in, int inputs, struct tensor **out,
                            struct tensor **aux, struct err *e)
{
    struct op_call c = call_of(t, id, args, in, inputs);
    enum err_kind rc = apply(t, &c, in, e);
    if (rc)
        return rc;
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

enum err_kind op_apply_relu(struct tape *t, enum op_id id, struct tensor *const *in,
                            struct tensor **out, struct err *e)
{
    struct op_call product = call_of(t, id, NULL, in, op_arity(&t->kernels->ops[id]));
    product.relu = product.op->flags & MAY_GATE && dtype_is_float(in[0]->dtype);
    enum err_kind rc = apply(t, &product, in, e);
    struct tensor *const sum[] = {product.out};
    if (rc)
        return rc;
    if (!product.relu)
        return op_apply(t, OP_RELU, NULL, sum, out, e);
    struct op_call relu = call_of(t, OP_RELU, NULL, sum, 1);
    const struct tensor *seen[] = {product.out};
    relu.in = seen;
    relu.out = tape_alias(t, product.out);
    if (!relu.out || (wants_gradient(t, &relu, sum) && !record(t, &relu, sum, relu.out)))
        return tape_no_memory(e);
    *out = relu.out;
    return ERR_OK;
}
