/* Reading: the digits go into 64 bits, times a power of ten of 128 bits, and the product is
 * rounded; if the bits that were cut off could change the rounding, big integers decide.
 * Source: D. Lemire, "Number Parsing at a Gigabyte per Second" (2021), after M. Eisel; and
 *         W. Clinger, "How to Read Floating Point Numbers Accurately" (1990) for the short ones. */
#include <string.h>

#include "engine/decimal.h"
#include "engine/decimal_exact.h"
#include "engine/decimal_power.h"
#include "engine/digits.h"

#define DIGITS_MAX 19 /* any 19 digits fit in 64 bits */

/* A number's parts: (-1)^negative * w * 10^power, and a bit more than that if cut. */
struct number {
    bool negative;
    bool cut; /* digits that are not 0 were left out of w */
    uint64_t w;
    int64_t power;
    const char *digits, *digits_end; /* of the text, with the point */
    int64_t last;                    /* power of ten that the last digit of the text counts */
};

static const char *read_digits(const char *p, const char *end, uint64_t *w)
{
    uint64_t sum = *w;
    for (; end - p >= 8; p += 8) {
        uint64_t word = digits_load(p);
        if (!digits_are(word))
            break;
        sum = sum * 100000000 + digits_value(word);
    }
    for (; p < end && digits_is(*p); p++)
        sum = sum * 10 + (uint64_t)(*p - '0');
    *w = sum;
    return p;
}

/* p is behind the e. Stops counting long before an overflow, where all is 0 or infinite. */
static const char *read_exponent(const char *p, const char *end, int64_t *exponent)
{
    int64_t x = 0;
    bool negative = p < end && *p == '-';
    if (p < end && (*p == '-' || *p == '+'))
        p++;
    const char *first = p;
    for (; p < end && digits_is(*p); p++) {
        if (x < INT64_MAX / 100)
            x = x * 10 + (*p - '0');
    }
    *exponent = negative ? -x : x;
    return p == first ? NULL : p;
}

/* Keeps the first DIGITS_MAX significant digits of more. */
static void cut_digits(struct number *n)
{
    int taken = 0;
    n->w = 0;
    n->power = n->last;
    for (const char *p = n->digits; p < n->digits_end; p++) {
        if (!digits_is(*p) || (taken == 0 && *p == '0'))
            continue;
        if (taken < DIGITS_MAX) {
            n->w = n->w * 10 + (uint64_t)(*p - '0');
            taken++;
        } else {
            n->cut |= *p != '0';
            n->power++;
        }
    }
}

/* Returns the position behind the number, NULL: no number. */
static inline const char *read_number(const char *p, const char *end, struct number *n)
{
    int64_t exponent = 0;
    n->negative = p < end && *p == '-';
    n->cut = false;
    n->w = 0;
    n->last = 0;
    p += n->negative;
    n->digits = p;
    while (p < end && digits_is(*p))
        n->w = n->w * 10 + (uint64_t)(*p++ - '0');
    int64_t count = p - n->digits;
    if (count == 0 || (count > 1 && *n->digits == '0'))
        return NULL;
    if (p < end && *p == '.') {
        const char *first = ++p;
        p = read_digits(p, end, &n->w);
        if (p == first)
            return NULL;
        n->last = first - p;
        count += p - first;
    }
    n->digits_end = p;
    if (p < end && (*p == 'e' || *p == 'E')) {
        p = read_exponent(p + 1, end, &exponent);
        n->last += exponent;
    }
    n->power = n->last;
    if (count > DIGITS_MAX)
        cut_digits(n);
    return p;
}

/* A binary format: its numbers are m * 2^unit with m < 2^bits. */
struct format {
    int bits;
    int unit_min, unit_max;
};
static const struct format f64 = {53, -1074, 971};
static const struct format f32 = {24, -149, 104};

/* The pattern of m * 2^unit: the exponent's field counts units, and the leading bit of m (if it
 * is there) adds the 1 by which a normal number's field is larger. m = 2^bits carries into the
 * field too, up to infinity. */
static inline uint64_t format_join(const struct format *f, uint64_t m, int unit)
{
    return ((uint64_t)(unit - f->unit_min) << (f->bits - 1)) + m;
}

static inline uint64_t format_infinity(const struct format *f)
{
    return (uint64_t)(f->unit_max - f->unit_min + 2) << (f->bits - 1);
}

/* m, or m + 1 if the number is above the middle of the two, or in it and m is odd. */
static uint64_t round_exactly(const struct number *n, uint64_t m, int unit)
{
    int side = decimal_compare(n->digits, n->digits_end, n->last, 2 * m + 1, unit - 1);
    return m + (side > 0 || (side == 0 && m & 1));
}

