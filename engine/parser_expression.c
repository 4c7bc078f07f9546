/* Expressions by precedence, the weakest first. */
#include "engine/parser.h"

/* A tree of a and b, or of a alone; NULL also after a flaw in one of them. */
static struct tree *join(struct parser *p, enum tree_kind kind, struct place place, struct tree *a,
                         struct tree *b)
{
    struct tree *t = p->flaw.kind ? NULL : parser_tree(p, kind, place);
    if (!t)
        return NULL;
    t->a = a;
    t->b = b;
    return parser_finish(p, t);
}

static struct tree *with_operator(struct tree *t, enum tree_operator op)
{
    if (t)
        t->op = op;
    return t;
}

/* ---- arithmetic ---- */

static struct tree *parse_unary(struct parser *p);

/* ** binds tighter than a sign on its left, and weaker than one on its right. */
static struct tree *parse_power(struct parser *p)
{
    struct place place = p->now.place;
    struct tree *a = parser_primary(p);
    if (!a || !parser_is(p, TOKEN_POW))
        return a;
    if (!parser_enter(p))
        return NULL;
    parser_advance(p);
    struct tree *b = parse_unary(p);
    parser_leave(p);
    return with_operator(join(p, TREE_BINARY, place, a, b), TREE_OP_POW);
}

static struct tree *parse_sign(struct parser *p, enum tree_operator op)
{
    struct place place = p->now.place;
    if (!parser_enter(p))
        return NULL;
    parser_advance(p);
    struct token operand = p->now;
    if (op == TREE_OP_SUB)
        p->behind_minus = operand.text;
    struct tree *a = parse_unary(p);
    parser_leave(p);
    if (!a)
        return NULL;
    if (operand.kind == TOKEN_INT && a->kind == TREE_INT && a->integer < 0) {
        a->place = place;
        return a;
    }
    return with_operator(join(p, TREE_UNARY, place, a, NULL), op);
}

static struct tree *parse_unary(struct parser *p)
{
    if (parser_is(p, TOKEN_SUB))
        return parse_sign(p, TREE_OP_SUB);
    if (parser_is(p, TOKEN_ADD))
        return parse_sign(p, TREE_OP_ADD);
    if (parser_is(p, TOKEN_TILDE))
        return parse_sign(p, TREE_OP_INVERT);
    return parse_power(p);
}

struct operator_row {
    enum token_kind token;
    enum tree_operator op;
    int binding;
};

