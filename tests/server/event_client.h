/* tests/server/event_client.h - one who listens to a model's events over a socket of its own.
 *
 * What fails fails the running test; what does not come within 20 s does.
 */
#ifndef TESTS_EVENT_CLIENT_H
#define TESTS_EVENT_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct event {
    char name[16], id[48], data[2048]; /* "" if there is none; a comment has the name ":" */
    double at;                         /* seconds, when it was read */
};

struct event_client {
    int fd;
    bool cut; /* the test's: the connection may break off anywhere */
    size_t bytes;
    char text[1 << 16]; /* what is not taken apart yet */
};

/* Asks, and reads the answer's head, which must say 200. last: Last-Event-ID, NULL for none. Of
 * HTTP/1.0, so that the body is what is sent and nothing else. */
void event_client_open(struct event_client *c, int port, const char *id, const char *last);
/* Asks and reads nothing; small: over a connection that takes as little as can be. */
int event_client_ask(int port, const char *id, const char *last, bool small);
void event_client_close(struct event_client *c);
/* The next event or comment. false: the stream is over. */
bool event_client_next(struct event_client *c, struct event *out);
/* The next that is no comment. */
bool event_client_event(struct event_client *c, struct event *out);
/* The same, and it must be a step event: its step; *after as it says. */
int64_t event_client_step(struct event_client *c, int64_t *after, struct event *out);
/* A member of its data, -1 if it is not there. */
double event_number(const struct event *e, const char *name);

double seconds_now(void);

#endif
