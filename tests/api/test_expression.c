/* Models by expression: they are made, trained, kept and read like all others. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/mem.h"
#include "tests/api/client.h"

#define W_AND_B "\"parameters\":{\"w\":{\"data\":[7.0]},\"b\":{\"data\":[6.0]}}"
#define SGD     ",\"optimizer\":{\"type\":\"sgd\",\"lr\":0.05,\"momentum\":0.5}"
#define POINTS  "{\"inputs\":[0,1,2,3],\"targets\":[4.5,14.25,24,33.75]}"

static void create(struct client *c, const char *id, const char *rest)
{
    expect(c, 201, "POST", "/models", "{\"id\":\"%s\",\"loss\":\"mse\",%s}", id, rest);
}

static void create_line(struct client *c, const char *id)
{
    create(c, id, W_AND_B ",\"forward\":\"w * x + b\"" SGD);
    expect_of(c, 201, "POST", id, "/batches", POINTS);
}

/* ---- what it is ---------------------------------------------------------------------------- */

static void test_representation(void **state)
{
    struct client *c = *state;
    const struct reply *r =
        expect(c, 201, "POST", "/models",
               "{\"id\":\"line\",\"loss\":\"mse\",\"parameters\":{\"w\":{\"data\":[[1,2,3,4]],"
               "\"shape\":[1,4]},\"b\":{\"data\":0.5,\"requires_grad\":false}},"
               "\"forward\":\"h = x @ w.t()\\nh + b\"}");
    assert_string_equal(r->location, "/models/line");
    assert_string_equal(string_at(r, "/forward"), "h = x @ w.t()\nh + b");
    assert_null(json_find(r->json, "/layers"));
    assert_json(r, "/parameters",
                "[{\"name\":\"w\",\"shape\":[1,4],\"requires_grad\":true,\"dtype\":\"float32\"},"
                "{\"name\":\"b\",\"shape\":[],\"requires_grad\":false,\"dtype\":\"float32\"}]");
    assert_json(r, "/parameter_count", "5");
    r = expect_of(c, 200, "GET", "line", "/parameters", NULL);
    assert_json(r, "/parameters",
                "{\"w\":{\"shape\":[1,4],\"requires_grad\":true,\"data\":[[1,2,3,4]]},"
                "\"b\":{\"shape\":[],\"requires_grad\":false,\"data\":0.5}}");
    char *shown = text_of(c, "/models/line"), *values = text_of(c, "/models/line/parameters");
    client_reopen(c);
    assert_string_equal(expect_of(c, 200, "GET", "line", "", NULL)->text, shown);
    assert_string_equal(expect_of(c, 200, "GET", "line", "/parameters", NULL)->text, values);
    free(shown);
    free(values);
}

/* The initial values are in the store to the bit, also those without elements. */
static void test_initial_values_are_kept(void **state)
{
    struct client *c = *state;
    create(c, "v",
           "\"parameters\":{\"a\":{\"data\":[],\"shape\":[0,3]},\"b\":{\"data\":[\"NaN\","
           "-0.0,1e-45,3.4028235e38,0.1]},\"c\":{\"data\":[[[]]]}},\"forward\":\"x * b\"");
    char *values = text_of(c, "/models/v/parameters");
    client_kill(c);
    assert_string_equal(expect_of(c, 200, "GET", "v", "/parameters", NULL)->text, values);
    assert_non_null(strstr(values, "[\"NaN\",-0,1e-45,3.4028235e38,0.1]"));
    free(values);
}

/* ---- training ------------------------------------------------------------------------------ */

