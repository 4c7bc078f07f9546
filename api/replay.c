#include "api/replay.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "api/call.h"
#include "api/journal.h"
#include "api/state.h"

/* A replay under way. The batches that the state does not have (yet, or any more) wait in `spare`.
 */
struct replay {
    struct session *s;
    struct scratch *scratch; /* NULL until a change needs one */
    struct batch **spare;
    size_t spares, spares_room;
    struct batch *data; /* the last that a change brought along, … */
    int64_t data_at;    /* … and which one that was */
    int64_t next;       /* the change to come */
    int64_t until_step; /* stop in the change that reaches this; -1: nowhere */
    bool reached;
    bool told_build;
    bool spoiled;   /* the change next - 1 failed on the way, and what s holds is nothing */
    struct err why; /* what stopped it, if its kind is not OK */
};

static void replay_close(struct replay *r)
{
    for (size_t i = 0; i < r->spares; i++)
        batch_free(r->spare[i]);
    mem_free(r->spare);
    batch_free(r->data);
    scratch_free(r->scratch);
}

/* ---- batches ------------------------------------------------------------------------------- */

static enum err_kind reserve_spare(struct replay *r, struct err *e)
{
    if (r->spares < r->spares_room)
        return ERR_OK;
    size_t room = r->spares_room ? 2 * r->spares_room : 8;
    struct batch **more = mem_resize(r->spare, r->spares, room, sizeof *more);
    if (!more)
        return err_set(e, ERR_NOMEM, "", "no memory for the batches");
    r->spare = more;
    r->spares_room = room;
    return ERR_OK;
}

static enum err_kind load_batch(void *arg, const struct store_batch *stored, struct err *e)
{
    struct replay *r = arg;
    struct batch_rules rules = session_rules(r->s);
    struct batch *b;
    enum err_kind rc = reserve_spare(r, e);
    if (!rc)
        rc = batch_restore(stored->n, stored->layout, stored->data, stored->bytes, &rules, &b, e);
    if (rc)
        return rc;
    b->created_at = stored->created_at;
    b->pushed = stored->pushed;
    b->deleted = stored->deleted;
    r->spare[r->spares++] = b;
    return ERR_OK;
}

/* Does the state after change seq have it? */
static bool is_there(const struct batch *b, int64_t seq)
{
    return b->pushed <= seq && (b->deleted == 0 || b->deleted > seq);
}

static struct batch *take_spare(struct replay *r, size_t i)
{
    struct batch *b = r->spare[i];
    memmove(r->spare + i, r->spare + i + 1, (r->spares - i - 1) * sizeof *r->spare);
    r->spares--;
    return b;
}

/* Puts the spare batches that the state after change seq has into the session. */
static enum err_kind bring_batches(struct replay *r, int64_t seq, struct err *e)
{
    for (size_t i = 0; i < r->spares;) {
        if (!is_there(r->spare[i], seq)) {
            i++;
            continue;
        }
        enum err_kind rc = session_reserve_batch(r->s, e);
        if (rc)
            return rc;
        session_insert_batch(r->s, take_spare(r, i));
    }
    return ERR_OK;
}

/* ---- one change ---------------------------------------------------------------------------- */

static enum err_kind mismatch(const struct change_row *row, const char *what, struct err *e)
{
    return err_set(e, ERR_IO, "", "change %lld does not give the same %s again",
                   (long long)row->seq, what);
}

/* Other arithmetic gives other bits. */
static bool is_comparable(const struct change_row *row)
{
    return row->arithmetic == ARITHMETIC_VERSION;
}

static enum err_kind need_scratch(struct replay *r, struct err *e)
{
    if (!r->scratch)
        r->scratch = scratch_new(r->s->api);
    return r->scratch ? ERR_OK : err_set(e, ERR_NOMEM, "", "no memory to replay the journal");
}

static enum err_kind take_data(struct replay *r, const struct change_row *row, struct err *e)
{
    struct batch_rules rules = session_rules(r->s);
    if (row->data_at != row->seq)
        return ERR_OK;
    batch_free(r->data);
    r->data = NULL;
    r->data_at = row->seq;
    return batch_restore(0, row->text, row->data, row->data_bytes, &rules, &r->data, e);
}

