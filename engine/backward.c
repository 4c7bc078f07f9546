/* engine/backward.c - the walk: tape_backward and tape_grad. */
#include <stdio.h>
#include <string.h>

#include "engine/tape.h"
#include "engine/tape_inside.h"

/* Counts, for every node that the root reaches, the edges that lead to it. Nodes are older than
 * what uses them, so one pass from the newest to the oldest sees each node after all its users. */
static void count_uses(struct node *newest, struct node *root)
{
    for (struct node *n = newest; n; n = n->older) {
        n->uses = 0;
        n->grad = NULL;
        n->gated = false;
    }
    root->uses = 1;
    for (struct node *n = root; n; n = n->older)
        for (int i = 0; n->uses && i < n->call.inputs; i++)
            if (n->next[i])
                n->next[i]->uses++;
}

/* Where the gradient that goes to n may be written so that it needs no copy later: into the slot
 * of a leaf without a gradient, seen through the views on the way. NULL: nowhere. */
static struct tensor *destination(struct tape *t, const struct node *n, enum dtype dtype)
{
    if (n->uses != 1 || t->capturing)
        return NULL;
    if (n->leaf) {
        struct tensor *slot = n->leaf->grad_slot;
        return slot && !n->leaf->grad && slot->dtype == dtype ? slot : NULL;
    }
    if (!(n->call.op->flags & REARRANGES) || n->part)
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
    const struct tensor *in[] = {below};
    call.in = in;
    if (call.op->infer(&call, view, &ignored) != ERR_OK)
        return NULL;
    return view;
}

/* The tensor that row n writes the gradient of its i-th input to: laid out as the input is, if the
 * row takes any strides, else row-major. */
static struct tensor *gradient_for(struct tape *t, const struct node *n, int i)
{
    const struct tensor *x = n->input[i];
    enum dtype dtype = n->dtype;
    bool any_strides = n->call.op->flags & ANY_STRIDES;
    struct tensor *g = n->part && i == 0 ? NULL : destination(t, n->next[i], dtype);
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
    return tape_allocate(t, g) ? g : NULL;
}

/* y += x, of one shape and type; row-major unless the layouts are the same. */
static bool add_to(struct tape *t, struct tensor *y, const struct tensor *x)
{
    if (t->dry)
        return true;
    struct tensor *target = y;
    bool same = tensor_is_dense(x) && memcmp(x->stride, y->stride, sizeof x->stride) == 0;
    if (!same) {
        x = tape_prepared(t, x, x->dtype, false);
        if (!x)
            return false;
        if (!tensor_is_contiguous(y)) {
            target = tape_tensor(t, y->dtype, &y->shape);
            if (!target)
                return false;
            tape_copy(t, target, y);
        }
    }
    t->kernels->accumulate(y->dtype, tensor_data(target), tensor_data(x), (size_t)tensor_count(x));
    if (t->trace.recording)
        tape_did(t, DEED_ADD, target, x);
    if (target != y)
        tape_copy(t, y, target);
    return true;
}

/* AccumulateGrad: the leaf's first gradient is put into its slot, a later one is added.
 *   own  g is seen by nobody else from now on: without a slot it becomes the gradient itself */
static bool accumulate(struct tape *t, struct tensor *leaf, struct tensor *g, bool own)
{
    if (leaf->grad) {
        tape_settle(t); /* the first one may be among what is owed */
        tape_trace_fails(t);
        return add_to(t, leaf->grad, g);
    }
    struct tensor *slot = leaf->grad_slot;
    if (!slot && own && g->dtype == leaf->dtype && tensor_is_contiguous(g)) {
        tape_trace_fails(t);
        leaf->grad = g;
        return true;
    }
    if (!slot)
        slot = tape_tensor(t, leaf->dtype, &leaf->shape);
    if (!slot)
        return false;
    if (tensor_data(slot) != tensor_data(g))
        tape_copy(t, slot, g);
    leaf->grad = slot;
    if (t->trace.recording && slot == leaf->grad_slot)
        tape_did(t, DEED_GRADIENT, leaf, slot);
    else
        tape_trace_fails(t);
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
        tape_copy(t, cast, g);
        g = cast;
    }
    if (n->leaf && !t->capturing)
        return accumulate(t, n->leaf, g, true);
    if (n->grad)
        return add_to(t, n->grad, g);
    n->grad = g;
    return true;
}

