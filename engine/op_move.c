/* engine/op_move.c - copies, tensors put beside each other, triangles, and the other way round. */
#include <string.h>

#include "engine/op_reduce.h"

/* ---- clone, to ------------------------------------------------------------------------------- */

enum err_kind ISA_FN(clone_infer)(const struct op_call *c, struct tensor *out, struct err *e)
{
    (void)e;
    out->shape = c->in[0]->shape;
    return ERR_OK;
}

void ISA_FN(clone_forward)(const struct op_call *c)
{
    tensor_copy(c->out, c->in[0]);
}

void ISA_FN(clone_backward)(const struct op_call *c)
{
    tensor_copy(c->grad_in[0], c->grad_out);
}

enum err_kind ISA_FN(to_copy_infer)(const struct op_call *c, struct tensor *out, struct err *e)
{
    (void)e;
    out->shape = c->in[0]->shape;
    out->dtype = c->args.dtype;
    return ERR_OK;
}

void ISA_FN(to_copy_forward)(const struct op_call *c)
{
    tensor_copy(c->out, c->in[0]);
}

/* In the output's type; the walk casts it. */
void ISA_FN(to_copy_backward)(const struct op_call *c)
{
    tensor_copy(c->grad_in[0], c->grad_out);
}

/* ---- cat ------------------------------------------------------------------------------------ */

/* An empty list, [0], goes with any shape, as in PyTorch, where it once was what has none. */
static bool is_skipped(const struct shape *s)
{
    return s->rank == 1 && s->dim[0] == 0;
}

static enum err_kind check_cat_shape(const struct op_call *c, int i, const struct shape *first,
                                     struct err *e)
{
    const struct shape *s = &c->in[i]->shape;
    if (s->rank != first->rank)
        return err_set(e, ERR_INVALID, "",
                       "Tensors must have same number of dimensions: got %d and %d", first->rank,
                       s->rank);
    for (int d = 0; d < s->rank; d++)
        if (d != c->args.dim && s->dim[d] != first->dim[d])
            return err_set(e, ERR_INVALID, "",
                           "Sizes of tensors must match except in dimension %d. Expected size %lld "
                           "but got size %lld for tensor number %d in the list.",
                           c->args.dim, (long long)first->dim[d], (long long)s->dim[d], i);
    return ERR_OK;
}

/* The first shape that is not skipped, or else the first. */
static enum err_kind first_shape(const struct op_call *c, const struct shape **first, struct err *e)
{
    if (c->inputs == 0)
        return err_set(e, ERR_INVALID, "", "torch.cat(): expected a non-empty list of Tensors");
    *first = &c->in[0]->shape;
    for (int i = 0; i < c->inputs; i++) {
        if (c->in[i]->shape.rank == 0)
            return err_set(e, ERR_INVALID, "",
                           "zero-dimensional tensor (at position %d) cannot be concatenated", i);
        if (is_skipped(*first))
            *first = &c->in[i]->shape;
    }
    return ISA_FN(check_dim)(c->args.dim, (*first)->rank, e);
}

enum err_kind ISA_FN(cat_infer)(const struct op_call *c, struct tensor *out, struct err *e)
{
    const struct shape *first = NULL;
    int64_t dim[RANK_MAX], length = 0;
    enum err_kind rc = first_shape(c, &first, e);
    if (rc)
        return rc;
    for (int i = 0; i < c->inputs; i++) {
        const struct shape *s = &c->in[i]->shape;
        if (is_skipped(s))
            continue;
        rc = check_cat_shape(c, i, first, e);
        if (rc)
            return rc;
        if (__builtin_add_overflow(length, s->dim[c->args.dim], &length))
            return err_set(e, ERR_INVALID, "", "the tensor has too many elements");
    }
    for (int d = 0; d < first->rank; d++)
        dim[d] = d == c->args.dim ? length : first->dim[d];
    return shape_make(dim, first->rank, &out->shape, e);
}

void ISA_FN(cat_forward)(const struct op_call *c)
{
    int64_t at = 0;
    for (int i = 0; i < c->inputs; i++) {
        if (is_skipped(&c->in[i]->shape))
            continue;
        struct tensor part = *c->out;
        tensor_narrow(&part, c->args.dim, at, c->in[i]->shape.dim[c->args.dim]);
        tensor_copy(&part, c->in[i]);
        at += c->in[i]->shape.dim[c->args.dim];
    }
}

void ISA_FN(cat_backward)(const struct op_call *c)
{
    int64_t at = 0;
    for (int i = 0; i < c->inputs; i++) {
        if (is_skipped(&c->given[i]->shape))
            continue;
        struct tensor part = *c->grad_out;
        tensor_narrow(&part, c->args.dim, at, c->given[i]->shape.dim[c->args.dim]);
        if (c->grad_in[i])
            tensor_copy(c->grad_in[i], &part);
        at += c->given[i]->shape.dim[c->args.dim];
    }
}

/* ---- stack ---------------------------------------------------------------------------------- */

