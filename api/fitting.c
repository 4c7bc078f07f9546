/* api/fitting.c - POST fit, and the slices in which the daemon does what it asks for. */
#include <math.h>
#include <string.h>

#include "api/fields.h"
#include "api/handlers.h"
#include "api/journal.h"
#include "api/problem.h"
#include "api/state.h"

/* ---- POST fit ------------------------------------------------------------------------------ */

/* The plan as the text that the store keeps, in memory of the transaction's. */
static const char *plan_text(struct store_txn *txn, const struct job_view *v)
{
    struct json_out w = {0};
    char *text = NULL;
    struct fit f = {.plan = v->plan, .place = v->place};
    f.place.lr = f.place.base_lr = 0; /* taken when it begins */
    fit_write(&w, &f, false);
    if (json_out_end(&w) && (text = store_txn_alloc(txn, w.bytes + 1)) != NULL)
        memcpy(text, w.text, w.bytes + 1);
    json_out_close(&w);
    return text;
}

/* The change before it must be there: it may have brought a batch. */
static enum err_kind keep_job(struct call *c, const struct job_view *v, struct err *e)
{
    struct session *s = c->session;
    struct store_txn *txn = store_txn_new(c->api->store);
    if (!txn)
        return err_set(e, ERR_NOMEM, "", "no memory for the job");
    struct store_job job = {.n = v->n, .text = plan_text(txn, v), .created_at = v->created_at};
    memcpy(job.id, s->id, sizeof job.id);
    store_require_change(txn, s->key, s->seq);
    store_insert_job(txn, &job);
    call_keep_answer(c, txn);
    if (s->spec.options.durability == DURABILITY_POWER)
        store_txn_sync(txn);
    return store_commit(txn, e);
}

enum err_kind post_fit(struct call *c, struct err *e)
{
    struct session *s = c->session;
    struct jobs *jobs = &c->api->jobs;
    struct fit_plan plan = {0};
    enum err_kind rc = fields_check(c->in.root, fit_plan_fields, e);
    if (!rc)
        rc = fit_plan_read(c->in.root, &plan, e);
    if (!rc)
        rc = fit_plan_data(&plan, s, e);
    if (!rc)
        rc = jobs_check_room(jobs, s->id, e);
    if (rc)
        return rc;
    plan.job = jobs_number(jobs);
    struct job *job = jobs_make(s->id, &plan, clock_millis());
    if (!job)
        return err_set(e, ERR_NOMEM, "", "no memory for the job");
    job->view.seen = true;
    call_location(c, "/jobs/%lld", (long long)plan.job);
    job_write(&c->out, &job->view, 0, NULL);
    rc = keep_job(c, &job->view, e);
    if (rc)
        jobs_drop(job);
    else
        jobs_add(jobs, job);
    if (!rc)
        job_tell(c->api, plan.job);
    return rc;
}

/* ---- a turn -------------------------------------------------------------------------------- */

/* What a slice is, from the moment its model has its turn until what it did is kept. */
struct turn {
    struct call *call;
    int64_t job;   /* that had it; 0: none yet */
    bool finishes; /* … and is over by it */
    struct fit_place place;
    int64_t began; /* ns */
    double rows;   /* that went through it */
    char *verdict; /* of one that is over; owned */
};

static struct turn *turn_of(const struct call *c)
{
    return c->state;
}

/* Runs when the change is kept, or could not be, or the call never ran. */
static void end_turn(void *state)
{
    struct turn *t = state;
    struct call *c = t->call;
    struct jobs *jobs = &c->api->jobs;
    bool failed = c->answer.status >= 400;
    bool kept = c->session && !atomic_load(&c->session->lost);
    if (t->job && kept)
        jobs_note(jobs, t->job, &t->place, t->began, t->rows);
    if (t->finishes && !failed) {
        jobs_remove(jobs, t->job);
        events_job(c->api, c->param[0], t->job, t->verdict);
    } else if (t->job && kept) {
        job_tell(c->api, t->job);
    }
    jobs_end_turn(jobs, c->param[0], failed);
    mem_free(t->verdict);
    mem_free(t);
}

bool call_take_turn(struct call *c)
{
    struct turn *t = mem_array(1, sizeof *t);
    if (!t || !jobs_take_turn(&c->api->jobs, c->target)) {
        mem_free(t);
        return false;
    }
    t->call = c;
    c->state = t;
    c->state_free = end_turn;
    return true;
}

static void show_fitting(struct session *s, bool fitting)
{
    if (s->fitting == fitting)
        return;
    pthread_rwlock_wrlock(&s->lock);
    s->fitting = fitting;
    pthread_rwlock_unlock(&s->lock);
}

