/* api/training.c - step, backward, zero_grad, optimizer/step. */
#include <math.h>

#include "api/fields.h"
#include "api/handlers.h"
#include "api/state.h"
#include "engine/train.h"

#define STEPS_MAX 1000000

/* ---- which data ---------------------------------------------------------------------------- */

/* The data of a training call: a pushed batch by number, inline, or the pushed ones in turn. */
struct data {
    struct batch *inline_batch; /* owned */
    int64_t number;             /* 0: not by number */
};

static enum err_kind data_read(struct call *c, struct data *d, struct err *e)
{
    const cJSON *root = c->in.root;
    struct batch_rules rules = session_rules(c->session);
    bool is_inline = field_find(root, "inputs") || field_find(root, "targets");
    enum err_kind rc = field_int(root, "batch", OPTIONAL, 1, INT64_MAX, &d->number, e);
    if (rc)
        return rc;
    if (is_inline && d->number)
        return err_set(e, ERR_INVALID, "/batch", "give a batch's number or inputs, not both");
    if (is_inline)
        return batch_read(&c->in, root, &rules, TARGETS_REQUIRED, &d->inline_batch, e);
    if (d->number && !session_find_batch(c->session, d->number))
        return err_set(e, ERR_INVALID, "/batch", "there is no batch %lld", (long long)d->number);
    if (!d->number && c->session->batches == 0)
        return err_set(e, ERR_CONFLICT, "",
                       "the model has no batches: push one, or give inputs and targets");
    return ERR_OK;
}

/* The batch of the next step. The line is ours: a batch that was there at the start still is. */
static const struct batch *data_next(struct session *s, const struct data *d)
{
    if (d->inline_batch)
        return d->inline_batch;
    return d->number ? session_find_batch(s, d->number) : session_next_batch(s);
}

/* ---- answers ------------------------------------------------------------------------------- */

static void key_loss(struct json_out *w, const struct session *s, const struct step_result *r)
{
    json_key_real(w, "loss", r->dtype, r->loss);
    json_key_string(w, "reduction", loss_reduction(&s->spec.loss));
}

static void key_batch(struct json_out *w, int64_t n)
{
    json_key(w, "batch");
    if (n)
        json_int(w, n);
    else
        json_null(w);
}

/* The further members of /problems/diverged. Curvature that cannot be had leaves null. */
static void tell_divergence(struct call *c, const struct batch *b, const struct step_result *r)
{
    struct session *s = c->session;
    struct json_out *w = call_extra(c);
    double lambda = 0;
    struct err ignored;
    if (b && train_curvature(s->module, &s->spec.loss, &c->scratch->tape, &b->x, &b->y, &lambda,
                             &ignored) != ERR_OK)
        lambda = 0;
    json_key_int(w, "step", s->step);
    key_loss(w, s, r);
    json_key_f64(w, "lr", s->sgd.options.lr);
    json_key(w, "max_stable_lr");
    if (lambda > 0)
        json_f64(w, 2 / lambda);
    else
        json_null(w);
}

/* ---- POST step ----------------------------------------------------------------------------- */

/* A step call between its slices. */
struct steps {
    struct data data;
    int64_t wanted, done;
    int64_t batch; /* number of the last one used */
    struct step_result last;
    double *losses; /* of the steps done; NULL if only one is wanted */
};

static void steps_free(void *state)
{
    struct steps *t = state;
    batch_free(t->data.inline_batch);
    mem_free(t->losses);
    mem_free(t);
}

static enum err_kind steps_read(struct call *c, struct err *e)
{
    static const char *const names[] = {"steps", "batch", "inputs", "targets", NULL};
    struct steps *t = mem_array(1, sizeof *t);
    if (!t)
        return err_set(e, ERR_NOMEM, "", "no memory for the call");
    c->state = t;
    c->state_free = steps_free;
    t->wanted = 1;
    enum err_kind rc = fields_check(c->in.root, names, e);
    if (!rc)
        rc = field_int(c->in.root, "steps", OPTIONAL, 1, STEPS_MAX, &t->wanted, e);
    if (!rc)
        rc = data_read(c, &t->data, e);
    if (!rc && t->wanted > 1) {
        t->losses = mem_array((size_t)t->wanted, sizeof *t->losses);
        if (!t->losses)
            rc = err_set(e, ERR_NOMEM, "", "no memory for the losses");
    }
    return rc;
}

static void steps_write(struct call *c, const struct steps *t)
{
    struct session *s = c->session;
    struct json_out *w = &c->out;
    json_begin_object(w);
    json_key_int(w, "step", s->step);
    key_loss(w, s, &t->last);
    json_key_f64(w, "grad_norm", t->last.grad_norm);
    json_key_f64(w, "lr", s->sgd.options.lr);
    key_batch(w, t->batch);
    if (t->losses) {
        json_key(w, "losses");
        json_begin_array(w);
        for (int64_t i = 0; i < t->done; i++)
            json_real(w, t->last.dtype, t->losses[i]);
        json_end_array(w);
    }
    json_end_object(w);
}

