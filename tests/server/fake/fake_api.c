#include "tests/server/fake/fake_api.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "api/api.h"
#include "engine/mem.h"

void (*fake_hook)(const char *model, const char *name, int slice);

struct api {
    size_t max_body;
    bool fail_close;
    struct api_gauges gauges;
    atomic_bool draining, sick;
    atomic_int calls; /* an api must not be closed under a call */
};

struct scratch {
    int unused;
};

struct call {
    struct api *api;
    enum call_mode mode;
    bool ready_check;
    char model[65], name[33], id[65], group[33];
    int slices, ms, slice;
    bool light, light_unhurried, sickens;
    int keep; /* ms that its change takes to be kept; 0: it has none */
    size_t out, body;
    char text[400], allow[16], retry[16];
    char *large;
    struct answer answer;
};

enum err_kind api_open(const struct api_config *config, struct api **out, struct err *e)
{
    *out = NULL;
    if (!strcmp(config->data, "fail-open"))
        return err_set(e, ERR_CONFLICT, "", "the file belongs to another daemon");
    *out = mem_array(1, sizeof **out);
    if (!*out)
        return err_set(e, ERR_NOMEM, "", "no memory");
    (*out)->max_body = config->max_body;
    (*out)->fail_close = !strcmp(config->data, "fail-close");
    return ERR_OK;
}

enum err_kind api_close(struct api *a, bool (*hurry)(void *arg), void *arg, struct err *e)
{
    (void)hurry, (void)arg;
    bool fail = a && a->fail_close, early = a && atomic_load(&a->calls) > 0;
    mem_free(a);
    if (early)
        return err_set(e, ERR_INTERNAL, "", "closed under a call");
    return fail ? err_set(e, ERR_IO, "", "the disk is full") : ERR_OK;
}

const char *api_isa(const struct api *a)
{
    (void)a;
    return "fake";
}

bool api_is_healthy(struct api *a)
{
    return !atomic_load(&a->sick);
}

struct api_gauges *api_gauges(struct api *a)
{
    return &a->gauges;
}

void api_drain(struct api *a)
{
    atomic_store(&a->draining, true);
}

struct stream *call_stream(const struct call *c)
{
    (void)c;
    return NULL;
}

enum stream_progress stream_read(struct stream *s, char *out, size_t room, size_t *bytes)
{
    (void)s, (void)out, (void)room;
    *bytes = 0;
    return STREAM_OVER;
}

void stream_listen(struct stream *s, const struct stream_owner *owner)
{
    (void)s, (void)owner;
}

bool stream_sleep(struct stream *s)
{
    (void)s;
    return false;
}

bool api_tell_streams(struct api *a)
{
    (void)a;
    return false;
}

void api_tick_streams(struct api *a)
{
    (void)a;
}

void api_end_streams(struct api *a)
{
    (void)a;
}

struct scratch *scratch_new(struct api *a)
{
    (void)a;
    return mem_array(1, sizeof(struct scratch));
}

void scratch_free(struct scratch *s)
{
    mem_free(s);
}

void scratch_join(struct scratch *s, struct crew *crew, const atomic_size_t *waiting)
{
    (void)s, (void)crew, (void)waiting;
}

void *scratch_workspace(struct scratch *s)
{
    return s;
}

struct call *call_new(struct api *a)
{
    static atomic_int number;
    struct call *c = mem_array(1, sizeof *c);
    if (!c)
        return NULL;
    c->api = a;
    c->slices = 1;
    atomic_fetch_add(&a->calls, 1);
    snprintf(c->id, sizeof c->id, "fake-%d", atomic_fetch_add(&number, 1));
    return c;
}

void call_free(struct call *c)
{
    if (!c)
        return;
    atomic_fetch_sub(&c->api->calls, 1);
    mem_free(c->large);
    mem_free(c);
}

static const int status_of[ERR_KIND_COUNT] = {
    [ERR_MALFORMED] = 400,   [ERR_INVALID] = 422,   [ERR_FORBIDDEN] = 403, [ERR_NOT_FOUND] = 404,
    [ERR_METHOD] = 405,      [ERR_TOO_LARGE] = 413, [ERR_BUSY] = 429,      [ERR_MEDIA_TYPE] = 415,
    [ERR_UNAVAILABLE] = 503, [ERR_NOMEM] = 503,
};

