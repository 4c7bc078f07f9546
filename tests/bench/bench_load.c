/* bench_load PORT SECONDS CONNECTIONS FILE… - keeps a server at work over keep-alive connections,
 * each with one request on its way, the next as soon as it is answered. A file holds a request,
 * head and body as they are sent; the connections take the files in turn.
 *
 * Prints a line: {"answered": n, "rate": …, "p50": …, "p99": …}: all that were answered, and of the
 * time after the first tenth the answers a second and the microseconds that they took. An answer
 * that is not 200 ends the run. One thread, which does as little as it can: it shares the cores
 * with the daemon. */
#define _GNU_SOURCE /* strcasestr, reallocarray */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "engine/attr.h"

#define SECOND     1000000000
#define ANSWER_MAX 32768
#define EVENTS     64

struct request {
    char *data;
    size_t bytes;
};

struct connection {
    int fd;
    const struct request *request;
    int64_t sent_at;
    size_t got; /* of the answer */
    char answer[ANSWER_MAX];
};

static struct load {
    int epoll, connections, requests, busy; /* busy: with a request on its way */
    struct connection *connection;
    struct request *request;
    int64_t start, from, until; /* when is measured */
    /* Nothing was answered in that time: then it is all, until the last answer, that counts. */
    bool late;
    int64_t last;  /* answer came */
    int64_t *took; /* nanoseconds, of those measured */
    size_t answered, measured, room;
} load;

static _Noreturn void give_up(const char *format, ...) PRINTF_LIKE(1, 2);
static _Noreturn void give_up(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    exit(1);
}

static int64_t now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * SECOND + t.tv_nsec;
}

static void *room_for(void *old, size_t count, size_t bytes)
{
    void *p = reallocarray(old, count, bytes);
    if (!p)
        give_up("no memory");
    return p;
}

static void read_request(struct request *r, const char *path)
{
    FILE *f = fopen(path, "rb");
    size_t room = 0, n;
    do {
        if (!f)
            give_up("%s cannot be read", path);
        room += 1 << 20;
        r->data = room_for(r->data, room, 1);
        n = fread(r->data + r->bytes, 1, room - r->bytes, f);
        r->bytes += n;
    } while (r->bytes == room);
    fclose(f);
}

/* ---- a connection -------------------------------------------------------------------------- */

static void open_connection(struct connection *c, int port, const struct request *request)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
    int on = 1;
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    c->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&to, sizeof to))
        give_up("cannot connect to port %d", port);
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    c->request = request;
    epoll_ctl(load.epoll, EPOLL_CTL_ADD, c->fd, &event);
}

static void send_request(struct connection *c, int64_t at)
{
    c->sent_at = at;
    c->got = 0;
    if (send(c->fd, c->request->data, c->request->bytes, MSG_NOSIGNAL) !=
        (ssize_t)c->request->bytes)
        give_up("a request cannot be sent");
    load.busy++;
}

/* Is the answer there, whole? */
static bool is_whole(const struct connection *c)
{
    const char *end = strstr(c->answer, "\r\n\r\n");
    const char *length = end ? strcasestr(c->answer, "Content-Length: ") : NULL;
    if (end && (!length || strncmp(c->answer, "HTTP/1.1 200 ", 13) != 0))
        give_up("%.1000s", c->answer);
    return end && c->got >= (size_t)(end + 4 - c->answer) + strtoul(length + 16, NULL, 10);
}

static void note(int64_t took)
{
    if (load.measured == load.room) {
        load.room = 2 * load.room + 65536;
        load.took = room_for(load.took, load.room, sizeof *load.took);
    }
    load.took[load.measured++] = took;
}

static void receive(struct connection *c)
{
    ssize_t n = recv(c->fd, c->answer + c->got, ANSWER_MAX - 1 - c->got, 0);
    if (n <= 0)
        give_up("the connection ended, or the answer is too long");
    c->got += (size_t)n;
    c->answer[c->got] = '\0';
    if (!is_whole(c))
        return;
    int64_t at = now();
    load.busy--;
    load.answered++;
    load.late = load.late || (load.measured == 0 && at >= load.until);
    if (load.late || (at >= load.from && at < load.until))
        note(at - c->sent_at);
    load.last = at;
    if (at < load.until)
        send_request(c, at);
}

/* ---- the whole ----------------------------------------------------------------------------- */

static void run(double seconds)
{
    load.start = now();
    load.from = load.start + (int64_t)(0.1 * seconds * SECOND);
    load.until = load.start + (int64_t)(seconds * SECOND);
    for (int i = 0; i < load.connections; i++)
        send_request(&load.connection[i], now());
    while (load.busy > 0) {
        struct epoll_event event[EVENTS];
        int n = epoll_wait(load.epoll, event, EVENTS, 60000);
        if (n <= 0)
            give_up("no answer for a minute");
        for (int i = 0; i < n; i++)
            receive(event[i].data.ptr);
    }
}

static int compare(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* In microseconds. */
static double quantile(double q)
{
    return (double)load.took[(size_t)(q * (double)(load.measured - 1))] / 1e3;
}

static void print(void)
{
    qsort(load.took, load.measured, sizeof *load.took, compare);
    double seconds = (double)(load.late ? load.last - load.start : load.until - load.from) / SECOND;
    double counted = (double)(load.late ? load.answered : load.measured);
    printf("{\"answered\": %zu, \"rate\": %.6g, \"p50\": %.6g, \"p99\": %.6g}\n", load.answered,
           counted / seconds, quantile(0.5), quantile(0.99));
}

int main(int argc, char **argv)
{
    if (argc < 5)
        give_up("bench_load PORT SECONDS CONNECTIONS FILE…");
    load.epoll = epoll_create1(0);
    load.connections = atoi(argv[3]);
    load.requests = argc - 4;
    load.connection = calloc((size_t)load.connections, sizeof *load.connection);
    load.request = calloc((size_t)load.requests, sizeof *load.request);
    if (load.epoll < 0 || load.connections < 1 || !load.connection || !load.request)
        give_up("no memory, or no connections");
    for (int i = 0; i < load.requests; i++)
        read_request(&load.request[i], argv[4 + i]);
    for (int i = 0; i < load.connections; i++)
        open_connection(&load.connection[i], atoi(argv[1]), &load.request[i % load.requests]);
    run(atof(argv[2]));
    print();
    for (int i = 0; i < load.connections; i++)
        close(load.connection[i].fd);
    for (int i = 0; i < load.requests; i++)
        free(load.request[i].data);
    free(load.request);
    free(load.connection);
    free(load.took);
    return 0;
}
