#include "engine/builtins.h"

#include <stdio.h>
#include <string.h>

#include "engine/call_parts.h"

#define IN_PLACE BUILTIN_IN_PLACE
#define EFFECT   BUILTIN_EFFECT
#define PROPERTY BUILTIN_PROPERTY

/* What torch's functions that make tensors take at their end, and are silent about. */
#define MAKING "*, dtype? dtype=None, bool requires_grad=False, any device=None"
/* Arguments of the losses that PyTorch keeps for old programs. */
#define OLD "any size_average=None, any reduce=None"

/* clang-format off */
const struct builtin builtins[] = {
    /* ---- Python ---- */
    {"print", "any... values, *, str? sep=None, str? end=None", call_print, 0, EFFECT},
    {"len",   "any obj",                    call_len,      0, 0},
    {"float", "any x=0",                    call_float,    0, EFFECT},
    {"int",   "any x=0",                    call_int,      0, EFFECT},
    {"bool",  "any x=False",                call_bool,     0, EFFECT},
    {"str",   "any object=''",              call_str,      0, EFFECT},
    {"repr",  "any object",                 call_repr,     0, EFFECT},
    {"slice", "int? start, int? stop=None, int? step=None", call_slice, 0, 0},
    {"abs",   "any x",                      call_abs,      0, 0},
    {"round", "any number, int? ndigits=None", call_round, 0, 0},
    {"min",   "any... values",              call_min_max,  0, 0},
    {"max",   "any... values",              call_min_max,  0, 0},
    {"sum",   "any iterable, any start=0",  call_sum,      0, 0},
    {"tuple", "any iterable",               call_sequence, 0, 0},
    {"list",  "any iterable",               call_sequence, 0, 0},
    {"math.sqrt",  "Number x", call_math, 0, 0},
    {"math.exp",   "Number x", call_math, 0, 0},
    {"math.expm1", "Number x", call_math, 0, 0},
    {"math.log",   "Number x", call_math, 0, 0},
    {"math.log1p", "Number x", call_math, 0, 0},
    {"math.sin",   "Number x", call_math, 0, 0},
    {"math.cos",   "Number x", call_math, 0, 0},
    {"math.tanh",  "Number x", call_math, 0, 0},
    {"math.erf",   "Number x", call_math, 0, 0},
    {"math.floor", "Number x", call_math, 0, 0},
    {"math.ceil",  "Number x", call_math, 0, 0},
    {"math.fabs",  "Number x", call_math, 0, 0},
    {"math.pi torch.pi",   "", call_math_constant, 0, PROPERTY},
    {"math.e torch.e",     "", call_math_constant, 0, PROPERTY},
    {"math.inf torch.inf", "", call_math_constant, 0, PROPERTY},
    {"math.nan torch.nan", "", call_math_constant, 0, PROPERTY},

    /* ---- types ---- */
    {"torch.float32", "", call_dtype_constant, 0, PROPERTY},
    {"torch.float",   "", call_dtype_constant, 0, PROPERTY},
    {"torch.float64", "", call_dtype_constant, 0, PROPERTY},
    {"torch.double",  "", call_dtype_constant, 0, PROPERTY},
    {"torch.int64",   "", call_dtype_constant, 0, PROPERTY},
    {"torch.long",    "", call_dtype_constant, 0, PROPERTY},
    {"torch.bool",    "", call_dtype_constant, 0, PROPERTY},
    {"torch.int32",   "", call_dtype_constant, 0, PROPERTY},
    {"torch.int",     "", call_dtype_constant, 0, PROPERTY},
    {"torch.int16",   "", call_dtype_constant, 0, PROPERTY},
    {"torch.int8",    "", call_dtype_constant, 0, PROPERTY},
    {"torch.uint8",   "", call_dtype_constant, 0, PROPERTY},
    {"torch.float16", "", call_dtype_constant, 0, PROPERTY},
    {"torch.half",    "", call_dtype_constant, 0, PROPERTY},
    {"torch.bfloat16", "", call_dtype_constant, 0, PROPERTY},
    {"torch.complex64", "", call_dtype_constant, 0, PROPERTY},
    {"torch.complex128", "", call_dtype_constant, 0, PROPERTY},
    {"Tensor.float",  "Tensor self", call_cast, 0, 0},
    {"Tensor.double", "Tensor self", call_cast, 0, 0},
    {"Tensor.long",   "Tensor self", call_cast, 0, 0},
    {"Tensor.bool",   "Tensor self", call_cast, 0, 0},
    {"Tensor.to",      "Tensor self, any other", call_to, 0, 0},
    {"Tensor.to",      "Tensor self, *, dtype dtype", call_to, 0, 0},
    {"Tensor.type_as", "Tensor self, Tensor other", call_to, 0, 0},
    {"Tensor.type",    "Tensor self", call_type, 0, 0},
    {"Tensor.cpu",     "Tensor self", call_contiguous, 0, 0},

    /* ---- making tensors ---- */
    {"torch.tensor torch.as_tensor", "any data, " MAKING,                  call_tensor, 0, EFFECT},
    {"torch.zeros",      "int... size, " MAKING,                           call_full, 0, 0},
    {"torch.ones",       "int... size, " MAKING,                           call_full, 0, 0},
    {"torch.empty",      "int... size, " MAKING,                           call_full, 0, 0},
    {"torch.full",       "int[] size, Number fill_value, " MAKING,         call_full, 0, 0},
    {"torch.zeros_like", "Tensor input, " MAKING,                          call_full_like, 0, 0},
    {"torch.ones_like",  "Tensor input, " MAKING,                          call_full_like, 0, 0},
    {"torch.empty_like", "Tensor input, " MAKING,                          call_full_like, 0, 0},
    {"torch.full_like",  "Tensor input, Number fill_value, " MAKING,       call_full_like, 0, 0},
    {"Tensor.new_zeros", "Tensor self, int... size, " MAKING, call_full, 0, 0},
    {"Tensor.new_ones", "Tensor self, int... size, " MAKING, call_full, 0, 0},
    {"Tensor.new_full", "Tensor self, int[] size, Number fill_value, " MAKING, call_full, 0, 0},
    {"torch.arange",     "Number start, Number? end=None, Number step=1, " MAKING, call_arange, 0, 0},
    {"torch.linspace",   "Number start, Number end, int steps, " MAKING,   call_linspace, 0, 0},
    {"torch.eye",        "int n, int? m=None, " MAKING,                    call_eye, 0, 0},
    {"torch.rand",       "int... size, " MAKING,                           call_rand, 0, EFFECT},
    {"torch.randn",      "int... size, " MAKING,                           call_rand, 0, EFFECT},
    {"torch.rand_like",  "Tensor input, " MAKING,                          call_rand_like, 0, EFFECT},
    {"torch.randn_like", "Tensor input, " MAKING,                          call_rand_like, 0, EFFECT},
    {"torch.randint",    "int low, int high, int[] size, " MAKING,         call_randint, 0, EFFECT},
    {"torch.randint",    "int high, int[] size, *, int low=0, dtype? dtype=None, bool requires_grad=False, any device=None", call_randint, 0, EFFECT},
    {"torch.manual_seed", "int seed",                                      call_manual_seed, 0, EFFECT},
    {"Tensor.uniform_",  "Tensor self, Number from=0, Number to=1",        call_fill_random, 0, EFFECT},
    {"Tensor.normal_",   "Tensor self, Number mean=0, Number std=1",       call_fill_random, 0, EFFECT},

    /* ---- autograd ---- */
    {"Tensor.backward", "Tensor self, any gradient=None, any retain_graph=None, any create_graph=False", call_backward, 0, EFFECT},
    {"torch.autograd.backward", "any tensors, any grad_tensors=None, any retain_graph=None, any create_graph=False", call_backward, 0, EFFECT},
    {"torch.autograd.grad", "any outputs, any inputs, any grad_outputs=None, any retain_graph=None, any create_graph=False, *, any allow_unused=False", call_autograd_grad, 0, EFFECT},
    {"torch.detach Tensor.detach", "Tensor input", call_detach, 0, IN_PLACE},
    {"Tensor.requires_grad_", "Tensor self, bool requires_grad=True", call_requires_grad_, 0, EFFECT},
    {"Tensor.retain_grad", "Tensor self", call_retain_grad, 0, EFFECT},
    {"torch.no_grad torch.autograd.no_grad torch.inference_mode", "", call_grad_mode, 0, 0},
    {"torch.enable_grad torch.autograd.enable_grad", "", call_grad_mode, 0, 0},
    {"torch.set_grad_enabled torch.autograd.set_grad_enabled", "bool mode", call_set_grad_enabled, 0, EFFECT},
    {"torch.is_grad_enabled", "", call_is_grad_enabled, 0, EFFECT},
    {"Node.name", "any self", call_node_name, 0, 0},

    /* ---- facts ---- */
    {"Tensor.item",    "Tensor self", call_item,   0, EFFECT},
    {"Tensor.tolist",  "Tensor self", call_tolist, 0, EFFECT},
    {"Tensor.size",    "Tensor self, int? dim=None", call_size, 0, 0},
    {"Tensor.dim Tensor.ndimension", "Tensor self", call_dim, 0, 0},
    {"torch.numel Tensor.numel Tensor.nelement Size.numel", "any input", call_numel, 0, 0},
    {"Tensor.stride",  "Tensor self, int? dim=None", call_stride, 0, 0},
    {"Tensor.storage_offset", "Tensor self", call_storage_offset, 0, 0},
    {"Tensor.is_contiguous",  "Tensor self", call_is_contiguous, 0, 0},
    {"torch.is_tensor", "any obj", call_is_tensor, 0, 0},
    {"torch.Size", "int[] size", call_size_of, 0, 0},
    {"torch.is_floating_point Tensor.is_floating_point", "Tensor input", call_is_floating_point, 0, 0},
    {"torch.allclose Tensor.allclose", "Tensor input, Tensor other, float rtol=1e-05, float atol=1e-08, bool equal_nan=False", call_allclose, 0, EFFECT},
    {"torch.equal Tensor.equal", "Tensor input, Tensor other", call_equal, 0, EFFECT},

    /* ---- arithmetic ---- */
    {"torch.add Tensor.add",           "Tensor input, Operand other, *, Number alpha=1:alpha", builtin_apply, OP_ADD, IN_PLACE},
    {"torch.sub Tensor.sub torch.subtract Tensor.subtract", "Tensor input, Operand other, *, Number alpha=1:alpha", builtin_apply, OP_SUB, IN_PLACE},
    {"torch.mul Tensor.mul torch.multiply Tensor.multiply", "Tensor input, Operand other", builtin_apply, OP_MUL, IN_PLACE},
    {"torch.div Tensor.div torch.divide Tensor.divide", "Operand input, Operand other", builtin_apply, OP_DIV, IN_PLACE},
    {"torch.div Tensor.div torch.divide Tensor.divide", "Operand input, Operand other, *, str? rounding_mode", call_div, OP_DIV_MODE, IN_PLACE},
    {"torch.true_divide Tensor.true_divide", "Operand input, Operand other", builtin_apply, OP_DIV, IN_PLACE},
    {"torch.rsub",                     "Tensor input, Number other:alpha, Number alpha=True:beta", call_rsub, OP_RSUB, 0},
    {"torch.rsub",                     "Tensor input, Tensor other, *, Number alpha=1:alpha", builtin_apply, OP_RSUB_TENSOR, 0},
    {"torch.floor_divide Tensor.floor_divide", "Tensor input, Operand other", builtin_apply, OP_FLOOR_DIVIDE, IN_PLACE},
    {"torch.remainder Tensor.remainder", "Tensor input, Tensor other", builtin_apply, OP_REMAINDER, IN_PLACE},
    {"torch.remainder Tensor.remainder", "Tensor input, Operand other", builtin_apply, OP_REMAINDER_SCALAR, IN_PLACE},
    {"torch.neg Tensor.neg torch.negative Tensor.negative", "Tensor input", builtin_apply, OP_NEG, IN_PLACE},
    {"torch.pow Tensor.pow",           "Tensor input, Number exponent:alpha", builtin_apply, OP_POW, IN_PLACE},
    {"torch.pow Tensor.pow",           "Operand self, Tensor exponent", builtin_apply, OP_POW_TENSOR, IN_PLACE},
    {"torch.square Tensor.square",     "Tensor input", call_square, OP_POW, IN_PLACE},
    {"torch.maximum Tensor.maximum",   "Tensor input, Tensor other", builtin_apply, OP_MAXIMUM, 0},
    {"torch.minimum Tensor.minimum",   "Tensor input, Tensor other", builtin_apply, OP_MINIMUM, 0},
    {"torch.clamp Tensor.clamp torch.clip Tensor.clip", "Tensor input, Number? min=None:alpha, Number? max=None:beta", call_clamp, OP_CLAMP, IN_PLACE},
    {"torch.clamp Tensor.clamp torch.clip Tensor.clip", "Tensor input, Tensor? min=None, Tensor? max=None", call_clamp, OP_CLAMP_TENSOR, IN_PLACE},
    {"torch.clamp_min Tensor.clamp_min", "Tensor input, Number min", call_clamp_bound, OP_CLAMP_MIN, IN_PLACE},
    {"torch.clamp_min Tensor.clamp_min", "Tensor input, Tensor min", builtin_apply, OP_CLAMP_MIN_TENSOR, IN_PLACE},
    {"torch.clamp_max Tensor.clamp_max", "Tensor input, Number max", call_clamp_bound, OP_CLAMP_MAX, IN_PLACE},
    {"torch.clamp_max Tensor.clamp_max", "Tensor input, Tensor max", builtin_apply, OP_CLAMP_MAX_TENSOR, IN_PLACE},
    {"Tensor.where",                   "Tensor self, Tensor condition, Operand other", call_where_method, 0, 0},
    {"torch.where",                    "Tensor condition, Operand? input=None, Operand? other=None", call_where, 0, 0},
    {"Tensor.zero_",                   "Tensor self", builtin_apply, OP_ZERO, EFFECT},
    {"Tensor.fill_",                   "Tensor self, Number value:alpha", builtin_apply, OP_FILL, EFFECT},
    {"Tensor.copy_",                   "Tensor self, Tensor other", builtin_apply, OP_COPY, EFFECT},
    {"torch.masked_fill Tensor.masked_fill", "Tensor input, Tensor mask, Number value:alpha", builtin_apply, OP_MASKED_FILL, IN_PLACE},

    {"torch.abs Tensor.abs torch.absolute Tensor.absolute", "Tensor input", builtin_apply, OP_ABS, IN_PLACE},
    {"torch.sqrt Tensor.sqrt",   "Tensor input", builtin_apply, OP_SQRT, IN_PLACE},
    {"torch.rsqrt Tensor.rsqrt", "Tensor input", builtin_apply, OP_RSQRT, IN_PLACE},
    {"torch.exp Tensor.exp",     "Tensor input", builtin_apply, OP_EXP, IN_PLACE},
    {"torch.exp2 Tensor.exp2",   "Tensor input", builtin_apply, OP_EXP2, IN_PLACE},
    {"torch.expm1 Tensor.expm1", "Tensor input", builtin_apply, OP_EXPM1, IN_PLACE},
    {"torch.log Tensor.log",     "Tensor input", builtin_apply, OP_LOG, IN_PLACE},
    {"torch.log1p Tensor.log1p", "Tensor input", builtin_apply, OP_LOG1P, IN_PLACE},
    {"torch.log2 Tensor.log2",   "Tensor input", builtin_apply, OP_LOG2, IN_PLACE},
    {"torch.log10 Tensor.log10", "Tensor input", builtin_apply, OP_LOG10, IN_PLACE},
    {"torch.sin Tensor.sin",     "Tensor input", builtin_apply, OP_SIN, IN_PLACE},
    {"torch.cos Tensor.cos",     "Tensor input", builtin_apply, OP_COS, IN_PLACE},
    {"torch.tan Tensor.tan",     "Tensor input", builtin_apply, OP_TAN, IN_PLACE},
    {"torch.sinh Tensor.sinh",   "Tensor input", builtin_apply, OP_SINH, IN_PLACE},
    {"torch.cosh Tensor.cosh",   "Tensor input", builtin_apply, OP_COSH, IN_PLACE},
    {"torch.atan Tensor.atan torch.arctan Tensor.arctan", "Tensor input", builtin_apply, OP_ATAN, IN_PLACE},
    {"torch.erf Tensor.erf torch.special.erf", "Tensor input", builtin_apply, OP_ERF, IN_PLACE},
    {"torch.reciprocal Tensor.reciprocal", "Tensor input", builtin_apply, OP_RECIPROCAL, IN_PLACE},
    {"torch.sign Tensor.sign",   "Tensor input", builtin_apply, OP_SIGN, IN_PLACE},
    {"torch.floor Tensor.floor", "Tensor input", builtin_apply, OP_FLOOR, IN_PLACE},
    {"torch.ceil Tensor.ceil",   "Tensor input", builtin_apply, OP_CEIL, IN_PLACE},
    {"torch.round Tensor.round", "Tensor input", builtin_apply, OP_ROUND, IN_PLACE},
    {"torch.round Tensor.round", "Tensor input, *, int decimals:start", builtin_apply, OP_ROUND_DECIMALS, IN_PLACE},
    {"torch.trunc Tensor.trunc", "Tensor input", builtin_apply, OP_TRUNC, IN_PLACE},

    /* ---- comparisons ---- */
    {"torch.eq Tensor.eq", "Tensor input, Operand other", builtin_apply, OP_EQ, IN_PLACE},
    {"torch.ne Tensor.ne torch.not_equal Tensor.not_equal", "Tensor input, Operand other", builtin_apply, OP_NE, IN_PLACE},
    {"torch.lt Tensor.lt torch.less Tensor.less", "Tensor input, Operand other", builtin_apply, OP_LT, IN_PLACE},
    {"torch.le Tensor.le torch.less_equal Tensor.less_equal", "Tensor input, Operand other", builtin_apply, OP_LE, IN_PLACE},
    {"torch.gt Tensor.gt torch.greater Tensor.greater", "Tensor input, Operand other", builtin_apply, OP_GT, IN_PLACE},
    {"torch.ge Tensor.ge torch.greater_equal Tensor.greater_equal", "Tensor input, Operand other", builtin_apply, OP_GE, IN_PLACE},
    {"torch.logical_not Tensor.logical_not", "Tensor input", builtin_apply, OP_LOGICAL_NOT, IN_PLACE},
    {"torch.logical_and Tensor.logical_and", "Tensor input, Tensor other", builtin_apply, OP_LOGICAL_AND, IN_PLACE},
    {"torch.logical_or Tensor.logical_or",   "Tensor input, Tensor other", builtin_apply, OP_LOGICAL_OR, IN_PLACE},
    {"torch.logical_xor Tensor.logical_xor", "Tensor input, Tensor other", builtin_apply, OP_LOGICAL_XOR, IN_PLACE},
    {"torch.bitwise_not Tensor.bitwise_not", "Tensor input", builtin_apply, OP_BITWISE_NOT, IN_PLACE},
    {"torch.bitwise_and Tensor.bitwise_and", "Tensor input, Operand other", builtin_apply, OP_BITWISE_AND, IN_PLACE},
    {"torch.bitwise_or Tensor.bitwise_or",   "Tensor input, Operand other", builtin_apply, OP_BITWISE_OR, IN_PLACE},
    {"torch.bitwise_xor Tensor.bitwise_xor", "Tensor input, Operand other", builtin_apply, OP_BITWISE_XOR, IN_PLACE},
    {"torch.isnan Tensor.isnan",       "Tensor input", builtin_apply, OP_ISNAN, 0},
    {"torch.isfinite Tensor.isfinite", "Tensor input", builtin_apply, OP_ISFINITE, 0},
    {"torch.isinf Tensor.isinf",       "Tensor input", builtin_apply, OP_ISINF, 0},

    /* ---- reductions ---- */
    {"torch.sum Tensor.sum",   "Tensor input, *, dtype? dtype=None:dtype", builtin_apply, OP_SUM, 0},
    {"torch.sum Tensor.sum",   "Tensor input, int[1]? dim:dims, bool keepdim=False:keepdim, *, dtype? dtype=None:dtype", builtin_apply, OP_SUM_DIM, 0},
    {"torch.mean Tensor.mean", "Tensor input, *, dtype? dtype=None:dtype", builtin_apply, OP_MEAN, 0},
    {"torch.mean Tensor.mean", "Tensor input, int[1]? dim:dims, bool keepdim=False:keepdim, *, dtype? dtype=None:dtype", builtin_apply, OP_MEAN_DIM, 0},
    {"torch.prod Tensor.prod", "Tensor input, *, dtype? dtype=None:dtype", builtin_apply, OP_PROD, 0},
    {"torch.prod Tensor.prod", "Tensor input, int dim:dim, bool keepdim=False:keepdim, *, dtype? dtype=None:dtype", builtin_apply, OP_PROD_DIM, 0},
    {"torch.max Tensor.max",   "Tensor input", builtin_apply, OP_MAX, 0},
    {"torch.max Tensor.max",   "Tensor input, Tensor other", builtin_apply, OP_MAXIMUM, 0},
    {"torch.max Tensor.max",   "Tensor input, int dim:dim, bool keepdim=False:keepdim", call_extreme, OP_MAX_DIM, 0},
    {"torch.min Tensor.min",   "Tensor input", builtin_apply, OP_MIN, 0},
    {"torch.min Tensor.min",   "Tensor input, Tensor other", builtin_apply, OP_MINIMUM, 0},
    {"torch.min Tensor.min",   "Tensor input, int dim:dim, bool keepdim=False:keepdim", call_extreme, OP_MIN_DIM, 0},
    {"torch.amax Tensor.amax", "Tensor input, int[1] dim=None:dims, bool keepdim=False:keepdim", builtin_apply, OP_AMAX, 0},
    {"torch.amin Tensor.amin", "Tensor input, int[1] dim=None:dims, bool keepdim=False:keepdim", builtin_apply, OP_AMIN, 0},
    {"torch.argmax Tensor.argmax", "Tensor input, int? dim=None, bool keepdim=False", call_argument_of, OP_ARGMAX, 0},
    {"torch.argmin Tensor.argmin", "Tensor input, int? dim=None, bool keepdim=False", call_argument_of, OP_ARGMIN, 0},
    {"torch.var Tensor.var",   "Tensor input, bool unbiased=True", call_var, OP_VAR, 0},
    {"torch.var Tensor.var",   "Tensor input, int[1]? dim=None:dims, bool unbiased=True, bool keepdim=False:keepdim", call_var, OP_VAR, 0},
    {"torch.var Tensor.var",   "Tensor input, int[1]? dim=None:dims, *, int? correction:correction, bool keepdim=False:keepdim, any unbiased=None", call_var, OP_VAR, 0},
    {"torch.std Tensor.std",   "Tensor input, bool unbiased=True", call_var, OP_STD, 0},
    {"torch.std Tensor.std",   "Tensor input, int[1]? dim=None:dims, bool unbiased=True, bool keepdim=False:keepdim", call_var, OP_STD, 0},
    {"torch.std Tensor.std",   "Tensor input, int[1]? dim=None:dims, *, int? correction:correction, bool keepdim=False:keepdim, any unbiased=None", call_var, OP_STD, 0},
    {"torch.norm Tensor.norm", "Tensor input, any p='fro', int[1]? dim=None:dims, bool keepdim=False:keepdim, *, dtype? dtype=None:dtype", call_norm, 0, 0},
    {"torch.linalg.vector_norm", "Tensor x, Number ord=2, int[1]? dim=None:dims, bool keepdim=False:keepdim, *, dtype? dtype=None:dtype", call_vector_norm, 0, 0},
    {"torch.linalg.norm", "Tensor A, any ord=None, int[1]? dim=None:dims, bool keepdim=False:keepdim, *, dtype? dtype=None:dtype", call_linalg_norm, 0, 0},
    {"torch.logsumexp Tensor.logsumexp", "Tensor input, int[1] dim:dims, bool keepdim=False:keepdim", builtin_apply, OP_LOGSUMEXP, 0},
    {"torch.cumsum Tensor.cumsum", "Tensor input, int dim:dim, *, dtype? dtype=None:dtype", builtin_apply, OP_CUMSUM, IN_PLACE},
    {"torch.cumprod Tensor.cumprod", "Tensor input, int dim:dim, *, dtype? dtype=None:dtype", builtin_apply, OP_CUMPROD, IN_PLACE},
    {"torch.all Tensor.all",   "Tensor input, int? dim=None, bool keepdim=False", call_argument_of, OP_ALL, 0},
    {"torch.any Tensor.any",   "Tensor input, int? dim=None, bool keepdim=False", call_argument_of, OP_ANY, 0},
    {"torch.nonzero Tensor.nonzero", "Tensor input, *, bool as_tuple=False", call_nonzero_tuple, 0, 0},

    /* ---- shapes ---- */
    {"Tensor.view",    "Tensor self, int... size", call_view, 0, 0},
    {"Tensor.view_as", "Tensor self, Tensor other", call_view, 0, 0},
    {"torch.reshape",  "Tensor input, int[] shape", call_reshape, 0, 0},
    {"Tensor.reshape", "Tensor self, int... shape", call_reshape, 0, 0},
    {"Tensor.reshape_as", "Tensor self, Tensor other", call_reshape, 0, 0},
    {"torch.flatten Tensor.flatten", "Tensor input, int start_dim=0, int end_dim=-1", call_flatten, 0, 0},
    {"torch.t Tensor.t", "Tensor input", builtin_apply, OP_T, 0},
    {"Tensor.T",  "Tensor self", call_property_t, 0, PROPERTY},
    {"Tensor.mT", "Tensor self", call_property_t, 0, PROPERTY},
    {"torch.transpose Tensor.transpose torch.swapaxes Tensor.swapaxes torch.swapdims Tensor.swapdims", "Tensor input, int dim0:dim, int dim1:dim2", builtin_apply, OP_TRANSPOSE, 0},
    {"torch.permute",  "Tensor input, int[] dims", call_permute, 0, 0},
    {"Tensor.permute", "Tensor self, int... dims", call_permute, 0, 0},
    {"torch.squeeze Tensor.squeeze", "Tensor input, int? dim=None", call_squeeze, 0, 0},
    {"torch.unsqueeze Tensor.unsqueeze", "Tensor input, int dim:new_dim", builtin_apply, OP_UNSQUEEZE, 0},
    {"Tensor.expand",  "Tensor self, int... size", call_expand, 0, 0},
    {"Tensor.expand_as", "Tensor self, Tensor other", call_expand_as, 0, 0},
    {"torch.broadcast_to Tensor.broadcast_to", "Tensor input, int[] size", call_expand, 0, 0},
    {"torch.narrow Tensor.narrow", "Tensor input, int dim, int start, int length", call_narrow, 0, 0},
    {"torch.select Tensor.select", "Tensor input, int dim, int index", call_select, 0, 0},
    {"torch.as_strided Tensor.as_strided", "Tensor input, int[] size, int[] stride, int? storage_offset=None", call_as_strided, 0, EFFECT},
    {"Tensor.contiguous", "Tensor self", call_contiguous, 0, 0},
    {"torch.clone Tensor.clone", "Tensor input", builtin_apply, OP_CLONE, 0},
    {"torch.cat torch.concat torch.concatenate", "Tensor[] tensors, int dim=0:dim", call_list_of_tensors, OP_CAT, 0},
    {"torch.stack", "Tensor[] tensors, int dim=0:new_dim", call_list_of_tensors, OP_STACK, 0},
    {"torch.index_select Tensor.index_select", "Tensor input, int dim:dim, Tensor index", builtin_apply, OP_INDEX_SELECT, 0},
    {"torch.masked_select Tensor.masked_select", "Tensor input, Tensor mask", call_masked_select, 0, 0},
    {"torch.triu Tensor.triu", "Tensor input, int diagonal=0:start", builtin_apply, OP_TRIU, IN_PLACE},
    {"torch.tril Tensor.tril", "Tensor input, int diagonal=0:start", builtin_apply, OP_TRIL, IN_PLACE},
    {"torch.flip Tensor.flip", "Tensor input, int... dims:some_dims", builtin_apply, OP_FLIP, 0},
    {"torch.addmv Tensor.addmv", "Tensor input, Tensor mat, Tensor vec, *, Number beta=1:beta, Number alpha=1:alpha", builtin_apply, OP_ADDMV, IN_PLACE},
    {"torch.gather Tensor.gather", "Tensor input, int dim:dim, Tensor index", builtin_apply, OP_GATHER, 0},

    /* ---- products ---- */
    {"torch.matmul Tensor.matmul", "Tensor input, Tensor other", call_matmul, 0, 0},
    {"torch.mm Tensor.mm",   "Tensor input, Tensor mat2", builtin_apply, OP_MM, 0},
    {"torch.mv Tensor.mv",   "Tensor input, Tensor vec", builtin_apply, OP_MV, 0},
    {"torch.dot Tensor.dot", "Tensor input, Tensor tensor", builtin_apply, OP_DOT, 0},
    {"torch.bmm Tensor.bmm", "Tensor input, Tensor mat2", builtin_apply, OP_BMM, 0},
    {"torch.outer Tensor.outer torch.ger Tensor.ger", "Tensor input, Tensor vec2", call_outer, 0, 0},
    {"torch.addmm Tensor.addmm", "Tensor input, Tensor mat1, Tensor mat2, *, Number beta=1:beta, Number alpha=1:alpha", builtin_apply, OP_ADDMM, IN_PLACE},
    {"torch.baddbmm Tensor.baddbmm", "Tensor input, Tensor batch1, Tensor batch2, *, Number beta=1:beta, Number alpha=1:alpha", builtin_apply, OP_BADDBMM, IN_PLACE},
    {"torch.nn.functional.linear", "Tensor input, Tensor weight, Tensor? bias=None", call_linear, 0, 0},
    {"torch.nn.functional.conv2d torch.conv2d", "Tensor input, Tensor weight, Tensor? bias=None, int[1] stride=1, any padding=0, int[1] dilation=1, int groups=1", call_conv2d, 0, 0},

    /* ---- activations ---- */
    {"torch.relu Tensor.relu", "Tensor input", builtin_apply, OP_RELU, IN_PLACE},
    {"torch.nn.functional.relu", "Tensor input, bool inplace=False", builtin_apply, OP_RELU, IN_PLACE},
    {"torch.sigmoid Tensor.sigmoid torch.nn.functional.sigmoid torch.special.expit", "Tensor input", builtin_apply, OP_SIGMOID, IN_PLACE},
    {"torch.tanh Tensor.tanh torch.nn.functional.tanh", "Tensor input", builtin_apply, OP_TANH, IN_PLACE},
    {"torch.nn.functional.leaky_relu", "Tensor input, Number negative_slope=0.01:alpha, bool inplace=False", builtin_apply, OP_LEAKY_RELU, IN_PLACE},
    {"torch.nn.functional.gelu", "Tensor input, *, str approximate='none':tanh", builtin_apply, OP_GELU, 0},
    {"torch.nn.functional.silu", "Tensor input, bool inplace=False", builtin_apply, OP_SILU, 0},
    {"torch.nn.functional.elu",  "Tensor input, Number alpha=1.0:alpha, bool inplace=False", builtin_apply, OP_ELU, IN_PLACE},
    {"torch.nn.functional.softplus", "Tensor input, Number beta=1:alpha, Number threshold=20:beta", builtin_apply, OP_SOFTPLUS, 0},
    {"torch.nn.functional.hardtanh", "Tensor input, Number min_val=-1.0:alpha, Number max_val=1.0:beta, bool inplace=False", builtin_apply, OP_HARDTANH, IN_PLACE},
    {"torch.nn.functional.relu6", "Tensor input, bool inplace=False, *, Number min_val=0.0:alpha, Number max_val=6.0:beta", builtin_apply, OP_HARDTANH, 0},
    {"torch.nn.functional.softsign", "Tensor input", call_softsign, 0, 0},
    {"torch.nn.functional.tanhshrink", "Tensor input", call_tanhshrink, 0, 0},
    {"torch.nn.functional.normalize", "Tensor input, Number p=2.0:alpha, int[1] dim=1:dims, Number eps=1e-12", call_normalize, 0, 0},
    {"torch.nn.functional.pad", "Tensor input, int[] pad, str mode='constant', Number? value=None", call_pad, 0, 0},
    {"torch.nn.functional.logsigmoid", "Tensor input", builtin_apply, OP_LOG_SIGMOID, 0},
    {"torch.nn.functional.softmax",     "Tensor input, int? dim=None, any _stacklevel=3, dtype? dtype=None", call_softmax, OP_SOFTMAX, 0},
    {"torch.softmax Tensor.softmax torch.special.softmax",     "Tensor input, int dim, dtype? dtype=None", call_softmax, OP_SOFTMAX, 0},
    {"torch.nn.functional.log_softmax", "Tensor input, int? dim=None, any _stacklevel=3, dtype? dtype=None", call_softmax, OP_LOG_SOFTMAX, 0},
    {"torch.log_softmax Tensor.log_softmax torch.special.log_softmax", "Tensor input, int dim, dtype? dtype=None", call_softmax, OP_LOG_SOFTMAX, 0},

    /* ---- losses ---- */
    {"torch.nn.functional.mse_loss", "Tensor input, Tensor target, " OLD ", str reduction='mean':reduction", call_pair_loss, OP_MSE_LOSS, 0},
    {"torch.nn.functional.l1_loss",  "Tensor input, Tensor target, " OLD ", str reduction='mean':reduction", call_l1_loss, 0, 0},
    {"torch.nn.functional.smooth_l1_loss", "Tensor input, Tensor target, " OLD ", str reduction='mean':reduction, float beta=1.0:alpha", call_pair_loss, OP_SMOOTH_L1, 0},
    {"torch.nn.functional.huber_loss", "Tensor input, Tensor target, str reduction='mean':reduction, float delta=1.0:alpha", call_pair_loss, OP_HUBER, 0},
    {"torch.nn.functional.binary_cross_entropy", "Tensor input, Tensor target, Tensor? weight=None, " OLD ", str reduction='mean':reduction", call_bce, OP_BCE, 0},
    {"torch.nn.functional.binary_cross_entropy_with_logits", "Tensor input, Tensor target, Tensor? weight=None, " OLD ", str reduction='mean':reduction, Tensor? pos_weight=None", call_bce, OP_BCE_LOGITS, 0},
    {"torch.nn.functional.cross_entropy", "Tensor input, Tensor target, Tensor? weight=None, any size_average=None, int ignore_index=-100:ignore_index, any reduce=None, str reduction='mean':reduction, float label_smoothing=0.0", call_cross_entropy, 0, 0},
    {"torch.nn.functional.nll_loss", "Tensor input, Tensor target, Tensor? weight=None, any size_average=None, int ignore_index=-100:ignore_index, any reduce=None, str reduction='mean':reduction", call_nll_loss, 0, 0},
    {.names = NULL},
};
/* clang-format on */

