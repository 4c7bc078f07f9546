/* The daemon's connections, from outside, with one HTTP thread and with two: whose they are, who
 * runs what comes in by them, how many there may be, and what becomes of a client that cannot be
 * let in. */
#define _GNU_SOURCE /* prlimit */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "tests/server/daemon.h"
#include "tests/server/model_client.h"
#include "tests/server/raw_client.h"

#define MOST 16 /* connections, the least that the daemon can be told */
#define ASK  "GET /inline HTTP/1.1\r\nHost: localhost\r\n\r\n"

static struct daemon d;

static void start(const char *threads)
{
    daemon_start(&d, DAEMON_FAKE,
                 (const char *[]){"--http-threads", threads, "--max-connections", "16",
                                  "--header-seconds", "60", NULL});
}

static void stop(void)
{
    assert_int_equal(daemon_stop(&d), 0);
    daemon_remove(&d);
}

static void ask_inline(int fd)
{
    assert_true(raw_send(fd, ASK, sizeof ASK - 1));
}

static void assert_answered(int fd)
{
    char answer[1000];
    assert_true(raw_read_until(fd, "inline  1 0", answer, sizeof answer));
}

static bool is_silent(int fd, int ms)
{
    struct pollfd answer = {.fd = fd, .events = POLLIN};
    return poll(&answer, 1, ms) == 0;
}

/* ---- whose they are ------------------------------------------------------------------------ */

/* The descriptors that the process waits for bytes of in this one, if that is an epoll. */
static int watched_by(const char *name)
{
    char path[300], line[200];
    unsigned events;
    int count = 0;
    snprintf(path, sizeof path, "/proc/%d/fdinfo/%s", (int)d.pid, name);
    FILE *f = fopen(path, "r");
    while (f && fgets(line, sizeof line, f))
        count += sscanf(line, "tfd: %*d events: %x", &events) == 1 && events & EPOLLIN;
    if (f)
        fclose(f);
    return count;
}

/* Of all its epolls, the fewest and the most. Returns how many those are. */
static int look_at_epolls(int *least, int *most)
{
    char path[64];
    int epolls = 0;
    snprintf(path, sizeof path, "/proc/%d/fdinfo", (int)d.pid);
    DIR *dir = opendir(path);
    assert_non_null(dir);
    for (struct dirent *entry = readdir(dir); entry; entry = readdir(dir)) {
        int count = watched_by(entry->d_name);
        if (count == 0)
            continue;
        *least = epolls == 0 || count < *least ? count : *least;
        *most = epolls == 0 || count > *most ? count : *most;
        epolls++;
    }
    closedir(dir);
    return epolls;
}

static void test_two_threads_share_evenly(void **state)
{
    int fd[MOST], least = 0, most = 0;
    (void)state;
    start("2");
    for (int i = 0; i < MOST; i++)
        fd[i] = raw_connect(d.port);
    for (int i = 0; i < MOST; i++)
        ask_inline(fd[i]);
    for (int i = 0; i < MOST; i++)
        assert_answered(fd[i]);
    assert_int_equal(look_at_epolls(&least, &most), 2);
    assert_int_equal(least, MOST / 2 + 1); /* and one by which it is woken */
    assert_int_equal(most, MOST / 2 + 1);
    for (int i = 0; i < MOST; i++)
        close(fd[i]);
    stop();
}

/* ---- whose a step is ----------------------------------------------------------------------- */

/* How long a thread has run. */
static int64_t thread_ns(const char *task)
{
    char path[300];
    long long ns = 0;
    snprintf(path, sizeof path, "/proc/%d/task/%s/schedstat", (int)d.pid, task);
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    assert_int_equal(fscanf(f, "%lld", &ns), 1);
    fclose(f);
    return ns;
}

/* How long libmicrohttpd's threads, or all others, have run. */
static int64_t busy_ns(bool http)
{
    char path[300];
    int64_t sum = 0;
    snprintf(path, sizeof path, "/proc/%d/task", (int)d.pid);
    DIR *dir = opendir(path);
    assert_non_null(dir);
    for (struct dirent *entry = readdir(dir); entry; entry = readdir(dir)) {
        char name[20] = "";
        snprintf(path, sizeof path, "/proc/%d/task/%s/comm", (int)d.pid, entry->d_name);
        FILE *f = fopen(path, "r");
        if (!f)
            continue;
        if (fgets(name, sizeof name, f) && (strncmp(name, "MHD", 3) == 0) == http)
            sum += thread_ns(entry->d_name);
        fclose(f);
    }
    closedir(dir);
    return sum;
}

/* What part of the time of two clients' steps libmicrohttpd's thread takes. */
static double http_part_of_steps(struct model_client client[2])
{
    /* Longer than the daemon expects more light calls after one. */
    nanosleep(&(struct timespec){.tv_sec = 1, .tv_nsec = 200000000}, NULL);
    int64_t http = busy_ns(true), others = busy_ns(false);
    for (int i = 0; i < 200; i++) /* in turn: neither is alone */
        ask(&client[i % 2], 200, "POST", "{}", "/models/m/step");
    http = busy_ns(true) - http, others = busy_ns(false) - others;
    return (double)http / (double)(http + others);
}

/* Steps of some tenths of a millisecond: made where they were received while the thread has few
 * connections, by a worker when it has many. */
