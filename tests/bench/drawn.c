#include "tests/bench/drawn.h"

#include <stdint.h>

#include "engine/mem.h"

float *drawn_numbers(size_t count)
{
    float *x = mem_array(count, sizeof *x);
    uint64_t seed = 1;
    for (size_t i = 0; x && i < count; i++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        x[i] = (float)(((double)(seed >> 33) - 0x1p30) * 0x1p-30);
    }
    return x;
}
