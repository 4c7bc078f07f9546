#include "tests/api/files.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void append(struct file *f, const void *data, size_t bytes)
{
    assert_true(bytes <= sizeof f->bytes - f->count);
    memcpy(f->bytes + f->count, data, bytes);
    f->count += bytes;
}

struct file npy_file(const char *type, const char *shape, const void *data, size_t bytes)
{
    struct file f = {.count = 0};
    char head[200];
    int n = snprintf(head, sizeof head, "{'descr': '%s', 'fortran_order': False, 'shape': %s, }",
                     type, shape);
    for (; (10 + n) % 16 != 15; n++) /* as old versions of NumPy align */
        head[n] = ' ';
    head[n++] = '\n';
    append(&f, "\x93NUMPY\1\0", 8);
    append(&f, (const char[]){(char)n, 0}, 2);
    append(&f, head, (size_t)n);
    append(&f, data, bytes);
    return f;
}

struct file safetensors_file(const char *metadata, const struct array *arrays)
{
    struct file f = {.count = 0};
    char head[2000];
    size_t place = 0, n = 1;
    strcpy(head, "{");
    if (metadata)
        n += (size_t)snprintf(head + n, sizeof head - n, "\"__metadata__\":%s", metadata);
    for (const struct array *a = arrays; a->name; place += a++->bytes)
        n +=
            (size_t)snprintf(head + n, sizeof head - n,
                             "%s\"%s\":{\"dtype\":\"%s\",\"shape\":%s,\"data_offsets\":[%zu,%zu]}",
                             n > 1 ? "," : "", a->name, a->type, a->shape, place, place + a->bytes);
    n += (size_t)snprintf(head + n, sizeof head - n, "}");
    for (size_t i = 0, left = n; i < 8; i++, left >>= 8)
        append(&f, (const char[]){(char)(left & 255)}, 1);
    append(&f, head, n); /* of any length: nothing is aligned */
    for (const struct array *a = arrays; a->name; a++)
        append(&f, a->data, a->bytes);
    return f;
}

const struct reply *ask_file(struct client *c, const char *method, const char *target,
                             const char *type, const struct file *body, const char *accept)
{
    struct request q = {.method = method, .target = target, .type = type};
    if (body) {
        q.body = body->bytes;
        q.bytes = body->count;
    }
    if (accept) {
        q.header[0] = "Accept";
        q.header[1] = accept;
    }
    return ask_headed(c, &q);
}

const struct reply *expect_file(struct client *c, int status, const char *method,
                                const char *target, const char *type, const struct file *body,
                                const char *accept)
{
    const struct reply *r = ask_file(c, method, target, type, body, accept);
    if (r->status != status)
        fail_msg("%s %s: %d, not %d: %.600s", method, target, r->status, status, r->text);
    return r;
}

const void *npy_of(const struct reply *r, const char *literal)
{
    const unsigned char *b = (const unsigned char *)r->text;
    assert_string_equal(r->type, NPY);
    assert_true(r->bytes > 10 && !memcmp(b, "\x93NUMPY\1\0", 8));
    size_t head = b[8] + 256u * b[9], n = strlen(literal);
    assert_true((10 + head) % 64 == 0 && 10 + head <= r->bytes && n < head);
    if (memcmp(b + 10, literal, n) != 0)
        fail_msg("%.*s", (int)head, (const char *)b + 10);
    return b + 10 + head;
}

/* The length of the answer's head, which stands behind the first 8 bytes. */
static size_t head_length(const struct reply *r)
{
    size_t n = 0;
    assert_string_equal(r->type, SAFETENSORS);
    assert_true(r->bytes >= 8);
    for (int i = 8; i > 0; i--)
        n = n << 8 | (unsigned char)r->text[i - 1];
    assert_true(n % 8 == 0 && n <= r->bytes - 8);
    return n;
}

const void *array_of(const struct reply *r, const char *name, const char *type, const char *shape)
{
    size_t n = head_length(r);
    cJSON *head = cJSON_ParseWithLength(r->text + 8, n);
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(head, name);
    const void *data = NULL;
    if (item) {
        char *got = json_text(cJSON_GetObjectItem(item, "shape"));
        assert_string_equal(cJSON_GetObjectItem(item, "dtype")->valuestring, type);
        assert_string_equal(got, shape);
        free(got);
        const cJSON *from = cJSON_GetObjectItem(item, "data_offsets")->child;
        assert_true((size_t)from->next->valuedouble <= r->bytes - 8 - n);
        data = r->text + 8 + n + (size_t)from->valuedouble;
    }
    cJSON_Delete(head);
    return data;
}

const char *metadata_of(const struct reply *r, const char *name)
{
    static char text[256];
    cJSON *head = cJSON_ParseWithLength(r->text + 8, head_length(r));
    const cJSON *item = cJSON_GetObjectItem(cJSON_GetObjectItem(head, "__metadata__"), name);
    snprintf(text, sizeof text, "%s", item ? item->valuestring : "");
    cJSON_Delete(head);
    return item ? text : NULL;
}

/* ---- a batch for create_net ---------------------------------------------------------------- */

const float inputs[4][2] = {{0.25F, 1}, {-0.5F, 0.1F}, {0.75F, -1}, {-0.25F, 0.3F}};
const float targets[4] = {1, 0.25F, -1, 0.5F};
const double wide[4][2] = {{0.25, 1}, {-0.5, (double)0.1F}, {0.75, -1}, {-0.25, (double)0.3F}};

double *json_numbers(struct client *c, const char *target, const char *pointer)
{
    size_t n;
    return json_flat(at(expect(c, 200, "GET", target, NULL), pointer), &n);
}

void assert_floats(const void *data, const double *want, size_t count)
{
    assert_non_null(data);
    for (size_t i = 0; i < count; i++) {
        float x;
        memcpy(&x, (const char *)data + i * sizeof x, sizeof x);
        assert_true(x == (float)want[i]); /* of the shortest text */
    }
}
