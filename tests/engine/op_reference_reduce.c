/* The reductions in plain double arithmetic. */
#include "tests/engine/op_reference.h"

#include <math.h>

/* Which element of the reduced shape the i-th element of `from` belongs to. */
static int64_t reduced_index(const struct shape *from, unsigned dims, int64_t i)
{
    int64_t at = 0, step = 1;
    for (int d = from->rank - 1; d >= 0; d--) {
        if (!(dims >> d & 1)) {
            at += i % from->dim[d] * step;
            step *= from->dim[d];
        }
        i /= from->dim[d];
    }
    return at;
}

typedef double fold_fn(const struct op_args *a, const double *x, int64_t n);

/* y = of(the elements of in that are reduced to each of y's) */
static void reduce_dims(const struct op_args *a, const struct values *in, struct values *y,
                        unsigned dims, fold_fn *of)
{
    y->shape.rank = 0;
    for (int d = 0; d < in->shape.rank; d++)
        if (!(dims >> d & 1))
            y->shape.dim[y->shape.rank++] = in->shape.dim[d];
        else if (a->keepdim)
            y->shape.dim[y->shape.rank++] = 1;
    const int64_t inputs = shape_count(&in->shape), outputs = shape_count(&y->shape);
    int64_t of_output[VALUES_MAX];
    for (int64_t j = 0; j < inputs; j++)
        of_output[j] = reduced_index(&in->shape, dims, j);
    for (int64_t i = 0; i < outputs; i++) {
        double group[VALUES_MAX];
        int64_t n = 0;
        for (int64_t j = 0; j < inputs; j++)
            if (of_output[j] == i)
                group[n++] = in->x[j];
        y->x[i] = of(a, group, n);
    }
}

/* A row without args.dims (all), and one with. */
#define REDUCE_ALL(fn, of)                                                                         \
    void reference_##fn(const struct op_args *a, const struct values *in, struct values *y)        \
    {                                                                                              \
        const struct op_args all = {.keepdim = false};                                             \
        (void)a;                                                                                   \
        reduce_dims(&all, in, y, ~0u, of);                                                         \
    }
#define REDUCE_DIMS(fn, of)                                                                        \
    void reference_##fn(const struct op_args *a, const struct values *in, struct values *y)        \
    {                                                                                              \
        reduce_dims(a, in, y, a->dims ? a->dims : ~0u, of);                                        \
    }

static double sum_of(const struct op_args *a, const double *x, int64_t n)
{
    double sum = 0;
    (void)a;
    for (int64_t i = 0; i < n; i++)
        sum += x[i];
    return sum;
}

static double mean_of(const struct op_args *a, const double *x, int64_t n)
{
    return sum_of(a, x, n) / (double)n;
}

REDUCE_ALL(sum, sum_of)
REDUCE_DIMS(sum_dim, sum_of)
REDUCE_ALL(mean, mean_of)
REDUCE_DIMS(mean_dim, mean_of)

static double max_of(const struct op_args *a, const double *x, int64_t n)
{
    double max = x[0];
    (void)a;
    for (int64_t i = 1; i < n; i++)
        max = x[i] > max || isnan(x[i]) ? x[i] : max;
    return max;
}

static double min_of(const struct op_args *a, const double *x, int64_t n)
{
    double min = x[0];
    (void)a;
    for (int64_t i = 1; i < n; i++)
        min = x[i] < min || isnan(x[i]) ? x[i] : min;
    return min;
}

static double argmax_of(const struct op_args *a, const double *x, int64_t n)
{
    double max = max_of(a, x, n);
    int64_t i = 0;
    while (x[i] != max && !isnan(x[i]))
        i++;
    return (double)i;
}

static double argmin_of(const struct op_args *a, const double *x, int64_t n)
{
    double min = min_of(a, x, n);
    int64_t i = 0;
    while (x[i] != min && !isnan(x[i]))
        i++;
    return (double)i;
}

/* … and one with args.dim, or all if args.flat. */
#define REDUCE_DIM(fn, of)                                                                         \
    void reference_##fn(const struct op_args *a, const struct values *in, struct values *y)        \
    {                                                                                              \
        reduce_dims(a, in, y, a->flat ? ~0u : 1u << a->dim, of);                                   \
    }

static double product_of(const struct op_args *a, const double *x, int64_t n)
{
    double product = 1;
    (void)a;
    for (int64_t i = 0; i < n; i++)
        product *= x[i];
    return product;
}

static double variance_of(const struct op_args *a, const double *x, int64_t n)
{
    double mean = mean_of(a, x, n), sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += (x[i] - mean) * (x[i] - mean);
    return sum / fmax((double)n - a->correction, 0);
}

static double deviation_of(const struct op_args *a, const double *x, int64_t n)
{
    return sqrt(variance_of(a, x, n));
}

static double norm_of(const struct op_args *a, const double *x, int64_t n)
{
    double sum = 0, largest = 0, smallest = INFINITY;
    for (int64_t i = 0; i < n; i++) {
        sum += pow(fabs(x[i]), a->alpha);
        largest = isnan(x[i]) ? x[i] : fmax(largest, fabs(x[i]));
        smallest = isnan(x[i]) ? x[i] : fmin(smallest, fabs(x[i]));
    }
    if (n == 0)
        return 0;
    if (isinf(a->alpha))
        return a->alpha > 0 ? largest : smallest;
    return pow(sum, 1 / a->alpha);
}

static double logsumexp_of(const struct op_args *a, const double *x, int64_t n)
{
    double sum = 0;
    (void)a;
    for (int64_t i = 0; i < n; i++)
        sum += exp(x[i]);
    return log(sum);
}

static double all_of(const struct op_args *a, const double *x, int64_t n)
{
    return product_of(a, x, n) != 0;
}

static double any_of(const struct op_args *a, const double *x, int64_t n)
{
    return sum_of(a, x, n) != 0 || max_of(a, x, n) > 0;
}

REDUCE_ALL(max, max_of)
REDUCE_ALL(min, min_of)
REDUCE_DIM(max_dim, max_of)
REDUCE_DIM(min_dim, min_of)
REDUCE_DIMS(amax, max_of)
REDUCE_DIMS(amin, min_of)
REDUCE_DIM(argmax, argmax_of)
REDUCE_DIM(argmin, argmin_of)
REDUCE_ALL(prod, product_of)
REDUCE_DIM(prod_dim, product_of)
REDUCE_DIMS(var, variance_of)
REDUCE_DIMS(std, deviation_of)
REDUCE_DIMS(norm, norm_of)
REDUCE_DIMS(vector_norm, norm_of)
REDUCE_DIMS(logsumexp, logsumexp_of)
REDUCE_DIM(all, all_of)
REDUCE_DIM(any, any_of)

/* Along a line: value is of x, an element, and y, what has come so far, at first `start`. */
#define RUNNING(fn, value, start)                                                                  \
    void reference_##fn(const struct op_args *a, const struct values *in, struct values *out)      \
    {                                                                                              \
        int64_t step = 1, n = in->shape.rank ? in->shape.dim[a->dim] : 1;                          \
        for (int d = a->dim + 1; d < in->shape.rank; d++)                                          \
            step *= in->shape.dim[d];                                                              \
        out->shape = in->shape;                                                                    \
        for (int64_t i = 0; i < shape_count(&in->shape); i++) {                                    \
            const double x = in->x[i], y = i / step % n ? out->x[i - step] : (start);              \
            out->x[i] = value;                                                                     \
        }                                                                                          \
    }
RUNNING(cumsum, y + x, 0)
RUNNING(cumprod, y *x, 1)
