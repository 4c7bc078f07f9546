/* Batches: push, list, show, delete; their bounds; and which one a step takes. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/api/client.h"

static int64_t batch_of_step(struct client *c)
{
    return (int64_t)number_at(expect_of(c, 200, "POST", "a", "/step", NULL), "/batch");
}

static void test_push_and_show(void **state)
{
    struct client *c = *state;
    create_net(c, "a", "");
    const struct reply *r = expect_of(c, 201, "POST", "a", "/batches",
                                      "{\"inputs\":[[1,2.5],[-3,0.1]],\"targets\":[[0.5],[1e-3]]}");
    assert_string_equal(r->location, "/models/a/batches/1");
    /* x and y, each on a boundary of 64 bytes */
    assert_json(r, "",
                "{\"batch\":1,\"rows\":2,\"input_shape\":[2,2],\"target_shape\":[2,1],"
                "\"bytes\":72}");
    r = expect(c, 200, "GET", "/models/a/batches/1", NULL);
    assert_string_equal(r->text, "{\"batch\":1,\"rows\":2,\"input_shape\":[2,2],\"target_shape\":"
                                 "[2,1],\"bytes\":72,\"inputs\":[[1,2.5],[-3,0.1]],\"targets\":"
                                 "[[0.5],[0.001]]}");
    char *before = text_of(c, "/models/a/batches/1");
    client_reopen(c);
    char *after = text_of(c, "/models/a/batches/1");
    assert_string_equal(before, after);
    free(before);
    free(after);
}

static void test_classes(void **state)
{
    struct client *c = *state;
    expect(c, 201, "POST", "/models",
           "{\"id\":\"k\",\"layers\":[{\"type\":\"linear\",\"in_features\":2,\"out_features\":3}],"
           "\"loss\":\"cross_entropy\"}");
    const struct reply *r =
        expect_of(c, 201, "POST", "k", "/batches", "{\"inputs\":[[1,2],[3,4]],\"targets\":[2,0]}");
    assert_json(r, "/target_shape", "[2]");
    assert_json(expect_of(c, 200, "GET", "k", "/batches/1", NULL), "/targets", "[2,0]");
}

static void test_list_pages(void **state)
{
    struct client *c = *state;
    create_net(c, "a", "");
    assert_json(expect_of(c, 200, "GET", "a", "/batches", NULL), "", "{\"batches\":[]}");
    for (int k = 1; k <= 23; k++)
        push_batch(c, "a", k);
    expect_of(c, 204, "DELETE", "a", "/batches/2", NULL);
    const struct reply *r = expect_of(c, 200, "GET", "a", "/batches", NULL);
    assert_int_equal(cJSON_GetArraySize(at(r, "/batches")), 20);
    assert_json(r, "/batches/1/batch", "3");
    assert_json(r, "/next", "21");
    r = expect_of(c, 200, "GET", "a", "/batches?after=21", NULL);
    assert_int_equal(cJSON_GetArraySize(at(r, "/batches")), 2);
    assert_null(json_find(r->json, "/next"));
    r = expect_of(c, 200, "GET", "a", "/batches?limit=1&after=1", NULL);
    assert_json(r, "/batches/0/batch", "3");
    assert_json(r, "/next", "3");
    assert_json(expect_of(c, 200, "GET", "a", "", NULL), "/batches", "22");
}

