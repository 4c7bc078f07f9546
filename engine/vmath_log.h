/* engine/vmath_log.h - functions that need the logarithm to more digits than a double has.
 *
 * As vmath.h: fixed sequences of IEEE operations, for loops that are vectorized. Within 0.51 units
 * in the last place, pow in float64 within 1.1: the powers of 2 and of 10 have whole logarithms.
 * A number of some 105 bits is the unevaluated sum of two doubles.
 */
#ifndef ENGINE_VMATH_LOG_H
#define ENGINE_VMATH_LOG_H

#include <stdbool.h>

#include "engine/vmath.h"

struct wide {
    double high, low; /* |low| is at most half a unit of high's last place, or about */
};

static inline struct wide wide_product(struct wide a, struct wide b)
{
    double p = a.high * b.high;
    return (struct wide){p, product_rest(a.high, b.high, p) + (a.high * b.low + a.low * b.high)};
}

/* The sum of numbers of which a is the larger in magnitude. */
static inline struct wide wide_sum(struct wide a, struct wide b)
{
    double s = a.high + b.high;
    return (struct wide){s, ((a.high - s) + b.high) + (a.low + b.low)};
}

/* (log(1 + f) - 2 s) / s^3 = 2/3 + 2/5 s^2 + … where s = f / (2 + f), up to s^24. */
static inline struct wide log_series(struct wide z)
{
    double p = 0.080000000000000002;
    p = p * z.high + 0.086956521739130432;
    p = p * z.high + 0.095238095238095233;
    p = p * z.high + 0.10526315789473684;
    p = p * z.high + 0.11764705882352941;
    p = p * z.high + 0.13333333333333333;
    p = p * z.high + 0.15384615384615385;
    p = p * z.high + 0.18181818181818182;
    p = p * z.high + 0.22222222222222221;
    p = p * z.high + 0.2857142857142857;
    p = p * z.high + 0.40000000000000002;
    const struct wide first = {0x1.5555555555555p-1, 0x1.5555555555555p-55};
    return wide_sum(first, (struct wide){p * z.high, 0.0});
}

/* log(x) for a positive finite x, reduced as log_core_f64 does it. */
static inline struct wide log_wide(double x)
{
    double shift = x < 0x1p-1022 ? 54.0 : 0.0;
    x = x < 0x1p-1022 ? x * 0x1p54 : x;
    uint64_t u = bits_of_f64(x) + (0x3ff0000000000000 - 0x3fe6a09e667f3bcd);
    double k = f64_of_bits((u >> 52) | 0x4330000000000000) - (0x1p52 + 1023.0) - shift;
    double f = f64_of_bits((u & 0x000fffffffffffff) + 0x3fe6a09e667f3bcd) - 1.0;
    double d = 2.0 + f, d_low = f - (d - 2.0);
    struct wide s = {f / d, 0.0};
    double p = s.high * d;
    s.low = (((f - p) - product_rest(s.high, d, p)) - s.high * d_low) / d;
    struct wide z = wide_product(s, s);
    struct wide cubic = wide_product(s, wide_product(z, log_series(z)));
    struct wide mantissa = wide_sum((struct wide){2.0 * s.high, 2.0 * s.low}, cubic);
    struct wide exponent = {k * LN2_HIGH_F64, k * LN2_LOW_F64};
    struct wide y = wide_sum(exponent, mantissa);
    return wide_sum((struct wide){y.high, 0.0}, (struct wide){y.low, 0.0});
}

/* log(x) / log(base), of which factor is the reciprocal. */
static inline double log_by(double x, struct wide factor)
{
    bool ordinary = x > 0.0 && x < (double)INFINITY;
    struct wide y = wide_product(log_wide(ordinary ? x : 1.0), factor);
    double value = y.high + y.low;
    value = x == 0.0 ? -(double)INFINITY : value;
    value = x < 0.0 ? (double)NAN : value;
    return x < (double)INFINITY ? value : x;
}

static inline double log2_f64(double x)
{
    return log_by(x, (struct wide){0x1.71547652b82fep+0, 0x1.777d0ffda0d24p-56});
}

static inline double log10_f64(double x)
{
    return log_by(x, (struct wide){0x1.bcb7b1526e50ep-2, 0x1.95355baaafad3p-57});
}

static inline float log2_f32(float x)
{
    return (float)log2_f64((double)x);
}

static inline float log10_f32(float x)
{
    return (float)log10_f64((double)x);
}

/* Is x >= 0 an integer? */
static inline bool is_whole(double x)
{
    return x >= 0x1p52 || (x + 0x1p52) - 0x1p52 == x;
}

/* x^y, given `ordinary`, which is |x|^y where |x| is neither 0 nor infinite: C's Annex F. */
static inline double pow_cases(double x, double y, double ordinary)
{
    const double infinity = (double)INFINITY;
    double a = fabs(x), b = fabs(y);
    bool negative = copysign(1.0, x) < 0.0, whole = is_whole(b), odd = whole && !is_whole(0.5 * b);
    double v = a == 0.0 ? (y < 0.0 ? infinity : 0.0) : ordinary;
    v = a == infinity ? (y < 0.0 ? 0.0 : infinity) : v;
    v = a == 1.0 ? 1.0 : v;
    v = negative && odd ? -v : v;
    v = x < 0.0 && a < infinity && !whole ? (double)NAN : v;
    v = x != x || y != y ? (double)NAN : v;
    return x == 1.0 || y == 0.0 ? 1.0 : v;
}

/* e^(y log |x|). Beyond 2^70 an exponent makes infinity, 0 or 1 of anything. */
static inline double pow_f64(double x, double y)
{
    double a = fabs(x);
    double base = a > 0.0 && a < (double)INFINITY ? a : 1.0;
    double c = y > 0x1p70 ? 0x1p70 : y;
    c = c < -0x1p70 ? -0x1p70 : c;
    struct wide e = wide_product((struct wide){c, 0.0}, log_wide(base));
    e.low = fabs(e.high) < 800.0 ? e.low : 0.0;
    e.high = e.high < -746.0 ? -746.0 : e.high;
    e.high = e.high > 710.0 ? 710.0 : e.high;
    double n = (e.high * LOG2E + ROUND_F64) - ROUND_F64;
    double r = (e.high - n * LN2_HIGH_F64) + (e.low - n * LN2_LOW_F64);
    return pow_cases(x, y, scale_f64(1.0 + (r + r * r * exp_tail_f64(r)), n));
}

/* Single precision is left over by the plain logarithm in double. */
static inline float pow_f32(float x, float y)
{
    double a = fabs((double)x);
    double base = a > 0.0 && a < (double)INFINITY ? a : 1.0;
    return (float)pow_cases((double)x, (double)y, exp_f64((double)y * log_core_f64(base, 0.0)));
}

#endif
