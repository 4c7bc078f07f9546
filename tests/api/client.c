#include "tests/api/client.h"

#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

/* ---- life --------------------------------------------------------------------------------------
 */

void client_open(struct client *c)
{
    struct err e = {.kind = ERR_OK};
    c->config.data = c->path;
    if (api_open(&c->config, &c->api, &e) != ERR_OK)
        fail_msg("api_open: %s", e.message);
    c->scratch = scratch_new(c->api);
    assert_non_null(c->scratch);
}

void client_close(struct client *c)
{
    struct err e = {.kind = ERR_OK};
    scratch_free(c->scratch);
    c->scratch = NULL;
    enum err_kind rc = api_close(c->api, &e);
    c->api = NULL;
    if (rc)
        fail_msg("api_close: %s", e.message);
}

void client_reopen(struct client *c)
{
    client_close(c);
    client_open(c);
}

struct client *client_new(const char *isa)
{
    struct client *c = calloc(1, sizeof *c);
    assert_non_null(c);
    c->config = (struct api_config){.isa = isa,
                                    .max_body = (size_t)64 << 20,
                                    .max_model_bytes = (size_t)64 << 20,
                                    .max_batches = 100,
                                    .max_batch_bytes = (size_t)64 << 20,
                                    .checkpoint_steps = 1000000,
                                    .checkpoint_seconds = 3600};
    c->slice_ns = 1000000000;
    snprintf(c->folder, sizeof c->folder, "%s", "/tmp/gradd_api_XXXXXX");
    assert_non_null(mkdtemp(c->folder));
    snprintf(c->path, sizeof c->path, "%s/gradd.db", c->folder);
    client_open(c);
    return c;
}

static void remove_folder(const char *folder)
{
    DIR *d = opendir(folder);
    char path[400];
    for (struct dirent *f = d ? readdir(d) : NULL; f; f = readdir(d)) {
        snprintf(path, sizeof path, "%s/%s", folder, f->d_name);
        if (f->d_name[0] != '.')
            unlink(path);
    }
    if (d)
        closedir(d);
    rmdir(folder);
}

void client_free(struct client *c)
{
    if (!c)
        return;
    for (size_t i = 0; i < CLIENT_REPLIES; i++)
        reply_close(&c->reply[i]);
    if (c->api)
        client_close(c);
    remove_folder(c->folder);
    free(c);
}

int client_setup(void **state)
{
    *state = client_new("auto");
    return 0;
}

int client_teardown(void **state)
{
    client_free(*state);
    return 0;
}

static void copy_file(const char *from, const char *to)
{
    char block[4096];
    FILE *in = fopen(from, "rb"), *out = fopen(to, "wb");
    assert_non_null(in);
    assert_non_null(out);
    for (size_t n; (n = fread(block, 1, sizeof block, in)) > 0;)
        assert_int_equal(fwrite(block, 1, n, out), n);
    fclose(in);
    assert_int_equal(fclose(out), 0);
}

/* The file and its WAL as they stand now are what a killed process leaves behind. */
void client_kill(struct client *c)
{
    char wal[100], kept[100], kept_wal[100];
    snprintf(wal, sizeof wal, "%s-wal", c->path);
    snprintf(kept, sizeof kept, "%s/kept", c->folder);
    snprintf(kept_wal, sizeof kept_wal, "%s/kept-wal", c->folder);
    copy_file(c->path, kept);
    bool has_wal = access(wal, F_OK) == 0;
    if (has_wal)
        copy_file(wal, kept_wal);
    client_close(c);
    assert_int_equal(rename(kept, c->path), 0);
    if (has_wal)
        assert_int_equal(rename(kept_wal, wal), 0);
    client_open(c);
}

/* ---- one request -------------------------------------------------------------------------------
 */

void reply_close(struct reply *r)
{
    cJSON_Delete(r->json);
    free(r->text);
    *r = (struct reply){.status = 0};
}

