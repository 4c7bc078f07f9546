/* A log in which something is wrong is told of, one that a kill left behind is not. */
#include "tests/storage/store_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/mem.h"
#include "storage/logfile.h"

#define PAGE  4096
#define FRAME (24 + PAGE)

/* The file and its log, as a kill leaves them. */
struct killed {
    unsigned char *file, *log;
    size_t file_bytes, log_bytes;
};

static void log_name(const struct fixture *f, char out[96])
{
    snprintf(out, 96, "%s-wal", f->path);
}

static void kill_store(struct fixture *f, struct killed *k)
{
    char log[96];
    log_name(f, log);
    k->file = read_file(f->path, &k->file_bytes);
    k->log = read_file(log, &k->log_bytes);
    fixture_close(f);
}

static void put_back(const struct fixture *f, const struct killed *k)
{
    char log[96];
    log_name(f, log);
    write_file(f->path, k->file, k->file_bytes);
    write_file(log, k->log, k->log_bytes);
}

static void free_killed(struct killed *k)
{
    free(k->file);
    free(k->log);
}

/* Models a, b, … of which each is a commit. */
static void put_models(struct store *s, int from, int to)
{
    char id[2] = "a";
    for (int i = from; i < to; i++) {
        id[0] = (char)('a' + i);
        put_model(s, id);
    }
}

static int count_models(struct store *s)
{
    char ids[32][STORE_ID_BYTES];
    size_t count;
    assert_ok(store_list_models(s, "", 32, ids, &count, &last));
    return (int)count;
}

/* All of the models outlive a kill, and nothing is told. */
static void assert_no_news(struct fixture *f, int models)
{
    struct killed k;
    kill_store(f, &k);
    put_back(f, &k);
    fixture_open(f);
    assert_int_equal(count_models(f->store), models);
    assert_string_equal(store_notice(f->store), "");
    free_killed(&k);
}

static void a_kill_is_no_news(void **state)
{
    struct fixture *f = *state;
    put_models(f->store, 0, 10);
    assert_no_news(f, 10);
}

/* What older logs left behind the end is of no meaning. */
static void an_older_log_is_no_news(void **state)
{
    struct fixture *f = *state;
    for (int i = 0; i < 10; i++)
        assert_ok(put_batch(f->store, put_model(f->store, (char[]){(char)('a' + i), '\0'}), 1,
                            1000000)); /* until the log is begun anew */
    assert_no_news(f, 10);
}

/* A commit that was under way: frames that end no commit, and a last one that is cut. */
static void an_unended_commit_is_no_news(void **state)
{
    struct fixture *f = *state;
    struct killed k;
    put_models(f->store, 0, 3);
    assert_ok(put_batch(f->store, put_model(f->store, "z"), 1, 20000));
    kill_store(f, &k);
    for (size_t cut = 1; cut < 3 * FRAME; cut += 1000) {
        struct killed cut_short = k;
        cut_short.log_bytes -= cut;
        put_back(f, &cut_short);
        fixture_open(f);
        assert_string_equal(store_notice(f->store), "");
        assert_true(count_models(f->store) >= 3);
        /* killed once more, after less was written than there had been */
        struct killed again;
        put_model(f->store, "y");
        kill_store(f, &again);
        put_back(f, &again);
        fixture_open(f);
        assert_string_equal(store_notice(f->store), "");
        fixture_close(f);
        free_killed(&again);
    }
    free_killed(&k);
}

static void a_wrong_frame_is_told(void **state)
{
    struct fixture *f = *state;
    struct killed k;
    put_models(f->store, 0, 10);
    kill_store(f, &k);
    for (size_t at = 32; at < k.log_bytes; at += 501) {
        k.log[at] ^= 4;
        put_back(f, &k);
        fixture_open(f);
        assert_true(count_models(f->store) < 10);
        assert_non_null(strstr(store_notice(f->store), "in its log are lost"));
        fixture_reopen(f); /* and once only */
        assert_string_equal(store_notice(f->store), "");
        fixture_close(f);
        k.log[at] ^= 4;
    }
    free_killed(&k);
}

/* Without its header nothing of the log would be left. */
static void a_wrong_header_is_refused(void **state)
{
    struct fixture *f = *state;
    struct killed k;
    struct store *s;
    put_models(f->store, 0, 3);
    kill_store(f, &k);
    for (size_t at = 0; at < 32; at++) {
        k.log[at] ^= 16;
        put_back(f, &k);
        assert_kind(ERR_IO, store_open(f->path, &anywhere, &s, &last));
        assert_said("log");
        k.log[at] ^= 16;
    }
    put_back(f, &k);
    fixture_open(f);
    assert_int_equal(count_models(f->store), 3);
    free_killed(&k);
}

static void no_log_is_an_empty_one(void **state)
{
    struct fixture *f = *state;
    struct logfile log;
    char name[96];
    snprintf(name, sizeof name, "%s/none", f->folder);
    assert_ok(logfile_read(name, &log, &last));
    assert_int_equal(log.frames, 0);
    assert_int_equal(log.lost, 0);
    write_file(name, "", 0);
    assert_ok(logfile_read(name, &log, &last));
    assert_int_equal(log.frames, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_kill_is_no_news),
        TEST(an_older_log_is_no_news),
        TEST(an_unended_commit_is_no_news),
        TEST(a_wrong_frame_is_told),
        TEST(a_wrong_header_is_refused),
        TEST(no_log_is_an_empty_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
