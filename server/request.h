/* server/request.h - one HTTP request, from its first line to its log line.
 *
 * Threads: a request belongs to the libmicrohttpd thread of its connection, and to the pool from
 * pool_commit until its `done`; the connection sleeps meanwhile.
 */
#ifndef SERVER_REQUEST_H
#define SERVER_REQUEST_H

#include <microhttpd.h>
#include <stdatomic.h>

#include "server/config.h"
#include "server/guard.h"
#include "server/log.h"
#include "server/pool.h"
#include "server/watch.h"

/* What all requests share.  [I] immutable while the daemon runs  [a] atomic */
struct transport {
    const struct config *config;    /* [I] */
    const struct log *log;          /* [I] */
    struct api *api;                /* [I] */
    struct pool *pool;              /* [I] */
    struct guard guard;             /* [I] */
    bool looks;                     /* [I] there is a core to spare for who waits without sleep */
    atomic_bool draining;           /* [a] */
    atomic_uint_least64_t begun;    /* [a] requests since the start */
    atomic_size_t live;             /* [a] requests that exist */
    atomic_size_t owed;             /* [a] those of them that were taken on for the pool */
    _Atomic(struct watched *) last; /* [a] whose request ended last; compared, never followed */
    atomic_size_t body_bytes;       /* [a] of all bodies in flight, at most config->queue_bytes */
};

struct request;

/* target: the raw request target; copied. NULL: no memory. */
MUST_USE struct request *request_new(struct transport *t, struct MHD_Connection *connection,
                                     struct watched *watched, const char *target);
/* The access handler's calls: once with the headers, once for each piece of the body, once when
 * all is there, and once more after the connection slept. MHD_NO: close it. */
enum MHD_Result request_continue(struct request *r, const char *method, const char *version,
                                 const char *data, size_t *bytes);
/* The epoll of the connection's thread; -1: it is not told. */
int request_epoll(struct MHD_Connection *connection);
/* It was answered, or its connection is gone: logs it and frees it. NULL is fine. */
void request_end(struct request *r, enum MHD_RequestTerminationCode how);

#endif
