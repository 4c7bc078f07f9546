#include "tests/server/model_client.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/server/http_client.h"

#define PATH_BYTES 512

/* ---- text that grows ----------------------------------------------------------------------- */

/* Not assert_*: this runs in any thread. */
static void *must(void *p)
{
    if (!p)
        abort();
    return p;
}

void text_add_bytes(struct text *t, const void *data, size_t bytes)
{
    if (t->bytes + bytes >= t->room) {
        t->room = 2 * (t->bytes + bytes) + 256;
        t->at = must(realloc(t->at, t->room));
    }
    if (bytes)
        memcpy(t->at + t->bytes, data, bytes);
    t->bytes += bytes;
    t->at[t->bytes] = '\0';
}

void text_print(struct text *t, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    size_t bytes = (size_t)vsnprintf(NULL, 0, format, args);
    char *piece = must(malloc(bytes + 1));
    vsnprintf(piece, bytes + 1, format, again);
    text_add_bytes(t, piece, bytes);
    free(piece);
    va_end(again);
    va_end(args);
}

void text_free(struct text *t)
{
    free(t->at);
    *t = (struct text){0};
}

char *text_repeat(const char *begin, const char *piece, size_t times, const char *end)
{
    struct text t = {0};
    text_print(&t, "%s", begin);
    for (size_t i = 0; i < times; i++)
        text_add_bytes(&t, piece, strlen(piece));
    text_print(&t, "%s", end);
    return t.at;
}

/* ---- requests ------------------------------------------------------------------------------ */

void model_client_open(struct model_client *m, const char *url)
{
    *m = (struct model_client){.http = http_client_new(url)};
}

void model_client_close(struct model_client *m)
{
    cJSON_Delete(m->json);
    http_client_free(m->http);
    *m = (struct model_client){0};
}

long try_keyed(struct model_client *m, const char *method, const char *key, const char *body,
               const char *path)
{
    char line[128];
    const char *header[3] = {NULL};
    int headers = 0;
    if (body)
        header[headers++] = "Content-Type: application/json";
    if (key) {
        snprintf(line, sizeof line, "Idempotency-Key: %s", key);
        header[headers++] = line;
    }
    m->reply = http_try(m->http, method, path, header, body, body ? strlen(body) : 0);
    cJSON_Delete(m->json);
    m->json = m->reply ? cJSON_Parse(m->reply->body) : NULL;
    return m->reply ? m->reply->status : 0;
}

long try_ask(struct model_client *m, const char *method, const char *body, const char *format, ...)
{
    char path[PATH_BYTES];
    va_list args;
    va_start(args, format);
    vsnprintf(path, sizeof path, format, args);
    va_end(args);
    return try_keyed(m, method, NULL, body, path);
}

const cJSON *ask(struct model_client *m, long status, const char *method, const char *body,
                 const char *format, ...)
{
    char path[PATH_BYTES];
    va_list args;
    va_start(args, format);
    vsnprintf(path, sizeof path, format, args);
    va_end(args);
    long got = try_keyed(m, method, NULL, body, path);
    if (got != status)
        fail_msg("%s %s: %ld, not %ld: %.1000s", method, path, got, status,
                 m->reply ? m->reply->body : "no answer");
    return m->json;
}

/* ---- answers ------------------------------------------------------------------------------- */

const cJSON *member(const cJSON *json, const char *path)
{
    while (json && *path) {
        char key[128];
        size_t bytes = strcspn(path, "/");
        snprintf(key, sizeof key, "%.*s", (int)bytes, path);
        json = cJSON_IsArray(json) ? cJSON_GetArrayItem(json, atoi(key))
                                   : cJSON_GetObjectItemCaseSensitive(json, key);
        path += bytes + (path[bytes] == '/');
    }
    return json;
}

static void fail_member(const cJSON *json, const char *path, const char *what)
{
    char *all = cJSON_PrintUnformatted(json);
    fail_msg("%s is no %s in %.1000s", path, what, all ? all : "nothing");
}

double number(const cJSON *json, const char *path)
{
    const cJSON *item = member(json, path);
    if (!cJSON_IsNumber(item))
        fail_member(json, path, "number");
    return item->valuedouble;
}

const char *string(const cJSON *json, const char *path)
{
    const cJSON *item = member(json, path);
    if (!cJSON_IsString(item))
        fail_member(json, path, "string");
    return item->valuestring;
}

void assert_close(double value, double expected, double relative)
{
    if (!(fabs(value - expected) <= relative * fabs(expected)))
        fail_msg("%.9g, not %.9g within %.3g of it", value, expected, relative);
}

void assert_problem(const struct model_client *m, const char *slug, const char *pointer)
{
    char type[128], content[128];
    snprintf(type, sizeof type, "/problems/%s", slug);
    assert_string_equal(string(m->json, "type"), type);
    assert_string_equal(http_header(m->reply, "Content-Type", content, sizeof content),
                        "application/problem+json");
    assert_int_equal(number(m->json, "status"), m->reply->status);
    if (pointer)
        assert_string_equal(string(m->json, "pointer"), pointer);
}