/* x: the i-th input of n, or one of its outputs, whose version is no longer the saved one. */
static enum err_kind stale(struct tape *t, const struct node *n, int i, struct err *e)
{
    char sizes[SHAPE_TEXT_BYTES], origin[96] = "";
    bool is_input = i < n->call.inputs;
    struct tensor *x = is_input ? n->input[i] : n->part ? n->part : n->output;
    const char *made_by = n->call.op->node;
    if (is_input && tape_refresh(t, x, e) == ERR_OK)
        made_by = x->grad_fn ? node_name(x->grad_fn) : NULL;
    if (made_by)
        snprintf(origin, sizeof origin, ", which is output 0 of %s,", made_by);
    return err_set(e, ERR_CONFLICT, "",
                   "one of the variables needed for gradient computation has been modified by an "
                   "inplace operation: [torch.%sTensor %s]%s is at version %llu; expected version "
                   "%llu instead. Hint: enable anomaly detection to find the operation that failed "
                   "to compute its gradient, with torch.autograd.set_detect_anomaly(True).",
                   dtype_type_name(x->dtype), shape_text(&x->shape, sizes, sizeof sizes), origin,
                   (unsigned long long)n->saved[i].storage->version,
                   (unsigned long long)n->saved[i].version);
}

enum err_kind tape_given_up(struct err *e)
{
    return err_set(e, ERR_CONFLICT, "",
                   "Trying to backward through the graph a second time (or directly access saved "
                   "tensors after they have already been freed). Saved intermediate values of the "
                   "graph are freed when you call .backward() or autograd.grad(). Specify "
                   "retain_graph=True if you need to backward through the graph a second time or "
                   "if you need to access saved tensors after calling backward.");
}

static enum err_kind check_saved(struct tape *t, const struct node *n, struct err *e)
{
    for (int i = 0; i < n->call.inputs + 2; i++) {
        const struct saved *s = &n->saved[i];
        if (s->storage && n->spent)
            return tape_given_up(e);
        if (s->storage && s->storage->version != s->version)
            return stale(t, n, i, e);
    }
    return ERR_OK;
}

/* Does the row write the gradient of its i-th input in the output's shape? */
static bool is_wide(const struct node *n, int i, const struct tensor *grad_out)
{
    return n->call.op->flags & WIDE_GRADS && !shape_equal(&n->input[i]->shape, &grad_out->shape);
}

/* What the row is given to write the gradient of its i-th input to. NULL: no memory. */
static struct tensor *target_for(struct tape *t, const struct node *n, int i,
                                 const struct tensor *grad_out)
{
    if (is_wide(n, i, grad_out))
        return tape_tensor(t, n->dtype, &grad_out->shape);
    if (n->call.op->flags & SPAN_GRADS) {
        int64_t from, to;
        tensor_span(n->input[i], &from, &to);
        return tape_tensor(t, n->dtype, &(struct shape){.rank = 2, .dim = {2, to - from}});
    }
    if (!(n->call.op->flags & REARRANGES))
        return gradient_for(t, n, i);
    struct tensor *g = tape_alias(t, grad_out);
    if (g)
        g->shape = n->input[i]->shape;
    return g;
}

/* A gradient of the output's shape, summed to that of the i-th input. NULL: no memory. */
static struct tensor *narrowed(struct tape *t, const struct node *n, int i,
                               const struct tensor *wide)
{
    struct tensor *g = gradient_for(t, n, i);
    if (g && !t->dry)
        t->kernels->sum_to(g, wide, NULL, 1);
    if (g && t->trace.recording)
        tape_did(t, DEED_SUM, g, wide);
    return g;
}

