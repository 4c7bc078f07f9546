/* engine/value.h - what a name of the expression language stands for.
 *
 * A struct value is plain data and is passed by value; what it points to lies in the arena of the
 * interpreter that made it, or belongs to whoever bound it.
 */
#ifndef ENGINE_VALUE_H
#define ENGINE_VALUE_H

#include "engine/tensor.h"

struct builtin;
struct node;

enum value_kind {
    VALUE_NONE,
    VALUE_BOOL,     /* boolean */
    VALUE_INT,      /* integer */
    VALUE_FLOAT,    /* number */
    VALUE_STRING,   /* text, count bytes; NUL-terminated */
    VALUE_TUPLE,    /* item, count; names: those of a named tuple (torch.max(x, 0)), or NULL */
    VALUE_LIST,     /* item, count; a list is never changed, so sharing it is no matter */
    VALUE_SIZE,     /* item, count: torch.Size, of VALUE_INT */
    VALUE_TENSOR,   /* tensor */
    VALUE_DTYPE,    /* dtype */
    VALUE_NODE,     /* node: a grad_fn */
    VALUE_SLICE,    /* item: start, stop, step; each an int or None */
    VALUE_ELLIPSIS, /* … */
    VALUE_MODULE,   /* text: "torch.nn" */
    VALUE_BUILTIN,  /* builtin; names: its own, "add"; item: what it is a method of, or NULL */
    VALUE_GUARD,    /* integer: the grad mode that a `with` sets; count: enum guard_mode */
};

/* What a `with` goes back to at its end: the mode it found, or the one that its guard found. */
enum guard_mode { GUARD_AS_FOUND, GUARD_WAS_ENABLED, GUARD_WAS_DISABLED };

struct value {
    enum value_kind kind;
    size_t count;
    union {
        bool boolean;
        int64_t integer;
        double number;
        const char *text;
        enum dtype dtype;
        struct tensor *tensor;
        const struct node *node;
        const struct builtin *builtin;
    };
    struct value *item;
    const char *names; /* of a named tuple "torch.return_types.max values indices" */
};

#endif
