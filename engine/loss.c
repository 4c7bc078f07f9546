#include "engine/loss.h"

#include <string.h>

enum { REDUCTION, ALPHA }; /* the options' places; the second is beta or delta */

static const char *const reductions[] = {[REDUCTION_MEAN] = "mean", [REDUCTION_SUM] = "sum", NULL};

/* A loss that is one operation on output and target. */
static enum err_kind apply(enum op_id op, const double *value, struct tape *t,
                           struct tensor *output, struct tensor *target, struct tensor **loss,
                           struct err *e)
{
    struct op_args args = {.reduction = (enum reduction)value[REDUCTION], .alpha = value[ALPHA]};
    return op_apply(t, op, &args, (struct tensor *[]){output, target}, loss, e);
}

#define ONE_OP(fn, op)                                                                             \
    static enum err_kind fn(const double *value, struct tape *t, struct tensor *output,            \
                            struct tensor *target, struct tensor **loss, struct err *e)            \
    {                                                                                              \
        return apply(op, value, t, output, target, loss, e);                                       \
    }
ONE_OP(mse, OP_MSE_LOSS)
ONE_OP(bce_with_logits, OP_BCE_LOGITS)
ONE_OP(huber, OP_HUBER)

/* |output - target|, summed or averaged: three operations, as in PyTorch. */
static enum err_kind l1(const double *value, struct tape *t, struct tensor *output,
                        struct tensor *target, struct tensor **loss, struct err *e)
{
    struct tensor *difference, *magnitude;
    enum op_id reduce = value[REDUCTION] == REDUCTION_MEAN ? OP_MEAN : OP_SUM;
    enum err_kind rc =
        op_apply(t, OP_SUB, NULL, (struct tensor *[]){output, target}, &difference, e);
    if (!rc)
        rc = op_apply(t, OP_ABS, NULL, &difference, &magnitude, e);
    if (!rc)
        rc = op_apply(t, reduce, NULL, &magnitude, loss, e);
    return rc;
}

/* Without a quadratic part it is l1, whose slope at 0 is 0. */
static enum err_kind smooth_l1(const double *value, struct tape *t, struct tensor *output,
                               struct tensor *target, struct tensor **loss, struct err *e)
{
    if (value[ALPHA] == 0)
        return l1(value, t, output, target, loss, e);
    return apply(OP_SMOOTH_L1, value, t, output, target, loss, e);
}

static enum err_kind cross_entropy(const double *value, struct tape *t, struct tensor *output,
                                   struct tensor *target, struct tensor **loss, struct err *e)
{
    struct tensor *log_probability;
    struct op_args classes = {.dim = 1};
    enum err_kind rc = op_apply(t, OP_LOG_SOFTMAX, &classes, &output, &log_probability, e);
    return rc ? rc : apply(OP_NLL_LOSS, value, t, log_probability, target, loss, e);
}

#define BY_REDUCTION                                                                               \
    {                                                                                              \
        .name = "reduction", .kind = OPTION_CHOICE, .choices = reductions                          \
    }

const struct loss_type loss_types[] = {
    {{"mse", {BY_REDUCTION}}, TARGET_LIKE_OUTPUT, mse},
    {{"bce_with_logits", {BY_REDUCTION}}, TARGET_LIKE_OUTPUT, bce_with_logits},
    {{"cross_entropy", {BY_REDUCTION}}, TARGET_CLASSES, cross_entropy},
    {{"l1", {BY_REDUCTION}}, TARGET_LIKE_OUTPUT, l1},
    {{"smooth_l1",
      {BY_REDUCTION,
       {.name = "beta", .kind = OPTION_NUMBER, .fallback = 1, .min = 0, .max = INFINITY}}},
     TARGET_LIKE_OUTPUT,
     smooth_l1},
    {{"huber",
      {BY_REDUCTION,
       {.name = "delta",
        .kind = OPTION_NUMBER,
        .fallback = 1,
        .min = 0,
        .above = true,
        .max = INFINITY}}},
     TARGET_LIKE_OUTPUT,
     huber},
    {.options = {.type = NULL}},
};

const struct loss_type *loss_find(const char *type)
{
    for (const struct loss_type *l = loss_types; l->options.type; l++)
        if (!strcmp(l->options.type, type))
            return l;
    return NULL;
}

enum dtype loss_target_dtype(const struct loss *l, enum dtype dtype)
{
    return l->type->target == TARGET_CLASSES ? DTYPE_INT64 : dtype;
}

enum err_kind loss_target_shape(const struct loss *l, const struct shape *output,
                                struct shape *target, struct err *e)
{
    *target = *output;
    if (l->type->target == TARGET_LIKE_OUTPUT)
        return ERR_OK;
    if (output->rank < 2)
        return err_set(e, ERR_INVALID, "", "%s needs an output of shape (rows, classes, …)",
                       l->type->options.type);
    target->rank--;
    memmove(target->dim + 1, output->dim + 2, (size_t)(output->rank - 2) * sizeof output->dim[0]);
    return ERR_OK;
}

enum err_kind loss_forward(const struct loss *l, struct tape *t, struct tensor *output,
                           struct tensor *target, struct tensor **loss, struct err *e)
{
    return l->type->forward(l->value, t, output, target, loss, e);
}

const char *loss_reduction(const struct loss *l)
{
    return reductions[(int)l->value[REDUCTION]];
}
