#include "server/request.h"

#include <poll.h>
#include <string.h>
#include <strings.h>

#include "api/api.h"
#include "engine/mem.h"
#include "server/clock.h"
#include "server/feed.h"

/* An answer must be taken at this rate, after a grace of --body-seconds. */
#define SEND_BYTES_PER_SECOND 65536
/* For a call that is answered at once: it has no slices, so this only bounds each piece. */
#define INLINE_SLICE_NS (5 * CLOCK_SECOND / 1000)
/* Connections of a thread: a call of some tenths of a millisecond of each takes it some
 * milliseconds. */
#define CLIENTS_FEW 40
/* A change waits for company so long at most. */
#define ROUNDS_MAX 8

enum request_state {
    REQUEST_NEW,     /* the headers are being read */
    REQUEST_BODY,    /* taken on, the body is being read */
    REQUEST_DISCARD, /* refused, what comes of the body is thrown away */
    REQUEST_WAITING, /* in the pool */
    REQUEST_ANSWERED,
};

/* The pool and the connection's thread meet here: who comes second wakes the connection. */
enum wait {
    WAIT_AWAKE,  /* libmicrohttpd comes back in its next round */
    WAIT_ASLEEP, /* the connection is suspended */
    WAIT_OVER,   /* the pool is done with it */
};

struct request {
    struct job job; /* first: the pool hands it back */
    struct transport *shared;
    struct MHD_Connection *connection;
    struct watched *watched; /* NULL: no memory for one */
    struct call *call;       /* NULL until the headers are there */
    enum request_state state;
    atomic_int wait; /* enum wait: of a waiting one */
    int rounds;      /* of libmicrohttpd, since it waits to be kept */
    bool owed;
    bool alone;       /* its client came back at once, and no other came in between */
    bool close;       /* the connection ends with the answer */
    bool chunked;     /* the body's length is not known */
    size_t held;      /* of shared->body_bytes */
    size_t bytes_in;  /* of the body */
    size_t bytes_out; /* of the answer's body */
    int status;       /* 0: none was sent */
    int64_t began_ns;
    struct feed feed;                  /* the body of an answer that is a stream */
    char method[GUARD_METHOD_MAX + 2]; /* cut one over the limit, for the guard to see */
    char target[];
};

struct request *request_new(struct transport *t, struct MHD_Connection *connection,
                            struct watched *watched, const char *target)
{
    /* One byte over the limit is kept, so that the guard sees that it is over. */
    size_t bytes = strnlen(target, GUARD_TARGET_MAX + 1);
    struct request *r = mem_array(1, sizeof *r + bytes + 1);
    if (!r)
        return NULL;
    memcpy(r->target, target, bytes);
    r->shared = t;
    r->connection = connection;
    r->watched = watched;
    r->began_ns = clock_ns();
    atomic_fetch_add(&t->begun, 1);
    atomic_fetch_add(&t->live, 1);
    watch_set(watched, WATCH_CLIENT_SENDS, r->began_ns + t->config->header_seconds * CLOCK_SECOND);
    if (watched) {
        spin_begin(watch_spin(watched), r->began_ns);
        r->alone = watch_spin(watched)->quick && atomic_load(&t->last) == watched;
    }
    return r;
}

/* ---- the answer ---------------------------------------------------------------------------- */

static bool add_header(struct MHD_Response *m, const char *name, const char *value)
{
    return MHD_add_response_header(m, name, value) == MHD_YES;
}

static bool add_headers(struct MHD_Response *m, const struct request *r, const struct answer *a)
{
    bool cached = false, ok = add_header(m, "X-Request-Id", call_request_id(r->call)) &&
                              add_header(m, "X-Content-Type-Options", "nosniff");
    for (const char *const *h = a->header; ok && *h; h += 2) {
        ok = add_header(m, h[0], h[1]);
        cached = cached || !strcasecmp(h[0], "Cache-Control");
    }
    if (ok && !cached)
        ok = add_header(m, "Cache-Control", "no-store");
    if (ok && (r->close || atomic_load(&r->shared->draining)))
        ok = add_header(m, "Connection", "close");
    return ok;
}

/* The stream that is sent as the body; NULL: there is none. A HEAD gets an empty one: behind a body
 * that has no end libmicrohttpd (0.9.75) would send the end of its last piece all the same. */
static struct stream *stream_to_send(const struct request *r)
{
    return strcmp(r->method, "HEAD") != 0 ? call_stream(r->call) : NULL;
}

