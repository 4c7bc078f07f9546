/* Streams of events: what is told, when, and what is not. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/state.h"
#include "engine/mem.h"
#include "storage/writer.h"
#include "tests/api/listener.h"

#define FAR "{\"inputs\":[[1e38,-1e38]],\"targets\":[[-1e38]]}"

static struct listener l, other;

static void make(struct client *c, const char *id, const char *more)
{
    create_net(c, id, more);
    push_batch(c, id, 1);
    push_batch(c, id, 2);
}

static void steps(struct client *c, const char *id, int n)
{
    char target[64];
    snprintf(target, sizeof target, "/models/%s/step", id);
    expect(c, 200, "POST", target, "{\"steps\":%d}", n);
}

static size_t bytes(struct client *c)
{
    return atomic_load(&c->api->events.bytes);
}

static size_t open_streams(struct client *c)
{
    return atomic_load(&c->api->events.streams);
}

/* The loss of the step, as GET losses tells it. */
static double loss_of(struct client *c, const char *id, int step)
{
    char target[100];
    snprintf(target, sizeof target, "/models/%s/losses?after=%d&limit=1", id, step - 1);
    return number_at(expect(c, 200, "GET", target, NULL), "/loss/0");
}

/* ---- live ---------------------------------------------------------------------------------- */

static void test_opening(void **state)
{
    struct client *c = *state;
    make(c, "a", "");
    listen_to(c, &l, "a", NULL);
    assert_int_equal(hear(&l), STREAM_QUIET);
    assert_int_equal(l.events, 1);
    assert_step(&l, 0, 0, 0);
    assert_string_equal(heard_member(&l, 0, "loss"), "null");
    assert_string_equal(heard_member(&l, 0, "reduction"), "\"mean\"");
    assert_string_equal(heard_member(&l, 0, "state"), "\"ready\"");
    assert_string_equal(heard_member(&l, 0, "lr"), "0.001");
    assert_string_equal(heard_member(&l, 0, "restored"), "");
    stop_listening(&l);
    steps(c, "a", 5);
    listen_to(c, &l, "a", NULL);
    hear(&l);
    assert_int_equal(l.events, 1); /* nothing of what was before */
    assert_step(&l, 0, 5, 5);
    assert_float_equal(atof(heard_member(&l, 0, "loss")), loss_of(c, "a", 5), 0);
    stop_listening(&l);
    assert_problem(refused_to_listen(c, "nobody", NULL), 404, "not-found", "");
}

static void test_steps_come_together(void **state)
{
    struct client *c = *state;
    make(c, "a", "");
    listen_to(c, &l, "a", NULL);
    hear(&l);
    for (int i = 0; i < 3; i++)
        steps(c, "a", 2);
    assert_int_equal(l.wakes, 0); /* who trains wakes nobody */
    assert_int_equal(hear_news(&l), STREAM_QUIET);
    assert_int_equal(l.wakes, 1);
    assert_int_equal(l.events, 1);
    assert_step(&l, 0, 6, 0);
    assert_float_equal(atof(heard_member(&l, 0, "loss")), loss_of(c, "a", 6), 0);
    assert_int_equal(hear_news(&l), STREAM_QUIET); /* nothing twice */
    assert_int_equal(l.events, 0);
    assert_int_equal(l.wakes, 1);
    steps(c, "a", 1);
    hear_news(&l);
    assert_step(&l, 0, 7, 6);
    stop_listening(&l);
}

/* Between the slices of a long call, too. */
static void test_slices(void **state)
{
    struct client *c = *state;
    make(c, "a", "");
    listen_to(c, &l, "a", NULL);
    hear(&l);
    c->slice_ns = 0;
    struct call *call = client_start(c, "POST", "/models/a/step", "{\"steps\":4}");
    for (int i = 1; i < 4; i++) {
        assert_false(client_slice(c, call));
        store_wait(c->api->store);
        hear_news(&l);
        assert_step(&l, 0, i, i - 1);
        assert_string_equal(heard_member(&l, 0, "state"), "\"training\"");
    }
    assert_true(client_slice(c, call));
    assert_int_equal(client_finish(c, call)->status, 200);
    hear_news(&l);
    assert_step(&l, 0, 4, 3);
    assert_string_equal(heard_member(&l, 0, "state"), "\"ready\"");
    stop_listening(&l);
}

