#include "storage/store_batch.h"

#include "engine/mem.h"
#include "storage/blob.h"
#include "storage/checksum.h"
#include "storage/store_model.h"
#include "storage/writer.h"

#define BATCH_COLUMNS "n, layout, created_at, first_chunk, bytes, digest, pushed, deleted, seal"

static const char roll_sum[] =
    "SELECT coalesce(sum(1 + n % 4294967291), 0) FROM batches WHERE model = ?";

static uint32_t batch_seal(int64_t model, const struct store_batch *b, const struct blob *blob)
{
    uint32_t seal = checksum_i64(0, model);
    seal = checksum_i64(seal, b->n);
    seal = checksum_text(seal, b->layout);
    seal = checksum_i64(seal, b->created_at);
    seal = blob_seal(seal, blob);
    if (b->pushed || b->deleted) /* those of before the journal were sealed without them */
        seal = checksum_i64(checksum_i64(seal, b->pushed), b->deleted);
    return seal;
}

/* ---- insert -------------------------------------------------------------------------------- */

struct insert {
    int64_t model;
    struct store_batch batch;
};

static enum err_kind insert_row(struct db *db, const struct insert *a, const struct blob *blob,
                                struct err *e)
{
    struct query q;
    query_start(&q, db,
                "INSERT INTO batches (model, " BATCH_COLUMNS
                ") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)");
    query_put_i64(&q, a->model);
    query_put_i64(&q, a->batch.n);
    query_put_text(&q, a->batch.layout);
    query_put_i64(&q, a->batch.created_at);
    blob_put(&q, blob);
    query_put_i64(&q, a->batch.pushed);
    query_put_i64(&q, a->batch.deleted);
    query_put_i64(&q, batch_seal(a->model, &a->batch, blob));
    return query_run(&q, e);
}

static enum err_kind apply_insert(struct db *db, void *arg, struct err *e)
{
    struct insert *a = arg;
    struct tally tally;
    struct blob blob;
    enum err_kind rc;
    a->model = model_key(db, a->model);
    if ((rc = tally_read(db, a->model, &tally, e)) ||
        (rc = blob_write(db, a->batch.data, a->batch.bytes, &blob, e)) ||
        (rc = insert_row(db, a, &blob, e)))
        return rc;
    if (tally.last_batch < a->batch.n)
        tally.last_batch = a->batch.n;
    tally.batch_roll += roll_of(a->batch.n);
    return tally_write(db, a->model, &tally, e);
}

void store_insert_batch(struct store_txn *txn, int64_t model, const struct store_batch *batch)
{
    struct insert *a = txn_add(txn, apply_insert, sizeof *a);
    if (a)
        *a = (struct insert){model, *batch};
}

/* ---- a row --------------------------------------------------------------------------------- */

/* Takes a row of BATCH_COLUMNS. layout is the query's.
 * IO: the row is damaged. */
static enum err_kind read_row(struct query *q, int64_t model, struct store_batch *b,
                              struct blob *blob, struct err *e)
{
    b->n = query_i64(q);
    b->layout = query_text(q);
    b->created_at = query_i64(q);
    *blob = blob_get(q);
    b->bytes = (size_t)blob->bytes;
    b->pushed = query_i64(q);
    b->deleted = query_i64(q);
    int64_t seal = query_i64(q);
    enum err_kind rc = query_check(q, e);
    if (!rc && seal != batch_seal(model, b, blob))
        rc = err_set(e, ERR_IO, "", "its row is damaged");
    return rc;
}

/* ---- delete -------------------------------------------------------------------------------- */

/* Drops the blob of the row that the query stands on. *damaged: see the header. */
static enum err_kind drop_blob(struct db *db, struct query *q, int64_t model, int64_t *n,
                               bool *damaged, struct err *e)
{
    struct store_batch b;
    struct blob blob;
    enum err_kind rc = read_row(q, model, &b, &blob, e);
    *n = b.n;
    *damaged = rc == ERR_IO;
    if (*damaged)
        return ERR_OK;
    return rc ? rc : blob_drop(db, &blob, e);
}

enum err_kind batches_drop_blobs(struct db *db, int64_t model, struct err *e)
{
    struct query q;
    int64_t n;
    bool row = true, damaged;
    enum err_kind rc = ERR_OK;
    query_start(&q, db, "SELECT " BATCH_COLUMNS " FROM batches WHERE model = ?");
    query_put_i64(&q, model);
    while (!rc && !(rc = query_row(&q, &row, e)) && row)
        rc = drop_blob(db, &q, model, &n, &damaged, e);
    query_end(&q);
    return rc;
}

static enum err_kind delete_row(struct db *db, int64_t model, int64_t n, struct err *e)
{
    struct query q;
    query_start(&q, db, "DELETE FROM batches WHERE model = ? AND n = ?");
    query_put_i64(&q, model);
    query_put_i64(&q, n);
    return query_run(&q, e);
}

enum err_kind batches_trim(struct db *db, int64_t model, int64_t upto, struct tally *tally,
                           struct err *e)
{
    struct query q;
    int64_t n;
    bool row = true, damaged;
    enum err_kind rc = ERR_OK;
    query_start(&q, db,
                "SELECT " BATCH_COLUMNS
                " FROM batches WHERE model = ? AND deleted BETWEEN 1 AND ?");
    query_put_i64(&q, model);
    query_put_i64(&q, upto);
    while (!rc && !(rc = query_row(&q, &row, e)) && row) {
        rc = drop_blob(db, &q, model, &n, &damaged, e);
        if (rc || damaged) /* that it was deleted may be the damage: the next load tells */
            continue;
        if (!(rc = delete_row(db, model, n, e)))
            tally->batch_roll -= roll_of(n);
    }
    query_end(&q);
    return rc;
}

