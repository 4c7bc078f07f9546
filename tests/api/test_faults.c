/* What fails in the middle: every allocation of a whole scenario, one after the other; and reads
 * from many threads beside a training that changes what they read. */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/state.h"
#include "engine/mem.h"
#include "tests/api/client.h"

/* ---- memory -------------------------------------------------------------------------------- */

/* The n-th allocation from now on fails, of whatever thread. */
static atomic_long countdown;

static bool fail_one(size_t bytes)
{
    (void)bytes;
    return atomic_fetch_sub(&countdown, 1) == 1;
}

/* One request of the scenario. `done` asks (GET) whether a request that was answered 503 had its
 * effect all the same: the text that its answer then has somewhere. */
struct act {
    const char *method, *target, *body;
    int status;
    const char *done_target, *done_text;
};

#define NET                                                                                        \
    "{\"id\":\"a\",\"layers\":[{\"type\":\"linear\",\"in_features\":2,\"out_features\":3},"        \
    "{\"type\":\"gelu\"},{\"type\":\"linear\",\"in_features\":3,\"out_features\":1}],"             \
    "\"loss\":\"mse\",\"optimizer\":{\"type\":\"sgd\",\"lr\":0.1,\"momentum\":0.9}}"
#define BATCH_1 "{\"inputs\":[[1,2],[0.5,-1]],\"targets\":[[1],[0]]}"
#define BATCH_2 "{\"inputs\":[[-1,0.25]],\"targets\":[[0.5]]}"
#define PROGRAM                                                                                    \
    "{\"program\":\"y = torch.tanh(w @ "                                                           \
    "w.t()).sum()\\ny.backward()\\nprint(f'{y}')\",\"tensors\":{"                                  \
    "\"w\":{\"data\":[[1,2],[3,4]],\"requires_grad\":true}},\"return\":[\"y\",\"w.grad\",\"w."     \
    "dtype\"],"                                                                                    \
    "\"graph\":true}"
#define EXPRESSION                                                                                 \
    "{\"id\":\"e\",\"parameters\":{\"w\":{\"data\":[1]}},\"forward\":\"h = torch.exp(w)\\nh * "    \
    "x\","                                                                                         \
    "\"loss\":\"mse\"}"

static const struct act scenario[] = {
    {"POST", "/models", NET, 201, "/models", "\"id\":\"a\""},
    {"POST", "/models/a/batches", BATCH_1, 201, "/models/a/batches", "\"batch\":1"},
    {"POST", "/models/a/batches", BATCH_2, 201, "/models/a/batches", "\"batch\":2"},
    {"POST", "/models/a/step", NULL, 200, "/models/a", "\"step\":1,"},
    {"POST", "/models/a/step", BATCH_1, 200, "/models/a", "\"step\":2,"},
    {"POST", "/models/a/zero_grad", NULL, 200, "/models/a/gradients", "\"0.weight\":null"},
    {"POST", "/models/a/backward", "{\"input_gradients\":true}", 200, "/models/a/gradients",
     "\"norm\""},
    {"POST", "/models/a/forward", BATCH_2, 200, NULL, NULL},
    {"GET", "/models/a/gradients", NULL, 200, NULL, NULL},
    {"POST", "/models/a/checkpoints", "{\"label\":\"x\"}", 201, "/models/a/checkpoints",
     "\"label\":\"x\""},
    {"POST", "/models/a/optimizer/step", NULL, 200, "/models/a", "\"step\":3,"},
    {"GET", "/models/a/losses?points=2", NULL, 200, NULL, NULL},
    {"POST", "/models/a/checkpoints/1/restore", NULL, 200, "/models/a", "\"step\":2,"},
    {"PATCH", "/models/a", "{\"optimizer\":{\"lr\":0.05},\"requires_grad\":{\"2.bias\":false}}",
     200, NULL, NULL},
    {"PUT", "/models/a/parameters/0.bias", "{\"parameters\":{\"0.bias\":{\"data\":[0.1,0.2,0.3]}}}",
     200, NULL, NULL},
    {"DELETE", "/models/a/batches/1", NULL, 204, "/models/a/batches", "[{\"batch\":2"},
    {"POST", "/models/a/step", "{\"steps\":3}", 200, "/models/a", "\"step\":5,"},
    {"DELETE", "/models/a/checkpoints/1", NULL, 204, "/models/a/checkpoints", "[]"},
    {"GET", "/models/a/parameters", NULL, 200, NULL, NULL},
    {"GET", "/models?limit=3", NULL, 200, NULL, NULL},
    {"GET", "/models/a/graph", NULL, 200, NULL, NULL},
    {"POST", "/autograd", PROGRAM, 200, NULL, NULL},
    {"POST", "/models", EXPRESSION, 201, "/models", "\"id\":\"e\""},
    {"POST", "/models/e/step", "{\"inputs\":[1,2],\"targets\":[3,4]}", 200, "/models/e",
     "\"step\":1,"},
    {"DELETE", "/models/e", NULL, 204, "/models?after=a", "\"models\":[]"},
};
#define ACTS (sizeof scenario / sizeof *scenario)

