#include "storage/schema.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "engine/mem.h"
#include "storage/filesystem.h"
#include "storage/front.h"
#include "storage/journal_rows.h"
#include "storage/logfile.h"
#include "storage/upkeep.h"

#define APPLICATION_ID 0x67726164 /* "grad": PRAGMA application_id of our files */

#define ROW_BYTES_MAX (16 << 20) /* of one row: a chunk of a blob, or a caller's text */

/* Append only: entry v brings a file from user_version v to v + 1, and says so itself, since both
 * are kept or lost together. Entry 0 makes a new file ours.
 *
 *   models     last_* and *_roll, loss_end: the tally (store_model.h) with its own seal
 *   batches    } a blob is named by first_chunk, bytes, digest (blob.h)
 *   sections   }
 *   checkpoints  automatic ones have n = 0 and count up in serial, clients' have serial = 0
 *   losses     runs of steps [first, first + length of data / 8); prior: where the run before
 *              ends
 *   answers    by Idempotency-Key; serial is their age
 *   journal    until version 4: what is in runs (journal_rows.h)
 *   runs       changes and each model's end (store_journal.h); with rowids, since large rows would
 *              stand in the inner pages of a tree of their own, four on each
 *   front      the newest changes, in groups (front.h)
 *   jobs       of the models that id names, which need not be there any more (store_job.c)
 *   garbage    chunks that nobody owns any more, waiting to be deleted piece by piece */
