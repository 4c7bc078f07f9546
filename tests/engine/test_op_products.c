/* Products, convolution, softmax and losses where test_ops.c's samples do not go: integers, classes
 * that do not count, weights, dry tapes, and what is refused, in PyTorch's words. */
#include <stdio.h>

#include "tests/engine/lab.h"

#define F32 DTYPE_FLOAT32
#define F64 DTYPE_FLOAT64
#define I64 DTYPE_INT64
#define B8  DTYPE_BOOL

/* A tensor of these numbers. */
static struct tensor *of(struct lab *l, enum dtype dtype, struct shape shape, const double *x)
{
    struct tensor *t = lab_zeros(l, dtype, shape);
    for (int64_t i = 0; i < tensor_count(t); i++)
        lab_put(t, i, x[i]);
    return t;
}

static void assert_numbers(const struct tensor *t, const double *want)
{
    for (int64_t i = 0; i < tensor_count(t); i++)
        if (!lab_same(lab_get(t, i), want[i]))
            fail_msg("element %d is %.17g, not %.17g", (int)i, lab_get(t, i), want[i]);
}

/* ---- integers ------------------------------------------------------------------------------ */

static void integers_are_multiplied(void **state)
{
    (void)state;
    static const double a[] = {1, 2, 3, -4, 5, 6}, b[] = {3, 1, -1, 2, 1, 0}, v[] = {3, 1, -2};
    static const double ab[] = {4, 5, -11, 6}, av[] = {-1, -19}, vv[] = {14}, add[] = {10, 20};
    static const double sum[] = {4 - 20, 5 - 40, -11 - 20, 6 - 40};
    const struct op_args args = {.alpha = 1.9, .beta = -2.9}; /* cut, as PyTorch cuts them */
    for (int k = 0; k < isa_labs; k++) {
        struct lab *l = &isa_lab[k];
        lab_clear(l);
        struct tensor *x = of(l, I64, SHAPE(2, 3), a), *y = of(l, I64, SHAPE(3, 2), b),
                      *z = of(l, I64, SHAPE(3), v), *s = of(l, I64, SHAPE(2), add);
        struct tensor *xs = of(l, I64, SHAPE(1, 2, 3), a), *ys = of(l, I64, SHAPE(1, 3, 2), b);
        assert_numbers(lab_apply(l, OP_MM, NULL, x, y, NULL), ab);
        assert_numbers(lab_apply(l, OP_ADDMM, &args, s, x, y), sum);
        assert_numbers(lab_apply(l, OP_MV, NULL, x, z, NULL), av);
        assert_numbers(lab_apply(l, OP_DOT, NULL, z, z, NULL), vv);
        assert_numbers(lab_apply(l, OP_BMM, NULL, xs, ys, NULL), ab);
        assert_numbers(lab_apply(l, OP_BADDBMM, &args, s, xs, ys), sum);
        assert_int_equal(lab_apply(l, OP_MM, NULL, x, y, NULL)->dtype, I64);
    }
}

static void integers_are_exact_and_wrap_around(void **state)
{
    (void)state;
    for (int k = 0; k < isa_labs; k++) {
        struct lab *l = &isa_lab[k];
        lab_clear(l);
        struct tensor *x = lab_zeros(l, I64, SHAPE(2));
        int64_t *n = tensor_data(x);
        n[0] = INT64_MAX;
        n[1] = 3;
        struct tensor *y = lab_apply(l, OP_DOT, NULL, x, x, NULL);
        assert_true(*(int64_t *)tensor_data(y) == 1 + 9); /* (2^63 - 1)^2 is 1 modulo 2^64 */
        n[0] = ((int64_t)1 << 53) + 1;
        n[1] = 0;
        y = lab_apply(l, OP_DOT, NULL, x, of(l, I64, SHAPE(2), (double[]){1, 1}), NULL);
        assert_true(*(int64_t *)tensor_data(y) == n[0]);
    }
}

/* ---- losses -------------------------------------------------------------------------------- */

static struct tensor *loss_of(struct lab *l, enum op_id id, const struct op_args *args,
                              struct tensor *const *in, int inputs)
{
    struct tensor *y = NULL;
    if (op_apply_many(&l->tape, id, args, in, inputs, &y, NULL, &l->e) != ERR_OK)
        fail_msg("%s", l->e.message);
    return y;
}

