/* Jobs in a real daemon: they run by themselves, beside whatever clients ask for, and go on after
 * every end, by kill -9 too, to the same bits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/server/daemon.h"
#include "tests/server/dice.h"
#include "tests/server/http_client.h"
#include "tests/server/model_client.h"
#include "tests/server/slow_build.h"

#define ARGS(...) ((const char *const[]){__VA_ARGS__, NULL})
#define SECONDS   60 /* that a job may take here */

/* a: is ended again and again. b: the twin. */
static struct daemon a, b;

static int clean_up(void **state)
{
    (void)state;
    daemon_remove(&a);
    daemon_remove(&b);
    return 0;
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void rest(long ms)
{
    const struct timespec time = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    nanosleep(&time, NULL);
}

static void add_rows(struct text *t, uint64_t *dice, int rows, int columns)
{
    for (int i = 0; i < rows; i++) {
        for (int k = 0; k < columns; k++)
            text_print(t, "%s%.3f",
                       k   ? ","
                       : i ? ",["
                           : "[",
                       (double)dice_between(dice, -1000, 1000) / 1000);
        text_print(t, "]");
    }
}

/* A net of 3, 16 and 2, with 3 batches of 20 rows. */
static void make_model(struct model_client *m, const char *id, const char *more)
{
    struct text spec = {0};
    uint64_t dice = 7;
    text_print(&spec,
               "{\"id\":\"%s\",\"loss\":\"mse\",\"layers\":[{\"type\":\"linear\","
               "\"in_features\":3,\"out_features\":16},{\"type\":\"tanh\"},{\"type\":\"linear\","
               "\"in_features\":16,\"out_features\":2}],\"optimizer\":{\"type\":\"sgd\","
               "\"lr\":0.02,\"momentum\":0.9}%s}",
               id, more);
    ask(m, 201, "POST", spec.at, "/models");
    text_free(&spec);
    for (int i = 0; i < 3; i++) {
        struct text batch = {0};
        text_print(&batch, "{\"inputs\":[");
        add_rows(&batch, &dice, 20, 3);
        text_print(&batch, "],\"targets\":[");
        add_rows(&batch, &dice, 20, 2);
        text_print(&batch, "]}");
        ask(m, 201, "POST", batch.at, "/models/%s/batches", id);
        text_free(&batch);
    }
}

static int start(struct model_client *m, const char *id, int epochs)
{
    char body[200];
    snprintf(body, sizeof body,
             "{\"epochs\":%d,\"batch_size\":8,\"shuffle\":true,\"seed\":3,\"validation_split\":0.2,"
             "\"lr_schedule\":{\"type\":\"exponential_lr\",\"gamma\":0.9999}}",
             epochs);
    return (int)number(ask(m, 202, "POST", body, "/models/%s/fit", id), "job");
}

static bool is_over(struct model_client *m, int job)
{
    const char *state = string(ask(m, 200, "GET", NULL, "/jobs/%d", job), "state");
    return strcmp(state, "queued") != 0 && strcmp(state, "running") != 0;
}

static void await(struct model_client *m, int job)
{
    double end = now() + SECONDS;
    while (!is_over(m, job)) {
        if (now() > end)
            fail_msg("job %d does not end: %s", job, m->reply->body);
        rest(5);
    }
    assert_string_equal(string(m->json, "state"), "done");
}

/* ---- ends ---------------------------------------------------------------------------------- */

static char *text_of(struct daemon *d, const char *id)
{
    struct model_client m;
    model_client_open(&m, d->url);
    char *text = model_text(&m, id);
    model_client_close(&m);
    return text;
}

static const struct {
    const char *id, *more;
} kinds[] = {
    {"process", ""}, {"power", ",\"durability\":\"power\""}, {"double", ",\"dtype\":\"float64\""}};
enum { KINDS = sizeof kinds / sizeof kinds[0] };

static void make_jobs(struct daemon *d, int epochs)
{
    struct model_client m;
    model_client_open(&m, d->url);
    for (int i = 0; i < KINDS; i++) {
        make_model(&m, kinds[i].id, kinds[i].more);
        assert_int_equal(start(&m, kinds[i].id, epochs), i + 1);
    }
    model_client_close(&m);
}

static void await_all(struct daemon *d)
{
    struct model_client m;
    model_client_open(&m, d->url);
    for (int i = 0; i < KINDS; i++)
        await(&m, i + 1);
    model_client_close(&m);
}

/* How far the jobs are, in steps, once the daemon has started; nobody asks for the models. */
static double steps_of_all(struct daemon *d, int *over)
{
    struct model_client m;
    double steps = 0;
    *over = 0;
    model_client_open(&m, d->url);
    for (int i = 0; i < KINDS; i++) {
        *over += is_over(&m, i + 1);
        steps += number(m.json, "step");
    }
    model_client_close(&m);
    return steps;
}

/* Returns how often it was ended while not all jobs were over. */
static int end_again_and_again(int signal)
{
    uint64_t dice = dice_seed();
    int ends = 0, over = 0;
    double before = 0;
    while (over < KINDS && ends < 200) {
        rest(dice_between(&dice, 1, SLOW_BUILD ? 150 : 60));
        daemon_signal(&a, signal);
        assert_int_equal(daemon_wait(&a), signal == SIGKILL ? 128 + SIGKILL : 0);
        ends++;
        daemon_start(&a, DAEMON_REAL, ARGS("--workers", ends % 2 ? "1" : "2"));
        double steps = steps_of_all(&a, &over);
        if (steps < before)
            fail_msg("start %d: %g steps, where %g were seen", ends, steps, before);
        before = steps;
    }
    return ends;
}

static void same_bits(int signal)
{
    int epochs = SLOW_BUILD ? 2000 : 8000;
    daemon_start(&a, DAEMON_REAL, NULL);
    daemon_start(&b, DAEMON_REAL, NULL);
    make_jobs(&b, epochs);
    make_jobs(&a, epochs);
    int ends = end_again_and_again(signal);
    await_all(&a);
    await_all(&b);
    for (int i = 0; i < KINDS; i++) {
        char *one = text_of(&a, kinds[i].id), *other = text_of(&b, kinds[i].id);
        assert_same_text(one, other);
        free(one);
        free(other);
    }
    print_message("%d ends\n", ends);
    assert_true(ends >= 4);
    assert_int_equal(daemon_stop(&a), 0);
    char data[160];
    snprintf(data, sizeof data, "%s/gradd.db", a.dir);
    assert_int_equal(daemon_run(&a, DAEMON_REAL, ARGS("verify", data)), 0);
    assert_int_equal(daemon_stop(&b), 0);
}

static void test_killed_again_and_again(void **state)
{
    (void)state;
    same_bits(SIGKILL);
}

static void test_stopped_again_and_again(void **state)
{
    (void)state;
    same_bits(SIGTERM);
}

/* ---- beside others ------------------------------------------------------------------------- */

/* A job of an hour makes nobody wait, and fills no queue. */
static void test_others_do_not_wait(void **state)
{
    struct model_client m;
    (void)state;
    daemon_start(&a, DAEMON_REAL, ARGS("--queue", "1", "--workers", "1"));
    model_client_open(&m, a.url);
    make_model(&m, "a", "");
    int job = start(&m, "a", 100000000);
    double begin = now(), slowest = 0;
    for (int i = 0; i < 40; i++) {
        double at = now();
        ask(&m, 200, "POST", "{\"batch\":1}", "/models/a/step");
        ask(&m, 200, "GET", NULL, "/models/a/gradients?summary=1");
        ask(&m, 200, "PATCH", "{\"optimizer\":{\"lr\":0.01}}", "/models/a");
        ask(&m, 200, "POST", "{\"inputs\":[[1,2,3]]}", "/models/a/forward");
        slowest = now() - at > slowest ? now() - at : slowest;
    }
    print_message("40 rounds of 4 calls in %.0f ms, the slowest %.0f ms\n", 1e3 * (now() - begin),
                  1e3 * slowest);
    assert_true(now() - begin < (SLOW_BUILD ? 40 : 8));
    assert_string_equal(string(ask(&m, 200, "GET", NULL, "/models/a"), "state"), "training");
    double at = now();
    ask(&m, 204, "DELETE", NULL, "/jobs/%d", job);
    assert_true(now() - at < (SLOW_BUILD ? 5 : 1));
    double step = number(ask(&m, 200, "GET", NULL, "/models/a"), "step");
    rest(50);
    assert_true(number(ask(&m, 200, "GET", NULL, "/models/a"), "step") == step);
    assert_string_equal(string(m.json, "state"), "ready");
    job = start(&m, "a", 100000000);
    rest(20);
    ask(&m, 204, "DELETE", NULL, "/models/a");
    assert_string_equal(string(ask(&m, 200, "GET", NULL, "/jobs/%d", job), "state"), "cancelled");
    model_client_close(&m);
    assert_int_equal(daemon_stop(&a), 0);
}

/* More models with jobs than may run at a time, and than memory holds. */
static void test_many_models(void **state)
{
    enum { MODELS = SLOW_BUILD ? 150 : 400 };
    struct model_client m;
    int job[MODELS];
    char id[16];
    (void)state;
    daemon_start(&a, DAEMON_REAL, ARGS("--memory", "1M"));
    model_client_open(&m, a.url);
    for (int i = 0; i < MODELS; i++) {
        snprintf(id, sizeof id, "m%d", i);
        make_model(&m, id, i % 3 ? "" : ",\"durability\":\"none\"");
    }
    for (int i = 0; i < MODELS; i++) {
        snprintf(id, sizeof id, "m%d", i);
        job[i] = start(&m, id, 200);
    }
    char *first = NULL;
    for (int i = 0; i < MODELS; i++) {
        await(&m, job[i]);
        ask(&m, 200, "GET", NULL, "/models/m%d/parameters", i);
        first = first ? first : strdup(m.reply->body);
        assert_same_text(m.reply->body, first);
    }
    free(first);
    assert_true(number(ask(&m, 200, "GET", NULL, "/memory"), "models/put_away") > MODELS);
    model_client_close(&m);
    assert_int_equal(daemon_stop(&a), 0);
}

#define JOB_TEST(f) cmocka_unit_test_teardown(f, clean_up)

int main(void)
{
    const struct CMUnitTest tests[] = {
        JOB_TEST(test_killed_again_and_again),
        JOB_TEST(test_stopped_again_and_again),
        JOB_TEST(test_others_do_not_wait),
        JOB_TEST(test_many_models),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
