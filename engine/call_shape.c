/* engine/call_shape.c - other shapes of a tensor, and tensors put together. */
#include <math.h>
#include <string.h>

#include "engine/call_parts.h"

/* ---- view and reshape ---------------------------------------------------------------------- */

/* One extent may be -1: what is left. */
static enum err_kind infer_shape(const struct value *ints, int64_t count, struct shape *out,
                                 struct err *e)
{
    int64_t dim[RANK_MAX] = {0}, known = 1;
    int open = -1;
    char text[SHAPE_TEXT_BYTES];
    for (size_t d = 0; d < ints->count && d < RANK_MAX; d++) {
        dim[d] = ints->item[d].integer;
        if (dim[d] == -1 && open >= 0)
            return err_set(e, ERR_INVALID, "", "only one dimension can be inferred");
        if (dim[d] < -1)
            return err_set(e, ERR_INVALID, "", "invalid shape dimension %lld", (long long)dim[d]);
        if (dim[d] == -1)
            open = (int)d;
        else if (__builtin_mul_overflow(known, dim[d], &known))
            return err_set(e, ERR_INVALID, "", "the tensor has too many elements");
    }
    int rank = ints->count > RANK_MAX ? RANK_MAX + 1 : (int)ints->count;
    struct shape asked = {.rank = rank > RANK_MAX ? RANK_MAX : rank};
    memcpy(asked.dim, dim, (size_t)asked.rank * sizeof *dim);
    bool fits = open < 0 ? known == count : known != 0 && count % known == 0;
    if (open >= 0 && known == 0 && count == 0)
        return err_set(e, ERR_INVALID, "",
                       "cannot reshape tensor of 0 elements into shape %s because the unspecified "
                       "dimension size -1 can be any value and is ambiguous",
                       shape_text(&asked, text, sizeof text));
    if (open >= 0 && fits)
        dim[open] = count / known;
    if (rank <= RANK_MAX && !fits)
        return err_set(e, ERR_INVALID, "", "shape '%s' is invalid for input of size %lld",
                       shape_text(&asked, text, sizeof text), (long long)count);
    return shape_make(dim, rank, out, e);
}

enum err_kind apply_reshape(struct interp *in, struct tensor *x, const struct shape *shape,
                            struct tensor **out, struct err *e)
{
    int64_t stride[RANK_MAX];
    if (tensor_view_strides(x, shape, stride))
        return apply_shape(in, OP_RESHAPE_ALIAS, shape, x, out, e);
    enum err_kind rc = apply_one(in, OP_CLONE, NULL, x, out, e);
    return rc ? rc : apply_shape(in, OP_UNSAFE_VIEW, shape, *out, out, e);
}

/* The shape that is asked for: by a list of integers, or that of another tensor. */
static enum err_kind shape_argument(const struct args *a, struct shape *out, struct err *e)
{
    if (a->value[1].kind != VALUE_TENSOR)
        return infer_shape(&a->value[1], tensor_count(a->value[0].tensor), out, e);
    *out = a->value[1].tensor->shape;
    return ERR_OK;
}

/* x.view(2, -1), x.view_as(y) */
enum err_kind call_view(struct args *a, struct value *out, struct err *e)
{
    struct tensor *y = NULL;
    struct shape shape;
    enum err_kind rc = shape_argument(a, &shape, e);
    if (!rc)
        rc = apply_shape(a->in, OP_VIEW, &shape, a->value[0].tensor, &y, e);
    return rc ? rc : give(y, out);
}

enum err_kind call_reshape(struct args *a, struct value *out, struct err *e)
{
    struct tensor *y = NULL;
    struct shape shape;
    enum err_kind rc = shape_argument(a, &shape, e);
    if (!rc)
        rc = apply_reshape(a->in, a->value[0].tensor, &shape, &y, e);
    return rc ? rc : give(y, out);
}

