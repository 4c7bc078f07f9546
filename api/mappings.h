/* api/mappings.h - what is mapped into the process and how much of it is in memory, as the kernel
 * counts it (/proc/self/smaps).
 *
 * Threads: any. Takes about a millisecond, and some more for each GB in memory.
 */
#ifndef API_MAPPINGS_H
#define API_MAPPINGS_H

#include <stdbool.h>
#include <stddef.h>

/* Bytes in memory. What is none of these is anonymous: large blocks of the allocator, what
 * libraries map for themselves. */
struct mappings {
    size_t rss;    /* of all */
    size_t files;  /* of files, which are the program and its libraries, with their variables */
    size_t heap;   /* of the allocator's heaps, without large blocks */
    size_t stacks; /* of all threads */
};
/* false: the kernel does not tell; *out is zeros. */
bool mappings_read(struct mappings *out);

#endif
