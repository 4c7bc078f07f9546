/* train_curvature: the largest eigenvalue of the Hessian, against matrices made without it. */
#include "tests/engine/lab.h"
#include "tests/engine/nets.h"

#define N_MAX 24

/* One Jacobi rotation: makes a[p][q] 0. */
static void rotate(double a[N_MAX][N_MAX], int n, int p, int q)
{
    if (a[p][q] == 0)
        return;
    double angle = 0.5 * atan2(2 * a[p][q], a[q][q] - a[p][p]), c = cos(angle), s = sin(angle);
    for (int k = 0; k < n; k++) {
        double x = a[k][p], y = a[k][q];
        a[k][p] = c * x - s * y;
        a[k][q] = s * x + c * y;
    }
    for (int k = 0; k < n; k++) {
        double x = a[p][k], y = a[q][k];
        a[p][k] = c * x - s * y;
        a[q][k] = s * x + c * y;
    }
}

/* The largest eigenvalue of a symmetric matrix, which is destroyed. */
static double largest_eigenvalue(double a[N_MAX][N_MAX], int n)
{
    for (int sweep = 0; sweep < 60; sweep++)
        for (int p = 0; p < n; p++)
            for (int q = p + 1; q < n; q++)
                rotate(a, n, p, q);
    double largest = a[0][0];
    for (int i = 1; i < n; i++)
        largest = fmax(largest, a[i][i]);
    return largest;
}

static double curvature(const struct module *m, const struct loss *l, const struct tensor *x,
                        const struct tensor *y)
{
    double lambda = NAN;
    if (train_curvature(m, l, &lab.tape, x, y, &lambda, &lab.e) != ERR_OK)
        fail_msg("%s", lab.e.message);
    return lambda;
}

static void assert_eigenvalue(double got, double want)
{
    if (!(fabs(got - want) <= 1e-4 * fabs(want)))
        fail_msg("%.9g is not %.9g", got, want);
}

/* ---- what is known by formula -------------------------------------------------------------- */

/* The mean squared error of x w + b: 2/n [x 1]ᵀ[x 1], or without the last column. */
static double linear_eigenvalue(const struct tensor *x, bool bias)
{
    static double h[N_MAX][N_MAX];
    int64_t rows = x->shape.dim[0], columns = x->shape.dim[1];
    int n = (int)columns + bias;
    for (int i = 0; i < n; i++)
        for (int j = 0; j < n; j++) {
            h[i][j] = 0;
            for (int64_t r = 0; r < rows; r++)
                h[i][j] += 2.0 / (double)rows * (i < columns ? lab_get(x, r * columns + i) : 1) *
                           (j < columns ? lab_get(x, r * columns + j) : 1);
        }
    return largest_eigenvalue(h, n);
}

static void a_linear_model_has_the_curvature_of_its_inputs(void **state)
{
    (void)state;
    struct loss mse = net_loss("mse");
    for (enum dtype dtype = DTYPE_FLOAT32; dtype <= DTYPE_FLOAT64; dtype++)
        for (int64_t columns = 1; columns < 8; columns++) {
            struct layer layer = net_linear((double)columns, 1, true);
            struct module *m = net_new(&layer, 1, dtype, (uint64_t)columns);
            struct tensor *x = lab_leaf(&lab, dtype, SHAPE(20, columns));
            struct tensor *y = lab_leaf(&lab, dtype, SHAPE(20, 1));
            for (int i = 0; i < 20; i++)
                lab_put(x, i * columns, 3 + lab_get(x, i * columns));
            assert_eigenvalue(curvature(m, &mse, x, y), linear_eigenvalue(x, true));
            m->parameter[1].tensor.requires_grad = false; /* then the bias is a constant */
            assert_eigenvalue(curvature(m, &mse, x, y), linear_eigenvalue(x, false));
            m->parameter[0].tensor.requires_grad = false;
            assert_true(curvature(m, &mse, x, y) == 0);
            module_free(m);
        }
}

/* 10 x + 4 over x = 0, 0.1 .. 99.9: a learning rate over 2/lambda = 3.00e-4 diverges. */
static void the_line_bears_a_learning_rate_of_3e_4(void **state)
{
    (void)state;
    struct layer layer = net_linear(1, 1, true);
    struct loss mse = net_loss("mse");
    struct module *m = net_new(&layer, 1, DTYPE_FLOAT32, 0);
    struct tensor *x = lab_zeros(&lab, DTYPE_FLOAT32, SHAPE(1000, 1));
    struct tensor *y = lab_zeros(&lab, DTYPE_FLOAT32, SHAPE(1000, 1));
    for (int i = 0; i < 1000; i++) {
        lab_put(x, i, i / 10.0);
        lab_put(y, i, i + 4);
    }
    double lambda = curvature(m, &mse, x, y);
    assert_eigenvalue(lambda, linear_eigenvalue(x, true));
    assert_true(fabs(2 / lambda - 3.004e-4) < 1e-7);
    module_free(m);
}

