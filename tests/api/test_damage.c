/* A damaged past: what is served is proven, nothing is built on what is not, and a restore mends.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/api/twins.h"

#define MOMENTUM                                                                                   \
    ",\"optimizer\":{\"type\":\"sgd\",\"lr\":0.05,\"momentum\":0.9,\"weight_decay\":0.01,"         \
    "\"dampening\":0.1}"

static void create(struct client *c, const char *id, int batches)
{
    create_net(c, id, MOMENTUM);
    for (int k = 1; k <= batches; k++)
        push_batch(c, id, k);
}

static void steps(struct client *c, const char *id, int n)
{
    for (int i = 0; i < n; i++) /* a change each */
        expect_of(c, 200, "POST", id, "/step", NULL);
}

static void restore(struct client *c, const char *id, int step)
{
    char body[40];
    snprintf(body, sizeof body, "{\"step\":%d}", step);
    expect_of(c, 200, "POST", id, "/restore", body);
}

static bool has_notice(struct client *c, const char *text)
{
    char notice[API_NOTICE_BYTES];
    bool found = false;
    while (api_next_notice(c->api, notice))
        found = found || strstr(notice, text);
    return found;
}

/* ---- checkpoints --------------------------------------------------------------------------- */

#define NEWEST "(SELECT max(serial) FROM checkpoints WHERE n = 0)"

/* Two checkpoints and a tail; the twin has the same life. The other models of the file are sound.
 */
static void prepare(struct client *c)
{
    static const char *const ids[] = {"a", "twin"};
    for (int i = 0; i < 2; i++) {
        create(c, ids[i], 3);
        steps(c, ids[i], 4);
    }
    client_checkpoint(c, "a");
    for (int i = 0; i < 2; i++) {
        expect_of(c, 204, "DELETE", ids[i], "/batches/2", NULL);
        expect_of(c, 200, "PATCH", ids[i], "", "{\"optimizer\":{\"lr\":0.03}}");
        steps(c, ids[i], 3);
    }
    client_checkpoint(c, "a");
    for (int i = 0; i < 2; i++) {
        steps(c, ids[i], 2);
        expect_of(c, 200, "POST", ids[i], "/backward", NULL);
    }
}

static void assert_still_twins(struct client *c)
{
    assert_json(expect_of(c, 200, "GET", "a", "", NULL), "/state", "\"ready\"");
    assert_twins(c, "a", c, "twin");
    static const struct deed deeds[] = {{"POST", "/optimizer/step", NULL, 200},
                                        {"POST", "/step", "{\"steps\":3}", 200}};
    for (int i = 0; i < 2; i++)
        do_both(c, "a", c, "twin", &deeds[i]);
    assert_twins(c, "a", c, "twin");
}

static void test_an_older_checkpoint(void **state)
{
    static const char *const damages[] = {
        "UPDATE checkpoints SET step = 99 WHERE serial = " NEWEST,
        "UPDATE checkpoints SET seq = seq - 1 WHERE serial = " NEWEST,
        "UPDATE checkpoints SET state = '{}' WHERE serial = " NEWEST,
        "DELETE FROM sections WHERE place = 1 AND serial = " NEWEST,
        "UPDATE chunks SET data = zeroblob(52) WHERE key = (SELECT first_chunk FROM sections"
        " WHERE place = 0 AND serial = " NEWEST ")",
    };
    for (size_t i = 0; i < sizeof damages / sizeof *damages; i++) {
        struct client *c = client_new("auto");
        (void)state;
        prepare(c);
        client_damage(c, damages[i]);
        expect_of(c, 200, "GET", "a", "", NULL);
        assert_true(has_notice(c, "an older one is used"));
        assert_still_twins(c);
        client_kill(c);
        assert_twins(c, "a", c, "twin");
        client_free(c);
    }
}

/* The way to a step leads from an older checkpoint, or from the birth, if the next one is damaged.
 */
static void test_another_way(void **state)
{
    struct client *c = *state;
    create(c, "a", 3);
    create(c, "twin", 3);
    steps(c, "a", 4);
    expect_of(c, 201, "POST", "a", "/checkpoints", NULL);
    steps(c, "a", 2);
    client_checkpoint(c, "a");
    steps(c, "a", 2);
    expect_of(c, 201, "POST", "a", "/checkpoints", NULL);
    steps(c, "a", 2);
    client_damage(c, "UPDATE chunks SET data = zeroblob(52) WHERE key IN"
                     " (SELECT first_chunk FROM sections WHERE n = 2)");
    restore(c, "a", 9);
    steps(c, "twin", 9);
    assert_twins(c, "a", c, "twin");
    client_damage(c, "UPDATE chunks SET data = zeroblob(52) WHERE key IN (SELECT first_chunk FROM"
                     " sections WHERE serial < (SELECT max(serial) FROM checkpoints))");
    restore(c, "a", 7);
    expect(c, 204, "DELETE", "/models/twin", NULL);
    create(c, "twin", 3);
    steps(c, "twin", 7);
    assert_twins(c, "a", c, "twin");
    assert_problem(ask(c, "POST", "/models/a/checkpoints/1/restore", NULL), 503, "storage-failure",
                   "");
    assert_outlives_kill(c);
}

