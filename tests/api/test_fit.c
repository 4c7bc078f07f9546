/* PyTorch's numbers for jobs: every case of tests/data/golden/fit.json, on every instruction set
 * that this machine runs, in slices of a step and in one; their parameters must be the same bits.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/api/variants.h"

struct run {
    struct client *c;
    const cJSON *golden;
    char id[64];
    int64_t job;
};

static const cJSON *part(const struct run *r, const char *key)
{
    return cJSON_GetObjectItemCaseSensitive(r->golden, key);
}

static double tolerance(const struct run *r, const char *group)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(part(r, "tolerance"), group);
    if (!cJSON_IsNumber(item))
        fail_msg("%s: no tolerance for %s", r->id, group);
    return item->valuedouble;
}

static double largest(const double *x, size_t n)
{
    double most = 0;
    for (size_t i = 0; i < n; i++)
        most = fmax(most, fabs(x[i]));
    return most;
}

static void compare(const struct run *r, const char *what, double got, double want, double bound)
{
    if (!(fabs(got - want) <= bound)) /* also for NaN */
        fail_msg("%s (%s): %s: got %.17g, want %.17g, off by %g, allowed %g", r->id,
                 api_isa(r->c->api), what, got, want, fabs(got - want), bound);
}

/* Nested arrays of numbers, each within the tolerance of the largest one. */
static void compare_all(const struct run *r, const char *group, const cJSON *got, const cJSON *want)
{
    size_t is, should;
    double *g = json_flat(got, &is), *w = json_flat(want, &should);
    double bound = tolerance(r, group) * largest(w, should);
    assert_int_equal(is, should);
    for (size_t i = 0; i < is; i++)
        compare(r, group, g[i], w[i], bound);
    free(g);
    free(w);
}

static const char *path_of(const struct run *r, const char *rest)
{
    static char path[128];
    snprintf(path, sizeof path, "/models/%s%s", r->id, rest);
    return path;
}

static void create(struct run *r, const char *suffix)
{
    cJSON *model = cJSON_Duplicate(part(r, "model"), true);
    snprintf(r->id, sizeof r->id, "%s%s",
             cJSON_GetObjectItemCaseSensitive(model, "id")->valuestring, suffix);
    cJSON_ReplaceItemInObjectCaseSensitive(model, "id", cJSON_CreateString(r->id));
    char *text = json_text(model);
    expect(r->c, 201, "POST", "/models", "%s", text);
    free(text);
    cJSON_Delete(model);
    for (const cJSON *b = part(r, "batches")->child; b; b = b->next) {
        text = json_text(b);
        expect(r->c, 201, "POST", path_of(r, "/batches"), "%s", text);
        free(text);
    }
}

static void start(struct run *r)
{
    char *text = json_text(part(r, "fit")), location[64];
    const struct reply *reply = expect(r->c, 202, "POST", path_of(r, "/fit"), "%s", text);
    free(text);
    r->job = (int64_t)number_at(reply, "/job");
    snprintf(location, sizeof location, "/jobs/%lld", (long long)r->job);
    assert_string_equal(reply->location, location);
    assert_string_equal(string_at(reply, "/state"), "queued");
}

static const struct reply *job_of(const struct run *r)
{
    char target[40];
    snprintf(target, sizeof target, "/jobs/%lld", (long long)r->job);
    return expect(r->c, 200, "GET", target, NULL);
}

/* After an epoch: its losses, and the rate of the next one. */
static void check_epoch(const struct run *r, const struct reply *reply, int epoch)
{
    static const char *const group[] = {"epoch_losses", "validation_losses"},
                             *const key[] = {"/loss", "/validation_loss"};
    for (int i = 0; i < 2; i++) {
        size_t count;
        double *want = json_flat(part(r, group[i]), &count);
        if (count)
            compare(r, group[i], number_at(reply, key[i]), want[epoch - 1],
                    tolerance(r, group[i]) * largest(want, count));
        else
            assert_json(reply, key[i], "null");
        free(want);
    }
    double rate = cJSON_GetArrayItem(part(r, "rates"), epoch - 1)->valuedouble;
    compare(r, "rates", number_at(reply, "/lr"), rate, 4e-15 * rate);
}

