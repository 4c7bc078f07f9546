#include "api/safetensors.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "api/fields.h"
#include "engine/decimal.h"
#include "engine/mem.h"

#define LENGTH_BYTES 8
#define METADATA     "__metadata__"
#define HEAD_ALIGN   8

/* ---- reading: metadata --------------------------------------------------------------------- */

/* A text that is a JSON number, true, false or null stands as that, any other one as itself. */
static void write_value(struct json_out *w, const char *text)
{
    struct json j = {.root = NULL};
    struct err ignored;
    if (!json_parse(text, strlen(text), &j, &ignored) && j.root && !cJSON_IsString(j.root) &&
        !cJSON_IsObject(j.root) && !cJSON_IsArray(j.root))
        json_raw(w, text, strlen(text));
    else
        json_string(w, text);
    json_close(&j);
}

/* The fields are a document of their own, whose text is kept in *text. */
static enum err_kind read_metadata(const cJSON *metadata, char **text, struct json *fields,
                                   struct err *e)
{
    struct json_out w = {0};
    size_t bytes;
    if (!metadata)
        return ERR_OK;
    if (!cJSON_IsObject(metadata))
        return err_set(e, ERR_MALFORMED, "", METADATA " must be an object of strings");
    json_begin_object(&w);
    for (const cJSON *item = metadata->child; item; item = item->next) {
        if (!cJSON_IsString(item)) {
            json_out_close(&w);
            return err_set(e, ERR_MALFORMED, "", METADATA " must be an object of strings");
        }
        if (!strcmp(item->string, "format"))
            continue;
        json_key(&w, item->string);
        write_value(&w, item->valuestring);
    }
    json_end_object(&w);
    if (!json_out_end(&w)) {
        json_out_close(&w);
        return err_set(e, ERR_NOMEM, "", "no memory for the request");
    }
    *text = json_out_take(&w, &bytes);
    return json_parse(*text, bytes, fields, e);
}

/* ---- reading: arrays ----------------------------------------------------------------------- */

static enum err_kind read_type(const cJSON *item, enum wire_type *out, struct err *e)
{
    const cJSON *dtype = field_find(item, "dtype");
    if (!cJSON_IsString(dtype))
        return err_set(e, ERR_MALFORMED, "/dtype", "must be a string");
    int type = 0;
    while (type < WIRE_COUNT && strcmp(wire_name((enum wire_type)type), dtype->valuestring) != 0)
        type++;
    *out = (enum wire_type)type;
    return type < WIRE_COUNT
               ? ERR_OK
               : err_set(e, ERR_INVALID, "/dtype",
                         "must be a type of floats or integers, not %.32s", dtype->valuestring);
}

/* Whole numbers from 0 on, at most so many. */
static enum err_kind read_list(const struct json *j, const cJSON *list, int most, int64_t *out,
                               int *count, struct err *e)
{
    int64_t dim[JSON_RANK_MAX];
    int rank;
    if (!cJSON_IsArray(list) || json_tensor_shape(j, list, dim, &rank, e) != ERR_OK || rank != 1)
        return err_set(e, ERR_MALFORMED, "", "must be a list of whole numbers");
    if (dim[0] > most)
        return err_set(e, ERR_INVALID, "", "must be at most %d numbers", most);
    *count = (int)dim[0];
    if (json_tensor_read(j, list, DTYPE_INT64, out, e) != ERR_OK)
        return e->kind = ERR_MALFORMED;
    for (int i = 0; i < *count; i++)
        if (out[i] < 0)
            return err_set(e, ERR_MALFORMED, "", "must not be below 0");
    return ERR_OK;
}

/* One array: its place is checked against its shape and the rest of the file. from: its first
 * byte's. */
