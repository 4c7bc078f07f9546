#include "storage/store_backup.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/mem.h"
#include "storage/filesystem.h"

/* Pages of 16 KiB. The writer's thread copies until STEP_PAGES or STEP_NS are over, and looks at
 * the clock every CALL_PAGES; then waiting commits have their turn. */
#define STEP_PAGES 256
#define CALL_PAGES 4
#define STEP_NS    INT64_C(5000000)
/* The copy is synced after so many steps, so that the kernel never holds so much of it that it
 * makes the writer's thread wait, and the last sync is not a long one. */
#define SYNC_STEPS 4

/* [o] the caller's   [w] the writer's thread's during a step, and with `run` also during a commit:
 * SQLite carries what a commit changes into the pages that are copied already. */
struct store_backup {
    struct store *store; /* [o] NULL: it was closed */
    char *path;          /* [o] where it shall be */
    char *part;          /* [o] where it is made */
    int fd;              /* [o] of part, to sync it; -1: it is not there */
    struct db copy;      /* [w] part's connection; its health is nobody's */
    sqlite3_backup *run; /* [w] NULL: not begun, or ended */
    bool copied;         /* [w] all of it */
    int steps;           /* [o] */
};

static enum err_kind fail_errno(int code, struct err *e)
{
    char text[128] = "";
    if (code == ENOENT)
        return err_set(e, ERR_IO, "", "its folder does not exist");
    strerror_r(code, text, sizeof text);
    return err_set(e, ERR_IO, "", "it cannot be written: %s", text);
}

static enum err_kind fail_exists(struct err *e)
{
    return err_set(e, ERR_CONFLICT, "", "it exists already");
}

/* ---- the copy's file ----------------------------------------------------------------------- */

/* A copy with such a name would be taken for a part of another database. */
static bool is_part_of_database(const char *path)
{
    static const char *const suffix[] = {"-wal", "-journal", "-shm"};
    size_t bytes = strlen(path);
    for (size_t i = 0; i < sizeof suffix / sizeof suffix[0]; i++) {
        size_t n = strlen(suffix[i]);
        if (bytes >= n && !strcmp(path + bytes - n, suffix[i]))
            return true;
    }
    return false;
}

static enum err_kind name_files(struct store_backup *b, const char *path, struct err *e)
{
    struct stat info;
    size_t bytes = strlen(path) + sizeof "./.part";
    if (!*path || is_part_of_database(path))
        return err_set(e, ERR_INVALID, "", "is no name for a backup");
    b->path = mem_string(path);
    b->part = mem_array(bytes, 1);
    if (!b->path || !b->part)
        return err_set(e, ERR_NOMEM, "", "no memory for a file's name");
    /* "./": see schema.c */
    snprintf(b->part, bytes, "%s%s.part", path[0] == '/' ? "" : "./", path);
    return lstat(path, &info) ? ERR_OK : fail_exists(e);
}

