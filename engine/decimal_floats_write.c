/* engine/decimal_floats_write.c - numbers that follow one another, written for one instruction set.
 *
 * As decimal_write_f32 writes them, in three passes over a block: what each number's exponent says,
 * the digits of four numbers at a time, and where they go. */
#include <math.h>

#include "engine/decimal.h"
#include "engine/decimal_shortest.h"
#include "engine/sweep.h"

#ifdef __AVX2__
#include <immintrin.h>

#define BLOCK 32 /* numbers; of whole vectors */
#define LANES 4

/* Of each number: what is multiplied, and what comes of it (decimal_put_f32). */
struct block {
    _Alignas(32) uint64_t factor[BLOCK];
    _Alignas(32) uint64_t word[BLOCK];
    _Alignas(32) uint64_t ninth[BLOCK];
    _Alignas(32) uint64_t raised[BLOCK]; /* the power, by so many digits that were left out */
    uint32_t c[BLOCK], shift[BLOCK];
    int power[BLOCK];
};

static inline uint32_t pattern_of(float x)
{
    uint32_t pattern;
    memcpy(&pattern, &x, sizeof pattern);
    return pattern;
}

/* Powers of two, and 0, are not like their neighbours. */
static inline bool is_usual(uint32_t pattern)
{
    return (pattern & 0x7FFFFF) != 0;
}

/* The first pass. Returns how many numbers there are before one that is not finite; behind these
 * the last vector is filled up. */
static size_t look_up(struct block *b, const float *x, size_t n)
{
    size_t count = 0;
    for (; count < n; count++) {
        uint32_t pattern = pattern_of(x[count]), field = pattern >> 23 & 0xFF;
        if (field == 0xFF)
            break;
        struct decimal_row row = decimal_rows[field];
        b->factor[count] = row.factor;
        b->c[count] = (pattern & 0x7FFFFF) | row.implicit;
        b->shift[count] = row.shift;
        b->power[count] = row.power;
    }
    for (size_t i = count; i % LANES != 0; i++) {
        b->factor[i] = 0;
        b->c[i] = b->shift[i] = 0;
    }
    return count;
}

static inline __m256i wide(const uint32_t *x)
{
    return _mm256_cvtepu32_epi64(_mm_loadu_si128((const __m128i *)(const void *)x));
}

static inline __m256i all(int64_t x)
{
    return _mm256_set1_epi64x(x);
}

/* x / 10, of lanes below 2^32. */
static inline __m256i tenth(__m256i x)
{
    return _mm256_srli_epi64(_mm256_mul_epu32(x, all(0xCCCCCCCD)), 35);
}

/* x * factor / 2^64, odd if something was cut off: multiply_odd_short of four. */
static inline __m256i multiply(__m256i x, __m256i factor)
{
    __m256i high = _mm256_mul_epu32(x, _mm256_srli_epi64(factor, 32));
    __m256i sum = _mm256_add_epi64(high, _mm256_srli_epi64(_mm256_mul_epu32(x, factor), 32));
    __m256i none = _mm256_cmpeq_epi32(sum, _mm256_setzero_si256());
    return _mm256_or_si256(_mm256_srli_epi64(sum, 32), _mm256_andnot_si256(none, all(1)));
}

/* find_shortest of four: *shorter is 1 where it has a digit less, else 0. All numbers here are
 * below 2^31, and so their lower halves are compared. */
static inline __m256i find_digits(__m256i lower, __m256i value, __m256i upper, __m256i *shorter)
{
    __m256i s = _mm256_srli_epi64(value, 2), tens = tenth(s), one = all(1);
    __m256i exact = _mm256_slli_epi64(s, 2), middle = _mm256_add_epi64(exact, all(2));
    __m256i s_out = _mm256_cmpgt_epi32(lower, exact);
    __m256i next_out = _mm256_cmpgt_epi32(_mm256_add_epi64(exact, all(4)), upper);
    __m256i tie = _mm256_and_si256(_mm256_cmpeq_epi32(value, middle), s);
    __m256i closer = _mm256_and_si256(_mm256_or_si256(_mm256_cmpgt_epi32(value, middle), tie), one);
    __m256i next_in = _mm256_andnot_si256(next_out, one);
    __m256i up = _mm256_blendv_epi8(closer, next_in, _mm256_xor_si256(s_out, next_out));
    __m256i near = _mm256_add_epi64(s, up);

    __m256i ten = _mm256_mul_epu32(tens, all(40));
    __m256i ten_out = _mm256_cmpgt_epi32(lower, ten);
    __m256i next_ten_out = _mm256_cmpgt_epi32(_mm256_add_epi64(ten, all(40)), upper);
    __m256i is_shorter =
        _mm256_and_si256(_mm256_xor_si256(ten_out, next_ten_out), _mm256_cmpgt_epi32(s, all(9)));
    *shorter = _mm256_and_si256(is_shorter, one);
    tens = _mm256_add_epi64(tens, _mm256_andnot_si256(next_ten_out, one));
    return _mm256_blendv_epi8(near, tens, is_shorter);
}

