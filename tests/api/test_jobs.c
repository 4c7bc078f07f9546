/* Jobs: what is refused, what a client sees, and that nothing that happens to the daemon or to the
 * model on the way changes what comes of it. test_fit.c has PyTorch's numbers. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/api/twins.h"

#define MOMENTUM ",\"optimizer\":{\"type\":\"sgd\",\"lr\":0.05,\"momentum\":0.9}"
/* 12 rows, 9 of which train: 3 steps an epoch, and 2 slices of validation. */
#define JOB                                                                                        \
    "{\"epochs\":4,\"batch_size\":4,\"shuffle\":true,\"seed\":5,\"validation_split\":0.25,"        \
    "\"lr_schedule\":{\"type\":\"step_lr\",\"step_size\":1,\"gamma\":0.5},"                        \
    "\"early_stopping\":{\"patience\":9}}"
#define STEPS 12

static void make(struct client *c, const char *id, const char *more)
{
    create_net(c, id, more);
    for (int k = 1; k <= 3; k++)
        push_batch(c, id, k);
}

/* Returns its number. */
static int start(struct client *c, const char *id, const char *body)
{
    return (int)number_at(expect_of(c, 202, "POST", id, "/fit", body), "/job");
}

static const struct reply *job(struct client *c, int n)
{
    char target[40];
    snprintf(target, sizeof target, "/jobs/%d", n);
    return expect(c, 200, "GET", target, NULL);
}

static void assert_state(struct client *c, int n, const char *state)
{
    assert_string_equal(string_at(job(c, n), "/state"), state);
}

static void end(struct client *c, int status, int n)
{
    char target[40];
    snprintf(target, sizeof target, "/jobs/%d", n);
    expect(c, status, "DELETE", target, NULL);
}

/* ---- what is refused ----------------------------------------------------------------------- */

static void test_fields(void **state)
{
    static const struct {
        const char *body, *pointer;
    } wrong[] = {
        {"{\"epoch\":1}", "/epoch"},
        {"{\"epochs\":0}", "/epochs"},
        {"{\"epochs\":1e18}", "/epochs"},
        {"{\"epochs\":1.5}", "/epochs"},
        {"{\"epochs\":\"NaN\"}", "/epochs"},
        {"{\"batch_size\":0}", "/batch_size"},
        {"{\"batch_size\":-1}", "/batch_size"},
        {"{\"batch_size\":1e300}", "/batch_size"},
        {"{\"shuffle\":1}", "/shuffle"},
        {"{\"seed\":-1}", "/seed"},
        {"{\"seed\":1e17}", "/seed"},
        {"{\"validation_split\":1}", "/validation_split"},
        {"{\"validation_split\":-0.1}", "/validation_split"},
        {"{\"validation_split\":\"NaN\"}", "/validation_split"},
        {"{\"validation_split\":0.999}", "/validation_split"},
        {"{\"validation_split\":1e-9}", NULL}, /* leaves 11 of 12 rows */
        {"{\"early_stopping\":3}", "/early_stopping"},
        {"{\"early_stopping\":{}}", "/early_stopping/patience"},
        {"{\"early_stopping\":{\"patience\":0}}", "/early_stopping/patience"},
        {"{\"early_stopping\":{\"patience\":1,\"min_delta\":-1}}", "/early_stopping/min_delta"},
        {"{\"early_stopping\":{\"patience\":1,\"type\":\"x\"}}", "/early_stopping/type"},
        {"{\"lr_schedule\":\"step_lr\"}", "/lr_schedule"},
        {"{\"lr_schedule\":{}}", "/lr_schedule/type"},
        {"{\"lr_schedule\":{\"type\":\"cyclic_lr\"}}", "/lr_schedule/type"},
        {"{\"lr_schedule\":{\"type\":\"step_lr\"}}", "/lr_schedule/step_size"},
        {"{\"lr_schedule\":{\"type\":\"step_lr\",\"step_size\":0}}", "/lr_schedule/step_size"},
        {"{\"lr_schedule\":{\"type\":\"step_lr\",\"step_size\":1,\"gamma\":-1}}",
         "/lr_schedule/gamma"},
        {"{\"lr_schedule\":{\"type\":\"exponential_lr\"}}", "/lr_schedule/gamma"},
        {"{\"lr_schedule\":{\"type\":\"cosine_annealing_lr\"}}", "/lr_schedule/T_max"},
        {"{\"lr_schedule\":{\"type\":\"cosine_annealing_lr\",\"T_max\":2,\"eta\":0}}",
         "/lr_schedule/eta"},
    };
    struct client *c = *state;
    make(c, "a", "");
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        const struct reply *r = ask_plain(c, "POST", "/models/a/fit", wrong[i].body);
        if (!wrong[i].pointer)
            assert_int_equal(r->status, 202);
        else if (r->status != 422 || strcmp(string_at(r, "/pointer"), wrong[i].pointer) != 0)
            fail_msg("%s: %s", wrong[i].body, r->text);
    }
    const struct reply *r = job(c, 1);
    assert_int_equal(number_at(r, "/rows"), 11);
    assert_int_equal(number_at(r, "/validation_rows"), 1);
}

