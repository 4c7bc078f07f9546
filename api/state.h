/* api/state.h - what an api is made of; for the api's own files. */
#ifndef API_STATE_H
#define API_STATE_H

#include "api/answers.h"
#include "api/api.h"
#include "api/registry.h"
#include "engine/kernels.h"

struct api {
    struct api_config config;      /* [I] */
    const struct kernels *kernels; /* [I] */
    struct store *store;           /* [I] */
    char *data_file;               /* [I] absolute, without links */
    char *backup_folder;           /* [I] the same */
    struct registry registry;
    struct answers answers;
    struct mem_budget autograd;    /* [a] bytes that programs may still take */
    atomic_bool draining;          /* [a] */
    atomic_uint_fast64_t requests; /* [a] made so far, for the request ids */
    uint64_t boot;                 /* [I] tells one run's request ids from another's */
};

#endif
