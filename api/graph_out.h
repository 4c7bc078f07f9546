/* api/graph_out.h - an autograd graph in JSON. */
#ifndef API_GRAPH_OUT_H
#define API_GRAPH_OUT_H

#include "api/json_out.h"
#include "engine/graph.h"

/* At most about so many bytes; SIZE_MAX: more than that holds. */
size_t graph_text_bytes(const struct graph *g);
/* Writes "nodes" and "edges" of an open object. A node's "id" is its place in the list; "saved" is
 * what its backward may still read. An edge is the `input`-th of its node's next_functions.
 *   variable  what the leaf of each node is called, by its place; NULL: nothing is */
void graph_write(struct json_out *w, const struct graph *g, const char *const *variable);

#endif
