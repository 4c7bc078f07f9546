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
#define SAVED_INPUTS_MAX 7
#define SAVE_IN(i)       (UINT64_C(1) << (i)) /* i < SAVED_INPUTS_MAX */
#define SAVE_OUT         (UINT64_C(1) << SAVED_INPUTS_MAX)
#define SAVE_AUX         (UINT64_C(1) << (SAVED_INPUTS_MAX + 1))
#define SAVE_BITS        (SAVED_INPUTS_MAX + 2)
#define GRAD(i, saves)   ((uint64_t)(saves) << (SAVE_BITS * (i))) /* i < SAVED_INPUTS_MAX */
#define SAVE_NONE        UINT64_C(0)
#define BOTH_SAVED       (SAVE_IN(0) | SAVE_IN(1))
#define ALL_SAVED        (SAVE_IN(0) | SAVE_IN(1) | SAVE_IN(2))

#define ANY_STRIDES   1u  /* takes any strides; other rows are given row-major copies */
#define PROMOTES      2u  /* operands of different types are brought to tensor_result_type */
#define TO_FLOAT      4u  /* … and if that is no float, to float32 */
#define BOOL_AS_INT   8u  /* … and if that is bool, to int64; an int64 output goes back to bool */
#define IS_VIEW       16u /* the output shares its first input's storage */
#define REARRANGES    32u /* a view whose gradient is a view of the output's gradient */
#define HAS_AUX       64u /* has a second output, which no gradient flows through */
#define SUMS          128u /* a bool input is counted as int64 */
#define CASTS         256u /* the input is brought to args.dtype, if has_dtype */
#define GRAD_ROWS     512u /* ANY_STRIDES, but its grad_out is row-major all the same */
#define SOLE_VIEW     1024u /* a view of what nothing else sees: may be changed in place as if none */
#define WITH_NUMBER   2048u  /* PROMOTES: alpha and beta are operands too, of type args.number */
#define CONDITION     4096u  /* the first input is no operand: it takes no part in PROMOTES */
#define WIDE_GRADS    8192u  /* grad_in is of the output's shape: the walk sums it to the input's */
#define NO_DERIVATIVE 16384u /* backward through it fails: PyTorch has no derivative either */
#define NONE_AT_0     32768u /* with alpha 0 no gradient flows on: PyTorch's is undefined */
#define SPAN_GRADS                                                                                 \
    65536u /* grad_in is [2, n], n being what the input spans of its storage: the walk takes the   \
              input's elements out of its first row; the second one is for the row's own use */

#define MAY_OWE                                                                                    \
    131072u /* of at most OWING_INPUTS, with alpha 1: where call.owed is set, the gradient of the  \
               one input that asks is described there, not computed */
#define OWING_INPUTS 3
#define MAY_GATE                                                                                   \
    262144u /* a product, which a ReLU before or behind it can be a part of: see call.relu and     \
               call.gate; with alpha 1, and forwards beta 1 */
#define WITH_SLOPES 524288u /* a loss whose forward can be its derivative, too: see call.slopes */

/* The names of the inputs, as PyTorch's grad_fn shows them ("_saved_self"), stand in the row; one
 * with - before it has no derivative at all, and so no place among the node's next_functions.
 *    id           fn               grad node                inputs               saves       flags
 */
