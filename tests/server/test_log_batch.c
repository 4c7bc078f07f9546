/* The lines of the log that leave together: all of them, in order, whole, and soon. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "server/clock.h"
#include "server/log_batch.h"

#define FOR_EVER 10000 /* ms: a failure, if it takes that long */

static int end[2];
static struct log_batch *batch;

static int set_up(void **state)
{
    (void)state;
    batch = pipe(end) ? NULL : log_batch_new(end[1]);
    return batch ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    log_batch_free(batch);
    close(end[0]);
    close(end[1]);
    return 0;
}

static void put(const char *line, bool now)
{
    log_batch_put(batch, line, strlen(line), now);
}

/* What one read finds; "": nothing within ms. */
static const char *take(int ms)
{
    static char text[2 * LOG_LINE_BYTES];
    struct pollfd p = {.fd = end[0], .events = POLLIN};
    ssize_t n = poll(&p, 1, ms) == 1 ? read(end[0], text, sizeof text - 1) : 0;
    assert_true(n >= 0);
    text[n] = '\0';
    return text;
}

static void rest(void)
{
    nanosleep(&(struct timespec){.tv_nsec = 2 * LOG_BATCH_NS}, NULL);
}

/* After a calm at once; what follows leaves by itself, together. */
static void test_lines_leave(void **state)
{
    (void)state;
    for (int round = 0; round < 2; round++) {
        put("first\n", false);
        assert_string_equal(take(0), "first\n");
        put("second\n", false);
        put("third\n", false);
        char got[64];
        snprintf(got, sizeof got, "%s", take(FOR_EVER)); /* a busy machine may part them */
        if (!strcmp(got, "second\n"))
            snprintf(got + 7, sizeof got - 7, "%s", take(FOR_EVER));
        assert_string_equal(got, "second\nthird\n");
        rest();
    }
}

/* One that is in haste takes along what waits before it. */
static void test_haste(void **state)
{
    (void)state;
    put("first\n", false);
    assert_string_equal(take(0), "first\n");
    put("second\n", false);
    put("third\n", true);
    char got[64] = "";
    while (strlen(got) < strlen("second\nthird\n"))
        snprintf(got + strlen(got), sizeof got - strlen(got), "%s", take(0));
    assert_string_equal(got, "second\nthird\n");
}

/* A write is never larger than a pipe takes whole; the last line leaves at the end. */
static void test_full(void **state)
{
    static char line[LOG_LINE_BYTES + 1];
    size_t got = 0;
    (void)state;
    memset(line, 'x', 3000);
    line[2999] = '\n';
    for (int i = 0; i < 4; i++)
        put(line, false);
    memset(line, 'y', LOG_LINE_BYTES);
    line[LOG_LINE_BYTES - 1] = '\n';
    put(line, false);
    log_batch_free(batch);
    batch = NULL;
    while (got < 4 * 3000 + LOG_LINE_BYTES) {
        size_t n = strlen(take(FOR_EVER));
        assert_true(n > 0);
        got += n;
    }
    assert_string_equal(take(0), "");
}

enum { THREADS = 4, EACH = 5000 };

static void *talk(void *arg)
{
    char line[64];
    for (int i = 0; i < EACH; i++) {
        snprintf(line, sizeof line, "%c %d\n", *(const char *)arg, i);
        put(line, i % 100 == 99);
    }
    return NULL;
}

static void test_many_threads(void **state)
{
    pthread_t thread[THREADS];
    static const char name[] = "abcd";
    int next[THREADS] = {0}, lines = 0;
    (void)state;
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, talk, (void *)&name[i]), 0);
    FILE *f = fdopen(dup(end[0]), "r");
    assert_non_null(f);
    for (char line[64]; lines < THREADS * EACH && fgets(line, sizeof line, f); lines++) {
        char who;
        int number;
        assert_int_equal(sscanf(line, "%c %d\n", &who, &number), 2);
        assert_in_range(who, 'a', 'a' + THREADS - 1);
        assert_int_equal(number, next[who - 'a']++);
    }
    assert_int_equal(lines, THREADS * EACH);
    fclose(f);
    for (int i = 0; i < THREADS; i++)
        pthread_join(thread[i], NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_lines_leave, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_haste, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_full, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_many_threads, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
