/* More models than the memory for them: many clients, and each finds its models as if they had
 * never left; and the memory stays what it may be, and is accounted for. */
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
#include <unistd.h>

#include "tests/server/daemon.h"
#include "tests/server/http_client.h"
#include "tests/server/model_client.h"
#include "tests/server/raw_client.h"
#include "tests/server/slow_build.h"

#define ARGS(...) ((const char *const[]){__VA_ARGS__, NULL})
#define MIB       ((double)(1 << 20))

static struct daemon d;

static int clean_up(void **state)
{
    (void)state;
    daemon_remove(&d);
    return 0;
}

/* ---- many clients -------------------------------------------------------------------------- */

enum { CLIENTS = 6, EACH = 24, ROUNDS = COUNT(20), OTHERS = 2 };

struct client {
    pthread_t thread;
    int number;
    int failed;
    char strange[200]; /* the first answer that should not have been */
};
static atomic_bool done;

static void note(struct client *c, const struct model_client *m, long status, long expected)
{
    c->failed += status != expected;
    if (status != expected && !c->strange[0])
        snprintf(c->strange, sizeof c->strange, "%ld: %.150s", status,
                 m->reply ? m->reply->body : "no answer");
}

static void make_model(struct client *c, struct model_client *m, int i)
{
    char spec[400];
    snprintf(spec, sizeof spec,
             "{\"id\":\"c%d-%d\",\"seed\":%d,\"loss\":\"mse\",\"optimizer\":{\"type\":\"sgd\","
             "\"lr\":0.01,\"momentum\":0.8},\"layers\":[{\"type\":\"linear\",\"in_features\":3,"
             "\"out_features\":128},{\"type\":\"tanh\"},{\"type\":\"linear\",\"in_features\":128,"
             "\"out_features\":2}]}",
             c->number, i, c->number * 100 + i);
    note(c, m, try_ask(m, "POST", spec, "/models"), 201);
}

/* Light calls and others, in an order without a pattern. */
static void train(struct client *c, struct model_client *m, int i, int round)
{
    char data[200];
    snprintf(data, sizeof data,
             "{\"inputs\":[[%d,0.5,-1],[0.25,%d,2]],\"targets\":[[1,%d],[0,-1]]}", round % 3,
             -i % 5, i % 2);
    switch ((i + round) % 5) {
    case 0:
        note(c, m, try_ask(m, "POST", data, "/models/c%d-%d/batches", c->number, i), 201);
        break;
    case 1:
        note(c, m, try_ask(m, "POST", data, "/models/c%d-%d/backward", c->number, i), 200);
        break;
    case 2:
        note(c, m,
             try_ask(m, "PATCH", "{\"optimizer\":{\"lr\":0.02}}", "/models/c%d-%d", c->number, i),
             200);
        break;
    default:
        note(c, m, try_ask(m, "POST", data, "/models/c%d-%d/step", c->number, i), 200);
    }
}

static void *run_client(void *arg)
{
    struct client *c = arg;
    struct model_client m;
    model_client_open(&m, d.url);
    for (int i = 0; i < EACH; i++)
        make_model(c, &m, i);
    for (int round = 0; round < ROUNDS; round++)
        for (int i = 0; i < EACH; i++)
            train(c, &m, i, round);
    model_client_close(&m);
    return NULL;
}

/* Whoever looks at models while they come and go, and comes and goes himself. */
static void *run_other(void *arg)
{
    struct client *c = arg;
    struct model_client m;
    model_client_open(&m, d.url);
    for (int i = 0; !atomic_load(&done); i++) {
        make_model(c, &m, 0);
        note(c, &m, try_ask(&m, "GET", NULL, "/models?limit=20&after=c%d", i % CLIENTS), 200);
        note(c, &m, try_ask(&m, "GET", NULL, i % 2 ? "/memory" : "/metrics"), 200);
        note(c, &m, try_ask(&m, "GET", NULL, "/models/c%d-0", c->number), 200);
        note(c, &m, try_ask(&m, "DELETE", NULL, "/models/c%d-0", c->number), 204);
        note(c, &m, try_ask(&m, "GET", NULL, "/models/c%d-0", c->number), 404);
    }
    model_client_close(&m);
    return NULL;
}

