/* No memory in the middle of a saga: the n-th allocation of an act fails, ours or SQLite's, for n
 * from 1 on until the act has not so many. What the api shows then is the act's moment before or
 * after it, and the store has the same.
 *
 *     test_memory          some n, as a test
 *     test_memory SEED     every n of that saga; exit status 0: it went well
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "api/state.h"
#include "tests/api/saga.h"
#include "tests/storage/fault_memory.h"
#include "tests/storage/fault_vfs.h"

#define DRAWS 30

/* How the n are chosen: all of them take long. */
static bool all;

static long next(long n, unsigned whose)
{
    if (whose == FAULT_OURS)
        return n + (all ? 1 : 5);
    return n + 1 + (all ? n / 10 : n);
}

static struct client *new_client(void)
{
    struct client *c = client_new("auto");
    client_close(c);
    unlink(c->path);
    c->config.checkpoint_seconds = 0;
    return c;
}

/* ---- acts ---------------------------------------------------------------------------------- */

/* A problem may come without its further members. */
static bool is_right(const struct act *a, const struct reply *r)
{
    bool curt = r->status == a->status && r->status >= 400;
    return curt || saga_is_answer(a, r) || (a->model == SAGA_LOOSE && r->status != 503);
}

/* A job that could only just begin has done so. */
static void cut_jobs(char *look)
{
    char *line = strstr(look, "\"jobs\":");
    if (line)
        memmove(line, line + strcspn(line, "\n"), strlen(line + strcspn(line, "\n")) + 1);
}

/* Takes the line of the gradients out of a look; does it show any? */
static bool cut_gradients(char *look)
{
    char *line = strstr(look, "\"gradients\":");
    if (!line)
        return false;
    char *end = line + strcspn(line, "\n"), *data = strstr(line, "\"data\"");
    bool any = data && data < end;
    memmove(line, end, strlen(end) + 1);
    return any;
}

/* A step clears the gradients first: for lack of memory it may get no further. */
static bool is_cleared(const struct saga *s, struct client *c, const struct act *a, size_t moment)
{
    bool steps = a->kind == ACT_SLICE || (a->kind == ACT_CALL && strstr(a->target, "/step"));
    if (!steps || a->model == SAGA_LOOSE)
        return false;
    char *is = saga_look(c, s->id[a->model]), *want = strdup(s->moment[moment][a->model]);
    bool had = cut_gradients(want), has = cut_gradients(is);
    if (a->kind == ACT_SLICE) {
        cut_jobs(want);
        cut_jobs(is);
    }
    bool cleared = had && !has && !strcmp(is, want);
    free(is);
    free(want);
    return cleared;
}

/* Shows the api a moment from low to the act's end? And is that what the store has? */
static size_t check(const struct saga *s, struct client *c, const struct act *a, size_t low,
                    bool kill)
{
    bool cleared = is_cleared(s, c, a, low);
    size_t moment = cleared ? low : saga_find(s, c, low, a->end);
    if (!kill)
        return moment;
    client_kill(c);
    if (cleared) {
        assert_true(is_cleared(s, c, a, low));
        return low;
    }
    return saga_find(s, c, moment, moment);
}

/* Plays the rest of act i, from *moment on, without its n-th allocation; true: it was reached. */
static bool play_without_memory(const struct saga *s, size_t i, struct client *c, unsigned whose,
                                long n, size_t *moment)
{
    const struct act *a = &s->act[i];
    int64_t left = *moment > a->begin ? a->steps - (int64_t)(*moment - a->begin) : 0;
    struct reply r;
    fault_memory_arm(whose, n);
    saga_play(s, i, c, left, &r);
    bool reached = fault_memory_disarm(), right = left ? r.status == a->status : is_right(a, &r);
    if (!right && !(reached && r.status == 503))
        fail_msg("saga %llu, act %zu, allocation %ld: %d %.400s", (unsigned long long)s->seed, i, n,
                 r.status, r.text ? r.text : "");
    reply_close(&r);
    if (!c->api)
        client_open(c); /* a start that failed */
    if (right)
        *moment = a->end;
    else
        *moment = check(s, c, a, *moment, (n + (long)i) % 3 == 0);
    return reached;
}

