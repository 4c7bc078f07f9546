/* engine/decimal_shortest.h - what the writers of numbers share; inside decimal_*.c only.
 *
 * In a header since where it is a part of a loop it is compiled into that
 * (decimal_floats_write.c: for each instruction set).
 */
#ifndef ENGINE_DECIMAL_SHORTEST_H
#define ENGINE_DECIMAL_SHORTEST_H

#include <stdint.h>
#include <string.h>

#include "engine/digits.h"

/* What an exponent's field says of a float32 c * 2^q that is no power of two: the upper half of
 * 10^-power, rounded up, with which c in quarters, shifted so far, is multiplied; and the bit that
 * c has beside those that are stored. Made by decimal_init. */
struct decimal_row {
    uint64_t factor;
    uint32_t implicit;
    int16_t power;
    uint16_t shift;
};
extern struct decimal_row decimal_rows[256];

/* Up to how many digits before the point there is no exponent, and how many zeros behind it. */
#define PLAIN_F32   9
#define PLAIN_ZEROS 4

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

/* Of a float32 the digits, a byte each in a word of eight, and one behind them that mostly is none,
 * '0': the number is these nine times 10^(power - 1), and not 0. Zeros at the end count for
 * nothing. Bytes up to DECIMAL_F32_BYTES are written, however long the text is. */
static inline char *decimal_put_f32(char *out, uint64_t word, char ninth, int power)
{
    int leading = __builtin_ctzll(word) / 8;
    word >>= 8 * leading;
    int point = 8 - leading + power;
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

#endif
