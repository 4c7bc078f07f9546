#include "engine/show_spec.h"

#include <stdio.h>
#include <string.h>

#include "engine/show.h"
#include "engine/utf8.h"

/* What is left to be read. */
struct rest {
    const char *at, *end;
};

static bool next_is(const struct rest *r, const char *any)
{
    return r->at < r->end && *r->at && strchr(any, *r->at);
}

/* The next byte if it is one of any, and goes on behind it; otherwise 0. */
static char take(struct rest *r, const char *any)
{
    return next_is(r, any) ? *r->at++ : '\0';
}

/* A character as messages show it: itself, or its number if it is no printable ASCII. */
#define CODE_BYTES 16
static const char *code_text(uint32_t code, char *out)
{
    if (code > 32 && code < 128)
        snprintf(out, CODE_BYTES, "'%c'", (int)code);
    else
        snprintf(out, CODE_BYTES, "'\\x%x'", (unsigned)code);
    return out;
}

enum err_kind spec_unknown_type(const struct spec *s, struct err *e)
{
    char code[CODE_BYTES];
    return err_set(e, ERR_INVALID, "", "Unknown format code %s for object of type '%s'",
                   code_text(s->type, code), s->of);
}

/* Nothing to read leaves *out as it is. */
static enum err_kind read_integer(struct rest *r, int *out, struct err *e)
{
    const char *from = r->at;
    int64_t n = 0;
    for (char c; (c = take(r, "0123456789"));)
        if (__builtin_mul_overflow(n, 10, &n) || __builtin_add_overflow(n, c - '0', &n))
            return err_set(e, ERR_INVALID, "", "Too many decimal digits in format string");
    if (n > FORMAT_WIDTH_MAX)
        return err_set(e, ERR_INVALID, "",
                       "a format's width and precision are at most %d, got %lld", FORMAT_WIDTH_MAX,
                       (long long)n);
    if (r->at > from)
        *out = (int)n;
    return ERR_OK;
}

static void read_align(struct spec *s, struct rest *r)
{
    static const char aligns[] = "<>=^";
    uint32_t fill;
    if (r->at == r->end)
        return;
    struct rest behind = {r->at + utf8_read(r->at, r->end, &fill), r->end};
    if (next_is(&behind, aligns)) {
        s->fill = r->at;
        s->fill_bytes = (size_t)(behind.at - r->at);
        *r = behind;
    }
    s->align = take(r, aligns);
}

/* Sign, z, # and 0. A 0 before the width fills with zeros, behind the sign if x is a number. */
static void read_flags(struct spec *s, const struct value *x, struct rest *r)
{
    s->sign = take(r, "+- ");
    s->no_negative_zero = take(r, "z");
    s->alternate = take(r, "#");
    if (!s->fill && take(r, "0")) {
        s->fill = "0";
        s->fill_bytes = 1;
        if (!s->align && x->kind != VALUE_STRING)
            s->align = '=';
    }
}

static enum err_kind read_group(struct spec *s, struct rest *r, struct err *e)
{
    s->group = take(r, ",");
    bool both = s->group && next_is(r, "_");
    if (!s->group) {
        s->group = take(r, "_");
        both = s->group && next_is(r, ",");
    }
    return both ? err_set(e, ERR_INVALID, "", "Cannot specify both ',' and '_'.") : ERR_OK;
}

static enum err_kind read_precision(struct spec *s, struct rest *r, struct err *e)
{
    if (!take(r, "."))
        return ERR_OK;
    if (!next_is(r, "0123456789"))
        return err_set(e, ERR_INVALID, "", "Format specifier missing precision");
    return read_integer(r, &s->precision, e);
}

static enum err_kind read_type(struct spec *s, const struct rest *whole, struct rest *r,
                               struct err *e)
{
    if (r->at < r->end)
        r->at += utf8_read(r->at, r->end, &s->type);
    if (r->at == r->end)
        return ERR_OK;
    size_t bytes = (size_t)(whole->end - whole->at), shown = bytes < 200 ? bytes : 200;
    return err_set(e, ERR_INVALID, "", "Invalid format specifier '%.*s' for object of type '%s'",
                   (int)utf8_whole(whole->at, shown), whole->at, s->of);
}

static enum err_kind check_group(const struct spec *s, struct err *e)
{
    char code[CODE_BYTES];
    const char *takes = s->group == '_' ? "deEfFgG%boxX" : "deEfFgG%";
    if (!s->group || !s->type || (s->type < 128 && strchr(takes, (int)s->type)))
        return ERR_OK;
    return err_set(e, ERR_INVALID, "", "Cannot specify '%c' with %s.", s->group,
                   code_text(s->type, code));
}

/* What was not given. */
static void complete(struct spec *s, const struct value *x)
{
    if (!s->fill) {
        s->fill = " ";
        s->fill_bytes = 1;
    }
    if (!s->align)
        s->align = x->kind == VALUE_STRING ? '<' : '>';
}

static uint32_t default_type(const struct value *x)
{
    return x->kind == VALUE_STRING ? 's' : x->kind == VALUE_FLOAT ? 0 : 'd';
}

enum err_kind show_spec_read(struct spec *s, const struct value *x, const char *text, size_t bytes,
                             struct err *e)
{
    struct rest whole = {text, text + bytes}, r = whole;
    *s = (struct spec){
        .width = -1, .precision = -1, .type = default_type(x), .of = value_type_name(x)};
    read_align(s, &r);
    read_flags(s, x, &r);
    enum err_kind rc = read_integer(&r, &s->width, e);
    if (!rc)
        rc = read_group(s, &r, e);
    if (!rc)
        rc = read_precision(s, &r, e);
    if (!rc)
        rc = read_type(s, &whole, &r, e);
    complete(s, x);
    return rc ? rc : check_group(s, e);
}
