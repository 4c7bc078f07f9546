#include "engine/tape.h"

#include <stdatomic.h>
#include <string.h>

/* No two rounds of the process have the same number, whatever their tapes. A leaf outlives tapes,
 * and must not take the node it had on one for a node of the next tape at the same address. */
static uint64_t next_round(void)
{
    static atomic_uint_fast64_t rounds;
    return atomic_fetch_add_explicit(&rounds, 1, memory_order_relaxed) + 1;
}

enum err_kind tape_init(struct tape *t, const struct kernels *kernels, struct err *e)
{
    *t = (struct tape){.kernels = kernels, .round = next_round()};
    t->workspace = mem_array(1, MATMUL_WORKSPACE_BYTES);
    return t->workspace ? ERR_OK : err_set(e, ERR_NOMEM, "", "no memory for a tape");
}

void tape_close(struct tape *t)
{
    arena_close(&t->arena);
    mem_free(t->workspace);
    t->workspace = NULL;
}

void tape_reset(struct tape *t)
{
    arena_reset(&t->arena);
    t->newest = NULL;
    t->round = next_round();
}

/* ---- tensors ------------------------------------------------------------------------------- */

/* Gives t a storage of its own in the arena; its layout is set. false: no memory. */
static bool allocate(struct tape *t, struct tensor *x)
{
    size_t bytes;
    if (!mem_mul((size_t)tensor_count(x), dtype_bytes(x->dtype), &bytes))
        return false;
    x->storage = arena_alloc(&t->arena, sizeof *x->storage);
    void *data = arena_alloc(&t->arena, bytes);
    if (!x->storage || !data)
        return false;
    *x->storage = (struct storage){.data = data};
    x->offset = 0;
    return true;
}

struct tensor *tape_alias(struct tape *t, const struct tensor *like)
{
    struct tensor *x = arena_alloc(&t->arena, sizeof *x);
    if (!x)
        return NULL;
    *x = (struct tensor){.storage = like->storage,
                         .dtype = like->dtype,
                         .shape = like->shape,
                         .offset = like->offset};
    memcpy(x->stride, like->stride, sizeof x->stride);
    return x;
}

struct tensor *tape_tensor(struct tape *t, enum dtype dtype, const struct shape *shape)
{
    struct tensor *x = arena_alloc(&t->arena, sizeof *x);
    if (!x)
        return NULL;
    *x = (struct tensor){.dtype = dtype, .shape = *shape};
    tensor_set_contiguous(x);
    return allocate(t, x) ? x : NULL;
}

/* x itself, or a row-major copy of type dtype when it is not one. NULL: no memory. */
static const struct tensor *prepared(struct tape *t, const struct tensor *x, enum dtype dtype,
                                     bool any_strides)
{
    if (x->dtype == dtype && (any_strides || tensor_is_contiguous(x)))
        return x;
    struct tensor *copy = tape_tensor(t, dtype, &x->shape);
    if (copy)
        tensor_copy(copy, x);
    return copy;
}

/* ---- recording ----------------------------------------------------------------------------- */

static struct node *node_new(struct tape *t)
{
    struct node *n = arena_alloc(&t->arena, sizeof *n);
    if (!n)
        return NULL;
    *n = (struct node){.older = t->newest};
    t->newest = n;
    return n;
}

/* Where a gradient of x goes: to the node that made it, or to its AccumulateGrad.
 * false: no memory. *edge NULL: x wants none. */
static bool edge_to(struct tape *t, struct tensor *x, struct node **edge)
{
    *edge = x->grad_fn;
    if (!x->requires_grad || x->grad_fn)
        return true;
    if (x->round != t->round) {
        struct node *n = node_new(t);
        if (!n)
            return false;
        n->leaf = x;
        x->accumulate = n;
        x->round = t->round;
    }
    *edge = x->accumulate;
    return true;
}

static void save(struct node *n, int slot, const struct tensor *x)
{
    n->saved[slot] = x->storage;
    n->version[slot] = x->storage->version;
}

