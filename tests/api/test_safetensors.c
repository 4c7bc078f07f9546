/* api/safetensors.h: files built by hand from the format's description, what is wrong, and what we
 * write. */
#include "api/safetensors.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "api/fields.h"
#include "engine/mem.h"

/* A file of that head and those bytes, in a block of its size. */
static unsigned char *build(const char *head, const void *data, size_t data_bytes, size_t *bytes)
{
    size_t n = strlen(head);
    *bytes = 8 + n + data_bytes;
    unsigned char *file = malloc(*bytes);
    assert_non_null(file);
    for (int i = 0; i < 8; i++)
        file[i] = (unsigned char)(n >> 8 * i);
    memcpy(file + 8, head, n);
    if (data_bytes)
        memcpy(file + 8 + n, data, data_bytes);
    return file;
}

struct opened {
    unsigned char *file;
    struct tensors t;
    struct json fields;
};

static enum err_kind open_file(struct opened *o, const char *head, const void *data,
                               size_t data_bytes, struct err *e)
{
    size_t bytes;
    *o = (struct opened){.file = build(head, data, data_bytes, &bytes)};
    return safetensors_read(o->file, bytes, &o->t, &o->fields, e);
}

static void close_file(struct opened *o)
{
    tensors_close(&o->t);
    json_close(&o->fields);
    free(o->file);
}

static void check_taken(struct opened *o, const char *head, const void *data, size_t data_bytes)
{
    struct err e;
    if (open_file(o, head, data, data_bytes, &e))
        fail_msg("%s: %s %s", head, e.pointer, e.message);
}

static void check_refused(const char *head, size_t data_bytes, enum err_kind kind,
                          const char *pointer, const char *part)
{
    static const unsigned char zeros[64];
    struct opened o;
    struct err e = {.kind = ERR_OK, .message = ""};
    enum err_kind rc = open_file(&o, head, zeros, data_bytes, &e);
    if (rc != kind || e.kind != kind || strcmp(e.pointer, pointer) != 0 || !strstr(e.message, part))
        fail_msg("%s: %d \"%s\" %s", head, rc, e.pointer, e.message);
    close_file(&o);
}

/* In any order, at any address, with blanks behind the head. */
static void test_by_hand(void **state)
{
    static const unsigned char data[] = {7, 0, 0, 0, 0, 0, 0xc0, 0x3f, 0, 0, 0, 0xbf};
    struct opened o;
    struct err e;
    double x[2];
    int64_t n;
    (void)state;
    check_taken(&o,
                "{\"b\":{\"shape\":[2,1],\"data_offsets\":[4,12],\"dtype\":\"F32\"}, "
                "\"a/~\":{\"dtype\":\"I32\",\"shape\":[],\"data_offsets\":[0,4]},"
                "\"none\":{\"dtype\":\"F64\",\"shape\":[3,0],\"data_offsets\":[12,12]}}   ",
                data, sizeof data);
    assert_int_equal(o.t.count, 3);
    assert_null(tensors_find(&o.t, "a"));
    const struct wire *b = tensors_find(&o.t, "b"), *a = tensors_find(&o.t, "a/~");
    assert_int_equal(b->shape.rank, 2);
    assert_int_equal(b->shape.dim[0], 2);
    assert_int_equal(wire_read(b, DTYPE_FLOAT64, x, &e), ERR_OK);
    assert_true(x[0] == 1.5 && x[1] == -0.5);
    assert_int_equal(a->shape.rank, 0);
    assert_int_equal(wire_read(a, DTYPE_INT64, &n, &e), ERR_OK);
    assert_int_equal(n, 7);
    assert_int_equal(shape_count(&tensors_find(&o.t, "none")->shape), 0);
    static const char *const names[] = {"b", "none", NULL};
    assert_int_equal(tensors_check(&o.t, names, &e), ERR_INVALID);
    assert_string_equal(e.pointer, "/a~1~0");
    assert_null(o.fields.root);
    close_file(&o);
}

static void test_nothing(void **state)
{
    struct opened o;
    (void)state;
    check_taken(&o, "{}", NULL, 0);
    assert_int_equal(o.t.count, 0);
    close_file(&o);
}

