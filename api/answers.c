#include "api/answers.h"

#include <string.h>

#include "engine/mem.h"

/* Bounds of what is in memory. Answers that wait for a checkpoint wait for seconds. */
#define COUNT_MAX 100000
#define BYTES_MAX ((size_t)256 << 20)

void answers_init(struct answers *a)
{
    lock_init(&a->lock);
}

static struct kept **find_locked(struct answers *a, const char *key) REQUIRES(a->lock)
{
    uint64_t h = 14695981039346656037u; /* FNV-1a */
    for (const char *c = key; *c; c++)
        h = (h ^ (unsigned char)*c) * 1099511628211u;
    struct kept **place = &a->bucket[h % ANSWERS_BUCKETS];
    while (*place && strcmp((*place)->answer.key, key) != 0)
        place = &(*place)->next;
    return place;
}

static void remove_locked(struct answers *a, struct kept *k) REQUIRES(a->lock)
{
    struct kept **place = find_locked(a, k->answer.key);
    *place = k->next;
    a->count--;
    a->bytes -= k->answer.bytes;
    mem_free((void *)k->answer.body);
    mem_free(k);
}

void answers_close(struct answers *a) UNCHECKED_LOCKS
{
    for (size_t i = 0; i < ANSWERS_BUCKETS; i++)
        while (a->bucket[i])
            remove_locked(a, a->bucket[i]);
    lock_close(&a->lock);
}

size_t answers_memory(struct answers *a)
{
    lock_take(&a->lock);
    size_t bytes = a->bytes + a->count * (sizeof(struct kept) + MEM_BLOCK_BYTES * 2);
    lock_give(&a->lock);
    return bytes;
}

/* Forgets the oldest answers that need not be kept until there is room. false: there is none. */
static bool make_room_locked(struct answers *a) REQUIRES(a->lock)
{
    while (a->oldest && (a->count >= COUNT_MAX || a->bytes >= BYTES_MAX)) {
        struct kept *k = a->oldest;
        a->oldest = k->newer;
        remove_locked(a, k);
    }
    return a->count < COUNT_MAX && a->bytes < BYTES_MAX;
}

/* ---- taking a key -------------------------------------------------------------------------- */

static enum err_kind check_digest(const struct store_answer *kept, int64_t digest, struct err *e)
{
    if (kept->digest == digest)
        return ERR_OK;
    return err_set(e, ERR_INVALID, "", "this Idempotency-Key was used for another request");
}

/* A copy of a kept answer, for one who looks at it without the lock. */
static enum err_kind copy_answer(const struct store_answer *kept, struct store_answer *out,
                                 struct err *e)
{
    void *body = mem_array(kept->bytes, 1);
    if (!body)
        return err_set(e, ERR_NOMEM, "", "no memory for the answer");
    if (kept->bytes)
        memcpy(body, kept->body, kept->bytes);
    *out = *kept;
    out->body = body;
    return ERR_OK;
}

static enum err_kind look_locked(const struct kept *k, int64_t digest, struct store_answer *found,
                                 struct err *e)
{
    enum err_kind rc = check_digest(&k->answer, digest, e);
    if (!rc && k->running)
        rc = err_set(e, ERR_CONFLICT, "", "the request with this Idempotency-Key is running");
    return rc ? rc : copy_answer(&k->answer, found, e);
}

/* Finds the key among those in memory, or takes it. */
static enum err_kind take(struct answers *a, const char *key, int64_t digest, struct kept **out,
                          struct store_answer *found, struct err *e)
{
    enum err_kind rc = ERR_OK;
    *out = NULL;
    lock_take(&a->lock);
    bool room = make_room_locked(a);
    struct kept **place = find_locked(a, key);
    if (*place) {
        rc = look_locked(*place, digest, found, e);
    } else if (!room) {
        rc = err_set(e, ERR_UNAVAILABLE, "", "too many answers wait to be kept");
    } else if ((*out = mem_array(1, sizeof **out)) == NULL) {
        rc = err_set(e, ERR_NOMEM, "", "no memory for an Idempotency-Key");
    } else {
        (*out)->running = true;
        (*out)->answer.digest = digest;
        memcpy((*out)->answer.key, key, strlen(key) + 1);
        *place = *out;
        a->count++;
    }
    lock_give(&a->lock);
    return rc;
}

