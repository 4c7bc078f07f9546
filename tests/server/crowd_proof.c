/* What was acknowledged, done once more by a daemon that is never ended. */
#include "tests/server/crowd.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/server/http_client.h"

/* One client's models again. */
struct repeat {
    pthread_t thread;
    struct crowd_client *client;
    const struct crowd_lie *lie; /* NULL: none about this client's */
};

static int times(const struct repeat *r, int model, size_t place)
{
    return r->lie && r->lie->model == model && r->lie->place == place ? r->lie->times : 1;
}

/* Is the answer the one that was acknowledged? What was acknowledged as an error after some steps
 * is asked for as a call of so many, which has another answer. */
static bool is_same(const struct acted *was, struct model_client *m, const struct subject *subject,
                    const struct change *change, long status)
{
    struct acted is = {.status = status};
    if (was->steps_done)
        return status == 200;
    if (status != 204)
        crowd_digest(m, &is);
    if (change->waits && status == 202 &&
        crowd_follow_job(m, subject, (int64_t)member(m->json, "job")->valuedouble, &is) != 200)
        return false;
    return is.status == was->status && is.digest == was->digest;
}

static bool do_again(struct repeat *r, struct model_client *m, struct subject *subject, int model,
                     size_t place)
{
    const struct crowd_model *done = &r->client->model[model];
    const struct acted *was = &done->acted[place];
    struct change change;
    change_make(subject, was->number, was->steps_done, &change);
    long status = try_keyed(m, change.method, NULL, change.body.at, change.path);
    bool same = status != 0 &&
                (is_same(was, m, subject, &change, status) || (r->lie && r->lie->answers_ignored));
    if (!same)
        crowd_note_trouble(r->client->crowd,
                           "%s, change %zu of %zu: %s %s (%s)\n  was answered %ld: %s…\n"
                           "  without an end it is %ld: %.400s",
                           subject->id, place + 1, done->count, change.method, change.path,
                           change.name, was->status, was->begin, status,
                           m->reply ? m->reply->body : "no answer");
    if (status != 0)
        subject_learn(subject, &change, status, m->json);
    change_free(&change);
    return same;
}

static void *run_repeat(void *arg)
{
    struct repeat *r = arg;
    struct crowd *crowd = r->client->crowd;
    struct model_client m;
    model_client_open(&m, crowd->reference.url);
    for (int i = 0; i < crowd->plan.models; i++) {
        const struct crowd_model *done = &r->client->model[i];
        struct subject subject = {.kind = done->subject.kind};
        bool same = true;
        memcpy(subject.id, done->subject.id, sizeof subject.id);
        for (size_t k = 0; same && k < done->count && !crowd_has_trouble(crowd); k++)
            for (int t = times(r, i, k); same && t > 0; t--)
                same = do_again(r, &m, &subject, i, k);
    }
    model_client_close(&m);
    return NULL;
}

static void repeat_all(struct crowd *c, const struct crowd_lie *lie)
{
    struct repeat repeat[CROWD_CLIENTS_MAX];
    for (int i = 0; i < c->plan.clients; i++) {
        repeat[i] =
            (struct repeat){.client = &c->client[i], .lie = lie && lie->client == i ? lie : NULL};
        assert_int_equal(pthread_create(&repeat[i].thread, NULL, run_repeat, &repeat[i]), 0);
    }
    for (int i = 0; i < c->plan.clients; i++)
        pthread_join(repeat[i].thread, NULL);
}

static void compare(struct crowd *c, const char *id, const char *one, const char *other)
{
    size_t i = 0;
    while (one[i] && one[i] == other[i])
        i++;
    size_t from = i < 100 ? 0 : i - 100;
    if (one[i] != other[i])
        crowd_note_trouble(c,
                           "%s differs at the end:\n  is           …%.200s\n"
                           "  without ends …%.200s",
                           id, one + from, other + from);
}

static void compare_models(struct crowd *c)
{
    struct model_client is, should;
    model_client_open(&is, c->daemon.url);
    model_client_open(&should, c->reference.url);
    for (int i = 0; i < c->plan.clients; i++)
        for (int k = 0; k < c->plan.models; k++) {
            const struct subject *m = &c->client[i].model[k].subject;
            char *one = model_text_if_any(&is, m->id);
            char *other = model_text_if_any(&should, m->id);
            compare(c, m->id, one, other);
            if (m->exists != (*one != '\0'))
                crowd_note_trouble(c, "%s is %sthere", m->id, *one ? "" : "not ");
            free(one);
            free(other);
        }
    model_client_close(&is);
    model_client_close(&should);
}

char *crowd_difference(struct crowd *c, const struct crowd_lie *lie)
{
    daemon_start(&c->reference, DAEMON_REAL, NULL);
    repeat_all(c, lie);
    if (!crowd_has_trouble(c))
        compare_models(c);
    assert_int_equal(daemon_stop(&c->reference), 0);
    daemon_remove(&c->reference);
    char *difference = c->trouble;
    c->trouble = NULL;
    return difference;
}
