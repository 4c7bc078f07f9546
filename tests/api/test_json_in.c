/* api/json_in.h: what is JSON and what is not, tensor literals, and memory that runs out. */
#include "api/json_in.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/mem.h"

/* Parses bytes that stand at the end of their own block: reading on would be seen. */
static enum err_kind parse(const char *text, size_t bytes, char **block, struct json *j,
                           struct err *e)
{
    *block = malloc(bytes + !bytes);
    assert_non_null(*block);
    memcpy(*block, text, bytes);
    e->kind = ERR_OK;
    enum err_kind rc = json_parse(*block, bytes, j, e);
    assert_int_equal(rc, rc ? e->kind : ERR_OK);
    return rc;
}

static void check_taken(const char *text)
{
    char *block;
    struct json j;
    struct err e;
    if (parse(text, strlen(text), &block, &j, &e))
        fail_msg("%s was refused: %s %s", text, e.pointer, e.message);
    json_close(&j);
    free(block);
}

/* Refused with that kind and pointer, and a message that contains part. */
static void check_refused(const char *text, size_t bytes, enum err_kind kind, const char *pointer,
                          const char *part)
{
    char *block;
    struct json j;
    struct err e;
    enum err_kind rc = parse(text, bytes, &block, &j, &e);
    if (rc != kind)
        fail_msg("%s gave %s", text, rc ? err_slug(rc) : "ok");
    assert_string_equal(e.pointer, pointer);
    if (!strstr(e.message, part))
        fail_msg("%s: \"%s\" does not say \"%s\"", text, e.message, part);
    assert_null(j.root);
    assert_null(j.span);
    free(block);
}

static void test_valid(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "",
        " ",
        "\n\t\r ",
        "{}",
        "[]",
        " [ ] ",
        "{ }",
        "null",
        "true",
        "false",
        "0",
        "-0",
        "\"\"",
        "\"a\"",
        "1.5e+3",
        "-1E-2",
        "[null]",
        "[true,false]",
        "[[],[[]]]",
        "[1]",
        "[ 1 , 2 ]",
        "[1,{\"a\":[2]},\"x\",null]",
        "{\"a\":1}",
        "{\"a\":{\"a\":{\"a\":[]}}}",
        "{\"\":0}",
        "{\"a\":1,\"A\":2}",
        " {\"a\" : [ 1 , \"b\" ] , \"c\" : null } \n",
        "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"",
        "\"\\u0041\\u00e9\\u20AC\\uD834\\uDD1E\\udbff\\udfff\"",
        "\"\\uFFFF\"",
        "\"\x7F\"",
        "\"\xC2\x80\"",
        "\"\xDF\xBF\"",
        "\"\xE0\xA0\x80\"",
        "\"\xED\x9F\xBF\"",
        "\"\xEE\x80\x80\"",
        "\"\xEF\xBF\xBF\"",
        "\"\xF0\x90\x80\x80\"",
        "\"\xF4\x8F\xBF\xBF\"",
        "\"\xEF\xBB\xBF\"",
        "\"\\u2028\xE2\x80\xA8\"",
        "[\"NaN\",\"Infinity\",\"-Infinity\"]",
        "[\"nan\"]",
        "{\"a\":-0.000000000000000000000000000000000000000000000000000000000000000000000000000001}",
        "{\"a\":123456789012345678901234567890123456789012345678901234567890123456789012345678901}",
        "{\"a\":1e-400}",
        "[1e400]"};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        check_taken(rows[i]);
}

