/* Work that is shared by several threads (crew.h): the same bits as on one, whoever helps. */
#include <pthread.h>

#include "engine/crew.h"
#include "engine/mem.h"
#include "tests/engine/nets.h"

#define F32         DTYPE_FLOAT32
#define F64         DTYPE_FLOAT64
#define HELPERS_MAX 7
#define WORKSPACE   (MATMUL_WORKSPACE_BYTES + ROOM_BYTES)

/* A crew of so many threads, each begun for an errand and ended with it. */
struct team {
    struct crew crew; /* first: the crew is its team */
    int helpers;
    bool backwards; /* no helpers, and the parts in reverse order */
    atomic_size_t errands;
    void *workspace[HELPERS_MAX];
};

struct helper {
    pthread_t thread;
    struct errand *errand;
    void *workspace;
};

static void *help(void *arg)
{
    const struct helper *h = arg;
    while (errand_part(h->errand, true, h->workspace))
        ;
    return NULL;
}

static void run_backwards(struct errand *e, void *workspace)
{
    for (size_t i = e->parts; i > 0; i--)
        e->part(e->arg, i - 1, workspace);
    atomic_store(&e->begun, e->parts);
}

static void run(struct crew *c, struct errand *e, void *workspace)
{
    struct team *team = (struct team *)c;
    struct helper helper[HELPERS_MAX];
    atomic_fetch_add(&team->errands, 1);
    if (team->backwards)
        run_backwards(e, workspace);
    for (int i = 0; i < team->helpers; i++) {
        helper[i] = (struct helper){.errand = e, .workspace = team->workspace[i]};
        assert_int_equal(pthread_create(&helper[i].thread, NULL, help, &helper[i]), 0);
    }
    while (errand_part(e, false, workspace))
        ;
    for (int i = 0; i < team->helpers; i++)
        pthread_join(helper[i].thread, NULL);
}

/* Nobody, one, two, seven; and nobody, the last part first. */
static struct team teams[] = {{.helpers = 0},
                              {.helpers = 1},
                              {.helpers = 2},
                              {.helpers = 7},
                              {.helpers = 0, .backwards = true}};
static void *workspace;

static int open_teams(void **state)
{
    workspace = mem_array(1, WORKSPACE);
    bool ok = workspace;
    for (size_t t = 0; t < COUNT(teams); t++) {
        teams[t].crew.run = run;
        for (int i = 0; i < teams[t].helpers; i++)
            ok = (teams[t].workspace[i] = mem_array(1, WORKSPACE)) && ok;
    }
    return ok ? isa_labs_open(state) : -1;
}

static int close_teams(void **state)
{
    for (size_t t = 0; t < COUNT(teams); t++)
        for (int i = 0; i < teams[t].helpers; i++)
            mem_free(teams[t].workspace[i]);
    mem_free(workspace);
    return isa_labs_close(state);
}

/* ---- errands ------------------------------------------------------------------------------- */

static void count_part(void *arg, size_t i, void *unused)
{
    (void)unused;
    atomic_fetch_add((atomic_int *)arg + i, 1);
}

static void each_part_is_done_once(void **state)
{
    enum { N = 100 };
    (void)state;
    for (size_t t = 0; t <= COUNT(teams); t++)
        for (size_t parts = 0; parts <= N; parts = parts * 3 + 1) {
            atomic_int done[N + 1] = {0};
            crew_do(t < COUNT(teams) ? &teams[t].crew : NULL, count_part, done, parts, workspace);
            for (size_t i = 0; i <= N; i++)
                assert_int_equal(done[i], i < parts);
        }
}

static void note_part(void *arg, size_t i, void *unused)
{
    (void)unused;
    *(size_t *)arg = i;
}

static void helpers_begin_at_the_end(void **state)
{
    static const struct {
        bool helps;
        size_t part;
    } order[] = {{true, 4}, {false, 0}, {false, 1}, {true, 3}, {false, 2}};
    size_t part = 99;
    struct errand e = {.part = note_part, .arg = &part, .parts = COUNT(order)};
    (void)state;
    for (size_t i = 0; i < COUNT(order); i++) {
        assert_true(errand_part(&e, order[i].helps, workspace));
        assert_int_equal(part, order[i].part);
    }
    assert_false(errand_part(&e, false, workspace));
    assert_false(errand_part(&e, true, workspace));
}

