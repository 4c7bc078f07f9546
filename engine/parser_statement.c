/* Statements and blocks. */
#include <string.h>

#include "engine/parser.h"

/* ---- small statements ---- */

static bool parse_pass(struct parser *p, struct items *out)
{
    struct tree *t = parser_tree(p, TREE_PASS, p->now.place);
    parser_advance(p);
    return parser_add(p, out, t);
}

static bool parse_assert(struct parser *p, struct items *out)
{
    struct tree *t = parser_tree(p, TREE_ASSERT, p->now.place);
    if (!t)
        return false;
    parser_advance(p);
    t->a = parser_expression(p);
    if (!t->a)
        return false;
    if (parser_take(p, TOKEN_COMMA) && !(t->b = parser_expression(p)))
        return false;
    return parser_add(p, out, t);
}

/* ---- assignment ---- */

static bool is_target(const struct tree *t)
{
    return t->kind == TREE_NAME || t->kind == TREE_ATTRIBUTE || t->kind == TREE_INDEX;
}

/* The first part of t that cannot be assigned to; NULL: t can. */
static const struct tree *find_wrong_target(const struct tree *t)
{
    const struct tree *wrong = NULL;
    if (t->kind != TREE_TUPLE && t->kind != TREE_LIST)
        return is_target(t) ? NULL : t;
    for (const struct tree *item = t->items; item && !wrong; item = item->next)
        wrong = find_wrong_target(item);
    return wrong;
}

/* As a target a list is no other than a tuple. */
static void make_tuples(struct tree *t)
{
    if (t->kind == TREE_LIST)
        t->kind = TREE_TUPLE;
    for (struct tree *item = t->kind == TREE_TUPLE ? t->items : NULL; item; item = item->next)
        make_tuples(item);
}

static bool check_target(struct parser *p, struct tree *t, bool first)
{
    const struct tree *wrong = find_wrong_target(t);
    if (!wrong) {
        make_tuples(t);
        return true;
    }
    if (first && parser_fail_set(p))
        return false;
    return parser_fail(p, wrong->place, "cannot assign to %s", parser_kind_name(wrong));
}

/* At the first =, behind e. */
static bool parse_assignment(struct parser *p, struct place place, struct tree *e,
                             struct items *out)
{
    struct items targets = {0};
    while (parser_is(p, TOKEN_SET)) {
        if (!check_target(p, e, !targets.first))
            return false;
        items_add(&targets, e);
        parser_advance(p);
        if (!(e = parser_expressions(p)))
            return false;
    }
    struct tree *t = parser_tree(p, TREE_ASSIGN, place);
    if (!t)
        return false;
    t->items = targets.first;
    t->b = e;
    return parser_add(p, out, t);
}

