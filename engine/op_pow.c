/* engine/op_pow.c - powers: of a number as exponent, and of tensors. */
#include "engine/op_map.h"
#include "engine/vmath_log.h"

#define REAL float
#define SQRT sqrtf
#include "engine/op_pow.inc"
#define REAL double
#define SQRT sqrt
#include "engine/op_pow.inc"
#define REAL int64_t
#include "engine/op_pow.inc"

enum err_kind ISA_FN(pow_infer)(const struct op_call *c, struct tensor *out, struct err *e)
{
    if (c->in[0]->dtype == DTYPE_BOOL)
        return unimplemented("pow", DTYPE_BOOL, e);
    if (c->in[0]->dtype == DTYPE_INT64 && c->args.alpha < 0)
        return err_set(e, ERR_INVALID, "", "Integers to negative integer powers are not allowed.");
    return infer_like(c, out);
}

MAP_ROW_RUN(pow, BY_NUMBER)

enum err_kind ISA_FN(pow_tensor_infer)(const struct op_call *c, struct tensor *out, struct err *e)
{
    if (c->in[0]->dtype == DTYPE_BOOL)
        return unimplemented("pow", DTYPE_BOOL, e);
    return infer_pair(c, out, e);
}

void ISA_FN(pow_tensor_forward)(const struct op_call *c)
{
    BY_NUMBER(c->out->dtype, pow_tensor, c);
}

PAIR_BACKWARD(pow_tensor)
