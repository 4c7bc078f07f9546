#include "api/history.h"

#include <math.h>
#include <string.h>

#include "api/handlers.h"
#include "api/state.h"

#define LOSSES_DEFAULT 1000
#define LOSSES_MAX     100000

/* Thins a run of steps to at most two a bucket: its lowest and its highest. */
struct bucket {
    int64_t low_step, high_step;
    double low, high;
};

struct collector {
    int64_t first, last; /* steps that are wanted */
    int64_t until;       /* the last step of the source at hand: what follows is another's */
    int64_t buckets;     /* 0: every step is kept */
    struct bucket now;   /* the bucket that is being filled, */
    int64_t number;      /* its number, -1: none yet */
    int64_t *step;
    double *loss;
    size_t count;
};

static void keep(struct collector *k, int64_t step, double loss)
{
    k->step[k->count] = step;
    k->loss[k->count++] = loss;
}

static void close_bucket(struct collector *k)
{
    const struct bucket *b = &k->now;
    bool low_first = b->low_step < b->high_step;
    if (k->number < 0)
        return;
    keep(k, low_first ? b->low_step : b->high_step, low_first ? b->low : b->high);
    if (b->low_step != b->high_step)
        keep(k, low_first ? b->high_step : b->low_step, low_first ? b->high : b->low);
}

/* NaN is above everything: it is an extreme, and must not vanish from the chart. */
static bool is_above(double a, double b)
{
    return a > b || (isnan(a) && !isnan(b));
}

static void thin(struct collector *k, int64_t step, double loss)
{
    int64_t steps = k->last - k->first + 1;
    int64_t number = (int64_t)((double)(step - k->first) * (double)k->buckets / (double)steps);
    if (number != k->number) {
        close_bucket(k);
        k->number = number;
        k->now = (struct bucket){step, step, loss, loss};
    } else if (is_above(k->now.low, loss)) {
        k->now.low = loss;
        k->now.low_step = step;
    } else if (is_above(loss, k->now.high)) {
        k->now.high = loss;
        k->now.high_step = step;
    }
}

static bool collect(void *arg, int64_t first, const double *loss, size_t count)
{
    struct collector *k = arg;
    for (size_t i = 0; i < count; i++) {
        int64_t step = first + (int64_t)i;
        if (step < k->first)
            continue;
        if (step > k->until)
            return false;
        if (k->buckets)
            thin(k, step, loss[i]);
        else
            keep(k, step, loss[i]);
    }
    return true;
}

/* Steps [first, last] of what is not in the store for certain, which begins with step `begin`. */
struct tail {
    int64_t begin, first, last;
    double *loss;
};

/* Sets k's steps, and copies what the tail has of them as it is now, so that no lock is held later.
 * *newest: the model's step. */
static enum err_kind copy_tail(struct session *s, int64_t after, int64_t limit, struct collector *k,
                               struct tail *t, int64_t *newest, struct err *e)
{
    pthread_rwlock_rdlock(&s->lock);
    *newest = s->step;
    after = after < *newest ? after : *newest;
    k->first = after + 1;
    k->last = *newest - after > limit ? after + limit : *newest;
    *t = (struct tail){.begin = s->tail_first, .first = s->tail_first, .last = k->last};
    if (t->first < k->first)
        t->first = k->first;
    size_t count = t->last < t->first ? 0 : (size_t)(t->last - t->first + 1);
    t->loss = mem_array(count, sizeof *t->loss);
    if (t->loss && count)
        memcpy(t->loss, s->tail + (t->first - t->begin), count * sizeof *t->loss);
    pthread_rwlock_unlock(&s->lock);
    return t->loss ? ERR_OK : err_set(e, ERR_NOMEM, "", "no memory for the losses");
}

void history_close(struct history *h)
{
    mem_free(h->step);
    mem_free(h->loss);
    *h = (struct history){.step = NULL};
}

/* From the store, and behind that from the tail. */
static enum err_kind collect_all(struct collector *k, struct session *s, const struct tail *t,
                                 struct err *e)
{
    enum err_kind rc = ERR_OK;
    /* The store may have more than this by now: what the tail had is taken from the tail. */
    k->until = k->last < t->begin ? k->last : t->begin - 1;
    if (k->first <= k->until)
        rc = store_each_loss(s->api->store, s->key, k->first, k->until, collect, k, e);
    k->until = k->last;
    if (!rc && t->first <= t->last)
        collect(k, t->first, t->loss, (size_t)(t->last - t->first + 1));
    if (!rc && k->buckets)
        close_bucket(k);
    return rc;
}

enum err_kind history_read(struct session *s, int64_t after, int64_t limit, int64_t points,
                           struct history *out, struct err *e)
{
    struct collector k = {.number = -1};
    struct tail tail;
    int64_t newest;
    *out = (struct history){.step = NULL};
    enum err_kind rc = copy_tail(s, after, limit, &k, &tail, &newest, e);
    if (rc)
        return rc;
    int64_t steps = k.last < k.first ? 0 : k.last - k.first + 1;
    k.buckets = points > 0 && steps > points ? points / 2 : 0;
    size_t room = (size_t)(k.buckets ? 2 * k.buckets : steps);
    k.step = mem_array(room, sizeof *k.step);
    k.loss = mem_array(room, sizeof *k.loss);
    rc = k.step && k.loss ? collect_all(&k, s, &tail, e)
                          : err_set(e, ERR_NOMEM, "", "no memory for the losses");
    mem_free(tail.loss);
    *out = (struct history){k.step, k.loss, k.count, newest};
    if (rc)
        history_close(out);
    return rc;
}

/* ---- GET losses ---------------------------------------------------------------------------- */

static void write_columns(struct call *c, const struct history *h)
{
    struct json_out *w = &c->out;
    json_begin_object(w);
    json_key(w, "step");
    json_ints(w, h->step, h->count);
    json_key(w, "loss");
    json_begin_array(w);
    for (size_t i = 0; i < h->count; i++)
        json_real(w, session_loss_dtype(c->session), h->loss[i]);
    json_end_array(w);
    json_key_string(w, "reduction", loss_reduction(&c->session->spec.loss));
    json_key_int(w, "last_step", h->last_step);
    json_end_object(w);
}

enum err_kind get_losses(struct call *c, struct err *e)
{
    struct history h;
    int64_t after, limit, points;
    bool thinned = call_query(c, "points") != NULL;
    enum err_kind rc = call_query_int(c, "after", 0, INT64_MAX, 0, &after, e);
    if (!rc)
        rc = call_query_int(c, "limit", 1, thinned ? INT64_MAX : LOSSES_MAX,
                            thinned ? INT64_MAX : LOSSES_DEFAULT, &limit, e);
    if (!rc)
        rc = call_query_int(c, "points", 2, LOSSES_MAX, 0, &points, e);
    if (!rc)
        rc = history_read(c->session, after, limit, points, &h, e);
    if (rc)
        return rc;
    write_columns(c, &h);
    history_close(&h);
    return ERR_OK;
}