static const struct {
    const char *sql;
    enum err_kind (*then)(struct db *db, struct err *e); /* what SQL cannot do; NULL: nothing */
} migrations[] = {
    {"CREATE TABLE models ("
     "  key INTEGER PRIMARY KEY AUTOINCREMENT,"
     "  id TEXT NOT NULL UNIQUE,"
     "  spec TEXT NOT NULL,"
     "  spec_digest INTEGER NOT NULL,"
     "  created_at INTEGER NOT NULL,"
     "  seal INTEGER NOT NULL,"
     "  last_batch INTEGER NOT NULL,"
     "  last_checkpoint INTEGER NOT NULL,"
     "  last_serial INTEGER NOT NULL,"
     "  batch_roll INTEGER NOT NULL,"
     "  checkpoint_roll INTEGER NOT NULL,"
     "  loss_end INTEGER NOT NULL,"
     "  tally_seal INTEGER NOT NULL"
     ") STRICT;"
     "CREATE TABLE batches ("
     "  model INTEGER NOT NULL REFERENCES models ON DELETE CASCADE,"
     "  n INTEGER NOT NULL,"
     "  layout TEXT NOT NULL,"
     "  created_at INTEGER NOT NULL,"
     "  first_chunk INTEGER NOT NULL,"
     "  bytes INTEGER NOT NULL,"
     "  digest INTEGER NOT NULL,"
     "  seal INTEGER NOT NULL,"
     "  PRIMARY KEY (model, n)"
     ") STRICT, WITHOUT ROWID;"
     "CREATE TABLE checkpoints ("
     "  model INTEGER NOT NULL REFERENCES models ON DELETE CASCADE,"
     "  n INTEGER NOT NULL,"
     "  serial INTEGER NOT NULL,"
     "  step INTEGER NOT NULL,"
     "  label TEXT,"
     "  loss REAL,"
     "  state TEXT NOT NULL,"
     "  created_at INTEGER NOT NULL,"
     "  seal INTEGER NOT NULL,"
     "  PRIMARY KEY (model, n, serial)"
     ") STRICT, WITHOUT ROWID;"
     "CREATE TABLE sections ("
     "  model INTEGER NOT NULL,"
     "  n INTEGER NOT NULL,"
     "  serial INTEGER NOT NULL,"
     "  place INTEGER NOT NULL,"
     "  name TEXT NOT NULL,"
     "  first_chunk INTEGER NOT NULL,"
     "  bytes INTEGER NOT NULL,"
     "  digest INTEGER NOT NULL,"
     "  PRIMARY KEY (model, n, serial, place),"
     "  FOREIGN KEY (model, n, serial) REFERENCES checkpoints ON DELETE CASCADE"
     ") STRICT, WITHOUT ROWID;"
     "CREATE TABLE losses ("
     "  model INTEGER NOT NULL REFERENCES models ON DELETE CASCADE,"
     "  first INTEGER NOT NULL,"
     "  prior INTEGER NOT NULL,"
     "  data BLOB NOT NULL,"
     "  seal INTEGER NOT NULL,"
     "  PRIMARY KEY (model, first)"
     ") STRICT, WITHOUT ROWID;"
     "CREATE TABLE chunks ("
     "  key INTEGER PRIMARY KEY,"
     "  digest INTEGER NOT NULL,"
     "  data BLOB NOT NULL"
     ") STRICT;"
     "CREATE TABLE garbage ("
     "  first INTEGER PRIMARY KEY,"
     "  chunks INTEGER NOT NULL,"
     "  seal INTEGER NOT NULL"
     ") STRICT;"
     "PRAGMA application_id = 0x67726164;"
     "PRAGMA user_version = 1;",
     NULL},

    {"CREATE TABLE answers ("
     "  serial INTEGER PRIMARY KEY AUTOINCREMENT,"
     "  key TEXT NOT NULL UNIQUE,"
     "  request INTEGER NOT NULL,"
     "  status INTEGER NOT NULL,"
     "  location TEXT NOT NULL,"
     "  created_at INTEGER NOT NULL,"
     "  first_chunk INTEGER NOT NULL,"
     "  bytes INTEGER NOT NULL,"
     "  digest INTEGER NOT NULL,"
     "  seal INTEGER NOT NULL"
     ") STRICT;"
     "PRAGMA user_version = 2;",
     NULL},

    {"CREATE TABLE journal ("
     "  model INTEGER NOT NULL,"
     "  seq INTEGER NOT NULL,"
     "  prior INTEGER NOT NULL,"
     "  kind INTEGER NOT NULL,"
     "  step INTEGER NOT NULL,"
     "  body BLOB,"
     "  data BLOB,"
     "  first_chunk INTEGER NOT NULL,"
     "  bytes INTEGER NOT NULL,"
     "  digest INTEGER NOT NULL,"
     "  seal INTEGER NOT NULL,"
     "  PRIMARY KEY (model, seq)"
     ") STRICT, WITHOUT ROWID;"
     "CREATE TABLE front ("
     "  serial INTEGER PRIMARY KEY,"
     "  last INTEGER NOT NULL,"
     "  heads BLOB,"
     "  rows BLOB,"
     "  seal INTEGER NOT NULL"
     ") STRICT;"
     "ALTER TABLE answers ADD COLUMN tag INTEGER NOT NULL DEFAULT -1;"
     "ALTER TABLE checkpoints ADD COLUMN seq INTEGER NOT NULL DEFAULT 0;"
     "ALTER TABLE checkpoints ADD COLUMN beside INTEGER NOT NULL DEFAULT 0;"
     "ALTER TABLE batches ADD COLUMN pushed INTEGER NOT NULL DEFAULT 0;"
     "ALTER TABLE batches ADD COLUMN deleted INTEGER NOT NULL DEFAULT 0;"
     "PRAGMA user_version = 3;",
     journal_rows_begin},

    {"CREATE TABLE jobs ("
     "  n INTEGER PRIMARY KEY AUTOINCREMENT,"
     "  id TEXT NOT NULL,"
     "  finished INTEGER NOT NULL,"
     "  text TEXT NOT NULL,"
     "  created_at INTEGER NOT NULL,"
     "  seal INTEGER NOT NULL"
     ") STRICT;"
     "PRAGMA user_version = 4;",
     NULL},

    {"CREATE TABLE runs ("
     "  model INTEGER NOT NULL,"
     "  seq INTEGER NOT NULL,"
     "  last INTEGER NOT NULL,"
     "  seal INTEGER NOT NULL,"
     "  heads BLOB,"
     "  rows BLOB,"
     "  PRIMARY KEY (model, seq)"
     ") STRICT;"
     "PRAGMA user_version = 5;",
     journal_rows_to_runs},
};
#define VERSION ((int64_t)(sizeof migrations / sizeof migrations[0]))

/* ---- opening ------------------------------------------------------------------------------- */

/* A missing or empty main file beside a WAL that holds something is a lost file, not a new one:
 * SQLite would drop that WAL. */
