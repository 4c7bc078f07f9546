/* bench_threads [--quick]: our products over 10 MFLOP on two threads, beside the same on one: the
 * one who asks, and an idle worker of the daemon's pool, woken for each. In the same rounds two
 * pieces of pure arithmetic, which share nothing, show what a second thread is worth meanwhile.
 *
 * The two results are compared: other bits end the run. */
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/kernels.h"
#include "engine/mem.h"
#include "engine/ops.h"
#include "server/pool.h"
#include "tests/bench/drawn.h"
#include "tests/bench/paired.h"
#include "tests/bench/peak.h"
#include "tests/bench/row.h"

#define PRODUCTS_MAX  32
#define COUNT(array)  ((int)(sizeof(array) / sizeof *(array)))
#define BESIDE        "the same on 1 thread"
#define PEAK_FLOPS    500e6 /* of a part: beside it, a hand-over is nothing */
#define LARGEST       (4096 * 4096)
#define LARGEST_QUICK (1024 * 1024)

static const struct layer {
    int64_t in, out, batch;
} layers[] = {{784, 128, 64},    {784, 128, 256}, {784, 128, 1024},
              {512, 512, 32},    {512, 512, 256}, {1024, 1024, 32},
              {1024, 1024, 256}, {4096, 4096, 1}, {4096, 4096, 32}};

enum { ALONE, SHARED, WAYS };
enum { PRODUCT, PEAK = WAYS, CONTENDERS = 2 * WAYS }; /* each of which is run in both ways */

/* A product, on one thread or on two. */
struct task {
    struct matmul_args args;
    struct crew *crew; /* NULL: alone */
};

static struct bench {
    const struct kernels *kernels;
    struct peak peak;
    int peak_calls; /* that make PEAK_FLOPS */
    struct pace pace;
    char folder[32], data[80];
    struct api *api;
    struct pool *pool;
    void *workspace;
    float *a, *b, *c[WAYS];
    double ratio[PRODUCTS_MAX][PAIRED_ROUNDS_MAX], peak_ratio[PRODUCTS_MAX][PAIRED_ROUNDS_MAX];
    int products;
} bench;

static void run_task(void *context)
{
    const struct task *t = context;
    matmul_shared(bench.kernels->matmul, &t->args, t->crew);
}

static struct matrix rows_of(float *data, int64_t columns)
{
    return (struct matrix){data, columns, 1};
}

static struct matrix columns_of(float *data, int64_t rows)
{
    return (struct matrix){data, 1, rows};
}

/* The three products of y (batch,out) = x (batch,in) w, w lying as (in,out). */
enum form { FORWARD, INPUT_GRADIENT, WEIGHT_GRADIENT, FORMS };
static const char *const form_names[FORMS] = {"forward NN", "dX NT", "dW TN"};

static struct matmul_args product(enum form form, const struct layer *l)
{
    struct matmul_args x = {.dtype = DTYPE_FLOAT32, .workspace = bench.workspace};
    x.m = form == WEIGHT_GRADIENT ? l->in : l->batch;
    x.n = form == INPUT_GRADIENT ? l->in : l->out;
    x.k = form == FORWARD ? l->in : form == INPUT_GRADIENT ? l->out : l->batch;
    x.a = form == WEIGHT_GRADIENT ? columns_of(bench.a, x.m) : rows_of(bench.a, x.k);
    x.b = form == INPUT_GRADIENT ? columns_of(bench.b, x.k) : rows_of(bench.b, x.n);
    return x;
}

static void report(const char *what, const double *ratio, const struct target *target,
                   double seconds[][PAIRED_ROUNDS_MAX], double flops)
{
    struct spread times = spread_of(ratio, bench.pace.rounds), rate[WAYS];
    for (int way = 0; seconds && way < WAYS; way++) {
        double x[PAIRED_ROUNDS_MAX];
        for (int r = 0; r < bench.pace.rounds; r++)
            x[r] = 1e-9 * flops / seconds[way][r];
        rate[way] = spread_of(x, bench.pace.rounds);
    }
    row_print(&(struct row){.bench = "threads",
                            .what = what,
                            .beside = BESIDE,
                            .unit = seconds ? "GFLOP/s" : NULL,
                            .figure = seconds ? &rate[SHARED] : NULL,
                            .peer = seconds ? &rate[ALONE] : NULL,
                            .ratio = &times,
                            .target = target});
}

static void peak_part(void *unused, size_t i, void *workspace)
{
    (void)i, (void)workspace;
    for (int call = 0; call < bench.peak_calls; call++)
        bench.peak.run(unused);
}

static void run_peak(void *crew)
{
    crew_do(crew, peak_part, NULL, WAYS, bench.workspace);
}

/* How many times faster both threads are, round by round. */
static void set_ratios(double *ratio, double seconds[][PAIRED_ROUNDS_MAX])
{
    for (int r = 0; r < bench.pace.rounds; r++)
        ratio[r] = seconds[ALONE][r] / seconds[SHARED][r];
}

