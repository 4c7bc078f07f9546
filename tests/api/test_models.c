/* Models: create, show, list, patch, delete; and what a supervisor asks. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/api/client.h"

#define LINEAR(in, out)                                                                            \
    "{\"type\":\"linear\",\"in_features\":" #in ",\"out_features\":" #out ",\"bias\":true}"
#define SGD_DEFAULTS                                                                               \
    "{\"type\":\"sgd\",\"lr\":0.001,\"momentum\":0,\"dampening\":0,\"weight_decay\":0,"            \
    "\"nesterov\":false,\"maximize\":false}"

static void test_create_with_defaults(void **state)
{
    const struct reply *r =
        expect(*state, 201, "POST", "/models",
               "{\"id\":\"d.1_x-Y\",\"layers\":[{\"type\":\"linear\",\"in_features\":64,"
               "\"out_features\":32},{\"type\":\"relu\"},{\"type\":\"linear\",\"in_features\":32,"
               "\"out_features\":10,\"bias\":false}],\"loss\":\"cross_entropy\"}");
    assert_string_equal(r->location, "/models/d.1_x-Y");
    assert_json(r, "/id", "\"d.1_x-Y\"");
    assert_json(r, "/layers/0", LINEAR(64, 32));
    assert_json(r, "/layers/1", "{\"type\":\"relu\"}");
    assert_json(r, "/layers/2/bias", "false");
    assert_json(r, "/loss",
                "{\"type\":\"cross_entropy\",\"reduction\":\"mean\",\"ignore_index\":-100}");
    assert_json(r, "/optimizer", SGD_DEFAULTS);
    assert_json(r, "/dtype", "\"float32\"");
    assert_json(r, "/seed", "0");
    assert_json(r, "/on_divergence", "\"stop\"");
    assert_json(r, "/durability", "\"process\"");
    assert_json(r, "/parameters",
                "[{\"name\":\"0.weight\",\"shape\":[32,64],\"requires_grad\":true},"
                "{\"name\":\"0.bias\",\"shape\":[32],\"requires_grad\":true},"
                "{\"name\":\"2.weight\",\"shape\":[10,32],\"requires_grad\":true}]");
    assert_json(r, "/parameter_count", "2400");
    assert_json(r, "/step", "0");
    assert_json(r, "/loss_last", "null");
    assert_json(r, "/batches", "0");
    assert_json(r, "/state", "\"ready\"");
    assert_string_equal(string_at(r, "/created_at"), string_at(r, "/updated_at"));
    assert_int_equal(strlen(string_at(r, "/created_at")), strlen("2026-01-01T00:00:00.000Z"));
    char *posted = strdup(r->text), *shown = text_of(*state, "/models/d.1_x-Y");
    assert_string_equal(posted, shown);
    free(posted);
    free(shown);
}

static void test_create_chooses_ids(void **state)
{
    static const char body[] = "{\"layers\":[" LINEAR(1, 1) "],\"loss\":\"mse\"}";
    char first[192];
    const struct reply *r = expect(*state, 201, "POST", "/models", "%s", body);
    snprintf(first, sizeof first, "%s", r->location);
    assert_string_equal(string_at(expect(*state, 200, "GET", first, NULL), "/id"),
                        first + strlen("/models/"));
    r = expect(*state, 201, "POST", "/models", "%s", body);
    assert_string_not_equal(r->location, first);
}

/* Every member that a POST takes, as a GET showed it, under a new id. */
static char *post_again(const struct reply *shown, const char *id)
{
    static const char *const members[] = {"layers", "loss",          "optimizer", "dtype",
                                          "seed",   "on_divergence", "durability"};
    cJSON *body = cJSON_CreateObject();
    cJSON_AddStringToObject(body, "id", id);
    for (size_t i = 0; i < sizeof members / sizeof *members; i++) {
        const cJSON *item = cJSON_GetObjectItemCaseSensitive(shown->json, members[i]);
        assert_non_null(item);
        cJSON_AddItemToObject(body, members[i], cJSON_Duplicate(item, true));
    }
    char *text = json_text(body);
    cJSON_Delete(body);
    return text;
}

