#define _GNU_SOURCE /* RTLD_NEXT */
#include "tests/server/house.h"

#include <dlfcn.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "server/address.h"
#include "tests/server/raw_client.h"

#define ASK "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"

struct house h;

static atomic_int open_now, open_most; /* connections, as libmicrohttpd tells */
static atomic_bool shut;
static atomic_int no_memory; /* enum house_lack */

static void on_connection(void *arg, struct MHD_Connection *connection, void **context,
                          enum MHD_ConnectionNotificationCode code)
{
    struct lane *lane = arg;
    (void)connection, (void)context;
    if (code == MHD_CONNECTION_NOTIFY_CLOSED) {
        atomic_fetch_sub(&open_now, 1);
        share_ended(&lane->share);
        return;
    }
    share_began(&lane->share);
    int now = atomic_fetch_add(&open_now, 1) + 1, most = atomic_load(&open_most);
    while (now > most && !atomic_compare_exchange_weak(&open_most, &most, now))
        continue;
}

static enum MHD_Result on_request(void *arg, struct MHD_Connection *connection, const char *url,
                                  const char *method, const char *version, const char *data,
                                  size_t *bytes, void **request)
{
    static const char *const text[LANES_MAX] = {"lane 0", "lane 1", "lane 2", "lane 3"};
    struct lane *lane = arg;
    (void)url, (void)method, (void)version, (void)data, (void)bytes;
    bool first = !*request;
    *request = arg;
    if (first) /* an answer to the headers alone would end the connection */
        return MHD_YES;
    while (atomic_load(&shut))
        poll(NULL, 0, 5);
    struct MHD_Response *m =
        MHD_create_response_from_buffer(6, (void *)text[lane->number], MHD_RESPMEM_PERSISTENT);
    enum MHD_Result queued = MHD_queue_response(connection, MHD_HTTP_OK, m);
    MHD_destroy_response(m);
    return queued;
}

PRINTF_LIKE(2, 0)
static void on_message(void *arg, const char *format, va_list args)
{
    (void)arg, (void)format, (void)args;
}

/* In place of libmicrohttpd's. */
enum MHD_Result MHD_add_connection(struct MHD_Daemon *daemon, MHD_socket fd,
                                   const struct sockaddr *from, socklen_t bytes)
{
    enum MHD_Result (*real)(struct MHD_Daemon *, MHD_socket, const struct sockaddr *, socklen_t);
    int lack = atomic_load(&no_memory);
    if (lack != HOUSE_HAS_MEMORY) {
        close(fd);
        return lack == HOUSE_REFUSES ? MHD_NO : MHD_YES;
    }
    *(void **)&real = dlsym(RTLD_NEXT, "MHD_add_connection");
    return real(daemon, fd, from, bytes);
}

static void start_lane(struct lane *lane, int number)
{
    lane->number = number;
    lane->share.daemon = MHD_start_daemon(
        MHD_USE_EPOLL_INTERNAL_THREAD | MHD_USE_ITC | MHD_USE_ERROR_LOG | MHD_USE_NO_LISTEN_SOCKET,
        0, NULL, NULL, on_request, lane, MHD_OPTION_EXTERNAL_LOGGER, on_message, NULL,
        MHD_OPTION_NOTIFY_CONNECTION, on_connection, lane, MHD_OPTION_CONNECTION_LIMIT, UINT_MAX,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)4096, MHD_OPTION_END);
    assert_non_null(lane->share.daemon);
    lane->share.next = h.acceptor.first;
    h.acceptor.first = &lane->share;
}

void house_build(const char *host, int lanes, int most)
{
    const struct address here = {.port = "0"};
    struct address address = here;
    struct err e;
    char name[300];
    memset(&h, 0, sizeof h);
    atomic_store(&open_most, 0);
    snprintf(address.host, sizeof address.host, "%s", host);
    assert_int_equal(address_listen(&address, &h.fd, &e), ERR_OK);
    address_of(h.fd, name, sizeof name);
    h.port = atoi(strrchr(name, ':') + 1);
    h.lines = tmpfile();
    assert_non_null(h.lines);
    h.log.fd = fileno(h.lines);
    for (h.lanes = 0; h.lanes < lanes; h.lanes++)
        start_lane(&h.lane[h.lanes], h.lanes);
    h.acceptor.most = (size_t)most;
    h.acceptor.log = &h.log;
}

void house_open(int lanes, int most)
{
    struct err e;
    house_build("127.0.0.1", lanes, most);
    assert_int_equal(acceptor_start(&h.acceptor, h.fd, &e), ERR_OK);
}

void house_close(void)
{
    acceptor_stop(&h.acceptor);
    for (int i = 0; i < h.lanes; i++)
        MHD_stop_daemon(h.lane[i].share.daemon);
    acceptor_close(&h.acceptor);
    fclose(h.lines);
    assert_int_equal(atomic_load(&open_now), 0);
}

int house_complaints(void)
{
    char line[1000];
    int count = 0;
    rewind(h.lines);
    while (fgets(line, sizeof line, h.lines))
        count += strstr(line, "no connection can be taken") != NULL;
    return count;
}

/* ---- its guests ---------------------------------------------------------------------------- */

void house_ask(int fd)
{
    assert_true(raw_send(fd, ASK, sizeof ASK - 1));
}

int house_lane_of(int fd)
{
    char answer[1000];
    return raw_read_until(fd, "lane ", answer, sizeof answer) ? atoi(strstr(answer, "lane ") + 5)
                                                              : -1;
}

int house_ask_and_read(int fd)
{
    house_ask(fd);
    return house_lane_of(fd);
}

bool house_is_silent(int fd, int ms)
{
    struct pollfd answer = {.fd = fd, .events = POLLIN};
    return poll(&answer, 1, ms) == 0;
}

void house_burst(int *fd, int connections, int *count, int *of)
{
    for (int i = 0; i < connections; i++)
        fd[i] = raw_connect(h.port);
    for (int i = 0; i < connections; i++)
        house_ask(fd[i]);
    for (int i = 0; i < connections; i++) {
        of[i] = house_lane_of(fd[i]);
        assert_in_range(of[i], 0, h.lanes - 1);
        count[of[i]]++;
    }
}

void house_await_ends(size_t ends)
{
    size_t ended = 0;
    for (int i = 0; i < 2000 && ended < ends; i++, poll(NULL, 0, 5)) {
        ended = 0;
        for (int k = 0; k < h.lanes; k++)
            ended += atomic_load(&h.lane[k].share.ended);
    }
    assert_int_equal(ended, ends);
}

int house_most(void)
{
    return atomic_load(&open_most);
}

void house_lacks_memory(enum house_lack lack)
{
    atomic_store(&no_memory, lack);
}

void house_shut(bool is_shut)
{
    atomic_store(&shut, is_shut);
}
