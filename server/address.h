/* server/address.h - "HOST:PORT" to a listening or a connected socket.
 *
 * Threads: nothing is shared.
 */
#ifndef SERVER_ADDRESS_H
#define SERVER_ADDRESS_H

#include <stdbool.h>
#include <stddef.h>

#include "engine/err.h"

struct address {
    char host[256]; /* a name or a number, IPv6 without its brackets */
    char port[6];   /* decimal, "0" to "65535" */
};

/* Reads "127.0.0.1:8080", "localhost:0", "[::1]:8080". false: it is none. */
MUST_USE bool address_parse(const char *text, struct address *out);

/* A listening, non-blocking socket; the caller closes it.
 *   errors  IO with the address and the system's reason */
MUST_USE enum err_kind address_listen(const struct address *a, int *fd, struct err *e);
/* A connected socket whose reads and writes give up after `seconds`; the caller closes it.
 *   errors  IO */
MUST_USE enum err_kind address_connect(const struct address *a, int seconds, int *fd,
                                       struct err *e);
/* The socket's own address as it stands in a URL: "127.0.0.1:43211", "[::1]:43211". */
void address_of(int fd, char *out, size_t bytes);

#endif
