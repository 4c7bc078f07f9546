/* engine/cross_entropy.h - the loss of classes with its gradient, in one pass over the rows.
 *
 * In a round that is done again (tape.h) four calls follow each other: log_softmax, nll_loss, and
 * their derivatives. While a row is near all that is made of it is made, and of the gradient
 * between the two derivatives, which is 0 but at a row's class, only the sum.
 *
 * Every number is what the four calls make of it, to the bit; those of that gradient are not made.
 */
#ifndef ENGINE_CROSS_ENTROPY_H
#define ENGINE_CROSS_ENTROPY_H

struct op_call;
struct cross_entropy {
    const struct op_call *softmax;    /* of (rows, classes), row-major, along the classes */
    const struct op_call *nll;        /* of what that gives: a sum or a mean, without weights */
    const struct op_call *by_nll;     /* grad_out and what the loss was given are set */
    const struct op_call *by_softmax; /* grad_in[0] is wanted */
};
typedef void cross_entropy_fn(const struct cross_entropy *c);

#ifdef ISA
#include "engine/isa.h"
cross_entropy_fn ISA_FN(cross_entropy);
#endif

#endif
