/* api/csv.h: rows of numbers as text, and where they are wrong. */
#include "api/csv.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "api/json_in.h"

/* In a block of its size, so that reading on is seen. */
static enum err_kind open_text(const char *text, char **block, struct csv *out, struct err *e)
{
    size_t bytes = strlen(text);
    *block = malloc(bytes + !bytes);
    assert_non_null(*block);
    memcpy(*block, text, bytes);
    return csv_open(*block, bytes, out, e);
}

static void test_taken(void **state)
{
    static const struct {
        const char *text;
        int64_t rows, columns, line; /* of the last row */
    } tables[] = {
        {"1,2,3\n4,5,6\n", 2, 3, 2},
        {"1,2,3\n4,5,6", 2, 3, 2},
        {"1,2,3\r\n4,5,6\r\n", 2, 3, 2},
        {"a,b,c\n1,2,3\n4,5,6\n", 2, 3, 3},
        {"\xef\xbb\xbf\"a,b\",\"\"\"x\ny\"\"\",c\r\n1,2,3\r\n4,5,6\r\n", 2, 3, 4},
        {" 1 ,\t\"2\" , \" 3\"\n\"4\",5,6 \n\n \r\n", 2, 3, 2},
        {",,\n1,2,3\n4,5,6", 2, 3, 3},
        {"1e0,20e-1,3.0\n4,5,600E-2", 2, 3, 2},
    };
    (void)state;
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) {
        struct csv csv;
        struct err e;
        char *block;
        float x[6];
        int64_t last[2];
        if (open_text(tables[i].text, &block, &csv, &e))
            fail_msg("%s: %s", tables[i].text, e.message);
        assert_int_equal(csv.rows, tables[i].rows);
        assert_int_equal(csv.columns, tables[i].columns);
        assert_int_equal(csv_numbers(&csv, 0, 3, DTYPE_FLOAT32, x, &e), ERR_OK);
        for (int k = 0; k < 6; k++)
            assert_true(x[k] == (float)(k + 1));
        assert_int_equal(csv_numbers(&csv, 2, 1, DTYPE_INT64, last, &e), ERR_OK);
        assert_true(last[0] == 3 && last[1] == 6);
        assert_int_equal(csv_line(&csv, csv.rows - 1), tables[i].line);
        free(block);
    }
}

static void test_refused(void **state)
{
    static const struct {
        const char *text, *message;
        enum err_kind kind;
    } tables[] = {
        {"", "there must be at least one row of numbers", ERR_MALFORMED},
        {"\n\r\n \n", "there must be at least one row of numbers", ERR_MALFORMED},
        {"a,b\n", "there must be at least one row of numbers", ERR_MALFORMED},
        {"1,2\n3\n", "line 2 has 1 columns, not 2 as the first", ERR_MALFORMED},
        {"a,b,c\n3,4\n", "line 2 has 2 columns, not 3 as the first", ERR_MALFORMED},
        {"1,2\n\n3,4\n", "line 2 has 1 columns, not 2 as the first", ERR_MALFORMED},
        {"1,2\n3,4,\n", "line 2 has 3 columns, not 2 as the first", ERR_MALFORMED},
        {"1,x\n3,4\n", "line 1, column 2 must be a number", ERR_MALFORMED},
        {"a,b\n1,2\n3,\n", "line 3, column 2 must be a number", ERR_MALFORMED},
        {"1,2\n3,4x\n", "line 2, column 2 must be a number", ERR_MALFORMED},
        {"1,2\n3,+4\n", "line 2, column 2 must be a number", ERR_MALFORMED},
        {"1,2\n3,.5\n", "line 2, column 2 must be a number", ERR_MALFORMED},
        {"1,2\n3,NaN\n", "line 2, column 2 must be a number", ERR_MALFORMED},
        {"1,2\n3,\"NaN\"\n", "line 2, column 2 must be a number", ERR_MALFORMED},
        {"1,2\n3,4 5\n", "line 2, column 2 must be a number", ERR_MALFORMED},
        {"1,2\n3,\"4\"5\n", "line 2, column 2 must be a number", ERR_MALFORMED},
        {"1,2\n3,4\"5\"\n", "line 2, column 2 must be a number", ERR_MALFORMED},
        {"1,2\n3,\"4", "line 2, column 2 must be a number", ERR_MALFORMED},
        {"1,2\n3,\"", "line 2, column 2 must be a number", ERR_MALFORMED},
        {"1,2\n3,\"\"\"4\"\"\"\n", "line 2, column 2 must be a number", ERR_MALFORMED},
        {"1,2\n3,1e40\n", "line 2, column 2 is too large for float32", ERR_INVALID},
        {"1;2\n3;4\n", "line 2, column 1 must be a number", ERR_MALFORMED},
    };
    (void)state;
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) {
        struct csv csv;
        struct err e = {.kind = ERR_OK};
        char *block;
        float x[8];
        enum err_kind rc = open_text(tables[i].text, &block, &csv, &e);
        if (!rc)
            rc = csv_numbers(&csv, 0, csv.columns, DTYPE_FLOAT32, x, &e);
        if (rc != tables[i].kind || e.kind != rc || strcmp(e.message, tables[i].message) != 0)
            fail_msg("%s: %d %s", tables[i].text, rc, rc ? e.message : "");
        free(block);
    }
}

static void test_whole_numbers(void **state)
{
    struct csv csv;
    struct err e;
    int64_t x[2];
    char *block;
    (void)state;
    assert_int_equal(open_text("1,0.5\n", &block, &csv, &e), ERR_OK);
    assert_int_equal(csv_numbers(&csv, 1, 1, DTYPE_INT64, x, &e), ERR_INVALID);
    assert_string_equal(e.message, "line 1, column 2 must be an integer from -2^63 to 2^63 - 1");
    free(block);
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
        cmocka_unit_test(test_taken),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_whole_numbers),
    };
    return cmocka_run_group_tests_name("csv", tests, set_up, NULL);
}