/* A step a slice: what a client sees on the way. */
static void follow(const struct run *r)
{
    int epochs = cJSON_GetArraySize(part(r, "epoch_losses")), seen = 0;
    r->c->slice_ns = 0;
    while (client_job_slice(r->c)) {
        const struct reply *reply = job_of(r);
        int epoch = (int)number_at(reply, "/epoch");
        assert_true(epoch == seen || epoch == seen + 1);
        if (epoch > seen)
            check_epoch(r, reply, seen = epoch);
        bool over = seen == epochs;
        assert_string_equal(string_at(reply, "/state"), over ? "done" : "running");
    }
    r->c->slice_ns = 1000000000;
    assert_int_equal(seen, epochs);
}

static void check_end(const struct run *r)
{
    int epochs = cJSON_GetArraySize(part(r, "epoch_losses")),
        wanted = (int)cJSON_GetObjectItemCaseSensitive(part(r, "fit"), "epochs")->valuedouble;
    const struct reply *reply = job_of(r);
    assert_string_equal(string_at(reply, "/state"), "done");
    check_epoch(r, reply, epochs);
    assert_json(reply, "/stopped_early", epochs < wanted ? "true" : "false");
    reply = expect(r->c, 200, "GET", path_of(r, "/losses"), NULL);
    compare_all(r, "losses", at(reply, "/loss"), part(r, "losses"));
    reply = expect(r->c, 200, "GET", path_of(r, "/parameters"), NULL);
    for (const cJSON *w = part(r, "parameters")->child; w; w = w->next) {
        const cJSON *tensor = cJSON_GetObjectItemCaseSensitive(at(reply, "/parameters"), w->string);
        compare_all(r, "parameters", cJSON_GetObjectItemCaseSensitive(tensor, "data"), w);
    }
    /* the rate stays in the optimizer, as PyTorch leaves it */
    reply = expect(r->c, 200, "GET", path_of(r, ""), NULL);
    double rate = cJSON_GetArrayItem(part(r, "rates"), epochs - 1)->valuedouble;
    compare(r, "the rate it leaves", number_at(reply, "/optimizer/lr"), rate, 4e-15 * rate);
    assert_string_equal(string_at(reply, "/state"), "ready");
}

static void run_case(struct client *c, const cJSON *golden)
{
    struct run slow = {.c = c, .golden = golden}, fast = slow;
    char a[128], b[128];
    create(&slow, "");
    start(&slow);
    follow(&slow);
    check_end(&slow);
    create(&fast, "-fast");
    start(&fast);
    client_run_jobs(c);
    check_end(&fast);
    snprintf(a, sizeof a, "/models/%s/parameters", slow.id);
    snprintf(b, sizeof b, "/models/%s/parameters", fast.id);
    assert_same_answer(c, a, c, b);
}

static void test_golden(void **state)
{
    const struct variants *v = *state;
    cJSON *cases = json_file("tests/data/golden/fit.json");
    assert_true(cJSON_GetArraySize(cases) >= 7);
    for (const cJSON *golden = cases->child; golden; golden = golden->next) {
        char target[128];
        const cJSON *name = cJSON_GetObjectItemCaseSensitive(golden, "name");
        snprintf(target, sizeof target, "/models/%s/parameters", name->valuestring);
        for (int i = 0; i < v->count; i++)
            run_case(v->client[i], golden);
        for (int i = 1; i < v->count; i++)
            assert_same_answer(v->client[0], target, v->client[i], target);
    }
    cJSON_Delete(cases);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_golden)};
    return cmocka_run_group_tests(tests, variants_setup, variants_teardown);
}
