/* What outlives the process, to the bit: a model that was stopped, killed, or moved to another
 * instruction set is compared with a twin in a daemon that never was. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "tests/server/daemon.h"
#include "tests/server/http_client.h"
#include "tests/server/machine.h"
#include "tests/server/model_client.h"
#include "tests/server/raw_client.h"
#include "tests/server/slow_build.h"

#define ARGS(...) ((const char *const[]){__VA_ARGS__, NULL})

/* a: is restarted. b: the twin. */
static struct daemon a, b;

static int clean_up(void **state)
{
    (void)state;
    daemon_remove(&a);
    daemon_remove(&b);
    return 0;
}

static void rest(long ms)
{
    const struct timespec time = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    nanosleep(&time, NULL);
}

/* ---- models -------------------------------------------------------------------------------- */

static const char *const kinds[][2] = {
    {"plain", "\"optimizer\":{\"type\":\"sgd\",\"lr\":0.05}"},
    {"momentum", "\"optimizer\":{\"type\":\"sgd\",\"lr\":0.05,\"momentum\":0.9,\"nesterov\":true,"
                 "\"weight_decay\":0.01}"},
    {"dampened", "\"dtype\":\"float64\",\"optimizer\":{\"type\":\"sgd\",\"lr\":0.05,"
                 "\"momentum\":0.5,\"dampening\":0.1}"},
    {"seeded", "\"seed\":42,\"on_divergence\":\"continue\""},
};
enum { KINDS = sizeof kinds / sizeof kinds[0], BATCHES = 3 };

/* A number that depends on i alone, -1 to 1. */
static double noise(int i)
{
    return (double)((unsigned)(i + 1) * 2654435761u % 2001) / 1000 - 1;
}

static char *make_batch(int rows, int seed)
{
    struct text t = {0};
    text_print(&t, "{\"inputs\":[");
    for (int i = 0; i < rows; i++)
        text_print(&t, "%s[%.3f,%.3f,%.3f]", i ? "," : "", noise(seed + 3 * i),
                   noise(seed + 3 * i + 1), noise(seed + 3 * i + 2));
    text_print(&t, "],\"targets\":[");
    for (int i = 0; i < rows; i++)
        text_print(&t, "%s[%.3f,%.3f]", i ? "," : "", noise(seed + i + 7), noise(seed + i + 9));
    text_print(&t, "]}");
    return t.at;
}

static void make_model(struct model_client *m, const char *id, const char *options)
{
    struct text spec = {0};
    text_print(&spec, "{\"id\":\"%s\",\"loss\":\"smooth_l1\",%s,\"layers\":", id, options);
    text_print(&spec, "[{\"type\":\"linear\",\"in_features\":3,\"out_features\":17},"
                      "{\"type\":\"gelu\"},"
                      "{\"type\":\"linear\",\"in_features\":17,\"out_features\":2}]}");
    ask(m, 201, "POST", spec.at, "/models");
    for (int i = 0; i < BATCHES; i++) {
        char *batch = make_batch(i + 2, 100 * i);
        ask(m, 201, "POST", batch, "/models/%s/batches", id);
        free(batch);
    }
    text_free(&spec);
}

static void make_models(struct daemon *d)
{
    struct model_client m;
    model_client_open(&m, d->url);
    for (int i = 0; i < KINDS; i++)
        make_model(&m, kinds[i][0], kinds[i][1]);
    model_client_close(&m);
}

/* Every kind of change, ended in the middle of things: between two batches in turn, with gradients
 * added up and not yet applied. */
