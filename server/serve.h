/* server/serve.h - the daemon's life: start, serve until a signal, drain, stop. */
#ifndef SERVER_SERVE_H
#define SERVER_SERVE_H

#include "api/api.h"
#include "server/config.h"

#define SERVE_OK     0 /* a clean stop, everything is kept */
#define SERVE_FAILED 1 /* it could not start, or not keep everything, or the storage failed */

/* Blocks until SIGTERM, SIGINT or SIGHUP, or until the storage fails; a (second) signal shortens
 * the drain. Logs to stderr; the line "listening on http://HOST:PORT" is written when connections
 * are taken. Returns the process's exit status. */
int serve(const struct config *config);

/* What of the configuration is the api's. Points into c. */
struct api_config serve_api_config(const struct config *c);

#endif