static void test_defaults(void **state)
{
    struct client *c = *state;
    make(c, "a", "");
    const struct reply *r = expect_of(c, 202, "POST", "a", "/fit", NULL);
    assert_string_equal(r->location, "/jobs/1");
    assert_json(r, "/epochs", "1");
    assert_json(r, "/batch_size", "32");
    assert_json(r, "/shuffle", "false");
    assert_json(r, "/seed", "0");
    assert_json(r, "/validation_split", "0");
    assert_json(r, "/early_stopping", "null");
    assert_json(r, "/lr_schedule", "null");
    assert_json(r, "/steps", "1");
    assert_json(r, "/loss", "null");
    assert_json(r, "/started_at", "null");
    client_run_jobs(c);
    r = job(c, 1);
    assert_string_equal(string_at(r, "/state"), "done");
    assert_json(r, "/step", "1");
    assert_json(r, "/epoch", "1");
    assert_json(r, "/validation_loss", "null");
    assert_non_null(string_at(r, "/finished_at"));
}

static void test_data_that_does_not_fit(void **state)
{
    struct client *c = *state;
    create_net(c, "a", "");
    assert_problem(expect_of(c, 409, "POST", "a", "/fit", NULL), 409, "conflict", "");
    push_batch(c, "a", 1);
    expect_of(c, 201, "POST", "a", "/batches",
              "{\"inputs\":[[[1,2],[3,4]]],\"targets\":[[[1],[2]]]}");
    const struct reply *r = expect_of(c, 422, "POST", "a", "/fit", NULL);
    assert_problem(r, 422, "invalid-argument", "");
    assert_non_null(strstr(r->text, "batches 1 and 2"));
    /* an expression without rows */
    expect(c, 201, "POST", "/models", "%s",
           "{\"id\":\"e\",\"parameters\":{\"w\":{\"data\":1}},\"forward\":\"(w * x).sum()\","
           "\"loss\":\"mse\"}");
    expect_of(c, 201, "POST", "e", "/batches", "{\"inputs\":[1,2],\"targets\":3}");
    expect_of(c, 422, "POST", "e", "/fit", NULL);
    expect(c, 404, "POST", "/models/none/fit", NULL);
    expect(c, 404, "GET", "/jobs/1", NULL);
    expect(c, 404, "GET", "/jobs/x", NULL);
    expect(c, 404, "DELETE", "/jobs/1", NULL);
    expect(c, 405, "POST", "/jobs", "{}");
}

static void test_too_many(void **state)
{
    struct client *c = *state;
    make(c, "a", "");
    make(c, "b", "");
    for (int i = 0; i < 16; i++)
        start(c, "a", "{\"epochs\":100}");
    assert_problem(expect_of(c, 429, "POST", "a", "/fit", NULL), 429, "busy", "");
    start(c, "b", NULL); /* another model's */
    end(c, 204, 3);
    start(c, "a", NULL);
}

/* ---- what a client sees -------------------------------------------------------------------- */

