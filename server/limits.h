/* server/limits.h - what the machine, or the container we are in, lets the process have.
 *
 * Threads: any; only files of /proc and /sys are read.
 */
#ifndef SERVER_LIMITS_H
#define SERVER_LIMITS_H

#include <stdint.h>

/* Bytes of memory that the machine has. */
int64_t limits_machine(void);
/* The same, or less where our cgroup or one above it says so (version 2's memory.max, version 1's
 * memory.limit_in_bytes).
 *   root  before the paths of the files: "", or a test's folder */
int64_t limits_memory(const char *root, int64_t machine);

#endif
