/* Restore to a step, and forks: each is as a twin that ran to that step and no further. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/api/twins.h"

#define MOMENTUM                                                                                   \
    ",\"optimizer\":{\"type\":\"sgd\",\"lr\":0.05,\"momentum\":0.9,\"weight_decay\":0.01,"         \
    "\"dampening\":0.1}"
#define INLINE "\"inputs\":[[0.5,-1],[2,0.25]],\"targets\":[[1],[-0.5]]}"
#define FAR    "{\"inputs\":[[1e38,-1e38]],\"targets\":[[-1e38]]}"
#define FAR_64 "{\"inputs\":[[1e160,-1e160]],\"targets\":[[-1e160]]}"

/* ---- a life of 18 steps -------------------------------------------------------------------- */

static const struct {
    struct deed deed;
    int steps;
    const char *data; /* of a step: how its body goes on behind the number of steps */
} life[] = {
    {{"POST", "/step", NULL, 200}, 1, "}"},
    {{"POST", "/step", NULL, 200}, 4, "}"},
    {{"PATCH", "", "{\"optimizer\":{\"lr\":0.02}}", 200}, 0, NULL},
    {{"POST", "/step", NULL, 200}, 2, ",\"batch\":2}"},
    {{"POST", "/backward", NULL, 200}, 0, NULL},
    {{"POST", "/backward", "{" INLINE, 200}, 0, NULL},
    {{"POST", "/optimizer/step", NULL, 200}, 1, NULL}, /* to 8 */
    {{"POST", "/step", NULL, 200}, 1, "," INLINE},
    {{"POST", "/step", NULL, 200}, 3, "," INLINE}, /* to 12 */
    {{"POST", "/zero_grad", NULL, 200}, 0, NULL},
    {{"PATCH", "", "{\"requires_grad\":{\"0.bias\":false}}", 200}, 0, NULL},
    {{"POST", "/step", NULL, 200}, 2, "}"},
    {{"POST", "/step", FAR, 422}, 0, NULL},
    {{"POST", "/step", NULL, 200}, 1, "}"}, /* to 15 */
    {{"POST", "/checkpoints", NULL, 201}, 0, NULL},
    {{"POST", "/step", NULL, 200}, 3, "}"},
    {{"POST", "/backward", NULL, 200}, 0, NULL},
};
#define LIFE  18 /* steps */
#define DEEDS ((int)(sizeof life / sizeof *life))

static void create(struct client *c, const char *id, const char *more)
{
    create_net(c, id, more);
    for (int k = 1; k <= 3; k++)
        push_batch(c, id, k);
}

static bool is_float64(struct client *c, const char *id)
{
    return !strcmp(string_at(expect_of(c, 200, "GET", id, "", NULL), "/dtype"), "float64");
}

/* Lives from the start to the very step, or, if that is LIFE, to the end. */
static void play(struct client *c, const char *id, int until)
{
    bool wide = is_float64(c, id);
    for (int i = 0, step = 0; i < DEEDS && (step < until || until == LIFE); i++) {
        char body[200];
        struct deed d = life[i].deed;
        int steps = step + life[i].steps > until ? until - step : life[i].steps;
        if (life[i].data) {
            snprintf(body, sizeof body, "{\"steps\":%d%s", steps, life[i].data);
            d.body = body;
        }
        if (d.status == 422 && wide)
            d.body = FAR_64;
        do_deed(c, id, &d);
        step += steps;
    }
}

/* Both do the same, and remain the same. */
static void go_on(struct client *a, const char *id_a, struct client *b, const char *id_b)
{
    static const struct deed deeds[] = {
        {"POST", "/step", NULL, 200},
        {"POST", "/backward", NULL, 200},
        {"POST", "/optimizer/step", NULL, 200},
        {"POST", "/step", "{\"steps\":2," INLINE, 200},
    };
    for (size_t i = 0; i < sizeof deeds / sizeof *deeds; i++)
        do_both(a, id_a, b, id_b, &deeds[i]);
    assert_twins(a, id_a, b, id_b);
}

static const struct reply *restore(struct client *c, int status, const char *id, int step)
{
    char body[40];
    snprintf(body, sizeof body, "{\"step\":%d}", step);
    return expect_of(c, status, "POST", id, "/restore", body);
}

