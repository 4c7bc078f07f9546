/* engine/op_index.c - x[i, j] with tensors of indices: taken, put, and along one dimension. */
#include <string.h>

#include "engine/groups.h"
#include "engine/op_reduce.h"
#include "engine/rows.h"

#define INDICES_MAX (SAVED_INPUTS_MAX - 1)

/* Where the elements of a result lie in x. The result's dimensions are `before`, those of the
 * indices, which are broadcast together, and `after`: its element (b, m, a) is x's at
 *     grid_at(before, b) + the m-th index of each dimension that is indexed + grid_at(after, a) */
struct places {
    struct shape shape; /* of the result */
    int64_t befores, indices, afters;
    struct grid before, after;
    int count; /* of indexed dimensions */
    struct {
        const int64_t *index;
        struct grid at; /* where the m-th lies in index */
        int64_t size, stride;
    } dim[INDICES_MAX];
};

/* x[m]'s place in its dimension, from the end if negative. */
static inline int64_t place_of_index(const struct places *p, int64_t m)
{
    int64_t at = 0;
    for (int k = 0; k < p->count; k++) {
        int64_t i = p->dim[k].index[grid_at(&p->dim[k].at, m)];
        at += (i < 0 ? i + p->dim[k].size : i) * p->dim[k].stride;
    }
    return at;
}

/* … of the result's r-th element */
static inline int64_t place_of(const struct places *p, int64_t r)
{
    int64_t line = r / p->afters;
    return grid_at(&p->before, line / p->indices) + place_of_index(p, line % p->indices) +
           grid_at(&p->after, r % p->afters);
}

#define REAL float
#include "engine/op_index.inc"
#define REAL double
#include "engine/op_index.inc"

/* ---- where things are ------------------------------------------------------------------------ */

/* The first of a run of set bits; *adjacent says whether there is no other run. */
static int first_dim(unsigned dims, bool *adjacent)
{
    int first = 0;
    while (dims >> first && !(dims >> first & 1))
        first++;
    unsigned run = dims >> first;
    *adjacent = (run & (run + 1)) == 0;
    return first;
}

/* Lays the result's dimensions out: where the indexed dimensions stand beside each other, those of
 * the indices take their place, else they come first.
 *   x        the shape that is indexed, row-major
 *   indices  the shape of the broadcast indices */
static enum err_kind lay_out(const struct shape *x, unsigned dims, const struct shape *indices,
                             struct places *p, struct err *e)
{
    bool adjacent;
    int first = first_dim(dims, &adjacent), rank = 0, k = p->count;
    int64_t dim[2 * RANK_MAX], stride = 1;
    for (int d = 0; adjacent && d < first; d++)
        dim[rank++] = x->dim[d];
    for (int d = 0; d < indices->rank; d++)
        dim[rank++] = indices->dim[d];
    for (int d = adjacent ? first : 0; d < x->rank; d++)
        if (!(dims >> d & 1))
            dim[rank++] = x->dim[d];
    for (int d = x->rank - 1; d >= 0; d--) {
        if (dims >> d & 1) {
            p->dim[--k].size = x->dim[d];
            p->dim[k].stride = stride;
        } else {
            grid_add(adjacent && d < first ? &p->before : &p->after, x->dim[d], stride);
        }
        stride *= x->dim[d] ? x->dim[d] : 1;
    }
    p->befores = grid_count(&p->before);
    p->indices = shape_count(indices);
    p->afters = grid_count(&p->after);
    return shape_make(dim, rank, &p->shape, e);
}

/* What the indices have together, which all of them are broadcast to. */
static enum err_kind broadcast_indices(const struct tensor *const *index, int count,
                                       struct shape *out, struct err *e)
{
    struct err ignored;
    char text[INDICES_MAX * SHAPE_TEXT_BYTES] = "", one[SHAPE_TEXT_BYTES];
    out->rank = 0;
    for (int k = 0; k < count; k++) {
        struct shape so_far = *out;
        if (shape_broadcast(&so_far, &index[k]->shape, out, &ignored) == ERR_OK)
            continue;
        for (int j = 0; j < count; j++) {
            strcat(text, j ? ", " : "");
            strcat(text, shape_text(&index[j]->shape, one, sizeof one));
        }
        return err_set(
            e, ERR_INVALID, "",
            "shape mismatch: indexing tensors could not be broadcast together with shapes %s",
            text);
    }
    return ERR_OK;
}