/* digits_spread of four. */
static inline __m256i spread(__m256i x)
{
    __m256i high = _mm256_srli_epi64(_mm256_mul_epu32(x, all(3518437209)), 45); /* x / 10000 */
    __m256i low = _mm256_sub_epi64(x, _mm256_mul_epu32(high, all(10000)));
    __m256i fours = _mm256_or_si256(high, _mm256_slli_epi64(low, 32));
    __m256i hundreds = _mm256_srli_epi16(_mm256_mulhi_epu16(fours, _mm256_set1_epi16(5243)), 3);
    low = _mm256_sub_epi16(fours, _mm256_mullo_epi16(hundreds, _mm256_set1_epi16(100)));
    __m256i twos = _mm256_or_si256(hundreds, _mm256_slli_epi32(low, 16));
    __m256i tens = _mm256_mulhi_epu16(twos, _mm256_set1_epi16(6554));
    low = _mm256_sub_epi16(twos, _mm256_mullo_epi16(tens, _mm256_set1_epi16(10)));
    return _mm256_or_si256(tens, _mm256_slli_epi16(low, 8));
}

/* The second pass, of the numbers from the i-th on. */
static inline void make_digits(struct block *b, size_t i)
{
    __m256i factor = _mm256_load_si256((const __m256i *)(const void *)(b->factor + i));
    __m256i c = wide(b->c + i), shift = wide(b->shift + i), odd = _mm256_and_si256(c, all(1));
    __m256i x = _mm256_sllv_epi64(_mm256_slli_epi64(c, 2), shift);
    __m256i half = _mm256_sllv_epi64(all(2), shift);
    __m256i lower = multiply(_mm256_sub_epi64(x, half), factor), shorter;
    __m256i upper = multiply(_mm256_add_epi64(x, half), factor);
    __m256i digits = find_digits(_mm256_add_epi64(lower, odd), multiply(x, factor),
                                 _mm256_sub_epi64(upper, odd), &shorter);
    __m256i has_nine = _mm256_cmpgt_epi32(digits, all(99999999));
    __m256i tens = tenth(digits);
    __m256i ninth = _mm256_sub_epi64(digits, _mm256_mul_epu32(tens, all(10)));
    __m256i raised = _mm256_sub_epi32(shorter, has_nine);
    digits = _mm256_blendv_epi8(digits, tens, has_nine);
    _mm256_store_si256((__m256i *)(void *)(b->word + i), spread(digits));
    _mm256_store_si256((__m256i *)(void *)(b->ninth + i), _mm256_and_si256(ninth, has_nine));
    _mm256_store_si256((__m256i *)(void *)(b->raised + i), raised);
}

/* The third pass, with a comma behind each. */
static char *put_block(char *out, const struct block *b, const float *x, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint32_t pattern = pattern_of(x[i]);
        if (is_usual(pattern)) {
            *out = '-';
            out = decimal_put_f32(out + (pattern >> 31), b->word[i], (char)('0' + b->ninth[i]),
                                  b->power[i] + (int)b->raised[i]);
        } else {
            out += decimal_write_f32(x[i], out);
        }
        *out++ = ',';
    }
    return out;
}

size_t ISA_FN(write_floats)(const float *x, size_t n, char *out, size_t *bytes)
{
    struct block b;
    size_t count = 0, some = 0, most = 0;
    char *p = out;
    for (; count < n && some == most; count += some) {
        most = n - count < BLOCK ? n - count : BLOCK;
        some = look_up(&b, x + count, most);
        for (size_t i = 0; i < some; i += LANES)
            make_digits(&b, i);
        p = put_block(p, &b, x + count, some);
    }
    *bytes = (size_t)(p - out) - (count > 0);
    return count;
}

#else

size_t ISA_FN(write_floats)(const float *x, size_t n, char *out, size_t *bytes)
{
    size_t count = 0;
    char *p = out;
    for (; count < n && isfinite(x[count]); count++) {
        p += decimal_write_f32(x[count], p);
        *p++ = ',';
    }
    *bytes = (size_t)(p - out) - (count > 0);
    return count;
}

#endif
