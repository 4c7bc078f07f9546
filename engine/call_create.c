/* engine/call_create.c - tensors made of numbers: torch.tensor, zeros, arange, rand, … */
#include <math.h>
#include <string.h>

#include "engine/call_parts.h"

#define LITERAL_MAX ((int64_t)1 << 22) /* elements of torch.tensor([...]) */

/* ---- what these functions have in common --------------------------------------------------- */

/* dtype=None is float32. */
static enum dtype dtype_argument(const struct args *a, enum dtype fallback)
{
    const struct value *dtype = argument(a, "dtype");
    return dtype->kind == VALUE_DTYPE ? dtype->dtype : fallback;
}

/* requires_grad=True, and the tensor as the call's value. */
static enum err_kind finish(const struct args *a, struct tensor *t, struct value *out,
                            struct err *e)
{
    const struct value *requires_grad = argument(a, "requires_grad");
    if (requires_grad->boolean && !dtype_is_float(t->dtype))
        return err_set(e, ERR_INVALID, "",
                       "Only Tensors of floating point and complex dtype can require gradients");
    t->requires_grad = requires_grad->boolean;
    return give(t, out);
}

/* Every element becomes the number. */
static void fill_with(const struct interp *in, struct tensor *t, double number, int64_t integer)
{
    bool wide = dtype_is_float(t->dtype);
    struct storage storage = {.data = wide ? (void *)&number : &integer};
    struct tensor one = {.storage = &storage,
                         .dtype = wide ? DTYPE_FLOAT64 : DTYPE_INT64,
                         .shape = t->shape}; /* strides of 0 */
    if (!in->tape->dry)
        tensor_copy(t, &one);
}

/* ---- torch.tensor -------------------------------------------------------------------------- */

static enum dtype dtype_of_number(const struct value *x)
{
    return x->kind == VALUE_BOOL ? DTYPE_BOOL : x->kind == VALUE_INT ? DTYPE_INT64 : DTYPE_FLOAT32;
}

/* A literal on its way into a tensor. */
struct literal {
    struct interp *in;
    struct shape shape;
    enum dtype dtype; /* the widest so far */
    double *number;   /* of the elements, in order; NULL while they are only looked at */
    int64_t *integer; /* … as integers, exact where a double is not */
    int64_t next;
};

static enum err_kind literal_shape(const struct value *x, struct shape *out, struct err *e)
{
    int64_t dim[RANK_MAX + 1];
    int rank = 0;
    for (; value_is_list(x) && rank <= RANK_MAX; x = x->item) {
        dim[rank++] = (int64_t)x->count;
        if (x->count == 0)
            break;
    }
    enum err_kind rc = shape_make(dim, rank, out, e);
    if (!rc && shape_count(out) > LITERAL_MAX)
        rc = err_set(e, ERR_INVALID, "", "a literal of more than %lld elements",
                     (long long)LITERAL_MAX);
    return rc;
}

static enum err_kind literal_scalar(struct literal *l, const struct value *x, struct err *e)
{
    struct value item = *x;
    if (x->kind == VALUE_TENSOR) {
        enum err_kind rc = tensor_item(l->in, x->tensor, &item, e);
        if (rc)
            return rc;
    } else if (!value_is_number(x)) {
        return err_set(e, ERR_INVALID, "", "too many dimensions '%s'", value_type_name(x));
    }
    enum dtype dtype = x->kind == VALUE_TENSOR ? x->tensor->dtype : dtype_of_number(x);
    if (dtype > l->dtype)
        l->dtype = dtype;
    if (!l->number)
        return ERR_OK;
    l->number[l->next] = number_of(&item);
    l->integer[l->next++] = item.kind == VALUE_INT    ? item.integer
                            : item.kind == VALUE_BOOL ? item.boolean
                                                      : 0;
    return ERR_OK;
}

