/* The journal: rows without a gap, their end, and what is told when one of them is damaged. */
#include "tests/storage/store_fixture.h"

#include <semaphore.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "storage/checksum.h"
#include "tests/storage/fault_vfs.h"

#define KIB ((size_t)1 << 10)
#define MIB ((size_t)1 << 20)

/* ---- making changes ------------------------------------------------------------------------ */

/* Change seq with content made of its number. */
struct sizes {
    size_t body, data;
};

#define MENDS 1000 /* added to `from` */

static void add(struct store_txn *txn, int64_t model, int64_t seq, int64_t from, struct sizes size)
{
    bool mends = from >= MENDS;
    struct store_change change = {.seq = seq,
                                  .from = mends ? from - MENDS : from,
                                  .mends = mends,
                                  .kind = (int)(seq % 7) + 1,
                                  .step = 10 * (seq % 100000),
                                  .body_bytes = size.body,
                                  .data_bytes = size.data};
    unsigned char *body = store_txn_alloc(txn, size.body + 1);
    unsigned char *data = store_txn_alloc(txn, size.data + 1);
    fill(body, size.body, (uint64_t)seq);
    fill(data, size.data, (uint64_t)seq + 1000);
    change.body = body;
    change.data = size.data ? data : NULL;
    store_append_change(txn, model, &change);
}

static enum err_kind put(struct store *s, int64_t model, int64_t seq, int64_t from, size_t body,
                         size_t data)
{
    struct store_txn *txn = begin(s);
    add(txn, model, seq, from, (struct sizes){body, data});
    return store_commit(txn, &last);
}

/* Changes 1 to n, small ones. */
static void put_all(struct store *s, int64_t model, int64_t n)
{
    for (int64_t seq = 1; seq <= n; seq++)
        assert_ok(put(s, model, seq, seq - 1, 20, 10));
}

static int64_t last_change(struct store *s, int64_t model)
{
    int64_t seq;
    assert_ok(store_last_change(s, model, &seq, &last));
    return seq;
}

/* ---- walking ------------------------------------------------------------------------------- */

struct seen {
    int64_t seq[1000];
    struct store_change change[1000]; /* without body and data */
    int count, limit;
    bool made_of_numbers; /* the content is that of add */
};

static bool see(void *arg, const struct store_change *change)
{
    struct seen *seen = arg;
    if (seen->made_of_numbers) {
        assert_filled(change->body, change->body_bytes, (uint64_t)change->seq);
        assert_filled(change->data, change->data_bytes, (uint64_t)change->seq + 1000);
    }
    seen->change[seen->count] = *change;
    seen->seq[seen->count++] = change->seq;
    return seen->count != seen->limit;
}

static enum err_kind walk(struct store *s, int64_t model, int64_t first, int64_t end,
                          struct seen *seen)
{
    seen->count = 0;
    return store_each_change(s, model, first, end, see, seen, &last);
}

static void assert_seen(const struct seen *seen, int64_t first, int64_t end)
{
    assert_int_equal(seen->count, end - first + 1);
    for (int i = 0; i < seen->count; i++)
        assert_int_equal(seen->seq[i], first + i);
}

