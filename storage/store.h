/* storage/store.h - the durable truth: models, batches, checkpoints, the journal, losses, kept
 * answers.
 *
 * One SQLite file, one connection, one thread at a time that owns it: callers queue units of work
 * and the writer commits all that wait together (group commit). What a caller put into one
 * transaction is kept whole or not at all.
 *
 * The store knows no JSON and no tensors: `spec`, `layout` and `state` are its callers' text,
 * sections are bytes, each chunk of them with a checksum.
 *
 * Durability: what was acknowledged has been handed to the kernel and survives the death of the
 * process; it is synced to the disk at most a second later (storage/upkeep.h), or before the
 * answer if the transaction asks for it (store_txn_sync).
 *
 * Threads: any thread may call anything here; store_open and store_close are called once, and
 *          no other call may run beside store_close.
 * Owns:    the file, its lock and the writer thread. Arguments are borrowed until the call
 *          returns (store_commit) or until `done` runs (store_commit_then).
 *          What is queued is not limited here: each caller limits what it has in flight.
 * Times:   milliseconds since 1970, UTC.
 * Errors:  besides those named at each call, any may answer NOMEM, IO for a failed or damaged file
 *          (the message names the model, batch or checkpoint), and any commit FULL: the disk is
 * full, which may pass. What takes a model's key answers NOT_FOUND if there is no such model. Text
 * over 16 MiB is TOO_LARGE.
 */
#ifndef STORAGE_STORE_H
#define STORAGE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/err.h"

#define STORE_ID_BYTES 65 /* of a model's id, NUL included */

struct store;

struct store_options {
    bool network_files; /* take a file on a network file system too (storage/filesystem.h) */
};

/* Opens or creates the file and takes it for this process alone. options NULL: all false.
 *   errors  CONFLICT another process has it · IO it cannot be opened, is damaged, is no gradd
 *           file, was written by a newer gradd, or lies on a network file system; it is never
 *           replaced by an empty one */
MUST_USE enum err_kind store_open(const char *path, const struct store_options *options,
                                  struct store **out, struct err *e);
/* Commits what is queued, checkpoints the WAL, closes. NULL is fine. */
void store_close(struct store *s);
/* false once a write or sync failed in a way that leaves durability in doubt: from then on every
 * commit answers IO. A full disk does not count: it may pass. */
bool store_is_healthy(struct store *s);
/* What was wrong when it was opened, and could be got over at the price that it tells; "" if
 * nothing was. */
const char *store_notice(const struct store *s);
/* Bytes that the database engine has allocated: its page cache, the log's index, statements. Of all
 * stores of the process. */
size_t store_memory(void);

/* ---- writing: one transaction -------------------------------------------------------------- */

struct store_txn;

/* An empty transaction; NULL: no memory. */
MUST_USE struct store_txn *store_txn_new(struct store *s);
/* bytes of memory that live as long as txn, for what its actions point to; NULL: no memory, which
 * the commit will tell. */
MUST_USE void *store_txn_alloc(struct store_txn *txn, size_t bytes);
/* Commits and frees txn; waits until it is kept.
 *   errors  the first failed action's, after which nothing of txn is kept */
MUST_USE enum err_kind store_commit(struct store_txn *txn, struct err *e);
/* Queues the commit and returns; frees txn. `done` runs once, on the thread that has the
 * connection (the writer, or one in store_flush), after the commit or its failure (e->kind OK or
 * not), before any commit queued later is answered; it must be short and must not call the store.
 */
void store_commit_then(struct store_txn *txn, void (*done)(void *arg, const struct err *e),
                       void *arg);
/* As store_commit_then, but the writer is not woken for it: the commit waits for the next
 * store_flush, or for what the writer is called for, with which it is kept. */
void store_commit_later(struct store_txn *txn, void (*done)(void *arg, const struct err *e),
                        void *arg);
/* Does all that is queued on this thread, which spares two hand-overs, if that is nothing but
 * changes that were put off; what would keep it longer (a checkpoint, a sync, or somebody else has
 * the connection) is left to the writer. */
void store_flush(struct store *s);
/* The same, but waits a moment for somebody else to be done with the connection, who may do it
 * along with his own. */
