/* engine/op_reduce.c - sum and mean, and the sum that undoes a broadcast. */
#include "engine/op_reduce.h"

#include "engine/groups.h"
#include "engine/rows.h"

/* dst is reduced in blocks of so many neighbouring columns, whose sums stay in the cache. */
#define COLUMNS 256

/* A run of elements along dst's last dimension, and where their addends begin. */
struct block {
    void *dst;
    int64_t n, dst_step;
    int64_t x_at, times_at;
};

/* The rows of x that are summed into one element or block of dst. */
struct reduction_rows {
    struct rows rows;
    const void *x, *times;
    bool along; /* the last dimension is summed too */
    int64_t n, x_step, times_step;
    double scale, divide_by; /* of each sum */
};

#define REAL float
#include "engine/op_reduce.inc"
#define REAL double
#include "engine/op_reduce.inc"

/* Splits x's dimensions into those that dst keeps and those it sums over. */
static struct reduction_rows split(const struct tensor *dst, const struct tensor *x,
                                   const struct tensor *times, struct rows *kept)
{
    int rank = x->shape.rank, last = rank - 1, pad = rank - dst->shape.rank;
    struct shape keep = {.rank = rank}, drop = {.rank = rank};
    for (int d = 0; d < rank; d++) {
        bool kept_here = d >= pad && dst->shape.dim[d - pad] == x->shape.dim[d];
        keep.dim[d] = kept_here ? x->shape.dim[d] : 1;
        drop.dim[d] = kept_here ? 1 : x->shape.dim[d];
    }
    const struct tensor *seen[ROWS_TENSORS_MAX] = {x, times ? times : x, dst};
    struct reduction_rows over = {.x = tensor_data(x), .times = times ? tensor_data(times) : NULL};
    *kept = rows_begin(&x->shape, seen, 3);
    kept->shape = keep;
    kept->n = rank ? keep.dim[last] : 1;
    kept->left = kept->n ? shape_count(&keep) / kept->n : 0;
    over.rows = *kept;
    over.along = rank && drop.dim[last] != 1;
    over.n = rank ? drop.dim[last] : 1;
    over.rows.shape = drop;
    over.rows.left = 1;
    for (int d = 0; d < last; d++)
        over.rows.left *= drop.dim[d];
    over.x_step = kept->step[0];
    over.times_step = kept->step[1];
    return over;
}

/* As sum_to; each sum is divided too. */
static void sum_into(struct tensor *dst, const struct tensor *x, const struct tensor *times,
                     double scale, double divide_by)
{
    struct rows kept;
    struct tensor scalar = *dst, run = tensor_seen(x);
    if (!times && tensor_count(dst) == 1 && tensor_is_contiguous(x)) {
        scalar.shape.rank = 0; /* all of it is one row, not many */
        dst = &scalar;
        run.shape = (struct shape){.rank = 1, .dim = {tensor_count(x)}};
        run.stride[0] = 1;
        x = &run;
    }
    struct reduction_rows over = split(dst, x, times, &kept);
    size_t bytes = dtype_bytes(dst->dtype);
    over.scale = scale;
    over.divide_by = divide_by;
    for (; kept.left > 0; rows_next(&kept))
        for (int64_t j = 0; j < kept.n; j += COLUMNS) {
            struct block b = {.n = kept.n - j < COLUMNS ? kept.n - j : COLUMNS,
                              .dst_step = kept.step[2],
                              .x_at = kept.at[0] + j * kept.step[0],
                              .times_at = kept.at[1] + j * kept.step[1]};
            b.dst = (char *)tensor_data(dst) + (size_t)(kept.at[2] + j * b.dst_step) * bytes;
            BY_TYPE(dst->dtype, sum_block, &b, &over);
        }
}

void ISA_FN(sum_to)(struct tensor *dst, const struct tensor *x, const struct tensor *times,
                    double scale)
{
    sum_into(dst, x, times, scale, 1);
}

/* ---- shapes -------------------------------------------------------------------------------- */

enum err_kind ISA_FN(check_dim)(int dim, int rank, struct err *e)
{
    int n = rank ? rank : 1;
    if (dim >= 0 && dim < n)
        return ERR_OK;
    return err_set(e, ERR_INVALID, "",
                   "Dimension out of range (expected to be in range of [%d, %d], but got %d)", -n,
                   n - 1, dim);
}

enum err_kind ISA_FN(check_dims)(unsigned dims, int rank, struct err *e)
{
    for (int d = 0; dims >> d; d++) {
        enum err_kind rc = dims >> d & 1 ? ISA_FN(check_dim)(d, rank, e) : ERR_OK;
        if (rc)
            return rc;
    }
    return ERR_OK;
}

/* out gets what args.dims leaves of in[0]'s shape. */
static enum err_kind infer_dims(const struct op_call *c, struct tensor *out, struct err *e)
{
    const struct shape *s = &c->in[0]->shape;
    out->shape = shape_reduced(s, reduced_dims(&c->args, s->rank), c->args.keepdim);
    return ISA_FN(check_dims)(c->args.dims, s->rank, e);
}

