#include "api/session.h"

#include <math.h>
#include <string.h>

#include "api/call.h"
#include "api/replay.h"
#include "api/state.h"
#include "engine/mem.h"
#include "engine/train.h"

#define BATCHES_LOOKED_AT 64

/* ---- making -------------------------------------------------------------------------------- */

void session_drop_batches(struct session *s)
{
    fit_forget_work(s->fit);
    for (size_t i = 0; i < s->batches; i++)
        batch_free(s->batch[i]);
    s->batches = 0;
    s->batch_bytes = 0;
}

void session_free(struct session *s)
{
    if (!s)
        return;
    answers_release(&s->api->answers, &s->unkept);
    session_drop_batches(s);
    fit_free(s->fit);
    mem_free(s->batch);
    sgd_close(&s->sgd);
    module_free(s->module);
    spec_close(&s->spec);
    mem_free(s->tail);
    mem_free(s->damage);
    pthread_rwlock_destroy(&s->lock);
    mem_free(s);
}

/* A thousand forwards a second must not keep the one update waiting. */
static void lock_preferring_writers(pthread_rwlock_t *lock)
{
    pthread_rwlockattr_t attr;
    pthread_rwlockattr_init(&attr);
#ifdef __GLIBC__
    pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
#endif
    pthread_rwlock_init(lock, &attr);
    pthread_rwlockattr_destroy(&attr);
}

/* Of a program with its initial parameters. */
static struct module *make_module(const struct spec *s)
{
    if (s->program)
        return module_new_program(s->program, s->parameter, s->parameters, s->parameter_dtype,
                                  s->dtype);
    return module_new(s->layer, s->layers, s->dtype);
}

void session_draw(struct session *s)
{
    struct rng rng;
    rng_seed(&rng, (uint64_t)s->spec.seed);
    if (!s->module->program)
        module_reset(s->module, &rng);
}

/* The model as its spec says, but for what session_draw does. */
static enum err_kind build(struct session *s, const char *text, struct err *e)
{
    struct json j = {.root = NULL};
    enum err_kind rc = json_parse(text, strlen(text), &j, e);
    if (!rc)
        rc = spec_read(&j, s->api->config.max_model_bytes, &s->spec, e);
    json_close(&j);
    if (rc)
        return err_wrap(e, "the stored model \"%s\": ", s->id);
    s->module = make_module(&s->spec);
    spec_forget_values(&s->spec);
    if (!s->module)
        return err_set(e, ERR_NOMEM, "", "no memory for the model \"%s\"", s->id);
    atomic_store(&s->loss_dtype, s->spec.dtype);
    rc = sgd_init(&s->sgd, s->module, e);
    s->sgd.options = s->spec.options.optimizer;
    return rc;
}

enum err_kind session_make(struct api *a, const char *id, int64_t created_at, const char *spec,
                           struct session **out, struct err *e)
{
    struct session *s = mem_array(1, sizeof *s);
    if (!s)
        return err_set(e, ERR_NOMEM, "", "no memory for the model");
    s->api = a;
    mem_fit(s->id, sizeof s->id, id);
    s->created_at = s->updated_at = created_at;
    s->loss_last = s->loss_pending = NAN;
    s->tail_first = 1;
    lock_preferring_writers(&s->lock);
    enum err_kind rc = build(s, spec, e);
    if (rc)
        session_free(s);
    else
        *out = s;
    return rc;
}

enum err_kind session_new(struct api *a, const char *id, int64_t created_at, const char *spec,
                          struct session **out, struct err *e)
{
    enum err_kind rc = session_make(a, id, created_at, spec, out, e);
    if (!rc)
        session_draw(*out);
    return rc;
}

enum err_kind session_load(struct api *a, const char *id, struct scratch *scratch,
                           struct session **out, struct err *e)
{
    struct store_model stored;
    enum err_kind rc = store_find_model(a->store, id, &stored, e);
    if (!rc)
        rc = replay_model(a, &stored, scratch, out, e);
    if (!rc)
        jobs_note_loaded(&a->jobs, *out);
    mem_free((void *)stored.spec);
    return rc;
}

/* ---- batches ------------------------------------------------------------------------------- */

struct batch_rules session_rules(const struct session *s)
{
    return (struct batch_rules){.module = s->module,
                                .loss = &s->spec.loss,
                                .max_activation_bytes = s->api->config.max_model_bytes};
}

