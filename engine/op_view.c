/* engine/op_view.c - other views of the same numbers.
 *
 * The first rows only rearrange strides, and so do their gradients. Expand, slice and select see an
 * element several times or not at all: their gradients are sums, and zeros with holes filled in. */
#include <string.h>

#include "engine/op_reduce.h"

static void share(const struct tensor *x, struct tensor *view)
{
    view->shape = x->shape;
    view->offset = x->offset;
    memcpy(view->stride, x->stride, sizeof view->stride);
}

static void swap_dims(struct tensor *t, int a, int b)
{
    int64_t dim = t->shape.dim[a], stride = t->stride[a];
    t->shape.dim[a] = t->shape.dim[b];
    t->stride[a] = t->stride[b];
    t->shape.dim[b] = dim;
    t->stride[b] = stride;
}

/* Puts a dimension of 1 before dimension `dim`. */
static void insert_dim(struct tensor *t, int dim)
{
    int64_t stride = dim < t->shape.rank ? t->shape.dim[dim] * t->stride[dim] : 1;
    for (int d = t->shape.rank++; d > dim; d--) {
        t->shape.dim[d] = t->shape.dim[d - 1];
        t->stride[d] = t->stride[d - 1];
    }
    t->shape.dim[dim] = 1;
    t->stride[dim] = stride;
}

/* ---- t, transpose, permute ----------------------------------------------------------------- */

enum err_kind ISA_FN(t_infer)(const struct op_call *c, struct tensor *out, struct err *e)
{
    if (c->in[0]->shape.rank > 2)
        return err_set(e, ERR_INVALID, "",
                       "t() expects a tensor with <= 2 dimensions, but self is %dD",
                       c->in[0]->shape.rank);
    share(c->in[0], out);
    if (out->shape.rank == 2)
        swap_dims(out, 0, 1);
    return ERR_OK;
}

void ISA_FN(t_forward)(const struct op_call *c)
{
    (void)c; /* the view is all */
}

void ISA_FN(t_backward)(const struct op_call *c)
{
    share(c->grad_out, c->grad_in[0]);
    if (c->grad_out->shape.rank == 2)
        swap_dims(c->grad_in[0], 0, 1);
}

enum err_kind ISA_FN(transpose_infer)(const struct op_call *c, struct tensor *out, struct err *e)
{
    int rank = c->in[0]->shape.rank;
    enum err_kind rc = ISA_FN(check_dim)(c->args.dim, rank, e);
    if (!rc)
        rc = ISA_FN(check_dim)(c->args.dim2, rank, e);
    if (rc)
        return rc;
    share(c->in[0], out);
    if (rank > 0)
        swap_dims(out, c->args.dim, c->args.dim2);
    return ERR_OK;
}

void ISA_FN(transpose_forward)(const struct op_call *c)
{
    (void)c;
}

void ISA_FN(transpose_backward)(const struct op_call *c)
{
    share(c->grad_out, c->grad_in[0]);
    if (c->grad_out->shape.rank > 0)
        swap_dims(c->grad_in[0], c->args.dim, c->args.dim2);
}

enum err_kind ISA_FN(permute_infer)(const struct op_call *c, struct tensor *out, struct err *e)
{
    const struct tensor *x = c->in[0];
    const struct shape *order = &c->args.shape;
    unsigned seen = 0;
    if (order->rank != x->shape.rank)
        return err_set(e, ERR_INVALID, "",
                       "permute(sparse_coo): number of dimensions in the tensor input does not "
                       "match the length of the desired ordering of dimensions i.e. input.dim() = "
                       "%d is not equal to len(dims) = %d",
                       x->shape.rank, order->rank);
    share(x, out);
    for (int d = 0; d < order->rank; d++) {
        int from = (int)order->dim[d];
        enum err_kind rc = ISA_FN(check_dim)(from, order->rank, e);
        if (rc)
            return rc;
        if (seen >> from & 1)
            return err_set(e, ERR_INVALID, "", "permute(): duplicate dims are not allowed.");
        seen |= 1u << from;
        out->shape.dim[d] = x->shape.dim[from];
        out->stride[d] = x->stride[from];
    }
    return ERR_OK;
}

void ISA_FN(permute_forward)(const struct op_call *c)
{
    (void)c;
}

void ISA_FN(permute_backward)(const struct op_call *c)
{
    struct tensor *dx = c->grad_in[0];
    share(c->grad_out, dx);
    for (int d = 0; d < dx->shape.rank; d++) {
        dx->shape.dim[c->args.shape.dim[d]] = c->grad_out->shape.dim[d];
        dx->stride[c->args.shape.dim[d]] = c->grad_out->stride[d];
    }
}

/* ---- view, reshape ------------------------------------------------------------------------- */

