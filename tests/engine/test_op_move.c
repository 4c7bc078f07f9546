/* Views, moves and indices where test_ops.c's samples do not go: integers and bools, what shares
 * memory, and what is refused, in PyTorch's words. */
#include "tests/engine/op_tables.h"

static const struct value values[] = {
    {OP_VIEW, {.shape = DIMS(3)}, {B8, DIMS(1, 3), {1, 0, 1}}, {B8, DIMS(3), {1, 0, 1}}},
    {OP_SLICE,
     {.start = 1, .end = 9, .step = 2},
     {I64, DIMS(4), {1, 2, 3, 4}},
     {I64, DIMS(2), {2, 4}}},
    {OP_SELECT, {.start = -1}, {B8, DIMS(2, 2), {1, 0, 0, 1}}, {B8, DIMS(2), {0, 1}}},
    {OP_NONZERO,
     {.dim = 0},
     {F32, DIMS(2, 3), {0, NAN, -1, -0.0, 0, 2}},
     {I64, DIMS(3, 2), {0, 1, 0, 2, 1, 2}}},
    {OP_NONZERO, {.dim = 0}, {B8, DIMS(3), {1, 0, 1}}, {I64, DIMS(2, 1), {0, 2}}},
    {OP_NONZERO, {.dim = 0}, {I64, SCALAR, {3}}, {I64, DIMS(1, 0), {0}}},
    {OP_NONZERO, {.dim = 0}, {F64, SCALAR, {0}}, {I64, DIMS(0, 0), {0}}},
    {OP_NONZERO, {.dim = 0}, {F64, DIMS(0, 3), {0}}, {I64, DIMS(0, 2), {0}}},
    {OP_TRIU,
     {.start = 1},
     {I64, DIMS(2, 3), {1, 2, 3, 4, 5, 6}},
     {I64, DIMS(2, 3), {0, 2, 3, 0, 0, 6}}},
    {OP_TRIL, {.start = 0}, {B8, DIMS(2, 2), {1, 1, 1, 1}}, {B8, DIMS(2, 2), {1, 0, 1, 1}}},
    {OP_FLIP, {.dims = 1}, {B8, DIMS(3), {1, 0, 0}}, {B8, DIMS(3), {0, 0, 1}}},
    {OP_FLIP,
     {.dims = 3},
     {I64, DIMS(2, 3), {0, 1, 2, 3, 4, 5}},
     {I64, DIMS(2, 3), {5, 4, 3, 2, 1, 0}}},
    {OP_CLONE, {.dim = 0}, {B8, DIMS(2), {1, 0}}, {B8, DIMS(2), {1, 0}}},
    {OP_TO_COPY, {.dtype = I64}, {F32, DIMS(3), {1.75, -2.5, 0}}, {I64, DIMS(3), {1, -2, 0}}},
    {OP_TO_COPY, {.dtype = B8}, {F64, DIMS(3), {0.5, NAN, -0.0}}, {B8, DIMS(3), {1, 1, 0}}},
    {OP_TO_COPY, {.dtype = F32}, {B8, DIMS(2), {1, 0}}, {F32, DIMS(2), {1, 0}}},
};

static void values_are_those_of_pytorch(void **state)
{
    (void)state;
    assert_values(values, COUNT(values));
}

/* ---- views --------------------------------------------------------------------------------- */

