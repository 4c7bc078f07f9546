/* `gradd backup`, beside a daemon and without one; and what a daemon does whose disk fails. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/server/daemon.h"
#include "tests/server/model_client.h"

static struct daemon d, other, command;

static int clean_up(void **state)
{
    (void)state;
    daemon_remove(&d);
    daemon_remove(&other);
    daemon_remove(&command);
    return 0;
}

/* ---- asking -------------------------------------------------------------------------------- */

static void make_model(const struct daemon *to, const char *id)
{
    struct model_client m;
    struct text spec = {.at = NULL};
    text_print(&spec,
               "{\"id\":\"%s\",\"loss\":\"mse\",\"layers\":"
               "[{\"type\":\"linear\",\"in_features\":1,\"out_features\":1}]}",
               id);
    model_client_open(&m, to->url);
    ask(&m, 201, "POST", spec.at, "/models");
    model_client_close(&m);
    text_free(&spec);
}

static bool has_model(const struct daemon *to, const char *id)
{
    struct model_client m;
    model_client_open(&m, to->url);
    long status = try_ask(&m, "GET", NULL, "/models/%s", id);
    model_client_close(&m);
    return status == 200;
}

/* ---- the command --------------------------------------------------------------------------- */

static const char *in_folder(const struct daemon *of, const char *name)
{
    static char path[2][256];
    static int next;
    next = !next;
    snprintf(path[next], sizeof path[next], "%s/%s", of->dir, name);
    return path[next];
}

static bool is_there(const char *path)
{
    struct stat info;
    return lstat(path, &info) == 0;
}

/* Runs gradd backup on the data of d, asking `asked`; what it prints must contain `said`. */
static void assert_backup(int status, const struct daemon *asked, const char *file,
                          const char *said)
{
    char listen[64], data[200];
    snprintf(listen, sizeof listen, "127.0.0.1:%d", asked->port);
    snprintf(data, sizeof data, "%s/gradd.db", d.dir);
    const char *const args[] = {"backup", file, "--listen", listen, "--data", data, NULL};
    int is = daemon_run(&command, DAEMON_REAL, args);
    char *log = daemon_log(&command);
    if (is != status || !strstr(log, said))
        fail_msg("%d, not %d with \"%s\": %s", is, status, said, log);
    free(log);
}

/* The copy takes the place of other's data and is served. */
static void assert_served(const char *copy, const char *id)
{
    daemon_start(&other, DAEMON_REAL, NULL);
    assert_int_equal(daemon_stop(&other), 0);
    assert_int_equal(rename(copy, in_folder(&other, "gradd.db")), 0);
    daemon_start(&other, DAEMON_REAL, NULL);
    assert_true(has_model(&other, id));
    assert_int_equal(daemon_stop(&other), 0);
}

static void test_beside_a_daemon(void **state)
{
    (void)state;
    daemon_start(&d, DAEMON_REAL, NULL);
    make_model(&d, "kept");
    assert_backup(0, &d, in_folder(&d, "copy.db"), "copy.db: ");
    assert_backup(1, &d, in_folder(&d, "copy.db"), "copy.db: it exists already");
    make_model(&d, "later");
    assert_int_equal(daemon_stop(&d), 0);
    assert_served(in_folder(&d, "copy.db"), "kept");
}

static void test_without_a_daemon(void **state)
{
    (void)state;
    daemon_start(&d, DAEMON_REAL, NULL);
    make_model(&d, "kept");
    daemon_signal(&d, SIGKILL);
    daemon_wait(&d);
    assert_backup(0, &d, in_folder(&d, "copy.db"), "copy.db: ");
    assert_backup(1, &d, in_folder(&d, "copy.db"), "copy.db: it exists already");
    assert_served(in_folder(&d, "copy.db"), "kept");
}

static void test_relative_to_where_one_stands(void **state)
{
    char here[512];
    (void)state;
    daemon_start(&d, DAEMON_REAL, NULL);
    assert_non_null(getcwd(here, sizeof here));
    assert_int_equal(chdir(d.dir), 0);
    assert_backup(0, &d, "copy.db", "copy.db: ");
    assert_backup(0, &d, "./more.db", "./more.db: ");
    assert_int_equal(chdir(here), 0);
    assert_true(is_there(in_folder(&d, "copy.db")) && is_there(in_folder(&d, "more.db")));
    assert_int_equal(daemon_stop(&d), 0);
}

