/* api/body.h - a call's body by its content type: for call.c. What handlers ask is in call.h.
 *
 * Threads: as the call.
 */
#ifndef API_BODY_H
#define API_BODY_H

#include "api/call.h"

/* Parses the whole body into c->in and c->tensors; CSV is left to its handler.
 *   errors MALFORMED · INVALID · NOMEM */
MUST_USE enum err_kind call_parse(struct call *c, struct err *e);
/* How many numbers the body holds at the most, which need not be parsed yet: for guessing what it
 * will take. Of bytes they are counted as float32. 0: none. */
size_t call_numbers_most(const struct call *c);

#endif
