/* storage/lockfile.h - PATH.lock, by which a second daemon on the same file is refused.
 *
 * The kernel gives the lock back when the process ends, however it ends, so the file is never
 * stale and is left lying: removing it would race with the next daemon's taking it.
 */
#ifndef STORAGE_LOCKFILE_H
#define STORAGE_LOCKFILE_H

#include "engine/err.h"

/* Locks path.lock for the file at path and writes the process id into it.
 *   errors  CONFLICT another process (or store) has it · IO it cannot be made */
MUST_USE enum err_kind lockfile_take(const char *path, int *fd, struct err *e);
void lockfile_give(int fd); /* -1 is fine */

#endif
