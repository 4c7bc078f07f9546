#include "api/fields.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define POINTER_BYTES 128

/* "/name", escaped. Returns pointer. */
static const char *pointer_to(const char *name, char pointer[POINTER_BYTES])
{
    pointer[0] = '/';
    err_escape(name, pointer + 1, POINTER_BYTES - 1);
    return pointer;
}

const cJSON *field_find(const cJSON *object, const char *name)
{
    return object ? cJSON_GetObjectItemCaseSensitive(object, name) : NULL;
}

enum err_kind fields_check(const cJSON *object, const char *const *names, struct err *e)
{
    char pointer[POINTER_BYTES];
    if (!object)
        return ERR_OK;
    if (!cJSON_IsObject(object))
        return err_set(e, ERR_INVALID, "", "must be an object");
    for (const cJSON *field = object->child; field; field = field->next) {
        size_t i = 0;
        while (names[i] && strcmp(names[i], field->string) != 0)
            i++;
        if (!names[i])
            return err_set(e, ERR_INVALID, pointer_to(field->string, pointer),
                           "there is no such field");
    }
    return ERR_OK;
}

/* The field if it is there and not null. *rc: INVALID if it is missing but required. */
static const cJSON *find(const cJSON *object, const char *name, enum need need, enum err_kind *rc,
                         struct err *e)
{
    char pointer[POINTER_BYTES];
    const cJSON *field = field_find(object, name);
    *rc = ERR_OK;
    if (field && (need == REQUIRED || !cJSON_IsNull(field)))
        return field;
    if (need == REQUIRED)
        *rc = err_set(e, ERR_INVALID, pointer_to(name, pointer), "is required");
    return NULL;
}

static enum err_kind wrong(struct err *e, const char *name, const char *expected)
{
    char pointer[POINTER_BYTES];
    return err_set(e, ERR_INVALID, pointer_to(name, pointer), "must be %s", expected);
}

/* 2^53 itself may have been 2^53 + 1 in the text. */
#define WHOLE_NUMBER "a whole number below 2^53"
static bool is_integer(double x)
{
    return fabs(x) < OPTION_INT_MAX && x == floor(x);
}

enum err_kind field_int(const cJSON *object, const char *name, enum need need, int64_t min,
                        int64_t max, int64_t *out, struct err *e)
{
    char pointer[POINTER_BYTES];
    enum err_kind rc;
    const cJSON *field = find(object, name, need, &rc, e);
    if (!field)
        return rc;
    if (!cJSON_IsNumber(field) || !is_integer(field->valuedouble))
        return wrong(e, name, WHOLE_NUMBER);
    int64_t x = (int64_t)field->valuedouble;
    if (x < min || x > max)
        return err_set(e, ERR_INVALID, pointer_to(name, pointer), "must be %lld to %lld, got %lld",
                       (long long)min, (long long)max, (long long)x);
    *out = x;
    return ERR_OK;
}

enum err_kind field_bool(const cJSON *object, const char *name, enum need need, bool *out,
                         struct err *e)
{
    enum err_kind rc;
    const cJSON *field = find(object, name, need, &rc, e);
    if (!field)
        return rc;
    if (!cJSON_IsBool(field))
        return wrong(e, name, "true or false");
    *out = cJSON_IsTrue(field);
    return ERR_OK;
}

enum err_kind field_string(const cJSON *object, const char *name, enum need need, size_t max,
                           const char **out, struct err *e)
{
    char pointer[POINTER_BYTES];
    enum err_kind rc;
    const cJSON *field = find(object, name, need, &rc, e);
    if (!field)
        return rc;
    if (!cJSON_IsString(field))
        return wrong(e, name, "a string");
    if (strlen(field->valuestring) > max)
        return err_set(e, ERR_INVALID, pointer_to(name, pointer), "must be at most %zu bytes long",
                       max);
    *out = field->valuestring;
    return ERR_OK;
}

/* Names that may be chosen, for a message: "none, tanh". */
static const char *join(const char *const *choices, char *text, size_t bytes)
{
    size_t n = 0;
    text[0] = '\0';
    for (size_t i = 0; choices[i] && n < bytes; i++)
        n += (size_t)snprintf(text + n, bytes - n, "%s%s", i ? ", " : "", choices[i]);
    return text;
}