void store_flush_patiently(struct store *s);
/* Its commit is synced to the disk before it is answered. */
void store_txn_sync(struct store_txn *txn);
/* Waits until all commits that were queued before have been answered. */
void store_wait(struct store *s);
/* Frees a transaction that will not be committed. */
void store_txn_drop(struct store_txn *txn);

/* The actions. Each adds one to txn; failures (no memory included) are told by the commit. */

struct store_model {
    int64_t key; /* the store's number for it, never used again after a delete */
    char id[STORE_ID_BYTES];
    const char *spec; /* caller's text */
    int64_t created_at;
};
/* In the place of a key: the model that an earlier action of the same transaction inserted. */
#define STORE_NEW_MODEL INT64_C(-1)
/* Writes the new key to model->key at the commit. CONFLICT: the id is taken. */
void store_insert_model(struct store_txn *txn, struct store_model *model);
/* Removes the model and all it owns. NOT_FOUND: there is none. */
void store_delete_model(struct store_txn *txn, int64_t model);

struct store_batch {
    int64_t n;          /* the caller's number, unique in the model */
    const char *layout; /* caller's text: types and shapes */
    const void *data;
    size_t bytes;
    int64_t created_at;
    /* The changes that brought it and took it away; 0: none, or one before the journal. One that
     * was taken away is kept for as long as the journal may need it to replay a step. */
    int64_t pushed, deleted;
};
/* CONFLICT: the number is taken. */
void store_insert_batch(struct store_txn *txn, int64_t model, const struct store_batch *batch);
/* Deletes it by the change `at`, at once if that is 0. NOT_FOUND: there is none, or it is deleted
 * already. */
void store_delete_batch(struct store_txn *txn, int64_t model, int64_t n, int64_t at);

struct store_section {
    const char *name; /* "parameters", "momentum", … */
    const void *data;
    size_t bytes;
};
#define STORE_SECTIONS_MAX 8

/* A model's whole state at one step. */
struct store_checkpoint {
    int64_t n;      /* 0: automatic; > 0: made by a client */
    int64_t serial; /* reading: of an automatic one */
    int64_t seq;    /* the last change that it holds; 0: none, or it is from before the journal */
    bool beside;    /* an automatic one that is part of the change seq: that cannot be replayed */
    int64_t step;
    const char *label; /* NULL: none */
    double loss;       /* NaN: none */
    const char *state; /* caller's text: cursors, options, … */
    struct store_section section[STORE_SECTIONS_MAX];
    int sections;
    int64_t created_at;
    size_t bytes; /* reading: of all sections */
};
/* CONFLICT: the number n > 0 is taken. UNAVAILABLE: the last change that it holds was not kept, or
 * there are more. Of the automatic ones that are not beside a change the newest two are kept, and
 * everything since the older of them: an automatic one lets go what was before. */
void store_save_checkpoint(struct store_txn *txn, int64_t model, const struct store_checkpoint *c);
/* NOT_FOUND: there is none. n > 0. */
void store_delete_checkpoint(struct store_txn *txn, int64_t model, int64_t n);

/* One change of a model, in the order in which they happened. */
struct store_change {
    int64_t seq;      /* 1, 2, 3, … without a gap */
    int64_t from;     /* it was made to the state after this one: seq - 1, an earlier one if it went
                         back there, or -1: it cannot be made again, only loaded from its checkpoint */
    int kind;         /* the caller's, > 0 */
    int64_t step;     /* it led to */
    const void *body; /* the caller's bytes, some hundreds or thousands */
    size_t body_bytes;
    const void *data; /* what it used, of any length; NULL: nothing */
    size_t data_bytes;
    bool mends; /* writing: it needs nothing that was before, and so may follow a damaged end */
};
/* UNAVAILABLE: the change before it is not there: it was not kept. IO: the journal's end is
 * damaged. */
void store_append_change(struct store_txn *txn, int64_t model, const struct store_change *change);

/* UNAVAILABLE: change seq is not the model's last, so that what was made of it is nothing. */
void store_require_change(struct store_txn *txn, int64_t model, int64_t seq);

/* Makes loss[0..count) the history of steps first, first+1, …, and forgets what was kept for any
 * step from first on (a restored model writes its history anew). */
