/* kill -9 at any instant: what was acknowledged is there, once, to the bit.
 *
 *     test_kill [KILLS [SECONDS [SEED]]]    the long form: so many, at most so long
 *
 * Eight clients do all that can be done to models of every kind while their daemon is ended again
 * and again; then a daemon that is never ended does what was acknowledged, and every answer and
 * every model must be the same (crowd.h). SIGTERM in place of SIGKILL, and lies about what was
 * acknowledged, show that the proof itself holds: the one has to pass, the other must not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/server/crowd.h"
#include "tests/server/dice.h"
#include "tests/server/slow_build.h"

static struct crowd crowd;
static struct {
    int ends;
    uint64_t seed;
    double seconds;
} wanted = {.ends = 1000, .seconds = 1800};

static int clean_up(void **state)
{
    (void)state;
    crowd_drop(&crowd);
    return 0;
}

static struct crowd_plan plan(int signal)
{
    return (struct crowd_plan){.seed = dice_seed(),
                               .clients = 8,
                               .models = 2,
                               .signal = signal,
                               .least_ms = 20,
                               .most_ms = SLOW_BUILD ? 1500 : 400};
}

/* ---- the proof itself ---------------------------------------------------------------------- */

/* The step that an answer to a training call tells; -1: it is no such answer. */
static long long step_told(const struct acted *a)
{
    static const char mark[] = "{\"step\":";
    const char *digits = a->begin + sizeof mark - 1;
    bool told = a->status == 200 && !strncmp(a->begin, mark, sizeof mark - 1) && *digits != '[';
    return told && strstr(a->begin, "\"loss\"") ? atoll(digits) : -1;
}

/* Finds the step that the model is at. false: it was taken elsewhere since, or diverged: then the
 * step once more would have done no harm. */
static bool find_last_step(const struct crowd_model *m, size_t *place)
{
    for (*place = m->count; m->subject.exists && *place > 0;) {
        const struct acted *a = &m->acted[--*place];
        long long step = step_told(a);
        if (step > 0 || a->status == 422)
            return step == m->subject.step;
    }
    return false;
}

static void assert_seen(struct crowd_lie lie)
{
    char *difference = crowd_difference(&crowd, &lie);
    if (!difference)
        fail_msg("done %d times in place of once: not seen", lie.times);
    free(difference);
}

/* A step that is lost, and one that is made twice, show in the answers and in the model. */
static void test_lies_are_seen(void **state)
{
    struct crowd_plan calm = plan(SIGTERM);
    (void)state;
    calm.clients = 2;
    calm.models = 1;
    crowd_start(&crowd, &calm);
    struct crowd_lie lie = {.client = 1};
    do
        crowd_work(&crowd, 0);
    while (!find_last_step(&crowd.client[1].model[0], &lie.place));
    crowd_prove(&crowd);
    for (int ignored = 0; ignored < 2; ignored++)
        for (lie.times = 0; lie.times <= 2; lie.times += 2) {
            lie.answers_ignored = ignored;
            assert_seen(lie);
        }
    crowd_stop(&crowd);
}

static void test_stopped_at_any_instant(void **state)
{
    struct crowd_plan gentle = plan(SIGTERM);
    (void)state;
    crowd_start(&crowd, &gentle);
    crowd_work(&crowd, SLOW_BUILD ? 2 : 5);
    crowd_prove(&crowd);
    crowd_tell(&crowd);
    crowd_stop(&crowd);
}

/* ---- kill -9 ------------------------------------------------------------------------------- */

static void test_killed_at_any_instant(void **state)
{
    struct crowd_plan hard = plan(SIGKILL);
    (void)state;
    crowd_start(&crowd, &hard);
    crowd_work(&crowd, SLOW_BUILD ? 4 : 10);
    crowd_prove(&crowd);
    crowd_tell(&crowd);
    crowd_stop(&crowd);
}

/* The long form. One data file sees all of it. */
static void test_killed_for_long(void **state)
{
    struct crowd_plan hard = plan(SIGKILL);
    (void)state;
    hard.seed = wanted.seed;
    crowd_start(&crowd, &hard);
    crowd_tell(&crowd);
    crowd_work_long(&crowd, wanted.ends, wanted.seconds);
    crowd_stop(&crowd);
}

#define KILL_TEST(f) cmocka_unit_test_teardown(f, clean_up)

static int run_long(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {KILL_TEST(test_killed_for_long)};
    wanted.ends = atoi(argv[1]);
    if (argc > 2)
        wanted.seconds = atof(argv[2]);
    wanted.seed = argc > 3 ? strtoull(argv[3], NULL, 10) : dice_seed();
    return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        KILL_TEST(test_lies_are_seen),
        KILL_TEST(test_stopped_at_any_instant),
        KILL_TEST(test_killed_at_any_instant),
    };
    return argc > 1 ? run_long(argc, argv) : cmocka_run_group_tests(tests, NULL, NULL);
}
