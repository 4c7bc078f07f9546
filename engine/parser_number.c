/* What number tokens are worth. */
#include "engine/decimal.h"
#include "engine/digits.h"
#include "engine/parser.h"

/* false: it does not fit. */
static bool read_int(const struct token *t, uint64_t *out)
{
    char mark = t->bytes > 1 ? (char)(t->text[1] | 0x20) : '0';
    int base = mark == 'x' ? 16 : mark == 'o' ? 8 : mark == 'b' ? 2 : 10;
    *out = 0;
    for (size_t i = base == 10 ? 0 : 2; i < t->bytes; i++) {
        if (t->text[i] == '_')
            continue;
        uint64_t digit = (uint64_t)lexer_digit(t->text[i]);
        if (__builtin_mul_overflow(*out, (uint64_t)base, out) ||
            __builtin_add_overflow(*out, digit, out))
            return false;
    }
    return true;
}

/* Behind the number stands what binds tighter than the minus before it. */
static bool binds_tighter(enum token_kind next)
{
    return next == TOKEN_POW || next == TOKEN_DOT || next == TOKEN_PAREN || next == TOKEN_BRACKET;
}

struct tree *parser_int(struct parser *p)
{
    const struct token token = p->now;
    struct tree *t = parser_tree(p, TREE_INT, token.place);
    uint64_t value;
    bool fits = read_int(&token, &value);
    if (!t)
        return NULL;
    parser_advance(p);
    bool least = fits && value == (uint64_t)1 << 63 && token.text == p->behind_minus &&
                 !binds_tighter(p->now.kind);
    if (!least && (!fits || value > INT64_MAX))
        return parser_refuse(p, token.place, "an integer beyond int64 is");
    t->integer = least ? INT64_MIN : (int64_t)value;
    return t;
}

/* Rewrites a float so that JSON has it too, which decimal.h reads: no underscores, no more zeros
 * before the point than one, digits on both sides of it. out has room for bytes + 2. */
static char *as_json(const struct token *t, char *out)
{
    const char *p = t->text, *end = t->text + t->bytes;
    while (p < end && (*p == '0' || *p == '_'))
        p++;
    if (p == end || !digits_is(*p))
        *out++ = '0';
    for (; p < end; p++) {
        bool bare = *p == '.' && (p + 1 == end || !digits_is(p[1]));
        if (*p != '_' && !bare)
            *out++ = *p;
    }
    return out;
}

struct tree *parser_float(struct parser *p)
{
    struct tree *t = parser_tree(p, TREE_FLOAT, p->now.place);
    char *text = t ? arena_alloc(p->arena, p->now.bytes + 2) : NULL;
    if (!text)
        return parser_nomem(p);
    char *end = as_json(&p->now, text);
    if (decimal_read_f64(text, end, &t->number) != end)
        return parser_unexpected(p);
    parser_advance(p);
    return t;
}