void store_replace_losses(struct store_txn *txn, int64_t model, int64_t first, const double *loss,
                          size_t count);

#define STORE_KEY_BYTES 256 /* of an Idempotency-Key, NUL included */

/* The answer to a request, kept under its Idempotency-Key in the transaction of its effect: so
 * both are there, or neither. */
struct store_answer {
    char key[STORE_KEY_BYTES];
    int64_t digest; /* of the request */
    int64_t status;
    char location[STORE_KEY_BYTES]; /* "": none */
    int64_t tag;                    /* the step that the answer shows; -1: none */
    const void *body;
    size_t bytes;
    int64_t created_at;
};
/* Answers are kept for a day, and not more than the newest 100,000 of them. One under the same key
 * is replaced: a long call keeps how far it got, and in the end its answer. */
void store_insert_answer(struct store_txn *txn, const struct store_answer *answer);

/* A job: what is to be done to a model, and in the end what came of it. */
struct store_job {
    int64_t n; /* the caller's number, unique */
    char id[STORE_ID_BYTES];
    bool finished;
    const char *text; /* the caller's */
    int64_t created_at;
};
/* CONFLICT: the number is taken; NOMEM: its text is NULL, for which there was no memory. */
void store_insert_job(struct store_txn *txn, const struct store_job *job);
/* It is finished, and this (borrowed until the commit) is its text now; one that is finished
 * already stays as it is. The newest 1000 finished ones are kept. NOT_FOUND: there is none; NOMEM:
 * text is NULL, for which there was no memory. */
void store_finish_job(struct store_txn *txn, int64_t n, const char *text);
/* NOT_FOUND: there is none. */
void store_delete_job(struct store_txn *txn, int64_t n);

/* ---- reading ------------------------------------------------------------------------------- */

/* *found false: there is none. out->text is owned by the caller: mem_free. */
MUST_USE enum err_kind store_find_job(struct store *s, int64_t n, struct store_job *out,
                                      bool *found, struct err *e);
/* The first job with a number over `after`, of any model or (id not "") of that one; as above. IO:
 * it is damaged, and out->n is its number. */
MUST_USE enum err_kind store_next_job(struct store *s, int64_t after, const char *id,
                                      bool unfinished, struct store_job *out, bool *found,
                                      struct err *e);
/* The highest number that any job ever had, 0: none. */
MUST_USE enum err_kind store_last_job(struct store *s, int64_t *n, struct err *e);

/* NOT_FOUND: there is none. out->spec is owned by the caller: mem_free. */
MUST_USE enum err_kind store_find_model(struct store *s, const char *id, struct store_model *out,
                                        struct err *e);
/* Up to limit ids in order, those after `after` ("" from the start). */
MUST_USE enum err_kind store_list_models(struct store *s, const char *after, size_t limit,
                                         char (*ids)[STORE_ID_BYTES], size_t *count, struct err *e);

/* The same for those whose opening has changes to replay. */
MUST_USE enum err_kind store_list_tails(struct store *s, const char *after, size_t limit,
                                        char (*ids)[STORE_ID_BYTES], size_t *count, struct err *e);

/* Calls visit for every batch of the model in order of n, also those that the journal keeps; what
 * it points to lives until it returns; a return other than OK ends the walk with that error. Runs
 * on the caller's thread. */
typedef enum err_kind store_visit_batch(void *arg, const struct store_batch *batch, struct err *e);
MUST_USE enum err_kind store_each_batch(struct store *s, int64_t model, store_visit_batch *visit,
                                        void *arg, struct err *e);

/* The clients' checkpoints with n > after, in order, at most limit of them; section, state and
 * label of each owned by the caller as one: store_checkpoint_close. Sections are not loaded. */
MUST_USE enum err_kind store_list_checkpoints(struct store *s, int64_t model, int64_t after,
                                              size_t limit, struct store_checkpoint *out,
                                              size_t *count, struct err *e);
/* The checkpoint n (> 0), or the newest automatic one (n = 0) with its sections, every chunk's
 * checksum verified. *found false: there is none (no error).
 *   errors  IO damaged: for n = 0 older automatic ones are tried first, and *fallback tells so
 *   after   store_checkpoint_close */
