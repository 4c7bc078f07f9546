/* engine/{loss,train}.h: what a loss compares, and what it teaches a module. */
#include "tests/engine/lab.h"
#include "tests/engine/nets.h"

#define F32 DTYPE_FLOAT32
#define F64 DTYPE_FLOAT64
#define I64 DTYPE_INT64

static struct tensor *inputs(enum dtype dtype, struct shape shape)
{
    struct tensor *x = lab_leaf(&lab, dtype, shape);
    x->requires_grad = false;
    return x;
}

static struct tensor *grad_of(struct module *m, const char *name)
{
    struct parameter *p = module_find(m, name);
    assert_non_null(p);
    return p->tensor.grad;
}

/* ---- losses -------------------------------------------------------------------------------- */

static void losses_know_their_targets(void **state)
{
    (void)state;
    struct loss mse = net_loss("mse"), ce = net_loss("cross_entropy");
    struct shape target;
    assert_int_equal(loss_target_shape(&mse, &SHAPE(4, 3), &target, &lab.e), ERR_OK);
    assert_true(shape_equal(&target, &SHAPE(4, 3)));
    assert_int_equal(loss_target_shape(&ce, &SHAPE(4, 3), &target, &lab.e), ERR_OK);
    assert_true(shape_equal(&target, &SHAPE(4)));
    assert_int_equal(loss_target_shape(&ce, &SHAPE(2, 3, 4, 5), &target, &lab.e), ERR_OK);
    assert_true(shape_equal(&target, &SHAPE(2, 4, 5)));
    assert_int_equal(loss_target_shape(&ce, &SHAPE(3), &target, &lab.e), ERR_INVALID);
    for (const struct loss_type *type = loss_types; type->options.type; type++) {
        struct loss l = net_loss(type->options.type);
        assert_int_equal(loss_target_dtype(&l, F32), l.type == ce.type ? DTYPE_INT64 : F32);
        assert_int_equal(loss_target_dtype(&l, F64), l.type == ce.type ? DTYPE_INT64 : F64);
        assert_string_equal(loss_reduction(&l), "mean");
        l.value[0] = REDUCTION_SUM;
        assert_string_equal(loss_reduction(&l), "sum");
    }
}

static double loss_of(const struct loss *l, struct tensor *output, struct tensor *target)
{
    struct tensor *loss = NULL;
    if (loss_forward(l, &lab.tape, output, target, &loss, &lab.e) != ERR_OK)
        fail_msg("%s", lab.e.message);
    assert_int_equal(loss->shape.rank, 0);
    return lab_get(loss, 0);
}

/* Output (1, 4) against target (0, 2): differences 1 and 2. */
static void losses_have_their_values(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        double option, mean;
    } cases[] = {{"mse", 0, 2.5},          {"l1", 0, 1.5},        {"smooth_l1", 1, 1},
                 {"smooth_l1", 4, 0.3125}, {"smooth_l1", 0, 1.5}, {"huber", 1, 1},
                 {"huber", 4, 1.25},       {"huber", 0.5, 0.625}};
    struct tensor *x = lab_leaf(&lab, F64, SHAPE(1, 2)), *y = lab_zeros(&lab, F64, SHAPE(1, 2));
    lab_put(x, 0, 1);
    lab_put(x, 1, 4);
    lab_put(y, 1, 2);
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct loss l = net_loss(cases[i].name);
        if (l.type->options.option[1].kind != OPTION_NONE)
            l.value[1] = cases[i].option;
        assert_true(loss_of(&l, x, y) == cases[i].mean);
        l.value[0] = REDUCTION_SUM;
        assert_true(loss_of(&l, x, y) == 2 * cases[i].mean);
    }
    struct tensor *class = lab_zeros(&lab, DTYPE_INT64, SHAPE(1));
    struct loss ce = net_loss("cross_entropy"), bce = net_loss("bce_with_logits");
    assert_true(fabs(loss_of(&ce, x, class) - (3 + log1p(exp(-3.0)))) < 1e-15);
    double each = (1 + log1p(exp(-1.0)) + (4 - 8 + log1p(exp(-4.0)))) / 2;
    assert_true(fabs(loss_of(&bce, x, y) - each) < 1e-15);
}