static void change(struct model_client *m, const char *id, int round)
{
    char body[128];
    char *batch = make_batch(4, 1000 + round);
    ask(m, 200, "POST", "{\"steps\":37}", "/models/%s/step", id);
    ask(m, 200, "POST", NULL, "/models/%s/zero_grad", id);
    ask(m, 200, "POST", "{\"batch\":1}", "/models/%s/backward", id);
    ask(m, 200, "POST", NULL, "/models/%s/optimizer/step", id);
    snprintf(body, sizeof body, "{\"optimizer\":{\"lr\":%.3f},\"requires_grad\":{\"0.bias\":%s}}",
             0.01 * (round + 1), round % 2 ? "true" : "false");
    ask(m, 200, "PATCH", body, "/models/%s", id);
    ask(m, 201, "POST", "{\"label\":\"kept\"}", "/models/%s/checkpoints", id);
    ask(m, 200, "POST", "{\"steps\":4}", "/models/%s/step", id);
    if (round % 3 == 1)
        ask(m, 200, "POST", NULL, "/models/%s/checkpoints/1/restore", id);
    ask(m, 201, "POST", batch, "/models/%s/batches", id);
    ask(m, 204, "DELETE", NULL, "/models/%s/batches/%d", id, BATCHES + 1 + round);
    ask(m, 200, "POST", batch, "/models/%s/backward", id);
    ask(m, 200, "POST", "{}", "/models/%s/backward", id);
    free(batch);
}

static void change_all(struct daemon *d, int round)
{
    struct model_client m;
    model_client_open(&m, d->url);
    for (int i = 0; i < KINDS; i++)
        change(&m, kinds[i][0], round);
    model_client_close(&m);
}

static char *text_of(struct daemon *d, const char *id)
{
    struct model_client m;
    model_client_open(&m, d->url);
    char *text = model_text(&m, id);
    model_client_close(&m);
    return text;
}

static void assert_twins(void)
{
    for (int i = 0; i < KINDS; i++) {
        char *one = text_of(&a, kinds[i][0]), *other = text_of(&b, kinds[i][0]);
        assert_same_text(one, other);
        free(one);
        free(other);
    }
}

static void restart(struct daemon *d, const char *const *args)
{
    assert_int_equal(daemon_stop(d), 0);
    daemon_start(d, DAEMON_REAL, args);
}

static double step_of(struct daemon *d, const char *id)
{
    struct model_client m;
    model_client_open(&m, d->url);
    double step = number(ask(&m, 200, "GET", NULL, "/models/%s", id), "step");
    model_client_close(&m);
    return step;
}

static void post(struct daemon *d, const char *body, const char *id, const char *what)
{
    struct model_client m;
    model_client_open(&m, d->url);
    ask(&m, 200, "POST", body, "/models/%s/%s", id, what);
    model_client_close(&m);
}

static void checkpoint_after(struct daemon *d, int steps)
{
    struct model_client m;
    char body[64];
    snprintf(body, sizeof body, "{\"steps\":%d}", steps);
    model_client_open(&m, d->url);
    ask(&m, 200, "POST", body, "/models/plain/step");
    ask(&m, 201, "POST", NULL, "/models/plain/checkpoints");
    model_client_close(&m);
}

/* ---- a clean stop -------------------------------------------------------------------------- */

static void test_stopped_goes_on_as_its_twin(void **state)
{
    (void)state;
    daemon_start(&a, DAEMON_REAL, NULL);
    daemon_start(&b, DAEMON_REAL, NULL);
    make_models(&a);
    make_models(&b);
    restart(&a, NULL); /* models that were never trained, too */
    assert_twins();
    for (int round = 0; round < 4; round++) {
        change_all(&a, round);
        restart(&a, NULL);
        change_all(&b, round);
        assert_twins();
    }
    restart(&a, NULL);                /* with nothing changed since the last start */
    for (int i = 0; i < KINDS; i++) { /* momentum and cursor do not show until they are used */
        post(&a, "{\"steps\":50}", kinds[i][0], "step");
        post(&b, "{\"steps\":50}", kinds[i][0], "step");
    }
    assert_twins();
    assert_int_equal(daemon_stop(&a), 0);
    assert_int_equal(daemon_stop(&b), 0);
}

