/* Gradients that a backward leaves to the optimizer (tape.h, `owes`): the same bits as ever. */
#include "engine/crew.h"
#include "tests/engine/nets.h"

#define F32 DTYPE_FLOAT32
#define F64 DTYPE_FLOAT64

/* ---- steps --------------------------------------------------------------------------------- */

static struct net net_of(const struct layer *layer, int layers, enum dtype dtype, struct lab *l)
{
    struct net n = {.m = net_new(layer, layers, dtype, 3)};
    assert_int_equal(module_need_gradients(n.m, &l->e), ERR_OK);
    assert_int_equal(sgd_init(&n.sgd, n.m, &l->e), ERR_OK);
    return n;
}

/* Weights of 6,720, 1,200, 15, 70,000 and 280,000 elements: some are owed, two are too small for
 * that, the last one has rows longer than what is made at a time. */
static struct net wide_net(enum dtype dtype, struct lab *l)
{
    const struct layer layer[] = {net_linear(84, 80, true),   net_linear(80, 15, true),
                                  net_layer("relu"),          net_linear(15, 1, false),
                                  net_linear(1, 70000, true), net_linear(70000, 4, false)};
    return net_of(layer, COUNT(layer), dtype, l);
}

/* With a second weight of so many rows and columns. */
static struct net sized_net(double rows, double columns, enum dtype dtype, struct lab *l)
{
    const struct layer layer[] = {net_linear(84, columns, true), net_layer("relu"),
                                  net_linear(columns, rows, true), net_layer("relu"),
                                  net_linear(rows, 4, true)};
    return net_of(layer, COUNT(layer), dtype, l);
}

/* The second weight is worth being deferred. */
static struct net large_net(enum dtype dtype, struct lab *l)
{
    return sized_net(1000, 1100, dtype, l);
}

/* What becomes of the gradients. UNASKED: they are owed, and nobody asks for a digest, so that the
 * products may update the weights themselves. */
enum way { WRITTEN, OWED, UNASKED, DEFERRED };

/* Returns the digest of the state it leads to. */
static uint64_t step(struct net *n, struct lab *l, int rows, enum way way)
{
    struct loss mse = net_loss("mse");
    double loss, norm;
    uint64_t digest;
    lab_clear(l);
    l->seed = (uint64_t)rows;
    struct tensor *x = lab_leaf(l, n->m->dtype, SHAPE(rows, 84)),
                  *y = lab_leaf(l, n->m->dtype, SHAPE(rows, 4));
    x->requires_grad = y->requires_grad = false;
    module_zero_grad(n->m);
    l->tape.owes = way != WRITTEN;
    l->tape.keeps = way == DEFERRED;
    assert_int_equal(train_backward(n->m, &mse, &l->tape, x, y, &loss, NULL, &l->e), ERR_OK);
    l->tape.owes = false;
    assert_true(!!l->tape.owed == (way != WRITTEN));
    norm = module_gradient_bound(n->m, &l->tape);
    if (way == DEFERRED)
        assert_int_equal(module_defer(n->m, &l->tape, &l->e), ERR_OK);
    assert_int_equal(sgd_step(&n->sgd, n->m, l->tape.kernels, &l->tape, false, norm,
                              way != UNASKED ? &digest : NULL, &l->e),
                     ERR_OK);
    return way != UNASKED ? digest : sgd_digest(&n->sgd, n->m, l->tape.kernels);
}

static void follow(struct lab *l, enum dtype dtype, const struct sgd_options *o)
{
    struct net written = wide_net(dtype, l);
    struct net others[] = {wide_net(dtype, l), wide_net(dtype, l)};
    size_t bytes = module_bytes(written.m);
    written.sgd.options = others[0].sgd.options = others[1].sgd.options = *o;
    for (int rows = 1; rows <= 7; rows += 3) {
        uint64_t digest = step(&written, l, rows, WRITTEN);
        for (int i = 0; i < 2; i++) {
            assert_true(step(&others[i], l, rows, i == 0 ? OWED : UNASKED) == digest);
            assert_memory_equal(others[i].m->values.data, written.m->values.data, bytes);
            assert_true(others[i].sgd.reach == written.sgd.reach);
        }
    }
    net_close(&written);
    net_close(&others[0]);
    net_close(&others[1]);
}

static void steps_have_the_same_bits(void **state)
{
    (void)state;
    struct sgd_options o;
    for (int k = 0; k < isa_labs; k++)
        for (enum dtype dtype = F32; dtype <= F64; dtype++)
            for (int i = 0; i < NET_OPTIONS; i += dtype == F32 ? 3 : 7)
                if (net_options(i, &o))
                    follow(&isa_lab[k], dtype, &o);
}