void text_add_timeless(struct text *t, const char *body)
{
    static const char *const key[] = {"\"created_at\":\"", "\"updated_at\":\""};
    while (*body) {
        size_t skip = 0;
        for (size_t i = 0; i < 2; i++)
            if (!strncmp(body, key[i], strlen(key[i])))
                skip = strlen(key[i]) + strcspn(body + strlen(key[i]), "\"");
        body += skip;
        size_t bytes = 1 + strcspn(body + 1, "\"");
        text_add_bytes(t, body, bytes);
        body += bytes;
    }
    text_print(t, "\n");
}

static void add_answer(struct model_client *m, struct text *t, const char *id, const char *what)
{
    ask(m, 200, "GET", NULL, "/models/%s%s", id, what);
    text_add_timeless(t, m->reply->body);
}

static void add_batches(struct model_client *m, struct text *t, const char *id)
{
    int64_t n[100]; /* the most that one page has */
    int batches = 0;
    add_answer(m, t, id, "/batches?limit=100");
    const cJSON *item;
    cJSON_ArrayForEach(item, member(m->json, "batches"))
    {
        n[batches++] = (int64_t)number(item, "batch");
    }
    for (int i = 0; i < batches; i++) {
        char path[64];
        snprintf(path, sizeof path, "/batches/%lld", (long long)n[i]);
        add_answer(m, t, id, path);
    }
}

char *model_text(struct model_client *m, const char *id)
{
    static const char *const parts[] = {"", "/parameters", "/gradients", "/losses?limit=100000",
                                        "/checkpoints?limit=100"};
    struct text t = {0};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        add_answer(m, &t, id, parts[i]);
    add_batches(m, &t, id);
    return t.at;
}

char *model_text_if_any(struct model_client *m, const char *id)
{
    long status = try_ask(m, "GET", NULL, "/models/%s", id);
    return status == 404 ? must(strdup("")) : model_text(m, id);
}

void assert_same_text(const char *a, const char *b)
{
    size_t i = 0;
    while (a[i] && a[i] == b[i])
        i++;
    size_t from = i < 80 ? 0 : i - 80;
    if (a[i] != b[i])
        fail_msg("they differ at byte %zu:\n%.200s\n%.200s", i, a + from, b + from);
}

/* ---- data sets ----------------------------------------------------------------------------- */

static char *file_text(const char *path)
{
    struct text t = {0};
    char piece[65536];
    FILE *f = fopen(path, "r");
    if (!f)
        fail_msg("%s: run this from the top of the tree", path);
    for (size_t n = 1; n > 0;) {
        n = fread(piece, 1, sizeof piece, f);
        text_add_bytes(&t, piece, n);
    }
    fclose(f);
    return t.at;
}

static size_t count(const char *text, char c)
{
    size_t n = 0;
    for (; *text; text++)
        n += *text == c;
    return n;
}

void table_read(struct table *t, const char *name)
{
    char path[PATH_BYTES];
    snprintf(path, sizeof path, "tests/data/%s.csv", name);
    char *text = file_text(path), *at = strchr(text, '\n');
    assert_non_null(at);
    *at++ = '\0';
    t->columns = count(text, ',');
    t->rows = count(at, '\n');
    t->input = malloc(t->rows * t->columns * sizeof *t->input);
    t->target = malloc(t->rows * sizeof *t->target);
    assert_true(t->input && t->target);
    for (size_t i = 0; i < t->rows; i++) {
        for (size_t k = 0; k < t->columns; k++, at++)
            t->input[i * t->columns + k] = strtod(at, &at);
        t->target[i] = strtod(at, &at);
        at++;
    }
    assert_int_equal(*at, '\0');
    free(text);
}

void table_free(struct table *t)
{
    free(t->input);
    free(t->target);
    *t = (struct table){0};
}

char *batch_json(const struct table *t, const size_t *row, size_t rows, enum target_form form)
{
    struct text out = {0};
    text_print(&out, "{\"inputs\":[");
    for (size_t i = 0; i < rows; i++) {
        text_print(&out, i ? ",[" : "[");
        for (size_t k = 0; k < t->columns; k++)
            text_print(&out, "%s%.17g", k ? "," : "", t->input[row[i] * t->columns + k]);
        text_print(&out, "]");
    }
    text_print(&out, "],\"targets\":[");
    for (size_t i = 0; i < rows; i++) {
        const char *open = form == TARGET_COLUMN ? "[" : "", *close = *open ? "]" : "";
        text_print(&out, "%s%s%.17g%s", i ? "," : "", open, t->target[row[i]], close);
    }
    text_print(&out, "]}");
    return out.at;
}

char *table_json(const struct table *t, enum target_form form)
{
    size_t *row = malloc(t->rows * sizeof *row);
    assert_non_null(row);
    for (size_t i = 0; i < t->rows; i++)
        row[i] = i;
    char *json = batch_json(t, row, t->rows, form);
    free(row);
    return json;
}