#define FROM_BOTH  (GRAD(0, BOTH_SAVED) | GRAD(1, BOTH_SAVED))
#define FROM_POWER (GRAD(0, BOTH_SAVED) | GRAD(1, BOTH_SAVED | SAVE_OUT))
#define OPS_ARITH(X)                                                                               \
    X(ADD, add, "AddBackward0", "self other", SAVE_NONE, ANY_STRIDES | PROMOTES | BOOL_AS_INT)     \
    X(ADD_SCALAR, add, "AddBackward1", "self -other", SAVE_NONE,                                   \
      ANY_STRIDES | PROMOTES | BOOL_AS_INT)                                                        \
    X(SUB, sub, "SubBackward0", "self other", SAVE_NONE, ANY_STRIDES | PROMOTES)                   \
    X(MUL, mul, "MulBackward0", "self other", GRAD(0, SAVE_IN(1)) | GRAD(1, SAVE_IN(0)),           \
      ANY_STRIDES | PROMOTES | BOOL_AS_INT)                                                        \
    X(MUL_SCALAR, mul, "MulBackward1", "self -other", GRAD(0, SAVE_IN(1)) | GRAD(1, SAVE_IN(0)),   \
      ANY_STRIDES | PROMOTES | BOOL_AS_INT)                                                        \
    X(DIV, div, "DivBackward0", "self other", GRAD(0, SAVE_IN(1)) | GRAD(1, BOTH_SAVED),           \
      PROMOTES | TO_FLOAT | WIDE_GRADS)                                                            \
    X(DIV_SCALAR, div, "DivBackward1", "self -other", GRAD(0, SAVE_IN(1)) | GRAD(1, BOTH_SAVED),   \
      PROMOTES | TO_FLOAT | WIDE_GRADS)                                                            \
    X(DIV_MODE, div, "DivBackward2", "self other", GRAD(0, SAVE_IN(1)) | GRAD(1, BOTH_SAVED),      \
      PROMOTES | TO_FLOAT | WIDE_GRADS)                                                            \
    X(DIV_TRUNC, div_trunc, "DivBackward2", "self other", SAVE_NONE, ANY_STRIDES | PROMOTES)       \
    X(DIV_FLOOR, div_floor, "DivBackward2", "self other", SAVE_NONE, ANY_STRIDES | PROMOTES)       \
    X(FLOOR_DIVIDE, floor_divide, "NotImplemented", "self other", SAVE_NONE,                       \
      ANY_STRIDES | PROMOTES | NO_DERIVATIVE)                                                      \
    X(FLOOR_DIVIDE_, floor_divide_, "NotImplemented", "self other", SAVE_NONE,                     \
      ANY_STRIDES | PROMOTES | NO_DERIVATIVE)                                                      \
    X(RSUB, rsub, "RsubBackward1", "self", SAVE_NONE, PROMOTES | WITH_NUMBER)                      \
    X(RSUB_TENSOR, rsub_tensor, "RsubBackward0", "self other", SAVE_NONE, ANY_STRIDES | PROMOTES)  \
    X(NEG, neg, "NegBackward0", "self", SAVE_NONE, 0)                                              \
    X(POW, pow, "PowBackward0", "self", GRAD(0, SAVE_IN(0)), PROMOTES | WITH_NUMBER)               \
    X(POW_TENSOR, pow_tensor, "PowBackward1", "self exponent", FROM_POWER, PROMOTES | WIDE_GRADS)  \
    X(POW_SCALAR, pow_tensor, "PowBackward2", "-self exponent", FROM_POWER, PROMOTES | WIDE_GRADS) \
    X(REMAINDER, remainder, "RemainderBackward1", "self other", GRAD(1, BOTH_SAVED),               \
      PROMOTES | WIDE_GRADS)                                                                       \
    X(REMAINDER_SCALAR, remainder, "RemainderBackward0", "self -other", GRAD(1, BOTH_SAVED),       \
      PROMOTES | WIDE_GRADS)

/* One or the other of two, element by element. A missing bound of clamp is a NaN in alpha (lower)
 * or beta (upper); where the bounds are tensors, each case is a row. */
