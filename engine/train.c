#include "engine/train.h"

static double scalar_of(const struct tensor *t)
{
    return t->dtype == DTYPE_FLOAT32 ? (double)*(const float *)tensor_data(t)
                                     : *(const double *)tensor_data(t);
}

/* Forward and loss; x and y are aliased, so that the caller's tensors stay as they are. */
static enum err_kind forward(struct module *m, const struct loss *l, struct tape *t,
                             struct tensor *x, const struct tensor *y, struct tensor **output,
                             struct tensor **loss, struct err *e)
{
    enum err_kind rc = module_forward(m, t, x, output, e);
    if (rc || !y)
        return rc;
    struct tensor *target = tape_alias(t, y);
    if (!target)
        return err_set(e, ERR_NOMEM, "", "no memory for the target");
    return loss_forward(l, t, *output, target, loss, e);
}

enum err_kind train_backward(struct module *m, const struct loss *l, struct tape *t,
                             const struct tensor *x, const struct tensor *y, double *loss,
                             struct tensor **dx, struct err *e)
{
    struct tensor *output, *value;
    tape_reset(t);
    t->grad_disabled = false;
    enum err_kind rc = module_need_gradients(m, e);
    if (rc)
        return rc;
    struct tensor *input = tape_alias(t, x);
    if (!input)
        return err_set(e, ERR_NOMEM, "", "no memory for the inputs");
    input->requires_grad = dx != NULL;
    rc = forward(m, l, t, input, y, &output, &value, e);
    if (rc)
        return rc;
    *loss = scalar_of(value);
    if (value->requires_grad) /* not so when everything is frozen */
        rc = tape_backward(t, value, NULL, false, e);
    if (dx)
        *dx = input->grad;
    return rc;
}

/* A program's output may be a parameter, or a view. */
static enum err_kind settle(const struct module *m, struct tape *t, struct tensor **y,
                            struct err *e)
{
    if (tensor_is_contiguous(*y) && (*y)->storage != &m->values)
        return ERR_OK;
    struct tensor *copy = tape_tensor(t, (*y)->dtype, &(*y)->shape);
    if (!copy)
        return err_set(e, ERR_NOMEM, "", "no memory for the output");
    tensor_copy(copy, *y);
    *y = copy;
    return ERR_OK;
}

enum err_kind train_evaluate(struct module *m, const struct loss *l, struct tape *t,
                             const struct tensor *x, const struct tensor *y, struct tensor **output,
                             double *loss, struct err *e)
{
    struct tensor *value = NULL;
    tape_reset(t);
    t->grad_disabled = true;
    struct tensor *input = tape_alias(t, x);
    if (!input)
        return err_set(e, ERR_NOMEM, "", "no memory for the inputs");
    enum err_kind rc = forward(m, l, t, input, y, output, &value, e);
    if (!rc && value)
        *loss = scalar_of(value);
    return rc ? rc : settle(m, t, output, e);
}

enum err_kind train_record(struct module *m, const struct loss *l, struct tape *t,
                           const struct shape *x, struct tensor **loss, struct err *e)
{
    struct shape shape;
    struct tensor *output, *input = tape_tensor(t, m->input_dtype, x);
    if (!input)
        return err_set(e, ERR_NOMEM, "", "no memory for the inputs");
    enum err_kind rc = module_forward(m, t, input, &output, e);
    if (!rc)
        rc = loss_target_shape(l, &output->shape, &shape, e);
    if (rc)
        return rc;
    struct tensor *target = tape_tensor(t, loss_target_dtype(l, output->dtype), &shape);
    if (!target)
        return err_set(e, ERR_NOMEM, "", "no memory for the target");
    return loss_forward(l, t, output, target, loss, e);
}
