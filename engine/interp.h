/* engine/interp.h - runs programs of the expression language over a tape.
 *
 * Everything that a run makes (names, values, tensors, nodes, what it printed) lies in the tape's
 * arena and lives until tape_reset.
 *
 * Threads: an interpreter and its tape belong to one thread at a time; a program that is bound is
 *          immutable and may be run by several at once.
 */
#ifndef ENGINE_INTERP_H
#define ENGINE_INTERP_H

#include "engine/rng.h"
#include "engine/show.h"
#include "engine/tape.h"
#include "engine/tree.h"
#include "engine/value.h"

/* What a program may not exceed; a bound that is reached is an error that names it. */
struct interp_limits {
    size_t stdout_bytes;
    int64_t calls; /* of functions, methods and operators */
    /* Asked before each of them, with arg; an error ends the run. NULL: never. One statement may
     * make them all. */
    enum err_kind (*allow)(void *arg, struct err *e);
    void *arg;
    /* Bytes and multiplications are bounded by the tape: arena.budget and work_max. */
};

struct warning {
    struct warning *next;
    struct place place;
    const char *category, *message; /* "UserWarning" */
};

struct name;
struct frame;

struct interp {
    struct tape *tape;
    struct interp_limits limits;
    struct text out;          /* what was printed */
    struct warning *warnings; /* in order */
    struct place where;       /* of the last error */
    struct place statement;   /* that runs now */
    int64_t calls;            /* made so far */
    bool pure;                /* a model's forward: nothing may be drawn, printed or changed */
    struct name *names;       /* all variables; newest first */
    /* interp_run's own: */
    bool running;
    const struct tree *next; /* the statement that runs next */
    struct frame *frame;     /* the blocks that it stands in, innermost first */
    uint64_t seed;           /* of rng, which is not seeded before it is drawn from */
    bool is_seeded;
    struct rng rng;
};

/* tape: reset or fresh, with gradients enabled; the caller's. */
void interp_init(struct interp *in, struct tape *tape, uint64_t seed,
                 const struct interp_limits *limits);

/* Looks up the functions that a parsed program calls; once, before it runs.
 *   pure    refuse what a model's forward may not do
 *   errors  INVALID "module 'torch' has no attribute 'foo'", …; *where is set · NOMEM */
MUST_USE enum err_kind program_bind(struct program *p, bool pure, struct place *where,
                                    struct err *e);

/* Gives a variable a value: a named input. errors NOMEM */
MUST_USE enum err_kind interp_set(struct interp *in, const char *name, struct value value,
                                  struct err *e);

/* The variable's value, NULL: there is none of that name. Valid until it is set anew. */
const struct value *interp_find(const struct interp *in, const char *name);
/* Calls each with every variable, newest first. */
void interp_each(const struct interp *in,
                 void (*each)(void *arg, const char *name, const struct value *value), void *arg);

/* Runs p from its first statement, or goes on where it stopped.
 *   stop    asked before each statement, with arg; NULL: never
 *   *again  true: stop said so; call again with the same p
 *   errors  INVALID the program's mistake, in PyTorch's or Python's words, in->where set · NOMEM */
MUST_USE enum err_kind interp_run(struct interp *in, const struct program *p,
                                  bool (*stop)(void *arg), void *arg, bool *again, struct err *e);

/* The value of a program that is one expression ("w.grad"). errors as interp_run */
MUST_USE enum err_kind interp_evaluate(struct interp *in, const struct program *p,
                                       struct value *out, struct err *e);
/* Runs a pure program; *out is the tensor that its last statement, an expression, gives.
 *   errors  INVALID, also: the last statement is no expression, or its value no tensor · NOMEM */
MUST_USE enum err_kind interp_forward(struct interp *in, const struct program *p,
                                      struct tensor **out, struct err *e);

#endif