/* An act that had its effect is not played again. */
static void play_act(const struct saga *s, size_t i, struct client *c, unsigned whose)
{
    size_t moment = s->act[i].begin;
    long n = 1 + (long)(i % 5);
    while (moment < s->act[i].end && play_without_memory(s, i, c, whose, n, &moment))
        n = next(n, whose);
}

static void play_saga(uint64_t seed, unsigned whose)
{
    struct saga *s = saga_new(seed, DRAWS);
    struct client *c = new_client();
    client_open(c);
    for (size_t i = 0; i < s->acts; i++)
        play_act(s, i, c, whose);
    saga_find(s, c, s->moments - 1, s->moments - 1);
    client_reopen(c);
    saga_find(s, c, s->moments - 1, s->moments - 1);
    client_free(c);
    saga_free(s);
}

static void test_acts(void **state)
{
    (void)state;
    play_saga(1, FAULT_OURS);
    play_saga(2, FAULT_OURS);
}

static void test_acts_without_memory_for_sqlite(void **state)
{
    (void)state;
    play_saga(1, FAULT_SQLITE);
    play_saga(2, FAULT_SQLITE);
}

/* ---- loading ------------------------------------------------------------------------------- */

/* Who asks for the model next loads it. */
static void put_away(struct client *c, const char *id)
{
    struct session *s;
    struct err e;
    if (registry_get(&c->api->registry, id, NULL, &s, &e) != ERR_OK)
        fail_msg("%s: %s", id, e.message);
    session_lose(s);
    registry_put(&c->api->registry, s);
}

/* Loads a model while the n-th allocation fails, for n from 1 on: it is refused, or as it should
 * be. */
static void load(struct client *c, const char *id, unsigned whose)
{
    char *want = saga_look(c, id), target[100];
    bool reached = true;
    snprintf(target, sizeof target, "/models/%s", id);
    for (long n = 1; reached; n = next(n, whose)) {
        struct reply r;
        put_away(c, id);
        fault_memory_arm(whose, n);
        client_exchange(c->api, c->scratch, 0, &(struct request){.method = "GET", .target = target},
                        &r);
        reached = fault_memory_disarm();
        if (r.status != 200 && !(reached && r.status == 503))
            fail_msg("%s, allocation %ld: %d %s", id, n, r.status, r.text ? r.text : "");
        reply_close(&r);
        char *is = saga_look(c, id);
        if (!strstr(is, "model \\\"?\\\"")) /* the store had no memory for its name */
            saga_assert_same(want, is);
        free(is);
    }
    free(want);
}

static void load_all(struct client *c, const struct saga *s)
{
    for (int m = 0; m < SAGA_MODELS; m++) {
        if (m == SAGA_LOOSE || strncmp(s->moment[s->moments - 1][m], "200", 3) != 0)
            continue;
        load(c, s->id[m], FAULT_OURS);
        load(c, s->id[m], FAULT_SQLITE);
    }
}

/* Also of a model of which a change is damaged: that it is must not be forgotten. */
static void load_saga(uint64_t seed)
{
    struct saga *s = saga_new(seed, DRAWS);
    struct client *c = new_client();
    client_open(c);
    saga_go_on(s, c, 0);
    client_kill(c); /* there is much to replay */
    load_all(c, s);
    client_damage(c, "UPDATE journal SET step = step + 1 WHERE seq IN (2, 5)");
    load_all(c, s);
    client_free(c);
    saga_free(s);
}

static void test_loading(void **state)
{
    (void)state;
    load_saga(2);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_acts),
        cmocka_unit_test(test_acts_without_memory_for_sqlite),
        cmocka_unit_test(test_loading),
    };
    fault_memory_install();
    fault_vfs_install(); /* syncs are not real: so it is fast */
    if (argc > 1) {      /* a failed assertion ends the process */
        uint64_t seed = strtoull(argv[1], NULL, 10);
        all = true;
        play_saga(seed, FAULT_OURS);
        play_saga(seed, FAULT_SQLITE);
        load_saga(seed);
        return 0;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
