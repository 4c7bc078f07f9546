#include "tests/storage/store_fixture.h"

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/mem.h"

/* ---- holding the writer's thread ----------------------------------------------------------- */

/* While a callback waits here, everything that is queued meanwhile becomes one group. */
struct gate {
    sem_t reached, open;
};

static void wait_at_gate(void *arg, const struct err *e)
{
    struct gate *gate = arg;
    assert_int_equal(e->kind, ERR_OK);
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

static void let_go(struct gate *gate)
{
    sem_post(&gate->open);
}

/* ---- callbacks ----------------------------------------------------------------------------- */

struct answers {
    int count;
    enum err_kind kind[64];
    int order[64];
};

struct asked {
    struct answers *answers;
    int number;
};

static void note_answer(void *arg, const struct err *e)
{
    const struct asked *asked = arg;
    struct answers *a = asked->answers;
    a->kind[a->count] = e->kind;
    a->order[a->count++] = asked->number;
}

/* Ten in one group: two of them take an id that is taken, one by a model of before, one by a
 * member of the group; and one has a second action that fails. */
static void group_members_fail_alone(void **state)
{
    struct fixture *f = *state;
    const char *ids[10] = {"a", "b", "taken", "c", "a", "d", "e", "f", "g", "h"};
    struct store_model models[10] = {{0}}, extra = {.id = "extra", .spec = ""}, out;
    struct answers answers = {0};
    struct asked asked[10];
    struct gate gate;
    put_model(f->store, "taken");
    hold(f->store, &gate);
    for (int i = 0; i < 10; i++) {
        struct store_txn *txn = begin(f->store);
        asked[i] = (struct asked){&answers, i};
        models[i].spec = "";
        snprintf(models[i].id, sizeof models[i].id, "%s", ids[i]);
        store_insert_model(txn, &models[i]);
        if (i == 7) {
            store_insert_model(txn, &extra);
            store_delete_batch(txn, 1, 99, 0);
        }
        store_commit_then(txn, note_answer, &asked[i]);
    }
    let_go(&gate);
    assert_ok(store_commit(begin(f->store), &last)); /* behind them all */
    assert_int_equal(answers.count, 10);
    for (int i = 0; i < 10; i++) {
        enum err_kind expected = i == 2 || i == 4 ? ERR_CONFLICT : i == 7 ? ERR_NOT_FOUND : ERR_OK;
        assert_int_equal(answers.order[i], i);
        assert_int_equal(answers.kind[i], expected);
    }
    for (int i = 0; i < 10; i++) {
        if (answers.kind[i])
            continue;
        assert_ok(store_find_model(f->store, ids[i], &out, &last));
        assert_int_equal(out.key, models[i].key);
        mem_free((void *)out.spec);
    }
    assert_kind(ERR_NOT_FOUND, store_find_model(f->store, "f", &out, &last));
    assert_kind(ERR_NOT_FOUND, store_find_model(f->store, "extra", &out, &last));
}

static void count_ok(void *arg, const struct err *e)
{
    *(int *)arg += e->kind == ERR_OK;
}

static bool count_losses(void *arg, int64_t first, const double *loss, size_t count)
{
    int64_t *next = arg;
    assert_int_equal(first, *next);
    for (size_t i = 0; i < count; i++)
        assert_true(loss[i] == loss_of(first + (int64_t)i));
    *next += (int64_t)count;
    return true;
}

static void queue_losses(struct store *s, int64_t model, double *loss, int count, int *ok)
{
    for (int i = 0; i < count; i++) {
        struct store_txn *txn = begin(s);
        loss[i] = loss_of(i);
        store_replace_losses(txn, model, i, &loss[i], 1);
        store_commit_then(txn, count_ok, ok);
    }
}

/* Each of them cuts what stands behind it: only the order in which they were queued gives all. */
static void order_is_kept(void **state)
{
    struct fixture *f = *state;
    double loss[2000];
    int ok = 0;
    int64_t model = put_model(f->store, "a"), next = 0;
    queue_losses(f->store, model, loss, 2000, &ok);
    assert_ok(store_commit(begin(f->store), &last));
    assert_int_equal(ok, 2000);
    assert_ok(store_each_loss(f->store, model, 0, INT64_MAX, count_losses, &next, &last));
    assert_int_equal(next, 2000);
}

static void close_finishes_the_queue(void **state)
{
    struct fixture *f = *state;
    double loss[500];
    int ok = 0;
    int64_t model = put_model(f->store, "a"), next = 0;
    queue_losses(f->store, model, loss, 500, &ok);
    fixture_close(f);
    assert_int_equal(ok, 500);
    fixture_open(f);
    assert_ok(store_each_loss(f->store, model, 0, INT64_MAX, count_losses, &next, &last));
    assert_int_equal(next, 500);
}

/* ---- many callers -------------------------------------------------------------------------- */

#define THREADS 8
#define ROUNDS  100

struct caller {
    struct fixture *f;
    int number;
    int64_t model;
    int failures;
};

/* Commits a step: a batch, a loss and now and then a checkpoint, all or nothing; each is read back
 * at once. Assertions would leave the thread by longjmp, so failures are counted. */
static void run_step(struct caller *c, int64_t step)
{
    struct err e;
    struct store_checkpoint out;
    bool found, fallback;
    double loss = loss_of(step);
    struct store_batch batch = {.n = step, .layout = "x", .data = &step, .bytes = sizeof step};
    struct store_checkpoint in = {
        .step = step,
        .state = "",
        .section = {{"parameters", &step, sizeof step}},
        .sections = 1,
    };
    struct store_txn *txn = store_txn_new(c->f->store);
    store_insert_batch(txn, c->model, &batch);
    store_replace_losses(txn, c->model, step, &loss, 1);
    store_save_checkpoint(txn, c->model, &in);
    c->failures += store_commit(txn, &e) != ERR_OK;
    c->failures +=
        store_load_checkpoint(c->f->store, c->model, 0, &out, &found, &fallback, &e) != ERR_OK;
    c->failures += !found || fallback || out.step != step;
    store_checkpoint_close(&out);
}

static void *run_caller(void *arg)
{
    struct caller *c = arg;
    struct err e;
    struct store_model model = {.spec = ""};
    struct store_txn *txn = store_txn_new(c->f->store);
    snprintf(model.id, sizeof model.id, "model-%d", c->number);
    store_insert_model(txn, &model);
    c->failures += store_commit(txn, &e) != ERR_OK;
    c->model = model.key;
    for (int64_t step = 0; step < ROUNDS; step++)
        run_step(c, step);
    return NULL;
}

static enum err_kind next_batch(void *arg, const struct store_batch *batch, struct err *e)
{
    int64_t *next = arg, kept;
    (void)e;
    assert_int_equal(batch->n, *next);
    assert_int_equal(batch->bytes, sizeof kept);
    memcpy(&kept, batch->data, sizeof kept);
    assert_int_equal(kept, *next);
    ++*next;
    return ERR_OK;
}

static void eight_callers(void **state)
{
    struct fixture *f = *state;
    struct caller callers[THREADS];
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++) {
        callers[i] = (struct caller){.f = f, .number = i};
        assert_int_equal(pthread_create(&threads[i], NULL, run_caller, &callers[i]), 0);
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    fixture_reopen(f);
    for (int i = 0; i < THREADS; i++) {
        int64_t batches = 0, losses = 0;
        assert_int_equal(callers[i].failures, 0);
        assert_ok(store_each_batch(f->store, callers[i].model, next_batch, &batches, &last));
        assert_ok(
            store_each_loss(f->store, callers[i].model, 0, 999, count_losses, &losses, &last));
        assert_int_equal(batches, ROUNDS);
        assert_int_equal(losses, ROUNDS);
    }
}

/* ---- walks beside changes ------------------------------------------------------------------ */

struct changer {
    struct store *store;
    int64_t model;
    atomic_bool stop;
    int failures;
};

/* Inserts and deletes batches and cuts and grows the losses of the model, as fast as it goes. */
static void *run_changer(void *arg)
{
    struct changer *c = arg;
    struct err e;
    for (int64_t n = 100; !atomic_load(&c->stop); n++) {
        double loss[1500];
        struct store_batch batch = {.n = n, .layout = "x", .data = &n, .bytes = sizeof n};
        for (int i = 0; i < 1500; i++)
            loss[i] = loss_of(1000 + i);
        struct store_txn *txn = store_txn_new(c->store);
        store_insert_batch(txn, c->model, &batch);
        if (n > 100)
            store_delete_batch(txn, c->model, n - 1, 0);
        store_replace_losses(txn, c->model, 1000, loss, n % 2 ? 1500 : 0);
        c->failures += store_commit(txn, &e) != ERR_OK;
    }
    return NULL;
}

static enum err_kind count_batch(void *arg, const struct store_batch *batch, struct err *e)
{
    (void)batch, (void)e;
    ++*(int *)arg;
    return ERR_OK;
}

static void walks_bear_changes(void **state)
{
    struct fixture *f = *state;
    pthread_t thread;
    struct changer c = {.store = f->store, .model = put_model(f->store, "a")};
    assert_ok(put_losses(f->store, c.model, 0, 1000));
    for (int64_t n = 1; n <= 5; n++)
        assert_ok(put_batch(f->store, c.model, n, 100));
    assert_int_equal(pthread_create(&thread, NULL, run_changer, &c), 0);
    for (int i = 0; i < 50; i++) {
        int batches = 0;
        int64_t next = 0;
        assert_ok(store_each_batch(f->store, c.model, count_batch, &batches, &last));
        assert_true(batches >= 5);
        assert_ok(store_each_loss(f->store, c.model, 0, 999, count_losses, &next, &last));
        assert_true(next >= 1000);
    }
    atomic_store(&c.stop, true);
    pthread_join(thread, NULL);
    assert_int_equal(c.failures, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(group_members_fail_alone), TEST(order_is_kept),
        TEST(close_finishes_the_queue), TEST(eight_callers),
        TEST(walks_bear_changes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