static const char *const modules[] = {
    "torch", "torch.nn", "torch.nn.functional", "torch.linalg", "torch.special", "torch.autograd",
    "math",  NULL};

bool builtin_is_module(const char *text)
{
    for (int i = 0; modules[i]; i++)
        if (!strcmp(modules[i], text))
            return true;
    return false;
}

/* Is the name, n bytes long, one of the row's? */
static bool is_spelled(const struct builtin *b, const char *name, size_t n)
{
    for (const char *at = b->names; *at; at += strcspn(at, " "), at += *at == ' ')
        if (strcspn(at, " ") == n && !memcmp(at, name, n))
            return true;
    return false;
}

const struct builtin *builtin_find(const char *name, bool *in_place)
{
    size_t n = strlen(name);
    *in_place = n && name[n - 1] == '_';
    for (const struct builtin *b = builtins; b->names; b++)
        if (is_spelled(b, name, n) ||
            (*in_place && b->flags & BUILTIN_IN_PLACE && is_spelled(b, name, n - 1)))
            return b;
    return NULL;
}

const char *builtin_short_name(const struct builtin *b, int *bytes)
{
    size_t n = strcspn(b->names, " "), start = n;
    while (start > 0 && b->names[start - 1] != '.')
        start--;
    *bytes = (int)(n - start);
    return b->names + start;
}

