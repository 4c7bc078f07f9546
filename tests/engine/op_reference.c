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

/* y = value, of x, an element, and lse, the log(sum(exp)) of the line along a->dim that it lies on.
 */
#define ALONG_LINES(fn, value)                                                                     \
    void reference_##fn(const struct op_args *a, const struct values *in, struct values *y)        \
    {                                                                                              \
        const int dim = a->dim + (a->dim < 0 ? in->shape.rank : 0);                                \
        int64_t n = in->shape.rank ? in->shape.dim[dim] : 1, step = 1;                             \
        double sum[VALUES_MAX] = {0};                                                              \
        for (int d = dim + 1; d < in->shape.rank; d++)                                             \
            step *= in->shape.dim[d];                                                              \
        y->shape = in->shape;                                                                      \
        for (int64_t i = 0; i < shape_count(&y->shape); i++)                                       \
            sum[i - i / step % n * step] += exp(in->x[i]);                                         \
        for (int64_t i = 0; i < shape_count(&y->shape); i++) {                                     \
            const double x = in->x[i], lse = log(sum[i - i / step % n * step]);                    \
            y->x[i] = value;                                                                       \
        }                                                                                          \
    }

ALONG_LINES(log_softmax, x - lse)
ALONG_LINES(softmax, exp(x - lse))

/* ---- losses -------------------------------------------------------------------------------- */

static double total(const struct values *v)
{
    double sum = 0;
    for (int64_t i = 0; i < shape_count(&v->shape); i++)
        sum += v->x[i];
    return sum;
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
