/* engine/numbers.c - Python's arithmetic on bool, int and float. */
#include <math.h>

#include "engine/operators.h"

static enum err_kind too_large(struct err *e)
{
    return err_set(e, ERR_INVALID, "",
                   "the integer is too large: this language's are 64 bits wide");
}

static enum err_kind by_zero(struct err *e, const char *what)
{
    return err_set(e, ERR_INVALID, "", "%s by zero", what);
}

/* Rounds down, as Python does; the remainder has b's sign. */
static enum err_kind divide_integers(int64_t a, int64_t b, bool remainder, int64_t *out,
                                     struct err *e)
{
    if (b == 0)
        return by_zero(e, "integer division or modulo");
    if (b == -1) { /* INT64_MIN / -1 does not fit */
        *out = 0;
        if (!remainder && __builtin_sub_overflow(0, a, out))
            return too_large(e);
        return ERR_OK;
    }
    int64_t q = a / b, r = a % b;
    bool down = r != 0 && (r < 0) != (b < 0);
    *out = remainder ? r + (down ? b : 0) : q - down;
    return ERR_OK;
}

static enum err_kind power_of_integers(int64_t a, int64_t n, int64_t *out, struct err *e)
{
    int64_t y = 1;
    for (int64_t square = a; n > 0; n >>= 1) {
        if (n & 1 && __builtin_mul_overflow(y, square, &y))
            return too_large(e);
        if (n > 1 && __builtin_mul_overflow(square, square, &square))
            return too_large(e);
    }
    *out = y;
    return ERR_OK;
}

static enum err_kind operate_integers(enum tree_operator op, int64_t a, int64_t b,
                                      struct value *out, struct err *e)
{
    int64_t y = 0;
    bool overflow = false;
    enum err_kind rc = ERR_OK;
    switch ((int)op) {
    case TREE_OP_ADD:
        overflow = __builtin_add_overflow(a, b, &y);
        break;
    case TREE_OP_SUB:
        overflow = __builtin_sub_overflow(a, b, &y);
        break;
    case TREE_OP_MUL:
        overflow = __builtin_mul_overflow(a, b, &y);
        break;
    case TREE_OP_FLOOR_DIV:
    case TREE_OP_MOD:
        rc = divide_integers(a, b, op == TREE_OP_MOD, &y, e);
        break;
    case TREE_OP_POW:
        rc = power_of_integers(a, b, &y, e);
        break;
    case TREE_OP_AND:
        y = a & b;
        break;
    case TREE_OP_OR:
        y = a | b;
        break;
    default:
        y = a ^ b;
        break;
    }
    *out = VALUE(INT, .integer = y);
    return overflow ? too_large(e) : rc;
}

/* Python's float modulo: the remainder has b's sign. */
static double modulo(double a, double b)
{
    double r = fmod(a, b);
    if (r != 0 && (r < 0) != (b < 0))
        r += b;
    return r != 0 ? r : copysign(0, b);
}

static enum err_kind operate_floats(enum tree_operator op, double a, double b, struct value *out,
                                    struct err *e)
{
    double y;
    bool divides = op == TREE_OP_DIV || op == TREE_OP_FLOOR_DIV || op == TREE_OP_MOD;
    if (divides && b == 0)
        return by_zero(e, op == TREE_OP_DIV         ? "float division"
                          : op == TREE_OP_FLOOR_DIV ? "float floor division"
                                                    : "float modulo");
    switch ((int)op) {
    case TREE_OP_ADD:
        y = a + b;
        break;
    case TREE_OP_SUB:
        y = a - b;
        break;
    case TREE_OP_MUL:
        y = a * b;
        break;
    case TREE_OP_DIV:
        y = a / b;
        break;
    case TREE_OP_FLOOR_DIV:
        y = floor((a - modulo(a, b)) / b + 0.5);
        break;
    case TREE_OP_MOD:
        y = modulo(a, b);
        break;
    default:
        if (a < 0 && isfinite(b) && b != floor(b))
            return err_set(e, ERR_INVALID, "",
                           "a negative number to a fractional power is complex, which is not "
                           "supported");
        if (a == 0 && b < 0)
            return err_set(e, ERR_INVALID, "", "0.0 cannot be raised to a negative power");
        y = pow(a, b);
        if (isinf(y) && isfinite(a) && isfinite(b))
            return err_set(e, ERR_INVALID, "", "(34, 'Numerical result out of range')");
        break;
    }
    *out = VALUE(FLOAT, .number = y);
    return ERR_OK;
}

static int64_t integer_of(const struct value *x)
{
    return x->kind == VALUE_BOOL ? x->boolean : x->integer;
}

enum err_kind operate_numbers(enum tree_operator op, const struct value *a, const struct value *b,
                              struct value *out, struct err *e)
{
    bool bitwise = op == TREE_OP_AND || op == TREE_OP_OR || op == TREE_OP_XOR;
    bool floats = a->kind == VALUE_FLOAT || b->kind == VALUE_FLOAT;
    if (op == TREE_OP_MATMUL || (bitwise && floats))
        return operator_unsupported(op, a, b, e);
    bool negative_power = op == TREE_OP_POW && !floats && integer_of(b) < 0;
    if (!floats && op != TREE_OP_DIV && !negative_power) {
        enum err_kind rc = operate_integers(op, integer_of(a), integer_of(b), out, e);
        if (bitwise && a->kind == VALUE_BOOL && b->kind == VALUE_BOOL)
            *out = VALUE(BOOL, .boolean = out->integer != 0);
        return rc;
    }
    if (op == TREE_OP_DIV && !floats && integer_of(b) == 0)
        return by_zero(e, "division");
    return operate_floats(op, number_of(a), number_of(b), out, e);
}

static int order_of(const struct value *a, const struct value *b, bool *unordered)
{
    *unordered = false;
    if (a->kind != VALUE_FLOAT && b->kind != VALUE_FLOAT)
        return (integer_of(a) > integer_of(b)) - (integer_of(a) < integer_of(b));
    double x = number_of(a), y = number_of(b);
    *unordered = isnan(x) || isnan(y);
    return (x > y) - (x < y);
}

bool order_fulfils(enum tree_operator op, int order)
{
    switch ((int)op) {
    case TREE_OP_EQ:
        return order == 0;
    case TREE_OP_NE:
        return order != 0;
    case TREE_OP_LT:
        return order < 0;
    case TREE_OP_LE:
        return order <= 0;
    case TREE_OP_GT:
        return order > 0;
    default:
        return order >= 0;
    }
}

bool compare_numbers(enum tree_operator op, const struct value *a, const struct value *b)
{
    bool unordered;
    int order = order_of(a, b, &unordered);
    return unordered ? op == TREE_OP_NE : order_fulfils(op, order);
}
