/* The pool over canned calls: order in a line, fairness between lines, what is let in between,
 * bounds, stopping. A hook in the fake api writes down each slice and can hold a worker. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "engine/mem.h"
#include "server/pool.h"
#include "tests/server/fake/fake_api.h"

#define MODELS 8

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static char trace[1 << 16];   /* the names of the slices that ran, a blank between */
static bool gate_open;        /* calls named "hold" wait for it */
static bool second_gate_open; /* and those named "wait" for this */
static int inside[256];       /* calls at work, by the first letter of the model */
static int most_inside;       /* of one model, ever */

static struct api *api;
static struct pool *pool;

/* ---- the fixture --------------------------------------------------------------------------- */

/* Waits on `changed` for a moment; a test that waits for ever fails. mutex is held. */
static void wait_change(time_t deadline)
{
    struct timespec until = {.tv_sec = deadline};
    assert_int_equal(pthread_cond_timedwait(&changed, &mutex, &until), 0);
}

static time_t in_a_minute(void)
{
    return time(NULL) + 60;
}

static void on_slice(const char *model, const char *name, int slice)
{
    int *count = &inside[(unsigned char)model[0]];
    (void)slice;
    pthread_mutex_lock(&mutex);
    if (++*count > most_inside && model[0] != 'r') /* reads may be together */
        most_inside = *count;
    if (strlen(trace) + strlen(name) + 2 < sizeof trace) {
        strcat(trace, name);
        strcat(trace, " ");
    }
    pthread_cond_broadcast(&changed);
    while ((!strcmp(name, "hold") && !gate_open) || (!strcmp(name, "wait") && !second_gate_open))
        pthread_cond_wait(&changed, &mutex);
    --*count;
    pthread_mutex_unlock(&mutex);
}

static void open_gate(void)
{
    pthread_mutex_lock(&mutex);
    gate_open = true;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&mutex);
}

static void wait_trace(const char *text)
{
    time_t deadline = in_a_minute();
    pthread_mutex_lock(&mutex);
    while (!strstr(trace, text))
        wait_change(deadline);
    pthread_mutex_unlock(&mutex);
}

struct probe {
    struct job job;
    int ran, refused; /* how often its done was called */
};

static void on_done(struct job *job, bool ran)
{
    struct probe *p = (struct probe *)job;
    pthread_mutex_lock(&mutex);
    if (ran)
        p->ran++;
    else
        p->refused++;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&mutex);
}

