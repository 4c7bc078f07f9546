/* What checkpoints let go of the journal and of deleted batches, and the ways to a state of the
 * past. */
#include "tests/storage/store_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/mem.h"

#define KIB ((size_t)1 << 10)

static enum err_kind put_change(struct store *s, int64_t model, int64_t seq, size_t data)
{
    struct store_change change = {
        .seq = seq, .from = seq - 1, .kind = 1, .step = 10 * seq, .data_bytes = data};
    struct store_txn *txn = begin(s);
    change.data = store_txn_alloc(txn, data + 1);
    fill((void *)change.data, data, (uint64_t)seq);
    store_append_change(txn, model, &change);
    return store_commit(txn, &last);
}

struct saved {
    int64_t n, seq;
    bool beside;
    size_t bytes;
};

static void add_checkpoint(struct store_txn *txn, int64_t model, struct saved what)
{
    struct store_checkpoint c = {.n = what.n,
                                 .seq = what.seq,
                                 .beside = what.beside,
                                 .step = 10 * what.seq,
                                 .state = "",
                                 .sections = 1};
    void *data = store_txn_alloc(txn, what.bytes + 1);
    fill(data, what.bytes, (uint64_t)what.seq);
    c.section[0] = (struct store_section){"parameters", data, what.bytes};
    store_save_checkpoint(txn, model, &c);
}

static enum err_kind save(struct store *s, int64_t model, struct saved what)
{
    struct store_txn *txn = begin(s);
    add_checkpoint(txn, model, what);
    return store_commit(txn, &last);
}

/* A change that only its checkpoint can tell. */
static enum err_kind put_beside(struct store *s, int64_t model, int64_t seq, size_t bytes)
{
    struct store_change change = {.seq = seq, .from = -1, .kind = 9, .step = 10 * seq};
    struct store_txn *txn = begin(s);
    store_append_change(txn, model, &change);
    add_checkpoint(txn, model, (struct saved){.seq = seq, .beside = true, .bytes = bytes});
    return store_commit(txn, &last);
}

static bool note_seq(void *arg, const struct store_change *change)
{
    char *text = arg;
    sprintf(text + strlen(text), "%lld ", (long long)change->seq);
    return true;
}

/* The changes that are kept: "3 4 5 ". */
static const char *changes(struct store *s, int64_t model)
{
    static char text[2000];
    text[0] = '\0';
    assert_ok(store_each_change(s, model, 1, INT64_MAX, note_seq, text, &last));
    return text;
}

/* The checkpoints that are kept, by their changes: "3 n1 5 ". */
static const char *checkpoints(struct store *s, int64_t model)
{
    static char text[2000];
    struct store_place *place;
    size_t count, length = 0;
    assert_ok(store_list_places(s, model, &place, &count, &last));
    text[0] = '\0';
    for (size_t i = 0; i < count; i++)
        if (!place[i].is_change)
            length += (size_t)sprintf(text + length, "%s%lld ", place[i].n ? "n" : "",
                                      (long long)(place[i].n ? place[i].n : place[i].seq));
    mem_free(place);
    return text;
}

static int64_t count(struct fixture *f, const char *sql)
{
    fixture_close(f);
    int64_t n = sql_number(f->path, sql);
    fixture_open(f);
    return n;
}

static void changes_until(struct store *s, int64_t model, int64_t *seq, int64_t until)
{
    while (*seq < until)
        assert_ok(put_change(s, model, ++*seq, 10));
}

/* ---- the journal --------------------------------------------------------------------------- */

