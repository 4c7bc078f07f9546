/* engine/op_modulo.c - division to integers, and the remainder, which has the divisor's sign. */
#include <math.h>

#include "engine/op_map.h"

#define REAL     float
#define FMOD     fmodf
#define COPYSIGN copysignf
#define FLOOR    floorf
#define TRUNC    truncf
#include "engine/op_modulo.inc"
#define REAL     double
#define FMOD     fmod
#define COPYSIGN copysign
#define FLOOR    floor
#define TRUNC    trunc
#include "engine/op_modulo.inc"
#define REAL int64_t
#include "engine/op_modulo.inc"

/* Is an integer of x, whose numbers may not be there, 0? */
static bool has_zero(const struct tensor *x)
{
    if (x->dtype != DTYPE_INT64 || !x->storage->data)
        return false;
    const int64_t *data = tensor_data(x);
    struct rows r = rows_begin(&x->shape, &x, 1);
    for (; r.left > 0; rows_next(&r))
        for (int64_t i = 0; i < r.n; i++)
            if (data[r.at[0] + i * r.step[0]] == 0)
                return true;
    return false;
}

static enum err_kind infer_division(const struct op_call *c, const char *kernel, struct tensor *out,
                                    struct err *e)
{
    if (c->in[0]->dtype == DTYPE_BOOL)
        return unimplemented(kernel, DTYPE_BOOL, e);
    enum err_kind rc = infer_pair(c, out, e);
    if (!rc && shape_count(&out->shape) > 0 && has_zero(c->in[1]))
        rc = err_set(e, ERR_INVALID, "", "ZeroDivisionError");
    return rc;
}

enum err_kind ISA_FN(remainder_infer)(const struct op_call *c, struct tensor *out, struct err *e)
{
    return infer_division(c, "remainder_cpu", out, e);
}

void ISA_FN(remainder_forward)(const struct op_call *c)
{
    BY_NUMBER(c->out->dtype, remainder, c);
}

void ISA_FN(remainder_backward)(const struct op_call *c)
{
    struct tensor *dx = c->grad_in[0];
    if (dx)
        tensor_copy(dx, c->grad_out);
    if (c->grad_in[1])
        BY_TYPE(c->grad_out->dtype, remainder_slope1, c, c->grad_in[1]);
}

static void step_slopes(const struct op_call *c)
{
    set_zero(c->grad_in[0]);
    set_zero(c->grad_in[1]);
}

/* Steps: their slope is 0 wherever there is one. */
#define DIVISION_ROW(fn, kernel, loop)                                                             \
    enum err_kind ISA_FN(fn##_infer)(const struct op_call *c, struct tensor *out, struct err *e)   \
    {                                                                                              \
        return infer_division(c, kernel, out, e);                                                  \
    }                                                                                              \
                                                                                                   \
    void ISA_FN(fn##_forward)(const struct op_call *c)                                             \
    {                                                                                              \
        BY_NUMBER(c->out->dtype, loop, c);                                                         \
    }                                                                                              \
                                                                                                   \
    void ISA_FN(fn##_backward)(const struct op_call *c)                                            \
    {                                                                                              \
        step_slopes(c);                                                                            \
    }
DIVISION_ROW(div_trunc, "div_trunc_cpu", div_trunc)
DIVISION_ROW(div_floor, "div_floor_cpu", floor_divide)
DIVISION_ROW(floor_divide, "div_floor_cpu", floor_divide)
DIVISION_ROW(floor_divide_, "div_floor_cpu", floor_divide)
