/* Resident models as a cache over the store: what is put away comes back as it was, in the right
 * order, and whoever is in use stays. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/state.h"
#include "engine/mem.h"
#include "tests/api/client.h"

#define MOMENTUM ",\"optimizer\":{\"type\":\"sgd\",\"lr\":0.05,\"momentum\":0.9}"

static char *name(int i)
{
    static char text[4][16];
    static int next;
    char *out = text[next++ % 4];
    snprintf(out, sizeof text[0], "m%d", i);
    return out;
}

static void make(struct client *c, int i)
{
    create_net(c, name(i), MOMENTUM);
}

/* One that has to be written to leave memory, and whose calls let go of it as they answer. */
static void make_unjournaled(struct client *c, int i)
{
    create_net(c, name(i), MOMENTUM ",\"durability\":\"none\"");
}

static struct registry_stats stats(struct client *c)
{
    return registry_stats(&c->api->registry);
}

static size_t bytes(struct client *c)
{
    struct registry_stats s = stats(c);
    return s.total.model + s.total.batches;
}

/* Without using it. */
static bool is_resident(struct client *c, int i)
{
    struct session *s = registry_peek(&c->api->registry, name(i));
    if (s)
        registry_let_go(&c->api->registry, s);
    return s != NULL;
}

static void use(struct client *c, int i)
{
    expect_of(c, 200, "GET", name(i), "", NULL);
}

static void reopen_with(struct client *c, size_t memory)
{
    client_close(c);
    c->config.memory = memory;
    client_open(c);
}

/* What a fresh model of make() takes. */
static size_t measure_one(void)
{
    struct client *c = client_new("auto");
    make(c, 0);
    size_t one = bytes(c);
    client_free(c);
    return one;
}

/* Room for so many models of make(), and a half. */
static void set_room(struct client *c, size_t models)
{
    reopen_with(c, models * measure_one() + measure_one() / 2);
}

/* ---- nothing is lost ----------------------------------------------------------------------- */

/* One of the things that are done to a model, with an effect that its state has to hold. */
static void do_something(struct client *c, int model, int turn)
{
    char *batch = batch_text(turn % 7);
    switch ((model + turn) % 8) {
    case 0:
        expect_of(c, 201, "POST", name(model), "/batches", batch);
        break;
    case 1:
        expect_of(c, 200, "POST", name(model), "/backward", batch);
        break;
    case 2:
        expect_of(c, 200, "PATCH", name(model), "",
                  "{\"optimizer\":{\"lr\":0.03},\"requires_grad\":{\"0.bias\":false}}");
        break;
    case 3:
        expect_of(c, 201, "POST", name(model), "/checkpoints", "{\"label\":\"here\"}");
        break;
    case 4:
        expect_of(c, 200, "POST", name(model), "/step", "{\"steps\":3}");
        break;
    case 5:
        expect_of(c, 200, "POST", name(model), "/zero_grad", NULL);
        break;
    case 6:
        if (turn > 9)
            expect_of(c, 200, "POST", name(model), "/checkpoints/1/restore", NULL);
        break;
    default:
        expect_of(c, 200, "POST", name(model), "/step", batch);
    }
    free(batch);
}

enum { MODELS = 12, TURNS = 20 };

static void train_in_turn(struct client *c)
{
    for (int i = 0; i < MODELS; i++) {
        make(c, i);
        push_batch(c, name(i), i);
    }
    for (int turn = 0; turn < TURNS; turn++)
        for (int i = 0; i < MODELS; i++) {
            do_something(c, i, turn);
            assert_true(bytes(c) <= c->config.memory);
        }
}

static void assert_same_model(struct client *a, struct client *b, int i)
{
    static const char *const parts[] = {"/parameters", "/gradients", "/losses", "/batches",
                                        "/batches/1"};
    char target[64];
    for (size_t k = 0; k < sizeof parts / sizeof *parts; k++) {
        snprintf(target, sizeof target, "/models/%s%s", name(i), parts[k]);
        assert_same_answer(a, target, b, target);
    }
    /* the next step shows what is hidden: momentum, cursor, accumulated gradients */
    const struct reply *one = expect_of(a, 200, "POST", name(i), "/step", NULL);
    const struct reply *other = expect_of(b, 200, "POST", name(i), "/step", NULL);
    assert_string_equal(one->text, other->text);
}

static void training_in_turn_is_bit_equal(void **state)
{
    struct client *small = *state, *large = client_new("auto");
    set_room(small, 3); /* which grow: sometimes it is only one */
    train_in_turn(small);
    train_in_turn(large);
    assert_true(stats(small).put_away > MODELS * (TURNS - 1));
    assert_int_equal(stats(large).put_away, 0);
    for (int i = 0; i < MODELS; i++)
        assert_same_model(small, large, i);
    client_kill(small); /* what was put away needs no clean stop */
    for (int i = 0; i < MODELS - 3; i++)
        assert_same_model(small, large, i);
    client_free(large);
}

