/* Any bytes: refused with a reason, or a document that can be written out and is JSON again, its
 * tensors with the same bits. */
#include <stdlib.h>
#include <string.h>

#include "api/json_in.h"
#include "api/json_out.h"
#include "engine/mem.h"
#include "tests/fuzz/fuzz.h"

static void expect(bool condition)
{
    if (!condition)
        abort();
}

/* Shapes are bounded by the text, but for those with a 0 in them. */
static size_t count_elements(const int64_t *dim, int rank)
{
    size_t count = 1;
    for (int d = 0; d < rank; d++)
        expect(mem_mul(count, (size_t)dim[d], &count));
    return count;
}

/* Written and read again it has the same shape and the same bits (NaN has only one, here). */
static void check_tensor(enum dtype dtype, const void *data, const int64_t *dim, int rank)
{
    struct json_out w = {0};
    struct json j;
    struct err e;
    int64_t dim_again[JSON_RANK_MAX];
    int rank_again;
    size_t count = count_elements(dim, rank);
    void *again = mem_array(count, sizeof(double));
    json_tensor(&w, dtype, data, dim, rank);
    expect(again && json_out_end(&w) && !json_parse(w.text, w.bytes, &j, &e));
    expect(!json_tensor_shape(&j, j.root, dim_again, &rank_again, &e) && rank_again == rank);
    expect(memcmp(dim, dim_again, (size_t)rank * sizeof *dim) == 0);
    expect(!json_tensor_read(&j, j.root, dtype, again, &e));
    expect(memcmp(data, again, count * dtype_bytes(dtype)) == 0);
    json_close(&j);
    json_out_close(&w);
    mem_free(again);
}

static void write_tensor(struct json_out *w, const struct json *j, const cJSON *item)
{
    int64_t dim[JSON_RANK_MAX];
    int rank;
    struct err e;
    if (json_tensor_shape(j, item, dim, &rank, &e)) {
        expect(e.kind == ERR_INVALID && e.message[0]);
        json_string(w, e.pointer);
        return;
    }
    void *data = mem_array(count_elements(dim, rank), sizeof(double));
    expect(data);
    for (int dtype = DTYPE_INT64; dtype < DTYPE_COUNT; dtype++) { /* a bool is no number */
        if (json_tensor_read(j, item, (enum dtype)dtype, data, &e)) {
            json_string(w, e.pointer);
            continue;
        }
        check_tensor((enum dtype)dtype, data, dim, rank);
        json_tensor(w, (enum dtype)dtype, data, dim, rank);
    }
    mem_free(data);
}

static void write_item(struct json_out *w, const struct json *j, const cJSON *item);

static void write_children(struct json_out *w, const struct json *j, const cJSON *item)
{
    for (const cJSON *child = item->child; child; child = child->next) {
        if (child->string)
            json_key(w, child->string);
        write_item(w, j, child);
    }
}

static void write_scalar(struct json_out *w, const cJSON *item)
{
    double x;
    if (cJSON_IsString(item))
        json_string(w, item->valuestring);
    else if (json_number(item, &x))
        json_f64(w, x);
    else if (cJSON_IsBool(item))
        json_bool(w, cJSON_IsTrue(item));
    else
        json_null(w);
}

static void write_item(struct json_out *w, const struct json *j, const cJSON *item)
{
    if (json_is_tensor(item)) {
        json_begin_array(w);
        write_tensor(w, j, item);
        json_end_array(w);
    } else if (cJSON_IsArray(item)) {
        json_begin_array(w);
        write_children(w, j, item);
        json_end_array(w);
    } else if (cJSON_IsObject(item)) {
        json_begin_object(w);
        write_children(w, j, item);
        json_end_object(w);
    } else {
        write_scalar(w, item);
    }
}

/* What was written is JSON. */
static void check_document(const struct json *j)
{
    struct json_out w = {0};
    struct json again;
    struct err e;
    write_item(&w, j, j->root);
    expect(json_out_end(&w));
    enum err_kind rc = json_parse(w.text, w.bytes, &again, &e);
    /* each tensor is written as three and one bracket deeper: only sizes may be at fault */
    expect(rc == ERR_OK || strstr(e.message, "too deep") || strstr(e.message, "more than"));
    json_close(&again);
    json_out_close(&w);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    static bool ready;
    struct json j;
    struct err e;
    if (!ready)
        json_init();
    ready = true;
    if (json_parse((const char *)data, bytes, &j, &e))
        expect((e.kind == ERR_MALFORMED || e.kind == ERR_INVALID) && e.message[0]);
    else if (j.root)
        check_document(&j);
    json_close(&j);
    return 0;
}