enum err_kind ISA_FN(stack_infer)(const struct op_call *c, struct tensor *out, struct err *e)
{
    int64_t dim[RANK_MAX + 1];
    char text[SHAPE_TEXT_BYTES], first[SHAPE_TEXT_BYTES];
    if (c->inputs == 0)
        return err_set(e, ERR_INVALID, "", "stack expects a non-empty TensorList");
    const struct shape *s = &c->in[0]->shape;
    enum err_kind rc = ISA_FN(check_dim)(c->args.dim, s->rank + 1, e);
    for (int i = 1; i < c->inputs && !rc; i++)
        if (!shape_equal(&c->in[i]->shape, s))
            rc = err_set(e, ERR_INVALID, "",
                         "stack expects each tensor to be equal size, but got %s at entry 0 and %s "
                         "at entry %d",
                         shape_text(s, first, sizeof first),
                         shape_text(&c->in[i]->shape, text, sizeof text), i);
    if (rc)
        return rc;
    for (int d = 0; d <= s->rank; d++)
        dim[d] = d < c->args.dim ? s->dim[d] : d > c->args.dim ? s->dim[d - 1] : c->inputs;
    return shape_make(dim, s->rank + 1, &out->shape, e);
}

void ISA_FN(stack_forward)(const struct op_call *c)
{
    for (int i = 0; i < c->inputs; i++) {
        struct tensor part = *c->out;
        tensor_select(&part, c->args.dim, i);
        tensor_copy(&part, c->in[i]);
    }
}

void ISA_FN(stack_backward)(const struct op_call *c)
{
    for (int i = 0; i < c->inputs; i++) {
        struct tensor part = *c->grad_out;
        tensor_select(&part, c->args.dim, i);
        if (c->grad_in[i])
            tensor_copy(c->grad_in[i], &part);
    }
}

/* ---- triu, tril ------------------------------------------------------------------------------ */

static enum err_kind infer_triangle(const struct op_call *c, struct tensor *out, struct err *e)
{
    out->shape = c->in[0]->shape;
    if (out->shape.rank >= 2)
        return ERR_OK;
    return out->shape.rank == 0
               ? err_set(e, ERR_INVALID, "",
                         "Dimension specified as -2 but tensor has no dimensions")
               : err_set(e, ERR_INVALID, "",
                         "Dimension out of range (expected to be in range of [-1, 0], but got -2)");
}

/* Row i of each matrix keeps its columns from i + diagonal on (upper), or up to that one. */
static void keep_triangle(const struct tensor *x, struct tensor *y, int64_t diagonal, bool upper)
{
    int64_t rows = y->shape.dim[y->shape.rank - 2], columns = y->shape.dim[y->shape.rank - 1];
    int64_t lines = columns ? tensor_count(y) / columns : 0;
    int64_t shift = diagonal < -rows ? -rows : diagonal < columns ? diagonal : columns;
    shift += !upper;
    size_t bytes = dtype_bytes(y->dtype);
    const char *from = tensor_data(x);
    char *to = tensor_data(y);
    for (int64_t line = 0; line < lines; line++) {
        int64_t cut = line % rows + shift;
        cut = cut < 0 ? 0 : cut < columns ? cut : columns;
        size_t before = (size_t)cut * bytes, behind = (size_t)(columns - cut) * bytes;
        memcpy(to, from, before + behind);
        memset(upper ? to : to + before, 0, upper ? before : behind);
        to += before + behind;
        from += before + behind;
    }
}

enum err_kind ISA_FN(triu_infer)(const struct op_call *c, struct tensor *out, struct err *e)
{
    return infer_triangle(c, out, e);
}

void ISA_FN(triu_forward)(const struct op_call *c)
{
    keep_triangle(c->in[0], c->out, c->args.start, true);
}

void ISA_FN(triu_backward)(const struct op_call *c)
{
    keep_triangle(c->grad_out, c->grad_in[0], c->args.start, true);
}

enum err_kind ISA_FN(tril_infer)(const struct op_call *c, struct tensor *out, struct err *e)
{
    return infer_triangle(c, out, e);
}

void ISA_FN(tril_forward)(const struct op_call *c)
{
    keep_triangle(c->in[0], c->out, c->args.start, false);
}

void ISA_FN(tril_backward)(const struct op_call *c)
{
    keep_triangle(c->grad_out, c->grad_in[0], c->args.start, false);
}

/* ---- flip ------------------------------------------------------------------------------------ */

enum err_kind ISA_FN(flip_infer)(const struct op_call *c, struct tensor *out, struct err *e)
{
    out->shape = c->in[0]->shape;
    return ISA_FN(check_dims)(c->args.dims, out->shape.rank, e);
}

/* y = x, seen from the end along dims. */
static void flip(const struct tensor *x, struct tensor *y, unsigned dims)
{
    struct tensor seen = tensor_seen(x);
    for (int d = 0; d < x->shape.rank; d++)
        if (dims >> d & 1 && x->shape.dim[d] > 1) {
            seen.offset += (x->shape.dim[d] - 1) * x->stride[d];
            seen.stride[d] = -x->stride[d];
        }
    tensor_copy(y, &seen);
}

void ISA_FN(flip_forward)(const struct op_call *c)
{
    flip(c->in[0], c->out, c->args.dims);
}

void ISA_FN(flip_backward)(const struct op_call *c)
{
    flip(c->grad_out, c->grad_in[0], c->args.dims);
}
