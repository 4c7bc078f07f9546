/* What a client of the crowd does, from one daemon to the next. */
#include "tests/server/crowd.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/server/dice.h"
#include "tests/server/http_client.h"

#define LIFE_SECONDS 60 /* after which a client that waits for a daemon gives up */

/* ---- from one daemon to the next ----------------------------------------------------------- */

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

/* ---- one request --------------------------------------------------------------------------- */

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

/* Numbers are given to the jobs of all models, and times are those of the machine. */
static void digest_job(const cJSON *json, struct acted *a)
{
    static const char *const left_out[] = {"job",        "rows_per_second", "eta_seconds",
                                           "created_at", "started_at",      "finished_at"};
    cJSON *copy = cJSON_Duplicate(json, true);
    for (size_t i = 0; i < sizeof left_out / sizeof *left_out; i++)
        cJSON_DeleteItemFromObjectCaseSensitive(copy, left_out[i]);
    char *text = cJSON_PrintUnformatted(copy);
    a->digest = 14695981039346656037u;
    for (const char *at = text; *at; at++)
        a->digest = (a->digest ^ (unsigned char)*at) * 1099511628211u;
    snprintf(a->begin, sizeof a->begin, "%s", text);
    cJSON_free(text);
    cJSON_Delete(copy);
}

static bool is_over(const cJSON *json)
{
    const cJSON *state = member(json, "state");
    return cJSON_IsString(state) && strcmp(state->valuestring, "queued") != 0 &&
           strcmp(state->valuestring, "running") != 0;
}

long crowd_follow_job(struct model_client *m, const struct subject *subject, int64_t job,
                      struct acted *a)
{
    const struct timespec moment = {.tv_nsec = 2000000};
    long status;
    while ((status = try_ask(m, "GET", NULL, "/jobs/%lld", (long long)job)) == 200 &&
           !is_over(m->json))
        nanosleep(&moment, NULL);
    if (status != 200)
        return status;
    digest_job(m->json, a);
    return try_ask(m, "GET", NULL, "/models/%s", subject->id);
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

/* An answer that no client may get here. A call that was cut between two slices says how far it
 * got.
 */
static bool is_strange(const struct crowd_client *c, long status)
{
    bool ending = c->crowd->plan.signal != SIGKILL || steps_done(&c->m) > 0;
    return status == 429 || (status >= 500 && !(status == 503 && ending));
}

/* Until the job that it has made is over, through whatever lives. false: trouble. */
static bool see_job_through(struct crowd_client *c, const struct crowd_model *m,
                            const struct change *change, struct acted *a)
{
    long status = 200;
    if (!change->waits || a->status != 202)
        return true;
    int64_t job = (int64_t)member(c->m.json, "job")->valuedouble;
    while ((status = crowd_follow_job(&c->m, &m->subject, job, a)) != 200) {
        if (status != 0 && status != 503) {
            crowd_note_trouble(c->crowd, "job %lld: %ld: %.300s", (long long)job, status,
                               c->m.reply->body);
            return false;
        }
        if (!next_life(c, m))
            return false;
    }
    return true;
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
            return see_job_through(c, m, change, a);
        }
        if (!next_life(c, m))
            return false;
    }
}

/* ---- its work ------------------------------------------------------------------------------ */

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

void *crowd_run_client(void *arg)
{
    struct crowd_client *c = arg;
    bool fine = c->life > 0 || next_life(c, NULL);
    while (fine && !atomic_load(&c->crowd->over) && !crowd_has_trouble(c->crowd))
        act(c, &c->model[dice_between(&c->dice, 0, c->crowd->plan.models - 1)]);
    return NULL;
}