/* Leaves a node for the call that made out. The leaves' nodes come first: it is younger. */
static bool record(struct tape *t, const struct op_call *call, struct tensor *const *in,
                   struct tensor *out)
{
    struct node *next[OP_INPUTS_MAX] = {NULL};
    for (int i = 0; i < call->op->arity; i++)
        if (!edge_to(t, in[i], &next[i]))
            return false;
    struct node *n = node_new(t);
    if (!n)
        return false;
    n->call = *call;
    memcpy(n->next, next, sizeof next);
    for (int i = 0; i < call->op->arity; i++) {
        n->input[i] = in[i];
        if (call->op->saves & SAVE_IN(i))
            save(n, i, in[i]);
        else
            n->call.in[i] = NULL;
    }
    if (call->op->saves & SAVE_OUT)
        save(n, OP_INPUTS_MAX, out);
    else
        n->call.out = NULL;
    out->grad_fn = n;
    out->requires_grad = true;
    return true;
}

static enum err_kind no_memory(struct err *e)
{
    return err_set(e, ERR_NOMEM, "", "no memory for the operation's tensors");
}

/* Brings the inputs to what the row takes: its strides, and one type if it promotes. */
static enum err_kind prepare_inputs(struct tape *t, struct op_call *c, struct tensor *const *in,
                                    struct err *e)
{
    enum dtype widest = in[0]->dtype;
    for (int i = 1; i < c->op->arity; i++)
        if (in[i]->dtype > widest)
            widest = in[i]->dtype;
    for (int i = 0; i < c->op->arity; i++) {
        enum dtype dtype = c->op->flags & PROMOTES ? widest : in[i]->dtype;
        c->in[i] = prepared(t, in[i], dtype, c->op->flags & ANY_STRIDES);
        if (!c->in[i])
            return no_memory(e);
    }
    return ERR_OK;
}

enum err_kind op_apply(struct tape *t, enum op_id id, const struct op_args *args,
                       struct tensor *const *in, struct tensor **out, struct err *e)
{
    struct op_call c = {
        .op = &t->kernels->ops[id], .kernels = t->kernels, .workspace = t->workspace};
    if (args)
        c.args = *args;
    enum err_kind rc = prepare_inputs(t, &c, in, e);
    if (rc)
        return rc;
    struct tensor *y = arena_alloc(&t->arena, sizeof *y);
    if (!y)
        return no_memory(e);
    *y = (struct tensor){.dtype = c.in[0]->dtype};
    rc = c.op->infer(&c, y, e);
    if (rc)
        return rc;
    c.out = y;
    if (c.op->flags & IS_VIEW) {
        y->storage = c.in[0]->storage;
    } else {
        tensor_set_contiguous(y);
        if (!allocate(t, y))
            return no_memory(e);
        c.op->forward(&c);
    }
    bool requires_grad = false;
    for (int i = 0; i < c.op->arity; i++)
        requires_grad = requires_grad || in[i]->requires_grad;
    if (requires_grad && !t->grad_disabled && !record(t, &c, in, y))
        return no_memory(e);
    *out = y;
    return ERR_OK;
}

/* ---- backward ------------------------------------------------------------------------------ */

/* Counts, for every node that the root reaches, the edges that lead to it. Nodes are older than
 * what uses them, so one pass from the newest to the oldest sees each node after all its users. */
static void count_uses(struct node *newest, struct node *root)
{
    for (struct node *n = newest; n; n = n->older) {
        n->uses = 0;
        n->grad = NULL;
    }
    root->uses = 1;
    for (struct node *n = root; n; n = n->older)
        for (int i = 0; n->uses && i < OP_INPUTS_MAX; i++)
            if (n->next[i])
                n->next[i]->uses++;
}

/* Where the gradient that goes to n may be written so that it needs no copy later: into the slot
 * of a leaf without a gradient, seen through the views on the way. NULL: nowhere. */
