#include "api/registry.h"

#include <string.h>

#include "api/call.h"
#include "engine/mem.h"

struct registry_entry {
    struct registry_entry *next;
    struct session *session; /* NULL while it is being loaded */
    bool busy;               /* being loaded or deleted: wait for `settled` */
    char id[STORE_ID_BYTES];
};

/* FNV-1a */
static size_t bucket_of(const char *id)
{
    uint64_t h = 14695981039346656037u;
    for (; *id; id++)
        h = (h ^ (unsigned char)*id) * 1099511628211u;
    return h % REGISTRY_BUCKETS;
}

void registry_init(struct registry *r, struct api *a)
{
    r->api = a;
    lock_init(&r->lock);
    pthread_cond_init(&r->settled, NULL);
}

void registry_each(struct registry *r, void (*visit)(struct session *s, void *arg),
                   void *arg) UNCHECKED_LOCKS
{
    for (size_t i = 0; i < REGISTRY_BUCKETS; i++)
        for (struct registry_entry *entry = r->bucket[i]; entry; entry = entry->next)
            visit(entry->session, arg);
}

void registry_close(struct registry *r) UNCHECKED_LOCKS
{
    for (size_t i = 0; i < REGISTRY_BUCKETS; i++)
        while (r->bucket[i]) {
            struct registry_entry *entry = r->bucket[i];
            r->bucket[i] = entry->next;
            session_free(entry->session);
            mem_free(entry);
        }
    pthread_cond_destroy(&r->settled);
    lock_close(&r->lock);
}

/* The place of id's entry: it, or the NULL at the end of its bucket. */
static struct registry_entry **find_locked(struct registry *r, const char *id) REQUIRES(r->lock)
{
    struct registry_entry **place = &r->bucket[bucket_of(id)];
    while (*place && strcmp((*place)->id, id) != 0)
        place = &(*place)->next;
    return place;
}

static void remove_locked(struct registry *r, const char *id) REQUIRES(r->lock)
{
    struct registry_entry **place = find_locked(r, id), *entry = *place;
    *place = entry->next;
    mem_free(entry);
}

static void drop_due_locked(struct registry *r, struct session *s) REQUIRES(r->lock)
{
    struct session *before = NULL, *at = r->due_first;
    for (; at && at != s; at = at->next_due)
        before = at;
    if (!at)
        return;
    *(before ? &before->next_due : &r->due_first) = s->next_due;
    if (r->due_last == s)
        r->due_last = before;
    s->due = false;
}

/* A session that the store is behind makes way for a fresh one; who holds it may finish. Returns it
 * if nobody does, to be freed. */
static struct session *dismiss_locked(struct registry *r, struct registry_entry *entry)
    REQUIRES(r->lock)
{
    struct session *s = entry->session;
    drop_due_locked(r, s);
    s->gone = true;
    entry->session = NULL;
    entry->busy = true;
    return s->references == 0 ? s : NULL;
}

/* The resident model, or NULL and a busy entry of ours for it. false: no memory. */
static bool find_or_reserve(struct registry *r, const char *id, struct session **out)
{
    bool ok = true;
    struct session *dismissed = NULL;
    lock_take(&r->lock);
    struct registry_entry **place = find_locked(r, id);
    while (*place && (*place)->busy) {
        lock_wait(&r->lock, &r->settled);
        place = find_locked(r, id);
    }
    if (*place && atomic_load(&(*place)->session->lost))
        dismissed = dismiss_locked(r, *place);
    *out = *place ? (*place)->session : NULL;
    if (*out) {
        (*out)->references++;
    } else if (!*place) {
        struct registry_entry *entry = mem_array(1, sizeof *entry);
        ok = entry != NULL;
        if (ok) {
            entry->busy = true;
            memcpy(entry->id, id, strlen(id) + 1);
            *place = entry;
        }
    }
    lock_give(&r->lock);
    session_free(dismissed);
    return ok;
}

/* Puts s into our busy entry, held once, or removes that. */
static void settle(struct registry *r, const char *id, struct session *s)
{
    lock_take(&r->lock);
    if (s) {
        struct registry_entry *entry = *find_locked(r, id);
        s->references = 1;
        entry->session = s;
        entry->busy = false;
    } else {
        remove_locked(r, id);
    }
    pthread_cond_broadcast(&r->settled);
    lock_give(&r->lock);
}