/* The newest two that stand for themselves, and everything since the older of them. */
static void two_checkpoints_and_what_follows(void **state)
{
    struct fixture *f = *state;
    struct store *s = f->store;
    int64_t model = put_model(s, "a"), other = put_model(s, "b"), seq = 0, theirs = 0;
    changes_until(s, other, &theirs, 9);
    changes_until(s, model, &seq, 4);
    assert_ok(save(s, model, (struct saved){.seq = 4, .bytes = 100}));
    assert_string_equal(changes(s, model), "1 2 3 4 "); /* one alone lets nothing go */
    changes_until(s, model, &seq, 6);
    assert_ok(save(s, model, (struct saved){.seq = 6, .bytes = 100}));
    assert_string_equal(changes(s, model), "5 6 ");
    assert_string_equal(checkpoints(s, model), "4 6 ");
    assert_ok(save(s, model, (struct saved){.seq = 6, .bytes = 100})); /* of the same once more */
    assert_string_equal(changes(s, model), "");
    assert_string_equal(checkpoints(s, model), "6 6 ");
    changes_until(s, model, &seq, 8);
    assert_ok(save(s, model, (struct saved){.n = 1, .seq = 8, .bytes = 100}));
    assert_ok(save(s, model, (struct saved){.n = 2, .seq = 8, .bytes = 100}));
    changes_until(s, model, &seq, 9);
    assert_string_equal(changes(s, model), "7 8 9 "); /* a client's lets nothing go, … */
    assert_ok(save(s, model, (struct saved){.seq = 9, .bytes = 100}));
    assert_ok(save(s, model, (struct saved){.seq = 9, .bytes = 100}));
    assert_string_equal(changes(s, model), "");
    assert_string_equal(checkpoints(s, model), "n1 n2 9 9 "); /* … and is not let go */
    changes_until(s, model, &seq, 10);
    fixture_reopen(f);
    assert_string_equal(changes(f->store, model), "10 ");
    assert_string_equal(changes(f->store, other), "1 2 3 4 5 6 7 8 9 ");
}

/* Those beside a change count for nothing, and go with what is older than the two. */
static void beside_a_change(void **state)
{
    struct fixture *f = *state;
    struct store *s = f->store;
    int64_t model = put_model(s, "a");
    assert_ok(put_change(s, model, 1, 10));
    for (int64_t seq = 2; seq <= 5; seq++)
        assert_ok(put_beside(s, model, seq, 100));
    assert_string_equal(changes(s, model), "1 2 3 4 5 ");
    assert_string_equal(checkpoints(s, model), "2 3 4 5 ");
    assert_ok(save(s, model, (struct saved){.seq = 5, .bytes = 100}));
    assert_ok(put_beside(s, model, 6, 100));
    assert_string_equal(changes(s, model), "1 2 3 4 5 6 ");
    assert_ok(put_change(s, model, 7, 10));
    assert_ok(save(s, model, (struct saved){.seq = 7, .bytes = 100}));
    assert_string_equal(changes(s, model), "6 7 "); /* the older of the two holds 5 */
    assert_string_equal(checkpoints(s, model), "5 6 7 ");
    assert_ok(put_beside(s, model, 8, 100));
    assert_ok(save(s, model, (struct saved){.seq = 8, .bytes = 100}));
    assert_string_equal(changes(s, model), "8 ");
    assert_string_equal(checkpoints(s, model), "7 8 8 ");
    struct store_checkpoint c;
    bool found, fallback;
    fixture_reopen(f);
    assert_ok(store_load_checkpoint(f->store, model, 0, &c, &found, &fallback, &last));
    assert_true(found && !fallback && !c.beside && c.seq == 8);
    store_checkpoint_close(&c);
}

/* Nothing is left of the data that went, and all of that which stays. */
static void data_goes_with_its_change(void **state)
{
    struct fixture *f = *state;
    int64_t model = put_model(f->store, "a");
    for (int64_t seq = 1; seq <= 4; seq++)
        assert_ok(put_change(f->store, model, seq, 2000 * KIB)); /* two chunks */
    assert_ok(put_beside(f->store, model, 5, 3000 * KIB));       /* three */
    assert_ok(put_change(f->store, model, 6, 16 * KIB));
    assert_ok(put_change(f->store, model, 7, 16 * KIB + 1)); /* one */
    assert_int_equal(count(f, "SELECT count(*) FROM chunks"), 4 * 2 + 3 + 1);
    assert_ok(save(f->store, model, (struct saved){.seq = 7, .bytes = 10}));
    assert_ok(put_change(f->store, model, 8, 20000 * KIB)); /* twenty: too many to drop at once */
    assert_ok(save(f->store, model, (struct saved){.seq = 8, .bytes = 10}));
    assert_string_equal(changes(f->store, model), "8 ");
    assert_int_equal(count(f, "SELECT count(*) FROM chunks"), 20 + 2);
    assert_ok(save(f->store, model, (struct saved){.seq = 8, .bytes = 10}));
    store_wait(f->store);
    for (int i = 0; i < 200 && count(f, "SELECT count(*) FROM garbage"); i++)
        store_wait(f->store);
    assert_int_equal(count(f, "SELECT count(*) FROM chunks"), 2);
}

