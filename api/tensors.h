/* api/tensors.h - the arrays of a binary body, by name: those of a safetensors file, or the one of
 * an .npy file, which has no name and answers to any.
 *
 * Threads: as the call whose body it is.
 */
#ifndef API_TENSORS_H
#define API_TENSORS_H

#include "api/wire.h"

struct tensors {
    struct wire *list; /* NULL: the body is no file of arrays */
    size_t count;
    struct wire one;  /* where list points for .npy */
    struct json head; /* of safetensors: it has the names … */
    char *text;       /* … and this what it says beside them */
};
/* A zeroed or closed one is fine. */
void tensors_close(struct tensors *t);

/* NULL: there is none of that name. */
const struct wire *tensors_find(const struct tensors *t, const char *name);
/* INVALID: one is not in names (NULL ends them). */
MUST_USE enum err_kind tensors_check(const struct tensors *t, const char *const *names,
                                     struct err *e);

#endif