static void create_twin(struct client *c, const char *more, int step)
{
    create(c, "twin", more);
    play(c, "twin", step);
}

/* ---- restore ------------------------------------------------------------------------------- */

/* Back to every step, each time from behind the one before: so the way there leads over all the
 * restores of before. */
static void to_every_step(struct client *c, const char *more)
{
    create(c, "a", more);
    play(c, "a", LIFE);
    for (int step = LIFE; step >= 0; step--) {
        const struct reply *r = restore(c, 200, "a", step);
        assert_true(number_at(r, "/step") == step);
        create_twin(c, more, step);
        if (step == LIFE) /* its deeds behind the last step are not those of the step */
            do_deed(c, "a", &life[DEEDS - 1].deed);
        assert_twins(c, "a", c, "twin");
        if (step % 3 == 0)
            client_kill(c);
        assert_twins(c, "a", c, "twin");
        go_on(c, "a", c, "twin");
        expect(c, 204, "DELETE", "/models/twin", NULL);
    }
    assert_outlives_kill(c);
}

static void test_every_step(void **state)
{
    to_every_step(*state, MOMENTUM);
}

static void test_every_step_of_float64(void **state)
{
    to_every_step(*state, MOMENTUM ",\"dtype\":\"float64\"");
}

static void test_every_step_in_slices(void **state)
{
    struct client *c = *state;
    c->slice_ns = 0;
    to_every_step(c, ",\"optimizer\":{\"type\":\"sgd\",\"lr\":0.05}");
}

/* With a checkpoint in the middle, from which most ways begin; the journal still goes back to the
 * birth. */
static void test_every_step_past_a_checkpoint(void **state)
{
    struct client *c = *state;
    create(c, "a", MOMENTUM);
    play(c, "a", 10);
    client_checkpoint(c, "a");
    expect_of(c, 200, "POST", "a", "/step", "{\"steps\":10}");
    for (int step = 10; step >= 0; step -= 2) {
        restore(c, 200, "a", step);
        create_twin(c, MOMENTUM, step);
        assert_twins(c, "a", c, "twin");
        go_on(c, "a", c, "twin");
        expect(c, 204, "DELETE", "/models/twin", NULL);
    }
}

/* Where it has been twice, the last time counts. */
static void test_the_last_time_counts(void **state)
{
    struct client *c = *state;
    create(c, "a", MOMENTUM);
    create(c, "twin", MOMENTUM);
    play(c, "a", 9);
    restore(c, 200, "a", 4);
    play(c, "twin", 4);
    go_on(c, "a", c, "twin"); /* on to 8, another way */
    char *at_8 = text_of(c, "/models/a/parameters");
    expect_of(c, 200, "POST", "a", "/step", "{\"steps\":3}");
    restore(c, 200, "a", 8);
    assert_string_equal(expect_of(c, 200, "GET", "a", "/parameters", NULL)->text, at_8);
    assert_twins(c, "a", c, "twin");
    restore(c, 200, "a", 8); /* once more */
    restore(c, 200, "a", 8);
    assert_twins(c, "a", c, "twin");
    restore(c, 200, "a", 4);
    expect(c, 204, "DELETE", "/models/twin", NULL);
    create_twin(c, MOMENTUM, 4);
    assert_twins(c, "a", c, "twin");
    assert_problem(restore(c, 422, "a", 9), 422, "invalid-argument", "/step");
    free(at_8);
}

/* The changes at a step, behind the one that led there, are not of that step. */
static void test_right_behind_the_step(void **state)
{
    struct client *c = *state;
    create(c, "a", MOMENTUM);
    create(c, "twin", MOMENTUM);
    play(c, "twin", 5);
    play(c, "a", 5);
    expect_of(c, 200, "POST", "a", "/zero_grad", NULL);
    expect_of(c, 200, "PATCH", "a", "", "{\"optimizer\":{\"lr\":7}}");
    expect_of(c, 200, "POST", "a", "/backward", NULL);
    expect_of(c, 422, "POST", "a", "/step", FAR);
    restore(c, 200, "a", 5);
    assert_twins(c, "a", c, "twin");
    go_on(c, "a", c, "twin");
}

