#include "storage/upkeep.h"

#include "storage/blob.h"
#include "storage/front.h"

/* Pages in the log before they are copied to the main file: 4 MiB of 4 KiB each. */
#define WAL_PAGES_MAX 1024

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

static struct timespec sync_time(const struct db *db)
{
    return (struct timespec){db->dirty_since.tv_sec + SYNC_SECONDS, db->dirty_since.tv_nsec};
}

static bool is_past(struct timespec t)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec > t.tv_sec || (now.tv_sec == t.tv_sec && now.tv_nsec >= t.tv_nsec);
}

/* The log and nothing else: cheaper than a checkpoint, which writes the pages again. The handle is
 * the connection's own, and so is this thread. */
void upkeep_sync(struct db *db)
{
    sqlite3_file *log = NULL;
    struct err e;
    int code = sqlite3_file_control(db->handle, "main", SQLITE_FCNTL_JOURNAL_POINTER, &log);
    if (!code && log && log->pMethods)
        code = log->pMethods->xSync(log, SQLITE_SYNC_NORMAL);
    if (code)
        (void)db_fail(db, code, &e);
    db->dirty = false;
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

void upkeep_run(struct db *db)
{
    struct err e;
    if (!atomic_load(&db->healthy))
        return;
    if (front_settle_if_due(db, &e)) /* a full disk passes */
        return;
    if (db->wal_pages >= WAL_PAGES_MAX)
        checkpoint(db, SQLITE_CHECKPOINT_PASSIVE);
    else if (db->dirty && is_past(sync_time(db)))
        upkeep_sync(db);
    if (db->has_garbage && blob_reclaim(db, &e))
        db->has_garbage = false; /* until more comes; what is left waits for the next start */
}

bool upkeep_next(const struct db *db, struct timespec *at)
{
    bool now = db->has_garbage || front_is_due(db) || db->wal_pages >= WAL_PAGES_MAX;
    *at = now ? (struct timespec){0} : sync_time(db);
    return atomic_load(&db->healthy) && (now || db->dirty);
}

void upkeep_finish(struct db *db)
{
    /* a log in doubt is left for the next start to judge */
    struct err e;
    if (!atomic_load(&db->healthy))
        return;
    if (front_settle_now(db, &e) && !atomic_load(&db->healthy))
        return; /* a full disk passes: the next start settles it */
    checkpoint(db, SQLITE_CHECKPOINT_TRUNCATE);
    if (atomic_load(&db->healthy))
        sqlite3_db_config(db->handle, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0, NULL);
}
