/* Any bytes: refused with a reason and a place in the text, or a tree as engine/tree.h has it. */
#include <stdlib.h>
#include <string.h>

#include "engine/decimal.h"
#include "engine/tree.h"
#include "tests/fuzz/fuzz.h"

static void expect(bool condition)
{
    if (!condition)
        abort();
}

/* What a kind has of a, b, c, items and text; "?" behind a letter: it may be missing. */
static const char *const parts[] = {
    [TREE_NONE] = "",           [TREE_TRUE] = "",        [TREE_FALSE] = "",
    [TREE_ELLIPSIS] = "",       [TREE_INT] = "",         [TREE_FLOAT] = "",
    [TREE_STRING] = "t",        [TREE_FSTRING] = "i?",   [TREE_FIELD] = "ab?t?",
    [TREE_NAME] = "t",          [TREE_TUPLE] = "i?",     [TREE_LIST] = "i?",
    [TREE_UNARY] = "a",         [TREE_BINARY] = "a?b",   [TREE_COMPARE] = "ai",
    [TREE_AND] = "ab",          [TREE_OR] = "ab",        [TREE_NOT] = "a",
    [TREE_CONDITIONAL] = "abc", [TREE_ATTRIBUTE] = "at", [TREE_CALL] = "ai?",
    [TREE_ARGUMENT] = "at?",    [TREE_INDEX] = "ab",     [TREE_SLICE] = "a?b?c?",
    [TREE_EXPRESSION] = "a",    [TREE_ASSIGN] = "bi",    [TREE_AUGMENTED] = "ab",
    [TREE_WITH] = "ai",         [TREE_IMPORT] = "ab?t",  [TREE_PASS] = "",
    [TREE_ASSERT] = "ab?",
};

/* Is there (or not) what parts says? */
static void check_part(const struct tree *t, char part, const void *there)
{
    const char *p = strchr(parts[t->kind], part);
    expect(there ? p != NULL : !p || p[1] == '?');
}

static void check_text(const struct tree *t)
{
    expect(t->text[t->bytes] == '\0');
    expect(t->kind == TREE_STRING || t->kind == TREE_FIELD || strlen(t->text) == t->bytes);
}

static int check_tree(const struct tree *t);

static int check_list(const struct tree *item)
{
    int statements = 0;
    for (; item; item = item->next)
        statements += check_tree(item);
    return statements;
}

/* Returns the number of statements in it. */
static int check_tree(const struct tree *t)
{
    const struct tree *const child[] = {t->a, t->b, t->c};
    expect((size_t)t->kind < sizeof parts / sizeof *parts && parts[t->kind]);
    expect(0 <= t->height && t->height <= PROGRAM_DEPTH_MAX && t->op < TREE_OP_COUNT);
    expect(t->place.line >= 1 && t->place.column >= 1);
    check_part(t, 'i', t->items);
    check_part(t, 't', t->text);
    if (t->text)
        check_text(t);
    int statements = t->kind >= TREE_EXPRESSION;
    for (int i = 0; i < 3; i++) {
        check_part(t, "abc"[i], child[i]);
        expect(!child[i] || child[i]->height <= t->height);
        statements += child[i] ? check_tree(child[i]) : 0;
    }
    return statements + check_list(t->items);
}

static void check_place(const uint8_t *data, size_t bytes, struct place where)
{
    int lines = 1;
    for (size_t i = 0; i < bytes; i++)
        lines += data[i] == '\n' || data[i] == '\r';
    expect(where.line >= 1 && where.line <= lines);
    expect(where.column >= 1 && (size_t)where.column <= bytes + 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    static bool ready;
    struct program p;
    struct place where;
    struct err e;
    if (!ready)
        decimal_init();
    ready = true;
    if (program_parse((const char *)data, bytes, &p, &where, &e)) {
        expect(e.kind == ERR_INVALID && e.message[0] && !p.first);
        check_place(data, bytes, where);
    } else {
        expect(check_list(p.first) == p.statements);
    }
    program_close(&p);
    return 0;
}
