/* tests/server/dice.h - random numbers that a seed repeats (splitmix64), each thread its own. */
#ifndef TESTS_DICE_H
#define TESTS_DICE_H

#include <stdint.h>
#include <time.h>

static inline uint64_t dice_roll(uint64_t *dice)
{
    uint64_t z = *dice += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* low to high, both of them too. */
static inline int64_t dice_between(uint64_t *dice, int64_t low, int64_t high)
{
    return low + (int64_t)(dice_roll(dice) % (uint64_t)(high - low + 1));
}

/* A seed that the next run does not have. */
static inline uint64_t dice_seed(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (uint64_t)t.tv_sec * 1000003u + (uint64_t)t.tv_nsec;
}

#endif
