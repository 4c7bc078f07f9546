#include "storage/store_checkpoint.h"

#include <assert.h>

#include "engine/mem.h"
#include "storage/record.h"
#include "storage/store_batch.h"
#include "storage/store_journal.h"
#include "storage/store_model.h"
#include "storage/writer.h"

#define AUTOMATIC_KEPT 2 /* so that a damaged one has one before it */

static const char roll_sum[] =
    "SELECT coalesce(sum(1 + n % 4294967291), 0) FROM checkpoints WHERE model = ?";

/* ---- deleting ------------------------------------------------------------------------------ */

enum err_kind checkpoints_drop_blobs(struct db *db, int64_t model, struct err *e)
{
    struct query q;
    bool row = true;
    enum err_kind rc = ERR_OK;
    query_start(&q, db, "SELECT n, serial FROM checkpoints WHERE model = ?");
    query_put_i64(&q, model);
    while (!rc && !(rc = query_row(&q, &row, e)) && row) {
        int64_t n = query_i64(&q), serial = query_i64(&q);
        rc = record_drop_blobs(db, model, n, serial, e);
    }
    query_end(&q);
    return rc;
}

struct removal {
    int64_t model, n;
};

static enum err_kind apply_delete(struct db *db, void *arg, struct err *e)
{
    const struct removal *a = arg;
    struct tally tally;
    int64_t serial;
    bool found;
    enum err_kind rc;
    if ((rc = tally_read(db, a->model, &tally, e)) ||
        (rc = record_find_serial(db, a->model, a->n, INT64_MAX, &serial, &found, e)))
        return rc;
    if (!found) {
        rc = roll_check(db, roll_sum, a->model, tally.checkpoint_roll, e);
        return rc ? rc
                  : err_set(e, ERR_NOT_FOUND, "", "there is no checkpoint %lld", (long long)a->n);
    }
    if ((rc = record_drop(db, a->model, a->n, serial, e)))
        return rc;
    tally.checkpoint_roll -= roll_of(a->n);
    return tally_write(db, a->model, &tally, e);
}

void store_delete_checkpoint(struct store_txn *txn, int64_t model, int64_t n)
{
    struct removal *a = txn_add(txn, apply_delete, sizeof *a);
    if (a)
        *a = (struct removal){model, n};
}

/* ---- saving -------------------------------------------------------------------------------- */

/* The older of the newest AUTOMATIC_KEPT that stand for themselves; *found false: there are fewer.
 */
static enum err_kind find_oldest_kept(struct db *db, int64_t model, int64_t *serial, bool *found,
                                      struct err *e)
{
    struct query q;
    query_start(&q, db,
                "SELECT serial FROM checkpoints WHERE model = ? AND n = 0 AND beside = 0"
                " ORDER BY serial DESC LIMIT 1 OFFSET ?");
    query_put_i64(&q, model);
    query_put_i64(&q, AUTOMATIC_KEPT - 1);
    enum err_kind rc = query_row(&q, found, e);
    *serial = *found ? query_i64(&q) : 0;
    query_end(&q);
    return rc;
}

static enum err_kind drop_older(struct db *db, int64_t model, int64_t below, struct tally *tally,
                                struct err *e)
{
    int64_t serial;
    bool found = true;
    enum err_kind rc = ERR_OK;
    while (!rc && !(rc = record_find_serial(db, model, 0, below, &serial, &found, e)) && found)
        if (!(rc = record_drop(db, model, 0, serial, e)))
            tally->checkpoint_roll -= roll_of(0);
    return rc;
}

/* Lets the journal go up to the change that the checkpoint holds. A damaged one lets go nothing. */
static enum err_kind trim_journal(struct db *db, int64_t model, int64_t serial, struct tally *tally,
                                  struct err *e)
{
    struct record r;
    enum err_kind rc = record_read(db, model, 0, serial, &r, e);
    int64_t upto = rc ? 0 : r.c.seq;
    store_checkpoint_close(&r.c);
    if (rc == ERR_IO && atomic_load(&db->healthy))
        return ERR_OK;
    if (rc || upto == 0 || (rc = journal_trim(db, model, upto, e)))
        return rc;
    return batches_trim(db, model, upto, tally, e);
}