/* Depth is the shape's rank; every list must be as long as the first one of its depth. */
static enum err_kind literal_walk(struct literal *l, const struct value *x, int d, struct err *e)
{
    enum err_kind rc = ERR_OK;
    if (d == l->shape.rank && !value_is_list(x))
        return literal_scalar(l, x, e);
    if (d == l->shape.rank || !value_is_list(x) || (int64_t)x->count != l->shape.dim[d])
        return err_set(e, ERR_INVALID, "", "expected sequence of length %lld at dim %d (got %lld)",
                       (long long)(d < l->shape.rank ? l->shape.dim[d] : 0), d,
                       (long long)(value_is_list(x) ? x->count : 0));
    for (size_t i = 0; !rc && i < x->count; i++)
        rc = literal_walk(l, &x->item[i], d + 1, e);
    return rc;
}

/* Ints go by way of int64, all else by way of double, as the target wants it. */
static void literal_convert(const struct literal *l, struct tensor *t)
{
    bool ints = l->dtype == DTYPE_INT64 || l->dtype == DTYPE_BOOL;
    struct storage storage = {.data = ints ? (void *)l->integer : l->number};
    struct tensor from;
    tensor_wrap(&from, &storage, ints ? DTYPE_INT64 : DTYPE_FLOAT64, &l->shape, 0);
    tensor_copy(t, &from);
}

enum err_kind tensor_of_value(struct interp *in, const struct value *x, enum dtype dtype,
                              struct tensor **out, struct err *e)
{
    struct literal l = {.in = in, .dtype = DTYPE_BOOL};
    enum err_kind rc = literal_shape(x, &l.shape, e);
    size_t count = rc ? 0 : (size_t)shape_count(&l.shape);
    if (!rc)
        rc = literal_walk(&l, x, 0, e);
    if (!rc && count == 0)
        l.dtype = DTYPE_FLOAT32;
    if (!rc)
        rc = interp_alloc(in, count, sizeof *l.number, &l.number, e);
    if (!rc)
        rc = interp_alloc(in, count, sizeof *l.integer, &l.integer, e);
    if (!rc)
        rc = literal_walk(&l, x, 0, e);
    if (!rc)
        rc = interp_tensor(in, dtype == DTYPE_COUNT ? l.dtype : dtype, &l.shape, out, e);
    if (!rc && !in->tape->dry)
        literal_convert(&l, *out);
    return rc;
}

/* torch.tensor copies a tensor, and leaves its history behind. */
enum err_kind call_tensor(struct args *a, struct value *out, struct err *e)
{
    const struct value *x = &a->value[0];
    struct tensor *t;
    enum err_kind rc;
    if (x->kind != VALUE_TENSOR) {
        rc = tensor_of_value(a->in, x, dtype_argument(a, DTYPE_COUNT), &t, e);
        return rc ? rc : finish(a, t, out, e);
    }
    rc = interp_warn(a->in, "UserWarning", e,
                     "To copy construct from a tensor, it is recommended to use "
                     "sourceTensor.clone().detach() or "
                     "sourceTensor.clone().detach().requires_grad_(True), rather than "
                     "torch.tensor(sourceTensor).");
    if (!rc)
        rc = interp_tensor(a->in, dtype_argument(a, x->tensor->dtype), &x->tensor->shape, &t, e);
    if (rc)
        return rc;
    if (!a->in->tape->dry)
        tensor_copy(t, x->tensor);
    return finish(a, t, out, e);
}

/* ---- filled -------------------------------------------------------------------------------- */

static bool is_named(const struct args *a, const char *prefix)
{
    int bytes;
    return !strncmp(builtin_short_name(a->row, &bytes), prefix, strlen(prefix));
}

/* What zeros, ones and full (and their _like) fill with. */
static struct value fill_value(const struct args *a)
{
    return is_named(a, "full") || is_named(a, "new_full")
               ? *argument(a, "fill_value")
               : VALUE(INT, .integer = is_named(a, "ones") || is_named(a, "new_ones"));
}

