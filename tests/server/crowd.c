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
#include "tests/server/http_client.h"
#include "tests/server/machine.h"

#define LIFE_SECONDS 60 /* after which a client that waits for a daemon gives up */
/* The daemon's own, for what it owes when it is to end; and what may come on top of it. */
#define DRAIN_SECONDS 5
#define END_SECONDS   (DRAIN_SECONDS + 5)
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

/* ---- a client: from one daemon to the next --------------------------------------------------- */

/* Waits for a daemon after the one that it knows. false: none comes, or the work is over. */
static bool await_life(struct crowd_client *c, char url[64])
{
    struct crowd *crowd = c->crowd;
    struct timespec end;
    int rc = 0;
    clock_gettime(CLOCK_REALTIME, &end);
    end.tv_sec += LIFE_SECONDS;
    pthread_mutex_lock(&crowd->mutex);
    while (crowd->life <= c->life && !crowd->trouble && rc == 0)
        rc = pthread_cond_timedwait(&crowd->begun, &crowd->mutex, &end);
    bool found = crowd->life > c->life && !crowd->trouble;
    c->life = crowd->life;
    memcpy(url, crowd->url, 64);
    pthread_mutex_unlock(&crowd->mutex);
    return found;
}

static void tell_loss(struct crowd_client *c, const struct subject *m, long status,
                      const cJSON *step)
{
    char was[64] = "gone", is[64];
    if (m->exists)
        snprintf(was, sizeof was, "at step %lld", (long long)m->step);
    if (step)
        snprintf(is, sizeof is, "at step %.0f", step->valuedouble);
    else
        snprintf(is, sizeof is, "answered %ld", status);
    crowd_note_trouble(c->crowd, "model %s: acknowledged %s, after start %d %s", m->id, was,
                       c->life, is);
}

/* Is the model where its last acknowledged change left it? */
static bool check_model(struct crowd_client *c, const struct subject *m)
{
    long status = try_ask(&c->m, "GET", NULL, "/models/%s", m->id);
    const cJSON *step = status == 200 ? member(c->m.json, "step") : NULL;
    bool cut = status == 0 || status == 503; /* it ends already: the next one is asked again */
    bool fine = m->exists ? step && (int64_t)step->valuedouble == m->step : status == 404;
    if (!cut && !fine)
        tell_loss(c, m, status, step);
    return cut || fine;
}

/* Of the model with a request on its way (NULL: none has one) more is known when that is answered.
 */
static bool next_life(struct crowd_client *c, const struct crowd_model *busy)
{
    char url[64];
    bool fine = await_life(c, url);
    if (!fine) {
        crowd_note_trouble(c->crowd, "client %d: no answer, and no daemon", c->number);
        return false;
    }
    model_client_close(&c->m);
    model_client_open(&c->m, url);
    for (int i = 0; fine && i < c->crowd->plan.models; i++)
        if (&c->model[i] != busy)
            fine = check_model(c, &c->model[i].subject);
    return fine;
}

/* ---- a client: one request ------------------------------------------------------------------- */

void crowd_digest(const struct model_client *m, struct acted *a)
{
    struct text t = {0};
    text_add_timeless(&t, m->reply->body);
    a->digest = 14695981039346656037u; /* FNV-1a */
    for (size_t i = 0; i < t.bytes; i++)
        a->digest = (a->digest ^ (unsigned char)t.at[i]) * 1099511628211u;
    snprintf(a->begin, sizeof a->begin, "%s", t.at);
    text_free(&t);
}

static int64_t steps_done(const struct model_client *m)
{
    const cJSON *done = member(m->json, "steps_done");
    return done ? (int64_t)done->valuedouble : 0;
}

/* Was it ended before it said what came of the request? */
static bool is_cut(const struct crowd_client *c, long status)
{
    return status == 0 || (status == 503 && steps_done(&c->m) == 0);
}

