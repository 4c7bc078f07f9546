/* api/stream.c - one who listens: from its opening to its last word (api/events.h). */
#include <string.h>

#include "api/events.h"
#include "api/state.h"
#include "engine/mem.h"

/* ---- coming and going ------------------------------------------------------------------------ */

static void count(struct stream *s)
{
    size_t now = mem_size(s) + mem_size(s->text.text);
    atomic_fetch_add(&s->api->events.bytes, now - s->counted);
    s->counted = now;
}

static void list_locked(struct events *h, struct stream *s) REQUIRES(h->lock)
{
    s->next = s->topic->first;
    if (s->next)
        s->next->prev = s;
    s->topic->first = s;
    s->next_all = h->first;
    if (s->next_all)
        s->next_all->prev_all = s;
    h->first = s;
    atomic_fetch_add(&h->streams, 1);
}

static void unlist_locked(struct events *h, struct stream *s) REQUIRES(h->lock)
{
    *(s->prev ? &s->prev->next : &s->topic->first) = s->next;
    if (s->next)
        s->next->prev = s->prev;
    *(s->prev_all ? &s->prev_all->next_all : &h->first) = s->next_all;
    if (s->next_all)
        s->next_all->prev_all = s->prev_all;
    atomic_fetch_sub(&h->streams, 1);
}

static enum err_kind enter_locked(struct events *h, struct stream *s, const char *id,
                                  const struct event_state *state, struct err *e) REQUIRES(h->lock)
{
    size_t most = s->api->config.max_streams;
    if (h->ended)
        return err_set(e, ERR_UNAVAILABLE, "", "the daemon is stopping");
    if (atomic_load(&h->streams) >= most)
        return err_set(e, ERR_UNAVAILABLE, "", "%zu streams of events are open already", most);
    s->topic = events_join(h, id, state);
    if (!s->topic)
        return err_set(e, ERR_NOMEM, "", "no memory for the stream");
    list_locked(h, s);
    return ERR_OK;
}

enum err_kind stream_open(struct api *a, const char *id, const struct event_state *state,
                          struct json_out *text, struct stream **out, struct err *e)
{
    struct stream *s = mem_array(1, sizeof *s);
    if (!s || !json_out_end(text)) {
        mem_free(s);
        return err_set(e, ERR_NOMEM, "", "no memory for the stream");
    }
    s->api = a;
    s->after = state->step;
    lock_take(&a->events.lock);
    enum err_kind rc = enter_locked(&a->events, s, id, state, e);
    lock_give(&a->events.lock);
    if (rc) {
        mem_free(s);
        return rc;
    }
    s->text = *text;
    *text = (struct json_out){.text = NULL};
    count(s);
    *out = s;
    return ERR_OK;
}

void stream_close(struct stream *s)
{
    if (!s)
        return;
    struct events *h = &s->api->events;
    lock_take(&h->lock);
    unlist_locked(h, s);
    events_leave(h, s->topic);
    lock_give(&h->lock);
    atomic_fetch_sub(&h->bytes, s->counted);
    json_out_close(&s->text);
    mem_free(s);
}

void stream_listen(struct stream *s, const struct stream_owner *owner)
{
    s->owner = *owner;
}

bool stream_sleep(struct stream *s)
{
    struct events *h = &s->api->events;
    lock_take(&h->lock);
    s->asleep = !s->due && !h->ended;
    bool asleep = s->asleep; /* s may be woken, and gone, from here on */
    lock_give(&h->lock);
    return asleep;
}

/* ---- what it says --------------------------------------------------------------------------- */

/* A long text is of the opening; later ones are short, and use the same memory over and over. */
#define TEXT_KEPT ((size_t)4096)

static void clear_text(struct stream *s)
{
    if (s->text.room > TEXT_KEPT)
        json_out_close(&s->text);
    s->text.bytes = s->sent = 0;
}

/* The next text of a stream that has sent all of the last one. */
static enum stream_progress refill(struct stream *s)
{
    struct events *h = &s->api->events;
    enum stream_progress how = STREAM_TEXT;
    clear_text(s);
    lock_take(&h->lock);
    if (s->gone)
        how = STREAM_GONE;
    else if (h->ended || s->over)
        how = STREAM_OVER;
    else if (!s->due)
        how = STREAM_QUIET;
    if (how == STREAM_TEXT) {
        stream_write_news(s, &s->news);
        if (s->comment)
            json_plain(&s->text, ":\n\n");
        s->over = s->news.deleted;
        s->news = (struct news){.state = false};
        s->due = s->comment = false;
    }
    lock_give(&h->lock);
    if (s->text.failed) /* the client comes back, and gets it then */
        how = STREAM_OVER;
    count(s);
    return how == STREAM_TEXT && s->text.bytes == 0 ? STREAM_QUIET : how;
}

enum stream_progress stream_read(struct stream *s, char *out, size_t room, size_t *bytes)
{
    *bytes = 0;
    enum stream_progress how = s->sent < s->text.bytes ? STREAM_TEXT : refill(s);
    if (how != STREAM_TEXT)
        return how;
    size_t left = s->text.bytes - s->sent;
    *bytes = left < room ? left : room;
    memcpy(out, s->text.text + s->sent, *bytes);
    s->sent += *bytes;
    return STREAM_TEXT;
}
