/* Errands (engine/crew.h) in the pool: idle workers help, busy ones are not waited for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "engine/mem.h"
#include "server/pool.h"
#include "tests/server/fake/fake_api.h"

enum { PARTS = 64, WORKERS_MAX = 8 };

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static int busy;       /* workers that are held in a call */
static bool gate_open; /* they wait for it */

static struct api *api;
static struct pool *pool;

/* ---- the fixture --------------------------------------------------------------------------- */

static void wait_change(void)
{
    struct timespec until = {.tv_sec = time(NULL) + 60};
    assert_int_equal(pthread_cond_timedwait(&changed, &mutex, &until), 0);
}

static void on_slice(const char *model, const char *name, int slice)
{
    (void)model, (void)name, (void)slice;
    pthread_mutex_lock(&mutex);
    busy++;
    pthread_cond_broadcast(&changed);
    while (!gate_open)
        pthread_cond_wait(&changed, &mutex);
    busy--;
    pthread_mutex_unlock(&mutex);
}

static void open_gate(void)
{
    pthread_mutex_lock(&mutex);
    gate_open = true;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&mutex);
}

static void start_pool(size_t workers)
{
    const struct pool_config config = {
        .workers = workers, .line_calls = 10, .calls = 10, .slice_ns = 5000000, .here = 1};
    struct err e;
    assert_int_equal(pool_new(api, &config, &pool, &e), ERR_OK);
}

/* A call that nobody waits for takes a worker until the gate opens. */
static void keep_busy(void)
{
    struct call *call = call_new(api);
    assert_non_null(call);
    assert_true(call_target(call, "POST", "/read/r?name=hold"));
    pool_submit(pool, call);
}

static void wait_busy(int workers)
{
    pthread_mutex_lock(&mutex);
    while (busy < workers)
        wait_change();
    pthread_mutex_unlock(&mutex);
}

static int set_up(void **state)
{
    const struct api_config config = {.data = "fake", .max_body = 1024};
    struct err e;
    (void)state;
    fake_hook = on_slice;
    gate_open = false;
    return api_open(&config, &api, &e) ? -1 : 0;
}

static int tear_down(void **state)
{
    struct err e;
    (void)state;
    open_gate();
    pool_free(pool);
    pool = NULL;
    return api_close(api, NULL, NULL, &e) ? -1 : 0;
}

/* ---- errands ------------------------------------------------------------------------------- */

/* What is done by whom. */
struct deed {
    int done[PARTS];
    pthread_t by[PARTS];
    void *workspace[PARTS];
    int most, inside; /* [mutex] threads at a part, and the most there were */
    int wanted;       /* parts wait until so many are inside */
};

static void do_part(void *arg, size_t i, void *workspace)
{
    struct deed *d = arg;
    pthread_mutex_lock(&mutex);
    if (++d->inside > d->most)
        d->most = d->inside;
    pthread_cond_broadcast(&changed);
    while (d->most < d->wanted)
        wait_change();
    d->inside--;
    pthread_mutex_unlock(&mutex);
    d->done[i]++;
    d->by[i] = pthread_self();
    d->workspace[i] = workspace;
}

static void give(struct deed *d, void *workspace)
{
    crew_do(pool_crew(pool), do_part, d, PARTS, workspace);
    for (int i = 0; i < PARTS; i++)
        assert_int_equal(d->done[i], 1);
}

/* A thread has one workspace, and no two have the same. */
static void check_workspaces(const struct deed *d)
{
    for (int i = 0; i < PARTS; i++)
        for (int j = 0; j < i; j++)
            assert_int_equal(d->workspace[i] == d->workspace[j],
                             pthread_equal(d->by[i], d->by[j]) != 0);
}

static void idle_workers_help(void **state)
{
    (void)state;
    char mine;
    for (int workers = 1; workers <= WORKERS_MAX; workers *= 2) {
        start_pool((size_t)workers);
        for (int i = 0; i < 50; i++) {
            struct deed d = {.wanted = workers + 1};
            give(&d, &mine);
            check_workspaces(&d);
        }
        pool_free(pool);
        pool = NULL;
    }
}

static void busy_workers_are_not_waited_for(void **state)
{
    (void)state;
    char mine;
    struct deed d = {.wanted = 1};
    start_pool(2);
    keep_busy();
    keep_busy();
    wait_busy(2);
    give(&d, &mine);
    assert_int_equal(d.most, 1);
    for (int i = 0; i < PARTS; i++)
        assert_ptr_equal(d.workspace[i], &mine);
}

static void a_worker_that_is_free_again_helps(void **state)
{
    (void)state;
    char mine;
    struct deed d = {.wanted = 1}, more = {.wanted = 3};
    start_pool(2);
    keep_busy();
    keep_busy();
    wait_busy(2);
    give(&d, &mine);
    open_gate();
    give(&more, &mine);
}

/* The first part holds its helper until a call has been taken, which only that worker can. */
static void call_in_between(void *arg, size_t i, void *workspace)
{
    (void)workspace;
    pthread_t *caller = arg;
    bool helper = !pthread_equal(*caller, pthread_self());
    if (helper && busy == 0)
        keep_busy();
    pthread_mutex_lock(&mutex);
    while (!helper && i == 0 && busy == 0)
        wait_change();
    pthread_mutex_unlock(&mutex);
}

static void a_turn_comes_before_the_next_part(void **state)
{
    (void)state;
    pthread_t me = pthread_self();
    start_pool(1);
    crew_do(pool_crew(pool), call_in_between, &me, PARTS, &me);
}

static void give_nested(void *arg, size_t i, void *workspace)
{
    struct deed *d = arg;
    (void)i;
    give(&d[i], workspace);
}

static void errands_nest(void **state)
{
    (void)state;
    char mine;
    static struct deed d[4];
    memset(d, 0, sizeof d);
    start_pool(3);
    crew_do(pool_crew(pool), give_nested, d, 4, &mine);
}

static void *give_many(void *arg)
{
    char mine;
    (void)arg;
    for (int i = 0; i < 200; i++) {
        struct deed d = {.wanted = 1};
        give(&d, &mine);
    }
    return NULL;
}

static void errands_of_several_threads(void **state)
{
    (void)state;
    pthread_t thread[4];
    start_pool(2);
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, give_many, NULL), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(thread[i], NULL);
}

static void *stop_pool(void *unused)
{
    (void)unused;
    pool_stop(pool);
    return NULL;
}

/* Whether workers are asleep, or stop in the middle of it, or have gone: the work is done. */
static void stopping_loses_no_part(void **state)
{
    (void)state;
    char mine;
    for (int i = 0; i < 50; i++) {
        pthread_t stopper, giver;
        struct deed d = {.wanted = 1};
        start_pool(3);
        assert_int_equal(pthread_create(&giver, NULL, give_many, NULL), 0);
        assert_int_equal(pthread_create(&stopper, NULL, stop_pool, NULL), 0);
        pthread_join(stopper, NULL);
        pthread_join(giver, NULL);
        give(&d, &mine);
        assert_int_equal(d.most, 1);
        pool_free(pool);
        pool = NULL;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(idle_workers_help, set_up, tear_down),
        cmocka_unit_test_setup_teardown(busy_workers_are_not_waited_for, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_worker_that_is_free_again_helps, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_turn_comes_before_the_next_part, set_up, tear_down),
        cmocka_unit_test_setup_teardown(errands_nest, set_up, tear_down),
        cmocka_unit_test_setup_teardown(errands_of_several_threads, set_up, tear_down),
        cmocka_unit_test_setup_teardown(stopping_loses_no_part, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