static bool had_its_effect(struct client *c, const struct act *a)
{
    if (!a->done_target)
        return false;
    const struct reply *r = ask(c, "GET", a->done_target, NULL);
    return r->status == 200 && strstr(r->text, a->done_text);
}

/* Sends the act while the n-th allocation fails. Every answer is the success, or a 503 after which
 * the same request is fine. Returns whether the n-th allocation was reached. */
static bool act_without_memory(struct client *c, const struct act *a, long n)
{
    struct request q = {.method = a->method, .target = a->target, .body = a->body};
    struct reply r;
    atomic_store(&countdown, n);
    client_exchange(c->api, c->scratch, c->slice_ns, &q, &r);
    bool reached = atomic_load(&countdown) <= 0;
    atomic_store(&countdown, 0);
    if (r.status != a->status) {
        r.json = r.text ? cJSON_Parse(r.text) : NULL;
        if (r.text) /* without even a call the server itself refuses */
            assert_problem(&r, 503, "out-of-memory", "");
        assert_true(r.status == 503);
        assert_true(!r.text || !strcmp(r.retry_after, "1"));
        if (!had_its_effect(c, a) &&
            ask_plain(c, a->method, a->target, a->body)->status != a->status)
            fail_msg("%s %s: not after allocation %ld failed", a->method, a->target, n);
    }
    reply_close(&r);
    return reached;
}

static char *end_of(struct client *c)
{
    static const char *const shown[] = {"/models/a/parameters", "/models/a/gradients",
                                        "/models/a/losses", "/models/a/batches"};
    char *text = calloc(1, 1);
    for (size_t i = 0; i < sizeof shown / sizeof *shown; i++) {
        char *part = text_of(c, shown[i]);
        text = realloc(text, strlen(text) + strlen(part) + 1);
        assert_non_null(text);
        strcat(text, part);
        free(part);
    }
    return text;
}

static char *undisturbed(struct client *c)
{
    for (size_t i = 0; i < ACTS; i++) {
        const struct act *a = &scenario[i];
        assert_int_equal(ask_plain(c, a->method, a->target, a->body)->status, a->status);
    }
    char *text = end_of(c);
    expect(c, 204, "DELETE", "/models/a", NULL);
    return text;
}

/* Of the scenario's model a, at the least. */
#define SIZE_OF_A ((size_t)4096)

/* In each round the n-th allocation of every single request fails, for n from 1 on, until no
 * request has that many. */
static void fail_every_allocation(struct client *c)
{
    bool reached = true;
    mem_fault = fail_one;
    char *want = undisturbed(c);
    for (long n = 1; reached; n++) {
        reached = false;
        for (size_t i = 0; i < ACTS; i++) {
            c->api->registry.rest_until = 0; /* though a model could not be put away just now */
            reached = act_without_memory(c, &scenario[i], n) || reached;
        }
        char *got = end_of(c);
        assert_string_equal(got, want);
        free(got);
        if (c->config.memory < SIZE_OF_A) /* it has come and gone all the time */
            assert_true(registry_stats(&c->api->registry).put_away > ACTS / 2);
        client_reopen(c); /* what is kept is the same */
        got = end_of(c);
        assert_string_equal(got, want);
        free(got);
        struct act delete = {"DELETE", "/models/a", NULL, 204, NULL, NULL};
        act_without_memory(c, &delete, n);
        assert_problem(ask(c, "GET", "/models/a", NULL), 404, "not-found", "");
    }
    mem_fault = NULL;
    free(want);
}