/* Row i of three classes has the log-probabilities -(3 i + 1), -(3 i + 2), -(3 i + 3). */
static struct tensor *rows_of_classes(struct lab *l, int64_t rows)
{
    struct tensor *x = lab_leaf(l, F64, SHAPE(rows, 3));
    for (int64_t i = 0; i < tensor_count(x); i++)
        lab_put(x, i, -(double)(i + 1));
    return x;
}

static void a_mean_is_by_the_weights_that_count(void **state)
{
    (void)state;
    static const double target[] = {2, -100, 0}, weight[] = {0.5, 4, 2}, all[] = {-100, -100, -100};
    static const double slope[] = {0, 0, -2 / 2.5, 0, 0, 0, -0.5 / 2.5, 0, 0}, zero[9] = {0};
    struct op_args args = op_args_default;
    for (int k = 0; k < isa_labs; k++) {
        struct lab *l = &isa_lab[k];
        lab_clear(l);
        struct tensor *x = rows_of_classes(l, 3),
                      *in[] = {x, of(l, I64, SHAPE(3), target), of(l, F64, SHAPE(3), weight)};
        struct tensor *y = loss_of(l, OP_NLL_LOSS, &args, in, 3);
        assert_true(lab_get(y, 0) == (2 * 3 + 0.5 * 7) / 2.5);
        lab_backward(l, y, NULL, true);
        lab_assert_close(x->grad, of(l, F64, SHAPE(9), slope), 1e-15);
        x->grad = NULL;
        assert_true(lab_get(loss_of(l, OP_NLL_LOSS, &args, in, 2), 0) == 5);
        in[1] = of(l, I64, SHAPE(3), all);
        y = loss_of(l, OP_NLL_LOSS, &args, in, 2);
        assert_true(isnan(lab_get(y, 0)));
        lab_backward(l, y, NULL, true);
        assert_numbers(x->grad, zero);
        args.reduction = REDUCTION_SUM;
        assert_true(lab_get(loss_of(l, OP_NLL_LOSS, &args, in, 2), 0) == 0);
        args.reduction = REDUCTION_MEAN;
    }
}

static void classes_must_exist(void **state)
{
    (void)state;
    static const int64_t bad[] = {-1, 3, INT64_MAX, INT64_MIN, -99};
    struct lab *l = &isa_lab[0];
    for (size_t i = 0; i < COUNT(bad); i++) {
        char words[64];
        lab_clear(l);
        struct tensor *in[] = {lab_leaf(l, F32, SHAPE(2, 3)), lab_zeros(l, I64, SHAPE(2))}, *y;
        ((int64_t *)tensor_data(in[1]))[1] = bad[i];
        snprintf(words, sizeof words, "Target %lld is out of bounds.", (long long)bad[i]);
        assert_int_equal(op_apply_many(&l->tape, OP_NLL_LOSS, NULL, in, 2, &y, NULL, &l->e),
                         ERR_INVALID);
        assert_string_equal(l->e.message, words);
    }
}

/* Where log(0) would be: the value is bounded, the gradient has PyTorch's epsilon, and that of the
 * target nothing. */
static void probabilities_may_be_0_and_1(void **state)
{
    (void)state;
    static const double p[] = {0, 1, 0.5, 0, 1}, t[] = {1, 0, 0.5, 0, 1}, w[] = {1, 2, 3, 4, 5};
    static const double value[] = {100, 200, 3 * 0.69314718055994529, 0, 0};
    static const double by_p[] = {-1e12, 2e12, 0, 0, 0},
                        by_t[] = {INFINITY, -INFINITY, 0, INFINITY, -INFINITY};
    const struct op_args sum = {.reduction = REDUCTION_SUM}, none = {.reduction = REDUCTION_NONE};
    for (int k = 0; k < isa_labs; k++) {
        struct lab *l = &isa_lab[k];
        lab_clear(l);
        struct tensor *in[] = {of(l, F64, SHAPE(5), p), of(l, F64, SHAPE(5), t),
                               of(l, F64, SHAPE(5), w)};
        in[0]->requires_grad = in[1]->requires_grad = true;
        lab_assert_close(loss_of(l, OP_BCE, &none, in, 3), of(l, F64, SHAPE(5), value), 1e-15);
        lab_backward(l, loss_of(l, OP_BCE, &sum, in, 3), NULL, false);
        assert_numbers(in[0]->grad, by_p);
        assert_numbers(in[1]->grad, by_t);
    }
}

