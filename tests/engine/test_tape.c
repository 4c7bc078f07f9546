/* engine/tape.h: what is recorded, how gradients travel and add up, and PyTorch's refusals. */
#include "tests/engine/lab.h"

#define F32 DTYPE_FLOAT32
#define F64 DTYPE_FLOAT64

static struct tensor *apply(enum op_id id, struct tensor *a, struct tensor *b)
{
    return lab_apply(&lab, id, NULL, a, b, NULL);
}

static struct tensor *view(struct tensor *x, struct shape shape)
{
    struct op_args args = {.shape = shape};
    return lab_apply(&lab, OP_VIEW, &args, x, NULL, NULL);
}

static struct tensor *leaf(int64_t rows, int64_t columns)
{
    return lab_leaf(&lab, F64, SHAPE(rows, columns));
}

static void assert_all(const struct tensor *t, double value)
{
    assert_non_null(t);
    for (int64_t i = 0; i < tensor_count(t); i++)
        assert_true(lab_get(t, i) == value);
}

static void assert_refused(struct tensor *root, const struct tensor *gradient, enum err_kind kind,
                           const char *words)
{
    assert_int_equal(tape_backward(&lab.tape, root, gradient, true, &lab.e), kind);
    if (!strstr(lab.e.message, words))
        fail_msg("the message is: %s", lab.e.message);
    assert_string_equal(lab.e.pointer, "");
}

/* ---- how gradients add up ------------------------------------------------------------------ */

static void a_second_backward_adds_to_the_first(void **state)
{
    (void)state;
    struct tensor *x = leaf(3, 5);
    for (int slot = 0; slot < 2; slot++) {
        double once[15];
        x->grad = NULL;
        if (slot)
            lab_slot(&lab, x);
        for (int round = 0; round < 3; round++) {
            lab_backward(&lab, apply(OP_SUM, apply(OP_TANH, x, NULL), NULL), NULL, false);
            for (int i = 0; i < 15; i++) {
                once[i] = round ? once[i] : lab_get(x->grad, i);
                assert_true(lab_get(x->grad, i) == (round + 1) * once[i]);
            }
        }
        assert_ptr_equal(x->grad_slot ? x->grad_slot : x->grad, x->grad);
    }
}

static void a_leaf_used_twice_gets_both_parts(void **state)
{
    (void)state;
    struct tensor *x = leaf(2, 3);
    lab_slot(&lab, x);
    lab_backward(&lab, apply(OP_SUM, apply(OP_MUL, x, x), NULL), NULL, false);
    for (int i = 0; i < 6; i++)
        assert_true(lab_get(x->grad, i) == 2 * lab_get(x, i));
    assert_ptr_equal(x->grad, x->grad_slot);
    x->grad = NULL; /* the two parts of a difference are of opposite sign */
    lab_backward(&lab, apply(OP_SUM, apply(OP_SUB, x, x), NULL), NULL, false);
    assert_all(x->grad, 0);
}

/* a = 2x, b = a + a, c = a b = 8x²; every inner node is reached by more than one way. */
static void diamonds_are_walked_once_per_node(void **state)
{
    (void)state;
    struct tensor *x = leaf(2, 3);
    struct tensor *a = apply(OP_ADD, x, x), *b = apply(OP_ADD, a, a), *c = apply(OP_MUL, a, b);
    lab_backward(&lab, apply(OP_SUM, c, NULL), NULL, false);
    for (int i = 0; i < 6; i++)
        assert_true(lab_get(x->grad, i) == 16 * lab_get(x, i));
}

/* 2^60 ways from the root to the leaf, and 60 nodes: a walk of ways would not end. */
static void deep_diamonds_end(void **state)
{
    (void)state;
    struct tensor *x = lab_leaf(&lab, F64, (struct shape)SCALAR), *y = x;
    for (int i = 0; i < 60; i++)
        y = apply(OP_ADD, y, y);
    lab_backward(&lab, y, NULL, false);
    assert_true(lab_get(x->grad, 0) == 0x1p60);
}

