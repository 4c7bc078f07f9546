/* A crowd that asks one model for forwards which go through the pool, so that they are run
 * together: what each is told is what it would be told alone.
 *
 * Client threads count; what they have found is judged by the test's own thread. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/server/daemon.h"
#include "tests/server/http_client.h"
#include "tests/server/model_client.h"
#include "tests/server/slow_build.h"

#define ARGS(...) ((const char *const[]){__VA_ARGS__, NULL})

enum { CLIENTS = 16, WIDTH = 700, BODIES = 4, EACH = COUNT(120) };

static struct daemon d;
static char *body[BODIES], *answer[BODIES]; /* what is asked, and what is to be answered */
static char *wrong;                         /* a row too short */
static atomic_int asked;

static int clean_up(void **state)
{
    (void)state;
    daemon_remove(&d);
    for (int i = 0; i < BODIES; i++) {
        free(body[i]);
        free(answer[i]);
        body[i] = answer[i] = NULL;
    }
    free(wrong);
    wrong = NULL;
    return 0;
}

/* 700 × 700: too much for the thread that receives, unless its client is alone. */
static void make_model(struct model_client *m, const char *id)
{
    char spec[300];
    snprintf(spec, sizeof spec,
             "{\"id\":\"%s\",\"seed\":1,\"loss\":\"mse\",\"layers\":[{\"type\":\"linear\","
             "\"in_features\":%d,\"out_features\":%d},{\"type\":\"tanh\"},{\"type\":\"linear\","
             "\"in_features\":%d,\"out_features\":3}]}",
             id, WIDTH, WIDTH, WIDTH);
    ask(m, 201, "POST", spec, "/models");
}

/* Bodies of 1, 2, 3 and 4 rows. */
static void make_bodies(struct model_client *m)
{
    for (int i = 0; i < BODIES; i++) {
        struct text t = {0};
        text_print(&t, "{\"inputs\":[");
        for (int r = 0; r <= i; r++)
            for (int k = 0; k < WIDTH; k++)
                text_print(&t, "%s%.6f",
                           k   ? ","
                           : r ? "],["
                               : "[",
                           ((k * 7 + r * 31 + i * 13) % 101 - 50) / 41.0);
        text_print(&t, "]]}");
        body[i] = t.at;
        ask(m, 200, "POST", body[i], "/models/m/forward");
        answer[i] = strdup(m->reply->body);
        assert_non_null(answer[i]);
    }
    wrong = text_repeat("{\"inputs\":[[1", ",1", WIDTH - 2, "]]}");
}

struct counts {
    pthread_t thread;
    int number;
    int right, refused, absent, unavailable, cut;
    char strange[160]; /* the first answer that should not have been */
};

static void count_answer(struct counts *c, const struct model_client *m, long status, bool bad,
                         const char *expected)
{
    if (status == 200 && !bad && (!expected || !strcmp(m->reply->body, expected)))
        c->right++;
    else if (status == 422 && bad)
        c->refused++;
    else if (status == 404)
        c->absent++;
    else if (status == 503)
        c->unavailable++;
    else if (status == 0)
        c->cut++;
    else if (!c->strange[0])
        snprintf(c->strange, sizeof c->strange, "%ld %.120s", status, m->reply->body);
}

/* Asks EACH times; every seventh body is wrong. Ends when the model or the daemon has gone. */
static void *ask_often(void *arg)
{
    struct counts *c = arg;
    struct model_client m;
    model_client_open(&m, d.url);
    for (int i = 0; i < EACH && c->absent + c->cut + c->unavailable == 0; i++) {
        int which = (c->number + i) % BODIES;
        bool bad = (c->number + i) % 7 == 0;
        long status = try_ask(&m, "POST", bad ? wrong : body[which], "/models/m/forward");
        count_answer(c, &m, status, bad, answer[which]);
        atomic_fetch_add(&asked, 1);
    }
    model_client_close(&m);
    return NULL;
}

static struct counts crowd[CLIENTS];

static void start_crowd(void)
{
    atomic_store(&asked, 0);
    for (int i = 0; i < CLIENTS; i++) {
        crowd[i] = (struct counts){.number = i};
        assert_int_equal(pthread_create(&crowd[i].thread, NULL, ask_often, &crowd[i]), 0);
    }
}

/* After so many answers. */
static void await(int answers)
{
    while (atomic_load(&asked) < answers)
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
}

static struct counts join_crowd(void)
{
    struct counts all = {0};
    for (int i = 0; i < CLIENTS; i++) {
        pthread_join(crowd[i].thread, NULL);
        if (crowd[i].strange[0])
            fail_msg("%s", crowd[i].strange);
        all.right += crowd[i].right;
        all.refused += crowd[i].refused;
        all.absent += crowd[i].absent;
        all.unavailable += crowd[i].unavailable;
        all.cut += crowd[i].cut;
    }
    return all;
}

static void start(struct model_client *m)
{
    daemon_start(&d, DAEMON_REAL, ARGS("--workers", "2"));
    model_client_open(m, d.url);
    make_model(m, "m");
    make_bodies(m);
}

/* Beside a model that is trained, each answer is that of a quiet daemon, bit for bit. */
static void test_answers_as_alone(void **state)
{
    struct model_client m;
    (void)state;
    start(&m);
    make_model(&m, "trained");
    char *batch = text_repeat("{\"inputs\":[[0.5", ",0.5", WIDTH - 1, "]],\"targets\":[[1,2,3]]}");
    ask(&m, 201, "POST", batch, "/models/trained/batches");
    free(batch);
    start_crowd();
    while (atomic_load(&asked) < CLIENTS * EACH)
        ask(&m, 200, "POST", "{\"steps\":5}", "/models/trained/step");
    struct counts all = join_crowd();
    assert_int_equal(all.right + all.refused, CLIENTS * EACH);
    assert_true(all.refused > EACH);
    model_client_close(&m);
    assert_int_equal(daemon_stop(&d), 0);
}

/* Deleted while forwards wait: each is answered, before or after. */
static void test_deleted_meanwhile(void **state)
{
    struct model_client m;
    (void)state;
    start(&m);
    start_crowd();
    await(5 * CLIENTS);
    ask(&m, 204, "DELETE", NULL, "/models/m");
    struct counts all = join_crowd();
    assert_int_equal(all.absent, CLIENTS);
    assert_true(all.right > 0);
    model_client_close(&m);
    assert_int_equal(daemon_stop(&d), 0);
}

/* Stopped while forwards wait: what was taken on is answered; nothing hangs, and it ends well. */
static void test_drained_meanwhile(void **state)
{
    struct model_client m;
    (void)state;
    start(&m);
    model_client_close(&m);
    start_crowd();
    await(5 * CLIENTS);
    assert_int_equal(daemon_stop(&d), 0);
    struct counts all = join_crowd();
    assert_int_equal(all.absent, 0);
    assert_true(all.right > 0);
    assert_true(all.unavailable + all.cut > 0);
}

#define TOGETHER_TEST(f) cmocka_unit_test_teardown(f, clean_up)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TOGETHER_TEST(test_answers_as_alone),
        TOGETHER_TEST(test_deleted_meanwhile),
        TOGETHER_TEST(test_drained_meanwhile),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
