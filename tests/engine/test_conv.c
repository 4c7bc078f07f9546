/* The convolution: against the formula in plain double arithmetic, and what op_conv.c promises of
 * its bits. */
#include "engine/simd.h"

#include "tests/engine/lab.h"

#define F32 DTYPE_FLOAT32
#define F64 DTYPE_FLOAT64

/* One convolution: its geometry, and on each instruction set the tensors of it. */
struct setting {
    struct conv conv;
    int64_t images, channels, outs; /* all of them, of all groups */
    int64_t in[2], kernel[2];
};

struct trial {
    struct tensor *x, *w, *b, *y, *g;
};

/* The same numbers each time for the same seed. */
static struct trial run(struct lab *l, const struct setting *s, enum dtype dtype)
{
    struct op_args args = {.conv = s->conv};
    l->seed = (uint64_t)(s->images * 7 + s->channels * 5 + s->outs * 3 + s->in[0] + s->kernel[1]);
    struct trial t = {
        .x = lab_leaf(l, dtype, SHAPE(s->images, s->channels, s->in[0], s->in[1])),
        .w = lab_leaf(l, dtype,
                      SHAPE(s->outs, s->channels / s->conv.groups, s->kernel[0], s->kernel[1])),
        .b = lab_leaf(l, dtype, SHAPE(s->outs)),
    };
    t.y = lab_apply(l, OP_CONVOLUTION, &args, t.x, t.w, t.b);
    t.g = lab_leaf(l, dtype, t.y->shape);
    lab_backward(l, t.y, t.g, false);
    return t;
}

static bool same_numbers(const struct tensor *a, const struct tensor *b)
{
    return tensor_count(a) == tensor_count(b) &&
           memcmp(tensor_data(a), tensor_data(b),
                  (size_t)tensor_count(a) * dtype_bytes(a->dtype)) == 0;
}

/* ---- the formula ----------------------------------------------------------------------------- */

static double fused(enum dtype dtype, double a, double b, double c)
{
    return dtype == F32 ? (double)fmaf((float)a, (float)b, (float)c) : fma(a, b, c);
}

/* Where tap i of group `group` meets image n at the output pixel; -1: in the padding. */
static int64_t met(const struct setting *s, const struct trial *t, int64_t n, int64_t group,
                   int64_t i, int64_t pixel)
{
    const struct conv *k = &s->conv;
    int64_t width = t->y->shape.dim[3], channels = s->channels / k->groups;
    int64_t row = pixel / width * k->stride[0] - k->padding[0] +
                  i / s->kernel[1] % s->kernel[0] * k->dilation[0];
    int64_t column =
        pixel % width * k->stride[1] - k->padding[1] + i % s->kernel[1] * k->dilation[1];
    int64_t channel = group * channels + i / (s->kernel[0] * s->kernel[1]);
    if (row < 0 || row >= s->in[0] || column < 0 || column >= s->in[1])
        return -1;
    return ((n * s->channels + channel) * s->in[0] + row) * s->in[1] + column;
}

/* What the outputs and gradients come to: the outputs as the chain that is promised, the gradients
 * in double. Plain arrays of the tensors' numbers. */
struct sums {
    double *y, *dx, *dw, *db;
};

static double *zeros(struct lab *l, int64_t n)
{
    double *x = arena_alloc(&l->memory, (size_t)n * sizeof *x);
    assert_non_null(x);
    memset(x, 0, (size_t)n * sizeof *x);
    return x;
}

static double *numbers_of(struct lab *l, const struct tensor *t)
{
    double *x = zeros(l, tensor_count(t));
    for (int64_t i = 0; i < tensor_count(t); i++)
        x[i] = lab_get(t, i);
    return x;
}

static struct sums reckon(struct lab *l, const struct setting *s, const struct trial *t)
{
    struct sums r = {zeros(l, tensor_count(t->y)), zeros(l, tensor_count(t->x)),
                     zeros(l, tensor_count(t->w)), zeros(l, tensor_count(t->b))};
    const double *x = numbers_of(l, t->x), *w = numbers_of(l, t->w), *b = numbers_of(l, t->b),
                 *g = numbers_of(l, t->g);
    int64_t pixels = t->y->shape.dim[2] * t->y->shape.dim[3],
            taps = tensor_count(t->w) / (s->outs ? s->outs : 1);
    for (int64_t at = 0; at < tensor_count(t->y); at++) {
        int64_t pixel = at % pixels, out = at / pixels % s->outs, n = at / pixels / s->outs;
        int64_t group = out / (s->outs / s->conv.groups);
        double sum = 0;
        for (int64_t i = 0; i < taps; i++) {
            int64_t from = met(s, t, n, group, i, pixel);
            sum = fused(t->y->dtype, w[out * taps + i], from < 0 ? 0 : x[from], sum);
            if (from >= 0) {
                r.dx[from] += g[at] * w[out * taps + i];
                r.dw[out * taps + i] += g[at] * x[from];
            }
        }
        r.y[at] = t->y->dtype == F32 ? (double)((float)sum + (float)b[out]) : sum + b[out];
        r.db[out] += g[at];
    }
    return r;
}

