#include "storage/front.h"

#include <stdlib.h>
#include <string.h>

#include "engine/mem.h"
#include "storage/checksum.h"
#include "storage/settle.h"
#include "storage/store_journal.h"

#define FRONT_END INT64_MAX

/* More than this is flushed before more is added: a group is one row. */
#define PENDING_BYTES ((size_t)4 << 20)

/* Where a change is in its group. */
struct front_head {
    int64_t model, seq, at, bytes;
};

struct front_end {
    int64_t model, seq; /* seq 0: the place is free */
};

/* A change in a group; body and data follow. */
struct packed {
    int64_t model, seq, from, step;
    struct blob blob;
    uint64_t body_bytes, data_bytes;
    int32_t kind;
    uint32_t seal;
};

void front_close(struct front *f)
{
    mem_free(f->packed);
    mem_free(f->head);
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

/* ---- a group as it lies in the file --------------------------------------------------------- */

struct group {
    int64_t serial;
    const struct front_head *head;
    const unsigned char *rows;
    size_t heads, bytes;
    bool intact; /* its heads are */
};

static uint32_t group_seal(int64_t serial, const void *heads, size_t bytes)
{
    return checksum(checksum_i64(0, serial), heads, bytes);
}

static uint32_t end_seal(int64_t last)
{
    return checksum_i64(checksum_i64(0, FRONT_END), last);
}

/* Takes a row of serial, heads, rows, seal. */
static enum err_kind read_group(struct query *q, struct group *g, struct err *e)
{
    size_t head_bytes;
    g->serial = query_i64(q);
    g->head = query_blob(q, &head_bytes);
    g->rows = query_blob(q, &g->bytes);
    g->heads = head_bytes / sizeof *g->head;
    int64_t seal = query_i64(q);
    g->intact = seal == group_seal(g->serial, g->head, head_bytes);
    return query_check(q, e);
}

/* The change that stands at `at`; false: there cannot be one. */
static bool unpack(const struct group *g, size_t at, struct packed *p, struct store_change *c)
{
    if (at > g->bytes || g->bytes - at < sizeof *p)
        return false;
    memcpy(p, g->rows + at, sizeof *p);
    size_t left = g->bytes - at - sizeof *p;
    if (p->body_bytes > left || p->data_bytes > left - p->body_bytes)
        return false;
    const unsigned char *body = g->rows + at + sizeof *p;
    *c = (struct store_change){.seq = p->seq,
                               .from = p->from,
                               .kind = p->kind,
                               .step = p->step,
                               .body = body,
                               .body_bytes = p->body_bytes,
                               .data = p->data_bytes ? body + p->body_bytes : NULL,
                               .data_bytes = p->data_bytes};
    return p->seal == journal_seal(p->model, c, &p->blob);
}

/* A change of a group for whoever walks over them. */
typedef enum err_kind visit_packed(void *arg, const struct packed *p, const struct store_change *c,
                                   bool damaged, struct err *e);

static enum err_kind visit_by_heads(const struct group *g, visit_packed *visit, void *arg,
                                    struct err *e)
{
    enum err_kind rc = ERR_OK;
    for (size_t i = 0; !rc && i < g->heads; i++) {
        struct front_head head; /* the column need not be aligned */
        struct packed p;
        struct store_change c;
        memcpy(&head, (const unsigned char *)g->head + i * sizeof head, sizeof head);
        bool sound =
            unpack(g, (size_t)head.at, &p, &c) && p.model == head.model && p.seq == head.seq;
        if (!sound) {
            p = (struct packed){.model = head.model, .seq = head.seq};
            c = (struct store_change){.seq = head.seq};
        }
        rc = visit(arg, &p, &c, !sound, e);
    }
    return rc;
}

/* With damaged heads: each change says itself how long it is. */
static enum err_kind visit_in_order(const struct group *g, visit_packed *visit, void *arg,
                                    struct err *e)
{
    struct packed p;
    struct store_change c;
    enum err_kind rc = ERR_OK;
    for (size_t at = 0; !rc && unpack(g, at, &p, &c); at += sizeof p + p.body_bytes + p.data_bytes)
        rc = visit(arg, &p, &c, false, e);
    return rc;
}

static enum err_kind each_packed(struct db *db, visit_packed *visit, void *arg, struct err *e)
{
    struct query q;
    struct group g;
    bool row = true;
    enum err_kind rc = ERR_OK;
    query_start(&q, db,
                "SELECT serial, heads, rows, seal FROM front WHERE serial < ? ORDER BY serial");
    query_put_i64(&q, FRONT_END);
    while (!rc && !(rc = query_row(&q, &row, e)) && row)
        if (!(rc = read_group(&q, &g, e)))
            rc = g.intact ? visit_by_heads(&g, visit, arg, e) : visit_in_order(&g, visit, arg, e);
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

static enum err_kind note_packed(void *arg, const struct packed *p, const struct store_change *c,
                                 bool damaged, struct err *e)
{
    struct front *f = arg;
    (void)damaged;
    f->rows++;
    f->kept_bytes += c->body_bytes + c->data_bytes;
    return note_end(f, p->model, p->seq, e);
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
        rc = each_packed(db, note_packed, f, e);
    for (size_t i = 0; !rc && i < f->heads; i++)
        rc = note_end(f, f->head[i].model, f->head[i].seq, e);
    f->known = !rc;
    return rc;
}

/* ---- adding --------------------------------------------------------------------------------- */

struct front_mark front_mark(const struct db *db)
{
    return (struct front_mark){db->front.bytes, db->front.heads};
}

void front_undo(struct db *db, const struct front_mark *mark)
{
    struct front *f = &db->front;
    f->bytes = mark && mark->bytes < f->bytes ? mark->bytes : mark ? f->bytes : 0;
    f->heads = mark && mark->heads < f->heads ? mark->heads : mark ? f->heads : 0;
    f->known = false;
}

bool front_is_full(const struct db *db)
{
    return db->front.bytes > PENDING_BYTES;
}

/* Grows *block, of which *room elements are there and used are used, for more of them. */
static bool reserve(void *block, size_t *room, size_t used, size_t more, size_t size)
{
    void **at = block;
    if (more <= *room - used)
        return true;
    size_t wanted = 2 * (used + more);
    void *grown = mem_resize(*at, used, wanted, size);
    if (!grown)
        return false;
    *at = grown;
    *room = wanted;
    return true;
}

static void pack(struct front *f, int64_t model, const struct store_change *c,
                 const struct blob *blob)
{
    struct packed p = {.model = model,
                       .seq = c->seq,
                       .from = c->from,
                       .step = c->step,
                       .blob = *blob,
                       .body_bytes = c->body_bytes,
                       .data_bytes = blob->bytes ? 0 : c->data_bytes,
                       .kind = c->kind,
                       .seal = journal_seal(model, c, blob)};
    unsigned char *at = f->packed + f->bytes;
    memcpy(at, &p, sizeof p);
    if (p.body_bytes) /* memcpy takes no NULL, even for nothing */
        memcpy(at + sizeof p, c->body, p.body_bytes);
    if (p.data_bytes)
        memcpy(at + sizeof p + p.body_bytes, c->data, p.data_bytes);
    size_t bytes = sizeof p + p.body_bytes + p.data_bytes;
    f->head[f->heads++] = (struct front_head){model, c->seq, (int64_t)f->bytes, (int64_t)bytes};
    f->bytes += bytes;
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
    if (rc)
        return rc;
    size_t bytes = sizeof(struct packed) + c->body_bytes + c->data_bytes;
    if (!reserve(&f->packed, &f->room, f->bytes, bytes, 1) ||
        !reserve(&f->head, &f->head_room, f->heads, 1, sizeof *f->head))
        return err_set(e, ERR_NOMEM, "", "no memory for the journal");
    if ((rc = note_end(f, model, c->seq, e)))
        return rc;
    pack(f, model, c, blob);
    return ERR_OK;
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
    const struct front *f = &db->front;
    size_t head_bytes = f->heads * sizeof *f->head;
    struct query q;
    query_start(&q, db,
                "INSERT INTO front (serial, last, heads, rows, seal) VALUES (?, 0, ?, ?, ?)");
    query_put_i64(&q, serial);
    query_put_blob(&q, f->head, head_bytes);
    query_put_blob(&q, f->packed, f->bytes);
    query_put_i64(&q, group_seal(serial, f->head, head_bytes));
    return query_run(&q, e);
}

enum err_kind front_flush(struct db *db, struct err *e)
{
    struct front *f = &db->front;
    enum err_kind rc;
    if (f->heads == 0)
        return ERR_OK;
    if ((rc = know(db, e)) || (rc = insert_group(db, f->last + 1, e)) ||
        (rc = move_end(db, f->last + 1, e)))
        return rc;
    f->last++;
    f->rows += f->heads;
    f->kept_bytes += f->bytes;
    f->bytes = f->heads = 0;
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

struct of_model {
    int64_t model;
    front_visit *visit;
    void *arg;
};

static enum err_kind visit_of_model(void *arg, const struct packed *p, const struct store_change *c,
                                    bool damaged, struct err *e)
{
    const struct of_model *m = arg;
    if (p->model != m->model)
        return ERR_OK;
    struct store_change change = *c;
    if (p->blob.bytes)
        change.data_bytes = (size_t)p->blob.bytes;
    return m->visit(m->arg, &change, &p->blob, damaged, e);
}

enum err_kind front_each(struct db *db, int64_t model, front_visit *visit, void *arg, struct err *e)
{
    int64_t last;
    enum err_kind rc = front_last(db, model, &last, e);
    if (rc || last == 0)
        return rc;
    return each_packed(db, visit_of_model, &(struct of_model){model, visit, arg}, e);
}

/* ---- settling ------------------------------------------------------------------------------- */

struct of_all {
    front_visit_all *visit;
    void *arg;
};

static enum err_kind visit_of_all(void *arg, const struct packed *p, const struct store_change *c,
                                  bool damaged, struct err *e)
{
    const struct of_all *all = arg;
    return all->visit(all->arg, p->model, c, &p->blob, damaged, e);
}

enum err_kind front_each_of_all(struct db *db, front_visit_all *visit, void *arg, struct err *e)
{
    return each_packed(db, visit_of_all, &(struct of_all){visit, arg}, e);
}

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
