#include "api/spec.h"

#include <string.h>

#include "api/fields.h"

const char *const on_divergence_names[] = {
    [DIVERGENCE_STOP] = "stop", [DIVERGENCE_CONTINUE] = "continue", NULL};
const char *const durability_names[] = {[DURABILITY_PROCESS] = "process",
                                        [DURABILITY_POWER] = "power",
                                        [DURABILITY_NONE] = "none",
                                        NULL};
static const char *const float_names[] = {"float32", "float64", NULL};

#define SEED_MAX (((int64_t)1 << 53) - 1)

/* ---- reading ------------------------------------------------------------------------------- */

/* A number of types could be listed; the message names the one that is not there. */
static enum err_kind no_type(struct err *e, const char *pointer, const char *what, const char *type)
{
    return err_set(e, ERR_INVALID, pointer, "there is no %s \"%s\"", what, type);
}

static bool is_expression(const cJSON *root)
{
    return field_find(root, "parameters") || field_find(root, "forward");
}

static enum err_kind layer_read(const cJSON *item, struct layer *out, struct err *e)
{
    const char *type = NULL;
    if (!cJSON_IsObject(item))
        return err_set(e, ERR_INVALID, "", "must be an object with a \"type\"");
    enum err_kind rc = field_string(item, "type", REQUIRED, 64, &type, e);
    if (rc)
        return rc;
    out->type = layer_find(type);
    if (!out->type)
        return no_type(e, "/type", "layer", type);
    return options_read(&out->type->options, item, NULL, out->value, e);
}

static enum err_kind layers_read(const cJSON *root, struct spec *s, struct err *e)
{
    const cJSON *array = field_find(root, "layers");
    if (array && is_expression(root))
        return err_set(e, ERR_INVALID, "/layers",
                       "give layers, or parameters and forward, not both");
    if (is_expression(root))
        return ERR_OK;
    if (!array)
        return err_set(e, ERR_INVALID, "/layers", "is required, or parameters and forward");
    if (!cJSON_IsArray(array) || json_is_tensor(array))
        return err_set(e, ERR_INVALID, "/layers", "must be a list of at least one layer");
    int n = cJSON_GetArraySize(array);
    if (n > SPEC_LAYERS_MAX)
        return err_set(e, ERR_INVALID, "/layers", "must be at most %d layers, got %d",
                       SPEC_LAYERS_MAX, n);
    s->layer = mem_array((size_t)n, sizeof *s->layer);
    if (!s->layer)
        return err_set(e, ERR_NOMEM, "", "no memory for the layers");
    for (const cJSON *item = array->child; item; item = item->next, s->layers++)
        if (layer_read(item, &s->layer[s->layers], e) != ERR_OK)
            return err_prefix(e, "/layers/%d", s->layers);
    return ERR_OK;
}

/* What the layers, or the expression, are together. */
static enum err_kind form_read(const struct json *j, size_t max_bytes, struct spec *s,
                               struct err *e)
{
    if (is_expression(j->root))
        return expression_read(j, max_bytes, s, e);
    if (module_check(s->layer, s->layers, s->dtype, max_bytes, e) != ERR_OK)
        return err_prefix(e, "/layers");
    return ERR_OK;
}

/* A string, or an object with a type. */
static enum err_kind loss_read(const cJSON *item, struct loss *out, struct err *e)
{
    const char *type = NULL;
    if (!item)
        return err_set(e, ERR_INVALID, "/loss", "is required");
    if (cJSON_IsString(item))
        type = item->valuestring;
    else if (!cJSON_IsObject(item))
        return err_set(e, ERR_INVALID, "/loss", "must be a loss's name, or an object with a type");
    else if (field_string(item, "type", REQUIRED, 64, &type, e) != ERR_OK)
        return err_prefix(e, "/loss");
    out->type = loss_find(type);
    if (!out->type)
        return no_type(e, cJSON_IsString(item) ? "/loss" : "/loss/type", "loss", type);
    const cJSON *object = cJSON_IsObject(item) ? item : NULL;
    if (options_read(&out->type->options, object, NULL, out->value, e) != ERR_OK)
        return err_prefix(e, "/loss");
    return ERR_OK;
}

/* base: what a patch starts from, or NULL. */
static enum err_kind optimizer_read(const cJSON *object, const struct sgd_options *base,
                                    struct sgd_options *out, struct err *e)
{
    double start[OPTIONS_MAX], value[OPTIONS_MAX];
    const char *type = optimizer_types[0].type;
    if (base)
        sgd_get(base, start);
    if (field_string(object, "type", OPTIONAL, 64, &type, e) != ERR_OK)
        return e->kind;
    if (strcmp(type, optimizer_types[0].type) != 0)
        return no_type(e, "/type", "optimizer", type);
    if (options_read(&optimizer_types[0], object, base ? start : NULL, value, e) != ERR_OK)
        return e->kind;
    return sgd_set(out, value, e);
}