/* One weight per output, x = 1, target 0: each has the second derivative of tanh², which is
 * 2 s² - 4 t² s with t = tanh(w), s = 1 - t²; the mean halves it. */
static double tanh_square_slope(double w)
{
    double t = tanh(w), s = 1 - t * t;
    return (2 * s * s - 4 * t * t * s) / 2;
}

static double tanh_curvature(double w0, double w1)
{
    struct layer layer[] = {net_linear(1, 2, false), net_layer("tanh")};
    struct loss mse = net_loss("mse");
    struct module *m = net_new(layer, 2, DTYPE_FLOAT64, 0);
    struct tensor *x = lab_leaf(&lab, DTYPE_FLOAT64, SHAPE(1, 1));
    struct tensor *y = lab_zeros(&lab, DTYPE_FLOAT64, SHAPE(1, 2));
    lab_put(x, 0, 1);
    lab_put(&m->parameter[0].tensor, 0, w0);
    lab_put(&m->parameter[0].tensor, 1, w1);
    double lambda = curvature(m, &mse, x, y);
    module_free(m);
    return lambda;
}

static void the_largest_is_not_the_largest_magnitude(void **state)
{
    (void)state;
    assert_true(tanh_square_slope(1) < -0.3 && tanh_square_slope(0.6) > 0.09);
    assert_eigenvalue(tanh_curvature(1, 0.6), tanh_square_slope(0.6));
    assert_eigenvalue(tanh_curvature(0.1, 1), tanh_square_slope(0.1));
    assert_true(tanh_curvature(1, 1.1) == 0); /* no direction curves upwards */
}

/* (w1 w2 ± 1)² at w1 = w2 = 0: the eigenvalues are 2 and -2. */
static void opposite_eigenvalues_are_told_apart(void **state)
{
    (void)state;
    struct layer layer[] = {net_linear(1, 1, false), net_linear(1, 1, false)};
    struct loss mse = net_loss("mse");
    struct module *m = net_new(layer, 2, DTYPE_FLOAT32, 0);
    struct tensor *x = lab_zeros(&lab, DTYPE_FLOAT32, SHAPE(1, 1));
    struct tensor *y = lab_zeros(&lab, DTYPE_FLOAT32, SHAPE(1, 1));
    memset(m->values.data, 0, module_bytes(m));
    lab_put(x, 0, 1);
    for (int sign = -1; sign <= 1; sign += 2) {
        lab_put(y, 0, sign);
        assert_eigenvalue(curvature(m, &mse, x, y), 2);
    }
    module_free(m);
}

/* ---- what is known by force ---------------------------------------------------------------- */

/* The loss with h and k added to parameters i and j. */
static double loss_at(struct module *m, const struct loss *l, const struct tensor *x,
                      const struct tensor *y, int i, double h, int j, double k)
{
    double *w = m->values.data, loss = NAN, wi = w[i], wj = w[j];
    struct tensor *out;
    w[i] += h;
    w[j] += k;
    assert_int_equal(train_evaluate(m, l, &lab.tape, x, y, &out, &loss, &lab.e), ERR_OK);
    w[j] = wj;
    w[i] = wi;
    return loss;
}

/* From the second differences of the loss, frozen parameters left out. */
static double eigenvalue_by_force(struct module *m, const struct loss *l, const struct tensor *x,
                                  const struct tensor *y)
{
    static double a[N_MAX][N_MAX];
    const double h = 1e-3;
    int n = 0, at[N_MAX];
    for (int i = 0; i < m->parameters; i++)
        for (int64_t j = 0; j < tensor_count(&m->parameter[i].tensor); j++)
            if (m->parameter[i].tensor.requires_grad)
                at[n++] = (int)(m->parameter[i].tensor.offset + j);
    assert_true(n <= N_MAX);
    for (int i = 0; i < n; i++)
        for (int j = 0; j < n; j++)
            a[i][j] = (loss_at(m, l, x, y, at[i], h, at[j], h) -
                       loss_at(m, l, x, y, at[i], h, at[j], -h) -
                       loss_at(m, l, x, y, at[i], -h, at[j], h) +
                       loss_at(m, l, x, y, at[i], -h, at[j], -h)) /
                      (4 * h * h);
    return largest_eigenvalue(a, n);
}

