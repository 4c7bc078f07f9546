/* api/json_scan.h - JSON's grammar, checked before anything is built; inside json_*.c only. */
#ifndef API_JSON_SCAN_H
#define API_JSON_SCAN_H

#include "api/json_in.h"
#include "api/json_shape.h"

/* Checks text whole and finds its tensor literals and the numbers outside of them, in order: fills
 * out->span and out->float32 with their counts, also when it fails (mem_free both).
 *   values  those outside tensor literals, a literal being one; 0: the text is empty or blank
 *   errors  as json_parse, without duplicate keys and the range of numbers */
MUST_USE enum err_kind json_scan(const char *text, size_t bytes, struct json *out, size_t *values,
                                 struct err *e);

/* Finds again what is wrong with the shape of a literal whose rank is -1. */
struct json_shape json_scan_shape(const struct json_span *literal);

/* Reads "NaN", "Infinity" or "-Infinity", with the quotes. Returns the position behind, NULL if
 * text starts with something else. (json_tensor.c) */
const char *json_nonfinite(const char *text, const char *end, double *out);

static inline bool json_is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

#endif
