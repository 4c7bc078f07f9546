#include "engine/decimal_power.h"
#include "engine/big.h"
#include "engine/decimal.h"

struct power decimal_powers[POWER_MAX - POWER_MIN + 1];

static void keep(int q, const struct big *b)
{
    struct power *p = &decimal_powers[q - POWER_MIN];
    big_top(b, &p->high, &p->low);
}

/* 10^q and 5^q have the same bits, so fives are enough. Downwards, floor(floor(a / 5) / 5) is
 * floor(a / 25): dividing 2^960 again and again stays exact, and 5^342 has 795 bits, so more
 * than 128 remain. */
void decimal_init(void)
{
    struct big b;
    big_set(&b, 1);
    for (int q = 0; q <= POWER_MAX; q++) {
        keep(q, &b);
        big_mul_add(&b, 5, 0);
    }
    big_set(&b, 1);
    big_shift(&b, 960);
    for (int q = -1; q >= POWER_MIN; q--) {
        big_div(&b, 5);
        keep(q, &b);
    }
    decimal_write_init();
}
