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

enum err_kind get_readyz(struct call *c, struct err *e)
{
    if (atomic_load(&c->api->draining))
        return err_set(e, ERR_UNAVAILABLE, "", "the daemon is shutting down");
    if (!store_is_healthy(c->api->store))
        return err_set(e, ERR_IO, "", "the storage failed");
    write_status(c, "ready");
    return ERR_OK;
}

/* A journal that is short by now needs no checkpoint: it was long when the model came into the
 * list.
 */
static bool is_due(const struct session *s)
{
    return !session_is_journaled(s) || journal_is_long(s) || s->changed ||
           atomic_load(&s->save_failed) || atomic_load(&s->saving);
}

/* A model that changed some seconds ago, or has a long journal, is written to the store, beside the
 * training. */
enum err_kind checkpoint_due(struct call *c, struct err *e)
{
    struct session *s = c->session;
    (void)e;
    if (is_due(s))
        session_checkpoint(s);
    else
        registry_forget_change(&s->api->registry, s);
    return ERR_OK;
}
