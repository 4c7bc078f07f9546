/* engine/operators.c - the operators of the language, on Python's values and on tensors. */
#include <math.h>
#include <string.h>

#include "engine/interp_inside.h"
#include "engine/vmath.h"

static enum err_kind unsupported(enum tree_operator op, const struct value *a,
                                 const struct value *b, struct err *e)
{
    return err_set(e, ERR_INVALID, "", "unsupported operand type(s) for %s: '%s' and '%s'",
                   tree_operator_text[op], value_type_name(a), value_type_name(b));
}

/* ---- numbers ------------------------------------------------------------------------------- */

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

static enum err_kind operate_numbers(enum tree_operator op, const struct value *a,
                                     const struct value *b, struct value *out, struct err *e)
{
    bool bitwise = op == TREE_OP_AND || op == TREE_OP_OR || op == TREE_OP_XOR;
    bool floats = a->kind == VALUE_FLOAT || b->kind == VALUE_FLOAT;
    if (op == TREE_OP_MATMUL || (bitwise && floats))
        return unsupported(op, a, b, e);
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

static int compare_numbers(const struct value *a, const struct value *b, bool *unordered)
{
    *unordered = false;
    if (a->kind != VALUE_FLOAT && b->kind != VALUE_FLOAT)
        return (integer_of(a) > integer_of(b)) - (integer_of(a) < integer_of(b));
    double x = number_of(a), y = number_of(b);
    *unordered = isnan(x) || isnan(y);
    return (x > y) - (x < y);
}

static bool by_order(enum tree_operator op, int order)
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

/* ---- tensors ------------------------------------------------------------------------------- */

/* An operator on two tensors is one operation. */
static const int tensor_op[TREE_OP_COUNT] = {
    [TREE_OP_ADD] = OP_ADD + 1,
    [TREE_OP_SUB] = OP_SUB + 1,
    [TREE_OP_MUL] = OP_MUL + 1,
    [TREE_OP_DIV] = OP_DIV + 1,
    [TREE_OP_FLOOR_DIV] = OP_FLOOR_DIVIDE + 1,
    [TREE_OP_MOD] = OP_REMAINDER + 1,
    [TREE_OP_POW] = OP_POW_TENSOR + 1,
    [TREE_OP_AND] = OP_BITWISE_AND + 1,
    [TREE_OP_OR] = OP_BITWISE_OR + 1,
    [TREE_OP_XOR] = OP_BITWISE_XOR + 1,
    [TREE_OP_EQ] = OP_EQ + 1,
    [TREE_OP_NE] = OP_NE + 1,
    [TREE_OP_LT] = OP_LT + 1,
    [TREE_OP_LE] = OP_LE + 1,
    [TREE_OP_GT] = OP_GT + 1,
    [TREE_OP_GE] = OP_GE + 1,
};

/* Where PyTorch has an operation of its own for a number on the right. */
static enum op_id row_for(enum tree_operator op, const struct value *right)
{
    if (op == TREE_OP_MOD && right->kind != VALUE_TENSOR)
        return OP_REMAINDER_SCALAR;
    return (enum op_id)(tensor_op[op] - 1);
}

static bool has_tensor(const struct value *a, const struct value *b)
{
    return a->kind == VALUE_TENSOR || b->kind == VALUE_TENSOR;
}

/* x as an operand of the other. */
static enum err_kind operand(struct interp *in, const struct value *x, struct tensor **out,
                             struct err *e)
{
    *out = x->kind == VALUE_TENSOR ? x->tensor : number_tensor(in, x);
    return *out ? ERR_OK : err_set(e, ERR_NOMEM, "", "no memory for a number");
}

/* 2 - x, 2 / x and 2 ** x have operations of their own in PyTorch. */
static enum err_kind number_first(struct interp *in, enum tree_operator op, const struct value *a,
                                  struct tensor *x, struct tensor **y, struct err *e)
{
    struct op_args args = op_args_default;
    struct tensor *number = number_tensor(in, a);
    if (!number)
        return err_set(e, ERR_NOMEM, "", "no memory for a number");
    if (op == TREE_OP_SUB) {
        args.alpha = number_of(a);
        args.number = number_dtype(a);
        if (x->dtype == DTYPE_BOOL)
            return err_set(e, ERR_INVALID, "",
                           "Subtraction, the `-` operator, with a bool tensor is not supported. If "
                           "you are trying to invert a mask, use the `~` or `logical_not()` "
                           "operator instead.");
        return apply_one(in, OP_RSUB, &args, x, y, e);
    }
    if (op == TREE_OP_DIV) {
        enum err_kind rc = apply_one(in, OP_RECIPROCAL, NULL, x, y, e);
        return rc ? rc : apply_two(in, OP_MUL, NULL, *y, number, y, e);
    }
    if (op == TREE_OP_ADD || op == TREE_OP_MUL) /* x + 2, as PyTorch turns them */
        return apply_two(in, (enum op_id)(tensor_op[op] - 1), NULL, x, number, y, e);
    return apply_two(in, (enum op_id)(tensor_op[op] - 1), NULL, number, x, y, e);
}

/* x ** 2 */
static enum err_kind number_power(struct interp *in, struct tensor *x, const struct value *b,
                                  struct tensor **y, struct err *e)
{
    struct op_args args = op_args_default;
    args.alpha = number_of(b);
    args.number = number_dtype(b);
    return apply_one(in, OP_POW, &args, x, y, e);
}

static bool is_comparison(enum tree_operator op)
{
    return op >= TREE_OP_EQ && op <= TREE_OP_GE;
}

static enum err_kind operate_tensors(struct interp *in, enum tree_operator op,
                                     const struct value *a, const struct value *b,
                                     struct value *out, struct err *e)
{
    struct tensor *x, *z, *y = NULL;
    bool operands = (a->kind == VALUE_TENSOR || value_is_number(a)) &&
                    (b->kind == VALUE_TENSOR || value_is_number(b));
    if (!operands && (op == TREE_OP_EQ || op == TREE_OP_NE)) {
        *out = VALUE(BOOL, .boolean = op == TREE_OP_NE);
        return ERR_OK;
    }
    if (!operands)
        return unsupported(op, a, b, e);
    enum err_kind rc;
    if (op == TREE_OP_MATMUL && a->kind == b->kind)
        rc = apply_matmul(in, a->tensor, b->tensor, &y, e);
    else if (!tensor_op[op])
        return unsupported(op, a, b, e);
    else if (a->kind != VALUE_TENSOR && !is_comparison(op))
        rc = number_first(in, op, a, b->tensor, &y, e);
    else if (op == TREE_OP_POW && b->kind != VALUE_TENSOR)
        rc = number_power(in, a->tensor, b, &y, e);
    else {
        rc = operand(in, a, &x, e);
        if (!rc)
            rc = operand(in, b, &z, e);
        if (!rc)
            rc = apply_two(in, row_for(op, b), NULL, x, z, &y, e);
    }
    *out = VALUE(TENSOR, .tensor = y);
    return rc;
}

/* ---- other values -------------------------------------------------------------------------- */

/* How far a comparison may go: lists may hold lists that hold the same list many times. */
#define EQUAL_DEPTH_MAX 200
#define EQUAL_ITEMS_MAX 1000000
struct comparison {
    int depth;
    int64_t items;
    bool too_far;
};

static bool equal(struct comparison *c, const struct value *a, const struct value *b);

static bool equal_items(struct comparison *c, const struct value *a, const struct value *b)
{
    bool same = true;
    if (a->item == b->item)
        return true;
    c->too_far = c->too_far || c->depth == EQUAL_DEPTH_MAX;
    c->depth++;
    for (size_t i = 0; i < a->count && same && !c->too_far; i++) {
        c->too_far = ++c->items > EQUAL_ITEMS_MAX;
        same = equal(c, &a->item[i], &b->item[i]);
    }
    c->depth--;
    return same;
}

/* a == b of what is no tensor; identity for what has no value of its own. A torch.Size is a tuple.
 */
static bool equal(struct comparison *c, const struct value *a, const struct value *b)
{
    bool unordered;
    if (value_is_number(a) && value_is_number(b))
        return compare_numbers(a, b, &unordered) == 0 && !unordered;
    if (value_is_list(a) && value_is_list(b))
        return (a->kind == VALUE_LIST) == (b->kind == VALUE_LIST) && a->count == b->count &&
               equal_items(c, a, b);
    if (a->kind != b->kind)
        return false;
    switch (a->kind) {
    case VALUE_NONE:
    case VALUE_ELLIPSIS:
        return true;
    case VALUE_STRING:
        return a->count == b->count && !memcmp(a->text, b->text, a->count);
    case VALUE_DTYPE:
        return a->dtype == b->dtype;
    case VALUE_TENSOR:
        return a->tensor == b->tensor;
    case VALUE_NODE:
        return a->node == b->node;
    case VALUE_MODULE:
        return !strcmp(a->text, b->text);
    case VALUE_BUILTIN:
        return a->builtin == b->builtin && a->item == b->item;
    case VALUE_BOOL:
    case VALUE_INT:
    case VALUE_FLOAT:
    case VALUE_TUPLE:
    case VALUE_LIST:
    case VALUE_SIZE:
    case VALUE_SLICE:
    case VALUE_GUARD:
        break;
    }
    return false;
}

static enum err_kind compare_values(const struct value *a, const struct value *b, bool *same,
                                    struct err *e)
{
    struct comparison c = {.depth = 0};
    *same = equal(&c, a, b);
    return c.too_far ? err_set(e, ERR_INVALID, "", "the lists are too deep or too long to compare")
                     : ERR_OK;
}

/* a is b: Python's small integers and strings are their values here. */
static enum err_kind is_same(const struct value *a, const struct value *b, bool *same,
                             struct err *e)
{
    *same = false;
    return a->kind == b->kind ? compare_values(a, b, same, e) : ERR_OK;
}

static enum err_kind contains(const struct value *item, const struct value *list, bool *out,
                              struct err *e)
{
    if (list->kind == VALUE_STRING && item->kind == VALUE_STRING) {
        *out = strstr(list->text, item->text) != NULL;
        return ERR_OK;
    }
    if (!value_is_list(list))
        return err_set(e, ERR_INVALID, "", "argument of type '%s' is not iterable",
                       value_type_name(list));
    enum err_kind rc = ERR_OK;
    *out = false;
    for (size_t i = 0; !rc && !*out && i < list->count; i++)
        rc = compare_values(item, &list->item[i], out, e);
    return rc;
}

static enum err_kind compare(enum tree_operator op, const struct value *a, const struct value *b,
                             struct value *out, struct err *e)
{
    bool unordered = false, result = false;
    enum err_kind rc = ERR_OK;
    if (value_is_number(a) && value_is_number(b)) {
        int order = compare_numbers(a, b, &unordered);
        result = unordered ? op == TREE_OP_NE : by_order(op, order);
    } else if (op == TREE_OP_EQ || op == TREE_OP_NE) {
        rc = compare_values(a, b, &result, e);
        result = result == (op == TREE_OP_EQ);
    } else if (a->kind == VALUE_STRING && b->kind == VALUE_STRING) {
        result = by_order(op, strcmp(a->text, b->text));
    } else {
        return err_set(e, ERR_INVALID, "", "'%s' not supported between instances of '%s' and '%s'",
                       tree_operator_text[op], value_type_name(a), value_type_name(b));
    }
    *out = VALUE(BOOL, .boolean = result);
    return rc;
}

/* Strings and lists of one kind are joined by +. */
static enum err_kind join(struct interp *in, const struct value *a, const struct value *b,
                          struct value *out, struct err *e)
{
    size_t each = a->kind == VALUE_STRING ? 1 : sizeof *a->item, count = a->count + b->count;
    char *both;
    enum err_kind rc = interp_alloc(in, count + 1, each, &both, e);
    if (rc)
        return rc;
    const void *first = a->kind == VALUE_STRING ? (const void *)a->text : a->item;
    const void *second = b->kind == VALUE_STRING ? (const void *)b->text : b->item;
    if (a->count)
        memcpy(both, first, a->count * each);
    if (b->count)
        memcpy(both + a->count * each, second, b->count * each);
    *out = (struct value){.kind = a->kind == VALUE_SIZE ? VALUE_TUPLE : a->kind, .count = count};
    if (a->kind != VALUE_STRING) {
        out->item = (struct value *)(void *)both;
        return ERR_OK;
    }
    both[count] = '\0';
    out->text = both;
    return ERR_OK;
}

static bool can_join(const struct value *a, const struct value *b)
{
    if (a->kind == VALUE_STRING || b->kind == VALUE_STRING)
        return a->kind == b->kind;
    return value_is_list(a) && value_is_list(b) &&
           (a->kind == VALUE_LIST) == (b->kind == VALUE_LIST);
}

enum err_kind operate(struct interp *in, enum tree_operator op, const struct value *a,
                      const struct value *b, struct value *out, struct err *e)
{
    bool found = false;
    if (op == TREE_OP_IS || op == TREE_OP_IS_NOT) {
        enum err_kind rc = is_same(a, b, &found, e);
        *out = VALUE(BOOL, .boolean = found == (op == TREE_OP_IS));
        return rc;
    }
    if (op == TREE_OP_IN || op == TREE_OP_NOT_IN) {
        enum err_kind rc = contains(a, b, &found, e);
        *out = VALUE(BOOL, .boolean = found == (op == TREE_OP_IN));
        return rc;
    }
    if (has_tensor(a, b))
        return operate_tensors(in, op, a, b, out, e);
    if (is_comparison(op))
        return compare(op, a, b, out, e);
    if (value_is_number(a) && value_is_number(b))
        return operate_numbers(op, a, b, out, e);
    if (op == TREE_OP_ADD && can_join(a, b))
        return join(in, a, b, out, e);
    if (op == TREE_OP_ADD && (a->kind == VALUE_STRING || value_is_list(a)))
        return err_set(e, ERR_INVALID, "", "can only concatenate %s (not \"%s\") to %s",
                       value_type_name(a), value_type_name(b), value_type_name(a));
    return unsupported(op, a, b, e);
}

enum err_kind operate_unary(struct interp *in, enum tree_operator op, const struct value *a,
                            struct value *out, struct err *e)
{
    if (a->kind == VALUE_TENSOR && op == TREE_OP_ADD) {
        *out = *a;
        return ERR_OK;
    }
    if (a->kind == VALUE_TENSOR) {
        struct tensor *y = NULL;
        enum op_id id = op == TREE_OP_SUB ? OP_NEG : OP_BITWISE_NOT;
        enum err_kind rc = apply_one(in, id, NULL, a->tensor, &y, e);
        *out = VALUE(TENSOR, .tensor = y);
        return rc;
    }
    struct value zero = VALUE(INT, .integer = 0), minus_one = VALUE(INT, .integer = -1);
    if (!value_is_number(a) || (op == TREE_OP_INVERT && a->kind == VALUE_FLOAT))
        return err_set(e, ERR_INVALID, "", "bad operand type for unary %s: '%s'",
                       tree_operator_text[op], value_type_name(a));
    if (op == TREE_OP_INVERT)
        return operate_numbers(TREE_OP_SUB, &minus_one, a, out, e);
    if (a->kind != VALUE_FLOAT)
        return operate_numbers(op, &zero, a, out, e);
    *out = VALUE(FLOAT, .number = op == TREE_OP_SUB ? -a->number : a->number);
    return ERR_OK;
}

enum err_kind operate_in_place(struct interp *in, enum tree_operator op, const struct value *a,
                               const struct value *b, struct value *out, struct err *e)
{
    if (a->kind != VALUE_TENSOR || op == TREE_OP_MATMUL || !tensor_op[op])
        return operate(in, op, a, b, out, e);
    if (b->kind != VALUE_TENSOR && !value_is_number(b))
        return unsupported(op, a, b, e);
    if (in->pure)
        return err_set(e, ERR_INVALID, "", "a model's forward changes nothing in place");
    *out = *a;
    if (op == TREE_OP_POW && b->kind != VALUE_TENSOR) {
        struct op_args args = op_args_default;
        args.alpha = number_of(b);
        args.number = number_dtype(b);
        return op_apply_in_place(in->tape, OP_POW, &args, &a->tensor, 1, e);
    }
    struct tensor *x[] = {a->tensor, NULL};
    enum err_kind rc = operand(in, b, &x[1], e);
    return rc ? rc : op_apply_in_place(in->tape, row_for(op, b), NULL, x, 2, e);
}