static void views_share_and_have_pytorchs_strides(void **state)
{
    (void)state;
    struct lab *l = &isa_lab[0];
    lab_clear(l);
    struct tensor *x = lab_zeros(l, F32, SHAPE(2, 3)), *y;
    y = lab_apply(l, OP_EXPAND, &(struct op_args){.shape = DIMS(4, -1, 3)}, x, NULL, NULL);
    assert_ptr_equal(y->storage, x->storage);
    assert_true(y->stride[0] == 0 && y->stride[1] == 3 && y->stride[2] == 1);
    y = lab_apply(l, OP_UNSQUEEZE, &(struct op_args){.dim = 1}, x, NULL, NULL);
    assert_true(y->stride[0] == 3 && y->stride[1] == 3 && y->stride[2] == 1);
    y = lab_apply(l, OP_UNSQUEEZE, &(struct op_args){.dim = 2}, x, NULL, NULL);
    assert_true(y->stride[2] == 1);
    y = lab_apply(l, OP_SLICE, &(struct op_args){.dim = 1, .start = 1, .end = 3, .step = 2}, x,
                  NULL, NULL);
    assert_true(y->offset == 1 && y->stride[0] == 3 && y->stride[1] == 2);
    y = lab_apply(l, OP_SELECT, &(struct op_args){.dim = 1, .start = -1}, x, NULL, NULL);
    assert_true(y->offset == 2 && y->stride[0] == 3 && y->shape.rank == 1);
    y = lab_apply(l, OP_SLICE, &(struct op_args){.end = 2, .step = INT64_MAX}, x, NULL, NULL);
    y = lab_apply(l, OP_SLICE, &(struct op_args){.start = 1, .end = 2, .step = INT64_MAX}, y, NULL,
                  NULL);
    assert_true(y->offset == 0 && tensor_count(y) == 0);
    int64_t stride[RANK_MAX];
    y = lab_apply(l, OP_T, NULL, x, NULL, NULL);
    assert_true(tensor_view_strides(y, &SHAPE(3, 1, 2), stride));
    assert_true(stride[0] == 1 && stride[1] == 6 && stride[2] == 3);
    assert_false(tensor_view_strides(y, &SHAPE(6), stride));
    assert_false(tensor_view_strides(y, &SHAPE(2, 3), stride));
}

/* What changes a view in place is its base's; but what an unsafe view is of, nobody else has. */
static void an_unsafe_view_is_changed_in_place_alone(void **state)
{
    (void)state;
    struct lab *l = &isa_lab[0];
    struct op_args flat = {.shape = DIMS(6)}, one = {.alpha = 1};
    lab_clear(l);
    struct tensor *x = lab_leaf(l, F32, SHAPE(2, 3));
    struct tensor *y = lab_apply(l, OP_MUL, NULL, x, x, NULL);
    struct tensor *view = lab_apply(l, OP_VIEW, &flat, y, NULL, NULL);
    struct tensor *both[] = {view, view};
    assert_int_equal(op_apply_in_place(&l->tape, OP_ADD, &one, both, 2, &l->e), ERR_OK);
    assert_string_equal(node_class(y->grad_fn), "CopySlices");
    assert_string_equal(node_class(view->grad_fn), "AsStridedBackward0");
    y = lab_apply(l, OP_MUL, NULL, x, x, NULL);
    both[0] = both[1] = lab_apply(l, OP_UNSAFE_VIEW, &flat, y, NULL, NULL);
    assert_int_equal(op_apply_in_place(&l->tape, OP_ADD, &one, both, 2, &l->e), ERR_OK);
    assert_string_equal(node_class(y->grad_fn), "MulBackward0");
    assert_string_equal(node_class(both[0]->grad_fn), "AddBackward0");
    lab_backward(l, lab_apply(l, OP_SUM, NULL, both[0], NULL, NULL), NULL, false);
    for (int64_t i = 0; i < 6; i++)
        assert_true(lab_get(x->grad, i) == 4 * lab_get(x, i));
}

/* ---- moves ----------------------------------------------------------------------------------- */

/* Types are promoted, also by what is skipped; an operand's gradient has the operand's own. */
static void cat_and_stack_promote(void **state)
{
    (void)state;
    struct lab *l = &isa_lab[0];
    struct op_args args = {.dim = 0};
    lab_clear(l);
    struct tensor *x = lab_leaf(l, F32, SHAPE(2)), *i = lab_zeros(l, I64, SHAPE(2)), *y;
    struct tensor *empty = lab_zeros(l, F64, SHAPE(0));
    struct tensor *all[] = {i, x, empty};
    lab_put(i, 1, 7);
    assert_int_equal(op_apply_many(&l->tape, OP_CAT, &args, all, 3, &y, NULL, &l->e), ERR_OK);
    assert_int_equal(y->dtype, F64);
    assert_true(lab_get(y, 1) == 7 && lab_get(y, 2) == lab_get(x, 0));
    lab_backward(l, lab_apply(l, OP_SUM, NULL, y, NULL, NULL), NULL, false);
    assert_int_equal(x->grad->dtype, F32);
    assert_true(lab_get(x->grad, 1) == 1);
    assert_int_equal(op_apply_many(&l->tape, OP_STACK, &args, all, 2, &y, NULL, &l->e), ERR_OK);
    assert_int_equal(y->dtype, F32);
    assert_true(lab_get(y, 1) == 7 && lab_get(y, 3) == lab_get(x, 1));
}

