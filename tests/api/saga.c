#include "tests/api/saga.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/state.h"

/* ---- what a model looks like --------------------------------------------------------------- */

/* What follows each of these is left out. */
static void cut_after(char *text, const char *key)
{
    for (char *at = text; (at = strstr(at, key)) != NULL;) {
        at += strlen(key);
        memmove(at, at + strcspn(at, ",}"), strlen(at + strcspn(at, ",}")) + 1);
    }
}

/* Times differ from run to run, as do the numbers of jobs after a failure, and whether one has had
 * a slice in this run; and a call in slices shows. */
static void blur(char *text)
{
    static const char training[] = "\"state\":\"training\"", ready[] = "\"state\":\"ready\"";
    for (char *at = text; (at = strstr(at, "_at\":\"")) != NULL;)
        for (at += strlen("_at\":\""); *at && *at != '"'; at++)
            *at = '-';
    cut_after(text, "\"job\":");
    cut_after(text, "\"rows_per_second\":");
    cut_after(text, "\"eta_seconds\":");
    for (char *at = text; (at = strstr(at, "\"queued\"")) != NULL;) {
        memmove(at + strlen("\"running\""), at + strlen("\"queued\""),
                strlen(at + strlen("\"queued\"")) + 1);
        memcpy(at, "\"running\"", strlen("\"running\""));
    }
    char *at = strstr(text, training);
    if (!at)
        return;
    memcpy(at, ready, sizeof ready - 1);
    memmove(at + sizeof ready - 1, at + sizeof training - 1, strlen(at + sizeof training - 1) + 1);
}

/* A word that gets longer needs room for it. */
static void blur_reply(struct reply *r)
{
    if (!r->text)
        return;
    size_t bytes = strlen(r->text), jobs = 0;
    for (const char *at = r->text; (at = strstr(at, "\"queued\"")) != NULL; at++)
        jobs++;
    r->text = realloc(r->text, bytes + 1 + jobs);
    assert_non_null(r->text);
    blur(r->text);
}

/* Adds a line for one request; returns its status. */
static int show(struct client *c, FILE *out, const struct request *q)
{
    struct reply r;
    client_exchange(c->api, c->scratch, 0, q, &r);
    blur_reply(&r);
    fprintf(out, "%d %s\n", r.status, r.text ? r.text : "");
    int status = r.status;
    reply_close(&r);
    return status;
}

static int show_at(struct client *c, FILE *out, const char *id, const char *rest)
{
    char target[120];
    snprintf(target, sizeof target, "/models/%.40s%.60s", id, rest);
    return show(c, out, &(struct request){.method = "GET", .target = target});
}

/* Every batch that the list has. */
static void show_batches(struct client *c, FILE *out, const char *id)
{
    char target[120];
    struct reply r;
    show_at(c, out, id, "/batches?limit=100");
    snprintf(target, sizeof target, "/models/%s/batches?limit=100", id);
    struct request q = {.method = "GET", .target = target};
    client_exchange(c->api, c->scratch, 0, &q, &r);
    for (const char *at = r.text; at && (at = strstr(at, "\"batch\":")) != NULL;) {
        at += strlen("\"batch\":");
        snprintf(target, sizeof target, "/batches/%ld", strtol(at, NULL, 10));
        show_at(c, out, id, target);
    }
    reply_close(&r);
}

/* A forward of what all the models but "wide" and "program" take; others answer 422, always. */
static void show_forward(struct client *c, FILE *out, const char *id)
{
    char target[120];
    snprintf(target, sizeof target, "/models/%s/forward", id);
    show(c, out,
         &(struct request){
             .method = "POST", .target = target, .body = "{\"inputs\":[[0.5,-1],[2,0.25]]}"});
}

static void show_jobs(struct client *c, FILE *out, const char *id)
{
    char target[120];
    snprintf(target, sizeof target, "/jobs?limit=100&model=%s", id);
    show(c, out, &(struct request){.method = "GET", .target = target});
}

