/* Idempotency-Key: one effect for one key, also across a crash. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/api/client.h"

struct said {
    int status;
    bool replayed;
    char location[128];
    char body[4096];
};

static struct call *start(struct client *c, const char *key, const char *target, const char *body)
{
    struct call *call = call_new(c->api);
    assert_non_null(call);
    assert_true(call_target(call, "POST", target));
    assert_true(call_header(call, "Idempotency-Key", key));
    assert_true(call_header(call, "Content-Type", "application/json"));
    assert_true(call_admit(call, (int64_t)strlen(body)));
    if (body[0])
        assert_true(call_body(call, body, strlen(body)));
    return call;
}

static struct said finish(struct call *call)
{
    const struct answer *a = call_answer(call);
    struct said s = {.status = a->status};
    assert_true(a->bytes < sizeof s.body);
    memcpy(s.body, a->body, a->bytes);
    for (const char *const *h = a->header; *h; h += 2) {
        if (!strcmp(h[0], "Location"))
            snprintf(s.location, sizeof s.location, "%s", h[1]);
        s.replayed = s.replayed || !strcmp(h[0], "Idempotent-Replayed");
    }
    call_free(call);
    return s;
}

static struct said post(struct client *c, const char *key, const char *target, const char *body)
{
    struct call *call = start(c, key, target, body);
    while (!client_work(call, c->scratch, c->slice_ns))
        continue;
    return finish(call);
}

static void assert_again(const struct said *first, const struct said *again)
{
    assert_false(first->replayed);
    assert_true(again->replayed);
    assert_int_equal(first->status, again->status);
    assert_string_equal(first->location, again->location);
    assert_string_equal(first->body, again->body);
}

static int step_of(struct client *c, const char *id)
{
    char target[100];
    snprintf(target, sizeof target, "/models/%s", id);
    return (int)number_at(expect(c, 200, "GET", target, NULL), "/step");
}

#define NET                                                                                        \
    "{\"id\":\"net\",\"loss\":\"mse\",\"layers\":"                                                 \
    "[{\"type\":\"linear\",\"in_features\":1,\"out_features\":1}]}"
#define BATCH "{\"inputs\":[[1],[2]],\"targets\":[[1],[3]]}"

static void every_post_has_one_effect(void **state)
{
    static const struct {
        const char *target, *body;
        int status;
    } posts[] = {
        {"/models", NET, 201},
        {"/models/net/batches", BATCH, 201},
        {"/models/net/step", "{\"steps\":3}", 200},
        {"/models/net/backward", "", 200},
        {"/models/net/optimizer/step", "", 200},
        {"/models/net/zero_grad", "", 200},
        {"/models/net/checkpoints", "{\"label\":\"x\"}", 201},
        {"/models/net/checkpoints/1/restore", "", 200},
        {"/models/net/forward", "{\"inputs\":[[1]]}", 200},
    };
    struct client *c = *state;
    char key[16];
    struct said first[9], again;
    for (int i = 0; i < 9; i++) {
        snprintf(key, sizeof key, "key-%d", i);
        first[i] = post(c, key, posts[i].target, posts[i].body);
        assert_int_equal(first[i].status, posts[i].status);
        again = post(c, key, posts[i].target, posts[i].body);
        assert_again(&first[i], &again);
    }
    assert_int_equal(step_of(c, "net"), 4);
    client_reopen(c);
    for (int i = 0; i < 8; i++) { /* a forward has no effect: it may be forgotten */
        snprintf(key, sizeof key, "key-%d", i);
        again = post(c, key, posts[i].target, posts[i].body);
        assert_again(&first[i], &again);
    }
    assert_int_equal(step_of(c, "net"), 4);
    assert_json(expect(c, 200, "GET", "/models/net/batches", NULL), "/batches/0/batch", "1");
    assert_int_equal(
        cJSON_GetArraySize(at(expect(c, 200, "GET", "/models/net/batches", NULL), "/batches")), 1);
}

