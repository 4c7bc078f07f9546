/* Jobs: kept with their effect, finished once, the newest finished ones stay. */
#include <stdio.h>
#include <string.h>

#include "engine/mem.h"
#include "tests/storage/store_fixture.h"

static enum err_kind put(struct store *s, int64_t n, const char *id)
{
    struct store_job job = {.n = n, .text = "{\"plan\":1}", .created_at = 1000 + n};
    struct store_txn *txn = begin(s);
    snprintf(job.id, sizeof job.id, "%s", id);
    store_insert_job(txn, &job);
    return store_commit(txn, &last);
}

static enum err_kind finish(struct store *s, int64_t n, const char *text)
{
    struct store_txn *txn = begin(s);
    store_finish_job(txn, n, text);
    return store_commit(txn, &last);
}

static enum err_kind remove_job(struct store *s, int64_t n)
{
    struct store_txn *txn = begin(s);
    store_delete_job(txn, n);
    return store_commit(txn, &last);
}

/* text NULL: there is none. */
static void assert_job(struct store *s, int64_t n, bool finished, const char *text)
{
    struct store_job job;
    bool found;
    assert_ok(store_find_job(s, n, &job, &found, &last));
    assert_int_equal(found, text != NULL);
    if (text) {
        assert_int_equal(job.n, n);
        assert_int_equal(job.finished, finished);
        assert_int_equal(job.created_at, 1000 + n);
        assert_string_equal(job.text, text);
    }
    mem_free((void *)job.text);
}

/* The number of the next one, 0: none. */
static int64_t next(struct store *s, int64_t after, const char *id, bool unfinished)
{
    struct store_job job;
    bool found;
    assert_ok(store_next_job(s, after, id, unfinished, &job, &found, &last));
    mem_free((void *)job.text);
    return found ? job.n : 0;
}

static void it_is_finished_once(void **state)
{
    struct fixture *f = *state;
    assert_ok(put(f->store, 1, "a"));
    assert_kind(ERR_CONFLICT, put(f->store, 1, "b"));
    assert_job(f->store, 1, false, "{\"plan\":1}");
    assert_ok(finish(f->store, 1, "done"));
    assert_ok(finish(f->store, 1, "cancelled")); /* too late */
    fixture_reopen(f);
    assert_job(f->store, 1, true, "done");
    assert_kind(ERR_NOT_FOUND, finish(f->store, 2, "done"));
    assert_ok(remove_job(f->store, 1));
    assert_kind(ERR_NOT_FOUND, remove_job(f->store, 1));
    assert_job(f->store, 1, false, NULL);
}

static void it_goes_with_its_transaction(void **state)
{
    struct fixture *f = *state;
    int64_t model = put_model(f->store, "a");
    struct store_job job = {.n = 1, .id = "a", .text = "{}"};
    struct store_txn *txn = begin(f->store);
    store_insert_job(txn, &job);
    store_require_change(txn, model, 7);
    assert_kind(ERR_UNAVAILABLE, store_commit(txn, &last));
    assert_job(f->store, 1, false, NULL);
}

static void they_come_in_order(void **state)
{
    struct fixture *f = *state;
    int64_t n;
    for (int i = 1; i <= 6; i++)
        assert_ok(put(f->store, i, i % 2 ? "a" : "b"));
    assert_ok(finish(f->store, 2, "x"));
    assert_ok(finish(f->store, 3, "x"));
    assert_int_equal(next(f->store, 0, "", false), 1);
    assert_int_equal(next(f->store, 1, "", false), 2);
    assert_int_equal(next(f->store, 1, "", true), 4);
    assert_int_equal(next(f->store, 1, "a", false), 3);
    assert_int_equal(next(f->store, 1, "a", true), 5);
    assert_int_equal(next(f->store, 5, "a", false), 0);
    assert_ok(remove_job(f->store, 6));
    fixture_reopen(f); /* a number is not given twice */
    assert_ok(store_last_job(f->store, &n, &last));
    assert_int_equal(n, 6);
}

static void the_newest_finished_ones_stay(void **state)
{
    struct fixture *f = *state;
    assert_ok(put(f->store, 1, "waits"));
    for (int64_t i = 2; i <= 1010; i++) {
        assert_ok(put(f->store, i, "a"));
        assert_ok(finish(f->store, i, "done"));
    }
    assert_job(f->store, 1, false, "{\"plan\":1}"); /* however old */
    assert_job(f->store, 10, true, NULL);
    assert_job(f->store, 11, true, "done");
    fixture_close(f);
    assert_int_equal(sql_number(f->path, "SELECT count(*) FROM jobs"), 1001);
    fixture_open(f);
}

static void damage_is_told(void **state)
{
    static const char *const damage[] = {
        "UPDATE jobs SET text = 'x' WHERE n = 2", "UPDATE jobs SET id = 'x' WHERE n = 2",
        "UPDATE jobs SET finished = 1 WHERE n = 2", "UPDATE jobs SET created_at = 0 WHERE n = 2",
        "UPDATE jobs SET n = 9 WHERE n = 2"};
    for (size_t i = 0; i < sizeof damage / sizeof *damage; i++) {
        struct fixture *f = *state;
        struct store_job job;
        bool found;
        for (int n = 1; n <= 3; n++)
            assert_ok(put(f->store, n, "a"));
        fixture_close(f);
        sql_run(f->path, damage[i]);
        fixture_open(f);
        int64_t is = i == 4 ? 9 : 2;
        assert_kind(ERR_IO, store_find_job(f->store, is, &job, &found, &last));
        assert_kind(ERR_IO, store_next_job(f->store, is - 1, "", false, &job, &found, &last));
        assert_int_equal(job.n, is);
        assert_job(f->store, 3, false, "{\"plan\":1}");
        assert_ok(remove_job(f->store, is));
        assert_ok(remove_job(f->store, 1));
        assert_ok(remove_job(f->store, 3));
    }
}

#define JOB_TEST(f) cmocka_unit_test_setup_teardown(f, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        JOB_TEST(it_is_finished_once), JOB_TEST(it_goes_with_its_transaction),
        JOB_TEST(they_come_in_order),  JOB_TEST(the_newest_finished_ones_stay),
        JOB_TEST(damage_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
