/* engine/kernels.h - the compiled loops of one instruction set, and the choice among them.
 *
 * All variants give the same bits (engine/isa.h says how), so the choice is one of speed alone.
 * Threads: immutable tables; everything here is pure.
 */
#ifndef ENGINE_KERNELS_H
#define ENGINE_KERNELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/matmul.h"

/* The arithmetic's version: changes whenever any kernel's order of operations or polynomial
 * does, and so its bits, or the order of a block's numbers. Kept with every checkpoint. */
#define ARITHMETIC_VERSION 4
#define ARITHMETIC_ROWS    2 /* up to this one every parameter lay row-major in the blocks */

struct op;
struct tensor;
struct sgd_options;
struct regress;
struct cross_entropy;

/* The digest of a block of numbers: by it a replay knows whether it led to the same bits. The block
 * is seen as little-endian 32-bit words (a float64 is two, its low half first), and
 *     digest = the sum of word[i] * digest_weight(i), modulo 2^64
 * So it is exact, in any order and on any vector width, and the digests of a block's pieces add up
 * to the block's. A weight is not 0 and no factor reaches 2^32, so one word that changes always
 * changes the sum. Several hardly ever cancel out, as +1 -1 -1 +1 in words i,
 * i + 1, j, j + 1 would if weights went up in equal steps: the shift breaks those up. */
#define DIGEST_STEP  0x9E3779B1u /* both odd; the primes of xxHash */
#define DIGEST_START 0x85EBCA77u
#define DIGEST_SHIFT 15
static inline uint32_t digest_weight(size_t i)
{
    uint32_t weight = (uint32_t)i * DIGEST_STEP + DIGEST_START;
    return (weight ^ weight >> DIGEST_SHIFT) | 1;
}

/* Says, in the digest of a block of which only some parts count, that the i-th part does: parts of
 * zeros would not be seen otherwise. The bits look random (splitmix64's finalizer), so that
 * two sets of parts hardly ever have one sum. */
static inline uint64_t digest_mark(size_t i)
{
    uint64_t z = ((uint64_t)i + 1) * 0x9E3779B97F4A7C15u;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return z ^ z >> 31;
}

/* The digests of an optimizer's two blocks. */
struct sgd_sums {
    uint64_t parameters, momentum;
};

/* One sweep of the SGD update over a contiguous run of one parameter block, or over several that
 * lie equally far apart. */
struct sgd_sweep {
    enum dtype dtype;
    size_t n;
    size_t rows;          /* runs of n elements each; 0 is 1 */
    size_t next;          /* elements from one to the next, in the blocks, */
    size_t next_gradient; /* and in the gradient, which is no product then */
    const struct sgd_options *options;
    bool first; /* no momentum yet: the buffer is set, not blended (nor read) */
    bool dry;   /* nothing is written; what would have been is still returned */
    const void *gradient;
    const struct matmul_args *product; /* NULL, or what makes the gradient, instead of that: rows
                                          one after another, of a c that is not written; k not 0,
                                          b dense in rows; worth it for small k and long rows */
    void *momentum;                    /* NULL without momentum */
    void *parameter;
    size_t at;             /* the index in its block of the run's first element */
    struct sgd_sums *sums; /* NULL, or where the digests of the new parameters and of the new
                              momentum are added, also in a dry sweep */
    double *squares; /* NULL, or where the squares of the gradient are added, in fixed order */
};

struct kernels {
    const char *isa;
    const struct op *ops; /* OP_COUNT rows, indexed by enum op_id */
    matmul_fn *matmul;
    /* Sum of squares in double, in fixed order; may overflow to infinity for float64. */
    double (*sum_squares)(enum dtype dtype, const void *x, size_t n);
    /* The largest magnitude of n elements; NaN if any is one. */
    double (*largest)(enum dtype dtype, const void *x, size_t n);
    /* y = y + x */
    void (*accumulate)(enum dtype dtype, void *y, const void *x, size_t n);
    /* dst = scale times the sum of x (times `times`) where dst is broadcast to x (op_reduce.h). */
    void (*sum_to)(struct tensor *dst, const struct tensor *x, const struct tensor *times,
                   double scale);
    /* The update (torch.optim.SGD). Returns the largest magnitude written to parameter and
     * momentum, NaN if any is NaN: whether the next state is finite. */
    double (*sgd)(const struct sgd_sweep *sweep);
    /* regress.h, cross_entropy.h */
    void (*regress)(const struct regress *r);
    void (*cross_entropy)(const struct cross_entropy *c);
    /* The digest of a piece of a block, whose first word is the first_word-th of the block's. */
    uint64_t (*digest)(size_t first_word, const void *x, size_t words);
    /* decimal_read_floats, decimal_write_floats (decimal.h) */
    size_t (*read_floats)(const char **text, const char *end, float *out, size_t room);
    size_t (*write_floats)(const float *x, size_t n, char *out, size_t *bytes);
};

/* The best one that this CPU runs. */
const struct kernels *kernels_best(void);
/* By name ("avx512", "avx2", "baseline"); NULL: unknown, or this CPU cannot run it. */
const struct kernels *kernels_find(const char *isa);
/* The names that this build has, best first, NULL ends them. */
extern const char *const kernels_names[];

#endif
