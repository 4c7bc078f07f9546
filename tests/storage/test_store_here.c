/* Commits on the caller's own thread, beside the writer's; and those that are synced at once. */
#include "tests/storage/store_fixture.h"

#include <pthread.h>
#include <semaphore.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "tests/storage/fault_vfs.h"

static void sleep_ms(long ms)
{
    nanosleep(&(struct timespec){ms / 1000, ms % 1000 * 1000000}, NULL);
}

static int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* ---- while the writer is held -------------------------------------------------------------- */

struct gate {
    sem_t reached, open;
};

static void wait_at_gate(void *arg, const struct err *e)
{
    struct gate *gate = arg;
    (void)e;
    sem_post(&gate->reached);
    sem_wait(&gate->open);
}

static void hold(struct store *s, struct gate *gate)
{
    sem_init(&gate->reached, 0, 0);
    sem_init(&gate->open, 0, 0);
    store_commit_then(begin(s), wait_at_gate, gate);
    sem_wait(&gate->reached);
}

/* A commit that was put off, until it is answered. */
struct put_off {
    sem_t answered;
    struct err err;
};

static void is_answered(void *arg, const struct err *e)
{
    struct put_off *p = arg;
    p->err = *e;
    sem_post(&p->answered);
}

/* Puts it off, and has it done here if that is possible. */
static enum err_kind commit_here(struct store *s, struct store_txn *txn)
{
    struct put_off p = {.err.kind = ERR_OK};
    sem_init(&p.answered, 0, 0);
    store_commit_later(txn, is_answered, &p);
    store_flush(s);
    sem_wait(&p.answered);
    sem_destroy(&p.answered);
    last = p.err;
    return last.kind;
}

static int64_t last_change(struct store *s, int64_t model)
{
    int64_t seq;
    assert_ok(store_last_change(s, model, &seq, &last));
    return seq;
}

/* What cannot be done here is left to the writer, and nobody waits. */
static void not_beside_the_writer(void **state)
{
    struct fixture *f = *state;
    int64_t model = put_model(f->store, "a");
    struct gate gate;
    struct put_off p = {.err.kind = ERR_INTERNAL};
    sem_init(&p.answered, 0, 0);
    hold(f->store, &gate);
    store_commit_later(change_txn(f->store, model, 1), is_answered, &p);
    for (int i = 0; i < 3; i++)
        store_flush(f->store);
    assert_int_not_equal(sem_trywait(&p.answered), 0);
    sem_post(&gate.open);
    sem_wait(&p.answered);
    assert_ok(p.err.kind);
    assert_int_equal(last_change(f->store, model), 1);
}

/* Who waits for the connection does it here as soon as that is free; if it takes too long it is
 * left to the writer. */
static void waits_a_moment(void **state)
{
    struct fixture *f = *state;
    int64_t model = put_model(f->store, "a");
    struct gate gate;
    struct put_off p = {.err.kind = ERR_INTERNAL};
    sem_init(&p.answered, 0, 0);
    store_commit_later(change_txn(f->store, model, 1), is_answered, &p);
    store_flush_patiently(f->store); /* the writer may not be back yet, but is soon */
    assert_int_equal(sem_trywait(&p.answered), 0);
    assert_ok(p.err.kind);
    hold(f->store, &gate);
    store_commit_later(change_txn(f->store, model, 2), is_answered, &p);
    store_flush_patiently(f->store);
    assert_int_not_equal(sem_trywait(&p.answered), 0);
    sem_post(&gate.open);
    sem_wait(&p.answered);
    assert_ok(p.err.kind);
    /* as is, at once, what may take longer */
    struct store_txn *txn = change_txn(f->store, model, 3);
    store_txn_sync(txn);
    store_commit_later(txn, is_answered, &p);
    store_flush_patiently(f->store);
    sem_wait(&p.answered);
    assert_ok(p.err.kind);
    assert_int_equal(last_change(f->store, model), 3);
}

