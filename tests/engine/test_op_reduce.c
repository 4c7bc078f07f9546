/* The reductions where test_ops.c's samples do not go: integers and bools, second outputs, kinks,
 * and what is refused, in PyTorch's words. */
#include "tests/engine/op_tables.h"

static const struct value values[] = {
    {OP_SUM, {.dim = 0}, {I64, DIMS(2, 2), {1, 2, 3, -7}}, {I64, SCALAR, {-1}}},
    {OP_SUM, {.dim = 0}, {B8, DIMS(3), {1, 0, 1}}, {I64, SCALAR, {2}}},
    {OP_SUM, {.dim = 0}, {I64, DIMS(0), {0}}, {I64, SCALAR, {0}}},
    {OP_SUM, {.has_dtype = true, .dtype = F64}, {I64, DIMS(2), {1, 2}}, {F64, SCALAR, {3}}},
    {OP_SUM, {.has_dtype = true, .dtype = I64}, {F32, DIMS(2), {1.75, -2.5}}, {I64, SCALAR, {-1}}},
    {OP_SUM, {.has_dtype = true, .dtype = B8}, {F32, DIMS(2), {2, 0}}, {B8, SCALAR, {1}}},
    {OP_SUM_DIM, {.dims = 1}, {I64, DIMS(2, 2), {1, 2, 3, -7}}, {I64, DIMS(2), {4, -5}}},
    {OP_SUM_DIM,
     {.dims = 2, .keepdim = true},
     {B8, DIMS(2, 3), {1, 0, 1, 0, 0, 0}},
     {I64, DIMS(2, 1), {2, 0}}},
    {OP_SUM_DIM,
     {.dims = 5},
     {I64, DIMS(2, 2, 2), {1, 2, 3, 4, 5, 6, 7, 8}},
     {I64, DIMS(2), {14, 22}}},
    {OP_SUM_DIM,
     {.dims = 1, .has_dtype = true, .dtype = F32},
     {F64, DIMS(2, 1), {0x1.000001p0, 1}},
     {F32, DIMS(1), {2}}},
    {OP_MEAN, {.dim = 0}, {F32, DIMS(0), {0}}, {F32, SCALAR, {NAN}}},
    {OP_MEAN, {.has_dtype = true, .dtype = F32}, {I64, DIMS(2), {1, 2}}, {F32, SCALAR, {1.5}}},
    {OP_MEAN_DIM,
     {.dims = 1, .has_dtype = true, .dtype = F64},
     {B8, DIMS(2, 2), {1, 0, 1, 1}},
     {F64, DIMS(2), {1, 0.5}}},
    {OP_MAX, {.dim = 0}, {I64, DIMS(3), {-5, 7, 7}}, {I64, SCALAR, {7}}},
    {OP_MIN, {.dim = 0}, {B8, DIMS(3), {1, 0, 1}}, {B8, SCALAR, {0}}},
    {OP_MAX, {.dim = 0}, {F32, DIMS(4), {1, NAN, 3, NAN}}, {F32, SCALAR, {NAN}}},
    {OP_MIN,
     {.dim = 0},
     {F64, DIMS(11), {1, 2, 3, 4, 5, 6, 7, 8, 9, NAN, 0}},
     {F64, SCALAR, {NAN}}},
    {OP_AMAX, {.dims = 1}, {I64, DIMS(2, 2), {1, 9, 3, -7}}, {I64, DIMS(2), {3, 9}}},
    {OP_AMAX,
     {.dims = 2, .keepdim = true},
     {B8, DIMS(2, 2), {0, 0, 0, 1}},
     {B8, DIMS(2, 1), {0, 1}}},
    {OP_AMIN, {.dims = 2}, {F32, DIMS(0, 3), {0}}, {F32, DIMS(0), {0}}},
    {OP_ARGMAX, {.flat = true}, {F32, DIMS(2, 2), {1, NAN, 3, NAN}}, {I64, SCALAR, {1}}},
    {OP_ARGMIN, {.dim = 1}, {I64, DIMS(2, 2), {3, 3, 2, 1}}, {I64, DIMS(2), {0, 1}}},
    {OP_ARGMAX, {.dim = 0}, {F64, DIMS(1, 0), {0}}, {I64, DIMS(0), {0}}},
    {OP_PROD, {.dim = 0}, {I64, DIMS(3), {2, -3, 4}}, {I64, SCALAR, {-24}}},
    {OP_PROD, {.dim = 0}, {B8, DIMS(2), {1, 1}}, {I64, SCALAR, {1}}},
    {OP_PROD, {.has_dtype = true, .dtype = B8}, {F32, DIMS(2), {2, 0}}, {B8, SCALAR, {0}}},
    {OP_PROD, {.dim = 0}, {F32, DIMS(0, 3), {0}}, {F32, SCALAR, {1}}},
    {OP_PROD, {.dim = 0}, {F32, DIMS(2, 0), {0}}, {F32, SCALAR, {1}}},
    {OP_PROD_DIM, {.dim = 0}, {F32, DIMS(0, 2), {0}}, {F32, DIMS(2), {1, 1}}},
    {OP_PROD_DIM,
     {.dim = 1, .keepdim = true, .has_dtype = true, .dtype = F64},
     {I64, DIMS(2, 2), {1, 2, 3, 4}},
     {F64, DIMS(2, 1), {2, 12}}},
    {OP_CUMSUM,
     {.dim = 1},
     {I64, DIMS(2, 3), {1, 2, 3, 4, 5, -9}},
     {I64, DIMS(2, 3), {1, 3, 6, 4, 9, 0}}},
    {OP_CUMSUM, {.dim = 0}, {B8, DIMS(3), {1, 0, 1}}, {I64, DIMS(3), {1, 1, 2}}},
    {OP_CUMSUM,
     {.dim = 0, .has_dtype = true, .dtype = F32},
     {I64, DIMS(2), {1, 2}},
     {F32, DIMS(2), {1, 3}}},
    {OP_VAR, {.correction = 1}, {F32, SCALAR, {3}}, {F32, SCALAR, {NAN}}},
    {OP_VAR, {.correction = 0}, {F32, SCALAR, {3}}, {F32, SCALAR, {0}}},
    {OP_VAR, {.correction = 3}, {F32, DIMS(2), {1, 2}}, {F32, SCALAR, {INFINITY}}},
    {OP_VAR, {.dims = 1, .correction = 1}, {F64, DIMS(0, 2), {0}}, {F64, DIMS(2), {NAN, NAN}}},
    {OP_STD, {.dims = 2, .correction = 1}, {F64, DIMS(1, 2), {1, 1}}, {F64, DIMS(1), {0}}},
    {OP_NORM, {.alpha = 0}, {F32, DIMS(4), {0, -0.0, 3, NAN}}, {F32, SCALAR, {2}}},
    {OP_NORM, {.alpha = 2}, {F64, DIMS(3), {3, -4, 0}}, {F64, SCALAR, {5}}},
    {OP_NORM, {.alpha = -1}, {F64, DIMS(3), {3, -4, 0}}, {F64, SCALAR, {0}}},
    {OP_NORM, {.alpha = INFINITY}, {F32, DIMS(2), {NAN, 1}}, {F32, SCALAR, {NAN}}},
    {OP_NORM, {.alpha = -INFINITY}, {F32, DIMS(2), {-INFINITY, -1}}, {F32, SCALAR, {1}}},
    {OP_NORM, {.alpha = -1, .dims = 1}, {F32, DIMS(0, 2), {0}}, {F32, DIMS(2), {0, 0}}},
    {OP_NORM,
     {.alpha = 1, .has_dtype = true, .dtype = F64},
     {F32, DIMS(2), {1, -2}},
     {F64, SCALAR, {3}}},
    {OP_VECTOR_NORM, {.alpha = 2}, {F32, DIMS(0), {0}}, {F32, SCALAR, {0}}},
    {OP_VECTOR_NORM, {.alpha = -1, .dims = 2}, {F32, DIMS(0, 3), {0}}, {F32, DIMS(0), {0}}},
    {OP_LOGSUMEXP, {.dims = 1}, {F64, DIMS(0, 1), {0}}, {F64, DIMS(1), {-INFINITY}}},
    {OP_LOGSUMEXP, {.dims = 1}, {I64, DIMS(1), {3}}, {F32, SCALAR, {3}}},
    {OP_LOGSUMEXP, {.dims = 1}, {F64, DIMS(2), {INFINITY, 1}}, {F64, SCALAR, {INFINITY}}},
    {OP_LOGSUMEXP, {.dims = 1}, {F64, DIMS(2), {-INFINITY, -INFINITY}}, {F64, SCALAR, {-INFINITY}}},
    {OP_LOGSUMEXP, {.dims = 1}, {F64, DIMS(2), {NAN, 1}}, {F64, SCALAR, {NAN}}},
    {OP_ALL, {.flat = true}, {F32, DIMS(2, 2), {1, 2, NAN, -0.5}}, {B8, SCALAR, {1}}},
    {OP_ALL, {.flat = true}, {B8, DIMS(0), {0}}, {B8, SCALAR, {1}}},
    {OP_ANY, {.flat = true}, {I64, DIMS(2, 0), {0}}, {B8, SCALAR, {0}}},
    {OP_ALL, {.dim = 0}, {B8, DIMS(2, 2), {1, 0, 1, 1}}, {B8, DIMS(2), {1, 0}}},
    {OP_ANY,
     {.dim = 1, .keepdim = true},
     {F64, DIMS(2, 2), {0, 0, -0.0, NAN}},
     {B8, DIMS(2, 1), {0, 1}}},
    {OP_ALL, {.dim = 0}, {I64, DIMS(0, 2), {0}}, {B8, DIMS(2), {1, 1}}},
};

