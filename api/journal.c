#include "api/journal.h"

#include <math.h>
#include <string.h>

#include "api/call.h"
#include "api/state.h"

/* ---- the body ------------------------------------------------------------------------------ */

/* Numbers lie in it as in memory, with the least byte first. */
struct body {
    uint8_t version, arithmetic, loss_dtype, flags;
    uint32_t text_bytes; /* its terminator included; 0: none */
    uint32_t loss_bytes; /* of each */
    uint32_t reserved;
    int64_t steps, batch, data_at;
    uint64_t digest, gradients;
    int64_t cursor, accumulated, updated_at;
    double loss_pending;
    /* the losses and the text follow */
};
enum { BODY_VERSION = 1, FLAG_CLEARED = 1, FLAG_DIVERGED = 2 };

/* Losses of float32 are kept as such. */
static uint32_t loss_width(const struct change *c)
{
    for (int64_t i = 0; i < c->steps; i++)
        if ((double)(float)c->loss[i] != c->loss[i] && !isnan(c->loss[i]))
            return sizeof(double);
    return sizeof(float);
}

static void pack_losses(const struct change *c, uint32_t width, unsigned char *out)
{
    for (int64_t i = 0; i < c->steps; i++, out += width) {
        float narrow = (float)c->loss[i];
        memcpy(out, width == sizeof narrow ? (const void *)&narrow : &c->loss[i], width);
    }
}

static bool needs_text(const struct change *c)
{
    return c->kind == CHANGE_PATCH || c->kind == CHANGE_FIT || c->data;
}

static void write_text(struct json_out *w, const struct session *s, const struct change *c)
{
    if (c->kind == CHANGE_PATCH)
        session_write_options(w, s);
    else if (c->kind == CHANGE_FIT)
        fit_write(w, s->fit, false);
    else
        batch_layout(w, c->data);
}

static struct body describe(struct session *s, const struct change *c)
{
    return (struct body){
        .version = BODY_VERSION,
        .arithmetic = ARITHMETIC_VERSION,
        .loss_dtype = (uint8_t)session_loss_dtype(s),
        .flags = (uint8_t)((c->cleared ? FLAG_CLEARED : 0) | (s->diverged ? FLAG_DIVERGED : 0)),
        .loss_bytes = loss_width(c),
        .steps = c->steps,
        .batch = c->batch,
        .data_at = s->data_at,
        .digest = session_digest(s),
        .gradients =
            c->kind == CHANGE_BACKWARD ? module_gradient_digest(s->module, s->api->kernels) : 0,
        .cursor = s->cursor,
        .accumulated = s->accumulated,
        .updated_at = s->updated_at,
        .loss_pending = s->loss_pending,
    };
}

/* The whole body, in memory of the transaction's; NULL: no memory. */
static void *pack(struct store_txn *txn, struct session *s, const struct change *c, size_t *bytes)
{
    struct body b = describe(s, c);
    struct json_out text = {0};
    unsigned char *out = NULL;
    size_t losses = (size_t)c->steps * b.loss_bytes;
    if (needs_text(c)) {
        write_text(&text, s, c);
        if (!json_out_end(&text))
            goto out;
        b.text_bytes = (uint32_t)text.bytes + 1;
    }
    *bytes = sizeof b + losses + b.text_bytes;
    out = store_txn_alloc(txn, *bytes);
    if (!out)
        goto out;
    memcpy(out, &b, sizeof b);
    pack_losses(c, b.loss_bytes, out + sizeof b);
    if (b.text_bytes)
        memcpy(out + sizeof b + losses, text.text, b.text_bytes);
out:
    json_out_close(&text);
    return out;
}

enum err_kind journal_read(const struct store_change *change, struct change_row *out, struct err *e)
{
    struct body b;
    const unsigned char *at = change->body;
    if (change->body_bytes < sizeof b)
        return err_set(e, ERR_IO, "", "change %lld is cut", (long long)change->seq);
    memcpy(&b, at, sizeof b);
    size_t left = change->body_bytes - sizeof b, losses;
    if (b.version != BODY_VERSION || b.steps < 0 ||
        (b.loss_bytes != sizeof(float) && b.loss_bytes != sizeof(double)) ||
        !mem_mul((size_t)b.steps, b.loss_bytes, &losses) || losses > left ||
        left - losses != b.text_bytes || (b.text_bytes && at[change->body_bytes - 1]))
        return err_set(e, ERR_IO, "", "change %lld cannot be read", (long long)change->seq);
    *out = (struct change_row){
        .kind = (enum change_kind)change->kind,
        .seq = change->seq,
        .from = change->from,
        .step = change->step,
        .steps = b.steps,
        .batch = b.batch,
        .cleared = b.flags & FLAG_CLEARED,
        .diverged = b.flags & FLAG_DIVERGED,
        .arithmetic = b.arithmetic,
        .loss_dtype = b.loss_dtype,
        .digest = b.digest,
        .gradients = b.gradients,
        .cursor = b.cursor,
        .accumulated = b.accumulated,
        .updated_at = b.updated_at,
        .loss_pending = b.loss_pending,
        .data_at = b.data_at,
        .loss = at + sizeof b,
        .loss_bytes = (int)b.loss_bytes,
        .text = b.text_bytes ? (const char *)at + sizeof b + losses : "",
        .data = change->data,
        .data_bytes = change->data_bytes,
    };
    return ERR_OK;
}

