/* api/models.c - creating, showing, changing and removing models. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "api/fields.h"
#include "api/handlers.h"
#include "api/journal.h"
#include "api/state.h"
#include "engine/mem.h"

#define LIMIT_DEFAULT 20
#define LIMIT_MAX     100

enum err_kind call_limit(const struct call *c, int64_t *out, struct err *e)
{
    return call_query_int(c, "limit", 1, LIMIT_MAX, LIMIT_DEFAULT, out, e);
}

/* ---- the representation -------------------------------------------------------------------- */

void json_key_time(struct json_out *w, const char *key, int64_t millis)
{
    char text[40];
    struct tm tm;
    time_t seconds = (time_t)(millis / 1000);
    gmtime_r(&seconds, &tm);
    size_t n = strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(text + n, sizeof text - n, ".%03dZ", (int)(millis % 1000));
    json_key_string(w, key, text);
}

static void parameters_write(struct json_out *w, const struct module *m)
{
    json_key(w, "parameters");
    json_begin_array(w);
    for (int i = 0; i < m->parameters; i++) {
        const struct parameter *p = &m->parameter[i];
        json_begin_object(w);
        json_key_string(w, "name", p->name);
        json_key(w, "shape");
        json_ints(w, p->tensor.shape.dim, (size_t)p->tensor.shape.rank);
        json_key_bool(w, "requires_grad", p->tensor.requires_grad);
        if (m->program) /* may differ from that of the inputs */
            json_key_string(w, "dtype", dtype_name(m->dtype));
        json_end_object(w);
    }
    json_end_array(w);
}

const char *model_state(const struct session *s, bool training)
{
    if (s->damage)
        return "damaged";
    return s->diverged ? "diverged" : training || s->fitting ? "training" : "ready";
}

/* Returns the step that it showed. */
int64_t model_write(struct json_out *w, struct session *s)
{
    pthread_rwlock_rdlock(&s->lock);
    int64_t step = s->step;
    json_begin_object(w);
    json_key_string(w, "id", s->id);
    spec_write(w, &s->spec);
    parameters_write(w, s->module);
    json_key_int(w, "parameter_count", s->module->count);
    json_key_int(w, "step", s->step);
    json_key(w, "loss_last");
    if (s->step == 0)
        json_null(w);
    else
        json_real(w, session_loss_dtype(s), s->loss_last);
    json_key_int(w, "batches", (int64_t)s->batches);
    json_key_string(w, "state", model_state(s, s->training));
    if (s->damage)
        json_key_string(w, "damage", s->damage);
    json_key_time(w, "created_at", s->created_at);
    json_key_time(w, "updated_at", s->updated_at);
    json_end_object(w);
    pthread_rwlock_unlock(&s->lock);
    return step;
}

void call_write_model(struct call *c)
{
    call_tag(c, model_write(&c->out, c->session));
}

/* ---- POST /models -------------------------------------------------------------------------- */

enum err_kind call_choose_id(struct call *c, char id[STORE_ID_BYTES], struct err *e)
{
    const char *given = NULL;
    enum err_kind rc = field_string(c->in.root, "id", OPTIONAL, STORE_ID_BYTES, &given, e);
    if (rc)
        return rc;
    if (given && !is_id(given))
        return err_set(e, ERR_INVALID, "/id", "must match [A-Za-z0-9][A-Za-z0-9._-]{0,63}");
    if (given)
        mem_fit(id, STORE_ID_BYTES, given);
    else
        snprintf(id, STORE_ID_BYTES, "m-%s%llu", c->api->run, (unsigned long long)c->number);
    return ERR_OK;
}

