/* api/health.c - what a supervisor asks, and what the daemon does on its own. */
#include "api/handlers.h"
#include "api/journal.h"
#include "api/state.h"

static void write_status(struct call *c, const char *status)
{
    json_begin_object(&c->out);
    json_key_string(&c->out, "status", status);
    json_end_object(&c->out);
}

enum err_kind get_healthz(struct call *c, struct err *e)
{
    (void)e;
    write_status(c, "alive");
    return ERR_OK;
}

enum err_kind api_ready(struct api *a, struct err *e)
{
    if (atomic_load(&a->draining))
        return err_set(e, ERR_UNAVAILABLE, "", "the daemon is shutting down");
    if (!store_is_healthy(a->store))
        return err_set(e, ERR_IO, "", "the storage failed");
    return ERR_OK;
}

enum err_kind get_readyz(struct call *c, struct err *e)
{
    enum err_kind rc = api_ready(c->api, e);
    if (!rc)
        write_status(c, "ready");
    return rc;
}

/* A journal that is short by now needs no checkpoint: it was long when the model came into the
 * list. */
static bool is_due(const struct session *s)
{
    return !session_is_journaled(s) || journal_is_long(s) || s->changed ||
           atomic_load(&s->save_failed) || atomic_load(&s->saving);
}

/* Copies on their way to the store may take an eighth of what models may. Beyond that a model is
 * written as it lies, and its line waits for the store. */
static void checkpoint(struct session *s)
{
    struct api *a = s->api;
    struct err ignored; /* it is due again */
    if (!is_due(s))
        registry_forget_change(&a->registry, s);
    else if (atomic_load(&a->checkpoints) <= a->config.memory / 8)
        session_checkpoint(s);
    else if (session_put_away(s, &ignored) == ERR_OK && !atomic_load(&s->saving))
        registry_forget_change(&a->registry, s);
}

/* A model that changed some seconds ago is written to the store, beside the training. One that has
 * been put away meanwhile is there already. */
enum err_kind checkpoint_due(struct call *c, struct err *e)
{
    struct registry *r = &c->api->registry;
    struct session *s = registry_peek(r, c->param[0]);
    (void)e;
    if (s) {
        checkpoint(s);
        registry_let_go(r, s);
    }
    return ERR_OK;
}

/* What was over the budget while all models were in use. */
enum err_kind put_away_due(struct call *c, struct err *e)
{
    (void)e;
    registry_trim(&c->api->registry);
    return ERR_OK;
}
