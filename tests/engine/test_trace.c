/* Steps in a row, of which the later ones do again what the first one found out: the same bits. */
#include "engine/regress.h"
#include "tests/engine/nets.h"

#define F32 DTYPE_FLOAT32
#define F64 DTYPE_FLOAT64

#define FEATURES 6
#define CLASSES  5

/* Data of so many rows: inputs, and targets of either kind. */
struct data {
    struct tensor *x, *like_output, *classes;
};

static struct data draw(struct lab *l, enum dtype dtype, int rows)
{
    struct data d = {lab_leaf(l, dtype, SHAPE(rows, FEATURES)),
                     lab_leaf(l, dtype, SHAPE(rows, CLASSES)),
                     lab_zeros(l, DTYPE_INT64, SHAPE(rows))};
    d.x->requires_grad = d.like_output->requires_grad = false;
    for (int i = 0; i < rows; i++)
        lab_put(d.classes, i, i % CLASSES);
    return d;
}

static const struct tensor *target(const struct data *d, const struct loss *l)
{
    return l->type->target == TARGET_CLASSES ? d->classes : d->like_output;
}

/* A net that is trained in one of two ways, on a tape of its own. */
struct run {
    struct net net;
    struct tape tape;
    bool again;
};

static struct run run_open(struct lab *l, const struct layer *layer, int layers, enum dtype dtype,
                           bool again)
{
    struct run r = {.net = {.m = net_new(layer, layers, dtype, 3)}, .again = again};
    assert_int_equal(tape_init(&r.tape, l->tape.kernels, &l->e), ERR_OK);
    assert_int_equal(sgd_init(&r.net.sgd, r.net.m, &l->e), ERR_OK);
    r.net.sgd.options = (struct sgd_options){.lr = 0.05, .momentum = 0.5};
    return r;
}

static void run_close(struct run *r)
{
    net_close(&r->net);
    tape_close(&r->tape);
}

/* Returns the loss. */
static double step(struct run *r, struct lab *l, const struct loss *loss, const struct data *d,
                   bool owes)
{
    struct module *m = r->net.m;
    struct tape *t = &r->tape;
    double value = NAN;
    module_zero_grad(m);
    t->owes = owes;
    enum err_kind rc = r->again
                           ? train_backward_again(m, loss, t, d->x, target(d, loss), &value, &l->e)
                           : train_backward(m, loss, t, d->x, target(d, loss), &value, NULL, &l->e);
    t->owes = false;
    assert_int_equal(rc, ERR_OK);
    double norm = module_gradient_bound(m, t);
    assert_int_equal(sgd_step(&r->net.sgd, m, t->kernels, t, false, norm, NULL, &l->e), ERR_OK);
    return value;
}

static void assert_same(const struct run *a, const struct run *b)
{
    const struct module *m = a->net.m, *n = b->net.m;
    assert_memory_equal(m->values.data, n->values.data, module_bytes(m));
    for (int i = 0; i < m->parameters; i++) {
        const struct tensor *g = m->parameter[i].tensor.grad, *h = n->parameter[i].tensor.grad;
        assert_true(!g == !h);
        for (int64_t j = 0; g && !a->tape.owed && j < tensor_count(g); j++)
            assert_true(lab_same(lab_get(g, j), lab_get(h, j)));
    }
}

/* Steps on data that changes from one to the next; where it keeps its shape, nothing is found out
 * anew. */
static void follow(struct lab *l, const struct layer *layer, int layers, const struct loss *loss,
                   enum dtype dtype)
{
    lab_clear(l);
    const struct data data[] = {draw(l, dtype, 4), draw(l, dtype, 4), draw(l, dtype, 7)};
    static const int turns[] = {0, 0, 1, 0, 2, 2, 0, 1, 1};
    struct run plain = run_open(l, layer, layers, dtype, false),
               again = run_open(l, layer, layers, dtype, true);
    for (size_t i = 0; i < COUNT(turns); i++) {
        uint64_t round = again.tape.round;
        const struct data *d = &data[turns[i]];
        double want = step(&plain, l, loss, d, false), got = step(&again, l, loss, d, false);
        assert_true(lab_same(want, got));
        assert_same(&plain, &again);
        bool repeated = i > 0 && data[turns[i - 1]].x->shape.dim[0] == d->x->shape.dim[0];
        assert_true((again.tape.round == round) == repeated);
    }
    run_close(&plain);
    run_close(&again);
}

static void every_layer_and_loss_repeats(void **state)
{
    (void)state;
    for (enum dtype dtype = F32; dtype <= F64; dtype++)
        for (const struct layer_type *type = layer_types; type->options.type; type++)
            for (const struct loss_type *kind = loss_types; kind->options.type; kind++) {
                struct layer between = net_layer(type->options.type);
                if (!strcmp(type->options.type, "linear"))
                    between = net_linear(8, 8, false);
                struct layer layer[] = {net_linear(FEATURES, 8, true), between,
                                        net_linear(8, CLASSES, true)};
                struct loss loss = net_loss(kind->options.type);
                follow(&lab, layer, COUNT(layer), &loss, dtype);
            }
}

