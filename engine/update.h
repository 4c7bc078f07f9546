/* engine/update.h - the update of one vector of parameters: what a pass over a block (sweep.c) and
 * a product that is a gradient (matmul.c) have in common. For one instruction set.
 *
 * The bits of |x| as an integer have the order of the magnitudes, with NaN above infinity: so the
 * largest is found with integers, lane by lane and in any order, and no NaN is lost.
 */
#ifndef ENGINE_UPDATE_H
#define ENGINE_UPDATE_H

#include "engine/optim.h"
#include "engine/simd.h"

/* There is no momentum; it is set; it is blended. */
enum momentum { MOMENTUM_NONE, MOMENTUM_FIRST, MOMENTUM_GOES_ON };

/* What an update is made of. */
struct form {
    enum momentum momentum;
    bool nesterov, decays;
};

static inline struct form form_of(const struct sgd_options *o, bool has_momentum, bool first)
{
    enum momentum momentum = !has_momentum ? MOMENTUM_NONE
                             : first       ? MOMENTUM_FIRST
                                           : MOMENTUM_GOES_ON;
    return (struct form){momentum, o->nesterov, o->weight_decay != 0};
}

#define REAL float
#include "engine/update.inc"
#undef REAL
#define REAL double
#include "engine/update.inc"
#undef REAL

#endif
