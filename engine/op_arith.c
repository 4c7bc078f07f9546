/* engine/op_arith.c - elementwise arithmetic, with broadcasting. */
#include "engine/op_map.h"
#include "engine/op_reduce.h"

#define REAL float
#define RING float
#include "engine/op_arith.inc"
#define REAL double
#define RING double
#include "engine/op_arith.inc"
#define REAL int64_t
#define RING uint64_t
#include "engine/op_arith.inc"

/* The gradient of operand i: what came in, times a factor, summed where i was broadcast. */
static void backward_to(const struct op_call *c, int i, const struct tensor *times, double scale)
{
    if (c->grad_in[i])
        ISA_FN(sum_to)(c->grad_in[i], c->grad_out, times, scale);
}

static enum err_kind check_alpha(const struct op_call *c, struct err *e)
{
    if (c->args.number != DTYPE_FLOAT64 || dtype_is_float(c->in[0]->dtype))
        return ERR_OK;
    return err_set(e, ERR_INVALID, "",
                   "For integral input tensors, argument alpha must not be a floating point "
                   "number.");
}

enum err_kind ISA_FN(add_infer)(const struct op_call *c, struct tensor *out, struct err *e)
{
    enum err_kind rc = check_alpha(c, e);
    return rc ? rc : infer_pair(c, out, e);
}

void ISA_FN(add_forward)(const struct op_call *c)
{
    BY_NUMBER(c->out->dtype, add, c);
}

void ISA_FN(add_backward)(const struct op_call *c)
{
    backward_to(c, 0, NULL, 1);
    backward_to(c, 1, NULL, c->args.alpha);
}

static enum err_kind refuse_bools(bool a, bool b, struct err *e)
{
    if (a && b)
        return err_set(e, ERR_INVALID, "",
                       "Subtraction, the `-` operator, with two bool tensors is not supported. Use "
                       "the `^` or `logical_xor()` operator instead.");
    if (a || b)
        return err_set(e, ERR_INVALID, "",
                       "Subtraction, the `-` operator, with a bool tensor is not supported. If you "
                       "are trying to invert a mask, use the `~` or `logical_not()` operator "
                       "instead.");
    return ERR_OK;
}

enum err_kind ISA_FN(sub_infer)(const struct op_call *c, struct tensor *out, struct err *e)
{
    enum err_kind rc =
        refuse_bools(c->given[0]->dtype == DTYPE_BOOL, c->given[1]->dtype == DTYPE_BOOL, e);
    if (!rc)
        rc = check_alpha(c, e);
    return rc ? rc : infer_pair(c, out, e);
}

void ISA_FN(sub_forward)(const struct op_call *c)
{
    BY_NUMBER(c->out->dtype, sub, c);
}

void ISA_FN(sub_backward)(const struct op_call *c)
{
    backward_to(c, 0, NULL, 1);
    backward_to(c, 1, NULL, -c->args.alpha);
}

PAIR_INFER(mul)

void ISA_FN(mul_forward)(const struct op_call *c)
{
    BY_NUMBER(c->out->dtype, mul, c);
}

void ISA_FN(mul_backward)(const struct op_call *c)
{
    backward_to(c, 0, c->in[1], 1);
    backward_to(c, 1, c->in[0], 1);
}

PAIR_INFER(div)

void ISA_FN(div_forward)(const struct op_call *c)
{
    BY_TYPE(c->out->dtype, div, c);
}

PAIR_BACKWARD(div)

enum err_kind ISA_FN(rsub_tensor_infer)(const struct op_call *c, struct tensor *out, struct err *e)
{
    return ISA_FN(sub_infer)(c, out, e);
}

void ISA_FN(rsub_tensor_forward)(const struct op_call *c)
{
    BY_NUMBER(c->out->dtype, rsub_tensor, c);
}

void ISA_FN(rsub_tensor_backward)(const struct op_call *c)
{
    backward_to(c, 0, NULL, -c->args.alpha);
    backward_to(c, 1, NULL, 1);
}

enum err_kind ISA_FN(rsub_infer)(const struct op_call *c, struct tensor *out, struct err *e)
{
    bool is_bool = c->given[0]->dtype == DTYPE_BOOL;
    enum err_kind rc = refuse_bools(is_bool, is_bool && c->args.number == DTYPE_BOOL, e);
    return rc ? rc : infer_like(c, out);
}

MAP_ROW_RUN(rsub, BY_NUMBER)

enum err_kind ISA_FN(neg_infer)(const struct op_call *c, struct tensor *out, struct err *e)
{
    if (c->in[0]->dtype == DTYPE_BOOL)
        return err_set(e, ERR_INVALID, "",
                       "Negation, the `-` operator, on a bool tensor is not supported. If you are "
                       "trying to invert a mask, use the `~` or `logical_not()` operator instead.");
    return infer_like(c, out);
}

MAP_ROW_RUN(neg, BY_NUMBER)
