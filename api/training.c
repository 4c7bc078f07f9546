/* api/training.c - step, backward, zero_grad, optimizer/step. */
#include <math.h>

#include "api/fields.h"
#include "api/handlers.h"
#include "api/journal.h"
#include "api/problem.h"
#include "api/safetensors.h"
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
    bool is_inline = call_is_binary(c) || field_find(root, "inputs") || field_find(root, "targets");
    c->session->data_of = NULL; /* an earlier call's data may have stood where ours will */
    enum err_kind rc = field_int(root, "batch", OPTIONAL, 1, INT64_MAX, &d->number, e);
    if (rc)
        return rc;
    if (is_inline && d->number)
        return err_set(e, ERR_INVALID, "/batch", "give a batch's number or inputs, not both");
    if (is_inline)
        return call_read_batch(c, TARGETS_REQUIRED, &d->inline_batch, e);
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

/* What the journal calls it. */
static void note_data(const struct data *d, struct change *change)
{
    change->data = d->inline_batch;
    change->batch = d->inline_batch ? BATCH_INLINE : d->number ? d->number : BATCH_IN_TURN;
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

/* Curvature that cannot be had leaves null. */
void call_tell_divergence(struct call *c, const struct batch *b, const struct step_result *r)
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
    int64_t noted; /* steps that earlier slices told the journal of */
    int64_t batch; /* number of the last one used */
    struct step_result last;
    double loss;    /* of the only one; */
    double *losses; /* of the steps done */
    bool cleared;   /* one more failed, and left no gradients */
};

static void steps_free(void *state)
{
    struct steps *t = state;
    batch_free(t->data.inline_batch);
    if (t->losses != &t->loss)
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
    t->losses = &t->loss;
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
    call_write_step(c, s->step);
    key_loss(w, s, &t->last);
    json_key_f64(w, "grad_norm", t->last.grad_norm);
    json_key_f64(w, "lr", s->sgd.options.lr);
    key_batch(w, t->batch);
    if (t->wanted > 1) {
        json_key(w, "losses");
        json_begin_array(w);
        for (int64_t i = 0; i < t->done; i++)
            json_real(w, t->last.dtype, t->losses[i]);
        json_end_array(w);
    }
    json_end_object(w);
}

static enum err_kind one_step(struct call *c, struct steps *t, enum step_end end, struct err *e)
{
    struct session *s = c->session;
    int64_t cursor = s->cursor;
    const struct batch *b = data_next(s, &t->data);
    enum err_kind rc = session_step(s, c->scratch, b, end, &t->last, e);
    if (rc == ERR_DIVERGED)
        call_tell_divergence(c, b, &t->last);
    if (rc) {
        s->cursor = cursor; /* a step that was not made used no batch */
        return rc;
    }
    t->losses[t->done++] = t->last.loss;
    t->batch = b->n;
    return ERR_OK;
}

/* Steps until all are done or the slice is over. At least one, however short the slice. The last
 * one sums the digest that the journal needs. */
static enum err_kind run_slice(struct call *c, struct steps *t, struct err *e)
{
    enum step_end end = STEP_GOES_ON;
    enum err_kind rc = ERR_OK;
    while (!rc && end == STEP_GOES_ON) {
        if (t->done + 1 == t->wanted || call_slice_is_over(c))
            end = session_is_journaled(c->session) ? STEP_DIGESTED : STEP_ENDS;
        rc = one_step(c, t, end, e);
    }
    t->cleared = rc != ERR_OK;
    return rc;
}

/* What the journal is to know of the slice that began so many ns ago. */
static struct change slice_of(struct steps *t, int64_t began)
{
    struct change change = {.kind = CHANGE_STEP,
                            .steps = t->done - t->noted,
                            .loss = t->losses + t->noted,
                            .cleared = t->cleared,
                            .work_ns = clock_ns() - began};
    if (change.steps > 0)
        note_data(&t->data, &change);
    t->noted = t->done;
    return change;
}

/* What a repeat of the request is told should it be cut off after this slice. */
static void write_interim(struct call *c, const struct steps *t, struct json_out *text)
{
    struct json_out extra = {0};
    struct err e;
    err_set(&e, ERR_UNAVAILABLE, "", "the daemon was ended when %lld of %lld steps were done",
            (long long)t->done, (long long)t->wanted);
    json_begin_object(&extra);
    json_key_int(&extra, "steps_done", t->done);
    json_key_int(&extra, "step", c->session->step);
    problem_write(text, &e, &extra);
    json_out_close(&extra);
}

