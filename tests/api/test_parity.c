/* PyTorch's numbers: every training case of tests/data/golden, on every instruction set that this
 * machine runs; their final parameters must be the same bits. tests/data/README.md describes the
 * files. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/api/variants.h"

#define GOLDEN "tests/data/golden/"

/* ---- comparing ----------------------------------------------------------------------------- */

/* A golden case on one client. */
struct run {
    struct client *c;
    const cJSON *golden;
    const char *id;
    bool f32;
};

/* A number of the model's dtype, from its text. */
static double value(const struct run *r, const cJSON *item)
{
    double x;
    if (!json_real_value(item, &x))
        fail_msg("%s: no number where one belongs", r->id);
    return r->f32 ? (double)(float)x : x;
}

static double magnitude(const struct run *r, const cJSON *want)
{
    if (!cJSON_IsArray(want))
        return fabs(value(r, want));
    double largest = 0;
    for (const cJSON *child = want->child; child; child = child->next)
        largest = fmax(largest, magnitude(r, child));
    return largest;
}

/* path: of the tensor and the index so far, "0.weight/3" */
static void compare(const struct run *r, const char *path, const cJSON *got, const cJSON *want,
                    double bound)
{
    char next[128];
    if (cJSON_IsArray(got) != cJSON_IsArray(want) ||
        cJSON_GetArraySize(got) != cJSON_GetArraySize(want))
        fail_msg("%s (%s): %s: another shape", r->id, api_isa(r->c->api), path);
    if (!cJSON_IsArray(want)) {
        double g = value(r, got), w = value(r, want);
        if (!(fabs(g - w) <= bound)) /* also for NaN */
            fail_msg("%s (%s): %s: got %.17g, want %.17g, off by %g, allowed %g", r->id,
                     api_isa(r->c->api), path, g, w, fabs(g - w), bound);
        return;
    }
    int i = 0;
    for (const cJSON *g = got->child, *w = want->child; w; g = g->next, w = w->next) {
        snprintf(next, sizeof next, "%s/%d", path, i++);
        compare(r, next, g, w, bound);
    }
}

static double tolerance(const struct run *r, const char *group)
{
    const cJSON *t = cJSON_GetObjectItemCaseSensitive(r->golden, "tolerance");
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(t, group);
    if (!cJSON_IsNumber(item))
        fail_msg("%s: no tolerance for %s", r->id, group);
    return item->valuedouble;
}

static void check(const struct run *r, const char *what, const char *group, const cJSON *got,
                  const cJSON *want)
{
    compare(r, what, got, want, tolerance(r, group) * magnitude(r, want));
}

/* Every named tensor of want in the answer's object at `under`; null means null. */
static void check_named(const struct run *r, const char *group, const struct reply *got,
                        const char *under, const cJSON *want)
{
    assert_int_equal(cJSON_GetArraySize(at(got, under)), cJSON_GetArraySize(want));
    for (const cJSON *w = want->child; w; w = w->next) {
        const cJSON *tensor = cJSON_GetObjectItemCaseSensitive(at(got, under), w->string);
        const cJSON *data = cJSON_GetObjectItemCaseSensitive(tensor, "data");
        if (cJSON_IsNull(w) ? !cJSON_IsNull(tensor) : !data)
            fail_msg("%s: %s of %s: one is null", r->id, group, w->string);
        if (!cJSON_IsNull(w))
            check(r, w->string, group, data, w);
    }
}

/* ---- the steps of a case ------------------------------------------------------------------- */

static const char *path_of(const struct run *r, const char *rest)
{
    static char path[128];
    snprintf(path, sizeof path, "/models/%s%s", r->id, rest);
    return path;
}

static const cJSON *part(const struct run *r, const char *key)
{
    return cJSON_GetObjectItemCaseSensitive(r->golden, key);
}

/* Sends a value of the golden file as it stands. rest NULL: to /models. */
static const struct reply *send(const struct run *r, int status, const char *method,
                                const char *rest, const cJSON *item)
{
    char *text = json_text(item);
    const char *target = rest ? path_of(r, rest) : "/models";
    const struct reply *reply = expect(r->c, status, method, target, "%s", text);
    free(text);
    return reply;
}

/* A body with the inputs of a batch, with its targets or without. */
static cJSON *batch_body(const cJSON *batch, bool targets)
{
    cJSON *body = cJSON_Duplicate(batch, true);
    if (!targets)
        cJSON_DeleteItemFromObjectCaseSensitive(body, "targets");
    return body;
}

/* put_parameters: {"0.weight": {"data": …}}; those not named stay, so one PUT for each. */
static void put_parameters(const struct run *r)
{
    const cJSON *named = part(r, "put_parameters");
    for (const cJSON *p = named ? named->child : NULL; p; p = p->next) {
        char rest[64], *text = json_text(p);
        snprintf(rest, sizeof rest, "/parameters/%s", p->string);
        expect(r->c, 200, "PUT", path_of(r, rest), "{\"parameters\":{\"%s\":{\"data\":%s}}}",
               p->string, text);
        free(text);
    }
}

