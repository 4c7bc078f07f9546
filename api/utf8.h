/* api/utf8.h - is it UTF-8? Pure. */
#ifndef API_UTF8_H
#define API_UTF8_H

#include <stdbool.h>
#include <stddef.h>

/* The bytes of the character at text, 1 to 4; 0 if there is none: a stray or missing continuation,
 * an overlong form, a surrogate, or above U+10FFFF (Unicode 15, table 3-7). text < end. */
size_t utf8_length(const char *text, const char *end);

/* ASCII that stands for itself in a JSON string. */
static inline bool utf8_is_plain(char c)
{
    return (unsigned char)(c - 0x20) < 0x60 && c != '"' && c != '\\';
}

#endif
