/* api/json_out.h - writes JSON text, piece by piece; the only place that does.
 *
 * Commas and colons come by themselves. A failure (no memory) is sticky and told once, at the
 * end. Numbers are the shortest decimals that read back to the same bits; a non-finite one is
 * the string "NaN", "Infinity" or "-Infinity".
 * Threads: one writer, one thread at a time.
 */
#ifndef API_JSON_OUT_H
#define API_JSON_OUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/dtype.h"
#include "engine/err.h"

struct json_out {
    char *text; /* NUL-terminated once json_out_end was called */
    size_t bytes, room;
    bool failed;
    bool comma; /* the next value or key needs one before it */
};

/* A zeroed writer is ready. */
void json_begin_object(struct json_out *w);
void json_end_object(struct json_out *w);
void json_begin_array(struct json_out *w);
void json_end_array(struct json_out *w);
void json_key(struct json_out *w, const char *key);

void json_string(struct json_out *w, const char *utf8); /* NULL writes null */
/* The same for text that may hold NULs; what is not UTF-8 becomes U+FFFD, as in all strings. */
void json_string_n(struct json_out *w, const char *text, size_t bytes);
void json_int(struct json_out *w, int64_t x);
void json_f64(struct json_out *w, double x);
/* x as the shortest text of its dtype: FLOAT32's for a value that came from a float. */
void json_real(struct json_out *w, enum dtype dtype, double x);
void json_bool(struct json_out *w, bool x);
void json_null(struct json_out *w);
/* Text that is JSON already. */
void json_raw(struct json_out *w, const char *json, size_t bytes);
/* Text as it stands, with no comma before it: for an answer that is no JSON. */
void json_plain(struct json_out *w, const char *text);
/* So many bytes more will come: room for them, and for the end, is made at once, and no more. */
void json_expect(struct json_out *w, size_t bytes);
/* Bytes as they stand, and room for as many, to be filled by the caller before the next call; NULL:
 * no memory, which the end will tell. For an answer that is no text. */
void json_bytes(struct json_out *w, const void *data, size_t bytes);
void *json_room(struct json_out *w, size_t bytes);
/* Nested arrays of a row-major contiguous tensor; a rank of 0 writes the number. */
void json_tensor(struct json_out *w, enum dtype dtype, const void *data, const int64_t *dim,
                 int rank);
/* The same of one whose elements lie `stride` elements apart. */
void json_strided(struct json_out *w, enum dtype dtype, const void *data, const int64_t *dim,
                  const int64_t *stride, int rank);
void json_ints(struct json_out *w, const int64_t *x, size_t count); /* a flat array */

/* key and value in one. */
void json_key_string(struct json_out *w, const char *key, const char *utf8);
void json_key_int(struct json_out *w, const char *key, int64_t x);
void json_key_f64(struct json_out *w, const char *key, double x);
void json_key_real(struct json_out *w, const char *key, enum dtype dtype, double x);
void json_key_bool(struct json_out *w, const char *key, bool x);

/* Terminates the text. false: there was no memory somewhere; nothing may be sent. */
MUST_USE bool json_out_end(struct json_out *w);
/* Releases the text; the writer is as zeroed. */
void json_out_close(struct json_out *w);
/* Gives the text away (mem_free it). */
char *json_out_take(struct json_out *w, size_t *bytes);

#endif
