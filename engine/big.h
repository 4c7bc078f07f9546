/* engine/big.h - small exact natural numbers, for the rare cases of decimal_*.c.
 *
 * Fixed room, no allocation. Going over BIG_WORDS is a programmer's error (assert): the callers
 * know their bounds. Threads: pure.
 */
#ifndef ENGINE_BIG_H
#define ENGINE_BIG_H

#include <stddef.h>
#include <stdint.h>

#define BIG_WORDS 96 /* 3072 bits; a decimal of 771 digits takes 2562 */

struct big {
    size_t words; /* in use; the highest one is not 0, and 0 has none */
    uint32_t word[BIG_WORDS];
};

void big_set(struct big *b, uint64_t x);
/* b = b * factor + add */
void big_mul_add(struct big *b, uint32_t factor, uint32_t add);
/* b = floor(b / divisor) */
void big_div(struct big *b, uint32_t divisor);
/* b = b * 5^n */
void big_mul_pow5(struct big *b, unsigned n);
/* b = b * 2^bits */
void big_shift(struct big *b, unsigned bits);
/* < 0, 0, > 0 as a is less than, equal to, greater than b. */
int big_compare(const struct big *a, const struct big *b);
/* The highest 128 bits of b (not 0), shifted up until the top one is set. */
void big_top(const struct big *b, uint64_t *high, uint64_t *low);

#endif