/* TREE_OP_COUNT: it is no augmented assignment. */
static enum tree_operator augmented_operator(enum token_kind kind)
{
    static const struct {
        enum token_kind token;
        enum tree_operator op;
    } rows[] = {{TOKEN_SET_ADD, TREE_OP_ADD},
                {TOKEN_SET_SUB, TREE_OP_SUB},
                {TOKEN_SET_MUL, TREE_OP_MUL},
                {TOKEN_SET_DIV, TREE_OP_DIV},
                {TOKEN_SET_FLOOR_DIV, TREE_OP_FLOOR_DIV},
                {TOKEN_SET_MOD, TREE_OP_MOD},
                {TOKEN_SET_POW, TREE_OP_POW},
                {TOKEN_SET_MATMUL, TREE_OP_MATMUL},
                {TOKEN_SET_AND, TREE_OP_AND},
                {TOKEN_SET_OR, TREE_OP_OR},
                {TOKEN_SET_XOR, TREE_OP_XOR}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (rows[i].token == kind)
            return rows[i].op;
    return TREE_OP_COUNT;
}

static bool parse_augmented(struct parser *p, struct place place, struct tree *a,
                            enum tree_operator op, struct items *out)
{
    parser_advance(p);
    struct tree *b = parser_expressions(p);
    if (!b)
        return false;
    if (!is_target(a))
        return parser_fail(p, a->place, "'%s' is an illegal expression for augmented assignment",
                           parser_kind_name(a));
    struct tree *t = parser_tree(p, TREE_AUGMENTED, place);
    if (!t)
        return false;
    t->op = op;
    t->a = a;
    t->b = b;
    return parser_add(p, out, t);
}

/* ---- what begins with an expression ---- */

static bool is_match(const struct token *t)
{
    return t->kind == TOKEN_NAME && t->bytes == strlen("match") &&
           memcmp(t->text, "match", t->bytes) == 0;
}

/* "match x:" cannot be an expression, "match (x):" only shows it at the colon. */
static bool begins_match(const struct parser *p)
{
    enum token_kind next = is_match(&p->now) ? lexer_ahead(&p->lexer) : TOKEN_END;
    return parser_begins(next) && next != TOKEN_PAREN && next != TOKEN_BRACKET && next != TOKEN_NOT;
}

/* At a colon behind e. With nothing behind it this is no annotation, but a mistake. */
static bool refuse_colon(struct parser *p, const struct tree *e, const struct token *first)
{
    if (is_match(first))
        return parser_refuse(p, first->place, "'match' is");
    if (lexer_ahead(&p->lexer) != TOKEN_NEWLINE)
        return parser_refuse(p, p->now.place, "type annotations (':' behind a name) are");
    if (is_target(e))
        parser_advance(p);
    return parser_unexpected(p);
}

static bool parse_expression_statement(struct parser *p, struct items *out)
{
    const struct token first = p->now;
    if (begins_match(p))
        return parser_refuse(p, first.place, "'match' is");
    struct tree *e = parser_expressions(p);
    if (!e)
        return false;
    enum tree_operator op = augmented_operator(p->now.kind);
    if (parser_is(p, TOKEN_SET))
        return parse_assignment(p, first.place, e, out);
    if (op != TREE_OP_COUNT)
        return parse_augmented(p, first.place, e, op, out);
    if (parser_is(p, TOKEN_COLON))
        return refuse_colon(p, e, &first);
    struct tree *t = parser_tree(p, TREE_EXPRESSION, first.place);
    if (!t)
        return false;
    t->a = e;
    return parser_add(p, out, t);
}

/* ---- lines ---- */

static bool parse_small(struct parser *p, struct items *out)
{
    switch ((int)p->now.kind) {
    case TOKEN_IMPORT:
        return parser_import(p, out);
    case TOKEN_FROM:
        return parser_from(p, out);
    case TOKEN_PASS:
        return parse_pass(p, out);
    case TOKEN_ASSERT:
        return parse_assert(p, out);
    case TOKEN_IF:
        return parser_refuse(p, p->now.place, "'if' as a statement is");
    case TOKEN_MATMUL:
        return parser_refuse(p, p->now.place, "decorators ('@') are");
    default:
        return parse_expression_statement(p, out);
    }
}

/* Small statements up to the end of the line. */
static bool parse_line(struct parser *p, struct items *out)
{
    do {
        if (!parse_small(p, out))
            return false;
    } while (parser_take(p, TOKEN_SEMICOLON) && !parser_is(p, TOKEN_NEWLINE));
    return parser_expect(p, TOKEN_NEWLINE);
}

/* ---- with ---- */

/* Behind the colon: the rest of the line, or an indented block. */
static bool parse_block(struct parser *p, int line, struct items *out)
{
    if (!parser_take(p, TOKEN_NEWLINE))
        return parse_line(p, out);
    if (!parser_take(p, TOKEN_INDENT))
        return parser_fail(p, p->now.place,
                           "expected an indented block after 'with' statement on line %d", line);
    if (!parser_statements(p, TOKEN_DEDENT, out))
        return false;
    parser_advance(p);
    return true;
}

static bool parse_guards(struct parser *p, struct items *out)
{
    do {
        struct tree *t = parser_expression(p);
        if (!t)
            return false;
        items_add(out, t);
    } while (parser_take(p, TOKEN_COMMA));
    if (parser_is(p, TOKEN_NEWLINE))
        return parser_fail(p, p->now.place, "expected ':'");
    if (!parser_expect(p, TOKEN_COLON))
        return false;
    /* What looks like a tuple, with nothing beside it, are several guards in parentheses. */
    struct tree *only = out->first->next ? NULL : out->first;
    if (only && only->kind == TREE_TUPLE && only->items)
        out->first = only->items;
    return true;
}

/* One statement a guard, each in the one before; what is inside the last one has its level. */
static struct tree *nest(struct parser *p, struct place place, struct tree *guard,
                         struct tree *statements)
{
    struct tree *t = parser_tree(p, TREE_WITH, place), *next = guard->next;
    if (!t)
        return NULL;
    guard->next = NULL;
    t->a = guard;
    t->items = statements;
    if (next) {
        if (!parser_enter(p))
            return NULL;
        p->statements++;
        t->items = nest(p, place, next, statements);
        parser_leave(p);
    }
    return t->items ? parser_finish(p, t) : NULL;
}

static bool parse_with(struct parser *p, struct items *out)
{
    struct place place = p->now.place;
    struct items guards = {0}, statements = {0};
    if (!parser_enter(p))
        return false;
    parser_advance(p);
    if (!parse_guards(p, &guards) || !parse_block(p, place.line, &statements))
        return false;
    struct tree *t = nest(p, place, guards.first, statements.first);
    parser_leave(p);
    return parser_add(p, out, t);
}

bool parser_statements(struct parser *p, enum token_kind end, struct items *out)
{
    while (!parser_is(p, end)) {
        bool fine = parser_is(p, TOKEN_WITH) ? parse_with(p, out) : parse_line(p, out);
        if (!fine)
            return false;
    }
    return true;
}
