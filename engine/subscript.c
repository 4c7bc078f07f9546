/* engine/subscript.c - x[index] and x[index] = value.
 *
 * A tensor is indexed as PyTorch does it: integers, slices, None and … become views one after the
 * other; index tensors are collected with the dimension they stand at, and one INDEX follows.
 * Source: PyTorch 1.13, torch/csrc/autograd/python_variable_indexing.cpp.
 */
#include <string.h>

#include "engine/call_parts.h"

#define INDEX_TENSORS_MAX (SAVED_INPUTS_MAX - 1)

/* A subscript on the way through its items. */
struct walk {
    struct interp *in;
    struct tensor *x; /* what the items so far have made of the tensor */
    int rank;         /* of the tensor itself */
    bool is_tuple;    /* there are several items */
    int dim;          /* of x, that the next item stands for */
    struct tensor *index[INDEX_TENSORS_MAX];
    int indices;
    unsigned dims; /* of x, that they index */
};

/* ---- Python's sequences -------------------------------------------------------------------- */

/* The bounds that a slice with a positive step has over n elements. */
static enum err_kind slice_bounds(const struct value *slice, int64_t n, int64_t *start,
                                  int64_t *end, int64_t *step, struct err *e)
{
    const struct value *part = slice->item;
    *step = part[2].kind == VALUE_NONE ? 1 : part[2].integer;
    if (*step <= 0)
        return err_set(e, ERR_INVALID, "", "step must be greater than zero");
    *start = part[0].kind == VALUE_NONE ? 0 : part[0].integer;
    *end = part[1].kind == VALUE_NONE ? n : part[1].integer;
    int64_t *bound[] = {start, end};
    for (int i = 0; i < 2; i++) {
        if (*bound[i] < 0)
            *bound[i] += n; /* no overflow: n >= 0 */
        *bound[i] = *bound[i] < 0 ? 0 : *bound[i] > n ? n : *bound[i];
    }
    if (*end < *start)
        *end = *start;
    return ERR_OK;
}

static enum err_kind slice_list(struct interp *in, const struct value *x, const struct value *slice,
                                struct value *out, struct err *e)
{
    int64_t start, end, step;
    enum err_kind rc = slice_bounds(slice, (int64_t)x->count, &start, &end, &step, e);
    if (rc)
        return rc;
    if (x->kind == VALUE_STRING && step == 1)
        return interp_string(in, x->text + start, (size_t)(end - start), out, e);
    if (x->kind == VALUE_STRING)
        return err_set(e, ERR_INVALID, "", "a string can be sliced with step 1 only");
    size_t count = end > start ? (size_t)((end - start - 1) / step + 1) : 0;
    struct value *item;
    rc = interp_alloc(in, count, sizeof *item, &item, e);
    for (size_t i = 0; !rc && i < count; i++)
        item[i] = x->item[start + (int64_t)i * step];
    return rc ? rc : value_list(in, x->kind, item, count, out, e);
}

static enum err_kind get_from_list(struct interp *in, const struct value *x,
                                   const struct value *index, struct value *out, struct err *e)
{
    const char *what = value_type_name(x);
    if (index->kind == VALUE_SLICE)
        return slice_list(in, x, index, out, e);
    if (index->kind != VALUE_INT && index->kind != VALUE_BOOL)
        return err_set(e, ERR_INVALID, "", "%s indices must be integers or slices, not %s", what,
                       value_type_name(index));
    int64_t i = index->kind == VALUE_BOOL ? index->boolean : index->integer;
    i += i < 0 ? (int64_t)x->count : 0;
    if (i < 0 || i >= (int64_t)x->count)
        return err_set(e, ERR_INVALID, "", "%s index out of range",
                       x->kind == VALUE_SIZE     ? "tuple"
                       : x->kind == VALUE_STRING ? "string"
                                                 : what);
    if (x->kind == VALUE_STRING)
        return interp_string(in, x->text + i, 1, out, e);
    *out = x->item[i];
    return ERR_OK;
}

/* ---- tensors ------------------------------------------------------------------------------- */

static enum err_kind too_many(const struct walk *w, struct err *e)
{
    return err_set(e, ERR_INVALID, "", "too many indices for tensor of dimension %d", w->rank);
}

