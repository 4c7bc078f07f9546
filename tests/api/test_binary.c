/* Arrays as bytes: forward, and what is wrong in a body of them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/mem.h"
#include "tests/api/files.h"

/* ---- forward ------------------------------------------------------------------------------- */

/* Of every type and in every form the same inputs give the same outputs. */
static void test_forward(void **state)
{
    struct client *c = *state;
    static const uint16_t halves[] = {0x3400, 0x3c00};
    size_t n;
    create_net(c, "a", "");
    double *want = json_flat(at(expect(c, 200, "POST", "/models/a/forward",
                                       "{\"inputs\":[[0.25,1],[-0.5,0.1],[0.75,-1],[-0.25,0.3]]}"),
                                "/outputs"),
                             &n);
    const struct file in[] = {
        npy_file("<f4", "(4, 2)", inputs, sizeof inputs),
        npy_file("<f8", "(4, 2)", wide, sizeof wide),
        npy_file("<f2", "(1, 2)", halves, sizeof halves),
        safetensors_file(NULL, (const struct array[]){INPUTS, {.name = NULL}}),
        safetensors_file("{\"format\":\"pt\"}", (const struct array[]){INPUTS, {.name = NULL}}),
    };
    for (size_t i = 0; i < sizeof in / sizeof *in; i++) {
        const char *type = i < 3 ? NPY : SAFETENSORS;
        size_t rows = i == 2 ? 1 : 4;
        const struct reply *r =
            expect_file(c, 200, "POST", "/models/a/forward", type, &in[i], NULL);
        assert_string_equal(r->etag, "\"step-0\"");
        assert_string_equal(r->type, type);
        if (i < 3) {
            char literal[80];
            snprintf(literal, sizeof literal,
                     "{'descr': '<f4', 'fortran_order': False, 'shape': (%zu, 1), }", rows);
            assert_floats(npy_of(r, literal), want, rows);
        } else {
            assert_floats(array_of(r, "outputs", "F32", "[4,1]"), want, rows);
            assert_string_equal(metadata_of(r, "step"), "0");
            assert_null(metadata_of(r, "loss"));
        }
    }
    free(want);
}

static void test_forward_of_float64(void **state)
{
    struct client *c = *state;
    size_t n;
    create_net(c, "a", ",\"dtype\":\"float64\"");
    double *want =
        json_flat(at(expect(c, 200, "POST", "/models/a/forward",
                            "{\"inputs\":[[0.25,1],[-0.5,0.100000001490116119384765625]]}"),
                     "/outputs"),
                  &n);
    struct file in = npy_file("<f4", "(2, 2)", inputs, 16);
    const struct reply *r = expect_file(c, 200, "POST", "/models/a/forward", NPY, &in, "*/*");
    assert_memory_equal(npy_of(r, "{'descr': '<f8', 'fortran_order': False, 'shape': (2, 1), }"),
                        want, 16);
    free(want);
}

/* With targets the loss is told, where the form has a place for it. */
static void test_forward_with_targets(void **state)
{
    struct client *c = *state;
    const struct file in =
        safetensors_file(NULL, (const struct array[]){TARGETS, INPUTS, {.name = NULL}});
    create_net(c, "a", "");
    char *json = strdup(expect(c, 200, "POST", "/models/a/forward", BATCH, "")->text);
    const struct reply *r =
        expect_file(c, 200, "POST", "/models/a/forward", SAFETENSORS, &in, NULL);
    char want[80];
    snprintf(want, sizeof want, "\"loss\":%s,\"reduction\":\"mean\"", metadata_of(r, "loss"));
    assert_non_null(strstr(json, want));
    assert_string_equal(metadata_of(r, "reduction"), "mean");
    r = expect_file(c, 200, "POST", "/models/a/forward", SAFETENSORS, &in, "application/json");
    assert_string_equal(r->text, json);
    r = expect_file(c, 200, "POST", "/models/a/forward", SAFETENSORS, &in, NPY);
    npy_of(r, "{'descr': '<f4', 'fortran_order': False, 'shape': (4, 1), }");
    free(json);
}

/* Infinite and no numbers are looked at by nobody who only asks. */
static void test_forward_takes_any_number(void **state)
{
    struct client *c = *state;
    static const uint32_t bits[] = {0x7fc00000, 0x3f800000, 0xff800000, 0};
    struct file in = npy_file("<f4", "(2, 2)", bits, sizeof bits);
    create_net(c, "a", "");
    expect_file(c, 200, "POST", "/models/a/forward", NPY, &in, NULL);
}

