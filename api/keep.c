/* api/keep.c - a model's state into checkpoints and back.
 *
 * Sections are the blocks as they lie in memory (little-endian, state_dict order); the state text
 * holds the rest.
 */
#include <limits.h>
#include <math.h>
#include <string.h>

#include "api/call.h"
#include "api/fields.h"
#include "api/journal.h"
#include "api/session.h"
#include "api/state.h"

/* ---- the state text ------------------------------------------------------------------------ */

static void write_flags(struct json_out *w, const char *key, const struct session *s,
                        bool (*flag)(const struct session *s, int i))
{
    json_key(w, key);
    json_begin_array(w);
    for (int i = 0; i < s->module->parameters; i++)
        json_int(w, flag(s, i));
    json_end_array(w);
}

static bool requires_grad(const struct session *s, int i)
{
    return s->module->parameter[i].tensor.requires_grad;
}

static bool has_gradient(const struct session *s, int i)
{
    return s->module->parameter[i].tensor.grad != NULL;
}

static bool has_momentum(const struct session *s, int i)
{
    return s->sgd.has_momentum[i];
}

static void write_options(struct json_out *w, const struct session *s)
{
    json_key(w, "optimizer");
    spec_write_optimizer(w, &s->sgd.options);
    json_key_string(w, "on_divergence", on_divergence_names[s->spec.options.on_divergence]);
    json_key_string(w, "durability", durability_names[s->spec.options.durability]);
    write_flags(w, "requires_grad", s, requires_grad);
}

void session_write_options(struct json_out *w, const struct session *s)
{
    json_begin_object(w);
    write_options(w, s);
    json_end_object(w);
}

static void state_write(struct json_out *w, const struct session *s)
{
    json_begin_object(w);
    json_key_int(w, "arithmetic", ARITHMETIC_VERSION);
    write_options(w, s);
    write_flags(w, "has_gradient", s, has_gradient);
    write_flags(w, "has_momentum", s, has_momentum);
    json_key_int(w, "cursor", s->cursor);
    json_key_int(w, "accumulated", s->accumulated);
    json_key_f64(w, "loss_pending", s->loss_pending);
    json_key_string(w, "loss_dtype", dtype_name(session_loss_dtype(s)));
    json_key_bool(w, "diverged", s->diverged);
    json_key_int(w, "updated_at", s->updated_at);
    if (s->fit && !s->fit->place.ended) {
        json_key(w, "fit");
        fit_write(w, s->fit, true);
    }
    json_end_object(w);
}

/* What a state text says, checked, before any of it is put to use. */
struct state {
    struct spec_options options;
    int64_t *flags; /* requires_grad, has_gradient, has_momentum: one list after the other */
    int64_t arithmetic, cursor, accumulated, updated_at;
    double loss_pending;
    int loss_dtype; /* enum dtype */
    bool diverged;
    struct fit *fit; /* NULL: none; owned until it is put */
};
enum { FLAGS_REQUIRES_GRAD, FLAGS_HAS_GRADIENT, FLAGS_HAS_MOMENTUM, FLAGS_LISTS };
static const char *const flag_names[FLAGS_LISTS] = {"requires_grad", "has_gradient",
                                                    "has_momentum"};

/* The first so many lists. */
static enum err_kind flags_read(const struct json *j, int lists, int parameters, int64_t *out,
                                struct err *e)
{
    for (int i = 0; i < lists; i++) {
        int64_t dim[JSON_RANK_MAX];
        int rank;
        const cJSON *item = field_find(j->root, flag_names[i]);
        if (!item || json_tensor_shape(j, item, dim, &rank, e) != ERR_OK || rank != 1 ||
            dim[0] != parameters ||
            json_tensor_read(j, item, DTYPE_INT64, out + i * parameters, e) != ERR_OK)
            return err_set(e, ERR_IO, "", "the checkpoint's %s cannot be read", flag_names[i]);
    }
    return ERR_OK;
}

/* A checkpoint without a job has none. */
static enum err_kind state_read_fit(const cJSON *root, struct state *out, struct err *e)
{
    const cJSON *object;
    enum err_kind rc = field_object(root, "fit", OPTIONAL, &object, e);
    if (rc || !object)
        return rc;
    out->fit = mem_array(1, sizeof *out->fit);
    return out->fit ? fit_read(object, out->fit, e)
                    : err_set(e, ERR_NOMEM, "", "no memory for a job's state");
}