/* The numbers are PyTorch 1.13's. */
static void test_a_line(void **state)
{
    struct client *c = *state;
    static const double losses[] = {16.34375, 6.640855312347412, 1.8569550514221191,
                                    1.8006383180618286};
    create_line(c, "a");
    const struct reply *r = expect_of(c, 200, "POST", "a", "/step", "{\"steps\":4}");
    for (int i = 0; i < 4; i++) {
        char pointer[32];
        snprintf(pointer, sizeof pointer, "/losses/%d", i);
        assert_true(fabs(number_at(r, pointer) - losses[i]) < 1e-5 * losses[i]);
    }
    r = expect_of(c, 200, "GET", "a", "/gradients", NULL);
    assert_true(fabs(number_at(r, "/gradients/w/data/0") - 1.6125) < 1e-4);
    assert_true(fabs(number_at(r, "/gradients/b/data/0") - 2.2100) < 1e-4);
    r = expect_of(c, 200, "GET", "a", "/parameters", NULL);
    assert_true(fabs(number_at(r, "/parameters/w/data/0") - 9.249795913696289) < 1e-5);
    assert_true(fabs(number_at(r, "/parameters/b/data/0") - 6.569469928741455) < 1e-5);
}

static char *layers_as_program(void)
{
    return strdup("import torch.nn.functional as F\\nh = torch.tanh(F.linear(x, w0, b0))\\n"
                  "F.linear(h, w1, b1)");
}

/* The same net, in layers and as a program: bit for bit the same steps. */
static void test_same_as_layers(void **state)
{
    struct client *c = *state;
    char *forward = layers_as_program();
    create_net(c, "layers", SGD);
    char *w[4];
    static const char *const names[] = {"0.weight", "0.bias", "2.weight", "2.bias"};
    const struct reply *r = expect_of(c, 200, "GET", "layers", "/parameters", NULL);
    for (int i = 0; i < 4; i++) {
        const cJSON *parameter = cJSON_GetObjectItem(at(r, "/parameters"), names[i]);
        w[i] = json_text(cJSON_GetObjectItem(parameter, "data"));
    }
    expect(c, 201, "POST", "/models",
           "{\"id\":\"program\",\"loss\":\"mse\",\"parameters\":{\"w0\":{\"data\":%s},\"b0\":"
           "{\"data\":%s},\"w1\":{\"data\":%s},\"b1\":{\"data\":%s}},\"forward\":\"%s\"" SGD "}",
           w[0], w[1], w[2], w[3], forward);
    for (int i = 0; i < 4; i++)
        free(w[i]);
    free(forward);
    for (int k = 1; k < 4; k++) {
        push_batch(c, "layers", k);
        push_batch(c, "program", k);
    }
    char *losses = strdup(expect_of(c, 200, "POST", "layers", "/step", "{\"steps\":50}")->text);
    assert_string_equal(expect_of(c, 200, "POST", "program", "/step", "{\"steps\":50}")->text,
                        losses);
    free(losses);
    static const char inputs[] = "{\"inputs\":[[0.5,1],[2,-1]],\"targets\":[[1],[2]]}";
    char *outputs = strdup(expect_of(c, 200, "POST", "layers", "/forward", inputs)->text);
    assert_string_equal(expect_of(c, 200, "POST", "program", "/forward", inputs)->text, outputs);
    free(outputs);
    r = expect_of(c, 200, "GET", "program", "/graph", NULL);
    assert_json(r, "/nodes/1/name", "\"AddmmBackward0\"");
    assert_json(r, "/nodes/2/variable", "\"b1\"");
}

static void test_input_gradients(void **state)
{
    struct client *c = *state;
    create_line(c, "a");
    const struct reply *r =
        expect_of(c, 200, "POST", "a", "/backward", "{\"batch\":1,\"input_gradients\":true}");
    /* 2 (w x + b - y) w / 4 */
    assert_json(r, "/input_gradients", "[5.25,-4.375,-14,-23.625]");
}

