/* Any text: what is read is what glibc reads, and a row is read as its numbers are, one by one. The
 * first eight bytes as a number: what is written comes back; all of them as numbers: together they
 * are written as one by one. */
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "engine/decimal.h"
#include "tests/fuzz/fuzz.h"

static void expect(bool condition)
{
    if (!condition)
        abort();
}

static void check_text(const char *text, size_t bytes)
{
    double x, judge_x;
    float y, judge_y;
    int64_t z;
    const char *end = text + bytes;
    const char *behind = decimal_read_f64(text, end, &x);
    expect(decimal_read_f32(text, end, &y) == behind);
    expect(!decimal_read_i64(text, end, &z) || behind);
    if (!behind)
        return;
    char *copy = calloc((size_t)(behind - text) + 1, 1);
    expect(copy);
    memcpy(copy, text, (size_t)(behind - text));
    judge_x = strtod(copy, NULL);
    judge_y = strtof(copy, NULL);
    expect(memcmp(&x, &judge_x, sizeof x) == 0 && memcmp(&y, &judge_y, sizeof y) == 0);
    if (decimal_read_i64(text, end, &z))
        expect((double)z == x);
    free(copy);
}

static void check_f64(const uint8_t *data)
{
    char text[DECIMAL_F64_BYTES];
    double x, back;
    memcpy(&x, data, sizeof x);
    if (!isfinite(x))
        return;
    size_t bytes = decimal_write_f64(x, text);
    expect(decimal_read_f64(text, text + bytes, &back) == text + bytes);
    expect(memcmp(&x, &back, sizeof x) == 0);
    check_text(text, bytes);
}

static void check_f32(const uint8_t *data)
{
    char text[DECIMAL_F32_BYTES];
    float x, back;
    memcpy(&x, data, sizeof x);
    if (!isfinite(x))
        return;
    size_t bytes = decimal_write_f32(x, text);
    expect(decimal_read_f32(text, text + bytes, &back) == text + bytes);
    expect(memcmp(&x, &back, sizeof x) == 0);
    check_text(text, bytes);
}

#define ROW_MOST 64

/* The place of the number behind the one that ends at p; NULL: none follows. */
static const char *read_next(const char *p, const char *end, float *x, const char **behind)
{
    if (p == end || *p != ',')
        return NULL;
    for (p++; p < end && (*p == ' ' || *p == '\n' || *p == '\t' || *p == '\r'); p++)
        ;
    *behind = decimal_read_f32(p, end, x);
    return *behind ? p : NULL;
}

static void check_row(const char *text, size_t bytes)
{
    float row[ROW_MOST], x;
    const char *at = text, *end = text + bytes, *behind = decimal_read_f32(text, end, &x);
    size_t count = decimal_read_floats(&at, end, row, ROW_MOST);
    expect((count > 0) == (behind != NULL));
    if (count == 0)
        behind = text;
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            expect(read_next(behind, end, &x, &behind) != NULL);
        expect(memcmp(&x, &row[i], sizeof x) == 0);
    }
    expect(at == behind);
    expect(count == 0 || count == ROW_MOST || !read_next(behind, end, &x, &behind));
}

static void check_together(const uint8_t *data, size_t bytes)
{
    char text[ROW_MOST * (DECIMAL_F32_BYTES + 1)], one[DECIMAL_F32_BYTES];
    float row[ROW_MOST] = {0};
    size_t n = bytes / sizeof *row < ROW_MOST ? bytes / sizeof *row : ROW_MOST, length, used = 0;
    if (n > 0)
        memcpy(row, data, n * sizeof *row);
    size_t count = decimal_write_floats(row, n, text, &length);
    expect(count == n || !isfinite(row[count]));
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            expect(text[used++] == ',');
        size_t part = decimal_write_f32(row[i], one);
        expect(used + part <= length && memcmp(text + used, one, part) == 0);
        used += part;
    }
    expect(used == length);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    static bool ready;
    if (!ready)
        decimal_init();
    ready = true;
    check_text((const char *)data, bytes);
    check_row((const char *)data, bytes);
    check_together(data, bytes);
    if (bytes >= 8) {
        check_f64(data);
        check_f32(data);
    }
    return 0;
}
