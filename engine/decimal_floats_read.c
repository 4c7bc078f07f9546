/* engine/decimal_floats_read.c - numbers that follow one another, read for one instruction set:
 * where large requests spend their time. */
#include "engine/decimal_number.h"
#include "engine/simd.h"
#include "engine/sweep.h"

static bool is_blank(char c)
{
    return c == ' ' || c == '\n' || c == '\t' || c == '\r';
}

/* p is behind a number: where the next one should begin, NULL: none follows. */
static const char *next_number(const char *p, const char *end)
{
    if (p == end || *p != ',')
        return NULL;
    for (p++; p < end && is_blank(*p); p++)
        ;
    return p;
}

/* ---- any numbers --------------------------------------------------------------------------- */

/* Where the next number should begin: behind the next comma, and a blank after it. *comma: where
 * that is, NULL: not near. So much text is there. */
#define GUESS_BYTES (COMMAS_MASKED + 2)

static inline const char *guess_next(const char *p, const char **comma)
{
    uint32_t commas = digits_commas(p);
    unsigned at = (unsigned)__builtin_ctzll(commas | (uint64_t)1 << COMMAS_MASKED);
    *comma = commas ? p + at : NULL;
    const char *next = p + at + 1 + (p[at + 1] == ' ');
    SIMD_OPAQUE(next); /* else it would be made of where the number ends */
    return next;
}

/* Reads up to `room` numbers; *text moves behind the last one. Where a number ends is known late,
 * as the last of what is found out of it. So it is guessed where the next one begins, and that is
 * begun with at once; the guess is nearly always right. */
NEVER_INLINE static size_t read_any_floats(const char **text, const char *end, float *out,
                                           size_t room)
{
    size_t count = 0;
    const char *p = *text;
    while (p && count < room) {
        const char *comma = NULL, *next = NULL;
        if (end - p >= GUESS_BYTES)
            next = guess_next(p, &comma);
        p = read_f32(p, end, &out[count]);
        if (!p)
            break;
        *text = p;
        count++;
        p = p == comma && *next > ' ' ? next : next_number(p, end); /* no more blanks */
    }
    return count;
}

/* ---- plain numbers ------------------------------------------------------------------------- */

#ifdef DIGITS_MANY

/* A sign, digits, a point and digits, and a comma or a bracket: so many bytes at most between the
 * sign and that. What the digits make is rounded so often, by a unit of a double's last place at
 * most: the last 16, their sum with those before, the power of ten, the product. */
#define PLAIN_BYTES     21
#define PLAIN_ROUNDINGS 4

/* Of 16 bytes, where the point is the n-th from the end, those before it move over it, and a zero
 * comes in front. n = 0: there is none. */
#define MOVED(n, j) (((n) == 0 || (j) > 16 - (n) ? (j) : (j)-1) & 255)
#define MOVED_ROW(n)                                                                               \
    {                                                                                              \
        MOVED(n, 0), MOVED(n, 1), MOVED(n, 2), MOVED(n, 3), MOVED(n, 4), MOVED(n, 5), MOVED(n, 6), \
            MOVED(n, 7), MOVED(n, 8), MOVED(n, 9), MOVED(n, 10), MOVED(n, 11), MOVED(n, 12),       \
            MOVED(n, 13), MOVED(n, 14), MOVED(n, 15)                                               \
    }
static const unsigned char without_point[][16] = {
    MOVED_ROW(0),  MOVED_ROW(1),  MOVED_ROW(2),  MOVED_ROW(3),  MOVED_ROW(4),  MOVED_ROW(5),
    MOVED_ROW(6),  MOVED_ROW(7),  MOVED_ROW(8),  MOVED_ROW(9),  MOVED_ROW(10), MOVED_ROW(11),
    MOVED_ROW(12), MOVED_ROW(13), MOVED_ROW(14), MOVED_ROW(15), MOVED_ROW(16)};

/* From the n-th on: which of 16 bytes stand before a point that is the n-th from the end, or it. */
static const unsigned char up_to_point[16 + PLAIN_BYTES] = {
    255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255};

/* 10^-digits behind the point, by its place from the end. */
static const double scale_of_point[] = {1e0,   1e0,   1e-1,  1e-2,  1e-3,  1e-4,  1e-5,
                                        1e-6,  1e-7,  1e-8,  1e-9,  1e-10, 1e-11, 1e-12,
                                        1e-13, 1e-14, 1e-15, 1e-16, 1e-17, 1e-18, 1e-19};
_Static_assert(sizeof scale_of_point / sizeof(double) == PLAIN_BYTES, "a digit stands before it");

/* The digits of a text of up to 16 bytes, behind zeros. point: its place from the end, or 0. */
static inline __m128i plain_digits(const char *text, size_t bytes, size_t point)
{
    __m128i x = digits_behind_zeros(text, bytes);
    return _mm_shuffle_epi8(x, digits_load_16(without_point[point]));
}