enum err_kind spec_read(const struct json *j, size_t max_bytes, struct spec *out, struct err *e)
{
    static const char *const names[] = {
        "id",    "layers", "parameters",    "forward",    "loss", "optimizer",
        "dtype", "seed",   "on_divergence", "durability", NULL};
    const cJSON *root = j->root, *optimizer;
    int dtype = 0;
    struct spec_options *o = &out->options;
    *out = (struct spec){
        .options = {.on_divergence = DIVERGENCE_STOP, .durability = DURABILITY_PROCESS}};
    enum err_kind rc = fields_check(root, names, e);
    if (!rc)
        rc = layers_read(root, out, e);
    if (!rc)
        rc = loss_read(field_find(root, "loss"), &out->loss, e);
    if (!rc)
        rc = field_object(root, "optimizer", OPTIONAL, &optimizer, e);
    if (!rc && optimizer_read(optimizer, NULL, &o->optimizer, e) != ERR_OK)
        rc = err_prefix(e, "/optimizer");
    if (!rc)
        rc = field_choice(root, "dtype", OPTIONAL, float_names, &dtype, e);
    if (!rc)
        rc = field_int(root, "seed", OPTIONAL, 0, SEED_MAX, &out->seed, e);
    if (!rc)
        rc = field_choice(root, "on_divergence", OPTIONAL, on_divergence_names, &o->on_divergence,
                          e);
    if (!rc)
        rc = field_choice(root, "durability", OPTIONAL, durability_names, &o->durability, e);
    out->dtype = dtype == 0 ? DTYPE_FLOAT32 : DTYPE_FLOAT64;
    return rc ? rc : form_read(j, max_bytes, out, e);
}

void spec_close(struct spec *s)
{
    mem_free(s->layer);
    expression_close(s);
    *s = (struct spec){.layer = NULL};
}

/* A merge patch removes a member by null: the default is back. */
static bool is_removed(const cJSON *object, const char *name)
{
    return cJSON_IsNull(field_find(object, name));
}

enum err_kind spec_patch(struct spec_options *o, const cJSON *object, struct err *e)
{
    struct spec_options next = *o;
    const cJSON *optimizer;
    bool reset = is_removed(object, "optimizer");
    if (is_removed(object, "on_divergence"))
        next.on_divergence = DIVERGENCE_STOP;
    if (is_removed(object, "durability"))
        next.durability = DURABILITY_PROCESS;
    enum err_kind rc = field_object(object, "optimizer", OPTIONAL, &optimizer, e);
    if (!rc && (optimizer || reset) &&
        optimizer_read(optimizer, reset ? NULL : &o->optimizer, &next.optimizer, e) != ERR_OK)
        rc = err_prefix(e, "/optimizer");
    if (!rc)
        rc = field_choice(object, "on_divergence", OPTIONAL, on_divergence_names,
                          &next.on_divergence, e);
    if (!rc)
        rc = field_choice(object, "durability", OPTIONAL, durability_names, &next.durability, e);
    if (!rc)
        *o = next;
    return rc;
}

/* ---- writing ------------------------------------------------------------------------------- */

void options_write(struct json_out *w, const struct options *list, const double *value)
{
    json_begin_object(w);
    json_key_string(w, "type", list->type);
    for (int i = 0; i < OPTIONS_MAX && list->option[i].kind != OPTION_NONE; i++) {
        const struct option *o = &list->option[i];
        json_key(w, o->name);
        if (isnan(value[i]))
            json_null(w);
        else if (o->kind == OPTION_BOOL)
            json_bool(w, value[i] != 0);
        else if (o->kind == OPTION_CHOICE)
            json_string(w, o->choices[(int)value[i]]);
        else
            json_f64(w, value[i]);
    }
    json_end_object(w);
}

void spec_write_optimizer(struct json_out *w, const struct sgd_options *o)
{
    double value[OPTIONS_MAX];
    sgd_get(o, value);
    options_write(w, &optimizer_types[0], value);
}

static void layers_write(struct json_out *w, const struct spec *s)
{
    json_key(w, "layers");
    json_begin_array(w);
    for (int i = 0; i < s->layers; i++)
        options_write(w, &s->layer[i].type->options, s->layer[i].value);
    json_end_array(w);
}

static void write_members(struct json_out *w, const struct spec *s, bool whole)
{
    if (s->program)
        expression_write(w, s, whole);
    else
        layers_write(w, s);
    json_key(w, "loss");
    options_write(w, &s->loss.type->options, s->loss.value);
    json_key(w, "optimizer");
    spec_write_optimizer(w, &s->options.optimizer);
    json_key_string(w, "dtype", dtype_name(s->dtype));
    json_key_int(w, "seed", s->seed);
    json_key_string(w, "on_divergence", on_divergence_names[s->options.on_divergence]);
    json_key_string(w, "durability", durability_names[s->options.durability]);
}

void spec_write(struct json_out *w, const struct spec *s)
{
    write_members(w, s, false);
}

void spec_write_whole(struct json_out *w, const struct spec *s)
{
    write_members(w, s, true);
}