struct nest {
    struct crew *crew;
    atomic_int done[4];
};

static void give_errand(void *arg, size_t i, void *mine)
{
    (void)i;
    crew_do(((struct nest *)arg)->crew, count_part, ((struct nest *)arg)->done, 4, mine);
}

static void a_part_may_give_an_errand(void **state)
{
    (void)state;
    struct nest nest = {.crew = &teams[0].crew};
    crew_do(&teams[1].crew, give_errand, &nest, 10, workspace);
    for (int i = 0; i < 4; i++)
        assert_int_equal(nest.done[i], 10);
}

/* ---- products ------------------------------------------------------------------------------ */

/* Just over the size from which they are shared, or just under it, and far from square. */
static const struct shape3 {
    int64_t m, n, k;
    bool shared;
} shapes[] = {{200, 190, 140, true},  {1, 3000, 1700, true},  {3000, 1, 1700, true},
              {100, 140, 100, false}, {2, 2100, 1300, true},  {2100, 3, 801, true},
              {1, 1, 5000001, false}, {1099, 1301, 1, false}, {701, 1099, 2, true},
              {33, 31, 1503, true},   {65, 129, 180, true},   {4, 2091, 2099, true},
              {4, 1100, 4001, true},  {5, 3079, 1500, true}};

static void *numbers(enum dtype dtype, int64_t count)
{
    void *x = mem_array((size_t)count, dtype_bytes(dtype));
    assert_non_null(x);
    for (int64_t i = 0; i < count; i++) {
        double value = (double)((uint64_t)i * 2654435761u % 1000003) / 500000 - 1;
        if (dtype == F32)
            ((float *)x)[i] = (float)value;
        else
            ((double *)x)[i] = value;
    }
    return x;
}

static struct matrix rows_or_columns(void *data, bool columns, int64_t m, int64_t n)
{
    return columns ? (struct matrix){data, 1, m} : (struct matrix){data, n, 1};
}

/* Each operand lies in rows or in columns, as a bit of `lay` says. */
static struct matmul_args product_of(enum dtype dtype, const struct shape3 *s, int lay)
{
    struct matmul_args x = {
        .dtype = dtype, .m = s->m, .n = s->n, .k = s->k, .workspace = workspace};
    x.a = rows_or_columns(numbers(dtype, s->m * s->k), lay & 1, s->m, s->k);
    x.b = rows_or_columns(numbers(dtype, s->k * s->n), lay & 2, s->k, s->n);
    x.c = rows_or_columns(numbers(dtype, s->m * s->n), lay & 4, s->m, s->n);
    x.continues = lay & 8;
    if (lay & 16)
        x.add = (struct matrix){numbers(dtype, s->n), 0, 1};
    if (lay & 32)
        x.gate = x.c;
    else if (lay & 64)
        x.gate = rows_or_columns(numbers(dtype, s->m * s->n), lay & 4, s->m, s->n);
    return x;
}

static void check_shared(const struct kernels *k, const struct shape3 *s, struct matmul_args x)
{
    size_t bytes = (size_t)(s->m * s->n) * dtype_bytes(x.dtype);
    void *before = mem_array(1, bytes), *want = mem_array(1, bytes);
    assert_true(before && want);
    memcpy(before, x.c.data, bytes);
    k->matmul(&x);
    memcpy(want, x.c.data, bytes);
    for (size_t t = 0; t < COUNT(teams); t++) {
        size_t errands = teams[t].errands;
        memcpy(x.c.data, before, bytes);
        matmul_shared(k->matmul, &x, &teams[t].crew);
        assert_memory_equal(x.c.data, want, bytes);
        assert_int_equal(teams[t].errands - errands, s->shared);
    }
    mem_free(before), mem_free(want);
}

