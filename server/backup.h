/* server/backup.h - `gradd backup FILE`: a copy of all that is kept, whether a daemon runs or not.
 */
#ifndef SERVER_BACKUP_H
#define SERVER_BACKUP_H

#include "server/config.h"

/* Copies the data to the operand. A daemon that has the data is asked to, at the address, and does
 * so in its own folder for backups only.
 *   *bytes  the copy's size
 *   errors  NOT_FOUND there is no data · CONFLICT the file exists · IO · UNAVAILABLE the daemon
 *           refused, in its words */
MUST_USE enum err_kind backup(const struct config *c, int64_t *bytes, struct err *e);

#endif