/* ---- its end ------------------------------------------------------------------------------- */

/* The representation of a job that is over, owned; NULL: no memory.
 *   why  what was wrong; kind OK: nothing */
static char *make_verdict(struct call *c, const struct job_view *v, const struct err *why)
{
    struct json_out w = {0}, problem = {0};
    struct job_view ended = *v;
    ended.state = !why->kind ? JOB_DONE : why->kind == ERR_DIVERGED ? JOB_DIVERGED : JOB_FAILED;
    if (why->kind)
        problem_write(&problem, why, c->extra.bytes ? &c->extra : NULL);
    bool whole = !why->kind || json_out_end(&problem);
    job_write(&w, &ended, clock_millis(), whole && why->kind ? &problem : NULL);
    char *text = whole && json_out_end(&w) ? json_out_take(&w, &(size_t){0}) : NULL;
    json_out_close(&problem);
    json_out_close(&w);
    json_out_close(&c->extra);
    return text;
}

/* Of a job that no slice can go on with. */
static enum err_kind fail_job(struct call *c, const struct job_view *v, const struct err *why,
                              struct err *e)
{
    struct store_txn *txn = store_txn_new(c->api->store);
    char *text = make_verdict(c, v, why);
    enum err_kind rc = txn && text ? ERR_OK : err_set(e, ERR_NOMEM, "", "no memory for the job");
    if (rc) {
        store_txn_drop(txn);
    } else {
        store_finish_job(txn, v->n, text);
        rc = store_commit(txn, e);
    }
    turn_of(c)->verdict = text;
    turn_of(c)->job = v->n;
    turn_of(c)->place = v->place;
    turn_of(c)->finishes = !rc;
    return rc;
}

/* ---- keeping ------------------------------------------------------------------------------- */

/* Without a journal the end of a job is a checkpoint. */
static enum err_kind keep_unjournaled(struct call *c, struct err *e)
{
    struct session *s = c->session;
    struct save save = {
        .created_at = clock_millis(), .job = s->fit->plan.job, .verdict = s->fit->verdict};
    if (s->fit->verdict)
        return session_save(s, &save, e);
    session_note_change(s);
    if (s->steps_unsaved >= c->api->config.checkpoint_steps)
        session_checkpoint(s);
    return ERR_OK;
}

static enum err_kind keep_journaled(struct call *c, const struct change *change, struct err *e)
{
    struct fit *f = c->session->fit;
    enum err_kind rc = call_keep_change(c, change, e);
    if (rc || !f->verdict)
        return rc;
    size_t bytes = strlen(f->verdict) + 1;
    char *text = store_txn_alloc(c->txn, bytes);
    if (text)
        store_finish_job(c->txn, f->plan.job, memcpy(text, f->verdict, bytes));
    return ERR_OK;
}

/* One that is over leaves its model. */
static enum err_kind keep(struct call *c, const struct change *change, struct err *e)
{
    struct session *s = c->session;
    bool finishes = s->fit->verdict != NULL;
    if (finishes)
        show_fitting(s, false);
    enum err_kind rc =
        session_is_journaled(s) ? keep_journaled(c, change, e) : keep_unjournaled(c, e);
    if (rc || !finishes)
        return rc;
    turn_of(c)->verdict = s->fit->verdict;
    s->fit->verdict = NULL;
    fit_free(s->fit);
    s->fit = NULL;
    turn_of(c)->finishes = true;
    return ERR_OK;
}

/* ---- a slice ------------------------------------------------------------------------------- */

static enum err_kind act(struct call *c, struct fit *f, bool last, struct err *e)
{
    struct session *s = c->session;
    struct step_result r;
    enum step_end end = !last && fit_goes_on(f)   ? STEP_GOES_ON
                        : session_is_journaled(s) ? STEP_DIGESTED
                                                  : STEP_ENDS;
    enum err_kind rc = fit_ready(s, f, e);
    if (rc)
        return rc;
    if (!fit_is_training(f))
        return fit_validate(s, f, c->scratch, e);
    rc = fit_step(s, f, c->scratch, end, &r, e);
    if (rc == ERR_DIVERGED)
        call_tell_divergence(c, f->mini, &r);
    return rc;
}

/* At least one step, or some rows of a validation, however short the slice. */
static enum err_kind run(struct call *c, struct fit *f, struct err *e)
{
    enum err_kind rc = ERR_OK;
    for (bool last = false; !rc && !last && !f->place.ended;) {
        last = call_slice_is_over(c);
        rc = act(c, f, last, e);
        if (!rc && fit_epoch_is_over(f))
            fit_end_epoch(c->session, f);
    }
    return rc;
}