/* In turn, in the order of their numbers, round and round; a deleted one is left out. */
static void test_turn(void **state)
{
    struct client *c = *state;
    create_net(c, "a", "");
    for (int k = 1; k <= 3; k++)
        push_batch(c, "a", k);
    static const int64_t first[] = {1, 2, 3, 1, 2};
    for (int i = 0; i < 5; i++)
        assert_int_equal(batch_of_step(c), first[i]);
    assert_json(expect_of(c, 200, "POST", "a", "/step", "{\"batch\":1}"), "/batch", "1");
    assert_int_equal(batch_of_step(c), 3); /* by number does not move the turn */
    char *inline_batch = batch_text(9);
    assert_json(expect_of(c, 200, "POST", "a", "/step", inline_batch), "/batch", "null");
    free(inline_batch);
    expect_of(c, 204, "DELETE", "a", "/batches/1", NULL);
    push_batch(c, "a", 4);
    static const int64_t then[] = {4, 2, 3, 4, 2};
    for (int i = 0; i < 5; i++)
        assert_int_equal(batch_of_step(c), then[i]);
    expect_of(c, 204, "DELETE", "a", "/batches/2", NULL); /* the one that was used last */
    assert_int_equal(batch_of_step(c), 3);
    client_reopen(c);
    assert_int_equal(batch_of_step(c), 4); /* the turn outlives a restart */
    /* backward takes its turn too */
    assert_json(expect_of(c, 200, "POST", "a", "/backward", NULL), "/batch", "3");
    assert_int_equal(batch_of_step(c), 4);
}

/* A number is never used again, also not after a restart. */
static void test_numbers_are_not_reused(void **state)
{
    struct client *c = *state;
    create_net(c, "a", "");
    push_batch(c, "a", 1);
    push_batch(c, "a", 2);
    expect_of(c, 204, "DELETE", "a", "/batches/2", NULL);
    assert_problem(ask(c, "GET", "/models/a/batches/2", NULL), 404, "not-found", "");
    assert_problem(ask(c, "DELETE", "/models/a/batches/2", NULL), 404, "not-found", "");
    client_reopen(c);
    char *text = batch_text(3);
    assert_json(expect_of(c, 201, "POST", "a", "/batches", text), "/batch", "3");
    free(text);
}

static void test_bounds(void **state)
{
    struct client *c = *state;
    char *text = batch_text(1);
    client_close(c);
    c->config.max_batches = 3;
    client_open(c);
    create_net(c, "a", "");
    for (int k = 1; k <= 3; k++)
        push_batch(c, "a", k);
    assert_problem(ask(c, "POST", "/models/a/batches", "%s", text), 422, "invalid-argument", "");
    expect_of(c, 204, "DELETE", "a", "/batches/1", NULL);
    push_batch(c, "a", 4);
    client_close(c);
    c->config.max_batches = 100;
    c->config.max_batch_bytes = 4 * 80; /* 4 rows of 2 and 1: 64 + 16 bytes */
    client_open(c);
    push_batch(c, "a", 5);
    const struct reply *r = ask(c, "POST", "/models/a/batches", "%s", text);
    assert_problem(r, 422, "invalid-argument", "");
    assert_non_null(strstr(string_at(r, "/detail"), "320 bytes"));
    assert_json(expect_of(c, 200, "GET", "a", "", NULL), "/batches", "4");
    expect_of(c, 204, "DELETE", "a", "/batches/5", NULL);
    push_batch(c, "a", 6);
    free(text);
}

/* What running a batch would take is known before anything is allocated for it. */
static void test_activations_are_bounded(void **state)
{
    struct client *c = *state;
    client_close(c);
    c->config.max_model_bytes = 4096;
    client_open(c);
    expect(
        c, 201, "POST", "/models",
        "{\"id\":\"w\",\"layers\":[{\"type\":\"linear\",\"in_features\":1,\"out_features\":500}],"
        "\"loss\":\"mse\"}");
    expect_of(c, 200, "POST", "w", "/forward", "{\"inputs\":[[1],[2]]}");
    const struct reply *r = ask(c, "POST", "/models/w/forward", "{\"inputs\":[[1],[2],[3]]}");
    assert_problem(r, 422, "invalid-argument", "/inputs");
    assert_non_null(strstr(string_at(r, "/detail"), "3 rows would take more than 4096 bytes"));
}

#define ROW(test) cmocka_unit_test_setup_teardown(test, client_setup, client_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ROW(test_push_and_show),
        ROW(test_classes),
        ROW(test_list_pages),
        ROW(test_turn),
        ROW(test_numbers_are_not_reused),
        ROW(test_bounds),
        ROW(test_activations_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
