/* api/session.h - a resident model: layers, optimizer, batches, history, its place in the journal.
 *
 * Changed by one thread at a time: whoever runs the head of the model's line (CALL_CHANGE and
 * CALL_BETWEEN). It reads without a lock and writes what the letters say under the write lock;
 * everyone else reads under the read lock. Gradients are only touched in line.
 *
 *   [I] immutable once loaded   [l] in line, written under the write lock
 *   [L] in line only                  [a] atomic   [r] the registry's mutex
 */
#ifndef API_SESSION_H
#define API_SESSION_H

#include <pthread.h>
#include <stdatomic.h>

#include "api/answers.h"
#include "api/batch.h"
#include "api/fit.h"
#include "api/spec.h"
#include "api/step.h"
#include "storage/store.h"

struct api;
struct scratch;

/* Bytes of memory, the allocator's own included. */
struct footprint {
    size_t model, batches;
};

/* The registry's lists of sessions. */
enum registry_list {
    REGISTRY_USED, /* those that may be put away once nobody holds them, the least recently used
                      one first */
    REGISTRY_DUE,  /* those with unsaved changes */
    REGISTRY_LISTS
};
struct session_links {
    struct session *prev, *next;
};

struct session {
    struct api *api;         /* [I] */
    char id[STORE_ID_BYTES]; /* [I] */
    int64_t key, created_at; /* [I] the store's number; ms */
    pthread_rwlock_t lock;
    struct spec spec;        /* [I] but for its options [l] */
    struct module *module;   /* [l] parameters and requires_grad; gradients [L] */
    struct sgd sgd;          /* [l] */
    int64_t step;            /* [l] optimizer steps applied */
    double loss_last;        /* [l] NaN: none */
    atomic_int loss_dtype;   /* [a] enum dtype: of the losses; a program may give another type */
    int64_t updated_at;      /* [l] */
    bool training, diverged; /* [l] */
    struct batch **batch;    /* [l] in order of n */
    size_t batches, batches_room;
    size_t batch_bytes;                  /* [l] of all batches */
    int64_t last_batch, last_checkpoint; /* [l] the highest numbers ever given */
    int64_t cursor;                      /* [L] the batch that was used last in turn */
    int64_t accumulated;                 /* [L] backward calls since the gradients were cleared */
    double loss_pending;                 /* [L] of the last of them */

    /* Losses that the store may not have yet: of the steps tail_first, tail_first + 1, … [l] */
    double *tail;
    size_t tail_count, tail_room;
    int64_t tail_first;

    /* The journal (api/journal.h). */
    int64_t seq;                 /* [L] of the last change */
    int64_t proven_seq;          /* [L] of the one that led to this state: seq, but for damage */
    int64_t base_seq;            /* [L] … that the newest checkpoint holds */
    size_t tail_bytes;           /* [L] of the changes behind that, … */
    int64_t tail_ns;             /* [L] … and the time they took */
    int64_t data_at;             /* [L] the change that has the data of the running call, … */
    const struct batch *data_of; /* [L] … which is this; NULL: none has */
    uint64_t digest;             /* [L] of parameters and momentum … */
    bool digest_known;           /* [L] … if nothing has changed them since */
    atomic_bool lost;            /* [a] a change could not be kept: the store is behind this */
    char *damage; /* [l] owned: what is wrong with its past; NULL: nothing. While there
                     is damage the model is only read, or restored */

    /* Of a model without a journal (durability "none"): */
    bool changed;             /* [L] since the last checkpoint was begun */
    int64_t steps_unsaved;    /* [L] */
    atomic_bool saving;       /* [a] a checkpoint is on its way to the store */
    atomic_bool save_failed;  /* [a] … and did not arrive */
    atomic_int_fast64_t kept; /* [a] losses up to this step are in the store */

    struct unkept unkept; /* [k] answers that go with the next checkpoint */

    struct fit *fit; /* [L] the job under way, as far as it is; NULL: none. Owned */
    bool fitting;    /* [l] … and it runs */

    struct session_links link[REGISTRY_LISTS]; /* [r] */
    int64_t due_since;                         /* [r] ns: when it came into REGISTRY_DUE */
    bool due, listed;                          /* [r] it is in REGISTRY_DUE, REGISTRY_USED */
    int references;                            /* [r] */
    bool gone;                                 /* [r] deleted: nobody finds it any more */
    struct footprint counted;                  /* [r] written in line: of the registry's total */
};

/* A new model as its spec (text) says, with its initial parameters. Its key is 0: set it before it
 * is shared. errors NOMEM */
MUST_USE enum err_kind session_new(struct api *a, const char *id, int64_t created_at,
                                   const char *spec, struct session **out, struct err *e);
/* The same without its parameters: session_draw it, or session_put a checkpoint. */
MUST_USE enum err_kind session_make(struct api *a, const char *id, int64_t created_at,
                                    const char *spec, struct session **out, struct err *e);
/* From the store: spec, newest checkpoint, batches, and the journal done again.
 *   scratch  as replay_model says
 *   errors   NOT_FOUND · IO damaged beyond all checkpoints · NOMEM */
MUST_USE enum err_kind session_load(struct api *a, const char *id, struct scratch *scratch,
                                    struct session **out, struct err *e);
/* Gives a fresh model its initial parameters: left out where a checkpoint is put in their place,
 * since to draw them takes longer than to read them. */
void session_draw(struct session *s);
void session_free(struct session *s);
/* What it takes of memory. In line. (api/footprint.c) */
struct footprint session_footprint(const struct session *s);

