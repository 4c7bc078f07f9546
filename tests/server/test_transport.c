/* HTTP as it goes over the wire, against the daemon over canned handlers: what is refused and how,
 * what comes back, what a connection is good for afterwards. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "tests/server/daemon.h"
#include "tests/server/http_client.h"
#include "tests/server/raw_client.h"

static struct daemon d;
static struct http_client *client;

static int start(void **state)
{
    static const char *const args[] = {"--workers",
                                       "2",
                                       "--max-body",
                                       "1M",
                                       "--queue-bytes",
                                       "1M",
                                       "--queue",
                                       "2",
                                       "--http-threads",
                                       "2",
                                       "--log",
                                       "json",
                                       "--header-seconds",
                                       "1",
                                       "--body-seconds",
                                       "2",
                                       NULL};
    (void)state;
    daemon_start(&d, DAEMON_FAKE, args);
    client = http_client_new(d.url);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    http_client_free(client);
    int status = daemon_stop(&d);
    daemon_remove(&d);
    return status;
}

/* Two digits' worth of milliseconds: to let something begin, never to prove that it ended. */
static void rest(long ms)
{
    const struct timespec time = {.tv_nsec = ms * 1000000};
    nanosleep(&time, NULL);
}

static void assert_header(const struct http_reply *r, const char *name, const char *value)
{
    char got[200];
    assert_string_equal(http_header(r, name, got, sizeof got), value);
}

/* ---- what is well -------------------------------------------------------------------------- */

static void test_modes(void **state)
{
    static const struct {
        const char *path, *answer;
    } row[] = {
        {"/inline?slices=3", "inline  3 2"},
        {"/read/m", "read m 1 2"},
        {"/between/m?slices=2", "between m 2 2"},
        {"/change/m?slices=7&ms=1", "change m 7 2"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        const struct http_reply *r = http_post(client, row[i].path, "{}");
        assert_int_equal(r->status, 200);
        assert_string_equal(r->body, row[i].answer);
    }
}

static void test_headers_of_every_answer(void **state)
{
    static const char *const path[] = {"/inline", "/change/m", "/nowhere"};
    static const char *const headers[] = {"X-Request-Id: abc-1", NULL};
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        const struct http_reply *r = http_send(client, "GET", path[i], headers, NULL, 0);
        assert_header(r, "Cache-Control", "no-store");
        assert_header(r, "X-Content-Type-Options", "nosniff");
        assert_header(r, "Content-Type", i == 2 ? "application/problem+json" : "text/plain");
        assert_header(r, "X-Request-Id", "abc-1");
    }
}

static void test_connection_is_kept(void **state)
{
    static const struct {
        const char *method, *path;
        const char *body;
        long status;
    } row[] = {
        {"GET", "/inline", NULL, 200},    {"POST", "/inline", "{}", 200},
        {"POST", "/change/m", "{}", 200}, {"GET", "/nowhere", NULL, 404},
        {"DELETE", "/read/m", NULL, 405}, {"GET", "/read/m", NULL, 200},
        {"HEAD", "/read/m", NULL, 200},   {"GET", "/inline", NULL, 200},
    };
    struct http_client *fresh = http_client_new(d.url);
    (void)state;
    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        const char *body = row[i].body;
        const struct http_reply *r =
            http_send(fresh, row[i].method, row[i].path, NULL, body, body ? strlen(body) : 0);
        assert_int_equal(r->status, row[i].status);
        assert_int_equal(r->connects, i == 0);
    }
    http_client_free(fresh);
}

static void test_method_not_allowed(void **state)
{
    const struct http_reply *r = http_send(client, "DELETE", "/read/m", NULL, NULL, 0);
    (void)state;
    assert_int_equal(r->status, 405);
    assert_header(r, "Allow", "GET, POST");
}

static void test_head(void **state)
{
    const struct http_reply *r = http_send(client, "HEAD", "/change/model", NULL, NULL, 0);
    (void)state;
    assert_int_equal(r->status, 200);
    assert_int_equal(r->bytes, 0);
    assert_header(r, "Content-Length", "16"); /* "change model 1 0" */
}

static void test_large_answer(void **state)
{
    const size_t bytes = 20000000;
    const struct http_reply *r = http_get(client, "/change/m?out=20000000");
    (void)state;
    assert_int_equal(r->bytes, bytes);
    for (size_t i = 0; i < bytes; i++)
        if (r->body[i] != (char)('a' + i % 26))
            fail_msg("byte %zu is %c", i, r->body[i]);
}

