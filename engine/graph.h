/* engine/graph.h - the graph that stands behind tensors, as a list.
 *
 * Nodes are in the order of their making, the newest first, so that every edge leads to a later
 * place of the list; the AccumulateGrad of leaves are among them. An edge goes from a node by its
 * next[i], in the order of PyTorch's next_functions; NULL is none.
 *
 * Threads: as the tape.
 */
#ifndef ENGINE_GRAPH_H
#define ENGINE_GRAPH_H

#include "engine/tape.h"

struct graph {
    const struct node **node; /* on the tape */
    int nodes;
};

/* All that the history of the roots reaches; roots without one are passed over. The list, and what
 * graph_id says, is good until the next backward, graph_collect or tape_reset of t.
 *   errors NOMEM */
MUST_USE enum err_kind graph_collect(struct tape *t, const struct tensor *const *root, int roots,
                                     struct graph *out, struct err *e);
/* Its place in the list; -1: it is not there (n may be NULL). */
int graph_id(const struct graph *g, const struct node *n);

#endif
