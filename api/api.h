/* api/api.h - all that the server sees of the application: a request goes in, an answer comes out.
 *
 * The server calls; the api calls back where a function says so, knows no sockets and starts no
 * threads of its own.
 *
 * A request's way:
 *     call_new, call_target, call_header*        the request's first lines
 *     call_admit                                 404, 405, 413, 415 are decided here
 *     call_body*                                 only if call_admit said so
 *     call_mode, call_model                      where and in which line it runs
 *     call_work, again while it says so          on a worker, or at once for CALL_INLINE;
 *                                                or call_work_together
 *     call_keep, api_flush                       only if call_work said so
 *     call_answer                                status, headers, body
 *     call_stream, stream_*                      only if the body has no end
 *     call_free
 * Any of these that returns false has composed an answer: send it.
 *
 * Threads: an api is shared by all; a call belongs to one thread at a time.
 */
#ifndef API_API_H
#define API_API_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/err.h"

struct api;
struct call;
struct crew;
struct scratch;
struct stream;

struct api_config {
    const char *data;           /* the store's file */
    bool network_files;         /* it may lie on a network file system */
    const char *backup_dir;     /* folder of the backups; NULL or "": the data's */
    const char *version;        /* of the program, for /metrics */
    const char *isa;            /* "auto", or an instruction set's name */
    size_t max_body;            /* bytes of one request's body */
    size_t max_model_bytes;     /* of one model's parameters */
    int64_t max_batches;        /* pushed batches a model */
    size_t max_batch_bytes;     /* of a model's pushed batches together */
    size_t memory;              /* bytes of models and batches that are kept in memory unused */
    int64_t checkpoint_steps;   /* a checkpoint at the latest after so many steps … */
    int64_t checkpoint_seconds; /* … or so long after the first change since the last one */
    size_t autograd_memory;     /* bytes that all programs may take together */
    int64_t autograd_seconds;   /* that a program may run */
    size_t max_streams;         /* of events, at a time */
};

/* Opens the store. errors: CONFLICT the file belongs to another daemon · IO · INVALID isa */
MUST_USE enum err_kind api_open(const struct api_config *config, struct api **out, struct err *e);
/* Writes a checkpoint of every model that has changes to replay and closes the store. No call may
 * be left. What hurry (NULL: never; called now and then) says true to is left for the next start to
 * replay. IO: something could not be kept. a NULL is fine. */
MUST_USE enum err_kind api_close(struct api *a, bool (*hurry)(void *arg), void *arg, struct err *e);
const char *api_isa(const struct api *a);
/* false: the storage failed, and nothing more is kept; only a new start helps. Any thread. */
bool api_is_healthy(struct api *a);
/* What the server alone can count, for /memory and /metrics: it writes, the api reads. */
struct api_gauges {
    atomic_size_t connection_bytes; /* [a] memory that the transport holds for open connections */
};
/* Borrowed from a. */
struct api_gauges *api_gauges(struct api *a);
/* From now on long calls end at their next slice, /readyz says 503, and streams are over. Any
 * thread. */
void api_drain(struct api *a);

/* Reads all that the store holds and replays every journal, without changing anything. tell is
 * called for everything that is wrong and, in the end, with a summary; *sound: nothing was.
 *   errors  IO the store cannot be read on · NOMEM */
MUST_USE enum err_kind api_verify(struct api *a, void (*tell)(void *arg, const char *line),
                                  void *arg, bool *sound, struct err *e);

/* Working memory of one thread that runs calls (tape, workspace); NULL: no memory. The most of it
 * is taken when it is first used: an idle daemon has none. */
MUST_USE struct scratch *scratch_new(struct api *a);
void scratch_free(struct scratch *s);
/* What is large in the calls that run on s is shared with crew (engine/crew.h), and their slices
 * are longer while *waiting, the number of calls that wait for a thread, is 0. Both are borrowed.
 * Before its first call. */
void scratch_join(struct scratch *s, struct crew *crew, const atomic_size_t *waiting);
/* What a thread lends a part of an errand, if it runs no call on s meanwhile. Borrowed from s;
 * NULL: no memory. */
void *scratch_workspace(struct scratch *s);

/* Where a call runs: a column of the route table. */
enum call_mode {
    CALL_INLINE,  /* at once, on the thread that received it: never blocks */
    CALL_READ,    /* on any worker, beside everything else */
    CALL_BETWEEN, /* alone with its model, but let in between the slices of a long call */
    CALL_CHANGE,  /* alone with its model, in order of arrival */
};

/* NULL: no memory. */
MUST_USE struct call *call_new(struct api *a);
void call_free(struct call *c);

/* method and the raw request target, "/models/digits/losses?after=3", at most 8 KiB.
 * false: 400, 404 or 405 (with Allow). */
bool call_target(struct call *c, const char *method, const char *target);
/* The headers that matter: Content-Type, Accept, X-Request-Id, Idempotency-Key, …; others are
 * ignored, so every header may be passed. false: 400, a value that cannot be. */
bool call_header(struct call *c, const char *name, const char *value);
/* After the headers. length: Content-Length, or -1 for a chunked body, or 0.
 * false: 413 or 415. */
bool call_admit(struct call *c, int64_t length);
/* Appends to the body. false: 413, over the route's limit, or 503, no memory. */
bool call_body(struct call *c, const void *data, size_t bytes);

enum call_mode call_mode(const struct call *c);
/* The id of the model whose line it stands in, "" for CALL_INLINE and CALL_READ, and for what has
 * no model: that has a line of its own. */
const char *call_model(const struct call *c);
/* Bytes that the call holds while it waits. */
size_t call_bytes(const struct call *c);