void call_refuse(struct call *c, enum err_kind kind, int retry_after, const char *format, ...)
{
    char detail[256];
    va_list args;
    va_start(args, format);
    vsnprintf(detail, sizeof detail, format, args);
    va_end(args);
    snprintf(c->text, sizeof c->text, "%s: %s", err_slug(kind), detail);
    snprintf(c->retry, sizeof c->retry, "%d", retry_after);
    c->answer = (struct answer){.status = status_of[kind],
                                .body = c->text,
                                .bytes = strlen(c->text),
                                .header = {"Content-Type", "application/problem+json"}};
    if (retry_after > 0) {
        c->answer.header[2] = "Retry-After";
        c->answer.header[3] = c->retry;
    } else if (*c->allow) {
        c->answer.header[2] = "Allow";
        c->answer.header[3] = c->allow;
    }
}

/* ---- the request --------------------------------------------------------------------------- */

static int query_int(const char *query, const char *key, int fallback)
{
    const char *at = query ? strstr(query, key) : NULL;
    return at ? atoi(at + strlen(key)) : fallback;
}

static void read_query(struct call *c, const char *query)
{
    c->slices = query_int(query, "slices=", 1);
    c->light = query_int(query, "light=", 0) == 1;
    c->light_unhurried = query_int(query, "light=", 0) == 2;
    c->sickens = query_int(query, "sick=", 0) != 0;
    c->ms = query_int(query, "ms=", 0);
    c->keep = query_int(query, "keep=", 0);
    c->out = (size_t)query_int(query, "out=", 0);
    const char *group = query ? strstr(query, "group=") : NULL;
    if (group)
        snprintf(c->group, sizeof c->group, "%.*s", (int)strcspn(group + 6, "&"), group + 6);
    const char *name = query ? strstr(query, "name=") : NULL;
    if (name)
        snprintf(c->name, sizeof c->name, "%.*s", (int)strcspn(name + 5, "&"), name + 5);
}

static bool read_path(struct call *c, const char *path, size_t bytes)
{
    static const struct {
        const char *prefix;
        enum call_mode mode;
    } route[] = {{"/inline", CALL_INLINE}, {"/healthz", CALL_INLINE},   {"/readyz", CALL_INLINE},
                 {"/read/", CALL_READ},    {"/between/", CALL_BETWEEN}, {"/change/", CALL_CHANGE}};
    for (size_t i = 0; i < sizeof route / sizeof route[0]; i++) {
        size_t length = strlen(route[i].prefix);
        bool whole = route[i].mode == CALL_INLINE;
        if (bytes < length || (whole && bytes != length) || memcmp(path, route[i].prefix, length))
            continue;
        c->mode = route[i].mode;
        c->ready_check = !strcmp(route[i].prefix, "/readyz");
        snprintf(c->model, sizeof c->model, "%.*s", (int)(bytes - length), path + length);
        return true;
    }
    return false;
}

bool call_target(struct call *c, const char *method, const char *target)
{
    size_t bytes = strcspn(target, "?");
    if (!read_path(c, target, bytes)) {
        call_refuse(c, ERR_NOT_FOUND, 0, "no %s", target);
        return false;
    }
    if (strcmp(method, "GET") && strcmp(method, "POST")) {
        snprintf(c->allow, sizeof c->allow, "GET, POST");
        call_refuse(c, ERR_METHOD, 0, "not %s", method);
        return false;
    }
    read_query(c, target[bytes] ? target + bytes : NULL);
    return true;
}

bool call_header(struct call *c, const char *name, const char *value)
{
    if (!strcasecmp(name, "X-Request-Id"))
        snprintf(c->id, sizeof c->id, "%s", value);
    return true;
}

bool call_admit(struct call *c, int64_t length)
{
    if (length <= 0 || (size_t)length <= c->api->max_body)
        return true;
    call_refuse(c, ERR_TOO_LARGE, 0, "%lld bytes", (long long)length);
    return false;
}

bool call_body(struct call *c, const void *data, size_t bytes)
{
    (void)data;
    c->body += bytes;
    if (c->body <= c->api->max_body)
        return true;
    call_refuse(c, ERR_TOO_LARGE, 0, "over the limit");
    return false;
}

enum call_mode call_mode(const struct call *c)
{
    return c->mode;
}

const char *call_model(const struct call *c)
{
    return c->mode == CALL_READ || c->mode == CALL_INLINE ? "" : c->model;
}

size_t call_bytes(const struct call *c)
{
    return c->body;
}

/* ---- running ------------------------------------------------------------------------------- */

