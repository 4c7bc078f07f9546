/* api/tensor_in.h - a tensor of a request: {"data", "shape"?, "dtype"?, "requires_grad"?}.
 *
 * data is nested, or flat where a shape is given; a bool's elements are true, false, 0 or 1.
 * Pointers are relative to the object. Numbers are read in a second call, straight to where they
 * stay.
 */
#ifndef API_TENSOR_IN_H
#define API_TENSOR_IN_H

#include "api/json_in.h"
#include "engine/shape.h"

struct tensor_in {
    enum dtype dtype;
    struct shape shape;
    bool requires_grad;
    const cJSON *data; /* borrowed from the document */
};

/* Reads all but the numbers. What is not given stays as it is in *out: set it before.
 *   errors INVALID */
MUST_USE enum err_kind tensor_in_read(const struct json *j, const cJSON *object,
                                      struct tensor_in *out, struct err *e);
/* Writes the numbers to `to`, row-major. errors INVALID with the pointer to the very element */
MUST_USE enum err_kind tensor_in_numbers(const struct json *j, const struct tensor_in *t, void *to,
                                         struct err *e);

/* Is text a name that a program may give a value, of fewer than max bytes? errors INVALID · NOMEM
 */
MUST_USE enum err_kind variable_check(const char *text, size_t max, struct err *e);
/* item, a list of extents, as a shape. errors INVALID */
MUST_USE enum err_kind shape_in_read(const struct json *j, const cJSON *item, struct shape *out,
                                     struct err *e);
/* The shape of item's numbers. errors INVALID with the pointer to the very element */
MUST_USE enum err_kind shape_of_data(const struct json *j, const cJSON *item, struct shape *out,
                                     struct err *e);

#endif
