/* engine/op_map.h - loops over the elements of one or two tensors, for the kernel files.
 *
 * The macros make functions of a struct op_call for one REAL (engine/real.h). In what they compute,
 * x, a and b are the elements of the inputs, y that of the output, g of its gradient, p and q the
 * arguments alpha and beta.
 */
#ifndef ENGINE_OP_MAP_H
#define ENGINE_OP_MAP_H

#include <string.h>

#include "engine/ops.h"
#include "engine/rows.h"

static inline float number_f32(double x)
{
    return (float)x;
}

static inline double number_f64(double x)
{
    return x;
}

/* Towards zero; what int64 cannot hold becomes the nearest that it can, NaN its smallest. */
static inline int64_t number_i64(double x)
{
    int64_t low = x >= -0x1p63 ? (int64_t)(x < 0x1p63 ? x : 0) : INT64_MIN;
    return x >= 0x1p63 ? INT64_MAX : low;
}

#define NUMBER_FUNCTIONS(suffix, type, nan)                                                        \
    static inline bool is_nan_##suffix(type x)                                                     \
    {                                                                                              \
        (void)x;                                                                                   \
        return nan;                                                                                \
    }                                                                                              \
                                                                                                   \
    /* Between the bounds, if they are the right way round; else the upper one. NaN stays. */      \
    static inline type clamped_##suffix(type x, type low, type high)                               \
    {                                                                                              \
        type y = x < low ? low : x;                                                                \
        return y > high ? high : y;                                                                \
    }
NUMBER_FUNCTIONS(f32, float, x != x)
NUMBER_FUNCTIONS(f64, double, x != x)
NUMBER_FUNCTIONS(i64, int64_t, false)
#undef NUMBER_FUNCTIONS

static inline enum err_kind unimplemented(const char *kernel, enum dtype dtype, struct err *e)
{
    return err_set(e, ERR_INVALID, "", "\"%s\" not implemented for '%s'", kernel,
                   dtype_type_name(dtype));
}

/* x, row-major, may be NULL. */
static inline void set_zero(struct tensor *x)
{
    if (x)
        memset(tensor_data(x), 0, (size_t)tensor_count(x) * dtype_bytes(x->dtype));
}

/* Has the output the shape of the first input. */
static inline enum err_kind infer_like(const struct op_call *c, struct tensor *out)
{
    out->shape = c->in[0]->shape;
    return ERR_OK;
}

static inline enum err_kind infer_pair(const struct op_call *c, struct tensor *out, struct err *e)
{
    return shape_broadcast(&c->in[0]->shape, &c->in[1]->shape, &out->shape, e);
}

/* ---- one input ----------------------------------------------------------------------------- */

#define MAP(name, value)                                                                           \
    static void NAME(name)(const struct op_call *c)                                                \
    {                                                                                              \
        const REAL p = NAME(number)(c->args.alpha), q = NAME(number)(c->args.beta);                \
        const REAL *in = tensor_data(c->in[0]);                                                    \
        REAL *out = tensor_data(c->out);                                                           \
        int64_t n = tensor_count(c->out);                                                          \
        (void)p, (void)q;                                                                          \
        for (int64_t i = 0; i < n; i++) {                                                          \
            const REAL x = in[i];                                                                  \
            out[i] = value;                                                                        \
        }                                                                                          \
    }

