/* Reading one number (decimal_number.h), and the way to the reader of many. */
#include "engine/decimal.h"
#include "engine/decimal_number.h"
#include "engine/kernels.h"

const char *decimal_read_f64(const char *text, const char *end, double *out)
{
    struct number n;
    uint64_t pattern;
    const char *behind = read_number(text, end, &n);
    if (!behind)
        return NULL;
    if (is_short(&n, &f64, 22)) {
        double x = (double)n.w;
        x = n.power < 0 ? x / exact_f64[-n.power] : x * exact_f64[n.power];
        memcpy(&pattern, &x, sizeof x);
    } else {
        pattern = find_nearest(&n, &f64);
    }
    pattern |= (uint64_t)n.negative << 63;
    memcpy(out, &pattern, sizeof pattern);
    return behind;
}

const char *decimal_read_f32(const char *text, const char *end, float *out)
{
    return read_f32(text, end, out);
}

size_t decimal_read_floats(const char **text, const char *end, float *out, size_t room)
{
    return kernels_best()->read_floats(text, end, out, room);
}

const char *decimal_read_i64(const char *text, const char *end, int64_t *out)
{
    struct number n;
    const char *behind = read_number(text, end, &n);
    if (!behind || n.cut) /* a 20th digit that is not 0: a fraction, or too large */
        return NULL;
    for (; n.power < 0 && n.w % 10 == 0 && n.w; n.power++)
        n.w /= 10;
    if (n.power < 0 && n.w)
        return NULL;
    for (; n.power > 0 && n.w; n.power--) {
        if (__builtin_mul_overflow(n.w, (uint64_t)10, &n.w))
            return NULL;
    }
    if (n.w > (uint64_t)INT64_MAX + n.negative)
        return NULL;
    *out = n.negative && n.w ? -(int64_t)(n.w - 1) - 1 : (int64_t)n.w;
    return behind;
}
