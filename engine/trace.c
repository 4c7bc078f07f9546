/* engine/trace.c - a round of a tape, done again on other numbers.
 *
 * What costs time beside the arithmetic of a small step is always the same: shapes are inferred,
 * tensors and nodes made, the graph walked. So a round can keep what it has come to, one deed after
 * the other, and be repeated by doing just that. All that the deeds read and write lies in the
 * arena or in the module's blocks, and is where it was. */
#include <string.h>

#include "engine/tape.h"
#include "engine/tape_inside.h"

struct deed {
    struct deed *next;
    enum deed_kind kind;
    struct op_call call;
    struct owed *owed;
    struct tensor *to;
    struct tensor from;
};

void tape_trace(struct tape *t, const void *of)
{
    t->trace = (struct trace){.recording = true, .of = of};
    t->trace.end = &t->trace.first;
}

void tape_trace_fails(struct tape *t)
{
    t->trace.recording = false;
}

void tape_trace_end(struct tape *t)
{
    t->trace.round = t->trace.recording ? t->round : 0;
    t->trace.recording = false;
    t->trace.owed = t->owed;
}

bool tape_has_trace(const struct tape *t, const void *of)
{
    return t->trace.round == t->round && t->trace.of == of;
}

static struct deed *next_deed(struct tape *t, enum deed_kind kind)
{
    struct deed *d = t->trace.recording ? arena_alloc(&t->arena, sizeof *d) : NULL;
    if (!d) {
        tape_trace_fails(t);
        return NULL;
    }
    d->next = NULL;
    d->kind = kind;
    *t->trace.end = d;
    t->trace.end = &d->next;
    return d;
}

void tape_did_call(struct tape *t, enum deed_kind kind, const struct op_call *c, struct owed *w)
{
    struct deed *d = next_deed(t, kind);
    if (!d)
        return;
    d->call = *c;
    d->owed = w;
    if (kind == DEED_FORWARD)
        return;
    /* The gradients that are asked for differ from call to call of a node. */
    size_t bytes = (size_t)c->inputs * sizeof *c->grad_in;
    d->call.grad_in = arena_alloc(&t->arena, bytes);
    if (d->call.grad_in)
        memcpy(d->call.grad_in, c->grad_in, bytes);
    else
        tape_trace_fails(t);
}

void tape_did(struct tape *t, enum deed_kind kind, struct tensor *to, const struct tensor *from)
{
    struct deed *d = next_deed(t, kind);
    if (!d)
        return;
    d->to = to;
    d->from = tensor_seen(from);
}

static void repeat(struct tape *t, struct deed *d)
{
    switch (d->kind) {
    case DEED_FORWARD:
        d->call.op->forward(&d->call);
        break;
    case DEED_BACKWARD:
        d->call.op->backward(&d->call);
        break;
    case DEED_OWE:
        tape_describe(d->owed, &d->call);
        break;
    case DEED_COPY:
        tensor_copy(d->to, &d->from);
        break;
    case DEED_ADD:
        t->kernels->accumulate(d->to->dtype, tensor_data(d->to), tensor_data(&d->from),
                               (size_t)tensor_count(&d->from));
        break;
    case DEED_SUM:
        t->kernels->sum_to(d->to, &d->from, NULL, 1);
        break;
    case DEED_GRADIENT:
        d->to->grad = d->to->grad_slot;
        break;
    }
}

void tape_repeat(struct tape *t)
{
    for (struct deed *d = t->trace.first; d; d = d->next)
        repeat(t, d);
    t->owed = t->trace.owed;
}
