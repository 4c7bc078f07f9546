/* api/memory.h - what the process's memory holds, by classes that are each counted where they are
 * made, and together are what the kernel counts.
 */
#ifndef API_MEMORY_H
#define API_MEMORY_H

#include "api/api.h"
#include "api/registry.h"

/* Class, its name, and whether it lies in the heap. */
#define MEMORY_CLASSES(X)                                                                          \
    X(PROGRAM, "program", false)        /* the binary and its libraries */                         \
    X(MODELS, "models", true)           /* parameters, gradients, momentum, losses, layers */      \
    X(BATCHES, "batches", true)         /* pushed ones of resident models */                       \
    X(CHECKPOINTS, "checkpoints", true) /* copies of models on their way to the store */           \
    X(WORKSPACES, "workspaces", true)   /* of the threads that run calls: their tapes */           \
    X(PROGRAMS, "programs", true)       /* of /autograd */                                         \
    X(REQUESTS, "requests", true)       /* in flight: their bodies and answers */                  \
    X(CONNECTIONS, "connections", true) /* open ones: the transport's buffers */                   \
    X(STREAMS, "streams", true)         /* of events, and what they are to tell */                 \
    X(ANSWERS, "answers", true)         /* kept under their Idempotency-Key */                     \
    X(JOBS, "jobs", true)               /* that are not finished */                                \
    X(STORAGE, "storage", true)         /* the database engine */                                  \
    X(STACKS, "stacks", false)          /* of all threads */                                       \
    X(ALLOCATOR, "allocator", false)    /* free, and held for what comes */                        \
    X(OTHER, "other", false)            /* the rest of the heap that is in use */

enum memory_class {
#define MEMORY_ENUM(id, name, heap) MEMORY_##id,
    MEMORY_CLASSES(MEMORY_ENUM)
#undef MEMORY_ENUM
        MEMORY_CLASS_COUNT
};
extern const char *const memory_names[MEMORY_CLASS_COUNT];

struct memory {
    size_t rss; /* as the kernel counts it; 0: it does not tell */
    size_t class[MEMORY_CLASS_COUNT];
    struct registry_stats models;
};
/* Takes about a millisecond, and some more for each GB in memory. Classes are what was asked for,
 * rss is what has been touched: a large block that is new counts before it is used. */
void memory_read(struct api *a, struct memory *out);

#endif
