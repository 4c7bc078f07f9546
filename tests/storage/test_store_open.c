#include "tests/storage/store_fixture.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine/mem.h"

/* Opening must fail as given and leave the file's bytes as they are. */
static void assert_refused(const char *path, enum err_kind kind, const char *said)
{
    size_t before_bytes, after_bytes;
    struct store *store;
    unsigned char *before = read_file(path, &before_bytes);
    assert_kind(kind, store_open(path, &anywhere, &store, &last));
    assert_null(store);
    assert_said(said);
    assert_said(path);
    unsigned char *after = read_file(path, &after_bytes);
    assert_int_equal(before_bytes, after_bytes);
    assert_memory_equal(before, after, before_bytes);
    free(before);
    free(after);
}

static void kept_over_reopen(void **state)
{
    struct fixture *f = *state;
    struct store_model model;
    int64_t key = put_model(f->store, "digits");
    for (int round = 0; round < 3; round++) {
        fixture_reopen(f);
        assert_ok(store_find_model(f->store, "digits", &model, &last));
        assert_int_equal(model.key, key);
        mem_free((void *)model.spec);
    }
    assert_true(store_is_healthy(f->store));
}

static void file_is_set_up(void **state)
{
    struct fixture *f = *state;
    struct stat info;
    char wal[96];
    fixture_close(f);
    snprintf(wal, sizeof wal, "%s-wal", f->path);
    assert_int_not_equal(stat(wal, &info), 0); /* a clean close leaves all in one file */
    assert_int_equal(sql_number(f->path, "PRAGMA application_id"), 0x67726164);
    assert_int_equal(sql_number(f->path, "PRAGMA user_version"), 5);
    assert_int_equal(sql_number(f->path, "PRAGMA page_size"), 4096);
    assert_int_equal(sql_number(f->path,
                                "SELECT count(*) FROM sqlite_schema WHERE type = 'table'"
                                " AND name NOT LIKE 'sqlite%' AND sql NOT LIKE '%STRICT%'"),
                     0);
}

static void second_open_is_refused(void **state)
{
    struct fixture *f = *state;
    struct store *second;
    char pid[32];
    snprintf(pid, sizeof pid, "(process %ld)", (long)getpid());
    assert_kind(ERR_CONFLICT, store_open(f->path, &anywhere, &second, &last));
    assert_said(pid);
    assert_said(f->path);
    put_model(f->store, "still-works");
}

/* The exit status of a process that opens the store: 7 if it is told that another has it. */
static int try_open(const char *path)
{
    struct store *second;
    return store_open(path, &anywhere, &second, &last) == ERR_CONFLICT ? 7 : 1;
}

/* That process is this program anew (see main): a mere copy of this process would have SQLite's
 * locks, and one that its writer thread may hold just then. */