enum err_kind call_flatten(struct args *a, struct value *out, struct err *e)
{
    struct tensor *x = a->value[0].tensor, *y = x;
    struct shape shape = {.rank = 0};
    int start, end;
    enum err_kind rc = dim_wrap(a->value[1].integer, x->shape.rank, &start, e);
    if (!rc)
        rc = dim_wrap(a->value[2].integer, x->shape.rank, &end, e);
    if (!rc && start > end)
        rc = err_set(e, ERR_INVALID, "",
                     "flatten() has invalid args: start_dim cannot come after end_dim");
    if (rc)
        return rc;
    for (int d = 0; d < x->shape.rank; d++) {
        if (d > start && d <= end)
            shape.dim[shape.rank - 1] *= x->shape.dim[d];
        else
            shape.dim[shape.rank++] = x->shape.dim[d];
    }
    if (x->shape.rank == 0)
        shape = (struct shape){.rank = 1, .dim = {1}};
    if (!shape_equal(&shape, &x->shape))
        rc = apply_reshape(a->in, x, &shape, &y, e);
    return rc ? rc : give(y, out);
}

/* ---- dimensions ---------------------------------------------------------------------------- */

enum err_kind call_permute(struct args *a, struct value *out, struct err *e)
{
    struct tensor *x = a->value[0].tensor, *y = NULL;
    const struct value *dims = &a->value[1];
    struct op_args args = op_args_default;
    unsigned seen = 0;
    if (dims->count != (size_t)x->shape.rank)
        return err_set(
            e, ERR_INVALID, "",
            "permute(sparse_coo): number of dimensions in the tensor input does not match "
            "the length of the desired ordering of dimensions i.e. input.dim() = %d is "
            "not equal to len(dims) = %zu",
            x->shape.rank, dims->count);
    args.shape.rank = x->shape.rank;
    for (size_t i = 0; i < dims->count; i++) {
        int dim;
        enum err_kind rc = dim_wrap(dims->item[i].integer, x->shape.rank, &dim, e);
        if (rc)
            return rc;
        if (seen >> dim & 1)
            return err_set(e, ERR_INVALID, "", "permute(): duplicate dims are not allowed.");
        seen |= 1u << dim;
        args.shape.dim[i] = dim;
    }
    enum err_kind rc = apply_one(a->in, OP_PERMUTE, &args, x, &y, e);
    return rc ? rc : give(y, out);
}

/* x.T reverses all dimensions, x.mT swaps the last two. */
enum err_kind call_property_t(struct args *a, struct value *out, struct err *e)
{
    struct tensor *x = a->value[0].tensor, *y = NULL;
    struct op_args args = op_args_default;
    int bytes, rank = x->shape.rank;
    enum err_kind rc = ERR_OK;
    if (builtin_short_name(a->row, &bytes)[0] == 'T') {
        args.shape.rank = rank;
        for (int d = 0; d < rank; d++)
            args.shape.dim[d] = rank - 1 - d;
        if (rank != 2)
            rc = interp_warn(a->in, "UserWarning", e,
                             "The use of `x.T` on tensors of dimension other than 2 to reverse "
                             "their shape is deprecated and it will throw an error in a future "
                             "release. Consider `x.mT` to transpose batches of matrices or "
                             "`x.permute(*torch.arange(x.ndim - 1, -1, -1))` to reverse the "
                             "dimensions of a tensor.");
        if (!rc)
            rc = apply_one(a->in, OP_PERMUTE, &args, x, &y, e);
        return rc ? rc : give(y, out);
    }
    if (rank == 0)
        return give(x, out);
    if (rank == 1)
        return err_set(e, ERR_INVALID, "",
                       "tensor.mT is only supported on matrices or batches of matrices. Got %d-D "
                       "tensor.",
                       rank);
    args.dim = rank - 2;
    args.dim2 = rank - 1;
    rc = apply_one(a->in, OP_TRANSPOSE, &args, x, &y, e);
    return rc ? rc : give(y, out);
}

/* x.squeeze(), x.squeeze(0) */
enum err_kind call_squeeze(struct args *a, struct value *out, struct err *e)
{
    struct tensor *x = a->value[0].tensor, *y = NULL;
    struct op_args args = op_args_default;
    bool one = a->value[1].kind != VALUE_NONE;
    enum err_kind rc = one ? dim_wrap(a->value[1].integer, x->shape.rank, &args.dim, e) : ERR_OK;
    if (!rc)
        rc = apply_one(a->in, one ? OP_SQUEEZE_DIM : OP_SQUEEZE, &args, x, &y, e);
    return rc ? rc : give(y, out);
}