static enum err_kind read_array(const struct json *j, const cJSON *item, size_t rest,
                                struct wire *out, int64_t *from, struct err *e)
{
    static const char *const names[] = {"dtype", "shape", "data_offsets", NULL};
    int64_t dim[RANK_MAX], offset[2];
    int rank, offsets;
    size_t bytes;
    enum err_kind rc = fields_check(item, names, e);
    if (rc)
        return e->kind = ERR_MALFORMED;
    out->name = item->string;
    rc = read_type(item, &out->type, e);
    if (rc)
        return rc;
    rc = read_list(j, field_find(item, "shape"), RANK_MAX, dim, &rank, e);
    if (!rc)
        rc = shape_make(dim, rank, &out->shape, e);
    if (rc)
        return err_prefix(e, "/shape");
    rc = read_list(j, field_find(item, "data_offsets"), 2, offset, &offsets, e);
    if (!rc && (offsets != 2 || offset[0] > offset[1] || (uint64_t)offset[1] > rest))
        rc = err_set(e, ERR_MALFORMED, "", "must be two places within the file's %zu bytes of data",
                     rest);
    if (!rc &&
        (!wire_size(out->type, &out->shape, &bytes) || (uint64_t)(offset[1] - offset[0]) != bytes))
        rc = err_set(e, ERR_MALFORMED, "", "must be as far apart as the shape's numbers take");
    if (rc)
        return err_prefix(e, "/data_offsets");
    *from = offset[0];
    return ERR_OK;
}

/* An array's place, for finding holes. */
struct extent {
    int64_t from, to;
};

static int by_place(const void *a, const void *b)
{
    const struct extent *x = a, *y = b;
    if (x->from != y->from)
        return x->from < y->from ? -1 : 1;
    return x->to < y->to ? -1 : x->to > y->to;
}

/* Every byte belongs to one array. */
static enum err_kind check_cover(struct extent *list, size_t count, size_t rest, struct err *e)
{
    int64_t at = 0;
    qsort(list, count, sizeof *list, by_place);
    for (size_t i = 0; i < count; at = list[i++].to)
        if (list[i].from != at)
            return err_set(e, ERR_MALFORMED, "", "the file's tensors %s at byte %lld of its data",
                           list[i].from < at ? "overlap" : "leave a hole", (long long)at);
    return (uint64_t)at == rest
               ? ERR_OK
               : err_set(e, ERR_MALFORMED, "",
                         "the file has %zu bytes of data, and its tensors take %lld", rest,
                         (long long)at);
}

static enum err_kind read_arrays(const unsigned char *data, size_t rest, struct tensors *out,
                                 struct extent *extent, struct err *e)
{
    for (const cJSON *item = out->head.root->child; item; item = item->next) {
        struct wire *w = &out->list[out->count];
        struct extent *x = &extent[out->count];
        char key[96];
        size_t bytes;
        if (!strcmp(item->string, METADATA))
            continue;
        if (read_array(&out->head, item, rest, w, &x->from, e) != ERR_OK) {
            err_escape(item->string, key, sizeof key);
            return err_prefix(e, "/%s", key);
        }
        w->data = data + x->from;
        x->to = wire_size(w->type, &w->shape, &bytes) ? x->from + (int64_t)bytes : 0;
        out->count++;
    }
    return check_cover(extent, out->count, rest, e);
}

/* For a parsed head. */
static enum err_kind read_head(const unsigned char *data, size_t rest, struct tensors *out,
                               struct err *e)
{
    size_t room = 1;
    if (!cJSON_IsObject(out->head.root))
        return err_set(e, ERR_MALFORMED, "", "the head of the safetensors file must be an object");
    for (const cJSON *item = out->head.root->child; item; item = item->next)
        room++;
    struct extent *extent = mem_array(room, sizeof *extent);
    out->list = mem_array(room, sizeof *out->list);
    enum err_kind rc = extent && out->list ? read_arrays(data, rest, out, extent, e)
                                           : err_set(e, ERR_NOMEM, "", "no memory for the request");
    mem_free(extent);
    return rc;
}

static enum err_kind find_head(const unsigned char *file, size_t bytes, size_t *length,
                               struct err *e)
{
    uint64_t n = 0;
    if (bytes < LENGTH_BYTES)
        return err_set(e, ERR_MALFORMED, "", "the body is no safetensors file");
    for (int i = LENGTH_BYTES; i > 0; i--)
        n = n << 8 | file[i - 1];
    if (n > SAFETENSORS_HEAD_MAX)
        return err_set(e, ERR_MALFORMED, "",
                       "the body is no safetensors file, or its head is over %zu bytes",
                       SAFETENSORS_HEAD_MAX);
    if (n > bytes - LENGTH_BYTES)
        return err_set(e, ERR_MALFORMED, "", "the safetensors file ends within its head");
    *length = (size_t)n;
    return ERR_OK;
}

