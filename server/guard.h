/* server/guard.h - decides from a request's first lines whether it may be read on.
 *
 * libmicrohttpd 0.9.75 is lenient where leniency lets requests be smuggled: it takes two lengths,
 * a length beside chunks, broken header names. Here a request is refused unless there is one way
 * to read it. The Host and Origin lists keep other sites' pages out of a daemon on loopback
 * (DNS rebinding), where no key protects it.
 *
 * A pure function: no sockets, nothing shared.
 */
#ifndef SERVER_GUARD_H
#define SERVER_GUARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/err.h"

#define GUARD_HEADERS_MAX 100
#define GUARD_TARGET_MAX  8192 /* bytes */
#define GUARD_METHOD_MAX  16   /* bytes */

struct guard {         /* whom the daemon serves, besides localhost, 127.0.0.1 and [::1] */
    const char *host;  /* of the listen address, IPv6 without brackets */
    const char *allow; /* names with commas between them, "*" for any */
};

struct guard_header { /* not terminated: a NUL inside is a reason to refuse */
    const char *name, *value;
    size_t name_bytes, value_bytes;
};

struct guard_request {
    const char *method, *target, *version;
    struct guard_header header[GUARD_HEADERS_MAX];
    size_t headers; /* over GUARD_HEADERS_MAX: there were more than are listed */
};

/* length  of the body: Content-Length, 0 for none, -1 for a chunked one. Also set on refusal,
 *         where it is not 0 unless it is certain that no body follows.
 * errors  MALFORMED   more or less than one way to read it
 *         FORBIDDEN   Host or Origin is none that is served
 *         TOO_LARGE   a Content-Length of more than 18 digits
 *         MEDIA_TYPE  Content-Encoding */
MUST_USE enum err_kind guard_check(const struct guard *g, const struct guard_request *r,
                                   int64_t *length, struct err *e);

#endif
