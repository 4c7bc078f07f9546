/* Many who put commits off and wait a moment for the connection, as those that serve HTTP do: they
 * take it in turns with the writer, and nobody waits for ever. */
#include "tests/storage/store_fixture.h"

#include <pthread.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>

#include "tests/storage/fault_vfs.h"

#define CALLERS 3
#define LONG_MS 5000 /* a commit that takes so long hangs */

static int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void sleep_ms(long ms)
{
    nanosleep(&(struct timespec){ms / 1000, ms % 1000 * 1000000}, NULL);
}

/* Assertions would leave its thread by longjmp: failures are counted. */
struct caller {
    struct store *store;
    int64_t model, seq;
    enum err_kind expected;
    atomic_int failures;
    atomic_bool answered;
    pthread_t thread;
};

static atomic_bool over;

static void is_answered(void *arg, const struct err *e)
{
    struct caller *c = arg;
    atomic_fetch_add(&c->failures, e->kind != c->expected);
    atomic_store(&c->answered, true);
}

/* false: it hangs. */
static bool commit_patiently(struct caller *c)
{
    int64_t began = now_ms();
    atomic_store(&c->answered, false);
    store_commit_later(change_txn(c->store, c->model, ++c->seq), is_answered, c);
    while (!atomic_load(&c->answered) && now_ms() - began < LONG_MS) {
        store_flush_patiently(c->store);
        if (!atomic_load(&c->answered))
            sleep_ms(1); /* somebody else is at it */
    }
    return atomic_load(&c->answered);
}

static void *come_again(void *arg)
{
    struct caller *c = arg;
    while (!atomic_load(&over) && atomic_load(&c->failures) == 0)
        if (!commit_patiently(c))
            atomic_fetch_add(&c->failures, 1);
    return NULL;
}

static void begin_callers(struct store *s, struct caller *caller)
{
    char id[2] = "a";
    memset(caller, 0, CALLERS * sizeof *caller);
    atomic_store(&over, false);
    for (int i = 0; i < CALLERS; i++, id[0]++) {
        caller[i].store = s;
        caller[i].model = put_model(s, id);
        assert_int_equal(pthread_create(&caller[i].thread, NULL, come_again, &caller[i]), 0);
    }
}

static void end_callers(struct caller *caller)
{
    int64_t seq;
    atomic_store(&over, true);
    for (int i = 0; i < CALLERS; i++)
        pthread_join(caller[i].thread, NULL);
    for (int i = 0; i < CALLERS; i++) {
        assert_int_equal(atomic_load(&caller[i].failures), 0);
        assert_ok(store_last_change(caller[i].store, caller[i].model, &seq, &last));
        assert_int_equal(seq, caller[i].seq);
        assert_true(seq > 10);
    }
}

static void await_syncs(long syncs)
{
    for (int i = 0; i < LONG_MS / 10 && fault_vfs_syncs() < syncs; i++)
        sleep_ms(10);
    assert_true(fault_vfs_syncs() >= syncs);
}

/* The writer has its turn every second, for the sync. */
static void in_turns_with_the_upkeep(void **state)
{
    static struct caller caller[CALLERS];
    struct fixture *f = *state;
    begin_callers(f->store, caller);
    long before = fault_vfs_syncs();
    sleep_ms(3500);
    assert_true(fault_vfs_syncs() >= before + 2);
    end_callers(caller);
}

/* … and whenever something is queued for it, or read, or synced at once. */
static void in_turns_with_everybody(void **state)
{
    static struct caller caller[CALLERS];
    struct fixture *f = *state;
    int64_t model = put_model(f->store, "x"), seq, end = now_ms() + 3000;
    begin_callers(f->store, caller);
    for (int64_t n = 1; now_ms() < end; n++) {
        struct store_txn *txn = change_txn(f->store, model, n);
        if (n % 3 == 0)
            store_txn_sync(txn);
        assert_ok(store_commit(txn, &last));
        assert_ok(store_last_change(f->store, model, &seq, &last));
        assert_int_equal(seq, n);
    }
    end_callers(caller);
}

/* A sync aside lasts: they go on; and behind it the writer has its turn among them. */
static void while_a_sync_lasts(void **state)
{
    static struct caller caller[CALLERS];
    struct fixture *f = *state;
    begin_callers(f->store, caller);
    fault_vfs_slow_syncs(true);
    for (int i = 0; i < LONG_MS / 10 && !fault_vfs_is_syncing(); i++)
        sleep_ms(10);
    assert_true(fault_vfs_is_syncing());
    long before = fault_vfs_changes();
    sleep_ms(500);
    assert_true(fault_vfs_changes() > before);
    long syncs = fault_vfs_syncs();
    fault_vfs_slow_syncs(false);
    await_syncs(syncs + 2); /* the next one is begun by a writer that was back */
    end_callers(caller);
}

/* The storage fails while they come: each is told so, in time. */
static void once_nothing_is_kept(void **state)
{
    struct fixture *f = *state;
    struct caller c = {.store = f->store, .model = put_model(f->store, "a")};
    fault_vfs_arm(FAULT_SYNC, 1, true, SQLITE_IOERR_FSYNC);
    for (int64_t end = now_ms() + LONG_MS; store_is_healthy(f->store) && now_ms() < end;)
        assert_true(commit_patiently(&c));
    assert_true(fault_vfs_disarm());
    assert_false(store_is_healthy(f->store));
    atomic_store(&c.failures, 0); /* the last one may have been the first that was lost */
    c.expected = ERR_IO;
    for (int i = 0; i < 100; i++)
        assert_true(commit_patiently(&c));
    assert_int_equal(atomic_load(&c.failures), 0);
}

/* What is queued when the store closes is kept. */
static void until_it_closes(void **state)
{
    struct fixture *f = *state;
    struct caller c = {.store = f->store, .model = put_model(f->store, "a")};
    int64_t seq;
    for (int i = 0; i < 100; i++)
        assert_true(commit_patiently(&c));
    atomic_store(&c.answered, false);
    store_commit_later(change_txn(f->store, c.model, ++c.seq), is_answered, &c);
    fixture_close(f);
    assert_true(atomic_load(&c.answered));
    assert_int_equal(atomic_load(&c.failures), 0);
    fixture_open(f);
    assert_ok(store_last_change(f->store, c.model, &seq, &last));
    assert_int_equal(seq, 101);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(in_turns_with_the_upkeep), TEST(in_turns_with_everybody), TEST(while_a_sync_lasts),
        TEST(once_nothing_is_kept),     TEST(until_it_closes),
    };
    fault_vfs_install();
    return cmocka_run_group_tests_name("store_patient", tests, NULL, NULL);
}
