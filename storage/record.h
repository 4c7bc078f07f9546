/* storage/record.h - the rows of one checkpoint: its head, its sections, their blobs. */
#ifndef STORAGE_RECORD_H
#define STORAGE_RECORD_H

#include "storage/blob.h"
#include "storage/store.h"

struct record {
    int64_t model;
    int64_t serial;            /* 0 for a client's */
    struct store_checkpoint c; /* its texts are owned when it was read, borrowed to be written */
    struct blob blob[STORE_SECTIONS_MAX];
};

/* Fills r but for the sections' data. IO: the rows are missing or damaged.
 *   after  store_checkpoint_close(&r->c), if it did not fail */
MUST_USE enum err_kind record_read(struct db *db, int64_t model, int64_t n, int64_t serial,
                                   struct record *r, struct err *e);
/* Writes the sections' blobs and all rows. */
MUST_USE enum err_kind record_insert(struct db *db, struct record *r, struct err *e);
/* Drops the blobs, not the rows. What a damaged record owned is lost space: its chunk numbers may
 * be another's. */
MUST_USE enum err_kind record_drop_blobs(struct db *db, int64_t model, int64_t n, int64_t serial,
                                         struct err *e);
/* Drops all of it. */
MUST_USE enum err_kind record_drop(struct db *db, int64_t model, int64_t n, int64_t serial,
                                   struct err *e);
/* The highest serial below `below` of the model's checkpoints n; *found false: there is none. */
MUST_USE enum err_kind record_find_serial(struct db *db, int64_t model, int64_t n, int64_t below,
                                          int64_t *serial, bool *found, struct err *e);

#endif
