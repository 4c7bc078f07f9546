/* bench_matmul [--quick]: our matrix products beside OpenBLAS's and BLIS's, one thread each, and
 * beside the FMA peak of the same minutes, for the three products of a Linear layer.
 *
 * Every product is also compared: a fast wrong one ends the run. */
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/kernels.h"
#include "engine/mem.h"
#include "tests/bench/blas.h"
#include "tests/bench/drawn.h"
#include "tests/bench/paired.h"
#include "tests/bench/peak.h"
#include "tests/bench/row.h"

#define OUTCOMES_MAX  64
#define PEAK_FROM_ROW 32 /* smaller batches are bound by the memory of the weights */
#define CONTENDERS    (2 + BLAS_COUNT)
#define BETTER        "the better of OpenBLAS and BLIS"

enum { OURS = 0, PEAK = 1, PEERS = 2 }; /* places among the contenders */

static const struct layer {
    int64_t in, out;
} layers[] = {{784, 128}, {128, 10}, {512, 512}, {1024, 1024}};
static const int64_t batches[] = {1, 8, 32, 256, 1024};

/* c (m,n) = a (m,k) b (k,n); transposed: a lies as (k,m), b as (n,k). */
struct product {
    int64_t m, n, k;
    bool a_transposed, b_transposed;
    const float *a, *b;
};

/* A product, who computes it, and where to. */
struct task {
    const struct product *product;
    const struct blas *blas; /* NULL: ours */
    float *c;
};

struct outcome {
    char what[64];
    double ratio[PAIRED_ROUNDS_MAX]; /* how many times faster than the better library */
    double share[PAIRED_ROUNDS_MAX]; /* of the FMA peak */
    bool has_share;
};

struct bench {
    const struct kernels *kernels;
    struct blas blas[BLAS_COUNT];
    struct peak peak;
    struct pace pace;
    void *workspace;
    float *in[2], *c[1 + BLAS_COUNT];
    struct outcome outcome[OUTCOMES_MAX];
    int outcomes;
};

static struct bench bench;

/* ---- the three products of y (batch,out) = x (batch,in) w, w lying as (in,out) ------------- */

static struct product forward(struct layer l, int64_t batch)
{
    return (struct product){.m = batch, .n = l.out, .k = l.in};
}

/* dx = dy wᵀ */
static struct product input_gradient(struct layer l, int64_t batch)
{
    return (struct product){.m = batch, .n = l.in, .k = l.out, .b_transposed = true};
}

/* dw = xᵀ dy */
static struct product weight_gradient(struct layer l, int64_t batch)
{
    return (struct product){.m = l.in, .n = l.out, .k = batch, .a_transposed = true};
}

static const struct form {
    const char *name;
    struct product (*of)(struct layer l, int64_t batch);
} forms[] = {{"forward NN", forward}, {"dX NT", input_gradient}, {"dW TN", weight_gradient}};

#define COUNT(array) ((int)(sizeof(array) / sizeof *(array)))

/* ---- one product, by one of them ----------------------------------------------------------- */

static struct matrix matrix_of(const float *data, bool transposed, int64_t rows, int64_t columns)
{
    void *p = (void *)data; /* matmul only reads a and b */
    return transposed ? (struct matrix){p, 1, rows} : (struct matrix){p, columns, 1};
}

static void run_ours(const struct task *t)
{
    const struct product *p = t->product;
    bench.kernels->matmul(&(struct matmul_args){
        .dtype = DTYPE_FLOAT32,
        .m = p->m,
        .n = p->n,
        .k = p->k,
        .a = matrix_of(p->a, p->a_transposed, p->m, p->k),
        .b = matrix_of(p->b, p->b_transposed, p->k, p->n),
        .c = matrix_of(t->c, false, p->m, p->n),
        .workspace = bench.workspace,
    });
}

