/* tests/api/variants.h - one api for each instruction set that this machine runs: their answers
 * must be the same. */
#ifndef TESTS_API_VARIANTS_H
#define TESTS_API_VARIANTS_H

#include "tests/api/client.h"

#define VARIANTS_MAX 8

struct variants {
    struct client *client[VARIANTS_MAX]; /* best first */
    int count;                           /* at least 1 */
};

/* cmocka's setup and teardown of a group: *state is a struct variants. */
int variants_setup(void **state);
int variants_teardown(void **state);

#endif
