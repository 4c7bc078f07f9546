#include "engine/graph.h"

#include "engine/tape_inside.h"

/* Marks what the roots reach, by `uses`, and counts it. Nodes are older than what uses them: one
 * pass from the newest on sees each after all that may lead to it. */
static int mark(struct node *newest, const struct tensor *const *root, int roots)
{
    int count = 0;
    for (struct node *n = newest; n; n = n->older)
        n->uses = 0;
    for (int i = 0; i < roots; i++)
        if (root[i]->grad_fn)
            root[i]->grad_fn->uses = 1;
    for (struct node *n = newest; n; n = n->older) {
        count += n->uses != 0;
        for (int i = 0; n->uses && i < n->call.inputs; i++)
            if (n->next[i])
                n->next[i]->uses = 1;
    }
    return count;
}

/* A marked node's `uses` becomes its place in the list, counted from 1. */
enum err_kind graph_collect(struct tape *t, const struct tensor *const *root, int roots,
                            struct graph *out, struct err *e)
{
    int count = mark(t->newest, root, roots);
    *out = (struct graph){.node = arena_alloc(&t->arena, (size_t)count * sizeof *out->node)};
    if (!out->node)
        return tape_no_memory(e);
    for (struct node *n = t->newest; n; n = n->older) {
        if (!n->uses)
            continue;
        out->node[out->nodes++] = n;
        n->uses = (unsigned)out->nodes;
    }
    return ERR_OK;
}

int graph_id(const struct graph *g, const struct node *n)
{
    bool there = n && n->uses > 0 && n->uses <= (unsigned)g->nodes && g->node[n->uses - 1] == n;
    return there ? (int)n->uses - 1 : -1;
}
