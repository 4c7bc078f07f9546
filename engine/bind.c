/* engine/bind.c - looks up, once, what the names of a parsed program stand for.
 *
 * A method's name has one row whatever it is called on, and a plain name that is no variable is a
 * builtin; so both are found before the program runs, and a run compares no texts for them.
 */
#include <stdio.h>
#include <string.h>

#include "engine/interp_inside.h"
#include "engine/mem.h"

#define ALIASES_MAX 16

struct binding {
    bool pure;
    struct place *where;
    struct err *e;
    const struct tree *alias[ALIASES_MAX]; /* the imports, whose a is a module's name */
    int aliases;
};

static enum err_kind refuse(struct binding *b, const struct tree *t, const char *what)
{
    *b->where = t->place;
    return err_set(b->e, ERR_INVALID, "", "%s is not possible in a model's forward", what);
}

static void bind_row(struct tree *t, const char *prefix)
{
    char name[192];
    bool in_place = false;
    snprintf(name, sizeof name, "%s%s", prefix, t->text);
    t->row = builtin_find(name, &in_place);
    t->integer = in_place;
}

void import_path(const struct tree *t, char *text, size_t bytes)
{
    mem_fit(text, bytes, t->text);
    char *end = text;
    for (int64_t parts = t->integer; parts > 0 && *end; parts--)
        end += strcspn(end, ".") + (parts > 1);
    if (end < text + strlen(text))
        *end = '\0';
}

/* What a name is imported as, with a point behind it; torch always is. false: no module. */
static bool module_of(const struct binding *b, const char *name, char path[128])
{
    snprintf(path, 127, "torch");
    bool found = !strcmp(name, "torch");
    for (int i = 0; i < b->aliases; i++)
        if (!strcmp(b->alias[i]->a->text, name)) {
            import_path(b->alias[i], path, 127);
            found = builtin_is_module(path);
        }
    strcat(path, ".");
    return found;
}

/* Writes "torch.nn." of the expression torch.nn; false: it is no module. */
static bool module_path(const struct binding *b, const struct tree *t, char path[128])
{
    if (t->kind == TREE_NAME)
        return module_of(b, t->text, path);
    if (t->kind != TREE_ATTRIBUTE || !module_path(b, t->a, path))
        return false;
    size_t n = strlen(path);
    if (strlen(t->text) + n + 2 > 128)
        return false;
    mem_fit(path + n, 128 - n, t->text);
    bool found = builtin_is_module(path);
    strcat(path, ".");
    return found;
}

/* A run would find too that a module has no such attribute; but a model's forward is bound long
 * before it has data to run on. */
static enum err_kind bind_attribute(struct binding *b, struct tree *t)
{
    char path[128] = "", full[192];
    t->of_module = module_path(b, t->a, path);
    bind_row(t, t->of_module ? path : "Tensor.");
    snprintf(full, sizeof full, "%s%.60s", path, t->of_module ? t->text : "");
    if (!b->pure || !t->of_module || t->row || builtin_is_module(full))
        return ERR_OK;
    *b->where = t->place;
    return err_set(b->e, ERR_INVALID, "", "module '%.*s' has no attribute '%.60s'",
                   (int)strlen(path) - 1, path, t->text);
}

static enum err_kind bind_one(struct binding *b, struct tree *t)
{
    char what[96];
    enum err_kind rc = ERR_OK;
    if (t->kind == TREE_NAME)
        bind_row(t, "");
    else if (t->kind == TREE_ATTRIBUTE)
        rc = bind_attribute(b, t);
    else if (t->kind == TREE_IMPORT && b->aliases < ALIASES_MAX)
        b->alias[b->aliases++] = t;
    else if (b->pure && t->kind == TREE_ASSERT)
        return refuse(b, t, "assert");
    if (rc || !b->pure || !t->row || !(t->row->flags & BUILTIN_EFFECT || t->integer))
        return rc;
    snprintf(what, sizeof what, "'%.60s'", t->text);
    return refuse(b, t, what);
}

/* The depth of a tree is bounded by the parser; lists are walked in a loop. */
static enum err_kind bind_list(struct binding *b, struct tree *t)
{
    enum err_kind rc = ERR_OK;
    for (; !rc && t; t = t->next) {
        rc = bind_one(b, t);
        if (!rc)
            rc = bind_list(b, t->a);
        if (!rc)
            rc = bind_list(b, t->b);
        if (!rc)
            rc = bind_list(b, t->c);
        if (!rc)
            rc = bind_list(b, t->items);
    }
    return rc;
}

enum err_kind program_bind(struct program *p, bool pure, struct place *where, struct err *e)
{
    struct binding b = {.pure = pure, .where = where, .e = e};
    return bind_list(&b, p->first);
}
