/* api/fit.h - the training of a job: epochs over a model's batches, as a PyTorch loop over a
 * DataLoader makes them.
 *
 * A plan says all that is to be done, a place how far it is; both are plain data with one text (in
 * the job's row, in checkpoints, in the journal's rows), so what is done again from them gives the
 * same bits. Minibatches, order and generator follow from plan and place.
 *
 * Threads: as the session it belongs to; in line.
 */
#ifndef API_FIT_H
#define API_FIT_H

#include "api/batch.h"
#include "api/json_in.h"
#include "api/json_out.h"
#include "api/step.h"
#include "engine/rng.h"
#include "engine/schedule.h"

struct scratch;
struct session;

struct fit_plan {
    int64_t job; /* its number */
    int64_t epochs, batch_size, seed;
    bool shuffle, stops_early;
    double validation_split;
    int64_t patience; /* epochs without a loss that is better by more than … */
    double min_delta;
    struct schedule schedule;
    int64_t last_batch;       /* the data: all batches up to this one, … */
    int64_t rows, train_rows; /* … with so many rows, of which the first so many train */
};

struct fit_place {
    int64_t epoch;      /* those that are over */
    int64_t position;   /* rows of the next one that are done: those that train come first */
    int64_t step;       /* made by the job */
    int64_t waited;     /* epochs that were not better */
    double base_lr, lr; /* the rate before the first epoch, and after what was done last */
    double sum, validation_sum; /* of the epoch's losses, each times its rows if they are means */
    double loss, validation_loss, best; /* of the last epoch that is over; NaN: none */
    bool ended, stopped_early;
    int64_t started_at;
};

/* Some rows that follow each other, of one batch. */
struct fit_run {
    int64_t first;
    const struct batch *batch;
};

struct fit {
    struct fit_plan plan;
    struct fit_place place;
    struct rng rng; /* before anything is drawn for the next epoch */
    char *verdict;  /* owned: what came of it, if that could not be kept yet */
    /* Made when it is needed, and all of it or nothing: */
    struct batch *mini; /* owned: room for the rows of a step */
    struct fit_run *run;
    size_t runs;
    uint32_t *order;  /* of the rows that train; NULL: as they are */
    int64_t order_of; /* the epoch that has this order; -1: none */
    struct rng drawn; /* behind what was drawn for it */
};

/* The fields that a client gives. Defaults are a DataLoader's, but for batch_size: 32.
 *   errors INVALID with the pointer */
MUST_USE enum err_kind fit_plan_read(const cJSON *object, struct fit_plan *out, struct err *e);
extern const char *const fit_plan_fields[]; /* NULL ends them */
/* Names the data: all batches that s has. In line.
 *   errors INVALID they do not go together, or the split leaves no rows · CONFLICT there are none
 */
MUST_USE enum err_kind fit_plan_data(struct fit_plan *p, const struct session *s, struct err *e);
/* The fields as members of an open object, all of them but epochs. */
void fit_plan_write(struct json_out *w, const struct fit_plan *p);
int64_t fit_plan_steps(const struct fit_plan *p); /* if it does not end early */

/* Plan and place as an object; whole: with the generator too. */
void fit_write(struct json_out *w, const struct fit *f, bool whole);
/* errors IO: it is no such text */
MUST_USE enum err_kind fit_read(const cJSON *object, struct fit *out, struct err *e);
/* The same for a text of its own. errors IO · NOMEM */
MUST_USE enum err_kind fit_read_text(const char *text, struct fit *out, struct err *e);

/* Puts a fresh one into s, in the place of any other. errors NOMEM */
MUST_USE enum err_kind fit_begin(struct session *s, const struct fit_plan *plan, struct err *e);
void fit_free(struct fit *f); /* NULL is fine */
/* Frees what can be made again: its batches may go. NULL is fine. */
void fit_forget_work(struct fit *f);
size_t fit_bytes(const struct fit *f); /* of memory; NULL: 0 */

/* Before any of the following. errors CONFLICT its data is not there any more · NOMEM */
MUST_USE enum err_kind fit_ready(struct session *s, struct fit *f, struct err *e);
static inline bool fit_is_training(const struct fit *f)
{
    return f->place.position < f->plan.train_rows;
}
static inline bool fit_epoch_is_over(const struct fit *f)
{
    return f->place.position >= f->plan.rows;
}
/* Does another step follow for certain the one that is next? */
bool fit_goes_on(const struct fit *f);
/* The next step. end, errors: as session_step, after which the place is as it
 * was. */
MUST_USE enum err_kind fit_step(struct session *s, struct fit *f, struct scratch *scratch,
                                enum step_end end, struct step_result *r, struct err *e);
/* The loss over some more of the rows held out. errors NOMEM */
MUST_USE enum err_kind fit_validate(struct session *s, struct fit *f, struct scratch *scratch,
                                    struct err *e);
/* The epoch is over: its losses, the next rate, and whether it was the last. */
void fit_end_epoch(struct session *s, struct fit *f);

#endif
