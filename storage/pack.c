#include "storage/pack.h"

#include <string.h>

#include "engine/mem.h"
#include "storage/checksum.h"
#include "storage/sql.h"

/* A change lies in a row as these fields, the first words of its body, what is left of that, and
 * its data. Fields and words, with the least byte first, are small numbers for the most part: each
 * is a byte that says how many of its low bytes follow. */
enum field {
    MODEL,
    SEQ,
    FROM,
    STEP,
    BLOB_FIRST,
    BLOB_BYTES,
    BLOB_DIGEST,
    BODY_BYTES,
    DATA_BYTES,
    KIND,
    SEAL,
    FIELDS
};
#define WORD        sizeof(uint64_t)
#define WORDS_MAX   16 /* of a body */
#define HEAD_FIELDS (sizeof(struct pack_head) / WORD)

uint32_t pack_seal(int64_t model, const struct store_change *c, const struct blob *blob)
{
    const int64_t field[] = {model, c->seq, c->from, c->kind, c->step, (int64_t)c->body_bytes};
    uint32_t seal = checksum(checksum(0, field, sizeof field), c->body, c->body_bytes);
    if (blob->bytes)
        return blob_seal(seal, blob);
    seal = checksum_i64(seal, (int64_t)c->data_bytes);
    return checksum(seal, c->data, c->data_bytes);
}

static uint32_t heads_seal(uint32_t key, const void *heads, size_t bytes)
{
    return checksum(key, heads, bytes);
}

/* ---- making -------------------------------------------------------------------------------- */

/* Grows *block, of which *room elements are there and used are used, for more of them. */
static bool reserve(void *block, size_t *room, size_t used, size_t more, size_t size)
{
    void **at = block;
    if (more <= *room - used)
        return true;
    size_t wanted = 2 * (used + more);
    void *grown = mem_resize(*at, used, wanted, size);
    if (!grown)
        return false;
    *at = grown;
    *room = wanted;
    return true;
}

static unsigned char *put_words(unsigned char *at, const void *words, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        uint64_t word;
        memcpy(&word, (const unsigned char *)words + i * WORD, WORD);
        *at++ = (unsigned char)((71 - __builtin_clzll(word | 1)) / 8 - !word);
        memcpy(at, &word, WORD); /* of which the next one covers what is zero */
        at += at[-1];
    }
    return at;
}

/* Room for a change of up to so many bytes, and its head; NULL: no memory. */
static unsigned char *make_room(struct pack *p, size_t bytes)
{
    bool there = reserve(&p->rows, &p->room, p->bytes, bytes + 1, 1) && /* even for none: no NULL */
                 reserve(&p->head, &p->head_room, p->heads, 1, sizeof *p->head);
    return there ? p->rows + p->bytes : NULL;
}

/* The change that ends there was put into that room. */
static void add(struct pack *p, int64_t model, int64_t seq, const unsigned char *end)
{
    size_t bytes = (size_t)(end - p->rows) - p->bytes;
    p->head[p->heads++] = (struct pack_head){model, seq, (int64_t)p->bytes, (int64_t)bytes};
    p->bytes += bytes;
}

/* In the place of a pointer that is NULL because there is nothing. */
static const unsigned char nothing[1];

static unsigned char *put_bytes(unsigned char *at, const void *data, size_t bytes)
{
    if (bytes) /* memcpy takes no NULL, even for nothing */
        memcpy(at, data, bytes);
    return at + bytes;
}

/* How many words of a body are put as such. */
static size_t body_words(size_t bytes)
{
    return bytes / WORD < WORDS_MAX ? bytes / WORD : WORDS_MAX;
}

