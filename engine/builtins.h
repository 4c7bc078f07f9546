/* engine/builtins.h - the functions and methods of the expression language, as one table.
 *
 * A row says how a function is spelled, its signature in Python's notation with PyTorch's names and
 * defaults, and what it does; most apply one operation, and for them the row is all.
 *
 * A signature is a list of  type name[=default][:field] , with * before what is keyword-only:
 *     Tensor        a tensor
 *     Operand       a tensor, or a number in a tensor's place (it promotes less)
 *     Number        a bool, an integer or a float
 *     int float bool str dtype
 *     int[]         a list of integers        int[1]    the same, or one integer
 *     int...        the same, or the rest of the positional arguments
 *     Tensor[]      a list of tensors
 *     any any...    whatever it is; the rest of the positional arguments
 *  and with ? behind the type None is taken as well. A field names the place in struct op_args that
 *  the value goes to (FIELDS in arguments.c).
 *
 * Threads: immutable.
 */
#ifndef ENGINE_BUILTINS_H
#define ENGINE_BUILTINS_H

#include "engine/interp.h"

struct args;
typedef enum err_kind builtin_fn(struct args *a, struct value *out, struct err *e);

#define BUILTIN_IN_PLACE 1u /* "add" is also "add_" */
#define BUILTIN_EFFECT                                                                             \
    2u /* draws, prints, changes or looks at numbers: not in a model's forward                     \
        */
#define BUILTIN_PROPERTY 4u /* x.T: called without parentheses */

struct builtin {
    const char *names;     /* "torch.add Tensor.add": all spellings, a space between */
    const char *signature; /* rows that follow each other with the same names are overloads */
    builtin_fn *fn;
    int op; /* enum op_id, for builtin_apply */
    unsigned flags;
};
extern const struct builtin builtins[]; /* NULL names end them */

/* The row that is spelled so ("torch.add", "Tensor.add_"); NULL: there is none.
 *   *in_place  the spelling is that of an in-place variant */
const struct builtin *builtin_find(const char *name, bool *in_place);
/* Is text a module: "torch.nn"? */
bool builtin_is_module(const char *text);
/* The last part of its first name: "add". */
const char *builtin_short_name(const struct builtin *b, int *bytes);

/* Calls a row, or the overload of it that fits.
 *   self       NULL: none; else the first positional argument
 *   keyword    of the last `keywords` values */
struct call_values {
    const struct value *value;
    int count;
    const char *const *keyword;
    int keywords;
    bool method; /* the first value is what the method is called on */
};
MUST_USE enum err_kind builtin_call(struct interp *in, const struct builtin *b, bool in_place,
                                    const struct call_values *given, struct value *out,
                                    struct err *e);

#endif
