#include "api/redo.h"

#include <math.h>
#include <string.h>

#include "api/call.h"
#include "api/journal.h"
#include "api/state.h"

void redo_close(struct replay *r)
{
    for (size_t i = 0; i < r->spares; i++)
        batch_free(r->spare[i]);
    mem_free(r->spare);
    batch_free(r->data);
    scratch_free(r->own);
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

enum err_kind redo_bring_batches(struct replay *r, int64_t seq, struct err *e)
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
        r->scratch = r->own = scratch_new(r->s->api);
    return r->scratch ? scratch_equip(r->scratch, e)
                      : err_set(e, ERR_NOMEM, "", "no memory to replay the journal");
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
    return !isfinite(s->api->kernels->largest(m->dtype, m->values.data, (size_t)m->count));
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
    bool last = i + 1 == row->steps, reaches = s->step + 1 == r->until_step;
    enum step_end end = last ? STEP_DIGESTED : reaches ? STEP_ENDS : STEP_GOES_ON;
    enum err_kind rc = find_data(r, row, &b, e);
    if (!rc)
        rc = session_step(s, r->scratch, b, end, &result, e);
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
    tape_forget_trace(&r->scratch->tape);
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

/* Up to the next step: what came in between changed nothing but the place. */
static void redo_epoch_end(struct session *s)
{
    if (!fit_is_training(s->fit))
        fit_end_epoch(s, s->fit);
}

static enum err_kind redo_fit_step(struct replay *r, const struct change_row *row, int64_t i,
                                   struct err *e)
{
    struct session *s = r->s;
    struct step_result result;
    bool last = i + 1 == row->steps, reaches = s->step + 1 == r->until_step;
    enum step_end end = last ? STEP_DIGESTED : reaches ? STEP_ENDS : STEP_GOES_ON;
    redo_epoch_end(s);
    enum err_kind rc = fit_ready(s, s->fit, e);
    if (!rc)
        rc = fit_step(s, s->fit, r->scratch, end, &result, e);
    if (!rc)
        rc = check_loss(row, journal_loss(row, i), result.loss, e);
    r->reached = s->step == r->until_step;
    return !rc && last ? check_digest(s, row, e) : rc;
}

/* The generator goes with the epochs. */
static enum err_kind take_place(struct session *s, const struct fit *after,
                                const struct change_row *row, struct err *e)
{
    struct fit_place *p = &s->fit->place;
    if (p->step != after->place.step)
        return mismatch(row, "steps of its job", e);
    while (p->epoch < after->place.epoch)
        fit_end_epoch(s, s->fit);
    *p = after->place;
    return s->sgd.options.lr == p->lr ? ERR_OK : mismatch(row, "rate", e);
}

static enum err_kind redo_fit(struct replay *r, const struct change_row *row, struct err *e)
{
    struct session *s = r->s;
    struct fit after;
    enum err_kind rc = fit_read_text(row->text, &after, e);
    if (!rc && (!s->fit || s->fit->plan.job != after.plan.job))
        rc = fit_begin(s, &after.plan, e);
    for (int64_t i = 0; !rc && i < row->steps && !r->reached; i++)
        rc = redo_fit_step(r, row, i, e);
    if (rc || r->reached)
        return rc;
    if (row->cleared)
        session_zero_grad(s);
    return take_place(s, &after, row, e);
}

static enum err_kind redo(struct replay *r, const struct change_row *row, struct err *e)
{
    switch (row->kind) {
    case CHANGE_STEP:
        return redo_steps(r, row, e);
    case CHANGE_FIT:
        return redo_fit(r, row, e);
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
        return redo_bring_batches(r, row->seq, e);
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

enum err_kind redo_changes(struct replay *r, int64_t first, int64_t last, struct err *e)
{
    struct store *store = r->s->api->store;
    r->next = first;
    if (store_each_change(store, r->s->key, first, last, visit, r, e) != ERR_OK)
        r->why = *e;
    else if (!r->why.kind && !r->reached && r->next <= last)
        err_set(&r->why, ERR_IO, "", "change %lld is missing", (long long)r->next);
    fit_forget_work(r->s->fit);
    if (r->why.kind != ERR_NOMEM && store_is_healthy(store))
        return ERR_OK;
    *e = r->why;
    return e->kind;
}

enum err_kind redo_begin(struct replay *r, const struct store_checkpoint *c, struct err *e)
{
    struct session *s = r->s;
    enum err_kind rc = c ? session_put(s, c, e) : ERR_OK;
    if (!c)
        session_draw(s);
    s->seq = s->base_seq = c ? c->seq : 0;
    if (!rc)
        rc = store_each_batch(s->api->store, s->key, load_batch, r, e);
    if (!rc)
        rc = store_last_numbers(s->api->store, s->key, &s->last_checkpoint, &s->last_batch, e);
    if (!rc)
        rc = redo_bring_batches(r, s->seq, e);
    return rc ? err_wrap(e, "the model \"%s\": ", s->id) : ERR_OK;
}
