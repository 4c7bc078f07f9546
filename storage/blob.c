#include "storage/blob.h"

#include <string.h>

#include "engine/mem.h"
#include "storage/checksum.h"

#define CHUNK_BYTES  (1 << 20)
#define DROP_AT_ONCE 16 /* chunks deleted in one go: some 10 ms */

static int64_t count_chunks(const struct blob *b)
{
    return b->bytes / CHUNK_BYTES + (b->bytes % CHUNK_BYTES != 0);
}

static size_t chunk_bytes(const struct blob *b, int64_t chunk)
{
    int64_t left = b->bytes - chunk * CHUNK_BYTES;
    return (size_t)(left < CHUNK_BYTES ? left : CHUNK_BYTES);
}

/* ---- writing ------------------------------------------------------------------------------- */

static enum err_kind insert_chunk(struct db *db, int64_t key, uint32_t digest, const void *data,
                                  size_t bytes, struct err *e)
{
    struct query q;
    query_start(&q, db, "INSERT INTO chunks (key, digest, data) VALUES (?, ?, ?)");
    query_put_i64(&q, key);
    query_put_i64(&q, digest);
    query_put_blob(&q, data, bytes);
    return query_run(&q, e);
}

enum err_kind blob_write(struct db *db, const void *data, size_t bytes, struct blob *out,
                         struct err *e)
{
    const unsigned char *p = data;
    *out = (struct blob){.bytes = (int64_t)bytes};
    if (bytes == 0)
        return ERR_OK;
    enum err_kind rc =
        db_number(db, "SELECT coalesce(max(key), 0) + 1 FROM chunks", &out->first, e);
    int64_t chunks = count_chunks(out);
    for (int64_t i = 0; !rc && i < chunks; i++) {
        size_t n = chunk_bytes(out, i);
        out->digest = checksum(out->digest, p, n);
        rc = insert_chunk(db, out->first + i, out->digest, p, n, e);
        p += n;
    }
    return rc;
}

/* ---- reading ------------------------------------------------------------------------------- */

/* Copies the next chunk behind *digest's bytes; IO if it is not the one that belongs there. */
static enum err_kind read_chunk(struct query *q, const struct blob *b, int64_t chunk,
                                uint32_t *digest, void *out, struct err *e)
{
    bool row;
    size_t bytes = 0;
    enum err_kind rc = query_row(q, &row, e);
    if (rc)
        return rc;
    int64_t key = row ? query_i64(q) : 0, kept = row ? query_i64(q) : 0;
    const void *data = row ? query_blob(q, &bytes) : NULL;
    if ((rc = query_check(q, e)))
        return rc;
    if (key != b->first + chunk || bytes != chunk_bytes(b, chunk))
        return err_set(e, ERR_IO, "", "its data is damaged: chunk %lld is missing or cut",
                       (long long)chunk);
    *digest = checksum(*digest, data, bytes);
    if (*digest != kept)
        return err_set(e, ERR_IO, "", "its data is damaged: chunk %lld has a wrong checksum",
                       (long long)chunk);
    memcpy(out, data, bytes);
    return ERR_OK;
}

enum err_kind blob_read(struct db *db, const struct blob *b, void **data, struct err *e)
{
    int64_t chunks = count_chunks(b);
    uint32_t digest = 0;
    enum err_kind rc = ERR_OK;
    struct query q;
    unsigned char *p = mem_array((size_t)b->bytes, 1);
    if (!p)
        return err_set(e, ERR_NOMEM, "", "no memory for %lld bytes", (long long)b->bytes);
    query_start(&q, db,
                "SELECT key, digest, data FROM chunks WHERE key >= ? AND key < ? ORDER BY key");
    query_put_i64(&q, b->first);
    query_put_i64(&q, b->first + chunks);
    for (int64_t i = 0; !rc && i < chunks; i++)
        rc = read_chunk(&q, b, i, &digest, p + i * CHUNK_BYTES, e);
    query_end(&q);
    if (!rc && digest != b->digest)
        rc = err_set(e, ERR_IO, "", "its data is damaged: wrong checksum");
    if (rc)
        mem_free(p);
    else
        *data = p;
    return rc;
}

