/* engine/mem.h - checked allocation and arenas.
 *
 * Everything the product allocates for itself comes from here, so that sizes are checked in one
 * place and tests can make the n-th allocation fail.
 * Threads: mem_* may be called by any thread; an arena by one thread at a time.
 */
#ifndef ENGINE_MEM_H
#define ENGINE_MEM_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/attr.h"

#define MEM_ALIGN 64   /* bytes: a cache line, and the widest vector */
#define MEM_SMALL 1000 /* a block of fewer bytes is only aligned for any type */

/* a * b into *out; false when it does not fit. */
MUST_USE bool mem_mul(size_t a, size_t b, size_t *out);

/* count * size zeroed bytes, aligned to MEM_ALIGN; NULL on overflow or when there is no memory.
 * Small ones (MEM_SMALL) are less aligned. count or size 0 gives a valid block. Released with
 * mem_free. */
MUST_USE void *mem_array(size_t count, size_t size);

/* Grows or shrinks a block of mem_array/mem_resize from old to count elements; the new ones are
 * not zeroed. NULL leaves the old block as it was. */
MUST_USE void *mem_resize(void *block, size_t old, size_t count, size_t size);

MUST_USE char *mem_string(const char *text);
/* Copies as much of a text as there is room for (1 byte at least), NUL-terminated. Returns the
 * bytes before the NUL. */
size_t mem_fit(char *to, size_t room, const char *text);
void mem_free(void *block);
/* What a thread keeps at most of what it has freed, for its next blocks; and gives that back: for
 * one that ends before the process does. */
#define MEM_AT_HAND ((size_t)256 << 10)
void mem_let_go(void);
/* What a block takes of the process's memory, the allocator's own bytes and the rounding included;
 * 0 for NULL. */
size_t mem_size(const void *block);
/* How much more that is than was asked for, on average, of a small block that is not at hand. */
#define MEM_BLOCK_BYTES (2 * sizeof(size_t))

/* Tests: called before each allocation; returning true makes it fail. NULL (default): never. */
extern bool (*mem_fault)(size_t bytes);
/* Allocations made so far in this process. */
uint64_t mem_allocations(void);

/* ---- the process's heap (engine/heap.c) ------------------------------------------------------ */

/* Once, before there are threads: sets the allocator to give back what is freed, and to have so
 * many heaps, which the threads share. */
void mem_tune(size_t heaps);
/* Gives back to the system what is held and used by nobody. Walks all free pieces, and keeps
 * others from allocating meanwhile: for once in a while. */
void mem_trim(void);

/* Of all of the process, its libraries included; zeros where the allocator does not tell. */
struct mem_heap {
    size_t pieces; /* bytes handed out in pieces of the heap */
    size_t mapped; /* bytes handed out as mappings of their own */
};
void mem_heap_read(struct mem_heap *out);

/* ---- arenas ---------------------------------------------------------------------------------- */

/* A block of memory handed out piece by piece and taken back all at once. After arena_reset a
 * round that needs no more than an earlier one allocates nothing. */
struct arena_chunk;
/* Bytes that several arenas, and others, may take together; any thread. */
struct mem_budget {
    atomic_size_t left;
};
/* Takes bytes from the budget (NULL: none is kept); false: it has not so many left. */
MUST_USE bool mem_budget_take(struct mem_budget *b, size_t bytes);
void mem_budget_give(struct mem_budget *b, size_t bytes);

struct arena {
    struct arena_chunk *chunks; /* newest first; the newest is the one in use */
    size_t used;                /* bytes of the newest chunk */
    size_t total;               /* bytes of all chunks */
    size_t least;               /* bytes of the first chunk, for who needs few; 0: 64 KiB */
    struct mem_budget *budget;  /* what all chunks are taken from; NULL: no bound but memory */
    size_t refused;             /* bytes that the budget, or any memory, could not hold; 0: none */
};

/* bytes, not zeroed, aligned to MEM_ALIGN, valid until arena_reset; NULL if there is no memory.
 * A zeroed struct arena is an empty arena. */
MUST_USE void *arena_alloc(struct arena *a, size_t bytes);
/* Takes everything back; keeps the memory, as one chunk, for the next round. */
void arena_reset(struct arena *a);
void arena_close(struct arena *a);

#endif
