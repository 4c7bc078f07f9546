/* Backups: whole whatever is committed meanwhile, never over a file that is there, and no harm to
 * the store when they fail. */
#include "tests/storage/store_fixture.h"

#include <pthread.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/mem.h"
#include "tests/storage/fault_vfs.h"

#define MEGA (1 << 20)

/* ---- the copy ------------------------------------------------------------------------------ */

static const char *copy_of(const struct fixture *f)
{
    static char path[96];
    snprintf(path, sizeof path, "%s/copy.db", f->folder);
    return path;
}

static bool is_there(const char *path, const char *suffix)
{
    char name[120];
    struct stat info;
    snprintf(name, sizeof name, "%s%s", path, suffix);
    return lstat(name, &info) == 0;
}

static void assert_nothing_left(const char *path)
{
    static const char *const suffix[] = {".part", ".part-wal", ".part-journal", "-wal", "-journal"};
    for (size_t i = 0; i < sizeof suffix / sizeof suffix[0]; i++)
        if (is_there(path, suffix[i]))
            fail_msg("%s%s is left", path, suffix[i]);
}

static enum err_kind sum_batch(void *arg, const struct store_batch *batch, struct err *e)
{
    int64_t *sum = arg;
    (void)e;
    assert_filled(batch->data, batch->bytes, (uint64_t)batch->n);
    *sum += batch->n;
    return ERR_OK;
}

/* The numbers of the model's batches added up; each must be as it was written. */
static int64_t sum_of(struct store *s, const char *id)
{
    struct store_model model;
    int64_t sum = 0;
    assert_ok(store_find_model(s, id, &model, &last));
    mem_free((void *)model.spec);
    assert_ok(store_each_batch(s, model.key, sum_batch, &sum, &last));
    return sum;
}

/* The same of the copy, which must be one sound file. */
static int64_t sum_of_copy(const char *path, const char *id)
{
    struct store *s;
    assert_nothing_left(path);
    assert_int_equal(sql_number(path, "SELECT count(*) FROM pragma_integrity_check"
                                      " WHERE integrity_check = 'ok'"),
                     1);
    assert_int_equal(sql_number(path, "SELECT count(*) FROM pragma_journal_mode"
                                      " WHERE journal_mode = 'delete'"),
                     1);
    assert_ok(store_open(path, &anywhere, &s, &last));
    int64_t sum = sum_of(s, id);
    put_model(s, "afterwards");
    store_close(s);
    return sum;
}

static void backup_is_whole(void **state)
{
    struct fixture *f = *state;
    struct stat info;
    int64_t bytes, model = put_model(f->store, "a");
    const char *path = copy_of(f);
    for (int64_t n = 1; n <= 5; n++)
        assert_ok(put_batch(f->store, model, n, 3 * MEGA));
    assert_ok(store_backup(f->store, path, &bytes, &last));
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_size, bytes);
    assert_true(bytes > 15 * MEGA);
    assert_int_equal(sum_of_copy(path, "a"), 15);
    assert_ok(put_batch(f->store, model, 6, 1000));
}

static void empty_store(void **state)
{
    struct fixture *f = *state;
    struct store *s;
    int64_t bytes;
    assert_ok(store_backup(f->store, copy_of(f), &bytes, &last));
    assert_nothing_left(copy_of(f));
    assert_ok(store_open(copy_of(f), &anywhere, &s, &last));
    store_close(s);
}

static void relative_and_strange_names(void **state)
{
    static const char *const names[] = {":memory:", "file:x?mode=memory", "a b.db", "copy.part"};
    struct fixture *f = *state;
    char here[512];
    int64_t bytes;
    assert_non_null(getcwd(here, sizeof here));
    assert_int_equal(chdir(f->folder), 0);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        assert_ok(store_backup(f->store, names[i], &bytes, &last));
        assert_true(is_there(names[i], ""));
        assert_nothing_left(names[i]);
    }
    assert_int_equal(chdir(here), 0);
}

/* ---- refusals ------------------------------------------------------------------------------ */

static void assert_refused(struct store *s, const char *path, enum err_kind kind, const char *said)
{
    struct store_backup *b;
    assert_kind(kind, store_backup_begin(s, path, &b, &last));
    assert_null(b);
    assert_said(said);
    assert_said(path);
}

