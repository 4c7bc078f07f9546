/* engine/slices.c - the gradient that passes a CopySlices by, and the part that goes through it.
 * Source: PyTorch, torch/csrc/autograd/functions/tensor.cpp. */
#include <string.h>

#include "engine/tape_inside.h"

/* x, in memory that starts at `from` of its storage. NULL: no memory. */
static struct tensor *lay(struct tape *t, const struct tensor *memory, const struct tensor *x,
                          int64_t from)
{
    struct tensor *y = tape_alias(t, memory);
    if (!y)
        return NULL;
    y->shape = x->shape;
    y->offset = tensor_count(x) ? x->offset - from : 0;
    memcpy(y->stride, x->stride, sizeof y->stride);
    return y;
}

/* The part may see what the whole does not, if that is a detached piece of its storage. */
bool slices_begin(struct tape *t, const struct node *n, struct slices *s)
{
    int64_t from, to, part_from, part_to;
    tensor_span(n->output, &from, &to);
    tensor_span(n->part, &part_from, &part_to);
    if (from == to || (part_from < part_to && part_from < from))
        from = part_from;
    if (part_to > to)
        to = part_to;
    const struct shape shape = {.rank = 1, .dim = {to - from}};
    struct tensor *memory = tape_tensor(t, n->grad->dtype, &shape);
    if (!memory)
        return false;
    tape_trace_fails(t);
    if (!t->dry)
        memset(tensor_data(memory), 0, (size_t)(to - from) * dtype_bytes(memory->dtype));
    s->whole = lay(t, memory, n->output, from);
    s->part = lay(t, memory, n->part, from);
    if (s->whole && s->part)
        tape_copy(t, s->whole, n->grad);
    return s->whole && s->part;
}

struct tensor *slices_end(struct tape *t, const struct slices *s, const struct tensor *g)
{
    tape_copy(t, s->part, g);
    if (tensor_is_dense(s->whole))
        return s->whole;
    struct tensor *y = tape_tensor(t, s->whole->dtype, &s->whole->shape);
    if (y)
        tape_copy(t, y, s->whole);
    return y;
}
