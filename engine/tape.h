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

/* What backward reads of a tensor, and whether that is still what forward read. */
struct saved {
    struct storage *storage; /* NULL: not saved */
    uint64_t version;        /* when it was saved */
};

/* One recorded operation, or a leaf's AccumulateGrad (leaf not NULL). Arrays: call.inputs each. */
struct node {
    struct op_call call;
    struct tensor **input; /* as they were given, for their shape and type */
    struct node **next;    /* where the gradient of each input goes; NULL: nowhere */
    struct saved *saved;   /* of the inputs, and then of the output and of aux */
    struct tensor *leaf;
    struct tensor *output;   /* for its shape and type */
    struct tensor *part;     /* CopySlices: what the operation has changed in place is this view of
                                the output, laid out as it was then; what it has not seen of the
                                gradient it passes on. NULL: a node as any */
    enum dtype dtype;        /* that the row has computed in: that of the gradient it is given */
    struct tensor *retained; /* what the gradient of the output is kept for (retain_grad) */
    struct tensor *grad;     /* backward: what has arrived at the output so far */
    struct node *older;      /* made before this one */
    unsigned uses;           /* backward: edges of the walk that lead here */
    bool gated;              /* a ReLU's: grad is that of its input already */
    bool spent;              /* its saved tensors are given up */
};

/* The gradient of a leaf that backward has not computed: the product yet to be made, rows by
 * columns as its slot has them. What it is made of lives on the tape. */
struct owed {
    const struct tensor *leaf;
    struct matmul_args product; /* c is the slot, dense in rows; it adds nothing */
    struct owed *older;
};

/* A sum of squares that is known: of the numbers from data on, all that a tensor has. */
struct squares {
    const void *data; /* NULL: of none */
    double sum;
};

/* What a round computed, in order, to be done again (tape_trace). */
struct deed;
struct trace {
    bool recording;
    const void *of; /* whose round it is, as its caller tells them apart */
    uint64_t round; /* which one; with another one all of this is gone */
    struct deed *first, **end;
    struct owed *owed;      /* at the round's end */
    struct tensor *kept[3]; /* of use to the caller */
};

/* Elements of a tensor, dimensions of 0 counting as 1, on a tape whose work is bounded. */
#define TAPE_EXTENT_MAX 0x1p30

struct tape {
    const struct kernels *kernels;
    struct arena arena;
    struct node *newest;
    uint64_t round;     /* of this reset, one of its kind: a leaf knows to which its node belongs */
    bool grad_disabled; /* torch.no_grad() */
    bool dry;       /* shapes, types and nodes only: tensors have no numbers (tensor_data NULL) */
    bool capturing; /* a backward that leaves the leaves alone (tape_grad) */
    bool owes;      /* backward may leave large gradients of leaves with a slot uncomputed, … */
    bool keeps;     /* (they are wanted after the round: only what is worth deferring is owed) */
    struct owed *owed;    /* … which then are here, until they are settled */
    struct squares known; /* by the caller, of an input of the round: spares a bound the sum */
    struct trace trace;
    size_t bytes;      /* of the numbers of this round's tensors, those of a dry one too */
    double work;       /* multiplications that products have taken so far, about */
    double work_max;   /* … and may take; 0: any number */
    void *workspace;   /* MATMUL_WORKSPACE_BYTES and ROOM_BYTES; NULL if dry. Nothing stays in it
                          between two calls, so another may be put there */
    struct crew *crew; /* borrowed: whom large work is shared with (crew.h); NULL: nobody */
};

/* errors NOMEM. The workspace is allocated; the rest grows with use. */
MUST_USE enum err_kind tape_init(struct tape *t, const struct kernels *kernels, struct err *e);
/* A dry one: cannot fail, allocates nothing before its first tensor. */
void tape_init_dry(struct tape *t, const struct kernels *kernels);
/* Makes a fresh one dry no longer: it gets its workspace, unless it has one. errors NOMEM */
MUST_USE enum err_kind tape_equip(struct tape *t, struct err *e);
void tape_close(struct tape *t);
/* Forgets all tensors and nodes; leaves keep their .grad where it lies in a slot of their own. */
void tape_reset(struct tape *t);

/* Memory of this round; NULL: none. */
MUST_USE struct tensor *tape_tensor(struct tape *t, enum dtype dtype, const struct shape *shape);
/* A fresh tensor struct that shares storage, shape and strides with like; no history. */
MUST_USE struct tensor *tape_alias(struct tape *t, const struct tensor *like);

/* Applies a row to in[0..inputs); *out is made on the tape, and with HAS_AUX *aux (may be NULL).
 * args NULL: op_args_default. The output requires a gradient when an input does, the row has a
 * derivative, the output is of a float type and grad_disabled is not set.
 *   errors  INVALID shapes or types that do not fit, in PyTorch's words; work_max is reached; an
 *                   input whose history cannot be told (tape_refresh) · NOMEM */
MUST_USE enum err_kind op_apply_many(struct tape *t, enum op_id id, const struct op_args *args,
                                     struct tensor *const *in, int inputs, struct tensor **out,
                                     struct tensor **aux, struct err *e);
