#include "api/json_out.h"

#include <math.h>
#include <string.h>

#include "engine/decimal.h"
#include "engine/mem.h"
#include "engine/tensor.h"
#include "engine/utf8.h"

#define ROOM_MIN 256

static void set_room(struct json_out *w, size_t room)
{
    char *text = mem_resize(w->text, w->bytes, room, 1);
    if (!text) {
        w->failed = true;
        return;
    }
    w->text = text;
    w->room = room;
}

static void grow(struct json_out *w, size_t bytes)
{
    size_t room = w->room < ROOM_MIN ? ROOM_MIN : w->room;
    while (room - w->bytes < bytes) {
        if (__builtin_mul_overflow(room, (size_t)2, &room)) {
            w->failed = true;
            return;
        }
    }
    set_room(w, room);
}

/* Makes room for so many bytes more. false: there is none, now or earlier. */
static inline bool reserve(struct json_out *w, size_t bytes)
{
    if (!w->failed && w->room - w->bytes < bytes)
        grow(w, bytes);
    return !w->failed;
}

static void put(struct json_out *w, const char *text, size_t bytes)
{
    if (bytes && reserve(w, bytes)) {
        memcpy(w->text + w->bytes, text, bytes);
        w->bytes += bytes;
    }
}

static void put_char(struct json_out *w, char c)
{
    if (reserve(w, 1))
        w->text[w->bytes++] = c;
}

void json_plain(struct json_out *w, const char *text)
{
    put(w, text, strlen(text));
}

void json_expect(struct json_out *w, size_t bytes)
{
    size_t room;
    if (w->failed || w->room - w->bytes > bytes)
        return;
    if (__builtin_add_overflow(w->bytes + 1, bytes, &room))
        w->failed = true;
    else
        set_room(w, room);
}

void json_bytes(struct json_out *w, const void *data, size_t bytes)
{
    put(w, data, bytes);
}

void *json_room(struct json_out *w, size_t bytes)
{
    if (!reserve(w, bytes))
        return NULL;
    w->bytes += bytes;
    return w->text + w->bytes - bytes;
}

/* Comes before each value and key. */
static void separate(struct json_out *w)
{
    if (w->comma)
        put_char(w, ',');
    w->comma = true;
}

static void open_with(struct json_out *w, char bracket)
{
    separate(w);
    put_char(w, bracket);
    w->comma = false;
}

static void close_with(struct json_out *w, char bracket)
{
    put_char(w, bracket);
    w->comma = true;
}

void json_begin_object(struct json_out *w)
{
    open_with(w, '{');
}

void json_end_object(struct json_out *w)
{
    close_with(w, '}');
}

void json_begin_array(struct json_out *w)
{
    open_with(w, '[');
}

void json_end_array(struct json_out *w)
{
    close_with(w, ']');
}

/* ---- strings ------------------------------------------------------------------------------- */

static void put_escape(struct json_out *w, char c)
{
    static const char hex[] = "0123456789abcdef";
    static const char from[] = "\"\\\b\f\n\r\t", to[] = "\"\\bfnrt";
    const char *found = memchr(from, c, sizeof from - 1); /* not its NUL */
    if (found) {
        put_char(w, '\\');
        put_char(w, to[found - from]);
        return;
    }
    put(w, "\\u00", 4);
    put_char(w, hex[c >> 4]);
    put_char(w, hex[c & 15]);
}

/* Writes the character at p, which is not plain; each byte that is not UTF-8 becomes U+FFFD.
 * Returns the position behind it. */
static const char *put_special(struct json_out *w, const char *p, const char *end)
{
    size_t bytes = utf8_length(p, end);
    if (bytes == 1)
        put_escape(w, *p);
    else if (bytes)
        put(w, p, bytes);
    else
        put(w, "\xEF\xBF\xBD", 3);
    return p + (bytes ? bytes : 1);
}

static void put_quoted(struct json_out *w, const char *text, size_t bytes)
{
    const char *end = text + bytes;
    put_char(w, '"');
    while (text < end) {
        const char *plain = text;
        while (text < end && utf8_is_plain(*text))
            text++;
        put(w, plain, (size_t)(text - plain));
        if (text < end)
            text = put_special(w, text, end);
    }
    put_char(w, '"');
}

void json_key(struct json_out *w, const char *key)
{
    separate(w);
    put_quoted(w, key, strlen(key));
    put_char(w, ':');
    w->comma = false;
}

void json_string(struct json_out *w, const char *utf8)
{
    if (!utf8) {
        json_null(w);
        return;
    }
    json_string_n(w, utf8, strlen(utf8));
}

void json_string_n(struct json_out *w, const char *text, size_t bytes)
{
    separate(w);
    put_quoted(w, text, bytes);
}

/* ---- numbers ------------------------------------------------------------------------------- */

static void put_i64(struct json_out *w, int64_t x)
{
    if (reserve(w, DECIMAL_I64_BYTES))
        w->bytes += decimal_write_i64(x, w->text + w->bytes);
}

static void put_nonfinite(struct json_out *w, double x)
{
    if (isnan(x))
        put(w, "\"NaN\"", 5);
    else if (x > 0)
        put(w, "\"Infinity\"", 10);
    else
        put(w, "\"-Infinity\"", 11);
}

static void put_f64(struct json_out *w, double x)
{
    if (!isfinite(x))
        put_nonfinite(w, x);
    else if (reserve(w, DECIMAL_F64_BYTES))
        w->bytes += decimal_write_f64(x, w->text + w->bytes);
}

