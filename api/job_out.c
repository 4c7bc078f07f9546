/* api/job_out.c - what is shown of a job. */
#include <math.h>
#include <string.h>

#include "api/handlers.h"
#include "api/jobs.h"
#include "api/state.h"

const char *const job_state_names[] = {
    [JOB_QUEUED] = "queued",       [JOB_RUNNING] = "running",   [JOB_DONE] = "done",
    [JOB_CANCELLED] = "cancelled", [JOB_DIVERGED] = "diverged", [JOB_FAILED] = "failed"};

static void key_number(struct json_out *w, const char *key, double x, bool known)
{
    json_key(w, key);
    if (known)
        json_f64(w, x);
    else
        json_null(w);
}

static void key_time(struct json_out *w, const char *key, int64_t millis)
{
    if (millis) {
        json_key_time(w, key, millis);
        return;
    }
    json_key(w, key);
    json_null(w);
}

/* Rows that are still to go through it, if it does not end early. */
static double rows_left(const struct job_view *v)
{
    double all = (double)v->plan.epochs * (double)v->plan.rows;
    return all - (double)v->place.epoch * (double)v->plan.rows - (double)v->place.position;
}

static void write_progress(struct json_out *w, const struct job_view *v)
{
    const struct fit_place *p = &v->place;
    bool validates = v->plan.rows > v->plan.train_rows, timed = v->seconds > 0;
    double speed = timed ? v->rows / v->seconds : 0;
    json_key_int(w, "epoch", p->epoch);
    json_key_int(w, "epochs", v->plan.epochs);
    json_key_int(w, "step", p->step);
    json_key_int(w, "steps", fit_plan_steps(&v->plan));
    key_number(w, "loss", p->loss, p->epoch > 0);
    key_number(w, "validation_loss", p->validation_loss, p->epoch > 0 && validates);
    key_number(w, "lr", p->lr, p->started_at > 0);
    json_key_bool(w, "stopped_early", p->stopped_early);
    key_number(w, "rows_per_second", round(speed), timed);
    key_number(w, "eta_seconds", round(rows_left(v) / speed * 10) / 10,
               v->state == JOB_RUNNING && timed && speed > 0);
}

void job_write(struct json_out *w, const struct job_view *v, int64_t finished_at,
               const struct json_out *problem)
{
    json_begin_object(w);
    json_key_int(w, "job", v->n);
    json_key_string(w, "model", v->model);
    json_key_string(w, "state", job_state_names[v->state]);
    write_progress(w, v);
    fit_plan_write(w, &v->plan);
    json_key_int(w, "rows", v->plan.train_rows);
    json_key_int(w, "validation_rows", v->plan.rows - v->plan.train_rows);
    key_time(w, "created_at", v->created_at);
    key_time(w, "started_at", v->place.started_at);
    key_time(w, "finished_at", finished_at);
    if (problem) {
        json_key(w, "problem");
        json_raw(w, problem->text, problem->bytes);
    }
    json_end_object(w);
}

static void tell(struct api *a, const struct job_view *v, int64_t finished_at)
{
    struct json_out w = {0};
    job_write(&w, v, finished_at, NULL);
    if (json_out_end(&w))
        events_job(a, v->model, v->n, w.text);
    json_out_close(&w);
}

void job_tell(struct api *a, int64_t n)
{
    struct job_view v;
    if (events_wanted(&a->events) && jobs_find(&a->jobs, n, &v))
        tell(a, &v, 0);
}

void job_tell_end(struct api *a, const struct job_view *v, enum job_state state)
{
    struct job_view ended = *v;
    ended.state = state;
    if (events_wanted(&a->events))
        tell(a, &ended, clock_millis());
}

const char *job_verdict(struct store_txn *txn, const struct job_view *v, enum job_state state)
{
    struct json_out w = {0};
    struct job_view ended = *v;
    char *text = NULL;
    ended.state = state;
    job_write(&w, &ended, clock_millis(), NULL);
    if (json_out_end(&w) && (text = store_txn_alloc(txn, w.bytes + 1)) != NULL)
        memcpy(text, w.text, w.bytes + 1);
    json_out_close(&w);
    return text;
}