static struct tensor *destination(struct tape *t, const struct node *n, enum dtype dtype)
{
    if (n->uses != 1)
        return NULL;
    if (n->leaf) {
        struct tensor *slot = n->leaf->grad_slot;
        return slot && !n->leaf->grad && slot->dtype == dtype ? slot : NULL;
    }
    if (!(n->call.op->flags & IS_VIEW))
        return NULL;
    struct tensor *below = destination(t, n->next[0], dtype);
    /* Of what is not row-major, such a row saw a copy. */
    if (below && !(n->call.op->flags & ANY_STRIDES) && !tensor_is_contiguous(below))
        return NULL;
    struct tensor *view = below ? tape_alias(t, below) : NULL;
    if (!view)
        return NULL;
    struct op_call call = n->call;
    struct err ignored;
    call.in[0] = below;
    if (call.op->infer(&call, view, &ignored) != ERR_OK)
        return NULL;
    return view;
}

/* The tensor that row n writes the gradient of its i-th input to: laid out as the input is, if the
 * row takes any strides, else row-major. */
static struct tensor *gradient_for(struct tape *t, const struct node *n, int i)
{
    const struct tensor *x = n->input[i];
    enum dtype dtype = n->grad->dtype;
    bool any_strides = n->call.op->flags & ANY_STRIDES;
    struct tensor *g = destination(t, n->next[i], dtype);
    if (g && shape_equal(&g->shape, &x->shape) && (any_strides || tensor_is_contiguous(g)))
        return g;
    g = arena_alloc(&t->arena, sizeof *g);
    if (!g)
        return NULL;
    *g = (struct tensor){.dtype = dtype, .shape = x->shape};
    if (any_strides)
        tensor_set_layout(g, x);
    else
        tensor_set_contiguous(g);
    return allocate(t, g) ? g : NULL;
}

/* y += x, of one shape and type; row-major unless the layouts are the same. */
static bool add_to(struct tape *t, struct tensor *y, const struct tensor *x)
{
    struct tensor *target = y;
    bool same = tensor_is_dense(x) && memcmp(x->stride, y->stride, sizeof x->stride) == 0;
    if (!same) {
        x = prepared(t, x, x->dtype, false);
        if (!x)
            return false;
        if (!tensor_is_contiguous(y)) {
            target = tape_tensor(t, y->dtype, &y->shape);
            if (!target)
                return false;
            tensor_copy(target, y);
        }
    }
    t->kernels->accumulate(y->dtype, tensor_data(target), tensor_data(x), (size_t)tensor_count(x));
    if (target != y)
        tensor_copy(y, target);
    return true;
}

/* AccumulateGrad: the leaf's first gradient is put into its slot, a later one is added. */
static bool accumulate(struct tape *t, struct tensor *leaf, const struct tensor *g)
{
    if (leaf->grad)
        return add_to(t, leaf->grad, g);
    struct tensor *slot = leaf->grad_slot;
    if (!slot)
        slot = tape_tensor(t, leaf->dtype, &leaf->shape);
    if (!slot)
        return false;
    if (tensor_data(slot) != tensor_data(g))
        tensor_copy(slot, g);
    leaf->grad = slot;
    return true;
}

/* Hands g, the gradient of n's output by one way, to n. The types may differ where an operand was
 * promoted: a gradient has the type of what it is the gradient of. */
static bool deliver(struct tape *t, struct node *n, struct tensor *g, enum dtype dtype)
{
    if (g->dtype != dtype) {
        struct tensor *cast = tape_tensor(t, dtype, &g->shape);
        if (!cast)
            return false;
        tensor_copy(cast, g);
        g = cast;
    }
    if (n->leaf)
        return accumulate(t, n->leaf, g);
    if (n->grad)
        return add_to(t, n->grad, g);
    n->grad = g;
    return true;
}