/* a is used as it is and as its t(), whose gradient comes in columns: whichever is first. */
static void parts_of_different_layouts_add_up(void **state)
{
    (void)state;
    for (int first = 0; first < 2; first++) {
        struct tensor *x = leaf(3, 4), *w = leaf(3, 4), *v = leaf(4, 3), *part[2];
        struct tensor *a = apply(OP_ADD, x, x);
        for (int k = 0; k < 2; k++) {
            if (k == first)
                part[k] = apply(OP_MUL, a, w);
            else
                part[k] = apply(OP_MUL, apply(OP_ABS, apply(OP_T, a, NULL), NULL), v);
            part[k] = apply(OP_SUM, part[k], NULL);
        }
        lab_backward(&lab, apply(OP_ADD, part[0], part[1]), NULL, false);
        for (int i = 0; i < 12; i++) {
            double sign = lab_get(x, i) < 0 ? -1 : 1;
            double want = 2 * (lab_get(w, i) + sign * lab_get(v, i % 4 * 3 + i / 4));
            assert_true(fabs(lab_get(x->grad, i) - want) < 1e-15);
        }
    }
}

static void only_what_the_root_reaches_gets_a_gradient(void **state)
{
    (void)state;
    struct tensor *x = leaf(2, 2), *y = leaf(2, 2), *frozen = leaf(2, 2);
    frozen->requires_grad = false;
    struct tensor *root = apply(OP_SUM, apply(OP_MUL, x, frozen), NULL);
    struct tensor *other = apply(OP_SUM, apply(OP_MUL, x, y), NULL);
    lab_backward(&lab, root, NULL, false);
    assert_null(y->grad);
    assert_null(frozen->grad);
    for (int i = 0; i < 4; i++)
        assert_true(lab_get(x->grad, i) == lab_get(frozen, i));
    lab_backward(&lab, other, NULL, false);
    assert_non_null(y->grad);
}

static void a_leaf_can_be_the_root(void **state)
{
    (void)state;
    struct tensor *x = lab_leaf(&lab, F32, SHAPE(1, 1));
    lab_backward(&lab, x, NULL, false);
    lab_backward(&lab, x, NULL, false);
    assert_all(x->grad, 2);
}

/* ---- the root's own gradient --------------------------------------------------------------- */

static void an_explicit_gradient_is_taken_and_kept(void **state)
{
    (void)state;
    struct tensor *x = leaf(2, 3), *g = lab_leaf(&lab, F32, SHAPE(2, 3));
    double before[6];
    for (int i = 0; i < 6; i++)
        before[i] = lab_get(g, i);
    struct tensor *y = apply(OP_ADD, x, x);
    lab_backward(&lab, y, g, true);
    lab_backward(&lab, y, g, false);
    for (int i = 0; i < 6; i++) {
        assert_true(lab_get(g, i) == before[i]);
        assert_true(lab_get(x->grad, i) == 4 * before[i]);
    }
}

static void roots_that_do_not_fit_are_refused(void **state)
{
    (void)state;
    struct tensor *x = leaf(2, 3), *plain = lab_zeros(&lab, F64, SHAPE(1));
    struct tensor *y = apply(OP_TANH, x, NULL);
    assert_refused(y, NULL, ERR_INVALID, "grad can be implicitly created only for scalar outputs");
    assert_refused(y, plain, ERR_INVALID,
                   "Mismatch in shape: grad_output[0] has a shape of torch.Size([1]) and output[0] "
                   "has a shape of torch.Size([2, 3]).");
    assert_refused(plain, NULL, ERR_INVALID,
                   "element 0 of tensors does not require grad and does not have a grad_fn");
    struct tensor *none = lab_leaf(&lab, F64, SHAPE(0));
    assert_refused(none, NULL, ERR_INVALID, "only for scalar outputs");
    assert_null(x->grad);
    lab_backward(&lab, view(apply(OP_SUM, y, NULL), SHAPE(1, 1)), NULL, false);
    assert_non_null(x->grad);
}

/* ---- the graph is given up ----------------------------------------------------------------- */

static const char second_time[] =
    "Trying to backward through the graph a second time (or directly access saved tensors after "
    "they have already been freed). Saved intermediate values of the graph are freed when you call "
    ".backward() or autograd.grad(). Specify retain_graph=True if you need to backward through the "
    "graph a second time or if you need to access saved tensors after calling backward.";