/* Without any sound checkpoint the journal leads there from the birth, as far back as it goes. */
static void test_from_the_birth(void **state)
{
    struct client *c = *state;
    static const char *const ids[] = {"a", "twin"};
    for (int i = 0; i < 2; i++) {
        create(c, ids[i], 3);
        steps(c, ids[i], 4);
        expect_of(c, 200, "POST", ids[i], "/backward", NULL);
    }
    client_checkpoint(c, "a");
    for (int i = 0; i < 2; i++)
        expect_of(c, 200, "POST", ids[i], "/backward", NULL);
    client_damage(c, "UPDATE checkpoints SET step = 99");
    assert_still_twins(c);
    assert_true(has_notice(c, "its checkpoints are damaged"));
    client_checkpoint(c, "a"); /* which lets nothing go: the other one is damaged */
    steps(c, "a", 1);
    client_damage(c, "UPDATE checkpoints SET step = 98");
    expect_of(c, 200, "GET", "a", "", NULL);
    steps(c, "twin", 1);
    assert_twins(c, "a", c, "twin");
    client_reopen(c);
    client_checkpoint(c, "a");
    steps(c, "a", 1);
    client_checkpoint(c, "a"); /* now there are two sound ones, and the beginning is gone */
    client_damage(c, "UPDATE checkpoints SET step = 97 WHERE n = 0");
    assert_problem(ask(c, "GET", "/models/a", NULL), 503, "storage-failure", "");
    expect(c, 200, "GET", "/models/twin", NULL);
}

/* A state in the place of a change: the one before it cannot take its place, but is proven. */
static void test_a_state_is_lost(void **state)
{
    struct client *c = *state;
    create(c, "a", 3);
    steps(c, "a", 4);
    char *before = text_of(c, "/models/a/parameters");
    for (int i = 0; i < 3; i++)
        expect_of(c, 200, "PUT", "a", "/parameters/2.bias",
                  "{\"parameters\":{\"2.bias\":{\"data\":[3]}}}");
    steps(c, "a", 2);
    client_damage(c, "UPDATE checkpoints SET step = 99"); /* all three */
    const struct reply *r = expect_of(c, 200, "GET", "a", "", NULL);
    assert_json(r, "/state", "\"damaged\"");
    assert_json(r, "/step", "4");
    assert_non_null(strstr(string_at(r, "/damage"), "cannot be made again"));
    assert_string_equal(expect_of(c, 200, "GET", "a", "/parameters", NULL)->text, before);
    restore(c, "a", 4);
    steps(c, "a", 1);
    assert_outlives_kill(c);
    free(before);
}

/* A restore is made again from its own checkpoint alone: without that the model is where it was
 * before, and the same restore mends it. */
static void test_a_restore_is_lost(void **state)
{
    struct client *c = *state;
    create(c, "a", 3);
    create(c, "twin", 3);
    steps(c, "a", 6);
    steps(c, "twin", 2);
    char *at_6 = text_of(c, "/models/a/parameters");
    restore(c, "a", 2);
    steps(c, "a", 1);
    client_damage(c, "UPDATE checkpoints SET step = 99");
    const struct reply *r = expect_of(c, 200, "GET", "a", "", NULL);
    assert_json(r, "/state", "\"damaged\"");
    assert_json(r, "/step", "6");
    assert_string_equal(expect_of(c, 200, "GET", "a", "/parameters", NULL)->text, at_6);
    restore(c, "a", 2);
    assert_twins(c, "a", c, "twin");
    steps(c, "a", 1);
    steps(c, "twin", 1);
    assert_outlives_kill(c);
    assert_twins(c, "a", c, "twin");
    free(at_6);
}

/* ---- changes ------------------------------------------------------------------------------- */

/* Batches 1, 2, 3: changes 1 to 3; step s: change 3 + s. */
#define RESEALED(seq)                                                                              \
    "; UPDATE journal SET seal = change_seal(model, seq, prior, kind, step, body, data)"           \
    " WHERE model = 1 AND seq = " #seq