static void test_accumulation_and_freezing(void **state)
{
    struct client *c = *state;
    create_line(c, "a");
    expect_of(c, 200, "POST", "a", "/backward", "{}");
    const struct reply *r = expect_of(c, 200, "GET", "a", "/gradients", NULL);
    assert_json(r, "/gradients/w/data", "[-14.75]");
    assert_json(r, "/gradients/b/data", "[-5.25]");
    r = expect_of(c, 200, "POST", "a", "/backward", "{}");
    assert_json(r, "/accumulated", "2");
    r = expect_of(c, 200, "GET", "a", "/gradients/w", NULL);
    assert_json(r, "/gradients/w/data", "[-29.5]");
    expect_of(c, 200, "POST", "a", "/optimizer/step", "{}");
    r = expect_of(c, 200, "GET", "a", "/parameters/w", NULL);
    assert_json(r, "/parameters/w/data", "[8.475]");
    expect_of(c, 200, "POST", "a", "/zero_grad", NULL);
    expect_of(c, 200, "PATCH", "a", "", "{\"requires_grad\":{\"b\":false}}");
    expect_of(c, 200, "POST", "a", "/backward", "{}");
    r = expect_of(c, 200, "GET", "a", "/gradients", NULL);
    assert_json(r, "/gradients/b", "null");
    expect_of(c, 200, "PUT", "a", "/parameters/b", "{\"parameters\":{\"b\":{\"data\":[4.5]}}}");
    r = expect_of(c, 200, "POST", "a", "/forward", "{\"inputs\":[0,0]}");
    assert_json(r, "/outputs", "[4.5,4.5]");
}

/* A parameter that the program does not use has no gradient, and inputs neither. */
/* {"data": rows x columns of numbers} */
static char *drawn(int rows, int columns)
{
    static unsigned seed = 1;
    size_t room = (size_t)(rows * columns) * 12 + 64, at = 0;
    char *text = malloc(room);
    assert_non_null(text);
    for (int i = 0; i < rows * columns; i++) {
        seed = seed * 1103515245 + 12345;
        at += (size_t)snprintf(text + at, room - at, "%s%.4f",
                               i == 0        ? "[["
                               : i % columns ? ","
                                             : "],[",
                               ((int)(seed >> 16 & 1023) - 512) / 5000.0);
    }
    snprintf(text + at, room - at, "]]");
    return text;
}

static void create_factored(struct client *c, const char *id, const char *a, const char *b,
                            const char *x, const char *y)
{
    expect(
        c, 201, "POST", "/models",
        "{\"id\":\"%s\",\"loss\":\"mse\",\"parameters\":{\"a\":{\"data\":%s},\"b\":{\"data\":%s}},"
        "\"forward\":\"x @ (a @ b)\",\"optimizer\":{\"type\":\"sgd\",\"lr\":0.5}}",
        id, a, b);
    char path[64];
    snprintf(path, sizeof path, "/models/%s/batches", id);
    expect(c, 201, "POST", path, "{\"inputs\":%s,\"targets\":%s}", x, y);
}

/* The gradient of a weight that is made of another one, which the same update changes: whether it
 * is made before, as in the parts of a step, or by the update. */
static void test_factors(void **state)
{
    struct client *c = *state;
    char *a = drawn(100, 80), *b = drawn(80, 60), *x = drawn(2, 100), *y = drawn(2, 60);
    static const char *const ids[] = {"parts", "one", "many"};
    for (int i = 0; i < 3; i++)
        create_factored(c, ids[i], a, b, x, y);
    for (int i = 0; i < 4; i++) {
        expect_of(c, 200, "POST", "parts", "/zero_grad", NULL);
        expect_of(c, 200, "POST", "parts", "/backward", NULL);
        expect_of(c, 200, "POST", "parts", "/optimizer/step", NULL);
        expect_of(c, 200, "POST", "one", "/step", NULL);
    }
    expect_of(c, 200, "POST", "many", "/step", "{\"steps\":4}");
    assert_same_answer(c, "/models/parts/parameters", c, "/models/one/parameters");
    assert_same_answer(c, "/models/parts/parameters", c, "/models/many/parameters");
    assert_same_answer(c, "/models/parts/gradients", c, "/models/one/gradients");
    assert_same_answer(c, "/models/parts/gradients", c, "/models/many/gradients");
    free(a);
    free(b);
    free(x);
    free(y);
}

