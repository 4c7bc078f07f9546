#include "engine/module.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "engine/expression.h"

/* ---- making -------------------------------------------------------------------------------- */

/* Elements of all parameters; false: more than int64_t holds. */
static bool count_elements(const struct layer *layer, int layers, int64_t *count, int *parameters)
{
    *count = 0;
    *parameters = 0;
    for (int i = 0; i < layers; i++) {
        struct shape shape[2];
        const char *name[2];
        int n = layer[i].type->parameters(&layer[i], shape, name);
        *parameters += n;
        for (int j = 0; j < n; j++) {
            struct shape checked;
            struct err ignored;
            if (shape_make(shape[j].dim, shape[j].rank, &checked, &ignored) ||
                __builtin_add_overflow(*count, shape_count(&checked), count))
                return false;
        }
    }
    return true;
}

/* A linear layer must take what the linear layer before it gives, as long as nothing between the
 * two changes the number of features (a flatten may). */
static enum err_kind check_features(const struct layer *layer, int layers, struct err *e)
{
    const struct layer_type *linear = layer_find("linear"), *flatten = layer_find("flatten");
    double features = 0; /* 0: not known */
    for (int i = 0; i < layers; i++) {
        if (layer[i].type == flatten)
            features = 0;
        if (layer[i].type != linear)
            continue;
        if (features != 0 && layer[i].value[0] != features) {
            char pointer[64];
            snprintf(pointer, sizeof pointer, "/%d/in_features", i);
            return err_set(e, ERR_INVALID, pointer,
                           "must be %.0f, the out_features of the linear layer before it, got "
                           "%.0f",
                           features, layer[i].value[0]);
        }
        features = layer[i].value[1];
    }
    return ERR_OK;
}

enum err_kind module_check(const struct layer *layer, int layers, enum dtype dtype,
                           size_t max_bytes, struct err *e)
{
    int64_t count;
    int parameters;
    size_t bytes;
    if (layers == 0)
        return err_set(e, ERR_INVALID, "", "a model needs at least one layer");
    enum err_kind rc = check_features(layer, layers, e);
    if (rc)
        return rc;
    if (!count_elements(layer, layers, &count, &parameters) ||
        !mem_mul((size_t)count, dtype_bytes(dtype), &bytes) || bytes > max_bytes)
        return err_set(e, ERR_INVALID, "", "the parameters would take more than %zu bytes",
                       max_bytes);
    return ERR_OK;
}

/* A matrix [out][in] lies by its columns, each with the weights of one input side by side: so the
 * product with a batch of one, or of many, reads memory in the order in which it is there. */
static void wrap(struct tensor *t, struct storage *block, enum dtype dtype,
                 const struct shape *shape, int64_t offset)
{
    tensor_wrap(t, block, dtype, shape, offset);
    if (shape->rank == 2) {
        t->stride[0] = 1;
        t->stride[1] = shape->dim[0];
    }
}

/* Gives every parameter its name and its part of the blocks. */
static void lay_out(struct module *m)
{
    int64_t offset = 0;
    struct parameter *p = m->parameter;
    for (int i = 0; i < m->layers; i++) {
        struct shape shape[2];
        const char *name[2];
        int n = m->layer[i].type->parameters(&m->layer[i], shape, name);
        for (int j = 0; j < n; j++, p++) {
            snprintf(p->name, sizeof p->name, "%d.%s", i, name[j]);
            wrap(&p->tensor, &m->values, m->dtype, &shape[j], offset);
            wrap(&p->slot, &m->gradients, m->dtype, &shape[j], offset);
            p->tensor.requires_grad = true;
            p->tensor.grad_slot = &p->slot;
            offset += shape_count(&shape[j]);
        }
    }
}

struct module *module_new(const struct layer *layer, int layers, enum dtype dtype)
{
    struct module *m = mem_array(1, sizeof *m);
    if (!m)
        return NULL;
    m->dtype = m->input_dtype = dtype;
    m->layers = layers;
    bool fits = count_elements(layer, layers, &m->count, &m->parameters);
    m->layer = mem_array((size_t)layers, sizeof *layer);
    m->parameter = mem_array((size_t)m->parameters, sizeof *m->parameter);
    m->values.data = fits ? mem_array((size_t)m->count, dtype_bytes(dtype)) : NULL;
    if (!m->layer || !m->parameter || !m->values.data) {
        module_free(m);
        return NULL;
    }
    memcpy(m->layer, layer, (size_t)layers * sizeof *layer);
    lay_out(m);
    return m;
}

void module_free(struct module *m)
{
    if (!m)
        return;
    module_drop_deferred(m);
    mem_free(m->layer);
    mem_free(m->parameter);
    mem_free(m->values.data);
    mem_free(m->gradients.data);
    mem_free(m);
}

