#include "engine/tensor.h"

#include <string.h>

void *tensor_data(const struct tensor *t)
{
    char *data = t->storage->data;
    return data ? data + (size_t)t->offset * dtype_bytes(t->dtype) : NULL;
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

struct tensor tensor_seen(const struct tensor *x)
{
    struct tensor seen = {
        .storage = x->storage, .dtype = x->dtype, .shape = x->shape, .offset = x->offset};
    memcpy(seen.stride, x->stride, sizeof seen.stride);
    return seen;
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

void tensor_span(const struct tensor *x, int64_t *from, int64_t *to)
{
    bool any = tensor_count(x) > 0;
    *from = any ? x->offset : 0;
    *to = any ? x->offset + 1 : 0;
    for (int d = 0; any && d < x->shape.rank; d++)
        if (x->shape.dim[d] > 1) /* else the stride may be anything */
            *to += (x->shape.dim[d] - 1) * x->stride[d];
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

/* Dimensions of x that are one run with each other are taken together, from the last on; each run
 * has to be the product of some of the shape's dimensions. */
bool tensor_view_strides(const struct tensor *x, const struct shape *shape,
                         int64_t stride[RANK_MAX])
{
    struct tensor view = {.shape = *shape};
    bool same = tensor_count(x) == 0 && shape_equal(&x->shape, shape);
    tensor_set_contiguous(&view);
    memcpy(stride, same ? x->stride : view.stride, sizeof view.stride);
    if (tensor_count(x) == 0 || x->shape.rank == 0)
        return true;
    int v = shape->rank - 1;
    for (int d = x->shape.rank - 1; d >= 0;) {
        int64_t step = x->stride[d], run = x->shape.dim[d--], n = 1;
        for (; d >= 0 && (x->shape.dim[d] == 1 || x->stride[d] == run * step); d--)
            run *= x->shape.dim[d];
        for (; v >= 0 && (n < run || shape->dim[v] == 1); v--) {
            stride[v] = n * step;
            n *= shape->dim[v];
        }
        if (n != run)
            return false;
    }
    return v < 0;
}

void tensor_narrow(struct tensor *x, int dim, int64_t start, int64_t length)
{
    x->offset += length ? start * x->stride[dim] : 0; /* never past the storage */
    x->shape.dim[dim] = length;
}

void tensor_select(struct tensor *x, int dim, int64_t index)
{
    x->offset += index * x->stride[dim];
    x->shape.rank--;
    for (int d = dim; d < x->shape.rank; d++) {
        x->shape.dim[d] = x->shape.dim[d + 1];
        x->stride[d] = x->stride[d + 1];
    }
}

/* PyTorch's combine_categories: the lower group counts only where it is of a higher category.
 * DTYPE_COUNT: the group is empty. */
static enum dtype combine(enum dtype higher, enum dtype lower)
{
    if (higher == DTYPE_COUNT || lower == DTYPE_COUNT)
        return higher == DTYPE_COUNT ? lower : higher;
    bool counts = higher == DTYPE_BOOL || (dtype_is_float(lower) && !dtype_is_float(higher));
    return counts && lower > higher ? lower : higher;
}

enum dtype tensor_result_type(const struct tensor *const *x, int count)
{
    enum { DIMENSIONS, NO_DIMENSIONS, NUMBERS, GROUPS };
    enum dtype group[GROUPS] = {DTYPE_COUNT, DTYPE_COUNT, DTYPE_COUNT};
    for (int i = 0; i < count; i++) {
        int g = x[i]->number ? NUMBERS : x[i]->shape.rank == 0 ? NO_DIMENSIONS : DIMENSIONS;
        enum dtype dtype =
            x[i]->number && x[i]->dtype == DTYPE_FLOAT64 ? DTYPE_FLOAT32 : x[i]->dtype;
        if (group[g] == DTYPE_COUNT || dtype > group[g])
            group[g] = dtype;
    }
    return combine(group[DIMENSIONS], combine(group[NO_DIMENSIONS], group[NUMBERS]));
}

/* Towards zero; what int64 cannot hold becomes its smallest, as on the CPUs that PyTorch runs on.
 */
static int64_t truncated(double x)
{
    return x >= -0x1p63 && x < 0x1p63 ? (int64_t)x : INT64_MIN;
}

#define AS_BOOL(x) ((bool)(x))
#define AS_INT64(x)                                                                                \
    _Generic((x), float                                                                            \
             : truncated((double)(x)), double                                                      \
             : truncated((double)(x)), default                                                     \
             : (int64_t)(x))
#define AS_FLOAT32(x) ((float)(x))
#define AS_FLOAT64(x) ((double)(x))

/* One row of a copy: n elements, strides in elements. */
static void copy_row(enum dtype to_type, void *to, int64_t to_stride, enum dtype from_type,
                     const void *from, int64_t from_stride, int64_t n)
{
    if (to_type == from_type && to_stride == 1 && from_stride == 1) {
        memcpy(to, from, (size_t)n * dtype_bytes(to_type));
        return;
    }
    switch (to_type * DTYPE_COUNT + from_type) {
#define CONVERT(TO, to_c, FROM, from_c)                                                            \
    case DTYPE_##TO *DTYPE_COUNT + DTYPE_##FROM:                                                   \
        for (int64_t i = 0; i < n; i++)                                                            \
            ((to_c *)to)[i * to_stride] = AS_##TO(((const from_c *)from)[i * from_stride]);        \
        break;
#define CONVERT_TO(TO, text, to_c, type_name)                                                      \
    CONVERT(TO, to_c, BOOL, bool)                                                                  \
    CONVERT(TO, to_c, INT64, int64_t)                                                              \
    CONVERT(TO, to_c, FLOAT32, float)                                                              \
    CONVERT(TO, to_c, FLOAT64, double)
        DTYPES(CONVERT_TO)
#undef CONVERT_TO
#undef CONVERT
    }
}

#define TILE 16 /* a line of the cache holds so many float32 */

/* A matrix whose rows are not runs, tile by tile: what is read and written of a tile stays in the
 * cache until all of it was. */
static void copy_tiles(struct tensor *dst, const struct tensor *src)
{
    int64_t rows = src->shape.dim[0], columns = src->shape.dim[1];
    int64_t to_bytes = (int64_t)dtype_bytes(dst->dtype),
            from_bytes = (int64_t)dtype_bytes(src->dtype);
    char *to = tensor_data(dst);
    const char *from = tensor_data(src);
    for (int64_t row = 0; row < rows; row += TILE)
        for (int64_t col = 0; col < columns; col += TILE)
            for (int64_t r = row; r < row + TILE && r < rows; r++)
                copy_row(dst->dtype, to + (r * dst->stride[0] + col * dst->stride[1]) * to_bytes,
                         dst->stride[1], src->dtype,
                         from + (r * src->stride[0] + col * src->stride[1]) * from_bytes,
                         src->stride[1], columns - col < TILE ? columns - col : TILE);
}

void tensor_copy(struct tensor *dst, const struct tensor *src)
{
    int64_t count = tensor_count(src);
    size_t to_bytes = dtype_bytes(dst->dtype), from_bytes = dtype_bytes(src->dtype);
    if (count == 0)
        return;
    bool same =
        memcmp(dst->stride, src->stride, (size_t)src->shape.rank * sizeof *src->stride) == 0;
    if (dst->dtype == src->dtype && ((same && tensor_is_dense(src)) ||
                                     (tensor_is_contiguous(dst) && tensor_is_contiguous(src)))) {
        memcpy(tensor_data(dst), tensor_data(src), (size_t)count * to_bytes);
        return;
    }
    if (src->shape.rank == 2 && (src->stride[1] != 1 || dst->stride[1] != 1)) {
        copy_tiles(dst, src);
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
        copy_row(dst->dtype, (char *)tensor_data(dst) + to * (int64_t)to_bytes,
                 last < 0 ? 1 : dst->stride[last], src->dtype,
                 (const char *)tensor_data(src) + from * (int64_t)from_bytes,
                 last < 0 ? 1 : src->stride[last], n);
        for (int d = last - 1; d >= 0 && ++index[d] == src->shape.dim[d]; d--)
            index[d] = 0;
    }
}