/* A backward that no parameter wants a gradient of is counted, and leaves none. */
static void test_stopped_with_all_parameters_frozen(void **state)
{
    static const char freeze[] = "{\"requires_grad\":{\"0.weight\":false,\"0.bias\":false,"
                                 "\"2.weight\":false,\"2.bias\":false}}";
    struct daemon *const both[] = {&a, &b};
    struct model_client m;
    (void)state;
    for (int i = 0; i < 2; i++) {
        daemon_start(both[i], DAEMON_REAL, NULL);
        make_models(both[i]);
        model_client_open(&m, both[i]->url);
        ask(&m, 200, "PATCH", freeze, "/models/plain");
        model_client_close(&m);
        post(both[i], "{}", "plain", "backward");
    }
    restart(&a, NULL);
    post(&a, "{}", "plain", "backward");
    post(&b, "{}", "plain", "backward");
    assert_twins();
    assert_int_equal(daemon_stop(&a), 0);
    assert_int_equal(daemon_stop(&b), 0);
}

/* What is left of a model's history when it is taken to a checkpoint of a past that it had been
 * taken back from does not depend on when the steps since then were kept. */
static void test_history_of_a_past_that_was_left(void **state)
{
    struct daemon *const both[] = {&a, &b};
    (void)state;
    for (int i = 0; i < 2; i++) {
        daemon_start(both[i], DAEMON_REAL, NULL);
        make_models(both[i]);
        checkpoint_after(both[i], 5);
        checkpoint_after(both[i], 5);
        post(both[i], NULL, "plain", "checkpoints/1/restore");
        post(both[i], "{\"steps\":3}", "plain", "step");
    }
    restart(&a, NULL);
    post(&a, NULL, "plain", "checkpoints/2/restore");
    post(&b, NULL, "plain", "checkpoints/2/restore");
    assert_twins();
    assert_int_equal(daemon_stop(&a), 0);
    assert_int_equal(daemon_stop(&b), 0);
}

static void test_deleted_stays_deleted(void **state)
{
    struct model_client m;
    (void)state;
    daemon_start(&a, DAEMON_REAL, NULL);
    make_models(&a);
    change_all(&a, 0);
    model_client_open(&m, a.url);
    ask(&m, 204, "DELETE", NULL, "/models/momentum");
    ask(&m, 204, "DELETE", NULL, "/models/plain");
    make_model(&m, "plain", kinds[0][1]); /* an id that is used again has nothing of the old one */
    char *fresh = model_text(&m, "plain");
    model_client_close(&m);
    restart(&a, NULL);
    model_client_open(&m, a.url);
    ask(&m, 404, "GET", NULL, "/models/momentum");
    char *after = model_text(&m, "plain");
    assert_same_text(after, fresh);
    free(fresh);
    free(after);
    model_client_close(&m);
    assert_int_equal(daemon_stop(&a), 0);
}

/* ---- kill -9 ------------------------------------------------------------------------------- */

static void kill_and_start(struct daemon *d, const char *const *args)
{
    daemon_signal(d, SIGKILL);
    assert_int_equal(daemon_wait(d), 128 + SIGKILL);
    daemon_start(d, DAEMON_REAL, args);
}

/* The twin takes single steps up to where the killed one came back; from there both go on. */
static void assert_twin_at(const char *id, int step)
{
    for (int i = (int)step_of(&b, id); i < step; i++)
        post(&b, "{}", id, "step");
    char *one = text_of(&a, id), *other = text_of(&b, id);
    assert_same_text(one, other);
    free(one);
    free(other);
    post(&a, "{\"steps\":10}", id, "step");
    post(&b, "{\"steps\":10}", id, "step");
    one = text_of(&a, id);
    other = text_of(&b, id);
    assert_same_text(one, other);
    free(one);
    free(other);
}

/* The store works in order: a batch that is acknowledged proves that the checkpoint before it has
 * arrived. */
