/* Training: step, backward, optimizer/step, zero_grad, slices, divergence, the loss history. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/api/client.h"

/* y = w x with w = 2, on x = 1, target 0: loss w², gradient 2w, and all of it exact. */
static void create_line(struct client *c, const char *id, const char *more)
{
    expect(c, 201, "POST", "/models",
           "{\"id\":\"%s\",\"layers\":[{\"type\":\"linear\",\"in_features\":1,\"out_features\":1,"
           "\"bias\":false}],\"loss\":\"mse\"%s}",
           id, more);
    expect_of(c, 200, "PUT", id, "/parameters", "{\"parameters\":{\"0.weight\":{\"data\":[[2]]}}}");
}

#define POINT "{\"inputs\":[[1]],\"targets\":[[0]]}"

static double weight(struct client *c, const char *id)
{
    return number_at(expect_of(c, 200, "GET", id, "/parameters", NULL),
                     "/parameters/0.weight/data/0/0");
}

static void test_step_answers(void **state)
{
    struct client *c = *state;
    create_line(c, "a", ",\"optimizer\":{\"type\":\"sgd\",\"lr\":0.25}");
    const struct reply *r = expect_of(c, 200, "POST", "a", "/step", POINT);
    assert_string_equal(r->text, "{\"step\":1,\"loss\":4,\"reduction\":\"mean\",\"grad_norm\":4,"
                                 "\"lr\":0.25,\"batch\":null}");
    assert_true(weight(c, "a") == 1);
    expect_of(c, 201, "POST", "a", "/batches", POINT);
    r = expect_of(c, 200, "POST", "a", "/step", "{\"steps\":3}");
    assert_string_equal(r->text, "{\"step\":4,\"loss\":0.0625,\"reduction\":\"mean\",\"grad_norm\":"
                                 "0.5,\"lr\":0.25,\"batch\":1,\"losses\":[1,0.25,0.0625]}");
    r = expect_of(c, 200, "GET", "a", "", NULL);
    assert_json(r, "/step", "4");
    assert_json(r, "/loss_last", "0.0625");
    assert_json(r, "/state", "\"ready\"");
    assert_json(expect_of(c, 200, "POST", "a", "/step", "{\"steps\":1}"), "/step", "5");
}

static void test_reduction_is_named(void **state)
{
    struct client *c = *state;
    expect(c, 201, "POST", "/models",
           "{\"id\":\"s\",\"layers\":[{\"type\":\"linear\",\"in_features\":1,\"out_features\":1}],"
           "\"loss\":{\"type\":\"mse\",\"reduction\":\"sum\"}}");
    static const char *const routes_with_loss[] = {"/step", "/backward", "/forward"};
    for (int i = 0; i < 3; i++)
        assert_json(expect_of(c, 200, "POST", "s", routes_with_loss[i], POINT), "/reduction",
                    "\"sum\"");
    assert_json(expect_of(c, 200, "POST", "s", "/optimizer/step", NULL), "/reduction", "\"sum\"");
    assert_json(expect_of(c, 200, "GET", "s", "/losses", NULL), "/reduction", "\"sum\"");
}

