/* Clients that mean harm, against the whole daemon: all the tests share one, which must answer
 * after each, keep its memory within bounds, log a line a request, and end with 0. */
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

#ifdef __has_feature
#if __has_feature(thread_sanitizer) || __has_feature(address_sanitizer)
#define SLOW_BUILD
#endif
#endif
#if defined __SANITIZE_THREAD__ || defined __SANITIZE_ADDRESS__
#define SLOW_BUILD
#endif

#define MIB      ((size_t)1 << 20)
#define MAX_BODY (24 * MIB)

static struct daemon d;
static struct model_client m;

static int start(void **state)
{
    static const char *const args[] = {"--max-body", "24M", "--workers", "2", NULL};
    (void)state;
    daemon_start(&d, DAEMON_REAL, args);
    model_client_open(&m, d.url);
    ask(&m, 201, "POST",
        "{\"id\":\"m\",\"loss\":\"mse\",\"layers\":"
        "[{\"type\":\"linear\",\"in_features\":1,\"out_features\":1}]}",
        "/models");
    ask(&m, 201, "POST",
        "{\"id\":\"classes\",\"loss\":\"cross_entropy\",\"layers\":"
        "[{\"type\":\"linear\",\"in_features\":2,\"out_features\":3}]}",
        "/models");
    ask(&m, 201, "POST", "{\"inputs\":[[1],[2]],\"targets\":[[3],[4]]}", "/models/m/batches");
    return 0;
}

static int stop(void **state)
{
    (void)state;
    model_client_close(&m);
    int status = daemon_stop(&d);
    daemon_remove(&d);
    return status;
}

/* It works, and training does what it did. */
static void assert_well(void)
{
    ask(&m, 200, "GET", NULL, "/readyz");
    double before = number(ask(&m, 200, "GET", NULL, "/models/m"), "step");
    ask(&m, 200, "POST", "{}", "/models/m/step");
    assert_int_equal(number(m.json, "step"), before + 1);
}

static int assert_well_after(void **state)
{
    (void)state;
    assert_well();
    return 0;
}

static void rest(long ms)
{
    const struct timespec time = {.tv_nsec = ms * 1000000};
    nanosleep(&time, NULL);
}

/* piece, so many times, between begin and end. */
static char *repeat(const char *begin, const char *piece, size_t times, const char *end)
{
    struct text t = {0};
    text_add(&t, "%s", begin);
    for (size_t i = 0; i < times; i++)
        text_add_bytes(&t, piece, strlen(piece));
    text_add(&t, "%s", end);
    return t.at;
}

/* Posts the body (freed) to path; the answer must be this problem. */
static void refuse(long status, const char *slug, const char *path, char *body)
{
    ask(&m, status, "POST", body, "%s", path);
    assert_problem(&m, slug, NULL);
    free(body);
}

/* ---- JSON that is too much ----------------------------------------------------------------- */

static void test_deep_nesting(void **state)
{
    static const char *const paths[] = {"/models/m/step", "/models/m/batches", "/models/m/forward"};
    static const size_t depth[] = {65, 1000, 10000, 250000};
    (void)state;
    for (size_t i = 0; i < sizeof depth / sizeof depth[0]; i++) {
        const char *path = paths[i % 3];
        char *closing = repeat("1", "]", depth[i], "}");
        refuse(400, "malformed-request", path, repeat("", "[", depth[i], ""));
        refuse(400, "malformed-request", path, repeat("{\"inputs\":", "[", depth[i], closing));
        refuse(400, "malformed-request", path, repeat("", "{\"a\":", depth[i], "1"));
        refuse(400, "malformed-request", path, repeat("", "{\"a\":[", depth[i], ""));
        refuse(400, "malformed-request", path, repeat("{\"inputs\":[[[1],", "[", depth[i], ""));
        free(closing);
    }
    refuse(400, "malformed-request", "/models", repeat("", "[", 250000, ""));
    refuse(413, "too-large", "/models", repeat("", "{\"a\":", 250000, ""));
}

