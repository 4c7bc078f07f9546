/* engine/module.h and the rows of layers.c. */
#include "tests/engine/lab.h"
#include "tests/engine/nets.h"

#define F32 DTYPE_FLOAT32
#define F64 DTYPE_FLOAT64

static struct tensor *inputs(enum dtype dtype, struct shape shape)
{
    struct tensor *x = lab_leaf(&lab, dtype, shape);
    x->requires_grad = false;
    return x;
}

static struct tensor *forward(struct module *m, struct tensor *x)
{
    struct tensor *y = NULL;
    if (module_forward(m, &lab.tape, x, &y, &lab.e) != ERR_OK)
        fail_msg("%s", lab.e.message);
    return y;
}

/* ---- the tables ---------------------------------------------------------------------------- */

static void check_options(const struct options *o)
{
    for (int i = 0; i < OPTIONS_MAX && o->option[i].kind != OPTION_NONE; i++) {
        const struct option *p = &o->option[i];
        assert_non_null(p->name);
        assert_int_equal(p->kind == OPTION_CHOICE, p->choices != NULL);
        if (p->required || p->kind == OPTION_BOOL || p->kind == OPTION_CHOICE)
            continue;
        assert_true(isnan(p->fallback) || (p->fallback >= p->min && p->fallback <= p->max));
    }
    assert_int_equal(o->option[OPTIONS_MAX].kind, OPTION_NONE);
}

static void tables_can_be_searched(void **state)
{
    (void)state;
    for (const struct layer_type *l = layer_types; l->options.type; l++) {
        assert_ptr_equal(layer_find(l->options.type), l);
        check_options(&l->options);
    }
    for (const struct loss_type *l = loss_types; l->options.type; l++) {
        assert_ptr_equal(loss_find(l->options.type), l);
        check_options(&l->options);
        assert_string_equal(l->options.option[0].name, "reduction");
    }
    check_options(&optimizer_types[0]);
    assert_null(layer_find("conv2d"));
    assert_null(layer_find(""));
    assert_null(loss_find("mse_loss"));
}

/* ---- layers -------------------------------------------------------------------------------- */

/* shape() and forward() of a layer take the same inputs, give the same shapes and say the same. */
static void check_agreement(struct layer layer, struct shape shape)
{
    struct module_facts want;
    struct err shape_err = {.message = ""};
    lab_clear(&lab);
    struct module *m = net_new(&layer, 1, F32, 0);
    struct tensor *x = inputs(F32, shape), *y = NULL;
    enum err_kind rc = module_facts(m, &shape, &want, &shape_err);
    assert_int_equal(module_forward(m, &lab.tape, x, &y, &lab.e), rc);
    if (rc) {
        assert_int_equal(rc, ERR_INVALID);
        assert_string_equal(lab.e.message, shape_err.message);
    } else {
        assert_true(shape_equal(&y->shape, &want.output));
        assert_int_equal(y->dtype, F32);
        assert_int_equal(want.dtype, F32);
    }
    module_free(m);
}

static void layers_know_their_shapes(void **state)
{
    (void)state;
    static const struct shape shapes[] = {
        DIMS(4),
        DIMS(1),
        DIMS(0),
        DIMS(2, 4),
        DIMS(0, 4),
        DIMS(2, 3),
        DIMS(1, 1),
        DIMS(2, 0),
        DIMS(2, 3, 4),
        DIMS(2, 0, 4),
        DIMS(3, 4, 5),
        DIMS(2, 3, 2, 4),
        DIMS(1, 1, 1, 1, 1, 1, 1, 4),
        DIMS(1LL << 40, 0, 4),
    };
    for (const struct layer_type *type = layer_types; type->options.type; type++)
        for (size_t i = 0; i < COUNT(shapes); i++)
            for (int variant = 0; variant < 4; variant++) {
                struct layer l = net_layer(type->options.type);
                if (!strcmp(type->options.type, "linear"))
                    l = net_linear(4, 3 + variant, variant % 2);
                else if (variant)
                    l.value[0] = variant - 2; /* slopes, forms, dimensions -1, 0, 1 */
                check_agreement(l, shapes[i]);
            }
}