static void freeze(const struct run *r)
{
    for (const cJSON *name = part(r, "freeze") ? part(r, "freeze")->child : NULL; name;
         name = name->next)
        expect(r->c, 200, "PATCH", path_of(r, ""), "{\"requires_grad\":{\"%s\":false}}",
               name->valuestring);
}

static void create(struct run *r)
{
    const cJSON *model = part(r, "model");
    r->id = cJSON_GetObjectItemCaseSensitive(model, "id")->valuestring;
    r->f32 = !strcmp(cJSON_GetObjectItemCaseSensitive(model, "dtype")->valuestring, "float32");
    send(r, 201, "POST", NULL, model);
}

static void push_batches(const struct run *r)
{
    for (const cJSON *b = part(r, "batches")->child; b; b = b->next)
        send(r, 201, "POST", "/batches", b);
}

/* The first batch, before any step: forward, loss and all gradients. */
static void check_start(const struct run *r)
{
    const cJSON *first = part(r, "batches")->child, *want_dx = part(r, "input_gradients");
    cJSON *body = batch_body(first, true);
    const struct reply *reply = send(r, 200, "POST", "/forward", body);
    check(r, "forward", "forward", at(reply, "/outputs"), part(r, "forward"));
    check(r, "loss", "loss", at(reply, "/loss"), part(r, "loss0"));
    cJSON_AddBoolToObject(body, "input_gradients", want_dx != NULL);
    reply = send(r, 200, "POST", "/backward", body);
    check(r, "loss0", "loss", at(reply, "/loss"), part(r, "loss0"));
    struct run in_double = *r; /* grad_norm0 is a double whatever the dtype */
    in_double.f32 = false;
    check(&in_double, "grad_norm0", "gradients", at(reply, "/grad_norm"), part(r, "grad_norm0"));
    if (want_dx)
        check(r, "input_gradients", "gradients", at(reply, "/input_gradients"), want_dx);
    cJSON_Delete(body);
    reply = expect(r->c, 200, "GET", path_of(r, "/gradients"), NULL);
    check_named(r, "gradients", reply, "/gradients", part(r, "gradients"));
    expect(r->c, 200, "POST", path_of(r, "/zero_grad"), NULL);
}

/* The first step alone, the others in one request. */
static void check_steps(const struct run *r)
{
    const cJSON *want = part(r, "losses");
    int steps = (int)part(r, "steps")->valuedouble;
    double bound = tolerance(r, "loss") * magnitude(r, want);
    assert_int_equal(cJSON_GetArraySize(want), steps);
    const struct reply *reply = expect(r->c, 200, "POST", path_of(r, "/step"), NULL);
    compare(r, "losses/0", at(reply, "/loss"), want->child, bound);
    if (steps > 1) {
        reply = expect(r->c, 200, "POST", path_of(r, "/step"), "{\"steps\":%d}", steps - 1);
        cJSON *rest = cJSON_Duplicate(want, true);
        cJSON_DeleteItemFromArray(rest, 0);
        compare(r, "losses of the rest", at(reply, "/losses"), rest, bound);
        cJSON_Delete(rest);
    }
    assert_int_equal(number_at(reply, "/step"), steps);
    reply = expect(r->c, 200, "GET", path_of(r, "/losses"), NULL);
    compare(r, "history", at(reply, "/loss"), want, bound);
}

static void run_case(struct client *c, const cJSON *golden)
{
    struct run r = {.c = c, .golden = golden};
    create(&r);
    const struct reply *reply = expect(c, 200, "GET", path_of(&r, "/parameters"), NULL);
    check_named(&r, "initial", reply, "/parameters", part(&r, "initial"));
    put_parameters(&r);
    freeze(&r);
    push_batches(&r);
    check_start(&r);
    check_steps(&r);
    reply = expect(c, 200, "GET", path_of(&r, "/parameters"), NULL);
    check_named(&r, "parameters", reply, "/parameters", part(&r, "parameters"));
}

static void assert_same_bits(const struct variants *v, const char *id)
{
    char target[128];
    snprintf(target, sizeof target, "/models/%s/parameters", id);
    for (int i = 1; i < v->count; i++)
        assert_same_answer(v->client[0], target, v->client[i], target);
}

static void run_file(void **state, const char *path)
{
    const struct variants *v = *state;
    cJSON *cases = json_file(path);
    assert_true(cJSON_GetArraySize(cases) > 0);
    for (const cJSON *golden = cases->child; golden; golden = golden->next) {
        const cJSON *model = cJSON_GetObjectItemCaseSensitive(golden, "model");
        for (int i = 0; i < v->count; i++)
            run_case(v->client[i], golden);
        assert_same_bits(v, cJSON_GetObjectItemCaseSensitive(model, "id")->valuestring);
    }
    cJSON_Delete(cases);
}

