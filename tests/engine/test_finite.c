/* engine/optim.h: the refusal of an update that would leave the finite numbers, and the norm of the
 * gradients by which it is judged. */
#include "tests/engine/lab.h"
#include "tests/engine/nets.h"

#include <float.h>

#define F32 DTYPE_FLOAT32
#define F64 DTYPE_FLOAT64

static double element(enum dtype dtype, const void *block, int64_t i)
{
    return dtype == F32 ? (double)((const float *)block)[i] : ((const double *)block)[i];
}

static void set_element(enum dtype dtype, void *block, int64_t i, double value)
{
    if (dtype == F32)
        ((float *)block)[i] = (float)value;
    else
        ((double *)block)[i] = value;
}

static void draw_gradients(struct net *n, unsigned which, double scale)
{
    net_draw_gradients(n, &lab, which, scale);
}

static enum err_kind step(struct net *n, const struct kernels *k, bool finite)
{
    return net_step(n, k, finite, &lab.e);
}

/* ---- staying finite ------------------------------------------------------------------------ */

/* The state of a net, to be compared later. */
struct picture {
    unsigned char values[NET_COUNT * 8], momentum[NET_COUNT * 8];
    bool has_momentum[4];
};

static struct picture picture_of(const struct net *n)
{
    struct picture p = {{0}, {0}, {0}};
    memcpy(p.values, n->m->values.data, module_bytes(n->m));
    if (n->sgd.momentum)
        memcpy(p.momentum, n->sgd.momentum, module_bytes(n->m));
    memcpy(p.has_momentum, n->sgd.has_momentum, sizeof p.has_momentum);
    return p;
}

/* A step that must be refused, and change nothing. */
static void assert_diverged(struct net *n)
{
    struct picture before = picture_of(n);
    uint64_t version = n->m->values.version;
    assert_int_equal(step(n, lab.tape.kernels, true), ERR_DIVERGED);
    struct picture after = picture_of(n);
    assert_memory_equal(&before, &after, sizeof before);
    assert_int_equal(n->m->values.version, version);
    assert_non_null(strstr(lab.e.message, n->m->dtype == F32 ? "float32" : "float64"));
}

static void an_overflowing_update_is_refused_whole(void **state)
{
    (void)state;
    for (enum dtype dtype = F32; dtype <= F64; dtype++) {
        double most = dtype == F32 ? (double)FLT_MAX : DBL_MAX;
        struct net n = net_open(dtype);
        n.sgd.options = (struct sgd_options){.lr = 1e-3, .momentum = 0.9};
        draw_gradients(&n, 15, 1);
        assert_int_equal(step(&n, lab.tape.kernels, true), ERR_OK);
        n.sgd.options.lr = most;
        for (int i = 0; i < NET_COUNT; i++)
            set_element(dtype, n.m->gradients.data, i, i == 13 ? 20 : 0);
        assert_diverged(&n); /* the last element alone leaves the range */
        n.sgd.options = (struct sgd_options){.lr = 0, .momentum = most, .weight_decay = 0};
        for (int i = 0; i < NET_COUNT; i++)
            set_element(dtype, n.sgd.momentum, i, i == 13 ? 2 : 0);
        sgd_touch(&n.sgd);
        assert_diverged(&n); /* the momentum alone, the learning rate being 0 */
        n.sgd.options.momentum = 0.5;
        assert_int_equal(step(&n, lab.tape.kernels, true), ERR_OK);
        net_close(&n);
    }
}

/* What a look at the largest magnitudes alone would let pass. */
static void zeros_and_options_beyond_the_type_are_seen(void **state)
{
    (void)state;
    static const struct sgd_options options[] = {{.lr = 1e300},
                                                 {.lr = 1, .weight_decay = 1e300},
                                                 {.lr = 1, .momentum = 1e300},
                                                 {.lr = 1, .momentum = 0.5, .dampening = -1e300}};
    for (size_t i = 0; i < COUNT(options); i++) {
        struct net n = net_open(F32);
        memset(n.m->values.data, 0, module_bytes(n.m));
        n.sgd.options = (struct sgd_options){.lr = 1, .momentum = 0.5};
        draw_gradients(&n, 15, 0); /* all is 0, and infinity times 0 is no number */
        assert_int_equal(step(&n, lab.tape.kernels, true), ERR_OK);
        assert_true(n.sgd.reach == 0);
        n.sgd.options = options[i];
        assert_diverged(&n);
        net_close(&n);
    }
}

/* The direction overflows on the way though the step would be tiny. */
static void overflow_on_the_way_is_seen(void **state)
{
    (void)state;
    struct net n = net_open(F32);
    n.sgd.options = (struct sgd_options){.lr = 1e-30, .momentum = 0.5};
    draw_gradients(&n, 15, 1e25);
    assert_int_equal(step(&n, lab.tape.kernels, true), ERR_OK);
    n.sgd.options = (struct sgd_options){.lr = 1e-30, .momentum = 1e10, .nesterov = true};
    draw_gradients(&n, 15, 1);
    assert_diverged(&n);
    net_close(&n);
}

