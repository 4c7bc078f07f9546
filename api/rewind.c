/* api/rewind.c - back to an earlier step, and a second model from there. */
#include "api/fields.h"
#include "api/handlers.h"
#include "api/journal.h"
#include "api/replay.h"
#include "api/state.h"
#include "engine/mem.h"

/* ---- restore ------------------------------------------------------------------------------- */

/* The last proven state may have had batches that went with a change behind it. */
static void forget_deleted(struct session *s)
{
    for (size_t i = s->batches; i > 0; i--)
        if (s->batch[i - 1]->deleted)
            session_remove_batch(s, s->batch[i - 1]->n);
}

static void forget_damage(struct session *s)
{
    session_begin_change(s);
    forget_deleted(s);
    mem_free(s->damage);
    s->damage = NULL;
    session_end_change(s);
}

enum err_kind call_keep_restored(struct call *c, int64_t from, struct err *e)
{
    struct session *s = c->session;
    struct store_answer answer;
    struct change change = {.kind = CHANGE_RESTORE, .from = from};
    struct save save = {.created_at = clock_millis(), .change = &change};
    forget_damage(s);
    call_write_model(c);
    save.answer = call_answer_to_keep(c, &answer);
    enum err_kind rc = session_save(s, &save, e);
    if (!rc)
        events_tell_restored(s);
    return rc;
}

/* The losses that a replay made come along: the store need not have them. */
static void take_tail(struct session *to, struct session *from)
{
    pthread_rwlock_wrlock(&to->lock);
    mem_free(to->tail);
    to->tail = from->tail;
    to->tail_count = from->tail_count;
    to->tail_room = from->tail_room;
    to->tail_first = from->tail_first;
    atomic_store(&to->kept, from->tail_first - 1);
    from->tail = NULL;
    from->tail_count = from->tail_room = 0;
    pthread_rwlock_unlock(&to->lock);
}

/* The numbers of one session into another of the same layers. */
static enum err_kind copy_state(struct session *to, const struct session *from, struct err *e)
{
    struct store_checkpoint c;
    struct json_out state = {0};
    enum err_kind rc = session_describe(from, &c, &state, e);
    if (!rc)
        rc = session_go_to(to, &c, e);
    json_out_close(&state);
    return rc;
}

static enum err_kind read_step(struct call *c, enum need need, int64_t *step, struct err *e)
{
    return field_int(c->in.root, "step", need, 0, INT64_MAX, step, e);
}

enum err_kind post_restore_step(struct call *c, struct err *e)
{
    static const char *const names[] = {"step", NULL};
    struct session *past = NULL;
    int64_t step, from;
    enum err_kind rc = fields_check(c->in.root, names, e);
    if (!rc)
        rc = read_step(c, REQUIRED, &step, e);
    if (!rc)
        rc = replay_to_step(c->session, step, &past, &from, e);
    if (!rc)
        rc = copy_state(c->session, past, e);
    if (!rc) {
        take_tail(c->session, past);
        rc = call_keep_restored(c, from, e);
    }
    session_free(past);
    return rc;
}

/* ---- fork ---------------------------------------------------------------------------------- */

/* All that the new model begins with, until it is kept. */
struct fork {
    struct session *session;
    struct store_model model;
    struct store_checkpoint checkpoint;
    struct json_out state;
    int64_t *step; /* there may be gaps */
    double *loss;
    size_t losses, room;
    int64_t until; /* what is collected goes to this step; -1: there was no memory for it */
};

static bool make_room(struct fork *f, size_t count)
{
    if (f->losses + count <= f->room)
        return true;
    size_t room = 2 * (f->losses + count);
    int64_t *step = mem_resize(f->step, f->losses, room, sizeof *step);
    f->step = step ? step : f->step;
    double *loss = step ? mem_resize(f->loss, f->losses, room, sizeof *loss) : NULL;
    f->loss = loss ? loss : f->loss;
    f->room = loss ? room : f->room;
    return loss != NULL;
}

static bool collect(void *arg, int64_t first, const double *loss, size_t count)
{
    struct fork *f = arg;
    if (!make_room(f, count))
        f->until = -1;
    for (size_t i = 0; i < count && first + (int64_t)i <= f->until; i++) {
        f->step[f->losses] = first + (int64_t)i;
        f->loss[f->losses++] = loss[i];
    }
    return f->until >= 0;
}

static void add_losses(struct store_txn *txn, const struct fork *f)
{
    for (size_t i = 0, n; i < f->losses; i += n) {
        for (n = 1; i + n < f->losses && f->step[i + n] == f->step[i] + (int64_t)n;)
            n++;
        store_replace_losses(txn, STORE_NEW_MODEL, f->step[i], f->loss + i, n);
    }
}

/* The history up to the step: what the store has, and the tail behind that. */
static enum err_kind collect_losses(struct fork *f, struct session *s, struct err *e)
{
    const struct session *made = f->session;
    enum err_kind rc = ERR_OK;
    f->until = made->tail_first - 1;
    if (f->until > 0)
        rc = store_each_loss(s->api->store, s->key, 1, f->until, collect, f, e);
    if (!rc && f->until >= 0) {
        f->until = made->step;
        collect(f, made->tail_first, made->tail, made->tail_count);
    }
    return rc || f->until >= 0 ? rc : err_set(e, ERR_NOMEM, "", "no memory for the losses");
}

