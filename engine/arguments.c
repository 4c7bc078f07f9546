#include "engine/arguments.h"

#include <math.h>
#include <stddef.h>
#include <string.h>

#include "engine/decimal.h"
#include "engine/interp_inside.h"

/* ---- signatures ---------------------------------------------------------------------------- */

static const struct {
    const char *text, *called; /* in a signature; in a message */
} types[ARGUMENT_TYPES] = {
    [ARGUMENT_TENSOR] = {"Tensor", "Tensor"},
    [ARGUMENT_OPERAND] = {"Operand", "Tensor"},
    [ARGUMENT_NUMBER] = {"Number", "Number"},
    [ARGUMENT_INT] = {"int", "int"},
    [ARGUMENT_FLOAT] = {"float", "float"},
    [ARGUMENT_BOOL] = {"bool", "bool"},
    [ARGUMENT_STR] = {"str", "str"},
    [ARGUMENT_DTYPE] = {"dtype", "torch.dtype"},
    [ARGUMENT_INTS] = {"int[]", "tuple of ints"},
    [ARGUMENT_INT_OR_S] = {"int[1]", "tuple of ints"},
    [ARGUMENT_INT_REST] = {"int...", "tuple of ints"},
    [ARGUMENT_TENSORS] = {"Tensor[]", "tuple of Tensors"},
    [ARGUMENT_ANY] = {"any", "object"},
    [ARGUMENT_ANY_REST] = {"any...", "object"},
};

static enum argument_type type_of(const char *text, size_t bytes)
{
    int type = 0;
    while (strlen(types[type].text) != bytes || memcmp(types[type].text, text, bytes) != 0)
        type++; /* signatures are ours: it is one of them */
    return (enum argument_type)type;
}

/* Reads "Number alpha=1:alpha", n bytes long. */
static void read_parameter(const char *text, size_t n, struct parameter_spec *p)
{
    const char *end = text + n, *name = memchr(text, ' ', n);
    size_t type = (size_t)(name - text);
    p->optional = text[type - 1] == '?';
    p->type = type_of(text, type - p->optional);
    p->name = ++name;
    const char *colon = memchr(name, ':', (size_t)(end - name));
    p->field = colon ? colon + 1 : NULL;
    p->field_bytes = colon ? (int)(end - colon - 1) : 0;
    end = colon ? colon : end;
    const char *equals = memchr(name, '=', (size_t)(end - name));
    p->fallback = equals ? equals + 1 : NULL;
    p->fallback_bytes = equals ? (int)(end - equals - 1) : 0;
    p->name_bytes = (int)((equals ? equals : end) - name);
}

static void read_signature(struct args *a)
{
    bool keyword_only = false;
    a->count = 0;
    for (const char *at = a->row->signature; *at;) {
        const char *comma = strstr(at, ", ");
        size_t n = comma ? (size_t)(comma - at) : strlen(at);
        if (n == 1 && *at == '*') {
            keyword_only = true;
        } else {
            a->spec[a->count] = (struct parameter_spec){.keyword_only = keyword_only};
            read_parameter(at, n, &a->spec[a->count++]);
        }
        at = comma ? comma + 2 : at + n;
    }
}

/* ---- conversions --------------------------------------------------------------------------- */

double number_of(const struct value *x)
{
    return x->kind == VALUE_FLOAT ? x->number
           : x->kind == VALUE_INT ? (double)x->integer
                                  : (double)x->boolean;
}

enum dtype number_dtype(const struct value *x)
{
    return x->kind == VALUE_BOOL ? DTYPE_BOOL : x->kind == VALUE_INT ? DTYPE_INT64 : DTYPE_FLOAT64;
}

struct tensor *number_tensor(struct interp *in, const struct value *number)
{
    struct tensor *t = tape_tensor(in->tape, number_dtype(number), &(struct shape){.rank = 0});
    if (!t)
        return NULL;
    t->number = true;
    if (in->tape->dry)
        return t;
    if (number->kind == VALUE_BOOL)
        *(bool *)tensor_data(t) = number->boolean;
    else if (number->kind == VALUE_INT)
        *(int64_t *)tensor_data(t) = number->integer;
    else
        *(double *)tensor_data(t) = number->number;
    return t;
}

