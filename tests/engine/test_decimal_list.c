/* Lists of numbers (engine/digit_list.h, decimal_read_list_*): the same as one by one. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/decimal.h"
#include "engine/digit_list.h"
#include "engine/digits.h"

static uint64_t random_state = 0x9E3779B97F4A7C15;

static unsigned draw(unsigned below)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (unsigned)(random_state >> 33) % below;
}

/* ---- what is seen -------------------------------------------------------------------------- */

/* The same by walking: "number," with blanks before all numbers but the first, up to end. Returns
 * how many, 0: it is something else. */
static int walk(const char *p, const char *end)
{
    int count = 0;
    while (p < end) {
        while (count > 0 && p < end && *p == ' ')
            p++;
        p += *p == '-';
        const char *first = p;
        while (p < end && digits_is(*p))
            p++;
        if (p == first || (*first == '0' && p - first > 1))
            return 0;
        if (p < end && *p == '.') {
            first = ++p;
            while (p < end && digits_is(*p))
                p++;
            if (p == first)
                return 0;
        }
        if (p == end || *p++ != ',')
            return 0;
        count++;
    }
    return count;
}

/* Numbers, mostly, with a mistake here and there. */
static void draw_text(char text[DIGIT_LIST_BYTES])
{
    static const char any[] = "00123456789.,-- e\"]\n+";
    unsigned mistakes = draw(3) ? 0 : 1 + draw(2), at = 0;
    while (at < DIGIT_LIST_BYTES) {
        char number[64];
        int n = snprintf(number, sizeof number, "%s%.*f,%s", draw(4) ? "" : "-", (int)draw(12),
                         (draw(100) + draw(10) / 10.0) / (draw(2) ? 1 : 1000),
                         draw(3) ? "" : "  " + draw(2));
        for (int i = 0; i < n && at < DIGIT_LIST_BYTES; i++)
            text[at++] = number[i];
    }
    for (; mistakes; mistakes--)
        text[draw(DIGIT_LIST_BYTES)] = any[draw(sizeof any - 1)];
}

static void lists_are_seen_where_they_are_and_nowhere_else(void **state)
{
    (void)state;
    int seen = 0, refused = 0;
    for (int i = 0; i < 300000; i++) {
        char text[DIGIT_LIST_BYTES];
        struct digit_list l;
        draw_text(text);
        const char *last = text + DIGIT_LIST_BYTES;
        while (last > text && last[-1] != ',')
            last--;
        int count = walk(text, last);
        bool is_seen = digit_list_see(text, &l);
#ifdef __SSE2__
        if (is_seen != (count > 0))
            fail_msg("%.64s: %d numbers, %s", text, count, is_seen ? "seen" : "not seen");
#endif
        seen += is_seen;
        refused += !is_seen;
        if (is_seen && (l.count != count || l.bytes != last - text))
            fail_msg("%.64s: %d numbers, not %d", text, l.count, count);
    }
    assert_in_range(refused, 1000, 299000);
#ifdef __SSE2__
    assert_in_range(seen, 1000, 299000);
#endif
}

/* ---- what is read -------------------------------------------------------------------------- */

#define NUMBERS 400

static int print_number(char *out, size_t room)
{
    double x = (draw(1u << 30) + draw(1u << 30) * 0x1p-30) * pow(10, draw(24) - 14.0);
    const char *sign = draw(2) ? "-" : "";
    switch (draw(8)) {
    case 0:
        return snprintf(out, room, "%s%u", sign, draw(300));
    case 1: /* the middle between two floats, and long ones */
        return snprintf(out, room, "%s%.*f", sign, 12 + (int)draw(14),
                        (1 + draw(1 << 24)) + (draw(2) ? 0.5 : 0));
    case 2:
        return snprintf(out, room, "%s0.%0*u", sign, 1 + (int)draw(20), draw(1000));
    case 3:
        return snprintf(out, room, "%s%.17g", sign, x);
    case 4:
        return snprintf(out, room, "%s%.*f", sign, (int)draw(20), x);
    default:
        return snprintf(out, room, "%s%.9g", sign, (double)(float)x);
    }
}

struct list {
    char *text, *end; /* a block of its own: what is read behind it is seen by a sanitizer */
    float f32[NUMBERS];
    double f64[NUMBERS];
};

static struct list draw_list(void)
{
    static const char *const gaps[] = {",", ",", ",", ", ", ",  ", " ,", ",\n"};
    struct list l;
    char text[NUMBERS * 80];
    size_t bytes = 0;
    unsigned gap = draw(2) ? 0 : 7;
    for (int i = 0; i < NUMBERS; i++) {
        int n = print_number(text + bytes, sizeof text - bytes);
        l.f32[i] = strtof(text + bytes, NULL);
        l.f64[i] = strtod(text + bytes, NULL);
        bytes += (size_t)n;
        if (i + 1 < NUMBERS)
            bytes += (size_t)snprintf(text + bytes, sizeof text - bytes, "%s",
                                      gaps[gap ? draw(gap) : 0]);
    }
    l.text = malloc(bytes);
    assert_non_null(l.text);
    memcpy(l.text, text, bytes);
    l.end = l.text + bytes;
    return l;
}

static const char *behind_gap(const char *p, const char *end)
{
    while (p < end && strchr(", \n", *p))
        p++;
    return p;
}

static void check_f32(const struct list *l, size_t *at_once)
{
    const char *p = l->text;
    for (size_t i = 0, n; i < NUMBERS; p = behind_gap(p, l->end)) {
        float x[NUMBERS];
        n = decimal_read_list_f32(&p, l->end, x);
        *at_once += n;
        if (n == 0)
            p = decimal_read_f32(p, l->end, x);
        assert_non_null(p);
        n += n == 0;
        assert_in_range(n, 1, NUMBERS - i);
        assert_memory_equal(x, l->f32 + i, n * sizeof *x);
        i += n;
    }
    assert_ptr_equal(p, l->end);
}

static void check_f64(const struct list *l, size_t *at_once)
{
    const char *p = l->text;
    for (size_t i = 0, n; i < NUMBERS; p = behind_gap(p, l->end)) {
        double x[NUMBERS];
        n = decimal_read_list_f64(&p, l->end, x);
        *at_once += n;
        if (n == 0)
            p = decimal_read_f64(p, l->end, x);
        assert_non_null(p);
        n += n == 0;
        assert_in_range(n, 1, NUMBERS - i);
        assert_memory_equal(x, l->f64 + i, n * sizeof *x);
        i += n;
    }
    assert_ptr_equal(p, l->end);
}

static void lists_are_read_as_their_numbers(void **state)
{
    (void)state;
    size_t at_once = 0;
    for (int i = 0; i < 400; i++) {
        struct list l = draw_list();
        check_f32(&l, &at_once);
        check_f64(&l, &at_once);
        free(l.text);
    }
#ifdef __SSE2__
    assert_in_range(at_once, 800 * NUMBERS / 10, 800 * NUMBERS);
#endif
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
        cmocka_unit_test(lists_are_seen_where_they_are_and_nowhere_else),
        cmocka_unit_test(lists_are_read_as_their_numbers),
    };
    return cmocka_run_group_tests_name("decimal lists", tests, set_up, NULL);
}
