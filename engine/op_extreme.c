/* engine/op_extreme.c - the largest and smallest elements, and where they are. NaN is over all. */
#include <string.h>

#include "engine/groups.h"
#include "engine/op_reduce.h"

#define REAL float
#include "engine/op_extreme.inc"
#define REAL double
#include "engine/op_extreme.inc"
#define REAL int64_t
#include "engine/op_extreme.inc"
#define REAL bool
#include "engine/op_extreme.inc"

/* ---- max, min, amax, amin: ties share the gradient ------------------------------------------- */

/* There is no largest of no elements, unless no result asks for one. */
static enum err_kind check_dims_hold(const struct op_call *c, unsigned dims, struct err *e)
{
    const struct shape *s = &c->in[0]->shape;
    for (int d = 0; d < s->rank; d++)
        if (dims >> d & 1 && s->dim[d] == 0)
            return err_set(e, ERR_INVALID, "",
                           "%.*s(): Expected reduction dim %d to have non-zero size.",
                           (int)strcspn(c->op->name, "_"), c->op->name, d);
    return ERR_OK;
}

static enum err_kind check_holds(const struct op_call *c, struct err *e)
{
    if (tensor_count(c->in[0]) != 0)
        return ERR_OK;
    return err_set(e, ERR_INVALID, "",
                   "%s(): Expected reduction dim to be specified for input.numel() == 0. Specify "
                   "the reduction dim with the 'dim' argument.",
                   c->op->name);
}

static enum err_kind infer_all(const struct op_call *c, struct tensor *out, struct err *e)
{
    out->shape.rank = 0;
    return check_holds(c, e);
}

static enum err_kind infer_dims(const struct op_call *c, struct tensor *out, struct err *e)
{
    const struct shape *s = &c->in[0]->shape;
    unsigned dims = reduced_dims(&c->args, s->rank);
    out->shape = shape_reduced(s, dims, c->args.keepdim);
    enum err_kind rc = ISA_FN(check_dims)(c->args.dims, s->rank, e);
    if (!rc)
        rc = c->args.dims ? check_dims_hold(c, dims, e) : check_holds(c, e);
    return rc;
}

static void extremes(const struct op_call *c, unsigned dims, bool least)
{
    struct groups g = groups_of(&c->in[0]->shape, dims);
    BY_ANY(c->in[0]->dtype, extremes, c, &g, least);
}

/* nan_ties: NaN is a tie with NaN; else no element of a group of NaN has a derivative. */
static void share_among_ties(const struct op_call *c, unsigned dims, bool nan_ties)
{
    struct groups g = groups_of(&c->in[0]->shape, dims);
    BY_TYPE(c->grad_out->dtype, share_among_ties, c, &g, nan_ties);
}

enum err_kind ISA_FN(max_infer)(const struct op_call *c, struct tensor *out, struct err *e)
{
    return infer_all(c, out, e);
}

void ISA_FN(max_forward)(const struct op_call *c)
{
    extremes(c, ~0u, false);
}

void ISA_FN(max_backward)(const struct op_call *c)
{
    share_among_ties(c, ~0u, true);
}

enum err_kind ISA_FN(min_infer)(const struct op_call *c, struct tensor *out, struct err *e)
{
    return infer_all(c, out, e);
}

void ISA_FN(min_forward)(const struct op_call *c)
{
    extremes(c, ~0u, true);
}

void ISA_FN(min_backward)(const struct op_call *c)
{
    share_among_ties(c, ~0u, true);
}

enum err_kind ISA_FN(amax_infer)(const struct op_call *c, struct tensor *out, struct err *e)
{
    return infer_dims(c, out, e);
}

void ISA_FN(amax_forward)(const struct op_call *c)
{
    extremes(c, reduced_dims(&c->args, c->in[0]->shape.rank), false);
}

void ISA_FN(amax_backward)(const struct op_call *c)
{
    share_among_ties(c, reduced_dims(&c->args, c->in[0]->shape.rank), false);
}

enum err_kind ISA_FN(amin_infer)(const struct op_call *c, struct tensor *out, struct err *e)
{
    return infer_dims(c, out, e);
}

