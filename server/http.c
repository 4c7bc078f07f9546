#include "server/http.h"

#include <limits.h>
#include <microhttpd.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "api/api.h"
#include "engine/mem.h"
#include "server/acceptor.h"
#include "server/clock.h"
#include "server/feed.h"
#include "server/request.h"

/* A connection that rests between two requests is closed after this time. */
#define IDLE_SECONDS 75
/* Of one connection, for its headers and as its read buffer. libmicrohttpd clears all of it at each
 * request, which with many connections is a tenth of the time of a small one. */
#define CONNECTION_BYTES ((size_t)20 << 10)

/* A daemon of libmicrohttpd: one thread. */
struct lane {
    struct http *http;
    struct share share;
};

struct http {
    struct transport shared;
    struct watch *watch;
    struct lane *lane;
    size_t lanes;
    struct acceptor acceptor; /* of several lanes; one alone listens itself */
    struct herald herald;
    struct MHD_Response *no_memory; /* made in time: for when there is none */
    char address[300];
};

/* ---- libmicrohttpd's callbacks ------------------------------------------------------------- */

static struct watched *watched_of(struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    return info ? info->socket_context : NULL;
}

/* libmicrohttpd maps the memory of a connection, and touches all of it when it makes it ready for
 * another request: from the end of the first one on it counts. */
static atomic_size_t *connection_bytes(struct http *h)
{
    return &api_gauges(h->shared.api)->connection_bytes;
}

/* A worker that runs leaves no core for it on a small machine. */
static void await_next(const struct http *h, struct MHD_Connection *connection,
                       struct watched *watched, int64_t now)
{
    struct spin *spin = watch_spin(watched);
    if (!h->shared.looks || !spin || !spin_end(spin, now) || !pool_is_quiet(h->shared.pool))
        return;
    int epoll = request_epoll(connection);
    if (epoll >= 0)
        spin_look(epoll);
}

static void on_connection(void *arg, struct MHD_Connection *connection, void **watched,
                          enum MHD_ConnectionNotificationCode code)
{
    struct lane *lane = arg;
    struct http *h = lane->http;
    if (code == MHD_CONNECTION_NOTIFY_CLOSED) {
        share_ended(&lane->share);
        if (watch_has_served(*watched))
            atomic_fetch_sub(connection_bytes(h), CONNECTION_BYTES);
        watch_close(h->watch, *watched);
        *watched = NULL;
        return;
    }
    share_began(&lane->share);
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    int64_t seconds = h->shared.config->header_seconds;
    *watched = watch_open(h->watch, info->connect_fd, clock_ns() + seconds * CLOCK_SECOND);
}

/* The request line is there, raw: later it is unescaped and cut. What is returned becomes the
 * *request of the other callbacks. */
static void *on_target(void *arg, const char *target, struct MHD_Connection *connection)
{
    struct http *h = arg;
    return request_new(&h->shared, connection, watched_of(connection), target);
}

static enum MHD_Result on_request(void *arg, struct MHD_Connection *connection, const char *url,
                                  const char *method, const char *version, const char *data,
                                  size_t *bytes, void **request)
{
    struct http *h = arg;
    (void)url; /* unescaped: see on_target */
    if (*request)
        return request_continue(*request, method, version, data, bytes);
    return MHD_queue_response(connection, MHD_HTTP_SERVICE_UNAVAILABLE, h->no_memory);
}

static void on_completed(void *arg, struct MHD_Connection *connection, void **request,
                         enum MHD_RequestTerminationCode how)
{
    struct http *h = arg;
    int64_t seconds = IDLE_SECONDS + h->shared.config->header_seconds;
    struct watched *watched = watched_of(connection);
    request_end(*request, how);
    *request = NULL;
    if (watch_served(watched))
        atomic_fetch_add(connection_bytes(h), CONNECTION_BYTES);
    int64_t now = clock_ns();
    watch_set(watched, WATCH_CLIENT_SENDS, now + seconds * CLOCK_SECOND);
    if (how == MHD_REQUEST_TERMINATED_COMPLETED_OK)
        await_next(h, connection, watched, now);
}

PRINTF_LIKE(2, 0)
static void on_message(void *arg, const char *format, va_list args)
{
    const struct http *h = arg;
    char text[400];
    vsnprintf(text, sizeof text, format, args);
    text[strcspn(text, "\n")] = '\0';
    log_text(h->shared.log, LOG_WARN, "libmicrohttpd: %s", text);
}

/* ---- starting ------------------------------------------------------------------------------ */

/* Answered when not even a request can be made. */
static struct MHD_Response *make_no_memory(void)
{
    static char body[] =
        "{\"type\":\"/problems/out-of-memory\",\"title\":\"The daemon is out of its "
        "memory\",\"status\":503}";
    struct MHD_Response *m =
        MHD_create_response_from_buffer(sizeof body - 1, body, MHD_RESPMEM_PERSISTENT);
    if (m) {
        MHD_add_response_header(m, "Content-Type", "application/problem+json");
        MHD_add_response_header(m, "Retry-After", "1");
        MHD_add_response_header(m, "Connection", "close");
    }
    return m;
}

/* Not MHD_OPTION_STRICT_FOR_CLIENT: all it adds in this version are HTML answers to a missing Host
 * and to a blank in the target; the guard refuses both, and says so in the API's own form.
 * Not a pool of threads, see server/acceptor.h. Nor MHD_quiesce_daemon, anywhere: with a pool and
 * epoll it can abort the process, and nothing here needs it.
 * fd: it listens to that, which is libmicrohttpd's from here on; -1: to none. */