static void test_unused(void **state)
{
    struct client *c = *state;
    create(c, "u", W_AND_B ",\"forward\":\"w * 2\"");
    const struct reply *r = expect_of(c, 200, "POST", "u", "/backward",
                                      "{\"inputs\":[1],\"targets\":[1],\"input_gradients\":true}");
    assert_json(r, "/input_gradients", "null");
    r = expect_of(c, 200, "GET", "u", "/gradients", NULL);
    assert_json(r, "/gradients/b", "null");
    /* The output may be a parameter itself, or a view. */
    create(c, "p", W_AND_B ",\"forward\":\"w\"");
    r = expect_of(c, 200, "POST", "p", "/forward", "{\"inputs\":[1]}");
    assert_json(r, "/outputs", "[7]");
    create(c, "t", W_AND_B ",\"forward\":\"x.t()\"");
    r = expect_of(c, 200, "POST", "t", "/forward", "{\"inputs\":[[1,2],[3,4]]}");
    assert_json(r, "/outputs", "[[1,3],[2,4]]");
}

/* ---- types --------------------------------------------------------------------------------- */

/* float32 parameters on float64 inputs, as PyTorch promotes them. */
static void test_promotion(void **state)
{
    struct client *c = *state;
    create(c, "d",
           "\"dtype\":\"float64\",\"parameters\":{\"w\":{\"data\":[0.1],\"dtype\":\"float32\"},"
           "\"b\":{\"data\":[0.2],\"dtype\":\"float32\"}},\"forward\":\"w * x + b\"");
    const struct reply *r = expect_of(c, 200, "POST", "d", "/backward",
                                      "{\"inputs\":[0.1,1,2,3],\"targets\":[4.5,14.25,24,33.75]}");
    assert_true(fabs(number_at(r, "/loss") - 468.8822747679077) < 1e-10);
    r = expect_of(c, 200, "GET", "d", "/gradients", NULL);
    assert_json(r, "/gradients/w/data", "[-80.6645]");
    r = expect_of(c, 200, "POST", "d", "/forward", "{\"inputs\":[1]}");
    assert_true(number_at(r, "/outputs/0") == (double)0.1f + (double)0.2f);
    r = expect_of(c, 200, "POST", "d", "/step", "{\"inputs\":[0.1,1],\"targets\":[4.5,14.25]}");
    double loss = number_at(r, "/loss");
    assert_true(number_at(expect_of(c, 200, "GET", "d", "", NULL), "/loss_last") == loss);
    assert_true(number_at(expect_of(c, 200, "GET", "d", "/losses", NULL), "/loss/0") == loss);
    client_reopen(c);
    assert_true(number_at(expect_of(c, 200, "GET", "d", "", NULL), "/loss_last") == loss);
}

/* The targets follow the output's type, and so does what is written of the loss. */
static void test_the_program_decides_the_type(void **state)
{
    struct client *c = *state;
    create(c, "e", W_AND_B ",\"forward\":\"(w * x).double()\"");
    const struct reply *r =
        expect_of(c, 200, "POST", "e", "/step", "{\"inputs\":[0],\"targets\":[0.1]}");
    assert_true(number_at(r, "/loss") == 0.1 * 0.1);
    double loss = number_at(r, "/loss");
    client_reopen(c);
    assert_true(number_at(expect_of(c, 200, "GET", "e", "", NULL), "/loss_last") == loss);
    create(c, "i", W_AND_B ",\"forward\":\"x > w\"");
    r = ask(c, "POST", "/models/i/forward", "{\"inputs\":[0]}");
    assert_problem(r, 422, "invalid-argument", "/inputs");
    assert_non_null(strstr(string_at(r, "/detail"), "must be of a float type, got bool"));
}

/* ---- keeping ------------------------------------------------------------------------------- */

