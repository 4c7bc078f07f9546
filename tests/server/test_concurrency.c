/* Many clients at once. One client's models come out as if they had been alone, whatever it shares
 * the daemon with; whoever reads sees a state that the model really had; and what comes too much is
 * told so.
 *
 * Client threads count and keep; what they have found is judged by the test's own thread. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tests/server/daemon.h"
#include "tests/server/http_client.h"
#include "tests/server/model_client.h"
#include "tests/server/raw_client.h"
#include "tests/server/slow_build.h"

#define ARGS(...) ((const char *const[]){__VA_ARGS__, NULL})

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

/* ---- one model's script -------------------------------------------------------------------- */

#define LAYERS                                                                                     \
    "\"layers\":[{\"type\":\"linear\",\"in_features\":3,\"out_features\":16},{\"type\":\"silu\"}," \
    "{\"type\":\"linear\",\"in_features\":16,\"out_features\":2}]"
#define PROBE "{\"inputs\":[[0.5,-1,2],[3,0.25,-2]]}"

static long make_model(struct model_client *m, const char *id, int seed)
{
    char spec[512];
    snprintf(spec, sizeof spec,
             "{\"id\":\"%s\",\"seed\":%d,\"loss\":\"mse\",\"optimizer\":{\"type\":\"sgd\","
             "\"lr\":0.01,\"momentum\":0.8}," LAYERS "}",
             id, seed);
    return try_ask(m, "POST", spec, "/models");
}

static long push_batch(struct model_client *m, const char *id, int i)
{
    char batch[256];
    snprintf(batch, sizeof batch,
             "{\"inputs\":[[%d,0.5,-1],[0.25,%d,2]],\"targets\":[[1,%d],[0,-1]]}", i % 3, -i % 5,
             i % 2);
    return try_ask(m, "POST", batch, "/models/%s/batches", id);
}

enum verb { STEP, STEPS, BACKWARD, APPLY, ZERO, PATCH, BATCH, VERBS };
#define STEPS_AT_ONCE 9

/* What the script says at i: all of it, in an order without a pattern. */
static enum verb verb_at(int i)
{
    static const enum verb verb[] = {STEP,  STEPS, BACKWARD, APPLY, BACKWARD, STEPS,
                                     PATCH, STEP,  ZERO,     BATCH, STEPS};
    return verb[i % (int)(sizeof verb / sizeof verb[0])];
}

/* Returns the status; steps is only for STEPS. */
static long do_verb(struct model_client *m, const char *id, int i, int steps)
{
    char body[64];
    switch (verb_at(i)) {
    case STEP:
        return try_ask(m, "POST", "{}", "/models/%s/step", id);
    case STEPS:
        snprintf(body, sizeof body, "{\"steps\":%d}", steps);
        return try_ask(m, "POST", body, "/models/%s/step", id);
    case BACKWARD:
        return try_ask(m, "POST", "{\"batch\":1}", "/models/%s/backward", id);
    case APPLY:
        return try_ask(m, "POST", NULL, "/models/%s/optimizer/step", id);
    case ZERO:
        return try_ask(m, "POST", NULL, "/models/%s/zero_grad", id);
    case PATCH:
        snprintf(body, sizeof body, "{\"optimizer\":{\"lr\":%.4f}}", 0.01 / (1 + i % 4));
        return try_ask(m, "PATCH", body, "/models/%s", id);
    case BATCH:
        return push_batch(m, id, i);
    case VERBS:
        break;
    }
    return 0;
}

/* ---- the states that a script passes through ----------------------------------------------- */

enum view { PARAMETERS, FORWARD, GRADIENTS, VIEWS };

static long read_view(struct model_client *m, const char *id, enum view view)
{
    if (view == FORWARD)
        return try_ask(m, "POST", PROBE, "/models/%s/forward", id);
    return try_ask(m, "GET", NULL,
                   view == PARAMETERS ? "/models/%s/parameters" : "/models/%s/gradients", id);
}

/* Every answer to each view, in the order of the script. */
struct history {
    char **text[VIEWS];
    size_t count, room;
};