/* Those that are worth it, of so many rows: the second weight, and with one row the first, whose
 * operands have 84 + 1100 elements in place of 92400. */
static void assert_deferred(const struct net *n, int rows)
{
    for (int i = 0; i < n->m->parameters; i++)
        assert_true(!!n->m->parameter[i].deferred ==
                    (i == 2 || (i == 0 && 8 * rows * (84 + 1100) <= 84 * 1100)));
    assert_true(module_deferred_bytes(n->m) > 0);
}

static void defer(struct lab *l, enum dtype dtype, const struct sgd_options *o)
{
    const struct kernels *k = l->tape.kernels;
    struct net plain = large_net(dtype, l), net = large_net(dtype, l);
    size_t bytes = module_bytes(net.m);
    plain.sgd.options = net.sgd.options = *o;
    for (int rows = 1; rows <= 9; rows += 4) {
        memset(net.m->gradients.data, 0xff, bytes); /* NaN */
        assert_true(step(&net, l, rows, DEFERRED) == step(&plain, l, rows, WRITTEN));
        assert_deferred(&net, rows);
        assert_memory_equal(net.m->values.data, plain.m->values.data, bytes);
        double want = module_gradient_norm(plain.m, k);
        assert_true(fabs(module_gradient_norm(net.m, k) - want) <= 1e-12 * want);
        lab_clear(l); /* what it was made of is gone */
        assert_int_equal(module_make_deferred(net.m, k, NULL, &l->e), ERR_OK);
        assert_int_equal(module_deferred_bytes(net.m), 0);
        assert_memory_equal(net.m->gradients.data, plain.m->gradients.data, bytes);
        assert_true(module_gradient_norm(net.m, k) == want);
    }
    net_close(&plain);
    net_close(&net);
}

static void what_is_deferred_is_made_with_the_same_bits(void **state)
{
    (void)state;
    struct sgd_options o;
    for (int k = 0; k < isa_labs; k++)
        for (enum dtype dtype = F32; dtype <= F64; dtype++)
            for (int i = 0; i < NET_OPTIONS; i += dtype == F32 ? 9 : 11)
                if (net_options(i, &o))
                    defer(&isa_lab[k], dtype, &o);
}

static void idle(struct crew *c, struct errand *e, void *workspace)
{
    (void)c, (void)e, (void)workspace;
}

/* As who helps: the last part first. */
static void help(struct crew *c, struct errand *e, void *workspace)
{
    (void)c;
    while (errand_part(e, true, workspace))
        continue;
}

static double squares_with(struct crew *crew, double side, struct lab *l)
{
    struct net net = sized_net(side, side, F32, l);
    net.sgd.options = (struct sgd_options){.lr = 0.1};
    l->tape.crew = crew;
    step(&net, l, 5, DEFERRED);
    l->tape.crew = NULL;
    assert_non_null(net.m->parameter[2].deferred);
    double squares = net.m->parameter[2].deferred->squares;
    net_close(&net);
    return squares;
}

/* Whoever runs a step: its norm is told to clients. Of a weight that the caches hold, and one that
 * they do not, with rows so long that they are made in pieces. */
static void squares_do_not_depend_on_who_sums_them(void **state)
{
    (void)state;
    static const double sides[] = {520, 1400};
    struct crew nobody = {.run = idle}, helper = {.run = help};
    struct crew *const crews[] = {NULL, &nobody, &helper};
    for (size_t i = 0; i < COUNT(sides); i++) {
        double want = squares_with(NULL, sides[i], &isa_lab[0]);
        assert_true(want > 0);
        for (int k = 0; k < isa_labs; k++)
            for (size_t c = 0; c < COUNT(crews); c++)
                assert_true(squares_with(crews[c], sides[i], &isa_lab[k]) == want);
    }
}

static bool no_memory(size_t bytes)
{
    return bytes > 1000;
}

static void without_memory_nothing_is_deferred(void **state)
{
    (void)state;
    struct lab *l = &isa_lab[0];
    struct net net = large_net(F32, l);
    struct err e;
    net.sgd.options = (struct sgd_options){.lr = 0.1};
    step(&net, l, 5, DEFERRED);
    mem_fault = no_memory;
    assert_int_equal(module_make_deferred(net.m, l->tape.kernels, NULL, &e), ERR_NOMEM);
    module_drop_deferred(net.m);
    assert_int_equal(module_defer(net.m, &l->tape, &e), ERR_NOMEM);
    mem_fault = NULL;
    assert_int_equal(module_deferred_bytes(net.m), 0);
    net_close(&net);
}

/* ---- backward ------------------------------------------------------------------------------ */

/* What a case multiplies: x [N, N], and the leaf w [N, N] with a slot. Returns a scalar. */
#define N 65
typedef struct tensor *(*expression)(struct lab *l, struct tensor *x, struct tensor *w);

