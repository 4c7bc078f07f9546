/* engine/vmath.h - elementary functions that loops can be vectorized over.
 *
 * Every function is a fixed sequence of IEEE additions, multiplications, divisions and selections:
 * no branch, table, libm call or fused multiply-add, so that an element has the same bits in a
 * vector of any width and on any machine (libm picks its code by CPU). Written for -O3 loops with
 * -fno-math-errno -fno-trapping-math -ffp-contract=off; the selections compile to blends.
 *
 * Infinities, NaN, signed zeros and denormal numbers come out as C's Annex F says. The errors, in
 * units in the last place, are those that tests/engine/test_vmath.c holds them to:
 *              f32   f64                                   f32   f64
 *   exp        1     1           tanh                      2.5   2.5
 *   expm1      1.5   1.5         sigmoid                   2.5   2.5
 *   log        1     1           log1p_exp                 2     2
 *   log1p      1     1           erf                       1.5   1.5
 *   exp2       0.51  1.1         sinh, cosh                0.51  2
 * vmath_angle.h has sin, cos, tan and atan, vmath_log.h log2, log10 and pow.
 * normal_cdf and normal_pdf err by the same order, but of the size of their maximum (PyTorch's
 * formulas: the tails are as coarse as there).
 * The polynomials' coefficients are our own least-squares fits at Chebyshev nodes, computed with
 * 260 bits and rounded one after the other, each time fitting the rest again.
 */
#ifndef ENGINE_VMATH_H
#define ENGINE_VMATH_H

#include <math.h>
#include <stdint.h>
#include <string.h>

static inline uint32_t bits_of_f32(float x)
{
    uint32_t u;
    memcpy(&u, &x, sizeof u);
    return u;
}

static inline float f32_of_bits(uint32_t u)
{
    float x;
    memcpy(&x, &u, sizeof x);
    return x;
}

static inline uint64_t bits_of_f64(double x)
{
    uint64_t u;
    memcpy(&u, &x, sizeof u);
    return u;
}

static inline double f64_of_bits(uint64_t u)
{
    double x;
    memcpy(&x, &u, sizeof x);
    return x;
}

/* Adding this leaves no room for a fraction, so that the sum is rounded to an integer, which is
 * then found in its low bits. For |x| < 2^22 and 2^51. */
#define ROUND_F32 0x1.8p23f
#define ROUND_F64 0x1.8p52

/* ln 2 in two parts: the first is short enough that n times it is exact. */
#define LN2_HIGH_F32 0x1.62e4p-1f
#define LN2_LOW_F32  0x1.7f7d1cp-20f
#define LN2_HIGH_F64 0x1.62e42feep-1
#define LN2_LOW_F64  0x1.a39ef35793c76p-33
#define LOG2E        0x1.71547652b82fep+0

/* 2^n for an integer n of normal range. */
static inline float power2_f32(float n)
{
    return f32_of_bits((bits_of_f32(n + ROUND_F32) << 23) + ((uint32_t)127 << 23));
}

static inline double power2_f64(double n)
{
    return f64_of_bits((bits_of_f64(n + ROUND_F64) << 52) + ((uint64_t)1023 << 52));
}

/* x 2^n in two exact steps but the last: overflows and denormal results are rounded once. */
static inline float scale_f32(float x, float n)
{
    float half = (n * 0.5f + ROUND_F32) - ROUND_F32;
    return x * power2_f32(half) * power2_f32(n - half);
}

static inline double scale_f64(double x, double n)
{
    double half = (n * 0.5 + ROUND_F64) - ROUND_F64;
    return x * power2_f64(half) * power2_f64(n - half);
}

/* What p = a b, rounded, lost: the factors are split into halves whose products are exact (T. J.
 * Dekker, "A floating-point technique for extending the available precision", 1971). */
static inline double product_rest(double a, double b, double p)
{
    const double splitter = 0x1p27 + 1.0;
    double ta = a * splitter, tb = b * splitter;
    double ah = ta - (ta - a), bh = tb - (tb - b);
    double al = a - ah, bl = b - bh;
    return ((ah * bh - p) + ah * bl + al * bh) + al * bl;
}

/* (e^r - 1 - r) / r^2 for |r| <= ln(2) / 2 */
static inline float exp_tail_f32(float r)
{
    float p = 0.000199584669f;
    p = p * r + 0.00139336998f;
    p = p * r + 0.00833319221f;
    p = p * r + 0.0416664779f;
    p = p * r + 0.166666672f;
    return p * r + 0.5f;
}

