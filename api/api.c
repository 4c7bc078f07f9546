#include "api/api.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "api/admin.h"
#include "api/call.h"
#include "api/handlers.h"
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
    a->boot = clock_millis();
    snprintf(a->run, sizeof a->run, "%llx-", (unsigned long long)a->boot);
    bool automatic = !strcmp(config->isa, "auto");
    a->kernels = automatic ? kernels_best() : kernels_find(config->isa);
    enum err_kind rc = ERR_OK;
    if (!a->kernels)
        rc = err_set(e, ERR_INVALID, "", "this machine cannot run the instruction set \"%s\"",
                     config->isa);
    if (!rc)
        rc = registry_init(&a->registry, a, e);
    bool made = !rc;
    if (!rc)
        rc = store_open(config->data,
                        &(struct store_options){.network_files = config->network_files}, &a->store,
                        e);
    if (!rc)
        rc = admin_open(a, e);
    bool has_jobs = !rc;
    if (!rc)
        rc = jobs_open(a, e);
    if (rc) {
        if (made)
            registry_close(&a->registry);
        if (has_jobs)
            jobs_close(&a->jobs);
        admin_close(a);
        store_close(a->store);
        mem_free(a);
        return rc;
    }
    atomic_init(&a->autograd.left, config->autograd_memory);
    answers_init(&a->answers);
    lock_init(&a->notices.lock);
    events_init(&a->events);
    if (store_notice(a->store)[0])
        api_notice(a, "%s: %s", config->data, store_notice(a->store));
    *out = a;
    return ERR_OK;
}

/* ---- closing ------------------------------------------------------------------------------- */

/* The end, and what of it failed first. */
struct closing {
    struct api *api;
    bool (*hurry)(void *arg);
    void *arg;
    struct scratch *scratch; /* for all replays; NULL: each makes its own */
    struct err first;
};

static bool is_hurried(struct closing *c)
{
    return c->hurry && c->hurry(c->arg);
}

static void save(struct closing *c, struct session *s)
{
    struct save save = {.created_at = clock_millis()};
    struct err e;
    if (s->damage || atomic_load(&s->lost))
        return;
    if (session_save(s, &save, &e) != ERR_OK && !c->first.kind)
        c->first = e;
}

/* A journal can be replayed later; what has none is saved however much haste there is. */
static void save_changed(struct session *s, void *arg)
{
    struct closing *c = arg;
    bool unsaved = session_is_unsaved(s) || atomic_load(&s->saving);
    if (unsaved && !(session_is_journaled(s) && is_hurried(c)))
        save(c, s);
}

/* Those that were put away with changes to replay. */
static void save_tails(struct closing *c)
{
    char ids[64][STORE_ID_BYTES], after[STORE_ID_BYTES] = "";
    size_t count = 1;
    struct err e;
    while (count > 0 && !store_list_tails(c->api->store, after, 64, ids, &count, &e)) {
        for (size_t i = 0; i < count; i++) {
            struct session *s;
            if (is_hurried(c))
                return;
            memcpy(after, ids[i], sizeof after);
            if (registry_get(&c->api->registry, ids[i], c->scratch, &s, &e))
                continue; /* a damaged one stays as it is */
            save(c, s);
            registry_put(&c->api->registry, s);
        }
    }
}

enum err_kind api_close(struct api *a, bool (*hurry)(void *arg), void *arg, struct err *e)
{
    struct closing c = {.api = a, .hurry = hurry, .arg = arg};
    if (!a)
        return ERR_OK;
    registry_each(&a->registry, save_changed, &c);
    c.scratch = scratch_new(a);
    save_tails(&c);
    scratch_free(c.scratch);
    store_close(a->store); /* before the sessions that its last callbacks may still name */
    registry_close(&a->registry);
    answers_close(&a->answers);
    jobs_close(&a->jobs);
    lock_close(&a->notices.lock);
    events_close(&a->events);
    admin_close(a);
    mem_free(a);
    if (c.first.kind)
        *e = c.first;
    return c.first.kind;
}

const char *api_isa(const struct api *a)
{
    return a->kernels->isa;
}

bool api_is_healthy(struct api *a)
{
    return store_is_healthy(a->store);
}

