/* engine/op_softmax.c - softmax and its logarithm along a dimension. */
#include "engine/cross_entropy.h"
#include "engine/op_reduce.h"
#include "engine/vmath.h"

/* The lines along one dimension of a row-major tensor. */
struct lines {
    int64_t count, n, step;
};

static struct lines lines_of(const struct shape *s, int dim)
{
    if (s->rank == 0)
        return (struct lines){.count = 1, .n = 1, .step = 1};
    if (dim < 0)
        dim += s->rank;
    struct lines l = {.n = s->dim[dim], .step = 1};
    for (int d = dim + 1; d < s->rank; d++)
        l.step *= s->dim[d];
    l.count = l.n ? shape_count(s) / l.n : 0;
    return l;
}

/* Lines at a time, and elements of these, about. */
#define LINES_MAX      32
#define LINES_ELEMENTS 512

/* The i-th line, and the next ones if they lie behind it: where they start. */
static int64_t lines_from(const struct lines *all, int64_t i, struct lines *l)
{
    int64_t most = all->step == 1 ? LINES_ELEMENTS / all->n : 1, left = all->count - i;
    *l = *all;
    l->count = most < 1 ? 1 : most < LINES_MAX ? most : LINES_MAX;
    if (l->count > left)
        l->count = left;
    return i / all->step * all->step * all->n + i % all->step;
}

#define REAL float
#include "engine/op_softmax.inc"
#define REAL double
#include "engine/op_softmax.inc"

/* lastdim_kernel: what PyTorch calls its own for the last dimension. */
static enum err_kind infer_along(const struct op_call *c, const char *lastdim_kernel,
                                 struct tensor *out, struct err *e)
{
    const struct tensor *x = c->in[0];
    int rank = x->shape.rank ? x->shape.rank : 1;
    bool last = c->args.dim == -1 || c->args.dim == rank - 1;
    if (c->args.dim < -rank || c->args.dim >= rank)
        return err_set(e, ERR_INVALID, "",
                       "Dimension out of range (expected to be in range of [%d, %d], but got %d)",
                       -rank, rank - 1, c->args.dim);
    if (!dtype_is_float(x->dtype))
        return err_set(e, ERR_INVALID, "", "\"%s\" not implemented for '%s'",
                       last ? lastdim_kernel : "softmax_kernel_impl", dtype_type_name(x->dtype));
    out->shape = x->shape;
    return ERR_OK;
}

enum err_kind ISA_FN(softmax_infer)(const struct op_call *c, struct tensor *out, struct err *e)
{
    return infer_along(c, "softmax_lastdim_kernel_impl", out, e);
}

void ISA_FN(softmax_forward)(const struct op_call *c)
{
    BY_TYPE(c->out->dtype, softmax, c);
}

void ISA_FN(softmax_backward)(const struct op_call *c)
{
    BY_TYPE(c->grad_out->dtype, softmax_slope, c);
}

enum err_kind ISA_FN(log_softmax_infer)(const struct op_call *c, struct tensor *out, struct err *e)
{
    return infer_along(c, "log_softmax_lastdim_kernel_impl", out, e);
}

void ISA_FN(log_softmax_forward)(const struct op_call *c)
{
    BY_TYPE(c->out->dtype, log_softmax, c);
}

void ISA_FN(log_softmax_backward)(const struct op_call *c)
{
    BY_TYPE(c->grad_out->dtype, log_softmax_slope, c);
}

void ISA_FN(cross_entropy)(const struct cross_entropy *c)
{
    BY_TYPE(c->softmax->out->dtype, cross_entropy, c);
}
