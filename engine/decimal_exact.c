#include "engine/decimal_exact.h"

#include <stdbool.h>

#include "engine/big.h"
#include "engine/digits.h"

/* No midpoint between two doubles has more significant digits than 768 (54 bits times 5^1075), so
 * of what follows these it only matters whether it is 0. */
#define DIGITS_MAX 770

/* Takes the significant digits as one number; returns the power of ten that its last one counts. */
static int64_t read_digits(struct big *b, const char *p, const char *end, int64_t last)
{
    int taken = 0;
    int64_t left = 0; /* digits after those taken */
    bool rest = false;
    big_set(b, 0);
    for (; p < end; p++) {
        if (!digits_is(*p) || (taken == 0 && *p == '0'))
            continue;
        if (taken < DIGITS_MAX) {
            big_mul_add(b, 10, (uint32_t)(*p - '0'));
            taken++;
        } else {
            rest |= *p != '0';
            left++;
        }
    }
    if (!rest)
        return last + left;
    big_mul_add(b, 10, 1);
    return last + left - 1;
}

/* Room: midpoint and decimal are near each other, so either side stays below the larger of the
 * decimal's digits, 2562 bits, the midpoint times a power of five, 54 + 2541 bits, and the largest
 * double, 1025 bits. */
int decimal_compare(const char *digits, const char *digits_end, int64_t last, uint64_t halfway,
                    int exponent)
{
    struct big decimal, binary;
    int power = (int)read_digits(&decimal, digits, digits_end, last);
    big_set(&binary, halfway);
    /* decimal * 5^power * 2^power  against  binary * 2^exponent, without fractions */
    if (power >= 0)
        big_mul_pow5(&decimal, (unsigned)power);
    else
        big_mul_pow5(&binary, (unsigned)-power);
    if (power >= exponent)
        big_shift(&decimal, (unsigned)(power - exponent));
    else
        big_shift(&binary, (unsigned)(exponent - power));
    return big_compare(&decimal, &binary);
}
