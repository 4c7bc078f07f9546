/* The whole daemon, with the real api and store: its life on one file. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/server/daemon.h"
#include "tests/server/http_client.h"

static struct daemon d;

static int clean_up(void **state)
{
    (void)state;
    daemon_remove(&d);
    return 0;
}

static long get(const char *path)
{
    struct http_client *c = http_client_new(d.url);
    long status = http_get(c, path)->status;
    http_client_free(c);
    return status;
}

static void make_model(void)
{
    struct http_client *c = http_client_new(d.url);
    const struct http_reply *r =
        http_post(c, "/models",
                  "{\"id\":\"kept\",\"loss\":\"mse\",\"layers\":"
                  "[{\"type\":\"linear\",\"in_features\":1,\"out_features\":1}]}");
    if (r->status != 201)
        fail_msg("%ld %s", r->status, r->body);
    http_client_free(c);
}

static void test_health(void **state)
{
    (void)state;
    daemon_start(&d, DAEMON_REAL, NULL);
    assert_int_equal(get("/healthz"), 200);
    assert_int_equal(get("/readyz"), 200);
    assert_int_equal(get("/nowhere"), 404);
    assert_int_equal(daemon_stop(&d), 0);
}

static void test_what_is_made_is_kept(void **state)
{
    (void)state;
    daemon_start(&d, DAEMON_REAL, NULL);
    make_model();
    daemon_signal(&d, SIGKILL);
    daemon_wait(&d);
    daemon_start(&d, DAEMON_REAL, NULL);
    assert_int_equal(get("/models/kept"), 200);
    assert_int_equal(daemon_stop(&d), 0);
    daemon_start(&d, DAEMON_REAL, NULL);
    assert_int_equal(get("/models/kept"), 200);
    assert_int_equal(daemon_stop(&d), 0);
}

static void test_second_daemon_is_refused(void **state)
{
    struct daemon second = {0};
    char data[200];
    (void)state;
    daemon_start(&d, DAEMON_REAL, NULL);
    make_model();
    snprintf(data, sizeof data, "%s/gradd.db", d.dir);
    const char *const args[] = {"--data", data, "--listen", "127.0.0.1:0", NULL};
    assert_int_equal(daemon_run(&second, DAEMON_REAL, args), 1);
    char *log = daemon_log(&second);
    assert_non_null(strstr(log, "cannot start: "));
    assert_null(strstr(log, "listening"));
    free(log);
    daemon_remove(&second);
    assert_int_equal(get("/models/kept"), 200);
    assert_int_equal(daemon_stop(&d), 0);
}

static void test_data_that_cannot_be(void **state)
{
    (void)state;
    const char *const args[] = {"--data", "/nowhere/at/all.db", "--listen", "127.0.0.1:0", NULL};
    assert_int_equal(daemon_run(&d, DAEMON_REAL, args), 1);
    char *log = daemon_log(&d);
    assert_non_null(strstr(log, "/nowhere/at/all.db"));
    free(log);
}

#define DAEMON_TEST(f) cmocka_unit_test_teardown(f, clean_up)

int main(void)
{
    const struct CMUnitTest tests[] = {
        DAEMON_TEST(test_health),
        DAEMON_TEST(test_what_is_made_is_kept),
        DAEMON_TEST(test_second_daemon_is_refused),
        DAEMON_TEST(test_data_that_cannot_be),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
