/* engine/decimal_number.h - how a number's text becomes a double or a float; inside decimal_*.c
 * only.
 *
 * The digits go into 64 bits, times a power of ten of 128 bits, and the product is rounded; if the
 * bits that were cut off could change the rounding, big integers decide. All in one place, since
 * where it is a part of a loop it is compiled into that (decimal_floats_read.c: for each
 * instruction set). Source: D. Lemire, "Number Parsing at a Gigabyte per Second" (2021), after M.
 * Eisel; and W. Clinger, "How to Read Floating Point Numbers Accurately" (1990) for the short ones.
 */
#ifndef ENGINE_DECIMAL_NUMBER_H
#define ENGINE_DECIMAL_NUMBER_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "engine/attr.h"
#include "engine/decimal_exact.h"
#include "engine/decimal_power.h"
#include "engine/digits.h"

#define DIGITS_MAX 19 /* any 19 digits fit in 64 bits */

/* A number's parts: (-1)^negative * w * 10^power, and a bit more than that if cut. */
struct number {
    unsigned negative; /* 0 or 1; as a bool, its register waits for the number before (gcc 12) */
    bool cut;          /* digits that are not 0 were left out of w */
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
static const char *read_any(const char *p, const char *end, struct number *n)
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

/* What is looked at: a sign, QUICK_WHOLE digits, the point, and words from there on. */
#define QUICK_WHOLE 8
#define QUICK_BYTES DIGITS_MASKED

/* n digits more, 0 to 8. */
static inline uint64_t append_digits(uint64_t w, const char *p, unsigned n)
{
    return w * digits_pow10[n] + digits_value_of(digits_load(p), n);
}

/* The same, 0 to 16. */
static inline uint64_t append_many(uint64_t w, const char *p, unsigned n)
{
#ifdef DIGITS_MANY
    return w * digits_pow10[n] + digits_value_of_many(p, n);
#else
    if (n == 16) { /* doubles: most have 16 to 18 */
        w = w * 100000000 + digits_value(digits_load(p));
        return w * 100000000 + digits_value(digits_load(p + 8));
    }
    unsigned first = n < 8 ? n : 8;
    return append_digits(append_digits(w, p, first), p + 8, n - first);
#endif
}

/* An exponent of one or two digits is added to *power; NULL: it is none. A sign and three bytes
 * behind it are there. */
static inline const char *quick_exponent(const char *p, int64_t *power)
{
    bool negative = *p == '-';
    p += negative || *p == '+';
    if (!digits_is(*p))
        return NULL;
    int64_t x = *p++ - '0';
    if (digits_is(*p))
        x = x * 10 + (*p++ - '0');
    *power += negative ? -x : x;
    return digits_is(*p) ? NULL : p;
}

/* The usual number, without a branch that depends on how many digits it has: a wrong guess costs
 * more than the reading. All digits are found at once, and words of eight are taken whole.
 * NULL: unusual, read_any decides. */
ALWAYS_INLINE static inline const char *read_quick(const char *p, const char *end, struct number *n)
{
    if (end - p < QUICK_BYTES)
        return NULL;
    /* The place of the next number waits for what follows: it is kept short. */
    uint64_t others = (uint64_t)~digits_mask(p) | (uint64_t)1 << DIGITS_MASKED;
    unsigned whole = 1, fraction = 0;
    n->negative = *p == '-';
    others >>= n->negative;
    p += n->negative;
    n->digits = p;
    n->w = (uint64_t)(*p - '0');
    if ((others & 3) != 2) { /* not one digit before the point */
        whole = (unsigned)__builtin_ctzll(others);
        if (whole == 0 || whole > QUICK_WHOLE || *p == '0')
            return NULL;
        n->w = digits_value_of(digits_load(p), whole);
    }
    p += whole;
    if (*p == '.') {
        p++;
        fraction = (unsigned)__builtin_ctzll(others >> whole >> 1);
        if (fraction == 0 || fraction + whole > DIGITS_MAX)
            return NULL;
        n->w = append_many(n->w, p, fraction < 16 ? fraction : 16);
        if (fraction > 16)
            n->w = append_digits(n->w, p + 16, fraction - 16);
        p += fraction;
    }
    n->digits_end = p;
    n->cut = false;
    n->last = -(int64_t)fraction;
    if ((*p | 0x20) == 'e' && !(p = quick_exponent(p + 1, &n->last)))
        return NULL;
    n->power = n->last;
    return p;
}

ALWAYS_INLINE static inline const char *read_number(const char *p, const char *end,
                                                    struct number *n)
{
    const char *behind = read_quick(p, end, n);
    if (behind)
        return behind;
    struct number any; /* its address goes to a function: n stays in registers */
    behind = read_any(p, end, &any);
    *n = any;
    return behind;
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

/* By value: the caller's number keeps to its registers. */
NEVER_INLINE static uint32_t find_nearest_f32(struct number n)
{
    return (uint32_t)find_nearest(&n, &f32);
}

/* Clinger's case: w and the power of ten are exact, so one operation rounds once. */
static const double exact_f64[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                   1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                   1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};

static inline bool is_short(const struct number *n, const struct format *f, int64_t power_max)
{
    return !n->cut && n->w >> f->bits == 0 && -power_max <= n->power && n->power <= power_max;
}

/* The float nearest to what x is nearest to, or up to `off` units of its last place away from: by
 * rounding again. false: that is not sure, as x is so near the middle of two floats. The float has
 * to be a normal one, or 0. */
static inline bool round_again(double x, uint64_t off, uint32_t *pattern)
{
    const uint64_t cut = ((uint64_t)1 << 29) - 1, middle = (uint64_t)1 << 28;
    float y = (float)x;
    uint64_t bits;
    memcpy(&bits, &x, sizeof x);
    memcpy(pattern, &y, sizeof y);
    return (bits & cut) - (middle - off) > 2 * off;
}

/* By way of a double that is rounded once. No such double is too small or too large for a normal
 * float: 2^53 * 10^22 < 2^127. */
static inline bool by_double(const struct number *n, uint32_t *pattern)
{
    double x = (double)(int64_t)n->w;
    x = n->power < 0 ? x / exact_f64[-n->power] : x * exact_f64[n->power];
    return round_again(x, 0, pattern);
}

/* By the upper half of the table's power: the number's leading 64 bits are p, or up to 2 more.
 * false: that leaves the rounding open, or the float is not a normal one. */
static inline bool by_half_power(const struct number *n, uint32_t *pattern)
{
    if (n->cut || n->w == 0 || n->power < -30 || n->power > 15)
        return false; /* within these every float is a normal one: 2^64 * 10^15 < 2^127 */
    int q = (int)n->power;
    int zeros = __builtin_clzll(n->w);
    uint64_t p = (uint64_t)((uint128)(n->w << zeros) * power_get(q).high >> 64);
    int drop = 63 + (int)(p >> 63) - f32.bits;
    uint64_t half = (uint64_t)1 << (drop - 1), rest = p & (2 * half - 1);
    int unit = power_log2(q) + 1 - zeros + drop;
    *pattern = (uint32_t)format_join(&f32, (p >> drop) + (rest > half), unit);
    return rest > half || half - rest >= 2;
}

ALWAYS_INLINE static inline const char *read_f32(const char *text, const char *end, float *out)
{
    struct number n;
    uint32_t pattern;
    const char *behind = read_number(text, end, &n);
    if (!behind)
        return NULL;
    bool sure = is_short(&n, &f64, 22) ? by_double(&n, &pattern) : by_half_power(&n, &pattern);
    if (!sure)
        pattern = find_nearest_f32(n);
    pattern |= (uint32_t)n.negative << 31;
    memcpy(out, &pattern, sizeof pattern);
    return behind;
}

#endif