static void assert_near(const char *what, const struct setting *s, const struct tensor *got,
                        const double *want, double tolerance)
{
    double largest = 0;
    for (int64_t i = 0; i < tensor_count(got); i++)
        largest = fmax(largest, fabs(want[i]));
    for (int64_t i = 0; i < tensor_count(got); i++)
        if (!(fabs(lab_get(got, i) - want[i]) <= tolerance * largest))
            fail_msg("%s[%d] of %dx%d by %dx%d: %.17g, not %.17g", what, (int)i, (int)s->in[0],
                     (int)s->in[1], (int)s->kernel[0], (int)s->kernel[1], lab_get(got, i), want[i]);
}

static void check(const struct setting *s, enum dtype dtype)
{
    struct lab *base = &isa_lab[isa_labs - 1];
    double tolerance = dtype == F32 ? 2e-5 : 1e-13;
    lab_clear(base);
    struct trial want = run(base, s, dtype);
    struct sums r = reckon(base, s, &want);
    assert_near("output", s, want.y, r.y, 0);
    assert_near("gradient of the input", s, want.x->grad, r.dx, tolerance);
    assert_near("gradient of the weight", s, want.w->grad, r.dw, tolerance);
    assert_near("gradient of the bias", s, want.b->grad, r.db, tolerance);
    for (int k = 0; k + 1 < isa_labs; k++) {
        lab_clear(&isa_lab[k]);
        struct trial t = run(&isa_lab[k], s, dtype);
        assert_true(same_numbers(t.y, want.y) && same_numbers(t.x->grad, want.x->grad));
        assert_true(same_numbers(t.w->grad, want.w->grad) && same_numbers(t.b->grad, want.b->grad));
    }
}

static int64_t draw_below(struct lab *l, int64_t n)
{
    return (int64_t)(fabs(lab_draw(l)) * (double)n);
}

/* Any that fits. */
static struct setting draw_setting(struct lab *l)
{
    struct setting s = {.images = 1 + draw_below(l, 3)};
    s.conv.groups = 1 + draw_below(l, 3);
    s.channels = s.conv.groups * (1 + draw_below(l, 3));
    s.outs = s.conv.groups * (1 + draw_below(l, 4));
    for (int i = 0; i < 2; i++) {
        s.kernel[i] = 1 + draw_below(l, 4);
        s.conv.stride[i] = 1 + draw_below(l, 3);
        s.conv.padding[i] = draw_below(l, 4);
        s.conv.dilation[i] = 1 + draw_below(l, 3);
        int64_t least = s.conv.dilation[i] * (s.kernel[i] - 1) + 1 - 2 * s.conv.padding[i];
        s.in[i] = (least > 1 ? least : 1) + draw_below(l, 8);
    }
    return s;
}

static void any_convolution_is_the_formula(void **state)
{
    (void)state;
    struct lab draw = {.seed = 11};
    for (int i = 0; i < 150; i++) {
        struct setting s = draw_setting(&draw);
        check(&s, F32);
        check(&s, F64);
    }
}

#define ONE_BY_ONE                                                                                 \
    {                                                                                              \
        {1, 1}, {0, 0}, {1, 1}, 1                                                                  \
    }

static void blocks_of_pixels_and_taps_go_on(void **state)
{
    (void)state;
    static const struct setting settings[] = {
        /* more pixels than the room has columns of 75 taps for */
        {{{1, 1}, {2, 2}, {1, 1}, 1}, 1, 3, 2, {90, 100}, {5, 5}},
        {{{1, 2}, {1, 3}, {2, 1}, 1}, 2, 3, 2, {70, 151}, {5, 5}},
        /* more taps than the room has rows of the fewest pixels for */
        {{{1, 1}, {1, 1}, {1, 1}, 1}, 1, 600, 2, {9, 10}, {3, 3}},
        {{{1, 1}, {1, 0}, {1, 1}, 2}, 2, 1400, 2, {5, 6}, {3, 3}},
        /* a pixel is more than the room */
        {{{1, 1}, {1, 0}, {1, 1}, 1}, 1, 20000, 1, {4, 4}, {4, 4}},
        /* no windows: more than the room has bytes for */
        {ONE_BY_ONE, 2, 40, 3, {110, 90}, {1, 1}},
        {ONE_BY_ONE, 3, 3000, 3, {9, 10}, {9, 10}},
    };
    for (size_t i = 0; i < COUNT(settings); i++) {
        check(&settings[i], F32);
        check(&settings[i], F64);
    }
}

