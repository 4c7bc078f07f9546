#include "tests/storage/store_fixture.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/mem.h"

#define MIB ((size_t)1 << 20)

/* ---- models -------------------------------------------------------------------------------- */

static void model_round_trip(void **state)
{
    struct fixture *f = *state;
    struct store_model in = {.spec = "{\"layers\": \"\xc3\xa4\"}", .created_at = 1700000000123},
                       out;
    memset(in.id, 'x', STORE_ID_BYTES - 1);
    struct store_txn *txn = begin(f->store);
    store_insert_model(txn, &in);
    assert_ok(store_commit(txn, &last));
    assert_true(in.key > 0);
    fixture_reopen(f);
    assert_ok(store_find_model(f->store, in.id, &out, &last));
    assert_int_equal(out.key, in.key);
    assert_string_equal(out.id, in.id);
    assert_string_equal(out.spec, in.spec);
    assert_int_equal(out.created_at, in.created_at);
    mem_free((void *)out.spec);
    assert_kind(ERR_NOT_FOUND, store_find_model(f->store, "x", &out, &last));
    assert_said("\"x\"");
}

static void models_are_listed_in_pages(void **state)
{
    struct fixture *f = *state;
    char ids[4][STORE_ID_BYTES];
    size_t count;
    const char *names[] = {"d", "a", "c", "e", "b"};
    for (int i = 0; i < 5; i++)
        put_model(f->store, names[i]);
    assert_ok(store_list_models(f->store, "", 2, ids, &count, &last));
    assert_int_equal(count, 2);
    assert_string_equal(ids[0], "a");
    assert_string_equal(ids[1], "b");
    assert_ok(store_list_models(f->store, "b", 4, ids, &count, &last));
    assert_int_equal(count, 3);
    assert_string_equal(ids[0], "c");
    assert_string_equal(ids[2], "e");
    assert_ok(store_list_models(f->store, "bb", 1, ids, &count, &last));
    assert_string_equal(ids[0], "c");
    assert_ok(store_list_models(f->store, "e", 4, ids, &count, &last));
    assert_int_equal(count, 0);
    assert_ok(store_list_models(f->store, "", 0, ids, &count, &last));
    assert_int_equal(count, 0);
}

static void taken_id_is_a_conflict(void **state)
{
    struct fixture *f = *state;
    int64_t key = put_model(f->store, "a");
    struct store_model again = {.id = "a", .spec = "other"}, out;
    struct store_txn *txn = begin(f->store);
    store_insert_model(txn, &again);
    assert_kind(ERR_CONFLICT, store_commit(txn, &last));
    assert_said("the id is taken");
    assert_ok(store_find_model(f->store, "a", &out, &last));
    assert_int_equal(out.key, key);
    assert_string_equal(out.spec, "{}");
    mem_free((void *)out.spec);
    assert_true(store_is_healthy(f->store));
}

static void key_is_never_used_again(void **state)
{
    struct fixture *f = *state;
    int64_t before = put_model(f->store, "a");
    for (int round = 0; round < 3; round++) {
        struct store_txn *txn = begin(f->store);
        store_delete_model(txn, before);
        assert_ok(store_commit(txn, &last));
        fixture_reopen(f);
        int64_t after = put_model(f->store, "a");
        assert_true(after > before);
        before = after;
    }
}