struct api_gauges *api_gauges(struct api *a)
{
    return &a->gauges;
}

void api_drain(struct api *a)
{
    atomic_store(&a->draining, true);
    api_end_streams(a);
}

void api_notice(struct api *a, const char *format, ...)
{
    struct notices *n = &a->notices;
    va_list args;
    lock_take(&n->lock);
    if (n->count < NOTICES_MAX) {
        char *text = n->text[(n->first + n->count++) % NOTICES_MAX];
        va_start(args, format);
        vsnprintf(text, API_NOTICE_BYTES, format, args);
        va_end(args);
    }
    lock_give(&n->lock);
}

bool api_next_notice(struct api *a, char out[API_NOTICE_BYTES])
{
    struct notices *n = &a->notices;
    lock_take(&n->lock);
    bool found = n->count > 0;
    if (found) {
        memcpy(out, n->text[n->first], API_NOTICE_BYTES);
        n->first = (n->first + 1) % NOTICES_MAX;
        n->count--;
    }
    lock_give(&n->lock);
    return found;
}

struct scratch *scratch_new(struct api *a)
{
    struct scratch *s = mem_array(1, sizeof *s);
    if (s) {
        s->api = a;
        tape_init_dry(&s->tape, a->kernels);
        scratch_count(s);
    }
    return s;
}

void scratch_free(struct scratch *s)
{
    if (!s)
        return;
    tape_close(&s->tape);
    atomic_fetch_sub(&s->api->workspaces, s->counted);
    mem_free(s);
}

void scratch_join(struct scratch *s, struct crew *crew, const atomic_size_t *waiting)
{
    s->tape.crew = crew;
    s->waiting = waiting;
}

void *scratch_workspace(struct scratch *s)
{
    struct err ignored;
    return scratch_equip(s, &ignored) == ERR_OK ? s->tape.workspace : NULL;
}

/* ---- what the daemon does on its own ------------------------------------------------------- */

/* Calls of api_due that wait for a worker; more of them wait for the next round. */
#define INTERNAL_MAX 1024
/* The allocator is asked to give back what is free when so much was freed, and at most once in so
 * long. */
#define FREED_BYTES ((size_t)16 << 20)
#define FREED_NS    INT64_C(1000000000)

/* NULL: no memory, or too many. */
static struct call *internal_new(struct api *a, const struct route *route)
{
    struct call *c = atomic_load(&a->internal) < INTERNAL_MAX ? call_new(a) : NULL;
    if (!c)
        return NULL;
    atomic_fetch_add(&a->internal, 1);
    c->internal = true;
    c->route = route;
    c->target = mem_array(1, STORE_ID_BYTES);
    c->param[0] = c->target;
    if (c->target)
        return c;
    call_free(c);
    return NULL;
}

static struct call *checkpoint_new(struct api *a)
{
    int64_t by = clock_ns() - a->config.checkpoint_seconds * 1000000000;
    struct call *c = internal_new(a, &route_checkpoint_due);
    if (c && registry_take_due(&a->registry, by, c->target))
        return c;
    call_free(c);
    return NULL;
}

static void give_back(struct api *a)
{
    int64_t now = clock_ns();
    if (now < a->give_back_at || atomic_load(&a->freed) < FREED_BYTES)
        return;
    atomic_store(&a->freed, 0);
    mem_trim();
    a->give_back_at = now + FREED_NS;
}

/* A round: first what is over the budget, then the checkpoints, at last the allocator. Without
 * memory for a call all of it stays due. */
struct call *api_due(struct api *a)
{
    jobs_wake(&a->jobs);
    bool over = !a->swept && registry_is_over(&a->registry);
    struct call *c = over ? internal_new(a, &route_put_away_due) : checkpoint_new(a);
    a->swept = c != NULL;
    if (!c)
        give_back(a);
    return c;
}

struct call *api_job_due(struct api *a)
{
    bool may_be = !atomic_load(&a->draining) && jobs_are_waiting(&a->jobs);
    struct call *c = may_be ? internal_new(a, &route_job_due) : NULL;
    if (c && call_take_turn(c))
        return c;
    call_free(c);
    return NULL;
}
