#include "api/jobs.h"

#include <math.h>
#include <string.h>

#include "api/call.h"
#include "api/state.h"
#include "engine/mem.h"

/* ---- who is there -------------------------------------------------------------------------- */

/* FNV-1a */
static struct model_jobs **place_of_locked(struct jobs *j, const char *id) REQUIRES(j->lock)
{
    uint64_t h = 14695981039346656037u;
    for (const char *c = id; *c; c++)
        h = (h ^ (unsigned char)*c) * 1099511628211u;
    struct model_jobs **at = &j->model[h % JOBS_BUCKETS];
    while (*at && strcmp((*at)->id, id) != 0)
        at = &(*at)->namesake;
    return at;
}

static struct job **job_of_locked(struct jobs *j, int64_t n) REQUIRES(j->lock)
{
    struct job **at = &j->job[(uint64_t)n % JOBS_BUCKETS];
    while (*at && (*at)->view.n != n)
        at = &(*at)->namesake;
    return at;
}

static void push_locked(struct jobs *j, struct jobs_list *list, struct model_jobs *m)
    REQUIRES(j->lock)
{
    (void)j;
    m->next = NULL;
    *(list->first ? &list->last->next : &list->first) = m;
    list->last = m;
}

static struct model_jobs *pop_locked(struct jobs *j, struct jobs_list *list) REQUIRES(j->lock)
{
    (void)j;
    struct model_jobs *m = list->first;
    if (m)
        list->first = m->next;
    return m;
}

/* Takes it out of whichever list it is in. */
static void unlist_locked(struct jobs *j, struct jobs_list *list, const struct model_jobs *m)
    REQUIRES(j->lock)
{
    (void)j;
    struct model_jobs *before = NULL;
    struct model_jobs **at = &list->first;
    while (*at && *at != m) {
        before = *at;
        at = &before->next;
    }
    if (!*at)
        return;
    *at = m->next;
    if (list->last == m)
        list->last = before;
}

/* Of a model without jobs that no slice is under way for. */
static void free_model_locked(struct jobs *j, struct model_jobs *m) REQUIRES(j->lock)
{
    *place_of_locked(j, m->id) = m->namesake;
    j->bytes -= mem_size(m);
    mem_free(m);
}

/* ---- coming and going ---------------------------------------------------------------------- */

int64_t jobs_number(struct jobs *j)
{
    lock_take(&j->lock);
    int64_t n = ++j->last;
    lock_give(&j->lock);
    return n;
}

struct job *jobs_make(const char *model, const struct fit_plan *plan, int64_t created_at)
{
    size_t bytes = strlen(model) + 1;
    struct job *job = mem_array(1, sizeof *job);
    struct model_jobs *m = mem_array(1, sizeof *m + bytes);
    if (!job || !m) {
        mem_free(job);
        mem_free(m);
        return NULL;
    }
    job->view =
        (struct job_view){.n = plan->job,
                          .created_at = created_at,
                          .plan = *plan,
                          .place = {.loss = NAN, .validation_loss = NAN, .best = NAN, .lr = NAN}};
    mem_fit(job->view.model, sizeof job->view.model, model);
    memcpy(m->id, model, bytes);
    job->spare = m;
    return job;
}

void jobs_drop(struct job *job)
{
    if (job)
        mem_free(job->spare);
    mem_free(job);
}

enum err_kind jobs_check_room(struct jobs *j, const char *model, struct err *e)
{
    lock_take(&j->lock);
    const struct model_jobs *m = *place_of_locked(j, model);
    size_t own = m ? m->count : 0, all = j->count;
    lock_give(&j->lock);
    if (own >= JOBS_OF_A_MODEL)
        return err_set(e, ERR_BUSY, "", "%zu jobs of this model wait already", own);
    return all >= JOBS_MAX ? err_set(e, ERR_UNAVAILABLE, "", "%zu jobs wait already", all) : ERR_OK;
}