static enum err_kind expand_to(struct args *a, const struct value *ints, struct value *out,
                               struct err *e)
{
    struct tensor *x = a->value[0].tensor, *y = NULL;
    struct op_args args = op_args_default;
    char tx[SHAPE_TEXT_BYTES], ts[SHAPE_TEXT_BYTES];
    int rank = (int)ints->count;
    if (ints->count > RANK_MAX)
        return err_set(e, ERR_INVALID, "", "a tensor has at most %d dimensions", RANK_MAX);
    args.shape.rank = rank;
    for (int d = 0; d < rank; d++)
        args.shape.dim[d] = ints->item[d].integer;
    if (rank < x->shape.rank)
        return err_set(
            e, ERR_INVALID, "",
            "expand(torch.%sTensor{%s}, size=%s): the number of sizes provided (%d) must "
            "be greater or equal to the number of dimensions in the tensor (%d)",
            dtype_type_name(x->dtype), shape_text(&x->shape, tx, sizeof tx),
            shape_text(&args.shape, ts, sizeof ts), rank, x->shape.rank);
    enum err_kind rc = apply_one(a->in, OP_EXPAND, &args, x, &y, e);
    return rc ? rc : give(y, out);
}

enum err_kind call_expand(struct args *a, struct value *out, struct err *e)
{
    return expand_to(a, &a->value[1], out, e);
}

enum err_kind call_expand_as(struct args *a, struct value *out, struct err *e)
{
    struct value size;
    enum err_kind rc = size_value(a->in, &a->value[1].tensor->shape, &size, e);
    return rc ? rc : expand_to(a, &size, out, e);
}

/* A view that a program makes by hand, within what the storage holds. */
enum err_kind call_as_strided(struct args *a, struct value *out, struct err *e)
{
    struct tensor *x = a->value[0].tensor, *y = NULL;
    const struct value *size = &a->value[1], *stride = &a->value[2], *offset = &a->value[3];
    struct op_args args = op_args_default;
    args.start = offset->kind == VALUE_NONE ? x->offset : offset->integer;
    enum err_kind rc = shape_of_ints(size, &args.shape, e);
    if (!rc && stride->count != size->count)
        rc = err_set(e, ERR_INVALID, "", "mismatch in length of strides and shape");
    for (int d = 0; !rc && d < args.shape.rank; d++) {
        args.stride[d] = stride->item[d].integer;
        if (args.stride[d] < 0)
            rc = err_set(e, ERR_INVALID, "",
                         "as_strided: Negative strides are not supported at the moment");
    }
    if (!rc)
        rc = apply_one(a->in, OP_AS_STRIDED, &args, x, &y, e);
    return rc ? rc : give(y, out);
}

/* ---- parts --------------------------------------------------------------------------------- */

enum err_kind call_narrow(struct args *a, struct value *out, struct err *e)
{
    struct tensor *x = a->value[0].tensor, *y = NULL;
    struct op_args args = op_args_default;
    int64_t start = a->value[2].integer, length = a->value[3].integer;
    enum err_kind rc = dim_wrap(a->value[1].integer, x->shape.rank, &args.dim, e);
    if (!rc && x->shape.rank == 0)
        rc = err_set(e, ERR_INVALID, "", "narrow() cannot be applied to a 0-dim tensor.");
    if (rc)
        return rc;
    int64_t n = x->shape.dim[args.dim];
    if (length < 0)
        return err_set(e, ERR_INVALID, "", "narrow(): length must be non-negative.");
    if (start < -n || start > n)
        return err_set(e, ERR_INVALID, "",
                       "start out of range (expected to be in range of [%lld, %lld], but got %lld)",
                       (long long)-n, (long long)n, (long long)start);
    start += start < 0 ? n : 0;
    if (length > n - start)
        return err_set(e, ERR_INVALID, "",
                       "start (%lld) + length (%lld) exceeds dimension size (%lld).",
                       (long long)start, (long long)length, (long long)n);
    args.start = start;
    args.end = start + length;
    args.step = 1;
    rc = apply_one(a->in, OP_SLICE, &args, x, &y, e);
    return rc ? rc : give(y, out);
}

