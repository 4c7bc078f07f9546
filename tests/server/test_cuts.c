/* Connections that are cut at any place, and requests that are repeated with their Idempotency-Key
 * until they are answered: each has had one effect, and the model is that of a run without cuts.
 *
 *     test_cuts [STEPS [SEED]]    other numbers
 *
 * Client threads do not assert: what they have found is judged by the test's own. */
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
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "tests/server/daemon.h"
#include "tests/server/dice.h"
#include "tests/server/model_client.h"
#include "tests/server/raw_client.h"
#include "tests/server/slow_build.h"

#define ARGS(...)   ((const char *const[]){__VA_ARGS__, NULL})
#define STEPS_MAX   3    /* of a request */
#define PADDING_MAX 2000 /* bytes that make a body long enough to be cut in many places */
#define ANSWER_MAX  4096
#define TRIES_MAX   1000

enum { CLIENTS = 8, BATCHES = 3 };
enum cut { CUT_NEVER, CUT_WHILE_SENDING, CUT_WHEN_SENT, CUT_WHILE_READING, CUTS };

static struct daemon a, b; /* b: without cuts */
static int steps_wanted = SLOW_BUILD ? 500 : 10000;
static uint64_t seed;
static atomic_int steps_left; /* to be asked for */

static int clean_up(void **state)
{
    (void)state;
    daemon_remove(&a);
    daemon_remove(&b);
    return 0;
}

/* ---- the model ----------------------------------------------------------------------------- */

static void make_model(const struct daemon *d)
{
    struct model_client m;
    uint64_t dice = 1;
    model_client_open(&m, d->url);
    ask(&m, 201, "POST",
        "{\"id\":\"m\",\"loss\":\"mse\",\"optimizer\":{\"type\":\"sgd\",\"lr\":0.01,"
        "\"momentum\":0.9,\"weight_decay\":0.001},\"layers\":[{\"type\":\"linear\","
        "\"in_features\":2,\"out_features\":9},{\"type\":\"tanh\"},{\"type\":\"linear\","
        "\"in_features\":9,\"out_features\":1}]}",
        "/models");
    for (int i = 0; i < BATCHES; i++) {
        char batch[200];
        int n[6];
        for (int k = 0; k < 6; k++)
            n[k] = (int)dice_between(&dice, -9, 9);
        snprintf(batch, sizeof batch, "{\"inputs\":[[%d,0.%d],[0.%d,%d]],\"targets\":[[%d],[%d]]}",
                 n[0], abs(n[1]), abs(n[2]), n[3], n[4], n[5]);
        ask(&m, 201, "POST", batch, "/models/m/batches");
    }
    model_client_close(&m);
}

static char *text_of(const struct daemon *d)
{
    struct model_client m;
    model_client_open(&m, d->url);
    char *text = model_text(&m, "m");
    model_client_close(&m);
    return text;
}

/* ---- one request --------------------------------------------------------------------------- */

struct asked {
    int steps;
    long long step; /* that its answer tells: its own is the last of them */
};

struct client {
    pthread_t thread;
    int number;
    uint64_t dice;
    struct asked *asked;
    size_t count, room;
    size_t cuts[CUTS], replayed;
    char strange[300]; /* the first answer that should not have been */
};

static struct text make_request(struct client *c, int steps)
{
    char body[PADDING_MAX + 64];
    struct text t = {0};
    int padding = (int)dice_between(&c->dice, 0, PADDING_MAX);
    snprintf(body, sizeof body, "{%*s\"steps\":%d}", padding, "", steps);
    text_print(&t, "POST /models/m/step HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n");
    text_print(&t, "Content-Type: application/json\r\nContent-Length: %zu\r\n", strlen(body));
    text_print(&t, "Idempotency-Key: %d-%zu\r\n\r\n%s", c->number, c->count, body);
    return t;
}

/* Half of the cuts reset the connection, the others end it in order. */
static void cut(struct client *c, int fd)
{
    struct linger hard = {.l_onoff = 1, .l_linger = 0};
    if (dice_between(&c->dice, 0, 1))
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
}

static void rest_a_little(struct client *c)
{
    const struct timespec time = {.tv_nsec = dice_between(&c->dice, 0, 2000000)};
    nanosleep(&time, NULL);
}

/* Sends it and cuts at that place. Returns the status of a whole answer, 0 if there was none. */
static int send_and_cut(struct client *c, const struct text *request, enum cut place, char *answer)
{
    int fd = raw_try_connect(a.port), status = 0;
    size_t bytes = request->bytes;
    if (fd < 0)
        return -1;
    if (place == CUT_WHILE_SENDING)
        bytes = (size_t)dice_between(&c->dice, 0, (int64_t)bytes - 1);
    raw_send(fd, request->at, bytes);
    if (place == CUT_WHEN_SENT && dice_between(&c->dice, 0, 1))
        rest_a_little(c);
    if (place == CUT_WHILE_READING)
        raw_read_all(fd, answer, (size_t)dice_between(&c->dice, 2, 300));
    if (place == CUT_NEVER && raw_read_all(fd, answer, ANSWER_MAX) > 0)
        status = atoi(answer + sizeof "HTTP/1.1");
    else
        cut(c, fd);
    close(fd);
    return status;
}

