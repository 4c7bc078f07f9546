#include "server/feed.h"

#include <string.h>

#include "server/clock.h"

/* Of a piece that libmicrohttpd asks for; some events fit. */
#define BLOCK_BYTES 4096

static void wake(void *arg)
{
    struct feed *f = arg;
    MHD_resume_connection(f->connection);
    /* from here on f may be gone */
}

/* Does the client take what it is sent? libmicrohttpd would see nothing of it: some ten thousand
 * bytes lie in the socket before it has to wait. Who has taken all is not asked again before there
 * is more. */
static bool takes(struct feed *f, int64_t now)
{
    size_t untaken = f->taken < f->bytes ? watch_untaken(f->watched) : 0;
    size_t taken = f->bytes > untaken ? f->bytes - untaken : 0;
    if (untaken == 0 || taken > f->taken)
        f->late_at = now + f->take_ns;
    f->taken = taken;
    return now < f->late_at;
}

static bool has_left(void *arg)
{
    struct feed *f = arg;
    return !takes(f, clock_ns()) || watch_has_left(f->watched);
}

/* First asleep, then certain to be woken, as in request.c: who wakes it may do so at once. A client
 * that sleeps owes us nothing; one that is sent something has its time to take it. */
static ssize_t fall_asleep(struct feed *f)
{
    watch_set(f->watched, WATCH_CLIENT_TAKES, WATCH_NEVER);
    MHD_suspend_connection(f->connection);
    if (!stream_sleep(f->stream))
        MHD_resume_connection(f->connection);
    return 0;
}

/* From now on the client has its time to take what was sent. */
static void begin_taking(struct feed *f)
{
    watch_set(f->watched, WATCH_CLIENT_TAKES, clock_ns() + f->take_ns);
}

static ssize_t read_more(void *arg, uint64_t at, char *out, size_t room)
{
    struct feed *f = arg;
    size_t bytes;
    (void)at;
    enum stream_progress how = stream_read(f->stream, out, room, &bytes);
    if (how == STREAM_QUIET)
        return fall_asleep(f);
    begin_taking(f);
    f->gone = how == STREAM_GONE;
    if (how != STREAM_TEXT)
        return MHD_CONTENT_READER_END_OF_STREAM;
    f->bytes += bytes;
    return (ssize_t)bytes;
}

struct MHD_Response *feed_response(struct feed *f)
{
    f->late_at = clock_ns() + f->take_ns;
    stream_listen(f->stream, &(struct stream_owner){.wake = wake, .gone = has_left, .arg = f});
    return MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, BLOCK_BYTES, read_more, f, NULL);
}

/* ---- the herald ---------------------------------------------------------------------------- */

static void *herald_main(void *arg)
{
    struct api *a = arg;
    while (api_tell_streams(a))
        continue;
    return NULL;
}

enum err_kind herald_start(struct herald *h, struct api *a, struct err *e)
{
    h->api = a;
    int code = pthread_create(&h->thread, NULL, herald_main, a);
    if (code)
        return err_set(e, ERR_UNAVAILABLE, "", "the thread for streams: %s", strerror(code));
    h->runs = true;
    return ERR_OK;
}

void herald_stop(struct herald *h)
{
    if (!h->runs)
        return;
    api_end_streams(h->api);
    pthread_join(h->thread, NULL);
}
