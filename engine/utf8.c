#include "engine/utf8.h"

static bool is_within(char c, unsigned low, unsigned high)
{
    return low <= (unsigned char)c && (unsigned char)c <= high;
}

size_t utf8_length(const char *text, const char *end)
{
    unsigned char first = (unsigned char)*text;
    size_t bytes = first < 0x80 ? 1 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
    if (bytes == 1)
        return 1;
    if (first < 0xC2 || first > 0xF4 || (size_t)(end - text) < bytes)
        return 0;
    /* the second byte says whether the form is overlong, a surrogate or too high */
    unsigned low = first == 0xE0 ? 0xA0 : first == 0xF0 ? 0x90 : 0x80;
    unsigned high = first == 0xED ? 0x9F : first == 0xF4 ? 0x8F : 0xBF;
    if (!is_within(text[1], low, high))
        return 0;
    for (size_t i = 2; i < bytes; i++) {
        if (!is_within(text[i], 0x80, 0xBF))
            return 0;
    }
    return bytes;
}

size_t utf8_read(const char *text, const char *end, uint32_t *code)
{
    size_t bytes = utf8_length(text, end);
    unsigned char first = (unsigned char)*text;
    if (bytes == 0)
        *code = 0xDC00u + first;
    else if (bytes == 1)
        *code = first;
    else
        *code = first & (0x7Fu >> bytes);
    for (size_t i = 1; i < bytes; i++)
        *code = *code << 6 | ((unsigned char)text[i] & 0x3F);
    return bytes ? bytes : 1;
}

size_t utf8_write(uint32_t code, char *out)
{
    static const unsigned char lead[] = {0, 0, 0xC0, 0xE0, 0xF0};
    size_t bytes = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    for (size_t i = bytes; i-- > 1; code >>= 6)
        out[i] = (char)(0x80 | (code & 0x3F));
    out[0] = (char)(lead[bytes] | code);
    return bytes;
}

size_t utf8_count(const char *text, size_t bytes)
{
    size_t characters = 0;
    uint32_t code;
    for (size_t at = 0; at < bytes; at += utf8_read(text + at, text + bytes, &code))
        characters++;
    return characters;
}

size_t utf8_head(const char *text, size_t bytes, size_t characters)
{
    size_t at = 0;
    uint32_t code;
    for (; at < bytes && characters > 0; characters--)
        at += utf8_read(text + at, text + bytes, &code);
    return at;
}

size_t utf8_whole(const char *text, size_t bytes)
{
    size_t lead = bytes;
    while (lead > 0 && bytes - lead < UTF8_BYTES_MAX - 1 && is_within(text[lead - 1], 0x80, 0xBF))
        lead--;
    if (lead == 0 || (unsigned char)text[lead - 1] < 0xC0)
        return bytes;
    lead--;
    unsigned char first = (unsigned char)text[lead];
    size_t wants = first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
    return bytes - lead < wants ? lead : bytes;
}