/* Makes the model of the text that the store keeps of it, and keeps it, with the answer. */
static enum err_kind make(struct call *c, const char *id, const char *spec, struct session **out,
                          struct err *e)
{
    struct session *s;
    struct store_model model = {.spec = spec, .created_at = clock_millis()};
    enum err_kind rc = session_new(c->api, id, model.created_at, spec, &s, e);
    if (rc)
        return rc;
    mem_fit(model.id, sizeof model.id, id);
    call_location(c, "/models/%s", id);
    call_tag(c, model_write(&c->out, s));
    struct store_txn *txn = store_txn_new(c->api->store);
    if (!txn) {
        rc = err_set(e, ERR_NOMEM, "", "no memory for the model");
    } else {
        store_insert_model(txn, &model);
        call_keep_answer(c, txn);
        if (s->spec.options.durability == DURABILITY_POWER)
            store_txn_sync(txn);
        rc = store_commit(txn, e);
    }
    if (rc == ERR_CONFLICT)
        err_set(e, ERR_CONFLICT, "/id", "the id \"%s\" is taken", id);
    s->key = model.key;
    if (rc)
        session_free(s);
    else
        *out = s;
    return rc;
}

/* The id is ours from before the model is kept until it can be found. */
static enum err_kind create(struct call *c, const char *id, const struct spec *spec, struct err *e)
{
    struct json_out text = {0};
    json_begin_object(&text);
    spec_write_whole(&text, spec);
    json_end_object(&text);
    enum err_kind rc =
        json_out_end(&text) ? ERR_OK : err_set(e, ERR_NOMEM, "", "no memory for the model");
    if (!rc)
        rc = registry_begin_create(&c->api->registry, id, e);
    if (!rc) {
        rc = make(c, id, text.text, &c->session, e);
        registry_end_create(&c->api->registry, id, rc ? NULL : c->session);
    }
    json_out_close(&text);
    return rc;
}

enum err_kind post_models(struct call *c, struct err *e)
{
    struct spec spec;
    char id[STORE_ID_BYTES];
    enum err_kind rc = spec_read(&c->in, c->api->config.max_model_bytes, &spec, e);
    if (!rc)
        rc = call_choose_id(c, id, e);
    if (!rc)
        rc = create(c, id, &spec, e);
    spec_close(&spec);
    return rc;
}

/* ---- GET ----------------------------------------------------------------------------------- */

enum err_kind get_model(struct call *c, struct err *e)
{
    (void)e;
    call_write_model(c);
    return ERR_OK;
}

/* One of a list; one that was deleted meanwhile is left out. One that is loaded for this alone goes
 * first when the next one needs the room: a list keeps nothing in memory, and drives nothing out.
 */
static enum err_kind write_listed(struct call *c, const char *id, struct err *e)
{
    struct session *s;
    enum err_kind rc = registry_get(&c->api->registry, id, c->scratch, &s, e);
    if (rc)
        return rc == ERR_NOT_FOUND ? ERR_OK : rc;
    model_write(&c->out, s);
    registry_let_go(&c->api->registry, s);
    return ERR_OK;
}

enum err_kind get_models(struct call *c, struct err *e)
{
    char ids[LIMIT_MAX + 1][STORE_ID_BYTES];
    size_t count;
    int64_t limit;
    const char *after = call_query(c, "after");
    enum err_kind rc = call_limit(c, &limit, e);
    if (!rc) /* one more than asked for tells whether there is more */
        rc =
            store_list_models(c->api->store, after ? after : "", (size_t)limit + 1, ids, &count, e);
    if (rc)
        return rc;
    bool more = count > (size_t)limit;
    json_begin_object(&c->out);
    json_key(&c->out, "models");
    json_begin_array(&c->out);
    for (size_t i = 0; !rc && i < count - more; i++)
        rc = write_listed(c, ids[i], e);
    json_end_array(&c->out);
    if (more)
        json_key_string(&c->out, "next", ids[limit - 1]);
    json_end_object(&c->out);
    return rc;
}

/* ---- PATCH --------------------------------------------------------------------------------- */

