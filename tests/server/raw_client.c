#include "tests/server/raw_client.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

int raw_try_connect(int port)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    struct timeval limit = {.tv_sec = 20};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    if (connect(fd, (struct sockaddr *)&to, sizeof to) == 0)
        return fd;
    close(fd);
    return -1;
}

int raw_connect(int port)
{
    int fd = raw_try_connect(port);
    assert_true(fd >= 0);
    return fd;
}

bool raw_send(int fd, const void *data, size_t bytes)
{
    const char *at = data;
    while (bytes > 0) {
        ssize_t n = send(fd, at, bytes, MSG_NOSIGNAL);
        if (n <= 0)
            return false;
        at += n;
        bytes -= (size_t)n;
    }
    return true;
}

long raw_read_all(int fd, char *out, size_t room)
{
    size_t got = 0;
    ssize_t n = 1;
    while (got < room - 1 && n > 0) {
        n = recv(fd, out + got, room - 1 - got, 0);
        got += n > 0 ? (size_t)n : 0;
    }
    out[got] = '\0';
    bool open = n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
    return open ? -1 : (long)got;
}

bool raw_read_until(int fd, const char *mark, char *out, size_t room)
{
    size_t got = 0;
    out[0] = '\0';
    while (got < room - 1 && !strstr(out, mark)) {
        ssize_t n = recv(fd, out + got, room - 1 - got, 0);
        if (n <= 0)
            return false;
        got += (size_t)n;
        out[got] = '\0';
    }
    return strstr(out, mark);
}

int raw_ask(int port, const char *data, size_t bytes, char *out, size_t room)
{
    int fd = raw_connect(port);
    raw_send(fd, data, bytes);
    long got = raw_read_all(fd, out, room);
    close(fd);
    if (got < 0)
        return -1;
    return strncmp(out, "HTTP/1.", 7) ? 0 : atoi(out + 9);
}
