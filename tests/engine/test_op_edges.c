/* The rows of OPS where test_ops.c's samples do not go: at kinks, at infinity, over many numbers,
 * and with inputs that do not fit. */
#include "tests/engine/lab.h"

/* y and dy/dx of a row at one x, in both types and on every instruction set. */
static void assert_at(enum op_id id, struct op_args args, double x, double y, double dx)
{
    for (int k = 0; k < isa_labs; k++)
        for (enum dtype dtype = DTYPE_FLOAT32; dtype <= DTYPE_FLOAT64; dtype++) {
            lab_clear(&isa_lab[k]);
            struct tensor *in = lab_leaf(&isa_lab[k], dtype, SHAPE(1));
            lab_put(in, 0, x);
            struct tensor *out = lab_apply(&isa_lab[k], id, &args, in, NULL, NULL);
            lab_backward(&isa_lab[k], out, NULL, false);
            if (!lab_same(lab_get(out, 0), y) || !lab_same(lab_get(in->grad, 0), dx))
                fail_msg("%s(%g) is %g with slope %g", isa_lab[k].tape.kernels->ops[id].name, x,
                         lab_get(out, 0), lab_get(in->grad, 0));
        }
}

static void kinks_and_ends_are_those_of_pytorch(void **state)
{
    (void)state;
    const struct op_args none = {0}, slope = {.alpha = 0.5}, tanh_form = {.tanh = true};
    assert_at(OP_RELU, none, 0, 0, 0);
    assert_at(OP_RELU, none, -0.0, 0, 0);
    assert_at(OP_RELU, none, NAN, NAN, 1);
    assert_at(OP_RELU, none, INFINITY, INFINITY, 1);
    assert_at(OP_RELU, none, -INFINITY, 0, 0);
    assert_at(OP_LEAKY_RELU, slope, 0, 0, 0.5);
    assert_at(OP_LEAKY_RELU, slope, NAN, NAN, 0.5);
    assert_at(OP_LEAKY_RELU, slope, -INFINITY, -INFINITY, 0.5);
    assert_at(OP_ABS, none, 0, 0, 0);
    assert_at(OP_ABS, none, -0.0, 0, 0);
    assert_at(OP_ABS, none, -INFINITY, INFINITY, -1);
    assert_at(OP_SIGMOID, none, 1000, 1, 0);
    assert_at(OP_SIGMOID, none, -1000, 0, 0);
    assert_at(OP_TANH, none, 1000, 1, 0);
    assert_at(OP_TANH, none, -1000, -1, 0);
    assert_at(OP_SILU, none, 1000, 1000, 1);
    assert_at(OP_GELU, none, 1000, 1000, 1);
    assert_at(OP_GELU, tanh_form, 1000, 1000, 1);
    assert_at(OP_SOFTMAX, none, 1e30, 1, 0);
    assert_at(OP_LOG_SOFTMAX, none, -1e30, 0, 0);
}

/* The loss of x against y and its derivative by x. */
static void assert_loss(enum op_id id, double alpha, double x, double y, double loss, double dx)
{
    struct op_args args = {.alpha = alpha};
    for (int k = 0; k < isa_labs; k++) {
        lab_clear(&isa_lab[k]);
        struct tensor *in = lab_leaf(&isa_lab[k], DTYPE_FLOAT64, SHAPE(1));
        struct tensor *target = lab_zeros(&isa_lab[k], DTYPE_FLOAT64, SHAPE(1));
        lab_put(in, 0, x);
        lab_put(target, 0, y);
        struct tensor *out = lab_apply(&isa_lab[k], id, &args, in, target, NULL);
        lab_backward(&isa_lab[k], out, NULL, false);
        assert_true(lab_same(lab_get(out, 0), loss));
        assert_true(lab_same(lab_get(in->grad, 0), dx));
        assert_null(target->grad);
    }
}