static enum err_kind one_step(struct call *c, struct steps *t, struct err *e)
{
    int64_t cursor = c->session->cursor;
    const struct batch *b = data_next(c->session, &t->data);
    enum err_kind rc = session_step(c->session, c->scratch, b, &t->last, e);
    if (rc == ERR_DIVERGED)
        tell_divergence(c, b, &t->last);
    if (rc) {
        c->session->cursor = cursor; /* a step that was not made used no batch */
        return rc;
    }
    if (t->losses)
        t->losses[t->done] = t->last.loss;
    t->batch = b->n;
    t->done++;
    return ERR_OK;
}

/* Steps until all are done or the slice is over. At least one, however short the slice. */
static enum err_kind run_slice(struct call *c, struct steps *t, struct err *e)
{
    do {
        enum err_kind rc = one_step(c, t, e);
        if (rc)
            return rc;
    } while (t->done < t->wanted && !call_slice_is_over(c));
    return ERR_OK;
}

enum err_kind post_step(struct call *c, struct err *e)
{
    enum err_kind rc = c->state ? ERR_OK : steps_read(c, e);
    struct steps *t = c->state;
    if (!rc && t->done && atomic_load(&c->api->draining))
        rc = err_set(e, ERR_UNAVAILABLE, "", "the daemon is shutting down: %lld of %lld steps done",
                     (long long)t->done, (long long)t->wanted);
    else if (!rc)
        rc = run_slice(c, t, e);
    c->again = !rc && t->done < t->wanted;
    if (t && t->wanted > 1 && rc && t->done) {
        c->error_had_effect = true;
        json_key_int(call_extra(c), "steps_done", t->done);
        if (rc == ERR_UNAVAILABLE)
            json_key_int(call_extra(c), "step", c->session->step);
    }
    if (c->session->training != c->again)
        session_set_training(c->session, c->again);
    if (c->session->steps_unsaved >= c->api->config.checkpoint_steps)
        session_checkpoint(c->session);
    if (!rc && !c->again)
        steps_write(c, t);
    return rc;
}

/* ---- POST backward, zero_grad, optimizer/step ---------------------------------------------- */

enum err_kind post_backward(struct call *c, struct err *e)
{
    static const char *const names[] = {"batch", "inputs", "targets", "input_gradients", NULL};
    struct session *s = c->session;
    struct data data = {NULL, 0};
    struct step_result r;
    struct tensor *dx = NULL;
    bool want_dx = false;
    int64_t cursor = s->cursor;
    enum err_kind rc = fields_check(c->in.root, names, e);
    if (!rc)
        rc = field_bool(c->in.root, "input_gradients", OPTIONAL, &want_dx, e);
    if (!rc)
        rc = data_read(c, &data, e);
    const struct batch *b = rc ? NULL : data_next(s, &data);
    if (!rc)
        rc = session_backward(s, c->scratch, b, &r, want_dx ? &dx : NULL, e);
    if (rc == ERR_DIVERGED)
        tell_divergence(c, b, &r);
    if (!rc) {
        struct json_out *w = &c->out;
        json_begin_object(w);
        key_loss(w, s, &r);
        json_key_f64(w, "grad_norm", r.grad_norm);
        json_key_int(w, "accumulated", s->accumulated);
        key_batch(w, b->n);
        if (want_dx) {
            json_key(w, "input_gradients");
            if (dx)
                tensor_write(w, dx);
            else /* a program that does not look at them */
                json_null(w);
        }
        json_end_object(w);
    }
    if (rc)
        s->cursor = cursor;
    batch_free(data.inline_batch);
    return rc;
}

static const char *const no_fields[] = {NULL};

enum err_kind post_zero_grad(struct call *c, struct err *e)
{
    struct session *s = c->session;
    enum err_kind rc = fields_check(c->in.root, no_fields, e);
    if (rc)
        return rc;
    session_begin_change(s);
    session_zero_grad(s);
    session_end_change(s);
    json_begin_object(&c->out);
    json_key_int(&c->out, "step", s->step);
    json_key_int(&c->out, "accumulated", s->accumulated);
    json_end_object(&c->out);
    return ERR_OK;
}

enum err_kind post_optimizer_step(struct call *c, struct err *e)
{
    struct session *s = c->session;
    struct json_out *w = &c->out;
    struct step_result r;
    enum err_kind rc = fields_check(c->in.root, no_fields, e);
    if (!rc)
        rc = session_apply(s, &r, e);
    if (rc == ERR_DIVERGED)
        tell_divergence(c, NULL, &r);
    if (rc)
        return rc;
    json_begin_object(w);
    json_key_int(w, "step", s->step);
    key_loss(w, s, &r);
    json_key_f64(w, "grad_norm", r.grad_norm);
    json_key_f64(w, "lr", s->sgd.options.lr);
    json_end_object(w);
    return ERR_OK;
}
