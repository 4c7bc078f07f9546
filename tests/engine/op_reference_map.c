/* The references of the elementwise rows. */
#include <math.h>

#include "tests/engine/op_reference.h"

BINARY(add, p + alpha * q)
BINARY(sub, p - alpha * q)
BINARY(mul, p *q)
BINARY(div, p / q)
BINARY(pow_tensor, pow(p, q))
BINARY(remainder, p - q * floor(p / q))
BINARY(floor_divide, floor(p / q))
BINARY(floor_divide_, floor(p / q))
BINARY(div_floor, floor(p / q))
BINARY(div_trunc, trunc(p / q))
BINARY(rsub_tensor, q - alpha * p)
BINARY(maximum, p > q ? p : q)
BINARY(minimum, p < q ? p : q)
BINARY(clamp_min_tensor, p > q ? p : q)
BINARY(clamp_max_tensor, p < q ? p : q)

UNARY(rsub, a->alpha - a->beta * x)
UNARY(neg, -x)
UNARY(pow, pow(x, a->alpha))
UNARY(zero, 0 * x)
UNARY(fill_number, a->alpha + 0 * x)
UNARY(fill_tensor, in[1].x[0] + 0 * x)
UNARY(overwrite, in[2].x[i] + 0 * x)
UNARY(copy, seen(&in[1], &y->shape, i) + 0 * x)

UNARY(abs, fabs(x))
UNARY(sign, x > 0 ? 1 : -1)
UNARY(floor, floor(x))
UNARY(ceil, ceil(x))
UNARY(round, nearbyint(x))
UNARY(trunc, trunc(x))
UNARY(round_decimals, nearbyint(x *pow(10, (double)a->start)) / pow(10, (double)a->start))
UNARY(reciprocal, 1 / x)
UNARY(sqrt, sqrt(x))
UNARY(rsqrt, 1 / sqrt(x))
UNARY(exp, exp(x))
UNARY(exp2, exp2(x))
UNARY(expm1, expm1(x))
UNARY(log, log(x))
UNARY(log1p, log1p(x))
UNARY(log2, log2(x))
UNARY(log10, log10(x))
UNARY(sin, sin(x))
UNARY(cos, cos(x))
UNARY(tan, tan(x))
UNARY(sinh, sinh(x))
UNARY(cosh, cosh(x))
UNARY(atan, atan(x))
UNARY(erf, erf(x))

UNARY(relu, x > 0 ? x : 0)
UNARY(leaky_relu, x > 0 ? x : a->alpha * x)
UNARY(leaky_relu_, x > 0 ? x : a->alpha * x)
UNARY(sigmoid, 1 / (1 + exp(-x)))
UNARY(tanh, tanh(x))
UNARY(silu, x / (1 + exp(-x)))
UNARY(gelu, a->tanh ? 0.5 * x *(1 + tanh(sqrt(2 / acos(-1.0)) * (x + 0.044715 * pow(x, 3))))
                    : 0.5 * x * (1 + erf(x / sqrt(2.0))))
UNARY(elu, x > 0 ? x : a->alpha * expm1(x))
UNARY(elu_, x > 0 ? x : a->alpha * expm1(x))
UNARY(softplus, a->alpha *x > a->beta ? x : log1p(exp(a->alpha * x)) / a->alpha)
UNARY(log_sigmoid, -log1p(exp(-x)))

/* The larger of x and low, but high if that is smaller; a NaN for a bound is none. */
static double clamped(double x, double low, double high)
{
    double y = x < low ? low : x;
    return y > high ? high : y;
}
UNARY(clamp, clamped(x, a->alpha, a->beta))
UNARY(hardtanh, clamped(x, a->alpha, a->beta))

#define TERNARY(fn, value)                                                                         \
    void reference_##fn(const struct op_args *a, const struct values *in, struct values *y)        \
    {                                                                                              \
        struct shape pair;                                                                         \
        (void)a;                                                                                   \
        broadcast(&in[0].shape, &in[1].shape, &pair);                                              \
        broadcast(&pair, &in[2].shape, &y->shape);                                                 \
        for (int64_t i = 0; i < shape_count(&y->shape); i++) {                                     \
            const double p = seen(&in[0], &y->shape, i), q = seen(&in[1], &y->shape, i);           \
            const double r = seen(&in[2], &y->shape, i);                                           \
            y->x[i] = value;                                                                       \
        }                                                                                          \
    }
TERNARY(clamp_tensor, clamped(p, q, r))
TERNARY(where, p != 0 ? q : r)

BINARY(eq, p == q)
BINARY(ne, p != q)
BINARY(lt, p < q)
BINARY(le, p <= q)
BINARY(gt, p > q)
BINARY(ge, p >= q)
BINARY(logical_and, p != 0 && q != 0)
BINARY(logical_or, p != 0 || q != 0)
BINARY(logical_xor, (p != 0) != (q != 0))
UNARY(logical_not, x == 0)
UNARY(isnan, isnan(x))
UNARY(isfinite, isfinite(x))
UNARY(isinf, isinf(x))
BINARY(bitwise_and, (double)((int64_t)p &(int64_t)q))
BINARY(bitwise_or, (double)((int64_t)p | (int64_t)q))
BINARY(bitwise_xor, (double)((int64_t)p ^ (int64_t)q))
UNARY(bitwise_not, (double)~(int64_t)x)
