/* api/autograd_out.c - the answer to POST /autograd: values, what was printed, the graph. */
#include <stdio.h>

#include "api/graph_out.h"
#include "api/run.h"
#include "api/value_out.h"

/* ---- values -------------------------------------------------------------------------------- */

enum err_kind run_begin_values(struct run *r, struct err *e)
{
    size_t count = r->wanted ? (size_t)cJSON_GetArraySize(r->wanted) : 0;
    r->done = true;
    r->root = arena_alloc(&r->tape.arena, count * sizeof *r->root);
    if (!r->root)
        return err_set(e, ERR_NOMEM, "", "no memory for the values");
    json_begin_object(&r->call->out);
    json_key(&r->call->out, "values");
    json_begin_object(&r->call->out);
    return ERR_OK;
}

static void note_root(struct run *r, const char *name, const struct value *x)
{
    struct err none; /* a view without a history to tell is no root */
    if (x->kind == VALUE_TENSOR && tape_refresh(&r->tape, x->tensor, &none) == ERR_OK &&
        x->tensor->grad_fn)
        r->root[r->roots++] = (struct root){name, x->tensor};
}

/* Writes the value of the next expression of `return`. */
enum err_kind run_write_value(struct run *r, struct err *e)
{
    struct program p = {.first = NULL};
    struct value value;
    struct value_out out = {.w = &r->call->out, .tape = &r->tape};
    char pointer[32];
    snprintf(pointer, sizeof pointer, "/return/%d", r->index);
    enum err_kind rc = run_open_program(r, r->next->valuestring, pointer, &p, e);
    if (rc)
        return rc;
    if (interp_evaluate(&r->interp, &p, &value, e) != ERR_OK)
        rc = run_mistake(r, pointer, &r->interp.where, e);
    if (!rc) {
        json_key(out.w, r->next->valuestring);
        rc = value_write(&out, &value, e);
        r->held += out.taken;
        if (rc == ERR_INVALID)
            err_prefix(e, "%s", pointer);
    }
    if (!rc) {
        note_root(r, r->next->valuestring, &value);
        r->next = r->next->next;
        r->index++;
    }
    /* A string may lie in the expression's own memory: it is written by now. */
    run_close_program(r, &p);
    return rc;
}

/* ---- the rest ---------------------------------------------------------------------------- */

static void write_warnings(const struct run *r)
{
    struct json_out *w = &r->call->out;
    json_key(w, "warnings");
    json_begin_array(w);
    for (const struct warning *x = r->interp.warnings; x; x = x->next) {
        json_begin_object(w);
        json_key_string(w, "category", x->category);
        json_key_string(w, "message", x->message);
        json_key_int(w, "line", x->place.line);
        json_key_int(w, "column", x->place.column);
        json_end_object(w);
    }
    json_end_array(w);
}

static void count_variable(void *arg, const char *name, const struct value *x)
{
    size_t *count = arg;
    (void)name, (void)x;
    ++*count;
}

static void note_variable(void *arg, const char *name, const struct value *x)
{
    note_root(arg, name, x);
}

/* Without a `return` the graph is that of all variables. */
static enum err_kind variables_are_roots(struct run *r, struct err *e)
{
    size_t count = 0;
    if (r->index > 0)
        return ERR_OK;
    interp_each(&r->interp, count_variable, &count);
    r->root = arena_alloc(&r->tape.arena, count * sizeof *r->root);
    if (!r->root)
        return err_set(e, ERR_NOMEM, "", "no memory for the graph");
    interp_each(&r->interp, note_variable, r);
    return ERR_OK;
}

struct naming {
    const struct run *run;
    struct graph graph;
    const char **variable;
};

/* The first name that a leaf was given: the oldest variable comes last. */
static void name_leaf(void *arg, const char *name, const struct value *x)
{
    struct naming *n = arg;
    if (x->kind != VALUE_TENSOR || x->tensor->grad_fn || x->tensor->round != n->run->tape.round)
        return;
    int id = graph_id(&n->graph, x->tensor->accumulate);
    if (id >= 0)
        n->variable[id] = name;
}

static void write_roots(struct json_out *w, const struct run *r, const struct graph *g)
{
    json_key(w, "roots");
    json_begin_object(w);
    for (int i = 0; i < r->roots; i++)
        json_key_int(w, r->root[i].name, graph_id(g, r->root[i].tensor->grad_fn));
    json_end_object(w);
}

static enum err_kind write_graph(struct run *r, struct err *e)
{
    struct json_out *w = &r->call->out;
    struct naming n = {.run = r};
    enum err_kind rc = variables_are_roots(r, e);
    if (rc)
        return rc;
    const struct tensor **tensor = arena_alloc(&r->tape.arena, (size_t)r->roots * sizeof *tensor);
    if (!tensor)
        return err_set(e, ERR_NOMEM, "", "no memory for the graph");
    for (int i = 0; i < r->roots; i++)
        tensor[i] = r->root[i].tensor;
    rc = graph_collect(&r->tape, tensor, r->roots, &n.graph, e);
    if (!rc)
        rc = run_hold(r, graph_text_bytes(&n.graph), e);
    if (rc)
        return rc;
    n.variable = arena_alloc(&r->tape.arena, (size_t)n.graph.nodes * sizeof *n.variable);
    if (!n.variable)
        return err_set(e, ERR_NOMEM, "", "no memory for the graph");
    for (int i = 0; i < n.graph.nodes; i++)
        n.variable[i] = NULL;
    interp_each(&r->interp, name_leaf, &n);
    json_key(w, "graph");
    json_begin_object(w);
    graph_write(w, &n.graph, n.variable);
    write_roots(w, r, &n.graph);
    json_end_object(w);
    return ERR_OK;
}

enum err_kind run_write_rest(struct run *r, struct err *e)
{
    json_end_object(&r->call->out); /* values */
    run_write_output(r, &r->call->out);
    if (r->interp.out.cut)
        json_key_bool(&r->call->out, "stdout_truncated", true);
    write_warnings(r);
    enum err_kind rc = r->graph ? write_graph(r, e) : ERR_OK;
    json_end_object(&r->call->out);
    return rc;
}