#define CHOICE      (PROMOTES | BOOL_AS_INT | WIDE_GRADS)
#define FROM_TRIPLE (GRAD(0, ALL_SAVED) | GRAD(1, ALL_SAVED) | GRAD(2, ALL_SAVED))
#define OPS_CHOOSE(X)                                                                              \
    X(MAXIMUM, maximum, "MaximumBackward0", "self other", FROM_BOTH, CHOICE)                       \
    X(MINIMUM, minimum, "MinimumBackward0", "self other", FROM_BOTH, CHOICE)                       \
    X(CLAMP, clamp, "ClampBackward1", "self", GRAD(0, SAVE_IN(0)), PROMOTES | WITH_NUMBER)         \
    X(CLAMP_MIN, clamp, "ClampMinBackward0", "self", GRAD(0, SAVE_IN(0)), PROMOTES | WITH_NUMBER)  \
    X(CLAMP_MAX, clamp, "ClampMaxBackward0", "self", GRAD(0, SAVE_IN(0)), PROMOTES | WITH_NUMBER)  \
    X(CLAMP_TENSOR, clamp_tensor, "ClampBackward0", "self min max", FROM_TRIPLE,                   \
      PROMOTES | WIDE_GRADS)                                                                       \
    X(CLAMP_TENSOR_MIN, clamp_min_tensor, "ClampBackward0", "self min", FROM_BOTH, CHOICE)         \
    X(CLAMP_TENSOR_MAX, clamp_max_tensor, "ClampBackward0", "self max", FROM_BOTH, CHOICE)         \
    X(CLAMP_MIN_TENSOR, clamp_min_tensor, "ClampMinBackward1", "self min", FROM_BOTH, CHOICE)      \
    X(CLAMP_MAX_TENSOR, clamp_max_tensor, "ClampMaxBackward1", "self max", FROM_BOTH, CHOICE)      \
    X(WHERE, where, "WhereBackward0", "-condition self other",                                     \
      GRAD(1, SAVE_IN(0)) | GRAD(2, SAVE_IN(0)), CHOICE | CONDITION)

/* For op_apply_in_place; the numbers of `self` are not read. */
#define OPS_FILL(X)                                                                                \
    X(ZERO, zero, "ZeroBackward0", "self", SAVE_NONE, 0)                                           \
    X(FILL, fill_number, "FillBackward2", "self", SAVE_NONE, 0)                                    \
    X(FILL_TENSOR, fill_tensor, "FillBackward3", "self value", SAVE_NONE, 0)                       \
    X(COPY, copy, "CopyBackwards", "self src", SAVE_NONE, 0)

/* A comparison in place, where gradients are recorded: self becomes `result`, which the row of the
 * comparison has computed. */