static void come_back_as_they_were(void **state)
{
    struct fixture *f = *state;
    static struct seen seen = {.made_of_numbers = true};
    const struct sizes size[] = {
        {0, 0},        {1, 0},           {300, 16 * KIB},    {0, 16 * KIB + 1}, {5000, 3 * MIB + 5},
        {16 * KIB, 1}, {100000, 100000}, {128, 16 * KIB - 1}};
    int64_t n = sizeof size / sizeof size[0], model = put_model(f->store, "a");
    int64_t other = put_model(f->store, "b");
    for (int64_t seq = 1; seq <= n; seq++) {
        assert_int_equal(last_change(f->store, model), seq - 1);
        int64_t from = seq == 5 ? 2 : seq == 7 ? -1 : seq - 1;
        assert_ok(put(f->store, model, seq, from, size[seq - 1].body, size[seq - 1].data));
        assert_ok(put(f->store, other, seq, seq - 1, 9, 9));
    }
    for (int round = 0; round < 2; round++) {
        assert_int_equal(last_change(f->store, model), n);
        assert_ok(walk(f->store, model, 1, INT64_MAX, &seen));
        assert_seen(&seen, 1, n);
        for (int i = 0; i < n; i++) {
            const struct store_change *c = &seen.change[i];
            assert_int_equal(c->from, i == 4 ? 2 : i == 6 ? -1 : i);
            assert_int_equal(c->kind, (i + 1) % 7 + 1);
            assert_int_equal(c->step, 10 * (i + 1));
            assert_int_equal(c->body_bytes, size[i].body);
            assert_int_equal(c->data_bytes, size[i].data);
        }
        fixture_reopen(f);
    }
}

/* More than are loaded at a time, by number and by size. */
static void walks_of_any_length(void **state)
{
    struct fixture *f = *state;
    static struct seen seen = {.made_of_numbers = true};
    int64_t model = put_model(f->store, "a");
    assert_ok(walk(f->store, model, 1, INT64_MAX, &seen));
    assert_int_equal(seen.count, 0);
    for (int64_t seq = 1; seq <= 600; seq++)
        assert_ok(put(f->store, model, seq, seq - 1, 50, seq % 100 ? 8 : 700000));
    const int64_t ranges[][2] = {{1, 600}, {1, 1},     {256, 257}, {100, 100},
                                 {2, 599}, {600, 600}, {-5, 3},    {590, INT64_MAX}};
    for (size_t i = 0; i < sizeof ranges / sizeof ranges[0]; i++) {
        int64_t first = ranges[i][0] < 1 ? 1 : ranges[i][0];
        int64_t end = ranges[i][1] > 600 ? 600 : ranges[i][1];
        assert_ok(walk(f->store, model, ranges[i][0], ranges[i][1], &seen));
        assert_seen(&seen, first, end);
    }
    assert_ok(walk(f->store, model, 601, INT64_MAX, &seen));
    assert_int_equal(seen.count, 0);
    assert_ok(walk(f->store, model, 7, 6, &seen));
    assert_int_equal(seen.count, 0);
    for (seen.limit = 1; seen.limit < 600; seen.limit += 255) {
        assert_ok(walk(f->store, model, 1, 600, &seen));
        assert_seen(&seen, 1, seen.limit);
    }
    seen.limit = 0;
}

/* ---- without a gap ------------------------------------------------------------------------- */

static void a_gap_is_refused(void **state)
{
    struct fixture *f = *state;
    static struct seen seen;
    int64_t model = put_model(f->store, "a");
    const int64_t wrong[] = {2, 3, 0, -1, INT64_MAX - 1};
    for (size_t i = 0; i < 5; i++)
        assert_kind(ERR_UNAVAILABLE, put(f->store, model, wrong[i], wrong[i] - 1, 5, 5));
    put_all(f->store, model, 3);
    const int64_t late[] = {3, 1, 5, 6};
    for (size_t i = 0; i < 4; i++) {
        assert_kind(ERR_UNAVAILABLE, put(f->store, model, late[i], late[i] - 1, 5, 70 * KIB));
        assert_said("not kept");
        assert_kind(ERR_UNAVAILABLE, put(f->store, model, late[i], 1, 5, 5)); /* nor going back */
        assert_kind(ERR_UNAVAILABLE, put(f->store, model, late[i], -1, 5, 5));
        assert_kind(ERR_UNAVAILABLE, put(f->store, model, late[i], MENDS, 5, 5));
    }
    assert_int_equal(last_change(f->store, model), 3);
    assert_ok(walk(f->store, model, 1, INT64_MAX, &seen));
    assert_seen(&seen, 1, 3);
    fixture_close(f);
    assert_int_equal(sql_number(f->path, "SELECT count(*) FROM chunks"), 0);
    fixture_open(f);
    assert_ok(put(f->store, model, 4, 3, 5, 5));
}

