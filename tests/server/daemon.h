/* tests/server/daemon.h - a daemon in a child process, in a directory of its own, on a port that
 * the system picks.
 *
 *     struct daemon d = {0};
 *     daemon_start(&d, DAEMON_REAL, (const char *[]){"--workers", "2", NULL});
 *     … requests to d.url …
 *     assert_int_equal(daemon_stop(&d), 0);
 *     daemon_remove(&d);
 * Whatever goes wrong fails the running cmocka test.
 */
#ifndef TESTS_DAEMON_H
#define TESTS_DAEMON_H

#include <sys/types.h>

#define DAEMON_REAL "gradd"                   /* beside the build's tests/ folder */
#define DAEMON_FAKE "tests/server/fake/gradd" /* with tests/server/fake/fake_api.c in it */

struct daemon {
    pid_t pid; /* 0: it does not run */
    int port;
    char url[64];  /* "http://127.0.0.1:43211" */
    char dir[128]; /* holds gradd.db and the log; stays from one start to the next */
};

/* Starts it on the data of d->dir (made if it is "") and waits until it listens.
 * args: further options, NULL ends them; NULL for none. */
void daemon_start(struct daemon *d, const char *binary, const char *const *args);
/* The two halves of daemon_start, for who wants to end one that has not come to listen yet. */
void daemon_launch(struct daemon *d, const char *binary, const char *const *args);
void daemon_await(struct daemon *d);
void daemon_signal(struct daemon *d, int signal);
/* Waits for the end. Returns the exit status, or 128 + the signal that killed it. */
int daemon_wait(struct daemon *d);
/* SIGTERM, then daemon_wait. */
int daemon_stop(struct daemon *d);
/* What it has logged; free() it. */
char *daemon_log(const struct daemon *d);
/* Kills what still runs and removes the directory. */
void daemon_remove(struct daemon *d);

/* Runs the program to its end with exactly these arguments; its output goes to the log of d->dir
 * (made if it is ""). Returns as daemon_wait. */
int daemon_run(struct daemon *d, const char *binary, const char *const *args);

#endif