static void delete_takes_all_with_it(void **state)
{
    struct fixture *f = *state;
    int64_t doomed = put_model(f->store, "doomed"), other = put_model(f->store, "other");
    for (int64_t n = 1; n <= 2; n++) {
        assert_ok(put_batch(f->store, doomed, n, 20 * MIB * (size_t)(n - 1) + 10));
        assert_ok(put_checkpoint(f->store, doomed, n, n, 3 * MIB));
        assert_ok(put_checkpoint(f->store, doomed, 0, n, 100));
    }
    assert_ok(put_losses(f->store, doomed, 0, 3000));
    assert_ok(put_checkpoint(f->store, other, 0, 5, 100));
    struct store_txn *txn = begin(f->store);
    store_delete_model(txn, doomed);
    assert_ok(store_commit(txn, &last));
    struct store_model model;
    assert_kind(ERR_NOT_FOUND, store_find_model(f->store, "doomed", &model, &last));
    assert_kind(ERR_NOT_FOUND, put_batch(f->store, doomed, 3, 10));
    txn = begin(f->store);
    store_delete_model(txn, doomed);
    assert_kind(ERR_NOT_FOUND, store_commit(txn, &last));
    fixture_reopen(f); /* a big blob goes piece by piece: one more now, one more at the close */
    fixture_close(f);
    assert_int_equal(sql_number(f->path, "SELECT count(*) FROM batches"), 0);
    assert_int_equal(sql_number(f->path, "SELECT count(*) FROM losses"), 0);
    assert_int_equal(sql_number(f->path, "SELECT count(*) FROM checkpoints"), 1);
    assert_int_equal(sql_number(f->path, "SELECT count(*) FROM sections"), 2);
    assert_int_equal(sql_number(f->path, "SELECT count(*) FROM garbage"), 0);
    assert_int_equal(sql_number(f->path, "SELECT count(*) FROM chunks"), 2);
}

/* ---- transactions -------------------------------------------------------------------------- */

static void failed_action_undoes_all(void **state)
{
    struct fixture *f = *state;
    int64_t model = put_model(f->store, "a");
    struct store_model first = {.id = "first", .spec = ""}, again = {.id = "a", .spec = ""}, out;
    struct store_batch batch = {.n = 4, .layout = "", .data = "abc", .bytes = 3};
    double loss = 1;
    struct store_txn *txn = begin(f->store);
    store_insert_model(txn, &first);
    store_insert_batch(txn, model, &batch);
    store_replace_losses(txn, model, 0, &loss, 1);
    store_insert_model(txn, &again);
    assert_kind(ERR_CONFLICT, store_commit(txn, &last));
    assert_kind(ERR_NOT_FOUND, store_find_model(f->store, "first", &out, &last));
    int64_t checkpoint, number;
    assert_ok(store_last_numbers(f->store, model, &checkpoint, &number, &last));
    assert_int_equal(number, 0);
    fixture_close(f);
    assert_int_equal(sql_number(f->path, "SELECT count(*) FROM batches"), 0);
    assert_int_equal(sql_number(f->path, "SELECT count(*) FROM chunks"), 0);
    assert_int_equal(sql_number(f->path, "SELECT count(*) FROM losses"), 0);
}

static void dropped_transaction_leaves_nothing(void **state)
{
    struct fixture *f = *state;
    struct store_model model = {.id = "a", .spec = ""};
    struct store_txn *txn = begin(f->store);
    store_insert_model(txn, &model);
    store_txn_drop(txn);
    store_txn_drop(NULL);
    assert_kind(ERR_NOT_FOUND, store_find_model(f->store, "a", &model, &last));
    assert_ok(store_commit(begin(f->store), &last)); /* an empty one is fine */
}

static void huge_text_is_too_large(void **state)
{
    struct fixture *f = *state;
    size_t bytes = 17 * MIB;
    char *text = malloc(bytes);
    memset(text, 'x', bytes);
    text[bytes - 1] = '\0';
    struct store_model model = {.id = "a", .spec = text};
    struct store_txn *txn = begin(f->store);
    store_insert_model(txn, &model);
    assert_kind(ERR_TOO_LARGE, store_commit(txn, &last));
    free(text);
    put_model(f->store, "a");
}

/* ---- batches ------------------------------------------------------------------------------- */

struct seen {
    int count;
    int64_t n[8];
    int stop_at; /* the visit, from 1, that ends the walk; 0: none */
};

static enum err_kind see_batch(void *arg, const struct store_batch *batch, struct err *e)
{
    struct seen *seen = arg;
    assert_string_equal(batch->layout, "x");
    assert_int_equal(batch->created_at, batch->n);
    assert_filled(batch->data, batch->bytes, (uint64_t)batch->n);
    seen->n[seen->count++] = batch->n;
    if (seen->count == seen->stop_at)
        return err_set(e, ERR_INVALID, "", "enough");
    return ERR_OK;
}

