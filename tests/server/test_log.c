/* The log's lines: both forms, and that no value can break out of its place. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>
#include <unistd.h>

#include "server/log.h"

/* Logs one event through a pipe and returns its line. */
static const char *line_of(bool json, const char *message, const struct log_field *field,
                           size_t fields)
{
    static char line[8192];
    int end[2];
    assert_int_equal(pipe(end), 0);
    const struct log l = {.json = json, .fd = end[1]};
    log_event(&l, LOG_WARN, message, field, fields);
    close(end[1]);
    ssize_t n = read(end[0], line, sizeof line - 1);
    close(end[0]);
    assert_true(n > 0);
    line[n] = '\0';
    return line;
}

/* What stands behind the time. */
static const char *after_time(const char *line)
{
    const char *z = strchr(line, 'Z');
    assert_non_null(z);
    return z + 1;
}

static const struct log_field sample[] = {
    {.key = "path", .text = "/a?b"},
    {.key = "id", .text = "x \"y\"\n{\\"},
    {.key = "none", .text = ""},
    {.key = "us", .number = -12},
};

static void test_text(void **state)
{
    (void)state;
    assert_string_equal(
        after_time(line_of(false, "request", sample, 4)),
        " warn request path=/a?b id=\"x \\\"y\\\"\\u000a{\\\\\" none=\"\" us=-12\n");
}

static void test_json(void **state)
{
    const char *line = line_of(true, "hello \"you\"", sample, 4);
    (void)state;
    assert_int_equal(strncmp(line, "{\"time\":\"2", 10), 0);
    assert_string_equal(after_time(line),
                        "\",\"level\":\"warn\",\"message\":\"hello \\\"you\\\"\",\"path\":\"/a?b\","
                        "\"id\":\"x \\\"y\\\"\\u000a{\\\\\",\"none\":\"\",\"us\":-12}\n");
}

static void test_injection(void **state)
{
    static const char evil[] = "a\r\n2026-01-01T00:00:00.000Z info \033[31m\xc2\x9b b=c\x7f";
    const struct log_field field = {.key = "path", .text = evil};
    (void)state;
    for (int json = 0; json < 2; json++) {
        const char *line = line_of(json, evil, &field, 1);
        assert_ptr_equal(strchr(line, '\n'), line + strlen(line) - 1);
        for (const char *p = line; *p && *p != '\n'; p++)
            assert_in_range((unsigned char)*p, ' ', '~');
    }
}

static void test_long_values_are_cut(void **state)
{
    static char huge[20000];
    const struct log_field field[] = {
        {.key = "a", .text = huge}, {.key = "b", .text = huge}, {.key = "c", .text = "end"}};
    (void)state;
    memset(huge, '"', sizeof huge - 1); /* each needs two bytes */
    const char *line = line_of(true, huge, field, 3);
    assert_true(strlen(line) < 4096);
    assert_non_null(strstr(line, "\",\"c\":\"end\"}\n"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_json),
        cmocka_unit_test(test_injection),
        cmocka_unit_test(test_long_values_are_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