/* A damaged checkpoint lets nothing go: the journal may be the only way past it. */
static void a_damaged_one_keeps_the_journal(void **state)
{
    struct fixture *f = *state;
    int64_t model = put_model(f->store, "a"), seq = 0;
    changes_until(f->store, model, &seq, 3);
    assert_ok(save(f->store, model, (struct saved){.seq = 3, .bytes = 100}));
    fixture_close(f);
    sql_run(f->path, "UPDATE checkpoints SET seal = seal + 1");
    fixture_open(f);
    changes_until(f->store, model, &seq, 5);
    assert_ok(save(f->store, model, (struct saved){.seq = 5, .bytes = 100}));
    assert_string_equal(changes(f->store, model), "1 2 3 4 5 ");
    assert_ok(save(f->store, model, (struct saved){.seq = 5, .bytes = 100}));
    assert_string_equal(changes(f->store, model), "");
}

/* A damaged change is let go as any other; what it owned is lost space. */
static void a_damaged_change_goes(void **state)
{
    struct fixture *f = *state;
    int64_t model = put_model(f->store, "a");
    assert_ok(put_change(f->store, model, 1, 70 * KIB));
    assert_ok(put_change(f->store, model, 2, 70 * KIB));
    fixture_close(f);
    sql_run(f->path, "UPDATE journal SET first_chunk = 2 WHERE seq = 1");
    fixture_open(f);
    assert_ok(save(f->store, model, (struct saved){.seq = 2, .bytes = 10}));
    assert_ok(save(f->store, model, (struct saved){.seq = 2, .bytes = 10}));
    assert_string_equal(changes(f->store, model), "");
    assert_int_equal(count(f, "SELECT count(*) FROM chunks"), 1 + 2);
    assert_int_equal(count(f, "SELECT count(*) FROM chunks WHERE key = 1"), 1);
}

/* ---- a checkpoint is of the last change there is ------------------------------------------- */

static void of_the_last_change_alone(void **state)
{
    struct fixture *f = *state;
    struct store *s = f->store;
    int64_t model = put_model(s, "a"), seq = 0;
    changes_until(s, model, &seq, 3);
    for (int64_t n = 0; n < 2; n++) {
        assert_kind(ERR_UNAVAILABLE, save(s, model, (struct saved){.n = n, .seq = 4, .bytes = 9}));
        assert_said("an earlier change was not kept");
        assert_kind(ERR_UNAVAILABLE, save(s, model, (struct saved){.n = n, .seq = 2, .bytes = 9}));
        assert_ok(save(s, model, (struct saved){.n = n, .seq = 3, .bytes = 9}));
    }
    assert_string_equal(checkpoints(s, model), "3 n1 ");
    /* with the change itself */
    assert_kind(ERR_UNAVAILABLE, put_beside(s, model, 5, 9));
    assert_ok(put_beside(s, model, 4, 9));
    /* a damaged end says nothing against it */
    fixture_close(f);
    sql_run(f->path, "UPDATE journal SET step = 9 WHERE kind = 0");
    fixture_open(f);
    assert_ok(save(f->store, model, (struct saved){.seq = 4, .bytes = 9}));
}

/* ---- batches ------------------------------------------------------------------------------- */

static enum err_kind push(struct store *s, int64_t model, int64_t n, int64_t pushed)
{
    struct store_batch batch = {.n = n, .layout = "x", .bytes = 100, .pushed = pushed};
    struct store_txn *txn = begin(s);
    batch.data = store_txn_alloc(txn, 100);
    fill((void *)batch.data, 100, (uint64_t)n);
    store_insert_batch(txn, model, &batch);
    return store_commit(txn, &last);
}

static enum err_kind remove_batch(struct store *s, int64_t model, int64_t n, int64_t at)
{
    struct store_txn *txn = begin(s);
    store_delete_batch(txn, model, n, at);
    return store_commit(txn, &last);
}

static enum err_kind note_batch(void *arg, const struct store_batch *b, struct err *e)
{
    char *text = arg;
    (void)e;
    assert_filled(b->data, b->bytes, (uint64_t)b->n);
    sprintf(text + strlen(text), "%lld:%lld-%lld ", (long long)b->n, (long long)b->pushed,
            (long long)b->deleted);
    return ERR_OK;
}