static void make(struct probe *p, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void make(struct probe *p, const char *format, ...)
{
    char target[128];
    va_list args;
    va_start(args, format);
    vsnprintf(target, sizeof target, format, args);
    va_end(args);
    *p = (struct probe){.job = {.call = call_new(api), .done = on_done}};
    assert_non_null(p->job.call);
    assert_true(call_target(p->job.call, "POST", target));
}

static enum err_kind reserve(struct probe *p)
{
    struct err e;
    return pool_reserve(pool, &p->job, &e);
}

static void commit(struct probe *p)
{
    assert_int_equal(reserve(p), ERR_OK);
    pool_commit(pool, &p->job);
}

static void finish(struct probe *p)
{
    time_t deadline = in_a_minute();
    pthread_mutex_lock(&mutex);
    while (p->ran + p->refused == 0)
        wait_change(deadline);
    pthread_mutex_unlock(&mutex);
    call_free(p->job.call);
    p->job.call = NULL;
}

static void start_pool_for(size_t workers, size_t line_calls, size_t calls, int64_t hurried_ns)
{
    const struct pool_config config = {.workers = workers,
                                       .line_calls = line_calls,
                                       .calls = calls,
                                       .slice_ns = 5000000,
                                       .here = 1,
                                       .hurried_ns = hurried_ns};
    struct err e;
    assert_int_equal(pool_new(api, &config, &pool, &e), ERR_OK);
}

static void start_pool(size_t workers, size_t line_calls, size_t calls)
{
    start_pool_for(workers, line_calls, calls, INT64_MAX); /* all are in a hurry */
}

static int set_up(void **state)
{
    const struct api_config config = {.data = "fake", .max_body = 1024};
    struct err e;
    (void)state;
    fake_hook = on_slice;
    trace[0] = '\0';
    gate_open = second_gate_open = false;
    most_inside = 0;
    return api_open(&config, &api, &e) ? -1 : 0;
}

/* api_close of the fake fails if a call is left. */
static int tear_down(void **state)
{
    struct err e;
    (void)state;
    second_gate_open = true; /* should a test have failed */
    open_gate();
    pool_free(pool);
    pool = NULL;
    return api_close(api, NULL, NULL, &e) ? -1 : 0;
}

/* ---- the tests ----------------------------------------------------------------------------- */

static void test_order_in_a_line(void **state)
{
    enum { N = 30 };
    struct probe hold, probe[N];
    char expected[1024] = "hold ";
    (void)state;
    start_pool(4, 100, 100);
    make(&hold, "/change/m?name=hold");
    commit(&hold);
    for (int i = 0; i < N; i++) {
        make(&probe[i], "/change/m?name=c%d", i);
        commit(&probe[i]);
        snprintf(expected + strlen(expected), 8, "c%d ", i);
    }
    open_gate();
    finish(&hold);
    for (int i = 0; i < N; i++)
        finish(&probe[i]);
    assert_string_equal(trace, expected);
    assert_int_equal(most_inside, 1);
    struct pool_stats s = pool_stats(pool);
    assert_int_equal(s.done, N + 1);
    assert_int_equal(s.queued + s.running, 0);
}

static void test_lines_take_turns(void **state)
{
    struct probe hold, a, b, c, r;
    (void)state;
    start_pool(1, 100, 100);
    make(&hold, "/change/z?name=hold");
    make(&a, "/change/a?name=a&slices=4");
    make(&b, "/change/b?name=b&slices=4");
    make(&c, "/change/c?name=c");
    make(&r, "/read/r?name=r&slices=2");
    commit(&hold);
    wait_trace("hold ");
    commit(&a);
    commit(&b);
    commit(&c);
    commit(&r);
    open_gate();
    struct probe *all[] = {&hold, &a, &b, &c, &r};
    for (size_t i = 0; i < 5; i++)
        finish(all[i]);
    assert_string_equal(trace, "hold a b c r a b r a b a b ");
}

static void test_a_long_call_keeps_its_place(void **state)
{
    struct probe a, b;
    (void)state;
    start_pool(2, 100, 100);
    make(&a, "/change/a?name=a&slices=5");
    make(&b, "/change/a?name=b&slices=2");
    commit(&a);
    commit(&b);
    finish(&a);
    finish(&b);
    assert_string_equal(trace, "a a a a a b b ");
}

static void test_let_in_between_slices(void **state)
{
    struct probe hold, a, next, b1, b2;
    (void)state;
    start_pool(1, 100, 100);
    make(&hold, "/change/z?name=hold");
    make(&a, "/change/m?name=a&slices=3");
    make(&next, "/change/m?name=n");
    make(&b1, "/between/m?name=b1");
    make(&b2, "/between/m?name=b2&slices=2");
    commit(&hold);
    wait_trace("hold ");
    commit(&a);
    commit(&next);
    commit(&b1);
    commit(&b2);
    open_gate();
    struct probe *all[] = {&hold, &a, &next, &b1, &b2};
    for (size_t i = 0; i < 5; i++)
        finish(all[i]);
    assert_string_equal(trace, "hold a b1 b2 b2 a a n ");
}

static void test_between_alone(void **state)
{
    struct probe b;
    (void)state;
    start_pool(1, 100, 100);
    make(&b, "/between/m?name=b&slices=3");
    commit(&b);
    finish(&b);
    assert_string_equal(trace, "b b b ");
}

/* A probe that comes back as soon as it is done. */
static int returns_left;
static void come_back(struct job *job, bool ran)
{
    struct probe *p = (struct probe *)job;
    struct err e;
    bool again = ran && returns_left-- > 0;
    call_free(p->job.call);
    if (again) {
        struct probe next; /* the counts of p are being waited on */
        make(&next, "/between/m?name=b");
        p->job = next.job;
        p->job.done = come_back;
        assert_int_equal(pool_reserve(pool, job, &e), ERR_OK);
        pool_commit(pool, job);
        return;
    }
    p->job.call = NULL;
    on_done(job, ran);
}

static void test_between_does_not_starve(void **state)
{
    struct probe hold, a, b[2];
    (void)state;
    start_pool(1, 100, 100);
    returns_left = 100;
    make(&hold, "/change/z?name=hold");
    make(&a, "/change/m?name=a&slices=4");
    commit(&hold);
    wait_trace("hold ");
    commit(&a);
    for (int i = 0; i < 2; i++) {
        make(&b[i], "/between/m?name=b");
        b[i].job.done = come_back;
        commit(&b[i]);
    }
    open_gate();
    finish(&hold);
    finish(&a);
    finish(&b[0]);
    finish(&b[1]);
    char *last = strrchr(trace, 'a');
    assert_true(last - trace < 40); /* of some 200 letters: not after the hundred others */
}

static void test_reads_beside_a_change(void **state)
{
    struct probe hold, r;
    (void)state;
    start_pool(2, 1, 100);
    make(&hold, "/change/m?name=hold");
    make(&r, "/read/m?name=r");
    commit(&hold);
    wait_trace("hold ");
    commit(&r);
    finish(&r); /* while the model's line is held, and full */
    assert_int_equal(hold.ran, 0);
    open_gate();
    finish(&hold);
}

static void test_bounds(void **state)
{
    struct probe hold, second, third, other, fifth;
    (void)state;
    start_pool(1, 2, 3);
    make(&hold, "/change/m?name=hold");
    make(&second, "/between/m");
    make(&third, "/change/m");
    make(&other, "/change/o");
    make(&fifth, "/read/m");
    commit(&hold);
    commit(&second);
    assert_int_equal(reserve(&third), ERR_BUSY);
    assert_int_equal(reserve(&other), ERR_OK); /* a place counts from here on */
    assert_int_equal(reserve(&fifth), ERR_UNAVAILABLE);
    pool_commit(pool, &other.job);
    open_gate();
    finish(&hold);
    finish(&second);
    finish(&other);
    commit(&third);
    finish(&third);
    commit(&fifth);
    finish(&fifth);
    assert_int_equal(third.ran, 1);
}

static void test_internal_calls_pass_the_bounds(void **state)
{
    struct probe hold, one;
    (void)state;
    start_pool(1, 1, 1);
    make(&hold, "/change/m?name=hold");
    make(&one, "/change/m?name=internal");
    commit(&hold);
    assert_int_equal(reserve(&one), ERR_UNAVAILABLE);
    pool_submit(pool, one.job.call);
    open_gate();
    finish(&hold);
    wait_trace("internal ");
}

/* A job's slices are always in its model's line: that must leave clients all of their places. */
static void test_internal_calls_take_no_place(void **state)
{
    struct probe own, one, two;
    (void)state;
    start_pool(1, 1, 1);
    make(&own, "/change/m?name=hold");
    make(&one, "/change/m?name=one");
    make(&two, "/change/m?name=two");
    pool_submit(pool, own.job.call);
    wait_trace("hold ");
    commit(&one);
    assert_int_equal(reserve(&two), ERR_UNAVAILABLE); /* by the client's, not by ours */
    open_gate();
    finish(&one);
    assert_int_equal(one.ran, 1);
    commit(&two);
    finish(&two);
}

static bool fail_all(size_t bytes)
{
    (void)bytes;
    return true;
}

static void test_no_memory(void **state)
{
    struct probe p, internal;
    (void)state;
    start_pool(1, 10, 10);
    make(&p, "/change/m");
    make(&internal, "/change/m");
    mem_fault = fail_all;
    enum err_kind rc = reserve(&p);
    pool_submit(pool, internal.job.call); /* freed: a leak or a call left would be told */
    mem_fault = NULL;
    assert_int_equal(rc, ERR_NOMEM);
    commit(&p);
    finish(&p);
    assert_int_equal(p.ran, 1);
}

static void *stop_pool(void *arg)
{
    (void)arg;
    pool_stop(pool);
    return NULL;
}

/* Commits further calls until the pool says that it is stopping; returns how many. */
static size_t commit_until_stopping(struct probe *late, size_t most)
{
    const struct timespec moment = {.tv_nsec = 1000000};
    for (size_t n = 0; n < most; n++) {
        make(&late[n], "/change/m");
        enum err_kind rc = reserve(&late[n]);
        if (rc) {
            assert_int_equal(rc, ERR_UNAVAILABLE);
            call_free(late[n].job.call);
            return n;
        }
        pool_commit(pool, &late[n].job);
        nanosleep(&moment, NULL);
    }
    fail_msg("pool_stop does not begin");
    return 0;
}

static void assert_refused(struct probe *p)
{
    assert_int_equal(p->ran, 0);
    assert_int_equal(p->refused, 1);
    finish(p);
}

static void test_stop(void **state)
{
    enum { N = 12, LATE = 10000 };
    static struct probe late[LATE];
    static const char *const kind[] = {"change", "between", "read"};
    struct probe hold, uncommitted, probe[N];
    pthread_t stopper;
    (void)state;
    start_pool(1, 2 * LATE, 2 * LATE);
    make(&hold, "/change/m?name=hold");
    make(&uncommitted, "/change/u");
    commit(&hold);
    wait_trace("hold ");
    for (int i = 0; i < N; i++) {
        make(&probe[i], "/%s/%c", kind[i % 3], "mo"[i % 2]);
        commit(&probe[i]);
    }
    assert_int_equal(reserve(&uncommitted), ERR_OK);
    pthread_create(&stopper, NULL, stop_pool, NULL);
    size_t lates = commit_until_stopping(late, LATE);
    open_gate();
    pthread_join(stopper, NULL);
    pool_commit(pool, &uncommitted.job);
    assert_int_equal(hold.ran, 1);
    finish(&hold);
    assert_refused(&uncommitted);
    for (size_t i = 0; i < N; i++)
        assert_refused(&probe[i]);
    for (size_t i = 0; i < lates; i++)
        assert_refused(&late[i]);
    struct pool_stats s = pool_stats(pool);
    assert_int_equal(s.queued + s.running, 0);
}

static void test_stop_in_the_middle_of_a_long_call(void **state)
{
    struct probe a;
    (void)state;
    start_pool(2, 100, 100);
    make(&a, "/change/m?name=a&slices=2000000000");
    commit(&a);
    wait_trace("a a ");
    pool_stop(pool);
    assert_int_equal(a.refused, 1);
    finish(&a);
}

/* ---- many at once -------------------------------------------------------------------------- */

#define PRODUCERS 4
#define EACH      150

struct producer {
    pthread_t thread;
    int number;
    struct probe probe[EACH];
};

static void *produce(void *arg)
{
    static const char *const kind[] = {"change", "change", "between", "read"};
    struct producer *p = arg;
    for (int i = 0; i < EACH; i++) {
        char model = i % 4 == 3 ? 'r' : (char)('a' + i % MODELS);
        make(&p->probe[i], "/%s/%c?slices=%d&name=p%dm%c%s%03d", kind[i % 4], model, 1 + i % 3,
             p->number, model, i % 4 < 2 ? "c" : "x", i);
        commit(&p->probe[i]);
    }
    return NULL;
}

static void test_many_at_once(void **state)
{
    static struct producer producer[PRODUCERS];
    (void)state;
    start_pool(4, 1000, 10000);
    for (int i = 0; i < PRODUCERS; i++) {
        producer[i].number = i;
        pthread_create(&producer[i].thread, NULL, produce, &producer[i]);
    }
    for (int i = 0; i < PRODUCERS; i++)
        pthread_join(producer[i].thread, NULL);
    for (int i = 0; i < PRODUCERS * EACH; i++)
        finish(&producer[i / EACH].probe[i % EACH]);
    assert_int_equal(most_inside, 1);
    /* Each producer's changes of each model have run in the order of their numbers. */
    int last[PRODUCERS][MODELS] = {{0}};
    for (const char *p = trace; *p; p = strchr(p, ' ') + 1) {
        int from, number;
        char model;
        if (sscanf(p, "p%dm%cc%d", &from, &model, &number) != 3)
            continue;
        assert_true(number >= last[from][model - 'a']);
        last[from][model - 'a'] = number;
    }
    assert_int_equal(pool_stats(pool).done, PRODUCERS * EACH);
}

#define POOL_TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

/* ---- running here -------------------------------------------------------------------------- */

static bool here(struct probe *p)
{
    assert_int_equal(reserve(p), ERR_OK);
    return pool_run_here(pool, &p->job, POOL_FEW) == POOL_ANSWERED;
}

/* A light call whose line is free is done before pool_run_here returns. */
static void test_light_runs_here(void **state)
{
    struct probe p;
    static const char *const targets[] = {"/change/a?light=1&name=x", "/between/a?light=1&name=x",
                                          "/read/r?light=1&name=x"};
    (void)state;
    start_pool(1, 4, 16);
    for (int i = 0; i < 3; i++) {
        make(&p, "%s", targets[i]);
        assert_true(here(&p));
        assert_int_equal(p.ran + p.refused, 0);
        assert_int_equal(call_answer(p.job.call)->status, 200);
        call_free(p.job.call);
    }
    assert_string_equal(trace, "x x x ");
    assert_int_equal(pool_stats(pool).done, 3);
    assert_int_equal(pool_stats(pool).running + pool_stats(pool).queued, 0);
}

static void run_light(void)
{
    struct probe p;
    make(&p, "/read/r?light=1&name=light");
    assert_true(here(&p));
    call_free(p.job.call);
}

/* Tries to run one here that is light only where nobody is in a hurry. */
static void try_here(const char *target, bool runs)
{
    struct probe p;
    make(&p, "%s", target);
    assert_int_equal(here(&p), runs);
    if (!runs) {
        pool_commit(pool, &p.job);
        finish(&p);
        return;
    }
    call_free(p.job.call);
}

/* A heavier change where no light call has come of late; no read: those are run together. */
static void test_unhurried_runs_here(void **state)
{
    (void)state;
    start_pool_for(1, 4, 16, INT64_C(3600) * 1000000000);
    try_here("/change/a?light=2&name=x", true);
    try_here("/read/r?light=2&name=x", false);
    try_here("/change/a?name=x", false); /* too heavy for that, too */
    try_here("/change/a?light=2&name=x", true);
    run_light();
    try_here("/change/a?light=2&name=x", false);
    assert_true(pool_is_quiet(pool));
}

/* The light call was longer ago than it counts. */
static void test_no_longer_in_a_hurry(void **state)
{
    (void)state;
    start_pool_for(1, 4, 16, 0);
    run_light();
    try_here("/change/a?light=2&name=x", true);
}

/* More workers than threads here do more with the cores than these. */
static void test_workers_do_more(void **state)
{
    (void)state;
    start_pool_for(2, 4, 16, 0);
    try_here("/change/a?light=2&name=x", false);
}

/* So many that one who came in a hurry would have to wait for long. */
static void test_many_are_in_a_hurry(void **state)
{
    struct probe p;
    (void)state;
    start_pool_for(1, 4, 16, 0);
    make(&p, "/change/a?light=2&name=x");
    assert_int_equal(reserve(&p), ERR_OK);
    assert_int_equal(pool_run_here(pool, &p.job, POOL_MANY), POOL_DECLINED);
    pool_commit(pool, &p.job);
    finish(&p);
}

/* A heavier one only while nobody else is in the pool, and if its client is said to be alone. */
static void test_alone_runs_here(void **state)
{
    struct probe alone, other;
    (void)state;
    start_pool(1, 4, 16);
    assert_true(pool_is_quiet(pool));
    make(&alone, "/change/a?light=2&name=alone");
    assert_false(here(&alone));
    assert_false(pool_is_quiet(pool));
    pool_commit(pool, &alone.job);
    finish(&alone);
    make(&alone, "/change/a?light=2&name=alone");
    assert_int_equal(reserve(&alone), ERR_OK);
    assert_int_equal(pool_run_here(pool, &alone.job, POOL_ALONE), POOL_ANSWERED);
    call_free(alone.job.call);

    make(&other, "/change/b?name=other");
    make(&alone, "/change/a?light=2&name=third");
    assert_int_equal(reserve(&other), ERR_OK);
    assert_int_equal(reserve(&alone), ERR_OK);
    assert_int_equal(pool_run_here(pool, &alone.job, POOL_ALONE), POOL_DECLINED);
    pool_commit(pool, &other.job);
    pool_commit(pool, &alone.job);
    finish(&other);
    finish(&alone);
    assert_true(pool_is_quiet(pool));
}

/* One that is not light, or not done in its slice, keeps its place before all who came later. */
static void test_begun_here_goes_first(void **state)
{
    static const char *const targets[] = {"/change/a?name=first",
                                          "/change/a?light=1&slices=2&name=first"};
    (void)state;
    start_pool(2, 8, 16);
    for (int i = 0; i < 2; i++) {
        struct probe first, second, other;
        trace[0] = '\0';
        make(&first, "%s", targets[i]);
        make(&second, "/change/a?name=second");
        make(&other, "/change/a?light=1&name=other");
        assert_false(here(&first));
        commit(&second);
        assert_false(here(&other)); /* its line is taken */
        pool_commit(pool, &other.job);
        pool_commit(pool, &first.job);
        finish(&first);
        finish(&second);
        finish(&other);
        assert_string_equal(trace, i ? "first first second other " : "first second other ");
        assert_int_equal(first.ran, 1);
    }
}

static struct probe crowd_probe[2][200];
static void *run_crowd(void *arg)
{
    struct probe *p = arg;
    for (int i = 0; i < 200; i++) {
        make(&p[i], "/change/%c?light=%d&slices=%d&name=x", 'a' + i % 3, i % 2, 1 + i % 5 / 4);
        if (reserve(&p[i]) != ERR_OK)
            continue;
        if (pool_run_here(pool, &p[i].job, POOL_FEW))
            p[i].ran++;
        else
            pool_commit(pool, &p[i].job);
    }
    return NULL;
}

/* Two threads that run what they can here, beside the workers: of a model one call at a time, and
 * each call once. */
static void test_here_beside_workers(void **state)
{
    pthread_t thread[2];
    (void)state;
    start_pool(2, 1000, 1000);
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, run_crowd, crowd_probe[i]), 0);
    for (int i = 0; i < 2; i++)
        pthread_join(thread[i], NULL);
    for (int i = 0; i < 400; i++) {
        struct probe *p = &crowd_probe[i / 200][i % 200];
        finish(p);
        assert_int_equal(p->ran, 1);
        assert_int_equal(p->refused, 0);
    }
    assert_int_equal(most_inside, 1);
    assert_int_equal(pool_stats(pool).done, 400);
}

