/* api/npy.h: what NumPy wrote, what is wrong, and what we write. */
#include "api/npy.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/mem.h"

/* Of tests/data/golden/npy/, in a block of its size. */
static unsigned char *golden(const char *name, size_t *bytes)
{
    char path[80], block[1024];
    snprintf(path, sizeof path, "tests/data/golden/npy/%s.npy", name);
    FILE *f = fopen(path, "rb");
    if (!f)
        fail_msg("%s is not there", path);
    *bytes = fread(block, 1, sizeof block, f);
    fclose(f);
    unsigned char *data = malloc(*bytes);
    assert_non_null(data);
    return memcpy(data, block, *bytes);
}

static void read_file(const char *name, unsigned char **data, struct wire *w)
{
    size_t bytes;
    struct err e;
    *data = golden(name, &bytes);
    if (npy_read(*data, bytes, w, &e))
        fail_msg("%s was refused: %s", name, e.message);
}

/* Every version, type and order gives the numbers that tests/data/gen_npy.py describes. */
static void test_golden(void **state)
{
    static const struct {
        const char *name;
        enum wire_type type;
        int rank;
        int64_t count;
    } files[] = {
        {"v1", WIRE_F32, 2, 6},      {"v2", WIRE_F32, 2, 6},    {"v3", WIRE_F32, 2, 6},
        {"f8", WIRE_F64, 2, 6},      {"f4", WIRE_F32, 2, 6},    {"f2", WIRE_F16, 2, 6},
        {"i8", WIRE_I64, 2, 6},      {"i4", WIRE_I32, 2, 6},    {"i2", WIRE_I16, 2, 6},
        {"i1", WIRE_I8, 2, 6},       {"u8", WIRE_U64, 2, 6},    {"u4", WIRE_U32, 2, 6},
        {"u2", WIRE_U16, 2, 6},      {"u1", WIRE_U8, 2, 6},     {"scalar", WIRE_F32, 0, 1},
        {"row", WIRE_F32, 1, 5},     {"deep", WIRE_F64, 8, 16}, {"empty", WIRE_F32, 2, 0},
        {"fortran", WIRE_F32, 2, 6},
    };
    (void)state;
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        struct wire w;
        struct err e;
        unsigned char *data;
        double wide[16];
        float narrow[16];
        int64_t whole[16];
        read_file(files[i].name, &data, &w);
        char kind = wire_descr(w.type)[1];
        assert_int_equal(w.type, files[i].type);
        assert_int_equal(w.shape.rank, files[i].rank);
        assert_int_equal(shape_count(&w.shape), files[i].count);
        assert_int_equal(w.columns, !strcmp(files[i].name, "fortran"));
        assert_int_equal(wire_read(&w, DTYPE_FLOAT64, wide, &e), ERR_OK);
        assert_int_equal(wire_read(&w, DTYPE_FLOAT32, narrow, &e), ERR_OK);
        for (int64_t k = 0; k < files[i].count; k++) {
            double want = kind == 'f' ? (double)k / 2 - 1 : (double)k - (kind == 'i');
            assert_true(wide[k] == want && (double)narrow[k] == want);
        }
        if (kind == 'f' && files[i].count > 1) { /* -1, -0.5, … */
            assert_int_equal(wire_read(&w, DTYPE_INT64, whole, &e), ERR_INVALID);
        } else {
            assert_int_equal(wire_read(&w, DTYPE_INT64, whole, &e), ERR_OK);
            for (int64_t k = 0; k < files[i].count; k++)
                assert_int_equal(whole[k], k - (kind != 'u'));
        }
        free(data);
    }
}

/* The element at fault is named by its place in the array, not in the file. */
static void test_fortran_pointer(void **state)
{
    struct wire w;
    struct err e;
    int64_t whole[6];
    unsigned char *data;
    (void)state;
    read_file("fortran", &data, &w); /* in the file: -1, 0.5, -0.5, 1, 0, 1.5 */
    assert_int_equal(wire_read(&w, DTYPE_INT64, whole, &e), ERR_INVALID);
    assert_string_equal(e.pointer, "/1/0");
    free(data);
}

static void check_refused(const char *what, const void *file, size_t bytes, enum err_kind kind,
                          const char *part)
{
    struct wire w;
    struct err e = {.kind = ERR_OK};
    void *block = malloc(bytes + !bytes); /* its own, so that reading on is seen */
    assert_non_null(block);
    memcpy(block, file, bytes);
    enum err_kind rc = npy_read(block, bytes, &w, &e);
    if (rc != kind || e.kind != kind || !strstr(e.message, part))
        fail_msg("%s: %d %s", what, rc, rc ? e.message : "");
    free(block);
}

