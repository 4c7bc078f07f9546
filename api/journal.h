/* api/journal.h - what a model's changes are, and how each becomes a row of its journal.
 *
 * A row says what was done, with which data, and which state that led to: the small numbers of the
 * state itself and a digest of the large ones. Opening a model is its newest checkpoint and the
 * rows behind it, done again (api/replay.h); the engine gives the same bits, and the digests prove
 * it.
 */
#ifndef API_JOURNAL_H
#define API_JOURNAL_H

#include "api/session.h"

enum change_kind {
    CHANGE_STEP = 1, /* `steps` times the loop's body */
    CHANGE_BACKWARD,
    CHANGE_ZERO_GRAD,
    CHANGE_APPLY,   /* optimizer.step() */
    CHANGE_PATCH,   /* options; `text` holds them all */
    CHANGE_PUSH,    /* batch `batch` came */
    CHANGE_DELETE,  /* … and went */
    CHANGE_RESTORE, /* back to an earlier state, of which a checkpoint is kept as well */
    CHANGE_STATE,   /* what only a checkpoint can tell */
    CHANGE_FIT,     /* a slice of a job; `text` holds its plan, and its place after it */
};

#define BATCH_IN_TURN (-1) /* the pushed batches, in the place of a number */
#define BATCH_INLINE  0

/* A change that a session has just undergone. */
struct change {
    enum change_kind kind;
    int64_t steps;            /* STEP, FIT: applied; BACKWARD, APPLY: 1, or 0 if it diverged */
    int64_t batch;            /* STEP, BACKWARD: its number, or one of the above. PUSH, DELETE */
    const struct batch *data; /* of BATCH_INLINE */
    const double *loss;       /* of each */
    bool cleared;             /* STEP, FIT, BACKWARD: one more diverged; it left no gradients */
    int64_t from;             /* RESTORE: the change whose state is back, -1 if it is not known */
    int64_t work_ns;          /* it took: so long will its replay take */
};

/* The same, read from the journal. What it points to is the store's. */
struct change_row {
    enum change_kind kind;
    int64_t seq, from, step, steps, batch;
    bool cleared, diverged;
    int arithmetic, loss_dtype;
    uint64_t digest, gradients; /* of the state after it; gradients: BACKWARD alone */
    int64_t cursor, accumulated, updated_at;
    double loss_pending;
    int64_t data_at;           /* BATCH_INLINE: the change whose row has the data */
    const unsigned char *loss; /* `steps` of them, loss_bytes each (4 or 8) */
    int loss_bytes;
    const char *text; /* of a patch, of a job, or the layout of the data; "" if there is none */
    const void *data;
    size_t data_bytes;
};

/* Counts the change, and puts its row into a new transaction. In line.
 *   errors  NOMEM: it was not counted; the session is ahead of what can be kept */
MUST_USE enum err_kind journal_append(struct session *s, const struct change *change,
                                      struct store_txn **out, struct err *e);
/* The same into a transaction that is there: for a change that comes with a checkpoint. */
MUST_USE enum err_kind journal_append_to(struct store_txn *txn, struct session *s,
                                         const struct change *change, struct err *e);
/* IO: the body cannot be read. */
MUST_USE enum err_kind journal_read(const struct store_change *change, struct change_row *out,
                                    struct err *e);
/* Counts a change that was replayed, in ns. */
void journal_note_replayed(struct session *s, const struct store_change *change, int64_t ns);
double journal_loss(const struct change_row *row, int64_t i);

/* Would a replay of what is behind the newest checkpoint take longer than it is worth? In line. */
bool journal_is_long(const struct session *s);
/* Would the replay take longer than a model that is put away should take to come back? In line, or
 * nobody else has it. */
bool journal_is_worth_saving(const struct session *s);
/* Is a checkpoint cheaper to keep than the data of this change? In line. */
bool journal_prefers_checkpoint(const struct session *s, const struct change *change);

#endif
