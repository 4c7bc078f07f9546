#include "storage/settle.h"

#include <stdlib.h>
#include <string.h>

#include "engine/mem.h"
#include "storage/front.h"
#include "storage/store_journal.h"

/* So many changes, or bytes of them, are settled … */
#define DUE_ROWS  4096
#define DUE_BYTES ((size_t)2 << 20)
/* … so many at a time: about half a millisecond. */
#define SLICE_ROWS  1024
#define SLICE_BYTES ((size_t)256 << 10)

/* The changes of the groups up to one, in the order of their places. */
struct settling {
    struct arena arena; /* of what they point to */
    struct settled {
        int64_t model, seq;
        const void *at;
        size_t bytes;
    } * row;
    size_t rows, room;
    struct pack run;    /* that is being put together */
    size_t done;        /* have their places */
    int64_t last_group; /* that they were in */
};

void settle_stop(struct db *db)
{
    struct settling *s = db->front.settling;
    if (!s)
        return;
    arena_close(&s->arena);
    pack_close(&s->run);
    mem_free(s->row);
    mem_free(s);
    db->front.settling = NULL;
}

static bool has_room(struct settling *s)
{
    if (s->rows < s->room)
        return true;
    size_t room = s->room ? 2 * s->room : DUE_ROWS;
    struct settled *grown = mem_resize(s->row, s->rows, room, sizeof *grown);
    if (!grown)
        return false;
    s->row = grown;
    s->room = room;
    return true;
}

static enum err_kind no_memory(struct err *e)
{
    return err_set(e, ERR_NOMEM, "", "no memory to settle the journal");
}

static enum err_kind collect(void *arg, const struct packed *p, struct err *e)
{
    struct settling *s = arg;
    unsigned char *copy = arena_alloc(&s->arena, p->bytes);
    if (!copy || !has_room(s))
        return no_memory(e);
    if (p->bytes)
        memcpy(copy, p->at, p->bytes);
    s->row[s->rows++] = (struct settled){p->model, p->change.seq, copy, p->bytes};
    return ERR_OK;
}

static int by_place(const void *a, const void *b)
{
    const struct settled *x = a, *y = b;
    if (x->model != y->model)
        return x->model < y->model ? -1 : 1;
    return x->seq < y->seq ? -1 : x->seq > y->seq;
}

/* A new `settling`. */
static enum err_kind start(struct db *db, int64_t last_group, struct err *e)
{
    struct settling *s = db->front.settling = mem_array(1, sizeof *s);
    if (!s)
        return no_memory(e);
    s->last_group = last_group;
    enum err_kind rc = front_each_of_all(db, collect, s, e);
    if (s->rows) /* qsort takes no NULL, even for nothing */
        qsort(s->row, s->rows, sizeof *s->row, by_place);
    return rc;
}

/* The changes of one model, rows[0..count). Those of a deleted one are dropped, and those that a
 * crash found in their places stay there. */
static enum err_kind settle_model(struct db *db, const struct settled *row, size_t count,
                                  struct err *e)
{
    int64_t from;
    bool found, room = true;
    struct pack *run = &db->front.settling->run;
    enum err_kind rc = journal_move_end(db, row->model, row[count - 1].seq, &from, &found, e);
    pack_clear(run);
    for (size_t i = 0; room && i < count; i++)
        if (row[i].seq > from)
            room = pack_copy(run, row[i].model, row[i].seq, row[i].at, row[i].bytes);
    if (!rc && !room)
        rc = no_memory(e);
    return rc || !found || run->heads == 0 ? rc : journal_insert(db, run, e);
}

/* How many of one model are next, for a run, and fit into a slice with *rows and *bytes left; these
 * are taken from it. */
static size_t next_run(const struct settling *s, size_t *rows, size_t *bytes)
{
    const struct settled *row = &s->row[s->done];
    size_t n = 0, left = s->rows - s->done;
    left = left < JOURNAL_RUN ? left : JOURNAL_RUN;
    for (; n < left && row[n].model == row->model && *rows; n++, --*rows) {
        size_t size = row[n].bytes;
        *bytes -= size < *bytes ? size : *bytes;
        *rows = *bytes ? *rows : 1; /* this one is the last */
    }
    return n;
}

static enum err_kind slice(struct db *db, struct err *e)
{
    struct settling *s = db->front.settling;
    enum err_kind rc = ERR_OK;
    size_t rows = SLICE_ROWS, bytes = SLICE_BYTES;
    while (!rc && s->done < s->rows && rows > 0) {
        size_t run = next_run(s, &rows, &bytes);
        rc = settle_model(db, &s->row[s->done], run, e);
        s->done += run;
    }
    return rc || s->done < s->rows ? rc : front_drop(db, s->last_group, e);
}

static bool is_settled(const struct db *db)
{
    return db->front.settling->done == db->front.settling->rows;
}

enum err_kind settle_all(struct db *db, struct err *e)
{
    size_t rows;
    int64_t last_group;
    settle_stop(db); /* newer groups have come since */
    enum err_kind rc = front_flush(db, e);
    if (!rc)
        rc = front_count(db, &rows, &last_group, e);
    if (rc || rows == 0)
        return rc;
    rc = start(db, INT64_MAX, e); /* a group with a damaged number goes too */
    do
        rc = rc ? rc : slice(db, e);
    while (!rc && !is_settled(db));
    settle_stop(db);
    return rc;
}

static enum err_kind settle_slice(struct db *db, struct err *e)
{
    size_t rows;
    int64_t last_group;
    enum err_kind rc = ERR_OK;
    if (!db->front.settling && !(rc = front_count(db, &rows, &last_group, e)))
        rc = start(db, last_group, e);
    return rc ? rc : slice(db, e);
}

static enum err_kind transact(struct db *db, db_step *step, struct err *e)
{
    enum err_kind rc = db_exec(db, "BEGIN IMMEDIATE", e);
    if (!rc)
        rc = step(db, e);
    if (!rc)
        rc = db_exec(db, "COMMIT", e);
    if (!rc) {
        db->front.tried = 0;
        return ERR_OK;
    }
    db_rollback(db);
    front_undo(db, NULL);
    settle_stop(db);
    db->front.tried = db->front.rows; /* not again before as many more have come */
    return rc;
}

enum err_kind settle_now(struct db *db, struct err *e)
{
    return transact(db, settle_all, e);
}

bool settle_is_due(const struct db *db)
{
    const struct front *f = &db->front;
    bool many = f->rows >= f->tried + DUE_ROWS;
    return f->settling || (f->known && (many || (f->tried == 0 && f->kept_bytes >= DUE_BYTES)));
}

enum err_kind settle_some(struct db *db, struct err *e)
{
    if (!settle_is_due(db))
        return ERR_OK;
    enum err_kind rc = transact(db, settle_slice, e);
    if (!rc && is_settled(db))
        settle_stop(db);
    return rc;
}
