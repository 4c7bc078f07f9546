/* engine/digits.h - eight decimal digits at a time, in one 64-bit word.
 *
 * For the readers of numbers (decimal_read.c, api/json_scan.c). Pure.
 */
#ifndef ENGINE_DIGITS_H
#define ENGINE_DIGITS_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

static inline bool digits_is(char c)
{
    return (unsigned char)(c - '0') < 10;
}

/* Eight bytes of text, the first one in the lowest byte. */
static inline uint64_t digits_load(const char *text)
{
    uint64_t word;
    memcpy(&word, text, sizeof word);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    word = __builtin_bswap64(word);
#endif
    return word;
}

/* Are all eight bytes digits? '0'..'9' are 0x30..0x39: the high half of the byte is 3, and still
 * is after 6 was added. */
static inline bool digits_are(uint64_t word)
{
    const uint64_t high = 0xF0F0F0F0F0F0F0F0;
    uint64_t sum = (word + 0x0606060606060606) & high;
    return ((word & high) | sum >> 4) == 0x3333333333333333;
}

/* Their value: neighbours are joined to pairs, pairs to fours, fours to eight. */
static inline uint64_t digits_value(uint64_t word)
{
    word &= 0x0F0F0F0F0F0F0F0F;
    word = (word * 10 + (word >> 8)) & 0x00FF00FF00FF00FF;
    word = (word * 100 + (word >> 16)) & 0x0000FFFF0000FFFF;
    return (word * 10000 + (word >> 32)) & 0xFFFFFFFF;
}

#endif