static void test_a_life(void **state)
{
    struct client *c = *state;
    make(c, "a", MOMENTUM);
    int first = start(c, "a", JOB), second = start(c, "a", "{\"epochs\":2,\"batch_size\":12}");
    c->slice_ns = 0;
    for (int i = 0; i < 5; i++)
        assert_true(client_job_slice(c));
    const struct reply *r = job(c, first);
    assert_string_equal(string_at(r, "/state"), "running");
    assert_int_equal(number_at(r, "/epoch"), 1); /* 3 steps, and 1 slice of 3 rows held out */
    assert_int_equal(number_at(r, "/step"), 4);
    assert_int_equal(number_at(r, "/steps"), STEPS);
    assert_true(number_at(r, "/loss") > 0 && number_at(r, "/validation_loss") > 0);
    assert_true(number_at(r, "/rows_per_second") > 0 && number_at(r, "/eta_seconds") >= 0);
    assert_true(number_at(r, "/lr") == 0.025);
    assert_state(c, second, "queued");
    r = expect(c, 200, "GET", "/models/a", NULL);
    assert_string_equal(string_at(r, "/state"), "training");
    assert_int_equal(number_at(r, "/step"), 4);
    client_run_jobs(c);
    assert_state(c, first, "done");
    assert_state(c, second, "done");
    r = expect(c, 200, "GET", "/models/a", NULL);
    assert_string_equal(string_at(r, "/state"), "ready");
    assert_int_equal(number_at(r, "/step"), STEPS + 2);
}

static void test_the_list(void **state)
{
    struct client *c = *state;
    make(c, "a", "");
    make(c, "b", "");
    for (int i = 0; i < 3; i++)
        start(c, i == 1 ? "b" : "a", NULL);
    client_run_jobs(c);
    start(c, "a", NULL);
    const struct reply *r = expect(c, 200, "GET", "/jobs?limit=2", NULL);
    assert_int_equal(cJSON_GetArraySize(at(r, "/jobs")), 2);
    assert_int_equal(number_at(r, "/next"), 2);
    assert_string_equal(string_at(r, "/jobs/1/model"), "b");
    r = expect(c, 200, "GET", "/jobs?after=2", NULL);
    assert_int_equal(cJSON_GetArraySize(at(r, "/jobs")), 2);
    assert_null(json_find(r->json, "/next"));
    assert_string_equal(string_at(r, "/jobs/0/state"), "done");
    assert_string_equal(string_at(r, "/jobs/1/state"), "queued");
    r = expect(c, 200, "GET", "/jobs?model=a&limit=2", NULL);
    assert_int_equal(number_at(r, "/jobs/1/job"), 3);
    assert_int_equal(number_at(r, "/next"), 3);
    expect(c, 400, "GET", "/jobs?model=a/b", NULL);
    expect(c, 400, "GET", "/jobs?limit=0", NULL);
    end(c, 204, 1); /* a finished one is removed */
    expect(c, 404, "GET", "/jobs/1", NULL);
    r = expect(c, 200, "GET", "/jobs?model=a", NULL);
    assert_int_equal(number_at(r, "/jobs/0/job"), 3);
}

static void test_cancel(void **state)
{
    struct client *c = *state;
    make(c, "a", MOMENTUM);
    c->slice_ns = 0;
    int running = start(c, "a", JOB), queued = start(c, "a", JOB), last = start(c, "a", NULL);
    client_job_slice(c);
    client_job_slice(c);
    end(c, 204, running);
    end(c, 204, queued);
    const struct reply *r = job(c, running);
    assert_string_equal(string_at(r, "/state"), "cancelled");
    assert_int_equal(number_at(r, "/step"), 2);
    assert_non_null(string_at(r, "/finished_at"));
    r = job(c, queued);
    assert_string_equal(string_at(r, "/state"), "cancelled");
    assert_int_equal(number_at(r, "/step"), 0);
    assert_string_equal(string_at(expect(c, 200, "GET", "/models/a", NULL), "/state"), "ready");
    client_kill(c);
    assert_state(c, running, "cancelled");
    client_run_jobs(c);
    assert_state(c, last, "done");
    assert_int_equal(number_at(expect(c, 200, "GET", "/models/a", NULL), "/step"), 3);
    assert_outlives_kill(c);
    end(c, 204, running);
    end(c, 404, running);
}

/* ---- others in between --------------------------------------------------------------------- */

