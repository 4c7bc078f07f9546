/* engine/optim.h: the update against torch.optim.SGD's formulas, and who takes part in it. */
#include "tests/engine/lab.h"
#include "tests/engine/nets.h"

#define F32 DTYPE_FLOAT32
#define F64 DTYPE_FLOAT64

static double element(enum dtype dtype, const void *block, int64_t i)
{
    return dtype == F32 ? (double)((const float *)block)[i] : ((const double *)block)[i];
}

static void draw_gradients(struct net *n, unsigned which, double scale)
{
    net_draw_gradients(n, &lab, which, scale);
}

static enum err_kind step(struct net *n, const struct kernels *k, bool finite)
{
    return net_step(n, k, finite, &lab.e);
}

/* ---- the formulas -------------------------------------------------------------------------- */

/* One element's way through torch/optim/sgd.py, in double. */
struct reference {
    double parameter, momentum;
    bool has_momentum;
};

static void reference_step(struct reference *r, const struct sgd_options *o, double gradient)
{
    double g = o->maximize ? -gradient : gradient;
    if (o->weight_decay != 0)
        g += o->weight_decay * r->parameter;
    if (o->momentum != 0) {
        r->momentum = r->has_momentum ? o->momentum * r->momentum + (1 - o->dampening) * g : g;
        r->has_momentum = true;
        g = o->nesterov ? g + o->momentum * r->momentum : r->momentum;
    }
    r->parameter -= o->lr * g;
}

static void follow_reference(enum dtype dtype, const struct kernels *k,
                             const struct sgd_options *options)
{
    struct reference want[NET_COUNT];
    struct net n = net_open(dtype);
    const double tolerance = dtype == F32 ? 1e-6 : 1e-15;
    n.sgd.options = *options;
    assert_int_equal(n.m->count, COUNT(want));
    for (int i = 0; i < NET_COUNT; i++)
        want[i] = (struct reference){.parameter = element(dtype, n.m->values.data, i)};
    for (int round = 0; round < 6; round++) {
        draw_gradients(&n, 15, 1);
        assert_int_equal(step(&n, k, round % 2), ERR_OK);
        for (int i = 0; i < NET_COUNT; i++) {
            reference_step(&want[i], options, element(dtype, n.m->gradients.data, i));
            double got = element(dtype, n.m->values.data, i);
            assert_true(fabs(got - want[i].parameter) <= tolerance);
            if (options->momentum != 0)
                assert_true(fabs(element(dtype, n.sgd.momentum, i) - want[i].momentum) <=
                            4 * tolerance);
        }
    }
    assert_int_equal(n.sgd.momentum != NULL, options->momentum != 0);
    net_close(&n);
}

static void updates_follow_the_formulas(void **state)
{
    (void)state;
    int tried = 0;
    for (int i = 0; i < 32; i++) {
        struct sgd_options o;
        if (!net_options(i, &o))
            continue;
        tried++;
        for (int k = 0; kernels_names[k]; k++)
            for (enum dtype dtype = F32; dtype <= F64; dtype++)
                if (kernels_find(kernels_names[k]))
                    follow_reference(dtype, kernels_find(kernels_names[k]), &o);
    }
    assert_int_equal(tried, 20); /* nesterov only with momentum and without dampening */
}

