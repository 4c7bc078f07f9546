/* Durability none, process and power, switched back and forth; and models of before the journal. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/api/twins.h"

#define MOMENTUM ",\"optimizer\":{\"type\":\"sgd\",\"lr\":0.05,\"momentum\":0.9}"
#define SMALL    "{\"inputs\":[[0.5,-1],[2,0.25]],\"targets\":[[1],[-0.5]]}"

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

static void set_durability(struct client *c, const char *id, const char *what)
{
    char body[64];
    snprintf(body, sizeof body, "{\"durability\":\"%s\"}", what);
    expect_of(c, 200, "PATCH", id, "", body);
}

static void assert_step(struct client *c, int step)
{
    const struct reply *r = expect_of(c, 200, "GET", "a", "", NULL);
    assert_true(number_at(r, "/step") == step);
    assert_json(r, "/state", "\"ready\"");
}

/* The switch itself is kept, with all that was before it; behind it counts the new way. */
static void test_back_and_forth(void **state)
{
    struct client *c = *state, *twin = client_new("auto");
    create(c, "a", MOMENTUM ",\"durability\":\"none\"");
    create(twin, "a", MOMENTUM ",\"durability\":\"none\"");
    for (int round = 0; round < 4; round++) {
        steps(c, "a", 3); /* of durability none */
        expect_of(c, 200, "POST", "a", "/backward", NULL);
        client_kill(c); /* which loses them */
        assert_twins(c, "a", twin, "a");
        struct client *both[] = {c, twin};
        for (int i = 0; i < 2; i++) {
            steps(both[i], "a", 5);
            expect_of(both[i], 200, "POST", "a", "/backward", SMALL);
            set_durability(both[i], "a", round % 2 ? "power" : "process");
        }
        assert_outlives_kill(c);
        assert_twins(c, "a", twin, "a");
        for (int i = 0; i < 2; i++) {
            expect_of(both[i], 200, "POST", "a", "/optimizer/step", NULL);
            steps(both[i], "a", 2);
        }
        assert_outlives_kill(c);
        assert_twins(c, "a", twin, "a");
        for (int i = 0; i < 2; i++) {
            steps(both[i], "a", 4);
            if (round == 2)
                client_checkpoint(both[i], "a");
            set_durability(both[i], "a", "none");
        }
        assert_outlives_kill(c);
        assert_twins(c, "a", twin, "a");
    }
    client_free(twin);
}

/* To and fro without a change in between, and a patch of all at once. */
static void test_switches_alone(void **state)
{
    static const char *const way[] = {"none", "process", "process", "power", "power",
                                      "none", "power",   "process", "none",  "process"};
    struct client *c = *state;
    create(c, "a", MOMENTUM);
    steps(c, "a", 2);
    for (size_t i = 0; i < sizeof way / sizeof *way; i++) {
        char body[128];
        snprintf(body, sizeof body, "{\"durability\":\"%s\",\"optimizer\":{\"lr\":0.%zu}}", way[i],
                 i + 1);
        expect_of(c, 200, "PATCH", "a", "", body);
        assert_outlives_kill(c);
        if (i % 3 == 2)
            client_reopen(c);
    }
    steps(c, "a", 2);
    assert_outlives_kill(c);
}

/* Background checkpoints of a model without a journal: what they hold is kept. */
static void test_none_by_checkpoints(void **state)
{
    struct client *c = *state;
    create(c, "a", MOMENTUM);
    steps(c, "a", 3);
    set_durability(c, "a", "none");
    for (int i = 0; i < 4; i++) {
        steps(c, "a", 2);
        client_checkpoint(c, "a");
        char *kept = text_of(c, "/models/a/parameters");
        steps(c, "a", 1 + i);
        client_kill(c);
        assert_string_equal(expect_of(c, 200, "GET", "a", "/parameters", NULL)->text, kept);
        assert_step(c, 3 + 2 * (i + 1));
        free(kept);
    }
    client_reopen(c);
    assert_step(c, 11);
}

/* Back to the steps of the journal of before, with the batches of that time; those without a
 * journal are only where a checkpoint is. */
