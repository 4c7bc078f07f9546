/* How connections are dealt out, over daemons of libmicrohttpd in this process. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "server/clock.h"
#include "tests/server/house.h"
#include "tests/server/raw_client.h"

#define ASK "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"

static void rest(long ms)
{
    poll(NULL, 0, (int)ms);
}

/* ---- the system's part --------------------------------------------------------------------- */

static atomic_int accept_errno; /* 0: it works */
static atomic_int accept_fails; /* so many times */
static atomic_int accept_calls;

/* In place of the C library's, also for libmicrohttpd. */
int accept4(int fd, struct sockaddr *from, socklen_t *bytes, int flags);
int accept4(int fd, struct sockaddr *from, socklen_t *bytes, int flags)
{
    atomic_fetch_add(&accept_calls, 1);
    if (atomic_load(&accept_fails) > 0 && atomic_fetch_sub(&accept_fails, 1) > 0) {
        errno = atomic_load(&accept_errno);
        return -1;
    }
    int client = accept(fd, from, bytes);
    if (client >= 0 && (flags & SOCK_NONBLOCK))
        fcntl(client, F_SETFL, O_NONBLOCK);
    return client;
}

static void fail_accept(int reason, int times)
{
    atomic_store(&accept_errno, reason);
    atomic_store(&accept_fails, times);
    atomic_store(&accept_calls, 0);
}

/* Before each test: whatever the one before has left. */
static int accept_works(void **state)
{
    (void)state;
    fail_accept(0, 0);
    return 0;
}

static void close_all(const int *fd, int connections)
{
    for (int i = 0; i < connections; i++)
        close(fd[i]);
}

/* ---- who gets whom ------------------------------------------------------------------------- */

static void test_dealt_out_evenly(void **state)
{
    (void)state;
    for (int lanes = 2; lanes <= LANES_MAX; lanes++) {
        int fd[36], of[36], count[LANES_MAX] = {0};
        house_open(lanes, 100);
        house_burst(fd, 12 * lanes - 12, count, of);
        for (int i = 0; i < lanes; i++)
            assert_int_equal(count[i], (12 * lanes - 12) / lanes);
        close_all(fd, 12 * lanes - 12);
        house_close();
    }
}

/* Whoever has lost more gets more. */
static void test_evens_out_again(void **state)
{
    int fd[16], of[16], again[8], of_again[8], count[2] = {0}, gone = 0;
    (void)state;
    house_open(2, 100);
    house_burst(fd, 16, count, of);
    assert_int_equal(count[0], 8);
    for (int i = 0; i < 16; i++)
        if (of[i] == 1 && gone++ < 6)
            close(fd[i]);
    house_await_ends(6);
    count[0] = count[1] = 0;
    house_burst(again, 8, count, of_again);
    assert_int_equal(count[1], 7); /* 8 and 2, then 9 and 9 */
    for (int i = 0, seen = 0; i < 16; i++)
        if (of[i] != 1 || seen++ >= 6)
            close(fd[i]);
    close_all(again, 8);
    house_close();
}

/* ---- no room ------------------------------------------------------------------------------- */

static void test_one_more_waits(void **state)
{
    int fd[6];
    (void)state;
    house_open(2, 4);
    for (int i = 0; i < 6; i++) {
        fd[i] = raw_connect(h.port);
        house_ask(fd[i]);
    }
    for (int i = 0; i < 4; i++)
        assert_in_range(house_lane_of(fd[i]), 0, 1);
    for (int i = 4; i < 6; i++) { /* … until one closes, and then not for long */
        assert_true(house_is_silent(fd[4], 100));
        assert_true(house_is_silent(fd[5], 100));
        close(fd[i - 4]);
        assert_false(house_is_silent(fd[i], ACCEPTOR_LOST_MS / 2));
        assert_in_range(house_lane_of(fd[i]), 0, 1);
        if (i == 4)
            assert_true(house_is_silent(fd[5], 100));
    }
    assert_int_equal(house_most(), 4);
    close_all(fd + 2, 4);
    house_close();
}

/* So many are let in, and one more is not. */
static void assert_room_for(int room)
{
    int fd[LANES_MAX + 1];
    for (int i = 0; i <= room; i++) {
        fd[i] = raw_connect(h.port);
        house_ask(fd[i]);
    }
    for (int i = 0; i < room; i++)
        assert_in_range(house_lane_of(fd[i]), 0, h.lanes - 1);
    assert_true(house_is_silent(fd[room], 100));
    close_all(fd, room + 1);
}

struct guest {
    pthread_t thread;
    int visits, failures;
    int64_t longest;
};

static atomic_bool leaves; /* guests come until then */

