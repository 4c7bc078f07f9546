/* server/pool.h - the workers: they run calls, slice by slice, in turn.
 *
 * Of one model one call runs at a time, in order of arrival (server/line.h); a call that needs
 * more than a slice goes back to the end of the round, so a thousand models share the workers.
 * Calls of one group (call_group) that wait are taken together by whoever comes to the first.
 * A call comes in two steps, since its connection is put to sleep in between:
 *     pool_reserve   may refuse: the pool is full
 *     pool_commit    cannot fail
 *
 * Threads: any thread may call anything but pool_stop and pool_free, which are one thread's.
 */
#ifndef SERVER_POOL_H
#define SERVER_POOL_H

#include <stddef.h>
#include <stdint.h>

#include "engine/crew.h"
#include "server/line.h"

struct pool;

struct pool_config {
    size_t workers;
    size_t line_calls; /* of one model, waiting and running */
    size_t calls;      /* of all, waiting and running */
    int64_t slice_ns;
    size_t here;        /* threads that may be in pool_run_here at a time */
    int64_t hurried_ns; /* so long after a light call more of them are expected */
};

/* Starts the workers. errors: NOMEM · UNAVAILABLE a thread cannot be started */
MUST_USE enum err_kind pool_new(struct api *a, const struct pool_config *config, struct pool **out,
                                struct err *e);

/* Takes a place for job->call; job->call and job->done are set.
 *   errors  BUSY the model's line is full · UNAVAILABLE the pool is full or has stopped · NOMEM */
MUST_USE enum err_kind pool_reserve(struct pool *p, struct job *job, struct err *e);
enum pool_here {
    POOL_DECLINED, /* commit it; should it have been begun, it keeps its place before all others */
    POOL_ANSWERED, /* it has its answer and left the pool, without a call of done */
    POOL_UNKEPT,   /* it has its answer, which may leave when its change is kept: pool_keep it */
};
/* Whom else the thread has that runs a job here. */
enum pool_clients {
    POOL_ALONE, /* the job's client waits for this one answer, and no other seems to be at work */
    POOL_FEW,   /* it is through with a call of each within some milliseconds */
    POOL_MANY,
};
/* Runs a reserved job here and now, for a short slice, if it is light and nobody is in its line. Of
 * who is alone it need not be as light, if no other call runs or waits; nor need a change among
 * few, if no light call has come for hurried_ns and there are as many threads here as workers. */
enum pool_here pool_run_here(struct pool *p, struct job *job, enum pool_clients clients);
/* Is no call running or waiting? */
bool pool_is_quiet(struct pool *p);
/* After POOL_UNKEPT, soon: its line is held. done is called once the change is kept, which is with
 * the next api_flush. */
void pool_keep(struct pool *p, struct job *job);
/* Puts a reserved job in its place. From here on job may be done, and gone, at any moment. */
void pool_commit(struct pool *p, struct job *job);
/* Runs a call that nobody waits for, beyond all bounds, and frees it. */
void pool_submit(struct pool *p, struct call *call);
/* The same for the slices of jobs that are due (api_job_due). */
void pool_submit_jobs(struct pool *p);

/* Ends the workers, each at the end of its slice, and tells all jobs that are left that they will
 * not run; so does pool_commit from now on. When it returns no job is in the pool, and no change
 * waits to be kept. */
void pool_stop(struct pool *p);
/* A pool that was not stopped is stopped first. NULL is fine. */
void pool_free(struct pool *p);

/* The workers that have nothing to run, for those that run calls and whoever else asks: lives as
 * long as the pool. A worker that helps looks for a turn after every part. */
struct crew *pool_crew(struct pool *p);

struct pool_stats {
    size_t queued, running;
    uint64_t done; /* calls answered since the start */
};
struct pool_stats pool_stats(struct pool *p);

#endif
