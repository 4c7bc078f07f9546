/* engine/crew.h - one piece of work for several threads, where some have nothing else to do.
 *
 * The engine starts no threads and takes no locks: whoever opens a tape may lend it a crew, and
 * large work then goes to it as an errand. An errand is cut into parts by its shape alone, never by
 * how many threads there are; a part writes what no other part touches, and does by itself
 * what it would do in a row with the others. So the result has the same bits, whoever does which.
 *
 * Owns:    nothing; an errand lives on the stack of who gives it, for the length of crew_do.
 * Threads: crew_do may be called by any number of threads at once, and from within a part.
 */
#ifndef ENGINE_CREW_H
#define ENGINE_CREW_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

/* Does part i of the errand that arg describes. workspace: of this thread alone, as large as a
 * tape's (tape.h); what is in it is of no use before and after. */
typedef void part_fn(void *arg, size_t i, void *workspace);

struct errand {
    part_fn *part;
    void *arg;
    size_t parts;
    atomic_size_t begun; /* parts that somebody has begun; counts on when there are no more */
    atomic_size_t first; /* … those from the first one on, */
    atomic_size_t last;  /* … and from the last one back */
};

struct crew {
    /* Does e's parts on the calling thread and on others that are idle. Returns when all are done,
     * and has waited for no thread but those that had begun one. Cannot fail. */
    void (*run)(struct crew *c, struct errand *e, void *workspace);
};

/* Does a part that nobody has begun. false: there is none. Who gives the errand begins with the
 * first one, who helps with the last: so each comes to the same parts of the same errand, step by
 * step, and has in its cache what they read and write. */
static inline bool errand_part(struct errand *e, bool helps, void *workspace)
{
    if (atomic_fetch_add_explicit(&e->begun, 1, memory_order_relaxed) >= e->parts)
        return false;
    size_t i = atomic_fetch_add_explicit(helps ? &e->last : &e->first, 1, memory_order_relaxed);
    e->part(e->arg, helps ? e->parts - 1 - i : i, workspace);
    return true;
}

/* Does all parts, each once, in any order. c NULL: on this thread. */
static inline void crew_do(struct crew *c, part_fn *part, void *arg, size_t parts, void *workspace)
{
    struct errand e = {.part = part, .arg = arg, .parts = parts};
    if (c && parts > 1)
        c->run(c, &e, workspace);
    while (errand_part(&e, false, workspace))
        ;
}

#endif
