/* Reading: forward, gradients, parameters and PUT, losses and their thinning. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/api/client.h"

#define LINE                                                                                       \
    "\"layers\":[{\"type\":\"linear\",\"in_features\":1,\"out_features\":1}],\"loss\":\"mse\""

static void put_line(struct client *c, const char *w, const char *b)
{
    expect(c, 200, "PUT", "/models/a/parameters",
           "{\"parameters\":{\"0.weight\":{\"data\":[[%s]]},\"0.bias\":{\"data\":[%s]}}}", w, b);
}

static void test_forward(void **state)
{
    struct client *c = *state;
    expect(c, 201, "POST", "/models", "{\"id\":\"a\"," LINE "}");
    put_line(c, "0.1", "-0.25");
    const struct reply *r = expect_of(c, 200, "POST", "a", "/forward", "{\"inputs\":[[1],[3]]}");
    assert_string_equal(r->text, "{\"outputs\":[[-0.15],[0.050000012]],\"step\":0}");
    r = expect_of(c, 200, "POST", "a", "/forward", "{\"inputs\":[[0]],\"targets\":[[0.25]]}");
    assert_string_equal(r->text, "{\"outputs\":[[-0.25]],\"step\":0,\"loss\":0.25,"
                                 "\"reduction\":\"mean\"}");
    /* Reading alone, a client may ask what a NaN gives. */
    r = expect_of(c, 200, "POST", "a", "/forward", "{\"inputs\":[[\"NaN\"],[\"-Infinity\"]]}");
    assert_json(r, "/outputs", "[[\"NaN\"],[\"-Infinity\"]]");
    assert_json(expect_of(c, 200, "GET", "a", "/gradients", NULL), "/gradients/0.weight", "null");
}

static void test_float64_has_all_digits(void **state)
{
    struct client *c = *state;
    expect(c, 201, "POST", "/models", "{\"id\":\"a\",\"dtype\":\"float64\"," LINE "}");
    put_line(c, "0.1", "0.2");
    const struct reply *r = expect_of(c, 200, "POST", "a", "/forward", "{\"inputs\":[[1]]}");
    assert_string_equal(r->text, "{\"outputs\":[[0.30000000000000004]],\"step\":0}");
    put_line(c, "5e-324", "1.7976931348623157e308");
    r = expect_of(c, 200, "GET", "a", "/parameters", NULL);
    assert_non_null(strstr(r->text, "[[5e-324]]"));
    assert_true(number_at(r, "/parameters/0.bias/data/0") == 1.7976931348623157e308);
}

static void test_gradients(void **state)
{
    struct client *c = *state;
    char *batch = batch_text(1);
    create_net(c, "a", "");
    assert_json(expect_of(c, 200, "GET", "a", "/gradients", NULL), "/gradients",
                "{\"0.weight\":null,\"0.bias\":null,\"2.weight\":null,\"2.bias\":null}");
    double norm = number_at(expect_of(c, 200, "POST", "a", "/backward", batch), "/grad_norm");
    const struct reply *r = expect_of(c, 200, "GET", "a", "/gradients", NULL);
    double squares = 0;
    for (const cJSON *g = at(r, "/gradients")->child; g; g = g->next) {
        size_t n;
        double *x = json_flat(json_find(g, "/data"), &n), sum = 0;
        for (size_t i = 0; i < n; i++)
            sum += x[i] * x[i];
        free(x);
        assert_true(fabs(sqrt(sum) - json_find(g, "/norm")->valuedouble) < 1e-7);
        squares += sum;
    }
    assert_true(fabs(sqrt(squares) - norm) < 1e-7);
    r = expect_of(c, 200, "GET", "a", "/gradients?summary=1", NULL);
    assert_json(r, "/gradients/2.weight/shape", "[1,3]");
    assert_null(json_find(r->json, "/gradients/2.weight/data"));
    r = expect_of(c, 200, "GET", "a", "/gradients/2.bias?summary=0", NULL);
    assert_int_equal(cJSON_GetArraySize(at(r, "/gradients")), 1);
    assert_int_equal(cJSON_GetArraySize(at(r, "/gradients/2.bias/data")), 1);
    free(batch);
}