/* The data of the next step. */
static enum err_kind find_data(struct replay *r, const struct change_row *row, struct batch **out,
                               struct err *e)
{
    struct session *s = r->s;
    if (row->batch == BATCH_IN_TURN)
        *out = session_next_batch(s);
    else if (row->batch != BATCH_INLINE)
        *out = session_find_batch(s, row->batch);
    else
        *out = r->data_at == row->data_at ? r->data : NULL;
    return *out ? ERR_OK
                : err_set(e, ERR_IO, "", "change %lld: its data is missing", (long long)row->seq);
}

static enum err_kind check_loss(const struct change_row *row, double was, double is, struct err *e)
{
    bool same = is == was || (isnan(is) && isnan(was));
    return same || !is_comparable(row) ? ERR_OK : mismatch(row, "loss", e);
}

/* Which NaN an operation gives is the processor's choice. */
static bool has_nan(const struct session *s)
{
    const struct module *m = s->module;
    return !s->api->kernels->all_finite(m->dtype, m->values.data, (size_t)m->count);
}

static enum err_kind check_digest(struct session *s, const struct change_row *row, struct err *e)
{
    bool same = !is_comparable(row) || session_digest(s) == row->digest || has_nan(s);
    return same ? ERR_OK : mismatch(row, "parameters", e);
}

static enum err_kind redo_step(struct replay *r, const struct change_row *row, int64_t i,
                               struct err *e)
{
    struct session *s = r->s;
    struct step_result result;
    struct batch *b;
    bool last = i + 1 == row->steps;
    enum err_kind rc = find_data(r, row, &b, e);
    if (!rc)
        rc = session_step(s, r->scratch, b, last, &result, e);
    if (!rc)
        rc = check_loss(row, journal_loss(row, i), result.loss, e);
    return !rc && last ? check_digest(s, row, e) : rc;
}

static enum err_kind redo_steps(struct replay *r, const struct change_row *row, struct err *e)
{
    struct session *s = r->s;
    enum err_kind rc = ERR_OK;
    for (int64_t i = 0; !rc && i < row->steps && !r->reached; i++) {
        rc = redo_step(r, row, i, e);
        r->reached = s->step == r->until_step;
    }
    if (!rc && row->cleared && !r->reached)
        session_zero_grad(s);
    return rc;
}

static enum err_kind redo_backward(struct replay *r, const struct change_row *row, struct err *e)
{
    struct step_result result;
    struct batch *b;
    if (row->cleared)
        session_zero_grad(r->s);
    if (row->steps == 0) /* it diverged, and left nothing else */
        return ERR_OK;
    enum err_kind rc = find_data(r, row, &b, e);
    if (!rc)
        rc = session_backward(r->s, r->scratch, b, &result, NULL, e);
    if (!rc)
        rc = check_loss(row, journal_loss(row, 0), result.loss, e);
    uint64_t digest = module_gradient_digest(r->s->module, r->s->api->kernels);
    if (!rc && is_comparable(row) && row->gradients != digest && !has_nan(r->s))
        rc = mismatch(row, "gradients", e);
    return rc;
}

static enum err_kind redo_apply(struct replay *r, const struct change_row *row, struct err *e)
{
    struct step_result result;
    if (row->steps == 0) /* it diverged, and was not applied */
        return ERR_OK;
    enum err_kind rc = session_apply(r->s, &result, e);
    if (!rc)
        rc = check_digest(r->s, row, e);
    r->reached = r->s->step == r->until_step;
    return rc;
}

static void redo_delete(struct replay *r, const struct change_row *row)
{
    if (session_find_batch(r->s, row->batch))
        session_remove_batch(r->s, row->batch);
}

