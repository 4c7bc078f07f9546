/* Changes that cannot be kept: the answer says so, the model is what the store has of it, and
 * whatever was built on them fails with them. */
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "api/call.h"
#include "api/state.h"
#include "storage/writer.h"
#include "tests/api/twins.h"

#define MOMENTUM ",\"optimizer\":{\"type\":\"sgd\",\"lr\":0.05,\"momentum\":0.9}"
#define SMALL    "{\"inputs\":[[0.5,-1],[2,0.25]],\"targets\":[[1],[-0.5]]}"

/* ---- a disk that is full ------------------------------------------------------------------- */

static void set_pages(struct client *c, int64_t pages)
{
    char sql[64];
    snprintf(sql, sizeof sql, "PRAGMA max_page_count = %lld", (long long)pages);
    store_wait(c->api->store); /* the connection is nobody's now */
    assert_int_equal(sqlite3_exec(c->api->store->db.handle, sql, NULL, NULL, NULL), SQLITE_OK);
}

/* The file may grow by so many pages, no more. */
static void leave_pages(struct client *c, int pages)
{
    struct err e;
    int64_t count;
    store_wait(c->api->store);
    assert_int_equal(db_number(&c->api->store->db, "PRAGMA page_count", &count, &e), ERR_OK);
    set_pages(c, count + pages);
}

static void make_room(struct client *c)
{
    set_pages(c, 1 << 30);
}

/* ---- while the writer is held -------------------------------------------------------------- */

struct gate {
    sem_t reached, open;
};

static void wait_at_gate(void *arg, const struct err *e)
{
    struct gate *gate = arg;
    (void)e;
    sem_post(&gate->reached);
    sem_wait(&gate->open);
}

static void hold(struct client *c, struct gate *gate)
{
    struct store_txn *txn = store_txn_new(c->api->store);
    sem_init(&gate->reached, 0, 0);
    sem_init(&gate->open, 0, 0);
    store_commit_then(txn, wait_at_gate, gate);
    sem_wait(&gate->reached);
}

static void let_go(struct gate *gate)
{
    sem_post(&gate->open);
}

/* A thread that opens it a little later. */
static void *open_later(void *arg)
{
    nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
    let_go(arg);
    return NULL;
}

static void count_kept(void *arg)
{
    sem_post(arg);
}

/* Runs a request to its end and sends its change to the store, without waiting for it. */
static struct call *send(struct client *c, const char *target, const char *body, sem_t *kept)
{
    struct call *call = client_start(c, "POST", target, body);
    assert_int_equal(call_work(call, c->scratch, 1000000000), CALL_UNKEPT);
    call_keep(call, count_kept, kept);
    api_flush(c->api);
    return call;
}

/* ---- the tests ----------------------------------------------------------------------------- */

static void create(struct client *c, const char *id)
{
    create_net(c, id, MOMENTUM);
    for (int k = 1; k <= 3; k++)
        push_batch(c, id, k);
}

/* {"parameters": {"0.bias": …}} of a net of create_wide. free() it. */
static char *bias_text(void)
{
    char *text = NULL;
    size_t bytes;
    FILE *out = open_memstream(&text, &bytes);
    fprintf(out, "{\"parameters\":{\"0.bias\":{\"data\":[0");
    for (int i = 1; i < 100; i++)
        fprintf(out, ",%d", i);
    fprintf(out, "]}}}");
    assert_int_equal(fclose(out), 0);
    return text;
}