/* The elements of the i-th input out of all that it spans. NULL: no memory. */
static struct tensor *picked(struct tape *t, const struct node *n, int i,
                             const struct tensor *spanned)
{
    const struct tensor *x = n->input[i];
    struct tensor *seen = tape_alias(t, spanned);
    if (!seen)
        return NULL;
    seen->shape = x->shape;
    memcpy(seen->stride, x->stride, sizeof seen->stride);
    if (tensor_is_dense(x))
        return seen;
    struct tensor *g = gradient_for(t, n, i);
    if (g)
        tape_copy(t, g, seen);
    return g;
}

/* What the row wrote, as a gradient of its i-th input. NULL: no memory. */
static struct tensor *finished(struct tape *t, const struct node *n, int i, const struct op_call *c)
{
    if (is_wide(n, i, c->grad_out))
        return narrowed(t, n, i, c->grad_in[i]);
    if (n->call.op->flags & SPAN_GRADS)
        return picked(t, n, i, c->grad_in[i]);
    return c->grad_in[i];
}

/* ---- the walk ------------------------------------------------------------------------------ */

static enum err_kind deliver_all(struct tape *t, struct node *n, const struct op_call *c,
                                 struct slices *s, struct err *e)
{
    for (int i = 0; i < c->inputs; i++) {
        if (!n->next[i])
            continue;
        bool of_base = n->part && i == 0;
        struct tensor *g = finished(t, n, i, c);
        if (g && of_base)
            g = slices_end(t, s, g);
        enum dtype dtype = of_base ? n->output->dtype : n->input[i]->dtype;
        if (!g || !deliver(t, n->next[i], g, dtype))
            return tape_no_memory(e);
    }
    return ERR_OK;
}

/* Did a ReLU make the product's i-th input, as it is, and is nobody but that given the gradient? */
static bool is_for_relu(const struct tape *t, const struct node *n, int i)
{
    const struct node *r = n->next[i];
    return r->call.op == &t->kernels->ops[OP_RELU] && r->uses == 1 && !r->retained &&
           r->output == n->input[i];
}

/* A factor of a product, not a summand: its gradient is made of the other one. */
static bool is_factor(const struct op *op, int i)
{
    return op->saves >> (SAVE_BITS * i) & ALL_SAVED;
}

/* A product hands the ReLU that made one of its factors not the gradient of its output, but what it
 * would make of that. */
static void gate(struct tape *t, const struct node *n, struct op_call *c)
{
    if (!(c->op->flags & MAY_GATE) || c->args.alpha != 1 || t->capturing)
        return;
    for (int i = 0; i < c->inputs && !c->gate; i++)
        if (c->grad_in[i] && is_factor(c->op, i) && is_for_relu(t, n, i)) {
            c->gate = n->next[i]->call.out;
            c->gate_input = i;
            n->next[i]->gated = true;
        }
}

/* The row's gradients, but for those that may be owed. */
static void compute(struct tape *t, const struct node *n, const struct op_call *c)
{
    struct tensor *owed[OWING_INPUTS] = {NULL};
    bool may = t->owes && c->op->flags & MAY_OWE && c->args.alpha == 1;
    for (int i = 0; may && i < c->inputs; i++)
        if (c->grad_in[i] && tape_owe(t, n, i, c)) {
            owed[i] = c->grad_in[i];
            c->grad_in[i] = NULL;
        }
    c->op->backward(c);
    if (t->trace.recording && !(c->op->flags & REARRANGES)) /* which only sets strides */
        tape_did_call(t, DEED_BACKWARD, c, NULL);
    for (int i = 0; may && i < c->inputs; i++)
        if (owed[i])
            c->grad_in[i] = owed[i];
}

