/* api/keeping.c - from the change that a call made to the answer that may leave. */
#include <stdio.h>
#include <string.h>

#include "api/call.h"
#include "api/journal.h"
#include "api/respond.h"
#include "api/state.h"

/* So many slices of a call may be on their way to the store; then it waits for them. */
#define SLICES_UNKEPT_MAX 8

/* ---- who listens ----------------------------------------------------------------------------- */

/* Is there something in it for those who listen? Gradients and batches are not. */
static bool is_news(const struct change *change)
{
    return change->kind == CHANGE_STEP || change->kind == CHANGE_APPLY ||
           change->kind == CHANGE_PATCH;
}

static bool has_diverged(const struct change *change)
{
    bool step = change->kind == CHANGE_BACKWARD || change->kind == CHANGE_APPLY;
    return (change->kind == CHANGE_STEP && change->cleared) || (step && change->steps == 0);
}

/* Notes what is to be told of a change once it is kept. In line. */
static void note_news(struct call *c, const struct change *change)
{
    if (!events_wanted(&c->api->events))
        return;
    c->diverged = has_diverged(change);
    c->news = is_news(change) || c->diverged;
    if (c->news)
        c->told = events_describe(c->session, false);
}

/* The members of the problem stand in c->extra. */
static void tell_news(struct call *c)
{
    if (c->news)
        events_tell(&c->api->events, &c->told);
    if (c->diverged)
        events_diverged(&c->api->events, c->told.key, c->extra.text, c->extra.bytes);
    c->news = c->diverged = false;
}

/* ---- a change -------------------------------------------------------------------------------- */

/* The whole state in place of the change that led to it. */
static enum err_kind keep_state(struct call *c, const struct store_answer *answer, struct err *e)
{
    struct change change = {.kind = CHANGE_STATE};
    struct save save = {.created_at = clock_millis(), .change = &change, .answer = answer};
    return session_save(c->session, &save, e);
}

enum err_kind call_keep_change(struct call *c, const struct change *change, struct err *e)
{
    struct session *s = c->session;
    struct store_answer answer;
    if (!session_is_journaled(s)) {
        session_note_change(s);
        note_news(c, change);
        tell_news(c);
        return ERR_OK;
    }
    /* the answer to a step that diverged is not written yet */
    bool whole = journal_prefers_checkpoint(s, change) && !change->cleared;
    enum err_kind rc = whole ? keep_state(c, call_answer_to_keep(c, &answer), e)
                             : journal_append(s, change, &c->txn, e);
    if (!rc)
        note_news(c, change);
    if (whole) {
        tell_news(c);
        return rc;
    }
    if (rc)
        session_lose(s);
    c->wants_checkpoint = !rc && journal_is_long(s);
    return rc;
}

/* ---- slices -------------------------------------------------------------------------------- */

struct slice {
    struct call *call;
    int64_t steps;
    bool news;
    struct event_state told;
};

/* The state after it, for those who listen. In line. */
static bool describe_slice(const struct call *c, struct event_state *told)
{
    bool news = events_wanted(&c->api->events);
    if (news)
        *told = events_describe(c->session, true);
    return news;
}

static void tell_slice(struct call *c)
{
    struct event_state told;
    if (describe_slice(c, &told))
        events_tell(&c->api->events, &told);
}

/* On the store's thread. The call waits for its slices before it ends. */
static void slice_kept(void *arg, const struct err *e)
{
    struct slice *slice = arg;
    struct call *c = slice->call;
    if (!e->kind) {
        atomic_fetch_add(&c->steps_kept, slice->steps);
        if (slice->news)
            events_tell(&c->api->events, &slice->told);
    } else if (!atomic_load(&c->slice_failed)) {
        c->slice_err = *e;
        atomic_store(&c->slice_failed, true);
        session_lose(c->session);
    }
    atomic_fetch_sub(&c->slices_unkept, 1); /* c may be gone from here on, and txn with slice */
}

/* A copy that lives as long as txn, which fails without memory for it. */
static void insert_interim(struct store_txn *txn, const struct store_answer *interim)
{
    struct store_answer answer = *interim;
    void *body = store_txn_alloc(txn, interim->bytes);
    if (!body)
        return;
    memcpy(body, interim->body, interim->bytes);
    answer.body = body;
    store_insert_answer(txn, &answer);
}

