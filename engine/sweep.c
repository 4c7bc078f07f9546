/* engine/sweep.c - passes over contiguous blocks of numbers, for one instruction set. */
#include "engine/sweep.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "engine/update.h"

/* Partial sums of a reduction, whatever the vectors' width: element i goes to lane i % LANES. */
#define LANES 16
/* Elements that the update takes at a time where it has to be given room. */
#define CHUNK 512

static struct form sweep_form(const struct sgd_sweep *s)
{
    return form_of(s->options, s->momentum, s->first);
}

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

#define LANE_VECTORS (LANES / SIMD_LANES_f64)

/* Halves are added until one lane is left. */
static double fold(const simd_f64 *vector)
{
    double lane[LANES];
    memcpy(lane, vector, sizeof lane);
    for (int width = LANES / 2; width > 0; width /= 2)
        for (int i = 0; i < width; i++)
            lane[i] += lane[i + width];
    return lane[0];
}

/* The weights of the words from here on before they are mixed. */
static inline simd_u32 digest_line(size_t first_word)
{
    simd_u32 line;
    for (size_t j = 0; j < SIMD_LANES_u32; j++)
        line[j] = (uint32_t)j * DIGEST_STEP + DIGEST_START;
    return line + (uint32_t)first_word * DIGEST_STEP;
}

/* A lane holds two words: the first is multiplied where it is, the second shifted down. */
SIMD_INLINE void digest_vector(simd_u64 *sum, simd_u32 line, simd_u64 pair)
{
    simd_u64 weight = (simd_u64)((line ^ line >> DIGEST_SHIFT) | 1);
    sum[0] += simd_mul_halves_u64(pair, weight);
    sum[1] += simd_mul_halves_u64(pair >> 32, weight >> 32);
}

static uint64_t digest_total(const simd_u64 *sum)
{
    uint64_t total = 0;
    for (int lane = 0; lane < SIMD_LANES_u64; lane++)
        total += sum[0][lane] + sum[1][lane];
    return total;
}

#define REAL float
#define FMA  fmaf
#include "engine/sweep.inc"
#undef REAL

#define REAL double
#define FMA  fma
#include "engine/sweep.inc"
#undef REAL

double ISA_FN(sum_squares)(enum dtype dtype, const void *x, size_t n)
{
    return dtype == DTYPE_FLOAT32 ? sum_squares_f32(x, n) : sum_squares_f64(x, n);
}

double ISA_FN(largest)(enum dtype dtype, const void *x, size_t n)
{
    return dtype == DTYPE_FLOAT32 ? largest_f32(x, n) : largest_f64(x, n);
}

void ISA_FN(accumulate)(enum dtype dtype, void *y, const void *x, size_t n)
{
    if (dtype == DTYPE_FLOAT32)
        accumulate_f32(y, x, n);
    else
        accumulate_f64(y, x, n);
}

uint64_t ISA_FN(digest)(size_t first_word, const void *x, size_t words)
{
    const char *p = x;
    simd_u32 line = digest_line(first_word);
    simd_u64 sum[2] = {{0}};
    size_t i = 0;
    for (; words - i >= SIMD_LANES_u32; i += SIMD_LANES_u32, line += SIMD_LANES_u32 * DIGEST_STEP) {
        simd_u64 pair;
        memcpy(&pair, p + 4 * i, sizeof pair);
        digest_vector(sum, line, pair);
    }
    uint64_t total = digest_total(sum);
    for (; i < words; i++) {
        uint32_t word;
        memcpy(&word, p + 4 * i, sizeof word);
        total += (uint64_t)word * digest_weight(first_word + i);
    }
    return total;
}

double ISA_FN(sgd)(const struct sgd_sweep *sweep)
{
    return sweep->dtype == DTYPE_FLOAT32 ? sgd_f32(sweep) : sgd_f64(sweep);
}
