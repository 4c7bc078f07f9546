/* server/feed.h - how an answer without an end is sent: a stream of the api's over a connection.
 *
 * libmicrohttpd asks for more when the client has taken what there was. If there is nothing, the
 * connection is put to sleep (it would ask on and on), and woken when there is: by the herald, a
 * thread that waits for news, by the daemon's tick, or by the end.
 * Threads: a feed is its connection's; who wakes it does nothing else.
 */
#ifndef SERVER_FEED_H
#define SERVER_FEED_H

#include <microhttpd.h>
#include <pthread.h>
#include <stdbool.h>

#include "api/api.h"
#include "server/watch.h"

struct feed {
    struct stream *stream; /* borrowed, as what follows */
    struct MHD_Connection *connection;
    struct watched *watched;
    int64_t take_ns; /* so long may a client take for what was sent */
    size_t bytes;    /* sent so far; not while it sleeps */
    bool gone;       /* its client was found to have left */
    size_t taken;    /* the tick's: of those, about so many … */
    int64_t late_at; /* … and more are to be taken before this, on clock_ns */
};
/* The response that sends it; f stays where it is until the request ends. NULL: no memory. */
struct MHD_Response *feed_response(struct feed *f);

struct herald {
    struct api *api;
    pthread_t thread;
    bool runs;
};
/* errors UNAVAILABLE there is no thread */
MUST_USE enum err_kind herald_start(struct herald *h, struct api *a, struct err *e);
/* Ends all streams: no connection of theirs sleeps from now on. One that was not started is fine.
 */
void herald_stop(struct herald *h);

#endif
