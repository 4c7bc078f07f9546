/* Checkpoints: a client's own, restoring, the background ones, and what a restart finds. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/api/twins.h"

#define MOMENTUM                                                                                   \
    ",\"optimizer\":{\"type\":\"sgd\",\"lr\":0.1,\"momentum\":0.9,\"weight_decay\":0.01,"          \
    "\"dampening\":0.1}"

static void create(struct client *c, const char *id, const char *more)
{
    create_net(c, id, more);
    for (int k = 1; k <= 3; k++)
        push_batch(c, id, k);
}

static void steps(struct client *c, const char *id, int n)
{
    char body[40];
    snprintf(body, sizeof body, "{\"steps\":%d}", n);
    expect_of(c, 200, "POST", id, "/step", body);
}

static void test_create_list_delete(void **state)
{
    struct client *c = *state;
    create(c, "a", "");
    assert_json(expect_of(c, 200, "GET", "a", "/checkpoints", NULL), "", "{\"checkpoints\":[]}");
    const struct reply *r = expect_of(c, 201, "POST", "a", "/checkpoints", NULL);
    assert_string_equal(r->location, "/models/a/checkpoints/1");
    assert_json(r, "/n", "1");
    assert_json(r, "/step", "0");
    assert_json(r, "/loss", "null");
    assert_json(r, "/label", "null");
    assert_json(r, "/bytes", "52"); /* 13 parameters of 4 bytes */
    double loss = number_at(expect_of(c, 200, "POST", "a", "/step", NULL), "/loss");
    r = expect_of(c, 201, "POST", "a", "/checkpoints", "{\"label\":\"first \\u00e9\"}");
    assert_json(r, "/step", "1");
    assert_true(number_at(r, "/loss") == loss);
    assert_json(r, "/bytes", "104"); /* the gradients too */
    char *made = strdup(r->text);
    r = expect_of(c, 200, "GET", "a", "/checkpoints?limit=1", NULL);
    assert_json(r, "/next", "1");
    r = expect_of(c, 200, "GET", "a", "/checkpoints?after=1", NULL);
    cJSON *as_made = cJSON_Parse(made);
    assert_true(cJSON_Compare(at(r, "/checkpoints/0"), as_made, true));
    cJSON_Delete(as_made);
    free(made);
    expect_of(c, 204, "DELETE", "a", "/checkpoints/2", NULL);
    assert_problem(ask(c, "DELETE", "/models/a/checkpoints/2", NULL), 404, "not-found", "");
    assert_problem(ask(c, "POST", "/models/a/checkpoints/2/restore", NULL), 404, "not-found", "");
    client_reopen(c); /* numbers are not used again */
    assert_json(expect_of(c, 201, "POST", "a", "/checkpoints", "{}"), "/n", "3");
}

/* Back at the checkpoint it goes on exactly as a twin that never left: momentum, gradients in
 * flight, the turn, the rate, what is frozen, the history. */
static void test_restore_bit_for_bit(void **state)
{
    struct client *c = *state;
    create(c, "a", MOMENTUM);
    create(c, "twin", MOMENTUM);
    static const char *const ids[] = {"a", "twin"};
    for (int i = 0; i < 2; i++) {
        steps(c, ids[i], 7);
        expect_of(c, 200, "PATCH", ids[i], "",
                  "{\"requires_grad\":{\"2.bias\":false},\"optimizer\":{\"lr\":0.05}}");
        steps(c, ids[i], 1);
        expect_of(c, 200, "POST", ids[i], "/backward", NULL);
    }
    expect_of(c, 201, "POST", "a", "/checkpoints", NULL);
    steps(c, "a", 10);
    expect_of(c, 200, "PATCH", "a", "",
              "{\"requires_grad\":{\"2.bias\":true},\"optimizer\":{\"lr\":0.7,\"momentum\":0},"
              "\"on_divergence\":\"continue\",\"durability\":\"none\"}");
    steps(c, "a", 3);
    const struct reply *r = expect_of(c, 200, "POST", "a", "/checkpoints/1/restore", NULL);
    assert_json(r, "/step", "8");
    /* what is promised now stays promised */
    assert_json(r, "/durability", "\"none\"");
    expect_of(c, 200, "PATCH", "a", "", "{\"durability\":\"process\"}");
    assert_twins(c, "a", c, "twin");
    /* The gradients in flight are used, then the next in turn. */
    for (int i = 0; i < 2; i++) {
        expect_of(c, 200, "POST", ids[i], "/optimizer/step", NULL);
        steps(c, ids[i], 5);
    }
    assert_twins(c, "a", c, "twin");
    client_reopen(c);
    for (int i = 0; i < 2; i++)
        steps(c, ids[i], 4);
    assert_twins(c, "a", c, "twin");
    expect_of(c, 200, "POST", "a", "/checkpoints/1/restore", "{}"); /* as often as one likes */
    assert_json(expect_of(c, 200, "GET", "a", "/losses", NULL), "/last_step", "8");
}

