/* storage/filesystem.h - what the store asks of the file system that a file lies on.
 *
 * Threads: pure, or nothing is shared.
 */
#ifndef STORAGE_FILESYSTEM_H
#define STORAGE_FILESYSTEM_H

#include "engine/err.h"

/* Refuses the file at path, which may be still to be made, if it lies on a network file system:
 * there SQLite's locks need not hold against other machines, nor its log the loss of one.
 *   errors  IO it does, and on which; NOMEM */
MUST_USE enum err_kind filesystem_check(const char *path, struct err *e);
/* The same for a file system of this magic number (statfs' f_type). */
MUST_USE enum err_kind filesystem_judge(const char *path, long magic, struct err *e);

/* The folder that path lies in, as text for the system; NULL: no memory. mem_free. */
MUST_USE char *filesystem_folder(const char *path);
/* Syncs that folder: the name of a new file is safe only then.
 *   errors  IO, NOMEM */
MUST_USE enum err_kind filesystem_sync_folder(const char *path, struct err *e);

#endif
