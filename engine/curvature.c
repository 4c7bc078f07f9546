/* engine/curvature.c - train_curvature: the largest eigenvalue of the Hessian.
 *
 * H v = (g(w + h v) - g(w - h v)) / 2h, exact but for rounding where the loss is quadratic.
 * The Lanczos method makes of such products a small tridiagonal matrix, whose largest eigenvalue
 * soon is that of H. Power iteration would not do: the Hessians of nets have large eigenvalues of
 * both signs, often in near-opposite pairs, between which it stays undecided.
 */
#include <math.h>
#include <string.h>

#include "engine/train.h"

#define ITERATIONS_MAX 50
#define TOLERANCE      1e-6 /* relative change of the estimate that ends the iteration */
/* Multiplications of a forward times iterations: some tenths of a second. */
#define WORK_MAX 5e8

struct hessian {
    struct module *at; /* a float64 copy, whose parameters move */
    const struct loss *loss;
    struct tape *tape;
    struct tensor x, y;
    double *origin; /* the parameters, and then two vectors of their size */
    double *v, *hv;
    size_t n;
};

static double norm(const double *x, size_t n)
{
    double largest = 0, sum = 0;
    for (size_t i = 0; i < n; i++)
        largest = fabs(x[i]) > largest ? fabs(x[i]) : largest;
    if (largest == 0 || !isfinite(largest))
        return largest;
    for (size_t i = 0; i < n; i++)
        sum += x[i] / largest * (x[i] / largest);
    return largest * sqrt(sum);
}

/* hv += weight * the gradient at origin + h v; frozen parameters have none. */
static enum err_kind add_gradient(struct hessian *s, double weight, double h, struct err *e)
{
    double ignored, *w = s->at->values.data;
    for (size_t i = 0; i < s->n; i++)
        w[i] = s->origin[i] + h * s->v[i];
    module_touch(s->at);
    module_zero_grad(s->at);
    enum err_kind rc = train_backward(s->at, s->loss, s->tape, &s->x, &s->y, &ignored, NULL, e);
    for (int i = 0; !rc && i < s->at->parameters; i++) {
        const struct tensor *p = &s->at->parameter[i].tensor;
        const double *gradient = p->grad ? tensor_data(p->grad) : NULL;
        for (int64_t j = 0; gradient && j < tensor_count(p); j++)
            s->hv[p->offset + j] += weight * gradient[j];
    }
    return rc;
}

/* hv += H v for a v of length 1. */
static enum err_kind add_product(struct hessian *s, struct err *e)
{
    /* The cube root of the rounding error balances it against that of the difference. */
    double h = 6e-6 * (1 + norm(s->origin, s->n));
    enum err_kind rc = add_gradient(s, 1 / (2 * h), h, e);
    return rc ? rc : add_gradient(s, -1 / (2 * h), -h, e);
}

/* Has the tridiagonal matrix an eigenvalue above x? Then not all pivots of it - x I are negative.
 *   a (n) the diagonal, b (n-1) beside it */
static bool has_above(const double *a, const double *b, int n, double x)
{
    double pivot = a[0] - x;
    for (int i = 1; i < n && pivot < 0; i++)
        pivot = a[i] - x - b[i - 1] * b[i - 1] / pivot;
    return !(pivot < 0);
}

/* The largest eigenvalue of a tridiagonal matrix, between its largest diagonal element and
 * Gershgorin's bound. */
static double largest_eigenvalue(const double *a, const double *b, int n)
{
    double low = a[0], high = a[0];
    for (int i = 0; i < n; i++) {
        double beside = (i > 0 ? fabs(b[i - 1]) : 0) + (i + 1 < n ? fabs(b[i]) : 0);
        low = fmax(low, a[i]);
        high = fmax(high, a[i] + beside);
    }
    for (int halving = 0; halving < 64; halving++) {
        double middle = low + (high - low) / 2;
        *(has_above(a, b, n, middle) ? &low : &high) = middle;
    }
    return low;
}

