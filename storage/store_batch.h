/* storage/store_batch.h - the part of the batches in deleting a model and in trimming its journal.
 */
#ifndef STORAGE_STORE_BATCH_H
#define STORAGE_STORE_BATCH_H

#include "storage/sql.h"

/* Drops the blobs of all batches of the model, not the rows. What a damaged row owned is lost
 * space: its chunk numbers may be another's. */
MUST_USE enum err_kind batches_drop_blobs(struct db *db, int64_t model, struct err *e);

struct tally;

/* Deletes the batches that a change up to upto took away, and counts them off; not a damaged one.
 */
MUST_USE enum err_kind batches_trim(struct db *db, int64_t model, int64_t upto, struct tally *tally,
                                    struct err *e);

#endif