/* Put off and never flushed: it goes with the next that is not. */
static void goes_with_the_next(void **state)
{
    struct fixture *f = *state;
    int64_t model = put_model(f->store, "a");
    struct put_off p = {.err.kind = ERR_INTERNAL};
    sem_init(&p.answered, 0, 0);
    store_commit_later(change_txn(f->store, model, 1), is_answered, &p);
    assert_ok(store_commit(change_txn(f->store, model, 2), &last));
    assert_int_equal(sem_trywait(&p.answered), 0);
    assert_ok(p.err.kind);
    assert_int_equal(last_change(f->store, model), 2);
}

/* The failure is the transaction's own, and is told. */
static void fails_here(void **state)
{
    struct fixture *f = *state;
    int64_t model = put_model(f->store, "a");
    assert_ok(commit_here(f->store, change_txn(f->store, model, 1)));
    assert_kind(ERR_UNAVAILABLE, commit_here(f->store, change_txn(f->store, model, 3)));
    struct store_txn *txn = change_txn(f->store, model, 2);
    store_delete_model(txn, 99);
    assert_kind(ERR_NOT_FOUND, commit_here(f->store, txn));
    assert_ok(commit_here(f->store, change_txn(f->store, model, 2)));
    assert_int_equal(last_change(f->store, model), 2);
    fault_vfs_arm(FAULT_WRITE, 1, false, SQLITE_FULL);
    assert_kind(ERR_FULL, commit_here(f->store, change_txn(f->store, model, 3)));
    assert_true(fault_vfs_disarm());
    assert_ok(commit_here(f->store, change_txn(f->store, model, 3)));
    fixture_reopen(f);
    assert_int_equal(last_change(f->store, model), 3);
}

/* ---- contention ---------------------------------------------------------------------------- */

#define CALLERS 4
#define ROUNDS  400

/* Appends changes to a model of its own, in order, some here, some by the writer, waited for or
 * not. Assertions would leave the thread by longjmp: failures are counted. */
struct caller {
    struct store *store;
    int64_t model;
    atomic_int failures, answered, next;
};

struct sent {
    struct caller *caller;
    int seq;
};

/* In the order in which they were sent. */
static void sent_is_kept(void *arg, const struct err *e)
{
    const struct sent *sent = arg;
    struct caller *c = sent->caller;
    atomic_fetch_add(&c->failures, e->kind != ERR_OK);
    atomic_fetch_add(&c->failures, atomic_exchange(&c->next, sent->seq) >= sent->seq);
    atomic_fetch_add(&c->answered, 1);
}

static void *run_caller(void *arg)
{
    static _Thread_local struct sent sent[ROUNDS + 1];
    struct caller *c = arg;
    struct err e;
    int64_t seq;
    for (int i = 1; i <= ROUNDS; i++) {
        struct store_txn *txn = change_txn(c->store, c->model, i);
        sent[i] = (struct sent){c, i};
        if (i % 16 == 0) {
            atomic_fetch_add(&c->failures, store_commit(txn, &e) != ERR_OK);
        } else if (i % 4) {
            store_commit_later(txn, sent_is_kept, &sent[i]);
            if (i % 3)
                store_flush(c->store);
        } else {
            store_commit_then(txn, sent_is_kept, &sent[i]);
        }
        if (i % 50 == 0) /* a read comes behind all that was sent */
            atomic_fetch_add(&c->failures,
                             store_last_change(c->store, c->model, &seq, &e) || seq != i);
    }
    store_wait(c->store);
    return NULL;
}

static bool count_changes(void *arg, const struct store_change *change)
{
    int64_t *next = arg;
    *next += change->seq == *next + 1;
    return true;
}

