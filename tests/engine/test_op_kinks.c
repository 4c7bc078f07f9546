/* The elementwise rows at the numbers where they are not ordinary: zeros of either sign,
 * infinities, NaN, ties, bounds. Values and derivatives are PyTorch's (kinks_golden.inc). */
#include "tests/engine/lab.h"

#define POINTS 12
#define PAIRS  24

/* y and dy/dx at each of the points. */
struct kinks {
    enum op_id id;
    double alpha, beta;
    double y[POINTS], dx[POINTS];
};

/* y, dy/da and dy/db at each of the pairs. */
struct pair_kinks {
    enum op_id id;
    double y[PAIRS], da[PAIRS], db[PAIRS];
};

#include "tests/engine/kinks_golden.inc"

/* What an operation is tried with, for the messages. */
struct trial {
    struct lab *l;
    enum op_id id;
    enum dtype dtype;
    double alpha, beta;
    const double *x; /* of each input */
    int inputs;
};

static void expect(const struct trial *t, const char *what, double got, double want)
{
    bool narrow = t->dtype == DTYPE_FLOAT32; /* where 1 - y of a y near 1 has few digits */
    double allowed = narrow ? 1e-6 * fabs(want) + 2e-7 : 1e-14 * fabs(want);
    bool near = want != 0 && fabs(got - want) <= allowed;
    if (!near && !lab_same(got, want))
        fail_msg("%s(%g, %g; alpha %g, beta %g) in %s on %s: %s is %.17g, not %.17g",
                 t->l->tape.kernels->ops[t->id].name, t->x[0], t->inputs > 1 ? t->x[1] : 0,
                 t->alpha, t->beta, dtype_name(t->dtype), t->l->tape.kernels->isa, what, got, want);
}

/* want: y and then the derivative by each input. */
static void try(const struct trial *t, const double *want)
{
    const struct op_args args = {.alpha = t->alpha, .beta = t->beta, .number = DTYPE_FLOAT64};
    struct tensor *in[LAB_INPUTS_MAX] = {NULL};
    lab_clear(t->l);
    for (int i = 0; i < t->inputs; i++) {
        in[i] = lab_leaf(t->l, t->dtype, SHAPE(1));
        lab_put(in[i], 0, t->x[i]);
    }
    struct tensor *y = lab_apply(t->l, t->id, &args, in[0], in[1], in[2]);
    expect(t, "the value", lab_get(y, 0), want[0]);
    if (!y->grad_fn || t->l->tape.kernels->ops[t->id].flags & NO_DERIVATIVE)
        return;
    lab_backward(t->l, y, NULL, false);
    for (int i = 0; i < t->inputs; i++)
        expect(t, "a derivative", lab_get(in[i]->grad, 0), want[1 + i]);
}

/* On every instruction set, in both types. */
static void try_everywhere(struct trial t, const double *want)
{
    for (int k = 0; k < isa_labs; k++)
        for (t.dtype = DTYPE_FLOAT32; t.dtype <= DTYPE_FLOAT64; t.dtype++) {
            t.l = &isa_lab[k];
            try(&t, want);
        }
}

static void one_input_is_as_in_pytorch(void **state)
{
    (void)state;
    assert_int_equal(COUNT(points), POINTS);
    for (size_t k = 0; k < COUNT(kinks); k++)
        for (int i = 0; i < POINTS; i++)
            try_everywhere((struct trial){.id = kinks[k].id,
                                          .alpha = kinks[k].alpha,
                                          .beta = kinks[k].beta,
                                          .x = &points[i],
                                          .inputs = 1},
                           (const double[]){kinks[k].y[i], kinks[k].dx[i]});
}

static void two_inputs_are_as_in_pytorch(void **state)
{
    (void)state;
    assert_int_equal(COUNT(pairs), PAIRS);
    for (size_t k = 0; k < COUNT(pair_kinks); k++)
        for (int i = 0; i < PAIRS; i++)
            try_everywhere(
                (struct trial){.id = pair_kinks[k].id, .alpha = 1, .x = pairs[i], .inputs = 2},
                (const double[]){pair_kinks[k].y[i], pair_kinks[k].da[i], pair_kinks[k].db[i]});
}

static void clamp_by_tensors_is_as_in_pytorch(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(clamps); i++)
        try_everywhere((struct trial){.id = OP_CLAMP_TENSOR, .x = clamps[i], .inputs = 3},
                       &clamps[i][3]);
}

/* ---- angles that are far out ----------------------------------------------------------------- */

