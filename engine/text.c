#include "engine/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "engine/utf8.h"

#define ROOM_FIRST ((size_t)64)

/* Room for so many more bytes and the NUL; t->bytes + more is at most t->max. */
static bool reserve(struct text *t, size_t more)
{
    if (more < t->room - t->bytes) /* room 0: 0 is not less than 0 */
        return true;
    size_t need = t->bytes + more + 1, want = need;
    if (want < ROOM_FIRST)
        want = ROOM_FIRST;
    if (want < 2 * t->room)
        want = 2 * t->room;
    char *grown = need > t->bytes ? arena_alloc(t->arena, want) : NULL;
    if (!grown) {
        t->failed = t->cut = true;
        return false;
    }
    if (t->bytes)
        memcpy(grown, t->at, t->bytes);
    t->at = grown;
    t->room = want;
    return true;
}

/* How many of count bytes may still be added. */
static size_t left_of(const struct text *t, size_t count)
{
    size_t left = t->max - t->bytes;
    return count < left ? count : left;
}

/* There are `written` more bytes behind the end; of `wanted`, if that is more, the rest is cut. */
static void extend(struct text *t, size_t written, size_t wanted)
{
    if (written < wanted) {
        t->cut = true;
        written = utf8_whole(t->at + t->bytes, written);
    }
    t->bytes += written;
    t->at[t->bytes] = '\0';
}

void text_add(struct text *t, const char *bytes, size_t count)
{
    size_t take = t->cut ? 0 : left_of(t, count);
    if (t->cut || !reserve(t, take))
        return;
    if (take)
        memcpy(t->at + t->bytes, bytes, take);
    extend(t, take, count);
}

void text_addf(struct text *t, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int length = vsnprintf(NULL, 0, format, args);
    va_end(args);
    size_t wanted = length > 0 ? (size_t)length : 0;
    size_t take = t->cut ? 0 : left_of(t, wanted);
    if (t->cut || !reserve(t, take))
        return;
    va_start(args, format);
    vsnprintf(t->at + t->bytes, take + 1, format, args);
    va_end(args);
    extend(t, take, wanted);
}

void text_fill(struct text *t, char c, size_t count)
{
    size_t take = t->cut ? 0 : left_of(t, count);
    if (t->cut || !reserve(t, take))
        return;
    memset(t->at + t->bytes, c, take);
    extend(t, take, count);
}
