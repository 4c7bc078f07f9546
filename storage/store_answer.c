/* storage/store_answer.c - the answers kept under their Idempotency-Keys. */
#include <time.h>

#include "engine/mem.h"
#include "storage/blob.h"
#include "storage/checksum.h"
#include "storage/writer.h"

#define LIFETIME_MILLIS ((int64_t)24 * 3600 * 1000)
#define ANSWERS_MAX     100000
/* An insert removes at most so many that are over: more than it adds, so the table shrinks. */
#define REMOVED_AT_ONCE 4

#define ANSWER_COLUMNS                                                                             \
    "key, request, status, location, created_at, first_chunk, bytes, digest, tag, seal"

static uint32_t answer_seal(const struct store_answer *a, const struct blob *blob)
{
    uint32_t seal = checksum_text(0, a->key);
    seal = checksum_i64(seal, a->digest);
    seal = checksum_i64(seal, a->status);
    seal = checksum_text(seal, a->location);
    seal = checksum_i64(seal, a->created_at);
    seal = blob_seal(seal, blob);
    return a->tag >= 0 ? checksum_i64(seal, a->tag) : seal; /* there was none once */
}

/* Takes a row of ANSWER_COLUMNS. IO: it is damaged. */
static enum err_kind read_row(struct query *q, struct store_answer *a, struct blob *blob,
                              struct err *e)
{
    const char *key = query_text(q);
    mem_fit(a->key, sizeof a->key, key ? key : "");
    a->digest = query_i64(q);
    a->status = query_i64(q);
    const char *location = query_text(q);
    mem_fit(a->location, sizeof a->location, location ? location : "");
    a->created_at = query_i64(q);
    *blob = blob_get(q);
    a->bytes = (size_t)blob->bytes;
    a->tag = query_i64(q);
    int64_t seal = query_i64(q);
    enum err_kind rc = query_check(q, e);
    if (!rc && seal != answer_seal(a, blob))
        rc = err_set(e, ERR_IO, "", "a kept answer is damaged");
    return rc;
}

/* ---- insert -------------------------------------------------------------------------------- */

/* Drops the answer that the query finds, with its serial as the last column. *dropped: there was
 * one. What a damaged row owned is lost space. */
static enum err_kind drop_found(struct db *db, struct query *q, bool *dropped, struct err *e)
{
    struct store_answer a;
    struct blob blob;
    int64_t serial = 0;
    bool intact = false;
    enum err_kind rc = query_row(q, dropped, e);
    if (!rc && *dropped) {
        rc = read_row(q, &a, &blob, e);
        intact = rc == ERR_OK;
        serial = query_i64(q);
    }
    query_end(q);
    if (!*dropped || (rc && rc != ERR_IO))
        return rc;
    if (intact && (rc = blob_drop(db, &blob, e)))
        return rc;
    query_start(q, db, "DELETE FROM answers WHERE serial = ?");
    query_put_i64(q, serial);
    return query_run(q, e);
}

/* The oldest, if it is over: too old at `now`, or one too many. */
static enum err_kind drop_oldest(struct db *db, int64_t now, bool *dropped, struct err *e)
{
    struct query q;
    query_start(&q, db,
                "SELECT " ANSWER_COLUMNS ", serial FROM answers"
                " WHERE serial = (SELECT min(serial) FROM answers) AND (created_at < ?"
                " OR serial + ? <= (SELECT max(serial) FROM answers))");
    query_put_i64(&q, now - LIFETIME_MILLIS);
    query_put_i64(&q, ANSWERS_MAX);
    return drop_found(db, &q, dropped, e);
}

/* The one under the same key. */
static enum err_kind drop_namesake(struct db *db, const char *key, struct err *e)
{
    struct query q;
    bool dropped;
    query_start(&q, db, "SELECT " ANSWER_COLUMNS ", serial FROM answers WHERE key = ?");
    query_put_text(&q, key);
    return drop_found(db, &q, &dropped, e);
}

static enum err_kind insert_row(struct db *db, const struct store_answer *a,
                                const struct blob *blob, struct err *e)
{
    struct query q;
    query_start(&q, db,
                "INSERT INTO answers (" ANSWER_COLUMNS ") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)");
    query_put_text(&q, a->key);
    query_put_i64(&q, a->digest);
    query_put_i64(&q, a->status);
    query_put_text(&q, a->location);
    query_put_i64(&q, a->created_at);
    blob_put(&q, blob);
    query_put_i64(&q, a->tag);
    query_put_i64(&q, answer_seal(a, blob));
    return query_run(&q, e);
}

static enum err_kind apply_insert(struct db *db, void *arg, struct err *e)
{
    const struct store_answer *a = arg;
    struct blob blob;
    bool dropped = true;
    enum err_kind rc = drop_namesake(db, a->key, e);
    for (int i = 0; !rc && dropped && i < REMOVED_AT_ONCE; i++)
        rc = drop_oldest(db, a->created_at, &dropped, e);
    if (!rc)
        rc = blob_write(db, a->body, a->bytes, &blob, e);
    return rc ? rc : insert_row(db, a, &blob, e);
}

void store_insert_answer(struct store_txn *txn, const struct store_answer *answer)
{
    struct store_answer *a = txn_add(txn, apply_insert, sizeof *a);
    if (a)
        *a = *answer;
}

/* ---- find ---------------------------------------------------------------------------------- */

struct find {
    const char *key;
    struct store_answer *out;
    bool found;
};

static int64_t now_millis(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static enum err_kind find(struct db *db, void *arg, struct err *e)
{
    struct find *f = arg;
    struct query q;
    struct blob blob;
    void *body = NULL;
    query_start(&q, db, "SELECT " ANSWER_COLUMNS " FROM answers WHERE key = ? AND created_at >= ?");
    query_put_text(&q, f->key);
    query_put_i64(&q, now_millis() - LIFETIME_MILLIS);
    enum err_kind rc = query_row(&q, &f->found, e);
    if (!rc && f->found)
        rc = read_row(&q, f->out, &blob, e);
    query_end(&q);
    if (!rc && f->found)
        rc = blob_read(db, &blob, &body, e);
    f->out->body = body;
    return rc;
}

/* One at a time, so that nobody waits long for the connection. */
struct check {
    int64_t after; /* serial */
    int64_t count;
    bool found;
};

static enum err_kind check_next(struct db *db, void *arg, struct err *e)
{
    struct check *c = arg;
    struct query q;
    struct store_answer a;
    struct blob blob;
    void *body = NULL;
    query_start(&q, db,
                "SELECT " ANSWER_COLUMNS ", serial FROM answers WHERE serial > ?"
                " ORDER BY serial LIMIT 1");
    query_put_i64(&q, c->after);
    enum err_kind rc = query_row(&q, &c->found, e);
    if (!rc && c->found && !(rc = read_row(&q, &a, &blob, e)))
        c->after = query_i64(&q);
    query_end(&q);
    if (!rc && c->found)
        rc = blob_read(db, &blob, &body, e);
    mem_free(body);
    return rc;
}

enum err_kind store_check_answers(struct store *s, int64_t *count, struct err *e)
{
    struct check c = {.found = true};
    enum err_kind rc = ERR_OK;
    for (*count = 0; !(rc = store_read(s, check_next, &c, e)) && c.found;)
        ++*count;
    return rc;
}

enum err_kind store_find_answer(struct store *s, const char *key, struct store_answer *out,
                                bool *found, struct err *e)
{
    struct find f = {.key = key, .out = out};
    *out = (struct store_answer){.status = 0};
    enum err_kind rc = store_read(s, find, &f, e);
    *found = f.found;
    return rc;
}
