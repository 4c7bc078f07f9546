/* Abuse by documents, against the whole daemon: JSON, shapes, numbers, names and keys that are too
 * much. It answers after each test, keeps its memory within bounds, and ends with 0. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/server/daemon.h"
#include "tests/server/http_client.h"
#include "tests/server/model_client.h"
#include "tests/server/slow_build.h"
#include "tests/server/target.h"

/* Posts the body (freed) to path; the answer must be this problem. */
static void refuse(long status, const char *slug, const char *path, char *body)
{
    ask(&target_client, status, "POST", body, "%s", path);
    assert_problem(&target_client, slug, NULL);
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
        char *closing = text_repeat("1", "]", depth[i], "}");
        refuse(400, "malformed-request", path, text_repeat("", "[", depth[i], ""));
        refuse(400, "malformed-request", path, text_repeat("{\"inputs\":", "[", depth[i], closing));
        refuse(400, "malformed-request", path, text_repeat("", "{\"a\":", depth[i], "1"));
        refuse(400, "malformed-request", path, text_repeat("", "{\"a\":[", depth[i], ""));
        refuse(400, "malformed-request", path,
               text_repeat("{\"inputs\":[[[1],", "[", depth[i], ""));
        free(closing);
    }
    refuse(400, "malformed-request", "/models", text_repeat("", "[", 250000, ""));
    refuse(400, "malformed-request", "/models", text_repeat("", "{\"a\":", 250000, ""));
    refuse(413, "too-large", "/models/m/zero_grad", text_repeat("", "{\"a\":", 250000, ""));
}

/* The daemon's peak of resident memory in kB. */
static long peak_kb(void)
{
    char name[64], line[256];
    long kb = 0;
    snprintf(name, sizeof name, "/proc/%d/status", (int)target.pid);
    FILE *f = fopen(name, "r");
    assert_non_null(f);
    while (fgets(line, sizeof line, f) && sscanf(line, "VmHWM: %ld kB", &kb) != 1)
        continue;
    fclose(f);
    assert_true(kb > 0);
    return kb;
}

/* Posts the body (freed); then the daemon's peak is at most so much over what it was when idle.
 * Sanitizers keep memory for themselves, so there only the answer counts. */
static void post_within(long idle_kb, size_t bytes, long status, const char *path, char *body)
{
    ask(&target_client, status, "POST", body, "%s", path);
    long grown = peak_kb() - idle_kb;
    if (!SLOW_BUILD && grown > (long)(bytes / 1024))
        fail_msg("%s: %ld kB more, not %zu", path, grown, bytes / 1024);
    free(body);
}

/* A request that is refused may take its body, and some for the threads' first stacks and blocks;
 * never a number or a node for each piece of the text. */
static void test_bombs(void **state)
{
    enum { TWENTY = 20 << 20 };
    const size_t extra = 16 * MIB, body = TWENTY; /* the most values of a document take 13 MiB */
    long idle = peak_kb();
    (void)state;
    /* Refused by their shape: no number is read. */
    post_within(idle, body + extra, 422, "/models/m/step",
                text_repeat("{\"inputs\":[", "0,", TWENTY / 2 - 20, "0],\"targets\":[]}"));
    post_within(idle, body + extra, 422, "/models/m/forward",
                text_repeat("{\"inputs\":[[", "0,", TWENTY / 2 - 20, "0]]}"));
    /* Values that would be nodes are counted before any is made. */
    post_within(idle, body + extra, 422, "/models/m/step",
                text_repeat("{\"inputs\":[{}", ",{}", TWENTY / 3 - 20, "]}"));
    post_within(idle, body + extra, 422, "/models/m/step",
                text_repeat("{\"inputs\":[\"\"", ",\"\"", TWENTY / 3 - 20, "]}"));
    post_within(idle, body + extra, 422, "/models/m/step",
                text_repeat("{\"inputs\":{", "\"a\":[],", TWENTY / 7 - 20, "\"a\":[]}}"));
    /* Taken: of "[0]," one float, and so half of the body once more for both tensors; and the
     * store's copy of them on its way to the disk, with SQLite's. */
    struct text t = {0};
    for (int part = 0; part < 2; part++) {
        char *half =
            text_repeat(part ? "],\"targets\":[[0]" : "{\"inputs\":[[0]", ",[0]", body / 8, "");
        text_add_bytes(&t, half, strlen(half));
        free(half);
    }
    text_print(&t, "]}");
    post_within(idle, 3 * body + extra, 201, "/models/m/batches", t.at);
    ask(&target_client, 204, "DELETE", NULL, "/models/m/batches/%d",
        (int)number(target_client.json, "batch"));
}

