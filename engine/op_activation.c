/* engine/op_activation.c - activation functions, elementwise. */
#include "engine/op_map.h"
#include "engine/vmath.h"

#define REAL float
#include "engine/op_activation.inc"
#define REAL double
#include "engine/op_activation.inc"
#define REAL int64_t
#include "engine/op_activation.inc"

/* kernel: PyTorch's name for it, which its messages show. */
static enum err_kind infer_float(const struct op_call *c, const char *kernel, struct tensor *out,
                                 struct err *e)
{
    if (!dtype_is_float(c->in[0]->dtype))
        return unimplemented(kernel, c->in[0]->dtype, e);
    return infer_like(c, out);
}

#define FLOAT_INFER(fn, kernel)                                                                    \
    enum err_kind ISA_FN(fn##_infer)(const struct op_call *c, struct tensor *out, struct err *e)   \
    {                                                                                              \
        return infer_float(c, kernel, out, e);                                                     \
    }

static enum err_kind infer_no_bool(const struct op_call *c, const char *words, struct tensor *out,
                                   struct err *e)
{
    if (c->in[0]->dtype == DTYPE_BOOL)
        return err_set(e, ERR_INVALID, "", "%s", words);
    return infer_like(c, out);
}

enum err_kind ISA_FN(relu_infer)(const struct op_call *c, struct tensor *out, struct err *e)
{
    return infer_no_bool(c, "Boolean inputs not supported for relu", out, e);
}

MAP_ROW_RUN(relu, BY_NUMBER)

enum err_kind ISA_FN(hardtanh_infer)(const struct op_call *c, struct tensor *out, struct err *e)
{
    return infer_no_bool(c, "Bool inputs not supported for hardtanh", out, e);
}

MAP_ROW_RUN(hardtanh, BY_NUMBER)

MAP_ROW(sigmoid)
MAP_ROW(tanh)

FLOAT_INFER(leaky_relu, "leaky_relu_cpu")
MAP_ROW_RUN(leaky_relu, BY_TYPE)

/* What is left in place tells on which side x was only if the function rises. */
static enum err_kind infer_rising(const struct op_call *c, const char *kernel, const char *words,
                                  struct tensor *out, struct err *e)
{
    if (c->args.alpha < 0 && c->given[0]->requires_grad)
        return err_set(e, ERR_INVALID, "",
                       "In-place %s backward calculation is triggered with a negative slope which "
                       "is not supported. This is caused by calling in-place forward function with "
                       "a negative slope, please call out-of-place version instead.",
                       words);
    return infer_float(c, kernel, out, e);
}

enum err_kind ISA_FN(leaky_relu__infer)(const struct op_call *c, struct tensor *out, struct err *e)
{
    return infer_rising(c, "leaky_relu_cpu", "leakyReLu", out, e);
}

MAP_ROW_RUN(leaky_relu_, BY_TYPE)
FLOAT_INFER(silu, "silu_cpu")
MAP_ROW_RUN(silu, BY_TYPE)
FLOAT_INFER(elu, "elu_cpu")
MAP_ROW_RUN(elu, BY_TYPE)

enum err_kind ISA_FN(elu__infer)(const struct op_call *c, struct tensor *out, struct err *e)
{
    return infer_rising(c, "elu_cpu", "elu", out, e);
}

MAP_ROW_RUN(elu_, BY_TYPE)
FLOAT_INFER(softplus, "softplus_cpu")
MAP_ROW_RUN(softplus, BY_TYPE)
FLOAT_INFER(log_sigmoid, "log_sigmoid_cpu")
MAP_ROW_RUN(log_sigmoid, BY_TYPE)
FLOAT_INFER(gelu, "GeluKernelImpl")

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