static void see_index(struct places *p, int k, const struct tensor *index,
                      const struct shape *indices)
{
    int64_t stride[RANK_MAX];
    rows_strides(index, indices, stride);
    for (int d = indices->rank - 1; d >= 0; d--)
        grid_add(&p->dim[k].at, indices->dim[d], stride[d]);
    p->dim[k].index = index->storage->data ? tensor_data(index) : NULL;
}

/* errors INVALID: what is no index, too many of them, shapes that do not go together */
static enum err_kind find_places(const struct shape *x, unsigned dims,
                                 const struct tensor *const *index, int count, struct places *p,
                                 struct err *e)
{
    struct shape indices;
    *p = (struct places){.count = count};
    if (dims >> x->rank || count > INDICES_MAX || __builtin_popcount(dims) != count)
        return err_set(e, ERR_INVALID, "", "too many indices for tensor of dimension %d", x->rank);
    for (int k = 0; k < count; k++)
        if (index[k]->dtype != DTYPE_INT64)
            return err_set(e, ERR_INVALID, "",
                           "tensors used as indices must be long, byte or bool tensors");
    enum err_kind rc = broadcast_indices(index, count, &indices, e);
    for (int k = 0; k < count && !rc; k++)
        see_index(p, k, index[k], &indices);
    return rc ? rc : lay_out(x, dims, &indices, p, e);
}

/* Every index is within its dimension; looked at in the order in which they are used. Its dimension
 * is named as PyTorch does: counted among those that are indexed. */
static enum err_kind check_indices(const struct places *p, struct err *e)
{
    for (int k = 0; k < p->count; k++)
        if (p->dim[k].size == 0 && p->indices > 0)
            return err_set(e, ERR_INVALID, "", "index is out of bounds for dimension with size 0");
    for (int64_t m = 0; m < p->indices && shape_count(&p->shape) > 0; m++)
        for (int k = 0; k < p->count && p->dim[k].index; k++) {
            int64_t i = p->dim[k].index[grid_at(&p->dim[k].at, m)], size = p->dim[k].size;
            if (i < -size || i >= size)
                return err_set(e, ERR_INVALID, "",
                               "index %lld is out of bounds for dimension %d with size %lld",
                               (long long)i, k, (long long)size);
        }
    return ERR_OK;
}

/* ---- index ----------------------------------------------------------------------------------- */

enum err_kind ISA_FN(index_infer)(const struct op_call *c, struct tensor *out, struct err *e)
{
    struct places p;
    enum err_kind rc = find_places(&c->in[0]->shape, c->args.dims, c->in + 1, c->inputs - 1, &p, e);
    if (rc)
        return rc;
    out->shape = p.shape;
    return check_indices(&p, e);
}

/* n elements, the first of them `step` apart, to a run. */
static void copy_line(size_t bytes, char *to, const char *from, int64_t n, int64_t step)
{
    if (step == 1)
        memcpy(to, from, (size_t)n * bytes);
    else
        for (int64_t i = 0; i < n; i++)
            memcpy(to + (size_t)i * bytes, from + (size_t)(i * step) * bytes, bytes);
}

static void take(const struct places *p, const struct tensor *x, struct tensor *y)
{
    size_t bytes = dtype_bytes(y->dtype);
    const char *from = tensor_data(x);
    char *to = tensor_data(y);
    int64_t n = p->after.rank ? p->after.dim[0] : 1, step = p->after.rank ? p->after.stride[0] : 1;
    for (int64_t line = 0; n && line < p->befores * p->indices; line++) {
        int64_t at = grid_at(&p->before, line / p->indices) + place_of_index(p, line % p->indices);
        for (int64_t a = 0; a < p->afters; a += n, to += (size_t)n * bytes)
            copy_line(bytes, to, from + (size_t)(at + grid_at(&p->after, a)) * bytes, n, step);
    }
}