static void test_killed_after_some_steps(void **state)
{
    enum { EVERY = 50, STEPS = 130 };
    const char *const *args = ARGS("--checkpoint-steps", "50", "--checkpoint-seconds", "3600");
    (void)state;
    daemon_start(&a, DAEMON_REAL, args);
    daemon_start(&b, DAEMON_REAL, NULL);
    make_models(&a);
    make_models(&b);
    for (int i = 0; i < STEPS; i++)
        post(&a, "{}", "momentum", "step");
    struct model_client m;
    model_client_open(&m, a.url);
    make_model(&m, "proof", kinds[0][1]);
    model_client_close(&m);
    kill_and_start(&a, args);
    int step = (int)step_of(&a, "momentum");
    assert_true(step >= EVERY && step <= STEPS);
    assert_twin_at("momentum", step);
    assert_int_equal(step_of(&a, "plain"), 0);
    assert_int_equal(daemon_stop(&a), 0);
    assert_int_equal(daemon_stop(&b), 0);
}

/* How long the background takes is not ours to say: it is killed later and later until there was
 * a checkpoint. */
static void test_killed_after_a_time(void **state)
{
    const char *const *args = ARGS("--checkpoint-seconds", "1");
    int step = 0;
    (void)state;
    daemon_start(&a, DAEMON_REAL, args);
    daemon_start(&b, DAEMON_REAL, NULL);
    make_models(&a);
    make_models(&b);
    for (long ms = 2500; ms < 60000 && step == 0; ms *= 2) {
        post(&a, "{\"steps\":7}", "dampened", "step");
        rest(ms);
        post(&a, "{}", "dampened", "step");
        kill_and_start(&a, args);
        step = (int)step_of(&a, "dampened");
    }
    assert_true(step == 7 || step == 8);
    assert_twin_at("dampened", step);
    assert_int_equal(daemon_stop(&a), 0);
    assert_int_equal(daemon_stop(&b), 0);
}

/* Creating, deleting, batches and a client's checkpoints are kept once they are answered. */
static void test_killed_at_once(void **state)
{
    struct model_client m;
    (void)state;
    daemon_start(&a, DAEMON_REAL, NULL);
    make_models(&a);
    model_client_open(&m, a.url);
    ask(&m, 200, "POST", "{\"steps\":9}", "/models/momentum/step");
    ask(&m, 201, "POST", "{\"label\":\"nine\"}", "/models/momentum/checkpoints");
    char *nine = model_text(&m, "momentum");
    ask(&m, 204, "DELETE", NULL, "/models/seeded");
    ask(&m, 204, "DELETE", NULL, "/models/plain/batches/2");
    model_client_close(&m);
    kill_and_start(&a, NULL);
    model_client_open(&m, a.url);
    ask(&m, 404, "GET", NULL, "/models/seeded");
    assert_int_equal(number(ask(&m, 200, "GET", NULL, "/models/plain"), "batches"), 2);
    ask(&m, 404, "GET", NULL, "/models/plain/batches/2");
    ask(&m, 200, "POST", NULL, "/models/momentum/checkpoints/1/restore");
    char *restored = model_text(&m, "momentum");
    assert_same_text(restored, nine);
    free(nine);
    free(restored);
    model_client_close(&m);
    assert_int_equal(daemon_stop(&a), 0);
}

/* Sends a POST with its key; returns the body, which the caller frees. */
static char *post_with_key(struct daemon *d, const char *path, const char *body, long status,
                           bool again)
{
    const char *const headers[] = {"Content-Type: application/json", "Idempotency-Key: once", NULL};
    char replayed[16];
    struct http_client *c = http_client_new(d->url);
    const struct http_reply *r = http_send(c, "POST", path, headers, body, strlen(body));
    assert_int_equal(r->status, status);
    http_header(r, "Idempotent-Replayed", replayed, sizeof replayed);
    assert_string_equal(replayed, again ? "true" : "");
    char *text = strdup(r->body);
    http_client_free(c);
    return text;
}

