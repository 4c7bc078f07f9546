#include "tests/engine/op_reference.h"

#include <math.h>

/* The i-th element of v, seen as a tensor of a shape that it broadcasts to. */
static double seen(const struct values *v, const struct shape *as, int64_t i)
{
    int64_t at = 0, step = 1;
    int d = as->rank - 1;
    for (int k = v->shape.rank - 1; k >= 0; k--, d--) {
        if (v->shape.dim[k] != 1)
            at += i % as->dim[d] * step;
        i /= as->dim[d];
        step *= v->shape.dim[k];
    }
    return v->x[at];
}

static void broadcast(const struct shape *a, const struct shape *b, struct shape *out)
{
    out->rank = a->rank > b->rank ? a->rank : b->rank;
    for (int d = 1; d <= out->rank; d++) {
        int64_t na = d <= a->rank ? a->dim[a->rank - d] : 1;
        int64_t nb = d <= b->rank ? b->dim[b->rank - d] : 1;
        out->dim[out->rank - d] = na == 1 ? nb : na;
    }
}

#define BINARY(fn, value)                                                                          \
    void reference_##fn(const struct op_args *a, const struct values *in, struct values *y)        \
    {                                                                                              \
        const double alpha = a->alpha;                                                             \
        (void)alpha;                                                                               \
        broadcast(&in[0].shape, &in[1].shape, &y->shape);                                          \
        for (int64_t i = 0; i < shape_count(&y->shape); i++) {                                     \
            const double p = seen(&in[0], &y->shape, i), q = seen(&in[1], &y->shape, i);           \
            y->x[i] = value;                                                                       \
        }                                                                                          \
    }
BINARY(add, p + alpha * q)
BINARY(sub, p - alpha * q)
BINARY(mul, p *q)

#define UNARY(fn, value)                                                                           \
    void reference_##fn(const struct op_args *a, const struct values *in, struct values *y)        \
    {                                                                                              \
        (void)a;                                                                                   \
        y->shape = in->shape;                                                                      \
        for (int64_t i = 0; i < shape_count(&y->shape); i++) {                                     \
            const double x = in->x[i];                                                             \
            y->x[i] = value;                                                                       \
        }                                                                                          \
    }
UNARY(abs, fabs(x))
UNARY(relu, x > 0 ? x : 0)
UNARY(leaky_relu, x > 0 ? x : a->alpha * x)
UNARY(sigmoid, 1 / (1 + exp(-x)))
UNARY(tanh, tanh(x))
UNARY(silu, x / (1 + exp(-x)))
UNARY(gelu, a->tanh ? 0.5 * x *(1 + tanh(sqrt(2 / acos(-1.0)) * (x + 0.044715 * pow(x, 3))))
                    : 0.5 * x * (1 + erf(x / sqrt(2.0))))

static double total(const struct values *v)
{
    double sum = 0;
    for (int64_t i = 0; i < shape_count(&v->shape); i++)
        sum += v->x[i];
    return sum;
}

void reference_sum(const struct op_args *a, const struct values *in, struct values *y)
{
    (void)a;
    y->shape.rank = 0;
    y->x[0] = total(in);
}

void reference_mean(const struct op_args *a, const struct values *in, struct values *y)
{
    (void)a;
    y->shape.rank = 0;
    y->x[0] = total(in) / (double)shape_count(&in->shape);
}

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

static void product(const struct values *p, const struct values *q, struct values *y)
{
    int64_t m = p->shape.dim[0], n = q->shape.dim[1], inner = p->shape.dim[1];
    y->shape = (struct shape){.rank = 2, .dim = {m, n}};
    for (int64_t i = 0; i < m * n; i++) {
        y->x[i] = 0;
        for (int64_t k = 0; k < inner; k++)
            y->x[i] += p->x[i / n * inner + k] * q->x[k * n + i % n];
    }
}

void reference_mm(const struct op_args *a, const struct values *in, struct values *y)
{
    (void)a;
    product(&in[0], &in[1], y);
}

void reference_addmm(const struct op_args *a, const struct values *in, struct values *y)
{
    (void)a;
    product(&in[1], &in[2], y);
    for (int64_t i = 0; i < shape_count(&y->shape); i++)
        y->x[i] += seen(&in[0], &y->shape, i);
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

/* Makes a scalar of y's elements. */
static void reduce(const struct op_args *a, struct values *y)
{
    double count = (double)shape_count(&y->shape);
    y->x[0] = a->reduction == REDUCTION_MEAN ? total(y) / count : total(y);
    y->shape.rank = 0;
}

void reference_nll_loss(const struct op_args *a, const struct values *in, struct values *y)
{
    const struct shape *s = &in[0].shape;
    int64_t inner = 1;
    for (int d = 2; d < s->rank; d++)
        inner *= s->dim[d];
    y->shape = in[1].shape;
    for (int64_t i = 0; i < shape_count(&y->shape); i++) {
        int64_t class = (int64_t)in[1].x[i];
        y->x[i] = -in[0].x[(i / inner * s->dim[1] + class) * inner + i % inner];
    }
    reduce(a, y);
}

#define LOSS(fn, value)                                                                            \
    void reference_##fn(const struct op_args *a, const struct values *in, struct values *y)        \
    {                                                                                              \
        y->shape = in[0].shape;                                                                    \
        for (int64_t i = 0; i < shape_count(&y->shape); i++) {                                     \
            const double x = in[0].x[i], t = in[1].x[i], d = fabs(x - t), p = a->alpha;            \
            (void)d, (void)p;                                                                      \
            y->x[i] = value;                                                                       \
        }                                                                                          \
        reduce(a, y);                                                                              \
    }
LOSS(mse_loss, d *d)
LOSS(smooth_l1_loss, d < p ? 0.5 * d * d / p : d - 0.5 * p)
LOSS(huber_loss, d <= p ? 0.5 * d * d : p * (d - 0.5 * p))
LOSS(bce_with_logits, -(t *log(1 / (1 + exp(-x))) + (1 - t) * log(1 - 1 / (1 + exp(-x)))))