static void measure(enum form form, const struct layer *l)
{
    static double seconds[CONTENDERS][PAIRED_ROUNDS_MAX];
    struct task task[WAYS];
    struct contender contender[CONTENDERS] = {[PEAK + ALONE] = {run_peak, NULL},
                                              [PEAK + SHARED] = {run_peak, pool_crew(bench.pool)}};
    char what[64];
    for (int way = 0; way < WAYS; way++) {
        task[way] = (struct task){product(form, l), way == SHARED ? pool_crew(bench.pool) : NULL};
        task[way].args.c = rows_of(bench.c[way], task[way].args.n);
        contender[PRODUCT + way] = (struct contender){run_task, &task[way]};
    }
    paired_run(contender, bench.peak.run ? CONTENDERS : WAYS, bench.pace, seconds);
    snprintf(what, sizeof what, "%lld×%lld batch %lld %s", (long long)l->in, (long long)l->out,
             (long long)l->batch, form_names[form]);
    const struct matmul_args *x = &task[ALONE].args;
    if (memcmp(bench.c[ALONE], bench.c[SHARED], (size_t)(x->m * x->n) * sizeof(float)) != 0) {
        fprintf(stderr, "%s: other bits on two threads\n", what);
        exit(1);
    }
    double *ratio = bench.ratio[bench.products];
    set_ratios(ratio, seconds + PRODUCT);
    if (bench.peak.run)
        set_ratios(bench.peak_ratio[bench.products], seconds + PEAK);
    bench.products++;
    report(what, ratio, NULL, seconds, 2.0 * (double)x->m * (double)x->n * (double)x->k);
}

/* The geometric mean over all products, round by round. */
static void set_means(double *mean, double ratio[][PAIRED_ROUNDS_MAX])
{
    for (int r = 0; r < bench.pace.rounds; r++) {
        double sum = 0;
        for (int i = 0; i < bench.products; i++)
            sum += log(ratio[i][r]);
        mean[r] = exp(sum / bench.products);
    }
}

static void report_means(void)
{
    double mean[PAIRED_ROUNDS_MAX], peak[PAIRED_ROUNDS_MAX];
    char what[80];
    set_means(mean, bench.ratio);
    snprintf(what, sizeof what, "products over 10 MFLOP, 2 threads, geometric mean of %d",
             bench.products);
    report(what, mean, &(struct target){"ratio", ">=", 1.8}, NULL, 0);
    if (!bench.peak.run)
        return;
    set_means(peak, bench.peak_ratio);
    report("pure multiplications meanwhile, 2 threads, geometric mean", peak, NULL, NULL, 0);
    for (int r = 0; r < bench.pace.rounds; r++)
        mean[r] /= peak[r];
    report("what products gain of what those do", mean, NULL, NULL, 0);
}

/* ---- preparation --------------------------------------------------------------------------- */

/* The daemon's own pool, with one worker that nothing is asked of. */
static bool open_pool(void)
{
    struct err e;
    strcpy(bench.folder, "/tmp/bench_threads_XXXXXX");
    if (!mkdtemp(bench.folder))
        return false;
    snprintf(bench.data, sizeof bench.data, "%s/gradd.db", bench.folder);
    const struct api_config api = {.data = bench.data, .network_files = true, .isa = "auto"};
    const struct pool_config pool = {.workers = 1, .line_calls = 1, .calls = 1, .here = 1};
    if (!api_open(&api, &bench.api, &e) && !pool_new(bench.api, &pool, &bench.pool, &e))
        return true;
    fprintf(stderr, "%s\n", e.message);
    return false;
}

static bool prepare(bool quick)
{
    const size_t room = quick ? LARGEST_QUICK : LARGEST;
    bench.kernels = kernels_best();
    bench.peak = peak_find();
    bench.peak_calls = bench.peak.run ? (int)(PEAK_FLOPS / bench.peak.flops) + 1 : 0;
    bench.pace = quick ? (struct pace){9, 2e-3} : (struct pace){21, 10e-3};
    bench.workspace = mem_array(1, MATMUL_WORKSPACE_BYTES + ROOM_BYTES);
    bench.a = drawn_numbers(room), bench.b = drawn_numbers(room);
    for (int way = 0; way < WAYS; way++)
        bench.c[way] = mem_array(room, sizeof(float));
    return bench.workspace && bench.a && bench.b && bench.c[ALONE] && bench.c[SHARED];
}

static void release(void)
{
    struct err e;
    pool_free(bench.pool);
    if (api_close(bench.api, NULL, NULL, &e))
        fprintf(stderr, "%s\n", e.message);
    unlink(bench.data);
    strcat(bench.data, ".lock");
    unlink(bench.data);
    rmdir(bench.folder);
    mem_free(bench.workspace), mem_free(bench.a), mem_free(bench.b);
    mem_free(bench.c[ALONE]), mem_free(bench.c[SHARED]);
}

int main(int argc, char **argv)
{
    bool quick = argc > 1 && strcmp(argv[1], "--quick") == 0;
    bool ready = prepare(quick) && open_pool();
    for (int l = 0; ready && l < COUNT(layers); l++)
        for (int form = 0; form < FORMS; form++)
            if (layers[l].in * layers[l].out <= (quick ? LARGEST_QUICK : LARGEST))
                measure((enum form)form, &layers[l]);
    if (ready)
        report_means();
    release();
    return ready ? 0 : 1;
}