static void test_gradients_add_up(void **state)
{
    struct client *c = *state;
    create_line(c, "a", ",\"optimizer\":{\"type\":\"sgd\",\"lr\":0.125}");
    const struct reply *r =
        expect_of(c, 200, "POST", "a", "/backward",
                  "{\"inputs\":[[1]],\"targets\":[[0]],\"input_gradients\":true}");
    assert_string_equal(r->text, "{\"loss\":4,\"reduction\":\"mean\",\"grad_norm\":4,"
                                 "\"accumulated\":1,\"batch\":null,\"input_gradients\":[[8]]}");
    r = expect_of(c, 200, "POST", "a", "/backward", POINT);
    assert_json(r, "/accumulated", "2");
    assert_json(r, "/grad_norm", "8");
    assert_null(json_find(r->json, "/input_gradients"));
    r = expect_of(c, 200, "GET", "a", "/gradients", NULL);
    assert_string_equal(r->text, "{\"step\":0,\"gradients\":{\"0.weight\":{\"shape\":[1,1],"
                                 "\"norm\":8,\"data\":[[8]]}}}");
    assert_true(weight(c, "a") == 2);
    r = expect_of(c, 200, "POST", "a", "/optimizer/step", NULL);
    assert_string_equal(r->text, "{\"step\":1,\"loss\":4,\"reduction\":\"mean\",\"grad_norm\":8,"
                                 "\"lr\":0.125}");
    assert_true(weight(c, "a") == 1);
    /* The gradients stay, as in PyTorch, until they are cleared. */
    expect_of(c, 200, "POST", "a", "/optimizer/step", "{}");
    assert_true(weight(c, "a") == 0);
    r = expect_of(c, 200, "POST", "a", "/zero_grad", NULL);
    assert_string_equal(r->text, "{\"step\":2,\"accumulated\":0}");
    assert_json(expect_of(c, 200, "GET", "a", "/gradients", NULL), "/gradients/0.weight", "null");
    assert_problem(ask(c, "POST", "/models/a/optimizer/step", NULL), 409, "conflict", "");
    expect_of(c, 200, "POST", "a", "/step", POINT); /* step clears what was there */
    assert_json(expect_of(c, 200, "POST", "a", "/backward", POINT), "/accumulated", "2");
}

/* step is zero_grad, backward, optimizer/step. */
static void test_step_is_its_parts(void **state)
{
    struct client *c = *state;
    static const char options[] =
        ",\"optimizer\":{\"type\":\"sgd\",\"lr\":0.1,\"momentum\":0.9,\"weight_decay\":0.01}";
    create_net(c, "whole", options);
    create_net(c, "parts", options);
    for (int k = 1; k <= 2; k++) {
        push_batch(c, "whole", k);
        push_batch(c, "parts", k);
    }
    for (int i = 0; i < 5; i++) {
        expect_of(c, 200, "POST", "parts", "/zero_grad", NULL);
        expect_of(c, 200, "POST", "parts", "/backward", NULL);
        expect_of(c, 200, "POST", "parts", "/optimizer/step", NULL);
    }
    const struct reply *r = expect_of(c, 200, "POST", "whole", "/step", "{\"steps\":5}");
    const struct reply *history = expect_of(c, 200, "GET", "whole", "/losses", NULL);
    assert_true(cJSON_Compare(at(r, "/losses"), at(history, "/loss"), true));
    assert_same_answer(c, "/models/whole/parameters", c, "/models/parts/parameters");
    assert_same_answer(c, "/models/whole/gradients", c, "/models/parts/gradients");
    assert_same_answer(c, "/models/whole/losses", c, "/models/parts/losses");
}

static void test_no_data(void **state)
{
    struct client *c = *state;
    create_net(c, "a", "");
    assert_problem(ask(c, "POST", "/models/a/step", NULL), 409, "conflict", "");
    assert_problem(ask(c, "POST", "/models/a/backward", "{}"), 409, "conflict", "");
}

/* ---- slices -------------------------------------------------------------------------------- */