static enum err_kind check_room(const struct walk *w, struct err *e)
{
    if (w->dim < w->x->shape.rank)
        return ERR_OK;
    if (w->rank == 0 && !w->is_tuple)
        return err_set(e, ERR_INVALID, "",
                       "invalid index of a 0-dim tensor. Use `tensor.item()` in Python or "
                       "`tensor.item<T>()` in C++ to convert a 0-dim tensor to a number");
    return too_many(w, e);
}

static enum err_kind take_integer(struct walk *w, int64_t i, struct err *e)
{
    struct op_args args = op_args_default;
    enum err_kind rc = check_room(w, e);
    if (rc)
        return rc;
    int64_t n = w->x->shape.dim[w->dim];
    if (i < -n || i >= n)
        return err_set(e, ERR_INVALID, "",
                       "index %lld is out of bounds for dimension %d with size %lld", (long long)i,
                       w->dim, (long long)n);
    args.dim = w->dim;
    args.start = i < 0 ? i + n : i;
    return apply_one(w->in, OP_SELECT, &args, w->x, &w->x, e);
}

static enum err_kind take_slice(struct walk *w, const struct value *slice, struct err *e)
{
    struct op_args args = op_args_default;
    enum err_kind rc =
        w->x->shape.rank == 0
            ? err_set(e, ERR_INVALID, "", "slice() cannot be applied to a 0-dim tensor.")
            : check_room(w, e);
    if (!rc)
        rc = slice_bounds(slice, w->x->shape.dim[w->dim], &args.start, &args.end, &args.step, e);
    if (rc)
        return rc;
    args.dim = w->dim++;
    return apply_one(w->in, OP_SLICE, &args, w->x, &w->x, e);
}

static enum err_kind take_none(struct walk *w, struct err *e)
{
    struct op_args args = op_args_default;
    if (w->x->shape.rank == RANK_MAX)
        return err_set(e, ERR_INVALID, "", "a tensor has at most %d dimensions", RANK_MAX);
    args.dim = w->dim++;
    return apply_one(w->in, OP_UNSQUEEZE, &args, w->x, &w->x, e);
}

/* An index tensor for the dimension that is next. */
static enum err_kind add_index(struct walk *w, struct tensor *index, struct err *e)
{
    enum err_kind rc = check_room(w, e);
    if (rc)
        return rc;
    if (w->indices == INDEX_TENSORS_MAX)
        return err_set(e, ERR_INVALID, "", "an index takes at most %d tensors", INDEX_TENSORS_MAX);
    w->index[w->indices++] = index;
    w->dims |= 1u << w->dim++;
    return ERR_OK;
}

/* A mask stands for as many dimensions as it has: the places of its true elements in each. */
static enum err_kind take_mask(struct walk *w, struct tensor *mask, struct err *e)
{
    struct tensor *place[RANK_MAX];
    char tx[SHAPE_TEXT_BYTES], tm[SHAPE_TEXT_BYTES];
    for (int d = 0; d < mask->shape.rank; d++)
        if (w->dim + d >= w->x->shape.rank || mask->shape.dim[d] != w->x->shape.dim[w->dim + d])
            return err_set(e, ERR_INVALID, "",
                           "The shape of the mask %s at index %d does not match the shape of the "
                           "indexed tensor %s at index %d",
                           shape_text(&mask->shape, tm, sizeof tm), d,
                           shape_text(&w->x->shape, tx, sizeof tx), w->dim + d);
    enum err_kind rc = apply_nonzero(w->in, mask, place, e);
    for (int d = 0; !rc && d < mask->shape.rank; d++)
        rc = add_index(w, place[d], e);
    return rc;
}

/* True is all of a new dimension of one, False nothing of it. */
static enum err_kind take_truth(struct walk *w, bool truth, struct err *e)
{
    struct tensor *index;
    struct shape one = {.rank = 1, .dim = {truth}};
    enum err_kind rc = interp_tensor(w->in, DTYPE_INT64, &one, &index, e);
    if (rc)
        return rc;
    if (truth && !w->in->tape->dry)
        *(int64_t *)tensor_data(index) = 0;
    rc = take_none(w, e);
    if (rc)
        return rc;
    w->dim--;
    return add_index(w, index, e);
}

