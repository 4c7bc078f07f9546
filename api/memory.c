/* What is in memory, and GET /memory. */
#include "api/memory.h"

#include "api/handlers.h"
#include "api/mappings.h"
#include "api/state.h"
#include "engine/mem.h"

const char *const memory_names[MEMORY_CLASS_COUNT] = {
#define MEMORY_NAME(id, name, heap) [MEMORY_##id] = (name),
    MEMORY_CLASSES(MEMORY_NAME)
#undef MEMORY_NAME
};

static const bool on_heap[MEMORY_CLASS_COUNT] = {
#define MEMORY_HEAP(id, name, heap) [MEMORY_##id] = (heap),
    MEMORY_CLASSES(MEMORY_HEAP)
#undef MEMORY_HEAP
};

static size_t minus(size_t a, size_t b)
{
    return a > b ? a - b : 0;
}

static void read_counters(struct api *a, struct memory *out)
{
    out->models = registry_stats(&a->registry);
    out->class[MEMORY_MODELS] = out->models.total.model;
    out->class[MEMORY_BATCHES] = out->models.total.batches;
    out->class[MEMORY_CHECKPOINTS] = atomic_load(&a->checkpoints);
    out->class[MEMORY_WORKSPACES] = atomic_load(&a->workspaces);
    out->class[MEMORY_PROGRAMS] = minus(a->config.autograd_memory, atomic_load(&a->autograd.left));
    out->class[MEMORY_REQUESTS] = atomic_load(&a->requests);
    out->class[MEMORY_CONNECTIONS] = atomic_load(&a->gauges.connection_bytes);
    out->class[MEMORY_STREAMS] = atomic_load(&a->events.bytes);
    out->class[MEMORY_ANSWERS] = answers_memory(&a->answers);
    out->class[MEMORY_JOBS] = jobs_stats(&a->jobs).bytes;
    out->class[MEMORY_STORAGE] = store_memory();
}

void memory_read(struct api *a, struct memory *out)
{
    struct mappings mappings;
    struct mem_heap heap;
    *out = (struct memory){0};
    read_counters(a, out);
    mem_heap_read(&heap);
    mappings_read(&mappings);
    out->rss = mappings.rss;
    out->class[MEMORY_PROGRAM] = mappings.files;
    out->class[MEMORY_STACKS] = mappings.stacks;
    out->class[MEMORY_ALLOCATOR] = minus(mappings.heap, heap.pieces);
    size_t known = 0;
    for (int i = 0; i < MEMORY_CLASS_COUNT; i++)
        known += on_heap[i] ? out->class[i] : 0;
    out->class[MEMORY_OTHER] = minus(heap.pieces + heap.mapped, known);
}

enum err_kind get_memory(struct call *c, struct err *e)
{
    struct json_out *w = &c->out;
    struct memory m;
    (void)e;
    memory_read(c->api, &m);
    json_begin_object(w);
    json_key_int(w, "rss", (int64_t)m.rss);
    json_key(w, "classes");
    json_begin_object(w);
    for (int i = 0; i < MEMORY_CLASS_COUNT; i++)
        json_key_int(w, memory_names[i], (int64_t)m.class[i]);
    json_end_object(w);
    json_key(w, "models");
    json_begin_object(w);
    json_key_int(w, "resident", (int64_t)m.models.resident);
    json_key_int(w, "budget", (int64_t)m.models.budget);
    json_key_int(w, "bytes", (int64_t)(m.models.total.model + m.models.total.batches));
    json_key_int(w, "loads", (int64_t)m.models.loads);
    json_key_int(w, "put_away", (int64_t)m.models.put_away);
    json_end_object(w);
    json_end_object(w);
    return ERR_OK;
}
