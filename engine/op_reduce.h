/* engine/op_reduce.h - sums in fixed order, for the kernel files.
 *
 * Sums run in double: over a run of elements in 8 lanes (element i goes to lane i mod 8) that are
 * combined as a tree, across rows one row after the other.
 */
#ifndef ENGINE_OP_REDUCE_H
#define ENGINE_OP_REDUCE_H

#include "engine/isa.h"
#include "engine/ops.h"

/* dst = scale * the sum of x (times `times`, if not NULL, which broadcasts to x's shape) over the
 * dimensions along which dst was broadcast to x. One float type for all; any strides. */
void ISA_FN(sum_to)(struct tensor *dst, const struct tensor *x, const struct tensor *times,
                    double scale);

/* Is dim one of `rank` dimensions? A scalar counts as having one.
 *   errors INVALID "Dimension out of range (expected to be in range of [-2, 1], but got 2)" */
MUST_USE enum err_kind ISA_FN(check_dim)(int dim, int rank, struct err *e);

/* The same for each bit of dims. */
MUST_USE enum err_kind ISA_FN(check_dims)(unsigned dims, int rank, struct err *e);

/* What a reduction over dims leaves. */
static inline struct shape shape_reduced(const struct shape *s, unsigned dims, bool keepdim)
{
    struct shape out = {.rank = 0};
    for (int d = 0; d < s->rank; d++)
        if (!(dims >> d & 1))
            out.dim[out.rank++] = s->dim[d];
        else if (keepdim)
            out.dim[out.rank++] = 1;
    return out;
}

/* The dimensions that args.dims means, of a tensor of that rank. */
static inline unsigned reduced_dims(const struct op_args *a, int rank)
{
    unsigned all = (1u << rank) - 1;
    return a->dims ? a->dims & all : all;
}

/* y, row-major and reduced from such a shape, as it is with keepdim: it broadcasts to the shape. */
static inline struct tensor kept_dims(const struct tensor *y, const struct shape *shape,
                                      unsigned dims)
{
    struct tensor kept = *y;
    kept.shape = *shape;
    for (int d = 0; d < shape->rank; d++)
        if (dims >> d & 1)
            kept.shape.dim[d] = 1;
    tensor_set_contiguous(&kept);
    return kept;
}

#define SUM_LANES 8
/* The lanes, combined. */
static inline double sum_lanes(const double lane[SUM_LANES])
{
    return ((lane[0] + lane[4]) + (lane[2] + lane[6])) +
           ((lane[1] + lane[5]) + (lane[3] + lane[7]));
}

#endif