static void test_many_keys(void **state)
{
    struct text t = {0};
    (void)state;
    for (int i = 0; i < 1000000; i++)
        text_print(&t, "%s\"%d\":0", i ? "," : "{", i);
    text_print(&t, "}");
    refuse(422, "invalid-argument", "/models/m/step", t.at);
    t = (struct text){0};
    for (int i = 0; i < 40000; i++) /* within the bound, sorted to be compared */
        text_print(&t, "%s\"%d\":0", i ? "," : "{", i);
    text_print(&t, ",\"777\":1}");
    ask(&target_client, 400, "POST", t.at, "/models/m/step");
    assert_problem(&target_client, "malformed-request", "/777");
    text_free(&t);
    ask(&target_client, 400, "POST", "{\"steps\":1,\"st\\u0065ps\":2}", "/models/m/step");
    assert_problem(&target_client, "malformed-request", "/steps");
}

static void test_numbers(void **state)
{
    (void)state;
    char *digits = text_repeat("{\"steps\":", "1", 4 << 20, "}");
    refuse(422, "invalid-argument", "/models/m/step", digits);
    refuse(422, "invalid-argument", "/models/m/forward",
           text_repeat("{\"inputs\":[[", "9", 4 << 20, "]]}"));
    ask(&target_client, 422, "POST", "{\"inputs\":[[1e400]]}", "/models/m/forward");
    assert_problem(&target_client, "invalid-argument", "/inputs/0/0");
    ask(&target_client, 200, "POST", "{\"inputs\":[[1e-400],[1e-45],[-0.0]]}", "/models/m/forward");
    char *small = text_repeat("{\"inputs\":[[0.", "0", 4 << 20, "1]]}");
    ask(&target_client, 200, "POST", small, "/models/m/forward");
    free(small);
    ask(&target_client, 200, "POST", "{\"inputs\":[[\"NaN\"],[\"-Infinity\"]]}",
        "/models/m/forward");
    assert_string_equal(string(target_client.json, "outputs/0/0"), "NaN");
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
        text_print(&t, "{\"loss\":\"mse\",\"layers\":[{\"type\":\"linear\",");
        text_print(&t, "\"in_features\":%s,\"out_features\":%s}]}", row[i].in, row[i].out);
        ask(&target_client, 422, "POST", t.at, "/models");
        assert_problem(&target_client, "invalid-argument", row[i].pointer);
        text_free(&t);
    }
    refuse(422, "invalid-argument", "/models",
           text_repeat("{\"loss\":\"mse\",\"layers\":[", "{\"type\":\"relu\"},", 20000,
                       "{\"type\":\"relu\"}]}"));
    refuse(422, "invalid-argument", "/models",
           text_repeat("{\"loss\":\"mse\",\"layers\":[", "{\"type\":\"relu\"},", 1000000,
                       "{\"type\":\"relu\"}]}"));
    ask(&target_client, 422, "POST",
        "{\"loss\":\"mse\",\"layers\":[{\"type\":\"linear\",\"in_features\":2,\"out_features\":3},"
        "{\"type\":\"relu\"},{\"type\":\"linear\",\"in_features\":4,\"out_features\":1}]}",
        "/models");
    assert_problem(&target_client, "invalid-argument", "/layers/2/in_features");
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
    double before = number(ask(&target_client, 200, "GET", NULL, "/models/m"), "step");
    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        ask(&target_client, 422, "POST", row[i].body, "%s", row[i].path);
        if (strcmp(string(target_client.json, "pointer"), row[i].pointer) != 0)
            fail_msg("%s: %s", row[i].body, target_client.reply->body);
    }
    for (size_t i = 0; i < sizeof lr / sizeof lr[0]; i++) {
        char body[64];
        snprintf(body, sizeof body, "{\"optimizer\":{\"lr\":%s}}", lr[i]);
        ask(&target_client, 422, "PATCH", body, "/models/m");
        assert_problem(&target_client, "invalid-argument", "/optimizer/lr");
    }
    ask(&target_client, 200, "GET", NULL, "/models/m");
    assert_int_equal(number(target_client.json, "step"), before);
    assert_close(number(target_client.json, "optimizer/lr"), 0.001, 0);
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
        text_print(&t, "{\"id\":\"%s\",\"loss\":\"mse\",\"layers\":[{\"type\":\"relu\"}]}",
                   naughty[i]);
        ask(&target_client, 422, "POST", t.at, "/models");
        assert_problem(&target_client, "invalid-argument", "/id");
        text_free(&t);
    }
    refuse(422, "invalid-argument", "/models",
           text_repeat("{\"id\":\"", "a", 65,
                       "\",\"loss\":\"mse\",\"layers\":[{\"type\":\"relu\"}]}"));
    refuse(400, "malformed-request", "/models",
           text_repeat("{\"id\":\"", "a\\u0000b", 1, "\",\"layers\":[]}"));
    refuse(400, "malformed-request", "/models", text_repeat("{\"id\":\"", "\xff", 1, "\"}"));
    refuse(400, "malformed-request", "/models", text_repeat("{\"id\":\"", "\xc0\xaf", 1, "\"}"));
    refuse(400, "malformed-request", "/models", text_repeat("{\"id\":\"", "\\ud800", 1, "\"}"));
}