static void a_linear_layer_sees_the_last_dimension(void **state)
{
    (void)state;
    struct loss loss = net_loss("mse");
    for (enum dtype dtype = F32; dtype <= F64; dtype++) {
        struct layer layer = net_linear(4, 3, true);
        struct module *flat = net_new(&layer, 1, dtype, 5), *deep = net_new(&layer, 1, dtype, 5);
        struct tensor *x = inputs(dtype, SHAPE(2, 3, 4)), *t = inputs(dtype, SHAPE(2, 3, 3)), *dx;
        struct tensor rows = *x, targets = *t;
        double deep_loss, flat_loss;
        tensor_wrap(&rows, x->storage, dtype, &SHAPE(6, 4), 0);
        tensor_wrap(&targets, t->storage, dtype, &SHAPE(6, 3), 0);
        assert_int_equal(train_backward(deep, &loss, &lab.tape, x, t, &deep_loss, &dx, &lab.e),
                         ERR_OK);
        assert_true(shape_equal(&dx->shape, &SHAPE(2, 3, 4)));
        assert_int_equal(
            train_backward(flat, &loss, &lab.tape, &rows, &targets, &flat_loss, NULL, &lab.e),
            ERR_OK);
        assert_true(deep_loss == flat_loss);
        assert_memory_equal(deep->gradients.data, flat->gradients.data, module_bytes(deep));
        struct tensor *y = forward(deep, x);
        for (int i = 0; i < 18; i++) {
            double want = lab_get(&deep->parameter[1].tensor, i % 3);
            for (int k = 0; k < 4; k++)
                want +=
                    lab_get(x, i / 3 * 4 + k) * lab_get(&deep->parameter[0].tensor, i % 3 * 4 + k);
            assert_true(fabs(lab_get(y, i) - want) < (dtype == F32 ? 1e-6 : 1e-15));
        }
        module_free(flat);
        module_free(deep);
    }
}

static void flatten_joins_a_range(void **state)
{
    (void)state;
    static const struct {
        double start, end;
        struct shape y; /* of (2, 3, 4, 5); rank -1: refused */
    } cases[] = {
        {1, -1, DIMS(2, 60)},     {0, -1, DIMS(120)},     {0, 1, DIMS(6, 4, 5)},
        {-2, -1, DIMS(2, 3, 20)}, {1, 2, DIMS(2, 12, 5)}, {2, 2, DIMS(2, 3, 4, 5)},
        {-4, 3, DIMS(120)},       {2, 1, {.rank = -1}},   {0, 4, {.rank = -1}},
        {-5, 1, {.rank = -1}},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct layer l = net_layer("flatten");
        struct module_facts got;
        struct tensor *x = inputs(F64, SHAPE(2, 3, 4, 5));
        l.value[0] = cases[i].start;
        l.value[1] = cases[i].end;
        struct module *m = net_new(&l, 1, F64, 0);
        enum err_kind rc = module_facts(m, &x->shape, &got, &lab.e);
        assert_int_equal(rc, cases[i].y.rank < 0 ? ERR_INVALID : ERR_OK);
        if (!rc) {
            struct tensor *y = forward(m, x);
            assert_true(shape_equal(&y->shape, &cases[i].y));
            assert_ptr_equal(y->storage, x->storage);
            assert_true(lab_get(y, 119) == lab_get(x, 119));
        }
        module_free(m);
    }
}