/* Is a slice of it over sooner than another thread could take it? Asked by who has its model's line
 * (a CALL_READ needs none), before the first call_work. Never blocks.
 *   unhurried  nobody waits for this thread whom some tenths of a millisecond would keep: these are
 *              light then */
bool call_is_light(struct call *c, bool unhurried);

enum call_progress {
    CALL_ANSWERED,
    CALL_AGAIN,  /* the slice is over: call it again, after others had their turn */
    CALL_UNKEPT, /* answered, but what it changed is not kept yet: call_keep, before anybody else
                    has the model's line */
};
/* Runs the handler for at most about slice_ns. scratch may be NULL for CALL_INLINE. */
enum call_progress call_work(struct call *c, struct scratch *s, int64_t slice_ns);

/* Calls that wait may be run together, as one product; each with its own answer, the same as
 * alone. */
#define CALLS_TOGETHER_MAX 32
/* Which a call may be run together with: those of the same group, a model's id; "": it runs alone.
 * What has a group is a CALL_READ and answered in one slice. */
const char *call_group(const struct call *c);
/* call_work for calls of one group, CALLS_TOGETHER_MAX at the most. All are answered. */
void call_work_together(struct call *const *call, size_t calls, struct scratch *s,
                        int64_t slice_ns);

/* Hands the change over to be kept with the next api_flush, or sooner. Then, or if it could not be
 * kept (the answer is another one then), `kept` runs once, on any thread, maybe before this
 * returns; until then c may not be freed. */
void call_keep(struct call *c, void (*kept)(void *arg), void *arg);
/* Has all of them kept that were handed over, together: on this thread if that is quick. */
void api_flush(struct api *a);
/* The same; while the store is busy with something else, it waits a moment for that. */
void api_flush_patiently(struct api *a);

/* Composes a problem+json answer in place of any other, for what the server decides itself.
 * retry_after: seconds, 0 for no such header. */
void call_refuse(struct call *c, enum err_kind kind, int retry_after, const char *format, ...)
    PRINTF_LIKE(4, 5);

struct answer {
    int status; /* HTTP's */
    const char *body;
    size_t bytes;
    /* name, value pairs, NULL ends them: Content-Type, Location, Allow, Retry-After, … */
    const char *header[2 * 8 + 1];
};
/* Borrowed from c. */
const struct answer *call_answer(const struct call *c);
/* ---- streams: an answer whose body goes on ----------------------------------------------- */

/* Of an answered call; borrowed from c. NULL: its body is all there is. */
struct stream *call_stream(const struct call *c);

enum stream_progress {
    STREAM_TEXT,  /* there was something to send */
    STREAM_QUIET, /* there is nothing now: stream_sleep */
    STREAM_OVER,  /* nothing comes any more */
    STREAM_GONE,  /* its client has gone */
};
/* Writes what comes next to out, at most room bytes of it. */
enum stream_progress stream_read(struct stream *s, char *out, size_t room, size_t *bytes);
/* Who sends it.
 *   wake  called once, on any thread, after each stream_sleep that was true; then s may be gone
 *   gone  has the client gone? Asked now and then of one that sleeps; never blocks */
struct stream_owner {
    void (*wake)(void *arg);
    bool (*gone)(void *arg);
    void *arg;
};
/* Before the first stream_sleep. */
void stream_listen(struct stream *s, const struct stream_owner *owner);
/* The owner sleeps already, and is to be woken; false: not so, there is something to read. */
MUST_USE bool stream_sleep(struct stream *s);
/* Waits until there is news (not so soon again that it would come in too small pieces), and wakes
 * the streams that have some. false: api_end_streams was called. For one thread. */
bool api_tell_streams(struct api *a);
/* About once a second: wakes those whose client has gone, and all that are to send a sign of life.
 * For one thread. */
void api_tick_streams(struct api *a);
/* All streams are over, and none sleeps from now on. Any thread. */
void api_end_streams(struct api *a);

/* For the log line: the request id, and where an error was born ("" if none). */
const char *call_request_id(const struct call *c);
const char *call_origin(const struct call *c);

/* The next thing that the operator should know, for the log; false: there is none. Any thread. */
#define API_NOTICE_BYTES 900
bool api_next_notice(struct api *a, char out[API_NOTICE_BYTES]);

/* The next internal call that is due (a background checkpoint, models over the budget), to be run
 * like any other and freed; NULL: none now. Called by one thread about once a second, until it says
 * NULL, and sooner again if it did not do so at once. */
MUST_USE struct call *api_due(struct api *a);

/* The next slice of a job, to be run like any other call and freed, which is when the job may have
 * its next one; NULL: none waits. Any thread, whenever a call has ended: cheap if there is none. */
MUST_USE struct call *api_job_due(struct api *a);

/* ---- gradd backup: no api is open ---------------------------------------------------------- */

/* Copies the data to a file at path, which must not exist. *bytes: its size. *in_use: another
 * process has the data; it has to be asked.
 *   errors  NOT_FOUND there is no data · CONFLICT it is in use, or path exists · INVALID · IO */
MUST_USE enum err_kind api_backup(const struct api_config *config, const char *path, int64_t *bytes,
                                  bool *in_use, struct err *e);
/* The body of a POST /admin/backup that asks for the same; mem_free. errors IO · NOMEM */
MUST_USE enum err_kind api_backup_ask(const struct api_config *config, const char *path,
                                      char **body, struct err *e);
/* What the answer to that says. errors UNAVAILABLE it was refused, in the daemon's words */
MUST_USE enum err_kind api_backup_answer(int status, const char *body, size_t bytes,
                                         int64_t *copied, struct err *e);

#endif