static void what_is_there_stays(void **state)
{
    struct fixture *f = *state;
    char part[112];
    size_t bytes;
    const char *path = copy_of(f);
    write_file(path, "mine", 4);
    assert_refused(f->store, path, ERR_CONFLICT, "exists already");
    unsigned char *data = read_file(path, &bytes);
    assert_int_equal(bytes, 4);
    free(data);
    unlink(path);
    assert_int_equal(symlink("/nowhere/at/all", path), 0);
    assert_refused(f->store, path, ERR_CONFLICT, "exists already");
    unlink(path);
    assert_refused(f->store, f->path, ERR_CONFLICT, "exists already");
    snprintf(part, sizeof part, "%s.part", path);
    write_file(part, "half", 4);
    assert_refused(f->store, path, ERR_CONFLICT, "in the way");
    assert_true(is_there(part, ""));
    unlink(part);
    put_model(f->store, "goes-on");
}

static void bad_names(void **state)
{
    static const char *const suffix[] = {"-wal", "-journal", "-shm"};
    struct fixture *f = *state;
    char path[96];
    assert_refused(f->store, "", ERR_INVALID, "no name");
    for (size_t i = 0; i < sizeof suffix / sizeof suffix[0]; i++) {
        snprintf(path, sizeof path, "%s%s", copy_of(f), suffix[i]);
        assert_refused(f->store, path, ERR_INVALID, "no name");
    }
    snprintf(path, sizeof path, "%s/no/copy.db", f->folder);
    assert_refused(f->store, path, ERR_IO, "folder");
    snprintf(path, sizeof path, "%s/", f->folder);
    assert_refused(f->store, path, ERR_CONFLICT, "exists already");
}

static void one_at_a_time(void **state)
{
    struct fixture *f = *state;
    struct store_backup *b;
    char other[96];
    int64_t bytes = 0;
    snprintf(other, sizeof other, "%s/other.db", f->folder);
    put_model(f->store, "a");
    assert_ok(store_backup_begin(f->store, copy_of(f), &b, &last));
    assert_refused(f->store, other, ERR_CONFLICT, "another backup");
    assert_false(is_there(other, ".part"));
    while (bytes == 0)
        assert_ok(store_backup_step(b, &bytes, &last));
    store_backup_end(b);
    assert_ok(store_backup(f->store, other, &bytes, &last));
    assert_int_equal(sum_of_copy(copy_of(f), "a"), 0);
}

/* Somebody else puts a file there while it is made. */
static void name_is_taken_meanwhile(void **state)
{
    struct fixture *f = *state;
    struct store_backup *b;
    int64_t bytes;
    size_t left;
    enum err_kind rc = ERR_OK;
    assert_ok(store_backup_begin(f->store, copy_of(f), &b, &last));
    write_file(copy_of(f), "theirs", 6);
    while (!rc)
        rc = store_backup_step(b, &bytes, &last);
    assert_kind(ERR_CONFLICT, rc);
    store_backup_end(b);
    free(read_file(copy_of(f), &left));
    assert_int_equal(left, 6);
    assert_nothing_left(copy_of(f));
}

/* ---- ends before the end ------------------------------------------------------------------- */

/* A store of some steps, and a backup that has done the first of them. */
static struct store_backup *begin_long(struct fixture *f, int64_t *model)
{
    struct store_backup *b;
    int64_t bytes;
    *model = put_model(f->store, "a");
    for (int64_t n = 1; n <= 4; n++)
        assert_ok(put_batch(f->store, *model, n, 6 * MEGA));
    assert_ok(store_backup_begin(f->store, copy_of(f), &b, &last));
    assert_ok(store_backup_step(b, &bytes, &last));
    assert_int_equal(bytes, 0);
    return b;
}

static void given_up(void **state)
{
    struct fixture *f = *state;
    int64_t bytes, model;
    struct store_backup *b = begin_long(f, &model);
    store_backup_end(b);
    assert_false(is_there(copy_of(f), ""));
    assert_nothing_left(copy_of(f));
    assert_ok(put_batch(f->store, model, 5, 1000));
    assert_ok(store_backup(f->store, copy_of(f), &bytes, &last));
    assert_int_equal(sum_of_copy(copy_of(f), "a"), 15);
}

static void store_is_closed_meanwhile(void **state)
{
    struct fixture *f = *state;
    int64_t bytes, model;
    struct store_backup *b = begin_long(f, &model);
    fixture_close(f);
    assert_false(is_there(f->path, "-wal")); /* as clean as ever */
    assert_kind(ERR_UNAVAILABLE, store_backup_step(b, &bytes, &last));
    assert_said("closed");
    store_backup_end(b);
    assert_false(is_there(copy_of(f), ""));
    assert_nothing_left(copy_of(f));
    fixture_open(f);
    assert_int_equal(sum_of(f->store, "a"), 10);
}

