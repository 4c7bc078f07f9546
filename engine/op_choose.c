/* engine/op_choose.c - maximum, minimum, clamp and where. */
#include <math.h>

#include "engine/op_map.h"

#define REAL    float
#define LOWEST  (-INFINITY)
#define HIGHEST INFINITY
#include "engine/op_choose.inc"
#define REAL    double
#define LOWEST  (-(double)INFINITY)
#define HIGHEST (double)INFINITY
#include "engine/op_choose.inc"
#define REAL    int64_t
#define LOWEST  INT64_MIN
#define HIGHEST INT64_MAX
#include "engine/op_choose.inc"

PAIR_INFER(maximum)

void ISA_FN(maximum_forward)(const struct op_call *c)
{
    BY_NUMBER(c->out->dtype, maximum, c);
}

PAIR_BACKWARD(maximum)

PAIR_INFER(minimum)

void ISA_FN(minimum_forward)(const struct op_call *c)
{
    BY_NUMBER(c->out->dtype, minimum, c);
}

PAIR_BACKWARD(minimum)

/* Bounded from one side only. */
PAIR_INFER(clamp_min_tensor)

void ISA_FN(clamp_min_tensor_forward)(const struct op_call *c)
{
    BY_NUMBER(c->out->dtype, maximum, c);
}

PAIR_BACKWARD(clamp_min_tensor)

PAIR_INFER(clamp_max_tensor)

void ISA_FN(clamp_max_tensor_forward)(const struct op_call *c)
{
    BY_NUMBER(c->out->dtype, minimum, c);
}

PAIR_BACKWARD(clamp_max_tensor)

enum err_kind ISA_FN(clamp_infer)(const struct op_call *c, struct tensor *out, struct err *e)
{
    bool low = !isnan(c->args.alpha), high = !isnan(c->args.beta);
    if (!low && !high)
        return err_set(e, ERR_INVALID, "",
                       "torch.clamp: At least one of 'min' or 'max' must not be None");
    if (c->in[0]->dtype == DTYPE_BOOL)
        return unimplemented(low && high ? "clamp_scalar_cpu"
                             : low       ? "clamp_min_cpu"
                                         : "clamp_max_scalar_cpu",
                             DTYPE_BOOL, e);
    return infer_like(c, out);
}

MAP_ROW_RUN(clamp, BY_NUMBER)

/* Broadcasts all three, one after the other. */
static enum err_kind infer_triple(const struct op_call *c, struct tensor *out, struct err *e)
{
    struct shape pair;
    enum err_kind rc = shape_broadcast(&c->in[0]->shape, &c->in[1]->shape, &pair, e);
    return rc ? rc : shape_broadcast(&pair, &c->in[2]->shape, &out->shape, e);
}

enum err_kind ISA_FN(clamp_tensor_infer)(const struct op_call *c, struct tensor *out, struct err *e)
{
    if (c->in[0]->dtype == DTYPE_BOOL)
        return unimplemented("clamp_cpu", DTYPE_BOOL, e);
    return infer_triple(c, out, e);
}

void ISA_FN(clamp_tensor_forward)(const struct op_call *c)
{
    BY_NUMBER(c->out->dtype, clamp_tensor, c);
}

void ISA_FN(clamp_tensor_backward)(const struct op_call *c)
{
    for (int i = 0; i < 3; i++)
        if (c->grad_in[i])
            BY_TYPE(c->grad_out->dtype, clamp_tensor_slope, c, i);
}

enum err_kind ISA_FN(where_infer)(const struct op_call *c, struct tensor *out, struct err *e)
{
    if (c->in[0]->dtype != DTYPE_BOOL)
        return err_set(e, ERR_INVALID, "",
                       "where expected condition to be a boolean tensor, but got a tensor with "
                       "dtype %s",
                       dtype_type_name(c->in[0]->dtype));
    out->dtype = c->in[1]->dtype;
    return infer_triple(c, out, e);
}

void ISA_FN(where_forward)(const struct op_call *c)
{
    BY_NUMBER(c->out->dtype, where, c);
}

void ISA_FN(where_backward)(const struct op_call *c)
{
    for (int i = 1; i < 3; i++)
        if (c->grad_in[i])
            BY_TYPE(c->grad_out->dtype, where_slope, c, i);
}
