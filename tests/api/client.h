/* tests/api/client.h - an api over a store in a folder of its own, and a client that asks it
 * without a socket, in the very order of calls that the server makes.
 *
 * Whatever goes wrong here fails the running cmocka test and prints the request with its answer.
 * Threads: one; client_exchange alone may be called by any thread with a scratch of its own.
 */
#ifndef TESTS_API_CLIENT_H
#define TESTS_API_CLIENT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cjson/cJSON.h>
#include <cmocka.h>

#include "api/api.h"

struct request {
    const char *method, *target;
    const char *type; /* NULL: application/json if there is a body, none otherwise */
    const char *body; /* NULL: none */
    size_t bytes;     /* 0: strlen(body) */
};

/* An answer, copied. */
struct reply {
    int status;
    char type[64], location[192], allow[64], retry_after[16];
    char *text;  /* NUL-terminated */
    cJSON *json; /* NULL for an empty body */
    int slices;  /* calls of call_work that it took */
};
void reply_close(struct reply *r);

#define CLIENT_REPLIES 16

struct client {
    char folder[64], path[80];
    struct api_config config; /* may be changed while closed */
    struct api *api;          /* NULL while closed */
    struct scratch *scratch;
    int64_t slice_ns;                   /* of each call_work; 0: a slice a step */
    struct reply reply[CLIENT_REPLIES]; /* the latest ones */
    size_t replies;                     /* so far */
};

/* cmocka's setup and teardown: *state is a struct client with an open api over an empty store. */
int client_setup(void **state);
int client_teardown(void **state);
/* The same for a second one in the same test. */
struct client *client_new(const char *isa);
void client_free(struct client *c);
void client_open(struct client *c);
void client_close(struct client *c);
void client_reopen(struct client *c);
/* Drops the api as a kill would: what is not in the store by now is lost. */
void client_kill(struct client *c);

/* One request from its first line to its answer. Makes no assertion. */
void client_exchange(struct api *a, struct scratch *s, int64_t slice_ns, const struct request *q,
                     struct reply *out);

/* A reply belongs to the client and lives until CLIENT_REPLIES more have come.
 * body: a printf format, NULL for none. */
const struct reply *ask(struct client *c, const char *method, const char *target, const char *body,
                        ...);
/* The same, and the status must be this one. */
const struct reply *expect(struct client *c, int status, const char *method, const char *target,
                           const char *body, ...);
/* The problem's type ("/problems/conflict") and pointer must be these; "" for no pointer. */
void assert_problem(const struct reply *r, int status, const char *slug, const char *pointer);

/* A call by hand, slice by slice: client_slice until it says true, then client_finish. */
struct call *client_start(struct client *c, const char *method, const char *target,
                          const char *body);
bool client_slice(struct client *c, struct call *call);
const struct reply *client_finish(struct client *c, struct call *call);
/* Runs the checkpoint that is due and waits until the store has it. false: none is due. */
bool client_run_due(struct client *c);

/* A small net (2 → 3, tanh, 3 → 1, mse); more: further members, ",\"seed\":1" or "". */
void create_net(struct client *c, const char *id, const char *more);
/* Pushes a batch of 4 rows for it; another k, other numbers. */
void push_batch(struct client *c, const char *id, int k);
/* The body of such a batch: free() it. */
char *batch_text(int k);
/* An ask or expect of "/models/{id}{rest}". */
const struct reply *expect_of(struct client *c, int status, const char *method, const char *id,
                              const char *rest, const char *body);

/* ---- reading answers: pointer is an RFC 6901 one, without escapes ------------------------------
 */

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

/* The text of GET target, for comparing bits. free() it. */
char *text_of(struct client *c, const char *target);
/* Both clients answer the same text. */
void assert_same_answer(struct client *a, const char *target_a, struct client *b,
                        const char *target_b);
/* A whole file, parsed; cJSON_Delete it. Names a path relative to the root of the repository. */
cJSON *json_file(const char *path);

#endif
