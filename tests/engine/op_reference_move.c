/* Views, moves and indices, element by element. */
#include "tests/engine/op_reference.h"

#include <string.h>

/* ---- views --------------------------------------------------------------------------------- */

void reference_t(const struct op_args *a, const struct values *in, struct values *y)
{
    (void)a;
    *y = *in;
    if (in->shape.rank < 2)
        return;
    int64_t m = in->shape.dim[0], n = in->shape.dim[1];
    y->shape.dim[0] = n;
    y->shape.dim[1] = m;
    for (int64_t i = 0; i < m * n; i++)
        y->x[i % n * m + i / n] = in->x[i];
}

void reference_view(const struct op_args *a, const struct values *in, struct values *y)
{
    *y = *in;
    y->shape = a->shape;
}

/* y's elements are those of in that at() says, by their index in y. */
typedef void at_fn(const struct op_args *a, const struct shape *in, int64_t index[RANK_MAX]);

static void pick_elements(const struct op_args *a, const struct values *in, struct values *y,
                          at_fn *at)
{
    for (int64_t i = 0; i < shape_count(&y->shape); i++) {
        int64_t index[RANK_MAX] = {0}, left = i, from = 0;
        for (int d = y->shape.rank - 1; d >= 0; d--) {
            index[d] = left % y->shape.dim[d];
            left /= y->shape.dim[d];
        }
        at(a, &in->shape, index);
        for (int d = 0; d < in->shape.rank; d++)
            from = from * in->shape.dim[d] + index[d];
        y->x[i] = in->x[from];
    }
}

static void at_transposed(const struct op_args *a, const struct shape *in, int64_t *index)
{
    int64_t at = index[a->dim];
    (void)in;
    index[a->dim] = index[a->dim2];
    index[a->dim2] = at;
}

void reference_transpose(const struct op_args *a, const struct values *in, struct values *y)
{
    y->shape = in->shape;
    at_transposed(a, NULL, y->shape.dim);
    pick_elements(a, in, y, at_transposed);
}

static void at_permuted(const struct op_args *a, const struct shape *in, int64_t *index)
{
    int64_t at[RANK_MAX];
    for (int d = 0; d < in->rank; d++)
        at[a->shape.dim[d]] = index[d];
    memcpy(index, at, (size_t)in->rank * sizeof *at);
}

void reference_permute(const struct op_args *a, const struct values *in, struct values *y)
{
    y->shape.rank = in->shape.rank;
    for (int d = 0; d < in->shape.rank; d++)
        y->shape.dim[d] = in->shape.dim[a->shape.dim[d]];
    pick_elements(a, in, y, at_permuted);
}

/* in without the dimensions of 1 among `dims`. */
static void squeeze(const struct values *in, unsigned dims, struct values *y)
{
    *y = *in;
    y->shape.rank = 0;
    for (int d = 0; d < in->shape.rank; d++)
        if (in->shape.dim[d] != 1 || !(dims >> d & 1))
            y->shape.dim[y->shape.rank++] = in->shape.dim[d];
}

void reference_squeeze(const struct op_args *a, const struct values *in, struct values *y)
{
    (void)a;
    squeeze(in, ~0u, y);
}

void reference_squeeze_dim(const struct op_args *a, const struct values *in, struct values *y)
{
    squeeze(in, 1u << a->dim, y);
}

void reference_unsqueeze(const struct op_args *a, const struct values *in, struct values *y)
{
    *y = *in;
    y->shape.rank++;
    for (int d = y->shape.rank - 1; d > a->dim; d--)
        y->shape.dim[d] = in->shape.dim[d - 1];
    y->shape.dim[a->dim] = 1;
}

void reference_expand(const struct op_args *a, const struct values *in, struct values *y)
{
    y->shape = a->shape;
    int pad = a->shape.rank - in->shape.rank;
    for (int d = pad; d < a->shape.rank; d++)
        y->shape.dim[d] = a->shape.dim[d] == -1 ? in->shape.dim[d - pad] : a->shape.dim[d];
    for (int64_t i = 0; i < shape_count(&y->shape); i++)
        y->x[i] = seen(in, &y->shape, i);
}

static void at_sliced(const struct op_args *a, const struct shape *in, int64_t *index)
{
    (void)in;
    index[a->dim] = a->start + index[a->dim] * a->step;
}

void reference_slice(const struct op_args *a, const struct values *in, struct values *y)
{
    int64_t n = 0;
    for (int64_t i = a->start; i < a->end && i < in->shape.dim[a->dim]; i += a->step)
        n++;
    y->shape = in->shape;
    y->shape.dim[a->dim] = n;
    pick_elements(a, in, y, at_sliced);
}