/* A daemon writes to its own folder only, and says where that is. */
static void test_other_folder(void **state)
{
    char folder[160];
    (void)state;
    daemon_start(&other, DAEMON_REAL, NULL);
    assert_int_equal(daemon_stop(&other), 0);
    daemon_start(&d, DAEMON_REAL, NULL);
    snprintf(folder, sizeof folder, "makes backups in %s, not", d.dir);
    assert_backup(1, &d, in_folder(&other, "copy.db"), folder);
    assert_false(is_there(in_folder(&other, "copy.db")));
    assert_int_equal(daemon_stop(&d), 0);
    const char *const args[] = {"--backup-dir", other.dir, NULL};
    daemon_start(&d, DAEMON_REAL, args);
    assert_backup(0, &d, in_folder(&other, "copy.db"), "copy.db: ");
    assert_true(is_there(in_folder(&other, "copy.db")));
    assert_int_equal(daemon_stop(&d), 0);
}

/* The daemon at --listen is not the one that has --data. */
static void test_other_daemon(void **state)
{
    char data[320];
    (void)state;
    daemon_start(&d, DAEMON_REAL, NULL);
    const char *const args[] = {"--backup-dir", d.dir, NULL};
    daemon_start(&other, DAEMON_REAL, args);
    snprintf(data, sizeof data, "has the data %s/gradd.db, not %s/gradd.db", other.dir, d.dir);
    assert_backup(1, &other, in_folder(&d, "copy.db"), data);
    assert_int_equal(daemon_stop(&other), 0);
    assert_backup(1, &other, in_folder(&d, "copy.db"), "cannot connect"); /* nobody is there */
    assert_false(is_there(in_folder(&d, "copy.db")));
    assert_int_equal(daemon_stop(&d), 0);
}

static void test_nothing_to_copy(void **state)
{
    const char *const no_file[] = {"backup", NULL};
    const char *const no_data[] = {"backup", "/tmp/x.db", "--data", "/nowhere/gradd.db", NULL};
    (void)state;
    assert_int_equal(daemon_run(&command, DAEMON_REAL, no_file), 2);
    assert_int_equal(daemon_run(&command, DAEMON_REAL, no_data), 1);
    char *log = daemon_log(&command);
    assert_non_null(strstr(log, "there is no data at /nowhere/gradd.db"));
    free(log);
}

/* ---- a disk that fails --------------------------------------------------------------------- */

/* The daemon's files may not grow beyond this: to it, a write that fails for no reason it knows. */
static void start_on_a_bad_disk(size_t bytes)
{
    struct rlimit was, limit;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &was), 0);
    limit = (struct rlimit){.rlim_cur = bytes, .rlim_max = was.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    daemon_start(&d, DAEMON_REAL, NULL);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &was), 0);
}

/* {"inputs": [[1], …], "targets": [[1], …]} of 10,000 rows. */
static char *large_batch(void)
{
    char *inputs = text_repeat("{\"inputs\":[[1]", ",[1]", 9999, "],");
    char *targets = text_repeat("\"targets\":[[1]", ",[1]", 9999, "]}");
    struct text batch = {.at = NULL};
    text_print(&batch, "%s%s", inputs, targets);
    free(inputs);
    free(targets);
    return batch.at;
}

/* All that was said to be kept is there at the next start. */
static void test_io_error_ends_the_daemon(void **state)
{
    struct model_client m;
    int taken = 0;
    char *batch = large_batch();
    (void)state;
    start_on_a_bad_disk(4 << 20);
    make_model(&d, "kept");
    model_client_open(&m, d.url);
    while (taken < 1000 && try_ask(&m, "POST", batch, "/models/kept/batches") == 201)
        taken++;
    assert_problem(&m, "storage-failure", NULL);
    model_client_close(&m);
    free(batch);
    assert_true(taken > 3);
    assert_int_equal(daemon_wait(&d), 1);
    char *log = daemon_log(&d);
    assert_non_null(strstr(log, "error the storage failed"));
    free(log);
    daemon_start(&d, DAEMON_REAL, NULL);
    model_client_open(&m, d.url);
    assert_true(number(ask(&m, 200, "GET", NULL, "/models/kept"), "batches") == taken);
    model_client_close(&m);
    assert_int_equal(daemon_stop(&d), 0);
}

#define BACKUP_TEST(f) cmocka_unit_test_teardown(f, clean_up)

int main(void)
{
    const struct CMUnitTest tests[] = {
        BACKUP_TEST(test_beside_a_daemon),
        BACKUP_TEST(test_without_a_daemon),
        BACKUP_TEST(test_relative_to_where_one_stands),
        BACKUP_TEST(test_other_folder),
        BACKUP_TEST(test_other_daemon),
        BACKUP_TEST(test_nothing_to_copy),
        BACKUP_TEST(test_io_error_ends_the_daemon),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