#define NO_JOURNAL "{\"durability\":\"none\"}"

/* After a kill a key and its effect are both there, … */
static void key_and_effect_share_their_fate(void **state)
{
    struct client *c = *state;
    post(c, "make", "/models", NET);
    post(c, "push", "/models/net/batches", BATCH);
    struct said first = post(c, "kept", "/models/net/step", "{\"steps\":5}");
    client_kill(c);
    struct said again = post(c, "kept", "/models/net/step", "{\"steps\":5}");
    assert_again(&first, &again);
    assert_int_equal(step_of(c, "net"), 5);
    assert_true(post(c, "push", "/models/net/batches", BATCH).replayed);
    assert_true(post(c, "make", "/models", NET).replayed);
}

/* … or neither, where only a checkpoint keeps the effect. */
static void without_a_journal_too(void **state)
{
    struct client *c = *state;
    client_close(c);
    c->config.checkpoint_seconds = 0;
    client_open(c);
    post(c, "make", "/models", NET);
    post(c, "push", "/models/net/batches", BATCH);
    expect(c, 200, "PATCH", "/models/net", NO_JOURNAL);
    struct said kept = post(c, "kept", "/models/net/step", "{\"steps\":5}");
    assert_true(client_run_due(c));
    struct said lost = post(c, "lost", "/models/net/step", "{\"steps\":2}");
    assert_int_equal(step_of(c, "net"), 7);
    client_kill(c);
    assert_int_equal(step_of(c, "net"), 5);
    struct said again = post(c, "kept", "/models/net/step", "{\"steps\":5}");
    assert_again(&kept, &again);
    assert_int_equal(step_of(c, "net"), 5);
    again = post(c, "lost", "/models/net/step", "{\"steps\":2}");
    assert_false(again.replayed);
    assert_string_equal(again.body, lost.body);
    assert_int_equal(step_of(c, "net"), 7);
    assert_true(post(c, "push", "/models/net/batches", BATCH).replayed);
    assert_true(post(c, "make", "/models", NET).replayed);
}

static void another_request_is_refused(void **state)
{
    struct client *c = *state;
    post(c, "a", "/models", NET);
    assert_int_equal(post(c, "a", "/models/net/batches", BATCH).status, 422);
    assert_int_equal(post(c, "a", "/models", BATCH).status, 422);
    client_reopen(c);
    struct said s = post(c, "a", "/models/net/batches", BATCH);
    assert_int_equal(s.status, 422);
    assert_non_null(strstr(s.body, "Idempotency-Key was used for another request"));
}

static void in_flight_is_a_conflict(void **state)
{
    struct client *c = *state;
    post(c, "make", "/models", NET);
    post(c, "push", "/models/net/batches", BATCH);
    struct call *running = start(c, "run", "/models/net/step", "{\"steps\":3}");
    assert_false(client_work(running, c->scratch, 0));
    assert_int_equal(post(c, "run", "/models/net/step", "{\"steps\":3}").status, 409);
    while (!client_work(running, c->scratch, 0))
        continue;
    struct said first = finish(running),
                again = post(c, "run", "/models/net/step", "{\"steps\":3}");
    assert_again(&first, &again);
    assert_int_equal(step_of(c, "net"), 3);
}

/* An error that changed nothing frees its key; one that came after some steps keeps it. */
static void errors(void **state)
{
    struct client *c = *state;
    assert_int_equal(post(c, "e", "/models/net/step", "").status, 404);
    post(c, "make", "/models", NET);
    assert_int_equal(post(c, "e", "/models/net/step", "").status, 409);
    post(c, "push", "/models/net/batches", BATCH);
    struct said s = post(c, "e", "/models/net/step", "");
    assert_int_equal(s.status, 200);
    assert_false(s.replayed);
    expect(c, 200, "PATCH", "/models/net", "{\"optimizer\":{\"lr\":1000}}");
    struct said first = post(c, "far", "/models/net/step", "{\"steps\":1000}");
    assert_int_equal(first.status, 422);
    assert_non_null(strstr(first.body, "steps_done"));
    int step = step_of(c, "net");
    client_reopen(c);
    struct said again = post(c, "far", "/models/net/step", "{\"steps\":1000}");
    assert_again(&first, &again);
    assert_int_equal(step_of(c, "net"), step);
}

