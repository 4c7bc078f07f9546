/* engine/decimal.h against glibc: strtod and strtof judge what is read, a search with printf what
 * is written. DECIMAL_LONG=1 in the environment runs through all 2^32 floats (some minutes). */
#include "engine/decimal.h"
#include "engine/kernels.h"

#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/big.h"
#include "engine/decimal_power.h"

#define RANDOM_PATTERNS 300000
#define RANDOM_SHORTEST 20000

static uint64_t random_state = 0x9E3779B97F4A7C15;

/* xorshift64 */
static uint64_t random_next(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

static double f64_of(uint64_t pattern)
{
    double x;
    memcpy(&x, &pattern, sizeof x);
    return x;
}

static float f32_of(uint32_t pattern)
{
    float x;
    memcpy(&x, &pattern, sizeof x);
    return x;
}

static uint64_t pattern_of(double x)
{
    uint64_t pattern;
    memcpy(&pattern, &x, sizeof x);
    return pattern;
}

static uint32_t pattern_of_f32(float x)
{
    uint32_t pattern;
    memcpy(&pattern, &x, sizeof x);
    return pattern;
}

/* The readers give what glibc gives, and stop where the number does. The text stands at the end of
 * its own block, so that reading on would be seen by the address sanitizer. */
static void check_read_before(const char *text, const char *tail)
{
    size_t bytes = strlen(text), more = strlen(tail);
    char *block = malloc(bytes + more);
    assert_non_null(block);
    memcpy(block, text, bytes);
    memcpy(block + bytes, tail, more);
    double x = 7;
    float y = 7;
    const char *end = block + bytes + more;
    bool whole = decimal_read_f64(block, end, &x) == block + bytes;
    whole = whole && decimal_read_f32(block, end, &y) == block + bytes;
    for (const char *const *isa = kernels_names; *isa; isa++) {
        const struct kernels *k = kernels_find(*isa);
        const char *at = block;
        float z = 7;
        whole = whole && (!k || (k->read_floats(&at, end, &z, 1) == 1 && at == block + bytes &&
                                 pattern_of_f32(z) == pattern_of_f32(y)));
    }
    free(block);
    if (!whole || pattern_of(x) != pattern_of(strtod(text, NULL)) ||
        pattern_of_f32(y) != pattern_of_f32(strtof(text, NULL)))
        fail_msg("%.60s%.2s read as %a and %a, not %a and %a", text, tail, x, (double)y,
                 strtod(text, NULL), (double)strtof(text, NULL));
}

/* With nothing behind a number the readers go byte by byte, with more than that in long steps. */
static void check_read(const char *text)
{
    check_read_before(text, "");
    check_read_before(text, ",1234567890123456789012345678901234567890");
    check_read_before(text, "]}");
}

static void test_read_hard(void **state)
{
    (void)state;
    static const char *const hard[] = {
        "0",
        "-0",
        "0.0",
        "-0e5",
        "0e999999999999",
        "1",
        "3",
        "0.1",
        "-1.5e-3",
        "1E5",
        "1e+5",
        "1e23",
        "8.5e22",
        "9007199254740992",
        "9007199254740993",
        "9007199254740993.0",
        "9007199254740993.00000000000000000000000000000000000000000000000001",
        "9007199254740992.99999999999999999999999999999999999999999999999999",
        "2.2250738585072011e-308",
        "2.2250738585072012e-308",
        "2.2250738585072014e-308",
        "4.9e-324",
        "5e-324",
        "2.4703282292062327e-324",
        "2.4703282292062328e-324",
        "2.47032822920623272088284396434110686182e-324",
        "1e-323",
        "1.5e-323",
        "3e-324",
        "2e-324",
        "1.7976931348623157e308",
        "1.7976931348623158e308",
        "1.7976931348623159e308",
        "179769313486231580793728971405303415079934132710037826936173778980444968292764750946649017"
        "977587207096330286416692887910946555547851940402630657488671505820681908902000708383676273"
        "854845817711531764475730270069855571366959622842914819860834936475292719074168444365510704"
        "342711559699508093042880",
        "1e308",
        "1e309",
        "1e400",
        "-1e400",
        "1e99999999999999999999999",
        "1e-400",
        "1e-99999999999999999999999",
        "123456789012345678",
        "1234567890123456789",
        "12345678901234567890",
        "123456789012345678901234567890",
        "18446744073709551615",
        "18446744073709551616",
        "0.000000000000000000000000000000000000000000000000000000001",
        "0.30000000000000004",
        "0.1000000000000000055511151231257827021181583404541015625",
        "6.631236846766476e-316",
        "3.2378839133029012895883524125015321748630094e-319",
        "1.4012984643e-45",
        "7.0064923216240853e-46",
        "7.0064923216240854e-46",
        "7.0064923216240861e-46",
        "7.1e-46",
        "1.17549435e-38",
        "1.17549429e-38",
        "1.1754943e-38",
        "3.4028234e38",
        "3.4028235e38",
        "3.4028235677973366e38",
        "3.4028235677973365e38",
        "3.4028236e38",
        "3.5e38",
        "16777216",
        "16777217",
        "16777219",
        "16777217.0000000000000001",
        "1.00000017881393421514957253748434595763683319091796875001",
        "1.00000017881393432617187499",
        "1.00000017881393432617187500",
        "1.000000059604644775390625",
        "1.00000005960464477539062500000000000000000000001",
        "7.2057594037927933e16",
        "7.2057594037927928e16",
        "5708990770823839524233143877797980545530986496.0",
        "89255.0e-22",
        "104110013277974872254e-225",
        "1e-23",
        "1e22",
        "1e-22",
        "9.5e-322"};
    for (size_t i = 0; i < sizeof hard / sizeof *hard; i++)
        check_read(hard[i]);
}

static void check_read_exponents(const char *digits)
{
    char text[64];
    for (int exponent = -400; exponent <= 400; exponent++) {
        snprintf(text, sizeof text, "%se%d", digits, exponent);
        check_read(text);
    }
}

static void test_read_all_exponents(void **state)
{
    (void)state;
    check_read_exponents("1");
    check_read_exponents("9");
    check_read_exponents("-1.2345678901234567");
    check_read_exponents("9999999999999999999");
    check_read_exponents("1000000000000000000000001");
}

/* 700 to 1200 digits, before and behind the point. */
static void test_read_long(void **state)
{
    (void)state;
    char text[1600];
    for (int i = 0; i < 300; i++) {
        int digits = 700 + (int)(random_next() % 500), point = (int)(random_next() % 700);
        for (int d = 0; d <= digits; d++)
            text[d] = (char)('0' + random_next() % 10);
        text[0] = '1';
        text[point + 1] = '.';
        snprintf(text + digits + 1, 16, "e%d", (int)(random_next() % 700) - 400 - point / 2);
        check_read(text);
    }
    memset(text, '0', sizeof text);
    memcpy(text, "0.", 2);
    memcpy(text + 1200, "123e1190", sizeof "123e1190");
    check_read(text);
    memset(text, '0', sizeof text);
    text[0] = '7';
    memcpy(text + 1200, "e-1250", sizeof "e-1250");
    check_read(text);
}

/* The exact middle of x and the next one, as text; then a tail that puts it just above, and a
 * smaller last digit that puts it just below. long double has bits to spare for the middle. */
static void check_middle(long double middle)
{
    char text[2400], near[2500];
    snprintf(text, sizeof text, "%.1150Le", middle);
    char *e = strchr(text, 'e');
    assert_non_null(e);
    char *last = e - 1;
    check_read(text);
    snprintf(near, sizeof near, "%.*s%0*d%s", (int)(e - text), text, 40, 1, e);
    check_read(near);
    while (*last == '0')
        last--;
    assert_true('1' <= *last && *last <= '9');
    --*last;
    check_read(text);
}

static void test_read_middles(void **state)
{
    (void)state;
    if (LDBL_MANT_DIG <= DBL_MANT_DIG)
        skip();
    for (int i = 0; i < 300; i++) {
        double x = f64_of(random_next() >> 1);
        if (i % 3 == 0)
            x = f64_of(random_next() >> (12 + random_next() % 50)); /* a subnormal */
        float y = f32_of((uint32_t)random_next() >> (1 + random_next() % 20));
        if (isfinite(x) && x < DBL_MAX)
            check_middle(((long double)x + (long double)nextafter(x, INFINITY)) / 2);
        if (isfinite(y) && y < FLT_MAX)
            check_middle(((long double)y + (long double)nextafterf(y, INFINITY)) / 2);
    }
}

static void test_read_random(void **state)
{
    (void)state;
    char text[64];
    for (int i = 0; i < RANDOM_PATTERNS; i++) {
        double x = f64_of(random_next());
        float y = f32_of((uint32_t)random_next());
        if (!isfinite(x) || !isfinite(y))
            continue;
        snprintf(text, sizeof text, "%.*e", (int)(random_next() % 25), i % 2 ? x : (double)y);
        check_read(text);
    }
}

static char *put_random_digits(char *out, int n)
{
    for (int i = 0; i < n; i++)
        *out++ = (char)('0' + random_next() % 10);
    return out;
}

/* So many digits before the point, behind it, and in the exponent; -1: no such part. */
static void check_read_form(int whole, int fraction, int exponent)
{
    char text[96], *p = text;
    if (random_next() % 2)
        *p++ = '-';
    char *first = p;
    p = put_random_digits(p, whole);
    if (whole > 1 && *first == '0')
        *first = '7';
    if (fraction > 0)
        *p++ = '.';
    p = put_random_digits(p, fraction);
    if (exponent > 0)
        p += snprintf(p, 4, "%s%s", random_next() % 2 ? "e" : "E",
                      (const char *const[]){"", "+", "-"}[random_next() % 3]);
    p = put_random_digits(p, exponent);
    *p = '\0';
    check_read(text);
}

static void test_read_forms(void **state)
{
    (void)state;
    for (int whole = 1; whole <= 34; whole++)
        for (int fraction = 0; fraction <= 34; fraction++)
            for (int exponent = 0; exponent <= 4; exponent++)
                for (int times = 0; times < 8; times++)
                    check_read_form(whole, fraction, exponent);
}

/* In the middle of two floats, and just beside it, with few enough digits for the short ways. */
static void test_read_short_middles(void **state)
{
    (void)state;
    char text[64];
    /* here a double that is rounded several times is in the middle, or up to two units beside it */
    check_read("2.748966336250305176");
    check_read("4086338.37500000002");
    check_read("0.49781350791454315");
    check_read("0.49805764853954315");
    for (int i = 0; i < 20000; i++) {
        unsigned m = 1u << 23 | (unsigned)random_next() % (1u << 23);
        int exponent = (int)(random_next() % 3) - 1;
        static const char *const tails[] = {"5",           "50000000000",      "50000000001",
                                            "49999999999", "5000000000000001", "4999999999999999"};
        snprintf(text, sizeof text, "%u.%se%d", m, tails[i % 6], exponent);
        check_read(text);
        snprintf(text, sizeof text, "%u.%s", m, tails[i % 6]);
        check_read(text);
        snprintf(text, sizeof text, "%.12g", (double)(2 * m + 1) / (double)(2u << (i % 20)));
        check_read(text);
    }
}

/* Whatever byte comes behind a number, it ends there. */
static void test_read_ends(void **state)
{
    (void)state;
    for (int c = 1; c < 256; c++) {
        char tail[48];
        snprintf(tail, sizeof tail, "%c.e-+9876543210.0123456789,0000000000000", c);
        if ((c >= '0' && c <= '9') || c == 'e' || c == 'E')
            continue;
        check_read_before("1.25", tail);
        check_read_before("-0.012345678901234567", tail);
        check_read_before("3e-7", tail);
        if (c != '.') {
            check_read_before("12345678", tail);
            check_read_before("0", tail);
        }
    }
}

static void check_row(const char *text, size_t room, size_t count, size_t bytes)
{
    size_t length = strlen(text);
    char *block = malloc(length);
    assert_non_null(block);
    memcpy(block, text, length);
    for (const char *const *isa = kernels_names; *isa; isa++) {
        const struct kernels *k = kernels_find(*isa);
        const char *at = block;
        float x[8];
        if (!k)
            continue;
        assert_int_equal(k->read_floats(&at, block + length, x, room), count);
        assert_int_equal(at - block, bytes);
        for (size_t i = 0; i < count; i++)
            assert_true(x[i] == (float)(i + 1));
    }
    free(block);
}

static void test_read_row(void **state)
{
    (void)state;
    check_row("1,2,3", 8, 3, 5);
    check_row("1,2,3", 2, 2, 3);
    check_row("1,2,3", 0, 0, 0);
    check_row("1 ,2", 8, 1, 1);
    check_row("1, \n\r\t2.0,3e0]", 8, 3, 13);
    check_row("1,2,", 8, 2, 3);
    check_row("1,2, ", 8, 2, 3);
    check_row("1,2,-", 8, 2, 3);
    check_row("1,2,01,3", 8, 2, 3);
    check_row("1,2,3.,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19", 8, 2, 3);
    check_row("1,2,,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19", 8, 2, 3);
    check_row("1,2,\"NaN\",4,5,6,7,8,9,10,11,12,13,14,15,16,17,18", 8, 2, 3);
    check_row("x", 8, 0, 0);
    check_row("", 8, 0, 0);
    check_row("1,2]3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19", 8, 2, 3);
    check_row("1, 2] 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15", 8, 2, 4);
    /* where the next comma is, is not where the number ends */
    check_row("1,2,3, 4 ,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19", 8, 4, 8);
    check_row("1,  2,3,4,\t5,6, 7]  ,8,9,10,11,12,13,14,15,16,17", 8, 7, 17);
    check_row("1,2}      ,                                      ", 8, 2, 3);
    /* nor is one near: the number has 31, 32 and 33 characters */
    check_row("1.00000000000000000000000000000] 2, 3, 4, 5, 6, 7, 8", 8, 1, 31);
    check_row("1.000000000000000000000000000000] 2, 3, 4, 5, 6, 7, 8", 8, 1, 32);
    check_row("1.0000000000000000000000000000000, 2, 3, 4, 5, 6, 7, 8", 8, 8, 54);
    check_row("1.000000000000000000000000000000, 2, 3, 4, 5, 6, 7, 8", 8, 8, 53);
}

#define ROW_MOST 40

/* A number as clients write them, and what it is. */
static char *put_form(char *p, float *x)
{
    int digits = (int)(random_next() % 18);
    double value = ldexp((double)(int64_t)random_next(), -(int)(random_next() % 90));
    char *behind = p;
    if (random_next() % 8 == 0)
        value = 0;
    switch (random_next() % 4) {
    case 0:
        behind += sprintf(p, "%.17g", value);
        break;
    case 1:
        behind += sprintf(p, "%.*g", digits, value);
        break;
    case 2:
        behind += sprintf(p, "%.*f", digits, value);
        break;
    default:
        behind += sprintf(p, "%.*e", digits, value);
        break;
    }
    *x = strtof(p, NULL);
    return behind;
}

/* A row is read as its numbers are, one by one; and no further than up to what is no number. */
static void check_random_row(void)
{
    static const char *const gaps[] = {",", ", ", ",\n   ", ",  "};
    /* with much behind them, as a plain number is looked for only there */
    static const char *const tails[] = {"",    "]",      ",\"NaN\"", ",01, 5",
                                        ",.5", ", -, 7", " , 8",     "] , 8"};
    static const char more[] = ",1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1";
    char text[ROW_MOST * 64];
    float expected[ROW_MOST], x[ROW_MOST];
    size_t count = 1 + random_next() % ROW_MOST, usual = random_next() % 4;
    char *p = put_form(text, expected);
    for (size_t i = 1; i < count; i++) {
        p = stpcpy(p, gaps[random_next() % 8 ? usual : random_next() % 4]);
        p = put_form(p, &expected[i]);
    }
    size_t tail = random_next() % 8;
    char *end = stpcpy(p, tails[tail]);
    if (tail > 0)
        end = stpcpy(end, more);
    char *block = malloc((size_t)(end - text)); /* so that reading on would be seen */
    assert_non_null(block);
    memcpy(block, text, (size_t)(end - text));
    for (const char *const *isa = kernels_names; *isa; isa++) {
        const struct kernels *k = kernels_find(*isa);
        const char *at = block;
        if (!k)
            continue;
        assert_int_equal(k->read_floats(&at, block + (end - text), x, ROW_MOST), count);
        assert_int_equal(at - block, p - text);
        for (size_t i = 0; i < count; i++)
            assert_int_equal(pattern_of_f32(x[i]), pattern_of_f32(expected[i]));
    }
    free(block);
}

static void test_read_rows(void **state)
{
    (void)state;
    for (int i = 0; i < 10000; i++)
        check_random_row();
}

static void check_refused(const char *text, const char *tail)
{
    char block[96];
    const char *end = block + snprintf(block, sizeof block, "%s%s", text, tail);
    double x;
    float y;
    int64_t z;
    if (decimal_read_f64(block, end, &x) || decimal_read_f32(block, end, &y) ||
        decimal_read_i64(block, end, &z))
        fail_msg("\"%s\" was read", block);
    for (const char *const *isa = kernels_names; *isa; isa++) {
        const struct kernels *k = kernels_find(*isa);
        const char *at = block;
        assert_true(!k || k->read_floats(&at, end, &y, 1) == 0);
        assert_ptr_equal(at, block);
    }
}

static void test_read_refuses(void **state)
{
    (void)state;
    static const char *const wrong[] = {"",   "-",    "+1",   ".5",  "-.5", "01",  "-01", "00",
                                        "1.", "1.e5", "1e",   "1e+", "1e-", "1ex", "NaN", "nan",
                                        "x",  " 1",   "-inf", "inf", ",",   "1.x", "--1", "\xB2"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        char row[96];
        check_refused(wrong[i], "");
        check_refused(wrong[i], ",12345678901234567890123456789012345");
        if (*wrong[i] == ' ') /* fine behind a comma */
            continue;
        snprintf(row, sizeof row, "1,2,%s,12345678901234567890123456789012345", wrong[i]);
        check_row(row, 8, 2, 3);
        snprintf(row, sizeof row, "1, 2, %s, 12345678901234567890123456789012345", wrong[i]);
        check_row(row, 8, 2, 4);
    }
}

static void test_read_longest(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int bytes;
    } rows[] = {{"1,2", 1}, {"0x10", 1},  {"-2.5]", 4},         {"1e5e5", 3},
                {"1 ", 1},  {"0.5.5", 3}, {"12345678901,", 11}, {"1.12345678e-12f", 14}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        double x;
        const char *text = rows[i].text;
        assert_ptr_equal(decimal_read_f64(text, text + strlen(text), &x), text + rows[i].bytes);
    }
    double x;
    assert_non_null(decimal_read_f64("12345", &"12345"[2], &x)); /* end is in the number */
}

