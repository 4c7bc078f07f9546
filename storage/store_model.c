#include "storage/store_model.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "engine/mem.h"
#include "storage/checksum.h"
#include "storage/settle.h"
#include "storage/store.h"
#include "storage/store_batch.h"
#include "storage/store_checkpoint.h"
#include "storage/store_journal.h"
#include "storage/writer.h"

/* ---- damage -------------------------------------------------------------------------------- */

/* The id for a message: what the row says, even if it is damaged too. */
static void find_id(struct db *db, int64_t model, char *out, size_t bytes)
{
    struct query q;
    struct err e;
    bool row;
    query_start(&q, db, "SELECT id FROM models WHERE key = ?");
    query_put_i64(&q, model);
    const char *id = !query_row(&q, &row, &e) && row ? query_text(&q) : NULL;
    mem_fit(out, bytes, id ? id : "?");
    query_end(&q);
}

enum err_kind model_damaged(struct db *db, int64_t model, struct err *e, const char *format, ...)
{
    char id[STORE_ID_BYTES], text[160];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    find_id(db, model, id, sizeof id);
    return err_set(e, ERR_IO, "", "model \"%s\": %s", id, text);
}

enum err_kind model_wrap(struct db *db, int64_t model, struct err *e, const char *format, ...)
{
    char id[STORE_ID_BYTES], text[160];
    va_list args;
    if (e->kind != ERR_IO)
        return e->kind;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    find_id(db, model, id, sizeof id);
    return err_wrap(e, "model \"%s\": %s: ", id, text);
}

/* ---- the tally ----------------------------------------------------------------------------- */

static uint32_t tally_seal(int64_t model, const struct tally *t)
{
    uint32_t seal = checksum_i64(0, model);
    seal = checksum_i64(seal, t->last_batch);
    seal = checksum_i64(seal, t->last_checkpoint);
    seal = checksum_i64(seal, t->last_serial);
    seal = checksum_i64(seal, t->batch_roll);
    seal = checksum_i64(seal, t->checkpoint_roll);
    return checksum_i64(seal, t->loss_end);
}

enum err_kind tally_read(struct db *db, int64_t model, struct tally *t, struct err *e)
{
    struct query q;
    bool row;
    query_start(&q, db,
                "SELECT last_batch, last_checkpoint, last_serial, batch_roll, checkpoint_roll,"
                " loss_end, tally_seal FROM models WHERE key = ?");
    query_put_i64(&q, model);
    enum err_kind rc = query_row(&q, &row, e);
    if (rc)
        goto out;
    if (!row) {
        rc = err_set(e, ERR_NOT_FOUND, "", "there is no such model");
        goto out;
    }
    t->last_batch = query_i64(&q);
    t->last_checkpoint = query_i64(&q);
    t->last_serial = query_i64(&q);
    t->batch_roll = query_i64(&q);
    t->checkpoint_roll = query_i64(&q);
    t->loss_end = query_i64(&q);
    if (query_i64(&q) != tally_seal(model, t))
        rc = model_damaged(db, model, e, "its numbers are damaged");
out:
    query_end(&q);
    return rc;
}

enum err_kind tally_write(struct db *db, int64_t model, const struct tally *t, struct err *e)
{
    struct query q;
    query_start(&q, db,
                "UPDATE models SET last_batch = ?, last_checkpoint = ?, last_serial = ?,"
                " batch_roll = ?, checkpoint_roll = ?, loss_end = ?, tally_seal = ?"
                " WHERE key = ?");
    query_put_i64(&q, t->last_batch);
    query_put_i64(&q, t->last_checkpoint);
    query_put_i64(&q, t->last_serial);
    query_put_i64(&q, t->batch_roll);
    query_put_i64(&q, t->checkpoint_roll);
    query_put_i64(&q, t->loss_end);
    query_put_i64(&q, tally_seal(model, t));
    query_put_i64(&q, model);
    return query_run(&q, e);
}

int64_t roll_of(int64_t n)
{
    return 1 + n % 4294967291;
}

enum err_kind roll_check(struct db *db, const char *sum, int64_t model, int64_t roll, struct err *e)
{
    struct query q;
    bool row;
    query_start(&q, db, sum);
    query_put_i64(&q, model);
    enum err_kind rc = query_row(&q, &row, e);
    int64_t is = row ? query_i64(&q) : 0;
    query_end(&q);
    if (!rc && is != roll)
        rc = model_damaged(db, model, e, "one of its rows is missing");
    return rc;
}

