#include "server/healthcheck.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define TIMEOUT_SECONDS 5

/* Enough of the answer for its status line. */
static enum err_kind ask(int fd, struct err *e)
{
    static const char question[] = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n"
                                   "Connection: close\r\n\r\n";
    static const char good[] = "HTTP/1.1 200 ";
    char answer[64];
    size_t got = 0;
    if (send(fd, question, sizeof question - 1, MSG_NOSIGNAL) != (ssize_t)sizeof question - 1)
        return err_set(e, ERR_IO, "", "cannot ask: %s", strerror(errno));
    while (got < sizeof good - 1) {
        ssize_t n = recv(fd, answer + got, sizeof answer - got, 0);
        if (n <= 0)
            return err_set(e, ERR_IO, "", "no answer: %s", n ? strerror(errno) : "closed");
        got += (size_t)n;
    }
    if (memcmp(answer, good, sizeof good - 1) != 0)
        return err_set(e, ERR_UNAVAILABLE, "", "the answer is not 200");
    return ERR_OK;
}

enum err_kind healthcheck(const struct address *a, struct err *e)
{
    int fd;
    enum err_kind rc = address_connect(a, TIMEOUT_SECONDS, &fd, e);
    if (rc)
        return rc;
    rc = ask(fd, e);
    close(fd);
    return rc;
}
