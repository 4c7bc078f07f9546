#include "storage/sql.h"

#include <assert.h>
#include <math.h>
#include <string.h>

void db_close(struct db *db)
{
    for (int i = 0; i < db->statements; i++)
        sqlite3_finalize(db->statement[i].stmt);
    db->statements = 0;
    sqlite3_close(db->handle);
    db->handle = NULL;
}

static enum err_kind fail_constraint(int code, struct err *e)
{
    switch (code) {
    case SQLITE_CONSTRAINT_UNIQUE:
    case SQLITE_CONSTRAINT_PRIMARYKEY:
    case SQLITE_CONSTRAINT_ROWID:
        return err_set(e, ERR_CONFLICT, "", "the id is taken");
    case SQLITE_CONSTRAINT_FOREIGNKEY:
        return err_set(e, ERR_NOT_FOUND, "", "its owner is gone");
    default:
        return err_set(e, ERR_INTERNAL, "", "the storage refused a row (SQLite code %d)", code);
    }
}

enum err_kind db_fail(struct db *db, int code, struct err *e)
{
    if (code == SQLITE_IOERR_NOMEM)
        code = SQLITE_NOMEM;
    switch (code & 0xff) {
    case SQLITE_CONSTRAINT:
        return fail_constraint(code, e);
    case SQLITE_NOMEM:
        return err_set(e, ERR_NOMEM, "", "no memory for the storage");
    case SQLITE_TOOBIG:
        return err_set(e, ERR_TOO_LARGE, "", "a text is over the storage's limit");
    case SQLITE_FULL:
        return err_set(e, ERR_FULL, "", "the disk is full");
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return err_set(e, ERR_CONFLICT, "", "another program is using the file");
    case SQLITE_NOTADB:
        atomic_store(&db->healthy, false);
        return err_set(e, ERR_IO, "", "the file is not a database");
    case SQLITE_CORRUPT:
        atomic_store(&db->healthy, false);
        return err_set(e, ERR_IO, "", "the file is damaged (SQLite code %d)", code);
    case SQLITE_IOERR:
        atomic_store(&db->healthy, false);
        return err_set(e, ERR_IO, "", "reading or writing the file failed (SQLite code %d)", code);
    default:
        return err_set(e, ERR_IO, "", "the storage failed: %s (SQLite code %d)",
                       sqlite3_errstr(code), code);
    }
}

enum err_kind db_exec(struct db *db, const char *sql, struct err *e)
{
    struct query q;
    query_start(&q, db, sql);
    return query_run(&q, e);
}

enum err_kind db_number(struct db *db, const char *sql, int64_t *out, struct err *e)
{
    struct query q;
    bool row;
    query_start(&q, db, sql);
    enum err_kind rc = query_row(&q, &row, e);
    *out = row ? query_i64(&q) : 0;
    query_end(&q);
    return rc;
}

bool db_in_transaction(const struct db *db)
{
    return !sqlite3_get_autocommit(db->handle);
}

void db_rollback(struct db *db)
{
    struct err e; /* a rollback that fails leaves what the next open rolls back */
    if (db_in_transaction(db) && db_exec(db, "ROLLBACK", &e))
        atomic_store(&db->healthy, false);
}

int64_t db_changes(const struct db *db)
{
    return sqlite3_changes64(db->handle);
}

/* The statement of this literal, prepared at its first use. */
static int find_statement(struct db *db, const char *sql, sqlite3_stmt **out)
{
    for (int i = 0; i < db->statements; i++) {
        if (db->statement[i].sql == sql) {
            *out = db->statement[i].stmt;
            return SQLITE_OK;
        }
    }
    assert(db->statements < DB_STATEMENTS_MAX);
    int code = sqlite3_prepare_v3(db->handle, sql, -1, SQLITE_PREPARE_PERSISTENT, out, NULL);
    if (code)
        return code;
    db->statement[db->statements].sql = sql;
    db->statement[db->statements++].stmt = *out;
    return SQLITE_OK;
}

void query_start(struct query *q, struct db *db, const char *sql)
{
    *q = (struct query){.db = db};
    q->failed = find_statement(db, sql, &q->stmt);
    assert(!q->stmt || !sqlite3_stmt_busy(q->stmt));
}

static void note(struct query *q, int code)
{
    if (!q->failed)
        q->failed = code;
}

void query_put_i64(struct query *q, int64_t value)
{
    if (!q->failed)
        note(q, sqlite3_bind_int64(q->stmt, ++q->bound, value));
}

void query_put_f64(struct query *q, double value)
{
    if (!q->failed)
        note(q, sqlite3_bind_double(q->stmt, ++q->bound, value));
}

void query_put_text(struct query *q, const char *text)
{
    if (!q->failed)
        note(q, sqlite3_bind_text64(q->stmt, ++q->bound, text, text ? strlen(text) : 0,
                                    SQLITE_STATIC, SQLITE_UTF8));
}

void query_put_blob(struct query *q, const void *data, size_t bytes)
{
    if (!q->failed)
        note(q, sqlite3_bind_blob64(q->stmt, ++q->bound, data, bytes, SQLITE_STATIC));
}

enum err_kind query_check(const struct query *q, struct err *e)
{
    return q->failed ? db_fail(q->db, q->failed, e) : ERR_OK;
}

enum err_kind query_row(struct query *q, bool *row, struct err *e)
{
    int code = q->failed ? q->failed : sqlite3_step(q->stmt);
    q->column = 0;
    *row = code == SQLITE_ROW;
    if (code == SQLITE_ROW || code == SQLITE_DONE)
        return ERR_OK;
    return db_fail(q->db, code, e);
}

int64_t query_i64(struct query *q)
{
    return sqlite3_column_int64(q->stmt, q->column++);
}

double query_f64(struct query *q)
{
    int column = q->column++;
    bool none = sqlite3_column_type(q->stmt, column) == SQLITE_NULL;
    return none ? (double)NAN : sqlite3_column_double(q->stmt, column);
}

const char *query_text(struct query *q)
{
    int column = q->column++;
    if (sqlite3_column_type(q->stmt, column) == SQLITE_NULL)
        return NULL;
    const unsigned char *text = sqlite3_column_text(q->stmt, column);
    if (!text)
        note(q, SQLITE_NOMEM);
    return (const char *)text;
}

const void *query_blob(struct query *q, size_t *bytes)
{
    int column = q->column++;
    *bytes = (size_t)sqlite3_column_bytes(q->stmt, column);
    const void *data = sqlite3_column_blob(q->stmt, column);
    if (!data && *bytes > 0)
        note(q, SQLITE_NOMEM);
    return data;
}

void query_end(struct query *q)
{
    if (!q->stmt)
        return;
    sqlite3_reset(q->stmt);
    sqlite3_clear_bindings(q->stmt);
}

enum err_kind query_run(struct query *q, struct err *e)
{
    bool row = true;
    enum err_kind rc = ERR_OK;
    while (!rc && row)
        rc = query_row(q, &row, e);
    query_end(q);
    return rc;
}
