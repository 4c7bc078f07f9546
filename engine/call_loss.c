/* engine/call_loss.c - torch.nn.functional's losses and softmaxes.
 *
 * Source: PyTorch 1.13, torch/nn/functional.py, ATen/native/LossNLL.cpp (cross_entropy_loss).
 */
#include <string.h>

#include "engine/call_parts.h"

/* ---- softmax ------------------------------------------------------------------------------- */

/* dim=None is guessed, with a warning; dtype= converts first. */
enum err_kind call_softmax(struct args *a, struct value *out, struct err *e)
{
    struct tensor *x = a->value[0].tensor, *y = NULL;
    struct op_args args = op_args_default;
    const struct value *dim = argument(a, "dim"), *dtype = argument(a, "dtype");
    enum op_id id = (enum op_id)a->row->op;
    enum err_kind rc = ERR_OK;
    int rank = x->shape.rank;
    if (dim->kind == VALUE_NONE) {
        args.dim = rank == 0 || rank == 1 || rank == 3 ? 0 : 1;
        rc = interp_warn(a->in, "UserWarning", e,
                         "Implicit dimension choice for %s has been deprecated. Change the call to "
                         "include dim=X as an argument.",
                         id == OP_SOFTMAX ? "softmax" : "log_softmax");
    } else {
        rc = dim_wrap(dim->integer, rank, &args.dim, e);
    }
    if (!rc && dtype->kind == VALUE_DTYPE)
        rc = apply_cast(a->in, x, dtype->dtype, &x, e);
    if (!rc)
        rc = apply_one(a->in, id, &args, x, &y, e);
    return rc ? rc : give(y, out);
}

/* ---- losses of two tensors ----------------------------------------------------------------- */

static enum err_kind expand_to(struct interp *in, struct tensor **x, const struct shape *shape,
                               struct err *e)
{
    struct op_args args = op_args_default;
    args.shape = *shape;
    return shape_equal(&(*x)->shape, shape) ? ERR_OK : apply_one(in, OP_EXPAND, &args, *x, x, e);
}

/* Brings input and target to one shape, with PyTorch's warning. */
static enum err_kind same_shape(struct args *a, struct tensor *x[2], struct err *e)
{
    char tx[SHAPE_TEXT_BYTES], ty[SHAPE_TEXT_BYTES];
    struct shape shape;
    enum err_kind rc = ERR_OK;
    if (!shape_equal(&x[0]->shape, &x[1]->shape))
        rc = interp_warn(a->in, "UserWarning", e,
                         "Using a target size (torch.Size(%s)) that is different to the input size "
                         "(torch.Size(%s)). This will likely lead to incorrect results due to "
                         "broadcasting. Please ensure they have the same size.",
                         shape_text(&x[1]->shape, ty, sizeof ty),
                         shape_text(&x[0]->shape, tx, sizeof tx));
    if (!rc)
        rc = shape_broadcast(&x[0]->shape, &x[1]->shape, &shape, e);
    if (!rc)
        rc = expand_to(a->in, &x[0], &shape, e);
    return rc ? rc : expand_to(a->in, &x[1], &shape, e);
}

/* Input and target of one shape, and the row's arguments. */
static enum err_kind pair_of(struct args *a, struct tensor *x[2], struct op_args *args,
                             struct err *e)
{
    x[0] = a->value[0].tensor;
    x[1] = a->value[1].tensor;
    enum err_kind rc = arguments_to_op(a, x[0], args, e);
    return rc ? rc : same_shape(a, x, e);
}

/* mse_loss, smooth_l1_loss, huber_loss: one operation. */
enum err_kind call_pair_loss(struct args *a, struct value *out, struct err *e)
{
    struct tensor *x[2], *y = NULL;
    struct op_args args;
    enum err_kind rc = pair_of(a, x, &args, e);
    if (!rc)
        rc = op_apply_many(a->in->tape, (enum op_id)a->row->op, &args, x, 2, &y, NULL, e);
    return rc ? rc : give(y, out);
}

