/* tests/api/saga.h - a long mix of changes to several models, drawn from a seed, and what each
 * model looks like after each of them when nothing goes wrong: what faults are measured by.
 *
 * A moment is a state of all models. Moment 0 is the empty store; an act leads from one moment to
 * another, a call in slices over one more for each slice. So whatever goes wrong, the store must
 * hold some moment whole, and from there the rest of the saga must lead to its last one.
 *
 * Threads: one.
 */
#ifndef TESTS_API_SAGA_H
#define TESTS_API_SAGA_H

#include "tests/api/client.h"

/* "safe" (durability power), "plain" (process), "wide" (4160 parameters), "program" (an
 * expression, float64), "loose" (durability none), and forks. */
#define SAGA_MODELS 8
#define SAGA_LOOSE  4 /* keeps no journal: it is left out where moments are compared */

enum act_kind {
    ACT_CALL,
    ACT_DUE,    /* the background checkpoints that are due */
    ACT_SLICE,  /* the next slice of the job that there is: at most one at a time */
    ACT_REOPEN, /* the daemon is stopped and started */
};

struct act {
    enum act_kind kind;
    int model; /* that it changes; -1: none */
    const char *method;
    char target[96];
    char *body;    /* NULL: none. Of a call in slices: what follows the number of steps */
    int64_t steps; /* of a call in slices; 0: it is none */
    int status;
    char *answer;      /* without its times */
    size_t begin, end; /* moments before and after it */
    bool synced;       /* its model was of durability "power" */
};

struct saga {
    uint64_t seed;
    const char *id[SAGA_MODELS];
    struct act *act;
    size_t acts;
    char *(*moment)[SAGA_MODELS]; /* each model as saga_look shows it; a pointer changes with it */
    size_t moments;
};

/* Draws it, and plays it once in a folder of its own. */
struct saga *saga_new(uint64_t seed, int acts);
void saga_free(struct saga *s);

/* Plays act i, with an Idempotency-Key; left > 0: only that many of its steps, with another key.
 * Makes no assertion. status 204 for what is no call, 507 or 503 if it fails: then the client may
 * be closed. */
void saga_play(const struct saga *s, size_t i, struct client *c, int64_t left, struct reply *out);
/* Is that the answer of the undisturbed run? */
bool saga_is_answer(const struct act *a, const struct reply *r);

/* What the api shows of a model: a line for each request, with the status. free() it. */
char *saga_look(struct client *c, const char *id);
/* Fails if they differ, and prints where. */
void saga_assert_same(const char *want, const char *is);
/* The last moment from low to high that the api shows; fails if it shows none of these. */
size_t saga_find(const struct saga *s, struct client *c, size_t low, size_t high);
/* Fails if "loose" is as it never was up to that moment. */
void saga_check_loose(const struct saga *s, struct client *c, size_t high);
/* Plays what follows that moment, beginning with a repeat of the act that led to it, and compares
 * answers and end. */
void saga_go_on(const struct saga *s, struct client *c, size_t moment);

#endif