/* Steps use the batches of their time; a restored model has those of now. */
static void test_batches_of_the_time(void **state)
{
    struct client *c = *state, *other = client_new("auto");
    struct client *both[] = {c, other};
    for (int i = 0; i < 2; i++) {
        create(both[i], "a", MOMENTUM);
        expect_of(both[i], 200, "POST", "a", "/step", "{\"steps\":4}");
        expect_of(both[i], 204, "DELETE", "a", "/batches/2", NULL);
        expect_of(both[i], 200, "POST", "a", "/step", "{\"steps\":3}");
        push_batch(both[i], "a", 7);
        expect_of(both[i], 200, "POST", "a", "/step", "{\"steps\":3}");
        if (i == 1)
            break;
        expect_of(c, 204, "DELETE", "a", "/batches/1", NULL);
        expect_of(c, 200, "POST", "a", "/step", "{\"steps\":5}");
    }
    char *batches = text_of(c, "/models/a/batches");
    restore(c, 200, "a", 10);
    assert_twins(c, "a", other, "a");
    assert_string_equal(expect_of(c, 200, "GET", "a", "/batches", NULL)->text, batches);
    assert_outlives_kill(c);
    restore(c, 200, "a", 6);
    assert_json(expect_of(c, 200, "GET", "a", "/losses", NULL), "/last_step", "6");
    assert_string_equal(expect_of(c, 200, "GET", "a", "/batches", NULL)->text, batches);
    expect_of(c, 200, "POST", "a", "/step", "{\"steps\":5}");
    assert_outlives_kill(c);
    free(batches);
    client_free(other);
}

/* A step that only a checkpoint tells is reached too, and those before and behind it. */
static void test_around_a_state(void **state)
{
    struct client *c = *state;
    char *large = rows_text(6000, "");
    char *at[13];
    create(c, "a", MOMENTUM);
    for (int step = 1; step <= 12; step++) {
        expect_of(c, 200, "POST", "a", "/step", step % 4 == 0 ? large : NULL);
        at[step] = text_of(c, "/models/a/parameters");
        if (step == 6 || step == 8)
            expect_of(c, 200, "PUT", "a", "/parameters/2.bias",
                      "{\"parameters\":{\"2.bias\":{\"data\":[3]}}}");
    }
    assert_int_equal(client_sql(c, "SELECT count(*) FROM checkpoints"), 5);
    for (int step = 11; step >= 1; step--) {
        restore(c, 200, "a", step);
        const char *is = expect_of(c, 200, "GET", "a", "/parameters", NULL)->text;
        assert_string_equal(is, at[step]);
    }
    for (int step = 1; step <= 12; step++)
        free(at[step]);
    free(large);
}

/* Step 0 is the model as it was born, whatever it was made before its first step. */
static void test_birth(void **state)
{
    struct client *c = *state;
    create(c, "a", MOMENTUM);
    create(c, "twin", MOMENTUM);
    for (int round = 0; round < 3; round++) {
        expect_of(c, 200, "PATCH", "a", "", "{\"optimizer\":{\"lr\":0.5}}");
        expect_of(c, 200, "PUT", "a", "/parameters/2.bias",
                  "{\"parameters\":{\"2.bias\":{\"data\":[3]}}}");
        expect_of(c, 201, "POST", "a", "/checkpoints", NULL);
        client_checkpoint(c, "a");
        if (round)
            expect_of(c, 200, "POST", "a", "/step", "{\"steps\":2}");
        if (round == 2)
            client_reopen(c); /* the journal of before is gone */
        restore(c, 200, "a", 0);
        assert_twins(c, "a", c, "twin");
        assert_outlives_kill(c);
    }
}

