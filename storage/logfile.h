/* storage/logfile.h - is the write-ahead log whole?
 *
 * When SQLite opens a file that was not closed, it takes over what is in the log up to the first
 * frame whose checksum is wrong, and drops what is behind that without a word. After a kill there
 * is nothing behind it; after a loss of power there may be what was not synced; and if a bit has
 * flipped, there is everything that was acknowledged since. So the log is read before SQLite does.
 *
 * Source: sqlite.org/fileformat2.html, "The Write-Ahead Log", and SQLite's wal.c.
 */
#ifndef STORAGE_LOGFILE_H
#define STORAGE_LOGFILE_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/err.h"

struct logfile {
    int64_t frames; /* that SQLite reads, or would but for their end: a commit */
    int64_t lost;   /* from the first wrong one to the last that was written with them */
    bool unended;   /* the last of the former ends no commit */
};

/* Looks at the log of that name; none at all is an empty one.
 *   errors  IO its header is damaged: all of it would be dropped · NOMEM */
MUST_USE enum err_kind logfile_read(const char *name, struct logfile *out, struct err *e);

#endif
