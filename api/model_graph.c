/* api/model_graph.c - the autograd graph of a model's training step. */
#include "api/graph_out.h"
#include "api/handlers.h"
#include "api/state.h"
#include "engine/train.h"

/* The inputs that the next step will have, as far as that can be said. */
static enum err_kind next_input(const struct session *s, struct shape *x, struct err *e)
{
    const struct batch *b = session_batch_in_turn(s);
    if (b)
        *x = b->x.shape;
    else if (!module_least_input(s->module, x))
        return err_set(e, ERR_CONFLICT, "",
                       "the graph depends on the inputs' shape, and the model has no batches: push "
                       "one");
    return ERR_OK;
}

/* On a dry tape: only shapes, types and nodes. */
static enum err_kind record(struct session *s, struct tape *t, struct tensor **loss, struct err *e)
{
    struct shape x;
    enum err_kind rc = next_input(s, &x, e);
    if (rc)
        return rc;
    rc = train_record(s->module, &s->spec.loss, t, &x, loss, e);
    if (rc == ERR_INVALID) { /* no batch would be so: the shape was a guess */
        e->kind = rc = ERR_CONFLICT;
        err_wrap(e, "the model has no batches: push one, for its layers do not tell the inputs' "
                    "shape: ");
    }
    return rc;
}

static enum err_kind name_leaves(struct tape *t, const struct graph *g, const struct module *m,
                                 const char ***out, struct err *e)
{
    *out = arena_alloc(&t->arena, (size_t)g->nodes * sizeof **out);
    if (!*out)
        return err_set(e, ERR_NOMEM, "", "no memory for the graph");
    for (int i = 0; i < g->nodes; i++)
        (*out)[i] = NULL;
    for (int i = 0; i < m->parameters; i++) {
        const struct tensor *p = &m->parameter[i].tensor;
        int id = p->round == t->round ? graph_id(g, p->accumulate) : -1;
        if (id >= 0)
            (*out)[id] = m->parameter[i].name;
    }
    return ERR_OK;
}

enum err_kind get_graph(struct call *c, struct err *e)
{
    struct tape t;
    struct tensor *loss;
    struct graph g;
    const char **variable;
    tape_init_dry(&t, c->api->kernels);
    enum err_kind rc = record(c->session, &t, &loss, e);
    if (!rc)
        rc = graph_collect(&t, (const struct tensor *const[]){loss}, 1, &g, e);
    if (!rc)
        rc = name_leaves(&t, &g, c->session->module, &variable, e);
    if (!rc) {
        json_begin_object(&c->out);
        graph_write(&c->out, &g, variable);
        json_key(&c->out, "roots");
        json_begin_object(&c->out);
        if (loss->grad_fn)
            json_key_int(&c->out, "loss", graph_id(&g, loss->grad_fn));
        json_end_object(&c->out);
        json_end_object(&c->out);
    }
    tape_close(&t);
    return rc;
}