/* ---- commits meanwhile --------------------------------------------------------------------- */

static void delete_batch(struct store *s, int64_t model, int64_t n)
{
    struct store_txn *txn = begin(s);
    store_delete_batch(txn, model, n, 0);
    assert_ok(store_commit(txn, &last));
}

/* What changes between two steps is in the copy, whether its pages were copied already or not. */
static void changes_between_steps(void **state)
{
    struct fixture *f = *state;
    int64_t bytes = 0, model, next = 5, sum = 10;
    struct store_backup *b = begin_long(f, &model);
    for (int steps = 0; bytes == 0; steps++) {
        if (next < 20) { /* at the front, at the end, and where garbage was */
            delete_batch(f->store, model, next - 4);
            assert_ok(put_batch(f->store, model, next, (size_t)(next % 3) * MEGA + 1000));
            sum += next - (next - 4);
            next++;
        }
        assert_ok(store_backup_step(b, &bytes, &last));
        assert_true(steps < 1000);
    }
    store_backup_end(b);
    assert_true(next > 8);
    assert_int_equal(sum_of(f->store, "a"), sum);
    assert_int_equal(sum_of_copy(copy_of(f), "a"), sum);
}

/* A transaction that has filled SQLite's cache, and so written to the log and the copy, is undone.
 */
static void failed_commit_between_steps(void **state)
{
    struct fixture *f = *state;
    int64_t bytes = 0, model;
    struct store_backup *b = begin_long(f, &model);
    for (int64_t n = 5; n <= 8; n++) {
        fault_vfs_only("gradd.db-wal");
        fault_vfs_arm(FAULT_WRITE, 300, true, SQLITE_FULL);
        assert_kind(ERR_FULL, put_batch(f->store, model, n, 6 * MEGA));
        assert_true(fault_vfs_disarm());
        fault_vfs_only(NULL);
        assert_ok(put_batch(f->store, model, n, 1000));
        assert_ok(store_backup_step(b, &bytes, &last));
    }
    while (bytes == 0)
        assert_ok(store_backup_step(b, &bytes, &last));
    store_backup_end(b);
    assert_int_equal(sum_of_copy(copy_of(f), "a"), 36);
}

struct committer {
    struct store *store;
    int64_t model;
    atomic_bool stop;
    atomic_int_fast64_t committed; /* batches 1 to this one */
};

static void *commit_until_stopped(void *arg)
{
    static unsigned char data[300000];
    struct committer *c = arg;
    struct err e;
    for (int64_t n = 1; !atomic_load(&c->stop); n++) {
        size_t bytes = (size_t)(n * 7919 % (int64_t)sizeof data);
        struct store_batch batch = {.n = n, .layout = "x", .data = data, .bytes = bytes};
        struct store_txn *txn = store_txn_new(c->store);
        fill(data, bytes, (uint64_t)n);
        store_insert_batch(txn, c->model, &batch);
        if (store_commit(txn, &e))
            break;
        atomic_store(&c->committed, n);
    }
    return NULL;
}

/* Beside a thread that commits all the time: all that was acknowledged before the last step is in
 * the copy, in order. */
static void commits_beside_it(void **state)
{
    struct fixture *f = *state;
    int64_t model;
    struct store_backup *b = begin_long(f, &model);
    struct committer c = {.store = f->store, .model = put_model(f->store, "busy")};
    pthread_t thread;
    int64_t bytes = 0, before = 0, began = 0;
    assert_int_equal(pthread_create(&thread, NULL, commit_until_stopped, &c), 0);
    while (atomic_load(&c.committed) < 3)
        continue;
    began = atomic_load(&c.committed);
    while (bytes == 0) {
        before = atomic_load(&c.committed);
        assert_ok(store_backup_step(b, &bytes, &last));
    }
    atomic_store(&c.stop, true);
    pthread_join(thread, NULL);
    store_backup_end(b);
    assert_true(atomic_load(&c.committed) > began);
    int64_t sum = sum_of_copy(copy_of(f), "busy"), kept = 0;
    for (int64_t rest = sum; rest > 0; rest -= kept)
        kept++;
    assert_int_equal(sum, kept * (kept + 1) / 2);
    assert_in_range(kept, before, atomic_load(&c.committed));
}

/* ---- the copy's disk fails ----------------------------------------------------------------- */