enum err_kind call_select(struct args *a, struct value *out, struct err *e)
{
    struct tensor *x = a->value[0].tensor, *y = NULL;
    struct op_args args = op_args_default;
    int64_t i = a->value[2].integer;
    char text[SHAPE_TEXT_BYTES];
    if (x->shape.rank == 0)
        return err_set(e, ERR_INVALID, "", "select() cannot be applied to a 0-dim tensor.");
    enum err_kind rc = dim_wrap(a->value[1].integer, x->shape.rank, &args.dim, e);
    if (rc)
        return rc;
    int64_t n = x->shape.dim[args.dim];
    if (i < -n || i >= n)
        return err_set(e, ERR_INVALID, "",
                       "select(): index %lld out of range for tensor of size %s at dimension %d",
                       (long long)i, shape_text(&x->shape, text, sizeof text), args.dim);
    args.start = i < 0 ? i + n : i;
    rc = apply_one(a->in, OP_SELECT, &args, x, &y, e);
    return rc ? rc : give(y, out);
}

/* ---- together ------------------------------------------------------------------------------ */

/* torch.cat, torch.stack: the row's operation over a list. */
enum err_kind call_list_of_tensors(struct args *a, struct value *out, struct err *e)
{
    const struct value *list = &a->value[0];
    struct tensor **x, *y = NULL;
    struct op_args args;
    if (list->count == 0)
        return err_set(e, ERR_INVALID, "",
                       a->row->op == OP_CAT ? "torch.cat(): expected a non-empty list of Tensors"
                                            : "stack expects a non-empty TensorList");
    enum err_kind rc = interp_alloc(a->in, list->count, sizeof *x, &x, e);
    const struct tensor *widest = list->item[0].tensor;
    for (size_t i = 0; !rc && i < list->count; i++) {
        x[i] = list->item[i].tensor;
        widest = x[i]->shape.rank > widest->shape.rank ? x[i] : widest;
    }
    if (!rc)
        rc = arguments_to_op(a, widest, &args, e);
    if (!rc)
        rc = op_apply_many(a->in->tape, (enum op_id)a->row->op, &args, x, (int)list->count, &y,
                           NULL, e);
    return rc ? rc : give(y, out);
}

enum err_kind call_contiguous(struct args *a, struct value *out, struct err *e)
{
    struct tensor *x = a->value[0].tensor, *y = x;
    enum err_kind rc = ERR_OK;
    if (!tensor_is_contiguous(x))
        rc = apply_one(a->in, OP_CLONE, NULL, x, &y, e);
    return rc ? rc : give(y, out);
}

/* The places of the elements that are not zero: a tensor of indices a dimension. */
enum err_kind apply_nonzero(struct interp *in, struct tensor *x, struct tensor *place[RANK_MAX],
                            struct err *e)
{
    struct tensor *places;
    struct op_args args = op_args_default;
    enum err_kind rc = apply_one(in, OP_NONZERO, NULL, x, &places, e);
    args.dim = 1;
    for (int d = 0; !rc && d < x->shape.rank; d++) {
        args.start = d;
        rc = apply_one(in, OP_SELECT, &args, places, &place[d], e);
    }
    return rc;
}

/* The same as a tuple. */
static enum err_kind nonzero_columns(struct args *a, struct tensor *x, struct value *out,
                                     struct err *e)
{
    struct value column[RANK_MAX];
    struct tensor *places[RANK_MAX];
    enum err_kind rc = ERR_OK;
    if (x->shape.rank == 0) /* a scalar is a row of one */
        rc = apply_dim(a->in, OP_UNSQUEEZE, 0, x, &x, e);
    if (!rc)
        rc = apply_nonzero(a->in, x, places, e);
    for (int d = 0; !rc && d < x->shape.rank; d++)
        column[d] = VALUE(TENSOR, .tensor = places[d]);
    return rc ? rc : value_list(a->in, VALUE_TUPLE, column, (size_t)x->shape.rank, out, e);
}

/* torch.where(condition, x, y); torch.where(condition) */
enum err_kind call_where(struct args *a, struct value *out, struct err *e)
{
    struct tensor *x[] = {a->value[0].tensor, tensor_argument(a, 1), tensor_argument(a, 2)};
    struct tensor *y = NULL;
    if (!x[1] && !x[2])
        return nonzero_columns(a, x[0], out, e);
    if (!x[1] || !x[2])
        return err_set(e, ERR_INVALID, "", "where() takes one argument or three");
    if (x[0]->dtype != DTYPE_BOOL)
        return err_set(e, ERR_INVALID, "",
                       "where expected condition to be a boolean tensor, but got a tensor with "
                       "dtype %s",
                       dtype_type_name(x[0]->dtype));
    enum err_kind rc = op_apply_many(a->in->tape, OP_WHERE, NULL, x, 3, &y, NULL, e);
    return rc ? rc : give(y, out);
}