static inline double exp_tail_f64(double r)
{
    double p = 2.0919500327140614e-09;
    p = p * r + 2.5109178722745544e-08;
    p = p * r + 2.7557259207032507e-07;
    p = p * r + 2.7557243786127943e-06;
    p = p * r + 2.4801587340616703e-05;
    p = p * r + 0.00019841269886569808;
    p = p * r + 0.0013888888888877445;
    p = p * r + 0.0083333333333214417;
    p = p * r + 0.041666666666666678;
    p = p * r + 0.16666666666666677;
    return p * r + 0.5;
}

/* e^x = 2^n e^r with r = x - n ln 2. The bounds give infinity and 0 by themselves. */
static inline float exp_f32(float x)
{
    x = x < -104.0f ? -104.0f : x;
    x = x > 89.0f ? 89.0f : x;
    float n = (x * (float)LOG2E + ROUND_F32) - ROUND_F32;
    float r = (x - n * LN2_HIGH_F32) - n * LN2_LOW_F32;
    return scale_f32(1.0f + (r + r * r * exp_tail_f32(r)), n);
}

static inline double exp_f64(double x)
{
    x = x < -746.0 ? -746.0 : x;
    x = x > 710.0 ? 710.0 : x;
    double n = (x * LOG2E + ROUND_F64) - ROUND_F64;
    double r = (x - n * LN2_HIGH_F64) - n * LN2_LOW_F64;
    return scale_f64(1.0 + (r + r * r * exp_tail_f64(r)), n);
}

/* e^x - 1 = 2^n (e^r - 1) + (2^n - 1), computed at half the size since 2^n may be past the
 * largest number; what r lost in rounding is kept, since for n = 1 half of the result cancels. */
static inline float expm1_f32(float x)
{
    float y = x < -20.0f ? -20.0f : x;
    y = y > 89.0f ? 89.0f : y;
    float n = (y * (float)LOG2E + ROUND_F32) - ROUND_F32;
    float high = y - n * LN2_HIGH_F32, low = n * LN2_LOW_F32;
    float r = high - low;
    float lost = (high - r) - low;
    float q = r + (lost + r * r * exp_tail_f32(r));
    float half = power2_f32(n - 1.0f);
    float value = 2.0f * (half * q + (half - 0.5f));
    return fabsf(x) < 0x1p-25f ? x : value;
}

static inline double expm1_f64(double x)
{
    double y = x < -40.0 ? -40.0 : x;
    y = y > 710.0 ? 710.0 : y;
    double n = (y * LOG2E + ROUND_F64) - ROUND_F64;
    double high = y - n * LN2_HIGH_F64, low = n * LN2_LOW_F64;
    double r = high - low;
    double lost = (high - r) - low;
    double q = r + (lost + r * r * exp_tail_f64(r));
    double half = power2_f64(n - 1.0);
    double value = 2.0 * (half * q + (half - 0.5));
    return fabs(x) < 0x1p-54 ? x : value;
}

/* log(x) + add for a positive finite x: x = 2^k (1 + f) with 1 + f between sqrt(1/2) and sqrt(2),
 * s = f / (2 + f), log(1 + f) = 2 atanh(s) = f - (f^2/2 - s (f^2/2 + R(s^2))). */
static inline float log_core_f32(float x, float add)
{
    float shift = x < 0x1p-126f ? 25.0f : 0.0f;
    x = x < 0x1p-126f ? x * 0x1p25f : x;
    uint32_t u = bits_of_f32(x) + (0x3f800000 - 0x3f3504f3); /* 1 and sqrt(1/2) */
    float k = (float)(int32_t)(u >> 23) - 127.0f - shift;
    float f = f32_of_bits((u & 0x007fffff) + 0x3f3504f3) - 1.0f;
    float s = f / (2.0f + f);
    float z = s * s;
    float p = 0.298712373f;
    p = p * z + 0.399775743f;
    p = p * z + 0.666667759f;
    float half = 0.5f * f * f;
    return k * LN2_HIGH_F32 - ((half - (s * (half + z * p) + (k * LN2_LOW_F32 + add))) - f);
}

