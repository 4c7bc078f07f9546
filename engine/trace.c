/* engine/trace.c - a round of a tape, done again on other numbers.
 *
 * What costs time beside the arithmetic of a small step is always the same: shapes are inferred,
 * tensors and nodes made, the graph walked. So a round can keep what it has come to, one deed after
 * the other, and be repeated by doing just that. All that the deeds read and write lies in the
 * arena or in the module's blocks, and is where it was. */
#include <string.h>

#include "engine/cross_entropy.h"
#include "engine/regress.h"
#include "engine/tape.h"
#include "engine/tape_inside.h"

struct deed {
    struct deed *next;
    enum deed_kind kind;
    struct op_call call;
    struct owed *owed;
    struct tensor *to;
    struct tensor from;
    struct regression *regression;
    struct cross_entropy cross_entropy;
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

/* ---- several as one -------------------------------------------------------------------------- */

/* A linear regression, and what of it may lie elsewhere in another round. */
struct regression {
    struct regress round;
    const struct tensor *x, *target;
};

static bool is_call(const struct tape *t, const struct deed *d, enum deed_kind kind, enum op_id id)
{
    return d && d->kind == kind && d->call.op == &t->kernels->ops[id];
}

/* Float32, (rows, columns), and row-major. */
static bool is_matrix(const struct tensor *x, int64_t rows, int64_t columns)
{
    return x->dtype == DTYPE_FLOAT32 && x->shape.rank == 2 && x->shape.dim[0] == rows &&
           x->shape.dim[1] == columns && tensor_is_contiguous(x);
}

/* y = b + x w, of a few features, and nothing asks for a gradient of x. */
static bool is_linear(const struct op_call *forward, const struct op_call *backward)
{
    const struct tensor *x = forward->in[1], *w = forward->in[2], *y = forward->out;
    int64_t rows = x->shape.dim[0], features = x->shape.dim[1];
    const struct tensor *dw = backward->grad_in[2];
    return rows >= REGRESS_ROWS && features > 0 && features <= REGRESS_FEATURES &&
           is_matrix(x, rows, features) && is_matrix(w, features, 1) && is_matrix(y, rows, 1) &&
           forward->args.alpha == 1 && forward->args.beta == 1 && !forward->relu &&
           tensor_count(forward->in[0]) == 1 && !backward->grad_in[1] &&
           (!dw || is_matrix(dw, features, 1));
}

/* The squares of y's errors, summed, and their slopes become the gradient that y is given. */
static bool is_squares(const struct op_call *forward, const struct op_call *loss,
                       const struct op_call *slope, const struct op_call *backward)
{
    int64_t rows = forward->out->shape.dim[0];
    return loss->inputs == 2 && loss->args.reduction != REDUCTION_NONE &&
           tensor_data(loss->in[0]) == tensor_data(forward->out) &&
           is_matrix(loss->in[1], rows, 1) && slope->grad_in[0] && !slope->grad_in[1] &&
           is_matrix(slope->grad_in[0], rows, 1) &&
           tensor_data(slope->grad_in[0]) == tensor_data(backward->grad_out);
}

static struct regress describe(const struct op_call *forward, const struct op_call *loss,
                               const struct op_call *slope, const struct op_call *backward)
{
    int64_t rows = forward->out->shape.dim[0];
    struct tensor *db = backward->grad_in[0], *dw = backward->grad_in[2];
    return (struct regress){.rows = rows,
                            .features = forward->in[1]->shape.dim[1],
                            .b = tensor_data(forward->in[0]),
                            .w = tensor_data(forward->in[2]),
                            .y = tensor_data(forward->out),
                            .slope = tensor_data(slope->grad_in[0]),
                            .db = db ? tensor_data(db) : NULL,
                            .dw = dw ? tensor_data(dw) : NULL,
                            .loss = tensor_data(loss->out),
                            .grad = tensor_data(slope->grad_out),
                            .divisor = loss->args.reduction == REDUCTION_MEAN ? (double)rows : 1};
}

/* Where the round is one: the loss's own gradient is set, and all else is one deed. */
static void join_regression(struct tape *t)
{
    struct deed *forward = t->trace.first, *loss = forward ? forward->next : NULL;
    struct deed *seed = loss ? loss->next : NULL, *slope = seed ? seed->next : NULL;
    struct deed *backward = slope ? slope->next : NULL;
    if (!is_call(t, forward, DEED_FORWARD, OP_ADDMM) ||
        !is_call(t, loss, DEED_FORWARD, OP_MSE_LOSS) || !seed || seed->kind != DEED_COPY ||
        !is_call(t, slope, DEED_BACKWARD, OP_MSE_LOSS) ||
        !is_call(t, backward, DEED_BACKWARD, OP_ADDMM) ||
        !is_linear(&forward->call, &backward->call) ||
        !is_squares(&forward->call, &loss->call, &slope->call, &backward->call))
        return;
    struct deed *d = arena_alloc(&t->arena, sizeof *d);
    struct regression *r = arena_alloc(&t->arena, sizeof *r);
    if (!d || !r)
        return;
    r->round = describe(&forward->call, &loss->call, &slope->call, &backward->call);
    r->x = forward->call.in[1];
    r->target = loss->call.in[1];
    d->kind = DEED_REGRESS;
    d->regression = r;
    d->next = backward->next;
    seed->next = d;
    t->trace.first = seed;
}

static void regress(const struct tape *t, struct regression *r)
{
    r->round.x = tensor_data(r->x);
    r->round.target = tensor_data(r->target);
    t->kernels->regress(&r->round);
}

/* log_softmax, of its rows a loss, and the derivatives of both. What they are given is row-major,
 * as neither takes any strides. */
static bool is_cross_entropy(const struct op_call *softmax, const struct op_call *nll,
                             const struct op_call *by_nll, const struct op_call *by_softmax)
{
    return softmax->out->shape.rank == 2 && (softmax->args.dim == 1 || softmax->args.dim == -1) &&
           nll->inputs == 2 && nll->args.reduction != REDUCTION_NONE &&
           nll->in[0] == softmax->out && by_softmax->grad_out == by_nll->grad_in[0];
}

/* Where the loss is one of classes, all that is one deed, behind the loss's own gradient. */
static void join_cross_entropy(const struct tape *t, struct deed **at)
{
    struct deed *softmax = *at, *nll = softmax->next, *seed = nll ? nll->next : NULL;
    struct deed *by_nll = seed ? seed->next : NULL, *by_softmax = by_nll ? by_nll->next : NULL;
    if (!is_call(t, softmax, DEED_FORWARD, OP_LOG_SOFTMAX) ||
        !is_call(t, nll, DEED_FORWARD, OP_NLL_LOSS) || !seed || seed->kind != DEED_COPY ||
        !is_call(t, by_nll, DEED_BACKWARD, OP_NLL_LOSS) ||
        !is_call(t, by_softmax, DEED_BACKWARD, OP_LOG_SOFTMAX) ||
        !is_cross_entropy(&softmax->call, &nll->call, &by_nll->call, &by_softmax->call))
        return;
    softmax->kind = DEED_CROSS_ENTROPY;
    softmax->cross_entropy =
        (struct cross_entropy){&softmax->call, &nll->call, &by_nll->call, &by_softmax->call};
    softmax->next = by_softmax->next;
    seed->next = softmax;
    *at = seed;
}

/* Where it is any other: behind its own gradient, it and its derivative. */
static void join_slopes(struct deed **at)
{
    struct deed *loss = *at, *seed = loss->next, *slopes = seed ? seed->next : NULL;
    if (loss->kind != DEED_FORWARD || !(loss->call.op->flags & WITH_SLOPES) || !slopes ||
        seed->kind != DEED_COPY || slopes->kind != DEED_BACKWARD ||
        slopes->call.op != loss->call.op || slopes->call.in[0] != loss->call.in[0])
        return;
    loss->call.slopes = &slopes->call;
    loss->next = slopes->next;
    seed->next = loss;
    *at = seed;
}

static void join(struct tape *t)
{
    join_regression(t);
    for (struct deed **at = &t->trace.first; *at; at = &(*at)->next) {
        join_cross_entropy(t, at);
        join_slopes(at);
    }
}

/* ---- again ----------------------------------------------------------------------------------- */

void tape_trace_end(struct tape *t)
{
    if (t->trace.recording)
        join(t);
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
    case DEED_REGRESS:
        regress(t, d->regression);
        break;
    case DEED_CROSS_ENTROPY:
        t->kernels->cross_entropy(&d->cross_entropy);
        break;
    }
}

void tape_repeat(struct tape *t)
{
    for (struct deed *d = t->trace.first; d; d = d->next)
        repeat(t, d);
    t->owed = t->trace.owed;
}
