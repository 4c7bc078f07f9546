/* Every row of OPS, on every instruction set, in both types: the values and derivatives are those
 * of the plain double arithmetic in op_reference.c, and the bits are the same everywhere. */
#include "tests/engine/lab.h"
#include "tests/engine/op_rules.h"

/* One application of a row, backwards too: what came out, as doubles. */
struct outcome {
    struct values y, grad[LAB_INPUTS_MAX];
    bool has_grad[LAB_INPUTS_MAX];
};

/* What is being tried, and the numbers that go in. */
struct trial {
    enum op_id id;
    int sample, variant;
    const struct sample *s;
    struct op_args args;
    struct values in[LAB_INPUTS_MAX + 1];
    struct values weight; /* the gradient of the output */
};

static int inputs_of(const struct trial *t)
{
    return t->s->inputs ? t->s->inputs : op_arity(&kernels_best()->ops[t->id]);
}

static bool is_class(enum op_id id, int i)
{
    return op_rules[id].classes && i == 1;
}

/* Never asks for a gradient. */
static bool is_frozen(enum op_id id, int i)
{
    return !op_has_edge(&kernels_best()->ops[id], i);
}

static bool is_bool(enum op_id id, int i)
{
    return op_rules[id].bools >> i & 1;
}

static bool is_integer(const struct trial *t, int i)
{
    return is_class(t->id, i) || is_bool(t->id, i) || t->s->below[i] > 0;
}

/* Bit i: input i may ask for a gradient. */
static unsigned floats_of(const struct trial *t)
{
    unsigned floats = 0;
    for (int i = 0; i < inputs_of(t); i++)
        floats |= is_integer(t, i) || is_frozen(t->id, i) ? 0 : 1u << i;
    const struct op *op = &kernels_best()->ops[t->id];
    return op->node && !(op->flags & NO_DERIVATIVE) ? floats : 0;
}

static int64_t count_of(const struct values *v)
{
    return shape_count(&v->shape);
}

/* ---- the numbers --------------------------------------------------------------------------- */

/* Away from 0, where some derivatives jump; exact in float32. Equal along an expanded dimension. */
static void draw(struct lab *l, const struct trial *t, int i, struct values *v)
{
    v->shape = t->s->shape[i];
    int64_t n = count_of(v), period = n;
    assert_true(n <= VALUES_MAX);
    if (t->s->layout[i] == EXPANDED && n)
        period = n / v->shape.dim[0];
    for (int64_t j = 0; j < n; j++) {
        double x = lab_draw(l);
        v->x[j] = x < 0 ? 1.75 * x - 0.0625 : 1.75 * x + 0.0625;
        if (is_class(t->id, i))
            v->x[j] = floor(fabs(x) * (double)t->in[0].shape.dim[t->in[0].shape.rank > 1]);
        else if (t->s->below[i] > 0)
            v->x[j] = floor((t->s->from_end ? x : fabs(x)) * (double)t->s->below[i]);
        else if (is_bool(t->id, i))
            v->x[j] = x > 0;
        if (op_rules[t->id].small)
            v->x[j] /= 2;
        if (op_rules[t->id].positive >> i & 1 || (is_frozen(t->id, i) && !is_integer(t, i)))
            v->x[j] = fabs(v->x[j]);
        if (op_rules[t->id].probabilities && i == 0)
            v->x[j] = fabs(x) * 0.75 + 0.125;
        if (j >= period)
            v->x[j] = v->x[j - period];
    }
}

/* Of a row's own, so that a new row leaves the others' numbers as they are. */
static uint64_t seed_of(const struct trial *t)
{
    uint64_t seed = 0;
    for (const char *c = kernels_best()->ops[t->id].name; *c; c++)
        seed = seed * 131 + (unsigned char)*c;
    return seed * 1000 + (uint64_t)(t->sample * 10 + t->variant);
}

static void set_up(struct lab *l, struct trial *t)
{
    const struct rule *rule = &op_rules[t->id];
    l->seed = seed_of(t);
    t->s = &rule->sample[t->sample];
    t->args = t->s->args;
    if (rule->variants) {
        t->args.alpha = rule->variant[t->variant].alpha;
        t->args.beta = rule->variant[t->variant].beta;
        t->args.correction = rule->variant[t->variant].correction;
        t->args.tanh = rule->variant[t->variant].tanh;
        t->args.reduction = rule->variant[t->variant].reduction;
    }
    if (rule->classes && !t->args.ignore_index)
        t->args.ignore_index = -100;
    for (int i = 0; i < (int)COUNT(t->in); i++) {
        t->in[i].shape.rank = -1;
        if (i < inputs_of(t))
            draw(l, t, i, &t->in[i]);
    }
    rule->forward(&t->args, t->in, &t->weight);
    assert_true(count_of(&t->weight) <= VALUES_MAX);
    for (int64_t j = 0; j < count_of(&t->weight); j++)
        t->weight.x[j] = lab_draw(l);
}

