/* api/problem.h - errors as RFC 9457 problem details: the only place that knows HTTP statuses. */
#ifndef API_PROBLEM_H
#define API_PROBLEM_H

#include "api/json_out.h"
#include "engine/err.h"

int problem_status(enum err_kind kind);
/* Writes the body. extra: further members, an open object as call_extra makes it, or NULL. */
void problem_write(struct json_out *w, const struct err *e, const struct json_out *extra);

#endif
