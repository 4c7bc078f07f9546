/* Learning rates from epoch to epoch, as torch.optim.lr_scheduler gives them; and that none leaves
 * the numbers that a rate may be. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <float.h>
#include <math.h>

#include "engine/schedule.h"

/* What PyTorch 1.13 prints after each of nine epochs that begin at 1. */
static const struct {
    const char *type;
    double value[2], rate[9];
} golden[] = {
    {"cosine_annealing_lr",
     {3, 0.25},
     {0.8125, 0.4375000000000001, 0.25, 0.43749999999999994, 0.8125000000000003, 1.0000000000000004,
      0.8125000000000006, 0.43750000000000044, 0.25}},
    {"cosine_annealing_lr", {1, 0}, {0, 1, 0, 1, 0, 1, 0, 1, 0}},
    {"step_lr",
     {3, 0.1},
     {1, 1, 0.1, 0.1, 0.1, 0.010000000000000002, 0.010000000000000002, 0.010000000000000002,
      0.0010000000000000002}},
    {"exponential_lr",
     {0.5},
     {0.5, 0.25, 0.125, 0.0625, 0.03125, 0.015625, 0.0078125, 0.00390625, 0.001953125}},
};

static struct schedule schedule(const char *type, double a, double b)
{
    struct schedule s = {.type = schedule_find(type), .value = {a, b}};
    assert_non_null(s.type);
    return s;
}

static void rates_are_pytorchs(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof golden / sizeof *golden; i++) {
        struct schedule s = schedule(golden[i].type, golden[i].value[0], golden[i].value[1]);
        double lr = 1;
        for (int epoch = 1; epoch <= 9; epoch++) {
            lr = schedule_next(&s, 1, epoch, lr);
            double want = golden[i].rate[epoch - 1];
            if (!(fabs(lr - want) <= 4e-15))
                fail_msg("%s, epoch %d: %.17g, not %.17g", golden[i].type, epoch, lr, want);
        }
    }
}

/* One that is set in between is where it goes on. */
static void it_goes_on_from_the_rate_of_now(void **state)
{
    (void)state;
    struct schedule s = schedule("exponential_lr", 0.5, 0), none = {.type = NULL};
    assert_true(schedule_next(&s, 1, 7, 3) == 1.5);
    assert_true(schedule_next(&none, 1, 7, 3) == 3);
}

static void a_rate_stays_a_rate(void **state)
{
    (void)state;
    struct schedule grows = schedule("exponential_lr", DBL_MAX, 0);
    struct schedule falls = schedule("cosine_annealing_lr", 3, 5); /* from below to its least */
    double lr = 1;
    for (int epoch = 1; epoch < 5; epoch++)
        lr = schedule_next(&grows, 1, epoch, lr);
    assert_true(lr == DBL_MAX);
    lr = 0;
    for (int64_t epoch = 1; epoch < 100; epoch++) {
        lr = schedule_next(&falls, 0, epoch, lr);
        assert_true(lr >= 0 && lr <= DBL_MAX);
    }
    assert_true(isfinite(schedule_next(&falls, 1, INT64_C(1000000000), 1)));
    assert_null(schedule_find("cyclic_lr"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rates_are_pytorchs),
        cmocka_unit_test(it_goes_on_from_the_rate_of_now),
        cmocka_unit_test(a_rate_stays_a_rate),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
