#include "engine/optim.h"

#include <float.h>

#include "engine/pass.h"

const struct options optimizer_types[] = {
    {"sgd",
     {[SGD_LR] = {.name = "lr", .kind = OPTION_NUMBER, .fallback = 1e-3, .max = INFINITY},
      [SGD_MOMENTUM] = {.name = "momentum", .kind = OPTION_NUMBER, .max = INFINITY},
      [SGD_DAMPENING] =
          {.name = "dampening", .kind = OPTION_NUMBER, .min = -INFINITY, .max = INFINITY},
      [SGD_WEIGHT_DECAY] = {.name = "weight_decay", .kind = OPTION_NUMBER, .max = INFINITY},
      [SGD_NESTEROV] = {.name = "nesterov", .kind = OPTION_BOOL},
      [SGD_MAXIMIZE] = {.name = "maximize", .kind = OPTION_BOOL}}},
    {.type = NULL},
};

enum err_kind sgd_set(struct sgd_options *o, const double value[OPTIONS_MAX], struct err *e)
{
    if (value[SGD_NESTEROV] != 0 && (value[SGD_MOMENTUM] <= 0 || value[SGD_DAMPENING] != 0))
        return err_set(e, ERR_INVALID, "/nesterov",
                       "Nesterov momentum requires a momentum and zero dampening");
    *o = (struct sgd_options){.lr = value[SGD_LR],
                              .momentum = value[SGD_MOMENTUM],
                              .dampening = value[SGD_DAMPENING],
                              .weight_decay = value[SGD_WEIGHT_DECAY],
                              .nesterov = value[SGD_NESTEROV] != 0,
                              .maximize = value[SGD_MAXIMIZE] != 0};
    return ERR_OK;
}

void sgd_get(const struct sgd_options *o, double value[OPTIONS_MAX])
{
    value[SGD_LR] = o->lr;
    value[SGD_MOMENTUM] = o->momentum;
    value[SGD_DAMPENING] = o->dampening;
    value[SGD_WEIGHT_DECAY] = o->weight_decay;
    value[SGD_NESTEROV] = o->nesterov;
    value[SGD_MAXIMIZE] = o->maximize;
}

enum err_kind sgd_init(struct sgd *o, const struct module *m, struct err *e)
{
    *o = (struct sgd){.reach = INFINITY};
    o->has_momentum = mem_array((size_t)m->parameters, sizeof *o->has_momentum);
    return o->has_momentum ? ERR_OK : err_set(e, ERR_NOMEM, "", "no memory for the optimizer");
}

void sgd_close(struct sgd *o)
{
    mem_free(o->momentum);
    mem_free(o->has_momentum);
    *o = (struct sgd){.reach = INFINITY};
}

void sgd_know_reach(struct sgd *o, const struct module *m, const struct kernels *k)
{
    if (isfinite(o->reach))
        return;
    double values = k->largest(m->dtype, m->values.data, (size_t)m->count);
    double momentum = o->momentum ? k->largest(m->dtype, o->momentum, (size_t)m->count) : 0;
    if (isfinite(values) && isfinite(momentum))
        o->reach = values > momentum ? values : momentum;
}

enum err_kind sgd_need_momentum(struct sgd *o, const struct module *m, struct err *e)
{
    if (o->momentum)
        return ERR_OK;
    o->momentum = mem_array((size_t)m->count, dtype_bytes(m->dtype));
    return o->momentum ? ERR_OK : err_set(e, ERR_NOMEM, "", "no memory for the momentum");
}

void sgd_touch(struct sgd *o)
{
    o->reach = INFINITY;
}

bool sgd_is_safe(const struct sgd *o, const struct module *m, double gradient_norm)
{
    const struct sgd_options *p = &o->options;
    double g = gradient_norm + p->weight_decay * o->reach;
    double buffer = p->momentum * o->reach + (1 + fabs(p->dampening)) * g;
    double direction = g + (1 + p->momentum) * buffer;
    double next = o->reach + p->lr * direction;
    /* An option that the type cannot hold is infinite there: times 0 it would make a NaN. */
    double options = p->lr + p->momentum + p->weight_decay + fabs(p->dampening);
    double limit = (m->dtype == DTYPE_FLOAT32 ? (double)FLT_MAX : DBL_MAX) / 4;
    return next < limit && direction < limit && options < limit;
}

/* ---- the digest ---------------------------------------------------------------------------- */

/* Of the momentum's sum. Without it, words that the two blocks exchanged would not be seen; odd, so
 * that no bit of the sum is lost. */
#define MOMENTUM_FACTOR 0xD6E8FEB86659FD93u

static uint64_t digest_of(const struct sgd *o, const struct module *m, struct sgd_sums sums)
{
    for (int i = 0; i < m->parameters; i++)
        if (o->has_momentum[i])
            sums.momentum += digest_mark((size_t)i);
    return sums.parameters + sums.momentum * MOMENTUM_FACTOR;
}

uint64_t sgd_digest(const struct sgd *o, const struct module *m, const struct kernels *k)
{
    struct sgd_sums sums = {0};
    for (int i = 0; i < m->parameters; i++) {
        sums.parameters += module_part_digest(m, i, m->values.data, k);
        if (o->has_momentum[i])
            sums.momentum += module_part_digest(m, i, o->momentum, k);
    }
    return digest_of(o, m, sums);
}

/* Adds what a sweep did not write, and so did not see. */
static void add_unwritten(const struct sgd *o, const struct module *m, const struct kernels *k,
                          struct sgd_sums *sums)
{
    for (int i = 0; i < m->parameters; i++) {
        bool took_part = m->parameter[i].tensor.grad;
        if (!took_part)
            sums->parameters += module_part_digest(m, i, m->values.data, k);
        if (o->has_momentum[i] && !(took_part && o->options.momentum != 0))
            sums->momentum += module_part_digest(m, i, o->momentum, k);
    }
}

/* ---- the step ------------------------------------------------------------------------------ */

/* Keeps in mind what a sweep did: who has momentum from now on, and the largest magnitude. */
static void remember(struct sgd *o, const struct module *m, double written)
{
    if (!isfinite(written))
        written = INFINITY;
    /* Was everything written? Momentum that is switched off stays as it was. */
    bool all = o->options.momentum != 0 || !o->momentum;
    for (int i = 0; i < m->parameters; i++) {
        bool took_part = m->parameter[i].tensor.grad;
        all = all && took_part;
        o->has_momentum[i] = o->has_momentum[i] || (took_part && o->options.momentum != 0);
    }
    if (all || written > o->reach)
        o->reach = written;
}

enum err_kind sgd_step(struct sgd *o, struct module *m, const struct kernels *k,
                       const struct tape *t, bool finite, double gradient_norm, uint64_t *digest,
                       struct err *e)
{
    struct sgd_sums sums = {0};
    struct pass real = {o, m, k, t, false, digest ? &sums : NULL, NULL, t ? t->workspace : NULL};
    struct pass dry = real;
    dry.dry = true;
    dry.sums = NULL;
    if (o->options.momentum != 0) {
        enum err_kind rc = sgd_need_momentum(o, m, e);
        if (rc)
            return rc;
    }
    if (finite && !sgd_is_safe(o, m, gradient_norm)) {
        double would = pass_run(&dry);
        if (!isfinite(would))
            return err_set(e, ERR_DIVERGED, "", "the update would leave the range of %s",
                           dtype_name(m->dtype));
    }
    remember(o, m, pass_run(&real));
    if (digest) {
        add_unwritten(o, m, k, &sums);
        *digest = digest_of(o, m, sums);
    }
    module_touch(m);
    return ERR_OK;
}
