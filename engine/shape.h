/* engine/shape.h - the extents of a tensor.
 *
 * A struct shape that came out of a function here has a checked element count: its product fits
 * in int64_t, so shape_count needs no error.
 */
#ifndef ENGINE_SHAPE_H
#define ENGINE_SHAPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/err.h"

#define RANK_MAX 8

struct shape {
    int rank; /* 0: a scalar */
    int64_t dim[RANK_MAX];
};

/* Elements of a checked shape. */
int64_t shape_count(const struct shape *s);
/* errors INVALID: rank over RANK_MAX, a negative extent, or too many elements */
MUST_USE enum err_kind shape_make(const int64_t *dim, int rank, struct shape *out, struct err *e);
bool shape_equal(const struct shape *a, const struct shape *b);

/* PyTorch's broadcasting of a with b.
 *   errors INVALID "The size of tensor a (3) must match the size of tensor b (4) at …" */
MUST_USE enum err_kind shape_broadcast(const struct shape *a, const struct shape *b,
                                       struct shape *out, struct err *e);

/* "[2, 3]", and "2x3" as PyTorch's matrix errors print it; cut at bytes. Returns text. */
const char *shape_text(const struct shape *s, char *text, size_t bytes);
const char *shape_text_x(const struct shape *s, char *text, size_t bytes);
#define SHAPE_TEXT_BYTES 200

#endif