static double rows_through(const struct fit *f)
{
    return (double)f->place.epoch * (double)f->plan.rows + (double)f->place.position;
}

/* The job as it is after the slice. */
static struct job_view view_of(const struct call *c, const struct job_view *before)
{
    const struct turn *t = turn_of(c);
    struct job_view v = *before;
    v.place = t->place;
    v.rows += t->rows;
    v.seconds += (double)(clock_ns() - t->began) / 1e9;
    return v;
}

/* The job's end and the change that led to it are one: the slice is made once more, or, where no
 * journal can bring its model back, its verdict. */
static enum err_kind lose_end(struct session *s, struct err *e)
{
    if (session_is_journaled(s))
        session_lose(s);
    else
        session_note_change(s);
    return err_set(e, ERR_NOMEM, "", "no memory for what came of the job");
}

/* For lack of memory nothing was done, and there were no gradients to lose: it is as if the turn
 * had not been. */
static enum err_kind give_up(struct call *c, const struct err *why, struct err *e)
{
    struct session *s = c->session;
    const struct fit_place *p = &s->fit->place;
    turn_of(c)->job = 0;
    if (p->epoch == 0 && p->position == 0) {
        fit_free(s->fit);
        s->fit = NULL;
    }
    *e = *why;
    return e->kind;
}

/* A lack of memory may pass, and is told when what was done before it is kept; anything else that
 * goes wrong is the job's end. */
static enum err_kind run_slice(struct call *c, struct fit *f, const struct job_view *before,
                               struct err *e)
{
    struct session *s = c->session;
    struct turn *t = turn_of(c);
    struct err why = {.kind = ERR_OK};
    int64_t first = f->place.step;
    double rows = rows_through(f);
    bool had_gradients = s->accumulated > 0;
    t->job = f->plan.job;
    t->began = clock_ns();
    enum err_kind rc = run(c, f, &why);
    bool cleared = rc && fit_is_training(f); /* as after any step that failed */
    if (cleared)
        session_zero_grad(s);
    f->place.lr = s->sgd.options.lr;
    t->place = f->place;
    t->rows = rows_through(f) - rows;
    if (rc == ERR_NOMEM && !(t->rows > 0) && !(cleared && had_gradients))
        return give_up(c, &why, e);
    if (f->place.ended || (rc && rc != ERR_NOMEM)) {
        struct job_view v = view_of(c, before);
        f->verdict = make_verdict(c, &v, &why);
        if (!f->verdict)
            return lose_end(s, e);
    }
    int64_t steps = f->place.step - first;
    struct change change = {.kind = CHANGE_FIT,
                            .steps = steps,
                            .loss = steps ? s->tail + (s->tail_count - (size_t)steps) : NULL,
                            .cleared = cleared,
                            .work_ns = clock_ns() - t->began};
    rc = keep(c, &change, e);
    if (rc || why.kind != ERR_NOMEM)
        return rc;
    *e = why;
    return e->kind;
}

/* The model's job, begun if it is not; NULL: it cannot be. */
static enum err_kind find_fit(struct session *s, const struct job_view *v, struct fit **out,
                              struct err *e)
{
    enum err_kind rc = ERR_OK;
    if (!s->fit || s->fit->plan.job != v->n)
        rc = fit_begin(s, &v->plan, e);
    *out = s->fit;
    return rc;
}

/* Why the model cannot be trained, if that will not pass. */
static bool is_lost(struct call *c, enum err_kind rc, struct err *why)
{
    const struct session *s = c->session;
    if (rc)
        return rc == ERR_NOT_FOUND || (rc == ERR_IO && store_is_healthy(c->api->store));
    if (!s->damage)
        return false;
    err_set(why, ERR_CONFLICT, "", "the model is damaged: %s", s->damage);
    return true;
}

enum err_kind job_due(struct call *c, struct err *e)
{
    struct api *a = c->api;
    struct job_view v;
    struct fit *f;
    if (atomic_load(&a->draining) || !jobs_first(&a->jobs, c->param[0], &v))
        return ERR_OK;
    enum err_kind rc = registry_get(&a->registry, c->param[0], c->scratch, &c->session, e);
    struct err why = *e;
    if (is_lost(c, rc, &why))
        return fail_job(c, &v, &why, e);
    if (!rc)
        rc = find_fit(c->session, &v, &f, e);
    if (rc)
        return rc;
    show_fitting(c->session, true);
    if (!f->verdict)
        return run_slice(c, f, &v, e);
    turn_of(c)->job = v.n; /* a slice before could not be kept */
    turn_of(c)->place = f->place;
    return keep(c, &(struct change){.kind = CHANGE_FIT}, e);
}
