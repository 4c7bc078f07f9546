/* engine/curvature.c - train_curvature: the largest eigenvalue of the Hessian.
 *
 * H v = (g(w + h v) - g(w - h v)) / 2h, exact but for rounding where the loss is quadratic.
 * Power iteration finds the eigenvalue of the largest magnitude; if that is negative, a second run
 * on H - lambda I finds the largest one.
 */
#include <math.h>
#include <string.h>

#include "engine/train.h"

#define ITERATIONS_MAX 50
#define TOLERANCE      1e-6 /* relative change of the estimate that ends the iteration */
/* Rows times parameters times iterations: about a second's work. */
#define WORK_MAX 2e9

struct hessian {
    struct module *at; /* a float64 copy, whose parameters move */
    const struct loss *loss;
    struct tape *tape;
    struct tensor x, y;
    double *origin; /* the parameters, and then three vectors of their size */
    double *v, *hv, *plus;
    double shift; /* of all eigenvalues */
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

/* out = the gradient at origin + h v; frozen parameters have none, and get 0. */
static enum err_kind gradient_at(struct hessian *s, double h, double *out, struct err *e)
{
    double ignored, *w = s->at->values.data;
    for (size_t i = 0; i < s->n; i++)
        w[i] = s->origin[i] + h * s->v[i];
    module_touch(s->at);
    module_zero_grad(s->at);
    enum err_kind rc =
        train_backward(s->at, s->loss, s->tape, &s->x, &s->y, &ignored, NULL, e);
    if (rc)
        return rc;
    for (int i = 0; i < s->at->parameters; i++) {
        const struct tensor *p = &s->at->parameter[i].tensor;
        size_t bytes = (size_t)tensor_count(p) * sizeof *out;
        if (p->grad)
            memcpy(out + p->offset, tensor_data(p->grad), bytes);
        else
            memset(out + p->offset, 0, bytes);
    }
    return ERR_OK;
}

/* hv = (H - shift I) v for a v of length 1. */
static enum err_kind multiply(struct hessian *s, struct err *e)
{
    /* The cube root of the rounding error balances it against that of the difference. */
    double h = 6e-6 * (1 + norm(s->origin, s->n));
    enum err_kind rc = gradient_at(s, h, s->plus, e);
    if (!rc)
        rc = gradient_at(s, -h, s->hv, e);
    for (size_t i = 0; !rc && i < s->n; i++)
        s->hv[i] = (s->plus[i] - s->hv[i]) / (2 * h) - s->shift * s->v[i];
    return rc;
}

/* The eigenvalue of the largest magnitude of H - shift I; 0 if there is none in finite numbers. */
static enum err_kind iterate(struct hessian *s, int iterations, double *lambda, struct err *e)
{
    struct rng rng;
    rng_seed(&rng, 0);
    rng_uniform_f64(&rng, s->v, s->n, -1, 1);
    for (int i = 0; i < s->at->parameters; i++) {
        const struct tensor *p = &s->at->parameter[i].tensor;
        if (!p->requires_grad)
            memset(s->v + p->offset, 0, (size_t)tensor_count(p) * sizeof *s->v);
    }
    *lambda = 0;
    double length = norm(s->v, s->n);
    for (int k = 0; k < iterations && length > 0 && isfinite(length); k++) {
        double before = *lambda;
        for (size_t i = 0; i < s->n; i++)
            s->v[i] /= length;
        enum err_kind rc = multiply(s, e);
        if (rc)
            return rc;
        *lambda = 0;
        for (size_t i = 0; i < s->n; i++)
            *lambda += s->v[i] * s->hv[i];
        if (fabs(*lambda - before) <= TOLERANCE * fabs(*lambda))
            break;
        memcpy(s->v, s->hv, s->n * sizeof *s->v);
        length = norm(s->v, s->n);
    }
    if (!isfinite(*lambda))
        *lambda = 0;
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
    s->at = module_new(m->layer, m->layers, DTYPE_FLOAT64);
    s->n = (size_t)m->count;
    s->origin = s->n < SIZE_MAX / 4 ? mem_array(4 * s->n, sizeof *s->origin) : NULL;
    if (!s->at || !s->origin || !widen(x, x_storage, &s->x) || !widen(y, y_storage, &s->y))
        return false;
    s->v = s->origin + s->n;
    s->hv = s->v + s->n;
    s->plus = s->hv + s->n;
    for (int i = 0; i < m->parameters; i++) {
        tensor_copy(&s->at->parameter[i].tensor, &m->parameter[i].tensor);
        s->at->parameter[i].tensor.requires_grad = m->parameter[i].tensor.requires_grad;
    }
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
    double first = 0, second = 0;
    double one = (double)m->count * (double)(x->shape.rank ? x->shape.dim[0] : 1) + 1;
    int iterations = ITERATIONS_MAX * one > WORK_MAX ? (int)(WORK_MAX / one) : ITERATIONS_MAX;
    iterations = iterations < 4 ? 4 : iterations;
    *lambda = 0;
    if (!prepare(&s, m, &x_storage, x, &y_storage, y)) {
        rc = err_set(e, ERR_NOMEM, "", "no memory for the curvature");
        goto out;
    }
    rc = iterate(&s, iterations, &first, e);
    if (!rc && first < 0) {
        s.shift = first;
        rc = iterate(&s, iterations, &second, e);
    }
    *lambda = first < 0 ? first + second : first;
    if (*lambda < 0)
        *lambda = 0;
out:
    module_free(s.at);
    mem_free(s.origin);
    mem_free(x_storage.data);
    mem_free(y_storage.data);
    return rc;
}