/* Should the newest one turn out damaged, the model can be made again from the one before it. */
static enum err_kind trim(struct db *db, int64_t model, struct tally *tally, struct err *e)
{
    int64_t oldest;
    bool found;
    enum err_kind rc = find_oldest_kept(db, model, &oldest, &found, e);
    if (rc || !found || (rc = drop_older(db, model, oldest, tally, e)))
        return rc;
    return trim_journal(db, model, oldest, tally, e);
}

/* Behind every automatic one there is: a damaged row may stand where the tally knows of none. */
static enum err_kind next_serial(struct db *db, int64_t model, struct tally *tally, struct err *e)
{
    int64_t highest;
    bool found;
    enum err_kind rc = record_find_serial(db, model, 0, INT64_MAX, &highest, &found, e);
    if (tally->last_serial < highest)
        tally->last_serial = highest;
    tally->last_serial++;
    return rc;
}

static enum err_kind save_client(struct db *db, struct record *r, struct tally *tally,
                                 struct err *e)
{
    r->serial = 0;
    if (tally->last_checkpoint < r->c.n)
        tally->last_checkpoint = r->c.n;
    return record_insert(db, r, e);
}

static enum err_kind save_automatic(struct db *db, struct record *r, struct tally *tally,
                                    struct err *e)
{
    enum err_kind rc = next_serial(db, r->model, tally, e);
    r->serial = tally->last_serial;
    if (rc || (rc = record_insert(db, r, e)))
        return rc;
    return trim(db, r->model, tally, e);
}

static enum err_kind apply_save(struct db *db, void *arg, struct err *e)
{
    struct record *r = arg;
    struct tally tally;
    enum err_kind rc;
    r->model = model_key(db, r->model);
    if ((rc = tally_read(db, r->model, &tally, e)) ||
        (rc = journal_check_last(db, r->model, r->c.seq, e)))
        return rc;
    rc = r->c.n ? save_client(db, r, &tally, e) : save_automatic(db, r, &tally, e);
    if (rc)
        return rc;
    tally.checkpoint_roll += roll_of(r->c.n);
    return tally_write(db, r->model, &tally, e);
}

void store_save_checkpoint(struct store_txn *txn, int64_t model, const struct store_checkpoint *c)
{
    assert(c->n >= 0 && c->sections >= 0 && c->sections <= STORE_SECTIONS_MAX);
    struct record *r = txn_add(txn, apply_save, sizeof *r);
    if (r)
        *r = (struct record){.model = model, .c = *c};
}

/* ---- listing ------------------------------------------------------------------------------- */

struct list {
    int64_t model, after;
    size_t limit;
    struct store_checkpoint *out;
    size_t *count;
};

static enum err_kind list_rows(struct db *db, struct list *l, struct err *e)
{
    struct query q;
    struct record r;
    bool row = true;
    enum err_kind rc = ERR_OK;
    query_start(&q, db, "SELECT n, serial FROM checkpoints WHERE model = ? AND n > ? ORDER BY n");
    query_put_i64(&q, l->model);
    query_put_i64(&q, l->after < 0 ? 0 : l->after);
    while (!rc && *l->count < l->limit && !(rc = query_row(&q, &row, e)) && row) {
        int64_t n = query_i64(&q), serial = query_i64(&q);
        if ((rc = record_read(db, l->model, n, serial, &r, e)))
            model_wrap(db, l->model, e, "checkpoint %lld", (long long)n);
        else
            l->out[(*l->count)++] = r.c;
    }
    query_end(&q);
    return rc;
}

static enum err_kind list_checkpoints(struct db *db, void *arg, struct err *e)
{
    struct list *l = arg;
    struct tally tally;
    enum err_kind rc;
    if ((rc = tally_read(db, l->model, &tally, e)) ||
        (rc = roll_check(db, roll_sum, l->model, tally.checkpoint_roll, e)))
        return rc;
    rc = list_rows(db, l, e);
    while (rc && *l->count > 0)
        store_checkpoint_close(&l->out[--*l->count]);
    return rc;
}

