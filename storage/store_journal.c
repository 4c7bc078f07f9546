#include "storage/store_journal.h"

#include <string.h>

#include "engine/mem.h"
#include "storage/blob.h"
#include "storage/checksum.h"
#include "storage/front.h"
#include "storage/record.h"
#include "storage/settle.h"
#include "storage/store_model.h"
#include "storage/writer.h"

/* Data up to this size stands in the change's own row. */
#define INLINE_BYTES ((size_t)16 << 10)

#define CHANGE_COLUMNS "seq, prior, kind, step, body, data, first_chunk, bytes, digest, seal"

uint32_t journal_seal(int64_t model, const struct store_change *c, const struct blob *blob)
{
    uint32_t seal = checksum_i64(0, model);
    seal = checksum_i64(seal, c->seq);
    seal = checksum_i64(seal, c->from);
    seal = checksum_i64(seal, c->kind);
    seal = checksum_i64(seal, c->step);
    seal = checksum_i64(seal, (int64_t)c->body_bytes);
    seal = checksum(seal, c->body, c->body_bytes);
    if (blob->bytes)
        return blob_seal(seal, blob);
    seal = checksum_i64(seal, (int64_t)c->data_bytes);
    return checksum(seal, c->data, c->data_bytes);
}

static uint32_t end_seal(int64_t model, int64_t last)
{
    return checksum_i64(checksum_i64(checksum_i64(0, model), JOURNAL_END), last);
}

/* ---- the end ------------------------------------------------------------------------------- */

struct end {
    int64_t model, last;
};

static enum err_kind write_end(struct db *db, int64_t model, int64_t last, struct err *e)
{
    struct query q;
    query_start(&q, db,
                "INSERT OR REPLACE INTO journal (model, seq, prior, kind, step, first_chunk, bytes,"
                " digest, seal) VALUES (?, ?, 0, 0, ?, 0, 0, 0, ?)");
    query_put_i64(&q, model);
    query_put_i64(&q, JOURNAL_END);
    query_put_i64(&q, last);
    query_put_i64(&q, end_seal(model, last));
    return query_run(&q, e);
}

enum err_kind journal_begin(struct db *db, int64_t model, struct err *e)
{
    return write_end(db, model, 0, e);
}

static enum err_kind read_end(struct db *db, int64_t model, int64_t *last, struct err *e)
{
    struct query q;
    bool row;
    query_start(&q, db, "SELECT step, seal FROM journal WHERE model = ? AND seq = ?");
    query_put_i64(&q, model);
    query_put_i64(&q, JOURNAL_END);
    enum err_kind rc = query_row(&q, &row, e);
    *last = row ? query_i64(&q) : 0;
    bool intact = row && query_i64(&q) == end_seal(model, *last);
    query_end(&q);
    if (!rc && !intact)
        rc = model_damaged(db, model, e, "the end of its journal is damaged");
    return rc;
}

enum err_kind journal_find_end(struct db *db, int64_t model, const struct store_change *c,
                               int64_t *last, struct err *e)
{
    struct tally tally;
    enum err_kind rc = read_end(db, model, last, e);
    if (rc != ERR_IO || !atomic_load(&db->healthy))
        return rc;
    if (tally_read(db, model, &tally, e) == ERR_NOT_FOUND)
        return e->kind;
    if (!c->mends)
        return read_end(db, model, last, e);
    *last = c->seq - 1;
    return write_end(db, model, *last, e);
}

enum err_kind journal_check_last(struct db *db, int64_t model, int64_t seq, struct err *e)
{
    int64_t last;
    enum err_kind rc = front_last(db, model, &last, e);
    if (!rc && last == 0)
        rc = read_end(db, model, &last, e);
    if (rc == ERR_IO && atomic_load(&db->healthy))
        return ERR_OK;
    return rc || last == seq ? rc
                             : err_set(e, ERR_UNAVAILABLE, "", "an earlier change was not kept");
}