static void angles_of_any_size(void **state)
{
    (void)state;
    static const double x[] = {1e5, -1048576, 1e10, -1e15, 1e22, 1e300};
    static const enum op_id ids[] = {OP_SIN, OP_COS, OP_TAN};
    for (size_t i = 0; i < COUNT(x); i++) {
        const double s = sin(x[i]), c = cos(x[i]), t = tan(x[i]);
        const double y[] = {s, c, t}, dx[] = {c, -s, 1 + t * t};
        for (int k = 0; k < isa_labs; k++)
            for (size_t f = 0; f < COUNT(ids); f++) {
                struct lab *l = &isa_lab[k];
                lab_clear(l);
                struct tensor *in = lab_leaf(l, DTYPE_FLOAT64, SHAPE(3));
                lab_put(in, 1, x[i]);
                struct tensor *out = lab_apply(l, ids[f], NULL, in, NULL, NULL);
                assert_true(fabs(lab_get(out, 1) / y[f] - 1) < 1e-14);
                out = lab_apply(l, OP_SUM, NULL, out, NULL, NULL);
                lab_backward(l, out, NULL, false);
                assert_true(fabs(lab_get(in->grad, 1) / dx[f] - 1) < 1e-14);
            }
    }
}

/* ---- integers ------------------------------------------------------------------------------- */

static int64_t integer_of(struct lab *l, enum op_id id, int64_t a, int64_t b)
{
    struct tensor *x = lab_zeros(l, DTYPE_INT64, SHAPE(1));
    struct tensor *y = lab_zeros(l, DTYPE_INT64, SHAPE(1));
    *(int64_t *)tensor_data(x) = a;
    *(int64_t *)tensor_data(y) = b;
    struct tensor *z = lab_apply(l, id, NULL, x, y, NULL);
    return *(const int64_t *)tensor_data(z);
}

static void integers_wrap_around(void **state)
{
    (void)state;
    for (int k = 0; k < isa_labs; k++) {
        struct lab *l = &isa_lab[k];
        lab_clear(l);
        assert_int_equal(integer_of(l, OP_ADD, INT64_MAX, 1), INT64_MIN);
        assert_int_equal(integer_of(l, OP_SUB, INT64_MIN, 1), INT64_MAX);
        assert_int_equal(integer_of(l, OP_MUL, INT64_C(1) << 62, 4), 0);
        assert_int_equal(integer_of(l, OP_POW_TENSOR, 3, 64), 8733086111712066817);
        assert_int_equal(integer_of(l, OP_POW_TENSOR, -1, -3), -1);
        assert_int_equal(integer_of(l, OP_POW_TENSOR, 2, -1), 0);
        assert_int_equal(integer_of(l, OP_FLOOR_DIVIDE, INT64_MIN, -1), INT64_MIN);
        assert_int_equal(integer_of(l, OP_REMAINDER, INT64_MIN, -1), 0);
        assert_int_equal(integer_of(l, OP_FLOOR_DIVIDE, -7, 3), -3);
        assert_int_equal(integer_of(l, OP_REMAINDER, -7, 3), 2);
        assert_int_equal(integer_of(l, OP_REMAINDER, 7, -3), -2);
        assert_int_equal(integer_of(l, OP_MAXIMUM, INT64_MAX, INT64_MAX - 1), INT64_MAX);
        assert_int_equal(integer_of(l, OP_ABS, INT64_MIN, 0), INT64_MIN);
        assert_int_equal(integer_of(l, OP_NEG, INT64_MIN, 0), INT64_MIN);
    }
}

/* Bounds that no int64 can be do not bound; nothing is computed in double. */
static void integers_keep_their_digits(void **state)
{
    (void)state;
    const int64_t big = (INT64_C(1) << 53) + 1;
    struct lab *l = &isa_lab[0];
    lab_clear(l);
    struct tensor *x = lab_zeros(l, DTYPE_INT64, SHAPE(1));
    *(int64_t *)tensor_data(x) = big;
    const struct op_args args = {.alpha = -1e300, .beta = 1e300, .number = DTYPE_INT64};
    struct tensor *y = lab_apply(l, OP_CLAMP, &args, x, NULL, NULL);
    assert_int_equal(*(const int64_t *)tensor_data(y), big);
    y = lab_apply(l, OP_HARDTANH, &args, x, NULL, NULL);
    assert_int_equal(*(const int64_t *)tensor_data(y), big);
    y = lab_apply(l, OP_FLOOR, NULL, x, NULL, NULL);
    assert_int_equal(*(const int64_t *)tensor_data(y), big);
    y = lab_apply(l, OP_EQ, NULL, x, y, NULL);
    assert_true(lab_get(y, 0) == 1);
}

/* ---- in place ---------------------------------------------------------------------------------
 */

/* x = leaf + 0; the row is applied to x in place, with src; sum(2 x) goes backwards. */
static struct tensor *overwrite(struct lab *l, enum op_id id, const struct op_args *args,
                                struct tensor *leaf, struct tensor *src)
{
    struct tensor *zero = lab_zeros(l, DTYPE_FLOAT64, SHAPE(1));
    struct tensor *x = lab_apply(l, OP_ADD, NULL, leaf, zero, NULL);
    struct tensor *in[] = {x, src};
    if (op_apply_in_place(&l->tape, id, args, in, src ? 2 : 1, &l->e) != ERR_OK)
        fail_msg("%s", l->e.message);
    assert_ptr_equal(x->grad_fn->call.op, &l->tape.kernels->ops[id]);
    struct tensor *y = lab_apply(l, OP_ADD, NULL, x, x, NULL);
    lab_backward(l, lab_apply(l, OP_SUM, NULL, y, NULL, NULL), NULL, false);
    return x;
}

