/* With a journal a kill loses nothing that was answered: after each kind of change the model is as
 * a twin that was never killed, and both go on alike. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/api/twins.h"

#define SMALL   "{\"inputs\":[[0.5,-1],[2,0.25]],\"targets\":[[1],[-0.5]]}"
#define SMALL_3 "{\"steps\":3,\"inputs\":[[0.5,-1],[2,0.25]],\"targets\":[[1],[-0.5]]}"
#define FAR     "{\"inputs\":[[1e38,-1e38]],\"targets\":[[-1e38]]}"
#define MOMENTUM                                                                                   \
    ",\"optimizer\":{\"type\":\"sgd\",\"lr\":0.05,\"momentum\":0.9,\"weight_decay\":0.01,"         \
    "\"dampening\":0.1}"

struct pair {
    struct client *killed, *twin;
};

static int setup(void **state)
{
    struct pair *p = calloc(1, sizeof *p);
    p->killed = client_new("auto");
    p->twin = client_new("auto");
    *state = p;
    return 0;
}

static int teardown(void **state)
{
    struct pair *p = *state;
    client_free(p->killed);
    client_free(p->twin);
    free(p);
    return 0;
}

static void deed(struct pair *p, const char *method, const char *rest, const char *body, int status)
{
    struct deed d = {method, rest, body, status};
    do_both(p->killed, "a", p->twin, "a", &d);
}

static void kill_and_compare(struct pair *p)
{
    assert_outlives_kill(p->killed);
    assert_twins(p->killed, "a", p->twin, "a");
}

static void each_is_kept(struct pair *p, const struct deed *deeds, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        do_both(p->killed, "a", p->twin, "a", &deeds[i]);
        kill_and_compare(p);
    }
}
#define EACH_IS_KEPT(p, deeds) each_is_kept(p, deeds, sizeof(deeds) / sizeof *(deeds))

static void create(struct pair *p, const char *more, int batches)
{
    struct client *both[] = {p->killed, p->twin};
    for (int i = 0; i < 2; i++) {
        create_net(both[i], "a", more);
        for (int k = 1; k <= batches; k++)
            push_batch(both[i], "a", k);
    }
}

/* ---- every kind of change ------------------------------------------------------------------ */

/* What a model of two inputs and one output may undergo. */
static const struct deed training[] = {
    {"POST", "/batches", SMALL, 201},
    {"POST", "/step", NULL, 200},
    {"POST", "/batches", "{\"inputs\":[[1,1],[0,0.5],[-1,2]],\"targets\":[[0],[1],[2]]}", 201},
    {"POST", "/batches", "{\"inputs\":[[-0.5,1]],\"targets\":[[0.25]]}", 201},
    {"POST", "/step", "{\"steps\":4}", 200},
    {"POST", "/step", "{\"batch\":2}", 200},
    {"POST", "/step", "{\"batch\":3,\"steps\":3}", 200},
    {"POST", "/step", SMALL, 200},
    {"POST", "/step", SMALL_3, 200},
    {"POST", "/backward", NULL, 200},
    {"POST", "/backward", SMALL, 200},
    {"POST", "/backward", "{\"batch\":1,\"input_gradients\":true}", 200},
    {"POST", "/optimizer/step", NULL, 200},
    {"POST", "/optimizer/step", NULL, 200}, /* the gradients are still there */
    {"POST", "/zero_grad", NULL, 200},
    {"POST", "/optimizer/step", NULL, 409},
    {"POST", "/backward", NULL, 200},
    {"POST", "/step", NULL, 200}, /* clears them */
    {"POST", "/backward", NULL, 200},
    {"POST", "/optimizer/step", NULL, 200},
    /* a batch goes that steps have used, and was next in turn */
    {"DELETE", "/batches/3", NULL, 204},
    {"POST", "/step", "{\"steps\":2}", 200},
    {"DELETE", "/batches/1", NULL, 204},
    {"POST", "/step", NULL, 200},
    {"POST", "/batches", SMALL, 201},
    {"POST", "/step", "{\"steps\":3}", 200},
    {"POST", "/zero_grad", NULL, 200},
    {"POST", "/zero_grad", NULL, 200},
};

