#include "tests/storage/store_fixture.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "engine/mem.h"

#define KILLS   20
#define CALLERS 4 /* threads of the child */

/* ---- the child: commits and tells ---------------------------------------------------------- */

struct caller {
    struct store *store;
    int64_t model;
    int64_t next; /* step */
    int number, tell;
};

struct told {
    int64_t step;
    int caller;
};

/* Step after step, each a loss, a batch and an automatic checkpoint in one transaction; told only
 * after it was acknowledged. */
static void *run_caller(void *arg)
{
    struct caller *c = arg;
    unsigned char data[3000];
    for (int64_t step = c->next;; step++) {
        struct err e;
        struct told told = {step, c->number};
        double loss = loss_of(step);
        struct store_batch batch = {.n = step + 1,
                                    .layout = "x",
                                    .data = data,
                                    .bytes = sizeof data,
                                    .created_at = step + 1};
        struct store_checkpoint checkpoint = {
            .step = step,
            .state = "",
            .section = {{"parameters", data, sizeof data}},
            .sections = 1,
        };
        fill(data, sizeof data, (uint64_t)step + 1);
        struct store_txn *txn = store_txn_new(c->store);
        store_replace_losses(txn, c->model, step, &loss, 1);
        store_insert_batch(txn, c->model, &batch);
        store_save_checkpoint(txn, c->model, &checkpoint);
        if (store_commit(txn, &e) || write(c->tell, &told, sizeof told) != sizeof told)
            _exit(1);
    }
}

static _Noreturn void run_child(const char *path, const int64_t *next, int tell)
{
    struct caller callers[CALLERS];
    struct store *store;
    if (store_open(path, &anywhere, &store, &last))
        _exit(1);
    for (int i = 0; i < CALLERS; i++) {
        pthread_t thread;
        struct store_model model;
        char id[8];
        snprintf(id, sizeof id, "m%d", i);
        if (store_find_model(store, id, &model, &last))
            _exit(1);
        mem_free((void *)model.spec);
        callers[i] = (struct caller){store, model.key, next[i], i, tell};
        if (pthread_create(&thread, NULL, run_caller, &callers[i]))
            _exit(1);
    }
    for (;;)
        pause();
}

/* ---- the parent: kills and looks ----------------------------------------------------------- */

static void sleep_ms(int ms)
{
    nanosleep(&(struct timespec){ms / 1000, ms % 1000 * 1000000L}, NULL);
}

/* Lets a child work for about ms after its first commit, and kills it. acknowledged[i] becomes the
 * number of steps that caller i was told of. */
static void run_and_kill(const char *path, int64_t *acknowledged, int ms)
{
    int tell[2];
    struct told told;
    assert_int_equal(pipe(tell), 0);
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        close(tell[0]);
        run_child(path, acknowledged, tell[1]);
    }
    close(tell[1]);
    for (bool first = true; read(tell[0], &told, sizeof told) == sizeof told; first = false) {
        assert_true(told.caller < CALLERS);
        acknowledged[told.caller] = told.step + 1;
        if (first) {
            sleep_ms(ms);
            kill(child, SIGKILL);
        }
    }
    int status;
    close(tell[0]);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
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

static enum err_kind next_batch(void *arg, const struct store_batch *batch, struct err *e)
{
    int64_t *next = arg;
    (void)e;
    assert_int_equal(batch->n, *next + 1);
    assert_filled(batch->data, batch->bytes, (uint64_t)batch->n);
    ++*next;
    return ERR_OK;
}

/* Every acknowledged step is there, and at most one more of each caller, whole. Goes on from what
 * is there. */
static void check_kept(struct store *s, int64_t *acknowledged)
{
    for (int i = 0; i < CALLERS; i++) {
        struct store_model model;
        struct store_checkpoint c;
        bool found, fallback;
        int64_t losses = 0, batches = 0;
        char id[8];
        snprintf(id, sizeof id, "m%d", i);
        assert_ok(store_find_model(s, id, &model, &last));
        mem_free((void *)model.spec);
        assert_ok(store_each_loss(s, model.key, 0, INT64_MAX, next_loss, &losses, &last));
        assert_ok(store_each_batch(s, model.key, next_batch, &batches, &last));
        assert_ok(store_load_checkpoint(s, model.key, 0, &c, &found, &fallback, &last));
        assert_true(losses == acknowledged[i] || losses == acknowledged[i] + 1);
        assert_int_equal(batches, losses);
        assert_int_equal(found, losses > 0);
        assert_false(fallback);
        assert_int_equal(c.step, found ? losses - 1 : 0);
        if (found)
            assert_filled(c.section[0].data, c.section[0].bytes, (uint64_t)losses);
        store_checkpoint_close(&c);
        acknowledged[i] = losses;
    }
}

static void killed_at_any_time(void **state)
{
    struct fixture *f = *state;
    int64_t acknowledged[CALLERS] = {0}, total = 0;
    for (int i = 0; i < CALLERS; i++) {
        char id[8];
        snprintf(id, sizeof id, "m%d", i);
        put_model(f->store, id);
    }
    for (int k = 0; k < KILLS; k++) {
        fixture_close(f); /* no thread of ours may run while we fork */
        run_and_kill(f->path, acknowledged, k * 7 % 40);
        fixture_open(f);
        check_kept(f->store, acknowledged);
    }
    for (int i = 0; i < CALLERS; i++)
        total += acknowledged[i];
    print_message("%d kills, %lld steps, none lost\n", KILLS, (long long)total);
    assert_true(total >= KILLS);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(killed_at_any_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
