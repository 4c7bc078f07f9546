/* Arrays as bytes, on every route that takes or gives them: the same numbers as JSON's. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/mem.h"
#include "tests/api/files.h"

static const float inputs[4][2] = {{0.25F, 1}, {-0.5F, 0.1F}, {0.75F, -1}, {-0.25F, 0.3F}};
static const float targets[4] = {1, 0.25F, -1, 0.5F};
static const double wide[4][2] = {
    {0.25, 1}, {-0.5, (double)0.1F}, {0.75, -1}, {-0.25, (double)0.3F}};
#define BATCH                                                                                      \
    "{\"inputs\":[[0.25,1],[-0.5,0.1],[0.75,-1],[-0.25,0.3]],\"targets\":[[1],[0.25],[-1],[0.5]]%" \
    "s}"
#define INPUTS                                                                                     \
    {                                                                                              \
        "inputs", "F32", "[4,2]", inputs, sizeof inputs                                            \
    }
#define TARGETS                                                                                    \
    {                                                                                              \
        "targets", "F32", "[4,1]", targets, sizeof targets                                         \
    }

/* The numbers that JSON gives, flat. free() it. */
static double *json_numbers(struct client *c, const char *target, const char *pointer)
{
    size_t n;
    return json_flat(at(expect(c, 200, "GET", target, NULL), pointer), &n);
}

static void assert_floats(const void *data, const double *want, size_t count)
{
    assert_non_null(data);
    for (size_t i = 0; i < count; i++) {
        float x;
        memcpy(&x, (const char *)data + i * sizeof x, sizeof x);
        assert_true(x == (float)want[i]); /* of the shortest text */
    }
}

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
        safetensors_file(NULL, (const struct array[]){INPUTS, {NULL}}),
        safetensors_file("{\"format\":\"pt\"}", (const struct array[]){INPUTS, {NULL}}),
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
    const struct file in = safetensors_file(NULL, (const struct array[]){TARGETS, INPUTS, {NULL}});
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
    assert_true(call_is_light(call));
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
        assert_int_equal(call_is_light(call), rows == 8);
        call_free(call);
    }
}

/* ---- data of training ---------------------------------------------------------------------- */

/* The same steps, the same state. */
static void test_step(void **state)
{
    struct client *c = *state;
    const struct file in =
        safetensors_file("{\"steps\":\"3\"}", (const struct array[]){INPUTS, TARGETS, {NULL}});
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
    const struct file in = safetensors_file("{\"batch\":\"1\"}", (const struct array[]){{NULL}});
    create_net(c, "a", "");
    push_batch(c, "a", 1);
    const struct reply *r = expect_file(c, 200, "POST", "/models/a/step", SAFETENSORS, &in, NULL);
    assert_json(r, "/batch", "1");
}

static void test_backward(void **state)
{
    struct client *c = *state;
    const struct file in = safetensors_file("{\"input_gradients\":\"true\"}",
                                            (const struct array[]){INPUTS, TARGETS, {NULL}});
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
        safetensors_file(NULL, (const struct array[]){TARGETS, INPUTS, {NULL}});
    static const struct array twice[] = {
        {"inputs", "F64", "[4,2]", wide, sizeof wide}, TARGETS, {NULL}};
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
        {INPUTS, {"targets", "I64", "[4]", class, sizeof class}, {NULL}},
        {INPUTS, {"targets", "U8", "[4]", byte, sizeof byte}, {NULL}},
        {INPUTS, {"targets", "F64", "[4]", real, sizeof real}, {NULL}},
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
    const struct file in[] = {npy_file("<f4", "(4, 2)", inputs, sizeof inputs),
                              safetensors_file(NULL, (const struct array[]){INPUTS, {NULL}})};
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
        ROW(test_wrong),
        ROW(test_types_are_named),
        ROW(test_idempotency),
        ROW(test_idempotency_of_queries),
    };
    return cmocka_run_group_tests_name("binary", tests, NULL, NULL);
}
