#include "api/wire.h"

#include <math.h>
#include <string.h>

#include "engine/mem.h"

/* ---- halves -------------------------------------------------------------------------------- */

static float float_of_bits(uint32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* binary16: 1 sign, 5 exponent, 10 fraction. Every one is a float32. */
static float half_F16(uint16_t half)
{
    uint32_t sign = (uint32_t)(half & 0x8000) << 16, exponent = half >> 10 & 31,
             fraction = half & 1023;
    if (exponent == 31)
        return float_of_bits(sign | 0x7f800000 | fraction << 13);
    if (exponent)
        return float_of_bits(sign | (exponent + 127 - 15) << 23 | fraction << 13);
    float x = (float)fraction * 0x1p-24f;
    return sign ? -x : x;
}

/* bfloat16: the upper half of a float32. */
static float half_BF16(uint16_t half)
{
    return float_of_bits((uint32_t)half << 16);
}

/* ---- one element --------------------------------------------------------------------------- */

static bool whole(double x, int64_t *out)
{
    if (!(x >= -0x1p63 && x < 0x1p63) || x != floor(x))
        return false;
    *out = (int64_t)x;
    return true;
}

/* false: it does not fit. What is infinite already may stay so. */
static bool narrow(double x, float *out)
{
    *out = (float)x;
    return !isinf(*out) || isinf(x);
}

#define LOAD(type, from, i)                                                                        \
    type x;                                                                                        \
    memcpy(&x, (from) + (i) * sizeof x, sizeof x)

/* ---- runs of them: each returns the index of the one that does not fit, or n ---------------- */

#define RUN(id, to, c_type, to_type, body)                                                         \
    static size_t id##_to_##to(const unsigned char *from, void *out, size_t n)                     \
    {                                                                                              \
        to_type *y = out;                                                                          \
        for (size_t i = 0; i < n; i++) {                                                           \
            LOAD(c_type, from, i);                                                                 \
            body                                                                                   \
        }                                                                                          \
        return n;                                                                                  \
    }
#define RUNS_FLOAT(id, c_type)                                                                     \
    RUN(id, f32, c_type, float, {                                                                  \
        if (!narrow(x, y + i))                                                                     \
            return i;                                                                              \
    })                                                                                             \
    RUN(id, f64, c_type, double, { y[i] = x; })                                                    \
    RUN(id, i64, c_type, int64_t, {                                                                \
        if (!whole(x, y + i))                                                                      \
            return i;                                                                              \
    })
#define RUNS_HALF(id, c_type)                                                                      \
    RUN(id, f32, c_type, float, { y[i] = half_##id(x); })                                          \
    RUN(id, f64, c_type, double, { y[i] = half_##id(x); })                                         \
    RUN(id, i64, c_type, int64_t, {                                                                \
        if (!whole(half_##id(x), y + i))                                                           \
            return i;                                                                              \
    })
#define RUNS_INTEGER(id, c_type)                                                                   \
    RUN(id, f32, c_type, float, { y[i] = (float)x; })                                              \
    RUN(id, f64, c_type, double, { y[i] = (double)x; })                                            \
    RUN(id, i64, c_type, int64_t, {                                                                \
        if (__builtin_add_overflow(x, 0, y + i))                                                   \
            return i;                                                                              \
    })
#define RUNS_TRUTH(id, c_type)
#define RUNS(kind, id, descr, c_type) RUNS_##kind(id, c_type)
WIRE_TYPES(RUNS)
#undef RUNS

typedef size_t run(const unsigned char *from, void *out, size_t n);

static const struct {
    const char *name, *descr;
    size_t bytes;
    run *f32, *f64, *i64; /* NULL: no numbers */
} types[] = {
#define ROW_FLOAT(id)                id##_to_f32, id##_to_f64, id##_to_i64
#define ROW_HALF(id)                 ROW_FLOAT(id)
#define ROW_INTEGER(id)              ROW_FLOAT(id)
#define ROW_TRUTH(id)                NULL, NULL, NULL
#define ROW(kind, id, descr, c_type) [WIRE_##id] = {#id, descr, sizeof(c_type), ROW_##kind(id)},
    WIRE_TYPES(ROW)
#undef ROW
};

size_t wire_bytes(enum wire_type type)
{
    return types[type].bytes;
}

const char *wire_name(enum wire_type type)
{
    return types[type].name;
}

const char *wire_descr(enum wire_type type)
{
    return types[type].descr;
}

enum wire_type wire_of_dtype(enum dtype dtype)
{
    static const enum wire_type of[] = {[DTYPE_BOOL] = WIRE_BOOL,
                                        [DTYPE_INT64] = WIRE_I64,
                                        [DTYPE_FLOAT32] = WIRE_F32,
                                        [DTYPE_FLOAT64] = WIRE_F64};
    return of[dtype];
}

bool wire_size(enum wire_type type, const struct shape *shape, size_t *out)
{
    return mem_mul((size_t)shape_count(shape), types[type].bytes, out);
}

/* ---- reading ------------------------------------------------------------------------------- */

bool wire_is_in_place(const struct wire *w, enum dtype dtype)
{
    return w->type == wire_of_dtype(dtype) && !w->columns &&
           (uintptr_t)w->data % dtype_bytes(dtype) == 0;
}

/* Where the element that lies at i in Fortran's order stands in C's. */
static size_t by_rows(const struct shape *s, size_t i)
{
    int64_t row = 0, left = (int64_t)i, stride = shape_count(s);
    for (int d = 0; d < s->rank; d++) {
        stride /= s->dim[d];
        row += left % s->dim[d] * stride;
        left /= s->dim[d];
    }
    return (size_t)row;
}

/* From Fortran's order to C's, by way of a copy. */
static enum err_kind turn(const struct shape *shape, enum dtype dtype, void *data, struct err *e)
{
    size_t n = (size_t)shape_count(shape), bytes = dtype_bytes(dtype);
    struct storage from = {.data = mem_array(n, bytes)}, to = {.data = data};
    struct tensor columns, rows;
    int64_t stride = 1;
    if (!from.data)
        return err_set(e, ERR_NOMEM, "", "no memory for the array");
    memcpy(from.data, data, n * bytes);
    tensor_wrap(&columns, &from, dtype, shape, 0);
    tensor_wrap(&rows, &to, dtype, shape, 0);
    for (int d = 0; d < shape->rank; d++) {
        columns.stride[d] = stride;
        stride *= shape->dim[d] ? shape->dim[d] : 1;
    }
    tensor_copy(&rows, &columns);
    mem_free(from.data);
    return ERR_OK;
}

enum err_kind wire_read(const struct wire *w, enum dtype dtype, void *to, struct err *e)
{
    char pointer[sizeof e->pointer];
    size_t n = (size_t)shape_count(&w->shape);
    run *read = dtype == DTYPE_FLOAT32   ? types[w->type].f32
                : dtype == DTYPE_FLOAT64 ? types[w->type].f64
                                         : types[w->type].i64;
    if (!read)
        return err_set(e, ERR_INVALID, "", "must be numbers, not of type %s", types[w->type].name);
    size_t bad = n;
    if (w->type == wire_of_dtype(dtype))
        memcpy(to, w->data, n * types[w->type].bytes);
    else
        bad = read(w->data, to, n);
    if (bad == n)
        return w->columns ? turn(&w->shape, dtype, to, e) : ERR_OK;
    if (w->columns)
        bad = by_rows(&w->shape, bad);
    json_tensor_pointer(w->shape.dim, w->shape.rank, (int64_t)bad, pointer, sizeof pointer);
    return err_set(e, ERR_INVALID, pointer, "%s", json_refusal(dtype));
}

/* ---- writing ------------------------------------------------------------------------------- */

void wire_write(struct json_out *out, const struct tensor *t)
{
    size_t bytes = (size_t)tensor_count(t) * dtype_bytes(t->dtype);
    struct storage place = {.data = json_room(out, bytes)};
    struct tensor to;
    if (!place.data)
        return;
    tensor_wrap(&to, &place, t->dtype, &t->shape, 0);
    tensor_copy(&to, t);
}
