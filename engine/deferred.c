/* engine/deferred.c - gradients that outlive the round that owes them, without having been made. */
#include <string.h>

#include "engine/module.h"

/* x, rows by columns, dense in its rows or its columns, into `to`. */
static struct matrix copy(struct matrix x, int64_t rows, int64_t columns, size_t bytes, char *to)
{
    bool by_rows = x.col_stride == 1;
    int64_t runs = by_rows ? rows : columns, length = by_rows ? columns : rows;
    int64_t next = by_rows ? x.row_stride : x.col_stride;
    size_t run = (size_t)length * bytes;
    for (int64_t i = 0; i < runs; i++)
        memcpy(to + (size_t)i * run, (const char *)x.data + (size_t)(i * next) * bytes, run);
    return (struct matrix){to, by_rows ? length : 1, by_rows ? 1 : length};
}

/* NULL: no memory. */
static struct deferred *deferred_new(const struct matmul_args *product)
{
    size_t bytes = dtype_bytes(product->dtype);
    size_t of_a = (size_t)(product->m * product->k), of_b = (size_t)(product->k * product->n);
    struct deferred *d = mem_array(1, sizeof *d);
    char *room = d ? mem_array(of_a + of_b, bytes) : NULL;
    if (!room) {
        mem_free(d);
        return NULL;
    }
    d->product = *product;
    d->product.a = copy(product->a, product->m, product->k, bytes, room);
    d->product.b = copy(product->b, product->k, product->n, bytes, room + of_a * bytes);
    d->room = room;
    return d;
}

static void drop(struct parameter *p)
{
    if (p->deferred)
        mem_free(p->deferred->room);
    mem_free(p->deferred);
    p->deferred = NULL;
}

void module_drop_deferred(struct module *m)
{
    for (int i = 0; m->parameter && i < m->parameters; i++) /* of one that is half made */
        drop(&m->parameter[i]);
}

enum err_kind module_defer(struct module *m, const struct tape *t, struct err *e)
{
    for (int i = 0; i < m->parameters; i++) {
        const struct owed *w = tape_owed(t, &m->parameter[i].tensor);
        if (!w)
            continue;
        m->parameter[i].deferred = deferred_new(&w->product);
        if (!m->parameter[i].deferred) {
            module_drop_deferred(m);
            return err_set(e, ERR_NOMEM, "", "no memory for the gradients");
        }
    }
    return ERR_OK;
}

enum err_kind module_make_deferred(struct module *m, const struct kernels *k, struct crew *crew,
                                   struct err *e)
{
    void *workspace = NULL;
    for (int i = 0; i < m->parameters; i++) {
        struct parameter *p = &m->parameter[i];
        if (!p->deferred)
            continue;
        if (!workspace)
            workspace = mem_array(1, MATMUL_WORKSPACE_BYTES + ROOM_BYTES);
        if (!workspace)
            return err_set(e, ERR_NOMEM, "", "no memory for the gradients");
        p->deferred->product.workspace = workspace;
        matmul_shared(k->matmul, &p->deferred->product, crew);
        drop(p);
    }
    mem_free(workspace);
    return ERR_OK;
}

size_t module_deferred_bytes(const struct module *m)
{
    size_t bytes = 0;
    for (int i = 0; i < m->parameters; i++)
        if (m->parameter[i].deferred)
            bytes += mem_size(m->parameter[i].deferred) + mem_size(m->parameter[i].deferred->room);
    return bytes;
}
