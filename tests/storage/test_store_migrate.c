/* A file of version 2, from before the journal, is brought up and goes on; and one of version 4,
 * whose journal has a row a change, with all that is damaged in it. */
#include "tests/storage/store_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/mem.h"

static void write_old_file(struct fixture *f, const char *name, int version)
{
    size_t bytes;
    remove(f->path);
    unsigned char *sql = read_file(name, &bytes);
    sql[bytes] = '\0';
    write_file(f->path, "", 0);
    sql_run(f->path, (const char *)sql);
    free(sql);
    assert_int_equal(sql_number(f->path, "PRAGMA user_version"), version);
}

/* *state: a fixture whose file is the one that make_store_v2.py made. */
static int setup(void **state)
{
    if (fixture_setup(state))
        return -1;
    struct fixture *f = *state;
    fixture_close(f);
    write_old_file(f, "tests/data/store_v2.sql", 2);
    fixture_open(f);
    return 0;
}

static int64_t key_of(struct store *s, const char *id)
{
    struct store_model m;
    assert_ok(store_find_model(s, id, &m, &last));
    assert_non_null(strstr(m.spec, "\"linear\""));
    mem_free((void *)m.spec);
    return m.key;
}

static void brought_up(void **state)
{
    struct fixture *f = *state;
    fixture_close(f);
    assert_int_equal(sql_number(f->path, "PRAGMA user_version"), 5);
    /* an end for each of its models */
    assert_int_equal(sql_number(f->path, "SELECT count(*) FROM journal"), 2);
    assert_int_equal(sql_number(f->path, "SELECT count(*) FROM journal JOIN models"
                                         " ON models.key = journal.model AND kind = 0"),
                     2);
    fixture_open(f);
}

static enum err_kind see_batch(void *arg, const struct store_batch *b, struct err *e)
{
    (void)e;
    *(int64_t *)arg = 10 * *(int64_t *)arg + b->n;
    assert_int_equal(b->bytes, 72);
    assert_string_equal(b->layout, "{\"inputs\":[2,2],\"targets\":[2,1]}");
    assert_true(b->pushed == 0 && b->deleted == 0);
    return ERR_OK;
}

static bool see_losses(void *arg, int64_t first, const double *loss, size_t count)
{
    assert_int_equal(first, 1);
    assert_int_equal(count, 7);
    assert_true(loss[6] > 0.53762 && loss[6] < 0.53763);
    ++*(int *)arg;
    return true;
}

/* All there was is read, with every seal as it was made then. */
static void all_is_read(void **state)
{
    struct fixture *f = *state;
    int64_t net = key_of(f->store, "net"), fresh = key_of(f->store, "fresh"), n = 0, batch;
    struct store_checkpoint c;
    struct store_answer a;
    bool found, fallback;
    size_t count;
    int runs = 0;
    assert_ok(store_each_batch(f->store, net, see_batch, &n, &last));
    assert_int_equal(n, 13);
    assert_ok(store_each_loss(f->store, net, 1, INT64_MAX, see_losses, &runs, &last));
    assert_int_equal(runs, 1);
    assert_ok(store_load_checkpoint(f->store, net, 0, &c, &found, &fallback, &last));
    assert_true(found && !fallback && c.step == 7 && c.sections == 3 && c.seq == 0 && !c.beside);
    store_checkpoint_close(&c);
    assert_ok(store_list_checkpoints(f->store, net, 0, 1, &c, &count, &last));
    assert_int_equal(count, 1);
    assert_string_equal(c.label, "five");
    store_checkpoint_close(&c);
    assert_ok(store_load_checkpoint(f->store, net, 1, &c, &found, &fallback, &last));
    assert_true(found && c.step == 5 && c.seq == 0);
    store_checkpoint_close(&c);
    assert_ok(store_load_checkpoint(f->store, fresh, 0, &c, &found, &fallback, &last));
    assert_false(found);
    assert_ok(store_find_answer(f->store, "kept", &a, &found, &last));
    assert_true(found && a.status == 200 && a.tag == -1 && a.bytes == 127);
    mem_free((void *)a.body);
    assert_ok(store_last_numbers(f->store, net, &n, &batch, &last));
    assert_true(n == 1 && batch == 3);
}

