#include "tests/bench/peak.h"

#include <stddef.h>

#ifdef __x86_64__
#include <immintrin.h>

#define CHAINS     12 /* independent of each other: more than latency times units, in registers */
#define ITERATIONS 4096

/* s = s / 2 + 1/2; volatile, so that no compiler knows it, and the sums are wanted. */
static volatile float half = 0.5f;

#define PEAK_LOOP(name, isa, vector, set1, fmadd)                                                  \
    __attribute__((target(isa))) static void name(void *unused)                                    \
    {                                                                                              \
        static volatile vector sink;                                                               \
        (void)unused;                                                                              \
        vector s[CHAINS], h = set1(half);                                                          \
        for (int i = 0; i < CHAINS; i++)                                                           \
            s[i] = set1((float)i);                                                                 \
        for (int k = 0; k < ITERATIONS; k++)                                                       \
            _Pragma("GCC unroll 12") for (int i = 0; i < CHAINS; i++) s[i] = fmadd(s[i], h, h);    \
        for (int i = 0; i < CHAINS; i++)                                                           \
            sink = s[i];                                                                           \
        (void)sink;                                                                                \
    }

PEAK_LOOP(peak_avx512, "avx512f", __m512, _mm512_set1_ps, _mm512_fmadd_ps)
PEAK_LOOP(peak_fma, "avx2,fma", __m256, _mm256_set1_ps, _mm256_fmadd_ps)

struct peak peak_find(void)
{
    const double flops_a_lane = 2.0 * CHAINS * ITERATIONS;
    if (__builtin_cpu_supports("avx512f"))
        return (struct peak){peak_avx512, 16 * flops_a_lane};
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        return (struct peak){peak_fma, 8 * flops_a_lane};
    return (struct peak){NULL, 0};
}
#else
struct peak peak_find(void)
{
    return (struct peak){NULL, 0};
}
#endif