static enum err_kind state_read(const char *text, const struct session *s, struct state *out,
                                struct err *e)
{
    struct json j = {.root = NULL};
    *out = (struct state){
        .options = s->spec.options, .loss_pending = NAN, .loss_dtype = (int)session_loss_dtype(s)};
    out->flags = mem_array((size_t)s->module->parameters * FLAGS_LISTS, sizeof *out->flags);
    if (!out->flags)
        return err_set(e, ERR_NOMEM, "", "no memory for the checkpoint's state");
    enum err_kind rc = json_parse(text, strlen(text), &j, e);
    if (!rc)
        rc = spec_patch(&out->options, j.root, e);
    if (!rc)
        rc = flags_read(&j, FLAGS_LISTS, s->module->parameters, out->flags, e);
    if (!rc)
        rc = field_int(j.root, "arithmetic", REQUIRED, 0, INT_MAX, &out->arithmetic, e);
    if (!rc)
        rc = field_int(j.root, "cursor", REQUIRED, 0, INT64_MAX, &out->cursor, e);
    if (!rc)
        rc = field_int(j.root, "accumulated", REQUIRED, 0, INT64_MAX, &out->accumulated, e);
    if (!rc)
        rc = field_int(j.root, "updated_at", REQUIRED, 0, INT64_MAX, &out->updated_at, e);
    if (!rc)
        rc = field_bool(j.root, "diverged", REQUIRED, &out->diverged, e);
    if (!rc) /* the checkpoints of versions without programs have none */
        rc = field_choice(j.root, "loss_dtype", OPTIONAL, dtype_names, &out->loss_dtype, e);
    if (!rc && !json_number(field_find(j.root, "loss_pending"), &out->loss_pending))
        rc = err_set(e, ERR_IO, "", "the checkpoint's loss_pending cannot be read");
    if (!rc)
        rc = state_read_fit(j.root, out, e);
    json_close(&j);
    return rc;
}

static void put_options(struct session *s, const struct spec_options *options,
                        const int64_t *requires_grad)
{
    s->spec.options = *options;
    s->sgd.options = options->optimizer;
    for (int i = 0; i < s->module->parameters; i++)
        s->module->parameter[i].tensor.requires_grad = requires_grad[i] != 0;
}

enum err_kind session_read_options(struct session *s, const char *text, struct err *e)
{
    struct json j = {.root = NULL};
    struct spec_options options = s->spec.options;
    int64_t *flags = mem_array((size_t)s->module->parameters, sizeof *flags);
    enum err_kind rc = flags ? json_parse(text, strlen(text), &j, e)
                             : err_set(e, ERR_NOMEM, "", "no memory for the options");
    if (!rc)
        rc = spec_patch(&options, j.root, e);
    if (!rc)
        rc = flags_read(&j, 1 + FLAGS_REQUIRES_GRAD, s->module->parameters, flags, e);
    if (!rc) {
        session_begin_change(s);
        put_options(s, &options, flags);
        sgd_touch(&s->sgd);
        session_end_change(s);
    }
    json_close(&j);
    mem_free(flags);
    return rc;
}

/* ---- into a checkpoint --------------------------------------------------------------------- */

static bool any(const struct session *s, bool (*flag)(const struct session *s, int i))
{
    for (int i = 0; i < s->module->parameters; i++)
        if (flag(s, i))
            return true;
    return false;
}

static void add_section(struct store_checkpoint *c, const char *name, const void *data,
                        size_t bytes)
{
    c->section[c->sections++] = (struct store_section){name, data, bytes};
}

enum err_kind session_describe(const struct session *s, struct store_checkpoint *c,
                               struct json_out *state, struct err *e)
{
    size_t bytes = module_bytes(s->module);
    enum err_kind rc = module_make_deferred(s->module, s->api->kernels, NULL, e);
    if (rc)
        return rc;
    state_write(state, s);
    if (!json_out_end(state))
        return err_set(e, ERR_NOMEM, "", "no memory for a checkpoint");
    *c = (struct store_checkpoint){.seq = s->seq,
                                   .step = s->step,
                                   .loss = s->loss_last,
                                   .state = state->text,
                                   .created_at = clock_millis()};
    add_section(c, "parameters", s->module->values.data, bytes);
    if (any(s, has_gradient))
        add_section(c, "gradients", s->module->gradients.data, bytes);
    if (any(s, has_momentum))
        add_section(c, "momentum", s->sgd.momentum, bytes);
    return ERR_OK;
}

