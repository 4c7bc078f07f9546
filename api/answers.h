/* api/answers.h - one effect for one Idempotency-Key.
 *
 * The answer to a request with a key is kept together with the effect, in its transaction: of the
 * change's row in the journal, or of the new model or checkpoint; for a model without a journal
 * with its next checkpoint, which is what keeps the effect. So after a crash both are there or
 * neither, and a repeat is answered from what was kept or is done for the first time.
 *
 * Here are the requests that run now, and the answers that the store does not have yet. Errors
 * without an effect free their key.
 *
 * Threads: any; `lock` is a leaf, and guards what is marked [k].
 */
#ifndef API_ANSWERS_H
#define API_ANSWERS_H

#include "engine/lock.h"
#include "storage/store.h"

#define ANSWERS_BUCKETS 1024

/* A key in use. */
struct kept {
    struct kept *next;          /* [k] in its bucket */
    struct kept *later;         /* [k] in its model's list of unkept answers */
    struct kept *newer;         /* [k] in the list of those that need not be kept */
    bool running;               /* [k] its request is not answered yet */
    struct store_answer answer; /* its key and digest [I]; the rest once it was answered, and then
                                   its body is owned */
};

/* The answers of one model that go with its next checkpoint, in order. */
struct unkept {
    struct kept *first, *last; /* [k] */
};

struct answers {
    struct lock lock;
    struct kept *bucket[ANSWERS_BUCKETS]; /* [k] */
    struct kept *oldest, *newest;         /* [k] answers without an effect: first to be forgotten */
    size_t count, bytes;                  /* [k] of all, and of their bodies */
};

void answers_init(struct answers *a);
void answers_close(struct answers *a);

/* What they take of memory. */
size_t answers_memory(struct answers *a);

/* Takes key for a request. Either *out is the key, running now, to be ended by one of the calls
 * below; or *out is NULL and *found is the answer that it had (mem_free its body).
 *   errors  CONFLICT  its request is running
 *           INVALID   it was used for another request
 *           UNAVAILABLE too many answers wait to be kept · IO · NOMEM */
MUST_USE enum err_kind answers_begin(struct answers *a, struct store *s, const char *key,
                                     int64_t digest, struct kept **out, struct store_answer *found,
                                     struct err *e);
/* Its request had no effect, or the store has the answer: the key is forgotten here. */
void answers_forget(struct answers *a, struct kept *k);
/* It was answered, without an effect that needs keeping. The answer is copied; without memory for
 * that the key is forgotten. */
void answers_note(struct answers *a, struct kept *k, const struct store_answer *answer);
/* It was answered and changed a model: the answer (copied) joins `to`. false: no memory. */
MUST_USE bool answers_add(struct answers *a, struct kept *k, const struct store_answer *answer,
                          struct unkept *to);

/* Moves all of `from` to `to`, before what is there. */
void answers_move(struct answers *a, struct unkept *from, struct unkept *to);
/* Puts all of a list into a transaction; they stay where they are until it has ended. */
void answers_insert(struct answers *a, const struct unkept *list, struct store_txn *txn);
/* Their model is gone: they need not be kept any more. */
void answers_release(struct answers *a, struct unkept *list);
/* The store has them all: they are forgotten here. */
void answers_forget_all(struct answers *a, struct unkept *list);

#endif