static void test_read_i64(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool fine;
        int64_t x;
    } rows[] = {{"0", true, 0},
                {"-0", true, 0},
                {"0e99999999999", true, 0},
                {"0.000e-5", true, 0},
                {"7", true, 7},
                {"3.0", true, 3},
                {"1e2", true, 100},
                {"-1.50e1", true, -15},
                {"1500e-2", true, 15},
                {"9223372036854775807", true, INT64_MAX},
                {"9223372036854775807.000000000000000000000000000", true, INT64_MAX},
                {"-9223372036854775808", true, INT64_MIN},
                {"9223372036854775807"
                 "00000000000000000000000"
                 "e-23",
                 true, INT64_MAX},
                {"1e18", true, 1000000000000000000},
                {"9223372036854775808", false, 0},
                {"-9223372036854775809", false, 0},
                {"18446744073709551616", false, 0},
                {"1e19", false, 0},
                {"1e99999999999", false, 0},
                {"1.5", false, 0},
                {"1e-1", false, 0},
                {"1e-99999999999", false, 0},
                {"1.00000000000000000000000000001", false, 0},
                {"12345678901234567890123e-10", false, 0}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        for (int more = 0; more <= 40; more += 40) {
            char text[128];
            int64_t x = 0;
            const char *end = text + snprintf(text, sizeof text, "%s", rows[i].text);
            memset(text + (end - text), ']', sizeof text - (size_t)(end - text));
            bool fine = decimal_read_i64(text, end + more, &x) == end;
            if (fine != rows[i].fine || (fine && x != rows[i].x))
                fail_msg("%s read as %lld", rows[i].text, (long long)x);
        }
    }
}