static void without_a_model_there_is_none(void **state)
{
    struct fixture *f = *state;
    assert_kind(ERR_NOT_FOUND, put(f->store, 77, 1, 0, 5, 5));
    assert_kind(ERR_NOT_FOUND, put(f->store, 77, 1, MENDS, 5, 5));
    int64_t model = put_model(f->store, "a");
    put_all(f->store, model, 2);
    struct store_txn *txn = begin(f->store);
    store_delete_model(txn, model);
    assert_ok(store_commit(txn, &last));
    assert_kind(ERR_NOT_FOUND, put(f->store, model, 3, 2, 5, 5));
    assert_kind(ERR_NOT_FOUND, put(f->store, model, 3, MENDS + 1, 5, 5));
    fixture_close(f);
    assert_int_equal(sql_number(f->path, "SELECT count(*) FROM journal"), 0);
    fixture_open(f);
}

struct gate {
    sem_t reached, open;
};

static void wait_at_gate(void *arg, const struct err *e)
{
    struct gate *gate = arg;
    (void)e;
    sem_post(&gate->reached);
    sem_wait(&gate->open);
}

static void hold(struct store *s, struct gate *gate)
{
    sem_init(&gate->reached, 0, 0);
    sem_init(&gate->open, 0, 0);
    store_commit_then(begin(s), wait_at_gate, gate);
    sem_wait(&gate->reached);
}

static void note_kind(void *arg, const struct err *e)
{
    *(enum err_kind *)arg = e->kind;
}

/* Of a group, those behind a change that failed fail with it, and nobody else. */
static void who_follows_a_failed_one_fails(void **state)
{
    struct fixture *f = *state;
    static struct seen seen = {.made_of_numbers = true};
    enum err_kind kind[8];
    struct gate gate;
    int64_t model = put_model(f->store, "a"), other = put_model(f->store, "b");
    put_all(f->store, model, 2);
    hold(f->store, &gate);
    for (int64_t i = 0; i < 8; i++) {
        bool mine = i % 2 == 0; /* a: 3, 4, 5, 6; b: 1, 2, 3, 4 */
        struct store_txn *txn = begin(f->store);
        add(txn, mine ? model : other, mine ? 3 + i / 2 : 1 + i / 2, mine ? 2 + i / 2 : i / 2,
            (struct sizes){10, 70 * KIB});
        if (i == 2)
            store_delete_batch(txn, model, 5, 0);
        store_commit_then(txn, note_kind, &kind[i]);
    }
    sem_post(&gate.open);
    store_wait(f->store);
    for (int i = 0; i < 8; i++)
        assert_int_equal(kind[i], i == 2             ? ERR_NOT_FOUND
                                  : i == 4 || i == 6 ? ERR_UNAVAILABLE
                                                     : ERR_OK);
    assert_int_equal(last_change(f->store, model), 3);
    assert_int_equal(last_change(f->store, other), 4);
    assert_ok(put(f->store, model, 4, 3, 1, 1));
    fixture_reopen(f);
    assert_ok(walk(f->store, model, 1, INT64_MAX, &seen));
    assert_seen(&seen, 1, 4);
    assert_ok(walk(f->store, other, 1, INT64_MAX, &seen));
    assert_seen(&seen, 1, 4);
}

