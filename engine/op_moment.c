/* engine/op_moment.c - variances, norms and logsumexp: reductions of more than a sum. */
#include "engine/groups.h"
#include "engine/op_reduce.h"
#include "engine/vmath_log.h"

/* What turns the gradient of a variance into those of its elements: dx = scale g (x - mean), or,
 * where there is nothing to divide by, plainly dx = inf g, as in PyTorch. */
struct spread {
    double scale;
    bool infinite;
};

static unsigned dims_of(const struct op_args *a, const struct tensor *x)
{
    return reduced_dims(a, x->shape.rank);
}

static int64_t group_size(const struct groups *g)
{
    return g->runs * g->n;
}

#define REAL float
#include "engine/op_moment.inc"
#define REAL double
#include "engine/op_moment.inc"

static enum err_kind infer_dims(const struct op_call *c, struct tensor *out, struct err *e)
{
    const struct tensor *x = c->in[0];
    out->shape = shape_reduced(&x->shape, dims_of(&c->args, x), c->args.keepdim);
    return ISA_FN(check_dims)(c->args.dims, x->shape.rank, e);
}

/* ---- var, std ------------------------------------------------------------------------------ */

static enum err_kind infer_moment(const struct op_call *c, struct tensor *out, struct err *e)
{
    if (!dtype_is_float(c->in[0]->dtype))
        return err_set(e, ERR_INVALID, "",
                       "std and var only support floating point and complex dtypes");
    return infer_dims(c, out, e);
}

static struct spread spread_of(const struct op_call *c, const struct groups *g)
{
    double left = (double)group_size(g) - c->args.correction;
    bool whole = c->args.dims == 0 || c->in[0]->shape.rank == 0;
    return (struct spread){.scale = 2 / left, .infinite = whole && left == 0};
}

enum err_kind ISA_FN(var_infer)(const struct op_call *c, struct tensor *out, struct err *e)
{
    return infer_moment(c, out, e);
}

void ISA_FN(var_forward)(const struct op_call *c)
{
    struct groups g = groups_of(&c->in[0]->shape, dims_of(&c->args, c->in[0]));
    BY_TYPE(c->out->dtype, variances, c, &g, false);
}

void ISA_FN(var_backward)(const struct op_call *c)
{
    struct groups g = groups_of(&c->in[0]->shape, dims_of(&c->args, c->in[0]));
    struct spread s = spread_of(c, &g);
    BY_TYPE(c->grad_out->dtype, spread_variances, c, &g, &s);
}

enum err_kind ISA_FN(std_infer)(const struct op_call *c, struct tensor *out, struct err *e)
{
    return infer_moment(c, out, e);
}

void ISA_FN(std_forward)(const struct op_call *c)
{
    struct groups g = groups_of(&c->in[0]->shape, dims_of(&c->args, c->in[0]));
    BY_TYPE(c->out->dtype, variances, c, &g, true);
}

void ISA_FN(std_backward)(const struct op_call *c)
{
    struct groups g = groups_of(&c->in[0]->shape, dims_of(&c->args, c->in[0]));
    struct spread s = spread_of(c, &g);
    BY_TYPE(c->grad_out->dtype, spread_variances, c, &g, &s);
}

/* ---- norms --------------------------------------------------------------------------------- */

enum err_kind ISA_FN(norm_infer)(const struct op_call *c, struct tensor *out, struct err *e)
{
    if (!dtype_is_float(c->in[0]->dtype))
        return err_set(e, ERR_INVALID, "",
                       "norm(): input dtype should be either floating point or complex. Got %s "
                       "instead.",
                       dtype_type_name(c->in[0]->dtype));
    return infer_dims(c, out, e);
}

void ISA_FN(norm_forward)(const struct op_call *c)
{
    struct groups g = groups_of(&c->in[0]->shape, dims_of(&c->args, c->in[0]));
    BY_TYPE(c->out->dtype, norms, c, &g);
}

void ISA_FN(norm_backward)(const struct op_call *c)
{
    struct groups g = groups_of(&c->in[0]->shape, dims_of(&c->args, c->in[0]));
    BY_TYPE(c->grad_out->dtype, spread_norms, c, &g);
}

/* Of nothing there is no largest element and no negative power. */
static enum err_kind check_identity(const struct op_call *c, struct err *e)
{
    const struct shape *s = &c->in[0]->shape;
    double p = c->args.alpha;
    if (tensor_count(c->in[0]) != 0 || (p >= 0 && !isinf(p)))
        return ERR_OK;
    if (c->args.dims == 0)
        return err_set(e, ERR_INVALID, "",
                       "linalg.vector_norm cannot compute the %g norm on an empty tensor because "
                       "the operation does not have an identity",
                       p);
    for (int d = 0; d < s->rank; d++)
        if (c->args.dims >> d & 1 && s->dim[d] == 0)
            return err_set(e, ERR_INVALID, "",
                           "linalg.vector_norm cannot compute the %g norm on the dimension %d"
                           "because this dimension is empty and the operation does not have an "
                           "identity",
                           p, d);
    return ERR_OK;
}

enum err_kind ISA_FN(vector_norm_infer)(const struct op_call *c, struct tensor *out, struct err *e)
{
    if (!dtype_is_float(c->given[0]->dtype))
        return err_set(e, ERR_INVALID, "",
                       "linalg.vector_norm: Expected a floating point or complex tensor as input. "
                       "Got %s",
                       dtype_type_name(c->given[0]->dtype));
    if (!dtype_is_float(c->in[0]->dtype))
        return err_set(e, ERR_INVALID, "",
                       "linalg.vector_norm: dtype should be floating point or complex, but got %s",
                       dtype_type_name(c->in[0]->dtype));
    enum err_kind rc = infer_dims(c, out, e);
    return rc ? rc : check_identity(c, e);
}

void ISA_FN(vector_norm_forward)(const struct op_call *c)
{
    ISA_FN(norm_forward)(c);
}

void ISA_FN(vector_norm_backward)(const struct op_call *c)
{
    ISA_FN(norm_backward)(c);
}

/* ---- logsumexp ----------------------------------------------------------------------------- */

enum err_kind ISA_FN(logsumexp_infer)(const struct op_call *c, struct tensor *out, struct err *e)
{
    return infer_dims(c, out, e);
}

void ISA_FN(logsumexp_forward)(const struct op_call *c)
{
    struct groups g = groups_of(&c->in[0]->shape, dims_of(&c->args, c->in[0]));
    BY_TYPE(c->out->dtype, logsumexps, c, &g);
}

void ISA_FN(logsumexp_backward)(const struct op_call *c)
{
    struct groups g = groups_of(&c->in[0]->shape, dims_of(&c->args, c->in[0]));
    BY_TYPE(c->grad_out->dtype, spread_logsumexps, c, &g);
}