/* The same without waiting for the answer. */
static void send_with_key(struct daemon *d, const char *path, const char *body)
{
    struct text t = {0};
    text_print(&t,
               "POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
               "Idempotency-Key: once\r\nContent-Length: %zu\r\n\r\n%s",
               path, strlen(body), body);
    int fd = raw_connect(d->port);
    assert_true(raw_send(fd, t.at, t.bytes));
    close(fd);
    text_free(&t);
}

/* A key has one effect, whatever becomes of the process between the request and its repeat. */
static void test_keys_outlive_the_process(void **state)
{
    static const char batch[] = "{\"inputs\":[[1,2,3]],\"targets\":[[4,5]]}";
    (void)state;
    daemon_start(&a, DAEMON_REAL, NULL);
    make_models(&a);
    char *first = post_with_key(&a, "/models/plain/batches", batch, 201, false);
    kill_and_start(&a, NULL);
    char *again = post_with_key(&a, "/models/plain/batches", batch, 201, true);
    assert_string_equal(first, again);
    free(first);
    free(again);
    struct model_client m;
    model_client_open(&m, a.url);
    assert_int_equal(number(ask(&m, 200, "GET", NULL, "/models/plain"), "batches"), BATCHES + 1);
    model_client_close(&m);

    daemon_remove(&a);
    daemon_start(&a, DAEMON_REAL, NULL);
    make_models(&a);
    first = post_with_key(&a, "/models/momentum/step", "{\"steps\":3}", 200, false);
    restart(&a, NULL);
    again = post_with_key(&a, "/models/momentum/step", "{\"steps\":3}", 200, true);
    assert_string_equal(first, again);
    free(first);
    free(again);
    assert_int_equal(step_of(&a, "momentum"), 3);
    assert_int_equal(daemon_stop(&a), 0);
}

/* Killed at once after a step with a key: both are there, or neither. */
static void test_killed_between_a_key_and_its_repeat(void **state)
{
    (void)state;
    daemon_start(&a, DAEMON_REAL, NULL);
    make_models(&a);
    free(post_with_key(&a, "/models/momentum/step", "{\"steps\":3}", 200, false));
    kill_and_start(&a, NULL);
    bool kept = step_of(&a, "momentum") > 0;
    free(post_with_key(&a, "/models/momentum/step", "{\"steps\":3}", 200, kept));
    assert_int_equal(step_of(&a, "momentum"), 3);
    assert_int_equal(daemon_stop(&a), 0);
}

/* ---- the same bits everywhere -------------------------------------------------------------- */

/* One daemon whose every restart is another machine, so to say; its twin never changes. */
static void test_every_machine_has_the_same_bits(void **state)
{
    static const char *const workers[] = {"1", "4"};
    (void)state;
    daemon_start(&a, DAEMON_REAL, ARGS("--isa", "baseline", "--workers", "1"));
    daemon_start(&b, DAEMON_REAL, ARGS("--isa", "auto"));
    make_models(&a);
    make_models(&b);
    for (int round = 0; round < 2 * machine_isas(); round++) {
        restart(&a, ARGS("--isa", machine_isa[round / 2], "--workers", workers[round % 2]));
        change_all(&a, round);
        change_all(&b, round);
        assert_twins();
    }
    assert_int_equal(daemon_stop(&a), 0);
    assert_int_equal(daemon_stop(&b), 0);
}

/* ---- in the middle of a long call ---------------------------------------------------------- */

struct long_call {
    pthread_t thread;
    const char *url, *id;
    long status;
    double steps_done, step;
    atomic_bool ended;
};

static void *run_long_call(void *arg)
{
    struct long_call *l = arg;
    struct model_client m;
    model_client_open(&m, l->url);
    l->status = try_ask(&m, "POST", "{\"steps\":1000000}", "/models/%s/step", l->id);
    const cJSON *done = member(m.json, "steps_done"), *step = member(m.json, "step");
    l->steps_done = done ? done->valuedouble : -1;
    l->step = step ? step->valuedouble : -1;
    atomic_store(&l->ended, true);
    model_client_close(&m);
    return NULL;
}

