/* storage/blob.h - bytes of any length, kept in chunks of 1 MiB.
 *
 * The chunks of a blob have consecutive keys. Each carries the checksum of the blob from its
 * start to the chunk's end, so that a chunk that is missing, swapped, cut or altered shows at
 * once; the last one is the blob's digest.
 */
#ifndef STORAGE_BLOB_H
#define STORAGE_BLOB_H

#include "storage/sql.h"

/* What a row keeps of a blob that it owns. Read and drop expect one whose row's seal was right. */
struct blob {
    int64_t first; /* chunk's key; 0 for an empty blob */
    int64_t bytes;
    uint32_t digest;
};

MUST_USE enum err_kind blob_write(struct db *db, const void *data, size_t bytes, struct blob *out,
                                  struct err *e);
/* *data: mem_free. IO: damaged. */
MUST_USE enum err_kind blob_read(struct db *db, const struct blob *b, void **data, struct err *e);
/* Deletes its chunks: at once if they are few, else as garbage, so that nobody waits for it. */
MUST_USE enum err_kind blob_drop(struct db *db, const struct blob *b, struct err *e);

/* Three arguments (columns) of a query: first_chunk, bytes, digest. */
void blob_put(struct query *q, const struct blob *b);
struct blob blob_get(struct query *q);
uint32_t blob_seal(uint32_t before, const struct blob *b);

/* Deletes some garbage in a transaction of its own; db->has_garbage false: there is none left. */
MUST_USE enum err_kind blob_reclaim(struct db *db, struct err *e);

#endif
