/* engine/sweep.h - passes over contiguous blocks of numbers, for one instruction set.
 *
 * What they do is said in engine/kernels.h, through whose table everyone else reaches them; this
 * header is for the kernel files, which are compiled with -DISA=name.
 */
#ifndef ENGINE_SWEEP_H
#define ENGINE_SWEEP_H

#include "engine/kernels.h"

#ifdef ISA
#include "engine/isa.h"

double ISA_FN(sum_squares)(enum dtype dtype, const void *x, size_t n);
double ISA_FN(largest)(enum dtype dtype, const void *x, size_t n);
void ISA_FN(accumulate)(enum dtype dtype, void *y, const void *x, size_t n);
double ISA_FN(sgd)(const struct sgd_sweep *sweep);
uint64_t ISA_FN(digest)(size_t first_word, const void *x, size_t words);
size_t ISA_FN(read_floats)(const char **text, const char *end, float *out, size_t room);
size_t ISA_FN(write_floats)(const float *x, size_t n, char *out, size_t *bytes);
#endif

#endif