/* ---- an image alone -------------------------------------------------------------------------- */

static void an_image_is_the_same_alone_and_in_a_batch(void **state)
{
    (void)state;
    static const struct setting settings[] = {
        {{{2, 1}, {1, 1}, {1, 1}, 2}, 5, 4, 6, {9, 8}, {3, 3}},
        {ONE_BY_ONE, 5, 4, 6, {7, 3}, {1, 1}},
        {ONE_BY_ONE, 5, 4, 6, {7, 3}, {7, 3}},
    };
    struct lab *l = &isa_lab[0];
    for (size_t i = 0; i < COUNT(settings); i++) {
        const struct setting *s = &settings[i];
        struct op_args args = {.conv = s->conv};
        lab_clear(l);
        struct trial t = run(l, s, F32);
        int64_t size = tensor_count(t.x) / s->images, outs = tensor_count(t.y) / s->images;
        for (int64_t n = 0; n < s->images; n++) {
            struct shape one = t.x->shape, one_out = t.y->shape;
            struct tensor x, g;
            one.dim[0] = one_out.dim[0] = 1;
            tensor_wrap(&x, t.x->storage, F32, &one, n * size);
            tensor_wrap(&g, t.g->storage, F32, &one_out, n * outs);
            x.requires_grad = true;
            struct tensor *y = lab_apply(l, OP_CONVOLUTION, &args, &x, t.w, t.b);
            lab_backward(l, y, &g, false);
            assert_memory_equal(tensor_data(y), (float *)tensor_data(t.y) + n * outs,
                                (size_t)outs * sizeof(float));
            assert_memory_equal(tensor_data(x.grad), (float *)tensor_data(t.x->grad) + n * size,
                                (size_t)size * sizeof(float));
        }
    }
}

/* ---- a kernel of the image's size is a linear layer ------------------------------------------ */

static struct tensor *drawn(struct lab *l, struct shape shape)
{
    struct tensor *t = lab_zeros(l, F32, shape);
    float *x = tensor_data(t);
    for (int64_t i = 0; i < tensor_count(t); i++) {
        l->seed = l->seed * 6364136223846793005u + 1442695040888963407u;
        x[i] = (float)(int32_t)(l->seed >> 32) * 0x1p-31f;
    }
    return t;
}

static struct tensor *flat(struct lab *l, struct tensor *x)
{
    int64_t rows = x->shape.dim[0];
    struct op_args args = {.shape = {.rank = 2, .dim = {rows, tensor_count(x) / rows}}};
    return lab_apply(l, OP_VIEW, &args, x, NULL, NULL);
}

/* y = x wᵀ + b over the flattened images and kernels. */
static struct tensor *linear(struct lab *l, struct tensor *x, struct tensor *w, struct tensor *b)
{
    struct tensor *wt = lab_apply(l, OP_T, NULL, flat(l, w), NULL, NULL);
    return lab_apply(l, OP_ADDMM, NULL, b, flat(l, x), wt);
}

static void compare_with_linear(struct lab *l, int64_t images, int64_t channels, int64_t outs,
                                bool weights_too)
{
    const struct op_args args = {.conv = ONE_BY_ONE};
    struct tensor *in[] = {drawn(l, SHAPE(images, channels, 7, 7)),
                           drawn(l, SHAPE(outs, channels, 7, 7)), drawn(l, SHAPE(outs))};
    struct tensor *grad[3];
    in[0]->requires_grad = in[2]->requires_grad = true;
    in[1]->requires_grad = weights_too;
    struct tensor *y = lab_apply(l, OP_CONVOLUTION, &args, in[0], in[1], in[2]);
    assert_true(shape_equal(&y->shape, &SHAPE(images, outs, 1, 1)));
    struct tensor *g = drawn(l, y->shape), rows = *g;
    lab_backward(l, y, g, false);
    for (int i = 0; i < 3; i++) {
        grad[i] = in[i]->grad;
        in[i]->grad = NULL;
    }
    struct tensor *z = linear(l, in[0], in[1], in[2]);
    rows.shape.rank = 2;
    lab_backward(l, z, &rows, false);
    assert_true(same_numbers(y, z));
    for (int i = 0; i < 3; i++)
        assert_true(!grad[i] == !in[i]->grad && (!grad[i] || same_numbers(grad[i], in[i]->grad)));
}

