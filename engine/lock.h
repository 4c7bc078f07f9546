/* engine/lock.h - a mutex that clang's thread safety analysis understands.
 *
 * For the layers above: no engine .c file includes this header (make lint checks).
 */
#ifndef ENGINE_LOCK_H
#define ENGINE_LOCK_H

#include <pthread.h>
#include <time.h>

#include "engine/attr.h"

struct LOCKABLE lock {
    pthread_mutex_t mutex;
};

static inline void lock_init(struct lock *l)
{
    pthread_mutex_init(&l->mutex, NULL);
}

static inline void lock_close(struct lock *l)
{
    pthread_mutex_destroy(&l->mutex);
}

static inline void lock_take(struct lock *l) ACQUIRES(*l) UNCHECKED_LOCKS
{
    pthread_mutex_lock(&l->mutex);
}

static inline void lock_give(struct lock *l) RELEASES(*l) UNCHECKED_LOCKS
{
    pthread_mutex_unlock(&l->mutex);
}

/* Waits for a signal with the lock given away meanwhile; may wake without one. */
static inline void lock_wait(struct lock *l, pthread_cond_t *signal) REQUIRES(*l) UNCHECKED_LOCKS
{
    pthread_cond_wait(signal, &l->mutex);
}

/* As lock_wait, but no longer than until deadline, a time of the signal's clock. */
static inline void lock_wait_until(struct lock *l, pthread_cond_t *signal,
                                   const struct timespec *deadline) REQUIRES(*l) UNCHECKED_LOCKS
{
    pthread_cond_timedwait(signal, &l->mutex, deadline);
}

#endif