/* Each change in turn finds the disk full, has no effect, and has its effect when there is room. */
static void test_each_change(void **state)
{
    struct client *c = *state;
    char *rows = wide_text(60, ""), *steps = wide_text(100, ",\"steps\":3"),
         *larger = wide_text(700, ""), *bias = bias_text();
    const struct deed deeds[] = {
        {"POST", "/step", rows, 200},
        {"POST", "/step", steps, 200},
        {"POST", "/step", larger, 200}, /* a state in its place */
        {"POST", "/backward", rows, 200},
        {"POST", "/backward", larger, 200},
        {"POST", "/batches", rows, 201},
        {"PUT", "/parameters/0.bias", bias, 200},
        {"POST", "/checkpoints", NULL, 201},
        {"POST", "/restore", "{\"step\":2}", 200},
        {"POST", "/checkpoints/1/restore", NULL, 200},
        {"POST", "/fork", "{\"id\":\"b\"}", 201},
        {"PATCH", "", "{\"durability\":\"none\"}", 200},
    };
    create_wide(c, "a", MOMENTUM);
    create_wide(c, "twin", MOMENTUM);
    for (size_t i = 0; i < sizeof deeds / sizeof *deeds; i++) {
        for (int k = 0; k < 2; k++)
            do_deed(c, k ? "a" : "twin", &(struct deed){"POST", "/step", rows, 200});
        leave_pages(c, 0);
        for (int k = 0; k < 2; k++) {
            struct deed full = deeds[i];
            full.status = 507;
            assert_problem(do_deed(c, "a", &full), 507, "insufficient-storage", "");
        }
        assert_true(store_is_healthy(c->api->store));
        assert_twins(c, "a", c, "twin");
        make_room(c);
        client_kill(c);
        assert_twins(c, "a", c, "twin");
        if (strcmp(deeds[i].rest, "/fork")) {
            do_both(c, "a", c, "twin", &deeds[i]);
        } else {
            do_deed(c, "a", &deeds[i]);
            assert_twins(c, "a", c, "b");
        }
    }
    free(rows);
    free(steps);
    free(larger);
    free(bias);
}

/* Who came behind a change that was not kept is told that his is not there either. */
static void test_behind_one_another(void **state)
{
    struct client *c = *state;
    char *rows = rows_text(5000, "");
    struct gate gate;
    struct call *call[4];
    sem_t kept;
    sem_init(&kept, 0, 0);
    create(c, "a");
    expect_of(c, 200, "POST", "a", "/step", "{\"steps\":2}");
    char *before = text_of(c, "/models/a"), *values = text_of(c, "/models/a/parameters");
    leave_pages(c, 0);
    hold(c, &gate);
    call[0] = send(c, "/models/a/step", rows, &kept);
    call[1] = send(c, "/models/a/zero_grad", NULL, &kept);
    call[2] = send(c, "/models/a/step", "{\"steps\":3}", &kept);
    call[3] = send(c, "/models/a/backward", SMALL, &kept);
    assert_json(expect_of(c, 200, "GET", "a", "", NULL), "/step", "6"); /* nobody knows yet */
    let_go(&gate);
    for (int i = 0; i < 4; i++)
        sem_wait(&kept);
    for (int i = 0; i < 4; i++) {
        const struct reply *r = client_finish(c, call[i]);
        assert_problem(r, i ? 503 : 507, i ? "unavailable" : "insufficient-storage", "");
        assert_string_equal(r->etag, "");
        assert_non_null(strstr(string_at(r, "/detail"), "the change was not kept"));
        if (i == 2)
            assert_json(r, "/steps_done", "0");
        else
            assert_null(json_find(r->json, "/steps_done"));
    }
    assert_string_equal(expect_of(c, 200, "GET", "a", "", NULL)->text, before);
    assert_string_equal(expect_of(c, 200, "GET", "a", "/parameters", NULL)->text, values);
    make_room(c);
    expect_of(c, 200, "POST", "a", "/step", rows);
    assert_outlives_kill(c);
    free(rows);
    free(before);
    free(values);
}

/* Checkpoints that were begun on top of it fail too: their state never was. */
static void test_no_checkpoint_of_what_was_not_kept(void **state)
{
    struct client *c = *state;
    char *steps = rows_text(5000, ",\"steps\":50");
    struct session *s;
    struct gate gate;
    struct err e;
    create(c, "a");
    expect_of(c, 200, "POST", "a", "/step", "{\"steps\":2}");
    char *before = text_of(c, "/models/a/parameters");
    leave_pages(c, 8); /* enough for a checkpoint, not for the rows */
    c->slice_ns = 0;
    hold(c, &gate);
    struct call *call = client_start(c, "POST", "/models/a/step", steps);
    assert_false(client_slice(c, call));
    assert_int_equal(registry_get(&c->api->registry, "a", NULL, &s, &e), ERR_OK);
    session_checkpoint(s); /* in the middle of the call, as a long journal has it */
    registry_put(&c->api->registry, s);
    let_go(&gate);
    store_wait(c->api->store);
    while (!client_slice(c, call))
        continue;
    assert_problem(client_finish(c, call), 507, "insufficient-storage", "");
    assert_json(expect_of(c, 200, "GET", "a", "", NULL), "/step", "2");
    assert_string_equal(expect_of(c, 200, "GET", "a", "/parameters", NULL)->text, before);
    make_room(c);
    assert_outlives_kill(c);
    expect_of(c, 200, "POST", "a", "/step", "{\"steps\":5}");
    assert_outlives_kill(c);
    free(steps);
    free(before);
}