/* A forward of bytes takes no more memory than one of JSON, and no copy of its inputs. */
static void test_forward_is_light(void **state)
{
    struct client *c = *state;
    struct file in = npy_file("<f4", "(4, 2)", inputs, sizeof inputs);
    create_net(c, "a", "");
    expect_file(c, 200, "POST", "/models/a/forward", NPY, &in, NULL);
    struct call *call = call_new(c->api);
    assert_true(call_target(call, "POST", "/models/a/forward"));
    assert_true(call_header(call, "Content-Type", NPY));
    assert_true(call_admit(call, (int64_t)in.count));
    assert_true(call_body(call, in.bytes, in.count));
    assert_true(call_is_light(call, false));
    uint64_t before = mem_allocations();
    assert_true(client_work(call, c->scratch, c->slice_ns));
    assert_int_equal(mem_allocations() - before, 2); /* the batch and the answer */
    call_free(call);
}

static void test_heavy_forward_is_none(void **state)
{
    struct client *c = *state;
    static const struct file empty;
    expect(
        c, 201, "POST", "/models",
        "{\"id\":\"w\",\"layers\":[{\"type\":\"linear\",\"in_features\":1,\"out_features\":9000}],"
        "\"loss\":\"mse\"}");
    expect(c, 200, "POST", "/models/w/forward", "{\"inputs\":[[1]]}");
    for (int rows = 8; rows <= 800; rows *= 100) { /* 72 thousand multiplications, or millions */
        char shape[32];
        struct file in = npy_file("<f4", shape, empty.bytes, 0);
        snprintf(shape, sizeof shape, "(%d, 1)", rows);
        in = npy_file("<f4", shape, empty.bytes, 4 * (size_t)rows);
        struct call *call = call_new(c->api);
        assert_true(call_target(call, "POST", "/models/w/forward"));
        assert_true(call_header(call, "Content-Type", NPY));
        assert_true(call_admit(call, (int64_t)in.count));
        assert_true(call_body(call, in.bytes, in.count));
        assert_int_equal(call_is_light(call, false), rows == 8);
        call_free(call);
    }
}

/* ---- what is wrong ------------------------------------------------------------------------- */

static void test_wrong(void **state)
{
    struct client *c = *state;
    static const uint32_t nan_bits[] = {0x3f800000, 0x7fc00000};
    static const double large[] = {1, 1e39};
    static const struct {
        const char *target;
        int status;
        const char *slug, *pointer, *metadata;
        struct array arrays[4];
    } rows[] = {
        {"forward",
         422,
         "invalid-argument",
         "/inputs",
         NULL,
         {{"targets", "F32", "[4,1]", targets, 16}}},
        {"forward",
         422,
         "invalid-argument",
         "/more",
         NULL,
         {INPUTS, {"more", "F32", "[1]", targets, 4}}},
        {"forward", 422, "invalid-argument", "/steps", "{\"steps\":\"1\"}", {INPUTS}},
        {"forward", 422, "invalid-argument", "/__metadata__", "{\"targets\":\"1\"}", {INPUTS}},
        {"forward",
         422,
         "invalid-argument",
         "/inputs",
         NULL,
         {{"inputs", "F32", "[2,1]", inputs, 8}}},
        {"forward",
         422,
         "invalid-argument",
         "/inputs",
         NULL,
         {{"inputs", "F32", "[0,2]", inputs, 0}}},
        {"forward", 422, "invalid-argument", "/inputs", NULL, {{"inputs", "F32", "[]", inputs, 4}}},
        {"forward",
         422,
         "invalid-argument",
         "/inputs/0/1",
         NULL,
         {{"inputs", "F64", "[1,2]", large, 16}}},
        {"forward",
         422,
         "invalid-argument",
         "/inputs",
         NULL,
         {{"inputs", "BOOL", "[1,2]", inputs, 2}}},
        {"forward",
         400,
         "malformed-request",
         "/inputs/data_offsets",
         NULL,
         {{"inputs", "F32", "[9,2]", inputs, sizeof inputs}}},
        {"forward",
         422,
         "invalid-argument",
         "/inputs/dtype",
         NULL,
         {{"inputs", "C64", "[1,2]", inputs, 16}}},
        {"step", 422, "invalid-argument", "/targets", NULL, {INPUTS}},
        {"step",
         422,
         "invalid-argument",
         "/targets",
         NULL,
         {INPUTS, {"targets", "F32", "[4]", targets, 16}}},
        {"step",
         422,
         "invalid-argument",
         "/inputs/0/1",
         NULL,
         {{"inputs", "F32", "[1,2]", nan_bits, 8}, {"targets", "F32", "[1,1]", targets, 4}}},
        {"step", 422, "invalid-argument", "/steps", "{\"steps\":\"many\"}", {INPUTS, TARGETS}},
        {"step", 422, "invalid-argument", "/steps", "{\"steps\":\"0\"}", {INPUTS, TARGETS}},
        {"step", 422, "invalid-argument", "/batch", "{\"batch\":\"1\"}", {INPUTS, TARGETS}},
        {"batches", 422, "invalid-argument", "/label", "{\"label\":\"x\"}", {INPUTS, TARGETS}},
    };
    create_net(c, "a", "");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char target[64];
        struct file in = safetensors_file(rows[i].metadata, rows[i].arrays);
        snprintf(target, sizeof target, "/models/a/%s", rows[i].target);
        const struct reply *r = ask_file(c, "POST", target, SAFETENSORS, &in, SAFETENSORS);
        if (r->status != rows[i].status)
            fail_msg("row %zu: %s", i, r->text);
        assert_problem(r, rows[i].status, rows[i].slug, rows[i].pointer);
    }
    struct file in = npy_file("<f8", "(1, 2)", large, sizeof large);
    assert_problem(ask_file(c, "POST", "/models/a/forward", NPY, &in, NPY), 422, "invalid-argument",
                   "/inputs/0/1");
    in.count--;
    assert_problem(ask_file(c, "POST", "/models/a/forward", NPY, &in, NPY), 400,
                   "malformed-request", "");
    in.bytes[0] = '\0';
    in.count = 0;
    assert_problem(ask_file(c, "POST", "/models/a/forward", NPY, &in, NPY), 422, "invalid-argument",
                   "/inputs");
}