/* A block longer than the kernels' chunks, with every tail: the bits are those of the baseline. */
static void updates_have_the_same_bits_everywhere(void **state)
{
    (void)state;
    enum { N = 1100 };
    static float p[2][N], m[2][N], g[N];
    struct sgd_options o = {.lr = 0.1, .momentum = 0.9, .weight_decay = 0.01, .nesterov = true};
    for (size_t n = 0; n <= N; n += n < 40 ? 1 : 265)
        for (int k = 0; kernels_names[k]; k++) {
            const struct kernels *tried[2] = {kernels_find("baseline"),
                                              kernels_find(kernels_names[k])};
            double most[2];
            for (size_t i = 0; i < N; i++) {
                p[0][i] = p[1][i] = (float)lab_draw(&lab);
                m[0][i] = m[1][i] = (float)lab_draw(&lab);
                g[i] = (float)lab_draw(&lab);
            }
            for (int j = 0; j < 2 && tried[1]; j++) {
                struct sgd_sweep s = {.dtype = F32,
                                      .n = n,
                                      .options = &o,
                                      .gradient = g,
                                      .momentum = m[j],
                                      .parameter = p[j]};
                most[j] = tried[j]->sgd(&s);
            }
            if (!tried[1])
                continue;
            assert_memory_equal(p[0], p[1], sizeof p[0]);
            assert_memory_equal(m[0], m[1], sizeof m[0]);
            double largest = 0;
            for (size_t i = 0; i < n; i++)
                largest = fmax(largest, fmax(fabs((double)p[0][i]), fabs((double)m[0][i])));
            assert_true(most[0] == largest && most[1] == largest);
        }
}

static void nesterov_needs_plain_momentum(void **state)
{
    (void)state;
    static const double bad[][3] = {{0, 0, 1}, {0.9, 0.1, 1}, {0, 0.1, 1}, {0.9, -0.1, 1}};
    double value[OPTIONS_MAX] = {0}, back[OPTIONS_MAX] = {0};
    struct sgd_options o = {.lr = 42};
    for (size_t i = 0; i < COUNT(bad); i++) {
        value[SGD_MOMENTUM] = bad[i][0];
        value[SGD_DAMPENING] = bad[i][1];
        value[SGD_NESTEROV] = bad[i][2];
        assert_int_equal(sgd_set(&o, value, &lab.e), ERR_INVALID);
        assert_string_equal(lab.e.pointer, "/nesterov");
        assert_string_equal(lab.e.message,
                            "Nesterov momentum requires a momentum and zero dampening");
        assert_true(o.lr == 42);
    }
    double good[OPTIONS_MAX] = {0.25, 0.5, 0, 0.125, 1, 1};
    assert_int_equal(sgd_set(&o, good, &lab.e), ERR_OK);
    sgd_get(&o, back);
    assert_memory_equal(back, good, sizeof good);
}

/* ---- which parameters take part ------------------------------------------------------------ */

static void without_a_gradient_nothing_is_touched(void **state)
{
    (void)state;
    for (unsigned which = 0; which < 16; which++) {
        struct net n = net_open(F32);
        float before[NET_COUNT];
        n.sgd.options = (struct sgd_options){.lr = 0.1, .momentum = 0.9, .weight_decay = 0.5};
        memcpy(before, n.m->values.data, sizeof before);
        draw_gradients(&n, which, 1);
        uint64_t version = n.m->values.version;
        assert_int_equal(step(&n, lab.tape.kernels, true), ERR_OK);
        assert_true(n.m->values.version > version);
        for (int i = 0; i < n.m->parameters; i++) {
            const struct tensor *p = &n.m->parameter[i].tensor;
            bool took_part = which >> i & 1;
            assert_int_equal(n.sgd.has_momentum[i], took_part);
            for (int64_t j = p->offset; j < p->offset + tensor_count(p); j++) {
                assert_int_equal(((float *)n.m->values.data)[j] != before[j], took_part);
                assert_int_equal(((float *)n.sgd.momentum)[j] != 0, took_part);
            }
        }
        net_close(&n);
    }
}

/* A parameter that joins later begins with its gradient, whatever the dampening; one that pauses
 * goes on with the momentum it had. */
