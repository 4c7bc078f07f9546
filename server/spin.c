#include "server/spin.h"

#include <poll.h>
#include <sched.h>

#include "server/clock.h"

/* Beyond this the client takes its time. Its own wake-up and ours are in it. */
#define PAUSE_MAX_NS 150000
/* A look must spare so much, which its core was busy for. */
#define GAIN_NS 8000
/* One in so many pauses is spent the other way, to see what that would give. */
#define TRIAL 64
/* The weight of a pause in its average. */
#define WEIGHT 8

void spin_begin(struct spin *s, int64_t now)
{
    int64_t pause = now - s->ended, *average = &s->pause[s->looks];
    s->quick = s->ended && pause < PAUSE_MAX_NS;
    if (s->quick)
        *average = *average ? *average + (pause - *average) / WEIGHT : pause;
}

bool spin_end(struct spin *s, int64_t now)
{
    s->ended = now;
    s->looks = false;
    if (!s->quick || s->pause[false] < GAIN_NS)
        return false;
    bool pays = s->pause[true] + GAIN_NS < s->pause[false];
    s->looks = pays == (++s->ends % TRIAL != 0);
    return s->looks;
}

void spin_look(int epoll_fd)
{
    struct pollfd event = {.fd = epoll_fd, .events = POLLIN};
    int64_t until = clock_ns() + SPIN_NS;
    while (poll(&event, 1, 0) == 0 && clock_ns() < until)
        sched_yield();
}
