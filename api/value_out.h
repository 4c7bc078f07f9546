/* api/value_out.h - what a program's expression gave, in JSON.
 *
 * A tensor is {"dtype", "shape", "requires_grad", "grad_fn", "data"}; None is null; a bool, an int,
 * a float and a string are such; tuples, lists and sizes are arrays; all else is {"repr": "…"}.
 */
#ifndef API_VALUE_OUT_H
#define API_VALUE_OUT_H

#include "api/json_out.h"
#include "engine/tape.h"
#include "engine/value.h"

struct value_out {
    struct json_out *w;
    struct tape *tape; /* whose budget bounds the text as well */
    size_t taken;      /* of the budget, for the text: the caller's to give back */
};

/* errors INVALID lists in lists without end · NOMEM the tape's arena says what was refused */
MUST_USE enum err_kind value_write(struct value_out *o, const struct value *x, struct err *e);

#endif