/* Drops from the tail what the store has. */
static void trim_tail(struct session *s)
{
    int64_t kept = atomic_load(&s->kept) - s->tail_first + 1;
    if (kept <= 0)
        return;
    pthread_rwlock_wrlock(&s->lock);
    size_t n = (size_t)kept < s->tail_count ? (size_t)kept : s->tail_count;
    memmove(s->tail, s->tail + n, (s->tail_count - n) * sizeof *s->tail);
    s->tail_count -= n;
    s->tail_first += (int64_t)n;
    pthread_rwlock_unlock(&s->lock);
}

/* A background checkpoint's copy of the model, so that training goes on meanwhile. */
struct snapshot {
    struct session *session; /* held: the registry frees it when this gives it back */
    struct unkept answers;
    struct store_checkpoint checkpoint;
    struct json_out state;
    void *blocks;
    double *losses;
    int64_t first, last; /* steps of the losses */
    size_t counted;      /* bytes of all this, in api->checkpoints */
};

static void snapshot_free(struct snapshot *p)
{
    if (p->session) {
        atomic_fetch_sub(&p->session->api->checkpoints, p->counted);
        atomic_fetch_add(&p->session->api->freed, p->counted);
    }
    json_out_close(&p->state);
    mem_free(p->blocks);
    mem_free(p->losses);
    mem_free(p);
}

/* Copies the blocks and the tail, so that nothing points into the session. */
static struct snapshot *snapshot_new(struct session *s)
{
    struct err ignored;
    struct snapshot *p = mem_array(1, sizeof *p);
    if (!p)
        return NULL;
    size_t bytes = module_bytes(s->module);
    if (session_describe(s, &p->checkpoint, &p->state, &ignored) == ERR_OK)
        p->blocks = mem_array((size_t)p->checkpoint.sections, bytes);
    p->losses = mem_array(s->tail_count, sizeof *p->losses);
    if (!p->blocks || !p->losses) {
        snapshot_free(p);
        return NULL;
    }
    for (int i = 0; i < p->checkpoint.sections; i++) {
        void *copy = (char *)p->blocks + (size_t)i * bytes;
        memcpy(copy, p->checkpoint.section[i].data, bytes);
        p->checkpoint.section[i].data = copy;
    }
    if (s->tail_count)
        memcpy(p->losses, s->tail, s->tail_count * sizeof *p->losses);
    p->first = s->tail_first;
    p->last = s->step;
    p->session = s;
    p->counted = mem_size(p) + mem_size(p->blocks) + mem_size(p->losses) + mem_size(p->state.text);
    atomic_fetch_add(&s->api->checkpoints, p->counted);
    return p;
}

/* On the store's thread. */
static void snapshot_done(void *arg, const struct err *e)
{
    struct snapshot *p = arg;
    struct session *s = p->session;
    if (e->kind == ERR_OK) {
        atomic_store(&s->kept, p->last);
        answers_forget_all(&s->api->answers, &p->answers);
    } else {
        answers_move(&s->api->answers, &p->answers, &s->unkept);
        atomic_store(&s->save_failed, true);
    }
    atomic_store(&s->saving, false);
    snapshot_free(p);
    registry_let_go(&s->api->registry, s);
}

enum err_kind session_keep_losses(struct session *s, struct err *e)
{
    struct store_txn *txn = store_txn_new(s->api->store);
    if (!txn)
        return err_set(e, ERR_NOMEM, "", "no memory for the losses");
    store_replace_losses(txn, s->key, s->tail_first, s->tail, s->tail_count);
    enum err_kind rc = store_commit(txn, e);
    if (!rc)
        atomic_store(&s->kept, s->step);
    return rc;
}

bool session_is_unsaved(const struct session *s)
{
    return s->changed || s->seq > s->base_seq || atomic_load(&s->save_failed) || journal_is_long(s);
}

/* From here on a replay begins at the checkpoint that is under way. One beside a change lets
 * nothing go, and so counts for what it is. */
