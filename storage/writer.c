#include "storage/writer.h"

#include <string.h>

#include "storage/front.h"
#include "storage/upkeep.h"

/* Of a transaction's memory: thousands may wait, of a few actions each. With its head a small block
 * (MEM_SMALL). */
#define TXN_BYTES ((size_t)768)
/* So long somebody waits for the connection, who would else wake the writer and be woken by it: a
 * commit of many takes a tenth of that. */
#define PATIENCE_NS 500000

#define SECOND 1000000000

struct job {
    struct job *next;      /* [q] while queued, then [w] */
    struct store_txn *txn; /* NULL: a read */
    db_job *read;
    void *arg;
    struct err err; /* [w] until answered */
    bool answered;  /* [q] */
};

struct action {
    struct action *next;
    db_job *apply;
    void *arg;
};

struct store_txn {
    struct store *store;
    struct arena arena;
    struct action *first, *last;
    bool no_memory;                               /* an action could not be added */
    bool tables;                                  /* it has actions that touch tables */
    bool sync;                                    /* on the disk before it is answered */
    void (*done)(void *arg, const struct err *e); /* NULL: store_commit waits */
    void *arg;
    struct job job;
};

/* ---- transactions -------------------------------------------------------------------------- */

struct store_txn *store_txn_new(struct store *s)
{
    struct store_txn *txn = mem_array(1, sizeof *txn);
    if (txn) {
        txn->store = s;
        txn->arena.least = TXN_BYTES;
    }
    return txn;
}

void store_txn_drop(struct store_txn *txn)
{
    if (!txn)
        return;
    arena_close(&txn->arena);
    mem_free(txn);
}

void store_txn_sync(struct store_txn *txn)
{
    txn->sync = true;
}

void *store_txn_alloc(struct store_txn *txn, size_t bytes)
{
    void *p = arena_alloc(&txn->arena, bytes);
    txn->no_memory = txn->no_memory || !p;
    return p;
}

void *txn_add(struct store_txn *txn, db_job *apply, size_t bytes)
{
    txn->tables = true;
    return txn_add_plain(txn, apply, bytes);
}

void *txn_add_plain(struct store_txn *txn, db_job *apply, size_t bytes)
{
    struct action *a = arena_alloc(&txn->arena, sizeof *a);
    void *arg = arena_alloc(&txn->arena, bytes);
    if (!a || !arg) {
        txn->no_memory = true;
        return NULL;
    }
    *a = (struct action){.apply = apply, .arg = arg};
    if (txn->last)
        txn->last->next = a;
    else
        txn->first = a;
    txn->last = a;
    return memset(arg, 0, bytes);
}

static enum err_kind apply_actions(struct db *db, const struct store_txn *txn, struct err *e)
{
    if (txn->no_memory)
        return err_set(e, ERR_NOMEM, "", "no memory for a transaction");
    enum err_kind rc = txn->tables ? db_exec(db, "SAVEPOINT txn", e) : ERR_OK;
    for (const struct action *a = txn->first; !rc && a; a = a->next)
        rc = a->apply(db, a->arg, e);
    return rc || !txn->tables ? rc : db_exec(db, "RELEASE txn", e);
}

/* ---- group commit -------------------------------------------------------------------------- */

/* Undoes what the failed transaction did so far; if that fails, so does the whole group. */
static void undo(struct db *db, const struct store_txn *txn, const struct front_mark *mark)
{
    struct err e;
    front_undo(db, mark);
    /* some failures (a full disk, no memory) make SQLite roll back everything by itself */
    if (!txn->tables || !db_in_transaction(db))
        return;
    if (db_exec(db, "ROLLBACK TO txn", &e) || db_exec(db, "RELEASE txn", &e))
        db_rollback(db);
}

/* One transaction of the group. What is returned is why the whole group is lost. */
static enum err_kind commit_one(struct db *db, struct job *job, struct err *e)
{
    /* what earlier ones added to the front is written before this one's savepoint */
    enum err_kind rc = job->txn->tables || front_is_full(db) ? front_flush(db, e) : ERR_OK;
    if (rc)
        return rc;
    struct front_mark mark = front_mark(db);
    /* what is returned counts: an action may have got over an error that it was told */
    job->err.kind = apply_actions(db, job->txn, &job->err);
    if (!job->err.kind || job->txn->no_memory)
        return ERR_OK;
    undo(db, job->txn, &mark);
    if (db_in_transaction(db) && atomic_load(&db->healthy))
        return ERR_OK;
    *e = job->err;
    return e->kind;
}

/* Applies count jobs in one transaction. One that fails has its error in job->err and is undone
 * alone. What is returned is why nothing at all was kept. */
