/* tests/server/raw_client.h - bytes over a socket to 127.0.0.1, for what no HTTP client would send.
 * What cannot even be connected fails the test. */
#ifndef TESTS_RAW_CLIENT_H
#define TESTS_RAW_CLIENT_H

#include <stdbool.h>
#include <stddef.h>

/* A connected socket whose reads give up after 20 s; the caller closes it. */
int raw_connect(int port);
/* The same for threads other than the test's own: -1 if it cannot be connected. */
int raw_try_connect(int port);
/* false: the other side has closed. */
bool raw_send(int fd, const void *data, size_t bytes);
/* Reads until the other side closes, or the time is over (-1). Returns the bytes read, at most
 * room - 1; out is terminated. */
long raw_read_all(int fd, char *out, size_t room);
/* Reads until `mark` came, or the end. false: the end. */
bool raw_read_until(int fd, const char *mark, char *out, size_t room);
/* Connects, sends, reads to the end. Returns the status of the first answer, 0 if there is none,
 * -1 if the connection was not closed. */
int raw_ask(int port, const char *data, size_t bytes, char *out, size_t room);

#endif
