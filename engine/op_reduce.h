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

#define SUM_LANES 8
/* The lanes, combined. */
static inline double sum_lanes(const double lane[SUM_LANES])
{
    return ((lane[0] + lane[4]) + (lane[2] + lane[6])) +
           ((lane[1] + lane[5]) + (lane[3] + lane[7]));
}

#endif