static void test_others_come_between(void **state)
{
    struct client *c = *state;
    make(c, "a", MOMENTUM);
    c->slice_ns = 0;
    int n = start(c, "a", JOB);
    client_job_slice(c);
    expect_of(c, 200, "POST", "a", "/step", "{\"batch\":2}");
    expect_of(c, 200, "GET", "a", "/gradients", NULL);
    client_job_slice(c);
    expect_of(c, 200, "PATCH", "a", "", "{\"optimizer\":{\"lr\":0.4}}");
    expect_of(c, 200, "POST", "a", "/backward", "{\"batch\":2}");
    push_batch(c, "a", 9); /* which is none of its data */
    for (int i = 0; i < 2; i++)
        client_job_slice(c);
    const struct reply *r = job(c, n);
    assert_int_equal(number_at(r, "/epoch"), 1);
    assert_true(number_at(r, "/lr") == 0.2); /* the rate goes on from where it was set */
    assert_outlives_kill(c);
    expect_of(c, 200, "PUT", "a", "/parameters/2.bias",
              "{\"parameters\":{\"2.bias\":{\"data\":[1]}}}");
    client_run_jobs(c);
    assert_state(c, n, "done");
    assert_int_equal(number_at(expect_of(c, 200, "GET", "a", "", NULL), "/step"), STEPS + 1);
    assert_outlives_kill(c);
}

/* Several models take turns, slice by slice; a model's own jobs come one after the other. */
static void test_fair_turns(void **state)
{
    struct client *c = *state;
    char id[8];
    c->slice_ns = 0;
    for (int i = 0; i < 5; i++) {
        snprintf(id, sizeof id, "m%d", i);
        make(c, id, "");
        start(c, id, "{\"epochs\":3,\"batch_size\":4}");
        start(c, id, "{\"epochs\":3,\"batch_size\":4}");
    }
    for (int i = 0; i < 4 * 5; i++)
        assert_true(client_job_slice(c));
    for (int i = 0; i < 5; i++) {
        assert_int_equal(number_at(job(c, 2 * i + 1), "/step"), 4);
        assert_int_equal(number_at(job(c, 2 * i + 2), "/step"), 0);
    }
}

static void test_its_batches_stay(void **state)
{
    struct client *c = *state;
    make(c, "a", "");
    c->slice_ns = 0;
    start(c, "a", JOB);
    push_batch(c, "a", 4);
    assert_problem(expect_of(c, 409, "DELETE", "a", "/batches/2", NULL), 409, "conflict", "");
    expect_of(c, 204, "DELETE", "a", "/batches/4", NULL); /* it came later */
    client_job_slice(c);
    assert_problem(expect_of(c, 409, "DELETE", "a", "/batches/2", NULL), 409, "conflict", "");
    client_run_jobs(c);
    expect_of(c, 204, "DELETE", "a", "/batches/2", NULL);
    assert_outlives_kill(c);
}

static void test_its_model_goes(void **state)
{
    struct client *c = *state;
    make(c, "a", "");
    c->slice_ns = 0;
    int first = start(c, "a", JOB), second = start(c, "a", JOB);
    client_job_slice(c);
    expect_of(c, 204, "DELETE", "a", "", NULL);
    assert_state(c, first, "cancelled");
    assert_int_equal(number_at(job(c, first), "/step"), 1);
    assert_state(c, second, "cancelled");
    assert_false(client_job_slice(c));
    make(c, "a", "");
    int third = start(c, "a", JOB);
    client_kill(c);
    assert_state(c, second, "cancelled");
    client_run_jobs(c);
    assert_state(c, third, "done");
    assert_int_equal(number_at(expect_of(c, 200, "GET", "a", "", NULL), "/step"), STEPS);
}

/* ---- what goes wrong ----------------------------------------------------------------------- */