static enum err_kind check_saved(const struct node *n, struct err *e)
{
    if (n->spent && n->call.op->saves)
        return err_set(e, ERR_CONFLICT, "",
                       "Trying to backward through the graph a second time (or directly access "
                       "saved tensors after they have already been freed). Saved intermediate "
                       "values of the graph are freed when you call .backward() or "
                       "autograd.grad(). Specify retain_graph=True if you need to backward "
                       "through the graph a second time.");
    for (int i = 0; i <= OP_INPUTS_MAX; i++)
        if (n->saved[i] && n->saved[i]->version != n->version[i])
            return err_set(e, ERR_CONFLICT, "",
                           "one of the variables needed for gradient computation has been "
                           "modified by an inplace operation (%s: is at version %llu; expected "
                           "version %llu instead)",
                           n->call.op->node, (unsigned long long)n->saved[i]->version,
                           (unsigned long long)n->version[i]);
    return ERR_OK;
}

static enum err_kind run_node(struct tape *t, struct node *n, struct err *e)
{
    enum err_kind rc = check_saved(n, e);
    if (rc)
        return rc;
    struct op_call c = n->call;
    c.grad_out = prepared(t, n->grad, n->grad->dtype, c.op->flags & ANY_STRIDES);
    if (!c.grad_out)
        return no_memory(e);
    for (int i = 0; i < c.op->arity; i++) {
        if (!n->next[i])
            continue;
        c.grad_in[i] = c.op->flags & IS_VIEW ? tape_alias(t, c.grad_out) : gradient_for(t, n, i);
        if (!c.grad_in[i])
            return no_memory(e);
        if (c.op->flags & IS_VIEW)
            c.grad_in[i]->shape = n->input[i]->shape;
    }
    c.op->backward(&c);
    for (int i = 0; i < c.op->arity; i++)
        if (n->next[i] && !deliver(t, n->next[i], c.grad_in[i], n->input[i]->dtype))
            return no_memory(e);
    return ERR_OK;
}

/* The gradient of the root with respect to itself. */
static enum err_kind seed(struct tape *t, struct tensor *root, const struct tensor *gradient,
                          struct tensor **out, struct err *e)
{
    if (!root->requires_grad)
        return err_set(e, ERR_INVALID, "",
                       "element 0 of tensors does not require grad and does not have a grad_fn");
    if (!gradient && tensor_count(root) != 1)
        return err_set(e, ERR_INVALID, "",
                       "grad can be implicitly created only for scalar outputs");
    if (gradient && !shape_equal(&gradient->shape, &root->shape)) {
        char g[SHAPE_TEXT_BYTES], r[SHAPE_TEXT_BYTES];
        return err_set(e, ERR_INVALID, "",
                       "Mismatch in shape: grad_output[0] has a shape of torch.Size(%s) and "
                       "output[0] has a shape of torch.Size(%s).",
                       shape_text(&gradient->shape, g, sizeof g),
                       shape_text(&root->shape, r, sizeof r));
    }
    *out = tape_tensor(t, root->dtype, &root->shape);
    if (!*out)
        return no_memory(e);
    double one = 1;
    struct storage storage = {.data = &one};
    struct tensor unit = {.storage = &storage, .dtype = DTYPE_FLOAT64, .shape = root->shape};
    tensor_copy(*out, gradient ? gradient : &unit);
    return ERR_OK;
}

enum err_kind tape_backward(struct tape *t, struct tensor *root, const struct tensor *gradient,
                            bool retain, struct err *e)
{
    struct tensor *g;
    struct node *start;
    enum err_kind rc = seed(t, root, gradient, &g, e);
    if (rc)
        return rc;
    if (!edge_to(t, root, &start))
        return no_memory(e);
    count_uses(t->newest, start);
    if (!deliver(t, start, g, root->dtype))
        return no_memory(e);
    for (struct node *n = start; n && rc == ERR_OK; n = n->older) {
        if (n->leaf || !n->grad)
            continue;
        rc = run_node(t, n, e);
        n->spent = n->spent || !retain;
    }
    return rc;
}