static void values_are_those_of_pytorch(void **state)
{
    (void)state;
    assert_values(values, COUNT(values));
}

/* Of max and min along a dimension: the values and where they are. */
struct indexed {
    enum op_id id;
    struct op_args args;
    struct numbers in, out, at;
};

static const struct indexed indexed[] = {
    {OP_MAX_DIM, {.dim = 0}, {F32, DIMS(4), {2, 5, 5, 1}}, {F32, SCALAR, {5}}, {I64, SCALAR, {1}}},
    {OP_MIN_DIM,
     {.dim = 1, .keepdim = true},
     {F64, DIMS(2, 3), {1, NAN, 0, 4, -2, -2}},
     {F64, DIMS(2, 1), {NAN, -2}},
     {I64, DIMS(2, 1), {1, 1}}},
    {OP_MAX_DIM,
     {.dim = 0},
     {I64, DIMS(2, 2), {1, 9, 3, 9}},
     {I64, DIMS(2), {3, 9}},
     {I64, DIMS(2), {1, 0}}},
    {OP_MAX_DIM,
     {.dim = 0},
     {B8, DIMS(2, 2), {0, 1, 1, 1}},
     {B8, DIMS(2), {1, 1}},
     {I64, DIMS(2), {1, 0}}},
    {OP_MAX_DIM, {.dim = 0}, {F32, SCALAR, {3}}, {F32, SCALAR, {3}}, {I64, SCALAR, {0}}},
    {OP_MIN_DIM, {.dim = 1}, {F32, DIMS(0, 3), {0}}, {F32, DIMS(0), {0}}, {I64, DIMS(0), {0}}},
};