/* "1:2-3 ": batch 1, which came with change 2 and went with change 3. */
static const char *batches(struct store *s, int64_t model)
{
    static char text[1000];
    text[0] = '\0';
    assert_ok(store_each_batch(s, model, note_batch, text, &last));
    return text;
}

static void deleted_batches_wait(void **state)
{
    struct fixture *f = *state;
    int64_t model = put_model(f->store, "a"), seq = 0;
    for (int64_t n = 1; n <= 4; n++)
        assert_ok(push(f->store, model, n, n - 1));
    changes_until(f->store, model, &seq, 3);
    assert_ok(remove_batch(f->store, model, 2, 3));
    assert_kind(ERR_NOT_FOUND, remove_batch(f->store, model, 2, 3));
    assert_kind(ERR_NOT_FOUND, remove_batch(f->store, model, 9, 3));
    assert_string_equal(batches(f->store, model), "1:0-0 2:1-3 3:2-0 4:3-0 ");
    changes_until(f->store, model, &seq, 5);
    assert_ok(remove_batch(f->store, model, 3, 5));
    assert_ok(remove_batch(f->store, model, 4, 0)); /* at once */
    fixture_reopen(f);
    assert_string_equal(batches(f->store, model), "1:0-0 2:1-3 3:2-5 ");
    assert_kind(ERR_CONFLICT, push(f->store, model, 2, 5)); /* its number is still in use */
    assert_ok(save(f->store, model, (struct saved){.seq = 5, .bytes = 9}));
    assert_string_equal(batches(f->store, model), "1:0-0 2:1-3 3:2-5 ");
    changes_until(f->store, model, &seq, 6);
    assert_ok(remove_batch(f->store, model, 1, 6));
    assert_ok(save(f->store, model, (struct saved){.seq = 6, .bytes = 9}));
    assert_string_equal(batches(f->store, model), "1:0-6 "); /* the older of the two holds 5 */
    assert_ok(save(f->store, model, (struct saved){.seq = 6, .bytes = 9}));
    assert_string_equal(batches(f->store, model), "");
    assert_int_equal(count(f, "SELECT count(*) FROM chunks"), 2);
    int64_t checkpoint, batch;
    assert_ok(store_last_numbers(f->store, model, &checkpoint, &batch, &last));
    assert_int_equal(batch, 4);
}

/* That a batch was deleted may be the very damage: it stays, and the damage is told. */
static void a_damaged_batch_stays(void **state)
{
    static const char *const damages[] = {
        "UPDATE batches SET deleted = 1 WHERE n = 2",
        "UPDATE batches SET deleted = 0 WHERE n = 1",
        "UPDATE batches SET deleted = 1 WHERE n = 1",
        "UPDATE batches SET pushed = 1 WHERE n = 2",
        "UPDATE batches SET pushed = 0, deleted = 0 WHERE n = 1",
    };
    struct fixture *f = *state;
    char whole[96];
    int64_t model = put_model(f->store, "digits"), seq = 0;
    assert_ok(push(f->store, model, 1, 0));
    assert_ok(push(f->store, model, 2, 0));
    changes_until(f->store, model, &seq, 2);
    assert_ok(remove_batch(f->store, model, 1, 2));
    fixture_close(f);
    snprintf(whole, sizeof whole, "%s/whole", f->folder);
    copy_file(f->path, whole);
    for (int i = 0; i < 5; i++) {
        char text[1000] = "";
        copy_file(whole, f->path);
        sql_run(f->path, damages[i]);
        fixture_open(f);
        for (int k = 0; k < 2; k++)
            assert_ok(save(f->store, model, (struct saved){.seq = 2, .bytes = 9}));
        assert_kind(ERR_IO, store_each_batch(f->store, model, note_batch, text, &last));
        assert_said("model \"digits\": batch ");
        fixture_close(f);
    }
    fixture_open(f);
}

/* ---- places -------------------------------------------------------------------------------- */

