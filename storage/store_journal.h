/* storage/store_journal.h - the changes of each model in their places.
 *
 * They lie in runs, some of them behind each other in a row (pack.h), whose key (model, seq) is
 * that of the last of them. Behind these stands the model's end, the row (model, JOURNAL_END),
 * which names its last change: so a row that vanished from the end is noticed too. The newest
 * changes are not here yet, but in front (front.h).
 */
#ifndef STORAGE_STORE_JOURNAL_H
#define STORAGE_STORE_JOURNAL_H

#include "storage/pack.h"

#define JOURNAL_END INT64_MAX
/* Changes of a run, which is read as a whole. */
#define JOURNAL_RUN 256

/* The end of a model without changes. */
MUST_USE enum err_kind journal_begin(struct db *db, int64_t model, struct err *e);
/* UNAVAILABLE: change seq is not the last one there is. An end that is damaged says nothing. */
MUST_USE enum err_kind journal_check_last(struct db *db, int64_t model, int64_t seq, struct err *e);
/* Deletes the changes up to upto, with what they own; not the end. What a damaged row owned is
 * lost space: its chunk numbers may be another's. */
MUST_USE enum err_kind journal_trim(struct db *db, int64_t model, int64_t upto, struct err *e);
/* Deletes all of it. */
MUST_USE enum err_kind journal_drop(struct db *db, int64_t model, struct err *e);

/* ---- for the front ------------------------------------------------------------------------- */

/* *last: the last change that is here. One that mends writes a damaged end anew.
 * IO: it is damaged. NOT_FOUND: there is no such model. */
MUST_USE enum err_kind journal_find_end(struct db *db, int64_t model, const struct store_change *c,
                                        int64_t *last, struct err *e);
/* Moves the end on to last, *from where it was; a damaged one is mended, and *from the last change
 * that a run claims to have. *found false: there is no such model any more. */
MUST_USE enum err_kind journal_move_end(struct db *db, int64_t model, int64_t last, int64_t *from,
                                        bool *found, struct err *e);
/* Adds a run of one model's changes, behind those that are here. */
MUST_USE enum err_kind journal_insert(struct db *db, struct pack *run, struct err *e);

#endif
