/* server/config.h - the daemon's options: from the command line, the environment, the defaults.
 *
 * One table (config.c) holds what is known of an option; reading, bounds, --help and the README's
 * table come from it. A flag --some-thing is also the variable GRADD_SOME_THING; the command line
 * wins over the environment.
 * Threads: read once by main, immutable from then on.
 */
#ifndef SERVER_CONFIG_H
#define SERVER_CONFIG_H

#include <stdint.h>
#include <stdio.h>

#include "engine/err.h"
#include "server/address.h"

enum command {
    COMMAND_SERVE,
    COMMAND_HEALTHCHECK,
    COMMAND_BACKUP,
    COMMAND_VERIFY,
    COMMAND_HELP,
    COMMAND_HELP_MARKDOWN,
    COMMAND_VERSION,
};

struct config {
    enum command command;
    const char *operand;    /* the command's, if it has one */
    struct address address; /* listen, read */
    const char *listen;     /* texts are borrowed from argv, the environment or the table */
    const char *data;
    const char *backup_dir; /* "": the data's folder */
    const char *log;        /* "text" or "json" */
    const char *isa;
    const char *network_files; /* "refuse" or "allow" */
    const char *allow_host;    /* names with commas between them, "*" for any, "" for none */
    int64_t workers, http_threads;
    int64_t memory, max_body, max_model_bytes, max_batch_bytes, queue_bytes; /* bytes */
    int64_t max_batches, queue, max_connections, max_streams;
    int64_t checkpoint_steps, checkpoint_seconds;
    int64_t autograd_memory; /* bytes */
    int64_t autograd_seconds;
    int64_t header_seconds, body_seconds, drain_seconds;
};

/* env looks a variable up (getenv).
 *   errors  INVALID an unknown option, a missing or wrong value or operand: a line for the user */
MUST_USE enum err_kind config_read(struct config *c, int argc, char **argv,
                                   char *(*env)(const char *name), struct err *e);
void config_print_help(FILE *out);
/* The README's table. */
void config_print_markdown(FILE *out);

#endif
