/* GET /models/{id}/graph: the nodes and edges that PyTorch has for the same step. */
#include <stdlib.h>
#include <string.h>

#include "tests/api/client.h"

static const struct reply *graph_of(struct client *c, const char *id)
{
    return expect_of(c, 200, "GET", id, "/graph", NULL);
}

static void assert_names(const struct reply *r, const char *const *names)
{
    const cJSON *node = at(r, "/nodes")->child;
    for (; *names; names++, node = node->next) {
        assert_non_null(node);
        assert_string_equal(cJSON_GetObjectItem(node, "name")->valuestring, *names);
    }
    assert_null(node);
}

/* Linear(2, 3), Tanh, Linear(3, 1) and mse over 4 rows. */
static void test_a_step(void **state)
{
    struct client *c = *state;
    create_net(c, "a", "");
    push_batch(c, "a", 1);
    const struct reply *r = graph_of(c, "a");
    assert_names(r, (const char *const[]){"MseLossBackward0", "AddmmBackward0", "AccumulateGrad",
                                          "TBackward0", "AccumulateGrad", "TanhBackward0",
                                          "AddmmBackward0", "AccumulateGrad", "TBackward0",
                                          "AccumulateGrad", NULL});
    assert_json(r, "/roots", "{\"loss\":0}");
    assert_json(r, "/nodes/0",
                "{\"id\":0,\"name\":\"MseLossBackward0\",\"shape\":[],\"dtype\":\"float32\","
                "\"saved\":{\"self\":{\"shape\":[4,1],\"dtype\":\"float32\"},"
                "\"target\":{\"shape\":[4,1],\"dtype\":\"float32\"}}}");
    assert_json(r, "/nodes/6/saved", "{\"mat1\":{\"shape\":[4,2],\"dtype\":\"float32\"}}");
    assert_json(r, "/nodes/5/saved", "{\"result\":{\"shape\":[4,3],\"dtype\":\"float32\"}}");
    assert_json(r, "/nodes/9",
                "{\"id\":9,\"name\":\"AccumulateGrad\",\"shape\":[3,2],\"dtype\":\"float32\","
                "\"variable\":\"0.weight\"}");
    assert_json(r, "/edges",
                "[{\"from\":0,\"to\":1,\"input\":0},{\"from\":1,\"to\":2,\"input\":0},"
                "{\"from\":1,\"to\":5,\"input\":1},{\"from\":1,\"to\":3,\"input\":2},"
                "{\"from\":3,\"to\":4,\"input\":0},{\"from\":5,\"to\":6,\"input\":0},"
                "{\"from\":6,\"to\":7,\"input\":0},{\"from\":6,\"to\":8,\"input\":2},"
                "{\"from\":8,\"to\":9,\"input\":0}]");
}

/* Without a batch the first layer tells the inputs; a frozen parameter is no leaf. */
static void test_no_batch(void **state)
{
    struct client *c = *state;
    create_net(c, "a", "");
    expect_of(c, 200, "PATCH", "a", "", "{\"requires_grad\":{\"0.weight\":false}}");
    const struct reply *r = graph_of(c, "a");
    assert_json(r, "/nodes/0/saved/self/shape", "[1,1]");
    assert_null(strstr(r->text, "0.weight"));
    assert_non_null(strstr(r->text, "0.bias"));
    expect_of(c, 200, "PATCH", "a", "",
              "{\"requires_grad\":{\"0.bias\":false,\"2.weight\":false,\"2.bias\":false}}");
    r = graph_of(c, "a");
    assert_json(r, "", "{\"nodes\":[],\"edges\":[],\"roots\":{}}");
}

static void test_it_takes_a_batch_to_tell(void **state)
{
    struct client *c = *state;
    expect(c, 201, "POST", "/models",
           "{\"id\":\"r\",\"layers\":[{\"type\":\"relu\"}],"
           "\"loss\":\"mse\"}");
    assert_problem(ask(c, "GET", "/models/r/graph", NULL), 409, "conflict", "");
    expect(c, 201, "POST", "/models",
           "{\"id\":\"s\",\"layers\":[{\"type\":\"softmax\",\"dim\":2},{\"type\":\"linear\","
           "\"in_features\":2,\"out_features\":2}],\"loss\":\"mse\"}");
    const struct reply *r = ask(c, "GET", "/models/s/graph", NULL);
    assert_problem(r, 409, "conflict", "");
    assert_non_null(strstr(string_at(r, "/detail"), "Dimension out of range"));
    assert_problem(ask(c, "GET", "/models/none/graph", NULL), 404, "not-found", "");
    assert_problem(ask(c, "GET", "/models/s/graph?x=1", NULL), 400, "malformed-request", "");
}

/* Looking at the graph changes nothing: not the turn of the batches, not the gradients. */
static void test_it_only_looks(void **state)
{
    struct client *c = *state, *other = client_new("auto");
    for (int i = 0; i < 2; i++) {
        struct client *one = i ? other : c;
        create_net(one, "a", "");
        push_batch(one, "a", 1);
        push_batch(one, "a", 2);
        expect_of(one, 200, "POST", "a", "/step", "{}");
        if (i)
            graph_of(one, "a");
        expect_of(one, 200, "POST", "a", "/backward", "{}");
        if (i)
            graph_of(one, "a");
    }
    assert_same_answer(c, "/models/a/gradients", other, "/models/a/gradients");
    char *mine = strdup(expect_of(c, 200, "POST", "a", "/step", "{\"steps\":3}")->text);
    assert_string_equal(expect_of(other, 200, "POST", "a", "/step", "{\"steps\":3}")->text, mine);
    free(mine);
    client_free(other);
}

#define ROW(test) cmocka_unit_test_setup_teardown(test, client_setup, client_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ROW(test_a_step),
        ROW(test_no_batch),
        ROW(test_it_takes_a_batch_to_tell),
        ROW(test_it_only_looks),
    };
    return cmocka_run_group_tests_name("model graph", tests, NULL, NULL);
}
