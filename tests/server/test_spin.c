/* Whether a connection's thread looks for the next request, by made-up times; and the look itself.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "server/clock.h"
#include "server/spin.h"

#define US 1000

static int64_t now;

/* So many requests of a client whose pauses are as long as that, asleep and looking. Returns how
 * many looks were taken. */
static int serve(struct spin *s, int requests, int64_t asleep, int64_t looking)
{
    int looks = 0;
    for (int i = 0; i < requests; i++) {
        spin_begin(s, now);
        now += 20 * US;
        looks += spin_end(s, now);
        now += s->looks ? looking : asleep;
    }
    return looks;
}

/* It is what is done but for the trials, of which there are few. */
static void test_looks_where_it_pays(void **state)
{
    struct spin s = {0};
    (void)state;
    now = CLOCK_SECOND;
    assert_in_range(serve(&s, 1000, 60 * US, 20 * US), 970, 999);
}

/* The client is slower than a look, or the wake-ups are cheap. */
static void test_sleeps_where_it_does_not(void **state)
{
    struct spin slow = {0}, cheap = {0};
    (void)state;
    now = CLOCK_SECOND;
    assert_in_range(serve(&slow, 1000, 100 * US, 100 * US), 1, 30);
    assert_in_range(serve(&cheap, 1000, 20 * US, 15 * US), 1, 30);
}

/* Neither after a first request nor after a long pause, however often. */
static void test_never_looks_for_the_idle(void **state)
{
    struct spin s = {0};
    (void)state;
    now = CLOCK_SECOND;
    assert_int_equal(serve(&s, 1000, 10000 * US, 10000 * US), 0);
    assert_false(s.quick);
    assert_true(serve(&s, 100, 60 * US, 20 * US) > 90);
    now += CLOCK_SECOND;
    assert_int_equal(serve(&s, 1, 60 * US, 20 * US), 0);
    assert_true(serve(&s, 100, 60 * US, 20 * US) > 90);
}

/* What paid once is found out not to any more. */
static void test_learns_anew(void **state)
{
    struct spin s = {0};
    (void)state;
    now = CLOCK_SECOND;
    serve(&s, 1000, 60 * US, 20 * US);
    serve(&s, 100, 60 * US, 60 * US);
    assert_in_range(serve(&s, 1000, 60 * US, 60 * US), 1, 30);
    serve(&s, 3000, 60 * US, 20 * US);
    assert_true(serve(&s, 1000, 60 * US, 20 * US) > 970);
}

static void test_a_look_ends(void **state)
{
    int pipes[2], fd = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN};
    (void)state;
    assert_int_equal(pipe(pipes), 0);
    assert_int_equal(epoll_ctl(fd, EPOLL_CTL_ADD, pipes[0], &event), 0);
    int64_t start = clock_ns();
    spin_look(fd);
    assert_true(clock_ns() - start >= SPIN_NS);
    assert_int_equal(write(pipes[1], "x", 1), 1);
    int64_t shortest = INT64_MAX; /* the machine may be busy */
    for (int i = 0; i < 100; i++) {
        start = clock_ns();
        spin_look(fd);
        if (clock_ns() - start < shortest)
            shortest = clock_ns() - start;
    }
    assert_true(shortest < SPIN_NS / 2);
    close(pipes[0]);
    close(pipes[1]);
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_looks_where_it_pays),
        cmocka_unit_test(test_sleeps_where_it_does_not),
        cmocka_unit_test(test_never_looks_for_the_idle),
        cmocka_unit_test(test_learns_anew),
        cmocka_unit_test(test_a_look_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
