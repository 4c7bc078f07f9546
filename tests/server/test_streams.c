/* Server-Sent Events of a real daemon. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tests/server/daemon.h"
#include "tests/server/dice.h"
#include "tests/server/event_client.h"
#include "tests/server/http_client.h"
#include "tests/server/model_client.h"
#include "tests/server/slow_build.h"

#define ARGS(...) ((const char *const[]){__VA_ARGS__, NULL})

static struct daemon d;
static struct model_client m;
static struct event_client ear;

static int clean_up(void **state)
{
    (void)state;
    model_client_close(&m);
    daemon_remove(&d);
    return 0;
}

static void start(const char *const *args)
{
    daemon_start(&d, DAEMON_REAL, args);
    model_client_open(&m, d.url);
}

static int set_up(void **state)
{
    (void)state;
    start(NULL);
    return 0;
}

static void make(const char *id)
{
    char body[300];
    snprintf(body, sizeof body,
             "{\"id\":\"%s\",\"loss\":\"mse\",\"optimizer\":{\"type\":\"sgd\",\"lr\":0.01},"
             "\"layers\":[{\"type\":\"linear\",\"in_features\":1,\"out_features\":1}]}",
             id);
    ask(&m, 201, "POST", body, "/models");
    ask(&m, 201, "POST", "{\"inputs\":[[1],[2]],\"targets\":[[2],[4]]}", "/models/%s/batches", id);
}

static void steps(const char *id, int n)
{
    char body[40];
    snprintf(body, sizeof body, "{\"steps\":%d}", n);
    ask(&m, 200, "POST", body, "/models/%s/step", id);
}

static void rest_ms(long ms)
{
    nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000}, NULL);
}

/* A line of /metrics. */
static double metric(const char *name)
{
    try_ask(&m, "GET", NULL, "/metrics");
    for (const char *at = m.reply->body; at && *at; at = strchr(at, '\n'), at += at != NULL)
        if (!strncmp(at, name, strlen(name)) && at[strlen(name)] == ' ')
            return atof(at + strlen(name));
    fail_msg("no metric %s", name);
    return 0;
}

static double streams_open(void)
{
    return metric("gradd_event_streams");
}

static double streams_memory(void)
{
    return metric("gradd_memory_bytes{class=\"streams\"}");
}

/* ---- in order ------------------------------------------------------------------------------ */

/* Step events until that step, each beginning where the one before ended. Returns how many. */
static int follow(int64_t from, int64_t until, struct event *last)
{
    int64_t after, step = from;
    int count = 0;
    while (step < until) {
        int64_t next = event_client_step(&ear, &after, last);
        assert_int_equal(after, step);
        assert_true(next > step);
        step = next;
        count++;
    }
    assert_int_equal(step, until);
    return count;
}

static void run_in_order(void)
{
    struct event e;
    int64_t after;
    make("a");
    event_client_open(&ear, d.port, "a", NULL);
    assert_int_equal(event_client_step(&ear, &after, &e), 0);
    double began = seconds_now();
    for (int i = 0; i < 100; i++)
        steps("a", 1);
    int events = follow(0, 100, &e);
    steps("a", SLOW_BUILD ? 2000 : 200000);
    int64_t all = 100 + (SLOW_BUILD ? 2000 : 200000);
    double answered = seconds_now();
    events += follow(100, all, &e);
    assert_true(e.at - answered < (SLOW_BUILD ? 5 : 1)); /* the last one comes at once */
    assert_true(events <= 3 + (e.at - began) * 26);
    assert_non_null(strstr(e.data, "\"state\":\"ready\""));
    const cJSON *losses =
        ask(&m, 200, "GET", NULL, "/models/a/losses?after=%lld", (long long)all - 1);
    assert_true(event_number(&e, "loss") == number(losses, "loss/0"));
    event_client_close(&ear);
}

static void test_in_order(void **state)
{
    (void)state;
    run_in_order();
}

static void test_in_order_of_several_threads(void **state)
{
    (void)state;
    clean_up(NULL);
    start(ARGS("--http-threads", "3", "--workers", "3"));
    run_in_order();
}

/* Back where it was, through a clean stop. */
static void test_coming_back(void **state)
{
    struct event e;
    char id[48];
    (void)state;
    make("a");
    event_client_open(&ear, d.port, "a", NULL);
    steps("a", 20);
    do
        event_client_event(&ear, &e);
    while (event_number(&e, "step") < 20);
    snprintf(id, sizeof id, "%s", e.id);
    event_client_close(&ear);
    steps("a", 30);
    model_client_close(&m);
    assert_int_equal(daemon_stop(&d), 0);
    start(NULL);
    event_client_open(&ear, d.port, "a", id);
    assert_int_equal(follow(20, 50, &e), 30); /* each of them once */
    steps("a", 1);
    follow(50, 51, &e);
    event_client_close(&ear);
}