/* Is x of that type, but for None? */
static bool fits(enum argument_type type, const struct value *x)
{
    switch (type) {
    case ARGUMENT_TENSOR:
        return x->kind == VALUE_TENSOR;
    case ARGUMENT_OPERAND:
        return x->kind == VALUE_TENSOR || value_is_number(x);
    case ARGUMENT_NUMBER:
    case ARGUMENT_FLOAT:
        return value_is_number(x);
    case ARGUMENT_INT:
        return x->kind == VALUE_INT || x->kind == VALUE_BOOL;
    case ARGUMENT_BOOL:
        return x->kind == VALUE_BOOL;
    case ARGUMENT_STR:
        return x->kind == VALUE_STRING;
    case ARGUMENT_DTYPE:
        return x->kind == VALUE_DTYPE;
    case ARGUMENT_INTS:
    case ARGUMENT_INT_REST:
        return value_is_list_of(x, VALUE_INT);
    case ARGUMENT_INT_OR_S:
        return x->kind == VALUE_INT || value_is_list_of(x, VALUE_INT);
    case ARGUMENT_TENSORS:
        return value_is_list_of(x, VALUE_TENSOR);
    case ARGUMENT_ANY:
    case ARGUMENT_ANY_REST:
    case ARGUMENT_TYPES:
        break;
    }
    return true;
}

/* A 0-d integer tensor serves as an int, as in PyTorch. */
static enum err_kind as_integer(struct args *a, struct value *x, struct err *e)
{
    if (x->kind != VALUE_TENSOR || x->tensor->dtype != DTYPE_INT64 || x->tensor->shape.rank != 0)
        return ERR_OK;
    return tensor_item(a->in, x->tensor, x, e);
}

static enum err_kind convert(struct args *a, int i, struct err *e)
{
    const struct parameter_spec *p = &a->spec[i];
    struct value *x = &a->value[i];
    enum err_kind rc = p->type == ARGUMENT_INT ? as_integer(a, x, e) : ERR_OK;
    if (rc || (p->optional && x->kind == VALUE_NONE))
        return rc;
    int bytes;
    const char *name = builtin_short_name(a->row, &bytes);
    for (size_t k = 0; p->type == ARGUMENT_TENSORS && value_is_list(x) && k < x->count; k++)
        if (x->item[k].kind != VALUE_TENSOR)
            return err_set(e, ERR_INVALID, "",
                           "expected Tensor as element %zu in argument %d, but got %s", k, i,
                           value_type_name(&x->item[k]));
    if (!fits(p->type, x))
        return err_set(e, ERR_INVALID, "",
                       "%.*s(): argument '%.*s' (position %d) must be %s, not %s", bytes, name,
                       p->name_bytes, p->name, i + 1 - a->method, types[p->type].called,
                       value_type_name(x));
    if (p->type == ARGUMENT_OPERAND && x->kind != VALUE_TENSOR) {
        struct tensor *t = number_tensor(a->in, x);
        if (!t)
            return err_set(e, ERR_NOMEM, "", "no memory for a number");
        *x = VALUE(TENSOR, .tensor = t);
    }
    if (p->type == ARGUMENT_INT && x->kind == VALUE_BOOL)
        *x = VALUE(INT, .integer = x->boolean);
    if (p->type == ARGUMENT_INT_OR_S && x->kind == VALUE_INT)
        return value_list(a->in, VALUE_TUPLE,
                          &(struct value){.kind = VALUE_INT, .integer = x->integer}, 1, x, e);
    return ERR_OK;
}

/* A default stands in the signature as a Python literal. */
static enum err_kind read_fallback(struct args *a, const struct parameter_spec *p,
                                   struct value *out, struct err *e)
{
    const char *text = p->fallback, *end = text + p->fallback_bytes;
    size_t n = (size_t)p->fallback_bytes;
    if (*text == 'N')
        *out = NO_VALUE;
    else if (*text == 'T' || *text == 'F')
        *out = VALUE(BOOL, .boolean = *text == 'T');
    else if (*text == '\'')
        return interp_string(a->in, text + 1, n - 2, out, e);
    else if (memchr(text, '.', n) || memchr(text, 'e', n)) {
        *out = VALUE(FLOAT, .number = 0);
        decimal_read_f64(text, end, &out->number);
    } else {
        *out = VALUE(INT, .integer = 0);
        decimal_read_i64(text, end, &out->integer);
    }
    return ERR_OK;
}

