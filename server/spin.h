/* server/spin.h - awaits the next request of a quick client with open eyes, where that pays.
 *
 * A thread that sleeps is woken 10 to 70 µs late on a virtual machine, which is more than a small
 * request takes. So behind an answer the connection's thread may look for the next request for a
 * moment before it sleeps. Whether that pays (it does not if the client is slow, or if the cores
 * are busy) is measured all the time: of a quick client's pauses, the short times from an answer to
 * its next request, some are spent looking and some asleep, and what made them shorter is what is
 * done. A client that pauses longer is never looked for.
 *
 * Threads: a spin belongs to the thread of its connection.
 */
#ifndef SERVER_SPIN_H
#define SERVER_SPIN_H

#include <stdbool.h>
#include <stdint.h>

#define SPIN_NS INT64_C(50000) /* the longest look */

/* Of one connection; zeroed at its start. All times are clock_ns's. */
struct spin {
    int64_t ended;    /* its last request; 0: there was none */
    int64_t pause[2]; /* the averages of those asleep, and looking; 0: there was none */
    unsigned ends;    /* of quick requests */
    bool quick;       /* the pause before its last request was short */
    bool looks;       /* in this pause */
};

/* A request begins. */
void spin_begin(struct spin *s, int64_t now);
/* Its request has ended. Is a look to be taken? */
bool spin_end(struct spin *s, int64_t now);
/* Takes it: until epoll_fd has an event, or SPIN_NS. Gives way to others that want the core. */
void spin_look(int epoll_fd);

#endif
