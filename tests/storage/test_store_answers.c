/* Answers under their keys: kept with their effect, for a day, up to a number. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "engine/mem.h"
#include "tests/storage/store_fixture.h"

#define DAY ((int64_t)24 * 3600 * 1000)

static int64_t now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static struct store_answer answer(const char *key, int64_t created_at, const char *body)
{
    struct store_answer a = {.digest = -5, .status = 201, .created_at = created_at};
    snprintf(a.key, sizeof a.key, "%s", key);
    snprintf(a.location, sizeof a.location, "/models/m");
    a.body = body;
    a.bytes = strlen(body);
    return a;
}

static enum err_kind put(struct store *s, const struct store_answer *a)
{
    struct store_txn *txn = begin(s);
    store_insert_answer(txn, a);
    return store_commit(txn, &last);
}

static bool has(struct store *s, const char *key, const char *body)
{
    struct store_answer a;
    bool found;
    assert_ok(store_find_answer(s, key, &a, &found, &last));
    if (found) {
        assert_int_equal(a.digest, -5);
        assert_int_equal(a.status, 201);
        assert_string_equal(a.location, "/models/m");
        assert_int_equal(a.bytes, strlen(body));
        assert_memory_equal(a.body, body, a.bytes);
    }
    mem_free((void *)a.body);
    return found;
}

static void comes_back_as_it_was(void **state)
{
    struct fixture *f = *state;
    char *large = calloc(1, 3000001);
    memset(large, 'x', 3000000);
    struct store_answer a = answer("a", now(), "{\"step\":1}"), b = answer("b", now(), large),
                        c = answer("c", now(), "");
    assert_ok(put(f->store, &a));
    assert_ok(put(f->store, &b));
    assert_ok(put(f->store, &c));
    fixture_reopen(f);
    assert_true(has(f->store, "a", "{\"step\":1}"));
    assert_true(has(f->store, "b", large));
    assert_true(has(f->store, "c", ""));
    assert_false(has(f->store, "d", ""));
    free(large);
}

static void goes_with_its_effect(void **state)
{
    struct fixture *f = *state;
    struct store_answer a = answer("a", now(), "x");
    put_model(f->store, "taken");
    struct store_txn *txn = begin(f->store);
    struct store_model model = {.id = "taken", .spec = "{}"};
    store_insert_answer(txn, &a);
    store_insert_model(txn, &model);
    assert_kind(ERR_CONFLICT, store_commit(txn, &last));
    assert_false(has(f->store, "a", "x"));
}

static void a_key_is_taken_for_a_day(void **state)
{
    struct fixture *f = *state;
    struct store_answer old = answer("a", now() - DAY - 1000, "old"),
                        fresh = answer("a", now(), "fresh");
    assert_ok(put(f->store, &old));
    assert_false(has(f->store, "a", "old"));
    assert_ok(put(f->store, &fresh));
    assert_true(has(f->store, "a", "fresh"));
}

static int64_t count(struct fixture *f, const char *sql)
{
    fixture_close(f);
    int64_t n = sql_number(f->path, sql);
    fixture_open(f);
    return n;
}

/* The last one under a key counts, whatever its size and its age; of those before nothing is left.
 */
static void a_key_has_its_last_answer(void **state)
{
    struct fixture *f = *state;
    char *large = calloc(1, 3000001);
    memset(large, 'x', 3000000);
    const char *const bodies[] = {"first", large, "", "third", large};
    for (int i = 0; i < 5; i++) {
        struct store_answer a = answer("a", now() - i, bodies[i]), other = answer("b", now(), "b");
        if (i == 2)
            assert_ok(put(f->store, &other));
        assert_ok(put(f->store, &a));
        assert_true(has(f->store, "a", bodies[i]));
    }
    assert_true(has(f->store, "b", "b"));
    assert_int_equal(count(f, "SELECT count(*) FROM answers"), 2);
    assert_int_equal(count(f, "SELECT count(*) FROM chunks"), 3 + 1);
    assert_true(has(f->store, "a", large));
    free(large);
}

/* Two in one transaction are one after the other; one that fails leaves what was there. */
static void the_last_of_a_transaction_counts(void **state)
{
    struct fixture *f = *state;
    struct store_answer a = answer("a", now(), "one"), b = answer("a", now(), "two");
    struct store_txn *txn = begin(f->store);
    store_insert_answer(txn, &a);
    store_insert_answer(txn, &b);
    assert_ok(store_commit(txn, &last));
    assert_true(has(f->store, "a", "two"));
    txn = begin(f->store);
    store_insert_answer(txn, &a);
    store_delete_model(txn, 99);
    assert_kind(ERR_NOT_FOUND, store_commit(txn, &last));
    assert_true(has(f->store, "a", "two"));
}

static void what_is_over_is_removed(void **state)
{
    struct fixture *f = *state;
    for (int i = 0; i < 20; i++) {
        char key[16];
        snprintf(key, sizeof key, "old%d", i);
        struct store_answer a = answer(key, now() - 2 * DAY, "old");
        assert_ok(put(f->store, &a));
    }
    for (int i = 0; i < 10; i++) {
        char key[16];
        snprintf(key, sizeof key, "new%d", i);
        struct store_answer a = answer(key, now(), "new");
        assert_ok(put(f->store, &a));
    }
    fixture_close(f);
    assert_int_equal(sql_number(f->path, "SELECT count(*) FROM answers"), 10);
    assert_int_equal(sql_number(f->path, "SELECT count(*) FROM chunks"), 10);
    fixture_open(f);
}

static void damage_is_told(void **state)
{
    struct fixture *f = *state;
    struct store_answer a = answer("a", now(), "x");
    bool found;
    assert_ok(put(f->store, &a));
    fixture_close(f);
    sql_run(f->path, "UPDATE answers SET status = 200");
    fixture_open(f);
    assert_kind(ERR_IO, store_find_answer(f->store, "a", &a, &found, &last));
    mem_free((void *)a.body);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(comes_back_as_it_was, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(goes_with_its_effect, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(a_key_is_taken_for_a_day, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(a_key_has_its_last_answer, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(the_last_of_a_transaction_counts, fixture_setup,
                                        fixture_teardown),
        cmocka_unit_test_setup_teardown(what_is_over_is_removed, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(damage_is_told, fixture_setup, fixture_teardown),
    };
    return cmocka_run_group_tests_name("store_answers", tests, NULL, NULL);
}