static void test_divergence(void **state)
{
    struct client *c = *state;
    make(c, "a", MOMENTUM);
    c->slice_ns = 0;
    int n = start(c, "a", JOB);
    client_job_slice(c);
    expect_of(c, 200, "PATCH", "a", "", "{\"optimizer\":{\"lr\":1e30}}");
    client_run_jobs(c);
    const struct reply *r = job(c, n);
    assert_string_equal(string_at(r, "/state"), "diverged");
    assert_string_equal(string_at(r, "/problem/type"), "/problems/diverged");
    assert_int_equal(number_at(r, "/problem/status"), 422);
    assert_true(number_at(r, "/problem/step") == number_at(r, "/step"));
    assert_non_null(at(r, "/problem/max_stable_lr"));
    assert_non_null(at(r, "/problem/loss"));
    assert_string_equal(string_at(expect_of(c, 200, "GET", "a", "", NULL), "/state"), "diverged");
    assert_outlives_kill(c);
    assert_string_equal(string_at(job(c, n), "/problem/type"), "/problems/diverged");
    expect_of(c, 200, "POST", "a", "/restore", "{\"step\":1}");
    n = start(c, "a", JOB);
    client_run_jobs(c);
    assert_state(c, n, "done");
}

static void test_damage(void **state)
{
    struct client *c = *state;
    make(c, "a", MOMENTUM);
    c->slice_ns = 0;
    int n = start(c, "a", JOB);
    for (int i = 0; i < 3; i++)
        client_job_slice(c);
    client_damage(c, "UPDATE journal SET body = zeroblob(40) WHERE seq = 5");
    assert_string_equal(string_at(expect_of(c, 200, "GET", "a", "", NULL), "/state"), "damaged");
    client_run_jobs(c);
    const struct reply *r = job(c, n);
    assert_string_equal(string_at(r, "/state"), "failed");
    assert_string_equal(string_at(r, "/problem/type"), "/problems/conflict");
    expect_of(c, 200, "POST", "a", "/restore", "{\"step\":1}");
    n = start(c, "a", JOB);
    client_run_jobs(c);
    assert_state(c, n, "done");
    client_damage(c, "UPDATE jobs SET text = '{}' WHERE n = 1");
    expect(c, 503, "GET", "/jobs/1", NULL);
    assert_state(c, n, "done");
    end(c, 204, 1);
    expect(c, 200, "GET", "/jobs", NULL);
}

/* ---- exactly once -------------------------------------------------------------------------- */

static const struct reply *keyed(struct client *c, const char *body)
{
    return ask_headed(c, &(struct request){.method = "POST",
                                           .target = "/models/a/fit",
                                           .body = body,
                                           .header = {"Idempotency-Key", "monday"}});
}

static void test_one_job_for_one_key(void **state)
{
    static const char *const durability[] = {"process", "power", "none"};
    struct client *c = *state;
    for (int i = 0; i < 3; i++) {
        char more[60];
        snprintf(more, sizeof more, ",\"durability\":\"%s\"", durability[i]);
        struct client *own = client_new("auto");
        make(own, "a", more);
        char *first = strdup(keyed(own, JOB)->text);
        client_kill(own);
        const struct reply *r = keyed(own, JOB);
        assert_int_equal(r->status, 202);
        assert_true(r->replayed);
        assert_string_equal(r->text, first);
        assert_string_equal(r->location, "/jobs/1");
        assert_int_equal(keyed(own, "{\"epochs\":2}")->status, 422);
        r = expect(own, 200, "GET", "/jobs", NULL);
        assert_int_equal(cJSON_GetArraySize(at(r, "/jobs")), 1);
        client_run_jobs(own);
        assert_int_equal(number_at(expect_of(own, 200, "GET", "a", "", NULL), "/step"), STEPS);
        free(first);
        client_free(own);
    }
    make(c, "a", "");
    const struct reply *r = ask_headed(c, &(struct request){.method = "POST",
                                                            .target = "/models/a/fit",
                                                            .header = {"If-Match", "\"step-1\""}});
    assert_problem(r, 412, "precondition-failed", "");
}

/* ---- whatever happens to the daemon -------------------------------------------------------- */

static void calm(struct client *c)
{
    (void)c;
}

static void checkpoint(struct client *c)
{
    client_checkpoint(c, "a");
}

static void checkpoint_and_kill(struct client *c)
{
    client_checkpoint(c, "a");
    client_kill(c);
}

