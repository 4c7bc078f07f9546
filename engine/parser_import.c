/* import and from: one statement a name. */
#include <string.h>

#include "engine/parser.h"

#define MODULE_BYTES_MAX 200 /* of a dotted name; "from" repeats it for each name */

struct module {
    char text[MODULE_BYTES_MAX + 1];
    size_t bytes;
    int parts;
    struct token first;
};

static bool extend_module(struct parser *p, struct module *m, const struct token *name)
{
    if (m->bytes + 1 + name->bytes > MODULE_BYTES_MAX)
        return parser_limit(p, name->place, "a module's name has at most %d bytes",
                            MODULE_BYTES_MAX);
    if (m->parts++)
        m->text[m->bytes++] = '.';
    memcpy(m->text + m->bytes, name->text, name->bytes);
    m->bytes += name->bytes;
    m->text[m->bytes] = '\0';
    return true;
}

static bool parse_module(struct parser *p, struct module *m)
{
    m->bytes = 0;
    m->parts = 0;
    m->first = p->now;
    do {
        const struct token name = p->now;
        if (!parser_expect(p, TOKEN_NAME) || !extend_module(p, m, &name))
            return false;
    } while (parser_take(p, TOKEN_DOT));
    return true;
}

/* The module under a name: t, of which text, integer and a are set. */
static struct tree *import_as(struct parser *p, struct place place, const struct module *m,
                              const struct token *name, int parts)
{
    struct tree *t = parser_tree(p, TREE_IMPORT, place);
    if (!t || !(t->text = parser_copy(p, m->text, m->bytes)) || !(t->a = parser_name(p, name)))
        return NULL;
    t->bytes = m->bytes;
    t->integer = parts;
    return t;
}

/* "as name", or what stands for it if it is not there. */
static bool parse_as(struct parser *p, struct token *name, bool *given)
{
    *given = parser_take(p, TOKEN_AS);
    if (*given)
        *name = p->now;
    return !*given || parser_expect(p, TOKEN_NAME);
}

bool parser_import(struct parser *p, struct items *out)
{
    struct place place = p->now.place;
    struct module m;
    bool given;
    do {
        parser_advance(p);
        if (!parse_module(p, &m))
            return false;
        struct token name = m.first;
        if (!parse_as(p, &name, &given) ||
            !parser_add(p, out, import_as(p, place, &m, &name, given ? m.parts : 1)))
            return false;
    } while (parser_is(p, TOKEN_COMMA));
    return true;
}

static bool parse_imported(struct parser *p, struct place place, const struct module *from,
                           struct items *out)
{
    struct module m = *from;
    struct token name = p->now;
    bool given;
    if (!parser_expect(p, TOKEN_NAME) || !extend_module(p, &m, &name) ||
        !parse_as(p, &name, &given))
        return false;
    struct tree *t = import_as(p, place, &m, &name, m.parts);
    struct tree *module = t ? parser_tree(p, TREE_NAME, from->first.place) : NULL;
    if (!module || !(module->text = parser_copy(p, from->text, from->bytes)))
        return false;
    module->bytes = from->bytes;
    t->b = module;
    return parser_add(p, out, t);
}

static bool parse_all_imported(struct parser *p, struct place place, const struct module *from,
                               struct items *out)
{
    bool bracket = parser_take(p, TOKEN_PAREN);
    do {
        if (!parse_imported(p, place, from, out))
            return false;
        if (!parser_take(p, TOKEN_COMMA))
            break;
        if (!bracket && parser_is(p, TOKEN_NEWLINE))
            return parser_fail(p, p->now.place,
                               "trailing comma not allowed without surrounding parentheses");
    } while (!bracket || !parser_is(p, TOKEN_PAREN_END));
    return !bracket || parser_expect(p, TOKEN_PAREN_END);
}

bool parser_from(struct parser *p, struct items *out)
{
    struct place place = p->now.place;
    struct module from;
    parser_advance(p);
    if (parser_is(p, TOKEN_DOT) || parser_is(p, TOKEN_ELLIPSIS))
        return parser_refuse(p, p->now.place, "relative 'import' is");
    if (!parse_module(p, &from) || !parser_expect(p, TOKEN_IMPORT))
        return false;
    if (parser_is(p, TOKEN_MUL))
        return parser_refuse(p, p->now.place, "'import *' is");
    return parse_all_imported(p, place, &from, out);
}