static enum err_kind reduce(struct interp *in, enum reduction reduction, struct tensor **x,
                            struct err *e)
{
    if (reduction == REDUCTION_NONE)
        return ERR_OK;
    return apply_one(in, reduction == REDUCTION_MEAN ? OP_MEAN : OP_SUM, NULL, *x, x, e);
}

enum err_kind call_l1_loss(struct args *a, struct value *out, struct err *e)
{
    struct tensor *x[2], *y = NULL;
    struct op_args args;
    enum err_kind rc = pair_of(a, x, &args, e);
    if (!rc)
        rc = apply_two(a->in, OP_SUB, NULL, x[0], x[1], &y, e);
    if (!rc)
        rc = apply_one(a->in, OP_ABS, NULL, y, &y, e);
    if (!rc)
        rc = reduce(a->in, args.reduction, &y, e);
    return rc ? rc : give(y, out);
}

static enum err_kind ones(struct interp *in, enum dtype dtype, struct tensor **out, struct err *e)
{
    struct value one = VALUE(FLOAT, .number = 1);
    struct tensor *number = number_tensor(in, &one);
    enum err_kind rc = interp_tensor(in, dtype, &(struct shape){.rank = 0}, out, e);
    if (!rc && !number)
        rc = err_set(e, ERR_NOMEM, "", "no memory for a number");
    if (!rc && !in->tape->dry)
        tensor_copy(*out, number);
    return rc;
}

/* binary_cross_entropy and …_with_logits; a missing weight before a pos_weight is 1. */
enum err_kind call_bce(struct args *a, struct value *out, struct err *e)
{
    bool logits = a->row->op == OP_BCE_LOGITS;
    struct tensor *x[4] = {a->value[0].tensor, a->value[1].tensor}, *y = NULL;
    struct tensor *pos_weight = logits ? argument(a, "pos_weight")->kind == VALUE_TENSOR
                                             ? argument(a, "pos_weight")->tensor
                                             : NULL
                                       : NULL;
    struct op_args args;
    char tx[SHAPE_TEXT_BYTES], ty[SHAPE_TEXT_BYTES];
    int n = 2;
    enum err_kind rc = arguments_to_op(a, x[0], &args, e);
    if (!rc && !shape_equal(&x[0]->shape, &x[1]->shape))
        rc = err_set(
            e, ERR_INVALID, "",
            logits ? "Target size (torch.Size(%s)) must be the same as input size "
                     "(torch.Size(%s))"
                   : "Using a target size (torch.Size(%s)) that is different to the input "
                     "size (torch.Size(%s)) is deprecated. Please ensure they have the same "
                     "size.",
            shape_text(&x[1]->shape, ty, sizeof ty), shape_text(&x[0]->shape, tx, sizeof tx));
    if (!rc && tensor_argument(a, 2))
        x[n++] = tensor_argument(a, 2);
    else if (!rc && pos_weight)
        rc = ones(a->in, x[0]->dtype, &x[n++], e);
    if (pos_weight)
        x[n++] = pos_weight;
    if (!rc)
        rc = op_apply_many(a->in->tape, (enum op_id)a->row->op, &args, x, n, &y, NULL, e);
    return rc ? rc : give(y, out);
}

/* ---- classes ------------------------------------------------------------------------------- */

/* What nll_loss and cross_entropy are told. */
struct classes {
    struct interp *in;
    struct tensor *target, *weight; /* weight may be NULL */
    struct op_args args;            /* reduction, ignore_index */
    double smoothing;
};

static enum err_kind apply_nll(struct classes *c, enum op_id id, struct tensor *x,
                               struct tensor *target, struct tensor **out, struct err *e)
{
    struct tensor *operand[] = {x, target, c->weight};
    return op_apply_many(c->in->tape, id, &c->args, operand, c->weight ? 3 : 2, out, NULL, e);
}

