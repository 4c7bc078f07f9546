#include "api/call.h"

#include <assert.h>
#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "api/body.h"
#include "api/fields.h"
#include "api/respond.h"
#include "api/state.h"
#include "engine/decimal.h"
#include "engine/mem.h"

#define SMALL_BODY ((size_t)1 << 20) /* of requests that carry no tensors */

int64_t clock_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

int64_t clock_millis(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* ---- life ---------------------------------------------------------------------------------- */

/* Moves a sum of the api's from what was counted before to now. */
static void count(atomic_size_t *sum, size_t *counted, size_t now)
{
    atomic_fetch_add(sum, now - *counted);
    *counted = now;
}

static void count_call(struct call *c)
{
    count(&c->api->requests, &c->counted,
          mem_size(c) + mem_size(c->target) + mem_size(c->body) + mem_size(c->out.text) +
              mem_size(c->in.float32));
}

void scratch_count(struct scratch *s)
{
    count(&s->api->workspaces, &s->counted,
          mem_size(s) + mem_size(s->tape.workspace) + s->tape.arena.total);
}

enum err_kind scratch_equip(struct scratch *s, struct err *e)
{
    if (s->tape.workspace)
        return ERR_OK;
    enum err_kind rc = tape_equip(&s->tape, e);
    scratch_count(s);
    return rc;
}

struct call *call_new(struct api *a)
{
    struct call *c = mem_array(1, sizeof *c);
    if (!c)
        return NULL;
    c->api = a;
    c->tag = -1;
    c->media = MEDIA_COUNT;
    c->number = atomic_fetch_add(&a->calls, 1);
    _Static_assert(sizeof a->run + DECIMAL_I64_BYTES <= sizeof c->request_id, "any number fits");
    size_t n = mem_fit(c->request_id, sizeof c->request_id, a->run);
    n += decimal_write_i64((int64_t)c->number, c->request_id + n);
    c->request_id[n] = '\0';
    for (int i = 0; i < ROUTE_PARAMS_MAX; i++)
        c->param[i] = "";
    count_call(c);
    return c;
}

void call_free(struct call *c)
{
    if (!c)
        return;
    respond_settle(c);
    stream_close(c->stream);
    json_out_close(&c->out);
    json_out_close(&c->extra);
    mem_free(c->replayed);
    mem_free(c->target);
    count(&c->api->requests, &c->counted, 0);
    atomic_fetch_sub(&c->api->internal, c->internal);
    mem_free(c);
}

/* ---- the request's first lines ------------------------------------------------------------- */

/* Cuts "?a=1&b" off the path and into names and values. No percent-decoding: no name or number
 * that a query takes needs it, and a % is refused. */
static enum err_kind cut_query(struct call *c, struct err *e)
{
    char *query = strchr(c->target, '?');
    if (!query)
        return ERR_OK;
    *query++ = '\0';
    for (char *next = query; *query; query = next) {
        next = query + strcspn(query, "&");
        if (*next)
            *next++ = '\0';
        if (!*query)
            continue;
        char *value = strchr(query, '=');
        if (!value || strchr(query, '%') || c->queries == CALL_QUERY_MAX)
            return err_set(e, ERR_MALFORMED, "", "the query string must be name=value&name=value");
        *value++ = '\0';
        if (call_query(c, query))
            return err_set(e, ERR_MALFORMED, "", "the query has two \"%.64s\"", query);
        c->query[c->queries].name = query;
        c->query[c->queries++].value = value;
    }
    return ERR_OK;
}

static enum err_kind check_query(const struct call *c, struct err *e)
{
    for (int i = 0; i < c->queries; i++) {
        int known = 0;
        while (c->route->query[known] && strcmp(c->route->query[known], c->query[i].name) != 0)
            known++;
        if (!c->route->query[known])
            return err_set(e, ERR_MALFORMED, "", "this route takes no query \"%.64s\"",
                           c->query[i].name);
    }
    return ERR_OK;
}

static void find_line(struct call *c)
{
    struct job_view v;
    struct err ignored;
    int64_t n;
    if ((c->route->traits & OF_JOB) && call_param_int(c, 0, &n, &ignored) == ERR_OK &&
        jobs_find(&c->api->jobs, n, &v))
        memcpy(c->line, v.model, sizeof c->line);
}

static enum err_kind read_target(struct call *c, const char *method, const char *target,
                                 struct err *e)
{
    c->target = mem_string(target);
    if (!c->target)
        return err_set(e, ERR_NOMEM, "", "no memory for the request");
    enum err_kind rc = cut_query(c, e);
    if (rc)
        return rc;
    char path[128];
    mem_fit(path, sizeof path, c->target);
    c->route = route_match(method, c->target, c->param, c->location, sizeof c->location);
    if (c->route) {
        c->location[0] = '\0';
        find_line(c);
        return check_query(c, e);
    }
    if (c->location[0])
        return err_set(e, ERR_METHOD, "", "%s takes %s", path, c->location);
    return err_set(e, ERR_NOT_FOUND, "", "there is nothing at %s", path);
}

bool call_target(struct call *c, const char *method, const char *target)
{
    struct err e;
    return read_target(c, method, target, &e) == ERR_OK || respond_problem(c, &e);
}

/* What a request id may be: it goes into a header and the log as it stands. */
static bool is_request_id(const char *value)
{
    size_t n = strlen(value);
    for (size_t i = 0; i < n; i++)
        if (!isalnum((unsigned char)value[i]) && !strchr("._-:/+=", value[i]))
            return false;
    return n >= 1 && n <= CALL_REQUEST_ID_MAX;
}

static bool is_key(const char *value)
{
    size_t n = strlen(value);
    for (size_t i = 0; i < n; i++)
        if (value[i] < '!' || value[i] > '~')
            return false;
    return n >= 1 && n < STORE_KEY_BYTES;
}

bool call_header(struct call *c, const char *name, const char *value)
{
    struct err e;
    if (!strcasecmp(name, "If-Match")) {
        if (!*value || strlen(value) >= sizeof c->if_match) {
            err_set(&e, ERR_MALFORMED, "", "If-Match must be * or a list of tags, \"step-41\"");
            return respond_problem(c, &e);
        }
        mem_fit(c->if_match, sizeof c->if_match, value);
    } else if (!strcasecmp(name, "Last-Event-ID")) {
        mem_fit(c->last_event, sizeof c->last_event, value); /* cut: it is refused there */
    } else if (!strcasecmp(name, "X-State-Digest")) {
        c->wants_digest = true;
    } else if (!strcasecmp(name, "Idempotency-Key")) {
        if (!is_key(value)) {
            err_set(&e, ERR_MALFORMED, "", "Idempotency-Key must be 1 to %d visible characters",
                    STORE_KEY_BYTES - 1);
            return respond_problem(c, &e);
        }
        mem_fit(c->key, sizeof c->key, value);
    } else if (!strcasecmp(name, "X-Request-Id")) {
        if (!is_request_id(value)) {
            err_set(&e, ERR_MALFORMED, "",
                    "X-Request-Id must be 1 to %d letters, digits or ._-:/+=", CALL_REQUEST_ID_MAX);
            return respond_problem(c, &e);
        }
        mem_fit(c->request_id, sizeof c->request_id, value);
    } else if (!strcasecmp(name, "Content-Type")) {
        c->media = media_read(value);
    } else if (!strcasecmp(name, "Accept")) {
        accept_read(&c->accept, value);
    }
    return true;
}

static size_t body_limit(const struct call *c)
{
    size_t max = c->api->config.max_body;
    switch (c->route->body) {
    case BODY_NONE:
        return 0;
    case BODY_JSON:
        return max < SMALL_BODY ? max : SMALL_BODY;
    case BODY_DATA:
        break;
    }
    return max;
}

/* Is the body of a type that the route takes? The answer names those, in c->location. */
static enum err_kind check_media(struct call *c, struct err *e)
{
    unsigned takes = route_takes(c->route);
    if (c->media != MEDIA_COUNT && (takes & MEDIA_BIT(c->media)))
        return ERR_OK;
    return err_set(e, ERR_MEDIA_TYPE, "", "the Content-Type must be %s%s",
                   takes & (takes - 1) ? "one of: " : "",
                   media_join(takes, c->location, sizeof c->location));
}

/* Of what may be a mapping of its own each page is touched: in memory at once, as it is counted. */
static char *body_new(size_t bytes)
{
    return bytes < SMALL_BODY ? mem_resize(NULL, 0, bytes, 1) : mem_array(bytes, 1);
}

static enum err_kind admit(struct call *c, int64_t length, struct err *e)
{
    if (length != 0 && c->route->body == BODY_NONE)
        return err_set(e, ERR_TOO_LARGE, "", "this route takes no body");
    if (length > 0 && (uint64_t)length > body_limit(c))
        return err_set(e, ERR_TOO_LARGE, "", "the body may be at most %zu bytes here, not %lld",
                       body_limit(c), (long long)length);
    if (length != 0 && check_media(c, e) != ERR_OK)
        return e->kind;
    if (length > 0) {
        c->body = body_new((size_t)length);
        c->room = c->body ? (size_t)length : 0;
        count_call(c);
    }
    return length > 0 && !c->body ? err_set(e, ERR_NOMEM, "", "no memory for the body") : ERR_OK;
}

bool call_admit(struct call *c, int64_t length)
{
    struct err e;
    return admit(c, length, &e) == ERR_OK || respond_problem(c, &e);
}

static enum err_kind append(struct call *c, const void *data, size_t bytes, struct err *e)
{
    if (bytes > body_limit(c) - c->bytes)
        return err_set(e, ERR_TOO_LARGE, "", "the body may be at most %zu bytes here",
                       body_limit(c));
    if (bytes > c->room - c->bytes) {
        size_t room = c->room < 4096 ? 8192 : 2 * c->room;
        room = room < c->bytes + bytes ? c->bytes + bytes : room;
        char *more = mem_resize(c->body, c->bytes, room, 1);
        if (!more)
            return err_set(e, ERR_NOMEM, "", "no memory for the body");
        c->body = more;
        c->room = room;
        count_call(c);
    }
    memcpy(c->body + c->bytes, data, bytes);
    c->bytes += bytes;
    return ERR_OK;
}

bool call_body(struct call *c, const void *data, size_t bytes)
{
    struct err e;
    return append(c, data, bytes, &e) == ERR_OK || respond_problem(c, &e);
}

enum call_mode call_mode(const struct call *c)
{
    return c->route->mode;
}

const char *call_model(const struct call *c)
{
    bool in_line = c->route->mode == CALL_BETWEEN || c->route->mode == CALL_CHANGE;
    if (c->route->traits & OF_JOB)
        return c->line;
    return in_line ? c->param[0] : "";
}

size_t call_bytes(const struct call *c)
{
    return sizeof *c + c->room;
}

/* ---- running ------------------------------------------------------------------------------- */

/* The session that a light call peeked at may have been lost since. */
static enum err_kind find_session(struct call *c, struct err *e)
{
    if (!strstr(c->route->path, "{id}"))
        return ERR_OK;
    if (c->session && atomic_load(&c->session->lost)) {
        registry_put(&c->api->registry, c->session);
        c->session = NULL;
    }
    if (c->session)
        return ERR_OK;
    return registry_get(&c->api->registry, c->param[0], c->scratch, &c->session, e);
}

/* Is one of the tags in If-Match that of the step? Weak ones never are. */
static bool is_matched(const char *list, int64_t step)
{
    char tag[32];
    int length = snprintf(tag, sizeof tag, "\"step-%lld\"", (long long)step);
    while (*list) {
        list += strspn(list, " \t,");
        size_t n = strcspn(list, " \t,");
        if ((n == 1 && *list == '*') || (n == (size_t)length && !memcmp(list, tag, n)))
            return true;
        list += n;
    }
    return false;
}

static enum err_kind check_match(const struct call *c, struct err *e)
{
    struct session *s = c->session;
    if (!c->if_match[0])
        return ERR_OK;
    if (!s)
        return err_set(e, ERR_PRECONDITION, "", "there is no model here that If-Match could match");
    pthread_rwlock_rdlock(&s->lock);
    int64_t step = s->step;
    pthread_rwlock_unlock(&s->lock);
    return is_matched(c->if_match, step)
               ? ERR_OK
               : err_set(e, ERR_PRECONDITION, "", "the model is at step %lld", (long long)step);
}

static enum err_kind check_whole(const struct call *c, struct err *e)
{
    bool changes = c->route->mode == CALL_CHANGE && c->route->status != 0;
    if (!c->session || !changes || (c->route->traits & MENDS))
        return ERR_OK;
    return c->session->damage
               ? err_set(e, ERR_CONFLICT, "", "the model is damaged and can only be restored: %s",
                         c->session->damage)
               : ERR_OK;
}

/* The first slice: the key is taken, the body is parsed and the model found. */
static enum err_kind prepare(struct call *c, bool *replayed, struct err *e)
{
    enum err_kind rc = respond_take_key(c, replayed, e);
    if (rc || *replayed)
        return rc;
    if (c->bytes)
        rc = call_parse(c, e);
    if (!rc && c->in.root && !cJSON_IsObject(c->in.root))
        rc = err_set(e, ERR_INVALID, "", "the body must be an object");
    if (!rc)
        rc = find_session(c, e);
    if (!rc)
        rc = check_match(c, e);
    return rc ? rc : check_whole(c, e);
}

/* Some tens of microseconds, which is what a hand-over costs. Where nobody is in a hurry some
 * tenths of a millisecond, for which a hand-over there and back is still felt; but none that could
 * have to put models away. */
#define LIGHT_WORK      400000
#define LIGHT_BYTES     20480 /* 784 numbers of 17 digits */
#define UNHURRIED_TIMES 30    /* as much */

bool call_is_light(struct call *c, bool unhurried)
{
    size_t times = unhurried ? UNHURRIED_TIMES : 1;
    bool may_be = (c->route->traits & LIGHT) && !c->key[0] && c->bytes <= times * LIGHT_BYTES;
    if (may_be && !c->session)
        c->session = registry_peek(&c->api->registry, c->param[0]);
    if (!may_be || !c->session)
        return false;
    bool changes = c->route->mode == CALL_CHANGE;
    double work = session_work(c->session, call_numbers_most(c), changes);
    c->light = work <= LIGHT_WORK || (unhurried && work <= UNHURRIED_TIMES * LIGHT_WORK &&
                                      registry_has_room(&c->api->registry, c->session));
    return c->light;
}

/* After a slice: what it has taken is counted, and makes room for itself. */
static void settle_memory(struct call *c)
{
    count_call(c);
    if (c->scratch)
        scratch_count(c->scratch);
    if (!c->light && c->route->mode != CALL_INLINE)
        registry_trim(&c->api->registry);
}

/* All that comes before the handler. *replayed: it has been answered. */
static enum err_kind begin_slice(struct call *c, struct scratch *scratch, int64_t slice_ns,
                                 bool *replayed, struct err *e)
{
    bool first = !c->again;
    enum err_kind rc = scratch ? scratch_equip(scratch, e) : ERR_OK;
    *replayed = false;
    c->error_had_effect = rc && !first;
    c->scratch = scratch;
    c->slice_end = clock_ns() + slice_ns;
    c->again = false;
    return rc || !first ? rc : prepare(c, replayed, e);
}

/* All that comes behind it. rc, e: what it said, or what kept it from running. */
static enum call_progress end_slice(struct call *c, enum err_kind rc, const struct err *e)
{
    /* one that the call has made is another line's, and was counted when it was made */
    if (c->session && c->route->mode != CALL_READ && !strcmp(c->session->id, call_model(c)))
        registry_measure(&c->api->registry, c->session);
    c->again = c->again && !rc;
    if (rc)
        respond_problem(c, e);
    else if (!c->again)
        respond_success(c);
    settle_memory(c);
    return c->again ? CALL_AGAIN : c->txn ? CALL_UNKEPT : CALL_ANSWERED;
}

enum call_progress call_work(struct call *c, struct scratch *scratch, int64_t slice_ns)
{
    struct err e = {.kind = ERR_OK};
    bool replayed;
    enum err_kind rc = begin_slice(c, scratch, slice_ns, &replayed, &e);
    if (replayed)
        return CALL_ANSWERED;
    if (!rc)
        rc = c->route->handler(c, &e);
    return end_slice(c, rc, &e);
}

/* What waits for one answer under its key is not kept waiting for others. */
const char *call_group(const struct call *c)
{
    return c->route->together && !c->key[0] ? c->param[0] : "";
}

/* Those that can be begun, and are of one session: the first one's, for it may have been lost and
 * loaded anew in between. The others are answered. Returns how many. */
static size_t begin_together(struct call *const *call, size_t calls, struct scratch *scratch,
                             int64_t slice_ns, struct call **ready)
{
    size_t count = 0;
    for (size_t i = 0; i < calls; i++) {
        struct err e;
        bool replayed;
        enum err_kind rc = begin_slice(call[i], scratch, slice_ns, &replayed, &e);
        if (!rc && !replayed && (count == 0 || call[i]->session == ready[0]->session)) {
            ready[count++] = call[i];
            continue;
        }
        if (!rc && !replayed)
            rc = call[i]->route->handler(call[i], &e);
        if (!replayed)
            end_slice(call[i], rc, &e);
    }
    return count;
}

void call_work_together(struct call *const *call, size_t calls, struct scratch *scratch,
                        int64_t slice_ns)
{
    struct call *ready[CALLS_TOGETHER_MAX];
    struct err e[CALLS_TOGETHER_MAX];
    assert(calls <= CALLS_TOGETHER_MAX);
    size_t count = begin_together(call, calls, scratch, slice_ns, ready);
    if (count)
        ready[0]->route->together(ready, count, e);
    for (size_t i = 0; i < count; i++)
        end_slice(ready[i], e[i].kind, &e[i]);
}

/* Of a call beside which nobody waits, beyond its time: so often does it let know how far it is. */
#define ALONE_NS 100000000

bool call_slice_is_over(const struct call *c)
{
    const atomic_size_t *waiting = c->scratch ? c->scratch->waiting : NULL;
    int64_t beyond = clock_ns() - c->slice_end;
    if (beyond < 0)
        return false;
    return !waiting || beyond >= ALONE_NS || atomic_load(waiting) > 0 ||
           atomic_load(&c->api->draining);
}

void call_tag(struct call *c, int64_t step)
{
    c->tag = step;
}

void call_write_step(struct call *c, int64_t step)
{
    json_key_int(&c->out, "step", step);
    call_tag(c, step);
}

/* ---- what handlers ask --------------------------------------------------------------------- */

const char *call_query(const struct call *c, const char *name)
{
    for (int i = 0; i < c->queries; i++)
        if (!strcmp(c->query[i].name, name))
            return c->query[i].value;
    return NULL;
}

/* Digits alone, at most 18 of them. */
static bool parse_digits(const char *text, int64_t *out)
{
    size_t n = strspn(text, "0123456789");
    if (n == 0 || n > 18 || text[n])
        return false;
    *out = 0;
    for (; *text; text++)
        *out = *out * 10 + (*text - '0');
    return true;
}

enum err_kind call_query_int(const struct call *c, const char *name, int64_t min, int64_t max,
                             int64_t fallback, int64_t *out, struct err *e)
{
    const char *text = call_query(c, name);
    *out = fallback;
    if (text && (!parse_digits(text, out) || *out < min || *out > max))
        return err_set(e, ERR_MALFORMED, "", "?%s must be a whole number from %lld to %lld", name,
                       (long long)min, (long long)max);
    return ERR_OK;
}

enum err_kind call_param_int(const struct call *c, int i, int64_t *out, struct err *e)
{
    if (!parse_digits(c->param[i], out) || *out == 0)
        return err_set(e, ERR_NOT_FOUND, "", "there is no \"%.64s\" here", c->param[i]);
    return ERR_OK;
}