/* Without a dim PyTorch's F.softmax takes 0 for 0, 1 or 3 dimensions, else 1. */
static void softmax_guesses_its_dimension(void **state)
{
    (void)state;
    static const struct {
        struct shape shape;
        int64_t step, n; /* of the line through element 0 */
    } cases[] = {
        {DIMS(5), 1, 5}, {DIMS(2, 5), 1, 5}, {DIMS(2, 3, 4), 12, 2}, {DIMS(2, 3, 2, 2), 4, 3}};
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct layer soft = net_layer("softmax"), log_soft = net_layer("log_softmax");
        struct module *m = net_new(&soft, 1, F64, 0), *log_m = net_new(&log_soft, 1, F64, 0);
        struct tensor *x = inputs(F64, cases[i].shape), *p = forward(m, x), *q = forward(log_m, x);
        double sum = 0;
        for (int64_t k = 0; k < cases[i].n; k++) {
            sum += lab_get(p, k * cases[i].step);
            assert_true(fabs(exp(lab_get(q, k * cases[i].step)) - lab_get(p, k * cases[i].step)) <
                        1e-15);
        }
        assert_true(fabs(sum - 1) < 1e-15);
        module_free(m);
        module_free(log_m);
    }
}

static void options_reach_the_operation(void **state)
{
    (void)state;
    struct layer leaky = net_layer("leaky_relu"), gelu = net_layer("gelu");
    struct tensor *x = lab_zeros(&lab, F64, SHAPE(1, 2));
    lab_put(x, 0, -1);
    lab_put(x, 1, 2);
    struct module *m = net_new(&leaky, 1, F64, 0);
    assert_true(lab_get(forward(m, x), 0) == -0.01);
    module_free(m);
    leaky.value[0] = -3;
    m = net_new(&leaky, 1, F64, 0);
    assert_true(lab_get(forward(m, x), 0) == 3 && lab_get(forward(m, x), 1) == 2);
    module_free(m);
    m = net_new(&gelu, 1, F64, 0);
    double exact = lab_get(forward(m, x), 1);
    assert_true(fabs(exact - (1 + erf(sqrt(2.0)))) < 1e-14);
    module_free(m);
    gelu.value[0] = 1;
    m = net_new(&gelu, 1, F64, 0);
    double form = lab_get(forward(m, x), 1);
    assert_true(form != exact && fabs(form - exact) < 1e-3);
    module_free(m);
}

/* ---- making modules ------------------------------------------------------------------------ */

static void layers_must_fit_each_other(void **state)
{
    (void)state;
    struct layer fit[] = {net_linear(3, 5, true), net_layer("relu"), net_linear(5, 2, true)};
    struct layer misfit[] = {net_linear(3, 5, true), net_layer("relu"), net_linear(4, 2, true)};
    struct layer flat[] = {net_linear(3, 5, true), net_layer("flatten"), net_linear(15, 2, true)};
    struct layer late[] = {net_layer("flatten"), net_linear(3, 5, true), net_layer("softmax"),
                           net_layer("identity"), net_linear(3, 5, true)};
    assert_int_equal(module_check(fit, 3, F32, SIZE_MAX, &lab.e), ERR_OK);
    assert_int_equal(module_check(flat, 3, F32, SIZE_MAX, &lab.e), ERR_OK);
    assert_int_equal(module_check(misfit, 3, F32, SIZE_MAX, &lab.e), ERR_INVALID);
    assert_string_equal(lab.e.pointer, "/2/in_features");
    assert_string_equal(lab.e.message,
                        "must be 5, the out_features of the linear layer before it, got 4");
    assert_int_equal(module_check(late, 5, F32, SIZE_MAX, &lab.e), ERR_INVALID);
    assert_string_equal(lab.e.pointer, "/4/in_features");
    assert_int_equal(module_check(fit, 0, F32, SIZE_MAX, &lab.e), ERR_INVALID);
    assert_string_equal(lab.e.pointer, "");
}

