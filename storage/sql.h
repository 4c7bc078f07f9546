/* storage/sql.h - SQLite made short: statements prepared once, codes turned into errors.
 *
 * A query is written where it is used:
 *     struct query q;
 *     query_start(&q, db, "SELECT id FROM models WHERE key = ?");
 *     query_put_i64(&q, key);
 *     rc = query_row(&q, &row, e);
 *     if (row) id = query_text(&q);
 *     query_end(&q);
 * What fails in between is remembered and told by the next query_row, query_check or query_run.
 *
 * Threads: a db belongs to one thread at a time, its owner (writer.h); `healthy` may be read by
 * all.
 */
#ifndef STORAGE_SQL_H
#define STORAGE_SQL_H

#include <sqlite3.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "engine/err.h"

#define DB_STATEMENTS_MAX 96 /* there are fewer statements in the whole layer */

/* Defined here because a db holds them; what their fields say is pack.c's and front.c's. */
struct pack_head;
struct pack {
    unsigned char *rows;
    size_t bytes, room;
    struct pack_head *head;
    size_t heads, head_room;
    unsigned char *column; /* heads, as they are written */
    size_t column_room;
};
struct front_end;
struct settling;
struct front {
    struct pack fresh; /* of the transaction under way, not written yet */
    /* Of the file: */
    int64_t last; /* group */
    size_t rows;  /* changes in it */
    size_t tried; /* … of which the last try to settle left so many */
    size_t kept_bytes;
    bool known;            /* the above, and … */
    struct front_end *end; /* … the last change of each model that has some here: a hash table */
    size_t ends, end_room;
    struct settling *settling; /* settle.c's; NULL: nothing is on its way */
};

struct db {
    sqlite3 *handle;
    atomic_bool healthy;         /* false once a write, a sync or the file itself proved bad */
    struct timespec dirty_since; /* CLOCK_MONOTONIC, while dirty */
    bool dirty;                  /* committed, but maybe not on the disk yet */
    sqlite3_file *syncing;       /* the log, while it is synced aside (upkeep.h) */
    int sync_code;               /* … what SQLite said of that */
    bool synced;                 /* it was, and the next round goes on from there */
    int wal_pages;
    struct timespec settle_at; /* CLOCK_MONOTONIC: no slice of settling before */
    int64_t new_model;         /* key of the one inserted last (STORE_NEW_MODEL) */
    struct front front;        /* the journal's newest changes (front.h) */
    bool has_garbage;          /* rows may wait in `garbage` (blob.h) */
    char notice[240];          /* what was wrong when it was opened, "" if nothing */
    int statements;
    struct {
        const char *sql; /* the literal itself: the cache compares addresses */
        sqlite3_stmt *stmt;
    } statement[DB_STATEMENTS_MAX];
};

/* Frees the statements and the connection. A zeroed db is fine. */
void db_close(struct db *db);

/* Turns a result code of SQLite into an error, and ends the db's health where it must. The only
 * place that knows the codes. */
enum err_kind db_fail(struct db *db, int code, struct err *e);

/* Something done by the owner of the connection. */
typedef enum err_kind db_step(struct db *db, struct err *e);

/* Runs one statement without arguments; sql is a literal. */
MUST_USE enum err_kind db_exec(struct db *db, const char *sql, struct err *e);
/* Its first row's only column, a number. */
MUST_USE enum err_kind db_number(struct db *db, const char *sql, int64_t *out, struct err *e);
/* Ends a transaction without keeping it; none open is fine. */
void db_rollback(struct db *db);
bool db_in_transaction(const struct db *db);
/* Rows changed by the last INSERT, UPDATE or DELETE, without those of a cascade. */
int64_t db_changes(const struct db *db);

struct query {
    struct db *db;
    sqlite3_stmt *stmt; /* NULL: it could not be prepared */
    int failed;         /* the first code that was not SQLITE_OK */
    int bound, column;  /* arguments put, columns taken of this row */
};

/* sql is a literal with one `?` per argument, put in their order. Ended by query_end or
 * query_run, whatever happens. Text and blobs are borrowed until then. */
void query_start(struct query *q, struct db *db, const char *sql);
void query_put_i64(struct query *q, int64_t value);
void query_put_f64(struct query *q, double value); /* NaN is kept as NULL */
void query_put_text(struct query *q, const char *text);
void query_put_blob(struct query *q, const void *data, size_t bytes);

/* Goes to the next row; *row false: there is none. */
MUST_USE enum err_kind query_row(struct query *q, bool *row, struct err *e);
/* The row's columns, in their order. Pointers live until the next query_row or query_end. */
int64_t query_i64(struct query *q);
double query_f64(struct query *q);       /* NULL is NaN */
const char *query_text(struct query *q); /* NULL is NULL */
const void *query_blob(struct query *q, size_t *bytes);
/* Whether all columns so far could be read. */
MUST_USE enum err_kind query_check(const struct query *q, struct err *e);
void query_end(struct query *q);

/* Runs it to the end, ignoring rows, and ends it. */
MUST_USE enum err_kind query_run(struct query *q, struct err *e);

#endif