static void test_steps_go_to_workers_when_connections_are_many(void **state)
{
    enum { IDLE = 60, INPUTS = 784, OUTPUTS = 128, ROWS = 32 }; /* few are 40 */
    struct model_client client[2];
    int idle[IDLE];
    (void)state;
    daemon_start(&d, DAEMON_REAL, (const char *[]){"--http-threads", "1", "--workers", "1", NULL});
    for (int i = 0; i < 2; i++)
        model_client_open(&client[i], d.url);
    ask(&client[0], 201, "POST",
        "{\"id\":\"m\",\"loss\":\"mse\",\"optimizer\":{\"type\":\"sgd\",\"lr\":0.01},\"layers\":["
        "{\"type\":\"linear\",\"in_features\":784,\"out_features\":128}]}",
        "/models");
    char *row = text_repeat("[0", ",0.5", INPUTS - 1, "],"),
         *target = text_repeat("[0", ",1", OUTPUTS - 1, "],");
    char *rows = text_repeat("{\"inputs\":[", row, ROWS - 1, row),
         *targets = text_repeat("", target, ROWS - 1, target);
    rows[strlen(rows) - 1] = targets[strlen(targets) - 1] = ']';
    struct text body = {0};
    text_print(&body, "%s,\"targets\":[%s}", rows, targets);
    ask(&client[0], 201, "POST", body.at, "/models/m/batches");
    free(row), free(target), free(rows), free(targets), text_free(&body);

    double few = http_part_of_steps(client);
    for (int i = 0; i < IDLE; i++)
        idle[i] = raw_connect(d.port);
    double many = http_part_of_steps(client);
    for (int i = 0; i < IDLE; i++)
        close(idle[i]);
    double few_again = http_part_of_steps(client);
    assert_true(few > 0.6);
    assert_true(many < 0.4);
    assert_true(few_again > 0.6);
    for (int i = 0; i < 2; i++)
        model_client_close(&client[i]);
    stop();
}

/* ---- how many there may be ----------------------------------------------------------------- */

static void one_more_waits(const char *threads)
{
    int fd[MOST + 1];
    start(threads);
    for (int i = 0; i < MOST; i++) {
        fd[i] = raw_connect(d.port);
        ask_inline(fd[i]);
        assert_answered(fd[i]);
    }
    fd[MOST] = raw_connect(d.port);
    ask_inline(fd[MOST]);
    assert_true(is_silent(fd[MOST], 300));
    ask_inline(fd[0]); /* the others are served meanwhile */
    assert_answered(fd[0]);
    close(fd[5]);
    assert_false(is_silent(fd[MOST], 1000));
    assert_answered(fd[MOST]);
    for (int i = 0; i <= MOST; i++)
        if (i != 5)
            close(fd[i]);
    stop();
}

static void test_one_more_waits(void **state)
{
    (void)state;
    one_more_waits("1");
    one_more_waits("2");
}

/* A client that waits for room when the daemon stops is told so by its connection's end. */
static void test_stops_while_one_waits(void **state)
{
    int fd[MOST + 1];
    char answer[1000];
    (void)state;
    start("2");
    for (int i = 0; i <= MOST; i++) {
        fd[i] = raw_connect(d.port);
        ask_inline(fd[i]);
    }
    for (int i = 0; i < MOST; i++)
        assert_answered(fd[i]);
    stop();
    assert_int_equal(raw_read_all(fd[MOST], answer, sizeof answer), 0);
    for (int i = 0; i <= MOST; i++)
        close(fd[i]);
}

/* ---- no descriptor left -------------------------------------------------------------------- */

static double cpu_seconds(void)
{
    char path[64], line[1000];
    unsigned long user, system;
    snprintf(path, sizeof path, "/proc/%d/stat", (int)d.pid);
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    assert_non_null(fgets(line, sizeof line, f));
    fclose(f);
    const char *end = strrchr(line, ')'); /* the third field is the one behind it */
    assert_non_null(end);
    assert_int_equal(
        sscanf(end + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system), 2);
    return (double)(user + system) / (double)sysconf(_SC_CLK_TCK);
}

/* It rests, serves those whom it has, and lets the others in when it can. */
static void test_no_descriptor_left(void **state)
{
    struct rlimit limit, none;
    (void)state;
    start("2");
    int inside = raw_connect(d.port);
    ask_inline(inside);
    assert_answered(inside);
    assert_int_equal(prlimit(d.pid, RLIMIT_NOFILE, NULL, &limit), 0);
    none = limit;
    none.rlim_cur = 3;
    assert_int_equal(prlimit(d.pid, RLIMIT_NOFILE, &none, NULL), 0);
    int outside = raw_connect(d.port);
    ask_inline(outside);
    double before = cpu_seconds();
    assert_true(is_silent(outside, 1000));
    assert_true(cpu_seconds() - before < 0.3);
    ask_inline(inside);
    assert_answered(inside);
    assert_int_equal(prlimit(d.pid, RLIMIT_NOFILE, &limit, NULL), 0);
    assert_answered(outside);
    close(inside);
    close(outside);
    char *log = daemon_log(&d);
    assert_non_null(strstr(log, "no connection can be taken at the moment: Too many open files"));
    free(log);
    stop();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_two_threads_share_evenly),
        cmocka_unit_test(test_steps_go_to_workers_when_connections_are_many),
        cmocka_unit_test(test_one_more_waits),
        cmocka_unit_test(test_stops_while_one_waits),
        cmocka_unit_test(test_no_descriptor_left),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