/* Row-major and of that shape, as PyTorch's contiguous().view(). */
static enum err_kind contiguous_view(struct interp *in, struct tensor *x, const struct shape *shape,
                                     struct tensor **out, struct err *e)
{
    enum err_kind rc = ERR_OK;
    if (!tensor_is_contiguous(x))
        rc = apply_one(in, OP_CLONE, NULL, x, &x, e);
    return rc ? rc : apply_shape(in, OP_VIEW, shape, x, out, e);
}

/* (N, C, d1, …) with a target (N, d1, …): as images of one row. */
static enum err_kind nll_of_any_rank(struct classes *c, struct tensor *x, struct tensor **out,
                                     struct err *e)
{
    struct shape s = x->shape, want = x->shape, flat = {.rank = 4}, flat_target = {.rank = 3};
    char tt[SHAPE_TEXT_BYTES], tw[SHAPE_TEXT_BYTES];
    int64_t inner = 1;
    for (int d = 2; d < s.rank; d++)
        inner *= s.dim[d];
    want.rank--;
    memmove(want.dim + 1, want.dim + 2, (size_t)(s.rank - 2) * sizeof *want.dim);
    if (!shape_equal(&want, &c->target->shape))
        return err_set(e, ERR_INVALID, "", "Expected target size %s, got %s",
                       shape_text(&want, tw, sizeof tw),
                       shape_text(&c->target->shape, tt, sizeof tt));
    memcpy(flat.dim, (int64_t[]){s.dim[0], s.dim[1], 1, inner}, 4 * sizeof *flat.dim);
    memcpy(flat_target.dim, (int64_t[]){s.dim[0], 1, inner}, 3 * sizeof *flat_target.dim);
    struct tensor *target;
    enum err_kind rc = contiguous_view(c->in, x, &flat, &x, e);
    if (!rc)
        rc = contiguous_view(c->in, c->target, &flat_target, &target, e);
    if (!rc)
        rc = apply_nll(c, OP_NLL_LOSS2D, x, target, out, e);
    if (!rc && c->args.reduction == REDUCTION_NONE)
        rc = contiguous_view(c->in, *out, &want, out, e);
    return rc;
}

static enum err_kind nll(struct classes *c, struct tensor *x, struct tensor **out, struct err *e)
{
    int rank = x->shape.rank;
    if (rank < 1)
        return err_set(e, ERR_INVALID, "", "Expected 1 or more dimensions (got 0)");
    if (rank > 1 && (c->target->shape.rank < 1 || x->shape.dim[0] != c->target->shape.dim[0]))
        return err_set(e, ERR_INVALID, "",
                       "Expected input batch_size (%lld) to match target batch_size (%lld).",
                       (long long)x->shape.dim[0],
                       (long long)(c->target->shape.rank ? c->target->shape.dim[0] : 0));
    if (rank <= 2)
        return apply_nll(c, OP_NLL_LOSS, x, c->target, out, e);
    if (rank == 4)
        return apply_nll(c, OP_NLL_LOSS2D, x, c->target, out, e);
    return nll_of_any_rank(c, x, out, e);
}

static enum err_kind classes_of(struct args *a, struct classes *c, struct err *e)
{
    *c = (struct classes){
        .in = a->in, .target = a->value[1].tensor, .weight = tensor_argument(a, 2)};
    return arguments_to_op(a, a->value[0].tensor, &c->args, e);
}

enum err_kind call_nll_loss(struct args *a, struct value *out, struct err *e)
{
    struct classes c;
    struct tensor *y = NULL;
    enum err_kind rc = classes_of(a, &c, e);
    if (!rc)
        rc = nll(&c, a->value[0].tensor, &y, e);
    return rc ? rc : give(y, out);
}