static enum err_kind check_wal_left(const char *path, const char *wal, struct err *e)
{
    struct stat main, left;
    bool empty = stat(path, &main) != 0 || main.st_size == 0;
    if (empty && stat(wal, &left) == 0 && left.st_size > 0)
        return err_set(e, ERR_IO, "", "it is missing or empty, yet %s is not: has it been lost?",
                       wal);
    return ERR_OK;
}

/* Hardening that must hold before the first byte is read. */
static int configure(struct db *db)
{
    static const struct {
        int option, value;
    } options[] = {
        {SQLITE_DBCONFIG_DEFENSIVE, 1},
        {SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0},
        {SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 0},
        {SQLITE_DBCONFIG_ENABLE_FKEY, 1},
        /* a file that turns out not to be ours is closed without touching it */
        {SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1},
    };
    sqlite3_limit(db->handle, SQLITE_LIMIT_LENGTH, ROW_BYTES_MAX);
    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++) {
        int code = sqlite3_db_config(db->handle, options[i].option, options[i].value, NULL);
        if (code)
            return code;
    }
    return SQLITE_OK;
}

/* SQLite would drop what stands behind a damaged place of the log, and say nothing. */
static enum err_kind check_log(struct db *db, const char *wal, struct logfile *log, struct err *e)
{
    enum err_kind rc = logfile_read(wal, log, e);
    if (!rc && log->lost)
        snprintf(db->notice, sizeof db->notice,
                 "the last %lld of the %lld pages in its log are lost with all that was changed in "
                 "them: they were being written when the daemon or the power went, or the log is "
                 "damaged",
                 (long long)log->lost, (long long)(log->frames + log->lost));
    return rc;
}

static enum err_kind open_file(struct db *db, const char *path, struct logfile *log, struct err *e)
{
    size_t bytes = strlen(path) + sizeof "./-wal";
    char *name = mem_array(bytes, 1);
    if (!name)
        return err_set(e, ERR_NOMEM, "", "no memory for a file's name");
    /* "./" because SQLite has names of its own: ":memory:", "file:…" and "" */
    int length = snprintf(name, bytes, "%s%s-wal", path[0] == '/' ? "" : "./", path);
    enum err_kind rc = check_wal_left(path, name, e);
    if (!rc)
        rc = check_log(db, name, log, e);
    if (!rc) {
        name[(size_t)length - strlen("-wal")] = '\0';
        int code = sqlite3_open_v2(name, &db->handle,
                                   SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE |
                                       SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE,
                                   NULL);
        if (!code)
            code = configure(db);
        if (code)
            rc = db_fail(db, code, e);
    }
    mem_free(name);
    return rc;
}

/* ---- whose file is it? --------------------------------------------------------------------- */

/* *version 0: a new file, still without any content. */
static enum err_kind identify(struct db *db, int64_t *version, struct err *e)
{
    int64_t application, tables;
    enum err_kind rc;
    if ((rc = db_number(db, "PRAGMA application_id", &application, e)) ||
        (rc = db_number(db, "PRAGMA user_version", version, e)) ||
        (rc = db_number(db, "SELECT count(*) FROM sqlite_schema", &tables, e)))
        return rc;
    if (application == 0 && *version == 0 && tables == 0)
        return ERR_OK;
    if (application != APPLICATION_ID)
        return err_set(e, ERR_IO, "", "it is another program's database");
    if (*version > VERSION)
        return err_set(e, ERR_IO, "",
                       "it was written by a newer gradd (version %lld, this one knows %lld)",
                       (long long)*version, (long long)VERSION);
    if (*version < 1)
        return err_set(e, ERR_IO, "", "it is damaged: version %lld", (long long)*version);
    return ERR_OK;
}

/* Runs a check of SQLite's that says "ok" in its first row. */
static enum err_kind check(struct db *db, const char *sql, struct err *e)
{
    struct query q;
    bool row;
    query_start(&q, db, sql);
    enum err_kind rc = query_row(&q, &row, e);
    const char *verdict = row ? query_text(&q) : NULL;
    if (!rc && (!verdict || strcmp(verdict, "ok")))
        rc = err_set(e, ERR_IO, "", "it is damaged: %s", verdict ? verdict : "no verdict");
    query_end(&q);
    return rc;
}

/* Pages and rows hang together. Reads the whole file; content is what the seals are for. The
 * indices are compared with their tables too: a model that cannot be found by its id would look
 * like one that never was. */
