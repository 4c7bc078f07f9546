/* engine/schedule.h - learning rates that change from epoch to epoch, by PyTorch's names.
 *
 * After every epoch PyTorch's loop calls scheduler.step(), which makes the optimizer's rate the
 * next one of what it is by then: so a rate that somebody sets in between is where it goes on.
 * Source:  torch/optim/lr_scheduler.py, get_lr of each.
 * Threads: immutable table; pure.
 */
#ifndef ENGINE_SCHEDULE_H
#define ENGINE_SCHEDULE_H

#include <stdint.h>

#include "engine/options.h"

struct schedule_type {
    struct options options;
    double (*next)(const double *value, double base, int64_t epoch, double lr);
};
extern const struct schedule_type schedule_types[]; /* a NULL type name ends them */
/* NULL: there is no such schedule. */
const struct schedule_type *schedule_find(const char *type);

/* A schedule of no type keeps the rate as it is. */
struct schedule {
    const struct schedule_type *type;
    double value[OPTIONS_MAX];
};

/* The rate after `epoch` epochs (1, 2, …); base: that before the first one, lr: as it is now.
 * Finite and not negative, whatever the options are. */
double schedule_next(const struct schedule *s, double base, int64_t epoch, double lr);

#endif
