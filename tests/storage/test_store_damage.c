#include "tests/storage/store_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/mem.h"
#include "storage/checksum.h"

#define MIB ((size_t)1 << 20)

static enum err_kind load(struct store *s, int64_t model, int64_t n, int64_t *step, bool *fallback)
{
    struct store_checkpoint c;
    bool found;
    enum err_kind rc = store_load_checkpoint(s, model, n, &c, &found, fallback, &last);
    *step = found ? c.step : -1;
    store_checkpoint_close(&c);
    return rc;
}

/* ---- chunks -------------------------------------------------------------------------------- */

/* What may happen to a batch of three chunks, 1 to 3. Each must be noticed. */
static const char *const chunk_damages[] = {
    "DELETE FROM chunks WHERE key = 2",
    "DELETE FROM chunks WHERE key = 3", /* the last */
    "UPDATE chunks SET key = 99 WHERE key = 2",
    "UPDATE chunks SET data = substr(data, 1, 1048575) WHERE key = 2",
    "UPDATE chunks SET data = CAST(data || x'00' AS BLOB) WHERE key = 3",
    "UPDATE chunks SET data = zeroblob(1048576) WHERE key = 2",
    "UPDATE chunks SET data = CAST(x'01' || substr(data, 2) AS BLOB) WHERE key = 1",
    "UPDATE chunks SET digest = digest + 1 WHERE key = 2",
    /* two swapped with their checksums */
    ("UPDATE chunks SET key = 77 WHERE key = 1; UPDATE chunks SET key = 1 WHERE key = 2;"
     "UPDATE chunks SET key = 2 WHERE key = 77;"),
    "UPDATE batches SET first_chunk = 2",
    "UPDATE batches SET bytes = 1048576",
    "UPDATE batches SET digest = digest + 1",
    "UPDATE batches SET layout = 'y'",
    "UPDATE batches SET created_at = 8",
    "UPDATE batches SET n = 4",
    "DELETE FROM batches",
    "UPDATE batches SET seal = seal + 1",
    "UPDATE models SET batch_roll = 3 WHERE id = 'digits'",
    "UPDATE models SET last_batch = 2 WHERE id = 'digits'",
};

static enum err_kind ignore_batch(void *arg, const struct store_batch *batch, struct err *e)
{
    (void)arg, (void)batch, (void)e;
    return ERR_OK;
}

static void damaged_batch(void **state)
{
    struct fixture *f = *state;
    char whole[96];
    int64_t model = put_model(f->store, "digits");
    assert_ok(put_batch(f->store, model, 3, 2 * MIB + 5));
    int64_t other = put_model(f->store, "other");
    assert_ok(put_checkpoint(f->store, other, 1, 4, 100));
    fixture_close(f);
    snprintf(whole, sizeof whole, "%s/whole", f->folder);
    copy_file(f->path, whole);
    for (size_t i = 0; i < sizeof chunk_damages / sizeof chunk_damages[0]; i++) {
        int64_t step;
        bool fallback;
        copy_file(whole, f->path);
        sql_run(f->path, chunk_damages[i]);
        fixture_open(f);
        assert_kind(ERR_IO, store_each_batch(f->store, model, ignore_batch, NULL, &last));
        assert_said("model \"digits\"");
        assert_true(store_is_healthy(f->store));
        /* the other model is served, the damaged one can be deleted */
        assert_ok(load(f->store, other, 1, &step, &fallback));
        assert_int_equal(step, 4);
        struct store_txn *txn = begin(f->store);
        store_delete_model(txn, model);
        assert_ok(store_commit(txn, &last));
        assert_ok(load(f->store, other, 1, &step, &fallback));
        assert_int_equal(step, 4);
        fixture_close(f);
    }
}

/* A file cut within its last page opens; what was there is found damaged, or whole. */
static enum err_kind check_batch(void *arg, const struct store_batch *batch, struct err *e)
{
    (void)arg, (void)e;
    assert_filled(batch->data, batch->bytes, (uint64_t)batch->n);
    return ERR_OK;
}

static void cut_in_the_last_page(void **state)
{
    struct fixture *f = *state;
    size_t bytes, cuts = 0;
    int64_t model = put_model(f->store, "a");
    assert_ok(put_batch(f->store, model, 1, 200000));
    fixture_close(f);
    unsigned char *whole = read_file(f->path, &bytes);
    for (size_t cut = 1; cut < 4096; cut += 333) {
        write_file(f->path, whole, bytes - cut);
        fixture_open(f);
        enum err_kind rc = store_each_batch(f->store, model, check_batch, NULL, &last);
        assert_true(rc == ERR_OK || rc == ERR_IO);
        cuts += rc == ERR_IO;
        fixture_close(f);
    }
    assert_true(cuts > 0);
    free(whole);
}