static void put_f32(struct json_out *w, float x)
{
    if (!isfinite(x))
        put_nonfinite(w, (double)x);
    else if (reserve(w, DECIMAL_F32_BYTES))
        w->bytes += decimal_write_f32(x, w->text + w->bytes);
}

void json_int(struct json_out *w, int64_t x)
{
    separate(w);
    put_i64(w, x);
}

void json_f64(struct json_out *w, double x)
{
    separate(w);
    put_f64(w, x);
}

void json_real(struct json_out *w, enum dtype dtype, double x)
{
    separate(w);
    if (dtype == DTYPE_FLOAT32)
        put_f32(w, (float)x);
    else
        put_f64(w, x);
}

/* ---- tensors ------------------------------------------------------------------------------- */

static void put_element(struct json_out *w, enum dtype dtype, const void *data, int64_t i)
{
    switch (dtype) {
    case DTYPE_BOOL:
        put(w, ((const bool *)data)[i] ? "true" : "false", ((const bool *)data)[i] ? 4 : 5);
        break;
    case DTYPE_INT64:
        put_i64(w, ((const int64_t *)data)[i]);
        break;
    case DTYPE_FLOAT32:
        put_f32(w, ((const float *)data)[i]);
        break;
    case DTYPE_FLOAT64:
        put_f64(w, ((const double *)data)[i]);
        break;
    case DTYPE_COUNT:
        break;
    }
}

#define FLOATS_AT_ONCE 256

/* n elements, `stride` apart, from the `first` one on. */
static void put_floats(struct json_out *w, const float *x, int64_t first, int64_t stride, int64_t n)
{
    float row[FLOATS_AT_ONCE];
    while (n > 0) {
        size_t some = n < FLOATS_AT_ONCE ? (size_t)n : FLOATS_AT_ONCE, bytes;
        if (!reserve(w, some * (DECIMAL_F32_BYTES + 1)))
            return;
        for (size_t i = 0; i < some; i++)
            row[i] = x[first + (int64_t)i * stride];
        size_t finite = decimal_write_floats(row, some, w->text + w->bytes, &bytes);
        w->bytes += bytes;
        if (finite < some && finite > 0)
            put_char(w, ',');
        if (finite < some)
            put_nonfinite(w, (double)row[finite++]);
        first += (int64_t)finite * stride;
        n -= (int64_t)finite;
        if (n > 0)
            put_char(w, ',');
    }
}

/* Writes the sub-tensor that starts at element `first`. Recursive over the rank. */
static void put_tensor(struct json_out *w, enum dtype dtype, const void *data, int64_t first,
                       const int64_t *dim, const int64_t *stride, int rank)
{
    if (rank == 0) {
        put_element(w, dtype, data, first);
        return;
    }
    put_char(w, '[');
    if (rank == 1 && dtype == DTYPE_FLOAT32)
        put_floats(w, data, first, *stride, *dim);
    else
        for (int64_t i = 0; i < *dim && !w->failed; i++) {
            if (i)
                put_char(w, ',');
            put_tensor(w, dtype, data, first + i * *stride, dim + 1, stride + 1, rank - 1);
        }
    put_char(w, ']');
}

void json_strided(struct json_out *w, enum dtype dtype, const void *data, const int64_t *dim,
                  const int64_t *stride, int rank)
{
    separate(w);
    put_tensor(w, dtype, data, 0, dim, stride, rank);
}

void json_tensor(struct json_out *w, enum dtype dtype, const void *data, const int64_t *dim,
                 int rank)
{
    struct tensor rows = {.shape.rank = rank};
    if (rank)
        memcpy(rows.shape.dim, dim, (size_t)rank * sizeof *dim);
    tensor_set_contiguous(&rows);
    json_strided(w, dtype, data, dim, rows.stride, rank);
}

void json_ints(struct json_out *w, const int64_t *x, size_t count)
{
    int64_t dim = (int64_t)count;
    json_tensor(w, DTYPE_INT64, x, &dim, 1);
}

/* ---- the rest ------------------------------------------------------------------------------ */

void json_raw(struct json_out *w, const char *json, size_t bytes)
{
    separate(w);
    put(w, json, bytes);
}

void json_bool(struct json_out *w, bool x)
{
    json_raw(w, x ? "true" : "false", x ? 4 : 5);
}

void json_null(struct json_out *w)
{
    json_raw(w, "null", 4);
}

void json_key_string(struct json_out *w, const char *key, const char *utf8)
{
    json_key(w, key);
    json_string(w, utf8);
}

void json_key_int(struct json_out *w, const char *key, int64_t x)
{
    json_key(w, key);
    json_int(w, x);
}

void json_key_f64(struct json_out *w, const char *key, double x)
{
    json_key(w, key);
    json_f64(w, x);
}

void json_key_real(struct json_out *w, const char *key, enum dtype dtype, double x)
{
    json_key(w, key);
    json_real(w, dtype, x);
}

void json_key_bool(struct json_out *w, const char *key, bool x)
{
    json_key(w, key);
    json_bool(w, x);
}

bool json_out_end(struct json_out *w)
{
    if (!reserve(w, 1))
        return false;
    w->text[w->bytes] = '\0';
    return true;
}

void json_out_close(struct json_out *w)
{
    mem_free(w->text);
    *w = (struct json_out){0};
}

char *json_out_take(struct json_out *w, size_t *bytes)
{
    char *text = w->text;
    *bytes = w->bytes;
    *w = (struct json_out){0};
    return text;
}
