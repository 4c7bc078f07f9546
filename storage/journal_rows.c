#include "storage/journal_rows.h"

#include <string.h>

#include "storage/checksum.h"
#include "storage/front.h"
#include "storage/store_journal.h"

/* A run gets not many more bytes than that. */
#define RUN_BYTES ((size_t)256 << 10)

static uint32_t end_seal(int64_t model)
{
    return checksum_i64(checksum_i64(checksum_i64(0, model), JOURNAL_END), 0);
}

static enum err_kind begin(struct db *db, int64_t model, struct err *e)
{
    struct query q;
    query_start(&q, db,
                "INSERT INTO journal (model, seq, prior, kind, step, first_chunk, bytes, digest,"
                " seal) VALUES (?, ?, 0, 0, 0, 0, 0, 0, ?)");
    query_put_i64(&q, model);
    query_put_i64(&q, JOURNAL_END);
    query_put_i64(&q, end_seal(model));
    return query_run(&q, e);
}

enum err_kind journal_rows_begin(struct db *db, struct err *e)
{
    struct query q;
    bool row = true;
    enum err_kind rc = ERR_OK;
    query_start(&q, db, "SELECT key FROM models");
    while (!rc && !(rc = query_row(&q, &row, e)) && row)
        rc = begin(db, query_i64(&q), e);
    query_end(&q);
    return rc ? rc : front_begin(db, e);
}

/* ---- to runs ------------------------------------------------------------------------------- */

/* The ends are the same, but for their columns' names. */
static enum err_kind copy_ends(struct db *db, struct err *e)
{
    struct query q;
    query_start(&q, db,
                "INSERT INTO runs (model, seq, last, seal)"
                " SELECT model, seq, step, seal FROM journal WHERE seq = ?");
    query_put_i64(&q, JOURNAL_END);
    return query_run(&q, e);
}

static enum err_kind end_run(struct db *db, struct pack *run, struct err *e)
{
    enum err_kind rc = run->heads ? journal_insert(db, run, e) : ERR_OK;
    pack_clear(run);
    return rc;
}

/* A row of model, seq, prior, kind, step, body, data, first_chunk, bytes, digest, seal. */
static enum err_kind add_row(struct db *db, struct query *q, struct pack *run, struct err *e)
{
    struct store_change c = {0};
    int64_t model = query_i64(q);
    c.seq = query_i64(q);
    c.from = query_i64(q);
    c.kind = (int)query_i64(q);
    c.step = query_i64(q);
    c.body = query_blob(q, &c.body_bytes);
    c.data = query_blob(q, &c.data_bytes);
    struct blob blob = blob_get(q);
    uint32_t seal = (uint32_t)query_i64(q);
    enum err_kind rc = query_check(q, e);
    bool full = run->heads == JOURNAL_RUN || run->bytes > RUN_BYTES;
    if (!rc && run->heads && (full || run->head->model != model))
        rc = end_run(db, run, e);
    if (!rc && !pack_add_sealed(run, model, &c, &blob, seal))
        rc = err_set(e, ERR_NOMEM, "", "no memory to bring the journal up");
    return rc;
}

static enum err_kind copy_rows(struct db *db, struct err *e)
{
    struct query q;
    struct pack run = {0};
    bool row = true;
    enum err_kind rc = ERR_OK;
    query_start(&q, db,
                "SELECT model, seq, prior, kind, step, body, data, first_chunk, bytes, digest, seal"
                " FROM journal WHERE seq < ? ORDER BY model, seq");
    query_put_i64(&q, JOURNAL_END);
    while (!rc && !(rc = query_row(&q, &row, e)) && row)
        rc = add_row(db, &q, &run, e);
    query_end(&q);
    if (!rc)
        rc = end_run(db, &run, e);
    pack_close(&run);
    return rc;
}

/* ---- the front's groups -------------------------------------------------------------------- */

/* Where a change is in its group. */
struct head {
    int64_t model, seq, at, bytes;
};

/* A change there; body and data follow. */
struct stored {
    int64_t model, seq, from, step;
    struct blob blob;
    uint64_t body_bytes, data_bytes;
    int32_t kind;
    uint32_t seal;
};

struct group {
    const unsigned char *heads, *rows;
    size_t head_bytes, bytes;
};