static void note_checkpoint(struct session *s, bool beside)
{
    s->base_seq = s->seq;
    s->tail_bytes = beside ? s->tail_bytes + session_checkpoint_bytes(s) : 0;
    s->tail_ns = beside ? s->tail_ns : 0;
    s->changed = false;
    s->steps_unsaved = 0;
    atomic_store(&s->save_failed, false);
}

void session_checkpoint(struct session *s)
{
    if (!session_is_unsaved(s)) {
        if (!atomic_load(&s->saving))
            registry_forget_change(&s->api->registry, s);
        return;
    }
    trim_tail(s);
    struct snapshot *p = atomic_load(&s->saving) ? NULL : snapshot_new(s);
    struct store_txn *txn = p ? store_txn_new(s->api->store) : NULL;
    if (!txn) {
        if (p)
            snapshot_free(p);
        registry_note_change(&s->api->registry, s);
        return;
    }
    store_save_checkpoint(txn, s->key, &p->checkpoint);
    store_replace_losses(txn, s->key, p->first, p->losses, (size_t)(p->last - p->first + 1));
    answers_move(&s->api->answers, &s->unkept, &p->answers);
    answers_insert(&s->api->answers, &p->answers, txn);
    note_checkpoint(s, false);
    atomic_store(&s->saving, true);
    registry_hold(&s->api->registry, s);
    store_commit_then(txn, snapshot_done, p);
}

size_t session_checkpoint_bytes(const struct session *s)
{
    int sections = 1 + any(s, has_gradient) + any(s, has_momentum);
    return (size_t)sections * module_bytes(s->module);
}

/* Everything that save is, into txn. */
static enum err_kind fill(struct store_txn *txn, struct session *s, const struct save *what,
                          struct json_out *state, struct err *e)
{
    struct store_checkpoint c;
    enum err_kind rc = what->change ? journal_append_to(txn, s, what->change, e) : ERR_OK;
    if (!rc)
        rc = session_describe(s, &c, state, e);
    if (rc)
        return rc;
    c.n = what->n;
    c.beside = what->change != NULL;
    c.label = what->label;
    c.created_at = what->created_at;
    store_save_checkpoint(txn, s->key, &c);
    store_replace_losses(txn, s->key, s->tail_first, s->tail, s->tail_count);
    if (what->n == 0) /* what a crash brings back is an automatic one */
        answers_insert(&s->api->answers, &s->unkept, txn);
    if (what->answer)
        store_insert_answer(txn, what->answer);
    if (what->job)
        store_finish_job(txn, what->job, what->verdict);
    if (s->spec.options.durability == DURABILITY_POWER)
        store_txn_sync(txn);
    return ERR_OK;
}

enum err_kind session_save(struct session *s, const struct save *what, struct err *e)
{
    struct json_out state = {0};
    struct store_txn *txn = store_txn_new(s->api->store);
    enum err_kind rc = txn ? fill(txn, s, what, &state, e)
                           : err_set(e, ERR_NOMEM, "", "no memory for a checkpoint");
    if (rc)
        store_txn_drop(txn);
    else
        rc = store_commit(txn, e);
    json_out_close(&state);
    if (rc && what->change)
        session_lose(s);
    if (rc)
        return rc;
    atomic_store(&s->kept, s->step);
    if (what->n == 0) {
        answers_forget_all(&s->api->answers, &s->unkept);
        note_checkpoint(s, what->change != NULL);
    }
    if (journal_is_long(s))
        registry_hurry(&s->api->registry, s);
    return ERR_OK;
}

enum err_kind session_put_away(struct session *s, struct err *e)
{
    struct save save = {.created_at = clock_millis()};
    bool unsaved =
        session_is_journaled(s) ? journal_is_worth_saving(s) : s->changed || s->unkept.first;
    if (atomic_load(&s->lost) || s->damage || !(unsaved || atomic_load(&s->save_failed)))
        return ERR_OK;
    return session_save(s, &save, e);
}

/* ---- out of a checkpoint ------------------------------------------------------------------- */

static const struct store_section *find_section(const struct store_checkpoint *c, const char *name)
{
    for (int i = 0; i < c->sections; i++)
        if (!strcmp(c->section[i].name, name))
            return &c->section[i];
    return NULL;
}

