/* engine/rows.h - visits, row by row, tensors that are broadcast to one shape.
 *
 * A row is a run along the last dimension. For the kernel files: small enough to be inlined.
 */
#ifndef ENGINE_ROWS_H
#define ENGINE_ROWS_H

#include "engine/tensor.h"

#define ROWS_TENSORS_MAX 3

struct rows {
    struct shape shape;
    int64_t n;    /* elements of a row */
    int64_t left; /* rows still to visit, this one included */
    int64_t index[RANK_MAX];
    int64_t stride[ROWS_TENSORS_MAX][RANK_MAX]; /* 0 where a tensor is broadcast */
    int64_t at[ROWS_TENSORS_MAX];               /* of this row's first element, in elements */
    int64_t step[ROWS_TENSORS_MAX];             /* from element to element within a row */
};

/* The strides of x seen as a tensor of that shape: 0 where it is broadcast. */
static inline void rows_strides(const struct tensor *x, const struct shape *shape, int64_t *stride)
{
    int pad = shape->rank - x->shape.rank;
    for (int d = 0; d < shape->rank; d++)
        stride[d] = d < pad || x->shape.dim[d - pad] == 1 ? 0 : x->stride[d - pad];
}

static inline struct rows rows_begin(const struct shape *shape, const struct tensor *const *x,
                                     int count)
{
    struct rows r = {.shape = *shape};
    int last = shape->rank - 1;
    r.n = last < 0 ? 1 : shape->dim[last];
    r.left = r.n ? shape_count(shape) / r.n : 0;
    for (int i = 0; i < count; i++) {
        rows_strides(x[i], shape, r.stride[i]);
        r.step[i] = last < 0 ? 0 : r.stride[i][last];
    }
    return r;
}

static inline void rows_next(struct rows *r)
{
    r->left--;
    for (int d = r->shape.rank - 2; d >= 0; d--) {
        for (int i = 0; i < ROWS_TENSORS_MAX; i++)
            r->at[i] += r->stride[i][d];
        if (++r->index[d] < r->shape.dim[d])
            return;
        for (int i = 0; i < ROWS_TENSORS_MAX; i++)
            r->at[i] -= r->stride[i][d] * r->shape.dim[d];
        r->index[d] = 0;
    }
}

#endif