static void note_kept(void *arg)
{
    *(bool *)arg = true;
}

static void test_not_before_it_is_kept(void **state)
{
    struct client *c = *state;
    bool kept = false;
    make(c, "a", "");
    listen_to(c, &l, "a", NULL);
    hear(&l);
    struct call *call = client_start(c, "POST", "/models/a/step", NULL);
    assert_int_equal(call_work(call, c->scratch, c->slice_ns), CALL_UNKEPT);
    hear_news(&l);
    assert_int_equal(l.events, 0);
    call_keep(call, note_kept, &kept);
    assert_false(kept);
    hear_news(&l);
    assert_int_equal(l.events, 0);
    api_flush(c->api);
    store_wait(c->api->store);
    assert_true(kept);
    hear_news(&l);
    assert_step(&l, 0, 1, 0);
    assert_int_equal(client_finish(c, call)->status, 200);
    stop_listening(&l);
}

/* The file may have so many pages; 1: none more than it has. */
static void set_pages(struct client *c, int pages)
{
    char sql[64];
    snprintf(sql, sizeof sql, "PRAGMA max_page_count = %d", pages);
    store_wait(c->api->store); /* the connection is nobody's now */
    assert_int_equal(sqlite3_exec(c->api->store->db.handle, sql, NULL, NULL, NULL), SQLITE_OK);
}

/* The disk is full: what is not kept is never told, and what comes later is. */
static void test_what_is_not_kept(void **state)
{
    struct client *c = *state;
    int64_t step;
    make(c, "a", "");
    listen_to(c, &l, "a", NULL);
    hear(&l);
    set_pages(c, 1);
    for (step = 0; ask(c, "POST", "/models/a/step", "{\"steps\":200}")->status == 200; step += 200)
        assert_true(step < 1000000);
    hear_news(&l);
    assert_step(&l, 0, step, 0);
    assert_int_equal(ask(c, "POST", "/models/a/step", "{\"steps\":200}")->status, 507);
    hear_news(&l);
    assert_int_equal(l.events, 0);
    set_pages(c, 1 << 30);
    steps(c, "a", 1);
    hear_news(&l);
    assert_step(&l, 0, step + 1, step);
    stop_listening(&l);
}

/* Who comes while a change is on its way is told of it once, and so are those who are there. */
static void test_come_in_between(void **state)
{
    struct client *c = *state;
    bool kept = false;
    make(c, "a", "");
    listen_to(c, &other, "a", NULL);
    hear(&other);
    struct call *call = client_start(c, "POST", "/models/a/step", NULL);
    assert_int_equal(call_work(call, c->scratch, c->slice_ns), CALL_UNKEPT);
    call_keep(call, note_kept, &kept);
    listen_to(c, &l, "a", NULL);
    hear(&l);
    assert_true(kept); /* it waited for that */
    assert_step(&l, 0, 1, 1);
    hear_news(&l);
    assert_int_equal(l.events, 0);
    hear(&other);
    assert_int_equal(other.events, 1);
    assert_step(&other, 0, 1, 0);
    client_finish(c, call);
    stop_listening(&l);
    stop_listening(&other);
}

static void test_without_a_journal(void **state)
{
    struct client *c = *state;
    make(c, "a", ",\"durability\":\"none\"");
    listen_to(c, &l, "a", NULL);
    listen_to(c, &other, "a", NULL);
    hear(&l);
    steps(c, "a", 3);
    hear_news(&l);
    assert_step(&l, 0, 3, 0);
    steps(c, "a", 2);
    hear_news(&l);
    assert_step(&l, 0, 5, 3);
    expect(c, 422, "POST", "/models/a/step", FAR);
    hear_news(&l);
    assert_int_equal(l.events, 2);
    assert_string_equal(l.event[1].name, "diverged");
    expect(c, 200, "PATCH", "/models/a", "{\"durability\":\"process\"}");
    steps(c, "a", 1);
    hear_news(&l);
    assert_step(&l, 0, 6, 5);
    hear(&other);
    assert_step(&other, 0, 0, 0);
    assert_string_equal(other.event[1].name, "diverged");
    assert_step(&other, 2, 6, 0);
    stop_listening(&l);
    stop_listening(&other);
}