static void a_weight_may_be_of_another_type(void **state)
{
    (void)state;
    static const double p[] = {0.25, 0.75}, t[] = {1, 1}, w[] = {3, 0};
    const struct op_args none = {.reduction = REDUCTION_NONE};
    for (enum dtype dtype = B8; dtype <= F64; dtype++) {
        struct lab *l = &isa_lab[0];
        lab_clear(l);
        struct tensor *in[] = {of(l, F32, SHAPE(2), p), of(l, F32, SHAPE(2), t),
                               of(l, dtype, SHAPE(2), w)};
        struct tensor *y = loss_of(l, OP_BCE, &none, in, 3);
        assert_int_equal(y->dtype, F32);
        assert_true(fabs(lab_get(y, 0) - (dtype == B8 ? 1 : 3) * 1.3862943611198906) < 1e-6);
        assert_true(lab_get(y, 1) == 0);
    }
}

/* A weight that asks for a gradient is refused, but not where none is recorded. */
static void weights_have_no_gradient(void **state)
{
    (void)state;
    static const struct {
        enum op_id id;
        int weight;
        const char *words;
    } rows[] = {
        {OP_NLL_LOSS, 2,
         "'nll_loss_forward' is not differentiable with respect to argument 'weight'"},
        {OP_BCE, 2,
         "'binary_cross_entropy' is not differentiable with respect to argument 'weight'"},
        {OP_BCE_LOGITS, 3,
         "The function 'binary_cross_entropy_with_logits' is not differentiable with respect to "
         "argument 'pos_weight'. This input cannot have requires_grad True."},
    };
    struct lab *l = &isa_lab[0];
    for (size_t i = 0; i < COUNT(rows); i++) {
        lab_clear(l);
        bool classes = rows[i].id == OP_NLL_LOSS;
        struct tensor *in[4], *y = NULL;
        for (int j = 0; j <= rows[i].weight; j++)
            in[j] = lab_zeros(l, classes && j == 1 ? I64 : F32, SHAPE(2));
        in[0]->shape = classes ? SHAPE(1, 2) : in[0]->shape;
        in[1]->shape = classes ? SHAPE(1) : in[1]->shape;
        in[rows[i].weight]->requires_grad = true;
        assert_int_equal(
            op_apply_many(&l->tape, rows[i].id, NULL, in, rows[i].weight + 1, &y, NULL, &l->e),
            ERR_INVALID);
        assert_non_null(strstr(l->e.message, rows[i].words));
        l->tape.grad_disabled = true;
        assert_false(loss_of(l, rows[i].id, NULL, in, rows[i].weight + 1)->requires_grad);
        l->tape.grad_disabled = false;
    }
}

static void softmax_of_one_type_and_rank(void **state)
{
    (void)state;
    struct lab *l = &isa_lab[0];
    lab_clear(l);
    struct op_args args = {.dim = -2};
    struct tensor *x = lab_leaf(l, F64, SHAPE(2, 2, 2, 2, 2));
    struct tensor *y = lab_apply(l, OP_SOFTMAX, &args, x, NULL, NULL);
    for (int i = 0; i < 32; i += i % 2 ? 3 : 1)
        assert_true(fabs(lab_get(y, i) + lab_get(y, i + 2) - 1) < 1e-15);
}

/* ---- dry tapes ----------------------------------------------------------------------------- */