static enum err_kind apply_require(struct db *db, void *arg, struct err *e)
{
    const struct end *a = arg;
    return journal_check_last(db, a->model, a->last, e);
}

void store_require_change(struct store_txn *txn, int64_t model, int64_t seq)
{
    struct end *a = txn_add(txn, apply_require, sizeof *a);
    if (a)
        *a = (struct end){model, seq};
}

enum err_kind journal_move_end(struct db *db, int64_t model, int64_t last, int64_t *from,
                               bool *found, struct err *e)
{
    struct query q;
    enum err_kind rc = read_end(db, model, from, e);
    bool known = !rc;
    *found = known;
    if (rc == ERR_IO && atomic_load(&db->healthy))
        rc = ERR_OK; /* there is none, or it is damaged and mended here */
    *from = known ? *from : 0;
    if (rc || *from >= last)
        return rc;
    query_start(&q, db, "UPDATE journal SET step = ?, seal = ? WHERE model = ? AND seq = ?");
    query_put_i64(&q, last);
    query_put_i64(&q, end_seal(model, last));
    query_put_i64(&q, model);
    query_put_i64(&q, JOURNAL_END);
    rc = query_run(&q, e);
    *found = !rc && db_changes(db) == 1;
    return rc;
}

static enum err_kind find_end(struct db *db, void *arg, struct err *e)
{
    struct end *a = arg;
    struct query q;
    struct err ignored;
    bool row;
    enum err_kind rc = front_last(db, a->model, &a->last, e);
    if (rc || a->last)
        return rc;
    rc = read_end(db, a->model, &a->last, e);
    if (rc != ERR_IO)
        return rc;
    /* a checkpoint may be of a change that is lost, whose number is not to be used again */
    query_start(&q, db,
                "SELECT max(seq) FROM (SELECT seq FROM journal WHERE model = ?1 AND kind > 0"
                " UNION ALL SELECT seq FROM checkpoints WHERE model = ?1)");
    query_put_i64(&q, a->model);
    a->last = !query_row(&q, &row, &ignored) && row ? query_i64(&q) : 0;
    query_end(&q);
    return rc;
}

enum err_kind store_last_change(struct store *s, int64_t model, int64_t *seq, struct err *e)
{
    struct end a = {.model = model};
    enum err_kind rc = store_read(s, find_end, &a, e);
    *seq = a.last;
    return rc;
}

enum err_kind journal_begin_all(struct db *db, struct err *e)
{
    struct query q;
    bool row = true;
    enum err_kind rc = ERR_OK;
    query_start(&q, db, "SELECT key FROM models");
    while (!rc && !(rc = query_row(&q, &row, e)) && row)
        rc = journal_begin(db, query_i64(&q), e);
    query_end(&q);
    return rc ? rc : front_begin(db, e);
}

/* ---- append -------------------------------------------------------------------------------- */

struct append {
    int64_t model;
    struct store_change change;
};

enum err_kind journal_insert(struct db *db, int64_t model, const struct store_change *c,
                             const struct blob *blob, struct err *e)
{
    struct query q;
    query_start(&q, db,
                "INSERT OR REPLACE INTO journal (model, " CHANGE_COLUMNS
                ") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)");
    query_put_i64(&q, model);
    query_put_i64(&q, c->seq);
    query_put_i64(&q, c->from);
    query_put_i64(&q, c->kind);
    query_put_i64(&q, c->step);
    query_put_blob(&q, c->body, c->body_bytes);
    query_put_blob(&q, blob->bytes ? NULL : c->data, blob->bytes ? 0 : c->data_bytes);
    blob_put(&q, blob);
    query_put_i64(&q, journal_seal(model, c, blob));
    return query_run(&q, e);
}

static enum err_kind apply_append(struct db *db, void *arg, struct err *e)
{
    const struct append *a = arg;
    struct blob blob = {0};
    enum err_kind rc = ERR_OK;
    if (a->change.data_bytes > INLINE_BYTES)
        rc = blob_write(db, a->change.data, a->change.data_bytes, &blob, e);
    return rc ? rc : front_append(db, a->model, &a->change, &blob, e);
}

