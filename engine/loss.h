/* engine/loss.h - the losses, by PyTorch's functional names without their ending "_loss".
 *
 * Threads: immutable table; a loss is a value.
 */
#ifndef ENGINE_LOSS_H
#define ENGINE_LOSS_H

#include "engine/options.h"
#include "engine/tape.h"

/* What a loss compares the output with. */
enum target_kind {
    TARGET_LIKE_OUTPUT, /* numbers, of the output's shape and type */
    TARGET_CLASSES,     /* class indices: (rows, …) for an output (rows, classes, …) */
};

struct loss_type {
    struct options options; /* the first one is the reduction */
    enum target_kind target;
    enum err_kind (*forward)(const double *value, struct tape *t, struct tensor *output,
                             struct tensor *target, struct tensor **loss, struct err *e);
};
extern const struct loss_type loss_types[]; /* a NULL type name ends them */
/* NULL: there is no such loss. */
const struct loss_type *loss_find(const char *type);

struct loss {
    const struct loss_type *type;
    double value[OPTIONS_MAX];
};

enum dtype loss_target_dtype(const struct loss *l, enum dtype dtype);
/* The shape of the target for an output of that shape.
 *   errors INVALID: an output that the loss cannot take */
MUST_USE enum err_kind loss_target_shape(const struct loss *l, const struct shape *output,
                                         struct shape *target, struct err *e);
MUST_USE enum err_kind loss_forward(const struct loss *l, struct tape *t, struct tensor *output,
                                    struct tensor *target, struct tensor **loss, struct err *e);
/* The negative log-likelihood of in[0] (classes), or (rows, classes, …), at the classes in[1] (a
 * scalar, or (rows, …)), by the weights in[2] (classes) if there are three inputs. What counts of
 * args: reduction, ignore_index.
 *   errors INVALID what does not fit, in PyTorch's words · NOMEM */
MUST_USE enum err_kind loss_nll(struct tape *t, const struct op_args *args,
                                struct tensor *const *in, int inputs, struct tensor **loss,
                                struct err *e);
/* "mean" or "sum". */
const char *loss_reduction(const struct loss *l);

#endif
