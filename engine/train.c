#include "engine/train.h"

#include <string.h>

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

static enum err_kind begin(struct module *m, struct tape *t, struct err *e)
{
    tape_reset(t);
    t->grad_disabled = false;
    return module_need_gradients(m, e);
}

/* Forward, loss, and the gradients of what requires one. */
static enum err_kind backward(struct module *m, const struct loss *l, struct tape *t,
                              struct tensor *x, const struct tensor *y, struct tensor **loss,
                              struct err *e)
{
    struct tensor *output;
    enum err_kind rc = forward(m, l, t, x, y, &output, loss, e);
    if (!rc && (*loss)->requires_grad) /* not so when everything is frozen */
        rc = tape_backward(t, *loss, NULL, false, e);
    return rc;
}

enum err_kind train_backward(struct module *m, const struct loss *l, struct tape *t,
                             const struct tensor *x, const struct tensor *y, double *loss,
                             struct tensor **dx, struct err *e)
{
    struct tensor *value;
    enum err_kind rc = begin(m, t, e);
    if (rc)
        return rc;
    struct tensor *input = tape_alias(t, x);
    if (!input)
        return err_set(e, ERR_NOMEM, "", "no memory for the inputs");
    input->requires_grad = dx != NULL;
    rc = backward(m, l, t, input, y, &value, e);
    if (!rc)
        *loss = scalar_of(value);
    if (!rc && dx)
        *dx = input->grad;
    return rc;
}

/* ---- the same again and again -------------------------------------------------------------- */

enum { TRACED_X, TRACED_Y, TRACED_LOSS };

/* A tensor that sees what x does, through a storage of its own. NULL: no memory. */
static struct tensor *alias_apart(struct tape *t, const struct tensor *x)
{
    struct tensor *seen = tape_alias(t, x);
    struct storage *storage = arena_alloc(&t->arena, sizeof *storage);
    if (!seen || !storage)
        return NULL;
    *storage = *x->storage;
    seen->storage = storage;
    return seen;
}

static enum err_kind traced(struct module *m, const struct loss *l, struct tape *t,
                            const struct tensor *x, const struct tensor *y, double *loss,
                            struct err *e)
{
    enum err_kind rc = begin(m, t, e);
    if (rc)
        return rc;
    struct tensor *input = alias_apart(t, x), *target = alias_apart(t, y), *value;
    if (!input || !target)
        return err_set(e, ERR_NOMEM, "", "no memory for the inputs");
    tape_trace(t, m);
    rc = backward(m, l, t, input, target, &value, e);
    tape_trace_end(t);
    if (rc) {
        tape_forget_trace(t);
        return rc;
    }
    struct tensor *const kept[] = {[TRACED_X] = input, [TRACED_Y] = target, [TRACED_LOSS] = value};
    memcpy(t->trace.kept, kept, sizeof kept);
    *loss = scalar_of(value);
    return ERR_OK;
}

static bool looks_like(const struct tensor *a, const struct tensor *b)
{
    return a->dtype == b->dtype && a->offset == b->offset && shape_equal(&a->shape, &b->shape) &&
           memcmp(a->stride, b->stride, (size_t)a->shape.rank * sizeof *a->stride) == 0;
}

enum err_kind train_backward_again(struct module *m, const struct loss *l, struct tape *t,
                                   const struct tensor *x, const struct tensor *y, double *loss,
                                   struct err *e)
{
    if (m->program) /* what it computes is not all rows */
        return train_backward(m, l, t, x, y, loss, NULL, e);
    struct tensor **kept = t->trace.kept;
    if (!tape_has_trace(t, m) || !looks_like(kept[TRACED_X], x) || !looks_like(kept[TRACED_Y], y))
        return traced(m, l, t, x, y, loss, e);
    kept[TRACED_X]->storage->data = x->storage->data;
    kept[TRACED_Y]->storage->data = y->storage->data;
    tape_repeat(t);
    *loss = scalar_of(kept[TRACED_LOSS]);
    return ERR_OK;
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