static void test_layers(void **state)
{
    run_file(state, GOLDEN "layers.json");
}

static void test_shapes(void **state)
{
    run_file(state, GOLDEN "shapes.json");
}

static void test_losses(void **state)
{
    run_file(state, GOLDEN "losses.json");
}

static void test_optimizers(void **state)
{
    run_file(state, GOLDEN "optimizers.json");
}

static void test_training(void **state)
{
    run_file(state, GOLDEN "training.json");
}

/* ---- a learning rate that is too large ----------------------------------------------------- */

static void check_losses(const struct run *r, int64_t applied)
{
    const struct reply *reply = expect(r->c, 200, "GET", path_of(r, "/losses"), NULL);
    const cJSON *got = at(reply, "/loss")->child;
    int n = 0;
    for (const cJSON *w = part(r, "losses")->child; w; w = w->next, got = got->next, n++) {
        char what[32];
        snprintf(what, sizeof what, "losses/%d", n);
        compare(r, what, got, w, tolerance(r, "losses") * fabs(w->valuedouble));
    }
    assert_int_equal(number_at(reply, "/last_step"), applied);
}

/* The same steps on a model that is stopped one step before. */
static void check_twin(const struct run *r, int64_t applied)
{
    struct run twin = *r;
    cJSON *golden = cJSON_Duplicate(r->golden, true);
    cJSON *model = cJSON_GetObjectItemCaseSensitive(golden, "model");
    cJSON_ReplaceItemInObjectCaseSensitive(model, "id", cJSON_CreateString("twin"));
    twin.golden = golden;
    create(&twin);
    put_parameters(&twin);
    push_batches(&twin);
    expect(twin.c, 200, "POST", path_of(&twin, "/step"), "{\"steps\":%d}", (int)applied);
    cJSON_Delete(golden);
    assert_same_answer(r->c, "/models/divergence/parameters", twin.c, "/models/twin/parameters");
}

static void diverge(struct client *c, const cJSON *golden)
{
    struct run r = {.c = c, .golden = golden};
    create(&r);
    put_parameters(&r);
    push_batches(&r);
    const struct reply *reply =
        expect(c, 422, "POST", path_of(&r, "/step"), "%s", "{\"steps\":100}");
    int64_t applied = (int64_t)number_at(reply, "/step");
    double rate = number_at(reply, "/max_stable_lr"), want = part(&r, "max_stable_lr")->valuedouble;
    assert_problem(reply, 422, "diverged", "");
    assert_int_equal(number_at(reply, "/steps_done"), applied);
    assert_true(number_at(reply, "/lr") == 0.0005);
    assert_string_equal(string_at(reply, "/reduction"), "mean");
    assert_true((double)applied >= part(&r, "applied_steps")->valuedouble);
    assert_true((double)applied <= part(&r, "applied_steps_wide_mean")->valuedouble);
    if (!(fabs(rate - want) <= tolerance(&r, "max_stable_lr") * want))
        fail_msg("max_stable_lr: got %.17g, want %.17g", rate, want);
    check_losses(&r, applied);
    reply = expect(c, 200, "GET", path_of(&r, ""), NULL);
    assert_string_equal(string_at(reply, "/state"), "diverged");
    assert_int_equal(number_at(reply, "/step"), applied);
    reply = expect(c, 200, "GET", path_of(&r, "/parameters"), NULL);
    assert_true(isfinite(number_at(reply, "/parameters/0.weight/data/0/0")));
    assert_true(isfinite(number_at(reply, "/parameters/0.bias/data/0")));
    check_twin(&r, applied);
    /* With the suggested rate it does not diverge again. */
    put_parameters(&r);
    expect(c, 200, "PATCH", path_of(&r, ""), "{\"optimizer\":{\"lr\":%.17g}}", 0.9 * rate);
    reply = expect(c, 200, "POST", path_of(&r, "/step"), "%s", "{\"steps\":300}");
    assert_true(number_at(reply, "/loss") < 10);
    reply = expect(c, 200, "GET", path_of(&r, ""), NULL);
    assert_string_equal(string_at(reply, "/state"), "ready");
}

static void test_divergence(void **state)
{
    const struct variants *v = *state;
    cJSON *cases = json_file(GOLDEN "divergence.json");
    for (int i = 0; i < v->count; i++)
        diverge(v->client[i], cases->child);
    assert_same_bits(v, "divergence");
    assert_same_bits(v, "twin");
    cJSON_Delete(cases);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_layers),   cmocka_unit_test(test_shapes),
        cmocka_unit_test(test_losses),   cmocka_unit_test(test_optimizers),
        cmocka_unit_test(test_training), cmocka_unit_test(test_divergence),
    };
    return cmocka_run_group_tests(tests, variants_setup, variants_teardown);
}
