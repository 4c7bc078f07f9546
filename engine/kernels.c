#include "engine/kernels.h"

#include <string.h>

/* The Makefile says which variants there are: -DHAVE_name for each. */

static bool runs_anywhere(void)
{
    return true;
}

#ifdef HAVE_avx512
extern const struct kernels kernels_avx512;

static bool runs_avx512(void)
{
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2");
}
#endif

#ifdef HAVE_avx2
extern const struct kernels kernels_avx2;

static bool runs_avx2(void)
{
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
           __builtin_cpu_supports("bmi2");
}
#endif

extern const struct kernels kernels_baseline;

static const struct {
    const struct kernels *table;
    bool (*runs)(void);
} variants[] = {
#ifdef HAVE_avx512
    {&kernels_avx512, runs_avx512},
#endif
#ifdef HAVE_avx2
    {&kernels_avx2, runs_avx2},
#endif
    {&kernels_baseline, runs_anywhere},
};
#define VARIANTS (sizeof variants / sizeof *variants)

const char *const kernels_names[] = {
#ifdef HAVE_avx512
    "avx512",
#endif
#ifdef HAVE_avx2
    "avx2",
#endif
    "baseline",
    NULL,
};

const struct kernels *kernels_best(void)
{
    size_t i = 0;
    while (!variants[i].runs()) /* ends at the last, which runs anywhere */
        i++;
    return variants[i].table;
}

const struct kernels *kernels_find(const char *isa)
{
    for (size_t i = 0; i < VARIANTS; i++)
        if (!strcmp(variants[i].table->isa, isa))
            return variants[i].runs() ? variants[i].table : NULL;
    return NULL;
}
