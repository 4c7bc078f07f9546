/* engine/call_parts.h - the functions that rows of builtins.c name, by the file they stand in, and
 * what these files share. */
#ifndef ENGINE_CALL_PARTS_H
#define ENGINE_CALL_PARTS_H

#include "engine/interp_inside.h"

/* engine/call_python.c: Python's own */
builtin_fn call_print, call_len, call_float, call_int, call_bool, call_str, call_repr, call_abs,
    call_round, call_min_max, call_sum, call_sequence, call_slice, call_math, call_math_constant;
/* engine/call_create.c: tensors from nothing */
builtin_fn call_tensor, call_full, call_full_like, call_arange, call_linspace, call_eye, call_rand,
    call_rand_like, call_randint, call_manual_seed, call_fill_random;
/* engine/call_autograd.c */
builtin_fn call_backward, call_autograd_grad, call_detach, call_requires_grad_, call_retain_grad,
    call_grad_mode, call_set_grad_enabled, call_is_grad_enabled, call_node_name;
/* engine/call_tensor.c: facts, conversions, comparisons of a whole */
builtin_fn call_item, call_tolist, call_size, call_dim, call_numel, call_stride,
    call_storage_offset, call_is_contiguous, call_dtype_constant, call_to, call_cast, call_type,
    call_allclose, call_equal, call_is_floating_point, call_is_tensor, call_size_of;
/* engine/call_shape.c */
builtin_fn call_view, call_reshape, call_flatten, call_permute, call_expand, call_expand_as,
    call_list_of_tensors, call_narrow, call_select, call_contiguous, call_property_t, call_where,
    call_where_method, call_as_strided, call_squeeze, call_clamp, call_nonzero_tuple,
    call_masked_select;
/* engine/call_linear.c */
builtin_fn call_matmul, call_outer, call_linear, call_conv2d;
/* engine/call_arith.c */
builtin_fn call_div, call_rsub, call_clamp_bound, call_softsign, call_tanhshrink, call_normalize,
    call_pad;
/* engine/call_norm.c */
builtin_fn call_norm, call_vector_norm, call_linalg_norm;
/* engine/call_reduce.c */
builtin_fn call_var, call_extreme, call_argument_of, call_square;
/* engine/call_loss.c */
builtin_fn call_softmax, call_pair_loss, call_l1_loss, call_bce, call_cross_entropy, call_nll_loss;

/* The value of the parameter of that name; the row's signature has it. */
const struct value *argument(const struct args *a, const char *name);
/* The tensor of the i-th parameter, NULL for None. */
struct tensor *tensor_argument(const struct args *a, int i);
/* *out = the tensor. */
enum err_kind give(struct tensor *t, struct value *out);
/* The torch.Size of a shape. */
MUST_USE enum err_kind size_value(struct interp *in, const struct shape *s, struct value *out,
                                  struct err *e);
/* An operation whose only argument is a dimension or a shape. */
MUST_USE enum err_kind apply_dim(struct interp *in, enum op_id id, int dim, struct tensor *x,
                                 struct tensor **out, struct err *e);
MUST_USE enum err_kind apply_shape(struct interp *in, enum op_id id, const struct shape *shape,
                                   struct tensor *x, struct tensor **out, struct err *e);
MUST_USE enum err_kind apply_nonzero(struct interp *in, struct tensor *x,
                                     struct tensor *place[RANK_MAX], struct err *e);
/* With so many elements before and behind along each dimension, of that value. errors INVALID: more
 * is cut off than there is */
MUST_USE enum err_kind apply_pad(struct interp *in, struct tensor *x, const int64_t *before,
                                 const int64_t *behind, double value, struct tensor **out,
                                 struct err *e);
MUST_USE enum err_kind apply_masked_select(struct interp *in, struct tensor *x, struct tensor *mask,
                                           struct tensor **out, struct err *e);

#endif