static inline double log_core_f64(double x, double add)
{
    double shift = x < 0x1p-1022 ? 54.0 : 0.0;
    x = x < 0x1p-1022 ? x * 0x1p54 : x;
    uint64_t u = bits_of_f64(x) + (0x3ff0000000000000 - 0x3fe6a09e667f3bcd);
    /* The exponent as a double: put below 2^52, which is then taken off again. */
    double k = f64_of_bits((u >> 52) | 0x4330000000000000) - (0x1p52 + 1023.0) - shift;
    double f = f64_of_bits((u & 0x000fffffffffffff) + 0x3fe6a09e667f3bcd) - 1.0;
    double s = f / (2.0 + f);
    double z = s * s;
    double p = 0.14799487338447104;
    p = p * z + 0.1531368752092411;
    p = p * z + 0.1818357906686337;
    p = p * z + 0.22222198273544116;
    p = p * z + 0.28571428745551214;
    p = p * z + 0.39999999999398628;
    p = p * z + 0.66666666666667374;
    double half = 0.5 * f * f;
    return k * LN2_HIGH_F64 - ((half - (s * (half + z * p) + (k * LN2_LOW_F64 + add))) - f);
}

static inline float log_f32(float x)
{
    float y = log_core_f32(x, 0.0f);
    y = x == 0.0f ? -INFINITY : y;
    y = x < 0.0f ? NAN : y;
    return x < INFINITY ? y : x;
}

static inline double log_f64(double x)
{
    double y = log_core_f64(x, 0.0);
    y = x == 0.0 ? -(double)INFINITY : y;
    y = x < 0.0 ? (double)NAN : y;
    return x < (double)INFINITY ? y : x;
}

/* With u = 1 + x rounded and d what was lost: log(1 + x) = log(u) + d / u, near enough. */
static inline float log1p_f32(float x)
{
    float u = 1.0f + x;
    float v = u - 1.0f;
    float d = (1.0f - (u - v)) + (x - v);
    float y = log_core_f32(u, d / u);
    y = x == -1.0f ? -INFINITY : y;
    y = x < -1.0f ? NAN : y;
    y = fabsf(x) < 0x1p-25f ? x : y;
    return x < INFINITY ? y : x;
}

static inline double log1p_f64(double x)
{
    double u = 1.0 + x;
    double v = u - 1.0;
    double d = (1.0 - (u - v)) + (x - v);
    double y = log_core_f64(u, d / u);
    y = x == -1.0 ? -(double)INFINITY : y;
    y = x < -1.0 ? (double)NAN : y;
    y = fabs(x) < 0x1p-54 ? x : y;
    return x < (double)INFINITY ? y : x;
}

/* tanh |x| = -t / (2 + t) with t = e^(-2|x|) - 1 */
static inline float tanh_f32(float x)
{
    float t = expm1_f32(-2.0f * fabsf(x));
    return copysignf(t / (2.0f + t), x);
}

static inline double tanh_f64(double x)
{
    double t = expm1_f64(-2.0 * fabs(x));
    return copysign(t / (2.0 + t), x);
}

/* 1 / (1 + e^-x); the form with e^-|x| cannot overflow. */
static inline float sigmoid_f32(float x)
{
    float e = exp_f32(-fabsf(x));
    return (x < 0.0f ? e : 1.0f) / (1.0f + e);
}

static inline double sigmoid_f64(double x)
{
    double e = exp_f64(-fabs(x));
    return (x < 0.0 ? e : 1.0) / (1.0 + e);
}

/* log(1 + e^-|x|): softplus(x) = max(x, 0) + this. */
static inline float log1p_exp_f32(float x)
{
    return log1p_f32(exp_f32(-fabsf(x)));
}

static inline double log1p_exp_f64(double x)
{
    return log1p_f64(exp_f64(-fabs(x)));
}

/* Up to 1, x + x P(x^2); beyond, 1 - e^-Q(|x|) with Q = -log(erfc), up to where the result is 1. */
static inline float erf_f32(float x)
{
    float a = fabsf(x), z = x * x;
    float p = 7.91990169e-05f;
    p = p * z - 0.000803065428f;
    p = p * z + 0.0051907259f;
    p = p * z - 0.0268551242f;
    p = p * z + 0.112836182f;
    p = p * z - 0.376126289f;
    p = p * z + 0.128379166f;
    float b = a > 4.0f ? 4.0f : a;
    float q = 2.17931902e-05f;
    q = q * b - 0.000442638469f;
    q = q * b + 0.0042112465f;
    q = q * b - 0.0252269208f;
    q = q * b + 0.108449206f;
    q = q * b + 0.633190334f;
    q = q * b + 1.12959397f;
    q = q * b - 0.000191478495f;
    float far = copysignf(1.0f - exp_f32(-q), x);
    return a < 1.0f ? x + x * p : far;
}

