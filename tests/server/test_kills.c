/* Clients at work while the daemon is killed and stopped under them, again and again: what was
 * answered is there, what was not is done once when it is asked for again, and in the end each
 * model is as its twin whose daemon never ended. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <signal.h>
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
#define CLIENTS   4
#define ENDS      COUNT(16)

static struct daemon d;

/* Where the daemon is; it has another port each time. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char url[64];
static atomic_bool over;

static void publish(void)
{
    pthread_mutex_lock(&lock);
    snprintf(url, sizeof url, "%s", d.url);
    pthread_mutex_unlock(&lock);
}

static void rest(long ms)
{
    nanosleep(&(struct timespec){.tv_nsec = ms * 1000000}, NULL);
}

/* ---- what a client does -------------------------------------------------------------------- */

struct player {
    pthread_t thread;
    int number;
    struct http_client *http; /* NULL: to be made */
    char id[16];
    int done;          /* deeds */
    int64_t step;      /* of the model, as told last */
    int repeated, cut; /* requests that were sent again; calls that were ended between slices */
    char strange[600]; /* the first thing that should not have been */
};

struct act {
    const char *method, *rest;
    char body[128];
    int64_t steps; /* > 0: it makes so many */
};

#define SMALL "\"inputs\":[[0.5,-1,1],[2,0.25,0]],\"targets\":[[1,0],[-0.5,1]]"

/* The deed at i, for a model at step; a POST but for the patch, which may be done twice. */
static struct act deed(int number, int i, int64_t step)
{
    struct act a = {"POST", "/step", "{}", 1};
    switch ((i + number) % 10) {
    case 0:
        snprintf(a.body, sizeof a.body, "{%s}", SMALL);
        a.rest = "/batches";
        a.steps = 0;
        break;
    case 1:
        a.steps = 3;
        break;
    case 2:
        snprintf(a.body, sizeof a.body, "{%s}", SMALL);
        break;
    case 3:
        a.rest = "/backward";
        a.steps = 0;
        break;
    case 4:
        a.rest = "/optimizer/step";
        break;
    case 5:
        a.steps = 8000; /* some slices */
        break;
    case 6:
        a.method = "PATCH";
        a.rest = "";
        a.steps = 0;
        snprintf(a.body, sizeof a.body, "{\"optimizer\":{\"lr\":0.%03d}}", 1 + i % 9);
        break;
    case 7:
        a.rest = "/restore";
        a.steps = 0;
        snprintf(a.body, sizeof a.body, "{\"step\":%lld}", (long long)step - 1);
        break;
    case 8:
        a.rest = "/checkpoints";
        a.steps = 0;
        break;
    default:
        break;
    }
    if (a.steps > 1)
        snprintf(a.body, sizeof a.body, "{\"steps\":%lld}", (long long)a.steps);
    return a;
}

static int64_t number_in(const char *body, const char *key)
{
    const char *at = body ? strstr(body, key) : NULL;
    return at ? strtoll(at + strlen(key), NULL, 10) : -1;
}

/* Sends it until there is an answer, to whatever daemon there is then. */
static const struct http_reply *insist(struct player *p, const struct act *a, const char *key)
{
    char path[64], header[96];
    snprintf(path, sizeof path, "/models/%s%s", p->id, a->rest);
    snprintf(header, sizeof header, "Idempotency-Key: %s", key);
    const char *const headers[] = {"Content-Type: application/json", header, NULL};
    for (int i = 0; i < 3000; i++) {
        char at[64];
        pthread_mutex_lock(&lock);
        snprintf(at, sizeof at, "%s", url);
        pthread_mutex_unlock(&lock);
        if (!p->http)
            p->http = http_client_new(at);
        const struct http_reply *r =
            http_try(p->http, a->method, path, headers, a->body, strlen(a->body));
        bool refused = r && (r->status == 503 || r->status == 409) &&
                       number_in(r->body, "\"steps_done\":") <= 0;
        if (r && !refused)
            return r;
        p->repeated++;
        if (!r) {
            http_client_free(p->http);
            p->http = NULL;
        }
        rest(10);
    }
    return NULL;
}

/* One deed, to its end. false: something strange. */
static bool play(struct player *p, int i)
{
    struct act a = deed(p->number, i, p->step);
    for (int part = 0;; part++) {
        char key[40];
        snprintf(key, sizeof key, "%d-%d-%d", p->number, i, part);
        const struct http_reply *r = insist(p, &a, key);
        int64_t done = r ? number_in(r->body, "\"steps_done\":") : -1;
        if (r && r->status == 503 && done > 0 && a.steps > 1) { /* cut between its slices */
            p->cut++;
            p->step += done;
            a.steps -= done;
            if (a.steps == 0)
                return true;
            snprintf(a.body, sizeof a.body, "{\"steps\":%lld}", (long long)a.steps);
            continue;
        }
        if (!r || r->status / 100 != 2) {
            snprintf(p->strange, sizeof p->strange, "deed %d, %s%s: %ld %.400s", i, a.rest, a.body,
                     r ? r->status : 0, r ? r->body : "no answer");
            return false;
        }
        bool restores = !strcmp(a.rest, "/restore");
        p->step += restores ? -1 : a.steps;
        int64_t told = number_in(r->body, "\"step\":");
        if (strcmp(a.rest, "/batches") && strcmp(a.rest, "/backward") && told != p->step) {
            snprintf(p->strange, sizeof p->strange, "deed %d, %s%s: step %lld, not %lld: %.300s", i,
                     a.rest, a.body, (long long)told, (long long)p->step, r->body);
            return false;
        }
        return true;
    }
}

