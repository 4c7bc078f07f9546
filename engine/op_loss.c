/* engine/op_loss.c - losses of an input against a target: a value an element, their sum or mean.
 *
 * Source: PyTorch, aten/src/ATen/native/Loss.cpp; the losses of classes are in op_nll.c.
 */
#include "engine/op_reduce.h"
#include "engine/rows.h"
#include "engine/vmath.h"

#include <string.h>

/* So many elements at a time have their terms and values beside each other in the cache. */
#define CHUNK 256

/* What the sum is divided by. Of no elements a mean is 0 / 0, as PyTorch gives. */
static double divisor(const struct op_call *c)
{
    return c->args.reduction == REDUCTION_MEAN ? (double)tensor_count(c->in[1]) : 1;
}

/* The i-th input, if it is there. */
static const struct tensor *optional(const struct op_call *c, int i)
{
    return i < c->inputs ? c->in[i] : NULL;
}

/* The functions of an element. BCE_POSITIVE: of logits, with a pos_weight. */
enum loss { MSE, SMOOTH_L1, HUBER, BCE, BCE_LOGITS, BCE_POSITIVE };

#define REAL float
#include "engine/op_loss.inc"
#define REAL double
#include "engine/op_loss.inc"

/* ---- what fits ------------------------------------------------------------------------------- */

static enum err_kind check_float(const struct tensor *x, const char *kernel, struct err *e)
{
    return dtype_is_float(x->dtype) ? ERR_OK
                                    : err_set(e, ERR_INVALID, "", "\"%s\" not implemented for '%s'",
                                              kernel, dtype_type_name(x->dtype));
}

static enum err_kind sizes_differ(const struct op_call *c, struct err *e)
{
    char tx[SHAPE_TEXT_BYTES], ty[SHAPE_TEXT_BYTES];
    return err_set(e, ERR_INVALID, "",
                   "Target size (torch.Size(%s)) must be the same as input size (torch.Size(%s))",
                   shape_text(&c->in[1]->shape, ty, sizeof ty),
                   shape_text(&c->in[0]->shape, tx, sizeof tx));
}

/* The input and the target, which are of one type by now. */
static enum err_kind infer_pair(const struct op_call *c, const char *kernel, struct tensor *out,
                                struct err *e)
{
    out->shape = c->in[0]->shape;
    if (!shape_equal(&out->shape, &c->in[1]->shape))
        return sizes_differ(c, e);
    if (c->args.reduction != REDUCTION_NONE)
        out->shape.rank = 0;
    return check_float(c->in[0], kernel, e);
}

/* A weight multiplies the elements of x in place: it may not make more of them. */
static enum err_kind check_weight(const struct tensor *x, const struct tensor *weight,
                                  struct err *e)
{
    struct shape both;
    char tx[SHAPE_TEXT_BYTES], tb[SHAPE_TEXT_BYTES];
    enum err_kind rc = weight ? shape_broadcast(&x->shape, &weight->shape, &both, e) : ERR_OK;
    if (rc || !weight || shape_equal(&both, &x->shape))
        return rc;
    return err_set(e, ERR_INVALID, "", "output with shape %s doesn't match the broadcast shape %s",
                   shape_text(&x->shape, tx, sizeof tx), shape_text(&both, tb, sizeof tb));
}

/* PyTorch has room for the result in a tensor of input i's type, which must be a float's then. */
static enum err_kind check_place(const struct op_call *c, int i, struct err *e)
{
    enum dtype given = c->given[i]->dtype, result = c->in[i]->dtype;
    if (dtype_is_float(given))
        return ERR_OK;
    return err_set(e, ERR_INVALID, "", "result type %s can't be cast to the desired output type %s",
                   dtype_type_name(dtype_is_float(result) ? result : DTYPE_FLOAT32),
                   dtype_type_name(given));
}

/* ---- the rows -------------------------------------------------------------------------------- */

enum err_kind ISA_FN(mse_loss_infer)(const struct op_call *c, struct tensor *out, struct err *e)
{
    return infer_pair(c, "mse_cpu", out, e);
}

enum err_kind ISA_FN(smooth_l1_loss_infer)(const struct op_call *c, struct tensor *out,
                                           struct err *e)
{
    if (c->args.alpha < 0)
        return err_set(e, ERR_INVALID, "",
                       "smooth_l1_loss does not support negative values for beta.");
    return infer_pair(c, "smooth_l1_cpu", out, e);
}

enum err_kind ISA_FN(huber_loss_infer)(const struct op_call *c, struct tensor *out, struct err *e)
{
    if (c->args.alpha <= 0)
        return err_set(e, ERR_INVALID, "",
                       "huber_loss does not support non-positive values for delta.");
    enum err_kind rc = infer_pair(c, "huber_cpu", out, e);
    return rc ? rc : check_place(c, 0, e);
}

enum err_kind ISA_FN(binary_cross_entropy_infer)(const struct op_call *c, struct tensor *out,
                                                 struct err *e)
{
    const struct tensor *x = c->in[0], *y = c->in[1];
    char tx[SHAPE_TEXT_BYTES], ty[SHAPE_TEXT_BYTES];
    if (!shape_equal(&x->shape, &y->shape))
        return err_set(e, ERR_INVALID, "",
                       "Using a target size (torch.Size(%s)) that is different to the input size "
                       "(torch.Size(%s)) is deprecated. Please ensure they have the same size.",
                       shape_text(&y->shape, ty, sizeof ty), shape_text(&x->shape, tx, sizeof tx));
    if (x->dtype != y->dtype)
        return err_set(e, ERR_INVALID, "", "Found dtype %s but expected %s",
                       dtype_type_name(y->dtype), dtype_type_name(x->dtype));
    enum err_kind rc = infer_pair(c, c->op->name, out, e);
    if (!rc)
        rc = check_weight(x, optional(c, 2), e);
    if (!rc && tensor_data(x) && !BY_TYPE(x->dtype, are_probabilities, x))
        rc = err_set(e, ERR_INVALID, "", "all elements of input should be between 0 and 1");
    return rc;
}

enum err_kind ISA_FN(binary_cross_entropy_with_logits_infer)(const struct op_call *c,
                                                             struct tensor *out, struct err *e)
{
    enum err_kind rc = ERR_OK;
    if (!shape_equal(&c->in[0]->shape, &c->in[1]->shape))
        return sizes_differ(c, e);
    for (int i = 0; !rc && i < 2; i++)
        rc = check_place(c, i, e);
    if (!rc)
        rc = infer_pair(c, c->op->name, out, e);
    for (int i = 2; !rc && i < c->inputs; i++)
        rc = check_weight(c->in[0], c->in[i], e);
    return rc;
}

#define RUNS(row, fn)                                                                              \
    void ISA_FN(row##_forward)(const struct op_call *c)                                            \
    {                                                                                              \
        BY_TYPE(c->out->dtype, loss, c, fn);                                                       \
    }                                                                                              \
                                                                                                   \
    void ISA_FN(row##_backward)(const struct op_call *c)                                           \
    {                                                                                              \
        BY_TYPE(c->grad_out->dtype, loss_slopes, c, fn);                                           \
    }
RUNS(mse_loss, MSE)
RUNS(smooth_l1_loss, SMOOTH_L1)
RUNS(huber_loss, HUBER)
RUNS(binary_cross_entropy, BCE)
RUNS(binary_cross_entropy_with_logits, c->inputs > 3 ? BCE_POSITIVE : BCE_LOGITS)
