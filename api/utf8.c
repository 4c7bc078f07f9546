#include "api/utf8.h"

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