/* Two and three inputs of any type. */
struct taken {
    enum op_id id;
    struct op_args args;
    int inputs;
    struct numbers in[4], out;
};

static const struct taken takings[] = {
    {OP_INDEX,
     {.dims = 1},
     2,
     {{B8, DIMS(3), {1, 0, 1}}, {I64, DIMS(2), {-1, 1}}},
     {B8, DIMS(2), {1, 0}}},
    {OP_INDEX,
     {.dims = 3},
     3,
     {{I64, DIMS(2, 3), {0, 1, 2, 3, 4, 5}}, {I64, DIMS(2, 1), {0, 1}}, {I64, DIMS(2), {0, -1}}},
     {I64, DIMS(2, 2), {0, 2, 3, 5}}},
    {OP_INDEX,
     {.dims = 2},
     2,
     {{F32, DIMS(0, 3), {0}}, {I64, DIMS(2), {0, 4}}},
     {F32, DIMS(0, 2), {0}}},
    {OP_INDEX_PUT,
     {.dims = 1},
     3,
     {{I64, DIMS(3), {1, 2, 3}}, {I64, SCALAR, {9}}, {I64, DIMS(2), {-1, 0}}},
     {I64, DIMS(3), {9, 2, 9}}},
    {OP_INDEX_PUT,
     {.dims = 3},
     4,
     {{B8, DIMS(2, 2), {0}}, {B8, SCALAR, {1}}, {I64, DIMS(1), {1}}, {I64, DIMS(1), {0}}},
     {B8, DIMS(2, 2), {0, 0, 1, 0}}},
    {OP_INDEX_SELECT,
     {.dim = 1},
     2,
     {{B8, DIMS(1, 3), {1, 0, 1}}, {I64, SCALAR, {1}}},
     {B8, DIMS(1, 1), {0}}},
    {OP_INDEX_SELECT, {.dim = 0}, 2, {{F32, SCALAR, {3}}, {I64, DIMS(1), {0}}}, {F32, SCALAR, {3}}},
    {OP_GATHER,
     {.dim = 0},
     2,
     {{I64, SCALAR, {3}}, {I64, DIMS(2), {0, 0}}},
     {I64, DIMS(2), {3, 3}}},
    {OP_GATHER,
     {.dim = 1},
     2,
     {{B8, DIMS(2, 2), {1, 0, 0, 1}}, {I64, DIMS(1, 3), {0, 1, 0}}},
     {B8, DIMS(1, 3), {1, 0, 1}}},
    {OP_GATHER, {.dim = 1}, 2, {{F32, DIMS(2, 2), {0}}, {I64, DIMS(0), {0}}}, {F32, DIMS(0), {0}}},
    {OP_MASKED_FILL,
     {.alpha = 9.5},
     2,
     {{I64, DIMS(3), {1, 2, 3}}, {B8, DIMS(2, 1), {0, 1}}},
     {I64, DIMS(2, 3), {1, 2, 3, 9, 9, 9}}},
    {OP_MASKED_FILL,
     {.alpha = NAN},
     2,
     {{B8, DIMS(2), {0, 0}}, {B8, DIMS(2), {0, 1}}},
     {B8, DIMS(2), {0, 1}}},
};

static void any_type_is_taken(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(takings); i++)
        for (int k = 0; k < isa_labs; k++) {
            struct lab *l = &isa_lab[k];
            const struct taken *t = &takings[i];
            struct tensor *in[COUNT(t->in)], *y = NULL;
            lab_clear(l);
            for (int j = 0; j < t->inputs; j++)
                in[j] = numbers_make(l, &t->in[j]);
            if (op_apply_many(&l->tape, t->id, &t->args, in, t->inputs, &y, NULL, &l->e) != ERR_OK)
                fail_msg("taking %d: %s", (int)i, l->e.message);
            if (!numbers_equal(y, &t->out))
                fail_msg("taking %d", (int)i);
        }
}

