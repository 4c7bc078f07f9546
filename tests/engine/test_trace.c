/* Steps in a row, of which the later ones do again what the first one found out: the same bits. */
#include "engine/cross_entropy.h"
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

static void count_regression(const struct regress *r)
{
    counted->regress(r);
    passes++;
}

static void count_cross_entropy(const struct cross_entropy *c)
{
    counted->cross_entropy(c);
    passes++;
}

/* From here on counts the rounds, or parts of these, that are done in one pass, and the derivatives
 * that are done by themselves. */
static void count_passes(struct tape *t)
{
    counted = t->kernels;
    struct kernels *counting = lab_count_slopes(t);
    counting->regress = count_regression;
    counting->cross_entropy = count_cross_entropy;
    passes = 0;
}

/* Four steps of each; the last three of `again` are repeated ones, and counted. Ends both. */
static void step_beside(struct run *plain, struct run *again, struct lab *l,
                        const struct loss *loss, const struct data *d)
{
    count_passes(&again->tape);
    for (int i = 0; i < 4; i++) {
        double want = step(plain, l, loss, d, false);
        assert_true(lab_same(want, step(again, l, loss, d, false)));
        assert_same(plain, again);
        if (i == 1) /* a number that is none goes through all of it */
            lab_put(d->x, 0, (double)NAN);
    }
    run_close(plain);
    run_close(again);
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
    step_beside(&plain, &again, l, loss, &d);
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

/* ---- a loss and its gradient ----------------------------------------------------------------- */

/* The same of a net of these layers. */
static void follow_counted(struct lab *l, const struct layer *layer, int layers,
                           const struct loss *loss, const struct data *d)
{
    struct run plain = run_open(l, layer, layers, d->x->dtype, false),
               again = run_open(l, layer, layers, d->x->dtype, true);
    step_beside(&plain, &again, l, loss, d);
}

/* A layer of so many classes, of which some rows do not count; how many of the steps had the loss
 * and its gradient in one pass. */
static int follow_classes(struct lab *l, const struct loss *loss, enum dtype dtype, int rows,
                          int classes, unsigned ignored)
{
    lab_clear(l);
    struct layer layer = net_linear(FEATURES, classes, true);
    struct data d = {.x = lab_leaf(l, dtype, SHAPE(rows, FEATURES)),
                     .classes = lab_zeros(l, DTYPE_INT64, SHAPE(rows))};
    d.x->requires_grad = false;
    for (int i = 0; i < rows; i++)
        lab_put(d.classes, i, ignored >> (i % 4) & 1 ? loss->value[1] : (i * 7) % classes);
    follow_counted(l, &layer, 1, loss, &d);
    return passes;
}

static void a_loss_of_classes_has_its_gradient_in_one_pass(void **state)
{
    static const int rows[] = {1, 2, 7, 32, 33, 70}, classes[] = {1, 2, 10, 17, 130, 600};
    (void)state;
    for (int k = 0; k < isa_labs; k++)
        for (size_t r = 0; r < COUNT(rows); r++)
            for (size_t n = 0; n < COUNT(classes); n++)
                for (unsigned variant = 0; variant < 12; variant++) {
                    static const unsigned ignored[] = {0, 6, 15};
                    struct loss loss = net_loss("cross_entropy");
                    loss.value[0] = variant & 1 ? REDUCTION_SUM : REDUCTION_MEAN;
                    assert_int_equal(follow_classes(&isa_lab[k], &loss, variant & 2 ? F64 : F32,
                                                    rows[r], classes[n], ignored[variant / 4]),
                                     3);
                }
}

static void any_other_loss_has_its_gradient_in_one_pass(void **state)
{
    static const struct {
        const char *type;
        enum op_id row;
        double parameter; /* where it has one */
    } losses[] = {{"mse", OP_MSE_LOSS, 0},
                  {"smooth_l1", OP_SMOOTH_L1, 0.3},
                  {"huber", OP_HUBER, 0.4},
                  {"bce_with_logits", OP_BCE_LOGITS, 0}};
    struct layer layer[] = {net_linear(FEATURES, 8, true), net_layer("relu"),
                            net_linear(8, CLASSES, true)};
    (void)state;
    for (int k = 0; k < isa_labs; k++)
        for (size_t i = 0; i < COUNT(losses); i++)
            for (unsigned variant = 0; variant < 12; variant++) {
                lab_clear(&isa_lab[k]);
                struct loss loss = net_loss(losses[i].type);
                loss.value[0] = variant & 1 ? REDUCTION_SUM : REDUCTION_MEAN;
                if (losses[i].parameter != 0)
                    loss.value[1] = losses[i].parameter;
                struct data d =
                    draw(&isa_lab[k], variant & 2 ? F64 : F32, 1 + 100 * (int)(variant / 4));
                follow_counted(&isa_lab[k], layer, COUNT(layer), &loss, &d);
                /* of the step that is not a repeated one */
                assert_int_equal(lab_slopes(losses[i].row), 1);
            }
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
        cmocka_unit_test(a_loss_of_classes_has_its_gradient_in_one_pass),
        cmocka_unit_test(any_other_loss_has_its_gradient_in_one_pass),
        cmocka_unit_test(no_other_round_is_one),
        cmocka_unit_test(frozen_parameters_stay_frozen),
        cmocka_unit_test(what_is_owed_is_owed_again),
        cmocka_unit_test(another_use_of_the_tape_ends_the_row),
        cmocka_unit_test(memory_may_end),
    };
    return cmocka_run_group_tests(tests, open_labs, close_labs);
}