static void start_long_call(struct long_call *l, struct daemon *d, const char *id)
{
    l->url = d->url;
    l->id = id;
    atomic_store(&l->ended, false);
    assert_int_equal(pthread_create(&l->thread, NULL, run_long_call, l), 0);
    while (step_of(d, id) < 100) {
        assert_false(atomic_load(&l->ended));
        rest(1);
    }
}

static void test_stopped_in_the_middle_of_a_call(void **state)
{
    static struct long_call l;
    (void)state;
    daemon_start(&a, DAEMON_REAL, ARGS("--workers", "1"));
    make_models(&a);
    start_long_call(&l, &a, "momentum");
    assert_int_equal(daemon_stop(&a), 0);
    pthread_join(l.thread, NULL);
    assert_int_equal(l.status, 503);
    assert_true(l.steps_done >= 100 && l.steps_done < 1000000);
    assert_int_equal(l.step, l.steps_done);

    daemon_start(&a, DAEMON_REAL, NULL);
    assert_int_equal(step_of(&a, "momentum"), l.steps_done);
    daemon_start(&b, DAEMON_REAL, NULL);
    make_models(&b);
    char body[64];
    snprintf(body, sizeof body, "{\"steps\":%.0f}", l.steps_done);
    post(&b, body, "momentum", "step");
    assert_twins();
    assert_int_equal(daemon_stop(&a), 0);
    assert_int_equal(daemon_stop(&b), 0);
}

/* Of a call that was not answered some slices are kept. A repeat is told how many steps these are,
 * as often as it asks, and makes no further ones; the rest is another call. */
static void test_killed_in_the_middle_of_a_call_with_a_key(void **state)
{
    enum { STEPS = SLOW_BUILD ? 60000 : 300000 };
    struct model_client m;
    char body[64];
    (void)state;
    snprintf(body, sizeof body, "{\"steps\":%d}", STEPS);
    daemon_start(&a, DAEMON_REAL, NULL);
    make_models(&a);
    send_with_key(&a, "/models/plain/step", body);
    while (step_of(&a, "plain") < STEPS / 10)
        rest(1);
    kill_and_start(&a, NULL);
    int kept = (int)step_of(&a, "plain");
    assert_in_range(kept, 1, STEPS - 1);
    model_client_open(&m, a.url);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(try_keyed(&m, "POST", "once", body, "/models/plain/step"), 503);
        assert_int_equal(number(m.json, "steps_done"), kept);
        assert_int_equal(step_of(&a, "plain"), kept);
    }
    snprintf(body, sizeof body, "{\"steps\":%d}", STEPS - kept);
    assert_int_equal(try_keyed(&m, "POST", "the-rest", body, "/models/plain/step"), 200);
    assert_int_equal(number(m.json, "step"), STEPS);
    model_client_close(&m);
    assert_int_equal(daemon_stop(&a), 0);
}

/* Without a journal no checkpoint is made while a call with a key runs: it would keep a part of the
 * call without its answer. */
static void test_killed_in_the_middle_without_a_journal(void **state)
{
    enum { STEPS = SLOW_BUILD ? 60000 : 300000 };
    const char *const *args = ARGS("--checkpoint-steps", "1000");
    struct model_client m;
    char body[64];
    (void)state;
    snprintf(body, sizeof body, "{\"steps\":%d}", STEPS);
    daemon_start(&a, DAEMON_REAL, args);
    make_models(&a);
    model_client_open(&m, a.url);
    ask(&m, 200, "PATCH", "{\"durability\":\"none\"}", "/models/plain");
    model_client_close(&m);
    send_with_key(&a, "/models/plain/step", body);
    while (step_of(&a, "plain") < STEPS / 10)
        rest(1);
    kill_and_start(&a, args);
    model_client_open(&m, a.url);
    assert_int_equal(try_keyed(&m, "POST", "once", body, "/models/plain/step"), 200);
    assert_int_equal(number(m.json, "step"), STEPS);
    assert_int_equal(cJSON_GetArraySize(member(m.json, "losses")), STEPS);
    model_client_close(&m);
    assert_int_equal(daemon_stop(&a), 0);
}