/* What its slices did is kept, and so is how far they got: a repeat is told, and does nothing. */
static void a_call_that_never_ends_keeps_its_slices(void **state)
{
    struct client *c = *state;
    post(c, "make", "/models", NET);
    post(c, "push", "/models/net/batches", BATCH);
    struct call *running = start(c, "run", "/models/net/step", "{\"steps\":3}");
    assert_false(client_work(running, c->scratch, 0));
    assert_false(client_work(running, c->scratch, 0));
    call_free(running);
    for (int i = 0; i < 2; i++) {
        struct said again = post(c, "run", "/models/net/step", "{\"steps\":3}");
        assert_true(again.replayed);
        assert_int_equal(again.status, 503);
        assert_non_null(strstr(again.body, "\"steps_done\":2,\"step\":2"));
        assert_int_equal(step_of(c, "net"), 2);
        client_kill(c);
    }
    struct said other = post(c, "run", "/models/net/step", "{\"steps\":1}");
    assert_int_equal(other.status, 422);
}

/* Nothing was kept of it, so its key is free. */
static void before_its_first_slice_a_call_frees_its_key(void **state)
{
    struct client *c = *state;
    post(c, "make", "/models", NET);
    post(c, "push", "/models/net/batches", BATCH);
    call_free(start(c, "run", "/models/net/step", "{\"steps\":3}"));
    struct said said = post(c, "run", "/models/net/step", "{\"steps\":3}");
    assert_int_equal(said.status, 200);
    assert_false(said.replayed);
}

static void a_key_outlives_its_model(void **state)
{
    struct client *c = *state;
    struct said first = post(c, "make", "/models", NET);
    post(c, "push", "/models/net/batches", BATCH);
    struct said step = post(c, "step", "/models/net/step", "");
    expect(c, 204, "DELETE", "/models/net", NULL);
    struct said again = post(c, "make", "/models", NET);
    assert_again(&first, &again);
    expect(c, 404, "GET", "/models/net", NULL);
    again = post(c, "step", "/models/net/step", "");
    assert_again(&step, &again);
}

static void odd_keys(void **state)
{
    struct client *c = *state;
    char longest[300];
    memset(longest, 'k', sizeof longest);
    longest[256] = '\0';
    static const char *const bad[] = {"", "a b", "\x7f", "\xc3\xa4"};
    for (size_t i = 0; i <= sizeof bad / sizeof *bad; i++) {
        struct call *call = call_new(c->api);
        assert_true(call_target(call, "POST", "/models"));
        assert_false(call_header(call, "Idempotency-Key", i ? bad[i - 1] : longest));
        assert_int_equal(call_answer(call)->status, 400);
        call_free(call);
    }
    longest[255] = '\0';
    struct said first = post(c, longest, "/models", NET), again = post(c, longest, "/models", NET);
    assert_again(&first, &again);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, client_setup, client_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(every_post_has_one_effect),
        TEST(key_and_effect_share_their_fate),
        TEST(without_a_journal_too),
        TEST(another_request_is_refused),
        TEST(in_flight_is_a_conflict),
        TEST(errors),
        TEST(a_call_that_never_ends_keeps_its_slices),
        TEST(before_its_first_slice_a_call_frees_its_key),
        TEST(a_key_outlives_its_model),
        TEST(odd_keys),
    };
    return cmocka_run_group_tests_name("idempotency", tests, NULL, NULL);
}
