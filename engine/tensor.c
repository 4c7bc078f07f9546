#include "engine/tensor.h"

#include <string.h>

void *tensor_data(const struct tensor *t)
{
    return (char *)t->storage->data + (size_t)t->offset * dtype_bytes(t->dtype);
}

void tensor_set_contiguous(struct tensor *t)
{
    int64_t stride = 1;
    for (int d = t->shape.rank - 1; d >= 0; d--) {
        t->stride[d] = stride;
        stride *= t->shape.dim[d] ? t->shape.dim[d] : 1;
    }
}

void tensor_wrap(struct tensor *t, struct storage *storage, enum dtype dtype,
                 const struct shape *shape, int64_t offset)
{
    *t = (struct tensor){.storage = storage, .dtype = dtype, .shape = *shape, .offset = offset};
    tensor_set_contiguous(t);
}

bool tensor_is_contiguous(const struct tensor *t)
{
    int64_t stride = 1;
    for (int d = t->shape.rank - 1; d >= 0; d--) {
        if (t->shape.dim[d] == 0)
            return true;
        if (t->shape.dim[d] != 1 && t->stride[d] != stride)
            return false;
        stride *= t->shape.dim[d];
    }
    return true;
}

/* Writes the dimensions of more than one element to order, widest stride first. */
static int order_by_stride(const struct tensor *t, int order[RANK_MAX])
{
    int n = 0;
    for (int d = 0; d < t->shape.rank; d++) {
        if (t->shape.dim[d] == 1)
            continue;
        int at = n++;
        for (; at > 0 && t->stride[order[at - 1]] < t->stride[d]; at--)
            order[at] = order[at - 1];
        order[at] = d;
    }
    return n;
}

bool tensor_is_dense(const struct tensor *t)
{
    int order[RANK_MAX];
    int n = order_by_stride(t, order);
    int64_t stride = 1;
    for (int i = n - 1; i >= 0; i--) {
        if (t->shape.dim[order[i]] == 0)
            return true;
        if (t->stride[order[i]] != stride)
            return false;
        stride *= t->shape.dim[order[i]];
    }
    return true;
}

void tensor_set_layout(struct tensor *t, const struct tensor *like)
{
    tensor_set_contiguous(t);
    if (like->shape.rank != t->shape.rank || !tensor_is_dense(like))
        return;
    int order[RANK_MAX];
    int n = order_by_stride(like, order);
    int64_t stride = 1;
    for (int i = n - 1; i >= 0; i--) {
        t->stride[order[i]] = stride;
        stride *= t->shape.dim[order[i]] ? t->shape.dim[order[i]] : 1;
    }
}

/* One row of a copy: n elements, strides in elements. */
#define CONVERT(TO, FROM)                                                                          \
    for (int64_t i = 0; i < n; i++)                                                                \
        ((TO *)to)[i * to_stride] = (TO)((const FROM *)from)[i * from_stride];                     \
    break

static void copy_row(enum dtype to_type, void *to, int64_t to_stride, enum dtype from_type,
                     const void *from, int64_t from_stride, int64_t n)
{
    switch (to_type * DTYPE_COUNT + from_type) {
    case DTYPE_INT64 *DTYPE_COUNT + DTYPE_INT64:
        CONVERT(int64_t, int64_t);
    case DTYPE_INT64 *DTYPE_COUNT + DTYPE_FLOAT32:
        CONVERT(int64_t, float);
    case DTYPE_INT64 *DTYPE_COUNT + DTYPE_FLOAT64:
        CONVERT(int64_t, double);
    case DTYPE_FLOAT32 *DTYPE_COUNT + DTYPE_INT64:
        CONVERT(float, int64_t);
    case DTYPE_FLOAT32 *DTYPE_COUNT + DTYPE_FLOAT32:
        CONVERT(float, float);
    case DTYPE_FLOAT32 *DTYPE_COUNT + DTYPE_FLOAT64:
        CONVERT(float, double);
    case DTYPE_FLOAT64 *DTYPE_COUNT + DTYPE_INT64:
        CONVERT(double, int64_t);
    case DTYPE_FLOAT64 *DTYPE_COUNT + DTYPE_FLOAT32:
        CONVERT(double, float);
    case DTYPE_FLOAT64 *DTYPE_COUNT + DTYPE_FLOAT64:
        CONVERT(double, double);
    }
}

void tensor_copy(struct tensor *dst, const struct tensor *src)
{
    int64_t count = tensor_count(src);
    size_t to_bytes = dtype_bytes(dst->dtype), from_bytes = dtype_bytes(src->dtype);
    if (count == 0)
        return;
    if (dst->dtype == src->dtype && tensor_is_contiguous(dst) && tensor_is_contiguous(src)) {
        memcpy(tensor_data(dst), tensor_data(src), (size_t)count * to_bytes);
        return;
    }
    int last = src->shape.rank - 1;
    int64_t n = last < 0 ? 1 : src->shape.dim[last];
    int64_t index[RANK_MAX] = {0};
    for (int64_t row = 0; row < count / n; row++) {
        int64_t to = 0, from = 0;
        for (int d = 0; d < last; d++) {
            to += index[d] * dst->stride[d];
            from += index[d] * src->stride[d];
        }
        copy_row(dst->dtype, (char *)tensor_data(dst) + (size_t)to * to_bytes,
                 last < 0 ? 1 : dst->stride[last], src->dtype,
                 (const char *)tensor_data(src) + (size_t)from * from_bytes,
                 last < 0 ? 1 : src->stride[last], n);
        for (int d = last - 1; d >= 0 && ++index[d] == src->shape.dim[d]; d--)
            index[d] = 0;
    }
}
