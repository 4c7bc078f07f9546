/* storage/writer.h - the thread that writes, the queue before it, and the thread that syncs.
 *
 * Whoever wants something queues a job. The thread takes all that wait: the commits among them
 * become one transaction of SQLite, each in a savepoint of its own (group commit), then the reads
 * run. So commits are kept in the order they were queued in, and a read sees every commit that
 * was answered before it was queued.
 *
 * The connection is one thread's at a time: its owner's. That is the writer, or a caller who found
 * nobody owning it, nothing queued and no upkeep due, and so need not wake another thread to be
 * served. When the writer's own turn has come (the upkeep is due, or the log has been synced)
 * the connection is wanted: whoever has it finishes, and nobody takes it before the writer. That
 * ends in any case: who says it wakes the writer if nobody has the connection, and who gives that
 * back wakes it else; and a writer that looks and finds it wanted and free takes it,
 * whether the upkeep is still due, the store healthy or closing, and unsays it.
 *
 * The log is synced by a thread of its own, the syncer, which then says that the writer is wanted.
 * The writer would keep all waiting who need it meanwhile, and a sync, of milliseconds mostly,
 * takes half a second when the disk has much to do.
 *
 * Lock: store.lock, a leaf; not held while SQLite or a callback runs.
 */
#ifndef STORAGE_WRITER_H
#define STORAGE_WRITER_H

#include "engine/lock.h"
#include "engine/mem.h"
#include "storage/sql.h"
#include "storage/store.h"

struct job;

enum syncing { SYNC_NONE, SYNC_DUE, SYNC_MADE };

/* [I] immutable after store_open   [a] atomic   [q] guarded by lock   [w] the owner's
 * [l] changed under lock, looked at by all.
 * What waits is bounded by the callers: each has its own limit of calls in flight. */
struct store {
    struct lock lock;
    pthread_cond_t work;       /* [q] CLOCK_MONOTONIC: a job came, the owner left, or closing */
    pthread_cond_t answered;   /* [q] some job was */
    pthread_cond_t freed;      /* [q] CLOCK_MONOTONIC: the connection was given back */
    size_t patient;            /* [q] who wait for that */
    pthread_cond_t sync_news;  /* [q] sync has changed, or syncs_over */
    enum syncing sync;         /* [q] of the log, by the syncer */
    bool syncs_over;           /* [q] none will be due any more */
    struct job *first;         /* [q] */
    struct job *last;          /* [q] of no meaning while first is NULL */
    atomic_size_t for_writer;  /* [l] of the queued jobs, those that may take long */
    bool called;               /* [q] the writer is to do what is queued */
    atomic_bool owned;         /* [l] somebody has the connection */
    atomic_bool wanted;        /* [l] the writer comes for it, and nobody else may take it */
    bool asleep;               /* [q] the writer waits, and no time ends that */
    bool timed;                /* [q] there is upkeep to do … */
    struct timespec upkeep_at; /* [q] … then, CLOCK_MONOTONIC */
    bool closing;              /* [q] */
    struct db db;              /* [w], but for db.healthy [a]; see upkeep_sync_aside */
    pthread_t thread, syncer;  /* [I] */
    int lock_file;             /* [I] */
    /* [q] the one that is open, see store_backup.c; NULL: none */
    struct store_backup *backup;
};

/* Starts the threads. errors: NOMEM */
MUST_USE enum err_kind writer_start(struct store *s, struct err *e);
/* Finishes the queue and ends the threads. */
void writer_stop(struct store *s);

/* Something done by the owner of the connection. */
typedef enum err_kind db_job(struct db *db, void *arg, struct err *e);

/* Has job done, and waits for it. */
MUST_USE enum err_kind store_read(struct store *s, db_job *job, void *arg, struct err *e);

/* Adds an action to a transaction and returns its argument, bytes of zeros to be filled in, which
 * live as long as the transaction; NULL: no memory, which the commit will tell. */
void *txn_add(struct store_txn *txn, db_job *apply, size_t bytes);

/* The same for one that touches no table itself, but only adds a change to the front: a transaction
 * of such alone needs no undoing in the database. */
void *txn_add_plain(struct store_txn *txn, db_job *apply, size_t bytes);

#endif
