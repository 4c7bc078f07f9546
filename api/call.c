#include "api/call.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "api/fields.h"
#include "api/problem.h"
#include "api/state.h"

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

struct call *call_new(struct api *a)
{
    struct call *c = mem_array(1, sizeof *c);
    if (!c)
        return NULL;
    c->api = a;
    c->number = atomic_fetch_add(&a->requests, 1);
    snprintf(c->request_id, sizeof c->request_id, "%llx-%llu", (unsigned long long)a->boot,
             (unsigned long long)c->number);
    for (int i = 0; i < ROUTE_PARAMS_MAX; i++)
        c->param[i] = "";
    return c;
}

static void drop_state(struct call *c)
{
    if (c->state_free)
        c->state_free(c->state);
    c->state = NULL;
    c->state_free = NULL;
}

/* What only the handler needed, once the answer stands. A key that still runs had no effect. */
static void settle(struct call *c)
{
    drop_state(c);
    if (c->kept)
        answers_forget(&c->api->answers, c->kept);
    c->kept = NULL;
    json_close(&c->in);
    mem_free(c->body);
    c->body = NULL;
    c->room = 0;
    if (c->session)
        registry_put(&c->api->registry, c->session);
    c->session = NULL;
}

void call_free(struct call *c)
{
    if (!c)
        return;
    settle(c);
    json_out_close(&c->out);
    json_out_close(&c->extra);
    mem_free(c->replayed);
    mem_free(c->target);
    mem_free(c);
}

/* ---- the answer ---------------------------------------------------------------------------- */

static void add_header(struct call *c, const char *name, const char *value)
{
    size_t i = 0;
    while (c->answer.header[i])
        i += 2;
    if (i + 2 >= sizeof c->answer.header / sizeof *c->answer.header)
        return;
    c->answer.header[i] = name;
    c->answer.header[i + 1] = value;
}

/* Answered when there is no memory for an answer. */
static const char no_memory[] =
    "{\"type\":\"/problems/out-of-memory\",\"title\":\"The daemon is out of its memory\","
    "\"status\":503,\"detail\":\"no memory for the answer\"}";

static void answer_body(struct call *c, int status, const char *content_type)
{
    c->answer.status = status;
    memset(c->answer.header, 0, sizeof c->answer.header);
    if (c->out.bytes == 0 && !c->out.failed) { /* what deletes needs no memory for its answer */
        c->answer.body = "";
        c->answer.bytes = 0;
    } else if (json_out_end(&c->out)) {
        c->answer.body = c->out.text;
        c->answer.bytes = c->out.bytes;
    } else {
        c->answer.status = problem_status(ERR_NOMEM);
        c->answer.body = no_memory;
        c->answer.bytes = sizeof no_memory - 1;
        content_type = "application/problem+json";
    }
    if (c->answer.bytes)
        add_header(c, "Content-Type", content_type);
    if (!c->retry_after[0] && (c->answer.status == 503 || c->answer.status == 429))
        snprintf(c->retry_after, sizeof c->retry_after, "1");
    if (c->retry_after[0])
        add_header(c, "Retry-After", c->retry_after);
}

/* ---- the Idempotency-Key ------------------------------------------------------------------- */

static void describe_answer(const struct call *c, int status, const char *body, size_t bytes,
                            struct store_answer *out)
{
    *out = (struct store_answer){
        .digest = c->kept->answer.digest,
        .status = status,
        .body = body,
        .bytes = bytes,
        .created_at = clock_millis(),
    };
    snprintf(out->key, sizeof out->key, "%s", c->key);
    if (status < 400)
        snprintf(out->location, sizeof out->location, "%s", c->location);
}

const struct store_answer *call_answer_to_keep(struct call *c, struct store_answer *out)
{
    if (!c->kept || !json_out_end(&c->out))
        return NULL;
    describe_answer(c, c->route->status, c->out.text, c->out.bytes, out);
    c->answer_is_kept = true;
    return out;
}

void call_keep_answer(struct call *c, struct store_txn *txn)
{
    struct store_answer answer;
    if (call_answer_to_keep(c, &answer))
        store_insert_answer(txn, &answer);
}

/* The answer stands: what becomes of its key? Without memory for a copy of an answer that has had
 * an effect the key is lost, which a repeat would feel. */
