#include "api/json_in.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "api/json_scan.h"
#include "engine/decimal.h"
#include "engine/mem.h"

static void *allocate(size_t bytes)
{
    return mem_array(bytes, 1);
}

void json_init(void)
{
    cJSON_Hooks hooks = {allocate, mem_free};
    cJSON_InitHooks(&hooks);
    decimal_init();
}

/* ---- the text that cJSON gets: a literal is [], a number outside of them 0 ----------------- */

static size_t reduced_bytes(const struct json *j, size_t bytes)
{
    for (size_t i = 0; i < j->spans; i++)
        bytes -= j->span[i].bytes - (*j->span[i].text == '[' ? 2 : 1);
    return bytes;
}

static char *append(char *out, const char *text, size_t bytes)
{
    memcpy(out, text, bytes);
    return out + bytes;
}

/* NULL: no memory. Its length without the NUL goes to *out_bytes. */
static char *reduce(const struct json *j, size_t bytes, size_t *out_bytes)
{
    *out_bytes = reduced_bytes(j, bytes);
    char *reduced = mem_array(*out_bytes + 1, 1); /* zeroed: it ends with a NUL */
    if (!reduced)
        return NULL;
    char *out = reduced;
    const char *at = j->text, *end = j->text + bytes;
    for (size_t i = 0; i < j->spans; i++) {
        const struct json_span *s = &j->span[i];
        out = append(out, at, (size_t)(s->text - at));
        out = *s->text == '[' ? append(out, "[]", 2) : append(out, "0", 1);
        at = s->text + s->bytes;
    }
    append(out, at, (size_t)(end - at));
    return reduced;
}

/* ---- the tree that cJSON made: what was cut out comes back, and keys are unique ------------ */

struct settle {
    const struct json *j;
    int next;          /* span */
    const char **keys; /* room for those of the largest object */
    struct err *e;
};

/* The number is read from its own text: no locale, no limit of length, one reader for all. */
static enum err_kind settle_number(struct settle *s, cJSON *item)
{
    const struct json_span *span = &s->j->span[s->next];
    item->valueint = s->next++;
    decimal_read_f64(span->text, span->text + span->bytes, &item->valuedouble);
    if (isfinite(item->valuedouble))
        return ERR_OK;
    return err_set(s->e, ERR_INVALID, "", "is too large for float64");
}

static int compare_keys(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static enum err_kind check_keys(struct settle *s, const cJSON *object)
{
    size_t count = 0;
    char pointer[sizeof s->e->pointer] = "/";
    for (const cJSON *child = object->child; child; child = child->next)
        s->keys[count++] = child->string;
    qsort(s->keys, count, sizeof *s->keys, compare_keys);
    for (size_t i = 1; i < count; i++) {
        if (strcmp(s->keys[i - 1], s->keys[i]) == 0) {
            err_escape(s->keys[i], pointer + 1, (int)sizeof pointer - 1);
            return err_set(s->e, ERR_MALFORMED, pointer, "the key is there twice");
        }
    }
    return ERR_OK;
}

/* Extends the pointer by the child's key, or its index. */
static enum err_kind prefix_child(struct err *e, const cJSON *child, size_t index)
{
    char key[sizeof e->pointer];
    if (!child->string)
        return err_prefix(e, "/%zu", index);
    err_escape(child->string, key, (int)sizeof key);
    return err_prefix(e, "/%s", key);
}

/* In document order, as the spans are. Recursive, but the scanner has bounded the depth. */
static enum err_kind settle_item(struct settle *s, cJSON *item)
{
    size_t index = 0;
    if (cJSON_IsNumber(item))
        return settle_number(s, item);
    if (json_is_tensor(item))
        item->valueint = s->next++;
    for (cJSON *child = item->child; child; child = child->next, index++) {
        if (settle_item(s, child))
            return prefix_child(s->e, child, index);
    }
    return cJSON_IsObject(item) ? check_keys(s, item) : ERR_OK;
}

static enum err_kind settle(struct json *j, size_t values, struct err *e)
{
    struct settle s = {.j = j, .keys = mem_array(values, sizeof *s.keys), .e = e};
    if (!s.keys)
        return err_set(e, ERR_NOMEM, "", "no memory for the request's keys");
    enum err_kind rc = settle_item(&s, j->root);
    mem_free(s.keys);
    return rc;
}

/* The scanner took the text, so all that cJSON can lack is memory. */
static enum err_kind build(struct json *j, size_t bytes, struct err *e)
{
    size_t reduced;
    char *text = reduce(j, bytes, &reduced);
    if (text)
        j->root = cJSON_ParseWithLengthOpts(text, reduced + 1, NULL, 1);
    mem_free(text);
    return j->root ? ERR_OK : err_set(e, ERR_NOMEM, "", "no memory for the request's document");
}

enum err_kind json_parse(const char *text, size_t bytes, struct json *out, struct err *e)
{
    size_t values;
    *out = (struct json){.text = bytes ? text : ""}; /* no text may come as NULL */
    enum err_kind rc = json_scan(out->text, bytes, out, &values, e);
    if (!rc && values)
        rc = build(out, bytes, e);
    if (!rc && values)
        rc = settle(out, values, e);
    if (rc)
        json_close(out);
    return rc;
}

/* A loop of this length becomes vector code, and its sum fits in a byte. */
#define COUNTED 128

static size_t count_commas(const char *text)
{
    uint8_t sum = 0;
    for (int i = 0; i < COUNTED; i++)
        sum = (uint8_t)(sum + (text[i] == ','));
    return sum;
}

size_t json_numbers_most(const char *text, size_t bytes)
{
    size_t commas = 0, i = 0;
    for (; bytes - i >= COUNTED; i += COUNTED)
        commas += count_commas(text + i);
    for (; i < bytes; i++)
        commas += text[i] == ',';
    return commas + 1;
}

void json_close(struct json *j)
{
    cJSON_Delete(j->root);
    mem_free(j->span);
    mem_free(j->float32);
    *j = (struct json){0};
}
