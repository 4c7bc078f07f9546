/* engine/call_linear.c - products that are made of several operations, as PyTorch makes them.
 *
 * Source: PyTorch 1.13, ATen/native/LinearAlgebra.cpp (matmul), Linear.cpp, Convolution.cpp.
 */
#include <string.h>

#include "engine/call_parts.h"

enum err_kind apply_one(struct interp *in, enum op_id id, const struct op_args *args,
                        struct tensor *x, struct tensor **out, struct err *e)
{
    return op_apply_many(in->tape, id, args, &x, 1, out, NULL, e);
}

enum err_kind apply_two(struct interp *in, enum op_id id, const struct op_args *args,
                        struct tensor *x, struct tensor *y, struct tensor **out, struct err *e)
{
    struct tensor *both[] = {x, y};
    return op_apply_many(in->tape, id, args, both, 2, out, NULL, e);
}

enum err_kind apply_dim(struct interp *in, enum op_id id, int dim, struct tensor *x,
                        struct tensor **out, struct err *e)
{
    struct op_args args = op_args_default;
    args.dim = dim;
    return apply_one(in, id, &args, x, out, e);
}

enum err_kind apply_shape(struct interp *in, enum op_id id, const struct shape *shape,
                          struct tensor *x, struct tensor **out, struct err *e)
{
    struct op_args args = op_args_default;
    args.shape = *shape;
    return apply_one(in, id, &args, x, out, e);
}

static enum err_kind swap_last(struct interp *in, struct tensor *x, struct tensor **out,
                               struct err *e)
{
    struct op_args args = op_args_default;
    if (x->shape.rank == 2)
        return apply_one(in, OP_T, NULL, x, out, e);
    args.dim = x->shape.rank - 2;
    args.dim2 = x->shape.rank - 1;
    return apply_one(in, OP_TRANSPOSE, &args, x, out, e);
}

/* ---- matmul -------------------------------------------------------------------------------- */

/* (k) (k, m): the vector becomes a matrix of one row for the while. */
static enum err_kind vector_matrix(struct interp *in, struct tensor *a, struct tensor *b,
                                   struct tensor **out, struct err *e)
{
    enum err_kind rc = apply_dim(in, OP_UNSQUEEZE, 0, a, &a, e);
    if (!rc)
        rc = apply_two(in, OP_MM, NULL, a, b, out, e);
    return rc ? rc : apply_dim(in, OP_SQUEEZE_DIM_, 0, *out, out, e);
}

/* (…, n, k) by (k, m) or (k): the rows of all matrices are those of one. */
static enum err_kind folded(struct interp *in, struct tensor *a, struct tensor *b,
                            struct tensor **out, struct err *e)
{
    struct shape result = a->shape, rows = {.rank = 2};
    int last = a->shape.rank - 1;
    rows.dim[0] = 1;
    for (int d = 0; d < last; d++)
        rows.dim[0] *= a->shape.dim[d];
    rows.dim[1] = a->shape.dim[last];
    if (b->shape.rank == 2)
        result.dim[last] = b->shape.dim[1];
    else
        result.rank--;
    enum err_kind rc = apply_reshape(in, a, &rows, &a, e);
    if (!rc)
        rc = apply_two(in, b->shape.rank == 2 ? OP_MM : OP_MV, NULL, a, b, out, e);
    return rc ? rc : apply_shape(in, OP_UNSAFE_VIEW, &result, *out, out, e);
}

/* x expanded to the batch dimensions, and seen as (batches, rows, columns). */
static enum err_kind as_batches(struct interp *in, struct tensor *x, const struct shape *batch,
                                struct tensor **out, struct err *e)
{
    struct shape wide = *batch, flat = {.rank = 3, .dim = {1}};
    for (int d = 0; d < 2; d++) {
        wide.dim[wide.rank++] = x->shape.dim[x->shape.rank - 2 + d];
        flat.dim[1 + d] = x->shape.dim[x->shape.rank - 2 + d];
    }
    for (int d = 0; d < batch->rank; d++)
        flat.dim[0] *= batch->dim[d];
    enum err_kind rc = apply_shape(in, OP_EXPAND, &wide, x, out, e);
    return rc ? rc : apply_reshape(in, *out, &flat, out, e);
}

