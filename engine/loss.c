#include "engine/loss.h"

#include <string.h>

/* The options' places; ALPHA is beta or delta. */
enum { REDUCTION, ALPHA, IGNORE_INDEX = ALPHA };

static const char *const reductions[] = {[REDUCTION_MEAN] = "mean", [REDUCTION_SUM] = "sum", NULL};

/* A loss that is one operation on output and target. */
static enum err_kind apply(enum op_id op, const double *value, struct tape *t,
                           struct tensor *output, struct tensor *target, struct tensor **loss,
                           struct err *e)
{
    struct op_args args = {.reduction = (enum reduction)value[REDUCTION], .alpha = value[ALPHA]};
    return op_apply_many(t, op, &args, (struct tensor *[]){output, target}, 2, loss, NULL, e);
}

#define ONE_OP(fn, op)                                                                             \
    static enum err_kind fn(const double *value, struct tape *t, struct tensor *output,            \
                            struct tensor *target, struct tensor **loss, struct err *e)            \
    {                                                                                              \
        return apply(op, value, t, output, target, loss, e);                                       \
    }
ONE_OP(mse, OP_MSE_LOSS)
ONE_OP(bce_with_logits, OP_BCE_LOGITS)
ONE_OP(smooth_l1, OP_SMOOTH_L1)
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

/* ---- of classes ---------------------------------------------------------------------------- */

static enum err_kind check_classes(const struct shape *x, const struct shape *y, struct err *e)
{
    char tx[SHAPE_TEXT_BYTES], ty[SHAPE_TEXT_BYTES];
    struct shape want = *x;
    want.rank--;
    memmove(want.dim + 1, x->dim + 2, (size_t)(want.rank - 1) * sizeof x->dim[0]);
    if (y->rank == 0 || x->dim[0] != y->dim[0])
        return err_set(e, ERR_INVALID, "",
                       "Expected input batch_size (%lld) to match target batch_size (%lld).",
                       (long long)x->dim[0], y->rank ? (long long)y->dim[0] : 0);
    if (!shape_equal(&want, y))
        return err_set(e, ERR_INVALID, "", "Expected target size %s, got %s",
                       shape_text(&want, tx, sizeof tx), shape_text(y, ty, sizeof ty));
    return ERR_OK;
}

/* x.contiguous().view(shape) */
static enum err_kind view(struct tape *t, struct tensor *x, struct shape shape, struct tensor **y,
                          struct err *e)
{
    struct op_args args = {.shape = shape};
    enum err_kind rc = ERR_OK;
    if (!tensor_is_contiguous(x))
        rc = op_apply(t, OP_CLONE, NULL, &x, &x, e);
    return rc ? rc : op_apply(t, OP_VIEW, &args, &x, y, e);
}

/* (rows, classes, …) is seen as images of one row, for which PyTorch has its own operation. */
static enum err_kind nll_as_images(struct tape *t, const struct op_args *args,
                                   struct tensor *const *in, int inputs, struct tensor **loss,
                                   struct err *e)
{
    struct tensor *seen[3] = {in[0], in[1], inputs > 2 ? in[2] : NULL};
    struct shape target = in[1]->shape;
    int64_t rows = in[0]->shape.dim[0], classes = in[0]->shape.dim[1], count = tensor_count(in[0]),
            targets = tensor_count(in[1]);
    struct shape as_images = {4, {rows, classes, count != 0, count ? count / classes / rows : 0}},
                 as_targets = {3, {rows, targets != 0, targets ? targets / rows : 0}};
    enum err_kind rc = check_classes(&in[0]->shape, &target, e);
    if (!rc)
        rc = view(t, in[0], as_images, &seen[0], e);
    if (!rc)
        rc = view(t, in[1], as_targets, &seen[1], e);
    if (!rc)
        rc = op_apply_many(t, OP_NLL_LOSS2D, args, seen, inputs, loss, NULL, e);
    if (!rc && args->reduction == REDUCTION_NONE)
        rc = view(t, *loss, target, loss, e);
    return rc;
}

enum err_kind loss_nll(struct tape *t, const struct op_args *args, struct tensor *const *in,
                       int inputs, struct tensor **loss, struct err *e)
{
    int rank = in[0]->shape.rank;
    if (rank < 1)
        return err_set(e, ERR_INVALID, "", "Expected 1 or more dimensions (got 0)");
    if (rank == 3 || rank > 4)
        return nll_as_images(t, args, in, inputs, loss, e);
    enum op_id id = rank == 4 ? OP_NLL_LOSS2D : OP_NLL_LOSS;
    return op_apply_many(t, id, args, in, inputs, loss, NULL, e);
}

static enum err_kind cross_entropy(const double *value, struct tape *t, struct tensor *output,
                                   struct tensor *target, struct tensor **loss, struct err *e)
{
    struct op_args along = {.dim = 1}, nll = {.reduction = (enum reduction)value[REDUCTION],
                                              .ignore_index = (int64_t)value[IGNORE_INDEX]};
    struct tensor *in[] = {output, target};
    enum err_kind rc = op_apply(t, OP_LOG_SOFTMAX, &along, in, &in[0], e);
    return rc ? rc : loss_nll(t, &nll, in, 2, loss, e);
}

/* ---- the table ------------------------------------------------------------------------------- */

#define BY_REDUCTION                                                                               \
    {                                                                                              \
        .name = "reduction", .kind = OPTION_CHOICE, .choices = reductions                          \
    }

const struct loss_type loss_types[] = {
    {{"mse", {BY_REDUCTION}}, TARGET_LIKE_OUTPUT, mse},
    {{"bce_with_logits", {BY_REDUCTION}}, TARGET_LIKE_OUTPUT, bce_with_logits},
    {{"cross_entropy",
      {BY_REDUCTION,
       {.name = "ignore_index",
        .kind = OPTION_INTEGER,
        .fallback = -100,
        .min = -OPTION_INT_MAX,
        .max = OPTION_INT_MAX}}},
     TARGET_CLASSES,
     cross_entropy},
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
