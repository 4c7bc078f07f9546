/* engine/call_reduce.c - the reductions whose signatures are not those of one row. */
#include <math.h>
#include <string.h>

#include "engine/call_parts.h"

/* var and std: over which dimensions, and how much is taken off the count. unbiased=False takes
 * nothing off; correction, where it is given, decides. */
enum err_kind call_var(struct args *a, struct value *out, struct err *e)
{
    struct tensor *x = a->value[0].tensor, *y = NULL;
    struct op_args args;
    const struct value *unbiased = argument(a, "unbiased");
    enum err_kind rc = arguments_to_op(a, x, &args, e);
    if (!rc && (unbiased->kind == VALUE_BOOL || isnan(args.correction)))
        args.correction = unbiased->kind != VALUE_BOOL || unbiased->boolean;
    if (!rc)
        rc = apply_one(a->in, (enum op_id)a->row->op, &args, x, &y, e);
    return rc ? rc : give(y, out);
}

/* max and min along one dimension: (values, indices), named. */
enum err_kind call_extreme(struct args *a, struct value *out, struct err *e)
{
    struct tensor *x = a->value[0].tensor, *y = NULL, *indices = NULL;
    struct op_args args;
    enum err_kind rc = arguments_to_op(a, x, &args, e);
    enum op_id id = (enum op_id)a->row->op;
    if (!rc)
        rc = op_apply_many(a->in->tape, id, &args, &x, 1, &y, &indices, e);
    struct value pair[] = {VALUE(TENSOR, .tensor = y), VALUE(TENSOR, .tensor = indices)};
    if (!rc)
        rc = value_list(a->in, VALUE_TUPLE, pair, 2, out, e);
    if (!rc)
        out->names = id == OP_MAX_DIM ? "torch.return_types.max values indices"
                                      : "torch.return_types.min values indices";
    return rc;
}

/* argmax, argmin, all, any: along a dimension, or over all. */
enum err_kind call_argument_of(struct args *a, struct value *out, struct err *e)
{
    struct tensor *x = a->value[0].tensor, *y = NULL;
    struct op_args args = op_args_default;
    const struct value *dim = argument(a, "dim");
    enum err_kind rc = ERR_OK;
    args.flat = dim->kind == VALUE_NONE;
    args.keepdim = argument(a, "keepdim")->boolean;
    if (!args.flat)
        rc = dim_wrap(dim->integer, x->shape.rank, &args.dim, e);
    bool counts = a->row->op == OP_ARGMAX || a->row->op == OP_ARGMIN;
    if (!rc && counts && x->dtype == DTYPE_BOOL)
        rc = apply_cast(a->in, x, DTYPE_INT64, &x, e);
    if (!rc)
        rc = apply_one(a->in, (enum op_id)a->row->op, &args, x, &y, e);
    return rc ? rc : give(y, out);
}

enum err_kind call_square(struct args *a, struct value *out, struct err *e)
{
    struct tensor *x = a->value[0].tensor, *y = x;
    struct op_args args = op_args_default;
    args.alpha = 2;
    args.number = DTYPE_INT64;
    enum err_kind rc = a->in_place ? op_apply_in_place(a->in->tape, OP_POW, &args, &x, 1, e)
                                   : apply_one(a->in, OP_POW, &args, x, &y, e);
    return rc ? rc : give(y, out);
}
