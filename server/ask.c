#include "server/ask.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define CONNECT_SECONDS 5

static enum err_kind put(int fd, const char *text, size_t bytes, struct err *e)
{
    while (bytes > 0) {
        ssize_t n = send(fd, text, bytes, MSG_NOSIGNAL);
        if (n < 0)
            return err_set(e, ERR_IO, "", "cannot ask: %s", strerror(errno));
        text += n;
        bytes -= (size_t)n;
    }
    return ERR_OK;
}

static enum err_kind put_request(int fd, const struct ask_request *r, struct err *e)
{
    char head[512];
    size_t bytes = r->body ? strlen(r->body) : 0;
    int n =
        snprintf(head, sizeof head,
                 "%s %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
                 "%sContent-Length: %zu\r\n\r\n",
                 r->method, r->target, r->body ? "Content-Type: application/json\r\n" : "", bytes);
    enum err_kind rc = put(fd, head, (size_t)n, e);
    return rc || !r->body ? rc : put(fd, r->body, bytes, e);
}

/* Until the other side closes. */
static enum err_kind get(int fd, struct ask_answer *out, struct err *e)
{
    size_t got = 0;
    ssize_t n = 1;
    while (n > 0 && got < sizeof out->text - 1) {
        n = recv(fd, out->text + got, sizeof out->text - 1 - got, 0);
        got += n > 0 ? (size_t)n : 0;
    }
    out->text[got] = '\0';
    if (n < 0)
        return err_set(e, ERR_IO, "", "no answer: %s", strerror(errno));
    return got > 0 ? ERR_OK : err_set(e, ERR_IO, "", "no answer: closed");
}

static enum err_kind read_answer(struct ask_answer *out, struct err *e)
{
    static const char version[] = "HTTP/1.1 ";
    const char *end = strstr(out->text, "\r\n\r\n");
    if (strncmp(out->text, version, sizeof version - 1) != 0 || !end)
        return err_set(e, ERR_UNAVAILABLE, "", "the answer is not HTTP");
    out->status = atoi(out->text + sizeof version - 1);
    out->body = end + 4;
    out->bytes = strlen(out->body);
    return ERR_OK;
}

enum err_kind ask(const struct address *a, const struct ask_request *request,
                  struct ask_answer *out, struct err *e)
{
    const struct timeval limit = {.tv_sec = request->seconds};
    int fd;
    enum err_kind rc = address_connect(a, CONNECT_SECONDS, &fd, e);
    if (rc)
        return rc;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    rc = put_request(fd, request, e);
    if (!rc)
        rc = get(fd, out, e);
    if (!rc)
        rc = read_answer(out, e);
    close(fd);
    return rc;
}
