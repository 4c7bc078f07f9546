/* api/wire.h: numbers of every type into those of the engine: rounded once, or refused. */
#include "api/wire.h"

#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

/* An array of one dimension; where it lies, nothing is aligned. */
static struct wire array(enum wire_type type, const void *data, int64_t count)
{
    static unsigned char place[256];
    assert_true((size_t)count * wire_bytes(type) < sizeof place);
    memcpy(place + 1, data, (size_t)count * wire_bytes(type));
    return (struct wire){.type = type, .shape = {1, {count}}, .data = place + 1};
}

static void check_refused(const struct wire *w, enum dtype dtype, const char *pointer,
                          const char *message)
{
    double out[32];
    struct err e = {.kind = ERR_OK};
    assert_int_equal(wire_read(w, dtype, out, &e), ERR_INVALID);
    assert_string_equal(e.pointer, pointer);
    assert_string_equal(e.message, message);
}

static void test_halves(void **state)
{
    static const struct {
        uint16_t bits;
        double value;
    } halves[] =
        {
            {0x0000, 0},          {0x3c00, 1},        {0xbc00, -1},        {0x3555, 0x1.554p-2},
            {0x7bff, 65504},      {0x0001, 0x1p-24},  {0x03ff, 0x3ffp-24}, {0x0400, 0x1p-14},
            {0x83ff, -0x3ffp-24}, {0x7c00, INFINITY}, {0xfc00, -INFINITY},
        },
      brains[] = {
          {0x0000, 0},        {0x3f80, 1},          {0xc000, -2},       {0x4049, 3.140625},
          {0x0001, 0x1p-133}, {0x7f7f, 0x1.fep127}, {0x7f80, INFINITY},
      };
    struct err e;
    double x;
    float y;
    (void)state;
    for (size_t i = 0; i < sizeof halves / sizeof *halves; i++) {
        struct wire w = array(WIRE_F16, &halves[i].bits, 1);
        assert_int_equal(wire_read(&w, DTYPE_FLOAT64, &x, &e), ERR_OK);
        assert_int_equal(wire_read(&w, DTYPE_FLOAT32, &y, &e), ERR_OK);
        assert_true(x == halves[i].value && (double)y == x);
    }
    for (size_t i = 0; i < sizeof brains / sizeof *brains; i++) {
        struct wire w = array(WIRE_BF16, &brains[i].bits, 1);
        assert_int_equal(wire_read(&w, DTYPE_FLOAT64, &x, &e), ERR_OK);
        assert_int_equal(wire_read(&w, DTYPE_FLOAT32, &y, &e), ERR_OK);
        assert_true(x == brains[i].value && (double)y == x);
    }
    struct wire w = array(WIRE_F16, &(uint16_t){0x8000}, 1);
    assert_int_equal(wire_read(&w, DTYPE_FLOAT32, &y, &e), ERR_OK);
    assert_true(y == 0 && signbit(y));
    w = array(WIRE_F16, &(uint16_t){0x7e01}, 1);
    assert_int_equal(wire_read(&w, DTYPE_FLOAT32, &y, &e), ERR_OK);
    assert_true(isnan(y));
}

/* Once: by way of a double these would come out otherwise. */
static void test_rounded_once(void **state)
{
    const int64_t x[] = {(INT64_C(1) << 60) + (INT64_C(1) << 36) + 1, -3};
    const uint64_t u[] = {UINT64_MAX, (UINT64_C(1) << 63) + (UINT64_C(1) << 39) + 1};
    float y[2];
    struct err e;
    (void)state;
    struct wire w = array(WIRE_I64, x, 2);
    assert_int_equal(wire_read(&w, DTYPE_FLOAT32, y, &e), ERR_OK);
    assert_true(y[0] == 0x1.000002p60F && y[1] == -3);
    w = array(WIRE_U64, u, 2);
    assert_int_equal(wire_read(&w, DTYPE_FLOAT32, y, &e), ERR_OK);
    assert_true(y[0] == 0x1p64F && y[1] == 0x1.000002p63F);
}

static void test_too_large(void **state)
{
    const double x[] = {1, -INFINITY, NAN, FLT_MAX, 0x1.fffffefp127, 0x1.ffffffp127, 1};
    float y[6];
    struct err e;
    (void)state;
    struct wire w = array(WIRE_F64, x, 5);
    assert_int_equal(wire_read(&w, DTYPE_FLOAT32, y, &e), ERR_OK);
    assert_true(y[1] == -INFINITY && isnan(y[2]) && y[3] == FLT_MAX && y[4] == FLT_MAX);
    w = array(WIRE_F64, x, 7);
    check_refused(&w, DTYPE_FLOAT32, "/5", "is too large for float32");
    w.shape = (struct shape){2, {1, 7}};
    check_refused(&w, DTYPE_FLOAT32, "/0/5", "is too large for float32");
}

static void test_whole_numbers(void **state)
{
    static const char what[] = "must be an integer from -2^63 to 2^63 - 1";
    const double good[] = {3, -0.0, -0x1p63, 0x1.fffffffffffffp62},
                 bad[][2] = {{1, 0.5}, {1, 0x1p63}, {1, -INFINITY}, {1, NAN}};
    const uint64_t u[] = {INT64_MAX, UINT64_C(1) << 63};
    const int8_t small[] = {-128, 127};
    int64_t y[4];
    struct err e;
    (void)state;
    struct wire w = array(WIRE_F64, good, 4);
    assert_int_equal(wire_read(&w, DTYPE_INT64, y, &e), ERR_OK);
    assert_true(y[0] == 3 && y[1] == 0 && y[2] == INT64_MIN && y[3] == INT64_MAX - 1023);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        w = array(WIRE_F64, bad[i], 2);
        check_refused(&w, DTYPE_INT64, "/1", what);
    }
    w = array(WIRE_U64, u, 2);
    check_refused(&w, DTYPE_INT64, "/1", what);
    w = array(WIRE_I8, small, 2);
    assert_int_equal(wire_read(&w, DTYPE_INT64, y, &e), ERR_OK);
    assert_true(y[0] == -128 && y[1] == 127);
    w = array(WIRE_BOOL, small, 2);
    check_refused(&w, DTYPE_INT64, "", "must be numbers, not of type BOOL");
}

static void test_in_place(void **state)
{
    float x[2] = {1, 2};
    struct wire w = {.type = WIRE_F32, .shape = {1, {1}}, .data = (unsigned char *)x};
    (void)state;
    assert_true(wire_is_in_place(&w, DTYPE_FLOAT32));
    assert_false(wire_is_in_place(&w, DTYPE_FLOAT64));
    w.columns = true;
    assert_false(wire_is_in_place(&w, DTYPE_FLOAT32));
    w.columns = false;
    w.data++;
    assert_false(wire_is_in_place(&w, DTYPE_FLOAT32));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_halves),    cmocka_unit_test(test_rounded_once),
        cmocka_unit_test(test_too_large), cmocka_unit_test(test_whole_numbers),
        cmocka_unit_test(test_in_place),
    };
    return cmocka_run_group_tests_name("wire", tests, NULL, NULL);
}
