/* engine/arguments.h - the arguments of one call, checked against its row's signature. */
#ifndef ENGINE_ARGUMENTS_H
#define ENGINE_ARGUMENTS_H

#include "engine/builtins.h"

#define ARGUMENTS_MAX 14

enum argument_type {
    ARGUMENT_TENSOR,
    ARGUMENT_OPERAND,
    ARGUMENT_NUMBER,
    ARGUMENT_INT,
    ARGUMENT_FLOAT,
    ARGUMENT_BOOL,
    ARGUMENT_STR,
    ARGUMENT_DTYPE,
    ARGUMENT_INTS,     /* int[] */
    ARGUMENT_INT_OR_S, /* int[1] */
    ARGUMENT_INT_REST, /* int... */
    ARGUMENT_TENSORS,
    ARGUMENT_ANY,
    ARGUMENT_ANY_REST,
    ARGUMENT_TYPES
};

/* One parameter of a signature; texts point into it and have lengths. */
struct parameter_spec {
    enum argument_type type;
    bool optional, keyword_only;
    const char *name, *fallback, *field; /* fallback, field NULL: none */
    int name_bytes, fallback_bytes, field_bytes;
};

struct args {
    struct interp *in;
    const struct builtin *row;
    bool in_place, method; /* method: called on its first argument */
    int count;
    struct parameter_spec spec[ARGUMENTS_MAX];
    struct value value[ARGUMENTS_MAX]; /* in the signature's order, of the type it says; Operand:
                                          a tensor; int[1] and int...: a tuple of integers */
    bool given[ARGUMENTS_MAX];         /* false: value is the default */
};

bool parameter_is_named(const struct parameter_spec *p, const char *name);

/* errors INVALID in Python's and PyTorch's words · NOMEM */
MUST_USE enum err_kind arguments_bind(struct args *a, struct interp *in, const struct builtin *row,
                                      bool in_place, const struct call_values *given,
                                      struct err *e);

/* What a parameter's field says of the operation's arguments. x: what its dimensions refer to.
 *   errors INVALID: a dimension out of range, a reduction that does not exist … */
MUST_USE enum err_kind arguments_to_op(const struct args *a, const struct tensor *x,
                                       struct op_args *out, struct err *e);

/* A tensor of rank 0 in a number's place. NULL: no memory. */
MUST_USE struct tensor *number_tensor(struct interp *in, const struct value *number);
/* Wraps a negative dimension. errors INVALID "Dimension out of range (expected …)" */
MUST_USE enum err_kind dim_wrap(int64_t dim, int rank, int *out, struct err *e);
/* The integers of a tuple as a shape. errors INVALID */
MUST_USE enum err_kind shape_of_ints(const struct value *ints, struct shape *out, struct err *e);
/* A number into o's alpha or beta (place), which an operation that promotes by it is told the type
 * of. errors INVALID: an integer that a double does not hold */
MUST_USE enum err_kind number_to_op(const struct value *v, double *place, struct op_args *o,
                                    struct err *e);
double number_of(const struct value *x); /* of a bool, integer or float */
enum dtype number_dtype(const struct value *x);

/* Applies the row's operation to its tensors, in the order of the signature; an optional one that
 * is None is left out. */
builtin_fn builtin_apply;
/* The same with another operation than the row's. */
MUST_USE enum err_kind builtin_apply_as(struct args *a, enum op_id id, struct value *out,
                                        struct err *e);

#endif