char *saga_look(struct client *c, const char *id)
{
    static const char *const shown[] = {"/parameters", "/gradients", "/losses?limit=10000",
                                        "/checkpoints?limit=100"};
    char *text;
    size_t bytes;
    FILE *out = open_memstream(&text, &bytes);
    assert_non_null(out);
    if (show_at(c, out, id, "") == 200) {
        for (size_t i = 0; i < sizeof shown / sizeof *shown; i++)
            show_at(c, out, id, shown[i]);
        show_batches(c, out, id);
        show_jobs(c, out, id);
        show_forward(c, out, id);
    }
    fclose(out);
    return text;
}

/* ---- playing ------------------------------------------------------------------------------- */

/* Until all are written that are due; one whose writing fails stays due. */
static void play_due(struct client *c, struct reply *out)
{
    struct call *due;
    for (int i = 0; i < SAGA_MODELS && (due = api_due(c->api)) != NULL; i++) {
        while (!client_work(due, c->scratch, 0))
            continue;
        call_free(due);
    }
    /* the store answers in order: what was begun has ended */
    client_exchange(c->api, c->scratch, 0,
                    &(struct request){.method = "GET", .target = "/models?limit=1"}, out);
    int status = out->status == 200 ? 204 : out->status;
    reply_close(out);
    out->status = status;
}

/* One that failed before rests no longer. */
static void play_slice(struct client *c, struct reply *out)
{
    jobs_wake(&c->api->jobs);
    struct call *due = api_job_due(c->api);
    *out = (struct reply){.status = due ? 0 : 503, .text = strdup("")};
    if (!due)
        return;
    while (!client_work(due, c->scratch, 0))
        continue;
    out->status = call_answer(due)->status;
    call_free(due);
}

static void play_reopen(struct client *c, struct reply *out)
{
    struct err close_err = {.kind = ERR_OK}, open_err = {.kind = ERR_OK};
    enum err_kind rc = client_try_close(c, &close_err), opened = client_try_open(c, &open_err);
    rc = rc ? rc : opened;
    *out = (struct reply){.status = !rc ? 204 : rc == ERR_FULL ? 507 : 503};
    out->text = strdup(!rc ? "" : opened ? open_err.message : close_err.message);
}

static char *body_of(const struct act *a, int64_t steps)
{
    char *text = NULL;
    size_t bytes;
    if (a->steps == 0)
        return a->body ? strdup(a->body) : NULL;
    FILE *out = open_memstream(&text, &bytes);
    fprintf(out, "{\"steps\":%lld%s", (long long)steps, a->body);
    fclose(out);
    return text;
}

void saga_play(const struct saga *s, size_t i, struct client *c, int64_t left, struct reply *out)
{
    const struct act *a = &s->act[i];
    char key[64];
    if (a->kind == ACT_REOPEN) {
        play_reopen(c, out);
        return;
    }
    if (a->kind == ACT_SLICE) {
        play_slice(c, out);
        return;
    }
    if (a->kind == ACT_DUE) {
        play_due(c, out);
        return;
    }
    char *body = body_of(a, left ? left : a->steps);
    snprintf(key, sizeof key, "%llu-%zu-%lld", (unsigned long long)s->seed, i, (long long)left);
    struct request q = {
        .method = a->method, .target = a->target, .body = body, .header = {"Idempotency-Key", key}};
    client_exchange(c->api, c->scratch, 0, &q, out);
    blur_reply(out);
    free(body);
}

bool saga_is_answer(const struct act *a, const struct reply *r)
{
    return r->status == a->status && !strcmp(r->text ? r->text : "", a->answer);
}

/* ---- where are we? ------------------------------------------------------------------------- */

/* Where they begin to differ. */
static void print_difference(const char *want, const char *is)
{
    size_t at = 0;
    while (want[at] && want[at] == is[at])
        at++;
    size_t from = at > 80 ? at - 80 : 0;
    print_error("%.300s\n  and not\n%.300s\n", is + from, want + from);
}

void saga_assert_same(const char *want, const char *is)
{
    if (!strcmp(want, is))
        return;
    print_difference(want, is);
    fail();
}

static bool is_moment(const struct saga *s, size_t moment, char *const is[SAGA_MODELS])
{
    for (int m = 0; m < SAGA_MODELS; m++)
        if (m != SAGA_LOOSE && strcmp(s->moment[moment][m], is[m]) != 0)
            return false;
    return true;
}

