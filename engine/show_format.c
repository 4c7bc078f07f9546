/* format(x, spec) with Python's [[fill]align][sign][z][#][0][width][,|_][.precision][type]. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "engine/show_inside.h"
#include "engine/show_spec.h"
#include "engine/utf8.h"

/* ---- padding ------------------------------------------------------------------------------- */

static void put_fill(struct text *t, const struct spec *s, int count)
{
    for (int i = 0; i < count; i++)
        text_add(t, s->fill, s->fill_bytes);
}

/* Of so many blanks, those on the left. */
static int left_of(const struct spec *s, int blanks)
{
    return s->align == '<' || s->align == '=' ? 0 : s->align == '^' ? blanks / 2 : blanks;
}

static void put_padded(struct text *t, const struct spec *s, const char *text, size_t bytes)
{
    int blanks = 0;
    size_t characters = s->width > 0 ? utf8_count(text, bytes) : 0;
    if (s->width > 0 && characters < (size_t)s->width)
        blanks = s->width - (int)characters;
    put_fill(t, s, left_of(s, blanks));
    text_add(t, text, bytes);
    put_fill(t, s, blanks - left_of(s, blanks));
}

/* ---- strings ------------------------------------------------------------------------------- */

static enum err_kind format_string(struct text *t, const struct spec *s, const struct value *x,
                                   struct err *e)
{
    if (s->type != 's')
        return spec_unknown_type(s, e);
    const char *what = s->sign == ' '        ? "Space"
                       : s->sign             ? "Sign"
                       : s->no_negative_zero ? "Negative zero coercion (z)"
                       : s->alternate        ? "Alternate form (#)"
                       : s->align == '='     ? "'=' alignment"
                                             : NULL;
    if (what)
        return err_set(e, ERR_INVALID, "", "%s not allowed in string format specifier", what);
    size_t bytes = x->count;
    if (s->precision >= 0)
        bytes = utf8_head(x->text, bytes, (size_t)s->precision);
    put_padded(t, s, x->text, bytes);
    return ERR_OK;
}

/* ---- numbers ------------------------------------------------------------------------------- */

/* The parts of a number in their order. */
struct number {
    char sign;          /* 0: none */
    const char *prefix; /* "0x"; behind it stand the blanks of align = */
    const char *digits; /* those before the point */
    int count;
    const char *rest; /* the point and all behind it */
    size_t rest_bytes;
};

static char sign_of(const struct spec *s, bool negative)
{
    return negative ? '-' : s->sign == '-' ? 0 : s->sign;
}

/* Digits between two separators; 0: there are none. */
static int group_of(const struct spec *s)
{
    return !s->group ? 0 : s->type && s->type < 128 && strchr("boxX", (int)s->type) ? 4 : 3;
}

static int separators(int digits, int group)
{
    return group && digits ? (digits - 1) / group : 0;
}

/* The digits with zeros before them, `digits` in all. */
static void put_digits(struct text *t, const struct number *n, int digits, int group, char comma)
{
    for (int left = digits; left > 0; left--) {
        if (group && left < digits && left % group == 0)
            text_add(t, &comma, 1);
        text_add(t, left > n->count ? "0" : n->digits + (n->count - left), 1);
    }
}

/* Padding with zeros is grouped too, and goes on until nothing is missing: 0,001 for a width of 4
 * would be 001, but a separator never comes first. */
static int padded_digits(const struct spec *s, const struct number *n, int room)
{
    int digits = n->count;
    bool zeros = s->align == '=' && s->fill_bytes == 1 && *s->fill == '0';
    while (zeros && digits && digits + separators(digits, group_of(s)) < room)
        digits++;
    return digits;
}

static void put_number(struct text *t, const struct spec *s, const struct number *n)
{
    int room = s->width - (n->sign != 0) - (int)strlen(n->prefix) - (int)n->rest_bytes;
    int digits = padded_digits(s, n, room);
    int blanks = room - digits - separators(digits, group_of(s));
    if (blanks < 0)
        blanks = 0;
    int left = left_of(s, blanks), inside = s->align == '=' ? blanks : 0;
    put_fill(t, s, left);
    text_add(t, &n->sign, n->sign != 0);
    text_add(t, n->prefix, strlen(n->prefix));
    put_fill(t, s, inside);
    put_digits(t, n, digits, group_of(s), s->group);
    text_add(t, n->rest, n->rest_bytes);
    put_fill(t, s, blanks - left - inside);
}

/* All digits are 0; infinities have none. */
static bool is_zero(const char *digits)
{
    char first = digits[strcspn(digits, "123456789eEiI")];
    return first == '\0' || first == 'e' || first == 'E';
}