/* … and of a net of create_net. */
static const struct deed changing[] = {
    {"PATCH", "", "{\"optimizer\":{\"lr\":0.02}}", 200},
    {"POST", "/step", "{\"steps\":2}", 200},
    {"PATCH", "", "{\"optimizer\":{\"momentum\":0.5,\"dampening\":0}}", 200},
    {"POST", "/step", "{\"steps\":2}", 200},
    {"PATCH", "", "{\"optimizer\":{\"nesterov\":true,\"weight_decay\":0.001}}", 200},
    {"POST", "/step", "{\"steps\":2}", 200},
    {"PATCH", "", "{\"requires_grad\":{\"0.weight\":false,\"2.bias\":false}}", 200},
    {"POST", "/step", "{\"steps\":2}", 200},
    {"POST", "/backward", SMALL, 200},
    {"PATCH", "", "{\"requires_grad\":{\"2.bias\":true,\"0.bias\":false}}", 200},
    {"POST", "/backward", SMALL, 200},
    {"POST", "/optimizer/step", NULL, 200},
    {"PATCH", "", "{\"optimizer\":{\"momentum\":0,\"nesterov\":false}}", 200},
    {"POST", "/step", "{\"steps\":2}", 200},
    {"PATCH", "", "{\"requires_grad\":null,\"optimizer\":{\"momentum\":0.7}}", 200},
    {"POST", "/step", "{\"steps\":2}", 200},
    {"PATCH", "", "{\"optimizer\":{\"maximize\":true},\"durability\":\"power\"}", 200},
    {"POST", "/step", "{\"steps\":2}", 200},
    {"PATCH", "", "{\"optimizer\":null,\"durability\":null,\"on_divergence\":\"continue\"}", 200},
    {"POST", "/step", "{\"steps\":2}", 200},
    {"PUT", "/parameters/2.bias", "{\"parameters\":{\"2.bias\":{\"data\":[0.125]}}}", 200},
    {"POST", "/step", NULL, 200},
    {"PUT", "/parameters",
     "{\"parameters\":{\"0.weight\":{\"data\":[[1,2],[3,4],[5,6]],\"requires_grad\":false},"
     "\"0.bias\":{\"data\":[0.1,0.2,0.3]},\"2.weight\":{\"data\":[[-1,0,1e-3]]},"
     "\"2.bias\":{\"data\":[\"NaN\"]}}}",
     200},
    {"PUT", "/parameters/2.bias", "{\"parameters\":{\"2.bias\":{\"data\":[-0.5]}}}", 200},
    {"PUT", "/parameters/2.bias", "{\"parameters\":{\"2.bias\":{\"data\":[-0.25]}}}", 200},
    {"POST", "/step", "{\"steps\":3}", 200},
    {"POST", "/checkpoints", "{\"label\":\"here\"}", 201},
    {"POST", "/step", "{\"steps\":3}", 200},
    {"POST", "/backward", NULL, 200},
    {"POST", "/checkpoints/1/restore", NULL, 200},
    {"POST", "/step", NULL, 200},
    {"POST", "/restore", "{\"step\":5}", 200},
    {"POST", "/step", "{\"steps\":2}", 200},
    {"POST", "/restore", "{\"step\":7}", 200}, /* it is there */
    {"POST", "/restore", "{\"step\":6}", 200},
    {"DELETE", "/checkpoints/1", NULL, 204},
    {"POST", "/step", "{\"steps\":5}", 200},
};

static void every_change(struct pair *p, const char *more)
{
    create(p, more, 0);
    EACH_IS_KEPT(p, training);
    EACH_IS_KEPT(p, changing);
}

static void test_plain(void **state)
{
    every_change(*state, ",\"seed\":1");
}

static void test_float64_with_momentum(void **state)
{
    every_change(*state, MOMENTUM ",\"dtype\":\"float64\",\"seed\":2");
}

static void test_nesterov(void **state)
{
    every_change(*state, ",\"optimizer\":{\"type\":\"sgd\",\"lr\":0.03,\"momentum\":0.8,"
                         "\"nesterov\":true}");
}

static void test_in_many_slices(void **state)
{
    struct pair *p = *state;
    p->killed->slice_ns = 0; /* a row a step */
    every_change(p, MOMENTUM);
}

static void test_power(void **state)
{
    every_change(*state, MOMENTUM ",\"durability\":\"power\"");
}

#define EXPRESSION                                                                                 \
    "{\"id\":\"a\",\"parameters\":{\"w\":{\"data\":[[0.5],[-0.25]]},\"b\":{\"data\":[0.1]},"       \
    "\"idle\":{\"data\":[1,2]}},\"forward\":\"torch.tanh(x @ w) * 2 + b\",\"loss\":\"mse\",%s"     \
    "\"optimizer\":{\"type\":\"sgd\",\"lr\":0.1,\"momentum\":0.9}}"