static void test_large_body(void **state)
{
    char *body = calloc(1, 1 << 20);
    (void)state;
    assert_non_null(body);
    const struct http_reply *r = http_send(client, "POST", "/change/m", NULL, body, 1 << 20);
    assert_int_equal(r->status, 200);
    assert_string_equal(r->body, "change m 1 1048576");
    free(body);
}

static void test_pipelining(void **state)
{
    static const char requests[] = "GET /change/a?ms=20 HTTP/1.1\r\nHost: localhost\r\n\r\n"
                                   "POST /inline HTTP/1.1\r\nHost: localhost\r\n"
                                   "Content-Length: 3\r\n\r\nabc"
                                   "GET /read/b HTTP/1.1\r\nHost: localhost\r\n\r\n"
                                   "GET /between/c HTTP/1.1\r\nHost: localhost\r\n"
                                   "Connection: close\r\n\r\n";
    char answer[4096];
    (void)state;
    assert_int_equal(raw_ask(d.port, requests, sizeof requests - 1, answer, sizeof answer), 200);
    const char *a = strstr(answer, "change a 1 0"), *b = strstr(answer, "inline  1 3"),
               *c = strstr(answer, "read b 1 0"), *e = strstr(answer, "between c 1 0");
    assert_true(a && b && c && e);
    assert_true(a < b && b < c && c < e);
}

/* ---- bodies in chunks ---------------------------------------------------------------------- */

#define CHUNKED                                                                                    \
    "POST /change/m HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"                          \
    "Transfer-Encoding: chunked\r\n\r\n"

static void test_chunk_storm(void **state)
{
    enum { CHUNKS = 5000 };
    static char request[sizeof CHUNKED + CHUNKS * 6 + 8] = CHUNKED;
    char answer[2048];
    (void)state;
    char *at = request + sizeof CHUNKED - 1;
    for (int i = 0; i < CHUNKS; i++, at += 6)
        memcpy(at, "1\r\nx\r\n", 6);
    memcpy(at, "0\r\n\r\n", 5);
    size_t bytes = (size_t)(at + 5 - request);
    assert_int_equal(raw_ask(d.port, request, bytes, answer, sizeof answer), 200);
    assert_non_null(strstr(answer, "change m 1 5000"));
}

static void test_chunks_over_the_limit(void **state)
{
    enum { CHUNK = 65536 };
    static char data[CHUNK + 16];
    char answer[2048];
    int fd = raw_connect(d.port);
    (void)state;
    memset(data, 'x', sizeof data);
    memcpy(data, "10000\r\n", 7);
    memcpy(data + 7 + CHUNK, "\r\n", 2);
    assert_true(raw_send(fd, CHUNKED, sizeof CHUNKED - 1));
    for (int i = 0; i < 17; i++) /* one more than 1 MiB */
        assert_true(raw_send(fd, data, 7 + CHUNK + 2));
    assert_true(raw_send(fd, "0\r\n\r\n", 5));
    assert_true(raw_read_until(fd, "\r\n\r\n", answer, sizeof answer));
    /* queue-bytes is as large as max-body here, so either bound may be met first. */
    assert_true(strstr(answer, " 413 ") || strstr(answer, " 503 "));
    close(fd);
    assert_int_equal(http_get(client, "/inline")->status, 200);
}

static void test_bad_chunks(void **state)
{
    static const char *const body[] = {"z\r\n", "-1\r\nx\r\n", "0x1\r\nx\r\n0\r\n\r\n",
                                       "fffffffffffffffff\r\nx", "1\r\nxy\r\n0\r\n\r\n"};
    (void)state;
    for (size_t i = 0; i < sizeof body / sizeof body[0]; i++) {
        char request[512], answer[2048];
        int n = snprintf(request, sizeof request, "%s%s", CHUNKED, body[i]);
        int status = raw_ask(d.port, request, (size_t)n, answer, sizeof answer);
        if (status != 400 && status != 413 && status != 0)
            fail_msg("%s: %d", body[i], status);
    }
}

/* ---- what is refused ----------------------------------------------------------------------- */

