#include "tests/engine/op_reference.h"

#include <math.h>
#include <string.h>

double seen(const struct values *v, const struct shape *as, int64_t i)
{
    int64_t at = 0, step = 1;
    int d = as->rank - 1;
    for (int k = v->shape.rank - 1; k >= 0 && d >= 0; k--, d--) {
        if (v->shape.dim[k] != 1)
            at += i % as->dim[d] * step;
        i /= as->dim[d];
        step *= v->shape.dim[k];
    }
    return v->x[at];
}

void broadcast(const struct shape *a, const struct shape *b, struct shape *out)
{
    out->rank = a->rank > b->rank ? a->rank : b->rank;
    for (int d = 1; d <= out->rank; d++) {
        int64_t na = d <= a->rank ? a->dim[a->rank - d] : 1;
        int64_t nb = d <= b->rank ? b->dim[b->rank - d] : 1;
        out->dim[out->rank - d] = na == 1 ? nb : na;
    }
}

/* ---- reductions ---------------------------------------------------------------------------- */

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
    for (int64_t i = 0; i < shape_count(&y->shape); i++) {
        double group[VALUES_MAX];
        int64_t n = 0;
        for (int64_t j = 0; j < shape_count(&in->shape); j++)
            if (reduced_index(&in->shape, dims, j) == i)
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

void reference_cumsum(const struct op_args *a, const struct values *in, struct values *y)
{
    int64_t step = 1, n = in->shape.rank ? in->shape.dim[a->dim] : 1;
    for (int d = a->dim + 1; d < in->shape.rank; d++)
        step *= in->shape.dim[d];
    y->shape = in->shape;
    for (int64_t i = 0; i < shape_count(&in->shape); i++)
        y->x[i] = in->x[i] + (i / step % n ? y->x[i - step] : 0);
}

/* ---- views --------------------------------------------------------------------------------- */

void reference_t(const struct op_args *a, const struct values *in, struct values *y)
{
    (void)a;
    *y = *in;
    if (in->shape.rank < 2)
        return;
    int64_t m = in->shape.dim[0], n = in->shape.dim[1];
    y->shape.dim[0] = n;
    y->shape.dim[1] = m;
    for (int64_t i = 0; i < m * n; i++)
        y->x[i % n * m + i / n] = in->x[i];
}

void reference_view(const struct op_args *a, const struct values *in, struct values *y)
{
    *y = *in;
    y->shape = a->shape;
}

/* y's elements are those of in that at() says, by their index in y. */
typedef void at_fn(const struct op_args *a, const struct shape *in, int64_t index[RANK_MAX]);

static void pick_elements(const struct op_args *a, const struct values *in, struct values *y,
                          at_fn *at)
{
    for (int64_t i = 0; i < shape_count(&y->shape); i++) {
        int64_t index[RANK_MAX] = {0}, left = i, from = 0;
        for (int d = y->shape.rank - 1; d >= 0; d--) {
            index[d] = left % y->shape.dim[d];
            left /= y->shape.dim[d];
        }
        at(a, &in->shape, index);
        for (int d = 0; d < in->shape.rank; d++)
            from = from * in->shape.dim[d] + index[d];
        y->x[i] = in->x[from];
    }
}

static void at_transposed(const struct op_args *a, const struct shape *in, int64_t *index)
{
    int64_t at = index[a->dim];
    (void)in;
    index[a->dim] = index[a->dim2];
    index[a->dim2] = at;
}

void reference_transpose(const struct op_args *a, const struct values *in, struct values *y)
{
    y->shape = in->shape;
    at_transposed(a, NULL, y->shape.dim);
    pick_elements(a, in, y, at_transposed);
}

static void at_permuted(const struct op_args *a, const struct shape *in, int64_t *index)
{
    int64_t at[RANK_MAX];
    for (int d = 0; d < in->rank; d++)
        at[a->shape.dim[d]] = index[d];
    memcpy(index, at, (size_t)in->rank * sizeof *at);
}

void reference_permute(const struct op_args *a, const struct values *in, struct values *y)
{
    y->shape.rank = in->shape.rank;
    for (int d = 0; d < in->shape.rank; d++)
        y->shape.dim[d] = in->shape.dim[a->shape.dim[d]];
    pick_elements(a, in, y, at_permuted);
}

/* in without the dimensions of 1 among `dims`. */
static void squeeze(const struct values *in, unsigned dims, struct values *y)
{
    *y = *in;
    y->shape.rank = 0;
    for (int d = 0; d < in->shape.rank; d++)
        if (in->shape.dim[d] != 1 || !(dims >> d & 1))
            y->shape.dim[y->shape.rank++] = in->shape.dim[d];
}

void reference_squeeze(const struct op_args *a, const struct values *in, struct values *y)
{
    (void)a;
    squeeze(in, ~0u, y);
}

void reference_squeeze_dim(const struct op_args *a, const struct values *in, struct values *y)
{
    squeeze(in, 1u << a->dim, y);
}

void reference_unsqueeze(const struct op_args *a, const struct values *in, struct values *y)
{
    *y = *in;
    y->shape.rank++;
    for (int d = y->shape.rank - 1; d > a->dim; d--)
        y->shape.dim[d] = in->shape.dim[d - 1];
    y->shape.dim[a->dim] = 1;
}

void reference_expand(const struct op_args *a, const struct values *in, struct values *y)
{
    y->shape = a->shape;
    int pad = a->shape.rank - in->shape.rank;
    for (int d = pad; d < a->shape.rank; d++)
        y->shape.dim[d] = a->shape.dim[d] == -1 ? in->shape.dim[d - pad] : a->shape.dim[d];
    for (int64_t i = 0; i < shape_count(&y->shape); i++)
        y->x[i] = seen(in, &y->shape, i);
}

static void at_sliced(const struct op_args *a, const struct shape *in, int64_t *index)
{
    (void)in;
    index[a->dim] = a->start + index[a->dim] * a->step;
}

void reference_slice(const struct op_args *a, const struct values *in, struct values *y)
{
    int64_t n = 0;
    for (int64_t i = a->start; i < a->end && i < in->shape.dim[a->dim]; i += a->step)
        n++;
    y->shape = in->shape;
    y->shape.dim[a->dim] = n;
    pick_elements(a, in, y, at_sliced);
}

static void at_selected(const struct op_args *a, const struct shape *in, int64_t *index)
{
    for (int d = in->rank - 1; d > a->dim; d--)
        index[d] = index[d - 1];
    index[a->dim] = a->start < 0 ? a->start + in->dim[a->dim] : a->start;
}

void reference_select(const struct op_args *a, const struct values *in, struct values *y)
{
    y->shape.rank = in->shape.rank - 1;
    for (int d = 0; d < y->shape.rank; d++)
        y->shape.dim[d] = in->shape.dim[d < a->dim ? d : d + 1];
    pick_elements(a, in, y, at_selected);
}

/* ---- moves --------------------------------------------------------------------------------- */

void reference_clone(const struct op_args *a, const struct values *in, struct values *y)
{
    (void)a;
    *y = *in;
}

void reference_to_copy(const struct op_args *a, const struct values *in, struct values *y)
{
    (void)a;
    *y = *in;
}

/* The inputs beside each other along dim: for each index of the dimensions before it, what the
 * inputs have there, one after the other. */
static void lay_beside(const struct values *in, int dim, struct values *y)
{
    int64_t at = 0, outer = 1;
    for (int d = 0; d < dim; d++)
        outer *= y->shape.dim[d];
    for (int64_t o = 0; o < outer; o++)
        for (int i = 0; in[i].shape.rank >= 0; i++) {
            int64_t n = shape_count(&in[i].shape) / outer;
            for (int64_t j = 0; j < n; j++)
                y->x[at++] = in[i].x[o * n + j];
        }
}

void reference_cat(const struct op_args *a, const struct values *in, struct values *y)
{
    int64_t length = 0;
    y->shape = in[0].shape;
    for (int i = 0; in[i].shape.rank >= 0; i++) {
        bool skipped = in[i].shape.rank == 1 && in[i].shape.dim[0] == 0;
        if (!skipped)
            y->shape = in[i].shape;
        length += skipped ? 0 : in[i].shape.dim[a->dim];
    }
    y->shape.dim[a->dim] = length;
    if (shape_count(&y->shape))
        lay_beside(in, a->dim, y);
}

void reference_stack(const struct op_args *a, const struct values *in, struct values *y)
{
    reference_unsqueeze(a, in, y);
    while (in[y->shape.dim[a->dim]].shape.rank >= 0)
        y->shape.dim[a->dim]++;
    if (shape_count(&y->shape))
        lay_beside(in, a->dim, y);
}

/* ---- indices ------------------------------------------------------------------------------- */

/* x[…] with the indices from in[first] on, of the dimensions in a->dims. */
struct subscript {
    const struct values *index;
    const struct shape *x;
    struct shape indices; /* broadcast */
    unsigned dims;
    int start; /* of the indices' dimensions in the result */
};

static struct subscript subscript(const struct op_args *a, const struct values *in, int first)
{
    struct subscript s = {.index = in + first, .x = &in->shape, .dims = a->dims};
    int from = 0, to = 0;
    for (int k = first; in[k].shape.rank >= 0; k++) {
        struct shape so_far = s.indices;
        broadcast(&so_far, &in[k].shape, &s.indices);
    }
    while (!(a->dims >> from & 1))
        from++;
    for (int d = 0; d < in->shape.rank; d++)
        to = a->dims >> d & 1 ? d + 1 : to;
    bool adjacent = to - from == __builtin_popcount(a->dims);
    s.start = adjacent ? from : 0;
    return s;
}

static void subscript_shape(const struct subscript *s, struct shape *out)
{
    int rank = 0;
    for (int d = 0; d <= s->x->rank; d++) {
        if (rank == s->start) /* never again: the rank grows */
            for (int k = 0; k < s->indices.rank; k++)
                out->dim[rank++] = s->indices.dim[k];
        if (d < s->x->rank && !(s->dims >> d & 1))
            out->dim[rank++] = s->x->dim[d];
    }
    out->rank = rank;
}

/* Where the r-th element of the result lies in x. */
static int64_t subscript_place(const struct subscript *s, const struct shape *result, int64_t r)
{
    int64_t at[RANK_MAX] = {0}, place = 0, m = 0;
    for (int d = result->rank - 1; d >= 0; d--) {
        at[d] = r % result->dim[d];
        r /= result->dim[d];
    }
    for (int k = 0; k < s->indices.rank; k++)
        m = m * s->indices.dim[k] + at[s->start + k];
    const struct values *index = s->index;
    for (int d = 0, next = 0; d < s->x->rank; d++) {
        int64_t i;
        if (s->dims >> d & 1) {
            i = (int64_t)seen(index++, &s->indices, m);
            i += i < 0 ? s->x->dim[d] : 0;
        } else {
            i = at[next < s->start ? next : next + s->indices.rank];
            next++;
        }
        place = place * s->x->dim[d] + i;
    }
    return place;
}

void reference_index(const struct op_args *a, const struct values *in, struct values *y)
{
    struct subscript s = subscript(a, in, 1);
    subscript_shape(&s, &y->shape);
    for (int64_t r = 0; r < shape_count(&y->shape); r++)
        y->x[r] = in->x[subscript_place(&s, &y->shape, r)];
}

void reference_index_put(const struct op_args *a, const struct values *in, struct values *y)
{
    struct subscript s = subscript(a, in, 2);
    struct shape result;
    *y = *in;
    subscript_shape(&s, &result);
    for (int64_t r = 0; r < shape_count(&result); r++)
        y->x[subscript_place(&s, &result, r)] = seen(&in[1], &result, r);
}

void reference_index_select(const struct op_args *a, const struct values *in, struct values *y)
{
    struct op_args along = {.dims = 1u << a->dim};
    reference_index(&along, in, y);
}

void reference_gather(const struct op_args *a, const struct values *in, struct values *y)
{
    y->shape = in[1].shape;
    for (int64_t i = 0; i < shape_count(&y->shape); i++) {
        int64_t left = i, place = 0, step = 1;
        for (int d = in->shape.rank - 1; d >= 0; d--) {
            int64_t at = left % y->shape.dim[d];
            place += (d == a->dim ? (int64_t)in[1].x[i] : at) * step;
            left /= y->shape.dim[d];
            step *= in->shape.dim[d];
        }
        y->x[i] = in->x[place];
    }
}

/* Row by row, the index of each element that is not 0. */
void reference_nonzero(const struct op_args *a, const struct values *in, struct values *y)
{
    int rank = in->shape.rank;
    int64_t found = 0;
    (void)a;
    for (int64_t i = 0; i < shape_count(&in->shape); i++) {
        int64_t left = i;
        if (in->x[i] == 0)
            continue;
        for (int d = rank - 1; d >= 0; d--) {
            y->x[found * rank + d] = (double)(left % in->shape.dim[d]);
            left /= in->shape.dim[d];
        }
        found++;
    }
    y->shape = (struct shape){.rank = 2, .dim = {found, rank}};
}

void reference_masked_fill(const struct op_args *a, const struct values *in, struct values *y)
{
    broadcast(&in[0].shape, &in[1].shape, &y->shape);
    for (int64_t i = 0; i < shape_count(&y->shape); i++)
        y->x[i] = seen(&in[1], &y->shape, i) != 0 ? a->alpha : seen(&in[0], &y->shape, i);
}

static void keep_where(const struct values *in, struct values *y, int64_t above, int64_t below)
{
    int64_t rows = in->shape.dim[in->shape.rank - 2], columns = in->shape.dim[in->shape.rank - 1];
    *y = *in;
    for (int64_t i = 0; i < shape_count(&in->shape); i++) {
        int64_t right = i % columns - i / columns % rows;
        y->x[i] = right >= above && right <= below ? in->x[i] : 0;
    }
}

void reference_triu(const struct op_args *a, const struct values *in, struct values *y)
{
    keep_where(in, y, a->start, INT64_MAX);
}

void reference_tril(const struct op_args *a, const struct values *in, struct values *y)
{
    keep_where(in, y, INT64_MIN, a->start);
}

static void at_flipped(const struct op_args *a, const struct shape *in, int64_t *index)
{
    for (int d = 0; d < in->rank; d++)
        index[d] = a->dims >> d & 1 ? in->dim[d] - 1 - index[d] : index[d];
}

void reference_flip(const struct op_args *a, const struct values *in, struct values *y)
{
    y->shape = in->shape;
    pick_elements(a, in, y, at_flipped);
}

/* ---- products ------------------------------------------------------------------------------ */

/* Matrices one after the other; a vector is one of one column. */
struct stack {
    int64_t count, rows, columns;
};

static struct stack stack_of(const struct values *v)
{
    const int64_t *dim = v->shape.dim;
    return v->shape.rank == 3   ? (struct stack){dim[0], dim[1], dim[2]}
           : v->shape.rank == 2 ? (struct stack){1, dim[0], dim[1]}
                                : (struct stack){1, dim[0], 1};
}

/* alpha p q + beta add, if there is something to add. */
static void product(const struct op_args *a, const struct values *add, const struct values *p,
                    const struct values *q, struct values *y)
{
    struct stack sp = stack_of(p), sq = stack_of(q);
    int64_t each = sp.rows * sq.columns;
    y->shape = p->shape;
    y->shape.rank += q->shape.rank - (p->shape.rank > 2 ? 3 : 2);
    if (q->shape.rank > 1)
        y->shape.dim[y->shape.rank - 1] = sq.columns;
    for (int64_t i = 0; i < sp.count * each; i++) {
        double sum = 0;
        for (int64_t k = 0; k < sp.columns; k++)
            sum += p->x[i / sq.columns * sp.columns + k] *
                   q->x[(i / each * sq.rows + k) * sq.columns + i % sq.columns];
        y->x[i] = add ? a->alpha * sum : sum;
        if (add && a->beta != 0)
            y->x[i] += a->beta * seen(add, &y->shape, i);
    }
}

#define PRODUCT(fn)                                                                                \
    void reference_##fn(const struct op_args *a, const struct values *in, struct values *y)        \
    {                                                                                              \
        product(a, NULL, &in[0], &in[1], y);                                                       \
    }
#define SUM_OF_PRODUCT(fn)                                                                         \
    void reference_##fn(const struct op_args *a, const struct values *in, struct values *y)        \
    {                                                                                              \
        product(a, &in[0], &in[1], &in[2], y);                                                     \
    }
PRODUCT(mm)
PRODUCT(mv)
PRODUCT(bmm)
SUM_OF_PRODUCT(addmm)
SUM_OF_PRODUCT(addmv)
SUM_OF_PRODUCT(baddbmm)

void reference_dot(const struct op_args *a, const struct values *in, struct values *y)
{
    (void)a;
    y->shape.rank = 0;
    y->x[0] = 0;
    for (int64_t k = 0; k < in->shape.dim[0]; k++)
        y->x[0] += in[0].x[k] * in[1].x[k];
}

/* The number at (n, c, row, column) of an image; 0 in the padding. */
static double pixel(const struct values *x, int64_t n, int64_t c, int64_t row, int64_t column)
{
    const int64_t *dim = x->shape.dim;
    if (row < 0 || row >= dim[2] || column < 0 || column >= dim[3])
        return 0;
    return x->x[((n * dim[1] + c) * dim[2] + row) * dim[3] + column];
}

/* The output (n, out, row, column). */
static double filtered(const struct conv *k, const struct values *in, int64_t n, int64_t out,
                       int64_t row, int64_t column)
{
    const int64_t *w = in[1].shape.dim;
    int64_t first = out / (w[0] / k->groups) * w[1];
    double sum = in[2].shape.rank < 0 ? 0 : in[2].x[out];
    row = row * k->stride[0] - k->padding[0];
    column = column * k->stride[1] - k->padding[1];
    for (int64_t c = 0; c < w[1]; c++)
        for (int64_t i = 0; i < w[2]; i++)
            for (int64_t j = 0; j < w[3]; j++)
                sum += in[1].x[((out * w[1] + c) * w[2] + i) * w[3] + j] *
                       pixel(&in[0], n, first + c, row + i * k->dilation[0],
                             column + j * k->dilation[1]);
    return sum;
}

void reference_convolution(const struct op_args *a, const struct values *in, struct values *y)
{
    const int64_t *x = in[0].shape.dim, *w = in[1].shape.dim;
    int64_t *dim = y->shape.dim, at = 0;
    y->shape.rank = 4;
    dim[0] = x[0];
    dim[1] = x[1] ? w[0] : 0;
    for (int i = 0; i < 2; i++)
        dim[2 + i] =
            (x[2 + i] + 2 * a->conv.padding[i] - a->conv.dilation[i] * (w[2 + i] - 1) - 1) /
                a->conv.stride[i] +
            1;
    for (int64_t n = 0; n < dim[0]; n++)
        for (int64_t out = 0; out < dim[1]; out++)
            for (int64_t i = 0; i < dim[2]; i++)
                for (int64_t j = 0; j < dim[3]; j++)
                    y->x[at++] = filtered(&a->conv, in, n, out, i, j);
}

/* log(sum(exp)) of the line along dim that element i lies on. */
static double log_sum_exp(const struct values *v, int dim, int64_t i)
{
    int64_t n = 1, step = 1;
    double sum = 0;
    if (v->shape.rank > 0) {
        dim += dim < 0 ? v->shape.rank : 0;
        n = v->shape.dim[dim];
    }
    for (int d = dim + 1; d < v->shape.rank; d++)
        step *= v->shape.dim[d];
    int64_t first = i - i / step % n * step;
    for (int64_t k = 0; k < n; k++)
        sum += exp(v->x[first + k * step]);
    return log(sum);
}

UNARY(log_softmax, x - log_sum_exp(in, a->dim, i))
UNARY(softmax, exp(x - log_sum_exp(in, a->dim, i)))

/* ---- losses -------------------------------------------------------------------------------- */

static double total(const struct values *v)
{
    return sum_of(NULL, v->x, shape_count(&v->shape));
}

/* Makes a scalar of y's elements, whose weights come to total. */
static void reduce(const struct op_args *a, struct values *y, double weights)
{
    if (a->reduction == REDUCTION_NONE)
        return;
    y->x[0] = a->reduction == REDUCTION_MEAN ? total(y) / weights : total(y);
    y->shape.rank = 0;
}

void reference_nll_loss(const struct op_args *a, const struct values *in, struct values *y)
{
    const struct shape *s = &in[0].shape;
    int64_t inner = 1, classes = s->dim[s->rank > 1];
    double weights = 0;
    for (int d = 2; d < s->rank; d++)
        inner *= s->dim[d];
    y->shape = in[1].shape;
    for (int64_t i = 0; i < shape_count(&y->shape); i++) {
        int64_t class = (int64_t)in[1].x[i];
        double weight = class == a->ignore_index ? 0 : in[2].shape.rank < 0 ? 1 : in[2].x[class];
        y->x[i] = -weight * in[0].x[(i / inner * classes + class) * inner + i % inner];
        weights += weight;
    }
    reduce(a, y, weights);
}

void reference_nll_loss2d(const struct op_args *a, const struct values *in, struct values *y)
{
    reference_nll_loss(a, in, y);
}

/* The i-th element's weight, if the optional input has one. */
static double weight_at(const struct values *weight, const struct shape *as, int64_t i)
{
    return weight->shape.rank < 0 ? 1 : seen(weight, as, i);
}

#define LOSS(fn, value)                                                                            \
    void reference_##fn(const struct op_args *a, const struct values *in, struct values *y)        \
    {                                                                                              \
        y->shape = in[0].shape;                                                                    \
        for (int64_t i = 0; i < shape_count(&y->shape); i++) {                                     \
            const double x = in[0].x[i], t = in[1].x[i], d = fabs(x - t), p = a->alpha;            \
            (void)d, (void)p;                                                                      \
            y->x[i] = (value)*weight_at(&in[2], &y->shape, i);                                     \
        }                                                                                          \
        reduce(a, y, (double)shape_count(&in[0].shape));                                           \
    }
LOSS(mse_loss, d *d)
LOSS(smooth_l1_loss, d < p ? 0.5 * d * d / p : d - 0.5 * p)
LOSS(huber_loss, d <= p ? 0.5 * d * d : p * (d - 0.5 * p))
LOSS(binary_cross_entropy, -(t *log(x) + (1 - t) * log(1 - x)))
LOSS(binary_cross_entropy_with_logits,
     -(weight_at(&in[3], &y->shape, i) * t * log(1 / (1 + exp(-x))) +
       (1 - t) * log(1 - 1 / (1 + exp(-x)))))