#define BODY(seq, at, hex, behind)                                                                 \
    "UPDATE journal SET body = CAST(substr(body, 1, " #at ") || x'" hex                            \
    "' || substr(body, " #behind ") AS BLOB) WHERE model = 1 AND seq = " #seq

/* Of a life of 9 steps; what is the last that can be proven, and why. */
static const struct {
    const char *sql;
    int proven;
    const char *why;
} damages[] = {
    {"UPDATE journal SET body = zeroblob(88) WHERE model = 1 AND seq = 8", 4,
     "change 8 is damaged"},
    {"UPDATE journal SET seal = 1 WHERE model = 1 AND seq = 12", 8, "change 12 is damaged"},
    {"UPDATE journal SET seal = 1 WHERE model = 1 AND seq = 4", 0, "change 4 is damaged"},
    {"DELETE FROM journal WHERE model = 1 AND seq = 8", 4, "change 8 is missing"},
    {"DELETE FROM journal WHERE model = 1 AND seq = 12", 8, "change 12 is missing"},
    {"DELETE FROM journal WHERE model = 1 AND seq BETWEEN 6 AND 12", 2, "change 6 is missing"},
    {"UPDATE journal SET step = 3 WHERE model = 1 AND kind = 0", 9, "the end of its journal"},
    {"DELETE FROM journal WHERE model = 1 AND kind = 0", 9, "the end of its journal"},
    {"UPDATE journal SET step = 3 WHERE model = 1 AND kind = 0;"
     " DELETE FROM journal WHERE model = 1 AND seq = 12",
     8, "the end of its journal"},
    /* what only doing it again can tell */
    {BODY(8, 40, "0badcafe", 45) RESEALED(8), 4, "change 8 does not give the same parameters"},
    {BODY(12, 40, "0badcafe", 45) RESEALED(12), 8, "change 12 does not give the same parameters"},
    {BODY(8, 88, "0000803f", 93) RESEALED(8), 4, "change 8 does not give the same loss"},
    {BODY(8, 16, "02", 18) RESEALED(8), 4, "change 8 cannot be read"},
    {BODY(8, 0, "07", 2) RESEALED(8), 4, "change 8 cannot be read"},
    {BODY(8, 8, "05", 10) RESEALED(8), 4, "change 8 cannot be read"},
    {BODY(8, 24, "63", 26) RESEALED(8), 4, "change 8: its data is missing"},
    {BODY(8, 24, "0200000000000000", 33) RESEALED(8), 5, NULL}, /* the same one, by number */
    {BODY(8, 24, "0100000000000000", 33) RESEALED(8), 4, "change 8 does not give the same loss"},
    {"UPDATE journal SET body = substr(body, 1, 60) WHERE model = 1 AND seq = 8" RESEALED(8), 4,
     "change 8 is cut"},
    {"UPDATE journal SET step = 7 WHERE model = 1 AND seq = 8" RESEALED(8), 4,
     "change 8 does not give the same step"},
    {"UPDATE journal SET kind = 77 WHERE model = 1 AND seq = 8" RESEALED(8), 4,
     "change 8 cannot be made again"},
    {"UPDATE journal SET kind = 4 WHERE model = 1 AND seq = 8" RESEALED(8), 4,
     "change 8 does not give the same parameters"},
    {"UPDATE journal SET kind = 5 WHERE model = 1 AND seq = 8" RESEALED(8), 4,
     "requires_grad cannot be read"},
    {"UPDATE batches SET created_at = 5 WHERE model = 1 AND n = 2", -1, NULL},
};

static void assert_changes_refused(struct client *c)
{
    static const struct deed deeds[] = {
        {"POST", "/step", NULL, 409},
        {"POST", "/step", "{\"steps\":3}", 409},
        {"POST", "/backward", NULL, 409},
        {"POST", "/zero_grad", NULL, 409},
        {"POST", "/optimizer/step", NULL, 409},
        {"PATCH", "", "{\"optimizer\":{\"lr\":1}}", 409},
        {"PUT", "/parameters/2.bias", "{\"parameters\":{\"2.bias\":{\"data\":[1]}}}", 409},
        {"POST", "/batches", "{\"inputs\":[[1,1]],\"targets\":[[1]]}", 409},
        {"DELETE", "/batches/1", NULL, 409},
        {"POST", "/checkpoints", NULL, 409},
        {"DELETE", "/checkpoints/1", NULL, 409},
    };
    for (size_t i = 0; i < sizeof deeds / sizeof *deeds; i++)
        assert_non_null(strstr(do_deed(c, "a", &deeds[i])->text, "damaged"));
}

