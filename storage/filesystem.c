#include "storage/filesystem.h"

#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "engine/mem.h"

/* Of linux/magic.h and of the file systems that are not in the kernel. FUSE can be anything: sshfs
 * and the shared folders of virtual machines look the same as a local disk with NTFS. The name goes
 * into a sentence. */
static const struct {
    uint32_t magic;
    const char *name;
} networks[] = {
    {0x00006969, "NFS"},
    {0x0000517b, "SMB"},
    {0xff534d42, "CIFS"},
    {0xfe534d42, "SMB2"},
    {0x01021997, "9p"},
    {0x5346414f, "AFS"},
    {0x6b414653, "AFS"},
    {0x00c36400, "Ceph"},
    {0x01161970, "GFS2"},
    {0x7461636f, "OCFS2"},
    {0x65735546, "FUSE, which does not say whether it is local"},
    {0x73757245, "Coda"},
    {0x0000564c, "NCP"},
    {0x0bd00bd0, "Lustre"},
    {0x47504653, "GPFS"},
    {0x19830326, "BeeGFS"},
    {0xaad7aaea, "PanFS"},
    {0x786f4256, "vboxsf"},
    {0xbacbacbc, "vmhgfs"},
    {0x7c7c6673, "prl_fs"},
};

/* NULL: it is none. */
static const char *find_network(long magic)
{
    /* f_type is signed, and 32 bits wide on some machines */
    for (size_t i = 0; i < sizeof networks / sizeof networks[0]; i++)
        if (networks[i].magic == (uint32_t)magic)
            return networks[i].name;
    return NULL;
}

enum err_kind filesystem_judge(const char *path, long magic, struct err *e)
{
    const char *name = find_network(magic);
    if (!name)
        return ERR_OK;
    return err_set(e, ERR_IO, "",
                   "%s is on a network file system (%s), where SQLite's locks and log cannot be "
                   "relied on; --network-files allow to try anyway",
                   path, name);
}

char *filesystem_folder(const char *path)
{
    const char *slash = strrchr(path, '/');
    size_t length = slash ? (size_t)(slash - path) + 1 : 1;
    char *folder = mem_array(length + 1, 1);
    if (folder)
        memcpy(folder, slash ? path : ".", length);
    return folder;
}

static enum err_kind no_memory(struct err *e)
{
    return err_set(e, ERR_NOMEM, "", "no memory for a file's name");
}

enum err_kind filesystem_check(const char *path, struct err *e)
{
    struct statfs info;
    char *folder = filesystem_folder(path);
    if (!folder)
        return no_memory(e);
    /* the file itself may be a link to elsewhere; what is not there at all is for others to tell */
    bool known = statfs(path, &info) == 0 || statfs(folder, &info) == 0;
    mem_free(folder);
    return known ? filesystem_judge(path, (long)info.f_type, e) : ERR_OK;
}

enum err_kind filesystem_sync_folder(const char *path, struct err *e)
{
    char *folder = filesystem_folder(path);
    if (!folder)
        return no_memory(e);
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    enum err_kind rc = ERR_OK;
    if (fd < 0 || fsync(fd))
        rc = err_set(e, ERR_IO, "", "its folder cannot be synced");
    if (fd >= 0)
        close(fd);
    mem_free(folder);
    return rc;
}