void store_append_change(struct store_txn *txn, int64_t model, const struct store_change *change)
{
    bool plain = change->data_bytes <= INLINE_BYTES;
    struct append *a =
        plain ? txn_add_plain(txn, apply_append, sizeof *a) : txn_add(txn, apply_append, sizeof *a);
    if (a)
        *a = (struct append){model, *change};
}

/* ---- a row --------------------------------------------------------------------------------- */

/* Takes a row of CHANGE_COLUMNS; body and data are the query's, data NULL if it is a blob.
 * IO: the row is damaged. */
static enum err_kind read_row(struct query *q, int64_t model, struct store_change *c,
                              struct blob *blob, struct err *e)
{
    c->seq = query_i64(q);
    c->from = query_i64(q);
    c->kind = (int)query_i64(q);
    c->step = query_i64(q);
    c->body = query_blob(q, &c->body_bytes);
    c->data = query_blob(q, &c->data_bytes);
    *blob = blob_get(q);
    int64_t seal = query_i64(q);
    enum err_kind rc = query_check(q, e);
    if (!rc && seal != journal_seal(model, c, blob))
        rc = err_set(e, ERR_IO, "", "change %lld is damaged", (long long)c->seq);
    if (!rc && blob->bytes)
        c->data_bytes = (size_t)blob->bytes;
    return rc;
}

/* ---- trim ---------------------------------------------------------------------------------- */

static enum err_kind drop_blobs(struct db *db, int64_t model, int64_t upto, struct err *e)
{
    struct query q;
    struct store_change c;
    struct blob blob;
    bool row = true;
    enum err_kind rc = ERR_OK;
    query_start(&q, db,
                "SELECT " CHANGE_COLUMNS
                " FROM journal WHERE model = ? AND seq <= ? AND bytes > 0");
    query_put_i64(&q, model);
    query_put_i64(&q, upto);
    while (!rc && !(rc = query_row(&q, &row, e)) && row) {
        if (!(rc = read_row(&q, model, &c, &blob, e)))
            rc = blob_drop(db, &blob, e);
        else if (rc == ERR_IO)
            rc = ERR_OK; /* a damaged row: see the header */
    }
    query_end(&q);
    return rc;
}

static enum err_kind delete_rows(struct db *db, int64_t model, int64_t upto, struct err *e)
{
    struct query q;
    query_start(&q, db, "DELETE FROM journal WHERE model = ? AND seq <= ?");
    query_put_i64(&q, model);
    query_put_i64(&q, upto);
    return query_run(&q, e);
}

enum err_kind journal_trim(struct db *db, int64_t model, int64_t upto, struct err *e)
{
    int64_t in_front;
    enum err_kind rc = front_last(db, model, &in_front, e);
    if (!rc && in_front)
        rc = settle_all(db, e);
    if (!rc)
        rc = drop_blobs(db, model, upto, e);
    return rc ? rc : delete_rows(db, model, upto, e);
}

enum err_kind journal_drop(struct db *db, int64_t model, struct err *e)
{
    return journal_trim(db, model, JOURNAL_END, e);
}

/* ---- the walk ------------------------------------------------------------------------------ */

/* So many changes, or so many bytes of them, are loaded at a time. */
#define WALK_CHANGES 256
#define WALK_BYTES   ((size_t)1 << 20)

struct walk {
    int64_t model, next, last;
    struct arena arena; /* of what the changes point to */
    struct store_change change[WALK_CHANGES];
    size_t count, bytes;
    bool more;      /* there may be changes behind these */
    struct err why; /* the next one is damaged, if its kind is not OK */
};

static enum err_kind copy(struct arena *arena, const void **data, size_t bytes, struct err *e)
{
    void *to = arena_alloc(arena, bytes);
    if (!to)
        return err_set(e, ERR_NOMEM, "", "no memory for a change");
    if (bytes)
        memcpy(to, *data, bytes);
    *data = to;
    return ERR_OK;
}