/* Momentum that a checkpoint does not have yet is not there after a restore. */
static void test_restore_before_momentum(void **state)
{
    struct client *c = *state;
    create(c, "a", MOMENTUM);
    create(c, "twin", MOMENTUM);
    expect_of(c, 201, "POST", "a", "/checkpoints", NULL);
    steps(c, "a", 5);
    expect_of(c, 200, "POST", "a", "/checkpoints/1/restore", NULL);
    assert_twins(c, "a", c, "twin");
    steps(c, "a", 5);
    steps(c, "twin", 5);
    assert_twins(c, "a", c, "twin");
}

/* Forward again, to a checkpoint of a history that was cut: the losses in between are gone. */
static void test_restore_forward(void **state)
{
    struct client *c = *state;
    create(c, "a", "");
    steps(c, "a", 3);
    expect_of(c, 201, "POST", "a", "/checkpoints", NULL);
    steps(c, "a", 5);
    expect_of(c, 201, "POST", "a", "/checkpoints", NULL);
    char *at_8 = text_of(c, "/models/a/parameters");
    expect_of(c, 200, "POST", "a", "/checkpoints/1/restore", NULL);
    assert_json(expect_of(c, 200, "GET", "a", "/losses", NULL), "/step", "[1,2,3]");
    expect_of(c, 200, "POST", "a", "/checkpoints/2/restore", NULL);
    char *again = text_of(c, "/models/a/parameters");
    assert_string_equal(again, at_8);
    steps(c, "a", 2);
    const struct reply *r = expect_of(c, 200, "GET", "a", "/losses", NULL);
    assert_json(r, "/step", "[1,2,3,9,10]");
    client_reopen(c);
    r = expect_of(c, 200, "GET", "a", "/losses", NULL);
    assert_json(r, "/step", "[1,2,3,9,10]");
    free(at_8);
    free(again);
}

static void test_restored_is_ready(void **state)
{
    struct client *c = *state;
    create(c, "a", "");
    steps(c, "a", 1);
    expect_of(c, 201, "POST", "a", "/checkpoints", NULL);
    expect_of(c, 200, "PATCH", "a", "", "{\"optimizer\":{\"lr\":1e38}}");
    assert_problem(ask(c, "POST", "/models/a/step", "{\"steps\":9}"), 422, "diverged", "");
    assert_json(expect_of(c, 200, "GET", "a", "", NULL), "/state", "\"diverged\"");
    client_reopen(c);
    assert_json(expect_of(c, 200, "GET", "a", "", NULL), "/state", "\"diverged\"");
    const struct reply *r = expect_of(c, 200, "POST", "a", "/checkpoints/1/restore", NULL);
    assert_json(r, "/state", "\"ready\"");
    assert_true(number_at(r, "/optimizer/lr") == 0.001);
}

/* ---- restart ------------------------------------------------------------------------------- */

static void test_restart_goes_on(void **state)
{
    struct client *c = *state, *other = client_new("baseline");
    static const char *const bodies[] = {NULL, "{\"steps\":4}", "{\"batch\":2}"};
    create(c, "a", MOMENTUM ",\"dtype\":\"float64\",\"seed\":3");
    create(other, "a", MOMENTUM ",\"dtype\":\"float64\",\"seed\":3");
    for (int round = 0; round < 9; round++) {
        expect_of(c, 200, "POST", "a", "/step", bodies[round % 3]);
        expect_of(other, 200, "POST", "a", "/step", bodies[round % 3]);
        if (round % 2)
            expect_of(c, 200, "POST", "a", "/backward", NULL);
        client_reopen(c);
        if (round % 2)
            expect_of(other, 200, "POST", "a", "/backward", NULL);
        assert_twins(c, "a", other, "a");
    }
    /* A reopened model is the same text, its times included. */
    char *before = text_of(c, "/models/a");
    client_reopen(c);
    char *after = text_of(c, "/models/a");
    assert_string_equal(before, after);
    free(before);
    free(after);
    client_free(other);
}