/* The same for a row of a fixed number of inputs and one output. */
MUST_USE enum err_kind op_apply(struct tape *t, enum op_id id, const struct op_args *args,
                                struct tensor *const *in, struct tensor **out, struct err *e);
/* A row and then a ReLU: a product (MAY_GATE) of floats in one pass. Both leave their nodes; what
 * is between them is nowhere then, and nothing reads it. */
MUST_USE enum err_kind op_apply_relu(struct tape *t, enum op_id id, struct tensor *const *in,
                                     struct tensor **out, struct err *e);
/* in[0] becomes what the row gives, as by PyTorch's `x.add_(y)`: its numbers are overwritten, its
 * version counts one more, and its history goes on with the row's node. Where in[0] is a view, that
 * node becomes its base's (CopySlices), and the view is one of what the base is now.
 *   errors  INVALID as op_apply, and: a leaf that requires a gradient, or a view of one; a view
 *           made where gradients were not recorded; several elements that are one; an output of
 *           another shape, or of a type of a higher category · NOMEM */
MUST_USE enum err_kind op_apply_in_place(struct tape *t, enum op_id id, const struct op_args *args,
                                         struct tensor *const *in, int inputs, struct err *e);

/* Brings the history of a view up to date: where it or its base has been changed in place since,
 * it is an as_strided of what the base is now. What reads x->grad_fn or x->requires_grad of a
 * tensor that may be a view calls this first; the functions of this header have done so.
 *   errors  INVALID  such a view, made where gradients were not recorded · NOMEM */
MUST_USE enum err_kind tape_refresh(struct tape *t, struct tensor *x, struct err *e);

/* The class of PyTorch's node: "AddBackward0", "AccumulateGrad", "CopySlices". */
const char *node_class(const struct node *n);
/* What its name() says: those that are no operation's stand in a namespace. */
const char *node_name(const struct node *n);
/* The class of x.grad_fn, of a view that is to be refreshed too; NULL: a leaf has none. */
const char *tensor_grad_fn_class(const struct tensor *x);

/* CONFLICT: what a node saved has been given up. */
enum err_kind tape_given_up(struct err *e);

/* x, refreshed, keeps the gradient that reaches it in .grad, though it is no leaf. */
void tape_retain_grad(struct tensor *x);

/* Adds d(root)/d(leaf) into the .grad of every leaf that requires it; never overwrites.
 *   gradient  NULL for a scalar root: 1
 *   retain    keep the graph for another backward
 *   errors    INVALID  root is no scalar and there is no gradient, or it requires none
 *             CONFLICT a second time through a graph that was given up; a saved tensor was
 *                      changed in place
 *             NOMEM    gradients may have been accumulated in part */
MUST_USE enum err_kind tape_backward(struct tape *t, struct tensor *root,
                                     const struct tensor *gradient, bool retain, struct err *e);
/* A large gradient that is used once need not be written to memory and read back: an optimizer can
 * make it piece by piece, in the cache. The product of `owed` that leaf's gradient is, NULL: it is
 * in its slot. */
const struct owed *tape_owed(const struct tape *t, const struct tensor *leaf);
/* The elements [row, row + rows) x [col, col + cols) into `to`, whose rows are so far apart; the
 * same bits as in the slot; beside as in matmul_args. Any thread, with a workspace of its own. */
void tape_owed_part(const struct tape *t, const struct owed *w, int64_t row, int64_t rows,
                    int64_t col, int64_t cols, void *to, int64_t row_stride, struct matrix beside,
                    void *workspace);
/* A bound of the sum of its squares (that of a's times that of b's: Cauchy and Schwarz), without
 * making it. INFINITY: not easily told. */
double tape_owed_squares(const struct tape *t, const struct owed *w);
/* Computes what is owed into its slots. */
void tape_settle(struct tape *t);

/* A round can be done again without making its graph anew, for as long as nothing but numbers is
 * other than it was: those of the parameters, and of the tensors it was given, in whose storages
 * other data may be put. Gradients of leaves are None when it begins, as they were.
 *
 * From here on what the round computes is kept. Only rows of OPS and their derivatives are, so the
 * round may compute nothing by other ways. */
void tape_trace(struct tape *t, const void *of);
/* The round is complete. */
void tape_trace_end(struct tape *t);
/* Is the tape's round one `of` that can be repeated? */
bool tape_has_trace(const struct tape *t, const void *of);
/* Repeats it: all tensors of the round but those between operations that have become one, the
 * leaves' .grad, and what is owed. */
void tape_repeat(struct tape *t);
/* It is not to be repeated. */
static inline void tape_forget_trace(struct tape *t)
{
    t->trace.round = 0;
}

/* torch.autograd.grad: d(root)/d(x[i]) into out[i], NULL where root does not depend on it; no .grad
 * is touched. errors as tape_backward, and INVALID: x[i] does not require a gradient */
MUST_USE enum err_kind tape_grad(struct tape *t, struct tensor *root, const struct tensor *gradient,
                                 bool retain, struct tensor *const *x, int count,
                                 struct tensor **out, struct err *e);

#endif
