#include "tests/storage/fault_vfs.h"

#include <assert.h>
#include <fcntl.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define SECTOR 512

/* ---- the disk ------------------------------------------------------------------------------ */

/* A write or truncation that is not synced yet. */
struct change {
    struct change *next;
    sqlite3_int64 at; /* byte; the new length of a truncation */
    int bytes;        /* -1: a truncation */
    unsigned char data[];
};

/* A file as the disk is sure to have it, and what came after. */
struct disk {
    char *path;
    unsigned char *data;
    size_t bytes, room;
    struct change *first, **end;
    long remembered, settled; /* changes so far; those that the disk has */
};

/* The log may be synced on one thread while another writes to it. */
static pthread_mutex_t disk_lock = PTHREAD_MUTEX_INITIALIZER;
static struct disk disks[8];
static int disk_count;
static bool remembering;

static void resize(struct disk *d, size_t bytes)
{
    if (bytes > d->room) {
        d->room = 2 * bytes;
        d->data = realloc(d->data, d->room);
        assert(d->data);
    }
    if (bytes > d->bytes)
        memset(d->data + d->bytes, 0, bytes - d->bytes);
    d->bytes = bytes;
}

static void load_disk(struct disk *d)
{
    struct stat info;
    int fd = open(d->path, O_RDONLY);
    if (fd >= 0 && fstat(fd, &info) == 0) {
        resize(d, (size_t)info.st_size);
        ssize_t got = read(fd, d->data, d->bytes);
        assert(got == (ssize_t)d->bytes);
    }
    if (fd >= 0)
        close(fd);
}

/* Found by name: a log that is deleted and made again is the same one to us. */
static struct disk *find_disk(const char *path)
{
    for (int i = 0; i < disk_count; i++)
        if (!strcmp(disks[i].path, path))
            return &disks[i];
    assert(disk_count < (int)(sizeof disks / sizeof disks[0]));
    struct disk *d = &disks[disk_count++];
    *d = (struct disk){.path = strdup(path), .end = &d->first};
    load_disk(d);
    return d;
}

/* d NULL: nothing is remembered of that file. */
static void remember(struct disk *d, const void *data, int bytes, sqlite3_int64 at)
{
    if (!d)
        return;
    size_t held = bytes > 0 ? (size_t)bytes : 0;
    struct change *c = malloc(sizeof *c + held);
    assert(c);
    *c = (struct change){.at = at, .bytes = bytes};
    memcpy(c->data, data, held);
    pthread_mutex_lock(&disk_lock);
    *d->end = c;
    d->end = &c->next;
    d->remembered++;
    pthread_mutex_unlock(&disk_lock);
}

static long remembered(struct disk *d)
{
    pthread_mutex_lock(&disk_lock);
    long count = d->remembered;
    pthread_mutex_unlock(&disk_lock);
    return count;
}

static void apply_piece(struct disk *d, const struct change *c, int from, int bytes)
{
    size_t end = (size_t)(c->at + from + bytes);
    if (end > d->bytes)
        resize(d, end);
    memcpy(d->data + c->at + from, c->data + from, (size_t)bytes);
}

/* The first so many of all its changes. */
static void settle(struct disk *d, long count)
{
    pthread_mutex_lock(&disk_lock);
    for (struct change *c; (c = d->first) && d->settled < count; d->settled++) {
        d->first = c->next;
        if (c->bytes < 0)
            resize(d, (size_t)c->at);
        else
            apply_piece(d, c, 0, c->bytes);
        free(c);
    }
    if (!d->first)
        d->end = &d->first;
    pthread_mutex_unlock(&disk_lock);
}