static enum err_kind copy_batches(struct fork *f, const struct session *s, struct err *e)
{
    for (size_t i = 0; i < s->batches; i++) {
        struct batch *b;
        enum err_kind rc = session_reserve_batch(f->session, e);
        if (!rc)
            rc = batch_copy(s->batch[i], &b, e);
        if (rc)
            return rc;
        session_insert_batch(f->session, b);
    }
    /* the store counts on from the highest one that it has */
    f->session->last_batch = s->batches ? s->batch[s->batches - 1]->n : 0;
    return ERR_OK;
}

/* The state as a session of its own: now, or that of an earlier step. Its batches are those of now.
 */
static enum err_kind make_session(struct call *c, struct fork *f, bool now, int64_t step,
                                  struct err *e)
{
    struct session *s = c->session;
    int64_t from;
    if (!now) {
        enum err_kind rc = replay_to_step(s, step, &f->session, &from, e);
        if (!rc)
            session_drop_batches(f->session);
        return rc;
    }
    enum err_kind rc = session_make(c->api, s->id, clock_millis(), f->model.spec, &f->session, e);
    if (!rc)
        rc = copy_state(f->session, s, e);
    return rc ? rc : session_copy_tail(f->session, s, e);
}

static enum err_kind make(struct call *c, struct fork *f, const char *id, bool now, int64_t step,
                          struct err *e)
{
    struct session *s = c->session;
    struct store_model stored;
    enum err_kind rc = store_find_model(c->api->store, s->id, &stored, e);
    f->model.spec = stored.spec;
    if (!rc)
        rc = make_session(c, f, now, step, e);
    if (!rc)
        rc = copy_batches(f, s, e);
    if (!rc)
        rc = collect_losses(f, s, e);
    if (rc)
        return rc;
    struct session *made = f->session;
    fit_free(made->fit); /* a job is its model's */
    made->fit = NULL;
    mem_fit(made->id, sizeof made->id, id);
    made->spec.options.durability = s->spec.options.durability;
    mem_fit(f->model.id, sizeof f->model.id, id);
    made->created_at = made->updated_at = f->model.created_at = clock_millis();
    made->seq = made->proven_seq = made->base_seq = 0;
    made->tail_bytes = 0;
    made->tail_ns = 0;
    made->last_checkpoint = 0;
    return session_describe(made, &f->checkpoint, &f->state, e);
}

/* All of it, in this order. false: no memory. */
static bool insert(struct store_txn *txn, struct fork *f, const struct session *from)
{
    const struct session *made = f->session;
    bool fits = true;
    store_require_change(txn, from->key, from->seq);
    store_insert_model(txn, &f->model);
    store_save_checkpoint(txn, STORE_NEW_MODEL, &f->checkpoint);
    add_losses(txn, f);
    for (size_t i = 0; fits && i < made->batches; i++)
        fits = batch_insert(txn, STORE_NEW_MODEL, made->batch[i]);
    return fits;
}

static enum err_kind keep(struct call *c, struct fork *f, struct err *e)
{
    struct session *made = f->session;
    struct store_txn *txn = store_txn_new(c->api->store);
    if (!txn || !insert(txn, f, c->session)) {
        store_txn_drop(txn);
        return err_set(e, ERR_NOMEM, "", "no memory for the model");
    }
    call_location(c, "/models/%s", made->id);
    call_tag(c, model_write(&c->out, made));
    call_keep_answer(c, txn);
    if (made->spec.options.durability == DURABILITY_POWER)
        store_txn_sync(txn);
    enum err_kind rc = store_commit(txn, e);
    if (rc == ERR_CONFLICT)
        err_set(e, ERR_CONFLICT, "/id", "the id \"%s\" is taken", made->id);
    made->key = f->model.key;
    return rc;
}

static void fork_close(struct fork *f)
{
    session_free(f->session);
    mem_free((void *)f->model.spec);
    mem_free(f->step);
    mem_free(f->loss);
    json_out_close(&f->state);
}

/* From here on the tail is in the store. */
static void forget_tail(struct session *s)
{
    s->tail_count = 0;
    s->tail_first = s->step + 1;
    atomic_store(&s->kept, s->step);
}

/* The id is ours from before the model is kept until it can be found. */
static enum err_kind create(struct call *c, struct fork *f, const char *id, bool now, int64_t step,
                            struct err *e)
{
    struct registry *r = &c->api->registry;
    enum err_kind rc = registry_begin_create(r, id, e);
    if (rc)
        return rc;
    rc = make(c, f, id, now, step, e);
    if (!rc)
        rc = keep(c, f, e);
    if (!rc)
        forget_tail(f->session);
    registry_end_create(r, id, rc ? NULL : f->session);
    if (!rc) { /* what the answer tells further is told of the new one */
        registry_put(r, c->session);
        c->session = f->session;
        f->session = NULL;
    }
    return rc;
}

enum err_kind post_fork(struct call *c, struct err *e)
{
    static const char *const names[] = {"id", "step", NULL};
    struct fork f = {.session = NULL};
    char id[STORE_ID_BYTES];
    int64_t step = -1;
    enum err_kind rc = fields_check(c->in.root, names, e);
    if (!rc)
        rc = read_step(c, OPTIONAL, &step, e);
    if (!rc)
        rc = call_choose_id(c, id, e);
    if (!rc)
        rc = create(c, &f, id, step < 0, step, e);
    fork_close(&f);
    return rc;
}
