/* Which file systems a store is refused on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "engine/mem.h"
#include "storage/filesystem.h"
#include "storage/store.h"

static void networks_are_told(void **state)
{
    static const struct {
        long magic;
        const char *name;
    } row[] = {
        {0x6969, "NFS"},
        {0xff534d42, "CIFS"},
        {(int32_t)0xff534d42, "CIFS"},
        {0xfe534d42, "SMB2"},
        {0x517b, "SMB"},
        {0x01021997, "9p"},
        {0x5346414f, "AFS"},
        {0x00c36400, "Ceph"},
        {0x01161970, "GFS2"},
        {0x7461636f, "OCFS2"},
        {0x65735546, "FUSE, which does not say"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        struct err e;
        char said[80];
        snprintf(said, sizeof said, "/x/gradd.db is on a network file system (%s", row[i].name);
        assert_int_equal(filesystem_judge("/x/gradd.db", row[i].magic, &e), ERR_IO);
        if (!strstr(e.message, said) || !strstr(e.message, "--network-files allow"))
            fail_msg("%lx: %s", row[i].magic, e.message);
    }
}

/* ext4, XFS, Btrfs, ZFS, tmpfs, overlayfs, F2FS, FAT, exFAT, ramfs, squashfs, bcachefs */
static void disks_are_not(void **state)
{
    static const long magic[] = {0xef53,     0x58465342, 0x9123683e, 0x2fc12fc1,
                                 0x01021994, 0x794c7630, 0xf2f52010, 0x4d44,
                                 0x2011bab0, 0x858458f6, 0x73717368, 0xca451a4e};
    struct err e;
    (void)state;
    for (size_t i = 0; i < sizeof magic / sizeof magic[0]; i++)
        if (filesystem_judge("x", magic[i], &e))
            fail_msg("%s", e.message);
}

static void folders_of_files(void **state)
{
    static const char *const row[][2] = {
        {"gradd.db", "."}, {"./gradd.db", "./"}, {"/gradd.db", "/"},   {"/data/gradd.db", "/data/"},
        {"", "."},         {"a/b/c", "a/b/"},    {"/data/", "/data/"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        char *folder = filesystem_folder(row[i][0]);
        assert_non_null(folder);
        assert_string_equal(folder, row[i][1]);
        mem_free(folder);
    }
}

/* ---- opening a store ----------------------------------------------------------------------- */

static const char *network; /* the path that is on NFS; all others are on ext4 */

/* In place of the system's: there is no such file system to be had in a test. */
int statfs(const char *path, struct statfs *out)
{
    struct stat info;
    memset(out, 0, sizeof *out);
    out->f_type = network && !strcmp(path, network) ? 0x6969 : 0xef53;
    return stat(path, &info);
}

static void assert_opens(const char *path, const struct store_options *options)
{
    struct store *s;
    struct err e;
    if (store_open(path, options, &s, &e))
        fail_msg("%s", e.message);
    store_close(s);
}

static void store_on_a_network(void **state)
{
    char folder[] = "/tmp/gradd-network-XXXXXX", slash[40], path[48], lock[56];
    const struct store_options allow = {.network_files = true};
    struct store *s;
    struct stat info;
    struct err e;
    (void)state;
    assert_non_null(mkdtemp(folder));
    snprintf(slash, sizeof slash, "%s/", folder);
    snprintf(path, sizeof path, "%s/gradd.db", folder);
    snprintf(lock, sizeof lock, "%s.lock", path);
    network = slash;
    assert_int_equal(store_open(path, NULL, &s, &e), ERR_IO);
    assert_null(s);
    assert_non_null(strstr(e.message, "network file system (NFS)"));
    assert_int_not_equal(stat(lock, &info), 0); /* nothing was made there */
    assert_opens(path, &allow);
    assert_opens(path, NULL); /* it exists, and counts for itself: a link to another disk */
    network = path;
    assert_int_equal(store_open(path, NULL, &s, &e), ERR_IO);
    network = NULL;
    assert_int_equal(store_open("/nowhere/at/all.db", NULL, &s, &e), ERR_IO);
    assert_non_null(strstr(e.message, "does not exist"));
    unlink(path);
    unlink(lock);
    rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(networks_are_told),
        cmocka_unit_test(disks_are_not),
        cmocka_unit_test(folders_of_files),
        cmocka_unit_test(store_on_a_network),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