#ifndef SLOW_BUILD
/* The daemon's peak of resident memory in kB, since the last reset. */
static long peak_kb(void)
{
    char name[64], line[256];
    long kb = 0;
    snprintf(name, sizeof name, "/proc/%d/status", (int)d.pid);
    FILE *f = fopen(name, "r");
    assert_non_null(f);
    while (fgets(line, sizeof line, f) && sscanf(line, "VmHWM: %ld kB", &kb) != 1)
        continue;
    fclose(f);
    assert_true(kb > 0);
    return kb;
}

static void reset_peak(void)
{
    char name[64];
    snprintf(name, sizeof name, "/proc/%d/clear_refs", (int)d.pid);
    FILE *f = fopen(name, "w");
    assert_non_null(f);
    fputs("5", f);
    assert_int_equal(fclose(f), 0);
}
#endif

/* Posts the body (freed); the daemon may grow by so much. Sanitizers keep memory for themselves,
 * so there only the answer counts. */
static void post_within(size_t bytes, long status, const char *path, char *body)
{
#ifndef SLOW_BUILD
    reset_peak();
    long before = peak_kb();
    ask(&m, status, "POST", body, "%s", path);
    long grown = peak_kb() - before;
    if (grown > (long)(bytes / 1024))
        fail_msg("%s: %ld kB more, not %zu", path, grown, bytes / 1024);
#else
    (void)bytes;
    ask(&m, status, "POST", body, "%s", path);
#endif
    free(body);
}

/* What a request may take: its body; for numbers, one float of four bytes for each "0," of two, so
 * twice the body; never a node for each. And some for the allocator and libmicrohttpd. */
static void test_bombs(void **state)
{
    enum { TWENTY = 20 << 20 };
    const size_t extra = 8 * MIB, body = TWENTY;
    (void)state;
    /* Refused by their shape: no number is read. */
    post_within(body + extra, 422, "/models/m/step",
                repeat("{\"inputs\":[", "0,", TWENTY / 2 - 20, "0],\"targets\":[]}"));
    post_within(body + extra, 422, "/models/m/forward",
                repeat("{\"inputs\":[[", "0,", TWENTY / 2 - 20, "0]]}"));
    /* Values that would be nodes are counted before any is made. */
    post_within(body + extra, 422, "/models/m/step",
                repeat("{\"inputs\":[{}", ",{}", TWENTY / 3 - 20, "]}"));
    post_within(body + extra, 422, "/models/m/step",
                repeat("{\"inputs\":[\"\"", ",\"\"", TWENTY / 3 - 20, "]}"));
    post_within(body + extra, 422, "/models/m/step",
                repeat("{\"inputs\":{", "\"a\":[],", TWENTY / 7 - 20, "\"a\":[]}}"));
    /* Taken: of "[0]," one float, and so half of the body once more for both tensors; and the
     * store's copy of them on its way to the disk, with SQLite's. */
    struct text t = {0};
    for (int part = 0; part < 2; part++) {
        char *half = repeat(part ? "],\"targets\":[[0]" : "{\"inputs\":[[0]", ",[0]", body / 8, "");
        text_add_bytes(&t, half, strlen(half));
        free(half);
    }
    text_add(&t, "]}");
    post_within(3 * body + extra, 201, "/models/m/batches", t.at);
    ask(&m, 204, "DELETE", NULL, "/models/m/batches/%d", (int)number(m.json, "batch"));
}

static void test_many_keys(void **state)
{
    struct text t = {0};
    (void)state;
    for (int i = 0; i < 1000000; i++)
        text_add(&t, "%s\"%d\":0", i ? "," : "{", i);
    text_add(&t, "}");
    refuse(422, "invalid-argument", "/models/m/step", t.at);
    t = (struct text){0};
    for (int i = 0; i < 40000; i++) /* within the bound, sorted to be compared */
        text_add(&t, "%s\"%d\":0", i ? "," : "{", i);
    text_add(&t, ",\"777\":1}");
    ask(&m, 400, "POST", t.at, "/models/m/step");
    assert_problem(&m, "malformed-request", "/777");
    text_free(&t);
    ask(&m, 400, "POST", "{\"steps\":1,\"st\\u0065ps\":2}", "/models/m/step");
    assert_problem(&m, "malformed-request", "/steps");
}

