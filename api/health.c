/* api/health.c - what a supervisor asks, and what the daemon does on its own. */
#include "api/handlers.h"
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

/* A model that changed some seconds ago is written to the store, beside the training. */
enum err_kind checkpoint_due(struct call *c, struct err *e)
{
    (void)e;
    session_checkpoint(c->session);
    return ERR_OK;
}