static void test_put_and_patch_outlive_a_restart(void **state)
{
    struct client *c = *state;
    create(c, "a", "");
    expect_of(c, 200, "PUT", "a", "/parameters/2.bias",
              "{\"parameters\":{\"2.bias\":{\"data\":[\"NaN\"]}}}");
    expect_of(c, 200, "PATCH", "a", "",
              "{\"optimizer\":{\"lr\":3,\"momentum\":0.5,\"nesterov\":true},"
              "\"requires_grad\":{\"0.weight\":false},\"durability\":\"power\"}");
    char *before = text_of(c, "/models/a");
    client_reopen(c);
    char *after = text_of(c, "/models/a");
    assert_string_equal(before, after);
    assert_json(expect_of(c, 200, "GET", "a", "/parameters/2.bias", NULL),
                "/parameters/2.bias/data", "[\"NaN\"]");
    free(before);
    free(after);
}

/* ---- in the background, without a journal -------------------------------------------------- */

#define NO_JOURNAL ",\"durability\":\"none\""

static void set_checkpoints(struct client *c, int64_t after_steps, int64_t after_seconds)
{
    client_close(c);
    c->config.checkpoint_steps = after_steps;
    c->config.checkpoint_seconds = after_seconds;
    client_open(c);
}

/* After a kill a model is as its last checkpoint left it, and goes on from there. */
static void test_due_is_what_a_kill_leaves(void **state)
{
    struct client *c = *state;
    set_checkpoints(c, 1000000, 0);
    create(c, "a", MOMENTUM NO_JOURNAL);
    create(c, "twin", MOMENTUM NO_JOURNAL);
    assert_false(client_run_due(c)); /* nothing has changed yet */
    steps(c, "a", 5);
    assert_true(client_run_due(c));
    assert_true(client_run_due(c)); /* finds it kept, and takes it off the list */
    assert_false(client_run_due(c));
    steps(c, "a", 2); /* not kept */
    client_kill(c);
    steps(c, "twin", 5);
    assert_twins(c, "a", c, "twin");
    steps(c, "a", 6);
    steps(c, "twin", 6);
    assert_twins(c, "a", c, "twin");
}

static void test_not_due_before_its_time(void **state)
{
    struct client *c = *state;
    set_checkpoints(c, 1000000, 3600);
    create(c, "a", NO_JOURNAL);
    steps(c, "a", 5);
    assert_false(client_run_due(c));
}

static void test_every_so_many_steps(void **state)
{
    struct client *c = *state;
    set_checkpoints(c, 10, 3600);
    create(c, "a", MOMENTUM NO_JOURNAL);
    create(c, "twin", MOMENTUM NO_JOURNAL);
    c->slice_ns = 0; /* a checkpoint is begun at the end of a slice */
    steps(c, "a", 10);
    expect_of(c, 200, "GET", "a", "/checkpoints", NULL); /* the store answers in order */
    steps(c, "a", 9);
    client_kill(c);
    steps(c, "twin", 10);
    assert_twins(c, "a", c, "twin");
}

/* Every change is due, not only a step. */
static void test_every_change_is_due(void **state)
{
    struct client *c = *state;
    set_checkpoints(c, 1000000, 0);
    create(c, "a", NO_JOURNAL);
    char *inline_batch = batch_text(1);
    struct {
        const char *method, *rest, *body;
    } changes[] = {
        {"POST", "/backward", inline_batch},
        {"POST", "/optimizer/step", NULL},
        {"POST", "/zero_grad", NULL},
        {"PATCH", "", "{\"optimizer\":{\"lr\":0.5}}"},
        {"PUT", "/parameters/2.bias", "{\"parameters\":{\"2.bias\":{\"data\":[3]}}}"},
        {"POST", "/step", inline_batch},
    };
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        expect_of(c, 200, changes[i].method, "a", changes[i].rest, changes[i].body);
        char *model = text_of(c, "/models/a"), *values = text_of(c, "/models/a/parameters"),
             *gradients = text_of(c, "/models/a/gradients");
        assert_true(client_run_due(c));
        client_kill(c);
        assert_string_equal(expect_of(c, 200, "GET", "a", "", NULL)->text, model);
        assert_string_equal(expect_of(c, 200, "GET", "a", "/parameters", NULL)->text, values);
        assert_string_equal(expect_of(c, 200, "GET", "a", "/gradients", NULL)->text, gradients);
        free(model);
        free(values);
        free(gradients);
    }
    free(inline_batch);
}

#define ROW(test) cmocka_unit_test_setup_teardown(test, client_setup, client_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ROW(test_create_list_delete),
        ROW(test_restore_bit_for_bit),
        ROW(test_restore_before_momentum),
        ROW(test_restore_forward),
        ROW(test_restored_is_ready),
        ROW(test_restart_goes_on),
        ROW(test_put_and_patch_outlive_a_restart),
        ROW(test_due_is_what_a_kill_leaves),
        ROW(test_not_due_before_its_time),
        ROW(test_every_so_many_steps),
        ROW(test_every_change_is_due),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