static void one_larger_than_the_budget_works(void **state)
{
    struct client *c = *state;
    reopen_with(c, 1);
    make_unjournaled(c, 0);
    push_batch(c, name(0), 1);
    for (int i = 0; i < 3; i++) {
        expect_of(c, 200, "POST", name(0), "/step", NULL);
        assert_int_equal(stats(c).resident, 0);
        assert_int_equal(bytes(c), 0);
    }
    assert_json(expect_of(c, 200, "GET", name(0), "", NULL), "/step", "3");
}

/* The answer to a key is kept with the effect, also if the model leaves before its checkpoint. */
static void an_idempotent_answer_outlives_it(void **state)
{
    struct client *c = *state;
    char text[2][400];
    reopen_with(c, 1);
    make(c, 0);
    push_batch(c, name(0), 1);
    for (int i = 0; i < 2; i++) {
        struct call *call = call_new(c->api);
        assert_true(call_target(call, "POST", "/models/m0/step"));
        assert_true(call_header(call, "Idempotency-Key", "once"));
        assert_true(call_admit(call, 0));
        assert_true(client_slice(c, call));
        const struct answer *a = call_answer(call);
        snprintf(text[i], sizeof text[i], "%.*s", (int)a->bytes, a->body);
        call_free(call);
        client_kill(c);
    }
    assert_string_equal(text[0], text[1]);
    assert_json(expect_of(c, 200, "GET", name(0), "", NULL), "/step", "1");
}

/* ---- who goes ------------------------------------------------------------------------------ */

static void assert_residents(struct client *c, const char *expected)
{
    char are[64] = "";
    for (int i = 0; i < 10; i++)
        if (is_resident(c, i))
            sprintf(are + strlen(are), "%d", i);
    assert_string_equal(are, expected);
}

static void the_least_recently_used_one_goes(void **state)
{
    struct client *c = *state;
    set_room(c, 3);
    for (int i = 0; i < 3; i++)
        make(c, i);
    assert_residents(c, "012");
    use(c, 0);
    make(c, 3);
    assert_residents(c, "023");
    use(c, 2);
    use(c, 1);
    assert_residents(c, "123");
    use(c, 3);
    use(c, 4 - 4);
    assert_residents(c, "013");
    assert_int_equal(stats(c).put_away, 3);
    assert_int_equal(stats(c).loads, 2);
}

/* Neither a checkpoint in the background nor a list is a use. */
static void looking_is_no_use(void **state)
{
    struct client *c = *state;
    c->config.checkpoint_seconds = 0;
    set_room(c, 3);
    for (int i = 0; i < 6; i++)
        make_unjournaled(c, i);
    assert_residents(c, "345");
    expect_of(c, 200, "POST", name(0), "/zero_grad", NULL);
    use(c, 1);
    use(c, 2);
    assert_residents(c, "012");
    assert_true(client_run_due(c)); /* of 0 */
    while (client_run_due(c))       /* until it is known to be kept */
        continue;
    const struct reply *list = expect(c, 200, "GET", "/models?limit=100", NULL);
    assert_int_equal(cJSON_GetArraySize(at(list, "/models")), 6);
    assert_true(bytes(c) <= c->config.memory);
    assert_residents(c, "012");
    make_unjournaled(c, 6);
    assert_residents(c, "126");
}

static void what_is_held_stays(void **state)
{
    struct client *c = *state;
    set_room(c, 2);
    make(c, 0);
    push_batch(c, name(0), 1);
    struct call *long_one = client_start(c, "POST", "/models/m0/step", "{\"steps\":4}");
    c->slice_ns = 0;
    assert_false(client_slice(c, long_one));
    for (int i = 1; i < 6; i++)
        make(c, i);
    assert_true(is_resident(c, 0));
    while (!client_slice(c, long_one))
        continue;
    assert_json(client_finish(c, long_one), "/step", "4");
    for (int i = 1; i < 6; i++)
        use(c, i);
    assert_false(is_resident(c, 0));
    assert_json(expect_of(c, 200, "GET", name(0), "", NULL), "/step", "4");
}