static void at_selected(const struct op_args *a, const struct shape *in, int64_t *index)
{
    for (int d = in->rank - 1; d > a->dim; d--)
        index[d] = index[d - 1];
    index[a->dim] = a->start < 0 ? a->start + in->dim[a->dim] : a->start;
}

void reference_select(const struct op_args *a, const struct values *in, struct values *y)
{
    y->shape.rank = in->shape.rank - 1;
    for (int d = 0; d < y->shape.rank; d++)
        y->shape.dim[d] = in->shape.dim[d < a->dim ? d : d + 1];
    pick_elements(a, in, y, at_selected);
}

void reference_as_strided(const struct op_args *a, const struct values *in, struct values *y)
{
    y->shape = a->shape;
    for (int64_t i = 0; i < shape_count(&y->shape); i++) {
        int64_t left = i, place = a->start;
        for (int d = y->shape.rank - 1; d >= 0; d--) {
            place += left % y->shape.dim[d] * a->stride[d];
            left /= y->shape.dim[d];
        }
        y->x[i] = in->x[place];
    }
}

/* ---- moves --------------------------------------------------------------------------------- */

void reference_clone(const struct op_args *a, const struct values *in, struct values *y)
{
    (void)a;
    *y = *in;
}

void reference_to_copy(const struct op_args *a, const struct values *in, struct values *y)
{
    (void)a;
    *y = *in;
}

/* The inputs beside each other along dim: for each index of the dimensions before it, what the
 * inputs have there, one after the other. */
static void lay_beside(const struct values *in, int dim, struct values *y)
{
    int64_t at = 0, outer = 1;
    for (int d = 0; d < dim; d++)
        outer *= y->shape.dim[d];
    for (int64_t o = 0; o < outer; o++)
        for (int i = 0; in[i].shape.rank >= 0; i++) {
            int64_t n = shape_count(&in[i].shape) / outer;
            for (int64_t j = 0; j < n; j++)
                y->x[at++] = in[i].x[o * n + j];
        }
}

void reference_cat(const struct op_args *a, const struct values *in, struct values *y)
{
    int64_t length = 0;
    y->shape = in[0].shape;
    for (int i = 0; in[i].shape.rank >= 0; i++) {
        bool skipped = in[i].shape.rank == 1 && in[i].shape.dim[0] == 0;
        if (!skipped)
            y->shape = in[i].shape;
        length += skipped ? 0 : in[i].shape.dim[a->dim];
    }
    y->shape.dim[a->dim] = length;
    if (shape_count(&y->shape))
        lay_beside(in, a->dim, y);
}

void reference_stack(const struct op_args *a, const struct values *in, struct values *y)
{
    reference_unsqueeze(a, in, y);
    while (in[y->shape.dim[a->dim]].shape.rank >= 0)
        y->shape.dim[a->dim]++;
    if (shape_count(&y->shape))
        lay_beside(in, a->dim, y);
}

/* ---- indices ------------------------------------------------------------------------------- */

/* x[…] with the indices from in[first] on, of the dimensions in a->dims. */
struct subscript {
    const struct values *index;
    const struct shape *x;
    struct shape indices; /* broadcast */
    unsigned dims;
    int start; /* of the indices' dimensions in the result */
};

static struct subscript subscript(const struct op_args *a, const struct values *in, int first)
{
    struct subscript s = {.index = in + first, .x = &in->shape, .dims = a->dims};
    int from = 0, to = 0;
    for (int k = first; in[k].shape.rank >= 0; k++) {
        struct shape so_far = s.indices;
        broadcast(&so_far, &in[k].shape, &s.indices);
    }
    while (!(a->dims >> from & 1))
        from++;
    for (int d = 0; d < in->shape.rank; d++)
        to = a->dims >> d & 1 ? d + 1 : to;
    bool adjacent = to - from == __builtin_popcount(a->dims);
    s.start = adjacent ? from : 0;
    return s;
}

static void subscript_shape(const struct subscript *s, struct shape *out)
{
    int rank = 0;
    for (int d = 0; d <= s->x->rank; d++) {
        if (rank == s->start) /* never again: the rank grows */
            for (int k = 0; k < s->indices.rank; k++)
                out->dim[rank++] = s->indices.dim[k];
        if (d < s->x->rank && !(s->dims >> d & 1))
            out->dim[rank++] = s->x->dim[d];
    }
    out->rank = rank;
}

