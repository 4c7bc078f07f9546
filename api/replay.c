#include "api/replay.h"

#include "api/redo.h"
#include "api/state.h"

static bool note_first(void *arg, const struct store_change *change)
{
    *(bool *)arg = change->seq == 1;
    return false;
}

/* Does the journal go back to the birth? */
static bool is_whole(const struct session *s)
{
    struct store *store = s->api->store;
    struct err ignored;
    bool first = false;
    return store_is_healthy(store) &&
           store_each_change(store, s->key, 1, 1, note_first, &first, &ignored) == ERR_OK && first;
}

/* *lost: no checkpoint could be read, which is why it begins at the birth. */
static enum err_kind begin_at_newest(struct replay *r, struct err *lost, struct err *e)
{
    struct session *s = r->s;
    struct store_checkpoint c;
    bool found, fallback;
    enum err_kind rc = store_load_checkpoint(s->api->store, s->key, 0, &c, &found, &fallback, e);
    if (rc == ERR_IO && is_whole(s)) {
        *lost = *e;
        api_notice(s->api, "model \"%s\": its checkpoints are damaged, all changes are replayed",
                   s->id);
        rc = ERR_OK;
    }
    if (!rc && fallback)
        api_notice(s->api, "model \"%s\": its newest checkpoint is damaged, an older one is used",
                   s->id);
    if (!rc)
        rc = redo_begin(r, found ? &c : NULL, e);
    store_checkpoint_close(&c);
    return rc;
}

static enum err_kind note_damage(struct session *s, const struct err *why, struct err *e)
{
    struct err text = *why;
    err_wrap(&text, "this is the model at step %lld, since what came after it cannot be proven: ",
             (long long)s->step);
    mem_free(s->damage);
    s->damage = mem_string(text.message);
    if (!s->damage) /* it would pass for whole */
        return err_set(e, ERR_NOMEM, "", "no memory for the model");
    api_notice(s->api, "model \"%s\": %s", s->id, text.message);
    return ERR_OK;
}

/* The last change there was; *why: the journal's end is damaged. What is returned is a failure of
 * the store's or of memory. */
static enum err_kind find_end(const struct session *s, int64_t *end, struct err *why, struct err *e)
{
    struct store *store = s->api->store;
    enum err_kind rc = store_last_change(store, s->key, end, e);
    if (rc != ERR_IO || !store_is_healthy(store))
        return rc;
    *why = *e;
    return ERR_OK;
}

/* Replays up to the end, or up to `limit` because of *why. A change that fails on the way leaves
 * nothing that could be served: *again tells how far to go in a fresh session. */
static enum err_kind replay(struct session *s, struct scratch *scratch, int64_t limit,
                            struct err *why, bool *again, struct err *e)
{
    struct replay r = {.s = s, .scratch = scratch, .until_step = -1};
    struct err lost = {.kind = ERR_OK};
    int64_t end;
    enum err_kind rc = begin_at_newest(&r, &lost, e);
    if (!rc)
        rc = find_end(s, &end, why, e);
    if (rc)
        goto out;
    int64_t last = end < limit ? end : limit;
    if (last > s->seq)
        rc = redo_changes(&r, s->seq + 1, last, e);
    if (!rc && lost.kind && r.spoiled && r.next == 2) { /* it was not born so: it is a fork */
        *e = lost;
        rc = e->kind;
    }
    if (!rc && r.why.kind)
        *why = r.why;
    *again = !rc && r.spoiled;
    if (!rc)
        rc = redo_bring_batches(&r, INT64_MAX - 1, e); /* those that no change tells of */
    s->proven_seq = r.spoiled ? r.next - 2 : s->seq;
    s->seq = end > s->seq ? end : s->seq;
out:
    redo_close(&r);
    return rc;
}

enum err_kind replay_model(struct api *a, const struct store_model *model, struct scratch *scratch,
                           struct session **out, struct err *e)
{
    struct err why = {.kind = ERR_OK};
    int64_t limit = INT64_MAX;
    bool again = true;
    while (again) {
        struct session *s;
        again = false;
        enum err_kind rc = session_make(a, model->id, model->created_at, model->spec, &s, e);
        if (rc)
            return rc;
        s->key = model->key;
        rc = replay(s, scratch, limit, &why, &again, e);
        limit = s->proven_seq;
        if (!rc && !again && why.kind)
            rc = note_damage(s, &why, e);
        if (rc || again)
            session_free(s);
        else
            *out = s;
        if (rc)
            return rc;
    }
    return ERR_OK;
}
