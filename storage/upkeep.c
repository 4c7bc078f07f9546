#include "storage/upkeep.h"

#include "storage/blob.h"
#include "storage/settle.h"

/* Pages in the log before they are copied to the main file: 8 MiB of 4 KiB each. */
#define WAL_PAGES_MAX 2048

#define SECOND 1000000000

static void mark_dirty(struct db *db)
{
    if (!db->dirty)
        clock_gettime(CLOCK_MONOTONIC, &db->dirty_since);
    db->dirty = true;
}

/* Called by SQLite after every commit. */
static int on_commit(void *arg, sqlite3 *handle, const char *name, int pages)
{
    struct db *db = arg;
    (void)handle, (void)name;
    mark_dirty(db);
    db->wal_pages = pages;
    return SQLITE_OK;
}

void upkeep_watch(struct db *db)
{
    sqlite3_wal_hook(db->handle, on_commit, db);
    /* a process that was killed may have left commits unsynced, and garbage */
    mark_dirty(db);
    db->has_garbage = true;
}

static bool is_long(const struct db *db)
{
    return db->wal_pages >= WAL_PAGES_MAX;
}

static struct timespec sync_time(const struct db *db)
{
    return (struct timespec){db->dirty_since.tv_sec + SYNC_SECONDS, db->dirty_since.tv_nsec};
}

static bool is_before(struct timespec a, struct timespec b)
{
    return a.tv_sec < b.tv_sec || (a.tv_sec == b.tv_sec && a.tv_nsec < b.tv_nsec);
}

static struct timespec now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t;
}

static bool is_past(struct timespec t)
{
    return !is_before(now(), t);
}

/* The log and nothing else: cheaper than a checkpoint, which writes the pages again. */
static sqlite3_file *find_log(struct db *db, int *code)
{
    sqlite3_file *log = NULL;
    *code = sqlite3_file_control(db->handle, "main", SQLITE_FCNTL_JOURNAL_POINTER, &log);
    return !*code && log && log->pMethods ? log : NULL;
}

static void judge(struct db *db, int code)
{
    struct err e;
    if (code)
        (void)db_fail(db, code, &e);
}

void upkeep_sync(struct db *db)
{
    int code;
    sqlite3_file *log = find_log(db, &code);
    if (log)
        code = log->pMethods->xSync(log, SQLITE_SYNC_NORMAL);
    db->dirty = false;
    judge(db, code);
}

bool upkeep_begin_sync(struct db *db)
{
    bool due = is_long(db) || (db->dirty && is_past(sync_time(db)));
    if (!due || db->syncing || !atomic_load(&db->healthy))
        return false;
    db->syncing = find_log(db, &db->sync_code);
    db->dirty = false;  /* what is committed from here on is dirty anew */
    if (!db->syncing) { /* there is no log, so nothing is in it */
        db->wal_pages = 0;
        judge(db, db->sync_code);
    }
    return db->syncing;
}

/* SQLite changes neither the file nor its methods while the connection is open, and what it writes
 * meanwhile is another part of the file. */
void upkeep_sync_aside(struct db *db)
{
    db->sync_code = db->syncing->pMethods->xSync(db->syncing, SQLITE_SYNC_NORMAL);
}

void upkeep_end_sync(struct db *db)
{
    db->syncing = NULL;
    db->synced = true;
    judge(db, db->sync_code);
}

/* Syncs the log, copies it to the main file and syncs that; the next commit starts the log anew.
 * A full disk passes: the log stays as it is and the next commit brings us here again. */
static void checkpoint(struct db *db, int mode)
{
    struct err e;
    int code = sqlite3_wal_checkpoint_v2(db->handle, "main", mode, NULL, NULL);
    if (code)
        (void)db_fail(db, code, &e);
    else
        db->dirty = false;
    db->wal_pages = 0;
}

void upkeep_restart_log(struct db *db)
{
    checkpoint(db, SQLITE_CHECKPOINT_TRUNCATE);
}

/* A slice, and then nothing for twice the time that it took: who commits meanwhile needs no help of
 * this thread. */
static enum err_kind settle(struct db *db, struct err *e)
{
    struct timespec began = now();
    if (!settle_is_due(db) || is_before(began, db->settle_at))
        return ERR_OK;
    enum err_kind rc = settle_some(db, e);
    struct timespec end = now();
    int64_t ns = (end.tv_sec - began.tv_sec) * SECOND + end.tv_nsec - began.tv_nsec;
    ns = end.tv_nsec + 2 * ns;
    db->settle_at = (struct timespec){end.tv_sec + ns / SECOND, ns % SECOND};
    return rc;
}

void upkeep_run(struct db *db)
{
    struct err e;
    bool synced = db->synced;
    db->synced = false;
    if (!atomic_load(&db->healthy))
        return;
    if (synced && is_long(db)) /* which syncs again, but there is little left */
        checkpoint(db, SQLITE_CHECKPOINT_PASSIVE);
    if (settle(db, &e)) /* a full disk passes */
        return;
    if (db->has_garbage && blob_reclaim(db, &e))
        db->has_garbage = false; /* until more comes; what is left waits for the next start */
}

bool upkeep_next(const struct db *db, struct timespec *at)
{
    bool syncs = db->dirty && !db->syncing; /* once at a time */
    bool at_once = db->has_garbage || (is_long(db) && !db->syncing), settles = settle_is_due(db);
    *at = at_once ? (struct timespec){0} : sync_time(db);
    if (settles && (!(at_once || syncs) || is_before(db->settle_at, *at)))
        *at = db->settle_at;
    return atomic_load(&db->healthy) && (at_once || settles || syncs);
}

void upkeep_finish(struct db *db)
{
    /* a log in doubt is left for the next start to judge */
    struct err e;
    if (db->syncing)
        upkeep_end_sync(db);
    if (!atomic_load(&db->healthy))
        return;
    if (settle_now(db, &e) && !atomic_load(&db->healthy))
        return; /* a full disk passes: the next start settles it */
    checkpoint(db, SQLITE_CHECKPOINT_TRUNCATE);
    if (atomic_load(&db->healthy))
        sqlite3_db_config(db->handle, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0, NULL);
}
