/* tests/server/changes.h - changes to a model, and reads of it, in an endless row: each follows
 * from a number and from what those before it have left. So a row can be repeated from its numbers,
 * at another daemon.
 *
 *     struct subject m = {.id = "a", .kind = 1};
 *     change_make(&m, number, 0, &c);
 *     … c.method, c.path and c.body are sent; a status and json come …
 *     subject_learn(&m, &c, status, json);
 *     change_free(&c);
 */
#ifndef TESTS_CHANGES_H
#define TESTS_CHANGES_H

#include "tests/server/model_client.h"

/* There are so many kinds of models: SGD without and with its options, float64, by expression, one
 * that goes on when it diverges, one that is safe from a loss of power. */
#define SUBJECT_KINDS 6
/* Batches and checkpoints that one has at most. */
#define SUBJECT_KEEPS 8

struct numbers {
    int count;
    int64_t n[SUBJECT_KEEPS];
    int64_t step[SUBJECT_KEEPS]; /* that the model was at; -1: it was taken back before that one */
};

/* A model, as far as the changes to it depend on it. */
struct subject {
    char id[48];
    int kind; /* 0 to SUBJECT_KINDS - 1 */
    bool exists;
    int64_t step;
    struct numbers batches, checkpoints;
};

/* What it does to the numbers above, if it succeeds. */
enum effect {
    EFFECT_NONE,
    EFFECT_MODEL,
    EFFECT_NO_MODEL,
    EFFECT_BATCH,
    EFFECT_NO_BATCH,
    EFFECT_CHECKPOINT,
    EFFECT_NO_CHECKPOINT,
    EFFECT_RESTORED,
};

struct change {
    const char *method;
    const char *name; /* for people: "inline step" */
    char path[128];
    struct text body; /* at is NULL: none */
    bool reads;       /* and changes nothing */
    int64_t steps;    /* of a call of …/step; otherwise 0 */
    enum effect effect;
    int64_t n;  /* of the batch or checkpoint that it removes */
    bool waits; /* it is done when the job that it makes is over */
};

/* steps: so many instead of those drawn, if it is a call of …/step; 0: those drawn. */
void change_make(const struct subject *m, uint64_t number, int64_t steps, struct change *out);
void change_free(struct change *c);
/* What its answer tells of the model. */
void subject_learn(struct subject *m, const struct change *c, long status, const cJSON *json);

#endif
