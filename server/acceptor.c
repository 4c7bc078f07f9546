#define _GNU_SOURCE /* accept4 */
#include "server/acceptor.h"

#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

/* After this time it is tried again, if there was no descriptor or no memory for one more. */
#define REST_MS 20

/* ---- who has how many ---------------------------------------------------------------------- */

/* A connection counts from the moment it is handed over: a daemon that is busy begins it later, and
 * until then more would be let in than there is room for. */
static size_t connections_of(struct share *s)
{
    size_t ended = atomic_load(&s->ended);
    size_t begun = atomic_load(&s->begun); /* looked at later, and so not less */
    if (s->given < begun)                  /* one was taken for lost that was only late */
        s->given = begun;
    return s->given - ended;
}

/* The one that has the fewest. NULL: together they have as many as there may be. */
static struct share *find_room(struct acceptor *a)
{
    size_t all = 0, fewest = SIZE_MAX;
    struct share *found = NULL;
    for (struct share *s = a->first; s; s = s->next) {
        size_t count = connections_of(s);
        all += count;
        if (count < fewest) {
            fewest = count;
            found = s;
        }
    }
    return all < a->most ? found : NULL;
}

/* false: whoever makes room will call. It is looked once more after saying so: one that ended in
 * between has either been seen here, or has seen that it is to call. */
static bool has_room(struct acceptor *a)
{
    if (find_room(a))
        return true;
    atomic_store(&a->full, true);
    if (!find_room(a))
        return false;
    atomic_store(&a->full, false);
    return true;
}

static void forget_the_lost(struct acceptor *a)
{
    for (struct share *s = a->first; s; s = s->next)
        s->given = atomic_load(&s->begun);
}

static void call(struct acceptor *a)
{
    (void)eventfd_write(a->call, 1); /* fails only with 2^64 calls there */
}

void share_began(struct share *s)
{
    atomic_fetch_add(&s->begun, 1);
}

void share_ended(struct share *s)
{
    struct acceptor *a = s->acceptor;
    atomic_fetch_add(&s->ended, 1);
    if (a && atomic_load(&a->full) && atomic_exchange(&a->full, false))
        call(a);
}

/* ---- the thread ---------------------------------------------------------------------------- */

/* Until somebody is at the door and may come in. */
static void wait_for_one(struct acceptor *a)
{
    eventfd_t calls;
    bool room = has_room(a), open = room && !a->rests;
    struct pollfd fds[] = {{.fd = a->call, .events = POLLIN},
                           {.fd = open ? a->fd : -1, .events = POLLIN}};
    int ready = poll(fds, 2, a->rests ? REST_MS : room ? -1 : ACCEPTOR_LOST_MS);
    if (ready > 0 && fds[0].revents)
        (void)eventfd_read(a->call, &calls);
    if (ready == 0 && !room && !a->rests)
        forget_the_lost(a);
    a->rests = ready < 0 && errno != EINTR && poll(NULL, 0, REST_MS) == 0;
}

/* Why none was taken: is there another one to be tried at once? Whatever is not known to be over
 * with this client might be the same with the next, and for ever. */
static bool goes_on(struct acceptor *a, int reason)
{
    if (reason == EINTR || reason == ECONNABORTED || reason == EPROTO)
        return true;
    if (reason == EAGAIN) { /* nobody waits */
        a->told = false;
        return false;
    }
    if (!a->told)
        log_text(a->log, LOG_WARN, "no connection can be taken at the moment: %s",
                 strerror(reason));
    a->told = a->rests = true;
    return false;
}

/* These two are functions by themselves, since tests/tsan.supp names them. */
static NEVER_INLINE int take_connection(int listening, struct sockaddr_storage *from,
                                        socklen_t *bytes)
{
    *bytes = sizeof *from;
    return accept4(listening, (struct sockaddr *)from, bytes, SOCK_CLOEXEC | SOCK_NONBLOCK);
}

static NEVER_INLINE bool hand_over(struct share *s, int fd, const struct sockaddr_storage *from,
                                   socklen_t bytes)
{
    return MHD_add_connection(s->daemon, fd, (const struct sockaddr *)from, bytes) == MHD_YES;
}

/* false: nobody waits, or nobody can be let in. */
static bool let_in(struct acceptor *a)
{
    struct sockaddr_storage from;
    socklen_t bytes;
    struct share *s = find_room(a);
    if (!s)
        return false;
    int fd = take_connection(a->fd, &from, &bytes);
    if (fd < 0)
        return goes_on(a, errno);
    s->given++; /* before it may begin */
    if (hand_over(s, fd, &from, bytes))
        return true;
    s->given--; /* fd is closed, and the reason in the log: mostly, there was no memory */
    a->rests = true;
    return false;
}

static void *acceptor_main(void *arg)
{
    struct acceptor *a = arg;
    while (!atomic_load(&a->over)) {
        wait_for_one(a);
        while (!atomic_load(&a->over) && let_in(a))
            continue;
    }
    return NULL;
}

/* ---- starting and stopping ----------------------------------------------------------------- */

enum err_kind acceptor_start(struct acceptor *a, int fd, struct err *e)
{
    for (struct share *s = a->first; s; s = s->next)
        s->acceptor = a;
    a->fd = fd;
    a->call = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    a->runs = a->call >= 0 && pthread_create(&a->thread, NULL, acceptor_main, a) == 0;
    if (a->runs)
        return ERR_OK;
    if (a->call >= 0)
        close(a->call);
    close(fd);
    return err_set(e, ERR_NOMEM, "", "no thread for the connections");
}

void acceptor_stop(struct acceptor *a)
{
    if (!a->runs)
        return;
    atomic_store(&a->over, true);
    call(a);
    pthread_join(a->thread, NULL);
    close(a->fd);
}

void acceptor_close(struct acceptor *a)
{
    if (a->runs)
        close(a->call); /* not before: a connection that ends may still call */
    a->runs = false;
}
