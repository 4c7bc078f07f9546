/* engine/call_python.c - Python's own functions: print, len, float, … */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "engine/call_parts.h"
#include "engine/decimal.h"
#include "engine/vmath.h"
#include "engine/vmath_angle.h"

const struct value *argument(const struct args *a, const char *name)
{
    int i = 0;
    while (!parameter_is_named(&a->spec[i], name))
        i++; /* signatures are ours: it is one of them */
    return &a->value[i];
}

struct tensor *tensor_argument(const struct args *a, int i)
{
    return a->value[i].kind == VALUE_TENSOR ? a->value[i].tensor : NULL;
}

enum err_kind give(struct tensor *t, struct value *out)
{
    *out = VALUE(TENSOR, .tensor = t);
    return ERR_OK;
}

enum err_kind tensor_item(const struct interp *in, const struct tensor *t, struct value *out,
                          struct err *e)
{
    if (tensor_count(t) != 1)
        return err_set(e, ERR_INVALID, "",
                       "only one element tensors can be converted to Python scalars");
    if (in->tape->dry || in->pure)
        return err_set(
            e, ERR_INVALID, "",
            "a model's forward cannot look at numbers: its graph must not depend on them");
    *out = value_of_element(t, 0);
    return ERR_OK;
}

enum err_kind value_truth(const struct interp *in, const struct value *x, bool *out, struct err *e)
{
    struct value item;
    *out = true;
    if (value_is_number(x))
        *out = number_of(x) != 0;
    else if (x->kind == VALUE_NONE)
        *out = false;
    else if (value_is_list(x) || x->kind == VALUE_STRING)
        *out = x->count != 0;
    else if (x->kind == VALUE_TENSOR) {
        if (tensor_count(x->tensor) > 1)
            return err_set(e, ERR_INVALID, "",
                           "Boolean value of Tensor with more than one value is ambiguous");
        if (tensor_count(x->tensor) == 0) {
            *out = false;
            return ERR_OK;
        }
        enum err_kind rc = tensor_item(in, x->tensor, &item, e);
        *out = !rc && number_of(&item) != 0;
        return rc;
    }
    return ERR_OK;
}

enum err_kind call_print(struct args *a, struct value *out, struct err *e)
{
    struct text *to = &a->in->out;
    const struct value *values = &a->value[0], *sep = argument(a, "sep"), *end = argument(a, "end");
    for (size_t i = 0; i < values->count; i++) {
        if (i && sep->kind == VALUE_NONE)
            text_add(to, " ", 1);
        else if (i)
            text_add(to, sep->text, sep->count);
        show_str(to, &values->item[i]);
    }
    if (end->kind == VALUE_NONE)
        text_add(to, "\n", 1);
    else
        text_add(to, end->text, end->count);
    *out = NO_VALUE;
    return to->failed ? err_set(e, ERR_NOMEM, "", "no memory for what is printed") : ERR_OK;
}

enum err_kind call_len(struct args *a, struct value *out, struct err *e)
{
    const struct value *x = &a->value[0];
    int64_t n;
    if (x->kind == VALUE_TENSOR && x->tensor->shape.rank == 0)
        return err_set(e, ERR_INVALID, "", "len() of a 0-d tensor");
    if (x->kind == VALUE_TENSOR)
        n = x->tensor->shape.dim[0];
    else if (value_is_list(x) || x->kind == VALUE_STRING)
        n = (int64_t)x->count;
    else
        return err_set(e, ERR_INVALID, "", "object of type '%s' has no len()", value_type_name(x));
    *out = VALUE(INT, .integer = n);
    return ERR_OK;
}

/* A tensor's only element, or the value itself, which must be a number. */
static enum err_kind number_argument(struct args *a, const char *what, struct value *out,
                                     struct err *e)
{
    *out = a->value[0];
    if (out->kind == VALUE_TENSOR)
        return tensor_item(a->in, out->tensor, out, e);
    if (value_is_number(out))
        return ERR_OK;
    return err_set(e, ERR_INVALID, "", "%s() argument must be a number or a tensor, not '%s'", what,
                   value_type_name(out));
}

enum err_kind call_float(struct args *a, struct value *out, struct err *e)
{
    const struct value *x = &a->value[0];
    if (x->kind == VALUE_STRING) { /* float('inf') */
        static const struct {
            const char *text;
            double value;
        } names[] = {{"inf", INFINITY}, {"-inf", -INFINITY}, {"nan", NAN}, {"infinity", INFINITY}};
        for (size_t i = 0; i < sizeof names / sizeof *names; i++)
            if (!strcmp(x->text, names[i].text)) {
                *out = VALUE(FLOAT, .number = names[i].value);
                return ERR_OK;
            }
        return err_set(e, ERR_INVALID, "", "could not convert string to float: '%.60s'", x->text);
    }
    enum err_kind rc = number_argument(a, "float", out, e);
    if (!rc)
        *out = VALUE(FLOAT, .number = number_of(out));
    return rc;
}