static enum err_kind send_slice(struct call *c, const struct change *change,
                                const struct store_answer *interim, struct err *e)
{
    struct store_txn *txn;
    enum err_kind rc = journal_append(c->session, change, &txn, e);
    if (rc)
        return rc;
    struct slice *slice = store_txn_alloc(txn, sizeof *slice);
    if (!slice) {
        store_txn_drop(txn);
        return err_set(e, ERR_NOMEM, "", "no memory for the model's journal");
    }
    if (interim)
        insert_interim(txn, interim);
    *slice = (struct slice){.call = c, .steps = change->steps};
    slice->news = describe_slice(c, &slice->told);
    atomic_fetch_add(&c->slices_unkept, 1);
    store_commit_then(txn, slice_kept, slice);
    return ERR_OK;
}

/* In place of a row whose data is larger than the model. */
static enum err_kind keep_slice_state(struct call *c, const struct change *change,
                                      const struct store_answer *interim, struct err *e)
{
    enum err_kind rc = keep_state(c, interim, e);
    if (!rc) {
        atomic_fetch_add(&c->steps_kept, change->steps);
        tell_slice(c);
    }
    return rc;
}

enum err_kind call_keep_slice(struct call *c, const struct change *change, struct json_out *interim,
                              int status, struct err *e)
{
    struct session *s = c->session;
    struct store_answer answer;
    if (!session_is_journaled(s)) {
        session_note_change(s);
        atomic_fetch_add(&c->steps_kept, change->steps); /* as far as it keeps any */
        tell_slice(c);
        return ERR_OK;
    }
    const struct store_answer *kept = c->kept ? &answer : NULL;
    enum err_kind rc = kept ? call_describe_interim(c, interim, status, &answer, e) : ERR_OK;
    if (!rc)
        rc = journal_prefers_checkpoint(s, change) ? keep_slice_state(c, change, kept, e)
                                                   : send_slice(c, change, kept, e);
    if (rc) {
        session_lose(s);
        return rc;
    }
    if (journal_is_long(s))
        session_checkpoint(s);
    if (atomic_load(&c->slices_unkept) >= SLICES_UNKEPT_MAX)
        store_wait(s->api->store);
    return ERR_OK;
}

enum err_kind call_check_slices(struct call *c, struct err *e)
{
    if (!atomic_load(&c->slice_failed))
        return ERR_OK;
    *e = c->slice_err;
    return err_wrap(e, "the change was not kept: ");
}

void call_wait_slices(struct call *c)
{
    if (atomic_load(&c->slices_unkept) > 0)
        store_wait(c->api->store);
}

/* ---- the end ------------------------------------------------------------------------------- */

/* The change was not kept: the model goes back to what the store has, and the answer says so. After
 * a slice that was not kept the end fails only because of that one. */
static void not_kept(struct call *c, const struct err *why)
{
    struct err e = atomic_load(&c->slice_failed) ? c->slice_err : *why;
    session_lose(c->session);
    json_out_close(&c->extra);
    if (c->tells_steps)
        json_key_int(call_extra(c), "steps_done", atomic_load(&c->steps_kept));
    err_wrap(&e, "the change was not kept: ");
    respond_problem(c, &e);
}

static void kept(void *arg, const struct err *e)
{
    struct call *c = arg;
    c->txn = NULL; /* it is committed, and freed */
    if (e->kind) {
        not_kept(c, e);
    } else {
        tell_news(c);
        if (c->wants_checkpoint)
            registry_hurry(&c->api->registry, c->session);
        respond_settle(c);
    }
    c->on_kept(c->on_kept_arg);
}

void call_keep(struct call *c, void (*on_kept)(void *arg), void *arg)
{
    c->on_kept = on_kept;
    c->on_kept_arg = arg;
    store_commit_later(c->txn, kept, c);
}

void api_flush(struct api *a)
{
    store_flush(a->store);
}

void api_flush_patiently(struct api *a)
{
    store_flush_patiently(a->store);
}