static void test_what_no_tensor_is(void **state)
{
    static const struct {
        const char *name, *part;
    } files[] = {
        {"big_endian", "little-endian, not of type '>f4'"},
        {"complex", "not '<c8'"},
        {"nine", "at most 8 dimensions"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        size_t bytes;
        unsigned char *data = golden(files[i].name, &bytes);
        check_refused(files[i].name, data, bytes, ERR_INVALID, files[i].part);
        free(data);
    }
    size_t bytes;
    unsigned char *data = golden("record", &bytes);
    check_refused("record", data, bytes, ERR_MALFORMED, "a string that names a type");
    free(data);
    struct wire w;
    struct err e;
    float x[2];
    read_file("bool", &data, &w);
    assert_int_equal(wire_read(&w, DTYPE_FLOAT32, x, &e), ERR_INVALID);
    assert_non_null(strstr(e.message, "not of type BOOL"));
    free(data);
}

/* A file of version 1.0 with this literal and so many bytes behind it. */
static size_t build(char *out, const char *literal, size_t data)
{
    size_t n = strlen(literal);
    memcpy(out, "\x93NUMPY\1\0", 8);
    out[8] = (char)(n & 255);
    out[9] = (char)(n >> 8);
    memcpy(out + 10, literal, n);
    memset(out + 10 + n, 0, data);
    return 10 + n + data;
}

#define HEAD(shape) "{'descr': '<f4', 'fortran_order': False, 'shape': " shape ", }\n"

static void test_hostile_heads(void **state)
{
    static const struct {
        const char *literal;
        size_t data;
        enum err_kind kind;
        const char *part;
    } rows[] = {
        {HEAD("(2, 3)"), 23, ERR_MALFORMED, "23 bytes of numbers, where 6 of type '<f4'"},
        {HEAD("(2, 3)"), 25, ERR_MALFORMED, "25 bytes"},
        {HEAD("(2, 3)"), 0, ERR_MALFORMED, "0 bytes"},
        {HEAD("(4611686018427387904,)"), 0, ERR_MALFORMED, "0 bytes"}, /* times 4 is 2^64 */
        {HEAD("(9223372036854775807, 2)"), 8, ERR_INVALID, ""},
        {HEAD("(9223372036854775808,)"), 8, ERR_MALFORMED, "below 2^63"},
        {HEAD("(99999999999999999999,)"), 8, ERR_MALFORMED, "below 2^63"},
        {HEAD("(-1,)"), 8, ERR_MALFORMED, "whole numbers"},
        {HEAD("(2"), 8, ERR_MALFORMED, "tuple"},
        {HEAD("(2)"), 8, ERR_MALFORMED, "tuple"},
        {HEAD("(2 3)"), 24, ERR_MALFORMED, "tuple"},
        {HEAD("(,)"), 4, ERR_MALFORMED, "tuple"},
        {HEAD("[2]"), 8, ERR_MALFORMED, "tuple"},
        {HEAD("2"), 8, ERR_MALFORMED, "tuple"},
        {HEAD("(2.0,)"), 8, ERR_MALFORMED, "tuple"},
        {"", 0, ERR_MALFORMED, "head cannot be read"},
        {"{}", 0, ERR_MALFORMED, "descr, fortran_order and shape"},
        {"{,}", 0, ERR_MALFORMED, "head cannot be read"},
        {"{'descr': '<f4', 'shape': (2,)}", 8, ERR_MALFORMED, "descr, fortran_order and shape"},
        {"{'descr': '<f4', 'descr': '<f8', 'shape': (2,)}", 8, ERR_MALFORMED,
         "wrong key, \"descr\""},
        {"{'descr': '<f4', 'more': 1}", 8, ERR_MALFORMED, "wrong key, \"more\""},
        {"{'descr' '<f4'}", 8, ERR_MALFORMED, "head cannot be read"},
        {"{descr: '<f4'}", 8, ERR_MALFORMED, "head cannot be read"},
        {"{'descr': <f4}", 8, ERR_MALFORMED, "a string"},
        {"{'descr': '<f4", 0, ERR_MALFORMED, "a string"},
        {"{'descr': '\\x3cf4'}", 0, ERR_MALFORMED, "a string"},
        {"{'descr': '|O'}", 0, ERR_INVALID, "not '|O'"},
        {"{'descr': ''}", 0, ERR_INVALID, "not ''"},
        {"{'fortran_order': 0}", 0, ERR_MALFORMED, "True or False"},
        {"{'fortran_order': ", 0, ERR_MALFORMED, "True or False"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (2,)", 8, ERR_MALFORMED,
         "cannot be read"},
        {"{'descr': '<f4', 'fortran_order': False 'shape': (2,)}", 8, ERR_MALFORMED,
         "cannot be read"},
        {HEAD("(2,)") "{", 8, ERR_MALFORMED, "descr, fortran_order and shape"},
    };
    char file[512];
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        check_refused(rows[i].literal, file, build(file, rows[i].literal, rows[i].data),
                      rows[i].kind, rows[i].part);
}

/* What Python takes for the same literal. */
static void test_other_spellings(void **state)
{
    static const char *const heads[] = {
        "{'descr': '<f4', 'fortran_order': False, 'shape': (2,)}",
        "{\"shape\":(2,),\"descr\":\"<f4\",\"fortran_order\":False,}   \n",
        " { 'shape' : ( 2 , ) , 'fortran_order' : True , 'descr' : '<f4' } ",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 1, )}",
    };
    char file[512];
    (void)state;
    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++) {
        struct wire w;
        struct err e;
        float x[2];
        if (npy_read(file, build(file, heads[i], 8), &w, &e))
            fail_msg("%s: %s", heads[i], e.message);
        assert_int_equal(wire_read(&w, DTYPE_FLOAT32, x, &e), ERR_OK);
    }
}