static void run_all(struct client *c, int first, int count, void *(*run)(void *arg))
{
    for (int i = first; i < first + count; i++) {
        c[i] = (struct client){.number = i};
        assert_int_equal(pthread_create(&c[i].thread, NULL, run, &c[i]), 0);
    }
}

static void join_all(struct client *c, int first, int count)
{
    for (int i = first; i < first + count; i++)
        pthread_join(c[i].thread, NULL);
    for (int i = first; i < first + count; i++)
        assert_string_equal(c[i].strange, "");
}

/* All that the models of all clients show. */
static char **texts(void)
{
    char **text = calloc(CLIENTS * EACH, sizeof *text), id[32];
    struct model_client m;
    assert_non_null(text);
    model_client_open(&m, d.url);
    for (int i = 0; i < CLIENTS * EACH; i++) {
        snprintf(id, sizeof id, "c%d-%d", i / EACH, i % EACH);
        text[i] = model_text(&m, id);
    }
    model_client_close(&m);
    return text;
}

static void test_many_clients_share_little(void **state)
{
    static struct client c[CLIENTS + OTHERS];
    struct model_client m;
    (void)state;
    daemon_start(&d, DAEMON_REAL, ARGS("--workers", "2")); /* with memory for all */
    run_all(c, 0, CLIENTS, run_client);
    join_all(c, 0, CLIENTS);
    char **want = texts();
    assert_int_equal(daemon_stop(&d), 0);
    daemon_remove(&d);

    daemon_start(&d, DAEMON_REAL,
                 ARGS("--workers", "4", "--memory", "1M", "--checkpoint-seconds", "1",
                      "--checkpoint-steps", "3"));
    atomic_store(&done, false);
    run_all(c, 0, CLIENTS, run_client);
    run_all(c, CLIENTS, OTHERS, run_other);
    join_all(c, 0, CLIENTS);
    atomic_store(&done, true);
    join_all(c, CLIENTS, OTHERS);
    char **got = texts();
    for (int i = 0; i < CLIENTS * EACH; i++) {
        assert_same_text(got[i], want[i]);
        free(got[i]);
        free(want[i]);
    }
    free(got);
    free(want);
    model_client_open(&m, d.url);
    const cJSON *memory = ask(&m, 200, "GET", NULL, "/memory");
    assert_true(number(memory, "models/bytes") <= MIB);
    assert_true(number(memory, "models/put_away") > CLIENTS * EACH);
    model_client_close(&m);
    assert_int_equal(daemon_stop(&d), 0);
}

/* ---- the memory ---------------------------------------------------------------------------- */

#if !SLOW_BUILD

static double resident_of(pid_t pid)
{
    char path[64], line[256];
    double kib = 0;
    snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    while (fgets(line, sizeof line, f))
        (void)sscanf(line, "VmRSS: %lf", &kib);
    fclose(f);
    return kib * 1024;
}

/* The classes are what the kernel sees, and what is not counted by name stays small: no class can
 * be wrong for long without one of both. Returns the rss. */
static double check_classes(struct model_client *m, double other_max)
{
    double sum = 0, rss;
    const cJSON *memory = ask(m, 200, "GET", NULL, "/memory"), *class;
    cJSON_ArrayForEach(class, member(memory, "classes"))
    {
        sum += class->valuedouble;
    }
    rss = number(memory, "rss");
    assert_close(rss, resident_of(d.pid), 0.05);
    if (sum < 0.95 * rss || sum > 1.05 * rss || number(memory, "classes/other") > other_max)
        fail_msg("%.0f of %.0f: %s", sum, rss, m->reply->body);
    return rss;
}

/* Models of a layer of side × side float32. */
static void step_all(struct model_client *m, int models, int side, bool make)
{
    char *data = text_repeat("{\"inputs\":[[0.5", ",0.5", (size_t)side - 1, "]],\"targets\":[[1");
    char *body = text_repeat(data, ",1", (size_t)side - 1, "]]}");
    for (int i = 0; i < models; i++) {
        char spec[200];
        snprintf(spec, sizeof spec,
                 "{\"id\":\"m%d\",\"loss\":\"mse\",\"layers\":[{\"type\":\"linear\","
                 "\"in_features\":%d,\"out_features\":%d}]}",
                 i, side, side);
        if (make)
            ask(m, 201, "POST", spec, "/models");
        ask(m, 200, "POST", body, "/models/m%d/step", i);
    }
    free(data);
    free(body);
}