static void test_every_allocation(void **state)
{
    fail_every_allocation(*state);
}

/* The same where each request loads its model and puts it away again. */
static void test_every_allocation_of_a_cache(void **state)
{
    struct client *c = *state;
    client_close(c);
    c->config.memory = SIZE_OF_A - 1;
    client_open(c);
    fail_every_allocation(c);
}

/* A background checkpoint that found no memory is made later, when there is some. */
static void test_due_without_memory(void **state)
{
    struct client *c = *state;
    client_close(c);
    c->config.checkpoint_seconds = 0;
    mem_fault = fail_one;
    client_open(c);
    create_net(c, "a", "");
    push_batch(c, "a", 1);
    expect_of(c, 200, "POST", "a", "/step", NULL);
    char *want = text_of(c, "/models/a/parameters");
    for (long n = 1; n < 40; n++) {
        atomic_store(&countdown, n);
        struct call *due = api_due(c->api);
        if (due) {
            while (!client_slice(c, due))
                continue;
            call_free(due);
        }
        atomic_store(&countdown, 0);
    }
    while (client_run_due(c)) /* until it is kept */
        continue;
    client_kill(c);
    char *got = text_of(c, "/models/a/parameters");
    assert_string_equal(got, want);
    free(want);
    free(got);
    client_close(c);
    mem_fault = NULL;
    client_open(c);
}

/* ---- threads ------------------------------------------------------------------------------- */

#define READERS 8
#define STEPS   200
#define PROBE   "{\"inputs\":[[1,-1],[0.5,2]]}"

/* The answers that a model gives after each of its steps, from a twin that is alone. */
struct truth {
    char *parameters[STEPS + 1], *outputs[STEPS + 1];
};

struct reader {
    pthread_t thread;
    struct client *c;
    struct scratch *scratch;
    const struct truth *truth;
    atomic_bool *stop;
    int number, wrong, last_step;
    atomic_int reads;
};

static int step_of(const char *text)
{
    const char *step = strstr(text, "\"step\":");
    return step ? atoi(step + 7) : -1;
}

/* Every answer must be that of exactly one step, and steps must not go back. */
static void read_once(struct reader *r)
{
    struct request q = {.method = "GET", .target = "/models/a/parameters"};
    bool forward = (atomic_fetch_add(&r->reads, 1) + r->number) % 2;
    if (forward)
        q = (struct request){.method = "POST", .target = "/models/a/forward", .body = PROBE};
    struct reply reply;
    client_exchange(r->c->api, r->scratch, 0, &q, &reply);
    int step = reply.text ? step_of(reply.text) : -1;
    bool right =
        reply.status == 200 && step >= r->last_step && step <= STEPS &&
        !strcmp(reply.text, forward ? r->truth->outputs[step] : r->truth->parameters[step]);
    r->wrong += !right;
    r->last_step = step;
    reply_close(&reply);
}

static void *read_until_stopped(void *arg)
{
    struct reader *r = arg;
    do
        read_once(r);
    while (!atomic_load(r->stop));
    read_once(r);
    read_once(r);
    return NULL;
}

static char *copy(const char *text)
{
    char *again = strdup(text);
    assert_non_null(again);
    return again;
}

static void learn_truth(struct truth *t)
{
    struct client *c = client_new("auto");
    create_net(c, "a", ",\"optimizer\":{\"type\":\"sgd\",\"lr\":0.05,\"momentum\":0.9}");
    push_batch(c, "a", 1);
    for (int i = 0; i <= STEPS; i++) {
        if (i)
            expect_of(c, 200, "POST", "a", "/step", NULL);
        t->parameters[i] = text_of(c, "/models/a/parameters");
        t->outputs[i] = copy(expect_of(c, 200, "POST", "a", "/forward", PROBE)->text);
    }
    client_free(c);
}

static int reads_of(struct reader *r)
{
    int sum = 0;
    for (int i = 0; i < READERS; i++)
        sum += atomic_load(&r[i].reads);
    return sum;
}

/* Trains to the end in slices of a step, with checkpoints in the background, and never so fast that
 * nobody reads in between. */