/* Without an end: it is owed no more, and a daemon that stops does not wait for it. */
static struct MHD_Response *stream_response(struct request *r, struct stream *stream)
{
    r->feed = (struct feed){.stream = stream,
                            .connection = r->connection,
                            .watched = r->watched,
                            .take_ns = r->shared->config->body_seconds * CLOCK_SECOND};
    atomic_fetch_sub(&r->shared->owed, r->owed);
    r->owed = false;
    return feed_response(&r->feed);
}

/* The body is lent, not copied: libmicrohttpd reads it last before request_end, which frees it
 * (checked in 0.9.75: after that notice it only drops its reference; a persistent buffer has
 * nothing to free). */
static enum MHD_Result send_answer(struct request *r)
{
    const struct answer *a = call_answer(r->call);
    const struct config *config = r->shared->config;
    struct stream *stream = stream_to_send(r);
    struct MHD_Response *m =
        stream ? stream_response(r, stream)
               : MHD_create_response_from_buffer(a->bytes, (void *)a->body, MHD_RESPMEM_PERSISTENT);
    if (!m)
        return MHD_NO;
    int64_t seconds = config->body_seconds + (int64_t)(a->bytes / SEND_BYTES_PER_SECOND);
    watch_set(r->watched, WATCH_CLIENT_TAKES, clock_ns() + seconds * CLOCK_SECOND);
    r->state = REQUEST_ANSWERED;
    r->status = a->status;
    r->bytes_out = a->bytes;
    enum MHD_Result sent = MHD_NO;
    if (add_headers(m, r, a))
        sent = MHD_queue_response(r->connection, (unsigned)a->status, m);
    MHD_destroy_response(m);
    return sent;
}

/* ---- the headers --------------------------------------------------------------------------- */

static enum MHD_Result collect_header(void *arg, enum MHD_ValueKind kind, const char *name,
                                      size_t name_bytes, const char *value, size_t value_bytes)
{
    struct guard_request *g = arg;
    (void)kind;
    if (g->headers < GUARD_HEADERS_MAX)
        g->header[g->headers] = (struct guard_header){
            .name = name,
            .value = value ? value : "",
            .name_bytes = name_bytes,
            .value_bytes = value ? value_bytes : 0,
        };
    g->headers++;
    return MHD_YES;
}

/* Bodies in flight may hold so much and no more. */
static bool hold_bytes(struct request *r, size_t bytes)
{
    struct transport *t = r->shared;
    size_t before = atomic_fetch_add(&t->body_bytes, bytes);
    size_t limit = (size_t)t->config->queue_bytes;
    if (before > limit || bytes > limit - before) {
        atomic_fetch_sub(&t->body_bytes, bytes);
        call_refuse(r->call, ERR_UNAVAILABLE, 1, "the bodies in flight fill --queue-bytes");
        return false;
    }
    r->held += bytes;
    return true;
}

/* What only the server knows: is there room, is there time? */
static bool take_on(struct request *r, int64_t length)
{
    if (call_mode(r->call) != CALL_INLINE) {
        if (atomic_load(&r->shared->draining)) {
            call_refuse(r->call, ERR_UNAVAILABLE, 1, "the daemon is stopping");
            return false;
        }
        r->owed = true;
        atomic_fetch_add(&r->shared->owed, 1);
    }
    r->chunked = length < 0;
    return length <= 0 || hold_bytes(r, (size_t)length);
}

/* The id goes before the target, so that a 404 has it too; all others after it. libmicrohttpd
 * terminates names and values. */
static bool pass_headers(struct request *r, const struct guard_request *g, bool id)
{
    for (size_t i = 0; i < g->headers; i++) {
        const struct guard_header *h = &g->header[i];
        if (!strcasecmp(h->name, "X-Request-Id") == id && !call_header(r->call, h->name, h->value))
            return false;
    }
    return true;
}

/* Everything that can be decided before the body is read. false: refused. */
static bool admit(struct request *r, const char *version, int64_t *length)
{
    struct guard_request g = {.method = r->method, .target = r->target, .version = version};
    struct err e;
    MHD_get_connection_values_n(r->connection, MHD_HEADER_KIND, collect_header, &g);
    enum err_kind rc = guard_check(&r->shared->guard, &g, length, &e);
    if (rc) {
        r->close = true; /* who frames one request wrongly may mean the next bytes otherwise */
        call_refuse(r->call, rc, 0, "%s", e.message);
        return false;
    }
    bool head = !strcmp(r->method, "HEAD"); /* libmicrohttpd leaves the body out */
    if (!pass_headers(r, &g, true) || !call_target(r->call, head ? "GET" : r->method, r->target) ||
        !pass_headers(r, &g, false))
        return false;
    return call_admit(r->call, *length) && take_on(r, *length);
}