static void copy_header(struct reply *r, const char *name, const char *value)
{
    if (!strcasecmp(name, "Content-Type"))
        snprintf(r->type, sizeof r->type, "%s", value);
    else if (!strcasecmp(name, "Location"))
        snprintf(r->location, sizeof r->location, "%s", value);
    else if (!strcasecmp(name, "Allow"))
        snprintf(r->allow, sizeof r->allow, "%s", value);
    else if (!strcasecmp(name, "Retry-After"))
        snprintf(r->retry_after, sizeof r->retry_after, "%s", value);
}

static void copy_answer(const struct call *c, struct reply *r)
{
    const struct answer *a = call_answer(c);
    r->status = a->status;
    for (size_t i = 0; a->header[i]; i += 2)
        copy_header(r, a->header[i], a->header[i + 1]);
    r->text = calloc(1, a->bytes + 1);
    if (a->bytes)
        memcpy(r->text, a->body, a->bytes);
}

/* Everything before the worker; false: it is answered already. */
static bool submit(struct call *c, const struct request *q)
{
    size_t bytes = q->body && !q->bytes ? strlen(q->body) : q->bytes;
    const char *type = q->type ? q->type : "application/json";
    if (!call_target(c, q->method, q->target) || !call_header(c, "Host", "localhost") ||
        (q->body && !call_header(c, "Content-Type", type)) || !call_admit(c, (int64_t)bytes))
        return false;
    size_t half = bytes / 2; /* a body comes in pieces */
    return !bytes || (call_body(c, q->body, half) && call_body(c, q->body + half, bytes - half));
}

void client_exchange(struct api *a, struct scratch *s, int64_t slice_ns, const struct request *q,
                     struct reply *out)
{
    *out = (struct reply){.status = 0};
    struct call *c = call_new(a);
    if (!c) { /* what the server answers then */
        out->status = 503;
        return;
    }
    bool again = submit(c, q);
    for (; again; out->slices++)
        again = !call_work(c, s, slice_ns);
    copy_answer(c, out);
    call_free(c);
}

/* The place for the next reply. */
static struct reply *next_reply(struct client *c)
{
    struct reply *r = &c->reply[c->replies++ % CLIENT_REPLIES];
    reply_close(r);
    return r;
}

static void parse(struct reply *r)
{
    if (r->text && r->text[0]) {
        r->json = cJSON_Parse(r->text);
        if (!r->json)
            fail_msg("no JSON: %s", r->text);
    }
}

static const struct reply *ask_with(struct client *c, const char *method, const char *target,
                                    const char *body, va_list args)
{
    struct request q = {.method = method, .target = target};
    char *text = NULL;
    if (body) {
        va_list again;
        va_copy(again, args);
        int n = vsnprintf(NULL, 0, body, again);
        va_end(again);
        assert_true(n >= 0);
        text = malloc((size_t)n + 1);
        assert_non_null(text);
        vsnprintf(text, (size_t)n + 1, body, args);
        q.body = text;
    }
    struct reply *r = next_reply(c);
    client_exchange(c->api, c->scratch, c->slice_ns, &q, r);
    free(text);
    parse(r);
    return r;
}

const struct reply *ask(struct client *c, const char *method, const char *target, const char *body,
                        ...)
{
    va_list args;
    va_start(args, body);
    const struct reply *r = ask_with(c, method, target, body, args);
    va_end(args);
    return r;
}

const struct reply *expect(struct client *c, int status, const char *method, const char *target,
                           const char *body, ...)
{
    va_list args;
    va_start(args, body);
    const struct reply *r = ask_with(c, method, target, body, args);
    va_end(args);
    if (r->status != status)
        fail_msg("%s %s: %d, not %d: %.600s", method, target, r->status, status, r->text);
    assert_string_equal(r->type, status == 204   ? ""
                                 : status >= 400 ? "application/problem+json"
                                                 : "application/json");
    return r;
}