static enum err_kind keep_slice(struct call *c, struct steps *t, int64_t began, struct err *e)
{
    struct json_out text = {0};
    struct change change = slice_of(t, began);
    if (c->kept)
        write_interim(c, t, &text);
    enum err_kind rc = call_keep_slice(c, &change, &text, problem_status(ERR_UNAVAILABLE), e);
    json_out_close(&text);
    return rc;
}

static enum err_kind keep_end(struct call *c, struct steps *t, int64_t began, struct err *e)
{
    struct change change = slice_of(t, began);
    return call_keep_change(c, &change, e);
}

/* A long call that ends early says how far it got: what earlier slices did is kept. */
static void tell_steps(struct call *c, const struct steps *t, enum err_kind why)
{
    call_wait_slices(c);
    bool kept = session_is_journaled(c->session) && why != ERR_DIVERGED;
    int64_t done = kept ? atomic_load(&c->steps_kept) : t->done;
    c->error_had_effect = done > 0;
    json_key_int(call_extra(c), "steps_done", done);
    if (why == ERR_UNAVAILABLE)
        json_key_int(call_extra(c), "step", c->session->step);
}

static enum err_kind check_going_on(struct call *c, struct steps *t, struct err *e)
{
    enum err_kind rc = call_check_slices(c, e);
    if (rc || t->done == 0 || !atomic_load(&c->api->draining))
        return rc;
    return err_set(e, ERR_UNAVAILABLE, "", "the daemon is shutting down: %lld of %lld steps done",
                   (long long)t->done, (long long)t->wanted);
}

/* Without a journal a checkpoint is made after so many steps; not by a call with a key, of which it
 * would keep a part without the answer: it comes next in line then. */
static void note_training(struct call *c)
{
    struct session *s = c->session;
    bool many = s->steps_unsaved >= c->api->config.checkpoint_steps;
    if (s->training != c->again)
        session_set_training(s, c->again);
    if (session_is_journaled(s) || !many)
        return;
    if (c->kept)
        registry_hurry(&c->api->registry, s);
    else
        session_checkpoint(s);
}

enum err_kind post_step(struct call *c, struct err *e)
{
    enum err_kind rc = c->state ? ERR_OK : steps_read(c, e), keeping = ERR_OK;
    struct steps *t = c->state;
    struct err not_kept;
    int64_t began = clock_ns();
    if (!rc && !(rc = check_going_on(c, t, e)))
        rc = run_slice(c, t, e);
    c->tells_steps = t && t->wanted > 1;
    c->again = !rc && t->done < t->wanted;
    if (!rc && !c->again)
        steps_write(c, t);
    if (c->again)
        keeping = keep_slice(c, t, began, &not_kept);
    else if (t && (t->done > t->noted || t->cleared))
        keeping = keep_end(c, t, began, &not_kept);
    if (keeping) {
        *e = not_kept;
        rc = keeping;
        c->again = false;
    }
    if (c->tells_steps && rc && t->done)
        tell_steps(c, t, rc);
    note_training(c);
    return rc;
}

/* ---- POST backward, zero_grad, optimizer/step ---------------------------------------------- */

/* With the derivative by the inputs as an array. */
static void backward_write_file(struct call *c, enum media media, const struct step_result *r,
                                int64_t batch, const struct tensor *dx)
{
    struct session *s = c->session;
    struct named_tensor list = {"input_gradients", dx};
    char text[4][TEXT_OF_NUMBER];
    const char *metadata[] = {"loss",
                              text_of_real(r->dtype, r->loss, text[0]),
                              "reduction",
                              loss_reduction(&s->spec.loss),
                              "grad_norm",
                              text_of_real(DTYPE_FLOAT64, r->grad_norm, text[1]),
                              "accumulated",
                              text_of_int(s->accumulated, text[2]),
                              batch ? "batch" : NULL,
                              text_of_int(batch, text[3]),
                              NULL};
    call_write_tensors(c, media, metadata, &list, 1);
    call_tag(c, s->step);
}

