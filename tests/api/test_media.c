/* api/media.h: content types, and what Accept makes of them. */
#include "api/media.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void test_content_type(void **state)
{
    (void)state;
    assert_int_equal(media_read("application/json"), MEDIA_JSON);
    assert_int_equal(media_read("Application/JSON; charset=utf-8"), MEDIA_JSON);
    assert_int_equal(media_read("text/csv ;header=present"), MEDIA_CSV);
    assert_int_equal(media_read("application/x-npy"), MEDIA_NPY);
    assert_int_equal(media_read("application/x-safetensors"), MEDIA_SAFETENSORS);
    assert_int_equal(media_read("application/x-npyx"), MEDIA_COUNT);
    assert_int_equal(media_read("application/x-np"), MEDIA_COUNT);
    assert_int_equal(media_read(""), MEDIA_COUNT);
}

static void test_join(void **state)
{
    char text[64];
    (void)state;
    unsigned set = MEDIA_BIT(MEDIA_CSV) | MEDIA_BIT(MEDIA_JSON);
    assert_string_equal(media_join(set, text, sizeof text), "application/json, text/csv");
    assert_string_equal(media_join(0, text, sizeof text), "");
    assert_string_equal(media_join(set, text, 8), "applica");
}

static void test_accept(void **state)
{
    static const struct {
        const char *header[3];
        enum media from_json, from_npy;
    } rows[] = {
        {{NULL}, MEDIA_JSON, MEDIA_NPY},
        {{"*/*"}, MEDIA_JSON, MEDIA_NPY},
        {{""}, MEDIA_JSON, MEDIA_NPY},
        {{"application/x-npy"}, MEDIA_NPY, MEDIA_NPY},
        {{"application/json"}, MEDIA_JSON, MEDIA_JSON},
        {{"APPLICATION/X-NPY;v=1"}, MEDIA_NPY, MEDIA_NPY},
        {{"application/*"}, MEDIA_JSON, MEDIA_NPY},
        {{"text/html, application/x-npy;q=0.8, */*;q=0.5"}, MEDIA_NPY, MEDIA_NPY},
        {{"*/*;q=0.5,application/json"}, MEDIA_JSON, MEDIA_JSON},
        {{"application/x-safetensors;q=0.301,application/json;q=0.3"},
         MEDIA_SAFETENSORS,
         MEDIA_SAFETENSORS},
        {{"application/x-npy ; q=0.2", "application/json ;Q=0.3"}, MEDIA_JSON, MEDIA_JSON},
        {{"application/json;q=0, */*"}, MEDIA_SAFETENSORS, MEDIA_NPY},
        {{"application/x-npy;q=0.000, */*"}, MEDIA_JSON, MEDIA_JSON},
        {{"text/html"}, MEDIA_JSON, MEDIA_NPY}, /* nothing fits: as if nothing was said */
        {{"text/html;q="}, MEDIA_JSON, MEDIA_NPY},
        {{",,;,q=1,;q=0"}, MEDIA_JSON, MEDIA_NPY},
    };
    unsigned set = MEDIA_BIT(MEDIA_JSON) | MEDIA_BIT(MEDIA_NPY) | MEDIA_BIT(MEDIA_SAFETENSORS);
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct accept a = {.given = false};
        for (int k = 0; k < 3 && rows[i].header[k]; k++)
            accept_read(&a, rows[i].header[k]);
        enum media json = accept_choose(&a, set, MEDIA_JSON),
                   npy = accept_choose(&a, set, MEDIA_NPY);
        if (json != rows[i].from_json || npy != rows[i].from_npy)
            fail_msg("row %zu: %d %d", i, (int)json, (int)npy);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_content_type),
        cmocka_unit_test(test_join),
        cmocka_unit_test(test_accept),
    };
    return cmocka_run_group_tests_name("media", tests, NULL, NULL);
}