/* Checks {"0.weight": false, …}; with apply set, does it. */
static enum err_kind freeze(struct module *m, const cJSON *names, bool apply, struct err *e)
{
    for (const cJSON *item = names ? names->child : NULL; item; item = item->next) {
        struct parameter *p = module_find(m, item->string);
        char key[96];
        err_escape(item->string, key, sizeof key);
        if (!p)
            err_set(e, ERR_INVALID, "", "there is no parameter \"%s\"", key);
        else if (!cJSON_IsBool(item) && !cJSON_IsNull(item))
            err_set(e, ERR_INVALID, "", "must be true or false");
        else {
            if (apply)
                p->tensor.requires_grad = !cJSON_IsFalse(item);
            continue;
        }
        return err_prefix(e, "/requires_grad/%s", key);
    }
    return ERR_OK;
}

/* A journal begins and ends with a checkpoint: what happens without one is not in it. */
static enum err_kind keep_patch(struct call *c, bool was_journaled, struct err *e)
{
    struct session *s = c->session;
    struct change change = {.kind = CHANGE_STATE};
    struct save save = {.created_at = clock_millis(), .change = &change};
    if (session_is_journaled(s) != was_journaled) {
        enum err_kind rc = session_save(s, &save, e);
        if (!rc)
            events_tell_now(s);
        return rc;
    }
    change.kind = CHANGE_PATCH;
    return call_keep_change(c, &change, e);
}

enum err_kind patch_model(struct call *c, struct err *e)
{
    static const char *const names[] = {"optimizer", "requires_grad", "on_divergence", "durability",
                                        NULL};
    struct session *s = c->session;
    struct spec_options options = s->spec.options;
    const cJSON *frozen;
    bool thaw = cJSON_IsNull(field_find(c->in.root, "requires_grad")); /* removed: the default */
    enum err_kind rc = fields_check(c->in.root, names, e);
    if (!rc)
        rc = spec_patch(&options, c->in.root, e);
    if (!rc)
        rc = field_object(c->in.root, "requires_grad", OPTIONAL, &frozen, e);
    if (!rc)
        rc = freeze(s->module, frozen, false, e);
    if (rc)
        return rc;
    bool was_journaled = session_is_journaled(s);
    session_begin_change(s);
    s->spec.options = options;
    s->sgd.options = options.optimizer;
    s->diverged = false;
    sgd_touch(&s->sgd);
    for (int i = 0; thaw && i < s->module->parameters; i++)
        s->module->parameter[i].tensor.requires_grad = true;
    rc = freeze(s->module, frozen, true, e);
    session_end_change(s);
    call_write_model(c);
    return rc ? rc : keep_patch(c, was_journaled, e);
}

/* ---- DELETE -------------------------------------------------------------------------------- */

/* Its jobs are cancelled with it. */
static void cancel_jobs(struct call *c, struct store_txn *txn)
{
    struct job_view v;
    for (size_t i = 0; jobs_at(&c->api->jobs, c->session->id, i, &v); i++)
        store_finish_job(txn, v.n, job_verdict(txn, &v, JOB_CANCELLED));
}

static void forget_jobs(struct call *c)
{
    struct job_view v;
    while (jobs_first(&c->api->jobs, c->session->id, &v))
        jobs_remove(&c->api->jobs, v.n);
}

enum err_kind delete_model(struct call *c, struct err *e)
{
    struct registry *r = &c->api->registry;
    struct store_txn *txn = store_txn_new(c->api->store);
    if (!txn)
        return err_set(e, ERR_NOMEM, "", "no memory to delete the model");
    enum err_kind rc = registry_begin_delete(r, c->session, e);
    if (rc) {
        store_txn_drop(txn);
        return rc;
    }
    store_delete_model(txn, c->session->key);
    cancel_jobs(c, txn);
    if (c->session->spec.options.durability == DURABILITY_POWER)
        store_txn_sync(txn);
    rc = store_commit(txn, e);
    if (!rc)
        forget_jobs(c);
    bool gone = rc == ERR_OK || rc == ERR_NOT_FOUND;
    registry_end_delete(r, c->session, gone);
    if (gone && events_wanted(&c->api->events))
        events_deleted(&c->api->events, c->session->key);
    return rc;
}
