#include "server/serve.h"

#include <inttypes.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "api/api.h"
#include "engine/mem.h"
#include "server/clock.h"
#include "server/http.h"
#include "server/log.h"
#include "server/pool.h"

/* Long enough that a turn is worth its hand-over, short enough that nobody waits for his. */
#define SLICE_NS (5 * CLOCK_SECOND / 1000)
/* Who asked for something light a second ago may do so again. */
#define HURRIED_NS CLOCK_SECOND
/* Once nothing runs any more, the answers have this time to leave, … */
#define FLUSH_SECONDS 1
/* … and requests that were on their way this time to come and be refused. */
#define QUIET_NS (CLOCK_SECOND / 10)
#define POLL_NS  (CLOCK_SECOND / 100)
/* The daemon's own work is looked at once a second, or so soon again while there is some. */
#define BUSY_NS (CLOCK_SECOND / 20)

struct daemon {
    const struct config *config;
    struct log log;
    sigset_t signals; /* those that end it; blocked in every thread, waited for by main's */
    struct api *api;
    struct pool *pool;
    struct http *http;
};

/* ---- signals ------------------------------------------------------------------------------- */

/* Before any thread is started, so that all inherit it. */
static void block_signals(struct daemon *d)
{
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    sigaction(SIGPIPE, &ignore, NULL);
    sigaction(SIGXFSZ, &ignore, NULL); /* a file that grows too large is an error of the write */
    sigemptyset(&d->signals);
    sigaddset(&d->signals, SIGTERM);
    sigaddset(&d->signals, SIGINT);
    sigaddset(&d->signals, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &d->signals, NULL);
}

/* Did one of the signals come within the time? */
static bool wait_signal(const struct daemon *d, int64_t ns)
{
    struct timespec time = {.tv_sec = ns / CLOCK_SECOND, .tv_nsec = ns % CLOCK_SECOND};
    return sigtimedwait(&d->signals, NULL, &time) > 0;
}

/* ---- starting ------------------------------------------------------------------------------ */

/* Connections, an epoll and an eventfd of each HTTP thread, the store's files, and some for what
 * libraries open. */
static void raise_file_limit(const struct daemon *d)
{
    struct rlimit limit;
    rlim_t want = (rlim_t)(d->config->max_connections + 2 * d->config->http_threads) + 64;
    if (getrlimit(RLIMIT_NOFILE, &limit) || limit.rlim_cur >= want)
        return;
    limit.rlim_cur = limit.rlim_max < want ? limit.rlim_max : want;
    if (setrlimit(RLIMIT_NOFILE, &limit) || limit.rlim_cur < want)
        log_text(&d->log, LOG_WARN, "only %" PRIu64 " files may be open, fewer than connections",
                 (uint64_t)limit.rlim_cur);
}

struct api_config serve_api_config(const struct config *c)
{
    return (struct api_config){
        .data = c->data,
        .backup_dir = c->backup_dir,
        .network_files = !strcmp(c->network_files, "allow"),
        .version = GRADD_VERSION,
        .isa = c->isa,
        .max_body = (size_t)c->max_body,
        .max_model_bytes = (size_t)c->max_model_bytes,
        .max_batches = c->max_batches,
        .max_batch_bytes = (size_t)c->max_batch_bytes,
        .memory = (size_t)c->memory,
        .checkpoint_steps = c->checkpoint_steps,
        .checkpoint_seconds = c->checkpoint_seconds,
        .autograd_memory = (size_t)c->autograd_memory,
        .autograd_seconds = c->autograd_seconds,
        .max_streams = (size_t)c->max_streams,
    };
}

static enum err_kind start_pool(struct daemon *d, struct err *e)
{
    const struct pool_config pool = {
        .workers = (size_t)d->config->workers,
        .line_calls = (size_t)d->config->queue,
        .calls = (size_t)d->config->max_connections,
        .slice_ns = SLICE_NS,
        .here = (size_t)d->config->http_threads,
        .hurried_ns = HURRIED_NS,
    };
    return pool_new(d->api, &pool, &d->pool, e);
}

static enum err_kind start(struct daemon *d, struct err *e)
{
    raise_file_limit(d);
    const struct api_config api = serve_api_config(d->config);
    enum err_kind rc = api_open(&api, &d->api, e);
    if (!rc)
        rc = start_pool(d, e);
    if (!rc)
        rc = http_start(d->config, &d->log, d->api, d->pool, &d->http, e);
    return rc;
}

/* ---- running ------------------------------------------------------------------------------- */

static void log_notices(const struct daemon *d)
{
    char text[API_NOTICE_BYTES];
    while (api_next_notice(d->api, text))
        log_text(&d->log, LOG_WARN, "%s", text);
}

