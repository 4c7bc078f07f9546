#include <string.h>

#include "storage/checksum.h"
#include "storage/store_model.h"
#include "storage/writer.h"

/* The history is kept in runs of consecutive steps. A run names the end of the one before it, the
 * tally the end of the last: a run that is missing leaves a gap that nobody announced. */
#define RUN_MAX 1024 /* losses of a run: 8 KiB, half a page */

struct run {
    int64_t first, prior; /* prior: where the run before it ends, 0: there is none */
    size_t count;
    double loss[RUN_MAX];
};

static int64_t run_end(const struct run *r)
{
    return r->first + (int64_t)r->count;
}

/* ---- rows ---------------------------------------------------------------------------------- */

static uint32_t run_seal(int64_t model, int64_t first, int64_t prior, const void *data,
                         size_t bytes)
{
    uint32_t seal = checksum_i64(0, model);
    seal = checksum_i64(seal, first);
    seal = checksum_i64(seal, prior);
    return checksum(seal, data, bytes);
}

/* Doubles are kept with the least byte first, whatever the machine. */
static void pack(const double *loss, size_t count, unsigned char *out)
{
    for (size_t i = 0; i < count; i++) {
        uint64_t bits;
        memcpy(&bits, &loss[i], sizeof bits);
        for (int byte = 0; byte < 8; byte++)
            *out++ = (unsigned char)(bits >> 8 * byte & 255);
    }
}

static void unpack(const unsigned char *data, size_t count, double *loss)
{
    for (size_t i = 0; i < count; i++) {
        uint64_t bits = 0;
        for (int byte = 0; byte < 8; byte++)
            bits |= (uint64_t)*data++ << 8 * byte;
        memcpy(&loss[i], &bits, sizeof bits);
    }
}

/* Takes a row of first, prior, seal, data. */
static enum err_kind read_run(struct db *db, struct query *q, int64_t model, struct run *r,
                              struct err *e)
{
    size_t bytes;
    r->first = query_i64(q);
    r->prior = query_i64(q);
    int64_t seal = query_i64(q);
    const void *data = query_blob(q, &bytes);
    enum err_kind rc = query_check(q, e);
    if (rc)
        return rc;
    if (seal != run_seal(model, r->first, r->prior, data, bytes) || bytes > sizeof r->loss)
        return model_damaged(db, model, e, "its losses from step %lld on are damaged",
                             (long long)r->first);
    r->count = bytes / sizeof(double);
    unpack(data, r->count, r->loss);
    return ERR_OK;
}

static enum err_kind write_run(struct db *db, int64_t model, const struct run *r, struct err *e)
{
    unsigned char data[RUN_MAX * sizeof(double)];
    size_t bytes = r->count * sizeof(double);
    struct query q;
    pack(r->loss, r->count, data);
    query_start(&q, db,
                "INSERT OR REPLACE INTO losses (model, first, prior, data, seal)"
                " VALUES (?, ?, ?, ?, ?)");
    query_put_i64(&q, model);
    query_put_i64(&q, r->first);
    query_put_i64(&q, r->prior);
    query_put_blob(&q, data, bytes);
    query_put_i64(&q, run_seal(model, r->first, r->prior, data, bytes));
    return query_run(&q, e);
}

/* ---- replacing ----------------------------------------------------------------------------- */

struct replace {
    int64_t model, first;
    const double *loss;
    size_t count;
};

/* Forgets what there is from step `first` on. *r becomes what is left of the last run, to be
 * continued, or an empty one. */
static enum err_kind cut(struct db *db, int64_t model, int64_t first, struct run *r, struct err *e)
{
    struct query q;
    bool row;
    r->count = 0;
    query_start(&q, db, "DELETE FROM losses WHERE model = ? AND first >= ?");
    query_put_i64(&q, model);
    query_put_i64(&q, first);
    enum err_kind rc = query_run(&q, e);
    if (rc)
        return rc;
    query_start(&q, db,
                "SELECT first, prior, seal, data FROM losses WHERE model = ?"
                " ORDER BY first DESC LIMIT 1");
    query_put_i64(&q, model);
    rc = query_row(&q, &row, e);
    if (!rc && row)
        rc = read_run(db, &q, model, r, e);
    query_end(&q);
    if (!rc && r->count > 0 && run_end(r) > first) {
        r->count = (size_t)(first - r->first);
        rc = write_run(db, model, r, e);
    }
    return rc;
}