/* Nor is a client's checkpoint acknowledged, or a restore, or a state. */
static void test_nothing_on_top(void **state)
{
    static const struct deed deeds[] = {
        {"POST", "/checkpoints", NULL, 503},
        {"POST", "/restore", "{\"step\":1}", 503},
        {"PUT", "/parameters/2.bias", "{\"parameters\":{\"2.bias\":{\"data\":[1]}}}", 503},
        {"PATCH", "", "{\"durability\":\"none\"}", 503},
        {"POST", "/fork", "{\"id\":\"b\"}", 503},
        {"POST", "/fork", "{\"id\":\"b\",\"step\":1}", 503},
        {"POST", "/checkpoints/1/restore", NULL, 503},
    };
    struct client *c = *state;
    char *rows = rows_text(5000, "");
    create(c, "a");
    expect_of(c, 200, "POST", "a", "/step", "{\"steps\":2}");
    expect_of(c, 201, "POST", "a", "/checkpoints", NULL);
    char *before = text_of(c, "/models/a");
    for (size_t i = 0; i < sizeof deeds / sizeof *deeds; i++) {
        sem_t kept;
        struct gate gate;
        sem_init(&kept, 0, 0);
        leave_pages(c, 8);
        hold(c, &gate);
        struct call *first = send(c, "/models/a/step", rows, &kept);
        char target[64];
        snprintf(target, sizeof target, "/models/a%s", deeds[i].rest);
        /* it waits for the store, so the gate is opened by another */
        struct call *second = client_start(c, deeds[i].method, target, deeds[i].body);
        pthread_t opener;
        assert_int_equal(pthread_create(&opener, NULL, open_later, &gate), 0);
        while (!client_slice(c, second))
            continue;
        pthread_join(opener, NULL);
        sem_wait(&kept);
        assert_int_equal(client_finish(c, first)->status, 507);
        const struct reply *r = client_finish(c, second);
        assert_problem(r, 503, "unavailable", "");
        assert_non_null(strstr(string_at(r, "/detail"), "an earlier change was not kept"));
        make_room(c);
        assert_string_equal(expect_of(c, 200, "GET", "a", "", NULL)->text, before);
        expect(c, 404, "GET", "/models/b", NULL);
        assert_outlives_kill(c);
    }
    free(rows);
    free(before);
}

/* ---- keys ---------------------------------------------------------------------------------- */

/* Without its effect a key is free. */
static void test_keys(void **state)
{
    struct client *c = *state;
    char *rows = rows_text(5000, "");
    const struct request q = {.method = "POST",
                              .target = "/models/a/step",
                              .body = rows,
                              .header = {"Idempotency-Key", "k"}};
    create(c, "a");
    leave_pages(c, 0);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(ask_headed(c, &q)->status, 507);
        assert_json(expect_of(c, 200, "GET", "a", "", NULL), "/step", "0");
    }
    make_room(c);
    const struct reply *r = ask_headed(c, &q);
    assert_true(r->status == 200 && !r->replayed);
    client_kill(c);
    r = ask_headed(c, &q);
    assert_true(r->status == 200 && r->replayed);
    assert_json(expect_of(c, 200, "GET", "a", "", NULL), "/step", "1");
    free(rows);
}

static struct call *start_keyed(struct client *c, const char *body)
{
    struct call *call = call_new(c->api);
    assert_true(call_target(call, "POST", "/models/a/step"));
    assert_true(call_header(call, "Idempotency-Key", "k"));
    assert_true(call_header(call, "Content-Type", "application/json"));
    assert_true(call_admit(call, (int64_t)strlen(body)));
    assert_true(call_body(call, body, strlen(body)));
    return call;
}

