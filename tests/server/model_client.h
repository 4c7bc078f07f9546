/* tests/server/model_client.h - what tests say to a daemon about its models, and what they read out
 * of its answers.
 *
 *     struct model_client m;
 *     model_client_open(&m, d.url);
 *     ask(&m, 200, "POST", "{\"steps\": 10}", "/models/%s/step", id);
 *     assert_true(number(m.json, "loss") < 0.1);
 *     model_client_close(&m);
 * One client, one thread. Only the thread that runs the test may assert, so the others call
 * `try_ask` and leave judging to it.
 */
#ifndef TESTS_MODEL_CLIENT_H
#define TESTS_MODEL_CLIENT_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/attr.h"

/* ---- text that grows ----------------------------------------------------------------------- */

struct text {
    char *at; /* NUL-terminated; NULL while nothing was added */
    size_t bytes, room;
};
void text_print(struct text *t, const char *format, ...) PRINTF_LIKE(2, 3);
void text_add_bytes(struct text *t, const void *data, size_t bytes);
void text_free(struct text *t);
/* piece, so many times, between begin and end; free() it. */
char *text_repeat(const char *begin, const char *piece, size_t times, const char *end);

/* ---- requests ------------------------------------------------------------------------------ */

struct model_client {
    struct http_client *http;
    const struct http_reply *reply; /* the last one; NULL if none came */
    cJSON *json;                    /* its body; NULL if it had none */
};
void model_client_open(struct model_client *m, const char *url);
void model_client_close(struct model_client *m);

/* Sends body (NULL: none) as JSON to the path made of format. Returns the status, 0 if there was no
 * answer. */
long try_ask(struct model_client *m, const char *method, const char *body, const char *format, ...)
    PRINTF_LIKE(4, 5);
/* The same with an Idempotency-Key (NULL: none). */
long try_keyed(struct model_client *m, const char *method, const char *key, const char *body,
               const char *path);
/* As try_ask; any other status fails the test with the answer. Returns m->json. */
const cJSON *ask(struct model_client *m, long status, const char *method, const char *body,
                 const char *format, ...) PRINTF_LIKE(5, 6);

/* ---- answers ------------------------------------------------------------------------------- */

/* The member at a path of keys and indices, "parameters/0.weight/data/0/1"; NULL: none. */
const cJSON *member(const cJSON *json, const char *path);
/* The same as a number or a string; anything else fails the test. */
double number(const cJSON *json, const char *path);
const char *string(const cJSON *json, const char *path);
void assert_close(double value, double expected, double relative);
/* The answer is this problem ("diverged"), at this pointer (NULL: any). */
void assert_problem(const struct model_client *m, const char *slug, const char *pointer);

/* Adds the text of a body without its times, and a line's end. */
void text_add_timeless(struct text *t, const char *body);
/* All that a model shows of itself but times: representation, parameters, gradients, losses,
 * batches with their data, checkpoints. Numbers are printed so that equal text means equal bits.
 * free() it. */
char *model_text(struct model_client *m, const char *id);
/* The same; "" if there is no such model. */
char *model_text_if_any(struct model_client *m, const char *id);
void assert_same_text(const char *a, const char *b);

/* ---- data sets ----------------------------------------------------------------------------- */

/* tests/data/NAME.csv; the last column is the target. */
struct table {
    size_t rows, columns; /* columns without the target */
    double *input;        /* (rows, columns) */
    double *target;       /* (rows) */
};
void table_read(struct table *t, const char *name);
void table_free(struct table *t);

enum target_form {
    TARGET_CLASS,  /* [3, 1, …] */
    TARGET_COLUMN, /* [[0.5], [1.5], …] */
};
/* {"inputs": …, "targets": …} of these rows; free() it. */
char *batch_json(const struct table *t, const size_t *row, size_t rows, enum target_form form);
/* Of all rows. */
char *table_json(const struct table *t, enum target_form form);

#endif