static void classes_out_of_bounds_are_refused(void **state)
{
    (void)state;
    struct loss ce = net_loss("cross_entropy");
    struct tensor *x = lab_leaf(&lab, F32, SHAPE(2, 3)), *loss = NULL;
    struct tensor *class = lab_zeros(&lab, DTYPE_INT64, SHAPE(2));
    lab_put(class, 1, 3);
    assert_int_equal(loss_forward(&ce, &lab.tape, x, class, &loss, &lab.e), ERR_INVALID);
    assert_string_equal(lab.e.message, "Target 3 is out of bounds.");
    lab_put(class, 1, -1);
    assert_int_equal(loss_forward(&ce, &lab.tape, x, class, &loss, &lab.e), ERR_INVALID);
    lab_put(class, 1, 2);
    assert_true(isfinite(loss_of(&ce, x, class)));
}

static void an_ignored_class_does_not_count(void **state)
{
    (void)state;
    struct loss ce = net_loss("cross_entropy");
    struct tensor *x = lab_leaf(&lab, F64, SHAPE(3, 2)), *class = lab_zeros(&lab, I64, SHAPE(3)),
                  *row = lab_zeros(&lab, F64, SHAPE(1, 2)), *one = lab_zeros(&lab, I64, SHAPE(1));
    lab_put(class, 0, -100);
    lab_put(class, 2, -100);
    lab_put(row, 0, lab_get(x, 2));
    lab_put(row, 1, lab_get(x, 3));
    assert_true(loss_of(&ce, x, class) == loss_of(&ce, row, one));
    lab_put(class, 0, 1);
    lab_put(class, 2, 1);
    ce.value[1] = 1;
    assert_true(loss_of(&ce, x, class) == loss_of(&ce, row, one));
    ce.value[1] = 0;
    lab_put(class, 0, 0);
    lab_put(class, 2, 0);
    assert_true(isnan(loss_of(&ce, x, class)));
}

static struct tensor *nll(struct tensor *x, struct tensor *class, enum reduction reduction)
{
    struct op_args args = {.reduction = reduction, .ignore_index = -100};
    struct tensor *loss = NULL, *in[] = {x, class};
    if (loss_nll(&lab.tape, &args, in, 2, &loss, &lab.e) != ERR_OK)
        return NULL;
    return loss;
}

static const char *node_of(const struct node *n, int edges)
{
    while (edges-- > 0)
        n = n->next[0];
    return n->call.op->node;
}

/* Of three dimensions, and of five: the nodes of PyTorch. */
static void rows_of_classes_may_have_any_rank(void **state)
{
    (void)state;
    struct tensor *x = lab_leaf(&lab, F64, SHAPE(2, 3, 4)),
                  *class = lab_zeros(&lab, I64, SHAPE(2, 4));
    double sum = 0;
    struct tensor *each = nll(x, class, REDUCTION_NONE), *all = nll(x, class, REDUCTION_SUM);
    assert_true(each && all && shape_equal(&each->shape, &class->shape));
    for (int i = 0; i < 8; i++) {
        assert_true(lab_get(each, i) == -lab_get(x, i / 4 * 12 + i % 4));
        sum += lab_get(each, i);
    }
    assert_true(fabs(lab_get(all, 0) - sum) < 1e-14);
    assert_string_equal(node_of(each->grad_fn, 0), "ViewBackward0");
    assert_string_equal(node_of(each->grad_fn, 1), "NllLoss2DBackward0");
    assert_string_equal(node_of(all->grad_fn, 0), "NllLoss2DBackward0");
    assert_string_equal(node_of(all->grad_fn, 1), "ViewBackward0");
    x = lab_leaf(&lab, F64, SHAPE(2, 3, 1, 2, 2));
    assert_true(shape_equal(&nll(x, lab_zeros(&lab, I64, SHAPE(2, 1, 2, 2)), REDUCTION_NONE)->shape,
                            &SHAPE(2, 1, 2, 2)));
    x = lab_leaf(&lab, F64, SHAPE(2, 3, 4, 2));
    all = nll(x, lab_zeros(&lab, I64, SHAPE(2, 4, 2)), REDUCTION_MEAN);
    assert_string_equal(node_of(all->grad_fn, 0), "NllLoss2DBackward0");
    assert_null(all->grad_fn->next[0]->call.op);
    x = lab_leaf(&lab, F64, SHAPE(2, 3, 0));
    assert_true(isnan(lab_get(nll(x, lab_zeros(&lab, I64, SHAPE(2, 0)), REDUCTION_MEAN), 0)));
    x = lab_leaf(&lab, F64, SHAPE(3));
    assert_true(lab_get(nll(x, lab_zeros(&lab, I64, (struct shape)SCALAR), REDUCTION_MEAN), 0) ==
                -lab_get(x, 0));
}