/* What is there once `happens` has come after every slice that is a multiple of `every`. */
static void assert_same_end(struct client *twin, const char *more, int64_t slice_ns,
                            void (*happens)(struct client *c), int every)
{
    struct client *c = client_new("auto");
    c->slice_ns = slice_ns;
    make(c, "a", more);
    int n = start(c, "a", JOB), step = 0;
    for (int i = 1; client_job_slice(c); i++) {
        if (i % every)
            continue;
        int before = (int)number_at(expect_of(c, 200, "GET", "a", "", NULL), "/step");
        happens(c);
        const struct reply *r = expect_of(c, 200, "GET", "a", "", NULL);
        assert_int_equal(number_at(r, "/step"), before); /* kept, and nothing is done twice */
        if (before < STEPS)
            assert_int_equal(number_at(job(c, n), "/step"), before);
        step = before;
    }
    assert_int_equal(step, every == 1 ? STEPS : step);
    assert_state(c, n, "done");
    assert_twins(c, "a", twin, "a");
    const struct reply *r = job(c, n);
    double loss = number_at(r, "/loss"), validation = number_at(r, "/validation_loss");
    r = job(twin, 1);
    assert_true(number_at(r, "/loss") == loss && number_at(r, "/validation_loss") == validation);
    client_free(c);
}

static void test_same_bits_after_all(void **state)
{
    static const char *const more[] = {MOMENTUM, MOMENTUM ",\"durability\":\"power\"",
                                       MOMENTUM ",\"dtype\":\"float64\""};
    static void (*const happens[])(struct client * c) = {calm, client_kill, client_reopen,
                                                         checkpoint, checkpoint_and_kill};
    (void)state;
    for (size_t m = 0; m < sizeof more / sizeof *more; m++) {
        struct client *twin = client_new("auto");
        make(twin, "a", more[m]);
        start(twin, "a", JOB);
        client_run_jobs(twin);
        for (size_t i = 0; i < sizeof happens / sizeof *happens; i++) {
            assert_same_end(twin, more[m], 0, happens[i], 1);
            assert_same_end(twin, more[m], 0, happens[i], 4);
            assert_same_end(twin, more[m], 100000, happens[i], 1);
        }
        client_free(twin);
    }
}

/* Without a journal it goes back, with its model, to the last checkpoint. */
static void test_without_a_journal(void **state)
{
    struct client *c = *state, *twin = client_new("auto");
    static const char more[] = MOMENTUM ",\"durability\":\"none\"";
    make(twin, "a", more);
    start(twin, "a", JOB);
    client_run_jobs(twin);
    client_kill(twin); /* its end is kept */
    assert_state(twin, 1, "done");
    assert_int_equal(number_at(expect_of(twin, 200, "GET", "a", "", NULL), "/step"), STEPS);
    make(c, "a", more);
    c->slice_ns = 0;
    start(c, "a", JOB);
    for (int i = 1; client_job_slice(c); i++) {
        if (i == 3 || i == 8)
            client_checkpoint(c, "a");
        if (i == 2 || i == 5 || i == 11 || i == 15) {
            int step = (int)number_at(expect_of(c, 200, "GET", "a", "", NULL), "/step");
            client_kill(c);
            const struct reply *r = expect_of(c, 200, "GET", "a", "", NULL);
            int now = (int)number_at(r, "/step");
            assert_true(now <= step);
            assert_int_equal(number_at(job(c, 1), "/step"), now);
        }
        if (i == 18)
            client_reopen(c);
    }
    assert_state(c, 1, "done");
    assert_twins(c, "a", twin, "a");
    client_free(twin);
}

/* More models than memory: between two slices a model may leave it. */
static void test_put_away(void **state)
{
    struct client *c = *state, *twin = client_new("auto");
    char id[8];
    client_close(c);
    c->config.memory = 1;
    client_open(c);
    c->slice_ns = 0;
    make(twin, "a", MOMENTUM);
    start(twin, "a", JOB);
    client_run_jobs(twin);
    for (int i = 0; i < 4; i++) {
        snprintf(id, sizeof id, "m%d", i);
        make(c, id, i % 2 ? MOMENTUM : MOMENTUM ",\"durability\":\"none\"");
        start(c, id, JOB);
    }
    client_run_jobs(c);
    for (int i = 0; i < 4; i++) {
        char target[40];
        snprintf(target, sizeof target, "/models/m%d/parameters", i);
        assert_same_answer(c, target, twin, "/models/a/parameters");
    }
    client_free(twin);
}