static void *visit(void *arg)
{
    struct guest *g = arg;
    for (int i = 0; i < g->visits && !atomic_load(&leaves); i++) {
        char answer[1000];
        int64_t began = clock_ns();
        int fd = raw_try_connect(h.port);
        bool ok = fd >= 0 && raw_send(fd, ASK, sizeof ASK - 1) &&
                  raw_read_until(fd, "lane ", answer, sizeof answer);
        int64_t took = clock_ns() - began;
        g->longest = took > g->longest ? took : g->longest;
        g->failures += !ok;
        if (fd >= 0)
            close(fd);
    }
    return NULL;
}

/* Eight come and go where there is room for two: never more, and nobody is forgotten, as who was
 * would wait for ACCEPTOR_LOST_MS. */
static void test_come_and_go(void **state)
{
    struct guest guest[8] = {0};
    (void)state;
    atomic_store(&leaves, false);
    house_open(2, 2);
    for (int i = 0; i < 8; i++) {
        guest[i].visits = 400;
        assert_int_equal(pthread_create(&guest[i].thread, NULL, visit, &guest[i]), 0);
    }
    for (int i = 0; i < 8; i++)
        pthread_join(guest[i].thread, NULL);
    for (int i = 0; i < 8; i++) {
        assert_int_equal(guest[i].failures, 0);
        assert_true(guest[i].longest < ACCEPTOR_LOST_MS * (CLOCK_SECOND / 1000));
    }
    assert_int_equal(house_most(), 2);
    house_await_ends(3200);
    house_close();
}

/* A daemon that is busy begins nothing, but what it was given counts: no more than `most` are taken
 * out of the line. */
static void test_given_counts(void **state)
{
    int fd[8];
    (void)state;
    house_open(1, 4);
    house_shut(true);
    for (int i = 0; i < 8; i++) {
        fd[i] = raw_connect(h.port);
        house_ask(fd[i]);
    }
    rest(200);
    house_shut(false);
    for (int i = 0; i < 4; i++)
        assert_int_equal(house_lane_of(fd[i]), 0);
    assert_true(house_is_silent(fd[4], 100));
    assert_int_equal(house_most(), 4);
    close_all(fd, 8);
    house_close();
}

/* libmicrohttpd has no memory for some, and says so: they take no place. */
static void test_refused_take_no_place(void **state)
{
    (void)state;
    house_open(2, 3);
    house_lacks_memory(HOUSE_REFUSES);
    for (int i = 0; i < 5; i++) {
        int fd = raw_connect(h.port);
        assert_false(house_is_silent(fd, ACCEPTOR_LOST_MS / 2));
        assert_int_equal(house_lane_of(fd), -1);
        close(fd);
    }
    house_lacks_memory(HOUSE_HAS_MEMORY);
    assert_room_for(3);
    house_close();
}

/* … or drops them without a word: they take one only for a while. */
static void test_lost_are_forgotten(void **state)
{
    (void)state;
    house_open(2, 3);
    house_lacks_memory(HOUSE_DROPS);
    for (int i = 0; i < 3; i++) {
        int fd = raw_connect(h.port);
        assert_int_equal(house_lane_of(fd), -1);
        close(fd);
    }
    house_lacks_memory(HOUSE_HAS_MEMORY);
    assert_room_for(3);
    house_close();
}

/* What was taken for lost and was only late is counted again: A is in its handler, B waits behind
 * it, C takes B's place. */
static void test_late_are_not_lost(void **state)
{
    int fd[4];
    (void)state;
    house_open(1, 2);
    house_shut(true);
    for (int i = 0; i < 4; i++) {
        fd[i] = raw_connect(h.port);
        house_ask(fd[i]);
        rest(50);
    }
    rest(ACCEPTOR_LOST_MS + ACCEPTOR_LOST_MS / 4);
    house_shut(false);
    for (int i = 0; i < 3; i++)
        assert_int_equal(house_lane_of(fd[i]), 0);
    close(fd[0]); /* of three */
    assert_true(house_is_silent(fd[3], 200));
    close(fd[1]);
    assert_int_equal(house_lane_of(fd[3]), 0);
    assert_int_equal(house_most(), 3);
    close_all(fd + 2, 2);
    house_close();
}

/* ---- errors -------------------------------------------------------------------------------- */

/* The client has gone meanwhile: the next, at once. */
static void test_errors_of_one_client(void **state)
{
    static const int reason[] = {ECONNABORTED, EPROTO, EINTR};
    (void)state;
    house_open(2, 10);
    for (size_t i = 0; i < sizeof reason / sizeof reason[0]; i++) {
        fail_accept(reason[i], 10);
        int fd = raw_connect(h.port);
        assert_in_range(house_ask_and_read(fd), 0, 1);
        close(fd);
        assert_int_equal(house_complaints(), 0);
    }
    house_close();
}

