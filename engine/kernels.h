/* engine/kernels.h - the compiled loops of one instruction set, and the choice among them.
 *
 * All variants give the same bits (engine/isa.h says how), so the choice is one of speed alone.
 * Threads: immutable tables; everything here is pure.
 */
#ifndef ENGINE_KERNELS_H
#define ENGINE_KERNELS_H

#include <stdbool.h>
#include <stddef.h>

#include "engine/matmul.h"

/* The arithmetic's version: changes whenever any kernel's order of operations or polynomial
 * does, and so its bits. Kept with every checkpoint. */
#define ARITHMETIC_VERSION 2

struct op;
struct tensor;
struct sgd_options;

/* One sweep of the SGD update over a contiguous run of one parameter block. */
struct sgd_sweep {
    enum dtype dtype;
    size_t n;
    const struct sgd_options *options;
    bool first; /* no momentum yet: the buffer is set, not blended (nor read) */
    bool dry;   /* nothing is written; what would have been is still returned */
    const void *gradient;
    void *momentum; /* NULL without momentum */
    void *parameter;
};

struct kernels {
    const char *isa;
    const struct op *ops; /* OP_COUNT rows, indexed by enum op_id */
    matmul_fn *matmul;
    /* Sum of squares in double, in fixed order; may overflow to infinity for float64. */
    double (*sum_squares)(enum dtype dtype, const void *x, size_t n);
    bool (*all_finite)(enum dtype dtype, const void *x, size_t n);
    /* y = y + x */
    void (*accumulate)(enum dtype dtype, void *y, const void *x, size_t n);
    /* dst = scale times the sum of x (times `times`) where dst is broadcast to x (op_reduce.h). */
    void (*sum_to)(struct tensor *dst, const struct tensor *x, const struct tensor *times,
                   double scale);
    /* The update (torch.optim.SGD). Returns the largest magnitude written to parameter and
     * momentum, NaN if any is NaN: whether the next state is finite. */
    double (*sgd)(const struct sgd_sweep *sweep);
};

/* The best one that this CPU runs. */
const struct kernels *kernels_best(void);
/* By name ("avx512", "avx2", "baseline"); NULL: unknown, or this CPU cannot run it. */
const struct kernels *kernels_find(const char *isa);
/* The names that this build has, best first, NULL ends them. */
extern const char *const kernels_names[];

#endif