static void a_kernel_of_the_images_size_is_a_linear_layer(void **state)
{
    (void)state;
    for (int k = 0; k < isa_labs; k++)
        for (int64_t images = 1; images <= 9; images += 4) {
            lab_clear(&isa_lab[k]);
            compare_with_linear(&isa_lab[k], images, 24, 70, true);
        }
    lab_clear(&isa_lab[0]);
    if (SIMD_SANITIZED)
        compare_with_linear(&isa_lab[0], 1, 64, 128, true);
    else
        compare_with_linear(&isa_lab[0], 1, 512, 4096, false);
    lab_clear(&isa_lab[0]);
}

/* ---- edges ----------------------------------------------------------------------------------- */

/* A window that lies in the padding has the bias; but no product is left out. */
static void the_padding_is_0(void **state)
{
    (void)state;
    const struct op_args args = {.conv = {{3, 3}, {3, 3}, {1, 1}, 1}};
    for (int k = 0; k < isa_labs; k++) {
        struct lab *l = &isa_lab[k];
        lab_clear(l);
        struct tensor *x = lab_zeros(l, F32, SHAPE(1, 1, 1, 1)), *w = lab_zeros(l, F32, x->shape),
                      *b = lab_zeros(l, F32, SHAPE(1));
        lab_put(x, 0, 5);
        lab_put(w, 0, 2);
        lab_put(b, 0, 1);
        struct tensor *y = lab_apply(l, OP_CONVOLUTION, &args, x, w, b);
        assert_true(shape_equal(&y->shape, &SHAPE(1, 1, 3, 3)));
        for (int i = 0; i < 9; i++)
            assert_true(lab_get(y, i) == (i == 4 ? 11 : 1));
        lab_put(w, 0, INFINITY);
        y = lab_apply(l, OP_CONVOLUTION, &args, x, w, b);
        for (int i = 0; i < 9; i++)
            assert_true(i == 4 ? isinf(lab_get(y, i)) : isnan(lab_get(y, i)));
    }
}

static void the_largest_padding_is_refused(void **state)
{
    (void)state;
    const struct op_args args = {.conv = {{1, 1}, {INT32_MAX, INT32_MAX}, {1, 1}, 1}};
    struct lab *l = &isa_lab[0];
    for (int64_t images = 0; images < 2; images++) {
        lab_clear(l);
        struct tensor *in[] = {lab_leaf(l, F32, SHAPE(images, 1, 1, 1)),
                               lab_leaf(l, F32, SHAPE(1, 1, 1, 1))},
                      *y = NULL;
        assert_int_equal(op_apply_many(&l->tape, OP_CONVOLUTION, &args, in, 2, &y, NULL, &l->e),
                         ERR_INVALID);
    }
}

/* Without images the gradients are 0; without channels there are no outputs, as in PyTorch. */
static void nothing_has_a_gradient_of_0(void **state)
{
    (void)state;
    static const struct setting settings[] = {
        {{{1, 1}, {1, 1}, {1, 1}, 1}, 0, 3, 4, {5, 5}, {3, 3}},
        {{{1, 1}, {0, 0}, {1, 1}, 1}, 0, 3, 4, {3, 3}, {3, 3}},
        {{{1, 1}, {0, 0}, {1, 1}, 1}, 2, 0, 4, {5, 5}, {3, 3}},
    };
    for (size_t i = 0; i < COUNT(settings); i++) {
        struct lab *l = &isa_lab[0];
        lab_clear(l);
        struct trial t = run(l, &settings[i], F64);
        assert_int_equal(tensor_count(t.y), 0);
        assert_true(shape_equal(&t.x->grad->shape, &t.x->shape));
        for (int64_t j = 0; j < tensor_count(t.w); j++)
            assert_true(lab_get(t.w->grad, j) == 0);
        for (int64_t j = 0; j < 4; j++)
            assert_true(lab_get(t.b->grad, j) == 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_convolution_is_the_formula),
        cmocka_unit_test(blocks_of_pixels_and_taps_go_on),
        cmocka_unit_test(an_image_is_the_same_alone_and_in_a_batch),
        cmocka_unit_test(a_kernel_of_the_images_size_is_a_linear_layer),
        cmocka_unit_test(the_padding_is_0),
        cmocka_unit_test(the_largest_padding_is_refused),
        cmocka_unit_test(nothing_has_a_gradient_of_0),
    };
    return cmocka_run_group_tests(tests, isa_labs_open, isa_labs_close);
}