static void extremes_say_where_they_are(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(indexed); i++)
        for (int k = 0; k < isa_labs; k++) {
            struct lab *l = &isa_lab[k];
            lab_clear(l);
            struct tensor *x = numbers_make(l, &indexed[i].in), *y, *at;
            assert_int_equal(
                op_apply_many(&l->tape, indexed[i].id, &indexed[i].args, &x, 1, &y, &at, &l->e),
                ERR_OK);
            if (!numbers_equal(y, &indexed[i].out) || !numbers_equal(at, &indexed[i].at))
                fail_msg("extreme %d", (int)i);
        }
}

/* A row's gradient where it is not smooth, for a gradient of 1, 2, … that comes in. */
struct slope {
    enum op_id id;
    struct op_args args;
    struct shape shape;
    double x[LIST_MAX], dx[LIST_MAX];
};

static const struct slope slopes[] = {
    {OP_MAX, {.dim = 0}, DIMS(3), {1, 3, 3}, {0, 0.5, 0.5}},
    {OP_MAX, {.dim = 0}, DIMS(3), {NAN, 1, NAN}, {0.5, 0, 0.5}},
    {OP_MIN, {.dim = 0}, DIMS(2), {-INFINITY, -INFINITY}, {0.5, 0.5}},
    {OP_AMAX, {.dims = 1}, DIMS(3), {1, 3, 3}, {0, 0.5, 0.5}},
    {OP_AMAX, {.dims = 1}, DIMS(2, 2), {1, NAN, 1, 2}, {0.5, NAN, 0.5, NAN}},
    {OP_AMIN, {.dims = 2}, DIMS(2, 2), {1, 1, 4, 2}, {0.5, 0.5, 0, 2}},
    {OP_MAX_DIM, {.dim = 0}, DIMS(2, 2), {1, NAN, 1, 2}, {1, 2, 0, 0}},
    {OP_MIN_DIM, {.dim = 1}, DIMS(2, 2), {1, 1, 4, 2}, {1, 0, 0, 2}},
    {OP_PROD, {.dim = 0}, DIMS(3), {2, 3, 4}, {12, 8, 6}},
    {OP_PROD, {.dim = 0}, DIMS(3), {2, 0, 4}, {0, 8, 0}},
    {OP_PROD, {.dim = 0}, DIMS(3), {0, 0, 4}, {0, 0, 0}},
    {OP_PROD, {.dim = 0}, DIMS(3), {INFINITY, 0, 2}, {0, INFINITY, NAN}},
    {OP_PROD, {.dim = 0}, DIMS(3), {NAN, 0, 2}, {0, NAN, NAN}},
    {OP_PROD, {.dim = 0}, SCALAR, {0}, {1}},
    {OP_PROD_DIM, {.dim = 0}, DIMS(3, 2), {0, 2, 3, 2, 4, 5}, {12, 20, 0, 20, 0, 8}},
    {OP_VAR, {.correction = 1}, DIMS(3), {1, 2, 4}, {-4.0 / 3, -1.0 / 3, 5.0 / 3}},
    {OP_VAR, {.correction = 3}, DIMS(2), {1, 2}, {1, -1}},
    {OP_VAR, {.correction = 1}, SCALAR, {5}, {INFINITY}},
    {OP_VAR, {.correction = 2}, SCALAR, {5}, {-0.0}},
    {OP_VAR, {.dims = 1, .correction = 1}, DIMS(1), {5}, {NAN}},
    {OP_VAR,
     {.dims = 1, .correction = 2},
     DIMS(2, 2),
     {1, 2, 3, 3},
     {-INFINITY, -INFINITY, INFINITY, INFINITY}},
    {OP_STD, {.correction = 1}, SCALAR, {5}, {NAN}},
    {OP_STD, {.correction = 0}, SCALAR, {5}, {0}},
    {OP_STD, {.dims = 1, .correction = 1}, DIMS(2), {2, 2}, {0, 0}},
    {OP_STD, {.correction = 0}, DIMS(2), {2, INFINITY}, {NAN, NAN}},
    {OP_NORM, {.alpha = 0.5}, DIMS(3), {3, -3, 0}, {2, -2, 0}},
    {OP_NORM, {.alpha = 0.5}, DIMS(2), {0, 0}, {0, 0}},
    {OP_NORM, {.alpha = 0.5}, DIMS(3), {INFINITY, -INFINITY, 1}, {NAN, NAN, INFINITY}},
    {OP_NORM, {.alpha = 1}, DIMS(3), {3, -4, 0}, {1, -1, 0}},
    {OP_NORM, {.alpha = 1}, DIMS(2), {NAN, 1}, {0, 1}},
    {OP_NORM, {.alpha = 1.5}, DIMS(2), {0, 0}, {0, 0}},
    {OP_NORM, {.alpha = 1.5}, DIMS(3), {INFINITY, -INFINITY, 1}, {NAN, NAN, 0}},
    {OP_NORM, {.alpha = 2}, DIMS(3), {3, -4, 0}, {0.6, -0.8, 0}},
    {OP_NORM, {.alpha = 2}, DIMS(2), {0, 0}, {0, 0}},
    {OP_NORM, {.alpha = 2}, DIMS(3), {INFINITY, -INFINITY, 1}, {NAN, NAN, 0}},
    {OP_NORM, {.alpha = 2.5}, DIMS(2), {0, 0}, {0, 0}},
    {OP_NORM, {.alpha = 3}, DIMS(2), {1e300, 1e300}, {NAN, NAN}},
    {OP_NORM, {.alpha = INFINITY}, DIMS(3), {3, -3, 1}, {0.5, -0.5, 0}},
    {OP_NORM, {.alpha = INFINITY}, DIMS(2), {0, 0}, {0, 0}},
    {OP_NORM, {.alpha = INFINITY}, DIMS(2), {NAN, 1}, {0, 0}},
    {OP_NORM, {.alpha = -INFINITY}, DIMS(3), {3, -3, 1}, {0, -0.0, 1}},
    {OP_NORM, {.alpha = -1}, DIMS(3), {3, -3, 1}, {0.04, -0.04, 0.36}},
    {OP_NORM, {.alpha = -1}, DIMS(3), {3, -4, 0}, {0, -0.0, 0}},
    {OP_VECTOR_NORM, {.alpha = 2, .dims = 1}, DIMS(2, 2), {3, 0, 4, 0}, {0.6, 0, 0.8, 0}},
    {OP_LOGSUMEXP, {.dims = 1}, DIMS(2), {INFINITY, 1}, {NAN, 0}},
    {OP_LOGSUMEXP, {.dims = 1}, DIMS(2), {-INFINITY, -INFINITY}, {NAN, NAN}},
    {OP_LOGSUMEXP, {.dims = 1}, DIMS(2), {-INFINITY, 1}, {0, 1}},
    {OP_CUMSUM, {.dim = 0}, DIMS(3), {1, 2, 3}, {6, 5, 3}},
};

