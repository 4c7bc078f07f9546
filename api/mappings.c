#include "api/mappings.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define LINE_BYTES 512 /* of a longer line the rest is a path's, and not needed */

enum kind { KIND_FILE, KIND_HEAP, KIND_STACK, KIND_OTHER };

struct mapping {
    uint64_t start, end;
    bool guard; /* nobody may touch it: the page below a thread's stack is such a one */
    enum kind kind;
};

/* Reads a line whole; of one that is too long its beginning. */
static bool read_line(FILE *f, char line[LINE_BYTES])
{
    if (!fgets(line, LINE_BYTES, f))
        return false;
    for (int c = strchr(line, '\n') ? '\n' : 0; c != '\n' && c != EOF;)
        c = fgetc(f);
    return true;
}

/* glibc maps a thread's stack with a guard page below it. The variables of a library that its file
 * holds no values of lie behind what it does hold. */
static enum kind kind_of(const struct mapping *m, const char *path, bool write,
                         const struct mapping *before)
{
    bool adjacent = m->start == before->end;
    if (!strcmp(path, "[heap]"))
        return KIND_HEAP;
    if (!strcmp(path, "[stack]"))
        return KIND_STACK;
    if (*path)
        return KIND_FILE;
    if (adjacent && before->guard && write)
        return KIND_STACK;
    return adjacent && before->kind == KIND_FILE ? KIND_FILE : KIND_OTHER;
}

/* "7f3c5a000000-7f3c5a021000 rw-p 00000000 00:00 0    [heap]"; false: no such line. */
static bool read_head(const char *line, struct mapping *m)
{
    struct mapping before = *m;
    char access[5], path[LINE_BYTES] = "";
    if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %4s %*x %*s %*u %511s", &m->start, &m->end, access,
               path) < 3)
        return false;
    m->kind = kind_of(m, path, access[1] == 'w', &before);
    m->guard = !*path && !strncmp(access, "---", 3) &&
               m->end - m->start == (uint64_t)sysconf(_SC_PAGESIZE);
    return true;
}

static void add(struct mappings *out, enum kind kind, size_t bytes)
{
    out->rss += bytes;
    switch (kind) {
    case KIND_FILE:
        out->files += bytes;
        break;
    case KIND_HEAP:
        out->heap += bytes;
        break;
    case KIND_STACK:
        out->stacks += bytes;
        break;
    case KIND_OTHER:
        break;
    }
}

bool mappings_read(struct mappings *out)
{
    char line[LINE_BYTES];
    struct mapping m = {.kind = KIND_OTHER};
    size_t kib;
    *out = (struct mappings){0};
    FILE *f = fopen("/proc/self/smaps", "r");
    if (!f)
        return false;
    while (read_line(f, line))
        if (sscanf(line, "Rss: %zu kB", &kib) == 1)
            add(out, m.kind, kib * 1024);
        else
            (void)read_head(line, &m);
    fclose(f);
    return true;
}
