#include "storage/record.h"

#include "engine/mem.h"
#include "storage/checksum.h"

static uint32_t record_seal(const struct record *r)
{
    uint32_t seal = checksum_i64(0, r->model);
    seal = checksum_i64(seal, r->c.n);
    seal = checksum_i64(seal, r->serial);
    seal = checksum_i64(seal, r->c.step);
    seal = checksum_text(seal, r->c.label);
    seal = checksum_f64(seal, r->c.loss);
    seal = checksum_text(seal, r->c.state);
    seal = checksum_i64(seal, r->c.created_at);
    for (int i = 0; i < r->c.sections; i++) {
        seal = checksum_text(seal, r->c.section[i].name);
        seal = blob_seal(seal, &r->blob[i]);
    }
    /* those of before the journal were sealed without it */
    if (r->c.seq || r->c.beside)
        seal = checksum_i64(checksum_i64(seal, r->c.seq), r->c.beside);
    return seal;
}

void store_checkpoint_close(struct store_checkpoint *c)
{
    mem_free((void *)c->label);
    mem_free((void *)c->state);
    for (int i = 0; i < c->sections; i++) {
        mem_free((void *)c->section[i].name);
        mem_free((void *)c->section[i].data);
    }
    *c = (struct store_checkpoint){0};
}

/* ---- reading ------------------------------------------------------------------------------- */

static void put_key(struct query *q, const struct record *r)
{
    query_put_i64(q, r->model);
    query_put_i64(q, r->c.n);
    query_put_i64(q, r->serial);
}

/* The next column, copied; NULL stays NULL. */
static enum err_kind copy_text(struct query *q, const char **out, struct err *e)
{
    const char *text = query_text(q);
    enum err_kind rc = query_check(q, e);
    *out = text ? mem_string(text) : NULL;
    if (!rc && text && !*out)
        rc = err_set(e, ERR_NOMEM, "", "no memory for a checkpoint");
    return rc;
}

static enum err_kind read_head(struct db *db, struct record *r, int64_t *seal, struct err *e)
{
    struct query q;
    bool row;
    query_start(&q, db,
                "SELECT seq, beside, step, loss, created_at, seal, label, state FROM checkpoints"
                " WHERE model = ? AND n = ? AND serial = ?");
    put_key(&q, r);
    enum err_kind rc = query_row(&q, &row, e);
    if (!rc && !row)
        rc = err_set(e, ERR_IO, "", "it is missing");
    if (!rc) {
        r->c.seq = query_i64(&q);
        r->c.beside = query_i64(&q) != 0;
        r->c.step = query_i64(&q);
        r->c.loss = query_f64(&q);
        r->c.created_at = query_i64(&q);
        *seal = query_i64(&q);
        if (!(rc = copy_text(&q, &r->c.label, e)))
            rc = copy_text(&q, &r->c.state, e);
    }
    query_end(&q);
    return rc;
}

/* Takes a row of place, name, first_chunk, bytes, digest. */
static enum err_kind read_section(struct query *q, struct record *r, struct err *e)
{
    int i = r->c.sections;
    if (query_i64(q) != i || i == STORE_SECTIONS_MAX)
        return err_set(e, ERR_IO, "", "its sections are damaged");
    r->c.sections++;
    enum err_kind rc = copy_text(q, &r->c.section[i].name, e);
    r->blob[i] = blob_get(q);
    r->c.section[i].bytes = (size_t)r->blob[i].bytes;
    r->c.bytes += r->c.section[i].bytes;
    return rc;
}

static enum err_kind read_sections(struct db *db, struct record *r, struct err *e)
{
    struct query q;
    bool row = true;
    enum err_kind rc = ERR_OK;
    query_start(&q, db,
                "SELECT place, name, first_chunk, bytes, digest FROM sections"
                " WHERE model = ? AND n = ? AND serial = ? ORDER BY place");
    put_key(&q, r);
    while (!rc && !(rc = query_row(&q, &row, e)) && row)
        rc = read_section(&q, r, e);
    query_end(&q);
    return rc;
}

