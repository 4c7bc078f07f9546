/* engine/graph.h: which nodes are there, in which order, and what a place is good for. */
#include "engine/graph.h"
#include "tests/engine/lab.h"

#define F64 DTYPE_FLOAT64

static struct tensor *apply(enum op_id id, struct tensor *a, struct tensor *b, struct tensor *c)
{
    return lab_apply(&lab, id, NULL, a, b, c);
}

static struct graph graph_of(const struct tensor *const *root, int roots)
{
    struct graph g;
    assert_int_equal(graph_collect(&lab.tape, root, roots, &g, &lab.e), ERR_OK);
    return g;
}

static const char *name_of(const struct node *n)
{
    return n->leaf ? "AccumulateGrad" : n->call.op->node;
}

static void assert_names(const struct graph *g, const char *const *names)
{
    int i = 0;
    for (; names[i] && i < g->nodes; i++)
        assert_string_equal(name_of(g->node[i]), names[i]);
    assert_null(names[i]);
    assert_int_equal(i, g->nodes);
}

/* Every edge leads to a later place, and every place is that of its node. */
static void assert_ordered(const struct graph *g)
{
    for (int i = 0; i < g->nodes; i++) {
        assert_int_equal(graph_id(g, g->node[i]), i);
        for (int j = 0; j < g->node[i]->call.inputs; j++)
            if (g->node[i]->next[j])
                assert_true(graph_id(g, g->node[i]->next[j]) > i);
    }
}

static void a_step_of_a_linear_layer(void **state)
{
    (void)state;
    struct tensor *w = lab_leaf(&lab, F64, SHAPE(3, 2)), *b = lab_leaf(&lab, F64, SHAPE(3));
    struct tensor *x = lab_zeros(&lab, F64, SHAPE(4, 2)), *y = lab_zeros(&lab, F64, SHAPE(4, 3));
    struct tensor *z = apply(OP_ADDMM, b, x, apply(OP_T, w, NULL, NULL));
    struct tensor *loss = apply(OP_MSE_LOSS, z, y, NULL);
    struct graph g = graph_of((const struct tensor *const[]){loss}, 1);
    assert_names(&g, (const char *const[]){"MseLossBackward0", "AddmmBackward0", "AccumulateGrad",
                                           "TBackward0", "AccumulateGrad", NULL});
    assert_ordered(&g);
    const struct node *addmm = g.node[1];
    assert_ptr_equal(addmm->next[0]->leaf, b);
    assert_null(addmm->next[1]);
    assert_int_equal(graph_id(&g, addmm->next[2]), 3);
    assert_ptr_equal(g.node[4]->leaf, w);
    assert_int_equal(graph_id(&g, NULL), -1);
}

static void only_what_the_roots_reach(void **state)
{
    (void)state;
    struct tensor *x = lab_leaf(&lab, F64, SHAPE(2)), *other = lab_leaf(&lab, F64, SHAPE(2));
    struct tensor *a = apply(OP_TANH, x, NULL, NULL), *b = apply(OP_SIGMOID, other, NULL, NULL);
    struct tensor *c = apply(OP_MUL, a, a, NULL), *later = apply(OP_SUM, b, NULL, NULL);
    struct graph g = graph_of((const struct tensor *const[]){c}, 1);
    assert_names(&g,
                 (const char *const[]){"MulBackward0", "TanhBackward0", "AccumulateGrad", NULL});
    assert_int_equal(graph_id(&g, later->grad_fn), -1);
    /* Roots without a history are passed over, one that another reaches is there once. */
    g = graph_of((const struct tensor *const[]){x, later, c, a}, 4);
    assert_names(&g,
                 (const char *const[]){"SumBackward0", "MulBackward0", "SigmoidBackward0",
                                       "AccumulateGrad", "TanhBackward0", "AccumulateGrad", NULL});
    assert_ordered(&g);
    g = graph_of((const struct tensor *const[]){x}, 1);
    assert_int_equal(g.nodes, 0);
    g = graph_of(NULL, 0);
    assert_int_equal(g.nodes, 0);
}