/* The bits of the nearest number of a format, without sign.
 *
 * With w shifted up by `zeros` so that its top bit is set and T the table's 128 bits, the product
 * P = w T has 192 bits, of which p are the upper 128: the number is p * 2^scale, or more, for T
 * may be short by less than 1, and w by less than 2^zeros if digits were cut. So the true P is
 * below (w + 2^zeros)(T + 1), the true p below p + 2 (+ 2^(64 + zeros)): the margin. Of p the
 * lowest `drop` bits go; the margin is less than half their range (zeros <= 4 when cut). */
static inline uint64_t find_nearest(const struct number *n, const struct format *f)
{
    if (n->w == 0 || n->power < POWER_MIN)
        return 0;
    if (n->power > 308)
        return format_infinity(f);
    int q = (int)n->power;
    int zeros = __builtin_clzll(n->w);
    struct power t = power_get(q);
    uint64_t w = n->w << zeros;
    uint128 below = (uint128)w * t.low;
    uint128 p = (uint128)w * t.high + (uint64_t)(below >> 64);

    int scale = power_log2(q) - 63 - zeros;
    int drop = 127 + (int)(p >> 127) - f->bits;
    if (scale + drop < f->unit_min)
        drop = f->unit_min - scale;
    int unit = scale + drop;
    if (unit > f->unit_max)
        return format_infinity(f);
    if (drop >= 130)
        return 0; /* p and margin are below 2^129, half a unit */
    if (drop >= 128)
        return format_join(f, round_exactly(n, 0, unit), unit);

    uint64_t m = (uint64_t)(p >> drop);
    uint128 half = (uint128)1 << (drop - 1);
    uint128 rest = p & (half + (half - 1));
    uint128 margin = 2 + (n->cut ? (uint128)1 << (64 + zeros) : 0);
    if (half - rest < margin) /* the difference is huge when rest is above half */
        return format_join(f, round_exactly(n, m, unit), unit);
    m += rest > half;
    return format_join(f, m, unit);
}

/* Clinger's case: w and the power of ten are exact, so one operation rounds once. */
static const double exact_f64[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                   1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                   1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
static const float exact_f32[] = {1e0F, 1e1F, 1e2F, 1e3F, 1e4F, 1e5F,
                                  1e6F, 1e7F, 1e8F, 1e9F, 1e10F};

static inline bool is_short(const struct number *n, const struct format *f, int64_t power_max)
{
    return !n->cut && n->w >> f->bits == 0 && -power_max <= n->power && n->power <= power_max;
}

const char *decimal_read_f64(const char *text, const char *end, double *out)
{
    struct number n;
    uint64_t pattern;
    const char *behind = read_number(text, end, &n);
    if (!behind)
        return NULL;
    if (is_short(&n, &f64, 22)) {
        double x = (double)n.w;
        x = n.power < 0 ? x / exact_f64[-n.power] : x * exact_f64[n.power];
        memcpy(&pattern, &x, sizeof x);
    } else {
        pattern = find_nearest(&n, &f64);
    }
    pattern |= (uint64_t)n.negative << 63;
    memcpy(out, &pattern, sizeof pattern);
    return behind;
}

const char *decimal_read_f32(const char *text, const char *end, float *out)
{
    struct number n;
    uint32_t pattern;
    const char *behind = read_number(text, end, &n);
    if (!behind)
        return NULL;
    if (is_short(&n, &f32, 10)) {
        float x = (float)n.w;
        x = n.power < 0 ? x / exact_f32[-n.power] : x * exact_f32[n.power];
        memcpy(&pattern, &x, sizeof x);
    } else {
        pattern = (uint32_t)find_nearest(&n, &f32);
    }
    pattern |= (uint32_t)n.negative << 31;
    memcpy(out, &pattern, sizeof pattern);
    return behind;
}

const char *decimal_read_i64(const char *text, const char *end, int64_t *out)
{
    struct number n;
    const char *behind = read_number(text, end, &n);
    if (!behind || n.cut) /* a 20th digit that is not 0: a fraction, or too large */
        return NULL;
    for (; n.power < 0 && n.w % 10 == 0 && n.w; n.power++)
        n.w /= 10;
    if (n.power < 0 && n.w)
        return NULL;
    for (; n.power > 0 && n.w; n.power--) {
        if (__builtin_mul_overflow(n.w, (uint64_t)10, &n.w))
            return NULL;
    }
    if (n.w > (uint64_t)INT64_MAX + n.negative)
        return NULL;
    *out = n.negative && n.w ? -(int64_t)(n.w - 1) - 1 : (int64_t)n.w;
    return behind;
}