/* ---- the past ------------------------------------------------------------------------------ */

static void test_rewind(void **state)
{
    struct client *c = *state, *twin = client_new("auto");
    make(c, "a", MOMENTUM);
    make(twin, "a", MOMENTUM);
    start(c, "a", JOB);
    client_run_jobs(c);
    start(twin, "a", JOB);
    twin->slice_ns = 0;
    for (int step = 0; step <= STEPS; step++) {
        char body[60];
        while ((int)number_at(expect_of(twin, 200, "GET", "a", "", NULL), "/step") < step)
            assert_true(client_job_slice(twin));
        snprintf(body, sizeof body, "{\"id\":\"f%d\",\"step\":%d}", step, step);
        expect_of(c, 201, "POST", "a", "/fork", body);
        snprintf(body, sizeof body, "/models/f%d/parameters", step);
        assert_same_answer(c, body, twin, "/models/a/parameters");
    }
    expect_of(c, 200, "POST", "a", "/restore", "{\"step\":7}");
    assert_same_answer(c, "/models/a/parameters", c, "/models/f7/parameters");
    assert_outlives_kill(c);
    client_free(twin);
}

/* The job of a model that goes back goes on from there; a fork has none. */
static void test_back_and_on(void **state)
{
    struct client *c = *state;
    make(c, "a", MOMENTUM);
    c->slice_ns = 0;
    start(c, "a", JOB);
    for (int i = 0; i < 8; i++)
        client_job_slice(c);
    int step = (int)number_at(job(c, 1), "/step");
    expect_of(c, 200, "POST", "a", "/restore", "{\"step\":2}");
    expect_of(c, 201, "POST", "a", "/fork", "{\"id\":\"b\"}");
    expect_of(c, 201, "POST", "a", "/fork", "{\"id\":\"d\",\"step\":1}");
    client_kill(c);
    assert_int_equal(number_at(job(c, 1), "/step"), step);
    client_run_jobs(c);
    assert_state(c, 1, "done");
    const struct reply *r = expect_of(c, 200, "GET", "a", "", NULL);
    assert_int_equal(number_at(r, "/step"), 2 + STEPS - step);
    assert_int_equal(number_at(expect_of(c, 200, "GET", "b", "", NULL), "/step"), 2);
    assert_int_equal(number_at(expect_of(c, 200, "GET", "d", "", NULL), "/step"), 1);
    assert_outlives_kill(c);
}

static void count_line(void *arg, const char *line)
{
    (void)line;
    ++*(int *)arg;
}

static void test_verify(void **state)
{
    struct client *c = *state;
    struct err e;
    bool sound = false;
    int lines = 0;
    make(c, "a", MOMENTUM);
    c->slice_ns = 0;
    start(c, "a", JOB);
    for (int i = 0; i < 9; i++)
        client_job_slice(c);
    client_kill(c);
    assert_int_equal(api_verify(c->api, count_line, &lines, &sound, &e), ERR_OK);
    assert_true(sound && lines == 1);
    client_damage(c, "UPDATE jobs SET created_at = created_at + 1");
    assert_int_equal(api_verify(c->api, count_line, &lines, &sound, &e), ERR_OK);
    assert_false(sound);
}

#define JOB_TEST(f) cmocka_unit_test_setup_teardown(f, client_setup, client_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        JOB_TEST(test_fields),
        JOB_TEST(test_defaults),
        JOB_TEST(test_data_that_does_not_fit),
        JOB_TEST(test_too_many),
        JOB_TEST(test_a_life),
        JOB_TEST(test_the_list),
        JOB_TEST(test_cancel),
        JOB_TEST(test_others_come_between),
        JOB_TEST(test_fair_turns),
        JOB_TEST(test_its_batches_stay),
        JOB_TEST(test_its_model_goes),
        JOB_TEST(test_divergence),
        JOB_TEST(test_damage),
        JOB_TEST(test_one_job_for_one_key),
        JOB_TEST(test_same_bits_after_all),
        JOB_TEST(test_without_a_journal),
        JOB_TEST(test_put_away),
        JOB_TEST(test_rewind),
        JOB_TEST(test_back_and_on),
        JOB_TEST(test_verify),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
