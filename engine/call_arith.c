/* engine/call_arith.c - arithmetic whose arguments choose the operation, or that is made of several
 * as PyTorch makes it.
 *
 * Source: PyTorch 1.13, torch/nn/functional.py.
 */
#include <math.h>
#include <string.h>

#include "engine/call_parts.h"

/* div(…, rounding_mode=None), 'trunc' or 'floor'. */
enum err_kind call_div(struct args *a, struct value *out, struct err *e)
{
    const struct value *mode = argument(a, "rounding_mode");
    if (mode->kind == VALUE_NONE)
        return builtin_apply_as(a, OP_DIV_MODE, out, e);
    if (!strcmp(mode->text, "trunc"))
        return builtin_apply_as(a, OP_DIV_TRUNC, out, e);
    if (!strcmp(mode->text, "floor"))
        return builtin_apply_as(a, OP_DIV_FLOOR, out, e);
    return err_set(e, ERR_INVALID, "",
                   "div expected rounding_mode to be one of None, 'trunc', or 'floor' but found "
                   "'%.60s'",
                   mode->text);
}

/* rsub(tensor, number, alpha): the operation knows one type for both numbers, and a fraction for
 * alpha must not make a fraction of the result. */
enum err_kind call_rsub(struct args *a, struct value *out, struct err *e)
{
    bool integers = !dtype_is_float(a->value[0].tensor->dtype) && a->value[1].kind != VALUE_FLOAT;
    if (integers && a->value[2].kind == VALUE_FLOAT)
        return err_set(e, ERR_INVALID, "",
                       "For integral input tensors, argument alpha must not be a floating point "
                       "number.");
    return builtin_apply(a, out, e);
}

/* clamp_min, clamp_max: by a number; the other bound is none. */
enum err_kind call_clamp_bound(struct args *a, struct value *out, struct err *e)
{
    enum op_id id = (enum op_id)a->row->op;
    struct tensor *x = a->value[0].tensor, *y = x;
    struct op_args args = op_args_default;
    args.alpha = args.beta = NAN;
    double *bound = id == OP_CLAMP_MIN ? &args.alpha : &args.beta;
    enum err_kind rc = number_to_op(&a->value[1], bound, &args, e);
    if (!rc)
        rc = a->in_place ? op_apply_in_place(a->in->tape, id, &args, &x, 1, e)
                         : apply_one(a->in, id, &args, x, &y, e);
    return rc ? rc : give(y, out);
}

/* ---- made of several ----------------------------------------------------------------------- */

/* x / (|x| + 1) */
enum err_kind call_softsign(struct args *a, struct value *out, struct err *e)
{
    struct tensor *x = a->value[0].tensor, *y, *one;
    one = number_tensor(a->in, &(struct value){.kind = VALUE_INT, .integer = 1});
    if (!one)
        return err_set(e, ERR_NOMEM, "", "no memory for a number");
    enum err_kind rc = apply_one(a->in, OP_ABS, NULL, x, &y, e);
    if (!rc)
        rc = apply_two(a->in, OP_ADD, NULL, y, one, &y, e);
    if (!rc)
        rc = apply_two(a->in, OP_DIV, NULL, x, y, &y, e);
    return rc ? rc : give(y, out);
}

/* x - tanh(x) */
enum err_kind call_tanhshrink(struct args *a, struct value *out, struct err *e)
{
    struct tensor *x = a->value[0].tensor, *y;
    enum err_kind rc = apply_one(a->in, OP_TANH, NULL, x, &y, e);
    if (!rc)
        rc = apply_two(a->in, OP_SUB, NULL, x, y, &y, e);
    return rc ? rc : give(y, out);
}

