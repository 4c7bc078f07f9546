/* Abuse of the wire against the whole daemon: targets, headers, bodies over the limit, connections
 * that are many, fast, half done or gone. It answers after each test, and ends with 0. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "tests/server/daemon.h"
#include "tests/server/http_client.h"
#include "tests/server/model_client.h"
#include "tests/server/raw_client.h"
#include "tests/server/target.h"

static void rest(long ms)
{
    const struct timespec time = {.tv_nsec = ms * 1000000};
    nanosleep(&time, NULL);
}

/* ---- routes and headers -------------------------------------------------------------------- */

static int raw(const char *line, const char *headers, char *answer, size_t room)
{
    struct text t = {0};
    text_print(&t, "%s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n%s\r\n", line, headers);
    int status = raw_ask(target.port, t.at, t.bytes, answer, room);
    text_free(&t);
    return status;
}

static void test_route_tricks(void **state)
{
    static const struct {
        int status;
        const char *line;
    } row[] = {
        {404, "GET //models"},
        {404, "GET /models/"},
        {404, "GET /models//m"},
        {404, "GET /./models"},
        {404, "GET /models/../models"},
        {404, "GET /models/m/../m"},
        {404, "GET /Models"},
        {404, "GET /MODELS/m"},
        {404, "GET /models/M"},
        {404, "GET /models."},
        {404, "GET /models/m."},
        {404, "GET /models;x"},
        {404, "GET /models/m;x=1"},
        {404, "GET /models/m/step/x"},
        {404, "GET /models/m/batches/0"},
        {404, "GET /models/m/batches/01x"},
        {404, "GET /models/m/batches/-1"},
        {404, "GET /models/m/batches/99999999999999999999"},
        {404, "GET /models/m/parameters/0.weight/"},
        {400, "GET /models/m/parameters/..%2f"},
        {404, "GET /"},
        {400, "GET /models%2fm"},
        {400, "GET /%6dodels"},
        {400, "GET /models/m%00"},
        {400, "GET http://localhost/models"},
        {400, "OPTIONS *"},
        {400, "GET models"},
        {405, "POST /models/m"},
        {405, "get /models"},
        {405, "TRACE /models"},
        {405, "OPTIONS /models"},
        {400, "GET /models?limit=0"},
        {400, "GET /models?limit=101"},
        {400, "GET /models?limit=1&limit=2"},
        {400, "GET /models?limit"},
        {400, "GET /models?Limit=1"},
        {400, "GET /models?limit=1;after=m"},
        {400, "GET /models/m/losses?points=1e3"},
        {400, "GET /models/m/losses?after=-1"},
        {400, "GET /models/m/losses?limit=99999999999999999999"},
        {200, "GET /models?"},
        {200, "GET /models?&limit=1&"},
        {200, "GET /models?after=zzzz"},
    };
    char answer[4096];
    (void)state;
    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        int want = row[i].status, got = raw(row[i].line, "", answer, sizeof answer);
        if (got != want)
            fail_msg("%s: %d, not %d: %s", row[i].line, got, want, answer);
        if (want != 200)
            assert_non_null(strstr(answer, "application/problem+json"));
    }
    char *longest = text_repeat("GET /models/", "a", 8000, "");
    assert_int_equal(raw(longest, "", answer, sizeof answer), 404);
    free(longest);
}

