/* api/call.h - one request in flight, as the handlers see it.
 *
 * A handler is  enum err_kind handler(struct call *c, struct err *e)  in three visible stages: read
 * fields, do the one thing, write the answer to c->out. It sees no sockets and may run on any
 * worker. A long one does a slice's work, sets c->again, and is called once more later.
 */
#ifndef API_CALL_H
#define API_CALL_H

#include "api/api.h"
#include "api/events.h"
#include "api/json_in.h"
#include "api/json_out.h"
#include "api/media.h"
#include "api/routes.h"
#include "api/session.h"
#include "api/tensors.h"
#include "engine/tape.h"

/* A worker's memory. */
struct scratch {
    struct api *api;
    struct tape tape;
    const atomic_size_t *waiting; /* calls that others wait with; NULL: not known */
    size_t counted;               /* bytes of it, in api->workspaces */
};

/* Before its tape is used: brings what an idle one does not have. By the thread that has it.
 * errors NOMEM */
MUST_USE enum err_kind scratch_equip(struct scratch *s, struct err *e);
/* Counts it anew: between two calls, by the thread that has it. */
void scratch_count(struct scratch *s);

#define CALL_QUERY_MAX      8
#define CALL_REQUEST_ID_MAX 64

struct call {
    struct api *api;
    const struct route *route;           /* NULL until matched */
    char *target;                        /* the path, cut into its parts, and the query */
    const char *param[ROUTE_PARAMS_MAX]; /* {id}, {n} or {name}, in order; "" if none */
    struct {
        const char *name, *value;
    } query[CALL_QUERY_MAX];
    int queries;
    uint64_t number; /* of the call in this run of the daemon */
    char request_id[CALL_REQUEST_ID_MAX + 1];
    char key[STORE_KEY_BYTES]; /* Idempotency-Key; "" if none */
    enum media media;          /* Content-Type; MEDIA_COUNT: none, or none that we know */
    struct accept accept;

    char *body;
    size_t bytes, room;
    struct json in;         /* the parsed body; root NULL: there was none */
    struct tensors tensors; /* of a binary one, of which `in` is what it says beside them */

    struct kept *kept;          /* its key, while it runs; NULL: it has none */
    bool answer_is_kept;        /* the handler's transaction holds the answer */
    bool error_had_effect;      /* … so the key keeps this error */
    struct store_txn *txn;      /* the change it made, to be committed before the answer leaves */
    void (*on_kept)(void *arg); /* runs then */
    void *on_kept_arg;
    atomic_int slices_unkept;       /* slices of a long call that are on their way to the store */
    atomic_int_fast64_t steps_kept; /* in those that are there */
    atomic_bool slice_failed;       /* one could not be kept: … */
    struct err slice_err;           /* … why; set before that */
    bool wants_checkpoint;          /* the journal has grown long */
    bool tells_steps;               /* a problem says how many these are */
    bool news, diverged;            /* those who listen are told `told` then; and the problem */
    struct event_state told;
    struct stream *stream; /* the answer's body, that has no end; owned */

    char if_match[128];  /* the header; "" if none */
    char last_event[48]; /* Last-Event-ID; "" if none */
    bool wants_digest;   /* X-State-Digest was asked for */
    int64_t tag;         /* the step that the answer shows; -1: none */
    char etag[32], state_digest[48];
    void *replayed; /* the body of an earlier answer; owned */

    char line[STORE_ID_BYTES]; /* the model of the job {n}; "": it is finished, or there is none */
    struct session *session;   /* of {id}, held for the call */
    struct scratch *scratch;
    int64_t slice_end; /* nanoseconds: a long call stops here … */
    bool again;        /* … and says so */
    bool light;        /* it runs where it was received, and must not wait for the store */
    bool internal;     /* one of api_due */
    void *state;       /* of a long call, between its slices */
    void (*state_free)(void *state);

