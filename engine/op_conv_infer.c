/* engine/op_conv_infer.c - which convolutions there are, and the words for those there are not.
 *
 * Source: PyTorch, aten/src/ATen/native/Convolution.cpp, check_shape_forward.
 */
#include "engine/op_conv.h"

/* No size or argument is larger, so that their sums and products here are exact. */
#define SIZE_LIMIT INT32_MAX

static enum err_kind check_arguments(const struct conv *k, struct err *e)
{
    if (k->groups <= 0)
        return err_set(e, ERR_INVALID, "", "non-positive groups is not supported");
    for (int i = 0; i < 2; i++) {
        if (k->padding[i] < 0)
            return err_set(e, ERR_INVALID, "", "negative padding is not supported");
        if (k->stride[i] <= 0)
            return err_set(e, ERR_INVALID, "", "non-positive stride is not supported");
        if (k->dilation[i] <= 0)
            return err_set(e, ERR_INVALID, "",
                           "dilation should be greater than zero, but got [%lld, %lld]",
                           (long long)k->dilation[0], (long long)k->dilation[1]);
        if (k->padding[i] > SIZE_LIMIT || k->stride[i] > SIZE_LIMIT || k->dilation[i] > SIZE_LIMIT)
            return err_set(e, ERR_INVALID, "",
                           "stride, padding and dilation of more than %d are not supported",
                           SIZE_LIMIT);
    }
    return ERR_OK;
}

static enum err_kind check_ranks(const struct shape *x, const struct shape *w, struct err *e)
{
    char tx[SHAPE_TEXT_BYTES], tw[SHAPE_TEXT_BYTES];
    if (w->rank < 3)
        return err_set(e, ERR_INVALID, "", "weight should have at least three dimensions");
    if (w->rank == 4 && x->rank == 4)
        return ERR_OK;
    if (w->rank == x->rank)
        return err_set(e, ERR_INVALID, "", "only convolution over two dimensions is supported");
    return err_set(e, ERR_INVALID, "",
                   "Expected %d-dimensional input for %d-dimensional weight %s, but got "
                   "%d-dimensional input of size %s instead",
                   w->rank, w->rank, shape_text(w, tw, sizeof tw), x->rank,
                   shape_text(x, tx, sizeof tx));
}

static enum err_kind check_channels(const struct conv *k, const struct shape *x,
                                    const struct shape *w, struct err *e)
{
    char tx[SHAPE_TEXT_BYTES], tw[SHAPE_TEXT_BYTES];
    long long groups = k->groups, channels = x->dim[1];
    shape_text(x, tx, sizeof tx);
    shape_text(w, tw, sizeof tw);
    if (w->dim[0] < groups)
        return err_set(e, ERR_INVALID, "",
                       "Given groups=%lld, expected weight to be at least %lld at dimension 0, but "
                       "got weight of size %s instead",
                       groups, groups, tw);
    if (w->dim[0] % groups != 0)
        return err_set(e, ERR_INVALID, "",
                       "Given groups=%lld, expected weight to be divisible by %lld at dimension 0, "
                       "but got weight of size [%s] instead",
                       groups, groups, tw);
    if (channels % groups != 0 || channels / groups != w->dim[1])
        return err_set(e, ERR_INVALID, "",
                       "Given groups=%lld, weight of size %s, expected input%s to have %lld "
                       "channels, but got %lld channels instead",
                       groups, tw, tx, groups * (long long)w->dim[1], channels);
    return ERR_OK;
}

static enum err_kind check_bias(const struct op_call *c, struct err *e)
{
    const struct shape *w = &c->in[1]->shape, *bias = c->inputs > 2 ? &c->in[2]->shape : NULL;
    char tw[SHAPE_TEXT_BYTES], tb[SHAPE_TEXT_BYTES];
    if (!bias || (bias->rank == 1 && bias->dim[0] == w->dim[0]))
        return ERR_OK;
    return err_set(e, ERR_INVALID, "",
                   "Given weight of size %s, expected bias to be 1-dimensional with %lld elements, "
                   "but got bias of size %s instead",
                   shape_text(w, tw, sizeof tw), (long long)w->dim[0],
                   shape_text(bias, tb, sizeof tb));
}

