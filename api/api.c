#include "api/api.h"

#include <stdio.h>
#include <string.h>

#include "api/admin.h"
#include "api/call.h"
#include "api/state.h"
#include "engine/decimal.h"

enum err_kind api_open(const struct api_config *config, struct api **out, struct err *e)
{
    decimal_init();
    json_init();
    struct api *a = mem_array(1, sizeof *a);
    if (!a)
        return err_set(e, ERR_NOMEM, "", "no memory to start");
    a->config = *config;
    a->boot = (uint64_t)clock_millis();
    bool automatic = !strcmp(config->isa, "auto");
    a->kernels = automatic ? kernels_best() : kernels_find(config->isa);
    enum err_kind rc = ERR_OK;
    if (!a->kernels)
        rc = err_set(e, ERR_INVALID, "", "this machine cannot run the instruction set \"%s\"",
                     config->isa);
    if (!rc)
        rc = store_open(config->data,
                        &(struct store_options){.network_files = config->network_files}, &a->store,
                        e);
    if (!rc)
        rc = admin_open(a, e);
    if (rc) {
        admin_close(a);
        store_close(a->store);
        mem_free(a);
        return rc;
    }
    atomic_init(&a->autograd.left, config->autograd_memory);
    registry_init(&a->registry, a);
    answers_init(&a->answers);
    *out = a;
    return ERR_OK;
}

/* Saves a changed model at the end; *arg keeps the first error. */
static void save_changed(struct session *s, void *arg)
{
    struct err *first = arg, e;
    if (!s->changed && !atomic_load(&s->save_failed) && !atomic_load(&s->saving))
        return;
    if (session_save(s, 0, NULL, clock_millis(), NULL, &e) != ERR_OK && !first->kind)
        *first = e;
}

enum err_kind api_close(struct api *a, struct err *e)
{
    struct err first = {.kind = ERR_OK};
    if (!a)
        return ERR_OK;
    registry_each(&a->registry, save_changed, &first);
    store_close(a->store); /* before the sessions that its last callbacks may still name */
    registry_close(&a->registry);
    answers_close(&a->answers);
    admin_close(a);
    mem_free(a);
    if (first.kind)
        *e = first;
    return first.kind;
}

const char *api_isa(const struct api *a)
{
    return a->kernels->isa;
}

bool api_is_healthy(struct api *a)
{
    return store_is_healthy(a->store);
}

void api_drain(struct api *a)
{
    atomic_store(&a->draining, true);
}

struct scratch *scratch_new(struct api *a)
{
    struct err ignored;
    struct scratch *s = mem_array(1, sizeof *s);
    if (s && tape_init(&s->tape, a->kernels, &ignored) != ERR_OK) {
        mem_free(s);
        return NULL;
    }
    return s;
}

void scratch_free(struct scratch *s)
{
    if (s)
        tape_close(&s->tape);
    mem_free(s);
}

struct call *api_due(struct api *a)
{
    int64_t by = clock_ns() - a->config.checkpoint_seconds * 1000000000;
    struct call *c = call_new(a);
    if (c)
        c->target = mem_array(1, STORE_ID_BYTES);
    if (!c || !c->target || !registry_take_due(&a->registry, by, c->target)) {
        call_free(c);
        return NULL; /* without memory the model stays in the list */
    }
    c->route = &route_checkpoint_due;
    c->param[0] = c->target;
    return c;
}
