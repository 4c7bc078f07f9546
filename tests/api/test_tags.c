/* What a request may say of the state it expects, and what an answer says of the state it shows:
 * If-Match, ETag, X-State-Digest; also under an Idempotency-Key. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/api/twins.h"

#define MOMENTUM ",\"optimizer\":{\"type\":\"sgd\",\"lr\":0.05,\"momentum\":0.9}"
#define SMALL    "{\"inputs\":[[0.5,-1],[2,0.25]],\"targets\":[[1],[-0.5]]}"

static void create(struct client *c, const char *id)
{
    create_net(c, id, MOMENTUM);
    for (int k = 1; k <= 3; k++)
        push_batch(c, id, k);
}

static const struct reply *ask_if(struct client *c, const char *method, const char *target,
                                  const char *body, const char *tag)
{
    return ask_headed(
        c, &(struct request){
               .method = method, .target = target, .body = body, .header = {"If-Match", tag}});
}

/* ---- If-Match ------------------------------------------------------------------------------ */

static void test_what_matches(void **state)
{
    static const struct {
        const char *tag;
        int status; /* of a model at step 12 */
    } rows[] = {
        {"\"step-12\"", 200},
        {"*", 200},
        {" \"step-12\" ", 200},
        {"\"step-1\", \"step-12\"", 200},
        {"\"step-12\",\"step-1\"", 200},
        {"\"x\" ,\t\"step-12\"", 200},
        {"\"step-1\", *", 200},
        {"\"step-11\"", 412},
        {"\"step-1\"", 412},
        {"\"step-2\"", 412},
        {"\"step-120\"", 412},
        {"\"step-012\"", 412},
        {"\"step-+12\"", 412},
        {"\"step- 12\"", 412},
        {"\"STEP-12\"", 412},
        {"W/\"step-12\"", 412}, /* If-Match compares strongly */
        {"step-12", 412},
        {"\"step-12", 412},
        {"step-12\"", 412},
        {"12", 412},
        {"\"\"", 412},
        {",", 412},
        {"**", 412},
        {"\"step-1\", \"step-2\", \"step-3\"", 412},
        {"", 400},
    };
    static const char *const reads[] = {"",         "/parameters", "/gradients",  "/losses",
                                        "/batches", "/graph",      "/checkpoints"};
    struct client *c = *state;
    create(c, "a");
    expect_of(c, 200, "POST", "a", "/step", "{\"steps\":12}");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct reply *r = ask_if(c, "POST", "/models/a/zero_grad", NULL, rows[i].tag);
        if (r->status != rows[i].status)
            fail_msg("If-Match: %s: %d, not %d: %s", rows[i].tag, r->status, rows[i].status,
                     r->text);
        if (r->status == 412)
            assert_problem(r, 412, "precondition-failed", "");
        for (size_t k = 0; k < sizeof reads / sizeof *reads; k++) {
            char target[64];
            snprintf(target, sizeof target, "/models/a%s", reads[k]);
            assert_int_equal(ask_if(c, "GET", target, NULL, rows[i].tag)->status, rows[i].status);
        }
    }
    char longest[200];
    memset(longest, ' ', sizeof longest);
    longest[127] = '\0';
    memcpy(longest, "\"step-12\"", 9);
    assert_int_equal(ask_if(c, "GET", "/models/a", NULL, longest)->status, 200);
    longest[127] = ' ';
    longest[128] = '\0';
    assert_int_equal(ask_if(c, "GET", "/models/a", NULL, longest)->status, 400);
}