/* What checkpoints have let go cannot be reached, but where a client has kept it. */
static void test_out_of_reach(void **state)
{
    struct client *c = *state;
    create(c, "a", MOMENTUM);
    expect_of(c, 200, "POST", "a", "/step", "{\"steps\":3}");
    expect_of(c, 201, "POST", "a", "/checkpoints", NULL);
    char *at_3 = text_of(c, "/models/a/parameters");
    expect_of(c, 200, "POST", "a", "/step", "{\"steps\":2}");
    client_checkpoint(c, "a");
    char *at_5 = text_of(c, "/models/a/parameters");
    expect_of(c, 200, "POST", "a", "/step", "{\"steps\":2}");
    client_checkpoint(c, "a");
    expect_of(c, 200, "POST", "a", "/step", "{\"steps\":2}");
    for (int step = 1; step <= 4; step++)
        if (step != 3)
            assert_problem(restore(c, 422, "a", step), 422, "invalid-argument", "/step");
    for (int step = 10; step <= 12; step++)
        assert_problem(restore(c, 422, "a", step), 422, "invalid-argument", "/step");
    restore(c, 200, "a", 6);
    restore(c, 200, "a", 5);
    assert_string_equal(expect_of(c, 200, "GET", "a", "/parameters", NULL)->text, at_5);
    restore(c, 200, "a", 3);
    assert_string_equal(expect_of(c, 200, "GET", "a", "/parameters", NULL)->text, at_3);
    assert_outlives_kill(c);
    free(at_3);
    free(at_5);
}

static void test_refused(void **state)
{
    static const struct {
        const char *rest, *body, *pointer;
    } rows[] = {
        {"/restore", NULL, "/step"},
        {"/restore", "{}", "/step"},
        {"/restore", "{\"step\":null}", "/step"},
        {"/restore", "{\"step\":-1}", "/step"},
        {"/restore", "{\"step\":1.5}", "/step"},
        {"/restore", "{\"step\":\"1\"}", "/step"},
        {"/restore", "{\"step\":1e30}", "/step"},
        {"/restore", "{\"step\":9223372036854775807}", "/step"},
        {"/restore", "{\"step\":3}", "/step"},
        {"/restore", "{\"step\":1,\"n\":1}", "/n"},
        {"/fork", "{\"id\":\"b\",\"step\":3}", "/step"},
        {"/fork", "{\"id\":\"b\",\"step\":-1}", "/step"},
        {"/fork", "{\"id\":\"b\",\"step\":\"0\"}", "/step"},
        {"/fork", "{\"id\":\"\"}", "/id"},
        {"/fork", "{\"id\":\"/\"}", "/id"},
        {"/fork", "{\"id\":5}", "/id"},
        {"/fork", "{\"name\":\"b\"}", "/name"},
    };
    struct client *c = *state;
    create(c, "a", "");
    expect_of(c, 200, "POST", "a", "/step", "{\"steps\":2}");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char target[40];
        snprintf(target, sizeof target, "/models/a%s", rows[i].rest);
        assert_problem(ask_plain(c, "POST", target, rows[i].body), 422, "invalid-argument",
                       rows[i].pointer);
    }
    assert_problem(ask(c, "POST", "/models/a/fork", "{\"id\":\"a\"}"), 409, "conflict", "/id");
    create(c, "taken", "");
    assert_problem(ask(c, "POST", "/models/a/fork", "{\"id\":\"taken\"}"), 409, "conflict", "/id");
    client_reopen(c); /* nor if it is not resident */
    assert_problem(ask(c, "POST", "/models/a/fork", "{\"id\":\"taken\"}"), 409, "conflict", "/id");
    assert_problem(ask(c, "POST", "/models/b/fork", "{\"id\":\"c\"}"), 404, "not-found", "");
    assert_problem(ask(c, "POST", "/models/b/restore", "{\"step\":0}"), 404, "not-found", "");
    assert_json(expect_of(c, 200, "GET", "a", "", NULL), "/step", "2");
}

/* ---- fork ---------------------------------------------------------------------------------- */

/* One goes on, the other stays. */
static void assert_independent(struct client *c, const char *moves, const char *stays)
{
    static const struct deed deeds[] = {
        {"POST", "/step", "{\"steps\":2}", 200},
        {"POST", "/backward", NULL, 200},
        {"PATCH", "", "{\"optimizer\":{\"lr\":0.5}}", 200},
        {"DELETE", "/batches/1", NULL, 204},
        {"POST", "/batches", "{" INLINE, 201},
        {"POST", "/zero_grad", NULL, 200},
    };
    static const char *const parts[] = {"", "/parameters", "/gradients", "/losses", "/batches"};
    char *before[5];
    for (int i = 0; i < 5; i++)
        before[i] = strdup(expect_of(c, 200, "GET", stays, parts[i], NULL)->text);
    for (size_t i = 0; i < sizeof deeds / sizeof *deeds; i++)
        do_deed(c, moves, &deeds[i]);
    for (int i = 0; i < 5; i++) {
        assert_string_equal(expect_of(c, 200, "GET", stays, parts[i], NULL)->text, before[i]);
        free(before[i]);
    }
}

