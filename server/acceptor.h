/* server/acceptor.h - takes connections and deals them out to several daemons of libmicrohttpd.
 *
 * Threads that listen themselves take whatever comes, whichever is first: of a client's sixteen
 * connections one thread often has fifteen, for as long as they stay open, and the other core
 * sleeps. Here a thread of its own takes them, and gives each to the daemon that has the fewest.
 *
 * Only where there are several: a connection comes later by the waking of two threads, and to a
 * client that makes one for each request, alone, that was 1.4 times as long on 2 cores. A thread
 * that is alone listens itself.
 *
 * Daemons of one thread each, not one of a pool: from a pool MHD_add_connection (0.9.75) picks a
 * thread by the descriptor's number, which is odd or even as the closes before have left it.
 *
 * Threads: start, stop and close are one thread's; began and ended are the daemon's own.
 */
#ifndef SERVER_ACCEPTOR_H
#define SERVER_ACCEPTOR_H

#include <microhttpd.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "engine/err.h"
#include "server/log.h"

/* What was handed over to a daemon and has not begun after this time, with no room left and nobody
 * leaving meanwhile, never will: its thread had no memory for it, which it tells nobody. */
#define ACCEPTOR_LOST_MS 2000

/* [I] filled in before acceptor_start  [t] the acceptor's thread's  [a] atomic */
struct share {
    struct share *next;         /* [I] */
    struct MHD_Daemon *daemon;  /* [I] of one thread, that does not listen */
    struct acceptor *acceptor;  /* [I] acceptor_start's; NULL: none, the daemon listens itself */
    size_t given;               /* [t] connections handed over to the daemon */
    atomic_size_t begun, ended; /* [a] of them */
};

struct acceptor {
    struct share *first;   /* [I] at least one; borrowed until acceptor_close */
    size_t most;           /* [I] connections at a time: one more waits until one has ended */
    const struct log *log; /* [I] borrowed */
    int fd;                /* [I] that listens */
    int call;              /* [I] an eventfd: there is room again, or it is over */
    atomic_bool full;      /* [a] who makes room is to call */
    atomic_bool over;      /* [a] */
    bool rests;            /* [t] nobody can be let in at the moment, for a reason that passes */
    bool told;             /* [t] … which is in the log */
    bool runs;
    pthread_t thread;
};

/* Owns fd, which listens and does not block, from here on, whatever it returns.  errors: NOMEM */
MUST_USE enum err_kind acceptor_start(struct acceptor *a, int fd, struct err *e);
/* From its return on nobody is let in, and fd is closed. Before the daemons are stopped. */
void acceptor_stop(struct acceptor *a);
/* After they are. Both are fine with one that was not started. */
void acceptor_close(struct acceptor *a);

/* The daemon's MHD_CONNECTION_NOTIFY_STARTED and _CLOSED. */
void share_began(struct share *s);
void share_ended(struct share *s);

#endif
