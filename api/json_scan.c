/* A cursor walks the text once. Open arrays and objects are a count and one bit each, so depth
 * costs nothing and is refused early. */
#include "api/json_scan.h"

#include <string.h>

#include "api/json_string.h"
#include "engine/decimal.h"
#include "engine/digits.h"
#include "engine/mem.h"

struct scan {
    const char *at, *end;
    const char *text;
    struct json *out;
    size_t room;             /* spans that out->span has room for */
    bool keeps;              /* the elements of literals */
    size_t float_room;       /* elements that out->float32 has room for */
    size_t first;            /* element of the literal around the cursor */
    size_t values;           /* outside literals */
    int depth;               /* open arrays and objects */
    uint64_t objects;        /* bit n: the container at depth n + 1 is an object */
    const char *literal;     /* where the literal around the cursor starts, NULL: outside */
    int literal_depth;       /* the depth outside of it */
    struct json_shape shape; /* of it */
    const char *ordinary;    /* no array that opens before this is a literal */
    struct err *e;
};

/* Of a longer text the elements are not kept: they would take up to four times as much. */
#define KEPT_BYTES ((size_t)8 << 20)

_Static_assert(JSON_DEPTH_MAX <= 64, "scan.objects has a bit for each depth");

/* Says what was expected at the cursor, and where that is: lines end with \n, columns count
 * characters, both from 1. Returns false, as every function here that filled s->e. */
static bool refuse(struct scan *s, const char *what)
{
    size_t line = 1, column = 1;
    for (const char *p = s->text; p < s->at; p++) {
        if (*p == '\n') {
            line++;
            column = 1;
        } else if ((*p & 0xC0) != 0x80) {
            column++;
        }
    }
    err_set(s->e, ERR_MALFORMED, "", "line %zu, column %zu: %s", line, column, what);
    return false;
}

static bool is_at(const struct scan *s, char c)
{
    return s->at < s->end && *s->at == c;
}

static void skip_blanks(struct scan *s)
{
    while (s->at < s->end && json_is_blank(*s->at))
        s->at++;
}

static bool take(struct scan *s, char c)
{
    if (!is_at(s, c))
        return false;
    s->at++;
    return true;
}

static bool in_object(const struct scan *s)
{
    return s->objects >> (s->depth - 1) & 1;
}

/* ---- spans --------------------------------------------------------------------------------- */

static bool grow_spans(struct scan *s)
{
    size_t room = s->room ? 2 * s->room : 16; /* at most JSON_NODES_MAX doubled: no overflow */
    struct json_span *span = mem_resize(s->out->span, s->out->spans, room, sizeof *span);
    if (!span) {
        err_set(s->e, ERR_NOMEM, "", "no memory for the request's values");
        return false;
    }
    s->out->span = span;
    s->room = room;
    return true;
}

/* Keeps the text from start to the cursor; shape: of a literal, NULL: a number. */
static bool keep_span(struct scan *s, const char *start, const struct json_shape *shape)
{
    if (s->out->spans == s->room && !grow_spans(s))
        return false;
    struct json_span *span = &s->out->span[s->out->spans++];
    *span = (struct json_span){.text = start, .bytes = (size_t)(s->at - start)};
    if (shape) {
        span->rank = shape->fault ? -1 : shape->rank;
        memcpy(span->dim, shape->dim, sizeof span->dim);
        span->first = s->first;
        span->floats = s->out->floats - s->first;
    }
    return true;
}

static bool grow_floats(struct scan *s)
{
    size_t room = s->float_room ? 2 * s->float_room : 1024; /* at most the text doubled */
    float *grown = mem_resize(s->out->float32, s->out->floats, room, sizeof *grown);
    if (!grown) {
        err_set(s->e, ERR_NOMEM, "", "no memory for the request's numbers");
        return false;
    }
    s->out->float32 = grown;
    s->float_room = room;
    return true;
}

/* ---- scalars ------------------------------------------------------------------------------- */

static const char *skip_digits(const char *p, const char *end)
{
    while (end - p >= 8 && digits_are(digits_load(p)))
        p += 8;
    while (p < end && digits_is(*p))
        p++;
    return p;
}