static void history_add(struct history *h, struct model_client *m, const char *id)
{
    if (h->count == h->room) {
        h->room = 2 * h->room + 64;
        for (int v = 0; v < VIEWS; v++) {
            h->text[v] = realloc(h->text[v], h->room * sizeof *h->text[v]);
            assert_non_null(h->text[v]);
        }
    }
    for (int v = 0; v < VIEWS; v++) {
        assert_int_equal(read_view(m, id, (enum view)v), 200);
        h->text[v][h->count] = strdup(m->reply->body);
    }
    h->count++;
}

static bool history_has(const struct history *h, enum view view, const char *text)
{
    for (size_t i = 0; i < h->count; i++)
        if (!strcmp(h->text[view][i], text))
            return true;
    return false;
}

static void history_free(struct history *h)
{
    for (int v = 0; v < VIEWS; v++) {
        for (size_t i = 0; i < h->count; i++)
            free(h->text[v][i]);
        free(h->text[v]);
    }
    *h = (struct history){0};
}

/* ---- four models, eight clients ------------------------------------------------------------ */

enum { MODELS = 4, SCRIPT = COUNT(88), KEPT_MAX = 4000 };

struct client {
    pthread_t thread;
    int model;
    int failed;                  /* answers that were not 2xx */
    char failure[300];           /* the first of them */
    int stale;                   /* reads that came before an acknowledged step */
    char *kept[VIEWS][KEPT_MAX]; /* a reader's answers, those that differ from the one before */
    size_t count[VIEWS];
};
static const char *const id_of[MODELS] = {"m0", "m1", "m2", "m3"};
static atomic_int acknowledged[MODELS]; /* the step that the writer's last answer told */
static atomic_int writers;              /* still at work */

static void note_failure(struct client *c, int i, const struct model_client *m)
{
    if (!c->failed++)
        snprintf(c->failure, sizeof c->failure, "model %d, call %d: %ld %.200s", c->model, i,
                 m->reply ? m->reply->status : 0L, m->reply ? m->reply->body : "no answer");
}

static void *run_writer(void *arg)
{
    struct client *c = arg;
    struct model_client m;
    model_client_open(&m, d.url);
    for (int i = 0; i < SCRIPT; i++) {
        long status = do_verb(&m, id_of[c->model], i, STEPS_AT_ONCE);
        if (status != 200 && status != 201)
            note_failure(c, i, &m);
        const cJSON *step = member(m.json, "step");
        if (step)
            atomic_store(&acknowledged[c->model], step->valueint);
    }
    atomic_fetch_sub(&writers, 1);
    model_client_close(&m);
    return NULL;
}

static void keep(struct client *c, enum view view, const char *text)
{
    size_t n = c->count[view];
    if (n == KEPT_MAX || (n && !strcmp(c->kept[view][n - 1], text)))
        return;
    c->kept[view][c->count[view]++] = strdup(text);
}

static void *run_reader(void *arg)
{
    struct client *c = arg;
    struct model_client m;
    model_client_open(&m, d.url);
    for (int i = 0; (atomic_load(&writers) > 0 || i < VIEWS) && !c->failed; i++) {
        enum view view = (enum view)(i % VIEWS);
        int step = atomic_load(&acknowledged[c->model]);
        if (read_view(&m, id_of[c->model], view) != 200)
            note_failure(c, i, &m);
        const cJSON *seen = member(m.json, "step");
        c->stale += !seen || seen->valueint < step;
        keep(c, view, m.reply ? m.reply->body : "no answer");
    }
    model_client_close(&m);
    return NULL;
}

/* The script alone, in single steps, and every state on its way. */
static char *run_alone(int model, struct history *h)
{
    struct model_client m;
    model_client_open(&m, d.url);
    assert_int_equal(make_model(&m, id_of[model], model), 201);
    assert_int_equal(push_batch(&m, id_of[model], 0), 201);
    history_add(h, &m, id_of[model]);
    for (int i = 0; i < SCRIPT; i++) {
        int times = verb_at(i) == STEPS ? STEPS_AT_ONCE : 1;
        for (int k = 0; k < times; k++) {
            long status = do_verb(&m, id_of[model], i, 1);
            assert_true(status == 200 || status == 201);
            history_add(h, &m, id_of[model]);
        }
    }
    char *text = model_text(&m, id_of[model]);
    model_client_close(&m);
    return text;
}