/* It was answered at last. In a life after the first one what it removes may be gone already. */
static void take_answer(struct crowd_client *c, const struct change *change, int lives,
                        struct acted *a)
{
    char replayed[8];
    http_header(c->m.reply, "Idempotent-Replayed", replayed, sizeof replayed);
    c->counts.cut += lives > 1;
    c->counts.cut_but_done += lives > 1 && replayed[0];
    c->counts.changes += !change->reads;
    if (a->status == 503)
        a->steps_done = steps_done(&c->m);
    crowd_digest(&c->m, a);
    if (a->status == 404 && lives > 1 && !strcmp(change->method, "DELETE")) {
        c->counts.cut_but_done++;
        a->status = 204;
        a->digest = 0;
    } else if (a->status == 204) {
        a->digest = 0;
    }
}

/* An answer that no client may get here. A call that was cut between two slices says how far it got.
 */
static bool is_strange(const struct crowd_client *c, long status)
{
    bool ending = c->crowd->plan.signal != SIGKILL || steps_done(&c->m) > 0;
    return status == 429 || (status >= 500 && !(status == 503 && ending));
}

/* Sends it until it is answered. false: trouble. */
static bool see_through(struct crowd_client *c, const struct crowd_model *m,
                        const struct change *change, struct acted *a)
{
    char key[64];
    bool keyed = !strcmp(change->method, "POST");
    snprintf(key, sizeof key, "%llx-%d-%zu", (unsigned long long)c->crowd->plan.seed, c->number,
             c->keys++);
    for (int lives = 1;; lives++) {
        a->status =
            try_keyed(&c->m, change->method, keyed ? key : NULL, change->body.at, change->path);
        if (is_strange(c, a->status)) {
            crowd_note_trouble(c->crowd, "%s %s (%s): %ld: %.300s", change->method, change->path,
                               change->name, a->status, c->m.reply->body);
            return false;
        }
        if (!is_cut(c, a->status)) {
            take_answer(c, change, lives, a);
            return true;
        }
        if (!next_life(c, m))
            return false;
    }
}

/* ---- a client: its work -------------------------------------------------------------------- */

static struct acted *one_more(struct crowd_model *m)
{
    if (m->count == m->room) {
        m->room = 2 * m->room + 256;
        m->acted = realloc(m->acted, m->room * sizeof *m->acted);
        if (!m->acted)
            abort();
    }
    m->acted[m->count] = (struct acted){.number = 0};
    return &m->acted[m->count++];
}

static void act(struct crowd_client *c, struct crowd_model *m)
{
    struct change change;
    struct acted *a = one_more(m);
    a->number = dice_roll(&c->dice);
    change_make(&m->subject, a->number, 0, &change);
    if (see_through(c, m, &change, a))
        subject_learn(&m->subject, &change, a->status, c->m.json);
    change_free(&change);
}

static void *run_client(void *arg)
{
    struct crowd_client *c = arg;
    bool fine = c->life > 0 || next_life(c, NULL);
    while (fine && !atomic_load(&c->crowd->over) && !crowd_has_trouble(c->crowd))
        act(c, &c->model[dice_between(&c->dice, 0, c->crowd->plan.models - 1)]);
    return NULL;
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

void crowd_work(struct crowd *c, int ends)
{
    int last = c->counts.ends + ends;
    atomic_store(&c->over, false);
    for (int i = 0; i < c->plan.clients; i++)
        assert_int_equal(pthread_create(&c->client[i].thread, NULL, run_client, &c->client[i]), 0);
    live(c);
    while (c->counts.ends < last && !crowd_has_trouble(c)) {
        end_life(c);
        begin_life(c);
        live(c);
    }
    atomic_store(&c->over, true);
    for (int i = 0; i < c->plan.clients; i++) {
        pthread_join(c->client[i].thread, NULL);
        add_counts(&c->counts, &c->client[i].counts);
    }
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

void crowd_stop(struct crowd *c)
{
    assert_int_equal(daemon_stop(&c->daemon), 0);
    crowd_drop(c);
}

void crowd_drop(struct crowd *c)
{
    daemon_remove(&c->daemon);
    daemon_remove(&c->reference);
    for (int i = 0; i < c->plan.clients; i++) {
        model_client_close(&c->client[i].m);
        free_models(&c->client[i]);
    }
    free(c->trouble);
    c->trouble = NULL;
    c->plan.clients = 0;
}