/* Stopped while a job is begun here: it and those behind it are told. */
static void test_stop_while_here(void **state)
{
    struct probe first, second;
    (void)state;
    start_pool(1, 4, 16);
    make(&first, "/change/a?light=1&slices=2&name=first");
    make(&second, "/change/a?name=second");
    assert_false(here(&first));
    commit(&second);
    pool_stop(pool);
    assert_int_equal(second.refused, 0); /* its line is still held */
    pool_commit(pool, &first.job);
    finish(&first);
    finish(&second);
    assert_int_equal(first.refused, 1);
    assert_int_equal(second.refused, 1);
    assert_string_equal(trace, "first ");
    make(&first, "/change/a?light=1&name=late");
    assert_int_equal(reserve(&first), ERR_UNAVAILABLE);
    call_free(first.job.call);
}

/* ---- together -------------------------------------------------------------------------------- */

/* Those of one group that wait are run at once by who comes to the first; others in their turn. */
static void test_together(void **state)
{
    struct probe hold, a[4], b[2], other, here_first;
    (void)state;
    start_pool(1, 4, 32);
    make(&hold, "/read/r?name=hold");
    commit(&hold);
    wait_trace("hold ");
    make(&here_first, "/read/r?group=a&name=a"); /* tried where it was received, but not light */
    assert_false(here(&here_first));
    pool_commit(pool, &here_first.job);
    make(&b[0], "/read/r?group=b&name=b");
    commit(&b[0]);
    make(&other, "/change/a?name=other"); /* a model's line is no group */
    commit(&other);
    for (int i = 0; i < 4; i++) {
        make(&a[i], "/read/r?group=a&name=%d", i);
        commit(&a[i]);
    }
    make(&b[1], "/read/r?group=b&name=c");
    commit(&b[1]);
    assert_int_equal(pool_stats(pool).queued, 8);
    open_gate();
    finish(&hold);
    finish(&here_first);
    finish(&other);
    for (int i = 0; i < 4; i++)
        finish(&a[i]);
    for (int i = 0; i < 2; i++)
        finish(&b[i]);
    assert_string_equal(trace, "hold a*5 0 1 2 3 b*2 c other ");
    assert_int_equal(a[3].ran, 1);
    assert_int_equal(pool_stats(pool).done, 9);
    assert_true(pool_is_quiet(pool));
}

