/* engine/op_conv.h - the sizes of a convolution, for its kernel files. */
#ifndef ENGINE_OP_CONV_H
#define ENGINE_OP_CONV_H

#include "engine/ops.h"

/* What a kernel covers. */
static inline int64_t conv_span(int64_t kernel, int64_t dilation)
{
    return dilation * (kernel - 1) + 1;
}

/* Rows (i 0) or columns (i 1) of the output of images x and kernels w. */
static inline int64_t conv_out_size(const struct conv *conv, const struct shape *x,
                                    const struct shape *w, int i)
{
    int64_t padded = x->dim[2 + i] + 2 * conv->padding[i];
    return (padded - conv_span(w->dim[2 + i], conv->dilation[i])) / conv->stride[i] + 1;
}

#endif