static enum err_kind commit_together(struct db *db, struct job *job, size_t count, struct err *e)
{
    enum err_kind rc = db_exec(db, "BEGIN IMMEDIATE", e);
    for (; !rc && count > 0; job = job->next, count--)
        rc = commit_one(db, job, e);
    if (!rc)
        rc = front_flush(db, e);
    if (!rc)
        rc = db_exec(db, "COMMIT", e);
    if (rc) {
        db_rollback(db);
        front_undo(db, NULL);
    }
    return rc;
}

static bool wants_sync(const struct job *job, size_t count)
{
    for (; count > 0; job = job->next, count--)
        if (job->txn->sync && !job->err.kind)
            return true;
    return false;
}

/* Takes what the syncer has found; if it is at work, when it is done. */
static void await_syncer(struct store *s)
{
    lock_take(&s->lock);
    while (s->sync == SYNC_DUE)
        lock_wait(&s->lock, &s->sync_news);
    bool made = s->sync == SYNC_MADE;
    s->sync = SYNC_NONE;
    lock_give(&s->lock);
    if (made)
        upkeep_end_sync(&s->db);
}

/* Whoever asked for it gets no answer before the log is on the disk. A sync that fails leaves
 * everything in doubt, and is not tried again. The system tells a failure once, to the first who
 * syncs behind it, and that may be the syncer. */
static void sync_group(struct store *s, struct job *job, size_t count)
{
    struct db *db = &s->db;
    if (!wants_sync(job, count))
        return;
    upkeep_sync(db);
    await_syncer(s);
    for (; count > 0 && !atomic_load(&db->healthy); job = job->next, count--)
        if (!job->err.kind)
            err_set(&job->err, ERR_IO, "", "syncing the log failed");
}

/* Fills job->err of each. A group that is lost as a whole is tried again one by one, so that one
 * transaction too large for the disk does not take the others with it. */
static void commit_group(struct store *s, struct job *job, size_t count)
{
    struct db *db = &s->db;
    struct err e;
    bool alone = count == 1;
    enum err_kind rc =
        atomic_load(&db->healthy)
            ? commit_together(db, job, count, &e)
            : err_set(&e, ERR_IO, "", "nothing is kept any more since the storage failed");
    struct job *first = job;
    size_t all = count;
    for (; rc && count > 0; job = job->next, count--)
        if (alone || !atomic_load(&db->healthy) || commit_together(db, job, 1, &e))
            job->err = e;
    sync_group(s, first, all);
}

/* ---- the queue ----------------------------------------------------------------------------- */

/* The writer is to come as soon as the connection is free. */
static void call_writer(struct store *s) REQUIRES(s->lock)
{
    s->called = true;
    if (!s->owned)
        pthread_cond_signal(&s->work);
}

/* plain: a small matter, which anybody may do who has a moment. */
static void push_locked(struct store *s, struct job *job, bool plain) REQUIRES(s->lock)
{
    job->next = NULL;
    if (s->first)
        s->last->next = job;
    else
        s->first = job;
    s->last = job;
    s->for_writer += !plain;
}

static struct job *take_queue_locked(struct store *s) REQUIRES(s->lock)
{
    struct job *jobs = s->first;
    s->first = NULL;
    s->for_writer = 0;
    s->called = false;
    return jobs;
}

static bool is_past(const struct timespec *t)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec > t->tv_sec || (now.tv_sec == t->tv_sec && now.tv_nsec >= t->tv_nsec);
}

static bool is_time(struct store *s) REQUIRES(s->lock)
{
    return s->timed && is_past(&s->upkeep_at);
}

/* For one who would not wait: is the connection free, with nothing queued before it? The upkeep
 * goes first too: the log would grow without end while one such caller follows another. */
static bool own_at_once(struct store *s)
{
    lock_take(&s->lock);
    bool free = !s->owned && !s->wanted && !s->first && !s->closing && !is_time(s);
    s->owned = s->owned || free;
    lock_give(&s->lock);
    return free;
}

/* The connection goes back. The writer sees to what was queued meanwhile, and learns when the next
 * upkeep is. */
static void disown(struct store *s)
{
    struct timespec at;
    bool timed = upkeep_next(&s->db, &at);
    lock_take(&s->lock);
    bool news = s->wanted || (timed && (s->asleep || at.tv_sec < s->upkeep_at.tv_sec));
    s->owned = false;
    s->timed = timed;
    s->upkeep_at = at;
    if (s->called || s->closing || news)
        pthread_cond_signal(&s->work);
    if (s->patient)
        pthread_cond_broadcast(&s->freed);
    lock_give(&s->lock);
}

