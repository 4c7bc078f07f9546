/* server/http.h - the transport: libmicrohttpd's daemon and what its callbacks share.
 *
 * Threads: http_start, http_tick and http_stop are one thread's; the rest is any thread's.
 */
#ifndef SERVER_HTTP_H
#define SERVER_HTTP_H

#include <stddef.h>
#include <stdint.h>

#include "server/config.h"
#include "server/log.h"
#include "server/pool.h"

struct http;

/* Listens and serves until http_stop. All are borrowed until then.
 *   errors  IO the address cannot be had · UNAVAILABLE libmicrohttpd did not start · NOMEM */
MUST_USE enum err_kind http_start(const struct config *config, const struct log *log,
                                  struct api *api, struct pool *pool, struct http **out,
                                  struct err *e);
/* Where it listens: "127.0.0.1:43211". */
const char *http_address(const struct http *h);
/* About once a second: closes the connections of clients that are too slow, and has the streams
 * give a sign of life. */
void http_tick(struct http *h);

/* From now on what is not answered at once is refused with 503, and connections end with their
 * next answer. */
void http_drain(struct http *h);
/* Requests that were taken on, to be run by the pool, and have not left yet. */
size_t http_owed(struct http *h);
/* Requests that are being read, run or answered. */
size_t http_live(struct http *h);
/* Requests since the start. */
uint64_t http_begun(struct http *h);
/* Ends the streams and closes all connections. The pool must be stopped: a sleeping connection
 * would end the process (libmicrohttpd aborts). NULL is fine. */
void http_stop(struct http *h);

#endif
