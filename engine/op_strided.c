/* engine/op_strided.c - as_strided: elements by their places in the storage, wherever they lie in
 * the input, several times over if asked.
 *
 * Its gradient goes the same way: what arrives at an element of the output belongs to a place of
 * the storage, and from there to the input's elements at that place, shared among them. */
#include <string.h>

#include "engine/op_reduce.h"

/* Elements of a storage, in row-major order of a shape that is laid over it. */
struct places {
    const struct shape *shape;
    const int64_t *stride;
    int64_t index[RANK_MAX];
    int64_t at;
};

static void next_place(struct places *p)
{
    for (int d = p->shape->rank - 1; d >= 0; d--) {
        p->at += p->stride[d];
        if (++p->index[d] < p->shape->dim[d])
            return;
        p->at -= p->stride[d] * p->shape->dim[d];
        p->index[d] = 0;
    }
}

#define REAL float
#include "engine/op_strided.inc"
#define REAL double
#include "engine/op_strided.inc"

/* One more than the last place that the arguments ask for. false: none is so large. */
static bool places_end(const struct op_args *a, int64_t *end)
{
    bool fits = !__builtin_add_overflow(a->start, 1, end);
    for (int d = 0; fits && d < a->shape.rank; d++) {
        int64_t reach;
        if (a->shape.dim[d] > 1)
            fits = a->stride[d] >= 0 &&
                   !__builtin_mul_overflow(a->stride[d], a->shape.dim[d] - 1, &reach) &&
                   !__builtin_add_overflow(*end, reach, end);
    }
    return fits;
}

enum err_kind ISA_FN(as_strided_infer)(const struct op_call *c, struct tensor *out, struct err *e)
{
    const struct tensor *x = c->in[0];
    const struct op_args *a = &c->args;
    size_t each = dtype_bytes(x->dtype), held = x->storage->bytes / each;
    char sizes[SHAPE_TEXT_BYTES], strides[SHAPE_TEXT_BYTES];
    int64_t end;
    out->shape = a->shape;
    out->offset = a->start;
    memcpy(out->stride, a->stride, sizeof out->stride);
    if (a->start < 0)
        return err_set(e, ERR_INVALID, "", "Tensor: invalid storage offset %lld",
                       (long long)a->start);
    bool fits = places_end(a, &end);
    if (shape_count(&a->shape) == 0 || (fits && (uint64_t)end <= held))
        return ERR_OK;
    struct shape stride = {.rank = a->shape.rank};
    memcpy(stride.dim, a->stride, sizeof stride.dim);
    shape_text(&a->shape, sizes, sizeof sizes);
    shape_text(&stride, strides, sizeof strides);
    if (!fits)
        return err_set(e, ERR_INVALID, "",
                       "Storage size calculation overflowed with sizes=%s and strides=%s", sizes,
                       strides);
    return err_set(e, ERR_INVALID, "",
                   "setStorage: sizes %s, strides %s, storage offset %lld, and itemsize %zu "
                   "requiring a storage size of %llu are out of bounds for storage of size %zu",
                   sizes, strides, (long long)a->start, each, (unsigned long long)end * each,
                   x->storage->bytes);
}

void ISA_FN(as_strided_forward)(const struct op_call *c)
{
    (void)c; /* the view is all */
}

void ISA_FN(as_strided_backward)(const struct op_call *c)
{
    BY_TYPE(c->grad_out->dtype, spread, c);
}
