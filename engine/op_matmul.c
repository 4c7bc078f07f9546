/* engine/op_matmul.c - the matrix products as operations.
 *
 * They are all one: a stack of products of matrices, where a vector is a matrix of one column and
 * a matrix a stack of one. What tells the rows apart is which dimension of an operand plays which
 * part.
 *
 * Floats are multiplied by matmul.h, and its chain is what every output is; but dot is a sum in
 * op_reduce.h's fixed order. Integers wrap around.
 */
#include "engine/op_reduce.h"
#include "engine/rows.h"

/* The dimensions that count an operand's matrices, rows and columns. NONE: there is one. */
struct form {
    int matrix, row, column;
};
#define NONE (-1)
#define MATRIX_FORM                                                                                \
    {                                                                                              \
        NONE, 0, 1                                                                                 \
    }
#define COLUMN_FORM                                                                                \
    {                                                                                              \
        NONE, 0, NONE                                                                              \
    }
#define STACK_FORM                                                                                 \
    {                                                                                              \
        0, 1, 2                                                                                    \
    }

/* y = input a times input b; a is 1 if input 0 is a summand, args.alpha and args.beta then count.
 */
struct product {
    int a;
    struct form form_a, form_b, form_y;
};
static const struct product mm = {0, MATRIX_FORM, MATRIX_FORM, MATRIX_FORM},
                            mv = {0, MATRIX_FORM, COLUMN_FORM, COLUMN_FORM},
                            bmm = {0, STACK_FORM, STACK_FORM, STACK_FORM},
                            addmm = {1, MATRIX_FORM, MATRIX_FORM, MATRIX_FORM},
                            addmv = {1, MATRIX_FORM, COLUMN_FORM, COLUMN_FORM},
                            baddbmm = {1, STACK_FORM, STACK_FORM, STACK_FORM};

/* Matrices one after the other: strides in elements, any of them. */
struct stack {
    struct matrix first;
    int64_t count, rows, columns;
    int64_t next; /* from one to the next */
};

static struct stack stack_of(const struct tensor *t, struct form f)
{
    struct stack s = {.first = {tensor_data(t), 0, 0}, .count = 1, .rows = 1, .columns = 1};
    if (f.matrix != NONE) {
        s.count = t->shape.dim[f.matrix];
        s.next = t->stride[f.matrix];
    }
    if (f.row != NONE) {
        s.rows = t->shape.dim[f.row];
        s.first.row_stride = t->stride[f.row];
    }
    if (f.column != NONE) {
        s.columns = t->shape.dim[f.column];
        s.first.col_stride = t->stride[f.column];
    }
    return s;
}

static struct stack transposed(struct stack s)
{
    struct stack t = s;
    t.first.row_stride = s.first.col_stride;
    t.first.col_stride = s.first.row_stride;
    t.rows = s.columns;
    t.columns = s.rows;
    return t;
}

/* x as it is broadcast to y's shape. */
static struct stack summand(const struct tensor *x, const struct tensor *y, struct form f)
{
    struct tensor as_y = tensor_seen(x);
    as_y.shape = y->shape;
    rows_strides(x, &y->shape, as_y.stride);
    return stack_of(&as_y, f);
}

#define REAL float
#include "engine/op_matmul.inc"
#define REAL double
#include "engine/op_matmul.inc"
#define REAL int64_t
#include "engine/op_matmul.inc"

/* ---- forward and backward of all but dot ----------------------------------------------------- */

static struct matrix matrix_at(const struct stack *s, enum dtype dtype, int64_t i)
{
    struct matrix m = s->first;
    if (m.data)
        m.data = (char *)m.data + (size_t)(i * s->next) * dtype_bytes(dtype);
    return m;
}

/* y = a b [+ add] [gated]; of what there is not the data is NULL (matmul.h). */
struct terms {
    struct stack y, a, b, add, gate;
};

/* No integers. What is owed is only described. */
static void multiply(const struct op_call *c, enum dtype dtype, const struct terms *x)
{
    for (int64_t i = 0; i < x->y.count; i++) {
        struct matmul_args args = {.dtype = dtype,
                                   .m = x->y.rows,
                                   .n = x->y.columns,
                                   .k = x->a.columns,
                                   .a = matrix_at(&x->a, dtype, i),
                                   .b = matrix_at(&x->b, dtype, i),
                                   .add = matrix_at(&x->add, dtype, i),
                                   .gate = matrix_at(&x->gate, dtype, i),
                                   .c = matrix_at(&x->y, dtype, i),
                                   .workspace = c->workspace};
        if (c->owed)
            *c->owed = args;
        else
            matmul_shared(ISA_FN(matmul), &args, c->crew);
    }
}