/* In float64, of the same form; its parameters have no values yet. */
static struct module *same_form(const struct module *m)
{
    if (!m->program)
        return module_new(m->layer, m->layers, DTYPE_FLOAT64);
    struct declaration *d = mem_array((size_t)m->parameters, sizeof *d);
    if (!d)
        return NULL;
    for (int i = 0; i < m->parameters; i++) {
        memcpy(d[i].name, m->parameter[i].name, sizeof d[i].name);
        d[i].shape = m->parameter[i].tensor.shape;
    }
    struct module *copy =
        module_new_program(m->program, d, m->parameters, DTYPE_FLOAT64, DTYPE_FLOAT64);
    mem_free(d);
    return copy;
}

struct module *module_widened(const struct module *m)
{
    struct module *copy = same_form(m);
    for (int i = 0; copy && i < m->parameters; i++) {
        tensor_copy(&copy->parameter[i].tensor, &m->parameter[i].tensor);
        copy->parameter[i].tensor.requires_grad = m->parameter[i].tensor.requires_grad;
    }
    return copy;
}

/* The i-th parameter as a row-major part of a block that holds them all. */
static struct tensor row_major_part(const struct module *m, int i, struct storage *block)
{
    struct tensor part;
    const struct tensor *p = &m->parameter[i].tensor;
    tensor_wrap(&part, block, m->dtype, &p->shape, p->offset);
    return part;
}

/* The i-th parameter's part of a block that is laid out as the parameters' is. */
static struct tensor part_of(const struct module *m, int i, struct storage *block)
{
    struct tensor part = tensor_seen(&m->parameter[i].tensor);
    part.storage = block;
    return part;
}

void module_to_rows(const struct module *m, const void *block, void *rows)
{
    struct storage from = {.data = (void *)block}, to = {.data = rows};
    for (int i = 0; i < m->parameters; i++) {
        struct tensor src = part_of(m, i, &from), dst = row_major_part(m, i, &to);
        tensor_copy(&dst, &src);
    }
}

void module_from_rows(const struct module *m, const void *rows, void *block)
{
    struct storage from = {.data = (void *)rows}, to = {.data = block};
    for (int i = 0; i < m->parameters; i++) {
        struct tensor src = row_major_part(m, i, &from), dst = part_of(m, i, &to);
        tensor_copy(&dst, &src);
    }
}

#define DRAWN_AT_A_TIME 512

/* x.uniform_(-bound, bound), in the order of its elements, wherever they lie. Each takes its own
 * numbers of the generator, so any piece of them can be drawn by itself. */
static void draw(struct rng *rng, const struct tensor *x, double bound)
{
    double room[DRAWN_AT_A_TIME];
    struct storage drawn = {.data = room};
    int last = x->shape.rank - 1;
    int64_t rows = last ? x->shape.dim[0] : 1, columns = x->shape.dim[last];
    for (int64_t row = 0; row < rows; row++)
        for (int64_t col = 0; col < columns; col += DRAWN_AT_A_TIME) {
            int64_t n = columns - col < DRAWN_AT_A_TIME ? columns - col : DRAWN_AT_A_TIME;
            struct tensor from, to = tensor_seen(x);
            tensor_narrow(&to, last, col, n);
            if (last)
                tensor_select(&to, 0, row);
            tensor_wrap(&from, &drawn, x->dtype, &to.shape, 0);
            if (x->dtype == DTYPE_FLOAT32)
                rng_uniform_f32(rng, drawn.data, (size_t)n, -bound, bound);
            else
                rng_uniform_f64(rng, drawn.data, (size_t)n, -bound, bound);
            tensor_copy(&to, &from);
        }
}

/* kaiming_uniform_(a = sqrt(5)) for the weight, 1 / sqrt(in) for the bias: nn.Linear's. */
void module_reset(struct module *m, struct rng *rng)
{
    for (int i = 0; i < m->parameters; i++) {
        const struct tensor *x = &m->parameter[i].tensor;
        const struct tensor *weight = x->shape.rank == 2 ? x : &m->parameter[i - 1].tensor;
        double in = (double)weight->shape.dim[1];
        double bound = x == weight ? sqrt(3.0) * (sqrt(2.0 / 6.0) / sqrt(in)) : 1 / sqrt(in);
        draw(rng, x, bound);
    }
    module_touch(m);
}

/* ---- running ------------------------------------------------------------------------------- */

/* a + b, or all that fits. */
static size_t add_bytes(size_t a, size_t b)
{
    return a < SIZE_MAX - b ? a + b : SIZE_MAX;
}

enum err_kind module_facts(const struct module *m, const struct shape *x, struct module_facts *out,
                           struct err *e)
{
    double rows = x->rank ? (double)x->dim[0] : 1;
    if (m->program)
        return expression_facts(m, x, out, e);
    *out = (struct module_facts){.output = *x, .dtype = m->dtype, .work = (double)m->count * rows};
    for (int i = 0; i < m->layers; i++) {
        struct shape next;
        size_t bytes;
        enum err_kind rc = m->layer[i].type->shape(&m->layer[i], &out->output, &next, e);
        if (rc)
            return err_wrap(e, "layer %d (%s): ", i, m->layer[i].type->options.type);
        if (!mem_mul((size_t)shape_count(&next), dtype_bytes(m->dtype), &bytes))
            bytes = SIZE_MAX;
        out->bytes = add_bytes(out->bytes, bytes);
        out->output = next;
    }
    return ERR_OK;
}

