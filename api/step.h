/* api/step.h - a training step, as it is asked for and as it went. */
#ifndef API_STEP_H
#define API_STEP_H

#include "engine/dtype.h"

/* What one step did. */
struct step_result {
    double loss, grad_norm;
    enum dtype dtype; /* of the loss */
};
/* What is asked of a step's state beside the parameters. */
enum step_end {
    STEP_GOES_ON,  /* nothing, another step follows at once: the gradients need not be there, and
                      result->grad_norm may be a bound */
    STEP_ENDS,     /* the gradients, */
    STEP_DIGESTED, /* and the digest, summed on the way */
};

#endif
