/* engine/decimal_floats.c - numbers that follow one another, for one instruction set: where large
 * requests spend their time. */
#include "engine/decimal_number.h"
#include "engine/simd.h"
#include "engine/sweep.h"

static bool is_blank(char c)
{
    return c == ' ' || c == '\n' || c == '\t' || c == '\r';
}

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

/* Where a number ends is known late, as the last of what is found out of it. So it is guessed where
 * the next one begins, and that is begun with at once; the guess is nearly always right. */
size_t ISA_FN(read_floats)(const char **text, const char *end, float *out, size_t room)
{
    size_t count = 0;
    const char *p = *text;
    while (count < room) {
        const char *comma = NULL, *next = NULL;
        if (end - p >= GUESS_BYTES)
            next = guess_next(p, &comma);
        p = read_f32(p, end, &out[count]);
        if (!p)
            return count;
        *text = p;
        count++;
        if (p == comma && *next > ' ') { /* no more blanks */
            p = next;
            continue;
        }
        if (p == end || *p != ',')
            return count;
        for (p++; p < end && is_blank(*p); p++)
            ;
    }
    return count;
}
