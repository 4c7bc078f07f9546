/* Arrays as bytes that train and that are a model's state: the same numbers as JSON's. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/mem.h"
#include "tests/api/files.h"

/* ---- data of training ---------------------------------------------------------------------- */

/* The same steps, the same state. */
static void test_step(void **state)
{
    struct client *c = *state;
    const struct file in = safetensors_file(
        "{\"steps\":\"3\"}", (const struct array[]){INPUTS, TARGETS, {.name = NULL}});
    create_net(c, "a", "");
    create_net(c, "b", "");
    char *json = strdup(expect(c, 200, "POST", "/models/a/step", BATCH, ",\"steps\":3")->text);
    const struct reply *r = expect_file(c, 200, "POST", "/models/b/step", SAFETENSORS, &in, NULL);
    assert_string_equal(r->type, "application/json");
    assert_string_equal(r->text, json);
    assert_same_answer(c, "/models/a/parameters", c, "/models/b/parameters");
    client_kill(c); /* and a replay of both leads there again */
    assert_same_answer(c, "/models/a/parameters", c, "/models/b/parameters");
    assert_same_answer(c, "/models/a/losses", c, "/models/b/losses");
    free(json);
}

/* A file without arrays is a body without data. */
static void test_step_of_pushed(void **state)
{
    struct client *c = *state;
    const struct file in =
        safetensors_file("{\"batch\":\"1\"}", (const struct array[]){{.name = NULL}});
    create_net(c, "a", "");
    push_batch(c, "a", 1);
    const struct reply *r = expect_file(c, 200, "POST", "/models/a/step", SAFETENSORS, &in, NULL);
    assert_json(r, "/batch", "1");
}

static void test_backward(void **state)
{
    struct client *c = *state;
    const struct file in = safetensors_file(
        "{\"input_gradients\":\"true\"}", (const struct array[]){INPUTS, TARGETS, {.name = NULL}});
    size_t n;
    create_net(c, "a", "");
    create_net(c, "b", "");
    const struct reply *r =
        expect(c, 200, "POST", "/models/a/backward", BATCH, ",\"input_gradients\":true");
    double *want = json_flat(at(r, "/input_gradients"), &n), loss = number_at(r, "/loss");
    r = expect_file(c, 200, "POST", "/models/b/backward", SAFETENSORS, &in, NULL);
    assert_floats(array_of(r, "input_gradients", "F32", "[4,2]"), want, 8);
    assert_true((double)strtof(metadata_of(r, "loss"), NULL) == (double)(float)loss);
    assert_string_equal(metadata_of(r, "accumulated"), "1");
    assert_null(metadata_of(r, "batch"));
    assert_same_answer(c, "/models/a/gradients", c, "/models/b/gradients");
    free(want);
}

static void test_batches(void **state)
{
    struct client *c = *state;
    const struct file narrow =
        safetensors_file(NULL, (const struct array[]){TARGETS, INPUTS, {.name = NULL}});
    static const struct array twice[] = {
        {"inputs", "F64", "[4,2]", wide, sizeof wide}, TARGETS, {.name = NULL}};
    const struct file mixed = safetensors_file(NULL, twice);
    create_net(c, "a", "");
    expect(c, 201, "POST", "/models/a/batches", BATCH, "");
    const struct reply *r =
        expect_file(c, 201, "POST", "/models/a/batches", SAFETENSORS, &narrow, NULL);
    assert_string_equal(r->location, "/models/a/batches/2");
    expect_file(c, 201, "POST", "/models/a/batches", SAFETENSORS, &mixed, NULL);
    r = expect_file(c, 200, "GET", "/models/a/batches/1", NULL, NULL, SAFETENSORS);
    assert_memory_equal(array_of(r, "inputs", "F32", "[4,2]"), inputs, sizeof inputs);
    assert_memory_equal(array_of(r, "targets", "F32", "[4,1]"), targets, sizeof targets);
    struct file shown = {.count = r->bytes};
    memcpy(shown.bytes, r->text, r->bytes);
    for (int n = 2; n <= 3; n++) {
        char target[32];
        snprintf(target, sizeof target, "/models/a/batches/%d", n);
        r = expect_file(c, 200, "GET", target, NULL, NULL, SAFETENSORS);
        assert_int_equal(r->bytes, shown.count);
        assert_memory_equal(r->text, shown.bytes, shown.count);
    }
    expect_file(c, 201, "POST", "/models/a/batches", SAFETENSORS, &shown, NULL);
}