/* Momentum that was switched off is still there when it is switched on. */
static void resting_momentum_is_not_forgotten(void **state)
{
    (void)state;
    struct net n = net_open(F32);
    n.sgd.options = (struct sgd_options){.lr = 1e-30, .momentum = 0.5};
    draw_gradients(&n, 15, 1e30);
    assert_int_equal(step(&n, lab.tape.kernels, true), ERR_OK);
    n.sgd.options = (struct sgd_options){.lr = 1e-3};
    draw_gradients(&n, 15, 1);
    assert_int_equal(step(&n, lab.tape.kernels, true), ERR_OK);
    n.sgd.options = (struct sgd_options){.lr = 0, .momentum = 1e10};
    assert_diverged(&n);
    net_close(&n);
}

/* A step that was allowed to leave the finite numbers is remembered, also by those parameters that
 * took no part in it. */
static void a_lost_parameter_is_not_trained_on(void **state)
{
    (void)state;
    for (unsigned lost = 1; lost < 16; lost++) {
        struct net n = net_open(F32);
        n.sgd.options = (struct sgd_options){.lr = 0.1};
        draw_gradients(&n, 15, 1);
        assert_int_equal(step(&n, lab.tape.kernels, true), ERR_OK);
        draw_gradients(&n, lost, 1);
        for (int i = 0; i < NET_COUNT; i++)
            ((float *)n.m->gradients.data)[i] = NAN;
        assert_int_equal(step(&n, lab.tape.kernels, false), ERR_OK);
        draw_gradients(&n, 15 & ~lost, 1);
        assert_int_equal(step(&n, lab.tape.kernels, true), ERR_OK);
        draw_gradients(&n, 15, 1);
        assert_diverged(&n);
        net_close(&n);
    }
}

/* 0, or of any size that floats have and beyond. */
static double wild(void)
{
    static const double sizes[] = {0,    0,    1e-44, 1e-20, 0.1,   1,    1,
                                   1e10, 1e19, 1e30,  3e38,  1e150, 1e300};
    double pick = fabs(lab_draw(&lab)) * (double)COUNT(sizes);
    return sizes[(size_t)pick] * fabs(lab_draw(&lab));
}

static struct sgd_options wild_options(void)
{
    struct sgd_options o = {.lr = wild()};
    if (lab_draw(&lab) > 0)
        o.momentum = wild();
    if (lab_draw(&lab) > 0)
        o.weight_decay = wild();
    if (lab_draw(&lab) > 0)
        o.dampening = wild();
    o.maximize = lab_draw(&lab) > 0;
    o.nesterov = o.momentum > 0 && o.dampening == 0;
    return o;
}

static void assert_finite(const struct net *n)
{
    for (int i = 0; i < NET_COUNT; i++) {
        assert_true(isfinite(element(n->m->dtype, n->m->values.data, i)));
        assert_true(!n->sgd.momentum || isfinite(element(n->m->dtype, n->sgd.momentum, i)));
    }
}

/* Two nets are led the same way, one of which is told before every step that it knows nothing, and
 * so tries each update first: they must agree at every step, and stay finite. */
static void the_shortcut_never_changes_an_answer(void **state)
{
    (void)state;
    int refused = 0, taken = 0;
    for (enum dtype dtype = F32; dtype <= F64; dtype++)
        for (int sequence = 0; sequence < 400; sequence++) {
            struct net fast = net_open(dtype), slow = net_open(dtype);
            for (int k = 0; k < 12; k++) {
                if (k == 0 || lab_draw(&lab) > 0.4)
                    fast.sgd.options = slow.sgd.options = wild_options();
                unsigned which = lab_draw(&lab) > 0 ? 15 : (unsigned)(fabs(lab_draw(&lab)) * 16);
                draw_gradients(&fast, which, wild());
                if (!module_gradients_are_finite(fast.m, lab.tape.kernels))
                    continue;               /* the caller refuses these itself */
                if (lab_draw(&lab) > 0.8) { /* written from outside */
                    set_element(dtype, fast.m->values.data, 3, dtype == F32 ? 3e38 : 1e300);
                    set_element(dtype, slow.m->values.data, 3, dtype == F32 ? 3e38 : 1e300);
                    sgd_touch(&fast.sgd);
                }
                draw_gradients(&slow, which, 0);
                memcpy(slow.m->gradients.data, fast.m->gradients.data, module_bytes(slow.m));
                sgd_touch(&slow.sgd);
                enum err_kind rc = step(&fast, lab.tape.kernels, true);
                assert_int_equal(step(&slow, lab.tape.kernels, true), rc);
                struct picture a = picture_of(&fast), b = picture_of(&slow);
                assert_memory_equal(&a, &b, sizeof a);
                assert_finite(&fast);
                refused += rc != ERR_OK;
                taken += rc == ERR_OK;
            }
            net_close(&fast);
            net_close(&slow);
        }
    assert_true(refused > 1000 && taken > 1000);
}