static enum err_kind take_tensor(struct walk *w, struct tensor *index, struct err *e)
{
    struct value i;
    if (index->dtype == DTYPE_BOOL && index->shape.rank > 0)
        return take_mask(w, index, e);
    if (index->dtype == DTYPE_BOOL) {
        enum err_kind rc = tensor_item(w->in, index, &i, e);
        return rc ? rc : take_truth(w, i.boolean, e);
    }
    if (index->dtype != DTYPE_INT64)
        return err_set(e, ERR_INVALID, "",
                       "tensors used as indices must be long, byte or bool tensors");
    if (index->shape.rank > 0)
        return add_index(w, index, e);
    enum err_kind rc = tensor_item(w->in, index, &i, e);
    return rc ? rc : take_integer(w, i.integer, e);
}

/* How many dimensions the items behind an ellipsis stand for. */
static int dims_after(const struct value *item, size_t count)
{
    int dims = 0;
    for (size_t i = 0; i < count; i++) {
        bool mask = item[i].kind == VALUE_TENSOR && item[i].tensor->dtype == DTYPE_BOOL;
        if (mask)
            dims += item[i].tensor->shape.rank;
        else
            dims += item[i].kind != VALUE_NONE && item[i].kind != VALUE_ELLIPSIS &&
                    item[i].kind != VALUE_BOOL;
    }
    return dims;
}

static enum err_kind take_item(struct walk *w, const struct value *item, size_t after,
                               struct err *e)
{
    struct tensor *t;
    enum err_kind rc;
    switch ((int)item->kind) {
    case VALUE_INT:
        return take_integer(w, item->integer, e);
    case VALUE_SLICE:
        return take_slice(w, item, e);
    case VALUE_NONE:
        return take_none(w, e);
    case VALUE_ELLIPSIS:
        w->dim = w->x->shape.rank - dims_after(item + 1, after);
        return w->dim < 0 ? too_many(w, e) : ERR_OK;
    case VALUE_TENSOR:
        return take_tensor(w, item->tensor, e);
    case VALUE_LIST:
        rc = tensor_of_value(w->in, item, item->count ? DTYPE_COUNT : DTYPE_INT64, &t, e);
        return rc ? rc : take_tensor(w, t, e);
    case VALUE_BOOL:
        return take_truth(w, item->boolean, e);
    default:
        return err_set(e, ERR_INVALID, "",
                       "only integers, slices (`:`), ellipsis (`...`), None and long or byte "
                       "Variables are valid indices (got %s)",
                       value_type_name(item));
    }
}

/* A list of lists, tensors or slices is a tuple of them, as NumPy once had it. */
static bool is_tuple(const struct value *index)
{
    bool holds_indices = false;
    for (size_t i = 0; index->kind == VALUE_LIST && i < index->count; i++)
        holds_indices = holds_indices || !value_is_number(&index->item[i]);
    return index->kind == VALUE_TUPLE || (holds_indices && index->count < 32);
}

/* Goes through the items: afterwards w->x is the view, and w->index what is left to do. */
static enum err_kind walk_items(struct walk *w, const struct value *index, struct err *e)
{
    w->is_tuple = is_tuple(index);
    const struct value *item = w->is_tuple ? index->item : index;
    size_t count = w->is_tuple ? index->count : 1;
    enum err_kind rc = ERR_OK;
    w->rank = w->x->shape.rank;
    if (w->is_tuple && dims_after(item, count) > w->rank)
        return too_many(w, e);
    for (size_t i = 0; !rc && i < count; i++)
        rc = take_item(w, &item[i], count - i - 1, e);
    return rc;
}

/* An index that is … or () alone makes a new view of all. */
static enum err_kind whole(struct walk *w, struct tensor *of, struct err *e)
{
    return w->x == of ? apply_shape(w->in, OP_ALIAS, &of->shape, w->x, &w->x, e) : ERR_OK;
}

static enum err_kind get_from_tensor(struct interp *in, struct tensor *x, const struct value *index,
                                     struct value *out, struct err *e)
{
    struct walk w = {.in = in, .x = x};
    enum err_kind rc = walk_items(&w, index, e);
    if (!rc && w.indices) {
        struct tensor *operand[1 + INDEX_TENSORS_MAX] = {w.x};
        struct op_args args = op_args_default;
        memcpy(operand + 1, w.index, sizeof w.index);
        args.dims = w.dims;
        rc = op_apply_many(in->tape, OP_INDEX, &args, operand, 1 + w.indices, &w.x, NULL, e);
    } else if (!rc) {
        rc = whole(&w, x, e);
    }
    *out = VALUE(TENSOR, .tensor = w.x);
    return rc;
}

