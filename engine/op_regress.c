/* engine/op_regress.c - see regress.h. */
#include "engine/regress.h"

#include "engine/op_reduce.h"

/* So many rows at a time: the chains over one block go on while the next one is made ready. A
 * multiple of SUM_LANES. */
#define BLOCK 32

/* What goes on from block to block. */
struct sums {
    float dw[REGRESS_FEATURES];
    double loss[SUM_LANES], db[SUM_LANES];
};

/* Inlined for each number of features, and for whole blocks. */
#define INLINE static inline __attribute__((always_inline))

INLINE void add_to_lanes(int n, const float *v, double lane[SUM_LANES])
{
    int i = 0;
    for (; i + SUM_LANES <= n; i += SUM_LANES)
        for (int l = 0; l < SUM_LANES; l++)
            lane[l] += (double)v[i + l];
    for (; i < n; i++)
        lane[i % SUM_LANES] += (double)v[i];
}

INLINE void predict(const struct regress *r, int64_t at, int n, int features)
{
    const float *restrict x = r->x + at * features;
    float *restrict y = r->y + at;
    for (int i = 0; i < n; i++) {
        float s = 0;
        for (int k = 0; k < features; k++)
            s = __builtin_fmaf(x[i * features + k], r->w[k], s);
        y[i] = s + *r->b;
    }
}

INLINE void compare(const struct regress *r, int64_t at, int n, struct sums *sums)
{
    const float *restrict y = r->y + at, *restrict target = r->target + at;
    float *restrict slope = r->slope + at, square[BLOCK],
                    g = 2 * (*r->grad * (float)(1 / r->divisor));
    for (int i = 0; i < n; i++) {
        float d = y[i] - target[i];
        square[i] = d * d;
        slope[i] = g * d;
    }
    add_to_lanes(n, square, sums->loss);
    add_to_lanes(n, slope, sums->db);
}

INLINE void follow(const struct regress *r, int64_t at, int n, int features, struct sums *sums)
{
    const float *x = r->x + at * features, *slope = r->slope + at;
    for (int i = 0; i < n; i++)
        for (int k = 0; k < features; k++)
            sums->dw[k] = __builtin_fmaf(x[i * features + k], slope[i], sums->dw[k]);
}

INLINE void run(const struct regress *r, int features)
{
    struct sums sums = {.dw = {0}};
    for (int64_t at = 0; at < r->rows; at += BLOCK) {
        int n = r->rows - at < BLOCK ? (int)(r->rows - at) : BLOCK;
        if (n == BLOCK) {
            predict(r, at, BLOCK, features);
            compare(r, at, BLOCK, &sums);
            follow(r, at, BLOCK, features, &sums);
        } else {
            predict(r, at, n, features);
            compare(r, at, n, &sums);
            follow(r, at, n, features, &sums);
        }
    }
    for (int k = 0; r->dw && k < features; k++)
        r->dw[k] = sums.dw[k];
    if (r->db)
        *r->db = (float)(0.0 + sum_lanes(sums.db));
    *r->loss = (float)(sum_lanes(sums.loss) / r->divisor);
}

_Static_assert(REGRESS_FEATURES == 4, "each number of features has its case");

void ISA_FN(regress)(const struct regress *r)
{
    switch (r->features) {
#define CASE(n)                                                                                    \
    case n:                                                                                        \
        run(r, n);                                                                                 \
        break;
        CASE(1) CASE(2) CASE(3) CASE(4)
#undef CASE
    }
}
