#include "tests/bench/paired.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static double block_seconds(const struct contender *c, int64_t calls)
{
    double start = now();
    for (int64_t i = 0; i < calls; i++)
        c->run(c->context);
    return now() - start;
}

/* So many calls that they fill a block; warms the caches besides. */
static int64_t block_calls(const struct contender *c, double block)
{
    int64_t calls = 1;
    while (block_seconds(c, calls) < block)
        calls *= 2;
    return calls;
}

void paired_run(const struct contender *contender, int count, struct pace pace,
                double seconds[][PAIRED_ROUNDS_MAX])
{
    int64_t calls[CONTENDERS_MAX];
    assert(count <= CONTENDERS_MAX && pace.rounds <= PAIRED_ROUNDS_MAX);
    for (int i = 0; i < count; i++)
        calls[i] = block_calls(&contender[i], pace.block);
    for (int r = 0; r < pace.rounds; r++)
        for (int turn = 0; turn < count; turn++) {
            int i = (r + turn) % count;
            seconds[i][r] = block_seconds(&contender[i], calls[i]) / (double)calls[i];
        }
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Between the two neighbours of the place, as a straight line. */
static double quantile(const double *sorted, int count, double q)
{
    double place = q * (count - 1);
    int below = (int)place;
    int above = below + 1 < count ? below + 1 : below;
    return sorted[below] + (place - below) * (sorted[above] - sorted[below]);
}

struct spread spread_of(const double *x, int count)
{
    double sorted[PAIRED_ROUNDS_MAX];
    assert(count >= 1 && count <= PAIRED_ROUNDS_MAX);
    memcpy(sorted, x, (size_t)count * sizeof *x);
    qsort(sorted, (size_t)count, sizeof *sorted, compare);
    return (struct spread){quantile(sorted, count, 0.25), quantile(sorted, count, 0.5),
                           quantile(sorted, count, 0.75)};
}
