/* tests/api/listener.h - one who listens to a model's events without a socket.
 *
 *     struct listener l;
 *     listen_to(c, &l, "a", NULL);
 *     hear(&l);                    … l.text: what came …
 *     stop_listening(&l);
 * Whatever goes wrong fails the running cmocka test.
 */
#ifndef TESTS_API_LISTENER_H
#define TESTS_API_LISTENER_H

#include "api/events.h"
#include "tests/api/client.h"

#define LISTENER_EVENTS 400

struct heard {
    char name[16], id[48], data[1024]; /* "" if there is none */
};

struct listener {
    struct client *client;
    struct call *call;
    struct stream *stream;
    int wakes; /* so often it was woken */
    bool left; /* its client has gone: set by the test */
    struct heard event[LISTENER_EVENTS];
    int events, comments; /* that hear found */
};

/* Opens the stream; last: Last-Event-ID, NULL for none. */
void listen_to(struct client *c, struct listener *l, const char *id, const char *last);
/* The same, should it be answered otherwise: that answer. */
const struct reply *refused_to_listen(struct client *c, const char *id, const char *last);
/* Reads until there is no more, in pieces of 7 bytes, and goes to sleep if it may. */
enum stream_progress hear(struct listener *l);
/* A round, and what it brings. */
enum stream_progress hear_news(struct listener *l);
void stop_listening(struct listener *l);

/* The event, an id of which is l->event[i], is a step event with these members. */
void assert_step(const struct listener *l, int i, int64_t step, int64_t after);
/* A member of the data of event i, as JSON; "" if it is not there. */
const char *heard_member(const struct listener *l, int i, const char *name);

#endif
