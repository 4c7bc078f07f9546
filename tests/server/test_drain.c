/* SIGTERM to a daemon under load: each request that was taken on is answered, what was acknowledged
 * is kept, and it ends well and in time.
 *
 *     test_drain [ENDS [SECONDS [SEED]]]    the long form: so many, at most so long */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tests/server/crowd.h"
#include "tests/server/dice.h"
#include "tests/server/raw_client.h"
#include "tests/server/slow_build.h"

#define ARGS(...)   ((const char *const[]){__VA_ARGS__, NULL})
#define END_SECONDS (SLOW_BUILD ? 40 : 10)

static struct crowd crowd;
static struct daemon d;
static struct {
    int ends;
    uint64_t seed;
    double seconds;
} wanted = {.ends = 1000, .seconds = 1800};

static int clean_up(void **state)
{
    (void)state;
    crowd_drop(&crowd);
    daemon_remove(&d);
    return 0;
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* ---- many clients, at any instant ---------------------------------------------------------- */

static void start_crowd(uint64_t seed)
{
    struct crowd_plan many = {.seed = seed,
                              .clients = SLOW_BUILD ? 12 : 32,
                              .models = 1,
                              .signal = SIGTERM,
                              .least_ms = 20,
                              .most_ms = SLOW_BUILD ? 1500 : 400};
    crowd_start(&crowd, &many);
}

static void test_many_clients(void **state)
{
    (void)state;
    start_crowd(dice_seed());
    crowd_work(&crowd, COUNT(6));
    crowd_prove(&crowd);
    crowd_tell(&crowd);
    crowd_stop(&crowd);
}

static void test_many_clients_for_long(void **state)
{
    (void)state;
    start_crowd(wanted.seed);
    crowd_tell(&crowd);
    crowd_work_long(&crowd, wanted.ends, wanted.seconds);
    crowd_stop(&crowd);
}

/* ---- a full line --------------------------------------------------------------------------- */

enum { CALLS = 60, FEATURES = SLOW_BUILD ? 256 : 1024, ROWS = 256 };

static void add_ones(struct text *t)
{
    char *row = text_repeat("[1", ",1", FEATURES - 1, "],");
    char *rows = text_repeat("[", row, ROWS, "");
    text_print(t, "%.*s]", (int)strlen(rows) - 1, rows);
    free(row);
    free(rows);
}

/* Steps of some 20 ms. */
static void make_slow_model(void)
{
    struct model_client m;
    struct text body = {0};
    model_client_open(&m, d.url);
    text_print(&body,
               "{\"id\":\"slow\",\"loss\":\"mse\",\"optimizer\":{\"type\":\"sgd\",\"lr\":1e-6},"
               "\"layers\":[{\"type\":\"linear\",\"in_features\":%d,\"out_features\":%d}]}",
               FEATURES, FEATURES);
    ask(&m, 201, "POST", body.at, "/models");
    text_free(&body);
    text_print(&body, "{\"inputs\":");
    add_ones(&body);
    text_print(&body, ",\"targets\":");
    add_ones(&body);
    text_print(&body, "}");
    ask(&m, 201, "POST", body.at, "/models/slow/batches");
    text_free(&body);
    model_client_close(&m);
}

static int step_of(const char *id)
{
    struct model_client m;
    model_client_open(&m, d.url);
    int step = (int)number(ask(&m, 200, "GET", NULL, "/models/%s", id), "step");
    model_client_close(&m);
    return step;
}

/* Each is known to be taken on, and so owed an answer: to go on with its body is only asked for
 * then. One more call on a connection of its own shows nothing, another thread may have got that.
 */
static void send_calls(int fd[CALLS])
{
    static const char head[] = "POST /models/slow/step HTTP/1.1\r\nHost: localhost\r\n"
                               "Content-Type: application/json\r\nContent-Length: 2\r\n"
                               "Expect: 100-continue\r\nConnection: close\r\n\r\n";
    for (int i = 0; i < CALLS; i++) {
        char interim[256];
        fd[i] = raw_connect(d.port);
        assert_true(raw_send(fd[i], head, sizeof head - 1));
        assert_true(raw_read_until(fd[i], "\r\n\r\n", interim, sizeof interim));
        assert_non_null(strstr(interim, " 100 "));
    }
    for (int i = 0; i < CALLS; i++)
        assert_true(raw_send(fd[i], "{}", 2));
    /* So one at least is done, and hardly more. */
    while (step_of("slow") == 0)
        continue;
}

/* Reads answers that must be whole; returns how many are 200. All others are 503. */
static int answers(int fd[CALLS])
{
    int done = 0;
    for (int i = 0; i < CALLS; i++) {
        char answer[2048];
        assert_true(raw_read_all(fd[i], answer, sizeof answer) > 0);
        close(fd[i]);
        const char *length = strstr(answer, "Content-Length: "), *body = strstr(answer, "\r\n\r\n");
        assert_true(length && body && (int)strlen(body + 4) == atoi(length + 16));
        int status = atoi(answer + sizeof "HTTP/1.1");
        if (status != 200 && status != 503)
            fail_msg("%.500s", answer);
        done += status == 200;
    }
    return done;
}

/* After the end: the steps that were acknowledged, and no other. */
static void assert_kept(int steps)
{
    daemon_start(&d, DAEMON_REAL, NULL);
    assert_int_equal(step_of("slow"), steps);
    assert_int_equal(daemon_stop(&d), 0);
}

static void test_what_is_left_is_refused(void **state)
{
    int fd[CALLS];
    (void)state;
    daemon_start(&d, DAEMON_REAL, ARGS("--workers", "2", "--drain-seconds", "0"));
    make_slow_model();
    send_calls(fd);
    double start = now();
    daemon_signal(&d, SIGTERM);
    int done = answers(fd);
    assert_int_equal(daemon_wait(&d), 0);
    assert_true(now() - start < END_SECONDS);
    assert_true(done > 0 && done < CALLS);
    assert_kept(done);
}

/* A client that has sent half of a body is owed an answer, and keeps the daemon waiting. */
static void test_second_signal_hurries(void **state)
{
    static const char half[] = "POST /models/slow/step HTTP/1.1\r\nHost: localhost\r\n"
                               "Content-Type: application/json\r\nContent-Length: 50\r\n\r\n{";
    int fd[CALLS];
    (void)state;
    daemon_start(&d, DAEMON_REAL, ARGS("--workers", "2", "--drain-seconds", "600"));
    make_slow_model();
    int waiting = raw_connect(d.port);
    assert_true(raw_send(waiting, half, sizeof half - 1));
    send_calls(fd);
    daemon_signal(&d, SIGTERM);
    int done = answers(fd);
    assert_int_equal(done, CALLS); /* there is time */
    assert_int_equal(kill(d.pid, 0), 0);
    double start = now();
    daemon_signal(&d, SIGTERM);
    assert_int_equal(daemon_wait(&d), 0);
    assert_true(now() - start < END_SECONDS);
    close(waiting);
    assert_kept(done);
}

#define DRAIN_TEST(f) cmocka_unit_test_teardown(f, clean_up)

static int run_long(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {DRAIN_TEST(test_many_clients_for_long)};
    wanted.ends = atoi(argv[1]);
    if (argc > 2)
        wanted.seconds = atof(argv[2]);
    wanted.seed = argc > 3 ? strtoull(argv[3], NULL, 10) : dice_seed();
    return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        DRAIN_TEST(test_many_clients),
        DRAIN_TEST(test_what_is_left_is_refused),
        DRAIN_TEST(test_second_signal_hurries),
    };
    return argc > 1 ? run_long(argc, argv) : cmocka_run_group_tests(tests, NULL, NULL);
}