static void assert_reads_go_on(struct client *c)
{
    static const char *const parts[] = {"/parameters", "/parameters/2.bias", "/gradients",
                                        "/losses",     "/losses?points=2",   "/batches",
                                        "/batches/1",  "/checkpoints",       "/graph"};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        expect_of(c, 200, "GET", "a", parts[i], NULL);
    expect_of(c, 200, "POST", "a", "/forward", "{\"inputs\":[[1,2]]}");
    assert_non_null(strstr(expect(c, 200, "GET", "/models", NULL)->text, "\"state\":\"damaged\""));
}

/* The twin is where the damaged one is; then they go on together. */
static void assert_mended(struct client *c, int step)
{
    create(c, "twin", 3);
    steps(c, "twin", step);
    restore(c, "a", step);
    for (int i = 0; i < 2; i++) {
        const struct reply *r = expect_of(c, 200, "GET", "a", "", NULL);
        assert_json(r, "/state", "\"ready\"");
        assert_null(json_find(r->json, "/damage"));
        assert_twins(c, "a", c, "twin");
        static const struct deed deeds[] = {{"POST", "/step", "{\"steps\":3}", 200},
                                            {"POST", "/backward", NULL, 200}};
        for (int k = 0; k < 2; k++)
            do_both(c, "a", c, "twin", &deeds[k]);
        assert_outlives_kill(c);
        assert_twins(c, "a", c, "twin");
        client_checkpoint(c, "a");
        client_reopen(c);
    }
}

static void test_damaged_changes(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof damages / sizeof *damages; i++) {
        struct client *c = client_new("auto");
        create(c, "a", 3);
        steps(c, "a", 9);
        client_damage(c, damages[i].sql);
        if (damages[i].proven < 0) {
            assert_problem(ask(c, "GET", "/models/a", NULL), 503, "storage-failure", "");
            client_free(c);
            continue;
        }
        if (!damages[i].why) {
            assert_json(expect_of(c, 200, "GET", "a", "", NULL), "/state", "\"ready\"");
            client_free(c);
            continue;
        }
        for (int round = 0; round < 3; round++) {
            const struct reply *r = expect_of(c, 200, "GET", "a", "", NULL);
            assert_json(r, "/state", "\"damaged\"");
            assert_true(number_at(r, "/step") == damages[i].proven);
            if (!strstr(string_at(r, "/damage"), damages[i].why))
                fail_msg("%s\nnot: %s", string_at(r, "/damage"), damages[i].why);
            assert_true(has_notice(c, damages[i].why));
            assert_changes_refused(c);
            assert_reads_go_on(c);
            if (round == 0) /* neither a stop nor a checkpoint makes it sound */
                client_reopen(c);
            else
                client_kill(c);
        }
        expect_of(c, 200, "GET", "a", "", NULL);
        bool further = i % 2 && damages[i].proven > 1;
        assert_mended(c, damages[i].proven - further);
        client_free(c);
    }
}

/* The last that is proven is the twin that ran so far: also its gradients and its turn. */
static void test_the_last_proven_state(void **state)
{
    struct client *c = *state;
    static const char *const ids[] = {"a", "twin"};
    for (int i = 0; i < 2; i++) {
        create(c, ids[i], 3);
        steps(c, ids[i], 4);
        expect_of(c, 200, "POST", ids[i], "/backward", NULL);
        expect_of(c, 200, "POST", ids[i], "/backward", "{\"batch\":2}"); /* change 9 */
    }
    expect_of(c, 200, "POST", "a", "/optimizer/step", NULL); /* 10 */
    steps(c, "a", 3);
    client_damage(c, "UPDATE journal SET seal = 0 WHERE model = 1 AND seq = 10");
    assert_json(expect_of(c, 200, "GET", "a", "", NULL), "/state", "\"damaged\"");
    assert_same_answer(c, "/models/a/parameters", c, "/models/twin/parameters");
    assert_same_answer(c, "/models/a/gradients", c, "/models/twin/gradients");
    assert_same_answer(c, "/models/a/losses", c, "/models/twin/losses");
    /* a fork of it is sound, and has it all */
    expect_of(c, 201, "POST", "a", "/fork", "{\"id\":\"b\"}");
    assert_twins(c, "b", c, "twin");
    static const struct deed deeds[] = {{"POST", "/optimizer/step", NULL, 200},
                                        {"POST", "/step", "{\"steps\":3}", 200}};
    for (int k = 0; k < 2; k++)
        do_both(c, "b", c, "twin", &deeds[k]);
    client_kill(c);
    assert_twins(c, "b", c, "twin");
    assert_json(expect_of(c, 200, "GET", "a", "", NULL), "/state", "\"damaged\"");
    assert_problem(ask(c, "POST", "/models/a/restore", "{\"step\":6}"), 422, "invalid-argument",
                   "/step");
    expect(c, 204, "DELETE", "/models/a", NULL);
    client_kill(c);
    expect(c, 404, "GET", "/models/a", NULL);
    assert_twins(c, "b", c, "twin");
}