static void a_graph_is_given_up_unless_retained(void **state)
{
    (void)state;
    struct tensor *x = leaf(2, 2);
    struct tensor *root = apply(OP_SUM, apply(OP_TANH, x, NULL), NULL);
    lab_backward(&lab, root, NULL, true);
    lab_backward(&lab, root, NULL, false);
    double before = lab_get(x->grad, 0);
    assert_refused(root, NULL, ERR_CONFLICT, second_time);
    assert_string_equal(lab.e.message, second_time);
    assert_true(lab_get(x->grad, 0) == before);
}

static void what_saves_nothing_can_be_walked_again(void **state)
{
    (void)state;
    struct tensor *x = leaf(2, 2);
    struct tensor *root = apply(OP_SUM, apply(OP_ADD, x, x), NULL);
    lab_backward(&lab, root, NULL, false);
    lab_backward(&lab, root, NULL, false);
    assert_all(x->grad, 4);
}

static void a_shared_part_is_given_up_for_both_roots(void **state)
{
    (void)state;
    struct tensor *y = apply(OP_TANH, leaf(2, 2), NULL);
    struct tensor *one = apply(OP_SUM, y, NULL), *two = apply(OP_MEAN, y, NULL);
    lab_backward(&lab, one, NULL, false);
    assert_refused(two, NULL, ERR_CONFLICT, "a second time");
}

static void what_was_saved_must_not_change(void **state)
{
    (void)state;
    static const char words[] = "one of the variables needed for gradient computation has been "
                                "modified by an inplace operation";
    struct tensor *x = leaf(2, 2), *w = leaf(2, 2);
    struct tensor *root = apply(OP_SUM, apply(OP_MUL, x, w), NULL);
    w->storage->version++;
    assert_refused(root, NULL, ERR_CONFLICT, words);
    if (!strstr(lab.e.message,
                "[torch.DoubleTensor [2, 2]] is at version 1; expected version 0 instead."))
        fail_msg("%s", lab.e.message);
    struct tensor *y = apply(OP_TANH, x, NULL); /* an output is saved too */
    root = apply(OP_SUM, y, NULL);
    y->storage->version++;
    assert_refused(
        root, NULL, ERR_CONFLICT,
        "[torch.DoubleTensor [2, 2]], which is output 0 of TanhBackward0, is at version 1");
    assert_null(x->grad);
    root = apply(OP_SUM, apply(OP_ADD, x, w), NULL); /* a sum needs neither summand */
    x->storage->version++;
    lab_backward(&lab, root, NULL, false);
    assert_all(w->grad, 1);
}

/* A view shares its storage's version: a weight that is changed is stale in its t() as well. */
static void a_change_is_seen_through_views(void **state)
{
    (void)state;
    struct tensor *x = leaf(2, 3), *w = leaf(4, 3);
    struct tensor *root = apply(OP_SUM, apply(OP_MM, x, apply(OP_T, w, NULL)), NULL);
    w->storage->version++;
    assert_refused(
        root, NULL, ERR_CONFLICT,
        "[torch.DoubleTensor [3, 4]], which is output 0 of AsStridedBackward0, is at version "
        "1");
}

/* ---- recording ----------------------------------------------------------------------------- */

static void nothing_is_recorded_under_no_grad(void **state)
{
    (void)state;
    struct tensor *x = leaf(2, 2);
    lab.tape.grad_disabled = true;
    struct tensor *y = apply(OP_SUM, x, NULL);
    lab.tape.grad_disabled = false;
    assert_false(y->requires_grad);
    assert_null(y->grad_fn);
    assert_null(lab.tape.newest);
    assert_refused(y, NULL, ERR_INVALID, "does not require grad");
    struct tensor *mixed = apply(OP_SUM, apply(OP_MUL, apply(OP_SUM, x, NULL), y), NULL);
    lab_backward(&lab, mixed, NULL, false);
    assert_all(x->grad, lab_get(y, 0));
}

