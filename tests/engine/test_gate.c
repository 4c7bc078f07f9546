/* A ReLU that is a part of the product before it, and whose gradient is a part of the one behind
 * it: nobody sees that but by the time it takes. */
#include "tests/engine/lab.h"

/* Of relu(x w [+ b]) v. */
struct sizes {
    int64_t rows, features, hidden, outputs;
};
struct leaves {
    struct tensor *x, *w, *b, *v;
};

static struct leaves draw(struct lab *l, enum dtype dtype, struct sizes s)
{
    return (struct leaves){lab_leaf(l, dtype, SHAPE(s.rows, s.features)),
                           lab_leaf(l, dtype, SHAPE(s.features, s.hidden)),
                           lab_leaf(l, dtype, SHAPE(s.hidden)),
                           lab_leaf(l, dtype, SHAPE(s.hidden, s.outputs))};
}

static struct tensor *hidden(struct lab *l, const struct leaves *x, bool bias, bool in_one)
{
    struct tensor *in[] = {x->b, x->x, x->w}, **first = bias ? in : in + 1, *y = NULL;
    enum op_id product = bias ? OP_ADDMM : OP_MM;
    if (in_one) {
        assert_int_equal(op_apply_relu(&l->tape, product, first, &y, &l->e), ERR_OK);
        return y;
    }
    y = lab_apply(l, product, NULL, first[0], first[1], bias ? first[2] : NULL);
    return lab_apply(l, OP_RELU, NULL, y, NULL, NULL);
}

static void clear_gradients(struct leaves *x)
{
    x->x->grad = x->w->grad = x->b->grad = x->v->grad = NULL;
}

static void assert_equal(const struct tensor *a, const struct tensor *b)
{
    assert_true(!a == !b);
    for (int64_t i = 0; a && i < tensor_count(a); i++)
        assert_true(lab_same(lab_get(a, i), lab_get(b, i)));
}

/* The output and the gradients in as few passes as may be, and each by itself: what is between is
 * kept for somebody then. */
static void compare(struct lab *l, enum dtype dtype, struct sizes s, bool bias, bool nan)
{
    lab_clear(l);
    lab_count_slopes(&l->tape);
    struct leaves x = draw(l, dtype, s);
    for (int64_t i = 0; i < tensor_count(x.b); i += 3) /* sums of exactly 0, in the first row */
        lab_put(x.b, i, 0);
    for (int64_t i = 0; i < s.features; i++)
        lab_put(x.x, i, nan && i == 0 ? (double)NAN : 0);
    struct tensor *g = lab_leaf(l, dtype, SHAPE(s.rows, s.outputs));
    struct tensor *y = hidden(l, &x, bias, true);
    assert_string_equal(node_class(y->grad_fn), "ReluBackward0");
    assert_string_equal(node_class(y->grad_fn->next[0]), bias ? "AddmmBackward0" : "MmBackward0");
    lab_backward(l, lab_apply(l, OP_MM, NULL, y, x.v, NULL), g, false);
    struct leaves by_one = {x.x->grad, x.w->grad, x.b->grad, x.v->grad};
    assert_int_equal(lab_slopes(OP_RELU), 0);
    clear_gradients(&x);
    struct tensor *apart = hidden(l, &x, bias, false);
    tape_retain_grad(apart);
    assert_equal(y, apart);
    lab_backward(l, lab_apply(l, OP_MM, NULL, apart, x.v, NULL), g, false);
    assert_int_equal(lab_slopes(OP_RELU), 1);
    lab_count_end(&l->tape);
    assert_equal(by_one.x, x.x->grad);
    assert_equal(by_one.w, x.w->grad);
    assert_equal(by_one.b, x.b->grad);
    assert_equal(by_one.v, x.v->grad);
}

static void in_one_pass_are_the_same_bits(void **state)
{
    static const struct sizes sizes[] = {{1, 1, 1, 1},    {1, 8, 40, 1},    {5, 3, 33, 1},
                                         {3, 5, 7, 2},    {1, 20, 128, 10}, {33, 20, 70, 10},
                                         {32, 9, 64, 40}, {200, 30, 17, 3}, {12, 40, 300, 600}};
    (void)state;
    for (int k = 0; k < isa_labs; k++)
        for (size_t i = 0; i < COUNT(sizes); i++)
            for (unsigned variant = 0; variant < 8; variant++)
                compare(&isa_lab[k], variant & 1 ? DTYPE_FLOAT64 : DTYPE_FLOAT32, sizes[i],
                        variant & 2, variant & 4);
}

/* ---- whose gradient others see, too ---------------------------------------------------------- */