struct batch_rules session_rules(const struct session *s);
/* Makes room in the list for one more batch, so that the next session_insert_batch cannot
 * fail. errors NOMEM */
MUST_USE enum err_kind session_reserve_batch(struct session *s, struct err *e);
/* Puts a batch (owned) into the list, where there is room. */
void session_insert_batch(struct session *s, struct batch *b);
void session_drop_batches(struct session *s);
/* NULL: there is none. */
struct batch *session_find_batch(const struct session *s, int64_t n);
void session_remove_batch(struct session *s, int64_t n);
/* The next one in turn, NULL: there are none. */
struct batch *session_batch_in_turn(const struct session *s);
/* The same, and moves the cursor to it. */
struct batch *session_next_batch(struct session *s);

/* About how many multiplications a step (or a forward) over the largest batch that a body of so
 * many numbers at most (0: of no data) may hold or name takes; INFINITY if that is long to tell. In
 * line, but for a forward, which looks at no batches. */
double session_work(const struct session *s, size_t numbers, bool training);

/* zero_grad, forward, loss, backward, update, history. In line.
 *   errors DIVERGED nothing was applied, and the gradients are cleared; result->loss is set
 *          NOMEM */
MUST_USE enum err_kind session_step(struct session *s, struct scratch *scratch,
                                    const struct batch *b, enum step_end end,
                                    struct step_result *result, struct err *e);
/* Forward, loss, backward; gradients add up. *dx (may be NULL) lives on scratch's tape.
 *   errors DIVERGED the gradients are as they were before · NOMEM */
MUST_USE enum err_kind session_backward(struct session *s, struct scratch *scratch,
                                        const struct batch *b, struct step_result *result,
                                        struct tensor **dx, struct err *e);
/* Applies what has been accumulated; result->loss is that of the last backward.
 *   errors CONFLICT there is nothing · DIVERGED · NOMEM */
MUST_USE enum err_kind session_apply(struct session *s, struct step_result *result, struct err *e);
void session_zero_grad(struct session *s);
/* The losses that the store may not have. errors NOMEM */
MUST_USE enum err_kind session_copy_tail(struct session *to, const struct session *from,
                                         struct err *e);
/* Of parameters and momentum. In line, or under the read lock where it is known. */
uint64_t session_digest(struct session *s);
static inline bool session_is_journaled(const struct session *s)
{
    return s->spec.options.durability != DURABILITY_NONE;
}

static inline enum dtype session_loss_dtype(const struct session *s)
{
    return (enum dtype)atomic_load(&s->loss_dtype);
}

/* Writing what others read. */
void session_begin_change(struct session *s);
void session_end_change(struct session *s);
/* The parameters or the momentum were written from outside. Under the write lock. */
void session_touch(struct session *s);
/* The store is behind what s is: who asks for the model next gets it as the store has it
 * (api/registry.c). Any thread. */
void session_lose(struct session *s);
/* Of a model without a journal: it is to be kept by a checkpoint soon. In line. */
void session_note_change(struct session *s);
void session_set_training(struct session *s, bool training);

/* ---- keeping (api/keep.c) ------------------------------------------------------------------ */

struct change;

/* Starts a checkpoint in the background; when one is still under way or there is no memory, the
 * model stays due. In line. */
void session_checkpoint(struct session *s);
/* What is in a checkpoint besides the state: all of it may be left out. */
struct save {
    int64_t n; /* > 0: a client's */
    const char *label;
    int64_t created_at;
    const struct change *change;       /* noted with it */
    const struct store_answer *answer; /* kept with it */
    int64_t job;                       /* > 0: this one is finished with it … */
    const char *verdict;               /* … and that is its text */
};
/* Writes one and waits. In line.
 *   errors IO · FULL · NOMEM. With a change the session is lost then */
MUST_USE enum err_kind session_save(struct session *s, const struct save *what, struct err *e);
/* Writes the losses that the store may not have, and waits: before the session goes to another
 * state, whose history they may be a part of. In line. errors IO · FULL · NOMEM */
MUST_USE enum err_kind session_keep_losses(struct session *s, struct err *e);
/* Is there anything that only this process knows, or that a replay would take? In line. */
bool session_is_unsaved(const struct session *s);
/* Keeps what is unsaved and waits for it, so that the model may leave memory. In line, or nobody
 * else has it. errors IO · NOMEM */
MUST_USE enum err_kind session_put_away(struct session *s, struct err *e);
/* The size that a checkpoint has now. In line. */
size_t session_checkpoint_bytes(const struct session *s);
/* Fills s from a checkpoint of it. IO: it does not fit · NOMEM; then s is as it was */
MUST_USE enum err_kind session_put(struct session *s, const struct store_checkpoint *c,
                                   struct err *e);
/* The same for a model in use, which keeps its durability and its job: these are promises of
 * today's, not a part of the state of then. */
MUST_USE enum err_kind session_go_to(struct session *s, const struct store_checkpoint *c,
                                     struct err *e);
/* Describes s as a checkpoint that points into it. after: json_out_close(state). In line.
 *   errors NOMEM */
MUST_USE enum err_kind session_describe(const struct session *s, struct store_checkpoint *c,
                                        struct json_out *state, struct err *e);
/* {"optimizer", "on_divergence", "durability", "requires_grad"}, and back. */
void session_write_options(struct json_out *w, const struct session *s);
MUST_USE enum err_kind session_read_options(struct session *s, const char *text, struct err *e);

#endif
