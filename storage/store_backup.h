/* storage/store_backup.h - what the store's own files know of a running backup (store.h). */
#ifndef STORAGE_STORE_BACKUP_H
#define STORAGE_STORE_BACKUP_H

#include "storage/writer.h"

/* The store is being closed and its thread has ended: what runs is ended, which its next step will
 * tell. */
void backup_abandon(struct store *s);

#endif
