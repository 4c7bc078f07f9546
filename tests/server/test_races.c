/* Races for one id and for one key: who creates, who deletes, what those behind them are told. And
 * reads beside changes of one model and its fork, which ThreadSanitizer looks at.
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
#define BATCH     "{\"inputs\":[[1,2,3],[-1,0.5,2]],\"targets\":[[1,2],[0,-1]]}"
#define PROBE     "{\"inputs\":[[0.5,-1,2]]}"

static struct daemon d;

static int clean_up(void **state)
{
    (void)state;
    daemon_remove(&d);
    return 0;
}

static void start_thread(pthread_t *thread, void *(*run)(void *), void *arg)
{
    assert_int_equal(pthread_create(thread, NULL, run, arg), 0);
}

static void rest(long ms)
{
    const struct timespec time = {.tv_nsec = ms * 1000000};
    nanosleep(&time, NULL);
}

static long make_model(struct model_client *m, const char *id, int seed)
{
    char spec[256];
    snprintf(spec, sizeof spec,
             "{\"id\":\"%s\",\"seed\":%d,\"loss\":\"mse\",\"layers\":"
             "[{\"type\":\"linear\",\"in_features\":3,\"out_features\":2}]}",
             id, seed);
    return try_ask(m, "POST", spec, "/models");
}

struct counts {
    pthread_t thread;
    int number; /* which of the clients this is */
    int made, refused, deleted, absent;
    char strange[300]; /* the first answer that should not have been */
};
static atomic_int served; /* by all clients together */
static atomic_int left;   /* how many clients are done */

static void note_strange(struct counts *c, const char *what, long status)
{
    if (!c->strange[0])
        snprintf(c->strange, sizeof c->strange, "%s: %ld", what, status);
}

/* ---- creating and deleting ----------------------------------------------------------------- */

/* Trains or predicts until the model is gone. */
static void *use_until_gone(void *arg)
{
    struct counts *c = arg;
    struct model_client m;
    long status = 200;
    model_client_open(&m, d.url);
    while (status == 200) {
        if (c->number % 3 == 2)
            status = try_ask(&m, "POST", PROBE, "/models/gone/forward");
        else
            status =
                try_ask(&m, "POST", c->number % 3 ? "{}" : "{\"steps\":50}", "/models/gone/step");
        atomic_fetch_add(&served, 1);
    }
    c->absent = status == 404;
    atomic_fetch_add(&left, 1);
    model_client_close(&m);
    return NULL;
}

static void test_delete_under_load(void **state)
{
    enum { CLIENTS = 6, ROUNDS = COUNT(20) };
    struct model_client m;
    char *fresh = NULL;
    (void)state;
    daemon_start(&d, DAEMON_REAL, ARGS("--workers", "4"));
    model_client_open(&m, d.url);
    for (int round = 0; round < ROUNDS; round++) {
        static struct counts c[CLIENTS];
        atomic_store(&served, 0);
        atomic_store(&left, 0);
        /* At once after the delete, with parameters as if there had never been another. */
        assert_int_equal(make_model(&m, "gone", 5), 201);
        char *text = model_text(&m, "gone");
        if (fresh)
            assert_same_text(text, fresh);
        free(fresh);
        fresh = text;
        ask(&m, 201, "POST", BATCH, "/models/gone/batches");
        for (int i = 0; i < CLIENTS; i++) {
            c[i] = (struct counts){.number = i};
            start_thread(&c[i].thread, use_until_gone, &c[i]);
        }
        while (atomic_load(&served) < 5 * CLIENTS && atomic_load(&left) == 0)
            rest(1);
        assert_int_equal(atomic_load(&left), 0);
        ask(&m, 204, "DELETE", NULL, "/models/gone");
        ask(&m, 404, "GET", NULL, "/models/gone");
        for (int i = 0; i < CLIENTS; i++)
            pthread_join(c[i].thread, NULL);
        for (int i = 0; i < CLIENTS; i++)
            assert_int_equal(c[i].absent, 1);
    }
    free(fresh);
    model_client_close(&m);
    assert_int_equal(daemon_stop(&d), 0);
}

/* Does everything to one id, in an order of its own. */
static void *storm(void *arg)
{
    static const char *const use[] = {"step", "batches", "checkpoints", "forward"};
    struct counts *c = arg;
    struct model_client m;
    model_client_open(&m, d.url);
    for (int i = 0; i < COUNT(100) && !c->strange[0]; i++) {
        long status = make_model(&m, "storm", c->number);
        c->made += status == 201;
        if (status != 201 && status != 409)
            note_strange(c, "POST /models", status);
        for (size_t k = 0; k < 4; k++) {
            status = try_ask(&m, "POST", k == 2 ? NULL : BATCH, "/models/storm/%s", use[k]);
            if (status != 200 && status != 201 && status != 404)
                note_strange(c, use[k], status);
        }
        status = try_ask(&m, "GET", NULL, "/models");
        if (status != 200)
            note_strange(c, "GET /models", status);
        if ((i + c->number) % 3 == 0)
            continue;
        status = try_ask(&m, "DELETE", NULL, "/models/storm");
        c->deleted += status == 204;
        if (status != 204 && status != 404)
            note_strange(c, "DELETE", status);
    }
    model_client_close(&m);
    return NULL;
}

