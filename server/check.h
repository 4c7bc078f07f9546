/* server/check.h - `gradd verify FILE`: is all that a data file or a backup holds sound?
 */
#ifndef SERVER_CHECK_H
#define SERVER_CHECK_H

#include <stdbool.h>
#include <stdio.h>

#include "server/config.h"

/* Reads the operand whole and replays every journal in it; writes what is wrong, and a summary, to
 * out. The file is opened as a start of this version would open it, and changed no further.
 *   errors  NOT_FOUND there is no such file · CONFLICT a daemon has it · IO it cannot be read ·
 * NOMEM
 */
MUST_USE enum err_kind check(const struct config *c, FILE *out, bool *sound, struct err *e);

#endif