/* Without numbers nothing is read, and the work is counted all the same. */
static void a_dry_tape_knows_shapes_and_work(void **state)
{
    (void)state;
    struct tape t;
    struct err e;
    struct tensor *y;
    tape_init_dry(&t, kernels_best());
    struct tensor *x = tape_tensor(&t, F32, &SHAPE(2, 3)), *w = tape_tensor(&t, F32, &SHAPE(3, 4)),
                  *classes = tape_tensor(&t, I64, &SHAPE(2)),
                  *image = tape_tensor(&t, F32, &SHAPE(2, 3, 5, 5)),
                  *kernel = tape_tensor(&t, F32, &SHAPE(4, 3, 3, 3));
    const struct op_args conv = {.conv = {{1, 1}, {0, 0}, {1, 1}, 1}};
    assert_true(x && w && classes && image && kernel);
    x->requires_grad = true;
    assert_int_equal(op_apply(&t, OP_MM, NULL, (struct tensor *[]){x, w}, &y, &e), ERR_OK);
    assert_true(shape_equal(&y->shape, &SHAPE(2, 4)) && t.work == 2 * 3 * 4);
    assert_int_equal(
        op_apply_many(&t, OP_NLL_LOSS, NULL, (struct tensor *[]){x, classes}, 2, &y, NULL, &e),
        ERR_OK);
    assert_int_equal(op_apply_many(&t, OP_BCE, NULL, (struct tensor *[]){x, x}, 2, &y, NULL, &e),
                     ERR_OK);
    assert_int_equal(tape_backward(&t, y, NULL, false, &e), ERR_OK);
    t.work = 0;
    assert_int_equal(op_apply_many(&t, OP_CONVOLUTION, &conv, (struct tensor *[]){image, kernel}, 2,
                                   &y, NULL, &e),
                     ERR_OK);
    assert_true(shape_equal(&y->shape, &SHAPE(2, 4, 3, 3)) && t.work == 2 * 4 * 9 * 27);
    t.work_max = 1;
    assert_int_equal(op_apply(&t, OP_MM, NULL, (struct tensor *[]){x, w}, &y, &e), ERR_INVALID);
    tape_close(&t);
}

/* ---- what does not fit --------------------------------------------------------------------- */

struct misfit {
    enum op_id id;
    int inputs;
    enum dtype dtype[LAB_INPUTS_MAX];
    struct shape shape[LAB_INPUTS_MAX];
    const char *words; /* the whole message */
    struct op_args args;
};
#define TWO(op, type0, s0, type1, s1, text)                                                        \
    {                                                                                              \
        OP_##op, 2, {type0, type1}, {s0, s1}, text,                                                \
        {                                                                                          \
            .alpha = 1, .ignore_index = -100                                                       \
        }                                                                                          \
    }
#define THREE(op, type0, s0, type1, s1, type2, s2, text)                                           \
    {                                                                                              \
        OP_##op, 3, {type0, type1, type2}, {s0, s1, s2}, text,                                     \
        {                                                                                          \
            .alpha = 1, .ignore_index = -100                                                       \
        }                                                                                          \
    }
#define CONV(x, w, s0, s1, p0, p1, d0, d1, groups, text)                                           \
    {                                                                                              \
        OP_CONVOLUTION, 2, {F32, F32}, {x, w}, text,                                               \
        {                                                                                          \
            .conv = { {s0, s1}, {p0, p1}, {d0, d1}, groups }                                       \
        }                                                                                          \
    }
#define BIASED(type0, type1, type2, bias, text)                                                    \
    {                                                                                              \
        OP_CONVOLUTION, 3, {type0, type1, type2}, {DIMS(1, 3, 5, 5), DIMS(4, 3, 3, 3), bias},      \
            text,                                                                                  \
        {                                                                                          \
            .conv = { {1, 1}, {0, 0}, {1, 1}, 1 }                                                  \
        }                                                                                          \
    }
#define ALONG(op, type, s, d, text)                                                                \
    {                                                                                              \
        OP_##op, 1, {type}, {s}, text,                                                             \
        {                                                                                          \
            .dim = d                                                                               \
        }                                                                                          \
    }
#define IMAGE  DIMS(1, 3, 5, 5)
#define KERNEL DIMS(4, 3, 3, 3)

