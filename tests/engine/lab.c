#include "tests/engine/lab.h"

void lab_open(struct lab *l, const struct kernels *k)
{
    *l = (struct lab){.seed = 1};
    assert_int_equal(tape_init(&l->tape, k ? k : kernels_best(), &l->e), ERR_OK);
}

void lab_close(struct lab *l)
{
    tape_close(&l->tape);
    arena_close(&l->memory);
}

void lab_clear(struct lab *l)
{
    tape_reset(&l->tape);
    arena_reset(&l->memory);
}

struct lab isa_lab[4];
int isa_labs;

int isa_labs_open(void **state)
{
    (void)state;
    for (int i = 0; kernels_names[i]; i++) {
        const struct kernels *k = kernels_find(kernels_names[i]);
        assert_true(isa_labs < (int)COUNT(isa_lab));
        if (k)
            lab_open(&isa_lab[isa_labs++], k);
    }
    assert_string_equal(isa_lab[isa_labs - 1].tape.kernels->isa, "baseline");
    return 0;
}

int isa_labs_close(void **state)
{
    (void)state;
    while (isa_labs > 0)
        lab_close(&isa_lab[--isa_labs]);
    return 0;
}

/* Knuth's 64-bit linear congruence; its upper bits are good enough for samples. */
double lab_draw(struct lab *l)
{
    l->seed = l->seed * 6364136223846793005u + 1442695040888963407u;
    double x = (double)(l->seed >> 47) + 0.5; /* below 2^17 */
    return (l->seed >> 46 & 1 ? -x : x) / (1 << 17);
}

struct tensor *lab_zeros(struct lab *l, enum dtype dtype, struct shape shape)
{
    struct tensor *t = arena_alloc(&l->memory, sizeof *t);
    struct storage *storage = arena_alloc(&l->memory, sizeof *storage);
    size_t bytes = (size_t)shape_count(&shape) * dtype_bytes(dtype);
    void *data = arena_alloc(&l->memory, bytes);
    assert_true(t && storage && data);
    memset(data, 0, bytes);
    *storage = (struct storage){.data = data, .bytes = bytes};
    tensor_wrap(t, storage, dtype, &shape, 0);
    return t;
}

struct tensor *lab_leaf(struct lab *l, enum dtype dtype, struct shape shape)
{
    struct tensor *t = lab_zeros(l, dtype, shape);
    for (int64_t i = 0; i < tensor_count(t); i++)
        lab_put(t, i, lab_draw(l));
    t->requires_grad = true;
    return t;
}

struct tensor *lab_slot(struct lab *l, struct tensor *leaf)
{
    leaf->grad_slot = lab_zeros(l, leaf->dtype, leaf->shape);
    for (int64_t i = 0; i < tensor_count(leaf); i++)
        lab_put(leaf->grad_slot, i, NAN);
    return leaf->grad_slot;
}

static size_t place(const struct tensor *t, int64_t i)
{
    int64_t at = 0;
    for (int d = t->shape.rank - 1; d >= 0; d--) {
        at += i % t->shape.dim[d] * t->stride[d];
        i /= t->shape.dim[d];
    }
    return (size_t)at;
}

double lab_get(const struct tensor *t, int64_t i)
{
    const void *data = tensor_data(t);
    switch (t->dtype) {
    case DTYPE_FLOAT32:
        return (double)((const float *)data)[place(t, i)];
    case DTYPE_FLOAT64:
        return ((const double *)data)[place(t, i)];
    case DTYPE_INT64:
        return (double)((const int64_t *)data)[place(t, i)];
    case DTYPE_BOOL:
        return (double)((const bool *)data)[place(t, i)];
    case DTYPE_COUNT:
        break;
    }
    fail_msg("no such type");
    return 0;
}

void lab_put(struct tensor *t, int64_t i, double value)
{
    void *data = tensor_data(t);
    if (t->dtype == DTYPE_FLOAT32)
        ((float *)data)[place(t, i)] = (float)value;
    else if (t->dtype == DTYPE_FLOAT64)
        ((double *)data)[place(t, i)] = value;
    else if (t->dtype == DTYPE_INT64)
        ((int64_t *)data)[place(t, i)] = (int64_t)value;
    else
        ((bool *)data)[place(t, i)] = value != 0;
}

struct tensor *lab_apply(struct lab *l, enum op_id id, const struct op_args *args, struct tensor *a,
                         struct tensor *b, struct tensor *c)
{
    struct tensor *in[] = {a, b, c}, *y = NULL;
    int inputs = 0;
    while (inputs < 3 && in[inputs])
        inputs++;
    if (op_apply_many(&l->tape, id, args, in, inputs, &y, NULL, &l->e) != ERR_OK)
        fail_msg("%s: %s", l->tape.kernels->ops[id].name, l->e.message);
    return y;
}

void lab_backward(struct lab *l, struct tensor *root, const struct tensor *gradient, bool retain)
{
    if (tape_backward(&l->tape, root, gradient, retain, &l->e) != ERR_OK)
        fail_msg("backward: %s", l->e.message);
}

bool lab_same(double a, double b)
{
    return memcmp(&a, &b, sizeof a) == 0 || (isnan(a) && isnan(b));
}

void lab_assert_close(const struct tensor *a, const struct tensor *b, double tolerance)
{
    assert_int_equal(tensor_count(a), tensor_count(b));
    double largest = 0;
    for (int64_t i = 0; i < tensor_count(b); i++)
        largest = fmax(largest, fabs(lab_get(b, i)));
    for (int64_t i = 0; i < tensor_count(b); i++)
        if (!(fabs(lab_get(a, i) - lab_get(b, i)) <= tolerance * largest))
            fail_msg("element %d: %.17g is not near %.17g", (int)i, lab_get(a, i), lab_get(b, i));
}

static int countdown = -1, fired;

static bool fault(size_t bytes)
{
    (void)bytes;
    if (countdown > 0) {
        countdown--;
        return false;
    }
    fired++;
    return true;
}

void lab_fail_allocation(int n)
{
    countdown = n;
    fired = 0;
    mem_fault = n < 0 ? NULL : fault;
}

int lab_faults_fired(void)
{
    return fired;
}

struct lab lab;

int lab_start(void **state)
{
    (void)state;
    lab_open(&lab, NULL);
    return 0;
}

int lab_finish(void **state)
{
    (void)state;
    lab_close(&lab);
    return 0;
}

static const struct kernels *counted;
static struct kernels counting;
static struct op counting_ops[OP_COUNT];
static int slopes[OP_COUNT];

static void count_slope(const struct op_call *c)
{
    slopes[c->op - counting_ops]++;
    counted->ops[c->op - counting_ops].backward(c);
}

struct kernels *lab_count_slopes(struct tape *t)
{
    counted = t->kernels;
    counting = *counted;
    memcpy(counting_ops, counted->ops, sizeof counting_ops);
    for (int i = 0; i < OP_COUNT; i++) {
        counting_ops[i].backward = counting_ops[i].backward ? count_slope : NULL;
        slopes[i] = 0;
    }
    counting.ops = counting_ops;
    t->kernels = &counting;
    return &counting;
}

int lab_slopes(enum op_id id)
{
    return slopes[id];
}

void lab_count_end(struct tape *t)
{
    t->kernels = counted;
}