static void test_expression(void **state)
{
    static const struct deed more[] = {
        {"PATCH", "", "{\"requires_grad\":{\"b\":false}}", 200},
        {"POST", "/step", "{\"steps\":2}", 200},
        {"PUT", "/parameters/idle", "{\"parameters\":{\"idle\":{\"data\":[3,4]}}}", 200},
        {"POST", "/step", SMALL_3, 200},
        {"POST", "/restore", "{\"step\":9}", 200},
        {"POST", "/step", "{\"steps\":2}", 200},
    };
    struct pair *p = *state;
    struct client *both[] = {p->killed, p->twin};
    for (int i = 0; i < 2; i++)
        expect(both[i], 201, "POST", "/models", EXPRESSION, "\"dtype\":\"float64\",");
    EACH_IS_KEPT(p, training);
    EACH_IS_KEPT(p, more);
}

/* ---- data of all sizes --------------------------------------------------------------------- */

/* More than the model: the state is kept in its place. */
static void test_data_larger_than_the_model(void **state)
{
    struct pair *p = *state;
    char *large = rows_text(6000, ""), *steps = rows_text(6000, ",\"steps\":4");
    create(p, MOMENTUM, 2);
    for (int round = 0; round < 2; round++) {
        deed(p, "POST", "/step", large, 200);
        kill_and_compare(p);
        deed(p, "POST", "/backward", large, 200);
        kill_and_compare(p);
        deed(p, "POST", "/backward", NULL, 200);
        kill_and_compare(p);
        deed(p, "POST", "/optimizer/step", NULL, 200);
        kill_and_compare(p);
        p->killed->slice_ns = round ? 0 : 1000000000;
        deed(p, "POST", "/step", steps, 200);
        kill_and_compare(p);
        deed(p, "POST", "/step", "{\"steps\":3}", 200);
        kill_and_compare(p);
    }
    free(large);
    free(steps);
}

/* Less than the model, and more than stands in a row: the journal has it in chunks. */
static void test_data_in_chunks(void **state)
{
    struct pair *p = *state;
    struct client *both[] = {p->killed, p->twin};
    char *large = wide_text(100, ""), *steps = wide_text(100, ",\"steps\":4");
    for (int i = 0; i < 2; i++)
        create_wide(both[i], "a", MOMENTUM);
    for (int round = 0; round < 2; round++) {
        p->killed->slice_ns = round ? 0 : 1000000000;
        deed(p, "POST", "/step", large, 200);
        kill_and_compare(p);
        deed(p, "POST", "/backward", large, 200);
        kill_and_compare(p);
        deed(p, "POST", "/step", steps, 200);
        kill_and_compare(p);
    }
    assert_true(client_sql(p->killed, "SELECT count(*) FROM journal WHERE bytes > 0") > 0);
    free(large);
    free(steps);
}

/* A step's norm has the same bits in a model that was just loaded: its large gradient is deferred
 * there, too. */
static void test_norms_of_a_loaded_model(void **state)
{
    struct pair *p = *state;
    struct client *both[] = {p->killed, p->twin};
    char body[4096] = "{\"inputs\":[[", number[40];
    for (int i = 0; i < 128; i++) {
        snprintf(number, sizeof number, "%s%.7g",
                 i == 64 ? "]],\"targets\":[["
                 : i     ? ","
                         : "",
                 sin(i * 1.7) * 3);
        strcat(body, number);
    }
    strcat(body, "]]}");
    for (int i = 0; i < 2; i++)
        expect(both[i], 201, "POST", "/models",
               "{\"id\":\"a\",\"seed\":3,\"loss\":\"mse\",\"optimizer\":{\"lr\":0.02},\"layers\":"
               "[{\"type\":\"linear\",\"in_features\":64,\"out_features\":64}]}");
    for (int round = 0; round < 16; round++) {
        deed(p, "POST", "/step", body, 200);
        client_checkpoint(p->killed, "a"); /* behind which nothing is done again */
        kill_and_compare(p);
    }
}

/* ---- calls that are cut -------------------------------------------------------------------- */

