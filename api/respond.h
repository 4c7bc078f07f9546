/* api/respond.h - how a call comes to its answer: success, a problem, or the one its
 * Idempotency-Key had before. For call.c.
 *
 * Threads: as the call.
 */
#ifndef API_RESPOND_H
#define API_RESPOND_H

#include "api/call.h"

/* The handler is done: c->out is the body. */
void respond_success(struct call *c);
/* Returns false, as the functions of api.h do that have composed an answer. */
bool respond_problem(struct call *c, const struct err *e);
/* Takes the request's Idempotency-Key, if it has one. *replayed: it has been answered before, and
 * that answer was given. errors as answers_begin */
MUST_USE enum err_kind respond_take_key(struct call *c, bool *replayed, struct err *e);
/* Releases what only the handler needed. A key that still runs had no effect, and is free again. */
void respond_settle(struct call *c);

#endif
