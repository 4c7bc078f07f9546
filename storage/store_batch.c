#include "storage/store_batch.h"

#include "engine/mem.h"
#include "storage/blob.h"
#include "storage/checksum.h"
#include "storage/store_model.h"
#include "storage/writer.h"

static const char roll_sum[] =
    "SELECT coalesce(sum(1 + n % 4294967291), 0) FROM batches WHERE model = ?";

static uint32_t batch_seal(int64_t model, const struct store_batch *b, const struct blob *blob)
{
    uint32_t seal = checksum_i64(0, model);
    seal = checksum_i64(seal, b->n);
    seal = checksum_text(seal, b->layout);
    seal = checksum_i64(seal, b->created_at);
    return blob_seal(seal, blob);
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
                "INSERT INTO batches (model, n, layout, created_at, first_chunk, bytes, digest,"
                " seal) VALUES (?, ?, ?, ?, ?, ?, ?, ?)");
    query_put_i64(&q, a->model);
    query_put_i64(&q, a->batch.n);
    query_put_text(&q, a->batch.layout);
    query_put_i64(&q, a->batch.created_at);
    blob_put(&q, blob);
    query_put_i64(&q, batch_seal(a->model, &a->batch, blob));
    return query_run(&q, e);
}

static enum err_kind apply_insert(struct db *db, void *arg, struct err *e)
{
    const struct insert *a = arg;
    struct tally tally;
    struct blob blob;
    enum err_kind rc;
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

/* Takes a row of n, layout, created_at, first_chunk, bytes, digest, seal. layout is the query's.
 * IO: the row is damaged. */
static enum err_kind read_row(struct query *q, int64_t model, struct store_batch *b,
                              struct blob *blob, struct err *e)
{
    b->n = query_i64(q);
    b->layout = query_text(q);
    b->created_at = query_i64(q);
    *blob = blob_get(q);
    b->bytes = (size_t)blob->bytes;
    int64_t seal = query_i64(q);
    enum err_kind rc = query_check(q, e);
    if (!rc && seal != batch_seal(model, b, blob))
        rc = err_set(e, ERR_IO, "", "its row is damaged");
    return rc;
}

/* ---- delete -------------------------------------------------------------------------------- */

/* Drops the blobs of the batches from..to; *rows counts these. */
static enum err_kind drop_blobs(struct db *db, int64_t model, int64_t from, int64_t to,
                                int64_t *rows, struct err *e)
{
    struct query q;
    struct store_batch b;
    struct blob blob;
    bool row = true;
    enum err_kind rc = ERR_OK;
    *rows = 0;
    query_start(&q, db,
                "SELECT n, layout, created_at, first_chunk, bytes, digest, seal FROM batches"
                " WHERE model = ? AND n BETWEEN ? AND ?");
    query_put_i64(&q, model);
    query_put_i64(&q, from);
    query_put_i64(&q, to);
    while (!rc && !(rc = query_row(&q, &row, e)) && row) {
        ++*rows;
        if (!(rc = read_row(&q, model, &b, &blob, e)))
            rc = blob_drop(db, &blob, e);
        else if (rc == ERR_IO)
            rc = ERR_OK; /* a damaged row: see the header */
    }
    query_end(&q);
    return rc;
}

enum err_kind batches_drop_blobs(struct db *db, int64_t model, struct err *e)
{
    int64_t rows;
    return drop_blobs(db, model, INT64_MIN, INT64_MAX, &rows, e);
}

struct removal {
    int64_t model, n;
};

static enum err_kind delete_row(struct db *db, const struct removal *a, struct err *e)
{
    struct query q;
    query_start(&q, db, "DELETE FROM batches WHERE model = ? AND n = ?");
    query_put_i64(&q, a->model);
    query_put_i64(&q, a->n);
    return query_run(&q, e);
}

static enum err_kind apply_delete(struct db *db, void *arg, struct err *e)
{
    const struct removal *a = arg;
    struct tally tally;
    int64_t rows;
    enum err_kind rc;
    if ((rc = tally_read(db, a->model, &tally, e)) ||
        (rc = drop_blobs(db, a->model, a->n, a->n, &rows, e)))
        return rc;
    if (rows == 0) {
        rc = roll_check(db, roll_sum, a->model, tally.batch_roll, e);
        return rc ? rc : err_set(e, ERR_NOT_FOUND, "", "there is no batch %lld", (long long)a->n);
    }
    if ((rc = delete_row(db, a, e)))
        return rc;
    tally.batch_roll -= roll_of(a->n);
    return tally_write(db, a->model, &tally, e);
}

void store_delete_batch(struct store_txn *txn, int64_t model, int64_t n)
{
    struct removal *a = txn_add(txn, apply_delete, sizeof *a);
    if (a)
        *a = (struct removal){model, n};
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
                "SELECT n, layout, created_at, first_chunk, bytes, digest, seal FROM batches"
                " WHERE model = ? AND n > ? ORDER BY n LIMIT 1");
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
