/* tests/api/saga_draw.c - draws a saga, and plays it undisturbed. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/state.h"
#include "tests/api/saga.h"

/* What the draws know of a model. */
struct drawn {
    bool exists;
    int shape;
    int64_t batches, checkpoints; /* made so far */
    int64_t step;
    bool shortened; /* its journal may have been, or will be if a checkpoint is made once more */
};

struct maker {
    struct saga *saga;
    struct client *client; /* of the undisturbed run */
    uint64_t dice;
    struct drawn model[SAGA_MODELS];
};

/* From 0 to sides - 1. */
static int roll(struct maker *k, int sides)
{
    k->dice += 0x9e3779b97f4a7c15u; /* splitmix64 */
    uint64_t z = (k->dice ^ k->dice >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return (int)((z ^ z >> 31) % (uint64_t)sides);
}

/* ---- the undisturbed run ------------------------------------------------------------------- */

/* The moment that has come: models that did not change share their text with the one before. */
static void note_moment(struct maker *k)
{
    struct saga *s = k->saga;
    s->moment = realloc(s->moment, (s->moments + 1) * sizeof *s->moment);
    assert_non_null(s->moment);
    for (int m = 0; m < SAGA_MODELS; m++) {
        char *is = saga_look(k->client, s->id[m]);
        char *was = s->moments ? s->moment[s->moments - 1][m] : NULL;
        bool same = was && !strcmp(is, was);
        s->moment[s->moments][m] = same ? was : is;
        if (same)
            free(is);
    }
    s->moments++;
}

/* Slice by slice, with a moment after each. */
static struct reply play_in_slices(struct maker *k, const struct act *a)
{
    char *body;
    size_t bytes;
    FILE *out = open_memstream(&body, &bytes);
    fprintf(out, "{\"steps\":%lld%s", (long long)a->steps, a->body);
    fclose(out);
    struct call *call = client_start(k->client, a->method, a->target, body);
    while (!client_slice(k->client, call))
        note_moment(k);
    const struct reply *r = client_finish(k->client, call);
    free(body);
    return (struct reply){.status = r->status, .text = strdup(r->text)};
}

static int64_t step_of(const char *look)
{
    const char *at = strstr(look, "\"step\":");
    return at ? strtoll(at + strlen("\"step\":"), NULL, 10) : 0;
}

static bool is_power(const char *look)
{
    return strstr(look, "\"durability\":\"power\"") != NULL;
}

/* A refusal keeps nothing, and so waits for no sync. */
static void learn(struct maker *k, struct act *a)
{
    struct saga *s = k->saga;
    if (a->model < 0)
        return;
    const char *was = s->moment[a->begin][a->model], *now = s->moment[a->end][a->model];
    const char *last = !strncmp(now, "200", 3) ? now : was;
    k->model[a->model].exists = last == now;
    k->model[a->model].step = step_of(now);
    a->synced = is_power(last) && (a->status < 400 || was != now);
}

static struct act *add(struct maker *k, struct act act)
{
    struct saga *s = k->saga;
    struct reply r;
    s->act = realloc(s->act, (s->acts + 1) * sizeof *s->act);
    assert_non_null(s->act);
    struct act *a = &s->act[s->acts++];
    *a = act;
    a->begin = s->moments - 1;
    if (a->steps)
        r = play_in_slices(k, a);
    else
        saga_play(s, s->acts - 1, k->client, 0, &r);
    note_moment(k);
    a->end = s->moments - 1;
    a->status = r.status;
    a->answer = strdup(r.text ? r.text : "");
    reply_close(&r);
    learn(k, a);
    return a;
}

/* body is owned. */
static struct act *call(struct maker *k, int m, const char *method, const char *rest, char *body)
{
    struct act a = {.model = m, .method = method, .body = body};
    snprintf(a.target, sizeof a.target, "/models/%s%s", k->saga->id[m], rest);
    return add(k, a);
}

/* ---- bodies -------------------------------------------------------------------------------- */

/* Features of the models' inputs and outputs. 0: a list of numbers, for the expression. */
static const struct {
    int in, out;
} shapes[] = {{2, 1}, {64, 64}, {0, 0}};

static void put_rows(struct maker *k, FILE *out, int rows, int features)
{
    fputc('[', out);
    for (int row = 0; row < rows; row++) {
        fputs(row ? "," : "", out);
        fputs(features ? "[" : "", out);
        for (int i = 0; i < (features ? features : 1); i++)
            fprintf(out, "%s%g", i ? "," : "", (roll(k, 33) - 16) / 8.0);
        fputs(features ? "]" : "", out);
    }
    fputc(']', out);
}

/* `"inputs":…,"targets":…}`, behind `before`. */
static char *data(struct maker *k, int m, int rows, const char *before)
{
    char *text;
    size_t bytes;
    int shape = k->model[m].shape;
    FILE *out = open_memstream(&text, &bytes);
    fprintf(out, "%s\"inputs\":", before);
    put_rows(k, out, rows, shapes[shape].in);
    fputs(",\"targets\":", out);
    put_rows(k, out, rows, shapes[shape].out);
    fputc('}', out);
    fclose(out);
    return text;
}

/* ---- acts ---------------------------------------------------------------------------------- */

static void step(struct maker *k, int m)
{
    call(k, m, "POST", "/step", roll(k, 2) ? NULL : data(k, m, 1 + roll(k, 4), "{"));
}

static void step_with_batch(struct maker *k, int m)
{
    char body[40];
    snprintf(body, sizeof body, "{\"batch\":%lld}",
             (long long)(1 + roll(k, (int)k->model[m].batches + 1)));
    call(k, m, "POST", "/step", strdup(body));
}

/* Data of over 64 KiB, which stands in chunks or makes a checkpoint the cheaper way. */
static void step_with_much(struct maker *k, int m)
{
    int row = 4 * (shapes[k->model[m].shape].in + shapes[k->model[m].shape].out);
    call(k, m, "POST", "/step", data(k, m, 70000 / (row ? row : 16), "{"));
}

static void steps(struct maker *k, int m)
{
    struct act a = {.model = m, .method = "POST", .steps = 2 + roll(k, 4)};
    a.body = roll(k, 2) ? strdup("}") : data(k, m, 3, ",");
    snprintf(a.target, sizeof a.target, "/models/%s/step", k->saga->id[m]);
    add(k, a);
}

/* One that is not applied, and leaves no gradients. */
static void diverge(struct maker *k, int m)
{
    static const char *const huge[] = {"{\"inputs\":[[1,1]],\"targets\":[[3e38]]}", "{}",
                                       "{\"inputs\":[1],\"targets\":[1e308]}"};
    call(k, m, "POST", roll(k, 2) ? "/step" : "/backward", strdup(huge[k->model[m].shape]));
}

static void backward(struct maker *k, int m)
{
    call(k, m, "POST", "/backward", roll(k, 2) ? NULL : data(k, m, 2, "{"));
}

static void backward_and_apply(struct maker *k, int m)
{
    for (int i = roll(k, 2); i >= 0; i--)
        backward(k, m);
    call(k, m, "POST", "/optimizer/step", NULL);
}

static void zero_grad(struct maker *k, int m)
{
    call(k, m, "POST", "/zero_grad", NULL);
}

static void patch(struct maker *k, int m)
{
    static const char *const bodies[] = {
        "{\"optimizer\":{\"lr\":0.01}}",
        "{\"optimizer\":{\"momentum\":0.5,\"weight_decay\":0.1}}",
        "{\"optimizer\":{\"momentum\":0.9,\"nesterov\":true}}",
        "{\"on_divergence\":\"continue\"}",
        "{\"requires_grad\":{\"0.bias\":false}}",
        "{\"requires_grad\":null}",
        "{\"durability\":\"power\"}",
        "{\"durability\":\"process\"}",
    };
    int known = m == SAGA_LOOSE ? 6 : 8; /* it stays what it is */
    call(k, m, "PATCH", "", strdup(bodies[roll(k, known)]));
}

/* A model that has no journal for a while. */
static void pause_journal(struct maker *k, int m)
{
    if (m == SAGA_LOOSE)
        return;
    call(k, m, "PATCH", "", strdup("{\"durability\":\"none\"}"));
    call(k, m, "PATCH", "", strdup("{\"durability\":\"process\"}"));
}

static void put(struct maker *k, int m)
{
    static const struct {
        const char *name;
        int values;
    } parameter[] = {{"0.bias", 3}, {"0.bias", 64}, {"w", 1}};
    int shape = k->model[m].shape;
    char *text, rest[40];
    size_t bytes;
    FILE *out = open_memstream(&text, &bytes);
    fprintf(out, "{\"parameters\":{\"%s\":{\"data\":[", parameter[shape].name);
    for (int i = 0; i < parameter[shape].values; i++)
        fprintf(out, "%s%g", i ? "," : "", (roll(k, 9) - 4) / 4.0);
    fputs("]}}}", out);
    fclose(out);
    snprintf(rest, sizeof rest, "/parameters/%s", parameter[shape].name);
    call(k, m, "PUT", rest, text);
}

/* A step shows that it was there: a batch that comes and goes leaves nothing but the next number.
 */
static void push_rows(struct maker *k, int m, int rows)
{
    char body[40];
    if (call(k, m, "POST", "/batches", data(k, m, rows, "{"))->status != 201)
        return;
    snprintf(body, sizeof body, "{\"batch\":%lld}", (long long)++k->model[m].batches);
    call(k, m, "POST", "/step", strdup(body));
}

static void push(struct maker *k, int m)
{
    push_rows(k, m, 3);
}

static void delete_batch(struct maker *k, int m)
{
    char rest[40];
    snprintf(rest, sizeof rest, "/batches/%lld",
             (long long)(1 + roll(k, (int)k->model[m].batches + 1)));
    call(k, m, "DELETE", rest, NULL);
}

static void checkpoint(struct maker *k, int m)
{
    char *body = roll(k, 2) ? strdup("{\"label\":\"good\"}") : NULL;
    k->model[m].checkpoints += call(k, m, "POST", "/checkpoints", body)->status == 201;
}

static void one_of_the_checkpoints(struct maker *k, int m, const char *method, const char *end)
{
    char rest[60];
    int n = 1 + (k->model[m].checkpoints ? roll(k, (int)k->model[m].checkpoints) : 0);
    snprintf(rest, sizeof rest, "/checkpoints/%d%s", n, end);
    call(k, m, method, rest, NULL);
}

static void restore(struct maker *k, int m)
{
    one_of_the_checkpoints(k, m, "POST", "/restore");
}

static void delete_checkpoint(struct maker *k, int m)
{
    one_of_the_checkpoints(k, m, "DELETE", "");
}

/* How far back it can go depends on its checkpoints, of which a crash may leave more or less. */
static void restore_step(struct maker *k, int m)
{
    char body[40];
    if (k->model[m].shortened)
        return;
    snprintf(body, sizeof body, "{\"step\":%d}", roll(k, (int)k->model[m].step + 1));
    call(k, m, "POST", "/restore", strdup(body));
}

static void fork_model(struct maker *k, int m)
{
    int to = SAGA_LOOSE + 1 + roll(k, SAGA_MODELS - SAGA_LOOSE - 1);
    char body[80], at[40] = "";
    if (m == SAGA_LOOSE || m == to)
        return;
    bool had = k->model[to].exists; /* which of two errors is told depends on what is resident */
    if (!had && !k->model[m].shortened && roll(k, 2))
        snprintf(at, sizeof at, ",\"step\":%d", roll(k, (int)k->model[m].step + 1));
    snprintf(body, sizeof body, "{\"id\":\"%s\"%s}", k->saga->id[to], at);
    struct act *a = call(k, m, "POST", "/fork", strdup(body));
    if (had || a->status != 201)
        return;
    k->model[to] = k->model[m];
    k->model[to].checkpoints = 0;
    k->model[to].shortened = false;
    const char *now = k->saga->moment[k->saga->moments - 1][to];
    k->model[to].step = step_of(now);
    a->synced = is_power(now); /* of the new model, which may be as the other one was once */
}

static void delete_fork(struct maker *k, int m)
{
    if (m > SAGA_LOOSE)
        call(k, m, "DELETE", "", NULL);
}

static void slice(struct maker *k, int m)
{
    struct model_jobs *const *at = k->client->api->jobs.model;
    (void)m;
    for (int i = 0; i < JOBS_BUCKETS; i++) /* the one that it is of */
        for (int j = 0; at[i] && j < SAGA_MODELS; j++)
            if (!strcmp(at[i]->id, k->saga->id[j])) {
                add(k, (struct act){.kind = ACT_SLICE, .model = j, .method = "slice"});
                return;
            }
}

/* A job, which is done to some part, or to the end, before something else happens. */
static void fit(struct maker *k, int m)
{
    static const char *const schedule[] = {"null", "{\"type\":\"step_lr\",\"step_size\":1}"};
    char body[200];
    if (m == SAGA_LOOSE || jobs_stats(&k->client->api->jobs).queued ||
        jobs_stats(&k->client->api->jobs).running)
        return;
    snprintf(body, sizeof body,
             "{\"epochs\":%d,\"batch_size\":%d,\"shuffle\":true,\"seed\":%d,"
             "\"validation_split\":%s,\"lr_schedule\":%s}",
             1 + roll(k, 3), 2 + roll(k, 3), roll(k, 9), roll(k, 2) ? "0.3" : "0",
             schedule[roll(k, 2)]);
    call(k, m, "POST", "/fit", strdup(body));
    for (int i = roll(k, 9); i > 0; i--)
        slice(k, m);
}

static void due(struct maker *k, int m)
{
    (void)m;
    add(k, (struct act){.kind = ACT_DUE, .model = -1, .method = "due"});
}

static void reopen(struct maker *k, int m)
{
    (void)m;
    add(k, (struct act){.kind = ACT_REOPEN, .model = -1, .method = "reopen"});
    for (int i = 0; i < SAGA_MODELS; i++)
        k->model[i].shortened = true;
}

/* What deleted batches leave in the file makes the journal so long that a checkpoint is due, which
 * lets go what was before. */
static void fill_journal(struct maker *k, int m)
{
    int row = 4 * (shapes[k->model[m].shape].in + shapes[k->model[m].shape].out);
    k->model[m].shortened = true;
    for (int i = 0; i < 4; i++) {
        char rest[40];
        push_rows(k, m, 330000 / (row ? row : 16));
        snprintf(rest, sizeof rest, "/batches/%lld", (long long)k->model[m].batches);
        call(k, m, "DELETE", rest, NULL);
    }
    due(k, m);
}

static const struct {
    int weight;
    void (*draw)(struct maker *k, int m);
} acts[] = {
    {12, step},
    {4, step_with_batch},
    {6, steps},
    {2, diverge},
    {4, backward},
    {5, backward_and_apply},
    {3, zero_grad},
    {6, patch},
    {4, put},
    {5, push},
    {3, delete_batch},
    {5, checkpoint},
    {4, restore},
    {2, delete_checkpoint},
    {4, restore_step},
    {5, fork_model},
    {2, delete_fork},
    {2, due},
    {1, step_with_much},
    {1, pause_journal},
    {5, fit},
    {8, slice},
};

/* ---- the whole ----------------------------------------------------------------------------- */

#define NET(sizes)      "\"loss\":\"mse\",\"layers\":[" sizes "]"
#define LINEAR(in, out) "{\"type\":\"linear\",\"in_features\":" #in ",\"out_features\":" #out "}"
#define SMALL           NET(LINEAR(2, 3) ",{\"type\":\"tanh\"}," LINEAR(3, 1))

static const char *const bodies[] = {
    "{\"id\":\"safe\"," SMALL ",\"durability\":\"power\",\"optimizer\":{\"type\":\"sgd\","
    "\"lr\":0.05,\"momentum\":0.9}}",
    "{\"id\":\"plain\"," SMALL ",\"optimizer\":{\"type\":\"sgd\",\"lr\":0.1}}",
    "{\"id\":\"wide\"," NET(LINEAR(64, 64)) ",\"optimizer\":{\"type\":\"sgd\",\"lr\":0.01,"
                                            "\"momentum\":0.5}}",
    "{\"id\":\"program\",\"parameters\":{\"w\":{\"data\":[1]}},\"forward\":\"h = torch.exp(w)\\nh "
    "* x\",\"loss\":\"mse\",\"dtype\":\"float64\",\"optimizer\":{\"type\":\"sgd\",\"lr\":0.01}}",
    "{\"id\":\"loose\"," SMALL ",\"durability\":\"none\",\"optimizer\":{\"type\":\"sgd\","
    "\"lr\":0.05,\"momentum\":0.9}}",
};

static void create(struct maker *k, int m)
{
    static const int shape[] = {0, 0, 1, 2, 0};
    k->model[m].shape = shape[m];
    struct act a = {.model = m, .method = "POST", .target = "/models", .body = strdup(bodies[m])};
    struct act *made = add(k, a);
    if (made->status != 201)
        fail_msg("%s: %s", bodies[m], made->answer);
    push(k, m);
}

static void draw_one(struct maker *k)
{
    static const int often[] = {0, 0, 0, 1, 1, 1, 2, 3, 4, 5, 6, 7};
    int m = often[roll(k, sizeof often / sizeof *often)], sum = 0;
    for (size_t i = 0; i < sizeof acts / sizeof *acts; i++)
        sum += acts[i].weight;
    int at = roll(k, sum);
    size_t i = 0;
    for (; at >= acts[i].weight; i++)
        at -= acts[i].weight;
    if (k->model[m].exists)
        acts[i].draw(k, m);
}

struct saga *saga_new(uint64_t seed, int draws)
{
    static const char *const id[SAGA_MODELS] = {"safe",  "plain",  "wide",   "program",
                                                "loose", "fork-1", "fork-2", "fork-3"};
    struct maker k = {.dice = seed * 2654435761u, .client = client_new("auto")};
    k.saga = calloc(1, sizeof *k.saga);
    assert_non_null(k.saga);
    k.saga->seed = seed;
    memcpy(k.saga->id, id, sizeof id);
    k.client->slice_ns = 0;
    client_close(k.client);
    k.client->config.checkpoint_seconds = 0;
    client_open(k.client);
    note_moment(&k);
    for (int m = 0; m <= SAGA_LOOSE; m++)
        create(&k, m);
    for (int i = 0; i < draws; i++) {
        draw_one(&k);
        if (i == draws / 2 && seed % 2)
            reopen(&k, -1);
        if (i == draws / 3 && seed % 4 == 0)
            fill_journal(&k, roll(&k, 2));
    }
    client_free(k.client);
    return k.saga;
}

void saga_free(struct saga *s)
{
    if (!s)
        return;
    for (size_t i = 0; i < s->moments; i++)
        for (int m = 0; m < SAGA_MODELS; m++)
            if (i + 1 == s->moments || s->moment[i][m] != s->moment[i + 1][m])
                free(s->moment[i][m]);
    for (size_t i = 0; i < s->acts; i++) {
        free(s->act[i].body);
        free(s->act[i].answer);
    }
    free(s->moment);
    free(s->act);
    free(s);
}