/* Every change is refused that was meant for another step, and has no effect. */
static void test_every_change_asks(void **state)
{
    static const struct deed deeds[] = {
        {"POST", "/step", NULL, 200},
        {"POST", "/step", SMALL, 200},
        {"POST", "/backward", NULL, 200},
        {"POST", "/optimizer/step", NULL, 200},
        {"POST", "/zero_grad", NULL, 200},
        {"PATCH", "", "{\"optimizer\":{\"lr\":0.5}}", 200},
        {"PUT", "/parameters/2.bias", "{\"parameters\":{\"2.bias\":{\"data\":[1]}}}", 200},
        {"POST", "/batches", SMALL, 201},
        {"DELETE", "/batches/1", NULL, 204},
        {"POST", "/checkpoints", NULL, 201},
        {"POST", "/checkpoints/1/restore", NULL, 200},
        {"POST", "/restore", "{\"step\":1}", 200},
        {"POST", "/fork", "{\"id\":\"b\"}", 201},
        {"DELETE", "/checkpoints/1", NULL, 204},
        {"POST", "/forward", "{\"inputs\":[[1,2]]}", 200},
        {"DELETE", "", NULL, 204},
    };
    struct client *c = *state;
    create(c, "a");
    expect_of(c, 200, "POST", "a", "/step", "{\"steps\":2}");
    for (size_t i = 0; i < sizeof deeds / sizeof *deeds; i++) {
        char target[64], right[32], wrong[32];
        int step = (int)number_at(expect_of(c, 200, "GET", "a", "", NULL), "/step");
        snprintf(target, sizeof target, "/models/a%s", deeds[i].rest);
        snprintf(right, sizeof right, "\"step-%d\"", step);
        snprintf(wrong, sizeof wrong, "\"step-%d\"", step + 1);
        char *before = text_of(c, "/models/a"), *values = text_of(c, "/models/a/parameters");
        assert_problem(ask_if(c, deeds[i].method, target, deeds[i].body, wrong), 412,
                       "precondition-failed", "");
        assert_string_equal(expect_of(c, 200, "GET", "a", "", NULL)->text, before);
        assert_string_equal(expect_of(c, 200, "GET", "a", "/parameters", NULL)->text, values);
        assert_int_equal(ask_if(c, deeds[i].method, target, deeds[i].body, right)->status,
                         deeds[i].status);
        free(before);
        free(values);
    }
}

static void test_where_there_is_no_model(void **state)
{
    struct client *c = *state;
    const char *net = "{\"id\":\"a\",\"loss\":\"mse\",\"layers\":[{\"type\":\"linear\","
                      "\"in_features\":1,\"out_features\":1}]}";
    assert_problem(ask_if(c, "POST", "/models", net, "*"), 412, "precondition-failed", "");
    assert_problem(ask_if(c, "POST", "/models", net, "\"step-0\""), 412, "precondition-failed", "");
    expect(c, 404, "GET", "/models/a", NULL);
    assert_int_equal(ask_if(c, "GET", "/models/a", NULL, "*")->status, 404);
    assert_int_equal(ask_if(c, "POST", "/models/a/step", NULL, "*")->status, 404);
    assert_int_equal(ask_if(c, "GET", "/models", NULL, "*")->status, 412);
}

/* A long call asks at its beginning. */
static void test_a_long_call_asks_once(void **state)
{
    struct client *c = *state;
    create(c, "a");
    c->slice_ns = 0;
    const struct reply *r = ask_if(c, "POST", "/models/a/step", "{\"steps\":5}", "\"step-0\"");
    assert_int_equal(r->status, 200);
    assert_string_equal(r->etag, "\"step-5\"");
    assert_int_equal(ask_if(c, "POST", "/models/a/step", "{\"steps\":5}", "\"step-0\"")->status,
                     412);
}

/* ---- ETag ---------------------------------------------------------------------------------- */

static void test_which_answers_are_tagged(void **state)
{
    static const struct {
        struct deed deed;
        const char *tag; /* "" none */
    } rows[] = {
        {{"GET", "", NULL, 200}, "\"step-0\""},
        {{"POST", "/step", NULL, 200}, "\"step-1\""},
        {{"POST", "/step", "{\"steps\":3}", 200}, "\"step-4\""},
        {{"POST", "/backward", NULL, 200}, "\"step-4\""},
        {{"POST", "/optimizer/step", NULL, 200}, "\"step-5\""},
        {{"POST", "/zero_grad", NULL, 200}, "\"step-5\""},
        {{"PATCH", "", "{\"optimizer\":{\"lr\":0.5}}", 200}, "\"step-5\""},
        {{"PUT", "/parameters/2.bias", "{\"parameters\":{\"2.bias\":{\"data\":[1]}}}", 200},
         "\"step-5\""},
        {{"POST", "/checkpoints", NULL, 201}, "\"step-5\""},
        {{"POST", "/step", NULL, 200}, "\"step-6\""},
        {{"POST", "/checkpoints/1/restore", NULL, 200}, "\"step-5\""},
        {{"POST", "/restore", "{\"step\":2}", 200}, "\"step-2\""},
        {{"POST", "/fork", "{\"id\":\"b\",\"step\":1}", 201}, "\"step-1\""},
        {{"POST", "/forward", "{\"inputs\":[[1,2]]}", 200}, "\"step-2\""},
        {{"GET", "/parameters", NULL, 200}, "\"step-2\""},
        {{"GET", "/parameters/2.bias", NULL, 200}, "\"step-2\""},
        {{"GET", "/gradients", NULL, 200}, "\"step-2\""},
        {{"GET", "/batches", NULL, 200}, ""},
        {{"POST", "/batches", SMALL, 201}, ""},
        {{"POST", "/step", "{\"batch\":99}", 422}, ""},
        {{"POST", "/restore", "{\"step\":9}", 422}, ""},
    };
    struct client *c = *state;
    create(c, "a");
    assert_string_equal(expect(c, 201, "POST", "/models",
                               "{\"loss\":\"mse\",\"layers\":[{\"type\":\"linear\","
                               "\"in_features\":1,\"out_features\":1}]}")
                            ->etag,
                        "\"step-0\"");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_string_equal(do_deed(c, "a", &rows[i].deed)->etag, rows[i].tag);
}