/* With no time at all a slice is one step; in between come gradients, parameters and forward. */
static void test_slices(void **state)
{
    struct client *c = *state;
    char *batch = batch_text(1);
    create_net(c, "sliced", "");
    create_net(c, "twin", "");
    push_batch(c, "sliced", 1);
    push_batch(c, "twin", 1);
    struct call *step = client_start(c, "POST", "/models/sliced/step", "{\"steps\":20}");
    assert_int_equal(call_mode(step), CALL_CHANGE);
    assert_string_equal(call_model(step), "sliced");
    c->slice_ns = 0;
    for (int done = 1; done < 20; done++) {
        assert_false(client_slice(c, step));
        expect_of(c, 200, "POST", "twin", "/step", NULL);
        assert_same_answer(c, "/models/sliced/gradients", c, "/models/twin/gradients");
        assert_same_answer(c, "/models/sliced/parameters", c, "/models/twin/parameters");
        const struct reply *r = expect_of(c, 200, "POST", "sliced", "/forward", batch);
        assert_int_equal(number_at(r, "/step"), done);
        assert_json(expect_of(c, 200, "GET", "sliced", "", NULL), "/state", "\"training\"");
    }
    assert_true(client_slice(c, step));
    const struct reply *r = client_finish(c, step);
    assert_int_equal(r->status, 200);
    assert_int_equal(cJSON_GetArraySize(at(r, "/losses")), 20);
    assert_json(expect_of(c, 200, "GET", "sliced", "", NULL), "/state", "\"ready\"");
    free(batch);
    struct call *between = client_start(c, "GET", "/models/sliced/gradients", NULL);
    assert_int_equal(call_mode(between), CALL_BETWEEN);
    assert_string_equal(call_model(between), "sliced");
    call_free(between);
}

/* Where it is known that nobody waits a slice goes on beyond its time, and ends once somebody does.
 */
static void test_slices_of_a_lone_call(void **state)
{
    struct client *c = *state;
    atomic_size_t waiting = 0;
    scratch_join(c->scratch, NULL, &waiting);
    create_net(c, "a", "");
    push_batch(c, "a", 1);
    c->slice_ns = 0;
    struct call *step = client_start(c, "POST", "/models/a/step", "{\"steps\":4}");
    assert_true(client_slice(c, step));
    assert_json(client_finish(c, step), "/step", "4");
    step = client_start(c, "POST", "/models/a/step", "{\"steps\":3}");
    waiting = 1;
    assert_false(client_slice(c, step));
    assert_json(expect_of(c, 200, "GET", "a", "", NULL), "/step", "5");
    waiting = 0;
    assert_true(client_slice(c, step));
    assert_json(client_finish(c, step), "/step", "7");
    step = client_start(c, "POST", "/models/a/step", "{\"steps\":1000000}");
    assert_false(client_slice(c, step)); /* however alone, it tells how far it is */
    call_free(step);
    scratch_join(c->scratch, NULL, NULL);
}

static void test_drain_ends_a_long_call(void **state)
{
    struct client *c = *state;
    create_net(c, "a", "");
    push_batch(c, "a", 1);
    struct call *step = client_start(c, "POST", "/models/a/step", "{\"steps\":1000000}");
    c->slice_ns = 0;
    for (int i = 0; i < 3; i++)
        assert_false(client_slice(c, step));
    api_drain(c->api);
    assert_true(client_slice(c, step));
    const struct reply *r = client_finish(c, step);
    assert_problem(r, 503, "unavailable", "");
    assert_json(r, "/steps_done", "3");
    assert_json(r, "/step", "3");
    assert_string_equal(r->retry_after, "1");
    client_reopen(c);
    r = expect_of(c, 200, "GET", "a", "", NULL);
    assert_json(r, "/step", "3");
    assert_json(r, "/state", "\"ready\"");
}

/* ---- divergence ---------------------------------------------------------------------------- */

static void test_stop(void **state)
{
    struct client *c = *state;
    create_line(c, "a", ",\"optimizer\":{\"type\":\"sgd\",\"lr\":1e38}");
    create_net(c, "turn", ",\"optimizer\":{\"type\":\"sgd\",\"lr\":0.1}");
    const struct reply *r = ask(c, "POST", "/models/a/step", POINT);
    assert_problem(r, 422, "diverged", "");
    assert_json(r, "/step", "0");
    assert_json(r, "/loss", "4");
    assert_true(number_at(r, "/lr") == 1e38);
    assert_true(fabs(number_at(r, "/max_stable_lr") - 1) < 1e-6); /* the Hessian is 2 */
    assert_true(weight(c, "a") == 2);
    r = expect_of(c, 200, "GET", "a", "", NULL);
    assert_json(r, "/state", "\"diverged\"");
    assert_json(r, "/loss_last", "null");
    assert_json(expect_of(c, 200, "GET", "a", "/losses", NULL), "/step", "[]");
    r = expect_of(c, 200, "PATCH", "a", "", "{\"optimizer\":{\"lr\":0.25}}");
    assert_json(r, "/state", "\"ready\"");
    expect_of(c, 200, "POST", "a", "/step", POINT);
    assert_true(weight(c, "a") == 1);
}

