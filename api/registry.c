#include "api/registry.h"

#include <string.h>

#include "api/call.h"
#include "api/state.h"
#include "engine/mem.h"

/* After a model could not be kept, and so not be put away: a full disk is asked again, but not all
 * the time. */
#define REST_NS INT64_C(1000000000)

/* ---- lists --------------------------------------------------------------------------------- */

/* before NULL: at the end. */
static void list_insert(struct registry *r, enum registry_list list, struct session *s,
                        struct session *before) REQUIRES(r->lock)
{
    struct session_links *ends = &r->list[list], *at = &s->link[list];
    at->next = before;
    at->prev = before ? before->link[list].prev : ends->prev;
    *(at->prev ? &at->prev->link[list].next : &ends->next) = s;
    *(before ? &before->link[list].prev : &ends->prev) = s;
}

static void list_remove(struct registry *r, enum registry_list list, struct session *s)
    REQUIRES(r->lock)
{
    struct session_links *ends = &r->list[list], *at = &s->link[list];
    *(at->prev ? &at->prev->link[list].next : &ends->next) = at->next;
    *(at->next ? &at->next->link[list].prev : &ends->prev) = at->prev;
}

/* ---- life ---------------------------------------------------------------------------------- */

enum err_kind registry_init(struct registry *r, struct api *a, struct err *e)
{
    *r = (struct registry){.api = a, .budget = a->config.memory};
    if (!roster_init(&r->roster))
        return err_set(e, ERR_NOMEM, "", "no memory for the models");
    lock_init(&r->lock);
    pthread_cond_init(&r->settled, NULL);
    return ERR_OK;
}

void registry_each(struct registry *r, void (*visit)(struct session *s, void *arg),
                   void *arg) UNCHECKED_LOCKS
{
    roster_each(&r->roster, visit, arg);
}

static void free_one(struct session *s, void *arg)
{
    (void)arg;
    session_free(s);
}

void registry_close(struct registry *r) UNCHECKED_LOCKS
{
    roster_each(&r->roster, free_one, NULL);
    roster_close(&r->roster);
    pthread_cond_destroy(&r->settled);
    lock_close(&r->lock);
}

/* ---- what they take ------------------------------------------------------------------------ */

static size_t sum(const struct footprint *f)
{
    return f->model + f->batches;
}

static void count_locked(struct registry *r, struct session *s, struct footprint now)
    REQUIRES(r->lock)
{
    if (sum(&now) < sum(&s->counted))
        atomic_fetch_add(&r->api->freed, sum(&s->counted) - sum(&now));
    r->total.model += now.model - s->counted.model;
    r->total.batches += now.batches - s->counted.batches;
    s->counted = now;
}

/* Of s with its entry. */
static struct footprint footprint_of(const struct session *s)
{
    struct footprint f = session_footprint(s);
    f.model += roster_entry_bytes(s->id);
    return f;
}

void registry_measure(struct registry *r, struct session *s)
{
    struct footprint now = footprint_of(s);
    if (now.model == s->counted.model && now.batches == s->counted.batches)
        return;
    lock_take(&r->lock);
    count_locked(r, s, now);
    lock_give(&r->lock);
}

/* What will be there once those that leave have left. */
static size_t staying_locked(const struct registry *r) REQUIRES(r->lock)
{
    return sum(&r->total) - r->leaving;
}

static bool is_over_locked(const struct registry *r) REQUIRES(r->lock)
{
    return staying_locked(r) > r->budget && clock_ns() >= r->rest_until;
}

struct registry_stats registry_stats(struct registry *r)
{
    lock_take(&r->lock);
    struct registry_stats stats = {.resident = r->resident,
                                   .budget = r->budget,
                                   .total = r->total,
                                   .loads = r->loads,
                                   .put_away = r->put_away};
    lock_give(&r->lock);
    return stats;
}

/* The entry is busy no longer, or gone (NULL): whoever waits for it shall look. */
static void settle_locked(struct registry *r, struct roster_entry *entry) REQUIRES(r->lock)
{
    if (entry)
        entry->busy = entry->wanted = false;
    pthread_cond_broadcast(&r->settled);
}

/* ---- putting away -------------------------------------------------------------------------- */

/* s is the most recently used model, or (first) the least recently used one. */
static void list_used_locked(struct registry *r, struct session *s, bool first) REQUIRES(r->lock)
{
    if (s->listed)
        list_remove(r, REGISTRY_USED, s);
    list_insert(r, REGISTRY_USED, s, first ? r->list[REGISTRY_USED].next : NULL);
    s->listed = true;
}

