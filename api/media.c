#include "api/media.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

static const char *const names[] = {
#define NAME(id, name) name,
    MEDIA(NAME)
#undef NAME
};

const char *media_name(enum media media)
{
    return names[media];
}

static bool is_name(const char *text, size_t bytes, const char *name)
{
    return bytes == strlen(name) && !strncasecmp(text, name, bytes);
}

enum media media_read(const char *content_type)
{
    size_t bytes = strcspn(content_type, "; \t");
    int media = 0;
    while (media < MEDIA_COUNT && !is_name(content_type, bytes, names[media]))
        media++;
    return (enum media)media;
}

const char *media_join(unsigned set, char *text, size_t bytes)
{
    size_t n = 0;
    text[0] = '\0';
    for (int i = 0; i < MEDIA_COUNT && n < bytes; i++)
        if (set & MEDIA_BIT(i))
            n += (size_t)snprintf(text + n, bytes - n, "%s%s", n ? ", " : "", names[i]);
    return text;
}

/* ---- Accept -------------------------------------------------------------------------------- */

/* How exactly does a range name the type: itself 3, its group 2, all types 1, not at all 0. */
static unsigned char exactness(const char *range, size_t bytes, const char *name)
{
    size_t group = strcspn(name, "/") + 1;
    if (is_name(range, bytes, name))
        return 3;
    if (bytes == group + 1 && range[group] == '*' && !strncasecmp(range, name, group))
        return 2;
    return is_name(range, bytes, "*/*");
}

/* The q among the parameters up to end, in thousandths; 1000 where there is none. */
static short read_weight(const char *at, const char *end)
{
    for (; at < end; at++) {
        if (*at != ';')
            continue;
        do
            at++;
        while (at < end && (*at == ' ' || *at == '\t'));
        if (end - at < 3 || tolower((unsigned char)*at) != 'q' || at[1] != '=')
            continue;
        short weight = at[2] == '0' ? 0 : 1000, digit = 100;
        at += 3;
        if (weight == 0 && at < end && *at == '.')
            for (at++; at < end && isdigit((unsigned char)*at) && digit; at++, digit /= 10)
                weight = (short)(weight + digit * (*at - '0'));
        return weight;
    }
    return 1000;
}

/* Of one of its ranges, which ends at end. */
static void note_range(struct accept *a, const char *range, const char *end)
{
    size_t bytes = strcspn(range, ";, \t");
    short weight = read_weight(range + bytes, end);
    for (int i = 0; i < MEDIA_COUNT; i++) {
        unsigned char exact = exactness(range, bytes, names[i]);
        if (exact > a->exact[i]) {
            a->exact[i] = exact;
            a->weight[i] = weight;
        }
    }
}

void accept_read(struct accept *a, const char *value)
{
    a->given = true;
    while (*value) {
        value += strspn(value, " \t,");
        const char *end = value + strcspn(value, ",");
        if (end > value)
            note_range(a, value, end);
        value = end;
    }
}

enum media accept_choose(const struct accept *a, unsigned set, enum media first)
{
    enum media best = first;
    for (int i = 0; a->given && i < MEDIA_COUNT; i++)
        if ((set & MEDIA_BIT(i)) && a->weight[i] > a->weight[best])
            best = (enum media)i;
    return best;
}
