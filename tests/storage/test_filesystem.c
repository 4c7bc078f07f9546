/* Which file systems a store is refused on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include <sys/vfs.h>

#include "engine/mem.h"
#include "storage/filesystem.h"

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

/* Whatever this machine has; and a folder that is not there is not its matter. */
static void checks_as_statfs_says(void **state)
{
    static const char *const path[] = {"/tmp/gradd.db", "gradd.db", "/proc/gradd.db"};
    struct err e;
    (void)state;
    for (size_t i = 0; i < sizeof path / sizeof path[0]; i++) {
        struct statfs info;
        char *folder = filesystem_folder(path[i]);
        assert_int_equal(statfs(folder, &info), 0);
        mem_free(folder);
        assert_int_equal(filesystem_check(path[i], &e),
                         filesystem_judge(path[i], (long)info.f_type, &e));
    }
    assert_int_equal(filesystem_check("/nowhere/at/all.db", &e), ERR_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(networks_are_told),
        cmocka_unit_test(disks_are_not),
        cmocka_unit_test(folders_of_files),
        cmocka_unit_test(checks_as_statfs_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