static void test_fork_now(void **state)
{
    struct client *c = *state;
    create(c, "a", MOMENTUM);
    play(c, "a", LIFE);
    const struct reply *r = expect_of(c, 201, "POST", "a", "/fork", "{\"id\":\"b\"}");
    assert_string_equal(r->location, "/models/b");
    assert_string_equal(r->etag, "\"step-18\"");
    assert_string_equal(string_at(r, "/id"), "b");
    assert_json(r, "/batches", "3");
    char *made = strdup(r->text);
    assert_string_equal(expect_of(c, 200, "GET", "b", "", NULL)->text, made);
    assert_twins(c, "a", c, "b");
    assert_same_answer(c, "/models/a/batches", c, "/models/b/batches");
    client_kill(c);
    assert_string_equal(expect_of(c, 200, "GET", "b", "", NULL)->text, made);
    assert_twins(c, "a", c, "b");
    go_on(c, "a", c, "b");
    client_kill(c);
    go_on(c, "a", c, "b");
    assert_independent(c, "a", "b");
    assert_independent(c, "b", "a");
    assert_json(expect_of(c, 200, "GET", "b", "/checkpoints", NULL), "/checkpoints", "[]");
    assert_outlives_kill(c);
    expect(c, 204, "DELETE", "/models/a", NULL);
    client_kill(c);
    assert_json(expect_of(c, 201, "POST", "b", "/checkpoints", NULL), "/n", "1");
    free(made);
}

/* Its own past begins where it was made. */
static void test_fork_at_every_step(void **state)
{
    struct client *c = *state;
    create(c, "a", MOMENTUM);
    play(c, "a", LIFE);
    char *before = text_of(c, "/models/a");
    for (int step = 0; step < LIFE; step++) {
        char body[64];
        snprintf(body, sizeof body, "{\"id\":\"b\",\"step\":%d}", step);
        const struct reply *r = expect_of(c, 201, "POST", "a", "/fork", body);
        assert_true(number_at(r, "/step") == step);
        create_twin(c, MOMENTUM, step);
        assert_twins(c, "b", c, "twin");
        if (step % 4 == 0)
            client_kill(c);
        go_on(c, "b", c, "twin");
        if (step % 4 == 1)
            client_kill(c);
        assert_twins(c, "b", c, "twin");
        restore(c, 200, "b", step + 1);
        restore(c, 200, "b", step);
        if (step > 1) /* all are born alike */
            assert_problem(restore(c, 422, "b", step - 1), 422, "invalid-argument", "/step");
        expect(c, 204, "DELETE", "/models/b", NULL);
        expect(c, 204, "DELETE", "/models/twin", NULL);
    }
    assert_string_equal(expect_of(c, 200, "GET", "a", "", NULL)->text, before);
    free(before);
}

/* The history comes along as far as it goes, whether the store has it, or more of it, or less. */
static void test_history_of_a_fork(void **state)
{
    struct client *c = *state;
    create(c, "a", MOMENTUM);
    create(c, "twin", MOMENTUM);
    for (int i = 0; i < 3; i++) { /* 1030 steps: more than stand in a row */
        expect_of(c, 200, "POST", "a", "/step", i == 1 ? "{\"steps\":1020}" : "{\"steps\":5}");
        client_checkpoint(c, "a");
    }
    expect_of(c, 200, "POST", "a", "/step", "{\"steps\":4}");
    expect_of(c, 200, "POST", "twin", "/step", "{\"steps\":1025}");
    for (int step = 1025; step <= 1034; step++) {
        char body[64];
        snprintf(body, sizeof body, "{\"id\":\"b\",\"step\":%d}", step);
        expect_of(c, 201, "POST", "a", "/fork", body);
        assert_same_answer(c, "/models/b/losses?limit=2000", c, "/models/twin/losses?limit=2000");
        client_kill(c);
        assert_same_answer(c, "/models/b/losses?limit=2000", c, "/models/twin/losses?limit=2000");
        assert_twins(c, "b", c, "twin");
        expect(c, 204, "DELETE", "/models/b", NULL);
        expect_of(c, 200, "POST", "twin", "/step", NULL);
    }
    /* a gap in it, where one has gone forward to a checkpoint */
    expect_of(c, 201, "POST", "a", "/checkpoints", NULL);
    restore(c, 200, "a", 1026);
    expect_of(c, 200, "POST", "a", "/checkpoints/1/restore", NULL);
    expect_of(c, 200, "POST", "a", "/step", "{\"steps\":3}");
    expect_of(c, 201, "POST", "a", "/fork", "{\"id\":\"b\"}");
    expect_of(c, 201, "POST", "a", "/fork", "{\"id\":\"d\",\"step\":1036}");
    assert_same_answer(c, "/models/b/losses?after=1020", c, "/models/a/losses?after=1020");
    client_kill(c);
    assert_same_answer(c, "/models/b/losses?after=1020", c, "/models/a/losses?after=1020");
    const struct reply *r = expect_of(c, 200, "GET", "d", "/losses?after=1024", NULL);
    assert_json(r, "/step", "[1025,1026,1035,1036]");
}

