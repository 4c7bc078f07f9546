/* engine/groups.h - the elements of a row-major tensor in groups, as a reduction takes them: one
 * group for each element of the result, its elements in row-major order.
 *
 * A group is `runs` runs of n elements, `step` apart. Neighbouring dimensions of one kind count as
 * one, so that there are few and long runs. For the kernel files: small enough to be inlined.
 *
 *     for (int64_t i = 0; i < g.count; i++)
 *         for (int64_t k = 0; k < g.runs; k++)
 *             … x[groups_start(&g, i) + groups_run(&g, k) + j * g.step], j < g.n
 */
#ifndef ENGINE_GROUPS_H
#define ENGINE_GROUPS_H

#include "engine/shape.h"

/* Dimensions of one kind, and what a step along each is in elements; outermost last. */
struct grid {
    int rank;
    int64_t dim[RANK_MAX], stride[RANK_MAX];
};

struct groups {
    int64_t count;            /* of groups */
    int64_t runs, n, step;    /* of each */
    struct grid kept, others; /* others: the reduced dimensions but the innermost, which is a run */
};

static inline void grid_add(struct grid *grid, int64_t dim, int64_t stride)
{
    int last = grid->rank - 1;
    if (last >= 0 && grid->stride[last] * grid->dim[last] == stride) {
        grid->dim[last] *= dim;
        return;
    }
    grid->dim[grid->rank] = dim;
    grid->stride[grid->rank++] = stride;
}

static inline int64_t grid_count(const struct grid *grid)
{
    int64_t count = 1;
    for (int d = 0; d < grid->rank; d++)
        count *= grid->dim[d];
    return count;
}

/* Where the i-th element lies. */
static inline int64_t grid_at(const struct grid *grid, int64_t i)
{
    int64_t at = 0;
    for (int d = 0; d < grid->rank; d++) {
        at += i % grid->dim[d] * grid->stride[d];
        i /= grid->dim[d];
    }
    return at;
}

/* dims: bit d says that dimension d is reduced. */
static inline struct groups groups_of(const struct shape *shape, unsigned dims)
{
    struct groups g = {.n = 1, .step = 1};
    struct grid reduced = {.rank = 0};
    int64_t stride = 1;
    for (int d = shape->rank - 1; d >= 0; d--) {
        if (shape->dim[d] != 1)
            grid_add(dims >> d & 1 ? &reduced : &g.kept, shape->dim[d], stride);
        stride *= shape->dim[d] ? shape->dim[d] : 1;
    }
    g.count = grid_count(&g.kept);
    if (reduced.rank > 0) {
        g.n = reduced.dim[0];
        g.step = reduced.stride[0];
    }
    for (int d = 1; d < reduced.rank; d++)
        grid_add(&g.others, reduced.dim[d], reduced.stride[d]);
    g.runs = g.n ? grid_count(&g.others) : 0; /* nobody counts through a billion of nothing */
    return g;
}

static inline int64_t groups_start(const struct groups *g, int64_t i)
{
    return grid_at(&g->kept, i);
}

static inline int64_t groups_run(const struct groups *g, int64_t k)
{
    return grid_at(&g->others, k);
}

#endif