static void momentum_begins_with_the_first_gradient(void **state)
{
    (void)state;
    static const unsigned turns[] = {1, 3, 14, 15, 4, 15};
    struct net n = net_open(F64);
    struct reference want[NET_COUNT];
    n.sgd.options = (struct sgd_options){.lr = 0.1, .momentum = 0.9, .dampening = 0.5};
    for (int i = 0; i < n.m->parameters; i++) {
        const struct tensor *p = &n.m->parameter[i].tensor;
        for (int64_t j = 0; j < tensor_count(p); j++)
            want[p->offset + j] = (struct reference){.parameter = lab_get(p, j)};
    }
    for (size_t k = 0; k < COUNT(turns); k++) {
        draw_gradients(&n, turns[k], 1);
        assert_int_equal(step(&n, lab.tape.kernels, true), ERR_OK);
        for (int i = 0; i < n.m->parameters; i++) {
            const struct tensor *p = &n.m->parameter[i].tensor;
            for (int64_t j = 0; j < tensor_count(p); j++) {
                struct reference *r = &want[p->offset + j];
                if (p->grad)
                    reference_step(r, &n.sgd.options, lab_get(p->grad, j));
                assert_true(fabs(lab_get(p, j) - r->parameter) < 1e-15);
            }
        }
    }
    net_close(&n);
}

static void steps_without_momentum_are_no_first_ones(void **state)
{
    (void)state;
    struct net n = net_open(F64);
    double kept[NET_COUNT];
    n.sgd.options = (struct sgd_options){.lr = 0.1};
    draw_gradients(&n, 15, 1);
    assert_int_equal(step(&n, lab.tape.kernels, true), ERR_OK);
    assert_null(n.sgd.momentum);
    assert_false(n.sgd.has_momentum[0]);
    n.sgd.options.momentum = 0.9;
    assert_int_equal(step(&n, lab.tape.kernels, true), ERR_OK);
    assert_true(n.sgd.has_momentum[0]);
    assert_memory_equal(n.sgd.momentum, n.m->gradients.data, sizeof kept);
    memcpy(kept, n.sgd.momentum, sizeof kept);
    n.sgd.options.momentum = 0; /* switched off it stays as it was */
    draw_gradients(&n, 15, 1);
    assert_int_equal(step(&n, lab.tape.kernels, true), ERR_OK);
    assert_memory_equal(n.sgd.momentum, kept, sizeof kept);
    assert_true(n.sgd.has_momentum[0]);
    net_close(&n);
}

static void momentum_without_memory_is_refused(void **state)
{
    (void)state;
    struct net n = net_open(F32);
    struct sgd sgd;
    float before[NET_COUNT];
    n.sgd.options = (struct sgd_options){.lr = 0.1, .momentum = 0.9};
    memcpy(before, n.m->values.data, sizeof before);
    draw_gradients(&n, 15, 1);
    lab_fail_allocation(0);
    assert_int_equal(step(&n, lab.tape.kernels, true), ERR_NOMEM);
    assert_int_equal(sgd_init(&sgd, n.m, &lab.e), ERR_NOMEM);
    lab_fail_allocation(-1);
    assert_memory_equal(n.m->values.data, before, sizeof before);
    assert_false(n.sgd.has_momentum[0]);
    assert_int_equal(step(&n, lab.tape.kernels, true), ERR_OK);
    sgd_close(&sgd);
    net_close(&n);
    net_close(&(struct net){0});
}

/* ---- the digest ---------------------------------------------------------------------------- */

/* Parameters of 35, 5, 15, 600 and 200 elements: odd ones, and what is longer than a chunk. */
static struct net odd_net(enum dtype dtype)
{
    struct layer layer[] = {net_linear(7, 5, true), net_linear(5, 3, false),
                            net_linear(3, 200, true)};
    struct net n = {.m = net_new(layer, 3, dtype, 11)};
    assert_int_equal(module_need_gradients(n.m, &lab.e), ERR_OK);
    assert_int_equal(sgd_init(&n.sgd, n.m, &lab.e), ERR_OK);
    assert_int_equal(n.m->parameters, 5);
    return n;
}

