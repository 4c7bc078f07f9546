/* engine/tape_inside.h - what tape.c, in_place.c, slices.c and backward.c share. */
#ifndef ENGINE_TAPE_INSIDE_H
#define ENGINE_TAPE_INSIDE_H

#include "engine/tape.h"

/* Gives x, whose layout is set, a storage of its own in the arena. false: no memory. */
MUST_USE bool tape_allocate(struct tape *t, struct tensor *x);
/* x itself, or a row-major copy of type dtype when it is not one. NULL: no memory. */
MUST_USE const struct tensor *tape_prepared(struct tape *t, const struct tensor *x,
                                            enum dtype dtype, bool any_strides);
/* Where a gradient of x goes: to the node that made it, or to its AccumulateGrad.
 * false: no memory. *edge NULL: x wants none. */
MUST_USE bool tape_edge(struct tape *t, struct tensor *x, struct node **edge);
/* Lends the tape's working memory to a call. A node keeps its call longer than the tape its
 * memory, so each time a call runs. */
static inline void tape_lend(const struct tape *t, struct op_call *c)
{
    c->workspace = t->workspace;
    c->crew = t->crew;
    c->room = t->workspace ? (char *)t->workspace + MATMUL_WORKSPACE_BYTES : NULL;
}
/* x as it is now, to be found changed or not. */
static inline struct saved tape_saved(const struct tensor *x)
{
    return (struct saved){.storage = x->storage, .version = x->storage->version};
}
enum err_kind tape_no_memory(struct err *e);

/* What a trace is made of. */
enum deed_kind {
    DEED_FORWARD,       /* a row has run */
    DEED_BACKWARD,      /* its derivative has */
    DEED_OWE,           /* it has described a product that is owed */
    DEED_COPY,          /* `to` has got the numbers of `from`, */
    DEED_ADD,           /* … in addition to its own: both are dense, in the same order, */
    DEED_SUM,           /* … summed over what was broadcast */
    DEED_GRADIENT,      /* the leaf `to` has its gradient, in its slot */
    DEED_REGRESS,       /* in place of several: a linear regression (regress.h), */
    DEED_CROSS_ENTROPY, /* … a loss and its gradient (cross_entropy.h) */
};
/* Notes it, if the round is traced. A tensor that is `to` stays where it is, and so does `from`'s
 * storage; the call's arrays, all but grad_in, as well.
 *   owed  with DEED_OWE */
void tape_did_call(struct tape *t, enum deed_kind kind, const struct op_call *c, struct owed *w);
void tape_did(struct tape *t, enum deed_kind kind, struct tensor *to, const struct tensor *from);
/* The round does what cannot be noted. */
void tape_trace_fails(struct tape *t);

/* Has the call, whose only grad_in is a leaf's slot, describe the product that it is.
 * false: the slot is not dense. */
bool tape_describe(struct owed *w, const struct op_call *c);
/* Leaves the gradient of n's i-th input, which the call's row would write into a leaf's slot, owed.
 * false: it is to be computed. */
MUST_USE bool tape_owe(struct tape *t, const struct node *n, int i, const struct op_call *c);

/* The gradient of what an operation has changed a part of in place, laid out as both lie in their
 * storage. */
struct slices {
    struct tensor *whole, *part;
};
/* A copy of n's gradient, and the part of it that n's operation made (n->part). false: no memory.
 */
MUST_USE bool slices_begin(struct tape *t, const struct node *n, struct slices *s);
/* g, the gradient that the operation passes on, takes the part's place: the gradient of what there
 * was before. NULL: no memory. */
MUST_USE struct tensor *slices_end(struct tape *t, const struct slices *s, const struct tensor *g);

/* Copies the numbers, if there are any. */
void tape_copy(struct tape *t, struct tensor *dst, const struct tensor *src);

#endif