/* ---- checkpoints --------------------------------------------------------------------------- */

/* Damages to the automatic checkpoint with serial 3, the newest. */
static const char *const newest_damages[] = {
    "UPDATE chunks SET data = CAST(x'ff' || substr(data, 2) AS BLOB) WHERE key ="
    " (SELECT first_chunk FROM sections WHERE serial = 3 AND place = 0)",
    "DELETE FROM chunks WHERE key = (SELECT first_chunk FROM sections WHERE serial = 3"
    " AND place = 1)",
    "UPDATE sections SET bytes = bytes - 1 WHERE serial = 3 AND place = 1",
    "UPDATE sections SET name = 'momentun' WHERE serial = 3 AND place = 1",
    "UPDATE sections SET place = 9 WHERE serial = 3 AND place = 1",
    "DELETE FROM sections WHERE serial = 3 AND place = 1",
    "DELETE FROM sections WHERE serial = 3",
    "UPDATE checkpoints SET step = step + 1 WHERE serial = 3",
    "UPDATE checkpoints SET loss = loss + 1 WHERE serial = 3",
    "UPDATE checkpoints SET loss = NULL WHERE serial = 3",
    "UPDATE checkpoints SET label = '' WHERE serial = 3",
    "UPDATE checkpoints SET state = '' WHERE serial = 3",
    "UPDATE checkpoints SET created_at = 0 WHERE serial = 3",
    "UPDATE checkpoints SET serial = 4 WHERE serial = 3",
    "UPDATE checkpoints SET n = 1 WHERE serial = 3",
    "DELETE FROM checkpoints WHERE serial = 3",
};

static void damaged_automatic_checkpoint(void **state)
{
    struct fixture *f = *state;
    char whole[96];
    int64_t model = put_model(f->store, "a"), step;
    bool fallback;
    for (int64_t i = 1; i <= 3; i++)
        assert_ok(put_checkpoint(f->store, model, 0, 10 * i, 1000));
    fixture_close(f);
    snprintf(whole, sizeof whole, "%s/whole", f->folder);
    copy_file(f->path, whole);
    for (size_t i = 0; i < sizeof newest_damages / sizeof newest_damages[0]; i++) {
        copy_file(whole, f->path);
        sql_run(f->path, newest_damages[i]);
        fixture_open(f);
        assert_ok(load(f->store, model, 0, &step, &fallback));
        assert_int_equal(step, 20);
        assert_true(fallback);
        /* the next one is fine again, and the one before it is forgotten in time */
        for (int64_t next = 40; next <= 60; next += 10) {
            assert_ok(put_checkpoint(f->store, model, 0, next, 1000));
            assert_ok(load(f->store, model, 0, &step, &fallback));
            assert_int_equal(step, next);
            assert_false(fallback);
        }
        fixture_close(f);
    }
}

static void both_automatic_checkpoints_damaged(void **state)
{
    struct fixture *f = *state;
    int64_t model = put_model(f->store, "digits"), step;
    bool fallback;
    assert_ok(put_checkpoint(f->store, model, 0, 1, 1000));
    assert_ok(put_checkpoint(f->store, model, 0, 2, 1000));
    fixture_close(f);
    sql_run(f->path, "UPDATE chunks SET data = zeroblob(length(data))");
    fixture_open(f);
    assert_kind(ERR_IO, load(f->store, model, 0, &step, &fallback));
    assert_said("model \"digits\": automatic checkpoint: section \"parameters\"");
}

static void damaged_client_checkpoint(void **state)
{
    struct fixture *f = *state;
    int64_t model = put_model(f->store, "digits"), step;
    struct store_checkpoint out[4];
    size_t count;
    bool fallback;
    for (int64_t n = 1; n <= 3; n++)
        assert_ok(put_checkpoint(f->store, model, n, n, 1000));
    fixture_close(f);
    sql_run(f->path, "UPDATE checkpoints SET step = 9 WHERE n = 1;"
                     "UPDATE checkpoints SET n = 4 WHERE n = 2; UPDATE sections SET n = 4 WHERE"
                     " n = 2;");
    fixture_open(f);
    assert_kind(ERR_IO, load(f->store, model, 1, &step, &fallback));
    assert_said("model \"digits\": checkpoint 1");
    assert_kind(ERR_IO, load(f->store, model, 2, &step, &fallback)); /* missing */
    assert_kind(ERR_IO, load(f->store, model, 4, &step, &fallback));
    assert_kind(ERR_IO, store_list_checkpoints(f->store, model, 0, 4, out, &count, &last));
    assert_int_equal(count, 0);
    assert_ok(load(f->store, model, 3, &step, &fallback));
    /* the damaged one can be deleted, and what is left is served */
    struct store_txn *txn = begin(f->store);
    store_delete_checkpoint(txn, model, 1);
    assert_ok(store_commit(txn, &last));
    assert_ok(load(f->store, model, 3, &step, &fallback));
    assert_int_equal(step, 3);
}

