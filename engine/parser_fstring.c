/* The fields of f-strings.
 *
 * As in Python up to 3.11, a field's expression is found first, by its quotes and brackets, and
 * then parsed by a parser of its own; so it holds neither a backslash nor the string's own quotes.
 */
#include <string.h>

#include "engine/parser_string.h"

#define FIELD_LEVELS 2 /* a field, and one in its format */

/* ---- where a field's expression ends ---- */

struct scan {
    char quote; /* inside a string: its quote */
    bool triple;
    int level;
    char opening[PROGRAM_DEPTH_MAX];
};

static void scan_quote(struct scan *s, struct cursor *c)
{
    char here = cursor_peek(c, 0);
    bool triple = string_triple(c, here) && (!s->quote || s->triple);
    if (!s->quote) {
        s->quote = here;
        s->triple = triple;
    } else if (here == s->quote && triple == s->triple) {
        s->quote = '\0';
    }
    for (int i = triple ? 2 : 0; i; i--)
        cursor_step(c);
}

static bool scan_bracket(struct parser *p, struct scan *s, const struct cursor *c)
{
    char here = cursor_peek(c, 0);
    if (strchr("([{", here)) {
        if (s->level == PROGRAM_DEPTH_MAX)
            return parser_fail(p, c->place, "f-string: too many nested parenthesis");
        s->opening[s->level++] = here;
        return true;
    }
    if (s->level == 0)
        return parser_fail(p, c->place, "f-string: unmatched '%c'", here);
    char opening = s->opening[--s->level];
    if (here == (opening == '(' ? ')' : opening == '[' ? ']' : '}'))
        return true;
    return parser_fail(p, c->place,
                       "f-string: closing parenthesis '%c' does not match opening parenthesis '%c'",
                       here, opening);
}

/* Outside of brackets and strings: ! : } or a single =, but not part of an operator. */
static bool ends_expression(struct cursor *c)
{
    char here = cursor_peek(c, 0);
    if (cursor_peek(c, 1) == '=' && strchr("!=<>", here)) {
        cursor_step(c);
        return false;
    }
    return strchr("!:}=", here) != NULL;
}

static bool scan_one(struct parser *p, struct scan *s, struct cursor *c, bool *end)
{
    char here = cursor_peek(c, 0);
    *end = false;
    if (here == '\\')
        return parser_fail(p, c->place, "f-string expression part cannot include a backslash");
    if (s->quote || here == '"' || here == '\'') {
        if (here == '"' || here == '\'')
            scan_quote(s, c);
        return true;
    }
    if (here == '#')
        return parser_fail(p, c->place, "f-string expression part cannot include '#'");
    if (s->level == 0 && strchr("!:}=<>", here)) {
        *end = ends_expression(c);
        return true;
    }
    return !strchr("([{)]}", here) || scan_bracket(p, s, c);
}

/* Goes to the character that ends the expression. */
static bool scan_expression(struct parser *p, struct cursor *c)
{
    struct scan s = {0};
    bool end = false;
    while (c->at < c->end) {
        if (!scan_one(p, &s, c, &end))
            return false;
        if (end)
            return true;
        cursor_step(c);
    }
    if (s.quote)
        return parser_fail(p, c->place, "f-string: unterminated string");
    if (s.level)
        return parser_fail(p, c->place, "f-string: unmatched '%c'", s.opening[s.level - 1]);
    return parser_fail(p, c->place, "f-string: expecting '}'");
}

/* ---- fields ---- */

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\f';
}

/* What is wrong in the expression is wrong in p; Python says so with a prefix. */
static void take_flaw(struct parser *p, const struct flaw *f)
{
    static const char prefix[] = "f-string";
    bool said = strncmp(f->message, prefix, sizeof prefix - 1) == 0;
    flaw_set(&p->flaw, f->kind, f->place, "%s%s",
             f->kind == FLAW_SYNTAX && !said ? "f-string: " : "", f->message);
    p->now.kind = TOKEN_ERROR;
}

/* c is an expression, or a tuple without parentheses; it is parsed as if in parentheses. */
static struct tree *parse_field_expression(struct parser *p, struct cursor c)
{
    struct parser inner;
    struct cursor first = c;
    while (first.at < first.end && is_blank(*first.at))
        cursor_step(&first);
    if (first.at == first.end && *c.end == '}')
        return parser_fail(p, c.place, "f-string: empty expression not allowed");
    if (first.at == first.end)
        return parser_fail(p, c.place, "f-string: expression required before '%c'", *c.end);
    if (!parser_enter(p))
        return NULL;
    parser_open(&inner, p->arena, c, true, p->depth);
    inner.trying = p->trying;
    struct tree *t = parser_expressions(&inner);
    if (t && !parser_is(&inner, TOKEN_END))
        t = parser_unexpected(&inner);
    if (!t)
        take_flaw(p, &inner.flaw);
    parser_leave(p);
    return t;
}

