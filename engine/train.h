/* engine/train.h - the body of the training loop: forward, loss, backward.
 *
 * Threads: as the module; the tape belongs to the caller and is reset at the start of each call.
 */
#ifndef ENGINE_TRAIN_H
#define ENGINE_TRAIN_H

#include "engine/loss.h"
#include "engine/module.h"

/* loss(m(x), y), and its derivatives added to the parameters' gradients (loss.backward()).
 *   x, y      of matching shapes and types, as module_facts and loss_target_shape say
 *   *loss     the value
 *   *dx       the derivative by the inputs, on the tape; dx NULL: not wanted
 *   errors    INVALID shapes · NOMEM */
MUST_USE enum err_kind train_backward(struct module *m, const struct loss *l, struct tape *t,
                                      const struct tensor *x, const struct tensor *y, double *loss,
                                      struct tensor **dx, struct err *e);

/* The same, as one of a row of calls in which only the numbers change: those of m's parameters and
 * those of x and y. While these keep their shapes, what the first one has found out is not found
 * out again. All gradients are None before each. A row ends with any other use of the tape; whoever
 * breaks it off without one calls tape_forget_trace. errors as above */
MUST_USE enum err_kind train_backward_again(struct module *m, const struct loss *l, struct tape *t,
                                            const struct tensor *x, const struct tensor *y,
                                            double *loss, struct err *e);

/* m(x) without a graph, and with y (may be NULL) the loss. *output is row-major, and none of m's
 * own memory. */
MUST_USE enum err_kind train_evaluate(struct module *m, const struct loss *l, struct tape *t,
                                      const struct tensor *x, const struct tensor *y,
                                      struct tensor **output, double *loss, struct err *e);

/* Records loss(m(x), y) on t, which is dry, for inputs of that shape: the graph of a step.
 *   errors INVALID shapes · NOMEM */
MUST_USE enum err_kind train_record(struct module *m, const struct loss *l, struct tape *t,
                                    const struct shape *x, struct tensor **loss, struct err *e);

/* The largest eigenvalue of the Hessian of the loss at m's parameters, by the Lanczos method
 * on central differences of the gradient, in float64. Frozen parameters count as constants. m is
 * only read. 0: no curvature, or not to be had in finite numbers. errors INVALID shapes · NOMEM */
MUST_USE enum err_kind train_curvature(const struct module *m, const struct loss *l, struct tape *t,
                                       const struct tensor *x, const struct tensor *y,
                                       double *lambda, struct err *e);

#endif