static void train(struct client *c, struct reader *readers)
{
    struct call *call = client_start(c, "POST", "/models/a/step", "{\"steps\":200}");
    c->slice_ns = 0;
    for (int i = 0, seen = reads_of(readers); !client_slice(c, call); i++) {
        struct call *due = i % 10 == 0 ? api_due(c->api) : NULL;
        if (due) {
            assert_true(client_slice(c, due));
            call_free(due);
        }
        for (; i % 4 == 0 && reads_of(readers) == seen; sched_yield())
            continue;
        seen = reads_of(readers);
    }
    assert_int_equal(client_finish(c, call)->status, 200);
}

static void test_reads_beside_training(void **state)
{
    struct client *c = *state;
    struct truth truth;
    struct reader reader[READERS];
    atomic_bool stop = false;
    client_close(c);
    c->config.checkpoint_seconds = 0;
    c->config.checkpoint_steps = 25;
    client_open(c);
    learn_truth(&truth);
    create_net(c, "a", ",\"optimizer\":{\"type\":\"sgd\",\"lr\":0.05,\"momentum\":0.9}");
    push_batch(c, "a", 1);
    for (int i = 0; i < READERS; i++) {
        reader[i] = (struct reader){
            .c = c, .scratch = scratch_new(c->api), .truth = &truth, .stop = &stop, .number = i};
        assert_non_null(reader[i].scratch);
    }
    for (int i = 0; i < READERS; i++)
        assert_int_equal(pthread_create(&reader[i].thread, NULL, read_until_stopped, &reader[i]),
                         0);
    train(c, reader);
    atomic_store(&stop, true);
    for (int i = 0; i < READERS; i++)
        pthread_join(reader[i].thread, NULL);
    for (int i = 0; i < READERS; i++) {
        assert_true(atomic_load(&reader[i].reads) >= 3);
        assert_int_equal(reader[i].wrong, 0);
        assert_int_equal(reader[i].last_step, STEPS);
        scratch_free(reader[i].scratch);
    }
    for (int i = 0; i <= STEPS; i++) {
        free(truth.parameters[i]);
        free(truth.outputs[i]);
    }
}

/* Models are made, shown, listed and deleted by all threads at once. */
static void *make_and_delete(void *arg)
{
    struct reader *r = arg;
    char target[40], body[200];
    snprintf(target, sizeof target, "/models/own-%d", r->number);
    snprintf(body, sizeof body,
             "{\"id\":\"own-%d\",\"layers\":[{\"type\":\"linear\",\"in_features\":1,"
             "\"out_features\":1}],\"loss\":\"mse\"}",
             r->number);
    struct request round[] = {
        {.method = "POST", .target = "/models", .body = body},
        {.method = "GET", .target = target},
        {.method = "GET", .target = "/models?limit=100"},
        {.method = "DELETE", .target = target},
        {.method = "GET", .target = target},
    };
    static const int status[] = {201, 200, 200, 204, 404};
    for (int i = 0; i < 50; i++) {
        struct reply reply;
        client_exchange(r->c->api, r->scratch, 0, &round[i % 5], &reply);
        r->wrong += reply.status != status[i % 5];
        reply_close(&reply);
    }
    return NULL;
}

static void test_models_come_and_go(void **state)
{
    struct client *c = *state;
    struct reader one[READERS];
    for (int i = 0; i < READERS; i++) {
        one[i] = (struct reader){.c = c, .scratch = scratch_new(c->api), .number = i};
        assert_int_equal(pthread_create(&one[i].thread, NULL, make_and_delete, &one[i]), 0);
    }
    for (int i = 0; i < READERS; i++)
        pthread_join(one[i].thread, NULL);
    for (int i = 0; i < READERS; i++) {
        assert_int_equal(one[i].wrong, 0);
        scratch_free(one[i].scratch);
    }
    assert_json(expect(c, 200, "GET", "/models", NULL), "/models", "[]");
}

#define ROW(test) cmocka_unit_test_setup_teardown(test, client_setup, client_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ROW(test_every_allocation),   ROW(test_every_allocation_of_a_cache),
        ROW(test_due_without_memory), ROW(test_reads_beside_training),
        ROW(test_models_come_and_go),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
