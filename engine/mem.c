#define _DEFAULT_SOURCE /* madvise */
#include "engine/mem.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#if defined(__SANITIZE_ADDRESS__)
#define ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ASAN 1
#endif
#endif
#ifdef ASAN
#include <sanitizer/asan_interface.h>
#define POISON(p, n)   ASAN_POISON_MEMORY_REGION(p, n)
#define UNPOISON(p, n) ASAN_UNPOISON_MEMORY_REGION(p, n)
#else
#define POISON(p, n)   ((void)(p), (void)(n))
#define UNPOISON(p, n) ((void)(p), (void)(n))
#endif

bool (*mem_fault)(size_t bytes);
static atomic_uint_fast64_t allocations;

uint64_t mem_allocations(void)
{
    return atomic_load(&allocations);
}

bool mem_mul(size_t a, size_t b, size_t *out)
{
    return !__builtin_mul_overflow(a, b, out);
}

/* glibc's malloc keeps so much before each block, and ends a block where the next one's begins. */
#define HEADER_BYTES sizeof(size_t)

/* Such that a block with its header is whole lines: then aligned blocks lie side by side, where
 * there would be gaps between them that nobody can use. */
static size_t padded(size_t bytes)
{
#ifdef ASAN /* which sees what is read or written behind the end, if that is where it should be */
    return bytes;
#else
    return (bytes + HEADER_BYTES + MEM_ALIGN - 1) / MEM_ALIGN * MEM_ALIGN - HEADER_BYTES;
#endif
}

/* A smaller block comes from the thread's own cache in glibc, which knows nothing of alignment and
 * takes a tenth of the time. */
#ifdef ASAN
#define SMALL_END 0
#else
#define SMALL_END MEM_SMALL
#endif

#define HUGE_PAGE ((uintptr_t)2 << 20)

/* A large block is a mapping of its own, new each time (engine/heap.c). To fetch it in large pages
 * spares the most of what that costs; a system that has none leaves it as it is. */