void assert_problem(const struct reply *r, int status, const char *slug, const char *pointer)
{
    char type[80];
    snprintf(type, sizeof type, "/problems/%s", slug);
    const cJSON *p = json_find(r->json, "/pointer");
    bool right = r->status == status && !strcmp(r->type, "application/problem+json") &&
                 !strcmp(string_at(r, "/type"), type) && number_at(r, "/status") == status &&
                 string_at(r, "/title")[0] && string_at(r, "/detail")[0] &&
                 !strcmp(p ? p->valuestring : "", pointer);
    if (!right)
        fail_msg("not %d %s at \"%s\": %s", status, type, pointer, r->text);
}

struct call *client_start(struct client *c, const char *method, const char *target,
                          const char *body)
{
    struct request q = {.method = method, .target = target, .body = body};
    struct call *call = call_new(c->api);
    assert_non_null(call);
    assert_true(submit(call, &q));
    return call;
}

bool client_slice(struct client *c, struct call *call)
{
    return call_work(call, c->scratch, c->slice_ns);
}

const struct reply *client_finish(struct client *c, struct call *call)
{
    struct reply *r = next_reply(c);
    copy_answer(call, r);
    call_free(call);
    parse(r);
    return r;
}

bool client_run_due(struct client *c)
{
    struct call *due = api_due(c->api);
    if (!due)
        return false;
    assert_int_equal(call_mode(due), CALL_CHANGE);
    assert_true(client_slice(c, due));
    assert_int_equal(client_finish(c, due)->status, 204);
    expect(c, 200, "GET", "/models?limit=1", NULL); /* the store answers in order: it is there */
    return true;
}

void create_net(struct client *c, const char *id, const char *more)
{
    expect(c, 201, "POST", "/models",
           "{\"id\":\"%s\",\"layers\":[{\"type\":\"linear\",\"in_features\":2,\"out_features\":3},"
           "{\"type\":\"tanh\"},{\"type\":\"linear\",\"in_features\":3,\"out_features\":1}],"
           "\"loss\":\"mse\"%s}",
           id, more);
}

char *batch_text(int k)
{
    char text[200];
    double x = 0.25 * k;
    snprintf(text, sizeof text,
             "{\"inputs\":[[%g,1],[-0.5,%g],[0.75,-1],[%g,%g]],\"targets\":[[1],[%g],[-1],[0.5]]}",
             x, x, -x, 1 - x, x);
    return strdup(text);
}

void push_batch(struct client *c, const char *id, int k)
{
    char *text = batch_text(k);
    expect_of(c, 201, "POST", id, "/batches", text);
    free(text);
}

const struct reply *expect_of(struct client *c, int status, const char *method, const char *id,
                              const char *rest, const char *body)
{
    char target[160];
    snprintf(target, sizeof target, "/models/%s%s", id, rest);
    return body ? expect(c, status, method, target, "%s", body)
                : expect(c, status, method, target, NULL);
}

/* ---- reading answers ---------------------------------------------------------------------------
 */

const cJSON *json_find(const cJSON *root, const char *pointer)
{
    char key[80];
    while (root && *pointer == '/') {
        size_t n = strcspn(++pointer, "/");
        snprintf(key, sizeof key, "%.*s", (int)n, pointer);
        pointer += n;
        root = cJSON_IsArray(root) ? cJSON_GetArrayItem(root, atoi(key))
                                   : cJSON_GetObjectItemCaseSensitive(root, key);
    }
    return root;
}

const cJSON *at(const struct reply *r, const char *pointer)
{
    const cJSON *item = json_find(r->json, pointer);
    if (!item)
        fail_msg("nothing at %s: %.600s", pointer, r->text);
    return item;
}