static void push(struct store *s, struct job *job, bool wake)
{
    bool plain = !wake && !job->txn->sync && !job->txn->tables;
    lock_take(&s->lock);
    push_locked(s, job, plain);
    if (wake)
        call_writer(s);
    lock_give(&s->lock);
}

/* Queues it and waits; afterwards nobody else knows the job any more. */
static enum err_kind push_and_wait(struct store *s, struct job *job, struct err *e)
{
    lock_take(&s->lock);
    push_locked(s, job, false);
    call_writer(s);
    while (!job->answered)
        lock_wait(&s->lock, &s->answered);
    lock_give(&s->lock);
    if (job->err.kind)
        *e = job->err;
    return job->err.kind;
}

static void call_syncer(struct store *s)
{
    lock_take(&s->lock);
    s->sync = SYNC_DUE;
    pthread_cond_broadcast(&s->sync_news);
    lock_give(&s->lock);
}

/* Gives the connection away, waits until it is free and a job or the upkeep has come, and takes it
 * with all jobs there are. false: closing, and nothing is left. */
static bool take_jobs(struct store *s, struct job **jobs)
{
    if (upkeep_begin_sync(&s->db))
        call_syncer(s);
    disown(s);
    lock_take(&s->lock);
    while (s->owned || !(s->wanted || s->called || s->closing || is_time(s))) {
        s->asleep = s->owned || !s->timed; /* until the connection comes back, or there is news */
        if (s->asleep)
            lock_wait(&s->lock, &s->work);
        else
            lock_wait_until(&s->lock, &s->work, &s->upkeep_at);
        s->asleep = false;
    }
    s->wanted = false;
    s->owned = true;
    bool more = s->first || !s->closing;
    bool all = s->called || s->closing; /* else who put them off is about to see to them */
    *jobs = all ? take_queue_locked(s) : NULL;
    bool synced = s->sync == SYNC_MADE;
    s->sync = synced ? SYNC_NONE : s->sync;
    lock_give(&s->lock);
    if (synced)
        upkeep_end_sync(&s->db);
    return more;
}

enum err_kind store_read(struct store *s, db_job *read, void *arg, struct err *e)
{
    struct job job = {.read = read, .arg = arg};
    if (!own_at_once(s))
        return push_and_wait(s, &job, e);
    enum err_kind rc = read(&s->db, arg, e);
    disown(s);
    return rc;
}

static enum err_kind do_nothing(struct db *db, void *arg, struct err *e)
{
    (void)db, (void)arg, (void)e;
    return ERR_OK;
}

void store_wait(struct store *s)
{
    struct err ignored;
    struct job job = {.read = do_nothing};
    (void)push_and_wait(s, &job, &ignored);
}

enum err_kind store_commit(struct store_txn *txn, struct err *e)
{
    txn->job.txn = txn;
    enum err_kind rc = push_and_wait(txn->store, &txn->job, e);
    store_txn_drop(txn);
    return rc;
}

void store_commit_then(struct store_txn *txn, void (*done)(void *arg, const struct err *e),
                       void *arg)
{
    txn->job.txn = txn;
    txn->done = done;
    txn->arg = arg;
    push(txn->store, &txn->job, true);
}

void store_commit_later(struct store_txn *txn, void (*done)(void *arg, const struct err *e),
                        void *arg)
{
    txn->job.txn = txn;
    txn->done = done;
    txn->arg = arg;
    push(txn->store, &txn->job, false);
}

/* ---- the thread ---------------------------------------------------------------------------- */

/* A FIFO under construction. */
struct chain {
    struct job *first, **end;
    size_t count;
};

static void chain_add(struct chain *c, struct job *job)
{
    job->next = NULL;
    *c->end = job;
    c->end = &job->next;
    c->count++;
}

/* Wakes the callers that wait for these jobs. Each may be gone as soon as the lock is given. */
static void answer(struct store *s, struct job *job)
{
    lock_take(&s->lock);
    for (; job; job = job->next)
        job->answered = true;
    pthread_cond_broadcast(&s->answered);
    lock_give(&s->lock);
}

/* Callbacks first: who is back from store_commit knows that those of before have run. */
static void run_commits(struct store *s, const struct chain *commits)
{
    struct chain waiting = {.end = &waiting.first};
    if (commits->count == 0)
        return;
    commit_group(s, commits->first, commits->count);
    for (struct job *job = commits->first, *next; job; job = next) {
        next = job->next;
        if (!job->txn->done) {
            chain_add(&waiting, job);
            continue;
        }
        job->txn->done(job->txn->arg, &job->err);
        store_txn_drop(job->txn);
    }
    answer(s, waiting.first);
}