/* ---- X-State-Digest ------------------------------------------------------------------------ */

static const char *digest_of(struct client *c, const char *method, const char *target,
                             const char *body)
{
    const struct reply *r = ask_headed(c, &(struct request){.method = method,
                                                            .target = target,
                                                            .body = body,
                                                            .header = {"X-State-Digest", "1"}});
    assert_true(r->status < 300);
    return r->digest;
}

/* The same life gives the same digests, on any machine; another life others. */
static void test_digests(void **state)
{
    struct client *c = *state, *other = client_new("baseline");
    static const struct deed deeds[] = {
        {"GET", "", NULL, 200},
        {"POST", "/step", NULL, 200},
        {"POST", "/step", "{\"steps\":4}", 200},
        {"POST", "/step", SMALL, 200},
        {"PATCH", "", "{\"requires_grad\":{\"0.weight\":false}}", 200},
        {"POST", "/step", NULL, 200},
        {"POST", "/backward", NULL, 200},
        {"POST", "/optimizer/step", NULL, 200},
        {"PUT", "/parameters/2.bias", "{\"parameters\":{\"2.bias\":{\"data\":[1]}}}", 200},
        {"POST", "/restore", "{\"step\":3}", 200},
        {"POST", "/step", NULL, 200},
    };
    char before[48] = "";
    create(c, "a");
    create(other, "a");
    assert_string_equal(expect_of(c, 200, "GET", "a", "", NULL)->digest, ""); /* if asked for */
    for (size_t i = 0; i < sizeof deeds / sizeof *deeds; i++) {
        char target[64], is[48];
        snprintf(target, sizeof target, "/models/a%s", deeds[i].rest);
        snprintf(is, sizeof is, "%s", digest_of(c, deeds[i].method, target, deeds[i].body));
        assert_string_equal(digest_of(other, deeds[i].method, target, deeds[i].body), is);
        assert_string_equal(digest_of(c, "GET", "/models/a", NULL), is);
        assert_string_equal(digest_of(c, "GET", "/models/a/gradients", NULL), is);
        bool same = !strcmp(is, before); /* gradients and options are no part of it */
        assert_int_equal(same,
                         !strcmp(deeds[i].method, "PATCH") || !strcmp(deeds[i].rest, "/backward"));
        snprintf(before, sizeof before, "%s", is);
        client_kill(c);
        assert_string_equal(digest_of(c, "GET", "/models/a", NULL), is);
    }
    client_reopen(c);
    assert_string_equal(digest_of(c, "GET", "/models/a", NULL), before);
    /* a step back and forth again is the same */
    assert_non_null(strstr(before, "step-4 "));
    expect_of(c, 200, "POST", "a", "/restore", "{\"step\":2}");
    expect_of(c, 200, "POST", "a", "/step", "{\"steps\":2}");
    assert_string_equal(digest_of(c, "GET", "/models/a", NULL), before);
    client_free(other);
}

/* A fork's answer tells the digest of the fork. */
static void test_digest_of_a_fork(void **state)
{
    struct client *c = *state;
    create(c, "a");
    expect_of(c, 200, "POST", "a", "/step", "{\"steps\":2}");
    char at_2[48], fork[48];
    snprintf(at_2, sizeof at_2, "%s", digest_of(c, "GET", "/models/a", NULL));
    expect_of(c, 200, "POST", "a", "/step", "{\"steps\":2}");
    snprintf(fork, sizeof fork, "%s",
             digest_of(c, "POST", "/models/a/fork", "{\"id\":\"b\",\"step\":2}"));
    assert_string_equal(fork, at_2);
    assert_string_equal(digest_of(c, "GET", "/models/b", NULL), at_2);
}

/* ---- under a key --------------------------------------------------------------------------- */