/* The first call. An answer given now ends the connection (libmicrohttpd reads nothing more of
 * it), so a refused request without a body is answered in the second call, like any other. */
static enum MHD_Result begin(struct request *r, const char *method, const char *version)
{
    int64_t length;
    mem_fit(r->method, sizeof r->method, method);
    r->call = call_new(r->shared->api);
    if (!r->call)
        return MHD_NO;
    if (admit(r, version, &length)) {
        r->state = REQUEST_BODY;
        watch_set(r->watched, WATCH_CLIENT_SENDS,
                  clock_ns() + r->shared->config->body_seconds * CLOCK_SECOND);
        return MHD_YES;
    }
    r->state = REQUEST_DISCARD;
    if (length == 0 && !r->close)
        return MHD_YES;
    r->close = true;
    return send_answer(r);
}

/* ---- the body ------------------------------------------------------------------------------ */

/* A piece of the body. libmicrohttpd takes no answer while one arrives: what was refused is read
 * to its end, or until the client's time is over. */
static void take_body(struct request *r, const char *data, size_t bytes)
{
    r->bytes_in += bytes;
    if (r->state != REQUEST_BODY)
        return;
    if ((r->chunked && !hold_bytes(r, bytes)) || !call_body(r->call, data, bytes))
        r->state = REQUEST_DISCARD;
}

/* ---- running it ---------------------------------------------------------------------------- */

/* On a worker, or on the thread that stops the pool. */
static void wake(struct job *job, bool ran)
{
    struct request *r = (struct request *)job;
    struct MHD_Connection *connection = r->connection;
    if (!ran)
        call_refuse(r->call, ERR_UNAVAILABLE, 1, "the daemon is stopping");
    if (atomic_exchange(&r->wait, WAIT_OVER) == WAIT_ASLEEP)
        MHD_resume_connection(connection);
    /* from here on r may be gone */
}

/* Of the connection's thread, which has a daemon of its own; NULL: it is not told. */
static const union MHD_DaemonInfo *thread_info(struct MHD_Connection *connection,
                                               enum MHD_DaemonInfoType what)
{
    const union MHD_ConnectionInfo *of =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_DAEMON);
    return of ? MHD_get_daemon_info(of->daemon, what) : NULL;
}

int request_epoll(struct MHD_Connection *connection)
{
    const union MHD_DaemonInfo *epoll = thread_info(connection, MHD_DAEMON_INFO_EPOLL_FD);
    return epoll ? epoll->epoll_fd : -1;
}

static enum pool_clients clients_of(const struct request *r)
{
    if (r->alone)
        return POOL_ALONE;
    const union MHD_DaemonInfo *open =
        thread_info(r->connection, MHD_DAEMON_INFO_CURRENT_CONNECTIONS);
    return open && open->num_connections <= CLIENTS_FEW ? POOL_FEW : POOL_MANY;
}

/* What is light and first in its line is done at once: waking another thread would take longer.
 * All else: reserve, sleep, commit: the pool can wake only who sleeps already, and a connection put
 * to sleep must be certain to be woken. A change that was made here is kept in the next round. */
static enum MHD_Result run(struct request *r)
{
    struct err e;
    if (call_mode(r->call) == CALL_INLINE) {
        while (call_work(r->call, NULL, INLINE_SLICE_NS) == CALL_AGAIN)
            continue;
        return send_answer(r);
    }
    r->job.call = r->call;
    r->job.done = wake;
    enum err_kind rc = pool_reserve(r->shared->pool, &r->job, &e);
    if (rc) {
        call_refuse(r->call, rc, 1, "%s", e.message);
        return send_answer(r);
    }
    enum pool_here how = pool_run_here(r->shared->pool, &r->job, clients_of(r));
    if (how == POOL_ANSWERED)
        return send_answer(r);
    r->state = REQUEST_WAITING;
    watch_set(r->watched, WATCH_CLIENT_TAKES, WATCH_NEVER);
    if (how == POOL_UNKEPT) {
        pool_keep(r->shared->pool, &r->job);
        return MHD_YES;
    }
    atomic_store(&r->wait, WAIT_ASLEEP);
    MHD_suspend_connection(r->connection);
    pool_commit(r->shared->pool, &r->job);
    return MHD_YES;
}

static bool has_news(int epoll)
{
    struct pollfd event = {.fd = epoll, .events = POLLIN};
    return poll(&event, 1, 0) > 0;
}