/* Hands what is due to the pool. Returns whether there was anything, for then there may be more. */
static bool submit_due(struct daemon *d)
{
    bool any = false;
    for (struct call *c = api_due(d->api); c; c = api_due(d->api)) {
        pool_submit(d->pool, c);
        any = true;
    }
    pool_submit_jobs(d->pool); /* those that waited for the start, or rested */
    return any;
}

/* Until a signal, or until the storage fails: then it is for a supervisor to start anew, which
 * finds out what the disk holds. */
static enum err_kind run(struct daemon *d, struct err *e)
{
    int64_t pause = CLOCK_SECOND, tick = 0;
    while (!wait_signal(d, pause)) {
        if (!api_is_healthy(d->api))
            return err_set(e, ERR_IO, "", "the storage failed, and nothing more is kept: ending");
        log_notices(d);
        if (clock_ns() >= tick) {
            http_tick(d->http);
            tick = clock_ns() + CLOCK_SECOND * 9 / 10; /* of which a pause may be some part short */
        }
        pause = submit_due(d) ? BUSY_NS : CLOCK_SECOND;
    }
    return ERR_OK;
}

/* ---- stopping ------------------------------------------------------------------------------ */

/* Until the pool owes no answer, the time is over, or a signal hurries. Nothing is owed to a client
 * that has gone while it sent its request: the ticks find out. */
static void wait_for_calls(const struct daemon *d)
{
    int64_t now = clock_ns(), deadline = now + d->config->drain_seconds * CLOCK_SECOND, tick = now;
    while (http_owed(d->http) > 0 && now < deadline && !wait_signal(d, POLL_NS)) {
        now = clock_ns();
        if (now < tick)
            continue;
        http_tick(d->http);
        tick = now + CLOCK_SECOND;
    }
}

/* Until no request is left, and none has come for a while: one that libmicrohttpd has not read
 * when it stops would find its connection cut. */
static void wait_for_quiet(const struct daemon *d)
{
    uint64_t seen = http_begun(d->http);
    int64_t now = clock_ns(), deadline = now + FLUSH_SECONDS * CLOCK_SECOND, last = now;
    while (now < deadline && now - last < QUIET_NS && !wait_signal(d, POLL_NS)) {
        uint64_t begun = http_begun(d->http);
        now = clock_ns();
        if (begun != seen || http_live(d->http) > 0)
            last = now;
        seen = begun;
    }
}

/* Every request that was taken on is answered: by its handler while there is time, with 503 by
 * pool_stop after that. Only then may libmicrohttpd stop. */
static void drain(struct daemon *d)
{
    log_text(&d->log, LOG_INFO, "stopping: %zu requests are to be ended", http_owed(d->http));
    api_drain(d->api);
    http_drain(d->http);
    wait_for_calls(d);
    pool_stop(d->pool);
    wait_for_quiet(d);
}

struct hurry {
    const struct daemon *daemon;
    int64_t deadline;
};

/* A second signal, or --drain-seconds over once more: what is left is replayed at the next start.
 */
static bool is_hurried(void *arg)
{
    struct hurry *h = arg;
    if (clock_ns() >= h->deadline || wait_signal(h->daemon, 0))
        h->deadline = 0;
    return h->deadline == 0;
}

/* What was started, in reverse; what was not is NULL. */
static enum err_kind stop(struct daemon *d, struct err *e)
{
    struct hurry hurry = {d, clock_ns() + d->config->drain_seconds * CLOCK_SECOND};
    http_stop(d->http);
    pool_free(d->pool);
    if (d->api) /* what opening found wrong is found once only */
        log_notices(d);
    return api_close(d->api, is_hurried, &hurry, e);
}

int serve(const struct config *config)
{
    struct daemon d = {
        .config = config,
        .log = {.json = !strcmp(config->log, "json"), .fd = STDERR_FILENO},
    };
    struct err e, late;
    mem_tune((size_t)config->http_threads);
    block_signals(&d);
    d.log.batch = log_batch_new(d.log.fd);
    enum err_kind rc = start(&d, &e);
    if (rc) {
        log_text(&d.log, LOG_ERROR, "cannot start: %s", e.message);
    } else {
        log_text(&d.log, LOG_INFO,
                 "gradd %s: %s, %" PRId64 " workers, kernels %s, %" PRId64 " MiB for models",
                 GRADD_VERSION, config->data, config->workers, api_isa(d.api),
                 config->memory >> 20);
        log_text(&d.log, LOG_INFO, "listening on http://%s", http_address(d.http));
        log_notices(&d);
        if ((rc = run(&d, &e)))
            log_text(&d.log, LOG_ERROR, "%s", e.message);
        drain(&d);
    }
    enum err_kind end = stop(&d, &late);
    if (end)
        log_text(&d.log, LOG_ERROR, "not everything could be kept: %s", late.message);
    else if (!rc)
        log_text(&d.log, LOG_INFO, "stopped");
    log_batch_free(d.log.batch);
    return rc || end ? SERVE_FAILED : SERVE_OK;
}
