#include "api/graph_out.h"

#include <stdio.h>

static void write_type(struct json_out *w, const struct tensor *t)
{
    json_key(w, "shape");
    json_ints(w, t->shape.dim, (size_t)t->shape.rank);
    json_key_string(w, "dtype", dtype_name(t->dtype));
}

static void write_saved(struct json_out *w, const char *name, const struct tensor *t)
{
    if (!t)
        return;
    json_key(w, name);
    json_begin_object(w);
    write_type(w, t);
    json_end_object(w);
}

/* An operation on a list of tensors has one name for the last of its inputs and all beyond. */
static void write_saved_input(struct json_out *w, const struct op_call *c, int i)
{
    char key[64];
    int bytes, last = op_arity(c->op) - 1;
    const char *name = op_input_name(c->op, i, &bytes);
    if (i < last || c->inputs == last + 1)
        snprintf(key, sizeof key, "%.*s", bytes, name);
    else
        snprintf(key, sizeof key, "%.*s.%d", bytes, name, i - last);
    write_saved(w, key, c->in[i]);
}

static void write_operation(struct json_out *w, const struct node *n)
{
    const struct op_call *c = &n->call;
    json_key_string(w, "name", node_class(n));
    write_type(w, n->output);
    json_key(w, "saved");
    json_begin_object(w);
    for (int i = 0; i < c->inputs && !n->spent; i++)
        write_saved_input(w, c, i);
    write_saved(w, "result", n->spent ? NULL : c->out);
    write_saved(w, "result1", n->spent ? NULL : c->aux);
    json_end_object(w);
}

static void write_leaf(struct json_out *w, const struct tensor *leaf, const char *variable)
{
    json_key_string(w, "name", "AccumulateGrad");
    write_type(w, leaf);
    if (variable)
        json_key_string(w, "variable", variable);
}

static void write_edges(struct json_out *w, const struct graph *g, int from)
{
    const struct node *n = g->node[from];
    for (int i = 0, input = -1; i < n->call.inputs; i++) {
        input += op_has_edge(n->call.op, i);
        if (!n->next[i])
            continue;
        json_begin_object(w);
        json_key_int(w, "from", from);
        json_key_int(w, "to", graph_id(g, n->next[i]));
        json_key_int(w, "input", input);
        json_end_object(w);
    }
}

#define EDGE_BYTES 64 /* and 16 times that a node, with its name, shapes and what it has saved */

size_t graph_text_bytes(const struct graph *g)
{
    size_t edges = 0, bytes;
    for (int i = 0; i < g->nodes; i++)
        edges += (size_t)g->node[i]->call.inputs;
    return mem_mul(edges + 16 * (size_t)g->nodes, EDGE_BYTES, &bytes) ? bytes : SIZE_MAX;
}

void graph_write(struct json_out *w, const struct graph *g, const char *const *variable)
{
    json_key(w, "nodes");
    json_begin_array(w);
    for (int i = 0; i < g->nodes; i++) {
        json_begin_object(w);
        json_key_int(w, "id", i);
        if (g->node[i]->leaf)
            write_leaf(w, g->node[i]->leaf, variable ? variable[i] : NULL);
        else
            write_operation(w, g->node[i]);
        json_end_object(w);
    }
    json_end_array(w);
    json_key(w, "edges");
    json_begin_array(w);
    for (int i = 0; i < g->nodes; i++)
        write_edges(w, g, i);
    json_end_array(w);
}