static void test_what_else_is_news(void **state)
{
    struct client *c = *state;
    make(c, "a", "");
    steps(c, "a", 2);
    listen_to(c, &l, "a", NULL);
    hear(&l);
    expect(c, 200, "PATCH", "/models/a", "{\"optimizer\":{\"lr\":0.25}}");
    hear_news(&l);
    assert_step(&l, 0, 2, 2);
    assert_string_equal(heard_member(&l, 0, "lr"), "0.25");
    char *parameters = text_of(c, "/models/a/parameters");
    expect_of(c, 200, "PUT", "a", "/parameters", parameters);
    free(parameters);
    hear_news(&l);
    assert_step(&l, 0, 2, 2);
    assert_string_equal(heard_member(&l, 0, "replaced"), "true");
    expect(c, 200, "POST", "/models/a/backward", NULL); /* gradients are none */
    push_batch(c, "a", 3);
    hear_news(&l);
    assert_int_equal(l.events, 0);
    expect(c, 200, "POST", "/models/a/optimizer/step", NULL);
    hear_news(&l);
    assert_step(&l, 0, 3, 2);
    assert_string_equal(heard_member(&l, 0, "replaced"), "");
    stop_listening(&l);
}

static void test_diverged(void **state)
{
    struct client *c = *state;
    make(c, "a", "");
    listen_to(c, &l, "a", NULL);
    hear(&l);
    steps(c, "a", 1);
    const struct reply *r = expect(c, 422, "POST", "/models/a/step", FAR);
    hear_news(&l);
    assert_int_equal(l.events, 2);
    assert_step(&l, 0, 1, 0);
    assert_string_equal(heard_member(&l, 0, "state"), "\"diverged\"");
    assert_string_equal(l.event[1].name, "diverged");
    assert_string_equal(l.event[1].id, ""); /* a client that comes back goes on from the step */
    static const char *const members[] = {"step", "loss", "reduction", "lr", "max_stable_lr"};
    for (size_t i = 0; i < sizeof members / sizeof *members; i++) {
        char pointer[32];
        snprintf(pointer, sizeof pointer, "/%s", members[i]);
        assert_json(r, pointer, heard_member(&l, 1, members[i]));
    }
    expect(c, 422, "POST", "/models/a/backward", FAR);
    hear_news(&l);
    assert_string_equal(l.event[l.events - 1].name, "diverged");
    expect(c, 422, "POST", "/models/a/step", FAR); /* told before what came later */
    steps(c, "a", 1);
    hear_news(&l);
    assert_string_equal(l.event[0].name, "diverged");
    assert_step(&l, 1, 2, 1);
    stop_listening(&l);
}

static void test_deleted(void **state)
{
    struct client *c = *state;
    make(c, "a", "");
    listen_to(c, &l, "a", NULL);
    hear(&l);
    steps(c, "a", 3);
    expect(c, 204, "DELETE", "/models/a", NULL);
    make(c, "a", ""); /* another one of this name */
    steps(c, "a", 1);
    assert_int_equal(hear_news(&l), STREAM_OVER);
    assert_int_equal(l.events, 2);
    assert_step(&l, 0, 3, 0);
    assert_string_equal(l.event[1].name, "deleted");
    listen_to(c, &other, "a", NULL);
    hear(&other);
    assert_step(&other, 0, 1, 1);
    stop_listening(&l);
    stop_listening(&other);
    assert_int_equal(bytes(c), 0);
}

/* ---- back in time -------------------------------------------------------------------------- */

