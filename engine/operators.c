/* engine/operators.c - the operators of the language, on Python's values and on tensors. */
#include <string.h>

#include "engine/operators.h"

enum err_kind operator_unsupported(enum tree_operator op, const struct value *a,
                                   const struct value *b, struct err *e)
{
    return err_set(e, ERR_INVALID, "", "unsupported operand type(s) for %s: '%s' and '%s'",
                   tree_operator_text[op], value_type_name(a), value_type_name(b));
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
        if (x->dtype == DTYPE_BOOL)
            return err_set(e, ERR_INVALID, "",
                           "Subtraction, the `-` operator, with a bool tensor is not supported. If "
                           "you are trying to invert a mask, use the `~` or `logical_not()` "
                           "operator instead.");
        enum err_kind rc = number_to_op(a, &args.alpha, &args, e);
        return rc ? rc : apply_one(in, OP_RSUB, &args, x, y, e);
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
    enum err_kind rc = number_to_op(b, &args.alpha, &args, e);
    return rc ? rc : apply_one(in, OP_POW, &args, x, y, e);
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
        return operator_unsupported(op, a, b, e);
    enum err_kind rc;
    if (op == TREE_OP_MATMUL && a->kind == b->kind)
        rc = apply_matmul(in, a->tensor, b->tensor, &y, e);
    else if (!tensor_op[op])
        return operator_unsupported(op, a, b, e);
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

static enum err_kind compare(enum tree_operator op, const struct value *a, const struct value *b,
                             struct value *out, struct err *e)
{
    bool result = false;
    enum err_kind rc = ERR_OK;
    if (value_is_number(a) && value_is_number(b)) {
        result = compare_numbers(op, a, b);
    } else if (op == TREE_OP_EQ || op == TREE_OP_NE) {
        rc = values_equal(a, b, &result, e);
        result = result == (op == TREE_OP_EQ);
    } else if (a->kind == VALUE_STRING && b->kind == VALUE_STRING) {
        result = order_fulfils(op, strcmp(a->text, b->text));
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
        enum err_kind rc = values_same(a, b, &found, e);
        *out = VALUE(BOOL, .boolean = found == (op == TREE_OP_IS));
        return rc;
    }
    if (op == TREE_OP_IN || op == TREE_OP_NOT_IN) {
        enum err_kind rc = value_contains(a, b, &found, e);
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
    return operator_unsupported(op, a, b, e);
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
        return operator_unsupported(op, a, b, e);
    if (in->pure)
        return err_set(e, ERR_INVALID, "", "a model's forward changes nothing in place");
    *out = *a;
    if (op == TREE_OP_POW && b->kind != VALUE_TENSOR) {
        struct op_args args = op_args_default;
        enum err_kind rc = number_to_op(b, &args.alpha, &args, e);
        return rc ? rc : op_apply_in_place(in->tape, OP_POW, &args, &a->tensor, 1, e);
    }
    struct tensor *x[] = {a->tensor, NULL};
    enum err_kind rc = operand(in, b, &x[1], e);
    return rc ? rc : op_apply_in_place(in->tape, row_for(op, b), NULL, x, 2, e);
}
