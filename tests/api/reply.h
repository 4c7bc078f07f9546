/* tests/api/reply.h - an answer of the api, and ways to look into it.
 *
 * Whatever is not there, or not as it should be, fails the running cmocka test and prints the
 * answer.
 */
#ifndef TESTS_API_REPLY_H
#define TESTS_API_REPLY_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cjson/cJSON.h>
#include <cmocka.h>

/* An answer, copied. */
struct reply {
    int status;
    char type[64], location[192], allow[64], retry_after[16];
    char etag[32], digest[48]; /* ETag, X-State-Digest */
    bool replayed;             /* Idempotent-Replayed */
    char *text;                /* NUL-terminated */
    size_t bytes;              /* of it */
    cJSON *json;               /* NULL for an empty body */
    int slices;                /* calls of call_work that it took */
};
void reply_close(struct reply *r);

/* The problem's type ("/problems/conflict") and pointer must be these; "" for no pointer. */
void assert_problem(const struct reply *r, int status, const char *slug, const char *pointer);

/* ---- looking into it: pointer is an RFC 6901 one, without escapes -------------------------- */

const cJSON *json_find(const cJSON *root, const char *pointer); /* NULL: not there */
const cJSON *at(const struct reply *r, const char *pointer);
double number_at(const struct reply *r, const char *pointer); /* "NaN" and its kin too */
const char *string_at(const struct reply *r, const char *pointer);
/* Is the value there as this JSON text, without blanks? */
void assert_json(const struct reply *r, const char *pointer, const char *expected);
bool json_real_value(const cJSON *item, double *out);
/* Nested arrays of numbers, flat. free() it. */
double *json_flat(const cJSON *item, size_t *count);

/* item as JSON with all digits of its numbers: cJSON's own printer drops the last bit of some.
 * free() it. */
char *json_text(const cJSON *item);

/* A whole file, parsed; cJSON_Delete it. Names a path relative to the root of the repository. */
cJSON *json_file(const char *path);

#endif
