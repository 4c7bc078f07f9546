#include "tests/storage/store_fixture.h"

#include <dirent.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/storage/journal_table.h"

struct err last;
const struct store_options anywhere = {.network_files = true};

/* ---- the folder ---------------------------------------------------------------------------- */

int fixture_setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    snprintf(f->folder, sizeof f->folder, "/tmp/gradd-store-XXXXXX");
    assert_non_null(mkdtemp(f->folder));
    snprintf(f->path, sizeof f->path, "%s/gradd.db", f->folder);
    fixture_open(f);
    *state = f;
    return 0;
}

static void remove_files(const struct fixture *f)
{
    DIR *folder = opendir(f->folder);
    for (struct dirent *entry; folder && (entry = readdir(folder));)
        unlinkat(dirfd(folder), entry->d_name, 0);
    if (folder)
        closedir(folder);
}

int fixture_teardown(void **state)
{
    struct fixture *f = *state;
    fixture_close(f);
    remove_files(f);
    int rc = rmdir(f->folder);
    free(f);
    return rc;
}

void fixture_open(struct fixture *f)
{
    assert_ok(store_open(f->path, &anywhere, &f->store, &last));
}

void fixture_close(struct fixture *f)
{
    store_close(f->store);
    f->store = NULL;
}

void fixture_reopen(struct fixture *f)
{
    fixture_close(f);
    fixture_open(f);
}

void fixture_renew(struct fixture *f)
{
    fixture_close(f);
    remove_files(f);
    fixture_open(f);
}

/* ---- assertions ---------------------------------------------------------------------------- */

void check_kind(enum err_kind expected, enum err_kind is, const char *call, const char *file,
                int line)
{
    if (is == expected)
        return;
    print_error("%s: %s, not %s%s%s\n", call, err_slug(is), err_slug(expected), is ? ": " : "",
                is ? last.message : "");
    _fail(file, line);
}

void assert_said(const char *text)
{
    if (!strstr(last.message, text))
        fail_msg("\"%s\" does not say \"%s\"", last.message, text);
}

/* ---- content ------------------------------------------------------------------------------- */

static uint64_t next_random(uint64_t *x)
{
    *x += 0x9e3779b97f4a7c15u; /* splitmix64 */
    uint64_t z = *x;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

void fill(void *data, size_t bytes, uint64_t seed)
{
    unsigned char *p = data;
    for (size_t i = 0; i < bytes; i += 8) {
        uint64_t r = next_random(&seed);
        memcpy(p + i, &r, bytes - i < 8 ? bytes - i : 8);
    }
}

void assert_filled(const void *data, size_t bytes, uint64_t seed)
{
    unsigned char *expected = malloc(bytes + 1);
    fill(expected, bytes, seed);
    assert_memory_equal(data, expected, bytes);
    free(expected);
}

struct store_txn *begin(struct store *s)
{
    struct store_txn *txn = store_txn_new(s);
    assert_non_null(txn);
    return txn;
}

struct store_txn *change_txn(struct store *s, int64_t model, int64_t seq)
{
    struct store_change change = {.seq = seq, .from = seq - 1, .kind = 1, .step = seq};
    struct store_txn *txn = store_txn_new(s);
    store_append_change(txn, model, &change);
    return txn;
}

int64_t put_model(struct store *s, const char *id)
{
    struct store_model model = {.spec = "{}", .created_at = 1};
    struct store_txn *txn = begin(s);
    snprintf(model.id, sizeof model.id, "%s", id);
    store_insert_model(txn, &model);
    assert_ok(store_commit(txn, &last));
    return model.key;
}

enum err_kind put_batch(struct store *s, int64_t model, int64_t n, size_t bytes)
{
    unsigned char *data = malloc(bytes + 1);
    struct store_batch batch = {
        .n = n, .layout = "x", .data = data, .bytes = bytes, .created_at = n};
    struct store_txn *txn = begin(s);
    fill(data, bytes, (uint64_t)n);
    store_insert_batch(txn, model, &batch);
    enum err_kind rc = store_commit(txn, &last);
    free(data);
    return rc;
}

enum err_kind put_checkpoint(struct store *s, int64_t model, int64_t n, int64_t step, size_t bytes)
{
    unsigned char *data = malloc(bytes + 1);
    struct store_checkpoint c = {
        .n = n,
        .step = step,
        .loss = loss_of(step),
        .label = n % 2 ? "odd" : NULL,
        .state = "{\"cursor\": 7}",
        .section = {{"parameters", data, bytes}, {"momentum", data, bytes / 2}},
        .sections = 2,
        .created_at = 1000 + step,
    };
    struct store_txn *txn = begin(s);
    fill(data, bytes, (uint64_t)step);
    store_save_checkpoint(txn, model, &c);
    enum err_kind rc = store_commit(txn, &last);
    free(data);
    return rc;
}

double loss_of(int64_t step)
{
    return 1.0 / ((double)step + 3);
}

enum err_kind put_losses(struct store *s, int64_t model, int64_t first, size_t count)
{
    double *loss = calloc(count + 1, sizeof *loss);
    struct store_txn *txn = begin(s);
    for (size_t i = 0; i < count; i++)
        loss[i] = loss_of(first + (int64_t)i);
    store_replace_losses(txn, model, first, loss, count);
    enum err_kind rc = store_commit(txn, &last);
    free(loss);
    return rc;
}

/* ---- files --------------------------------------------------------------------------------- */

unsigned char *read_file(const char *path, size_t *bytes)
{
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    fseek(file, 0, SEEK_END);
    *bytes = (size_t)ftell(file);
    rewind(file);
    unsigned char *data = malloc(*bytes + 1);
    assert_int_equal(fread(data, 1, *bytes, file), *bytes);
    fclose(file);
    return data;
}

void write_file(const char *path, const void *data, size_t bytes)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, bytes, file), bytes);
    assert_int_equal(fclose(file), 0);
}

void copy_file(const char *from, const char *to)
{
    size_t bytes;
    unsigned char *data = read_file(from, &bytes);
    write_file(to, data, bytes);
    free(data);
}

/* Past a layer that a test may have put under SQLite: it knows no shared memory. */
static sqlite3 *sql_open(const char *path)
{
    sqlite3 *db;
    assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, "unix"), SQLITE_OK);
    return db;
}

void sql_run(const char *path, const char *sql)
{
    sqlite3 *db = sql_open(path);
    journal_table_open(db);
    if (sqlite3_exec(db, sql, NULL, NULL, NULL))
        fail_msg("%s: %s", sql, sqlite3_errmsg(db));
    journal_table_close(db);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

int64_t sql_number(const char *path, const char *sql)
{
    sqlite3 *db = sql_open(path);
    sqlite3_stmt *stmt;
    journal_table_open(db);
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &stmt, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
    int64_t number = sqlite3_column_int64(stmt, 0);
    sqlite3_finalize(stmt);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    return number;
}
