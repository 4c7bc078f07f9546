#include "tests/storage/fault_memory.h"

#include <assert.h>
#include <sqlite3.h>
#include <stdatomic.h>

#include "engine/mem.h"

static atomic_long left;
static atomic_uint armed; /* enum fault_memory */
static atomic_bool failed;

static bool fails(enum fault_memory whose)
{
    if (!(atomic_load(&armed) & whose) || atomic_fetch_sub(&left, 1) != 1)
        return false;
    atomic_store(&failed, true);
    return true;
}

void fault_memory_arm(unsigned whose, long nth)
{
    atomic_store(&failed, false);
    atomic_store(&left, nth);
    atomic_store(&armed, whose);
}

bool fault_memory_disarm(void)
{
    atomic_store(&armed, 0);
    return atomic_load(&failed);
}

static bool fault_ours(size_t bytes)
{
    (void)bytes;
    return fails(FAULT_OURS);
}

/* ---- SQLite -------------------------------------------------------------------------------- */

static sqlite3_mem_methods memory;

static void *fault_malloc(int bytes)
{
    return fails(FAULT_SQLITE) ? NULL : memory.xMalloc(bytes);
}

static void *fault_realloc(void *block, int bytes)
{
    return fails(FAULT_SQLITE) ? NULL : memory.xRealloc(block, bytes);
}

void fault_memory_install(void)
{
    sqlite3_mem_methods methods;
    int code = sqlite3_config(SQLITE_CONFIG_GETMALLOC, &memory);
    methods = memory;
    methods.xMalloc = fault_malloc;
    methods.xRealloc = fault_realloc;
    code = code ? code : sqlite3_config(SQLITE_CONFIG_MALLOC, &methods);
    assert(code == SQLITE_OK);
    (void)code;
    mem_fault = fault_ours; /* and stays: other threads read it */
}