/* x.where(condition, other) */
enum err_kind call_where_method(struct args *a, struct value *out, struct err *e)
{
    struct value self = a->value[0];
    a->value[0] = a->value[1];
    a->value[1] = self;
    return call_where(a, out, e);
}

enum err_kind call_nonzero_tuple(struct args *a, struct value *out, struct err *e)
{
    struct tensor *x = a->value[0].tensor, *y = NULL;
    if (a->value[1].boolean)
        return nonzero_columns(a, x, out, e);
    enum err_kind rc = apply_one(a->in, OP_NONZERO, NULL, x, &y, e);
    return rc ? rc : give(y, out);
}

/* clamp by numbers is one operation, by tensors one for each way that they are given. */
enum err_kind call_clamp(struct args *a, struct value *out, struct err *e)
{
    struct tensor *x[] = {a->value[0].tensor, tensor_argument(a, 1), tensor_argument(a, 2)};
    struct tensor *y = x[0];
    struct op_args args;
    enum op_id id = (enum op_id)a->row->op;
    int n = 1;
    if (a->value[1].kind == VALUE_NONE && a->value[2].kind == VALUE_NONE)
        return err_set(e, ERR_INVALID, "",
                       "torch.clamp: At least one of 'min' or 'max' must not be None");
    enum err_kind rc = arguments_to_op(a, x[0], &args, e);
    if (!rc && id == OP_CLAMP_TENSOR) {
        n = x[1] && x[2] ? 3 : 2;
        id = n == 3 ? OP_CLAMP_TENSOR : x[1] ? OP_CLAMP_TENSOR_MIN : OP_CLAMP_TENSOR_MAX;
        x[1] = x[1] ? x[1] : x[2];
    }
    if (!rc && a->in_place)
        rc = op_apply_in_place(a->in->tape, id, &args, x, n, e);
    else if (!rc)
        rc = op_apply_many(a->in->tape, id, &args, x, n, &y, NULL, e);
    return rc ? rc : give(y, out);
}

/* The elements where the mask, broadcast with x, is true: x is indexed by their places, and by 0
 * along what is broadcast in it. */
enum err_kind apply_masked_select(struct interp *in, struct tensor *x, struct tensor *mask,
                                  struct tensor **out, struct err *e)
{
    struct tensor *places[RANK_MAX], *operand[1 + RANK_MAX] = {x};
    struct op_args args = op_args_default;
    if (mask->dtype != DTYPE_BOOL)
        return err_set(e, ERR_INVALID, "", "masked_select: expected BoolTensor for mask");
    enum err_kind rc = ERR_OK;
    if (x->shape.rank == 0)
        rc = apply_dim(in, OP_UNSQUEEZE, 0, x, &operand[0], e);
    if (!rc)
        rc = shape_broadcast(&operand[0]->shape, &mask->shape, &args.shape, e);
    if (!rc)
        rc = apply_shape(in, OP_EXPAND, &args.shape, mask, &mask, e);
    if (!rc)
        rc = apply_nonzero(in, mask, places, e);
    int rank = rc ? 0 : operand[0]->shape.rank;
    if (rank >= SAVED_INPUTS_MAX)
        return err_set(e, ERR_INVALID, "", "masked_select takes at most %d dimensions here",
                       SAVED_INPUTS_MAX - 1);
    for (int d = 0; !rc && d < rank; d++) {
        struct tensor *place = places[args.shape.rank - rank + d];
        operand[1 + d] = place;
        if (operand[0]->shape.dim[d] == 1)
            rc = apply_two(in, OP_SUB, NULL, place, place, &operand[1 + d], e);
    }
    args.dims = (1u << rank) - 1;
    return rc ? rc
              : op_apply_many(in->tape, OP_MASKED_SELECT, &args, operand, 1 + rank, out, NULL, e);
}

enum err_kind call_masked_select(struct args *a, struct value *out, struct err *e)
{
    struct tensor *y = NULL;
    enum err_kind rc = apply_masked_select(a->in, a->value[0].tensor, a->value[1].tensor, &y, e);
    return rc ? rc : give(y, out);
}