static void test_restored(void **state)
{
    struct client *c = *state;
    make(c, "a", "");
    listen_to(c, &l, "a", NULL);
    hear(&l);
    steps(c, "a", 10);
    hear_news(&l);
    expect(c, 200, "POST", "/models/a/restore", "{\"step\":4}");
    hear_news(&l);
    assert_step(&l, 0, 4, 4);
    assert_string_equal(heard_member(&l, 0, "restored"), "true");
    steps(c, "a", 3);
    hear_news(&l);
    assert_step(&l, 0, 7, 4);
    assert_string_equal(heard_member(&l, 0, "restored"), "");
    expect(c, 200, "POST", "/models/a/restore", "{\"step\":6}"); /* and on: both in one event */
    expect(c, 200, "POST", "/models/a/restore", "{\"step\":2}");
    steps(c, "a", 9);
    hear_news(&l);
    assert_int_equal(l.events, 1);
    assert_step(&l, 0, 11, 2);
    assert_string_equal(heard_member(&l, 0, "restored"), "true");
    expect(c, 201, "POST", "/models/a/checkpoints", NULL);
    steps(c, "a", 1);
    expect(c, 200, "POST", "/models/a/checkpoints/1/restore", NULL);
    hear_news(&l);
    assert_step(&l, 0, 11, 11);
    assert_string_equal(heard_member(&l, 0, "restored"), "true");
    stop_listening(&l);
}

/* ---- coming back --------------------------------------------------------------------------- */

/* Each step after `from` once, in order, up to `to`; the last is the state as it is now. */
static void assert_all_steps(struct client *c, int from, int to)
{
    assert_int_equal(l.events, to - from);
    for (int i = 0; i < l.events; i++) {
        assert_step(&l, i, from + i + 1, from + i);
        assert_float_equal(atof(heard_member(&l, i, "loss")), loss_of(c, "a", from + i + 1), 0);
        assert_string_equal(heard_member(&l, i, "restored"), "");
        assert_string_equal(heard_member(&l, i, "state"), i == l.events - 1 ? "\"ready\"" : "");
    }
}

static void come_back(struct client *c, const char *last)
{
    listen_to(c, &l, "a", last);
    assert_int_equal(hear(&l), STREAM_QUIET);
    stop_listening(&l);
}

/* The id of an event of that step. */
static void id_of(struct client *c, int step, char id[48])
{
    snprintf(id, 48, "%d", step);
    char before[48];
    snprintf(before, sizeof before, "%d", step - 1);
    come_back(c, before);
    snprintf(id, 48, "%s", l.event[0].id);
    assert_int_equal(atoi(id), step);
}