/* What was accumulated outlives a backward that diverges, and the turn stays where it was. */
static void test_stop_keeps_what_was_there(void **state)
{
    struct client *c = *state;
    static const char huge[] = "{\"inputs\":[[1e30]],\"targets\":[[-1e38]]}";
    create_line(c, "a", "");
    expect_of(c, 201, "POST", "a", "/batches", POINT);
    expect_of(c, 201, "POST", "a", "/batches", huge);
    assert_json(expect_of(c, 200, "POST", "a", "/backward", NULL), "/batch", "1");
    char *before = text_of(c, "/models/a/gradients");
    assert_problem(ask(c, "POST", "/models/a/backward", NULL), 422, "diverged", "");
    char *after = text_of(c, "/models/a/gradients");
    assert_string_equal(before, after);
    free(before);
    free(after);
    assert_problem(ask(c, "POST", "/models/a/step", NULL), 422, "diverged", "");
    expect_of(c, 204, "DELETE", "a", "/batches/2", NULL);
    assert_json(expect_of(c, 200, "POST", "a", "/step", NULL), "/batch", "1");
}

/* Loss and gradient are fine, but weight decay alone would throw the weight out of range: whether
 * it came there by a PUT or by a restore. */
static void test_stop_before_the_update_overflows(void **state)
{
    struct client *c = *state;
    static const char nothing[] = "{\"inputs\":[[0]],\"targets\":[[0]]}";
    static const char huge[] = "{\"parameters\":{\"0.weight\":{\"data\":[[3e38]]}}}";
    static const char small[] = "{\"parameters\":{\"0.weight\":{\"data\":[[2]]}}}";
    create_line(c, "a", ",\"optimizer\":{\"type\":\"sgd\",\"lr\":3,\"weight_decay\":1}");
    expect_of(c, 200, "POST", "a", "/step", nothing);
    assert_true(weight(c, "a") == -4);
    expect_of(c, 200, "PUT", "a", "/parameters", huge);
    expect_of(c, 201, "POST", "a", "/checkpoints", NULL);
    assert_problem(ask_plain(c, "POST", "/models/a/step", nothing), 422, "diverged", "");
    assert_true((float)weight(c, "a") == 3e38F);
    expect_of(c, 200, "PUT", "a", "/parameters", small);
    expect_of(c, 200, "POST", "a", "/step", nothing);
    expect_of(c, 200, "POST", "a", "/checkpoints/1/restore", NULL);
    assert_problem(ask_plain(c, "POST", "/models/a/step", nothing), 422, "diverged", "");
    assert_true((float)weight(c, "a") == 3e38F);
}

/* ---- owed gradients ------------------------------------------------------------------------ */

/* 6,400 weights: their gradients are not written but for the last step of a slice. */
static void create_wide(struct client *c, const char *id, const char *more)
{
    expect(c, 201, "POST", "/models",
           "{\"id\":\"%s\",\"layers\":[{\"type\":\"linear\",\"in_features\":4,"
           "\"out_features\":1600},{\"type\":\"tanh\"},{\"type\":\"linear\","
           "\"in_features\":1600,\"out_features\":4}],\"seed\":1,\"loss\":\"mse\"%s}",
           id, more);
    expect_of(c, 201, "POST", id, "/batches",
              "{\"inputs\":[[1,2,3,4],[0.5,-1,2,0.25]],\"targets\":[[1,0,0,1],[0,-2,1,1]]}");
}

