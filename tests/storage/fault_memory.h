/* tests/storage/fault_memory.h - allocations that fail on demand: ours (engine/mem.h) and SQLite's.
 *
 * Threads: any.
 */
#ifndef TESTS_STORAGE_FAULT_MEMORY_H
#define TESTS_STORAGE_FAULT_MEMORY_H

#include <stdbool.h>

enum fault_memory { FAULT_OURS = 1, FAULT_SQLITE = 2 };

/* Puts itself under SQLite, before its first use, and under mem.h. */
void fault_memory_install(void);

/* The nth allocation from now (from 1) of the kinds in `whose` fails, of whatever thread. */
void fault_memory_arm(unsigned whose, long nth);
/* Back to normal; whether one has failed since it was armed. */
bool fault_memory_disarm(void);

#endif
