#include "tests/api/twins.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void assert_same_member(const struct reply *a, const struct reply *b, const char *name)
{
    char *first = json_text(cJSON_GetObjectItemCaseSensitive(a->json, name));
    char *second = json_text(cJSON_GetObjectItemCaseSensitive(b->json, name));
    assert_string_equal(first, second);
    free(first);
    free(second);
}

static const struct reply *get_digested(struct client *c, const char *id)
{
    char target[96];
    snprintf(target, sizeof target, "/models/%s", id);
    const struct reply *r = ask_headed(
        c, &(struct request){.method = "GET", .target = target, .header = {"X-State-Digest", ""}});
    assert_int_equal(r->status, 200);
    assert_true(r->etag[0] && r->digest[0]);
    return r;
}

void assert_twins(struct client *a, const char *id_a, struct client *b, const char *id_b)
{
    static const char *const parts[] = {"/parameters", "/gradients", "/losses"};
    static const char *const members[] = {"optimizer", "on_divergence", "durability", "parameters",
                                          "step",      "loss_last",     "state"};
    char first[96], second[96];
    for (int i = 0; i < 3; i++) {
        snprintf(first, sizeof first, "/models/%s%s", id_a, parts[i]);
        snprintf(second, sizeof second, "/models/%s%s", id_b, parts[i]);
        assert_same_answer(a, first, b, second);
    }
    const struct reply *x = get_digested(a, id_a), *y = get_digested(b, id_b);
    for (size_t i = 0; i < sizeof members / sizeof *members; i++)
        assert_same_member(x, y, members[i]);
    assert_string_equal(x->etag, y->etag);
    assert_string_equal(x->digest, y->digest);
}

void assert_outlives_kill(struct client *c)
{
    static const char *const parts[] = {"",        "/parameters", "/gradients",
                                        "/losses", "/batches",    "/checkpoints"};
    enum { PARTS = sizeof parts / sizeof *parts };
    char *before[PARTS], digest[48];
    for (int i = 0; i < PARTS; i++)
        before[i] = strdup(expect_of(c, 200, "GET", "a", parts[i], NULL)->text);
    snprintf(digest, sizeof digest, "%s", get_digested(c, "a")->digest);
    client_kill(c);
    for (int i = 0; i < PARTS; i++) {
        const struct reply *r = ask(c, "GET", "/models/a", NULL);
        if (json_find(r->json, "/damage"))
            fail_msg("damaged by a kill: %s", string_at(r, "/damage"));
        assert_string_equal(expect_of(c, 200, "GET", "a", parts[i], NULL)->text, before[i]);
        free(before[i]);
    }
    assert_string_equal(get_digested(c, "a")->digest, digest);
}

const struct reply *do_deed(struct client *c, const char *id, const struct deed *d)
{
    char target[128];
    snprintf(target, sizeof target, "/models/%s%s", id, d->rest);
    const struct reply *r = ask_plain(c, d->method, target, d->body);
    if (r->status != (d->status ? d->status : 200))
        fail_msg("%s %s: %d: %.600s", d->method, target, r->status, r->text);
    return r;
}

void do_both(struct client *a, const char *id_a, struct client *b, const char *id_b,
             const struct deed *d)
{
    const struct reply *x = do_deed(a, id_a, d), *y = do_deed(b, id_b, d);
    assert_int_equal(x->status, y->status);
    for (const cJSON *item = x->json ? x->json->child : NULL; item; item = item->next)
        if (strcmp(item->string, "created_at") && strcmp(item->string, "updated_at") &&
            strcmp(item->string, "id") && strcmp(item->string, "batches"))
            assert_same_member(x, y, item->string);
}

char *rows_text(int rows, const char *more)
{
    char *text = NULL;
    size_t bytes;
    FILE *out = open_memstream(&text, &bytes);
    assert_non_null(out);
    fprintf(out, "{\"inputs\":[");
    for (int i = 0; i < rows; i++)
        fprintf(out, "%s[%d,%d]", i ? "," : "", i % 7 - 3, i % 5 - 2);
    fprintf(out, "],\"targets\":[");
    for (int i = 0; i < rows; i++)
        fprintf(out, "%s[%d]", i ? "," : "", i % 3 - 1);
    fprintf(out, "]%s}", more);
    assert_int_equal(fclose(out), 0);
    return text;
}

void create_wide(struct client *c, const char *id, const char *more)
{
    expect(c, 201, "POST", "/models",
           "{\"id\":\"%s\",\"loss\":\"mse\",\"layers\":[{\"type\":\"linear\",\"in_features\":100,"
           "\"out_features\":100}]%s}",
           id, more);
}

char *wide_text(int rows, const char *more)
{
    char *text = NULL;
    size_t bytes;
    FILE *out = open_memstream(&text, &bytes);
    fprintf(out, "{\"inputs\":[");
    for (int i = 0; i < rows; i++)
        for (int k = 0; k < 100; k++)
            fprintf(out, "%s%d%s", k ? "," : i ? ",[" : "[", (i * k) % 7 - 3, k == 99 ? "]" : "");
    fprintf(out, "],\"targets\":[");
    for (int i = 0; i < rows; i++)
        for (int k = 0; k < 100; k++)
            fprintf(out, "%s%d%s", k ? "," : i ? ",[" : "[", (i + k) % 3 - 1, k == 99 ? "]" : "");
    fprintf(out, "]%s}", more);
    assert_int_equal(fclose(out), 0);
    return text;
}
