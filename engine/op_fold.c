/* engine/op_fold.c - products, running sums and products, and whether all or any are true. */
#include "engine/groups.h"
#include "engine/op_reduce.h"

#define REAL float
#include "engine/op_fold.inc"
#define REAL double
#include "engine/op_fold.inc"
#define REAL int64_t
#include "engine/op_fold.inc"
#define REAL bool
#include "engine/op_fold.inc"

static enum err_kind infer_dim(const struct op_call *c, struct tensor *out, struct err *e)
{
    out->shape = shape_reduced(&c->in[0]->shape, 1u << c->args.dim, c->args.keepdim);
    return ISA_FN(check_dim)(c->args.dim, c->in[0]->shape.rank, e);
}

/* ---- prod ---------------------------------------------------------------------------------- */

/* One that is asked for as bool says whether all are true. */
static void set_prod_type(const struct op_call *c, struct tensor *out)
{
    if (c->args.has_dtype && c->args.dtype == DTYPE_BOOL)
        out->dtype = DTYPE_BOOL;
}

static void products(const struct op_call *c, unsigned dims)
{
    struct groups g = groups_of(&c->in[0]->shape, dims);
    if (c->out->dtype == DTYPE_BOOL)
        truths_i64(c, &g, false);
    else
        BY_NUMBER(c->out->dtype, products, c, &g);
}

static void products_slope(const struct op_call *c, unsigned dims)
{
    struct groups g = groups_of(&c->in[0]->shape, dims);
    BY_TYPE(c->grad_out->dtype, products_slope, c, &g);
}

enum err_kind ISA_FN(prod_infer)(const struct op_call *c, struct tensor *out, struct err *e)
{
    (void)e;
    set_prod_type(c, out);
    out->shape.rank = 0;
    return ERR_OK;
}

void ISA_FN(prod_forward)(const struct op_call *c)
{
    products(c, ~0u);
}

void ISA_FN(prod_backward)(const struct op_call *c)
{
    products_slope(c, ~0u);
}

enum err_kind ISA_FN(prod_dim_infer)(const struct op_call *c, struct tensor *out, struct err *e)
{
    set_prod_type(c, out);
    return infer_dim(c, out, e);
}

void ISA_FN(prod_dim_forward)(const struct op_call *c)
{
    products(c, 1u << c->args.dim);
}

void ISA_FN(prod_dim_backward)(const struct op_call *c)
{
    products_slope(c, 1u << c->args.dim);
}

/* ---- cumsum -------------------------------------------------------------------------------- */

enum err_kind ISA_FN(cumsum_infer)(const struct op_call *c, struct tensor *out, struct err *e)
{
    if (c->args.has_dtype && c->args.dtype == DTYPE_BOOL)
        return err_set(e, ERR_INVALID, "", "\"cumsum_out_cpu\" not implemented for 'Bool'");
    out->shape = c->in[0]->shape;
    return ISA_FN(check_dim)(c->args.dim, c->in[0]->shape.rank, e);
}

void ISA_FN(cumsum_forward)(const struct op_call *c)
{
    struct groups g = groups_of(&c->out->shape, 1u << c->args.dim);
    BY_NUMBER(c->out->dtype, running_sums, c->in[0], c->out, &g, false);
}

void ISA_FN(cumsum_backward)(const struct op_call *c)
{
    struct groups g = groups_of(&c->grad_out->shape, 1u << c->args.dim);
    BY_NUMBER(c->grad_out->dtype, running_sums, c->grad_out, c->grad_in[0], &g, true);
}

/* ---- cumprod ------------------------------------------------------------------------------- */

enum err_kind ISA_FN(cumprod_infer)(const struct op_call *c, struct tensor *out, struct err *e)
{
    if (c->args.has_dtype && c->args.dtype == DTYPE_BOOL)
        return err_set(e, ERR_INVALID, "", "\"cumprod_out_cpu\" not implemented for 'Bool'");
    out->shape = c->in[0]->shape;
    return ISA_FN(check_dim)(c->args.dim, c->in[0]->shape.rank, e);
}

void ISA_FN(cumprod_forward)(const struct op_call *c)
{
    struct groups g = groups_of(&c->out->shape, 1u << c->args.dim);
    BY_NUMBER(c->out->dtype, running_products, c, &g);
}

void ISA_FN(cumprod_backward)(const struct op_call *c)
{
    struct groups g = groups_of(&c->grad_out->shape, 1u << c->args.dim);
    BY_TYPE(c->grad_out->dtype, running_products_slope, c, &g);
}

/* ---- all, any ------------------------------------------------------------------------------ */

static enum err_kind infer_truth(const struct op_call *c, struct tensor *out, struct err *e)
{
    out->dtype = DTYPE_BOOL;
    if (!c->args.flat)
        return infer_dim(c, out, e);
    out->shape = shape_reduced(&c->in[0]->shape, ~0u, c->args.keepdim);
    return ERR_OK;
}

static void truths(const struct op_call *c, bool any)
{
    struct groups g = groups_of(&c->in[0]->shape, c->args.flat ? ~0u : 1u << c->args.dim);
    BY_ANY(c->in[0]->dtype, truths, c, &g, any);
}

enum err_kind ISA_FN(all_infer)(const struct op_call *c, struct tensor *out, struct err *e)
{
    return infer_truth(c, out, e);
}

void ISA_FN(all_forward)(const struct op_call *c)
{
    truths(c, false);
}

enum err_kind ISA_FN(any_infer)(const struct op_call *c, struct tensor *out, struct err *e)
{
    return infer_truth(c, out, e);
}

void ISA_FN(any_forward)(const struct op_call *c)
{
    truths(c, true);
}