/* ---- writing ------------------------------------------------------------------------------- */

static void check_text_f64(double x, const char *expected)
{
    char *block = malloc(DECIMAL_F64_BYTES);
    assert_non_null(block);
    size_t bytes = decimal_write_f64(x, block);
    if (bytes != strlen(expected) || memcmp(block, expected, bytes) != 0)
        fail_msg("%a written as %.*s, not %s", x, (int)bytes, block, expected);
    free(block);
}

static void check_text_f32(float x, const char *expected)
{
    char *block = malloc(DECIMAL_F32_BYTES);
    assert_non_null(block);
    size_t bytes = decimal_write_f32(x, block);
    if (bytes != strlen(expected) || memcmp(block, expected, bytes) != 0)
        fail_msg("%a written as %.*s, not %s", (double)x, (int)bytes, block, expected);
    free(block);
}

static void test_write_format(void **state)
{
    (void)state;
    check_text_f64(0, "0");
    check_text_f64(-0.0, "-0");
    check_text_f64(1, "1");
    check_text_f64(-3, "-3");
    check_text_f64(100, "100");
    check_text_f64(0.1, "0.1");
    check_text_f64(0.5, "0.5");
    check_text_f64(-123.456, "-123.456");
    check_text_f64(0.30000000000000004, "0.30000000000000004");
    check_text_f64(1e-5, "0.00001");
    check_text_f64(1.2345678901234567e-5, "0.000012345678901234568");
    check_text_f64(9.99e-6, "9.99e-6");
    check_text_f64(1e15, "1000000000000000");
    check_text_f64(9007199254740992, "9007199254740992");
    check_text_f64(9999999999999998, "9999999999999998");
    check_text_f64(1e16, "1e16");
    check_text_f64(1e30, "1e30");
    check_text_f64(1e23, "1e23");
    check_text_f64(9.5367431640625e-7, "9.5367431640625e-7");
    check_text_f64(5e-324, "5e-324");
    check_text_f64(DBL_MAX, "1.7976931348623157e308");
    check_text_f64(-DBL_MIN, "-2.2250738585072014e-308");
    check_text_f64(9007199254740996, "9007199254740996");
    check_text_f32(0.0F, "0");
    check_text_f32(-0.0F, "-0");
    check_text_f32(3.0F, "3");
    check_text_f32(0.1F, "0.1");
    check_text_f32(16777216.0F, "16777216");
    check_text_f32(123456789.0F, "123456790");
    check_text_f32(999999936.0F, "999999940");
    check_text_f32(1e9F, "1e9");
    check_text_f32(1e-5F, "0.00001");
    check_text_f32(-0.000012345679F, "-0.000012345679");
    check_text_f32(9.99e-6F, "9.99e-6");
    check_text_f32(FLT_MAX, "3.4028235e38");
    check_text_f32(1e-45F, "1e-45");
    check_text_f32(-FLT_MIN, "-1.1754944e-38");
    check_text_f32(8.5899346e9F, "8.589935e9");
    check_text_f32(0.5F, "0.5");
    check_text_f32(-100.5F, "-100.5");
    check_text_f32(-8388607.5F, "-8388607.5");
    check_text_f32(0x1.4f8b74p-17F, "0.0000100000125"); /* nine digits, which are rare */
    check_text_f32(-0x1.9999aep-4F, "-0.100000076");
    check_text_f32(0x1.400016p+3F, "10.0000105");
    check_text_f32(-0x1.e84812p+19F, "-1000000.56");
    check_text_f32(0x1.7d7846p+26F, "100000024");
    check_text_f32(-0x1.5798f6p-27F, "-1.00000035e-8");
}