static void a_gap_between_the_classes_is_closed(void **state)
{
    (void)state;
    struct op_args swap = {.dim = 1, .dim2 = 2};
    struct tensor *x = lab_leaf(&lab, F64, SHAPE(2, 4, 3)),
                  *class = lab_zeros(&lab, I64, SHAPE(2, 4));
    struct tensor *y = lab_apply(&lab, OP_TRANSPOSE, &swap, x, NULL, NULL);
    struct tensor *loss = nll(y, class, REDUCTION_MEAN);
    assert_string_equal(node_of(loss->grad_fn, 2), "CloneBackward0");
    lab_backward(&lab, loss, NULL, false);
    for (int i = 0; i < 24; i++)
        assert_true(lab_get(x->grad, i) == (i % 3 ? 0 : -0.125));
}

static void misfits_of_classes_are_refused(void **state)
{
    (void)state;
    struct tensor *x = lab_leaf(&lab, F32, SHAPE(2, 3, 4));
    assert_null(nll(x, lab_zeros(&lab, I64, SHAPE(3, 4)), REDUCTION_MEAN));
    assert_string_equal(lab.e.message,
                        "Expected input batch_size (2) to match target batch_size (3).");
    assert_null(nll(x, lab_zeros(&lab, I64, SHAPE(2, 3)), REDUCTION_MEAN));
    assert_string_equal(lab.e.message, "Expected target size [2, 4], got [2, 3]");
    assert_null(nll(lab_leaf(&lab, F32, (struct shape)SCALAR),
                    lab_zeros(&lab, I64, (struct shape)SCALAR), REDUCTION_MEAN));
    assert_string_equal(lab.e.message, "Expected 1 or more dimensions (got 0)");
}

/* As PyTorch: the mean of nothing is NaN, its sum 0; what it teaches the parameters is 0. */
static void no_rows_give_no_gradient(void **state)
{
    (void)state;
    for (const struct loss_type *type = loss_types; type->options.type; type++)
        for (int reduction = 0; reduction < 2; reduction++) {
            struct layer layer[] = {net_linear(3, 2, true), net_layer("tanh")};
            struct loss l = net_loss(type->options.type);
            struct module *m = net_new(layer, 2, F32, 0);
            struct shape target;
            struct tensor *x = inputs(F32, SHAPE(0, 3)), *dx = NULL;
            double loss;
            l.value[0] = reduction;
            assert_int_equal(loss_target_shape(&l, &SHAPE(0, 2), &target, &lab.e), ERR_OK);
            struct tensor *y = lab_zeros(&lab, loss_target_dtype(&l, F32), target);
            assert_int_equal(train_backward(m, &l, &lab.tape, x, y, &loss, &dx, &lab.e), ERR_OK);
            assert_true(reduction == REDUCTION_MEAN ? isnan(loss) : loss == 0);
            assert_true(dx && tensor_count(dx) == 0);
            for (int64_t i = 0; i < m->count; i++)
                assert_true(((float *)m->gradients.data)[i] == 0);
            module_free(m);
        }
}

/* ---- training ------------------------------------------------------------------------------ */

static struct module *small_net(enum dtype dtype)
{
    struct layer layer[] = {net_linear(3, 4, true), net_layer("tanh"), net_linear(4, 2, true)};
    return net_new(layer, 3, dtype, 3);
}