/* Towards zero. */
static enum err_kind to_integer(double x, struct value *out, struct err *e)
{
    if (isnan(x))
        return err_set(e, ERR_INVALID, "", "cannot convert float NaN to integer");
    if (isinf(x))
        return err_set(e, ERR_INVALID, "", "cannot convert float infinity to integer");
    if (!(x > -0x1p63 && x < 0x1p63))
        return err_set(e, ERR_INVALID, "",
                       "the integer is too large: this language's are 64 bits wide");
    *out = VALUE(INT, .integer = (int64_t)x);
    return ERR_OK;
}

enum err_kind call_int(struct args *a, struct value *out, struct err *e)
{
    enum err_kind rc = number_argument(a, "int", out, e);
    if (rc)
        return rc;
    if (out->kind == VALUE_FLOAT)
        return to_integer(out->number, out, e);
    if (out->kind == VALUE_BOOL)
        *out = VALUE(INT, .integer = out->boolean);
    return ERR_OK;
}

enum err_kind call_bool(struct args *a, struct value *out, struct err *e)
{
    bool truth;
    enum err_kind rc = value_truth(a->in, &a->value[0], &truth, e);
    *out = VALUE(BOOL, .boolean = !rc && truth);
    return rc;
}

static enum err_kind as_text(struct args *a, void (*show)(struct text *t, const struct value *x),
                             struct value *out, struct err *e)
{
    struct text text = {.arena = &a->in->tape->arena, .max = a->in->limits.stdout_bytes};
    show(&text, &a->value[0]);
    if (text.failed)
        return err_set(e, ERR_NOMEM, "", "no memory for a string");
    *out = VALUE(STRING, .count = text.bytes, .text = text.bytes ? text.at : "");
    return ERR_OK;
}

enum err_kind call_str(struct args *a, struct value *out, struct err *e)
{
    return as_text(a, show_str, out, e);
}

enum err_kind call_repr(struct args *a, struct value *out, struct err *e)
{
    return as_text(a, show_repr, out, e);
}

enum err_kind call_abs(struct args *a, struct value *out, struct err *e)
{
    const struct value *x = &a->value[0];
    if (x->kind == VALUE_TENSOR) {
        struct tensor *y = NULL;
        enum err_kind rc = apply_one(a->in, OP_ABS, NULL, x->tensor, &y, e);
        return rc ? rc : give(y, out);
    }
    if (!value_is_number(x))
        return err_set(e, ERR_INVALID, "", "bad operand type for abs(): '%s'", value_type_name(x));
    *out = *x;
    if (number_of(x) < 0)
        return operate_unary(a->in, TREE_OP_SUB, x, out, e);
    if (x->kind == VALUE_FLOAT)
        *out = VALUE(FLOAT, .number = fabs(x->number));
    return ERR_OK;
}

/* Half to even; with digits only as far as a double's own decimals go. */
enum err_kind call_round(struct args *a, struct value *out, struct err *e)
{
    const struct value *x = &a->value[0], *digits = &a->value[1];
    if (!value_is_number(x))
        return err_set(e, ERR_INVALID, "", "type %s doesn't define __round__ method",
                       value_type_name(x));
    *out = *x;
    if (digits->kind == VALUE_NONE && x->kind == VALUE_FLOAT)
        return to_integer(rint(x->number), out, e);
    if (digits->kind == VALUE_NONE || x->kind != VALUE_FLOAT)
        return ERR_OK;
    if (digits->integer < -300 || digits->integer > 300)
        return err_set(e, ERR_INVALID, "", "round() takes -300 to 300 digits");
    struct text text = {.arena = &a->in->tape->arena, .max = 1000};
    char spec[24]; /* as long as any int64 */
    if (digits->integer < 0) {
        double scale = pow(10, (double)-digits->integer);
        *out = VALUE(FLOAT, .number = rint(x->number / scale) * scale);
        return ERR_OK;
    }
    snprintf(spec, sizeof spec, ".%lldf", (long long)digits->integer);
    enum err_kind rc = isfinite(x->number) ? show_format(&text, x, spec, strlen(spec), e) : ERR_OK;
    if (!rc && text.bytes)
        decimal_read_f64(text.at, text.at + text.bytes, &out->number);
    return rc;
}

