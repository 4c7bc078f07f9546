/* api/redo.h - the changes of a journal done again, one after the other: for replay.c and past.c.
 *
 * Threads: as the session, which nobody else knows yet.
 */
#ifndef API_REDO_H
#define API_REDO_H

#include "api/session.h"

/* A replay under way. The batches that the state does not have (yet, or any more) wait in `spare`.
 */
struct replay {
    struct session *s;
    struct scratch *scratch; /* the caller's, or NULL until a change needs one: then it is … */
    struct scratch *own;     /* … of the replay, and goes with it */
    struct batch **spare;
    size_t spares, spares_room;
    struct batch *data; /* the last that a change brought along, … */
    int64_t data_at;    /* … and which one that was */
    int64_t next;       /* the change to come */
    int64_t until_step; /* stop in the change that reaches this; -1: nowhere */
    bool reached;
    bool told_build;
    bool spoiled;   /* the change next - 1 failed on the way, and what s holds is nothing */
    struct err why; /* what stopped it, if its kind is not OK */
};

/* Makes r->s the checkpoint c (NULL: the model as it was born), with the batches of the time.
 *   errors IO it cannot be read, or does not fit · NOMEM */
MUST_USE enum err_kind redo_begin(struct replay *r, const struct store_checkpoint *c,
                                  struct err *e);
/* Does the changes first..last, as far as they go. What is returned is a failure of the store's or
 * of memory; what is wrong with the journal is in r->why. */
MUST_USE enum err_kind redo_changes(struct replay *r, int64_t first, int64_t last, struct err *e);
/* Puts the spare batches that the state after change seq has into the session. errors NOMEM */
MUST_USE enum err_kind redo_bring_batches(struct replay *r, int64_t seq, struct err *e);
void redo_close(struct replay *r);

#endif