static void a_deep_graph_needs_no_stack(void **state)
{
    (void)state;
    struct tensor *x = lab_leaf(&lab, F64, SHAPE(1)), *y = x;
    for (int i = 0; i < 100000; i++)
        y = apply(OP_TANH, y, NULL, NULL);
    struct graph g = graph_of((const struct tensor *const[]){y}, 1);
    assert_int_equal(g.nodes, 100001);
    assert_ptr_equal(g.node[0], y->grad_fn);
    assert_ptr_equal(g.node[100000]->leaf, x);
}

/* A list outlives neither a walk nor another list: then a node is looked up in vain, not wrongly.
 */
static void a_stale_list_is_noticed(void **state)
{
    (void)state;
    struct tensor *x = lab_leaf(&lab, F64, SHAPE(1));
    struct tensor *a = apply(OP_TANH, x, NULL, NULL), *b = apply(OP_SUM, a, NULL, NULL);
    struct graph all = graph_of((const struct tensor *const[]){b}, 1);
    struct graph part = graph_of((const struct tensor *const[]){a}, 1);
    assert_int_equal(graph_id(&part, a->grad_fn), 0);
    assert_int_equal(graph_id(&all, b->grad_fn), -1);
}

static void without_memory(void **state)
{
    (void)state;
    struct graph g;
    struct mem_budget budget = {0};
    struct tensor *x = lab_leaf(&lab, F64, SHAPE(1)), *y = x;
    for (int i = 0; i < 1000; i++)
        y = apply(OP_TANH, y, NULL, NULL);
    struct arena *a = &lab.tape.arena;
    atomic_init(&budget.left, 0);
    a->budget = &budget;
    enum err_kind rc = ERR_OK;
    for (int i = 0; i < 1000 && !rc; i++) /* until the chunk is used up */
        rc = graph_collect(&lab.tape, (const struct tensor *const[]){y}, 1, &g, &lab.e);
    a->budget = NULL;
    assert_int_equal(rc, ERR_NOMEM);
    assert_true(a->refused >= 1001 * sizeof *g.node);
}

/* What is taken comes back, and no more than there is. */
static void a_budget_is_shared(void **state)
{
    (void)state;
    struct mem_budget budget = {0};
    struct arena a = {.budget = &budget}, b = {.budget = &budget};
    atomic_init(&budget.left, 1 << 20);
    assert_non_null(arena_alloc(&a, 700 << 10));
    assert_null(arena_alloc(&b, 400 << 10));
    assert_int_equal(b.refused, 400 << 10);
    assert_non_null(arena_alloc(&b, 300 << 10));
    assert_null(arena_alloc(&b, SIZE_MAX));
    assert_true(b.refused == SIZE_MAX);
    arena_close(&a);
    assert_true(mem_budget_take(&budget, 700 << 10));
    mem_budget_give(&budget, 700 << 10);
    assert_non_null(arena_alloc(&b, 400 << 10));
    arena_close(&b);
    assert_int_equal(atomic_load(&budget.left), 1 << 20);
    assert_true(mem_budget_take(NULL, SIZE_MAX));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_step_of_a_linear_layer, lab_start, lab_finish),
        cmocka_unit_test_setup_teardown(only_what_the_roots_reach, lab_start, lab_finish),
        cmocka_unit_test_setup_teardown(a_deep_graph_needs_no_stack, lab_start, lab_finish),
        cmocka_unit_test_setup_teardown(a_stale_list_is_noticed, lab_start, lab_finish),
        cmocka_unit_test_setup_teardown(without_memory, lab_start, lab_finish),
        cmocka_unit_test(a_budget_is_shared),
    };
    return cmocka_run_group_tests_name("graph", tests, NULL, NULL);
}
