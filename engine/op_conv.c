/* engine/op_conv.c - convolution over height and width, with stride, padding, dilation, groups.
 *
 * Of each image and group the output is a product of matrices:
 *     y (outs, pixels) = w (outs, taps) · windows (taps, pixels)
 * A tap is a weight of an output channel: (channel, row, column) of the kernel, in that order. The
 * windows hold what each tap meets at each output pixel, 0 in the padding. They are made in
 * c->room, a block of taps and pixels at a time, whose size depends on nothing but the shapes.
 *
 * What is promised, on every instruction set:
 *     an output     is one chain of matmul.h over its taps, then the bias is added; so a kernel as
 *                   large as the image gives the bits of a linear layer over the flattened image
 *     a weight's    gradient is one chain over the images and their pixels
 *     an input's    gradient is, for each tap that meets it at a pixel, one chain over the output
 *                   channels; these are added up in the order of the blocks, taps and pixels
 *     the bias's    gradient is summed as op_reduce.h says
 * and an image's output and gradient are the same alone and in a batch.
 *
 * Where the input is its own windows none are made: for a kernel of one tap and for one of the
 * image's size. In the second case one product does the whole batch, so the weights, which are
 * most of it, are read once.
 */
#include <string.h>

#include "engine/op_conv.h"
#include "engine/op_reduce.h"

/* A block has fewer pixels than this only if there are no more. */
#define PIXELS_MIN 64

/* From one to the next, in elements. `row` is a tap of the windows, a channel of the output. */
struct steps {
    int64_t image, group, row, pixel;
};

/* Of one convolution. [0] is along the height, [1] along the width. */
struct geometry {
    struct conv conv;
    int64_t images, outs, taps, pixels; /* outs, taps: of a group */
    int64_t in[2], kernel[2], out[2];
    bool no_windows;
    struct steps x, y;
};

/* What is computed at a time; `windows` says where its windows are, or go. */
struct block {
    int64_t image, group, tap, taps, pixel, pixels;
    struct matrix windows;
};

static int64_t smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* Several images of one pixel, which have no windows, are one image of several pixels. */
static void merge_images(struct geometry *g)
{
    g->pixels = g->images;
    g->x.pixel = g->x.image;
    g->y.pixel = g->y.image;
    g->images = 1;
}

/* Of one whose output is not empty: then all these products are of no more than there is. */
static struct geometry geometry_of(const struct conv *conv, const struct shape *x,
                                   const struct shape *w)
{
    struct geometry g = {.conv = *conv, .images = x->dim[0], .pixels = 1, .taps = w->dim[1]};
    int64_t size = 1;
    bool one_tap = true, whole = true;
    for (int i = 0; i < 2; i++) {
        int64_t in = x->dim[2 + i], kernel = w->dim[2 + i], pad = conv->padding[i];
        g.in[i] = in;
        g.kernel[i] = kernel;
        g.out[i] = conv_out_size(conv, x, w, i);
        g.taps *= kernel;
        g.pixels *= g.out[i];
        size *= in;
        one_tap = one_tap && kernel == 1 && conv->stride[i] == 1 && pad == 0;
        whole = whole && kernel == in && pad == 0;
    }
    g.outs = w->dim[0] / conv->groups;
    g.no_windows = one_tap || whole;
    g.x = (struct steps){x->dim[1] * size, w->dim[1] * size, g.pixels, 1};
    g.y = (struct steps){w->dim[0] * g.pixels, g.outs * g.pixels, g.pixels, 1};
    if (g.no_windows && g.pixels == 1)
        merge_images(&g);
    return g;
}

/* The run of output pixels [from, to) of n that stand in one output row from `column` on, at which
 * tap (row, column) of the kernel meets the image; `at` is what it meets first, in the channel. */
struct meeting {
    int64_t from, to, at;
};