/* x over its norm, which is at least eps. */
enum err_kind call_normalize(struct args *a, struct value *out, struct err *e)
{
    struct tensor *x = a->value[0].tensor, *y;
    struct op_args norm, least = op_args_default;
    enum err_kind rc = arguments_to_op(a, x, &norm, e);
    norm.keepdim = true;
    least.alpha = number_of(argument(a, "eps"));
    least.beta = NAN;
    least.number = DTYPE_FLOAT64;
    if (!rc)
        rc = apply_one(a->in, OP_NORM, &norm, x, &y, e);
    if (!rc)
        rc = apply_one(a->in, OP_CLAMP_MIN, &least, y, &y, e);
    if (!rc)
        rc = apply_shape(a->in, OP_EXPAND, &x->shape, y, &y, e);
    if (!rc)
        rc = apply_two(a->in, OP_DIV, NULL, x, y, &y, e);
    return rc ? rc : give(y, out);
}

/* ---- padding ------------------------------------------------------------------------------- */

/* What a negative padding cuts off one end of a dimension. */
static enum err_kind cut(int64_t *size, int64_t padding, bool at_start, struct err *e)
{
    int64_t was = *size;
    padding = padding < -INT64_MAX ? -INT64_MAX : padding;
    if (padding >= 0)
        return ERR_OK;
    *size += padding; /* of a size, which is not negative */
    if (*size >= 0)
        return ERR_OK;
    return err_set(e, ERR_INVALID, "",
                   "start (%lld) + length (%lld) exceeds dimension size (%lld).",
                   at_start ? -(long long)padding : 0, (long long)*size, (long long)was);
}

/* What is cut off comes first, as in PyTorch: it must be there. */
static enum err_kind pad_size(int64_t *size, int64_t before, int64_t behind, struct err *e)
{
    enum err_kind rc = cut(size, before, true, e);
    if (!rc)
        rc = cut(size, behind, false, e);
    if (!rc && ((before > 0 && __builtin_add_overflow(*size, before, size)) ||
                (behind > 0 && __builtin_add_overflow(*size, behind, size))))
        rc = err_set(e, ERR_INVALID, "", "Padding length too large");
    return rc;
}

enum err_kind apply_pad(struct interp *in, struct tensor *x, const int64_t *before,
                        const int64_t *behind, double value, struct tensor **out, struct err *e)
{
    struct op_args args = op_args_default;
    args.alpha = value;
    args.shape = x->shape;
    for (int d = 0; d < x->shape.rank; d++) {
        args.before[d] = before[d];
        enum err_kind rc = pad_size(&args.shape.dim[d], before[d], behind[d], e);
        if (rc)
            return rc;
    }
    return apply_one(in, OP_CONSTANT_PAD_ND, &args, x, out, e);
}

static enum err_kind check_padding_mode(const char *mode, struct err *e)
{
    if (!strcmp(mode, "constant"))
        return ERR_OK;
    if (!strcmp(mode, "reflect") || !strcmp(mode, "replicate") || !strcmp(mode, "circular"))
        return err_set(e, ERR_INVALID, "", "pad(): mode='%s' is not supported", mode);
    return err_set(e, ERR_INVALID, "", "Unrecognised padding mode %.60s", mode);
}

/* F.pad(x, (left, right, top, bottom, …)): from the last dimension on. */
enum err_kind call_pad(struct args *a, struct value *out, struct err *e)
{
    struct tensor *x = a->value[0].tensor, *y = NULL;
    const struct value *pad = &a->value[1], *value = argument(a, "value");
    int64_t before[RANK_MAX] = {0}, behind[RANK_MAX] = {0};
    if (pad->count % 2)
        return err_set(e, ERR_INVALID, "", "Padding length must be divisible by 2");
    if (pad->count / 2 > (size_t)x->shape.rank)
        return err_set(e, ERR_INVALID, "", "Padding length too large");
    enum err_kind rc = check_padding_mode(argument(a, "mode")->text, e);
    for (size_t i = 0; i < pad->count / 2; i++) {
        size_t d = (size_t)x->shape.rank - 1 - i;
        before[d] = pad->item[2 * i].integer;
        behind[d] = pad->item[2 * i + 1].integer;
    }
    double number = value->kind == VALUE_NONE ? 0 : number_of(value);
    if (!rc)
        rc = apply_pad(a->in, x, before, behind, number, &y, e);
    return rc ? rc : give(y, out);
}
