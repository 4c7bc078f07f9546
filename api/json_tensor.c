/* Tensor literals: their shape, which the scanner found, and their elements, from text whose
 * grammar it has checked. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "api/json_in.h"
#include "api/json_scan.h"
#include "engine/decimal.h"
#include "engine/digits.h"
#include "engine/kernels.h"

const char *json_nonfinite(const char *text, const char *end, double *out)
{
    static const struct {
        const char *text;
        double value;
    } names[] = {{"\"NaN\"", NAN}, {"\"Infinity\"", INFINITY}, {"\"-Infinity\"", -INFINITY}};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        size_t bytes = strlen(names[i].text);
        if ((size_t)(end - text) >= bytes && memcmp(text, names[i].text, bytes) == 0) {
            *out = names[i].value;
            return text + bytes;
        }
    }
    return NULL;
}

/* The text of a literal, a number, or a string that may be a non-finite number: cJSON took its
 * quotes off, buffer holds it with them, cut when it is longer than any of the names. */
#define QUOTED_BYTES sizeof "\"-Infinity\""
static struct json_span item_text(const struct json *j, const cJSON *item,
                                  char buffer[QUOTED_BYTES])
{
    if (!cJSON_IsString(item))
        return j->span[item->valueint];
    snprintf(buffer, QUOTED_BYTES, "\"%s\"", item->valuestring);
    return (struct json_span){.text = buffer, .bytes = strlen(buffer)};
}

bool json_number(const cJSON *item, double *out)
{
    char buffer[QUOTED_BYTES];
    if (cJSON_IsNumber(item)) {
        *out = item->valuedouble;
        return true;
    }
    if (!cJSON_IsString(item))
        return false;
    struct json_span s = item_text(NULL, item, buffer);
    return json_nonfinite(s.text, s.text + s.bytes, out) == s.text + s.bytes;
}

bool json_is_tensor(const cJSON *item)
{
    return cJSON_IsArray(item) && !item->child;
}

/* ---- shape --------------------------------------------------------------------------------- */

static enum err_kind refuse_shape(const struct json_span *literal, struct err *e)
{
    char pointer[sizeof e->pointer];
    struct json_shape s = json_scan_shape(literal);
    json_shape_pointer(&s, pointer, sizeof pointer);
    if (s.length < 0)
        return err_set(e, ERR_INVALID, pointer, "%s", s.fault);
    return err_set(e, ERR_INVALID, pointer,
                   "%lld elements expected as in the rows before, got %lld",
                   (long long)s.dim[s.depth], (long long)s.length);
}

/* item is no tensor: in an array the fault is with its first scalar. */
static enum err_kind refuse_item(const cJSON *item, struct err *e)
{
    char pointer[2 * JSON_DEPTH_MAX + 1] = "";
    size_t used = 0;
    if (!cJSON_IsArray(item))
        return err_set(e, ERR_INVALID, "", "must be a number or an array of numbers");
    for (; cJSON_IsArray(item) && item->child && used + 2 < sizeof pointer; item = item->child)
        used += (size_t)snprintf(pointer + used, sizeof pointer - used, "/0");
    return err_set(e, ERR_INVALID, pointer, "must be a number");
}

enum err_kind json_tensor_shape(const struct json *j, const cJSON *item, int64_t dim[JSON_RANK_MAX],
                                int *rank, struct err *e)
{
    double x;
    if (!json_is_tensor(item)) {
        *rank = 0;
        return json_number(item, &x) ? ERR_OK : refuse_item(item, e);
    }
    const struct json_span *literal = &j->span[item->valueint];
    if (literal->rank < 0)
        return refuse_shape(literal, e);
    *rank = literal->rank;
    memcpy(dim, literal->dim, sizeof literal->dim);
    return ERR_OK;
}

void json_tensor_pointer(const int64_t *dim, int rank, int64_t index, char *out, size_t bytes)
{
    struct json_shape s = {.depth = rank};
    for (int d = rank - 1; d >= 0; d--) {
        s.count[d] = index % dim[d] + 1;
        index /= dim[d];
    }
    json_shape_pointer(&s, out, bytes);
}

/* ---- elements ------------------------------------------------------------------------------ */

/* Reads the scalar at text into the i-th place of out; *fits: it is one of the dtype. Returns the
 * position behind it, which does not depend on *fits: so the processor reads on while the value is
 * still being computed. */
