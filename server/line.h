/* server/line.h - who runs next: the lines of the models, the groups of calls that are run
 * together, and the round of those that have work.
 *
 * A line holds the calls of one model: those that change it in order of arrival, and those that
 * are let in between the slices of a long one. The round is the queue of turns that the workers
 * take from its head: a line has at most one turn in it, a call that needs no line has its own. A
 * group is a line too, of calls that only wait there: whoever has its turn takes out many at once.
 *
 * Threads: no locks here; the pool's lock guards all of it.
 */
#ifndef SERVER_LINE_H
#define SERVER_LINE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "api/api.h"

struct job;
struct line;

struct turn {
    struct turn *next;
    struct line *line; /* whose turn it is, or NULL: … */
    struct job *job;   /* … this job's own */
};

/* One call in the pool; lives in what the caller keeps for the call. */
struct job {
    struct call *call;
    /* Called once, on a worker, the store's thread or the one that commits or stops, when the call
     * has its answer (ran) or will never be run again (!ran). The pool does not touch job any more.
     */
    void (*done)(struct job *job, bool ran);
    struct job *next;  /* the rest is the pool's */
    struct line *line; /* NULL: it needs none */
    bool between;
    bool own;  /* nobody waits for it: pool_submit */
    bool here; /* it was begun by pool_run_here: it is the first of its line, which it holds */
    struct pool *pool;
    /* That are still to come: it leaves its line, and what it changed is kept. Who does the last
     * one calls done. */
    atomic_int ends;
    struct turn turn;
};

struct fifo {
    struct job *head, *tail;
};

struct line {
    struct line *next; /* in its bucket */
    struct turn turn;
    struct fifo change, between;
    size_t own;   /* of `calls`: the daemon's own, which count in no bound */
    size_t calls; /* reserved, waiting and running; the line lives while there are any */
    size_t waiting_between;
    size_t let_in; /* how many of `between` go before the head of `change` continues */
    bool in_round; /* its turn waits, or somebody has it */
    bool together; /* a group: `change` holds those that wait, and calls counts them; … */
    size_t due;    /* … so many of them go before its turn comes to the round's end again */
    char id[];
};

#define LINE_BUCKETS 1024

struct lines { /* zeroed is empty */
    struct line *bucket[LINE_BUCKETS];
};

/* The line of id, made if it is not there; NULL: no memory. A line without calls must be
 * released again. */
MUST_USE struct line *lines_open(struct lines *l, const char *id);
/* Frees the line if it has no calls. */
void lines_release(struct lines *l, struct line *line);

void line_push(struct line *line, struct job *job);
/* The job whose turn it is; it stays in the line. There must be one. */
struct job *line_first(const struct line *line);
/* After a slice of job, which was line_first then: takes it out if it has finished. */
void line_after(struct line *line, struct job *job, bool finished);
bool line_is_waiting(const struct line *line);

struct round { /* zeroed is empty */
    struct turn *head, *tail;
};
void round_push(struct round *r, struct turn *turn);
/* Before all others. */
void round_push_first(struct round *r, struct turn *turn);
/* NULL: nobody's turn. */
struct turn *round_take(struct round *r);

#endif