static void assert_none_failed(const struct client *c)
{
    if (c->failed)
        fail_msg("%d answers failed, the first: %s", c->failed, c->failure);
}

static void judge_reader(struct client *c, const struct history *h)
{
    assert_none_failed(c);
    assert_int_equal(c->stale, 0);
    for (int v = 0; v < VIEWS; v++)
        for (size_t i = 0; i < c->count[v]; i++) {
            if (!history_has(h, (enum view)v, c->kept[v][i]))
                fail_msg("a state that never was: %.400s", c->kept[v][i]);
            free(c->kept[v][i]);
        }
}

static void run_together(struct client *writer, struct client *reader)
{
    struct model_client m;
    model_client_open(&m, d.url);
    for (int i = 0; i < MODELS; i++) {
        assert_int_equal(make_model(&m, id_of[i], i), 201);
        assert_int_equal(push_batch(&m, id_of[i], 0), 201);
        atomic_store(&acknowledged[i], 0);
    }
    model_client_close(&m);
    atomic_store(&writers, MODELS);
    for (int i = 0; i < MODELS; i++) {
        writer[i].model = reader[i].model = i;
        start_thread(&writer[i].thread, run_writer, &writer[i]);
        start_thread(&reader[i].thread, run_reader, &reader[i]);
    }
    for (int i = 0; i < MODELS; i++) {
        pthread_join(writer[i].thread, NULL);
        pthread_join(reader[i].thread, NULL);
    }
    for (int i = 0; i < MODELS; i++)
        assert_none_failed(&writer[i]);
}

static void test_together_as_alone(void **state)
{
    static struct client writer[MODELS], reader[MODELS];
    struct history history[MODELS] = {{{NULL}, 0, 0}};
    char *alone[MODELS];
    (void)state;
    daemon_start(&d, DAEMON_REAL, ARGS("--workers", "1"));
    for (int i = 0; i < MODELS; i++)
        alone[i] = run_alone(i, &history[i]);
    assert_int_equal(daemon_stop(&d), 0);
    daemon_remove(&d);
    /* Checkpoints in the background take part too. */
    daemon_start(&d, DAEMON_REAL, ARGS("--workers", "4", "--checkpoint-steps", "20"));
    run_together(writer, reader);
    struct model_client m;
    model_client_open(&m, d.url);
    for (int i = 0; i < MODELS; i++) {
        judge_reader(&reader[i], &history[i]);
        char *text = model_text(&m, id_of[i]);
        assert_same_text(text, alone[i]);
        free(text);
        free(alone[i]);
        history_free(&history[i]);
    }
    model_client_close(&m);
    assert_int_equal(daemon_stop(&d), 0);
}

/* ---- a long call --------------------------------------------------------------------------- */

/* Steps of some 100 us, so that the call would take minutes if nothing ended it. */
static void make_slow_model(struct model_client *m, const char *id)
{
    struct text batch = {0};
    char spec[300];
    snprintf(spec, sizeof spec,
             "{\"id\":\"%s\",\"loss\":\"mse\",\"optimizer\":{\"type\":\"sgd\",\"lr\":1e-6},"
             "\"layers\":[{\"type\":\"linear\",\"in_features\":256,\"out_features\":64}]}",
             id);
    ask(m, 201, "POST", spec, "/models");
    for (int part = 0; part < 2; part++) {
        text_print(&batch, part ? "],\"targets\":[" : "{\"inputs\":[");
        for (int row = 0; row < 64; row++) {
            text_print(&batch, row ? ",[" : "[");
            for (int i = 0; i < (part ? 64 : 256); i++)
                text_print(&batch, i ? ",%d" : "%d", (row * i) % 7);
            text_print(&batch, "]");
        }
    }
    text_print(&batch, "]}");
    ask(m, 201, "POST", batch.at, "/models/%s/batches", id);
    text_free(&batch);
}

struct long_call {
    pthread_t thread;
    const char *id;
    atomic_bool ended;
    long status;
    double steps_done;
};

