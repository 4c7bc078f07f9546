#include "engine/optim.h"

#include <float.h>

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

/* Does parameter i take part, in the same way as parameter j? */
static bool alike(const struct sgd *o, const struct module *m, int i, int j)
{
    return !m->parameter[i].tensor.grad == !m->parameter[j].tensor.grad &&
           o->has_momentum[i] == o->has_momentum[j];
}

/* Sweeps over all parameters with a gradient, neighbours in one run. dry: nothing is written.
 * sums (or NULL) gets the digests of what is written. Returns the largest magnitude that is (or
 * would be) written, NaN if any is. */
static double sweep(struct sgd *o, struct module *m, const struct kernels *k, bool dry,
                    struct sgd_sums *sums)
{
    size_t bytes = dtype_bytes(m->dtype);
    double largest = 0;
    for (int i = 0, end; i < m->parameters; i = end) {
        size_t n = 0;
        for (end = i; end < m->parameters && alike(o, m, i, end); end++)
            n += (size_t)tensor_count(&m->parameter[end].tensor);
        if (!m->parameter[i].tensor.grad)
            continue;
        size_t at = (size_t)m->parameter[i].tensor.offset * bytes;
        struct sgd_sweep s = {.dtype = m->dtype,
                              .n = n,
                              .options = &o->options,
                              .first = !o->has_momentum[i],
                              .gradient = (char *)m->gradients.data + at};
        if (o->options.momentum != 0)
            s.momentum = (char *)o->momentum + at;
        s.parameter = (char *)m->values.data + at;
        s.dry = dry;
        s.at = (size_t)m->parameter[i].tensor.offset;
        s.sums = sums;
        double written = k->sgd(&s);
        largest = written > largest || isnan(written) ? written : largest;
    }
    return largest;
}

/* Can no element leave the range, judging by the largest ones alone? */
static bool is_safe(const struct sgd *o, const struct module *m, double gradient_norm)
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

enum err_kind sgd_step(struct sgd *o, struct module *m, const struct kernels *k, bool finite,
                       double gradient_norm, uint64_t *digest, struct err *e)
{
    if (o->options.momentum != 0) {
        enum err_kind rc = sgd_need_momentum(o, m, e);
        if (rc)
            return rc;
    }
    if (finite && !is_safe(o, m, gradient_norm)) {
        double would = sweep(o, m, k, true, NULL);
        if (!isfinite(would))
            return err_set(e, ERR_DIVERGED, "", "the update would leave the range of %s",
                           dtype_name(m->dtype));
    }
    struct sgd_sums sums = {0};
    remember(o, m, sweep(o, m, k, false, digest ? &sums : NULL));
    if (digest) {
        add_unwritten(o, m, k, &sums);
        *digest = digest_of(o, m, sums);
    }
    module_touch(m);
    return ERR_OK;
}