/* What is in use may pass the budget, but not twice the budget. */
static void held_ones_bound_what_is_loaded(void **state)
{
    enum { MANY = 8 };
    struct client *c = *state;
    struct call *call[MANY];
    char target[64];
    int held = 0;
    for (int i = 0; i < MANY; i++) {
        make(c, i);
        push_batch(c, name(i), 1);
    }
    size_t one = bytes(c) / MANY;
    reopen_with(c, 2 * one);
    c->slice_ns = 0;
    for (bool refused = false; !refused; held += !refused) {
        assert_true(held < MANY);
        assert_true(bytes(c) <= 2 * c->config.memory + 2 * one);
        snprintf(target, sizeof target, "/models/%s/step", name(held));
        call[held] = client_start(c, "POST", target, "{\"steps\":3}");
        refused = client_slice(c, call[held]);
    }
    const struct reply *r = client_finish(c, call[held]);
    assert_problem(r, 503, "unavailable", "");
    assert_string_equal(r->retry_after, "1");
    assert_true(held > 1 && bytes(c) > 2 * c->config.memory);
    assert_problem(ask_plain(c, "POST", "/models",
                             "{\"id\":\"new\",\"loss\":\"mse\",\"layers\":[{\"type\":\"linear\","
                             "\"in_features\":2,\"out_features\":1}]}"),
                   503, "unavailable", "");
    use(c, 0);
    for (int i = 0; i < held; i++) {
        while (!client_slice(c, call[i]))
            continue;
        assert_json(client_finish(c, call[i]), "/step", "3");
    }
    assert_true(bytes(c) <= c->config.memory);
    use(c, MANY - 1);
}

/* What grew in a call that must not wait is put away by the daemon itself. */
static void the_daemon_puts_away_too(void **state)
{
    struct client *c = *state;
    set_room(c, 3);
    for (int i = 0; i < 3; i++)
        make(c, i);
    assert_null(api_due(c->api));
    c->api->registry.budget /= 2;
    struct call *due = api_due(c->api);
    assert_non_null(due);
    assert_null(api_due(c->api)); /* once a round */
    assert_int_equal(call_mode(due), CALL_READ);
    assert_true(client_slice(c, due));
    call_free(due);
    assert_residents(c, "2");
    assert_null(api_due(c->api));
}

/* ---- coming, going, failing ---------------------------------------------------------------- */

static void one_that_is_put_away_can_be_deleted(void **state)
{
    struct client *c = *state;
    reopen_with(c, 1);
    make(c, 0);
    make(c, 1);
    push_batch(c, name(0), 1);
    expect_of(c, 200, "POST", name(0), "/step", NULL);
    assert_problem(ask_plain(c, "POST", "/models",
                             "{\"id\":\"m0\",\"loss\":\"mse\",\"layers\":[{\"type\":\"linear\","
                             "\"in_features\":2,\"out_features\":1}]}"),
                   409, "conflict", "/id");
    expect_of(c, 204, "DELETE", name(0), "", NULL);
    assert_problem(ask(c, "GET", "/models/m0", NULL), 404, "not-found", "");
    make(c, 0);
    assert_json(expect_of(c, 200, "GET", name(0), "", NULL), "/step", "0");
    expect_of(c, 204, "DELETE", name(1), "", NULL);
    assert_int_equal(bytes(c), 0);
}

static int asked; /* for memory */

static bool fail_all(size_t size)
{
    (void)size;
    asked++;
    return true;
}

/* What cannot be kept stays, and is not tried again and again. */
static void what_cannot_be_kept_stays(void **state)
{
    struct client *c = *state;
    struct registry *r = &c->api->registry;
    for (int i = 0; i < 3; i++) {
        make_unjournaled(c, i);
        push_batch(c, name(i), 1);
        expect_of(c, 200, "POST", name(i), "/step", NULL);
    }
    char *want = text_of(c, "/models/m1/parameters");
    r->budget = 1;
    asked = 0;
    mem_fault = fail_all;
    registry_trim(r);
    int once = asked;
    for (int i = 0; i < 100; i++)
        registry_trim(r);
    mem_fault = NULL;
    assert_true(once > 0);
    assert_int_equal(asked, once);
    assert_residents(c, "012");
    assert_false(registry_is_over(r)); /* for a while */
    r->rest_until = 0;
    assert_true(registry_is_over(r));
    registry_trim(r);
    assert_residents(c, "");
    char *got = text_of(c, "/models/m1/parameters");
    assert_string_equal(got, want);
    free(want);
    free(got);
}

static void thousands_are_found(void **state)
{
    enum { MANY = 3000 };
    struct client *c = *state;
    for (int i = 0; i < MANY; i++)
        make(c, i);
    assert_int_equal(stats(c).resident, MANY);
    for (int i = 0; i < MANY; i++)
        assert_true(is_resident(c, i));
    assert_false(is_resident(c, MANY));
    assert_true(c->api->registry.roster.buckets >= MANY);
    c->api->registry.budget = bytes(c) / 3;
    registry_trim(&c->api->registry);
    for (int i = 0; i < MANY; i++)
        assert_int_equal(is_resident(c, i), i >= MANY - (int)stats(c).resident);
    /* their blocks differ by some bytes, as their names do and as the allocator rounds them */
    assert_in_range(stats(c).resident, MANY / 3 - MANY / 100, MANY / 3 + MANY / 100);
}