static const struct operator_row *find_operator(enum token_kind token)
{
    static const struct operator_row rows[] = {
        {TOKEN_BAR, TREE_OP_OR, 1},        {TOKEN_CARET, TREE_OP_XOR, 2},
        {TOKEN_AMPERSAND, TREE_OP_AND, 3}, {TOKEN_ADD, TREE_OP_ADD, 4},
        {TOKEN_SUB, TREE_OP_SUB, 4},       {TOKEN_MUL, TREE_OP_MUL, 5},
        {TOKEN_DIV, TREE_OP_DIV, 5},       {TOKEN_FLOOR_DIV, TREE_OP_FLOOR_DIV, 5},
        {TOKEN_MOD, TREE_OP_MOD, 5},       {TOKEN_MATMUL, TREE_OP_MATMUL, 5}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (rows[i].token == token)
            return &rows[i];
    return NULL;
}

/* Operands joined by operators that bind at least so; each takes what binds more on its right. */
static struct tree *parse_binary(struct parser *p, int binding)
{
    struct place place = p->now.place;
    struct tree *a = parse_unary(p);
    const struct operator_row *row = find_operator(p->now.kind);
    while (a && row && row->binding >= binding) {
        parser_advance(p);
        struct tree *b = parse_binary(p, row->binding + 1);
        a = with_operator(join(p, TREE_BINARY, place, a, b), row->op);
        row = find_operator(p->now.kind);
    }
    return a;
}

struct tree *parser_bitwise(struct parser *p)
{
    return parse_binary(p, 1);
}

/* ---- truth ---- */

/* Consumes an operator of comparison, if there is one; `is not` and `not in` are two tokens. */
static bool take_comparison(struct parser *p, enum tree_operator *op)
{
    static const struct operator_row rows[] = {{TOKEN_EQ, TREE_OP_EQ, 0}, {TOKEN_NE, TREE_OP_NE, 0},
                                               {TOKEN_LT, TREE_OP_LT, 0}, {TOKEN_LE, TREE_OP_LE, 0},
                                               {TOKEN_GT, TREE_OP_GT, 0}, {TOKEN_GE, TREE_OP_GE, 0},
                                               {TOKEN_IN, TREE_OP_IN, 0}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        *op = rows[i].op;
        if (parser_take(p, rows[i].token))
            return true;
    }
    if (parser_take(p, TOKEN_IS)) {
        *op = parser_take(p, TOKEN_NOT) ? TREE_OP_IS_NOT : TREE_OP_IS;
        return true;
    }
    if (!parser_is(p, TOKEN_NOT) || lexer_ahead(&p->lexer) != TOKEN_IN)
        return false;
    parser_advance(p);
    parser_advance(p);
    *op = TREE_OP_NOT_IN;
    return true;
}

static struct tree *parse_comparison(struct parser *p)
{
    struct place place = p->now.place;
    struct tree *a = parser_bitwise(p);
    enum tree_operator op;
    struct items items = {0};
    while (a && take_comparison(p, &op)) {
        struct place of_b = p->now.place;
        struct tree *b = parser_bitwise(p);
        struct tree *item = b ? parser_tree(p, TREE_BINARY, of_b) : NULL;
        if (!item)
            return NULL;
        item->op = op;
        item->b = b;
        if (!parser_finish(p, item))
            return NULL;
        items_add(&items, item);
    }
    struct tree *t = a && items.first ? parser_tree(p, TREE_COMPARE, place) : NULL;
    if (!t)
        return p->flaw.kind ? NULL : a;
    t->a = a;
    t->items = items.first;
    return parser_finish(p, t);
}

static struct tree *parse_not(struct parser *p)
{
    struct place place = p->now.place;
    if (!parser_is(p, TOKEN_NOT))
        return parse_comparison(p);
    if (!parser_enter(p))
        return NULL;
    parser_advance(p);
    struct tree *a = parse_not(p);
    parser_leave(p);
    return join(p, TREE_NOT, place, a, NULL);
}

static struct tree *parse_and(struct parser *p)
{
    struct place place = p->now.place;
    struct tree *a = parse_not(p);
    while (a && parser_take(p, TOKEN_AND))
        a = join(p, TREE_AND, place, a, parse_not(p));
    return a;
}

static struct tree *parse_or(struct parser *p)
{
    struct place place = p->now.place;
    struct tree *a = parse_and(p);
    while (a && parser_take(p, TOKEN_OR))
        a = join(p, TREE_OR, place, a, parse_and(p));
    return a;
}

/* ---- a if b else c ---- */

static struct tree *parse_else(struct parser *p)
{
    if (!parser_enter(p))
        return NULL;
    parser_advance(p);
    struct tree *c = parser_expression(p);
    parser_leave(p);
    return c;
}

static struct tree *parse_conditional(struct parser *p, struct place place, struct tree *a)
{
    parser_advance(p);
    struct tree *b = parse_or(p);
    if (!b)
        return NULL;
    if (parser_is(p, TOKEN_COLON))
        return parser_unexpected(p);
    if (!parser_is(p, TOKEN_ELSE))
        return parser_fail(p, a->place, "expected 'else' after 'if' expression");
    struct tree *c = parse_else(p);
    struct tree *t = c ? parser_tree(p, TREE_CONDITIONAL, place) : NULL;
    if (!t)
        return NULL;
    t->a = a;
    t->b = b;
    t->c = c;
    return parser_finish(p, t);
}

struct tree *parser_expression(struct parser *p)
{
    const struct token first = p->now;
    struct tree *a = parse_or(p);
    if (!a)
        return NULL;
    if (!p->trying && parser_begins(p->now.kind))
        return parser_juxtaposed(p, a, &first);
    return parser_is(p, TOKEN_IF) ? parse_conditional(p, first.place, a) : a;
}