/* A step whose digest must be that of the state it leaves. */
static uint64_t digested_step(struct net *n, const struct kernels *k, bool finite)
{
    uint64_t digest = 0;
    double norm = module_gradient_norm(n->m, k);
    assert_int_equal(sgd_step(&n->sgd, n->m, k, NULL, finite, norm, &digest, &lab.e), ERR_OK);
    assert_true(digest == sgd_digest(&n->sgd, n->m, k));
    return digest;
}

/* Which parameters have a gradient: all at first, then some of them, in runs of every kind. In the
 * last two steps the momentum that is there is switched off. */
static const unsigned turns[] = {31, 31, 21, 0, 6, 25, 31, 31, 9};

static void take_turn(struct net *n, size_t i, const struct sgd_options *options)
{
    n->sgd.options = *options;
    if (i >= COUNT(turns) - 2)
        n->sgd.options.momentum = n->sgd.options.nesterov = 0;
    lab.seed = i;
    draw_gradients(n, turns[i], 1);
}

/* digest: of each turn, the first variant's to set and the others' to equal. */
static void follow_digests(enum dtype dtype, const struct kernels *k,
                           const struct sgd_options *options, size_t from, uint64_t *digest)
{
    struct net n = odd_net(dtype), unasked = odd_net(dtype);
    for (size_t i = from; i < COUNT(turns); i++) {
        take_turn(&n, i, options);
        uint64_t got = digested_step(&n, k, i % 2);
        assert_true(digest[i] == 0 || digest[i] == got);
        digest[i] = got;
        take_turn(&unasked, i, options);
        assert_int_equal(step(&unasked, k, i % 2), ERR_OK);
        assert_true(sgd_digest(&unasked.sgd, unasked.m, k) == got);
        assert_memory_equal(unasked.m->values.data, n.m->values.data, module_bytes(n.m));
    }
    net_close(&n);
    net_close(&unasked);
}

/* A step that is not asked for its digest gives the same bits. */
static void steps_tell_the_digest_of_what_they_led_to(void **state)
{
    (void)state;
    for (int i = 0; i < 128; i++) {
        struct sgd_options o;
        uint64_t digest[COUNT(turns)] = {0};
        for (int v = 0; net_options(i & 31, &o) && kernels_names[v]; v++)
            if (kernels_find(kernels_names[v]))
                follow_digests(i & 32 ? F64 : F32, kernels_find(kernels_names[v]), &o,
                               i & 64 ? 2 : 0, digest);
    }
}

/* From the definition. */
static void the_digest_of_parameters_alone_is_their_weighted_sum(void **state)
{
    (void)state;
    struct net n = odd_net(F32);
    uint64_t sum = 0;
    for (uint32_t i = 0; i < (uint32_t)n.m->count; i++) {
        uint32_t word, weight = i * 0x9E3779B1u + 0x85EBCA77u;
        memcpy(&word, (const float *)n.m->values.data + i, sizeof word);
        sum += (uint64_t)word * ((weight ^ weight >> 15) | 1);
    }
    assert_true(sgd_digest(&n.sgd, n.m, lab.tape.kernels) == sum);
    net_close(&n);
}

/* Flips each bit of a block in turn: `seen` says of which parameters that must show. */
static void flip_bits(struct net *n, void *block, uint64_t (*digest)(const struct net *n),
                      unsigned seen)
{
    uint64_t before = digest(n);
    size_t bytes = dtype_bytes(n->m->dtype);
    for (int i = 0; i < n->m->parameters; i++) {
        const struct tensor *p = &n->m->parameter[i].tensor;
        char *part = (char *)block + (size_t)p->offset * bytes;
        for (size_t bit = 0; bit < (size_t)tensor_count(p) * bytes * 8; bit++) {
            part[bit / 8] = (char)(part[bit / 8] ^ 1 << bit % 8);
            assert_int_equal(digest(n) != before, seen >> i & 1);
            part[bit / 8] = (char)(part[bit / 8] ^ 1 << bit % 8);
        }
    }
    assert_true(digest(n) == before);
}