/* ---- dropping ------------------------------------------------------------------------------ */

static enum err_kind delete_chunks(struct db *db, int64_t first, int64_t count, struct err *e)
{
    struct query q;
    query_start(&q, db, "DELETE FROM chunks WHERE key >= ? AND key < ?");
    query_put_i64(&q, first);
    query_put_i64(&q, first + count);
    return query_run(&q, e);
}

static uint32_t garbage_seal(int64_t first, int64_t chunks)
{
    return checksum_i64(checksum_i64(0, first), chunks);
}

static enum err_kind insert_garbage(struct db *db, int64_t first, int64_t chunks, struct err *e)
{
    struct query q;
    query_start(&q, db, "INSERT INTO garbage (first, chunks, seal) VALUES (?, ?, ?)");
    query_put_i64(&q, first);
    query_put_i64(&q, chunks);
    query_put_i64(&q, garbage_seal(first, chunks));
    return query_run(&q, e);
}

enum err_kind blob_drop(struct db *db, const struct blob *b, struct err *e)
{
    int64_t chunks = count_chunks(b);
    if (chunks == 0)
        return ERR_OK;
    if (chunks <= DROP_AT_ONCE)
        return delete_chunks(db, b->first, chunks, e);
    db->has_garbage = true;
    return insert_garbage(db, b->first, chunks, e);
}

void blob_put(struct query *q, const struct blob *b)
{
    query_put_i64(q, b->first);
    query_put_i64(q, b->bytes);
    query_put_i64(q, b->digest);
}

struct blob blob_get(struct query *q)
{
    struct blob b;
    b.first = query_i64(q);
    b.bytes = query_i64(q);
    b.digest = (uint32_t)query_i64(q);
    return b;
}

uint32_t blob_seal(uint32_t before, const struct blob *b)
{
    uint32_t seal = checksum_i64(before, b->first);
    seal = checksum_i64(seal, b->bytes);
    return checksum_i64(seal, b->digest);
}

/* ---- garbage ------------------------------------------------------------------------------- */

struct garbage {
    int64_t first, chunks, seal;
};

static enum err_kind read_garbage(struct db *db, struct garbage *g, bool *found, struct err *e)
{
    struct query q;
    query_start(&q, db, "SELECT first, chunks, seal FROM garbage ORDER BY first LIMIT 1");
    enum err_kind rc = query_row(&q, found, e);
    if (*found) {
        g->first = query_i64(&q);
        g->chunks = query_i64(&q);
        g->seal = query_i64(&q);
    }
    query_end(&q);
    return rc;
}

/* Deletes from the front, so that the last chunk keeps its key from being given anew. A damaged
 * row is let go with its chunks still there: lost space, but nobody else's data. */
static enum err_kind shrink(struct db *db, const struct garbage *g, struct err *e)
{
    struct query q;
    bool sound = g->seal == garbage_seal(g->first, g->chunks);
    int64_t now = g->chunks < DROP_AT_ONCE ? g->chunks : DROP_AT_ONCE;
    query_start(&q, db, "DELETE FROM garbage WHERE first = ?");
    query_put_i64(&q, g->first);
    enum err_kind rc = query_run(&q, e);
    if (!rc && sound)
        rc = delete_chunks(db, g->first, now, e);
    if (!rc && sound && now < g->chunks)
        rc = insert_garbage(db, g->first + now, g->chunks - now, e);
    return rc;
}

enum err_kind blob_reclaim(struct db *db, struct err *e)
{
    struct garbage g = {0};
    enum err_kind rc = read_garbage(db, &g, &db->has_garbage, e);
    if (rc || !db->has_garbage)
        return rc;
    if ((rc = db_exec(db, "BEGIN IMMEDIATE", e)))
        return rc;
    if ((rc = shrink(db, &g, e)) || (rc = db_exec(db, "COMMIT", e)))
        db_rollback(db);
    return rc;
}