enum err_kind store_list_checkpoints(struct store *s, int64_t model, int64_t after, size_t limit,
                                     struct store_checkpoint *out, size_t *count, struct err *e)
{
    struct list l = {model, after, limit, out, count};
    *count = 0;
    return store_read(s, list_checkpoints, &l, e);
}

/* ---- loading ------------------------------------------------------------------------------- */

struct load {
    int64_t model, n;
    struct store_checkpoint *out;
    bool *found, *fallback;
};

static enum err_kind load_record(struct db *db, const struct load *l, int64_t serial, struct err *e)
{
    struct record r;
    enum err_kind rc = record_read(db, l->model, l->n, serial, &r, e);
    for (int i = 0; !rc && i < r.c.sections; i++) {
        void *data;
        if (!(rc = blob_read(db, &r.blob[i], &data, e)))
            r.c.section[i].data = data;
        else
            err_wrap(e, "section \"%s\": ", r.c.section[i].name);
    }
    *l->found = !rc;
    if (!rc) {
        *l->out = r.c;
        return ERR_OK;
    }
    store_checkpoint_close(&r.c);
    return l->n ? model_wrap(db, l->model, e, "checkpoint %lld", (long long)l->n)
                : model_wrap(db, l->model, e, "automatic checkpoint");
}

/* The newest that is sound; if none is, e is the newest one's. */
static enum err_kind load_automatic(struct db *db, const struct load *l, int64_t newest,
                                    struct err *e)
{
    struct err why;
    int64_t serial = newest;
    bool found = newest > 0;
    enum err_kind rc = found ? load_record(db, l, serial, e) : ERR_OK;
    while (rc == ERR_IO && found && atomic_load(&db->healthy)) {
        rc = record_find_serial(db, l->model, 0, serial, &serial, &found, &why);
        if (!rc)
            rc = found ? load_record(db, l, serial, &why) : ERR_IO;
        if (rc && rc != ERR_IO)
            *e = why;
        *l->fallback = !rc;
    }
    return rc ? e->kind : ERR_OK;
}

static enum err_kind load_checkpoint(struct db *db, void *arg, struct err *e)
{
    const struct load *l = arg;
    struct tally tally;
    int64_t serial;
    bool found;
    enum err_kind rc = tally_read(db, l->model, &tally, e);
    if (rc)
        return rc;
    if (l->n == 0)
        return load_automatic(db, l, tally.last_serial, e);
    rc = record_find_serial(db, l->model, l->n, INT64_MAX, &serial, &found, e);
    if (rc)
        return rc;
    return found ? load_record(db, l, serial, e)
                 : roll_check(db, roll_sum, l->model, tally.checkpoint_roll, e);
}

enum err_kind store_load_checkpoint(struct store *s, int64_t model, int64_t n,
                                    struct store_checkpoint *out, bool *found, bool *fallback,
                                    struct err *e)
{
    struct load l = {model, n, out, found, fallback};
    *out = (struct store_checkpoint){0};
    *found = *fallback = false;
    return store_read(s, load_checkpoint, &l, e);
}

struct load_automatic {
    int64_t model, serial;
    struct store_checkpoint *out;
};

static enum err_kind load_exactly(struct db *db, void *arg, struct err *e)
{
    const struct load_automatic *a = arg;
    bool found, fallback;
    int64_t serial;
    struct load l = {a->model, 0, a->out, &found, &fallback};
    enum err_kind rc = record_find_serial(db, a->model, 0, a->serial + 1, &serial, &found, e);
    if (!rc && (!found || serial != a->serial))
        rc = err_set(e, ERR_NOT_FOUND, "", "there is no such checkpoint");
    return rc ? rc : load_record(db, &l, serial, e);
}

enum err_kind store_load_automatic(struct store *s, int64_t model, int64_t serial,
                                   struct store_checkpoint *out, struct err *e)
{
    *out = (struct store_checkpoint){0};
    return store_read(s, load_exactly, &(struct load_automatic){model, serial, out}, e);
}