static void test_restore_past_a_time_without(void **state)
{
    struct client *c = *state;
    char *at[20];
    create(c, "a", MOMENTUM);
    for (int step = 1; step <= 4; step++) {
        steps(c, "a", 1);
        at[step] = text_of(c, "/models/a/parameters");
    }
    set_durability(c, "a", "none");
    expect_of(c, 204, "DELETE", "a", "/batches/2", NULL);
    push_batch(c, "a", 7);
    for (int step = 5; step <= 8; step++) {
        steps(c, "a", 1);
        at[step] = text_of(c, "/models/a/parameters");
        if (step == 6)
            expect_of(c, 201, "POST", "a", "/checkpoints", NULL);
    }
    set_durability(c, "a", "process");
    for (int step = 9; step <= 12; step++) {
        steps(c, "a", 1);
        at[step] = text_of(c, "/models/a/parameters");
    }
    client_kill(c);
    for (int step = 12; step >= 1; step--) {
        char body[40];
        snprintf(body, sizeof body, "{\"step\":%d}", step);
        if (step == 7 || step == 5) {
            assert_problem(ask_plain(c, "POST", "/models/a/restore", body), 422, "invalid-argument",
                           "/step");
            continue;
        }
        const struct reply *r = expect_of(c, 200, "POST", "a", "/restore", body);
        /* whatever it was at that time: it is a promise of today's */
        assert_string_equal(string_at(r, "/durability"), "process");
        assert_string_equal(expect_of(c, 200, "GET", "a", "/parameters", NULL)->text, at[step]);
        if (step % 3 == 0)
            assert_outlives_kill(c);
    }
    assert_json(expect_of(c, 200, "GET", "a", "/batches", NULL), "/batches/1/batch", "3");
    for (int step = 1; step <= 12; step++)
        free(at[step]);
}

/* Restored while it has no journal: the row that says so is kept all the same. */
static void test_restore_without_a_journal(void **state)
{
    struct client *c = *state;
    create(c, "a", MOMENTUM ",\"durability\":\"none\"");
    steps(c, "a", 2);
    expect_of(c, 201, "POST", "a", "/checkpoints", NULL);
    char *at_2 = text_of(c, "/models/a/parameters");
    for (int i = 0; i < 3; i++) {
        steps(c, "a", 5);
        if (i == 1)
            client_checkpoint(c, "a");
        assert_problem(ask(c, "POST", "/models/a/restore", "{\"step\":4}"), 422, "invalid-argument",
                       "/step");
        if (i % 2)
            expect_of(c, 200, "POST", "a", "/checkpoints/1/restore", NULL);
        else
            expect_of(c, 200, "POST", "a", "/restore", "{\"step\":2}");
        client_kill(c);
        assert_step(c, 2);
        assert_string_equal(expect_of(c, 200, "GET", "a", "/parameters", NULL)->text, at_2);
    }
    set_durability(c, "a", "process");
    steps(c, "a", 3);
    assert_outlives_kill(c);
    assert_problem(ask(c, "POST", "/models/a/restore", "{\"step\":1}"), 422, "invalid-argument",
                   "/step");
    expect_of(c, 200, "POST", "a", "/restore", "{\"step\":4}");
    expect_of(c, 200, "POST", "a", "/restore", "{\"step\":0}");
    assert_outlives_kill(c);
    free(at_2);
}

/* ---- a store of before the journal --------------------------------------------------------- */

static void assert_as_told(struct client *c, const cJSON *said)
{
    static const char *const parts[] = {"",        "/parameters",  "/gradients",
                                        "/losses", "/checkpoints", "/batches/3"};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        const struct reply *r = expect_of(c, 200, "GET", "net", parts[i], NULL);
        const cJSON *was = cJSON_GetObjectItemCaseSensitive(said, parts[i]);
        if (!cJSON_Compare(r->json, was, true))
            fail_msg("%s was told otherwise: %s", parts[i], r->text);
    }
}

/* name: of a file of tests/data */
static void open_old_store(struct client *c, const char *name)
{
    char line[65536], *sql = NULL;
    size_t bytes;
    FILE *in = fopen(name, "r"), *out = open_memstream(&sql, &bytes);
    assert_non_null(in);
    while (fgets(line, sizeof line, in))
        fputs(line, out);
    fclose(in);
    assert_int_equal(fclose(out), 0);
    client_close(c);
    assert_int_equal(unlink(c->path), 0);
    client_make(c, sql);
    free(sql);
}