static enum err_kind append(struct store *s, int64_t model, int64_t seq)
{
    struct store_change change = {.seq = seq, .from = seq - 1, .kind = 1, .step = 7 + seq};
    struct store_txn *txn = begin(s);
    store_append_change(txn, model, &change);
    return store_commit(txn, &last);
}

/* Its journal begins, and trims as any. */
static void it_goes_on(void **state)
{
    struct fixture *f = *state;
    int64_t net = key_of(f->store, "net"), fresh = key_of(f->store, "fresh"), seq, n = 0;
    struct store_place *p;
    size_t count;
    for (int round = 0; round < 2; round++) {
        assert_ok(store_last_change(f->store, net, &seq, &last));
        assert_int_equal(seq, 3 * round);
        assert_kind(ERR_UNAVAILABLE, append(f->store, net, seq + 2));
        for (int i = 0; i < 3; i++)
            assert_ok(append(f->store, net, ++seq));
        fixture_reopen(f);
    }
    assert_ok(append(f->store, fresh, 1));
    assert_ok(store_list_places(f->store, net, &p, &count, &last));
    assert_int_equal(count, 6 + 2);
    assert_true(!p[6].is_change && p[6].n == 0 && p[6].step == 7 && p[6].seq == 0);
    assert_true(!p[7].is_change && p[7].n == 1 && p[7].step == 5 && p[7].seq == 0);
    mem_free(p);
    struct store_txn *txn = begin(f->store);
    store_delete_batch(txn, net, 1, 6);
    assert_ok(store_commit(txn, &last));
    for (int i = 0; i < 2; i++) {
        struct store_checkpoint c = {.seq = 6, .step = 13, .state = ""};
        txn = begin(f->store);
        store_save_checkpoint(txn, net, &c);
        assert_ok(store_commit(txn, &last));
    }
    assert_ok(store_each_batch(f->store, net, see_batch, &n, &last));
    assert_int_equal(n, 3);
    assert_ok(store_list_places(f->store, net, &p, &count, &last));
    assert_int_equal(count, 1 + 2);
    mem_free(p);
}

/* An old row is as well protected as a new one. */
static void old_seals_count(void **state)
{
    struct fixture *f = *state;
    static const char *const damages[] = {
        "UPDATE batches SET pushed = 1 WHERE n = 3", "UPDATE batches SET deleted = 1 WHERE n = 3",
        "UPDATE checkpoints SET seq = 1 WHERE n = 1",
        "UPDATE checkpoints SET beside = 1 WHERE n = 1", "UPDATE answers SET tag = 0"};
    for (int i = 0; i < 5; i++) {
        int64_t n = 0, net;
        struct store_checkpoint c;
        struct store_answer a;
        bool found, fallback;
        fixture_close(f);
        sql_run(f->path, damages[i]);
        fixture_open(f);
        net = key_of(f->store, "net");
        assert_kind(i < 2 ? ERR_IO : ERR_OK, store_each_batch(f->store, net, see_batch, &n, &last));
        assert_kind(i == 2 || i == 3 ? ERR_IO : ERR_OK,
                    store_load_checkpoint(f->store, net, 1, &c, &found, &fallback, &last));
        store_checkpoint_close(&c);
        assert_kind(i == 4 ? ERR_IO : ERR_OK,
                    store_find_answer(f->store, "kept", &a, &found, &last));
        mem_free((void *)a.body);
        fixture_close(f);
        sql_run(f->path,
                "UPDATE batches SET pushed = 0, deleted = 0;"
                "UPDATE checkpoints SET seq = 0, beside = 0; UPDATE answers SET tag = -1;");
        fixture_open(f);
    }
}

/* ---- version 4 ----------------------------------------------------------------------------- */