static void test_second_daemon_leaves_the_first_at_work(void **state)
{
    struct daemon second = {0};
    static struct long_call l;
    char data[200];
    (void)state;
    daemon_start(&a, DAEMON_REAL, NULL);
    make_models(&a);
    start_long_call(&l, &a, "plain");
    double before = step_of(&a, "plain");
    snprintf(data, sizeof data, "%s/gradd.db", a.dir);
    assert_int_equal(
        daemon_run(&second, DAEMON_REAL, ARGS("--data", data, "--listen", "127.0.0.1:0")), 1);
    char *log = daemon_log(&second);
    assert_non_null(strstr(log, "cannot start: "));
    assert_non_null(strstr(log, "another gradd"));
    assert_null(strstr(log, "listening"));
    free(log);
    daemon_remove(&second);
    assert_true(step_of(&a, "plain") > before);
    assert_int_equal(daemon_stop(&a), 0);
    pthread_join(l.thread, NULL);
    assert_int_equal(l.status, 503);
    daemon_start(&a, DAEMON_REAL, NULL);
    assert_int_equal(step_of(&a, "plain"), l.steps_done);
    assert_int_equal(daemon_stop(&a), 0);
}

/* SQLite drops what stands behind it, once: it is told even if the daemon lives only for a moment.
 */
static void test_damage_in_the_log_is_told(void **state)
{
    char name[200], byte;
    struct stat info;
    (void)state;
    daemon_start(&a, DAEMON_REAL, NULL);
    make_models(&a);
    daemon_signal(&a, SIGKILL);
    assert_int_equal(daemon_wait(&a), 128 + SIGKILL);
    snprintf(name, sizeof name, "%s/gradd.db-wal", a.dir);
    int fd = open(name, O_RDWR);
    assert_int_equal(fstat(fd, &info), 0);
    off_t at = info.st_size * 3 / 4;
    assert_int_equal(pread(fd, &byte, 1, at), 1);
    byte ^= 4;
    assert_int_equal(pwrite(fd, &byte, 1, at), 1);
    assert_int_equal(close(fd), 0);
    daemon_start(&a, DAEMON_REAL, NULL);
    assert_int_equal(daemon_stop(&a), 0);
    char *log = daemon_log(&a);
    assert_non_null(strstr(log, "pages in its log are lost"));
    free(log);
}

#define RESTART_TEST(f) cmocka_unit_test_teardown(f, clean_up)

int main(void)
{
    const struct CMUnitTest tests[] = {
        RESTART_TEST(test_stopped_goes_on_as_its_twin),
        RESTART_TEST(test_stopped_with_all_parameters_frozen),
        RESTART_TEST(test_history_of_a_past_that_was_left),
        RESTART_TEST(test_deleted_stays_deleted),
        RESTART_TEST(test_killed_after_some_steps),
        RESTART_TEST(test_killed_after_a_time),
        RESTART_TEST(test_killed_at_once),
        RESTART_TEST(test_keys_outlive_the_process),
        RESTART_TEST(test_killed_between_a_key_and_its_repeat),
        RESTART_TEST(test_every_machine_has_the_same_bits),
        RESTART_TEST(test_stopped_in_the_middle_of_a_call),
        RESTART_TEST(test_killed_in_the_middle_of_a_call_with_a_key),
        RESTART_TEST(test_killed_in_the_middle_without_a_journal),
        RESTART_TEST(test_second_daemon_leaves_the_first_at_work),
        RESTART_TEST(test_damage_in_the_log_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
