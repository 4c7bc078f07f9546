/* Writing: the shortest digits by Schubfach, then where the point goes.
 * Source: R. Giulietti, "The Schubfach way to render doubles" (2020). */
#include <assert.h>
#include <stdbool.h>
#include <string.h>

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

/* floor(log10(2^q)), or floor(log10(3/4 * 2^q)), for |q| <= 1500: 1262611 / 2^22 is log10(2) and
 * 524031 / 2^22 is -log10(3/4). */
static int log10_floor(int q, bool three_quarters)
{
    return (q * 1262611 - (three_quarters ? 524031 : 0)) >> 22;
}

/* The shortest decimal in the interval that rounds to c * 2^q, the closest one of those.
 *   near   the number below is only half as far as the one above: c is a power of two
 * Everything is counted in quarters of 10^power, so that the interval's ends and the middle of
 * two decimals are whole numbers. */
static struct decimal find_shortest(uint64_t c, int q, bool near)
{
    int power = log10_floor(q, near);
    int shift = q + power_log2(-power) + 1; /* 1 .. 4 */
    struct power g = power_get(-power);
    if (!power_is_exact(-power))
        g.low++;          /* rounded up; the low word is never all ones, see test_decimal */
    uint64_t odd = c & 1; /* the ends themselves round to an even c only */
    uint64_t lower = multiply_odd(g, (4 * c - 2 + near) << shift) + odd;
    uint64_t value = multiply_odd(g, (4 * c) << shift);
    uint64_t upper = multiply_odd(g, (4 * c + 2) << shift) - odd;

    uint64_t s = value / 4;
    if (s >= 10) { /* one digit less: at most one of the two neighbours is inside */
        uint64_t tens = s / 10;
        bool low_inside = lower <= 40 * tens;
        bool high_inside = 40 * tens + 40 <= upper;
        if (low_inside != high_inside)
            return (struct decimal){tens + high_inside, power + 1};
    }
    bool low_inside = lower <= 4 * s;
    bool high_inside = 4 * s + 4 <= upper;
    if (low_inside != high_inside)
        return (struct decimal){s + high_inside, power};
    uint64_t middle = 4 * s + 2;
    return (struct decimal){s + (value > middle || (value == middle && s & 1)), power};
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
    for (; n >= 2; n -= 2, x /= 100)
        memcpy(out + n - 2, pairs + 2 * (x % 100), 2);
    if (n)
        *out = (char)('0' + x % 10);
    return end;
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
    *out++ = 'e';
    if (exponent < 0)
        *out++ = '-';
    uint64_t size = (uint64_t)(exponent < 0 ? -exponent : exponent);
    return put_digits(out, size, count_digits(size));
}

static struct decimal strip_zeros(struct decimal d)
{
    if (d.digits % 100000000 == 0)
        d = (struct decimal){d.digits / 100000000, d.power + 8};
    for (; d.digits % 10 == 0; d.power++)
        d.digits /= 10;
    return d;
}

/* Lays d (not 0) out; plain: up to how many digits before the point there is no exponent. */
static char *put_decimal(char *out, struct decimal d, int plain)
{
    d = strip_zeros(d);
    int n = count_digits(d.digits);
    int point = n + d.power; /* digits before the point */
    if (point < -4 || point > plain)
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

/* c * 2^q, c not 0, of a format with `bits` bits of c; normal: there is a number below with the
 * next smaller exponent. */
static char *put_binary(char *out, uint64_t c, int q, int bits, bool normal, int plain)
{
    if (-bits < q && q <= 0 && (c & (((uint64_t)1 << -q) - 1)) == 0)
        return put_digits(out, c >> -q, count_digits(c >> -q)); /* a whole number */
    bool near = normal && c == (uint64_t)1 << (bits - 1);
    return put_decimal(out, find_shortest(c, q, near), plain);
}

size_t decimal_write_f64(double x, char *out)
{
    uint64_t pattern;
    char *p = out;
    memcpy(&pattern, &x, sizeof pattern);
    uint64_t c = pattern & (((uint64_t)1 << 52) - 1);
    int field = (int)(pattern >> 52 & 0x7FF);
    assert(field != 0x7FF);
    if (pattern >> 63)
        *p++ = '-';
    if (field)
        c |= (uint64_t)1 << 52;
    if (c)
        p = put_binary(p, c, (field ? field : 1) - 1075, 53, field > 1, 16);
    else
        *p++ = '0';
    return (size_t)(p - out);
}

size_t decimal_write_f32(float x, char *out)
{
    uint32_t pattern;
    char *p = out;
    memcpy(&pattern, &x, sizeof pattern);
    uint32_t c = pattern & (((uint32_t)1 << 23) - 1);
    int field = (int)(pattern >> 23 & 0xFF);
    assert(field != 0xFF);
    if (pattern >> 31)
        *p++ = '-';
    if (field)
        c |= (uint32_t)1 << 23;
    if (c)
        p = put_binary(p, c, (field ? field : 1) - 150, 24, field > 1, 9);
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
