#include "tests/storage/store_fixture.h"

#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "engine/mem.h"
#include "tests/storage/fault_memory.h"
#include "tests/storage/fault_vfs.h"

/* ---- a failing disk ------------------------------------------------------------------------ */

/* The model's batches 1 to `count` are there, and no more. */
static enum err_kind next_batch(void *arg, const struct store_batch *batch, struct err *e)
{
    int64_t *next = arg;
    (void)e;
    assert_int_equal(batch->n, *next + 1);
    assert_filled(batch->data, batch->bytes, (uint64_t)batch->n);
    ++*next;
    return ERR_OK;
}

static void assert_batches(struct store *s, int64_t model, int64_t count)
{
    int64_t next = 0;
    assert_ok(store_each_batch(s, model, next_batch, &next, &last));
    assert_int_equal(next, count);
}

static void failed_write_ends_acknowledging(void **state)
{
    struct fixture *f = *state;
    int64_t model = put_model(f->store, "a");
    assert_ok(put_batch(f->store, model, 1, 1000));
    fault_vfs_arm(FAULT_WRITE, 1, false, SQLITE_IOERR_WRITE);
    assert_kind(ERR_IO, put_batch(f->store, model, 2, 1000));
    assert_true(fault_vfs_disarm());
    assert_false(store_is_healthy(f->store));
    /* the disk is fine again, but who knows what it holds */
    for (int i = 0; i < 3; i++)
        assert_kind(ERR_IO, put_batch(f->store, model, 2, 1000));
    assert_said("nothing is kept");
    assert_batches(f->store, model, 1); /* still read */
    fixture_reopen(f);
    assert_true(store_is_healthy(f->store));
    assert_batches(f->store, model, 1);
    assert_ok(put_batch(f->store, model, 2, 1000));
}

/* The sync comes by itself, some time after the commit was acknowledged. */
static void failed_sync_ends_acknowledging(void **state)
{
    struct fixture *f = *state;
    int64_t model = put_model(f->store, "a");
    fault_vfs_arm(FAULT_SYNC, 1, false, SQLITE_IOERR_FSYNC);
    assert_ok(put_batch(f->store, model, 1, 1000));
    for (int i = 0; i < 3000 && store_is_healthy(f->store); i++)
        nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    assert_false(store_is_healthy(f->store));
    assert_true(fault_vfs_disarm());
    assert_kind(ERR_IO, put_batch(f->store, model, 2, 1000));
    assert_batches(f->store, model, 1);
    fixture_reopen(f);
    assert_batches(f->store, model, 1);
}

static void full_disk_passes(void **state)
{
    struct fixture *f = *state;
    int64_t model = put_model(f->store, "a");
    for (int64_t n = 1; n <= 10; n++) {
        /* 3 MB: more than SQLite's cache holds, so it also fills up before the commit */
        size_t bytes = n % 2 ? 1000 : 3000000;
        fault_vfs_arm(FAULT_WRITE, n % 2 ? 1 + n / 2 : 30 * n, true, SQLITE_FULL);
        assert_kind(ERR_FULL, put_batch(f->store, model, n, bytes));
        assert_true(fault_vfs_disarm());
        assert_said("the disk is full");
        assert_true(store_is_healthy(f->store));
        assert_batches(f->store, model, n - 1);
        assert_ok(put_batch(f->store, model, n, bytes));
    }
    fixture_reopen(f);
    assert_batches(f->store, model, 10);
}

/* ---- the n-th call fails, for every n ------------------------------------------------------ */

/* What a run of the scenario was told. */
struct result {
    enum err_kind open;
    bool model, batch_1, batch_2, deleted_1, losses, automatic, client; /* acknowledged */
    enum err_kind worst; /* another kind than OK that some call gave, the last one */
};

static bool note(struct result *r, enum err_kind rc)
{
    if (rc)
        r->worst = rc;
    return rc == ERR_OK;
}

static enum err_kind insert_model(struct store *s, struct store_model *model)
{
    struct store_txn *txn = store_txn_new(s);
    if (!txn)
        return ERR_NOMEM;
    store_insert_model(txn, model);
    return store_commit(txn, &last);
}

static enum err_kind insert_batch(struct store *s, int64_t model, int64_t n, size_t bytes)
{
    static unsigned char data[1200000];
    struct store_batch batch = {.n = n, .layout = "x", .data = data, .bytes = bytes};
    struct store_txn *txn = store_txn_new(s);
    if (!txn)
        return ERR_NOMEM;
    fill(data, bytes, (uint64_t)n);
    store_insert_batch(txn, model, &batch);
    return store_commit(txn, &last);
}