static void test_write_i64(void **state)
{
    (void)state;
    static const int64_t rows[] = {0, 1, -1, 9, 10, 99, 100, -12345, INT64_MAX, INT64_MIN};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char expected[32], text[DECIMAL_I64_BYTES];
        int bytes = snprintf(expected, sizeof expected, "%lld", (long long)rows[i]);
        assert_int_equal(decimal_write_i64(rows[i], text), bytes);
        assert_memory_equal(text, expected, (size_t)bytes);
    }
    int64_t power = 1;
    for (int digits = 1; digits <= 18; digits++, power *= 10) {
        char text[DECIMAL_I64_BYTES];
        assert_int_equal(decimal_write_i64(power, text), digits);
        assert_int_equal(decimal_write_i64(power - 1, text), digits > 1 ? digits - 1 : 1);
    }
}

static void check_round_trip_f64(double x)
{
    char text[DECIMAL_F64_BYTES + 1];
    double back;
    size_t bytes = decimal_write_f64(x, text);
    assert_true(bytes <= DECIMAL_F64_BYTES);
    text[bytes] = '\0';
    if (decimal_read_f64(text, text + bytes, &back) != text + bytes ||
        pattern_of(back) != pattern_of(x) || pattern_of(strtod(text, NULL)) != pattern_of(x))
        fail_msg("%a became %s", x, text);
}

