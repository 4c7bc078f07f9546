/* api/verify.c - is everything that the store holds sound? */
#include <stdio.h>
#include <string.h>

#include "api/call.h"
#include "api/replay.h"
#include "api/state.h"

struct verify {
    struct api *api;
    void (*tell)(void *arg, const char *line);
    void *arg;
    struct scratch *scratch; /* for all replays; NULL: each makes its own */
    int64_t models, checkpoints, steps, wrong;
};

static void complain(struct verify *v, const char *id, const char *what, const char *why)
{
    char line[1000];
    snprintf(line, sizeof line, "model \"%.64s\": %s%s", id, what, why);
    v->tell(v->arg, line);
    v->wrong++;
}

/* What is wrong with the data is told; what hinders the reading ends it. */
static enum err_kind judge(struct verify *v, const char *id, const char *what, enum err_kind rc,
                           const struct err *e)
{
    if (rc != ERR_IO || !store_is_healthy(v->api->store))
        return rc;
    complain(v, id, what, e->message);
    return ERR_OK;
}

/* Opening it replays its journal. */
static enum err_kind check_opening(struct verify *v, const struct store_model *m, struct err *e)
{
    struct session *s;
    enum err_kind rc = replay_model(v->api, m, v->scratch, &s, e);
    if (rc)
        return judge(v, m->id, "", rc, e);
    if (s->damage)
        complain(v, m->id, "", s->damage);
    v->steps += s->step;
    session_free(s);
    return ERR_OK;
}

static enum err_kind check_checkpoint(struct verify *v, const struct store_model *m,
                                      const struct store_place *p, struct err *e)
{
    struct store_checkpoint c;
    bool found, fallback;
    char what[64];
    enum err_kind rc =
        p->n ? store_load_checkpoint(v->api->store, m->key, p->n, &c, &found, &fallback, e)
             : store_load_automatic(v->api->store, m->key, p->serial, &c, e);
    store_checkpoint_close(&c);
    v->checkpoints++;
    snprintf(what, sizeof what, p->n ? "checkpoint %lld: " : "automatic checkpoint %lld: ",
             (long long)(p->n ? p->n : p->serial));
    return judge(v, m->id, what, rc, e);
}

static enum err_kind check_checkpoints(struct verify *v, const struct store_model *m, struct err *e)
{
    struct store_place *place;
    size_t count, listed;
    enum err_kind rc = store_list_places(v->api->store, m->key, &place, &count, e);
    for (size_t i = 0; !rc && i < count; i++)
        if (!place[i].is_change)
            rc = check_checkpoint(v, m, &place[i], e);
    mem_free(place);
    if (rc)
        return rc;
    /* what is damaged was left out of that list, but not of this */
    return judge(v, m->id, "",
                 store_list_checkpoints(v->api->store, m->key, INT64_MAX - 1, 0, NULL, &listed, e),
                 e);
}

static bool count_losses(void *arg, int64_t first, const double *loss, size_t count)
{
    (void)arg, (void)first, (void)loss, (void)count;
    return true;
}

static enum err_kind check_model(struct verify *v, const char *id, struct err *e)
{
    struct store_model m;
    enum err_kind rc = store_find_model(v->api->store, id, &m, e);
    if (rc)
        return judge(v, id, "", rc, e);
    v->models++;
    rc = check_opening(v, &m, e);
    if (!rc)
        rc = check_checkpoints(v, &m, e);
    if (!rc)
        rc = judge(v, id, "",
                   store_each_loss(v->api->store, m.key, 0, INT64_MAX, count_losses, NULL, e), e);
    mem_free((void *)m.spec);
    return rc;
}

static enum err_kind check_models(struct verify *v, struct err *e)
{
    char ids[64][STORE_ID_BYTES], after[STORE_ID_BYTES] = "";
    size_t count = 1;
    enum err_kind rc = ERR_OK;
    while (!rc && count > 0 &&
           !(rc = store_list_models(v->api->store, after, 64, ids, &count, e))) {
        for (size_t i = 0; !rc && i < count; i++)
            rc = check_model(v, ids[i], e);
        if (count > 0)
            memcpy(after, ids[count - 1], sizeof after);
    }
    return rc;
}

static enum err_kind check_jobs(struct verify *v, struct err *e)
{
    struct store_job job = {.n = 0};
    bool found = true;
    enum err_kind rc = ERR_OK;
    while (!rc && found) {
        rc = store_next_job(v->api->store, job.n, "", false, &job, &found, e);
        if (!rc)
            mem_free((void *)job.text);
        if (rc == ERR_IO && job.n > 0 && store_is_healthy(v->api->store)) {
            v->tell(v->arg, e->message);
            v->wrong++;
            rc = ERR_OK;
        }
    }
    return rc;
}

enum err_kind api_verify(struct api *a, void (*tell)(void *arg, const char *line), void *arg,
                         bool *sound, struct err *e)
{
    struct verify v = {.api = a, .tell = tell, .arg = arg, .scratch = scratch_new(a)};
    char line[200];
    int64_t answers;
    if (store_notice(a->store)[0]) /* which is among the api's notices */
        v.wrong++;
    enum err_kind rc = check_models(&v, e);
    if (!rc)
        rc = check_jobs(&v, e);
    scratch_free(v.scratch);
    if (!rc && (rc = store_check_answers(a->store, &answers, e)) == ERR_IO &&
        store_is_healthy(a->store)) {
        tell(arg, e->message);
        v.wrong++;
        rc = ERR_OK;
    }
    *sound = !rc && v.wrong == 0;
    if (rc)
        return rc;
    snprintf(line, sizeof line,
             "%lld models with %lld steps, %lld checkpoints, %lld answers: %lld things wrong",
             (long long)v.models, (long long)v.steps, (long long)v.checkpoints, (long long)answers,
             (long long)v.wrong);
    tell(arg, line);
    return ERR_OK;
}