static void test_classes(void **state)
{
    struct client *c = *state;
    static const int64_t class[] = {2, 0, 1, 2};
    static const uint8_t byte[] = {2, 0, 1, 2};
    static const double real[] = {2, 0, 1, 2};
    static const struct array forms[][3] = {
        {INPUTS, {"targets", "I64", "[4]", class, sizeof class}, {.name = NULL}},
        {INPUTS, {"targets", "U8", "[4]", byte, sizeof byte}, {.name = NULL}},
        {INPUTS, {"targets", "F64", "[4]", real, sizeof real}, {.name = NULL}},
    };
    expect(c, 201, "POST", "/models",
           "{\"id\":\"a\",\"layers\":[{\"type\":\"linear\",\"in_features\":2,\"out_features\":3}],"
           "\"loss\":\"cross_entropy\"}");
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        char target[32];
        struct file in = safetensors_file(NULL, forms[i]);
        expect_file(c, 201, "POST", "/models/a/batches", SAFETENSORS, &in, NULL);
        snprintf(target, sizeof target, "/models/a/batches/%zu", i + 1);
        const struct reply *r = expect_file(c, 200, "GET", target, NULL, NULL, SAFETENSORS);
        assert_memory_equal(array_of(r, "targets", "I64", "[4]"), class, sizeof class);
    }
}

static const struct reply *push_csv(struct client *c, const char *target, const char *text)
{
    return ask_headed(
        c, &(struct request){.method = "POST", .target = target, .type = "text/csv", .body = text});
}

static void test_csv(void **state)
{
    struct client *c = *state;
    create_net(c, "a", "");
    expect(c, 201, "POST", "/models/a/batches", BATCH, "");
    const struct reply *r = push_csv(c, "/models/a/batches?targets=1",
                                     "x,\"y\",z\r\n0.25,1,1\r\n-0.5,0.1,\"0.25\"\r\n0.75,-1,-1\r\n"
                                     "-0.25,0.3,0.5\r\n");
    assert_int_equal(r->status, 201);
    assert_json(r, "/rows", "4");
    char *first = text_of(c, "/models/a/batches/1"), *second = text_of(c, "/models/a/batches/2");
    assert_string_equal(first + strlen("{\"batch\":1"), second + strlen("{\"batch\":2"));
    free(first);
    free(second);
    assert_int_equal(push_csv(c, "/models/a/batches", "1,2,3\n4,5,6")->status, 201);
}

static void test_csv_of_classes_and_several(void **state)
{
    struct client *c = *state;
    expect(c, 201, "POST", "/models",
           "{\"id\":\"k\",\"layers\":[{\"type\":\"linear\",\"in_features\":2,\"out_features\":3}],"
           "\"loss\":\"cross_entropy\"}");
    expect(c, 201, "POST", "/models",
           "{\"id\":\"m\",\"layers\":[{\"type\":\"linear\",\"in_features\":2,\"out_features\":3}],"
           "\"loss\":\"mse\"}");
    assert_int_equal(push_csv(c, "/models/k/batches", "1,2,2\n3,4,0\n")->status, 201);
    assert_json(expect(c, 200, "GET", "/models/k/batches/1", NULL), "/targets", "[2,0]");
    assert_int_equal(push_csv(c, "/models/m/batches?targets=3", "1,2,3,4,5\n6,7,8,9,10\n")->status,
                     201);
    assert_json(expect(c, 200, "GET", "/models/m/batches/1", NULL), "/targets",
                "[[3,4,5],[8,9,10]]");
    const struct reply *r = push_csv(c, "/models/k/batches", "a,b,c\n1,2,2\n3,4,7\n");
    assert_problem(r, 422, "invalid-argument", "/targets/1");
    assert_string_equal(string_at(r, "/detail"), "line 3: Target 7 is out of bounds.");
    r = push_csv(c, "/models/k/batches", "1,2,0.5\n");
    assert_problem(r, 422, "invalid-argument", "/targets");
    assert_non_null(strstr(string_at(r, "/detail"), "line 1, column 3 must be an integer"));
    r = push_csv(c, "/models/k/batches", "1,2,0\n1,x,0\n");
    assert_problem(r, 400, "malformed-request", "/inputs");
    assert_problem(push_csv(c, "/models/k/batches", "1,2,0\n1,0\n"), 400, "malformed-request", "");
    assert_problem(push_csv(c, "/models/k/batches", ""), 400, "malformed-request", "");
    assert_problem(push_csv(c, "/models/k/batches?targets=3", "1,2,0\n"), 422, "invalid-argument",
                   "");
    assert_problem(push_csv(c, "/models/k/batches?targets=2", "1,2,0\n"), 422, "invalid-argument",
                   "/inputs");
    assert_problem(push_csv(c, "/models/k/batches?targets=0", "1,2,0\n"), 400, "malformed-request",
                   "");
    assert_problem(push_csv(c, "/models/m/batches?targets=2", "1,2,3,4\n"), 422, "invalid-argument",
                   "/targets");
    assert_problem(
        ask(c, "POST", "/models/k/batches?targets=1", "{\"inputs\":[[1,2]],\"targets\":[0]}"), 400,
        "malformed-request", "");
}

