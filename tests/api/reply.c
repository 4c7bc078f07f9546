#include "tests/api/reply.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void reply_close(struct reply *r)
{
    cJSON_Delete(r->json);
    free(r->text);
    *r = (struct reply){.status = 0};
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

static size_t count_scalars(const cJSON *item)
{
    if (!cJSON_IsArray(item))
        return 1;
    size_t n = 0;
    for (const cJSON *child = item->child; child; child = child->next)
        n += count_scalars(child);
    return n;
}

/* Returns the place behind the last one. */
static double *flatten(const cJSON *item, double *x)
{
    if (!cJSON_IsArray(item)) {
        assert_true(json_real_value(item, x));
        return x + 1;
    }
    for (const cJSON *child = item->child; child; child = child->next)
        x = flatten(child, x);
    return x;
}

double *json_flat(const cJSON *item, size_t *count)
{
    *count = count_scalars(item);
    double *x = calloc(*count, sizeof *x);
    assert_non_null(x);
    flatten(item, x);
    return x;
}

/* Strings are written as they stand: the golden files have none that need an escape. */
static void print_string(FILE *out, const cJSON *item)
{
    char *text = cJSON_PrintUnformatted(item);
    assert_non_null(text);
    fputs(text, out);
    cJSON_free(text);
}

static void print(FILE *out, const cJSON *item)
{
    bool array = cJSON_IsArray(item);
    if (cJSON_IsNumber(item))
        fprintf(out, "%.17g", item->valuedouble);
    else if (cJSON_IsString(item))
        print_string(out, item);
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