/* ---- binding ------------------------------------------------------------------------------- */

bool parameter_is_named(const struct parameter_spec *p, const char *name)
{
    return strlen(name) == (size_t)p->name_bytes && !memcmp(p->name, name, (size_t)p->name_bytes);
}

static bool is_rest(const struct parameter_spec *p)
{
    return p->type == ARGUMENT_INT_REST || p->type == ARGUMENT_ANY_REST;
}

/* The rest of the positional arguments as one tuple; one list of them is taken as it is. */
static enum err_kind take_rest(struct args *a, int i, const struct value *rest, int count,
                               struct err *e)
{
    if (a->spec[i].type == ARGUMENT_INT_REST && count == 1 && value_is_list(rest)) {
        a->value[i] = *rest;
        return ERR_OK;
    }
    return value_list(a->in, VALUE_TUPLE, rest, (size_t)count, &a->value[i], e);
}

static enum err_kind take_positional(struct args *a, const struct call_values *g, struct err *e)
{
    int positional = g->count - g->keywords, used = 0;
    for (int i = 0; i < a->count && used < positional && !a->spec[i].keyword_only; i++) {
        a->given[i] = true;
        if (is_rest(&a->spec[i]))
            return take_rest(a, i, g->value + used, positional - used, e);
        a->value[i] = g->value[used++];
    }
    if (used == positional)
        return ERR_OK;
    int bytes;
    const char *name = builtin_short_name(a->row, &bytes);
    return err_set(e, ERR_INVALID, "", "%.*s() takes %d positional argument%s but %d were given",
                   bytes, name, used, used == 1 ? "" : "s", positional);
}

static enum err_kind take_keywords(struct args *a, const struct call_values *g, struct err *e)
{
    int bytes;
    const char *name = builtin_short_name(a->row, &bytes);
    for (int k = 0; k < g->keywords; k++) {
        const char *keyword = g->keyword[k];
        int i = 0;
        while (i < a->count && !parameter_is_named(&a->spec[i], keyword))
            i++;
        if (i == a->count)
            return err_set(e, ERR_INVALID, "", "%.*s() got an unexpected keyword argument '%.60s'",
                           bytes, name, keyword);
        if (a->given[i])
            return err_set(e, ERR_INVALID, "", "%.*s() got multiple values for argument '%.60s'",
                           bytes, name, keyword);
        a->given[i] = true;
        a->value[i] = g->value[g->count - g->keywords + k];
    }
    return ERR_OK;
}

static enum err_kind complete(struct args *a, int i, struct err *e)
{
    const struct parameter_spec *p = &a->spec[i];
    if (a->given[i])
        return convert(a, i, e);
    enum err_kind rc = ERR_OK;
    if (p->fallback)
        rc = read_fallback(a, p, &a->value[i], e);
    else if (is_rest(p))
        rc = value_list(a->in, VALUE_TUPLE, NULL, 0, &a->value[i], e);
    else {
        int bytes;
        const char *name = builtin_short_name(a->row, &bytes);
        return err_set(e, ERR_INVALID, "",
                       "%.*s() missing 1 required positional arguments: \"%.*s\"", bytes, name,
                       p->name_bytes, p->name);
    }
    return rc || a->value[i].kind == VALUE_NONE ? rc : convert(a, i, e);
}

enum err_kind arguments_bind(struct args *a, struct interp *in, const struct builtin *row,
                             bool in_place, const struct call_values *given, struct err *e)
{
    *a = (struct args){.in = in, .row = row, .in_place = in_place, .method = given->method};
    read_signature(a);
    enum err_kind rc = take_positional(a, given, e);
    if (!rc)
        rc = take_keywords(a, given, e);
    for (int i = 0; !rc && i < a->count; i++)
        rc = complete(a, i, e);
    return rc;
}