static void check_round_trip_f32(float x)
{
    char text[DECIMAL_F32_BYTES + 1];
    float back;
    size_t bytes = decimal_write_f32(x, text);
    assert_true(bytes <= DECIMAL_F32_BYTES);
    text[bytes] = '\0';
    if (decimal_read_f32(text, text + bytes, &back) != text + bytes ||
        pattern_of_f32(back) != pattern_of_f32(x) ||
        pattern_of_f32(strtof(text, NULL)) != pattern_of_f32(x))
        fail_msg("%a became %s", (double)x, text);
}

static void test_round_trip(void **state)
{
    (void)state;
    for (int i = 0; i < RANDOM_PATTERNS; i++) {
        double x = f64_of(random_next());
        float y = f32_of((uint32_t)random_next());
        if (isfinite(x))
            check_round_trip_f64(x);
        if (isfinite(y))
            check_round_trip_f32(y);
        check_round_trip_f64((double)(random_next() >> 11) * 0x1p-53);
    }
}

/* Every binary exponent: the power of two itself, where the number below is nearer, and both its
 * neighbours. */
static void test_round_trip_powers(void **state)
{
    (void)state;
    for (int q = -1074; q <= 1023; q++) {
        check_round_trip_f64(ldexp(1, q));
        check_round_trip_f64(nextafter(ldexp(1, q), 0));
        check_round_trip_f64(nextafter(ldexp(1, q), INFINITY));
    }
    for (int q = -149; q <= 127; q++) {
        check_round_trip_f32(ldexpf(1, q));
        check_round_trip_f32(nextafterf(ldexpf(1, q), 0));
        check_round_trip_f32(nextafterf(ldexpf(1, q), INFINITY));
    }
}

