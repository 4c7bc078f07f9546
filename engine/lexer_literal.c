/* Numbers, strings as a whole, and characters that Python programs do not have. */
#include <stdio.h>
#include <string.h>

#include "engine/digits.h"
#include "engine/lexer.h"

/* ---- numbers ---- */

static bool is_digit_of(char c, int base)
{
    return lexer_digit(c) >= 0 && lexer_digit(c) < base;
}

static const char *base_name(int base)
{
    return base == 2 ? "binary" : base == 8 ? "octal" : base == 16 ? "hexadecimal" : "decimal";
}

/* The place is the last character read. */
static bool fail_number(struct lexer *l, const char *kind)
{
    struct place place = l->cursor.place;
    place.column--;
    flaw_set(l->flaw, FLAW_LEXICAL, place, "invalid %s literal", kind);
    return false;
}

static bool fail_digit(struct lexer *l, int base)
{
    char next = cursor_peek(&l->cursor, 0);
    if (!digits_is(next))
        return fail_number(l, base_name(base));
    flaw_set(l->flaw, FLAW_LEXICAL, l->cursor.place, "invalid digit '%c' in %s literal", next,
             base_name(base));
    return false;
}

/* One or more digits, with single underscores between them. */
static bool read_digits(struct lexer *l, int base)
{
    struct cursor *c = &l->cursor;
    for (;;) {
        if (!is_digit_of(cursor_peek(c, 0), base))
            return fail_digit(l, base);
        while (is_digit_of(cursor_peek(c, 0), base))
            cursor_step(c);
        if (cursor_peek(c, 0) != '_')
            return !digits_is(cursor_peek(c, 0)) || fail_digit(l, base);
        cursor_step(c);
    }
}

static bool is_word_part(char c)
{
    return lexer_is_letter(c) || digits_is(c) || (unsigned char)c >= 0x80;
}

/* "1if x else y" is Python, though it advises against it; of if, in and is the beginning does. */
static bool is_keyword_behind(const struct cursor *c)
{
    static const char *const words[] = {"and", "else", "for", "or", "not", "if", "in", "is"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        size_t bytes = strlen(words[i]);
        if (bytes <= (size_t)(c->end - c->at) && memcmp(c->at, words[i], bytes) == 0)
            return words[i][0] == 'i' || !is_word_part(cursor_peek(c, bytes));
    }
    return false;
}

/* Behind a number stands no letter. */
static bool check_behind(struct lexer *l, const char *kind)
{
    char next = cursor_peek(&l->cursor, 0);
    bool word = lexer_is_letter(next) || (unsigned char)next >= 0x80;
    return !word || is_keyword_behind(&l->cursor) || fail_number(l, kind);
}

/* At "0x", "0o" or "0b". */
static bool read_based(struct lexer *l, int base)
{
    struct cursor *c = &l->cursor;
    cursor_step(c);
    cursor_step(c);
    if (cursor_peek(c, 0) == '_')
        cursor_step(c);
    return read_digits(l, base) && check_behind(l, base_name(base));
}

/* Digits, of which only zeros may follow a leading zero; *zeros: that is broken, which a point
 * or an exponent can still mend. */
static bool read_whole(struct lexer *l, bool *zeros)
{
    const char *first = l->cursor.at;
    *zeros = false;
    if (cursor_peek(&l->cursor, 0) == '.')
        return true;
    if (!read_digits(l, 10))
        return false;
    if (*first == '0')
        for (const char *p = first; p < l->cursor.at; p++)
            *zeros |= '1' <= *p && *p <= '9';
    return true;
}

/* At an e: an exponent, or a letter that may be the next word's. */
static bool read_exponent(struct lexer *l, bool *there)
{
    struct cursor *c = &l->cursor;
    char next = cursor_peek(c, 1);
    *there = digits_is(next) || next == '+' || next == '-';
    if (!*there)
        return true;
    cursor_step(c);
    if (next == '+' || next == '-')
        cursor_step(c);
    return read_digits(l, 10);
}

static bool read_fraction(struct lexer *l)
{
    cursor_step(&l->cursor);
    return !digits_is(cursor_peek(&l->cursor, 0)) || read_digits(l, 10);
}

static enum token_kind read_decimal(struct lexer *l)
{
    struct cursor *c = &l->cursor;
    struct place start = c->place;
    bool zeros, fraction = false, exponent = false;
    if (!read_whole(l, &zeros))
        return TOKEN_ERROR;
    if (cursor_peek(c, 0) == '.') {
        fraction = true;
        if (!read_fraction(l))
            return TOKEN_ERROR;
    }
    if ((cursor_peek(c, 0) | 0x20) == 'e' && !read_exponent(l, &exponent))
        return TOKEN_ERROR;
    if ((cursor_peek(c, 0) | 0x20) == 'j') {
        cursor_step(c);
        return check_behind(l, "imaginary") ? TOKEN_COMPLEX : TOKEN_ERROR;
    }
    if (zeros && !fraction && !exponent) {
        flaw_set(l->flaw, FLAW_LEXICAL, start,
                 "leading zeros in decimal integer literals are not permitted; "
                 "use an 0o prefix for octal integers");
        return TOKEN_ERROR;
    }
    if (!check_behind(l, "decimal"))
        return TOKEN_ERROR;
    return fraction || exponent ? TOKEN_FLOAT : TOKEN_INT;
}