/* y times 1 where z is more than 0, else 0: the gradient of a ReLU without one. */
static struct tensor *masked(struct lab *l, struct tensor *z)
{
    struct tensor *mask = lab_zeros(l, z->dtype, z->shape);
    for (int64_t i = 0; i < tensor_count(z); i++)
        lab_put(mask, i, lab_get(z, i) > 0);
    return lab_apply(l, OP_MUL, NULL, z, mask, NULL);
}

enum use {
    TWICE,        /* by two products */
    BESIDE,       /* by a product and by itself */
    AS_BOTH,      /* as both factors of one */
    AS_SUMMAND,   /* of a product, not a factor */
    ALL_WAYS,     /* as a factor and as the summand */
    TIMES_NUMBER, /* as a factor, of alpha 2 */
    USES
};

static struct tensor *use(struct lab *l, struct tensor *y, struct tensor *w, enum use how)
{
    struct op_args twice = op_args_default;
    struct tensor *product = lab_apply(l, OP_MM, NULL, y, w, NULL);
    twice.alpha = 2;
    switch (how) {
    case TWICE:
        return lab_apply(l, OP_ADD, NULL, product, lab_apply(l, OP_MM, NULL, w, y, NULL), NULL);
    case BESIDE:
        return lab_apply(l, OP_ADD, NULL, product, y, NULL);
    case AS_BOTH:
        return lab_apply(l, OP_MM, NULL, y, y, NULL);
    case AS_SUMMAND:
        return lab_apply(l, OP_ADDMM, NULL, y, w, w);
    case ALL_WAYS:
        return lab_apply(l, OP_ADDMM, NULL, y, y, w);
    case TIMES_NUMBER:
        return lab_apply(l, OP_ADDMM, &twice, w, y, w);
    case USES:
        break;
    }
    return NULL;
}

static void any_other_use_is_right_too(void **state)
{
    (void)state;
    for (enum use how = 0; how < USES; how++) {
        lab_clear(&lab);
        struct tensor *x = lab_leaf(&lab, DTYPE_FLOAT64, SHAPE(9, 9)),
                      *w = lab_leaf(&lab, DTYPE_FLOAT64, SHAPE(9, 9)),
                      *g = lab_leaf(&lab, DTYPE_FLOAT64, SHAPE(9, 9));
        lab_count_slopes(&lab.tape);
        lab_backward(&lab, use(&lab, lab_apply(&lab, OP_RELU, NULL, x, NULL, NULL), w, how), g,
                     false);
        assert_int_equal(lab_slopes(OP_RELU), 1);
        lab_count_end(&lab.tape);
        struct tensor *dx = x->grad, *dw = w->grad;
        x->grad = w->grad = NULL;
        lab_backward(&lab, use(&lab, masked(&lab, x), w, how), g, false);
        for (int64_t i = 0; i < 81; i++) {
            assert_true(lab_get(dx, i) == lab_get(x->grad, i));
            assert_true(!dw == !w->grad && (!dw || lab_get(dw, i) == lab_get(w->grad, i)));
        }
    }
}

/* An infinite number times what the ReLU lets through, and not times the rest. */
static void a_factor_of_the_product_comes_first(void **state)
{
    (void)state;
    struct tensor *x = lab_leaf(&lab, DTYPE_FLOAT64, SHAPE(9, 9)),
                  *w = lab_leaf(&lab, DTYPE_FLOAT64, SHAPE(9, 9));
    struct op_args args = {.alpha = INFINITY, .beta = 1};
    struct tensor *y = lab_apply(&lab, OP_RELU, NULL, x, NULL, NULL);
    lab_backward(&lab, lab_apply(&lab, OP_ADDMM, &args, w, y, w), w, false);
    for (int64_t i = 0; i < 81; i++)
        assert_true(lab_get(x, i) > 0 ? isinf(lab_get(x->grad, i)) : lab_get(x->grad, i) == 0);
}

/* A ReLU in place, and one of a leaf that has a slot. */
static void where_the_relu_is_does_not_matter(void **state)
{
    (void)state;
    struct tensor *x = lab_leaf(&lab, DTYPE_FLOAT32, SHAPE(5, 20)),
                  *w = lab_leaf(&lab, DTYPE_FLOAT32, SHAPE(20, 40)),
                  *g = lab_leaf(&lab, DTYPE_FLOAT32, SHAPE(5, 40));
    lab_slot(&lab, x);
    lab_backward(&lab, lab_apply(&lab, OP_MM, NULL, masked(&lab, x), w, NULL), g, false);
    struct tensor *want = lab_zeros(&lab, DTYPE_FLOAT32, SHAPE(5, 20));
    tensor_copy(want, x->grad);
    lab_count_slopes(&lab.tape);
    for (int in_place = 0; in_place < 2; in_place++) {
        x->grad = NULL;
        struct tensor *y = lab_apply(&lab, in_place ? OP_CLONE : OP_RELU, NULL, x, NULL, NULL);
        if (in_place)
            assert_int_equal(op_apply_in_place(&lab.tape, OP_RELU, NULL, &y, 1, &lab.e), ERR_OK);
        lab_backward(&lab, lab_apply(&lab, OP_MM, NULL, y, w, NULL), g, false);
        assert_int_equal(lab_slopes(OP_RELU), 0);
        for (int64_t i = 0; i < 100; i++)
            assert_true(lab_get(x->grad, i) == lab_get(want, i));
    }
    lab_count_end(&lab.tape);
}