static void *run_long_call(void *arg)
{
    struct long_call *l = arg;
    struct model_client m;
    model_client_open(&m, d.url);
    l->status = try_ask(&m, "POST", "{\"steps\":1000000}", "/models/%s/step", l->id);
    const cJSON *done = member(m.json, "steps_done");
    l->steps_done = done ? done->valuedouble : -1;
    atomic_store(&l->ended, true);
    model_client_close(&m);
    return NULL;
}

static void start_long_call(struct long_call *l, struct model_client *m, const char *id)
{
    l->id = id;
    atomic_store(&l->ended, false);
    start_thread(&l->thread, run_long_call, l);
    while (strcmp(string(ask(m, 200, "GET", NULL, "/models/%s", id), "state"), "training") != 0) {
        assert_false(atomic_load(&l->ended));
        rest(1);
    }
}

/* With one worker, so that nothing but the slices lets anyone else in. */
static void test_long_call_lets_others_in(void **state)
{
    struct model_client m;
    static struct long_call l;
    (void)state;
    daemon_start(&d, DAEMON_REAL, ARGS("--workers", "1"));
    model_client_open(&m, d.url);
    make_slow_model(&m, "long");
    assert_int_equal(make_model(&m, "other", 1), 201);
    assert_int_equal(push_batch(&m, "other", 1), 201);
    start_long_call(&l, &m, "long");
    double before = number(ask(&m, 200, "GET", NULL, "/models/long"), "step");
    for (int i = 0; i < COUNT(100); i++) {
        ask(&m, 200, "POST", "{}", "/models/other/step");
        ask(&m, 200, "GET", NULL, "/models/long/parameters/0.bias"); /* reads do not wait either */
        ask(&m, 200, "GET", NULL, "/models/long/gradients/0.bias");
    }
    assert_int_equal(number(ask(&m, 200, "GET", NULL, "/models/other"), "step"), COUNT(100));
    assert_true(number(ask(&m, 200, "GET", NULL, "/models/long"), "step") > before);
    assert_false(atomic_load(&l.ended));
    model_client_close(&m);
    assert_int_equal(daemon_stop(&d), 0);
    pthread_join(l.thread, NULL);
    assert_int_equal(l.status, 503);
    assert_true(l.steps_done > before);
}

static void test_full_line(void **state)
{
    enum { CALLS = 6 };
    static const char call[] = "POST /models/long/step HTTP/1.1\r\nHost: localhost\r\n"
                               "Content-Length: 0\r\nConnection: close\r\n\r\n";
    struct model_client m;
    static struct long_call l;
    struct pollfd open[CALLS];
    int refused = 0;
    (void)state;
    daemon_start(&d, DAEMON_REAL, ARGS("--queue", "2"));
    model_client_open(&m, d.url);
    make_slow_model(&m, "long");
    assert_int_equal(make_model(&m, "other", 1), 201);
    assert_int_equal(push_batch(&m, "other", 1), 201);
    start_long_call(&l, &m, "long");
    for (int i = 0; i < CALLS; i++) {
        open[i] = (struct pollfd){.fd = raw_connect(d.port), .events = POLLIN};
        assert_true(raw_send(open[i].fd, call, sizeof call - 1));
    }
    while (refused < CALLS - 1) { /* one waits behind the long call */
        assert_true(poll(open, CALLS, 20000) > 0);
        for (int i = 0; i < CALLS; i++) {
            char answer[2048];
            if (!open[i].revents)
                continue;
            assert_true(raw_read_all(open[i].fd, answer, sizeof answer) > 0);
            assert_non_null(strstr(answer, "HTTP/1.1 429 "));
            assert_non_null(strstr(answer, "Retry-After: 1\r\n"));
            assert_non_null(strstr(answer, "\"type\":\"/problems/busy\""));
            close(open[i].fd);
            open[i].fd = -1;
            refused++;
        }
    }
    ask(&m, 200, "POST", "{}", "/models/other/step"); /* its line is its own */
    ask(&m, 200, "POST", PROBE, "/models/other/forward");
    ask(&m, 429, "PATCH", "{\"optimizer\":{\"lr\":1}}", "/models/long");
    ask(&m, 429, "DELETE", NULL, "/models/long");
    ask(&m, 200, "GET", NULL, "/models/long"); /* a read stands in no line */
    model_client_close(&m);
    assert_int_equal(daemon_stop(&d), 0);
    pthread_join(l.thread, NULL);
    assert_int_equal(l.status, 503);
    for (int i = 0; i < CALLS; i++) {
        char answer[2048];
        if (open[i].fd < 0)
            continue;
        assert_true(raw_read_all(open[i].fd, answer, sizeof answer) > 0);
        assert_non_null(strstr(answer, "HTTP/1.1 200 ")); /* its turn came before the end */
        close(open[i].fd);
    }
}