bool json_real_value(const cJSON *item, double *out)
{
    *out = 0;
    if (cJSON_IsNumber(item))
        *out = item->valuedouble;
    else if (cJSON_IsString(item) && !strcmp(item->valuestring, "NaN"))
        *out = NAN;
    else if (cJSON_IsString(item) && !strcmp(item->valuestring, "Infinity"))
        *out = INFINITY;
    else if (cJSON_IsString(item) && !strcmp(item->valuestring, "-Infinity"))
        *out = -INFINITY;
    else
        return false;
    return true;
}

double number_at(const struct reply *r, const char *pointer)
{
    double x;
    if (!json_real_value(at(r, pointer), &x))
        fail_msg("no number at %s: %.600s", pointer, r->text);
    return x;
}

const char *string_at(const struct reply *r, const char *pointer)
{
    const cJSON *item = at(r, pointer);
    if (!cJSON_IsString(item))
        fail_msg("no string at %s: %.600s", pointer, r->text);
    return item->valuestring;
}

void assert_json(const struct reply *r, const char *pointer, const char *expected)
{
    char *text = cJSON_PrintUnformatted(at(r, pointer));
    assert_non_null(text);
    assert_string_equal(text, expected);
    cJSON_free(text);
}

static void flatten(const cJSON *item, double **x, size_t *count)
{
    if (!cJSON_IsArray(item)) {
        *x = realloc(*x, (*count + 1) * sizeof **x);
        assert_non_null(*x);
        assert_true(json_real_value(item, &(*x)[(*count)++]));
        return;
    }
    for (const cJSON *child = item->child; child; child = child->next)
        flatten(child, x, count);
}

double *json_flat(const cJSON *item, size_t *count)
{
    double *x = NULL;
    *count = 0;
    flatten(item, &x, count);
    return x;
}

/* Strings are written as they stand: the golden files have none that need an escape. */
static void print(FILE *out, const cJSON *item)
{
    bool array = cJSON_IsArray(item);
    if (cJSON_IsNumber(item))
        fprintf(out, "%.17g", item->valuedouble);
    else if (cJSON_IsString(item))
        fprintf(out, "\"%s\"", item->valuestring);
    else if (cJSON_IsBool(item) || cJSON_IsNull(item))
        fputs(cJSON_IsTrue(item) ? "true" : cJSON_IsFalse(item) ? "false" : "null", out);
    else {
        fputc(array ? '[' : '{', out);
        for (const cJSON *child = item->child; child; child = child->next) {
            if (child != item->child)
                fputc(',', out);
            if (!array)
                fprintf(out, "\"%s\":", child->string);
            print(out, child);
        }
        fputc(array ? ']' : '}', out);
    }
}

char *json_text(const cJSON *item)
{
    char *text = NULL;
    size_t bytes;
    FILE *out = open_memstream(&text, &bytes);
    assert_non_null(out);
    print(out, item);
    assert_int_equal(fclose(out), 0);
    return text;
}

char *text_of(struct client *c, const char *target)
{
    char *text = strdup(expect(c, 200, "GET", target, NULL)->text);
    assert_non_null(text);
    return text;
}

void assert_same_answer(struct client *a, const char *target_a, struct client *b,
                        const char *target_b)
{
    char *first = text_of(a, target_a), *second = text_of(b, target_b);
    assert_string_equal(first, second);
    free(first);
    free(second);
}

cJSON *json_file(const char *path)
{
    FILE *f = fopen(path, "rb");
    if (!f)
        fail_msg("%s cannot be opened; tests run from the root of the repository", path);
    assert_int_equal(fseek(f, 0, SEEK_END), 0);
    long bytes = ftell(f);
    rewind(f);
    char *text = calloc(1, (size_t)bytes + 1);
    assert_non_null(text);
    assert_int_equal(fread(text, 1, (size_t)bytes, f), bytes);
    fclose(f);
    cJSON *root = cJSON_Parse(text);
    free(text);
    assert_non_null(root);
    return root;
}
