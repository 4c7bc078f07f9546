/* server/log_batch.h - lines of the log that come in quick succession, written together.
 *
 * A write takes longer than anything else that is done for a line, and wakes whoever reads a pipe.
 * A line after a calm is written at once; those that come close upon another wait for LOG_BATCH_NS,
 * or until a write is full. Lines stay in order.
 * Threads: any, but new and free; it has one of its own, which sleeps while nothing waits.
 */
#ifndef SERVER_LOG_BATCH_H
#define SERVER_LOG_BATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/attr.h"

/* A pipe takes up to 4096 bytes (PIPE_BUF) of one write without mixing them with another's. */
#define LOG_LINE_BYTES 4096
#define LOG_BATCH_NS   INT64_C(5000000)

struct log_batch;

/* fd is borrowed. NULL: no memory, or no thread. */
MUST_USE struct log_batch *log_batch_new(int fd);
/* A line with its end, of LOG_LINE_BYTES at most. now: it, and what waits before it, must not wait.
 */
void log_batch_put(struct log_batch *b, const char *line, size_t bytes, bool now);
/* Writes what waits. NULL is fine. */
void log_batch_free(struct log_batch *b);

#endif
