/* engine/call_norm.c - the norms, each made of what PyTorch makes it of.
 *
 * Source: PyTorch 1.13, torch/functional.py (norm), ATen/native/LinearAlgebra.cpp (frobenius_norm),
 * BatchLinearAlgebra's linalg_norm and linalg_matrix_norm.
 */
#include <string.h>

#include "engine/call_parts.h"

static bool is_given(const struct value *x)
{
    return x->kind != VALUE_NONE;
}

static bool is_text(const struct value *x, const char *text)
{
    return x->kind == VALUE_STRING && !strcmp(x->text, text);
}

/* The operation id with the order p, along the dimensions that the arguments name. */
static enum err_kind apply_order(struct args *a, enum op_id id, double p, struct value *out,
                                 struct err *e)
{
    struct tensor *x = a->value[0].tensor, *y = NULL;
    struct op_args args;
    enum err_kind rc = arguments_to_op(a, x, &args, e);
    args.alpha = p;
    if (!rc)
        rc = apply_one(a->in, id, &args, x, &y, e);
    return rc ? rc : give(y, out);
}

/* Over two dimensions: the root of the sum of squares. */
static enum err_kind root_of_squares(struct args *a, struct value *out, struct err *e)
{
    struct tensor *x = a->value[0].tensor, *y = NULL;
    struct op_args args;
    if (!dtype_is_float(x->dtype))
        return err_set(e, ERR_INVALID, "",
                       "norm(): input dtype should be either floating point or complex. Got %s "
                       "instead.",
                       dtype_type_name(x->dtype));
    enum err_kind rc = arguments_to_op(a, x, &args, e);
    if (!rc)
        rc = apply_two(a->in, OP_MUL, NULL, x, x, &y, e);
    if (!rc)
        rc = apply_one(a->in, OP_SUM_DIM, &args, y, &y, e);
    if (!rc)
        rc = apply_one(a->in, OP_SQRT, NULL, y, &y, e);
    return rc ? rc : give(y, out);
}

static enum err_kind frobenius(struct args *a, struct value *out, struct err *e)
{
    const struct value *dim = argument(a, "dim");
    if (is_given(argument(a, "dtype")))
        return err_set(e, ERR_INVALID, "", "dtype argument is not supported in frobenius norm");
    if (!is_given(dim) || dim->count < 2)
        return apply_order(a, OP_NORM, 2, out, e);
    if (dim->count > 2)
        return err_set(e, ERR_INVALID, "",
                       "Expected at most 2 dimensions, but got %zu dimensions instead.",
                       dim->count);
    if (dim->item[0].integer == dim->item[1].integer)
        return err_set(e, ERR_INVALID, "",
                       "Expected dims to be different, got [%lld, %lld] instead",
                       (long long)dim->item[0].integer, (long long)dim->item[1].integer);
    return root_of_squares(a, out, e);
}

static enum err_kind no_nuclear_norm(struct err *e)
{
    return err_set(e, ERR_INVALID, "", "the nuclear norm (p='nuc') is not supported");
}

/* torch.norm(x, p); None is 2. */
enum err_kind call_norm(struct args *a, struct value *out, struct err *e)
{
    const struct value *p = argument(a, "p");
    enum op_id id = is_given(argument(a, "dtype")) ? OP_NORM_DTYPE : OP_NORM;
    if (is_text(p, "fro"))
        return frobenius(a, out, e);
    if (is_text(p, "nuc"))
        return no_nuclear_norm(e);
    if (p->kind == VALUE_STRING)
        return err_set(e, ERR_INVALID, "",
                       "only valid string values are 'fro' and 'nuc', found %.60s", p->text);
    if (is_given(p) && !value_is_number(p))
        return err_set(e, ERR_INVALID, "", "norm(): p must be a number, not %s",
                       value_type_name(p));
    return apply_order(a, id, is_given(p) ? number_of(p) : 2, out, e);
}

enum err_kind call_vector_norm(struct args *a, struct value *out, struct err *e)
{
    return apply_order(a, OP_VECTOR_NORM, number_of(argument(a, "ord")), out, e);
}

/* Of a matrix: 'fro' is the norm of its elements as one vector; the others are not here. */
static enum err_kind matrix_norm(struct args *a, const struct value *ord, struct value *out,
                                 struct err *e)
{
    const struct value *dim = argument(a, "dim");
    bool fro = is_text(ord, "fro"), nuc = is_text(ord, "nuc");
    if (a->value[0].tensor->shape.rank < 2)
        return err_set(e, ERR_INVALID, "",
                       "linalg.matrix_norm: The input tensor A must have at least 2 dimensions.");
    if (is_given(dim) && dim->count != 2)
        return err_set(e, ERR_INVALID, "", "linalg.matrix_norm: dim must be a 2-tuple. Got %zu",
                       dim->count);
    if (ord->kind == VALUE_STRING && !fro && !nuc)
        return err_set(e, ERR_INVALID, "", "linalg.matrix_norm: Order %.60s not supported.",
                       ord->text);
    if (nuc)
        return no_nuclear_norm(e);
    if (!fro)
        return err_set(e, ERR_INVALID, "", "linalg.norm: of a matrix, only ord='fro' is supported");
    return apply_order(a, OP_VECTOR_NORM, 2, out, e);
}

enum err_kind call_linalg_norm(struct args *a, struct value *out, struct err *e)
{
    const struct value *ord = argument(a, "ord"), *dim = argument(a, "dim");
    int rank = a->value[0].tensor->shape.rank;
    if (!is_given(ord))
        return apply_order(a, OP_VECTOR_NORM, 2, out, e);
    if (!is_given(dim) && rank != 1 && rank != 2)
        return err_set(e, ERR_INVALID, "",
                       "linalg.norm: If dim is not specified but ord is, the input must be 1D or "
                       "2D. Got %dD.",
                       rank);
    if (is_given(dim) && dim->count != 1 && dim->count != 2)
        return err_set(e, ERR_INVALID, "",
                       "linalg.norm: If dim is specified, it must be of length 1 or 2. Got [%zu "
                       "dimensions]",
                       dim->count);
    if (!value_is_number(ord) && ord->kind != VALUE_STRING)
        return err_set(e, ERR_INVALID, "", "linalg.norm: ord must be a number or a name, not %s",
                       value_type_name(ord));
    if (value_is_number(ord) && (is_given(dim) ? dim->count : (size_t)rank) == 1)
        return apply_order(a, OP_VECTOR_NORM, number_of(ord), out, e);
    return matrix_norm(a, ord, out, e);
}