static void test_invalid(void **state)
{
    (void)state;
    static const struct {
        const char *text, *message;
    } rows[] = {
        {"{", "line 1, column 2: expected a key in quotes"},
        {"[", "line 1, column 2: expected a value"},
        {"]", "line 1, column 1: expected a value"},
        {"[1", "line 1, column 3: expected ',' or ']'"},
        {"[1,", "column 4: expected a value"},
        {"[1,]", "column 4: expected a value"},
        {"[,1]", "column 2: expected a value"},
        {"[1,,2]", "column 4: expected a value"},
        {"[1 2]", "column 4: expected ',' or ']'"},
        {"[1}", "column 3: expected ',' or ']'"},
        {"[\"a\",]", "column 6: expected a value"},
        {"{\"a\":1]", "column 7: expected ',' or '}'"},
        {"{\"a\":1,}", "column 8: expected a key in quotes"},
        {"{\"a\" 1}", "column 6: expected ':'"},
        {"{\"a\":}", "column 6: expected a value"},
        {"{\"a\"}", "column 5: expected ':'"},
        {"{a:1}", "column 2: expected a key in quotes"},
        {"{1:1}", "column 2: expected a key in quotes"},
        {"{,}", "column 2: expected a key in quotes"},
        {"{\"a\":1 \"b\":2}", "column 8: expected ',' or '}'"},
        {"{}{}", "column 3: expected nothing more"},
        {"1 2", "column 3: expected nothing more"},
        {"[1]]", "column 4: expected nothing more"},
        {"// x\n1", "column 1: expected a value"},
        {"'a'", "expected a value"},
        {"tru", "expected a value"},
        {"True", "expected a value"},
        {"nul", "expected a value"},
        {"truex", "column 5: expected nothing more"},
        {"NaN", "expected a value"},
        {"[NaN]", "column 2: expected a value"},
        {"[1,NaN]", "column 4: expected a value"},
        {"-Infinity", "column 2: expected a digit"},
        {"01", "column 3: a number cannot start with 0"},
        {"-01", "column 4: a number cannot start with 0"},
        {"[00]", "a number cannot start with 0"},
        {"[1,02]", "a number cannot start with 0"},
        {"1.", "column 3: expected a digit after the point"},
        {"[1.,2]", "expected a digit after the point"},
        {"[-]", "column 3: expected a digit"},
        {"[--1]", "column 3: expected a digit"},
        {"-", "expected a digit"},
        {"+1", "expected a value"},
        {".5", "expected a value"},
        {"[.5]", "expected a value"},
        {"1e", "expected a digit in the exponent"},
        {"1e+", "expected a digit in the exponent"},
        {"[1E-]", "expected a digit in the exponent"},
        {"1.e5", "expected a digit after the point"},
        {"0x10", "column 2: expected nothing more"},
        {"1_000", "expected nothing more"},
        {"[1.5.5]", "expected ',' or ']'"},
        {"\"", "column 1: the string that starts here does not end"},
        {"[1,\"abc]", "column 4: the string that starts here does not end"},
        {"\"\\", "expected one of"},
        {"\"\\x41\"", "expected one of"},
        {"\"\\a\"", "expected one of"},
        {"\"\\u12\"", "expected four hexadecimal digits"},
        {"\"\\u12G4\"", "expected four hexadecimal digits"},
        {"\"\\u\"", "expected four hexadecimal digits"},
        {"\"a\nb\"", "line 1, column 3: a control character"},
        {"\"\t\"", "a control character"},
        {"\"\x1F\"", "a control character"},
        {"\"\\u0000\"", "\\u0000 is not taken here"},
        {"{\"\\u0000\":1}", "\\u0000 is not taken here"},
        {"\"\\uD800\"", "half of a surrogate pair"},
        {"\"\\uDC00\"", "half of a surrogate pair"},
        {"\"\\uD800x\"", "half of a surrogate pair"},
        {"\"\\uDC00\\uDC00\"", "half of a surrogate pair"},
        {"\"\\uD800\\n\"", "half of a surrogate pair"},
        {"\"\\uD800\\uD800\"", "half of a surrogate pair"},
        {"\"\\uD800\\u0041\"", "half of a surrogate pair"},
        {"\"\\uD800\\u\"", "half of a surrogate pair"},
        {"\"\x80\"", "invalid UTF-8"},
        {"\"\xC0\x80\"", "invalid UTF-8"},
        {"\"\xC1\xBF\"", "invalid UTF-8"},
        {"\"\xC2\"", "invalid UTF-8"},
        {"\"\xE0\x80\x80\"", "invalid UTF-8"},
        {"\"\xE0\x9F\xBF\"", "invalid UTF-8"},
        {"\"\xE2\x82\"", "invalid UTF-8"},
        {"\"\xED\xA0\x80\"", "invalid UTF-8"},
        {"\"\xF0\x80\x80\x80\"", "invalid UTF-8"},
        {"\"\xF4\x90\x80\x80\"", "invalid UTF-8"},
        {"\"\xF5\x80\x80\x80\"", "invalid UTF-8"},
        {"\"\xFF\"", "invalid UTF-8"},
        {"\"\xE2\x82\xAC\xE9\"", "column 3: invalid UTF-8"},
        {"[1,\n 2,\n x]", "line 3, column 2: expected a value"},
        {"\xEF\xBB\xBF{}", "line 1, column 1: a byte order mark"},
        {"\xC2\xA0{}", "expected a value"},
        {"\f1", "expected a value"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        check_refused(rows[i].text, strlen(rows[i].text), ERR_MALFORMED, "", rows[i].message);
}

static void test_nul_bytes(void **state)
{
    (void)state;
    check_refused("\0", 1, ERR_MALFORMED, "", "expected a value");
    check_refused("{}\0", 3, ERR_MALFORMED, "", "expected nothing more");
    check_refused("[1,\0]", 5, ERR_MALFORMED, "", "expected a value");
    check_refused("\"a\0b\"", 5, ERR_MALFORMED, "", "a control character");
    check_refused("\"\\\0\"", 4, ERR_MALFORMED, "", "expected one of");
    check_refused("{\"a\0\":1}", 8, ERR_MALFORMED, "", "a control character");
}

static void test_empty(void **state)
{
    (void)state;
    struct json j;
    struct err e;
    assert_int_equal(json_parse(NULL, 0, &j, &e), ERR_OK);
    assert_null(j.root);
    json_close(&j);
    assert_int_equal(json_parse(" \n", 2, &j, &e), ERR_OK);
    assert_null(j.root);
    json_close(&j);
    json_close(&j);
}

/* Every beginning of a document is refused, none is read beyond its end. */
static void test_cut(void **state)
{
    (void)state;
    const char text[] = " {\"a\\u00e9\xC3\xA9\":[[1.5e-3, -2],[\"NaN\" , 0.12345678901]], \"b\":"
                        "[true,null,{\"c\":[]}],\"d\":-12.5E+1}";
    for (size_t bytes = 2; bytes < sizeof text - 1; bytes++) {
        char *block;
        struct json j;
        struct err e;
        assert_int_equal(parse(text, bytes, &block, &j, &e), ERR_MALFORMED);
        free(block);
    }
    check_taken(text);
}

static void check_deep(const char *unit)
{
    const size_t times = 250000, bytes = strlen(unit);
    char *text = malloc(times * bytes);
    struct json j;
    struct err e;
    assert_non_null(text);
    for (size_t i = 0; i < times; i++)
        memcpy(text + i * bytes, unit, bytes);
    assert_int_equal(json_parse(text, times * bytes, &j, &e), ERR_MALFORMED);
    assert_non_null(strstr(e.message, "nested too deep"));
    free(text);
}

static void test_deep(void **state)
{
    (void)state;
    check_deep("[");
    check_deep("{\"a\":");
    check_deep("[{\"a\":");
    check_deep("[1,");
    check_deep("[\"x\", [");
    check_deep(" \n [ ");
    char text[2 * JSON_DEPTH_MAX + 4] = "";
    memset(text, '[', JSON_DEPTH_MAX);
    memset(text + JSON_DEPTH_MAX, ']', JSON_DEPTH_MAX);
    check_taken(text);
    text[0] = text[2 * JSON_DEPTH_MAX - 1] = ' ';
    text[JSON_DEPTH_MAX - 1] = '{';
    text[JSON_DEPTH_MAX] = '}';
    check_taken(text);
    memset(text, '[', JSON_DEPTH_MAX + 1);
    memset(text + JSON_DEPTH_MAX + 1, ']', JSON_DEPTH_MAX + 1);
    check_refused(text, strlen(text), ERR_MALFORMED, "", "nested too deep");
}

/* count copies of unit between open and close; the last comma is dropped. */
static char *repeat(const char *open, const char *unit, size_t count, const char *close)
{
    size_t bytes = strlen(unit), used = strlen(open);
    char *text = malloc(used + count * bytes + strlen(close) + 1);
    assert_non_null(text);
    memcpy(text, open, used);
    for (size_t i = 0; i < count; i++, used += bytes)
        memcpy(text + used, unit, bytes);
    strcpy(text + used - 1, close);
    return text;
}

static void test_nodes(void **state)
{
    (void)state;
    char *text = repeat("[", "\"\",", JSON_NODES_MAX - 1, "]");
    check_taken(text);
    free(text);
    text = repeat("[", "\"\",", JSON_NODES_MAX, "]");
    check_refused(text, strlen(text), ERR_INVALID, "", "more than 50000 values");
    free(text);
    text = repeat("[", "1,", 200000, "]"); /* a literal is one */
    check_taken(text);
    free(text);
}

static void test_duplicates(void **state)
{
    (void)state;
    static const struct {
        const char *text, *pointer;
    } rows[] = {{"{\"a\":1,\"a\":2}", "/a"},
                {"{\"a\":1,\"b\":2,\"\\u0061\":3}", "/a"},
                {"{\"x\":[null,{\"a/b\":1,\"~\":2,\"a/b\":3}]}", "/x/1/a~1b"},
                {"{\"o\":{\"\":1,\"\":2}}", "/o/"},
                {"[\"\",{\"m~\":{\"k\":{},\"k\":[]}}]", "/1/m~0/k"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        check_refused(rows[i].text, strlen(rows[i].text), ERR_MALFORMED, rows[i].pointer, "twice");
}

/* An object as wide as may be, with one key twice, is no work. */
static void test_duplicates_wide(void **state)
{
    (void)state;
    char *text = malloc((size_t)JSON_NODES_MAX * 16);
    assert_non_null(text);
    size_t used = 0;
    for (int i = 0; i < JSON_NODES_MAX - 2; i++)
        used += (size_t)sprintf(text + used, "%c\"k%d\":0", i ? ',' : '{', i);
    strcpy(text + used, "}");
    check_taken(text);
    strcpy(text + used, ",\"k31415\":0}");
    check_refused(text, strlen(text), ERR_MALFORMED, "/k31415", "twice");
    free(text);
}

/* ---- numbers outside of literals ----------------------------------------------------------- */

static void test_numbers(void **state)
{
    (void)state;
    const char *text =
        "{\"a\":0.1,\"b\":[true,-1e23],\"c\":\"-Infinity\",\"d\":\"NaN\",\"e\":\"no\","
        "\"f\":9007199254740993,\"g\":null,\"h\":\"-Infinity \"}";
    char *block;
    struct json j;
    struct err e;
    double x;
    assert_int_equal(parse(text, strlen(text), &block, &j, &e), ERR_OK);
    const cJSON *a = j.root->child, *b = a->next, *c = b->next, *d = c->next;
    assert_true(json_number(a, &x) && x == 0.1);
    assert_true(json_number(b->child->next, &x) && x == -1e23);
    assert_false(json_number(b, &x) || json_number(b->child, &x));
    assert_true(json_number(c, &x) && x == -INFINITY);
    assert_true(json_number(d, &x) && isnan(x));
    assert_false(json_number(d->next, &x));
    assert_true(json_number(d->next->next, &x) && x == 9007199254740992.0);
    assert_false(json_number(d->next->next->next, &x));
    assert_false(json_number(d->next->next->next->next, &x));
    json_close(&j);
    free(block);
}

static void test_numbers_too_large(void **state)
{
    (void)state;
    check_refused("1e400", 5, ERR_INVALID, "", "too large");
    const char *text = "{\"a\":[\"x\",{\"lr\":-1e309}]}";
    check_refused(text, strlen(text), ERR_INVALID, "/a/1/lr", "too large for float64");
}

/* ---- tensors ------------------------------------------------------------------------------- */

struct document {
    char *block;
    struct json j;
};

static const cJSON *open_document(struct document *d, const char *text)
{
    struct err e;
    if (parse(text, strlen(text), &d->block, &d->j, &e))
        fail_msg("%s: %s", text, e.message);
    return d->j.root;
}

static void close_document(struct document *d)
{
    json_close(&d->j);
    free(d->block);
}

static void test_shapes(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int rank;
        int64_t dim[JSON_RANK_MAX];
    } rows[] = {{"7", 0, {0}},
                {"\"NaN\"", 0, {0}},
                {"[]", 1, {0}},
                {" [ ] ", 1, {0}},
                {"[1]", 1, {1}},
                {"[1,2,3]", 1, {3}},
                {"[ 1 ,2\n,\t3 ]", 1, {3}},
                {"[1,\"NaN\",3,\"Infinity\"]", 1, {4}},
                {"[\"-Infinity\",1]", 1, {2}},
                {"[[],[]]", 2, {2, 0}},
                {"[[],[ ],[]]", 2, {3, 0}},
                {"[[[]]]", 3, {1, 1, 0}},
                {"[[1,2],[3,4],[5,6]]", 2, {3, 2}},
                {"[ [ 1 , 2 ] , [ 3 , \"NaN\" ] ]", 2, {2, 2}},
                {"[[[1],[2]],[[3],[4]],[[5],[6]]]", 3, {3, 2, 1}},
                {"[[[[[[[[1,2]]]]]]]]", 8, {1, 1, 1, 1, 1, 1, 1, 2}}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct document d;
        struct err e;
        int rank;
        int64_t dim[JSON_RANK_MAX];
        const cJSON *item = open_document(&d, rows[i].text);
        assert_int_equal(json_is_tensor(item), rows[i].rank > 0);
        assert_int_equal(json_tensor_shape(&d.j, item, dim, &rank, &e), ERR_OK);
        assert_int_equal(rank, rows[i].rank);
        assert_memory_equal(dim, rows[i].dim, (size_t)rank * sizeof *dim);
        close_document(&d);
    }
}

static void test_shapes_wrong(void **state)
{
    (void)state;
    static const struct {
        const char *text, *pointer, *message;
    } rows[] = {
        {"[[1,2],[3]]", "/1", "2 elements expected as in the rows before, got 1"},
        {"[[1,2],[3,4,5]]", "/1", "2 elements expected as in the rows before, got 3"},
        {"[[1],[]]", "/1", "1 elements expected as in the rows before, got 0"},
        {"[[],[1]]", "/1", "0 elements expected as in the rows before, got 1"},
        {"[[[1],[2]],[[3]]]", "/1", "2 elements expected as in the rows before, got 1"},
        {"[[[1],[2]],[[3],[4,5]]]", "/1/1", "1 elements expected as in the rows before, got 2"},
        {"[1,[2]]", "/1", "must be a number"},
        {"[[1,2],[3,\"x\"]]", "/1/1", "must be a number"},
        {"[1,2,true]", "/2", "must be a number"},
        {"[1,null]", "/1", "must be a number"},
        {"[1,{\"a\":[[3]]},4]", "/1", "must be a number"},
        {"[1,\"NaN \"]", "/1", "must be a number"},
        {"[1,\"nan\"]", "/1", "must be a number"},
        {"[[1],2]", "/1", "must be an array"},
        {"[[1],2,3,4]", "/1", "must be an array"},
        {"[[[1,2]],[3,4]]", "/1/0", "must be an array"},
        {"[[1,2],\"NaN\"]", "/1", "must be an array"},
        {"[[1,2],{}]", "/1", "must be an array"},
        {"[[[1]],[2]]", "/1/0", "must be an array"},
        {"[[],[[]]]", "/1/0", "must be a number"},
        {"[[],\"x\"]", "/1", "must be an array"},
        {"[[[[[[[[[1]]]]]]]]]", "/0/0/0/0/0/0/0/0", "nested too deep"},
        {"[\"x\"]", "/0", "must be a number"},
        {"[[null,1]]", "/0/0", "must be a number"},
        {"[{}]", "/0", "must be a number"},
        {"{}", "", "must be a number or an array of numbers"},
        {"true", "", "must be a number or an array of numbers"},
        {"\"7\"", "", "must be a number or an array of numbers"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct document d;
        struct err e;
        int rank;
        int64_t dim[JSON_RANK_MAX];
        double out[16];
        const cJSON *item = open_document(&d, rows[i].text);
        assert_int_equal(json_tensor_shape(&d.j, item, dim, &rank, &e), ERR_INVALID);
        assert_string_equal(e.pointer, rows[i].pointer);
        assert_non_null(strstr(e.message, rows[i].message));
        assert_int_equal(json_tensor_read(&d.j, item, DTYPE_FLOAT64, out, &e), ERR_INVALID);
        close_document(&d);
    }
}

/* Literals are found again by their order, also beside numbers and in each other's company. */
static void test_places(void **state)
{
    (void)state;
    struct document d;
    struct err e;
    int rank;
    int64_t dim[JSON_RANK_MAX], ints[4];
    const cJSON *root =
        open_document(&d, "{\"n\":5,\"a\":[1,2],\"s\":\"[9]\",\"o\":{\"e\":[],\"b\":[[3]]},"
                          "\"l\":[\"x\",[4,[5]],6,[7]]}");
    const cJSON *l = cJSON_GetObjectItemCaseSensitive(root, "l");
    const cJSON *o = cJSON_GetObjectItemCaseSensitive(root, "o");
    assert_int_equal(json_tensor_read(&d.j, root->child, DTYPE_INT64, ints, &e), ERR_OK);
    assert_int_equal(ints[0], 5);
    assert_int_equal(json_tensor_read(&d.j, root->child->next, DTYPE_INT64, ints, &e), ERR_OK);
    assert_true(ints[0] == 1 && ints[1] == 2);
    assert_int_equal(json_tensor_shape(&d.j, o->child, dim, &rank, &e), ERR_OK);
    assert_true(rank == 1 && dim[0] == 0);
    assert_int_equal(json_tensor_read(&d.j, o->child->next, DTYPE_INT64, ints, &e), ERR_OK);
    assert_int_equal(ints[0], 3);
    assert_false(json_is_tensor(l));
    assert_int_equal(cJSON_GetArraySize(l), 4);
    assert_int_equal(json_tensor_shape(&d.j, l->child->next, dim, &rank, &e), ERR_INVALID);
    assert_string_equal(e.pointer, "/1");
    assert_int_equal(json_tensor_read(&d.j, l->child->next->next, DTYPE_INT64, ints, &e), ERR_OK);
    assert_int_equal(ints[0], 6);
    assert_int_equal(json_tensor_read(&d.j, l->child->prev, DTYPE_INT64, ints, &e), ERR_OK);
    assert_int_equal(ints[0], 7);
    close_document(&d);
}

static void test_read_floats(void **state)
{
    (void)state;
    struct document d;
    struct err e;
    double x[6];
    float y[6];
    /* the fourth is the middle of 1 and the next float and a bit more, which a double forgets */
    const cJSON *root =
        open_document(&d, "[ [0.1,-0,\"NaN\"] , [1.0000000596046447753906250000000001,"
                          "\"Infinity\" ,\"-Infinity\"]]");
    assert_int_equal(json_tensor_read(&d.j, root, DTYPE_FLOAT64, x, &e), ERR_OK);
    assert_true(x[0] == 0.1 && x[1] == 0 && signbit(x[1]) && isnan(x[2]));
    assert_true(x[3] == 0x1.000001p+0 && x[4] == INFINITY && x[5] == -INFINITY);
    assert_int_equal(json_tensor_read(&d.j, root, DTYPE_FLOAT32, y, &e), ERR_OK);
    assert_true(y[0] == 0.1F && y[1] == 0 && signbit(y[1]) && isnan(y[2]));
    assert_true(y[3] == 0x1.000002p+0F && y[4] == INFINITY && y[5] == -INFINITY);
    close_document(&d);
    root = open_document(&d, "\"-Infinity\"");
    assert_int_equal(json_tensor_read(&d.j, root, DTYPE_FLOAT32, y, &e), ERR_OK);
    assert_true(y[0] == -INFINITY);
    close_document(&d);
    root = open_document(&d, "{\"x\":7.038531e-26}"); /* once and twice rounded differ */
    assert_int_equal(json_tensor_read(&d.j, root->child, DTYPE_FLOAT32, y, &e), ERR_OK);
    assert_true(y[0] == 7.038531e-26F);
    close_document(&d);
}

/* More of them than the scanner has room for at first, in rows, with a name in between. */
static void test_read_many(void **state)
{
    (void)state;
    enum { ROWS = 70, COLUMNS = 61, NAMED = 4000 };
    static char text[ROWS * COLUMNS * 24];
    static float expected[ROWS * COLUMNS], x[ROWS * COLUMNS];
    char *p = text + snprintf(text, 32, "{\"a\":[1,2],\"b\":");
    for (int i = 0; i < ROWS * COLUMNS; i++) {
        p += sprintf(p, "%s", i % COLUMNS ? ", " : i ? "],[" : "[[");
        char *number = p;
        p += sprintf(p, i == NAMED ? "\"-Infinity\"" : "%.*g", 1 + i % 17, 1 / (i + 0.7));
        expected[i] = i == NAMED ? -INFINITY : strtof(number, NULL);
    }
    sprintf(p, "]],\"c\":[[],[]],\"d\":[3]}");
    for (int times = 0; times < 2; times++) {
        struct document d;
        struct err e;
        const cJSON *root = open_document(&d, text);
        const cJSON *b = cJSON_GetObjectItemCaseSensitive(root, "b");
        assert_int_equal(json_tensor_read(&d.j, b, DTYPE_FLOAT32, x, &e), ERR_OK);
        assert_memory_equal(x, expected, sizeof x);
        assert_int_equal(json_tensor_read(&d.j, b->prev, DTYPE_FLOAT32, x, &e), ERR_OK);
        assert_true(x[0] == 1 && x[1] == 2);
        assert_int_equal(json_tensor_read(&d.j, b->next, DTYPE_FLOAT32, x, &e), ERR_OK);
        assert_int_equal(json_tensor_read(&d.j, b->next->next, DTYPE_FLOAT32, x, &e), ERR_OK);
        assert_true(x[0] == 3);
        close_document(&d);
        char *name = strstr(text, "\"-Infinity\"");
        if (name)
            memcpy(name, "1234567.5   ", strlen("\"-Infinity\""));
        expected[NAMED] = 1234567.5F;
    }
}

/* A text of which the scanner keeps no elements. */
static void test_read_huge(void **state)
{
    (void)state;
    enum { NUMBERS = 4 << 20 };
    struct json j;
    struct err e;
    size_t bytes = 2 * (size_t)NUMBERS + 1;
    char *text = malloc(bytes);
    float *x = malloc(NUMBERS * sizeof *x);
    assert_true(text && x);
    for (size_t i = 0; i < NUMBERS; i++) {
        text[2 * i] = i ? ',' : '[';
        text[2 * i + 1] = (char)('0' + i % 10);
    }
    text[bytes - 1] = ']';
    assert_int_equal(json_parse(text, bytes, &j, &e), ERR_OK);
    assert_int_equal(j.floats, 0);
    assert_int_equal(json_tensor_read(&j, j.root, DTYPE_FLOAT32, x, &e), ERR_OK);
    for (size_t i = 0; i < NUMBERS; i++)
        assert_true(x[i] == (float)(i % 10));
    json_close(&j);
    free(text);
    free(x);
}

static void test_read_wrong(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum dtype dtype;
        const char *pointer, *message;
    } rows[] = {{"[[1,2],[3,1e400]]", DTYPE_FLOAT64, "/1/1", "too large for float64"},
                {"[1,-1e400,3]", DTYPE_FLOAT32, "/1", "too large for float32"},
                {"[[[1],[2]],[[3],[3.5e38]]]", DTYPE_FLOAT32, "/1/1/0", "too large for float32"},
                {"3.5e38", DTYPE_FLOAT32, "", "too large for float32"},
                {"[1,1.5]", DTYPE_INT64, "/1", "must be an integer"},
                {"[9223372036854775808]", DTYPE_INT64, "/0", "must be an integer"},
                {"[0,\"NaN\"]", DTYPE_INT64, "/1", "must be an integer"},
                {"\"NaN\"", DTYPE_INT64, "", "must be an integer"},
                {"1e-3", DTYPE_INT64, "", "must be an integer"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct document d;
        struct err e;
        double out[8];
        const cJSON *item = open_document(&d, rows[i].text);
        assert_int_equal(json_tensor_read(&d.j, item, rows[i].dtype, out, &e), ERR_INVALID);
        assert_string_equal(e.pointer, rows[i].pointer);
        assert_non_null(strstr(e.message, rows[i].message));
        close_document(&d);
    }
}

static void test_read_ints(void **state)
{
    (void)state;
    struct document d;
    struct err e;
    int64_t x[5];
    const cJSON *root =
        open_document(&d, "[9223372036854775807,-9223372036854775808,3.0,1e2,9007199254740993]");
    assert_int_equal(json_tensor_read(&d.j, root, DTYPE_INT64, x, &e), ERR_OK);
    assert_true(x[0] == INT64_MAX && x[1] == INT64_MIN && x[2] == 3 && x[3] == 100);
    assert_true(x[4] == 9007199254740993);
    close_document(&d);
    root = open_document(&d, "{\"seed\":9223372036854775807}");
    assert_int_equal(json_tensor_read(&d.j, root->child, DTYPE_INT64, x, &e), ERR_OK);
    assert_true(x[0] == INT64_MAX);
    close_document(&d);
}

/* Texts of all lengths around that of a block, with a comma every third byte. */
static void test_numbers_most(void **state)
{
    (void)state;
    assert_int_equal(json_numbers_most(NULL, 0), 1);
    for (size_t bytes = 1; bytes < 600; bytes++) {
        char *block = malloc(bytes);
        assert_non_null(block);
        for (size_t i = 0; i < bytes; i++)
            block[i] = i % 3 == 2 ? ',' : '1';
        assert_int_equal(json_numbers_most(block, bytes), bytes / 3 + 1);
        memset(block, ',', bytes);
        assert_int_equal(json_numbers_most(block, bytes), bytes + 1);
        free(block);
    }
}

static void test_pointer(void **state)
{
    (void)state;
    const int64_t dim[] = {2, 3, 4};
    char pointer[32], tight[4];
    json_tensor_pointer(dim, 3, 23, pointer, sizeof pointer);
    assert_string_equal(pointer, "/1/2/3");
    json_tensor_pointer(dim, 3, 4, pointer, sizeof pointer);
    assert_string_equal(pointer, "/0/1/0");
    json_tensor_pointer(dim, 0, 0, pointer, sizeof pointer);
    assert_string_equal(pointer, "");
    json_tensor_pointer(dim, 3, 23, tight, sizeof tight);
    assert_string_equal(tight, "/1/");
}

/* ---- memory -------------------------------------------------------------------------------- */

static uint64_t fault_at;

static bool fail_one(size_t bytes)
{
    (void)bytes;
    return fault_at-- == 0;
}

/* Each allocation fails once in its turn; in the end none is left. */
static void test_no_memory(void **state)
{
    (void)state;
    const char *text =
        "{\"a\":[[1,2],[3,4]],\"b\":{\"k\":\"v\",\"l\":[null,1,2,[3]],\"m\":\"\\n\"},"
        "\"c\":[\"\",1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18]}";
    enum err_kind rc = ERR_NOMEM;
    uint64_t n = 0;
    for (; rc && n < 1000; n++) {
        struct json j;
        struct err e;
        fault_at = n;
        mem_fault = fail_one;
        rc = json_parse(text, strlen(text), &j, &e);
        mem_fault = NULL;
        assert_true(rc == ERR_NOMEM || rc == ERR_OK);
        assert_int_equal(j.root != NULL, rc == ERR_OK);
        json_close(&j);
    }
    assert_int_equal(rc, ERR_OK);
    assert_true(n > 30);
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
        cmocka_unit_test(test_valid),
        cmocka_unit_test(test_invalid),
        cmocka_unit_test(test_nul_bytes),
        cmocka_unit_test(test_empty),
        cmocka_unit_test(test_cut),
        cmocka_unit_test(test_deep),
        cmocka_unit_test(test_nodes),
        cmocka_unit_test(test_duplicates),
        cmocka_unit_test(test_duplicates_wide),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_numbers_too_large),
        cmocka_unit_test(test_shapes),
        cmocka_unit_test(test_shapes_wrong),
        cmocka_unit_test(test_places),
        cmocka_unit_test(test_read_floats),
        cmocka_unit_test(test_read_many),
        cmocka_unit_test(test_read_huge),
        cmocka_unit_test(test_read_wrong),
        cmocka_unit_test(test_read_ints),
        cmocka_unit_test(test_numbers_most),
        cmocka_unit_test(test_pointer),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests_name("json_in", tests, set_up, NULL);
}
