/* api/job_calls.c - jobs as clients see them: listing, looking, cancelling. */
#include <string.h>

#include "api/fields.h"
#include "api/handlers.h"
#include "api/state.h"

static enum err_kind no_job(int64_t n, struct err *e)
{
    return err_set(e, ERR_NOT_FOUND, "", "there is no job %lld", (long long)n);
}

/* How far a job is belongs to its model's state, which is not in memory before somebody asks for
 * the model after a start. */
static void look_at_model(struct call *c, const char *id)
{
    struct session *s;
    struct err ignored;
    if (registry_get(&c->api->registry, id, c->scratch, &s, &ignored) == ERR_OK)
        registry_let_go(&c->api->registry, s);
}

/* false: it is not among those that are not finished. */
static bool write_unfinished(struct call *c, int64_t n)
{
    struct job_view v;
    bool found = jobs_find(&c->api->jobs, n, &v);
    if (found && !v.seen) {
        look_at_model(c, v.model);
        found = jobs_find(&c->api->jobs, n, &v);
    }
    if (found)
        job_write(&c->out, &v, 0, NULL);
    return found;
}

enum err_kind get_job(struct call *c, struct err *e)
{
    struct store_job job;
    bool found;
    int64_t n;
    enum err_kind rc = call_param_int(c, 0, &n, e);
    if (rc || write_unfinished(c, n))
        return rc;
    rc = store_find_job(c->api->store, n, &job, &found, e);
    if (!rc && !found)
        rc = no_job(n, e);
    if (!rc && !job.finished)
        rc = err_set(e, ERR_IO, "", "job %lld cannot be read", (long long)n);
    if (!rc)
        json_raw(&c->out, job.text, strlen(job.text));
    mem_free((void *)job.text);
    return rc;
}

/* One that is neither finished nor known is only just coming, or cannot be read. */
static bool write_listed(struct call *c, const struct store_job *job)
{
    if (!job->finished)
        return write_unfinished(c, job->n);
    json_raw(&c->out, job->text, strlen(job->text));
    return true;
}

enum err_kind get_jobs(struct call *c, struct err *e)
{
    struct store_job job;
    const char *model = call_query(c, "model");
    int64_t limit, after, written = 0, last = 0;
    bool found = true, more = false;
    enum err_kind rc = call_limit(c, &limit, e);
    if (!rc)
        rc = call_query_int(c, "after", 0, INT64_MAX, 0, &after, e);
    if (!rc && model && !is_id(model))
        rc = err_set(e, ERR_MALFORMED, "", "?model must be a model's id");
    json_begin_object(&c->out);
    json_key(&c->out, "jobs");
    json_begin_array(&c->out);
    while (!rc && found && !more) {
        rc = store_next_job(c->api->store, after, model ? model : "", false, &job, &found, e);
        if (rc || !found)
            break;
        after = job.n;
        more = written == limit;
        if (!more && write_listed(c, &job)) {
            written++;
            last = job.n;
        }
        mem_free((void *)job.text);
    }
    json_end_array(&c->out);
    if (more)
        json_key_int(&c->out, "next", last);
    json_end_object(&c->out);
    return rc;
}

/* ---- DELETE -------------------------------------------------------------------------------- */

/* The session, if it can be had, goes on without the job. */
static void stop_fitting(struct session *s, int64_t n)
{
    if (!s || !s->fit || s->fit->plan.job != n)
        return;
    pthread_rwlock_wrlock(&s->lock);
    fit_free(s->fit);
    s->fit = NULL;
    s->fitting = false;
    pthread_rwlock_unlock(&s->lock);
}

/* In the line of its model: no slice of it is under way. */
static enum err_kind cancel(struct call *c, const struct job_view *v, struct store_txn *txn,
                            struct err *e)
{
    struct err ignored;
    if (strcmp(v->model, c->line) != 0) { /* it came while we did */
        store_txn_drop(txn);
        return err_set(e, ERR_UNAVAILABLE, "", "job %lld is only just coming", (long long)v->n);
    }
    if (registry_get(&c->api->registry, v->model, c->scratch, &c->session, &ignored) != ERR_OK)
        c->session = NULL;
    store_finish_job(txn, v->n, job_verdict(txn, v, JOB_CANCELLED));
    if (c->session && c->session->spec.options.durability == DURABILITY_POWER)
        store_txn_sync(txn);
    enum err_kind rc = store_commit(txn, e);
    if (rc)
        return rc;
    stop_fitting(c->session, v->n);
    job_tell_end(c->api, v, JOB_CANCELLED);
    jobs_remove(&c->api->jobs, v->n);
    return ERR_OK;
}

enum err_kind delete_job(struct call *c, struct err *e)
{
    struct job_view v;
    int64_t n;
    enum err_kind rc = call_param_int(c, 0, &n, e);
    struct store_txn *txn = rc ? NULL : store_txn_new(c->api->store);
    if (!rc && !txn)
        rc = err_set(e, ERR_NOMEM, "", "no memory to end the job");
    if (rc)
        return rc;
    if (jobs_find(&c->api->jobs, n, &v))
        return cancel(c, &v, txn, e);
    store_delete_job(txn, n);
    return store_commit(txn, e);
}