static void use_huge_pages(void *block, size_t bytes)
{
    uintptr_t first = ((uintptr_t)block + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE;
    uintptr_t end = ((uintptr_t)block + bytes) / HUGE_PAGE * HUGE_PAGE;
    if (first < end)
        (void)madvise((void *)first, end - first, MADV_HUGEPAGE);
}

/* ---- blocks at hand -------------------------------------------------------------------------- */

/* A request takes a handful of blocks of up to 10 KiB and gives them back. glibc's own cache of a
 * thread ends at 1 KiB, and at seven blocks of a size, while dozens of requests wait for one
 * commit. Beyond it a block is cut from a larger one and joined with its neighbours again each
 * time, under a lock that threads contend for: a twelfth of what a small request takes. So each
 * thread keeps some that it has freed, by size, in steps of STEP; small ones in glibc's own steps.
 */
#define STEP       ((size_t)256)
#define STEPS      64 /* of the largest that is kept, and one */
#define SMALL_STEP ((size_t)16)
#ifdef ASAN /* which is to see what is used after it was freed */
#define AT_HAND_BYTES ((size_t)0)
#else
#define AT_HAND_BYTES MEM_AT_HAND
#endif

struct free_block {
    struct free_block *next;
};
static _Thread_local struct {
    struct free_block *first[STEPS], *small[STEPS];
    size_t bytes;
} at_hand;
_Static_assert(MEM_SMALL + HEADER_BYTES < SMALL_STEP * STEPS, "a small block has its list");

void mem_let_go(void)
{
    at_hand.bytes = 0;
    for (size_t i = 0; i < 2 * STEPS; i++) {
        struct free_block **list = i < STEPS ? &at_hand.first[i] : &at_hand.small[i - STEPS];
        while (*list) {
            struct free_block *b = *list;
            *list = b->next;
            free(b);
        }
    }
}

/* Of a block with its header. */
static size_t steps(size_t bytes, size_t step)
{
    return (bytes + HEADER_BYTES + step - 1) / step;
}

/* A block of at least so many bytes, or NULL. */
static void *take_at_hand(size_t bytes)
{
    bool small = bytes < SMALL_END;
    size_t step = small ? SMALL_STEP : STEP, i = steps(bytes, step);
    struct free_block **list = small ? at_hand.small : at_hand.first;
    struct free_block *b = i < STEPS ? list[i] : NULL;
    if (b) {
        list[i] = b->next;
        at_hand.bytes -= i * step;
    }
    return b;
}

static bool keep_at_hand(void *block)
{
    size_t bytes = malloc_usable_size(block);
    bool small = bytes <= MEM_SMALL || (uintptr_t)block % MEM_ALIGN != 0;
    size_t step = small ? SMALL_STEP : STEP, i = (bytes + HEADER_BYTES) / step;
    if (AT_HAND_BYTES == 0 || i >= STEPS || at_hand.bytes + i * step > AT_HAND_BYTES)
        return false;
    struct free_block **list = small ? at_hand.small : at_hand.first, *b = block;
    b->next = list[i];
    list[i] = b;
    at_hand.bytes += i * step;
    return true;
}

/* Not zeroed. */
static void *allocate(size_t bytes)
{
    void *block;
    if (bytes > SIZE_MAX - 2 * MEM_ALIGN || (mem_fault && mem_fault(bytes)))
        return NULL;
    atomic_fetch_add_explicit(&allocations, 1, memory_order_relaxed);
    if ((block = take_at_hand(bytes)) != NULL)
        return block;
    if (bytes < SMALL_END)
        return malloc(bytes ? bytes : 1);
    size_t whole = steps(bytes, STEP);
    bool kept = AT_HAND_BYTES > 0 && whole < STEPS; /* one day */
    if (posix_memalign(&block, MEM_ALIGN, kept ? whole * STEP - HEADER_BYTES : padded(bytes)))
        return NULL;
    if (bytes >= HUGE_PAGE)
        use_huge_pages(block, bytes);
    return block;
}

void *mem_array(size_t count, size_t size)
{
    size_t bytes;
    if (!mem_mul(count, size, &bytes))
        return NULL;
    void *block = allocate(bytes);
    if (block)
        memset(block, 0, bytes);
    return block;
}

void *mem_resize(void *block, size_t old, size_t count, size_t size)
{
    size_t bytes;
    if (!mem_mul(count, size, &bytes))
        return NULL;
    void *fresh = allocate(bytes);
    if (fresh && block) {
        memcpy(fresh, block, (old < count ? old : count) * size);
        mem_free(block);
    }
    return fresh;
}

char *mem_string(const char *text)
{
    size_t bytes = strlen(text) + 1;
    char *copy = allocate(bytes);
    if (copy)
        memcpy(copy, text, bytes);
    return copy;
}

size_t mem_fit(char *to, size_t room, const char *text)
{
    size_t n = strnlen(text, room - 1);
    memcpy(to, text, n);
    to[n] = '\0';
    return n;
}

void mem_free(void *block)
{
    if (block && !keep_at_hand(block))
        free(block);
}

size_t mem_size(const void *block)
{
    return block ? malloc_usable_size((void *)block) + HEADER_BYTES : 0;
}

struct arena_chunk {
    struct arena_chunk *older;
    size_t bytes; /* of memory */
    _Alignas(MEM_ALIGN) unsigned char memory[];
};

#ifdef ARENA_CHUNK_BYTES /* the hostile build makes it tiny, so that growth runs in every test */
#define CHUNK_BYTES ((size_t)ARENA_CHUNK_BYTES)
#else
#define CHUNK_BYTES ((size_t)64 << 10)
#endif

bool mem_budget_take(struct mem_budget *budget, size_t bytes)
{
    if (!budget)
        return true;
    size_t left = atomic_load(&budget->left);
    do {
        if (left < bytes)
            return false;
    } while (!atomic_compare_exchange_weak(&budget->left, &left, left - bytes));
    return true;
}

void mem_budget_give(struct mem_budget *budget, size_t bytes)
{
    if (budget)
        atomic_fetch_add(&budget->left, bytes);
}

static bool add_chunk(struct arena *a, size_t bytes)
{
    if (bytes > SIZE_MAX - sizeof(struct arena_chunk) || !mem_budget_take(a->budget, bytes)) {
        a->refused = bytes;
        return false;
    }
    struct arena_chunk *c = allocate(sizeof *c + bytes);
    if (!c) {
        mem_budget_give(a->budget, bytes);
        return false;
    }
    c->older = a->chunks;
    c->bytes = bytes;
    POISON(c->memory, c->bytes);
    a->chunks = c;
    a->used = 0;
    a->total += bytes;
    return true;
}

/* Doubles, so that a round soon fits into one chunk; of a budget it takes no more than an eighth of
 * what is left ahead of need, so that little of it lies idle when it ends. */
static bool grow(struct arena *a, size_t bytes)
{
    size_t least = a->least && a->least < CHUNK_BYTES ? a->least : CHUNK_BYTES;
    size_t want = a->total > least ? a->total : least;
    if (a->budget && want > atomic_load(&a->budget->left) / 8)
        want = atomic_load(&a->budget->left) / 8;
    return add_chunk(a, want > bytes ? want : bytes);
}

void *arena_alloc(struct arena *a, size_t bytes)
{
    if (bytes > SIZE_MAX - MEM_ALIGN) {
        a->refused = bytes;
        return NULL;
    }
    size_t need = (bytes + MEM_ALIGN - 1) / MEM_ALIGN * MEM_ALIGN;
    if ((!a->chunks || need > a->chunks->bytes - a->used) && !grow(a, need))
        return NULL;
    void *piece = a->chunks->memory + a->used;
    a->used += need;
    UNPOISON(piece, bytes);
    return piece;
}

static void release_chunks(struct arena *a)
{
    while (a->chunks) {
        struct arena_chunk *older = a->chunks->older;
        UNPOISON(a->chunks->memory, a->chunks->bytes);
        mem_budget_give(a->budget, a->chunks->bytes);
        mem_free(a->chunks);
        a->chunks = older;
    }
    a->used = a->total = 0;
}

void arena_reset(struct arena *a)
{
    if (a->chunks && a->chunks->older) {
        size_t total = a->total;
        release_chunks(a);
        (void)grow(a, total); /* without memory for one chunk the next round grows anew */
    }
    a->used = 0;
    if (a->chunks)
        POISON(a->chunks->memory, a->chunks->bytes);
}

void arena_close(struct arena *a)
{
    release_chunks(a);
}