static void test_numbers(void **state)
{
    (void)state;
    char *digits = repeat("{\"steps\":", "1", 4 << 20, "}");
    refuse(422, "invalid-argument", "/models/m/step", digits);
    refuse(422, "invalid-argument", "/models/m/forward",
           repeat("{\"inputs\":[[", "9", 4 << 20, "]]}"));
    ask(&m, 422, "POST", "{\"inputs\":[[1e400]]}", "/models/m/forward");
    assert_problem(&m, "invalid-argument", "/inputs/0/0");
    ask(&m, 200, "POST", "{\"inputs\":[[1e-400],[1e-45],[-0.0]]}", "/models/m/forward");
    char *small = repeat("{\"inputs\":[[0.", "0", 4 << 20, "1]]}");
    ask(&m, 200, "POST", small, "/models/m/forward");
    free(small);
    ask(&m, 200, "POST", "{\"inputs\":[[\"NaN\"],[\"-Infinity\"]]}", "/models/m/forward");
    assert_string_equal(string(m.json, "outputs/0/0"), "NaN");
}

/* ---- fields that are too much -------------------------------------------------------------- */

static void test_shapes(void **state)
{
    static const struct {
        const char *in, *out, *pointer;
    } row[] = {
        {"0", "1", NULL},
        {"-1", "1", "/layers/0/in_features"},
        {"1.5", "1", "/layers/0/in_features"},
        {"\"1\"", "1", "/layers/0/in_features"},
        {"null", "1", "/layers/0/in_features"},
        {"2147483648", "2147483648", NULL},
        {"4294967297", "4294967297", NULL},
        {"1000000000", "1000000000", NULL},
        {"9223372036854775807", "2", NULL},
        {"9223372036854775808", "1", "/layers/0/in_features"},
        {"1e400", "1", "/layers/0/in_features"},
        {"1", "4611686018427387904", NULL},
    };
    (void)state;
    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        struct text t = {0};
        text_add(&t, "{\"loss\":\"mse\",\"layers\":[{\"type\":\"linear\",");
        text_add(&t, "\"in_features\":%s,\"out_features\":%s}]}", row[i].in, row[i].out);
        ask(&m, 422, "POST", t.at, "/models");
        assert_problem(&m, "invalid-argument", row[i].pointer);
        text_free(&t);
    }
    refuse(422, "invalid-argument", "/models",
           repeat("{\"loss\":\"mse\",\"layers\":[", "{\"type\":\"relu\"},", 20000,
                  "{\"type\":\"relu\"}]}"));
    refuse(413, "too-large", "/models",
           repeat("{\"loss\":\"mse\",\"layers\":[", "{\"type\":\"relu\"},", 1000000,
                  "{\"type\":\"relu\"}]}"));
    ask(&m, 422, "POST",
        "{\"loss\":\"mse\",\"layers\":[{\"type\":\"linear\",\"in_features\":2,\"out_features\":3},"
        "{\"type\":\"relu\"},{\"type\":\"linear\",\"in_features\":4,\"out_features\":1}]}",
        "/models");
    assert_problem(&m, "invalid-argument", "/layers/2/in_features");
}