int64_t model_key(const struct db *db, int64_t model)
{
    return model == STORE_NEW_MODEL ? db->new_model : model;
}

/* ---- insert and delete --------------------------------------------------------------------- */

static uint32_t model_seal(int64_t key, const char *id, int64_t created_at, int64_t spec_digest)
{
    uint32_t seal = checksum_i64(0, key);
    seal = checksum_text(seal, id);
    seal = checksum_i64(seal, created_at);
    return checksum_i64(seal, spec_digest);
}

/* The seal needs the key, which the insert gives. */
static enum err_kind seal_model(struct db *db, const struct store_model *m, int64_t spec_digest,
                                struct err *e)
{
    struct query q;
    query_start(&q, db, "UPDATE models SET seal = ? WHERE key = ?");
    query_put_i64(&q, model_seal(m->key, m->id, m->created_at, spec_digest));
    query_put_i64(&q, m->key);
    return query_run(&q, e);
}

static enum err_kind apply_insert(struct db *db, void *arg, struct err *e)
{
    struct store_model *m = *(struct store_model **)arg;
    uint32_t spec_digest = checksum_text(0, m->spec);
    struct query q;
    query_start(&q, db,
                "INSERT INTO models (id, spec, spec_digest, created_at, seal, last_batch,"
                " last_checkpoint, last_serial, batch_roll, checkpoint_roll, loss_end, tally_seal)"
                " VALUES (?, ?, ?, ?, 0, 0, 0, 0, 0, 0, 0, 0)");
    query_put_text(&q, m->id);
    query_put_text(&q, m->spec);
    query_put_i64(&q, spec_digest);
    query_put_i64(&q, m->created_at);
    enum err_kind rc = query_run(&q, e);
    if (rc)
        return rc;
    m->key = db->new_model = sqlite3_last_insert_rowid(db->handle);
    if ((rc = seal_model(db, m, spec_digest, e)) || (rc = journal_begin(db, m->key, e)))
        return rc;
    return tally_write(db, m->key, &(struct tally){0}, e);
}

void store_insert_model(struct store_txn *txn, struct store_model *model)
{
    struct store_model **arg = txn_add(txn, apply_insert, sizeof *arg);
    if (arg)
        *arg = model;
}

static enum err_kind apply_delete(struct db *db, void *arg, struct err *e)
{
    int64_t model = *(int64_t *)arg;
    enum err_kind rc;
    struct query q;
    if ((rc = batches_drop_blobs(db, model, e)) || (rc = checkpoints_drop_blobs(db, model, e)) ||
        (rc = journal_drop(db, model, e)))
        return rc;
    query_start(&q, db, "DELETE FROM models WHERE key = ?"); /* the other tables cascade */
    query_put_i64(&q, model);
    rc = query_run(&q, e);
    if (!rc && db_changes(db) == 0)
        rc = err_set(e, ERR_NOT_FOUND, "", "there is no such model");
    return rc;
}

void store_delete_model(struct store_txn *txn, int64_t model)
{
    int64_t *arg = txn_add(txn, apply_delete, sizeof *arg);
    if (arg)
        *arg = model;
}

/* ---- reading ------------------------------------------------------------------------------- */

struct find {
    const char *id;
    struct store_model *out;
};

/* Takes one row of key, id, created_at, spec_digest, seal; *spec_digest may be NULL. */
static enum err_kind read_model(struct db *db, struct query *q, struct store_model *m,
                                int64_t *spec_digest, struct err *e)
{
    m->key = query_i64(q);
    const char *id = query_text(q);
    m->created_at = query_i64(q);
    *spec_digest = query_i64(q);
    int64_t seal = query_i64(q);
    enum err_kind rc = query_check(q, e);
    if (rc)
        return rc;
    if (seal != model_seal(m->key, id, m->created_at, *spec_digest) || strlen(id) >= sizeof m->id)
        return model_damaged(db, m->key, e, "its row is damaged");
    memcpy(m->id, id, strlen(id) + 1);
    return ERR_OK;
}