static enum err_kind fill_and_finish(struct args *a, enum dtype dtype, const struct shape *shape,
                                     struct value *out, struct err *e)
{
    struct value x = fill_value(a);
    struct tensor *t;
    enum err_kind rc = interp_tensor(a->in, dtype, shape, &t, e);
    if (rc)
        return rc;
    int64_t integer = x.kind == VALUE_INT ? x.integer : x.kind == VALUE_BOOL ? x.boolean : 0;
    if (x.kind == VALUE_FLOAT) /* as an integer: towards zero, or whether it is zero */
        integer = dtype == DTYPE_BOOL                       ? x.number != 0
                  : x.number > -0x1p63 && x.number < 0x1p63 ? (int64_t)x.number
                                                            : INT64_MIN;
    fill_with(a->in, t, number_of(&x), integer);
    return finish(a, t, out, e);
}

enum err_kind call_full(struct args *a, struct value *out, struct err *e)
{
    struct shape shape;
    struct value x = fill_value(a);
    enum dtype fallback = a->spec[0].type == ARGUMENT_TENSOR ? a->value[0].tensor->dtype /* new_… */
                          : is_named(a, "full")              ? dtype_of_number(&x)
                                                             : DTYPE_FLOAT32;
    enum err_kind rc = shape_of_ints(argument(a, "size"), &shape, e);
    return rc ? rc : fill_and_finish(a, dtype_argument(a, fallback), &shape, out, e);
}

enum err_kind call_full_like(struct args *a, struct value *out, struct err *e)
{
    const struct tensor *like = a->value[0].tensor;
    return fill_and_finish(a, dtype_argument(a, like->dtype), &like->shape, out, e);
}

/* ---- sequences ----------------------------------------------------------------------------- */

enum err_kind call_arange(struct args *a, struct value *out, struct err *e)
{
    struct value start = a->value[0], end = a->value[1];
    const struct value *step = &a->value[2];
    bool ints = start.kind != VALUE_FLOAT && end.kind != VALUE_FLOAT && step->kind != VALUE_FLOAT;
    if (end.kind == VALUE_NONE) { /* arange(end) */
        end = start;
        start = VALUE(INT, .integer = 0);
    }
    int64_t first = start.kind == VALUE_INT ? start.integer : 0;
    double from = number_of(&start), by = number_of(step), to = number_of(&end);
    if (by == 0)
        return err_set(e, ERR_INVALID, "", "step must be nonzero");
    if (!isfinite(from) || !isfinite(to))
        return err_set(e, ERR_INVALID, "", "unsupported range: %g -> %g", from, to);
    if ((by > 0 && from > to) || (by < 0 && from < to))
        return err_set(e, ERR_INVALID, "",
                       "upper bound and larger bound inconsistent with step sign");
    enum dtype dtype = dtype_argument(a, ints ? DTYPE_INT64 : DTYPE_FLOAT32);
    double count = ceil((to - from) / by);
    if (dtype == DTYPE_INT64 && trunc(by) != 0) { /* of integers, whatever was given */
        from = trunc(from);
        by = trunc(by);
        count = ceil((trunc(to) - from) / by);
    }
    if (!(count < 0x1p53))
        return err_set(e, ERR_INVALID, "", "the tensor has too many elements");
    struct shape shape = {.rank = 1, .dim = {(int64_t)count}};
    struct tensor *t, *wide;
    enum err_kind rc = interp_tensor(a->in, dtype, &shape, &t, e);
    if (!rc)
        rc = interp_tensor(a->in, ints ? DTYPE_INT64 : DTYPE_FLOAT64, &shape, &wide, e);
    if (rc)
        return rc;
    for (int64_t i = 0; !a->in->tape->dry && i < shape.dim[0]; i++)
        if (ints)
            ((int64_t *)tensor_data(wide))[i] =
                (int64_t)((uint64_t)first + (uint64_t)i * (uint64_t)step->integer);
        else
            ((double *)tensor_data(wide))[i] = from + (double)i * by;
    if (!a->in->tape->dry)
        tensor_copy(t, wide);
    return finish(a, t, out, e);
}