static enum err_kind delete_batch(struct store *s, int64_t model, int64_t n)
{
    struct store_txn *txn = store_txn_new(s);
    if (!txn)
        return ERR_NOMEM;
    store_delete_batch(txn, model, n, 0);
    return store_commit(txn, &last);
}

static enum err_kind save_checkpoint(struct store *s, int64_t model, int64_t n)
{
    unsigned char data[500];
    struct store_checkpoint c = {
        .n = n,
        .step = 7,
        .label = "l",
        .state = "s",
        .section = {{"parameters", data, sizeof data}},
        .sections = 1,
    };
    struct store_txn *txn = store_txn_new(s);
    if (!txn)
        return ERR_NOMEM;
    fill(data, sizeof data, 7);
    store_save_checkpoint(txn, model, &c);
    return store_commit(txn, &last);
}

static enum err_kind replace_losses(struct store *s, int64_t model)
{
    double loss[1500];
    struct store_txn *txn = store_txn_new(s);
    if (!txn)
        return ERR_NOMEM;
    for (int i = 0; i < 1500; i++)
        loss[i] = loss_of(i);
    store_replace_losses(txn, model, 0, loss, 1500);
    return store_commit(txn, &last);
}

static bool sum_losses(void *arg, int64_t first, const double *loss, size_t count)
{
    int64_t *next = arg;
    for (size_t i = 0; i < count; i++)
        assert_true(loss[i] == loss_of(first + (int64_t)i));
    *next = first + (int64_t)count;
    return true;
}

static enum err_kind see_batch(void *arg, const struct store_batch *batch, struct err *e)
{
    int64_t *sum = arg;
    (void)e;
    assert_filled(batch->data, batch->bytes, (uint64_t)batch->n);
    *sum += batch->n;
    return ERR_OK;
}

static enum err_kind load(struct store *s, int64_t model, int64_t n, bool *found)
{
    struct store_checkpoint c;
    bool fallback;
    enum err_kind rc = store_load_checkpoint(s, model, n, &c, found, &fallback, &last);
    if (*found)
        assert_filled(c.section[0].data, 500, 7);
    store_checkpoint_close(&c);
    return rc;
}

/* Every kind of reading; whatever is given must be right. */
static void read_all(struct store *s, struct result *r)
{
    struct store_model m;
    struct store_checkpoint c[2];
    char ids[2][STORE_ID_BYTES];
    size_t count;
    bool found;
    int64_t sum = 0, a, b;
    note(r, store_list_models(s, "", 2, ids, &count, &last));
    enum err_kind rc = store_find_model(s, "a", &m, &last);
    if (rc == ERR_NOT_FOUND && !r->model)
        return;
    if (!note(r, rc))
        return;
    mem_free((void *)m.spec);
    note(r, store_each_batch(s, m.key, see_batch, &sum, &last));
    note(r, load(s, m.key, 0, &found));
    note(r, load(s, m.key, 3, &found));
    if (note(r, store_list_checkpoints(s, m.key, 0, 2, c, &count, &last)))
        while (count > 0)
            store_checkpoint_close(&c[--count]);
    note(r, store_last_numbers(s, m.key, &a, &b, &last));
    note(r, store_each_loss(s, m.key, 0, 2000, sum_losses, &sum, &last));
}

static void run_scenario(const char *path, struct result *r)
{
    struct store *s;
    struct store_model model = {.id = "a", .spec = "spec"};
    *r = (struct result){.open = store_open(path, &anywhere, &s, &last)};
    if (!note(r, r->open))
        return;
    if ((r->model = note(r, insert_model(s, &model)))) {
        r->batch_1 = note(r, insert_batch(s, model.key, 1, 1000));
        r->batch_2 = note(r, insert_batch(s, model.key, 2, 1200000));
        r->automatic = note(r, save_checkpoint(s, model.key, 0));
        r->losses = note(r, replace_losses(s, model.key));
        r->client = note(r, save_checkpoint(s, model.key, 3));
        r->deleted_1 = r->batch_1 && note(r, delete_batch(s, model.key, 1));
    }
    read_all(s, r);
    store_close(s);
}

