/* api/json_out.h: the text to the byte, and memory that runs out. */
#include "api/json_out.h"

#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "api/json_in.h"
#include "engine/mem.h"

static void check(struct json_out *w, const char *expected)
{
    assert_true(json_out_end(w));
    assert_string_equal(w->text, expected);
    assert_int_equal(w->bytes, strlen(expected));
    json_out_close(w);
    assert_null(w->text);
}

static void write_all(struct json_out *w)
{
    const float x[] = {0.1F, -2, NAN, INFINITY};
    const int64_t dim[] = {2, 2}, steps[] = {1, 2, 3};
    json_begin_object(w);
    json_key_string(w, "s", "a\"b");
    json_key_int(w, "i", -7);
    json_key_f64(w, "d", 0.1);
    json_key_real(w, "r", DTYPE_FLOAT32, (double)0.1F);
    json_key_bool(w, "b", true);
    json_key(w, "n");
    json_null(w);
    json_key(w, "o");
    json_begin_object(w);
    json_end_object(w);
    json_key(w, "l");
    json_begin_array(w);
    json_begin_array(w);
    json_end_array(w);
    json_bool(w, false);
    json_begin_object(w);
    json_key_string(w, "x", NULL);
    json_end_object(w);
    json_string(w, "");
    json_raw(w, "{\"raw\":1}", 9);
    json_end_array(w);
    json_key(w, "t");
    json_tensor(w, DTYPE_FLOAT32, x, dim, 2);
    json_key(w, "u");
    json_ints(w, steps, 3);
    json_end_object(w);
}

static const char *const all_text =
    "{\"s\":\"a\\\"b\",\"i\":-7,\"d\":0.1,\"r\":0.1,\"b\":true,\"n\":null,\"o\":{},\"l\":[[],false,"
    "{\"x\":null},\"\",{\"raw\":1}],\"t\":[[0.1,-2],[\"NaN\",\"Infinity\"]],\"u\":[1,2,3]}";

static void test_structure(void **state)
{
    (void)state;
    struct json_out w = {0};
    write_all(&w);
    check(&w, all_text);
    json_string(&w, "again");
    check(&w, "\"again\"");
    check(&w, "");
}

static void test_strings(void **state)
{
    (void)state;
    static const struct {
        const char *text, *expected;
    } rows[] = {
        {"", "\"\""},
        {"plain ~ \x7F", "\"plain ~ \x7F\""},
        {"\"\\/", "\"\\\"\\\\/\""},
        {"\b\f\n\r\t", "\"\\b\\f\\n\\r\\t\""},
        {"\x01\x1F\x0B", "\"\\u0001\\u001f\\u000b\""},
        {"\xC3\xA9\xE2\x82\xAC\xF0\x9D\x84\x9E", "\"\xC3\xA9\xE2\x82\xAC\xF0\x9D\x84\x9E\""},
        {"a\xFF"
         "b",
         "\"a\xEF\xBF\xBD"
         "b\""},
        {"\xC3", "\"\xEF\xBF\xBD\""},
        {"\xC0\x80", "\"\xEF\xBF\xBD\xEF\xBF\xBD\""},
        {"\xED\xA0\x80", "\"\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\""},
        {"\xE2\x82\xC3\xA9", "\"\xEF\xBF\xBD\xEF\xBF\xBD\xC3\xA9\""}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct json_out w = {0};
        json_string(&w, rows[i].text);
        check(&w, rows[i].expected);
        json_begin_object(&w);
        json_key(&w, rows[i].text);
        json_int(&w, 0);
        json_end_object(&w);
        assert_true(json_out_end(&w));
        assert_memory_equal(w.text + 1, rows[i].expected, strlen(rows[i].expected));
        json_out_close(&w);
    }
}

/* Every byte, alone, becomes JSON that is taken back. */
static void test_strings_all_bytes(void **state)
{
    (void)state;
    for (int byte = 1; byte < 256; byte++) {
        const char text[] = {(char)byte, '\0'};
        struct json_out w = {0};
        struct json j;
        struct err e;
        json_string(&w, text);
        assert_true(json_out_end(&w));
        assert_int_equal(json_parse(w.text, w.bytes, &j, &e), ERR_OK);
        assert_string_equal(j.root->valuestring, byte < 0x80 ? text : "\xEF\xBF\xBD");
        json_close(&j);
        json_out_close(&w);
    }
}

static void test_numbers(void **state)
{
    (void)state;
    struct json_out w = {0};
    json_begin_array(&w);
    json_int(&w, 0);
    json_int(&w, INT64_MIN);
    json_int(&w, INT64_MAX);
    json_f64(&w, -0.0);
    json_f64(&w, -DBL_MIN);
    json_f64(&w, 1e30);
    json_f64(&w, NAN);
    json_f64(&w, -INFINITY);
    json_real(&w, DTYPE_FLOAT32, (double)0.3F);
    json_real(&w, DTYPE_FLOAT64, (double)0.3F);
    json_real(&w, DTYPE_FLOAT32, INFINITY);
    json_end_array(&w);
    check(&w,
          "[0,-9223372036854775808,9223372036854775807,-0,-2.2250738585072014e-308,1e30,\"NaN\","
          "\"-Infinity\",0.3,0.30000001192092896,\"Infinity\"]");
}