static void test_headers(void **state)
{
    static const struct {
        int status;
        const char *line, *headers;
    } row[] = {
        {415, "POST /models/m/step", "Content-Type: text/plain\r\nContent-Length: 2\r\n\r\n{}"},
        {415, "POST /models/m/step",
         "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 2\r\n\r\n{}"},
        {415, "POST /models/m/step",
         "Content-Type: multipart/form-data; boundary=x\r\nContent-Length: 2\r\n\r\n{}"},
        {415, "POST /models/m/step", "Content-Length: 2\r\n\r\n{}"},
        {415, "POST /models/m/step",
         "Content-Encoding: gzip\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"},
        {405, "POST /models/m", "X-HTTP-Method-Override: DELETE\r\nContent-Length: 0\r\n"},
        {200, "GET /models/m", "X-HTTP-Method-Override: DELETE\r\n"},
        {413, "GET /models/m", "Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"},
        {400, "GET /models/m", "X-Request-Id: a b\r\n"},
        {400, "GET /models/m", "X-Request-Id: <script>\r\n"},
        {403, "GET /models/m", "Origin: http://evil.example\r\n"},
        {200, "GET /models/m", "Cookie: a=b; c\r\nAuthorization: Bearer \r\nAuthorization: x\r\n"},
        {400, "POST /models/m/step",
         "Content-Type: application/json\r\nContent-Length: 5\r\n"
         "\r\n\xef\xbb\xbf{}"},
        {400, "POST /models/m/step",
         "Content-Type: application/json; charset=utf-16\r\n"
         "Content-Length: 4\r\n\r\n{\xff}\xff"},
    };
    char answer[4096];
    (void)state;
    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        int got = raw(row[i].line, row[i].headers, answer, sizeof answer);
        if (got != row[i].status)
            fail_msg("%s %s: %d, not %d: %s", row[i].line, row[i].headers, got, row[i].status,
                     answer);
    }
}

/* The lines of the log that tell of a request; each line must begin with a time. */
static int count_requests(void)
{
    char *log = daemon_log(&target);
    int requests = 0;
    for (char *line = log, *end; (end = strchr(line, '\n')); line = end + 1) {
        *end = '\0';
        if (!isdigit((unsigned char)line[0]) || strlen(line) < 25 || line[23] != 'Z')
            fail_msg("a line that is none of ours: %s", line);
        requests += strstr(line, "Z info request id=") == line + 23 ||
                    strstr(line, "Z warn request id=") == line + 23 ||
                    strstr(line, "Z error request id=") == line + 23;
        for (const char *c = line; *c; c++)
            assert_true(*c >= ' ' && *c <= '~');
    }
    free(log);
    return requests;
}

/* What clients put into targets, headers and bodies makes no line, and no request goes without. */
static void test_one_line_a_request(void **state)
{
    static const char *const line[] = {
        "GET /\x1b[31mred",
        "GET /a\rb",
        "GET /%0d%0a2026-01-01T00:00:00.000Z",
        "GET /\"quoted\"\\",
        "GET /\xff\xfe",
        "GET /models?after=\"x\"",
        "BREW /models",
        "GET /status=200,info,request,id=forged",
    };
    static const char *const body[] = {
        "{\"id\":\"x\\r\\n2026-01-01T00:00:00.000Z info request id=forged status=200\"}",
        "{\"id\":\"\\u001b[2J\\u001b[31mred\"}",
        "{\"\\n\\u202e\":1}",
        "{\"layers\":[{\"type\":\"\xe2\x80\xa8\\n\"}],\"loss\":\"mse\"}",
    };
    enum { LINES = sizeof line / sizeof line[0], BODIES = sizeof body / sizeof body[0] };
    char answer[4096];
    (void)state;
    int sent = 0;
    ask(&target_client, 200, "GET", NULL, "/healthz");
    rest(100); /* the lines of what was answered before */
    int before = count_requests();
    for (size_t i = 0; i < LINES; i++)
        sent += raw(line[i], "", answer, sizeof answer) > 0;
    assert_int_equal(sent, LINES);
    for (size_t i = 0; i < BODIES; i++, sent++)
        ask(&target_client, 422, "POST", body[i], "/models");
    int after = before;
    for (int i = 0; i < 500 && after < before + sent; i++, rest(10))
        after = count_requests();
    rest(50);
    assert_int_equal(count_requests(), before + sent);
}

/* ---- bodies that are too large ------------------------------------------------------------- */