/* Numbers, true, false and null become such, all else stays text. */
static void test_metadata(void **state)
{
    struct opened o;
    double x;
    (void)state;
    check_taken(&o,
                "{\"__metadata__\":{\"format\":\"pt\",\"steps\":\"100\",\"yes\":\"true\","
                "\"word\":\"a\\\"b\",\"list\":\"[1]\",\"more\":\"1,\\\"x\\\":2\",\"nan\":\"NaN\","
                "\"big\":\"1e999\",\"empty\":\"\",\"none\":\"null\"}}",
                NULL, 0);
    const cJSON *root = o.fields.root;
    assert_int_equal(cJSON_GetArraySize(root), 9);
    assert_true(json_number(field_find(root, "steps"), &x) && x == 100);
    assert_true(cJSON_IsTrue(field_find(root, "yes")));
    assert_true(cJSON_IsNull(field_find(root, "none")));
    assert_string_equal(field_find(root, "word")->valuestring, "a\"b");
    assert_string_equal(field_find(root, "list")->valuestring, "[1]");
    assert_string_equal(field_find(root, "more")->valuestring, "1,\"x\":2");
    assert_string_equal(field_find(root, "nan")->valuestring, "NaN");
    assert_string_equal(field_find(root, "big")->valuestring, "1e999");
    assert_string_equal(field_find(root, "empty")->valuestring, "");
    assert_int_equal(o.t.count, 0);
    close_file(&o);
}

#define TENSOR(shape, offsets)                                                                     \
    "{\"dtype\":\"F32\",\"shape\":" shape ",\"data_offsets\":" offsets "}"