/* A decimal without leading or trailing zeros. */
struct parts {
    uint64_t digits;
    int power;
};

static struct parts parts_of(const char *text)
{
    struct parts p = {0, 0};
    bool behind = false;
    for (; *text && *text != 'e'; text++) {
        if (*text == '.')
            behind = true;
        if (*text < '0' || *text > '9')
            continue;
        p.digits = p.digits * 10 + (uint64_t)(*text - '0');
        p.power -= behind;
    }
    p.power += *text ? atoi(text + 1) : 0;
    for (; p.digits && p.digits % 10 == 0; p.power++)
        p.digits /= 10;
    return p;
}

static bool is_same(struct parts p, double x, bool single)
{
    char text[48];
    snprintf(text, sizeof text, "%llue%d", (unsigned long long)p.digits, p.power);
    return single ? strtof(text, NULL) == (float)x : strtod(text, NULL) == x;
}

/* The shortest decimal for x > 0 by search. Of n digits printf's is the closest one. It may lie
 * outside, and one of its neighbours inside, where the number below x is nearer than the one
 * above. */
static struct parts search_shortest(double x, bool single)
{
    char text[48];
    for (int n = 1; n < 17; n++) {
        snprintf(text, sizeof text, "%.*e", n - 1, x);
        struct parts p = parts_of(text);
        if (is_same(p, x, single))
            return p;
        int unit = atoi(strchr(text, 'e') + 1) - (n - 1);
        for (; p.power > unit; p.power--)
            p.digits *= 10;
        p.digits++;
        if (is_same(p, x, single))
            return p;
    }
    snprintf(text, sizeof text, "%.16e", x);
    return parts_of(text);
}