/* ---- parameters and gradients -------------------------------------------------------------- */

static void test_parameters(void **state)
{
    struct client *c = *state;
    create_net(c, "a", "");
    create_net(c, "b", ",\"seed\":7");
    double *weight = json_numbers(c, "/models/a/parameters", "/parameters/0.weight/data");
    double *bias = json_numbers(c, "/models/a/parameters", "/parameters/2.bias/data");
    const struct reply *r =
        expect_file(c, 200, "GET", "/models/a/parameters", NULL, NULL, SAFETENSORS);
    assert_string_equal(r->etag, "\"step-0\"");
    assert_string_equal(metadata_of(r, "step"), "0");
    assert_floats(array_of(r, "0.weight", "F32", "[3,2]"), weight, 6);
    assert_non_null(array_of(r, "0.bias", "F32", "[3]"));
    assert_non_null(array_of(r, "2.weight", "F32", "[1,3]"));
    assert_floats(array_of(r, "2.bias", "F32", "[1]"), bias, 1);
    struct file shown = {.count = r->bytes}; /* what a GET shows, a PUT takes */
    memcpy(shown.bytes, r->text, r->bytes);
    r = expect_file(c, 200, "PUT", "/models/b/parameters", SAFETENSORS, &shown, NULL);
    assert_string_equal(r->text, "{\"step\":0,\"parameter_count\":13}");
    assert_same_answer(c, "/models/a/parameters", c, "/models/b/parameters");
    r = expect_file(c, 200, "GET", "/models/a/parameters/0.weight", NULL, NULL, NPY);
    assert_floats(npy_of(r, "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 2), }"), weight,
                  6);
    r = expect_file(c, 200, "GET", "/models/a/parameters/0.weight", NULL, NULL, SAFETENSORS);
    assert_null(array_of(r, "0.bias", "", ""));
    assert_floats(array_of(r, "0.weight", "F32", "[3,2]"), weight, 6);
    /* all of them are not one array: what fits is JSON */
    r = expect_file(c, 200, "GET", "/models/a/parameters", NULL, NULL, NPY);
    assert_string_equal(r->type, "application/json");
    free(weight);
    free(bias);
}

static void test_put_one(void **state)
{
    struct client *c = *state;
    static const double rows[] = {1, 2, 3, 4, 5, 6};
    struct file in = npy_file("<f8", "(3, 2)", rows, sizeof rows);
    create_net(c, "a", "");
    double *before = json_numbers(c, "/models/a/parameters", "/parameters/0.bias/data");
    expect_file(c, 200, "PUT", "/models/a/parameters/0.weight", NPY, &in, NULL);
    const struct reply *r = expect(c, 200, "GET", "/models/a/parameters", NULL);
    assert_json(r, "/parameters/0.weight/data", "[[1,2],[3,4],[5,6]]");
    double *after = json_numbers(c, "/models/a/parameters", "/parameters/0.bias/data");
    assert_memory_equal(before, after, 3 * sizeof *before);
    client_kill(c);
    r = expect(c, 200, "GET", "/models/a/parameters/0.weight", NULL);
    assert_json(r, "/parameters/0.weight/data", "[[1,2],[3,4],[5,6]]");
    free(after);
    free(before);
}