static struct shape batch_shape(const struct tensor *x)
{
    struct shape s = x->shape;
    s.rank = s.rank > 2 ? s.rank - 2 : 0;
    return s;
}

/* Both have batches. A vector counts as a matrix of one row (a) or column (b), which the result
 * does not show. */
static enum err_kind batched(struct interp *in, struct tensor *a, struct tensor *b,
                             struct tensor **out, struct err *e)
{
    bool row = a->shape.rank == 1, column = b->shape.rank == 1;
    struct shape batch, sa, sb;
    enum err_kind rc = row ? apply_dim(in, OP_UNSQUEEZE, 0, a, &a, e) : ERR_OK;
    if (!rc && column)
        rc = apply_dim(in, OP_UNSQUEEZE, 1, b, &b, e);
    if (rc)
        return rc;
    sa = batch_shape(a);
    sb = batch_shape(b);
    struct shape result;
    rc = shape_broadcast(&sa, &sb, &batch, e);
    if (rc)
        return rc;
    result = batch;
    if (!row)
        result.dim[result.rank++] = a->shape.dim[a->shape.rank - 2];
    if (!column)
        result.dim[result.rank++] = b->shape.dim[b->shape.rank - 1];
    rc = as_batches(in, a, &batch, &a, e);
    if (!rc)
        rc = as_batches(in, b, &batch, &b, e);
    if (!rc)
        rc = apply_two(in, OP_BMM, NULL, a, b, out, e);
    return rc ? rc : apply_shape(in, OP_UNSAFE_VIEW, &result, *out, out, e);
}

/* a is a vector or a matrix, b has batches: the product of the transposes, transposed. */
static enum err_kind folded_transposed(struct interp *in, struct tensor *a, struct tensor *b,
                                       struct tensor **out, struct err *e)
{
    bool vector = a->shape.rank == 1;
    enum err_kind rc = swap_last(in, b, &b, e);
    if (!rc && !vector)
        rc = apply_one(in, OP_T, NULL, a, &a, e);
    if (!rc)
        rc = folded(in, b, a, out, e);
    if (!rc && !vector)
        rc = swap_last(in, *out, out, e);
    if (rc || vector || tensor_is_contiguous(*out))
        return rc;
    return apply_one(in, OP_CLONE, NULL, *out, out, e);
}

enum err_kind apply_matmul(struct interp *in, struct tensor *a, struct tensor *b,
                           struct tensor **out, struct err *e)
{
    int ra = a->shape.rank, rb = b->shape.rank;
    if (ra == 0 || rb == 0)
        return err_set(e, ERR_INVALID, "",
                       "both arguments to matmul need to be at least 1D, but they are %dD and %dD",
                       ra, rb);
    if (ra == 1 && rb == 1)
        return apply_two(in, OP_DOT, NULL, a, b, out, e);
    if (ra == 2 && rb == 1)
        return apply_two(in, OP_MV, NULL, a, b, out, e);
    if (ra == 1 && rb == 2)
        return vector_matrix(in, a, b, out, e);
    if (ra == 2 && rb == 2)
        return apply_two(in, OP_MM, NULL, a, b, out, e);
    if (ra >= 3 && rb <= 2)
        return folded(in, a, b, out, e);
    if (ra <= 2 && rb >= 3)
        return folded_transposed(in, a, b, out, e);
    return batched(in, a, b, out, e);
}

enum err_kind call_matmul(struct args *a, struct value *out, struct err *e)
{
    struct tensor *y = NULL;
    enum err_kind rc = apply_matmul(a->in, a->value[0].tensor, a->value[1].tensor, &y, e);
    return rc ? rc : give(y, out);
}