static void assert_place(const struct store_place *p, bool is_change, int64_t seq, int64_t from,
                         int64_t n)
{
    assert_int_equal(p->is_change, is_change);
    assert_int_equal(p->seq, seq);
    assert_int_equal(p->step, 10 * seq);
    if (is_change) {
        assert_int_equal(p->from, from);
        assert_int_equal(p->kind, from < 0 ? 9 : 1);
        return;
    }
    assert_int_equal(p->n, n);
    assert_int_equal(p->serial > 0, n == 0);
}

static void places(void **state)
{
    struct fixture *f = *state;
    struct store *s = f->store;
    struct store_place *p;
    struct store_checkpoint c;
    size_t n;
    int64_t model = put_model(s, "a"), other = put_model(s, "b");
    assert_ok(store_list_places(s, model, &p, &n, &last));
    assert_int_equal(n, 0);
    mem_free(p);
    assert_ok(put_change(s, other, 1, 5));
    assert_ok(put_change(s, model, 1, 5));
    assert_ok(save(s, model, (struct saved){.n = 3, .seq = 1, .bytes = 9}));
    assert_ok(save(s, model, (struct saved){.n = 1, .seq = 1, .bytes = 9}));
    assert_ok(put_beside(s, model, 2, 9));
    assert_ok(put_change(s, model, 3, 70 * KIB));
    assert_ok(save(s, model, (struct saved){.seq = 3, .bytes = 9}));
    assert_ok(store_list_places(s, model, &p, &n, &last));
    assert_int_equal(n, 7);
    assert_place(&p[0], true, 1, 0, 0);
    assert_place(&p[1], true, 2, -1, 0);
    assert_place(&p[2], true, 3, 2, 0);
    assert_place(&p[3], false, 1, 0, 1);
    assert_place(&p[4], false, 1, 0, 3);
    assert_place(&p[5], false, 2, 0, 0);
    assert_place(&p[6], false, 3, 0, 0);
    for (int i = 5; i < 7; i++) {
        assert_ok(store_load_automatic(s, model, p[i].serial, &c, &last));
        assert_int_equal(c.seq, p[i].seq);
        assert_int_equal(c.serial, p[i].serial);
        assert_int_equal(c.beside, i == 5);
        assert_filled(c.section[0].data, 9, (uint64_t)c.seq);
        store_checkpoint_close(&c);
    }
    assert_kind(ERR_NOT_FOUND, store_load_automatic(s, model, p[6].serial + 1, &c, &last));
    assert_kind(ERR_NOT_FOUND, store_load_automatic(s, other, p[6].serial, &c, &last));
    mem_free(p);
}

/* More than there is room for at first; what is damaged is left out. */
static void places_of_a_damaged_past(void **state)
{
    struct fixture *f = *state;
    struct store_place *p;
    size_t n;
    int64_t model = put_model(f->store, "a"), seq = 0;
    changes_until(f->store, model, &seq, 300);
    for (int64_t k = 1; k <= 5; k++)
        assert_ok(save(f->store, model, (struct saved){.n = k, .seq = 300, .bytes = 9}));
    fixture_close(f);
    sql_run(f->path, "UPDATE journal SET step = 5 WHERE seq IN (1, 100, 300);"
                     "DELETE FROM journal WHERE seq = 200;"
                     "UPDATE checkpoints SET label = 'x' WHERE n = 3;"
                     "UPDATE checkpoints SET seq = 7 WHERE n = 4;"
                     "UPDATE checkpoints SET beside = 1 WHERE n = 5;");
    fixture_open(f);
    assert_ok(store_list_places(f->store, model, &p, &n, &last));
    assert_int_equal(n, 296 + 2);
    for (size_t i = 0; i < 296; i++)
        assert_true(p[i].is_change && p[i].step == 10 * p[i].seq && p[i].seq % 100 > 0);
    assert_place(&p[296], false, 300, 0, 1);
    assert_place(&p[297], false, 300, 0, 2);
    mem_free(p);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(two_checkpoints_and_what_follows),
        TEST(beside_a_change),
        TEST(data_goes_with_its_change),
        TEST(a_damaged_one_keeps_the_journal),
        TEST(a_damaged_change_goes),
        TEST(of_the_last_change_alone),
        TEST(deleted_batches_wait),
        TEST(a_damaged_batch_stays),
        TEST(places),
        TEST(places_of_a_damaged_past),
    };
    return cmocka_run_group_tests_name("store_trim", tests, NULL, NULL);
}
