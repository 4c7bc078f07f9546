#include "tests/storage/store_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "engine/mem.h"
#include "tests/storage/fault_vfs.h"

#define STEPS        36     /* of one life of the child */
#define BATCH_BYTES  600000 /* so that the log is copied to the main file on the way */
#define POWER_LOSSES 40

/* ---- the child: works until the power goes ------------------------------------------------- */

/* One transaction: a batch, a loss and an automatic checkpoint. */
static bool commit_step(struct store *s, int64_t model, int64_t step)
{
    static unsigned char data[BATCH_BYTES];
    double loss = loss_of(step);
    struct store_batch batch = {
        .n = step + 1, .layout = "x", .data = data, .bytes = sizeof data, .created_at = 1};
    struct store_checkpoint c = {
        .step = step, .state = "", .section = {{"parameters", data, 5000}}, .sections = 1};
    struct store_txn *txn = store_txn_new(s);
    fill(data, sizeof data, (uint64_t)step + 1);
    store_insert_batch(txn, model, &batch);
    store_replace_losses(txn, model, step, &loss, 1);
    store_save_checkpoint(txn, model, &c);
    return store_commit(txn, &last) == ERR_OK;
}

/* Steps that are sure to be on the disk. */
static void tell(int pipe, int64_t steps)
{
    if (write(pipe, &steps, sizeof steps) != sizeof steps)
        _exit(1);
}

static struct store *open_model(const char *path, int64_t *model)
{
    struct store *s;
    struct store_model m;
    if (store_open(path, &anywhere, &s, &last) || store_find_model(s, "a", &m, &last))
        _exit(1);
    mem_free((void *)m.spec);
    *model = m.key;
    return s;
}

/* Steps, a clean close (what is there now is safe), steps again; the power goes at the nth write.
 */
static _Noreturn void live(const char *path, int64_t steps, int pipe, uint64_t seed)
{
    int64_t model;
    fault_vfs_install();
    fault_vfs_remember();
    fault_vfs_lose_power(1 + (long)(seed * 2654435761u % 4500), seed);
    for (int life = 0; life < 2; life++) {
        struct store *s = open_model(path, &model);
        for (int64_t end = steps + STEPS / 2; steps < end; steps++)
            if (!commit_step(s, model, steps))
                _exit(1);
        store_close(s);
        tell(pipe, steps);
    }
    _exit(0); /* the power held */
}

/* One step, the sync that comes by itself, and then no power at the next write. */
static _Noreturn void live_until_synced(const char *path, int64_t steps, int pipe, uint64_t seed)
{
    int64_t model;
    fault_vfs_install();
    fault_vfs_remember();
    struct store *s = open_model(path, &model);
    for (int i = 0; i < 3; i++) {
        if (!commit_step(s, model, steps++))
            _exit(1);
        long before = fault_vfs_syncs();
        for (int wait = 0; wait < 3000 && fault_vfs_syncs() == before; wait++)
            nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
        if (fault_vfs_syncs() == before)
            _exit(1);
    }
    tell(pipe, steps);
    fault_vfs_lose_power(1, seed);
    (void)commit_step(s, model, steps);
    _exit(1);
}

/* Changes that are told to be safe as soon as they are answered: each was synced. The power goes at
 * the nth write. */
static _Noreturn void live_synced(const char *path, int64_t steps, int pipe, uint64_t seed)
{
    int64_t model;
    static unsigned char data[100000];
    fault_vfs_install();
    fault_vfs_remember();
    fault_vfs_lose_power(1 + (long)(seed * 2654435761u % 900), seed);
    struct store *s = open_model(path, &model);
    for (int64_t seq = steps + 1; seq <= steps + STEPS; seq++) {
        struct store_change change = {.seq = seq, .from = seq - 1, .kind = 1, .data = data};
        change.data_bytes = seq % 3 ? 100 : sizeof data;
        fill(data, change.data_bytes, (uint64_t)seq);
        struct store_txn *txn = store_txn_new(s);
        store_append_change(txn, model, &change);
        store_txn_sync(txn);
        if (store_commit(txn, &last))
            _exit(1);
        tell(pipe, seq);
    }
    _exit(0); /* the power held */
}

/* ---- the parent: looks at what is left ----------------------------------------------------- */

typedef void life_fn(const char *path, int64_t steps, int pipe, uint64_t seed);

/* Runs a life in a process of its own; returns the steps that must have survived it. */
static int64_t run_life(const char *path, int64_t steps, life_fn *life, uint64_t seed)
{
    int pipes[2], status;
    int64_t safe = steps, told;
    assert_int_equal(pipe(pipes), 0);
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        life(path, steps, pipes[1], seed);
    close(pipes[1]);
    while (read(pipes[0], &told, sizeof told) == sizeof told)
        safe = told;
    close(pipes[0]);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    return safe;
}

