/* tests/bench/peak.h - the most that one core can multiply and add: nothing but FMAs in registers.
 */
#ifndef BENCH_PEAK_H
#define BENCH_PEAK_H

struct peak {
    void (*run)(void *unused); /* NULL: this CPU's widest FMA is not known here */
    double flops;              /* of one call; a multiplication and an addition are two */
};

struct peak peak_find(void);

#endif