static void test_checkpoints_and_restarts(void **state)
{
    struct client *c = *state, *other = client_new("auto");
    for (int i = 0; i < 2; i++) {
        struct client *one = i ? other : c;
        create_line(one, "a");
        expect_of(one, 200, "POST", "a", "/step", "{\"steps\":3}");
        expect_of(one, 201, "POST", "a", "/checkpoints", "{}");
        if (i)
            client_reopen(one);
        expect_of(one, 200, "POST", "a", "/step", "{\"steps\":5}");
        if (i) {
            expect_of(one, 200, "POST", "a", "/checkpoints/1/restore", "{}");
            expect_of(one, 200, "POST", "a", "/step", "{\"steps\":5}");
        }
    }
    assert_same_answer(c, "/models/a/parameters", other, "/models/a/parameters");
    assert_same_answer(c, "/models/a/gradients", other, "/models/a/gradients");
    assert_same_answer(c, "/models/a/losses", other, "/models/a/losses");
    client_free(other);
}

static void test_divergence(void **state)
{
    struct client *c = *state;
    create(c, "a",
           W_AND_B ",\"forward\":\"w * x + b\",\"optimizer\":{\"type\":\"sgd\","
                   "\"lr\":1e38}");
    const struct reply *r =
        ask(c, "POST", "/models/a/step", "{\"inputs\":[1,2],\"targets\":[1,2]}");
    assert_problem(r, 422, "diverged", "");
    /* Of mean((w x + b - y)²): 2 over the largest eigenvalue of [[5, 3], [3, 2]]. */
    double lambda = (7 + sqrt(9.0 + 36)) / 2;
    assert_true(fabs(number_at(r, "/max_stable_lr") - 2 / lambda) < 1e-6);
    r = expect_of(c, 200, "GET", "a", "/parameters", NULL);
    assert_json(r, "/parameters/w/data", "[7]");
}

/* After the first steps a step allocates nothing, as with layers. */
static void test_steps_allocate_nothing(void **state)
{
    struct client *c = *state;
    uint64_t taken[2];
    create_line(c, "a");
    expect_of(c, 200, "POST", "a", "/step", "{\"steps\":100}"); /* the history has room for more */
    for (int i = 0; i < 2; i++) {
        struct call *call =
            client_start(c, "POST", "/models/a/step", i ? "{\"steps\":20}" : "{\"steps\":2}");
        uint64_t before = mem_allocations();
        assert_true(client_slice(c, call));
        taken[i] = mem_allocations() - before;
        call_free(call);
    }
    assert_in_range(taken[1], taken[0], taken[0] + 1); /* the longer text */
}

/* What a body may hold is guessed by its commas, not by its bytes: 784 numbers are one row. */
static void test_light_rows(void **state)
{
    struct client *c = *state;
    static char body[32768];
    expect(c, 201, "POST", "/models",
           "{\"id\":\"wide\",\"layers\":[{\"type\":\"linear\",\"in_features\":784,"
           "\"out_features\":130}],\"loss\":{\"type\":\"mse\"},"
           "\"optimizer\":{\"type\":\"sgd\",\"lr\":0.1}}");
    for (int rows = 1; rows <= 6; rows += 5) { /* six wait for a worker, unless nobody else does */
        char *p = body + snprintf(body, 16, "{\"inputs\":[");
        for (int i = 0; i < rows * 784; i++)
            p += sprintf(p, "%s%s", i % 784 ? "," : i ? "],[" : "[", rows > 1 ? "1" : "0.2500000");
        sprintf(p, "]]}");
        struct call *call = client_start(c, "POST", "/models/wide/forward", body);
        assert_int_equal(call_is_light(call, false), rows == 1);
        assert_true(call_is_light(call, true));
        call_free(call);
    }
}

