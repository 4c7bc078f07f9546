/* engine/text.h and engine/utf8.h: what is cut off, and where characters end. */
#include "engine/text.h"

#include "engine/utf8.h"
#include "tests/engine/lab.h"

static struct text text_new(size_t max)
{
    return (struct text){.arena = &lab.memory, .max = max};
}

static void test_growth(void **state)
{
    (void)state;
    struct text t = text_new(SIZE_MAX);
    for (int i = 0; i < 1000; i++)
        text_addf(&t, "%03d,", i);
    assert_int_equal(t.bytes, 4000);
    assert_memory_equal(t.at + 3996, "999,", 5);
    text_fill(&t, '-', 70000);
    assert_int_equal(strspn(t.at + 4000, "-"), 70000);
    assert_false(t.cut || t.failed);
    lab_clear(&lab);
}

static void test_nothing(void **state)
{
    (void)state;
    struct text t = text_new(0);
    text_puts(&t, "");
    assert_false(t.cut);
    assert_string_equal(t.at, "");
    text_puts(&t, "x");
    assert_true(t.cut);
    assert_string_equal(t.at, "");
    lab_clear(&lab);
}

static void add_puts(struct text *t, const char *text)
{
    text_puts(t, text);
}

static void add_formatted(struct text *t, const char *text)
{
    text_addf(t, "%s", text);
}

/* A character is let through whole or not at all; what comes after is gone too. */
static void check_cut(void (*add)(struct text *, const char *))
{
    static const char whole[] = "a\u00e9\u20ac\U0001f642z"; /* of 1, 2, 3, 4 and 1 bytes */
    static const size_t ends[] = {0, 1, 1, 3, 3, 3, 6, 6, 6, 6, 10, 11};
    for (size_t max = 0; max < COUNT(ends); max++) {
        struct text t = text_new(max + 2);
        text_puts(&t, "> ");
        add(&t, whole);
        assert_int_equal(t.bytes, ends[max] + 2);
        assert_int_equal(t.cut, max < sizeof whole - 1);
        add(&t, "!");
        assert_int_equal(t.bytes, ends[max] + 2);
        assert_memory_equal(t.at + 2, whole, ends[max]);
        assert_int_equal(t.at[t.bytes], 0);
        lab_clear(&lab);
    }
}

static void test_cut(void **state)
{
    (void)state;
    check_cut(add_puts);
    check_cut(add_formatted);
    struct text t = text_new(5);
    text_fill(&t, 'x', SIZE_MAX);
    assert_string_equal(t.at, "xxxxx");
    assert_true(t.cut && !t.failed);
    lab_clear(&lab);
}

static void test_no_memory(void **state)
{
    (void)state;
    struct arena arena = {.chunks = NULL};
    struct text t = {.arena = &arena, .max = SIZE_MAX};
    text_puts(&t, "kept");
    lab_fail_allocation(0);
    text_fill(&t, ' ', 1 << 20);
    lab_fail_allocation(-1);
    text_puts(&t, "late");
    assert_true(t.failed && t.cut);
    assert_string_equal(t.at, "kept");
    t = (struct text){.arena = &arena, .max = SIZE_MAX};
    text_fill(&t, ' ', SIZE_MAX); /* with the NUL that is more than can be counted */
    assert_true(t.failed);
    arena_close(&arena);
}

/* Every character is read as it was written, and in pieces not at all. */
static void test_characters(void **state)
{
    (void)state;
    for (uint32_t code = 0; code <= 0x10FFFF; code++) {
        char text[UTF8_BYTES_MAX];
        uint32_t got;
        if (code == 0xD800)
            code = 0xE000;
        size_t bytes = utf8_write(code, text);
        assert_int_equal(utf8_length(text, text + bytes), bytes);
        assert_int_equal(utf8_read(text, text + bytes, &got), bytes);
        assert_int_equal(got, code);
        assert_int_equal(utf8_whole(text, bytes), bytes);
        for (size_t part = 1; part < bytes; part++)
            assert_int_equal(utf8_whole(text, part), 0);
    }
}

static void test_counts(void **state)
{
    (void)state;
    static const char text[] = "a\u00e9\xff\u20ac\xc3";
    uint32_t code;
    assert_int_equal(utf8_count(text, sizeof text - 1), 5);
    assert_int_equal(utf8_head(text, sizeof text - 1, 2), 3);
    assert_int_equal(utf8_head(text, sizeof text - 1, 4), 7);
    assert_int_equal(utf8_head(text, sizeof text - 1, 9), 8);
    assert_int_equal(utf8_read(text + 3, text + 8, &code), 1);
    assert_int_equal(code, 0xDCFF);
    assert_int_equal(utf8_whole("\x80\x80\x80\x80", 4), 4);
    assert_int_equal(utf8_whole("", 0), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_growth),     cmocka_unit_test(test_nothing),
        cmocka_unit_test(test_cut),        cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_characters), cmocka_unit_test(test_counts),
    };
    return cmocka_run_group_tests_name("text", tests, lab_start, lab_finish);
}
