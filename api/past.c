/* api/past.c - a step of the past: the way to it from a checkpoint, and its state. */
#include "api/call.h"
#include "api/journal.h"
#include "api/redo.h"
#include "api/replay.h"
#include "api/state.h"

/* The way to a state: a checkpoint (NULL: the model as it was born), and changes behind it. */
struct way {
    const struct store_place *base;
    int64_t first, last; /* none if first > last */
};

struct places {
    struct store_place *place;
    size_t count;
};

static const struct store_place *find_change(const struct places *p, int64_t seq)
{
    size_t low = 0, high = p->count;
    while (low < high) { /* changes come first, in order */
        size_t middle = low + (high - low) / 2;
        const struct store_place *at = &p->place[middle];
        if (at->is_change && at->seq < seq)
            low = middle + 1;
        else
            high = middle;
    }
    bool found = low < p->count && p->place[low].is_change && p->place[low].seq == seq;
    return found ? &p->place[low] : NULL;
}

/* A checkpoint of the state after change seq; the last in the list is the newest. Those of before
 * the journal are all of "change 0": it began at the newest automatic one. */
static const struct store_place *find_base(const struct places *p, int64_t seq)
{
    for (size_t i = p->count; i > 0 && !p->place[i - 1].is_change; i--)
        if (p->place[i - 1].seq == seq && (seq > 0 || p->place[i - 1].n == 0))
            return &p->place[i - 1];
    return NULL;
}

/* The step that the state after change seq has; -1: not known. */
static int64_t step_after(const struct places *p, int64_t seq)
{
    const struct store_place *at = find_change(p, seq);
    if (!at)
        at = find_base(p, seq);
    return at ? at->step : seq == 0 ? 0 : -1;
}

/* Can it be made again, from the state after the change before it? */
static bool is_redone(const struct store_place *at)
{
    return at->from == at->seq - 1 && at->kind != CHANGE_RESTORE;
}

/* The change that the model had gone through before; -1: it is not known. */
static int64_t change_before(const struct store_place *at)
{
    return at->kind == CHANGE_STATE ? at->seq - 1 : at->from < at->seq ? at->from : -1;
}

/* Goes back from change seq, along what the model has gone through, to the change that led to step;
 * 0: that is gone. */
static int64_t find_step(const struct places *p, int64_t seq, int64_t step)
{
    const struct store_place *at;
    for (; (at = find_change(p, seq)) != NULL; seq = change_before(at)) {
        int64_t before = step_after(p, seq - 1);
        bool leads =
            is_redone(at) ? step <= at->step : at->kind == CHANGE_STATE && step == at->step;
        if (leads && before >= 0 && before < step)
            return seq;
    }
    return 0;
}

/* From a checkpoint (or the birth) to change seq without a gap. */
static bool find_way(const struct places *p, int64_t seq, struct way *way)
{
    const struct store_place *at = find_change(p, seq);
    *way = (struct way){.first = 1, .last = 0};
    if (at->kind == CHANGE_STATE)
        return (way->base = find_base(p, seq)) != NULL;
    way->last = seq;
    for (; (at = find_change(p, seq)) != NULL; seq--) {
        if (!is_redone(at))
            return false;
        way->first = seq;
        way->base = find_base(p, seq - 1);
        if (way->base || seq == 1)
            return true;
    }
    return false;
}

/* Is there a checkpoint of the very step? The newest counts. */
static bool find_checkpoint(const struct places *p, int64_t step, struct way *way)
{
    *way = (struct way){.first = 1, .last = 0};
    for (size_t i = p->count; i > 0 && !way->base && !p->place[i - 1].is_change; i--)
        if (p->place[i - 1].step == step)
            way->base = &p->place[i - 1];
    return way->base != NULL;
}

/* To the state right after the step was made, if all that led there is still kept; else to one that
 * the model had later at that step. */
static bool find(const struct places *p, const struct session *s, int64_t step, struct way *way,
                 int64_t *from)
{
    *from = step <= s->step ? find_step(p, s->proven_seq, step) : 0;
    if (*from > 0 && find_way(p, *from, way))
        return true;
    *from = -1;
    if (step == 0) {
        *way = (struct way){.first = 1, .last = 0};
        return true;
    }
    if (!find_checkpoint(p, step, way))
        return false;
    if (way->base->seq > 0)
        *from = way->base->seq;
    return true;
}

/* A way that turned out to be none. */
static bool close_way(struct places *p, const struct way *way)
{
    if (!way->base)
        return false;
    struct store_place *base = &p->place[way->base - p->place];
    base->seq = base->step = -1;
    return true;
}

static enum err_kind load_place(struct session *s, const struct store_place *place,
                                struct store_checkpoint *c, struct err *e)
{
    struct store *store = s->api->store;
    bool found, fallback;
    if (place->n == 0)
        return store_load_automatic(store, s->key, place->serial, c, e);
    enum err_kind rc = store_load_checkpoint(store, s->key, place->n, c, &found, &fallback, e);
    if (!rc && !found)
        rc = err_set(e, ERR_NOT_FOUND, "", "there is no checkpoint %lld", (long long)place->n);
    return rc;
}

static enum err_kind go(struct replay *r, const struct way *way, struct err *e)
{
    struct store_checkpoint c = {.n = 0};
    enum err_kind rc = way->base ? load_place(r->s, way->base, &c, e) : ERR_OK;
    if (!rc)
        rc = redo_begin(r, way->base ? &c : NULL, e);
    store_checkpoint_close(&c);
    if (!rc && way->first <= way->last)
        rc = redo_changes(r, way->first, way->last, e);
    if (!rc && r->why.kind) {
        *e = r->why;
        rc = e->kind;
    }
    return rc;
}

/* A fresh session of the same model. */
static enum err_kind same_model(struct session *s, struct session **out, struct err *e)
{
    struct store_model model;
    enum err_kind rc = store_find_model(s->api->store, s->id, &model, e);
    if (!rc)
        rc = session_make(s->api, model.id, model.created_at, model.spec, out, e);
    if (!rc)
        (*out)->key = model.key;
    mem_free((void *)model.spec);
    return rc;
}

static enum err_kind make(struct session *s, const struct way *way, int64_t step,
                          struct session **out, struct err *e)
{
    struct replay r = {.until_step = step};
    enum err_kind rc = same_model(s, &r.s, e);
    if (rc)
        return rc;
    rc = go(&r, way, e);
    if (!rc && r.s->step != step)
        rc = err_set(e, ERR_IO, "", "its changes do not lead there");
    if (rc)
        session_free(r.s);
    else
        *out = r.s;
    redo_close(&r);
    return rc;
}

enum err_kind replay_to_step(struct session *s, int64_t step, struct session **out, int64_t *from,
                             struct err *e)
{
    struct places p;
    struct way way;
    enum err_kind rc = store_list_places(s->api->store, s->key, &p.place, &p.count, e);
    if (rc)
        return rc;
    if (atomic_load(&s->lost)) { /* its last changes are not among them */
        mem_free(p.place);
        return err_set(e, ERR_UNAVAILABLE, "", "an earlier change was not kept");
    }
    do
        rc = find(&p, s, step, &way, from)
                 ? make(s, &way, step, out, e)
                 : err_set(e, ERR_INVALID, "/step",
                           "no checkpoint leads to step %lld any more (the model is at step %lld)",
                           (long long)step, (long long)s->step);
    while (rc == ERR_IO && store_is_healthy(s->api->store) && close_way(&p, &way));
    mem_free(p.place);
    return rc;
}