double journal_loss(const struct change_row *row, int64_t i)
{
    const unsigned char *at = row->loss + i * row->loss_bytes;
    double wide;
    float narrow;
    if (row->loss_bytes == sizeof wide)
        memcpy(&wide, at, sizeof wide);
    else {
        memcpy(&narrow, at, sizeof narrow);
        wide = narrow;
    }
    return wide;
}

/* ---- appending ----------------------------------------------------------------------------- */

/* The data of a long call stands in one row, to which the call's later rows point. Behind a new
 * checkpoint it is kept once more: from there a replay may begin. */
static const struct batch *data_to_keep(struct session *s, const struct change *c)
{
    if (!c->data)
        return NULL;
    if (s->data_of == c->data && s->data_at > s->base_seq)
        return NULL;
    s->data_of = c->data;
    s->data_at = s->seq + 1;
    return c->data;
}

/* A row costs as much as some steps of the smallest models, however little it holds. */
#define ROW_BYTES   200
#define ROW_WORK_NS 5000

static void count(struct session *s, size_t bytes, int64_t ns)
{
    s->tail_bytes += ROW_BYTES + bytes;
    s->tail_ns += ns > ROW_WORK_NS ? ns : ROW_WORK_NS;
}

void journal_note_replayed(struct session *s, const struct store_change *change, int64_t ns)
{
    count(s, change->body_bytes + change->data_bytes, ns);
}

static int64_t from_of(const struct session *s, const struct change *c)
{
    if (c->kind == CHANGE_STATE)
        return -1;
    return c->kind == CHANGE_RESTORE ? c->from : s->seq;
}

enum err_kind journal_append_to(struct store_txn *txn, struct session *s,
                                const struct change *change, struct err *e)
{
    struct change c = *change;
    c.data = data_to_keep(s, change);
    struct store_change row = {.seq = s->seq + 1,
                               .from = from_of(s, &c),
                               .kind = (int)c.kind,
                               .step = s->step,
                               .mends = c.kind == CHANGE_RESTORE};
    row.body = pack(txn, s, &c, &row.body_bytes);
    if (!row.body)
        return err_set(e, ERR_NOMEM, "", "no memory for the model's journal");
    if (c.data) {
        row.data = c.data->storage.data;
        row.data_bytes = c.data->bytes;
    }
    store_append_change(txn, s->key, &row);
    s->seq = s->proven_seq = row.seq;
    count(s, row.body_bytes + row.data_bytes, c.work_ns);
    return ERR_OK;
}

enum err_kind journal_append(struct session *s, const struct change *change, struct store_txn **out,
                             struct err *e)
{
    *out = store_txn_new(s->api->store);
    enum err_kind rc = *out ? journal_append_to(*out, s, change, e)
                            : err_set(e, ERR_NOMEM, "", "no memory for the model's journal");
    if (rc) {
        store_txn_drop(*out);
        *out = NULL;
    } else if (s->spec.options.durability == DURABILITY_POWER) {
        store_txn_sync(*out);
    }
    return rc;
}

/* ---- how much of it ------------------------------------------------------------------------ */

/* A checkpoint writes about so many bytes a second. */
#define CHECKPOINT_BYTES_PER_NS 0.2

/* The tail may take a second to replay, or ten times as long as its checkpoint takes to write: so a
 * large model does not spend its time in writing itself down. */
#define TAIL_NS_MIN    ((int64_t)1000000000)
#define TAIL_TIMES     10
#define TAIL_BYTES_MIN ((size_t)1 << 20)

bool journal_is_long(const struct session *s)
{
    size_t state = session_checkpoint_bytes(s);
    double write_ns = (double)state / CHECKPOINT_BYTES_PER_NS;
    return s->tail_bytes > TAIL_BYTES_MIN + 2 * state ||
           s->tail_ns > TAIL_NS_MIN + (int64_t)(TAIL_TIMES * write_ns);
}

/* A replay of some milliseconds is no delay; nor is one that takes as long as the checkpoint in its
 * place would take to be written. */
#define REPLAY_NS    ((int64_t)5000000)
#define REPLAY_BYTES ((size_t)256 << 10)

bool journal_is_worth_saving(const struct session *s)
{
    size_t state = session_checkpoint_bytes(s);
    double write_ns = (double)state / CHECKPOINT_BYTES_PER_NS;
    return s->tail_bytes > REPLAY_BYTES + state || s->tail_ns > REPLAY_NS + (int64_t)write_ns;
}

/* Data of this size is cheap whatever the model. */
#define DATA_BYTES_MIN ((size_t)64 << 10)

bool journal_prefers_checkpoint(const struct session *s, const struct change *change)
{
    return change->data && change->data->bytes > DATA_BYTES_MIN &&
           change->data->bytes > 4 * session_checkpoint_bytes(s);
}