static enum err_kind check_whole(struct db *db, int64_t version, struct err *e)
{
    enum err_kind rc = check(db, "PRAGMA quick_check(1)", e);
    if (!rc)
        rc = check(db, "PRAGMA integrity_check(models)", e);
    if (!rc && version >= 2)
        rc = check(db, "PRAGMA integrity_check(answers)", e);
    if (!rc && version >= 5)
        rc = check(db, "PRAGMA integrity_check(runs)", e);
    return rc;
}

/* ---- making it ours ------------------------------------------------------------------------ */

static enum err_kind enter_wal(struct db *db, struct err *e)
{
    struct query q;
    bool row;
    query_start(&q, db, "PRAGMA journal_mode = WAL");
    enum err_kind rc = query_row(&q, &row, e);
    const char *mode = row ? query_text(&q) : NULL;
    if (!rc && (!mode || strcmp(mode, "wal")))
        rc = err_set(e, ERR_IO, "", "its file system cannot hold a write-ahead log");
    query_end(&q);
    return rc;
}

/* What each says is SQLite's documentation of PRAGMA; what it is for:
 *   synchronous = NORMAL   the log is synced by upkeep.c, not at every commit
 *   journal_size_limit     a log grown by one huge commit is cut again (bytes)
 *   secure_delete = FAST   deleted content is wiped where that costs no extra write
 *   temp_store = MEMORY    undo of a savepoint: the container may have no writable /tmp */
static enum err_kind set_up(struct db *db, struct err *e)
{
    static const char *const pragmas[] = {
        "PRAGMA synchronous = NORMAL",
        "PRAGMA journal_size_limit = 67108864",
        "PRAGMA secure_delete = FAST",
        "PRAGMA temp_store = MEMORY",
    };
    enum err_kind rc = enter_wal(db, e);
    for (size_t i = 0; !rc && i < sizeof pragmas / sizeof pragmas[0]; i++)
        rc = db_exec(db, pragmas[i], e);
    return rc;
}

static enum err_kind migrate(struct db *db, int64_t version, struct err *e)
{
    enum err_kind rc = ERR_OK;
    for (; !rc && version < VERSION; version++) {
        if ((rc = db_exec(db, "BEGIN IMMEDIATE", e)))
            break;
        int code = sqlite3_exec(db->handle, migrations[version].sql, NULL, NULL, NULL);
        rc = code ? db_fail(db, code, e) : ERR_OK;
        if (!rc && migrations[version].then)
            rc = migrations[version].then(db, e);
        if (!rc)
            rc = db_exec(db, "COMMIT", e);
        if (rc)
            db_rollback(db);
    }
    return rc;
}

static enum err_kind open_steps(struct db *db, const char *path, struct err *e)
{
    int64_t version;
    struct logfile log;
    enum err_kind rc;
    /* before the first read: the WAL's index then lives in our memory, and no other process can
     * read or write beside us */
    if ((rc = open_file(db, path, &log, e)) ||
        (rc = db_exec(db, "PRAGMA locking_mode = EXCLUSIVE", e)) ||
        (rc = db_exec(db, "PRAGMA mmap_size = 0", e)) ||
        (rc = db_exec(db, "PRAGMA cell_size_check = ON", e)) || (rc = identify(db, &version, e)))
        return rc;
    bool fresh = version == 0;
    /* A change is a small row, and its commit writes one page: of 4 KiB it takes half the time of
     * one of 16, and a quarter of the disk's writes; large blobs lose a third. Only before the WAL.
     */
    rc = fresh ? db_exec(db, "PRAGMA page_size = 4096", e) : check_whole(db, version, e);
    if (rc)
        return rc;
    if ((rc = set_up(db, e)))
        return rc;
    upkeep_watch(db);
    if (log.lost || log.unended)
        upkeep_restart_log(db);
    if ((rc = migrate(db, version, e)))
        return rc;
    if ((rc = front_open(db, e)))
        return rc;
    return fresh ? filesystem_sync_folder(path, e) : ERR_OK;
}

enum err_kind schema_open(struct db *db, const char *path, struct err *e)
{
    enum err_kind rc = open_steps(db, path, e);
    if (rc)
        err_wrap(e, "%s: ", path);
    return rc;
}