static void test_every_cut(void **state)
{
    static const char *const names[] = {"v1", "v2", "v3"};
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        size_t bytes;
        unsigned char *data = golden(names[i], &bytes);
        for (size_t n = 0; n < bytes; n++)
            check_refused(names[i], data, n, ERR_MALFORMED, "");
        unsigned char version = data[6];
        data[6] = 4;
        check_refused("4.0", data, bytes, ERR_MALFORMED, "version 4.0");
        data[6] = 0;
        check_refused("0.0", data, bytes, ERR_MALFORMED, "version 0.0");
        data[6] = version;
        data[7] = 1;
        check_refused("x.1", data, bytes, ERR_MALFORMED, ".1: 1.0 to 3.0");
        data[7] = 0;
        memset(data + 8, 0xff, version == 1 ? 2 : 4); /* the head's length */
        check_refused("longest head", data, bytes, ERR_MALFORMED, "ends within its head");
        free(data);
    }
}

/* The bytes of a file that NumPy wrote come out again, whatever the tensor's strides. */
static void test_writing(void **state)
{
    float rows[6], columns[6];
    struct storage by_row = {.data = rows}, by_column = {.data = columns};
    struct tensor t;
    size_t bytes;
    unsigned char *want = golden("v1", &bytes);
    (void)state;
    for (int i = 0; i < 6; i++)
        rows[i] = columns[i % 3 * 2 + i / 3] = (float)i / 2 - 1;
    tensor_wrap(&t, &by_row, DTYPE_FLOAT32, &(struct shape){2, {2, 3}}, 0);
    for (int turned = 0; turned < 2; turned++) {
        struct json_out w = {0};
        npy_write(&w, &t);
        assert_true(json_out_end(&w));
        assert_int_equal(w.bytes, bytes);
        assert_memory_equal(w.text, want, bytes);
        json_out_close(&w);
        t.storage = &by_column;
        t.stride[0] = 1;
        t.stride[1] = 2;
    }
    free(want);
}

static void test_writing_shapes(void **state)
{
    double x[16] = {1, 2, 3};
    struct storage storage = {.data = x};
    static const struct shape shapes[] = {
        {0, {0}}, {1, {5}}, {2, {0, 3}}, {8, {1, 2, 1, 2, 1, 2, 1, 2}}, {3, {1, 1, 16}}};
    (void)state;
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        for (int dtype = 0; dtype < DTYPE_COUNT; dtype++) {
            struct json_out out = {0};
            struct tensor t;
            struct wire w;
            struct err e;
            tensor_wrap(&t, &storage, (enum dtype)dtype, &shapes[i], 0);
            npy_write(&out, &t);
            assert_true(json_out_end(&out));
            size_t data = (size_t)tensor_count(&t) * dtype_bytes(t.dtype);
            assert_int_equal((out.bytes - data) % 64, 0);
            assert_int_equal(npy_read(out.text, out.bytes, &w, &e), ERR_OK);
            assert_true(shape_equal(&w.shape, &shapes[i]));
            assert_int_equal(w.type, wire_of_dtype(t.dtype));
            assert_memory_equal(w.data, x, data);
            json_out_close(&out);
        }
}

static bool no_memory(size_t bytes)
{
    (void)bytes;
    return true;
}

static void test_no_memory(void **state)
{
    float x[2] = {0};
    struct storage storage = {.data = x};
    struct json_out w = {0};
    struct tensor t;
    struct wire in;
    struct err e;
    unsigned char *data;
    float numbers[6];
    (void)state;
    tensor_wrap(&t, &storage, DTYPE_FLOAT32, &(struct shape){1, {2}}, 0);
    read_file("fortran", &data, &in);
    mem_fault = no_memory;
    npy_write(&w, &t);
    assert_false(json_out_end(&w));
    assert_int_equal(wire_read(&in, DTYPE_FLOAT32, numbers, &e), ERR_NOMEM);
    mem_fault = NULL;
    json_out_close(&w);
    free(data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden),
        cmocka_unit_test(test_fortran_pointer),
        cmocka_unit_test(test_what_no_tensor_is),
        cmocka_unit_test(test_hostile_heads),
        cmocka_unit_test(test_other_spellings),
        cmocka_unit_test(test_every_cut),
        cmocka_unit_test(test_writing),
        cmocka_unit_test(test_writing_shapes),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests_name("npy", tests, NULL, NULL);
}