static void run_task(void *context)
{
    const struct task *t = context;
    const struct product *p = t->product;
    if (!t->blas) {
        run_ours(t);
        return;
    }
    t->blas->sgemm(BLAS_ROW_MAJOR, p->a_transposed ? BLAS_TRANSPOSED : BLAS_AS_IS,
                   p->b_transposed ? BLAS_TRANSPOSED : BLAS_AS_IS, (int)p->m, (int)p->n, (int)p->k,
                   1, p->a, (int)(p->a_transposed ? p->m : p->k), p->b,
                   (int)(p->b_transposed ? p->k : p->n), 0, t->c, (int)p->n);
}

/* Sums of k products within ±1 in whatever order: each addition rounds a partial sum, which seldom
 * leaves ±sqrt(k), by half an ulp. */
static void compare(const struct product *p, const char *what, const char *peer, const float *c)
{
    double k = (double)p->k, tolerance = 0x1p-22 * k * sqrt(k);
    for (int64_t i = 0; i < p->m * p->n; i++)
        if (!(fabs((double)bench.c[0][i] - (double)c[i]) <= tolerance)) {
            fprintf(stderr, "%s: element %lld is %.9g, %s has %.9g\n", what, (long long)i,
                    (double)bench.c[0][i], peer, (double)c[i]);
            exit(1);
        }
}

/* ---- the rows ------------------------------------------------------------------------------ */

/* In billions of flops a second. */
static struct spread rate(const double *seconds, double flops)
{
    double x[PAIRED_ROUNDS_MAX];
    for (int r = 0; r < bench.pace.rounds; r++)
        x[r] = 1e-9 * flops / seconds[r];
    return spread_of(x, bench.pace.rounds);
}

static double median_of(const double *x)
{
    return spread_of(x, bench.pace.rounds).median;
}

/* Our seconds for our flops beside another's; the ratios of the rates go to ratio. */
static void report(const char *what, const char *beside, const double *seconds, double flops,
                   const double *their_seconds, double their_flops, double *ratio)
{
    for (int r = 0; r < bench.pace.rounds; r++)
        ratio[r] = flops / seconds[r] / (their_flops / their_seconds[r]);
    struct spread ours = rate(seconds, flops), theirs = rate(their_seconds, their_flops);
    struct spread times = spread_of(ratio, bench.pace.rounds);
    row_print(&(struct row){.bench = "matmul",
                            .what = what,
                            .beside = beside,
                            .unit = "GFLOP/s",
                            .figure = &ours,
                            .peer = &theirs,
                            .ratio = &times});
}

static int better_peer(double seconds[][PAIRED_ROUNDS_MAX])
{
    int best = 0;
    for (int i = 1; i < BLAS_COUNT; i++)
        if (median_of(seconds[PEERS + i]) < median_of(seconds[PEERS + best]))
            best = i;
    return best;
}

static void idle(void *unused)
{
    (void)unused;
}

static void measure(const struct form *form, struct layer layer, int64_t batch)
{
    static double seconds[CONTENDERS][PAIRED_ROUNDS_MAX];
    struct product p = form->of(layer, batch);
    p.a = bench.in[0], p.b = bench.in[1];
    struct task task[1 + BLAS_COUNT];
    struct contender contender[CONTENDERS];
    for (int i = 0; i <= BLAS_COUNT; i++) {
        task[i] = (struct task){&p, i == 0 ? NULL : &bench.blas[i - 1], bench.c[i]};
        contender[i == 0 ? OURS : PEERS + i - 1] = (struct contender){run_task, &task[i]};
    }
    contender[PEAK] = (struct contender){bench.peak.run ? bench.peak.run : idle, NULL};

    struct outcome *o = &bench.outcome[bench.outcomes++];
    snprintf(o->what, sizeof o->what, "%lld×%lld batch %lld %s", (long long)layer.in,
             (long long)layer.out, (long long)batch, form->name);
    paired_run(contender, CONTENDERS, bench.pace, seconds);
    for (int i = 1; i <= BLAS_COUNT; i++)
        compare(&p, o->what, bench.blas[i - 1].name, bench.c[i]);

    double flops = 2.0 * (double)p.m * (double)p.n * (double)p.k;
    int peer = better_peer(seconds);
    report(o->what, bench.blas[peer].name, seconds[OURS], flops, seconds[PEERS + peer], flops,
           o->ratio);
    o->has_share = bench.peak.run && batch >= PEAK_FROM_ROW;
    if (o->has_share)
        report(o->what, "FMA peak", seconds[OURS], flops, seconds[PEAK], bench.peak.flops,
               o->share);
}

