/* engine/layers.c - the layers: a row each, with the functions that it needs.
 *
 * Source: torch/nn/modules/linear.py, activation.py, flatten.py; torch/nn/functional.py. */
#include <string.h>

#include "engine/module.h"

/* ---- linear: y = x Wᵀ + b ------------------------------------------------------------------ */

enum { LINEAR_IN, LINEAR_OUT, LINEAR_BIAS };

static int linear_parameters(const struct layer *l, struct shape shape[2], const char *name[2])
{
    int64_t in = (int64_t)l->value[LINEAR_IN], out = (int64_t)l->value[LINEAR_OUT];
    name[0] = "weight";
    shape[0] = (struct shape){.rank = 2, .dim = {out, in}};
    name[1] = "bias";
    shape[1] = (struct shape){.rank = 1, .dim = {out}};
    return l->value[LINEAR_BIAS] != 0 ? 2 : 1;
}

static enum err_kind linear_shape(const struct layer *l, const struct shape *x, struct shape *y,
                                  struct err *e)
{
    int64_t in = (int64_t)l->value[LINEAR_IN], out = (int64_t)l->value[LINEAR_OUT];
    int last = x->rank - 1;
    if (x->rank < 2)
        return err_set(e, ERR_INVALID, "",
                       "linear needs inputs of shape (rows, …, %lld), got one dimension",
                       (long long)in);
    if (x->dim[last] != in) {
        struct shape flat = {.rank = 2, .dim = {0, x->dim[last]}};
        flat.dim[0] = x->dim[last] ? shape_count(x) / x->dim[last] : 0;
        char text[SHAPE_TEXT_BYTES];
        return err_set(e, ERR_INVALID, "",
                       "mat1 and mat2 shapes cannot be multiplied (%s and %lldx%lld)",
                       shape_text_x(&flat, text, sizeof text), (long long)in, (long long)out);
    }
    int64_t dim[RANK_MAX];
    memcpy(dim, x->dim, sizeof dim);
    dim[last] = out;
    return shape_make(dim, x->rank, y, e);
}

/* Inputs of more than two dimensions are seen as a matrix of rows. */
static enum err_kind as_rows(struct tape *t, struct tensor *x, struct tensor **y, struct err *e)
{
    int64_t features = x->shape.dim[x->shape.rank - 1], rows = 1;
    for (int d = 0; d < x->shape.rank - 1; d++)
        rows *= x->shape.dim[d];
    struct op_args args = {.shape = {.rank = 2, .dim = {rows, features}}};
    return op_apply(t, OP_VIEW, &args, (struct tensor *[]){x}, y, e);
}

static enum err_kind linear(const struct layer *l, struct parameter *p, struct tape *t,
                            struct tensor *x, bool relu, struct tensor **y, struct err *e)
{
    struct op_args back = {.dim = 0};
    struct tensor *rows = x, *weight;
    enum err_kind rc = linear_shape(l, &x->shape, &back.shape, e);
    if (!rc && x->shape.rank != 2)
        rc = as_rows(t, x, &rows, e);
    if (!rc)
        rc = op_apply(t, OP_T, NULL, (struct tensor *[]){&p[0].tensor}, &weight, e);
    if (rc)
        return rc;
    bool bias = l->value[LINEAR_BIAS] != 0;
    struct tensor *biased[] = {&p[1].tensor, rows, weight}, **in = bias ? biased : biased + 1;
    enum op_id product = bias ? OP_ADDMM : OP_MM;
    if (relu && rows == x)
        return op_apply_relu(t, product, in, y, e);
    rc = op_apply(t, product, NULL, in, y, e);
    if (!rc && rows != x)
        rc = op_apply(t, OP_VIEW, &back, (struct tensor *[]){*y}, y, e);
    if (!rc && relu)
        rc = op_apply(t, OP_RELU, NULL, (struct tensor *[]){*y}, y, e);
    return rc;
}

static enum err_kind linear_forward(const struct layer *l, struct parameter *p, struct tape *t,
                                    struct tensor *x, struct tensor **y, struct err *e)
{
    return linear(l, p, t, x, false, y, e);
}

/* ---- activations: same shape, no parameters ------------------------------------------------ */

static int no_parameters(const struct layer *l, struct shape shape[2], const char *name[2])
{
    (void)l, (void)shape, (void)name;
    return 0;
}

static enum err_kind same_shape(const struct layer *l, const struct shape *x, struct shape *y,
                                struct err *e)
{
    (void)l, (void)e;
    *y = *x;
    return ERR_OK;
}

#define ELEMENTWISE(fn, op, ...)                                                                   \
    static enum err_kind fn(const struct layer *l, struct parameter *p, struct tape *t,            \
                            struct tensor *x, struct tensor **y, struct err *e)                    \
    {                                                                                              \
        struct op_args args = {__VA_ARGS__};                                                       \
        (void)l, (void)p;                                                                          \
        return op_apply(t, op, &args, (struct tensor *[]){x}, y, e);                               \
    }
ELEMENTWISE(relu_forward, OP_RELU, 0)
ELEMENTWISE(leaky_relu_forward, OP_LEAKY_RELU, .alpha = l->value[0])
ELEMENTWISE(sigmoid_forward, OP_SIGMOID, 0)
ELEMENTWISE(tanh_forward, OP_TANH, 0)
ELEMENTWISE(gelu_forward, OP_GELU, .tanh = l->value[0] != 0)
ELEMENTWISE(silu_forward, OP_SILU, 0)

