/* server/healthcheck.h - `gradd healthcheck`: does a daemon answer? For a container's health test,
 * whose image has no curl. */
#ifndef SERVER_HEALTHCHECK_H
#define SERVER_HEALTHCHECK_H

#include "server/address.h"

/* GET /healthz at the address; gives up after a few seconds.
 *   errors  IO no answer · UNAVAILABLE one other than 200 */
MUST_USE enum err_kind healthcheck(const struct address *a, struct err *e);

#endif