/* A value that is too long by leading dimensions of 1 is taken all the same. */
static enum err_kind drop_leading(struct interp *in, struct tensor **value, int rank, struct err *e)
{
    enum err_kind rc = ERR_OK;
    while (!rc && (*value)->shape.rank > rank && (*value)->shape.dim[0] == 1) {
        struct op_args args = op_args_default;
        args.dim = 0;
        rc = apply_one(in, OP_SQUEEZE_DIM, &args, *value, value, e);
    }
    return rc;
}

/* Where a value does not fit, it is the expansion that PyTorch complains of. */
static enum err_kind check_expands(struct interp *in, const struct tensor *value,
                                   const struct tensor *to, struct err *e)
{
    struct tensor *seen = tape_alias(in->tape, value), *ignored;
    if (!seen)
        return err_set(e, ERR_NOMEM, "", "no memory for a tensor");
    return apply_shape(in, OP_EXPAND, &to->shape, seen, &ignored, e);
}

static enum err_kind set_in_tensor(struct interp *in, struct tensor *x, const struct value *index,
                                   struct tensor *value, struct err *e)
{
    struct walk w = {.in = in, .x = x};
    enum err_kind rc = walk_items(&w, index, e);
    if (rc)
        return rc;
    if (w.indices) {
        struct tensor *operand[2 + INDEX_TENSORS_MAX] = {w.x, value};
        struct op_args args = op_args_default;
        memcpy(operand + 2, w.index, sizeof w.index);
        args.dims = w.dims;
        return op_apply_in_place(in->tape, OP_INDEX_PUT, &args, operand, 2 + w.indices, e);
    }
    rc = drop_leading(in, &value, w.x->shape.rank, e);
    if (!rc)
        rc = check_expands(in, value, w.x, e);
    struct tensor *operand[] = {w.x, value};
    return rc ? rc : op_apply_in_place(in->tape, OP_COPY, NULL, operand, 2, e);
}

/* ---- both ---------------------------------------------------------------------------------- */

enum err_kind subscript_get(struct interp *in, const struct value *x, const struct value *index,
                            struct value *out, struct err *e)
{
    if (x->kind == VALUE_TENSOR)
        return get_from_tensor(in, x->tensor, index, out, e);
    if (value_is_list(x) || x->kind == VALUE_STRING)
        return get_from_list(in, x, index, out, e);
    return err_set(e, ERR_INVALID, "", "'%s' object is not subscriptable", value_type_name(x));
}

/* A number takes the tensor's type, whatever is lost. */
static enum err_kind number_as(struct interp *in, const struct value *number, enum dtype dtype,
                               struct tensor **out, struct err *e)
{
    struct tensor *given = number_tensor(in, number);
    if (!given)
        return err_set(e, ERR_NOMEM, "", "no memory for a number");
    enum err_kind rc = interp_tensor(in, dtype, &given->shape, out, e);
    if (!rc && !in->tape->dry)
        tensor_copy(*out, given);
    return rc;
}

enum err_kind subscript_set(struct interp *in, const struct value *x, const struct value *index,
                            const struct value *value, struct err *e)
{
    struct tensor *t = value->kind == VALUE_TENSOR ? value->tensor : NULL;
    if (in->pure)
        return err_set(e, ERR_INVALID, "", "a model's forward changes nothing in place");
    if (x->kind != VALUE_TENSOR)
        return err_set(e, ERR_INVALID, "", "'%s' object does not support item assignment here",
                       value_type_name(x));
    if (!t && !value_is_number(value))
        return err_set(e, ERR_INVALID, "", "can't assign a %s to a torch.%sTensor",
                       value_type_name(value), dtype_type_name(x->tensor->dtype));
    enum err_kind rc = t ? ERR_OK : number_as(in, value, x->tensor->dtype, &t, e);
    return rc ? rc : set_in_tensor(in, x->tensor, index, t, e);
}
