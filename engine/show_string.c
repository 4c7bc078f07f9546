/* Strings as Python's repr() and ascii() quote them. */
#include <string.h>

#include "engine/show_inside.h"
#include "engine/utf8.h"

/* The characters that str.isprintable() refuses: control, format, private, surrogates and all
 * spaces but U+0020. What Unicode 14 has not assigned counts as its neighbours do. */
static const struct {
    uint32_t first, last;
} unprintable[] = {
    {0x0, 0x1f},         {0x7f, 0xa0},       {0xad, 0xad},       {0x600, 0x605},
    {0x61c, 0x61c},      {0x6dd, 0x6dd},     {0x70f, 0x70f},     {0x890, 0x891},
    {0x8e2, 0x8e2},      {0x1680, 0x1680},   {0x180e, 0x180e},   {0x2000, 0x200f},
    {0x2028, 0x202f},    {0x205f, 0x206f},   {0x3000, 0x3000},   {0xd800, 0xf8ff},
    {0xfeff, 0xfeff},    {0xfff9, 0xfffb},   {0x110bd, 0x110bd}, {0x110cd, 0x110cd},
    {0x13430, 0x13438},  {0x1bca0, 0x1bca3}, {0x1d173, 0x1d17a}, {0xe0001, 0xe007f},
    {0xf0000, 0x10ffff},
};

static bool is_printable(uint32_t code)
{
    for (size_t i = 0; i < sizeof unprintable / sizeof *unprintable; i++)
        if (code <= unprintable[i].last)
            return code < unprintable[i].first;
    return true;
}

/* \n, \x07, \u200b, \U000e0001 */
static void put_escape(struct text *t, uint32_t code)
{
    static const char plain[] = "\t\n\r\\", letter[] = "tnr\\";
    const char *found = code && code < 0x80 ? strchr(plain, (int)code) : NULL;
    if (found)
        text_addf(t, "\\%c", letter[found - plain]);
    else
        text_addf(t,
                  code < 0x100     ? "\\x%02x"
                  : code < 0x10000 ? "\\u%04x"
                                   : "\\U%08x",
                  (unsigned)code);
}

void show_quoted(struct text *t, const char *text, size_t bytes, bool ascii)
{
    bool single = memchr(text, '\'', bytes), twice = memchr(text, '"', bytes);
    char quote = single && !twice ? '"' : '\'';
    const char *end = text + bytes;
    text_add(t, &quote, 1);
    while (text < end && !t->cut) {
        uint32_t code;
        size_t length = utf8_read(text, end, &code);
        if (code == '\\' || !is_printable(code) || (ascii && code >= 0x80))
            put_escape(t, code);
        else if (code == (unsigned char)quote)
            text_addf(t, "\\%c", quote);
        else
            text_add(t, text, length);
        text += length;
    }
    text_add(t, &quote, 1);
}