static enum err_kind redo(struct replay *r, const struct change_row *row, struct err *e)
{
    switch (row->kind) {
    case CHANGE_STEP:
        return redo_steps(r, row, e);
    case CHANGE_BACKWARD:
        return redo_backward(r, row, e);
    case CHANGE_ZERO_GRAD:
        session_zero_grad(r->s);
        return ERR_OK;
    case CHANGE_APPLY:
        return redo_apply(r, row, e);
    case CHANGE_PATCH:
        return session_read_options(r->s, row->text, e);
    case CHANGE_PUSH:
        return bring_batches(r, row->seq, e);
    case CHANGE_DELETE:
        redo_delete(r, row);
        return ERR_OK;
    case CHANGE_RESTORE: /* the way here led through the state that was gone back to */
        return ERR_OK;
    case CHANGE_STATE:
        break;
    }
    return err_set(e, ERR_IO, "", "change %lld cannot be made again", (long long)row->seq);
}

/* The small numbers are taken from the row: what a change does to them is the handler's. */
static void take_numbers(struct session *s, const struct change_row *row)
{
    session_begin_change(s);
    s->cursor = row->cursor;
    s->accumulated = row->accumulated;
    s->loss_pending = row->loss_pending;
    s->diverged = row->diverged;
    atomic_store(&s->loss_dtype, row->loss_dtype);
    session_end_change(s);
    s->updated_at = row->updated_at;
}

static enum err_kind check(struct replay *r, const struct change_row *row, struct err *e)
{
    if (!is_comparable(row) && !r->told_build) {
        r->told_build = true;
        api_notice(r->s->api, "model \"%s\": replayed with arithmetic %d what was made with %d",
                   r->s->id, ARITHMETIC_VERSION, row->arithmetic);
    }
    if (r->s->step != row->step)
        return mismatch(row, "step", e);
    return check_digest(r->s, row, e);
}

static enum err_kind apply(struct replay *r, const struct store_change *change, struct err *e)
{
    struct session *s = r->s;
    struct change_row row;
    int64_t began = clock_ns();
    enum err_kind rc = journal_read(change, &row, e);
    if (!rc)
        rc = need_scratch(r, e);
    if (!rc)
        rc = take_data(r, &row, e);
    if (!rc)
        rc = redo(r, &row, e);
    if (rc && rc != ERR_NOMEM && rc != ERR_IO) /* what went well once cannot fail again */
        rc = mismatch(&row, "result", e);
    if (rc || r->reached)
        return rc;
    take_numbers(s, &row);
    s->seq = row.seq;
    journal_note_replayed(s, change, clock_ns() - began);
    return check(r, &row, e);
}

static bool visit(void *arg, const struct store_change *change)
{
    struct replay *r = arg;
    if (change->seq != r->next) {
        err_set(&r->why, ERR_IO, "", "change %lld is missing", (long long)r->next);
        return false;
    }
    r->next++;
    r->spoiled = apply(r, change, &r->why) != ERR_OK;
    return !r->spoiled && !r->reached;
}

/* Does the changes first..last, as far as they go. What is returned is a failure of the store's or
 * of memory; what is wrong with the journal is in r->why. */
static enum err_kind run(struct replay *r, int64_t first, int64_t last, struct err *e)
{
    struct store *store = r->s->api->store;
    r->next = first;
    if (store_each_change(store, r->s->key, first, last, visit, r, e) != ERR_OK)
        r->why = *e;
    else if (!r->why.kind && !r->reached && r->next <= last)
        err_set(&r->why, ERR_IO, "", "change %lld is missing", (long long)r->next);
    if (r->why.kind != ERR_NOMEM && store_is_healthy(store))
        return ERR_OK;
    *e = r->why;
    return e->kind;
}

/* The model as it was born, or a checkpoint of it. */
static enum err_kind begin(struct replay *r, const struct store_checkpoint *c, struct err *e)
{
    struct session *s = r->s;
    enum err_kind rc = c ? session_put(s, c, e) : ERR_OK;
    s->seq = s->base_seq = c ? c->seq : 0;
    if (!rc)
        rc = store_each_batch(s->api->store, s->key, load_batch, r, e);
    if (!rc)
        rc = store_last_numbers(s->api->store, s->key, &s->last_checkpoint, &s->last_batch, e);
    if (!rc)
        rc = bring_batches(r, s->seq, e);
    return rc ? err_wrap(e, "the model \"%s\": ", s->id) : ERR_OK;
}

