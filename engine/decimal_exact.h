/* engine/decimal_exact.h - decides what 128 bits cannot; inside decimal_*.c only. */
#ifndef ENGINE_DECIMAL_EXACT_H
#define ENGINE_DECIMAL_EXACT_H

#include <stdint.h>

/* Compares a decimal with halfway * 2^exponent, exactly: < 0, 0, > 0.
 *   digits .. digits_end   its digits, of any number, perhaps with a point among them
 *   last                   power of ten that the last of them counts
 * The two are of about the same size: the caller comes from an approximation, of a double. */
int decimal_compare(const char *digits, const char *digits_end, int64_t last, uint64_t halfway,
                    int exponent);

#endif