enum err_kind safetensors_read(const void *file, size_t bytes, struct tensors *out,
                               struct json *fields, struct err *e)
{
    const unsigned char *b = file;
    size_t length = 0;
    enum err_kind rc = find_head(b, bytes, &length, e);
    if (rc)
        return rc;
    const unsigned char *data = b + LENGTH_BYTES + length;
    rc = json_parse((const char *)b + LENGTH_BYTES, length, &out->head, e);
    if (rc)
        return rc == ERR_MALFORMED ? err_wrap(e, "the head of the safetensors file: ") : rc;
    rc = read_head(data, bytes - LENGTH_BYTES - length, out, e);
    return rc ? rc : read_metadata(field_find(out->head.root, METADATA), &out->text, fields, e);
}

/* ---- writing ------------------------------------------------------------------------------- */

const char *text_of_int(int64_t x, char text[TEXT_OF_NUMBER])
{
    text[decimal_write_i64(x, text)] = '\0';
    return text;
}

const char *text_of_real(enum dtype dtype, double x, char text[TEXT_OF_NUMBER])
{
    if (!isfinite(x))
        return isnan(x) ? "NaN" : x > 0 ? "Infinity" : "-Infinity";
    size_t n =
        dtype == DTYPE_FLOAT32 ? decimal_write_f32((float)x, text) : decimal_write_f64(x, text);
    text[n] = '\0';
    return text;
}

static void write_metadata(struct json_out *w, const char *const *metadata)
{
    if (!metadata[0])
        return;
    json_key(w, METADATA);
    json_begin_object(w);
    for (; *metadata; metadata += 2)
        json_key_string(w, metadata[0], metadata[1]);
    json_end_object(w);
}

static void write_entry(struct json_out *w, const struct named_tensor *t, size_t *place)
{
    size_t bytes = (size_t)tensor_count(t->tensor) * dtype_bytes(t->tensor->dtype);
    int64_t offset[] = {(int64_t)*place, (int64_t)(*place + bytes)};
    json_key(w, t->name);
    json_begin_object(w);
    json_key_string(w, "dtype", wire_name(wire_of_dtype(t->tensor->dtype)));
    json_key(w, "shape");
    json_ints(w, t->tensor->shape.dim, (size_t)t->tensor->shape.rank);
    json_key(w, "data_offsets");
    json_ints(w, offset, 2);
    json_end_object(w);
    *place += bytes;
}

/* Fills the head up, so that the numbers begin where they are aligned, and writes its length. */
static void end_head(struct json_out *w)
{
    static const char blanks[] = "        ";
    json_bytes(w, blanks, (HEAD_ALIGN - w->bytes % HEAD_ALIGN) % HEAD_ALIGN);
    size_t length = w->bytes - LENGTH_BYTES;
    for (size_t i = 0; !w->failed && i < LENGTH_BYTES; i++, length >>= 8)
        w->text[i] = (char)(length & 255);
}

/* Widest types first: so each array is aligned. */
static const size_t widths[] = {8, 4, 1};
#define WIDTHS (sizeof widths / sizeof *widths)

void safetensors_write(struct json_out *out, const char *const *metadata,
                       const struct named_tensor *list, size_t count)
{
    size_t place = 0;
    json_bytes(out, "\0\0\0\0\0\0\0\0", LENGTH_BYTES);
    json_begin_object(out);
    write_metadata(out, metadata);
    for (size_t k = 0; k < WIDTHS; k++)
        for (size_t i = 0; i < count; i++)
            if (dtype_bytes(list[i].tensor->dtype) == widths[k])
                write_entry(out, &list[i], &place);
    json_end_object(out);
    end_head(out);
    json_expect(out, place);
    for (size_t k = 0; k < WIDTHS; k++)
        for (size_t i = 0; i < count; i++)
            if (dtype_bytes(list[i].tensor->dtype) == widths[k])
                wire_write(out, list[i].tensor);
}
