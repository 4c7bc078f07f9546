/* api/call.h - one request in flight, as the handlers see it.
 *
 * A handler is  enum err_kind handler(struct call *c, struct err *e)  in three visible stages: read
 * fields, do the one thing, write the answer to c->out. It sees no sockets and may run on any
 * worker. A long one does a slice's work, sets c->again, and is called once more later.
 */
#ifndef API_CALL_H
#define API_CALL_H

#include "api/api.h"
#include "api/json_in.h"
#include "api/json_out.h"
#include "api/routes.h"
#include "api/session.h"
#include "engine/tape.h"

/* A worker's memory. */
struct scratch {
    struct api *api;
    struct tape tape;
    size_t counted; /* bytes of it, in api->workspaces */
};

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
    char content_type[64];     /* without its parameters, lower case; "" if none */

    char *body;
    size_t bytes, room;
    struct json in; /* the parsed body; root NULL: there was none */

    struct kept *kept;     /* its key, while it runs; NULL: it has none */
    bool answer_is_kept;   /* the handler's transaction holds the answer */
    bool error_had_effect; /* … so the key keeps this error */
    void *replayed;        /* the body of an earlier answer; owned */

    struct session *session; /* of {id}, held for the call */
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
/* For a handler whose effect has a transaction of its own: puts the answer, which c->out holds
 * whole, into it, if the request has a key. Once the commit has succeeded it is kept. */
void call_keep_answer(struct call *c, struct store_txn *txn);
/* The same answer as a value, for who makes the transaction elsewhere; NULL: the request has no
 * key. Lives as long as c->out is unchanged. */
const struct store_answer *call_answer_to_keep(struct call *c, struct store_answer *out);
/* The writer for further members of the problem that is about to be answered. */
struct json_out *call_extra(struct call *c);
bool call_slice_is_over(const struct call *c);

int64_t clock_ns(void);     /* monotonic */
int64_t clock_millis(void); /* since 1970, UTC */

#endif
