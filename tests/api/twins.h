/* tests/api/twins.h - two models that must be the same, and one that must be the same after a
 * crash. */
#ifndef TESTS_API_TWINS_H
#define TESTS_API_TWINS_H

#include "tests/api/client.h"

/* All of a model but its id and times: parameters, gradients, history, options, digest. */
void assert_twins(struct client *a, const char *id_a, struct client *b, const char *id_b);
/* Everything that can be asked about model "a", its times included, is the same text after a kill
 * as it was before. */
void assert_outlives_kill(struct client *c);

/* One request to a model: its answer's status is 200, or that. */
struct deed {
    const char *method, *rest, *body;
    int status;
};
/* Does it to model id. */
const struct reply *do_deed(struct client *c, const char *id, const struct deed *d);
/* Both give the same answer, but for times. */
void do_both(struct client *a, const char *id_a, struct client *b, const char *id_b,
             const struct deed *d);

/* {"inputs", "targets"} of so many rows for a net of create_net. free() it. */
char *rows_text(int rows, const char *more);
/* A net of 10,100 parameters, and the same for it: 800 bytes a row. */
void create_wide(struct client *c, const char *id, const char *more);
char *wide_text(int rows, const char *more);

#endif