/* Counts the changes of "net", and the bytes of their data. */
static bool see_change(void *arg, const struct store_change *c)
{
    size_t *bytes = arg;
    assert_int_equal(c->seq, bytes[0] + 1);
    assert_int_equal(c->from, bytes[0]);
    assert_true(c->body_bytes >= 88 && (!c->data_bytes || c->data));
    bytes[0]++;
    bytes[1] += c->data_bytes;
    return true;
}

static void rows_become_runs(void **state)
{
    struct fixture *f = *state;
    int64_t seq;
    fixture_close(f);
    write_old_file(f, "tests/data/store_v4.sql", 4);
    int64_t rows = sql_number(f->path, "SELECT count(*) FROM journal WHERE kind > 0");
    assert_true(rows > 0 && sql_number(f->path, "SELECT count(*) FROM front") > 1);
    fixture_open(f);
    for (int round = 0; round < 3; round++) {
        size_t seen[2] = {0};
        int64_t net = key_of(f->store, "net"), fresh = key_of(f->store, "fresh");
        assert_ok(store_each_change(f->store, net, 1, INT64_MAX, see_change, seen, &last));
        assert_true((int64_t)seen[0] > rows);
        assert_int_equal(seen[1], 68 + 2 * 18032); /* the large ones in chunks */
        assert_ok(store_last_change(f->store, net, &seq, &last));
        assert_int_equal(seq, seen[0]);
        assert_ok(store_last_change(f->store, fresh, &seq, &last));
        assert_int_equal(seq, 1);
        fixture_reopen(f);
    }
    fixture_close(f);
    assert_int_equal(sql_number(f->path, "SELECT count(*) FROM main.sqlite_schema"
                                         " WHERE name = 'journal'"),
                     0);
    fixture_open(f);
}

static bool see_until_gap(void *arg, const struct store_change *c)
{
    size_t *bytes = arg;
    return c->seq == (int64_t)bytes[0] + 1 && see_change(arg, c);
}

/* What was damaged before stays so, and nothing else is. */
static void old_damages_stay(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *sql;
        size_t before; /* changes that are read */
        const char *said;
    } damages[] = {
        {"UPDATE journal SET seal = seal + 1 WHERE seq = 3", 2, "change 3 is damaged"},
        {"UPDATE journal SET body = NULL WHERE seq = 3", 2, "change 3 is damaged"},
        /* of the front: a change, the end of one, and the heads, which only say where it is */
        {"UPDATE front SET rows = CAST(substr(rows, 1, 90) || x'77' || substr(rows, 92) AS BLOB)"
         " WHERE serial = 7",
         7, "change 8 is damaged"},
        {"UPDATE front SET rows = substr(rows, 1, 90) WHERE serial = 7", 7, "change 8 is damaged"},
        {"UPDATE front SET rows = substr(rows, 1, 50) WHERE serial = 7", 7, "change 8 is damaged"},
        {"UPDATE front SET heads = zeroblob(32) WHERE serial = 7", 12, NULL},
        {"UPDATE front SET heads = zeroblob(32), rows = substr(rows, 1, 90) WHERE serial = 7", 7,
         NULL},
    };
    for (size_t i = 0; i < sizeof damages / sizeof *damages; i++) {
        size_t seen[2] = {0};
        fixture_close(f);
        write_old_file(f, "tests/data/store_v4.sql", 4);
        sql_run(f->path, damages[i].sql);
        fixture_open(f);
        int64_t net = key_of(f->store, "net");
        assert_kind(damages[i].said ? ERR_IO : ERR_OK,
                    store_each_change(f->store, net, 1, INT64_MAX, see_until_gap, seen, &last));
        assert_int_equal(seen[0], damages[i].before);
        if (damages[i].said)
            assert_said(damages[i].said);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(brought_up),      TEST(all_is_read),      TEST(it_goes_on),
        TEST(old_seals_count), TEST(rows_become_runs), TEST(old_damages_stay),
    };
    return cmocka_run_group_tests_name("store_migrate", tests, NULL, NULL);
}