/* No overload takes these: what is given, by type. What a method is called on does not count. */
static enum err_kind no_overload(const struct builtin *b, const struct call_values *given,
                                 struct err *e)
{
    char types[200] = "";
    size_t used = 0;
    int bytes;
    const char *name = builtin_short_name(b, &bytes);
    for (int i = given->method; i < given->count && used < sizeof types; i++) {
        int k = i - (given->count - given->keywords);
        used += (size_t)snprintf(types + used, sizeof types - used, "%s%s%s%s",
                                 i > given->method ? ", " : "", k >= 0 ? given->keyword[k] : "",
                                 k >= 0 ? "=" : "", value_type_name(&given->value[i]));
    }
    bool none = given->count - given->keywords == given->method; /* PyTorch leaves a comma then */
    return err_set(e, ERR_INVALID, "",
                   "%.*s() received an invalid combination of arguments - got (%s%s)", bytes, name,
                   types, none && given->keywords ? ", " : "");
}

static enum err_kind refuse_effect(const struct builtin *b, struct err *e)
{
    int bytes;
    const char *name = builtin_short_name(b, &bytes);
    return err_set(e, ERR_INVALID, "", "'%.*s' is not possible in a model's forward", bytes, name);
}

/* The first overload whose signature takes what is given. Where all refuse the same argument's
 * type, that is the error. */
enum err_kind builtin_call(struct interp *in, const struct builtin *b, bool in_place,
                           const struct call_values *given, struct value *out, struct err *e)
{
    struct args a;
    struct err first;
    if (in->pure && (in_place || b->flags & BUILTIN_EFFECT))
        return refuse_effect(b, e);
    bool same = true;
    for (const struct builtin *row = b;; row++) {
        enum err_kind rc = arguments_bind(&a, in, row, in_place, given, e);
        if (!rc)
            return row->fn(&a, out, e);
        if (rc == ERR_NOMEM)
            return rc;
        if (row == b)
            first = *e;
        same = same && !strcmp(first.message, e->message);
        if (!row[1].names || strcmp(row[1].names, b->names) != 0)
            return row == b || (same && strstr(e->message, "must be")) ? rc
                                                                       : no_overload(b, given, e);
    }
}
