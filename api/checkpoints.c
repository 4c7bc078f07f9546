/* api/checkpoints.c - states that a client keeps and goes back to. */
#include <math.h>
#include <string.h>

#include "api/fields.h"
#include "api/handlers.h"
#include "api/journal.h"
#include "api/safetensors.h"
#include "api/state.h"
#include "api/state_dict.h"

#define LABEL_MAX 256

static void write_checkpoint(struct json_out *w, const struct session *s,
                             const struct store_checkpoint *k)
{
    json_begin_object(w);
    json_key_int(w, "n", k->n);
    json_key_int(w, "step", k->step);
    json_key(w, "loss");
    if (k->step == 0)
        json_null(w);
    else
        json_real(w, session_loss_dtype(s), k->loss);
    json_key_string(w, "label", k->label);
    json_key_int(w, "bytes", (int64_t)k->bytes);
    json_key_time(w, "created_at", k->created_at);
    json_end_object(w);
}

enum err_kind post_checkpoints(struct call *c, struct err *e)
{
    static const char *const names[] = {"label", NULL};
    struct session *s = c->session;
    struct store_checkpoint k = {.n = s->last_checkpoint + 1,
                                 .step = s->step,
                                 .loss = s->loss_last,
                                 .bytes = session_checkpoint_bytes(s),
                                 .created_at = clock_millis()};
    struct store_answer answer;
    enum err_kind rc = fields_check(c->in.root, names, e);
    if (!rc)
        rc = field_string(c->in.root, "label", OPTIONAL, LABEL_MAX, &k.label, e);
    if (rc)
        return rc;
    call_location(c, "/models/%s/checkpoints/%lld", s->id, (long long)k.n);
    write_checkpoint(&c->out, s, &k);
    call_tag(c, k.step);
    struct save save = {.n = k.n,
                        .label = k.label,
                        .created_at = k.created_at,
                        .answer = call_answer_to_keep(c, &answer)};
    rc = session_save(s, &save, e);
    if (!rc)
        s->last_checkpoint = k.n;
    return rc;
}

enum err_kind get_checkpoints(struct call *c, struct err *e)
{
    struct session *s = c->session;
    int64_t limit, after;
    size_t count = 0;
    struct store_checkpoint *list = NULL;
    enum err_kind rc = call_limit(c, &limit, e);
    if (!rc)
        rc = call_query_int(c, "after", 0, INT64_MAX, 0, &after, e);
    if (rc)
        return rc;
    list = mem_array((size_t)limit + 1, sizeof *list);
    if (!list)
        return err_set(e, ERR_NOMEM, "", "no memory for the list");
    rc = store_list_checkpoints(s->api->store, s->key, after, (size_t)limit + 1, list, &count, e);
    if (!rc) {
        bool more = count > (size_t)limit;
        json_begin_object(&c->out);
        json_key(&c->out, "checkpoints");
        json_begin_array(&c->out);
        for (size_t i = 0; i < count - more; i++)
            write_checkpoint(&c->out, s, &list[i]);
        json_end_array(&c->out);
        if (more)
            json_key_int(&c->out, "next", list[limit - 1].n);
        json_end_object(&c->out);
    }
    for (size_t i = 0; i < count; i++)
        store_checkpoint_close(&list[i]);
    mem_free(list);
    return rc;
}

static enum err_kind load(struct session *s, int64_t n, struct store_checkpoint *out, struct err *e)
{
    bool found, fallback;
    enum err_kind rc = store_load_checkpoint(s->api->store, s->key, n, out, &found, &fallback, e);
    if (!rc && !found)
        rc = err_set(e, ERR_NOT_FOUND, "", "there is no checkpoint %lld", (long long)n);
    return rc;
}

/* The model as it was then, on its own: so the numbers need not lie as they did. */
static enum err_kind revive(struct session *s, const struct store_checkpoint *k,
                            struct session **out, struct err *e)
{
    struct store_model stored;
    enum err_kind rc = store_find_model(s->api->store, s->id, &stored, e);
    if (!rc && stored.key != s->key)
        rc = err_set(e, ERR_NOT_FOUND, "", "the model was deleted");
    if (!rc)
        rc = session_make(s->api, s->id, s->created_at, stored.spec, out, e);
    mem_free((void *)stored.spec);
    return rc ? rc : session_put(*out, k, e);
}

static enum err_kind write_file(struct call *c, const struct store_checkpoint *k, struct err *e)
{
    struct session *then = NULL;
    char text[4][TEXT_OF_NUMBER];
    const char *metadata[] = {"n",    text_of_int(k->n, text[0]),
                              "step", text_of_int(k->step, text[1]),
                              NULL,   NULL,
                              NULL,   NULL,
                              NULL};
    size_t used = 4;
    enum err_kind rc = revive(c->session, k, &then, e);
    if (!rc && k->step > 0) {
        metadata[used++] = "loss";
        metadata[used++] = text_of_real(session_loss_dtype(then), k->loss, text[2]);
    }
    if (k->label) {
        metadata[used++] = "label";
        metadata[used++] = k->label;
    }
    if (!rc)
        rc = state_dict_write(c, MEDIA_SAFETENSORS, STATE_DICT_PARAMETERS, then->module, NULL,
                              metadata, e);
    session_free(then);
    return rc;
}

/* A file, unless its description in JSON is what Accept wants. */
enum err_kind get_checkpoint(struct call *c, struct err *e)
{
    int64_t n;
    struct store_checkpoint k = {.n = 0};
    enum err_kind rc = call_param_int(c, 1, &n, e);
    if (!rc)
        rc = load(c->session, n, &k, e);
    if (!rc)
        call_tag(c, k.step);
    if (!rc && accept_choose(&c->accept, route_gives(c->route), MEDIA_SAFETENSORS) == MEDIA_JSON)
        write_checkpoint(&c->out, c->session, &k);
    else if (!rc)
        rc = write_file(c, &k, e);
    store_checkpoint_close(&k);
    return rc;
}

enum err_kind post_restore(struct call *c, struct err *e)
{
    static const char *const names[] = {NULL};
    int64_t n;
    struct store_checkpoint k = {.n = 0};
    enum err_kind rc = fields_check(c->in.root, names, e);
    if (!rc)
        rc = call_param_int(c, 1, &n, e);
    if (!rc)
        rc = load(c->session, n, &k, e);
    if (!rc)
        rc = session_keep_losses(c->session, e);
    if (!rc)
        rc = session_go_to(c->session, &k, e);
    bool known = k.seq > 0 && k.seq <= c->session->seq;
    if (!rc)
        rc = call_keep_restored(c, known ? k.seq : -1, e);
    store_checkpoint_close(&k);
    return rc;
}

enum err_kind delete_checkpoint(struct call *c, struct err *e)
{
    int64_t n;
    enum err_kind rc = call_param_int(c, 1, &n, e);
    if (rc)
        return rc;
    struct store_txn *txn = store_txn_new(c->api->store);
    if (!txn)
        return err_set(e, ERR_NOMEM, "", "no memory to delete the checkpoint");
    store_delete_checkpoint(txn, c->session->key, n);
    if (c->session->spec.options.durability == DURABILITY_POWER)
        store_txn_sync(txn);
    rc = store_commit(txn, e);
    if (rc == ERR_NOT_FOUND)
        err_set(e, ERR_NOT_FOUND, "", "there is no checkpoint %lld", (long long)n);
    return rc;
}
