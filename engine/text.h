/* engine/text.h - a text that grows in an arena.
 *
 * Whoever adds to it need not look whether there was room: what is over `max`, or finds no memory,
 * is cut off, and so is all that comes after it.
 * Threads: those of its arena.
 */
#ifndef ENGINE_TEXT_H
#define ENGINE_TEXT_H

#include <string.h>

#include "engine/mem.h"

/* Zeroed but for arena and max it is empty. */
struct text {
    struct arena *arena;
    char *at; /* NUL-terminated once anything was added; NULL before */
    size_t bytes, room;
    size_t max;  /* bytes, without the NUL; SIZE_MAX: any number */
    bool cut;    /* something was cut off, never within a character of UTF-8 */
    bool failed; /* … because there was no memory */
};

void text_add(struct text *t, const char *bytes, size_t count);
void text_addf(struct text *t, const char *format, ...) PRINTF_LIKE(2, 3);
/* The same character, so many times. */
void text_fill(struct text *t, char c, size_t count);

static inline void text_puts(struct text *t, const char *text)
{
    text_add(t, text, strlen(text));
}

#endif