static int sweeps;

static double counted_sgd(const struct sgd_sweep *s)
{
    sweeps++;
    return lab.tape.kernels->sgd(s);
}

/* Once the largest magnitude is known, an ordinary step is one pass, not two. */
static void ordinary_steps_are_one_sweep(void **state)
{
    (void)state;
    struct kernels counting = *lab.tape.kernels;
    struct net n = net_open(F32);
    counting.sgd = counted_sgd;
    n.sgd.options = (struct sgd_options){.lr = 0.1, .momentum = 0.9, .weight_decay = 0.01};
    draw_gradients(&n, 15, 1);
    assert_int_equal(step(&n, &counting, true), ERR_OK);
    sweeps = 0;
    for (int i = 0; i < 5; i++)
        assert_int_equal(step(&n, &counting, true), ERR_OK);
    assert_int_equal(sweeps, 5);
    sgd_touch(&n.sgd);
    assert_int_equal(step(&n, &counting, true), ERR_OK);
    assert_int_equal(sweeps, 7);
    net_close(&n);
}

/* ---- the norm ------------------------------------------------------------------------------ */

static void norms_count_what_has_a_gradient(void **state)
{
    (void)state;
    for (enum dtype dtype = F32; dtype <= F64; dtype++)
        for (unsigned which = 0; which < 16; which++) {
            struct net n = net_open(dtype);
            double sum = 0;
            draw_gradients(&n, which, 3);
            for (int i = 0; i < n.m->parameters; i++)
                for (int64_t j = 0; which >> i & 1 && j < tensor_count(&n.m->parameter[i].slot);
                     j++)
                    sum += pow(lab_get(&n.m->parameter[i].slot, j), 2);
            assert_true(fabs(module_gradient_norm(n.m, lab.tape.kernels) - sqrt(sum)) <=
                        1e-15 * sqrt(sum));
            assert_true(module_gradients_are_finite(n.m, lab.tape.kernels));
            net_close(&n);
        }
}

static void norms_outlive_the_overflow_of_squares(void **state)
{
    (void)state;
    struct net n = net_open(F64), narrow = net_open(F32);
    double *g = n.m->gradients.data;
    draw_gradients(&n, 15, 0);
    for (int i = 0; i < NET_COUNT; i++)
        g[i] = i % 2 ? 1e200 : -1e200;
    assert_true(
        fabs(module_gradient_norm(n.m, lab.tape.kernels) / (sqrt((double)NET_COUNT) * 1e200) - 1) <
        1e-14);
    g[3] = DBL_MAX / 2;
    assert_true(fabs(module_gradient_norm(n.m, lab.tape.kernels) / (DBL_MAX / 2) - 1) < 1e-14);
    for (int i = 0; i < NET_COUNT; i++)
        g[i] = DBL_MAX;
    assert_true(isinf(module_gradient_norm(n.m, lab.tape.kernels)));
    assert_true(module_gradients_are_finite(n.m, lab.tape.kernels));
    g[5] = INFINITY;
    assert_true(isinf(module_gradient_norm(n.m, lab.tape.kernels)));
    assert_false(module_gradients_are_finite(n.m, lab.tape.kernels));
    g[6] = NAN;
    assert_true(isnan(module_gradient_norm(n.m, lab.tape.kernels)));
    assert_false(module_gradients_are_finite(n.m, lab.tape.kernels));
    draw_gradients(&narrow, 15, 0);
    for (int i = 0; i < NET_COUNT; i++)
        ((float *)narrow.m->gradients.data)[i] = FLT_MAX;
    double want = sqrt((double)NET_COUNT) * (double)FLT_MAX;
    assert_true(fabs(module_gradient_norm(narrow.m, lab.tape.kernels) / want - 1) < 1e-14);
    net_close(&n);
    net_close(&narrow);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, lab_start, lab_finish)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_overflowing_update_is_refused_whole),
        TEST(zeros_and_options_beyond_the_type_are_seen),
        TEST(overflow_on_the_way_is_seen),
        TEST(resting_momentum_is_not_forgotten),
        TEST(a_lost_parameter_is_not_trained_on),
        TEST(the_shortcut_never_changes_an_answer),
        TEST(ordinary_steps_are_one_sweep),
        TEST(norms_count_what_has_a_gradient),
        TEST(norms_outlive_the_overflow_of_squares),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
