/* tests/bench/paired.h - measures several ways to do one thing side by side.
 *
 * The contenders take turns, a block of calls each, in rounds; who begins moves on by one from
 * round to round. What disturbs the machine for longer than a block then disturbs all of them, so a
 * ratio is taken within a round, and the median over the rounds is what counts.
 */
#ifndef BENCH_PAIRED_H
#define BENCH_PAIRED_H

#define PAIRED_ROUNDS_MAX 64
#define CONTENDERS_MAX    8

struct contender {
    void (*run)(void *context);
    void *context;
};

struct pace {
    int rounds;   /* at most PAIRED_ROUNDS_MAX */
    double block; /* seconds that a contender's turn takes at least */
};

/* The median, and the quartiles around it. */
struct spread {
    double low, median, high;
};

/* seconds[i][r] = what a call of contender i took in round r, the mean over its block. */
void paired_run(const struct contender *contender, int count, struct pace pace,
                double seconds[][PAIRED_ROUNDS_MAX]);

/* x[count], which stays as it is; count is at least 1. */
struct spread spread_of(const double *x, int count);

#endif