/* A program's work on data is known once it was read. */
static void test_light_calls(void **state)
{
    struct client *c = *state;
    static const struct {
        const char *method, *target, *body;
        bool light;
    } calls[] = {
        {"POST", "/models/a/step", "{}", true},
        {"POST", "/models/a/step", "{\"steps\":10}", true},
        {"POST", "/models/a/step", "{\"inputs\":[1],\"targets\":[1]}", false},
        {"POST", "/models/a/forward", "{\"inputs\":[1]}", false},
        {"GET", "/models/a", NULL, true},
    };
    create_line(c, "a");
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
        struct call *call = client_start(c, calls[i].method, calls[i].target, calls[i].body);
        assert_int_equal(call_is_light(call, false), calls[i].light);
        call_free(call);
    }
    create(c, "heavy",
           "\"parameters\":{\"w\":{\"data\":[1]}},"
           "\"forward\":\"w * (torch.ones(300, 300) @ torch.ones(300, 300)).mean()\"");
    expect_of(c, 201, "POST", "heavy", "/batches", "{\"inputs\":[1],\"targets\":[1]}");
    struct call *call = client_start(c, "POST", "/models/heavy/step", "{}");
    assert_false(call_is_light(call, false));
    assert_false(call_is_light(call, true));
    call_free(call);
}

/* ---- mistakes ------------------------------------------------------------------------------ */

#define FORWARD(text) "{\"loss\":\"mse\"," W_AND_B ",\"forward\":\"" text "\"}"
#define NAMED(rest)   "{\"loss\":\"mse\",\"parameters\":{" rest "},\"forward\":\"x\"}"

static void test_mistakes_at_creation(void **state)
{
    static const struct {
        const char *body, *pointer, *detail;
    } rows[] = {
        {"{\"loss\":\"mse\"}", "/layers", "is required, or parameters and forward"},
        {"{\"loss\":\"mse\",\"forward\":\"x\"}", "/parameters", "is required"},
        {"{\"loss\":\"mse\",\"parameters\":{}}", "/forward", "is required"},
        {"{\"loss\":\"mse\",\"parameters\":{},\"forward\":\"x\",\"layers\":[]}", "/layers",
         "not both"},
        {"{\"loss\":\"mse\",\"parameters\":[],\"forward\":\"x\"}", "/parameters", "object"},
        {NAMED("\"x\":{\"data\":1}"), "/parameters/x", "x is the inputs"},
        {NAMED("\"torch\":{\"data\":1}"), "/parameters/torch", "must have a name"},
        {NAMED("\"in\":{\"data\":1}"), "/parameters/in", "must have a name"},
        {NAMED("\"0.weight\":{\"data\":1}"), "/parameters/0.weight", "must have a name"},
        {NAMED("\"\xC3\xA4\":{\"data\":1}"), "/parameters/\xC3\xA4", "ASCII"},
        {NAMED("\"w\":{\"data\":1,\"dtype\":\"int64\"}"), "/parameters/w/requires_grad",
         "Only Tensors of floating point"},
        {NAMED("\"w\":{\"data\":1,\"dtype\":\"int64\",\"requires_grad\":false}"),
         "/parameters/w/dtype", "float32 or float64"},
        {NAMED("\"w\":{\"data\":1},\"v\":{\"data\":1,\"dtype\":\"float64\"}"),
         "/parameters/v/dtype", "float32 as the parameters before"},
        {NAMED("\"w\":{\"data\":[1,[2]]}"), "/parameters/w/data/1", ""},
        {NAMED("\"w\":3"), "/parameters/w", "object"},
        {NAMED("\"w\":{}"), "/parameters/w/data", "is required"},
        {FORWARD(""), "/forward", "line 1, column 1: the last line must be an expression"},
        {FORWARD("y = x"), "/forward", "line 1, column 1: the last line must be an expression"},
        {FORWARD("x +"), "/forward", "line 1, column "},
        {FORWARD("x\\nw * z"), "/forward", "line 2, column 5: name 'z' is not defined"},
        {FORWARD("(a, z) = (w, b)\\na * z * q"), "/forward",
         "line 2, column 9: name 'q' is not defined"},
        {FORWARD("torch.foo(x)"), "/forward", "module 'torch' has no attribute 'foo'"},
        {FORWARD("torch.randn(1) * x"), "/forward", "line 1, column "},
        {FORWARD("print(x)\\nx"), "/forward", "line 1, column "},
        {FORWARD("w.zero_()"), "/forward", "line 1, column "},
        {FORWARD("x.sum().item()"), "/forward", "line 1, column "},
        {FORWARD("x.backward()\\nx"), "/forward", "line 1, column "},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct reply *r = ask_plain(*state, "POST", "/models", rows[i].body);
        assert_problem(r, 422, "invalid-argument", rows[i].pointer);
        if (!strstr(string_at(r, "/detail"), rows[i].detail))
            fail_msg("%s: %s", rows[i].body, r->text);
    }
}