/* What may stay so is tried again now and then, not in haste, is told once, and passes. */
static void test_errors_that_last(void **state)
{
    static const int reason[] = {EMFILE, ENFILE, ENOBUFS, ENOMEM, EPERM, EBADF};
    (void)state;
    house_open(2, 10);
    for (int i = 0; i < (int)(sizeof reason / sizeof reason[0]); i++) {
        fail_accept(reason[i], 1 << 30);
        int fd = raw_connect(h.port);
        house_ask(fd);
        assert_true(house_is_silent(fd, 300));
        assert_in_range(atomic_load(&accept_calls), 2, 40);
        assert_int_equal(house_complaints(), i + 1);
        fail_accept(0, 0);
        assert_in_range(house_lane_of(fd), 0, 1);
        for (int k = 0; k < 2000 && atomic_load(&accept_calls) < 2; k++)
            rest(5); /* until it has seen that nobody waits */
        close(fd);
    }
    house_close();
}

/* Such as come and are gone before they are let in. */
static void test_clients_that_are_gone(void **state)
{
    const struct linger now = {.l_onoff = 1};
    (void)state;
    house_open(2, 4);
    for (int i = 0; i < 200; i++) {
        int fd = raw_connect(h.port);
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
        close(fd);
    }
    for (int i = 0; i < 4; i++) {
        int fd = raw_connect(h.port);
        assert_in_range(house_ask_and_read(fd), 0, 1);
        close(fd);
    }
    house_close();
}

static void test_ipv6(void **state)
{
    struct sockaddr_in6 to = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    int fd = socket(AF_INET6, SOCK_STREAM, 0);
    struct err e;
    (void)state;
    if (fd < 0 || bind(fd, (struct sockaddr *)&to, sizeof to)) {
        print_message("no IPv6 here\n");
        skip();
    }
    house_build("::1", 2, 10);
    assert_int_equal(acceptor_start(&h.acceptor, h.fd, &e), ERR_OK);
    to.sin6_port = htons((uint16_t)h.port);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    assert_in_range(house_ask_and_read(fd), 0, 1);
    close(fd);
    house_close();
}

/* ---- starting and stopping ----------------------------------------------------------------- */

/* But for pipes: through two of them a sanitizer asks its helper for names, once it needs some. */
static int open_files(void)
{
    DIR *dir = opendir("/proc/self/fd");
    int files = 0;
    assert_non_null(dir);
    for (struct dirent *entry; (entry = readdir(dir));) {
        char what[16] = "";
        ssize_t n = readlinkat(dirfd(dir), entry->d_name, what, sizeof what);
        files += n > 0 && strncmp(what, "pipe:", 5) != 0;
    }
    closedir(dir);
    return files;
}

/* While clients come: all descriptors are closed, once, and nobody is told of what is over. */
static void test_stop_while_they_come(void **state)
{
    int before = open_files();
    (void)state;
    for (int round = 0; round < 20; round++) {
        struct guest guest[4] = {0};
        atomic_store(&leaves, false);
        house_open(2, round % 2 ? 2 : 100);
        for (int i = 0; i < 4; i++) {
            guest[i].visits = 1 << 20;
            assert_int_equal(pthread_create(&guest[i].thread, NULL, visit, &guest[i]), 0);
        }
        rest(5 + round);
        acceptor_stop(&h.acceptor);
        assert_int_equal(raw_try_connect(h.port), -1); /* nobody listens any more */
        atomic_store(&leaves, true);
        for (int i = 0; i < h.lanes; i++)
            MHD_stop_daemon(h.lane[i].share.daemon);
        acceptor_close(&h.acceptor);
        for (int i = 0; i < 4; i++)
            pthread_join(guest[i].thread, NULL);
        fclose(h.lines);
    }
    assert_int_equal(open_files(), before);
}

static void test_start_fails(void **state)
{
    struct rlimit limit, none;
    struct err e;
    int before = open_files();
    (void)state;
    house_build("127.0.0.1", 2, 10);
    getrlimit(RLIMIT_NOFILE, &limit);
    none = limit;
    none.rlim_cur = 0;
    setrlimit(RLIMIT_NOFILE, &none);
    enum err_kind rc = acceptor_start(&h.acceptor, h.fd, &e);
    setrlimit(RLIMIT_NOFILE, &limit);
    assert_int_equal(rc, ERR_NOMEM);
    house_close(); /* of one that does not run */
    assert_int_equal(open_files(), before);
}

#define TEST(name) cmocka_unit_test_setup(name, accept_works)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_dealt_out_evenly),      TEST(test_evens_out_again),
        TEST(test_one_more_waits),        TEST(test_come_and_go),
        TEST(test_given_counts),          TEST(test_refused_take_no_place),
        TEST(test_lost_are_forgotten),    TEST(test_late_are_not_lost),
        TEST(test_errors_of_one_client),  TEST(test_errors_that_last),
        TEST(test_clients_that_are_gone), TEST(test_ipv6),
        TEST(test_stop_while_they_come),  TEST(test_start_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