static void round_trip(struct client *c, const char *id, const char *spec)
{
    char copy_id[64];
    snprintf(copy_id, sizeof copy_id, "%s-copy", id);
    const struct reply *r = expect(c, 201, "POST", "/models", "{\"id\":\"%s\",%s}", id, spec);
    char *body = post_again(r, copy_id);
    const struct reply *copy = expect(c, 201, "POST", "/models", "%s", body);
    char *body_of_copy = post_again(copy, copy_id);
    assert_string_equal(body, body_of_copy);
    char *want = json_text(at(r, "/parameters")), *got = json_text(at(copy, "/parameters"));
    assert_string_equal(got, want);
    free(want);
    free(got);
    free(body);
    free(body_of_copy);
    char first[96], second[96];
    snprintf(first, sizeof first, "/models/%s/parameters", id);
    snprintf(second, sizeof second, "/models/%s/parameters", copy_id);
    assert_same_answer(c, first, c, second);
}

static void test_representation_round_trip(void **state)
{
    round_trip(
        *state, "layers",
        "\"layers\":[" LINEAR(
            3,
            4) ",{\"type\":\"leaky_relu\",\"negative_slope\":0.2},"
               "{\"type\":\"sigmoid\"},{\"type\":\"tanh\"},{\"type\":\"gelu\",\"approximate\":"
               "\"tanh\"},{\"type\":\"gelu\"},{\"type\":\"silu\"},{\"type\":\"softmax\",\"dim\":1},"
               "{\"type\":\"log_softmax\",\"dim\":null},{\"type\":\"identity\"},"
               "{\"type\":\"flatten\",\"start_dim\":1,\"end_dim\":-1}],\"loss\":\"l1\",\"seed\":7");
    round_trip(
        *state, "huber",
        "\"layers\":[" LINEAR(
            2, 2) "],\"loss\":{\"type\":\"huber\",\"delta\":0.3,"
                  "\"reduction\":\"sum\"},\"dtype\":\"float64\",\"on_divergence\":\"continue\"");
    round_trip(
        *state, "sgd",
        "\"layers\":[" LINEAR(
            2,
            2) "],\"loss\":{\"type\":\"smooth_l1\",\"beta\":2},"
               "\"optimizer\":{\"type\":\"sgd\",\"lr\":0.1,\"momentum\":0.9,\"weight_decay\":1e-5,"
               "\"nesterov\":true,\"maximize\":true},\"durability\":\"none\"");
}

static void test_seeds_differ(void **state)
{
    create_net(*state, "a", ",\"seed\":1");
    create_net(*state, "b", ",\"seed\":2");
    char *a = text_of(*state, "/models/a/parameters"), *b = text_of(*state, "/models/b/parameters");
    assert_string_not_equal(a, b);
    free(a);
    free(b);
}

/* ---- list ---------------------------------------------------------------------------------- */

static void test_list_pages(void **state)
{
    char id[8];
    assert_json(expect(*state, 200, "GET", "/models", NULL), "", "{\"models\":[]}");
    for (int i = 24; i >= 0; i--) { /* made in any order, listed in that of the ids */
        snprintf(id, sizeof id, "m%02d", i);
        create_net(*state, id, "");
    }
    const struct reply *r = expect(*state, 200, "GET", "/models", NULL);
    assert_int_equal(cJSON_GetArraySize(at(r, "/models")), 20);
    assert_string_equal(string_at(r, "/models/0/id"), "m00");
    assert_string_equal(string_at(r, "/next"), "m19");
    char *shown = text_of(*state, "/models/m03");
    cJSON *one = cJSON_Parse(shown);
    assert_true(cJSON_Compare(at(r, "/models/3"), one, true));
    cJSON_Delete(one);
    free(shown);
    r = expect(*state, 200, "GET", "/models?after=m19", NULL);
    assert_int_equal(cJSON_GetArraySize(at(r, "/models")), 5);
    assert_null(json_find(r->json, "/next"));
    r = expect(*state, 200, "GET", "/models?limit=2&after=m22", NULL);
    assert_string_equal(string_at(r, "/models/1/id"), "m24");
    assert_null(json_find(r->json, "/next")); /* exactly two were left */
    r = expect(*state, 200, "GET", "/models?after=m24", NULL);
    assert_json(r, "", "{\"models\":[]}");
}