/* The change that stands at `at`; false: there cannot be one. */
static bool find_stored(const struct group *g, size_t at, struct stored *s, struct store_change *c)
{
    if (at > g->bytes || g->bytes - at < sizeof *s)
        return false;
    memcpy(s, g->rows + at, sizeof *s);
    size_t left = g->bytes - at - sizeof *s;
    if (s->body_bytes > left || s->data_bytes > left - s->body_bytes)
        return false;
    const unsigned char *body = g->rows + at + sizeof *s;
    *c = (struct store_change){.seq = s->seq,
                               .from = s->from,
                               .kind = s->kind,
                               .step = s->step,
                               .body = body,
                               .body_bytes = s->body_bytes,
                               .data = body + s->body_bytes,
                               .data_bytes = s->data_bytes};
    return true;
}

/* Of one that is damaged, its number may be all that is left. */
static bool add_by_heads(const struct group *g, struct pack *out)
{
    struct head head;
    struct stored s;
    struct store_change c;
    bool room = true;
    for (size_t at = 0; room && at + sizeof head <= g->head_bytes; at += sizeof head) {
        memcpy(&head, g->heads + at, sizeof head);
        bool there =
            find_stored(g, (size_t)head.at, &s, &c) && s.model == head.model && s.seq == head.seq;
        room = there ? pack_add_sealed(out, s.model, &c, &s.blob, s.seal)
                     : pack_copy(out, head.model, head.seq, "", 0);
    }
    return room;
}

static bool add_in_order(const struct group *g, struct pack *out)
{
    struct stored s;
    struct store_change c;
    bool room = true;
    for (size_t at = 0; room && find_stored(g, at, &s, &c);
         at += sizeof s + s.body_bytes + s.data_bytes)
        room = pack_add_sealed(out, s.model, &c, &s.blob, s.seal);
    return room;
}

static enum err_kind put_group(struct db *db, int64_t serial, struct pack *p, struct err *e)
{
    struct query q;
    query_start(&q, db, "UPDATE front SET heads = ?, rows = ?, seal = ? WHERE serial = ?");
    enum err_kind rc = pack_put(&q, p, checksum_i64(0, serial), e);
    query_put_i64(&q, serial);
    if (!rc)
        return query_run(&q, e);
    query_end(&q);
    return rc;
}

/* A row of serial, heads, rows, seal. */
static enum err_kind pack_group(struct query *q, int64_t *serial, struct pack *p, struct err *e)
{
    struct group g;
    *serial = query_i64(q);
    g.heads = query_blob(q, &g.head_bytes);
    g.rows = query_blob(q, &g.bytes);
    uint32_t seal = checksum(checksum_i64(0, *serial), g.heads, g.head_bytes);
    bool intact = query_i64(q) == seal;
    enum err_kind rc = query_check(q, e);
    pack_clear(p);
    if (!rc && !(intact ? add_by_heads(&g, p) : add_in_order(&g, p)))
        rc = err_set(e, ERR_NOMEM, "", "no memory to bring the journal up");
    return rc;
}

/* One group at a time: what a query stands on is not changed. */
static enum err_kind pack_groups(struct db *db, struct err *e)
{
    struct pack p = {0};
    int64_t serial = INT64_MIN;
    bool row = true;
    enum err_kind rc = ERR_OK;
    while (!rc && row) {
        struct query q;
        query_start(&q, db,
                    "SELECT serial, heads, rows, seal FROM front WHERE serial > ? AND serial < ?"
                    " ORDER BY serial LIMIT 1");
        query_put_i64(&q, serial);
        query_put_i64(&q, JOURNAL_END);
        if (!(rc = query_row(&q, &row, e)) && row)
            rc = pack_group(&q, &serial, &p, e);
        query_end(&q);
        if (!rc && row)
            rc = put_group(db, serial, &p, e);
    }
    pack_close(&p);
    return rc;
}

enum err_kind journal_rows_to_runs(struct db *db, struct err *e)
{
    enum err_kind rc = copy_ends(db, e);
    if (!rc)
        rc = copy_rows(db, e);
    if (!rc)
        rc = pack_groups(db, e);
    return rc ? rc : db_exec(db, "DROP TABLE journal", e);
}
