/* tests/bench/blas.h - the libraries whose products ours are measured beside.
 *
 * They are loaded, not linked: both define the same names, and nothing else is to depend on them.
 */
#ifndef BENCH_BLAS_H
#define BENCH_BLAS_H

#include <stdbool.h>
#include <stdint.h>

enum { BLAS_ROW_MAJOR = 101, BLAS_AS_IS = 111, BLAS_TRANSPOSED = 112 }; /* CBLAS's numbers */

/* cblas_sgemm: c (m,n) = alpha a (m,k) b (k,n) + beta c */
typedef void blas_sgemm_fn(int layout, int transpose_a, int transpose_b, int m, int n, int k,
                           float alpha, const float *a, int lda, const float *b, int ldb,
                           float beta, float *c, int ldc);

struct blas {
    const char *name, *file;
    blas_sgemm_fn *sgemm;
};

#define BLAS_COUNT 2

/* OpenBLAS and BLIS, on one thread. false: said on stderr what is missing. */
bool blas_open(struct blas blas[BLAS_COUNT]);

#endif