/* A PUT that is wrong at its very end changes nothing at all. */
static void test_put_is_all_or_nothing(void **state)
{
    struct client *c = *state;
    static const double d[6] = {1, 2, 3, 4, 5, 1e39};
    static const float f[6] = {1, 2, 3, 4, 5, 6};
    static const struct {
        const char *target, *pointer;
        struct array arrays[6];
    } rows[] = {
        {"",
         "/2.bias",
         {{"0.weight", "F32", "[3,2]", f, 24},
          {"0.bias", "F32", "[3]", f, 12},
          {"2.weight", "F32", "[1,3]", f, 12}}},
        {"",
         "/2.weight",
         {{"0.weight", "F32", "[3,2]", f, 24},
          {"0.bias", "F32", "[3]", f, 12},
          {"2.weight", "F32", "[3,1]", f, 12},
          {"2.bias", "F32", "[1]", f, 4}}},
        {"",
         "/3.bias",
         {{"0.weight", "F32", "[3,2]", f, 24},
          {"0.bias", "F32", "[3]", f, 12},
          {"2.weight", "F32", "[1,3]", f, 12},
          {"2.bias", "F32", "[1]", f, 4},
          {"3.bias", "F32", "[1]", f, 4}}},
        {"",
         "/0.weight/2/1",
         {{"0.weight", "F64", "[3,2]", d, 48},
          {"0.bias", "F32", "[3]", f, 12},
          {"2.weight", "F32", "[1,3]", f, 12},
          {"2.bias", "F32", "[1]", f, 4}}},
        {"/0.bias", "/0.weight", {{"0.weight", "F32", "[3,2]", f, 24}}},
        {"/0.bias", "/0.bias", {{"0.bias", "BOOL", "[3]", f, 3}}},
    };
    create_net(c, "a", "");
    char *before = text_of(c, "/models/a/parameters");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char target[64];
        struct file in = safetensors_file(NULL, rows[i].arrays);
        snprintf(target, sizeof target, "/models/a/parameters%s", rows[i].target);
        const struct reply *r = ask_file(c, "PUT", target, SAFETENSORS, &in, NULL);
        assert_problem(r, 422, "invalid-argument", rows[i].pointer);
    }
    struct file in = npy_file("<f4", "(2, 3)", f, sizeof f);
    assert_problem(ask_file(c, "PUT", "/models/a/parameters/0.weight", NPY, &in, NULL), 422,
                   "invalid-argument", "/0.weight");
    assert_problem(ask_file(c, "PUT", "/models/a/parameters", NPY, &in, NULL), 415,
                   "unsupported-media-type", "");
    char *after = text_of(c, "/models/a/parameters");
    assert_string_equal(before, after);
    free(before);
    free(after);
}

static void test_gradients(void **state)
{
    struct client *c = *state;
    create_net(c, "a", "");
    const struct reply *r =
        expect_file(c, 200, "GET", "/models/a/gradients", NULL, NULL, SAFETENSORS);
    assert_null(array_of(r, "0.weight", "", ""));
    assert_problem(ask_file(c, "GET", "/models/a/gradients/0.weight", NULL, NULL, NPY), 404,
                   "not-found", "");
    expect(c, 200, "POST", "/models/a/backward", BATCH, "");
    double *weight = json_numbers(c, "/models/a/gradients", "/gradients/0.weight/data");
    r = expect_file(c, 200, "GET", "/models/a/gradients", NULL, NULL, SAFETENSORS);
    assert_floats(array_of(r, "0.weight", "F32", "[3,2]"), weight, 6);
    r = expect_file(c, 200, "GET", "/models/a/gradients/0.weight", NULL, NULL, NPY);
    assert_floats(npy_of(r, "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 2), }"), weight,
                  6);
    r = expect_file(c, 200, "GET", "/models/a/gradients?summary=1", NULL, NULL, SAFETENSORS);
    assert_string_equal(r->type, "application/json"); /* a summary has no arrays */
    free(weight);
}

static void test_checkpoint(void **state)
{
    struct client *c = *state;
    create_net(c, "a", ",\"optimizer\":{\"type\":\"sgd\",\"momentum\":0.9}");
    expect(c, 200, "POST", "/models/a/step", BATCH, ",\"steps\":3");
    double *weight = json_numbers(c, "/models/a/parameters", "/parameters/0.weight/data");
    const struct reply *r =
        expect(c, 201, "POST", "/models/a/checkpoints", "{\"label\":\"a \\\"b\\\"\"}");
    char location[192], *description = strdup(r->text);
    snprintf(location, sizeof location, "%s", r->location);
    expect(c, 200, "POST", "/models/a/step", BATCH, "");
    client_reopen(c);
    r = expect_file(c, 200, "GET", location, NULL, NULL, "*/*");
    assert_string_equal(r->etag, "\"step-3\"");
    assert_floats(array_of(r, "0.weight", "F32", "[3,2]"), weight, 6);
    assert_non_null(array_of(r, "2.bias", "F32", "[1]"));
    assert_string_equal(metadata_of(r, "n"), "1");
    assert_string_equal(metadata_of(r, "step"), "3");
    assert_string_equal(metadata_of(r, "label"), "a \"b\"");
    assert_non_null(strstr(description, metadata_of(r, "loss")));
    struct file shown = {.count = r->bytes};
    memcpy(shown.bytes, r->text, r->bytes);
    expect_file(c, 200, "PUT", "/models/a/parameters", SAFETENSORS, &shown, NULL);
    double *again = json_numbers(c, "/models/a/parameters", "/parameters/0.weight/data");
    assert_memory_equal(again, weight, 6 * sizeof *weight);
    r = expect_file(c, 200, "GET", location, NULL, NULL, "application/json");
    assert_string_equal(r->text, description);
    assert_problem(ask(c, "GET", "/models/a/checkpoints/2", NULL), 404, "not-found", "");
    assert_problem(ask(c, "GET", "/models/a/checkpoints/x", NULL), 404, "not-found", "");
    free(weight);
    free(again);
    free(description);
}

