/* Any text: what is read is what glibc reads. The first eight bytes as a number: what is written
 * comes back. */
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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    static bool ready;
    if (!ready)
        decimal_init();
    ready = true;
    check_text((const char *)data, bytes);
    if (bytes >= 8) {
        check_f64(data);
        check_f32(data);
    }
    return 0;
}