static uint64_t next_random(uint64_t *x)
{
    *x += 0x9e3779b97f4a7c15u; /* splitmix64 */
    uint64_t z = (*x ^ *x >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

/* Keeps each sector of the changes with the same chance, which is drawn for each file: none, all
 * and some are all likely. */
static void settle_partly(struct disk *d, uint64_t *seed)
{
    uint64_t chance = next_random(seed) % 5;
    for (const struct change *c = d->first; c; c = c->next) {
        if (c->bytes < 0 && next_random(seed) % 4 < chance)
            resize(d, (size_t)c->at);
        for (int from = 0; from < c->bytes; from += SECTOR) {
            int bytes = c->bytes - from < SECTOR ? c->bytes - from : SECTOR;
            if (next_random(seed) % 4 < chance)
                apply_piece(d, c, from, bytes);
        }
    }
}

static bool write_disk(const struct disk *d)
{
    int fd = open(d->path, O_WRONLY | O_TRUNC);
    if (fd < 0)
        return access(d->path, F_OK) != 0; /* deleted */
    ssize_t written = write(fd, d->data, d->bytes);
    close(fd);
    return written == (ssize_t)d->bytes;
}

static _Noreturn void lose_power(uint64_t seed)
{
    bool ok = true;
    pthread_mutex_lock(&disk_lock); /* for ever: nobody writes any more */
    for (int i = 0; i < disk_count; i++) {
        settle_partly(&disks[i], &seed);
        ok &= write_disk(&disks[i]);
    }
    _Exit(ok ? 0 : 1);
}

/* ---- failing ------------------------------------------------------------------------------- */

static atomic_uint armed_calls; /* 0: nothing is armed */
static atomic_long armed_nth;
static atomic_bool armed_forever, fired;
static atomic_int armed_code;
static _Atomic(const char *) armed_name; /* NULL: any */
static atomic_long power_nth;            /* 0: stays on */
static uint64_t power_seed;
static atomic_long changes;

void fault_vfs_arm(unsigned calls, long nth, bool forever, int code)
{
    atomic_store(&fired, false);
    atomic_store(&armed_nth, nth);
    atomic_store(&armed_forever, forever);
    atomic_store(&armed_code, code);
    atomic_store(&armed_calls, calls);
}

void fault_vfs_only(const char *name)
{
    atomic_store(&armed_name, name);
}

bool fault_vfs_disarm(void)
{
    atomic_store(&armed_calls, 0);
    return atomic_load(&fired);
}

void fault_vfs_remember(void)
{
    remembering = true;
}

void fault_vfs_lose_power(long nth, uint64_t seed)
{
    power_seed = seed;
    atomic_store(&power_nth, nth);
}

long fault_vfs_changes(void)
{
    return atomic_load(&changes);
}

/* The code that this call on a file (NULL: it has no name) must give, SQLITE_OK: go on. */
static int fault(enum fault_call call, const char *name)
{
    const char *only = atomic_load(&armed_name);
    if (call != FAULT_READ)
        atomic_fetch_add(&changes, 1);
    if (call != FAULT_READ && atomic_load(&power_nth) && atomic_fetch_sub(&power_nth, 1) == 1)
        lose_power(power_seed);
    if (!(atomic_load(&armed_calls) & call) || (only && !(name && strstr(name, only))))
        return SQLITE_OK;
    long nth = atomic_fetch_sub(&armed_nth, 1);
    if (nth > 1 || (nth < 1 && !atomic_load(&armed_forever)))
        return SQLITE_OK;
    atomic_store(&fired, true);
    return atomic_load(&armed_code);
}

/* ---- files --------------------------------------------------------------------------------- */

struct file {
    sqlite3_file base;
    const char *name;
    struct disk *disk; /* NULL: not remembered */
    _Alignas(8) unsigned char real[];
};

static sqlite3_vfs *os; /* the operating system's */
static atomic_long syncs;
static atomic_bool slow;
static atomic_int syncing;

void fault_vfs_slow_syncs(bool on)
{
    atomic_store(&slow, on);
}

bool fault_vfs_is_syncing(void)
{
    return atomic_load(&syncing) > 0;
}

long fault_vfs_syncs(void)
{
    return atomic_load(&syncs);
}

static sqlite3_file *real(sqlite3_file *file)
{
    return (sqlite3_file *)((struct file *)file)->real;
}

static struct disk *disk_of(sqlite3_file *file)
{
    return ((struct file *)file)->disk;
}

static const char *name_of(sqlite3_file *file)
{
    return ((struct file *)file)->name;
}

static int file_close(sqlite3_file *file)
{
    return real(file)->pMethods->xClose(real(file));
}

static int file_read(sqlite3_file *file, void *out, int bytes, sqlite3_int64 at)
{
    int code = fault(FAULT_READ, name_of(file));
    return code ? code : real(file)->pMethods->xRead(real(file), out, bytes, at);
}

static int file_write(sqlite3_file *file, const void *data, int bytes, sqlite3_int64 at)
{
    int code = fault(FAULT_WRITE, name_of(file));
    if (!code)
        remember(disk_of(file), data, bytes, at);
    return code ? code : real(file)->pMethods->xWrite(real(file), data, bytes, at);
}

static int file_truncate(sqlite3_file *file, sqlite3_int64 bytes)
{
    int code = fault(FAULT_TRUNCATE, name_of(file));
    if (!code)
        remember(disk_of(file), "", -1, bytes);
    return code ? code : real(file)->pMethods->xTruncate(real(file), bytes);
}

/* No real sync: the tests lose no real power. What is written while it lasts is not part of it. */
static int file_sync(sqlite3_file *file, int flags)
{
    struct disk *d = disk_of(file);
    long before = d ? remembered(d) : 0;
    atomic_fetch_add(&syncing, 1);
    while (atomic_load(&slow))
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    atomic_fetch_sub(&syncing, 1);
    int code = fault(FAULT_SYNC, name_of(file));
    (void)flags;
    if (!code && d)
        settle(d, before);
    if (!code)
        atomic_fetch_add(&syncs, 1);
    return code;
}

static int file_size(sqlite3_file *file, sqlite3_int64 *bytes)
{
    return real(file)->pMethods->xFileSize(real(file), bytes);
}

static int file_lock(sqlite3_file *file, int level)
{
    return real(file)->pMethods->xLock(real(file), level);
}

static int file_unlock(sqlite3_file *file, int level)
{
    return real(file)->pMethods->xUnlock(real(file), level);
}

static int file_check_lock(sqlite3_file *file, int *out)
{
    return real(file)->pMethods->xCheckReservedLock(real(file), out);
}

static int file_control(sqlite3_file *file, int op, void *arg)
{
    return real(file)->pMethods->xFileControl(real(file), op, arg);
}

static int file_sector(sqlite3_file *file)
{
    (void)file;
    return SECTOR;
}

/* None: no promise that a write is kept whole or that the rest of a sector stays. */
static int file_device(sqlite3_file *file)
{
    (void)file;
    return 0;
}

static int vfs_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags, int *out)
{
    static const sqlite3_io_methods methods = {
        .iVersion = 1,
        .xClose = file_close,
        .xRead = file_read,
        .xWrite = file_write,
        .xTruncate = file_truncate,
        .xSync = file_sync,
        .xFileSize = file_size,
        .xLock = file_lock,
        .xUnlock = file_unlock,
        .xCheckReservedLock = file_check_lock,
        .xFileControl = file_control,
        .xSectorSize = file_sector,
        .xDeviceCharacteristics = file_device,
    };
    (void)vfs;
    struct file *f = (struct file *)file;
    f->base.pMethods = NULL;
    f->name = name; /* lives as long as the file */
    f->disk = remembering && name ? find_disk(name) : NULL;
    int code = os->xOpen(os, name, real(file), flags, out);
    if (!code)
        f->base.pMethods = &methods;
    return code;
}

/* The tests' own folder is on a real disk: what is deleted stays deleted. */
static int vfs_delete(sqlite3_vfs *vfs, const char *name, int sync_folder)
{
    (void)vfs, (void)sync_folder;
    if (remembering) {
        struct disk *d = find_disk(name);
        settle(d, remembered(d));
        resize(d, 0);
    }
    return os->xDelete(os, name, 0);
}

void fault_vfs_install(void)
{
    static sqlite3_vfs vfs;
    os = sqlite3_vfs_find(NULL);
    vfs = *os;
    vfs.zName = "fault";
    vfs.pNext = NULL;
    vfs.szOsFile = (int)sizeof(struct file) + os->szOsFile;
    vfs.xOpen = vfs_open;
    vfs.xDelete = vfs_delete;
    int code = sqlite3_vfs_register(&vfs, 1);
    assert(code == SQLITE_OK);
    (void)code;
}