/* An element that is taken twice has both gradients; one that is put has none. */
static void taken_and_put_elements_have_gradients(void **state)
{
    (void)state;
    struct lab *l = &isa_lab[0];
    struct op_args first = {.dims = 1};
    lab_clear(l);
    struct tensor *x = lab_leaf(l, F32, SHAPE(3)), *v = lab_leaf(l, F32, SHAPE(1)), *y;
    struct tensor *index = lab_zeros(l, I64, SHAPE(3));
    lab_put(index, 1, 2);
    y = lab_apply(l, OP_INDEX, &first, x, index, NULL);
    lab_backward(l, lab_apply(l, OP_SUM, NULL, y, NULL, NULL), NULL, false);
    assert_true(lab_get(x->grad, 0) == 2 && lab_get(x->grad, 1) == 0 && lab_get(x->grad, 2) == 1);
    y = lab_apply(l, OP_MUL, NULL, x, x, NULL);
    x->grad = NULL;
    struct tensor *in[] = {y, v, index};
    assert_int_equal(op_apply_in_place(&l->tape, OP_INDEX_PUT, &first, in, 3, &l->e), ERR_OK);
    assert_true(lab_get(y, 0) == lab_get(v, 0) && lab_get(y, 2) == lab_get(v, 0));
    assert_string_equal(y->grad_fn->call.op->node, "IndexPutBackward0");
    lab_backward(l, lab_apply(l, OP_SUM, NULL, y, NULL, NULL), NULL, false);
    assert_true(lab_get(x->grad, 0) == 0 && lab_get(x->grad, 1) == 2 * lab_get(x, 1));
    assert_true(lab_get(v->grad, 0) == 3);
}

/* On a dry tape a shape that depends on numbers cannot be told; all else can. */
static void a_dry_tape_knows_no_numbers(void **state)
{
    (void)state;
    struct tape dry;
    struct err e;
    struct op_args first = {.dims = 1};
    tape_init_dry(&dry, kernels_best());
    struct tensor *x = tape_tensor(&dry, F32, &SHAPE(3)), *y;
    struct tensor *in[] = {x, tape_tensor(&dry, I64, &SHAPE(2)), tape_tensor(&dry, I64, &SHAPE(2))};
    assert_int_equal(op_apply(&dry, OP_NONZERO, NULL, &x, &y, &e), ERR_INVALID);
    assert_string_equal(e.message, "the shape depends on the numbers, which are not known here");
    assert_int_equal(op_apply_many(&dry, OP_INDEX, &first, in, 2, &y, NULL, &e), ERR_OK);
    assert_true(shape_equal(&y->shape, &SHAPE(2)));
    in[1] = y;
    assert_int_equal(op_apply_many(&dry, OP_INDEX_PUT, &first, in, 3, &y, NULL, &e), ERR_OK);
    in[1] = in[2];
    assert_int_equal(op_apply_many(&dry, OP_GATHER, NULL, in, 2, &y, NULL, &e), ERR_OK);
    assert_int_equal(op_apply_many(&dry, OP_INDEX_SELECT, NULL, in, 2, &y, NULL, &e), ERR_OK);
    tape_close(&dry);
}

/* ---- what does not fit --------------------------------------------------------------------- */

