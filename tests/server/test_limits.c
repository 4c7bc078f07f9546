/* What the machine or the cgroups let us have: over a folder with the files of /proc and /sys. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "server/limits.h"

#define MIB (INT64_C(1) << 20)
#define HAS (8192 * MIB) /* the machine */

static char root[64];

static int make_root(void **state)
{
    (void)state;
    snprintf(root, sizeof root, "%s", "/tmp/gradd_limits_XXXXXX");
    return mkdtemp(root) ? 0 : -1;
}

static int remove_root(void **state)
{
    char command[128];
    (void)state;
    snprintf(command, sizeof command, "rm -r '%s'", root);
    return system(command);
}

/* Writes a file, and the folders above it. */
static void put(const char *path, const char *text)
{
    char whole[512];
    snprintf(whole, sizeof whole, "%s%s", root, path);
    for (char *at = strchr(whole + strlen(root) + 1, '/'); at; at = strchr(at + 1, '/')) {
        *at = '\0';
        mkdir(whole, 0700);
        *at = '/';
    }
    FILE *f = fopen(whole, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static void test_the_machine(void **state)
{
    (void)state;
    assert_int_equal(limits_memory(root, HAS), HAS); /* without any file */
    put("/proc/self/cgroup", "0::/\n");
    assert_int_equal(limits_memory(root, HAS), HAS);
}

static void test_version_2(void **state)
{
    (void)state;
    put("/proc/self/cgroup", "0::/user.slice/a.service\n");
    put("/sys/fs/cgroup/user.slice/a.service/memory.max", "max\n");
    assert_int_equal(limits_memory(root, HAS), HAS);
    put("/sys/fs/cgroup/user.slice/memory.max", "1073741824\n");
    assert_int_equal(limits_memory(root, HAS), 1024 * MIB);
    put("/sys/fs/cgroup/user.slice/a.service/memory.max", "268435456\n");
    assert_int_equal(limits_memory(root, HAS), 256 * MIB);
    put("/sys/fs/cgroup/user.slice/a.service/memory.max", "1099511627776\n"); /* over the machine */
    put("/sys/fs/cgroup/user.slice/memory.max", "max\n");
    assert_int_equal(limits_memory(root, HAS), HAS);
    put("/sys/fs/cgroup/memory.max", "536870912\n"); /* a container's own, at its root */
    assert_int_equal(limits_memory(root, HAS), 512 * MIB);
}

static void test_version_1(void **state)
{
    (void)state;
    put("/proc/self/cgroup", "9:name=systemd:/\n5:cpu,memory:/docker/f00\n4:memoryless:/no\n"
                             "0::/\n");
    put("/sys/fs/cgroup/memory/docker/f00/memory.limit_in_bytes", "9223372036854771712\n");
    assert_int_equal(limits_memory(root, HAS), HAS);
    put("/sys/fs/cgroup/memory/no/memory.limit_in_bytes", "1048576\n"); /* not ours */
    assert_int_equal(limits_memory(root, HAS), HAS);
    put("/sys/fs/cgroup/memory/docker/memory.limit_in_bytes", "2147483648\n");
    assert_int_equal(limits_memory(root, HAS), 2048 * MIB);
    put("/sys/fs/cgroup/memory/memory.limit_in_bytes", "134217728\n");
    assert_int_equal(limits_memory(root, HAS), 128 * MIB);
}

static void test_strange_files(void **state)
{
    (void)state;
    put("/proc/self/cgroup", "\n:\n::\n0::\n0:\n1:memory:\n");
    put("/sys/fs/cgroup/memory.max", "");
    put("/sys/fs/cgroup/memory/memory.limit_in_bytes", "-1\n");
    assert_int_equal(limits_memory(root, HAS), HAS);
}

/* What this machine says: more than nothing. */
static void test_here(void **state)
{
    (void)state;
    assert_true(limits_machine() >= 64 * MIB);
    assert_in_range(limits_memory("", limits_machine()), 1 * MIB, limits_machine());
}

#define LIMITS_TEST(f) cmocka_unit_test_setup_teardown(f, make_root, remove_root)

int main(void)
{
    const struct CMUnitTest tests[] = {
        LIMITS_TEST(test_the_machine),   LIMITS_TEST(test_version_2), LIMITS_TEST(test_version_1),
        LIMITS_TEST(test_strange_files), cmocka_unit_test(test_here),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