static void batches_round_trip(void **state)
{
    struct fixture *f = *state;
    const size_t bytes[] = {0, 1, MIB - 1, MIB, MIB + 1, 3 * MIB + 17};
    int64_t model = put_model(f->store, "a"), other = put_model(f->store, "b");
    struct seen seen = {0};
    for (int64_t n = 6; n >= 1; n--)
        assert_ok(put_batch(f->store, model, n, bytes[n - 1]));
    assert_ok(put_batch(f->store, other, 77, 5));
    fixture_reopen(f);
    assert_ok(store_each_batch(f->store, model, see_batch, &seen, &last));
    assert_int_equal(seen.count, 6);
    for (int i = 0; i < 6; i++)
        assert_int_equal(seen.n[i], i + 1);
    seen = (struct seen){.stop_at = 2};
    assert_kind(ERR_INVALID, store_each_batch(f->store, model, see_batch, &seen, &last));
    assert_said("enough");
    assert_int_equal(seen.count, 2);
    assert_kind(ERR_NOT_FOUND, store_each_batch(f->store, other + 1, see_batch, &seen, &last));
}

static void batch_sizes_are_kept(void **state)
{
    struct fixture *f = *state;
    int64_t model = put_model(f->store, "a");
    assert_ok(put_batch(f->store, model, 1, 3 * MIB + 17));
    fixture_close(f);
    assert_int_equal(sql_number(f->path, "SELECT bytes FROM batches"), 3 * MIB + 17);
    assert_int_equal(sql_number(f->path, "SELECT count(*) FROM chunks"), 4);
    assert_int_equal(sql_number(f->path, "SELECT max(length(data)) FROM chunks"), MIB);
}

static enum err_kind delete_batch(struct store *s, int64_t model, int64_t n)
{
    struct store_txn *txn = begin(s);
    store_delete_batch(txn, model, n, 0);
    return store_commit(txn, &last);
}

static void batches_are_deleted(void **state)
{
    struct fixture *f = *state;
    int64_t model = put_model(f->store, "a");
    struct seen seen = {0};
    for (int64_t n = 1; n <= 3; n++)
        assert_ok(put_batch(f->store, model, n, 1000));
    assert_ok(delete_batch(f->store, model, 2));
    assert_kind(ERR_NOT_FOUND, delete_batch(f->store, model, 2));
    assert_kind(ERR_CONFLICT, put_batch(f->store, model, 3, 5));
    assert_ok(store_each_batch(f->store, model, see_batch, &seen, &last));
    assert_int_equal(seen.count, 2);
    assert_int_equal(seen.n[1], 3);
    fixture_close(f);
    assert_int_equal(sql_number(f->path, "SELECT count(*) FROM chunks"), 2);
}

static void numbers_are_never_used_again(void **state)
{
    struct fixture *f = *state;
    int64_t model = put_model(f->store, "a"), checkpoint, batch;
    assert_ok(store_last_numbers(f->store, model, &checkpoint, &batch, &last));
    assert_true(checkpoint == 0 && batch == 0);
    assert_ok(put_batch(f->store, model, 9, 10));
    assert_ok(put_batch(f->store, model, 4, 10));
    assert_ok(put_checkpoint(f->store, model, 3, 1, 10));
    assert_ok(put_checkpoint(f->store, model, 0, 1, 10));
    assert_ok(delete_batch(f->store, model, 9));
    struct store_txn *txn = begin(f->store);
    store_delete_checkpoint(txn, model, 3);
    assert_ok(store_commit(txn, &last));
    fixture_reopen(f);
    assert_ok(store_last_numbers(f->store, model, &checkpoint, &batch, &last));
    assert_int_equal(checkpoint, 3);
    assert_int_equal(batch, 9);
    assert_kind(ERR_NOT_FOUND, store_last_numbers(f->store, model + 1, &checkpoint, &batch, &last));
}

/* ---- checkpoints --------------------------------------------------------------------------- */

