/* engine/in_place.c - op_apply_in_place, and the histories of views.
 *
 * What overwrites numbers changes a history too: that of x, or, where x is a view, that of its
 * base, and by that of every other view of the base. A view learns of it by the version of the
 * storage, when its history is asked for next: it is then an as_strided of the base. Source:
 * PyTorch, torch/csrc/autograd/variable.cpp (rebase_history, VariableHooks::grad_fn). */
#include <string.h>

#include "engine/tape.h"
#include "engine/tape_inside.h"

/* ---- names --------------------------------------------------------------------------------- */

const char *node_class(const struct node *n)
{
    return n->leaf ? "AccumulateGrad" : n->part ? "CopySlices" : n->call.op->node;
}

const char *node_name(const struct node *n)
{
    if (n->leaf)
        return "torch::autograd::AccumulateGrad";
    if (n->part)
        return "torch::autograd::CopySlices";
    return n->call.op->flags & NO_DERIVATIVE ? "torch::autograd::NotImplemented" : n->call.op->node;
}

/* ---- views --------------------------------------------------------------------------------- */

/* A view of a leaf that requires nothing has no history to go stale. */
static bool is_stale(const struct tensor *x)
{
    return x->base && x->base_version != x->storage->version &&
           (x->grad_fn || x->base->requires_grad);
}

const char *tensor_grad_fn_class(const struct tensor *x)
{
    if (is_stale(x))
        return x->without_grad ? "Invalid" : "AsStridedBackward0";
    return x->grad_fn ? node_class(x->grad_fn) : NULL;
}

static enum err_kind made_without_grad(const struct tensor *x, const char *changed, struct err *e)
{
    static const char advice[] =
        "Given that this use case is ambiguous and error-prone, it is forbidden. You can clarify "
        "your code by moving both the view and the inplace either both inside the no_grad block "
        "(if you don't want the inplace to be tracked) or both outside (if you want the inplace to "
        "be tracked).";
    if (x->grad_fn)
        return err_set(e, ERR_INVALID, "",
                       "Output 0 of %s is a view of a view which was created in no_grad mode and "
                       "%s modified inplace with grad mode enabled. %s",
                       node_name(x->grad_fn), changed, advice);
    return err_set(e, ERR_INVALID, "",
                   "A view was created in no_grad mode and %s modified inplace with grad mode "
                   "enabled. %s",
                   changed, advice);
}

/* The node of an as_strided of x's base that is what x is. */
static enum err_kind view_base_anew(struct tape *t, struct tensor *x, struct err *e)
{
    struct op_args args = op_args_default;
    struct tensor *base = x->base, *y;
    bool disabled = t->grad_disabled, detached = !base->requires_grad;
    args.shape = x->shape;
    args.start = x->offset;
    memcpy(args.stride, x->stride, sizeof args.stride);
    if (detached) { /* by detach_(): there is a node, which leads nowhere */
        base = tape_alias(t, base);
        if (!base)
            return tape_no_memory(e);
        base->requires_grad = true;
    }
    t->grad_disabled = false;
    enum err_kind rc = op_apply(t, OP_AS_STRIDED, &args, &base, &y, e);
    t->grad_disabled = disabled;
    if (rc)
        return rc;
    if (detached)
        y->grad_fn->next[0] = NULL;
    x->grad_fn = y->grad_fn;
    x->grad_fn->output = x;
    x->requires_grad = true;
    x->base_version = x->storage->version;
    return ERR_OK;
}

enum err_kind tape_refresh(struct tape *t, struct tensor *x, struct err *e)
{
    if (x->base && x->base->requires_grad)
        x->requires_grad = true;
    if (!is_stale(x))
        return ERR_OK;
    if (x->without_grad)
        return made_without_grad(x, "its base or another view of its base has been", e);
    return view_base_anew(t, x, e);
}

/* ---- rows ---------------------------------------------------------------------------------- */

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

/* ---- what may not be changed in place ------------------------------------------------------ */

/* Of an operation that is recorded.
 *   leaf  x had no history before it was refreshed: PyTorch does not look at the base's here */
static enum err_kind check_history(const struct tensor *x, bool leaf, struct err *e)
{
    if (x->base && x->without_grad)
        return made_without_grad(x, "is being", e);
    if (x->base && x->requires_grad && !x->base->grad_fn)
        return err_set(e, ERR_INVALID, "",
                       "a view of a leaf Variable that requires grad is being used in an in-place "
                       "operation.");
    if (x->requires_grad && leaf)
        return err_set(
            e, ERR_INVALID, "",
            "a leaf Variable that requires grad is being used in an in-place operation.");
    return ERR_OK;
}

