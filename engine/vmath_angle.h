/* engine/vmath_angle.h - sin, cos, tan and atan.
 *
 * As vmath.h, for loops that are vectorized. sin, cos and tan take |x| < 2^20 and give NaN beyond,
 * where angle_far (angle.h) first reduces the angle. Errors in units in the last place: 0.51 in
 * float32; in float64 1.5, and 2 of atan.
 */
#ifndef ENGINE_VMATH_ANGLE_H
#define ENGINE_VMATH_ANGLE_H

#include <stdbool.h>

#include "engine/vmath.h"

#define ANGLE_NEAR 0x1p20

/* An angle less n quarter turns, which leaves r + low: |r| <= pi/4 or about. */
struct reduced {
    double n, r, low;
};

/* A quarter turn is kept in three parts, so that nothing is lost near the zeros. */
static inline struct reduced quarter_turns(double x)
{
    double n = (x * 0x1.45f306dc9c883p-1 + ROUND_F64) - ROUND_F64;
    double a = x - n * 0x1.921fb544p+0; /* exact, as both products with n are */
    double b = a - n * 0x1.0b4611a6p-34;
    double last = n * 0x1.3198a2e037073p-69;
    double r = b - last;
    return (struct reduced){n, r, ((a - b) - n * 0x1.0b4611a6p-34) + ((b - r) - last)};
}

/* sin r - r and 1 - cos r for |r| <= pi/4. */
static inline double sine_tail(double r)
{
    double z = r * r;
    double s = 1.5896106131534069e-10;
    s = s * z - 2.5050745165624864e-08;
    s = s * z + 2.755731360004322e-06;
    s = s * z - 0.0001984126982950486;
    s = s * z + 0.0083333333333219604;
    s = s * z - 0.1666666666666663;
    return r * z * s;
}

static inline double cosine_tail(double r)
{
    double z = r * r;
    double c = -1.1359041439039709e-11;
    c = c * z + 2.0875710774542552e-09;
    c = c * z - 2.755731425306134e-07;
    c = c * z + 2.4801587289105441e-05;
    c = c * z - 0.0013888888888873448;
    c = c * z + 0.041666666666666595;
    return 0.5 * z - z * z * c;
}

/* sin(x + turns pi/2): sin or cos of what is left, by the quadrant. */
static inline double sine_f64(double x, uint64_t turns)
{
    struct reduced a = quarter_turns(x);
    double s = a.r + sine_tail(a.r), c = 1.0 - cosine_tail(a.r);
    uint64_t quadrant = bits_of_f64(a.n + ROUND_F64) + turns;
    double y = (quadrant & 1) ? c : s;
    y = (quadrant & 2) ? -y : y;
    return fabs(x) < ANGLE_NEAR ? y : (double)NAN;
}

static inline double sin_f64(double x)
{
    double y = sine_f64(x, 0);
    return x == 0.0 ? x : y;
}

static inline double cos_f64(double x)
{
    return sine_f64(x, 1);
}

/* tan(x + turns pi/2): sin / cos or -cos / sin, each with what was lost in rounding it. */
static inline double tangent_f64(double x, uint64_t turns)
{
    struct reduced a = quarter_turns(x);
    double s_tail = sine_tail(a.r), c_tail = cosine_tail(a.r);
    double s = a.r + s_tail, s_low = ((a.r - s) + s_tail) + a.low;
    double c = 1.0 - c_tail, c_low = ((1.0 - c) - c_tail) - s * a.low;
    bool odd = (bits_of_f64(a.n + ROUND_F64) + turns) & 1;
    double above = odd ? -c : s, above_low = odd ? -c_low : s_low;
    double below = odd ? s : c, below_low = odd ? s_low : c_low;
    double y = above / below, p = y * below;
    double rest = ((above - p) - product_rest(y, below, p)) + (above_low - y * below_low);
    y = y + rest / below;
    return fabs(x) < ANGLE_NEAR ? y : (double)NAN;
}

static inline double tan_f64(double x)
{
    double y = tangent_f64(x, 0);
    return x == 0.0 ? x : y;
}

static inline float sin_f32(float x)
{
    return (float)sin_f64((double)x);
}

static inline float cos_f32(float x)
{
    return (float)cos_f64((double)x);
}

static inline float tan_f32(float x)
{
    return (float)tan_f64((double)x);
}

/* atan |x| is a multiple of pi/4 plus atan z with |z| <= tan(pi/8). */
static inline double atan_f64(double x)
{
    double a = fabs(x);
    int far = a > 0x1.3504f333f9de6p+1, middle = a > 0x1.a827999fcef32p-2;
    double above = far ? -1.0 : middle ? a - 1.0 : a;
    double below = far ? a : middle ? a + 1.0 : 1.0;
    double turn = far ? 0x1.921fb54442d18p+0 : middle ? 0x1.921fb54442d18p-1 : 0.0;
    double turn_low = far ? 0x1.1a62633145c07p-54 : middle ? 0x1.1a62633145c07p-55 : 0.0;
    double z = above / below, w = z * z;
    double p = -0.017880855586546687;
    p = p * w + 0.03803891545435764;
    p = p * w - 0.05038224365861292;
    p = p * w + 0.058476313278459605;
    p = p * w - 0.06663065650544724;
    p = p * w + 0.07692056526049987;
    p = p * w - 0.090908975288639;
    p = p * w + 0.11111110774550974;
    p = p * w - 0.14285714279992967;
    p = p * w + 0.199999999999512;
    p = p * w - 0.33333333333333187;
    return copysign(turn + (z + (z * w * p + turn_low)), x);
}

static inline float atan_f32(float x)
{
    return (float)atan_f64((double)x);
}

#endif