static bool starts_number(const char *p, const char *end)
{
    return p < end && (*p == '-' || digits_is(*p));
}

/* p is at a '-' or a digit. Returns the position behind the number, or where *fault is. */
static inline const char *skip_number(const char *p, const char *end, const char **fault)
{
    const char *first = p += *p == '-';
    while (p < end && digits_is(*p))
        p++;
    if (p == first)
        *fault = "expected a digit";
    else if (*first == '0' && p - first > 1)
        *fault = "a number cannot start with 0 and another digit";
    if (p < end && *p == '.') {
        first = ++p;
        p = skip_digits(p, end);
        if (p == first)
            *fault = "expected a digit after the point";
    }
    if (p < end && (*p == 'e' || *p == 'E')) {
        p++;
        first = p += p < end && (*p == '-' || *p == '+');
        p = skip_digits(p, end);
        if (p == first)
            *fault = "expected a digit in the exponent";
    }
    return p;
}

/* A number outside of literals. */
static bool scan_number(struct scan *s)
{
    const char *fault = NULL, *start = s->at;
    s->at = skip_number(s->at, s->end, &fault);
    return fault ? refuse(s, fault) : keep_span(s, start, NULL);
}

/* A number in a literal, and those that follow with no more than a comma and blanks between: where
 * large requests spend their time. */
static bool scan_numbers(struct scan *s)
{
    struct json *j = s->out;
    float ignored[64], *to = ignored;
    size_t room = sizeof ignored / sizeof *ignored;
    if (s->keeps && j->floats == s->float_room && !grow_floats(s))
        return false;
    if (s->keeps) {
        to = j->float32 + j->floats;
        room = s->float_room - j->floats;
    }
    size_t count = decimal_read_floats(&s->at, s->end, to, room);
    if (count == 0) {
        const char *fault = "expected a number";
        s->at = skip_number(s->at, s->end, &fault);
        return refuse(s, fault);
    }
    j->floats += s->keeps ? count : 0;
    json_shape_numbers(&s->shape, (int64_t)count);
    return true;
}

/* The cursor is at the quote. */
static bool scan_string(struct scan *s)
{
    const char *fault = NULL;
    s->at = json_skip_string(s->at, s->end, &fault);
    return !fault || refuse(s, fault);
}

/* A non-finite number in a literal. */
static bool scan_nonfinite(struct scan *s, double x)
{
    if (s->keeps && s->out->floats == s->float_room && !grow_floats(s))
        return false;
    if (s->keeps)
        s->out->float32[s->out->floats++] = (float)x;
    json_shape_numbers(&s->shape, 1);
    return scan_string(s);
}

static bool scan_word(struct scan *s)
{
    static const char *const words[] = {"true", "false", "null"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        size_t bytes = strlen(words[i]);
        if ((size_t)(s->end - s->at) >= bytes && memcmp(s->at, words[i], bytes) == 0) {
            s->at += bytes;
            return true;
        }
    }
    return refuse(s, "expected a value");
}

/* ---- arrays and objects -------------------------------------------------------------------- */

/* At '[': do the brackets that open here lead to a number, a non-finite string or nothing? */
static bool opens_literal(struct scan *s)
{
    const char *p = s->at;
    double x;
    if (p < s->ordinary)
        return false;
    for (int depth = s->depth; p < s->end && (*p == '[' || json_is_blank(*p)); p++) {
        if (*p == '[' && ++depth > JSON_DEPTH_MAX)
            break; /* will be refused */
    }
    if (p < s->end && (*p == '-' || *p == ']' || digits_is(*p) || json_nonfinite(p, s->end, &x)))
        return true;
    s->ordinary = p;
    return false;
}

static bool push(struct scan *s, bool object)
{
    if (s->depth == JSON_DEPTH_MAX)
        return refuse(s, "nested too deep");
    if (!object && !s->literal && opens_literal(s)) {
        s->literal = s->at;
        s->literal_depth = s->depth;
        s->first = s->out->floats;
        s->shape = JSON_SHAPE_START;
    }
    if (s->literal && !object)
        json_shape_open(&s->shape);
    else if (s->literal)
        json_shape_other(&s->shape);
    uint64_t bit = (uint64_t)1 << s->depth++;
    s->objects = object ? s->objects | bit : s->objects & ~bit;
    s->at++;
    return true;
}