/* Answered from the header alone: not a byte of the body is sent. */
static void test_body_over_the_limit(void **state)
{
    char headers[200], answer[4096];
    (void)state;
    snprintf(headers, sizeof headers, "Content-Type: application/json\r\nContent-Length: %zu\r\n",
             TARGET_MAX_BODY + 1);
    assert_int_equal(raw("POST /models/m/batches", headers, answer, sizeof answer), 413);
    assert_non_null(strstr(answer, "/problems/too-large"));
    snprintf(headers, sizeof headers, "Content-Type: application/json\r\nContent-Length: %zu\r\n",
             MIB + 1); /* routes without tensors have a smaller one */
    assert_int_equal(raw("POST /models/m/zero_grad", headers, answer, sizeof answer), 413);
    char *blanks =
        text_repeat("{}", " ", TARGET_MAX_BODY - 2, ""); /* to the byte as much as may be */
    ask(&target_client, 200, "POST", blanks, "/models/m/step");
    free(blanks);
}

static void test_chunks_over_the_limit(void **state)
{
    enum { CHUNKS = 64 };
    static const char head[] = "POST /models/m/batches HTTP/1.1\r\nHost: localhost\r\n"
                               "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n"
                               "Connection: close\r\n\r\n";
    char answer[4096];
    char *chunk = text_repeat("100000\r\n", " ", MIB, "\r\n");
    int fd = raw_connect(target.port);
    (void)state;
    assert_true(raw_send(fd, head, sizeof head - 1));
    bool open = true;
    for (int i = 0; i < CHUNKS && open; i++)
        open = raw_send(fd, chunk, MIB + 10);
    if (open)
        raw_send(fd, "0\r\n\r\n", 5);
    free(chunk);
    assert_true(raw_read_until(fd, "\r\n\r\n", answer, sizeof answer));
    assert_non_null(strstr(answer, "HTTP/1.1 413 "));
    close(fd);
}

/* ---- connections --------------------------------------------------------------------------- */

#define FORWARD "Content-Type: application/json\r\nContent-Length: 16\r\n\r\n{\"inputs\":[[1]]}"

static void test_pipelining(void **state)
{
    enum { REQUESTS = 1000, ROOM = 4 << 20 };
#define LINE(request) request " HTTP/1.1\r\nHost: localhost\r\n%s"
    static const char *const request[] = {
        LINE("GET /healthz") "\r\n",
        LINE("POST /models/m/step") "Content-Length: 0\r\n\r\n",
        LINE("GET /models/m") "\r\n",
        LINE("POST /models/m/forward") FORWARD,
    };
    struct text t = {0};
    int answers = 0;
    double last = 0;
    (void)state;
    for (int i = 0; i < REQUESTS; i++) {
        const char *piece = request[i % 4], *at = strstr(piece, "%s");
        text_add_bytes(&t, piece, (size_t)(at - piece));
        text_print(&t, "%s%s", i == REQUESTS - 1 ? "Connection: close\r\n" : "", at + 2);
    }
    char *all = malloc(ROOM);
    assert_non_null(all);
    int fd = raw_connect(target.port);
    assert_true(raw_send(fd, t.at, t.bytes));
    assert_true(raw_read_all(fd, all, ROOM) > 0);
    close(fd);
    for (char *at = all; (at = strstr(at, "HTTP/1.1 200 ")); at++)
        answers++;
    assert_int_equal(answers, REQUESTS);
    for (char *at = all; (at = strstr(at, "\r\n\r\n{\"step\":")); at++) { /* in order */
        double step = atof(at + 12);
        assert_true(last == 0 || step == last + 1);
        last = step;
    }
    assert_true(last > 0);
    free(all);
    text_free(&t);
}

