/* bench_limits [--quick]: about the most that this machine can do, as the README's reasons need it:
 * multiplications in registers, the links of a chain of them, and reading what no cache holds, the
 * weights of 25088-4096, on one thread and on two. */
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "engine/kernels.h"
#include "engine/mem.h"
#include "tests/bench/paired.h"
#include "tests/bench/peak.h"
#include "tests/bench/row.h"

#define WEIGHTS ((size_t)25088 * 4096)
#define LINKS   65536

static const struct kernels *kernels;

static void report(const char *what, const char *unit, const double *x, int rounds)
{
    struct spread spread = spread_of(x, rounds);
    row_print(&(struct row){.bench = "limits", .what = what, .unit = unit, .figure = &spread});
}

/* ---- registers ----------------------------------------------------------------------------- */

#ifdef __x86_64__
#define FMA_TARGET __attribute__((target("fma")))
#else
#define FMA_TARGET
#endif

/* volatile, so that no compiler knows it, and the sum is wanted. */
static volatile float half = 0.5f;

FMA_TARGET static void run_chain(void *unused)
{
    static volatile float sink;
    float s = half, h = half;
    (void)unused;
    for (int i = 0; i < LINKS; i++)
        s = __builtin_fmaf(s, h, h);
    sink = s;
    (void)sink;
}

static void measure_registers(struct pace pace)
{
    static double seconds[2][PAIRED_ROUNDS_MAX];
    double x[PAIRED_ROUNDS_MAX];
    struct peak peak = peak_find();
    if (!peak.run) {
        fprintf(stderr, "bench_limits: this CPU's widest FMA is not known here\n");
        return;
    }
    struct contender contender[] = {{peak.run, NULL}, {run_chain, NULL}};
    paired_run(contender, 2, pace, seconds);
    for (int r = 0; r < pace.rounds; r++)
        x[r] = 1e-9 * peak.flops / seconds[0][r];
    report("FMA peak, 1 thread", "GFLOP/s", x, pace.rounds);
    for (int r = 0; r < pace.rounds; r++)
        x[r] = 1e9 * seconds[1][r] / LINKS;
    report("a link of a chain of FMAs", "ns", x, pace.rounds);
}

/* ---- memory -------------------------------------------------------------------------------- */

struct share {
    const float *x;
    size_t n;
};

static void read_half(void *arg)
{
    static _Thread_local volatile double sink;
    const struct share *h = arg;
    sink = kernels->largest(DTYPE_FLOAT32, h->x, h->n);
    (void)sink;
}

static void *read_beside(void *arg)
{
    read_half(arg);
    return NULL;
}

/* On two threads, or on this one if there is no other. */
static void read_both(void *arg)
{
    struct share *h = arg;
    pthread_t other;
    bool two = pthread_create(&other, NULL, read_beside, &h[1]) == 0;
    read_half(&h[0]);
    if (two)
        pthread_join(other, NULL);
    else
        read_half(&h[1]);
}

static void measure_memory(struct pace pace)
{
    static const char *const what[] = {"reading 411 MB, 1 thread", "reading 411 MB, 2 threads"};
    static double seconds[2][PAIRED_ROUNDS_MAX];
    double x[PAIRED_ROUNDS_MAX];
    float *weight = mem_array(WEIGHTS, sizeof *weight);
    if (!weight) {
        fprintf(stderr, "bench_limits: no memory for 411 MB\n");
        return;
    }
    for (size_t i = 0; i < WEIGHTS; i++) /* else all pages were the same one */
        weight[i] = (float)(i % 1000);
    struct share whole = {weight, WEIGHTS},
                 shares[] = {{weight, WEIGHTS / 2}, {weight + WEIGHTS / 2, WEIGHTS / 2}};
    struct contender contender[] = {{read_half, &whole}, {read_both, shares}};
    paired_run(contender, 2, pace, seconds);
    for (int way = 0; way < 2; way++) {
        for (int r = 0; r < pace.rounds; r++)
            x[r] = 1e-9 * (double)(WEIGHTS * sizeof *weight) / seconds[way][r];
        report(what[way], "GB/s", x, pace.rounds);
    }
    mem_free(weight);
}

int main(int argc, char **argv)
{
    bool quick = argc > 1 && !strcmp(argv[1], "--quick");
    kernels = kernels_best();
    measure_registers((struct pace){quick ? 9 : 21, 0.005});
    measure_memory((struct pace){quick ? 9 : 21, 0.02});
    return 0;
}