/* The places again, of what infer has found right. */
static struct places places_again(const struct shape *x, unsigned dims,
                                  const struct tensor *const *index, int count)
{
    struct places p;
    struct err ignored;
    if (find_places(x, dims, index, count, &p, &ignored) != ERR_OK)
        p = (struct places){.count = 0};
    return p;
}

void ISA_FN(index_forward)(const struct op_call *c)
{
    struct places p = places_again(&c->in[0]->shape, c->args.dims, c->in + 1, c->inputs - 1);
    take(&p, c->in[0], c->out);
}

/* An element that was taken several times has the sum, in the order of the result. */
static void add_back(const struct places *p, const struct tensor *g, struct tensor *dx)
{
    memset(tensor_data(dx), 0, (size_t)tensor_count(dx) * dtype_bytes(dx->dtype));
    BY_TYPE(g->dtype, add_back, p, tensor_data(g), tensor_data(dx));
}

void ISA_FN(index_backward)(const struct op_call *c)
{
    if (!c->grad_in[0])
        return;
    struct places p = places_again(&c->grad_in[0]->shape, c->args.dims, c->in + 1, c->inputs - 1);
    add_back(&p, c->grad_out, c->grad_in[0]);
}

/* ---- index_put ------------------------------------------------------------------------------- */

/* values without the leading dimensions of 1 that the result has no place for. */
static struct shape values_shape(const struct shape *values, int rank)
{
    struct shape s = *values;
    while (s.rank > rank && s.dim[0] == 1) {
        s.rank--;
        memmove(s.dim, s.dim + 1, (size_t)s.rank * sizeof *s.dim);
    }
    return s;
}

static enum err_kind check_values(const struct op_call *c, const struct places *p, struct err *e)
{
    const struct tensor *x = c->in[0], *values = c->in[1];
    struct shape s = values_shape(&values->shape, p->shape.rank), together;
    struct err ignored;
    char text[SHAPE_TEXT_BYTES], result[SHAPE_TEXT_BYTES];
    if (values->dtype != x->dtype)
        return err_set(e, ERR_INVALID, "",
                       "Index put requires the source and destination dtypes match, got %s for the "
                       "destination and %s for the source.",
                       dtype_type_name(x->dtype), dtype_type_name(values->dtype));
    if (shape_broadcast(&s, &p->shape, &together, &ignored) == ERR_OK &&
        shape_equal(&together, &p->shape))
        return ERR_OK;
    return err_set(
        e, ERR_INVALID, "",
        "shape mismatch: value tensor of shape %s cannot be broadcast to indexing result "
        "of shape %s",
        shape_text(&values->shape, text, sizeof text),
        shape_text(&p->shape, result, sizeof result));
}

enum err_kind ISA_FN(index_put_infer)(const struct op_call *c, struct tensor *out, struct err *e)
{
    struct places p;
    enum err_kind rc = find_places(&c->in[0]->shape, c->args.dims, c->in + 2, c->inputs - 2, &p, e);
    if (!rc)
        rc = check_values(c, &p, e);
    if (rc)
        return rc;
    out->shape = c->in[0]->shape;
    return check_indices(&p, e);
}

/* Where the r-th element of the result lies in values, whose shape broadcasts to it. */
static struct grid values_grid(const struct places *p, const struct shape *values)
{
    struct tensor v = {.shape = values_shape(values, p->shape.rank)};
    struct grid grid = {.rank = 0};
    int64_t stride[RANK_MAX];
    tensor_set_contiguous(&v);
    rows_strides(&v, &p->shape, stride);
    for (int d = p->shape.rank - 1; d >= 0; d--)
        grid_add(&grid, p->shape.dim[d], stride[d]);
    return grid;
}

/* y[place] = values, element by element; values NULL: 0 */
static void put(const struct places *p, const struct tensor *values, struct tensor *y)
{
    size_t bytes = dtype_bytes(y->dtype);
    struct grid grid = {.rank = 0};
    if (values)
        grid = values_grid(p, &values->shape);
    for (int64_t r = 0; r < shape_count(&p->shape); r++) {
        char *to = (char *)tensor_data(y) + (size_t)place_of(p, r) * bytes;
        if (values)
            memcpy(to, (const char *)tensor_data(values) + (size_t)grid_at(&grid, r) * bytes,
                   bytes);
        else
            memset(to, 0, bytes);
    }
}

