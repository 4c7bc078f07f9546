/* tests/storage/fault_vfs.h - a layer under SQLite that fails and loses power on demand.
 *
 * It passes everything to the operating system's VFS, and meanwhile remembers what of each file
 * was synced and what was only written, so that a loss of power can be played: of the writes since
 * the last sync an arbitrary part has reached the disk, in arbitrary order, cut at sectors.
 *
 * Threads: one store at a time; arming and asking from any thread.
 */
#ifndef TESTS_STORAGE_FAULT_VFS_H
#define TESTS_STORAGE_FAULT_VFS_H

#include <stdbool.h>
#include <stdint.h>

enum fault_call { FAULT_READ = 1, FAULT_WRITE = 2, FAULT_SYNC = 4, FAULT_TRUNCATE = 8 };

/* Makes it SQLite's default; once, before any store is opened. */
void fault_vfs_install(void);

/* The nth call from now (from 1) of the kinds in `calls` gives the SQLite code instead of being
 * done, and if `forever` all after it too. */
void fault_vfs_arm(unsigned calls, long nth, bool forever, int code);
/* From now on only calls on files whose name contains this count and fail; NULL: on all. */
void fault_vfs_only(const char *name);
/* Back to normal; whether a call was failed since it was armed. */
bool fault_vfs_disarm(void);

/* Syncs that succeeded so far. */
long fault_vfs_syncs(void);

/* From now on no sync ends, until it is turned off. */
void fault_vfs_slow_syncs(bool on);
bool fault_vfs_is_syncing(void);

/* Writes, syncs and truncations so far: what fault_vfs_lose_power counts. */
long fault_vfs_changes(void);

/* From now on remembers the files that are opened. */
void fault_vfs_remember(void);
/* At the nth write, sync or truncation from now the power goes: every remembered file becomes what
 * a disk may have held, another one for each seed, and the process ends with status 0. */
void fault_vfs_lose_power(long nth, uint64_t seed);

#endif
