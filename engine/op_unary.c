/* engine/op_unary.c - elementary functions, elementwise. */
#include "engine/angle.h"
#include "engine/op_map.h"
#include "engine/vmath_angle.h"
#include "engine/vmath_log.h"

static bool is_far(double x)
{
    return fabs(x) >= ANGLE_NEAR && fabs(x) < (double)INFINITY;
}

static double sin_far(double x)
{
    uint64_t turns;
    double r = angle_far(x, &turns);
    return sine_f64(r, turns);
}

static double cos_far(double x)
{
    uint64_t turns;
    double r = angle_far(x, &turns);
    return sine_f64(r, turns + 1);
}

static double tan_far(double x)
{
    uint64_t turns;
    double r = angle_far(x, &turns);
    return tangent_f64(r, turns);
}

/* 10 to the power of |n|; what is infinite anyway needs no more steps. */
static double power_of_ten(int64_t n)
{
    double y = 1;
    for (int64_t i = n < 0 ? n : -n; i < 0 && y < (double)INFINITY; i++)
        y *= 10;
    return y;
}

#define REAL  float
#define FLOOR floorf
#define CEIL  ceilf
#define RINT  rintf
#define TRUNC truncf
#define SQRT  sqrtf
#include "engine/op_unary.inc"
#define REAL  double
#define FLOOR floor
#define CEIL  ceil
#define RINT  rint
#define TRUNC trunc
#define SQRT  sqrt
#include "engine/op_unary.inc"
#define REAL int64_t
#include "engine/op_unary.inc"

static enum err_kind infer_no_bool(const struct op_call *c, const char *kernel, struct tensor *out,
                                   struct err *e)
{
    if (c->in[0]->dtype == DTYPE_BOOL)
        return unimplemented(kernel, DTYPE_BOOL, e);
    return infer_like(c, out);
}

enum err_kind ISA_FN(abs_infer)(const struct op_call *c, struct tensor *out, struct err *e)
{
    return infer_no_bool(c, "abs_cpu", out, e);
}

MAP_ROW_RUN(abs, BY_NUMBER)

enum err_kind ISA_FN(sign_infer)(const struct op_call *c, struct tensor *out, struct err *e)
{
    (void)e;
    return infer_like(c, out);
}

void ISA_FN(sign_forward)(const struct op_call *c)
{
    BY_NUMBER(c->out->dtype, sign_all, c);
}

void ISA_FN(sign_backward)(const struct op_call *c)
{
    BY_TYPE(c->grad_out->dtype, flat_slope, c);
}

/* What rounds to an integer leaves integers alone. */
#define ROUNDING_ROW(fn)                                                                           \
    enum err_kind ISA_FN(fn##_infer)(const struct op_call *c, struct tensor *out, struct err *e)   \
    {                                                                                              \
        return infer_no_bool(c, #fn "_vml_cpu", out, e);                                           \
    }                                                                                              \
                                                                                                   \
    void ISA_FN(fn##_forward)(const struct op_call *c)                                             \
    {                                                                                              \
        if (c->out->dtype == DTYPE_INT64)                                                          \
            same_all_i64(c);                                                                       \
        else                                                                                       \
            BY_TYPE(c->out->dtype, fn##_all, c);                                                   \
    }                                                                                              \
                                                                                                   \
    void ISA_FN(fn##_backward)(const struct op_call *c)                                            \
    {                                                                                              \
        BY_TYPE(c->grad_out->dtype, flat_slope, c);                                                \
    }
ROUNDING_ROW(floor)
ROUNDING_ROW(ceil)
ROUNDING_ROW(round)
ROUNDING_ROW(trunc)

enum err_kind ISA_FN(round_decimals_infer)(const struct op_call *c, struct tensor *out,
                                           struct err *e)
{
    if (!dtype_is_float(c->in[0]->dtype))
        return unimplemented("round_cpu", c->in[0]->dtype, e);
    return infer_like(c, out);
}

void ISA_FN(round_decimals_forward)(const struct op_call *c)
{
    BY_TYPE(c->out->dtype, round_decimals, c);
}

void ISA_FN(round_decimals_backward)(const struct op_call *c)
{
    set_zero(c->grad_in[0]);
}

MAP_ROW(reciprocal)
MAP_ROW(sqrt)
MAP_ROW(rsqrt)
MAP_ROW(exp)
MAP_ROW(exp2)
MAP_ROW(expm1)
MAP_ROW(log)
MAP_ROW(log1p)
MAP_ROW(log2)
MAP_ROW(log10)
MAP_ROW(sin)
MAP_ROW(cos)
MAP_ROW(tan)
MAP_ROW(sinh)
MAP_ROW(cosh)
MAP_ROW(atan)
MAP_ROW(erf)
