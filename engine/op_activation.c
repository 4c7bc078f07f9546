/* engine/op_activation.c - activation functions, elementwise. */
#include "engine/ops.h"
#include "engine/vmath.h"

#define REAL float
#include "engine/op_activation.inc"
#define REAL double
#include "engine/op_activation.inc"

static enum err_kind infer_same(const struct op_call *c, struct tensor *out, struct err *e)
{
    if (!dtype_is_float(c->in[0]->dtype))
        return err_set(e, ERR_INVALID, "", "%s needs a floating point tensor, got %s", c->op->name,
                       dtype_name(c->in[0]->dtype));
    out->shape = c->in[0]->shape;
    return ERR_OK;
}

enum err_kind ISA_FN(relu_infer)(const struct op_call *c, struct tensor *out, struct err *e)
{
    return infer_same(c, out, e);
}

void ISA_FN(relu_forward)(const struct op_call *c)
{
    BY_TYPE(c->out->dtype, relu_all, c);
}

void ISA_FN(relu_backward)(const struct op_call *c)
{
    BY_TYPE(c->grad_out->dtype, relu_all_slope, c);
}

enum err_kind ISA_FN(leaky_relu_infer)(const struct op_call *c, struct tensor *out, struct err *e)
{
    return infer_same(c, out, e);
}

void ISA_FN(leaky_relu_forward)(const struct op_call *c)
{
    BY_TYPE(c->out->dtype, leaky_relu_all, c);
}

void ISA_FN(leaky_relu_backward)(const struct op_call *c)
{
    BY_TYPE(c->grad_out->dtype, leaky_relu_all_slope, c);
}

enum err_kind ISA_FN(sigmoid_infer)(const struct op_call *c, struct tensor *out, struct err *e)
{
    return infer_same(c, out, e);
}

void ISA_FN(sigmoid_forward)(const struct op_call *c)
{
    BY_TYPE(c->out->dtype, sigmoid_all, c);
}

void ISA_FN(sigmoid_backward)(const struct op_call *c)
{
    BY_TYPE(c->grad_out->dtype, sigmoid_all_slope, c);
}

enum err_kind ISA_FN(tanh_infer)(const struct op_call *c, struct tensor *out, struct err *e)
{
    return infer_same(c, out, e);
}

void ISA_FN(tanh_forward)(const struct op_call *c)
{
    BY_TYPE(c->out->dtype, tanh_all, c);
}

void ISA_FN(tanh_backward)(const struct op_call *c)
{
    BY_TYPE(c->grad_out->dtype, tanh_all_slope, c);
}

enum err_kind ISA_FN(silu_infer)(const struct op_call *c, struct tensor *out, struct err *e)
{
    return infer_same(c, out, e);
}

void ISA_FN(silu_forward)(const struct op_call *c)
{
    BY_TYPE(c->out->dtype, silu_all, c);
}

void ISA_FN(silu_backward)(const struct op_call *c)
{
    BY_TYPE(c->grad_out->dtype, silu_all_slope, c);
}

enum err_kind ISA_FN(gelu_infer)(const struct op_call *c, struct tensor *out, struct err *e)
{
    return infer_same(c, out, e);
}

void ISA_FN(gelu_forward)(const struct op_call *c)
{
    if (c->args.tanh)
        BY_TYPE(c->out->dtype, gelu_tanh_all, c);
    else
        BY_TYPE(c->out->dtype, gelu_all, c);
}

void ISA_FN(gelu_backward)(const struct op_call *c)
{
    if (c->args.tanh)
        BY_TYPE(c->grad_out->dtype, gelu_tanh_all_slope, c);
    else
        BY_TYPE(c->grad_out->dtype, gelu_all_slope, c);
}