/* A batch that was deleted behind the damage is gone when the model is mended, now and later. */
static void test_batches_of_a_mended_model(void **state)
{
    struct client *c = *state;
    create(c, "a", 3);
    steps(c, "a", 4);
    expect_of(c, 204, "DELETE", "a", "/batches/2", NULL); /* change 8 */
    push_batch(c, "a", 5);
    steps(c, "a", 3);
    char *batches = text_of(c, "/models/a/batches");
    client_damage(c, "UPDATE journal SET seal = 0 WHERE model = 1 AND seq = 6");
    assert_json(expect_of(c, 200, "GET", "a", "", NULL), "/step", "2");
    restore(c, "a", 2);
    assert_string_equal(expect_of(c, 200, "GET", "a", "/batches", NULL)->text, batches);
    assert_outlives_kill(c);
    steps(c, "a", 7);
    assert_problem(ask(c, "DELETE", "/models/a/batches/2", NULL), 404, "not-found", "");
    assert_outlives_kill(c);
    steps(c, "a", 5);
    assert_outlives_kill(c);
    free(batches);
}

/* A client's checkpoint mends too, and what the journal has lost beyond it is not used again. */
static void test_mended_by_a_checkpoint(void **state)
{
    static const char *const sql[] = {
        "UPDATE journal SET seal = 0 WHERE model = 1 AND seq = 6",
        "DELETE FROM journal WHERE model = 1 AND seq > 6", /* with the end */
        "DELETE FROM journal WHERE model = 1",
    };
    (void)state;
    for (int i = 0; i < 3; i++) {
        struct client *c = client_new("auto");
        create(c, "a", 3);
        create(c, "twin", 3);
        steps(c, "a", 7);
        expect_of(c, 201, "POST", "a", "/checkpoints", NULL);
        steps(c, "a", 2);
        client_damage(c, sql[i]);
        assert_json(expect_of(c, 200, "GET", "a", "", NULL), "/state", "\"damaged\"");
        expect_of(c, 200, "POST", "a", "/checkpoints/1/restore", NULL);
        steps(c, "twin", 7);
        /* the losses of what is not proven any more are not there */
        assert_same_answer(c, "/models/a/parameters", c, "/models/twin/parameters");
        assert_same_answer(c, "/models/a/gradients", c, "/models/twin/gradients");
        for (int k = 0; k < 6; k++) {
            steps(c, "a", 2);
            assert_outlives_kill(c);
            steps(c, "twin", 2);
            assert_same_answer(c, "/models/a/parameters", c, "/models/twin/parameters");
        }
        restore(c, "a", 9);
        restore(c, "a", 8);
        assert_outlives_kill(c);
        client_free(c);
    }
}

/* A request that was refused for the damage has no effect, and its key is free. */
static void test_keys_of_a_damaged_model(void **state)
{
    struct client *c = *state;
    create(c, "a", 3);
    steps(c, "a", 3);
    client_damage(c, "UPDATE journal SET seal = 0 WHERE model = 1 AND seq = 5");
    const struct request q = {
        .method = "POST", .target = "/models/a/step", .header = {"Idempotency-Key", "k"}};
    assert_int_equal(ask_headed(c, &q)->status, 409);
    restore(c, "a", 1);
    const struct reply *r = ask_headed(c, &q);
    assert_int_equal(r->status, 200);
    assert_false(r->replayed);
    assert_true(ask_headed(c, &q)->replayed);
}

#define ROW(test) cmocka_unit_test_setup_teardown(test, client_setup, client_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ROW(test_an_older_checkpoint),    ROW(test_another_way),
        ROW(test_from_the_birth),         ROW(test_a_state_is_lost),
        ROW(test_a_restore_is_lost),      ROW(test_damaged_changes),
        ROW(test_the_last_proven_state),  ROW(test_batches_of_a_mended_model),
        ROW(test_mended_by_a_checkpoint), ROW(test_keys_of_a_damaged_model),
    };
    return cmocka_run_group_tests_name("damage", tests, NULL, NULL);
}