/* The weights of the classes, to be multiplied along the classes' dimension. */
static enum err_kind weight_along(struct classes *c, const struct tensor *x, int dim,
                                  struct tensor **out, struct err *e)
{
    struct shape shape = {.rank = x->shape.rank};
    for (int d = 0; d < shape.rank; d++)
        shape.dim[d] = d == dim ? tensor_count(c->weight) : 1;
    return apply_shape(c->in, OP_VIEW, &shape, c->weight, out, e);
}

static enum err_kind times_number(struct interp *in, enum op_id id, struct tensor *x, double number,
                                  struct tensor **out, struct err *e)
{
    struct value value = VALUE(FLOAT, .number = number);
    struct tensor *factor = number_tensor(in, &value);
    if (!factor)
        return err_set(e, ERR_NOMEM, "", "no memory for a number");
    return apply_two(in, id, NULL, x, factor, out, e);
}

static enum err_kind sum_along(struct interp *in, struct tensor *x, int dim, struct tensor **out,
                               struct err *e)
{
    struct op_args args = op_args_default;
    args.dims = 1u << dim;
    return apply_one(in, OP_SUM_DIM, &args, x, out, e);
}

/* - sum over the classes of log-probabilities (times the weights) */
static enum err_kind smooth_loss(struct classes *c, struct tensor *x, int dim, struct tensor **out,
                                 struct err *e)
{
    struct tensor *weight;
    enum err_kind rc = ERR_OK;
    if (c->weight) {
        rc = weight_along(c, x, dim, &weight, e);
        if (!rc)
            rc = apply_two(c->in, OP_MUL, NULL, x, weight, &x, e);
    }
    if (!rc)
        rc = sum_along(c->in, x, dim, &x, e);
    return rc ? rc : apply_one(c->in, OP_NEG, NULL, x, out, e);
}

/* The weights of the targets that are used, added up. */
static enum err_kind used_weight(struct classes *c, struct tensor *used, struct tensor **out,
                                 struct err *e)
{
    struct op_args args = op_args_default;
    struct tensor *operand[] = {c->weight, NULL}, *weights;
    enum err_kind rc = apply_masked_select(c->in, c->target, used, &operand[1], e);
    args.dim = 0;
    if (!rc)
        rc = op_apply_many(c->in->tape, OP_GATHER, &args, operand, 2, &weights, NULL, e);
    return rc ? rc : apply_one(c->in, OP_SUM, NULL, weights, out, e);
}

/* The smooth losses of the targets that are not ignored; a mean counts those, or their weights. */
static enum err_kind reduce_smooth(struct classes *c, struct tensor **soft, struct tensor *ignored,
                                   struct err *e)
{
    struct interp *in = c->in;
    struct tensor *used, *share;
    if (c->args.reduction == REDUCTION_NONE)
        return ERR_OK;
    if (c->args.reduction == REDUCTION_SUM)
        return apply_one(in, OP_SUM, NULL, *soft, soft, e);
    enum err_kind rc = apply_one(in, OP_BITWISE_NOT, NULL, ignored, &used, e);
    if (!rc && !c->weight) {
        rc = apply_masked_select(in, *soft, used, soft, e);
        return rc ? rc : apply_one(in, OP_MEAN, NULL, *soft, soft, e);
    }
    if (!rc)
        rc = apply_one(in, OP_SUM, NULL, *soft, soft, e);
    if (!rc)
        rc = used_weight(c, used, &share, e);
    return rc ? rc : apply_two(in, OP_DIV, NULL, *soft, share, soft, e);
}