void ISA_FN(index_put_forward)(const struct op_call *c)
{
    struct places p = places_again(&c->in[0]->shape, c->args.dims, c->in + 2, c->inputs - 2);
    tensor_copy(c->out, c->in[0]);
    put(&p, c->in[1], c->out);
}

/* The dimensions of the result that values were broadcast along, as bits. */
static unsigned broadcast_dims(const struct places *p, const struct shape *values)
{
    struct shape s = values_shape(values, p->shape.rank);
    int pad = p->shape.rank - s.rank;
    unsigned dims = 0;
    for (int d = 0; d < p->shape.rank; d++)
        if (d < pad || s.dim[d - pad] != p->shape.dim[d])
            dims |= 1u << d;
    return dims;
}

void ISA_FN(index_put_backward)(const struct op_call *c)
{
    struct tensor *dx = c->grad_in[0], *dv = c->grad_in[1];
    struct places p = places_again(&c->grad_out->shape, c->args.dims, c->in + 2, c->inputs - 2);
    if (dx) {
        tensor_copy(dx, c->grad_out);
        put(&p, NULL, dx);
    }
    if (dv) {
        struct groups g = groups_of(&p.shape, broadcast_dims(&p, &dv->shape));
        BY_TYPE(dv->dtype, sum_taken, &p, &g, tensor_data(c->grad_out), tensor_data(dv));
    }
}

/* ---- index_select: one dimension, no index from the end -------------------------------------- */

/* A scalar has no dimension to be indexed: it is what is selected. */
static unsigned selected_dims(const struct op_args *a, const struct shape *x)
{
    return x->rank ? 1u << a->dim : 0;
}

static enum err_kind check_selection(const struct op_call *c, struct err *e)
{
    const struct tensor *x = c->in[0], *index = c->in[1];
    int64_t size = x->shape.rank ? x->shape.dim[c->args.dim] : 1;
    if (index->dtype != DTYPE_INT64)
        return err_set(e, ERR_INVALID, "",
                       "index_select(): Expected dtype int32 or int64 for index");
    if (index->shape.rank > 1)
        return err_set(e, ERR_INVALID, "", "index_select(): Index is supposed to be a vector");
    if (size == 0 && tensor_count(index) > 0)
        return err_set(e, ERR_INVALID, "",
                       "index_select(): self indexing axis dim should be positive");
    const int64_t *i = index->storage->data ? tensor_data(index) : NULL;
    for (int64_t k = 0; i && k < tensor_count(index); k++)
        if (i[k] < 0 || i[k] >= size)
            return err_set(e, ERR_INVALID, "", "index out of range in self");
    return ERR_OK;
}

/* The index as a vector, and of how many dimensions it is one. */
static struct places selected(const struct op_args *a, const struct shape *x,
                              const struct tensor *index)
{
    struct tensor vector = tensor_seen(index);
    const struct tensor *in[] = {&vector};
    vector.shape = (struct shape){.rank = 1, .dim = {tensor_count(index)}};
    tensor_set_contiguous(&vector);
    return places_again(x, selected_dims(a, x), in, x->rank ? 1 : 0);
}

enum err_kind ISA_FN(index_select_infer)(const struct op_call *c, struct tensor *out, struct err *e)
{
    enum err_kind rc = ISA_FN(check_dim)(c->args.dim, c->in[0]->shape.rank, e);
    if (!rc)
        rc = check_selection(c, e);
    if (rc)
        return rc;
    out->shape = c->in[0]->shape;
    if (out->shape.rank > 0)
        out->shape.dim[c->args.dim] = tensor_count(c->in[1]);
    return shape_make(out->shape.dim, out->shape.rank, &out->shape, e);
}

void ISA_FN(index_select_forward)(const struct op_call *c)
{
    struct places p = selected(&c->args, &c->in[0]->shape, c->in[1]);
    take(&p, c->in[0], c->out);
}

void ISA_FN(index_select_backward)(const struct op_call *c)
{
    if (!c->grad_in[0])
        return;
    struct places p = selected(&c->args, &c->grad_in[0]->shape, c->in[1]);
    add_back(&p, c->grad_out, c->grad_in[0]);
}