/* ---- sum ----------------------------------------------------------------------------------- */

/* Of integers: it wraps around, as PyTorch's. A sum that is asked for as bool says whether any of
 * them is true. */
static void sum_integers(const struct op_call *c, unsigned dims)
{
    struct groups g = groups_of(&c->in[0]->shape, dims);
    const int64_t *x = tensor_data(c->in[0]);
    for (int64_t i = 0; i < g.count; i++) {
        uint64_t sum = 0;
        for (int64_t k = 0; k < g.runs; k++) {
            const int64_t *run = x + groups_start(&g, i) + groups_run(&g, k);
            for (int64_t j = 0; j < g.n; j++)
                sum += (uint64_t)run[j * g.step];
        }
        if (c->out->dtype == DTYPE_BOOL)
            ((bool *)tensor_data(c->out))[i] = sum != 0;
        else
            ((int64_t *)tensor_data(c->out))[i] = (int64_t)sum;
    }
}

enum err_kind ISA_FN(sum_dim_infer)(const struct op_call *c, struct tensor *out, struct err *e)
{
    if (c->args.has_dtype && c->args.dtype == DTYPE_BOOL)
        out->dtype = DTYPE_BOOL;
    return infer_dims(c, out, e);
}

void ISA_FN(sum_dim_forward)(const struct op_call *c)
{
    unsigned dims = reduced_dims(&c->args, c->in[0]->shape.rank);
    struct tensor y = kept_dims(c->out, &c->in[0]->shape, dims);
    if (dtype_is_float(c->out->dtype))
        sum_into(&y, c->in[0], NULL, 1, 1);
    else
        sum_integers(c, dims);
}

/* dx = g / count, for every element that went into the sum. */
static void spread(const struct op_call *c, double count)
{
    struct tensor *dx = c->grad_in[0];
    struct tensor g = kept_dims(c->grad_out, &dx->shape, reduced_dims(&c->args, dx->shape.rank));
    BY_TYPE(dx->dtype, spread, dx, &g, count);
}

void ISA_FN(sum_dim_backward)(const struct op_call *c)
{
    spread(c, 1);
}

enum err_kind ISA_FN(sum_infer)(const struct op_call *c, struct tensor *out, struct err *e)
{
    (void)e;
    if (c->args.has_dtype && c->args.dtype == DTYPE_BOOL)
        out->dtype = DTYPE_BOOL;
    out->shape.rank = 0;
    return ERR_OK;
}

void ISA_FN(sum_forward)(const struct op_call *c)
{
    if (dtype_is_float(c->out->dtype))
        BY_TYPE(c->out->dtype, sum_all, c, 1);
    else
        sum_integers(c, (1u << c->in[0]->shape.rank) - 1);
}

void ISA_FN(sum_backward)(const struct op_call *c)
{
    BY_TYPE(c->grad_out->dtype, fill, c, 1);
}

/* ---- mean ---------------------------------------------------------------------------------- */

static enum err_kind check_mean(const struct op_call *c, struct err *e)
{
    if (dtype_is_float(c->in[0]->dtype))
        return ERR_OK;
    return err_set(e, ERR_INVALID, "",
                   "mean(): could not infer output dtype. %s dtype must be either a floating point "
                   "or complex dtype. Got: %s",
                   c->args.has_dtype ? "Optional" : "Input", dtype_type_name(c->in[0]->dtype));
}

/* How many elements of in go into one of out. Of none the mean is 0 / 0, as PyTorch gives. */
static double mean_count(const struct op_args *a, const struct shape *in)
{
    unsigned dims = reduced_dims(a, in->rank);
    double count = 1;
    for (int d = 0; d < in->rank; d++)
        count *= dims >> d & 1 ? (double)in->dim[d] : 1;
    return count;
}

enum err_kind ISA_FN(mean_dim_infer)(const struct op_call *c, struct tensor *out, struct err *e)
{
    enum err_kind rc = check_mean(c, e);
    return rc ? rc : infer_dims(c, out, e);
}

void ISA_FN(mean_dim_forward)(const struct op_call *c)
{
    const struct shape *s = &c->in[0]->shape;
    struct tensor y = kept_dims(c->out, s, reduced_dims(&c->args, s->rank));
    sum_into(&y, c->in[0], NULL, 1, mean_count(&c->args, s));
}

void ISA_FN(mean_dim_backward)(const struct op_call *c)
{
    spread(c, mean_count(&c->args, &c->grad_in[0]->shape));
}

enum err_kind ISA_FN(mean_infer)(const struct op_call *c, struct tensor *out, struct err *e)
{
    out->shape.rank = 0;
    return check_mean(c, e);
}

void ISA_FN(mean_forward)(const struct op_call *c)
{
    BY_TYPE(c->out->dtype, sum_all, c, (double)tensor_count(c->in[0]));
}

void ISA_FN(mean_backward)(const struct op_call *c)
{
    BY_TYPE(c->grad_out->dtype, fill, c, (double)tensor_count(c->grad_in[0]));
}