static void *run_player(void *arg)
{
    struct player *p = arg;
    while (!atomic_load(&over) && play(p, p->done))
        p->done++;
    http_client_free(p->http);
    p->http = NULL;
    return NULL;
}

/* ---- the twins ----------------------------------------------------------------------------- */

static void make_model(struct model_client *m, const char *id, const char *durability)
{
    char spec[400];
    snprintf(spec, sizeof spec,
             "{\"id\":\"%s\",\"seed\":3,\"loss\":\"mse\",\"durability\":\"%s\",\"layers\":"
             "[{\"type\":\"linear\",\"in_features\":3,\"out_features\":4},{\"type\":\"tanh\"},"
             "{\"type\":\"linear\",\"in_features\":4,\"out_features\":2}],"
             "\"optimizer\":{\"type\":\"sgd\",\"lr\":0.01,\"momentum\":0.9}}",
             id, durability);
    ask(m, 201, "POST", spec, "/models");
    for (int k = 0; k < 3; k++)
        ask(m, 201, "POST", k ? "{" SMALL "}" : "{\"inputs\":[[1,2,3]],\"targets\":[[0,1]]}",
            "/models/%s/batches", id);
}

/* All that it shows but its name and its checkpoints' times. */
static char *text_of(struct model_client *m, const char *id)
{
    char *text = model_text(m, id), *at = strstr(text, id);
    memset(at, '-', strlen(id));
    return text;
}

static void assert_as_alone(struct model_client *m, struct player *p, const char *durability)
{
    int64_t step = 0;
    make_model(m, "twin", durability);
    for (int i = 0; i < p->done; i++) {
        struct act a = deed(p->number, i, step);
        const cJSON *json =
            ask(m, !strcmp(a.rest, "/batches") || !strcmp(a.rest, "/checkpoints") ? 201 : 200,
                a.method, a.body, "/models/twin%s", a.rest);
        step = member(json, "step") ? (int64_t)number(json, "step") : step;
    }
    char *is = text_of(m, p->id);
    snprintf(p->id, sizeof p->id, "twin");
    char *twin = text_of(m, "twin");
    assert_same_text(is + strcspn(is, ","), twin + strcspn(twin, ","));
    free(is);
    free(twin);
    ask(m, 204, "DELETE", NULL, "/models/twin");
}

static void under_load(const char *durability)
{
    static struct player p[CLIENTS];
    struct model_client m;
    int repeated = 0, cut = 0, deeds = 0;
    atomic_store(&over, false);
    memset(p, 0, sizeof p);
    daemon_start(&d, DAEMON_REAL, ARGS("--workers", "2"));
    publish();
    model_client_open(&m, d.url);
    for (int i = 0; i < CLIENTS; i++) {
        p[i].number = i;
        snprintf(p[i].id, sizeof p[i].id, "m%d", i);
        make_model(&m, p[i].id, durability);
    }
    model_client_close(&m);
    for (int i = 0; i < CLIENTS; i++)
        assert_int_equal(pthread_create(&p[i].thread, NULL, run_player, &p[i]), 0);
    for (int i = 0; i < ENDS; i++) {
        rest(20 + 37 * i % 150);
        if (i % 4 == 3) {
            assert_int_equal(daemon_stop(&d), 0);
        } else {
            daemon_signal(&d, SIGKILL);
            daemon_wait(&d);
        }
        daemon_start(&d, DAEMON_REAL, ARGS("--workers", "2"));
        publish();
    }
    atomic_store(&over, true);
    for (int i = 0; i < CLIENTS; i++)
        pthread_join(p[i].thread, NULL);
    model_client_open(&m, d.url);
    for (int i = 0; i < CLIENTS; i++) {
        assert_string_equal(p[i].strange, "");
        deeds += p[i].done;
        repeated += p[i].repeated;
        cut += p[i].cut;
        assert_as_alone(&m, &p[i], durability);
    }
    print_message("%d deeds, %d repeats, %d calls cut\n", deeds, repeated, cut);
    assert_true(repeated > 0 && deeds > CLIENTS);
    model_client_close(&m);
    assert_int_equal(daemon_stop(&d), 0);
}

static void test_killed_under_load(void **state)
{
    (void)state;
    under_load("process");
}

static void test_killed_under_load_with_power(void **state)
{
    (void)state;
    under_load("power");
}

static int clean_up(void **state)
{
    (void)state;
    daemon_remove(&d);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_killed_under_load, clean_up),
        cmocka_unit_test_teardown(test_killed_under_load_with_power, clean_up),
    };
    return cmocka_run_group_tests_name("kills", tests, NULL, NULL);
}
