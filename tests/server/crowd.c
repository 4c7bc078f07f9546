#include "tests/server/crowd.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/server/dice.h"
#include "tests/server/machine.h"
#include "tests/server/slow_build.h"

#define ROUND_ENDS 50 /* of a long work: then all is proved, and forgotten */
/* The daemon's own, for what it owes when it is to end; and what may come on top of it. */
#define DRAIN_SECONDS 5
#define END_SECONDS   (DRAIN_SECONDS + (SLOW_BUILD ? 25 : 5))
#define TEXT_OF(x)    #x
#define TEXT(x)       TEXT_OF(x)
#define ARGS(...)     ((const char *const[]){__VA_ARGS__, NULL})

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

/* ---- trouble ------------------------------------------------------------------------------- */

void crowd_note_trouble(struct crowd *c, const char *format, ...)
{
    char text[1000];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    pthread_mutex_lock(&c->mutex);
    if (!c->trouble)
        c->trouble = strdup(text);
    pthread_cond_broadcast(&c->begun);
    pthread_mutex_unlock(&c->mutex);
}

bool crowd_has_trouble(struct crowd *c)
{
    pthread_mutex_lock(&c->mutex);
    bool trouble = c->trouble;
    pthread_mutex_unlock(&c->mutex);
    return trouble;
}

/* ---- the daemon's lives -------------------------------------------------------------------- */

/* Each life is another machine, and writes its checkpoints at other times. */
static void launch(struct crowd *c)
{
    static const char *const workers[] = {"1", "2", "4"};
    static const char *const steps[] = {"10", "300", "10000"};
    const char *isa = machine_isa[dice_between(&c->dice, 0, machine_isas() - 1)];
    daemon_launch(&c->daemon, DAEMON_REAL,
                  ARGS("--isa", isa, "--workers", workers[dice_between(&c->dice, 0, 2)],
                       "--checkpoint-steps", steps[dice_between(&c->dice, 0, 2)],
                       "--checkpoint-seconds", "1", "--drain-seconds", TEXT(DRAIN_SECONDS)));
}

static void begin_life(struct crowd *c)
{
    double start = now();
    launch(c);
    if (c->plan.signal == SIGKILL && c->life > 0 && dice_between(&c->dice, 0, 7) == 0) {
        rest(dice_between(&c->dice, 0, 20)); /* one that was not to be: it ends as it starts */
        daemon_signal(&c->daemon, SIGKILL);
        assert_int_equal(daemon_wait(&c->daemon), 128 + SIGKILL);
        c->counts.ends++;
        start = now();
        launch(c);
    }
    daemon_await(&c->daemon);
    c->counts.slowest_start = fmax(c->counts.slowest_start, now() - start);
    pthread_mutex_lock(&c->mutex);
    memcpy(c->url, c->daemon.url, sizeof c->url);
    c->life++;
    pthread_cond_broadcast(&c->begun);
    pthread_mutex_unlock(&c->mutex);
}

/* After SIGTERM each request that was taken on has its answer: none ended otherwise. */
static void check_log(struct crowd *c)
{
    char *log = daemon_log(&c->daemon), *end = strstr(log, " end=");
    if (end) {
        char *line = end;
        while (line > log && line[-1] != '\n')
            line--;
        crowd_note_trouble(c, "no answer, says the log: %.*s", (int)strcspn(line, "\n"), line);
    }
    free(log);
}

static void end_life(struct crowd *c)
{
    double start = now();
    daemon_signal(&c->daemon, c->plan.signal);
    int code = daemon_wait(&c->daemon);
    double took = now() - start;
    c->counts.ends++;
    c->counts.slowest_end = fmax(c->counts.slowest_end, took);
    if (code != (c->plan.signal == SIGKILL ? 128 + SIGKILL : 0))
        crowd_note_trouble(c, "life %d ended with status %d", c->life, code);
    if (took > END_SECONDS)
        crowd_note_trouble(c, "life %d took %.1f s to end", c->life, took);
    if (c->plan.signal != SIGKILL)
        check_log(c);
}

/* ---- the whole ----------------------------------------------------------------------------- */

static void begin_client(struct crowd *c, int number)
{
    struct crowd_client *client = &c->client[number];
    client->crowd = c;
    client->number = number;
    for (int i = 0; i < c->plan.models; i++) {
        struct subject *m = &client->model[i].subject;
        *m = (struct subject){.kind = (number * c->plan.models + i) % SUBJECT_KINDS};
        snprintf(m->id, sizeof m->id, "r%d-c%d-%d", c->round, number, i);
    }
}

