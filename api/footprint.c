/* What a model takes of memory: asked after every call that changed it, so no list is walked. */
#include "api/session.h"
#include "engine/mem.h"
#include "engine/tree.h"

static size_t of_program(const struct program *p)
{
    return p ? mem_size(p) + p->arena.total : 0;
}

static size_t of_spec(const struct spec *s)
{
    return mem_size(s->layer) + of_program(s->program) + mem_size(s->forward) +
           mem_size(s->parameter);
}

static size_t of_module(const struct module *m)
{
    return mem_size(m) + mem_size(m->layer) + mem_size(m->parameter) + mem_size(m->values.data) +
           mem_size(m->gradients.data) + module_deferred_bytes(m);
}

static size_t of_optimizer(const struct sgd *o)
{
    return mem_size(o->momentum) + mem_size(o->has_momentum);
}

struct footprint session_footprint(const struct session *s)
{
    return (struct footprint){
        .model = mem_size(s) + of_spec(&s->spec) + of_module(s->module) + of_optimizer(&s->sgd) +
                 mem_size(s->tail) + fit_bytes(s->fit),
        .batches = mem_size(s->batch) + s->batch_bytes +
                   s->batches * (sizeof(struct batch) + 2 * MEM_BLOCK_BYTES),
    };
}