static void assert_same_state(struct client *c)
{
    static const char *const shown[] = {"parameters", "gradients", "losses"};
    for (int i = 0; i < 3; i++) {
        char one[32], many[32];
        snprintf(one, sizeof one, "/models/one/%s", shown[i]);
        snprintf(many, sizeof many, "/models/many/%s", shown[i]);
        assert_same_answer(c, one, c, many);
    }
}

static void test_many_steps_are_as_single_ones(void **state)
{
    struct client *c = *state;
    static const char more[] = ",\"optimizer\":{\"type\":\"sgd\",\"lr\":0.001,\"momentum\":0.9}";
    double norm = 0;
    create_wide(c, "one", more);
    create_wide(c, "many", more);
    for (int i = 0; i < 6; i++)
        norm = number_at(expect_of(c, 200, "POST", "one", "/step", NULL), "/grad_norm");
    const struct reply *r = expect_of(c, 200, "POST", "many", "/step", "{\"steps\":6}");
    assert_true(number_at(r, "/grad_norm") == norm);
    assert_same_state(c);
}

/* The answer tells of the step that failed what a single one tells. */
static void test_many_steps_diverge_as_single_ones(void **state)
{
    struct client *c = *state;
    static const char more[] = ",\"optimizer\":{\"type\":\"sgd\",\"lr\":0.1}";
    static const char *const fields[] = {"/step", "/loss", "/lr"};
    create_wide(c, "one", more);
    create_wide(c, "many", more);
    int done = 0;
    const struct reply *one = ask(c, "POST", "/models/one/step", NULL);
    for (; one->status == 200; done++)
        one = ask(c, "POST", "/models/one/step", NULL);
    const struct reply *many = ask(c, "POST", "/models/many/step", "{\"steps\":1000}");
    assert_problem(one, 422, "diverged", "");
    assert_problem(many, 422, "diverged", "");
    assert_in_range(done, 2, 900);
    for (int i = 0; i < 3; i++)
        assert_true(number_at(one, fields[i]) == number_at(many, fields[i]));
    assert_string_equal(string_at(one, "/detail"), string_at(many, "/detail"));
    assert_same_state(c);
}

static void test_many_steps_continue_as_single_ones(void **state)
{
    struct client *c = *state;
    static const char more[] =
        ",\"optimizer\":{\"type\":\"sgd\",\"lr\":0.1},\"on_divergence\":\"continue\"";
    create_wide(c, "one", more);
    create_wide(c, "many", more);
    for (int i = 0; i < 60; i++)
        expect_of(c, 200, "POST", "one", "/step", NULL);
    expect_of(c, 200, "POST", "many", "/step", "{\"steps\":60}");
    assert_string_equal(string_at(expect_of(c, 200, "GET", "one", "", NULL), "/loss_last"), "NaN");
    assert_same_state(c);
}

/* 1,100,000 weights, whose gradient is not made before somebody asks. In parts there is no such. */
static void create_large(struct client *c, const char *id)
{
    expect(c, 201, "POST", "/models",
           "{\"id\":\"%s\",\"layers\":[{\"type\":\"linear\",\"in_features\":2,"
           "\"out_features\":1100},{\"type\":\"tanh\"},{\"type\":\"linear\","
           "\"in_features\":1100,\"out_features\":1000},{\"type\":\"linear\","
           "\"in_features\":1000,\"out_features\":1}],\"seed\":1,\"loss\":\"mse\"}",
           id);
    expect_of(c, 201, "POST", id, "/batches",
              "{\"inputs\":[[1,2],[0.5,-1],[2,3]],\"targets\":[[1],[0],[-1]]}");
}

static double step_in_parts(struct client *c, const char *id)
{
    expect_of(c, 200, "POST", id, "/zero_grad", NULL);
    expect_of(c, 200, "POST", id, "/backward", NULL);
    return number_at(expect_of(c, 200, "POST", id, "/optimizer/step", NULL), "/grad_norm");
}