/* That of its model, which is the job's spare one if there is none. */
static struct model_jobs *model_of_locked(struct jobs *j, struct job *job) REQUIRES(j->lock)
{
    struct model_jobs **place = place_of_locked(j, job->view.model), *m = job->spare;
    job->spare = NULL;
    if (*place) {
        mem_free(m);
        return *place;
    }
    j->bytes += mem_size(m);
    *place = m;
    push_locked(j, &j->queue, m);
    return m;
}

void jobs_add(struct jobs *j, struct job *job)
{
    lock_take(&j->lock);
    struct model_jobs *m = model_of_locked(j, job);
    struct job **at = &m->first;
    while (*at)
        at = &(*at)->later;
    *at = job;
    job->model = m;
    *job_of_locked(j, job->view.n) = job;
    m->count++;
    j->count++;
    j->bytes += mem_size(job);
    lock_give(&j->lock);
}

static void remove_locked(struct jobs *j, struct job *job) REQUIRES(j->lock)
{
    struct model_jobs *m = job->model;
    struct job **at = &m->first;
    while (*at != job)
        at = &(*at)->later;
    *at = job->later;
    *job_of_locked(j, job->view.n) = job->namesake;
    m->count--;
    j->count--;
    j->bytes -= mem_size(job);
    mem_free(job);
    if (m->count || m->has_turn)
        return;
    unlist_locked(j, &j->queue, m);
    unlist_locked(j, &j->resting, m);
    free_model_locked(j, m);
}

void jobs_remove(struct jobs *j, int64_t n)
{
    lock_take(&j->lock);
    struct job *job = *job_of_locked(j, n);
    if (job)
        remove_locked(j, job);
    lock_give(&j->lock);
}

/* ---- life ---------------------------------------------------------------------------------- */

static enum err_kind add_stored(struct api *a, const struct store_job *stored, struct err *e)
{
    struct fit f;
    enum err_kind rc = fit_read_text(stored->text, &f, e);
    if (rc == ERR_NOMEM)
        return rc;
    if (rc) {
        api_notice(a, "job %lld: %s", (long long)stored->n, e->message);
        return ERR_OK;
    }
    struct job *job = jobs_make(stored->id, &f.plan, stored->created_at);
    if (!job)
        return err_set(e, ERR_NOMEM, "", "no memory for the jobs");
    jobs_add(&a->jobs, job);
    return ERR_OK;
}

enum err_kind jobs_open(struct api *a, struct err *e)
{
    struct store_job stored = {.n = 0};
    bool found = true;
    enum err_kind rc = store_last_job(a->store, &a->jobs.last, e);
    lock_init(&a->jobs.lock);
    while (!rc && found) {
        rc = store_next_job(a->store, stored.n, "", true, &stored, &found, e);
        if (rc == ERR_IO && stored.n > 0 && store_is_healthy(a->store)) {
            api_notice(a, "%s", e->message);
            rc = ERR_OK;
        } else if (!rc && found) {
            rc = add_stored(a, &stored, e);
            mem_free((void *)stored.text);
        }
    }
    return rc;
}

void jobs_close(struct jobs *j) UNCHECKED_LOCKS
{
    for (size_t i = 0; i < JOBS_BUCKETS; i++) {
        for (struct model_jobs *m = j->model[i], *next; m; m = next) {
            for (struct job *job = m->first, *later; job; job = later) {
                later = job->later;
                mem_free(job);
            }
            next = m->namesake;
            mem_free(m);
        }
    }
    lock_close(&j->lock);
}

/* ---- looking ------------------------------------------------------------------------------- */

static void view_locked(struct jobs *j, const struct job *job, struct job_view *out)
    REQUIRES(j->lock)
{
    (void)j;
    *out = job->view;
    out->state = job->begun ? JOB_RUNNING : JOB_QUEUED;
    out->seconds = (double)(job->ran - job->began) / 1e9;
}