/* known: the name, in `value`, of the element of the tensor `saved`. */
#define SLOPE(name, saved, known, value)                                                           \
    static void NAME(name##_slope)(const struct op_call *c)                                        \
    {                                                                                              \
        const REAL p = NAME(number)(c->args.alpha), q = NAME(number)(c->args.beta);                \
        const REAL *kept = tensor_data(saved), *gradient = tensor_data(c->grad_out);               \
        REAL *out = tensor_data(c->grad_in[0]);                                                    \
        int64_t n = tensor_count(c->grad_in[0]);                                                   \
        (void)p, (void)q;                                                                          \
        for (int64_t i = 0; i < n; i++) {                                                          \
            const REAL known = kept[i], g = gradient[i];                                           \
            (void)known, (void)g;                                                                  \
            out[i] = value;                                                                        \
        }                                                                                          \
    }

/* The gradient is made of the input, of the output, of neither. */
#define SLOPE_BY_IN(name, value)       SLOPE(name, c->in[0], x, value)
#define SLOPE_BY_NONE(name, value)     SLOPE(name, c->grad_out, itself, value)
#define MAP_BY_IN(name, value, slope)  MAP(name, value) SLOPE_BY_IN(name, slope)
#define MAP_BY_OUT(name, value, slope) MAP(name, value) SLOPE(name, c->out, y, slope)

/* The three functions of a row with such kernels fn_all and fn_all_slope, which is given floats. */
#define MAP_ROW(fn)                                                                                \
    enum err_kind ISA_FN(fn##_infer)(const struct op_call *c, struct tensor *out, struct err *e)   \
    {                                                                                              \
        (void)e;                                                                                   \
        return infer_like(c, out);                                                                 \
    }                                                                                              \
                                                                                                   \
    MAP_ROW_RUN(fn, BY_TYPE)
/* The two that compute; `by` is BY_NUMBER where integers have a kernel too. */
#define MAP_ROW_RUN(fn, by)                                                                        \
    void ISA_FN(fn##_forward)(const struct op_call *c)                                             \
    {                                                                                              \
        by(c->out->dtype, fn##_all, c);                                                            \
    }                                                                                              \
                                                                                                   \
    void ISA_FN(fn##_backward)(const struct op_call *c)                                            \
    {                                                                                              \
        BY_TYPE(c->grad_out->dtype, fn##_all_slope, c);                                            \
    }

/* ---- two inputs, broadcast ----------------------------------------------------------------- */

/* rows_begin, but as one long row where each tensor is a run of that shape or a single element. */
static inline struct rows pair_rows(const struct shape *shape, const struct tensor *const x[2])
{
    int64_t n = shape_count(shape);
    struct rows r = {.shape = {.rank = 1, .dim = {n}}, .n = n, .left = n > 0};
    for (int i = 0; i < 2; i++) {
        bool run = shape_equal(&x[i]->shape, shape) && tensor_is_contiguous(x[i]);
        if (!run && tensor_count(x[i]) != 1)
            return rows_begin(shape, x, 2);
        r.step[i] = run;
    }
    return r;
}

/* Runs `statement` for each element, with a loop of its own for the common strides. */
#define PAIR_LOOP(statement)                                                                       \
    if (sa == 1 && sb == 1)                                                                        \
        for (int64_t i = 0; i < n; i++) {                                                          \
            const REAL a = pa[i], b = pb[i];                                                       \
            (void)a, (void)b;                                                                      \
            statement;                                                                             \
        }                                                                                          \
    else if (sa == 1 && sb == 0)                                                                   \
        for (int64_t i = 0; i < n; i++) {                                                          \
            const REAL a = pa[i], b = *pb;                                                         \
            (void)a, (void)b;                                                                      \
            statement;                                                                             \
        }                                                                                          \
    else                                                                                           \
        for (int64_t i = 0; i < n; i++) {                                                          \
            const REAL a = pa[i * sa], b = pb[i * sb];                                             \
            (void)a, (void)b;                                                                      \
            statement;                                                                             \
        }

/* The output's elements are of the C type `type`. */
#define PAIRS(name, type, value)                                                                   \
    static void NAME(name##_row)(int64_t n, const REAL *pa, int64_t sa, const REAL *pb,            \
                                 int64_t sb, type *y, REAL p)                                      \
    {                                                                                              \
        (void)p;                                                                                   \
        PAIR_LOOP(y[i] = value)                                                                    \
    }                                                                                              \
                                                                                                   \
    static void NAME(name)(const struct op_call *c)                                                \
    {                                                                                              \
        const REAL *a = tensor_data(c->in[0]), *b = tensor_data(c->in[1]);                         \
        const REAL p = NAME(number)(c->args.alpha);                                                \
        type *y = tensor_data(c->out);                                                             \
        struct rows r = pair_rows(&c->out->shape, c->in);                                          \
        for (; r.left > 0; rows_next(&r), y += r.n)                                                \
            NAME(name##_row)(r.n, a + r.at[0], r.step[0], b + r.at[1], r.step[1], y, p);           \
    }

/* A gradient of a row with WIDE_GRADS. An input that is not saved stands in for by the other one,
 * the output by its gradient: `value` reads only what is. */
#define PAIRS_SLOPE(name, value)                                                                   \
    static void NAME(name##_row)(int64_t n, const REAL *pa, int64_t sa, const REAL *pb,            \
                                 int64_t sb, const REAL *py, const REAL *pg, REAL *out)            \
    {                                                                                              \
        PAIR_LOOP(const REAL y = py[i]; const REAL g = pg[i]; (void)y; out[i] = value)             \
    }                                                                                              \
                                                                                                   \
    static void NAME(name)(const struct op_call *c, struct tensor *grad_in)                        \
    {                                                                                              \
        const struct tensor *in[] = {c->in[0] ? c->in[0] : c->in[1],                               \
                                     c->in[1] ? c->in[1] : c->in[0]};                              \
        const REAL *a = tensor_data(in[0]), *b = tensor_data(in[1]);                               \
        const REAL *g = tensor_data(c->grad_out), *y = c->out ? tensor_data(c->out) : g;           \
        REAL *out = tensor_data(grad_in);                                                          \
        struct rows r = pair_rows(&c->grad_out->shape, in);                                        \
        for (; r.left > 0; rows_next(&r), y += r.n, g += r.n, out += r.n)                          \
            NAME(name##_row)(r.n, a + r.at[0], r.step[0], b + r.at[1], r.step[1], y, g, out);      \
    }

#define PAIR_INFER(fn)                                                                             \
    enum err_kind ISA_FN(fn##_infer)(const struct op_call *c, struct tensor *out, struct err *e)   \
    {                                                                                              \
        return infer_pair(c, out, e);                                                              \
    }
/* Backwards by kernels fn_slope0 and fn_slope1. */
#define PAIR_BACKWARD(fn)                                                                          \
    void ISA_FN(fn##_backward)(const struct op_call *c)                                            \
    {                                                                                              \
        if (c->grad_in[0])                                                                         \
            BY_TYPE(c->grad_out->dtype, fn##_slope0, c, c->grad_in[0]);                            \
        if (c->grad_in[1])                                                                         \
            BY_TYPE(c->grad_out->dtype, fn##_slope1, c, c->grad_in[1]);                            \
    }

#endif
