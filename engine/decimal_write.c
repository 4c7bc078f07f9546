/* Writing: the shortest digits by Schubfach, then where the point goes.
 * Source: R. Giulietti, "The Schubfach way to render doubles" (2020). */
#include <assert.h>
#include <stdbool.h>
#include <string.h>

#include "engine/attr.h"
#include "engine/decimal.h"
#include "engine/decimal_power.h"
#include "engine/decimal_shortest.h"
#include "engine/digits.h"
#include "engine/kernels.h"

/* value = digits * 10^power */
struct decimal {
    uint64_t digits;
    int power;
};

/* x * g / 2^128 to an odd number: cut, and if anything was cut off the last bit is set, so that
 * comparing with an even number says the same as comparing the fraction would (section 9.6). */
static uint64_t multiply_odd(struct power g, uint64_t x)
{
    uint128 low = (uint128)g.low * x;
    uint128 p = (uint128)g.high * x + (uint64_t)(low >> 64);
    return (uint64_t)(p >> 64) | ((uint64_t)p > 1);
}

/* The same with 64 bits of g, rounded up: enough for a float32, whose x is less than 2^31. The
 * error is less than x / 2^64; what is exact comes out less than 2^-32 too large, and a float32
 * that is not lies further off (test_shortest_ends has those that are exact; the texts of all
 * float32 were compared with those of 128 bits). */
static uint64_t multiply_odd_short(uint64_t g, uint64_t x)
{
    uint128 p = (uint128)g * x;
    return (uint64_t)(p >> 64) | ((uint64_t)p >> 32 > 0);
}

/* floor(log10(2^q)), or floor(log10(3/4 * 2^q)), for |q| <= 1500: 1262611 / 2^22 is log10(2) and
 * 524031 / 2^22 is -log10(3/4). */
static int log10_floor(int q, bool three_quarters)
{
    return (q * 1262611 - (three_quarters ? 524031 : 0)) >> 22;
}

/* What rounds to c * 2^q, in quarters of 10^power: so the interval's ends and the middle of two
 * decimals are whole numbers. */
struct interval {
    int power;
    uint64_t lower, value, upper;
};

struct decimal_row decimal_rows[256];

void decimal_write_init(void)
{
    for (int field = 0; field < 255; field++) {
        int q = (field ? field : 1) - 150, power = log10_floor(q, false);
        decimal_rows[field] = (struct decimal_row){
            .factor = power_get(-power).high + 1,
            .implicit = field ? (uint32_t)1 << 23 : 0,
            .power = (int16_t)power,
            .shift = (uint16_t)(q + power_log2(-power) + 1),
        };
    }
}

static inline uint64_t multiply(struct power g, uint64_t x, bool single)
{
    return single ? multiply_odd_short(g.high + 1, x) : multiply_odd(g, x);
}

/* near: the number below is only half as far as the one above: c is a power of two */
ALWAYS_INLINE static inline struct interval interval_of(uint64_t c, int q, bool near, bool single)
{
    int power = log10_floor(q, near);
    int shift = q + power_log2(-power) + 1; /* 1 .. 4 */
    struct power g = power_get(-power);
    if (!power_is_exact(-power))
        g.low++;          /* rounded up; the low word is never all ones, see test_decimal */
    uint64_t odd = c & 1; /* the ends themselves round to an even c only */
    return (struct interval){power, multiply(g, (4 * c - 2 + near) << shift, single) + odd,
                             multiply(g, (4 * c) << shift, single),
                             multiply(g, (4 * c + 2) << shift, single) - odd};
}

/* The shortest decimal in it, the closest one of those. Which case it is no processor can foresee:
 * so all are computed, and none is a branch. */
static struct decimal find_shortest(struct interval x)
{
    uint64_t s = x.value / 4, tens = s / 10, middle = 4 * s + 2;
    bool low = x.lower <= 4 * s, high = 4 * s + 4 <= x.upper;
    bool closer = (x.value > middle) | ((x.value == middle) & s);
    uint64_t near = s + ((low ^ high) ? high : closer);
    /* One digit less: at most one of the two neighbours is inside. */
    bool low_ten = x.lower <= 40 * tens, high_ten = 40 * tens + 40 <= x.upper;
    bool shorter = (s >= 10) & (low_ten ^ high_ten);
    return (struct decimal){shorter ? tens + high_ten : near, x.power + shorter};
}

