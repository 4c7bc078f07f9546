#include "api/json_string.h"

#include <string.h>

#include "engine/utf8.h"

/* Sets *fault; returns where. */
static const char *refuse(const char *at, const char *what, const char **fault)
{
    *fault = what;
    return at;
}

static int hex_value(char c)
{
    if ('0' <= c && c <= '9')
        return c - '0';
    c |= 0x20;
    return 'a' <= c && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The value of \uXXXX at p, -1: there is none. */
static int read_unicode(const char *p, const char *end)
{
    int code = 0;
    if (end - p < 6 || p[0] != '\\' || p[1] != 'u')
        return -1;
    for (int i = 2; i < 6; i++) {
        int digit = hex_value(p[i]);
        if (digit < 0)
            return -1;
        code = code << 4 | digit;
    }
    return code;
}

/* p is at the backslash of \u. */
static const char *skip_unicode(const char *p, const char *end, const char **fault)
{
    int code = read_unicode(p, end);
    if (code < 0)
        return refuse(p, "expected four hexadecimal digits after \\u", fault);
    if (code == 0)
        return refuse(p, "\\u0000 is not taken here", fault);
    if (code < 0xD800 || code > 0xDFFF)
        return p + 6;
    int low = code < 0xDC00 ? read_unicode(p + 6, end) : -1;
    if (low < 0xDC00 || low > 0xDFFF)
        return refuse(p, "half of a surrogate pair", fault);
    return p + 12;
}

/* p is at the backslash. */
static const char *skip_escape(const char *p, const char *end, const char **fault)
{
    if (end - p >= 2 && p[1] == 'u')
        return skip_unicode(p, end, fault);
    if (end - p < 2 || !p[1] || !strchr("\"\\/bfnrt", p[1]))
        return refuse(p, "expected one of \"\\/bfnrtu after the backslash", fault);
    return p + 2;
}

/* p is at a character that does not stand for itself. */
static const char *skip_special(const char *p, const char *end, const char **fault)
{
    if (*p == '\\')
        return skip_escape(p, end, fault);
    if ((unsigned char)*p < 0x20)
        return refuse(p, "a control character in a string must be escaped", fault);
    size_t bytes = utf8_length(p, end);
    return bytes ? p + bytes : refuse(p, "invalid UTF-8", fault);
}

const char *json_skip_string(const char *text, const char *end, const char **fault)
{
    const char *p = text + 1;
    while (!*fault) {
        while (p < end && utf8_is_plain(*p))
            p++;
        if (p == end)
            return refuse(text, "the string that starts here does not end", fault);
        if (*p == '"')
            return p + 1;
        p = skip_special(p, end, fault);
    }
    return p;
}