static void product_forward(const struct op_call *c, const struct product *p)
{
    enum dtype dtype = c->out->dtype;
    struct terms x = {.y = stack_of(c->out, p->form_y),
                      .a = stack_of(c->in[p->a], p->form_a),
                      .b = stack_of(c->in[p->a + 1], p->form_b)};
    struct stack add = {.count = 0};
    if (p->a)
        add = summand(c->in[0], c->out, p->form_y);
    bool blends = p->a && (dtype == DTYPE_INT64 || c->args.alpha != 1 || c->args.beta != 1);
    if (!blends)
        x.add = add;
    if (c->relu)
        x.gate = x.y;
    if (dtype == DTYPE_INT64)
        multiply_i64(&x.y, &x.a, &x.b);
    else
        multiply(c, dtype, &x);
    if (blends)
        BY_NUMBER(dtype, blend, &x.y, &add, c->args.alpha, c->args.beta);
}

/* What the gradient of the i-th input goes through. */
static struct stack gate_of(const struct op_call *c, int i, struct form f)
{
    struct stack none = {.count = 0};
    return c->gate && c->gate_input == i ? stack_of(c->gate, f) : none;
}

/* y (m,n) = a (m,k) b (k,n):  da = g bᵀ,  db = aᵀ g */
static void product_backward(const struct op_call *c, const struct product *p)
{
    enum dtype dtype = c->grad_out->dtype;
    double alpha = p->a ? c->args.alpha : 1;
    struct stack g = stack_of(c->grad_out, p->form_y);
    if (p->a && c->grad_in[0])
        ISA_FN(sum_to)(c->grad_in[0], c->grad_out, NULL, c->args.beta);
    if (c->grad_in[p->a]) {
        struct terms x = {.y = stack_of(c->grad_in[p->a], p->form_a),
                          .a = g,
                          .b = transposed(stack_of(c->in[p->a + 1], p->form_b)),
                          .gate = gate_of(c, p->a, p->form_a)};
        multiply(c, dtype, &x);
        BY_TYPE(dtype, scale, &x.y, &x.y, alpha); /* 1 where it is owed or gated */
    }
    if (c->grad_in[p->a + 1]) {
        struct terms x = {.y = stack_of(c->grad_in[p->a + 1], p->form_b),
                          .a = transposed(stack_of(c->in[p->a], p->form_a)),
                          .b = g,
                          .gate = gate_of(c, p->a + 1, p->form_b)};
        multiply(c, dtype, &x);
        BY_TYPE(dtype, scale, &x.y, &x.y, alpha);
    }
}