/* x as a column, times y. */
enum err_kind call_outer(struct args *a, struct value *out, struct err *e)
{
    struct tensor *x = a->value[0].tensor, *y = a->value[1].tensor;
    struct tensor *of[] = {x, y};
    for (int i = 0; i < 2; i++)
        if (of[i]->shape.rank != 1)
            return err_set(e, ERR_INVALID, "", "outer: Expected 1-D argument %s, but got %d-D",
                           i ? "vec2" : "self", of[i]->shape.rank);
    struct shape column = {.rank = 2, .dim = {x->shape.dim[0], 1}};
    enum err_kind rc = apply_reshape(a->in, x, &column, &x, e);
    if (!rc)
        rc = apply_two(a->in, OP_MUL, NULL, x, y, &x, e);
    return rc ? rc : give(x, out);
}

/* ---- linear -------------------------------------------------------------------------------- */

static enum err_kind addmm(struct interp *in, struct tensor *bias, struct tensor *x,
                           struct tensor *w, struct tensor **out, struct err *e)
{
    struct tensor *operand[] = {bias, x, w};
    return op_apply_many(in->tape, OP_ADDMM, NULL, operand, 3, out, NULL, e);
}

/* A row-major batch of matrices with a bias is one product over all rows. */
static enum err_kind linear_rows(struct interp *in, struct tensor *x, struct tensor *w,
                                 struct tensor *bias, struct tensor **out, struct err *e)
{
    struct shape rows = {.rank = 2, .dim = {x->shape.dim[0] * x->shape.dim[1], x->shape.dim[2]}};
    struct shape result = x->shape;
    enum err_kind rc = apply_shape(in, OP_VIEW, &rows, x, &x, e);
    if (!rc)
        rc = addmm(in, bias, x, w, out, e);
    if (rc)
        return rc;
    result.dim[2] = (*out)->shape.dim[1];
    return apply_shape(in, OP_VIEW, &result, *out, out, e);
}

enum err_kind call_linear(struct args *a, struct value *out, struct err *e)
{
    struct interp *in = a->in;
    struct tensor *x = a->value[0].tensor, *w = a->value[1].tensor, *y = NULL;
    struct tensor *bias = tensor_argument(a, 2);
    bool matrix = w->shape.rank == 2;
    enum err_kind rc = ERR_OK;
    if (w->shape.rank > 2)
        return err_set(e, ERR_INVALID, "", "linear(): weight must be at most 2D, got %dD",
                       w->shape.rank);
    if (matrix)
        rc = apply_one(in, OP_T, NULL, w, &w, e);
    if (rc)
        return rc;
    if (bias && matrix && x->shape.rank == 2)
        rc = addmm(in, bias, x, w, &y, e);
    else if (bias && matrix && x->shape.rank == 3 && tensor_is_contiguous(x))
        rc = linear_rows(in, x, w, bias, &y, e);
    else {
        rc = apply_matmul(in, x, w, &y, e);
        if (!rc && bias)
            rc = apply_two(in, OP_ADD, NULL, y, bias, &y, e);
    }
    return rc ? rc : give(y, out);
}

/* ---- conv2d -------------------------------------------------------------------------------- */

/* One number for both dimensions, or one each. */
static enum err_kind pair_of(const struct value *x, const char *what, int64_t least,
                             int64_t pair[2], struct err *e)
{
    if (x->count != 1 && x->count != 2)
        return err_set(e, ERR_INVALID, "",
                       "expected %s to be a single integer value or a list of 2 values to match "
                       "the convolution dimensions, but got %zu values",
                       what, x->count);
    for (int i = 0; i < 2; i++) {
        pair[i] = x->item[x->count == 2 ? i : 0].integer;
        if (pair[i] < least || pair[i] > INT32_MAX)
            return err_set(e, ERR_INVALID, "", "%s %s is not supported",
                           least ? "non-positive" : "negative", what);
    }
    return ERR_OK;
}

/* padding='same': what keeps the size with stride 1. more[i] is what the end of dimension i gets
 * more than its start, 0 or 1. */
