/* storage/store_checkpoint.h - the part of the checkpoints in deleting a model. */
#ifndef STORAGE_STORE_CHECKPOINT_H
#define STORAGE_STORE_CHECKPOINT_H

#include "storage/sql.h"

/* Drops the blobs of all checkpoints of the model, not the rows. What a damaged row owned is lost
 * space: its chunk numbers may be another's. */
MUST_USE enum err_kind checkpoints_drop_blobs(struct db *db, int64_t model, struct err *e);

#endif