struct removal {
    int64_t model, n;
    int64_t at; /* the change; 0: no journal needs it */
};

/* Marks the row that the query stands on as deleted. */
static enum err_kind mark_deleted(struct db *db, struct query *q, const struct removal *a,
                                  struct err *e)
{
    struct store_batch b;
    struct blob blob;
    struct query update;
    enum err_kind rc = read_row(q, a->model, &b, &blob, e);
    if (rc)
        return model_wrap(db, a->model, e, "batch %lld", (long long)a->n);
    if (b.deleted)
        return err_set(e, ERR_NOT_FOUND, "", "there is no batch %lld", (long long)a->n);
    b.deleted = a->at;
    query_start(&update, db, "UPDATE batches SET deleted = ?, seal = ? WHERE model = ? AND n = ?");
    query_put_i64(&update, a->at);
    query_put_i64(&update, batch_seal(a->model, &b, &blob));
    query_put_i64(&update, a->model);
    query_put_i64(&update, a->n);
    return query_run(&update, e);
}

static enum err_kind remove_now(struct db *db, struct query *q, const struct removal *a,
                                struct tally *tally, struct err *e)
{
    int64_t n;
    bool damaged;
    enum err_kind rc = drop_blob(db, q, a->model, &n, &damaged, e);
    if (rc || (rc = delete_row(db, a->model, a->n, e)))
        return rc;
    tally->batch_roll -= roll_of(a->n);
    return tally_write(db, a->model, tally, e);
}

static enum err_kind apply_delete(struct db *db, void *arg, struct err *e)
{
    const struct removal *a = arg;
    struct tally tally;
    struct query q;
    bool row;
    enum err_kind rc = tally_read(db, a->model, &tally, e);
    if (rc)
        return rc;
    query_start(&q, db, "SELECT " BATCH_COLUMNS " FROM batches WHERE model = ? AND n = ?");
    query_put_i64(&q, a->model);
    query_put_i64(&q, a->n);
    rc = query_row(&q, &row, e);
    if (!rc && row)
        rc = a->at ? mark_deleted(db, &q, a, e) : remove_now(db, &q, a, &tally, e);
    query_end(&q);
    if (!rc && !row && !(rc = roll_check(db, roll_sum, a->model, tally.batch_roll, e)))
        rc = err_set(e, ERR_NOT_FOUND, "", "there is no batch %lld", (long long)a->n);
    return rc;
}

void store_delete_batch(struct store_txn *txn, int64_t model, int64_t n, int64_t at)
{
    struct removal *a = txn_add(txn, apply_delete, sizeof *a);
    if (a)
        *a = (struct removal){model, n, at};
}

/* ---- the walk ------------------------------------------------------------------------------ */

/* One batch at a time is in memory: the store's thread loads it, the caller's looks at it. */
struct walk {
    int64_t model;
    int64_t after;            /* the last n seen */
    bool checked;             /* the roll was */
    bool found;               /* a batch was loaded: */
    struct store_batch batch; /* owned: layout, data */
};

static enum err_kind check_roll(struct db *db, struct walk *w, struct err *e)
{
    struct tally tally;
    if (w->checked)
        return ERR_OK;
    w->checked = true;
    enum err_kind rc = tally_read(db, w->model, &tally, e);
    return rc ? rc : roll_check(db, roll_sum, w->model, tally.batch_roll, e);
}

static enum err_kind load_batch(struct db *db, struct walk *w, struct query *q, struct err *e)
{
    struct store_batch *b = &w->batch;
    struct blob blob;
    void *data;
    enum err_kind rc = read_row(q, w->model, b, &blob, e);
    if (!rc)
        rc = blob_read(db, &blob, &data, e);
    if (rc)
        return model_wrap(db, w->model, e, "batch %lld", (long long)b->n);
    b->data = data;
    b->layout = mem_string(b->layout);
    w->found = true;
    return b->layout ? ERR_OK : err_set(e, ERR_NOMEM, "", "no memory for a batch");
}

static enum err_kind load_next(struct db *db, void *arg, struct err *e)
{
    struct walk *w = arg;
    struct query q;
    bool row;
    enum err_kind rc = check_roll(db, w, e);
    if (rc)
        return rc;
    query_start(&q, db,
                "SELECT " BATCH_COLUMNS " FROM batches WHERE model = ? AND n > ?"
                " ORDER BY n LIMIT 1");
    query_put_i64(&q, w->model);
    query_put_i64(&q, w->after);
    rc = query_row(&q, &row, e);
    if (!rc && row)
        rc = load_batch(db, w, &q, e);
    query_end(&q);
    return rc;
}

enum err_kind store_each_batch(struct store *s, int64_t model, store_visit_batch *visit, void *arg,
                               struct err *e)
{
    struct walk w = {.model = model, .after = INT64_MIN};
    enum err_kind rc;
    do {
        w.found = false;
        if (!(rc = store_read(s, load_next, &w, e)) && w.found)
            rc = visit(arg, &w.batch, e);
        if (w.found) {
            w.after = w.batch.n;
            mem_free((void *)w.batch.layout);
            mem_free((void *)w.batch.data);
        }
    } while (!rc && w.found);
    return rc;
}