/* No more than so many, and so many bytes; the rest of those that waited when the turn came goes
 * before others, as each alone would. */
static void test_together_is_bounded(void **state)
{
    enum { CALLS = CALLS_TOGETHER_MAX + 3, LARGE = 5 };
    static char block[100 << 10];
    static struct probe probe[CALLS];
    struct probe hold, other, large[LARGE];
    char expected[256];
    (void)state;
    start_pool(1, 4, 100);
    make(&hold, "/read/r?name=hold");
    commit(&hold);
    wait_trace("hold ");
    for (int i = 0; i < CALLS; i++) {
        make(&probe[i], "/read/r?group=a&name=x");
        commit(&probe[i]);
    }
    make(&other, "/read/r?name=other");
    commit(&other);
    for (int i = 0; i < LARGE; i++) {
        make(&large[i], "/read/r?group=large&name=y");
        (void)call_body(large[i].job.call, block, sizeof block);
        commit(&large[i]);
    }
    open_gate();
    finish(&hold);
    finish(&other);
    for (int i = 0; i < CALLS; i++)
        finish(&probe[i]);
    for (int i = 0; i < LARGE; i++)
        finish(&large[i]);
    char *p = expected + sprintf(expected, "hold x*%d ", CALLS_TOGETHER_MAX);
    for (int i = 1; i < CALLS_TOGETHER_MAX; i++)
        p += sprintf(p, "x ");
    sprintf(p, "x*3 x x other y*2 y y*2 y y*1 ");
    assert_string_equal(trace, expected);
}