/* ---- to the end ---------------------------------------------------------------------------- */

static bool note_first(void *arg, const struct store_change *change)
{
    *(bool *)arg = change->seq == 1;
    return false;
}

/* Does the journal go back to the birth? */
static bool is_whole(const struct session *s)
{
    struct store *store = s->api->store;
    struct err ignored;
    bool first = false;
    return store_is_healthy(store) &&
           store_each_change(store, s->key, 1, 1, note_first, &first, &ignored) == ERR_OK && first;
}

static enum err_kind begin_at_newest(struct replay *r, struct err *e)
{
    struct session *s = r->s;
    struct store_checkpoint c;
    bool found, fallback;
    enum err_kind rc = store_load_checkpoint(s->api->store, s->key, 0, &c, &found, &fallback, e);
    if (rc == ERR_IO && is_whole(s)) {
        api_notice(s->api, "model \"%s\": its checkpoints are damaged, all changes are replayed",
                   s->id);
        rc = ERR_OK;
    }
    if (!rc && fallback)
        api_notice(s->api, "model \"%s\": its newest checkpoint is damaged, an older one is used",
                   s->id);
    if (!rc)
        rc = begin(r, found ? &c : NULL, e);
    store_checkpoint_close(&c);
    return rc;
}

static void note_damage(struct session *s, const struct err *why)
{
    struct err text = *why;
    err_wrap(&text, "this is the model at step %lld, since what came after it cannot be proven: ",
             (long long)s->step);
    mem_free(s->damage);
    s->damage = mem_string(text.message);
    api_notice(s->api, "model \"%s\": %s", s->id, text.message);
}

/* Replays up to the end, or up to `limit` because of *why. A change that fails on the way leaves
 * nothing that could be served: *again tells how far to go in a fresh session. */
static enum err_kind replay(struct session *s, int64_t limit, struct err *why, bool *again,
                            struct err *e)
{
    struct replay r = {.s = s, .until_step = -1};
    struct err end_is_damaged;
    int64_t end;
    enum err_kind rc = begin_at_newest(&r, e);
    if (rc)
        goto out;
    if (store_last_change(s->api->store, s->key, &end, &end_is_damaged) != ERR_OK)
        *why = end_is_damaged;
    int64_t last = end < limit ? end : limit;
    if (last > s->seq)
        rc = run(&r, s->seq + 1, last, e);
    if (!rc && r.why.kind)
        *why = r.why;
    *again = !rc && r.spoiled;
    if (!rc)
        rc = bring_batches(&r, INT64_MAX - 1, e); /* those that no change tells of */
    s->proven_seq = r.spoiled ? r.next - 2 : s->seq;
    s->seq = end > s->seq ? end : s->seq;
out:
    replay_close(&r);
    return rc;
}

enum err_kind replay_model(struct api *a, const struct store_model *model, struct session **out,
                           struct err *e)
{
    struct err why = {.kind = ERR_OK};
    int64_t limit = INT64_MAX;
    bool again = true;
    while (again) {
        struct session *s;
        again = false;
        enum err_kind rc = session_new(a, model->id, model->created_at, model->spec, &s, e);
        if (rc)
            return rc;
        s->key = model->key;
        rc = replay(s, limit, &why, &again, e);
        limit = s->proven_seq;
        if (rc || again)
            session_free(s);
        if (rc)
            return rc;
        if (again)
            continue;
        if (why.kind)
            note_damage(s, &why);
        *out = s;
    }
    return ERR_OK;
}

/* ---- to a step ----------------------------------------------------------------------------- */

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
        rc = begin(r, way->base ? &c : NULL, e);
    store_checkpoint_close(&c);
    if (!rc && way->first <= way->last)
        rc = run(r, way->first, way->last, e);
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
        rc = session_new(s->api, model.id, model.created_at, model.spec, out, e);
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
    replay_close(&r);
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
