#include "engine/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "engine/mem.h"

static const struct {
    const char *slug, *title;
} kinds[] = {
#define ERR_ROW(kind, slug, title) [ERR_##kind] = {slug, title},
    ERR_KINDS(ERR_ROW)
#undef ERR_ROW
};

enum err_kind err_set_at(struct err *e, enum err_kind kind, const char *file, int line,
                         const char *pointer, const char *format, ...)
{
    va_list args;
    e->kind = kind;
    e->file = file;
    e->line = line;
    mem_fit(e->pointer, sizeof e->pointer, pointer);
    va_start(args, format);
    vsnprintf(e->message, sizeof e->message, format, args);
    va_end(args);
    return kind;
}

/* Puts text before what buffer holds; cuts the end if it does not fit. */
static void prepend(char *buffer, size_t bytes, const char *text)
{
    size_t add = strlen(text);
    if (add >= bytes)
        add = bytes - 1;
    size_t keep = strlen(buffer);
    if (add + keep >= bytes)
        keep = bytes - 1 - add;
    memmove(buffer + add, buffer, keep);
    memcpy(buffer, text, add);
    buffer[add + keep] = '\0';
}

enum err_kind err_prefix(struct err *e, const char *format, ...)
{
    char text[sizeof e->pointer];
    va_list args;
    if (e->kind == ERR_NOMEM)
        return e->kind;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    prepend(e->pointer, sizeof e->pointer, text);
    return e->kind;
}

enum err_kind err_wrap(struct err *e, const char *format, ...)
{
    char text[sizeof e->message];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    prepend(e->message, sizeof e->message, text);
    return e->kind;
}

void err_escape(const char *key, char *out, int bytes)
{
    int n = 0;
    for (; *key && n + 2 < bytes; key++) {
        if (*key == '~' || *key == '/') {
            out[n++] = '~';
            out[n++] = *key == '~' ? '0' : '1';
        } else {
            out[n++] = *key;
        }
    }
    out[n] = '\0';
}

const char *err_slug(enum err_kind kind)
{
    return kinds[kind].slug;
}

const char *err_title(enum err_kind kind)
{
    return kinds[kind].title;
}