/* Those that come while a group is at work have no turn before who came earlier. */
static void test_together_starves_nobody(void **state)
{
    struct probe hold, first[2], second[2], late, other;
    (void)state;
    start_pool(1, 4, 32);
    make(&hold, "/read/r?name=hold");
    commit(&hold);
    wait_trace("hold ");
    for (int i = 0; i < 2; i++) {
        make(&first[i], "/read/r?group=a&name=%s", i ? "wait" : "first");
        commit(&first[i]);
    }
    make(&other, "/read/r?name=other");
    commit(&other);
    open_gate();
    wait_trace("wait "); /* the group is at work, and held */
    for (int i = 0; i < 2; i++) {
        make(&second[i], "/read/r?group=a&name=second");
        commit(&second[i]);
    }
    make(&late, "/read/r?name=late");
    commit(&late);
    pthread_mutex_lock(&mutex);
    second_gate_open = true;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&mutex);
    finish(&hold);
    for (int i = 0; i < 2; i++) {
        finish(&first[i]);
        finish(&second[i]);
    }
    finish(&other);
    finish(&late);
    assert_string_equal(trace, "hold first*2 wait other second*2 second late ");
}

/* Those that wait in a group when the pool stops are told so, each once. */
static void test_stop_with_groups(void **state)
{
    enum { LATE = 10000 };
    static struct probe late[LATE];
    struct probe hold, a[3], b;
    pthread_t stopper;
    (void)state;
    start_pool(1, LATE, LATE);
    make(&hold, "/read/r?name=hold");
    commit(&hold);
    wait_trace("hold ");
    for (int i = 0; i < 3; i++) {
        make(&a[i], "/read/r?group=a&name=%d", i);
        commit(&a[i]);
    }
    make(&b, "/read/r?group=b&name=b");
    commit(&b);
    assert_int_equal(pthread_create(&stopper, NULL, stop_pool, NULL), 0);
    size_t lates = commit_until_stopping(late, LATE);
    open_gate();
    pthread_join(stopper, NULL);
    finish(&hold);
    for (int i = 0; i < 3; i++)
        assert_refused(&a[i]);
    assert_refused(&b);
    for (size_t i = 0; i < lates; i++)
        assert_refused(&late[i]);
    assert_string_equal(trace, "hold ");
}