static void slopes_at_kinks_are_those_of_pytorch(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(slopes); i++)
        for (int k = 0; k < isa_labs; k++) {
            struct lab *l = &isa_lab[k];
            const struct slope *s = &slopes[i];
            lab_clear(l);
            struct tensor *x = lab_leaf(l, F64, s->shape);
            for (int64_t j = 0; j < tensor_count(x); j++)
                lab_put(x, j, s->x[j]);
            struct tensor *y = lab_apply(l, s->id, &s->args, x, NULL, NULL);
            struct tensor *g = lab_zeros(l, F64, y->shape);
            for (int64_t j = 0; j < tensor_count(g); j++)
                lab_put(g, j, (double)j + 1);
            lab_backward(l, y, g, false);
            for (int64_t j = 0; j < tensor_count(x); j++)
                if (!(fabs(lab_get(x->grad, j) - s->dx[j]) <= 1e-14 * fabs(s->dx[j])) &&
                    !lab_same(lab_get(x->grad, j), s->dx[j]))
                    fail_msg("slope %d of %s: [%d] is %g", (int)i, l->tape.kernels->ops[s->id].name,
                             (int)j, lab_get(x->grad, j));
        }
}

/* An int64 sum that does not fit wraps around. */
static void sums_of_integers_are_exact(void **state)
{
    (void)state;
    struct lab *l = &isa_lab[0];
    lab_clear(l);
    struct tensor *x = lab_zeros(l, I64, SHAPE(3));
    int64_t *p = tensor_data(x);
    p[0] = INT64_MAX, p[1] = -1, p[2] = 1 - INT64_MAX;
    struct tensor *y = lab_apply(l, OP_SUM, NULL, x, NULL, NULL);
    assert_true(*(int64_t *)tensor_data(y) == 0);
    p[1] = 1, p[2] = 0;
    y = lab_apply(l, OP_SUM, NULL, x, NULL, NULL);
    assert_true(*(int64_t *)tensor_data(y) == INT64_MIN);
}