static void keep_answer(struct call *c)
{
    struct answers *a = &c->api->answers;
    struct store_answer answer;
    if (!c->kept)
        return;
    describe_answer(c, c->answer.status, c->answer.body, c->answer.bytes, &answer);
    if (c->answer_is_kept)
        answers_forget(a, c->kept);
    else if (c->route->mode != CALL_CHANGE)
        answers_note(a, c->kept, &answer);
    else if (!answers_add(a, c->kept, &answer, &c->session->unkept))
        answers_forget(a, c->kept);
    c->kept = NULL;
}

/* FNV-1a over what makes a request another one. */
static uint64_t hash(uint64_t h, const char *text, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        h = (h ^ (unsigned char)text[i]) * 1099511628211u;
    return (h ^ 0xff) * 1099511628211u; /* ends it: no byte of UTF-8 */
}

static int64_t digest(const struct call *c)
{
    uint64_t h = hash(14695981039346656037u, c->route->path, strlen(c->route->path));
    for (int i = 0; i < ROUTE_PARAMS_MAX; i++)
        h = hash(h, c->param[i], strlen(c->param[i]));
    h = hash(h, c->body ? c->body : "", c->bytes);
    return (int64_t)(h >> 1);
}

/* The answer that the request's key had before. */
static void answer_again(struct call *c, const struct store_answer *was)
{
    bool problem = was->status >= 400;
    memset(c->answer.header, 0, sizeof c->answer.header);
    c->answer.status = (int)was->status;
    c->answer.body = c->replayed = (void *)was->body;
    c->answer.bytes = was->bytes;
    if (was->bytes)
        add_header(c, "Content-Type", problem ? "application/problem+json" : "application/json");
    snprintf(c->location, sizeof c->location, "%s", was->location);
    if (c->location[0])
        add_header(c, "Location", c->location);
    add_header(c, "Idempotent-Replayed", "true");
    settle(c);
}

/* *replayed: the key has an answer, which was given. */
static enum err_kind take_key(struct call *c, bool *replayed, struct err *e)
{
    struct store_answer found;
    *replayed = false;
    if (!c->key[0] || strcmp(c->route->method, "POST") != 0)
        return ERR_OK;
    enum err_kind rc =
        answers_begin(&c->api->answers, c->api->store, c->key, digest(c), &c->kept, &found, e);
    *replayed = !rc && !c->kept;
    if (*replayed)
        answer_again(c, &found);
    return rc;
}

/* ---- problems ------------------------------------------------------------------------------ */

static bool answer_problem(struct call *c, const struct err *e)
{
    snprintf(c->origin, sizeof c->origin, "%s:%d", e->file, e->line);
    json_out_close(&c->out);
    problem_write(&c->out, e, c->extra.bytes ? &c->extra : NULL);
    answer_body(c, problem_status(e->kind), "application/problem+json");
    if (e->kind == ERR_METHOD)
        add_header(c, "Allow", c->location);
    if (c->error_had_effect)
        keep_answer(c);
    settle(c);
    return false;
}

static void answer_success(struct call *c)
{
    answer_body(c, c->route->status, "application/json");
    if (c->location[0] && c->answer.status < 400)
        add_header(c, "Location", c->location);
    keep_answer(c);
    settle(c);
}

void call_refuse(struct call *c, enum err_kind kind, int retry_after, const char *format, ...)
{
    struct err e;
    char message[sizeof e.message];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    err_set(&e, kind, "", "%s", message);
    if (retry_after > 0)
        snprintf(c->retry_after, sizeof c->retry_after, "%d", retry_after);
    answer_problem(c, &e);
}

const struct answer *call_answer(const struct call *c)
{
    return &c->answer;
}

const char *call_request_id(const struct call *c)
{
    return c->request_id;
}

const char *call_origin(const struct call *c)
{
    return c->origin;
}

void call_location(struct call *c, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(c->location, sizeof c->location, format, args);
    va_end(args);
}

struct json_out *call_extra(struct call *c)
{
    if (!c->extra.bytes)
        json_begin_object(&c->extra);
    return &c->extra;
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
    snprintf(path, sizeof path, "%s", c->target);
    c->route = route_match(method, c->target, c->param, c->location, sizeof c->location);
    if (c->route) {
        c->location[0] = '\0';
        return check_query(c, e);
    }
    if (c->location[0])
        return err_set(e, ERR_METHOD, "", "%s takes %s", path, c->location);
    return err_set(e, ERR_NOT_FOUND, "", "there is nothing at %s", path);
}