/* What is no product of floats has its ReLU behind it. */
static void other_rows_have_a_relu_too(void **state)
{
    (void)state;
    struct tensor *a = lab_zeros(&lab, DTYPE_INT64, SHAPE(2, 2)),
                  *b = lab_leaf(&lab, DTYPE_FLOAT64, SHAPE(2, 2)), *y;
    lab_put(a, 0, -3), lab_put(a, 3, 2);
    assert_int_equal(op_apply_relu(&lab.tape, OP_MM, (struct tensor *[]){a, a}, &y, &lab.e),
                     ERR_OK);
    assert_true(lab_get(y, 0) == 9 && lab_get(y, 3) == 4);
    lab_put(a, 1, 2);
    assert_int_equal(op_apply_relu(&lab.tape, OP_MM, (struct tensor *[]){a, a}, &y, &lab.e),
                     ERR_OK);
    assert_true(lab_get(y, 1) == 0); /* -3 * 2 + 2 * 2 */
    assert_int_equal(op_apply_relu(&lab.tape, OP_ADD, (struct tensor *[]){b, b}, &y, &lab.e),
                     ERR_OK);
    for (int64_t i = 0; i < 4; i++)
        assert_true(lab_get(y, i) == (lab_get(b, i) > 0 ? 2 * lab_get(b, i) : 0));
}

/* torch.autograd.grad by what the ReLU gives is not the gradient of what it was given. */
static void a_gradient_that_is_asked_for_is_its_own(void **state)
{
    (void)state;
    struct tensor *x = lab_leaf(&lab, DTYPE_FLOAT64, SHAPE(4, 6)),
                  *w = lab_leaf(&lab, DTYPE_FLOAT64, SHAPE(6, 5)),
                  *g = lab_leaf(&lab, DTYPE_FLOAT64, SHAPE(4, 5)), *found[2];
    struct tensor *y = lab_apply(&lab, OP_RELU, NULL, x, NULL, NULL);
    struct tensor *z = lab_apply(&lab, OP_MM, NULL, y, w, NULL);
    lab_backward(&lab, z, g, true); /* in one pass; what follows is another walk */
    assert_int_equal(tape_grad(&lab.tape, z, g, false, (struct tensor *[]){y, x}, 2, found, &lab.e),
                     ERR_OK);
    int closed = 0;
    for (int64_t i = 0; i < 24; i++) {
        double want = 0;
        for (int64_t k = 0; k < 5; k++)
            want = fma(lab_get(g, i / 6 * 5 + k), lab_get(w, i % 6 * 5 + k), want);
        bool open = lab_get(x, i) > 0;
        closed += !open;
        assert_true(lab_get(found[0], i) == want && want != 0);
        assert_true(lab_get(found[1], i) == (open ? want : 0));
    }
    assert_true(closed > 0 && closed < 24);
}

static void what_the_relu_gave_must_not_change(void **state)
{
    (void)state;
    struct tensor *x = lab_leaf(&lab, DTYPE_FLOAT64, SHAPE(4, 4)),
                  *w = lab_leaf(&lab, DTYPE_FLOAT64, SHAPE(4, 4));
    w->requires_grad = false; /* only the ReLU reads its output then */
    struct tensor *y = lab_apply(&lab, OP_RELU, NULL, x, NULL, NULL);
    struct tensor *z = lab_apply(&lab, OP_MM, NULL, y, w, NULL);
    lab.tape.grad_disabled = true;
    assert_int_equal(op_apply_in_place(&lab.tape, OP_ZERO, NULL, &y, 1, &lab.e), ERR_OK);
    lab.tape.grad_disabled = false;
    assert_int_equal(tape_backward(&lab.tape, z, w, false, &lab.e), ERR_CONFLICT);
    assert_non_null(strstr(lab.e.message, "which is output 0 of ReluBackward0, is at version 1"));
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, lab_start, lab_finish)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(in_one_pass_are_the_same_bits),
        TEST(any_other_use_is_right_too),
        TEST(a_factor_of_the_product_comes_first),
        TEST(where_the_relu_is_does_not_matter),
        TEST(other_rows_have_a_relu_too),
        TEST(a_gradient_that_is_asked_for_is_its_own),
        TEST(what_the_relu_gave_must_not_change),
    };
    return cmocka_run_group_tests(tests, isa_labs_open, isa_labs_close);
}
