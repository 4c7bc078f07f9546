/* The allocator of the C library: how it is set, and what it tells of itself. What is said here
 * holds for glibc; another one keeps its own ways, and mem_heap_read finds nothing. */
#include <malloc.h>

#include "engine/mem.h"

#ifdef __GLIBC__

/* Blocks from this size on are mappings of their own, which go back to the system when they are
 * freed and leave no holes behind: parameters, batches, large bodies. Set, since glibc's own bound
 * grows with what is freed. */
#define MAPPED_BYTES (1 << 20)
/* Free memory at the heap's end up to this size stays, so that requests do not fetch and give back
 * pages in turn. */
#define SPARE_BYTES (8 << 20)

/* Few heaps, too: what one thread frees is there for the others of its heap, and what is free can
 * be told (api/memory.c). But not one for all: threads that serve HTTP would wait for each other at
 * every answer, for which libmicrohttpd allocates a dozen pieces. Small blocks come from each
 * thread's own cache all the same. */
void mem_tune(size_t heaps)
{
    mallopt(M_MMAP_THRESHOLD, MAPPED_BYTES);
    mallopt(M_TRIM_THRESHOLD, SPARE_BYTES);
    mallopt(M_ARENA_MAX, (int)heaps);
}

void mem_trim(void)
{
    malloc_trim(SPARE_BYTES);
}

void mem_heap_read(struct mem_heap *out)
{
    struct mallinfo2 info = mallinfo2();
    *out = (struct mem_heap){.pieces = info.uordblks, .mapped = info.hblkhd};
}

#else

void mem_tune(size_t heaps)
{
    (void)heaps;
}

void mem_trim(void)
{
}

void mem_heap_read(struct mem_heap *out)
{
    *out = (struct mem_heap){0};
}

#endif
