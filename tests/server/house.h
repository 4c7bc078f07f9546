/* tests/server/house.h - an acceptor over daemons of libmicrohttpd in this process, which answer
 * every request with "lane N", N being the daemon's number.
 *
 * There is one house at a time. Whatever goes wrong fails the running cmocka test.
 */
#ifndef TESTS_HOUSE_H
#define TESTS_HOUSE_H

#include <stdio.h>

#include "server/acceptor.h"

#define LANES_MAX 4

struct lane {
    struct share share;
    int number;
};

extern struct house {
    struct acceptor acceptor;
    struct lane lane[LANES_MAX];
    int lanes, fd, port;
    struct log log;
    FILE *lines; /* of the log */
} h;

/* What libmicrohttpd does with a connection that it is given and has no memory for. */
enum house_lack {
    HOUSE_HAS_MEMORY,
    HOUSE_REFUSES, /* tells so */
    HOUSE_DROPS,   /* tells nobody */
};

/* Everything but the start of the acceptor. */
void house_build(const char *host, int lanes, int most);
/* The same on 127.0.0.1, and starts it. */
void house_open(int lanes, int most);
void house_close(void);
void house_lacks_memory(enum house_lack lack);
/* Requests stay in their handler while it is shut. */
void house_shut(bool is_shut);
/* The most connections that there were at a time, as libmicrohttpd tells. */
int house_most(void);
/* Until so many connections have ended. */
void house_await_ends(size_t ends);
/* How often the log says that nobody can be let in. */
int house_complaints(void);

/* A client's part, on a connected socket. */
void house_ask(int fd);
/* Which lane has answered; -1: the connection was closed. */
int house_lane_of(int fd);
int house_ask_and_read(int fd);
bool house_is_silent(int fd, int ms);
/* Opens so many at once, has each asked, and adds to count[i] how many lane i has; of: whose each
 * is. */
void house_burst(int *fd, int connections, int *count, int *of);

#endif