static void run_reads(struct store *s, const struct chain *reads)
{
    for (struct job *job = reads->first, *next; job; job = next) {
        next = job->next;
        job->next = NULL;
        job->err.kind = job->read(&s->db, job->arg, &job->err);
        answer(s, job);
    }
}

static void run_jobs(struct store *s, struct job *job)
{
    struct chain commits = {.end = &commits.first}, reads = {.end = &reads.first};
    for (struct job *next; job; job = next) {
        next = job->next;
        chain_add(job->txn ? &commits : &reads, job);
    }
    run_commits(s, &commits);
    run_reads(s, &reads);
}

/* false: nothing is done, as somebody else has the connection or is about to. */
static bool flush(struct store *s, bool patient)
{
    lock_take(&s->lock);
    bool small = s->for_writer == 0, due = is_time(s);
    bool here = s->first && small && !s->owned && !s->wanted && !due;
    bool later = s->first && small && !here && patient;
    if (later && due && !s->owned && !s->wanted) { /* the writer has not woken for it yet */
        s->wanted = true;
        pthread_cond_signal(&s->work);
    }
    struct job *jobs = here ? take_queue_locked(s) : NULL;
    s->owned = s->owned || here;
    if (s->first && !later)
        call_writer(s);
    lock_give(&s->lock);
    if (here) {
        run_jobs(s, jobs);
        disown(s);
    }
    return !later;
}

void store_flush(struct store *s)
{
    (void)flush(s, false);
}

/* Until the connection is free, but not for long. false: it was too long. */
static bool await_connection(struct store *s, const struct timespec *until)
{
    lock_take(&s->lock);
    bool taken = true, late = false;
    while (taken && !late) {
        taken = (s->owned || s->wanted) && s->for_writer == 0;
        late = is_past(until);
        s->patient++;
        if (taken && !late)
            lock_wait_until(&s->lock, &s->freed, until);
        s->patient--;
    }
    lock_give(&s->lock);
    return !taken;
}

void store_flush_patiently(struct store *s)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    int64_t ns = until.tv_nsec + PATIENCE_NS;
    until.tv_sec += ns / SECOND;
    until.tv_nsec = ns % SECOND;
    while (await_connection(s, &until))
        if (flush(s, true))
            return;
    store_flush(s);
}

static void *writer_main(void *arg)
{
    struct store *s = arg;
    struct job *jobs;
    while (take_jobs(s, &jobs)) {
        run_jobs(s, jobs);
        upkeep_run(&s->db);
    }
    mem_let_go();
    return NULL;
}

static void *syncer_main(void *arg)
{
    struct store *s = arg;
    lock_take(&s->lock);
    while (s->sync == SYNC_DUE || !s->syncs_over) {
        if (s->sync != SYNC_DUE) {
            lock_wait(&s->lock, &s->sync_news);
            continue;
        }
        lock_give(&s->lock);
        upkeep_sync_aside(&s->db);
        lock_take(&s->lock);
        s->sync = SYNC_MADE;
        s->wanted = true;
        pthread_cond_broadcast(&s->sync_news);
        if (!s->owned)
            pthread_cond_signal(&s->work);
    }
    lock_give(&s->lock);
    return NULL;
}

/* ---- starting and stopping ----------------------------------------------------------------- */

static void close_all(struct store *s)
{
    pthread_cond_destroy(&s->sync_news);
    pthread_cond_destroy(&s->freed);
    pthread_cond_destroy(&s->answered);
    pthread_cond_destroy(&s->work);
    lock_close(&s->lock);
}

static void end_syncer(struct store *s)
{
    lock_take(&s->lock);
    s->syncs_over = true;
    pthread_cond_broadcast(&s->sync_news);
    lock_give(&s->lock);
    pthread_join(s->syncer, NULL);
}

enum err_kind writer_start(struct store *s, struct err *e)
{
    pthread_condattr_t monotonic;
    lock_init(&s->lock);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&s->work, &monotonic);
    pthread_cond_init(&s->freed, &monotonic);
    pthread_condattr_destroy(&monotonic);
    pthread_cond_init(&s->answered, NULL);
    pthread_cond_init(&s->sync_news, NULL);
    s->owned = true; /* the writer's, until it first waits */
    if (pthread_create(&s->syncer, NULL, syncer_main, s) == 0) {
        if (pthread_create(&s->thread, NULL, writer_main, s) == 0)
            return ERR_OK;
        end_syncer(s);
    }
    close_all(s);
    return err_set(e, ERR_NOMEM, "", "no thread for the storage");
}

void writer_stop(struct store *s)
{
    lock_take(&s->lock);
    s->closing = true;
    pthread_cond_signal(&s->work);
    lock_give(&s->lock);
    pthread_join(s->thread, NULL);
    end_syncer(s);
    close_all(s);
}