/* Where the r-th element of the result lies in x. */
static int64_t subscript_place(const struct subscript *s, const struct shape *result, int64_t r)
{
    int64_t at[RANK_MAX] = {0}, place = 0, m = 0;
    for (int d = result->rank - 1; d >= 0; d--) {
        at[d] = r % result->dim[d];
        r /= result->dim[d];
    }
    for (int k = 0; k < s->indices.rank; k++)
        m = m * s->indices.dim[k] + at[s->start + k];
    const struct values *index = s->index;
    for (int d = 0, next = 0; d < s->x->rank; d++) {
        int64_t i;
        if (s->dims >> d & 1) {
            i = (int64_t)seen(index++, &s->indices, m);
            i += i < 0 ? s->x->dim[d] : 0;
        } else {
            i = at[next < s->start ? next : next + s->indices.rank];
            next++;
        }
        place = place * s->x->dim[d] + i;
    }
    return place;
}

void reference_index(const struct op_args *a, const struct values *in, struct values *y)
{
    struct subscript s = subscript(a, in, 1);
    subscript_shape(&s, &y->shape);
    for (int64_t r = 0; r < shape_count(&y->shape); r++)
        y->x[r] = in->x[subscript_place(&s, &y->shape, r)];
}

void reference_index_put(const struct op_args *a, const struct values *in, struct values *y)
{
    struct subscript s = subscript(a, in, 2);
    struct shape result;
    *y = *in;
    subscript_shape(&s, &result);
    for (int64_t r = 0; r < shape_count(&result); r++)
        y->x[subscript_place(&s, &result, r)] = seen(&in[1], &result, r);
}

void reference_index_select(const struct op_args *a, const struct values *in, struct values *y)
{
    struct op_args along = {.dims = 1u << a->dim};
    reference_index(&along, in, y);
}

void reference_gather(const struct op_args *a, const struct values *in, struct values *y)
{
    y->shape = in[1].shape;
    for (int64_t i = 0; i < shape_count(&y->shape); i++) {
        int64_t left = i, place = 0, step = 1;
        for (int d = in->shape.rank - 1; d >= 0; d--) {
            int64_t at = left % y->shape.dim[d];
            place += (d == a->dim ? (int64_t)in[1].x[i] : at) * step;
            left /= y->shape.dim[d];
            step *= in->shape.dim[d];
        }
        y->x[i] = in->x[place];
    }
}

/* Row by row, the index of each element that is not 0. */
void reference_nonzero(const struct op_args *a, const struct values *in, struct values *y)
{
    int rank = in->shape.rank;
    int64_t found = 0;
    (void)a;
    for (int64_t i = 0; i < shape_count(&in->shape); i++) {
        int64_t left = i;
        if (in->x[i] == 0)
            continue;
        for (int d = rank - 1; d >= 0; d--) {
            y->x[found * rank + d] = (double)(left % in->shape.dim[d]);
            left /= in->shape.dim[d];
        }
        found++;
    }
    y->shape = (struct shape){.rank = 2, .dim = {found, rank}};
}

void reference_masked_fill(const struct op_args *a, const struct values *in, struct values *y)
{
    broadcast(&in[0].shape, &in[1].shape, &y->shape);
    for (int64_t i = 0; i < shape_count(&y->shape); i++)
        y->x[i] = seen(&in[1], &y->shape, i) != 0 ? a->alpha : seen(&in[0], &y->shape, i);
}

static void keep_where(const struct values *in, struct values *y, int64_t above, int64_t below)
{
    int64_t rows = in->shape.dim[in->shape.rank - 2], columns = in->shape.dim[in->shape.rank - 1];
    *y = *in;
    for (int64_t i = 0; i < shape_count(&in->shape); i++) {
        int64_t right = i % columns - i / columns % rows;
        y->x[i] = right >= above && right <= below ? in->x[i] : 0;
    }
}

void reference_triu(const struct op_args *a, const struct values *in, struct values *y)
{
    keep_where(in, y, a->start, INT64_MAX);
}

void reference_tril(const struct op_args *a, const struct values *in, struct values *y)
{
    keep_where(in, y, INT64_MIN, a->start);
}

static void at_flipped(const struct op_args *a, const struct shape *in, int64_t *index)
{
    for (int d = 0; d < in->rank; d++)
        index[d] = a->dims >> d & 1 ? in->dim[d] - 1 - index[d] : index[d];
}

void reference_flip(const struct op_args *a, const struct values *in, struct values *y)
{
    y->shape = in->shape;
    pick_elements(a, in, y, at_flipped);
}

void reference_constant_pad_nd(const struct op_args *a, const struct values *in, struct values *y)
{
    y->shape = a->shape;
    for (int64_t i = 0; i < shape_count(&y->shape); i++) {
        int64_t from = 0, size = 1, rest = i;
        for (int d = y->shape.rank - 1; d >= 0; d--) {
            int64_t at = rest % y->shape.dim[d] - a->before[d];
            rest /= y->shape.dim[d];
            from = from < 0 || at < 0 || at >= in->shape.dim[d] ? -1 : from + at * size;
            size *= in->shape.dim[d];
        }
        y->x[i] = from < 0 ? a->alpha : in->x[from];
    }
}