static void what_is_overwritten_gets_no_gradient(void **state)
{
    (void)state;
    struct lab *l = &isa_lab[0];
    const struct op_args three = {.alpha = 3, .number = DTYPE_INT64};
    static const struct {
        enum op_id id;
        bool has_src;
        double value, gradient; /* of x, and of src */
    } cases[] = {{OP_ZERO, false, 0, 0},
                 {OP_FILL, false, 3, 0},
                 {OP_FILL_TENSOR, true, 5, 12},
                 {OP_COPY, true, 5, 12}};
    for (size_t i = 0; i < COUNT(cases); i++) {
        lab_clear(l);
        struct shape scalar = SCALAR;
        struct tensor *leaf = lab_leaf(l, DTYPE_FLOAT64, SHAPE(2, 3));
        struct tensor *src = cases[i].has_src ? lab_leaf(l, DTYPE_FLOAT32, scalar) : NULL;
        if (src)
            lab_put(src, 0, 5);
        struct tensor *x = overwrite(l, cases[i].id, &three, leaf, src);
        for (int j = 0; j < 6; j++) {
            assert_true(lab_get(x, j) == cases[i].value);
            assert_true(lab_get(leaf->grad, j) == 0);
        }
        if (src) {
            assert_true(lab_get(src->grad, 0) == cases[i].gradient);
            assert_int_equal(src->grad->dtype, DTYPE_FLOAT32);
        }
    }
}

static void copies_keep_the_shape_and_type(void **state)
{
    (void)state;
    struct lab *l = &isa_lab[0];
    lab_clear(l);
    struct tensor *x = lab_zeros(l, DTYPE_INT64, SHAPE(3));
    struct tensor *src = lab_zeros(l, DTYPE_FLOAT64, SHAPE(1, 3));
    struct tensor *in[] = {x, src};
    assert_int_equal(op_apply_in_place(&l->tape, OP_COPY, NULL, in, 2, &l->e), ERR_INVALID);
    assert_string_equal(l->e.message,
                        "output with shape [3] doesn't match the broadcast shape [1, 3]");
    src->shape = SHAPE(1);
    lab_put(src, 0, -2.75);
    assert_int_equal(op_apply_in_place(&l->tape, OP_COPY, NULL, in, 2, &l->e), ERR_OK);
    assert_true(x->dtype == DTYPE_INT64 && lab_get(x, 2) == -2);
}

/* ---- without numbers --------------------------------------------------------------------------
 */

static void a_dry_tape_needs_no_divisor(void **state)
{
    (void)state;
    struct tape dry;
    struct err e;
    tape_init_dry(&dry, isa_lab[0].tape.kernels);
    struct shape shape = SHAPE(2, 3);
    struct tensor *x = tape_tensor(&dry, DTYPE_INT64, &shape), *y;
    struct tensor *in[] = {x, x};
    assert_non_null(x);
    assert_int_equal(op_apply(&dry, OP_FLOOR_DIVIDE, NULL, in, &y, &e), ERR_OK);
    assert_int_equal(op_apply(&dry, OP_REMAINDER, NULL, in, &y, &e), ERR_OK);
    assert_true(shape_equal(&y->shape, &shape) && y->dtype == DTYPE_INT64);
    tape_close(&dry);
}

/* The gradient of what was broadcast is summed, there too; and there is nobody to divide by 0 of.
 */
static void gradients_of_what_was_broadcast(void **state)
{
    (void)state;
    struct lab *l = &isa_lab[0];
    lab_clear(l);
    struct tensor *x = lab_leaf(l, DTYPE_FLOAT64, SHAPE(2, 1)), *y;
    struct tensor *none = lab_leaf(l, DTYPE_FLOAT64, SHAPE(2, 0));
    y = lab_apply(l, OP_DIV, NULL, x, none, NULL);
    lab_backward(l, lab_apply(l, OP_SUM, NULL, y, NULL, NULL), NULL, false);
    assert_true(lab_get(x->grad, 0) == 0 && lab_get(x->grad, 1) == 0);
    struct tensor *ints = lab_zeros(l, DTYPE_INT64, SHAPE(0));
    struct tensor *zero = lab_zeros(l, DTYPE_INT64, SHAPE(1));
    y = lab_apply(l, OP_REMAINDER, NULL, ints, zero, NULL);
    assert_int_equal(tensor_count(y), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_input_is_as_in_pytorch),
        cmocka_unit_test(two_inputs_are_as_in_pytorch),
        cmocka_unit_test(clamp_by_tensors_is_as_in_pytorch),
        cmocka_unit_test(angles_of_any_size),
        cmocka_unit_test(integers_wrap_around),
        cmocka_unit_test(integers_keep_their_digits),
        cmocka_unit_test(what_is_overwritten_gets_no_gradient),
        cmocka_unit_test(copies_keep_the_shape_and_type),
        cmocka_unit_test(a_dry_tape_needs_no_divisor),
        cmocka_unit_test(gradients_of_what_was_broadcast),
    };
    return cmocka_run_group_tests(tests, isa_labs_open, isa_labs_close);
}
