/* api/state_dict.h - a model's parameters (or gradients) by their names, as arrays of a file.
 *
 * Threads: writing reads the model, reading does not touch it: the caller holds what that takes.
 */
#ifndef API_STATE_DICT_H
#define API_STATE_DICT_H

#include "api/call.h"

enum state_dict { STATE_DICT_PARAMETERS, STATE_DICT_GRADIENTS };

/* Writes all of m's, or only one, as the whole answer. Gradients that are not there are left out.
 *   metadata  as safetensors_write has it
 *   errors    NOMEM · NOT_FOUND .npy, and the one gradient is not there */
MUST_USE enum err_kind state_dict_write(struct call *c, enum media media, enum state_dict what,
                                        const struct module *m, const struct parameter *only,
                                        const char *const *metadata, struct err *e);
/* Reads the call's arrays into a block of rows: each parameter's numbers row-major, at its offset.
 * All must be there (strict, as load_state_dict), or the only one.
 *   errors INVALID with the pointer to the very element */
MUST_USE enum err_kind state_dict_read(const struct call *c, const struct parameter *only,
                                       void *block, struct err *e);

#endif