static struct meeting meet(const struct geometry *g, const int64_t tap[2], int64_t out_row,
                           int64_t out_column, int64_t n)
{
    const struct conv *k = &g->conv;
    int64_t step = k->stride[1];
    int64_t row = out_row * k->stride[0] - k->padding[0] + tap[0] * k->dilation[0];
    int64_t column = out_column * step - k->padding[1] + tap[1] * k->dilation[1];
    if (row < 0 || row >= g->in[0] || column >= g->in[1])
        return (struct meeting){0, 0, 0};
    int64_t from = column < 0 ? (-column + step - 1) / step : 0;
    int64_t to = (g->in[1] - 1 - column) / step + 1;
    from = smaller(from, n);
    to = larger(smaller(to, n), from);
    return (struct meeting){from, to, row * g->in[1] + column + from * step};
}

/* The i-th tap of a group: its row and column in the kernel. Returns its channel. */
static int64_t tap_at(const struct geometry *g, int64_t i, int64_t tap[2])
{
    tap[1] = i % g->kernel[1];
    tap[0] = i / g->kernel[1] % g->kernel[0];
    return i / (g->kernel[0] * g->kernel[1]);
}

#define REAL float
#include "engine/op_conv.inc"
#define REAL double
#include "engine/op_conv.inc"

/* ---- blocks ---------------------------------------------------------------------------------- */

/* The numbers of a convolution: x, w, y, or of a backward their gradients. */
struct convolution {
    const struct op_call *call;
    struct geometry g;
    enum dtype dtype;
    const struct tensor *x, *w, *y;
};

static void *at(const struct tensor *t, int64_t i)
{
    return (char *)tensor_data(t) + (size_t)i * dtype_bytes(t->dtype);
}

/* y's part of the block (outs, pixels). */
static struct matrix outs_of(const struct convolution *v, const struct block *b)
{
    const struct steps *s = &v->g.y;
    int64_t i = b->image * s->image + b->group * s->group + b->pixel * s->pixel;
    return (struct matrix){at(v->y, i), s->row, s->pixel};
}

/* w's part of the block (outs, taps). */
static struct matrix taps_of(const struct convolution *v, const struct block *b)
{
    int64_t i = b->group * v->g.outs * v->g.taps + b->tap;
    return (struct matrix){at(v->w, i), v->g.taps, 1};
}

static struct matrix transposed(struct matrix m)
{
    return (struct matrix){m.data, m.col_stride, m.row_stride};
}

/* Where the block's windows are: x itself, or the room. */
static struct matrix place_windows(const struct convolution *v, const struct block *b)
{
    const struct steps *s = &v->g.x;
    if (!v->g.no_windows)
        return (struct matrix){v->call->room, b->pixels, 1};
    return (struct matrix){at(v->x, b->image * s->image + b->group * s->group), s->row, s->pixel};
}

typedef void visit_fn(const struct convolution *v, const struct block *b);

static void each_part(const struct convolution *v, struct block *b, visit_fn *visit)
{
    const struct geometry *g = &v->g;
    int64_t room = (int64_t)(ROOM_BYTES / dtype_bytes(v->dtype)), pixels = g->pixels,
            taps = g->taps;
    if (!g->no_windows) {
        pixels = smaller(pixels, larger(PIXELS_MIN, room / taps));
        pixels = smaller(pixels, room);
        taps = smaller(taps, room / pixels);
    }
    for (b->pixel = 0; b->pixel < g->pixels; b->pixel += pixels)
        for (b->tap = 0; b->tap < g->taps; b->tap += taps) {
            b->pixels = smaller(pixels, g->pixels - b->pixel);
            b->taps = smaller(taps, g->taps - b->tap);
            b->windows = place_windows(v, b);
            visit(v, b);
        }
}

static void each_block(const struct convolution *v, visit_fn *visit)
{
    struct block b = {.image = 0};
    for (b.group = 0; b.group < v->g.conv.groups; b.group++)
        for (b.image = 0; b.image < v->g.images; b.image++)
            each_part(v, &b, visit);
}

static void fill_windows(const struct convolution *v, const struct block *b)
{
    if (!v->g.no_windows)
        BY_TYPE(v->dtype, fill_windows, &v->g, b, tensor_data(v->x));
}

