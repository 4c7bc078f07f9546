#include "api/events.h"

#include <string.h>

#include "api/call.h"
#include "api/handlers.h"
#include "api/state.h"
#include "engine/mem.h"

void events_init(struct events *h)
{
    pthread_condattr_t monotonic;
    lock_init(&h->lock);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&h->work, &monotonic);
    pthread_condattr_destroy(&monotonic);
}

void events_close(struct events *h)
{
    pthread_cond_destroy(&h->work);
    lock_close(&h->lock);
}

/* ---- topics -------------------------------------------------------------------------------- */

static struct topic **bucket_of(struct events *h, int64_t key) REQUIRES(h->lock)
{
    return &h->topic[(uint64_t)key % EVENTS_BUCKETS];
}

/* NULL: nobody listens to the model. */
static struct topic *find_locked(struct events *h, int64_t key) REQUIRES(h->lock)
{
    struct topic *t = *bucket_of(h, key);
    while (t && t->state.key != key)
        t = t->next;
    return t;
}

static struct topic *find_by_id_locked(struct events *h, const char *id) REQUIRES(h->lock)
{
    for (size_t i = 0; i < EVENTS_BUCKETS; i++)
        for (struct topic *t = h->topic[i]; t; t = t->next)
            if (!strcmp(t->id, id))
                return t;
    return NULL;
}

static void take_out_locked(struct events *h, struct topic *t) REQUIRES(h->lock)
{
    struct topic **at = bucket_of(h, t->state.key);
    while (*at != t)
        at = &(*at)->next;
    *at = t->next;
}

/* It is handed out in the next round. */
static void note_locked(struct events *h, struct topic *t) REQUIRES(h->lock)
{
    if (t->dirty)
        return;
    t->dirty = true;
    t->next_dirty = h->dirty;
    h->dirty = t;
    if (!t->next_dirty)
        pthread_cond_signal(&h->work);
}

/* ---- telling ------------------------------------------------------------------------------- */

struct event_state events_describe(const struct session *s, bool training)
{
    return (struct event_state){
        .key = s->key,
        .seq = s->seq,
        .loose = !session_is_journaled(s),
        .step = s->step,
        .loss = s->loss_last,
        .lr = s->sgd.options.lr,
        .dtype = session_loss_dtype(s),
        .reduction = loss_reduction(&s->spec.loss),
        .state = model_state(s, training),
    };
}

static void add_news(struct news *to, const struct news *more)
{
    if (more->restored && (!to->restored || more->back < to->back))
        to->back = more->back;
    to->state |= more->state;
    to->restored |= more->restored;
    to->replaced |= more->replaced;
    to->diverged |= more->diverged;
    to->deleted |= more->deleted;
    to->jobs |= more->jobs;
}

static void tell_locked(struct events *h, struct topic *t, const struct event_state *state,
                        const struct news *news) REQUIRES(h->lock)
{
    if (!state->loose && state->seq <= t->state.seq)
        return;
    t->state = *state;
    add_news(&t->news, news);
    note_locked(h, t);
}

static void tell(struct events *h, const struct event_state *state, const struct news *news)
{
    lock_take(&h->lock);
    struct topic *t = find_locked(h, state->key);
    if (t)
        tell_locked(h, t, state, news);
    lock_give(&h->lock);
}

static const struct news news_of_state = {.state = true};

void events_tell(struct events *h, const struct event_state *state)
{
    tell(h, state, &news_of_state);
}

static void tell_session(struct session *s, const struct news *news)
{
    struct events *h = &s->api->events;
    if (!events_wanted(h))
        return;
    struct event_state state = events_describe(s, false);
    tell(h, &state, news);
}

void events_tell_now(struct session *s)
{
    tell_session(s, &news_of_state);
}

void events_tell_restored(struct session *s)
{
    tell_session(s, &(struct news){.state = true, .restored = true, .back = s->step});
}

void events_tell_replaced(struct session *s)
{
    tell_session(s, &(struct news){.state = true, .replaced = true});
}

void events_diverged(struct events *h, int64_t key, const char *members, size_t bytes)
{
    lock_take(&h->lock);
    struct topic *t = find_locked(h, key);
    if (t && bytes + sizeof "}" <= sizeof t->diverged) {
        memcpy(t->diverged, members, bytes);
        memcpy(t->diverged + bytes, "}", sizeof "}");
        t->news.diverged = true;
        note_locked(h, t);
    }
    lock_give(&h->lock);
}

void events_deleted(struct events *h, int64_t key)
{
    lock_take(&h->lock);
    struct topic *t = find_locked(h, key);
    if (t) {
        take_out_locked(h, t);
        t->deleted = t->news.deleted = true;
        note_locked(h, t);
    }
    lock_give(&h->lock);
}

/* The place of the job's news: its own, a free one, or that of the oldest. */
static struct event_job *place_of(struct topic *t, int64_t n)
{
    struct event_job *oldest = &t->job[0];
    for (size_t i = 0; i < EVENTS_JOBS; i++) {
        if (t->job[i].n == n)
            return &t->job[i];
        if (t->job[i].stamp < oldest->stamp)
            oldest = &t->job[i];
    }
    return oldest;
}

static void tell_job_locked(struct events *h, struct topic *t, int64_t n, char *text)
    REQUIRES(h->lock)
{
    struct event_job *place = place_of(t, n);
    atomic_fetch_add(&h->bytes, mem_size(text) - mem_size(place->text));
    mem_free(place->text);
    *place = (struct event_job){.n = n, .stamp = ++t->stamps, .text = text};
    t->news.jobs |= 1u << (place - t->job);
    note_locked(h, t);
}