/* ---- reads in the middle of updates -------------------------------------------------------- */

enum { EVEN = 48, EVEN_STEPS = COUNT(60000) };

/* With inputs of 1, zeros to start from, and the same target everywhere, every weight and every
 * bias gets the same gradient: at each step all parameters are one number, and so are the outputs.
 * A read that saw half of an update has two. */
static void make_even_model(struct model_client *m)
{
    struct text zeros = {0}, rows = {0}, ones = {0}, targets = {0}, body = {0};
    for (int i = 0; i < EVEN; i++) {
        text_print(&zeros, i ? ",0" : "[0");
        text_print(&ones, i ? ",1" : "[1");
        text_print(&targets, i ? ",1e6" : "[1e6");
    }
    for (int i = 0; i < EVEN; i++)
        text_print(&rows, "%s%s]", i ? "," : "[", zeros.at);
    ask(m, 201, "POST",
        "{\"id\":\"even\",\"dtype\":\"float64\",\"loss\":\"mse\",\"optimizer\":{\"type\":"
        "\"sgd\",\"lr\":1e-5},\"layers\":[{\"type\":\"linear\",\"in_features\":48,"
        "\"out_features\":48}]}",
        "/models");
    text_print(&body, "{\"parameters\":{\"0.weight\":{\"data\":%s]},\"0.bias\":{\"data\":%s]}}}",
               rows.at, zeros.at);
    ask(m, 200, "PUT", body.at, "/models/even/parameters");
    text_free(&body);
    text_print(&body, "{\"inputs\":[%s]],\"targets\":[%s]]}", ones.at, targets.at);
    ask(m, 201, "POST", body.at, "/models/even/batches");
    text_free(&body);
    text_free(&zeros);
    text_free(&rows);
    text_free(&ones);
    text_free(&targets);
}

/* How many numbers in it differ from *first; the first one of all becomes that. */
static int count_others(const cJSON *json, const cJSON **first)
{
    int others = 0;
    const cJSON *item;
    if (cJSON_IsNumber(json)) {
        *first = *first ? *first : json;
        return json->valuedouble < (*first)->valuedouble ||
               json->valuedouble > (*first)->valuedouble;
    }
    cJSON_ArrayForEach(item, json)
    {
        others += count_others(item, first);
    }
    return others;
}

static void *train_even(void *arg)
{
    struct long_call *l = arg;
    struct model_client m;
    char body[64];
    model_client_open(&m, d.url);
    snprintf(body, sizeof body, "{\"steps\":%d}", EVEN_STEPS);
    l->status = try_ask(&m, "POST", body, "/models/even/step");
    atomic_store(&l->ended, true);
    model_client_close(&m);
    return NULL;
}

static void test_no_read_sees_half_an_update(void **state)
{
    static struct long_call l;
    struct model_client m;
    struct text probe = {0};
    int torn = 0;
    (void)state;
    daemon_start(&d, DAEMON_REAL, ARGS("--workers", "2"));
    model_client_open(&m, d.url);
    make_even_model(&m);
    text_print(&probe, "{\"inputs\":[");
    for (int i = 0; i < EVEN; i++)
        text_print(&probe, i ? ",1" : "[1");
    text_print(&probe, "]]}");
    atomic_store(&l.ended, false);
    start_thread(&l.thread, train_even, &l);
    do {
        const cJSON *first = NULL;
        try_ask(&m, "GET", NULL, "/models/even/parameters");
        torn += !m.json || count_others(member(m.json, "parameters/0.weight/data"), &first) > 0 ||
                count_others(member(m.json, "parameters/0.bias/data"), &first) > 0;
        first = NULL;
        try_ask(&m, "POST", probe.at, "/models/even/forward");
        torn += !m.json || count_others(member(m.json, "outputs"), &first) > 0;
    } while (!atomic_load(&l.ended));
    pthread_join(l.thread, NULL);
    assert_int_equal(l.status, 200);
    assert_int_equal(torn, 0);
    text_free(&probe);
    model_client_close(&m);
    assert_int_equal(daemon_stop(&d), 0);
}