/* min and max of the arguments, or of one list; sum of a list. */
static enum err_kind values_of(const struct args *a, const struct value **item, size_t *count,
                               struct err *e)
{
    const struct value *rest = &a->value[0];
    if (rest->count == 1 && !value_is_list(rest->item))
        return err_set(e, ERR_INVALID, "", "'%s' object is not iterable",
                       value_type_name(rest->item));
    if (rest->count == 1)
        rest = rest->item;
    *item = rest->item;
    *count = rest->count;
    return ERR_OK;
}

enum err_kind call_min_max(struct args *a, struct value *out, struct err *e)
{
    const struct value *item = NULL;
    size_t count = 0;
    int bytes;
    bool largest = builtin_short_name(a->row, &bytes)[1] == 'a';
    enum err_kind rc = values_of(a, &item, &count, e);
    if (!rc && count == 0)
        rc = err_set(e, ERR_INVALID, "", "%s() arg is an empty sequence", largest ? "max" : "min");
    if (rc)
        return rc;
    *out = item[0];
    for (size_t i = 1; !rc && i < count; i++) {
        struct value better;
        bool truth = false;
        rc = operate(a->in, largest ? TREE_OP_GT : TREE_OP_LT, &item[i], out, &better, e);
        if (!rc)
            rc = value_truth(a->in, &better, &truth, e);
        if (truth)
            *out = item[i];
    }
    return rc;
}

enum err_kind call_sum(struct args *a, struct value *out, struct err *e)
{
    const struct value *list = &a->value[0];
    enum err_kind rc = ERR_OK;
    if (!value_is_list(list))
        return err_set(e, ERR_INVALID, "", "'%s' object is not iterable", value_type_name(list));
    *out = a->value[1];
    for (size_t i = 0; !rc && i < list->count; i++)
        rc = operate(a->in, TREE_OP_ADD, out, &list->item[i], out, e);
    return rc;
}

/* tuple(x), list(x) */
enum err_kind call_sequence(struct args *a, struct value *out, struct err *e)
{
    int bytes;
    const struct value *x = &a->value[0];
    enum value_kind kind = builtin_short_name(a->row, &bytes)[0] == 't' ? VALUE_TUPLE : VALUE_LIST;
    if (!value_is_list(x))
        return err_set(e, ERR_INVALID, "", "'%s' object is not iterable here", value_type_name(x));
    *out = (struct value){.kind = kind, .count = x->count, .item = x->item};
    return ERR_OK;
}

/* slice(stop), slice(start, stop, step) */
enum err_kind call_slice(struct args *a, struct value *out, struct err *e)
{
    struct value part[] = {a->value[0], a->value[1], a->value[2]};
    if (!a->given[1]) {
        part[1] = part[0];
        part[0] = NO_VALUE;
    }
    return value_list(a->in, VALUE_SLICE, part, 3, out, e);
}

/* ---- math ---------------------------------------------------------------------------------- */

/* The same bits on every CPU: the engine's own functions, not libm's. */
static const struct {
    const char *name;
    double (*f)(double x);
} functions[] = {
    {"sqrt", sqrt},   {"exp", exp_f64},   {"log", log_f64},     {"sin", sin_f64},
    {"cos", cos_f64}, {"tanh", tanh_f64}, {"log1p", log1p_f64}, {"expm1", expm1_f64},
    {"floor", floor}, {"ceil", ceil},     {"fabs", fabs},       {"erf", erf_f64},
};

enum err_kind call_math(struct args *a, struct value *out, struct err *e)
{
    int bytes;
    const char *name = builtin_short_name(a->row, &bytes);
    double x = number_of(&a->value[0]), y = NAN;
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++)
        if (strlen(functions[i].name) == (size_t)bytes &&
            !memcmp(functions[i].name, name, (size_t)bytes))
            y = functions[i].f(x);
    if (isnan(y) && !isnan(x))
        return err_set(e, ERR_INVALID, "", "math domain error");
    if (isinf(y) && isfinite(x))
        return err_set(e, ERR_INVALID, "", x == 0 ? "math domain error" : "math range error");
    if (!strncmp(name, "floor", 5) || !strncmp(name, "ceil", 4))
        return to_integer(y, out, e);
    *out = VALUE(FLOAT, .number = y);
    return ERR_OK;
}

enum err_kind call_math_constant(struct args *a, struct value *out, struct err *e)
{
    int bytes;
    (void)e;
    switch (builtin_short_name(a->row, &bytes)[0]) {
    case 'p':
        *out = VALUE(FLOAT, .number = 0x1.921fb54442d18p+1);
        break;
    case 'e':
        *out = VALUE(FLOAT, .number = 0x1.5bf0a8b145769p+1);
        break;
    case 'i':
        *out = VALUE(FLOAT, .number = INFINITY);
        break;
    default:
        *out = VALUE(FLOAT, .number = NAN);
        break;
    }
    return ERR_OK;
}