/* relu(x Wᵀ + b) against a target, with PyTorch's names for the nodes. */
static void nodes_have_the_names_of_pytorch(void **state)
{
    (void)state;
    struct tensor *x = leaf(5, 3), *w = leaf(2, 3), *target = leaf(5, 2);
    struct tensor *b = lab_leaf(&lab, F64, SHAPE(2));
    x->requires_grad = target->requires_grad = false;
    struct tensor *y = lab_apply(&lab, OP_ADDMM, NULL, b, x, apply(OP_T, w, NULL));
    struct tensor *loss = apply(OP_MSE_LOSS, apply(OP_RELU, y, NULL), target);
    const struct node *mse = loss->grad_fn, *relu = mse->next[0], *addmm = relu->next[0];
    const struct node *t = addmm->next[2];
    assert_string_equal(mse->call.op->node, "MseLossBackward0");
    assert_string_equal(relu->call.op->node, "ReluBackward0");
    assert_string_equal(addmm->call.op->node, "AddmmBackward0");
    assert_string_equal(t->call.op->node, "TBackward0");
    assert_ptr_equal(addmm->next[0]->leaf, b);
    assert_null(addmm->next[1]);
    assert_ptr_equal(t->next[0]->leaf, w);
    assert_null(mse->next[1]);
    lab_backward(&lab, loss, NULL, false);
    assert_null(x->grad);
    assert_null(target->grad);
}

static void types_are_promoted_and_gradients_brought_back(void **state)
{
    (void)state;
    static const enum op_id ids[] = {OP_ADD, OP_SUB, OP_MUL};
    for (size_t k = 0; k < COUNT(ids); k++)
        for (int slot = 0; slot < 2; slot++) {
            struct tensor *narrow = lab_leaf(&lab, F32, SHAPE(3)), *wide = leaf(2, 3);
            for (int i = 0; i < 6; i++)
                lab_put(wide, i, lab_get(wide, i) / 3);
            if (slot)
                lab_slot(&lab, narrow);
            struct tensor *y = apply(ids[k], narrow, wide);
            assert_int_equal(y->dtype, F64);
            for (int i = 0; i < 6; i++) {
                double a = lab_get(narrow, i % 3), b = lab_get(wide, i);
                double want = ids[k] == OP_ADD ? a + b : ids[k] == OP_SUB ? a - b : a * b;
                assert_true(lab_get(y, i) == want);
            }
            lab_backward(&lab, apply(OP_SUM, y, NULL), NULL, false);
            assert_int_equal(narrow->grad->dtype, F32);
            assert_int_equal(wide->grad->dtype, F64);
            for (int i = 0; i < 3; i++) {
                double sum = ids[k] == OP_MUL ? lab_get(wide, i) + lab_get(wide, i + 3) : 2;
                assert_true(lab_get(narrow->grad, i) == (double)(float)sum);
            }
        }
}

static void integers_are_promoted_to_floats(void **state)
{
    (void)state;
    struct tensor *x = lab_leaf(&lab, F32, SHAPE(2)), *n = lab_zeros(&lab, DTYPE_INT64, SHAPE(2));
    lab_put(n, 0, 3);
    lab_put(n, 1, -4);
    struct tensor *y = apply(OP_MUL, n, x);
    assert_int_equal(y->dtype, F32);
    lab_backward(&lab, apply(OP_SUM, y, NULL), NULL, false);
    assert_true(lab_get(x->grad, 0) == 3 && lab_get(x->grad, 1) == -4);
    assert_null(n->grad);
}

/* ---- where gradients are put --------------------------------------------------------------- */

/* A gradient is written where it stays: nothing of the arena lies at the slot's address. */
static void gradients_are_written_into_their_slots(void **state)
{
    (void)state;
    struct tensor *x = leaf(5, 3), *w = leaf(2, 3), *b = lab_leaf(&lab, F64, SHAPE(2));
    struct tensor *sw = lab_slot(&lab, w), *sb = lab_slot(&lab, b);
    struct tensor *y = lab_apply(&lab, OP_ADDMM, NULL, b, x, apply(OP_T, w, NULL));
    void *data = tensor_data(sw);
    lab_backward(&lab, apply(OP_SUM, y, NULL), NULL, false);
    assert_ptr_equal(w->grad, sw);
    assert_ptr_equal(b->grad, sb);
    assert_ptr_equal(tensor_data(w->grad), data);
    assert_all(sb, 5);
    for (int i = 0; i < 6; i++) {
        double column = 0;
        for (int row = 0; row < 5; row++)
            column += lab_get(x, row * 3 + i % 3);
        assert_true(fabs(lab_get(sw, i) - column) < 1e-15);
    }
}