static struct probe group_probe[4][300];
static void *run_groups(void *arg)
{
    struct probe *p = arg;
    for (int i = 0; i < 300; i++) {
        if (i % 3)
            make(&p[i], "/read/r?group=%c&light=%d&name=x", 'a' + i % 2, i % 7 == 0);
        else
            make(&p[i], "/change/%c?name=x", 'a' + i % 2);
        if (reserve(&p[i]) != ERR_OK)
            continue;
        if (i % 5 == 0 && pool_run_here(pool, &p[i].job, i % 2 ? POOL_ALONE : POOL_FEW))
            p[i].ran++;
        else
            pool_commit(pool, &p[i].job);
    }
    return NULL;
}

/* Four threads beside three workers: each call once. */
static void test_groups_at_once(void **state)
{
    pthread_t thread[4];
    (void)state;
    start_pool(3, 2000, 2000);
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, run_groups, group_probe[i]), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(thread[i], NULL);
    for (int i = 0; i < 4 * 300; i++) {
        struct probe *p = &group_probe[i / 300][i % 300];
        finish(p);
        assert_int_equal(p->ran, 1);
        assert_int_equal(p->refused, 0);
    }
    assert_int_equal(most_inside, 1);
    assert_int_equal(pool_stats(pool).done, 4 * 300);
}