/* From both ends towards the middle, in the tensor's own type, as PyTorch does. */
#define LINSPACE(type)                                                                             \
    static void linspace_##type(type *x, int64_t n, type start, type end)                          \
    {                                                                                              \
        type step = n > 1 ? (end - start) / (type)(n - 1) : 0;                                     \
        for (int64_t i = 0; i < n; i++)                                                            \
            x[i] = i < n / 2 ? start + step * (type)i : end - step * (type)(n - i - 1);            \
        if (n == 1)                                                                                \
            x[0] = start;                                                                          \
    }
LINSPACE(float)
LINSPACE(double)

enum err_kind call_linspace(struct args *a, struct value *out, struct err *e)
{
    double start = number_of(&a->value[0]), end = number_of(&a->value[1]);
    struct shape shape;
    struct tensor *t;
    enum dtype dtype = dtype_argument(a, DTYPE_FLOAT32);
    if (!dtype_is_float(dtype)) /* PyTorch's integers depend on the width of its vectors */
        return err_set(e, ERR_INVALID, "", "linspace gives float32 or float64 here");
    if (a->value[2].integer < 0)
        return err_set(e, ERR_INVALID, "", "number of steps must be non-negative");
    enum err_kind rc = shape_make(&a->value[2].integer, 1, &shape, e);
    if (!rc)
        rc = interp_tensor(a->in, dtype, &shape, &t, e);
    if (rc)
        return rc;
    if (!a->in->tape->dry && dtype == DTYPE_FLOAT32)
        linspace_float(tensor_data(t), shape.dim[0], (float)start, (float)end);
    else if (!a->in->tape->dry)
        linspace_double(tensor_data(t), shape.dim[0], start, end);
    return finish(a, t, out, e);
}

enum err_kind call_eye(struct args *a, struct value *out, struct err *e)
{
    int64_t n = a->value[0].integer;
    int64_t m = a->value[1].kind == VALUE_NONE ? n : a->value[1].integer;
    struct shape shape;
    struct tensor *t;
    if (n < 0 || m < 0)
        return err_set(e, ERR_INVALID, "", "%c must be greater or equal to 0, got %lld",
                       n < 0 ? 'n' : 'm', (long long)(n < 0 ? n : m));
    enum err_kind rc = shape_make((int64_t[]){n, m}, 2, &shape, e);
    if (!rc)
        rc = interp_tensor(a->in, dtype_argument(a, DTYPE_FLOAT32), &shape, &t, e);
    if (rc)
        return rc;
    fill_with(a->in, t, 0, 0);
    struct tensor diagonal = *t;
    diagonal.shape = (struct shape){.rank = 1, .dim = {n < m ? n : m}};
    diagonal.stride[0] = m + 1;
    fill_with(a->in, &diagonal, 1, 1);
    return finish(a, t, out, e);
}

/* ---- random -------------------------------------------------------------------------------- */

enum err_kind call_manual_seed(struct args *a, struct value *out, struct err *e)
{
    (void)e;
    a->in->seed = (uint64_t)a->value[0].integer;
    a->in->is_seeded = false;
    *out = NO_VALUE;
    return ERR_OK;
}

/* normal or uniform numbers of [low, low + width), or with that mean and deviation. */
static enum err_kind draw(struct interp *in, struct tensor *t, bool normal, double low,
                          double width, struct err *e)
{
    size_t n = (size_t)tensor_count(t);
    if (!dtype_is_float(t->dtype))
        return err_set(e, ERR_INVALID, "", "\"%s\" not implemented for '%s'",
                       normal ? "normal_kernel_cpu" : "check_uniform_bounds",
                       dtype_type_name(t->dtype));
    if (normal && t->dtype == DTYPE_FLOAT32)
        rng_normal_f32(interp_rng(in), tensor_data(t), n);
    else if (normal)
        rng_normal_f64(interp_rng(in), tensor_data(t), n);
    else if (t->dtype == DTYPE_FLOAT32)
        rng_uniform_f32(interp_rng(in), tensor_data(t), n, low, low + width);
    else
        rng_uniform_f64(interp_rng(in), tensor_data(t), n, low, low + width);
    if (!normal || (low == 0 && width == 1))
        return ERR_OK;
    float *f = tensor_data(t);
    double *d = tensor_data(t);
    for (size_t i = 0; i < n; i++)
        if (t->dtype == DTYPE_FLOAT32)
            f[i] = (float)((double)f[i] * width + low);
        else
            d[i] = d[i] * width + low;
    return ERR_OK;
}