/* Every model's changes are all there and in order, whoever committed them. */
static void order_is_kept(void **state)
{
    struct fixture *f = *state;
    static struct caller caller[CALLERS];
    pthread_t thread[CALLERS];
    char id[2] = "a";
    memset(caller, 0, sizeof caller);
    for (int i = 0; i < CALLERS; i++, id[0]++) {
        caller[i].store = f->store;
        caller[i].model = put_model(f->store, id);
    }
    for (int i = 0; i < CALLERS; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, run_caller, &caller[i]), 0);
    for (int i = 0; i < CALLERS; i++)
        pthread_join(thread[i], NULL);
    for (int i = 0; i < CALLERS; i++) {
        int64_t next = 0;
        assert_int_equal(atomic_load(&caller[i].failures), 0);
        assert_ok(store_each_change(f->store, caller[i].model, 1, INT64_MAX, count_changes, &next,
                                    &last));
        assert_int_equal(next, ROUNDS);
    }
}

/* Many read and commit where they are while others come and go: nobody is left waiting. */
static void *read_all_the_time(void *arg)
{
    struct caller *c = arg;
    struct err e;
    int64_t seq, before = 0;
    for (int i = 0; i < 20 * ROUNDS; i++) {
        atomic_fetch_add(&c->failures,
                         store_last_change(c->store, c->model, &seq, &e) || seq < before);
        before = seq;
    }
    return NULL;
}

static void reads_see_what_was_answered(void **state)
{
    struct fixture *f = *state;
    static struct caller writer, reader[2];
    pthread_t thread[2];
    memset(&writer, 0, sizeof writer);
    memset(reader, 0, sizeof reader);
    writer.store = f->store;
    writer.model = put_model(f->store, "a");
    for (int i = 0; i < 2; i++) {
        reader[i].store = f->store;
        reader[i].model = writer.model;
        assert_int_equal(pthread_create(&thread[i], NULL, read_all_the_time, &reader[i]), 0);
    }
    for (int64_t seq = 1; seq <= 500; seq++) {
        struct store_txn *txn = change_txn(f->store, writer.model, seq);
        assert_ok(commit_here(f->store, txn));
        assert_int_equal(last_change(f->store, writer.model), seq);
    }
    for (int i = 0; i < 2; i++) {
        pthread_join(thread[i], NULL);
        assert_int_equal(atomic_load(&reader[i].failures), 0);
    }
}

/* ---- on the disk --------------------------------------------------------------------------- */

static enum err_kind commit_synced(struct store *s, struct store_txn *txn, bool here)
{
    store_txn_sync(txn);
    return here ? commit_here(s, txn) : store_commit(txn, &last);
}

static void synced_before_the_answer(void **state)
{
    struct fixture *f = *state;
    int64_t model = put_model(f->store, "a");
    for (int64_t seq = 1; seq <= 10; seq++) {
        long before = fault_vfs_syncs();
        assert_ok(commit_synced(f->store, change_txn(f->store, model, seq), seq % 2));
        assert_true(fault_vfs_syncs() > before);
    }
}

/* Without an effect there is nothing to sync. */
static void a_failed_one_syncs_nothing(void **state)
{
    struct fixture *f = *state;
    int64_t model = put_model(f->store, "a");
    assert_ok(commit_synced(f->store, change_txn(f->store, model, 1), true));
    long before = fault_vfs_syncs();
    assert_kind(ERR_UNAVAILABLE, commit_synced(f->store, change_txn(f->store, model, 7), true));
    assert_int_equal(fault_vfs_syncs(), before);
}

static void count_kept(void *arg, const struct err *e)
{
    atomic_fetch_add((atomic_int *)arg, e->kind == ERR_OK);
}

/* A group is synced once, for all of its members. */
static void one_sync_for_a_group(void **state)
{
    struct fixture *f = *state;
    int64_t model = put_model(f->store, "a");
    struct gate gate;
    atomic_int kept = 0;
    assert_ok(commit_synced(f->store, change_txn(f->store, model, 1),
                            false)); /* what was before is synced */
    hold(f->store, &gate);
    long before = fault_vfs_syncs();
    for (int64_t seq = 2; seq <= 20; seq++) {
        struct store_txn *txn = change_txn(f->store, model, seq);
        if (seq % 3 == 0)
            store_txn_sync(txn);
        store_commit_then(txn, count_kept, &kept);
    }
    sem_post(&gate.open);
    store_wait(f->store);
    assert_int_equal(kept, 19);
    assert_int_equal(fault_vfs_syncs(), before + 1);
}

