/* Tensors as PyTorch prints them.
 *
 * All numbers of a tensor are written in one way and right-aligned to one width, and both depend on
 * them all. A summary, of more than THRESHOLD elements, shows the first and last EDGE_ITEMS of each
 * dimension and knows no others. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "engine/decimal.h"
#include "engine/show_inside.h"
#include "engine/tape.h"

#define PRECISION  4
#define THRESHOLD  1000
#define EDGE_ITEMS 3
#define LINE_WIDTH 80
#define PREFIX     "tensor("
#define INDENT     ((int)sizeof PREFIX - 1)

#define ELEMENT_BYTES 400 /* enough for the largest double with all its digits */

/* What decides how elements are written. */
struct range {
    int64_t least, greatest; /* of bools and integers */
    double smallest[2],
        largest[2]; /* of finite floats but 0, their magnitude; [1]: of negative ones */
    bool whole;     /* they are all integers */
};

struct print {
    struct text *out;
    const struct tensor *x;
    bool summarize;
    bool whole, scientific; /* floats: "3.", "3.0000e+00"; neither: "3.0000" */
    int width;
};

/* ---- elements ------------------------------------------------------------------------------ */

struct value value_of_element(const struct tensor *x, int64_t at)
{
    const void *data = tensor_data(x);
    switch (x->dtype) {
    case DTYPE_BOOL:
        return (struct value){.kind = VALUE_BOOL, .boolean = ((const bool *)data)[at]};
    case DTYPE_INT64:
        return (struct value){.kind = VALUE_INT, .integer = ((const int64_t *)data)[at]};
    case DTYPE_FLOAT32:
        return (struct value){.kind = VALUE_FLOAT, .number = (double)((const float *)data)[at]};
    case DTYPE_FLOAT64:
        return (struct value){.kind = VALUE_FLOAT, .number = ((const double *)data)[at]};
    case DTYPE_COUNT:
        break;
    }
    return (struct value){.kind = VALUE_NONE};
}

/* Without the blanks before it. */
static int put_float(const struct print *p, double x, char *out)
{
    if (isnan(x))
        return snprintf(out, ELEMENT_BYTES, "nan"); /* C would show its sign */
    if (p->scientific)
        return snprintf(out, ELEMENT_BYTES, "%.*e", PRECISION, x);
    if (p->whole)
        return snprintf(out, ELEMENT_BYTES, isinf(x) ? "%.0f" : "%.0f.", x);
    return snprintf(out, ELEMENT_BYTES, "%.*f", PRECISION, x);
}

static int put_element(const struct print *p, struct value x, char *out)
{
    if (x.kind == VALUE_BOOL)
        return snprintf(out, ELEMENT_BYTES, x.boolean ? "True" : "False");
    if (x.kind == VALUE_INT)
        return (int)decimal_write_i64(x.integer, out);
    return put_float(p, x.number, out);
}

/* ---- the layout ---------------------------------------------------------------------------- */

static bool is_cut_short(const struct print *p, int d)
{
    return p->summarize && p->x->shape.dim[d] > 2 * EDGE_ITEMS;
}

/* What is shown of dimension d: its elements, or those at its edges and a gap between. */
static int64_t slots_of(const struct print *p, int d)
{
    return is_cut_short(p, d) ? 2 * EDGE_ITEMS + 1 : p->x->shape.dim[d];
}

#define GAP (-1)
/* The index of the element in slot s, or GAP. */
static int64_t index_of(const struct print *p, int d, int64_t s)
{
    if (!is_cut_short(p, d) || s < EDGE_ITEMS)
        return s;
    return s == EDGE_ITEMS ? GAP : p->x->shape.dim[d] - slots_of(p, d) + s;
}

static void look_at_float(struct range *r, double x)
{
    if (!isfinite(x) || x == 0)
        return;
    int sign = x < 0;
    r->smallest[sign] = fmin(r->smallest[sign], fabs(x));
    r->largest[sign] = fmax(r->largest[sign], fabs(x));
    r->whole = r->whole && x == ceil(x);
}