/* Each is refused, at this place, and leaves the model as it was. */
static void test_values(void **state)
{
    static const struct {
        const char *path, *body, *pointer;
    } row[] = {
        {"/models/m/step", "{\"inputs\":[[1],[2]],\"targets\":[[1]]}", "/targets"},
        {"/models/m/step", "{\"inputs\":[[1],[2,3]],\"targets\":[[1],[2]]}", "/inputs/1"},
        {"/models/m/step", "{\"inputs\":[[1],[]],\"targets\":[[1],[2]]}", "/inputs/1"},
        {"/models/m/step", "{\"inputs\":[],\"targets\":[]}", "/inputs"},
        {"/models/m/step", "{\"inputs\":[[1],[\"NaN\"]],\"targets\":[[1],[2]]}", "/inputs/1/0"},
        {"/models/m/step", "{\"inputs\":[[1],[2]],\"targets\":[[1],[\"Infinity\"]]}",
         "/targets/1/0"},
        {"/models/m/step", "{\"inputs\":[[1],[null]],\"targets\":[[1],[2]]}", "/inputs/1/0"},
        {"/models/m/step", "{\"inputs\":[[1]],\"targets\":[[1]],\"batch\":1}", "/batch"},
        {"/models/m/step", "{\"batch\":99}", "/batch"},
        {"/models/m/step", "{\"steps\":0}", "/steps"},
        {"/models/m/step", "{\"steps\":-1}", "/steps"},
        {"/models/m/step", "{\"steps\":1000001}", "/steps"},
        {"/models/m/step", "{\"steps\":1.5}", "/steps"},
        {"/models/m/step", "{\"steps\":9223372036854775808}", "/steps"},
        {"/models/m/step", "{\"Steps\":1}", "/Steps"},
        {"/models/classes/step", "{\"inputs\":[[1,2]],\"targets\":[3]}", "/targets/0"},
        {"/models/classes/step", "{\"inputs\":[[1,2]],\"targets\":[-1]}", "/targets/0"},
        {"/models/classes/step", "{\"inputs\":[[1,2]],\"targets\":[0.5]}", "/targets/0"},
        {"/models/classes/step", "{\"inputs\":[[1,2]],\"targets\":[9223372036854775808]}",
         "/targets/0"},
    };
    static const char *const lr[] = {"-1",    "\"NaN\"", "\"Infinity\"", "1e400",
                                     "\"1\"", "[1]",     "true"};
    (void)state;
    double before = number(ask(&m, 200, "GET", NULL, "/models/m"), "step");
    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        ask(&m, 422, "POST", row[i].body, "%s", row[i].path);
        if (strcmp(string(m.json, "pointer"), row[i].pointer) != 0)
            fail_msg("%s: %s", row[i].body, m.reply->body);
    }
    for (size_t i = 0; i < sizeof lr / sizeof lr[0]; i++) {
        char body[64];
        snprintf(body, sizeof body, "{\"optimizer\":{\"lr\":%s}}", lr[i]);
        ask(&m, 422, "PATCH", body, "/models/m");
        assert_problem(&m, "invalid-argument", "/optimizer/lr");
    }
    ask(&m, 200, "GET", NULL, "/models/m");
    assert_int_equal(number(m.json, "step"), before);
    assert_close(number(m.json, "optimizer/lr"), 0.001, 0);
}

/* ---- names --------------------------------------------------------------------------------- */

/* As they stand in JSON. */
static const char *const naughty[] = {
    "../../etc/passwd",
    "a/b",
    "%2e%2e",
    "<script>alert(1)</script>",
    "'; DROP TABLE model; --",
    "=cmd|' /C calc'!A0",
    "x\\r\\nSet-Cookie: a=b",
    "x\\n2026-01-01T00:00:00.000Z info request id=forged status=200",
    "\\u001b[2J\\u001b[31mred",
    "\\u202egnp.exe",
    "\\ud83d\\ude00",
    "\xe2\x80\xa8",
    "\xc3\xa4\xc3\xb6",
    "{\\\"a\\\":1}",
    "%s%s%n",
    "\\u007f\\u0080",
    "-x",
    ".",
    "_",
    " a",
    "",
};
enum { NAUGHTY = sizeof naughty / sizeof naughty[0] };

static void test_naughty_ids(void **state)
{
    (void)state;
    for (size_t i = 0; i < NAUGHTY; i++) {
        struct text t = {0};
        text_add(&t, "{\"id\":\"%s\",\"loss\":\"mse\",\"layers\":[{\"type\":\"relu\"}]}",
                 naughty[i]);
        ask(&m, 422, "POST", t.at, "/models");
        assert_problem(&m, "invalid-argument", "/id");
        text_free(&t);
    }
    refuse(422, "invalid-argument", "/models",
           repeat("{\"id\":\"", "a", 65, "\",\"loss\":\"mse\",\"layers\":[{\"type\":\"relu\"}]}"));
    refuse(400, "malformed-request", "/models",
           repeat("{\"id\":\"", "a\\u0000b", 1, "\",\"layers\":[]}"));
    refuse(400, "malformed-request", "/models", repeat("{\"id\":\"", "\xff", 1, "\"}"));
    refuse(400, "malformed-request", "/models", repeat("{\"id\":\"", "\xc0\xaf", 1, "\"}"));
    refuse(400, "malformed-request", "/models", repeat("{\"id\":\"", "\\ud800", 1, "\"}"));
}

