/* engine/ops.h - the operations: one row each, three functions that stand together.
 *
 * From the rows the preprocessor makes the enum, the prototypes and the table of every instruction
 * set. A missing function does not link; a row without a sample fails tests/engine/test_ops.c.
 *
 *   infer     checks shapes and types and gives the output its own; the only one that can fail
 *   forward   computes the output (a view row has nothing to compute)
 *   backward  writes the gradient of every input that asks for one (grad_in not NULL); the walk
 *             adds up what reaches an input by several ways, so a derivative never adds
 *
 * Source of the derivatives and names: PyTorch, tools/autograd/derivatives.yaml.
 */
#ifndef ENGINE_OPS_H
#define ENGINE_OPS_H

#include "engine/kernels.h"
#include "engine/tensor.h"

#define OP_INPUTS_MAX 3

/* What backward may read. The others are NULL when it runs, so an undeclared read cannot hide. */
#define SAVE_NONE  0u
#define SAVE_IN(i) (1u << (i))
#define SAVE_OUT   (1u << OP_INPUTS_MAX)

#define IS_VIEW     1u /* the output shares its input's storage */
#define ANY_STRIDES 2u /* takes any strides; other rows are given row-major copies */
#define PROMOTES    4u /* operands of different types are brought to the wider one */

/*    id           fn               grad node                              in saves flags */
#define OPS(X)                                                                                     \
    X(ADD, add, "AddBackward0", 2, SAVE_NONE, ANY_STRIDES | PROMOTES)                              \
    X(SUB, sub, "SubBackward0", 2, SAVE_NONE, ANY_STRIDES | PROMOTES)                              \
    X(MUL, mul, "MulBackward0", 2, SAVE_IN(0) | SAVE_IN(1), ANY_STRIDES | PROMOTES)                \
    X(ABS, abs, "AbsBackward0", 1, SAVE_IN(0), 0)                                                  \
    X(SUM, sum, "SumBackward0", 1, SAVE_NONE, 0)                                                   \
    X(MEAN, mean, "MeanBackward0", 1, SAVE_NONE, 0)                                                \
    X(T, t, "TBackward0", 1, SAVE_NONE, ANY_STRIDES | IS_VIEW)                                     \
    X(VIEW, view, "ViewBackward0", 1, SAVE_NONE, IS_VIEW)                                          \
    X(MM, mm, "MmBackward0", 2, SAVE_IN(0) | SAVE_IN(1), ANY_STRIDES)                              \
    X(ADDMM, addmm, "AddmmBackward0", 3, SAVE_IN(1) | SAVE_IN(2), ANY_STRIDES)                     \
    X(RELU, relu, "ReluBackward0", 1, SAVE_OUT, 0)                                                 \
    X(LEAKY_RELU, leaky_relu, "LeakyReluBackward0", 1, SAVE_IN(0), 0)                              \
    X(SIGMOID, sigmoid, "SigmoidBackward0", 1, SAVE_OUT, 0)                                        \
    X(TANH, tanh, "TanhBackward0", 1, SAVE_OUT, 0)                                                 \
    X(GELU, gelu, "GeluBackward0", 1, SAVE_IN(0), 0)                                               \
    X(SILU, silu, "SiluBackward0", 1, SAVE_IN(0), 0)                                               \
    X(SOFTMAX, softmax, "SoftmaxBackward0", 1, SAVE_OUT, 0)                                        \
    X(LOG_SOFTMAX, log_softmax, "LogSoftmaxBackward0", 1, SAVE_OUT, 0)                             \
    X(NLL_LOSS, nll_loss, "NllLossBackward0", 2, SAVE_IN(1), 0)                                    \
    X(MSE_LOSS, mse_loss, "MseLossBackward0", 2, SAVE_IN(0) | SAVE_IN(1), 0)                       \
    X(SMOOTH_L1, smooth_l1_loss, "SmoothL1LossBackward0", 2, SAVE_IN(0) | SAVE_IN(1), 0)           \
    X(HUBER, huber_loss, "HuberLossBackward0", 2, SAVE_IN(0) | SAVE_IN(1), 0)                      \
    X(BCE_LOGITS, bce_with_logits, "BinaryCrossEntropyWithLogitsBackward0", 2,                     \
      SAVE_IN(0) | SAVE_IN(1), 0)

enum op_id {
#define OP_ENUM(id, fn, node, arity, saves, flags) OP_##id,
    OPS(OP_ENUM)
#undef OP_ENUM
        OP_COUNT
};

enum reduction { REDUCTION_MEAN, REDUCTION_SUM };

/* The arguments that are no tensors; each row reads its own. */
struct op_args {
    double alpha;             /* add, sub: multiplies the second operand (0 means 1);
                                 leaky_relu: the slope; smooth_l1: beta; huber: delta */
    bool tanh;                /* gelu: the tanh form */
    int dim;                  /* softmax, log_softmax: from the end if negative */
    struct shape shape;       /* view */
    enum reduction reduction; /* losses */
};

/* One application of a row, forwards and later backwards. */
struct op_call {
    const struct op *op;
    const struct kernels *kernels;
    void *workspace; /* MATMUL_WORKSPACE_BYTES */
    struct op_args args;
    const struct tensor *in[OP_INPUTS_MAX];
    struct tensor *out;
    const struct tensor *grad_out;         /* backward: contiguous unless ANY_STRIDES */
    struct tensor *grad_in[OP_INPUTS_MAX]; /* backward: has the input's shape; NULL: not asked */
};

typedef enum err_kind op_infer_fn(const struct op_call *c, struct tensor *out, struct err *e);
typedef void op_run_fn(const struct op_call *c);

struct op {
    const char *name; /* as in `fn` */
    const char *node;
    int arity;
    unsigned saves, flags;
    op_infer_fn *infer;
    op_run_fn *forward, *backward;
};

#ifdef ISA
#include "engine/isa.h"
#define OP_PROTOTYPES(id, fn, node, arity, saves, flags)                                           \
    op_infer_fn ISA_FN(fn##_infer);                                                                \
    op_run_fn ISA_FN(fn##_forward), ISA_FN(fn##_backward);
OPS(OP_PROTOTYPES)
#undef OP_PROTOTYPES
/* Runs fn_f32 or fn_f64, by the type of the numbers. */
#define BY_TYPE(dtype, fn, ...)                                                                    \
    ((dtype) == DTYPE_FLOAT32 ? fn##_f32(__VA_ARGS__) : fn##_f64(__VA_ARGS__))
#endif

#endif
