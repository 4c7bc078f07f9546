/* Atoms, brackets, and what stands behind them: calls, items, attributes. */
#include <string.h>

#include "engine/parser.h"

#define KEYWORDS_MAX 255 /* of a call */

/* ---- elements ---- */

/* An expression among others, between commas. */
static struct tree *parse_element(struct parser *p)
{
    const struct token first = p->now;
    if (parser_is(p, TOKEN_MUL))
        return parser_refuse(p, first.place, "unpacking with '*' is");
    struct tree *t = parser_expression(p);
    p->element = first;
    p->last = t;
    if (t && lexer_joins_lines(&p->lexer) && (parser_is(p, TOKEN_FOR) || parser_is(p, TOKEN_ASYNC)))
        return parser_refuse(p, p->now.place, "comprehensions ('for' in brackets) are");
    return t;
}

static bool element_follows(const struct parser *p)
{
    return parser_begins(p->now.kind) || parser_is(p, TOKEN_ADD) || parser_is(p, TOKEN_SUB) ||
           parser_is(p, TOKEN_MUL);
}

/* Elements up to one that no comma follows; *comma: there was one. */
static bool parse_elements(struct parser *p, struct tree *(*read)(struct parser *p),
                           bool (*follows)(const struct parser *p), struct items *out, bool *comma)
{
    *comma = false;
    do {
        struct tree *t = read(p);
        if (!t)
            return false;
        items_add(out, t);
        if (!parser_take(p, TOKEN_COMMA))
            return true;
        *comma = true;
    } while (follows(p));
    return true;
}

static struct tree *collect(struct parser *p, enum tree_kind kind, struct place place,
                            const struct items *items)
{
    struct tree *t = parser_tree(p, kind, place);
    if (!t)
        return NULL;
    t->items = items->first;
    return parser_finish(p, t);
}

/* Behind elements: the bracket that ends them. */
static bool close_elements(struct parser *p, enum token_kind end)
{
    if (parser_is(p, TOKEN_SET) && parser_fail_set(p))
        return false;
    return parser_expect(p, end);
}

/* A tuple without parentheses, or the only element that it would have. */
struct tree *parser_expressions(struct parser *p)
{
    struct place place = p->now.place;
    struct items items = {0};
    bool comma;
    if (!parse_elements(p, parse_element, element_follows, &items, &comma))
        return NULL;
    return comma ? collect(p, TREE_TUPLE, place, &items) : items.first;
}

/* ---- brackets ---- */

/* At the opening bracket: all up to the closing one. */
static bool parse_inside(struct parser *p, enum token_kind end, struct items *items, bool *comma)
{
    *comma = false;
    if (!parser_enter(p))
        return false;
    parser_advance(p);
    bool fine =
        parser_take(p, end) ||
        (parse_elements(p, parse_element, element_follows, items, comma) && close_elements(p, end));
    parser_leave(p);
    return fine;
}

static struct tree *parse_parentheses(struct parser *p)
{
    struct place place = p->now.place;
    struct items items = {0};
    bool comma;
    if (!parse_inside(p, TOKEN_PAREN_END, &items, &comma))
        return NULL;
    return comma || !items.first ? collect(p, TREE_TUPLE, place, &items) : items.first;
}

static struct tree *parse_list(struct parser *p)
{
    struct place place = p->now.place;
    struct items items = {0};
    bool comma;
    if (!parse_inside(p, TOKEN_BRACKET_END, &items, &comma))
        return NULL;
    return collect(p, TREE_LIST, place, &items);
}

static struct tree *parse_constant(struct parser *p, enum tree_kind kind)
{
    struct tree *t = parser_tree(p, kind, p->now.place);
    parser_advance(p);
    return t;
}

static struct tree *parse_name(struct parser *p)
{
    struct tree *t = parser_name(p, &p->now);
    parser_advance(p);
    return t;
}

static struct tree *parse_atom(struct parser *p)
{
    switch ((int)p->now.kind) {
    case TOKEN_NAME:
        return parse_name(p);
    case TOKEN_INT:
        return parser_int(p);
    case TOKEN_FLOAT:
        return parser_float(p);
    case TOKEN_STRING:
        return parser_strings(p);
    case TOKEN_NONE:
        return parse_constant(p, TREE_NONE);
    case TOKEN_TRUE:
        return parse_constant(p, TREE_TRUE);
    case TOKEN_FALSE:
        return parse_constant(p, TREE_FALSE);
    case TOKEN_ELLIPSIS:
        return parse_constant(p, TREE_ELLIPSIS);
    case TOKEN_PAREN:
        return parse_parentheses(p);
    case TOKEN_BRACKET:
        return parse_list(p);
    default:
        return parser_unexpected(p);
    }
}

/* ---- calls ---- */

static bool same_name(const struct tree *argument, const struct token *name)
{
    return argument->text && argument->bytes == name->bytes &&
           memcmp(argument->text, name->text, name->bytes) == 0;
}

/* Among the arguments before it no other may have its name; so few may have one at all, that to
 * compare each with each costs nothing. */
static bool check_unique(struct parser *p, const struct token *name, const struct items *before)
{
    int named = 0;
    for (const struct tree *other = before->first; other; other = other->next) {
        named += other->text != NULL;
        if (same_name(other, name))
            return parser_fail(p, name->place, "keyword argument repeated: %.*s",
                               name->bytes < 100 ? (int)name->bytes : 100, name->text);
    }
    if (named < KEYWORDS_MAX)
        return true;
    return parser_limit(p, name->place, "a call has at most %d keyword arguments", KEYWORDS_MAX);
}