static void small_nets_agree_with_brute_force(void **state)
{
    (void)state;
    static const char *const losses[] = {"mse", "bce_with_logits", "cross_entropy"};
    struct layer layer[] = {net_linear(2, 3, true), net_layer("tanh"), net_linear(3, 2, true)};
    for (size_t k = 0; k < COUNT(losses); k++)
        for (uint64_t seed = 0; seed < 10; seed++) {
            struct loss l = net_loss(losses[k]);
            struct module *m = net_new(layer, 3, DTYPE_FLOAT64, seed);
            enum dtype target = loss_target_dtype(&l, DTYPE_FLOAT64);
            struct tensor *x = lab_leaf(&lab, DTYPE_FLOAT64, SHAPE(12, 2));
            struct tensor *y = target == DTYPE_INT64 ? lab_zeros(&lab, target, SHAPE(12))
                                                     : lab_leaf(&lab, target, SHAPE(12, 2));
            for (int i = 0; i < 24; i++)
                lab_put(x, i, 2 * lab_get(x, i));
            for (int i = 0; target == DTYPE_INT64 && i < 12; i++)
                lab_put(y, i, i % 2);
            assert_eigenvalue(curvature(m, &l, x, y), eigenvalue_by_force(m, &l, x, y));
            module_find(m, "2.bias")->tensor.requires_grad = false;
            assert_eigenvalue(curvature(m, &l, x, y), eigenvalue_by_force(m, &l, x, y));
            module_free(m);
        }
}

/* ---- manners ------------------------------------------------------------------------------- */

static void the_model_is_only_read(void **state)
{
    (void)state;
    struct layer layer[] = {net_linear(3, 4, true), net_layer("relu"), net_linear(4, 1, true)};
    struct loss mse = net_loss("mse");
    struct module *m = net_new(layer, 3, DTYPE_FLOAT32, 1);
    struct tensor *x = lab_leaf(&lab, DTYPE_FLOAT32, SHAPE(9, 3));
    struct tensor *y = lab_leaf(&lab, DTYPE_FLOAT32, SHAPE(9, 1));
    float before[21];
    uint64_t version = m->values.version;
    memcpy(before, m->values.data, sizeof before);
    double once = curvature(m, &mse, x, y);
    assert_true(once > 0 && curvature(m, &mse, x, y) == once);
    assert_memory_equal(m->values.data, before, sizeof before);
    assert_int_equal(m->values.version, version);
    assert_null(m->gradients.data);
    assert_null(m->parameter[0].tensor.grad);
    module_free(m);
}

static void without_finite_numbers_there_is_none(void **state)
{
    (void)state;
    struct layer layer = net_linear(2, 1, true), none = net_layer("tanh");
    struct loss mse = net_loss("mse");
    struct module *m = net_new(&layer, 1, DTYPE_FLOAT64, 1);
    struct tensor *x = lab_leaf(&lab, DTYPE_FLOAT64, SHAPE(4, 2));
    struct tensor *y = lab_leaf(&lab, DTYPE_FLOAT64, SHAPE(4, 1));
    lab_put(x, 3, NAN);
    assert_true(curvature(m, &mse, x, y) == 0);
    lab_put(x, 3, 1e200);
    assert_true(curvature(m, &mse, x, y) == 0);
    struct tensor *no_x = lab_leaf(&lab, DTYPE_FLOAT64, SHAPE(0, 2));
    struct tensor *no_y = lab_leaf(&lab, DTYPE_FLOAT64, SHAPE(0, 1));
    assert_true(curvature(m, &mse, no_x, no_y) == 0);
    module_free(m);
    m = net_new(&none, 1, DTYPE_FLOAT64, 1);
    assert_true(curvature(m, &mse, y, y) == 0);
    module_free(m);
}

static void failed_allocations_are_survived(void **state)
{
    (void)state;
    struct layer layer = net_linear(2, 1, true);
    struct loss mse = net_loss("mse");
    struct module *m = net_new(&layer, 1, DTYPE_FLOAT32, 1);
    struct tensor *x = lab_leaf(&lab, DTYPE_FLOAT32, SHAPE(4, 2));
    struct tensor *y = lab_leaf(&lab, DTYPE_FLOAT32, SHAPE(4, 1));
    double lambda, want = curvature(m, &mse, x, y);
    int n = 0;
    for (bool failed = true; failed; n++) {
        lab_fail_allocation(n);
        enum err_kind rc = train_curvature(m, &mse, &lab.tape, x, y, &lambda, &lab.e);
        failed = lab_faults_fired() > 0;
        lab_fail_allocation(-1);
        assert_int_equal(rc, failed ? ERR_NOMEM : ERR_OK);
        assert_true(lambda == (failed ? 0 : want));
    }
    assert_true(n > 5);
    module_free(m);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, lab_start, lab_finish)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_linear_model_has_the_curvature_of_its_inputs),
        TEST(the_line_bears_a_learning_rate_of_3e_4),
        TEST(the_largest_is_not_the_largest_magnitude),
        TEST(opposite_eigenvalues_are_told_apart),
        TEST(small_nets_agree_with_brute_force),
        TEST(the_model_is_only_read),
        TEST(without_finite_numbers_there_is_none),
        TEST(failed_allocations_are_survived),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
