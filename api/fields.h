/* api/fields.h - reads the fields of a JSON object; every complaint carries the field's pointer.
 *
 * Pointers are relative to the object; callers prefix where it stands in the body.
 * A missing optional field leaves *out as it was, so that the default is set before the call.
 * null counts as missing where a field is optional.
 */
#ifndef API_FIELDS_H
#define API_FIELDS_H

#include "api/json_in.h"
#include "engine/dtype.h"
#include "engine/options.h"

enum need { OPTIONAL, REQUIRED };

/* The field, NULL if it is missing. object may be NULL (an empty body). */
const cJSON *field_find(const cJSON *object, const char *name);
/* INVALID: object is something else, or has a field that is not in names (NULL ends them). */
MUST_USE enum err_kind fields_check(const cJSON *object, const char *const *names, struct err *e);

MUST_USE enum err_kind field_int(const cJSON *object, const char *name, enum need need, int64_t min,
                                 int64_t max, int64_t *out, struct err *e);
MUST_USE enum err_kind field_bool(const cJSON *object, const char *name, enum need need, bool *out,
                                  struct err *e);
/* *out is borrowed from the document. max: in bytes. */
MUST_USE enum err_kind field_string(const cJSON *object, const char *name, enum need need,
                                    size_t max, const char **out, struct err *e);
/* One of choices (NULL ends them), as its index. */
MUST_USE enum err_kind field_choice(const cJSON *object, const char *name, enum need need,
                                    const char *const *choices, int *out, struct err *e);
/* The object or array there, NULL if missing. */
MUST_USE enum err_kind field_object(const cJSON *object, const char *name, enum need need,
                                    const cJSON **out, struct err *e);

/* All types, in the order of enum dtype, for field_choice. */
extern const char *const dtype_names[];

/* Reads all options of a list from the object, which may have one field more: "type".
 * base NULL: what is missing takes its default. Otherwise it keeps base's value, and null means
 * the default (a JSON merge patch). */
MUST_USE enum err_kind options_read(const struct options *list, const cJSON *object,
                                    const double *base, double value[OPTIONS_MAX], struct err *e);

/* Does text match [A-Za-z0-9][A-Za-z0-9._-]{0,63}? */
bool is_id(const char *text);

#endif
