#include "api/value_out.h"

#include "engine/decimal.h"
#include "engine/show.h"

#define DEPTH_MAX   64
#define REPR_MAX    ((size_t)4096)
#define ITEM_BYTES  ((size_t)32)  /* of a number or a word, with its comma */
#define FRAME_BYTES ((size_t)256) /* of a tensor's members around its data */

/* Takes from the budget what a text will need; a program may ask for more of it than there is
 * memory, since a list that stands in another twice is written twice. */
static enum err_kind reserve(struct value_out *o, size_t bytes, struct err *e)
{
    if (!mem_budget_take(o->tape->arena.budget, bytes)) {
        o->tape->arena.refused = bytes;
        return err_set(e, ERR_NOMEM, "", "no memory for the values");
    }
    o->taken += bytes;
    return ERR_OK;
}

static size_t element_bytes(enum dtype dtype)
{
    switch (dtype) {
    case DTYPE_BOOL:
        return sizeof "false";
    case DTYPE_INT64:
        return DECIMAL_I64_BYTES + 1;
    case DTYPE_FLOAT32:
        return DECIMAL_F32_BYTES + 1;
    case DTYPE_FLOAT64:
    case DTYPE_COUNT:
        break;
    }
    return DECIMAL_F64_BYTES + 1;
}

/* At most so many bytes: the elements, and for each dimension its brackets and commas, of which a
 * tensor without elements may have any number. */
static size_t data_bytes(const struct tensor *t)
{
    size_t arrays = 1, sum = 0, bytes;
    for (int d = 0; d < t->shape.rank; d++) {
        if (__builtin_add_overflow(sum, arrays, &sum) ||
            !mem_mul(arrays, (size_t)t->shape.dim[d], &arrays))
            return SIZE_MAX;
    }
    if (!mem_mul(sum, sizeof "[],", &sum) || !mem_mul(arrays, element_bytes(t->dtype), &bytes) ||
        __builtin_add_overflow(sum, bytes, &bytes))
        return SIZE_MAX;
    return bytes;
}

static enum err_kind write_tensor(struct value_out *o, const struct tensor *t, struct err *e)
{
    struct json_out *w = o->w;
    size_t bytes = data_bytes(t);
    enum err_kind rc = reserve(o, bytes < SIZE_MAX - FRAME_BYTES ? bytes + FRAME_BYTES : bytes, e);
    if (rc)
        return rc;
    json_begin_object(w);
    json_key_string(w, "dtype", dtype_name(t->dtype));
    json_key(w, "shape");
    json_ints(w, t->shape.dim, (size_t)t->shape.rank);
    json_key_bool(w, "requires_grad", tensor_requires_grad(t));
    json_key_string(w, "grad_fn", tensor_grad_fn_class(t));
    json_key(w, "data");
    json_strided(w, t->dtype, tensor_data(t), t->shape.dim, t->stride, t->shape.rank);
    json_end_object(w);
    return ERR_OK;
}

static enum err_kind write_repr(struct value_out *o, const struct value *x, struct err *e)
{
    struct text text = {.arena = &o->tape->arena, .max = REPR_MAX};
    enum err_kind rc = reserve(o, REPR_MAX, e);
    if (rc)
        return rc;
    show_repr(&text, x);
    if (text.failed)
        return err_set(e, ERR_NOMEM, "", "no memory for the values");
    json_begin_object(o->w);
    json_key(o->w, "repr");
    json_string_n(o->w, text.at ? text.at : "", text.bytes);
    json_end_object(o->w);
    return ERR_OK;
}

static enum err_kind write_at(struct value_out *o, const struct value *x, int depth, struct err *e);

/* Recursive, but for DEPTH_MAX at most. */
static enum err_kind write_list(struct value_out *o, const struct value *x, int depth,
                                struct err *e)
{
    size_t bytes;
    if (depth == DEPTH_MAX)
        return err_set(e, ERR_INVALID, "", "lists are shown %d deep at most", DEPTH_MAX);
    if (!mem_mul(x->count, ITEM_BYTES, &bytes))
        bytes = SIZE_MAX;
    enum err_kind rc = reserve(o, bytes, e);
    if (rc)
        return rc;
    json_begin_array(o->w);
    for (size_t i = 0; !rc && i < x->count; i++)
        rc = write_at(o, &x->item[i], depth + 1, e);
    json_end_array(o->w);
    return rc;
}

static enum err_kind write_at(struct value_out *o, const struct value *x, int depth, struct err *e)
{
    enum err_kind rc;
    switch ((int)x->kind) {
    case VALUE_NONE:
        json_null(o->w);
        return ERR_OK;
    case VALUE_BOOL:
        json_bool(o->w, x->boolean);
        return ERR_OK;
    case VALUE_INT:
        json_int(o->w, x->integer);
        return ERR_OK;
    case VALUE_FLOAT:
        json_f64(o->w, x->number);
        return ERR_OK;
    case VALUE_STRING: /* \u0000 is the longest of all */
        rc = reserve(o, x->count < SIZE_MAX / 6 ? 6 * x->count : SIZE_MAX, e);
        if (!rc)
            json_string_n(o->w, x->text, x->count);
        return rc;
    case VALUE_TUPLE:
    case VALUE_LIST:
    case VALUE_SIZE:
        return write_list(o, x, depth, e);
    case VALUE_TENSOR:
        return write_tensor(o, x->tensor, e);
    default:
        return write_repr(o, x, e);
    }
}

enum err_kind value_write(struct value_out *o, const struct value *x, struct err *e)
{
    return write_at(o, x, 0, e);
}