/* A request pipelined behind those of a client that goes away, at any moment of them. */
static void test_disconnects(void **state)
{
    enum { CLIENTS = 100 };
    static const char *const request[] = {
        "POST /models/m/step HTTP/1.1\r\nHost: localhost\r\n"
        "Content-Type: application/json\r\nContent-Length: 15\r\n\r\n{\"steps\":20000}",
        "GET /models/m/gradients HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "POST /models/m/step HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n"
        "Content-Type: application/json\r\n\r\n{\"steps\":",
        "GET /models/m/losses?limit=100000 HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "GET /models HTTP/1.1\r\nHost: local",
    };
    (void)state;
    for (int i = 0; i < CLIENTS; i++) {
        const struct linger at_once = {.l_onoff = 1};
        const char *one = request[i % 5];
        int fd = raw_connect(target.port);
        raw_send(fd, one, strlen(one));
        if (i % 2)
            raw_send(fd, request[1], strlen(request[1]));
        if (i % 3 == 0)
            setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
        if (i % 7 == 0)
            rest(5);
        close(fd);
    }
    /* What had been taken on still runs to its end, in line. */
    long status = 429;
    for (int i = 0; i < 3000 && status == 429; i++, rest(10))
        status = try_ask(&target_client, "POST", "{}", "/models/m/step");
    assert_int_equal(status, 200);
}

/* Clients that end in the middle of a body, with the last bytes that they send: what was held for
 * them comes back, long before their time would be over, and nobody waits for them at the end. */
static void test_abandoned_uploads(void **state)
{
    enum { CLIENTS = 20 };
    static const char *const args[] = {"--max-body",
                                       "1M",
                                       "--queue-bytes",
                                       "1M",
                                       "--body-seconds",
                                       "3600",
                                       "--drain-seconds",
                                       "3600",
                                       "--header-seconds",
                                       "3600",
                                       NULL};
    static const char begun[] = "POST /models/m/step HTTP/1.1\r\nHost: localhost\r\n"
                                "Content-Type: application/json\r\nContent-Length: 50000\r\n\r\n{";
    struct daemon other = {0};
    struct model_client client;
    (void)state;
    daemon_start(&other, DAEMON_REAL, args);
    model_client_open(&client, other.url);
    for (int i = 0; i < CLIENTS; i++) {
        int fd = raw_connect(other.port);
        raw_send(fd, begun, sizeof begun - 1);
        close(fd);
    }
    char *whole = text_repeat("{}", " ", MIB - 2, "");
    long status = 503; /* or 0: refused before it was read, it may not come to the answer */
    for (int i = 0; i < 1000 && (status == 503 || status == 0); i++, rest(20))
        status = try_ask(&client, "POST", whole, "/models/none/step");
    free(whole);
    for (int i = 0; i < CLIENTS; i++) {
        int fd = raw_connect(other.port);
        raw_send(fd, begun, sizeof begun - 1);
        close(fd);
    }
    model_client_close(&client);
    int code = daemon_stop(&other);
    daemon_remove(&other);
    assert_int_equal(status, 404);
    assert_int_equal(code, 0);
}

static void test_idle_connections(void **state)
{
    enum { IDLE = 200 };
    int fd[IDLE];
    struct model_client other;
    (void)state;
    for (int i = 0; i < IDLE; i++) {
        fd[i] = raw_connect(target.port);
        if (i % 2)
            raw_send(fd[i], "GET /heal", 9);
    }
    model_client_open(&other, target.url);
    for (int i = 0; i < 50; i++)
        ask(&other, 200, "POST", "{\"steps\":3}", "/models/m/step");
    model_client_close(&other);
    for (int i = 0; i < IDLE; i++)
        close(fd[i]);
}

#define ABUSE_TEST(f) cmocka_unit_test_teardown(f, target_is_well)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ABUSE_TEST(test_route_tricks),          ABUSE_TEST(test_headers),
        ABUSE_TEST(test_one_line_a_request),    ABUSE_TEST(test_body_over_the_limit),
        ABUSE_TEST(test_chunks_over_the_limit), ABUSE_TEST(test_pipelining),
        ABUSE_TEST(test_disconnects),           ABUSE_TEST(test_abandoned_uploads),
        ABUSE_TEST(test_idle_connections),
    };
    return cmocka_run_group_tests(tests, target_start, target_stop);
}
