/* api/jobs.h - the jobs that are not finished, and whose turn it is.
 *
 * A model's jobs run one after the other, each in slices; a slice is a call in the model's line
 * that the daemon gives itself (api_job_due), and the next one comes only when what it did is kept.
 * Of the models with jobs JOBS_AT_A_TIME have a slice under way; the others wait in a queue, to
 * whose end each goes back. One whose slice failed rests until the next second.
 *
 * What a job is, and that it is not finished yet, is its row in the store (storage/store_job.c);
 * how far it is belongs to the state of its model (api/fit.h). What is here is a copy, for who
 * looks.
 *
 * Whatever changes about a job for those who watch it passes here: jobs_add, jobs_note,
 * jobs_remove.
 *
 * Threads: any; `lock` is a leaf, and guards what is marked [j].
 */
#ifndef API_JOBS_H
#define API_JOBS_H

#include "api/fit.h"
#include "engine/lock.h"
#include "storage/store.h"

#define JOBS_OF_A_MODEL 16
#define JOBS_MAX        100000
#define JOBS_AT_A_TIME  64
#define JOBS_BUCKETS    1024

struct api;
struct session;
struct store_txn;

enum job_state { JOB_QUEUED, JOB_RUNNING, JOB_DONE, JOB_CANCELLED, JOB_DIVERGED, JOB_FAILED };

/* What there is to know of a job. */
struct job_view {
    int64_t n, created_at;
    char model[STORE_ID_BYTES];
    enum job_state state;
    struct fit_plan plan;
    struct fit_place place;
    bool seen;            /* the place is true: the model was in memory since the start */
    double rows, seconds; /* that went through it in this run of the daemon, and how long it took */
};

/* [j] all of it */
struct job {
    struct job *later, *namesake; /* of its model, in order; in its bucket */
    struct model_jobs *model;
    struct model_jobs *spare; /* for a model that has no other job; until it is added */
    struct job_view view;
    bool begun;         /* it had a slice in this run of the daemon */
    int64_t began, ran; /* ns: its first slice in this run, and the end of its last one */
};

struct model_jobs {
    struct model_jobs *next, *namesake; /* in the list it is in; in its bucket */
    struct job *first;
    size_t count;
    bool has_turn; /* a slice is under way: it is in no list */
    char id[];
};

struct jobs_list {
    struct model_jobs *first, *last;
};

struct jobs {
    struct lock lock;
    struct model_jobs *model[JOBS_BUCKETS];
    struct job *job[JOBS_BUCKETS];
    struct jobs_list queue, resting; /* [j] */
    size_t turns;                    /* [j] slices under way */
    size_t count, bytes;             /* [j] of all jobs */
    int64_t last;                    /* [j] number given */
};

/* Brings what the store has. What is damaged is told, and left where it is. errors IO · NOMEM */
MUST_USE enum err_kind jobs_open(struct api *a, struct err *e);
void jobs_close(struct jobs *j);

/* The next number. */
int64_t jobs_number(struct jobs *j);
/* Makes a job that no one knows yet; NULL: no memory. jobs_add it, or jobs_drop it. */
MUST_USE struct job *jobs_make(const char *model, const struct fit_plan *plan, int64_t created_at);
/* Its model has room for another one. errors BUSY · UNAVAILABLE */
MUST_USE enum err_kind jobs_check_room(struct jobs *j, const char *model, struct err *e);
void jobs_drop(struct job *job); /* NULL is fine */
/* It is in the store: it waits for its turn from now on. */
void jobs_add(struct jobs *j, struct job *job);
/* It is finished; no-op if it is not here. */
void jobs_remove(struct jobs *j, int64_t n);

/* The first job of the model, which is the one to run. false: it has none. */
bool jobs_first(struct jobs *j, const char *model, struct job_view *out);
/* false: it is not here, so it is finished, if it ever was. */
bool jobs_find(struct jobs *j, int64_t n, struct job_view *out);
/* The same for the model's job at that place (0, 1, …). */
bool jobs_at(struct jobs *j, const char *model, size_t place, struct job_view *out);
/* The number of an unfinished job that uses the batch; 0: none does. */
int64_t jobs_using(struct jobs *j, const char *model, int64_t batch);
/* How far job n is now, after a slice that began at that time (ns), went through so many rows, and
 * is kept. */
void jobs_note(struct jobs *j, int64_t n, const struct fit_place *place, int64_t began,
               double rows);

/* The model of s has been loaded: how far its job is, or that it is over, which frees it. */
void jobs_note_loaded(struct jobs *j, struct session *s);

/* Would jobs_take_turn find one? */
bool jobs_are_waiting(struct jobs *j);
/* Gives the model at the queue's head its turn, and writes its id. false: nobody's turn. */
bool jobs_take_turn(struct jobs *j, char id[STORE_ID_BYTES]);
/* The slice is over, and what it did kept. rests: it failed. */
void jobs_end_turn(struct jobs *j, const char *id, bool rests);
/* Those that rest may try again. */
void jobs_wake(struct jobs *j);

struct jobs_stats {
    size_t queued, running, bytes;
};
struct jobs_stats jobs_stats(struct jobs *j);

/* ---- the representation (api/job_out.c) ---------------------------------------------------- */

extern const char *const job_state_names[];
/* finished_at 0: it is not; problem NULL: none, or JSON. */
void job_write(struct json_out *w, const struct job_view *v, int64_t finished_at,
               const struct json_out *problem);
/* That of a finished one, to be kept until txn is committed: NULL: no memory, which the commit
 * tells. */
const char *job_verdict(struct store_txn *txn, const struct job_view *v, enum job_state state);
/* Tells those who listen to its model's events what an unfinished job is like now, or that it is
 * over. Any thread. */
void job_tell(struct api *a, int64_t n);
void job_tell_end(struct api *a, const struct job_view *v, enum job_state state);

#endif