enum err_kind session_reserve_batch(struct session *s, struct err *e)
{
    if (s->batches < s->batches_room)
        return ERR_OK;
    size_t room = s->batches_room ? 2 * s->batches_room : 8;
    struct batch **more = mem_resize(s->batch, s->batches, room, sizeof *more);
    if (!more)
        return err_set(e, ERR_NOMEM, "", "no memory for the batch");
    s->batch = more;
    s->batches_room = room;
    return ERR_OK;
}

/* The place of the first batch with a number over n. */
static size_t after(const struct session *s, int64_t n)
{
    size_t low = 0, high = s->batches;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (s->batch[middle]->n <= n)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

void session_insert_batch(struct session *s, struct batch *b)
{
    size_t i = after(s, b->n);
    memmove(s->batch + i + 1, s->batch + i, (s->batches - i) * sizeof *s->batch);
    s->batch[i] = b;
    s->batches++;
    s->batch_bytes += b->bytes;
}

struct batch *session_find_batch(const struct session *s, int64_t n)
{
    size_t i = after(s, n);
    return i > 0 && s->batch[i - 1]->n == n ? s->batch[i - 1] : NULL;
}

void session_remove_batch(struct session *s, int64_t n)
{
    size_t i = after(s, n) - 1;
    fit_forget_work(s->fit);
    s->batch_bytes -= s->batch[i]->bytes;
    batch_free(s->batch[i]);
    memmove(s->batch + i, s->batch + i + 1, (s->batches - i - 1) * sizeof *s->batch);
    s->batches--;
}

struct batch *session_batch_in_turn(const struct session *s)
{
    size_t i = after(s, s->cursor);
    return s->batches ? s->batch[i < s->batches ? i : 0] : NULL;
}

struct batch *session_next_batch(struct session *s)
{
    struct batch *b = session_batch_in_turn(s);
    if (b)
        s->cursor = b->n;
    return b;
}

/* Of the rows that a body may hold. */
static double work_of_body(const struct module *m, size_t numbers)
{
    const struct shape *first = m->parameters ? &m->parameter[0].tensor.shape : NULL;
    double features = first && first->rank == 2 ? (double)first->dim[1] : 1;
    double rows = (double)numbers / features + 1;
    return (double)m->count * rows;
}

/* What a program does to data is not known before it is read: only a body without any is light. */
double session_work(const struct session *s, size_t numbers, bool training)
{
    if (s->module->program && numbers)
        return INFINITY;
    double work = work_of_body(s->module, numbers);
    if (training && s->batches > BATCHES_LOOKED_AT)
        return INFINITY;
    for (size_t i = 0; training && i < s->batches; i++)
        work = fmax(work, s->batch[i]->work);
    return work * (training ? 3 : 1);
}

/* ---- changing ------------------------------------------------------------------------------ */

void session_begin_change(struct session *s)
{
    pthread_rwlock_wrlock(&s->lock);
}

void session_end_change(struct session *s)
{
    s->updated_at = clock_millis();
    pthread_rwlock_unlock(&s->lock);
}

void session_touch(struct session *s)
{
    module_touch(s->module);
    sgd_touch(&s->sgd);
    s->digest_known = false;
}

void session_lose(struct session *s)
{
    atomic_store(&s->lost, true);
}

void session_note_change(struct session *s)
{
    if (!s->changed)
        registry_note_change(&s->api->registry, s);
    s->changed = true;
}

uint64_t session_digest(struct session *s)
{
    if (!s->digest_known)
        s->digest = sgd_digest(&s->sgd, s->module, s->api->kernels);
    s->digest_known = true;
    return s->digest;
}

void session_set_training(struct session *s, bool training)
{
    pthread_rwlock_wrlock(&s->lock);
    s->training = training;
    pthread_rwlock_unlock(&s->lock);
}

/* Room for one more loss, found before anything is changed. */
static enum err_kind reserve_loss(struct session *s, struct err *e)
{
    if (s->tail_count < s->tail_room)
        return ERR_OK;
    size_t room = s->tail_room ? 2 * s->tail_room : 64;
    double *more = mem_array(room, sizeof *more);
    if (!more)
        return err_set(e, ERR_NOMEM, "", "no memory for the loss history");
    pthread_rwlock_wrlock(&s->lock);
    if (s->tail)
        memcpy(more, s->tail, s->tail_count * sizeof *more);
    mem_free(s->tail);
    s->tail = more;
    s->tail_room = room;
    pthread_rwlock_unlock(&s->lock);
    return ERR_OK;
}

enum err_kind session_copy_tail(struct session *to, const struct session *from, struct err *e)
{
    double *tail = mem_array(from->tail_count, sizeof *tail);
    if (!tail)
        return err_set(e, ERR_NOMEM, "", "no memory for the losses");
    if (from->tail_count)
        memcpy(tail, from->tail, from->tail_count * sizeof *tail);
    mem_free(to->tail);
    to->tail = tail;
    to->tail_count = to->tail_room = from->tail_count;
    to->tail_first = from->tail_first;
    return ERR_OK;
}

void session_zero_grad(struct session *s)
{
    module_zero_grad(s->module);
    s->accumulated = 0;
    s->loss_pending = NAN;
}

/* The gradients stay until they are cleared, also after the update that used them. */
static void note_backward(struct session *s, double loss)
{
    s->accumulated++;
    s->loss_pending = loss;
}

static enum err_kind diverged(struct session *s, const char *what, struct err *e)
{
    session_begin_change(s);
    s->diverged = true;
    session_end_change(s);
    return err_set(e, ERR_DIVERGED, "",
                   "%s is no longer finite; the step was not applied and the parameters are "
                   "those of step %lld",
                   what, (long long)s->step);
}

/* Gradient norm of result, and whether the loss and the gradient are finite if they must be. */
static enum err_kind measure(struct session *s, struct step_result *r, struct err *e)
{
    const struct kernels *k = s->api->kernels;
    r->grad_norm = module_gradient_norm(s->module, k);
    if (s->spec.options.on_divergence == DIVERGENCE_CONTINUE)
        return ERR_OK;
    if (!isfinite(r->loss))
        return diverged(s, "the loss", e);
    return isfinite(r->grad_norm) ? ERR_OK : diverged(s, "the gradient", e);
}

/* The same after a backward that may owe gradients: a bound of the norm will do if it shows that
 * all is well, and that no square of theirs overflows. If not, what is owed is made, and looked at
 * as ever. */
static enum err_kind measure_owed(struct session *s, struct tape *t, struct step_result *r,
                                  struct err *e)
{
    if (!t->owed)
        return measure(s, r, e);
    r->grad_norm = module_gradient_bound(s->module, t);
    if (s->spec.options.on_divergence == DIVERGENCE_STOP)
        sgd_know_reach(&s->sgd, s->module, s->api->kernels);
    bool safe = s->spec.options.on_divergence == DIVERGENCE_CONTINUE
                    ? isfinite(r->grad_norm)
                    : isfinite(r->loss) && sgd_is_safe(&s->sgd, s->module, r->grad_norm);
    if (safe)
        return t->keeps ? module_defer(s->module, t, e) : ERR_OK;
    tape_settle(t);
    return measure(s, r, e);
}

/* The update and what goes with it, as one short writers' section. t: NULL, or what may owe
 * gradients. */
static enum err_kind update(struct session *s, const struct tape *t, const struct step_result *r,
                            bool digest, struct err *e)
{
    bool stop = s->spec.options.on_divergence == DIVERGENCE_STOP;
    enum err_kind rc = reserve_loss(s, e);
    if (rc)
        return rc;
    session_begin_change(s);
    rc = sgd_step(&s->sgd, s->module, s->api->kernels, t, stop, r->grad_norm,
                  digest ? &s->digest : NULL, e);
    if (!rc) {
        s->digest_known = digest;
        s->step++;
        s->loss_last = r->loss;
        atomic_store(&s->loss_dtype, r->dtype);
        s->tail[s->tail_count++] = r->loss;
    }
    if (rc == ERR_OK || rc == ERR_DIVERGED)
        s->diverged = rc == ERR_DIVERGED || !isfinite(r->loss);
    session_end_change(s);
    s->steps_unsaved += rc == ERR_OK;
    if (rc == ERR_DIVERGED)
        err_set(e, ERR_DIVERGED, "",
                "the update would leave the range of %s; the step was not applied and the "
                "parameters are those of step %lld",
                dtype_name(s->module->dtype), (long long)s->step);
    return rc;
}

/* Of the inputs of a pushed batch: summed once. */
static struct squares squares_of(const struct session *s, const struct batch *b)
{
    struct batch *pushed = session_find_batch(s, b->n);
    const struct tensor *x = &b->x;
    if (pushed != b || !dtype_is_float(x->dtype))
        return (struct squares){.data = NULL};
    if (pushed->squares.data != tensor_data(x)) {
        pushed->squares.sum =
            s->api->kernels->sum_squares(x->dtype, tensor_data(x), (size_t)tensor_count(x));
        pushed->squares.data = tensor_data(x);
    }
    return pushed->squares;
}

enum err_kind session_step(struct session *s, struct scratch *scratch, const struct batch *b,
                           enum step_end end, struct step_result *r, struct err *e)
{
    struct tape *t = &scratch->tape;
    session_zero_grad(s);
    r->dtype = b->output_type;
    t->owes = true;
    t->keeps = end != STEP_GOES_ON;
    t->known = squares_of(s, b);
    enum err_kind rc =
        end == STEP_GOES_ON
            ? train_backward_again(s->module, &s->spec.loss, t, &b->x, &b->y, &r->loss, e)
            : train_backward(s->module, &s->spec.loss, t, &b->x, &b->y, &r->loss, NULL, e);
    t->owes = false;
    if (!rc)
        rc = measure_owed(s, t, r, e);
    t->known.data = NULL;
    if (!rc)
        rc = update(s, t, r, end == STEP_DIGESTED, e);
    if (rc) {
        tape_forget_trace(t);
        session_zero_grad(s);
        return rc;
    }
    note_backward(s, r->loss);
    if (t->owed && t->keeps)
        r->grad_norm = module_gradient_norm(s->module, s->api->kernels);
    return ERR_OK;
}

/* A copy of the gradients, to go back to. */
struct gradients {
    void *block;
    bool *has;
};

static void gradients_free(struct gradients *g)
{
    mem_free(g->block);
    mem_free(g->has);
}

static enum err_kind gradients_copy(const struct module *m, struct gradients *g, struct err *e)
{
    g->block = mem_array(1, module_bytes(m));
    g->has = mem_array((size_t)m->parameters, sizeof *g->has);
    if (!g->block || !g->has) {
        gradients_free(g);
        return err_set(e, ERR_NOMEM, "", "no memory for the gradients");
    }
    memcpy(g->block, m->gradients.data, module_bytes(m));
    for (int i = 0; i < m->parameters; i++)
        g->has[i] = m->parameter[i].tensor.grad != NULL;
    return ERR_OK;
}

static void gradients_put_back(struct module *m, const struct gradients *g)
{
    memcpy(m->gradients.data, g->block, module_bytes(m));
    for (int i = 0; i < m->parameters; i++)
        m->parameter[i].tensor.grad = g->has[i] ? &m->parameter[i].slot : NULL;
}

enum err_kind session_backward(struct session *s, struct scratch *scratch, const struct batch *b,
                               struct step_result *r, struct tensor **dx, struct err *e)
{
    struct gradients before = {NULL, NULL};
    /* What has been accumulated must outlive a backward that diverges. */
    enum err_kind rc = module_need_gradients(s->module, e);
    if (!rc)
        rc = module_make_deferred(s->module, s->api->kernels, scratch->tape.crew, e);
    if (!rc && s->accumulated)
        rc = gradients_copy(s->module, &before, e);
    if (rc)
        return rc;
    r->dtype = b->output_type;
    rc = train_backward(s->module, &s->spec.loss, &scratch->tape, &b->x, &b->y, &r->loss, dx, e);
    if (!rc)
        rc = measure(s, r, e);
    if (rc && before.block)
        gradients_put_back(s->module, &before);
    else if (rc)
        session_zero_grad(s);
    gradients_free(&before);
    if (rc)
        return rc;
    session_begin_change(s);
    note_backward(s, r->loss);
    atomic_store(&s->loss_dtype, r->dtype);
    session_end_change(s);
    return ERR_OK;
}

enum err_kind session_apply(struct session *s, struct step_result *r, struct err *e)
{
    if (s->accumulated == 0)
        return err_set(e, ERR_CONFLICT, "", "there are no gradients: call backward first");
    r->loss = s->loss_pending;
    r->dtype = session_loss_dtype(s);
    enum err_kind rc = module_make_deferred(s->module, s->api->kernels, NULL, e);
    if (!rc)
        rc = measure(s, r, e);
    return rc ? rc : update(s, NULL, r, session_is_journaled(s), e);
}