/* An answer that is not whole counts as none. */
static bool take_answer(struct client *c, const char *answer, int steps)
{
    const char *length = strstr(answer, "Content-Length: "), *body = strstr(answer, "\r\n\r\n");
    const char *step = body ? strstr(body, "{\"step\":") : NULL;
    if (!length || !step || strlen(body + 4) != (size_t)atoi(length + 16))
        return false;
    if (c->count == c->room) {
        c->room = 2 * c->room + 64;
        c->asked = realloc(c->asked, c->room * sizeof *c->asked);
        if (!c->asked)
            abort();
    }
    c->asked[c->count++] = (struct asked){steps, atoll(step + 8)};
    c->replayed += strstr(answer, "Idempotent-Replayed: true") != NULL;
    return true;
}

/* The first try is cut more often than not. What is busy, or has its key in use, may be tried
 * again. */
static void see_through(struct client *c, int steps)
{
    static char answer[CLIENTS][ANSWER_MAX];
    struct text request = make_request(c, steps);
    int tries = 0;
    bool done = false;
    while (!done && tries++ < TRIES_MAX && !c->strange[0]) {
        enum cut place = (enum cut)dice_between(&c->dice, tries > 1 ? -2 : 0, CUTS - 1);
        place = (int)place < 0 ? CUT_NEVER : place;
        int status = send_and_cut(c, &request, place, answer[c->number]);
        c->cuts[place]++;
        if (status == 200)
            done = take_answer(c, answer[c->number], steps);
        else if (status == 409 || status == 429)
            rest_a_little(c);
        else if (status != 0)
            snprintf(c->strange, sizeof c->strange, "%d: %.250s", status, answer[c->number]);
    }
    if (!done && !c->strange[0])
        snprintf(c->strange, sizeof c->strange, "no answer after %d tries", tries);
    text_free(&request);
}

/* ---- many of them -------------------------------------------------------------------------- */

/* 1 to STEPS_MAX of those that are left; 0: there are none. */
static int take_steps(struct client *c)
{
    int left = atomic_load(&steps_left), want = (int)dice_between(&c->dice, 1, STEPS_MAX), take;
    do
        take = want < left ? want : left;
    while (!atomic_compare_exchange_weak(&steps_left, &left, left - take));
    return take;
}

static void *run_client(void *arg)
{
    struct client *c = arg;
    for (int steps = take_steps(c); steps > 0 && !c->strange[0]; steps = take_steps(c))
        see_through(c, steps);
    return NULL;
}

/* Each step is that of one answer. */
static void judge(const struct client *client)
{
    bool *made = calloc((size_t)steps_wanted + 1, sizeof *made);
    size_t requests = 0, tries = 0, replayed = 0;
    assert_non_null(made);
    for (const struct client *c = client; c < client + CLIENTS; c++) {
        assert_string_equal(c->strange, "");
        for (size_t i = 0; i < c->count; i++)
            for (long long step = c->asked[i].step; step > c->asked[i].step - c->asked[i].steps;
                 step--) {
                if (step < 1 || step > steps_wanted || made[step])
                    fail_msg("seed %llu: step %lld was made more than once",
                             (unsigned long long)seed, step);
                made[step] = true;
            }
        requests += c->count;
        replayed += c->replayed;
        for (int k = 0; k < CUTS; k++)
            tries += c->cuts[k];
    }
    free(made);
    print_message("%d steps in %zu requests, sent %zu times, %zu answered from what was kept; "
                  "seed %llu\n",
                  steps_wanted, requests, tries, replayed, (unsigned long long)seed);
    assert_true(replayed > 0 && tries > requests);
}

static void run_with_cuts(void)
{
    static struct client client[CLIENTS];
    atomic_store(&steps_left, steps_wanted);
    for (int i = 0; i < CLIENTS; i++) {
        client[i] = (struct client){.number = i, .dice = seed + (uint64_t)i};
        assert_int_equal(pthread_create(&client[i].thread, NULL, run_client, &client[i]), 0);
    }
    for (int i = 0; i < CLIENTS; i++)
        pthread_join(client[i].thread, NULL);
    judge(client);
    for (int i = 0; i < CLIENTS; i++)
        free(client[i].asked);
}

static void run_without(void)
{
    struct model_client m;
    char body[64];
    model_client_open(&m, b.url);
    snprintf(body, sizeof body, "{\"steps\":%d}", steps_wanted);
    ask(&m, 200, "POST", body, "/models/m/step");
    model_client_close(&m);
}

static void test_cut_anywhere(void **state)
{
    (void)state;
    seed = seed ? seed : dice_seed();
    daemon_start(&a, DAEMON_REAL, ARGS("--workers", "2", "--checkpoint-steps", "100"));
    daemon_start(&b, DAEMON_REAL, NULL);
    make_model(&a);
    make_model(&b);
    run_with_cuts();
    run_without();
    char *one = text_of(&a), *other = text_of(&b);
    assert_same_text(one, other);
    free(one);
    free(other);
    assert_int_equal(daemon_stop(&a), 0);
    assert_int_equal(daemon_stop(&b), 0);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test_teardown(test_cut_anywhere, clean_up)};
    if (argc > 1)
        steps_wanted = atoi(argv[1]);
    if (argc > 2)
        seed = strtoull(argv[2], NULL, 10);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
