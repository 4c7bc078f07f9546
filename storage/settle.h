/* storage/settle.h - the changes of the front go to their places.
 *
 * Once there are many, and sorted, so that a page takes many at a time. In slices, each a
 * transaction of its own: nobody can commit anything during one, and many clients do not wait for
 * all of it. The groups stay until the last of their changes is in its place, so that what a crash
 * leaves is both in the front and there, and is settled again.
 */
#ifndef STORAGE_SETTLE_H
#define STORAGE_SETTLE_H

#include "storage/sql.h"

/* Puts every change into its place. In a transaction. */
MUST_USE enum err_kind settle_all(struct db *db, struct err *e);
/* The same as a transaction of its own. */
MUST_USE enum err_kind settle_now(struct db *db, struct err *e);

/* Is it time for a slice? */
bool settle_is_due(const struct db *db);
/* The next slice, if it is. */
MUST_USE enum err_kind settle_some(struct db *db, struct err *e);

/* Forgets where it is; what has its place keeps it. */
void settle_stop(struct db *db);

#endif
