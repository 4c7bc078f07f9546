/* engine/ops.h - the operations: one row each, functions that stand together.
 *
 * From the rows the preprocessor makes the enum, the prototypes and the table of every instruction
 * set. A missing function does not link; a row without a sample fails tests/engine/test_ops.c.
 *
 *   infer     checks shapes and types and gives the output its own; the only one that can fail
 *   forward   computes the output (a view row has nothing to compute)
 *   backward  writes the gradient of every input that asks for one (grad_in not NULL); the walk
 *             adds up what reaches an input by several ways, so a derivative never adds
 *
 * A row is one entry of PyTorch's derivatives.yaml: what PyTorch names differently (SumBackward0
 * over everything, SumBackward1 over dimensions) has a row each, which may share its functions.
 * Source of the derivatives and names: PyTorch 1.13, tools/autograd/derivatives.yaml.
 */
#ifndef ENGINE_OPS_H
#define ENGINE_OPS_H

#include "engine/kernels.h"
#include "engine/tensor.h"

/* What backward may read, said for each gradient: GRAD(0, SAVE_IN(1) | SAVE_OUT) means that the
 * gradient of input 0 is made of input 1 and the output. Only what the gradients that are asked for
 * need is saved; the others are NULL when backward runs, so an undeclared read cannot hide. */
#define SAVED_INPUTS_MAX 6
#define SAVE_IN(i)       (UINT64_C(1) << (i)) /* i < SAVED_INPUTS_MAX */
#define SAVE_OUT         (UINT64_C(1) << SAVED_INPUTS_MAX)
#define SAVE_AUX         (UINT64_C(1) << (SAVED_INPUTS_MAX + 1))
#define SAVE_BITS        (SAVED_INPUTS_MAX + 2)
#define GRAD(i, saves)   ((uint64_t)(saves) << (SAVE_BITS * (i))) /* i < SAVED_INPUTS_MAX */
#define SAVE_NONE        UINT64_C(0)

#define ANY_STRIDES 1u    /* takes any strides; other rows are given row-major copies */
#define PROMOTES    2u    /* operands of different types are brought to tensor_result_type */
#define TO_FLOAT    4u    /* … and if that is no float, to float32 */
#define BOOL_AS_INT 8u    /* … and if that is bool, to int64; an int64 output goes back to bool */
#define IS_VIEW     16u   /* the output shares its first input's storage */
#define REARRANGES  32u   /* a view whose gradient is a view of the output's gradient */
#define HAS_AUX     64u   /* has a second output, which no gradient flows through */
#define SUMS        128u  /* a bool input is counted as int64 */
#define CASTS       256u  /* the input is brought to args.dtype, if has_dtype */
#define GRAD_ROWS   512u  /* ANY_STRIDES, but its grad_out is row-major all the same */
#define SOLE_VIEW   1024u /* a view of what nothing else sees: may be changed in place as if none */

/* The names of the inputs, as PyTorch's grad_fn shows them ("_saved_self"), stand in the row.
 *    id           fn               grad node                inputs               saves       flags
 */
#define OPS_ARITH(X)                                                                               \
    X(ADD, add, "AddBackward0", "self other", SAVE_NONE, ANY_STRIDES | PROMOTES | BOOL_AS_INT)     \
    X(SUB, sub, "SubBackward0", "self other", SAVE_NONE, ANY_STRIDES | PROMOTES)                   \
    X(MUL, mul, "MulBackward0", "self other", GRAD(0, SAVE_IN(1)) | GRAD(1, SAVE_IN(0)),           \
      ANY_STRIDES | PROMOTES | BOOL_AS_INT)

#define OPS_UNARY(X) X(ABS, abs, "AbsBackward0", "self", GRAD(0, SAVE_IN(0)), 0)