bool jobs_find(struct jobs *j, int64_t n, struct job_view *out)
{
    lock_take(&j->lock);
    const struct job *job = *job_of_locked(j, n);
    if (job)
        view_locked(j, job, out);
    lock_give(&j->lock);
    return job != NULL;
}

bool jobs_at(struct jobs *j, const char *model, size_t place, struct job_view *out)
{
    lock_take(&j->lock);
    const struct model_jobs *m = *place_of_locked(j, model);
    const struct job *job = m ? m->first : NULL;
    for (; job && place > 0; place--)
        job = job->later;
    if (job)
        view_locked(j, job, out);
    lock_give(&j->lock);
    return job != NULL;
}

bool jobs_first(struct jobs *j, const char *model, struct job_view *out)
{
    return jobs_at(j, model, 0, out);
}

int64_t jobs_using(struct jobs *j, const char *model, int64_t batch)
{
    struct job_view v;
    for (size_t i = 0; jobs_at(j, model, i, &v); i++)
        if (batch <= v.plan.last_batch)
            return v.n;
    return 0;
}

void jobs_note(struct jobs *j, int64_t n, const struct fit_place *place, int64_t began, double rows)
{
    int64_t now = clock_ns();
    lock_take(&j->lock);
    struct job *job = *job_of_locked(j, n);
    if (job) {
        job->view.place = *place;
        job->view.rows += rows;
        job->view.seen = true;
        job->began = job->begun ? job->began : began;
        job->ran = now;
        job->begun = true;
    }
    lock_give(&j->lock);
}

void jobs_note_loaded(struct jobs *j, struct session *s)
{
    lock_take(&j->lock);
    struct job *job = s->fit ? *job_of_locked(j, s->fit->plan.job) : NULL;
    const struct model_jobs *m = *place_of_locked(j, s->id);
    if (job)
        job->view.place = s->fit->place;
    s->fitting = job != NULL;
    for (struct job *each = m ? m->first : NULL; each; each = each->later)
        each->view.seen = true;
    lock_give(&j->lock);
    if (job)
        return;
    fit_free(s->fit);
    s->fit = NULL;
}

struct jobs_stats jobs_stats(struct jobs *j)
{
    struct jobs_stats s = {0};
    lock_take(&j->lock);
    for (size_t i = 0; i < JOBS_BUCKETS; i++)
        for (const struct model_jobs *m = j->model[i]; m; m = m->namesake)
            s.running += m->first && m->first->begun;
    s.queued = j->count - s.running;
    s.bytes = j->bytes;
    lock_give(&j->lock);
    return s;
}

/* ---- turns --------------------------------------------------------------------------------- */

bool jobs_are_waiting(struct jobs *j)
{
    lock_take(&j->lock);
    bool waiting = j->queue.first && j->turns < JOBS_AT_A_TIME;
    lock_give(&j->lock);
    return waiting;
}

bool jobs_take_turn(struct jobs *j, char id[STORE_ID_BYTES])
{
    lock_take(&j->lock);
    struct model_jobs *m = j->turns < JOBS_AT_A_TIME ? pop_locked(j, &j->queue) : NULL;
    if (m) {
        m->has_turn = true;
        j->turns++;
        memcpy(id, m->id, strlen(m->id) + 1);
    }
    lock_give(&j->lock);
    return m != NULL;
}

void jobs_end_turn(struct jobs *j, const char *id, bool rests)
{
    lock_take(&j->lock);
    struct model_jobs *m = *place_of_locked(j, id);
    m->has_turn = false;
    j->turns--;
    if (m->count == 0)
        free_model_locked(j, m);
    else
        push_locked(j, rests ? &j->resting : &j->queue, m);
    lock_give(&j->lock);
}

void jobs_wake(struct jobs *j)
{
    struct model_jobs *m;
    lock_take(&j->lock);
    while ((m = pop_locked(j, &j->resting)) != NULL)
        push_locked(j, &j->queue, m);
    lock_give(&j->lock);
}