/* ---- as a client of HTTP/1.1 sees it --------------------------------------------------------- */

struct reader {
    char path[64];
    long status;
    char type[64], *body;
};

static void *read_whole(void *arg)
{
    struct reader *r = arg;
    struct http_client *http = http_client_new(d.url);
    const struct http_reply *reply = http_try(http, "GET", r->path, NULL, NULL, 0);
    if (reply) {
        r->status = reply->status;
        http_header(reply, "Content-Type", r->type, sizeof r->type);
        r->body = strdup(reply->body);
    }
    http_client_free(http);
    return NULL;
}

static void await_streams(double n)
{
    double until = seconds_now() + 30;
    while (streams_open() != n && seconds_now() < until)
        rest_ms(20);
    assert_true(streams_open() == n);
}

/* Once there are any. */
static int lines_of_log(const char *with)
{
    int lines = 0;
    for (int i = 0; i < 500 && lines == 0; i++) {
        char *log = daemon_log(&d);
        for (const char *at = log; (at = strstr(at, with)) != NULL; at++)
            lines++;
        free(log);
        rest_ms(10);
    }
    return lines;
}

/* From the opening to the end of the model; diverged in between. */
static void test_a_whole_stream(void **state)
{
    struct reader r = {.path = "/models/a/events"};
    pthread_t thread;
    (void)state;
    make("a");
    assert_int_equal(pthread_create(&thread, NULL, read_whole, &r), 0);
    await_streams(1);
    steps("a", 1);
    ask(&m, 422, "POST", "{\"inputs\":[[1e38]],\"targets\":[[-1e38]]}", "/models/a/step");
    ask(&m, 204, "DELETE", NULL, "/models/a");
    pthread_join(thread, NULL);
    assert_int_equal(r.status, 200);
    assert_string_equal(r.type, "text/event-stream");
    const char *opening = strstr(r.body, "\"step\":0,"), *step = strstr(r.body, "\"step\":1,");
    const char *diverged = strstr(r.body, "event: diverged\ndata: {\"step\":1,\"loss\":");
    const char *deleted = strstr(r.body, "event: deleted\ndata: {}\n\n");
    if (!opening || !step || !diverged || !deleted || opening > step || step > diverged ||
        diverged > deleted)
        fail_msg("%s", r.body);
    assert_non_null(strstr(diverged, "\"max_stable_lr\":"));
    assert_string_equal(deleted + strlen("event: deleted\ndata: {}\n\n"), "");
    free(r.body);
    assert_int_equal(lines_of_log("path=/models/a/events"), 1); /* when it was over */
}

static void test_other_methods(void **state)
{
    char allow[64], retry[16], type[64];
    struct event e;
    int64_t after;
    (void)state;
    clean_up(NULL);
    start(ARGS("--max-streams", "2"));
    make("a");
    for (int i = 0; i < 50; i++) { /* over one connection: an answer ends where it should */
        assert_int_equal(try_ask(&m, "HEAD", NULL, "/models/a/events"), 200);
        http_header(m.reply, "Content-Type", type, sizeof type);
        assert_string_equal(type, "text/event-stream");
        assert_int_equal(try_ask(&m, "POST", NULL, "/models/a/events"), 405);
    }
    assert_string_equal(http_header(m.reply, "Allow", allow, sizeof allow), "GET, HEAD");
    assert_int_equal(try_ask(&m, "GET", NULL, "/models/b/events"), 404);
    assert_problem(&m, "not-found", NULL);
    const char *const foreign[] = {"Origin: http://elsewhere.example", NULL};
    assert_int_equal(http_send(m.http, "GET", "/models/a/events", foreign, NULL, 0)->status, 403);
    await_streams(0);
    event_client_open(&ear, d.port, "a", NULL);
    int fd = event_client_ask(d.port, "a", NULL, false);
    await_streams(2);
    assert_int_equal(try_ask(&m, "GET", NULL, "/models/a/events"), 503);
    assert_string_equal(http_header(m.reply, "Retry-After", retry, sizeof retry), "1");
    assert_int_equal(event_client_step(&ear, &after, &e), 0);
    assert_true(event_client_next(&ear, &e));
    assert_string_equal(e.name, ":"); /* a sign of life; the next one is 15 s away */
    double closed = seconds_now();
    close(fd);
    await_streams(1); /* who has gone is found out before there is something to be sent */
    assert_true(seconds_now() - closed < 10);
    event_client_close(&ear);
}

/* ---- many, and bad ones -------------------------------------------------------------------- */

