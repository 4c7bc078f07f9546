#include "api/mappings.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define LINE_BYTES 512 /* of a longer line the rest is a path's, and not needed */

enum kind { KIND_FILE, KIND_HEAP, KIND_STACK, KIND_OTHER };

struct mapping {
    uint64_t start, end;
    bool closed; /* nobody may touch it */
    bool guard;  /* … and it is a page: that below a thread's stack is such a one */
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
static bool read_head(const char *line, const struct mapping *before, struct mapping *out)
{
    struct mapping m = {.kind = KIND_OTHER};
    char access[5], path[LINE_BYTES] = "";
    if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %4s %*x %*s %*u %511s", &m.start, &m.end, access,
               path) < 3)
        return false;
    m.kind = kind_of(&m, path, access[1] == 'w', before);
    m.closed = !*path && !strncmp(access, "---", 3);
    m.guard = m.closed && m.end - m.start == (uint64_t)sysconf(_SC_PAGESIZE);
    *out = m;
    return true;
}

/* glibc's heaps but the first: each has its place, the front of which is in use. */
#define HEAP_BYTES (UINT64_C(64) << 20)

static bool is_heap(const struct mapping *m, const struct mapping *behind)
{
    return m->kind == KIND_OTHER && !m->closed && m->start % HEAP_BYTES == 0 && behind->closed &&
           m->end == behind->start && behind->end == m->start + HEAP_BYTES;
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
    struct mapping m = {.kind = KIND_OTHER}, next;
    size_t kib, bytes = 0;
    *out = (struct mappings){0};
    FILE *f = fopen("/proc/self/smaps", "r");
    if (!f)
        return false;
    while (read_line(f, line))
        if (sscanf(line, "Rss: %zu kB", &kib) == 1) {
            bytes = kib * 1024;
            add(out, m.kind, bytes);
        } else if (read_head(line, &m, &next)) {
            if (is_heap(&m, &next))
                out->heap += bytes; /* it is in the sum already */
            m = next;
        }
    fclose(f);
    return true;
}
