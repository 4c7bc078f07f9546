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

static uint32_t run_key(int64_t model, int64_t seq)
{
    return checksum_i64(checksum_i64(0, model), seq);
}

static uint32_t end_seal(int64_t model, int64_t last)
{
    return checksum_i64(run_key(model, JOURNAL_END), last);
}

/* ---- the end ------------------------------------------------------------------------------- */

struct end {
    int64_t model, last;
};

static enum err_kind write_end(struct db *db, int64_t model, int64_t last, struct err *e)
{
    struct query q;
    query_start(&q, db, "INSERT OR REPLACE INTO runs (model, seq, last, seal) VALUES (?, ?, ?, ?)");
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
    query_start(&q, db, "SELECT last, seal FROM runs WHERE model = ? AND seq = ?");
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

/* What the keys of its runs say: the number of the last change, 0: there is none. */
static enum err_kind last_run(struct db *db, int64_t model, int64_t *seq, struct err *e)
{
    struct query q;
    bool row;
    query_start(&q, db, "SELECT max(seq) FROM runs WHERE model = ? AND heads IS NOT NULL");
    query_put_i64(&q, model);
    enum err_kind rc = query_row(&q, &row, e);
    *seq = row ? query_i64(&q) : 0;
    query_end(&q);
    return rc;
}

static enum err_kind set_end(struct db *db, int64_t model, int64_t last, bool *found, struct err *e)
{
    struct query q;
    query_start(&q, db, "UPDATE runs SET last = ?, seal = ? WHERE model = ? AND seq = ?");
    query_put_i64(&q, last);
    query_put_i64(&q, end_seal(model, last));
    query_put_i64(&q, model);
    query_put_i64(&q, JOURNAL_END);
    enum err_kind rc = query_run(&q, e);
    *found = !rc && db_changes(db) == 1;
    return rc;
}

enum err_kind journal_move_end(struct db *db, int64_t model, int64_t last, int64_t *from,
                               bool *found, struct err *e)
{
    enum err_kind rc = read_end(db, model, from, e);
    bool damaged = rc == ERR_IO && atomic_load(&db->healthy); /* or there is none */
    if (damaged)
        rc = last_run(db, model, from, e);
    *found = !rc;
    if (rc || (!damaged && *from >= last))
        return rc;
    return set_end(db, model, last > *from ? last : *from, found, e);
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
                "SELECT max(seq) FROM (SELECT seq FROM runs WHERE model = ?1 AND heads IS NOT NULL"
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

/* ---- append -------------------------------------------------------------------------------- */

struct append {
    int64_t model;
    struct store_change change;
};

/* Under that key, in place of what is there. */
static enum err_kind put_run(struct db *db, int64_t model, int64_t seq, struct pack *run,
                             struct err *e)
{
    struct query q;
    query_start(&q, db,
                "INSERT OR REPLACE INTO runs (model, seq, last, heads, rows, seal)"
                " VALUES (?, ?, 0, ?, ?, ?)");
    query_put_i64(&q, model);
    query_put_i64(&q, seq);
    enum err_kind rc = pack_put(&q, run, run_key(model, seq), e);
    if (!rc)
        return query_run(&q, e);
    query_end(&q);
    return rc;
}

enum err_kind journal_insert(struct db *db, struct pack *run, struct err *e)
{
    const struct pack_head *last = &run->head[run->heads - 1];
    return put_run(db, last->model, last->seq, run, e);
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

/* ---- runs ---------------------------------------------------------------------------------- */

/* Takes a row of seq, heads, rows, seal. */
static enum err_kind each_of_run(struct query *q, int64_t model, int64_t first, int64_t *seq,
                                 pack_visit *visit, void *arg, struct err *e)
{
    *seq = query_i64(q);
    return pack_each(q, run_key(model, *seq), model, first, visit, arg, e);
}

/* ---- trim ---------------------------------------------------------------------------------- */

/* What is let go of a run, and what of it stays. */
struct trim {
    struct db *db;
    int64_t upto;
    struct pack left;
    bool cut; /* something is let go */
};

static enum err_kind trim_change(void *arg, const struct packed *p, struct err *e)
{
    struct trim *t = arg;
    t->cut = t->cut || p->change.seq <= t->upto;
    if (p->change.seq > t->upto)
        return pack_copy(&t->left, p->model, p->change.seq, p->at, p->bytes)
                   ? ERR_OK
                   : err_set(e, ERR_NOMEM, "", "no memory to trim the journal");
    /* what a damaged one owned: see the header */
    return p->damaged || p->blob.bytes == 0 ? ERR_OK : blob_drop(t->db, &p->blob, e);
}

/* Drops what the changes up to upto own. The run that has the last of them, and more, stays with
 * what is behind them. */
static enum err_kind trim_runs(struct trim *t, int64_t model, struct err *e)
{
    struct query q;
    int64_t seq = 0;
    bool row = true;
    enum err_kind rc = ERR_OK;
    query_start(
        &q, t->db,
        "SELECT seq, heads, rows, seal FROM runs WHERE model = ?1 AND seq < ?3 AND seq <="
        " (SELECT coalesce(min(seq), ?3) FROM runs WHERE model = ?1 AND seq >= ?2) ORDER BY seq");
    query_put_i64(&q, model);
    query_put_i64(&q, t->upto);
    query_put_i64(&q, JOURNAL_END);
    while (!rc && !(rc = query_row(&q, &row, e)) && row) {
        pack_clear(&t->left);
        t->cut = false;
        rc = each_of_run(&q, model, 0, &seq, trim_change, t, e);
    }
    query_end(&q);
    return !rc && seq > t->upto && t->cut ? put_run(t->db, model, seq, &t->left, e) : rc;
}

static enum err_kind delete_runs(struct db *db, int64_t model, int64_t upto, struct err *e)
{
    struct query q;
    query_start(&q, db, "DELETE FROM runs WHERE model = ? AND seq <= ?");
    query_put_i64(&q, model);
    query_put_i64(&q, upto);
    return query_run(&q, e);
}

enum err_kind journal_trim(struct db *db, int64_t model, int64_t upto, struct err *e)
{
    int64_t in_front;
    struct trim t = {.db = db, .upto = upto};
    enum err_kind rc = front_last(db, model, &in_front, e);
    if (!rc && in_front)
        rc = settle_all(db, e);
    if (!rc)
        rc = trim_runs(&t, model, e);
    pack_close(&t.left);
    return rc ? rc : delete_runs(db, model, upto, e);
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

struct loading {
    struct db *db;
    struct walk *walk;
};

/* The next one, or one that is not wanted. */
static enum err_kind load_packed(void *arg, const struct packed *p, struct err *e)
{
    const struct loading *l = arg;
    struct walk *w = l->walk;
    int64_t seq = p->change.seq, next = w->count ? w->change[w->count - 1].seq + 1 : w->next;
    if (seq < next || seq > w->last)
        return ERR_OK;
    w->more = w->more || !has_room(w);
    if (w->more)
        return ERR_OK;
    if (p->damaged)
        return err_set(e, ERR_IO, "", "change %lld is damaged", (long long)seq);
    return load_change(l->db, w, &p->change, &p->blob, e);
}

static enum err_kind load_settled(struct loading *l, struct err *e)
{
    struct query q;
    struct walk *w = l->walk;
    int64_t seq = 0;
    bool row = true;
    enum err_kind rc = ERR_OK;
    query_start(&q, l->db,
                "SELECT seq, heads, rows, seal FROM runs WHERE model = ? AND seq >= ? AND seq < ?"
                " ORDER BY seq");
    query_put_i64(&q, w->model);
    query_put_i64(&q, w->next);
    query_put_i64(&q, JOURNAL_END);
    while (!rc && !w->more && seq < w->last && !(rc = query_row(&q, &row, e)) && row)
        rc = each_of_run(&q, w->model, w->next, &seq, load_packed, l, e);
    query_end(&q);
    return rc;
}

static enum err_kind load_some(struct db *db, void *arg, struct err *e)
{
    struct walk *w = arg;
    struct loading l = {db, w};
    w->count = w->bytes = 0;
    w->more = false;
    arena_reset(&w->arena);
    enum err_kind rc = load_settled(&l, e);
    if (!rc && !w->more)
        rc = front_each(db, w->model, w->next, load_packed, &l, e);
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

static enum err_kind add_packed(void *arg, const struct packed *p, struct err *e)
{
    struct places *all = arg;
    const struct store_change *c = &p->change;
    struct store_place place = {
        .seq = c->seq, .step = c->step, .from = c->from, .kind = c->kind, .is_change = true};
    bool listed = all->count > 0 && all->place[all->count - 1].seq >= c->seq; /* half settled */
    return p->damaged || listed ? ERR_OK : add_place(all, &place, e);
}

static enum err_kind list_changes(struct db *db, struct places *p, struct err *e)
{
    struct query q;
    int64_t seq;
    bool row = true;
    enum err_kind rc = ERR_OK;
    query_start(&q, db,
                "SELECT seq, heads, rows, seal FROM runs WHERE model = ? AND seq < ? ORDER BY seq");
    query_put_i64(&q, p->model);
    query_put_i64(&q, JOURNAL_END);
    while (!rc && !(rc = query_row(&q, &row, e)) && row)
        rc = each_of_run(&q, p->model, 0, &seq, add_packed, p, e);
    query_end(&q);
    return rc ? rc : front_each(db, p->model, 0, add_packed, p, e);
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