static double both_step(struct client *c)
{
    double parts = step_in_parts(c, "one");
    double whole = number_at(expect_of(c, 200, "POST", "many", "/step", NULL), "/grad_norm");
    assert_true(fabs(whole - parts) <= 1e-12 * parts);
    return whole;
}

static void both(struct client *c, const char *path)
{
    expect_of(c, 200, "POST", "one", path, NULL);
    expect_of(c, 200, "POST", "many", path, NULL);
}

static void test_deferred_gradients_are_there_when_they_are_read(void **state)
{
    struct client *c = *state;
    create_large(c, "one");
    create_large(c, "many");
    both_step(c);
    double norm = both_step(c);
    const struct reply *r = expect_of(c, 200, "GET", "many", "/gradients?summary=1", NULL);
    double last = number_at(r, "/gradients/2.weight/norm");
    assert_true(last > 0 && last < norm);
    assert_same_state(c);
    both_step(c);
    client_reopen(c); /* in the checkpoint that a daemon leaves */
    assert_same_state(c);
}

static void test_deferred_gradients_are_added_to_and_used(void **state)
{
    struct client *c = *state;
    create_large(c, "one");
    create_large(c, "many");
    both_step(c);
    both(c, "/backward");
    assert_same_answer(c, "/models/one/gradients", c, "/models/many/gradients");
    both_step(c);
    both(c, "/optimizer/step");
    assert_same_state(c);
    both_step(c);
    both(c, "/zero_grad");
    assert_same_state(c);
    both_step(c);
    expect_of(c, 201, "POST", "one", "/checkpoints", NULL);
    expect_of(c, 201, "POST", "many", "/checkpoints", NULL);
    both_step(c);
    both(c, "/checkpoints/1/restore");
    assert_same_state(c);
}

static void test_continue_is_as_pytorch(void **state)
{
    struct client *c = *state;
    create_line(c, "a",
                ",\"optimizer\":{\"type\":\"sgd\",\"lr\":1e38},"
                "\"on_divergence\":\"continue\"");
    expect_of(c, 201, "POST", "a", "/batches", POINT);
    const struct reply *r = expect_of(c, 200, "POST", "a", "/step", "{\"steps\":4}");
    /* 2 - 4e38 is -inf in float32; then inf² is inf, -inf - (-inf) NaN */
    assert_json(r, "/losses", "[4,\"Infinity\",\"NaN\",\"NaN\"]");
    assert_json(r, "/grad_norm", "\"NaN\"");
    r = expect_of(c, 200, "GET", "a", "/parameters", NULL);
    assert_json(r, "/parameters/0.weight/data", "[[\"NaN\"]]");
    r = expect_of(c, 200, "GET", "a", "", NULL);
    assert_json(r, "/loss_last", "\"NaN\"");
    assert_json(r, "/step", "4");
    client_reopen(c);
    r = expect_of(c, 200, "POST", "a", "/forward", "{\"inputs\":[[1]]}");
    assert_json(r, "/outputs", "[[\"NaN\"]]");
    assert_json(expect_of(c, 200, "GET", "a", "/losses", NULL), "/loss",
                "[4,\"Infinity\",\"NaN\",\"NaN\"]");
}

#define ROW(test) cmocka_unit_test_setup_teardown(test, client_setup, client_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ROW(test_step_answers),
        ROW(test_reduction_is_named),
        ROW(test_gradients_add_up),
        ROW(test_step_is_its_parts),
        ROW(test_no_data),
        ROW(test_slices),
        ROW(test_slices_of_a_lone_call),
        ROW(test_drain_ends_a_long_call),
        ROW(test_stop),
        ROW(test_stop_keeps_what_was_there),
        ROW(test_stop_before_the_update_overflows),
        ROW(test_continue_is_as_pytorch),
        ROW(test_deferred_gradients_are_there_when_they_are_read),
        ROW(test_deferred_gradients_are_added_to_and_used),
        ROW(test_many_steps_are_as_single_ones),
        ROW(test_many_steps_diverge_as_single_ones),
        ROW(test_many_steps_continue_as_single_ones),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
