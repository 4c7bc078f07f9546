/* engine/op_nll.c - the negative log-likelihood of classes.
 *
 * Source: PyTorch, aten/src/ATen/native/LossNLL.cpp and LossNLL2d.cpp.
 */
#include "engine/op_reduce.h"

#include <string.h>

/* A row-major tensor with its classes along dimension 1, or 0 if that is all there is. */
struct classes {
    int64_t rows, n, inner;
};

static int class_dim(const struct shape *s)
{
    return s->rank > 1 ? 1 : 0;
}

static struct classes classes_of(const struct tensor *x)
{
    int dim = class_dim(&x->shape);
    struct classes s = {.rows = dim ? x->shape.dim[0] : 1, .n = x->shape.dim[dim], .inner = 1};
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
#include "engine/op_nll.inc"
#define REAL double
#include "engine/op_nll.inc"

static const struct tensor *weight_of(const struct op_call *c)
{
    return c->inputs > 2 ? c->in[2] : NULL;
}

static enum err_kind check_types(const struct op_call *c, const char *kernel, struct err *e)
{
    const struct tensor *x = c->in[0], *y = c->in[1], *weight = weight_of(c);
    if (!dtype_is_float(x->dtype))
        return err_set(e, ERR_INVALID, "", "\"%s\" not implemented for '%s'", kernel,
                       dtype_type_name(x->dtype));
    if (y->dtype != DTYPE_INT64)
        return err_set(e, ERR_INVALID, "", "expected scalar type Long but found %s",
                       dtype_type_name(y->dtype));
    if (weight && weight->dtype != x->dtype)
        return err_set(e, ERR_INVALID, "", "expected scalar type %s but found %s",
                       dtype_type_name(x->dtype), dtype_type_name(weight->dtype));
    return ERR_OK;
}

/* A dry tape's targets are not known. */
static enum err_kind check_targets(const struct op_call *c, struct err *e)
{
    const struct tensor *y = c->in[1];
    int64_t n = c->in[0]->shape.dim[class_dim(&c->in[0]->shape)];
    const int64_t *target = tensor_data(y);
    for (int64_t i = 0; target && i < tensor_count(y); i++)
        if ((target[i] < 0 || target[i] >= n) && target[i] != c->args.ignore_index)
            return err_set(e, ERR_INVALID, "", "Target %lld is out of bounds.",
                           (long long)target[i]);
    return ERR_OK;
}

/* With the sizes right: the rest, and the outputs. */
static enum err_kind infer_losses(const struct op_call *c, const char *kernel, struct tensor *out,
                                  struct err *e)
{
    enum err_kind rc = check_types(c, kernel, e);
    if (!rc)
        rc = check_targets(c, e);
    out->shape = c->in[1]->shape;
    if (c->args.reduction != REDUCTION_NONE)
        out->shape.rank = 0;
    c->aux->shape.rank = 0;
    c->aux->dtype = out->dtype;
    return rc;
}

static enum err_kind check_batches(const struct shape *x, const struct shape *y, struct err *e)
{
    int64_t rows = y->rank ? y->dim[0] : 0;
    if (x->rank == 1 || x->dim[0] == rows)
        return ERR_OK;
    return err_set(e, ERR_INVALID, "",
                   "Expected input batch_size (%lld) to match target batch_size (%lld).",
                   (long long)x->dim[0], (long long)rows);
}

static bool is_weight(const struct tensor *weight, int64_t classes)
{
    return !weight || (weight->shape.rank == 1 && weight->shape.dim[0] == classes);
}

/* ---- (N, C) with (N), or (C) with a scalar --------------------------------------------------- */

enum err_kind ISA_FN(nll_loss_infer)(const struct op_call *c, struct tensor *out, struct err *e)
{
    const struct shape *x = &c->in[0]->shape, *y = &c->in[1]->shape;
    const struct tensor *weight = weight_of(c);
    char tx[SHAPE_TEXT_BYTES], ty[SHAPE_TEXT_BYTES];
    if (x->rank < 1 || x->rank > 2)
        return err_set(e, ERR_INVALID, "", "input tensor should be 1D or 2D");
    enum err_kind rc = check_batches(x, y, e);
    if (rc)
        return rc;
    if (y->rank > 1)
        return err_set(e, ERR_INVALID, "",
                       "0D or 1D target tensor expected, multi-target not supported");
    if (y->rank != x->rank - 1)
        return err_set(e, ERR_INVALID, "", "size mismatch (got input: %s, target: %s)",
                       shape_text(x, tx, sizeof tx), shape_text(y, ty, sizeof ty));
    int64_t classes = x->dim[x->rank - 1];
    if (!is_weight(weight, classes))
        return err_set(e, ERR_INVALID, "",
                       "weight tensor should be defined either for all %lld classes or no classes "
                       "but got weight tensor of shape: %s",
                       (long long)classes, shape_text(&weight->shape, tx, sizeof tx));
    return infer_losses(c, "nll_loss_out_frame", out, e);
}

void ISA_FN(nll_loss_forward)(const struct op_call *c)
{
    BY_TYPE(c->out->dtype, nll, c, weight_of(c));
}

void ISA_FN(nll_loss_backward)(const struct op_call *c)
{
    if (c->grad_in[0])
        BY_TYPE(c->grad_out->dtype, nll_slope, c, weight_of(c));
}

/* ---- (N, C, H, W) with (N, H, W) ------------------------------------------------------------- */

enum err_kind ISA_FN(nll_loss2d_infer)(const struct op_call *c, struct tensor *out, struct err *e)
{
    const struct shape *x = &c->in[0]->shape, *y = &c->in[1]->shape;
    char tx[SHAPE_TEXT_BYTES], ty[SHAPE_TEXT_BYTES];
    if (x->rank != 4)
        return err_set(e, ERR_INVALID, "",
                       "only batches of spatial inputs supported (4D tensors), but got input of "
                       "dimension: %d",
                       x->rank);
    enum err_kind rc = check_batches(x, y, e);
    if (rc)
        return rc;
    if (y->rank != 3)
        return err_set(e, ERR_INVALID, "",
                       "only batches of spatial targets supported (3D tensors) but got targets of "
                       "dimension: %d",
                       y->rank);
    if (!is_weight(weight_of(c), x->dim[1]))
        return err_set(e, ERR_INVALID, "",
                       "weight tensor should be defined either for all or no classes");
    if (x->dim[2] != y->dim[1] || x->dim[3] != y->dim[2])
        return err_set(e, ERR_INVALID, "", "size mismatch (got input: %s , target: %s",
                       shape_text(x, tx, sizeof tx), shape_text(y, ty, sizeof ty));
    return infer_losses(c, "nll_loss2d_forward_out_frame", out, e);
}

void ISA_FN(nll_loss2d_forward)(const struct op_call *c)
{
    ISA_FN(nll_loss_forward)(c);
}

void ISA_FN(nll_loss2d_backward)(const struct op_call *c)
{
    ISA_FN(nll_loss_backward)(c);
}