static void test_parameters(void **state)
{
    struct client *c = *state;
    expect(c, 201, "POST", "/models", "{\"id\":\"a\"," LINE "}");
    put_line(c, "1.5", "\"Infinity\"");
    const struct reply *r = expect_of(c, 200, "GET", "a", "/parameters", NULL);
    assert_string_equal(r->text,
                        "{\"step\":0,\"parameters\":{\"0.weight\":{\"shape\":[1,1],"
                        "\"requires_grad\":true,\"data\":[[1.5]]},\"0.bias\":{\"shape\":[1],"
                        "\"requires_grad\":true,\"data\":[\"Infinity\"]}}}");
    char *shown = strdup(r->text); /* what a GET shows, a PUT takes */
    expect(c, 201, "POST", "/models", "{\"id\":\"b\",\"seed\":9," LINE "}");
    r = expect_of(c, 200, "PUT", "b", "/parameters", shown);
    assert_string_equal(r->text, "{\"step\":0,\"parameter_count\":2}");
    assert_same_answer(c, "/models/a/parameters", c, "/models/b/parameters");
    free(shown);
    r = expect_of(c, 200, "PUT", "b", "/parameters/0.bias",
                  "{\"parameters\":{\"0.bias\":{\"data\":[-0],\"requires_grad\":false}}}");
    r = expect_of(c, 200, "GET", "b", "/parameters/0.bias", NULL);
    assert_string_equal(r->text, "{\"step\":0,\"parameters\":{\"0.bias\":{\"shape\":[1],"
                                 "\"requires_grad\":false,\"data\":[-0]}}}");
    assert_json(expect_of(c, 200, "GET", "b", "/parameters/0.weight", NULL),
                "/parameters/0.weight/data", "[[1.5]]");
}

