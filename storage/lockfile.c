#include "storage/lockfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "engine/mem.h"

static enum err_kind fail_errno(int code, const char *path, struct err *e)
{
    char text[128] = "";
    if (code == ENOENT)
        return err_set(e, ERR_IO, "", "the folder of %s does not exist", path);
    strerror_r(code, text, sizeof text);
    return err_set(e, ERR_IO, "", "%s.lock cannot be made: %s", path, text);
}

static enum err_kind fail_taken(int fd, const char *path, struct err *e)
{
    char pid[16] = "";
    ssize_t length = pread(fd, pid, sizeof pid - 1, 0);
    return err_set(e, ERR_CONFLICT, "", "another gradd (process %ld) is using %s",
                   length > 0 ? strtol(pid, NULL, 10) : 0L, path);
}

static enum err_kind write_pid(int fd, const char *path, struct err *e)
{
    char pid[16];
    int length = snprintf(pid, sizeof pid, "%ld\n", (long)getpid());
    if (ftruncate(fd, 0) || pwrite(fd, pid, (size_t)length, 0) != length)
        return fail_errno(errno, path, e);
    return ERR_OK;
}

enum err_kind lockfile_take(const char *path, int *fd, struct err *e)
{
    size_t bytes = strlen(path) + sizeof ".lock";
    enum err_kind rc;
    *fd = -1;
    char *name = mem_array(bytes, 1);
    if (!name)
        return err_set(e, ERR_NOMEM, "", "no memory for a file's name");
    snprintf(name, bytes, "%s.lock", path);
    *fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (*fd < 0)
        rc = fail_errno(errno, path, e);
    else if (flock(*fd, LOCK_EX | LOCK_NB))
        rc = errno == EWOULDBLOCK ? fail_taken(*fd, path, e) : fail_errno(errno, path, e);
    else
        rc = write_pid(*fd, path, e);
    mem_free(name);
    if (rc) {
        lockfile_give(*fd);
        *fd = -1;
    }
    return rc;
}

void lockfile_give(int fd)
{
    if (fd >= 0)
        close(fd);
}