enum token_kind lexer_number(struct lexer *l)
{
    char mark = (char)(cursor_peek(&l->cursor, 1) | 0x20);
    int base = mark == 'x' ? 16 : mark == 'o' ? 8 : mark == 'b' ? 2 : 10;
    if (cursor_peek(&l->cursor, 0) == '0' && base != 10)
        return read_based(l, base) ? TOKEN_INT : TOKEN_ERROR;
    return read_decimal(l);
}

/* ---- strings ---- */

static bool is_quoted(const struct cursor *c, char quote, int quotes)
{
    for (int i = 0; i < quotes; i++)
        if (cursor_peek(c, (size_t)i) != quote)
            return false;
    return true;
}

enum token_kind lexer_string(struct lexer *l, struct place start)
{
    struct cursor *c = &l->cursor;
    char quote = cursor_peek(c, 0);
    int quotes = is_quoted(c, quote, 3) ? 3 : 1;
    for (int i = 0; i < quotes; i++)
        cursor_step(c);
    while (c->at < c->end && !is_quoted(c, quote, quotes)) {
        if (quotes == 1 && *c->at == '\n')
            break;
        if (*c->at == '\\' && c->at + 1 < c->end)
            cursor_step(c);
        cursor_step(c);
    }
    if (is_quoted(c, quote, quotes)) {
        for (int i = 0; i < quotes; i++)
            cursor_step(c);
        return TOKEN_STRING;
    }
    int line = c->at == c->end && c->place.column == 1 ? c->place.line - 1 : c->place.line;
    flaw_set(l->flaw, FLAW_LEXICAL, start, "unterminated %sstring literal (detected at line %d)",
             quotes == 3 ? "triple-quoted " : "", line);
    return TOKEN_ERROR;
}

/* ---- what is no token ---- */

static unsigned decode(const char *text)
{
    const unsigned char *p = (const unsigned char *)text;
    if (p[0] < 0x80)
        return p[0];
    if (p[0] < 0xE0)
        return (p[0] & 0x1FU) << 6 | (p[1] & 0x3FU);
    if (p[0] < 0xF0)
        return (p[0] & 0xFU) << 12 | (p[1] & 0x3FU) << 6 | (p[2] & 0x3FU);
    return (p[0] & 7U) << 18 | (p[1] & 0x3FU) << 12 | (p[2] & 0x3FU) << 6 | (p[3] & 0x3FU);
}

struct range {
    unsigned first, last;
};

static bool is_among(unsigned c, const struct range *r, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (r[i].first <= c && c <= r[i].last)
            return true;
    return false;
}

/* Blanks and marks that cannot be seen, as copied text has them. */
static bool is_invisible(unsigned c)
{
    static const struct range r[] = {{0, 0x1F},        {0x7F, 0xA0},     {0xAD, 0xAD},
                                     {0x600, 0x605},   {0x61C, 0x61C},   {0x1680, 0x1680},
                                     {0x180E, 0x180E}, {0x2000, 0x200F}, {0x2028, 0x202F},
                                     {0x205F, 0x206F}, {0x3000, 0x3000}, {0xE000, 0xF8FF},
                                     {0xFEFF, 0xFEFF}, {0xFFF9, 0xFFFB}, {0xE0000, 0x10FFFF}};
    return is_among(c, r, sizeof r / sizeof *r);
}

/* Signs, not letters: Python has them in no name either. */
static bool is_sign(unsigned c)
{
    static const struct range r[] = {
        {0xA1, 0xA9},     {0xAB, 0xB4},     {0xB6, 0xB9},     {0xBB, 0xBF},      {0xD7, 0xD7},
        {0xF7, 0xF7},     {0x2010, 0x203E}, {0x2041, 0x2053}, {0x2055, 0x205E},  {0x2070, 0x2070},
        {0x2074, 0x207E}, {0x2080, 0x208E}, {0x20A0, 0x20CF}, {0x2190, 0x2BFF},  {0x3001, 0x3004},
        {0x3008, 0x3020}, {0xFF01, 0xFF0F}, {0xFF1A, 0xFF20}, {0x1F000, 0x1FAFF}};
    return is_among(c, r, sizeof r / sizeof *r);
}

enum token_kind lexer_stranger(struct lexer *l)
{
    struct cursor *c = &l->cursor;
    unsigned character = decode(c->at);
    struct place place = c->place;
    const char *first = c->at;
    do
        cursor_step(c);
    while (c->at < c->end && ((unsigned char)*c->at & 0xC0) == 0x80);
    if (is_invisible(character))
        flaw_set(l->flaw, FLAW_LEXICAL, place, "invalid non-printable character U+%04X", character);
    else if (character >= 0x80)
        flaw_set(l->flaw, is_sign(character) ? FLAW_LEXICAL : FLAW_FINAL, place,
                 "invalid character '%.*s' (U+%04X)%s", (int)(c->at - first), first, character,
                 is_sign(character) ? "" : ": names are made of ASCII letters in this language");
    return character < 0x80 && !l->flaw->kind ? TOKEN_UNKNOWN : TOKEN_ERROR;
}
