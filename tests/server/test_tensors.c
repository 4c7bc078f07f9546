/* Arrays as bytes over HTTP, as a user sends them: real data as CSV, predictions as .npy, states as
 * safetensors. */
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

#define NPY         "Content-Type: application/x-npy"
#define SAFETENSORS "Content-Type: application/x-safetensors"
#define CSV         "Content-Type: text/csv"
#define AS_JSON     "Accept: application/json"
#define AS_FILE     "Accept: application/x-safetensors"

static struct daemon d;
static struct model_client m;

static int start(void **state)
{
    (void)state;
    daemon_start(&d, DAEMON_REAL, NULL);
    model_client_open(&m, d.url);
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

static const struct http_reply *send_bytes(long status, const char *method, const char *path,
                                           const char *const *headers, const struct text *body)
{
    const struct http_reply *r =
        http_send(m.http, method, path, headers, body ? body->at : NULL, body ? body->bytes : 0);
    if (r->status != status)
        fail_msg("%s %s: %ld, not %ld: %.500s", method, path, r->status, status, r->body);
    return r;
}

static struct text copy_of(const struct http_reply *r)
{
    struct text t = {0};
    text_add_bytes(&t, r->body, r->bytes);
    return t;
}

/* The inputs of a table as a file of float32. */
static struct text npy_of(const struct table *t)
{
    struct text file = {0}, head = {0};
    text_print(&head, "{'descr': '<f4', 'fortran_order': False, 'shape': (%zu, %zu), }", t->rows,
               t->columns);
    while (head.bytes < 117)
        text_add_bytes(&head, " ", 1);
    text_add_bytes(&head, "\n", 1);
    text_add_bytes(&file, "\x93NUMPY\1\0\x76\0", 10);
    text_add_bytes(&file, head.at, head.bytes);
    text_free(&head);
    for (size_t i = 0; i < t->rows * t->columns; i++) {
        float x = (float)t->input[i];
        text_add_bytes(&file, &x, sizeof x);
    }
    return file;
}

static void make(const char *id, const char *more)
{
    struct text spec = {0};
    text_print(&spec,
               "{\"id\":\"%s\",\"loss\":\"cross_entropy\",\"optimizer\":{\"type\":\"sgd\",\"lr\":"
               "0.1},%s\"layers\":[{\"type\":\"linear\",\"in_features\":4,\"out_features\":8},"
               "{\"type\":\"tanh\"},{\"type\":\"linear\",\"in_features\":8,\"out_features\":3}]}",
               id, more);
    ask(&m, 201, "POST", spec.at, "/models");
    text_free(&spec);
}

/* The file of a data set as it stands is a batch; what it trains is what JSON trains. */
static void test_csv(void **state)
{
    struct table t;
    struct text file = {0};
    char line[200];
    FILE *f = fopen("tests/data/iris.csv", "rb");
    (void)state;
    assert_non_null(f);
    for (size_t n; (n = fread(line, 1, sizeof line, f)) > 0;)
        text_add_bytes(&file, line, n);
    fclose(f);
    make("iris", "");
    make("json", "");
    const char *const csv[] = {CSV, NULL};
    send_bytes(201, "POST", "/models/iris/batches?targets=1", csv, &file);
    table_read(&t, "iris");
    char *batch = table_json(&t, TARGET_CLASS);
    ask(&m, 201, "POST", batch, "/models/json/batches");
    ask(&m, 200, "POST", "{\"steps\":200}", "/models/iris/step");
    double loss = number(m.json, "loss");
    ask(&m, 200, "POST", "{\"steps\":200}", "/models/json/step");
    assert_true(number(m.json, "loss") == loss && loss < 0.5);
    free(batch);
    table_free(&t);
    text_free(&file);
}

/* The same rows give the same bits, as text and as bytes, in one piece or in chunks. */
static void test_forward(void **state)
{
    static const char *const headers[][4] = {
        {NPY, AS_JSON, NULL},
        {NPY, AS_JSON, "Transfer-Encoding: chunked", NULL},
    };
    struct table t;
    (void)state;
    table_read(&t, "iris");
    struct text file = npy_of(&t);
    char *batch = table_json(&t, TARGET_CLASS);
    const cJSON *outputs = member(ask(&m, 200, "POST", batch, "/models/iris/forward"), "outputs");
    char *want = cJSON_PrintUnformatted(outputs);
    for (size_t i = 0; i < 2; i++) {
        const struct http_reply *r =
            send_bytes(200, "POST", "/models/iris/forward", headers[i], &file);
        cJSON *json = cJSON_Parse(r->body);
        char *got = cJSON_PrintUnformatted(cJSON_GetObjectItem(json, "outputs"));
        assert_string_equal(got, want);
        cJSON_Delete(json);
        free(got);
    }
    char type[64], tag[32];
    const char *const npy[] = {NPY, NULL};
    const struct http_reply *r = send_bytes(200, "POST", "/models/iris/forward", npy, &file);
    assert_string_equal(http_header(r, "Content-Type", type, sizeof type), "application/x-npy");
    assert_string_equal(http_header(r, "ETag", tag, sizeof tag), "\"step-200\"");
    assert_int_equal(r->bytes, 128 + t.rows * 3 * sizeof(float));
    outputs = member(ask(&m, 200, "POST", batch, "/models/iris/forward"), "outputs");
    for (int i = 0; i < 3; i++) {
        float x = (float)cJSON_GetArrayItem(cJSON_GetArrayItem(outputs, 149), i)->valuedouble, y;
        r = send_bytes(200, "POST", "/models/iris/forward", npy, &file);
        memcpy(&y, r->body + 128 + (149 * 3 + (size_t)i) * sizeof y, sizeof y);
        assert_true(x == y);
    }
    free(want);
    free(batch);
    text_free(&file);
    table_free(&t);
}

/* A checkpoint's file, fetched after a kill, makes another model the same one. */
static void test_state(void **state)
{
    static const char *const file[] = {SAFETENSORS, NULL}, *const as_file[] = {AS_FILE, NULL},
                             *const npy[] = {NPY, NULL};
    struct table t;
    char type[64];
    (void)state;
    ask(&m, 201, "POST", "{\"label\":\"kept\"}", "/models/iris/checkpoints");
    daemon_signal(&d, 9);
    assert_int_equal(daemon_wait(&d), 128 + 9);
    model_client_close(&m);
    daemon_start(&d, DAEMON_REAL, NULL);
    model_client_open(&m, d.url);
    const struct http_reply *r = send_bytes(200, "GET", "/models/iris/checkpoints/1", NULL, NULL);
    assert_string_equal(http_header(r, "Content-Type", type, sizeof type),
                        "application/x-safetensors");
    struct text kept = copy_of(r);
    make("copy", "\"seed\":5,");
    send_bytes(200, "PUT", "/models/copy/parameters", file, &kept);
    table_read(&t, "iris");
    struct text rows = npy_of(&t);
    struct text first = copy_of(send_bytes(200, "POST", "/models/iris/forward", npy, &rows)),
                again = copy_of(send_bytes(200, "POST", "/models/copy/forward", npy, &rows));
    assert_int_equal(first.bytes, again.bytes);
    assert_memory_equal(first.at, again.at, first.bytes);
    struct text one = copy_of(send_bytes(200, "GET", "/models/iris/parameters", as_file, NULL)),
                other = copy_of(send_bytes(200, "GET", "/models/copy/parameters", as_file, NULL));
    size_t numbers =
        (4 * 8 + 8 + 8 * 3 + 3) * sizeof(float); /* behind the heads, which name steps */
    assert_true(one.bytes > numbers && other.bytes > numbers);
    assert_memory_equal(one.at + one.bytes - numbers, other.at + other.bytes - numbers, numbers);
    text_free(&kept);
    text_free(&rows);
    text_free(&first);
    text_free(&again);
    text_free(&one);
    text_free(&other);
    table_free(&t);
}

static void test_refused(void **state)
{
    static const char *const npy[] = {NPY, NULL};
    struct text cut = {0};
    char accept[128];
    (void)state;
    text_add_bytes(&cut, "\x93NUMPY\1\0\x76\0{", 11);
    const struct http_reply *r = send_bytes(400, "POST", "/models/iris/forward", npy, &cut);
    assert_non_null(strstr(r->body, "\"/problems/malformed-request\""));
    assert_non_null(strstr(r->body, "ends within its head"));
    r = send_bytes(415, "POST", "/models/iris/step", npy, &cut);
    assert_string_equal(http_header(r, "Accept", accept, sizeof accept),
                        "application/json, application/x-safetensors");
    text_free(&cut);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_csv),
        cmocka_unit_test(test_forward),
        cmocka_unit_test(test_state),
        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests_name("tensors", tests, start, stop);
}