static enum err_kind run_node(struct tape *t, struct node *n, struct err *e)
{
    enum err_kind rc = check_saved(t, n, e);
    if (!rc && n->call.op->flags & NO_DERIVATIVE)
        rc = err_set(e, ERR_INVALID, "", "derivative for aten::%s is not implemented",
                     n->call.op->name);
    if (rc)
        return rc;
    if (n->retained && !accumulate(t, n->retained, n->grad, false))
        return tape_no_memory(e);
    if (n->call.op->flags & NONE_AT_0 && n->call.args.alpha == 0)
        return ERR_OK;
    if (n->gated)
        return deliver(t, n->next[0], n->grad, n->dtype) ? ERR_OK : tape_no_memory(e);
    struct op_call c = n->call;
    struct slices s = {.part = n->grad};
    if (n->part && !slices_begin(t, n, &s))
        return tape_no_memory(e);
    tape_lend(t, &c);
    bool any_strides = (c.op->flags & (ANY_STRIDES | GRAD_ROWS)) == ANY_STRIDES;
    c.grad_out = tape_prepared(t, s.part, n->dtype, any_strides);
    if (!c.grad_out)
        return tape_no_memory(e);
    for (int i = 0; i < c.inputs; i++) {
        c.grad_in[i] = NULL;
        if (!n->next[i])
            continue;
        c.grad_in[i] = target_for(t, n, i, c.grad_out);
        if (!c.grad_in[i])
            return tape_no_memory(e);
    }
    gate(t, n, &c);
    if (!t->dry || c.op->flags & REARRANGES)
        compute(t, n, &c);
    return deliver_all(t, n, &c, &s, e);
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
        return tape_no_memory(e);
    static double one = 1; /* of any shape, by strides of 0 */
    static struct storage storage = {.data = &one};
    const struct tensor unit = {.storage = &storage, .dtype = DTYPE_FLOAT64, .shape = root->shape};
    tape_copy(t, *out, gradient ? gradient : &unit);
    return ERR_OK;
}

/* Walks from root with the gradient; what has arrived at each node stays in its grad. */
static enum err_kind walk(struct tape *t, struct tensor *root, const struct tensor *gradient,
                          bool retain, struct err *e)
{
    struct tensor *g;
    struct node *start;
    enum err_kind rc = tape_refresh(t, root, e);
    if (!rc)
        rc = seed(t, root, gradient, &g, e);
    if (rc)
        return rc;
    if (!tape_edge(t, root, &start))
        return tape_no_memory(e);
    count_uses(t->newest, start);
    if (!deliver(t, start, g, root->dtype))
        return tape_no_memory(e);
    for (struct node *n = start; n && rc == ERR_OK; n = n->older) {
        if (n->leaf || !n->grad)
            continue;
        rc = run_node(t, n, e);
        n->spent = n->spent || !retain;
    }
    return rc;
}

enum err_kind tape_backward(struct tape *t, struct tensor *root, const struct tensor *gradient,
                            bool retain, struct err *e)
{
    return walk(t, root, gradient, retain, e);
}

enum err_kind tape_grad(struct tape *t, struct tensor *root, const struct tensor *gradient,
                        bool retain, struct tensor *const *x, int count, struct tensor **out,
                        struct err *e)
{
    struct node *edge;
    for (int i = 0; i < count; i++) {
        enum err_kind rc = tape_refresh(t, x[i], e);
        if (rc)
            return rc;
        if (!x[i]->requires_grad)
            return err_set(e, ERR_INVALID, "",
                           "One of the differentiated Tensors does not require grad");
        if (!tape_edge(t, x[i], &edge))
            return tape_no_memory(e);
    }
    t->capturing = true;
    enum err_kind rc = walk(t, root, gradient, retain, e);
    t->capturing = false;
    for (int i = 0; !rc && i < count; i++) {
        if (!tape_edge(t, x[i], &edge)) /* there is one: finds it */
            return tape_no_memory(e);
        out[i] = edge->grad;
    }
    return rc;
}

void tape_retain_grad(struct tensor *x)
{
    if (!x->grad_fn || x->retains_grad)
        return;
    x->grad_fn->retained = x;
    x->retains_grad = true;
}