/* ---- the inputs ---------------------------------------------------------------------------- */

static void swap_last(struct tensor *t)
{
    int d = t->shape.rank - 1;
    int64_t dim = t->shape.dim[d], stride = t->stride[d];
    t->shape.dim[d] = t->shape.dim[d - 1];
    t->stride[d] = t->stride[d - 1];
    t->shape.dim[d - 1] = dim;
    t->stride[d - 1] = stride;
}

/* A leaf of that shape and layout; what lies between its elements is not to be used. */
static struct tensor *lay_out(struct lab *l, enum dtype dtype, struct shape shape,
                              enum layout layout)
{
    struct tensor *t = lab_zeros(l, dtype, SHAPE(2 * shape_count(&shape) + 2));
    struct storage *storage = t->storage;
    for (int64_t i = 0; i < tensor_count(t); i++)
        lab_put(t, i, dtype == DTYPE_INT64 ? -7e8 : NAN);
    if (layout == TRANSPOSED || layout == T_OF_LEAF) {
        int64_t dim = shape.dim[shape.rank - 1];
        shape.dim[shape.rank - 1] = shape.dim[shape.rank - 2];
        shape.dim[shape.rank - 2] = dim;
    }
    tensor_wrap(t, storage, dtype, &shape, layout == STRIDED ? 1 : 0);
    if (layout == TRANSPOSED)
        swap_last(t);
    for (int d = 0; layout == STRIDED && d < shape.rank; d++)
        t->stride[d] *= 2;
    if (layout == EXPANDED)
        t->stride[0] = 0;
    return t;
}

/* The i-th input. *leaf is what asks for a gradient: the input itself, or what it is the t() of. */
static struct tensor *make_input(struct lab *l, const struct trial *t, int i, enum dtype dtype,
                                 bool wanted, struct tensor **leaf)
{
    enum layout layout = t->s->layout[i];
    enum dtype type = is_bool(t->id, i) ? DTYPE_BOOL : is_integer(t, i) ? DTYPE_INT64 : dtype;
    struct tensor *x = *leaf = lay_out(l, type, t->in[i].shape, layout);
    x->requires_grad = wanted;
    if (wanted && (layout == ROWS || layout == T_OF_LEAF))
        lab_slot(l, x);
    if (layout == T_OF_LEAF)
        x = lab_apply(l, OP_T, NULL, x, NULL, NULL);
    for (int64_t j = 0; j < count_of(&t->in[i]); j++)
        lab_put(x, j, t->in[i].x[j]);
    return x;
}

/* The gradient of the input, out of that of its leaf. */
static struct values gradient_of(const struct trial *t, int i, const struct tensor *leaf)
{
    struct values v = {.shape = t->in[i].shape};
    struct tensor g = *leaf->grad;
    if (t->s->layout[i] == T_OF_LEAF)
        swap_last(&g);
    assert_true(shape_equal(&g.shape, &v.shape));
    for (int64_t j = 0; j < count_of(&v); j++)
        v.x[j] = lab_get(&g, j);
    return v;
}

/* What the wanted gradients are made of is there, and no more. */
static void check_saved(const struct op *op, const struct node *n, unsigned wanted)
{
    uint64_t saves = 0;
    for (int i = 0; i < SAVED_INPUTS_MAX; i++)
        if (wanted >> i & 1)
            saves |= op->saves >> (SAVE_BITS * i);
    assert_ptr_equal(n->call.op, op);
    for (int i = 0; i < n->call.inputs; i++)
        assert_int_equal(n->call.in[i] != NULL, (saves & SAVE_IN(i)) != 0);
    assert_int_equal(n->call.out != NULL, (saves & SAVE_OUT) != 0);
    assert_int_equal(n->call.aux != NULL, (saves & SAVE_AUX) != 0);
}