static void test_coming_back(void **state)
{
    struct client *c = *state;
    char id[48];
    make(c, "a", "");
    steps(c, "a", 10);
    id_of(c, 4, id);
    come_back(c, id);
    assert_all_steps(c, 4, 10);
    client_checkpoint(c, "a"); /* the losses are in the store, */
    come_back(c, id);
    assert_all_steps(c, 4, 10);
    client_reopen(c); /* and there alone */
    steps(c, "a", 2);
    come_back(c, id);
    assert_all_steps(c, 4, 12);
    come_back(c, "4");
    assert_all_steps(c, 4, 12);
    come_back(c, "0");
    assert_all_steps(c, 0, 12);
    id_of(c, 12, id);
    come_back(c, id); /* it has missed nothing */
    assert_int_equal(l.events, 1);
    assert_step(&l, 0, 12, 12);
    static const char *const wrong[] = {"x",  "4-", "4-12",         "4-0123456g",
                                        "-1", "4 ", "4-0123456789", "12345678901234567890"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_problem(refused_to_listen(c, "a", wrong[i]), 400, "malformed-request", "");
}

/* What has happened since is thinned out, and its extremes are in it. */
static void test_coming_back_late(void **state)
{
    struct client *c = *state;
    double low = INFINITY, high = -INFINITY, least = INFINITY, most = -INFINITY;
    make(c, "a", ",\"optimizer\":{\"type\":\"sgd\",\"lr\":0.3}");
    steps(c, "a", 5000);
    come_back(c, "10");
    assert_true(l.events > EVENTS_HISTORY / 2 && l.events <= EVENTS_HISTORY + 1);
    int64_t last = 10;
    for (int i = 0; i < l.events; i++) {
        int64_t step = atoll(heard_member(&l, i, "step"));
        double loss = atof(heard_member(&l, i, "loss"));
        assert_step(&l, i, step, last);
        assert_true(step > last);
        last = step;
        low = fmin(low, loss);
        high = fmax(high, loss);
    }
    assert_int_equal(last, 5000);
    const struct reply *r = expect(c, 200, "GET", "/models/a/losses?after=10&limit=5000", NULL);
    size_t count;
    double *loss = json_flat(at(r, "/loss"), &count);
    for (size_t i = 0; i < count; i++) {
        least = fmin(least, loss[i]);
        most = fmax(most, loss[i]);
    }
    free(loss);
    assert_float_equal(low, least, 0);
    assert_float_equal(high, most, 0);
}

/* Told from the beginning, once, if what was seen is not what has happened. */
static void assert_all_anew(int step)
{
    assert_int_equal(l.events, step);
    assert_step(&l, 0, 1, 0);
    for (int i = 0; i < l.events; i++)
        assert_string_equal(heard_member(&l, i, "restored"), i ? "" : "true");
}

static void test_coming_back_to_another_past(void **state)
{
    struct client *c = *state;
    char id[48];
    make(c, "a", "");
    steps(c, "a", 10);
    id_of(c, 8, id);
    expect(c, 200, "POST", "/models/a/restore", "{\"step\":4}");
    come_back(c, id); /* not so far any more */
    assert_all_anew(4);
    steps(c, "a", 6);
    come_back(c, id); /* gone again, to the same bits */
    assert_all_steps(c, 8, 10);
    expect(c, 200, "POST", "/models/a/restore", "{\"step\":4}");
    expect(c, 200, "PATCH", "/models/a", "{\"optimizer\":{\"lr\":0.25}}");
    steps(c, "a", 6);
    come_back(c, id); /* to others */
    assert_all_anew(10);
    expect(c, 200, "POST", "/models/a/restore", "{\"step\":0}");
    come_back(c, id);
    assert_int_equal(l.events, 1);
    assert_step(&l, 0, 0, 0);
    assert_string_equal(heard_member(&l, 0, "restored"), "true");
}

/* ---- jobs ---------------------------------------------------------------------------------- */

static void test_jobs(void **state)
{
    struct client *c = *state;
    char json[64], large[EVENT_JOB_BYTES + 2];
    make(c, "a", "");
    events_job(c->api, "a", 1, "{\"n\":1}"); /* nobody listens */
    listen_to(c, &l, "a", NULL);
    hear(&l);
    events_job(c->api, "b", 1, "{\"n\":1}");
    events_job(c->api, "a", 7, "{\"n\":7,\"epoch\":1}");
    events_job(c->api, "a", 7, "{\"n\":7,\"epoch\":2}");
    events_job(c->api, "a", 8, "{\"n\":8}");
    hear_news(&l);
    assert_int_equal(l.events, 2);
    assert_string_equal(l.event[0].name, "job");
    assert_string_equal(l.event[0].data, "{\"n\":7,\"epoch\":2}");
    assert_string_equal(l.event[1].data, "{\"n\":8}");
    memset(large, ' ', sizeof large - 1);
    large[sizeof large - 1] = '\0';
    events_job(c->api, "a", 9, large);
    hear_news(&l);
    assert_int_equal(l.events, 0);
    for (int n = 1; n <= 3 * EVENTS_JOBS; n++) { /* of too many the newest are told */
        snprintf(json, sizeof json, "{\"n\":%d}", n);
        events_job(c->api, "a", n, json);
    }
    hear_news(&l);
    assert_int_equal(l.events, EVENTS_JOBS);
    int seen = 0;
    for (int i = 0; i < l.events; i++)
        seen += atoi(heard_member(&l, i, "n")) > 2 * EVENTS_JOBS;
    assert_int_equal(seen, EVENTS_JOBS);
    stop_listening(&l);
    assert_int_equal(bytes(c), 0);
}

/* The newest that was heard of a job says what GET says. */
static void assert_told_of_job(struct client *c, int n, const char *state)
{
    char path[32];
    int last = -1;
    hear_news(&l);
    for (int i = 0; i < l.events; i++)
        if (!strcmp(l.event[i].name, "job"))
            last = i;
    assert_true(last >= 0);
    snprintf(path, sizeof path, "/jobs/%d", n);
    const struct reply *r = expect(c, 200, "GET", path, NULL);
    assert_string_equal(string_at(r, "/state"), state);
    static const char *const names[] = {"job", "model", "state", "epoch", "step", "loss"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char pointer[32];
        snprintf(pointer, sizeof pointer, "/%s", names[i]);
        assert_json(r, pointer, heard_member(&l, last, names[i]));
    }
}

static void test_a_job_is_told(void **state)
{
    struct client *c = *state;
    make(c, "a", "");
    listen_to(c, &l, "a", NULL);
    hear(&l);
    expect(c, 202, "POST", "/models/a/fit", "{\"epochs\":3}");
    assert_told_of_job(c, 1, "queued");
    client_run_jobs(c);
    assert_told_of_job(c, 1, "done");
    expect(c, 202, "POST", "/models/a/fit", "{\"epochs\":1000}");
    expect(c, 204, "DELETE", "/jobs/2", NULL);
    assert_told_of_job(c, 2, "cancelled");
    stop_listening(&l);
    assert_int_equal(bytes(c), 0);
}

/* ---- bounds -------------------------------------------------------------------------------- */

static void test_too_many(void **state)
{
    struct client *c = *state;
    static struct listener some[8];
    make(c, "a", "");
    make(c, "b", "");
    for (int i = 0; i < 8; i++)
        listen_to(c, &some[i], i % 2 ? "a" : "b", NULL);
    const struct reply *r = refused_to_listen(c, "a", NULL);
    assert_problem(r, 503, "unavailable", "");
    assert_string_equal(r->retry_after, "1");
    assert_int_equal(open_streams(c), 8);
    stop_listening(&some[3]);
    listen_to(c, &some[3], "b", NULL);
    for (int i = 0; i < 8; i++)
        stop_listening(&some[i]);
    assert_int_equal(open_streams(c), 0);
    assert_int_equal(bytes(c), 0);
}

/* One that reads nothing holds the same memory after a thousand changes, and gets the newest. */
static void test_one_that_does_not_read(void **state)
{
    struct client *c = *state;
    make(c, "a", "");
    listen_to(c, &l, "a", NULL);
    steps(c, "a", 1);
    events_round(&c->api->events, 0);
    size_t before = bytes(c);
    for (int i = 0; i < 1000; i++) {
        steps(c, "a", 1);
        events_round(&c->api->events, 0);
    }
    assert_int_equal(bytes(c), before);
    hear(&l);
    assert_int_equal(l.events, 2);
    assert_step(&l, 0, 0, 0);
    assert_step(&l, 1, 1001, 0);
    assert_int_equal(l.wakes, 0);
    stop_listening(&l);
}

/* The model leaves the memory while somebody listens, and comes back. */
static void test_no_model_is_held(void **state)
{
    struct client *c = *state;
    make(c, "a", "");
    steps(c, "a", 2);
    listen_to(c, &l, "a", NULL);
    hear(&l);
    c->api->registry.budget = 0;
    registry_trim(&c->api->registry);
    assert_int_equal(registry_stats(&c->api->registry).resident, 0);
    steps(c, "a", 1);
    hear_news(&l);
    assert_step(&l, 0, 3, 2);
    registry_trim(&c->api->registry);
    assert_int_equal(registry_stats(&c->api->registry).resident, 0);
    stop_listening(&l);
}

static void test_damaged(void **state)
{
    struct client *c = *state;
    make(c, "a", "");
    steps(c, "a", 2);
    steps(c, "a", 2);
    client_damage(c, "UPDATE journal SET seal = 0 WHERE model = 1 AND seq = 4");
    assert_string_equal(string_at(expect_of(c, 200, "GET", "a", "", NULL), "/state"), "damaged");
    listen_to(c, &l, "a", NULL);
    hear(&l);
    assert_string_equal(heard_member(&l, 0, "state"), "\"damaged\"");
    expect(c, 200, "POST", "/models/a/restore", "{\"step\":1}");
    hear_news(&l);
    assert_string_equal(heard_member(&l, 0, "state"), "\"ready\"");
    assert_string_equal(heard_member(&l, 0, "restored"), "true");
    stop_listening(&l);
}

/* ---- signs of life, and the end ------------------------------------------------------------ */

static void test_comments(void **state)
{
    struct client *c = *state;
    struct events *h = &c->api->events;
    int64_t now = 1;
    make(c, "a", "");
    listen_to(c, &l, "a", NULL);
    hear(&l);
    events_tick(h, now);
    hear(&l);
    l.wakes = 0;
    for (int second = 1; second <= 45; second++) {
        events_tick(h, now + second * INT64_C(1000000000));
        assert_int_equal(l.wakes, second / 15);
        hear(&l);
        assert_int_equal(l.comments, second % 15 == 0);
        assert_int_equal(l.events, 0);
    }
    l.left = true;
    events_tick(h, now);
    assert_int_equal(l.wakes, 4);
    assert_int_equal(hear(&l), STREAM_GONE);
    stop_listening(&l);
}

static void test_the_end(void **state)
{
    struct client *c = *state;
    make(c, "a", "");
    listen_to(c, &l, "a", NULL);
    listen_to(c, &other, "a", NULL);
    hear(&l);
    api_drain(c->api);
    assert_int_equal(l.wakes, 1);
    assert_int_equal(other.wakes, 0);
    assert_int_equal(hear(&l), STREAM_OVER);
    assert_int_equal(hear(&other), STREAM_OVER);
    assert_false(stream_sleep(l.stream));
    assert_false(api_tell_streams(c->api));
    assert_problem(refused_to_listen(c, "a", NULL), 503, "unavailable", "");
    stop_listening(&l);
    stop_listening(&other);
    assert_int_equal(bytes(c), 0);
}

/* ---- without memory ------------------------------------------------------------------------ */

static long fail_in = -1; /* allocations until one fails; < 0: never */

static bool fail_one(size_t wanted)
{
    (void)wanted;
    return fail_in >= 0 && fail_in-- == 0;
}

static void test_without_memory(void **state)
{
    struct client *c = *state;
    bool reached = true;
    make(c, "a", "");
    steps(c, "a", 20);
    mem_fault = fail_one;
    for (long n = 0; reached; n++) {
        struct call *call = client_start(c, "GET", "/models/a/events", NULL);
        assert_true(call_header(call, "Last-Event-ID", "3"));
        fail_in = n;
        assert_true(client_slice(c, call));
        reached = fail_in < 0;
        fail_in = -1;
        assert_int_equal(call_answer(call)->status, reached ? 503 : 200);
        call_free(call);
        assert_int_equal(open_streams(c), 0);
        assert_int_equal(bytes(c), 0);
    }
    mem_fault = NULL;
}

/* Without memory for its text a stream ends: its client comes back for what it missed. */
static void test_without_memory_for_an_event(void **state)
{
    struct client *c = *state;
    make(c, "a", "");
    steps(c, "a", 100);
    listen_to(c, &l, "a", "0");
    hear(&l); /* the long text goes */
    hear(&l);
    steps(c, "a", 1);
    mem_fault = fail_one;
    fail_in = 0;
    assert_int_equal(hear_news(&l), STREAM_OVER);
    assert_int_equal(fail_in, -1);
    mem_fault = NULL;
    assert_int_equal(l.events, 0);
    stop_listening(&l);
    assert_int_equal(bytes(c), 0);
}

#define ROW(test) cmocka_unit_test_setup_teardown(test, client_setup, client_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ROW(test_opening),
        ROW(test_steps_come_together),
        ROW(test_slices),
        ROW(test_not_before_it_is_kept),
        ROW(test_what_is_not_kept),
        ROW(test_come_in_between),
        ROW(test_without_a_journal),
        ROW(test_what_else_is_news),
        ROW(test_diverged),
        ROW(test_deleted),
        ROW(test_restored),
        ROW(test_coming_back),
        ROW(test_coming_back_late),
        ROW(test_coming_back_to_another_past),
        ROW(test_jobs),
        ROW(test_a_job_is_told),
        ROW(test_too_many),
        ROW(test_one_that_does_not_read),
        ROW(test_no_model_is_held),
        ROW(test_damaged),
        ROW(test_comments),
        ROW(test_the_end),
        ROW(test_without_memory),
        ROW(test_without_memory_for_an_event),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