/* A PUT that is wrong at its very end changes nothing at all. */
static void test_put_is_all_or_nothing(void **state)
{
    struct client *c = *state;
    expect(c, 201, "POST", "/models", "{\"id\":\"a\"," LINE "}");
    char *before = text_of(c, "/models/a/parameters");
    static const struct {
        const char *parameters, *pointer;
    } rows[] = {
        {"{\"0.weight\":{\"data\":[[1]],\"requires_grad\":false},\"0.bias\":{\"data\":[\"x\"]}}",
         "/parameters/0.bias/data/0"},
        {"{\"0.weight\":{\"data\":[[1]]}}", "/parameters/0.bias"},
        {"{\"0.weight\":{\"data\":[[1]]},\"0.bias\":{\"data\":[1,2]}}", "/parameters/0.bias/data"},
        {"{\"0.weight\":{\"data\":[1]},\"0.bias\":{\"data\":[1]}}", "/parameters/0.weight/data"},
        {"{\"0.weight\":{\"data\":[[1]]},\"0.bias\":{\"data\":[1e39]}}",
         "/parameters/0.bias/data/0"},
        {"{\"0.weight\":{\"data\":[[1]]},\"0.bias\":{\"data\":[1],\"shape\":[2]}}",
         "/parameters/0.bias/shape"},
        {"{\"0.weight\":{\"data\":[[1]]},\"0.bias\":{\"data\":[1]},\"1.bias\":{\"data\":[1]}}",
         "/parameters/1.bias"},
        {"{\"0.weight\":{\"data\":[[1]]},\"0.bias\":{\"data\":[1],\"requires_grad\":1}}",
         "/parameters/0.bias/requires_grad"},
        {"{\"0.weight\":{\"data\":[[1]]},\"0.bias\":{\"dat\":[1]}}", "/parameters/0.bias/dat"},
        {"{\"0.weight\":{\"data\":[[1]]},\"0.bias\":{}}", "/parameters/0.bias/data"},
        {"{\"0.weight\":{\"data\":[[1]]},\"0.bias\":[1]}", "/parameters/0.bias"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_problem(
            ask(c, "PUT", "/models/a/parameters", "{\"parameters\":%s}", rows[i].parameters), 422,
            "invalid-argument", rows[i].pointer);
        char *after = text_of(c, "/models/a/parameters");
        assert_string_equal(before, after);
        free(after);
    }
    assert_problem(ask(c, "PUT", "/models/a/parameters/0.bias",
                       "{\"parameters\":{\"0.weight\":{\"data\":[[1]]}}}"),
                   422, "invalid-argument", "/parameters/0.weight");
    free(before);
}

/* ---- losses -------------------------------------------------------------------------------- */

/* Step by step, the loss of step i is x[i - 1]²: the weight is 1 and stays so. */
static void make_losses(struct client *c, const char *const *x, int n)
{
    expect(c, 201, "POST", "/models",
           "{\"id\":\"a\",\"on_divergence\":\"continue\",\"optimizer\":{\"type\":\"sgd\",\"lr\":0},"
           "\"layers\":[{\"type\":\"linear\",\"in_features\":1,\"out_features\":1,\"bias\":false}],"
           "\"loss\":\"l1\"}");
    for (int i = 0; i < n; i++) {
        expect(c, 200, "PUT", "/models/a/parameters",
               "{\"parameters\":{\"0.weight\":{\"data\":[[%s]]}}}", x[i]);
        expect_of(c, 200, "POST", "a", "/step", "{\"inputs\":[[1]],\"targets\":[[0]]}");
    }
}

static void test_losses_page(void **state)
{
    struct client *c = *state;
    static const char *const x[] = {"1", "2", "3", "4", "5", "6", "7"};
    make_losses(c, x, 7);
    const struct reply *r = expect_of(c, 200, "GET", "a", "/losses", NULL);
    assert_string_equal(r->text, "{\"step\":[1,2,3,4,5,6,7],\"loss\":[1,2,3,4,5,6,7],"
                                 "\"reduction\":\"mean\",\"last_step\":7}");
    r = expect_of(c, 200, "GET", "a", "/losses?after=2&limit=3", NULL);
    assert_json(r, "/step", "[3,4,5]");
    assert_json(r, "/loss", "[3,4,5]");
    assert_json(r, "/last_step", "7");
    r = expect_of(c, 200, "GET", "a", "/losses?after=7", NULL);
    assert_json(r, "/step", "[]");
    r = expect_of(c, 200, "GET", "a", "/losses?after=100", NULL);
    assert_json(r, "/loss", "[]");
    r = expect_of(c, 200, "GET", "a", "/losses?after=999999999999999999", NULL);
    assert_json(r, "/loss", "[]");
    r = expect_of(c, 200, "GET", "a", "/losses?points=7", NULL);
    assert_json(r, "/step", "[1,2,3,4,5,6,7]");
}

/* Two steps from each on: of n steps, of which some are in the store, some in memory. */
static void check_pages(struct client *c, int n)
{
    for (int after = 0; after < n; after++) {
        char path[60], want[40];
        snprintf(path, sizeof path, "/losses?after=%d&limit=2", after);
        if (after + 2 <= n)
            snprintf(want, sizeof want, "[%d,%d]", after + 1, after + 2);
        else
            snprintf(want, sizeof want, "[%d]", after + 1);
        const struct reply *r = expect_of(c, 200, "GET", "a", path, NULL);
        assert_json(r, "/step", want);
        assert_int_equal(cJSON_GetArraySize(at(r, "/loss")), after + 2 <= n ? 2 : 1);
    }
}

/* Part in the store, part in memory, and the part that is in both: each step once. */
static void test_losses_across_checkpoints(void **state)
{
    struct client *c = *state;
    char want[200] = "[1";
    create_net(c, "a", "");
    push_batch(c, "a", 1);
    for (int i = 1; i <= 30; i++) {
        expect_of(c, 200, "POST", "a", "/step", NULL);
        if (i % 4 == 0)
            expect_of(c, 201, "POST", "a", "/checkpoints", NULL);
        if (i % 7 == 0) {
            client_close(c);
            c->config.checkpoint_seconds = 0;
            client_open(c);
        }
        if (i % 3 == 0)
            client_run_due(c);
        if (i > 1)
            snprintf(want + strlen(want), sizeof want - strlen(want), ",%d", i);
        snprintf(want + strlen(want), 2, "]");
        const struct reply *r = expect_of(c, 200, "GET", "a", "/losses", NULL);
        assert_json(r, "/step", want);
        assert_int_equal(cJSON_GetArraySize(at(r, "/loss")), i);
        want[strlen(want) - 1] = '\0';
        check_pages(c, i);
    }
    /* The whole history is that of a model that was never written. */
    create_net(c, "b", "");
    push_batch(c, "b", 1);
    expect_of(c, 200, "POST", "b", "/step", "{\"steps\":30}");
    assert_same_answer(c, "/models/a/losses", c, "/models/b/losses");
}

static void test_losses_thinned(void **state)
{
    struct client *c = *state;
    /* Two buckets of six: extremes 9 and 1, and a NaN that no later loss may cover. */
    static const char *const x[] = {"5", "9", "5", "1",       "5",   "5",
                                    "2", "3", "2", "\"NaN\"", "0.5", "2"};
    make_losses(c, x, 12);
    const struct reply *r = expect_of(c, 200, "GET", "a", "/losses?points=4", NULL);
    assert_json(r, "/step", "[2,4,10,11]");
    assert_json(r, "/loss", "[9,1,\"NaN\",0.5]");
    assert_json(r, "/last_step", "12");
    r = expect_of(c, 200, "GET", "a", "/losses?points=2", NULL);
    assert_json(r, "/step", "[10,11]");
    client_reopen(c); /* the same from the store */
    r = expect_of(c, 200, "GET", "a", "/losses?points=4", NULL);
    assert_json(r, "/step", "[2,4,10,11]");
    r = expect_of(c, 200, "GET", "a", "/losses?points=4&after=6&limit=6", NULL);
    assert_json(r, "/step", "[7,8,10,11]");
}

/* A NaN first, an infinity later: both are extremes. */
static void test_losses_not_finite(void **state)
{
    struct client *c = *state;
    static const char *const x[] = {"\"NaN\"", "2", "1", "3", "1", "\"Infinity\"", "2", "2"};
    make_losses(c, x, 8);
    const struct reply *r = expect_of(c, 200, "GET", "a", "/losses?points=4", NULL);
    assert_json(r, "/step", "[1,3,5,6]");
    assert_json(r, "/loss", "[\"NaN\",1,1,\"Infinity\"]");
}

#define ROW(test) cmocka_unit_test_setup_teardown(test, client_setup, client_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ROW(test_forward),
        ROW(test_float64_has_all_digits),
        ROW(test_gradients),
        ROW(test_parameters),
        ROW(test_put_is_all_or_nothing),
        ROW(test_losses_page),
        ROW(test_losses_across_checkpoints),
        ROW(test_losses_thinned),
        ROW(test_losses_not_finite),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