/* The product writes through both views into the slot: no copy is made on the way. */
static void slots_are_found_through_views(void **state)
{
    (void)state;
    struct tensor *x = leaf(4, 3), *w = lab_leaf(&lab, F64, SHAPE(6));
    struct tensor *slot = lab_slot(&lab, w);
    struct tensor *matrix = apply(OP_T, view(w, SHAPE(2, 3)), NULL);
    struct tensor *y = apply(OP_MM, x, matrix);
    lab_backward(&lab, apply(OP_SUM, y, NULL), NULL, false);
    const struct node *t = matrix->grad_fn;
    assert_ptr_equal(w->grad, slot);
    assert_ptr_equal(tensor_data(t->grad), tensor_data(slot));
    assert_ptr_equal(t->grad->storage, slot->storage);
}

/* A view's gradient is made row-major, whatever the strides that it is a view of. */
static void slots_are_right_behind_a_view_of_strides(void **state)
{
    (void)state;
    struct tensor *w = leaf(3, 4), *other = lab_leaf(&lab, DTYPE_FLOAT64, SHAPE(2, 2, 3));
    lab_slot(&lab, w);
    struct tensor *seen = view(apply(OP_T, w, NULL), SHAPE(2, 2, 3));
    lab_backward(&lab, apply(OP_SUM, apply(OP_MUL, seen, other), NULL), NULL, false);
    for (int i = 0; i < 12; i++) /* element i of the t() is w's [i % 3][i / 3] */
        assert_true(lab_get(w->grad, i % 3 * 4 + i / 3) == lab_get(other, i));
}

/* Rows that want row-major numbers write row-major gradients, also of a transposed input. */
static void slots_are_right_behind_a_transposition(void **state)
{
    (void)state;
    struct tensor *w = leaf(3, 4), *other = leaf(4, 3);
    lab_slot(&lab, w);
    struct tensor *y = apply(OP_TANH, apply(OP_T, w, NULL), NULL);
    lab_backward(&lab, apply(OP_SUM, apply(OP_MUL, y, other), NULL), NULL, false);
    for (int i = 0; i < 12; i++) {
        double want = (1 - lab_get(y, i) * lab_get(y, i)) * lab_get(other, i);
        assert_true(fabs(lab_get(w->grad, i % 3 * 4 + i / 3) - want) < 1e-15);
    }
}

/* A leaf outlives its tape. The next tape, at the same address and after as many rounds, must not
 * find the leaf's node of the first. */
static void leaves_outlive_tapes(void **state)
{
    (void)state;
    struct tensor *x = leaf(2, 2);
    lab_slot(&lab, x);
    for (int i = 0; i < 4; i++) {
        struct tape tape;
        struct tensor *y = NULL;
        assert_int_equal(tape_init(&tape, kernels_best(), &lab.e), ERR_OK);
        for (int resets = 0; resets < i / 2; resets++)
            tape_reset(&tape);
        assert_int_equal(op_apply(&tape, OP_SUM, NULL, &x, &y, &lab.e), ERR_OK);
        assert_ptr_equal(y->grad_fn->older, x->accumulate);
        assert_int_equal(tape_backward(&tape, y, NULL, false, &lab.e), ERR_OK);
        assert_all(x->grad, i + 1);
        tape_close(&tape);
    }
}

/* ---- memory -------------------------------------------------------------------------------- */

/* One step of a small or large net; the leaves are in slots. Returns the loss. */
static double step(struct tensor *x, struct tensor *w, struct tensor *b)
{
    tape_reset(&lab.tape);
    w->grad = b->grad = NULL;
    struct tensor *y = lab_apply(&lab, OP_ADDMM, NULL, b, x, apply(OP_T, w, NULL));
    struct tensor *loss = apply(OP_MEAN, apply(OP_GELU, y, NULL), NULL);
    lab_backward(&lab, loss, NULL, false);
    return lab_get(loss, 0);
}

/* Also the second step of a large net makes one: the chunks of the first become one. */
static void steps_allocate_nothing_after_the_first(void **state)
{
    (void)state;
    static const int sizes[] = {3, 200};
    for (size_t k = 0; k < COUNT(sizes); k++) {
        struct tensor *x = leaf(sizes[k], sizes[k]), *w = leaf(sizes[k], sizes[k]);
        struct tensor *b = lab_leaf(&lab, F64, SHAPE(sizes[k]));
        x->requires_grad = false;
        lab_slot(&lab, w);
        lab_slot(&lab, b);
        double first = step(x, w, b);
        tape_reset(&lab.tape);
        uint64_t before = mem_allocations();
        for (int i = 0; i < 5; i++)
            assert_true(step(x, w, b) == first);
        assert_int_equal(mem_allocations(), before);
    }
}