/* All that was acknowledged is there, and the store can be written. */
static void check_acknowledged(const char *path, const struct result *r)
{
    struct store *s;
    struct store_model m;
    bool found;
    int64_t sum = 0, next = 0;
    assert_ok(store_open(path, &anywhere, &s, &last));
    if (r->model) {
        assert_ok(store_find_model(s, "a", &m, &last));
        mem_free((void *)m.spec);
        assert_ok(store_each_batch(s, m.key, see_batch, &sum, &last));
        assert_true(!r->batch_2 || sum >= 2);
        assert_true(!r->deleted_1 || sum == 2 || sum == 0);
        assert_true(!r->batch_1 || r->deleted_1 || sum % 2 == 1 || !r->batch_2);
        assert_ok(load(s, m.key, 0, &found));
        assert_true(found || !r->automatic);
        assert_ok(load(s, m.key, 3, &found));
        assert_true(found || !r->client);
        assert_ok(store_each_loss(s, m.key, 0, 2000, sum_losses, &next, &last));
        assert_true(next == 1500 || !r->losses);
    }
    put_model(s, "afterwards");
    store_close(s);
}

static void remove_store(const char *path)
{
    char name[112];
    snprintf(name, sizeof name, "%s-wal", path);
    remove(name);
    snprintf(name, sizeof name, "%s-journal", path);
    remove(name);
    remove(path);
}

/* Runs the scenario with its first, second, … call failing, until none does. A step of more than
 * one leaves some out. */
static void torture_disk(struct fixture *f, unsigned calls, bool forever, int code)
{
    bool failed = true;
    char path[96];
    snprintf(path, sizeof path, "%s/torture.db", f->folder);
    for (long nth = 1; failed; nth += 1 + nth / 20) {
        struct result r;
        remove_store(path);
        fault_vfs_arm(calls, nth, forever, code);
        run_scenario(path, &r);
        failed = fault_vfs_disarm();
        assert_true(failed || r.worst == ERR_OK);
        check_acknowledged(path, &r);
    }
}

static void every_write_fails_once(void **state)
{
    torture_disk(*state, FAULT_WRITE | FAULT_TRUNCATE, false, SQLITE_IOERR_WRITE);
}

static void every_write_fails_for_ever(void **state)
{
    torture_disk(*state, FAULT_WRITE | FAULT_TRUNCATE, true, SQLITE_IOERR_WRITE);
}

static void every_write_finds_the_disk_full(void **state)
{
    torture_disk(*state, FAULT_WRITE, true, SQLITE_FULL);
}

static void every_sync_fails(void **state)
{
    torture_disk(*state, FAULT_SYNC, false, SQLITE_IOERR_FSYNC);
}

static void every_read_fails(void **state)
{
    torture_disk(*state, FAULT_READ, false, SQLITE_IOERR_READ);
}

/* ---- no memory ----------------------------------------------------------------------------- */

static void every_allocation_fails(void **state)
{
    struct fixture *f = *state;
    bool failed = true;
    char path[96];
    snprintf(path, sizeof path, "%s/torture.db", f->folder);
    for (long nth = 1; failed; nth++) {
        struct result r;
        remove_store(path);
        fault_memory_arm(FAULT_OURS, nth);
        run_scenario(path, &r);
        failed = fault_memory_disarm();
        assert_int_equal(r.worst, failed ? ERR_NOMEM : ERR_OK);
        check_acknowledged(path, &r);
    }
}

/* Those of SQLite itself: every one at first, then fewer and fewer of some ten thousand. */
static void every_allocation_of_sqlite_fails(void **state)
{
    struct fixture *f = *state;
    bool failed = true;
    char path[96];
    snprintf(path, sizeof path, "%s/torture.db", f->folder);
    for (long nth = 1; failed; nth += 1 + nth / 15) {
        struct result r;
        remove_store(path);
        fault_memory_arm(FAULT_SQLITE, nth);
        run_scenario(path, &r);
        failed = fault_memory_disarm();
        if (r.worst != ERR_OK && !(failed && r.worst == ERR_NOMEM))
            fail_msg("allocation %ld: %s: %s", nth, err_slug(r.worst), last.message);
        check_acknowledged(path, &r);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(failed_write_ends_acknowledging),
        TEST(failed_sync_ends_acknowledging),
        TEST(full_disk_passes),
        TEST(every_write_fails_once),
        TEST(every_write_fails_for_ever),
        TEST(every_write_finds_the_disk_full),
        TEST(every_sync_fails),
        TEST(every_read_fails),
        TEST(every_allocation_fails),
        TEST(every_allocation_of_sqlite_fails),
    };
    fault_memory_install();
    fault_vfs_install();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