static void check_shortest(double x, bool single)
{
    char text[DECIMAL_F64_BYTES + 1];
    size_t bytes = single ? decimal_write_f32((float)x, text) : decimal_write_f64(x, text);
    text[bytes] = '\0';
    struct parts ours = parts_of(text), best = search_shortest(x, single);
    for (; best.digits && best.digits % 10 == 0; best.power++)
        best.digits /= 10;
    if (ours.digits != best.digits || ours.power != best.power)
        fail_msg("%a written as %s, but %llue%d is shorter or closer", x, text,
                 (unsigned long long)best.digits, best.power);
}

static void test_shortest(void **state)
{
    (void)state;
    for (int i = 0; i < RANDOM_SHORTEST; i++) {
        double x = f64_of(random_next() >> 1);
        float y = f32_of((uint32_t)random_next() >> 1);
        if (isfinite(x) && x > 0)
            check_shortest(x, false);
        if (isfinite(y) && y > 0)
            check_shortest((double)y, true);
        double u = (double)(random_next() >> 11) * 0x1p-53 + 0x1p-60;
        check_shortest(u, false);
        check_shortest((double)(float)u, true);
        check_shortest((double)(random_next() % 100000) / 100 + 0.01, false);
    }
    for (int q = -1074; q <= 1023; q++)
        check_shortest(ldexp(1, q), false);
    for (int q = -149; q <= 127; q++)
        check_shortest(ldexp(1, q), true);
    for (uint64_t pattern = 1; pattern < 3000; pattern++) {
        check_shortest(f64_of(pattern), false);
        check_shortest((double)f32_of((uint32_t)pattern), true);
    }
}

/* Numbers whose interval ends in a decimal with many zeros, (2c + 1) 2^(q-1) or (2c - 1) 2^(q-1)
 * with 5^j in the bracket. It is the shortest, and it counts if c is even, as it then rounds to c.
 */
static void test_shortest_ends(void **state)
{
    (void)state;
    uint64_t fives = 5;
    for (int j = 1; j <= 22; j++, fives *= 5) {
        for (int i = 0; i < 400; i++) {
            uint64_t odd = (((uint64_t)1 << 53) + (random_next() >> 11)) / fives | 1;
            uint64_t c = (odd * fives + (i & 1 ? 1 : (uint64_t)-1)) / 2;
            check_shortest(ldexp((double)c, (int)(random_next() % 90)), false);
            if (j > 10) /* 5^10 is the highest power in a float32 */
                continue;
            odd = (((uint64_t)1 << 24) + (random_next() >> 40)) / fives | 1;
            c = (odd * fives + (i & 1 ? 1 : (uint64_t)-1)) / 2;
            check_shortest(ldexp((double)c, (int)(random_next() % 90)), true);
        }
    }
}

/* -1, 0, 1 as (high * 2^64 + low) * 5^fives is less than, equal to, more than 5^other * 2^twos,
 * where twos may be negative. */
static int compare_power(struct power p, int64_t fives, int64_t other, int64_t twos)
{
    struct big ours, exact;
    big_set(&ours, p.high);
    big_shift(&ours, 32);
    big_mul_add(&ours, 1, (uint32_t)(p.low >> 32));
    big_shift(&ours, 32);
    big_mul_add(&ours, 1, (uint32_t)p.low);
    big_mul_pow5(&ours, (unsigned)fives);
    big_shift(&ours, twos < 0 ? (unsigned)-twos : 0);
    big_set(&exact, 1);
    big_mul_pow5(&exact, (unsigned)other);
    big_shift(&exact, twos > 0 ? (unsigned)twos : 0);
    return big_compare(&ours, &exact);
}