/* As step(), but says what went wrong. */
static enum err_kind try_step(struct tape *t, struct tensor *x, struct tensor *w,
                              struct tensor **loss)
{
    struct tensor *y = NULL, *z = NULL;
    tape_reset(t);
    w->grad = NULL;
    enum err_kind rc = op_apply(t, OP_T, NULL, &w, &y, &lab.e);
    if (!rc)
        rc = op_apply(t, OP_MM, NULL, (struct tensor *[]){x, y}, &z, &lab.e);
    if (!rc)
        rc = op_apply(t, OP_ADD, NULL, (struct tensor *[]){z, w}, &y, &lab.e);
    if (!rc)
        rc = op_apply(t, OP_MEAN, NULL, &y, loss, &lab.e);
    return rc ? rc : tape_backward(t, *loss, NULL, false, &lab.e);
}

/* One step on a new tape whose n-th allocation fails. Returns whether one did: then the answer is
 * NOMEM, and the tape works as soon as there is memory. */
static bool survives(int n, struct tensor *x, struct tensor *w)
{
    struct tape tape = {0};
    struct tensor *loss;
    lab_fail_allocation(n);
    enum err_kind rc = tape_init(&tape, kernels_best(), &lab.e);
    bool made = rc == ERR_OK;
    if (made)
        rc = try_step(&tape, x, w, &loss);
    bool failed = lab_faults_fired() > 0;
    lab_fail_allocation(-1);
    assert_int_equal(rc, failed ? ERR_NOMEM : ERR_OK);
    if (made && failed)
        assert_int_equal(try_step(&tape, x, w, &loss), ERR_OK);
    for (int i = 0; made && i < 90; i++)
        assert_true(fabs(lab_get(w->grad_slot, i)) < 1);
    tape_close(&tape);
    return failed;
}

static void failed_allocations_are_survived(void **state)
{
    (void)state;
    for (enum dtype dtype = F32; dtype <= F64; dtype++) {
        struct tensor *x = lab_leaf(&lab, dtype, SHAPE(90, 90)); /* about a chunk each */
        struct tensor *w = lab_leaf(&lab, dtype, SHAPE(90, 90));
        int n = 0;
        x->requires_grad = false;
        lab_slot(&lab, w);
        while (survives(n, x, w))
            n++;
        assert_true(n >= 4);
    }
}

static void tape_close_twice_is_harmless(void **state)
{
    (void)state;
    struct tape tape = {0};
    tape_close(&tape);
    assert_int_equal(tape_init(&tape, kernels_best(), &lab.e), ERR_OK);
    tape_close(&tape);
    tape_close(&tape);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, lab_start, lab_finish)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_second_backward_adds_to_the_first),
        TEST(a_leaf_used_twice_gets_both_parts),
        TEST(diamonds_are_walked_once_per_node),
        TEST(deep_diamonds_end),
        TEST(parts_of_different_layouts_add_up),
        TEST(only_what_the_root_reaches_gets_a_gradient),
        TEST(a_leaf_can_be_the_root),
        TEST(an_explicit_gradient_is_taken_and_kept),
        TEST(roots_that_do_not_fit_are_refused),
        TEST(a_graph_is_given_up_unless_retained),
        TEST(what_saves_nothing_can_be_walked_again),
        TEST(a_shared_part_is_given_up_for_both_roots),
        TEST(what_was_saved_must_not_change),
        TEST(a_change_is_seen_through_views),
        TEST(nothing_is_recorded_under_no_grad),
        TEST(nodes_have_the_names_of_pytorch),
        TEST(types_are_promoted_and_gradients_brought_back),
        TEST(integers_are_promoted_to_floats),
        TEST(gradients_are_written_into_their_slots),
        TEST(slots_are_found_through_views),
        TEST(slots_are_right_behind_a_view_of_strides),
        TEST(slots_are_right_behind_a_transposition),
        TEST(leaves_outlive_tapes),
        TEST(steps_allocate_nothing_after_the_first),
        TEST(failed_allocations_are_survived),
        TEST(tape_close_twice_is_harmless),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