/* hv = a random vector, to begin with; 0 for frozen parameters. */
static void begin(struct hessian *s)
{
    struct rng rng;
    rng_seed(&rng, 0);
    rng_uniform_f64(&rng, s->hv, s->n, -1, 1);
    for (int i = 0; i < s->at->parameters; i++) {
        const struct tensor *p = &s->at->parameter[i].tensor;
        if (!p->requires_grad)
            memset(s->hv + p->offset, 0, (size_t)tensor_count(p) * sizeof *s->hv);
    }
}

/* The Lanczos recurrence, which needs no vectors but the last two:
 *     b[k] v[k+1] = H v[k] - a[k] v[k] - b[k-1] v[k-1],  a[k] = v[k] H v[k]
 * hv becomes the right side, and v its predecessor. *lambda: 0 if a number is not finite. */
static enum err_kind iterate(struct hessian *s, int iterations, double *lambda, struct err *e)
{
    double a[ITERATIONS_MAX], b[ITERATIONS_MAX];
    begin(s);
    double length = norm(s->hv, s->n);
    for (int k = 0; k < iterations && length > 0; k++) {
        for (size_t i = 0; i < s->n; i++) {
            double next = s->hv[i] / length;
            s->hv[i] = -length * s->v[i];
            s->v[i] = next;
        }
        enum err_kind rc = add_product(s, e);
        if (rc)
            return rc;
        a[k] = 0;
        for (size_t i = 0; i < s->n; i++)
            a[k] += s->v[i] * s->hv[i];
        for (size_t i = 0; i < s->n; i++)
            s->hv[i] -= a[k] * s->v[i];
        b[k] = length = norm(s->hv, s->n);
        double before = *lambda;
        *lambda = isfinite(a[k]) && isfinite(length) ? largest_eigenvalue(a, b, k + 1) : 0;
        if (fabs(*lambda - before) <= TOLERANCE * fabs(*lambda))
            break;
    }
    return ERR_OK;
}

/* A float64 copy of x, in memory of its own (mem_free data). false: no memory. */
static bool widen(const struct tensor *x, struct storage *storage, struct tensor *copy)
{
    enum dtype dtype = dtype_is_float(x->dtype) ? DTYPE_FLOAT64 : x->dtype;
    storage->data = mem_array((size_t)tensor_count(x), dtype_bytes(dtype));
    if (!storage->data)
        return false;
    tensor_wrap(copy, storage, dtype, &x->shape, 0);
    tensor_copy(copy, x);
    return true;
}

static bool prepare(struct hessian *s, const struct module *m, struct storage *x_storage,
                    const struct tensor *x, struct storage *y_storage, const struct tensor *y)
{
    s->at = module_widened(m);
    s->n = (size_t)m->count;
    s->origin = s->n < SIZE_MAX / 3 ? mem_array(3 * s->n, sizeof *s->origin) : NULL;
    if (!s->at || !s->origin || !widen(x, x_storage, &s->x) || !widen(y, y_storage, &s->y))
        return false;
    s->v = s->origin + s->n;
    s->hv = s->v + s->n;
    memcpy(s->origin, s->at->values.data, s->n * sizeof *s->origin);
    return true;
}

enum err_kind train_curvature(const struct module *m, const struct loss *l, struct tape *t,
                              const struct tensor *x, const struct tensor *y, double *lambda,
                              struct err *e)
{
    struct hessian s = {.loss = l, .tape = t};
    struct storage x_storage = {0}, y_storage = {0};
    enum err_kind rc = ERR_OK;
    struct module_facts facts;
    *lambda = 0;
    rc = module_facts(m, &x->shape, &facts, e);
    if (rc)
        return rc;
    double one = facts.work + 1;
    int iterations = ITERATIONS_MAX * one > WORK_MAX ? (int)(WORK_MAX / one) : ITERATIONS_MAX;
    iterations = iterations < 4 ? 4 : iterations;
    if (!prepare(&s, m, &x_storage, x, &y_storage, y)) {
        rc = err_set(e, ERR_NOMEM, "", "no memory for the curvature");
        goto out;
    }
    rc = iterate(&s, iterations, lambda, e);
    if (rc || *lambda < 0)
        *lambda = 0;
out:
    module_free(s.at);
    mem_free(s.origin);
    mem_free(x_storage.data);
    mem_free(y_storage.data);
    return rc;
}
