/* engine/utf8.h - the characters of a text. Pure. */
#ifndef ENGINE_UTF8_H
#define ENGINE_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The bytes of the character at text, 1 to 4; 0 if there is none: a stray or missing continuation,
 * an overlong form, a surrogate, or above U+10FFFF (Unicode 15, table 3-7). text < end. */
size_t utf8_length(const char *text, const char *end);

/* The same for any bytes, with the character's number: a byte that is no UTF-8 is a character of
 * its own, U+DC00 plus the byte, as Python's "surrogateescape" reads it. */
size_t utf8_read(const char *text, const char *end, uint32_t *code);
/* Writes a character, up to U+10FFFF and no surrogate; returns its bytes. Not terminated. */
#define UTF8_BYTES_MAX 4
size_t utf8_write(uint32_t code, char *out);

/* How many characters bytes hold, and the bytes of the first `characters` of them (fewer if there
 * are fewer). */
size_t utf8_count(const char *text, size_t bytes);
size_t utf8_head(const char *text, size_t bytes, size_t characters);
/* The bytes without what is left of a character at the end that was cut in two. */
size_t utf8_whole(const char *text, size_t bytes);

/* ASCII that stands for itself in a JSON string. */
static inline bool utf8_is_plain(char c)
{
    return (unsigned char)(c - 0x20) < 0x60 && c != '"' && c != '\\';
}

#endif
