/* engine/argument_fields.c - the values of a call's arguments as an operation's arguments. */
#include <math.h>
#include <string.h>

#include "engine/arguments.h"
#include "engine/interp_inside.h"

/* A dimension of a scalar may be 0 or -1. */
enum err_kind dim_wrap(int64_t dim, int rank, int *out, struct err *e)
{
    int bound = rank ? rank : 1;
    if (dim < -bound || dim >= bound)
        return err_set(e, ERR_INVALID, "",
                       "Dimension out of range (expected to be in range of [%d, %d], but got %lld)",
                       -bound, bound - 1, (long long)dim);
    *out = (int)(dim < 0 ? dim + bound : dim);
    return ERR_OK;
}

enum err_kind shape_of_ints(const struct value *ints, struct shape *out, struct err *e)
{
    int64_t dim[RANK_MAX] = {0};
    char text[SHAPE_TEXT_BYTES];
    int negative = -1;
    for (size_t d = 0; d < ints->count && d < RANK_MAX; d++) {
        dim[d] = ints->item[d].integer;
        negative = dim[d] < 0 ? (int)d : negative;
    }
    struct shape asked = {.rank = ints->count < RANK_MAX ? (int)ints->count : RANK_MAX};
    memcpy(asked.dim, dim, (size_t)asked.rank * sizeof *dim);
    if (negative >= 0)
        return err_set(e, ERR_INVALID, "",
                       "Trying to create tensor with negative dimension %lld: %s",
                       (long long)dim[negative], shape_text(&asked, text, sizeof text));
    int rank = ints->count > RANK_MAX ? RANK_MAX + 1 : (int)ints->count;
    return shape_make(dim, rank, out, e);
}

/* One way for a value into struct op_args. */
struct field {
    const char *name;
    enum err_kind (*set)(const struct value *v, const struct tensor *x, struct op_args *o,
                         struct err *e);
};

#define FIELD_FN(name)                                                                             \
    static enum err_kind set_##name(const struct value *v, const struct tensor *x,                 \
                                    struct op_args *o, struct err *e)

#define PLAIN_FIELD(name, value)                                                                   \
    FIELD_FN(name)                                                                                 \
    {                                                                                              \
        (void)x, (void)e;                                                                          \
        o->name = value;                                                                           \
        return ERR_OK;                                                                             \
    }

/* Doubles hold integers up to 2^53: one beyond would be another number without a word. */
enum err_kind number_to_op(const struct value *v, double *place, struct op_args *o, struct err *e)
{
    if (v->kind == VALUE_INT && (v->integer > INT64_C(1) << 53 || v->integer < -(INT64_C(1) << 53)))
        return err_set(e, ERR_INVALID, "",
                       "the integer %lld is too large here: up to 2^53 is exact",
                       (long long)v->integer);
    *place = number_of(v);
    if (number_dtype(v) > o->number)
        o->number = number_dtype(v);
    return ERR_OK;
}

/* None as a bound of clamp is no number. */
#define NUMBER_FIELD(name)                                                                         \
    FIELD_FN(name)                                                                                 \
    {                                                                                              \
        (void)x;                                                                                   \
        o->name = NAN;                                                                             \
        return v->kind == VALUE_NONE ? ERR_OK : number_to_op(v, &o->name, o, e);                   \
    }

NUMBER_FIELD(alpha)
NUMBER_FIELD(beta)
PLAIN_FIELD(keepdim, v->boolean)
PLAIN_FIELD(ignore_index, v->integer)
PLAIN_FIELD(start, v->integer)
PLAIN_FIELD(correction, v->kind == VALUE_NONE ? NAN : number_of(v))

FIELD_FN(dim)
{
    return dim_wrap(v->integer, x->shape.rank, &o->dim, e);
}

FIELD_FN(dim2)
{
    return dim_wrap(v->integer, x->shape.rank, &o->dim2, e);
}

/* Of one more dimension: unsqueeze, stack. */
FIELD_FN(new_dim)
{
    return dim_wrap(v->integer, x->shape.rank + 1, &o->dim, e);
}

static enum err_kind add_dims(const struct value *v, const struct tensor *x, unsigned *dims,
                              struct err *e)
{
    for (size_t i = 0; i < v->count; i++) {
        int dim = 0;
        enum err_kind rc = dim_wrap(v->item[i].integer, x->shape.rank, &dim, e);
        if (rc)
            return rc;
        if (*dims >> dim & 1)
            return err_set(e, ERR_INVALID, "", "dim %d appears multiple times in the list of dims",
                           dim);
        *dims |= 1u << dim;
    }
    return ERR_OK;
}