#define OPS_REDUCE(X)                                                                              \
    X(SUM, sum, "SumBackward0", "self", SAVE_NONE, SUMS | CASTS)                                   \
    X(SUM_DIM, sum_dim, "SumBackward1", "self", SAVE_NONE, SUMS | CASTS)                           \
    X(MEAN, mean, "MeanBackward0", "self", SAVE_NONE, CASTS)                                       \
    X(MEAN_DIM, mean_dim, "MeanBackward1", "self", SAVE_NONE, CASTS)                               \
    X(MAX, max, "MaxBackward1", "self", GRAD(0, SAVE_IN(0) | SAVE_OUT), 0)                         \
    X(MIN, min, "MinBackward1", "self", GRAD(0, SAVE_IN(0) | SAVE_OUT), 0)                         \
    X(MAX_DIM, max_dim, "MaxBackward0", "self", GRAD(0, SAVE_AUX), HAS_AUX)                        \
    X(MIN_DIM, min_dim, "MinBackward0", "self", GRAD(0, SAVE_AUX), HAS_AUX)                        \
    X(AMAX, amax, "AmaxBackward0", "self", GRAD(0, SAVE_IN(0) | SAVE_OUT), 0)                      \
    X(AMIN, amin, "AminBackward0", "self", GRAD(0, SAVE_IN(0) | SAVE_OUT), 0)

#define VIEWS_ANEW (ANY_STRIDES | GRAD_ROWS | IS_VIEW | REARRANGES)
#define OPS_VIEW(X)                                                                                \
    X(T, t, "TBackward0", "self", SAVE_NONE, ANY_STRIDES | IS_VIEW | REARRANGES)                   \
    X(VIEW, view, "ViewBackward0", "self", SAVE_NONE, VIEWS_ANEW)                                  \
    X(RESHAPE_ALIAS, view, "ReshapeAliasBackward0", "self", SAVE_NONE, VIEWS_ANEW)                 \
    X(UNSAFE_VIEW, view, "UnsafeViewBackward0", "self", SAVE_NONE, VIEWS_ANEW | SOLE_VIEW)         \
    X(TRANSPOSE, transpose, "TransposeBackward0", "self", SAVE_NONE,                               \
      ANY_STRIDES | IS_VIEW | REARRANGES)                                                          \
    X(PERMUTE, permute, "PermuteBackward0", "self", SAVE_NONE, ANY_STRIDES | IS_VIEW | REARRANGES) \
    X(SQUEEZE, squeeze, "SqueezeBackward0", "self", SAVE_NONE, ANY_STRIDES | IS_VIEW | REARRANGES) \
    X(SQUEEZE_DIM, squeeze_dim, "SqueezeBackward1", "self", SAVE_NONE,                             \
      ANY_STRIDES | IS_VIEW | REARRANGES)                                                          \
    X(SQUEEZE_DIM_, squeeze_dim, "SqueezeBackward3", "self", SAVE_NONE,                            \
      ANY_STRIDES | IS_VIEW | REARRANGES)                                                          \
    X(UNSQUEEZE, unsqueeze, "UnsqueezeBackward0", "self", SAVE_NONE,                               \
      ANY_STRIDES | IS_VIEW | REARRANGES)                                                          \
    X(EXPAND, expand, "ExpandBackward0", "self", SAVE_NONE, ANY_STRIDES | IS_VIEW)                 \
    X(SLICE, slice, "SliceBackward0", "self", SAVE_NONE, ANY_STRIDES | IS_VIEW)                    \
    X(SELECT, select, "SelectBackward0", "self", SAVE_NONE, ANY_STRIDES | IS_VIEW)

/* Numbers put elsewhere, of any type. */
#define OPS_MOVE(X)                                                                                \
    X(CLONE, clone, "CloneBackward0", "self", SAVE_NONE, ANY_STRIDES)                              \
    X(TO_COPY, to_copy, "ToCopyBackward0", "self", SAVE_NONE, ANY_STRIDES)                         \
    X(CAT, cat, "CatBackward0", "tensors", SAVE_NONE, ANY_STRIDES | PROMOTES)                      \
    X(STACK, stack, "StackBackward0", "tensors", SAVE_NONE, ANY_STRIDES | PROMOTES)

#define OPS_MATMUL(X)                                                                              \
    X(MM, mm, "MmBackward0", "self mat2", GRAD(0, SAVE_IN(1)) | GRAD(1, SAVE_IN(0)), ANY_STRIDES)  \
    X(ADDMM, addmm, "AddmmBackward0", "self mat1 mat2", GRAD(1, SAVE_IN(2)) | GRAD(2, SAVE_IN(1)), \
      ANY_STRIDES)

