/* engine/decimal_power.h - powers of ten in 128 bits; inside decimal_*.c only.
 *
 * Threads: the table is made by decimal_init and never changes after it.
 */
#ifndef ENGINE_DECIMAL_POWER_H
#define ENGINE_DECIMAL_POWER_H

#include <stdbool.h>
#include <stdint.h>

__extension__ typedef unsigned __int128 uint128;

#define POWER_MIN (-342) /* reading: 19 digits times 10^-343 round to 0 */
#define POWER_MAX 324    /* writing: the least double takes 10^324 */

/* 10^q = (high * 2^64 + low) * 2^(power_log2(q) - 127), cut towards 0; the top bit is set. */
struct power {
    uint64_t high, low;
};

extern struct power decimal_powers[POWER_MAX - POWER_MIN + 1];

/* Makes the writer's table, decimal_rows (decimal_shortest.h), of these. */
void decimal_write_init(void);

static inline struct power power_get(int q)
{
    return decimal_powers[q - POWER_MIN];
}

/* 5^55 is the highest power that 128 bits hold; no negative one has an end. */
static inline bool power_is_exact(int q)
{
    return 0 <= q && q <= 55;
}

/* floor(log2(10^q)) for |q| <= 1233: 1741647 / 2^19 is log2(10) from below, near enough.
 * gcc and clang shift negative numbers arithmetically, that is, they round down. */
static inline int power_log2(int q)
{
    return (q * 1741647) >> 19;
}

#endif
