/* engine/call_tensor.c - what a tensor is, as numbers, of another type, compared as a whole. */
#include <math.h>
#include <string.h>

#include "engine/call_parts.h"

/* ---- facts --------------------------------------------------------------------------------- */

enum err_kind size_value(struct interp *in, const struct shape *s, struct value *out, struct err *e)
{
    struct value dim[RANK_MAX];
    for (int d = 0; d < s->rank; d++)
        dim[d] = VALUE(INT, .integer = s->dim[d]);
    return value_list(in, VALUE_SIZE, dim, (size_t)s->rank, out, e);
}

static enum err_kind give_int(int64_t i, struct value *out)
{
    *out = VALUE(INT, .integer = i);
    return ERR_OK;
}

static enum err_kind give_bool(bool b, struct value *out)
{
    *out = VALUE(BOOL, .boolean = b);
    return ERR_OK;
}

enum err_kind call_item(struct args *a, struct value *out, struct err *e)
{
    return tensor_item(a->in, a->value[0].tensor, out, e);
}

/* x.size(), x.size(0) */
enum err_kind call_size(struct args *a, struct value *out, struct err *e)
{
    const struct tensor *x = a->value[0].tensor;
    int dim;
    if (a->value[1].kind == VALUE_NONE)
        return size_value(a->in, &x->shape, out, e);
    enum err_kind rc = dim_wrap(a->value[1].integer, x->shape.rank, &dim, e);
    if (!rc && x->shape.rank == 0)
        rc = err_set(e, ERR_INVALID, "", "dimension specified as 0 but tensor has no dimensions");
    return rc ? rc : give_int(x->shape.dim[dim], out);
}

enum err_kind call_dim(struct args *a, struct value *out, struct err *e)
{
    (void)e;
    return give_int(a->value[0].tensor->shape.rank, out);
}

enum err_kind call_numel(struct args *a, struct value *out, struct err *e)
{
    (void)e;
    const struct value *x = &a->value[0];
    int64_t count = 1;
    if (x->kind == VALUE_TENSOR)
        return give_int(tensor_count(x->tensor), out);
    for (size_t i = 0; i < x->count; i++)
        count *= x->item[i].integer; /* of a checked shape */
    return give_int(count, out);
}

enum err_kind call_stride(struct args *a, struct value *out, struct err *e)
{
    const struct tensor *x = a->value[0].tensor;
    struct value stride[RANK_MAX];
    int dim;
    if (a->value[1].kind != VALUE_NONE) {
        enum err_kind rc = dim_wrap(a->value[1].integer, x->shape.rank, &dim, e);
        return rc ? rc : give_int(x->stride[dim], out);
    }
    for (int d = 0; d < x->shape.rank; d++)
        stride[d] = VALUE(INT, .integer = x->stride[d]);
    return value_list(a->in, VALUE_TUPLE, stride, (size_t)x->shape.rank, out, e);
}

enum err_kind call_storage_offset(struct args *a, struct value *out, struct err *e)
{
    (void)e;
    return give_int(a->value[0].tensor->offset, out);
}

enum err_kind call_is_contiguous(struct args *a, struct value *out, struct err *e)
{
    (void)e;
    return give_bool(tensor_is_contiguous(a->value[0].tensor), out);
}

enum err_kind call_is_floating_point(struct args *a, struct value *out, struct err *e)
{
    (void)e;
    return give_bool(dtype_is_float(a->value[0].tensor->dtype), out);
}

enum err_kind call_is_tensor(struct args *a, struct value *out, struct err *e)
{
    (void)e;
    return give_bool(a->value[0].kind == VALUE_TENSOR, out);
}

/* torch.Size((2, 3)) */
enum err_kind call_size_of(struct args *a, struct value *out, struct err *e)
{
    return value_list(a->in, VALUE_SIZE, a->value[0].item, a->value[0].count, out, e);
}

/* ---- as Python's lists --------------------------------------------------------------------- */

/* at: of the first element of this part, counted in elements from x's first. */
static enum err_kind list_along(struct interp *in, const struct tensor *x, int d, int64_t at,
                                struct value *out, struct err *e)
{
    struct value *item;
    if (d == x->shape.rank) {
        *out = value_of_element(x, at);
        return ERR_OK;
    }
    size_t count = (size_t)x->shape.dim[d];
    enum err_kind rc = interp_alloc(in, count, sizeof *item, &item, e);
    for (size_t i = 0; !rc && i < count; i++)
        rc = list_along(in, x, d + 1, at + (int64_t)i * x->stride[d], &item[i], e);
    *out = (struct value){.kind = VALUE_LIST, .count = count, .item = item};
    return rc;
}

enum err_kind call_tolist(struct args *a, struct value *out, struct err *e)
{
    return list_along(a->in, a->value[0].tensor, 0, 0, out, e);
}

/* ---- types --------------------------------------------------------------------------------- */

static const struct {
    const char *name;
    enum dtype dtype;
} dtype_names[] = {
    {"float32", DTYPE_FLOAT32}, {"float64", DTYPE_FLOAT64}, {"double", DTYPE_FLOAT64},
    {"float", DTYPE_FLOAT32},   {"int64", DTYPE_INT64},     {"long", DTYPE_INT64},
    {"bool", DTYPE_BOOL},
};

/* The type that a row is named after. */
static enum err_kind dtype_of_row(const struct args *a, enum dtype *out, struct err *e)
{
    int bytes;
    const char *name = builtin_short_name(a->row, &bytes);
    for (size_t i = 0; i < sizeof dtype_names / sizeof *dtype_names; i++)
        if (strlen(dtype_names[i].name) == (size_t)bytes &&
            !memcmp(dtype_names[i].name, name, (size_t)bytes)) {
            *out = dtype_names[i].dtype;
            return ERR_OK;
        }
    return err_set(e, ERR_INVALID, "",
                   "%.*s is not supported here: the types are bool, int64, float32 and float64",
                   bytes, name);
}

