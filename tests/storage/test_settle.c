/* While the journal's newest changes go to their places, a slice at a time. */
#include "tests/storage/store_fixture.h"

#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "engine/mem.h"
#include "storage/front.h"
#include "storage/settle.h"
#include "storage/writer.h"

#define MODELS  3
#define CHANGES 1400 /* of each: together just enough to be settled, in several slices */
#define TRIES   20   /* to catch them at it, which takes milliseconds: others may have the cores */

static void sleep_us(long us)
{
    nanosleep(&(struct timespec){.tv_nsec = us * 1000}, NULL);
}

static void ignore(void *arg, const struct err *e)
{
    (void)arg, (void)e;
}

/* Of all models in turn, some of each in a group. */
static void append_all(struct store *s, const int64_t *model)
{
    for (int64_t seq = 1; seq <= CHANGES; seq++) {
        for (int i = 0; i < MODELS; i++) {
            struct store_change change = {
                .seq = seq, .from = seq - 1, .kind = 1, .step = seq, .body = "12345678"};
            struct store_txn *txn = store_txn_new(s);
            change.body_bytes = 8;
            store_append_change(txn, model[i], &change);
            store_commit_later(txn, ignore, NULL);
        }
        if (seq % 20 == 0)
            store_wait(s);
    }
}

static enum err_kind is_settling(struct db *db, void *arg, struct err *e)
{
    (void)e;
    *(bool *)arg = db->front.settling;
    return ERR_OK;
}

static bool settles(struct store *s)
{
    bool now;
    return store_read(s, is_settling, &now, &last) == ERR_OK && now;
}

static enum err_kind waits(struct db *db, void *arg, struct err *e)
{
    (void)e;
    *(bool *)arg = settle_is_due(db) && !db->front.settling;
    return ERR_OK;
}

/* Waits until what was appended is on its way. false: it has its places already, or never begins.
 */
static bool await_settling(struct store *s)
{
    bool more = true;
    for (int i = 0; i < 100000 && more && store_read(s, waits, &more, &last) == ERR_OK; i++)
        sleep_us(10);
    return settles(s);
}

static void put_models(struct store *s, int64_t *model)
{
    char id[2] = "a";
    for (int i = 0; i < MODELS; i++, id[0]++)
        model[i] = put_model(s, id);
}

static bool next_change(void *arg, const struct store_change *change)
{
    int64_t *seq = arg;
    if (change->seq == *seq + 1 && change->body_bytes == 8)
        ++*seq;
    return true;
}

/* All changes from first on, each once. */
static void check_all(struct store *s, int64_t model, int64_t first)
{
    struct store_place *place;
    size_t count;
    int64_t seq = first - 1;
    assert_ok(store_each_change(s, model, first, INT64_MAX, next_change, &seq, &last));
    assert_int_equal(seq, CHANGES);
    assert_ok(store_list_places(s, model, &place, &count, &last));
    for (seq = first; seq <= CHANGES; seq++) {
        assert_true((size_t)(seq - first) < count);
        assert_true(place[seq - first].is_change);
        assert_int_equal(place[seq - first].seq, seq);
    }
    assert_true((size_t)(seq - first) == count || !place[seq - first].is_change);
    mem_free(place);
    assert_ok(store_last_change(s, model, &seq, &last));
    assert_int_equal(seq, CHANGES);
}

/* New models whose changes are on their way. */
static void catch_settling(struct fixture *f, int64_t *model)
{
    for (int i = 0; i < TRIES; i++) {
        put_models(f->store, model);
        append_all(f->store, model);
        if (await_settling(f->store))
            return;
        fixture_renew(f);
    }
    fail_msg("they had their places each time, or never came there");
}