static enum err_kind copy_spec(struct db *db, struct query *q, int64_t digest,
                               struct store_model *m, struct err *e)
{
    const char *spec = query_text(q);
    enum err_kind rc = query_check(q, e);
    if (rc)
        return rc;
    if (!spec || checksum_text(0, spec) != digest)
        return model_damaged(db, m->key, e, "its spec is damaged");
    m->spec = mem_string(spec);
    return m->spec ? ERR_OK : err_set(e, ERR_NOMEM, "", "no memory for a model's spec");
}

static enum err_kind find_model(struct db *db, void *arg, struct err *e)
{
    struct find *f = arg;
    struct query q;
    bool row;
    int64_t digest;
    query_start(&q, db,
                "SELECT key, id, created_at, spec_digest, seal, spec FROM models WHERE id = ?");
    query_put_text(&q, f->id);
    enum err_kind rc = query_row(&q, &row, e);
    if (!rc && !row)
        rc = err_set(e, ERR_NOT_FOUND, "", "there is no model \"%s\"", f->id);
    if (!rc)
        rc = read_model(db, &q, f->out, &digest, e);
    if (!rc)
        rc = copy_spec(db, &q, digest, f->out, e);
    query_end(&q);
    return rc;
}

enum err_kind store_find_model(struct store *s, const char *id, struct store_model *out,
                               struct err *e)
{
    *out = (struct store_model){0};
    return store_read(s, find_model, &(struct find){id, out}, e);
}

struct list {
    const char *sql; /* of key, id, created_at, spec_digest, seal */
    const char *after;
    size_t limit;
    char (*ids)[STORE_ID_BYTES];
    size_t *count;
};

static enum err_kind list_models(struct db *db, void *arg, struct err *e)
{
    struct list *l = arg;
    struct query q;
    struct store_model m;
    bool row = true;
    int64_t digest;
    enum err_kind rc = ERR_OK;
    query_start(&q, db, l->sql);
    query_put_text(&q, l->after);
    while (!rc && row && *l->count < l->limit) {
        rc = query_row(&q, &row, e);
        if (rc || !row || (rc = read_model(db, &q, &m, &digest, e)))
            break;
        memcpy(l->ids[(*l->count)++], m.id, sizeof m.id);
    }
    query_end(&q);
    return rc;
}

enum err_kind store_list_models(struct store *s, const char *after, size_t limit,
                                char (*ids)[STORE_ID_BYTES], size_t *count, struct err *e)
{
    static const char sql[] = "SELECT key, id, created_at, spec_digest, seal FROM models"
                              " WHERE id > ? ORDER BY id";
    *count = 0;
    return store_read(s, list_models, &(struct list){sql, after, limit, ids, count}, e);
}

static enum err_kind list_tails(struct db *db, void *arg, struct err *e)
{
    enum err_kind rc = settle_now(db, e); /* which moves the ends */
    return rc ? rc : list_models(db, arg, e);
}

enum err_kind store_list_tails(struct store *s, const char *after, size_t limit,
                               char (*ids)[STORE_ID_BYTES], size_t *count, struct err *e)
{
    static const char sql[] =
        "SELECT key, id, m.created_at, spec_digest, m.seal FROM models m"
        " JOIN journal j ON j.model = m.key AND j.seq = 9223372036854775807" /* JOURNAL_END */
        " WHERE id > ? AND j.step >"
        " coalesce((SELECT max(seq) FROM checkpoints c WHERE c.model = m.key AND c.n = 0), 0)"
        " ORDER BY id";
    *count = 0;
    return store_read(s, list_tails, &(struct list){sql, after, limit, ids, count}, e);
}

struct numbers {
    int64_t model;
    struct tally tally;
};

static enum err_kind read_numbers(struct db *db, void *arg, struct err *e)
{
    struct numbers *n = arg;
    return tally_read(db, n->model, &n->tally, e);
}

enum err_kind store_last_numbers(struct store *s, int64_t model, int64_t *checkpoint,
                                 int64_t *batch, struct err *e)
{
    struct numbers n = {.model = model};
    enum err_kind rc = store_read(s, read_numbers, &n, e);
    *checkpoint = rc ? 0 : n.tally.last_checkpoint;
    *batch = rc ? 0 : n.tally.last_batch;
    return rc;
}