enum err_kind call_rand(struct args *a, struct value *out, struct err *e)
{
    struct shape shape;
    struct tensor *t;
    enum err_kind rc = shape_of_ints(argument(a, "size"), &shape, e);
    if (!rc)
        rc = interp_tensor(a->in, dtype_argument(a, DTYPE_FLOAT32), &shape, &t, e);
    if (!rc)
        rc = draw(a->in, t, is_named(a, "randn"), 0, 1, e);
    return rc ? rc : finish(a, t, out, e);
}

enum err_kind call_rand_like(struct args *a, struct value *out, struct err *e)
{
    const struct tensor *like = a->value[0].tensor;
    struct tensor *t;
    enum err_kind rc = interp_tensor(a->in, dtype_argument(a, like->dtype), &like->shape, &t, e);
    if (!rc)
        rc = draw(a->in, t, is_named(a, "randn"), 0, 1, e);
    return rc ? rc : finish(a, t, out, e);
}

/* One 32-bit word an element, or two for a range that needs them, modulo the range. */
enum err_kind call_randint(struct args *a, struct value *out, struct err *e)
{
    int64_t low = argument(a, "low")->integer, high = argument(a, "high")->integer;
    uint64_t range = (uint64_t)high - (uint64_t)low;
    struct shape shape;
    struct tensor *t, *ints;
    if (low >= high)
        return err_set(e, ERR_INVALID, "",
                       "random_ expects 'from' to be less than 'to', but got from=%lld >= to=%lld",
                       (long long)low, (long long)high);
    enum err_kind rc = shape_of_ints(argument(a, "size"), &shape, e);
    if (!rc)
        rc = interp_tensor(a->in, dtype_argument(a, DTYPE_INT64), &shape, &t, e);
    if (!rc)
        rc = interp_tensor(a->in, DTYPE_INT64, &shape, &ints, e);
    if (rc)
        return rc;
    int64_t *x = tensor_data(ints);
    struct rng *rng = interp_rng(a->in);
    for (int64_t i = 0; i < tensor_count(ints); i++) {
        uint64_t word = rng_next(rng);
        if (range >= (uint64_t)1 << 32)
            word = word << 32 | rng_next(rng);
        x[i] = (int64_t)(word % range + (uint64_t)low);
    }
    tensor_copy(t, ints);
    return finish(a, t, out, e);
}

/* x.uniform_(a, b) and x.normal_(mean, std). */
enum err_kind call_fill_random(struct args *a, struct value *out, struct err *e)
{
    struct tensor *x = a->value[0].tensor, *t;
    double first = number_of(&a->value[1]), second = number_of(&a->value[2]);
    bool normal = is_named(a, "normal");
    if (normal && !(second >= 0))
        return err_set(e, ERR_INVALID, "", "normal expects std >= 0.0, but found std %g", second);
    if (!normal && !(first <= second))
        return err_set(e, ERR_INVALID, "",
                       "uniform_ expects to return a [from, to) range, but found from=%g > to=%g",
                       first, second);
    enum err_kind rc = interp_tensor(a->in, x->dtype, &x->shape, &t, e);
    if (!rc)
        rc = draw(a->in, t, normal, first, normal ? second : second - first, e);
    struct tensor *operand[] = {x, t};
    if (!rc)
        rc = op_apply_in_place(a->in->tape, OP_COPY, NULL, operand, 2, e);
    return rc ? rc : give(x, out);
}
