/* The disk fails, or is full, in the middle of a saga: at its n-th write, sync, truncation or read,
 * once or for ever, for every n. Nothing is acknowledged that is not there when the file is opened
 * again; a full disk is waited out without a restart.
 *
 *     test_disk            some n of all, as a test
 *     test_disk K          the n that leave K when divided by SLICES; exit status 0: it went well
 */
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/api/saga.h"
#include "tests/storage/fault_vfs.h"

#define DRAWS  40
#define SLICES 100

static struct client *new_client(void)
{
    struct client *c = client_new("auto");
    client_close(c);
    unlink(c->path);
    c->config.checkpoint_seconds = 0;
    return c;
}

static int status_of(struct client *c, const char *method, const char *target)
{
    struct reply r;
    client_exchange(c->api, c->scratch, 0, &(struct request){.method = method, .target = target},
                    &r);
    int status = r.status;
    reply_close(&r);
    return status;
}

static void expect_status(struct client *c, const char *target, int status)
{
    int is = status_of(c, "GET", target);
    if (is != status)
        fail_msg("GET %s: %d, not %d", target, is, status);
}

/* Every line that is no 503 is what the model looks like at some moment from low to high. */
static void check_reads(const struct saga *s, struct client *c, size_t low, size_t high)
{
    for (int m = 0; m < SAGA_MODELS; m++) {
        char *is = saga_look(c, s->id[m]);
        bool fine = m == SAGA_LOOSE;
        for (size_t i = low; i <= high && !fine; i++) {
            const char *a = is, *b = s->moment[i][m];
            fine = true;
            while (*a && *b && fine) {
                size_t n = strcspn(a, "\n") + 1, k = strcspn(b, "\n") + 1;
                fine = !strncmp(a, "503 ", 4) || (n == k && !memcmp(a, b, n));
                a += n;
                b += k;
            }
        }
        if (!fine)
            fail_msg("%s: %.3000s", s->id[m], is);
        free(is);
    }
}

/* ---- a disk that fails --------------------------------------------------------------------- */

/* What such a model is asked is done, and promised to be kept some time. */
static bool has_no_journal(const struct saga *s, size_t moment, int m)
{
    return strstr(s->moment[moment][m], "\"durability\":\"none\"") != NULL;
}

/* From act `failed` on nothing is acknowledged any more, and the daemon says so. */
static void check_refusing(const struct saga *s, struct client *c, size_t failed)
{
    expect_status(c, "/healthz", 200);
    expect_status(c, "/readyz", 503);
    check_reads(s, c, s->act[failed].begin, s->act[failed].end);
    for (size_t i = failed; i < s->acts && i < failed + 8; i++) {
        struct reply r;
        if (s->act[i].kind != ACT_CALL || has_no_journal(s, s->act[failed].begin, s->act[i].model))
            continue;
        saga_play(s, i, c, 0, &r);
        if (r.status < 400)
            fail_msg("act %zu was acknowledged after act %zu had failed", i, failed);
        reply_close(&r);
    }
    expect_status(c, "/readyz", 503);
}

/* Plays acts until one is not answered as it should be: that has failed. */
static size_t play_until_failed(const struct saga *s, struct client *c)
{
    struct err e;
    if (client_try_open(c, &e) != ERR_OK)
        return 0;
    for (size_t i = 0; i < s->acts; i++) {
        struct reply r;
        saga_play(s, i, c, 0, &r);
        bool right = saga_is_answer(&s->act[i], &r);
        if (!right && r.status != 503)
            fail_msg("act %zu: %d %.300s", i, r.status, r.text ? r.text : "");
        reply_close(&r);
        if (!right)
            return i;
    }
    return s->acts;
}

/* Returns whether the nth call was reached. */
static bool fail_at(const struct saga *s, unsigned calls, long nth, bool forever, int code)
{
    struct client *c = new_client();
    struct err e;
    fault_vfs_arm(calls, nth, forever, code);
    size_t failed = play_until_failed(s, c);
    if (c->api && failed < s->acts && s->act[failed].kind == ACT_CALL)
        check_refusing(s, c, failed);
    if (c->api)
        (void)client_try_close(c, &e);
    bool reached = fault_vfs_disarm();
    client_open(c);
    size_t low = failed ? s->act[failed - 1].end : 0;
    size_t high = failed < s->acts ? s->act[failed].end : low;
    saga_check_loose(s, c, high);
    saga_go_on(s, c, saga_find(s, c, low, high));
    client_reopen(c);
    saga_find(s, c, s->moments - 1, s->moments - 1);
    client_free(c);
    return reached;
}

/* ---- a full disk --------------------------------------------------------------------------- */

/* While it is full: everything is read, forward too, and of act i nothing but slices was kept; the
 * daemon is ready. */
static size_t check_full(const struct saga *s, struct client *c, size_t i)
{
    size_t moment = saga_find(s, c, s->act[i].begin, s->act[i].end - 1);
    expect_status(c, "/readyz", 200);
    return moment;
}

/* What "loose" did since its last checkpoint is lost when a stop finds the disk full. */
static bool is_right(const struct act *a, const struct reply *r)
{
    return saga_is_answer(a, r) || (a->model == SAGA_LOOSE && r->status != 507);
}