static enum err_kind try_backup(struct fixture *f)
{
    int64_t bytes;
    enum err_kind rc = store_backup(f->store, copy_of(f), &bytes, &last);
    assert_int_equal(bytes > 0, rc == ERR_OK);
    assert_int_equal(is_there(copy_of(f), ""), rc == ERR_OK);
    assert_nothing_left(copy_of(f));
    return rc;
}

/* The n-th write to the copy fails, for every n: no copy, no trace, and a store that is well. */
static void torture(struct fixture *f, bool forever, int code, const char *said)
{
    int64_t model = put_model(f->store, "a"), n = 1;
    bool failed = true;
    assert_ok(put_batch(f->store, model, n, 6 * MEGA));
    for (long nth = 1; failed; nth += 1 + nth / 20) {
        fault_vfs_only(".part");
        fault_vfs_arm(FAULT_READ | FAULT_WRITE | FAULT_TRUNCATE | FAULT_SYNC, nth, forever, code);
        enum err_kind rc = try_backup(f);
        failed = fault_vfs_disarm();
        fault_vfs_only(NULL);
        assert_kind(failed ? code == SQLITE_FULL ? ERR_FULL : ERR_IO : ERR_OK, rc);
        if (failed)
            assert_said(said);
        assert_true(store_is_healthy(f->store));
        assert_ok(put_batch(f->store, model, ++n, 1000));
    }
    assert_true(n > 10);
    assert_int_equal(sum_of_copy(copy_of(f), "a"), (n - 1) * n / 2);
}

static void copy_cannot_be_written(void **state)
{
    torture(*state, true, SQLITE_IOERR_WRITE, "reading or writing");
}

static void copy_fails_once(void **state)
{
    torture(*state, false, SQLITE_IOERR_WRITE, "reading or writing");
}

static void copy_finds_the_disk_full(void **state)
{
    torture(*state, true, SQLITE_FULL, "the disk is full");
}

/* A commit that cannot be carried into the copy is committed all the same. */
static void commit_beside_a_failing_copy(void **state)
{
    struct fixture *f = *state;
    int64_t bytes, model;
    enum err_kind rc = ERR_OK;
    struct store_backup *b = begin_long(f, &model);
    fault_vfs_only(".part");
    fault_vfs_arm(FAULT_WRITE, 1, true, SQLITE_IOERR_WRITE);
    delete_batch(f->store, model, 1);
    assert_ok(put_batch(f->store, model, 5, 6 * MEGA));
    while (!rc)
        rc = store_backup_step(b, &bytes, &last);
    assert_true(fault_vfs_disarm());
    fault_vfs_only(NULL);
    assert_kind(ERR_IO, rc);
    store_backup_end(b);
    assert_nothing_left(copy_of(f));
    assert_true(store_is_healthy(f->store));
    assert_ok(put_batch(f->store, model, 6, 1000));
    fixture_reopen(f);
    assert_int_equal(sum_of(f->store, "a"), 2 + 3 + 4 + 5 + 6);
}

/* ---- no memory ----------------------------------------------------------------------------- */

static atomic_long allocations_left;

static bool fail_allocation(size_t bytes)
{
    (void)bytes;
    return atomic_fetch_sub(&allocations_left, 1) == 1;
}

static void every_allocation_fails(void **state)
{
    struct fixture *f = *state;
    bool failed = true;
    put_model(f->store, "a");
    for (long nth = 1; failed; nth++) {
        atomic_store(&allocations_left, nth);
        mem_fault = fail_allocation;
        enum err_kind rc = try_backup(f);
        mem_fault = NULL;
        failed = atomic_load(&allocations_left) <= 0;
        if (rc)
            assert_kind(ERR_NOMEM, rc);
        else
            unlink(copy_of(f));
    }
    assert_true(store_is_healthy(f->store));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(backup_is_whole),
        TEST(empty_store),
        TEST(relative_and_strange_names),
        TEST(what_is_there_stays),
        TEST(bad_names),
        TEST(one_at_a_time),
        TEST(name_is_taken_meanwhile),
        TEST(given_up),
        TEST(store_is_closed_meanwhile),
        TEST(changes_between_steps),
        TEST(failed_commit_between_steps),
        TEST(commits_beside_it),
        TEST(copy_cannot_be_written),
        TEST(copy_fails_once),
        TEST(copy_finds_the_disk_full),
        TEST(commit_beside_a_failing_copy),
        TEST(every_allocation_fails),
    };
    fault_vfs_install();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