static void test_tensors(void **state)
{
    (void)state;
    const double x[] = {1, 2.5, 3, 4, 5, 6, 7, 8};
    const int64_t y[] = {-1, 2};
    const struct {
        int rank;
        int64_t dim[3];
        const char *expected;
    } rows[] = {{0, {0}, "1"},
                {1, {0}, "[]"},
                {1, {1}, "[1]"},
                {1, {3}, "[1,2.5,3]"},
                {2, {2, 2}, "[[1,2.5],[3,4]]"},
                {2, {2, 0}, "[[],[]]"},
                {2, {0, 2}, "[]"},
                {3, {2, 2, 2}, "[[[1,2.5],[3,4]],[[5,6],[7,8]]]"},
                {3, {1, 3, 1}, "[[[1],[2.5],[3]]]"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct json_out w = {0};
        json_tensor(&w, DTYPE_FLOAT64, x, rows[i].dim, rows[i].rank);
        check(&w, rows[i].expected);
    }
    struct json_out w = {0};
    json_begin_array(&w);
    json_ints(&w, y, 2);
    json_ints(&w, y, 0);
    json_tensor(&w, DTYPE_INT64, y + 1, NULL, 0);
    json_end_array(&w);
    check(&w, "[[-1,2],[],2]");
}

/* A large tensor grows the buffer many times, and comes back bit for bit. */
static void test_round_trip(void **state)
{
    (void)state;
    enum { ROWS = 300, COLUMNS = 70 };
    const int64_t dim[] = {ROWS, COLUMNS};
    float *x = mem_array(ROWS * COLUMNS, sizeof *x), *y = mem_array(ROWS * COLUMNS, sizeof *y);
    struct json_out w = {0};
    struct json j;
    struct err e;
    assert_non_null(x);
    assert_non_null(y);
    for (int i = 0; i < ROWS * COLUMNS; i++)
        x[i] = sinf((float)i) * ldexpf(1, i % 250 - 140);
    x[5] = -INFINITY;
    json_tensor(&w, DTYPE_FLOAT32, x, dim, 2);
    assert_true(json_out_end(&w));
    assert_int_equal(json_parse(w.text, w.bytes, &j, &e), ERR_OK);
    assert_int_equal(json_tensor_read(&j, j.root, DTYPE_FLOAT32, y, &e), ERR_OK);
    assert_memory_equal(x, y, ROWS * COLUMNS * sizeof *x);
    json_close(&j);
    json_out_close(&w);
    mem_free(x);
    mem_free(y);
}

/* Rows of more numbers than are written at once, which stand apart, some of them no numbers, also
 * the first and the last of those: as a vector of one number each. */
static void test_long_rows(void **state)
{
    (void)state;
    enum { N = 600, APART = 3 };
    static const int none[] = {0, 1, 100, 255, 256, 257, 511, 512, N - 1};
    float x[N * APART];
    for (int i = 0; i < N * APART; i++)
        x[i] = (float)i / 7;
    for (size_t i = 0; i < sizeof none / sizeof *none; i++)
        x[none[i] * APART] = i % 2 ? NAN : -INFINITY;
    for (int64_t n = 0; n <= N; n++) {
        const int64_t dim[] = {1, n}, stride[] = {1, APART};
        struct json_out w = {0}, by_one = {0};
        json_strided(&w, DTYPE_FLOAT32, x, dim, stride, 2);
        json_begin_array(&by_one);
        json_begin_array(&by_one);
        for (int64_t i = 0; i < n; i++)
            json_real(&by_one, DTYPE_FLOAT32, (double)x[i * APART]);
        json_end_array(&by_one);
        json_end_array(&by_one);
        assert_true(json_out_end(&w) && json_out_end(&by_one));
        assert_string_equal(w.text, by_one.text);
        json_out_close(&w);
        json_out_close(&by_one);
    }
}

static void test_take(void **state)
{
    (void)state;
    struct json_out w = {0};
    size_t bytes;
    json_string(&w, "mine");
    assert_true(json_out_end(&w));
    char *text = json_out_take(&w, &bytes);
    assert_string_equal(text, "\"mine\"");
    assert_int_equal(bytes, 6);
    assert_null(w.text);
    mem_free(text);
    json_out_close(&w);
}

static uint64_t fault_at;

static bool fail_one(size_t bytes)
{
    (void)bytes;
    return fault_at-- == 0;
}

/* A failure anywhere is told at the end, even if there is memory again by then. */
static void test_no_memory(void **state)
{
    (void)state;
    bool fine = false;
    uint64_t n = 0;
    for (; !fine && n < 100; n++) {
        struct json_out w = {0};
        fault_at = n;
        mem_fault = fail_one;
        for (int i = 0; i < 10; i++)
            write_all(&w);
        fine = json_out_end(&w);
        mem_fault = NULL;
        json_out_close(&w);
    }
    assert_true(fine);
    assert_true(n > 3);
}

/* Room for what is told of before is made once, and for the end with it. */
static void test_expected_bytes(void **state)
{
    struct json_out w = {0};
    (void)state;
    json_expect(&w, 1000);
    const char *text = w.text;
    json_bytes(&w, "\x93NUM\0", 5);
    char *room = json_room(&w, 995);
    assert_true(room == text + 5);
    memset(room, 'x', 995);
    json_expect(&w, 0);
    assert_true(json_out_end(&w) && w.text == text && w.bytes == 1000 && w.room == 1001);
    assert_memory_equal(w.text, "\x93NUM\0xxx", 8);
    json_expect(&w, SIZE_MAX - 1000); /* more than a size holds */
    assert_false(json_out_end(&w));
    json_out_close(&w);
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
        cmocka_unit_test(test_structure),         cmocka_unit_test(test_strings),
        cmocka_unit_test(test_strings_all_bytes), cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_tensors),           cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_long_rows),         cmocka_unit_test(test_take),
        cmocka_unit_test(test_no_memory),         cmocka_unit_test(test_expected_bytes),
    };
    return cmocka_run_group_tests_name("json_out", tests, set_up, NULL);
}