static void test_mistakes_with_data(void **state)
{
    struct client *c = *state;
    create(c, "m", "\"parameters\":{\"w\":{\"data\":[[1,2],[3,4]]}},\"forward\":\"x @ w\"");
    const struct reply *r = ask(c, "POST", "/models/m/forward", "{\"inputs\":[[1,2,3]]}");
    assert_problem(r, 422, "invalid-argument", "/inputs");
    assert_non_null(strstr(string_at(r, "/detail"),
                           "line 1, column 1: mat1 and mat2 shapes cannot be multiplied"));
    assert_json(expect_of(c, 200, "POST", "m", "/forward", "{\"inputs\":[1,1]}"), "/outputs",
                "[4,6]");
    r = ask(c, "POST", "/models/m/batches", "{\"inputs\":[1,1],\"targets\":[[4,6]]}");
    assert_problem(r, 422, "invalid-argument", "/targets");
    assert_problem(ask(c, "GET", "/models/m/graph", NULL), 409, "conflict", "");
    create(c, "i", W_AND_B ",\"forward\":\"1\"");
    r = ask(c, "POST", "/models/i/forward", "{\"inputs\":[1]}");
    assert_problem(r, 422, "invalid-argument", "/inputs");
    create(c, "large", W_AND_B ",\"forward\":\"x.expand(1000000000, 1) * w\"");
    r = ask(c, "POST", "/models/large/forward", "{\"inputs\":[1]}");
    assert_problem(r, 422, "invalid-argument", "/inputs");
    assert_non_null(strstr(string_at(r, "/detail"), "more than 67108864 bytes"));
    create(c, "empty", W_AND_B ",\"forward\":\"torch.zeros(1000000000000, 0)\"");
    r = ask(c, "POST", "/models/empty/forward", "{\"inputs\":[1]}");
    assert_problem(r, 422, "invalid-argument", "/inputs");
}

static void test_parameters_are_bounded(void **state)
{
    struct client *c = *state;
    client_close(c);
    c->config.max_model_bytes = 1024;
    client_open(c);
    char row[1100] = "0";
    for (int i = 0; i < 255; i++)
        strcat(row, ",0");
    const struct reply *r =
        ask(c, "POST", "/models",
            "{\"loss\":\"mse\",\"forward\":\"x\",\"parameters\":{\"a\":{\"data\":1},"
            "\"b\":{\"data\":[%s]}}}",
            row);
    assert_problem(r, 422, "invalid-argument", "/parameters/b");
    expect(c, 201, "POST", "/models",
           "{\"loss\":\"mse\",\"forward\":\"x\",\"parameters\":{\"b\":{\"data\":[%s]}}}", row);
}

#define ROW(test) cmocka_unit_test_setup_teardown(test, client_setup, client_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ROW(test_representation),
        ROW(test_initial_values_are_kept),
        ROW(test_a_line),
        ROW(test_same_as_layers),
        ROW(test_input_gradients),
        ROW(test_accumulation_and_freezing),
        ROW(test_factors),
        ROW(test_unused),
        ROW(test_promotion),
        ROW(test_the_program_decides_the_type),
        ROW(test_checkpoints_and_restarts),
        ROW(test_divergence),
        ROW(test_steps_allocate_nothing),
        ROW(test_light_rows),
        ROW(test_light_calls),
        ROW(test_mistakes_at_creation),
        ROW(test_mistakes_with_data),
        ROW(test_parameters_are_bounded),
    };
    return cmocka_run_group_tests_name("expression", tests, NULL, NULL);
}
