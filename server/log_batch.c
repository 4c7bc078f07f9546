#include "server/log_batch.h"

#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "engine/lock.h"
#include "engine/mem.h"
#include "server/clock.h"

/* A line after so long is not worth a thread's wake-up. */
#define CALM_NS 1000000

/* [I] immutable  [b] guarded by lock */
struct log_batch {
    int fd;           /* [I] */
    pthread_t thread; /* [I] */
    struct lock lock;
    pthread_cond_t filled;      /* [b] something waits, or ending */
    int64_t latest;             /* [b] when the last line came */
    size_t used;                /* [b] */
    bool ending;                /* [b] */
    char bytes[LOG_LINE_BYTES]; /* [b] */
};

static void write_out(struct log_batch *b, const char *bytes, size_t count) REQUIRES(b->lock)
{
    ssize_t written = write(b->fd, bytes, count);
    (void)written; /* there is nowhere to complain about a log that cannot be written */
}

static void write_waiting(struct log_batch *b) REQUIRES(b->lock)
{
    if (b->used)
        write_out(b, b->bytes, b->used);
    b->used = 0;
}

static void *run(void *arg)
{
    struct log_batch *b = arg;
    lock_take(&b->lock);
    while (!b->ending || b->used) {
        while (!b->ending && !b->used)
            lock_wait(&b->lock, &b->filled);
        if (!b->ending) {
            lock_give(&b->lock);
            nanosleep(&(struct timespec){.tv_nsec = LOG_BATCH_NS}, NULL);
            lock_take(&b->lock);
        }
        write_waiting(b);
    }
    lock_give(&b->lock);
    return NULL;
}

struct log_batch *log_batch_new(int fd)
{
    struct log_batch *b = mem_array(1, sizeof *b);
    if (!b)
        return NULL;
    b->fd = fd;
    lock_init(&b->lock);
    pthread_cond_init(&b->filled, NULL);
    if (pthread_create(&b->thread, NULL, run, b)) {
        pthread_cond_destroy(&b->filled);
        lock_close(&b->lock);
        mem_free(b);
        return NULL;
    }
    return b;
}

void log_batch_put(struct log_batch *b, const char *line, size_t bytes, bool now)
{
    int64_t at = clock_ns();
    lock_take(&b->lock);
    bool calm = at - b->latest >= CALM_NS;
    b->latest = at;
    if (now || bytes > sizeof b->bytes - b->used)
        write_waiting(b);
    if (now || (calm && !b->used)) {
        write_out(b, line, bytes);
    } else {
        memcpy(b->bytes + b->used, line, bytes);
        if (!b->used)
            pthread_cond_signal(&b->filled);
        b->used += bytes;
    }
    lock_give(&b->lock);
}

void log_batch_free(struct log_batch *b)
{
    if (!b)
        return;
    lock_take(&b->lock);
    b->ending = true;
    pthread_cond_signal(&b->filled);
    lock_give(&b->lock);
    pthread_join(b->thread, NULL);
    pthread_cond_destroy(&b->filled);
    lock_close(&b->lock);
    mem_free(b);
}