/* ---- losses -------------------------------------------------------------------------------- */

static const char *const loss_damages[] = {
    "DELETE FROM losses WHERE first = 0",
    "DELETE FROM losses WHERE first = 1024",
    "DELETE FROM losses WHERE first = 2048", /* the last */
    "DELETE FROM losses",
    "UPDATE losses SET data = substr(data, 1, length(data) - 8) WHERE first = 2048",
    "UPDATE losses SET data = zeroblob(length(data)) WHERE first = 1024",
    "UPDATE losses SET first = 1025 WHERE first = 1024",
    "UPDATE losses SET prior = 0 WHERE first = 2048",
    "UPDATE models SET loss_end = 2048",
};

static bool check_losses(void *arg, int64_t first, const double *loss, size_t count)
{
    (void)arg;
    for (size_t i = 0; i < count; i++)
        assert_true(loss[i] == loss_of(first + (int64_t)i));
    return true;
}

static void damaged_losses(void **state)
{
    struct fixture *f = *state;
    char whole[96];
    int64_t model = put_model(f->store, "digits");
    assert_ok(put_losses(f->store, model, 0, 2500));
    fixture_close(f);
    snprintf(whole, sizeof whole, "%s/whole", f->folder);
    copy_file(f->path, whole);
    for (size_t i = 0; i < sizeof loss_damages / sizeof loss_damages[0]; i++) {
        copy_file(whole, f->path);
        sql_run(f->path, loss_damages[i]);
        fixture_open(f);
        assert_kind(ERR_IO,
                    store_each_loss(f->store, model, 0, INT64_MAX, check_losses, NULL, &last));
        assert_said("model \"digits\"");
        fixture_close(f);
    }
}

/* ---- models -------------------------------------------------------------------------------- */

static void damaged_model(void **state)
{
    static const char *const damages[] = {
        "UPDATE models SET spec = spec || ' '", "UPDATE models SET created_at = 2",
        "UPDATE models SET id = 'b'",           "UPDATE models SET key = 7",
        "UPDATE models SET spec_digest = 1",
    };
    struct fixture *f = *state;
    struct store_model model;
    put_model(f->store, "a");
    fixture_close(f);
    for (size_t i = 0; i < sizeof damages / sizeof damages[0]; i++) {
        char whole[96];
        snprintf(whole, sizeof whole, "%s/whole", f->folder);
        copy_file(f->path, whole);
        sql_run(f->path, damages[i]);
        fixture_open(f);
        assert_kind(ERR_IO, store_find_model(f->store, i == 2 ? "b" : "a", &model, &last));
        assert_said("damaged");
        fixture_close(f);
        copy_file(whole, f->path);
    }
}

/* ---- the sweep ----------------------------------------------------------------------------- */

/* A digest of all that the store gives for a model, or the error on the way. */
struct dump {
    uint32_t digest;
    bool fallback; /* the automatic checkpoint is an older one, and says so */
};

static void add_checkpoint(struct dump *d, const struct store_checkpoint *c)
{
    d->digest = checksum_i64(checksum_i64(d->digest, c->n), c->step);
    d->digest = checksum_text(checksum_text(d->digest, c->label), c->state);
    d->digest = checksum_i64(checksum_f64(d->digest, c->loss), c->created_at);
    for (int i = 0; i < c->sections; i++) {
        d->digest = checksum_text(d->digest, c->section[i].name);
        if (c->section[i].data)
            d->digest = checksum(d->digest, c->section[i].data, c->section[i].bytes);
    }
}

static enum err_kind add_batch(void *arg, const struct store_batch *batch, struct err *e)
{
    struct dump *d = arg;
    (void)e;
    d->digest = checksum_i64(checksum_i64(d->digest, batch->n), batch->created_at);
    d->digest = checksum(checksum_text(d->digest, batch->layout), batch->data, batch->bytes);
    return ERR_OK;
}

static bool add_losses(void *arg, int64_t first, const double *loss, size_t count)
{
    struct dump *d = arg;
    d->digest = checksum_i64(d->digest, first);
    for (size_t i = 0; i < count; i++)
        d->digest = checksum_f64(d->digest, loss[i]);
    return true;
}

static enum err_kind dump_checkpoint(struct store *s, int64_t model, int64_t n, struct dump *d)
{
    struct store_checkpoint c;
    bool found, fallback;
    enum err_kind rc = store_load_checkpoint(s, model, n, &c, &found, &fallback, &last);
    d->fallback |= fallback;
    d->digest = checksum_i64(d->digest, found);
    if (found && !fallback)
        add_checkpoint(d, &c);
    store_checkpoint_close(&c);
    return rc;
}