static void too_many_parameters_are_refused_unallocated(void **state)
{
    (void)state;
    struct layer small = net_linear(3, 5, true), none = net_layer("relu");
    struct layer large[] = {net_linear(1e9, 1e9, true), net_linear(0x1p53, 0x1p53, false),
                            net_linear(0x1p53, 1, true), net_linear(0x1p40, 0x1p23, false)};
    struct layer many[] = {net_linear(0x1p31, 0x1p31, false), net_linear(0x1p31, 0x1p31, false),
                           net_linear(0x1p31, 0x1p31, false)};
    uint64_t before = mem_allocations();
    for (size_t i = 0; i < COUNT(large); i++) {
        assert_int_equal(module_check(&large[i], 1, F32, (size_t)1 << 30, &lab.e), ERR_INVALID);
        assert_string_equal(lab.e.message, "the parameters would take more than 1073741824 bytes");
        assert_string_equal(lab.e.pointer, "");
    }
    assert_int_equal(module_check(many, 3, F32, SIZE_MAX, &lab.e), ERR_INVALID);
    assert_int_equal(module_check(&small, 1, F32, 20 * 4, &lab.e), ERR_OK);
    assert_int_equal(module_check(&small, 1, F32, 20 * 4 - 1, &lab.e), ERR_INVALID);
    assert_int_equal(module_check(&small, 1, F64, 20 * 8, &lab.e), ERR_OK);
    assert_int_equal(module_check(&small, 1, F64, 20 * 8 - 1, &lab.e), ERR_INVALID);
    assert_int_equal(module_check(&none, 1, F64, 0, &lab.e), ERR_OK);
    assert_int_equal(mem_allocations(), before);
}

static void parameters_are_one_block_in_state_dict_order(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        struct shape shape;
    } want[] = {{"0.weight", DIMS(5, 3)},
                {"0.bias", DIMS(5)},
                {"2.weight", DIMS(4, 5)},
                {"3.weight", DIMS(2, 4)},
                {"3.bias", DIMS(2)}};
    struct layer layer[] = {net_linear(3, 5, true), net_layer("relu"), net_linear(5, 4, false),
                            net_linear(4, 2, true)};
    for (enum dtype dtype = F32; dtype <= F64; dtype++) {
        struct module *m = net_new(layer, 4, dtype, 1);
        int64_t offset = 0;
        assert_int_equal(m->parameters, COUNT(want));
        assert_int_equal(module_need_gradients(m, &lab.e), ERR_OK);
        for (int i = 0; i < m->parameters; i++) {
            struct parameter *p = &m->parameter[i];
            char *values = m->values.data, *gradients = m->gradients.data;
            assert_string_equal(p->name, want[i].name);
            assert_ptr_equal(module_find(m, want[i].name), p);
            assert_true(shape_equal(&p->tensor.shape, &want[i].shape));
            assert_true(p->tensor.requires_grad && p->tensor.grad_slot == &p->slot);
            assert_null(p->tensor.grad);
            assert_ptr_equal(tensor_data(&p->tensor), values + (size_t)offset * dtype_bytes(dtype));
            assert_ptr_equal(tensor_data(&p->slot),
                             gradients + (size_t)offset * dtype_bytes(dtype));
            offset += tensor_count(&p->tensor);
        }
        assert_int_equal(offset, m->count);
        assert_int_equal(module_bytes(m), (size_t)offset * dtype_bytes(dtype));
        assert_null(module_find(m, "1.weight"));
        assert_null(module_find(m, "0.weigh"));
        module_free(m);
    }
}

/* Of tests/data/golden/init.json, which PyTorch made. */
static void a_seed_gives_the_parameters_of_pytorch(void **state)
{
    (void)state;
    struct layer one = net_linear(1, 1, true), wide = net_linear(3, 5, true);
    struct layer two[] = {net_linear(7, 3, false), net_layer("relu"), net_linear(3, 2, true)};
    struct module *m = net_new(&one, 1, F64, 0);
    assert_true(lab_get(&m->parameter[0].tensor, 0) == 0.940106003613106);
    assert_true(lab_get(&m->parameter[1].tensor, 0) == 0.4156397287995759);
    module_free(m);
    m = net_new(&wide, 1, F32, 1);
    assert_true(lab_get(&m->parameter[0].tensor, 0) == (double)0.29748735f);
    assert_true(lab_get(&m->parameter[0].tensor, 14) == (double)-0.04209389f);
    assert_true(lab_get(&m->parameter[1].tensor, 4) == (double)0.1796657f);
    module_free(m);
    m = net_new(two, 3, F32, 2);
    assert_true(lab_get(&m->parameter[0].tensor, 20) == (double)-0.37020767f);
    assert_true(lab_get(&m->parameter[1].tensor, 5) == (double)-0.027714934f);
    assert_true(lab_get(&m->parameter[2].tensor, 0) == (double)-0.3232854f);
    module_free(m);
}