static const struct misfit misfits[] = {
    {OP_TRANSPOSE,
     {.dim = 0, .dim2 = 5},
     F32,
     DIMS(2, 3),
     "Dimension out of range (expected to be in range of [-2, 1], but got 5)"},
    {OP_PERMUTE,
     {.shape = DIMS(0)},
     F32,
     DIMS(2, 3),
     "permute(sparse_coo): number of dimensions in the tensor input does not match the length of "
     "the desired ordering of dimensions i.e. input.dim() = 2 is not equal to len(dims) = 1"},
    {OP_PERMUTE,
     {.shape = DIMS(0, 0)},
     F32,
     DIMS(2, 3),
     "permute(): duplicate dims are not allowed."},
    {OP_PERMUTE, {.shape = DIMS(0, 2)}, F32, DIMS(2, 3), "Dimension out of range (expected"},
    {OP_SQUEEZE_DIM, {.dim = 2}, F32, DIMS(2, 3), "range of [-2, 1], but got 2)"},
    {OP_UNSQUEEZE, {.dim = 3}, F32, DIMS(2, 3), "range of [-3, 2], but got 3)"},
    {OP_UNSQUEEZE,
     {.dim = 0},
     F32,
     DIMS(1, 1, 1, 1, 1, 1, 1, 1),
     "a tensor has at most 8 dimensions, got 9"},
    {OP_EXPAND,
     {.shape = DIMS(3, 3)},
     F32,
     DIMS(2, 3),
     "The expanded size of the tensor (3) must match the existing size (2) at non-singleton "
     "dimension 0.  Target sizes: [3, 3].  Tensor sizes: [2, 3]"},
    {OP_EXPAND,
     {.shape = DIMS(2, 0)},
     F32,
     DIMS(2, 3),
     "The expanded size of the tensor (0) must match the existing size (3) at non-singleton "
     "dimension 1.  Target sizes: [2, 0].  Tensor sizes: [2, 3]"},
    {OP_EXPAND,
     {.shape = DIMS(3)},
     F64,
     DIMS(2, 3),
     "expand(torch.DoubleTensor{[2, 3]}, size=[3]): the number of sizes provided (1) must be "
     "greater or equal to the number of dimensions in the tensor (2)"},
    {OP_EXPAND,
     {.shape = DIMS(-1, 2, 3)},
     F32,
     DIMS(2, 3),
     "The expanded size of the tensor (-1) isn't allowed in a leading, non-existing dimension 0"},
    {OP_EXPAND,
     {.shape = DIMS(INT64_MAX, INT64_MAX)},
     F32,
     DIMS(1),
     "the tensor has too many elements"},
    {OP_SLICE, {.step = 0}, F32, DIMS(2), "slice step must be positive"},
    {OP_SLICE, {.step = 1}, F32, SCALAR, "slice() cannot be applied to a 0-dim tensor."},
    {OP_SELECT, {.dim = 0}, F32, SCALAR, "select() cannot be applied to a 0-dim tensor."},
    {OP_SELECT,
     {.start = 2},
     F32,
     DIMS(2, 3),
     "select(): index 2 out of range for tensor of size [2, 3] at dimension 0"},
    {OP_SELECT,
     {.dim = 1, .start = -4},
     F32,
     DIMS(2, 3),
     "select(): index -4 out of range for tensor of size [2, 3] at dimension 1"},
    {OP_CAT, {.dim = 0}, F32, SCALAR, "zero-dimensional tensor (at position 0) cannot be concat"},
    {OP_CAT, {.dim = 1}, F32, DIMS(0), "range of [-1, 0], but got 1)"},
    {OP_STACK, {.dim = 3}, F32, DIMS(2, 3), "range of [-3, 2], but got 3)"},
    {OP_STACK, {.dim = 0}, F32, DIMS(1, 1, 1, 1, 1, 1, 1, 1), "at most 8 dimensions, got 9"},
    {OP_TRIU,
     {.start = 0},
     F32,
     DIMS(3),
     "Dimension out of range (expected to be in range of [-1, 0], but got -2)"},
    {OP_TRIL, {.start = 0}, F32, SCALAR, "Dimension specified as -2 but tensor has no dimensions"},
    {OP_FLIP, {.dims = 4}, F32, DIMS(2, 3), "range of [-2, 1], but got 2)"},
    {OP_VIEW, {.shape = DIMS(4, 2)}, F32, DIMS(2, 3), "is invalid for input of size 6"},
};

static void misfits_are_refused_in_words(void **state)
{
    (void)state;
    assert_refused(misfits, COUNT(misfits));
}

/* Of several inputs. */
struct many {
    enum op_id id;
    struct op_args args;
    int inputs;
    struct numbers in[4];
    const char *words;
};