static enum err_kind check_sizes(const struct conv *k, const struct shape *x, const struct shape *w,
                                 struct err *e)
{
    char tx[SHAPE_TEXT_BYTES];
    long long padded[2], span[2];
    bool fits = true;
    for (int i = 0; i < 2; i++) {
        int64_t in = x->dim[2 + i], kernel = w->dim[2 + i];
        if (in > SIZE_LIMIT || kernel > SIZE_LIMIT)
            return err_set(e, ERR_INVALID, "",
                           "images of more than %d in height or width are "
                           "not supported",
                           SIZE_LIMIT);
        if (kernel == 0)
            return err_set(e, ERR_INVALID, "",
                           "kernel size should be greater than zero, but got kernel_size: [%lld, "
                           "%lld]",
                           (long long)w->dim[2], (long long)w->dim[3]);
        padded[i] = in + 2 * k->padding[i];
        span[i] = conv_span(kernel, k->dilation[i]);
        fits = fits && span[i] <= padded[i];
    }
    if (!fits)
        return err_set(e, ERR_INVALID, "",
                       "Calculated padded input size per channel: (%lld x %lld). Kernel size: "
                       "(%lld x %lld). Kernel size can't be greater than actual input size",
                       padded[0], padded[1], span[0], span[1]);
    if (x->dim[0] != 0 && x->dim[1] != 0 && (x->dim[2] == 0 || x->dim[3] == 0))
        return err_set(e, ERR_INVALID, "",
                       "Only zero batch or zero channel inputs are supported, but got input shape: "
                       "%s",
                       shape_text(x, tx, sizeof tx));
    return ERR_OK;
}

static const char *c_name(enum dtype dtype)
{
    return dtype == DTYPE_FLOAT32   ? "float"
           : dtype == DTYPE_FLOAT64 ? "double"
           : dtype == DTYPE_INT64   ? "long int"
                                    : "bool";
}

static enum err_kind check_types(const struct op_call *c, struct err *e)
{
    enum dtype x = c->in[0]->dtype, w = c->in[1]->dtype;
    if (c->inputs > 2 && c->in[2]->dtype != x)
        return err_set(e, ERR_INVALID, "", "Input type (%s) and bias type (%s) should be the same",
                       c_name(x), c_name(c->in[2]->dtype));
    if (x != w)
        return err_set(e, ERR_INVALID, "", "expected scalar type %s but found %s",
                       dtype_type_name(x), dtype_type_name(w));
    if (!dtype_is_float(x))
        return err_set(e, ERR_INVALID, "", "\"slow_conv2d_cpu\" not implemented for '%s'",
                       dtype_type_name(x));
    return ERR_OK;
}

/* Without channels there is no output channel either, as PyTorch has it. */
static enum err_kind set_output(const struct op_call *c, struct tensor *out, struct err *e)
{
    const struct shape *x = &c->in[0]->shape, *w = &c->in[1]->shape;
    const struct conv *conv = &c->args.conv;
    int64_t dim[4] = {x->dim[0], x->dim[1] ? w->dim[0] : 0, conv_out_size(conv, x, w, 0),
                      conv_out_size(conv, x, w, 1)};
    enum err_kind rc = shape_make(dim, 4, &out->shape, e);
    if (!rc && c->cost)
        *c->cost += (double)shape_count(&out->shape) * (double)w->dim[1] * (double)w->dim[2] *
                    (double)w->dim[3];
    return rc;
}

enum err_kind ISA_FN(convolution_infer)(const struct op_call *c, struct tensor *out, struct err *e)
{
    const struct shape *x = &c->in[0]->shape, *w = &c->in[1]->shape;
    enum err_kind rc = check_arguments(&c->args.conv, e);
    if (!rc)
        rc = check_ranks(x, w, e);
    if (!rc)
        rc = check_channels(&c->args.conv, x, w, e);
    if (!rc)
        rc = check_bias(c, e);
    if (!rc)
        rc = check_sizes(&c->args.conv, x, w, e);
    if (!rc)
        rc = check_types(c, e);
    return rc ? rc : set_output(c, out, e);
}