/* However many are drawn at a time, and wherever they lie: the generator's numbers in order. */
static void parameters_are_drawn_in_order(void **state)
{
    (void)state;
    struct layer layer = net_linear(1100, 3, true);
    float numbers[3300];
    struct rng rng;
    rng_seed(&rng, 9);
    double bound = sqrt(3.0) * (sqrt(2.0 / 6.0) / sqrt(1100));
    rng_uniform_f32(&rng, numbers, COUNT(numbers), -bound, bound);
    struct module *m = net_new(&layer, 1, F32, 9);
    for (size_t i = 0; i < COUNT(numbers); i++)
        assert_true(lab_get(&m->parameter[0].tensor, (int64_t)i) == (double)numbers[i]);
    module_free(m);
}

/* Weights lie by input; row by row they are what state_dict says. */
static void a_block_has_two_orders(void **state)
{
    (void)state;
    struct layer layer[] = {net_linear(3, 20, true), net_linear(20, 37, false)};
    for (enum dtype dtype = F32; dtype <= F64; dtype++) {
        struct module *m = net_new(layer, 2, dtype, 1);
        void *rows = mem_array(1, module_bytes(m)), *block = mem_array(1, module_bytes(m));
        assert_true(rows && block);
        module_to_rows(m, m->values.data, rows);
        for (int i = 0; i < m->parameters; i++) {
            const struct tensor *p = &m->parameter[i].tensor;
            struct storage storage = {.data = rows};
            struct tensor part;
            tensor_wrap(&part, &storage, dtype, &p->shape, p->offset);
            for (int64_t j = 0; j < tensor_count(p); j++)
                assert_true(lab_get(&part, j) == lab_get(p, j));
            assert_int_equal(p->stride[0], 1);
            assert_true(p->shape.rank == 1 || p->stride[1] == p->shape.dim[0]);
            assert_memory_equal(p->stride, m->parameter[i].slot.stride, sizeof p->stride);
        }
        module_from_rows(m, rows, block);
        assert_memory_equal(block, m->values.data, module_bytes(m));
        mem_free(rows);
        mem_free(block);
        module_free(m);
    }
}

static void a_reset_makes_saved_parameters_stale(void **state)
{
    (void)state;
    struct layer layer[] = {net_linear(2, 2, true), net_linear(2, 1, true)};
    struct module *m = net_new(layer, 2, F32, 0);
    struct tensor *y = forward(m, inputs(F32, SHAPE(1, 2)));
    assert_int_equal(module_need_gradients(m, &lab.e), ERR_OK);
    module_touch(m);
    assert_int_equal(tape_backward(&lab.tape, y, NULL, false, &lab.e), ERR_CONFLICT);
    assert_non_null(strstr(lab.e.message, "modified by an inplace operation"));
    module_free(m);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, lab_start, lab_finish)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(tables_can_be_searched),
        TEST(layers_know_their_shapes),
        TEST(a_linear_layer_sees_the_last_dimension),
        TEST(flatten_joins_a_range),
        TEST(softmax_guesses_its_dimension),
        TEST(options_reach_the_operation),
        TEST(layers_must_fit_each_other),
        TEST(too_many_parameters_are_refused_unallocated),
        TEST(parameters_are_one_block_in_state_dict_order),
        TEST(a_seed_gives_the_parameters_of_pytorch),
        TEST(parameters_are_drawn_in_order),
        TEST(a_block_has_two_orders),
        TEST(a_reset_makes_saved_parameters_stale),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
