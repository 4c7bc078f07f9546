#include "api/tensors.h"

#include <string.h>

#include "engine/mem.h"

void tensors_close(struct tensors *t)
{
    if (t->list != &t->one)
        mem_free(t->list);
    json_close(&t->head);
    mem_free(t->text);
    *t = (struct tensors){.list = NULL};
}

const struct wire *tensors_find(const struct tensors *t, const char *name)
{
    for (size_t i = 0; i < t->count; i++)
        if (!t->list[i].name || !strcmp(t->list[i].name, name))
            return &t->list[i];
    return NULL;
}

enum err_kind tensors_check(const struct tensors *t, const char *const *names, struct err *e)
{
    for (size_t i = 0; i < t->count; i++) {
        const char *name = t->list[i].name;
        char key[96];
        size_t n = 0;
        while (name && names[n] && strcmp(names[n], name) != 0)
            n++;
        if (!name || names[n])
            continue;
        err_set(e, ERR_INVALID, "", "there is no such tensor here");
        err_escape(name, key, sizeof key);
        return err_prefix(e, "/%s", key);
    }
    return ERR_OK;
}
