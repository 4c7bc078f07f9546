/* engine/digits.h - many decimal digits at a time: eight in one 64-bit word, 16 in a vector, 32 as
 * a mask.
 *
 * For who reads numbers (decimal_number.h, decimal_floats_read.c, api/json_scan.c), and who writes
 * them (decimal_shortest.h, decimal_write.c). Pure.
 */
#ifndef ENGINE_DIGITS_H
#define ENGINE_DIGITS_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif
#ifdef __AVX2__
#include <immintrin.h>
#endif

/* 10^n. */
static const uint64_t digits_pow10[] = {1,
                                        10,
                                        100,
                                        1000,
                                        10000,
                                        100000,
                                        1000000,
                                        10000000,
                                        100000000,
                                        1000000000,
                                        10000000000,
                                        100000000000,
                                        1000000000000,
                                        10000000000000,
                                        100000000000000,
                                        1000000000000000,
                                        10000000000000000,
                                        100000000000000000,
                                        1000000000000000000,
                                        10000000000000000000U};

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

static inline void digits_store(char *text, uint64_t word)
{
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    word = __builtin_bswap64(word);
#endif
    memcpy(text, &word, sizeof word);
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

/* The eight digits of x < 10^8, a byte each, as numbers: the way back. 10486 / 2^20 is 1/100 and
 * 103 / 2^10 is 1/10, near enough for four and two digits. */
static inline uint64_t digits_spread(uint64_t x)
{
    uint64_t fours = x / 10000 | (x % 10000) << 32;
    uint64_t hundreds = (fours * 10486 >> 20) & 0x0000007F0000007F;
    uint64_t pairs = hundreds | (fours - hundreds * 100) << 16;
    uint64_t tens = (pairs * 103 >> 10) & 0x000F000F000F000F;
    return tens | (pairs - tens * 10) << 8;
}
#define DIGITS_TEXT 0x3030303030303030 /* makes text of them */

/* The value of the first n of them, 0 to 8: what is left of the others are zeros in front. */
static inline uint64_t digits_value_of(uint64_t word, unsigned n)
{
    unsigned half = 32 - 4 * n; /* a shift by 64 at once would not be defined */
    return digits_value(word << half << half);
}

#ifdef __AVX2__
#define DIGITS_MANY
/* 16 bytes of anything. */
static inline __m128i digits_load_16(const void *p)
{
    return _mm_loadu_si128((const __m128i *)p);
}

/* 16 digits of text as numbers. */
static inline __m128i digits_of_16(const char *text)
{
    return _mm_sub_epi8(digits_load_16(text), _mm_set1_epi8('0'));
}

/* The first n, 0 to 16, of these, moved behind zeros. */
static inline __m128i digits_behind_zeros(const char *text, size_t n)
{
    static const unsigned char places[32] = {128, 128, 128, 128, 128, 128, 128, 128, 128, 128, 128,
                                             128, 128, 128, 128, 128, 0,   1,   2,   3,   4,   5,
                                             6,   7,   8,   9,   10,  11,  12,  13,  14,  15};
    return _mm_shuffle_epi8(digits_of_16(text), digits_load_16(places + n));
}

/* Neighbours joined to pairs, pairs to fours: four numbers of 32 bits. */
static inline __m128i digits_fours(__m128i x)
{
    x = _mm_maddubs_epi16(x, _mm_set1_epi16(1 << 8 | 10));
    return _mm_madd_epi16(x, _mm_set1_epi32(1 << 16 | 100));
}

/* Fours to eights: two numbers of 32 bits. */
static inline __m128i digits_eights(__m128i fours)
{
    return _mm_madd_epi16(_mm_packus_epi32(fours, fours), _mm_set1_epi32(1 << 16 | 10000));
}

/* The value of the first n digits of 16 bytes of text. */
static inline uint64_t digits_value_of_many(const char *text, unsigned n)
{
    __m128i eights = digits_eights(digits_fours(digits_behind_zeros(text, n)));
    uint64_t halves = (uint64_t)_mm_cvtsi128_si64(eights);
    return (halves & 0xFFFFFFFF) * 100000000 + (halves >> 32);
}
#endif

/* The top bits of eight bytes, side by side: the product gathers them in its highest byte. */
static inline uint32_t digits_gather(uint64_t tops)
{
    return (uint32_t)((tops >> 7) * 0x0102040810204080 >> 56);
}

#define DIGITS_MASKED 32

/* Bit i: text[i] is a digit. All DIGITS_MASKED bytes must be there. */
static inline uint32_t digits_mask(const char *text)
{
    uint32_t mask = 0;
#if defined(__AVX2__)
    __m256i x = _mm256_loadu_si256((const __m256i *)(const void *)text);
    x = _mm256_sub_epi8(x, _mm256_set1_epi8('0'));
    x = _mm256_cmpeq_epi8(x, _mm256_min_epu8(x, _mm256_set1_epi8(9)));
    mask = (uint32_t)_mm256_movemask_epi8(x);
#elif defined(__SSE2__)
    for (int i = 0; i < 2; i++) {
        __m128i x = _mm_loadu_si128((const __m128i *)(const void *)(text + 16 * i));
        x = _mm_sub_epi8(x, _mm_set1_epi8('0'));
        x = _mm_cmpeq_epi8(x, _mm_min_epu8(x, _mm_set1_epi8(9)));
        mask |= (uint32_t)_mm_movemask_epi8(x) << (16 * i);
    }
#else
    /* '0'..'9' became 0..9: all others have the top bit, or get it when 118 is added to the rest.
     */
    for (int i = 0; i < 4; i++) {
        const uint64_t top = 0x8080808080808080;
        uint64_t x = digits_load(text + 8 * i) ^ 0x3030303030303030;
        uint64_t other = (((x & ~top) + 0x7676767676767676) | x) & top;
        mask |= digits_gather(other ^ top) << (8 * i);
    }
#endif
    return mask;
}

#define COMMAS_MASKED 32

/* Bit i: text[i] is a comma. All COMMAS_MASKED bytes must be there. */
static inline uint32_t digits_commas(const char *text)
{
    uint32_t mask = 0;
#if defined(__AVX2__)
    __m256i x = _mm256_loadu_si256((const __m256i *)(const void *)text);
    mask = (uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(x, _mm256_set1_epi8(',')));
#elif defined(__SSE2__)
    for (int i = 0; i < 2; i++) {
        __m128i x = _mm_loadu_si128((const __m128i *)(const void *)(text + 16 * i));
        mask |= (uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(x, _mm_set1_epi8(','))) << (16 * i);
    }
#else
    for (int i = 0; i < 4; i++) { /* all bytes but commas have the top bit, or get it */
        const uint64_t top = 0x8080808080808080;
        uint64_t x = digits_load(text + 8 * i) ^ 0x2C2C2C2C2C2C2C2C;
        uint64_t other = (((x & ~top) + ~top) | x) & top;
        mask |= digits_gather(other ^ top) << (8 * i);
    }
#endif
    return mask;
}

#endif