/* d.ddde-nn, of n digits */
static char *put_scientific(char *out, uint64_t digits, int n, int exponent)
{
    uint64_t unit = digits_pow10[n - 1];
    out = put_digits(out, digits / unit, 1);
    if (n > 1) {
        *out++ = '.';
        out = put_digits(out, digits % unit, n - 1);
    }
    return put_exponent(out, exponent);
}

static struct decimal strip_zeros(struct decimal d)
{
    if (d.digits % 100000000 == 0)
        d = (struct decimal){d.digits / 100000000, d.power + 8};
    for (; d.digits % 10 == 0; d.power++)
        d.digits /= 10;
    return d;
}

/* Up to so many digits before the point there is no exponent. */
#define PLAIN_F64 16

/* Lays d (not 0) out. */
static char *put_f64(char *out, struct decimal d)
{
    d = strip_zeros(d);
    int n = count_digits(d.digits);
    int point = n + d.power; /* digits before the point */
    if (point < -PLAIN_ZEROS || point > PLAIN_F64)
        return put_scientific(out, d.digits, n, point - 1);
    if (point <= 0) {
        memcpy(out, "0.0000", 6);
        return put_digits(out + 2 - point, d.digits, n);
    }
    if (point >= n) {
        out = put_digits(out, d.digits, n);
        memset(out, '0', (size_t)(point - n));
        return out + (point - n);
    }
    uint64_t unit = digits_pow10[n - point];
    out = put_digits(out, d.digits / unit, point);
    *out++ = '.';
    return put_digits(out, d.digits % unit, n - point);
}

/* Lays d (not 0), of at most nine digits, out. */
static char *put_f32(char *out, struct decimal d)
{
    char ninth = '0';
    if (d.digits >= 100000000) {
        ninth = (char)('0' + d.digits % 10);
        d = (struct decimal){d.digits / 10, d.power + 1};
    }
    return decimal_put_f32(out, digits_spread(d.digits), ninth, d.power);
}

/* Is c * 2^q, c having so many bits, a whole number that has no more of them? */
static bool is_whole(uint64_t c, int q, int bits)
{
    return -bits < q && q <= 0 && (c & (((uint64_t)1 << -q) - 1)) == 0;
}

size_t decimal_write_f64(double x, char *out)
{
    uint64_t pattern;
    memcpy(&pattern, &x, sizeof pattern);
    uint64_t c = pattern & (((uint64_t)1 << 52) - 1);
    int field = (int)(pattern >> 52 & 0x7FF), q = (field ? field : 1) - 1075;
    assert(field != 0x7FF);
    char *p = out;
    *p = '-';
    p += pattern >> 63;
    bool near = field > 1 && c == 0;
    if (field)
        c |= (uint64_t)1 << 52;
    if (is_whole(c, q, 53))
        p = put_digits(p, c >> -q, count_digits(c >> -q));
    else if (c)
        p = put_f64(p, find_shortest(interval_of(c, q, near, false)));
    else
        *p++ = '0';
    return (size_t)(p - out);
}

size_t decimal_write_f32(float x, char *out)
{
    uint32_t pattern;
    memcpy(&pattern, &x, sizeof pattern);
    uint64_t c = pattern & (((uint32_t)1 << 23) - 1);
    int field = (int)(pattern >> 23 & 0xFF), q = (field ? field : 1) - 150;
    assert(field != 0xFF);
    char *p = out;
    *p = '-';
    p += pattern >> 31;
    bool near = field > 1 && c == 0;
    if (field)
        c |= (uint64_t)1 << 23;
    if (is_whole(c, q, 24))
        p = put_f32(p, (struct decimal){c >> -q, 0});
    else if (c)
        p = put_f32(p, find_shortest(interval_of(c, q, near, true)));
    else
        *p++ = '0';
    return (size_t)(p - out);
}

size_t decimal_write_floats(const float *x, size_t n, char *out, size_t *bytes)
{
    return kernels_best()->write_floats(x, n, out, bytes);
}

size_t decimal_write_i64(int64_t x, char *out)
{
    char *p = out;
    uint64_t size = x < 0 ? 0 - (uint64_t)x : (uint64_t)x;
    if (x < 0)
        *p++ = '-';
    p = put_digits(p, size, size ? count_digits(size) : 1);
    return (size_t)(p - out);
}
