/* tests/api/client.h - an api over a store in a folder of its own, and a client that asks it
 * without a socket, in the very order of calls that the server makes.
 *
 * Whatever goes wrong here fails the running cmocka test and prints the request with its answer.
 * Threads: one; client_exchange alone may be called by any thread with a scratch of its own.
 */
#ifndef TESTS_API_CLIENT_H
#define TESTS_API_CLIENT_H

#include "api/api.h"
#include "engine/attr.h"
#include "tests/api/reply.h"

struct request {
    const char *method, *target;
    const char *type;              /* NULL: application/json if there is a body, none otherwise */
    const char *body;              /* NULL: none */
    size_t bytes;                  /* 0: strlen(body) */
    const char *header[2 * 4 + 1]; /* further names and values; NULL ends them */
};

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
/* The same without an assertion, for what may fail: c->api is NULL after a failed opening, and
 * after every closing. */
enum err_kind client_try_open(struct client *c, struct err *e);
enum err_kind client_try_close(struct client *c, struct err *e);
/* Opens a store that sql makes, where there is no file. */
void client_make(struct client *c, const char *sql);
/* Drops the api as a kill would: what is not in the store by now is lost. */
void client_kill(struct client *c);
/* The same, and sql is run on what is left before it is opened again. It may call
 * change_seal(model, seq, prior, kind, step, body, data). */
void client_damage(struct client *c, const char *sql);
/* The first number of what sql selects, from the file as it stands. */
int64_t client_sql(struct client *c, const char *sql);

/* One request from its first line to its answer. Makes no assertion. */
void client_exchange(struct api *a, struct scratch *s, int64_t slice_ns, const struct request *q,
                     struct reply *out);

/* call_work, and call_keep where that is needed. true: answered. Any thread. */
bool client_work(struct call *call, struct scratch *s, int64_t slice_ns);

/* A reply belongs to the client and lives until CLIENT_REPLIES more have come.
 * body: as it stands, NULL for none. */
const struct reply *ask_plain(struct client *c, const char *method, const char *target,
                              const char *body);
/* body: a printf format, NULL for none. */
const struct reply *ask(struct client *c, const char *method, const char *target, const char *body,
                        ...) PRINTF_LIKE(4, 5);
/* The same, and the status must be this one. */
const struct reply *expect(struct client *c, int status, const char *method, const char *target,
                           const char *body, ...) PRINTF_LIKE(5, 6);

/* One request with headers, "If-Match", "*", …, NULL at the end. */
const struct reply *ask_headed(struct client *c, const struct request *q);

/* A call by hand, slice by slice: client_slice until it says true, then client_finish. */
struct call *client_start(struct client *c, const char *method, const char *target,
                          const char *body);
bool client_slice(struct client *c, struct call *call);
const struct reply *client_finish(struct client *c, struct call *call);
/* Has the model checkpointed in the background, due or not, and waits until the store has it. */
void client_checkpoint(struct client *c, const char *id);
/* Runs the checkpoint that is due and waits until the store has it. false: none is due. */
bool client_run_due(struct client *c);

/* Runs the next slice of a job, and keeps it. false: none is due. */
bool client_job_slice(struct client *c);
/* All there are, until no job is left to run. */
void client_run_jobs(struct client *c);

/* A small net (2 → 3, tanh, 3 → 1, mse); more: further members, ",\"seed\":1" or "". */
void create_net(struct client *c, const char *id, const char *more);
/* Pushes a batch of 4 rows for it; another k, other numbers. */
void push_batch(struct client *c, const char *id, int k);
/* The body of such a batch: free() it. */
char *batch_text(int k);
/* An expect of "/models/{id}{rest}", with the body as it stands. */
const struct reply *expect_of(struct client *c, int status, const char *method, const char *id,
                              const char *rest, const char *body);

/* The text of GET target, for comparing bits. free() it. */
char *text_of(struct client *c, const char *target);
/* Both clients answer the same text. */
void assert_same_answer(struct client *a, const char *target_a, struct client *b,
                        const char *target_b);

#endif