static void look_at_integer(struct range *r, struct value x)
{
    int64_t integer = x.kind == VALUE_BOOL ? x.boolean : x.integer;
    if (integer < r->least)
        r->least = integer;
    if (integer > r->greatest)
        r->greatest = integer;
}

static void look_at(struct range *r, struct value x)
{
    if (x.kind == VALUE_FLOAT)
        look_at_float(r, x.number);
    else
        look_at_integer(r, x);
}

/* All elements that will be shown, from dimension d on. */
static void look_through(const struct print *p, int d, int64_t at, struct range *r)
{
    if (d == p->x->shape.rank) {
        look_at(r, value_of_element(p->x, at));
        return;
    }
    for (int64_t s = 0; s < slots_of(p, d); s++) {
        int64_t i = index_of(p, d, s);
        if (i != GAP)
            look_through(p, d + 1, at + i * p->x->stride[d], r);
    }
}

static int larger(int a, int b)
{
    return a > b ? a : b;
}

/* Of numbers with one sign the longest is the one of largest magnitude or, by its exponent's
 * digits, the one of smallest. */
static int float_width(const struct print *p, const struct range *r)
{
    char text[ELEMENT_BYTES];
    int width = 1;
    for (int sign = 0; sign < 2; sign++)
        if (r->largest[sign] > 0) {
            width = larger(width, put_float(p, sign ? -r->smallest[1] : r->smallest[0], text));
            width = larger(width, put_float(p, sign ? -r->largest[1] : r->largest[0], text));
        }
    return width;
}

static void lay_floats_out(struct print *p, const struct range *r)
{
    double least = fmin(r->smallest[0], r->smallest[1]);
    double most = fmax(r->largest[0], r->largest[1]);
    p->whole = r->whole;
    p->scientific = most > 0 && (most / least > 1000 || most > 1e8 || (!r->whole && least < 1e-4));
    p->width = float_width(p, r);
}

static void lay_integers_out(struct print *p, const struct range *r)
{
    char text[ELEMENT_BYTES];
    bool boolean = p->x->dtype == DTYPE_BOOL;
    p->width = 1;
    for (int last = 0; last < 2; last++) {
        int64_t integer = last ? r->greatest : r->least;
        struct value x = {.kind = VALUE_INT, .integer = integer};
        if (boolean)
            x = (struct value){.kind = VALUE_BOOL, .boolean = integer != 0};
        p->width = larger(p->width, put_element(p, x, text));
    }
}

static void lay_out(struct print *p)
{
    struct range r = {
        .least = INT64_MAX, .greatest = INT64_MIN, .smallest = {INFINITY, INFINITY}, .whole = true};
    look_through(p, 0, 0, &r);
    if (dtype_is_float(p->x->dtype))
        lay_floats_out(p, &r);
    else
        lay_integers_out(p, &r);
}

/* ---- elements and brackets ----------------------------------------------------------------- */

static void put_aligned(const struct print *p, int64_t at)
{
    char text[ELEMENT_BYTES];
    int bytes = put_element(p, value_of_element(p->x, at), text);
    text_fill(p->out, ' ', (size_t)larger(0, p->width - bytes));
    text_add(p->out, text, (size_t)bytes);
}

/* What stands before slot s > 0: an item of the last dimension goes on in the line while there is
 * room, others begin a new one, after as many blank lines as brackets more than one have closed. */
static void put_separator(const struct print *p, int d, int64_t s, int indent)
{
    int breaks = p->x->shape.rank - 1 - d;
    if (breaks == 0) {
        int per_line = larger(1, (LINE_WIDTH - indent) / (p->width + 2));
        if (s % per_line) {
            text_puts(p->out, ", ");
            return;
        }
        breaks = 1;
    }
    text_puts(p->out, ",");
    text_fill(p->out, '\n', (size_t)breaks);
    text_fill(p->out, ' ', (size_t)indent + 1);
}