bool pack_add_sealed(struct pack *p, int64_t model, const struct store_change *c,
                     const struct blob *blob, uint32_t seal)
{
    int64_t field[FIELDS] = {
        [MODEL] = model,
        [SEQ] = c->seq,
        [FROM] = c->from,
        [STEP] = c->step,
        [BLOB_FIRST] = blob->first,
        [BLOB_BYTES] = blob->bytes,
        [BLOB_DIGEST] = blob->digest,
        [BODY_BYTES] = (int64_t)c->body_bytes,
        [DATA_BYTES] = blob->bytes ? 0 : (int64_t)c->data_bytes,
        [KIND] = c->kind,
        [SEAL] = seal,
    };
    size_t words = body_words(c->body_bytes), data = (size_t)field[DATA_BYTES];
    unsigned char *at =
        make_room(p, (FIELDS + WORDS_MAX) * (1 + WORD) + WORD + c->body_bytes + data);
    if (!at)
        return false;
    const unsigned char *body = c->body ? c->body : nothing;
    at = put_words(put_words(at, field, FIELDS), body, words);
    at = put_bytes(at, body + words * WORD, c->body_bytes - words * WORD);
    add(p, model, c->seq, put_bytes(at, c->data, data));
    return true;
}

bool pack_add(struct pack *p, int64_t model, const struct store_change *c, const struct blob *blob)
{
    return pack_add_sealed(p, model, c, blob, pack_seal(model, c, blob));
}

bool pack_copy(struct pack *p, int64_t model, int64_t seq, const void *at, size_t bytes)
{
    unsigned char *to = make_room(p, bytes);
    if (to)
        add(p, model, seq, put_bytes(to, at, bytes));
    return to;
}

void pack_clear(struct pack *p)
{
    p->bytes = p->heads = 0;
}

void pack_close(struct pack *p)
{
    mem_free(p->rows);
    mem_free(p->head);
    mem_free(p->column);
    *p = (struct pack){0};
}

enum err_kind pack_put(struct query *q, struct pack *p, uint32_t key, struct err *e)
{
    size_t words = p->heads * HEAD_FIELDS;
    if (!reserve(&p->column, &p->column_room, 0, words * (1 + WORD) + WORD, 1))
        return err_set(e, ERR_NOMEM, "", "no memory for the journal");
    size_t bytes = (size_t)(put_words(p->column, p->head, words) - p->column);
    query_put_blob(q, p->column, bytes);
    query_put_blob(q, p->rows, p->bytes);
    query_put_i64(q, heads_seal(key, p->column, bytes));
    return ERR_OK;
}

/* ---- reading ------------------------------------------------------------------------------- */

/* Bytes that are still to be read. */
struct reader {
    const unsigned char *at, *end;
};

static size_t left(const struct reader *r)
{
    return (size_t)(r->end - r->at);
}

/* false: they do not end where the bytes do. */
static bool get_words(struct reader *r, void *words, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        uint64_t word = 0;
        if (r->at == r->end || *r->at > WORD || *r->at >= left(r))
            return false;
        memcpy(&word, r->at + 1, *r->at);
        memcpy((unsigned char *)words + i * WORD, &word, WORD);
        r->at += 1 + *r->at;
    }
    return true;
}

struct row {
    struct reader heads, rows;
    int64_t model, first; /* asked is for that model (0: for all), from that change on */
    unsigned char *body;  /* of the change that is being visited */
    size_t room;
    bool no_memory; /* for it */
};

/* The body, put together; false: it is not there, or there is no memory for it. */
static bool get_body(struct row *row, struct reader *r, size_t bytes)
{
    size_t words = body_words(bytes) * WORD;
    if (bytes - words > left(r)) /* it has so many at least */
        return false;
    row->no_memory = !reserve(&row->body, &row->room, 0, bytes + 1, 1); /* no NULL */
    if (row->no_memory || !get_words(r, row->body, words / WORD) || bytes - words > left(r))
        return false;
    put_bytes(row->body + words, r->at, bytes - words);
    r->at += bytes - words;
    return true;
}

/* The change that stands there; false: there cannot be one. */
static bool unpack(struct row *row, struct reader from, struct packed *out)
{
    struct reader r = from;
    int64_t field[FIELDS];
    if (!get_words(&r, field, FIELDS))
        return false;
    size_t body = (size_t)field[BODY_BYTES], data = (size_t)field[DATA_BYTES];
    if (!get_body(row, &r, body) || data > left(&r))
        return false;
    struct blob blob = {field[BLOB_FIRST], field[BLOB_BYTES], (uint32_t)field[BLOB_DIGEST]};
    struct store_change c = {.seq = field[SEQ],
                             .from = field[FROM],
                             .kind = (int)field[KIND],
                             .step = field[STEP],
                             .body = row->body,
                             .body_bytes = body,
                             .data = data ? r.at : NULL,
                             .data_bytes = data};
    if (field[SEAL] != pack_seal(field[MODEL], &c, &blob))
        return false;
    if (blob.bytes)
        c.data_bytes = (size_t)blob.bytes;
    *out = (struct packed){.model = field[MODEL],
                           .change = c,
                           .blob = blob,
                           .at = from.at,
                           .bytes = (size_t)(r.at - from.at) + data};
    return true;
}

