/* engine/optim.h - the optimizer: torch.optim.SGD.
 *
 * The update of one parameter p with gradient g, step by step as PyTorch computes it in the
 * parameter's own type:
 *     g = -g                                    if maximize
 *     g = g + weight_decay * p                  if weight_decay
 *     buf = g  at the first step,  buf = momentum * buf + (1 - dampening) * g  later
 *     g = nesterov ? g + momentum * buf : buf   if momentum
 *     p = p - lr * g
 * Source: torch/optim/sgd.py, _single_tensor_sgd.
 */
#ifndef ENGINE_OPTIM_H
#define ENGINE_OPTIM_H

#include <stdbool.h>

#include "engine/module.h"

struct sgd_options {
    double lr, momentum, dampening, weight_decay;
    bool nesterov, maximize;
};

/* The options by name, default and bounds; their values in the order of enum sgd_option. */
enum sgd_option {
    SGD_LR,
    SGD_MOMENTUM,
    SGD_DAMPENING,
    SGD_WEIGHT_DECAY,
    SGD_NESTEROV,
    SGD_MAXIMIZE
};
extern const struct options optimizer_types[]; /* a NULL type ends them; "sgd" is the only one */

/* What the values say together; errors INVALID, pointer "/nesterov" */
MUST_USE enum err_kind sgd_set(struct sgd_options *o, const double value[OPTIONS_MAX],
                               struct err *e);
void sgd_get(const struct sgd_options *o, double value[OPTIONS_MAX]);

/* The optimizer of one module: its options, and the momentum as one block like the parameters'.
 * Threads: as the module. */
struct sgd {
    struct sgd_options options;
    void *momentum;     /* the block; NULL until momentum is first used */
    bool *has_momentum; /* of each parameter: false before its first step with momentum */
    double reach;       /* no element of parameters or momentum is larger; INFINITY: not known */
};

MUST_USE enum err_kind sgd_init(struct sgd *o, const struct module *m, struct err *e);
void sgd_close(struct sgd *o);
/* Makes the block of momentum. errors NOMEM. No-op if it is there. */
MUST_USE enum err_kind sgd_need_momentum(struct sgd *o, const struct module *m, struct err *e);
/* The parameters or the momentum were written from outside. */
void sgd_touch(struct sgd *o);

/* Looks for the largest elements, if they are not known: so that what is safe, and with it how a
 * norm is summed, is the same in a model that has just been loaded. */
void sgd_know_reach(struct sgd *o, const struct module *m, const struct kernels *k);

/* Can no element leave the range of its type by a step with gradients of at most that norm, judging
 * by the largest elements alone? So no gradient is NaN or infinite either. */
bool sgd_is_safe(const struct sgd *o, const struct module *m, double gradient_norm);

/* optimizer.step(): updates every parameter that has a gradient. It only reads the gradients.
 *   t       on which the gradients were made, if it owes some: then they are made on the way, and
 *           the step is safe or finite is not set; else NULL
 *   finite  refuse, before anything is written, an update after which a parameter or a momentum
 *           would not be finite; gradient_norm is finite
 *   digest  NULL, or gets sgd_digest of the state that the update led to: it is summed while that
 *           is written, which costs much less than a pass of its own
 *   errors  DIVERGED refused · NOMEM nothing was written */
MUST_USE enum err_kind sgd_step(struct sgd *o, struct module *m, const struct kernels *k,
                                const struct tape *t, bool finite, double gradient_norm,
                                uint64_t *digest, struct err *e);

/* The digest (engine/kernels.h) of the state that steps change: all parameters, and the momentum
 * of those that have it and which these are. The options are no part of it. */
uint64_t sgd_digest(const struct sgd *o, const struct module *m, const struct kernels *k);

#endif
