/* How the daemon ends: every request that was taken on is answered, and the exit status tells. */
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

#include "tests/server/daemon.h"
#include "tests/server/http_client.h"
#include "tests/server/raw_client.h"

static struct daemon d;

static int clean_up(void **state)
{
    (void)state;
    daemon_remove(&d);
    return 0;
}

static void start(const char *drain_seconds)
{
    const char *const args[] = {"--workers", "2", "--drain-seconds", drain_seconds, NULL};
    daemon_start(&d, DAEMON_FAKE, args);
}

static int ask(const char *path)
{
    char request[200];
    int n = snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n", path);
    int fd = raw_connect(d.port);
    assert_true(raw_send(fd, request, (size_t)n));
    return fd;
}

/* Reads an answer that must be whole; returns its status and closes. */
static int answer_of(int fd)
{
    char answer[2048];
    long n = raw_read_all(fd, answer, sizeof answer);
    close(fd);
    assert_true(n > 0);
    const char *length = strstr(answer, "Content-Length: "), *body = strstr(answer, "\r\n\r\n");
    assert_true(length && body);
    assert_int_equal(strlen(body + 4), atoi(length + 16));
    assert_non_null(strstr(answer, "Connection: close"));
    return atoi(answer + 9);
}

/* Waits until the daemon says that it is draining. */
static void wait_for_drain(void)
{
    const struct timespec moment = {.tv_nsec = 5000000};
    long status = 200;
    for (int i = 0; i < 2000 && status == 200; i++) {
        struct http_client *c = http_client_new(d.url);
        status = http_get(c, "/readyz")->status;
        http_client_free(c);
        nanosleep(&moment, NULL);
    }
    assert_int_equal(status, 503);
}

static void test_idle(void **state)
{
    static const int signal[] = {SIGTERM, SIGINT, SIGHUP};
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        start("10");
        daemon_signal(&d, signal[i]);
        assert_int_equal(daemon_wait(&d), 0);
    }
}

static void test_every_call_is_answered(void **state)
{
    enum { CALLS = 64 };
    int fd[CALLS], ran = 0, refused = 0;
    (void)state;
    start("30");
    for (int i = 0; i < CALLS; i++) {
        char path[64];
        snprintf(path, sizeof path, "/%s/m%d?slices=4&ms=5", i % 4 ? "change" : "read", i % 8);
        fd[i] = ask(path);
    }
    /* When this is answered most of the others have come in, if not all: threads differ. */
    struct http_client *last = http_client_new(d.url);
    assert_int_equal(http_get(last, "/inline")->status, 200);
    http_client_free(last);
    daemon_signal(&d, SIGTERM);
    for (int i = 0; i < CALLS; i++) {
        int status = answer_of(fd[i]);
        ran += status == 200;
        refused += status == 503;
    }
    assert_int_equal(ran + refused, CALLS);
    assert_true(ran > 0);
    assert_int_equal(daemon_wait(&d), 0);
}

static void test_what_is_left_is_refused(void **state)
{
    enum { CALLS = 10 };
    int fd[CALLS];
    (void)state;
    start("1");
    for (int i = 0; i < CALLS; i++)
        fd[i] = ask(i % 2 ? "/change/m?slices=1000000&ms=5" : "/read/m?slices=1000000&ms=5");
    daemon_signal(&d, SIGTERM);
    for (int i = 0; i < CALLS; i++)
        assert_int_equal(answer_of(fd[i]), 503);
    assert_int_equal(daemon_wait(&d), 0);
}

static void test_while_draining(void **state)
{
    (void)state;
    start("60");
    int slow = ask("/change/m?slices=1000000&ms=5");
    daemon_signal(&d, SIGTERM);
    wait_for_drain();
    assert_int_equal(answer_of(ask("/healthz")), 200);
    assert_int_equal(answer_of(ask("/inline")), 200);
    assert_int_equal(answer_of(ask("/change/other")), 503);
    assert_int_equal(answer_of(ask("/read/other")), 503);
    daemon_signal(&d, SIGTERM); /* hurries: 60 s would be a hung child */
    assert_int_equal(answer_of(slow), 503);
    assert_int_equal(daemon_wait(&d), 0);
}

static void test_kept_connections_end(void **state)
{
    char answer[2048];
    (void)state;
    start("10");
    int fd = ask("/inline");
    assert_true(raw_read_until(fd, "inline  1 0", answer, sizeof answer));
    assert_int_equal(daemon_stop(&d), 0);
    assert_int_equal(raw_read_all(fd, answer, sizeof answer), 0);
    close(fd);
}