/* A group whose commit fails is tried again one by one: of each model a beginning is kept. */
static void a_lost_group_leaves_no_gap(void **state)
{
    struct fixture *f = *state;
    static struct seen seen = {.made_of_numbers = true};
    int64_t model = put_model(f->store, "a");
    put_all(f->store, model, 1);
    int64_t next = 2;
    for (int nth = 1; nth < 40; nth++) {
        enum err_kind kind[6];
        struct gate gate;
        int kept = 0;
        hold(f->store, &gate);
        for (int64_t i = 0; i < 6; i++) {
            struct store_txn *txn = begin(f->store);
            add(txn, model, next + i, next + i - 1, (struct sizes){10, i == 2 ? 200000 : 100});
            store_commit_then(txn, note_kind, &kind[i]);
        }
        fault_vfs_arm(FAULT_WRITE, nth, nth % 2, SQLITE_FULL);
        sem_post(&gate.open);
        store_wait(f->store);
        fault_vfs_disarm();
        while (kept < 6 && kind[kept] == ERR_OK)
            kept++;
        for (int i = kept; i < 6; i++)
            assert_int_equal(kind[i],
                             i == kept || kind[i] == ERR_FULL ? ERR_FULL : ERR_UNAVAILABLE);
        next += kept;
        assert_int_equal(last_change(f->store, model), next - 1);
    }
    assert_true(next > 40);
    assert_ok(walk(f->store, model, 1, INT64_MAX, &seen));
    assert_seen(&seen, 1, next - 1);
}

/* ---- damage -------------------------------------------------------------------------------- */

/* To change 3 of 5; what is told, and how many are visited before it. */
static const struct damage {
    const char *sql;
    int visited;
    const char *said; /* NULL: a gap, which is the visitor's to notice */
} damages[] =
    {
        {"UPDATE journal SET prior = prior + 1 WHERE seq = 3", 2, "change 3 is damaged"},
        {"UPDATE journal SET prior = -1 WHERE seq = 3", 2, "change 3 is damaged"},
        {"UPDATE journal SET kind = kind + 1 WHERE seq = 3", 2, "change 3 is damaged"},
        {"UPDATE journal SET step = step + 1 WHERE seq = 3", 2, "change 3 is damaged"},
        {"UPDATE journal SET step = -step WHERE seq = 3", 2, "change 3 is damaged"},
        {"UPDATE journal SET seal = seal + 1 WHERE seq = 3", 2, "change 3 is damaged"},
        {"UPDATE journal SET body = CAST(x'00' || substr(body, 2) AS BLOB) WHERE seq = 3", 2,
         "change 3 is damaged"},
        {"UPDATE journal SET body = CAST(body || x'00' AS BLOB) WHERE seq = 3", 2,
         "change 3 is damaged"},
        {"UPDATE journal SET body = substr(body, 1, 10) WHERE seq = 3", 2, "change 3 is damaged"},
        {"UPDATE journal SET body = NULL WHERE seq = 3", 2, "change 3 is damaged"},
        {"UPDATE journal SET bytes = bytes + 1 WHERE seq = 3", 2, "change 3 is damaged"},
        {"UPDATE journal SET seq = 9 WHERE seq = 3", 4, "change 9 is damaged"},
        {"UPDATE journal SET seq = 33 WHERE seq = 3; UPDATE journal SET seq = 3 WHERE seq = 4;", 2,
         "change 3 is damaged"},
        {"UPDATE journal SET model = 2 WHERE seq = 3 AND model = 1", 4, NULL},
        {"DELETE FROM journal WHERE seq = 3", 4, NULL},
},
  inline_damages[] =
      {
          {"UPDATE journal SET data = CAST(x'00' || substr(data, 2) AS BLOB) WHERE seq = 3", 2,
           "change 3 is damaged"},
          {"UPDATE journal SET data = substr(data, 1, 3) WHERE seq = 3", 2, "change 3 is damaged"},
          {"UPDATE journal SET data = NULL WHERE seq = 3", 2, "change 3 is damaged"},
          /* a byte from one to the other */
          {"UPDATE journal SET body = CAST(body || substr(data, 1, 1) AS BLOB), data = "
           "substr(data, 2) WHERE seq = 3",
           2, "change 3 is damaged"},
},
  chunk_damages[] = {
      {"UPDATE journal SET first_chunk = first_chunk + 1 WHERE seq = 3", 2, "change 3 is damaged"},
      {"UPDATE journal SET digest = digest + 1 WHERE seq = 3", 2, "change 3 is damaged"},
      {"UPDATE journal SET bytes = 0 WHERE seq = 3", 2, "change 3 is damaged"},
      {"UPDATE chunks SET data = CAST(x'00' || substr(data, 2) AS BLOB) WHERE key = 1", 2,
       "chunk 0 has a wrong checksum"},
      {"DELETE FROM chunks WHERE key = 2", 2, "chunk 1 is missing"},
};

