/* storage/upkeep.h - what the writer's thread does between its callers: syncing, checkpointing
 * the log, deleting garbage.
 *
 * When is a commit safe? Policy "process": before its caller is answered it has been handed to
 * the kernel, and so survives the death of the process; at most SYNC_SECONDS later it is synced
 * to the disk, and so survives the loss of power.
 */
#ifndef STORAGE_UPKEEP_H
#define STORAGE_UPKEEP_H

#include "storage/sql.h"

#define SYNC_SECONDS 1

/* Notes every commit from here on in db: how long the log is, since when it is dirty. Takes the
 * place of SQLite's own checkpoints, which would run before the callers have their answers. */
void upkeep_watch(struct db *db);
/* Empties the log, so that what may stand behind its end is not taken for lost commits when the
 * file is opened again. A full disk passes. */
void upkeep_restart_log(struct db *db);
/* Syncs what was committed. A failure ends the db's health. */
void upkeep_sync(struct db *db);
/* The same aside, on another thread, while others own the connection and commit. Its owner begins
 * it, if it is time (true), and ends it, before the next round; in between db->syncing stays as it
 * is, and db->sync_code is the other thread's. */
bool upkeep_begin_sync(struct db *db);
void upkeep_sync_aside(struct db *db);
void upkeep_end_sync(struct db *db);
/* One round; short. A failure that matters ends the db's health (db_fail). */
void upkeep_run(struct db *db);
/* Whether the next round has work at some time: *at (CLOCK_MONOTONIC, {0} is now). */
bool upkeep_next(const struct db *db, struct timespec *at);
/* The last round: the log into the main file, all of it synced. */
void upkeep_finish(struct db *db);

#endif
