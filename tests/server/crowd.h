/* tests/server/crowd.h - many clients at work on models of their own, while their daemon is ended
 * at random instants and started again; and the proof that nothing that was acknowledged was lost,
 * and nothing done twice.
 *
 *     struct crowd c;
 *     crowd_start(&c, &(struct crowd_plan){.seed = 7, .clients = 8, .models = 2, …});
 *     crowd_work(&c, 10);  ten ends
 *     crowd_prove(&c);     at the end, all that was acknowledged is done once more by a daemon that
 *                          is never ended: the answers, and the models, have to be the same bits
 *     crowd_stop(&c);
 * Between two rounds of work crowd_forget makes room for new models.
 *
 * A client has one request on its way. Those with an effect carry an Idempotency-Key, or are such
 * that to do them again changes nothing; so a request that has no answer because its daemon was
 * ended is repeated at the next one, which must come to what it would have come to.
 *
 * Client threads do not assert: the first thing that is wrong ends the work, and the test.
 */
#ifndef TESTS_CROWD_H
#define TESTS_CROWD_H

#include <pthread.h>
#include <stdatomic.h>

#include "tests/server/changes.h"
#include "tests/server/daemon.h"

#define CROWD_CLIENTS_MAX 64
#define CROWD_MODELS_MAX  4 /* of a client */

struct crowd_plan {
    uint64_t seed; /* of all that is drawn; when exactly the daemon ends it does not decide */
    int clients;
    int models;             /* of a client */
    int signal;             /* SIGKILL, or SIGTERM, after which all that was begun is answered */
    long least_ms, most_ms; /* a daemon's life */
};

struct crowd_counts {
    int ends;
    size_t changes;       /* acknowledged */
    size_t cut;           /* repeated, since their daemon ended */
    size_t cut_but_done;  /* of these, answered with the answer that the ended daemon had kept */
    double slowest_start; /* seconds until it listened */
    double slowest_end;   /* seconds from the signal on */
};

/* A change, or a read, that was answered. */
struct acted {
    uint64_t number;    /* that it was made of */
    int64_t steps_done; /* if it was answered with an error after so many; otherwise 0 */
    long status;
    uint64_t digest; /* of the answer, times excepted */
    char begin[48];  /* how that begins */
};

/* A model, and all that was done to it, in order. */
struct crowd_model {
    struct subject subject;
    struct acted *acted;
    size_t count, room;
};

struct crowd_client {
    struct crowd *crowd;
    int number;
    pthread_t thread;
    uint64_t dice;
    int life; /* of the daemon that it is connected to; 0: to none */
    size_t keys;
    struct model_client m;
    struct crowd_model model[CROWD_MODELS_MAX];
    struct crowd_counts counts;
};

struct crowd {
    struct crowd_plan plan;
    struct daemon daemon, reference;
    uint64_t dice;
    int round; /* of work */
    struct crowd_client client[CROWD_CLIENTS_MAX];
    struct crowd_counts counts;
    bool working;     /* the clients' threads run */
    atomic_bool over; /* the clients finish what is on its way */
    pthread_mutex_t mutex;
    pthread_cond_t begun; /* a life, or the end of all */
    int life;             /* [mutex] 0: none yet */
    char url[64];         /* [mutex] */
    char *trouble;        /* [mutex] NULL: none */
};

void crowd_start(struct crowd *c, const struct crowd_plan *plan);
/* The clients work, through so many ends of their daemon and a life more. */
void crowd_work(struct crowd *c, int ends);
void crowd_prove(struct crowd *c);
/* Removes the models, and what was done to them. */
void crowd_forget(struct crowd *c);
/* What has happened so far, as a line. */
void crowd_tell(const struct crowd *c);
/* Works, proves and forgets, in rounds of so many ends, until there were `ends` of them or the time
 * is over; tells of each round. */
void crowd_work_long(struct crowd *c, int ends, double seconds);
/* Ends the daemon well, and leaves nothing. */
void crowd_stop(struct crowd *c);
/* The same after a failure: kills it. */
void crowd_drop(struct crowd *c);

/* For a test of the proof itself: what was acknowledged is falsified before it is repeated. */
struct crowd_lie {
    int client, model;
    size_t place;         /* in what was done to the model */
    int times;            /* that it is repeated: 1 would be the truth */
    bool answers_ignored; /* only the models at the end are compared */
};
/* What differs, for people; NULL: nothing. lie may be NULL. free() it. */
char *crowd_difference(struct crowd *c, const struct crowd_lie *lie);

/* A client's thread; arg: it. Ends when the work is over. */
void *crowd_run_client(void *arg);
/* The first one counts. */
void crowd_note_trouble(struct crowd *c, const char *format, ...) PRINTF_LIKE(2, 3);
bool crowd_has_trouble(struct crowd *c);
/* After the answer to a change that waits: asks until the job is over, takes what came of it for
 * the answer, and asks for the model. Returns the status of the last request; 200: all went well.
 */
long crowd_follow_job(struct model_client *m, const struct subject *subject, int64_t job,
                      struct acted *a);
/* What an answer is known by. */
void crowd_digest(const struct model_client *m, struct acted *a);

#endif
