/* engine/tensor.h - numbers with a shape, seen through strides.
 *
 * A tensor is a view of a storage; several tensors may share one (a transpose, a reshape). The
 * storage counts its in-place changes, so that backward notices when what it saved is stale.
 *
 * Ownership: a tensor owns nothing. Its memory belongs to a tape's arena, to a module's blocks or
 *            to whoever wrapped it (tensor_wrap), and must live as long as it is used.
 * Threads:   reading a tensor's numbers and shape from several threads is fine while none writes.
 */
#ifndef ENGINE_TENSOR_H
#define ENGINE_TENSOR_H

#include "engine/dtype.h"
#include "engine/shape.h"

struct node;

struct storage {
    void *data;
    size_t bytes;     /* at data; 0: not known */
    uint64_t version; /* in-place changes so far */
};

struct tensor {
    struct storage *storage;
    enum dtype dtype;
    struct shape shape;
    int64_t stride[RANK_MAX]; /* in elements */
    int64_t offset;           /* of the first element, in elements */
    bool requires_grad;
    bool number; /* a Python number in a tensor's place: promotes less (tensor_result_type) */
    struct node *grad_fn; /* what made it; NULL for a leaf */
    /* Of a view: what it is a view of (no view itself), and the version of the storage that its
     * history speaks of. When that has changed since, the history is no longer true (tape_refresh).
     */
    struct tensor *base;
    uint64_t base_version;
    bool without_grad; /* a view made where gradients were not recorded */
    bool retains_grad; /* what made it keeps its gradient for it (retain_grad) */

    /* Of a leaf that requires a gradient: */
    struct tensor *grad;      /* what has been accumulated; NULL: none (PyTorch's None) */
    struct tensor *grad_slot; /* where it goes; NULL: the tape finds memory */
    struct node *accumulate;  /* its AccumulateGrad in a tape's round `round`; 0: none */
    uint64_t round;
};

/* The type that operands of mixed types are computed in: of those with dimensions first, then of
 * those without, then of Python numbers; a later group counts only where it is of a higher
 * category (bool, integer, float). torch.result_type. */
enum dtype tensor_result_type(const struct tensor *const *x, int count);

static inline int64_t tensor_count(const struct tensor *t)
{
    return shape_count(&t->shape);
}

/* A view of what requires a gradient does so too, and be it from now on. */
static inline bool tensor_requires_grad(const struct tensor *t)
{
    return t->requires_grad || (t->base && t->base->requires_grad);
}

/* The address of its first element; NULL: its numbers are not there (tape.h, `dry`). */
void *tensor_data(const struct tensor *t);

/* A contiguous, row-major leaf over storage, which the caller keeps alive. */
void tensor_wrap(struct tensor *t, struct storage *storage, enum dtype dtype,
                 const struct shape *shape, int64_t offset);

/* x's numbers and how they are seen, without its history and its gradient: those of a parameter are
 * another thread's to write while this one reads the numbers, so no copy of a whole struct tensor
 * may be made of an input. */
struct tensor tensor_seen(const struct tensor *x);

/* Are its elements one row-major run? */
bool tensor_is_contiguous(const struct tensor *t);
/* Are its elements one run without holes, in some order of the dimensions? */
bool tensor_is_dense(const struct tensor *t);

/* What of its storage x spans, in elements: from is its first one, to is behind its last one; both
 * are 0 if it has none. Strides are not negative. */
void tensor_span(const struct tensor *x, int64_t *from, int64_t *to);

/* Gives t the strides of a row-major run. */
void tensor_set_contiguous(struct tensor *t);
/* Gives t a dense layout in the order of like's strides (same rank); row-major if like is not
 * dense itself. So the gradient of a transposed weight is laid out as the weight is. */
void tensor_set_layout(struct tensor *t, const struct tensor *like);

/* The strides that show x's elements in the given shape, in the same order, without a copy; as
 * PyTorch's view() has them. false: there are none. The shape has as many elements as x. */
bool tensor_view_strides(const struct tensor *x, const struct shape *shape,
                         int64_t stride[RANK_MAX]);

/* x becomes the view of itself from start on, of so many, along dim; or at one index of dim, which
 * goes. The caller has checked the bounds. */
void tensor_narrow(struct tensor *x, int dim, int64_t start, int64_t length);
void tensor_select(struct tensor *x, int dim, int64_t index);

/* Copies, converting the type: dst and src have the same shape. Any strides. */
void tensor_copy(struct tensor *dst, const struct tensor *src);

#endif
