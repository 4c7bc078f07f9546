/* api/registry.h - id -> resident model: a cache over the store, with a budget in bytes.
 *
 * Who asks for a model holds it until it is given back; a miss is loaded from the store, and so is
 * a model whose last change could not be kept (session_lose). What is over the budget is put away:
 * of the models that nobody holds the least recently used ones, each after what it has unsaved was
 * kept (session_put_away). A model that is held stays, so the budget can be passed by what is in
 * use at a time; beyond twice the budget no further model is loaded.
 *
 * Threads: any; [r] is guarded by `lock`, which is a leaf: nothing of another module is called
 * while it is held. Two who ask for the same model at once load it once; who asks for one that is
 * being deleted or put away waits until that is decided.
 */
#ifndef API_REGISTRY_H
#define API_REGISTRY_H

#include "api/roster.h"
#include "api/session.h"
#include "engine/lock.h"

struct registry {
    struct api *api; /* [I] */
    size_t budget;   /* [I] bytes */
    struct lock lock;
    pthread_cond_t settled;                    /* an entry is no longer busy */
    struct roster roster;                      /* [r] */
    struct session_links list[REGISTRY_LISTS]; /* [r] next: the first, prev: the last */
    struct footprint total;                    /* [r] of all models that are in memory */
    size_t leaving;                            /* [r] bytes of those that are being put away */
    int64_t rest_until;                        /* [r] ns: nothing is put away before, since a model
                                                  could not be kept */
    size_t resident;                           /* [r] models that can be found */
    uint64_t loads, put_away;                  /* [r] since the start */
};

/* errors NOMEM */
MUST_USE enum err_kind registry_init(struct registry *r, struct api *a, struct err *e);
/* Frees every session; none is in use. */
void registry_close(struct registry *r);

/* The model, for the caller to give back with registry_put. May wait for the store.
 *   scratch  for its replay, as replay_model says
 *   errors   NOT_FOUND · UNAVAILABLE it is not resident, and those in use fill twice the budget ·
 *            IO · NOMEM */
MUST_USE enum err_kind registry_get(struct registry *r, const char *id, struct scratch *scratch,
                                    struct session **out, struct err *e);
/* It was used, and is now the most recently used one. */
void registry_put(struct registry *r, struct session *s);
/* The same for who only looked at it, or works for the daemon itself: its turn to be put away
 * comes as before. */
void registry_let_go(struct registry *r, struct session *s);
/* As registry_get without waiting: NULL if it is not resident, or busy. */
struct session *registry_peek(struct registry *r, const char *id);
/* Once more, for who has it already. */
void registry_hold(struct registry *r, struct session *s);

/* Counts s anew, if its size has changed. In line. */
void registry_measure(struct registry *r, struct session *s);
/* Puts models away until the rest fits the budget, or is held. Waits for the store. */
void registry_trim(struct registry *r);
/* Would registry_trim find something to do? */
bool registry_is_over(struct registry *r);
/* Could s, which is held, get its gradients and its momentum without anything to be put away? */
bool registry_has_room(struct registry *r, const struct session *s);

/* Around the making of a model: nobody else makes or gets it in between; afterwards it is there,
 * held as after registry_get, or (s NULL) was never there.
 *   errors CONFLICT it is resident · UNAVAILABLE as registry_get · NOMEM */
MUST_USE enum err_kind registry_begin_create(struct registry *r, const char *id, struct err *e);
void registry_end_create(struct registry *r, const char *id, struct session *s);

/* Around the deletion of a model: nobody gets it in between; afterwards it is gone for new callers
 * (who holds it may finish), or there again if the deletion failed.
 *   errors UNAVAILABLE: s was lost meanwhile, and another has taken its place */
MUST_USE enum err_kind registry_begin_delete(struct registry *r, struct session *s, struct err *e);
void registry_end_delete(struct registry *r, struct session *s, bool deleted);

/* Puts s at the end of the list of changed models, once. */
void registry_note_change(struct registry *r, struct session *s);
/* Puts s at the list's head: it is due now. */
void registry_hurry(struct registry *r, struct session *s);
/* Takes it off that list: it is kept as it is. */
void registry_forget_change(struct registry *r, struct session *s);
/* Writes the id of the first changed model, if it changed at or before `by` (ns), and puts it at
 * the list's end as if it changed now: only registry_forget_change takes it off, so that a
 * checkpoint that was refused or failed is tried again. false: none is due. */
bool registry_take_due(struct registry *r, int64_t by, char id[STORE_ID_BYTES]);
/* Calls visit for every resident model while nobody else uses the registry (at the end). */
void registry_each(struct registry *r, void (*visit)(struct session *s, void *arg), void *arg);

struct registry_stats {
    size_t resident;        /* models */
    size_t budget;          /* bytes */
    struct footprint total; /* of all */
    uint64_t loads, put_away;
};
struct registry_stats registry_stats(struct registry *r);

#endif
