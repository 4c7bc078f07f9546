#include "server/limits.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define PATH_BYTES 1024

/* Of a machine that does not tell. */
#define MEMORY_UNKNOWN (INT64_C(1) << 30)

static FILE *open_file(const char *root, const char *path)
{
    char whole[2 * PATH_BYTES];
    snprintf(whole, sizeof whole, "%s%s", root, path);
    return fopen(whole, "r");
}

/* Lowers *limit to the number in a file, if that is one: "max" is none. */
static void lower(const char *root, const char *path, int64_t *limit)
{
    int64_t bytes;
    FILE *f = open_file(root, path);
    if (!f)
        return;
    if (fscanf(f, "%" SCNd64, &bytes) == 1 && bytes > 0 && bytes < *limit)
        *limit = bytes;
    fclose(f);
}

/* The same for the file `name` of the cgroup and of all above it. In a container the path may be
 * that of the host, where only its end, the hierarchy's root, is there to be seen: it is ours. */
static void lower_upwards(const char *root, const char *hierarchy, char *cgroup, const char *name,
                          int64_t *limit)
{
    char path[2 * PATH_BYTES];
    for (char *end = cgroup + strlen(cgroup); end; end = strrchr(cgroup, '/')) {
        *end = '\0';
        snprintf(path, sizeof path, "%s%s/%s", hierarchy, cgroup, name);
        lower(root, path, limit);
    }
}

/* Is `word` one of a list with commas between them? */
static bool lists(const char *list, const char *word)
{
    size_t bytes = strlen(word);
    for (const char *at = list; *at; at += strcspn(at, ","), at += *at == ',')
        if (strcspn(at, ",") == bytes && !memcmp(at, word, bytes))
            return true;
    return false;
}

/* A line "4:memory:/some/cgroup", or of version 2 "0::/some/cgroup". */
static void lower_by_line(const char *root, char *line, int64_t *limit)
{
    char *controllers = strchr(line, ':');
    char *cgroup = controllers ? strchr(controllers + 1, ':') : NULL;
    if (!cgroup)
        return;
    *cgroup++ = '\0';
    cgroup[strcspn(cgroup, "\n")] = '\0';
    if (!*++controllers)
        lower_upwards(root, "/sys/fs/cgroup", cgroup, "memory.max", limit);
    else if (lists(controllers, "memory"))
        lower_upwards(root, "/sys/fs/cgroup/memory", cgroup, "memory.limit_in_bytes", limit);
}

/* Not from /proc/meminfo, which a hardened service does not see. */
int64_t limits_machine(void)
{
    int64_t pages = sysconf(_SC_PHYS_PAGES), bytes = sysconf(_SC_PAGESIZE);
    return pages > 0 && bytes > 0 ? pages * bytes : MEMORY_UNKNOWN;
}

int64_t limits_memory(const char *root, int64_t machine)
{
    char line[PATH_BYTES];
    int64_t limit = machine;
    FILE *f = open_file(root, "/proc/self/cgroup");
    while (f && fgets(line, sizeof line, f))
        lower_by_line(root, line, &limit);
    if (f)
        fclose(f);
    return limit;
}
