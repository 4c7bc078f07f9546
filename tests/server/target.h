/* tests/server/target.h - a daemon to be abused: two models, a batch for the first, bodies of at
 * most 24 MiB. */
#ifndef TESTS_TARGET_H
#define TESTS_TARGET_H

#include "tests/server/daemon.h"
#include "tests/server/model_client.h"

#define MIB             ((size_t)1 << 20)
#define TARGET_MAX_BODY (24 * MIB)

extern struct daemon target;
extern struct model_client target_client;

/* cmocka's setup and teardown of the group; the teardown fails unless the daemon ends well. */
int target_start(void **state);
int target_stop(void **state);
/* The teardown of each test: it works, and training does what it did. */
int target_is_well(void **state);

#endif