#define OVERWRITES(X, id, with_tensor, with_number)                                                \
    X(id##_, overwrite, with_tensor, "self other -result", SAVE_NONE, 0)                           \
    X(id##_NUMBER_, overwrite, with_number, "self -other -result", SAVE_NONE, 0)
#define OPS_OVERWRITE(X)                                                                           \
    OVERWRITES(X, EQ, "EqBackward1", "EqBackward0")                                                \
    OVERWRITES(X, NE, "NeBackward1", "NeBackward0")                                                \
    OVERWRITES(X, LT, "LtBackward1", "LtBackward0")                                                \
    OVERWRITES(X, LE, "LeBackward1", "LeBackward0")                                                \
    OVERWRITES(X, GT, "GtBackward1", "GtBackward0")                                                \
    OVERWRITES(X, GE, "GeBackward1", "GeBackward0")

#define OPS_UNARY(X)                                                                               \
    X(ABS, abs, "AbsBackward0", "self", GRAD(0, SAVE_IN(0)), 0)                                    \
    X(SIGN, sign, "SignBackward0", "self", SAVE_NONE, BOOL_AS_INT)                                 \
    X(FLOOR, floor, "FloorBackward0", "self", SAVE_NONE, 0)                                        \
    X(CEIL, ceil, "CeilBackward0", "self", SAVE_NONE, 0)                                           \
    X(ROUND, round, "RoundBackward0", "self", SAVE_NONE, 0)                                        \
    X(ROUND_DECIMALS, round_decimals, "RoundBackward1", "self", SAVE_NONE, 0)                      \
    X(TRUNC, trunc, "TruncBackward0", "self", SAVE_NONE, 0)                                        \
    X(RECIPROCAL, reciprocal, "ReciprocalBackward0", "self", GRAD(0, SAVE_OUT), TO_FLOAT)          \
    X(SQRT, sqrt, "SqrtBackward0", "self", GRAD(0, SAVE_OUT), TO_FLOAT)                            \
    X(RSQRT, rsqrt, "RsqrtBackward0", "self", GRAD(0, SAVE_OUT), TO_FLOAT)                         \
    X(EXP, exp, "ExpBackward0", "self", GRAD(0, SAVE_OUT), TO_FLOAT)                               \
    X(EXP2, exp2, "Exp2Backward0", "self", GRAD(0, SAVE_OUT), TO_FLOAT)                            \
    X(EXPM1, expm1, "Expm1Backward0", "self", GRAD(0, SAVE_OUT), TO_FLOAT)                         \
    X(LOG, log, "LogBackward0", "self", GRAD(0, SAVE_IN(0)), TO_FLOAT)                             \
    X(LOG1P, log1p, "Log1PBackward0", "self", GRAD(0, SAVE_IN(0)), TO_FLOAT)                       \
    X(LOG2, log2, "Log2Backward0", "self", GRAD(0, SAVE_IN(0)), TO_FLOAT)                          \
    X(LOG10, log10, "Log10Backward0", "self", GRAD(0, SAVE_IN(0)), TO_FLOAT)                       \
    X(SIN, sin, "SinBackward0", "self", GRAD(0, SAVE_IN(0)), TO_FLOAT)                             \
    X(COS, cos, "CosBackward0", "self", GRAD(0, SAVE_IN(0)), TO_FLOAT)                             \
    X(TAN, tan, "TanBackward0", "self", GRAD(0, SAVE_OUT), TO_FLOAT)                               \
    X(SINH, sinh, "SinhBackward0", "self", GRAD(0, SAVE_IN(0)), TO_FLOAT)                          \
    X(COSH, cosh, "CoshBackward0", "self", GRAD(0, SAVE_IN(0)), TO_FLOAT)                          \
    X(ATAN, atan, "AtanBackward0", "self", GRAD(0, SAVE_IN(0)), TO_FLOAT)                          \
    X(ERF, erf, "ErfBackward0", "self", GRAD(0, SAVE_IN(0)), TO_FLOAT)

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
    X(AMIN, amin, "AminBackward0", "self", GRAD(0, SAVE_IN(0) | SAVE_OUT), 0)                      \
    X(PROD, prod, "ProdBackward0", "self", GRAD(0, SAVE_IN(0) | SAVE_OUT), SUMS | CASTS)           \
    X(PROD_DIM, prod_dim, "ProdBackward1", "self", GRAD(0, SAVE_IN(0) | SAVE_OUT), SUMS | CASTS)   \
    X(CUMSUM, cumsum, "CumsumBackward0", "self", SAVE_NONE, SUMS | CASTS)                          \
    X(VAR, var, "VarBackward0", "self", GRAD(0, SAVE_IN(0)), 0)                                    \
    X(STD, std, "StdBackward0", "self", GRAD(0, SAVE_IN(0) | SAVE_OUT), 0)                         \
    X(CUMPROD, cumprod, "CumprodBackward0", "self", GRAD(0, SAVE_IN(0)), SUMS | CASTS)             \
    X(NORM, norm, "NormBackward1", "self", GRAD(0, SAVE_IN(0) | SAVE_OUT), CASTS | NONE_AT_0)      \
    X(NORM_DTYPE, norm, "NormBackward3", "self", GRAD(0, SAVE_IN(0) | SAVE_OUT),                   \
      CASTS | NONE_AT_0)                                                                           \
    X(VECTOR_NORM, vector_norm, "LinalgVectorNormBackward0", "self",                               \
      GRAD(0, SAVE_IN(0) | SAVE_OUT), CASTS | NONE_AT_0)                                           \
    X(LOGSUMEXP, logsumexp, "LogsumexpBackward0", "self", GRAD(0, SAVE_IN(0) | SAVE_OUT), TO_FLOAT)

#define VIEWS_ANEW (ANY_STRIDES | GRAD_ROWS | IS_VIEW | REARRANGES)
#define OPS_VIEW(X)                                                                                \
    X(T, t, "TBackward0", "self", SAVE_NONE, ANY_STRIDES | IS_VIEW | REARRANGES)                   \
    X(VIEW, view, "ViewBackward0", "self", SAVE_NONE, VIEWS_ANEW)                                  \
    X(RESHAPE_ALIAS, view, "ReshapeAliasBackward0", "self", SAVE_NONE, VIEWS_ANEW)                 \
    X(ALIAS, view, "AliasBackward0", "self", SAVE_NONE, VIEWS_ANEW)                                \
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
    X(SELECT, select, "SelectBackward0", "self", SAVE_NONE, ANY_STRIDES | IS_VIEW)                 \
    X(AS_STRIDED, as_strided, "AsStridedBackward0", "self", SAVE_NONE,                             \
      ANY_STRIDES | GRAD_ROWS | IS_VIEW | SPAN_GRADS)

/* All inputs from the i-th on. */
#define INDICES_SAVED(i) ((UINT64_C(1) << SAVED_INPUTS_MAX) - SAVE_IN(i))

/* Numbers put elsewhere, of any type. */
#define OPS_MOVE(X)                                                                                \
    X(CLONE, clone, "CloneBackward0", "self", SAVE_NONE, ANY_STRIDES)                              \
    X(TO_COPY, to_copy, "ToCopyBackward0", "self", SAVE_NONE, ANY_STRIDES)                         \
    X(CAT, cat, "CatBackward0", "tensors", SAVE_NONE, ANY_STRIDES | PROMOTES)                      \
    X(STACK, stack, "StackBackward0", "tensors", SAVE_NONE, ANY_STRIDES | PROMOTES)                \
    X(INDEX, index, "IndexBackward0", "self -indices", GRAD(0, INDICES_SAVED(1)), 0)               \
    X(MASKED_SELECT, index, "MaskedSelectBackward0", "self -indices", GRAD(0, INDICES_SAVED(1)),   \
      0)                                                                                           \
    X(INDEX_PUT, index_put, "IndexPutBackward0", "self values -indices",                           \
      GRAD(0, INDICES_SAVED(2)) | GRAD(1, INDICES_SAVED(2)), 0)                                    \
    X(INDEX_SELECT, index_select, "IndexSelectBackward0", "self -index", GRAD(0, SAVE_IN(1)), 0)   \
    X(GATHER, gather, "GatherBackward0", "self -index", GRAD(0, SAVE_IN(1)), 0)                    \
    X(MASKED_FILL, masked_fill, "MaskedFillBackward0", "self -mask", GRAD(0, SAVE_IN(1)),          \
      WIDE_GRADS)                                                                                  \
    X(CONSTANT_PAD_ND, constant_pad_nd, "ConstantPadNdBackward0", "self", SAVE_NONE, 0)            \
    X(TRIU, triu, "TriuBackward0", "self", SAVE_NONE, 0)                                           \
    X(TRIL, tril, "TrilBackward0", "self", SAVE_NONE, 0)                                           \
    X(FLIP, flip, "FlipBackward0", "self", SAVE_NONE, ANY_STRIDES)

#define OPS_MATMUL(X)                                                                              \
    X(MM, mm, "MmBackward0", "self mat2", GRAD(0, SAVE_IN(1)) | GRAD(1, SAVE_IN(0)),               \
      ANY_STRIDES | MAY_OWE | MAY_GATE)                                                            \
    X(MV, mv, "MvBackward0", "self vec", GRAD(0, SAVE_IN(1)) | GRAD(1, SAVE_IN(0)), ANY_STRIDES)   \
    X(DOT, dot, "DotBackward0", "self tensor", GRAD(0, SAVE_IN(1)) | GRAD(1, SAVE_IN(0)),          \
      ANY_STRIDES)                                                                                 \
    X(BMM, bmm, "BmmBackward0", "self mat2", GRAD(0, SAVE_IN(1)) | GRAD(1, SAVE_IN(0)),            \
      ANY_STRIDES)                                                                                 \
    X(ADDMM, addmm, "AddmmBackward0", "self mat1 mat2", GRAD(1, SAVE_IN(2)) | GRAD(2, SAVE_IN(1)), \
      ANY_STRIDES | MAY_OWE | MAY_GATE)                                                            \
    X(ADDMV, addmv, "AddmvBackward0", "self mat vec", GRAD(1, SAVE_IN(2)) | GRAD(2, SAVE_IN(1)),   \
      ANY_STRIDES)                                                                                 \
    X(BADDBMM, baddbmm, "BaddbmmBackward0", "self batch1 batch2",                                  \
      GRAD(1, SAVE_IN(2)) | GRAD(2, SAVE_IN(1)), ANY_STRIDES)

/* Without a bias: two inputs. */
#define OPS_CONV(X)                                                                                \
    X(CONVOLUTION, convolution, "ConvolutionBackward0", "input weight bias",                       \
      GRAD(0, BOTH_SAVED) | GRAD(1, BOTH_SAVED) | GRAD(2, BOTH_SAVED), 0)

#define OPS_ACTIVATION(X)                                                                          \
    X(RELU, relu, "ReluBackward0", "self", GRAD(0, SAVE_OUT), 0)                                   \
    X(LEAKY_RELU, leaky_relu, "LeakyReluBackward0", "self", GRAD(0, SAVE_IN(0)), 0)                \
    X(LEAKY_RELU_, leaky_relu_, "LeakyReluBackward1", "self", GRAD(0, SAVE_OUT), 0)                \
    X(SIGMOID, sigmoid, "SigmoidBackward0", "self", GRAD(0, SAVE_OUT), TO_FLOAT)                   \
    X(TANH, tanh, "TanhBackward0", "self", GRAD(0, SAVE_OUT), TO_FLOAT)                            \
    X(GELU, gelu, "GeluBackward0", "self", GRAD(0, SAVE_IN(0)), 0)                                 \
    X(SILU, silu, "SiluBackward0", "self", GRAD(0, SAVE_IN(0)), 0)                                 \
    X(ELU, elu, "EluBackward0", "self", GRAD(0, SAVE_IN(0)), 0)                                    \
    X(ELU_, elu_, "EluBackward1", "self", GRAD(0, SAVE_OUT), 0)                                    \
    X(SOFTPLUS, softplus, "SoftplusBackward0", "self", GRAD(0, SAVE_IN(0)), 0)                     \
    X(HARDTANH, hardtanh, "HardtanhBackward0", "self", GRAD(0, SAVE_IN(0)), 0)                     \
    X(LOG_SIGMOID, log_sigmoid, "LogSigmoidBackward0", "self", GRAD(0, SAVE_IN(0)), 0)

#define OPS_SOFTMAX(X)                                                                             \
    X(SOFTMAX, softmax, "SoftmaxBackward0", "self", GRAD(0, SAVE_OUT), 0)                          \
    X(LOG_SOFTMAX, log_softmax, "LogSoftmaxBackward0", "self", GRAD(0, SAVE_OUT), 0)

/* The weights are optional, the last ones left out: two inputs are enough. BCE_LOGITS takes a
 * pos_weight without a weight as one with the weight 1, a scalar. */
#define SAVE_NLL (ALL_SAVED | SAVE_AUX)
#define SAVE_BCE (ALL_SAVED | SAVE_IN(3))
#define OPS_LOSS(X)                                                                                \
    X(NLL_LOSS, nll_loss, "NllLossBackward0", "self -target -weight", GRAD(0, SAVE_NLL), HAS_AUX)  \
    X(NLL_LOSS2D, nll_loss2d, "NllLoss2DBackward0", "self -target -weight", GRAD(0, SAVE_NLL),     \
      HAS_AUX)                                                                                     \
    X(MSE_LOSS, mse_loss, "MseLossBackward0", "self target",                                       \
      GRAD(0, BOTH_SAVED) | GRAD(1, BOTH_SAVED), PROMOTES | WITH_SLOPES)                           \
    X(SMOOTH_L1, smooth_l1_loss, "SmoothL1LossBackward0", "self target",                           \
      GRAD(0, BOTH_SAVED) | GRAD(1, BOTH_SAVED), PROMOTES | WITH_SLOPES)                           \
    X(HUBER, huber_loss, "HuberLossBackward0", "self target",                                      \
      GRAD(0, BOTH_SAVED) | GRAD(1, BOTH_SAVED), PROMOTES | WITH_SLOPES)                           \
    X(BCE, binary_cross_entropy, "BinaryCrossEntropyBackward0", "self target -weight",             \
      GRAD(0, ALL_SAVED) | GRAD(1, ALL_SAVED), 0)                                                  \
    X(BCE_LOGITS, binary_cross_entropy_with_logits, "BinaryCrossEntropyWithLogitsBackward0",       \
      "self target -weight -pos_weight", GRAD(0, SAVE_BCE) | GRAD(1, SAVE_BCE),                    \
      PROMOTES | WITH_SLOPES)

#define OPS(X)                                                                                     \
    OPS_ARITH(X)                                                                                   \
    OPS_CHOOSE(X)                                                                                  \
    OPS_FILL(X)                                                                                    \
    OPS_OVERWRITE(X)                                                                               \
    OPS_UNARY(X)                                                                                   \
    OPS_REDUCE(X)                                                                                  \
    OPS_VIEW(X)                                                                                    \
    OPS_MOVE(X)                                                                                    \
    OPS_MATMUL(X)                                                                                  \
    OPS_CONV(X)                                                                                    \
    OPS_ACTIVATION(X)                                                                              \
    OPS_SOFTMAX(X)                                                                                 \
    OPS_LOSS(X)

/* Rows without a derivative: their output never requires a gradient.
 *    id           fn               inputs              flags */
#define COMPARES (ANY_STRIDES | PROMOTES | BOOL_AS_INT)
#define OPS_COMPARE(X)                                                                             \
    X(EQ, eq, "self other", COMPARES)                                                              \
    X(NE, ne, "self other", COMPARES)                                                              \
    X(LT, lt, "self other", COMPARES)                                                              \
    X(LE, le, "self other", COMPARES)                                                              \
    X(GT, gt, "self other", COMPARES)                                                              \
    X(GE, ge, "self other", COMPARES)                                                              \
    X(LOGICAL_AND, logical_and, "self other", COMPARES)                                            \
    X(LOGICAL_OR, logical_or, "self other", COMPARES)                                              \
    X(LOGICAL_XOR, logical_xor, "self other", COMPARES)                                            \
    X(LOGICAL_NOT, logical_not, "self", BOOL_AS_INT)                                               \
    X(ISNAN, isnan, "self", BOOL_AS_INT)                                                           \
    X(ISFINITE, isfinite, "self", BOOL_AS_INT)                                                     \
    X(ISINF, isinf, "self", BOOL_AS_INT)                                                           \
    X(BITWISE_AND, bitwise_and, "self other", COMPARES)                                            \
    X(BITWISE_OR, bitwise_or, "self other", COMPARES)                                              \
    X(BITWISE_XOR, bitwise_xor, "self other", COMPARES)                                            \
    X(BITWISE_NOT, bitwise_not, "self", 0)

#define PLAIN_REDUCE(X)                                                                            \
    X(ARGMAX, argmax, "self", 0)                                                                   \
    X(ARGMIN, argmin, "self", 0)                                                                   \
    X(ALL, all, "self", 0)                                                                         \
    X(ANY, any, "self", 0)                                                                         \
    X(NONZERO, nonzero, "self", 0)

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

/* Of height and width. */
struct conv {
    int64_t stride[2], padding[2], dilation[2], groups;
};

/* The arguments that are no tensors; each row reads its own. */
struct op_args {
    double alpha;             /* add, sub, addmm …: multiplies the second operand or the product;
                                 rsub of tensors: the first one;
                                 leaky_relu: the slope; elu: alpha; smooth_l1, softplus: beta;
                                 huber: delta; clamp, hardtanh: the lower bound; rsub: what is
                                 subtracted from; pow: the exponent; fill,
                                 masked_fill, constant_pad_nd: the number; norm: p */
    double beta;              /* addmm …: multiplies what is added, which a 0 ignores; clamp,
                                 hardtanh: the upper bound; softplus: the threshold; rsub: multiplies
                                 what is subtracted */
    enum dtype number;        /* the type of the Python numbers alpha and beta: bool, int64 or
                                 float64. An int64 is exact up to 2^53 */
    bool tanh;                /* gelu: the tanh form */
    int dim;                  /* of softmax, log_softmax: from the end if negative */
    int dim2;                 /* transpose: swapped with dim */
    unsigned dims;            /* reductions: bit d says dimension d; 0: all. index, index_put:
                                 those that the indices are of, in order; flip: 0 is none */
    bool keepdim;             /* reductions: what is reduced stays, as a dimension of 1 */
    double correction;        /* var, std: what is taken off the number of elements */
    bool flat;                /* argmax, argmin, all, any: over all elements, whatever dim is */
    int64_t start, end, step; /* slice: as Python's; select: start; triu, tril: start is
                                 the diagonal; round_decimals: start is how many; as_strided:
                                 start is the offset */
    struct shape shape; /* view, as_strided; expand, where -1 stands for what there is; permute:
                           dim[d] says which dimension comes d-th; constant_pad_nd: the output's */
    int64_t before[RANK_MAX]; /* constant_pad_nd: how many elements come before the input's along
                                 each dimension; negative: so many of its are cut off */
    bool has_dtype;           /* sums, means: … */
    enum dtype dtype;         /* … the type of the result */
    enum reduction reduction; /* losses */
    int64_t ignore_index;     /* nll_loss: the class of what does not count */
    union {
        struct conv conv;         /* convolution */
        int64_t stride[RANK_MAX]; /* as_strided: not negative */
    };
};
/* What op_apply takes for NULL: alpha and beta 1, ignore_index -100, all else 0. */
extern const struct op_args op_args_default;

#define ROOM_BYTES ((size_t)1 << 20)

/* One application of a row, forwards and later backwards. */
struct op_call {
    const struct op *op;
    const struct kernels *kernels;
    void *workspace;   /* MATMUL_WORKSPACE_BYTES, for products */
    void *room;        /* ROOM_BYTES, for the row itself */
    struct crew *crew; /* for large products; NULL: none */
    double *cost;      /* infer of a product adds the multiplications it will take */
    struct op_args args;
    int inputs;
    const struct tensor **in; /* as the row takes them: type and strides are brought to that */
    const struct tensor *const *given; /* infer, backward: all inputs as they were given, for their
                                          shapes and types; their numbers may have changed */
    struct tensor *out;
    struct tensor *aux;            /* HAS_AUX: the second output, of infer's shape and type */
    const struct tensor *grad_out; /* backward: contiguous unless ANY_STRIDES */
    struct tensor **grad_in;       /* backward: has the input's shape (WIDE_GRADS: the output's);
                                      NULL: not asked */
    struct matmul_args *owed;      /* backward, MAY_OWE: see there; NULL: computed as any */
    const struct op_call *slopes;  /* forward, WITH_SLOPES: NULL, or the derivative's call, whose
                                      grad_out is set: is done on the way */
    bool relu;                     /* forward, MAY_GATE: out becomes what a ReLU makes of the sum */
    const struct tensor *gate; /* backward, MAY_GATE: NULL, or what a ReLU has made: the input … */
    int gate_input; /* … of that index, whose grad_in becomes the one of the ReLU's input */
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
/* Is there a derivative by the i-th input? */
bool op_has_edge(const struct op *op, int i);
/* The row that stands for `id` where it is applied in place: PyTorch numbers the nodes of some of
 * these separately. with_number: the second operand is a Python number. */
enum op_id op_in_place(enum op_id id, bool with_number);

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
