/* api/json_shape.h - the shape of a tensor literal, kept while the scanner passes it; inside
 * json_*.c only.
 *
 * The first way down to a scalar, or to an empty array, gives the rank; the first row of each depth
 * that ends gives a dimension; all others must agree. At the first one that does not, the count
 * stops, and with it shows the place.
 */
#ifndef API_JSON_SHAPE_H
#define API_JSON_SHAPE_H

#include <stddef.h>
#include <stdint.h>

#include "api/json_in.h"

struct json_shape {
    int rank;                     /* -1: not known yet */
    int depth;                    /* arrays open */
    int64_t dim[JSON_RANK_MAX];   /* -1: not known yet */
    int64_t count[JSON_RANK_MAX]; /* elements of each open array so far, the current one too */
    const char *fault;            /* NULL: none */
    int64_t length;               /* of the row at fault, -1 if that is not the fault */
};

#define JSON_SHAPE_START ((struct json_shape){.rank = -1, .length = -1})

void json_shape_open(struct json_shape *s);
void json_shape_close(struct json_shape *s);
/* count numbers in a row, at least 1 */
void json_shape_numbers(struct json_shape *s, int64_t count);
/* Any other value. */
void json_shape_other(struct json_shape *s);
/* The pointer to the element where the count stands, relative to the literal. */
void json_shape_pointer(const struct json_shape *s, char *out, size_t bytes);

#endif
