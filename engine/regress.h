/* engine/regress.h - a whole round of a linear regression in one pass over its rows.
 *
 * The gradient of a weight is one chain of multiply-adds over all rows (matmul.h), each of which
 * waits four cycles for the one before. With a few weights that is most of a round's time, and the
 * multipliers are idle in it; so all else is done meanwhile, row by row: the output, the loss, its
 * slope, the bias's gradient.
 *
 * Every number is what addmm, mse_loss and their derivatives make of it, to the bit.
 */
#ifndef ENGINE_REGRESS_H
#define ENGINE_REGRESS_H

#include <stdint.h>

#define REGRESS_FEATURES 4 /* so many chains take about as long as one */
#define REGRESS_ROWS     2 /* of fewer rows nothing is summed, and sum_to keeps a minus 0 */

/* y = x w + b against the target: x (rows, features) row-major, w (features), b (1), y (rows). */
struct regress {
    int64_t rows, features;
    const float *x, *w, *b, *target;
    float *y, *slope; /* of the loss by y */
    float *dw, *db;   /* NULL: not asked */
    float *loss;
    const float *grad; /* of the loss */
    double divisor;    /* of the squares' sum: rows for their mean, or 1 */
};
typedef void regress_fn(const struct regress *r);

#ifdef ISA
#include "engine/isa.h"
regress_fn ISA_FN(regress);
#endif

#endif