static int open_in_child(const char *path)
{
    int status;
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        execl("/proc/self/exe", "test_store_open", "--open", path, (char *)NULL);
        _exit(1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void other_process_is_refused(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(open_in_child(f->path), 7);
    put_model(f->store, "still-works");
}

/* Without the lock file's help, as through a hard link. */
static void other_name_is_refused(void **state)
{
    struct fixture *f = *state;
    char other[96];
    snprintf(other, sizeof other, "%s/other.db", f->folder);
    assert_int_equal(link(f->path, other), 0);
    assert_int_equal(open_in_child(other), 7);
    put_model(f->store, "still-works");
}

static void strange_names_are_files(void **state)
{
    struct fixture *f = *state;
    struct store *store;
    struct stat info;
    char here[512];
    assert_non_null(getcwd(here, sizeof here));
    assert_int_equal(chdir(f->folder), 0);
    assert_ok(store_open(":memory:", &anywhere, &store, &last));
    store_close(store);
    assert_int_equal(stat(":memory:", &info), 0);
    assert_ok(store_open("file:x?mode=memory", &anywhere, &store, &last));
    store_close(store);
    assert_int_equal(stat("file:x?mode=memory", &info), 0);
    assert_kind(ERR_IO, store_open("", &anywhere, &store, &last));
    assert_int_equal(chdir(here), 0);
}

static void missing_folder(void **state)
{
    struct fixture *f = *state;
    struct store *store;
    char path[96];
    snprintf(path, sizeof path, "%s/no/gradd.db", f->folder);
    assert_kind(ERR_IO, store_open(path, &anywhere, &store, &last));
    assert_said("folder");
    assert_said(path);
}

static void folder_is_no_file(void **state)
{
    struct fixture *f = *state;
    struct store *store;
    char path[96];
    snprintf(path, sizeof path, "%s/folder", f->folder);
    assert_int_equal(mkdir(path, 0700), 0);
    assert_kind(ERR_IO, store_open(path, &anywhere, &store, &last));
    assert_int_equal(rmdir(path), 0);
}

static void empty_file_is_new(void **state)
{
    struct fixture *f = *state;
    char path[96];
    struct store *store;
    snprintf(path, sizeof path, "%s/empty.db", f->folder);
    write_file(path, "", 0);
    assert_ok(store_open(path, &anywhere, &store, &last));
    put_model(store, "a");
    store_close(store);
}

static void foreign_files(void **state)
{
    struct fixture *f = *state;
    char path[96], garbage[20000];
    snprintf(path, sizeof path, "%s/foreign.db", f->folder);
    fill(garbage, sizeof garbage, 3);
    write_file(path, garbage, sizeof garbage);
    assert_refused(path, ERR_IO, "not a database");
    write_file(path, "hello\n", 6);
    assert_refused(path, ERR_IO, "not a database");
    write_file(path, "", 0);
    sql_run(path, "CREATE TABLE models (id); INSERT INTO models VALUES ('theirs')");
    assert_refused(path, ERR_IO, "another program's");
    sql_run(path, "PRAGMA journal_mode = WAL");
    assert_refused(path, ERR_IO, "another program's");
    sql_run(path, "PRAGMA application_id = 7; PRAGMA user_version = 1");
    assert_refused(path, ERR_IO, "another program's");
}

/* Another program's database whose log was left behind by a crash: neither is touched. */
static void foreign_log(void **state)
{
    struct fixture *f = *state;
    char path[96], wal[112];
    size_t before_bytes, after_bytes;
    snprintf(path, sizeof path, "%s/foreign.db", f->folder);
    snprintf(wal, sizeof wal, "%s-wal", path);
    fixture_close(f); /* no thread of ours may be in SQLite while it is copied */
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        sqlite3 *db;
        sqlite3_open(path, &db);
        _exit(sqlite3_exec(db, "PRAGMA journal_mode = WAL; CREATE TABLE t (x)", NULL, NULL, NULL));
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    fixture_open(f);
    unsigned char *before = read_file(wal, &before_bytes);
    assert_true(before_bytes > 0);
    assert_refused(path, ERR_IO, "another program's");
    unsigned char *after = read_file(wal, &after_bytes);
    assert_int_equal(before_bytes, after_bytes);
    assert_memory_equal(before, after, before_bytes);
    free(before);
    free(after);
}

static void newer_version(void **state)
{
    struct fixture *f = *state;
    put_model(f->store, "a");
    fixture_close(f);
    sql_run(f->path, "PRAGMA user_version = 6");
    assert_refused(f->path, ERR_IO, "newer gradd");
    sql_run(f->path, "PRAGMA user_version = 0");
    assert_refused(f->path, ERR_IO, "damaged");
    sql_run(f->path, "PRAGMA user_version = 5");
    fixture_open(f);
}

static void truncated_file(void **state)
{
    struct fixture *f = *state;
    size_t bytes;
    int64_t model = put_model(f->store, "a");
    assert_ok(put_batch(f->store, model, 1, 200000));
    fixture_close(f);
    unsigned char *whole = read_file(f->path, &bytes);
    /* a cut in the last page is for the checksums to find: test_store_damage.c */
    for (size_t cut = 100; cut <= bytes - 4096; cut += cut < 20000 ? 4999 : 16384) {
        write_file(f->path, whole, cut);
        assert_refused(f->path, ERR_IO, "");
    }
    write_file(f->path, whole, bytes);
    free(whole);
    fixture_open(f);
}

static void lost_file_beside_its_log(void **state)
{
    struct fixture *f = *state;
    char wal[96];
    size_t bytes;
    fixture_close(f);
    snprintf(wal, sizeof wal, "%s-wal", f->path);
    unsigned char *whole = read_file(f->path, &bytes);
    write_file(wal, "committed", 9);
    write_file(f->path, "", 0);
    assert_refused(f->path, ERR_IO, "lost");
    write_file(f->path, whole, bytes);
    free(whole);
    unlink(wal);
    fixture_open(f);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(int argc, char **argv)
{
    if (argc == 3 && !strcmp(argv[1], "--open"))
        return try_open(argv[2]);
    const struct CMUnitTest tests[] = {
        TEST(kept_over_reopen),
        TEST(file_is_set_up),
        TEST(second_open_is_refused),
        TEST(other_process_is_refused),
        TEST(other_name_is_refused),
        TEST(strange_names_are_files),
        TEST(missing_folder),
        TEST(folder_is_no_file),
        TEST(empty_file_is_new),
        TEST(foreign_files),
        TEST(foreign_log),
        TEST(newer_version),
        TEST(truncated_file),
        TEST(lost_file_beside_its_log),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