static void test_dropped(void **state)
{
    enum { MANY = 200 };
    int fd[MANY];
    (void)state;
    make("a");
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < MANY; i++) {
            fd[i] = event_client_ask(d.port, "a", "0", false);
            if (i % 50 == 49) /* as any call they wait in the model's line, which is bounded */
                await_streams(i + 1);
        }
        steps("a", 5);
        assert_true(streams_memory() > 0 && streams_memory() < MANY * 8192);
        for (int i = 0; i < MANY; i++)
            close(fd[i]);
        await_streams(0);
        assert_true(streams_memory() == 0);
    }
}

/* Once nothing goes out any more: an opening waits in the daemon, or all of it in the kernel. */
static double settled_memory(void)
{
    double was, is = streams_memory();
    do {
        was = is;
        rest_ms(100);
        is = streams_memory();
    } while (is != was);
    return is;
}

/* Clients that take nothing, nor say that they go: training goes on, the memory stays as it is, and
 * their time ends. */
static void test_never_read(void **state)
{
    enum { MANY = 10 };
    int fd[MANY];
    (void)state;
    clean_up(NULL);
    start(ARGS("--body-seconds", "2"));
    make("a");
    steps("a", 2000);
    for (int i = 0; i < MANY; i++)
        fd[i] = event_client_ask(d.port, "a", "0", true);
    await_streams(MANY);
    double before = settled_memory();
    for (int i = 0; i < 200; i++)
        steps("a", 1);
    double after = streams_memory();
    if (after > before + MANY * 1024) /* what comes is merged into the text of one event */
        fail_msg("%.0f bytes became %.0f", before, after);
    await_streams(0);
    assert_int_equal(number(ask(&m, 200, "GET", NULL, "/models/a"), "step"), 2200);
    for (int i = 0; i < MANY; i++)
        close(fd[i]);
}

/* ---- the end ------------------------------------------------------------------------------- */

static void test_sigterm(void **state)
{
    enum { MANY = 50 };
    struct event_client *many = calloc(MANY, sizeof *many);
    struct event e;
    int64_t after;
    (void)state;
    assert_non_null(many);
    make("a");
    steps("a", 500);
    for (int i = 0; i < MANY; i++)
        event_client_open(&many[i], d.port, "a", NULL);
    int bad = event_client_ask(d.port, "a", "0", true);
    await_streams(MANY + 1);
    double began = seconds_now();
    model_client_close(&m);
    assert_int_equal(daemon_stop(&d), 0);
    assert_true(seconds_now() - began < (SLOW_BUILD ? 10 : 3));
    for (int i = 0; i < MANY; i++) {
        assert_int_equal(event_client_step(&many[i], &after, &e), 500);
        assert_false(event_client_event(&many[i], &e));
        event_client_close(&many[i]);
    }
    close(bad);
    free(many);
    model_client_open(&m, d.url);
}

static void *train_on(void *arg)
{
    struct model_client own;
    (void)arg;
    model_client_open(&own, d.url);
    while (try_ask(&own, "POST", "{\"steps\":3}", "/models/a/step") == 200)
        continue;
    model_client_close(&own);
    return NULL;
}

/* What was told is kept. */
static void test_kill(void **state)
{
    enum { KILLS = 5 };
    uint64_t seed = dice_seed();
    struct event e;
    (void)state;
    make("a");
    for (int i = 0; i < KILLS; i++) {
        pthread_t thread;
        int64_t after, seen = -1;
        double until = seconds_now() + (double)dice_between(&seed, 100, 400) / 1000;
        assert_int_equal(pthread_create(&thread, NULL, train_on, NULL), 0);
        event_client_open(&ear, d.port, "a", NULL);
        while (seconds_now() < until)
            seen = event_client_step(&ear, &after, &e);
        ear.cut = true;
        daemon_signal(&d, SIGKILL);
        while (event_client_event(&ear, &e)) /* what was on its way */
            seen = (int64_t)event_number(&e, "step");
        assert_int_equal(daemon_wait(&d), 128 + SIGKILL);
        pthread_join(thread, NULL);
        event_client_close(&ear);
        model_client_close(&m);
        start(NULL);
        assert_true(seen > 0);
        assert_true(number(ask(&m, 200, "GET", NULL, "/models/a"), "step") >= (double)seen);
        event_client_open(&ear, d.port, "a", e.id); /* and the same */
        while (event_client_step(&ear, &after, &e) < (int64_t)number(m.json, "step"))
            assert_null(strstr(e.data, "restored"));
        event_client_close(&ear);
    }
}

#define ROW(test) cmocka_unit_test_setup_teardown(test, set_up, clean_up)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ROW(test_in_order),      ROW(test_in_order_of_several_threads),
        ROW(test_coming_back),   ROW(test_a_whole_stream),
        ROW(test_other_methods), ROW(test_dropped),
        ROW(test_never_read),    ROW(test_sigterm),
        ROW(test_kill),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