MUST_USE enum err_kind store_load_checkpoint(struct store *s, int64_t model, int64_t n,
                                             struct store_checkpoint *out, bool *found,
                                             bool *fallback, struct err *e);
void store_checkpoint_close(struct store_checkpoint *c);
/* The same for one automatic checkpoint. NOT_FOUND: there is none with that serial. */
MUST_USE enum err_kind store_load_automatic(struct store *s, int64_t model, int64_t serial,
                                            struct store_checkpoint *out, struct err *e);
/* The highest n that any client's checkpoint (batch) of the model ever had, 0: none. */
MUST_USE enum err_kind store_last_numbers(struct store *s, int64_t model, int64_t *checkpoint,
                                          int64_t *batch, struct err *e);

/* The last change of the model, 0: none. IO: the journal's end is damaged; *seq is the last change
 * that there is, or that a checkpoint holds, which need not be the last there was. */
MUST_USE enum err_kind store_last_change(struct store *s, int64_t model, int64_t *seq,
                                         struct err *e);
/* Calls visit for every kept change with first <= seq <= last, in order; what it points to lives
 * until it returns; false ends the walk. A gap is the visitor's to notice.
 *   errors  IO the next change is damaged; those before it were visited */
typedef bool store_visit_change(void *arg, const struct store_change *change);
MUST_USE enum err_kind store_each_change(struct store *s, int64_t model, int64_t first,
                                         int64_t last, store_visit_change *visit, void *arg,
                                         struct err *e);

/* A way to a state of the past: a change or a checkpoint, without its content. */
struct store_place {
    int64_t seq, step;
    int64_t from;      /* of a change: see struct store_change, … */
    int kind;          /* … and the caller's */
    int64_t n, serial; /* of a checkpoint; serial 0: a client's, which n names */
    bool is_change;
};
/* All there are of the model, changes first, each kind in order; what is damaged is left out.
 * *out: mem_free. */
MUST_USE enum err_kind store_list_places(struct store *s, int64_t model, struct store_place **out,
                                         size_t *count, struct err *e);

/* Calls visit with runs of losses in order of step, from step first on; last is what may be
 * skipped beyond. Runs on the caller's thread. visit returns false to end the walk. */
typedef bool store_visit_losses(void *arg, int64_t first, const double *loss, size_t count);
MUST_USE enum err_kind store_each_loss(struct store *s, int64_t model, int64_t first, int64_t last,
                                       store_visit_losses *visit, void *arg, struct err *e);

/* Reads all answers there are, whole. IO: one is damaged; *count were sound before it. */
MUST_USE enum err_kind store_check_answers(struct store *s, int64_t *count, struct err *e);
/* *found false: there is none, or its day is over. out->body is the caller's: mem_free. */
MUST_USE enum err_kind store_find_answer(struct store *s, const char *key, struct store_answer *out,
                                         bool *found, struct err *e);

/* ---- backup -------------------------------------------------------------------------------- */

struct store_backup;

/* Begins a copy of the whole store in one file at path, made beside it (path.part) and put there
 * when it is whole and safe on the disk; what is there is never overwritten. Commits go on: the
 * copy is the store as it was at some moment after the last call of store_backup_step began.
 *   errors  CONFLICT path or path.part exists, or another backup of the store is open · INVALID
 *           path is no name for one · IO the copy cannot be written, which does not end the
 *           store's health */
MUST_USE enum err_kind store_backup_begin(struct store *s, const char *path,
                                          struct store_backup **out, struct err *e);
/* Copies some MiB. *bytes: the size of the file, which is done; 0: go on. After an error there is
 * only store_backup_end.
 *   errors  as above · UNAVAILABLE the store was closed meanwhile */
MUST_USE enum err_kind store_backup_step(struct store_backup *b, int64_t *bytes, struct err *e);
/* Frees it; a copy that is not done is removed. NULL is fine. The store may be closed already. */
void store_backup_end(struct store_backup *b);
/* All of these in one. */
MUST_USE enum err_kind store_backup(struct store *s, const char *path, int64_t *bytes,
                                    struct err *e);

#endif
