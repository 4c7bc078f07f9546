/* tests/server/machine.h - the instruction sets that kernels are built for, and which of them run
 * here. */
#ifndef TESTS_MACHINE_H
#define TESTS_MACHINE_H

#include <stdbool.h>
#include <string.h>

#define MACHINE_ISAS 3

/* From the least to the most. */
static const char *const machine_isa[MACHINE_ISAS] = {"baseline", "avx2", "avx512"};

static inline bool machine_runs(const char *isa)
{
#ifdef __x86_64__
    __builtin_cpu_init();
    if (!strcmp(isa, "avx2"))
        return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    if (!strcmp(isa, "avx512"))
        return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
               __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
#endif
    return !strcmp(isa, "baseline");
}

/* How many of the sets run: these are the first of machine_isa. */
static inline int machine_isas(void)
{
    int n = 1;
    while (n < MACHINE_ISAS && machine_runs(machine_isa[n]))
        n++;
    return n;
}

#endif