/* It is read as it was told, a kept answer too, and goes on with a journal. */
static void test_of_before(void **state)
{
    struct client *c = *state;
    cJSON *said = json_file("tests/data/store_v2.json");
    const struct request q = {.method = "POST",
                              .target = "/models/net/step",
                              .body = "{\"steps\": 2}",
                              .header = {"Idempotency-Key", "kept"}};
    open_old_store(c, "tests/data/store_v2.sql");
    for (int i = 0; i < 2; i++) {
        assert_as_told(c, said);
        const struct reply *r = ask_headed(c, &q);
        assert_true(r->status == 200 && r->replayed);
        assert_string_equal(r->text, cJSON_GetObjectItemCaseSensitive(said, "kept")->valuestring);
        assert_string_equal(r->etag, "");
        client_kill(c);
    }
    /* its twin is a fork that is never killed behind a change */
    expect_of(c, 201, "POST", "net", "/fork", "{\"id\":\"twin\"}");
    static const struct deed deeds[] = {{"POST", "/optimizer/step", NULL, 200},
                                        {"POST", "/step", "{\"steps\":3}", 200},
                                        {"DELETE", "/batches/1", NULL, 204},
                                        {"POST", "/step", NULL, 200}};
    for (size_t i = 0; i < sizeof deeds / sizeof *deeds; i++) {
        do_both(c, "net", c, "twin", &deeds[i]);
        client_kill(c);
        assert_twins(c, "net", c, "twin");
    }
    cJSON_Delete(said);
}

/* One that was killed when each change was a row: all of them are done again, and it goes on. */
static void test_of_rows(void **state)
{
    struct client *c = *state;
    cJSON *said = json_file("tests/data/store_v4.json");
    open_old_store(c, "tests/data/store_v4.sql");
    for (int i = 0; i < 2; i++) {
        assert_as_told(c, said);
        assert_json(expect_of(c, 200, "GET", "fresh", "", NULL), "/step", "1");
        client_kill(c);
    }
    for (int step = 10; step > 5; step--) { /* 5 is the checkpoint */
        char body[40];
        snprintf(body, sizeof body, "{\"step\":%d}", step);
        expect_of(c, 200, "POST", "net", "/restore", body);
        client_kill(c);
        char text[24];
        snprintf(text, sizeof text, "%d", step);
        assert_json(expect_of(c, 200, "GET", "net", "", NULL), "/step", text);
    }
    cJSON_Delete(said);
}

/* Back to what it has been since, to its old checkpoint, and to where it was found. */
static void test_restore_of_before(void **state)
{
    struct client *c = *state;
    char *at[13];
    cJSON *said = json_file("tests/data/store_v2.json");
    open_old_store(c, "tests/data/store_v2.sql");
    for (int step = 8; step <= 12; step++) {
        expect_of(c, 200, "POST", "net", "/step", NULL);
        at[step] = text_of(c, "/models/net/parameters");
    }
    for (int step = 12; step >= 1; step--) {
        char body[40];
        snprintf(body, sizeof body, "{\"step\":%d}", step);
        if (step < 7 && step != 5) {
            assert_problem(ask_plain(c, "POST", "/models/net/restore", body), 422,
                           "invalid-argument", "/step");
            continue;
        }
        expect_of(c, 200, "POST", "net", "/restore", body);
        const struct reply *r = expect_of(c, 200, "GET", "net", "/parameters", NULL);
        if (step >= 8)
            assert_string_equal(r->text, at[step]);
        if (step == 7)
            assert_true(cJSON_Compare(r->json,
                                      cJSON_GetObjectItemCaseSensitive(said, "/parameters"), true));
        client_kill(c);
    }
    expect_of(c, 200, "POST", "net", "/checkpoints/1/restore", NULL);
    expect_of(c, 200, "POST", "net", "/step", "{\"steps\":3}");
    client_kill(c);
    expect_of(c, 200, "POST", "net", "/restore", "{\"step\":6}");
    expect_of(c, 200, "POST", "fresh", "/step", SMALL);
    client_kill(c);
    assert_json(expect_of(c, 200, "GET", "fresh", "", NULL), "/step", "1");
    assert_json(expect_of(c, 200, "GET", "net", "", NULL), "/step", "6");
    for (int step = 8; step <= 12; step++)
        free(at[step]);
    cJSON_Delete(said);
}

#define ROW(test) cmocka_unit_test_setup_teardown(test, client_setup, client_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ROW(test_back_and_forth),
        ROW(test_switches_alone),
        ROW(test_none_by_checkpoints),
        ROW(test_restore_past_a_time_without),
        ROW(test_restore_without_a_journal),
        ROW(test_of_before),
        ROW(test_of_rows),
        ROW(test_restore_of_before),
    };
    return cmocka_run_group_tests_name("durability", tests, NULL, NULL);
}
