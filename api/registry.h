/* api/registry.h - id -> resident model. A miss is loaded from the store, and so is a model whose
 * last change could not be kept (session_lose).
 *
 * Threads: any; [r] is guarded by `lock`, which is a leaf: nothing of another module is called
 * while it is held. Two who ask for the same model at once load it once; who asks for one that is
 * being deleted waits until that is decided.
 */
#ifndef API_REGISTRY_H
#define API_REGISTRY_H

#include "api/session.h"
#include "engine/lock.h"

#define REGISTRY_BUCKETS 4096

struct registry {
    struct api *api; /* [I] */
    struct lock lock;
    pthread_cond_t settled;                          /* an entry is no longer busy */
    struct registry_entry *bucket[REGISTRY_BUCKETS]; /* [r] */
    struct session *due_first, *due_last;            /* [r] */
};

void registry_init(struct registry *r, struct api *a);
/* Frees every session; none is in use. */
void registry_close(struct registry *r);

/* The model, for the caller to give back with registry_put. errors NOT_FOUND · IO · NOMEM */
MUST_USE enum err_kind registry_get(struct registry *r, const char *id, struct session **out,
                                    struct err *e);
void registry_put(struct registry *r, struct session *s);
/* The same without waiting: NULL if it is not resident, or busy. */
struct session *registry_peek(struct registry *r, const char *id);
/* Once more, for who has it already. */
void registry_hold(struct registry *r, struct session *s);

/* Around the making of a model: nobody else makes or gets it in between; afterwards it is there,
 * held as after registry_get, or (s NULL) was never there. errors CONFLICT it is resident · NOMEM
 */
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

#endif
