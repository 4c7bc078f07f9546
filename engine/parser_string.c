/* Strings: prefixes, escapes, and several that stand behind each other. */
#include <string.h>

#include "engine/parser_string.h"

/* ---- escapes ---- */

static char *put_character(char *out, unsigned c)
{
    if (c < 0x80) {
        *out++ = (char)c;
    } else if (c < 0x800) {
        *out++ = (char)(0xC0 | c >> 6);
        *out++ = (char)(0x80 | (c & 0x3F));
    } else if (c < 0x10000) {
        *out++ = (char)(0xE0 | c >> 12);
        *out++ = (char)(0x80 | (c >> 6 & 0x3F));
        *out++ = (char)(0x80 | (c & 0x3F));
    } else {
        *out++ = (char)(0xF0 | c >> 18);
        *out++ = (char)(0x80 | (c >> 12 & 0x3F));
        *out++ = (char)(0x80 | (c >> 6 & 0x3F));
        *out++ = (char)(0x80 | (c & 0x3F));
    }
    return out;
}

/* Python counts positions in a string of which all but ASCII is written as \UXXXXXXXX. */
static int count_positions(const char *from, const char *to)
{
    int count = 0;
    for (; from < to; from++) {
        unsigned char byte = (unsigned char)*from;
        count += byte < 0x80 ? 1 : byte >= 0xC0 ? 10 : 0;
    }
    return count;
}

/* A text that is being decoded. */
struct decoder {
    struct parser *p;
    struct cursor c;
    const char *start; /* of the text in the program */
    char *out;
};

static bool fail_escape(struct decoder *d, struct cursor escape, const char *what)
{
    int first = count_positions(d->start, escape.at);
    int last = first + (int)(d->c.at - escape.at) - 1;
    return parser_fail(d->p, escape.place,
                       "(unicode error) 'unicodeescape' codec can't decode bytes in position "
                       "%d-%d: %s",
                       first, last, what);
}

/* Behind \x, \u or \U: the digits. */
static bool decode_hex(struct decoder *d, struct cursor escape, int digits)
{
    unsigned c = 0;
    for (int i = 0; i < digits; i++) {
        int digit = lexer_digit(cursor_peek(&d->c, 0));
        if (digit < 0)
            return fail_escape(d, escape,
                               digits == 2   ? "truncated \\xXX escape"
                               : digits == 4 ? "truncated \\uXXXX escape"
                                             : "truncated \\UXXXXXXXX escape");
        c = c << 4 | (unsigned)digit;
        cursor_step(&d->c);
    }
    if (c > 0x10FFFF)
        return fail_escape(d, escape, "illegal Unicode character");
    if (0xD800 <= c && c <= 0xDFFF)
        return parser_refuse(d->p, escape.place, "a surrogate in a string is");
    d->out = put_character(d->out, c);
    return true;
}

static void decode_octal(struct decoder *d, unsigned c)
{
    for (int i = 0; i < 2; i++) {
        char next = cursor_peek(&d->c, 0);
        if (next < '0' || next > '7')
            break;
        c = c << 3 | (unsigned)(next - '0');
        cursor_step(&d->c);
    }
    d->out = put_character(d->out, c);
}

/* At the backslash. An escape that Python does not know stays as it is. */
static bool decode_escape(struct decoder *d)
{
    static const char letters[] = "\\'\"abfnrtv", values[] = "\\'\"\a\b\f\n\r\t\v";
    struct cursor escape = d->c;
    cursor_step(&d->c);
    char c = cursor_peek(&d->c, 0);
    const char *letter = c ? strchr(letters, c) : NULL;
    if (c)
        cursor_step(&d->c);
    if (letter)
        *d->out++ = values[letter - letters];
    else if (c == 'x' || c == 'u' || c == 'U')
        return decode_hex(d, escape, c == 'x' ? 2 : c == 'u' ? 4 : 8);
    else if ('0' <= c && c <= '7')
        decode_octal(d, (unsigned)(c - '0'));
    else if (c == 'N')
        return parser_refuse(d->p, escape.place, "'\\N{...}' in a string is");
    else if (c != '\n') {
        *d->out++ = '\\';
        d->c = escape;
        cursor_step(&d->c);
    }
    return true;
}