enum err_kind answers_begin(struct answers *a, struct store *s, const char *key, int64_t digest,
                            struct kept **out, struct store_answer *found, struct err *e)
{
    bool stored = false;
    enum err_kind rc = take(a, key, digest, out, found, e);
    if (rc || !*out)
        return rc;
    /* Nobody else can take it now, so what the store says stays true. */
    rc = store_find_answer(s, key, found, &stored, e);
    if (!rc && stored)
        rc = check_digest(found, digest, e);
    /* whose sync failed was refused, and is there all the same */
    if (!rc && stored && !store_is_healthy(s))
        rc = err_set(e, ERR_IO, "", "nothing is acknowledged any more since the storage failed");
    if (!rc && !stored)
        return ERR_OK;
    answers_forget(a, *out);
    *out = NULL;
    if (rc)
        mem_free((void *)found->body);
    return rc;
}

/* ---- giving it an answer ------------------------------------------------------------------- */

void answers_forget(struct answers *a, struct kept *k)
{
    lock_take(&a->lock);
    remove_locked(a, k);
    lock_give(&a->lock);
}

/* Copies what is not there yet: all but key and digest. */
static bool set_answer(struct answers *a, struct kept *k, const struct store_answer *answer)
{
    struct err ignored;
    struct store_answer copy;
    if (copy_answer(answer, &copy, &ignored) != ERR_OK)
        return false;
    lock_take(&a->lock);
    k->answer = copy;
    k->running = false;
    a->bytes += copy.bytes;
    lock_give(&a->lock);
    return true;
}

static void note_locked(struct answers *a, struct kept *k) REQUIRES(a->lock)
{
    *(a->oldest ? &a->newest->newer : &a->oldest) = k;
    a->newest = k;
}

void answers_note(struct answers *a, struct kept *k, const struct store_answer *answer)
{
    if (!set_answer(a, k, answer)) {
        answers_forget(a, k);
        return;
    }
    lock_take(&a->lock);
    note_locked(a, k);
    lock_give(&a->lock);
}

bool answers_add(struct answers *a, struct kept *k, const struct store_answer *answer,
                 struct unkept *to)
{
    if (!set_answer(a, k, answer))
        return false;
    lock_take(&a->lock);
    *(to->first ? &to->last->later : &to->first) = k;
    to->last = k;
    lock_give(&a->lock);
    return true;
}

/* ---- a model's list ------------------------------------------------------------------------ */

void answers_move(struct answers *a, struct unkept *from, struct unkept *to)
{
    lock_take(&a->lock);
    if (from->first) {
        from->last->later = to->first;
        to->last = to->first ? to->last : from->last;
        to->first = from->first;
        *from = (struct unkept){NULL, NULL};
    }
    lock_give(&a->lock);
}

void answers_insert(struct answers *a, const struct unkept *list, struct store_txn *txn)
{
    lock_take(&a->lock);
    for (const struct kept *k = list->first; k; k = k->later)
        store_insert_answer(txn, &k->answer);
    lock_give(&a->lock);
}

void answers_release(struct answers *a, struct unkept *list)
{
    lock_take(&a->lock);
    for (struct kept *k = list->first, *later; k; k = later) {
        later = k->later;
        k->later = NULL;
        note_locked(a, k);
    }
    *list = (struct unkept){NULL, NULL};
    lock_give(&a->lock);
}

void answers_forget_all(struct answers *a, struct unkept *list)
{
    lock_take(&a->lock);
    while (list->first) {
        struct kept *k = list->first;
        list->first = k->later;
        remove_locked(a, k);
    }
    list->last = NULL;
    lock_give(&a->lock);
}