static void unlist_locked(struct registry *r, struct session *s) REQUIRES(r->lock)
{
    if (s->listed)
        list_remove(r, REGISTRY_USED, s);
    s->listed = false;
}

/* The least recently used model that nobody holds; NULL: none. Those that are held leave the list
 * when they are met, so that they are met once: let_go brings them back. */
static struct session *find_idle_locked(struct registry *r) REQUIRES(r->lock)
{
    struct session *s;
    while ((s = r->list[REGISTRY_USED].next) != NULL && s->references > 0)
        unlist_locked(r, s);
    return s;
}

bool registry_is_over(struct registry *r)
{
    lock_take(&r->lock);
    bool over = is_over_locked(r) && find_idle_locked(r);
    lock_give(&r->lock);
    return over;
}

bool registry_has_room(struct registry *r, const struct session *s)
{
    lock_take(&r->lock);
    bool room = staying_locked(r) + 2 * s->counted.model <= r->budget;
    lock_give(&r->lock);
    return room;
}

/* The next one to go, which nobody else can get from here on; NULL: none has to. */
static struct session *begin_put_away(struct registry *r)
{
    lock_take(&r->lock);
    struct session *s = is_over_locked(r) ? find_idle_locked(r) : NULL;
    if (s) {
        roster_find(&r->roster, s->id)->busy = true;
        unlist_locked(r, s);
        r->leaving += sum(&s->counted);
    }
    lock_give(&r->lock);
    return s;
}

static void drop_due_locked(struct registry *r, struct session *s) REQUIRES(r->lock)
{
    if (s->due)
        list_remove(r, REGISTRY_DUE, s);
    s->due = false;
}

/* Nothing of it is unsaved. Whom somebody waits for stays all the same: he would load it again. */
static void end_put_away(struct registry *r, struct session *s, bool kept)
{
    lock_take(&r->lock);
    struct roster_entry *entry = roster_find(&r->roster, s->id);
    bool goes = kept && !entry->wanted;
    r->leaving -= sum(&s->counted);
    if (goes) {
        roster_remove(&r->roster, s->id);
        r->resident--;
        drop_due_locked(r, s);
        count_locked(r, s, (struct footprint){0, 0});
        r->put_away++;
    } else {
        list_used_locked(r, s, false);
    }
    if (!kept)
        r->rest_until = clock_ns() + REST_NS;
    settle_locked(r, goes ? NULL : entry);
    lock_give(&r->lock);
    if (goes)
        session_free(s);
}

void registry_trim(struct registry *r)
{
    struct session *s;
    struct err ignored; /* the model is due, and the checkpoint that is tried then tells */
    while ((s = begin_put_away(r)) != NULL)
        end_put_away(r, s, session_put_away(s, &ignored) == ERR_OK);
}

/* ---- getting ------------------------------------------------------------------------------- */

/* A session that the store is behind makes way for a fresh one, to be loaded into the entry; who
 * holds it may finish. Returns it if nobody does, to be freed. */
static struct session *dismiss_locked(struct registry *r, struct roster_entry *entry)
    REQUIRES(r->lock)
{
    struct session *s = entry->session;
    unlist_locked(r, s);
    drop_due_locked(r, s);
    s->gone = true;
    entry->session = NULL;
    entry->busy = true;
    r->resident--;
    if (s->references > 0)
        return NULL;
    count_locked(r, s, (struct footprint){0, 0});
    return s;
}

/* The resident model, held, or NULL and a busy entry of ours for it. false: no memory. */
static bool find_or_reserve(struct registry *r, const char *id, struct session **out)
{
    struct roster_entry *entry;
    struct session *dismissed = NULL;
    lock_take(&r->lock);
    while ((entry = roster_find(&r->roster, id)) != NULL && entry->busy) {
        entry->wanted = true;
        lock_wait(&r->lock, &r->settled);
    }
    if (entry && atomic_load(&entry->session->lost))
        dismissed = dismiss_locked(r, entry);
    *out = entry ? entry->session : NULL;
    if (*out)
        (*out)->references++;
    else if (!entry && (entry = roster_add(&r->roster, id)) != NULL)
        entry->busy = true;
    lock_give(&r->lock);
    session_free(dismissed);
    return entry != NULL;
}