/* c as a TREE_STRING; an escape is never shorter than what it stands for. */
static struct tree *decode(struct parser *p, struct cursor c, bool raw)
{
    struct tree *t = parser_tree(p, TREE_STRING, c.place);
    struct decoder d = {p, c, c.at, t ? arena_alloc(p->arena, (size_t)(c.end - c.at) + 1) : NULL};
    if (!d.out)
        return parser_nomem(p);
    t->text = d.out;
    while (d.c.at < d.c.end) {
        if (!raw && *d.c.at == '\\') {
            if (!decode_escape(&d))
                return NULL;
            continue;
        }
        *d.out++ = *d.c.at;
        cursor_step(&d.c);
    }
    *d.out = '\0';
    t->bytes = (size_t)(d.out - t->text);
    return t;
}

bool string_text(struct parser *p, struct cursor c, const char *end, bool raw, struct items *out)
{
    c.end = end;
    if (c.at == end)
        return true;
    struct tree *t = decode(p, c, raw);
    if (t)
        items_add(out, t);
    return t;
}

/* ---- strings ---- */

static void open_string(const struct token *t, struct string *s)
{
    *s = (struct string){.body = {t->text, t->text + t->bytes, t->place}};
    for (; *s->body.at != '"' && *s->body.at != '\''; cursor_step(&s->body)) {
        char prefix = (char)(*s->body.at | 0x20);
        s->raw |= prefix == 'r';
        s->formatted |= prefix == 'f';
        s->bytes |= prefix == 'b';
    }
    int quotes = string_triple(&s->body, *s->body.at) && s->body.end - s->body.at >= 6 ? 3 : 1;
    s->body.end -= quotes;
    for (; quotes; quotes--)
        cursor_step(&s->body);
}

static bool parse_string(struct parser *p, struct items *out, bool *formatted)
{
    struct string s;
    open_string(&p->now, &s);
    if (s.bytes)
        return parser_refuse(p, p->now.place, "bytes literals are");
    *formatted |= s.formatted;
    return s.formatted ? string_pieces(p, &s, 0, out)
                       : string_text(p, s.body, s.body.end, s.raw, out);
}

/* Joins the texts from first up to the next field into one; *rest: that field. */
static struct tree *join_texts(struct parser *p, struct place place, struct tree *first,
                               struct tree **rest)
{
    size_t bytes = 0;
    *rest = first;
    for (; *rest && (*rest)->kind == TREE_STRING; *rest = (*rest)->next)
        bytes += (*rest)->bytes;
    struct tree *t = parser_tree(p, TREE_STRING, place);
    char *text = t ? arena_alloc(p->arena, bytes + 1) : NULL;
    if (!text)
        return parser_nomem(p);
    t->text = text;
    t->bytes = bytes;
    for (; first != *rest; first = first->next) {
        memcpy(text, first->text, first->bytes);
        text += first->bytes;
    }
    *text = '\0';
    return t;
}

/* Of a string with fields: one text between two fields, none that is empty. */
static bool join_pieces(struct parser *p, struct tree *piece, struct items *out)
{
    while (piece) {
        struct tree *rest = piece->next, *t = piece;
        if (piece->kind == TREE_STRING && !(t = join_texts(p, piece->place, piece, &rest)))
            return false;
        t->next = NULL;
        if (t->kind == TREE_FIELD || t->bytes)
            items_add(out, t);
        piece = rest;
    }
    return true;
}

struct tree *parser_strings(struct parser *p)
{
    struct place place = p->now.place;
    struct items pieces = {0}, joined = {0};
    struct tree *rest;
    bool formatted = false;
    for (; parser_is(p, TOKEN_STRING); parser_advance(p))
        if (!parse_string(p, &pieces, &formatted))
            return NULL;
    if (!formatted)
        return join_texts(p, place, pieces.first, &rest);
    struct tree *t =
        join_pieces(p, pieces.first, &joined) ? parser_tree(p, TREE_FSTRING, place) : NULL;
    if (!t)
        return NULL;
    t->items = joined.first;
    return parser_finish(p, t);
}