enum err_kind ISA_FN(view_infer)(const struct op_call *c, struct tensor *out, struct err *e)
{
    const struct tensor *x = c->in[0];
    if (shape_count(&c->args.shape) != tensor_count(x)) {
        char text[SHAPE_TEXT_BYTES];
        return err_set(e, ERR_INVALID, "", "shape '%s' is invalid for input of size %lld",
                       shape_text(&c->args.shape, text, sizeof text), (long long)tensor_count(x));
    }
    out->shape = c->args.shape;
    out->offset = x->offset;
    if (!tensor_view_strides(x, &out->shape, out->stride))
        return err_set(e, ERR_INVALID, "",
                       "view size is not compatible with input tensor's size and stride (at least "
                       "one dimension spans across two contiguous subspaces). Use .reshape(...) "
                       "instead.");
    return ERR_OK;
}

void ISA_FN(view_forward)(const struct op_call *c)
{
    (void)c;
}

/* grad_in shares the row-major grad_out and has the input's shape already. */
void ISA_FN(view_backward)(const struct op_call *c)
{
    tensor_set_contiguous(c->grad_in[0]);
}

/* ---- squeeze, unsqueeze -------------------------------------------------------------------- */

enum err_kind ISA_FN(squeeze_infer)(const struct op_call *c, struct tensor *out, struct err *e)
{
    (void)e;
    share(c->in[0], out);
    for (int d = out->shape.rank - 1; d >= 0; d--)
        if (out->shape.dim[d] == 1)
            tensor_select(out, d, 0);
    return ERR_OK;
}

void ISA_FN(squeeze_forward)(const struct op_call *c)
{
    (void)c;
}

void ISA_FN(squeeze_backward)(const struct op_call *c)
{
    struct shape whole = c->grad_in[0]->shape;
    share(c->grad_out, c->grad_in[0]);
    for (int d = 0; d < whole.rank; d++)
        if (whole.dim[d] == 1)
            insert_dim(c->grad_in[0], d);
}

enum err_kind ISA_FN(squeeze_dim_infer)(const struct op_call *c, struct tensor *out, struct err *e)
{
    enum err_kind rc = ISA_FN(check_dim)(c->args.dim, c->in[0]->shape.rank, e);
    if (rc)
        return rc;
    share(c->in[0], out);
    if (out->shape.rank > 0 && out->shape.dim[c->args.dim] == 1)
        tensor_select(out, c->args.dim, 0);
    return ERR_OK;
}

void ISA_FN(squeeze_dim_forward)(const struct op_call *c)
{
    (void)c;
}

void ISA_FN(squeeze_dim_backward)(const struct op_call *c)
{
    int rank = c->grad_in[0]->shape.rank;
    share(c->grad_out, c->grad_in[0]);
    if (c->grad_out->shape.rank < rank)
        insert_dim(c->grad_in[0], c->args.dim);
}

enum err_kind ISA_FN(unsqueeze_infer)(const struct op_call *c, struct tensor *out, struct err *e)
{
    int rank = c->in[0]->shape.rank;
    enum err_kind rc = ISA_FN(check_dim)(c->args.dim, rank + 1, e);
    if (rc)
        return rc;
    if (rank == RANK_MAX)
        return err_set(e, ERR_INVALID, "", "a tensor has at most %d dimensions, got %d", RANK_MAX,
                       rank + 1);
    share(c->in[0], out);
    insert_dim(out, c->args.dim);
    return ERR_OK;
}

void ISA_FN(unsqueeze_forward)(const struct op_call *c)
{
    (void)c;
}

void ISA_FN(unsqueeze_backward)(const struct op_call *c)
{
    share(c->grad_out, c->grad_in[0]);
    tensor_select(c->grad_in[0], c->args.dim, 0);
}

/* ---- expand -------------------------------------------------------------------------------- */

static enum err_kind expand_fails(const struct op_call *c, int d, struct err *e)
{
    const struct shape *from = &c->in[0]->shape, *to = &c->args.shape;
    char target[SHAPE_TEXT_BYTES], existing[SHAPE_TEXT_BYTES];
    if (to->dim[d] == -1)
        return err_set(e, ERR_INVALID, "",
                       "The expanded size of the tensor (-1) isn't allowed in a leading, "
                       "non-existing dimension %d",
                       d);
    return err_set(e, ERR_INVALID, "",
                   "The expanded size of the tensor (%lld) must match the existing size (%lld) at "
                   "non-singleton dimension %d.  Target sizes: %s.  Tensor sizes: %s",
                   (long long)to->dim[d], (long long)from->dim[d - (to->rank - from->rank)], d,
                   shape_text(to, target, sizeof target),
                   shape_text(from, existing, sizeof existing));
}

