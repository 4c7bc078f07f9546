/* engine/op_loss.c - losses: a scalar from an input and a target.
 *
 * Source: PyTorch, aten/src/ATen/native/Loss.cpp and LossNLL.cpp.
 */
#include "engine/op_reduce.h"
#include "engine/vmath.h"

#include <string.h>

/* What the sum is divided by. Of no elements a mean is 0 / 0, as PyTorch gives. */
static double divisor(const struct op_call *c)
{
    const struct tensor *elements = c->in[1]; /* of nll_loss: one a row */
    return c->args.reduction == REDUCTION_MEAN ? (double)tensor_count(elements) : 1;
}

/* A row-major tensor with its classes along dimension 1. */
struct classes {
    int64_t rows, n, inner;
};

static struct classes classes_of(const struct tensor *x)
{
    struct classes s = {.rows = x->shape.dim[0], .n = x->shape.dim[1], .inner = 1};
    for (int d = 2; d < x->shape.rank; d++)
        s.inner *= x->shape.dim[d];
    return s;
}

/* Where the i-th target's class lies in the input. */
static int64_t class_at(const struct classes *s, int64_t i, int64_t class)
{
    return (i / s->inner * s->n + class) * s->inner + i % s->inner;
}

#define REAL float
#include "engine/op_loss.inc"
#define REAL double
#include "engine/op_loss.inc"

static enum err_kind infer_pair(const struct op_call *c, struct tensor *out, struct err *e)
{
    const struct tensor *x = c->in[0], *y = c->in[1];
    char tx[SHAPE_TEXT_BYTES], ty[SHAPE_TEXT_BYTES];
    if (x->dtype != y->dtype || !dtype_is_float(x->dtype))
        return err_set(e, ERR_INVALID, "", "%s needs two floating point tensors of one type",
                       c->op->name);
    if (!shape_equal(&x->shape, &y->shape))
        return err_set(e, ERR_INVALID, "", "Target size (%s) must be the same as input size (%s)",
                       shape_text(&y->shape, ty, sizeof ty), shape_text(&x->shape, tx, sizeof tx));
    out->shape.rank = 0;
    return ERR_OK;
}

enum err_kind ISA_FN(nll_loss_infer)(const struct op_call *c, struct tensor *out, struct err *e)
{
    const struct tensor *x = c->in[0], *y = c->in[1];
    if (!dtype_is_float(x->dtype) || y->dtype != DTYPE_INT64)
        return err_set(e, ERR_INVALID, "",
                       "nll_loss needs a floating point input and an int64 target, got %s and %s",
                       dtype_name(x->dtype), dtype_name(y->dtype));
    struct shape want = x->shape;
    if (want.rank >= 2) {
        want.rank--;
        memmove(want.dim + 1, want.dim + 2, (size_t)(want.rank - 1) * sizeof want.dim[0]);
    }
    if (x->shape.rank < 2 || !shape_equal(&want, &y->shape)) {
        char tx[SHAPE_TEXT_BYTES], ty[SHAPE_TEXT_BYTES];
        return err_set(e, ERR_INVALID, "",
                       "Expected a target of one class per row, got input %s and target %s",
                       shape_text(&x->shape, tx, sizeof tx), shape_text(&y->shape, ty, sizeof ty));
    }
    const int64_t *target = tensor_data(y);
    for (int64_t i = 0; i < tensor_count(y); i++)
        if (target[i] < 0 || target[i] >= x->shape.dim[1])
            return err_set(e, ERR_INVALID, "", "Target %lld is out of bounds.",
                           (long long)target[i]);
    out->shape.rank = 0;
    return ERR_OK;
}

void ISA_FN(nll_loss_forward)(const struct op_call *c)
{
    BY_TYPE(c->out->dtype, nll, c);
}

void ISA_FN(nll_loss_backward)(const struct op_call *c)
{
    if (c->grad_in[0])
        BY_TYPE(c->grad_out->dtype, nll_slope, c);
}

enum err_kind ISA_FN(mse_loss_infer)(const struct op_call *c, struct tensor *out, struct err *e)
{
    return infer_pair(c, out, e);
}

void ISA_FN(mse_loss_forward)(const struct op_call *c)
{
    BY_TYPE(c->out->dtype, mse, c);
}

void ISA_FN(mse_loss_backward)(const struct op_call *c)
{
    BY_TYPE(c->grad_out->dtype, mse_slope, c);
}

enum err_kind ISA_FN(smooth_l1_loss_infer)(const struct op_call *c, struct tensor *out,
                                           struct err *e)
{
    return infer_pair(c, out, e);
}

void ISA_FN(smooth_l1_loss_forward)(const struct op_call *c)
{
    BY_TYPE(c->out->dtype, smooth_l1, c);
}

void ISA_FN(smooth_l1_loss_backward)(const struct op_call *c)
{
    BY_TYPE(c->grad_out->dtype, smooth_l1_slope, c);
}

enum err_kind ISA_FN(huber_loss_infer)(const struct op_call *c, struct tensor *out, struct err *e)
{
    return infer_pair(c, out, e);
}

void ISA_FN(huber_loss_forward)(const struct op_call *c)
{
    BY_TYPE(c->out->dtype, huber, c);
}

void ISA_FN(huber_loss_backward)(const struct op_call *c)
{
    BY_TYPE(c->grad_out->dtype, huber_slope, c);
}

enum err_kind ISA_FN(bce_with_logits_infer)(const struct op_call *c, struct tensor *out,
                                            struct err *e)
{
    return infer_pair(c, out, e);
}

void ISA_FN(bce_with_logits_forward)(const struct op_call *c)
{
    BY_TYPE(c->out->dtype, bce, c);
}

void ISA_FN(bce_with_logits_backward)(const struct op_call *c)
{
    BY_TYPE(c->grad_out->dtype, bce_slope, c);
}
