/* api/state.h - what an api is made of; for the api's own files. */
#ifndef API_STATE_H
#define API_STATE_H

#include "api/answers.h"
#include "api/api.h"
#include "api/events.h"
#include "api/jobs.h"
#include "api/registry.h"
#include "engine/kernels.h"

#define NOTICES_MAX 32

/* What the operator should know, until the server fetches it for its log. */
struct notices {
    struct lock lock;
    char text[NOTICES_MAX][API_NOTICE_BYTES]; /* [n] guarded by lock */
    size_t first, count;                      /* [n] */
};

struct api {
    struct api_config config;      /* [I] */
    const struct kernels *kernels; /* [I] */
    struct store *store;           /* [I] */
    char *data_file;               /* [I] absolute, without links */
    char *backup_folder;           /* [I] the same */
    struct registry registry;
    struct answers answers;
    struct jobs jobs;
    struct notices notices;
    struct events events;
    struct mem_budget autograd; /* [a] bytes that programs may still take */
    struct api_gauges gauges;   /* [a] the server's */
    atomic_bool draining;       /* [a] */
    atomic_size_t requests;     /* [a] bytes of calls, with their bodies and answers */
    atomic_size_t workspaces;   /* [a] bytes of those that run calls */
    atomic_size_t checkpoints;  /* [a] bytes of checkpoints on their way to the store */
    atomic_size_t freed;        /* [a] bytes, by models and checkpoints since the last mem_trim */
    atomic_size_t internal;     /* [a] calls of api_due that have not ended */
    bool swept;                 /* by api_due alone: this round has looked at the budget */
    int64_t give_back_at;       /* by api_due alone: ns, mem_trim not before */
    atomic_uint_fast64_t calls; /* [a] made so far, for the request ids */
    int64_t boot;               /* [I] Unix milliseconds: tells one run's ids from another's … */
    char run[20];               /* [I] … as text */
};

/* One more notice; when there are too many, it is left out. */
void api_notice(struct api *a, const char *format, ...) PRINTF_LIKE(2, 3);

#endif