enum err_kind ISA_FN(expand_infer)(const struct op_call *c, struct tensor *out, struct err *e)
{
    const struct tensor *x = c->in[0];
    const struct shape *to = &c->args.shape;
    int64_t dim[RANK_MAX];
    int pad = to->rank - x->shape.rank;
    if (pad < 0) {
        char text[SHAPE_TEXT_BYTES], wanted[SHAPE_TEXT_BYTES];
        return err_set(e, ERR_INVALID, "",
                       "expand(torch.%sTensor{%s}, size=%s): the number of sizes provided (%d) "
                       "must be greater or equal to the number of dimensions in the tensor (%d)",
                       dtype_type_name(x->dtype), shape_text(&x->shape, text, sizeof text),
                       shape_text(to, wanted, sizeof wanted), to->rank, x->shape.rank);
    }
    for (int d = 0; d < to->rank; d++) {
        int64_t have = d < pad ? 1 : x->shape.dim[d - pad];
        dim[d] = to->dim[d] == -1 && d >= pad ? have : to->dim[d];
        if (dim[d] < 0 || (have != 1 && dim[d] != have))
            return expand_fails(c, d, e);
        bool keeps = d >= pad && dim[d] == have;
        out->stride[d] = keeps ? x->stride[d - pad] : 0;
    }
    out->offset = x->offset;
    return shape_make(dim, to->rank, &out->shape, e);
}

void ISA_FN(expand_forward)(const struct op_call *c)
{
    (void)c;
}

void ISA_FN(expand_backward)(const struct op_call *c)
{
    ISA_FN(sum_to)(c->grad_in[0], c->grad_out, NULL, 1);
}

/* ---- slice, select ------------------------------------------------------------------------- */

/* x, narrowed to what slice sees of it: from start to end, as far as there is something. */
static void narrow(struct tensor *x, const struct op_args *a)
{
    int64_t n = x->shape.dim[a->dim];
    int64_t start = a->start < 0 ? 0 : a->start < n ? a->start : n;
    int64_t end = a->end < start ? start : a->end < n ? a->end : n;
    int64_t stride = x->stride[a->dim];
    tensor_narrow(x, a->dim, start, end > start ? (end - start - 1) / a->step + 1 : 0);
    if (!__builtin_mul_overflow(stride, a->step, &stride)) /* else there is no second element */
        x->stride[a->dim] = stride;
}

enum err_kind ISA_FN(slice_infer)(const struct op_call *c, struct tensor *out, struct err *e)
{
    if (c->in[0]->shape.rank == 0)
        return err_set(e, ERR_INVALID, "", "slice() cannot be applied to a 0-dim tensor.");
    if (c->args.step <= 0)
        return err_set(e, ERR_INVALID, "", "slice step must be positive");
    enum err_kind rc = ISA_FN(check_dim)(c->args.dim, c->in[0]->shape.rank, e);
    if (rc)
        return rc;
    share(c->in[0], out);
    narrow(out, &c->args);
    return ERR_OK;
}

void ISA_FN(slice_forward)(const struct op_call *c)
{
    (void)c;
}

/* Zeros, but for the part, which gets what came in. dx is dense, in whatever order. */
static void fill_in(struct tensor *dx, struct tensor *part, const struct tensor *g)
{
    memset(tensor_data(dx), 0, (size_t)tensor_count(dx) * dtype_bytes(dx->dtype));
    tensor_copy(part, g);
}

void ISA_FN(slice_backward)(const struct op_call *c)
{
    struct tensor part = *c->grad_in[0];
    narrow(&part, &c->args);
    fill_in(c->grad_in[0], &part, c->grad_out);
}

/* x at one index of a dimension, which goes. */
static void pick(struct tensor *x, const struct op_args *a)
{
    int64_t at = a->start < 0 ? a->start + x->shape.dim[a->dim] : a->start;
    tensor_select(x, a->dim, at);
}

enum err_kind ISA_FN(select_infer)(const struct op_call *c, struct tensor *out, struct err *e)
{
    const struct shape *s = &c->in[0]->shape;
    if (s->rank == 0)
        return err_set(e, ERR_INVALID, "", "select() cannot be applied to a 0-dim tensor.");
    enum err_kind rc = ISA_FN(check_dim)(c->args.dim, s->rank, e);
    if (rc)
        return rc;
    int64_t n = s->dim[c->args.dim], at = c->args.start;
    if (at < -n || at >= n) {
        char text[SHAPE_TEXT_BYTES];
        return err_set(e, ERR_INVALID, "",
                       "select(): index %lld out of range for tensor of size %s at dimension %d",
                       (long long)at, shape_text(s, text, sizeof text), c->args.dim);
    }
    share(c->in[0], out);
    pick(out, &c->args);
    return ERR_OK;
}

void ISA_FN(select_forward)(const struct op_call *c)
{
    (void)c;
}

void ISA_FN(select_backward)(const struct op_call *c)
{
    struct tensor part = *c->grad_in[0];
    pick(&part, &c->args);
    fill_in(c->grad_in[0], &part, c->grad_out);
}
