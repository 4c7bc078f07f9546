/* server/log.h - the log: one event, one line, on stderr.
 *
 * As text      2026-11-23T18:12:15.123Z info request method=GET path=/healthz status=200
 * or as JSON   {"time":"…","level":"info","message":"request","method":"GET","status":200}
 * Whatever a client sent is escaped, so that no value can begin a line or a field of its own.
 * Threads: any; a line leaves in one write, and lines do not mix. Events without haste (LOG_INFO,
 * with fields) may leave together, a moment later.
 */
#ifndef SERVER_LOG_H
#define SERVER_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/attr.h"
#include "server/log_batch.h"

enum log_level { LOG_INFO, LOG_WARN, LOG_ERROR };

struct log {   /* immutable after it is filled in */
    bool json; /* else text */
    int fd;
    struct log_batch *batch; /* of fd; borrowed; NULL: each line is written at once */
};

struct log_field {
    const char *key;  /* [a-z_]+ */
    const char *text; /* NULL: it is the number */
    int64_t number;
};

/* Values are cut at about 600 bytes. */
void log_event(const struct log *l, enum log_level level, const char *message,
               const struct log_field *field, size_t fields);
/* An event that is only a sentence. */
void log_text(const struct log *l, enum log_level level, const char *format, ...) PRINTF_LIKE(3, 4);

#endif
