/* engine/pass.h - one pass of the optimizer over all parameters: which of them are swept together,
 * where their gradients come from, and on how many threads.
 *
 * Threads: whoever has the module; large parts go to the tape's crew.
 */
#ifndef ENGINE_PASS_H
#define ENGINE_PASS_H

#include "engine/optim.h"

struct pass {
    struct sgd *o;
    struct module *m;
    const struct kernels *k;
    const struct tape *t;  /* NULL: it owes nothing */
    bool dry;              /* nothing is written */
    struct sgd_sums *sums; /* NULL, or gets the digests of what is written */
    double *squares;       /* NULL, or gets those of a gradient that is deferred */
    void *workspace;       /* as a tape's; NULL without one */
};

/* Sweeps over all parameters with a gradient, neighbours in one run. Returns the largest magnitude
 * that is (or would be) written, NaN if any is. */
double pass_run(const struct pass *p);

#endif
