/* engine/op_view.c - other views of the same numbers. */
#include "engine/ops.h"

static void swap_dims(struct tensor *t)
{
    if (t->shape.rank < 2)
        return;
    int64_t dim = t->shape.dim[0], stride = t->stride[0];
    t->shape.dim[0] = t->shape.dim[1];
    t->stride[0] = t->stride[1];
    t->shape.dim[1] = dim;
    t->stride[1] = stride;
}

static void share(const struct tensor *x, struct tensor *view)
{
    view->shape = x->shape;
    view->offset = x->offset;
    for (int d = 0; d < x->shape.rank; d++)
        view->stride[d] = x->stride[d];
}

enum err_kind ISA_FN(t_infer)(const struct op_call *c, struct tensor *out, struct err *e)
{
    if (c->in[0]->shape.rank > 2)
        return err_set(e, ERR_INVALID, "",
                       "t() expects a tensor with <= 2 dimensions, but self is %dD",
                       c->in[0]->shape.rank);
    share(c->in[0], out);
    swap_dims(out);
    return ERR_OK;
}

void ISA_FN(t_forward)(const struct op_call *c)
{
    (void)c; /* the view is all */
}

void ISA_FN(t_backward)(const struct op_call *c)
{
    share(c->grad_out, c->grad_in[0]);
    swap_dims(c->grad_in[0]);
}

enum err_kind ISA_FN(view_infer)(const struct op_call *c, struct tensor *out, struct err *e)
{
    const struct tensor *x = c->in[0];
    if (shape_count(&c->args.shape) != tensor_count(x)) {
        char text[SHAPE_TEXT_BYTES];
        return err_set(e, ERR_INVALID, "", "shape '%s' is invalid for input of size %lld",
                       shape_text(&c->args.shape, text, sizeof text), (long long)tensor_count(x));
    }
    out->shape = c->args.shape;
    out->offset = x->offset;
    tensor_set_contiguous(out);
    return ERR_OK;
}

void ISA_FN(view_forward)(const struct op_call *c)
{
    (void)c;
}

/* grad_in shares the row-major grad_out and has the input's shape already. */
void ISA_FN(view_backward)(const struct op_call *c)
{
    tensor_set_contiguous(c->grad_in[0]);
}