static const struct many many[] = {
    {OP_CAT, {.dim = 0}, 0, {{.dtype = F32}}, "torch.cat(): expected a non-empty list of Tensors"},
    {OP_CAT,
     {.dim = 0},
     2,
     {{.dtype = F32, .shape = DIMS(2, 3)}, {.dtype = F32, .shape = DIMS(2, 2)}},
     "Sizes of tensors must match except in dimension 0. Expected size 3 but got size 2 for tensor "
     "number 1 in the list."},
    {OP_CAT,
     {.dim = 0},
     3,
     {{.dtype = F32, .shape = DIMS(0)},
      {.dtype = F32, .shape = DIMS(2, 3)},
      {.dtype = F32, .shape = DIMS(3)}},
     "Tensors must have same number of dimensions: got 2 and 1"},
    {OP_CAT,
     {.dim = 0},
     2,
     {{.dtype = F32, .shape = DIMS(2, 3)}, {.dtype = F32, .shape = SCALAR}},
     "zero-dimensional tensor (at position 1) cannot be concatenated"},
    {OP_STACK, {.dim = 0}, 0, {{.dtype = F32}}, "stack expects a non-empty TensorList"},
    {OP_STACK,
     {.dim = 0},
     2,
     {{.dtype = F32, .shape = DIMS(2, 3)}, {.dtype = F32, .shape = DIMS(3)}},
     "stack expects each tensor to be equal size, but got [2, 3] at entry 0 and [3] at entry 1"},
    {OP_INDEX,
     {.dims = 1},
     2,
     {{F32, DIMS(2, 3), {0}}, {I64, DIMS(1), {5}}},
     "index 5 is out of bounds for dimension 0 with size 2"},
    {OP_INDEX,
     {.dims = 2},
     2,
     {{F32, DIMS(2, 3), {0}}, {I64, DIMS(2), {0, -4}}},
     "index -4 is out of bounds for dimension 0 with size 3"},
    {OP_INDEX,
     {.dims = 3},
     3,
     {{F32, DIMS(2, 3), {0}}, {I64, DIMS(2), {0, 7}}, {I64, DIMS(2), {9, 0}}},
     "index 9 is out of bounds for dimension 1 with size 3"},
    {OP_INDEX,
     {.dims = 1},
     2,
     {{F32, DIMS(0, 3), {0}}, {I64, DIMS(1), {0}}},
     "index is out of bounds for dimension with size 0"},
    {OP_INDEX,
     {.dims = 3},
     3,
     {{F32, DIMS(2, 3), {0}}, {I64, DIMS(2), {0}}, {I64, DIMS(3), {0}}},
     "shape mismatch: indexing tensors could not be broadcast together with shapes [2], [3]"},
    {OP_INDEX,
     {.dims = 1},
     2,
     {{F32, DIMS(2, 3), {0}}, {F32, DIMS(1), {0.5}}},
     "tensors used as indices must be long, byte or bool tensors"},
    {OP_INDEX,
     {.dims = 1},
     2,
     {{F32, SCALAR, {0}}, {I64, DIMS(1), {0}}},
     "too many indices for tensor of dimension 0"},
    {OP_INDEX_PUT,
     {.dims = 1},
     3,
     {{F32, DIMS(2, 3), {0}}, {F32, DIMS(2), {0}}, {I64, DIMS(2), {0}}},
     "shape mismatch: value tensor of shape [2] cannot be broadcast to indexing result of shape "
     "[2, 3]"},
    {OP_INDEX_PUT,
     {.dims = 1},
     3,
     {{F32, DIMS(2, 3), {0}}, {F32, DIMS(2, 2, 3), {0}}, {I64, DIMS(2), {0}}},
     "shape mismatch: value tensor of shape [2, 2, 3] cannot be broadcast to indexing result of "
     "shape [2, 3]"},
    {OP_INDEX_PUT,
     {.dims = 1},
     3,
     {{F32, DIMS(2, 3), {0}}, {I64, SCALAR, {0}}, {I64, DIMS(2), {0}}},
     "Index put requires the source and destination dtypes match, got Float for the destination "
     "and Long for the source."},
    {OP_INDEX_PUT,
     {.dims = 1},
     3,
     {{F32, DIMS(2), {0}}, {F32, SCALAR, {0}}, {I64, DIMS(2), {0, 2}}},
     "index 2 is out of bounds for dimension 0 with size 2"},
    {OP_INDEX_SELECT,
     {.dim = 0},
     2,
     {{F32, DIMS(2), {0}}, {I64, DIMS(1), {-1}}},
     "index out of range in self"},
    {OP_INDEX_SELECT,
     {.dim = 0},
     2,
     {{F32, SCALAR, {0}}, {I64, DIMS(1), {5}}},
     "index out of range in self"},
    {OP_INDEX_SELECT,
     {.dim = 0},
     2,
     {{F32, DIMS(2), {0}}, {I64, DIMS(1, 1), {0}}},
     "index_select(): Index is supposed to be a vector"},
    {OP_INDEX_SELECT,
     {.dim = 0},
     2,
     {{F32, DIMS(2), {0}}, {F32, DIMS(1), {0}}},
     "index_select(): Expected dtype int32 or int64 for index"},
    {OP_INDEX_SELECT,
     {.dim = 0},
     2,
     {{F32, DIMS(0, 3), {0}}, {I64, DIMS(1), {0}}},
     "index_select(): self indexing axis dim should be positive"},
    {OP_GATHER,
     {.dim = 1},
     2,
     {{F32, DIMS(2, 3), {0}}, {I64, DIMS(1, 2), {0, 3}}},
     "index 3 is out of bounds for dimension 1 with size 3"},
    {OP_GATHER,
     {.dim = 1},
     2,
     {{F32, DIMS(2, 3), {0}}, {I64, DIMS(1, 1), {-1}}},
     "index -1 is out of bounds for dimension 1 with size 3"},
    {OP_GATHER,
     {.dim = 0},
     2,
     {{F32, DIMS(2, 3), {0}}, {I64, DIMS(1, 4), {0}}},
     "Size does not match at dimension 1 expected index [1, 4] to be smaller than self [2, 3] "
     "apart "
     "from dimension 0"},
    {OP_GATHER,
     {.dim = 0},
     2,
     {{F32, DIMS(2, 3), {0}}, {I64, DIMS(2), {0}}},
     "Index tensor must have the same number of dimensions as input tensor"},
    {OP_GATHER,
     {.dim = 0},
     2,
     {{F32, DIMS(2), {0}}, {F32, DIMS(1), {0}}},
     "gather(): Expected dtype int64 for index"},
    {OP_MASKED_FILL,
     {.alpha = 1e19},
     2,
     {{I64, DIMS(2), {0}}, {B8, DIMS(2), {0}}},
     "value cannot be converted to type int64_t without overflow"},
    {OP_MASKED_FILL,
     {.alpha = 1},
     2,
     {{F32, DIMS(2, 3), {0}}, {B8, DIMS(2, 2), {0}}},
     "The size of tensor a (2) must match the size of tensor b (3) at non-singleton dimension 1"},
    {OP_MASKED_FILL,
     {.alpha = 1},
     2,
     {{F32, DIMS(2), {0}}, {I64, DIMS(2), {0}}},
     "masked_fill only supports boolean masks, but got mask with dtype int64"},
};