bool call_target(struct call *c, const char *method, const char *target)
{
    struct err e;
    return read_target(c, method, target, &e) == ERR_OK || answer_problem(c, &e);
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
    if (!strcasecmp(name, "If-Match")) { /* to ignore it would be to break its promise */
        err_set(&e, ERR_INVALID, "", "this version does not act on If-Match: leave it out");
        return answer_problem(c, &e);
    }
    if (!strcasecmp(name, "Idempotency-Key")) {
        if (!is_key(value)) {
            err_set(&e, ERR_MALFORMED, "", "Idempotency-Key must be 1 to %d visible characters",
                    STORE_KEY_BYTES - 1);
            return answer_problem(c, &e);
        }
        snprintf(c->key, sizeof c->key, "%s", value);
    } else if (!strcasecmp(name, "X-Request-Id")) {
        if (!is_request_id(value)) {
            err_set(&e, ERR_MALFORMED, "",
                    "X-Request-Id must be 1 to %d letters, digits or ._-:/+=", CALL_REQUEST_ID_MAX);
            return answer_problem(c, &e);
        }
        snprintf(c->request_id, sizeof c->request_id, "%s", value);
    } else if (!strcasecmp(name, "Content-Type")) {
        size_t n = strcspn(value, "; \t");
        n = n < sizeof c->content_type - 1 ? n : sizeof c->content_type - 1;
        for (size_t i = 0; i < n; i++)
            c->content_type[i] = (char)tolower((unsigned char)value[i]);
        c->content_type[n] = '\0';
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

static enum err_kind admit(struct call *c, int64_t length, struct err *e)
{
    bool patch = !strcmp(c->route->method, "PATCH");
    if (length != 0 && c->route->body == BODY_NONE)
        return err_set(e, ERR_TOO_LARGE, "", "this route takes no body");
    if (length > 0 && (uint64_t)length > body_limit(c))
        return err_set(e, ERR_TOO_LARGE, "", "the body may be at most %zu bytes here, not %lld",
                       body_limit(c), (long long)length);
    if (length != 0 && strcmp(c->content_type, "application/json") != 0 &&
        !(patch && !strcmp(c->content_type, "application/merge-patch+json")))
        return err_set(e, ERR_MEDIA_TYPE, "", "the Content-Type must be application/json");
    if (length > 0) {
        c->body = mem_array((size_t)length, 1);
        c->room = c->body ? (size_t)length : 0;
    }
    return length > 0 && !c->body ? err_set(e, ERR_NOMEM, "", "no memory for the body") : ERR_OK;
}

bool call_admit(struct call *c, int64_t length)
{
    struct err e;
    return admit(c, length, &e) == ERR_OK || answer_problem(c, &e);
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
    }
    memcpy(c->body + c->bytes, data, bytes);
    c->bytes += bytes;
    return ERR_OK;
}

bool call_body(struct call *c, const void *data, size_t bytes)
{
    struct err e;
    return append(c, data, bytes, &e) == ERR_OK || answer_problem(c, &e);
}

enum call_mode call_mode(const struct call *c)
{
    return c->route->mode;
}

const char *call_model(const struct call *c)
{
    bool in_line = c->route->mode == CALL_BETWEEN || c->route->mode == CALL_CHANGE;
    return in_line ? c->param[0] : "";
}

size_t call_bytes(const struct call *c)
{
    return sizeof *c + c->room;
}

/* ---- running ------------------------------------------------------------------------------- */

/* The first slice: the key is taken, the body is parsed and the model found. */
static enum err_kind prepare(struct call *c, bool *replayed, struct err *e)
{
    enum err_kind rc = take_key(c, replayed, e);
    if (rc || *replayed)
        return rc;
    if (c->bytes)
        rc = json_parse(c->body, c->bytes, &c->in, e);
    if (!rc && c->in.root && !cJSON_IsObject(c->in.root))
        rc = err_set(e, ERR_INVALID, "", "the body must be an object");
    if (!rc && strstr(c->route->path, "{id}"))
        rc = registry_get(&c->api->registry, c->param[0], &c->session, e);
    return rc;
}

bool call_work(struct call *c, struct scratch *scratch, int64_t slice_ns)
{
    struct err e = {.kind = ERR_OK};
    bool first = !c->again, replayed = false;
    enum err_kind rc = ERR_OK;
    c->scratch = scratch;
    c->slice_end = clock_ns() + slice_ns;
    c->again = false;
    if (first)
        rc = prepare(c, &replayed, &e);
    if (replayed)
        return true;
    if (!rc)
        rc = c->route->handler(c, &e);
    if (rc) {
        c->again = false;
        answer_problem(c, &e);
    } else if (!c->again) {
        answer_success(c);
    }
    return !c->again;
}

bool call_slice_is_over(const struct call *c)
{
    return clock_ns() >= c->slice_end;
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