static void check_damage(struct fixture *f, const char *whole, int64_t model,
                         const struct damage *d)
{
    static struct seen seen;
    copy_file(whole, f->path);
    sql_run(f->path, d->sql);
    fixture_open(f);
    assert_int_equal(last_change(f->store, model), 5);
    if (d->said) {
        assert_kind(ERR_IO, walk(f->store, model, 1, 5 + 4, &seen));
        assert_said("model \"digits\": its journal: ");
        assert_said(d->said);
    } else {
        assert_ok(walk(f->store, model, 1, 5, &seen));
    }
    assert_int_equal(seen.count, d->visited);
    assert_true(store_is_healthy(f->store));
    /* it is no hindrance to what comes behind it, nor to a deletion */
    assert_ok(put(f->store, model, 6, 5, 5, 5));
    struct store_txn *txn = begin(f->store);
    store_delete_model(txn, model);
    assert_ok(store_commit(txn, &last));
    fixture_close(f);
    assert_int_equal(sql_number(f->path, "SELECT count(*) FROM journal WHERE model = 1"), 0);
}

static void damaged_rows(void **state)
{
    struct fixture *f = *state;
    for (int chunked = 0; chunked < 2; chunked++) {
        char whole[96];
        int64_t model = put_model(f->store, "digits");
        for (int64_t seq = 1; seq <= 5; seq++)
            assert_ok(put(f->store, model, seq, seq - 1, 30, chunked && seq == 3 ? 2 * MIB : 20));
        fixture_close(f);
        snprintf(whole, sizeof whole, "%s/whole", f->folder);
        copy_file(f->path, whole);
        for (size_t i = 0; i < sizeof damages / sizeof *damages; i++)
            check_damage(f, whole, model, &damages[i]);
        for (size_t i = 0; !chunked && i < sizeof inline_damages / sizeof *inline_damages; i++)
            check_damage(f, whole, model, &inline_damages[i]);
        for (size_t i = 0; chunked && i < sizeof chunk_damages / sizeof *chunk_damages; i++)
            check_damage(f, whole, model, &chunk_damages[i]);
        remove(f->path);
        fixture_open(f);
    }
}

/* ---- the end ------------------------------------------------------------------------------- */

#define END "seq = 9223372036854775807"

