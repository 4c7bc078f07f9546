#include "engine/lexer.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "engine/digits.h"

void flaw_set(struct flaw *f, enum flaw_kind kind, struct place place, const char *format, ...)
{
    va_list args;
    if (f->kind)
        return;
    f->kind = kind;
    f->place = place;
    va_start(args, format);
    vsnprintf(f->message, sizeof f->message, format, args);
    va_end(args);
}

void lexer_open(struct lexer *l, struct cursor c, bool inside, struct flaw *flaw)
{
    l->cursor = c;
    l->flaw = flaw;
    l->line_begins = !inside;
    l->inside = inside;
    l->pending = l->level = l->indents = 0;
    l->newline = c.place;
    l->wide[0] = l->narrow[0] = 0;
}

bool lexer_joins_lines(const struct lexer *l)
{
    return l->inside || l->level > 0;
}

/* ---- between tokens ---- */

static void skip_comment(struct cursor *c)
{
    if (cursor_peek(c, 0) != '#')
        return;
    while (c->at < c->end && *c->at != '\n')
        cursor_step(c);
}

/* Inside brackets at the end of the program: which of them is open. */
static bool fail_unclosed(struct lexer *l)
{
    const struct bracket *open = &l->brackets[l->level - 1];
    flaw_set(l->flaw, FLAW_UNCLOSED, open->place, "'%c' was never closed", open->opening);
    return false;
}

/* At a backslash: goes to the next line. */
static bool join_line(struct lexer *l)
{
    struct cursor *c = &l->cursor;
    cursor_step(c);
    struct place behind = c->place;
    if (cursor_peek(c, 0) != '\n') {
        flaw_set(l->flaw, FLAW_LINES, behind,
                 "unexpected character after line continuation character");
        return false;
    }
    cursor_step(c);
    if (c->at < c->end)
        return true;
    if (l->level)
        return fail_unclosed(l);
    flaw_set(l->flaw, FLAW_LINES, behind, "unexpected EOF while parsing");
    return false;
}

static bool skip_blanks(struct lexer *l)
{
    struct cursor *c = &l->cursor;
    for (;;) {
        char next = cursor_peek(c, 0);
        if (next == '#')
            skip_comment(c);
        else if (next == '\\') {
            if (!join_line(l))
                return false;
        } else if (next == ' ' || next == '\t' || next == '\f' ||
                   (next == '\n' && lexer_joins_lines(l)))
            cursor_step(c);
        else
            return true;
    }
}

/* ---- indentation ---- */

static void widen(char blank, int *wide, int *narrow)
{
    *wide = blank == '\f' ? 0 : blank == '\t' ? (*wide / 8 + 1) * 8 : *wide + 1;
    *narrow = blank == '\f' ? 0 : *narrow + 1;
}

/* The blanks that a line begins with. Of a line that `\` continues before anything was written,
 * the first part counts. */
static bool measure(struct lexer *l, int *wide, int *narrow)
{
    int joined = 0;
    *wide = *narrow = 0;
    for (;;) {
        char next = cursor_peek(&l->cursor, 0);
        if (next == ' ' || next == '\t' || next == '\f') {
            widen(next, wide, narrow);
            cursor_step(&l->cursor);
        } else if (next == '\\') {
            joined = joined ? joined : *wide;
            if (!join_line(l))
                return false;
        } else
            break;
    }
    if (joined)
        *wide = *narrow = joined;
    return true;
}

static bool fail_tabs(struct lexer *l)
{
    struct place start = {l->cursor.place.line, 1};
    flaw_set(l->flaw, FLAW_LINES, start, "inconsistent use of tabs and spaces in indentation");
    return false;
}

static bool fail_dedent(struct lexer *l)
{
    struct cursor end = l->cursor;
    while (end.at < end.end && *end.at != '\n')
        cursor_step(&end);
    flaw_set(l->flaw, FLAW_LINES, end.place, "unindent does not match any outer indentation level");
    return false;
}

static bool indent(struct lexer *l, int wide, int narrow)
{
    if (l->indents == PROGRAM_DEPTH_MAX) {
        flaw_set(l->flaw, FLAW_FINAL, l->cursor.place, "too many levels of indentation");
        return false;
    }
    if (narrow <= l->narrow[l->indents])
        return fail_tabs(l);
    l->indents++;
    l->wide[l->indents] = wide;
    l->narrow[l->indents] = narrow;
    l->pending = 1;
    return true;
}

/* Goes to the first line that is not blank, and says what its indentation means. */
static bool begin_line(struct lexer *l)
{
    int wide, narrow;
    for (;;) {
        if (!measure(l, &wide, &narrow))
            return false;
        skip_comment(&l->cursor);
        if (cursor_peek(&l->cursor, 0) != '\n')
            break;
        l->newline = l->cursor.place;
        cursor_step(&l->cursor);
    }
    l->line_begins = false;
    if (wide > l->wide[l->indents])
        return indent(l, wide, narrow);
    for (; wide < l->wide[l->indents]; l->indents--)
        l->pending--;
    if (wide != l->wide[l->indents])
        return fail_dedent(l);
    return narrow == l->narrow[l->indents] || fail_tabs(l);
}

/* ---- tokens ---- */

static bool open_bracket(struct lexer *l, char opening, struct place place)
{
    if (l->level == PROGRAM_DEPTH_MAX) {
        flaw_set(l->flaw, FLAW_FINAL, place, "too many nested parentheses");
        return false;
    }
    l->brackets[l->level++] = (struct bracket){opening, place};
    return true;
}