/* Puts s into our busy entry, held once, or removes that. Nobody has used it yet: unless it is
 * put, it is the first to go. */
static void settle(struct registry *r, const char *id, struct session *s, bool loaded)
{
    struct footprint footprint = s ? footprint_of(s) : (struct footprint){0, 0};
    lock_take(&r->lock);
    struct roster_entry *entry = roster_find(&r->roster, id);
    if (s) {
        s->references = 1;
        entry->session = s;
        count_locked(r, s, footprint);
        r->resident++;
        r->loads += loaded;
    } else {
        roster_remove(&r->roster, id);
    }
    settle_locked(r, s ? entry : NULL);
    lock_give(&r->lock);
}

/* Room for one more model. One that is too large for the budget still finds it, if it is alone. */
static enum err_kind make_room(struct registry *r, struct err *e)
{
    registry_trim(r);
    lock_take(&r->lock);
    bool full = staying_locked(r) / 2 > r->budget;
    lock_give(&r->lock);
    return full
               ? err_set(e, ERR_UNAVAILABLE, "", "the models in use fill twice the memory for them")
               : ERR_OK;
}

enum err_kind registry_get(struct registry *r, const char *id, struct scratch *scratch,
                           struct session **out, struct err *e)
{
    if (strlen(id) >= STORE_ID_BYTES)
        return err_set(e, ERR_NOT_FOUND, "", "there is no model \"%.64s…\"", id);
    if (!find_or_reserve(r, id, out))
        return err_set(e, ERR_NOMEM, "", "no memory for the model");
    if (*out)
        return ERR_OK;
    enum err_kind rc = make_room(r, e);
    if (!rc)
        rc = session_load(r->api, id, scratch, out, e);
    settle(r, id, rc ? NULL : *out, true);
    return rc;
}

struct session *registry_peek(struct registry *r, const char *id)
{
    lock_take(&r->lock);
    const struct roster_entry *entry = roster_find(&r->roster, id);
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

static void let_go(struct registry *r, struct session *s, bool used)
{
    lock_take(&r->lock);
    bool idle = --s->references == 0, last = idle && s->gone;
    if (last)
        count_locked(r, s, (struct footprint){0, 0});
    else if (!s->gone && (used || (idle && !s->listed)))
        list_used_locked(r, s, !used);
    lock_give(&r->lock);
    if (last)
        session_free(s);
}

void registry_put(struct registry *r, struct session *s)
{
    let_go(r, s, true);
}

void registry_let_go(struct registry *r, struct session *s)
{
    let_go(r, s, false);
}

/* ---- making and deleting ------------------------------------------------------------------- */

enum err_kind registry_begin_create(struct registry *r, const char *id, struct err *e)
{
    struct session *resident;
    if (!find_or_reserve(r, id, &resident))
        return err_set(e, ERR_NOMEM, "", "no memory for the model");
    if (resident) {
        registry_let_go(r, resident);
        return err_set(e, ERR_CONFLICT, "/id", "the id \"%s\" is taken", id);
    }
    enum err_kind rc = make_room(r, e);
    if (rc)
        settle(r, id, NULL, false);
    return rc;
}

void registry_end_create(struct registry *r, const char *id, struct session *s)
{
    settle(r, id, s, false);
}

enum err_kind registry_begin_delete(struct registry *r, struct session *s, struct err *e)
{
    lock_take(&r->lock);
    struct roster_entry *entry = roster_find(&r->roster, s->id);
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
        roster_remove(&r->roster, s->id);
        r->resident--;
        unlist_locked(r, s);
        drop_due_locked(r, s);
        s->gone = true;
    }
    settle_locked(r, deleted ? NULL : roster_find(&r->roster, s->id));
    lock_give(&r->lock);
}

/* ---- changed models ------------------------------------------------------------------------ */

static void append_due_locked(struct registry *r, struct session *s) REQUIRES(r->lock)
{
    s->due = true;
    s->due_since = clock_ns();
    list_insert(r, REGISTRY_DUE, s, NULL);
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
        list_insert(r, REGISTRY_DUE, s, r->list[REGISTRY_DUE].next);
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
    struct session *s = r->list[REGISTRY_DUE].next;
    bool found = s && s->due_since <= by;
    if (found) {
        memcpy(id, s->id, STORE_ID_BYTES);
        drop_due_locked(r, s);
        append_due_locked(r, s);
    }
    lock_give(&r->lock);
    return found;
}