/* The end of what is kept before a->first, after the cut left *r. */
static int64_t kept_end(const struct run *r)
{
    return r->count > 0 ? run_end(r) : 0;
}

static enum err_kind append(struct db *db, const struct replace *a, struct run *r, struct err *e)
{
    enum err_kind rc = ERR_OK;
    for (size_t i = 0; !rc && i < a->count;) {
        int64_t step = a->first + (int64_t)i, end = kept_end(r);
        if (end != step || r->count == RUN_MAX || r->count == 0) {
            r->first = step;
            r->prior = end;
            r->count = 0;
        }
        size_t room = RUN_MAX - r->count, left = a->count - i;
        size_t n = left < room ? left : room;
        memcpy(r->loss + r->count, a->loss + i, n * sizeof *a->loss);
        r->count += n;
        i += n;
        rc = write_run(db, a->model, r, e);
    }
    return rc;
}

static enum err_kind apply_replace(struct db *db, void *arg, struct err *e)
{
    struct replace *a = arg;
    struct tally tally;
    struct run r;
    int64_t end;
    enum err_kind rc;
    if (a->first < 0 || __builtin_add_overflow(a->first, a->count, &end))
        return err_set(e, ERR_INVALID, "", "losses of steps that cannot be");
    a->model = model_key(db, a->model);
    if ((rc = tally_read(db, a->model, &tally, e)) || (rc = cut(db, a->model, a->first, &r, e)))
        return rc;
    if (tally.loss_end <= a->first && tally.loss_end != kept_end(&r))
        return model_damaged(db, a->model, e, "its last losses are missing");
    if ((rc = append(db, a, &r, e)))
        return rc;
    tally.loss_end = kept_end(&r);
    return tally_write(db, a->model, &tally, e);
}

void store_replace_losses(struct store_txn *txn, int64_t model, int64_t first, const double *loss,
                          size_t count)
{
    struct replace *a = txn_add(txn, apply_replace, sizeof *a);
    if (a)
        *a = (struct replace){model, first, loss, count};
}

/* ---- the walk ------------------------------------------------------------------------------ */

/* One run at a time is handed over. */
struct walk {
    int64_t model;
    int64_t from; /* the first step still to come */
    bool found;   /* run ends behind `from` */
    struct run run;
};

/* The run that holds step from, or else the first one behind it. */
static enum err_kind find_run(struct db *db, struct walk *w, struct err *e)
{
    struct query q;
    bool row = true;
    enum err_kind rc = ERR_OK;
    query_start(&q, db,
                "SELECT first, prior, seal, data FROM losses WHERE model = ?1 AND first >="
                " coalesce((SELECT max(first) FROM losses WHERE model = ?1 AND first <= ?2), ?2)"
                " ORDER BY first LIMIT 2");
    query_put_i64(&q, w->model);
    query_put_i64(&q, w->from);
    while (!rc && !w->found && !(rc = query_row(&q, &row, e)) && row) {
        rc = read_run(db, &q, w->model, &w->run, e);
        w->found = !rc && run_end(&w->run) > w->from;
    }
    query_end(&q);
    return rc;
}

static enum err_kind next_run(struct db *db, void *arg, struct err *e)
{
    struct walk *w = arg;
    struct tally tally;
    enum err_kind rc;
    w->found = false;
    if ((rc = tally_read(db, w->model, &tally, e)) || (rc = find_run(db, w, e)))
        return rc;
    bool gap = !w->found || w->run.first > w->from;
    int64_t before_gap = w->found ? w->run.prior : tally.loss_end;
    if (gap && before_gap > w->from)
        return model_damaged(db, w->model, e, "its losses from step %lld on are missing",
                             (long long)w->from);
    return ERR_OK;
}

enum err_kind store_each_loss(struct store *s, int64_t model, int64_t first, int64_t last,
                              store_visit_losses *visit, void *arg, struct err *e)
{
    struct walk w = {.model = model, .from = first < 0 ? 0 : first};
    bool more = true;
    while (more && w.from <= last) {
        enum err_kind rc = store_read(s, next_run, &w, e);
        if (rc)
            return rc;
        if (!w.found || w.run.first > last)
            return ERR_OK;
        int64_t skip = w.run.first < w.from ? w.from - w.run.first : 0;
        more = visit(arg, w.run.first + skip, w.run.loss + skip, w.run.count - (size_t)skip);
        w.from = run_end(&w.run);
    }
    return ERR_OK;
}
