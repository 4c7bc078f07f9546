#include "storage/front.h"

#include <stdlib.h>
#include <string.h>

#include "engine/mem.h"
#include "storage/checksum.h"
#include "storage/pack.h"
#include "storage/settle.h"
#include "storage/store_journal.h"

#define FRONT_END INT64_MAX

/* More than this is flushed before more is added: a group is one row. */
#define PENDING_BYTES ((size_t)4 << 20)

struct front_end {
    int64_t model, seq; /* seq 0: the place is free */
};

void front_close(struct front *f)
{
    pack_close(&f->fresh);
    mem_free(f->end);
    *f = (struct front){0};
}

/* ---- the ends: a hash table ---------------------------------------------------------------- */

static struct front_end *find_end(const struct front *f, int64_t model)
{
    size_t i = (uint64_t)model * UINT64_C(0x9e3779b97f4a7c15) % f->end_room;
    while (f->end[i].seq != 0 && f->end[i].model != model)
        i = (i + 1) % f->end_room;
    return &f->end[i];
}

static enum err_kind grow_ends(struct front *f, struct err *e)
{
    struct front old = *f;
    if (f->ends * 2 < f->end_room)
        return ERR_OK;
    f->end_room = old.end_room ? 2 * old.end_room : 64;
    f->end = mem_array(f->end_room, sizeof *f->end);
    if (!f->end) {
        *f = old;
        return err_set(e, ERR_NOMEM, "", "no memory for the journal");
    }
    for (size_t i = 0; i < old.end_room; i++)
        if (old.end[i].seq)
            *find_end(f, old.end[i].model) = old.end[i];
    mem_free(old.end);
    return ERR_OK;
}

static enum err_kind note_end(struct front *f, int64_t model, int64_t seq, struct err *e)
{
    enum err_kind rc = grow_ends(f, e);
    if (rc)
        return rc;
    struct front_end *end = find_end(f, model);
    f->ends += end->seq == 0;
    if (end->seq < seq)
        *end = (struct front_end){model, seq};
    return ERR_OK;
}

static void forget_ends(struct front *f)
{
    if (f->end)
        memset(f->end, 0, f->end_room * sizeof *f->end);
    f->ends = 0;
}

static uint32_t end_seal(int64_t last)
{
    return checksum_i64(checksum_i64(0, FRONT_END), last);
}

/* *key: of the next group, *row false: there is none. */
static enum err_kind next_group(struct query *q, bool *row, uint32_t *key, struct err *e)
{
    enum err_kind rc = query_row(q, row, e);
    *key = !rc && *row ? checksum_i64(0, query_i64(q)) : 0;
    return rc;
}

static void start_groups(struct query *q, struct db *db)
{
    query_start(q, db,
                "SELECT serial, heads, rows, seal FROM front WHERE serial < ? ORDER BY serial");
    query_put_i64(q, FRONT_END);
}

enum err_kind front_each_of_all(struct db *db, pack_visit *visit, void *arg, struct err *e)
{
    struct query q;
    uint32_t key;
    bool row = true;
    enum err_kind rc = ERR_OK;
    start_groups(&q, db);
    while (!rc && !(rc = next_group(&q, &row, &key, e)) && row)
        rc = pack_each_unread(&q, key, visit, arg, e);
    query_end(&q);
    return rc;
}

/* ---- what the file has ---------------------------------------------------------------------- */

static enum err_kind read_last(struct db *db, int64_t *last, struct err *e)
{
    struct query q;
    bool row;
    query_start(&q, db, "SELECT last, seal FROM front WHERE serial = ?");
    query_put_i64(&q, FRONT_END);
    enum err_kind rc = query_row(&q, &row, e);
    *last = row ? query_i64(&q) : 0;
    bool sound = row && query_i64(&q) == end_seal(*last);
    query_end(&q);
    return rc || sound ? rc : err_set(e, ERR_IO, "", "the end of the journal's front is damaged");
}

static enum err_kind note_packed(void *arg, const struct packed *p, struct err *e)
{
    struct front *f = arg;
    f->rows++;
    f->kept_bytes += p->bytes;
    return note_end(f, p->model, p->change.seq, e);
}

/* The file's part anew, and over it what is added and not written yet. */
static enum err_kind know(struct db *db, struct err *e)
{
    struct front *f = &db->front;
    if (f->known)
        return ERR_OK;
    forget_ends(f);
    f->rows = f->kept_bytes = 0;
    enum err_kind rc = read_last(db, &f->last, e);
    if (!rc)
        rc = front_each_of_all(db, note_packed, f, e);
    for (size_t i = 0; !rc && i < f->fresh.heads; i++)
        rc = note_end(f, f->fresh.head[i].model, f->fresh.head[i].seq, e);
    f->known = !rc;
    return rc;
}

/* ---- adding --------------------------------------------------------------------------------- */

struct front_mark front_mark(const struct db *db)
{
    return (struct front_mark){db->front.fresh.bytes, db->front.fresh.heads};
}

void front_undo(struct db *db, const struct front_mark *mark)
{
    struct pack *p = &db->front.fresh;
    p->bytes = mark && mark->bytes < p->bytes ? mark->bytes : mark ? p->bytes : 0;
    p->heads = mark && mark->heads < p->heads ? mark->heads : mark ? p->heads : 0;
    db->front.known = false;
}