/* Against central differences of the loss itself, for parameters and inputs. */
static void gradients_are_those_of_the_loss(void **state)
{
    (void)state;
    const double h = 1e-5;
    for (const struct loss_type *type = loss_types; type->options.type; type++) {
        struct loss l = net_loss(type->options.type);
        struct module *m = small_net(F64);
        struct tensor *x = inputs(F64, SHAPE(5, 3)), *y = inputs(F64, SHAPE(5, 2)), *dx, *out;
        double loss, up, down, *w = m->values.data;
        if (loss_target_dtype(&l, F64) == DTYPE_INT64)
            y = lab_zeros(&lab, DTYPE_INT64, SHAPE(5));
        for (int64_t i = 0; i < m->count + 15; i++) {
            double *p = i < m->count ? w + i : (double *)tensor_data(x) + (i - m->count);
            double was = *p;
            *p = was + h;
            assert_int_equal(train_evaluate(m, &l, &lab.tape, x, y, &out, &up, &lab.e), ERR_OK);
            *p = was - h;
            assert_int_equal(train_evaluate(m, &l, &lab.tape, x, y, &out, &down, &lab.e), ERR_OK);
            *p = was;
            module_zero_grad(m);
            assert_int_equal(train_backward(m, &l, &lab.tape, x, y, &loss, &dx, &lab.e), ERR_OK);
            double got =
                i < m->count ? ((double *)m->gradients.data)[i] : lab_get(dx, i - m->count);
            assert_true(fabs(got - (up - down) / (2 * h)) < 1e-8);
        }
        module_free(m);
    }
}

static void gradients_accumulate_until_zeroed(void **state)
{
    (void)state;
    struct module *m = small_net(F32);
    struct loss l = net_loss("mse");
    struct tensor *x = inputs(F32, SHAPE(5, 3)), *y = inputs(F32, SHAPE(5, 2));
    double loss, norm;
    assert_true(module_gradient_norm(m, lab.tape.kernels) == 0);
    assert_int_equal(train_backward(m, &l, &lab.tape, x, y, &loss, NULL, &lab.e), ERR_OK);
    norm = module_gradient_norm(m, lab.tape.kernels);
    assert_int_equal(train_backward(m, &l, &lab.tape, x, y, &loss, NULL, &lab.e), ERR_OK);
    assert_true(norm > 0 && module_gradient_norm(m, lab.tape.kernels) == 2 * norm);
    module_zero_grad(m);
    assert_null(grad_of(m, "0.weight"));
    assert_true(module_gradient_norm(m, lab.tape.kernels) == 0);
    assert_int_equal(train_backward(m, &l, &lab.tape, x, y, &loss, NULL, &lab.e), ERR_OK);
    assert_true(module_gradient_norm(m, lab.tape.kernels) == norm);
    assert_null(x->grad);
    module_free(m);
}

static void frozen_parameters_get_no_gradient(void **state)
{
    (void)state;
    struct module *m = small_net(F32);
    struct loss l = net_loss("mse");
    struct tensor *x = inputs(F32, SHAPE(5, 3)), *y = inputs(F32, SHAPE(5, 2)), *dx = NULL;
    double all, loss;
    module_find(m, "0.weight")->tensor.requires_grad = false;
    module_find(m, "2.bias")->tensor.requires_grad = false;
    assert_int_equal(train_backward(m, &l, &lab.tape, x, y, &all, NULL, &lab.e), ERR_OK);
    assert_null(grad_of(m, "0.weight"));
    assert_null(grad_of(m, "2.bias"));
    assert_ptr_equal(grad_of(m, "0.bias"), &m->parameter[1].slot);
    assert_non_null(grad_of(m, "2.weight"));
    for (int i = 0; i < m->parameters; i++)
        m->parameter[i].tensor.requires_grad = false;
    module_zero_grad(m);
    assert_int_equal(train_backward(m, &l, &lab.tape, x, y, &loss, NULL, &lab.e), ERR_OK);
    assert_true(loss == all);
    assert_int_equal(train_backward(m, &l, &lab.tape, x, y, &loss, &dx, &lab.e), ERR_OK);
    assert_true(dx && shape_equal(&dx->shape, &x->shape) && lab_get(dx, 0) != 0);
    assert_true(module_gradient_norm(m, lab.tape.kernels) == 0);
    module_free(m);
}

static void evaluation_leaves_no_trace(void **state)
{
    (void)state;
    struct module *m = small_net(F32);
    struct loss l = net_loss("mse");
    struct tensor *x = inputs(F32, SHAPE(5, 3)), *y = inputs(F32, SHAPE(5, 2)), *out = NULL;
    double loss = -7, trained;
    assert_int_equal(train_evaluate(m, &l, &lab.tape, x, NULL, &out, &loss, &lab.e), ERR_OK);
    assert_true(loss == -7 && shape_equal(&out->shape, &SHAPE(5, 2)));
    assert_true(!out->requires_grad && !lab.tape.newest && !m->gradients.data);
    assert_int_equal(train_evaluate(m, &l, &lab.tape, x, y, &out, &loss, &lab.e), ERR_OK);
    assert_int_equal(train_backward(m, &l, &lab.tape, x, y, &trained, NULL, &lab.e), ERR_OK);
    assert_true(loss == trained);
    module_free(m);
}

