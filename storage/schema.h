/* storage/schema.h - the file's shape: whose it is, its tables, how an older one is brought up.
 *
 * A row that matters carries a `seal`, the checksum of its other columns with its key, so that a
 * flipped bit is noticed in a number as well as in a tensor.
 */
#ifndef STORAGE_SCHEMA_H
#define STORAGE_SCHEMA_H

#include "storage/sql.h"

/* Opens the file at path, makes sure that it is ours and whole, and brings its tables up to this
 * build's version. What is not ours, damaged or newer is left as it was found.
 *   after   db_close, also when it failed */
MUST_USE enum err_kind schema_open(struct db *db, const char *path, struct err *e);

#endif
