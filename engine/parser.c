#include "engine/parser.h"

#include <string.h>

void items_add(struct items *list, struct tree *t)
{
    if (list->last)
        list->last->next = t;
    else
        list->first = t;
    list->last = t;
}

/* ---- tokens ---- */

void parser_open(struct parser *p, struct arena *arena, struct cursor c, bool inside, int depth)
{
    memset(p, 0, sizeof *p);
    p->arena = arena;
    p->depth = depth;
    lexer_open(&p->lexer, c, inside, &p->flaw);
    parser_advance(p);
}

void parser_advance(struct parser *p)
{
    lexer_next(&p->lexer, &p->now);
}

bool parser_take(struct parser *p, enum token_kind kind)
{
    if (!parser_is(p, kind))
        return false;
    parser_advance(p);
    return true;
}

bool parser_expect(struct parser *p, enum token_kind kind)
{
    return parser_take(p, kind) || parser_unexpected(p);
}

static void *fail_depth(struct parser *p, struct place place)
{
    return parser_limit(p, place, "nested more than %d levels deep", PROGRAM_DEPTH_MAX);
}

bool parser_enter(struct parser *p)
{
    if (p->depth == PROGRAM_DEPTH_MAX)
        return fail_depth(p, p->now.place);
    p->depth++;
    return true;
}

void parser_leave(struct parser *p)
{
    p->depth--;
}

/* ---- trees ---- */

struct tree *parser_tree(struct parser *p, enum tree_kind kind, struct place place)
{
    struct tree *t = arena_alloc(p->arena, sizeof *t);
    if (!t)
        return parser_nomem(p);
    memset(t, 0, sizeof *t);
    t->kind = kind;
    t->place = place;
    return t;
}

static int higher(int height, const struct tree *part)
{
    return part && part->height >= height ? part->height + 1 : height;
}

/* A part that its tree's reader goes through without a call of its own: it is no level. */
static bool is_wrapper(const struct tree *t)
{
    if (t->kind >= TREE_EXPRESSION)
        return t->kind != TREE_WITH;
    return t->kind == TREE_ARGUMENT || t->kind == TREE_FIELD || (t->kind == TREE_BINARY && !t->a);
}

struct tree *parser_finish(struct parser *p, struct tree *t)
{
    int height = higher(higher(higher(0, t->a), t->b), t->c);
    for (const struct tree *item = t->items; item; item = item->next)
        height = higher(height, item);
    t->height = height && is_wrapper(t) ? height - 1 : height;
    if (t->height <= PROGRAM_DEPTH_MAX)
        return t;
    return fail_depth(p, t->place);
}

char *parser_copy(struct parser *p, const char *text, size_t bytes)
{
    char *copy = arena_alloc(p->arena, bytes + 1);
    if (!copy)
        return parser_nomem(p);
    memcpy(copy, text, bytes);
    copy[bytes] = '\0';
    return copy;
}

struct tree *parser_name(struct parser *p, const struct token *token)
{
    struct tree *t = parser_tree(p, TREE_NAME, token->place);
    if (!t || !(t->text = parser_copy(p, token->text, token->bytes)))
        return NULL;
    t->bytes = token->bytes;
    return t;
}

bool parser_add(struct parser *p, struct items *out, struct tree *t)
{
    if (!t || !parser_finish(p, t))
        return false;
    p->statements++;
    items_add(out, t);
    return true;
}