static void finish(struct call *c)
{
    static const char *const mode[] = {"inline", "read", "between", "change"};
    bool ready = !atomic_load(&c->api->draining) && !atomic_load(&c->api->sick);
    int status = c->ready_check && !ready ? 503 : 200;
    if (c->sickens)
        atomic_store(&c->api->sick, true);
    snprintf(c->text, sizeof c->text, "%s %s %d %zu", mode[c->mode], c->model, c->slice, c->body);
    c->answer = (struct answer){.status = status,
                                .body = c->text,
                                .bytes = strlen(c->text),
                                .header = {"Content-Type", "text/plain"}};
    if (c->out == 0)
        return;
    c->large = mem_array(c->out, 1);
    if (!c->large) {
        call_refuse(c, ERR_NOMEM, 1, "no memory");
        return;
    }
    for (size_t i = 0; i < c->out; i++)
        c->large[i] = (char)('a' + i % 26);
    c->answer.body = c->large;
    c->answer.bytes = c->out;
}

bool call_is_light(struct call *c, bool unhurried)
{
    return c->light || (unhurried && c->light_unhurried);
}

const char *call_group(const struct call *c)
{
    return c->group;
}

/* The hook is told of the first one how many there are. */
void call_work_together(struct call *const *call, size_t calls, struct scratch *s, int64_t slice_ns)
{
    char name[sizeof call[0]->name];
    snprintf(name, sizeof name, "%.20s*%zu", call[0]->name, calls);
    memcpy(call[0]->name, name, sizeof call[0]->name);
    for (size_t i = 0; i < calls; i++)
        (void)call_work(call[i], s, slice_ns);
}

struct keeping {
    struct call *call;
    void (*kept)(void *arg);
    void *arg;
};

static void *keep(void *arg)
{
    struct keeping k = *(struct keeping *)arg;
    const struct timespec time = {.tv_nsec = k.call->keep * 1000000L};
    free(arg);
    nanosleep(&time, NULL);
    k.kept(k.arg);
    return NULL;
}

void call_keep(struct call *c, void (*kept)(void *arg), void *arg)
{
    struct keeping *k = malloc(sizeof *k);
    pthread_t thread;
    *k = (struct keeping){c, kept, arg};
    if (pthread_create(&thread, NULL, keep, k))
        abort();
    pthread_detach(thread);
}

void api_flush_patiently(struct api *a)
{
    api_flush(a);
}

void api_flush(struct api *a)
{
    (void)a;
}

enum call_progress call_work(struct call *c, struct scratch *s, int64_t slice_ns)
{
    const struct timespec time = {.tv_sec = c->ms / 1000, .tv_nsec = c->ms % 1000 * 1000000L};
    (void)s;
    (void)slice_ns;
    if (fake_hook)
        fake_hook(c->model, c->name, c->slice);
    else if (c->ms > 0)
        nanosleep(&time, NULL);
    if (++c->slice < c->slices)
        return CALL_AGAIN;
    finish(c);
    return c->keep ? CALL_UNKEPT : CALL_ANSWERED;
}

const struct answer *call_answer(const struct call *c)
{
    return &c->answer;
}

const char *call_request_id(const struct call *c)
{
    return c->id;
}

const char *call_origin(const struct call *c)
{
    return c->answer.status >= 500 ? "fake_api.c:1" : "";
}

enum err_kind api_verify(struct api *a, void (*tell)(void *arg, const char *line), void *arg,
                         bool *sound, struct err *e)
{
    (void)a, (void)tell, (void)arg, (void)sound;
    return err_set(e, ERR_INTERNAL, "", "not here");
}

bool api_next_notice(struct api *a, char out[API_NOTICE_BYTES])
{
    (void)a, (void)out;
    return false;
}

struct call *api_due(struct api *a)
{
    (void)a;
    return NULL;
}

/* ---- gradd backup -------------------------------------------------------------------------- */

enum err_kind api_backup(const struct api_config *config, const char *path, int64_t *bytes,
                         bool *in_use, struct err *e)
{
    (void)config, (void)path;
    *bytes = 0;
    *in_use = true;
    return err_set(e, ERR_CONFLICT, "", "a daemon has the data");
}

enum err_kind api_backup_ask(const struct api_config *config, const char *path, char **body,
                             struct err *e)
{
    (void)config;
    *body = mem_string(path);
    return *body ? ERR_OK : err_set(e, ERR_NOMEM, "", "no memory");
}

enum err_kind api_backup_answer(int status, const char *body, size_t bytes, int64_t *copied,
                                struct err *e)
{
    *copied = (int64_t)bytes;
    return err_set(e, ERR_UNAVAILABLE, "", "status %d: %.100s", status, body);
}

struct call *api_job_due(struct api *a)
{
    (void)a;
    return NULL;
}