#define OPS_ACTIVATION(X)                                                                          \
    X(RELU, relu, "ReluBackward0", "self", GRAD(0, SAVE_OUT), 0)                                   \
    X(LEAKY_RELU, leaky_relu, "LeakyReluBackward0", "self", GRAD(0, SAVE_IN(0)), 0)                \
    X(SIGMOID, sigmoid, "SigmoidBackward0", "self", GRAD(0, SAVE_OUT), TO_FLOAT)                   \
    X(TANH, tanh, "TanhBackward0", "self", GRAD(0, SAVE_OUT), TO_FLOAT)                            \
    X(GELU, gelu, "GeluBackward0", "self", GRAD(0, SAVE_IN(0)), 0)                                 \
    X(SILU, silu, "SiluBackward0", "self", GRAD(0, SAVE_IN(0)), 0)

#define OPS_SOFTMAX(X)                                                                             \
    X(SOFTMAX, softmax, "SoftmaxBackward0", "self", GRAD(0, SAVE_OUT), 0)                          \
    X(LOG_SOFTMAX, log_softmax, "LogSoftmaxBackward0", "self", GRAD(0, SAVE_OUT), 0)

#define OPS_LOSS(X)                                                                                \
    X(NLL_LOSS, nll_loss, "NllLossBackward0", "self target", GRAD(0, SAVE_IN(1)), 0)               \
    X(MSE_LOSS, mse_loss, "MseLossBackward0", "self target",                                       \
      GRAD(0, SAVE_IN(0) | SAVE_IN(1)) | GRAD(1, SAVE_IN(0) | SAVE_IN(1)), 0)                      \
    X(SMOOTH_L1, smooth_l1_loss, "SmoothL1LossBackward0", "self target",                           \
      GRAD(0, SAVE_IN(0) | SAVE_IN(1)) | GRAD(1, SAVE_IN(0) | SAVE_IN(1)), 0)                      \
    X(HUBER, huber_loss, "HuberLossBackward0", "self target",                                      \
      GRAD(0, SAVE_IN(0) | SAVE_IN(1)) | GRAD(1, SAVE_IN(0) | SAVE_IN(1)), 0)                      \
    X(BCE_LOGITS, bce_with_logits, "BinaryCrossEntropyWithLogitsBackward0", "self target",         \
      GRAD(0, SAVE_IN(0) | SAVE_IN(1)) | GRAD(1, SAVE_IN(0) | SAVE_IN(1)), 0)

#define OPS(X)                                                                                     \
    OPS_ARITH(X)                                                                                   \
    OPS_UNARY(X)                                                                                   \
    OPS_REDUCE(X)                                                                                  \
    OPS_VIEW(X)                                                                                    \
    OPS_MOVE(X)                                                                                    \
    OPS_MATMUL(X)                                                                                  \
    OPS_ACTIVATION(X)                                                                              \
    OPS_SOFTMAX(X)                                                                                 \
    OPS_LOSS(X)

/* Rows without a derivative: their output never requires a gradient.
 *    id           fn               inputs              flags */
#define OPS_COMPARE(X)
#define PLAIN_REDUCE(X)                                                                            \
    X(ARGMAX, argmax, "self", 0)                                                                   \
    X(ARGMIN, argmin, "self", 0)

#define PLAIN_OPS(X)                                                                               \
    OPS_COMPARE(X)                                                                                 \
    PLAIN_REDUCE(X)

enum op_id {
#define OP_ENUM(id, ...) OP_##id,
    OPS(OP_ENUM) PLAIN_OPS(OP_ENUM)
#undef OP_ENUM
        OP_COUNT
};

enum reduction { REDUCTION_MEAN, REDUCTION_SUM, REDUCTION_NONE };

