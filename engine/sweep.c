/* engine/sweep.c - passes over contiguous blocks of numbers, for one instruction set. */
#include "engine/sweep.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "engine/update.h"

/* Partial sums of a reduction, whatever the vectors' width: element i goes to lane i % LANES. */
#define LANES 16
/* Elements that the update takes at a time, so that they are still near when their digest is
 * summed.
 */
#define CHUNK 512

static struct form sweep_form(const struct sgd_sweep *s)
{
    return form_of(s->options, s->momentum, s->first);
}

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Halves are added until one lane is left. */
static double fold(double lane[LANES])
{
    for (int width = LANES / 2; width > 0; width /= 2)
        for (int i = 0; i < width; i++)
            lane[i] += lane[i + width];
    return lane[0];
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

/* A lane holds two words: the first is multiplied where it is, the second shifted down. */
uint64_t ISA_FN(digest)(size_t first_word, const void *x, size_t words)
{
    const char *p = x;
    simd_u32 line; /* the weights before they are mixed */
    simd_u64 sum[2] = {{0}};
    for (size_t j = 0; j < SIMD_LANES_u32; j++)
        line[j] = (uint32_t)(first_word + j) * DIGEST_STEP + DIGEST_START;
    size_t i = 0;
    for (; words - i >= SIMD_LANES_u32; i += SIMD_LANES_u32) {
        simd_u64 pair, weight = (simd_u64)((line ^ line >> DIGEST_SHIFT) | 1);
        memcpy(&pair, p + 4 * i, sizeof pair);
        sum[0] += simd_mul_halves_u64(pair, weight);
        sum[1] += simd_mul_halves_u64(pair >> 32, weight >> 32);
        line += SIMD_LANES_u32 * DIGEST_STEP;
    }
    uint64_t total = 0;
    for (int lane = 0; lane < SIMD_LANES_u64; lane++)
        total += sum[0][lane] + sum[1][lane];
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