static const struct misfit misfits[] = {
    TWO(MM, F32, DIMS(2, 3), F32, DIMS(4, 5),
        "mat1 and mat2 shapes cannot be multiplied (2x3 and 4x5)"),
    TWO(MM, F32, DIMS(3), F32, DIMS(3, 5), "self must be a matrix"),
    TWO(MM, F32, DIMS(2, 3), F32, DIMS(3), "mat2 must be a matrix"),
    TWO(MM, F32, DIMS(2, 3), F64, DIMS(3, 5), "expected scalar type Float but found Double"),
    TWO(MM, I64, DIMS(2, 3), F32, DIMS(3, 5), "expected scalar type Long but found Float"),
    TWO(MM, B8, DIMS(2, 3), B8, DIMS(3, 2), "\"addmm_impl_cpu_\" not implemented for 'Bool'"),
    THREE(ADDMM, F32, DIMS(5), F32, DIMS(2, 3), F32, DIMS(3, 4),
          "The expanded size of the tensor (4) must match the existing size (5) at non-singleton "
          "dimension 1.  Target sizes: [2, 4].  Tensor sizes: [5]"),
    THREE(ADDMM, F32, DIMS(3, 4), F32, DIMS(2, 3), F32, DIMS(3, 4),
          "The expanded size of the tensor (2) must match the existing size (3) at non-singleton "
          "dimension 0.  Target sizes: [2, 4].  Tensor sizes: [3, 4]"),
    THREE(ADDMM, F32, DIMS(1, 2, 4), F32, DIMS(2, 3), F32, DIMS(3, 4),
          "expand(torch.FloatTensor{[1, 2, 4]}, size=[2, 4]): the number of sizes provided (2) "
          "must be greater or equal to the number of dimensions in the tensor (3)"),
    THREE(ADDMM, F64, DIMS(4), F32, DIMS(2, 3), F32, DIMS(3, 4),
          "self and mat2 must have the same dtype"),
    THREE(ADDMM, F32, DIMS(4), F64, DIMS(2, 3), F32, DIMS(3, 4),
          "mat1 and mat2 must have the same dtype"),
    THREE(ADDMM, F32, DIMS(4), F32, DIMS(2, 3), F32, DIMS(4, 4),
          "mat1 and mat2 shapes cannot be multiplied (2x3 and 4x4)"),
    THREE(ADDMM, F32, DIMS(4), F32, DIMS(3), F32, DIMS(3, 4),
          "mat1 must be a matrix, got 1-D tensor"),
    THREE(ADDMM, F32, DIMS(4), F32, DIMS(2, 3), F32, DIMS(3),
          "mat2 must be a matrix, got 1-D tensor"),
    THREE(ADDMM, B8, DIMS(4), B8, DIMS(2, 3), B8, DIMS(3, 4),
          "\"addmm_impl_cpu_\" not implemented for 'Bool'"),
    {OP_ADDMM,
     3,
     {I64, I64, I64},
     {DIMS(4), DIMS(2, 3), DIMS(3, 4)},
     "value cannot be converted to type int64_t without overflow",
     {.alpha = 1e30, .beta = 1}},
    TWO(MV, F32, DIMS(2, 3), F32, DIMS(4), "size mismatch, got 2, 2x3,4"),
    TWO(MV, F32, DIMS(2, 3, 4), F32, DIMS(3), "vector + matrix @ vector expected, got 1, 3, 1"),
    TWO(MV, F32, DIMS(2, 3), F32, DIMS(3, 1), "vector + matrix @ vector expected, got 1, 2, 2"),
    TWO(MV, F32, DIMS(2, 3), F64, DIMS(3), "expected scalar type Float but found Double"),
    TWO(MV, B8, DIMS(2, 3), B8, DIMS(3), "\"addmv_impl_cpu\" not implemented for 'Bool'"),
    THREE(ADDMV, F32, DIMS(3), F32, DIMS(2, 3), F32, DIMS(3), "size mismatch, got 3, 2x3,3"),
    THREE(ADDMV, F32, DIMS(1, 2), F32, DIMS(2, 3), F32, DIMS(3),
          "vector + matrix @ vector expected, got 2, 2, 1"),
    TWO(DOT, F32, DIMS(3), F32, DIMS(4),
        "inconsistent tensor size, expected tensor [3] and src [4] to have the same number of "
        "elements, but got 3 and 4 elements respectively"),
    TWO(DOT, F32, DIMS(3, 1), F32, DIMS(3), "1D tensors expected, but got 2D and 1D tensors"),
    TWO(DOT, F32, DIMS(3), F64, DIMS(3),
        "dot : expected both vectors to have same dtype, but found Float and Double"),
    TWO(DOT, B8, DIMS(3), B8, DIMS(3), "\"dot\" not implemented for 'Bool'"),
    TWO(BMM, F32, DIMS(2, 3), F32, DIMS(2, 3, 4), "batch1 must be a 3D tensor"),
    TWO(BMM, F32, DIMS(2, 3, 4), F32, DIMS(3, 4), "batch2 must be a 3D tensor"),
    TWO(BMM, F32, DIMS(2, 3, 4), F32, DIMS(3, 4, 5),
        "Expected size for first two dimensions of batch2 tensor to be: [2, 4] but got: [3, 4]."),
    TWO(BMM, B8, DIMS(2, 3, 4), B8, DIMS(2, 4, 5), "\"bmm\" not implemented for 'Bool'"),
    THREE(BADDBMM, F32, DIMS(4), F32, DIMS(2, 3, 4), F32, DIMS(2, 4, 5),
          "The expanded size of the tensor (5) must match the existing size (4) at non-singleton "
          "dimension 2.  Target sizes: [2, 3, 5].  Tensor sizes: [4]"),
    THREE(BADDBMM, F32, DIMS(5), F32, DIMS(3, 4), F32, DIMS(2, 4, 5), "batch1 must be a 3D tensor"),

    CONV(DIMS(1, 4, 5, 5), KERNEL, 1, 1, 0, 0, 1, 1, 1,
         "Given groups=1, weight of size [4, 3, 3, 3], expected input[1, 4, 5, 5] to have 3 "
         "channels, but got 4 channels instead"),
    CONV(IMAGE, KERNEL, 1, 1, 0, 0, 1, 1, 2,
         "Given groups=2, weight of size [4, 3, 3, 3], expected input[1, 3, 5, 5] to have 6 "
         "channels, but got 3 channels instead"),
    CONV(DIMS(1, 3, 2, 2), KERNEL, 1, 1, 0, 0, 1, 1, 1,
         "Calculated padded input size per channel: (2 x 2). Kernel size: (3 x 3). Kernel size "
         "can't be greater than actual input size"),
    CONV(DIMS(1, 3, 4, 4), KERNEL, 1, 1, 0, 0, 2, 2, 1,
         "Calculated padded input size per channel: (4 x 4). Kernel size: (5 x 5). Kernel size "
         "can't be greater than actual input size"),
    CONV(DIMS(0, 3, 2, 2), KERNEL, 1, 1, 0, 0, 1, 1, 1,
         "Calculated padded input size per channel: (2 x 2). Kernel size: (3 x 3). Kernel size "
         "can't be greater than actual input size"),
    CONV(DIMS(1, 6, 5, 5), DIMS(5, 3, 3, 3), 1, 1, 0, 0, 1, 1, 2,
         "Given groups=2, expected weight to be divisible by 2 at dimension 0, but got weight of "
         "size [[5, 3, 3, 3]] instead"),
    CONV(DIMS(1, 6, 5, 5), DIMS(1, 3, 3, 3), 1, 1, 0, 0, 1, 1, 2,
         "Given groups=2, expected weight to be at least 2 at dimension 0, but got weight of size "
         "[1, 3, 3, 3] instead"),
    CONV(IMAGE, KERNEL, 1, 1, 0, 0, 1, 1, 0, "non-positive groups is not supported"),
    CONV(IMAGE, KERNEL, 1, 0, 0, 0, 1, 1, 1, "non-positive stride is not supported"),
    CONV(IMAGE, KERNEL, 1, 1, -1, 0, 1, 1, 1, "negative padding is not supported"),
    CONV(IMAGE, KERNEL, 1, 1, 0, 0, 0, 0, 1,
         "dilation should be greater than zero, but got [0, 0]"),
    CONV(DIMS(3, 5), KERNEL, 1, 1, 0, 0, 1, 1, 1,
         "Expected 4-dimensional input for 4-dimensional weight [4, 3, 3, 3], but got "
         "2-dimensional input of size [3, 5] instead"),
    CONV(DIMS(2, 3, 0, 5), DIMS(4, 3, 1, 1), 1, 1, 1, 1, 1, 1, 1,
         "Only zero batch or zero channel inputs are supported, but got input shape: [2, 3, 0, 5]"),
    CONV(DIMS(2, 3, 5, 5), DIMS(4, 3, 0, 3), 1, 1, 0, 0, 1, 1, 1,
         "kernel size should be greater than zero, but got kernel_size: [0, 3]"),
    CONV(IMAGE, KERNEL, 1, 1, INT64_MAX, 0, 1, 1, 1,
         "stride, padding and dilation of more than 2147483647 are not supported"),
    BIASED(F32, F32, F32, DIMS(5),
           "Given weight of size [4, 3, 3, 3], expected bias to be 1-dimensional with 4 elements, "
           "but got bias of size [5] instead"),
    BIASED(F32, F32, F64, DIMS(4), "Input type (float) and bias type (double) should be the same"),
    BIASED(F64, F32, F64, DIMS(4), "expected scalar type Double but found Float"),
    BIASED(B8, B8, B8, DIMS(4), "\"slow_conv2d_cpu\" not implemented for 'Bool'"),

    ALONG(SOFTMAX, I64, DIMS(2, 3), 1,
          "\"softmax_lastdim_kernel_impl\" not implemented for 'Long'"),
    ALONG(SOFTMAX, B8, DIMS(2, 3), -2, "\"softmax_kernel_impl\" not implemented for 'Bool'"),
    ALONG(LOG_SOFTMAX, I64, DIMS(3), -1,
          "\"log_softmax_lastdim_kernel_impl\" not implemented for 'Long'"),
    ALONG(LOG_SOFTMAX, I64, DIMS(2, 3), 0, "\"softmax_kernel_impl\" not implemented for 'Long'"),
    ALONG(SOFTMAX, F32, DIMS(2, 3), 2,
          "Dimension out of range (expected to be in range of [-2, 1], but got 2)"),
    ALONG(LOG_SOFTMAX, F32, DIMS(2, 3), -3,
          "Dimension out of range (expected to be in range of [-2, 1], but got -3)"),
    ALONG(SOFTMAX, F32, SCALAR, 1,
          "Dimension out of range (expected to be in range of [-1, 0], but got 1)"),

    TWO(NLL_LOSS, F32, DIMS(3), I64, DIMS(1), "size mismatch (got input: [3], target: [1])"),
    TWO(NLL_LOSS, F32, DIMS(2, 3), I64, DIMS(3),
        "Expected input batch_size (2) to match target batch_size (3)."),
    TWO(NLL_LOSS, F32, DIMS(2, 3), I64, SCALAR,
        "Expected input batch_size (2) to match target batch_size (0)."),
    TWO(NLL_LOSS, F32, DIMS(2, 3), I64, DIMS(2, 3),
        "0D or 1D target tensor expected, multi-target not supported"),
    TWO(NLL_LOSS, F32, DIMS(2, 3, 4), I64, DIMS(2, 4), "input tensor should be 1D or 2D"),
    TWO(NLL_LOSS, F32, DIMS(2, 3), F32, DIMS(2), "expected scalar type Long but found Float"),
    TWO(NLL_LOSS, I64, DIMS(2, 3), I64, DIMS(2),
        "\"nll_loss_out_frame\" not implemented for 'Long'"),
    TWO(NLL_LOSS, F32, DIMS(2, 0), I64, DIMS(2), "Target 0 is out of bounds."),
    THREE(NLL_LOSS, F32, DIMS(2, 3), I64, DIMS(2), F32, DIMS(2),
          "weight tensor should be defined either for all 3 classes or no classes but got weight "
          "tensor of shape: [2]"),
    THREE(NLL_LOSS, F32, DIMS(2, 3), I64, DIMS(2), F64, DIMS(3),
          "expected scalar type Float but found Double"),
    TWO(NLL_LOSS2D, F32, DIMS(2, 3, 4, 5), I64, DIMS(2, 4, 4),
        "size mismatch (got input: [2, 3, 4, 5] , target: [2, 4, 4]"),
    TWO(NLL_LOSS2D, F32, DIMS(2, 3, 4, 5), I64, DIMS(2, 4),
        "only batches of spatial targets supported (3D tensors) but got targets of dimension: 2"),
    THREE(NLL_LOSS2D, F32, DIMS(2, 3, 4, 5), I64, DIMS(2, 4, 5), F32, DIMS(2),
          "weight tensor should be defined either for all or no classes"),
    TWO(NLL_LOSS2D, I64, DIMS(2, 3, 4, 5), I64, DIMS(2, 4, 5),
        "\"nll_loss2d_forward_out_frame\" not implemented for 'Long'"),
    TWO(MSE_LOSS, F32, DIMS(2, 1), F32, DIMS(2),
        "Target size (torch.Size([2])) must be the same as input size (torch.Size([2, 1]))"),
    TWO(MSE_LOSS, I64, DIMS(2), I64, DIMS(2), "\"mse_cpu\" not implemented for 'Long'"),
    TWO(SMOOTH_L1, I64, DIMS(2), B8, DIMS(2), "\"smooth_l1_cpu\" not implemented for 'Long'"),
    TWO(HUBER, B8, DIMS(2), B8, DIMS(2), "\"huber_cpu\" not implemented for 'Bool'"),
    TWO(HUBER, I64, DIMS(2), F32, DIMS(2),
        "result type Float can't be cast to the desired output type Long"),
    {OP_SMOOTH_L1,
     2,
     {F32, F32},
     {DIMS(2), DIMS(2)},
     "smooth_l1_loss does not support negative values for beta.",
     {.alpha = -1}},
    {OP_HUBER,
     2,
     {F32, F32},
     {DIMS(2), DIMS(2)},
     "huber_loss does not support non-positive values for delta.",
     {.alpha = 0}},
    TWO(BCE, F32, DIMS(2), F32, DIMS(3),
        "Using a target size (torch.Size([3])) that is different to the input size "
        "(torch.Size([2])) is deprecated. Please ensure they have the same size."),
    TWO(BCE, F32, DIMS(2), F64, DIMS(2), "Found dtype Double but expected Float"),
    TWO(BCE, I64, DIMS(2), I64, DIMS(2), "\"binary_cross_entropy\" not implemented for 'Long'"),
    THREE(BCE, F32, DIMS(2), F32, DIMS(2), F32, DIMS(3),
          "The size of tensor a (2) must match the size of tensor b (3) at non-singleton dimension "
          "0"),
    THREE(BCE, F32, DIMS(2, 3), F32, DIMS(2, 3), F32, DIMS(2, 2, 3),
          "output with shape [2, 3] doesn't match the broadcast shape [2, 2, 3]"),
    TWO(BCE_LOGITS, F64, DIMS(3), F64, DIMS(2),
        "Target size (torch.Size([2])) must be the same as input size (torch.Size([3]))"),
    TWO(BCE_LOGITS, F64, DIMS(3), I64, DIMS(3),
        "result type Double can't be cast to the desired output type Long"),
    TWO(BCE_LOGITS, I64, DIMS(3), I64, DIMS(3),
        "result type Float can't be cast to the desired output type Long"),
    THREE(BCE_LOGITS, F32, DIMS(2, 3), F32, DIMS(2, 3), F32, DIMS(1, 2, 3),
          "output with shape [2, 3] doesn't match the broadcast shape [1, 2, 3]"),
};