/* A checkpoint of step 0 has no loss, and may have no label. */
static void test_first_checkpoint(void **state)
{
    struct client *c = *state;
    create_net(c, "a", "");
    expect(c, 201, "POST", "/models/a/checkpoints", NULL);
    const struct reply *r = expect_file(c, 200, "GET", "/models/a/checkpoints/1", NULL, NULL, NULL);
    assert_string_equal(metadata_of(r, "step"), "0");
    assert_null(metadata_of(r, "loss"));
    assert_null(metadata_of(r, "label"));
}

static int allowed;
static bool after_some(size_t bytes)
{
    (void)bytes;
    return allowed-- <= 0;
}

/* Whichever allocation fails, the answer says so and the next one is whole. */
static void test_no_memory(void **state)
{
    struct client *c = *state;
    const struct file npy = npy_file("<f8", "(4, 2)", wide, sizeof wide);
    const struct file file = safetensors_file(
        "{\"format\":\"pt\"}", (const struct array[]){INPUTS, TARGETS, {.name = NULL}});
    const struct request requests[] = {
        {"POST", "/models/a/forward", NPY, npy.bytes, npy.count, {NULL}},
        {"POST", "/models/a/forward", SAFETENSORS, file.bytes, file.count, {NULL}},
        {"POST", "/models/a/batches", SAFETENSORS, file.bytes, file.count, {NULL}},
        {"POST", "/models/a/batches", "text/csv", "x,y,z\n1,2,3\n", 0, {NULL}},
        {"GET", "/models/a/parameters", NULL, NULL, 0, {"Accept", SAFETENSORS}},
        {"GET", "/models/a/parameters/0.weight", NULL, NULL, 0, {"Accept", NPY}},
        {"GET", "/models/a/batches/1", NULL, NULL, 0, {"Accept", SAFETENSORS}},
        {"GET", "/models/a/checkpoints/1", NULL, NULL, 0, {"Accept", SAFETENSORS}},
        {"PUT", "/models/a/parameters/0.weight", NPY, npy.bytes, npy.count, {NULL}},
    };
    create_net(c, "a", ",\"durability\":\"none\"");
    expect(c, 201, "POST", "/models/a/batches", BATCH, "");
    expect(c, 201, "POST", "/models/a/checkpoints", NULL);
    for (size_t i = 0; i < sizeof requests / sizeof *requests; i++) {
        int status = 503;
        struct reply reply;
        for (int n = 0; status == 503; n++) {
            assert_true(n < 1000);
            allowed = n;
            mem_fault = after_some;
            client_exchange(c->api, c->scratch, c->slice_ns, &requests[i], &reply);
            mem_fault = NULL;
            status = reply.status;
            reply_close(&reply);
        }
        int want = !strcmp(requests[i].method, "PUT") ? 422 /* of another shape */
                   : strstr(requests[i].target, "batches") && requests[i].body ? 201
                                                                               : 200;
        assert_int_equal(status, want);
    }
    assert_json(expect(c, 200, "GET", "/models/a", NULL), "/batches", "3");
}

int main(void)
{
#define ROW(f) cmocka_unit_test_setup_teardown(f, client_setup, client_teardown)
    const struct CMUnitTest tests[] = {
        ROW(test_step),
        ROW(test_step_of_pushed),
        ROW(test_backward),
        ROW(test_batches),
        ROW(test_classes),
        ROW(test_csv),
        ROW(test_csv_of_classes_and_several),
        ROW(test_parameters),
        ROW(test_put_one),
        ROW(test_put_is_all_or_nothing),
        ROW(test_gradients),
        ROW(test_checkpoint),
        ROW(test_first_checkpoint),
        ROW(test_no_memory),
    };
    return cmocka_run_group_tests_name("binary_data", tests, NULL, NULL);
}