/* The arguments that are no tensors; each row reads its own. */
struct op_args {
    double alpha;             /* add, sub, addmm: multiplies the second operand or the product;
                                 leaky_relu: the slope; smooth_l1: beta; huber: delta */
    double beta;              /* addmm: multiplies what is added */
    bool tanh;                /* gelu: the tanh form */
    int dim;                  /* of softmax, log_softmax: from the end if negative */
    int dim2;                 /* transpose: swapped with dim */
    unsigned dims;            /* reductions: bit d says dimension d; 0: all */
    bool keepdim;             /* reductions: what is reduced stays, as a dimension of 1 */
    bool flat;                /* argmax, argmin, all, any: over all elements, whatever dim is */
    int64_t start, end, step; /* slice: as Python's; select: start */
    struct shape shape;       /* view; expand, where -1 stands for what there is; permute: dim[d]
                                 says which dimension comes d-th */
    bool has_dtype;           /* sums, means: … */
    enum dtype dtype;         /* … the type of the result */
    enum reduction reduction; /* losses */
};
/* What op_apply takes for NULL: alpha and beta 1, all else 0. */
extern const struct op_args op_args_default;

#define ROOM_BYTES ((size_t)1 << 20)

/* One application of a row, forwards and later backwards. */
struct op_call {
    const struct op *op;
    const struct kernels *kernels;
    void *workspace; /* MATMUL_WORKSPACE_BYTES, for products */
    void *room;      /* ROOM_BYTES, for the row itself */
    double *cost;    /* infer of a product adds the multiplications it will take */
    struct op_args args;
    int inputs;
    const struct tensor **in; /* as the row takes them: type and strides are brought to that */
    const struct tensor *const *given; /* backward: all inputs as they were given, for their shapes;
                                          their numbers may have changed */
    struct tensor *out;
    struct tensor *aux;            /* HAS_AUX: the second output, of infer's shape and type */
    const struct tensor *grad_out; /* backward: contiguous unless ANY_STRIDES */
    struct tensor **grad_in;       /* backward: has the input's shape; NULL: not asked */
};

/* The numbers of its inputs may not be there yet (tape.h, `dry`): infer looks with tensor_data. */
typedef enum err_kind op_infer_fn(const struct op_call *c, struct tensor *out, struct err *e);
typedef void op_run_fn(const struct op_call *c);

struct op {
    const char *name;   /* as in `fn` */
    const char *node;   /* NULL: it has no derivative */
    const char *inputs; /* their names, a space between; the last one is that of all beyond */
    uint64_t saves;
    unsigned flags;
    op_infer_fn *infer;
    op_run_fn *forward, *backward;
};

/* How many names `inputs` lists. */
int op_arity(const struct op *op);
/* The i-th of them, the last one for all beyond; *bytes gets its length. */
const char *op_input_name(const struct op *op, int i, int *bytes);

#ifdef ISA
#include "engine/isa.h"
#define OP_PROTOTYPES(id, fn, node, inputs, saves, flags)                                          \
    op_infer_fn ISA_FN(fn##_infer);                                                                \
    op_run_fn ISA_FN(fn##_forward), ISA_FN(fn##_backward);
OPS(OP_PROTOTYPES)
#undef OP_PROTOTYPES
#define PLAIN_OP_PROTOTYPES(id, fn, inputs, flags)                                                 \
    op_infer_fn ISA_FN(fn##_infer);                                                                \
    op_run_fn ISA_FN(fn##_forward);
PLAIN_OPS(PLAIN_OP_PROTOTYPES)
#undef PLAIN_OP_PROTOTYPES
/* Runs fn_f32 or fn_f64, by the type of the numbers. */
#define BY_TYPE(dtype, fn, ...)                                                                    \
    ((dtype) == DTYPE_FLOAT32 ? fn##_f32(__VA_ARGS__) : fn##_f64(__VA_ARGS__))
/* … or fn_i64. */
#define BY_NUMBER(dtype, fn, ...)                                                                  \
    ((dtype) == DTYPE_INT64 ? fn##_i64(__VA_ARGS__) : BY_TYPE(dtype, fn, __VA_ARGS__))
/* … or fn_bool. */
#define BY_ANY(dtype, fn, ...)                                                                     \
    ((dtype) == DTYPE_BOOL ? fn##_bool(__VA_ARGS__) : BY_NUMBER(dtype, fn, __VA_ARGS__))
#endif

#endif