static void misfits_are_refused_in_words(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(misfits); i++)
        for (int k = 0; k < isa_labs; k++) {
            const struct misfit *m = &misfits[i];
            struct lab *l = &isa_lab[k];
            struct tensor *in[LAB_INPUTS_MAX], *y = NULL;
            lab_clear(l);
            for (int j = 0; j < m->inputs; j++)
                in[j] = lab_zeros(l, m->dtype[j], m->shape[j]);
            enum err_kind rc =
                op_apply_many(&l->tape, m->id, &m->args, in, m->inputs, &y, NULL, &l->e);
            if (rc != ERR_INVALID || strcmp(l->e.message, m->words) != 0)
                fail_msg("misfit %d: %s", (int)i, rc ? l->e.message : "taken");
            assert_null(y);
        }
}

static void what_is_no_probability_is_refused(void **state)
{
    (void)state;
    static const double bad[] = {-1e-9, 1.0000001, NAN, INFINITY};
    struct lab *l = &isa_lab[0];
    for (size_t i = 0; i < COUNT(bad); i++) {
        lab_clear(l);
        struct tensor *in[] = {lab_zeros(l, F64, SHAPE(3)), lab_zeros(l, F64, SHAPE(3))}, *y;
        lab_put(in[0], 2, bad[i]);
        assert_int_equal(op_apply_many(&l->tape, OP_BCE, NULL, in, 2, &y, NULL, &l->e),
                         ERR_INVALID);
        assert_string_equal(l->e.message, "all elements of input should be between 0 and 1");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(integers_are_multiplied),
        cmocka_unit_test(integers_are_exact_and_wrap_around),
        cmocka_unit_test(a_mean_is_by_the_weights_that_count),
        cmocka_unit_test(classes_must_exist),
        cmocka_unit_test(probabilities_may_be_0_and_1),
        cmocka_unit_test(a_weight_may_be_of_another_type),
        cmocka_unit_test(weights_have_no_gradient),
        cmocka_unit_test(softmax_of_one_type_and_rank),
        cmocka_unit_test(a_dry_tape_knows_shapes_and_work),
        cmocka_unit_test(misfits_are_refused_in_words),
        cmocka_unit_test(what_is_no_probability_is_refused),
    };
    return cmocka_run_group_tests(tests, isa_labs_open, isa_labs_close);
}