static uint64_t state_digest(const struct net *n)
{
    return sgd_digest(&n->sgd, n->m, lab.tape.kernels);
}

static uint64_t gradient_digest(const struct net *n)
{
    return module_gradient_digest(n->m, lab.tape.kernels);
}

static void digests_see_each_bit_that_counts(void **state)
{
    (void)state;
    for (enum dtype dtype = F32; dtype <= F64; dtype++) {
        struct net n = net_open(dtype);
        n.sgd.options = (struct sgd_options){.lr = 0.1, .momentum = 0.9};
        draw_gradients(&n, 5, 1);
        assert_int_equal(step(&n, lab.tape.kernels, true), ERR_OK);
        flip_bits(&n, n.m->values.data, state_digest, 15);
        flip_bits(&n, n.sgd.momentum, state_digest, 5);
        flip_bits(&n, n.m->gradients.data, gradient_digest, 5);
        net_close(&n);
    }
}

/* Sets of parameters with a momentum or a gradient that is all zeros: no two have one digest. */
static void digests_see_which_parameters_have_what(void **state)
{
    (void)state;
    uint64_t momentum[16], gradient[16];
    struct net n = net_open(F32);
    assert_true(gradient_digest(&n) == 0);
    assert_int_equal(sgd_need_momentum(&n.sgd, n.m, &lab.e), ERR_OK);
    for (unsigned which = 0; which < 16; which++) {
        draw_gradients(&n, which, 0);
        for (int i = 0; i < n.m->parameters; i++)
            n.sgd.has_momentum[i] = which >> i & 1;
        momentum[which] = state_digest(&n);
        gradient[which] = gradient_digest(&n);
        for (unsigned other = 0; other < which; other++)
            assert_true(momentum[other] != momentum[which] && gradient[other] != gradient[which]);
    }
    net_close(&n);
}

/* Parameters and momentum that change places do not cancel out. */
static void digests_tell_momentum_from_parameters(void **state)
{
    (void)state;
    struct net n = net_open(F32);
    float kept[NET_COUNT];
    n.sgd.options = (struct sgd_options){.lr = 0.1, .momentum = 0.9};
    draw_gradients(&n, 15, 1);
    uint64_t before = digested_step(&n, lab.tape.kernels, true);
    memcpy(kept, n.sgd.momentum, sizeof kept);
    memcpy(n.sgd.momentum, n.m->values.data, sizeof kept);
    memcpy(n.m->values.data, kept, sizeof kept);
    assert_true(state_digest(&n) != before);
    net_close(&n);
}

static void a_refused_step_has_no_digest(void **state)
{
    (void)state;
    struct net n = net_open(F32);
    uint64_t digest = 42, before = state_digest(&n);
    n.sgd.options = (struct sgd_options){.lr = 1e30};
    draw_gradients(&n, 15, 1e30);
    double norm = module_gradient_norm(n.m, lab.tape.kernels);
    assert_int_equal(sgd_step(&n.sgd, n.m, lab.tape.kernels, NULL, true, norm, &digest, &lab.e),
                     ERR_DIVERGED);
    assert_true(digest == 42 && state_digest(&n) == before);
    net_close(&n);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, lab_start, lab_finish)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(updates_follow_the_formulas),
        TEST(updates_have_the_same_bits_everywhere),
        TEST(nesterov_needs_plain_momentum),
        TEST(without_a_gradient_nothing_is_touched),
        TEST(momentum_begins_with_the_first_gradient),
        TEST(steps_without_momentum_are_no_first_ones),
        TEST(momentum_without_memory_is_refused),
        TEST(steps_tell_the_digest_of_what_they_led_to),
        TEST(the_digest_of_parameters_alone_is_their_weighted_sum),
        TEST(digests_see_each_bit_that_counts),
        TEST(digests_see_which_parameters_have_what),
        TEST(digests_tell_momentum_from_parameters),
        TEST(a_refused_step_has_no_digest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