/* (1 - s) nll + s / classes * smooth */
static enum err_kind smoothed(struct classes *c, struct tensor *x, int dim, struct tensor **out,
                              struct err *e)
{
    struct interp *in = c->in;
    struct tensor *hard, *soft, *ignored;
    double classes = (double)x->shape.dim[dim];
    struct value ignore = VALUE(INT, .integer = c->args.ignore_index);
    struct value zero = VALUE(FLOAT, .number = 0), losses, mask;
    struct tensor *index = number_tensor(in, &ignore);
    if (!index)
        return err_set(e, ERR_NOMEM, "", "no memory for a number");
    enum err_kind rc = nll(c, x, &hard, e);
    if (!rc)
        rc = smooth_loss(c, x, dim, &soft, e);
    if (!rc)
        rc = apply_two(in, OP_EQ, NULL, c->target, index, &ignored, e);
    if (rc)
        return rc;
    losses = VALUE(TENSOR, .tensor = soft);
    mask = VALUE(TENSOR, .tensor = ignored);
    rc = subscript_set(in, &losses, &mask, &zero, e);
    if (!rc)
        rc = reduce_smooth(c, &soft, ignored, e);
    if (!rc)
        rc = times_number(in, OP_MUL_SCALAR, hard, 1 - c->smoothing, &hard, e);
    if (!rc)
        rc = times_number(in, OP_MUL_SCALAR, soft, c->smoothing / classes, &soft, e);
    return rc ? rc : apply_two(in, OP_ADD, NULL, hard, soft, out, e);
}

/* The target is a distribution over the classes. */
static enum err_kind by_probabilities(struct classes *c, struct tensor *x, int dim,
                                      struct tensor **out, struct err *e)
{
    struct interp *in = c->in;
    struct tensor *target = c->target, *weight;
    double classes = (double)x->shape.dim[dim];
    enum err_kind rc = ERR_OK;
    if (c->smoothing > 0) {
        rc = times_number(in, OP_MUL_SCALAR, target, 1 - c->smoothing, &target, e);
        if (!rc)
            rc = times_number(in, OP_ADD_SCALAR, target, c->smoothing / classes, &target, e);
    }
    if (!rc)
        rc = apply_two(in, OP_MUL, NULL, x, target, &x, e);
    if (!rc && c->weight)
        rc = weight_along(c, x, dim, &weight, e);
    if (!rc && c->weight)
        rc = apply_two(in, OP_MUL, NULL, x, weight, &x, e);
    double rows = (double)(tensor_count(x) / (x->shape.dim[dim] ? x->shape.dim[dim] : 1));
    if (!rc && c->args.reduction == REDUCTION_NONE)
        rc = sum_along(in, x, dim, &x, e);
    else if (!rc)
        rc = apply_one(in, OP_SUM, NULL, x, &x, e);
    if (!rc)
        rc = apply_one(in, OP_NEG, NULL, x, out, e);
    if (!rc && c->args.reduction == REDUCTION_MEAN)
        rc = times_number(in, OP_DIV_SCALAR, *out, rows, out, e);
    return rc;
}

enum err_kind call_cross_entropy(struct args *a, struct value *out, struct err *e)
{
    struct classes c;
    struct tensor *x = a->value[0].tensor, *y = NULL;
    struct op_args args = op_args_default;
    enum err_kind rc = classes_of(a, &c, e);
    if (rc)
        return rc;
    c.smoothing = number_of(argument(a, "label_smoothing"));
    if (!(c.smoothing >= 0 && c.smoothing <= 1))
        return err_set(e, ERR_INVALID, "", "label_smoothing must be between 0.0 and 1.0. Got: %g",
                       c.smoothing);
    if (x->shape.rank == 0)
        return err_set(e, ERR_INVALID, "", "Expected 1 or more dimensions (got 0)");
    args.dim = x->shape.rank == 1 ? 0 : 1;
    rc = apply_one(a->in, OP_LOG_SOFTMAX, &args, x, &x, e);
    if (!rc && shape_equal(&x->shape, &c.target->shape))
        rc = by_probabilities(&c, x, args.dim, &y, e);
    else if (!rc && c.smoothing > 0)
        rc = smoothed(&c, x, args.dim, &y, e);
    else if (!rc)
        rc = nll(&c, x, &y, e);
    return rc ? rc : give(y, out);
}