static enum err_kind format_float(struct text *t, const struct spec *s, double x, struct err *e)
{
    if (s->type && (s->type > 127 || !strchr("eEfFgGn%", (int)s->type)))
        return spec_unknown_type(s, e);
    char digits[FLOAT_DIGITS_BYTES];
    size_t bytes = float_digits(fabs(x), (char)s->type, s->precision, s->alternate, digits);
    bool negative = signbit(x) && !isnan(x);
    if (s->no_negative_zero && is_zero(digits))
        negative = false;
    size_t whole = strspn(digits, "0123456789");
    put_number(t, s,
               &(struct number){.sign = sign_of(s, negative),
                                .prefix = "",
                                .digits = digits,
                                .count = (int)whole,
                                .rest = digits + whole,
                                .rest_bytes = bytes - whole});
    return ERR_OK;
}

/* The character of that number. */
static enum err_kind format_character(struct text *t, const struct spec *s, int64_t code,
                                      struct err *e)
{
    const char *what = s->sign ? "Sign" : s->alternate ? "Alternate form (#)" : NULL;
    if (what)
        return err_set(e, ERR_INVALID, "", "%s not allowed with integer format specifier 'c'",
                       what);
    if (code < 0 || code > 0x10FFFF)
        return err_set(e, ERR_INVALID, "", "%%c arg not in range(0x110000)");
    if (code >= 0xD800 && code < 0xE000)
        return err_set(e, ERR_INVALID, "",
                       "'utf-8' codec can't encode character '\\u%04x': surrogates not allowed",
                       (unsigned)code);
    char text[UTF8_BYTES_MAX];
    struct spec padding = *s;
    if (padding.align == '=')
        padding.align = '>';
    put_padded(t, &padding, text, utf8_write((uint32_t)code, text));
    return ERR_OK;
}

static const char *prefix_of(const struct spec *s)
{
    if (!s->alternate)
        return "";
    return s->type == 'b'   ? "0b"
           : s->type == 'o' ? "0o"
           : s->type == 'x' ? "0x"
           : s->type == 'X' ? "0X"
                            : "";
}

static enum err_kind format_int(struct text *t, const struct spec *s, int64_t x, struct err *e)
{
    if (s->type && s->type < 128 && strchr("eEfFgG%", (int)s->type))
        return format_float(t, s, (double)x, e);
    if (!s->type || s->type > 127 || !strchr("bcdnoxX", (int)s->type))
        return spec_unknown_type(s, e);
    const char *what = s->precision >= 0     ? "Precision"
                       : s->no_negative_zero ? "Negative zero coercion (z)"
                                             : NULL;
    if (what)
        return err_set(e, ERR_INVALID, "", "%s not allowed in integer format specifier", what);
    if (s->type == 'c')
        return format_character(t, s, x, e);
    char digits[INT_DIGITS_BYTES];
    uint64_t size = x < 0 ? 0 - (uint64_t)x : (uint64_t)x;
    put_number(t, s,
               &(struct number){.sign = sign_of(s, x < 0),
                                .prefix = prefix_of(s),
                                .digits = digits,
                                .count = (int)int_digits(size, (char)s->type, digits),
                                .rest = ""});
    return ERR_OK;
}

/* ---- all kinds ----------------------------------------------------------------------------- */

static enum err_kind unsupported(const struct value *x, struct err *e)
{
    const char *name = x->kind == VALUE_TUPLE && x->names ? x->names : value_type_name(x);
    return err_set(e, ERR_INVALID, "", "unsupported format string passed to %.*s.__format__",
                   (int)strcspn(name, " "), name);
}

enum err_kind show_format(struct text *t, const struct value *x, const char *spec, size_t bytes,
                          struct err *e)
{
    struct value element;
    if (x->kind == VALUE_TENSOR && x->tensor->shape.rank == 0 && x->tensor->storage->data) {
        element = value_of_element(x->tensor, 0);
        x = &element;
    }
    if (bytes == 0) {
        show_str(t, x);
        return ERR_OK;
    }
    bool integer = x->kind == VALUE_INT || x->kind == VALUE_BOOL;
    if (!integer && x->kind != VALUE_FLOAT && x->kind != VALUE_STRING)
        return unsupported(x, e);
    struct spec s;
    enum err_kind rc = show_spec_read(&s, x, spec, bytes, e);
    if (rc)
        return rc;
    if (x->kind == VALUE_STRING)
        return format_string(t, &s, x, e);
    if (x->kind == VALUE_FLOAT)
        return format_float(t, &s, x->number, e);
    return format_int(t, &s, x->kind == VALUE_BOOL ? x->boolean : x->integer, e);
}
