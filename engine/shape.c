#include "engine/shape.h"

#include <stdio.h>
#include <string.h>

int64_t shape_count(const struct shape *s)
{
    int64_t count = 1;
    for (int d = 0; d < s->rank; d++)
        count *= s->dim[d];
    return count;
}

/* A zero-size shape must not overflow either: [2^40, 2^40, 0] has strides that do not fit. */
enum err_kind shape_make(const int64_t *dim, int rank, struct shape *out, struct err *e)
{
    if (rank < 0 || rank > RANK_MAX)
        return err_set(e, ERR_INVALID, "", "a tensor has at most %d dimensions, got %d", RANK_MAX,
                       rank);
    int64_t count = 1;
    for (int d = 0; d < rank; d++) {
        if (dim[d] < 0)
            return err_set(e, ERR_INVALID, "", "a dimension cannot be negative, got %lld",
                           (long long)dim[d]);
        if (__builtin_mul_overflow(count, dim[d] ? dim[d] : 1, &count))
            return err_set(e, ERR_INVALID, "", "the tensor has too many elements");
        out->dim[d] = dim[d];
    }
    out->rank = rank;
    return ERR_OK;
}

bool shape_equal(const struct shape *a, const struct shape *b)
{
    return a->rank == b->rank && memcmp(a->dim, b->dim, (size_t)a->rank * sizeof a->dim[0]) == 0;
}

enum err_kind shape_broadcast(const struct shape *a, const struct shape *b, struct shape *out,
                              struct err *e)
{
    int rank = a->rank > b->rank ? a->rank : b->rank;
    int64_t dim[RANK_MAX];
    for (int d = rank - 1; d >= 0; d--) {
        int da = d - (rank - a->rank), db = d - (rank - b->rank);
        int64_t na = da < 0 ? 1 : a->dim[da], nb = db < 0 ? 1 : b->dim[db];
        if (na != nb && na != 1 && nb != 1)
            return err_set(e, ERR_INVALID, "",
                           "The size of tensor a (%lld) must match the size of tensor b (%lld) "
                           "at non-singleton dimension %d",
                           (long long)na, (long long)nb, d);
        dim[d] = na == 1 ? nb : na;
    }
    return shape_make(dim, rank, out, e);
}

static const char *join(const struct shape *s, const char *open, const char *between,
                        const char *close, char *text, size_t bytes)
{
    size_t n = (size_t)snprintf(text, bytes, "%s", open);
    for (int d = 0; d < s->rank && n < bytes; d++)
        n +=
            (size_t)snprintf(text + n, bytes - n, "%s%lld", d ? between : "", (long long)s->dim[d]);
    if (n < bytes)
        snprintf(text + n, bytes - n, "%s", close);
    return text;
}

const char *shape_text(const struct shape *s, char *text, size_t bytes)
{
    return join(s, "[", ", ", "]", text, bytes);
}

const char *shape_text_x(const struct shape *s, char *text, size_t bytes)
{
    return join(s, "", "x", "", text, bytes);
}