const char *const dtype_names[] = {
#define NAME(id, name, ...) name,
    DTYPES(NAME)
#undef NAME
        NULL};

static enum err_kind choose(const cJSON *field, const char *const *choices, int *out, struct err *e)
{
    char pointer[POINTER_BYTES], text[160];
    if (cJSON_IsString(field))
        for (int i = 0; choices[i]; i++)
            if (!strcmp(choices[i], field->valuestring)) {
                *out = i;
                return ERR_OK;
            }
    return err_set(e, ERR_INVALID, pointer_to(field->string, pointer), "must be one of: %s",
                   join(choices, text, sizeof text));
}

enum err_kind field_choice(const cJSON *object, const char *name, enum need need,
                           const char *const *choices, int *out, struct err *e)
{
    enum err_kind rc;
    const cJSON *field = find(object, name, need, &rc, e);
    return field ? choose(field, choices, out, e) : rc;
}

enum err_kind field_object(const cJSON *object, const char *name, enum need need, const cJSON **out,
                           struct err *e)
{
    enum err_kind rc;
    *out = find(object, name, need, &rc, e);
    if (*out && !cJSON_IsObject(*out))
        return wrong(e, name, "an object");
    return rc;
}

/* ---- options ------------------------------------------------------------------------------- */

static enum err_kind check_bounds(const struct option *o, double x, struct err *e)
{
    char pointer[POINTER_BYTES];
    bool low = o->above ? x <= o->min : x < o->min;
    if (!low && x <= o->max)
        return ERR_OK;
    if (low)
        return err_set(e, ERR_INVALID, pointer_to(o->name, pointer), "must be %s %.17g, got %.17g",
                       o->above ? "greater than" : "at least", o->min, x);
    return err_set(e, ERR_INVALID, pointer_to(o->name, pointer), "must be at most %.17g, got %.17g",
                   o->max, x);
}

static enum err_kind option_read(const struct option *o, const cJSON *field, double *out,
                                 struct err *e)
{
    int index = 0;
    switch (o->kind) {
    case OPTION_BOOL:
        if (!cJSON_IsBool(field))
            return wrong(e, o->name, "true or false");
        *out = cJSON_IsTrue(field) ? 1 : 0;
        return ERR_OK;
    case OPTION_CHOICE:
        if (choose(field, o->choices, &index, e) != ERR_OK)
            return e->kind;
        *out = index;
        return ERR_OK;
    case OPTION_NUMBER:
        if (!cJSON_IsNumber(field))
            return wrong(e, o->name, "a finite number");
        break;
    case OPTION_INTEGER:
        if (!cJSON_IsNumber(field) || !is_integer(field->valuedouble))
            return wrong(e, o->name, WHOLE_NUMBER);
        break;
    case OPTION_NONE:
        break;
    }
    *out = field->valuedouble;
    return check_bounds(o, *out, e);
}

enum err_kind options_read(const struct options *list, const cJSON *object, const double *base,
                           double value[OPTIONS_MAX], struct err *e)
{
    const char *names[OPTIONS_MAX + 2] = {"type"};
    for (int i = 0; i < OPTIONS_MAX && list->option[i].kind != OPTION_NONE; i++)
        names[i + 1] = list->option[i].name;
    enum err_kind rc = fields_check(object, names, e);
    for (int i = 0; !rc && i < OPTIONS_MAX && list->option[i].kind != OPTION_NONE; i++) {
        const struct option *o = &list->option[i];
        const cJSON *field = field_find(object, o->name);
        value[i] = base && !field ? base[i] : o->fallback;
        if (field && !cJSON_IsNull(field))
            rc = option_read(o, field, &value[i], e);
        else if (o->required && !(base && !field))
            rc = wrong(e, o->name, "given");
    }
    return rc;
}

bool is_id(const char *text)
{
    size_t n = strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-");
    return n >= 1 && n <= 64 && text[n] == '\0' && strchr("._-", text[0]) == NULL;
}