static enum err_kind identity_forward(const struct layer *l, struct parameter *p, struct tape *t,
                                      struct tensor *x, struct tensor **y, struct err *e)
{
    (void)l, (void)p, (void)t, (void)e;
    *y = x;
    return ERR_OK;
}

/* ---- softmax: along a dimension, which PyTorch guesses when it is not given ---------------- */

static int softmax_dim(const struct layer *l, int rank)
{
    if (isnan(l->value[0]))
        return rank == 0 || rank == 1 || rank == 3 ? 0 : 1;
    return (int)l->value[0];
}

static enum err_kind softmax_shape(const struct layer *l, const struct shape *x, struct shape *y,
                                   struct err *e)
{
    int dim = softmax_dim(l, x->rank);
    if (dim < -x->rank || dim >= x->rank)
        return err_set(e, ERR_INVALID, "",
                       "Dimension out of range (expected to be in range of [%d, %d], but got %d)",
                       -x->rank, x->rank - 1, dim);
    *y = *x;
    return ERR_OK;
}

ELEMENTWISE(softmax_forward, OP_SOFTMAX, .dim = softmax_dim(l, x->shape.rank))
ELEMENTWISE(log_softmax_forward, OP_LOG_SOFTMAX, .dim = softmax_dim(l, x->shape.rank))

/* ---- flatten ------------------------------------------------------------------------------- */

enum { FLATTEN_START, FLATTEN_END };

static enum err_kind flatten_shape(const struct layer *l, const struct shape *x, struct shape *y,
                                   struct err *e)
{
    int start = (int)l->value[FLATTEN_START], end = (int)l->value[FLATTEN_END];
    for (int i = 0; i < 2; i++) {
        int dim = (int)l->value[i];
        if (dim < -x->rank || dim >= x->rank)
            return err_set(
                e, ERR_INVALID, "",
                "Dimension out of range (expected to be in range of [%d, %d], but got %d)",
                -x->rank, x->rank - 1, dim);
    }
    start += start < 0 ? x->rank : 0;
    end += end < 0 ? x->rank : 0;
    if (start > end)
        return err_set(e, ERR_INVALID, "",
                       "flatten() has invalid args: start_dim cannot come after end_dim");
    struct shape out = {.rank = 0};
    for (int d = 0; d < x->rank; d++) {
        if (d > start && d <= end)
            out.dim[out.rank - 1] *= x->dim[d];
        else
            out.dim[out.rank++] = x->dim[d];
    }
    *y = out;
    return ERR_OK;
}

static enum err_kind flatten_forward(const struct layer *l, struct parameter *p, struct tape *t,
                                     struct tensor *x, struct tensor **y, struct err *e)
{
    (void)p;
    struct op_args args = {.dim = 0};
    enum err_kind rc = flatten_shape(l, &x->shape, &args.shape, e);
    *y = x;
    if (rc || args.shape.rank == x->shape.rank)
        return rc;
    return op_apply(t, OP_VIEW, &args, (struct tensor *[]){x}, y, e);
}

/* ---- the table ----------------------------------------------------------------------------- */

static const char *const gelu_forms[] = {"none", "tanh", NULL};

#define FEATURES(which)                                                                            \
    {                                                                                              \
        .name = which, .kind = OPTION_INTEGER, .required = true, .min = 1, .max = OPTION_INT_MAX   \
    }
#define DIM(which, value)                                                                          \
    {                                                                                              \
        .name = which, .kind = OPTION_INTEGER, .fallback = value, .min = -RANK_MAX,                \
        .max = RANK_MAX - 1                                                                        \
    }

const struct layer_type layer_types[] = {
    {{"linear",
      {FEATURES("in_features"),
       FEATURES("out_features"),
       {.name = "bias", .kind = OPTION_BOOL, .fallback = 1}}},
     linear_parameters,
     linear_shape,
     linear_forward},
    {{"relu", {{0}}}, no_parameters, same_shape, relu_forward},
    {{"leaky_relu",
      {{.name = "negative_slope",
        .kind = OPTION_NUMBER,
        .fallback = 0.01,
        .min = -INFINITY,
        .max = INFINITY}}},
     no_parameters,
     same_shape,
     leaky_relu_forward},
    {{"sigmoid", {{0}}}, no_parameters, same_shape, sigmoid_forward},
    {{"tanh", {{0}}}, no_parameters, same_shape, tanh_forward},
    {{"gelu", {{.name = "approximate", .kind = OPTION_CHOICE, .choices = gelu_forms}}},
     no_parameters,
     same_shape,
     gelu_forward},
    {{"silu", {{0}}}, no_parameters, same_shape, silu_forward},
    {{"softmax", {DIM("dim", NAN)}}, no_parameters, softmax_shape, softmax_forward},
    {{"log_softmax", {DIM("dim", NAN)}}, no_parameters, softmax_shape, log_softmax_forward},
    {{"flatten", {DIM("start_dim", 1), DIM("end_dim", -1)}},
     no_parameters,
     flatten_shape,
     flatten_forward},
    {{"identity", {{0}}}, no_parameters, same_shape, identity_forward},
    {.options = {.type = NULL}},
};

const struct layer_type *layer_find(const char *type)
{
    for (const struct layer_type *l = layer_types; l->options.type; l++)
        if (!strcmp(l->options.type, type))
            return l;
    return NULL;
}

bool layer_ends_in_relu(const struct layer *l, int layers)
{
    return layers > 1 && l[0].type->forward == linear_forward && l[1].type->forward == relu_forward;
}

enum err_kind layer_forward_relu(const struct layer *l, struct parameter *p, struct tape *t,
                                 struct tensor *x, struct tensor **y, struct err *e)
{
    return linear(l, p, t, x, true, y, e);
}