static void assert_checkpoint(const struct store_checkpoint *c, int64_t n, int64_t step,
                              size_t bytes, bool loaded)
{
    assert_int_equal(c->n, n);
    assert_int_equal(c->step, step);
    assert_int_equal(c->created_at, 1000 + step);
    assert_true(c->loss == loss_of(step));
    assert_string_equal(c->state, "{\"cursor\": 7}");
    if (n % 2)
        assert_string_equal(c->label, "odd");
    else
        assert_null(c->label);
    assert_int_equal(c->sections, 2);
    assert_string_equal(c->section[0].name, "parameters");
    assert_string_equal(c->section[1].name, "momentum");
    assert_int_equal(c->section[0].bytes, bytes);
    assert_int_equal(c->section[1].bytes, bytes / 2);
    assert_int_equal(c->bytes, bytes + bytes / 2);
    for (int i = 0; i < 2; i++) {
        if (loaded)
            assert_filled(c->section[i].data, c->section[i].bytes, (uint64_t)step);
        else
            assert_null(c->section[i].data);
    }
}

static void assert_loads(struct store *s, int64_t model, int64_t n, int64_t step, size_t bytes)
{
    struct store_checkpoint c;
    bool found, fallback;
    assert_ok(store_load_checkpoint(s, model, n, &c, &found, &fallback, &last));
    assert_true(found);
    assert_false(fallback);
    assert_checkpoint(&c, n, step, bytes, true);
    store_checkpoint_close(&c);
}

static void checkpoints_round_trip(void **state)
{
    struct fixture *f = *state;
    const size_t bytes[] = {0, 1, 3, 100000, MIB, 2 * MIB, 5 * MIB + 3};
    int64_t model = put_model(f->store, "a");
    for (int64_t n = 1; n <= 7; n++)
        assert_ok(put_checkpoint(f->store, model, n, 10 * n, bytes[n - 1]));
    fixture_reopen(f);
    for (int64_t n = 1; n <= 7; n++)
        assert_loads(f->store, model, n, 10 * n, bytes[n - 1]);
}

static void checkpoint_without_anything(void **state)
{
    struct fixture *f = *state;
    int64_t model = put_model(f->store, "a");
    struct store_checkpoint in = {.n = 1, .loss = (double)NAN, .label = "", .state = ""}, out;
    bool found, fallback;
    struct store_txn *txn = begin(f->store);
    store_save_checkpoint(txn, model, &in);
    assert_ok(store_commit(txn, &last));
    assert_ok(store_load_checkpoint(f->store, model, 1, &out, &found, &fallback, &last));
    assert_true(found && isnan(out.loss));
    assert_string_equal(out.label, "");
    assert_string_equal(out.state, "");
    assert_int_equal(out.sections, 0);
    assert_int_equal(out.bytes, 0);
    store_checkpoint_close(&out);
}

static void checkpoint_that_is_not_there(void **state)
{
    struct fixture *f = *state;
    int64_t model = put_model(f->store, "a");
    struct store_checkpoint c;
    bool found, fallback;
    for (int64_t n = 0; n <= 2; n++) {
        assert_ok(store_load_checkpoint(f->store, model, n, &c, &found, &fallback, &last));
        assert_false(found || fallback);
    }
    store_checkpoint_close(&c);
    struct store_txn *txn = begin(f->store);
    store_delete_checkpoint(txn, model, 1);
    assert_kind(ERR_NOT_FOUND, store_commit(txn, &last));
    assert_kind(ERR_NOT_FOUND, put_checkpoint(f->store, model + 1, 1, 1, 1));
}

static void checkpoints_are_listed_in_pages(void **state)
{
    struct fixture *f = *state;
    int64_t model = put_model(f->store, "a");
    struct store_checkpoint out[3];
    size_t count;
    for (int64_t n = 1; n <= 5; n++)
        assert_ok(put_checkpoint(f->store, model, n, n, 100));
    assert_ok(put_checkpoint(f->store, model, 0, 9, 100)); /* automatic: not listed */
    for (int64_t after = 0; after <= 5; after++) {
        assert_ok(store_list_checkpoints(f->store, model, after, 3, out, &count, &last));
        assert_int_equal(count, after <= 2 ? 3 : 5 - after);
        for (size_t i = 0; i < count; i++) {
            int64_t n = after + 1 + (int64_t)i;
            assert_checkpoint(&out[i], n, n, 100, false);
            store_checkpoint_close(&out[i]);
        }
    }
    struct store_txn *txn = begin(f->store);
    store_delete_checkpoint(txn, model, 2);
    assert_ok(store_commit(txn, &last));
    assert_ok(store_list_checkpoints(f->store, model, 1, 1, out, &count, &last));
    assert_int_equal(out[0].n, 3);
    store_checkpoint_close(&out[0]);
    assert_kind(ERR_CONFLICT, put_checkpoint(f->store, model, 3, 1, 1));
}