bool module_least_input(const struct module *m, struct shape *x)
{
    const struct layer_type *linear = layer_find("linear");
    for (int i = 0; i < m->layers; i++)
        if (m->layer[i].type == linear) {
            *x = (struct shape){.rank = 2, .dim = {1, (int64_t)m->layer[i].value[0]}};
            return true;
        }
    return false;
}

enum err_kind module_forward(struct module *m, struct tape *t, struct tensor *x, struct tensor **y,
                             struct err *e)
{
    struct parameter *p = m->parameter;
    if (m->program)
        return expression_forward(m, t, x, y, e);
    *y = x;
    for (int i = 0; i < m->layers; i++) {
        struct shape shape[2];
        const char *name[2];
        const struct layer *l = &m->layer[i];
        bool relu = layer_ends_in_relu(l, m->layers - i);
        enum err_kind rc =
            relu ? layer_forward_relu(l, p, t, *y, y, e) : l->type->forward(l, p, t, *y, y, e);
        if (rc)
            return err_wrap(e, "layer %d (%s): ", i, l->type->options.type);
        p += l->type->parameters(l, shape, name);
        i += relu; /* which is done */
    }
    return ERR_OK;
}

struct parameter *module_find(struct module *m, const char *name)
{
    for (int i = 0; i < m->parameters; i++)
        if (!strcmp(m->parameter[i].name, name))
            return &m->parameter[i];
    return NULL;
}

void module_touch(struct module *m)
{
    m->values.version++;
}

size_t module_bytes(const struct module *m)
{
    return (size_t)m->count * dtype_bytes(m->dtype);
}

/* ---- gradients ----------------------------------------------------------------------------- */

enum err_kind module_need_gradients(struct module *m, struct err *e)
{
    if (m->gradients.data)
        return ERR_OK;
    m->gradients.data = mem_array((size_t)m->count, dtype_bytes(m->dtype));
    return m->gradients.data ? ERR_OK : err_set(e, ERR_NOMEM, "", "no memory for the gradients");
}

void module_zero_grad(struct module *m)
{
    module_drop_deferred(m);
    for (int i = 0; i < m->parameters; i++)
        m->parameter[i].tensor.grad = NULL;
}

/* The sum of squares after division by scale. */
static double scaled_squares(const struct tensor *g, double scale)
{
    double sum = 0;
    const double *x = tensor_data(g);
    for (int64_t i = 0; i < tensor_count(g); i++)
        sum += (x[i] / scale) * (x[i] / scale);
    return sum;
}

double module_gradient_norm(const struct module *m, const struct kernels *k)
{
    double sum = 0, scaled = 0;
    for (int i = 0; i < m->parameters; i++) {
        const struct parameter *p = &m->parameter[i];
        const struct tensor *g = p->tensor.grad;
        if (p->deferred)
            sum += p->deferred->squares;
        else if (g)
            sum += k->sum_squares(m->dtype, tensor_data(g), (size_t)tensor_count(g));
    }
    if (!isinf(sum) || m->dtype == DTYPE_FLOAT32 || !module_gradients_are_finite(m, k))
        return sqrt(sum);
    /* Squares of float64 overflow long before the norm does. */
    const double scale = 0x1p600;
    for (int i = 0; i < m->parameters; i++)
        if (m->parameter[i].tensor.grad)
            scaled += scaled_squares(m->parameter[i].tensor.grad, scale);
    return sqrt(scaled) * scale;
}

double module_gradient_bound(const struct module *m, const struct tape *t)
{
    double sum = 0;
    for (int i = 0; i < m->parameters; i++) {
        const struct tensor *p = &m->parameter[i].tensor;
        const struct owed *w = tape_owed(t, p);
        if (w)
            sum += tape_owed_squares(t, w);
        else if (p->grad)
            sum += t->kernels->sum_squares(m->dtype, tensor_data(p->grad), (size_t)tensor_count(p));
    }
    return sqrt(sum);
}

bool module_gradients_are_finite(const struct module *m, const struct kernels *k)
{
    for (int i = 0; i < m->parameters; i++) {
        const struct tensor *g = m->parameter[i].tensor.grad;
        if (g && !isfinite(k->largest(m->dtype, tensor_data(g), (size_t)tensor_count(g))))
            return false;
    }
    return true;
}

uint64_t module_part_digest(const struct module *m, int i, const void *block,
                            const struct kernels *k)
{
    const struct tensor *p = &m->parameter[i].tensor;
    size_t bytes = dtype_bytes(m->dtype), words = bytes / sizeof(uint32_t);
    size_t at = (size_t)p->offset;
    return k->digest(at * words, (const char *)block + at * bytes, (size_t)tensor_count(p) * words);
}

uint64_t module_gradient_digest(const struct module *m, const struct kernels *k)
{
    uint64_t sum = 0;
    for (int i = 0; i < m->parameters; i++)
        if (m->parameter[i].tensor.grad)
            sum += module_part_digest(m, i, m->gradients.data, k) + digest_mark((size_t)i);
    return sum;
}
