/* engine/owed.c - gradients that a backward leaves to be made where they are used. */
#include <math.h>

#include "engine/tape.h"
#include "engine/tape_inside.h"

#define OWED_LEAST 4096 /* elements: below that there is nothing to win */

/* A gradient that is wanted after its round is not made for that, only what it is made of kept, if
 * that is so many times smaller. */
#define DEFERRED_TIMES 8

static bool is_dense_one_way(struct matrix x)
{
    return x.row_stride == 1 || x.col_stride == 1;
}

/* By its form alone: so a step comes to the same numbers, and the same norm, whatever else is. */
static bool is_deferred(const struct matmul_args *x)
{
    return is_dense_one_way(x->a) && is_dense_one_way(x->b) &&
           x->k <= x->m * x->n / DEFERRED_TIMES / (x->m + x->n);
}

/* The leaf into whose slot g goes, whole, seen through nothing but views. NULL: there is none. */
static const struct tensor *leaf_of(const struct node *n, const struct tensor *g)
{
    for (; !n->leaf; n = n->next[0])
        if (!(n->call.op->flags & REARRANGES) || n->retained || !n->next[0])
            return NULL;
    const struct tensor *slot = n->leaf->grad_slot;
    bool whole = slot && !n->leaf->grad && tensor_data(slot) == tensor_data(g) &&
                 tensor_count(slot) == tensor_count(g);
    return whole && !n->retained ? n->leaf : NULL;
}

static struct matrix transposed(struct matrix x)
{
    return (struct matrix){x.data, x.col_stride, x.row_stride};
}

/* With c dense in rows; false: it is not dense. The chains are the same. */
static bool turn(struct matmul_args *p)
{
    if (p->c.col_stride == 1)
        return p->c.row_stride == p->n;
    struct matmul_args x = *p;
    p->m = x.n;
    p->n = x.m;
    p->a = transposed(x.b);
    p->b = transposed(x.a);
    p->c = transposed(x.c);
    return p->c.col_stride == 1 && p->c.row_stride == p->n;
}

bool tape_describe(struct owed *w, const struct op_call *c)
{
    struct op_call call = *c;
    call.owed = &w->product;
    call.op->backward(&call);
    return turn(&w->product);
}

/* Is the gradient of the i-th input, the leaf's, made of a parameter? Whoever updates the leaf may
 * have updated that one before. */
static bool reads_parameters(const struct op_call *c, int i, const struct tensor *leaf)
{
    uint64_t reads = c->op->saves >> (SAVE_BITS * i);
    for (int j = 0; j < c->inputs && j < SAVED_INPUTS_MAX; j++)
        if (reads & SAVE_IN(j) && c->in[j]->storage == leaf->storage)
            return true;
    return c->grad_out->storage == leaf->storage;
}

bool tape_owe(struct tape *t, const struct node *n, int i, const struct op_call *c)
{
    struct tensor *only[OWING_INPUTS] = {NULL}, *g = c->grad_in[i];
    struct op_call call = *c;
    const struct tensor *leaf = tensor_count(g) < OWED_LEAST ? NULL : leaf_of(n->next[i], g);
    struct owed *w =
        leaf && !reads_parameters(c, i, leaf) ? arena_alloc(&t->arena, sizeof *w) : NULL;
    if (!w)
        return false;
    *w = (struct owed){.leaf = leaf, .older = t->owed};
    only[i] = g;
    call.grad_in = only;
    if (!tape_describe(w, &call) || (t->keeps && !is_deferred(&w->product)))
        return false;
    t->owed = w;
    if (t->trace.recording)
        tape_did_call(t, DEED_OWE, &call, w);
    return true;
}

const struct owed *tape_owed(const struct tape *t, const struct tensor *leaf)
{
    const struct owed *w = t->owed;
    while (w && w->leaf != leaf)
        w = w->older;
    return w;
}

void tape_owed_part(const struct tape *t, const struct owed *w, int64_t row, int64_t rows,
                    int64_t col, int64_t cols, void *to, int64_t row_stride, struct matrix beside,
                    void *workspace)
{
    struct matmul_args x = matmul_part(&w->product, row, rows, col, cols);
    x.beside = beside;
    x.c = (struct matrix){to, row_stride, 1};
    x.workspace = workspace;
    t->kernels->matmul(&x);
}

static double squares(const struct tape *t, enum dtype dtype, struct matrix x, int64_t rows,
                      int64_t cols)
{
    bool dense =
        (x.col_stride == 1 && x.row_stride == cols) || (x.row_stride == 1 && x.col_stride == rows);
    if (dense && x.data == t->known.data) /* or of a part of it: a bound all the same */
        return t->known.sum;
    return dense ? t->kernels->sum_squares(dtype, x.data, (size_t)(rows * cols)) : INFINITY;
}

double tape_owed_squares(const struct tape *t, const struct owed *w)
{
    const struct matmul_args *x = &w->product;
    return squares(t, x->dtype, x->a, x->m, x->k) * squares(t, x->dtype, x->b, x->k, x->n);
}

void tape_settle(struct tape *t)
{
    for (; t->owed; t->owed = t->owed->older)
        matmul_shared(t->kernels->matmul, &t->owed->product, t->crew);
}