static void test_hostile(void **state)
{
    static const struct {
        const char *head;
        size_t data;
        enum err_kind kind;
        const char *pointer, *part;
    } rows[] = {
        {"", 0, ERR_MALFORMED, "", "must be an object"},
        {"[]", 0, ERR_MALFORMED, "", "must be an object"},
        {"1", 0, ERR_MALFORMED, "", "must be an object"},
        {"{", 0, ERR_MALFORMED, "", "head of the safetensors file"},
        {"{} x", 0, ERR_MALFORMED, "", "head of the safetensors file"},
        {"{\"a\":" TENSOR("[1]", "[0,4]") ",\"a\":" TENSOR("[1]", "[4,8]") "}", 8, ERR_MALFORMED,
         "/a", "twice"},
        {"{\"a\":1}", 0, ERR_MALFORMED, "/a", "must be an object"},
        {"{\"a\":[]}", 0, ERR_MALFORMED, "/a", "must be an object"},
        {"{\"a\":{}}", 0, ERR_MALFORMED, "/a/dtype", "string"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[0,4],\"x\":1}}", 4,
         ERR_MALFORMED, "/a/x", "no such field"},
        {"{\"a\":{\"dtype\":\"F8_E4M3\",\"shape\":[4],\"data_offsets\":[0,4]}}", 4, ERR_INVALID,
         "/a/dtype", "not F8_E4M3"},
        {"{\"a\":{\"dtype\":5,\"shape\":[1],\"data_offsets\":[0,4]}}", 4, ERR_MALFORMED, "/a/dtype",
         "string"},
        {"{\"a\":{\"dtype\":\"F32\",\"data_offsets\":[0,4]}}", 4, ERR_MALFORMED, "/a/shape",
         "list"},
        {"{\"a\":" TENSOR("4", "[0,4]") "}", 4, ERR_MALFORMED, "/a/shape", "list"},
        {"{\"a\":" TENSOR("[[1]]", "[0,4]") "}", 4, ERR_MALFORMED, "/a/shape", "list"},
        {"{\"a\":" TENSOR("[-1]", "[0,4]") "}", 4, ERR_MALFORMED, "/a/shape", "below 0"},
        {"{\"a\":" TENSOR("[0.5]", "[0,4]") "}", 4, ERR_MALFORMED, "/a/shape/0", "integer"},
        {"{\"a\":" TENSOR("[1e30]", "[0,4]") "}", 4, ERR_MALFORMED, "/a/shape/0", "integer"},
        {"{\"a\":" TENSOR("[\"NaN\"]", "[0,4]") "}", 4, ERR_MALFORMED, "/a/shape/0", "integer"},
        {"{\"a\":" TENSOR("[1,1,1,1,1,1,1,1,1]", "[0,4]") "}", 4, ERR_INVALID, "/a/shape",
         "at most 8"},
        {"{\"a\":" TENSOR("[9223372036854775807,9223372036854775807]", "[0,4]") "}", 4, ERR_INVALID,
         "/a/shape", ""},
        {"{\"a\":" TENSOR("[4611686018427387905]", "[0,4]") "}", 4, ERR_MALFORMED,
         "/a/data_offsets", "as far apart"}, /* times 4 is 4 again */
        {"{\"a\":" TENSOR("[1]", "[0]") "}", 4, ERR_MALFORMED, "/a/data_offsets", "two places"},
        {"{\"a\":" TENSOR("[1]", "[0,4,8]") "}", 4, ERR_INVALID, "/a/data_offsets", "at most 2"},
        {"{\"a\":" TENSOR("[1]", "[0,8]") "}", 4, ERR_MALFORMED, "/a/data_offsets", "two places"},
        {"{\"a\":" TENSOR("[1]", "[4,0]") "}", 4, ERR_MALFORMED, "/a/data_offsets", "two places"},
        {"{\"a\":" TENSOR("[1]", "[-4,0]") "}", 4, ERR_MALFORMED, "/a/data_offsets", "below 0"},
        {"{\"a\":" TENSOR("[2]", "[0,4]") "}", 4, ERR_MALFORMED, "/a/data_offsets", "as far apart"},
        {"{\"a\":" TENSOR("[1]", "[0,4]") "}", 5, ERR_MALFORMED, "", "has 5 bytes of data"},
        {"{\"a\":" TENSOR("[1]", "[4,8]") "}", 8, ERR_MALFORMED, "", "leave a hole at byte 0"},
        {"{\"a\":" TENSOR("[1]", "[0,4]") ",\"b\":" TENSOR("[1]", "[8,12]") "}", 12, ERR_MALFORMED,
         "", "leave a hole at byte 4"},
        {"{\"a\":" TENSOR("[2]", "[0,8]") ",\"b\":" TENSOR("[2]", "[4,12]") "}", 12, ERR_MALFORMED,
         "", "overlap at byte 8"},
        {"{\"a\":" TENSOR("[1]", "[0,4]") ",\"b\":" TENSOR("[1]", "[0,4]") "}", 4, ERR_MALFORMED,
         "", "overlap"},
        {"{}", 1, ERR_MALFORMED, "", "has 1 bytes of data"},
        {"{\"__metadata__\":[]}", 0, ERR_MALFORMED, "", "object of strings"},
        {"{\"__metadata__\":{\"a\":1}}", 0, ERR_MALFORMED, "", "object of strings"},
        {"{\"__metadata__\":{\"a\":\"1\",\"a\":\"2\"}}", 0, ERR_MALFORMED, "/__metadata__/a",
         "twice"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        check_refused(rows[i].head, rows[i].data, rows[i].kind, rows[i].pointer, rows[i].part);
}

static void check_bytes_refused(const void *bytes, size_t count, const char *part)
{
    struct tensors t = {.list = NULL};
    struct json fields = {.root = NULL};
    struct err e;
    void *block = malloc(count + !count);
    assert_non_null(block);
    memcpy(block, bytes, count);
    assert_int_equal(safetensors_read(block, count, &t, &fields, &e), ERR_MALFORMED);
    if (!strstr(e.message, part))
        fail_msg("%zu bytes: %s", count, e.message);
    tensors_close(&t);
    json_close(&fields);
    free(block);
}

static void test_lengths(void **state)
{
    unsigned char file[24] = {2, 0, 0, 0, 0, 0, 0, 0, '{', '}'};
    (void)state;
    for (size_t n = 0; n < 8; n++)
        check_bytes_refused(file, n, "no safetensors file");
    check_bytes_refused(file, 8, "within its head");
    check_bytes_refused(file, 9, "within its head");
    check_bytes_refused(file, 11, "1 bytes of data");
    file[7] = 0x80;
    check_bytes_refused(file, sizeof file, "over 1048576 bytes");
    memset(file, 0xff, 8);
    check_bytes_refused(file, sizeof file, "over 1048576 bytes");
    memcpy(file, "\1\0\x10\0\0\0\0\0", 8); /* one more than the most */
    check_bytes_refused(file, sizeof file, "over 1048576 bytes");
    memcpy(file, "\0\0\x10\0\0\0\0\0", 8);
    check_bytes_refused(file, sizeof file, "within its head");
}

static void test_every_cut(void **state)
{
    static const char head[] = "{\"a\":" TENSOR("[2]", "[0,8]") "}";
    static const unsigned char data[8];
    size_t bytes;
    unsigned char *file = build(head, data, sizeof data, &bytes);
    (void)state;
    for (size_t n = 0; n < bytes; n++)
        check_bytes_refused(file, n, "");
    free(file);
}

/* To the byte: the widest types first, the data on a multiple of eight. */
static void test_writing(void **state)
{
    static const char head[] = "{\"__metadata__\":{\"step\":\"3\",\"la\\\"bel\":\"\"},"
                               "\"y\":{\"dtype\":\"I64\",\"shape\":[2],\"data_offsets\":[0,16]},"
                               "\"x\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[16,28]},"
                               "\"w\":{\"dtype\":\"F32\",\"shape\":[2,2],\"data_offsets\":[28,44]},"
                               "\"b\":{\"dtype\":\"BOOL\",\"shape\":[],\"data_offsets\":[44,45]}}";
    static const char *const metadata[] = {"step", "3", "la\"bel", "", NULL};
    float x[3] = {1, 2, 3}, w[4] = {1, 3, 2, 4};
    int64_t y[2] = {-1, 5};
    bool b = true;
    struct storage sx = {.data = x}, sy = {.data = y}, sw = {.data = w}, sb = {.data = &b};
    struct tensor tx, ty, tw, tb;
    struct json_out out = {0};
    (void)state;
    tensor_wrap(&tx, &sx, DTYPE_FLOAT32, &(struct shape){1, {3}}, 0);
    tensor_wrap(&ty, &sy, DTYPE_INT64, &(struct shape){1, {2}}, 0);
    tensor_wrap(&tw, &sw, DTYPE_FLOAT32, &(struct shape){2, {2, 2}}, 0);
    tensor_wrap(&tb, &sb, DTYPE_BOOL, &(struct shape){0, {0}}, 0);
    tw.stride[0] = 1;
    tw.stride[1] = 2;
    const struct named_tensor list[] = {{"b", &tb}, {"x", &tx}, {"w", &tw}, {"y", &ty}};
    safetensors_write(&out, metadata, list, 4);
    assert_true(json_out_end(&out));
    size_t length = (sizeof head - 1 + 7) / 8 * 8;
    assert_int_equal(out.bytes, 8 + length + 45);
    for (int i = 0; i < 8; i++)
        assert_int_equal((unsigned char)out.text[i], length >> 8 * i & 255);
    assert_memory_equal(out.text + 8, head, sizeof head - 1);
    for (size_t i = sizeof head - 1; i < length; i++)
        assert_int_equal(out.text[8 + i], ' ');
    const char *data = out.text + 8 + length;
    assert_memory_equal(data, y, 16);
    assert_memory_equal(data + 16, x, 12);
    assert_memory_equal(data + 28, ((const float[]){1, 2, 3, 4}), 16);
    assert_int_equal(data[44], 1);
    struct opened o = {.file = NULL};
    struct err e;
    assert_int_equal(safetensors_read(out.text, out.bytes, &o.t, &o.fields, &e), ERR_OK);
    assert_int_equal(o.t.count, 4);
    close_file(&o);
    json_out_close(&out);
}

static void test_numbers_as_text(void **state)
{
    char text[TEXT_OF_NUMBER];
    (void)state;
    assert_string_equal(text_of_int(INT64_MIN, text), "-9223372036854775808");
    assert_string_equal(text_of_real(DTYPE_FLOAT32, (double)0.1F, text), "0.1");
    assert_string_equal(text_of_real(DTYPE_FLOAT64, -2.2250738585072014e-308, text),
                        "-2.2250738585072014e-308");
    assert_string_equal(text_of_real(DTYPE_FLOAT64, NAN, text), "NaN");
    assert_string_equal(text_of_real(DTYPE_FLOAT32, -INFINITY, text), "-Infinity");
}

static int allowed;
static bool after_some(size_t bytes)
{
    (void)bytes;
    return allowed-- <= 0;
}

static void test_no_memory(void **state)
{
    static const char head[] = "{\"a\":" TENSOR("[2]", "[0,8]") ",\"__metadata__\":{\"k\":\"1\"}}";
    static const unsigned char data[8];
    size_t bytes;
    unsigned char *file = build(head, data, sizeof data, &bytes);
    enum err_kind rc = ERR_NOMEM;
    (void)state;
    for (int n = 0; rc == ERR_NOMEM; n++) {
        struct opened o = {.file = NULL};
        struct err e;
        assert_true(n < 1000);
        allowed = n;
        mem_fault = after_some;
        rc = safetensors_read(file, bytes, &o.t, &o.fields, &e);
        mem_fault = NULL;
        close_file(&o);
    }
    assert_int_equal(rc, ERR_OK);
    free(file);
}

static int set_up(void **state)
{
    (void)state;
    json_init();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_by_hand),   cmocka_unit_test(test_nothing),
        cmocka_unit_test(test_metadata),  cmocka_unit_test(test_hostile),
        cmocka_unit_test(test_lengths),   cmocka_unit_test(test_every_cut),
        cmocka_unit_test(test_writing),   cmocka_unit_test(test_numbers_as_text),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests_name("safetensors", tests, set_up, NULL);
}
