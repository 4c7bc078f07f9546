/* tests/storage/journal_table.h - the journal as a table that SQL can look into and damage.
 *
 * The store has many changes in a row (storage/pack.h). Here each is a row of a table `journal`
 * (model, seq, prior, kind, step, body, data, first_chunk, bytes, digest, seal); the end of a
 * model's has kind 0 and the last change's number as its step.
 */
#ifndef TESTS_STORAGE_JOURNAL_TABLE_H
#define TESTS_STORAGE_JOURNAL_TABLE_H

#include <sqlite3.h>

/* Makes the table, of what the runs have; a file of another version is left alone. */
void journal_table_open(sqlite3 *db);
/* Makes runs of what it has now: seals and all, so that what SQL has damaged is damaged. */
void journal_table_close(sqlite3 *db);

#endif
