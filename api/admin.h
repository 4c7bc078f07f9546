/* api/admin.h - what the api itself needs of admin.c. */
#ifndef API_ADMIN_H
#define API_ADMIN_H

#include "api/api.h"

/* Finds a->data_file and a->backup_folder.
 *   errors  IO they are not there · NOMEM
 *   after   admin_close, also when it failed */
MUST_USE enum err_kind admin_open(struct api *a, struct err *e);
void admin_close(struct api *a);

#endif
