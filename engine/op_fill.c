/* engine/op_fill.c - what overwrites a tensor: its numbers are lost, and so is its gradient. */
#include "engine/op_map.h"
#include "engine/op_reduce.h"

/* y = x, which broadcasts to y's shape. */
static void spread(struct tensor *y, const struct tensor *x)
{
    struct tensor seen = tensor_seen(x);
    seen.shape = y->shape;
    rows_strides(x, &y->shape, seen.stride);
    tensor_copy(y, &seen);
}

enum err_kind ISA_FN(zero_infer)(const struct op_call *c, struct tensor *out, struct err *e)
{
    (void)e;
    return infer_like(c, out);
}

void ISA_FN(zero_forward)(const struct op_call *c)
{
    set_zero(c->out);
}

void ISA_FN(zero_backward)(const struct op_call *c)
{
    set_zero(c->grad_in[0]);
}

enum err_kind ISA_FN(fill_number_infer)(const struct op_call *c, struct tensor *out, struct err *e)
{
    double x = c->args.alpha;
    if (c->in[0]->dtype == DTYPE_INT64 && !(x >= -0x1p63 && x < 0x1p63))
        return err_set(e, ERR_INVALID, "",
                       "value cannot be converted to type int64_t without overflow");
    return infer_like(c, out);
}

void ISA_FN(fill_number_forward)(const struct op_call *c)
{
    double x = c->args.alpha;
    struct storage storage = {.data = &x};
    struct tensor number = {.storage = &storage, .dtype = DTYPE_FLOAT64};
    spread(c->out, &number);
}

void ISA_FN(fill_number_backward)(const struct op_call *c)
{
    set_zero(c->grad_in[0]);
}

enum err_kind ISA_FN(fill_tensor_infer)(const struct op_call *c, struct tensor *out, struct err *e)
{
    if (c->in[1]->shape.rank != 0)
        return err_set(e, ERR_INVALID, "",
                       "fill_ only supports 0-dimension value tensor but got tensor with %d "
                       "dimensions.",
                       c->in[1]->shape.rank);
    return infer_like(c, out);
}

void ISA_FN(fill_tensor_forward)(const struct op_call *c)
{
    spread(c->out, c->in[1]);
}

void ISA_FN(fill_tensor_backward)(const struct op_call *c)
{
    set_zero(c->grad_in[0]);
    if (c->grad_in[1])
        ISA_FN(sum_to)(c->grad_in[1], c->grad_out, NULL, 1);
}

/* Of the result's shape: op_apply_in_place refuses another than self's. */
enum err_kind ISA_FN(overwrite_infer)(const struct op_call *c, struct tensor *out, struct err *e)
{
    (void)e;
    out->shape = c->in[2]->shape;
    return ERR_OK;
}

void ISA_FN(overwrite_forward)(const struct op_call *c)
{
    tensor_copy(c->out, c->in[2]);
}

void ISA_FN(overwrite_backward)(const struct op_call *c)
{
    set_zero(c->grad_in[0]);
    set_zero(c->grad_in[1]);
}

/* The broadcast shape is self's where src fits: op_apply_in_place refuses another. */
enum err_kind ISA_FN(copy_infer)(const struct op_call *c, struct tensor *out, struct err *e)
{
    return infer_pair(c, out, e);
}

void ISA_FN(copy_forward)(const struct op_call *c)
{
    spread(c->out, c->in[1]);
}

void ISA_FN(copy_backward)(const struct op_call *c)
{
    set_zero(c->grad_in[0]);
    if (c->grad_in[1])
        ISA_FN(sum_to)(c->grad_in[1], c->grad_out, NULL, 1);
}