/* Nothing is appended behind an end that cannot be trusted, but what needs nothing before it. */
static void a_damaged_end(void **state)
{
    static const char *const ends[] = {
        "UPDATE journal SET step = 4 WHERE " END,
        "UPDATE journal SET step = 99 WHERE " END,
        "DELETE FROM journal WHERE " END,
        "UPDATE journal SET seq = seq - 1 WHERE " END,
        /* with the last row too */
        "UPDATE journal SET step = 3 WHERE " END "; DELETE FROM journal WHERE seq = 5",
        /* with all there were */
        "DELETE FROM journal",
    };
    struct fixture *f = *state;
    static struct seen seen;
    char whole[96];
    int64_t model = put_model(f->store, "digits"), seq;
    put_all(f->store, model, 5);
    fixture_close(f);
    snprintf(whole, sizeof whole, "%s/whole", f->folder);
    copy_file(f->path, whole);
    for (int i = 0; i < 6; i++) {
        copy_file(whole, f->path);
        sql_run(f->path, ends[i]);
        fixture_open(f);
        assert_kind(ERR_IO, store_last_change(f->store, model, &seq, &last));
        assert_said("model \"digits\": the end of its journal is damaged");
        assert_true(seq == (i == 4 ? 4 : i == 5 ? 0 : 5));
        int64_t next = seq + 1;
        assert_kind(ERR_IO, put(f->store, model, next, next - 1, 5, 5));
        assert_said("the end of its journal");
        assert_kind(ERR_IO, put(f->store, model, next, next - 3, 5, 5));
        assert_ok(put(f->store, model, next, MENDS + (i % 2 ? next - 1 : 1), 5, 5));
        assert_ok(put(f->store, model, next + 1, next, 5, 5));
        assert_int_equal(last_change(f->store, model), next + 1);
        assert_ok(walk(f->store, model, next, next + 1, &seen));
        assert_seen(&seen, next, next + 1);
        fixture_close(f);
    }
    fixture_open(f);
}

/* Even if it names the change that is expected. */
static void an_end_with_a_wrong_seal(void **state)
{
    struct fixture *f = *state;
    int64_t model = put_model(f->store, "digits"), seq;
    put_all(f->store, model, 5);
    fixture_close(f);
    sql_run(f->path, "UPDATE journal SET seal = seal + 1 WHERE " END);
    fixture_open(f);
    assert_kind(ERR_IO, store_last_change(f->store, model, &seq, &last));
    assert_int_equal(seq, 5);
    assert_kind(ERR_IO, put(f->store, model, 6, 5, 5, 5));
    assert_ok(put(f->store, model, 6, MENDS + 5, 5, 5));
    assert_int_equal(last_change(f->store, model), 6);
}

/* A row that vanished from the end is missed: the end says how many there were. */
static void the_end_names_the_last(void **state)
{
    struct fixture *f = *state;
    static struct seen seen;
    int64_t model = put_model(f->store, "a");
    put_all(f->store, model, 5);
    fixture_close(f);
    sql_run(f->path, "DELETE FROM journal WHERE seq = 5");
    fixture_open(f);
    assert_int_equal(last_change(f->store, model), 5);
    assert_ok(walk(f->store, model, 1, 5, &seen));
    assert_seen(&seen, 1, 4);
    assert_ok(put(f->store, model, 6, 4, 5, 5));
}

/* Which checksum, over what: a test of the api writes rows anew with it. */
static void rows_are_sealed_as_said(void **state)
{
    struct fixture *f = *state;
    unsigned char body[20], data[10];
    int64_t model = put_model(f->store, "a");
    put_all(f->store, model, 1);
    fixture_close(f);
    fill(body, sizeof body, 1);
    fill(data, sizeof data, 1001);
    const int64_t head[] = {model, 1, 0, 2, 10, sizeof body};
    uint32_t seal = 0;
    for (int i = 0; i < 6; i++)
        seal = checksum_i64(seal, head[i]);
    seal = checksum(seal, body, sizeof body);
    seal = checksum(checksum_i64(seal, sizeof data), data, sizeof data);
    assert_int_equal(sql_number(f->path, "SELECT seal FROM journal WHERE seq = 1"), seal);
    fixture_open(f);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(come_back_as_they_were),
        TEST(walks_of_any_length),
        TEST(a_gap_is_refused),
        TEST(without_a_model_there_is_none),
        TEST(who_follows_a_failed_one_fails),
        TEST(a_lost_group_leaves_no_gap),
        TEST(damaged_rows),
        TEST(a_damaged_end),
        TEST(an_end_with_a_wrong_seal),
        TEST(the_end_names_the_last),
        TEST(rows_are_sealed_as_said),
    };
    fault_vfs_install();
    return cmocka_run_group_tests_name("store_journal", tests, NULL, NULL);
}
