#include "api/respond.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "api/problem.h"
#include "api/state.h"
#include "engine/mem.h"

static void drop_state(struct call *c)
{
    if (c->state_free)
        c->state_free(c->state);
    c->state = NULL;
    c->state_free = NULL;
}

/* What only the handler needed, once the answer stands. A key that still runs had no effect. */
void respond_settle(struct call *c)
{
    call_wait_slices(c);
    drop_state(c);
    if (c->kept)
        answers_forget(&c->api->answers, c->kept);
    c->kept = NULL;
    json_close(&c->in);
    tensors_close(&c->tensors);
    mem_free(c->body);
    c->body = NULL;
    c->room = 0;
    if (c->session)
        registry_put(&c->api->registry, c->session);
    c->session = NULL;
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

static void add_tags(struct call *c)
{
    if (c->tag >= 0) {
        snprintf(c->etag, sizeof c->etag, "\"step-%lld\"", (long long)c->tag);
        add_header(c, "ETag", c->etag);
    }
    if (c->state_digest[0])
        add_header(c, "X-State-Digest", c->state_digest);
}

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
        .tag = status < 400 ? c->tag : -1,
        .body = body,
        .bytes = bytes,
        .created_at = clock_millis(),
    };
    mem_fit(out->key, sizeof out->key, c->key);
    if (status < 400)
        mem_fit(out->location, sizeof out->location, c->location);
}

const struct store_answer *call_answer_to_keep(struct call *c, struct store_answer *out)
{
    if (!c->kept || !json_out_end(&c->out))
        return NULL;
    describe_answer(c, c->route->status, c->out.text, c->out.bytes, out);
    c->answer_is_kept = true;
    return out;
}

enum err_kind call_describe_interim(const struct call *c, struct json_out *text, int status,
                                    struct store_answer *out, struct err *e)
{
    if (!json_out_end(text))
        return err_set(e, ERR_NOMEM, "", "no memory for the answer");
    describe_answer(c, status, text->text, text->bytes, out);
    return ERR_OK;
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
    if (c->txn) { /* its key is in use until that is committed */
        store_insert_answer(c->txn, &answer);
        return;
    }
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
    for (int i = 0; i < c->queries; i++) {
        h = hash(h, c->query[i].name, strlen(c->query[i].name));
        h = hash(h, c->query[i].value, strlen(c->query[i].value));
    }
    h = hash(h, c->body ? c->body : "", c->bytes);
    return (int64_t)(h >> 1);
}

/* The type of an answer that was kept: JSON begins with a bracket, .npy with its magic; the length
 * of a safetensors head that is ours, of eights, is neither. */
static const char *kept_type(const struct store_answer *was)
{
    char first = ((const char *)was->body)[0];
    if (was->status >= 400)
        return "application/problem+json";
    return media_name(first == '{' ? MEDIA_JSON : first == '\x93' ? MEDIA_NPY : MEDIA_SAFETENSORS);
}

/* The answer that the request's key had before. */
static void answer_again(struct call *c, const struct store_answer *was)
{
    memset(c->answer.header, 0, sizeof c->answer.header);
    c->answer.status = (int)was->status;
    c->answer.body = c->replayed = (void *)was->body;
    c->answer.bytes = was->bytes;
    if (was->bytes)
        add_header(c, "Content-Type", kept_type(was));
    mem_fit(c->location, sizeof c->location, was->location);
    if (c->location[0])
        add_header(c, "Location", c->location);
    c->tag = was->tag;
    add_tags(c);
    add_header(c, "Idempotent-Replayed", "true");
    respond_settle(c);
}

/* *replayed: the key has an answer, which was given. */
enum err_kind respond_take_key(struct call *c, bool *replayed, struct err *e)
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

bool respond_problem(struct call *c, const struct err *e)
{
    snprintf(c->origin, sizeof c->origin, "%s:%d", e->file, e->line);
    json_out_close(&c->out);
    problem_write(&c->out, e, c->extra.bytes ? &c->extra : NULL);
    answer_body(c, problem_status(e->kind), "application/problem+json");
    if (e->kind == ERR_METHOD)
        add_header(c, "Allow", c->location);
    if (e->kind == ERR_MEDIA_TYPE && c->location[0]) /* RFC 9110, 15.5.16 */
        add_header(c, "Accept", c->location);
    /* for lack of memory a step left no gradients: a repeat may still do it */
    if (c->error_had_effect || (c->txn && e->kind != ERR_NOMEM))
        keep_answer(c);
    if (!c->txn)
        respond_settle(c);
    return false;
}

/* Of the model as it is now, with its step. In line it cannot change until the answer leaves. */
static void sum_state(struct call *c)
{
    struct session *s = c->session;
    if (!c->wants_digest || !s)
        return;
    pthread_rwlock_rdlock(&s->lock);
    snprintf(c->state_digest, sizeof c->state_digest, "step-%lld %016llx", (long long)s->step,
             (unsigned long long)sgd_digest(&s->sgd, s->module, c->api->kernels));
    pthread_rwlock_unlock(&s->lock);
}

void respond_success(struct call *c)
{
    answer_body(c, c->route->status, c->type ? c->type : "application/json");
    if (c->stream) {
        add_header(c, "Content-Type", "text/event-stream");
        add_header(c, "X-Accel-Buffering", "no"); /* nginx would collect them */
    }
    if (c->location[0] && c->answer.status < 400)
        add_header(c, "Location", c->location);
    sum_state(c);
    add_tags(c);
    keep_answer(c);
    if (!c->txn)
        respond_settle(c);
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
    if (c->tells_steps) { /* it is cut between two slices */
        call_wait_slices(c);
        int64_t done = atomic_load(&c->steps_kept);
        c->error_had_effect = done > 0;
        json_key_int(call_extra(c), "steps_done", done);
    }
    if (retry_after > 0)
        snprintf(c->retry_after, sizeof c->retry_after, "%d", retry_after);
    respond_problem(c, &e);
}

const struct answer *call_answer(const struct call *c)
{
    return &c->answer;
}

struct stream *call_stream(const struct call *c)
{
    return c->stream;
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
