/* storage/store_job.c - jobs: those that are to be done, and the newest ones that are finished. */
#include "engine/mem.h"
#include "storage/checksum.h"
#include "storage/writer.h"

#define FINISHED_MAX 1000

#define JOB_COLUMNS "n, id, finished, text, created_at, seal"

static uint32_t job_seal(const struct store_job *job)
{
    uint32_t seal = checksum_i64(0, job->n);
    seal = checksum_text(seal, job->id);
    seal = checksum_i64(seal, job->finished);
    seal = checksum_text(seal, job->text);
    return checksum_i64(seal, job->created_at);
}

/* Takes a row of JOB_COLUMNS; text is the query's. IO: it is damaged. */
static enum err_kind read_row(struct query *q, struct store_job *job, struct err *e)
{
    job->n = query_i64(q);
    const char *id = query_text(q);
    mem_fit(job->id, sizeof job->id, id ? id : "");
    job->finished = query_i64(q) != 0;
    job->text = query_text(q);
    job->created_at = query_i64(q);
    int64_t seal = query_i64(q);
    enum err_kind rc = query_check(q, e);
    if (!rc && (!job->text || seal != job_seal(job)))
        rc = err_set(e, ERR_IO, "", "job %lld: its row is damaged", (long long)job->n);
    return rc;
}

/* ---- writing ------------------------------------------------------------------------------- */

static enum err_kind write_row(struct db *db, const struct store_job *job, struct err *e)
{
    struct query q;
    query_start(&q, db, "INSERT OR REPLACE INTO jobs (" JOB_COLUMNS ") VALUES (?, ?, ?, ?, ?, ?)");
    query_put_i64(&q, job->n);
    query_put_text(&q, job->id);
    query_put_i64(&q, job->finished);
    query_put_text(&q, job->text);
    query_put_i64(&q, job->created_at);
    query_put_i64(&q, job_seal(job));
    return query_run(&q, e);
}

/* The row of n, for read_row. */
static void start_find(struct query *q, struct db *db, int64_t n)
{
    query_start(q, db, "SELECT " JOB_COLUMNS " FROM jobs WHERE n = ?");
    query_put_i64(q, n);
}

static enum err_kind apply_insert(struct db *db, void *arg, struct err *e)
{
    const struct store_job *job = arg;
    struct query q;
    bool row;
    if (!job->text)
        return err_set(e, ERR_NOMEM, "", "no memory for the job");
    start_find(&q, db, job->n);
    enum err_kind rc = query_row(&q, &row, e);
    query_end(&q);
    if (!rc && row)
        rc = err_set(e, ERR_CONFLICT, "", "the job's number is taken");
    return rc ? rc : write_row(db, job, e);
}

void store_insert_job(struct store_txn *txn, const struct store_job *job)
{
    struct store_job *a = txn_add(txn, apply_insert, sizeof *a);
    if (a)
        *a = *job;
}

static enum err_kind drop_oldest(struct db *db, struct err *e)
{
    struct query q;
    query_start(&q, db,
                "DELETE FROM jobs WHERE finished = 1 AND n <= (SELECT n FROM jobs"
                " WHERE finished = 1 ORDER BY n DESC LIMIT 1 OFFSET ?)");
    query_put_i64(&q, FINISHED_MAX);
    return query_run(&q, e);
}

struct finish {
    int64_t n;
    const char *text;
};

static enum err_kind apply_finish(struct db *db, void *arg, struct err *e)
{
    const struct finish *a = arg;
    struct store_job job;
    struct query q;
    bool row, done = false;
    if (!a->text)
        return err_set(e, ERR_NOMEM, "", "no memory for what came of the job");
    start_find(&q, db, a->n);
    enum err_kind rc = query_row(&q, &row, e);
    if (!rc && !row)
        rc = err_set(e, ERR_NOT_FOUND, "", "there is no job %lld", (long long)a->n);
    if (!rc)
        rc = read_row(&q, &job, e);
    if (!rc)
        done = job.finished;
    query_end(&q);
    if (rc || done)
        return rc;
    job.finished = true;
    job.text = a->text;
    rc = write_row(db, &job, e);
    return rc ? rc : drop_oldest(db, e);
}

void store_finish_job(struct store_txn *txn, int64_t n, const char *text)
{
    struct finish *a = txn_add(txn, apply_finish, sizeof *a);
    if (a)
        *a = (struct finish){n, text};
}

static enum err_kind apply_delete(struct db *db, void *arg, struct err *e)
{
    int64_t n = *(int64_t *)arg;
    struct query q;
    query_start(&q, db, "DELETE FROM jobs WHERE n = ?");
    query_put_i64(&q, n);
    enum err_kind rc = query_run(&q, e);
    if (!rc && db_changes(db) == 0)
        rc = err_set(e, ERR_NOT_FOUND, "", "there is no job %lld", (long long)n);
    return rc;
}

void store_delete_job(struct store_txn *txn, int64_t n)
{
    int64_t *arg = txn_add(txn, apply_delete, sizeof *arg);
    if (arg)
        *arg = n;
}

/* ---- reading ------------------------------------------------------------------------------- */

struct find {
    int64_t n;
    const char *id; /* NULL: the very job n; else the first one behind it … */
    bool unfinished;
    struct store_job *out;
    bool *found;
};

static void start_next(struct query *q, struct db *db, const struct find *f)
{
    query_start(q, db,
                "SELECT " JOB_COLUMNS " FROM jobs WHERE n > ?1 AND (?2 = '' OR id = ?2)"
                " AND finished <= ?3 ORDER BY n LIMIT 1");
    query_put_i64(q, f->n);
    query_put_text(q, f->id);
    query_put_i64(q, !f->unfinished);
}

static enum err_kind find(struct db *db, void *arg, struct err *e)
{
    const struct find *f = arg;
    struct query q;
    if (f->id)
        start_next(&q, db, f);
    else
        start_find(&q, db, f->n);
    enum err_kind rc = query_row(&q, f->found, e);
    if (!rc && *f->found)
        rc = read_row(&q, f->out, e);
    f->out->text = !rc && *f->found ? mem_string(f->out->text) : NULL;
    query_end(&q);
    if (!rc && *f->found && !f->out->text)
        rc = err_set(e, ERR_NOMEM, "", "no memory for a job");
    return rc;
}

enum err_kind store_find_job(struct store *s, int64_t n, struct store_job *out, bool *found,
                             struct err *e)
{
    struct find f = {.n = n, .out = out, .found = found};
    *out = (struct store_job){.n = n};
    return store_read(s, find, &f, e);
}

enum err_kind store_next_job(struct store *s, int64_t after, const char *id, bool unfinished,
                             struct store_job *out, bool *found, struct err *e)
{
    struct find f = {.n = after, .id = id, .unfinished = unfinished, .out = out, .found = found};
    *out = (struct store_job){.n = 0};
    return store_read(s, find, &f, e);
}

static enum err_kind find_last(struct db *db, void *arg, struct err *e)
{
    return db_number(
        db,
        "SELECT max(coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'jobs'), 0),"
        " coalesce((SELECT max(n) FROM jobs), 0))",
        arg, e);
}

enum err_kind store_last_job(struct store *s, int64_t *n, struct err *e)
{
    return store_read(s, find_last, n, e);
}
