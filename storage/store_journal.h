/* storage/store_journal.h - the journal's part in making, trimming and deleting a model.
 *
 * A model's changes are rows (model, seq) with seq 1, 2, 3, …, oldest first. Behind them stands the
 * model's end, the row (model, JOURNAL_END), which names the last of them: so a row that vanished
 * from the end is noticed too, and both lie on the same page, which one commit writes.
 */
#ifndef STORAGE_STORE_JOURNAL_H
#define STORAGE_STORE_JOURNAL_H

#include "storage/sql.h"

#define JOURNAL_END INT64_MAX

/* The end of a model without changes. */
MUST_USE enum err_kind journal_begin(struct db *db, int64_t model, struct err *e);
/* UNAVAILABLE: change seq is not the last one there is. An end that is damaged says nothing. */
MUST_USE enum err_kind journal_check_last(struct db *db, int64_t model, int64_t seq, struct err *e);
/* Deletes the changes up to upto, with what they own; not the end. What a damaged row owned is
 * lost space: its chunk numbers may be another's. */
MUST_USE enum err_kind journal_trim(struct db *db, int64_t model, int64_t upto, struct err *e);
/* Deletes all of it. */
MUST_USE enum err_kind journal_drop(struct db *db, int64_t model, struct err *e);
/* A migration's part: gives every model an end. */
MUST_USE enum err_kind journal_begin_all(struct db *db, struct err *e);

#endif