void events_job(struct api *a, const char *model, int64_t n, const char *json)
{
    struct events *h = &a->events;
    if (!events_wanted(h) || strlen(json) > EVENT_JOB_BYTES)
        return;
    char *text = mem_string(json);
    if (!text) /* it is told again with the job's next news */
        return;
    lock_take(&h->lock);
    struct topic *t = find_by_id_locked(h, model);
    if (t)
        tell_job_locked(h, t, n, text);
    lock_give(&h->lock);
    if (!t)
        mem_free(text);
}

/* ---- rounds -------------------------------------------------------------------------------- */

/* Hands the topic's news to its streams. */
static void hand_out_locked(struct events *h, struct topic *t) REQUIRES(h->lock)
{
    (void)h;
    for (struct stream *s = t->first; s; s = s->next) {
        add_news(&s->news, &t->news);
        s->due = true;
    }
    t->news = (struct news){.state = false};
}

/* Puts s before those that are to be woken, if it sleeps. */
static struct stream *rouse_locked(struct events *h, struct stream *s, struct stream *woken)
    REQUIRES(h->lock)
{
    (void)h;
    if (!s->asleep)
        return woken;
    s->asleep = false;
    s->next_woken = woken;
    return s;
}

/* Without the lock: a stream that is woken may be gone at once. */
static void wake_all(struct stream *woken)
{
    for (struct stream *next; woken; woken = next) {
        next = woken->next_woken;
        woken->owner.wake(woken->owner.arg);
    }
}

void events_round(struct events *h, int64_t now_ns)
{
    struct stream *woken = NULL;
    lock_take(&h->lock);
    for (struct topic *t; (t = h->dirty) != NULL;) {
        h->dirty = t->next_dirty;
        t->dirty = false;
        hand_out_locked(h, t);
        for (struct stream *s = t->first; s; s = s->next)
            woken = rouse_locked(h, s, woken);
    }
    h->round_at = now_ns + EVENTS_ROUND_NS;
    lock_give(&h->lock);
    wake_all(woken);
}

/* Until there is something for a round, and it is time. false: the end. */
static bool await_round(struct events *h)
{
    lock_take(&h->lock);
    while (!h->ended && !h->dirty)
        lock_wait(&h->lock, &h->work);
    while (!h->ended && clock_ns() < h->round_at) {
        struct timespec at = {.tv_sec = h->round_at / 1000000000,
                              .tv_nsec = h->round_at % 1000000000};
        lock_wait_until(&h->lock, &h->work, &at);
    }
    bool goes_on = !h->ended;
    lock_give(&h->lock);
    return goes_on;
}

bool api_tell_streams(struct api *a)
{
    if (!await_round(&a->events))
        return false;
    events_round(&a->events, clock_ns());
    return true;
}

/* One wake-up for all comments: so that an idle daemon is left alone between them. */
void events_tick(struct events *h, int64_t now_ns)
{
    struct stream *woken = NULL;
    lock_take(&h->lock);
    bool comment = now_ns >= h->comment_at;
    if (comment)
        h->comment_at = now_ns + EVENTS_COMMENT_NS;
    for (struct stream *s = h->first; s; s = s->next_all) {
        s->gone = s->gone || (s->asleep && s->owner.gone(s->owner.arg));
        s->comment = s->comment || comment;
        s->due = s->due || comment || s->gone;
        if (s->gone || comment)
            woken = rouse_locked(h, s, woken);
    }
    lock_give(&h->lock);
    wake_all(woken);
}

void api_tick_streams(struct api *a)
{
    if (events_wanted(&a->events))
        events_tick(&a->events, clock_ns());
}

void api_end_streams(struct api *a)
{
    struct events *h = &a->events;
    struct stream *woken = NULL;
    lock_take(&h->lock);
    h->ended = true;
    pthread_cond_broadcast(&h->work);
    for (struct stream *s = h->first; s; s = s->next_all)
        woken = rouse_locked(h, s, woken);
    lock_give(&h->lock);
    wake_all(woken);
}

/* ---- who comes and goes ------------------------------------------------------------------------
 */

struct topic *events_join(struct events *h, const char *id, const struct event_state *state)
{
    struct topic *t = find_locked(h, state->key);
    if (t) { /* what is on its way was before s, and this state may be newer than what was told */
        if (!state->loose)
            tell_locked(h, t, state, &news_of_state);
        if (t->dirty)
            hand_out_locked(h, t);
        return t;
    }
    t = mem_array(1, sizeof *t);
    if (!t)
        return NULL;
    memcpy(t->id, id, strlen(id) + 1);
    t->state = *state;
    t->next = *bucket_of(h, state->key);
    *bucket_of(h, state->key) = t;
    atomic_fetch_add(&h->bytes, mem_size(t));
    return t;
}

static void forget_dirty_locked(struct events *h, struct topic *t) REQUIRES(h->lock)
{
    struct topic **at = &h->dirty;
    while (t->dirty && *at != t)
        at = &(*at)->next_dirty;
    if (t->dirty)
        *at = t->next_dirty;
}

void events_leave(struct events *h, struct topic *t)
{
    if (t->first)
        return;
    forget_dirty_locked(h, t);
    if (!t->deleted)
        take_out_locked(h, t);
    for (size_t i = 0; i < EVENTS_JOBS; i++) {
        atomic_fetch_sub(&h->bytes, mem_size(t->job[i].text));
        mem_free(t->job[i].text);
    }
    atomic_fetch_sub(&h->bytes, mem_size(t));
    mem_free(t);
}