static void the_instruction_set_does_not_matter(void **state)
{
    (void)state;
    struct layer layer[] = {net_linear(FEATURES, 70, true), net_layer("gelu"),
                            net_linear(70, CLASSES, true)};
    struct loss loss = net_loss("cross_entropy");
    for (int k = 0; k < isa_labs; k++)
        follow(&isa_lab[k], layer, COUNT(layer), &loss, F32);
}

/* ---- a linear regression ------------------------------------------------------------------- */

static const struct kernels *counted;
static int passes;

static void count_pass(const struct regress *r)
{
    counted->regress(r);
    passes++;
}

/* The steps of a layer of so many features, on data that may be all zeros, and how many of the
 * later ones were done in one pass. */
static int follow_regression(struct lab *l, struct layer *layer, const struct loss *loss, int rows,
                             unsigned frozen, bool zeros)
{
    int features = (int)layer->value[0];
    lab_clear(l);
    struct tensor *x = lab_leaf(l, F32, SHAPE(rows, features)),
                  *y = lab_leaf(l, F32, SHAPE(rows, 1));
    x->requires_grad = y->requires_grad = false;
    for (int i = 0; zeros && i < rows; i++)
        lab_put(y, i, i % 2 ? -0.0 : 0.0);
    struct run plain = run_open(l, layer, 1, F32, false), again = run_open(l, layer, 1, F32, true);
    struct kernels counting = *again.tape.kernels;
    counted = again.tape.kernels;
    counting.regress = count_pass;
    again.tape.kernels = &counting;
    passes = 0;
    const struct data d = {.x = x, .like_output = y};
    for (int i = 0; i < plain.net.m->parameters; i++) {
        struct tensor *p = &plain.net.m->parameter[i].tensor,
                      *q = &again.net.m->parameter[i].tensor;
        p->requires_grad = q->requires_grad = !(frozen >> i & 1);
        for (int64_t j = 0; zeros && j < tensor_count(p); j++) {
            lab_put(p, j, -0.0);
            lab_put(q, j, -0.0);
        }
    }
    for (int i = 0; i < 4; i++) {
        double want = step(&plain, l, loss, &d, false);
        assert_true(lab_same(want, step(&again, l, loss, &d, false)));
        assert_same(&plain, &again);
        if (i == 1) /* a number that is none goes through all of it */
            lab_put(x, 0, (double)NAN);
    }
    run_close(&plain);
    run_close(&again);
    return passes;
}

static void a_linear_regression_is_one_pass(void **state)
{
    static const int rows[] = {1, 2, 3, 8, 31, 32, 33, 64, 100};
    (void)state;
    for (int k = 0; k < isa_labs; k++)
        for (size_t r = 0; r < COUNT(rows); r++)
            for (int n = 1; n <= REGRESS_FEATURES + 1; n++)
                for (unsigned variant = 0; variant < 16; variant++) {
                    struct loss loss = net_loss("mse");
                    struct layer layer = net_linear(n, 1, true);
                    unsigned frozen = variant & 3;
                    loss.value[0] = variant & 4 ? REDUCTION_SUM : REDUCTION_MEAN;
                    int done =
                        follow_regression(&isa_lab[k], &layer, &loss, rows[r], frozen, variant & 8);
                    bool may = rows[r] >= REGRESS_ROWS && n <= REGRESS_FEATURES && frozen < 3;
                    assert_int_equal(done, may ? 3 : 0);
                }
}

/* What looks like one and is not. */
static void no_other_round_is_one(void **state)
{
    (void)state;
    struct loss mse = net_loss("mse"), huber = net_loss("huber");
    struct layer plain = net_linear(2, 1, false), line = net_linear(2, 1, true);
    assert_int_equal(follow_regression(&lab, &plain, &mse, 8, 0, false), 0);
    assert_int_equal(follow_regression(&lab, &line, &huber, 8, 0, false), 0);
    struct layer deep[] = {net_linear(FEATURES, 1, true), net_linear(1, CLASSES, true)};
    follow(&lab, deep, COUNT(deep), &mse, F32);
    struct layer wide = net_linear(FEATURES, CLASSES, true);
    follow(&lab, &wide, 1, &mse, F32);
}

/* What is frozen has no gradient, in a repeated step neither; nor has anything when all is. */
static void frozen_parameters_stay_frozen(void **state)
{
    (void)state;
    struct layer layer[] = {net_linear(FEATURES, 8, true), net_layer("relu"),
                            net_linear(8, CLASSES, true)};
    struct loss loss = net_loss("mse");
    for (unsigned frozen = 0; frozen < 16; frozen++) {
        lab_clear(&lab);
        const struct data d = draw(&lab, F32, 3);
        struct run plain = run_open(&lab, layer, COUNT(layer), F32, false),
                   again = run_open(&lab, layer, COUNT(layer), F32, true);
        for (int i = 0; i < 4; i++)
            plain.net.m->parameter[i].tensor.requires_grad =
                again.net.m->parameter[i].tensor.requires_grad = !(frozen >> i & 1);
        for (int i = 0; i < 4; i++) {
            double want = step(&plain, &lab, &loss, &d, false);
            assert_true(lab_same(want, step(&again, &lab, &loss, &d, false)));
            assert_same(&plain, &again);
        }
        run_close(&plain);
        run_close(&again);
    }
}