/* What the slices of a call did is kept; the rest never was. */
static void test_cut_between_slices(void **state)
{
    struct pair *p = *state;
    struct client *c = p->killed;
    static const char *const bodies[] = {"{\"steps\":50}",
                                         "{\"steps\":50,\"inputs\":[[0.5,-1],[2,0.25]],"
                                         "\"targets\":[[1],[-0.5]]}"};
    create(p, MOMENTUM, 3);
    for (int i = 0; i < 6; i++) {
        char done[200];
        int slices = 1 + 3 * i;
        struct call *running = client_start(c, "POST", "/models/a/step", bodies[i % 2]);
        c->slice_ns = 0;
        for (int k = 0; k < slices; k++) {
            assert_false(client_slice(c, running));
            if (i == 3 && k == 4) /* a checkpoint in the middle of a call */
                client_checkpoint(c, "a");
        }
        call_free(running);
        c->slice_ns = 1000000000;
        snprintf(done, sizeof done, "{\"steps\":%d%s", slices,
                 i % 2 ? strchr(bodies[1], ',') : "}");
        expect_of(p->twin, 200, "POST", "a", "/step", done);
        client_kill(c);
        kill_and_compare(p);
        deed(p, "POST", "/step", NULL, 200);
    }
}

/* ---- what diverges ------------------------------------------------------------------------- */

/* A step that was not made leaves what it leaves: no gradients, a state. */
static void test_diverged(void **state)
{
    static const struct deed deeds[] = {
        {"POST", "/step", FAR, 422},
        {"POST", "/step", NULL, 200},
        {"POST", "/backward", NULL, 200},
        {"POST", "/step", FAR, 422},
        {"POST", "/optimizer/step", NULL, 409},
        {"POST", "/backward", FAR, 422},  /* there were none before */
        {"POST", "/backward", NULL, 200}, /* it goes well, and the model is still "diverged" */
        {"POST", "/backward", NULL, 200},
        {"POST", "/backward", FAR, 422}, /* those of before stay */
        {"POST", "/optimizer/step", NULL, 200},
        {"POST", "/backward", NULL, 200},
        {"PATCH", "", "{\"optimizer\":{\"lr\":1e38}}", 200},
        {"POST", "/optimizer/step", NULL, 422},
        {"POST", "/optimizer/step", NULL, 422},
        {"PATCH", "", "{\"optimizer\":{\"lr\":10,\"maximize\":true}}", 200},
        {"POST", "/step", "{\"steps\":10000}", 422}, /* after some steps */
        {"POST", "/step", NULL, 422},
        {"POST", "/restore", "{\"step\":2}", 200},
        {"POST", "/step", NULL, 200},
    };
    for (int slices = 0; slices < 2; slices++) {
        struct pair *p = *state;
        p->killed->slice_ns = slices ? 0 : 1000000000;
        create(p, slices ? "" : MOMENTUM, 2);
        EACH_IS_KEPT(p, deeds);
        deed(p, "DELETE", "", NULL, 204);
    }
}

/* With on_divergence "continue" there are infinities, and what is no number. */
static void test_infinities(void **state)
{
    static const struct deed deeds[] = {
        {"POST", "/backward", FAR, 200},
        {"POST", "/optimizer/step", NULL, 200},
        {"POST", "/step", NULL, 200},
        {"POST", "/step", "{\"steps\":3}", 200},
        {"POST", "/backward", NULL, 200},
        {"PUT", "/parameters",
         "{\"parameters\":{\"0.weight\":{\"data\":[[1,2],[3,4],[\"Infinity\",6]]},"
         "\"0.bias\":{\"data\":[0.1,0.2,0.3]},\"2.weight\":{\"data\":[[-1,0,1e-3]]},"
         "\"2.bias\":{\"data\":[\"-Infinity\"]}}}",
         200},
        {"POST", "/step", NULL, 200},
        {"POST", "/restore", "{\"step\":1}", 200},
        {"POST", "/restore", "{\"step\":0}", 200},
        {"POST", "/step", NULL, 200},
        {"POST", "/step", FAR, 200},
        {"PATCH", "", "{\"on_divergence\":\"stop\"}", 200},
        {"POST", "/step", NULL, 422},
    };
    struct pair *p = *state;
    create(p, ",\"on_divergence\":\"continue\"" MOMENTUM, 2);
    EACH_IS_KEPT(p, deeds);
}

/* ---- long tails ---------------------------------------------------------------------------- */

