/* Writing: the shortest digits by Schubfach, then where the point goes.
 * Source: R. Giulietti, "The Schubfach way to render doubles" (2020). */
#include <assert.h>
#include <stdbool.h>
#include <string.h>

#include "engine/attr.h"
#include "engine/decimal.h"
#include "engine/decimal_power.h"
#include "engine/digits.h"

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

static const char pairs[] = "00010203040506070809101112131415161718192021222324"
                            "25262728293031323334353637383940414243444546474849"
                            "50515253545556575859606162636465666768697071727374"
                            "75767778798081828384858687888990919293949596979899";

/* Decimal digits of x, not 0: 1233 / 2^12 is log10(2), so the guess is right or one short. */
static int count_digits(uint64_t x)
{
    int guess = (64 - __builtin_clzll(x)) * 1233 >> 12;
    return guess + (x >= digits_pow10[guess]);
}

/* The last n digits of x, leading zeros too. Straight to where they belong: a detour over a buffer
 * would read back what was just stored in smaller pieces, which stalls. */
static char *put_digits(char *out, uint64_t x, int n)
{
    char *end = out + n;
    for (; n >= 8; n -= 8, x /= 100000000)
        digits_store(out + n - 8, digits_spread(x % 100000000) | DIGITS_TEXT);
    for (; n >= 2; n -= 2, x /= 100)
        memcpy(out + n - 2, pairs + 2 * (x % 100), 2);
    if (n)
        *out = (char)('0' + x % 10);
    return end;
}

/* e-nn */
static char *put_exponent(char *out, int exponent)
{
    *out++ = 'e';
    if (exponent < 0)
        *out++ = '-';
    uint64_t size = (uint64_t)(exponent < 0 ? -exponent : exponent);
    return put_digits(out, size, count_digits(size));
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

/* Up to how many digits before the point there is no exponent, and how many zeros behind it. */
#define PLAIN_F64   16
#define PLAIN_F32   9
#define PLAIN_ZEROS 4

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

/* The same of at most nine digits: a word of eight, and one that mostly is none. Zeros at the end
 * count for nothing. Bytes up to DECIMAL_F32_BYTES are written, however long the text is. */
static char *put_f32(char *out, struct decimal d)
{
    char ninth = '0';
    if (d.digits >= 100000000) {
        ninth = (char)('0' + d.digits % 10);
        d = (struct decimal){d.digits / 10, d.power + 1};
    }
    uint64_t word = digits_spread(d.digits);
    int leading = __builtin_ctzll(word) / 8;
    word >>= 8 * leading;
    int point = 8 - leading + d.power;
    int n = ninth != '0' ? 9 : (71 - __builtin_clzll(word)) / 8;
    word |= DIGITS_TEXT;
    if (point < -PLAIN_ZEROS || point > PLAIN_F32) {
        out[0] = (char)word;
        out[1] = '.';
        digits_store(out + 2, word >> 8 | (uint64_t)ninth << 56);
        return put_exponent(out + (n > 1 ? n + 1 : 1), point - 1);
    }
    if (point <= 0) {
        memcpy(out, "0.0000", 6);
        out += 2 - point;
    }
    if (point <= 0 || point >= n) {
        digits_store(out, word);
        out[8] = ninth;
        return out + (point > n ? point : n);
    }
    int shift = 8 * point; /* point is at most 7: from 2^23 on all are whole */
    uint64_t whole = word & (((uint64_t)1 << shift) - 1);
    digits_store(out, whole | (uint64_t)'.' << shift | (word - whole) << 8);
    out[8] = (char)(word >> 56);
    out[9] = ninth;
    return out + n + 1;
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

size_t decimal_write_i64(int64_t x, char *out)
{
    char *p = out;
    uint64_t size = x < 0 ? 0 - (uint64_t)x : (uint64_t)x;
    if (x < 0)
        *p++ = '-';
    p = put_digits(p, size, size ? count_digits(size) : 1);
    return (size_t)(p - out);
}