enum err_kind record_read(struct db *db, int64_t model, int64_t n, int64_t serial, struct record *r,
                          struct err *e)
{
    int64_t seal = 0;
    *r = (struct record){.model = model, .serial = serial, .c.n = n, .c.serial = serial};
    enum err_kind rc = read_head(db, r, &seal, e);
    if (!rc)
        rc = read_sections(db, r, e);
    if (!rc && seal != record_seal(r))
        rc = err_set(e, ERR_IO, "", "its row is damaged");
    if (rc)
        store_checkpoint_close(&r->c);
    return rc;
}

enum err_kind record_find_serial(struct db *db, int64_t model, int64_t n, int64_t below,
                                 int64_t *serial, bool *found, struct err *e)
{
    struct query q;
    query_start(&q, db,
                "SELECT serial FROM checkpoints WHERE model = ? AND n = ? AND serial < ?"
                " ORDER BY serial DESC LIMIT 1");
    query_put_i64(&q, model);
    query_put_i64(&q, n);
    query_put_i64(&q, below);
    enum err_kind rc = query_row(&q, found, e);
    *serial = *found ? query_i64(&q) : 0;
    query_end(&q);
    return rc;
}

/* ---- inserting ----------------------------------------------------------------------------- */

static enum err_kind insert_head(struct db *db, const struct record *r, struct err *e)
{
    struct query q;
    query_start(&q, db,
                "INSERT INTO checkpoints (model, n, serial, seq, beside, step, loss, created_at,"
                " seal, label, state) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)");
    put_key(&q, r);
    query_put_i64(&q, r->c.seq);
    query_put_i64(&q, r->c.beside);
    query_put_i64(&q, r->c.step);
    query_put_f64(&q, r->c.loss);
    query_put_i64(&q, r->c.created_at);
    query_put_i64(&q, record_seal(r));
    query_put_text(&q, r->c.label);
    query_put_text(&q, r->c.state);
    return query_run(&q, e);
}

static enum err_kind insert_section(struct db *db, const struct record *r, int i, struct err *e)
{
    struct query q;
    query_start(&q, db,
                "INSERT INTO sections (model, n, serial, place, name, first_chunk, bytes, digest)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?)");
    put_key(&q, r);
    query_put_i64(&q, i);
    query_put_text(&q, r->c.section[i].name);
    blob_put(&q, &r->blob[i]);
    return query_run(&q, e);
}

enum err_kind record_insert(struct db *db, struct record *r, struct err *e)
{
    enum err_kind rc = ERR_OK;
    for (int i = 0; !rc && i < r->c.sections; i++)
        rc = blob_write(db, r->c.section[i].data, r->c.section[i].bytes, &r->blob[i], e);
    if (!rc)
        rc = insert_head(db, r, e);
    for (int i = 0; !rc && i < r->c.sections; i++)
        rc = insert_section(db, r, i, e);
    return rc;
}

/* ---- dropping ------------------------------------------------------------------------------ */

enum err_kind record_drop_blobs(struct db *db, int64_t model, int64_t n, int64_t serial,
                                struct err *e)
{
    struct record r;
    enum err_kind rc = record_read(db, model, n, serial, &r, e);
    if (rc == ERR_IO && atomic_load(&db->healthy))
        return ERR_OK; /* a damaged row: see the header */
    for (int i = 0; !rc && i < r.c.sections; i++)
        rc = blob_drop(db, &r.blob[i], e);
    store_checkpoint_close(&r.c);
    return rc;
}

enum err_kind record_drop(struct db *db, int64_t model, int64_t n, int64_t serial, struct err *e)
{
    struct query q;
    enum err_kind rc = record_drop_blobs(db, model, n, serial, e);
    if (rc)
        return rc;
    /* the sections' rows cascade */
    query_start(&q, db, "DELETE FROM checkpoints WHERE model = ? AND n = ? AND serial = ?");
    query_put_i64(&q, model);
    query_put_i64(&q, n);
    query_put_i64(&q, serial);
    return query_run(&q, e);
}