/* Is there more to be read already, so that its changes can be kept with this one? What came with
 * the round in which this one was made has its turn behind it in the next. */
static bool has_company(struct request *r)
{
    r->rounds++;
    return r->rounds == 1 || (r->rounds < ROUNDS_MAX && has_news(request_epoll(r->connection)));
}

/* libmicrohttpd has been round all connections that had something to say since this one's change
 * was made: the changes of that round are now kept as one. If the store is busy for a moment, this
 * thread waits with them all: to suspend and resume each of them takes longer. If it takes another
 * thread, sleep. */
static enum MHD_Result wait_on(struct request *r)
{
    int awake = WAIT_AWAKE;
    if (atomic_load(&r->wait) == WAIT_AWAKE && has_company(r))
        return MHD_YES;
    if (atomic_load(&r->wait) == WAIT_AWAKE)
        api_flush_patiently(r->shared->api);
    if (atomic_load(&r->wait) == WAIT_OVER)
        return send_answer(r);
    if (atomic_load(&r->wait) == WAIT_ASLEEP) /* libmicrohttpd may call once too often */
        return MHD_YES;
    MHD_suspend_connection(r->connection);
    if (!atomic_compare_exchange_strong(&r->wait, &awake, WAIT_ASLEEP))
        MHD_resume_connection(r->connection);
    return MHD_YES;
}

enum MHD_Result request_continue(struct request *r, const char *method, const char *version,
                                 const char *data, size_t *bytes)
{
    if (r->state == REQUEST_NEW)
        return begin(r, method, version);
    if (*bytes > 0) {
        take_body(r, data, *bytes);
        *bytes = 0;
        return MHD_YES;
    }
    switch (r->state) {
    case REQUEST_BODY:
        return run(r);
    case REQUEST_DISCARD:
        return send_answer(r);
    case REQUEST_WAITING:
        return wait_on(r);
    case REQUEST_NEW:
    case REQUEST_ANSWERED:
        break;
    }
    return MHD_NO;
}

/* ---- the end ------------------------------------------------------------------------------- */

static const char *ending(enum MHD_RequestTerminationCode how)
{
    switch (how) {
    case MHD_REQUEST_TERMINATED_COMPLETED_OK:
        return "";
    case MHD_REQUEST_TERMINATED_TIMEOUT_REACHED:
        return "timeout";
    case MHD_REQUEST_TERMINATED_DAEMON_SHUTDOWN:
        return "shutdown";
    case MHD_REQUEST_TERMINATED_READ_ERROR:
    case MHD_REQUEST_TERMINATED_CLIENT_ABORT:
        return "client-gone";
    case MHD_REQUEST_TERMINATED_WITH_ERROR:
        break;
    }
    return "connection-error";
}

static void log_request(const struct request *r, enum MHD_RequestTerminationCode how)
{
    const char *origin = r->call ? call_origin(r->call) : "";
    const char *end = r->feed.gone ? "client-gone" : ending(how);
    struct log_field field[9] = {
        {.key = "id", .text = r->call ? call_request_id(r->call) : ""},
        {.key = "method", .text = r->method},
        {.key = "path", .text = r->target},
        {.key = "status", .number = r->status},
        {.key = "in", .number = (int64_t)r->bytes_in},
        {.key = "out", .number = (int64_t)(r->bytes_out + r->feed.bytes)},
        {.key = "us", .number = (clock_ns() - r->began_ns) / 1000},
    };
    size_t fields = 7;
    if (*origin)
        field[fields++] = (struct log_field){.key = "origin", .text = origin};
    if (*end)
        field[fields++] = (struct log_field){.key = "end", .text = end};
    enum log_level level = r->status < 500 ? LOG_INFO : r->status == 503 ? LOG_WARN : LOG_ERROR;
    log_event(r->shared->log, level, "request", field, fields);
}

void request_end(struct request *r, enum MHD_RequestTerminationCode how)
{
    if (!r)
        return;
    struct transport *t = r->shared;
    while (r->state == REQUEST_WAITING && atomic_load(&r->wait) != WAIT_OVER) {
        api_flush(t->api); /* the client has gone before its change was kept */
        nanosleep(&(struct timespec){.tv_nsec = CLOCK_SECOND / 1000}, NULL);
    }
    log_request(r, how);
    atomic_store(&t->last, r->watched);
    call_free(r->call);
    atomic_fetch_sub(&t->body_bytes, r->held);
    atomic_fetch_sub(&t->owed, r->owed);
    mem_free(r);
    atomic_fetch_sub(&t->live, 1);
}
