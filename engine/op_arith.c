/* engine/op_arith.c - elementwise arithmetic, with broadcasting. */
#include "engine/op_reduce.h"
#include "engine/rows.h"

#define REAL float
#include "engine/op_arith.inc"
#define REAL double
#include "engine/op_arith.inc"

static enum err_kind infer_broadcast(const struct op_call *c, struct tensor *out, struct err *e)
{
    if (!dtype_is_float(c->in[0]->dtype))
        return err_set(e, ERR_INVALID, "", "%s needs floating point tensors, got %s", c->op->name,
                       dtype_name(c->in[0]->dtype));
    return shape_broadcast(&c->in[0]->shape, &c->in[1]->shape, &out->shape, e);
}

/* The gradient of operand i: what came in, times a factor, summed where i was broadcast. */
static void backward_to(const struct op_call *c, int i, const struct tensor *times, double scale)
{
    if (c->grad_in[i])
        ISA_FN(sum_to)(c->grad_in[i], c->grad_out, times, scale);
}

enum err_kind ISA_FN(add_infer)(const struct op_call *c, struct tensor *out, struct err *e)
{
    return infer_broadcast(c, out, e);
}

void ISA_FN(add_forward)(const struct op_call *c)
{
    BY_TYPE(c->out->dtype, add, c);
}

void ISA_FN(add_backward)(const struct op_call *c)
{
    backward_to(c, 0, NULL, 1);
    backward_to(c, 1, NULL, c->args.alpha);
}

enum err_kind ISA_FN(sub_infer)(const struct op_call *c, struct tensor *out, struct err *e)
{
    return infer_broadcast(c, out, e);
}

void ISA_FN(sub_forward)(const struct op_call *c)
{
    BY_TYPE(c->out->dtype, sub, c);
}

void ISA_FN(sub_backward)(const struct op_call *c)
{
    backward_to(c, 0, NULL, 1);
    backward_to(c, 1, NULL, -c->args.alpha);
}

enum err_kind ISA_FN(mul_infer)(const struct op_call *c, struct tensor *out, struct err *e)
{
    return infer_broadcast(c, out, e);
}

void ISA_FN(mul_forward)(const struct op_call *c)
{
    BY_TYPE(c->out->dtype, mul, c);
}

void ISA_FN(mul_backward)(const struct op_call *c)
{
    backward_to(c, 0, c->in[1], 1);
    backward_to(c, 1, c->in[0], 1);
}

enum err_kind ISA_FN(abs_infer)(const struct op_call *c, struct tensor *out, struct err *e)
{
    if (!dtype_is_float(c->in[0]->dtype))
        return err_set(e, ERR_INVALID, "", "abs needs a floating point tensor, got %s",
                       dtype_name(c->in[0]->dtype));
    out->shape = c->in[0]->shape;
    return ERR_OK;
}

void ISA_FN(abs_forward)(const struct op_call *c)
{
    BY_TYPE(c->out->dtype, abs_all, c);
}

void ISA_FN(abs_backward)(const struct op_call *c)
{
    BY_TYPE(c->grad_out->dtype, abs_slope, c);
}