/* ---- answers that wait until their change is kept ------------------------------------------ */

static int kept_count(const struct probe *p)
{
    pthread_mutex_lock(&mutex);
    int ran = p->ran;
    pthread_mutex_unlock(&mutex);
    return ran;
}

/* The line goes on while a change is on its way to the store; each is done when it is kept. */
static void test_unkept_holds_up_nobody(void **state)
{
    struct probe slow, next, other;
    (void)state;
    start_pool(1, 100, 100);
    make(&slow, "/change/m?name=slow&keep=400");
    make(&next, "/change/m?name=next&keep=20");
    make(&other, "/change/n?name=other");
    commit(&slow);
    commit(&next);
    commit(&other);
    finish(&other);
    finish(&next);
    assert_string_equal(trace, "slow other next ");
    assert_int_equal(kept_count(&slow), 0);
    finish(&slow);
    assert_int_equal(slow.ran, 1);
    assert_int_equal(pool_stats(pool).done, 3);
}

/* One that was run here has left its line when it is handed over, and is done once. */
static void test_unkept_here(void **state)
{
    struct probe here, next;
    (void)state;
    start_pool(1, 100, 100);
    for (int i = 0; i < 50; i++) {
        trace[0] = '\0';
        make(&here, "/change/m?name=here&light=1&keep=%d", 1 + i % 3);
        make(&next, "/change/m?name=next");
        assert_int_equal(reserve(&here), ERR_OK);
        assert_int_equal(pool_run_here(pool, &here.job, false), POOL_UNKEPT);
        commit(&next); /* waits: the line is held until the change is handed over */
        pool_keep(pool, &here.job);
        finish(&next);
        finish(&here);
        assert_int_equal(here.ran, 1);
        assert_string_equal(trace, "here next ");
    }
}