    struct json_out out;   /* the answer's body */
    const char *type;      /* of that; NULL: application/json */
    struct json_out extra; /* further members of a problem: `{"step":3` without its end */
    char location[STORE_KEY_BYTES];
    char retry_after[16];
    char origin[96]; /* where the answered error was born, for the log */
    struct answer answer;
    size_t counted; /* bytes of all this, in api->requests */
};

/* The value of ?name=, NULL if it is not there. */
const char *call_query(const struct call *c, const char *name);
/* A whole number of the query; fallback if it is not there.
 *   errors MALFORMED: no number, or out of bounds */
MUST_USE enum err_kind call_query_int(const struct call *c, const char *name, int64_t min,
                                      int64_t max, int64_t fallback, int64_t *out, struct err *e);
/* The {n} of the path. errors NOT_FOUND: no number at all */
MUST_USE enum err_kind call_param_int(const struct call *c, int i, int64_t *out, struct err *e);
/* Sets Location: "/models/%s". */
void call_location(struct call *c, const char *format, ...) PRINTF_LIKE(2, 3);
/* The answer shows the model as it was after that step: the ETag says so. */
void call_tag(struct call *c, int64_t step);
/* Writes "step", and tags the answer with it. */
void call_write_step(struct call *c, int64_t step);

/* Has the body come with arrays as bytes? */
bool call_is_binary(const struct call *c);
/* Its inputs and targets (api/batch.h), in whatever form they came.
 *   errors as batch_read */
MUST_USE enum err_kind call_read_batch(struct call *c, enum targets targets, struct batch **out,
                                       struct err *e);
/* The content type of the answer: what Accept likes best of what the route gives, by default the
 * body's own. */
enum media call_gives(const struct call *c);
/* Writes the whole answer as such. metadata, list, count: as safetensors_write has them; .npy takes
 * the first of the list. */
struct named_tensor;
void call_write_tensors(struct call *c, enum media media, const char *const *metadata,
                        const struct named_tensor *list, size_t count);

struct change;
/* The session has undergone this change: has it kept before the answer leaves, with the answer.
 * The last act of a handler. errors NOMEM · IO · FULL; the session is lost then */
MUST_USE enum err_kind call_keep_change(struct call *c, const struct change *change, struct err *e);
/* The same for a slice of a long call, which goes on meanwhile.
 *   interim, status  what a repeat of the request is told should the call be cut off here; borrowed
 *                    for the call, and of no use if the request has no key */
MUST_USE enum err_kind call_keep_slice(struct call *c, const struct change *change,
                                       struct json_out *interim, int status, struct err *e);
/* Why an earlier slice of this call could not be kept. */
MUST_USE enum err_kind call_check_slices(struct call *c, struct err *e);
/* Until all slices are kept, or could not be. */
void call_wait_slices(struct call *c);

/* For a handler whose effect has a transaction of its own: puts the answer, which c->out holds
 * whole, into it, if the request has a key. Once the commit has succeeded it is kept. */
void call_keep_answer(struct call *c, struct store_txn *txn);
/* An answer to the request that is not sent now, to be kept under its key.
 *   errors NOMEM */
MUST_USE enum err_kind call_describe_interim(const struct call *c, struct json_out *text,
                                             int status, struct store_answer *out, struct err *e);
/* The same answer as a value, for who makes the transaction elsewhere; NULL: the request has no
 * key. Lives as long as c->out is unchanged. */
const struct store_answer *call_answer_to_keep(struct call *c, struct store_answer *out);
/* The writer for further members of the problem that is about to be answered. */
struct json_out *call_extra(struct call *c);
/* Is it time to let others have a turn? While nobody waits for one, a slice goes on for longer: its
 * end costs a commit, and the gradients and the digest of its last step. */
bool call_slice_is_over(const struct call *c);

int64_t clock_ns(void);     /* monotonic */
int64_t clock_millis(void); /* since 1970, UTC */

#endif