/* wanted: bit i says whether input i asks for a gradient. */
static void run(struct lab *l, const struct trial *t, enum dtype dtype, unsigned wanted,
                struct outcome *o)
{
    const struct op *op = &l->tape.kernels->ops[t->id];
    struct tensor *in[LAB_INPUTS_MAX] = {NULL}, *leaf[LAB_INPUTS_MAX], *y;
    lab_clear(l);
    for (int i = 0; i < inputs_of(t); i++)
        in[i] = make_input(l, t, i, dtype, wanted >> i & 1, &leaf[i]);
    if (op_apply_many(&l->tape, t->id, &t->args, in, inputs_of(t), &y, NULL, &l->e) != ERR_OK)
        fail_msg("%s, sample %d: %s", op->name, t->sample, l->e.message);
    assert_true(shape_equal(&y->shape, &t->weight.shape));
    if (op->node)
        assert_int_equal(y->dtype, t->args.has_dtype ? t->args.dtype : dtype);
    o->y.shape = y->shape;
    for (int64_t j = 0; j < tensor_count(y); j++)
        o->y.x[j] = lab_get(y, j);
    assert_int_equal(y->requires_grad, wanted != 0);
    assert_int_equal(y->grad_fn != NULL, wanted != 0);
    if (wanted) {
        struct tensor *w = lab_zeros(l, dtype, y->shape);
        for (int64_t j = 0; j < tensor_count(w); j++)
            lab_put(w, j, t->weight.x[j]);
        check_saved(op, y->grad_fn, wanted);
        lab_backward(l, y, w, false);
    }
    for (int i = 0; i < inputs_of(t); i++) {
        o->has_grad[i] = leaf[i]->grad != NULL;
        assert_int_equal(o->has_grad[i], wanted >> i & 1);
        if (!o->has_grad[i])
            continue;
        o->grad[i] = gradient_of(t, i, leaf[i]);
        if (leaf[i]->grad_slot)
            assert_ptr_equal(leaf[i]->grad, leaf[i]->grad_slot);
    }
}

/* ---- comparing ----------------------------------------------------------------------------- */

static void differs(const struct trial *t, const char *what, int64_t j, double got, double want)
{
    fail_msg("%s, sample %d, variant %d: %s[%d] is %.17g, not %.17g",
             kernels_best()->ops[t->id].name, t->sample, t->variant, what, (int)j, got, want);
}

/* |got - want| <= tolerance * the largest |want|, plus floor; NaN only where it is wanted. */
static void assert_near(const struct trial *t, const char *what, const struct values *got,
                        const struct values *want, double tolerance, double floor)
{
    double largest = 0;
    assert_true(shape_equal(&got->shape, &want->shape));
    for (int64_t j = 0; j < count_of(want); j++)
        largest = fmax(largest, fabs(want->x[j]));
    for (int64_t j = 0; j < count_of(want); j++)
        if (!(fabs(got->x[j] - want->x[j]) <= tolerance * largest + floor) &&
            !(isnan(got->x[j]) && isnan(want->x[j])))
            differs(t, what, j, got->x[j], want->x[j]);
}

static void assert_bits(const struct trial *t, const char *what, const struct values *got,
                        const struct values *want)
{
    assert_true(shape_equal(&got->shape, &want->shape));
    for (int64_t j = 0; j < count_of(want); j++)
        if (!lab_same(got->x[j], want->x[j]))
            differs(t, what, j, got->x[j], want->x[j]);
}

/* The derivative of sum(weight * y) by the j-th element of input i, as the reference has it. */
static double slope(struct trial *t, int i, int64_t j)
{
    static struct values up, down;
    const double h = 1e-5, x = t->in[i].x[j];
    double sum = 0;
    t->in[i].x[j] = x + h;
    op_rules[t->id].forward(&t->args, t->in, &up);
    t->in[i].x[j] = x - h;
    op_rules[t->id].forward(&t->args, t->in, &down);
    t->in[i].x[j] = x;
    for (int64_t k = 0; k < count_of(&up); k++)
        sum += t->weight.x[k] * (up.x[k] - down.x[k]);
    return sum / (2 * h);
}

static void check_gradients(struct trial *t, const struct outcome *o)
{
    static struct values want;
    for (int i = 0; i < inputs_of(t); i++) {
        if (!o->has_grad[i])
            continue;
        want.shape = t->in[i].shape;
        for (int64_t j = 0; j < count_of(&want); j++)
            want.x[j] = slope(t, i, j);
        assert_near(t, "gradient", &o->grad[i], &want, 1e-6, 1e-8);
    }
}

