#include "server/watch.h"

#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "engine/lock.h"
#include "engine/mem.h"

/* [w] guarded by the watch's lock  [I] immutable  [a] atomic  [c] the connection's thread's */
struct watched {
    struct watched *prev, *next;   /* [w] */
    int fd;                        /* [I] */
    atomic_int_least64_t deadline; /* [a] */
    atomic_bool sends;             /* [a] we wait for the client's bytes */
    atomic_bool gone;              /* [a] a sweep has found that none will come */
    atomic_bool ended;             /* [a] no more will come than lies in the socket, or who knows */
    bool served;                   /* [c] a request has ended */
    struct spin spin;              /* [c] */
};

struct watch {
    struct lock lock;
    struct watched *first; /* [w] */
    int ends;              /* [I] of epoll: has the clients' ends, once each, until a sweep */
};

struct watch *watch_new(void)
{
    struct watch *w = mem_array(1, sizeof *w);
    if (!w)
        return NULL;
    w->ends = epoll_create1(EPOLL_CLOEXEC);
    if (w->ends < 0) {
        mem_free(w);
        return NULL;
    }
    lock_init(&w->lock);
    return w;
}

void watch_free(struct watch *w)
{
    if (!w)
        return;
    close(w->ends);
    lock_close(&w->lock);
    mem_free(w);
}

struct watched *watch_open(struct watch *w, int fd, int64_t deadline_ns)
{
    struct watched *c = mem_array(1, sizeof *c);
    if (!c)
        return NULL;
    c->fd = fd;
    atomic_init(&c->deadline, deadline_ns);
    atomic_init(&c->sends, true);
    atomic_init(&c->gone, false);
    struct epoll_event end = {.events = EPOLLRDHUP | EPOLLET, .data.ptr = c};
    lock_take(&w->lock);
    /* Of one whose end the kernel will not tell it is asked each time. */
    atomic_init(&c->ended, epoll_ctl(w->ends, EPOLL_CTL_ADD, fd, &end) != 0);
    c->next = w->first;
    if (c->next)
        c->next->prev = c;
    w->first = c;
    lock_give(&w->lock);
    return c;
}

void watch_close(struct watch *w, struct watched *c)
{
    if (!c)
        return;
    lock_take(&w->lock);
    if (c->next)
        c->next->prev = c->prev;
    if (c->prev)
        c->prev->next = c->next;
    else
        w->first = c->next;
    (void)epoll_ctl(w->ends, EPOLL_CTL_DEL, c->fd, NULL);
    lock_give(&w->lock);
    mem_free(c);
}

bool watch_served(struct watched *c)
{
    bool first = c && !c->served;
    if (first)
        c->served = true;
    return first;
}

bool watch_has_served(const struct watched *c)
{
    return c && c->served;
}

struct spin *watch_spin(struct watched *c)
{
    return c ? &c->spin : NULL;
}

void watch_set(struct watched *c, enum watch_phase phase, int64_t deadline_ns)
{
    if (!c)
        return;
    atomic_store_explicit(&c->deadline, deadline_ns, memory_order_relaxed);
    atomic_store(&c->sends, phase == WATCH_CLIENT_SENDS);
    atomic_store(&c->gone, false);
}

/* Has the client ended its side, with nothing left to be read? */
static bool has_left(const struct watched *c)
{
    char byte;
    return atomic_load(&c->ended) && recv(c->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
}

bool watch_has_left(const struct watched *c)
{
    return c && has_left(c);
}

size_t watch_untaken(const struct watched *c)
{
    int bytes = 0;
    return c && ioctl(c->fd, TIOCOUTQ, &bytes) == 0 && bytes > 0 ? (size_t)bytes : 0;
}

/* Only what two sweeps have found is so: at the first the last bytes may just have been read, of a
 * client that ended its side after a whole request and waits for the answer. */
static bool is_gone(struct watched *c)
{
    if (!atomic_load(&c->sends) || !has_left(c))
        return false;
    return atomic_exchange(&c->gone, true);
}

/* To ask each socket took nearly half of the sweeping thread's time, with a hundred idle ones. */
static void note_ends(struct watch *w) REQUIRES(w->lock)
{
    struct epoll_event end[64];
    int count;
    while ((count = epoll_wait(w->ends, end, sizeof end / sizeof *end, 0)) > 0)
        for (int i = 0; i < count; i++)
            atomic_store(&((struct watched *)end[i].data.ptr)->ended, true);
}

/* Under the lock fd is open and this connection's own: watch_close comes before close(fd). */
size_t watch_sweep(struct watch *w, int64_t now_ns)
{
    size_t overdue = 0;
    lock_take(&w->lock);
    note_ends(w);
    for (struct watched *c = w->first; c; c = c->next) {
        bool late = atomic_load_explicit(&c->deadline, memory_order_relaxed) < now_ns;
        if (!late && !is_gone(c))
            continue;
        shutdown(c->fd, SHUT_RDWR);
        watch_set(c, WATCH_CLIENT_TAKES, WATCH_NEVER);
        overdue += late;
    }
    lock_give(&w->lock);
    return overdue;
}