static void test_create_and_delete_storm(void **state)
{
    enum { CLIENTS = 4 };
    static struct counts c[CLIENTS];
    struct model_client m;
    int stand = 0;
    (void)state;
    daemon_start(&d, DAEMON_REAL, ARGS("--workers", "4", "--checkpoint-steps", "1"));
    model_client_open(&m, d.url);
    for (int i = 0; i < CLIENTS; i++) {
        c[i].number = i;
        start_thread(&c[i].thread, storm, &c[i]);
    }
    for (int i = 0; i < CLIENTS; i++)
        pthread_join(c[i].thread, NULL);
    for (int i = 0; i < CLIENTS; i++) {
        assert_string_equal(c[i].strange, "");
        stand += c[i].made - c[i].deleted;
    }
    assert_true(stand == 0 || stand == 1); /* each that was made was deleted at most once */
    assert_int_equal(try_ask(&m, "GET", NULL, "/models/storm"), stand ? 200 : 404);
    model_client_close(&m);
    assert_int_equal(daemon_stop(&d), 0);
}

static pthread_barrier_t ready;

static void *create(void *arg)
{
    struct counts *c = arg;
    struct model_client m;
    model_client_open(&m, d.url);
    try_ask(&m, "GET", NULL, "/healthz"); /* the connection stands before the race begins */
    pthread_barrier_wait(&ready);
    for (int i = 0; i < COUNT(20); i++) {
        char id[32];
        snprintf(id, sizeof id, "only-%d", i);
        long status = make_model(&m, id, i);
        c->made += status == 201;
        c->refused += status == 409;
    }
    model_client_close(&m);
    return NULL;
}

static void test_one_creates(void **state)
{
    enum { CLIENTS = 8 };
    static struct counts c[CLIENTS];
    struct model_client m;
    int made = 0, refused = 0;
    (void)state;
    daemon_start(&d, DAEMON_REAL, ARGS("--workers", "4"));
    pthread_barrier_init(&ready, NULL, CLIENTS);
    for (int i = 0; i < CLIENTS; i++)
        start_thread(&c[i].thread, create, &c[i]);
    for (int i = 0; i < CLIENTS; i++) {
        pthread_join(c[i].thread, NULL);
        made += c[i].made;
        refused += c[i].refused;
    }
    pthread_barrier_destroy(&ready);
    assert_int_equal(made, COUNT(20));
    assert_int_equal(refused, (CLIENTS - 1) * COUNT(20));
    model_client_open(&m, d.url);
    assert_int_equal(
        cJSON_GetArraySize(member(ask(&m, 200, "GET", NULL, "/models?limit=100"), "models")),
        COUNT(20));
    model_client_close(&m);
    assert_int_equal(daemon_stop(&d), 0);
}

/* ---- keys ---------------------------------------------------------------------------------- */

/* The same key from all: while its request runs the others are told so, later they get its answer.
 */
static void *step_with_keys(void *arg)
{
    struct counts *c = arg;
    struct http_client *http = http_client_new(d.url);
    pthread_barrier_wait(&ready);
    for (int i = 0; i < COUNT(40); i++) {
        char key[64];
        long status = 409;
        snprintf(key, sizeof key, "Idempotency-Key: key-%d", i);
        const char *const headers[] = {"Content-Type: application/json", key, NULL};
        while (status == 409) {
            const struct http_reply *r =
                http_try(http, "POST", "/models/m0/step", headers, "{\"steps\":5}", 11);
            status = r ? r->status : 0;
        }
        c->made += status == 200;
    }
    http_client_free(http);
    return NULL;
}

static void test_one_effect_for_one_key(void **state)
{
    enum { CLIENTS = 8 };
    static struct counts c[CLIENTS];
    struct model_client m;
    (void)state;
    daemon_start(&d, DAEMON_REAL, ARGS("--workers", "4", "--checkpoint-steps", "20"));
    model_client_open(&m, d.url);
    assert_int_equal(make_model(&m, "m0", 1), 201);
    ask(&m, 201, "POST", BATCH, "/models/m0/batches");
    pthread_barrier_init(&ready, NULL, CLIENTS);
    for (int i = 0; i < CLIENTS; i++)
        start_thread(&c[i].thread, step_with_keys, &c[i]);
    for (int i = 0; i < CLIENTS; i++)
        pthread_join(c[i].thread, NULL);
    pthread_barrier_destroy(&ready);
    for (int i = 0; i < CLIENTS; i++)
        assert_int_equal(c[i].made, COUNT(40));
    assert_int_equal(number(ask(&m, 200, "GET", NULL, "/models/m0"), "step"), 5 * COUNT(40));
    model_client_close(&m);
    assert_int_equal(daemon_stop(&d), 0);
}