static void losses_hold_at_kinks_and_far_out(void **state)
{
    (void)state;
    assert_loss(OP_SMOOTH_L1, 0.5, 1, 0.5, 0.25, 1);
    assert_loss(OP_SMOOTH_L1, 0.5, -0.5, 0, 0.25, -1);
    assert_loss(OP_SMOOTH_L1, 0.5, 3, 3, 0, 0);
    assert_loss(OP_HUBER, 0.5, 1, 0.5, 0.125, 0.5);
    assert_loss(OP_HUBER, 0.5, 0, 0.5, 0.125, -0.5);
    assert_loss(OP_HUBER, 2, 12, 0, 22, 2);
    assert_loss(OP_SMOOTH_L1, 0, 3, 3, 0, -1);
    assert_loss(OP_SMOOTH_L1, 0, 3, 5, 2, -1);
    assert_loss(OP_BCE, 0, 0, 1, 100, -1e12);
    assert_loss(OP_BCE, 0, 1, 0, 100, 1e12);
    assert_loss(OP_BCE, 0, 1, 1, 0, 0);
    assert_loss(OP_BCE_LOGITS, 0, 1000, 0, 1000, 1);
    assert_loss(OP_BCE_LOGITS, 0, 1000, 1, 0, 0);
    assert_loss(OP_BCE_LOGITS, 0, -1000, 1, 1000, -1);
    assert_loss(OP_MSE_LOSS, 0, NAN, 1, NAN, NAN);
    assert_loss(OP_HUBER, 1, NAN, 1, NAN, NAN);
    assert_loss(OP_SMOOTH_L1, 1, NAN, 1, NAN, NAN);
}

static void softmax_takes_far_apart_numbers(void **state)
{
    (void)state;
    struct lab *l = &isa_lab[0];
    lab_clear(l);
    struct op_args along = {.dim = -1};
    struct tensor *x = lab_leaf(l, DTYPE_FLOAT32, SHAPE(1, 3));
    lab_put(x, 0, 3e38);
    lab_put(x, 1, -3e38);
    lab_put(x, 2, -INFINITY);
    struct tensor *p = lab_apply(l, OP_SOFTMAX, &along, x, NULL, NULL);
    assert_true(lab_get(p, 0) == 1 && lab_get(p, 1) == 0 && lab_get(p, 2) == 0);
    lab_put(x, 0, 1000);
    lab_put(x, 1, 0);
    p = lab_apply(l, OP_LOG_SOFTMAX, &along, x, NULL, NULL);
    assert_true(lab_get(p, 0) == 0 && lab_get(p, 1) == -1000);
    lab_put(x, 1, NAN);
    p = lab_apply(l, OP_SOFTMAX, &along, x, NULL, NULL);
    for (int i = 0; i < 3; i++)
        assert_true(isnan(lab_get(p, i)));
}

/* Sums run in double, so a float32 mean of many numbers is right to its last bit or so. */
static void long_sums_keep_their_precision(void **state)
{
    (void)state;
    const int n = 100003;
    for (int k = 0; k < isa_labs; k++) {
        lab_clear(&isa_lab[k]);
        struct tensor *x = lab_leaf(&isa_lab[k], DTYPE_FLOAT32, SHAPE(n));
        for (int i = 0; i < n; i++)
            lab_put(x, i, i % 2 ? 1000.125 : 0.5);
        struct tensor *y = lab_apply(&isa_lab[k], OP_SUM, NULL, x, NULL, NULL);
        double sum = 1000.125 * (n / 2) + 0.5 * (n - n / 2);
        assert_true(lab_get(y, 0) == (double)(float)sum);
        y = lab_apply(&isa_lab[k], OP_MEAN, NULL, x, NULL, NULL);
        assert_true(lab_get(y, 0) == (double)(float)(sum / n));
        lab_backward(&isa_lab[k], y, NULL, false);
        assert_true(lab_get(x->grad, n - 1) == (double)(1.0f / (float)n));
    }
}

/* ---- what does not fit --------------------------------------------------------------------- */

#define F32  DTYPE_FLOAT32
#define F64  DTYPE_FLOAT64
#define I64  DTYPE_INT64
#define BOOL DTYPE_BOOL