/* The gradient has the input's type, though the sum was taken in another. */
static void a_cast_sum_has_a_gradient_of_the_inputs_type(void **state)
{
    (void)state;
    struct lab *l = &isa_lab[0];
    lab_clear(l);
    struct op_args args = {.dims = 1, .has_dtype = true, .dtype = F64};
    struct tensor *x = lab_leaf(l, F32, SHAPE(2, 3));
    struct tensor *y = lab_apply(l, OP_SUM_DIM, &args, x, NULL, NULL);
    assert_int_equal(y->dtype, F64);
    lab_backward(l, lab_apply(l, OP_SUM, NULL, y, NULL, NULL), NULL, false);
    assert_int_equal(x->grad->dtype, F32);
    assert_true(lab_get(x->grad, 5) == 1);
}

static const struct misfit misfits[] = {
    {OP_SUM_DIM,
     {.dims = 4},
     F32,
     DIMS(2, 3),
     "Dimension out of range (expected to be in range of [-2, 1], but got 2)"},
    {OP_SUM_DIM,
     {.dims = 2},
     F32,
     SCALAR,
     "Dimension out of range (expected to be in range of [-1, 0], but got 1)"},
    {OP_MEAN,
     {.dim = 0},
     I64,
     DIMS(2),
     "mean(): could not infer output dtype. Input dtype must be either a floating point or "
     "complex dtype. Got: Long"},
    {OP_MEAN_DIM,
     {.has_dtype = true, .dtype = I64},
     F32,
     DIMS(2),
     "mean(): could not infer output dtype. Optional dtype must be either a floating point or "
     "complex dtype. Got: Long"},
    {OP_MAX,
     {.dim = 0},
     F32,
     DIMS(0, 3),
     "max(): Expected reduction dim to be specified for input.numel() == 0. Specify the reduction "
     "dim with the 'dim' argument."},
    {OP_AMIN,
     {.dim = 0},
     F32,
     DIMS(0, 3),
     "amin(): Expected reduction dim to be specified for input.numel() == 0. Specify the reduction "
     "dim with the 'dim' argument."},
    {OP_AMAX,
     {.dims = 2},
     F32,
     DIMS(3, 0),
     "amax(): Expected reduction dim 1 to have non-zero size."},
    {OP_MIN_DIM,
     {.dim = 0},
     F32,
     DIMS(0, 3),
     "min(): Expected reduction dim 0 to have non-zero size."},
    {OP_MAX_DIM, {.dim = 1}, F32, DIMS(3), "range of [-1, 0], but got 1)"},
    {OP_ARGMAX,
     {.flat = true},
     F32,
     DIMS(0, 3),
     "argmax(): Expected reduction dim to be specified for input.numel() == 0."},
    {OP_ARGMIN,
     {.dim = 0},
     F32,
     DIMS(0, 3),
     "argmin(): Expected reduction dim 0 to have non-zero size."},
    {OP_ARGMAX, {.flat = true}, B8, DIMS(3), "\"argmax_cpu\" not implemented for 'Bool'"},
    {OP_VAR,
     {.dim = 0},
     I64,
     DIMS(3),
     "std and var only support floating point and complex dtypes"},
    {OP_STD, {.dims = 2}, F32, DIMS(3), "range of [-1, 0], but got 1)"},
    {OP_NORM,
     {.alpha = 2},
     I64,
     DIMS(3),
     "norm(): input dtype should be either floating point or complex. Got Long instead."},
    {OP_VECTOR_NORM,
     {.alpha = 2, .has_dtype = true, .dtype = F32},
     I64,
     DIMS(3),
     "linalg.vector_norm: Expected a floating point or complex tensor as input. Got Long"},
    {OP_VECTOR_NORM,
     {.alpha = 2, .has_dtype = true, .dtype = I64},
     F32,
     DIMS(3),
     "linalg.vector_norm: dtype should be floating point or complex, but got Long"},
    {OP_VECTOR_NORM,
     {.alpha = -1.5},
     F32,
     DIMS(0, 3),
     "linalg.vector_norm cannot compute the -1.5 norm on an empty tensor because the operation "
     "does not have an identity"},
    {OP_VECTOR_NORM,
     {.alpha = INFINITY, .dims = 1},
     F32,
     DIMS(0, 3),
     "linalg.vector_norm cannot compute the inf norm on the dimension 0because this dimension is "
     "empty and the operation does not have an identity"},
    {OP_CUMSUM,
     {.dim = 0, .has_dtype = true, .dtype = B8},
     F32,
     DIMS(3),
     "\"cumsum_out_cpu\" not implemented for 'Bool'"},
    {OP_ALL, {.dim = 2}, F32, DIMS(2, 3), "range of [-2, 1], but got 2)"},
    {OP_PROD_DIM, {.dim = 2}, F32, DIMS(2, 3), "range of [-2, 1], but got 2)"},
};

static void misfits_are_refused_in_words(void **state)
{
    (void)state;
    assert_refused(misfits, COUNT(misfits));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_those_of_pytorch),
        cmocka_unit_test(extremes_say_where_they_are),
        cmocka_unit_test(slopes_at_kinks_are_those_of_pytorch),
        cmocka_unit_test(sums_of_integers_are_exact),
        cmocka_unit_test(a_cast_sum_has_a_gradient_of_the_inputs_type),
        cmocka_unit_test(misfits_are_refused_in_words),
    };
    return cmocka_run_group_tests(tests, isa_labs_open, isa_labs_close);
}