static enum err_kind dump_list(struct store *s, int64_t model, struct dump *d)
{
    struct store_checkpoint c[4];
    size_t count;
    enum err_kind rc = store_list_checkpoints(s, model, 0, 4, c, &count, &last);
    for (size_t i = 0; i < count; i++) {
        add_checkpoint(d, &c[i]);
        store_checkpoint_close(&c[i]);
    }
    return rc;
}

static enum err_kind dump_model(struct store *s, const char *id, struct dump *d)
{
    struct store_model m;
    int64_t checkpoint, batch;
    enum err_kind rc = store_find_model(s, id, &m, &last);
    if (rc)
        return rc;
    d->digest = checksum_text(checksum_text(d->digest, m.id), m.spec);
    d->digest = checksum_i64(checksum_i64(d->digest, m.key), m.created_at);
    mem_free((void *)m.spec);
    for (int64_t n = 0; !rc && n <= 3; n++)
        rc = dump_checkpoint(s, m.key, n, d);
    if (rc || (rc = dump_list(s, m.key, d)) ||
        (rc = store_each_batch(s, m.key, add_batch, d, &last)) ||
        (rc = store_each_loss(s, m.key, 0, INT64_MAX, add_losses, d, &last)) ||
        (rc = store_last_numbers(s, m.key, &checkpoint, &batch, &last)))
        return rc;
    d->digest = checksum_i64(checksum_i64(d->digest, checkpoint), batch);
    return ERR_OK;
}

/* Two models; *refused: the file was not opened, or some call said that it is damaged. */
static struct dump dump_store(const char *path, bool *refused)
{
    struct dump d = {0};
    struct store *s;
    char ids[4][STORE_ID_BYTES];
    size_t count;
    enum err_kind rc = store_open(path, &anywhere, &s, &last);
    if (!rc && !(rc = store_list_models(s, "", 4, ids, &count, &last)))
        for (size_t i = 0; i < count; i++)
            d.digest = checksum_text(d.digest, ids[i]);
    if (!rc && !(rc = dump_model(s, "digits", &d)))
        rc = dump_model(s, "iris", &d);
    store_close(s);
    *refused = rc != ERR_OK;
    if (rc && rc != ERR_IO)
        fail_msg("damage is an IO error, not %s: %s", err_slug(rc), last.message);
    return d;
}

static void fill_for_sweep(struct fixture *f)
{
    const char *ids[] = {"digits", "iris"};
    for (int i = 0; i < 2; i++) {
        int64_t model = put_model(f->store, ids[i]);
        for (int64_t n = 1; n <= 3; n++) {
            assert_ok(put_batch(f->store, model, n, 300));
            assert_ok(put_checkpoint(f->store, model, n, 10 * n, 200));
            assert_ok(put_checkpoint(f->store, model, 0, 10 * n + 5, 200));
        }
        assert_ok(put_losses(f->store, model, 1, 40));
    }
    fixture_close(f);
}

/* Flips single bits of the file, each time another one, mostly where the file is not empty, and
 * reads everything: it is refused, or told, or all as it was. */
static void flipped_bits_never_pass(void **state)
{
    struct fixture *f = *state;
    const char *flips_asked = getenv("GRADD_TEST_FLIPS");
    int flips = flips_asked ? atoi(flips_asked) : 120, noticed = 0;
    bool refused;
    size_t bytes;
    uint64_t random[2];
    fill_for_sweep(f);
    const struct dump whole = dump_store(f->path, &refused);
    assert_false(refused || whole.fallback);
    unsigned char *file = read_file(f->path, &bytes);
    for (int i = 0; i < flips; i++) {
        fill(random, sizeof random, (uint64_t)i);
        size_t at = (size_t)(random[0] % bytes);
        while (at + 1 < bytes && file[at] == 0 && i % 10)
            at++;
        unsigned char bit = (unsigned char)(1 << random[1] % 8);
        file[at] ^= bit;
        write_file(f->path, file, bytes);
        file[at] ^= bit;
        struct dump d = dump_store(f->path, &refused);
        if (!refused && !d.fallback && d.digest != whole.digest)
            fail_msg("bit %d at %zu was not noticed", bit, at);
        noticed += refused || d.fallback;
    }
    free(file);
    print_message("%d of %d flips told, the others without effect\n", noticed, flips);
    assert_true(noticed > flips / 4);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(damaged_batch),
        TEST(cut_in_the_last_page),
        TEST(damaged_automatic_checkpoint),
        TEST(both_automatic_checkpoints_damaged),
        TEST(damaged_client_checkpoint),
        TEST(damaged_losses),
        TEST(damaged_model),
        TEST(flipped_bits_never_pass),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
