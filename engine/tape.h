/* engine/tape.h - records operations and runs them backwards.
 *
 * A dynamic tape as PyTorch's: every operation on a tensor that requires a gradient leaves a node;
 * tape_backward walks the nodes from a root, in reverse order of their making, and adds into the
 * .grad of the leaves.
 *
 * Owns:    every tensor and node made since tape_reset, in one arena that is reused: a round that
 *          needs no more memory than an earlier one allocates nothing.
 * Threads: one tape, one thread at a time; no locks inside.
 * Source:  PyTorch, torch/csrc/autograd/engine.cpp.
 */
#ifndef ENGINE_TAPE_H
#define ENGINE_TAPE_H

#include "engine/mem.h"
#include "engine/ops.h"

/* One recorded operation, or a leaf's AccumulateGrad (leaf not NULL). */
struct node {
    struct op_call call;
    struct tensor *input[OP_INPUTS_MAX]; /* as they were given, for their shape and type */
    struct node *next[OP_INPUTS_MAX];    /* where the gradient of each input goes; NULL: nowhere */
    struct storage *saved[OP_INPUTS_MAX + 1]; /* what backward reads; the last is the output */
    uint64_t version[OP_INPUTS_MAX + 1];      /* … and its version when it was saved */
    struct tensor *leaf;
    struct tensor *grad; /* backward: what has arrived at the output so far */
    struct node *older;  /* made before this one */
    unsigned uses;       /* backward: edges of the walk that lead here */
    bool spent;          /* its saved tensors are given up */
};

struct tape {
    const struct kernels *kernels;
    struct arena arena;
    struct node *newest;
    uint64_t round;     /* of this reset, one of its kind: a leaf knows to which its node belongs */
    bool grad_disabled; /* torch.no_grad() */
    void *workspace;
};

/* errors NOMEM. The workspace is allocated; the rest grows with use. */
MUST_USE enum err_kind tape_init(struct tape *t, const struct kernels *kernels, struct err *e);
void tape_close(struct tape *t);
/* Forgets all tensors and nodes; leaves keep their .grad where it lies in a slot of their own. */
void tape_reset(struct tape *t);

/* Memory of this round; NULL: none. */
MUST_USE struct tensor *tape_tensor(struct tape *t, enum dtype dtype, const struct shape *shape);
/* A fresh tensor struct that shares storage, shape and strides with like; no history. */
MUST_USE struct tensor *tape_alias(struct tape *t, const struct tensor *like);

/* Applies a row to in[0..arity); *out is made on the tape. args NULL: all zero.
 * The output requires a gradient when an input does and grad_disabled is not set.
 *   errors  INVALID shapes or types that do not fit, in PyTorch's words · NOMEM */
MUST_USE enum err_kind op_apply(struct tape *t, enum op_id id, const struct op_args *args,
                                struct tensor *const *in, struct tensor **out, struct err *e);

/* Adds d(root)/d(leaf) into the .grad of every leaf that requires it; never overwrites.
 *   gradient  NULL for a scalar root: 1
 *   retain    keep the graph for another backward
 *   errors    INVALID  root is no scalar and there is no gradient, or it requires none
 *             CONFLICT a second time through a graph that was given up; a saved tensor was
 *                      changed in place
 *             NOMEM    gradients may have been accumulated in part */
MUST_USE enum err_kind tape_backward(struct tape *t, struct tensor *root,
                                     const struct tensor *gradient, bool retain, struct err *e);

#endif