enum err_kind registry_get(struct registry *r, const char *id, struct session **out, struct err *e)
{
    if (strlen(id) >= STORE_ID_BYTES)
        return err_set(e, ERR_NOT_FOUND, "", "there is no model \"%.64s…\"", id);
    if (!find_or_reserve(r, id, out))
        return err_set(e, ERR_NOMEM, "", "no memory for the model");
    if (*out)
        return ERR_OK;
    enum err_kind rc = session_load(r->api, id, out, e);
    settle(r, id, rc ? NULL : *out);
    return rc;
}

enum err_kind registry_begin_create(struct registry *r, const char *id, struct err *e)
{
    struct session *resident;
    if (!find_or_reserve(r, id, &resident))
        return err_set(e, ERR_NOMEM, "", "no memory for the model");
    if (!resident)
        return ERR_OK;
    registry_put(r, resident);
    return err_set(e, ERR_CONFLICT, "/id", "the id \"%s\" is taken", id);
}

void registry_end_create(struct registry *r, const char *id, struct session *s)
{
    settle(r, id, s);
}

void registry_put(struct registry *r, struct session *s)
{
    lock_take(&r->lock);
    bool last = --s->references == 0 && s->gone;
    lock_give(&r->lock);
    if (last)
        session_free(s);
}

struct session *registry_peek(struct registry *r, const char *id)
{
    lock_take(&r->lock);
    const struct registry_entry *entry = *find_locked(r, id);
    struct session *s = entry && !entry->busy ? entry->session : NULL;
    if (s && atomic_load(&s->lost))
        s = NULL;
    if (s)
        s->references++;
    lock_give(&r->lock);
    return s;
}

void registry_hold(struct registry *r, struct session *s)
{
    lock_take(&r->lock);
    s->references++;
    lock_give(&r->lock);
}

enum err_kind registry_begin_delete(struct registry *r, struct session *s, struct err *e)
{
    lock_take(&r->lock);
    struct registry_entry *entry = *find_locked(r, s->id);
    bool is_its = entry && !entry->busy && entry->session == s;
    if (is_its)
        entry->busy = true;
    lock_give(&r->lock);
    return is_its ? ERR_OK
                  : err_set(e, ERR_UNAVAILABLE, "", "an earlier change was not kept: try again");
}

void registry_end_delete(struct registry *r, struct session *s, bool deleted)
{
    lock_take(&r->lock);
    if (deleted) {
        remove_locked(r, s->id);
        drop_due_locked(r, s);
        s->gone = true;
    } else {
        (*find_locked(r, s->id))->busy = false;
    }
    pthread_cond_broadcast(&r->settled);
    lock_give(&r->lock);
}

static void append_due_locked(struct registry *r, struct session *s) REQUIRES(r->lock)
{
    s->due = true;
    s->due_since = clock_ns();
    s->next_due = NULL;
    *(r->due_last ? &r->due_last->next_due : &r->due_first) = s;
    r->due_last = s;
}

void registry_note_change(struct registry *r, struct session *s)
{
    lock_take(&r->lock);
    if (!s->due && !s->gone)
        append_due_locked(r, s);
    lock_give(&r->lock);
}

void registry_hurry(struct registry *r, struct session *s)
{
    lock_take(&r->lock);
    drop_due_locked(r, s);
    if (!s->gone) {
        s->due = true;
        s->due_since = 0;
        s->next_due = r->due_first;
        r->due_first = s;
        if (!r->due_last)
            r->due_last = s;
    }
    lock_give(&r->lock);
}

void registry_forget_change(struct registry *r, struct session *s)
{
    lock_take(&r->lock);
    drop_due_locked(r, s);
    lock_give(&r->lock);
}

bool registry_take_due(struct registry *r, int64_t by, char id[STORE_ID_BYTES])
{
    lock_take(&r->lock);
    struct session *s = r->due_first;
    bool found = s && s->due_since <= by;
    if (found) {
        memcpy(id, s->id, STORE_ID_BYTES);
        drop_due_locked(r, s);
        append_due_locked(r, s);
    }
    lock_give(&r->lock);
    return found;
}
