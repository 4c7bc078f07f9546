#include "tests/server/event_client.h"

#include <setjmp.h>
#include <stdarg.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "tests/server/model_client.h"
#include "tests/server/raw_client.h"

double seconds_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Segments of 88 bytes and a receive buffer of the least size: the server's own stays small, too.
 */
static int connect_small(int port)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    int segment = 88, buffer = 1, fd = socket(AF_INET, SOCK_STREAM, 0);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_true(fd >= 0);
    setsockopt(fd, IPPROTO_TCP, TCP_MAXSEG, &segment, sizeof segment);
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &buffer, sizeof buffer);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    return fd;
}

int event_client_ask(int port, const char *id, const char *last, bool small)
{
    char head[400];
    int fd = small ? connect_small(port) : raw_connect(port);
    int n =
        snprintf(head, sizeof head, "GET /models/%s/events HTTP/1.0\r\nHost: localhost\r\n", id);
    if (last)
        n += snprintf(head + n, sizeof head - (size_t)n, "Last-Event-ID: %s\r\n", last);
    n += snprintf(head + n, sizeof head - (size_t)n, "\r\n");
    assert_true(raw_send(fd, head, (size_t)n));
    return fd;
}

void event_client_open(struct event_client *c, int port, const char *id, const char *last)
{
    *c = (struct event_client){.fd = event_client_ask(port, id, last, false)};
    assert_true(raw_read_until(c->fd, "\r\n\r\n", c->text, sizeof c->text));
    if (!strstr(c->text, " 200 ") || !strstr(c->text, "text/event-stream"))
        fail_msg("no stream: %s", c->text);
    char *body = strstr(c->text, "\r\n\r\n") + 4;
    c->bytes = strlen(body);
    memmove(c->text, body, c->bytes + 1);
}

void event_client_close(struct event_client *c)
{
    close(c->fd);
    c->fd = -1;
}

static void take(char *block, struct event *out)
{
    *out = (struct event){.at = seconds_now()};
    for (char *rest, *line = strtok_r(block, "\n", &rest); line;
         line = strtok_r(NULL, "\n", &rest)) {
        if (!strncmp(line, "event: ", 7))
            snprintf(out->name, sizeof out->name, "%s", line + 7);
        else if (!strncmp(line, "id: ", 4))
            snprintf(out->id, sizeof out->id, "%s", line + 4);
        else if (!strncmp(line, "data: ", 6))
            snprintf(out->data, sizeof out->data, "%s", line + 6);
        else if (line[0] == ':')
            snprintf(out->name, sizeof out->name, ":");
        else
            fail_msg("no line of a stream: %s", line);
    }
}

bool event_client_next(struct event_client *c, struct event *out)
{
    char *end;
    while ((end = strstr(c->text, "\n\n")) == NULL) {
        assert_true(c->bytes < sizeof c->text - 1);
        ssize_t n = recv(c->fd, c->text + c->bytes, sizeof c->text - 1 - c->bytes, 0);
        if (n < 0 && !c->cut)
            fail_msg("nothing came");
        if (n <= 0) {
            assert_true(c->cut || c->bytes == 0); /* whole events only */
            return false;
        }
        c->bytes += (size_t)n;
        c->text[c->bytes] = '\0';
    }
    *end = '\0';
    take(c->text, out);
    c->bytes -= (size_t)(end + 2 - c->text);
    memmove(c->text, end + 2, c->bytes + 1);
    return true;
}

bool event_client_event(struct event_client *c, struct event *out)
{
    while (event_client_next(c, out))
        if (out->name[0] != ':')
            return true;
    return false;
}

double event_number(const struct event *e, const char *name)
{
    cJSON *json = cJSON_Parse(e->data);
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(json, name);
    double x = cJSON_IsNumber(item) ? item->valuedouble : -1;
    cJSON_Delete(json);
    return x;
}

int64_t event_client_step(struct event_client *c, int64_t *after, struct event *out)
{
    assert_true(event_client_event(c, out));
    if (strcmp(out->name, "step") != 0)
        fail_msg("%s: %s", out->name, out->data);
    *after = (int64_t)event_number(out, "after");
    assert_int_equal(atoll(out->id), event_number(out, "step"));
    return (int64_t)event_number(out, "step");
}