/* ---- programs ------------------------------------------------------------------------------ */

/* Slices enough that the four share the workers. */
#define PROGRAM                                                                                    \
    "{\"program\":\"w = torch.randn(300, 300, requires_grad=True)\\nx = torch.randn(300, 300)\\n"  \
    "y = torch.tanh(x @ w)\\nz = torch.tanh(y @ w)\\nloss = (z @ x).mean()\\nloss.backward()\\n"   \
    "print(loss)\",\"return\":[\"loss\",\"w.grad.sum()\",\"w.grad[7]\"],\"graph\":true}"

#define BESIDE                                                                                     \
    "{\"id\":\"beside\",\"loss\":\"mse\",\"parameters\":{\"w\":{\"data\":[[1,2],[3,4],[5,6]]},"    \
    "\"b\":{\"data\":[0,1]}},\"forward\":\"torch.tanh(x @ w + b)\"}"

struct programmer {
    pthread_t thread;
    int answered, unavailable, others; /* 200, 503, what should not be */
    char *text;                        /* of the first 200 */
};

static void *run_programs(void *arg)
{
    struct programmer *p = arg;
    struct model_client m;
    model_client_open(&m, d.url);
    for (int i = 0; i < COUNT(20); i++) {
        long status = try_ask(&m, "POST", PROGRAM, "/autograd");
        p->unavailable += status == 503;
        p->answered += status == 200;
        if (status == 200 && !p->text)
            p->text = strdup(m.reply->body);
        p->others += (status != 200 && status != 503) ||
                     (status == 200 && strcmp(p->text, m.reply->body) != 0);
        p->others += try_ask(&m, "POST", PROBE, "/models/beside/forward") != 200;
    }
    model_client_close(&m);
    return NULL;
}

/* Programs run beside each other and beside a model that is a program itself, which is trained and
 * read; each as if alone. Those for which there is no
 * memory beside the others are told to come again. */
static void test_programs(void **state)
{
    struct programmer p[4] = {{.answered = 0}};
    struct model_client m;
    (void)state;
    daemon_start(&d, DAEMON_REAL, ARGS("--workers", "3", "--autograd-memory", "12M"));
    model_client_open(&m, d.url);
    ask(&m, 201, "POST", BESIDE, "/models");
    assert_int_equal(push_batch(&m, "beside", 1), 201);
    for (int i = 0; i < 4; i++)
        start_thread(&p[i].thread, run_programs, &p[i]);
    for (int i = 0; i < COUNT(20); i++)
        ask(&m, 200, "POST", "{\"steps\":200}", "/models/beside/step");
    for (int i = 0; i < 4; i++)
        pthread_join(p[i].thread, NULL);
    ask(&m, 200, "POST", PROGRAM, "/autograd"); /* all memory is there again */
    int answered = 0;
    for (int i = 0; i < 4; i++) {
        assert_int_equal(p[i].others, 0);
        answered += p[i].answered;
        if (p[i].text)
            assert_string_equal(p[i].text, m.reply->body);
        free(p[i].text);
    }
    assert_true(answered > 0);
    model_client_close(&m);
    assert_int_equal(daemon_stop(&d), 0);
}

#define CONCURRENCY_TEST(f) cmocka_unit_test_teardown(f, clean_up)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CONCURRENCY_TEST(test_together_as_alone),
        CONCURRENCY_TEST(test_long_call_lets_others_in),
        CONCURRENCY_TEST(test_full_line),
        CONCURRENCY_TEST(test_no_read_sees_half_an_update),
        CONCURRENCY_TEST(test_programs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