static void a_failed_sync_is_told(void **state)
{
    struct fixture *f = *state;
    for (int here = 0; here < 2; here++) {
        int64_t model = put_model(f->store, here ? "b" : "a");
        assert_ok(commit_synced(f->store, change_txn(f->store, model, 1), here));
        fault_vfs_arm(FAULT_SYNC, 1, false, SQLITE_IOERR_FSYNC);
        assert_kind(ERR_IO, commit_synced(f->store, change_txn(f->store, model, 2), here));
        assert_true(fault_vfs_disarm());
        assert_false(store_is_healthy(f->store));
        assert_kind(ERR_IO, commit_synced(f->store, change_txn(f->store, model, 3), here));
        fixture_reopen(f);
        assert_true(store_is_healthy(f->store));
    }
}

/* The log is synced aside every second: nobody waits for that, nor for the writer. */
static void commits_go_on_during_a_sync(void **state)
{
    struct fixture *f = *state;
    int64_t model = put_model(f->store, "a"), seq = 0;
    fault_vfs_slow_syncs(true);
    for (int i = 0; i < 500 && !fault_vfs_is_syncing(); i++)
        sleep_ms(10);
    assert_true(fault_vfs_is_syncing());
    while (seq < 100)
        assert_ok(commit_here(f->store, change_txn(f->store, model, ++seq)));
    assert_int_equal(last_change(f->store, model), 100);
    static atomic_int kept; /* of what the writer alone may do */
    store_commit_then(change_txn(f->store, model, ++seq), count_kept, &kept);
    for (int i = 0; i < 500 && atomic_load(&kept) == 0; i++)
        sleep_ms(10);
    bool syncing = fault_vfs_is_syncing();
    long before = fault_vfs_syncs();
    fault_vfs_slow_syncs(false);
    assert_int_equal(atomic_load(&kept), 1);
    assert_true(syncing);
    for (int i = 0; i < 500 && fault_vfs_syncs() < before + 2; i++) /* what came meanwhile, too */
        sleep_ms(10);
    assert_true(fault_vfs_syncs() >= before + 2);
    assert_true(store_is_healthy(f->store));
}

/* The system tells a failed sync once, to whichever thread comes first. */
static void a_failed_sync_beside_one_aside_is_told(void **state)
{
    struct fixture *f = *state;
    for (int i = 0; i < 3; i++) {
        const char id[] = {(char)('a' + i), '\0'};
        int64_t model = put_model(f->store, id);
        fault_vfs_slow_syncs(true);
        for (int k = 0; k < 500 && !fault_vfs_is_syncing(); k++)
            sleep_ms(10);
        bool aside = fault_vfs_is_syncing();
        static atomic_int kept;
        atomic_store(&kept, 0);
        struct store_txn *txn = change_txn(f->store, model, 1);
        store_txn_sync(txn);
        store_commit_then(txn, count_kept, &kept);
        sleep_ms(20); /* mostly it syncs now, too */
        fault_vfs_arm(FAULT_SYNC, 1, false, SQLITE_IOERR_FSYNC);
        fault_vfs_slow_syncs(false);
        store_wait(f->store);
        assert_true(aside);
        assert_true(fault_vfs_disarm());
        assert_int_equal(atomic_load(&kept), 0);
        assert_false(store_is_healthy(f->store));
        fixture_reopen(f);
    }
}

static void *close_store(void *arg)
{
    fixture_close(arg);
    return NULL;
}