/* A label may be any text: it comes back as it was. Also as a key that is not known. */
static void test_naughty_labels(void **state)
{
    (void)state;
    for (size_t i = 0; i < NAUGHTY; i++) {
        struct text t = {0};
        text_add(&t, "{\"label\":\"%s\"}", naughty[i]);
        cJSON *sent = cJSON_Parse(t.at);
        ask(&m, 201, "POST", t.at, "/models/m/checkpoints");
        int n = (int)number(m.json, "n");
        ask(&m, 200, "GET", NULL, "/models/m/checkpoints?after=%d", n - 1);
        assert_string_equal(string(m.json, "checkpoints/0/label"), string(sent, "label"));
        cJSON_Delete(sent);
        text_free(&t);
        text_add(&t, "{\"%s\":1}", naughty[i]);
        ask(&m, 422, "POST", t.at, "/models/m/step");
        assert_problem(&m, "invalid-argument", NULL);
        text_free(&t);
    }
}

/* ---- routes and headers -------------------------------------------------------------------- */

static int raw(const char *line, const char *headers, char *answer, size_t room)
{
    struct text t = {0};
    text_add(&t, "%s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n%s\r\n", line, headers);
    int status = raw_ask(d.port, t.at, t.bytes, answer, room);
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
    char *longest = repeat("GET /models/", "a", 8000, "");
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
    char *log = daemon_log(&d);
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
    enum { LINES = sizeof line / sizeof line[0] };
    char answer[4096];
    (void)state;
    int sent = 0;
    ask(&m, 200, "GET", NULL, "/healthz");
    rest(100); /* the lines of what was answered before */
    int before = count_requests();
    for (size_t i = 0; i < LINES; i++)
        sent += raw(line[i], "", answer, sizeof answer) > 0;
    assert_int_equal(sent, LINES);
    for (size_t i = 0; i < NAUGHTY; i++, sent++) {
        struct text t = {0};
        text_add(&t, "{\"id\":\"%s\"}", naughty[i]);
        try_ask(&m, "POST", t.at, "/models");
        text_free(&t);
    }
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
             MAX_BODY + 1);
    assert_int_equal(raw("POST /models/m/batches", headers, answer, sizeof answer), 413);
    assert_non_null(strstr(answer, "/problems/too-large"));
    snprintf(headers, sizeof headers, "Content-Type: application/json\r\nContent-Length: %zu\r\n",
             MIB + 1); /* routes without tensors have a smaller one */
    assert_int_equal(raw("POST /models", headers, answer, sizeof answer), 413);
    char *blanks = repeat("{}", " ", MAX_BODY - 2, ""); /* to the byte as much as may be */
    ask(&m, 200, "POST", blanks, "/models/m/step");
    free(blanks);
}