/* Only a run without holes is sure to have all the elements between its ends. */
static bool overlaps(const struct tensor *x, const struct tensor *y)
{
    int64_t from, to, y_from, y_to;
    bool same_memory =
        x->storage == y->storage || (x->storage->data && x->storage->data == y->storage->data);
    if (!same_memory || !tensor_is_dense(x) || !tensor_is_dense(y))
        return false;
    tensor_span(x, &from, &to);
    tensor_span(y, &y_from, &y_to);
    return from < y_to && y_from < to;
}

/* Is y, element by element, where x is? */
static bool is_at(const struct tensor *x, const struct tensor *y)
{
    bool same = x->offset == y->offset && shape_equal(&x->shape, &y->shape);
    for (int d = 0; d < x->shape.rank && same; d++)
        same = x->stride[d] == y->stride[d] || x->shape.dim[d] == 1;
    return same;
}

/* What is read while x is written has to be x itself, or elsewhere. A number that fills x, and what
 * is broadcast to be copied, is read before. */
static enum err_kind check_operand(enum op_id id, const struct tensor *x, const struct tensor *y,
                                   struct err *e)
{
    bool read_before =
        id == OP_FILL_TENSOR || (id == OP_COPY && !shape_equal(&x->shape, &y->shape));
    if (read_before || !overlaps(x, y) || is_at(x, y))
        return ERR_OK;
    return err_set(e, ERR_INVALID, "",
                   "unsupported operation: some elements of the input tensor and the written-to "
                   "tensor refer to a single memory location. Please clone() the tensor before "
                   "performing the operation.");
}

static enum err_kind check_overlap(const struct tensor *x, struct err *e)
{
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

/* Brings the histories up to date first. *recorded: in[0] has or gets one. */
static enum err_kind check_operands(struct tape *t, enum op_id id, struct tensor *const *in,
                                    int inputs, bool *recorded, struct err *e)
{
    bool requires_grad = false, leaf = !in[0]->grad_fn;
    enum err_kind rc = ERR_OK;
    for (int i = 0; !rc && i < inputs && !t->grad_disabled; i++) {
        rc = tape_refresh(t, in[i], e);
        requires_grad = requires_grad || in[i]->requires_grad;
    }
    if (!rc && requires_grad)
        rc = check_history(in[0], leaf, e);
    *recorded = requires_grad && dtype_is_float(in[0]->dtype);
    if (!rc)
        rc = check_overlap(in[0], e);
    for (int i = 1; !rc && i < inputs; i++)
        rc = check_operand(id, in[0], in[i], e);
    return rc;
}

/* ---- changing ------------------------------------------------------------------------------ */

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

/* n, which changed the view x, is from now on the node of x's base; x is a view of that. */
static enum err_kind take_over_base(struct tape *t, struct tensor *x, struct node *n, struct err *e)
{
    struct tensor *base = x->base;
    n->part = tape_alias(t, x);
    n->output = tape_alias(t, base); /* as it lies now */
    if (!n->part || !n->output || !tape_edge(t, base, &n->next[0]))
        return tape_no_memory(e);
    base->grad_fn = n;
    base->requires_grad = true;
    return view_base_anew(t, x, e);
}

/* x, overwritten by y, takes y's place in the node that made it. */
static enum err_kind take_over(struct tape *t, struct tensor *x, struct tensor *y, struct err *e)
{
    tape_copy(t, x, y);
    x->storage->version++;
    struct node *n = y->grad_fn;
    if (!n)
        return ERR_OK;
    if (n->call.out) /* stays y, which is as the row made it; but valid only as long as x is */
        n->saved[n->call.inputs] = tape_saved(x);
    if (x->base)
        return take_over_base(t, x, n, e);
    if (x->grad_fn && x->grad_fn->retained == x) {
        x->grad_fn->retained = NULL;
        n->retained = x;
    }
    n->output = x;
    x->grad_fn = n;
    x->requires_grad = true;
    return ERR_OK;
}

enum err_kind op_apply_in_place(struct tape *t, enum op_id id, const struct op_args *args,
                                struct tensor *const *in, int inputs, struct err *e)
{
    struct tensor *y;
    bool recorded;
    enum err_kind rc = check_operands(t, id, in, inputs, &recorded, e);
    if (!rc)
        rc = compute_aside(t, id, args, in, inputs, recorded, &y, e);
    if (!rc)
        rc = check_result(in[0], y, e);
    return rc ? rc : take_over(t, in[0], y, e);
}