static void test_an_unfinished_body(void **state)
{
    static const char head[] = "POST /change/m HTTP/1.1\r\nHost: localhost\r\n"
                               "Content-Length: 100\r\n\r\nabc";
    char answer[2048];
    (void)state;
    start("1");
    int fd = raw_connect(d.port);
    raw_send(fd, head, sizeof head - 1);
    assert_int_equal(daemon_stop(&d), 0); /* after a second, and not never */
    raw_read_all(fd, answer, sizeof answer);
    close(fd);
}

/* ---- exit status --------------------------------------------------------------------------- */

static void assert_run(int status, const char *mention, const char *const *args)
{
    assert_int_equal(daemon_run(&d, DAEMON_FAKE, args), status);
    char *log = daemon_log(&d);
    if (!strstr(log, mention))
        fail_msg("\"%s\" does not mention \"%s\"", log, mention);
    free(log);
}
#define ARGS(...) ((const char *const[]){__VA_ARGS__, NULL})

static void test_exit_status(void **state)
{
    (void)state;
    assert_run(2, "--nothing", ARGS("--nothing", "1"));
    assert_run(2, "GRADD", ARGS("--help", "GRADD"));
    assert_run(0, "--listen", ARGS("--help"));
    assert_run(0, "| `--listen HOST:PORT` |", ARGS("--help=markdown"));
    assert_run(0, "gradd 0.", ARGS("--version"));
    assert_run(1, "belongs to another daemon",
               ARGS("--data", "fail-open", "--listen", "127.0.0.1:0"));
    assert_run(1, "cannot listen on 192.0.2.1:80", ARGS("--listen", "192.0.2.1:80"));
}

static void test_storage_fails_at_the_end(void **state)
{
    static const char *const args[] = {"--data", "fail-close", NULL};
    (void)state;
    daemon_start(&d, DAEMON_FAKE, args);
    assert_int_equal(daemon_stop(&d), 1);
}

/* Within about a second, and as orderly as after a signal: what runs is answered. */
static void test_storage_fails_meanwhile(void **state)
{
    (void)state;
    start("30");
    int slow = ask("/change/m?slices=300&ms=10");
    struct http_client *c = http_client_new(d.url);
    assert_int_equal(http_get(c, "/inline?sick=1")->status, 200);
    assert_int_equal(http_get(c, "/readyz")->status, 503);
    http_client_free(c);
    assert_int_equal(answer_of(slow), 200);
    assert_int_equal(daemon_wait(&d), 1);
    char *log = daemon_log(&d);
    assert_non_null(strstr(log, "error the storage failed"));
    assert_non_null(strstr(log, "stopping: 1 requests"));
    free(log);
}

static void test_busy_port(void **state)
{
    struct daemon second = {0};
    char address[64];
    (void)state;
    start("1");
    snprintf(address, sizeof address, "127.0.0.1:%d", d.port);
    assert_int_equal(daemon_run(&second, DAEMON_FAKE, ARGS("--listen", address)), 1);
    char *log = daemon_log(&second);
    assert_non_null(strstr(log, "cannot listen on 127.0.0.1"));
    free(log);
    daemon_remove(&second);
    assert_int_equal(daemon_stop(&d), 0);
}

static void test_healthcheck(void **state)
{
    struct daemon check = {0};
    char address[64];
    (void)state;
    start("1");
    snprintf(address, sizeof address, "127.0.0.1:%d", d.port);
    assert_int_equal(daemon_run(&check, DAEMON_FAKE, ARGS("healthcheck", "--listen", address)), 0);
    snprintf(address, sizeof address, "0.0.0.0:%d", d.port); /* as a container is configured */
    assert_int_equal(daemon_run(&check, DAEMON_FAKE, ARGS("healthcheck", "--listen", address)), 0);
    assert_int_equal(daemon_stop(&d), 0);
    assert_int_equal(daemon_run(&check, DAEMON_FAKE, ARGS("healthcheck", "--listen", address)), 1);
    daemon_remove(&check);
}

#define SHUTDOWN_TEST(f) cmocka_unit_test_teardown(f, clean_up)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SHUTDOWN_TEST(test_idle),
        SHUTDOWN_TEST(test_every_call_is_answered),
        SHUTDOWN_TEST(test_what_is_left_is_refused),
        SHUTDOWN_TEST(test_while_draining),
        SHUTDOWN_TEST(test_kept_connections_end),
        SHUTDOWN_TEST(test_an_unfinished_body),
        SHUTDOWN_TEST(test_exit_status),
        SHUTDOWN_TEST(test_storage_fails_at_the_end),
        SHUTDOWN_TEST(test_storage_fails_meanwhile),
        SHUTDOWN_TEST(test_busy_port),
        SHUTDOWN_TEST(test_healthcheck),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