struct misfit {
    enum op_id id;
    const char *words; /* of the message */
    struct shape shape[LAB_INPUTS_MAX];
    enum dtype dtype[LAB_INPUTS_MAX];
    struct op_args args;
};
#define ONE(op, type, s, text)                                                                     \
    {                                                                                              \
        .id = OP_##op, .words = text, .shape = {s}, .dtype = { type }                              \
    }
#define TWO(op, type0, s0, type1, s1, text)                                                        \
    {                                                                                              \
        .id = OP_##op, .words = text, .shape = {s0, s1}, .dtype = { type0, type1 }                 \
    }
#define THREE(op, type0, s0, type1, s1, type2, s2, text)                                           \
    {                                                                                              \
        .id = OP_##op, .words = text, .shape = {s0, s1, s2}, .dtype = { type0, type1, type2 }      \
    }

static const struct misfit misfits[] = {
    TWO(ADD, F32, DIMS(3), F32, DIMS(4),
        "The size of tensor a (3) must match the size of tensor b (4) at non-singleton dimension "
        "0"),
    TWO(MUL, F32, DIMS(2, 3), F32, DIMS(2, 2), "non-singleton dimension 1"),
    TWO(SUB, F32, DIMS(2, 3), F32, DIMS(0, 3), "tensor b (0) at non-singleton dimension 0"),
    ONE(MEAN, I64, DIMS(3), "floating point"),
    ONE(RELU, BOOL, DIMS(3), "Boolean inputs not supported for relu"),
    ONE(HARDTANH, BOOL, DIMS(3), "Bool inputs not supported for hardtanh"),
    ONE(LEAKY_RELU, I64, DIMS(3), "\"leaky_relu_cpu\" not implemented for 'Long'"),
    ONE(GELU, I64, DIMS(3), "\"GeluKernelImpl\" not implemented for 'Long'"),
    ONE(SILU, BOOL, DIMS(3), "\"silu_cpu\" not implemented for 'Bool'"),
    ONE(ELU, I64, DIMS(3), "\"elu_cpu\" not implemented for 'Long'"),
    ONE(SOFTPLUS, I64, DIMS(3), "\"softplus_cpu\" not implemented for 'Long'"),
    ONE(LOG_SIGMOID, BOOL, DIMS(3), "\"log_sigmoid_cpu\" not implemented for 'Bool'"),
    ONE(ABS, BOOL, DIMS(3), "\"abs_cpu\" not implemented for 'Bool'"),
    ONE(FLOOR, BOOL, DIMS(3), "\"floor_vml_cpu\" not implemented for 'Bool'"),
    ONE(ROUND, BOOL, DIMS(3), "\"round_vml_cpu\" not implemented for 'Bool'"),
    ONE(NEG, BOOL, DIMS(3), "Negation, the `-` operator, on a bool tensor is not supported."),
    ONE(RSUB, BOOL, DIMS(3), "with two bool tensors is not supported."),
    TWO(SUB, BOOL, DIMS(3), BOOL, DIMS(3), "with two bool tensors is not supported. Use the `^`"),
    TWO(SUB, F32, DIMS(3), BOOL, DIMS(3), "with a bool tensor is not supported. If you are"),
    {.id = OP_ADD,
     .words = "For integral input tensors, argument alpha must not be a floating point number.",
     .shape = {DIMS(2), DIMS(2)},
     .dtype = {I64, BOOL},
     .args = {.alpha = 2, .number = F64}},
    {.id = OP_POW,
     .words = "Integers to negative integer powers are not allowed.",
     .shape = {DIMS(2)},
     .dtype = {I64},
     .args = {.alpha = -1, .number = I64}},
    ONE(POW, BOOL, DIMS(3), "\"pow\" not implemented for 'Bool'"),
    TWO(POW_TENSOR, BOOL, DIMS(3), BOOL, DIMS(3), "\"pow\" not implemented for 'Bool'"),
    TWO(REMAINDER, I64, DIMS(3), I64, DIMS(1), "ZeroDivisionError"),
    TWO(FLOOR_DIVIDE, I64, DIMS(3), BOOL, DIMS(3), "ZeroDivisionError"),
    TWO(REMAINDER, BOOL, DIMS(3), BOOL, DIMS(3), "\"remainder_cpu\" not implemented for 'Bool'"),
    TWO(FLOOR_DIVIDE, BOOL, DIMS(3), BOOL, DIMS(3), "\"div_floor_cpu\" not implemented for 'Bool'"),
    {.id = OP_CLAMP,
     .words = "torch.clamp: At least one of 'min' or 'max' must not be None",
     .shape = {DIMS(2)},
     .dtype = {F32},
     .args = {.alpha = NAN, .beta = NAN}},
    ONE(CLAMP, BOOL, DIMS(3), "\"clamp_scalar_cpu\" not implemented for 'Bool'"),
    THREE(CLAMP_TENSOR, BOOL, DIMS(3), BOOL, DIMS(3), BOOL, DIMS(3),
          "\"clamp_cpu\" not implemented for 'Bool'"),
    THREE(WHERE, I64, DIMS(3), F32, DIMS(3), F32, DIMS(3),
          "where expected condition to be a boolean tensor, but got a tensor with dtype Long"),
    THREE(WHERE, BOOL, DIMS(2), F32, DIMS(3), F32, DIMS(3),
          "The size of tensor a (2) must match the size of tensor b (3)"),
    THREE(WHERE, BOOL, DIMS(3), F32, DIMS(3), F32, DIMS(2),
          "The size of tensor a (3) must match the size of tensor b (2)"),
    {.id = OP_FILL,
     .words = "value cannot be converted to type int64_t without overflow",
     .shape = {DIMS(2)},
     .dtype = {I64},
     .args = {.alpha = 1e30}},
    TWO(FILL_TENSOR, F32, DIMS(2), F32, DIMS(2),
        "fill_ only supports 0-dimension value tensor but got tensor with 1 dimensions."),
    TWO(EQ, F32, DIMS(3), F32, DIMS(2), "The size of tensor a (3) must match"),
    TWO(BITWISE_AND, I64, DIMS(3), F32, DIMS(3), "\"bitwise_and_cpu\" not implemented for 'Float'"),
    TWO(BITWISE_OR, F64, DIMS(3), BOOL, DIMS(3), "\"bitwise_or_cpu\" not implemented for 'Double'"),
    ONE(BITWISE_NOT, F32, DIMS(3), "\"bitwise_not_cpu\" not implemented for 'Float'"),
    ONE(T, F32, DIMS(2, 3, 4), "t() expects a tensor with <= 2 dimensions, but self is 3D"),
    {.id = OP_VIEW,
     .words = "shape '[4, 2]' is invalid for input of size 6",
     .shape = {DIMS(2, 3)},
     .dtype = {F32},
     .args = {.shape = DIMS(4, 2)}},
    ONE(VIEW, F32, DIMS(2, 3), "shape '[]' is invalid for input of size 6"),
};

static void misfits_are_refused_in_words(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(misfits); i++)
        for (int k = 0; k < isa_labs; k++) {
            struct lab *l = &isa_lab[k];
            struct tensor *in[LAB_INPUTS_MAX], *y = NULL;
            lab_clear(l);
            for (int j = 0; j < op_arity(&l->tape.kernels->ops[misfits[i].id]); j++)
                in[j] = lab_zeros(l, misfits[i].dtype[j], misfits[i].shape[j]);
            enum err_kind rc = op_apply(&l->tape, misfits[i].id, &misfits[i].args, in, &y, &l->e);
            if (rc != ERR_INVALID || !strstr(l->e.message, misfits[i].words))
                fail_msg("misfit %d: %s", (int)i, rc ? l->e.message : "taken");
            assert_null(y);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kinks_and_ends_are_those_of_pytorch),
        cmocka_unit_test(losses_hold_at_kinks_and_far_out),
        cmocka_unit_test(softmax_takes_far_apart_numbers),
        cmocka_unit_test(long_sums_keep_their_precision),
        cmocka_unit_test(misfits_are_refused_in_words),
    };
    return cmocka_run_group_tests(tests, isa_labs_open, isa_labs_close);
}
