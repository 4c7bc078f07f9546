/* engine/op_pad.c - a tensor with numbers around it, or with its edges cut off. */
#include "engine/op_map.h"

/* What the input and the padded tensor have in common, as views of both. */
static void overlap(const struct op_args *a, struct tensor *in, struct tensor *out)
{
    for (int d = 0; d < in->shape.rank; d++) {
        int64_t cut = a->before[d] < 0 ? -a->before[d] : 0, n;
        int64_t added = a->before[d] > 0 ? a->before[d] : 0;
        n = in->shape.dim[d] - cut;
        n = n < out->shape.dim[d] - added ? n : out->shape.dim[d] - added;
        in->offset += cut * in->stride[d];
        out->offset += added * out->stride[d];
        in->shape.dim[d] = out->shape.dim[d] = n;
    }
}

enum err_kind ISA_FN(constant_pad_nd_infer)(const struct op_call *c, struct tensor *out,
                                            struct err *e)
{
    return shape_make(c->args.shape.dim, c->args.shape.rank, &out->shape, e);
}

void ISA_FN(constant_pad_nd_forward)(const struct op_call *c)
{
    double x = c->args.alpha;
    struct storage storage = {.data = &x};
    struct tensor number = {.storage = &storage, .dtype = DTYPE_FLOAT64, .shape = c->out->shape};
    struct tensor in = *c->in[0], out = *c->out;
    tensor_copy(c->out, &number); /* by strides of 0 */
    overlap(&c->args, &in, &out);
    tensor_copy(&out, &in);
}

void ISA_FN(constant_pad_nd_backward)(const struct op_call *c)
{
    struct tensor in = *c->grad_in[0], out = *c->grad_out;
    set_zero(c->grad_in[0]);
    overlap(&c->args, &in, &out);
    tensor_copy(&in, &out);
}