static void backward_write(struct call *c, const struct step_result *r, int64_t batch, bool want_dx,
                           const struct tensor *dx)
{
    struct session *s = c->session;
    struct json_out *w = &c->out;
    enum media media = dx ? call_gives(c) : MEDIA_JSON;
    if (media != MEDIA_JSON) {
        backward_write_file(c, media, r, batch, dx);
        return;
    }
    json_begin_object(w);
    key_loss(w, s, r);
    json_key_f64(w, "grad_norm", r->grad_norm);
    json_key_int(w, "accumulated", s->accumulated);
    key_batch(w, batch);
    if (want_dx) {
        json_key(w, "input_gradients");
        if (dx)
            tensor_write(w, dx);
        else /* a program that does not look at them */
            json_null(w);
    }
    json_end_object(w);
    call_tag(c, s->step);
}

/* Of a backward that went well, or diverged. */
static enum err_kind keep_backward(struct call *c, const struct data *data,
                                   const struct step_result *r, bool diverged, int64_t began,
                                   struct err *e)
{
    struct change change = {.kind = CHANGE_BACKWARD,
                            .steps = !diverged,
                            .loss = &r->loss,
                            .cleared = diverged && c->session->accumulated == 0,
                            .work_ns = clock_ns() - began};
    if (!diverged)
        note_data(data, &change);
    return call_keep_change(c, &change, e);
}

static void backward_free(void *state)
{
    struct data *data = state;
    batch_free(data->inline_batch);
    mem_free(data);
}

/* In the call's state: inline data is read until the change is kept. */
static enum err_kind backward_read(struct call *c, bool *want_dx, struct err *e)
{
    static const char *const names[] = {"batch", "inputs", "targets", "input_gradients", NULL};
    struct data *data = mem_array(1, sizeof *data);
    if (!data)
        return err_set(e, ERR_NOMEM, "", "no memory for the call");
    c->state = data;
    c->state_free = backward_free;
    enum err_kind rc = fields_check(c->in.root, names, e);
    if (!rc)
        rc = field_bool(c->in.root, "input_gradients", OPTIONAL, want_dx, e);
    return rc ? rc : data_read(c, data, e);
}

enum err_kind post_backward(struct call *c, struct err *e)
{
    struct session *s = c->session;
    struct step_result r;
    struct tensor *dx = NULL;
    struct err not_kept;
    bool want_dx = false;
    int64_t cursor = s->cursor, began = clock_ns();
    enum err_kind rc = backward_read(c, &want_dx, e);
    if (rc)
        return rc;
    const struct batch *b = data_next(s, c->state);
    rc = session_backward(s, c->scratch, b, &r, want_dx ? &dx : NULL, e);
    if (rc == ERR_DIVERGED)
        call_tell_divergence(c, b, &r);
    if (rc)
        s->cursor = cursor;
    else
        backward_write(c, &r, b->n, want_dx, dx);
    if ((rc == ERR_OK || rc == ERR_DIVERGED) &&
        keep_backward(c, c->state, &r, rc != ERR_OK, began, &not_kept)) {
        *e = not_kept;
        return e->kind;
    }
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
    call_write_step(c, s->step);
    json_key_int(&c->out, "accumulated", s->accumulated);
    json_end_object(&c->out);
    return call_keep_change(c, &(struct change){.kind = CHANGE_ZERO_GRAD}, e);
}

static void apply_write(struct call *c, const struct step_result *r)
{
    struct session *s = c->session;
    struct json_out *w = &c->out;
    json_begin_object(w);
    call_write_step(c, s->step);
    key_loss(w, s, r);
    json_key_f64(w, "grad_norm", r->grad_norm);
    json_key_f64(w, "lr", s->sgd.options.lr);
    json_end_object(w);
}

enum err_kind post_optimizer_step(struct call *c, struct err *e)
{
    struct session *s = c->session;
    struct step_result r;
    struct err not_kept;
    enum err_kind rc = fields_check(c->in.root, no_fields, e);
    if (!rc)
        rc = session_apply(s, &r, e);
    if (rc == ERR_DIVERGED)
        call_tell_divergence(c, NULL, &r);
    if (!rc)
        apply_write(c, &r);
    struct change change = {.kind = CHANGE_APPLY, .steps = !rc, .loss = &r.loss};
    if ((rc == ERR_OK || rc == ERR_DIVERGED) && call_keep_change(c, &change, &not_kept)) {
        *e = not_kept;
        return e->kind;
    }
    return rc;
}
