#include "tests/engine/tree_text.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct writer {
    FILE *out;
    bool places;
};

static void write_tree(struct writer *w, const struct tree *t);

static void write_place(struct writer *w, const struct tree *t)
{
    if (w->places)
        fprintf(w->out, "@%d:%d", t->place.line, t->place.column);
}

static void write_bytes(struct writer *w, const char *text, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c == '"' || c == '\\')
            fprintf(w->out, "\\%c", c);
        else if (c < 0x20 || c == 0x7F)
            fprintf(w->out, "\\x%02x", c);
        else
            fputc(c, w->out);
    }
}

static void write_parts(struct writer *w, const struct tree *const *part, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        fputc(' ', w->out);
        if (part[i])
            write_tree(w, part[i]);
        else
            fputc('_', w->out);
    }
}

static void write_list(struct writer *w, const struct tree *item)
{
    for (; item; item = item->next)
        write_parts(w, &item, 1);
}

/* (name a b c items…), of a, b and c the first so many */
static void write_form(struct writer *w, const struct tree *t, const char *name, size_t parts)
{
    const struct tree *part[] = {t->a, t->b, t->c};
    fprintf(w->out, "(%s", name);
    write_place(w, t);
    write_parts(w, part, parts);
    write_list(w, t->items);
    fputc(')', w->out);
}

static void write_field(struct writer *w, const struct tree *t)
{
    fputs(" {", w->out);
    write_tree(w, t->a);
    if (t->conversion)
        fprintf(w->out, " !%c", t->conversion);
    if (t->b) {
        fputs(" :", w->out);
        write_tree(w, t->b);
    }
    fputc('}', w->out);
}

/* Texts and the sources of {a=} are one string, as Python has them. */
static void write_fstring(struct writer *w, const struct tree *t)
{
    bool open = false;
    fputs("(f", w->out);
    write_place(w, t);
    for (const struct tree *item = t->items; item; item = item->next) {
        if (item->text) {
            fputs(open ? "" : " \"", w->out);
            write_bytes(w, item->text, item->bytes);
            open = true;
        }
        if (item->kind == TREE_FIELD) {
            fputs(open ? "\"" : "", w->out);
            write_field(w, item);
            open = false;
        }
    }
    fputs(open ? "\")" : ")", w->out);
}

static void write_string(struct writer *w, const struct tree *t)
{
    fputc('"', w->out);
    write_bytes(w, t->text, t->bytes);
    fputc('"', w->out);
    write_place(w, t);
}

static void write_compare(struct writer *w, const struct tree *t)
{
    fputs("(compare", w->out);
    write_place(w, t);
    write_parts(w, (const struct tree *const *)&t->a, 1);
    for (const struct tree *item = t->items; item; item = item->next) {
        fprintf(w->out, " %s ", tree_operator_text[item->op]);
        write_tree(w, item->b);
    }
    fputc(')', w->out);
}

static void write_import(struct writer *w, const struct tree *t)
{
    fprintf(w->out, "(import");
    write_place(w, t);
    fprintf(w->out, " %s %d %s%s%s)", t->text, (int)t->integer, t->a->text, t->b ? " from " : "",
            t->b ? t->b->text : "");
}

static void write_word(struct writer *w, const struct tree *t, const char *word)
{
    fputs(word, w->out);
    write_place(w, t);
}

static void write_number(struct writer *w, const struct tree *t)
{
    char text[40];
    if (t->kind == TREE_INT)
        snprintf(text, sizeof text, "%" PRId64, t->integer);
    else
        snprintf(text, sizeof text, "%.17gf", t->number);
    write_word(w, t, text);
}

static void write_attribute(struct writer *w, const struct tree *t)
{
    fputs("(.", w->out);
    write_place(w, t);
    write_parts(w, (const struct tree *const *)&t->a, 1);
    fprintf(w->out, " %s)", t->text);
}

static void write_argument(struct writer *w, const struct tree *t)
{
    if (t->text)
        fprintf(w->out, "%s=", t->text);
    write_tree(w, t->a);
}

static void write_operator(struct writer *w, const struct tree *t)
{
    char name[8];
    snprintf(name, sizeof name, "%s%s", tree_operator_text[t->op],
             t->kind == TREE_AUGMENTED ? "=" : "");
    write_form(w, t, name, t->kind == TREE_UNARY ? 1 : 2);
}

/* The value stands behind the targets. */
static void write_assign(struct writer *w, const struct tree *t)
{
    fputs("(=", w->out);
    write_place(w, t);
    write_list(w, t->items);
    write_parts(w, (const struct tree *const *)&t->b, 1);
    fputc(')', w->out);
}

static const struct {
    const char *name;
    size_t parts; /* 0 and no items: a word */
    bool word;
    void (*write)(struct writer *w, const struct tree *t);
} forms[] = {
    [TREE_NONE] = {.name = "None", .word = true},
    [TREE_TRUE] = {.name = "True", .word = true},
    [TREE_FALSE] = {.name = "False", .word = true},
    [TREE_ELLIPSIS] = {.name = "...", .word = true},
    [TREE_INT] = {.write = write_number},
    [TREE_FLOAT] = {.write = write_number},
    [TREE_STRING] = {.write = write_string},
    [TREE_FSTRING] = {.write = write_fstring},
    [TREE_TUPLE] = {.name = "tuple"},
    [TREE_LIST] = {.name = "list"},
    [TREE_UNARY] = {.write = write_operator},
    [TREE_BINARY] = {.write = write_operator},
    [TREE_COMPARE] = {.write = write_compare},
    [TREE_AND] = {.name = "and", .parts = 2},
    [TREE_OR] = {.name = "or", .parts = 2},
    [TREE_NOT] = {.name = "not", .parts = 1},
    [TREE_CONDITIONAL] = {.name = "if-else", .parts = 3},
    [TREE_ATTRIBUTE] = {.write = write_attribute},
    [TREE_CALL] = {.name = "call", .parts = 1},
    [TREE_ARGUMENT] = {.write = write_argument},
    [TREE_INDEX] = {.name = "[]", .parts = 2},
    [TREE_SLICE] = {.name = ":", .parts = 3},
    [TREE_ASSIGN] = {.write = write_assign},
    [TREE_AUGMENTED] = {.write = write_operator},
    [TREE_WITH] = {.name = "with", .parts = 1},
    [TREE_IMPORT] = {.write = write_import},
    [TREE_PASS] = {.name = "pass", .word = true},
    [TREE_ASSERT] = {.name = "assert", .parts = 2},
};

static void write_tree(struct writer *w, const struct tree *t)
{
    if (t->kind == TREE_NAME)
        write_word(w, t, t->text);
    else if (t->kind == TREE_EXPRESSION)
        write_tree(w, t->a);
    else if (forms[t->kind].write)
        forms[t->kind].write(w, t);
    else if (forms[t->kind].word)
        write_word(w, t, forms[t->kind].name);
    else
        write_form(w, t, forms[t->kind].name, forms[t->kind].parts);
}

char *tree_text(const struct program *p, bool places)
{
    char *text = NULL;
    size_t bytes;
    struct writer w = {open_memstream(&text, &bytes), places};
    if (!w.out)
        abort();
    for (const struct tree *t = p->first; t; t = t->next) {
        write_tree(&w, t);
        if (t->next)
            fputc(' ', w.out);
    }
    if (fclose(w.out) != 0)
        abort();
    return text;
}