/* The number that four fours make, rounded once. */
static inline double join_fours(__m128i fours)
{
    __m128d halves = _mm_cvtepi32_pd(digits_eights(fours));
    return _mm_cvtsd_f64(_mm_fmadd_sd(halves, _mm_set_sd(1e8), _mm_unpackhi_pd(halves, halves)));
}

/* The number that more than 16 bytes make without the point, rounded twice: the first term is
 * exact, as 9999 * 5^16 < 2^53. Its last 16 digits are the last 16 bytes, or, if the point is among
 * these, partly those from one byte before. */
static inline double join_long(const char *text, size_t bytes, size_t point)
{
    bool among = point <= 16;
    __m128i last = digits_of_16(text + bytes - 16), earlier = digits_of_16(text + bytes - 17);
    last = _mm_blendv_epi8(last, earlier, digits_load_16(up_to_point + point));
    __m128i first = plain_digits(text, bytes - 16 - among, among ? 0 : point - 16);
    double head = _mm_extract_epi32(digits_fours(first), 3);
    return head * 1e16 + join_fours(digits_fours(last));
}

/* Bit i: p[i] is a comma or a bracket, one of which ends a plain number. 32 bytes are there. */
static inline uint32_t plain_ends(const char *p)
{
    __m256i x = _mm256_loadu_si256((const __m256i *)(const void *)p);
    __m256i commas = _mm256_cmpeq_epi8(x, _mm256_set1_epi8(','));
    __m256i brackets = _mm256_cmpeq_epi8(x, _mm256_set1_epi8(']'));
    return (uint32_t)_mm256_movemask_epi8(_mm256_or_si256(commas, brackets));
}

/* The place of the first one in a mask, or one that is beyond all plain numbers. */
static inline size_t first_place(uint32_t mask)
{
    return (size_t)__builtin_ctz(mask | 0x80000000);
}

/* Are so many bytes a number without sign and exponent? whole: the place of the first one, or of
 * what ends them, that is no digit; others: those of them that are none, a bit each. */
static inline bool is_plain(const char *first, size_t bytes, size_t whole, uint32_t others)
{
    size_t point = bytes - whole;
    bool many = (others & (others - 1)) != 0, zero = ((*first - '1') & (1 - (int)whole)) < 0;
    return bytes <= PLAIN_BYTES && whole > 0 && point != 1 && !many && !zero &&
           (first[whole] == '.' || point == 0);
}

/* Reads up to `room` numbers that are plain, of a text of DIGITS_MASKED bytes or more; *text moves
 * behind the last one. Nothing here waits for the number before but for its place, which is where
 * the first comma or bracket is. No branch depends on how many digits there are, but for more than
 * 16. */
NEVER_INLINE static size_t read_plain_floats(const char **text, const char *end, float *out,
                                             size_t room)
{
    const char *p = *text, *behind = p, *last = end - DIGITS_MASKED;
    size_t count = 0, blank = 0; /* 1: it comes behind each comma */
    while (count < room && p <= last) {
        const char *stop = p + first_place(plain_ends(p));
        uint32_t others = ~digits_mask(p), negative = others & 1;
        const char *first = p + negative;
        size_t bytes = (size_t)(stop - first);
        others >>= negative;
        size_t whole = first_place(others);
        size_t point = bytes - whole; /* from the end; 0: there is none */
        others = _bzhi_u32(others, (unsigned)bytes);
        if (!is_plain(first, bytes, whole, others) || ((*p ^ '-') & -(int)negative) != 0) {
            if (*p != ' ' || blank || count == 0)
                break;
            blank = 1;
            p++;
            continue;
        }
        double x;
        uint32_t pattern;
        if (bytes <= 16)
            x = join_fours(digits_fours(plain_digits(first, bytes, point)));
        else if (point != 0)
            x = join_long(first, bytes, point);
        else
            break;
        if (!round_again(x * scale_of_point[point], PLAIN_ROUNDINGS, &pattern))
            break;
        pattern |= negative << 31;
        memcpy(&out[count++], &pattern, sizeof pattern);
        behind = stop;
        p = stop + 1 + blank;
        if (*stop != ',' || (blank && p[-1] != ' '))
            break;
    }
    *text = behind;
    return count;
}

/* Unusual numbers mostly follow one another: so many are read before a plain one is tried again. */
#define UNUSUAL_MOST 16

size_t ISA_FN(read_floats)(const char **text, const char *end, float *out, size_t room)
{
    size_t count = 0, unusual = 1;
    for (const char *p = *text; p && count < room; p = next_number(p, end)) {
        size_t some =
            end - p >= DIGITS_MASKED ? read_plain_floats(&p, end, out + count, room - count) : 0;
        if (some > 0) {
            unusual = 1;
        } else {
            size_t most = room - count < unusual ? room - count : unusual;
            some = read_any_floats(&p, end, out + count, most);
            unusual = unusual < UNUSUAL_MOST ? 2 * unusual : unusual;
        }
        if (some == 0)
            break;
        count += some;
        *text = p;
    }
    return count;
}

#else

size_t ISA_FN(read_floats)(const char **text, const char *end, float *out, size_t room)
{
    return read_any_floats(text, end, out, room);
}

#endif