/* A label may be any text: it comes back as it was. Also as a key that is not known. */
static void test_naughty_labels(void **state)
{
    (void)state;
    for (size_t i = 0; i < NAUGHTY; i++) {
        struct text t = {0};
        text_print(&t, "{\"label\":\"%s\"}", naughty[i]);
        cJSON *sent = cJSON_Parse(t.at);
        ask(&target_client, 201, "POST", t.at, "/models/m/checkpoints");
        int n = (int)number(target_client.json, "n");
        ask(&target_client, 200, "GET", NULL, "/models/m/checkpoints?after=%d", n - 1);
        assert_string_equal(string(target_client.json, "checkpoints/0/label"),
                            string(sent, "label"));
        cJSON_Delete(sent);
        text_free(&t);
        text_print(&t, "{\"%s\":1}", naughty[i]);
        ask(&target_client, 422, "POST", t.at, "/models/m/step");
        assert_problem(&target_client, "invalid-argument", NULL);
        text_free(&t);
    }
}

/* ---- keys ---------------------------------------------------------------------------------- */

static void test_many_idempotency_keys(void **state)
{
    enum { KEYS = 2000 };
    (void)state;
    double before = number(ask(&target_client, 200, "GET", NULL, "/models/m"), "step");
    for (int i = 0; i < KEYS; i++) {
        char key[64];
        snprintf(key, sizeof key, "Idempotency-Key: k%d", i / 2); /* each twice */
        const char *const headers[] = {key, "Content-Type: application/json", NULL};
        const struct http_reply *r =
            http_send(target_client.http, "POST", "/models/m/step", headers, "{}", 2);
        assert_int_equal(r->status, 200);
    }
    assert_int_equal(number(ask(&target_client, 200, "GET", NULL, "/models/m"), "step"),
                     before + KEYS / 2);
    static const char *const used[] = {"Idempotency-Key: k1", "Content-Type: application/json",
                                       NULL};
    assert_int_equal(
        http_send(target_client.http, "POST", "/models/m/step", used, "{\"steps\":1}", 11)->status,
        422);
    assert_int_equal(
        http_send(target_client.http, "POST", "/models/m/zero_grad", used, "{}", 2)->status, 422);
    /* An error has had no effect, and so its key is free. */
    static const char *const fresh[] = {"Idempotency-Key: fresh", "Content-Type: application/json",
                                        NULL};
    assert_int_equal(
        http_send(target_client.http, "POST", "/models/no/step", fresh, "{}", 2)->status, 404);
    assert_int_equal(http_send(target_client.http, "POST", "/models/m/step", fresh, "{", 1)->status,
                     400);
    assert_int_equal(
        http_send(target_client.http, "POST", "/models/m/step", fresh, "{}", 2)->status, 200);
}

#define ABUSE_TEST(f) cmocka_unit_test_teardown(f, target_is_well)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ABUSE_TEST(test_bombs), /* first: it measures from the start */
        ABUSE_TEST(test_deep_nesting),   ABUSE_TEST(test_many_keys),
        ABUSE_TEST(test_numbers),        ABUSE_TEST(test_shapes),
        ABUSE_TEST(test_values),         ABUSE_TEST(test_naughty_ids),
        ABUSE_TEST(test_naughty_labels), ABUSE_TEST(test_many_idempotency_keys),
    };
    return cmocka_run_group_tests(tests, target_start, target_stop);
}