static struct tensor *mm(struct lab *l, struct tensor *a, struct tensor *b)
{
    return lab_apply(l, OP_MM, NULL, a, b, NULL);
}

static struct tensor *sum(struct lab *l, struct tensor *x)
{
    return lab_apply(l, OP_SUM, NULL, lab_apply(l, OP_MUL, NULL, x, x, NULL), NULL, NULL);
}

static struct tensor *plain(struct lab *l, struct tensor *x, struct tensor *w)
{
    return sum(l, mm(l, x, w));
}

static struct tensor *on_the_left(struct lab *l, struct tensor *x, struct tensor *w)
{
    return sum(l, mm(l, w, x));
}

static struct tensor *turned(struct lab *l, struct tensor *x, struct tensor *w)
{
    return sum(l, mm(l, x, lab_apply(l, OP_T, NULL, w, NULL, NULL)));
}

static struct tensor *turned_and_kept(struct lab *l, struct tensor *x, struct tensor *w)
{
    struct tensor *t = lab_apply(l, OP_T, NULL, w, NULL, NULL);
    tape_retain_grad(t);
    return sum(l, mm(l, x, t));
}

static struct tensor *by_itself(struct lab *l, struct tensor *x, struct tensor *w)
{
    return sum(l, mm(l, mm(l, w, w), x));
}

static struct tensor *twice(struct lab *l, struct tensor *x, struct tensor *w)
{
    struct tensor *y = mm(l, mm(l, x, w), w);
    return sum(l, lab_apply(l, OP_ADD, &(struct op_args){.alpha = 1}, y, w, NULL));
}

static struct tensor *added(struct lab *l, struct tensor *x, struct tensor *w)
{
    return sum(l, lab_apply(l, OP_ADDMM, &(struct op_args){.alpha = 1, .beta = 1}, w, x, w));
}

static struct tensor *halved(struct lab *l, struct tensor *x, struct tensor *w)
{
    return sum(l, lab_apply(l, OP_ADDMM, &(struct op_args){.alpha = 0.5, .beta = 1}, x, x, w));
}

/* The gradient of w after that many backwards, what is owed being settled.
 *   owed  whether it is left owed in the end, if the tape owes at all */
static struct tensor *gradient(struct lab *l, expression f, enum dtype dtype, int times, bool owes,
                               bool owed)
{
    l->seed = 5;
    struct tensor *x = lab_leaf(l, dtype, SHAPE(N, N)), *w = lab_leaf(l, dtype, SHAPE(N, N));
    lab_slot(l, w);
    l->tape.owes = owes;
    for (int i = 0; i < times; i++)
        lab_backward(l, f(l, x, w), NULL, false);
    l->tape.owes = false;
    const struct owed *of_w = tape_owed(&l->tape, w);
    assert_true(!!of_w == (owes && owed));
    assert_null(tape_owed(&l->tape, x));
    double bound = of_w ? tape_owed_squares(&l->tape, of_w) : INFINITY;
    tape_settle(&l->tape);
    assert_null(l->tape.owed);
    assert_ptr_equal(w->grad, w->grad_slot);
    assert_true(l->tape.kernels->sum_squares(dtype, tensor_data(w->grad), N * N) <= bound);
    return w->grad;
}

/* Whether the gradient is owed at the end: not where it is seen on its way, nor where more than
 * one comes together. */
static void settled_gradients_have_the_same_bits(void **state)
{
    (void)state;
    static const struct {
        expression f;
        bool owed;
    } cases[] = {{plain, true},      {on_the_left, true}, {turned, true}, {turned_and_kept, false},
                 {by_itself, false}, {twice, false},      {added, false}, {halved, false}};
    for (int k = 0; k < isa_labs; k++)
        for (size_t i = 0; i < 4 * COUNT(cases); i++) {
            struct lab *l = &isa_lab[k];
            expression f = cases[i / 4].f;
            enum dtype dtype = i & 1 ? F64 : F32;
            int times = i & 2 ? 2 : 1;
            bool owed = cases[i / 4].owed && times == 1;
            lab_clear(l);
            struct tensor *expected = gradient(l, f, dtype, times, false, owed),
                          *got = gradient(l, f, dtype, times, true, owed);
            assert_memory_equal(tensor_data(got), tensor_data(expected),
                                N * N * dtype_bytes(dtype));
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(settled_gradients_have_the_same_bits),
        cmocka_unit_test(steps_have_the_same_bits),
        cmocka_unit_test(what_is_deferred_is_made_with_the_same_bits),
        cmocka_unit_test(squares_do_not_depend_on_who_sums_them),
        cmocka_unit_test(without_memory_nothing_is_deferred),
    };
    return cmocka_run_group_tests(tests, isa_labs_open, isa_labs_close);
}