static enum err_kind next_batch(void *arg, const struct store_batch *batch, struct err *e)
{
    int64_t *next = arg;
    (void)e;
    assert_int_equal(batch->n, *next + 1);
    assert_int_equal(batch->bytes, BATCH_BYTES);
    assert_filled(batch->data, batch->bytes, (uint64_t)batch->n);
    ++*next;
    return ERR_OK;
}

static bool next_loss(void *arg, int64_t first, const double *loss, size_t count)
{
    int64_t *next = arg;
    assert_int_equal(first, *next);
    for (size_t i = 0; i < count; i++)
        assert_true(loss[i] == loss_of(first + (int64_t)i));
    *next += (int64_t)count;
    return true;
}

/* The first so many steps are there, all of each; returns how many. */
static int64_t count_steps(struct store *s)
{
    struct store_model m;
    struct store_checkpoint c;
    bool found, fallback;
    int64_t batches = 0, losses = 0;
    assert_ok(store_find_model(s, "a", &m, &last));
    mem_free((void *)m.spec);
    assert_ok(store_each_batch(s, m.key, next_batch, &batches, &last));
    assert_ok(store_each_loss(s, m.key, 0, INT64_MAX, next_loss, &losses, &last));
    assert_ok(store_load_checkpoint(s, m.key, 0, &c, &found, &fallback, &last));
    assert_int_equal(batches, losses);
    assert_int_equal(found ? c.step + 1 : 0, losses);
    assert_false(fallback);
    store_checkpoint_close(&c);
    return losses;
}

/* Whatever part of the unsynced writes the disk has: the file opens, holds the first so many steps
 * whole, and at least all that was there at the last clean close. */
static void power_lost_at_any_time(void **state)
{
    struct fixture *f = *state;
    int cut_short = 0;
    char whole[96];
    put_model(f->store, "a");
    fixture_close(f);
    snprintf(whole, sizeof whole, "%s/whole", f->folder);
    copy_file(f->path, whole);
    for (uint64_t seed = 1; seed <= POWER_LOSSES; seed++) {
        copy_file(whole, f->path);
        int64_t safe = run_life(f->path, 0, live, seed);
        fixture_open(f);
        int64_t steps = count_steps(f->store);
        assert_true(steps >= safe && steps <= STEPS);
        cut_short += steps < STEPS;
        put_model(f->store, "afterwards");
        fixture_close(f);
    }
    print_message("%d of %d lives were cut short\n", cut_short, POWER_LOSSES);
    assert_true(cut_short > POWER_LOSSES / 4);
}

/* What was acknowledged is synced soon, without a close and without further commits. */
static void synced_soon(void **state)
{
    struct fixture *f = *state;
    put_model(f->store, "a");
    fixture_close(f);
    for (uint64_t seed = 1; seed <= 2; seed++) {
        fixture_open(f);
        int64_t steps = count_steps(f->store);
        fixture_close(f);
        int64_t safe = run_life(f->path, steps, live_until_synced, seed);
        assert_int_equal(safe, steps + 3);
        fixture_open(f);
        assert_true(count_steps(f->store) >= safe);
        fixture_close(f);
    }
}

static bool next_change(void *arg, const struct store_change *change)
{
    int64_t *next = arg;
    assert_int_equal(change->seq, *next + 1);
    assert_filled(change->data, change->data_bytes, (uint64_t)change->seq);
    ++*next;
    return true;
}

/* Of the changes that were synced none is missing; of the one after them all is there, or nothing.
 */
static void synced_is_safe(void **state)
{
    struct fixture *f = *state;
    int cut_short = 0;
    int64_t model = put_model(f->store, "a"), safe = 0;
    fixture_close(f);
    for (uint64_t seed = 1; seed <= POWER_LOSSES; seed++) {
        int64_t end, next = 0, before = safe;
        safe = run_life(f->path, safe, live_synced, seed);
        cut_short += safe < before + STEPS;
        fixture_open(f);
        assert_ok(store_last_change(f->store, model, &end, &last));
        assert_true(end == safe || end == safe + 1);
        assert_ok(store_each_change(f->store, model, 1, INT64_MAX, next_change, &next, &last));
        assert_int_equal(next, end);
        safe = end;
        fixture_close(f);
    }
    print_message("%d of %d lives were cut short\n", cut_short, POWER_LOSSES);
    assert_true(cut_short > POWER_LOSSES / 4);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(power_lost_at_any_time),
        TEST(synced_soon),
        TEST(synced_is_safe),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