enum err_kind call_dtype_constant(struct args *a, struct value *out, struct err *e)
{
    enum dtype dtype = DTYPE_COUNT;
    enum err_kind rc = dtype_of_row(a, &dtype, e);
    *out = VALUE(DTYPE, .dtype = dtype);
    return rc;
}

enum err_kind apply_cast(struct interp *in, struct tensor *x, enum dtype dtype, struct tensor **out,
                         struct err *e)
{
    struct op_args args = op_args_default;
    args.dtype = dtype;
    args.has_dtype = true;
    *out = x;
    return x->dtype == dtype ? ERR_OK : apply_one(in, OP_TO_COPY, &args, x, out, e);
}

/* x.float(), x.double(), x.long(), x.bool() */
enum err_kind call_cast(struct args *a, struct value *out, struct err *e)
{
    enum dtype dtype = DTYPE_COUNT;
    struct tensor *y = NULL;
    enum err_kind rc = dtype_of_row(a, &dtype, e);
    if (!rc)
        rc = apply_cast(a->in, a->value[0].tensor, dtype, &y, e);
    return rc ? rc : give(y, out);
}

/* x.to(dtype), x.to(other), x.to('cpu'), x.type_as(other) */
enum err_kind call_to(struct args *a, struct value *out, struct err *e)
{
    const struct value *to = &a->value[1];
    struct tensor *x = a->value[0].tensor, *y = x;
    enum err_kind rc = ERR_OK;
    if (to->kind == VALUE_DTYPE)
        rc = apply_cast(a->in, x, to->dtype, &y, e);
    else if (to->kind == VALUE_TENSOR)
        rc = apply_cast(a->in, x, to->tensor->dtype, &y, e);
    else if (to->kind != VALUE_STRING || strcmp(to->text, "cpu") != 0)
        rc = err_set(e, ERR_INVALID, "", "to() takes a dtype, a tensor or 'cpu'");
    return rc ? rc : give(y, out);
}

/* x.type(): "torch.FloatTensor" */
enum err_kind call_type(struct args *a, struct value *out, struct err *e)
{
    struct text text = {.arena = &a->in->tape->arena, .max = 64};
    text_addf(&text, "torch.%sTensor", dtype_type_name(a->value[0].tensor->dtype));
    if (text.failed)
        return err_set(e, ERR_NOMEM, "", "no memory for a string");
    *out = VALUE(STRING, .count = text.bytes, .text = text.at);
    return ERR_OK;
}

/* ---- as a whole ---------------------------------------------------------------------------- */

/* A row-major float64 copy without history. */
static enum err_kind wide_copy(struct interp *in, const struct tensor *x, const struct shape *as,
                               const double **out, struct err *e)
{
    struct tensor seen = tensor_seen(x), *copy;
    int pad = as->rank - x->shape.rank;
    for (int d = as->rank - 1; d >= 0; d--)
        seen.stride[d] = d < pad || x->shape.dim[d - pad] == 1 ? 0 : x->stride[d - pad];
    seen.shape = *as;
    enum err_kind rc = interp_tensor(in, DTYPE_FLOAT64, as, &copy, e);
    if (rc)
        return rc;
    tensor_copy(copy, &seen);
    *out = tensor_data(copy);
    return ERR_OK;
}

/* |a - b| <= atol + rtol |b| everywhere. */
enum err_kind call_allclose(struct args *a, struct value *out, struct err *e)
{
    const struct tensor *x = a->value[0].tensor, *y = a->value[1].tensor;
    double rtol = number_of(argument(a, "rtol")), atol = number_of(argument(a, "atol"));
    bool equal_nan = argument(a, "equal_nan")->boolean, close = true;
    const double *p, *q;
    struct shape shape;
    if (x->dtype != y->dtype)
        return err_set(e, ERR_INVALID, "", "%s did not match %s", dtype_type_name(x->dtype),
                       dtype_type_name(y->dtype));
    enum err_kind rc = shape_broadcast(&x->shape, &y->shape, &shape, e);
    if (!rc)
        rc = wide_copy(a->in, x, &shape, &p, e);
    if (!rc)
        rc = wide_copy(a->in, y, &shape, &q, e);
    for (int64_t i = 0; !rc && i < shape_count(&shape); i++)
        close = close && (p[i] == q[i] || (equal_nan && isnan(p[i]) && isnan(q[i])) ||
                          (isfinite(q[i]) && fabs(p[i] - q[i]) <= atol + rtol * fabs(q[i])));
    return rc ? rc : give_bool(close, out);
}

enum err_kind call_equal(struct args *a, struct value *out, struct err *e)
{
    const struct tensor *x = a->value[0].tensor, *y = a->value[1].tensor;
    bool same = shape_equal(&x->shape, &y->shape);
    struct tensor *p, *q;
    struct op_args flat = op_args_default;
    flat.flat = true;
    if (!same)
        return give_bool(false, out);
    if (x->dtype != y->dtype)
        return err_set(e, ERR_INVALID, "", "Expected object of data type %s but got %s",
                       dtype_name(x->dtype), dtype_name(y->dtype));
    enum err_kind rc = apply_two(a->in, OP_EQ, NULL, a->value[0].tensor, a->value[1].tensor, &p, e);
    if (!rc)
        rc = apply_one(a->in, OP_ALL, &flat, p, &q, e);
    struct value all = NO_VALUE;
    if (!rc)
        rc = tensor_item(a->in, q, &all, e);
    return rc ? rc : give_bool(all.boolean, out);
}
