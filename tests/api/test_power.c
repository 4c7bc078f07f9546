/* The power goes in the middle of a saga: what was promised to be safe is there, and what is there
 * is one of the saga's moments. A process works until its disk loses the power at some write, sync
 * or truncation; another one looks at what the disk has then, and goes on from there.
 *
 *     test_power           a few seeds, as a test
 *     test_power SEED      that one; exit status 0: it went well
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/api/saga.h"
#include "tests/storage/fault_vfs.h"

#define SEEDS          30
#define SEEDS_PER_SAGA 10
#define DRAWS          60

/* ---- the child: works until the power goes ------------------------------------------------- */

/* Told after an act was answered. */
struct word {
    int64_t act;     /* this one; -1: all have been played, and the store is closed */
    int64_t syncs;   /* so far */
    int64_t changes; /* of the disk, so far */
};

static void tell(int pipe, int64_t act)
{
    struct word w = {act, fault_vfs_syncs(), fault_vfs_changes()};
    if (write(pipe, &w, sizeof w) != sizeof w)
        _exit(1);
}

static _Noreturn void give_up(size_t i, const char *what, const char *text)
{
    fprintf(stderr, "act %zu: %s: %.1000s\n", i, what, text ? text : "");
    _exit(1);
}

/* nth 0: the power holds. */
static _Noreturn void live(const struct saga *s, struct client *c, int pipe, long nth,
                           uint64_t seed)
{
    struct err e = {.kind = ERR_OK};
    fault_vfs_remember();
    fault_vfs_lose_power(nth, seed);
    if (client_try_open(c, &e) != ERR_OK)
        give_up(0, "it cannot be opened", e.message);
    for (size_t i = 0; i < s->acts; i++) {
        struct reply r;
        saga_play(s, i, c, 0, &r);
        if (!saga_is_answer(&s->act[i], &r))
            give_up(i, "another answer", r.text);
        reply_close(&r);
        tell(pipe, (int64_t)i);
    }
    if (client_try_close(c, &e) != ERR_OK)
        give_up(s->acts, "it cannot be closed", e.message);
    tell(pipe, -1);
    _exit(0);
}

/* ---- the parent: looks at what is left ----------------------------------------------------- */

/* What the child said: the store has a moment from `safe` to `high`. */
struct heard {
    size_t safe, high;
    int64_t answered; /* acts */
    struct word last;
};

/* What was written before a sync that has succeeded is safe, and so is what a model of durability
 * "power" was answered. */
static struct heard listen(const struct saga *s, int pipe)
{
    struct heard h = {.high = s->act[0].end, .last.act = -2};
    struct word w;
    size_t end = 0; /* the moment of the last answer */
    while (read(pipe, &w, sizeof w) == sizeof w) {
        if (w.syncs > h.last.syncs)
            h.safe = end; /* at least: that answer was there before the sync */
        h.last = w;
        if (w.act < 0) {
            h.safe = h.high = s->moments - 1;
            break;
        }
        end = s->act[w.act].end;
        h.answered = w.act + 1;
        if (s->act[w.act].synced)
            h.safe = end;
        h.high = w.act + 1 < (int64_t)s->acts ? s->act[w.act + 1].end : end;
    }
    return h;
}

static struct heard run_child(const struct saga *s, struct client *c, long nth, uint64_t seed)
{
    int pipes[2], status;
    assert_int_equal(pipe(pipes), 0);
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        live(s, c, pipes[1], nth, seed);
    close(pipes[1]);
    struct heard h = listen(s, pipes[0]);
    close(pipes[0]);
    assert_int_equal(waitpid(child, &status, 0), child);
    if (!WIFEXITED(status) || WEXITSTATUS(status))
        fail_msg("seed %llu: the process did not end by itself", (unsigned long long)seed);
    return h;
}

/* A client over nothing, still closed. */
static struct client *new_client(void)
{
    struct client *c = client_new("auto");
    client_close(c);
    unlink(c->path);
    c->config.checkpoint_seconds = 0;
    return c;
}

/* The saga that the seed belongs to, and how often it changes the disk. */
static const struct saga *saga_of(uint64_t seed, long *changes)
{
    static struct saga *s;
    static long s_changes;
    uint64_t number = 1 + (seed - 1) / SEEDS_PER_SAGA;
    if (!s || s->seed != number) {
        saga_free(s);
        s = saga_new(number, DRAWS);
        struct client *c = new_client();
        s_changes = (long)run_child(s, c, 0, 0).last.changes;
        client_free(c);
    }
    *changes = s_changes;
    return s;
}

/* Some go right away, while the file is made. */
static long when(uint64_t seed, long changes)
{
    uint64_t random = seed * 0x9e3779b97f4a7c15u;
    random ^= random >> 29;
    return 1 + (long)(random % (uint64_t)(seed % 5 ? changes : 60));
}

/* Returns how many acts were answered. */
static int64_t lose_power(uint64_t seed)
{
    long changes;
    const struct saga *s = saga_of(seed, &changes);
    struct client *c = new_client();
    struct heard h = run_child(s, c, when(seed, changes), seed);
    client_open(c);
    size_t moment = saga_find(s, c, h.safe, h.high);
    saga_check_loose(s, c, h.high);
    print_message("seed %llu: %lld acts were answered, moment %zu is safe, %zu is there\n",
                  (unsigned long long)seed, (long long)h.answered, h.safe, moment);
    saga_go_on(s, c, moment);
    client_close(c);
    client_open(c);
    assert_int_equal(saga_find(s, c, s->moments - 1, s->moments - 1), s->moments - 1);
    client_free(c);
    return h.answered;
}

static void test_power_goes_at_any_time(void **state)
{
    int64_t answered = 0;
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        answered += lose_power(seed);
    }
    assert_true(answered > SEEDS * DRAWS / 8);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_power_goes_at_any_time),
    };
    fault_vfs_install(); /* syncs are not real: so it is fast */
    if (argc > 1) {      /* a failed assertion ends the process */
        lose_power(strtoull(argv[1], NULL, 10));
        return 0;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