/* What a sound head says, and no more. */
static struct packed unread(const struct row *row, const struct pack_head *head)
{
    size_t at = (size_t)head->at, bytes = (size_t)head->bytes, all = left(&row->rows);
    bool there = at <= all && bytes <= all - at;
    return (struct packed){.model = head->model,
                           .change.seq = head->seq,
                           .at = there ? row->rows.at + at : row->rows.end,
                           .bytes = there ? bytes : 0,
                           .damaged = true};
}

static bool is_wanted(const struct row *row, int64_t model, int64_t seq)
{
    return (row->model == 0 || row->model == model) && seq >= row->first;
}

static enum err_kind visit_unread(struct row *row, pack_visit *visit, void *arg, struct err *e)
{
    struct pack_head head;
    enum err_kind rc = ERR_OK;
    while (!rc && get_words(&row->heads, &head, HEAD_FIELDS)) {
        struct packed p = unread(row, &head);
        rc = visit(arg, &p, e);
    }
    return rc;
}

static enum err_kind visit_by_heads(struct row *row, pack_visit *visit, void *arg, struct err *e)
{
    struct pack_head head;
    enum err_kind rc = ERR_OK;
    while (!rc && get_words(&row->heads, &head, HEAD_FIELDS)) {
        if (!is_wanted(row, head.model, head.seq))
            continue;
        struct packed p, whole = unread(row, &head);
        const unsigned char *at = whole.at;
        bool sound = unpack(row, (struct reader){at, at + whole.bytes}, &p) &&
                     p.model == head.model && p.change.seq == head.seq;
        if (row->no_memory)
            break;
        rc = visit(arg, sound ? &p : &whole, e);
    }
    return rc;
}

/* With damaged heads: each change says itself how long it is. */
static enum err_kind visit_in_order(struct row *row, pack_visit *visit, void *arg, struct err *e)
{
    struct packed p;
    struct reader r = row->rows;
    enum err_kind rc = ERR_OK;
    for (; !rc && unpack(row, r, &p); r.at += p.bytes)
        if (is_wanted(row, p.model, p.change.seq))
            rc = visit(arg, &p, e);
    return rc;
}

static struct reader get_blob(struct query *q)
{
    size_t bytes;
    const unsigned char *data = query_blob(q, &bytes);
    data = data ? data : nothing;
    return (struct reader){data, data + bytes};
}

/* by_heads: if they are sound. */
static enum err_kind each(struct query *q, uint32_t key, int64_t model, int64_t first,
                          enum err_kind (*by_heads)(struct row *row, pack_visit *visit, void *arg,
                                                    struct err *e),
                          pack_visit *visit, void *arg, struct err *e)
{
    struct row row = {.heads = get_blob(q), .rows = get_blob(q), .model = model, .first = first};
    bool intact = query_i64(q) == heads_seal(key, row.heads.at, left(&row.heads));
    enum err_kind rc = query_check(q, e);
    if (!rc)
        rc = intact ? by_heads(&row, visit, arg, e) : visit_in_order(&row, visit, arg, e);
    if (!rc && row.no_memory)
        rc = err_set(e, ERR_NOMEM, "", "no memory to read the journal");
    mem_free(row.body);
    return rc;
}

enum err_kind pack_each(struct query *q, uint32_t key, int64_t model, int64_t first,
                        pack_visit *visit, void *arg, struct err *e)
{
    return each(q, key, model, first, visit_by_heads, visit, arg, e);
}

enum err_kind pack_each_unread(struct query *q, uint32_t key, pack_visit *visit, void *arg,
                               struct err *e)
{
    return each(q, key, 0, 0, visit_unread, visit, arg, e);
}
