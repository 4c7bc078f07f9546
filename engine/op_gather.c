/* engine/op_gather.c - elements taken one by one: gather, nonzero, masked_fill. */
#include <math.h>
#include <string.h>

#include "engine/groups.h"
#include "engine/op_reduce.h"
#include "engine/rows.h"

#define REAL float
#include "engine/op_gather.inc"
#define REAL double
#include "engine/op_gather.inc"
#define REAL int64_t
#include "engine/op_gather.inc"
#define REAL bool
#include "engine/op_gather.inc"

/* ---- gather ---------------------------------------------------------------------------------- */

/* A scalar counts as a vector of one element. */
static struct shape as_vector(const struct shape *s)
{
    return s->rank ? *s : (struct shape){.rank = 1, .dim = {1}};
}

static enum err_kind check_gather_shapes(const struct op_call *c, struct err *e)
{
    struct shape x = as_vector(&c->in[0]->shape), index = as_vector(&c->in[1]->shape);
    char text[SHAPE_TEXT_BYTES], self[SHAPE_TEXT_BYTES];
    if (x.rank != index.rank)
        return err_set(e, ERR_INVALID, "",
                       "Index tensor must have the same number of dimensions as input tensor");
    for (int d = 0; d < x.rank; d++)
        if (d != c->args.dim && index.dim[d] > x.dim[d])
            return err_set(e, ERR_INVALID, "",
                           "Size does not match at dimension %d expected index %s to be smaller "
                           "than self %s apart from dimension %d",
                           d, shape_text(&c->in[1]->shape, text, sizeof text),
                           shape_text(&c->in[0]->shape, self, sizeof self), c->args.dim);
    return ERR_OK;
}

static enum err_kind check_gather_indices(const struct op_call *c, struct err *e)
{
    const struct tensor *index = c->in[1];
    const int64_t *i = index->storage->data ? tensor_data(index) : NULL;
    int64_t size = as_vector(&c->in[0]->shape).dim[c->args.dim];
    for (int64_t k = 0; i && k < tensor_count(index); k++)
        if (i[k] < 0 || i[k] >= size)
            return err_set(e, ERR_INVALID, "",
                           "index %lld is out of bounds for dimension %d with size %lld",
                           (long long)i[k], c->args.dim, (long long)size);
    return ERR_OK;
}

enum err_kind ISA_FN(gather_infer)(const struct op_call *c, struct tensor *out, struct err *e)
{
    enum err_kind rc = ISA_FN(check_dim)(c->args.dim, c->in[0]->shape.rank, e);
    if (rc)
        return rc;
    if (c->in[1]->dtype != DTYPE_INT64)
        return err_set(e, ERR_INVALID, "", "gather(): Expected dtype int64 for index");
    out->shape = c->in[1]->shape;
    if (tensor_count(c->in[1]) == 0)
        return ERR_OK; /* whatever its shape */
    rc = check_gather_shapes(c, e);
    return rc ? rc : check_gather_indices(c, e);
}

/* Where the element of x lies that has the place of index's i-th, but for dim; *step is how far
 * apart x's elements are along dim. */
static struct grid grid_but_for(const struct shape *x, int dim, const struct shape *index,
                                int64_t *step)
{
    struct shape seen = as_vector(index), whole = as_vector(x);
    struct grid grid = {.rank = 0};
    int64_t stride = 1;
    for (int d = seen.rank - 1; d >= 0; d--) {
        grid_add(&grid, seen.dim[d], d == dim ? 0 : stride);
        *step = d == dim ? stride : *step;
        stride *= whole.dim[d];
    }
    return grid;
}

void ISA_FN(gather_forward)(const struct op_call *c)
{
    int64_t step = 0, n = tensor_count(c->out);
    if (n == 0)
        return;
    struct grid g = grid_but_for(&c->in[0]->shape, c->args.dim, &c->out->shape, &step);
    BY_ANY(c->out->dtype, gather, n, tensor_data(c->in[0]), tensor_data(c->in[1]), &g, step,
           tensor_data(c->out));
}

void ISA_FN(gather_backward)(const struct op_call *c)
{
    struct tensor *dx = c->grad_in[0];
    int64_t step = 0, n = tensor_count(c->grad_out);
    memset(tensor_data(dx), 0, (size_t)tensor_count(dx) * dtype_bytes(dx->dtype));
    if (n == 0)
        return;
    struct grid g = grid_but_for(&dx->shape, c->args.dim, &c->grad_out->shape, &step);
    BY_TYPE(dx->dtype, scatter, n, tensor_data(c->grad_out), tensor_data(c->in[1]), &g, step,
            tensor_data(dx));
}

/* ---- nonzero --------------------------------------------------------------------------------- */

enum err_kind ISA_FN(nonzero_infer)(const struct op_call *c, struct tensor *out, struct err *e)
{
    const struct tensor *x = c->in[0];
    int64_t n = tensor_count(x);
    if (n > 0 && !x->storage->data)
        return err_set(e, ERR_INVALID, "",
                       "the shape depends on the numbers, which are not known here");
    int64_t found = n > 0 ? BY_ANY(x->dtype, count_nonzero, n, tensor_data(x)) : 0;
    out->dtype = DTYPE_INT64;
    out->shape = (struct shape){.rank = 2, .dim = {found, x->shape.rank}};
    return ERR_OK;
}

void ISA_FN(nonzero_forward)(const struct op_call *c)
{
    const struct tensor *x = c->in[0];
    BY_ANY(x->dtype, nonzero, &x->shape, tensor_data(x), tensor_data(c->out));
}

/* ---- masked_fill ----------------------------------------------------------------------------- */

enum err_kind ISA_FN(masked_fill_infer)(const struct op_call *c, struct tensor *out, struct err *e)
{
    double value = c->args.alpha;
    if (c->in[1]->dtype != DTYPE_BOOL)
        return err_set(e, ERR_INVALID, "",
                       "masked_fill only supports boolean masks, but got mask with dtype %s",
                       dtype_name(c->in[1]->dtype));
    if (c->in[0]->dtype == DTYPE_INT64 && !(value >= -0x1p63 && value < 0x1p63))
        return err_set(e, ERR_INVALID, "",
                       "value cannot be converted to type int64_t without overflow");
    return shape_broadcast(&c->in[1]->shape, &c->in[0]->shape, &out->shape, e);
}

void ISA_FN(masked_fill_forward)(const struct op_call *c)
{
    BY_ANY(c->out->dtype, masked_fill, c->in[0], c->in[1], c->args.alpha, c->out);
}

/* In the output's shape: what was broadcast, the walk sums. */
void ISA_FN(masked_fill_backward)(const struct op_call *c)
{
    BY_TYPE(c->grad_out->dtype, masked_fill, c->grad_out, c->in[1], 0, c->grad_in[0]);
}