static enum err_kind padding_by_name(const char *name, const struct tensor *w, struct op_args *o,
                                     int64_t more[2], struct err *e)
{
    if (!strcmp(name, "valid"))
        return ERR_OK; /* none */
    if (strcmp(name, "same") != 0)
        return err_set(e, ERR_INVALID, "", "Invalid padding string: '%.60s'", name);
    for (int i = 0; i < 2; i++) {
        int64_t total;
        if (o->conv.stride[i] != 1)
            return err_set(e, ERR_INVALID, "",
                           "padding='same' is not supported for strided convolutions");
        if (__builtin_mul_overflow(o->conv.dilation[i], w->shape.dim[2 + i] - 1, &total))
            return err_set(e, ERR_INVALID, "", "Padding length too large");
        total = total > 0 ? total : 0; /* a kernel of size 0 is refused later */
        more[i] = total % 2;
        o->conv.padding[i] = total / 2;
    }
    return ERR_OK;
}

static enum err_kind conv_args(struct args *a, struct op_args *o, int64_t more[2], struct err *e)
{
    const struct value *padding = argument(a, "padding");
    *o = op_args_default;
    o->conv.groups = argument(a, "groups")->integer;
    enum err_kind rc = pair_of(argument(a, "stride"), "stride", 1, o->conv.stride, e);
    if (!rc)
        rc = pair_of(argument(a, "dilation"), "dilation", 1, o->conv.dilation, e);
    if (!rc && padding->kind == VALUE_STRING)
        return padding_by_name(padding->text, a->value[1].tensor, o, more, e);
    struct value one = *padding, list = one;
    if (padding->kind == VALUE_INT)
        list = (struct value){.kind = VALUE_TUPLE, .count = 1, .item = &one};
    else if (!value_is_list_of(padding, VALUE_INT))
        return err_set(e, ERR_INVALID, "",
                       "conv2d(): argument 'padding' (position 5) must be tuple of ints, not %s",
                       value_type_name(padding));
    return rc ? rc : pair_of(&list, "padding", 0, o->conv.padding, e);
}

/* (N, C, H, W) with more[0] rows and more[1] columns of zeros at the end. */
static enum err_kind pad_ends(struct interp *in, const int64_t more[2], struct tensor **x,
                              struct err *e)
{
    const int64_t before[4] = {0}, behind[4] = {0, 0, more[0], more[1]};
    return more[0] || more[1] ? apply_pad(in, *x, before, behind, 0, x, e) : ERR_OK;
}

enum err_kind call_conv2d(struct args *a, struct value *out, struct err *e)
{
    struct interp *in = a->in;
    struct tensor *operand[] = {a->value[0].tensor, a->value[1].tensor, tensor_argument(a, 2)};
    struct tensor *y = NULL;
    struct op_args o;
    bool one = operand[0]->shape.rank == 3; /* an image without a batch */
    char text[SHAPE_TEXT_BYTES];
    if (!one && operand[0]->shape.rank != 4)
        return err_set(e, ERR_INVALID, "",
                       "Expected 3D (unbatched) or 4D (batched) input to conv2d, but got input of "
                       "size: %s",
                       shape_text(&operand[0]->shape, text, sizeof text));
    if (operand[1]->shape.rank != 4)
        return err_set(e, ERR_INVALID, "", "expected 4-dimensional weight for conv2d, got %dD",
                       operand[1]->shape.rank);
    int64_t more[2] = {0, 0};
    enum err_kind rc = conv_args(a, &o, more, e);
    if (!rc && one)
        rc = apply_dim(in, OP_UNSQUEEZE, 0, operand[0], &operand[0], e);
    if (!rc)
        rc = pad_ends(in, more, &operand[0], e);
    if (!rc)
        rc = op_apply_many(in->tape, OP_CONVOLUTION, &o, operand, operand[2] ? 3 : 2, &y, NULL, e);
    if (!rc && one)
        rc = apply_dim(in, OP_SQUEEZE_DIM, 0, y, &y, e);
    return rc ? rc : give(y, out);
}