/* Which moments the model alone is at, or how it differs: for people. */
static void print_moments(const struct saga *s, int m, size_t low, const char *is)
{
    bool any = false;
    print_error("%-8s", s->id[m]);
    for (size_t i = 0, from = 0; i < s->moments; i = from) {
        bool same = !strcmp(s->moment[i][m], is);
        for (from = i; from < s->moments && !strcmp(s->moment[from][m], s->moment[i][m]);)
            from++;
        if (same)
            print_error(" %zu-%zu", i, from - 1);
        any = any || same;
    }
    print_error("\n");
    if (!any && m != SAGA_LOOSE)
        print_difference(s->moment[low][m], is);
}

size_t saga_find(const struct saga *s, struct client *c, size_t low, size_t high)
{
    char *is[SAGA_MODELS];
    for (int m = 0; m < SAGA_MODELS; m++)
        is[m] = saga_look(c, s->id[m]);
    size_t moment = high;
    while (moment > low && !is_moment(s, moment, is))
        moment--;
    bool found = is_moment(s, moment, is);
    for (int m = 0; m < SAGA_MODELS; m++) {
        if (!found)
            print_moments(s, m, low, is[m]);
        free(is[m]);
    }
    if (!found)
        fail_msg("saga %llu: none of the moments %zu to %zu", (unsigned long long)s->seed, low,
                 high);
    return moment;
}

/* Its parameters: batches are kept at once, and the rest only with a checkpoint. */
void saga_check_loose(const struct saga *s, struct client *c, size_t high)
{
    char *is = saga_look(c, s->id[SAGA_LOOSE]);
    const char *line = strchr(is, '\n') + 1;
    bool was = false;
    for (size_t i = 0; i <= high && !was; i++)
        was = !strncmp(strchr(s->moment[i][SAGA_LOOSE], '\n') + 1, line, strcspn(line, "\n") + 1);
    free(is);
    if (!was)
        fail_msg("saga %llu: \"loose\" is as it never was", (unsigned long long)s->seed);
}

/* ---- going on ------------------------------------------------------------------------------ */

static void check_answer(const struct saga *s, size_t i, const struct reply *r)
{
    const struct act *a = &s->act[i];
    if (saga_is_answer(a, r))
        return;
    print_error("saga %llu, act %zu, %s %s: %d, not %d\n", (unsigned long long)s->seed, i,
                a->method, a->target, r->status, a->status);
    print_difference(a->answer, r->text ? r->text : "");
    fail();
}

/* Whoever asks again with the same key is told what was done, and nothing is done. */
static void repeat(const struct saga *s, size_t i, struct client *c)
{
    struct reply r;
    if (s->act[i].kind != ACT_CALL || strcmp(s->act[i].method, "POST") != 0)
        return;
    saga_play(s, i, c, 0, &r);
    check_answer(s, i, &r);
    reply_close(&r);
}

/* The rest of a call of which only some slices were kept. */
static void finish(const struct saga *s, size_t i, struct client *c, int64_t left)
{
    struct reply r;
    saga_play(s, i, c, left, &r);
    if (r.status != s->act[i].status)
        fail_msg("saga %llu, the last %lld steps of act %zu: %d %.600s",
                 (unsigned long long)s->seed, (long long)left, i, r.status, r.text ? r.text : "");
    reply_close(&r);
}

static void play_whole(const struct saga *s, size_t i, struct client *c)
{
    struct reply r;
    saga_play(s, i, c, 0, &r);
    check_answer(s, i, &r);
    reply_close(&r);
}

void saga_go_on(const struct saga *s, struct client *c, size_t moment)
{
    for (size_t i = 0; i < s->acts; i++) {
        const struct act *a = &s->act[i];
        if (a->model == SAGA_LOOSE)
            continue;
        if (a->end == moment && a->begin < moment)
            repeat(s, i, c);
        else if (a->begin < moment && moment < a->end)
            finish(s, i, c, a->steps - (int64_t)(moment - a->begin));
        else if (a->begin >= moment)
            play_whole(s, i, c);
    }
    saga_find(s, c, s->moments - 1, s->moments - 1);
}
