#include "api/body.h"

#include "api/fields.h"
#include "api/npy.h"
#include "api/safetensors.h"

/* ---- in ------------------------------------------------------------------------------------ */

bool call_is_binary(const struct call *c)
{
    return c->tensors.count > 0;
}

enum err_kind call_parse(struct call *c, struct err *e)
{
    struct tensors *t = &c->tensors;
    switch (c->media) {
    case MEDIA_NPY:
        t->list = &t->one;
        t->count = 1;
        return npy_read(c->body, c->bytes, &t->one, e);
    case MEDIA_SAFETENSORS:
        return safetensors_read(c->body, c->bytes, t, &c->in, e);
    case MEDIA_CSV:
        return ERR_OK;
    case MEDIA_JSON:
    case MEDIA_MERGE_PATCH:
    case MEDIA_COUNT:
        break;
    }
    return json_parse(c->body, c->bytes, &c->in, e);
}

/* Of a number: what is narrower than float32 has to be widened, and is no hurry. */
#define NUMBER_BYTES 4

/* What follows a head whose length, in two or more bytes, stands at `at`. */
static size_t numbers_behind(const struct call *c, size_t at)
{
    const unsigned char *b = (const unsigned char *)c->body;
    if (c->bytes < at + 2)
        return 0;
    size_t head = at + 2 + b[at] + 256u * b[at + 1];
    return c->bytes > head ? (c->bytes - head) / NUMBER_BYTES : 0;
}

size_t call_numbers_most(const struct call *c)
{
    switch (c->media) {
    case MEDIA_NPY:
        return numbers_behind(c, NPY_LENGTH_AT);
    case MEDIA_SAFETENSORS:
        return numbers_behind(c, 0);
    case MEDIA_JSON:
    case MEDIA_MERGE_PATCH:
    case MEDIA_CSV:
    case MEDIA_COUNT:
        break;
    }
    bool holds_data = c->bytes >= sizeof "{'inputs':[1]}" - 1;
    return holds_data ? json_numbers_most(c->body, c->bytes) : 0;
}

enum err_kind call_read_batch(struct call *c, enum targets targets, struct batch **out,
                              struct err *e)
{
    static const char *const names[] = {"inputs", "targets", NULL};
    struct batch_rules rules = session_rules(c->session);
    const cJSON *fields = c->in.root;
    if (!call_is_binary(c))
        return batch_read(&c->in, fields, &rules, targets, out, e);
    if (field_find(fields, "inputs") || field_find(fields, "targets"))
        return err_set(e, ERR_INVALID, "/__metadata__", "inputs and targets must be tensors");
    enum err_kind rc = tensors_check(&c->tensors, names, e);
    return rc ? rc : batch_take(&c->tensors, &rules, targets, out, e);
}

/* ---- out ----------------------------------------------------------------------------------- */

enum media call_gives(const struct call *c)
{
    unsigned set = route_gives(c->route);
    bool same = c->media != MEDIA_COUNT && (set & MEDIA_BIT(c->media));
    return accept_choose(&c->accept, set, same ? c->media : MEDIA_JSON);
}

void call_write_tensors(struct call *c, enum media media, const char *const *metadata,
                        const struct named_tensor *list, size_t count)
{
    c->type = media_name(media);
    if (media == MEDIA_NPY)
        npy_write(&c->out, list[0].tensor);
    else
        safetensors_write(&c->out, metadata, list, count);
}
