/* engine/matmul.h - the matrix products, in fixed order.
 *
 * Every output element is one chain of fused multiply-adds in k order, starting from 0:
 *     s = 0;  for k: s = fma(a[i][k], b[k][j], s);  c[i][j] = s  (+ add[i][j], and gated)
 * whatever the blocking, the batch a row sits in, the threads or the instruction set. So a row's
 * result does not depend on its neighbours, and a replay gives the same bits on any CPU.
 * NaN and infinity propagate as that chain says: no zero is ever skipped.
 *
 * Threads: pure; the workspace belongs to the caller for the duration of the call.
 */
#ifndef ENGINE_MATMUL_H
#define ENGINE_MATMUL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/dtype.h"

/* A view of numbers; strides in elements, any of them (also 0 for a broadcast row or column). */
struct matrix {
    void *data;
    int64_t row_stride, col_stride;
};

/* Bytes of workspace that any product may use, whatever its shape; aligned to MEM_ALIGN. 2 MiB and
 * 32 KiB are for b, 320 KiB for a (matmul.c). */
#define MATMUL_WORKSPACE_BYTES ((size_t)2400 << 10)

/* A product that is a gradient may update the parameters itself, tile by tile while the next one is
 * multiplied: c holds them, dense in rows (column stride 1), and becomes what sgd (kernels.h) would
 * make of it. k is at most MATMUL_DEPTH, nothing is added or gated, and no chain continues. */
struct sgd_options;
struct matmul_update {
    const struct sgd_options *options;
    void *momentum; /* with c's strides; NULL without momentum */
    bool first;     /* no momentum yet: it is set, not blended (nor read) */
    double largest; /* set: the largest magnitude written, NaN if any is */
};
#define MATMUL_DEPTH 512

/* A matrix of more bytes probably comes from memory, not from a last-level cache. */
#define MATMUL_MEMORY_BYTES (16 << 20)

/* c (m,n) = a (m,k) b (k,n) [+ add (m,n)]. c overlaps nothing, itself neither, and is fastest dense
 * in rows or in columns (one stride is 1); add.data NULL: nothing is added.
 * gate (m,n), if its data is not NULL: last of all c becomes 0 where gate is <= 0, which no NaN is.
 * It may be c itself: what a ReLU makes of the product. It may be what a ReLU has made, and the
 * product the gradient of that: then c is the gradient of what the ReLU was given. */
struct matmul_args {
    enum dtype dtype; /* FLOAT32 or FLOAT64, of all five */
    int64_t m, n, k;  /* each may be 0 */
    bool continues;   /* c holds the chains of earlier k's, which go on: not from 0 */
    struct matrix a, b, add, gate, c;
    struct matrix beside;         /* data NULL, or what is used with c next: is fetched meanwhile */
    struct matmul_update *update; /* NULL, or: c is not set but updated */
    void *workspace;
};
typedef void matmul_fn(const struct matmul_args *args);

struct crew;
/* The same but for an update, on several threads where that is worth it; the workspace is a tape's
 * (tape.h). crew NULL: on this one. */
void matmul_shared(matmul_fn *matmul, const struct matmul_args *args, struct crew *crew);
/* The product that makes the elements [row, row + rows) x [col, col + cols) of c. */
struct matmul_args matmul_part(const struct matmul_args *args, int64_t row, int64_t rows,
                               int64_t col, int64_t cols);

#ifdef ISA
#include "engine/isa.h"
matmul_fn ISA_FN(matmul);
#endif

#endif