static enum err_kind make_part(struct store_backup *b, struct err *e)
{
    b->fd = open(b->part, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (b->fd >= 0)
        return ERR_OK;
    if (errno != EEXIST)
        return fail_errno(errno, e);
    return err_set(e, ERR_CONFLICT, "",
                   "%s is in the way: either another backup is being made there, or one was cut "
                   "off; then remove it",
                   b->part);
}

/* Nothing of it needs to be safe before all of it is. */
static enum err_kind open_part(struct store_backup *b, struct err *e)
{
    static const char *const pragmas[] = {
        "PRAGMA locking_mode = EXCLUSIVE",
        "PRAGMA journal_mode = OFF",
        "PRAGMA synchronous = OFF",
    };
    int code =
        sqlite3_open_v2(b->part, &b->copy.handle,
                        SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, NULL);
    enum err_kind rc = code ? db_fail(&b->copy, code, e) : ERR_OK;
    for (size_t i = 0; !rc && i < sizeof pragmas / sizeof pragmas[0]; i++)
        rc = db_exec(&b->copy, pragmas[i], e);
    return rc;
}

static void remove_part(struct store_backup *b)
{
    static const char *const suffix[] = {"", "-wal", "-journal"};
    size_t bytes = strlen(b->part) + sizeof "-journal";
    char *name = mem_array(bytes, 1);
    close(b->fd);
    b->fd = -1;
    unlink(b->part); /* even without memory */
    for (size_t i = 0; name && i < sizeof suffix / sizeof suffix[0]; i++) {
        snprintf(name, bytes, "%s%s", b->part, suffix[i]);
        unlink(name);
    }
    mem_free(name);
}

/* ---- copying: on the writer's thread ------------------------------------------------------- */

static int64_t now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void end_run(struct store_backup *b)
{
    sqlite3_backup_finish(b->run); /* NULL is fine; its code was told by the last step */
    b->run = NULL;
}

static enum err_kind end_run_job(struct db *db, void *arg, struct err *e)
{
    (void)db, (void)e;
    end_run(arg);
    return ERR_OK;
}

/* Errors are the copy's, wherever they come from: what is wrong with the store itself shows where
 * it is read and written. */
static enum err_kind copy_some(struct db *db, void *arg, struct err *e)
{
    struct store_backup *b = arg;
    int code = SQLITE_OK;
    int64_t until = now() + STEP_NS;
    if (!b->run)
        b->run = sqlite3_backup_init(b->copy.handle, "main", db->handle, "main");
    if (!b->run)
        return db_fail(&b->copy, sqlite3_extended_errcode(b->copy.handle), e);
    for (int pages = 0; !code && pages < STEP_PAGES && now() < until; pages += CALL_PAGES)
        code = sqlite3_backup_step(b->run, CALL_PAGES);
    if (!code)
        return ERR_OK;
    end_run(b);
    b->copied = code == SQLITE_DONE;
    return b->copied ? ERR_OK : db_fail(&b->copy, code, e);
}

/* ---- completing ---------------------------------------------------------------------------- */

/* The pages came out of a store with a log, and say so: without that mark the copy can be read
 * from where nothing can be written. */
static enum err_kind leave_wal(struct db *copy, struct err *e)
{
    struct query q;
    bool row;
    query_start(&q, copy, "PRAGMA journal_mode = DELETE");
    enum err_kind rc = query_row(&q, &row, e);
    const char *mode = row ? query_text(&q) : NULL;
    if (!rc && (!mode || strcmp(mode, "delete")))
        rc = err_set(e, ERR_IO, "", "it stays in the mode %s", mode ? mode : "that it has");
    query_end(&q);
    return rc;
}

/* Unlike a rename, a link never takes the place of a file that came in between. */
static enum err_kind publish(const struct store_backup *b, struct err *e)
{
    struct stat info;
    if (link(b->part, b->path) == 0)
        return ERR_OK;
    int code = errno;
    /* a file system that has no links */
    if (code != EEXIST && lstat(b->path, &info) && rename(b->part, b->path) == 0)
        return ERR_OK;
    return code == EEXIST ? fail_exists(e) : fail_errno(code, e);
}

static enum err_kind complete(struct store_backup *b, int64_t *bytes, struct err *e)
{
    struct stat info;
    enum err_kind rc = leave_wal(&b->copy, e);
    db_close(&b->copy);
    if (!rc && (fsync(b->fd) || fstat(b->fd, &info)))
        rc = fail_errno(errno, e);
    if (!rc)
        rc = publish(b, e);
    if (rc)
        return rc;
    remove_part(b);
    rc = filesystem_sync_folder(b->path, e);
    if (rc)
        unlink(b->path);
    else
        *bytes = info.st_size;
    return rc;
}

/* ---- what callers see ---------------------------------------------------------------------- */

static enum err_kind enter(struct store *s, struct store_backup *b, struct err *e)
{
    lock_take(&s->lock);
    bool first = !s->backup;
    if (first)
        s->backup = b;
    lock_give(&s->lock);
    if (!first)
        return err_set(e, ERR_CONFLICT, "", "another backup is being made");
    b->store = s;
    return ERR_OK;
}

static void leave(struct store_backup *b)
{
    struct store *s = b->store;
    struct err e;
    if (!s)
        return;
    enum err_kind rc = b->run ? store_read(s, end_run_job, b, &e) : ERR_OK;
    assert(!rc);
    lock_take(&s->lock);
    s->backup = NULL;
    lock_give(&s->lock);
}

enum err_kind store_backup_begin(struct store *s, const char *path, struct store_backup **out,
                                 struct err *e)
{
    enum err_kind rc;
    *out = NULL;
    struct store_backup *b = mem_array(1, sizeof *b);
    if (!b)
        return err_set(e, ERR_NOMEM, "", "no memory for a backup");
    b->fd = -1;
    atomic_init(&b->copy.healthy, true);
    if ((rc = enter(s, b, e)) || (rc = name_files(b, path, e)) || (rc = make_part(b, e)) ||
        (rc = open_part(b, e))) {
        store_backup_end(b);
        return err_wrap(e, "%s: ", path);
    }
    *out = b;
    return ERR_OK;
}

enum err_kind store_backup_step(struct store_backup *b, int64_t *bytes, struct err *e)
{
    enum err_kind rc;
    *bytes = 0;
    if (!b->store)
        rc = err_set(e, ERR_UNAVAILABLE, "", "the store was closed before all was copied");
    else
        rc = store_read(b->store, copy_some, b, e);
    if (!rc && b->copied)
        rc = complete(b, bytes, e);
    else if (!rc && ++b->steps % SYNC_STEPS == 0 && fdatasync(b->fd))
        rc = fail_errno(errno, e);
    return rc ? err_wrap(e, "%s: ", b->path) : ERR_OK;
}

void store_backup_end(struct store_backup *b)
{
    if (!b)
        return;
    leave(b);
    db_close(&b->copy);
    if (b->fd >= 0)
        remove_part(b);
    mem_free(b->path);
    mem_free(b->part);
    mem_free(b);
}

enum err_kind store_backup(struct store *s, const char *path, int64_t *bytes, struct err *e)
{
    struct store_backup *b;
    enum err_kind rc = store_backup_begin(s, path, &b, e);
    *bytes = 0;
    while (!rc && *bytes == 0)
        rc = store_backup_step(b, bytes, e);
    store_backup_end(b);
    return rc;
}

void backup_abandon(struct store *s)
{
    if (!s->backup)
        return;
    end_run(s->backup);
    s->backup->store = NULL;
    s->backup = NULL;
}