static void shared_products_have_the_same_bits(void **state)
{
    (void)state;
    for (size_t s = 0; s < COUNT(shapes); s++)
        for (enum dtype dtype = F32; dtype <= F64; dtype++) {
            int lay = (int)s * 7 % 32 ^ (dtype == F64 ? 13 : 0); /* over all shapes, each bit */
            lay |= (int)s % 3 << 5;
            struct matmul_args x = product_of(dtype, &shapes[s], lay);
            for (int k = 0; k < isa_labs; k++)
                check_shared(isa_lab[k].tape.kernels, &shapes[s], x);
            mem_free(x.a.data), mem_free(x.b.data), mem_free(x.c.data), mem_free(x.add.data);
            if (x.gate.data != x.c.data)
                mem_free(x.gate.data);
        }
}

/* ---- steps --------------------------------------------------------------------------------- */

/* Layers whose products are shared, whose update is, both, and neither. */
static struct net large_net(enum dtype dtype)
{
    struct err e;
    struct layer layer[] = {net_linear(130, 520, true), net_layer("relu"),
                            net_linear(520, 520, true), net_linear(520, 3, false),
                            net_linear(3, 100000, false)};
    struct net n = {.m = net_new(layer, COUNT(layer), dtype, 3)};
    assert_int_equal(module_need_gradients(n.m, &e), ERR_OK);
    assert_int_equal(sgd_init(&n.sgd, n.m, &e), ERR_OK);
    return n;
}

/* Returns the digest of the state it leads to; asked for of the update, or made behind it. */
static uint64_t step(struct net *n, struct lab *l, int rows, bool owes, bool asks)
{
    struct loss mse = net_loss("mse");
    double loss;
    uint64_t digest;
    lab_clear(l);
    l->seed = 1;
    struct tensor *x = lab_leaf(l, n->m->dtype, SHAPE(rows, 130)),
                  *y = lab_leaf(l, n->m->dtype, SHAPE(rows, 100000));
    x->requires_grad = y->requires_grad = false;
    module_zero_grad(n->m);
    l->tape.owes = owes;
    assert_int_equal(train_backward(n->m, &mse, &l->tape, x, y, &loss, NULL, &l->e), ERR_OK);
    l->tape.owes = false;
    assert_int_equal(sgd_step(&n->sgd, n->m, l->tape.kernels, &l->tape, true, INFINITY,
                              asks ? &digest : NULL, &l->e),
                     ERR_OK);
    return asks ? digest : sgd_digest(&n->sgd, n->m, l->tape.kernels);
}

/* Steps on one thread and shared, where the products may update the weights themselves; with an
 * infinite norm, a dry sweep goes before each. */
static void follow(struct lab *l, struct team *team, enum dtype dtype, bool owes,
                   const struct sgd_options *o)
{
    struct net alone = large_net(dtype), together = large_net(dtype);
    alone.sgd.options = together.sgd.options = *o;
    for (int i = 0; i < 2; i++) {
        uint64_t digest = step(&alone, l, 1 + i * 16, owes, true);
        size_t errands = team->errands;
        l->tape.crew = &team->crew;
        assert_true(step(&together, l, 1 + i * 16, owes, false) == digest);
        l->tape.crew = NULL;
        assert_true(team->errands > errands);
        assert_memory_equal(together.m->values.data, alone.m->values.data, module_bytes(alone.m));
        assert_true(together.sgd.reach == alone.sgd.reach);
    }
    net_close(&alone);
    net_close(&together);
}

static void shared_steps_have_the_same_bits(void **state)
{
    (void)state;
    struct sgd_options o;
    for (int k = 0; k < isa_labs; k++)
        for (int i = 0; i < 2 * NET_OPTIONS; i += 11)
            if (net_options(i / 2, &o))
                follow(&isa_lab[k], &teams[(size_t)(i + k) % COUNT(teams)], i & 2 ? F64 : F32,
                       i & 1, &o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_part_is_done_once),
        cmocka_unit_test(helpers_begin_at_the_end),
        cmocka_unit_test(a_part_may_give_an_errand),
        cmocka_unit_test(shared_products_have_the_same_bits),
        cmocka_unit_test(shared_steps_have_the_same_bits),
    };
    return cmocka_run_group_tests(tests, open_teams, close_teams);
}