/* 10^q is between the table's 128 bits and one more. Not all ones below: decimal_write.c adds 1. */
static void test_powers(void **state)
{
    (void)state;
    for (int q = POWER_MIN; q <= POWER_MAX; q++) {
        struct power p = power_get(q);
        struct power next = {p.high, p.low + 1};
        int fives = q < 0 ? -q : 0, other = q < 0 ? 0 : q, twos = q - power_log2(q) + 127;
        int side = compare_power(p, fives, other, twos);
        assert_true(power_is_exact(q) ? side == 0 : side < 0);
        assert_true(compare_power(next, fives, other, twos) > 0);
        assert_true(p.high >> 63);
        assert_true(p.low != UINT64_MAX);
        char text[16];
        snprintf(text, sizeof text, "1e%d", q);
        assert_int_equal(power_log2(q), ilogbl(strtold(text, NULL)));
    }
}

#define WRITTEN_MOST 100

/* Together numbers are written as one by one, up to one that is not finite, and read back. */
static void check_written(const float *x, size_t n)
{
    char text[WRITTEN_MOST * (DECIMAL_F32_BYTES + 1) + 1];
    char expected[WRITTEN_MOST * (DECIMAL_F32_BYTES + 1)];
    float back[WRITTEN_MOST];
    size_t bytes = 0, count = 0, got;
    for (; count < n && isfinite(x[count]); count++) {
        if (count > 0)
            expected[bytes++] = ',';
        bytes += decimal_write_f32(x[count], expected + bytes);
    }
    for (const char *const *isa = kernels_names; *isa; isa++) {
        const struct kernels *k = kernels_find(*isa);
        if (!k)
            continue;
        text[n * (DECIMAL_F32_BYTES + 1)] = '!';
        assert_int_equal(k->write_floats(x, n, text, &got), count);
        assert_int_equal(got, bytes);
        assert_memory_equal(text, expected, bytes);
        assert_int_equal(text[n * (DECIMAL_F32_BYTES + 1)], '!');
        const char *at = text;
        assert_int_equal(k->read_floats(&at, text + bytes, back, n), count);
        assert_ptr_equal(at, text + bytes);
        assert_memory_equal(back, x, count * sizeof *x);
    }
}

static void test_write_floats(void **state)
{
    (void)state;
    static const float usual[] = {0,     -0.0F,   1,        -1,       0.5F, 0.1F,
                                  3e-5F, 1e-5F,   1e9F,     1e8F,     255,  1e-45F,
                                  2e8F,  FLT_MAX, -FLT_MIN, INFINITY, NAN};
    const size_t forms = sizeof usual / sizeof *usual;
    float x[WRITTEN_MOST];
    for (int i = 0; i < 20000; i++) {
        size_t n = random_next() % (WRITTEN_MOST + 1), most = random_next() % 8 ? forms - 2 : forms;
        for (size_t j = 0; j < n; j++)
            x[j] = random_next() % 4 ? ldexpf((float)(int32_t)random_next(), -(i % 150))
                                     : usual[random_next() % most];
        check_written(x, n);
    }
    for (size_t i = 0; i < WRITTEN_MOST; i++)
        x[i] = -1.17549435e-38F; /* the longest */
    check_written(x, WRITTEN_MOST);
}

static void test_sweep_f32(void **state)
{
    (void)state;
    uint64_t step = getenv("DECIMAL_LONG") ? 1 : 4099;
    size_t n = 0;
    float row[WRITTEN_MOST];
    for (uint64_t pattern = 0; pattern <= UINT32_MAX; pattern += step) {
        float x = f32_of((uint32_t)pattern);
        if (!isfinite(x))
            continue;
        check_round_trip_f32(x);
        row[n++] = x;
        if (n < WRITTEN_MOST)
            continue;
        check_written(row, n);
        n = 0;
    }
    check_written(row, n);
}

static int set_up(void **state)
{
    (void)state;
    decimal_init();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_powers),
        cmocka_unit_test(test_read_hard),
        cmocka_unit_test(test_read_all_exponents),
        cmocka_unit_test(test_read_long),
        cmocka_unit_test(test_read_middles),
        cmocka_unit_test(test_read_random),
        cmocka_unit_test(test_read_forms),
        cmocka_unit_test(test_read_short_middles),
        cmocka_unit_test(test_read_ends),
        cmocka_unit_test(test_read_row),
        cmocka_unit_test(test_read_rows),
        cmocka_unit_test(test_read_refuses),
        cmocka_unit_test(test_read_longest),
        cmocka_unit_test(test_read_i64),
        cmocka_unit_test(test_write_format),
        cmocka_unit_test(test_write_i64),
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_round_trip_powers),
        cmocka_unit_test(test_shortest),
        cmocka_unit_test(test_shortest_ends),
        cmocka_unit_test(test_write_floats),
        cmocka_unit_test(test_sweep_f32),
    };
    return cmocka_run_group_tests_name("decimal", tests, set_up, NULL);
}
