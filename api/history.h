/* api/history.h - the losses of a model's steps, whole or thinned out.
 *
 * Threads: any that has the session; the store and the session's tail are read.
 */
#ifndef API_HISTORY_H
#define API_HISTORY_H

#include "api/session.h"

struct history {
    int64_t *step; /* owned, as loss */
    double *loss;
    size_t count;
    int64_t last_step; /* that the model had then */
};

/* The steps after + 1 … after + limit, as far as there are any. points > 0: at most about so many
 * of them, the extremes among them. errors NOMEM · IO; then there is nothing to close */
MUST_USE enum err_kind history_read(struct session *s, int64_t after, int64_t limit, int64_t points,
                                    struct history *out, struct err *e);
void history_close(struct history *h);

#endif
