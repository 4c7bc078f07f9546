#include "server/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define VALUE_BYTES 600

struct text {
    char bytes[LOG_LINE_BYTES];
    size_t used;
};

static const char *const level_name[] = {"info", "warn", "error"};

static void put_bytes(struct text *t, const char *piece, size_t bytes)
{
    size_t room = sizeof t->bytes - 1 - t->used;
    if (bytes > room)
        bytes = room;
    memcpy(t->bytes + t->used, piece, bytes);
    t->used += bytes;
}

static void put(struct text *t, const char *piece)
{
    put_bytes(t, piece, strlen(piece));
}

/* A JSON string, in text lines too. Bytes outside ASCII are escaped one by one: a client may send
 * anything, and a terminal must not obey it. */
static void put_quoted(struct text *t, const char *value)
{
    size_t end = t->used + VALUE_BYTES;
    put(t, "\"");
    for (; *value && t->used < end; value++) {
        unsigned char c = (unsigned char)*value;
        char escape[8];
        if (c == '"' || c == '\\')
            snprintf(escape, sizeof escape, "\\%c", c);
        else if (c < 0x20 || c >= 0x7f)
            snprintf(escape, sizeof escape, "\\u%04x", c);
        else
            snprintf(escape, sizeof escape, "%c", c);
        put(t, escape);
    }
    put(t, "\"");
}

static bool is_plain_byte(char c)
{
    bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    return letter || (c >= '0' && c <= '9') || (c && strchr("-._~/:?&+,@", c));
}

/* Can value stand without quotes in a line of text? */
static bool is_plain(const char *value)
{
    size_t bytes = 0;
    while (is_plain_byte(value[bytes]))
        bytes++;
    return bytes > 0 && bytes <= VALUE_BYTES && value[bytes] == '\0';
}

static bool has_control(const char *text)
{
    while (*text && (unsigned char)*text >= 0x20 && *text != 0x7f)
        text++;
    return *text != '\0';
}

/* With zeros in front, up to that many digits; printf takes ten times as long. */
static void put_number(struct text *t, int64_t number, int least)
{
    char digits[24];
    size_t at = sizeof digits;
    uint64_t rest = number < 0 ? 0 - (uint64_t)number : (uint64_t)number;
    for (; rest || least > 0; rest /= 10, least--)
        digits[--at] = (char)('0' + rest % 10);
    if (number < 0)
        digits[--at] = '-';
    put_bytes(t, digits + at, sizeof digits - at);
}

static void put_time(struct text *t)
{
    struct timespec now;
    struct tm utc;
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &utc);
    put_number(t, utc.tm_year + 1900, 4);
    static const char *const before[] = {"-", "-", "T", ":", ":"};
    const int part[] = {utc.tm_mon + 1, utc.tm_mday, utc.tm_hour, utc.tm_min, utc.tm_sec};
    for (int i = 0; i < 5; i++) {
        put(t, before[i]);
        put_number(t, part[i], 2);
    }
    put(t, ".");
    put_number(t, now.tv_nsec / 1000000, 3);
    put(t, "Z");
}

static void put_head(struct text *t, bool json, enum log_level level, const char *message)
{
    put(t, json ? "{\"time\":\"" : "");
    put_time(t);
    put(t, json ? "\",\"level\":\"" : " ");
    put(t, level_name[level]);
    put(t, json ? "\",\"message\":" : " ");
    if (json || has_control(message))
        put_quoted(t, message);
    else
        put(t, message);
}

static void put_field(struct text *t, bool json, const struct log_field *f)
{
    put(t, json ? ",\"" : " ");
    put(t, f->key);
    put(t, json ? "\":" : "=");
    if (!f->text)
        put_number(t, f->number, 1);
    else if (json || !is_plain(f->text))
        put_quoted(t, f->text);
    else
        put(t, f->text);
}

void log_event(const struct log *l, enum log_level level, const char *message,
               const struct log_field *field, size_t fields)
{
    struct text t;
    t.used = 0;
    put_head(&t, l->json, level, message);
    for (size_t i = 0; i < fields; i++)
        put_field(&t, l->json, &field[i]);
    put(&t, l->json ? "}" : "");
    t.bytes[t.used++] = '\n'; /* put always leaves this byte */
    if (l->batch) {
        log_batch_put(l->batch, t.bytes, t.used, level != LOG_INFO || fields == 0);
        return;
    }
    ssize_t written = write(l->fd, t.bytes, t.used);
    (void)written; /* there is nowhere to complain about a log that cannot be written */
}

void log_text(const struct log *l, enum log_level level, const char *format, ...)
{
    char message[VALUE_BYTES];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    log_event(l, level, message, NULL, 0);
}