typedef const char *read_fn(const char *text, const char *end, void *out, size_t i, bool *fits);

static const char *read_f32(const char *text, const char *end, void *out, size_t i, bool *fits)
{
    float *x = (float *)out + i;
    double special;
    if (*text == '"') {
        text = json_nonfinite(text, end, &special);
        *x = (float)special;
        return text;
    }
    text = decimal_read_f32(text, end, x);
    *fits = !isinf(*x);
    return text;
}

static const char *read_f64(const char *text, const char *end, void *out, size_t i, bool *fits)
{
    double *x = (double *)out + i;
    if (*text == '"')
        return json_nonfinite(text, end, x);
    text = decimal_read_f64(text, end, x);
    *fits = !isinf(*x);
    return text;
}

static const char *read_i64(const char *text, const char *end, void *out, size_t i, bool *fits)
{
    text = decimal_read_i64(text, end, (int64_t *)out + i);
    *fits = text;
    return text;
}

static const char *read_bool(const char *text, const char *end, void *out, size_t i, bool *fits)
{
    int64_t x = 0;
    text = decimal_read_i64(text, end, &x);
    *fits = text && (x == 0 || x == 1);
    ((bool *)out)[i] = x == 1;
    return text;
}

static const struct {
    read_fn *read;
    const char *refusal;
} readers[] = {
    [DTYPE_BOOL] = {read_bool, "must be 0 or 1"},
    [DTYPE_INT64] = {read_i64, "must be an integer from -2^63 to 2^63 - 1"},
    [DTYPE_FLOAT32] = {read_f32, "is too large for float32"},
    [DTYPE_FLOAT64] = {read_f64, "is too large for float64"},
};

const char *json_refusal(enum dtype dtype)
{
    return readers[dtype].refusal;
}

static bool starts_scalar(char c)
{
    return digits_is(c) || c == '-' || c == '"';
}

const char JSON_NO_NUMBER[] = "must be a number";

const char *json_read_number(const char *text, const char *end, enum dtype dtype, void *out)
{
    double x;
    bool fits = true;
    if (decimal_read_f64(text, end, &x) != end || text == end)
        return JSON_NO_NUMBER;
    readers[dtype].read(text, end, out, 0, &fits);
    return fits ? NULL : readers[dtype].refusal;
}

/* Reads all scalars of text. Returns the index of the one that cannot be, -1 if all is well. */
static int64_t read_scalars(const char *p, const char *end, read_fn *read, void *out)
{
    bool fits = true;
    for (size_t i = 0;; i++) {
        while (p < end && !starts_scalar(*p))
            p++;
        if (p == end)
            return -1;
        p = read(p, end, out, i, &fits);
        if (!fits)
            return (int64_t)i;
    }
}

/* A literal's elements, as the scanner read them. false: not all are there, or one is not finite:
 * the text says whether it is meant so. */
static bool copy_floats(const struct json *j, const struct json_span *s, float *out)
{
    size_t elements = 1;
    for (int d = 0; d < s->rank; d++)
        elements *= (size_t)s->dim[d];
    if (s->floats != elements || elements == 0)
        return elements == 0;
    memcpy(out, j->float32 + s->first, elements * sizeof *out);
    return isfinite(kernels_best()->largest(DTYPE_FLOAT32, out, elements));
}

enum err_kind json_tensor_read(const struct json *j, const cJSON *item, enum dtype dtype, void *out,
                               struct err *e)
{
    char buffer[QUOTED_BYTES];
    char pointer[sizeof e->pointer];
    int64_t dim[JSON_RANK_MAX];
    int rank;
    enum err_kind rc = json_tensor_shape(j, item, dim, &rank, e);
    if (rc)
        return rc;
    if (dtype == DTYPE_FLOAT32 && json_is_tensor(item) &&
        copy_floats(j, &j->span[item->valueint], out))
        return ERR_OK;
    struct json_span s = item_text(j, item, buffer);
    int64_t bad = read_scalars(s.text, s.text + s.bytes, readers[dtype].read, out);
    if (bad < 0)
        return ERR_OK;
    json_tensor_pointer(dim, rank, bad, pointer, sizeof pointer);
    return err_set(e, ERR_INVALID, pointer, "%s", json_refusal(dtype));
}