static void multiply(const struct convolution *v, struct matmul_args args)
{
    args.dtype = v->dtype;
    args.workspace = v->call->workspace;
    matmul_shared(ISA_FN(matmul), &args, v->call->crew);
}

/* ---- forward and the three gradients --------------------------------------------------------- */

/* y = w windows + bias */
static void forward_block(const struct convolution *v, const struct block *b)
{
    struct matrix bias = {NULL, 0, 0};
    bool last = b->tap + b->taps == v->g.taps;
    if (v->call->inputs > 2 && last)
        bias = (struct matrix){at(v->call->in[2], b->group * v->g.outs), 1, 0};
    fill_windows(v, b);
    multiply(v, (struct matmul_args){.m = v->g.outs,
                                     .n = b->pixels,
                                     .k = b->taps,
                                     .continues = b->tap > 0,
                                     .a = taps_of(v, b),
                                     .b = b->windows,
                                     .add = bias,
                                     .c = outs_of(v, b)});
}

/* dw = dy windowsᵀ, over all images and pixels */
static void weight_block(const struct convolution *v, const struct block *b)
{
    fill_windows(v, b);
    multiply(v, (struct matmul_args){.m = v->g.outs,
                                     .n = b->taps,
                                     .k = b->pixels,
                                     .continues = b->image > 0 || b->pixel > 0,
                                     .a = outs_of(v, b),
                                     .b = transposed(b->windows),
                                     .c = taps_of(v, b)});
}

/* The windows' gradient = wᵀ dy; what overlaps in dx, which is 0 at first, is added up. */
static void input_block(const struct convolution *v, const struct block *b)
{
    multiply(v, (struct matmul_args){.m = b->taps,
                                     .n = b->pixels,
                                     .k = v->g.outs,
                                     .a = transposed(taps_of(v, b)),
                                     .b = outs_of(v, b),
                                     .c = b->windows});
    if (!v->g.no_windows)
        BY_TYPE(v->dtype, add_windows, &v->g, b, tensor_data(v->x));
}

void ISA_FN(convolution_forward)(const struct op_call *c)
{
    struct convolution v = {.call = c, .dtype = c->out->dtype, .y = c->out};
    v.x = c->in[0];
    v.w = c->in[1];
    if (tensor_count(c->out) == 0)
        return;
    v.g = geometry_of(&c->args.conv, &v.x->shape, &v.w->shape);
    each_block(&v, forward_block);
}

/* db = the sum of dy over all but its channels */
static void bias_gradient(struct tensor *bias, const struct tensor *g)
{
    struct tensor channels = *bias;
    channels.shape = (struct shape){.rank = 3, .dim = {bias->shape.dim[0], 1, 1}};
    tensor_set_contiguous(&channels);
    ISA_FN(sum_to)(&channels, g, NULL, 1);
}

static void clear(struct tensor *t)
{
    memset(tensor_data(t), 0, (size_t)tensor_count(t) * dtype_bytes(t->dtype));
}

void ISA_FN(convolution_backward)(const struct op_call *c)
{
    struct convolution v = {.call = c, .dtype = c->grad_out->dtype, .y = c->grad_out};
    struct tensor *dx = c->grad_in[0], *dw = c->grad_in[1];
    bool nothing = tensor_count(c->grad_out) == 0;
    for (int i = 0; i < c->inputs; i++)
        if (nothing && c->grad_in[i])
            clear(c->grad_in[i]);
    if (nothing)
        return;
    v.g = geometry_of(&c->args.conv, &c->in[0]->shape, &c->in[1]->shape);
    if (c->inputs > 2 && c->grad_in[2])
        bias_gradient(c->grad_in[2], c->grad_out);
    if (dx) {
        if (!v.g.no_windows)
            clear(dx);
        v.x = dx;
        v.w = c->in[1];
        each_block(&v, input_block);
    }
    if (dw) {
        v.x = c->in[0];
        v.w = dw;
        each_block(&v, weight_block);
    }
}