/* A megabyte each, and as much for its gradients. */
static void test_memory_stays_flat(void **state)
{
    enum { MODELS = 40, SIDE = 512 };
    struct model_client m;
    double rss[5];
    (void)state;
    daemon_start(&d, DAEMON_REAL, ARGS("--workers", "2", "--memory", "20M"));
    model_client_open(&m, d.url);
    for (int round = 0; round < 5; round++) {
        step_all(&m, MODELS, SIDE, round == 0);
        rss[round] = check_classes(&m, 2 * MIB);
        assert_true(number(m.json, "models/bytes") <= 20 * MIB);
    }
    assert_true(rss[4] < 1.05 * rss[1]);
    assert_true(rss[4] < 20 * MIB + 32 * MIB);
    assert_true(number(m.json, "models/loads") >= 4 * MODELS);
    model_client_close(&m);
    assert_int_equal(daemon_stop(&d), 0);
}

/* What no class but these knows by name. */
static double unnamed(const struct model_client *m)
{
    return number(m->json, "classes/allocator") + number(m->json, "classes/other");
}

/* Small ones: their structs are most of what they take, and the allocator's holes. What else grows
 * meanwhile, as workspaces and pages of the program do, is no model's. */
static void test_small_models_are_counted(void **state)
{
    enum { MODELS = 3000 };
    struct model_client m;
    (void)state;
    daemon_start(&d, DAEMON_REAL, ARGS("--workers", "2"));
    model_client_open(&m, d.url);
    check_classes(&m, 2 * MIB);
    double empty = unnamed(&m);
    step_all(&m, MODELS, 3, true);
    check_classes(&m, 2 * MIB);
    double models = number(m.json, "models/bytes");
    assert_true(models > 0.7 * (models + unnamed(&m) - empty));
    model_client_close(&m);
    assert_int_equal(daemon_stop(&d), 0);

    daemon_start(&d, DAEMON_REAL, ARGS("--workers", "2", "--memory", "2M"));
    model_client_open(&m, d.url);
    for (int round = 0; round < 3; round++)
        step_all(&m, MODELS, 3, false);
    check_classes(&m, 2 * MIB);
    assert_int_equal(number(m.json, "models/loads"), 3 * MODELS);
    assert_true(number(m.json, "models/bytes") <= 2 * MIB);
    model_client_close(&m);
    assert_int_equal(daemon_stop(&d), 0);
}

/* What is held elsewhere: connections, and a large body that is not there whole. */
static void test_requests_are_counted(void **state)
{
    enum { IDLE = 100, BODY = 30000000 };
    struct model_client m;
    static const char head[] = "POST /models HTTP/1.1\r\nHost: localhost\r\nContent-Type: "
                               "application/json\r\nContent-Length: 30000000\r\n\r\n{";
    struct http_client *idle[IDLE];
    (void)state;
    daemon_start(&d, DAEMON_REAL, ARGS("--workers", "2"));
    model_client_open(&m, d.url);
    for (int i = 0; i < IDLE; i++) {
        idle[i] = http_client_new(d.url);
        assert_int_equal(http_get(idle[i], "/healthz")->status, 200);
    }
    int fd = raw_connect(d.port);
    assert_true(raw_send(fd, head, sizeof head - 1));
    while (number(ask(&m, 200, "GET", NULL, "/memory"), "classes/requests") < BODY)
        continue;
    check_classes(&m, 2 * MIB);
    assert_true(number(m.json, "classes/connections") >= IDLE * 20480);
    close(fd);
    for (int i = 0; i < IDLE; i++)
        http_client_free(idle[i]);
    model_client_close(&m);
    assert_int_equal(daemon_stop(&d), 0);
}

#endif

#define CACHE_TEST(f) cmocka_unit_test_teardown(f, clean_up)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CACHE_TEST(test_many_clients_share_little),
#if !SLOW_BUILD
        CACHE_TEST(test_memory_stays_flat),
        CACHE_TEST(test_small_models_are_counted),
        CACHE_TEST(test_requests_are_counted),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