static bool close_bracket(struct lexer *l, char closing, struct place place)
{
    if (l->level == 0) {
        flaw_set(l->flaw, FLAW_LEXICAL, place, "unmatched '%c'", closing);
        return false;
    }
    const struct bracket *open = &l->brackets[--l->level];
    char expected = open->opening == '(' ? ')' : open->opening == '[' ? ']' : '}';
    if (closing == expected)
        return true;
    char line[32] = "";
    if (open->place.line != place.line)
        snprintf(line, sizeof line, " on line %d", open->place.line);
    flaw_set(l->flaw, FLAW_LEXICAL, place,
             "closing parenthesis '%c' does not match opening parenthesis '%c'%s", closing,
             open->opening, line);
    return false;
}

static const struct {
    const char *text;
    enum token_kind kind;
} marks[] =
    {
#define LEXER_ROW(name, text) {text, TOKEN_##name},
        LEXER_MARKS(LEXER_ROW)},
  keywords[] = {LEXER_KEYWORDS(LEXER_ROW)
#undef LEXER_ROW
};

static bool stands_at(const struct cursor *c, const char *text, size_t bytes)
{
    return bytes <= (size_t)(c->end - c->at) && memcmp(c->at, text, bytes) == 0;
}

static enum token_kind read_mark(struct lexer *l)
{
    struct cursor *c = &l->cursor;
    struct place place = c->place;
    for (size_t i = 0; i < sizeof marks / sizeof *marks; i++) {
        size_t bytes = strlen(marks[i].text);
        if (!stands_at(c, marks[i].text, bytes))
            continue;
        for (; bytes; bytes--)
            cursor_step(c);
        char first = marks[i].text[0];
        if (strchr("([{", first) && !open_bracket(l, first, place))
            return TOKEN_ERROR;
        if (strchr(")]}", first) && !close_bracket(l, first, place))
            return TOKEN_ERROR;
        return marks[i].kind;
    }
    return lexer_stranger(l);
}

/* Python's string prefixes: r, u, b, f, and r with b or f in any order; in any case. */
static bool is_prefix(const char *text, size_t bytes)
{
    char lower[2] = {0};
    if (bytes > 2)
        return false;
    for (size_t i = 0; i < bytes; i++)
        lower[i] = (char)(text[i] | 0x20);
    if (bytes == 1)
        return strchr("rubf", lower[0]) != NULL;
    return (lower[0] == 'r') != (lower[1] == 'r') &&
           strchr("bf", lower[0] == 'r' ? lower[1] : lower[0]) != NULL;
}

static enum token_kind read_word(struct lexer *l, const struct token *t)
{
    struct cursor *c = &l->cursor;
    while (lexer_is_letter(cursor_peek(c, 0)) || digits_is(cursor_peek(c, 0)))
        cursor_step(c);
    size_t bytes = (size_t)(c->at - t->text);
    char next = cursor_peek(c, 0);
    if ((next == '"' || next == '\'') && is_prefix(t->text, bytes))
        return lexer_string(l, t->place);
    if ((unsigned char)next >= 0x80)
        return lexer_stranger(l);
    for (size_t i = 0; i < sizeof keywords / sizeof *keywords; i++) {
        if (strlen(keywords[i].text) == bytes && memcmp(keywords[i].text, t->text, bytes) == 0)
            return keywords[i].kind;
    }
    return TOKEN_NAME;
}

static enum token_kind read_end(struct lexer *l)
{
    if (l->level == 0)
        return TOKEN_END;
    fail_unclosed(l);
    return TOKEN_ERROR;
}

static enum token_kind read_token(struct lexer *l, const struct token *t)
{
    struct cursor *c = &l->cursor;
    char next = cursor_peek(c, 0);
    if (c->at == c->end)
        return read_end(l);
    if (next == '\n') {
        l->newline = c->place;
        l->line_begins = true;
        cursor_step(c);
        return TOKEN_NEWLINE;
    }
    if (lexer_is_letter(next))
        return read_word(l, t);
    if (digits_is(next) || (next == '.' && digits_is(cursor_peek(c, 1))))
        return lexer_number(l);
    if (next == '"' || next == '\'')
        return lexer_string(l, t->place);
    return read_mark(l);
}

void lexer_next(struct lexer *l, struct token *t)
{
    const struct cursor *c = &l->cursor;
    t->kind = TOKEN_ERROR;
    t->bytes = 0;
    if (l->flaw->kind || (l->line_begins && !begin_line(l)))
        return;
    if (l->pending == 0 && !skip_blanks(l))
        return;
    t->text = c->at;
    t->place = c->at == c->end && !l->inside ? l->newline : c->place;
    if (l->pending) {
        t->kind = l->pending > 0 ? TOKEN_INDENT : TOKEN_DEDENT;
        l->pending += l->pending > 0 ? -1 : 1;
        return;
    }
    t->kind = read_token(l, t);
    t->bytes = (size_t)(c->at - t->text);
}

enum token_kind lexer_ahead(const struct lexer *l)
{
    struct lexer copy = *l;
    struct flaw ignored = {0};
    struct token t;
    copy.flaw = &ignored;
    lexer_next(&copy, &t);
    return t.kind;
}

struct flaw lexer_rest(const struct lexer *l)
{
    struct lexer copy = *l;
    struct flaw found = {0};
    struct token t;
    copy.flaw = &found;
    do
        lexer_next(&copy, &t);
    while (t.kind != TOKEN_ERROR && t.kind != TOKEN_END);
    return found;
}
