/* engine/op_compare.c - comparisons, tests and logic: what has no gradient. */
#include <math.h>

#include "engine/op_map.h"

#define REAL float
#include "engine/op_compare.inc"
#define REAL double
#include "engine/op_compare.inc"
#define REAL int64_t
#include "engine/op_compare.inc"

#define COMPARE_ROW(fn)                                                                            \
    enum err_kind ISA_FN(fn##_infer)(const struct op_call *c, struct tensor *out, struct err *e)   \
    {                                                                                              \
        out->dtype = DTYPE_BOOL;                                                                   \
        return infer_pair(c, out, e);                                                              \
    }                                                                                              \
                                                                                                   \
    void ISA_FN(fn##_forward)(const struct op_call *c)                                             \
    {                                                                                              \
        BY_NUMBER(c->in[0]->dtype, fn, c);                                                         \
    }
COMPARE_ROW(eq)
COMPARE_ROW(ne)
COMPARE_ROW(lt)
COMPARE_ROW(le)
COMPARE_ROW(gt)
COMPARE_ROW(ge)
COMPARE_ROW(logical_and)
COMPARE_ROW(logical_or)
COMPARE_ROW(logical_xor)

#define TEST_ROW(fn, kernel)                                                                       \
    enum err_kind ISA_FN(fn##_infer)(const struct op_call *c, struct tensor *out, struct err *e)   \
    {                                                                                              \
        (void)e;                                                                                   \
        out->dtype = DTYPE_BOOL;                                                                   \
        return infer_like(c, out);                                                                 \
    }                                                                                              \
                                                                                                   \
    void ISA_FN(fn##_forward)(const struct op_call *c)                                             \
    {                                                                                              \
        BY_NUMBER(c->in[0]->dtype, kernel, c);                                                     \
    }
TEST_ROW(logical_not, logical_not)
TEST_ROW(isnan, isnan_all)
TEST_ROW(isfinite, isfinite_all)
TEST_ROW(isinf, isinf_all)

/* A bool is 0 or 1 here, and comes back as bool. */
#define BITWISE_ROW(fn)                                                                            \
    enum err_kind ISA_FN(fn##_infer)(const struct op_call *c, struct tensor *out, struct err *e)   \
    {                                                                                              \
        if (dtype_is_float(c->in[0]->dtype))                                                       \
            return unimplemented(#fn "_cpu", c->in[0]->dtype, e);                                  \
        return infer_pair(c, out, e);                                                              \
    }                                                                                              \
                                                                                                   \
    void ISA_FN(fn##_forward)(const struct op_call *c)                                             \
    {                                                                                              \
        fn##_i64(c);                                                                               \
    }
BITWISE_ROW(bitwise_and)
BITWISE_ROW(bitwise_or)
BITWISE_ROW(bitwise_xor)

enum err_kind ISA_FN(bitwise_not_infer)(const struct op_call *c, struct tensor *out, struct err *e)
{
    if (dtype_is_float(c->in[0]->dtype))
        return unimplemented("bitwise_not_cpu", c->in[0]->dtype, e);
    return infer_like(c, out);
}

void ISA_FN(bitwise_not_forward)(const struct op_call *c)
{
    if (c->out->dtype == DTYPE_INT64) {
        bitwise_not_i64(c);
        return;
    }
    const bool *x = tensor_data(c->in[0]);
    bool *y = tensor_data(c->out);
    int64_t n = tensor_count(c->out);
    for (int64_t i = 0; i < n; i++)
        y[i] = !x[i];
}
