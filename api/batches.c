/* api/batches.c - pushed batches. */
#include "api/fields.h"
#include "api/handlers.h"
#include "api/journal.h"
#include "api/safetensors.h"
#include "api/state.h"

#define TARGET_COLUMNS_MAX 1000000

static enum err_kind no_memory(struct err *e)
{
    return err_set(e, ERR_NOMEM, "", "no memory for the batch");
}

static enum err_kind check_room(const struct session *s, const struct batch *b, struct err *e)
{
    const struct api_config *config = &s->api->config;
    if (s->batches >= (size_t)config->max_batches)
        return err_set(e, ERR_INVALID, "", "a model keeps at most %lld batches: delete one first",
                       (long long)config->max_batches);
    if (b->bytes > config->max_batch_bytes - s->batch_bytes)
        return err_set(e, ERR_INVALID, "",
                       "a model keeps at most %zu bytes of batches, and has %zu: delete one first",
                       config->max_batch_bytes, s->batch_bytes);
    return ERR_OK;
}

/* Found before the batch is kept, so that nothing can fail after it. */
static enum err_kind make_room(struct session *s, struct err *e)
{
    pthread_rwlock_wrlock(&s->lock);
    enum err_kind rc = session_reserve_batch(s, e);
    pthread_rwlock_unlock(&s->lock);
    return rc;
}

static void add(struct session *s, struct batch *b)
{
    pthread_rwlock_wrlock(&s->lock);
    s->last_batch = b->n;
    session_insert_batch(s, b);
    pthread_rwlock_unlock(&s->lock);
}

/* Without a journal the batch goes to the store first, so that nothing is lost if it cannot. */
static enum err_kind push_unjournaled(struct call *c, struct batch *b, struct err *e)
{
    struct session *s = c->session;
    struct store_txn *txn = store_txn_new(s->api->store);
    b->pushed = s->seq;
    if (!txn || !batch_insert(txn, s->key, b)) {
        store_txn_drop(txn);
        return no_memory(e);
    }
    call_keep_answer(c, txn);
    enum err_kind rc = store_commit(txn, e);
    if (!rc)
        add(s, b);
    return rc;
}

static enum err_kind push(struct call *c, struct batch *b, struct err *e)
{
    struct session *s = c->session;
    struct change change = {.kind = CHANGE_PUSH, .batch = b->n};
    if (!session_is_journaled(s))
        return push_unjournaled(c, b, e);
    enum err_kind rc = call_keep_change(c, &change, e);
    if (rc)
        return rc;
    b->pushed = s->seq;
    if (!batch_insert(c->txn, s->key, b)) {
        session_lose(s);
        store_txn_drop(c->txn);
        c->txn = NULL;
        return no_memory(e);
    }
    add(s, b);
    return ERR_OK;
}

static enum err_kind read_csv(struct call *c, int64_t targets, struct batch **out, struct err *e)
{
    struct batch_rules rules = session_rules(c->session);
    struct csv csv;
    enum err_kind rc = csv_open(c->body ? c->body : "", c->bytes, &csv, e);
    return rc ? rc : batch_read_csv(&csv, targets, &rules, out, e);
}

static enum err_kind read_pushed(struct call *c, struct batch **out, struct err *e)
{
    static const char *const names[] = {"inputs", "targets", NULL};
    int64_t targets;
    enum err_kind rc = call_query_int(c, "targets", 1, TARGET_COLUMNS_MAX, 1, &targets, e);
    if (!rc && c->media == MEDIA_CSV)
        return read_csv(c, targets, out, e);
    if (!rc && call_query(c, "targets"))
        return err_set(e, ERR_MALFORMED, "", "?targets is for a body of text/csv");
    if (!rc)
        rc = fields_check(c->in.root, names, e);
    return rc ? rc : call_read_batch(c, TARGETS_REQUIRED, out, e);
}

enum err_kind post_batches(struct call *c, struct err *e)
{
    struct session *s = c->session;
    struct batch *b = NULL;
    enum err_kind rc = read_pushed(c, &b, e);
    if (rc)
        return rc;
    b->n = s->last_batch + 1;
    b->created_at = clock_millis();
    rc = check_room(s, b, e);
    if (!rc)
        rc = make_room(s, e);
    call_location(c, "/models/%s/batches/%lld", s->id, (long long)b->n);
    json_begin_object(&c->out);
    batch_write(&c->out, b);
    json_end_object(&c->out);
    if (!rc)
        rc = push(c, b, e);
    if (rc)
        batch_free(b);
    return rc;
}

