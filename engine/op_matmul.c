/* engine/op_matmul.c - matrix products as operations. */
#include "engine/op_reduce.h"

static enum err_kind infer_product(const struct tensor *a, const struct tensor *b,
                                   struct tensor *out, struct err *e)
{
    if (a->shape.rank != 2 || b->shape.rank != 2)
        return err_set(e, ERR_INVALID, "", "%s must be a matrix",
                       a->shape.rank != 2 ? "self" : "mat2");
    if (a->dtype != b->dtype || !dtype_is_float(a->dtype))
        return err_set(e, ERR_INVALID, "",
                       "expected m1 and m2 to have the same floating point dtype, but got: "
                       "%s != %s",
                       dtype_name(a->dtype), dtype_name(b->dtype));
    if (a->shape.dim[1] != b->shape.dim[0]) {
        char ta[SHAPE_TEXT_BYTES], tb[SHAPE_TEXT_BYTES];
        return err_set(e, ERR_INVALID, "", "mat1 and mat2 shapes cannot be multiplied (%s and %s)",
                       shape_text_x(&a->shape, ta, sizeof ta),
                       shape_text_x(&b->shape, tb, sizeof tb));
    }
    int64_t dim[2] = {a->shape.dim[0], b->shape.dim[1]};
    out->dtype = a->dtype;
    return shape_make(dim, 2, &out->shape, e);
}

static struct matrix matrix_of(const struct tensor *t)
{
    return (struct matrix){tensor_data(t), t->stride[0], t->stride[1]};
}

static struct matrix transposed(struct matrix m)
{
    return (struct matrix){m.data, m.col_stride, m.row_stride};
}

/* c = a b [+ add], all by their strides. */
static void product(const struct op_call *call, const struct tensor *c, int64_t k, struct matrix a,
                    struct matrix b, struct matrix add)
{
    struct matmul_args args = {.dtype = c->dtype,
                               .m = c->shape.dim[0],
                               .n = c->shape.dim[1],
                               .k = k,
                               .a = a,
                               .b = b,
                               .add = add,
                               .c = matrix_of(c),
                               .workspace = call->workspace};
    ISA_FN(matmul)(&args);
}

/* y (m,n) = a (m,k) b (k,n):  da = g bᵀ,  db = aᵀ g */
static void product_backward(const struct op_call *c, int ia, int ib)
{
    const struct tensor *g = c->grad_out, *a = c->in[ia], *b = c->in[ib];
    struct matrix none = {NULL, 0, 0};
    if (c->grad_in[ia])
        product(c, c->grad_in[ia], g->shape.dim[1], matrix_of(g), transposed(matrix_of(b)), none);
    if (c->grad_in[ib])
        product(c, c->grad_in[ib], g->shape.dim[0], transposed(matrix_of(a)), matrix_of(g), none);
}

enum err_kind ISA_FN(mm_infer)(const struct op_call *c, struct tensor *out, struct err *e)
{
    return infer_product(c->in[0], c->in[1], out, e);
}

void ISA_FN(mm_forward)(const struct op_call *c)
{
    product(c, c->out, c->in[0]->shape.dim[1], matrix_of(c->in[0]), matrix_of(c->in[1]),
            (struct matrix){NULL, 0, 0});
}

void ISA_FN(mm_backward)(const struct op_call *c)
{
    product_backward(c, 0, 1);
}

enum err_kind ISA_FN(addmm_infer)(const struct op_call *c, struct tensor *out, struct err *e)
{
    enum err_kind rc = infer_product(c->in[1], c->in[2], out, e);
    if (rc)
        return rc;
    const struct tensor *add = c->in[0];
    struct shape both;
    if (add->dtype != out->dtype)
        return err_set(e, ERR_INVALID, "", "self and mat2 must have the same dtype");
    if (add->shape.rank > 2 || shape_broadcast(&add->shape, &out->shape, &both, e) != ERR_OK ||
        !shape_equal(&both, &out->shape)) {
        char ta[SHAPE_TEXT_BYTES], to[SHAPE_TEXT_BYTES];
        return err_set(e, ERR_INVALID, "", "The expanded size of %s does not fit a sum of %s",
                       shape_text(&add->shape, ta, sizeof ta),
                       shape_text(&out->shape, to, sizeof to));
    }
    return ERR_OK;
}

/* A summand of up to two dimensions, broadcast to a matrix. */
static struct matrix broadcast_matrix(const struct tensor *t)
{
    struct matrix m = {tensor_data(t), 0, 0};
    int last = t->shape.rank - 1;
    if (last >= 0 && t->shape.dim[last] != 1)
        m.col_stride = t->stride[last];
    if (last >= 1 && t->shape.dim[0] != 1)
        m.row_stride = t->stride[0];
    return m;
}

void ISA_FN(addmm_forward)(const struct op_call *c)
{
    product(c, c->out, c->in[1]->shape.dim[1], matrix_of(c->in[1]), matrix_of(c->in[2]),
            broadcast_matrix(c->in[0]));
}

void ISA_FN(addmm_backward)(const struct op_call *c)
{
    if (c->grad_in[0])
        ISA_FN(sum_to)(c->grad_in[0], c->grad_out, NULL, 1);
    product_backward(c, 1, 2);
}