/* At the = behind what would be the name. */
static bool parse_keyword(struct parser *p, const struct token *first, const struct tree *name,
                          struct tree *argument, const struct items *before)
{
    bool bare = place_equal(name->place, first->place);
    if (bare && (name->kind == TREE_NONE || name->kind == TREE_TRUE || name->kind == TREE_FALSE))
        return parser_fail(p, name->place, "cannot assign to %s", parser_kind_name(name));
    if (!bare || name->kind != TREE_NAME)
        return parser_fail(p, name->place,
                           "expression cannot contain assignment, perhaps you meant \"==\"?");
    if (!check_unique(p, first, before))
        return false;
    parser_advance(p);
    argument->text = name->text;
    argument->bytes = name->bytes;
    argument->a = parser_expression(p);
    return argument->a;
}

static bool parse_argument(struct parser *p, struct items *out)
{
    const struct token first = p->now;
    if (parser_is(p, TOKEN_POW))
        return parser_refuse(p, first.place, "unpacking with '**' is");
    struct tree *argument = parser_tree(p, TREE_ARGUMENT, first.place);
    struct tree *a = argument ? parse_element(p) : NULL;
    if (!a)
        return false;
    argument->a = a;
    if (parser_is(p, TOKEN_SET) && !parse_keyword(p, &first, a, argument, out))
        return false;
    items_add(out, argument);
    return parser_finish(p, argument);
}

/* Up to the closing parenthesis, where Python complains about the order. */
static bool parse_arguments(struct parser *p, struct items *out)
{
    bool named = false, disordered = false;
    while (!parser_is(p, TOKEN_PAREN_END)) {
        if (!parse_argument(p, out))
            return false;
        disordered |= named && !out->last->text;
        named |= out->last->text != NULL;
        if (!parser_take(p, TOKEN_COMMA))
            break;
    }
    if (disordered && parser_is(p, TOKEN_PAREN_END))
        return parser_fail(p, p->now.place, "positional argument follows keyword argument");
    return parser_expect(p, TOKEN_PAREN_END);
}

static struct tree *parse_call(struct parser *p, struct place place, struct tree *a)
{
    struct items arguments = {0};
    if (!parser_enter(p))
        return NULL;
    parser_advance(p);
    bool fine = parse_arguments(p, &arguments);
    parser_leave(p);
    struct tree *t = fine ? parser_tree(p, TREE_CALL, place) : NULL;
    if (!t)
        return NULL;
    t->a = a;
    t->items = arguments.first;
    return parser_finish(p, t);
}

/* ---- items ---- */

static bool ends_slice(const struct parser *p)
{
    return parser_is(p, TOKEN_COLON) || parser_is(p, TOKEN_COMMA) ||
           parser_is(p, TOKEN_BRACKET_END);
}

/* A part of a slice, if it is there; false: a flaw. */
static bool parse_bound(struct parser *p, struct tree **out)
{
    return ends_slice(p) || (*out = parser_expression(p));
}

/* a, or a:b, or a:b:c, without any of the three. */
static struct tree *parse_subscript(struct parser *p)
{
    struct place place = p->now.place;
    struct tree *a = parser_is(p, TOKEN_COLON) ? NULL : parse_element(p);
    if (!parser_is(p, TOKEN_COLON))
        return a;
    struct tree *t = parser_tree(p, TREE_SLICE, place);
    if (!t)
        return NULL;
    t->a = a;
    parser_advance(p);
    if (!parse_bound(p, &t->b))
        return NULL;
    if (parser_take(p, TOKEN_COLON) && !parse_bound(p, &t->c))
        return NULL;
    p->last = NULL; /* a slice is no element that could be named */
    return parser_finish(p, t);
}

static bool subscript_follows(const struct parser *p)
{
    return element_follows(p) || parser_is(p, TOKEN_COLON);
}

/* What stands in the brackets: of several subscripts a tuple. */
static struct tree *parse_subscripts(struct parser *p)
{
    struct place place = p->now.place;
    struct items items = {0};
    bool comma;
    if (!parse_elements(p, parse_subscript, subscript_follows, &items, &comma) ||
        !close_elements(p, TOKEN_BRACKET_END))
        return NULL;
    return comma ? collect(p, TREE_TUPLE, place, &items) : items.first;
}

static struct tree *parse_index(struct parser *p, struct place place, struct tree *a)
{
    if (!parser_enter(p))
        return NULL;
    parser_advance(p);
    struct tree *b = parse_subscripts(p);
    parser_leave(p);
    struct tree *t = b ? parser_tree(p, TREE_INDEX, place) : NULL;
    if (!t)
        return NULL;
    t->a = a;
    t->b = b;
    return parser_finish(p, t);
}

static struct tree *parse_attribute(struct parser *p, struct place place, struct tree *a)
{
    parser_advance(p);
    if (!parser_is(p, TOKEN_NAME))
        return parser_unexpected(p);
    struct tree *t = parser_tree(p, TREE_ATTRIBUTE, place);
    if (!t || !(t->text = parser_copy(p, p->now.text, p->now.bytes)))
        return NULL;
    t->bytes = p->now.bytes;
    t->a = a;
    parser_advance(p);
    return parser_finish(p, t);
}

static bool is_behind_primary(enum token_kind kind)
{
    return kind == TOKEN_DOT || kind == TOKEN_PAREN || kind == TOKEN_BRACKET;
}

/* One link of a.b(c)[d]. */
static struct tree *parse_link(struct parser *p, struct place place, struct tree *a)
{
    if (parser_is(p, TOKEN_DOT))
        return parse_attribute(p, place, a);
    return parser_is(p, TOKEN_PAREN) ? parse_call(p, place, a) : parse_index(p, place, a);
}

struct tree *parser_primary(struct parser *p)
{
    struct place place = p->now.place;
    struct tree *a = parse_atom(p);
    while (a && is_behind_primary(p->now.kind))
        a = parse_link(p, place, a);
    return a;
}