/* Each input alone has the gradient that it has with the others. */
static void check_alone(struct lab *l, const struct trial *t, enum dtype dtype,
                        const struct outcome *all)
{
    static struct outcome o;
    for (int i = 0; i < inputs_of(t); i++) {
        if (!all->has_grad[i])
            continue;
        run(l, t, dtype, 1u << i, &o);
        assert_bits(t, "output with one gradient", &o.y, &all->y);
        assert_bits(t, "gradient alone", &o.grad[i], &all->grad[i]);
    }
    run(l, t, dtype, 0, &o);
    assert_bits(t, "output without gradients", &o.y, &all->y);
}

static void compare(const struct trial *t, const struct outcome *got, const struct outcome *want)
{
    assert_bits(t, "output", &got->y, &want->y);
    for (int i = 0; i < inputs_of(t); i++)
        if (want->has_grad[i])
            assert_bits(t, "gradient", &got->grad[i], &want->grad[i]);
}

/* Of input i may come what it is not in. */
static bool is_ignored(const struct trial *t, int i)
{
    const struct rule *rule = &op_rules[t->id];
    return is_integer(t, i) || count_of(&t->in[i]) == 0 || (rule->probabilities && i == 0) ||
           (is_frozen(t->id, i) && count_of(&t->in[0]) == 0) ||
           (rule->classes && t->args.ignore_index >= 0) ||
           (rule->summand && i == 0 && t->args.beta == 0);
}

/* Of an input that is NaN throughout nothing but NaN can come. */
static void check_nan(struct lab *l, const struct trial *t, enum dtype dtype)
{
    static struct trial poisoned;
    static struct outcome o;
    if (op_rules[t->id].moves || !kernels_best()->ops[t->id].node)
        return;
    for (int i = 0; i < inputs_of(t); i++) {
        if (is_ignored(t, i))
            continue;
        poisoned = *t;
        for (int64_t j = 0; j < count_of(&t->in[i]); j++)
            poisoned.in[i].x[j] = NAN;
        run(l, &poisoned, dtype, 0, &o);
        for (int64_t j = 0; j < count_of(&o.y); j++)
            if (!isnan(o.y.x[j]))
                differs(t, "output of NaN", j, o.y.x[j], NAN);
    }
}

static void try_sample(struct trial *t)
{
    static struct values want;
    static struct outcome wide, narrow, other;
    struct lab *base = &isa_lab[isa_labs - 1];
    set_up(base, t);
    unsigned wanted = floats_of(t);
    op_rules[t->id].forward(&t->args, t->in, &want);
    run(base, t, DTYPE_FLOAT64, wanted, &wide);
    run(base, t, DTYPE_FLOAT32, wanted, &narrow);
    assert_near(t, "float64 output", &wide.y, &want, 1e-12, 1e-14);
    assert_near(t, "float32 output", &narrow.y, &want, 3e-6, 1e-6);
    check_gradients(t, &wide);
    for (int i = 0; i < inputs_of(t); i++)
        if (wide.has_grad[i])
            assert_near(t, "float32 gradient", &narrow.grad[i], &wide.grad[i], 3e-6, 1e-6);
    for (int k = 0; k < isa_labs; k++) {
        run(&isa_lab[k], t, DTYPE_FLOAT64, wanted, &other);
        compare(t, &other, &wide);
        run(&isa_lab[k], t, DTYPE_FLOAT32, wanted, &other);
        compare(t, &other, &narrow);
    }
    check_alone(base, t, DTYPE_FLOAT64, &wide);
    check_alone(base, t, DTYPE_FLOAT32, &narrow);
    check_nan(base, t, DTYPE_FLOAT64);
    check_nan(base, t, DTYPE_FLOAT32);
}

/* *state is the row of the kernels' table. */
static void row_follows_its_rule(void **state)
{
    static struct trial t;
    const struct op *op = *state;
    t.id = (enum op_id)(op - kernels_best()->ops);
    const struct rule *rule = &op_rules[t.id];
    if (!rule->forward || !rule->samples)
        fail_msg("the row %s has no reference and no samples in op_samples.c", op->name);
    for (t.sample = 0; t.sample < rule->samples; t.sample++)
        for (t.variant = 0; t.variant < (rule->variants ? rule->variants : 1); t.variant++)
            try_sample(&t);
}

int main(void)
{
    struct CMUnitTest tests[OP_COUNT];
    for (int id = 0; id < OP_COUNT; id++) {
        const struct op *op = &kernels_best()->ops[id];
        tests[id] = (struct CMUnitTest){op->name, row_follows_its_rule, NULL, NULL, (void *)op};
    }
    return cmocka_run_group_tests_name("ops", tests, isa_labs_open, isa_labs_close);
}
