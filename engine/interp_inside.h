/* engine/interp_inside.h - what the parts of the interpreter share: evaluate.c, operators.c,
 * subscript.c, attributes.c, arguments.c and the functions in call_*.c. */
#ifndef ENGINE_INTERP_INSIDE_H
#define ENGINE_INTERP_INSIDE_H

#include "engine/arguments.h"
#include "engine/builtins.h"
#include "engine/interp.h"

struct name {
    struct name *older;
    const char *text;
    struct value value;
};

/* ---- values -------------------------------------------------------------------------------- */

#define VALUE(kind_, ...) ((struct value){.kind = VALUE_##kind_, __VA_ARGS__})
#define NO_VALUE          ((struct value){.kind = VALUE_NONE})

static inline bool value_is_number(const struct value *x)
{
    return x->kind == VALUE_BOOL || x->kind == VALUE_INT || x->kind == VALUE_FLOAT;
}

static inline bool value_is_list(const struct value *x)
{
    return x->kind == VALUE_TUPLE || x->kind == VALUE_LIST || x->kind == VALUE_SIZE;
}

static inline bool value_is_list_of(const struct value *x, enum value_kind kind)
{
    if (!value_is_list(x))
        return false;
    for (size_t i = 0; i < x->count; i++)
        if (x->item[i].kind != kind)
            return false;
    return true;
}

/* Memory of the run; errors NOMEM. */
MUST_USE enum err_kind interp_alloc(struct interp *in, size_t count, size_t size, void *out,
                                    struct err *e);
MUST_USE enum err_kind interp_string(struct interp *in, const char *bytes, size_t count,
                                     struct value *out, struct err *e);
/* The run's generator, seeded. */
struct rng *interp_rng(struct interp *in);
/* A tuple, list or size of copies of the items. */
MUST_USE enum err_kind value_list(struct interp *in, enum value_kind kind, const struct value *item,
                                  size_t count, struct value *out, struct err *e);
/* A fresh tensor without history, not filled. errors NOMEM, INVALID on a shape that cannot be */
MUST_USE enum err_kind interp_tensor(struct interp *in, enum dtype dtype, const struct shape *shape,
                                     struct tensor **out, struct err *e);
/* The only element of a tensor as a Python number. errors INVALID: more than one, or none */
MUST_USE enum err_kind tensor_item(const struct interp *in, const struct tensor *t,
                                   struct value *out, struct err *e);
/* bool(x). errors INVALID: a tensor of several elements */
MUST_USE enum err_kind value_truth(const struct interp *in, const struct value *x, bool *out,
                                   struct err *e);
/* torch.tensor(x): a fresh tensor of a number, or of nested lists of numbers (and 0-d tensors).
 *   dtype   DTYPE_COUNT: that of the numbers (floats give float32)
 *   errors  INVALID rows of different lengths, too deep, something that is no number */
MUST_USE enum err_kind tensor_of_value(struct interp *in, const struct value *x, enum dtype dtype,
                                       struct tensor **out, struct err *e);
/* Adds to the run's warnings. */
MUST_USE enum err_kind interp_warn(struct interp *in, const char *category, struct err *e,
                                   const char *format, ...) PRINTF_LIKE(4, 5);

/* What a TREE_IMPORT binds its name to: `import torch.nn` binds torch to "torch". */
void import_path(const struct tree *t, char *text, size_t bytes);

/* ---- the parts ----------------------------------------------------------------------------- */

MUST_USE enum err_kind evaluate(struct interp *in, const struct tree *t, struct value *out,
                                struct err *e);
/* a op b, - a, not comparisons' chains. errors INVALID "unsupported operand type(s) for …" */
MUST_USE enum err_kind operate(struct interp *in, enum tree_operator op, const struct value *a,
                               const struct value *b, struct value *out, struct err *e);
MUST_USE enum err_kind operate_unary(struct interp *in, enum tree_operator op,
                                     const struct value *a, struct value *out, struct err *e);
/* a op= b: a tensor is changed in place, *out is what the target is then. */
MUST_USE enum err_kind operate_in_place(struct interp *in, enum tree_operator op,
                                        const struct value *a, const struct value *b,
                                        struct value *out, struct err *e);
MUST_USE enum err_kind subscript_get(struct interp *in, const struct value *x,
                                     const struct value *index, struct value *out, struct err *e);
MUST_USE enum err_kind subscript_set(struct interp *in, const struct value *x,
                                     const struct value *index, const struct value *value,
                                     struct err *e);
MUST_USE enum err_kind attribute_get(struct interp *in, const struct value *x, const char *name,
                                     struct value *out, struct err *e);
MUST_USE enum err_kind attribute_set(struct interp *in, const struct value *x, const char *name,
                                     const struct value *value, struct err *e);

/* op_apply with the results as a value. */
MUST_USE enum err_kind apply_one(struct interp *in, enum op_id id, const struct op_args *args,
                                 struct tensor *x, struct tensor **out, struct err *e);
MUST_USE enum err_kind apply_two(struct interp *in, enum op_id id, const struct op_args *args,
                                 struct tensor *x, struct tensor *y, struct tensor **out,
                                 struct err *e);
/* x converted to another type, recorded; x itself if it is of that type. */
MUST_USE enum err_kind apply_cast(struct interp *in, struct tensor *x, enum dtype dtype,
                                  struct tensor **out, struct err *e);
/* torch.matmul, torch.reshape, Tensor.contiguous: made of several operations. */
MUST_USE enum err_kind apply_matmul(struct interp *in, struct tensor *a, struct tensor *b,
                                    struct tensor **out, struct err *e);
MUST_USE enum err_kind apply_reshape(struct interp *in, struct tensor *x, const struct shape *shape,
                                     struct tensor **out, struct err *e);

#endif