/* There is space again: the rest of act i, by the same client. */
static void play_again(const struct saga *s, struct client *c, size_t i, size_t moment)
{
    const struct act *a = &s->act[i];
    struct reply r;
    int64_t left = moment > a->begin ? a->steps - (int64_t)(moment - a->begin) : 0;
    saga_play(s, i, c, left, &r);
    if (left ? r.status != a->status : !is_right(a, &r))
        fail_msg("act %zu, again: %d %.600s", i, r.status, r.text ? r.text : "");
    reply_close(&r);
}

/* Plays act i while the disk may be full; true: it was. Later there is space again. */
static bool play_full(const struct saga *s, struct client *c, size_t i, bool forever)
{
    struct reply r;
    saga_play(s, i, c, 0, &r);
    bool right = is_right(&s->act[i], &r);
    if (!right && r.status != 507)
        fail_msg("act %zu: %d %.300s", i, r.status, r.text ? r.text : "");
    reply_close(&r);
    if (right)
        return false;
    if (!c->api) { /* a daemon that could not start: it is started again */
        fault_vfs_disarm();
        client_open(c);
    }
    size_t moment = check_full(s, c, i);
    if (forever && !strncmp(s->moment[moment][0], "200", 3)) {
        int status = status_of(c, "DELETE", "/models/safe");
        if (status != 507)
            fail_msg("act %zu had no space, a DELETE is answered %d", i, status);
    }
    fault_vfs_disarm();
    play_again(s, c, i, moment);
    return true;
}

static bool full_at(const struct saga *s, long nth, bool forever)
{
    struct client *c = new_client();
    struct err e;
    fault_vfs_arm(FAULT_WRITE, nth, forever, SQLITE_FULL);
    if (client_try_open(c, &e) != ERR_OK) {
        assert_int_equal(e.kind, ERR_FULL);
        fault_vfs_disarm();
        client_open(c);
    }
    for (size_t i = 0; i < s->acts; i++)
        play_full(s, c, i, forever);
    saga_find(s, c, s->moments - 1, s->moments - 1);
    bool reached = fault_vfs_disarm();
    client_reopen(c);
    saga_find(s, c, s->moments - 1, s->moments - 1);
    client_free(c);
    return reached;
}

/* ---- the tests ----------------------------------------------------------------------------- */

struct sweep {
    unsigned calls;
    bool forever;
    int code;
    long stride; /* of the short form: about ten places */
};

static const struct sweep sweeps[] = {
    {FAULT_WRITE | FAULT_TRUNCATE, false, SQLITE_IOERR_WRITE, 90},
    {FAULT_WRITE | FAULT_TRUNCATE, true, SQLITE_IOERR_WRITE, 90},
    {FAULT_SYNC, false, SQLITE_IOERR_FSYNC, 3},
    {FAULT_SYNC, true, SQLITE_IOERR_FSYNC, 3},
    {FAULT_READ, false, SQLITE_IOERR_READ, 18},
    {FAULT_READ, true, SQLITE_IOERR_READ, 18},
    {FAULT_WRITE, false, SQLITE_FULL, 90},
    {FAULT_WRITE, true, SQLITE_FULL, 90},
};

/* Returns how many places were tried. */
static int run_sweep(const struct saga *s, const struct sweep *w, long first, long stride)
{
    int places = 0;
    for (long nth = first; places < 1000000; nth += stride, places++) {
        bool reached = w->code == SQLITE_FULL ? full_at(s, nth, w->forever)
                                              : fail_at(s, w->calls, nth, w->forever, w->code);
        if (!reached)
            break;
    }
    return places;
}

static void test_every_call_fails(void **state)
{
    (void)state;
    struct saga *s = saga_new(3, DRAWS);
    for (size_t i = 0; i < sizeof sweeps / sizeof *sweeps; i++) {
        int places = run_sweep(s, &sweeps[i], 1 + (long)i, sweeps[i].stride);
        print_message("sweep %zu: %d places\n", i, places);
        assert_true(places >= 4);
    }
    saga_free(s);
}

/* The same client, a hundred times. */
static void test_full_and_free(void **state)
{
    int cycles = 0;
    (void)state;
    for (uint64_t seed = 1; cycles < 100; seed++) {
        struct saga *s = saga_new(seed, 2 * DRAWS);
        struct client *c = new_client();
        client_open(c);
        for (size_t i = 0; i < s->acts; i++) {
            fault_vfs_arm(FAULT_WRITE, 1 + (long)(i % 7), i % 3 != 0, SQLITE_FULL);
            cycles += play_full(s, c, i, false);
            fault_vfs_disarm();
        }
        saga_find(s, c, s->moments - 1, s->moments - 1);
        client_reopen(c);
        saga_find(s, c, s->moments - 1, s->moments - 1);
        client_free(c);
        saga_free(s);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_call_fails),
        cmocka_unit_test(test_full_and_free),
    };
    fault_vfs_install();
    if (argc > 1) { /* a failed assertion ends the process */
        long k = strtol(argv[1], NULL, 10) % SLICES;
        struct saga *s = saga_new(1 + (uint64_t)k % 5, DRAWS);
        for (size_t i = 0; i < sizeof sweeps / sizeof *sweeps; i++)
            run_sweep(s, &sweeps[i], 1 + k, SLICES);
        saga_free(s);
        return 0;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