/* What came during a sync is there, even if the store is closed meanwhile. */
static void closing_awaits_a_sync(void **state)
{
    struct fixture *f = *state;
    int64_t model = put_model(f->store, "a");
    pthread_t thread;
    fault_vfs_slow_syncs(true);
    for (int i = 0; i < 500 && !fault_vfs_is_syncing(); i++)
        sleep_ms(10);
    bool aside = fault_vfs_is_syncing();
    assert_ok(commit_here(f->store, change_txn(f->store, model, 1)));
    assert_int_equal(pthread_create(&thread, NULL, close_store, f), 0);
    sleep_ms(20);
    fault_vfs_slow_syncs(false);
    pthread_join(thread, NULL);
    fixture_open(f);
    assert_true(aside);
    assert_true(store_is_healthy(f->store));
    assert_int_equal(last_change(f->store, model), 1);
}

static void a_failed_sync_aside_is_told(void **state)
{
    struct fixture *f = *state;
    int64_t model = put_model(f->store, "a");
    fault_vfs_arm(FAULT_SYNC, 1, false, SQLITE_IOERR_FSYNC);
    for (int i = 0; i < 500 && store_is_healthy(f->store); i++)
        sleep_ms(10);
    assert_true(fault_vfs_disarm());
    assert_kind(ERR_IO, commit_here(f->store, change_txn(f->store, model, 1)));
}

/* ---- the upkeep goes on -------------------------------------------------------------------- */

/* The longest time without a sync while commits are made here, one behind the other. */
static int64_t longest_unsynced(struct store *s, int64_t model, int64_t ms)
{
    int64_t began = now_ms(), synced = began, longest = 0, seq = last_change(s, model);
    long syncs = fault_vfs_syncs();
    while (now_ms() - began < ms) {
        assert_ok(commit_here(s, change_txn(s, model, ++seq)));
        if (fault_vfs_syncs() != syncs) {
            syncs = fault_vfs_syncs();
            synced = now_ms();
        }
        longest = now_ms() - synced > longest ? now_ms() - synced : longest;
    }
    return longest;
}

static void here_is_synced_in_time_too(void **state)
{
    struct fixture *f = *state;
    int64_t model = put_model(f->store, "a");
    assert_true(longest_unsynced(f->store, model, 4000) < 2500);
    /* … and the last ones, when nobody comes any more */
    long before = fault_vfs_syncs();
    assert_ok(commit_here(f->store, change_txn(f->store, model, last_change(f->store, model) + 1)));
    for (int i = 0; i < 300 && fault_vfs_syncs() == before; i++)
        sleep_ms(10);
    assert_true(fault_vfs_syncs() > before);
}

/* Some 160 MB of changes: the log is copied and begun anew. */
static void the_log_stays_short_here(void **state)
{
    struct fixture *f = *state;
    static unsigned char data[60000];
    int64_t model = put_model(f->store, "a");
    char wal[96];
    struct stat info;
    snprintf(wal, sizeof wal, "%s-wal", f->path);
    for (int64_t seq = 1; seq <= 2500; seq++) {
        struct store_txn *txn = begin(f->store);
        store_append_change(
            txn, model,
            &(struct store_change){
                .seq = seq, .from = seq - 1, .kind = 1, .data = data, .data_bytes = sizeof data});
        assert_ok(commit_here(f->store, txn));
    }
    assert_int_equal(stat(wal, &info), 0);
    assert_true(info.st_size < 64 << 20);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(not_beside_the_writer),
        TEST(waits_a_moment),
        TEST(goes_with_the_next),
        TEST(fails_here),
        TEST(order_is_kept),
        TEST(reads_see_what_was_answered),
        TEST(synced_before_the_answer),
        TEST(a_failed_one_syncs_nothing),
        TEST(one_sync_for_a_group),
        TEST(a_failed_sync_is_told),
        TEST(commits_go_on_during_a_sync),
        TEST(a_failed_sync_aside_is_told),
        TEST(a_failed_sync_beside_one_aside_is_told),
        TEST(closing_awaits_a_sync),
        TEST(here_is_synced_in_time_too),
        TEST(the_log_stays_short_here),
    };
    fault_vfs_install();
    return cmocka_run_group_tests_name("store_here", tests, NULL, NULL);
}
