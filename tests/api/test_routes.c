/* The route table: matching, and what the README says of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "api/routes.h"

static const struct route *match(const char *method, const char *path, const char *param[2],
                                 char allow[128])
{
    static char copy[256];
    param[0] = param[1] = "";
    snprintf(copy, sizeof copy, "%s", path);
    return route_match(method, copy, param, allow, 128);
}

static void finds_routes_and_their_parameters(void **state)
{
    const char *param[2];
    char allow[128];
    (void)state;
    const struct route *r = match("GET", "/models/a.b-c/batches/12", param, allow);
    assert_non_null(r);
    assert_string_equal(r->path, "/models/{id}/batches/{n}");
    assert_string_equal(param[0], "a.b-c");
    assert_string_equal(param[1], "12");
    r = match("POST", "/models/m/optimizer/step", param, allow);
    assert_non_null(r);
    assert_string_equal(r->path, "/models/{id}/optimizer/step");
}

static void head_is_get(void **state)
{
    const char *param[2];
    char allow[128];
    (void)state;
    const struct route *r = match("HEAD", "/models/m/parameters", param, allow);
    assert_non_null(r);
    assert_string_equal(r->method, "GET");
    assert_null(match("HEAD", "/models/m/step", param, allow));
    assert_string_equal(allow, "POST");
}

static void another_method_is_told(void **state)
{
    const char *param[2];
    char allow[128];
    (void)state;
    assert_null(match("DELETE", "/models", param, allow));
    assert_string_equal(allow, "POST, GET, HEAD");
    assert_null(match("get", "/models", param, allow));
    assert_string_equal(allow, "POST, GET, HEAD");
}

static void no_such_path(void **state)
{
    static const char *const paths[] = {
        "/",           "",        "models",          "/models/",
        "//models",    "/Models", "/models/m//",     "/models/m/steps",
        "/models//x",  "/model",  "/models/m/step/", "/a/b/c/d/e/f/g/h/i/j/k",
        "/models/m/.."};
    const char *param[2];
    char allow[128];
    (void)state;
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        assert_null(match("GET", paths[i], param, allow));
        if (allow[0])
            fail_msg("%s is said to take %s", paths[i], allow);
    }
}

static void no_two_routes_are_the_same(void **state)
{
    (void)state;
    for (const struct route *a = routes; a->method; a++)
        for (const struct route *b = a + 1; b->method; b++)
            if (!strcmp(a->method, b->method) && !strcmp(a->path, b->path))
                fail_msg("%s %s stands there twice", a->method, a->path);
}

static char *read_file(const char *path)
{
    FILE *f = fopen(path, "rb");
    if (!f)
        fail_msg("%s cannot be opened: tests run from the top of the tree", path);
    char *text = calloc(1, 1 << 20);
    assert_non_null(text);
    assert_true(fread(text, 1, (1 << 20) - 1, f) > 0);
    fclose(f);
    return text;
}

static void expect_line(void *arg, const char *line)
{
    char whole[300];
    snprintf(whole, sizeof whole, "\n%s\n", line);
    if (!strstr(arg, whole))
        fail_msg("the README lacks the line\n%s", line);
}

static void the_readme_has_the_tables(void **state)
{
    (void)state;
    char *readme = read_file("README.md");
    routes_write_markdown(expect_line, readme);
    routes_write_media(expect_line, readme);
    free(readme);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_routes_and_their_parameters),
        cmocka_unit_test(head_is_get),
        cmocka_unit_test(another_method_is_told),
        cmocka_unit_test(no_such_path),
        cmocka_unit_test(no_two_routes_are_the_same),
        cmocka_unit_test(the_readme_has_the_tables),
    };
    return cmocka_run_group_tests_name("routes", tests, NULL, NULL);
}
