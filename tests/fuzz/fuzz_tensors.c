/* Any bytes, as .npy, as safetensors and as CSV: refused with a reason, or numbers within the
 * bytes, which written out again are the same. */
#include <stdlib.h>
#include <string.h>

#include "api/csv.h"
#include "api/npy.h"
#include "api/safetensors.h"
#include "engine/mem.h"
#include "tests/fuzz/fuzz.h"

static void expect(bool condition)
{
    if (!condition)
        abort();
}

static void expect_reason(const struct err *e)
{
    expect((e->kind == ERR_MALFORMED || e->kind == ERR_INVALID) && e->message[0]);
}

/* Reads the numbers as dtype; false: they are none of it. */
static bool read_numbers(const struct wire *w, enum dtype dtype, struct storage *out)
{
    struct err e;
    out->data = mem_array((size_t)shape_count(&w->shape), dtype_bytes(dtype));
    expect(out->data);
    if (!wire_read(w, dtype, out->data, &e))
        return true;
    expect_reason(&e);
    mem_free(out->data);
    return false;
}

static void expect_same(const struct wire *w, const struct tensor *t)
{
    size_t bytes;
    expect(w && w->type == wire_of_dtype(t->dtype) && shape_equal(&w->shape, &t->shape));
    expect(wire_size(w->type, &w->shape, &bytes));
    expect(memcmp(w->data, tensor_data(t), bytes) == 0);
}

/* As a file of each kind, and back. */
static void check_written(const struct tensor *t)
{
    static const char *const metadata[] = {"step", "1", NULL};
    struct json_out npy = {0}, file = {0};
    struct named_tensor named = {"x", t};
    struct tensors all = {.list = NULL};
    struct json fields = {.root = NULL};
    struct wire w;
    struct err e;
    npy_write(&npy, t);
    safetensors_write(&file, metadata, &named, 1);
    expect(json_out_end(&npy) && json_out_end(&file));
    expect(!npy_read(npy.text, npy.bytes, &w, &e));
    expect_same(&w, t);
    expect(!safetensors_read(file.text, file.bytes, &all, &fields, &e) && all.count == 1);
    expect_same(tensors_find(&all, "x"), t);
    tensors_close(&all);
    json_close(&fields);
    json_out_close(&npy);
    json_out_close(&file);
}

/* data: the file that w lies in. */
static void check_array(const struct wire *w, const uint8_t *data, size_t bytes)
{
    size_t size;
    expect(wire_size(w->type, &w->shape, &size));
    expect(w->data >= data && w->data <= data + bytes && size <= (size_t)(data + bytes - w->data));
    for (int dtype = DTYPE_INT64; dtype < DTYPE_COUNT; dtype++) {
        struct storage storage = {.data = NULL};
        struct tensor t;
        if (!read_numbers(w, (enum dtype)dtype, &storage))
            continue;
        tensor_wrap(&t, &storage, (enum dtype)dtype, &w->shape, 0);
        check_written(&t);
        mem_free(storage.data);
    }
}

static void try_npy(const uint8_t *data, size_t bytes)
{
    struct wire w;
    struct err e;
    if (npy_read(data, bytes, &w, &e))
        expect_reason(&e);
    else
        check_array(&w, data, bytes);
}

static void try_safetensors(const uint8_t *data, size_t bytes)
{
    struct tensors t = {.list = NULL};
    struct json fields = {.root = NULL};
    struct err e;
    if (safetensors_read(data, bytes, &t, &fields, &e)) {
        expect_reason(&e);
    } else {
        expect(!fields.root || cJSON_IsObject(fields.root));
        for (size_t i = 0; i < t.count; i++)
            check_array(&t.list[i], data, bytes);
    }
    tensors_close(&t);
    json_close(&fields);
}

static void try_csv(const uint8_t *data, size_t bytes)
{
    struct csv csv;
    struct err e;
    if (csv_open((const char *)data, bytes, &csv, &e)) {
        expect_reason(&e);
        return;
    }
    expect(csv.rows > 0 && csv.columns > 0 && (size_t)csv.rows <= bytes &&
           (size_t)csv.columns <= bytes);
    expect(csv_line(&csv, csv.rows - 1) >= csv.rows);
    double *x = mem_array((size_t)(csv.rows * csv.columns), sizeof *x);
    expect(x);
    for (int dtype = DTYPE_INT64; dtype < DTYPE_COUNT; dtype++)
        if (csv_numbers(&csv, 0, csv.columns, (enum dtype)dtype, x, &e))
            expect_reason(&e);
    if (csv.columns > 1 && csv_numbers(&csv, csv.columns - 1, 1, DTYPE_FLOAT64, x, &e))
        expect_reason(&e);
    mem_free(x);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    static bool ready;
    if (!ready)
        json_init();
    ready = true;
    try_npy(data, bytes);
    try_safetensors(data, bytes);
    try_csv(data, bytes);
    return 0;
}