static void two_automatic_checkpoints_are_kept(void **state)
{
    struct fixture *f = *state;
    int64_t model = put_model(f->store, "a"), other = put_model(f->store, "b");
    assert_ok(put_checkpoint(f->store, other, 0, 1, 10));
    assert_ok(put_checkpoint(f->store, model, 5, 1, 10));
    /* the newest is the one saved last, not the one of the highest step */
    for (int64_t step = 20; step > 12; step--) {
        assert_ok(put_checkpoint(f->store, model, 0, step, 2 * MIB));
        assert_loads(f->store, model, 0, step, 2 * MIB);
    }
    fixture_reopen(f);
    assert_loads(f->store, model, 0, 13, 2 * MIB);
    assert_loads(f->store, model, 5, 1, 10);
    assert_loads(f->store, other, 0, 1, 10);
    fixture_close(f);
    assert_int_equal(sql_number(f->path, "SELECT count(*) FROM checkpoints WHERE n = 0"), 3);
    assert_int_equal(sql_number(f->path, "SELECT min(step) FROM checkpoints WHERE n = 0"
                                         " AND created_at > 1002"),
                     13);
    assert_int_equal(sql_number(f->path, "SELECT count(*) FROM chunks"), 2 * 3 + 4);
}

/* ---- losses -------------------------------------------------------------------------------- */

struct history {
    int64_t from, next; /* what was seen: [from, next) */
    int runs, stop_at;
};

static bool see_losses(void *arg, int64_t first, const double *loss, size_t count)
{
    struct history *h = arg;
    assert_true(count > 0);
    if (h->runs++ == 0)
        h->from = first;
    else
        assert_int_equal(first, h->next);
    for (size_t i = 0; i < count; i++)
        assert_true(loss[i] == loss_of(first + (int64_t)i));
    h->next = first + (int64_t)count;
    return h->runs != h->stop_at;
}

/* Walking [first, last_step] shows from..to - 1, or nothing if they are the same; what lies
 * beyond last_step may be shown. */
static void assert_losses(struct store *s, int64_t model, int64_t first, int64_t last_step,
                          int64_t from, int64_t to)
{
    struct history h = {0};
    assert_ok(store_each_loss(s, model, first, last_step, see_losses, &h, &last));
    assert_int_equal(h.runs > 0, from < to);
    if (from == to)
        return;
    assert_int_equal(h.from, from);
    assert_true(h.next >= (to <= last_step ? to : last_step + 1) && h.next <= to);
}

static void losses_round_trip(void **state)
{
    struct fixture *f = *state;
    int64_t model = put_model(f->store, "a");
    assert_losses(f->store, model, 0, INT64_MAX, 0, 0);
    assert_ok(put_losses(f->store, model, 1, 5000));
    for (int64_t step = 5001; step < 5040; step += 3)
        assert_ok(put_losses(f->store, model, step, 3));
    fixture_reopen(f);
    assert_losses(f->store, model, 0, INT64_MAX, 1, 5040);
    assert_losses(f->store, model, INT64_MIN, INT64_MAX, 1, 5040);
    assert_losses(f->store, model, 3000, 3000, 3000, 5040);
    assert_losses(f->store, model, 5039, 6000, 5039, 5040);
    assert_losses(f->store, model, 5040, 6000, 0, 0);
    assert_losses(f->store, model, 10, 9, 0, 0);
    struct history h = {.stop_at = 2};
    assert_ok(store_each_loss(f->store, model, 0, 5000, see_losses, &h, &last));
    assert_int_equal(h.runs, 2);
    fixture_close(f);
    /* small appends go into the last run */
    assert_int_equal(sql_number(f->path, "SELECT count(*) FROM losses"), 5);
}