/* Our own refusals: the status, as a problem, and the connection closed. */
static void test_malformed_requests(void **state)
{
#define HOST "Host: localhost\r\n"
#define END  "\r\n"
    static const struct {
        int status;
        const char *request;
    } row[] = {
        {400, "GET /a%2eb HTTP/1.1\r\n" HOST END},
        {400, "GET /a%00b HTTP/1.1\r\n" HOST END},
        {400, "GET /a?b=%41 HTTP/1.1\r\n" HOST END},
        {400, "GET http://localhost/inline HTTP/1.1\r\n" HOST END},
        {400, "OPTIONS * HTTP/1.1\r\n" HOST END},
        {400, "CONNECT localhost:80 HTTP/1.1\r\n" HOST END},
        {400, "GET /in line HTTP/1.1\r\n" HOST END},
        {400, "GET /\xff HTTP/1.1\r\n" HOST END},
        {400, "GET /inline HTTP/1.2\r\n" HOST END},
        {400, "ABCDEFGHIJKLMNOPQRSTUVW /inline HTTP/1.1\r\n" HOST END},
        {400, "GET /inline HTTP/1.1\r\n" END},
        {400, "GET /inline HTTP/1.0\r\n" END},
        {400, "GET /inline HTTP/1.1\r\n" HOST HOST END},
        {403, "GET /inline HTTP/1.1\r\nHost: evil.example\r\n" END},
        {403, "GET /inline HTTP/1.1\r\n" HOST "Origin: http://evil.example\r\n" END},
        {403, "GET /inline HTTP/1.1\r\n" HOST "Origin: null\r\n" END},
        {400, "GET /inline HTTP/1.1\r\n" HOST "X\x01Y: z\r\n" END},
        {400, "GET /inline HTTP/1.1\r\n" HOST "X: a\x01\r\n" END},
        {400, "GET /inline HTTP/1.1\r\n" HOST "X : a\r\n" END},
        {400, "GET /inline HTTP/1.1\r\n" HOST "Expect: 200-ok\r\n" END},
        {400, "POST /inline HTTP/1.1\r\n" HOST
              "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n" END "0\r\n\r\n"},
        {400, "POST /inline HTTP/1.1\r\n" HOST
              "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n" END "abc"},
        {400,
         "POST /inline HTTP/1.1\r\n" HOST "Content-Length: 3\r\nContent-Length: 4\r\n" END "abcd"},
        {400, "POST /inline HTTP/1.1\r\n" HOST "Transfer-Encoding: gzip\r\n" END "abc"},
        {400, "POST /inline HTTP/1.1\r\n" HOST "Transfer-Encoding: gzip, chunked\r\n" END "abc"},
        {400, "POST /inline HTTP/1.1\r\n" HOST "Transfer-Encoding: identity\r\n" END "abc"},
        {400, "POST /inline HTTP/1.1\r\n" HOST "Transfer-Encoding: xchunked\r\n" END "abc"},
        {400, "POST /inline HTTP/1.1\r\n" HOST "Transfer-Encoding : chunked\r\n" END "0\r\n\r\n"},
        {400, "POST /inline HTTP/1.0\r\n" HOST "Transfer-Encoding: chunked\r\n" END "0\r\n\r\n"},
        {413, "POST /inline HTTP/1.1\r\n" HOST "Content-Length: 18446744073709551615\r\n" END},
        {413, "POST /inline HTTP/1.1\r\n" HOST "Content-Length: 1048577\r\n" END},
        {415, "POST /inline HTTP/1.1\r\n" HOST "Content-Length: 3\r\nContent-Encoding: gzip\r\n" END
              "abc"},
        {404, "POST /nowhere HTTP/1.1\r\n" HOST "Content-Length: 3\r\n" END "abc"},
        {405, "PUT /read/m HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n" END "3\r\nabc\r\n"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        const char *request = row[i].request;
        char answer[4096];
        int status = raw_ask(d.port, request, strlen(request), answer, sizeof answer);
        if (status != row[i].status)
            fail_msg("%s%d, not %d", request, status, row[i].status);
        assert_non_null(strstr(answer, "application/problem+json"));
        assert_non_null(strstr(answer, "Connection: close"));
        assert_null(strstr(answer + 1, "HTTP/1.1 ")); /* one answer, not two */
    }
}

/* Refusals that libmicrohttpd makes itself, in its own words: an error or a closed connection, but
 * never a 200, and never a wait. */
static void test_refused_by_the_parser(void **state)
{
    static const char *const request[] = {
        "\r\n\r\n\r\n\r\nnonsense\r\n\r\n",
        "GET\r\n\r\n",
        "GET /inline HTTP/2.0\r\nHost: localhost\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "GET /inline HTTP/1.1\r\nHost localhost\r\n\r\n",
        "POST /inline HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
        "POST /inline HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1a\r\n\r\n",
        "POST /inline HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999999999999\r\n\r\n",
    };
    (void)state;
    for (size_t i = 0; i < sizeof request / sizeof request[0]; i++) {
        char answer[4096];
        int status = raw_ask(d.port, request[i], strlen(request[i]), answer, sizeof answer);
        if (status != 0 && (status < 400 || status > 599))
            fail_msg("%s: %d", request[i], status);
    }
    assert_int_equal(http_get(client, "/inline")->status, 200);
}

static void test_long_lines(void **state)
{
    static char request[200000];
    char answer[4096];
    (void)state;
    int n =
        snprintf(request, sizeof request, "GET /%08192d HTTP/1.1\r\nHost: localhost\r\n\r\n", 1);
    assert_int_equal(raw_ask(d.port, request, (size_t)n, answer, sizeof answer), 400);
    assert_non_null(strstr(answer, "application/problem+json"));
    n = snprintf(request, sizeof request, "GET /%0150000d HTTP/1.1\r\nHost: localhost\r\n\r\n", 1);
    int status = raw_ask(d.port, request, (size_t)n, answer, sizeof answer);
    assert_true(status == 414 || status == 431 || status == 0);
    n = snprintf(request, sizeof request, "GET /inline HTTP/1.1\r\nHost: localhost\r\n");
    for (int i = 0; i < 120; i++)
        n += snprintf(request + n, sizeof request - (size_t)n, "X-%d: y\r\n", i);
    n += snprintf(request + n, sizeof request - (size_t)n, "\r\n");
    assert_int_equal(raw_ask(d.port, request, (size_t)n, answer, sizeof answer), 400);
}

/* 413 comes from the header alone: no 100-continue, not a byte of the body. */
static void test_too_large_before_the_body(void **state)
{
    static const char head[] = "POST /change/m HTTP/1.1\r\nHost: localhost\r\n"
                               "Content-Length: 10000000\r\nExpect: 100-continue\r\n\r\n";
    char answer[2048];
    (void)state;
    assert_int_equal(raw_ask(d.port, head, sizeof head - 1, answer, sizeof answer), 413);
}

static void test_expect_continue(void **state)
{
    static const char head[] = "POST /change/m HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
                               "Content-Length: 3\r\nExpect: 100-continue\r\n\r\n";
    char answer[2048];
    int fd = raw_connect(d.port);
    (void)state;
    raw_send(fd, head, sizeof head - 1);
    assert_true(raw_read_until(fd, "\r\n\r\n", answer, sizeof answer));
    assert_non_null(strstr(answer, "100 Continue"));
    raw_send(fd, "abc", 3);
    raw_read_all(fd, answer, sizeof answer);
    assert_non_null(strstr(answer, "change m 1 3"));
    close(fd);
}

static void test_full_line(void **state)
{
    static const char slow[] = "GET /change/full?ms=600 HTTP/1.1\r\nHost: localhost\r\n"
                               "Connection: close\r\n\r\n";
    int fd[5], taken = 0, refused = 0;
    (void)state;
    for (int i = 0; i < 5; i++) { /* --queue is 2 */
        fd[i] = raw_connect(d.port);
        raw_send(fd[i], slow, sizeof slow - 1);
    }
    for (int i = 0; i < 5; i++) {
        char answer[2048];
        raw_read_all(fd[i], answer, sizeof answer);
        taken += strstr(answer, "HTTP/1.1 200 ") != NULL;
        refused += strstr(answer, "HTTP/1.1 429 ") && strstr(answer, "Retry-After: 1");
        close(fd[i]);
    }
    assert_int_equal(taken, 2);
    assert_int_equal(refused, 3);
}

static void test_full_budget_of_bodies(void **state)
{
    static const char head[] = "POST /change/m HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
                               "Content-Length: 900000\r\n\r\n";
    char answer[2048];
    int holder = raw_connect(d.port);
    (void)state;
    raw_send(holder, head, sizeof head - 1); /* and sends no body yet */
    rest(100);
    assert_int_equal(raw_ask(d.port, head, sizeof head - 1, answer, sizeof answer), 503);
    assert_non_null(strstr(answer, "Retry-After: 1"));
    close(holder);
    char *body = calloc(1, 900000);
    assert_non_null(body);
    long status = 503; /* the place comes back when its connection is seen to be gone */
    for (int i = 0; i < 200 && status == 503; i++, rest(20))
        status = http_send(client, "POST", "/change/m", NULL, body, 900000)->status;
    assert_int_equal(status, 200);
    free(body);
}

/* ---- clients that are slow, or gone -------------------------------------------------------- */

/* Each sends a byte now and then, until the daemon closes. */
static void test_dripping_clients(void **state)
{
    enum { CLIENTS = 3 };
    static const char *const begin[CLIENTS] = {
        "GET /",
        "GET /inline HTTP/1.1\r\nX: ",
        "POST /inline HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n",
    };
    int fd[CLIENTS];
    bool open[CLIENTS];
    (void)state;
    for (int c = 0; c < CLIENTS; c++) {
        fd[c] = raw_connect(d.port);
        open[c] = raw_send(fd[c], begin[c], strlen(begin[c]));
    }
    /* The deadlines are 1 and 2 s; after 20 s there are none. */
    for (int i = 0; i < 100 && (open[0] || open[1] || open[2]); i++, rest(200))
        for (int c = 0; c < CLIENTS; c++)
            open[c] = open[c] && raw_send(fd[c], "x", 1);
    for (int c = 0; c < CLIENTS; c++) {
        close(fd[c]);
        assert_false(open[c]);
    }
}

static void test_silent_client(void **state)
{
    char answer[64];
    int fd = raw_connect(d.port);
    (void)state;
    assert_int_equal(raw_read_all(fd, answer, sizeof answer), 0); /* closed, not timed out here */
    close(fd);
}

/* The deadlines are for the client's part: not for a long call, nor for a kept connection. */
static void test_deadlines_spare_the_patient(void **state)
{
    struct http_client *idle = http_client_new(d.url);
    (void)state;
    assert_int_equal(http_get(idle, "/read/m")->status, 200);
    assert_int_equal(http_get(client, "/change/m?slices=18&ms=200")->status, 200); /* 3.6 s */
    const struct http_reply *r = http_get(idle, "/read/m");
    assert_int_equal(r->status, 200);
    assert_int_equal(r->connects, 0);
    http_client_free(idle);
}

static void test_disconnects_while_asleep(void **state)
{
    (void)state;
    for (int i = 0; i < 60; i++) {
        const struct linger at_once = {.l_onoff = 1};
        char request[200];
        int n =
            snprintf(request, sizeof request,
                     "GET /change/d%d?ms=10&slices=2&out=%d HTTP/1.1\r\nHost: localhost\r\n\r\n", i,
                     i % 2 ? 5000000 : 0);
        int fd = raw_connect(d.port);
        raw_send(fd, request, (size_t)n);
        if (i % 3 == 0)
            setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
        if (i % 3 == 1)
            shutdown(fd, SHUT_WR);
        if (i % 5 == 0)
            rest(15);
        close(fd);
    }
    for (int i = 0; i < 20; i++)
        assert_int_equal(http_get(client, "/change/m")->status, 200);
}

static void test_log_lines(void **state)
{
    static const char *const headers[] = {"X-Request-Id: log-me", NULL};
    (void)state;
    http_send(client, "POST", "/change/m?a=\"b", headers, "12345", 5);
    http_get(client, "/inline"); /* the line is written after the answer */
    char *line = NULL, *log = NULL;
    for (int i = 0; i < 500 && !line; i++, rest(10)) {
        free(log);
        log = daemon_log(&d);
        line = strstr(log, "\"id\":\"log-me\"");
    }
    assert_non_null(line);
    assert_int_equal(strncmp(line,
                             "\"id\":\"log-me\",\"method\":\"POST\",\"path\":"
                             "\"/change/m?a=\\\"b\",\"status\":200,\"in\":5,\"out\":12,\"us\":",
                             88),
                     0);
    free(log);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_modes),
        cmocka_unit_test(test_headers_of_every_answer),
        cmocka_unit_test(test_connection_is_kept),
        cmocka_unit_test(test_method_not_allowed),
        cmocka_unit_test(test_head),
        cmocka_unit_test(test_large_answer),
        cmocka_unit_test(test_large_body),
        cmocka_unit_test(test_pipelining),
        cmocka_unit_test(test_chunk_storm),
        cmocka_unit_test(test_chunks_over_the_limit),
        cmocka_unit_test(test_bad_chunks),
        cmocka_unit_test(test_malformed_requests),
        cmocka_unit_test(test_refused_by_the_parser),
        cmocka_unit_test(test_long_lines),
        cmocka_unit_test(test_too_large_before_the_body),
        cmocka_unit_test(test_expect_continue),
        cmocka_unit_test(test_full_line),
        cmocka_unit_test(test_full_budget_of_bodies),
        cmocka_unit_test(test_dripping_clients),
        cmocka_unit_test(test_silent_client),
        cmocka_unit_test(test_deadlines_spare_the_patient),
        cmocka_unit_test(test_disconnects_while_asleep),
        cmocka_unit_test(test_log_lines),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