/* From dimension d on; its bracket opens in column indent. */
static void put_from(const struct print *p, int d, int64_t at, int indent)
{
    if (d == p->x->shape.rank) {
        put_aligned(p, at);
        return;
    }
    text_puts(p->out, "[");
    for (int64_t s = 0; s < slots_of(p, d) && !p->out->cut; s++) {
        int64_t i = index_of(p, d, s);
        if (s)
            put_separator(p, d, s, indent);
        if (i == GAP)
            text_puts(p->out, d == p->x->shape.rank - 1 ? " ..." : "...");
        else
            put_from(p, d + 1, at + i * p->x->stride[d], indent + 1);
    }
    text_puts(p->out, "]");
}

static void put_elements(struct text *t, const struct tensor *x)
{
    struct print p = {.out = t, .x = x, .summarize = tensor_count(x) > THRESHOLD};
    if (t->cut) /* nobody would see it */
        return;
    lay_out(&p);
    put_from(&p, 0, 0, INDENT);
}

/* ---- what follows the elements ------------------------------------------------------------- */

struct suffixes {
    struct text *out;
    size_t line; /* length of the last line, as PyTorch counts it: the first time 2 more */
};

static size_t last_line(const struct text *t, size_t from)
{
    size_t at = t->bytes;
    while (at > from && t->at[at - 1] != '\n')
        at--;
    return t->bytes - at + 2;
}

static void put_suffix(struct suffixes *s, const char *suffix)
{
    size_t bytes = strlen(suffix);
    if (s->line + bytes + 2 > LINE_WIDTH) {
        text_addf(s->out, ",\n%*s%s", INDENT, "", suffix);
        s->line = INDENT + bytes;
    } else {
        text_addf(s->out, ", %s", suffix);
        s->line += bytes + 2;
    }
}

/* size=(0, 3) */
static void put_size(struct suffixes *s, const struct shape *shape)
{
    char dims[SHAPE_TEXT_BYTES], suffix[SHAPE_TEXT_BYTES + 16];
    shape_text(shape, dims, sizeof dims);
    int inside = (int)strlen(dims) - 2;
    snprintf(suffix, sizeof suffix, "size=(%.*s%s)", inside, dims + 1, shape->rank == 1 ? "," : "");
    put_suffix(s, suffix);
}

static void put_history(struct suffixes *s, const struct tensor *x)
{
    char suffix[128];
    const char *grad_fn = tensor_grad_fn_class(x);
    if (grad_fn) {
        snprintf(suffix, sizeof suffix, "grad_fn=<%s>", grad_fn);
        put_suffix(s, suffix);
    } else if (tensor_requires_grad(x)) {
        put_suffix(s, "requires_grad=True");
    }
}

/* The type is said where the elements do not tell it. */
static void put_dtype(struct suffixes *s, enum dtype dtype, bool elements)
{
    char suffix[32];
    if (dtype == DTYPE_FLOAT32 || (elements && dtype != DTYPE_FLOAT64))
        return;
    snprintf(suffix, sizeof suffix, "dtype=torch.%s", dtype_name(dtype));
    put_suffix(s, suffix);
}

void show_tensor(struct text *t, const struct tensor *x)
{
    size_t start = t->bytes;
    bool empty = tensor_count(x) == 0, dry = !x->storage->data && !empty;
    text_puts(t, PREFIX);
    if (empty || dry)
        text_puts(t, empty ? "[]" : "...");
    else
        put_elements(t, x);
    struct suffixes s = {.out = t, .line = last_line(t, start)};
    if (dry || (empty && x->shape.rank != 1))
        put_size(&s, &x->shape);
    put_dtype(&s, x->dtype, !empty && !dry);
    put_history(&s, x);
    text_puts(t, ")");
}