#define RUNS(fn)                                                                                   \
    void ISA_FN(fn##_forward)(const struct op_call *c)                                             \
    {                                                                                              \
        product_forward(c, &(fn));                                                                 \
    }                                                                                              \
                                                                                                   \
    void ISA_FN(fn##_backward)(const struct op_call *c)                                            \
    {                                                                                              \
        product_backward(c, &(fn));                                                                \
    }
RUNS(mm)
RUNS(mv)
RUNS(bmm)
RUNS(addmm)
RUNS(addmv)
RUNS(baddbmm)

/* ---- what fits ------------------------------------------------------------------------------- */

static enum err_kind refuse_bool(const struct tensor *x, const char *kernel, struct err *e)
{
    return x->dtype != DTYPE_BOOL
               ? ERR_OK
               : err_set(e, ERR_INVALID, "", "\"%s\" not implemented for 'Bool'", kernel);
}

static enum err_kind check_types(const struct tensor *a, const struct tensor *b, const char *kernel,
                                 struct err *e)
{
    if (a->dtype != b->dtype)
        return err_set(e, ERR_INVALID, "", "expected scalar type %s but found %s",
                       dtype_type_name(a->dtype), dtype_type_name(b->dtype));
    return refuse_bool(a, kernel, e);
}

/* The type of a sum, whose factors integers are multiplied by too. */
static enum err_kind check_sum(const struct op_call *c, const char *first, const char *second,
                               struct err *e)
{
    const double most = 0x1p63, alpha = c->args.alpha, beta = c->args.beta;
    if (c->in[0]->dtype != c->in[2]->dtype)
        return err_set(e, ERR_INVALID, "", "self and %s must have the same dtype", second);
    if (c->in[1]->dtype != c->in[2]->dtype)
        return err_set(e, ERR_INVALID, "", "%s and %s must have the same dtype", first, second);
    if (c->in[0]->dtype == DTYPE_INT64 &&
        !(alpha >= -most && alpha < most && beta >= -most && beta < most))
        return err_set(e, ERR_INVALID, "",
                       "value cannot be converted to type int64_t without overflow");
    return ERR_OK;
}

/* Can x be added to y? errors INVALID: as x.expand(y's shape) */
static enum err_kind check_expands(const struct tensor *x, const struct tensor *y, struct err *e)
{
    char tx[SHAPE_TEXT_BYTES], ty[SHAPE_TEXT_BYTES];
    int pad = y->shape.rank - x->shape.rank;
    if (pad < 0)
        return err_set(e, ERR_INVALID, "",
                       "expand(torch.%sTensor{%s}, size=%s): the number of sizes provided (%d) "
                       "must be greater or equal to the number of dimensions in the tensor (%d)",
                       dtype_type_name(x->dtype), shape_text(&x->shape, tx, sizeof tx),
                       shape_text(&y->shape, ty, sizeof ty), y->shape.rank, x->shape.rank);
    for (int d = x->shape.rank - 1; d >= 0; d--)
        if (x->shape.dim[d] != 1 && x->shape.dim[d] != y->shape.dim[d + pad])
            return err_set(e, ERR_INVALID, "",
                           "The expanded size of the tensor (%lld) must match the existing size "
                           "(%lld) at non-singleton dimension %d.  Target sizes: %s.  Tensor "
                           "sizes: %s",
                           (long long)y->shape.dim[d + pad], (long long)x->shape.dim[d], d + pad,
                           shape_text(&y->shape, ty, sizeof ty),
                           shape_text(&x->shape, tx, sizeof tx));
    return ERR_OK;
}

/* Sets the output of a product whose operands fit. */
static enum err_kind set_output(const struct op_call *c, const struct product *p,
                                struct tensor *out, struct err *e)
{
    const struct tensor *a = c->in[p->a], *b = c->in[p->a + 1];
    int64_t dim[3], rank = 0;
    if (p->form_y.matrix != NONE)
        dim[rank++] = a->shape.dim[p->form_a.matrix];
    dim[rank++] = a->shape.dim[p->form_a.row];
    if (p->form_y.column != NONE)
        dim[rank++] = b->shape.dim[p->form_b.column];
    out->dtype = a->dtype;
    enum err_kind rc = shape_make(dim, (int)rank, &out->shape, e);
    if (!rc && c->cost)
        *c->cost += (double)shape_count(&out->shape) * (double)a->shape.dim[p->form_a.column];
    return rc;
}

static enum err_kind infer_matrices(const struct op_call *c, const struct product *p,
                                    struct tensor *out, struct err *e)
{
    const struct shape *a = &c->in[p->a]->shape, *b = &c->in[p->a + 1]->shape;
    char ta[SHAPE_TEXT_BYTES], tb[SHAPE_TEXT_BYTES];
    if (a->dim[1] != b->dim[0])
        return err_set(e, ERR_INVALID, "", "mat1 and mat2 shapes cannot be multiplied (%s and %s)",
                       shape_text_x(a, ta, sizeof ta), shape_text_x(b, tb, sizeof tb));
    return set_output(c, p, out, e);
}

enum err_kind ISA_FN(mm_infer)(const struct op_call *c, struct tensor *out, struct err *e)
{
    const struct tensor *a = c->in[0], *b = c->in[1];
    if (a->shape.rank != 2 || b->shape.rank != 2)
        return err_set(e, ERR_INVALID, "", "%s must be a matrix",
                       a->shape.rank != 2 ? "self" : "mat2");
    enum err_kind rc = infer_matrices(c, &mm, out, e);
    return rc ? rc : check_types(a, b, "addmm_impl_cpu_", e);
}

enum err_kind ISA_FN(addmm_infer)(const struct op_call *c, struct tensor *out, struct err *e)
{
    for (int i = 1; i <= 2; i++)
        if (c->in[i]->shape.rank != 2)
            return err_set(e, ERR_INVALID, "", "mat%d must be a matrix, got %d-D tensor", i,
                           c->in[i]->shape.rank);
    enum err_kind rc = infer_matrices(c, &addmm, out, e);
    if (!rc)
        rc = check_expands(c->in[0], out, e);
    if (!rc)
        rc = check_sum(c, "mat1", "mat2", e);
    return rc ? rc : refuse_bool(c->in[1], "addmm_impl_cpu_", e);
}

/* A matrix and a vector, and the summand; for mv the output is that. */
static enum err_kind infer_vector(const struct op_call *c, const struct product *p,
                                  const struct shape *add, struct tensor *out, struct err *e)
{
    const struct shape *a = &c->in[p->a]->shape, *b = &c->in[p->a + 1]->shape;
    char ta[SHAPE_TEXT_BYTES];
    int add_rank = add ? add->rank : 1;
    if (add_rank > 1 || a->rank != 2 || b->rank != 1)
        return err_set(e, ERR_INVALID, "", "vector + matrix @ vector expected, got %d, %d, %d",
                       add_rank, a->rank, b->rank);
    int64_t adds = add ? shape_count(add) : a->dim[0];
    if (a->dim[1] != b->dim[0] || (adds != a->dim[0] && adds != 1))
        return err_set(e, ERR_INVALID, "", "size mismatch, got %lld, %s,%lld", (long long)adds,
                       shape_text_x(a, ta, sizeof ta), (long long)b->dim[0]);
    enum err_kind rc = set_output(c, p, out, e);
    return rc ? rc : check_types(c->in[p->a], c->in[p->a + 1], "addmv_impl_cpu", e);
}

enum err_kind ISA_FN(mv_infer)(const struct op_call *c, struct tensor *out, struct err *e)
{
    return infer_vector(c, &mv, NULL, out, e);
}

enum err_kind ISA_FN(addmv_infer)(const struct op_call *c, struct tensor *out, struct err *e)
{
    enum err_kind rc = infer_vector(c, &addmv, &c->in[0]->shape, out, e);
    return rc ? rc : check_sum(c, "mat", "vec", e);
}

static enum err_kind infer_stacks(const struct op_call *c, const struct product *p,
                                  struct tensor *out, struct err *e)
{
    for (int i = 0; i < 2; i++)
        if (c->in[p->a + i]->shape.rank != 3)
            return err_set(e, ERR_INVALID, "", "batch%d must be a 3D tensor", i + 1);
    const int64_t *a = c->in[p->a]->shape.dim, *b = c->in[p->a + 1]->shape.dim;
    if (a[0] != b[0] || a[2] != b[1])
        return err_set(e, ERR_INVALID, "",
                       "Expected size for first two dimensions of batch2 tensor to be: [%lld, "
                       "%lld] but got: [%lld, %lld].",
                       (long long)a[0], (long long)a[2], (long long)b[0], (long long)b[1]);
    enum err_kind rc = set_output(c, p, out, e);
    return rc ? rc : check_types(c->in[p->a], c->in[p->a + 1], c->op->name, e);
}

enum err_kind ISA_FN(bmm_infer)(const struct op_call *c, struct tensor *out, struct err *e)
{
    return infer_stacks(c, &bmm, out, e);
}

enum err_kind ISA_FN(baddbmm_infer)(const struct op_call *c, struct tensor *out, struct err *e)
{
    enum err_kind rc = infer_stacks(c, &baddbmm, out, e);
    if (!rc)
        rc = check_expands(c->in[0], out, e);
    return rc ? rc : check_sum(c, "batch1", "batch2", e);
}

/* ---- dot: x · y,  dx = g y,  dy = g x -------------------------------------------------------- */

enum err_kind ISA_FN(dot_infer)(const struct op_call *c, struct tensor *out, struct err *e)
{
    const struct tensor *a = c->in[0], *b = c->in[1];
    if (a->shape.rank != 1 || b->shape.rank != 1)
        return err_set(e, ERR_INVALID, "", "1D tensors expected, but got %dD and %dD tensors",
                       a->shape.rank, b->shape.rank);
    if (a->dtype != b->dtype)
        return err_set(e, ERR_INVALID, "",
                       "dot : expected both vectors to have same dtype, but found %s and %s",
                       dtype_type_name(a->dtype), dtype_type_name(b->dtype));
    long long na = a->shape.dim[0], nb = b->shape.dim[0];
    if (na != nb)
        return err_set(e, ERR_INVALID, "",
                       "inconsistent tensor size, expected tensor [%lld] and src [%lld] to have "
                       "the same number of elements, but got %lld and %lld elements respectively",
                       na, nb, na, nb);
    out->shape.rank = 0;
    if (c->cost)
        *c->cost += (double)na;
    return refuse_bool(a, "dot", e);
}

void ISA_FN(dot_forward)(const struct op_call *c)
{
    const struct form row_form = {NONE, NONE, 0}, column_form = COLUMN_FORM,
                      one = {NONE, NONE, NONE};
    struct stack y = stack_of(c->out, one), a = stack_of(c->in[0], row_form),
                 b = stack_of(c->in[1], column_form);
    if (c->out->dtype == DTYPE_INT64)
        multiply_i64(&y, &a, &b);
    else
        ISA_FN(sum_to)(c->out, c->in[0], c->in[1], 1);
}

void ISA_FN(dot_backward)(const struct op_call *c)
{
    const struct form column_form = COLUMN_FORM;
    for (int i = 0; i < 2; i++) {
        if (!c->grad_in[i])
            continue;
        struct stack grad = stack_of(c->grad_in[i], column_form),
                     other = stack_of(c->in[1 - i], column_form);
        const void *g = tensor_data(c->grad_out);
        double factor =
            c->grad_out->dtype == DTYPE_FLOAT32 ? (double)*(const float *)g : *(const double *)g;
        BY_TYPE(c->grad_out->dtype, scale, &grad, &other, factor);
    }
}