/* A journal that has grown long asks for a checkpoint, which lets it go. */
static void test_long_tail(void **state)
{
    struct pair *p = *state;
    struct client *c = p->killed;
    char *rows = rows_text(5000, ""); /* 60 KB: in the row */
    int checkpoints = 0;
    create(p, MOMENTUM, 2);
    for (int i = 0; i < 240; i++) {
        deed(p, "POST", i % 3 ? "/backward" : "/step", i % 4 ? SMALL : rows, 200);
        if (i % 2)
            checkpoints += client_run_due(c);
        if (i % 60 == 59)
            kill_and_compare(p);
    }
    assert_true(checkpoints > 2);
    assert_true(client_sql(c, "SELECT count(*) FROM journal") < 240);
    assert_true(client_sql(c, "SELECT count(*) FROM checkpoints") == 2);
    free(rows);
    for (int i = 0; i < 3; i++) {
        for (int k = 0; k < 400; k++) /* hundreds of rows are done again */
            deed(p, "POST", "/step", k % 2 ? SMALL : NULL, 200);
        kill_and_compare(p);
        client_checkpoint(c, "a");
        kill_and_compare(p);
    }
}

/* … and when it is short again, it asks for none, however much is trained. */
static void test_short_tail(void **state)
{
    struct pair *p = *state;
    struct client *c = p->killed;
    char *rows = rows_text(5000, "");
    client_close(c);
    c->config.checkpoint_seconds = 0;
    client_open(c);
    create(p, MOMENTUM, 2);
    assert_false(client_run_due(c)); /* a journal alone is no reason */
    for (int i = 0; i < 30; i++)
        deed(p, "POST", "/step", rows, 200);
    assert_true(client_run_due(c));
    for (int i = 0; i < 5; i++) {
        deed(p, "POST", "/step", NULL, 200);
        assert_int_equal(client_run_due(c), i == 0); /* which takes it off the list */
    }
    assert_int_equal(client_sql(c, "SELECT count(*) FROM checkpoints"), 1);
    kill_and_compare(p);
    free(rows);
}

/* A checkpoint in the background after any change, and a kill behind the next. */
static void test_checkpoints_in_between(void **state)
{
    struct pair *p = *state;
    create(p, MOMENTUM, 0);
    for (size_t i = 0; i < sizeof training / sizeof *training; i++) {
        do_both(p->killed, "a", p->twin, "a", &training[i]);
        if (i % 3 == 0)
            client_checkpoint(p->killed, "a");
        if (i % 2 == 0)
            kill_and_compare(p);
    }
    for (size_t i = 0; i < sizeof changing / sizeof *changing - 6; i++) {
        do_both(p->killed, "a", p->twin, "a", &changing[i]);
        if (i % 3 == 1)
            client_checkpoint(p->killed, "a");
        if (i % 2 == 1)
            kill_and_compare(p);
    }
}

/* A clean stop is a checkpoint too; and so is every other start after a kill. */
static void test_stops_and_kills(void **state)
{
    struct pair *p = *state;
    create(p, MOMENTUM, 3);
    for (int i = 0; i < 20; i++) {
        deed(p, "POST", i % 4 ? "/step" : "/backward", i % 3 ? NULL : SMALL, 200);
        if (i % 3 == 0)
            client_kill(p->killed);
        if (i % 3 == 1)
            client_reopen(p->killed);
        assert_twins(p->killed, "a", p->twin, "a");
    }
}

/* Another instruction set does the same again. */
static void test_elsewhere(void **state)
{
    struct pair *p = *state;
    static const char *const isas[] = {"auto", "baseline"};
    create(p, MOMENTUM, 3);
    for (int i = 0; i < 6; i++) {
        deed(p, "POST", "/step", i % 2 ? "{\"steps\":7}" : SMALL, 200);
        deed(p, "POST", "/backward", NULL, 200);
        p->killed->config.isa = isas[i % 2]; /* of the next start */
        kill_and_compare(p);
    }
}

#define ROW(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ROW(test_plain),
        ROW(test_float64_with_momentum),
        ROW(test_nesterov),
        ROW(test_in_many_slices),
        ROW(test_power),
        ROW(test_expression),
        ROW(test_data_larger_than_the_model),
        ROW(test_data_in_chunks),
        ROW(test_norms_of_a_loaded_model),
        ROW(test_cut_between_slices),
        ROW(test_diverged),
        ROW(test_infinities),
        ROW(test_long_tail),
        ROW(test_short_tail),
        ROW(test_checkpoints_in_between),
        ROW(test_stops_and_kills),
        ROW(test_elsewhere),
    };
    return cmocka_run_group_tests_name("journal", tests, NULL, NULL);
}
