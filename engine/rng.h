/* engine/rng.h - PyTorch's CPU generator: mt19937 and its transformations.
 *
 * The same seed gives the same numbers as torch.manual_seed on a CPU: bit for bit for uniform,
 * to the last few bits for normal (PyTorch's vector units round log and cosine in their own way).
 * Threads: one generator, one thread at a time.
 * Source:  ATen/core/MT19937RNGEngine.h, ATen/native/cpu/DistributionTemplates.h (PyTorch).
 */
#ifndef ENGINE_RNG_H
#define ENGINE_RNG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RNG_WORDS 624

/* Plain data: a checkpoint keeps it as it stands. */
struct rng {
    uint32_t word[RNG_WORDS];
    uint32_t next;     /* index of the next word, RNG_WORDS: all used */
    uint32_t has_sine; /* 1: `sine` waits for the next normal */
    double sine;
};

void rng_seed(struct rng *r, uint64_t seed);
uint32_t rng_next(struct rng *r);

/* torch.Tensor.uniform_(low, high) over n contiguous elements. */
void rng_uniform_f32(struct rng *r, float *x, size_t n, double low, double high);
void rng_uniform_f64(struct rng *r, double *x, size_t n, double low, double high);
/* torch.randn over n contiguous elements. */
void rng_normal_f32(struct rng *r, float *x, size_t n);
void rng_normal_f64(struct rng *r, double *x, size_t n);

/* torch.randperm(n): 0 to n - 1 in a random order. n: below 2^32 / 20, from where on current
 * PyTorch draws otherwise. */
void rng_permutation(struct rng *r, uint32_t *x, uint32_t n);
/* Draws so many words and forgets them. */
void rng_skip(struct rng *r, uint64_t words);

#endif