/* Behind {a: an = shows the source too, with its blanks. */
static bool parse_source(struct parser *p, struct cursor *c, const char *start, struct tree *field)
{
    if (cursor_peek(c, 0) != '=')
        return true;
    cursor_step(c);
    while (is_blank(cursor_peek(c, 0)))
        cursor_step(c);
    field->bytes = (size_t)(c->at - start);
    field->text = parser_copy(p, start, field->bytes);
    return field->text;
}

static bool parse_conversion(struct parser *p, struct cursor *c, struct tree *field)
{
    if (cursor_peek(c, 0) != '!')
        return true;
    cursor_step(c);
    if (c->at == c->end)
        return parser_fail(p, c->place, "f-string: expecting '}'");
    field->conversion = *c->at;
    if (!strchr("sra", field->conversion))
        return parser_fail(p, c->place,
                           "f-string: invalid conversion character: expected 's', 'r', or 'a'");
    cursor_step(c);
    return true;
}

static bool parse_format(struct parser *p, struct string *s, int level, struct tree *field)
{
    struct items pieces = {0};
    if (cursor_peek(&s->body, 0) != ':')
        return true;
    cursor_step(&s->body);
    struct tree *format = parser_tree(p, TREE_FSTRING, s->body.place);
    if (!format || !string_pieces(p, s, level + 1, &pieces))
        return false;
    format->items = pieces.first;
    field->b = parser_finish(p, format);
    return field->b;
}

/* At the opening brace. */
static bool parse_field(struct parser *p, struct string *s, int level, struct items *out)
{
    struct cursor *c = &s->body;
    struct tree *field = parser_tree(p, TREE_FIELD, c->place);
    if (!field)
        return false;
    if (level == FIELD_LEVELS)
        return parser_fail(p, c->place, "f-string: expressions nested too deeply");
    cursor_step(c);
    struct cursor source = *c;
    if (!scan_expression(p, c))
        return false;
    source.end = c->at;
    field->a = parse_field_expression(p, source);
    if (!field->a || !parse_source(p, c, source.at, field) || !parse_conversion(p, c, field) ||
        !parse_format(p, s, level, field))
        return false;
    if (cursor_peek(c, 0) != '}')
        return parser_fail(p, c->place, "f-string: expecting '}'");
    cursor_step(c);
    if (field->text && !field->b && !field->conversion)
        field->conversion = 'r';
    items_add(out, field);
    return parser_finish(p, field);
}

/* ---- f-strings ---- */

/* Steps over a character that is text; of an escape both, if it is none of a brace. */
static void step_text(const struct string *s, struct cursor *c)
{
    bool escape = *c->at == '\\' && !s->raw;
    cursor_step(c);
    char next = cursor_peek(c, 0);
    if (escape && next && next != '{' && next != '}')
        cursor_step(c);
}

/* Text up to a field, or to the end: of the string, or of a format. A doubled brace is one, but
 * not in a format. */
static bool parse_text(struct parser *p, struct string *s, int level, struct items *out)
{
    struct cursor *c = &s->body, start = *c;
    while (c->at < c->end && *c->at != '{' && *c->at != '}')
        step_text(s, c);
    bool doubled = level == 0 && c->at < c->end && cursor_peek(c, 1) == *c->at;
    if (doubled)
        cursor_step(c);
    else if (level == 0 && cursor_peek(c, 0) == '}')
        return parser_fail(p, c->place, "f-string: single '}' is not allowed");
    if (!string_text(p, start, c->at, s->raw, out))
        return false;
    if (doubled)
        cursor_step(c);
    return true;
}

bool string_pieces(struct parser *p, struct string *s, int level, struct items *out)
{
    struct cursor *c = &s->body;
    while (c->at < c->end) {
        if (level && *c->at == '}')
            return true;
        bool doubled = level == 0 && cursor_peek(c, 1) == '{';
        bool fine = *c->at == '{' && !doubled ? parse_field(p, s, level, out)
                                              : parse_text(p, s, level, out);
        if (!fine)
            return false;
    }
    return true;
}