static const struct reply *ask_keyed(struct client *c, const char *body)
{
    return ask_headed(c, &(struct request){.method = "POST",
                                           .target = "/models/a/step",
                                           .body = body,
                                           .header = {"Idempotency-Key", "k"}});
}

/* A long call that the server ends says what it did, and so does its key: with a journal and
 * without. */
static void test_ended_by_the_server(void **state)
{
    static const char *const durability[] = {"process", "none"};
    const char *body = "{\"steps\":9}";
    for (int i = 0; i < 2; i++) {
        struct client *c = i ? client_new("auto") : *state;
        create(c, "a");
        expect_of(c, 200, "PATCH", "a", "", i ? "{\"durability\":\"none\"}" : "{}");
        c->slice_ns = 0;
        struct call *call = start_keyed(c, body);
        for (int k = 0; k < 4; k++)
            assert_false(client_slice(c, call));
        call_refuse(call, ERR_UNAVAILABLE, 1, "the daemon is stopping");
        const struct reply *r = client_finish(c, call);
        assert_problem(r, 503, "unavailable", "");
        assert_json(r, "/steps_done", "4");
        c->slice_ns = 1000000000;
        for (int k = 0; k < 3; k++) {
            r = ask_keyed(c, body);
            assert_true(r->status == 503 && r->replayed);
            assert_json(r, "/steps_done", "4");
            r = expect_of(c, 200, "GET", "a", "", NULL);
            assert_json(r, "/step", "4");
            assert_string_equal(string_at(r, "/durability"), durability[i]);
            if (k == 1 && i == 0)
                client_kill(c);
            else
                client_reopen(c);
        }
        if (i)
            client_free(c);
    }
}

/* … and one that ends itself while the daemon drains. */
static void test_drained(void **state)
{
    struct client *c = *state;
    const char *body = "{\"steps\":9}";
    create(c, "a");
    c->slice_ns = 0;
    struct call *call = start_keyed(c, body);
    for (int k = 0; k < 3; k++)
        assert_false(client_slice(c, call));
    api_drain(c->api);
    while (!client_slice(c, call))
        continue;
    const struct reply *r = client_finish(c, call);
    assert_problem(r, 503, "unavailable", "");
    assert_json(r, "/steps_done", "3");
    assert_json(r, "/step", "3");
    client_kill(c);
    r = ask_keyed(c, body);
    assert_true(r->status == 503 && r->replayed);
    assert_json(r, "/steps_done", "3");
    assert_json(expect_of(c, 200, "GET", "a", "", NULL), "/step", "3");
}

/* The end of a long call is lost, its first slices are not: that is what it and its key say. */
static void test_the_last_slice_is_lost(void **state)
{
    struct client *c = *state;
    const char *body = "{\"steps\":5}";
    create(c, "a");
    c->slice_ns = 0;
    struct call *call = start_keyed(c, body);
    for (int k = 0; k < 4; k++)
        assert_false(client_slice(c, call));
    store_wait(c->api->store);
    /* another's change in its place: what comes next finds the journal gone on */
    struct err e;
    struct session *s;
    assert_int_equal(registry_get(&c->api->registry, "a", NULL, &s, &e), ERR_OK);
    struct store_change change = {.seq = s->seq + 1, .from = s->seq, .kind = 3, .step = 4};
    struct store_txn *txn = store_txn_new(c->api->store);
    store_append_change(txn, s->key, &change);
    assert_int_equal(store_commit(txn, &e), ERR_OK);
    registry_put(&c->api->registry, s);
    assert_true(client_slice(c, call));
    const struct reply *r = client_finish(c, call);
    assert_problem(r, 503, "unavailable", "");
    assert_json(r, "/steps_done", "4");
    r = ask_keyed(c, body);
    assert_true(r->status == 503 && r->replayed);
    assert_json(r, "/steps_done", "4");
}

#define ROW(test) cmocka_unit_test_setup_teardown(test, client_setup, client_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ROW(test_each_change),
        ROW(test_behind_one_another),
        ROW(test_no_checkpoint_of_what_was_not_kept),
        ROW(test_nothing_on_top),
        ROW(test_keys),
        ROW(test_ended_by_the_server),
        ROW(test_drained),
        ROW(test_the_last_slice_is_lost),
    };
    return cmocka_run_group_tests_name("unkept", tests, NULL, NULL);
}
