/* bench_hop: how long a cache line takes from a core to another. Two threads, each on a core of its
 * own, hand a number to and fro.
 *
 * On a virtual machine that changes by the second: its CPUs may lie beside each other at one time,
 * and on two chips at another. What two threads do together depends on it more than on all else. */
#define _GNU_SOURCE /* CPU_SET, pthread_setaffinity_np */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <time.h>

#include "tests/bench/row.h"

enum { ROUNDS = 9, HOPS = 2000 };

static _Alignas(128) atomic_int number;

/* The n-th CPU that this process may use; -1: there are not so many. */
static int cpu_of(int n)
{
    cpu_set_t allowed;
    if (sched_getaffinity(0, sizeof allowed, &allowed) != 0)
        return -1;
    for (size_t cpu = 0; cpu < CPU_SETSIZE; cpu++)
        if (CPU_ISSET(cpu, &allowed) && n-- == 0)
            return (int)cpu;
    return -1;
}

static bool stay_on(int cpu)
{
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET((size_t)cpu, &one);
    return pthread_setaffinity_np(pthread_self(), sizeof one, &one) == 0;
}

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Waits for the number, and makes it the next one. */
static void hop(int from)
{
    while (atomic_load(&number) != from)
        ;
    atomic_store(&number, from + 1);
}

static void *answer(void *cpu)
{
    stay_on(*(int *)cpu);
    for (int i = 0; i < ROUNDS * HOPS; i++)
        hop(2 * i + 1);
    return NULL;
}

int main(void)
{
    int cpus[2] = {cpu_of(0), cpu_of(1)};
    double ns[ROUNDS];
    pthread_t other;
    if (cpus[1] < 0 || !stay_on(cpus[0])) {
        fprintf(stderr, "bench_hop: it takes two CPUs\n");
        return 1;
    }
    if (pthread_create(&other, NULL, answer, &cpus[1]) != 0)
        return 1;
    for (int r = 0; r < ROUNDS; r++) {
        double begin = seconds();
        for (int i = r * HOPS; i < (r + 1) * HOPS; i++)
            hop(2 * i);
        ns[r] = (seconds() - begin) / (2 * HOPS) * 1e9;
    }
    pthread_join(other, NULL);
    struct spread spread = spread_of(ns, ROUNDS);
    row_print(&(struct row){.bench = "hop",
                            .what = "a cache line's way from one core to another",
                            .unit = "ns",
                            .figure = &spread});
    return 0;
}