static void losses_are_replaced(void **state)
{
    struct fixture *f = *state;
    int64_t model = put_model(f->store, "a"), other = put_model(f->store, "b");
    assert_ok(put_losses(f->store, other, 0, 10));
    assert_ok(put_losses(f->store, model, 0, 4000));
    assert_ok(put_losses(f->store, model, 2500, 3)); /* within a run */
    assert_losses(f->store, model, 0, INT64_MAX, 0, 2503);
    assert_ok(put_losses(f->store, model, 2048, 0)); /* only cuts, between runs */
    assert_losses(f->store, model, 0, INT64_MAX, 0, 2048);
    assert_ok(put_losses(f->store, model, 1, 0));
    assert_losses(f->store, model, 0, INT64_MAX, 0, 1);
    assert_ok(put_losses(f->store, model, 0, 0));
    assert_losses(f->store, model, 0, INT64_MAX, 0, 0);
    assert_ok(put_losses(f->store, model, 0, 1500));
    assert_losses(f->store, model, 0, INT64_MAX, 0, 1500);
    assert_losses(f->store, other, 0, INT64_MAX, 0, 10);
}

/* New values, not the old ones again. */
static void replaced_losses_are_the_new_ones(void **state)
{
    struct fixture *f = *state;
    int64_t model = put_model(f->store, "a");
    double wrong[3000];
    for (int i = 0; i < 3000; i++)
        wrong[i] = -1;
    struct store_txn *txn = begin(f->store);
    store_replace_losses(txn, model, 0, wrong, 3000);
    assert_ok(store_commit(txn, &last));
    assert_ok(put_losses(f->store, model, 0, 3000));
    assert_losses(f->store, model, 0, INT64_MAX, 0, 3000);
}

static bool see_gap(void *arg, int64_t first, const double *loss, size_t count)
{
    int64_t *firsts = arg;
    assert_true(loss[count - 1] == loss_of(first + (int64_t)count - 1));
    for (; *firsts; firsts++)
        ;
    *firsts = first;
    return true;
}

static void losses_may_have_a_gap(void **state)
{
    struct fixture *f = *state;
    int64_t model = put_model(f->store, "a"), firsts[4] = {0};
    assert_ok(put_losses(f->store, model, 5, 10));
    assert_ok(put_losses(f->store, model, 100, 10));
    assert_ok(store_each_loss(f->store, model, 7, 1000, see_gap, firsts, &last));
    assert_int_equal(firsts[0], 7);
    assert_int_equal(firsts[1], 100);
    assert_int_equal(firsts[2], 0);
    assert_losses(f->store, model, 50, 1000, 100, 110);
    assert_losses(f->store, model, 20, 99, 0, 0);
    assert_kind(ERR_INVALID, put_losses(f->store, model, -1, 1));
    assert_kind(ERR_INVALID, put_losses(f->store, model, INT64_MAX, 1));
}

static bool see_bits(void *arg, int64_t first, const double *loss, size_t count)
{
    (void)first;
    assert_int_equal(count, 5);
    assert_memory_equal(loss, arg, 5 * sizeof *loss);
    return true;
}

static void losses_keep_their_bits(void **state)
{
    struct fixture *f = *state;
    int64_t model = put_model(f->store, "a");
    double loss[5] = {(double)NAN, (double)INFINITY, -0.0, 5e-324, 0.1};
    struct store_txn *txn = begin(f->store);
    store_replace_losses(txn, model, 0, loss, 5);
    assert_ok(store_commit(txn, &last));
    assert_ok(store_each_loss(f->store, model, 0, 5, see_bits, loss, &last));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(model_round_trip),
        TEST(models_are_listed_in_pages),
        TEST(taken_id_is_a_conflict),
        TEST(key_is_never_used_again),
        TEST(delete_takes_all_with_it),
        TEST(failed_action_undoes_all),
        TEST(dropped_transaction_leaves_nothing),
        TEST(huge_text_is_too_large),
        TEST(batches_round_trip),
        TEST(batch_sizes_are_kept),
        TEST(batches_are_deleted),
        TEST(numbers_are_never_used_again),
        TEST(checkpoints_round_trip),
        TEST(checkpoint_without_anything),
        TEST(checkpoint_that_is_not_there),
        TEST(checkpoints_are_listed_in_pages),
        TEST(two_automatic_checkpoints_are_kept),
        TEST(losses_round_trip),
        TEST(losses_are_replaced),
        TEST(replaced_losses_are_the_new_ones),
        TEST(losses_may_have_a_gap),
        TEST(losses_keep_their_bits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