/* None and () stand for all dimensions, as 0 does. */
FIELD_FN(dims)
{
    o->dims = 0;
    if (v->kind != VALUE_NONE && v->count)
        return add_dims(v, x, &o->dims, e);
    return ERR_OK;
}

/* () stands for none. */
FIELD_FN(some_dims)
{
    o->dims = 0;
    return add_dims(v, x, &o->dims, e);
}

FIELD_FN(dtype)
{
    (void)x, (void)e;
    o->has_dtype = v->kind != VALUE_NONE;
    if (o->has_dtype)
        o->dtype = v->dtype;
    return ERR_OK;
}

FIELD_FN(reduction)
{
    static const char *const names[] = {
        [REDUCTION_MEAN] = "mean", [REDUCTION_SUM] = "sum", [REDUCTION_NONE] = "none"};
    (void)x;
    for (int i = 0; i <= REDUCTION_NONE; i++)
        if (!strcmp(names[i], v->text)) {
            o->reduction = (enum reduction)i;
            return ERR_OK;
        }
    return err_set(e, ERR_INVALID, "", "%.60s is not a valid value for reduction", v->text);
}

FIELD_FN(tanh)
{
    (void)x;
    o->tanh = !strcmp(v->text, "tanh");
    if (o->tanh || !strcmp(v->text, "none"))
        return ERR_OK;
    return err_set(e, ERR_INVALID, "", "approximate argument must be either none or tanh.");
}

static const struct field fields[] = {
    {"alpha", set_alpha},
    {"beta", set_beta},
    {"keepdim", set_keepdim},
    {"ignore_index", set_ignore_index},
    {"correction", set_correction},
    {"dim", set_dim},
    {"dim2", set_dim2},
    {"new_dim", set_new_dim},
    {"dims", set_dims},
    {"some_dims", set_some_dims},
    {"start", set_start},
    {"dtype", set_dtype},
    {"reduction", set_reduction},
    {"tanh", set_tanh},
};

static const struct field *field_of(const struct parameter_spec *p)
{
    const struct field *f = fields;
    while (strlen(f->name) != (size_t)p->field_bytes ||
           memcmp(f->name, p->field, (size_t)p->field_bytes) != 0)
        f++; /* signatures are ours: it is one of them */
    return f;
}

enum err_kind arguments_to_op(const struct args *a, const struct tensor *x, struct op_args *out,
                              struct err *e)
{
    enum err_kind rc = ERR_OK;
    *out = op_args_default;
    for (int i = 0; !rc && i < a->count; i++)
        if (a->spec[i].field)
            rc = field_of(&a->spec[i])->set(&a->value[i], x, out, e);
    return rc;
}

/* F.relu(x, inplace=True) */
static bool is_asked_in_place(const struct args *a)
{
    for (int i = 0; i < a->count; i++)
        if (parameter_is_named(&a->spec[i], "inplace"))
            return a->value[i].boolean;
    return false;
}

enum err_kind builtin_apply_as(struct args *a, enum op_id id, struct value *out, struct err *e)
{
    struct tensor *x[ARGUMENTS_MAX], *y, *aux = NULL;
    struct op_args o;
    int n = 0;
    for (int i = 0; i < a->count; i++)
        if (a->value[i].kind == VALUE_TENSOR)
            x[n++] = a->value[i].tensor;
    enum err_kind rc = arguments_to_op(a, n ? x[0] : NULL, &o, e);
    bool in_place = a->in_place || is_asked_in_place(a);
    *out = a->value[0];
    if (!rc && in_place && a->in->pure)
        rc = err_set(e, ERR_INVALID, "", "a model's forward changes nothing in place");
    if (!rc && in_place)
        return op_apply_in_place(a->in->tape, id, &o, x, n, e);
    if (!rc)
        rc = op_apply_many(a->in->tape, id, &o, x, n, &y, &aux, e);
    if (rc)
        return rc;
    *out = VALUE(TENSOR, .tensor = y);
    if (!aux)
        return ERR_OK;
    struct value pair[] = {VALUE(TENSOR, .tensor = y), VALUE(TENSOR, .tensor = aux)};
    return value_list(a->in, VALUE_TUPLE, pair, 2, out, e);
}

enum err_kind builtin_apply(struct args *a, struct value *out, struct err *e)
{
    return builtin_apply_as(a, (enum op_id)a->row->op, out, e);
}