void crowd_start(struct crowd *c, const struct crowd_plan *plan)
{
    *c = (struct crowd){.plan = *plan, .dice = plan->seed};
    assert_true(plan->clients <= CROWD_CLIENTS_MAX && plan->models <= CROWD_MODELS_MAX);
    pthread_mutex_init(&c->mutex, NULL);
    pthread_cond_init(&c->begun, NULL);
    for (int i = 0; i < plan->clients; i++) {
        c->client[i].dice = plan->seed + 1 + (uint64_t)i;
        begin_client(c, i);
    }
    begin_life(c);
}

static void add_counts(struct crowd_counts *sum, struct crowd_counts *part)
{
    sum->changes += part->changes;
    sum->cut += part->cut;
    sum->cut_but_done += part->cut_but_done;
    *part = (struct crowd_counts){.ends = 0};
}

static void fail_if_trouble(struct crowd *c)
{
    if (crowd_has_trouble(c))
        fail_msg("seed %llu: %s", (unsigned long long)c->plan.seed, c->trouble);
}

static void live(struct crowd *c)
{
    rest(dice_between(&c->dice, c->plan.least_ms, c->plan.most_ms));
}

static void join_clients(struct crowd *c)
{
    atomic_store(&c->over, true);
    for (int i = 0; c->working && i < c->plan.clients; i++) {
        pthread_join(c->client[i].thread, NULL);
        add_counts(&c->counts, &c->client[i].counts);
    }
    c->working = false;
}

void crowd_work(struct crowd *c, int ends)
{
    int last = c->counts.ends + ends;
    atomic_store(&c->over, false);
    for (int i = 0; i < c->plan.clients; i++)
        assert_int_equal(
            pthread_create(&c->client[i].thread, NULL, crowd_run_client, &c->client[i]), 0);
    c->working = true;
    live(c);
    while (c->counts.ends < last && !crowd_has_trouble(c)) {
        end_life(c);
        begin_life(c);
        live(c);
    }
    join_clients(c);
    fail_if_trouble(c);
}

void crowd_prove(struct crowd *c)
{
    char *difference = crowd_difference(c, NULL);
    if (difference)
        fail_msg("seed %llu: %s", (unsigned long long)c->plan.seed, difference);
}

static void free_models(struct crowd_client *c)
{
    for (int i = 0; i < CROWD_MODELS_MAX; i++) {
        free(c->model[i].acted);
        c->model[i] = (struct crowd_model){.acted = NULL};
    }
}

void crowd_forget(struct crowd *c)
{
    struct model_client m;
    model_client_open(&m, c->daemon.url);
    c->round++;
    for (int i = 0; i < c->plan.clients; i++) {
        for (int k = 0; k < c->plan.models; k++)
            if (c->client[i].model[k].subject.exists)
                ask(&m, 204, "DELETE", NULL, "/models/%s", c->client[i].model[k].subject.id);
        free_models(&c->client[i]);
        begin_client(c, i);
    }
    model_client_close(&m);
}

void crowd_tell(const struct crowd *c)
{
    const struct crowd_counts *n = &c->counts;
    print_message("%d ends, %zu changes acknowledged; %zu requests cut, %zu of them after their "
                  "effect; slowest start %.0f ms, end %.0f ms; seed %llu\n",
                  n->ends, n->changes, n->cut, n->cut_but_done, 1e3 * n->slowest_start,
                  1e3 * n->slowest_end, (unsigned long long)c->plan.seed);
    fflush(stdout);
}

void crowd_work_long(struct crowd *c, int ends, double seconds)
{
    double end = now() + seconds;
    while (c->counts.ends < ends && now() < end) {
        int left = ends - c->counts.ends;
        crowd_work(c, left < ROUND_ENDS ? left : ROUND_ENDS);
        crowd_prove(c);
        crowd_forget(c);
        crowd_tell(c);
    }
}

void crowd_stop(struct crowd *c)
{
    assert_int_equal(daemon_stop(&c->daemon), 0);
    crowd_drop(c);
}

void crowd_drop(struct crowd *c)
{
    daemon_remove(&c->daemon);
    if (c->working) /* the test failed in the middle of it */
        crowd_note_trouble(c, "the work is given up");
    join_clients(c);
    daemon_remove(&c->reference);
    for (int i = 0; i < c->plan.clients; i++) {
        model_client_close(&c->client[i].m);
        free_models(&c->client[i]);
    }
    free(c->trouble);
    c->trouble = NULL;
    c->plan.clients = 0;
}
