#include "api/state_dict.h"

#include "api/safetensors.h"
#include "engine/mem.h"

enum err_kind state_dict_write(struct call *c, enum media media, enum state_dict what,
                               const struct module *m, const struct parameter *only,
                               const char *const *metadata, struct err *e)
{
    size_t count = 0;
    struct named_tensor *list = mem_array((size_t)m->parameters, sizeof *list);
    if (!list)
        return err_set(e, ERR_NOMEM, "", "no memory for the answer");
    for (int i = 0; i < m->parameters; i++) {
        const struct parameter *p = &m->parameter[i];
        const struct tensor *t = what == STATE_DICT_PARAMETERS ? &p->tensor : p->tensor.grad;
        if (t && (!only || only == p))
            list[count++] = (struct named_tensor){p->name, t};
    }
    bool lacks_it = media == MEDIA_NPY && count == 0;
    if (!lacks_it)
        call_write_tensors(c, media, metadata, list, count);
    mem_free(list);
    return lacks_it ? err_set(e, ERR_NOT_FOUND, "", "%s has no gradient", only->name) : ERR_OK;
}

/* ---- reading ------------------------------------------------------------------------------- */

static enum err_kind read_one(const struct wire *w, const struct parameter *p, void *block,
                              struct err *e)
{
    const struct tensor *t = &p->tensor;
    char want[SHAPE_TEXT_BYTES], got[SHAPE_TEXT_BYTES];
    if (!shape_equal(&w->shape, &t->shape))
        return err_set(e, ERR_INVALID, "", "must be of shape %s, got %s",
                       shape_text(&t->shape, want, sizeof want),
                       shape_text(&w->shape, got, sizeof got));
    return wire_read(w, t->dtype, (char *)block + (size_t)t->offset * dtype_bytes(t->dtype), e);
}

static enum err_kind name_it(struct err *e, const char *name)
{
    char key[96];
    err_escape(name, key, sizeof key);
    return err_prefix(e, "/%s", key);
}

static enum err_kind check_names(const struct tensors *t, struct module *m,
                                 const struct parameter *only, struct err *e)
{
    for (size_t i = 0; i < t->count; i++) {
        const char *name = t->list[i].name;
        const struct parameter *p = name ? module_find(m, name) : only;
        if (!p || (only && p != only)) {
            err_set(e, ERR_INVALID, "", "there is no such parameter here");
            return name_it(e, name);
        }
    }
    return ERR_OK;
}

enum err_kind state_dict_read(const struct call *c, const struct parameter *only, void *block,
                              struct err *e)
{
    struct module *m = c->session->module;
    enum err_kind rc = check_names(&c->tensors, m, only, e);
    for (int i = 0; !rc && i < m->parameters; i++) {
        const struct parameter *p = &m->parameter[i];
        if (only && only != p)
            continue;
        const struct wire *w = tensors_find(&c->tensors, p->name);
        if (!w)
            rc = err_set(e, ERR_INVALID, "", "is missing");
        else
            rc = read_one(w, p, block, e);
        if (rc)
            return name_it(e, p->name);
    }
    return rc;
}