void ISA_FN(amin_forward)(const struct op_call *c)
{
    extremes(c, reduced_dims(&c->args, c->in[0]->shape.rank), true);
}

void ISA_FN(amin_backward)(const struct op_call *c)
{
    share_among_ties(c, reduced_dims(&c->args, c->in[0]->shape.rank), false);
}

/* ---- max, min along a dimension, with indices: the first one has the gradient ---------------- */

static enum err_kind infer_dim(const struct op_call *c, struct tensor *out, struct err *e)
{
    const struct shape *s = &c->in[0]->shape;
    enum err_kind rc = ISA_FN(check_dim)(c->args.dim, s->rank, e);
    if (!rc)
        rc = check_dims_hold(c, 1u << c->args.dim, e);
    if (rc)
        return rc;
    out->shape = shape_reduced(s, 1u << c->args.dim, c->args.keepdim);
    return ERR_OK;
}

static enum err_kind infer_indexed(const struct op_call *c, struct tensor *out, struct err *e)
{
    enum err_kind rc = infer_dim(c, out, e);
    c->aux->shape = out->shape;
    c->aux->dtype = DTYPE_INT64;
    return rc;
}

/* Where the first extreme of each group is, counted within it; its value to y, if not NULL. */
static void find(const struct op_call *c, unsigned dims, bool least, struct tensor *y,
                 struct tensor *index)
{
    struct groups g = groups_of(&c->in[0]->shape, dims);
    int64_t *at = tensor_data(index);
    BY_ANY(c->in[0]->dtype, find, tensor_data(c->in[0]), &g, least, y ? tensor_data(y) : NULL, at);
}

enum err_kind ISA_FN(max_dim_infer)(const struct op_call *c, struct tensor *out, struct err *e)
{
    return infer_indexed(c, out, e);
}

void ISA_FN(max_dim_forward)(const struct op_call *c)
{
    find(c, 1u << c->args.dim, false, c->out, c->aux);
}

static void to_index(const struct op_call *c)
{
    struct groups g = groups_of(&c->grad_in[0]->shape, 1u << c->args.dim);
    BY_TYPE(c->grad_out->dtype, to_index, c, &g);
}

void ISA_FN(max_dim_backward)(const struct op_call *c)
{
    to_index(c);
}

enum err_kind ISA_FN(min_dim_infer)(const struct op_call *c, struct tensor *out, struct err *e)
{
    return infer_indexed(c, out, e);
}

void ISA_FN(min_dim_forward)(const struct op_call *c)
{
    find(c, 1u << c->args.dim, true, c->out, c->aux);
}

void ISA_FN(min_dim_backward)(const struct op_call *c)
{
    to_index(c);
}

/* ---- argmax, argmin ------------------------------------------------------------------------ */

static unsigned arg_dims(const struct op_args *a)
{
    return a->flat ? ~0u : 1u << a->dim;
}

static enum err_kind infer_arg(const struct op_call *c, struct tensor *out, struct err *e)
{
    const struct tensor *x = c->in[0];
    out->dtype = DTYPE_INT64;
    if (x->dtype == DTYPE_BOOL)
        return err_set(e, ERR_INVALID, "", "\"%s_cpu\" not implemented for 'Bool'", c->op->name);
    if (!c->args.flat)
        return infer_dim(c, out, e);
    out->shape = shape_reduced(&x->shape, ~0u, c->args.keepdim);
    if (tensor_count(x) == 0)
        return err_set(e, ERR_INVALID, "",
                       "%s(): Expected reduction dim to be specified for input.numel() == 0.",
                       c->op->name);
    return ERR_OK;
}

enum err_kind ISA_FN(argmax_infer)(const struct op_call *c, struct tensor *out, struct err *e)
{
    return infer_arg(c, out, e);
}

void ISA_FN(argmax_forward)(const struct op_call *c)
{
    find(c, arg_dims(&c->args), false, NULL, c->out);
}

enum err_kind ISA_FN(argmin_infer)(const struct op_call *c, struct tensor *out, struct err *e)
{
    return infer_arg(c, out, e);
}

void ISA_FN(argmin_forward)(const struct op_call *c)
{
    find(c, arg_dims(&c->args), true, NULL, c->out);
}
