/* api/events.h - what happens to models, told to those who listen: GET /models/{id}/events.
 *
 * A topic is what is newest of a model that somebody listens to, a stream is one who does. Telling
 * changes the topic and no more, whoever listens and however slowly. A round, some 25 a second
 * while there is news, hands the news of each topic to its streams and wakes those that sleep; each
 * then writes what it has to tell when its client has room for it. So what comes faster is told
 * together: nothing waits in a queue, and the newest is always told. What is told is kept already.
 *
 * Threads: telling, opening and closing are any thread's; the rounds are one thread's, and so are
 * the ticks; a stream is read by one thread at a time. Lock: the hub's, a leaf.
 */
#ifndef API_EVENTS_H
#define API_EVENTS_H

#include "api/api.h"
#include "api/json_out.h"
#include "api/session.h"
#include "engine/lock.h"

/* A second has so many rounds at most. */
#define EVENTS_ROUND_NS INT64_C(40000000)
/* A comment goes to every stream so often. */
#define EVENTS_COMMENT_NS INT64_C(15000000000)
/* Steps of the past that are told to who comes back, at most. */
#define EVENTS_HISTORY 256

#define EVENTS_BUCKETS       256
#define EVENTS_JOBS          8    /* of a model, that may have news at a time */
#define EVENT_JOB_BYTES      2048 /* the longest text of a job's */
#define EVENT_DIVERGED_BYTES 384

/* What a `step` event tells of a model, as it is after a change. */
struct event_state {
    int64_t key; /* the model's */
    int64_t seq; /* of the change */
    bool loose;  /* its changes are not kept one by one: seq stands still */
    int64_t step;
    double loss, lr;
    enum dtype dtype;              /* of the loss */
    const char *reduction, *state; /* constants */
};

/* What there is to tell. Zeroed is nothing. */
struct news {
    bool state;    /* a newer one */
    bool restored; /* the model went back … */
    int64_t back;  /* … to this step, at the lowest */
    bool replaced; /* its parameters were put from outside */
    bool diverged; /* a step was not applied */
    bool deleted;
    unsigned jobs; /* a bit for each place of topic.job */
};

struct event_job {
    int64_t n;      /* 0: none */
    uint64_t stamp; /* the least is the oldest news */
    char *text;     /* owned */
};

/* [e] all of it is guarded by the hub's lock */
struct topic {
    struct topic *next; /* in its bucket */
    struct topic *next_dirty;
    struct stream *first; /* who listens; the last to leave frees it */
    char id[STORE_ID_BYTES];
    struct event_state state;
    struct news news; /* since the last round */
    bool dirty;       /* it waits for the next one */
    bool deleted;     /* it is in no bucket any more */
    char diverged[EVENT_DIVERGED_BYTES];
    struct event_job job[EVENTS_JOBS];
    uint64_t stamps;
};

struct events {
    struct lock lock;
    pthread_cond_t work;                 /* [e] CLOCK_MONOTONIC: a topic is dirty, or the end */
    struct topic *topic[EVENTS_BUCKETS]; /* [e] by key */
    struct topic *dirty;                 /* [e] */
    struct stream *first;                /* [e] all streams */
    int64_t round_at;                    /* [e] ns: the next round not before */
    int64_t comment_at;                  /* [e] ns: the next comment */
    bool ended;                          /* [e] */
    atomic_size_t streams;               /* [a] written under the lock */
    atomic_size_t bytes;                 /* [a] of memory */
};

struct stream {
    struct api *api;                    /* [I] */
    struct topic *topic;                /* [I] */
    struct stream *prev, *next;         /* [e] of its topic's */
    struct stream *prev_all, *next_all; /* [e] */
    struct stream *next_woken;          /* the thread's that wakes it */
    struct stream_owner owner;          /* [I] once it is listened to */
    struct news news;                   /* [e] */
    bool due;                           /* [e] it has something to say */
    bool comment;                       /* [e] if only this */
    bool asleep, gone;                  /* [e] */
    bool over;                          /* [s] the reader's: nothing comes after the text */
    int64_t after;                      /* [s] the step that it told last */
    struct json_out text;               /* [s] being sent … */
    size_t sent;                        /* [s] … so far */
    size_t counted;                     /* [s] bytes of all this */
};

void events_init(struct events *h);
/* No stream is left. */
void events_close(struct events *h);

/* ---- telling ------------------------------------------------------------------------------- */

/* Does anybody listen to anything? All that a change pays while nobody does. */
static inline bool events_wanted(struct events *h)
{
    return atomic_load_explicit(&h->streams, memory_order_relaxed) > 0;
}
/* The state of s now. training: the call goes on. In line. */
struct event_state events_describe(const struct session *s, bool training);
/* The state is kept. Older ones than the last are left out. */
void events_tell(struct events *h, const struct event_state *state);
/* The same of s as it is; in line, after what has changed is kept. */
void events_tell_now(struct session *s);
/* … after it went back to the step that it has. */
void events_tell_restored(struct session *s);
/* … after its parameters were put. */
void events_tell_replaced(struct session *s);
/* A step of the model was not applied. members: of the problem, an object without its end. */
void events_diverged(struct events *h, int64_t key, const char *members, size_t bytes);
/* The model is gone, and its streams end. */
void events_deleted(struct events *h, int64_t key);
/* What there is to know of job n (from 1 on) of a model: json is an object's text on one line, of
 * at most EVENT_JOB_BYTES, and replaces what was not told yet of the same job; copied. Of more than
 * EVENTS_JOBS jobs with news in the same round the oldest news are left out. Any thread; nothing
 * happens if nobody listens to the model. */
void events_job(struct api *a, const char *model, int64_t n, const char *json);

/* The topic of the model in this state, for one more stream; made if it is not there. NULL: no
 * memory. */
MUST_USE struct topic *events_join(struct events *h, const char *id,
                                   const struct event_state *state) REQUIRES(h->lock);
/* A stream has left it: the last one to do so frees it. */
void events_leave(struct events *h, struct topic *t) REQUIRES(h->lock);

/* ---- streams ------------------------------------------------------------------------------- */

/* A stream of the model in this state, which has told all up to it; text is what it says first
 * (taken over, if it opens). errors UNAVAILABLE too many, or the end · NOMEM */
MUST_USE enum err_kind stream_open(struct api *a, const char *id, const struct event_state *state,
                                   struct json_out *text, struct stream **out, struct err *e);
void stream_close(struct stream *s); /* NULL is fine */
/* Of a topic that is locked, the events of the news, into the stream's text. (api/event_text.c) */
void stream_write_news(struct stream *s, const struct news *n);
/* A step event. */
struct step_event {
    const struct event_state *state;
    int64_t after;
    bool past; /* of history: what is of now alone is left out */
    bool restored, replaced;
};
void event_write_step(struct json_out *w, const struct step_event *ev);
/* The end of an id: tells a loss from another at the same step. */
uint32_t event_tag(int64_t step, double loss);

/* One round that does not wait; the rounds' own thread uses api_tell_streams. */
void events_round(struct events *h, int64_t now_ns);
void events_tick(struct events *h, int64_t now_ns);

#endif