static inline double erf_f64(double x)
{
    double a = fabs(x), z = x * x;
    double p = -7.7830720472567541e-10;
    p = p * z + 1.3712628814674872e-08;
    p = p * z - 1.6206608356867929e-07;
    p = p * z + 1.6447154868122808e-06;
    p = p * z - 1.4924712509522804e-05;
    p = p * z + 0.0001205529346521502;
    p = p * z - 0.000854832591965114;
    p = p * z + 0.0052239776057290289;
    p = p * z - 0.026866170643026575;
    p = p * z + 0.11283791670943219;
    p = p * z - 0.37612638903183471;
    p = p * z + 0.12837916709551256;
    double b = a > 6.0 ? 6.0 : a;
    double q = -1.0305267762224829e-12;
    q = q * b + 4.7158364435227782e-11;
    q = q * b - 1.0100296600255787e-09;
    q = q * b + 1.3437428504075313e-08;
    q = q * b - 1.2412152857009406e-07;
    q = q * b + 8.4083114065239616e-07;
    q = q * b - 4.2813439031680315e-06;
    q = q * b + 1.6346879157366884e-05;
    q = q * b - 4.4554784670361416e-05;
    q = q * b + 6.9256673152982034e-05;
    q = q * b + 4.6860173226448934e-05;
    q = q * b - 0.00064415190875349209;
    q = q * b + 0.0017724441343586806;
    q = q * b - 0.00028359290412375193;
    q = q * b - 0.019076020647421928;
    q = q * b + 0.10274617119439403;
    q = q * b + 0.6366288685878172;
    q = q * b + 1.1283772467124984;
    q = q * b + 1.8798437709715575e-07;
    double far = copysign(1.0 - exp_f64(-q), x);
    return a < 1.0 ? x + x * p : far;
}

/* The normal distribution's cumulative function and density, as PyTorch's gelu computes them. */
static inline float normal_cdf_f32(float x)
{
    return 0.5f * (1.0f + erf_f32(x * 0x1.6a09e6p-1f));
}

static inline double normal_cdf_f64(double x)
{
    return 0.5 * (1.0 + erf_f64(x * 0x1.6a09e667f3bcdp-1));
}

static inline float normal_pdf_f32(float x)
{
    return exp_f32(-0.5f * x * x) * 0x1.988454p-2f;
}

static inline double normal_pdf_f64(double x)
{
    return exp_f64(-0.5 * x * x) * 0x1.9884533d43651p-2;
}

/* 2^x = 2^n e^(r ln 2) with r = x - n. */
static inline double exp2_f64(double x)
{
    x = x < -1076.0 ? -1076.0 : x;
    x = x > 1025.0 ? 1025.0 : x;
    double n = (x + ROUND_F64) - ROUND_F64;
    double r = (x - n) * 0x1.62e42fefa39efp-1;
    return scale_f64(1.0 + (r + r * r * exp_tail_f64(r)), n);
}

static inline float exp2_f32(float x)
{
    return (float)exp2_f64((double)x);
}

/* e^|x| / 2, which is finite where e^|x| is not yet. */
static inline double half_exp_f64(double x)
{
    double a = fabs(x);
    a = a > 711.0 ? 711.0 : a;
    double n = (a * LOG2E + ROUND_F64) - ROUND_F64;
    double r = (a - n * LN2_HIGH_F64) - n * LN2_LOW_F64;
    return scale_f64(1.0 + (r + r * r * exp_tail_f64(r)), n - 1.0);
}

/* Up to 1 by its series, x + x^3/3! + …, whose last term here is x^19/19!. */
static inline double sinh_f64(double x)
{
    double z = x * x;
    double p = 8.2206352466243295e-18;
    p = p * z + 2.8114572543455206e-15;
    p = p * z + 7.6471637318198164e-13;
    p = p * z + 1.6059043836821613e-10;
    p = p * z + 2.505210838544172e-08;
    p = p * z + 2.7557319223985893e-06;
    p = p * z + 0.00019841269841269841;
    p = p * z + 0.0083333333333333332;
    p = p * z + 0.16666666666666666;
    double half = half_exp_f64(x);
    double far = copysign(half - 0.25 / half, x);
    return fabs(x) < 1.0 ? x + x * z * p : far;
}

static inline float sinh_f32(float x)
{
    return (float)sinh_f64((double)x);
}

static inline double cosh_f64(double x)
{
    double half = half_exp_f64(x);
    return half + 0.25 / half;
}

static inline float cosh_f32(float x)
{
    return (float)cosh_f64((double)x);
}

#endif
