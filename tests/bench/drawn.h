/* tests/bench/drawn.h - numbers to calculate with. */
#ifndef TESTS_BENCH_DRAWN_H
#define TESTS_BENCH_DRAWN_H

#include <stddef.h>

/* count numbers in [-1, 1), always the same; NULL: no memory. Released with mem_free. */
float *drawn_numbers(size_t count);

#endif
