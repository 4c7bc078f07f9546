#include "tests/storage/journal_table.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "storage/checksum.h"
#include "storage/pack.h"
#include "storage/store_journal.h"

#define RUN_ROWS 50 /* of a run that is written back: so a model of the tests has several */

static void run(sqlite3 *db, const char *sql)
{
    if (sqlite3_exec(db, sql, NULL, NULL, NULL))
        fail_msg("%s: %s", sql, sqlite3_errmsg(db));
}

static bool has_runs(sqlite3 *db)
{
    sqlite3_stmt *stmt;
    assert_int_equal(
        sqlite3_prepare_v2(db, "SELECT 1 FROM sqlite_schema WHERE name = 'runs'", -1, &stmt, NULL),
        SQLITE_OK);
    bool there = sqlite3_step(stmt) == SQLITE_ROW;
    sqlite3_finalize(stmt);
    return there;
}

/* Of the statements, not of the connection. */
static void forget(struct db *db)
{
    for (int i = 0; i < db->statements; i++)
        sqlite3_finalize(db->statement[i].stmt);
}

static uint32_t key_of(int64_t model, int64_t seq)
{
    return checksum_i64(checksum_i64(0, model), seq);
}

/* ---- out of the runs ------------------------------------------------------------------------- */

static enum err_kind add_change(void *arg, const struct packed *p, struct err *e)
{
    struct query q;
    const struct store_change *c = &p->change;
    bool sound = !p->damaged;
    query_start(&q, arg, "INSERT INTO journal VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)");
    query_put_i64(&q, p->model);
    query_put_i64(&q, c->seq);
    query_put_i64(&q, c->from);
    query_put_i64(&q, c->kind);
    query_put_i64(&q, c->step);
    query_put_blob(&q, c->body, c->body_bytes);
    query_put_blob(&q, c->data, c->data ? c->data_bytes : 0);
    blob_put(&q, &p->blob);
    query_put_i64(&q, sound ? pack_seal(p->model, c, &p->blob) : 0);
    return query_run(&q, e);
}

void journal_table_open(sqlite3 *handle)
{
    struct db db = {.handle = handle, .healthy = true};
    struct query q;
    struct err e;
    bool row = true;
    if (!has_runs(handle))
        return;
    run(handle, "CREATE TEMP TABLE journal (model, seq, prior, kind, step, body, data, first_chunk,"
                " bytes, digest, seal, PRIMARY KEY (model, seq));"
                "INSERT INTO journal SELECT model, seq, 0, 0, last, NULL, NULL, 0, 0, 0, seal"
                " FROM runs WHERE seq = 9223372036854775807");
    query_start(&q, &db, "SELECT model, seq, heads, rows, seal FROM runs WHERE seq < ?");
    query_put_i64(&q, JOURNAL_END);
    while (assert_int_equal(query_row(&q, &row, &e), ERR_OK), row) {
        int64_t model = query_i64(&q), seq = query_i64(&q);
        assert_int_equal(pack_each(&q, key_of(model, seq), model, 0, add_change, &db, &e), ERR_OK);
    }
    query_end(&q);
    forget(&db);
}

/* ---- and back -------------------------------------------------------------------------------- */

static void put_run(struct db *db, struct pack *p)
{
    struct err e;
    if (p->heads > 0)
        assert_int_equal(journal_insert(db, p, &e), ERR_OK);
    pack_clear(p);
}

static void add_row(struct db *db, struct query *q, struct pack *p)
{
    struct store_change c = {.from = 0};
    int64_t model = query_i64(q);
    c.seq = query_i64(q);
    c.from = query_i64(q);
    c.kind = (int)query_i64(q);
    c.step = query_i64(q);
    c.body = query_blob(q, &c.body_bytes);
    c.data = query_blob(q, &c.data_bytes);
    struct blob blob = blob_get(q);
    uint32_t seal = (uint32_t)query_i64(q);
    if (p->heads == RUN_ROWS || (p->heads > 0 && p->head->model != model))
        put_run(db, p);
    assert_true(pack_add_sealed(p, model, &c, &blob, seal));
}

void journal_table_close(sqlite3 *handle)
{
    struct db db = {.handle = handle, .healthy = true};
    struct query q;
    struct err e;
    struct pack p = {.heads = 0};
    bool row = true;
    if (!has_runs(handle))
        return;
    run(handle, "DELETE FROM runs; INSERT INTO runs (model, seq, last, seal)"
                " SELECT model, seq, step, seal FROM journal WHERE kind = 0");
    query_start(&q, &db, "SELECT * FROM journal WHERE kind <> 0 ORDER BY model, seq");
    while (assert_int_equal(query_row(&q, &row, &e), ERR_OK), row)
        add_row(&db, &q, &p);
    query_end(&q);
    put_run(&db, &p);
    pack_close(&p);
    forget(&db);
    run(handle, "DROP TABLE journal");
}
