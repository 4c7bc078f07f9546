/* engine/digit_list.h - lists of plain numbers ("0.5, -1,2.25,"), 64 bytes of text at a time.
 *
 * Masks of the characters tell at once whether all is as JSON wants it, and where each number
 * begins and ends: a loop over the digits would have to wait for the end of one number to begin the
 * next, and guess how long it is. For the readers of tensors (decimal_read.c, api/json_scan.c).
 * Pure. Source of the idea: G. Langdale and D. Lemire, "Parsing Gigabytes of JSON per Second"
 * (2019).
 */
#ifndef ENGINE_DIGIT_LIST_H
#define ENGINE_DIGIT_LIST_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#define DIGIT_LIST_BYTES 64 /* of text that must be there */

/* Numbers without an exponent, a comma behind each, with blanks behind that at most. Bit i of a
 * mask is the i-th byte's. */
struct digit_list {
    uint64_t begins, minus, point, ends; /* of numbers; an end is the byte behind it */
    int bytes;                           /* up to the last comma and with it */
    int count;                           /* at least 1 */
};

#ifdef __SSE2__
typedef struct {
    __m128i a, b, c, d;
} digit_list_text;

static inline uint64_t digit_list_join(digit_list_text found)
{
    return (uint64_t)(uint32_t)_mm_movemask_epi8(found.a) |
           (uint64_t)(uint32_t)_mm_movemask_epi8(found.b) << 16 |
           (uint64_t)(uint32_t)_mm_movemask_epi8(found.c) << 32 |
           (uint64_t)(uint32_t)_mm_movemask_epi8(found.d) << 48;
}

static inline uint64_t digit_list_find(digit_list_text t, char c)
{
    __m128i all = _mm_set1_epi8(c);
    return digit_list_join((digit_list_text){_mm_cmpeq_epi8(t.a, all), _mm_cmpeq_epi8(t.b, all),
                                             _mm_cmpeq_epi8(t.c, all), _mm_cmpeq_epi8(t.d, all)});
}

static inline __m128i digit_list_below_10(__m128i x)
{
    x = _mm_sub_epi8(x, _mm_set1_epi8('0'));
    return _mm_cmpeq_epi8(_mm_min_epu8(x, _mm_set1_epi8(9)), x);
}

static inline uint64_t digit_list_digits(digit_list_text t)
{
    return digit_list_join((digit_list_text){digit_list_below_10(t.a), digit_list_below_10(t.b),
                                             digit_list_below_10(t.c), digit_list_below_10(t.d)});
}

/* Of ones, without an instruction that not every processor has. */
static inline int digit_list_count(uint64_t x)
{
    x -= x >> 1 & 0x5555555555555555;
    x = (x & 0x3333333333333333) + (x >> 2 & 0x3333333333333333);
    x = (x + (x >> 4)) & 0x0F0F0F0F0F0F0F0F;
    return (int)(x * 0x0101010101010101 >> 56);
}

/* false: at p there is no number with a comma behind it, or something that is for a slower look. */
static inline bool digit_list_see(const char *p, struct digit_list *l)
{
    const __m128i *from = (const __m128i *)p;
    digit_list_text t = {_mm_loadu_si128(from), _mm_loadu_si128(from + 1),
                         _mm_loadu_si128(from + 2), _mm_loadu_si128(from + 3)};
    uint64_t comma = digit_list_find(t, ',');
    if (!comma)
        return false;
    l->bytes = 64 - __builtin_clzll(comma);
    l->count = digit_list_count(comma);
    uint64_t all = ~(uint64_t)0 >> (64 - l->bytes);
    uint64_t digits = digit_list_digits(t) & all, blank = digit_list_find(t, ' ') & all;
    uint64_t minus = digit_list_find(t, '-') & all, point = digit_list_find(t, '.') & all;
    uint64_t first = ((comma | blank) << 1 | 1) & all & ~blank; /* of each number, its first byte */
    uint64_t leading = (first & ~minus) | (first & minus) << 1;

    bool known = (digits | minus | point | blank | comma) == all;
    bool signs = !(minus & ~first);
    bool apart = !(blank & ~((comma | blank) << 1));
    bool whole = !(leading & ~digits);
    bool fraction = !(point & ~(digits << 1)) && !(point << 1 & ~digits & all);
    bool ended = !(comma & ~(digits << 1));
    /* adding a bit to a run of ones carries it to the end of the run */
    bool once = !(((point << 1) + digits) & ~digits & point);
    bool no_zeros = !(leading & digit_list_find(t, '0') & digits >> 1);
    l->begins = first;
    l->minus = minus;
    l->point = point;
    l->ends = comma;
    return known & signs & apart & whole & fraction & ended & once & no_zeros;
}
#else
static inline bool digit_list_see(const char *p, struct digit_list *l)
{
    (void)p, (void)l;
    return false;
}
#endif

#endif
