#include "server/address.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "engine/mem.h"

static bool is_port(const char *text)
{
    size_t digits = strspn(text, "0123456789");
    return digits > 0 && digits <= 5 && text[digits] == '\0' && strtol(text, NULL, 10) <= 65535;
}

bool address_parse(const char *text, struct address *out)
{
    const char *colon = strrchr(text, ':');
    if (!colon || !is_port(colon + 1))
        return false;
    size_t bytes = (size_t)(colon - text);
    bool bracketed = bytes > 2 && text[0] == '[' && text[bytes - 1] == ']';
    if (bracketed) {
        text++;
        bytes -= 2;
    }
    /* An IPv6 number without brackets would leave it open where the port begins. */
    if (bytes == 0 || bytes >= sizeof out->host || (!bracketed && memchr(text, ':', bytes)))
        return false;
    memcpy(out->host, text, bytes);
    out->host[bytes] = '\0';
    mem_fit(out->port, sizeof out->port, colon + 1);
    return true;
}

static enum err_kind resolve(const struct address *a, int flags, struct addrinfo **out,
                             struct err *e)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = flags | AI_NUMERICSERV};
    int code = getaddrinfo(a->host, a->port, &hints, out);
    if (code)
        return err_set(e, ERR_IO, "", "no address for %s: %s", a->host, gai_strerror(code));
    return ERR_OK;
}

/* Closes fd and keeps errno, which tells what went wrong before. */
static int give_up(int fd)
{
    int reason = errno;
    close(fd);
    errno = reason;
    return -1;
}

static int open_listener(const struct addrinfo *ai)
{
    int on = 1;
    int fd = socket(ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -1;
    /* A daemon restarted at once finds its old connections in TIME_WAIT. */
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, ai->ai_addr, ai->ai_addrlen) || listen(fd, SOMAXCONN))
        return give_up(fd);
    return fd;
}

static int open_connection(const struct addrinfo *ai, int seconds)
{
    struct timeval limit = {.tv_sec = seconds};
    int fd = socket(ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit); /* bounds connect too */
    if (connect(fd, ai->ai_addr, ai->ai_addrlen))
        return give_up(fd);
    return fd;
}

enum err_kind address_listen(const struct address *a, int *fd, struct err *e)
{
    struct addrinfo *list;
    enum err_kind rc = resolve(a, AI_PASSIVE, &list, e);
    if (rc)
        return rc;
    *fd = -1;
    for (struct addrinfo *ai = list; ai && *fd < 0; ai = ai->ai_next)
        *fd = open_listener(ai);
    freeaddrinfo(list);
    if (*fd < 0)
        return err_set(e, ERR_IO, "", "cannot listen on %s:%s: %s", a->host, a->port,
                       strerror(errno));
    return ERR_OK;
}

enum err_kind address_connect(const struct address *a, int seconds, int *fd, struct err *e)
{
    struct addrinfo *list;
    enum err_kind rc = resolve(a, 0, &list, e);
    if (rc)
        return rc;
    *fd = -1;
    for (struct addrinfo *ai = list; ai && *fd < 0; ai = ai->ai_next)
        *fd = open_connection(ai, seconds);
    freeaddrinfo(list);
    if (*fd < 0)
        return err_set(e, ERR_IO, "", "cannot connect to %s:%s: %s", a->host, a->port,
                       strerror(errno));
    return ERR_OK;
}

void address_of(int fd, char *out, size_t bytes)
{
    struct sockaddr_storage name;
    socklen_t length = sizeof name;
    char host[256], port[6];
    if (getsockname(fd, (struct sockaddr *)&name, &length) ||
        getnameinfo((struct sockaddr *)&name, length, host, sizeof host, port, sizeof port,
                    NI_NUMERICHOST | NI_NUMERICSERV)) {
        snprintf(out, bytes, "unknown");
        return;
    }
    snprintf(out, bytes, strchr(host, ':') ? "[%s]:%s" : "%s:%s", host, port);
}