static void several_misfits_are_refused_in_words(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(many); i++)
        for (int k = 0; k < isa_labs; k++) {
            struct lab *l = &isa_lab[k];
            const struct many *m = &many[i];
            struct tensor *in[COUNT(m->in)], *y = NULL;
            lab_clear(l);
            for (int j = 0; j < m->inputs; j++)
                in[j] = numbers_make(l, &m->in[j]);
            enum err_kind rc =
                op_apply_many(&l->tape, m->id, &m->args, in, m->inputs, &y, NULL, &l->e);
            if (rc != ERR_INVALID || !strstr(l->e.message, m->words))
                fail_msg("misfit %d of several: %s", (int)i, rc ? l->e.message : "taken");
        }
}

static void a_view_over_a_gap_is_refused(void **state)
{
    (void)state;
    struct lab *l = &isa_lab[0];
    struct op_args flat = {.shape = DIMS(6)};
    lab_clear(l);
    struct tensor *x = lab_apply(l, OP_T, NULL, lab_zeros(l, F32, SHAPE(2, 3)), NULL, NULL), *y;
    assert_int_equal(op_apply(&l->tape, OP_VIEW, &flat, &x, &y, &l->e), ERR_INVALID);
    assert_string_equal(l->e.message,
                        "view size is not compatible with input tensor's size and stride (at least "
                        "one dimension spans across two contiguous subspaces). Use .reshape(...) "
                        "instead.");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_those_of_pytorch),
        cmocka_unit_test(views_share_and_have_pytorchs_strides),
        cmocka_unit_test(an_unsafe_view_is_changed_in_place_alone),
        cmocka_unit_test(cat_and_stack_promote),
        cmocka_unit_test(any_type_is_taken),
        cmocka_unit_test(taken_and_put_elements_have_gradients),
        cmocka_unit_test(a_dry_tape_knows_no_numbers),
        cmocka_unit_test(misfits_are_refused_in_words),
        cmocka_unit_test(several_misfits_are_refused_in_words),
        cmocka_unit_test(a_view_over_a_gap_is_refused),
    };
    return cmocka_run_group_tests(tests, isa_labs_open, isa_labs_close);
}
