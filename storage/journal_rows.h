/* storage/journal_rows.h - the journal of files of version 3 and 4: a row a change, and a front
 * whose groups hold their changes as structs.
 *
 * Parts of migrations (schema.c); nothing else knows the table `journal`.
 */
#ifndef STORAGE_JOURNAL_ROWS_H
#define STORAGE_JOURNAL_ROWS_H

#include "storage/sql.h"

/* Gives every model, and the front, an end. */
MUST_USE enum err_kind journal_rows_begin(struct db *db, struct err *e);
/* Makes runs of all rows, and drops their table; packs the groups anew. Seals are carried on: what
 * is damaged stays so. */
MUST_USE enum err_kind journal_rows_to_runs(struct db *db, struct err *e);

#endif