static enum err_kind copy_blob(struct db *db, struct arena *arena, const struct blob *blob,
                               const void **data, struct err *e)
{
    void *loaded;
    enum err_kind rc = blob_read(db, blob, &loaded, e);
    if (rc)
        return rc;
    *data = loaded;
    rc = copy(arena, data, (size_t)blob->bytes, e);
    mem_free(loaded);
    return rc;
}

/* Copies a change, and what is in its blob. */
static enum err_kind load_change(struct db *db, struct walk *w, const struct store_change *from,
                                 const struct blob *blob, struct err *e)
{
    struct store_change *c = &w->change[w->count];
    *c = *from;
    enum err_kind rc = copy(&w->arena, &c->body, c->body_bytes, e);
    if (!rc)
        rc = blob->bytes ? copy_blob(db, &w->arena, blob, &c->data, e)
                         : copy(&w->arena, &c->data, c->data_bytes, e);
    w->count += !rc;
    w->bytes += c->body_bytes + c->data_bytes;
    return rc;
}

static bool has_room(const struct walk *w)
{
    return w->count < WALK_CHANGES && w->bytes < WALK_BYTES;
}

static enum err_kind load_settled(struct db *db, struct walk *w, struct err *e)
{
    struct query q;
    struct store_change c;
    struct blob blob;
    bool row = true;
    enum err_kind rc = ERR_OK;
    query_start(&q, db,
                "SELECT " CHANGE_COLUMNS " FROM journal WHERE model = ? AND seq BETWEEN ? AND ?"
                " ORDER BY seq");
    query_put_i64(&q, w->model);
    query_put_i64(&q, w->next);
    query_put_i64(&q, w->last);
    while (!rc && has_room(w) && !(rc = query_row(&q, &row, e)) && row)
        if (!(rc = read_row(&q, w->model, &c, &blob, e)))
            rc = load_change(db, w, &c, &blob, e);
    query_end(&q);
    w->more = !rc && row;
    return rc;
}

struct from_front {
    struct db *db;
    struct walk *walk;
};

static enum err_kind load_fresh(void *arg, const struct store_change *c, const struct blob *blob,
                                bool damaged, struct err *e)
{
    struct walk *w = ((struct from_front *)arg)->walk;
    int64_t next = w->count ? w->change[w->count - 1].seq + 1 : w->next;
    if (c->seq < next || c->seq > w->last)
        return ERR_OK;
    w->more = w->more || !has_room(w);
    if (w->more)
        return ERR_OK;
    if (damaged)
        return err_set(e, ERR_IO, "", "change %lld is damaged", (long long)c->seq);
    return load_change(((struct from_front *)arg)->db, w, c, blob, e);
}

static enum err_kind load_some(struct db *db, void *arg, struct err *e)
{
    struct walk *w = arg;
    w->count = w->bytes = 0;
    arena_reset(&w->arena);
    enum err_kind rc = load_settled(db, w, e);
    if (!rc && !w->more)
        rc = front_each(db, w->model, load_fresh, &(struct from_front){db, w}, e);
    if (rc == ERR_IO && atomic_load(&db->healthy)) { /* what is before it is still sound */
        model_wrap(db, w->model, e, "its journal");
        w->why = *e;
        return ERR_OK;
    }
    return rc;
}

enum err_kind store_each_change(struct store *s, int64_t model, int64_t first, int64_t last,
                                store_visit_change *visit, void *arg, struct err *e)
{
    struct walk *w = mem_array(1, sizeof *w);
    enum err_kind rc = ERR_OK;
    if (!w)
        return err_set(e, ERR_NOMEM, "", "no memory for the journal");
    w->model = model;
    w->next = first;
    w->last = last < JOURNAL_END ? last : JOURNAL_END - 1;
    bool more = true;
    while (!rc && more && !(rc = store_read(s, load_some, w, e))) {
        for (size_t i = 0; more && i < w->count; i++) {
            w->next = w->change[i].seq + 1;
            more = visit(arg, &w->change[i]);
        }
        if (more && w->why.kind) {
            *e = w->why;
            rc = e->kind;
        }
        more = more && w->more;
    }
    arena_close(&w->arena);
    mem_free(w);
    return rc;
}

