/* server/watch.h - closes the connections of clients that are too slow, or gone.
 *
 * libmicrohttpd knows only a time without any activity, so a byte now and then keeps a connection
 * for ever. Here each connection has the time by which its client must be through with what it is
 * at; an overdue socket is shut down, and libmicrohttpd then cleans up as for any that broke.
 * Nor does it see (0.9.75, with epoll) the end of a client that comes together with the last bytes
 * of a request that is not whole: such a one would hold its place until its time is over.
 * Threads: any; a watched connection is opened, set and closed by one thread at a time.
 */
#ifndef SERVER_WATCH_H
#define SERVER_WATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/attr.h"
#include "server/spin.h"

#define WATCH_NEVER INT64_MAX

struct watch;
struct watched;

MUST_USE struct watch *watch_new(void); /* NULL: no memory, or no descriptor */
void watch_free(struct watch *w);       /* all connections are closed by then; NULL is fine */

/* fd is borrowed until watch_close. NULL: no memory. */
MUST_USE struct watched *watch_open(struct watch *w, int fd, int64_t deadline_ns);
/* NULL is fine. */
void watch_close(struct watch *w, struct watched *c);
/* A request of it has ended. true: its first. NULL is fine: false. */
bool watch_served(struct watched *c);
/* Has one? */
bool watch_has_served(const struct watched *c);
/* How quick its client is; NULL for NULL. */
struct spin *watch_spin(struct watched *c);
/* What the client is at: sending us something, or taking an answer (or waiting for it). */
enum watch_phase { WATCH_CLIENT_SENDS, WATCH_CLIENT_TAKES };
/* deadline_ns: on clock_ns. NULL is fine. */
void watch_set(struct watched *c, enum watch_phase phase, int64_t deadline_ns);
/* Has the client ended its side before the last sweep, with nothing left to be read? For one who
 * has nothing more to say. NULL is fine: false. */
bool watch_has_left(const struct watched *c);
/* Bytes that were sent and that the client's side has not taken yet. NULL is fine: 0. */
size_t watch_untaken(const struct watched *c);
/* To be called about once a second: shuts down what was due before now, and who was gone in the
 * middle of sending at the last sweep already. Returns how many were overdue. */
size_t watch_sweep(struct watch *w, int64_t now_ns);

#endif