/* ---- patch --------------------------------------------------------------------------------- */

static void test_patch_on_the_fly(void **state)
{
    struct client *c = *state;
    create_net(c, "a", ",\"optimizer\":{\"type\":\"sgd\",\"lr\":0.5,\"momentum\":0.9}");
    create_net(c, "b", ",\"optimizer\":{\"type\":\"sgd\",\"lr\":0.25,\"momentum\":0.9}");
    push_batch(c, "a", 1);
    push_batch(c, "b", 1);
    const struct reply *r = expect_of(c, 200, "PATCH", "a", "", "{\"optimizer\":{\"lr\":0.25}}");
    assert_true(number_at(r, "/optimizer/lr") == 0.25);
    assert_true(number_at(r, "/optimizer/momentum") == 0.9); /* what is not named stays */
    assert_json(expect_of(c, 200, "POST", "a", "/step", NULL), "/lr", "0.25");
    expect_of(c, 200, "POST", "b", "/step", NULL);
    assert_same_answer(c, "/models/a/parameters", c, "/models/b/parameters");
    r = expect_of(c, 200, "PATCH", "a", "",
                  "{\"on_divergence\":\"continue\",\"durability\":\"power\"}");
    assert_json(r, "/on_divergence", "\"continue\"");
    assert_json(r, "/durability", "\"power\"");
    assert_true(number_at(r, "/optimizer/lr") == 0.25);
    expect_of(c, 200, "PATCH", "a", "", "{}");
    expect_of(c, 200, "PATCH", "a", "", NULL);
    assert_json(expect_of(c, 200, "GET", "a", "", NULL), "/on_divergence", "\"continue\"");
}

/* A merge patch removes a member by null: then it has its default. */
static void test_patch_null_is_the_default(void **state)
{
    struct client *c = *state;
    create_net(c, "a",
               ",\"optimizer\":{\"type\":\"sgd\",\"lr\":0.5,\"momentum\":0.9,\"nesterov\":true},"
               "\"on_divergence\":\"continue\",\"durability\":\"none\"");
    const struct reply *r =
        expect_of(c, 200, "PATCH", "a", "", "{\"optimizer\":{\"lr\":null,\"nesterov\":null}}");
    assert_true(number_at(r, "/optimizer/lr") == 0.001);
    assert_json(r, "/optimizer/nesterov", "false");
    assert_true(number_at(r, "/optimizer/momentum") == 0.9);
    r = expect_of(c, 200, "PATCH", "a", "",
                  "{\"optimizer\":null,\"on_divergence\":null,\"durability\":null}");
    assert_json(r, "/optimizer", SGD_DEFAULTS);
    assert_json(r, "/on_divergence", "\"stop\"");
    assert_json(r, "/durability", "\"process\"");
    expect_of(c, 200, "PATCH", "a", "",
              "{\"requires_grad\":{\"0.weight\":false,\"0.bias\":false,\"2.bias\":false}}");
    r = expect_of(c, 200, "PATCH", "a", "", "{\"requires_grad\":{\"0.bias\":null}}");
    assert_json(r, "/parameters/0/requires_grad", "false");
    assert_json(r, "/parameters/1/requires_grad", "true");
    r = expect_of(c, 200, "PATCH", "a", "", "{\"requires_grad\":null}");
    assert_json(r, "/parameters/0/requires_grad", "true");
    assert_json(r, "/parameters/3/requires_grad", "true");
}

static void test_freeze(void **state)
{
    struct client *c = *state;
    create_net(c, "a", "");
    push_batch(c, "a", 1);
    char *before = text_of(c, "/models/a/parameters/0.weight");
    const struct reply *r =
        expect_of(c, 200, "PATCH", "a", "", "{\"requires_grad\":{\"0.weight\":false}}");
    assert_json(r, "/parameters/0",
                "{\"name\":\"0.weight\",\"shape\":[3,2],\"requires_grad\":false}");
    r = expect_of(c, 200, "POST", "a", "/step", "{\"steps\":5}");
    assert_true(number_at(r, "/losses/4") < number_at(r, "/losses/0"));
    r = expect_of(c, 200, "GET", "a", "/gradients", NULL);
    assert_json(r, "/gradients/0.weight", "null");
    assert_true(cJSON_IsObject(at(r, "/gradients/0.bias")));
    r = expect_of(c, 200, "GET", "a", "/parameters/0.weight", NULL);
    assert_json(r, "/parameters/0.weight/requires_grad", "false");
    cJSON *start = cJSON_Parse(before);
    assert_true(cJSON_Compare(json_find(start, "/parameters/0.weight/data"),
                              at(r, "/parameters/0.weight/data"), true));
    cJSON_Delete(start);
    free(before);
}