/* ---- what is told -------------------------------------------------------------------------- */

static void push_rows(struct client *c, const char *id, int rows)
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    assert_non_null(out);
    for (int part = 0; part < 2; part++) {
        fputs(part ? "],\"targets\":[" : "{\"inputs\":[", out);
        for (int i = 0; i < rows; i++)
            fprintf(out, "%s%s", i ? "," : "", part ? "[1]" : "[1,2]");
    }
    fputs("]}", out);
    fclose(out);
    expect_of(c, 201, "POST", id, "/batches", text);
    free(text);
}

static void memory_is_told(void **state)
{
    static const char *const classes[] = {"program",     "models",  "batches",  "workspaces",
                                          "requests",    "answers", "storage",  "stacks",
                                          "allocator",   "other",   "programs", "checkpoints",
                                          "connections", "streams", "jobs"};
    struct client *c = *state;
    char pointer[64];
    make(c, 0);
    push_batch(c, name(0), 1);
    size_t before = stats(c).total.batches;
    push_rows(c, name(0), 1000);
    assert_in_range(stats(c).total.batches - before, 1000 * 3 * sizeof(float), 14000);
    const struct reply *r = expect(c, 200, "GET", "/memory", NULL);
    assert_true(number_at(r, "/rss") > 0);
    for (size_t i = 0; i < sizeof classes / sizeof *classes; i++) {
        snprintf(pointer, sizeof pointer, "/classes/%s", classes[i]);
        assert_true(number_at(r, pointer) >= 0);
    }
    assert_int_equal(cJSON_GetArraySize(at(r, "/classes")), sizeof classes / sizeof *classes);
    assert_true(number_at(r, "/classes/models") > 2000);
    assert_true(number_at(r, "/classes/batches") > 64);
    assert_true(number_at(r, "/models/bytes") ==
                number_at(r, "/classes/models") + number_at(r, "/classes/batches"));
    assert_json(r, "/models/resident", "1");
    assert_json(r, "/models/budget", "1073741824");
    assert_json(r, "/models/loads", "0");
    assert_json(r, "/models/put_away", "0");
}

static double metric(const char *text, const char *which)
{
    char line[128];
    snprintf(line, sizeof line, "\n%s ", which);
    const char *at = strstr(text, line);
    if (!at)
        fail_msg("no %s in\n%s", which, text);
    return strtod(at + strlen(line), NULL);
}

static void metrics_are_told(void **state)
{
    struct client *c = *state;
    struct request q = {.method = "GET", .target = "/metrics"};
    struct reply r;
    make(c, 0);
    client_exchange(c->api, c->scratch, c->slice_ns, &q, &r);
    assert_int_equal(r.status, 200);
    assert_string_equal(r.type, "text/plain; version=0.0.4");
    assert_true(metric(r.text, "gradd_memory_bytes{class=\"models\"}") > 2000);
    assert_true(metric(r.text, "gradd_memory_bytes{class=\"program\"}") > 100000);
    assert_true(metric(r.text, "gradd_models_resident") == 1);
    assert_true(metric(r.text, "gradd_model_loads_total") == 0);
    assert_true(metric(r.text, "gradd_models_put_away_total") == 0);
    assert_true(metric(r.text, "process_resident_memory_bytes") > 1e6);
    assert_true(metric(r.text, "process_start_time_seconds") > 1.7e9);
    assert_true(metric(r.text, "process_cpu_seconds_total") > 0);
    assert_true(metric(r.text, "gradd_ready") == 1);
    assert_non_null(strstr(r.text, "\ngradd_build_info{version=\"test\",isa=\""));
    assert_non_null(strstr(r.text, "# TYPE gradd_model_loads_total counter\n"));
    reply_close(&r);
    api_drain(c->api);
    client_exchange(c->api, c->scratch, c->slice_ns, &q, &r);
    assert_true(metric(r.text, "gradd_ready") == 0);
    reply_close(&r);
}

#define ROW(test) cmocka_unit_test_setup_teardown(test, client_setup, client_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ROW(training_in_turn_is_bit_equal),
        ROW(one_larger_than_the_budget_works),
        ROW(an_idempotent_answer_outlives_it),
        ROW(the_least_recently_used_one_goes),
        ROW(looking_is_no_use),
        ROW(what_is_held_stays),
        ROW(held_ones_bound_what_is_loaded),
        ROW(the_daemon_puts_away_too),
        ROW(one_that_is_put_away_can_be_deleted),
        ROW(what_cannot_be_kept_stays),
        ROW(thousands_are_found),
        ROW(memory_is_told),
        ROW(metrics_are_told),
    };
    return cmocka_run_group_tests_name("registry", tests, NULL, NULL);
}