static void misfits_in_training_are_refused(void **state)
{
    (void)state;
    struct module *m = small_net(F32);
    struct loss l = net_loss("mse");
    struct tensor *y = inputs(F32, SHAPE(5, 2));
    double loss;
    assert_int_equal(
        train_backward(m, &l, &lab.tape, inputs(F32, SHAPE(5, 4)), y, &loss, NULL, &lab.e),
        ERR_INVALID);
    assert_string_equal(lab.e.message, "layer 0 (linear): mat1 and mat2 shapes cannot be "
                                       "multiplied (5x4 and 3x4)");
    assert_int_equal(
        train_backward(m, &l, &lab.tape, inputs(F32, SHAPE(4, 3)), y, &loss, NULL, &lab.e),
        ERR_INVALID);
    assert_non_null(strstr(lab.e.message, "Target size (torch.Size([5, 2]))"));
    assert_true(module_gradient_norm(m, lab.tape.kernels) == 0);
    module_free(m);
}

static void training_steps_allocate_nothing(void **state)
{
    (void)state;
    struct module *m = small_net(F32);
    struct loss l = net_loss("cross_entropy");
    struct tensor *x = inputs(F32, SHAPE(5, 3)), *y = lab_zeros(&lab, DTYPE_INT64, SHAPE(5));
    double loss;
    uint64_t before = 0;
    for (int i = 0; i < 5; i++) {
        module_zero_grad(m);
        assert_int_equal(train_backward(m, &l, &lab.tape, x, y, &loss, NULL, &lab.e), ERR_OK);
        if (i == 0) {
            tape_reset(&lab.tape); /* its chunks become one */
            before = mem_allocations();
        }
    }
    assert_int_equal(mem_allocations(), before);
    module_free(m);
}

static void failed_allocations_are_survived(void **state)
{
    (void)state;
    struct layer layer[] = {net_linear(90, 90, true), net_layer("relu"), net_linear(90, 90, true)};
    struct loss l = net_loss("mse");
    struct tensor *x = inputs(F64, SHAPE(90, 90)), *y = inputs(F64, SHAPE(90, 90));
    double loss = 0;
    bool failed = true;
    for (int n = 0; failed; n++) {
        struct tape tape = {0};
        lab_fail_allocation(n);
        struct module *m = module_new(layer, 3, F64);
        enum err_kind rc = m ? tape_init(&tape, lab.tape.kernels, &lab.e) : ERR_NOMEM;
        if (!rc)
            rc = train_backward(m, &l, &tape, x, y, &loss, NULL, &lab.e);
        failed = lab_faults_fired() > 0;
        lab_fail_allocation(-1);
        assert_int_equal(rc, failed ? ERR_NOMEM : ERR_OK);
        if (m)
            module_zero_grad(m);
        if (m && tape.kernels && tape.workspace)
            assert_int_equal(train_backward(m, &l, &tape, x, y, &loss, NULL, &lab.e), ERR_OK);
        tape_close(&tape);
        module_free(m);
        assert_true(!failed || n < 100);
    }
    module_free(NULL);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, lab_start, lab_finish)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(losses_know_their_targets),         TEST(losses_have_their_values),
        TEST(classes_out_of_bounds_are_refused), TEST(an_ignored_class_does_not_count),
        TEST(rows_of_classes_may_have_any_rank), TEST(a_gap_between_the_classes_is_closed),
        TEST(misfits_of_classes_are_refused),    TEST(no_rows_give_no_gradient),
        TEST(gradients_are_those_of_the_loss),   TEST(gradients_accumulate_until_zeroed),
        TEST(frozen_parameters_get_no_gradient), TEST(evaluation_leaves_no_trace),
        TEST(misfits_in_training_are_refused),   TEST(training_steps_allocate_nothing),
        TEST(failed_allocations_are_survived),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