static void all_are_read_meanwhile(void **state)
{
    struct fixture *f = *state;
    int64_t model[MODELS];
    catch_settling(f, model);
    for (bool more = true; more;) {
        more = settles(f->store);
        for (int i = 0; i < MODELS; i++)
            check_all(f->store, model[i], 1);
    }
    fixture_close(f);
    assert_int_equal(sql_number(f->path, "SELECT count(*) FROM front"), 1);
    assert_int_equal(sql_number(f->path, "SELECT count(*) FROM journal"), MODELS * (CHANGES + 1));
    fixture_open(f);
    for (int i = 0; i < MODELS; i++)
        check_all(f->store, model[i], 1);
}

/* New ones come, and a model goes. */
static void others_come_and_go_meanwhile(void **state)
{
    struct fixture *f = *state;
    int64_t model[MODELS];
    catch_settling(f, model);
    int64_t fresh = put_model(f->store, "fresh");
    for (int64_t seq = 1; seq <= CHANGES; seq++) {
        struct store_change change = {.seq = seq, .from = seq - 1, .kind = 1, .step = seq};
        struct store_txn *txn = store_txn_new(f->store);
        change.body = "12345678";
        change.body_bytes = 8;
        store_append_change(txn, fresh, &change);
        assert_ok(store_commit(txn, &last));
        if (seq == 2) {
            struct store_txn *gone = begin(f->store);
            store_delete_model(gone, model[1]);
            assert_ok(store_commit(gone, &last));
        }
    }
    for (int round = 0; round < 2; round++) {
        check_all(f->store, model[0], 1);
        check_all(f->store, model[2], 1);
        check_all(f->store, fresh, 1);
        fixture_reopen(f);
    }
    fixture_close(f);
    assert_int_equal(sql_number(f->path, "SELECT count(*) FROM journal"), 3 * (CHANGES + 1));
}

/* A checkpoint lets go what is half settled. */
static void trimmed_meanwhile(void **state)
{
    struct fixture *f = *state;
    int64_t model[MODELS];
    catch_settling(f, model);
    for (int i = 0; i < 2; i++) { /* the last two stay, and what came after the first */
        struct store_txn *txn = begin(f->store);
        struct store_checkpoint c = {.seq = CHANGES, .step = CHANGES, .state = ""};
        store_save_checkpoint(txn, model[1], &c);
        assert_ok(store_commit(txn, &last));
    }
    for (int round = 0; round < 2; round++) {
        check_all(f->store, model[0], 1);
        check_all(f->store, model[1], CHANGES + 1);
        check_all(f->store, model[2], 1);
        fixture_reopen(f);
    }
}

/* In a child. Its exit: it came too late. */
static _Noreturn void settle_and_die(const struct fixture *f, const int64_t *model)
{
    struct store *s;
    if (store_open(f->path, &anywhere, &s, &last) == ERR_OK) {
        append_all(s, model);
        if (await_settling(s))
            kill(getpid(), SIGKILL);
    }
    _exit(1);
}

/* What is found in both places afterwards is one. */
static void killed_meanwhile(void **state)
{
    struct fixture *f = *state;
    int64_t model[MODELS];
    int status = 0;
    for (int i = 0; i < TRIES && WIFEXITED(status); i++) {
        fixture_renew(f);
        put_models(f->store, model);
        fixture_close(f); /* no thread of ours may run while we fork */
        fflush(NULL);
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0)
            settle_and_die(f, model);
        assert_int_equal(waitpid(child, &status, 0), child);
    }
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    fixture_open(f);
    for (int i = 0; i < MODELS; i++)
        check_all(f->store, model[i], 1);
    fixture_close(f);
    assert_int_equal(sql_number(f->path, "SELECT count(*) FROM front"), 1);
    fixture_open(f);
    for (int i = 0; i < MODELS; i++)
        check_all(f->store, model[i], 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(all_are_read_meanwhile),
        TEST(others_come_and_go_meanwhile),
        TEST(trimmed_meanwhile),
        TEST(killed_meanwhile),
    };
    return cmocka_run_group_tests_name("settle", tests, NULL, NULL);
}