/* ---- delete -------------------------------------------------------------------------------- */

static void test_delete(void **state)
{
    struct client *c = *state;
    create_net(c, "a", "");
    create_net(c, "b", "");
    push_batch(c, "a", 1);
    push_batch(c, "b", 1);
    expect_of(c, 200, "POST", "a", "/step", NULL);
    expect_of(c, 201, "POST", "a", "/checkpoints", NULL);
    assert_string_equal(expect_of(c, 204, "DELETE", "a", "", NULL)->text, "");
    assert_problem(ask(c, "GET", "/models/a", NULL), 404, "not-found", "");
    assert_problem(ask(c, "DELETE", "/models/a", NULL), 404, "not-found", "");
    assert_problem(ask(c, "POST", "/models/a/step", NULL), 404, "not-found", "");
    expect_of(c, 200, "POST", "b", "/step", NULL);
    create_net(c, "a", ""); /* a new one under the old id has nothing of the old one */
    const struct reply *r = expect_of(c, 200, "GET", "a", "", NULL);
    assert_json(r, "/batches", "0");
    assert_json(r, "/step", "0");
    assert_json(expect_of(c, 200, "GET", "a", "/checkpoints", NULL), "/checkpoints", "[]");
    client_reopen(c);
    assert_json(expect_of(c, 200, "GET", "a", "", NULL), "/step", "0");
    expect_of(c, 204, "DELETE", "a", "", NULL);
    client_reopen(c);
    assert_problem(ask(c, "GET", "/models/a", NULL), 404, "not-found", "");
    assert_json(expect_of(c, 200, "GET", "b", "", NULL), "/step", "1");
}

/* ---- operations ---------------------------------------------------------------------------- */

static void test_health(void **state)
{
    struct client *c = *state;
    assert_json(expect(c, 200, "GET", "/healthz", NULL), "", "{\"status\":\"alive\"}");
    assert_json(expect(c, 200, "GET", "/readyz", NULL), "", "{\"status\":\"ready\"}");
    assert_int_equal(ask(c, "HEAD", "/models", NULL)->status, 200);
    api_drain(c->api);
    const struct reply *r = ask(c, "GET", "/readyz", NULL);
    assert_problem(r, 503, "unavailable", "");
    assert_string_equal(r->retry_after, "1");
    assert_json(expect(c, 200, "GET", "/healthz", NULL), "", "{\"status\":\"alive\"}");
}

static void test_request_ids(void **state)
{
    struct client *c = *state;
    struct call *one = call_new(c->api), *other = call_new(c->api);
    assert_string_not_equal(call_request_id(one), call_request_id(other));
    assert_true(call_target(one, "GET", "/healthz"));
    assert_true(call_header(one, "x-request-id", "abc-1.2_3"));
    assert_string_equal(call_request_id(one), "abc-1.2_3");
    assert_false(call_header(one, "X-Request-Id", "two words"));
    assert_int_equal(call_answer(one)->status, 400);
    call_free(one);
    assert_true(call_target(other, "GET", "/healthz"));
    call_refuse(other, ERR_BUSY, 7, "%d are waiting", 9);
    assert_int_equal(call_answer(other)->status, 429);
    assert_non_null(strstr(call_answer(other)->body, "9 are waiting"));
    call_free(other);
}

#define ROW(test) cmocka_unit_test_setup_teardown(test, client_setup, client_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ROW(test_create_with_defaults),
        ROW(test_create_chooses_ids),
        ROW(test_representation_round_trip),
        ROW(test_seeds_differ),
        ROW(test_list_pages),
        ROW(test_patch_on_the_fly),
        ROW(test_patch_null_is_the_default),
        ROW(test_freeze),
        ROW(test_delete),
        ROW(test_health),
        ROW(test_request_ids),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