/* 415 names what the route takes. */
static void test_types_are_named(void **state)
{
    struct client *c = *state;
    struct file in = npy_file("<f4", "(4, 2)", inputs, sizeof inputs);
    create_net(c, "a", "");
    struct call *call = call_new(c->api);
    assert_true(call_target(call, "POST", "/models/a/batches"));
    assert_true(call_header(call, "Content-Type", NPY));
    assert_false(call_admit(call, (int64_t)in.count));
    const char *accept = "";
    for (const char *const *h = call_answer(call)->header; *h; h += 2)
        accept = strcmp(h[0], "Accept") ? accept : h[1];
    assert_string_equal(accept, "application/json, application/x-safetensors, text/csv");
    call_free(call);
}

/* A repeat gives the same bytes, and says what they are. */
static void test_idempotency(void **state)
{
    struct client *c = *state;
    const struct file in[] = {
        npy_file("<f4", "(4, 2)", inputs, sizeof inputs),
        safetensors_file(NULL, (const struct array[]){INPUTS, {.name = NULL}})};
    static const char *const types[] = {NPY, SAFETENSORS};
    create_net(c, "a", "");
    for (int i = 0; i < 2; i++) {
        char key[8];
        snprintf(key, sizeof key, "key-%d", i);
        struct request q = {.method = "POST",
                            .target = "/models/a/forward",
                            .type = types[i],
                            .body = in[i].bytes,
                            .bytes = in[i].count,
                            .header = {"Idempotency-Key", key}};
        const struct reply *first = ask_headed(c, &q), *again = ask_headed(c, &q);
        assert_int_equal(first->status, 200);
        assert_true(again->replayed && !first->replayed);
        assert_string_equal(again->type, types[i]);
        assert_int_equal(again->bytes, first->bytes);
        assert_memory_equal(again->text, first->text, first->bytes);
    }
}

/* Another ?targets is another request. */
static void test_idempotency_of_queries(void **state)
{
    struct client *c = *state;
    create_net(c, "a", "");
    struct request q = {.method = "POST",
                        .target = "/models/a/batches?targets=1",
                        .type = "text/csv",
                        .body = "1,2,3\n",
                        .header = {"Idempotency-Key", "k"}};
    assert_int_equal(ask_headed(c, &q)->status, 201);
    assert_true(ask_headed(c, &q)->replayed);
    q.target = "/models/a/batches?targets=2";
    assert_problem(ask_headed(c, &q), 422, "invalid-argument", "");
}

int main(void)
{
#define ROW(f) cmocka_unit_test_setup_teardown(f, client_setup, client_teardown)
    const struct CMUnitTest tests[] = {
        ROW(test_forward),
        ROW(test_forward_of_float64),
        ROW(test_forward_with_targets),
        ROW(test_forward_takes_any_number),
        ROW(test_forward_is_light),
        ROW(test_heavy_forward_is_none),
        ROW(test_wrong),
        ROW(test_types_are_named),
        ROW(test_idempotency),
        ROW(test_idempotency_of_queries),
    };
    return cmocka_run_group_tests_name("binary", tests, NULL, NULL);
}