static void test_chunks_over_the_limit(void **state)
{
    enum { CHUNKS = 64 };
    static const char head[] = "POST /models/m/batches HTTP/1.1\r\nHost: localhost\r\n"
                               "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n"
                               "Connection: close\r\n\r\n";
    char answer[4096];
    char *chunk = repeat("100000\r\n", " ", MIB, "\r\n");
    int fd = raw_connect(d.port);
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

static void test_pipelining(void **state)
{
    enum { REQUESTS = 1000, ROOM = 4 << 20 };
    static const char *const request[] = {
        "GET /healthz HTTP/1.1\r\nHost: localhost\r\n%s\r\n",
        "POST /models/m/step HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n%s\r\n",
        "GET /models/m HTTP/1.1\r\nHost: localhost\r\n%s\r\n",
        "POST /models/m/forward HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        "%sContent-Length: 16\r\n\r\n{\"inputs\":[[1]]}",
    };
    struct text t = {0};
    int answers = 0;
    double last = 0;
    (void)state;
    for (int i = 0; i < REQUESTS; i++) {
        const char *piece = request[i % 4], *at = strstr(piece, "%s");
        text_add_bytes(&t, piece, (size_t)(at - piece));
        text_add(&t, "%s%s", i == REQUESTS - 1 ? "Connection: close\r\n" : "", at + 2);
    }
    char *all = malloc(ROOM);
    assert_non_null(all);
    int fd = raw_connect(d.port);
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
        int fd = raw_connect(d.port);
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
        status = try_ask(&m, "POST", "{}", "/models/m/step");
    assert_int_equal(status, 200);
}

static void test_idle_connections(void **state)
{
    enum { IDLE = 200 };
    int fd[IDLE];
    struct model_client other;
    (void)state;
    for (int i = 0; i < IDLE; i++) {
        fd[i] = raw_connect(d.port);
        if (i % 2)
            raw_send(fd[i], "GET /heal", 9);
    }
    model_client_open(&other, d.url);
    for (int i = 0; i < 50; i++)
        ask(&other, 200, "POST", "{\"steps\":3}", "/models/m/step");
    model_client_close(&other);
    for (int i = 0; i < IDLE; i++)
        close(fd[i]);
}

/* ---- keys ---------------------------------------------------------------------------------- */

static void test_many_idempotency_keys(void **state)
{
    enum { KEYS = 2000 };
    (void)state;
    double before = number(ask(&m, 200, "GET", NULL, "/models/m"), "step");
    for (int i = 0; i < KEYS; i++) {
        char key[64];
        snprintf(key, sizeof key, "Idempotency-Key: k%d", i / 2); /* each twice */
        const char *const headers[] = {key, "Content-Type: application/json", NULL};
        const struct http_reply *r = http_send(m.http, "POST", "/models/m/step", headers, "{}", 2);
        assert_int_equal(r->status, 200);
    }
    assert_int_equal(number(ask(&m, 200, "GET", NULL, "/models/m"), "step"), before + KEYS / 2);
    static const char *const used[] = {"Idempotency-Key: k1", "Content-Type: application/json",
                                       NULL};
    assert_int_equal(http_send(m.http, "POST", "/models/m/step", used, "{\"steps\":1}", 11)->status,
                     422);
    assert_int_equal(http_send(m.http, "POST", "/models/m/zero_grad", used, "{}", 2)->status, 422);
    /* An error has had no effect, and so its key is free. */
    static const char *const fresh[] = {"Idempotency-Key: fresh", "Content-Type: application/json",
                                        NULL};
    assert_int_equal(http_send(m.http, "POST", "/models/no/step", fresh, "{}", 2)->status, 404);
    assert_int_equal(http_send(m.http, "POST", "/models/m/step", fresh, "{", 1)->status, 400);
    assert_int_equal(http_send(m.http, "POST", "/models/m/step", fresh, "{}", 2)->status, 200);
}

#define ABUSE_TEST(f) cmocka_unit_test_teardown(f, assert_well_after)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ABUSE_TEST(test_deep_nesting),
        ABUSE_TEST(test_bombs),
        ABUSE_TEST(test_many_keys),
        ABUSE_TEST(test_numbers),
        ABUSE_TEST(test_shapes),
        ABUSE_TEST(test_values),
        ABUSE_TEST(test_naughty_ids),
        ABUSE_TEST(test_naughty_labels),
        ABUSE_TEST(test_route_tricks),
        ABUSE_TEST(test_headers),
        ABUSE_TEST(test_one_line_a_request),
        ABUSE_TEST(test_body_over_the_limit),
        ABUSE_TEST(test_chunks_over_the_limit),
        ABUSE_TEST(test_pipelining),
        ABUSE_TEST(test_disconnects),
        ABUSE_TEST(test_idle_connections),
        ABUSE_TEST(test_many_idempotency_keys),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