enum err_kind get_batches(struct call *c, struct err *e)
{
    struct session *s = c->session;
    struct json_out *w = &c->out;
    int64_t limit, after, written = 0, last = 0;
    bool more = false;
    enum err_kind rc = call_limit(c, &limit, e);
    if (!rc)
        rc = call_query_int(c, "after", 0, INT64_MAX, 0, &after, e);
    if (rc)
        return rc;
    json_begin_object(w);
    json_key(w, "batches");
    json_begin_array(w);
    pthread_rwlock_rdlock(&s->lock);
    for (size_t i = 0; i < s->batches && !more; i++) {
        if (s->batch[i]->n <= after)
            continue;
        more = written++ == limit;
        if (more)
            break;
        last = s->batch[i]->n;
        json_begin_object(w);
        batch_write(w, s->batch[i]);
        json_end_object(w);
    }
    pthread_rwlock_unlock(&s->lock);
    json_end_array(w);
    if (more)
        json_key_int(w, "next", last);
    json_end_object(w);
    return ERR_OK;
}

static enum err_kind no_batch(int64_t n, struct err *e)
{
    return err_set(e, ERR_NOT_FOUND, "", "there is no batch %lld", (long long)n);
}

static void write_whole(struct call *c, const struct batch *b)
{
    static const char *const no_metadata[] = {NULL}; /* so a POST takes what a GET gives */
    const struct named_tensor list[] = {{"inputs", &b->x}, {"targets", &b->y}};
    struct json_out *w = &c->out;
    enum media media = call_gives(c);
    if (media != MEDIA_JSON) {
        call_write_tensors(c, media, no_metadata, list, 2);
        return;
    }
    json_begin_object(w);
    batch_write(w, b);
    json_key(w, "inputs");
    tensor_write(w, &b->x);
    json_key(w, "targets");
    tensor_write(w, &b->y);
    json_end_object(w);
}

enum err_kind get_batch(struct call *c, struct err *e)
{
    int64_t n;
    enum err_kind rc = call_param_int(c, 1, &n, e);
    if (rc)
        return rc;
    pthread_rwlock_rdlock(&c->session->lock);
    const struct batch *b = session_find_batch(c->session, n);
    if (b)
        write_whole(c, b);
    pthread_rwlock_unlock(&c->session->lock);
    return b ? ERR_OK : no_batch(n, e);
}

static void forget(struct session *s, int64_t n)
{
    pthread_rwlock_wrlock(&s->lock);
    session_remove_batch(s, n);
    pthread_rwlock_unlock(&s->lock);
}

/* The journal of before may need it to go back there. */
static enum err_kind delete_unjournaled(struct session *s, int64_t n, struct err *e)
{
    struct store_txn *txn = store_txn_new(s->api->store);
    if (!txn)
        return err_set(e, ERR_NOMEM, "", "no memory to delete the batch");
    store_delete_batch(txn, s->key, n, s->seq);
    enum err_kind rc = store_commit(txn, e);
    if (!rc)
        forget(s, n);
    return rc;
}

enum err_kind delete_batch(struct call *c, struct err *e)
{
    struct session *s = c->session;
    int64_t n;
    enum err_kind rc = call_param_int(c, 1, &n, e);
    if (rc)
        return rc;
    const struct batch *b = session_find_batch(s, n);
    if (!b)
        return no_batch(n, e);
    int64_t job = jobs_using(&c->api->jobs, s->id, n);
    if (job)
        return err_set(e, ERR_CONFLICT, "", "job %lld trains with it: cancel that first",
                       (long long)job);
    if (!session_is_journaled(s))
        return delete_unjournaled(s, n, e);
    if ((rc = call_keep_change(c, &(struct change){.kind = CHANGE_DELETE, .batch = n}, e)))
        return rc;
    store_delete_batch(c->txn, s->key, n, s->seq);
    s->tail_bytes += b->bytes; /* it stays in the file until a checkpoint lets it go */
    store_wait(s->api->store); /* its push may still be on the way there */
    forget(s, n);
    return ERR_OK;
}
