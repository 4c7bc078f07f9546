#include "storage/logfile.h"

#include <fcntl.h>
#include <stddef.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/attr.h"
#include "engine/mem.h"

#define HEADER_BYTES 32
#define FRAME_BYTES  24 /* a frame's own header, before its page */
#define MAGIC        0x377f0682u
#define PAGE_MAX     65536

/* The file, and what its header says. */
struct reader {
    int fd;
    uint32_t page, salt[2];
    bool big_endian; /* the checksummed words are */
    uint32_t sum[2]; /* so far: every frame goes on with that of the one before */
    unsigned char *frame;
};

static uint32_t get32(const unsigned char *p, bool big_endian)
{
    return big_endian ? (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3]
                      : (uint32_t)p[3] << 24 | (uint32_t)p[2] << 16 | (uint32_t)p[1] << 8 | p[0];
}

static void add(struct reader *r, const unsigned char *data, size_t bytes)
{
    for (size_t i = 0; i < bytes; i += 8) {
        r->sum[0] += get32(data + i, r->big_endian) + r->sum[1];
        r->sum[1] += get32(data + i + 4, r->big_endian) + r->sum[0];
    }
}

static bool is_sum(const struct reader *r, const unsigned char *sum)
{
    return get32(sum, true) == r->sum[0] && get32(sum + 4, true) == r->sum[1];
}

/* false: SQLite would drop all of it. */
static bool read_header(struct reader *r)
{
    unsigned char header[HEADER_BYTES];
    if (pread(r->fd, header, sizeof header, 0) != HEADER_BYTES)
        return false;
    uint32_t magic = get32(header, true);
    r->big_endian = magic & 1;
    r->page = get32(header + 8, true);
    r->salt[0] = get32(header + 16, true);
    r->salt[1] = get32(header + 20, true);
    add(r, header, 24);
    bool possible = r->page >= 512 && r->page <= PAGE_MAX && (r->page & (r->page - 1)) == 0;
    return (magic & ~1u) == MAGIC && possible && is_sum(r, header + 24);
}

/* Is the frame one of this log's, in its place? */
static bool is_next(struct reader *r)
{
    const unsigned char *f = r->frame;
    if (get32(f, true) == 0 || get32(f + 8, true) != r->salt[0] ||
        get32(f + 12, true) != r->salt[1])
        return false;
    add(r, f, 8);
    add(r, f + FRAME_BYTES, r->page);
    return is_sum(r, f + 16);
}

/* Was it written since the log last began anew? Of what is left of older logs both salts are
 * others, but one of them may be what is damaged. */
static bool is_of_this_log(const struct reader *r)
{
    return get32(r->frame + 8, true) == r->salt[0] || get32(r->frame + 12, true) == r->salt[1];
}

static enum err_kind read_frames(struct reader *r, off_t bytes, struct logfile *out, struct err *e)
{
    size_t size = FRAME_BYTES + r->page;
    int64_t frames = (bytes - HEADER_BYTES) / (off_t)size, wrong = -1;
    for (int64_t i = 0; i < frames; i++) {
        off_t at = HEADER_BYTES + i * (off_t)size;
        if (pread(r->fd, r->frame, size, at) != (ssize_t)size)
            return err_set(e, ERR_IO, "", "its log cannot be read");
        if (wrong < 0 && is_next(r)) {
            out->frames = i + 1;
            out->unended = get32(r->frame + 4, true) == 0;
            continue;
        }
        wrong = wrong < 0 ? i : wrong;
        if (is_of_this_log(r))
            out->lost = i + 1 - wrong;
    }
    return ERR_OK;
}

static enum err_kind read_log(struct reader *r, off_t bytes, struct logfile *out, struct err *e)
{
    if (bytes <= HEADER_BYTES + FRAME_BYTES) /* SQLite has not written anything yet */
        return ERR_OK;
    if (!read_header(r))
        return err_set(e, ERR_IO, "", "the header of its log is damaged");
    r->frame = mem_array(1, FRAME_BYTES + r->page);
    if (!r->frame)
        return err_set(e, ERR_NOMEM, "", "no memory to look at the log");
    enum err_kind rc = read_frames(r, bytes, out, e);
    mem_free(r->frame);
    return rc;
}

enum err_kind logfile_read(const char *name, struct logfile *out, struct err *e)
{
    struct stat info;
    struct reader r = {.fd = open(name, O_RDONLY | O_CLOEXEC)};
    *out = (struct logfile){0};
    if (r.fd < 0) /* what there is and cannot be opened SQLite will tell */
        return ERR_OK;
    enum err_kind rc = fstat(r.fd, &info) ? err_set(e, ERR_IO, "", "its log cannot be read")
                                          : read_log(&r, info.st_size, out, e);
    close(r.fd);
    return rc;
}