/* ---- over all products --------------------------------------------------------------------- */

static void report_mean(void)
{
    double mean[PAIRED_ROUNDS_MAX];
    for (int r = 0; r < bench.pace.rounds; r++) {
        double sum = 0;
        for (int i = 0; i < bench.outcomes; i++)
            sum += log(bench.outcome[i].ratio[r]);
        mean[r] = exp(sum / bench.outcomes);
    }
    struct spread ratio = spread_of(mean, bench.pace.rounds);
    char what[64];
    snprintf(what, sizeof what, "matrix products, 1 thread, geometric mean of %d", bench.outcomes);
    row_print(&(struct row){.bench = "matmul",
                            .what = what,
                            .beside = BETTER,
                            .ratio = &ratio,
                            .target = &(struct target){"ratio", ">=", 1.2}});
}

/* The outcome whose ratio, or share of the peak, has the lowest median; NULL: none has one. */
static const struct outcome *worst_of(bool share)
{
    const struct outcome *worst = NULL;
    for (const struct outcome *o = bench.outcome; o < bench.outcome + bench.outcomes; o++) {
        if (share && !o->has_share)
            continue;
        if (!worst ||
            median_of(share ? o->share : o->ratio) < median_of(share ? worst->share : worst->ratio))
            worst = o;
    }
    return worst;
}

static void report_worst(const char *label, const char *beside, bool share, double target)
{
    const struct outcome *o = worst_of(share);
    if (!o)
        return;
    struct spread ratio = spread_of(share ? o->share : o->ratio, bench.pace.rounds);
    char what[128];
    snprintf(what, sizeof what, "%s: %s", label, o->what);
    row_print(&(struct row){.bench = "matmul",
                            .what = what,
                            .beside = beside,
                            .ratio = &ratio,
                            .target = &(struct target){"ratio", ">=", target}});
}

/* ---- preparation --------------------------------------------------------------------------- */

/* Room for the largest of the matrices. */
static bool prepare(bool quick)
{
    const size_t room = 1024 * 1024;
    bench.kernels = kernels_best();
    bench.peak = peak_find();
    bench.pace = quick ? (struct pace){9, 1e-3} : (struct pace){21, 4e-3};
    bench.workspace = mem_array(MATMUL_WORKSPACE_BYTES, 1);
    bool ok = bench.workspace;
    for (int i = 0; i < 2; i++)
        ok = (bench.in[i] = drawn_numbers(room)) && ok;
    for (int i = 0; i <= BLAS_COUNT; i++)
        ok = (bench.c[i] = mem_array(room, sizeof(float))) && ok;
    if (!ok)
        fprintf(stderr, "no memory\n");
    return ok && blas_open(bench.blas);
}

static void release(void)
{
    mem_free(bench.workspace);
    for (int i = 0; i < 2; i++)
        mem_free(bench.in[i]);
    for (int i = 0; i <= BLAS_COUNT; i++)
        mem_free(bench.c[i]);
}

int main(int argc, char **argv)
{
    bool quick = argc > 1 && strcmp(argv[1], "--quick") == 0;
    if (!prepare(quick))
        return 1;
    int last = quick ? COUNT(batches) - 1 : COUNT(batches); /* leaves the largest out */
    for (int l = 0; l < COUNT(layers); l++)
        for (int b = 0; b < last; b++)
            for (int f = 0; f < COUNT(forms); f++)
                measure(&forms[f], layers[l], batches[b]);
    report_mean();
    report_worst("the worst of them", BETTER, false, 0.9);
    report_worst("the least of the peak, from batch 32 on", "FMA peak", true, 0.85);
    release();
    return 0;
}