/* Behind the closing bracket. */
static bool pop(struct scan *s)
{
    s->depth--;
    if (!s->literal)
        return true;
    json_shape_close(&s->shape);
    if (s->depth != s->literal_depth)
        return true;
    const char *start = s->literal;
    s->literal = NULL;
    return keep_span(s, start, &s->shape);
}

/* A key, the colon, and the blanks before the value. */
static bool scan_key(struct scan *s)
{
    if (!is_at(s, '"'))
        return refuse(s, "expected a key in quotes");
    if (!scan_string(s))
        return false;
    skip_blanks(s);
    if (!take(s, ':'))
        return refuse(s, "expected ':'");
    skip_blanks(s);
    return true;
}

/* At an opening bracket: goes on to the first value inside; *whole: there is none. */
static bool scan_opening(struct scan *s, bool *whole)
{
    bool object = *s->at == '{';
    if (!push(s, object))
        return false;
    skip_blanks(s);
    *whole = take(s, object ? '}' : ']');
    if (*whole)
        return pop(s);
    return !object || scan_key(s);
}

static bool count_value(struct scan *s)
{
    if (s->literal || ++s->values <= JSON_NODES_MAX)
        return true;
    err_set(s->e, ERR_INVALID, "", "more than %d values outside arrays of numbers", JSON_NODES_MAX);
    return false;
}

/* A string or a word. */
static bool scan_other(struct scan *s)
{
    double x;
    if (s->literal && json_nonfinite(s->at, s->end, &x))
        return scan_nonfinite(s, x);
    if (s->literal)
        json_shape_other(&s->shape);
    return is_at(s, '"') ? scan_string(s) : scan_word(s);
}

/* At a value: passes a scalar, or goes on to the first value inside of an array or object.
 * *whole: the value ended. */
static bool scan_value(struct scan *s, bool *whole)
{
    if (is_at(s, '[') || is_at(s, '{'))
        return count_value(s) && scan_opening(s, whole);
    *whole = true;
    if (!starts_number(s->at, s->end))
        return count_value(s) && scan_other(s);
    return s->literal ? scan_numbers(s) : count_value(s) && scan_number(s);
}

/* Behind a value: goes on to the next one, out of arrays and objects that end; depth 0: all is
 * done. */
static bool scan_next(struct scan *s)
{
    while (s->depth) {
        bool object = in_object(s);
        skip_blanks(s);
        if (take(s, ',')) {
            skip_blanks(s);
            return !object || scan_key(s);
        }
        if (!take(s, object ? '}' : ']'))
            return refuse(s, object ? "expected ',' or '}'" : "expected ',' or ']'");
        if (!pop(s))
            return false;
    }
    return true;
}

static bool scan_document(struct scan *s)
{
    bool whole = false;
    if (s->end - s->at >= 3 && memcmp(s->at, "\xEF\xBB\xBF", 3) == 0)
        return refuse(s, "a byte order mark is not taken here");
    skip_blanks(s);
    if (s->at == s->end)
        return true;
    do {
        if (!scan_value(s, &whole) || (whole && !scan_next(s)))
            return false;
    } while (s->depth);
    skip_blanks(s);
    return s->at == s->end || refuse(s, "expected nothing more");
}

enum err_kind json_scan(const char *text, size_t bytes, struct json *out, size_t *values,
                        struct err *e)
{
    struct scan s = {.at = text,
                     .end = text + bytes,
                     .text = text,
                     .keeps = bytes <= KEPT_BYTES,
                     .out = out,
                     .e = e};
    bool fine = scan_document(&s);
    *values = s.values;
    return fine ? ERR_OK : e->kind;
}

struct json_shape json_scan_shape(const struct json_span *literal)
{
    struct json_span span;
    struct err e;
    struct json out = {.span = &span};
    struct scan s = {.at = literal->text,
                     .end = literal->text + literal->bytes,
                     .text = literal->text,
                     .out = &out,
                     .room = 1, /* a literal makes one span: nothing is allocated */
                     .e = &e};
    scan_document(&s);
    return s.shape;
}