bool front_is_full(const struct db *db)
{
    return db->front.fresh.bytes > PENDING_BYTES;
}

static enum err_kind check_next(struct db *db, int64_t model, const struct store_change *c,
                                struct err *e)
{
    int64_t last;
    enum err_kind rc = front_last(db, model, &last, e);
    if (!rc && last == 0)
        rc = journal_find_end(db, model, c, &last, e);
    if (!rc && c->seq != last + 1)
        rc = err_set(e, ERR_UNAVAILABLE, "", "an earlier change was not kept");
    return rc;
}

enum err_kind front_append(struct db *db, int64_t model, const struct store_change *c,
                           const struct blob *blob, struct err *e)
{
    struct front *f = &db->front;
    enum err_kind rc = check_next(db, model, c, e);
    if (rc || (rc = note_end(f, model, c->seq, e)))
        return rc;
    return pack_add(&f->fresh, model, c, blob)
               ? ERR_OK
               : err_set(e, ERR_NOMEM, "", "no memory for the journal");
}

static enum err_kind move_end(struct db *db, int64_t last, struct err *e)
{
    struct query q;
    query_start(&q, db, "UPDATE front SET last = ?, seal = ? WHERE serial = ?");
    query_put_i64(&q, last);
    query_put_i64(&q, end_seal(last));
    query_put_i64(&q, FRONT_END);
    return query_run(&q, e);
}

static enum err_kind insert_group(struct db *db, int64_t serial, struct err *e)
{
    struct query q;
    query_start(&q, db,
                "INSERT INTO front (serial, last, heads, rows, seal) VALUES (?, 0, ?, ?, ?)");
    query_put_i64(&q, serial);
    enum err_kind rc = pack_put(&q, &db->front.fresh, checksum_i64(0, serial), e);
    if (!rc)
        return query_run(&q, e);
    query_end(&q);
    return rc;
}

enum err_kind front_flush(struct db *db, struct err *e)
{
    struct front *f = &db->front;
    enum err_kind rc;
    if (f->fresh.heads == 0)
        return ERR_OK;
    if ((rc = know(db, e)) || (rc = insert_group(db, f->last + 1, e)) ||
        (rc = move_end(db, f->last + 1, e)))
        return rc;
    f->last++;
    f->rows += f->fresh.heads;
    f->kept_bytes += f->fresh.bytes;
    pack_clear(&f->fresh);
    return ERR_OK;
}

/* ---- reading -------------------------------------------------------------------------------- */

enum err_kind front_last(struct db *db, int64_t model, int64_t *seq, struct err *e)
{
    const struct front *f = &db->front;
    enum err_kind rc = know(db, e);
    *seq = !rc && f->end_room ? find_end(f, model)->seq : 0;
    return rc;
}

enum err_kind front_each(struct db *db, int64_t model, int64_t first, pack_visit *visit, void *arg,
                         struct err *e)
{
    struct query q;
    uint32_t key;
    int64_t last;
    bool row = true;
    enum err_kind rc = front_last(db, model, &last, e);
    if (rc || last < first || last == 0)
        return rc;
    start_groups(&q, db);
    while (!rc && !(rc = next_group(&q, &row, &key, e)) && row)
        rc = pack_each(&q, key, model, first, visit, arg, e);
    query_end(&q);
    return rc;
}

/* ---- settling ------------------------------------------------------------------------------- */

enum err_kind front_count(struct db *db, size_t *rows, int64_t *last_group, struct err *e)
{
    enum err_kind rc = know(db, e);
    *rows = rc ? 0 : db->front.rows;
    *last_group = rc ? 0 : db->front.last;
    return rc;
}

enum err_kind front_drop(struct db *db, int64_t upto, struct err *e)
{
    struct query q;
    query_start(&q, db, "DELETE FROM front WHERE serial <= ? AND serial < ?");
    query_put_i64(&q, upto);
    query_put_i64(&q, FRONT_END);
    db->front.known = false;
    return query_run(&q, e);
}

/* ---- the file ------------------------------------------------------------------------------- */

enum err_kind front_begin(struct db *db, struct err *e)
{
    struct query q;
    query_start(&q, db, "INSERT INTO front (serial, last, seal) VALUES (?, 0, ?)");
    query_put_i64(&q, FRONT_END);
    query_put_i64(&q, end_seal(0));
    return query_run(&q, e);
}

enum err_kind front_open(struct db *db, struct err *e)
{
    int64_t last, groups, first;
    struct err full;
    enum err_kind rc = read_last(db, &last, e);
    if (!rc)
        rc = db_number(db, "SELECT count(*) - 1 FROM front", &groups, e);
    if (!rc)
        rc = db_number(db, "SELECT min(serial) FROM front", &first, e);
    if (rc || groups == 0)
        return rc;
    /* of one with a damaged number the changes are still there */
    if (last < groups || (first <= last && first + groups - 1 != last))
        return err_set(e, ERR_IO, "", "changes are missing from the journal's front");
    rc = settle_now(db, &full);
    if (rc && rc != ERR_FULL)
        *e = full;
    return rc == ERR_FULL ? ERR_OK : rc;
}