/* Large gradients are owed anew in each step, of the data of that step. */
static void what_is_owed_is_owed_again(void **state)
{
    (void)state;
    struct layer layer[] = {net_linear(FEATURES, 1000, true), net_layer("tanh"),
                            net_linear(1000, CLASSES, true)};
    struct loss loss = net_loss("mse");
    for (int rows = 1; rows <= 9; rows += 4) {
        lab_clear(&lab);
        const struct data data[] = {draw(&lab, F32, rows), draw(&lab, F32, rows)};
        struct run plain = run_open(&lab, layer, COUNT(layer), F32, false),
                   again = run_open(&lab, layer, COUNT(layer), F32, true);
        for (int i = 0; i < 6; i++) {
            double want = step(&plain, &lab, &loss, &data[i / 2 % 2], false);
            assert_true(lab_same(want, step(&again, &lab, &loss, &data[i / 2 % 2], true)));
            assert_non_null(again.tape.owed);
            assert_memory_equal(plain.net.m->values.data, again.net.m->values.data,
                                module_bytes(plain.net.m));
            if (i == 3) /* a look at them does not end the row */
                tape_settle(&again.tape);
        }
        run_close(&plain);
        run_close(&again);
    }
}

static void another_use_of_the_tape_ends_the_row(void **state)
{
    (void)state;
    struct layer layer = net_linear(FEATURES, CLASSES, true);
    struct loss loss = net_loss("mse");
    lab_clear(&lab);
    const struct data d = draw(&lab, F32, 3);
    struct run r = run_open(&lab, &layer, 1, F32, true);
    step(&r, &lab, &loss, &d, false);
    assert_true(tape_has_trace(&r.tape, r.net.m));
    assert_false(tape_has_trace(&r.tape, &lab)); /* it is another's */
    tape_forget_trace(&r.tape);
    assert_false(tape_has_trace(&r.tape, r.net.m));
    step(&r, &lab, &loss, &d, false);
    assert_true(tape_has_trace(&r.tape, r.net.m));
    tape_reset(&r.tape);
    assert_false(tape_has_trace(&r.tape, r.net.m));
    r.again = false;
    step(&r, &lab, &loss, &d, false);
    assert_false(tape_has_trace(&r.tape, r.net.m));
    run_close(&r);
}

/* Without memory for the trace the step is done all the same, and the next one begins anew. */
static void memory_may_end(void **state)
{
    (void)state;
    struct layer layer[] = {net_linear(FEATURES, 8, true), net_layer("relu"),
                            net_linear(8, CLASSES, true)};
    struct loss loss = net_loss("mse");
    lab_clear(&lab);
    const struct data d = draw(&lab, F32, 3);
    struct run plain = run_open(&lab, layer, COUNT(layer), F32, false);
    double want = step(&plain, &lab, &loss, &d, false);
    bool failed = true;
    for (int n = 0; failed; n++) {
        struct run r = run_open(&lab, layer, COUNT(layer), F32, true);
        double value = NAN;
        lab_fail_allocation(n);
        enum err_kind rc =
            train_backward_again(r.net.m, &loss, &r.tape, d.x, d.like_output, &value, &lab.e);
        failed = lab_faults_fired() > 0;
        lab_fail_allocation(-1);
        assert_true(rc == ERR_NOMEM ? failed : rc == ERR_OK && lab_same(value, want));
        assert_false(rc && tape_has_trace(&r.tape, r.net.m));
        module_zero_grad(r.net.m);
        assert_true(lab_same(step(&r, &lab, &loss, &d, false), want));
        assert_same(&plain, &r);
        run_close(&r);
    }
    run_close(&plain);
}

static int open_labs(void **state)
{
    return isa_labs_open(state) || lab_start(state);
}

static int close_labs(void **state)
{
    return lab_finish(state) || isa_labs_close(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_layer_and_loss_repeats),
        cmocka_unit_test(the_instruction_set_does_not_matter),
        cmocka_unit_test(a_linear_regression_is_one_pass),
        cmocka_unit_test(no_other_round_is_one),
        cmocka_unit_test(frozen_parameters_stay_frozen),
        cmocka_unit_test(what_is_owed_is_owed_again),
        cmocka_unit_test(another_use_of_the_tape_ends_the_row),
        cmocka_unit_test(memory_may_end),
    };
    return cmocka_run_group_tests(tests, open_labs, close_labs);
}
