/* api/spec_expression.c - a model by expression: {"parameters": {"w": {"data": [7.0]}},
 * "forward": "w * x"}. */
#include <string.h>

#include "api/fields.h"
#include "api/spec.h"
#include "api/tensor_in.h"
#include "engine/tree.h"

/* ---- reading ------------------------------------------------------------------------------- */

/* It stands in paths, which are not percent-decoded, and beside x in the program. */
static enum err_kind check_name(const char *name, struct err *e)
{
    for (const char *c = name; *c; c++)
        if ((unsigned char)*c >= 0x80)
            return err_set(e, ERR_INVALID, "", "must have a name of ASCII letters");
    if (!strcmp(name, "x"))
        return err_set(e, ERR_INVALID, "", "must have another name: x is the inputs");
    return variable_check(name, PARAMETER_NAME_BYTES, e);
}

/* One block holds them all, so they are of one type. */
static enum err_kind check_dtype(const struct spec *s, enum dtype dtype, struct err *e)
{
    if (!dtype_is_float(dtype))
        return err_set(e, ERR_INVALID, "/dtype", "must be float32 or float64");
    if (s->parameters > 0 && dtype != s->parameter_dtype)
        return err_set(e, ERR_INVALID, "/dtype", "must be %s as the parameters before",
                       dtype_name(s->parameter_dtype));
    return ERR_OK;
}

/* *left: the bytes that parameters may still take. */
static enum err_kind read_parameter(const struct json *j, const cJSON *item, size_t *left,
                                    struct spec *s, struct err *e)
{
    struct declaration *d = &s->parameter[s->parameters];
    struct tensor_in in = {.dtype = s->dtype, .requires_grad = true};
    size_t bytes;
    enum err_kind rc = check_name(item->string, e);
    if (!rc)
        rc = tensor_in_read(j, item, &in, e);
    if (!rc)
        rc = check_dtype(s, in.dtype, e);
    if (rc)
        return rc;
    if (!mem_mul((size_t)shape_count(&in.shape), dtype_bytes(in.dtype), &bytes) || bytes > *left)
        return err_set(e, ERR_INVALID, "", "the parameters would take too many bytes: %zu are left",
                       *left);
    *left -= bytes;
    memcpy(d->name, item->string, strlen(item->string) + 1);
    d->shape = in.shape;
    d->requires_grad = in.requires_grad;
    d->data = mem_array(1, bytes);
    s->parameter_dtype = in.dtype;
    s->parameters++;
    if (!d->data)
        return err_set(e, ERR_NOMEM, "", "no memory for the parameters");
    return tensor_in_numbers(j, &in, d->data, e);
}

static enum err_kind read_parameters(const struct json *j, const cJSON *object, size_t max_bytes,
                                     struct spec *s, struct err *e)
{
    char key[2 * PARAMETER_NAME_BYTES];
    int n = cJSON_GetArraySize(object);
    if (n > SPEC_PARAMETERS_MAX)
        return err_set(e, ERR_INVALID, "/parameters", "must be at most %d, got %d",
                       SPEC_PARAMETERS_MAX, n);
    s->parameter_dtype = s->dtype;
    s->parameter = mem_array((size_t)n, sizeof *s->parameter);
    if (!s->parameter)
        return err_set(e, ERR_NOMEM, "", "no memory for the parameters");
    for (const cJSON *item = object->child; item; item = item->next)
        if (read_parameter(j, item, &max_bytes, s, e) != ERR_OK) {
            err_escape(item->string, key, sizeof key);
            return err_prefix(e, "/parameters/%s", key);
        }
    return ERR_OK;
}

static enum err_kind read_program(const char *text, struct spec *s, struct err *e)
{
    struct place where = {0, 0};
    s->program = mem_array(1, sizeof *s->program);
    s->forward = mem_string(text);
    if (!s->program || !s->forward)
        return err_set(e, ERR_NOMEM, "", "no memory for the program");
    enum err_kind rc = program_parse(text, strlen(text), s->program, &where, e);
    if (!rc)
        rc = module_bind_program(s->program, s->parameter, s->parameters, &where, e);
    if (!rc || rc == ERR_NOMEM)
        return rc;
    err_wrap(e, "line %d, column %d: ", where.line, where.column);
    return err_prefix(e, "/forward");
}

enum err_kind expression_read(const struct json *j, size_t max_bytes, struct spec *s, struct err *e)
{
    const cJSON *parameters;
    const char *text;
    enum err_kind rc = field_object(j->root, "parameters", REQUIRED, &parameters, e);
    if (!rc)
        rc = field_string(j->root, "forward", REQUIRED, PROGRAM_BYTES_MAX, &text, e);
    if (!rc)
        rc = read_parameters(j, parameters, max_bytes, s, e);
    return rc ? rc : read_program(text, s, e);
}

void spec_forget_values(struct spec *s)
{
    for (int i = 0; i < s->parameters; i++) {
        mem_free(s->parameter[i].data);
        s->parameter[i].data = NULL;
    }
}

void expression_close(struct spec *s)
{
    spec_forget_values(s);
    mem_free(s->parameter);
    mem_free(s->forward);
    if (s->program)
        program_close(s->program);
    mem_free(s->program);
}

/* ---- writing ------------------------------------------------------------------------------- */

/* The shape stands there too: that of a tensor without elements cannot be seen in its data. */
static void write_parameter(struct json_out *w, const struct spec *s, const struct declaration *d)
{
    json_key(w, d->name);
    json_begin_object(w);
    json_key_string(w, "dtype", dtype_name(s->parameter_dtype));
    json_key(w, "shape");
    json_ints(w, d->shape.dim, (size_t)d->shape.rank);
    json_key_bool(w, "requires_grad", d->requires_grad);
    json_key(w, "data");
    json_tensor(w, s->parameter_dtype, d->data, d->shape.dim, d->shape.rank);
    json_end_object(w);
}

/* In the representation the parameters are the module's, without values. */
void expression_write(struct json_out *w, const struct spec *s, bool whole)
{
    if (whole) {
        json_key(w, "parameters");
        json_begin_object(w);
        for (int i = 0; i < s->parameters; i++)
            write_parameter(w, s, &s->parameter[i]);
        json_end_object(w);
    }
    json_key_string(w, "forward", s->forward);
}
