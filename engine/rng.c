#include "engine/rng.h"

#include <math.h>

#include "engine/vmath_angle.h"

#define MIDDLE 397 /* mt19937: how far ahead the second word of the recurrence is */
#define TWO_PI 0x1.921fb54442d18p+2
#define BLOCK  16 /* elements that PyTorch makes normal together: 8 pairs */

/* init_genrand of Matsumoto and Nishimura; PyTorch uses the seed's low 32 bits. */
void rng_seed(struct rng *r, uint64_t seed)
{
    r->word[0] = (uint32_t)seed;
    for (uint32_t i = 1; i < RNG_WORDS; i++)
        r->word[i] = 1812433253u * (r->word[i - 1] ^ (r->word[i - 1] >> 30)) + i;
    r->next = RNG_WORDS;
    r->has_sine = 0;
    r->sine = 0.0;
}

static void make_words(struct rng *r)
{
    uint32_t *w = r->word;
    for (uint32_t i = 0; i < RNG_WORDS; i++) {
        uint32_t mixed = (w[i] & 0x80000000u) | (w[(i + 1) % RNG_WORDS] & 0x7fffffffu);
        w[i] = w[(i + MIDDLE) % RNG_WORDS] ^ (mixed >> 1) ^ (mixed & 1 ? 0x9908b0dfu : 0u);
    }
    r->next = 0;
}

uint32_t rng_next(struct rng *r)
{
    if (r->next >= RNG_WORDS)
        make_words(r);
    uint32_t y = r->word[r->next++];
    y ^= y >> 11;
    y ^= (y << 7) & 0x9d2c5680u;
    y ^= (y << 15) & 0xefc60000u;
    return y ^ (y >> 18);
}

/* [0, 1) with 24 bits. */
static float unit_f32(struct rng *r)
{
    return (float)(rng_next(r) & 0xffffff) * 0x1p-24f;
}

/* [0, 1) with 53 bits; the first word is the high one. */
static double unit_f64(struct rng *r)
{
    uint64_t high = rng_next(r);
    uint64_t both = high << 32 | rng_next(r);
    return (double)(both & 0x1fffffffffffff) * 0x1p-53;
}

/* Fused, since PyTorch's compiler contracts this line. */
void rng_uniform_f32(struct rng *r, float *x, size_t n, double low, double high)
{
    float start = (float)low, width = (float)high - start;
    for (size_t i = 0; i < n; i++)
        x[i] = fmaf(unit_f32(r), width, start);
}

void rng_uniform_f64(struct rng *r, double *x, size_t n, double low, double high)
{
    double width = high - low;
    for (size_t i = 0; i < n; i++)
        x[i] = fma(unit_f64(r), width, low);
}

/* Fewer than BLOCK elements: one at a time, the sine of a pair waits for the next call. */
static double next_normal(struct rng *r)
{
    if (r->has_sine) {
        r->has_sine = 0;
        return r->sine;
    }
    double angle = TWO_PI * unit_f64(r);
    double radius = sqrt(-2.0 * log1p_f64(-unit_f64(r)));
    r->sine = radius * sin_f64(angle);
    r->has_sine = 1;
    return radius * cos_f64(angle);
}

/* Box and Muller's transformation of BLOCK / 2 pairs in place, u1 in the first half and u2 in the
 * second. PyTorch's vector code rounds each step to float32; so do we. */
static void block_normal_f32(float *x)
{
    for (int j = 0; j < BLOCK / 2; j++) {
        float u1 = 1.0f - x[j], u2 = x[j + BLOCK / 2];
        float radius = sqrtf(-2.0f * (float)log_f64((double)u1));
        float angle = (float)TWO_PI * u2;
        x[j] = radius * cos_f32(angle);
        x[j + BLOCK / 2] = radius * sin_f32(angle);
    }
}

static void block_normal_f64(double *x)
{
    for (int j = 0; j < BLOCK / 2; j++) {
        double radius = sqrt(-2.0 * log_f64(1.0 - x[j]));
        double angle = TWO_PI * x[j + BLOCK / 2];
        x[j] = radius * cos_f64(angle);
        x[j + BLOCK / 2] = radius * sin_f64(angle);
    }
}

/* From BLOCK elements on: all uniform first, then block by block; a tail that fills no block makes
 * the last BLOCK elements be drawn anew, as in PyTorch. */
void rng_normal_f32(struct rng *r, float *x, size_t n)
{
    if (n < BLOCK) {
        for (size_t i = 0; i < n; i++)
            x[i] = (float)next_normal(r);
        return;
    }
    rng_uniform_f32(r, x, n, 0.0, 1.0);
    for (size_t i = 0; i + BLOCK <= n; i += BLOCK)
        block_normal_f32(x + i);
    if (n % BLOCK) {
        rng_uniform_f32(r, x + n - BLOCK, BLOCK, 0.0, 1.0);
        block_normal_f32(x + n - BLOCK);
    }
}

void rng_normal_f64(struct rng *r, double *x, size_t n)
{
    if (n < BLOCK) {
        for (size_t i = 0; i < n; i++)
            x[i] = next_normal(r);
        return;
    }
    rng_uniform_f64(r, x, n, 0.0, 1.0);
    for (size_t i = 0; i + BLOCK <= n; i += BLOCK)
        block_normal_f64(x + i);
    if (n % BLOCK) {
        rng_uniform_f64(r, x + n - BLOCK, BLOCK, 0.0, 1.0);
        block_normal_f64(x + n - BLOCK);
    }
}

void rng_permutation(struct rng *r, uint32_t *x, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        x[i] = i;
    for (uint32_t i = 0; i + 1 < n; i++) {
        uint32_t j = i + rng_next(r) % (n - i), was = x[i];
        x[i] = x[j];
        x[j] = was;
    }
}

void rng_skip(struct rng *r, uint64_t words)
{
    for (; words > 0; words--)
        (void)rng_next(r);
}