/* A fork of a fork, with a name that was made for it. */
static void test_fork_of_a_fork(void **state)
{
    struct client *c = *state;
    char id[3][64] = {"a"};
    create(c, "a", MOMENTUM ",\"durability\":\"power\"");
    play(c, "a", 12);
    for (int i = 1; i < 3; i++) {
        const struct reply *r = expect_of(c, 201, "POST", id[i - 1], "/fork", NULL);
        snprintf(id[i], sizeof id[i], "%s", string_at(r, "/id"));
        assert_string_equal(r->location + strlen("/models/"), id[i]);
        assert_twins(c, "a", c, id[i]);
    }
    client_kill(c);
    assert_twins(c, "a", c, id[2]);
    go_on(c, id[0], c, id[1]);
    restore(c, 200, id[0], 12);
    go_on(c, id[0], c, id[2]);
    assert_twins(c, id[1], c, id[2]);
}

/* Of a model by expression, and of one without a journal, whose steps nothing has kept yet. */
static void test_forks_of_others(void **state)
{
    struct client *c = *state;
    expect(c, 201, "POST", "/models", "%s",
           "{\"id\":\"e\",\"parameters\":{\"w\":{\"data\":[[0.5],[-0.25]]}},"
           "\"forward\":\"torch.tanh(x @ w)\",\"loss\":\"mse\"}");
    expect_of(c, 200, "POST", "e", "/step", "{\"steps\":3," INLINE);
    expect_of(c, 201, "POST", "e", "/fork", "{\"id\":\"e-2\",\"step\":2}");
    expect_of(c, 200, "POST", "e-2", "/step", "{" INLINE);
    assert_twins(c, "e", c, "e-2");
    create(c, "none", MOMENTUM ",\"durability\":\"none\"");
    play(c, "none", 9);
    expect_of(c, 201, "POST", "none", "/fork", "{\"id\":\"none-2\"}");
    assert_twins(c, "none", c, "none-2");
    char *before = text_of(c, "/models/none-2/parameters");
    client_kill(c);
    assert_string_equal(expect_of(c, 200, "GET", "none-2", "/parameters", NULL)->text, before);
    free(before); /* it was made of what the other lost */
    assert_json(expect_of(c, 200, "GET", "none", "", NULL), "/step", "0");
}

#define ROW(test) cmocka_unit_test_setup_teardown(test, client_setup, client_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ROW(test_every_step),
        ROW(test_every_step_of_float64),
        ROW(test_every_step_in_slices),
        ROW(test_every_step_past_a_checkpoint),
        ROW(test_the_last_time_counts),
        ROW(test_right_behind_the_step),
        ROW(test_batches_of_the_time),
        ROW(test_around_a_state),
        ROW(test_birth),
        ROW(test_out_of_reach),
        ROW(test_refused),
        ROW(test_fork_now),
        ROW(test_fork_at_every_step),
        ROW(test_history_of_a_fork),
        ROW(test_fork_of_a_fork),
        ROW(test_forks_of_others),
    };
    return cmocka_run_group_tests_name("rewind", tests, NULL, NULL);
}