/* Stopping waits for what is on its way: its answers are owed. */
static void test_stop_waits_for_unkept(void **state)
{
    enum { N = 8 };
    struct probe probe[N];
    (void)state;
    start_pool(2, 100, 100);
    for (int i = 0; i < N; i++) {
        make(&probe[i], "/change/m%d?name=c&keep=%d", i, 50 + 10 * i);
        commit(&probe[i]);
    }
    while (pool_stats(pool).done < N)
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    pool_stop(pool);
    for (int i = 0; i < N; i++) {
        assert_int_equal(kept_count(&probe[i]), 1);
        finish(&probe[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        POOL_TEST(test_order_in_a_line),
        POOL_TEST(test_lines_take_turns),
        POOL_TEST(test_a_long_call_keeps_its_place),
        POOL_TEST(test_let_in_between_slices),
        POOL_TEST(test_between_alone),
        POOL_TEST(test_between_does_not_starve),
        POOL_TEST(test_reads_beside_a_change),
        POOL_TEST(test_bounds),
        POOL_TEST(test_internal_calls_pass_the_bounds),
        POOL_TEST(test_internal_calls_take_no_place),
        POOL_TEST(test_no_memory),
        POOL_TEST(test_stop),
        POOL_TEST(test_stop_in_the_middle_of_a_long_call),
        POOL_TEST(test_many_at_once),
        POOL_TEST(test_light_runs_here),
        POOL_TEST(test_unhurried_runs_here),
        POOL_TEST(test_no_longer_in_a_hurry),
        POOL_TEST(test_workers_do_more),
        POOL_TEST(test_many_are_in_a_hurry),
        POOL_TEST(test_alone_runs_here),
        POOL_TEST(test_begun_here_goes_first),
        POOL_TEST(test_here_beside_workers),
        POOL_TEST(test_stop_while_here),
        POOL_TEST(test_together),
        POOL_TEST(test_together_is_bounded),
        POOL_TEST(test_together_starves_nobody),
        POOL_TEST(test_stop_with_groups),
        POOL_TEST(test_groups_at_once),
        POOL_TEST(test_unkept_holds_up_nobody),
        POOL_TEST(test_unkept_here),
        POOL_TEST(test_stop_waits_for_unkept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