/* ---- reads beside changes ------------------------------------------------------------------ */

struct request {
    const char *method, *body, *path;
};

static const struct request reads[] = {
    {"POST", PROBE, "/forward"},
    {"POST", BATCH, "/forward"},
    {"GET", NULL, ""},
    {"GET", NULL, "/parameters"},
    {"GET", NULL, "/parameters/0.weight"},
    {"GET", NULL, "/gradients"},
    {"GET", NULL, "/gradients?summary=1"},
    {"GET", NULL, "/graph"},
    {"GET", NULL, "/losses"},
    {"GET", NULL, "/batches"},
    {"GET", NULL, "/batches/1"},
    {"GET", NULL, "/checkpoints"},
    {"GET", NULL, "/checkpoints/1"},
    {"POST", BATCH, "-fork/step"},
    {"GET", NULL, "-fork"},
};

static const struct request changes[] = {
    {"POST", "{}", "/step"},
    {"POST", "{\"steps\":5}", "/step"},
    {"PATCH", "{\"optimizer\":{\"lr\":0.01,\"momentum\":0.5},\"durability\":\"none\"}", ""},
    {"PATCH", "{\"requires_grad\":{\"0.bias\":false},\"on_divergence\":\"continue\"}", ""},
    {"POST", BATCH, "/batches"},
    {"POST", "{\"batch\":1}", "/backward"},
    {"POST", "{}", "/optimizer/step"},
    {"PATCH", "{\"requires_grad\":null,\"durability\":\"power\"}", ""},
    {"POST", "{}", "/zero_grad"},
    {"PUT", "{\"parameters\":{\"0.bias\":{\"data\":[0.5,-1]}}}", "/parameters/0.bias"},
    {"POST", "{\"label\":\"one\"}", "/checkpoints"},
    {"PATCH", "{\"optimizer\":null,\"on_divergence\":null,\"durability\":null}", ""},
    {"POST", "{}", "/checkpoints/1/restore"},
    {"POST", "{\"id\":\"seen-fork\"}", "/fork"},
    {"POST", "{}", "/step"},
    {"DELETE", NULL, "-fork"},
};

#define LENGTH(list) ((int)(sizeof(list) / sizeof *(list)))

static void ask_in_turn(struct counts *c, const struct request *list, int length, int i,
                        struct model_client *m)
{
    const struct request *r = &list[i % length];
    long status = try_ask(m, r->method, r->body, "/models/seen%s", r->path);
    bool gone = status == 404 && r->path[0] == '-'; /* its fork comes and goes */
    if (!gone && (status < 200 || status > 299))
        note_strange(c, m->reply ? m->reply->body : r->path, status);
}

static void *read_on(void *arg)
{
    struct counts *c = arg;
    struct model_client m;
    model_client_open(&m, d.url);
    for (int i = c->number; atomic_load(&left) == 0 && !c->strange[0]; i++)
        ask_in_turn(c, reads, LENGTH(reads), i, &m);
    model_client_close(&m);
    return NULL;
}

static void *change_on(void *arg)
{
    struct counts *c = arg;
    struct model_client m;
    model_client_open(&m, d.url);
    for (int i = 0; i < COUNT(40) * LENGTH(changes) && !c->strange[0]; i++)
        ask_in_turn(c, changes, LENGTH(changes), i, &m);
    atomic_fetch_add(&left, 1);
    model_client_close(&m);
    return NULL;
}

static void test_reads_beside_changes(void **state)
{
    enum { CLIENTS = 5 };
    static struct counts c[CLIENTS];
    struct model_client m;
    (void)state;
    daemon_start(&d, DAEMON_REAL, ARGS("--workers", "4", "--checkpoint-steps", "3"));
    model_client_open(&m, d.url);
    assert_int_equal(make_model(&m, "seen", 1), 201);
    ask(&m, 201, "POST", BATCH, "/models/seen/batches");
    ask(&m, 201, "POST", "{}", "/models/seen/checkpoints");
    atomic_store(&left, 0);
    for (int i = 0; i < CLIENTS; i++) {
        c[i] = (struct counts){.number = 4 * i};
        start_thread(&c[i].thread, i ? read_on : change_on, &c[i]);
    }
    for (int i = 0; i < CLIENTS; i++)
        pthread_join(c[i].thread, NULL);
    for (int i = 0; i < CLIENTS; i++)
        assert_string_equal(c[i].strange, "");
    model_client_close(&m);
    assert_int_equal(daemon_stop(&d), 0);
}

#define RACE_TEST(f) cmocka_unit_test_teardown(f, clean_up)

int main(void)
{
    const struct CMUnitTest tests[] = {
        RACE_TEST(test_delete_under_load),    RACE_TEST(test_create_and_delete_storm),
        RACE_TEST(test_one_creates),          RACE_TEST(test_one_effect_for_one_key),
        RACE_TEST(test_reads_beside_changes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