/* The section if it is there; INVALID sizes and a missing one that is needed are IO. */
static enum err_kind section_of(const struct store_checkpoint *c, const char *name, bool needed,
                                size_t bytes, const struct store_section **out, struct err *e)
{
    *out = find_section(c, name);
    if (needed && !*out)
        return err_set(e, ERR_IO, "", "the checkpoint has no %s", name);
    if (*out && (*out)->bytes != bytes)
        return err_set(e, ERR_IO, "", "the checkpoint's %s have %zu bytes, not %zu", name,
                       (*out)->bytes, bytes);
    return ERR_OK;
}

static bool any_of(const int64_t *flags, int n)
{
    for (int i = 0; i < n; i++)
        if (flags[i])
            return true;
    return false;
}

/* A section of a checkpoint of that arithmetic becomes a block of m. */
static void take(const struct module *m, const struct store_section *section, int64_t arithmetic,
                 void *block)
{
    if (arithmetic <= ARITHMETIC_ROWS)
        module_from_rows(m, section->data, block);
    else
        memcpy(block, section->data, section->bytes);
}

/* Puts a checkpoint into s: everything that can fail first, then the change as a whole. */
static enum err_kind put(struct session *s, const struct store_checkpoint *c, struct state *state,
                         struct err *e)
{
    const struct store_section *parameters, *gradients, *momentum;
    struct module *m = s->module;
    size_t bytes = module_bytes(m);
    const int64_t *flags = state->flags, *has_grad = flags + FLAGS_HAS_GRADIENT * m->parameters,
                  *has_buffer = flags + FLAGS_HAS_MOMENTUM * m->parameters;
    bool any_grad = any_of(has_grad, m->parameters), any_buffer = any_of(has_buffer, m->parameters);
    enum err_kind rc = section_of(c, "parameters", true, bytes, &parameters, e);
    if (!rc)
        rc = section_of(c, "gradients", any_grad, bytes, &gradients, e);
    if (!rc)
        rc = section_of(c, "momentum", any_buffer, bytes, &momentum, e);
    if (!rc && any_grad)
        rc = module_need_gradients(m, e);
    if (!rc && any_buffer)
        rc = sgd_need_momentum(&s->sgd, m, e);
    if (rc)
        return rc;
    pthread_rwlock_wrlock(&s->lock);
    module_drop_deferred(m);
    take(m, parameters, state->arithmetic, m->values.data);
    if (any_grad)
        take(m, gradients, state->arithmetic, m->gradients.data);
    if (any_buffer)
        take(m, momentum, state->arithmetic, s->sgd.momentum);
    for (int i = 0; i < m->parameters; i++) {
        m->parameter[i].tensor.grad = has_grad[i] ? &m->parameter[i].slot : NULL;
        s->sgd.has_momentum[i] = has_buffer[i] != 0;
    }
    put_options(s, &state->options, flags + FLAGS_REQUIRES_GRAD * m->parameters);
    session_touch(s);
    s->step = c->step;
    s->loss_last = c->loss;
    s->cursor = state->cursor;
    s->accumulated = state->accumulated;
    s->loss_pending = state->loss_pending;
    atomic_store(&s->loss_dtype, state->loss_dtype);
    s->diverged = state->diverged;
    s->updated_at = state->updated_at;
    s->tail_count = 0;
    s->tail_first = c->step + 1;
    atomic_store(&s->kept, c->step);
    fit_free(s->fit);
    s->fit = state->fit;
    state->fit = NULL;
    pthread_rwlock_unlock(&s->lock);
    return ERR_OK;
}

/* as_now: as durable as the session is, not as it was. */
static enum err_kind put_state(struct session *s, const struct store_checkpoint *c, bool as_now,
                               struct err *e)
{
    struct state state = {.flags = NULL};
    enum err_kind rc = state_read(c->state, s, &state, e);
    if (as_now)
        state.options.durability = s->spec.options.durability;
    if (!rc)
        rc = put(s, c, &state, e);
    fit_free(state.fit);
    mem_free(state.flags);
    return rc;
}

enum err_kind session_put(struct session *s, const struct store_checkpoint *c, struct err *e)
{
    return put_state(s, c, false, e);
}

enum err_kind session_go_to(struct session *s, const struct store_checkpoint *c, struct err *e)
{
    struct fit *fit = s->fit;
    s->fit = NULL;
    enum err_kind rc = put_state(s, c, true, e);
    fit_free(s->fit);
    pthread_rwlock_wrlock(&s->lock);
    s->fit = fit;
    pthread_rwlock_unlock(&s->lock);
    return rc;
}
