/* api/json_in.h - JSON text to a document whose long arrays of numbers stay text.
 *
 * One scanner walks the text first: RFC 8259's grammar to the letter, UTF-8, depth, size. An array
 * whose brackets open onto a number, one of the strings "NaN", "Infinity", "-Infinity", or an
 * empty array, at any nesting, is a tensor literal, and so is every empty array: it is cut out,
 * stays in the text, and its numbers are read as float32 while they are checked: what most fields
 * ask for; another dtype, or a text of many MiB, is read again. What is left, small, is parsed by
 * cJSON, where each tensor literal stands as an empty array. Numbers outside of them are ours too:
 * cJSON's valuedouble is set from their text, and their text is kept, so that a float32 is rounded
 * once. The valueint of both is the index of their span: no integer value, take valuedouble (exact
 * up to 2^53) or json_tensor_read for that.
 *
 * Threads: a document belongs to one thread at a time.
 */
#ifndef API_JSON_IN_H
#define API_JSON_IN_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/dtype.h"
#include "engine/err.h"

#define JSON_DEPTH_MAX 64    /* nested arrays and objects */
#define JSON_NODES_MAX 50000 /* values outside tensor literals */
#define JSON_RANK_MAX  8     /* nesting of a tensor literal */

struct json_span { /* one tensor literal, or a number outside of them */
    const char *text;
    size_t bytes;
    int rank; /* 0 for a number, -1 for a literal that is no tensor */
    int64_t dim[JSON_RANK_MAX];
    size_t first, floats; /* those of json.float32 that are its elements; too large: infinite */
};
struct json {
    cJSON *root; /* NULL for an empty text */
    struct json_span *span;
    size_t spans;
    float *float32; /* the elements of all literals */
    size_t floats;
    const char *text; /* borrowed: must outlive the document */
};

/* Makes cJSON allocate from engine/mem.h, and decimal_init; call it once, before any other thread
 * runs. */
void json_init(void);

/* Parses text (any bytes, no NUL needed). An empty or blank text gives root NULL.
 *   errors  MALFORMED not JSON, with what and the line and column where; a duplicate key (its
 *                     pointer), a \u0000, invalid UTF-8, a lone surrogate, a byte order mark,
 *                     depth over JSON_DEPTH_MAX (250,000 brackets take microseconds to refuse)
 *           INVALID   more than JSON_NODES_MAX values outside tensor literals; a number outside of
 *                     them too large for a double (its pointer)
 *           NOMEM     */
MUST_USE enum err_kind json_parse(const char *text, size_t bytes, struct json *out, struct err *e);
/* A zeroed or closed document is fine. */
void json_close(struct json *j);

/* Is item a tensor literal (any array that cJSON does not hold)? */
bool json_is_tensor(const cJSON *item);

/* The shape of the tensor literal at item, checked whole: every row as long as the first, every
 * scalar a number or a non-finite string. A plain number is rank 0.
 *   errors  INVALID with the pointer (relative to item) to the very element: "/3/1" must be a
 *           number; "/7": 63 elements where the others have 64; too deep; no tensor at all ("") */
MUST_USE enum err_kind json_tensor_shape(const struct json *j, const cJSON *item,
                                         int64_t dim[JSON_RANK_MAX], int *rank, struct err *e);
/* Reads the scalars of a literal whose shape was checked into out, row-major, as dtype.
 * FLOAT32 is the text rounded to float once (not by way of double).
 *   errors  INVALID with the pointer to the element: INT64 and not an integer within ±2^63, or a
 *           number too large for dtype (1e400): such a one is refused, never read as infinity */
MUST_USE enum err_kind json_tensor_read(const struct json *j, const cJSON *item, enum dtype dtype,
                                        void *out, struct err *e);
/* Reads a text that is one number and nothing else to *out, as dtype. Returns NULL, or what is
 * wrong with it: JSON_NO_NUMBER, or json_refusal. */
extern const char JSON_NO_NUMBER[];
const char *json_read_number(const char *text, const char *end, enum dtype dtype, void *out);
/* What json_tensor_read says of a number that is none of dtype's. */
const char *json_refusal(enum dtype dtype);
/* The pointer ("/2/0") of the index-th element of a literal of that shape. */
void json_tensor_pointer(const int64_t *dim, int rank, int64_t index, char *out, size_t bytes);

/* No more numbers than this are in text, which need not be JSON: for guessing what it will take.
 * NULL and 0 for none. */
size_t json_numbers_most(const char *text, size_t bytes);

/* item as a double: a number, or a non-finite string. false: neither. */
bool json_number(const cJSON *item, double *out);

#endif