static const struct reply *post(struct client *c, const char *key, const char *target,
                                const char *body)
{
    return ask_headed(c, &(struct request){.method = "POST",
                                           .target = target,
                                           .body = body,
                                           .header = {"Idempotency-Key", key}});
}

/* Each POST, once and twice, before a kill and after it: one effect, one answer, one tag. */
static void test_each_post_once(void **state)
{
    static const struct {
        const char *target, *body;
        int status;
        const char *tag;
    } posts[] = {
        {"/models",
         "{\"id\":\"a\",\"loss\":\"mse\",\"layers\":[{\"type\":\"linear\","
         "\"in_features\":2,\"out_features\":1}]}",
         201, "\"step-0\""},
        {"/models/a/batches", SMALL, 201, ""},
        {"/models/a/step", NULL, 200, "\"step-1\""},
        {"/models/a/step", "{\"steps\":5}", 200, "\"step-6\""},
        {"/models/a/backward", NULL, 200, "\"step-6\""},
        {"/models/a/optimizer/step", NULL, 200, "\"step-7\""},
        {"/models/a/zero_grad", NULL, 200, "\"step-7\""},
        {"/models/a/checkpoints", "{\"label\":\"x\"}", 201, "\"step-7\""},
        {"/models/a/restore", "{\"step\":3}", 200, "\"step-3\""},
        {"/models/a/checkpoints/1/restore", NULL, 200, "\"step-7\""},
        {"/models/a/fork", "{\"id\":\"b\",\"step\":5}", 201, "\"step-5\""},
        {"/models/a/fork", NULL, 201, "\"step-7\""},
        {"/models/a/step", "{\"inputs\":[[1e38,1e38]],\"targets\":[[-1e38]]}", 422, ""},
    };
    enum { POSTS = sizeof posts / sizeof *posts };
    struct client *c = *state;
    char *text[POSTS], location[POSTS][192], key[16];
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < POSTS; i++) {
            snprintf(key, sizeof key, "key-%d", i);
            const struct reply *r = post(c, key, posts[i].target, posts[i].body);
            assert_int_equal(r->status, posts[i].status);
            assert_int_equal(r->replayed, round > 0);
            assert_string_equal(r->etag, posts[i].tag);
            if (round == 0) {
                text[i] = strdup(r->text);
                snprintf(location[i], sizeof location[i], "%s", r->location);
                r = post(c, key, posts[i].target, posts[i].body);
                assert_true(r->replayed);
                if (i % 3 == 0)
                    client_kill(c);
                r = post(c, key, posts[i].target, posts[i].body);
            }
            assert_true(r->replayed);
            assert_string_equal(r->text, text[i]);
            assert_string_equal(r->location, location[i]);
            assert_string_equal(r->etag, posts[i].tag);
        }
        client_kill(c);
    }
    assert_int_equal(cJSON_GetArraySize(at(expect(c, 200, "GET", "/models", NULL), "/models")), 3);
    for (int i = 0; i < POSTS; i++)
        free(text[i]);
}

/* A repeat is answered whatever it expects: it has been done. */
static void test_a_repeat_need_not_match(void **state)
{
    struct client *c = *state;
    const struct request q = {.method = "POST",
                              .target = "/models/a/step",
                              .header = {"If-Match", "\"step-0\"", "Idempotency-Key", "k"}};
    const struct request late = {.method = "POST",
                                 .target = "/models/a/step",
                                 .header = {"Idempotency-Key", "late", "If-Match", "\"step-0\""}};
    create(c, "a");
    assert_int_equal(ask_headed(c, &q)->status, 200);
    assert_int_equal(ask_headed(c, &q)->status, 200);
    client_kill(c);
    const struct reply *r = ask_headed(c, &q);
    assert_true(r->status == 200 && r->replayed);
    assert_string_equal(r->etag, "\"step-1\"");
    /* one that was refused has not: its key is free */
    assert_int_equal(ask_headed(c, &late)->status, 412);
    expect_of(c, 200, "POST", "a", "/restore", "{\"step\":0}");
    r = ask_headed(c, &late);
    assert_true(r->status == 200 && !r->replayed);
}

#define ROW(test) cmocka_unit_test_setup_teardown(test, client_setup, client_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ROW(test_what_matches),
        ROW(test_every_change_asks),
        ROW(test_where_there_is_no_model),
        ROW(test_a_long_call_asks_once),
        ROW(test_which_answers_are_tagged),
        ROW(test_digests),
        ROW(test_digest_of_a_fork),
        ROW(test_each_post_once),
        ROW(test_a_repeat_need_not_match),
    };
    return cmocka_run_group_tests_name("tags", tests, NULL, NULL);
}
