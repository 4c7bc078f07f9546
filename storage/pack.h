/* storage/pack.h - changes behind each other, as a row of the file has them.
 *
 * The column `rows` has the changes; `heads` says where in it each of them is; `seal` is over the
 * heads and the row's key. A change has a seal of its own, wherever it lies. So a flipped bit
 * leaves it known which change it hit.
 */
#ifndef STORAGE_PACK_H
#define STORAGE_PACK_H

#include "storage/blob.h"
#include "storage/store.h"

struct pack_head {
    int64_t model, seq, at, bytes;
};

/* struct pack (sql.h): a row under construction. A zeroed one is empty. */

/* One of the changes in a row. */
struct packed {
    int64_t model;
    struct store_change change; /* data NULL, but its length known, if it is in … */
    struct blob blob;           /* … this; no bytes: it is not */
    const void *at;             /* all of it, as it lies there */
    size_t bytes;
    bool damaged; /* then of the above only model, change.seq, at and bytes say anything */
};

uint32_t pack_seal(int64_t model, const struct store_change *c, const struct blob *blob);

/* Adds a change; false: no memory. */
MUST_USE bool pack_add(struct pack *p, int64_t model, const struct store_change *c,
                       const struct blob *blob);
/* The same with a seal that may be wrong. */
MUST_USE bool pack_add_sealed(struct pack *p, int64_t model, const struct store_change *c,
                              const struct blob *blob, uint32_t seal);
/* The same of one that was read, as it lies there. */
MUST_USE bool pack_copy(struct pack *p, int64_t model, int64_t seq, const void *at, size_t bytes);
/* Empties it, and keeps its memory; frees that, too. */
void pack_clear(struct pack *p);
void pack_close(struct pack *p);

/* Three arguments of a query: heads, rows, seal. key: the checksum of the row's key. */
MUST_USE enum err_kind pack_put(struct query *q, struct pack *p, uint32_t key, struct err *e);

/* Takes these three columns, and calls visit for every change of the model in the row, from number
 * first on, in order; what it is given lives until it returns. With damaged heads not all may be
 * found. */
typedef enum err_kind pack_visit(void *arg, const struct packed *p, struct err *e);
MUST_USE enum err_kind pack_each(struct query *q, uint32_t key, int64_t model, int64_t first,
                                 pack_visit *visit, void *arg, struct err *e);
/* The same for all models and one who only carries the changes on: what is in them is not looked
 * at, and of each it is known what is of a damaged one. */
MUST_USE enum err_kind pack_each_unread(struct query *q, uint32_t key, pack_visit *visit, void *arg,
                                        struct err *e);

#endif