static struct MHD_Daemon *start_daemon(struct lane *lane, int fd)
{
    struct http *h = lane->http;
    const struct config *c = h->shared.config;
    unsigned listens = fd < 0 ? MHD_USE_NO_LISTEN_SOCKET : 0;
    /* The acceptor keeps the limit. That of a daemon that does not listen may never be met: its
     * thread, seeing one too many, would hang for ever (0.9.75, new_connection_process_). */
    unsigned most = fd < 0 ? UINT_MAX : (unsigned)c->max_connections;
    return MHD_start_daemon(
        MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG | listens, 0,
        NULL, NULL, on_request, h, MHD_OPTION_EXTERNAL_LOGGER, on_message,
        h, /* must be the first */
        MHD_OPTION_URI_LOG_CALLBACK, on_target, h, MHD_OPTION_NOTIFY_COMPLETED, on_completed, h,
        MHD_OPTION_NOTIFY_CONNECTION, on_connection, lane, MHD_OPTION_CONNECTION_LIMIT, most,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, CONNECTION_BYTES, MHD_OPTION_CONNECTION_TIMEOUT,
        (unsigned)IDLE_SECONDS, fd < 0 ? MHD_OPTION_END : MHD_OPTION_LISTEN_SOCKET, fd,
        MHD_OPTION_END); /* the first END ends the list */
}

static enum err_kind no_daemon(struct err *e)
{
    return err_set(e, ERR_UNAVAILABLE, "", "libmicrohttpd did not start");
}

/* Owns fd, as does start_several. */
static enum err_kind start_one(struct http *h, int fd, struct err *e)
{
    h->lane->share.daemon = start_daemon(h->lane, fd);
    return h->lane->share.daemon ? ERR_OK : no_daemon(e);
}

static enum err_kind start_several(struct http *h, int fd, struct err *e)
{
    for (size_t i = 0; i < h->lanes; i++) {
        struct share *s = &h->lane[i].share;
        s->daemon = start_daemon(&h->lane[i], -1);
        if (!s->daemon) {
            close(fd);
            return no_daemon(e);
        }
        s->next = h->acceptor.first;
        h->acceptor.first = s;
    }
    h->acceptor.most = (size_t)h->shared.config->max_connections;
    h->acceptor.log = h->shared.log;
    return acceptor_start(&h->acceptor, fd, e);
}

static enum err_kind make_parts(struct http *h, struct err *e)
{
    size_t lanes = (size_t)h->shared.config->http_threads;
    h->watch = watch_new();
    h->no_memory = make_no_memory();
    h->lane = mem_array(lanes, sizeof *h->lane);
    if (!h->watch || !h->no_memory || !h->lane)
        return err_set(e, ERR_NOMEM, "", "no memory or no file descriptor to serve HTTP");
    h->lanes = lanes;
    for (size_t i = 0; i < lanes; i++)
        h->lane[i].http = h;
    return ERR_OK;
}

static enum err_kind start(struct http *h, struct err *e)
{
    int fd;
    enum err_kind rc = make_parts(h, e);
    if (!rc)
        rc = address_listen(&h->shared.config->address, &fd, e);
    if (rc)
        return rc;
    address_of(fd, h->address, sizeof h->address);
    rc = h->lanes == 1 ? start_one(h, fd, e) : start_several(h, fd, e);
    return rc ? rc : herald_start(&h->herald, h->shared.api, e);
}

enum err_kind http_start(const struct config *config, const struct log *log, struct api *api,
                         struct pool *pool, struct http **out, struct err *e)
{
    *out = NULL;
    struct http *h = mem_array(1, sizeof *h);
    if (!h)
        return err_set(e, ERR_NOMEM, "", "no memory to serve HTTP");
    h->shared.config = config;
    h->shared.log = log;
    h->shared.api = api;
    h->shared.pool = pool;
    h->shared.looks = sysconf(_SC_NPROCESSORS_ONLN) > 1;
    h->shared.guard = (struct guard){.host = config->address.host, .allow = config->allow_host};
    enum err_kind rc = start(h, e);
    if (rc)
        http_stop(h);
    else
        *out = h;
    return rc;
}

/* ---- running and stopping ------------------------------------------------------------------ */

const char *http_address(const struct http *h)
{
    return h->address;
}

void http_tick(struct http *h)
{
    size_t overdue = watch_sweep(h->watch, clock_ns());
    if (overdue > 0)
        log_text(h->shared.log, LOG_INFO, "closed %zu connections of slow clients", overdue);
    api_tick_streams(h->shared.api);
}

void http_drain(struct http *h)
{
    atomic_store(&h->shared.draining, true);
}

size_t http_owed(struct http *h)
{
    return atomic_load(&h->shared.owed);
}

size_t http_live(struct http *h)
{
    return atomic_load(&h->shared.live);
}

uint64_t http_begun(struct http *h)
{
    return atomic_load(&h->shared.begun);
}

void http_stop(struct http *h)
{
    if (!h)
        return;
    acceptor_stop(&h->acceptor);
    herald_stop(&h->herald);
    for (size_t i = 0; i < h->lanes; i++)
        if (h->lane[i].share.daemon)
            MHD_stop_daemon(h->lane[i].share.daemon);
    acceptor_close(&h->acceptor);
    if (h->no_memory)
        MHD_destroy_response(h->no_memory);
    watch_free(h->watch);
    mem_free(h->lane);
    mem_free(h);
}