/* ---- places -------------------------------------------------------------------------------- */

struct places {
    int64_t model;
    struct store_place *place;
    size_t count, room;
};

static enum err_kind add_place(struct places *p, const struct store_place *place, struct err *e)
{
    if (p->count == p->room) {
        size_t room = p->room ? 2 * p->room : 64;
        struct store_place *more = mem_resize(p->place, p->count, room, sizeof *more);
        if (!more)
            return err_set(e, ERR_NOMEM, "", "no memory for the model's past");
        p->place = more;
        p->room = room;
    }
    p->place[p->count++] = *place;
    return ERR_OK;
}

static enum err_kind list_changes(struct db *db, struct places *p, struct err *e)
{
    struct query q;
    struct blob blob;
    struct store_change c;
    struct err why;
    bool row = true;
    enum err_kind rc = ERR_OK;
    query_start(&q, db,
                "SELECT " CHANGE_COLUMNS " FROM journal WHERE model = ? AND seq < ? ORDER BY seq");
    query_put_i64(&q, p->model);
    query_put_i64(&q, JOURNAL_END);
    while (!rc && !(rc = query_row(&q, &row, e)) && row) {
        enum err_kind damaged = read_row(&q, p->model, &c, &blob, &why);
        struct store_place place = {
            .seq = c.seq, .step = c.step, .from = c.from, .kind = c.kind, .is_change = true};
        if (!damaged)
            rc = add_place(p, &place, e);
        else if (damaged != ERR_IO) {
            *e = why;
            rc = damaged;
        }
    }
    query_end(&q);
    return rc;
}

static enum err_kind add_fresh(void *arg, const struct store_change *c, const struct blob *blob,
                               bool damaged, struct err *e)
{
    (void)blob;
    struct places *p = arg;
    struct store_place place = {
        .seq = c->seq, .step = c->step, .from = c->from, .kind = c->kind, .is_change = true};
    bool listed = p->count > 0 && p->place[p->count - 1].seq >= c->seq; /* half settled */
    return damaged || listed ? ERR_OK : add_place(p, &place, e);
}

static enum err_kind list_checkpoints(struct db *db, struct places *p, struct err *e)
{
    struct query q;
    struct record r;
    bool row = true;
    enum err_kind rc = ERR_OK;
    query_start(&q, db,
                "SELECT n, serial FROM checkpoints WHERE model = ? ORDER BY seq, n, serial");
    query_put_i64(&q, p->model);
    while (!rc && !(rc = query_row(&q, &row, e)) && row) {
        int64_t n = query_i64(&q), serial = query_i64(&q);
        rc = record_read(db, p->model, n, serial, &r, e);
        struct store_place place = {.seq = r.c.seq, .step = r.c.step, .n = n, .serial = serial};
        store_checkpoint_close(&r.c);
        if (!rc)
            rc = add_place(p, &place, e);
        else if (rc == ERR_IO && atomic_load(&db->healthy))
            rc = ERR_OK;
    }
    query_end(&q);
    return rc;
}

static enum err_kind list_places(struct db *db, void *arg, struct err *e)
{
    struct places *p = arg;
    enum err_kind rc = list_changes(db, p, e);
    if (!rc)
        rc = front_each(db, p->model, add_fresh, p, e);
    return rc ? rc : list_checkpoints(db, p, e);
}

enum err_kind store_list_places(struct store *s, int64_t model, struct store_place **out,
                                size_t *count, struct err *e)
{
    struct places p = {.model = model};
    enum err_kind rc = store_read(s, list_places, &p, e);
    if (rc)
        mem_free(p.place);
    *out = rc ? NULL : p.place;
    *count = rc ? 0 : p.count;
    return rc;
}
