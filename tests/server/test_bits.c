/* The same bits, whatever the instruction set, the number of workers, what else runs beside, and
 * whether the daemon was stopped or killed in the middle and went on as another machine: every
 * answer, and every model at the end. And a row's outputs, alone or with others.
 *
 * Client threads keep what they were answered: it is judged by the test's own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/server/changes.h"
#include "tests/server/daemon.h"
#include "tests/server/dice.h"
#include "tests/server/http_client.h"
#include "tests/server/machine.h"
#include "tests/server/slow_build.h"

#define ARGS(...) ((const char *const[]){__VA_ARGS__, NULL})

enum { CHANGES = COUNT(80), HALF = CHANGES / 2 };
enum ending { GOES_ON, STOPPED, KILLED, ENDINGS };
static const char *const workers[] = {"1", "2", "8"};
enum { WORKERS = sizeof workers / sizeof workers[0] };

static struct daemon d;

static int clean_up(void **state)
{
    (void)state;
    daemon_remove(&d);
    return 0;
}

static void start(int isa, int i)
{
    daemon_start(&d, DAEMON_REAL, ARGS("--isa", machine_isa[isa], "--workers", workers[i]));
}

/* ---- a model's changes --------------------------------------------------------------------- */

struct run {
    pthread_t thread;
    struct subject subject;
    uint64_t dice;
    int done, until; /* changes */
    long status[CHANGES];
    struct text answer[CHANGES]; /* without times */
};

static void run_begin(struct run *r, int kind)
{
    *r = (struct run){.subject = {.kind = kind}, .dice = 1000 + (uint64_t)kind};
    snprintf(r->subject.id, sizeof r->subject.id, "m%d", kind);
}

static void run_free(struct run *r)
{
    for (int i = 0; i < CHANGES; i++)
        text_free(&r->answer[i]);
}

static void *run_on(void *arg)
{
    struct run *r = arg;
    struct model_client m;
    model_client_open(&m, d.url);
    for (; r->done < r->until; r->done++) {
        struct change c;
        change_make(&r->subject, dice_roll(&r->dice), 0, &c);
        r->status[r->done] = try_keyed(&m, c.method, NULL, c.body.at, c.path);
        struct text *answer = &r->answer[r->done];
        if (!c.waits || r->status[r->done] != 202)
            text_add_timeless(answer, m.reply ? m.reply->body : "no answer");
        else if (change_follow(&m, &r->subject, (int64_t)member(m.json, "job")->valuedouble,
                               answer) != 200)
            text_print(answer, "no end of the job");
        subject_learn(&r->subject, &c, r->status[r->done], m.json);
        change_free(&c);
    }
    model_client_close(&m);
    return NULL;
}

/* One after the other, or all at once. */
static void run_all(struct run run[SUBJECT_KINDS], int until, bool at_once)
{
    for (int i = 0; i < SUBJECT_KINDS; i++) {
        run[i].until = until;
        if (at_once)
            assert_int_equal(pthread_create(&run[i].thread, NULL, run_on, &run[i]), 0);
        else
            run_on(&run[i]);
    }
    for (int i = 0; at_once && i < SUBJECT_KINDS; i++)
        pthread_join(run[i].thread, NULL);
}

static char *text_of(const char *id)
{
    struct model_client m;
    model_client_open(&m, d.url);
    char *text = model_text_if_any(&m, id);
    model_client_close(&m);
    return text;
}

/* ---- all ways to run them ------------------------------------------------------------------ */

static void assert_as(const struct run *r, const struct run *first, const char *first_text,
                      const char *way)
{
    for (int i = 0; i < CHANGES; i++)
        if (r->status[i] != first->status[i] || strcmp(r->answer[i].at, first->answer[i].at) != 0)
            fail_msg("%s: model %s, change %d: %ld %.300s\nnot %ld %.300s", way, r->subject.id, i,
                     r->status[i], r->answer[i].at, first->status[i], first->answer[i].at);
    char *text = text_of(r->subject.id);
    if (strcmp(text, first_text) != 0)
        print_message("%s:\n", way);
    assert_same_text(text, first_text);
    free(text);
}

/* In the middle, by the next machine of all that there are. */
static void end(enum ending ending, int isa, int i)
{
    if (ending == GOES_ON)
        return;
    daemon_signal(&d, ending == KILLED ? SIGKILL : SIGTERM);
    assert_int_equal(daemon_wait(&d), ending == KILLED ? 128 + SIGKILL : 0);
    start((isa + 1) % machine_isas(), (i + 1) % WORKERS);
}

static void assert_way(int isa, int i, enum ending ending, const struct run *first, char **texts)
{
    static const char *const name[] = {"goes on", "stopped", "killed"};
    static struct run run[SUBJECT_KINDS];
    char way[64];
    snprintf(way, sizeof way, "%s, %s workers, %s", machine_isa[isa], workers[i], name[ending]);
    start(isa, i);
    for (int k = 0; k < SUBJECT_KINDS; k++)
        run_begin(&run[k], k);
    run_all(run, HALF, true);
    end(ending, isa, i);
    run_all(run, CHANGES, true);
    for (int k = 0; k < SUBJECT_KINDS; k++) {
        assert_as(&run[k], &first[k], texts[k], way);
        run_free(&run[k]);
    }
    daemon_remove(&d);
}

static void assert_every_way(enum ending ending)
{
    static struct run first[SUBJECT_KINDS];
    char *texts[SUBJECT_KINDS];
    start(0, 0);
    for (int k = 0; k < SUBJECT_KINDS; k++)
        run_begin(&first[k], k);
    run_all(first, CHANGES, false);
    for (int k = 0; k < SUBJECT_KINDS; k++)
        texts[k] = text_of(first[k].subject.id);
    daemon_remove(&d);
    for (int isa = 0; isa < machine_isas(); isa++)
        for (int i = 0; i < WORKERS; i++)
            assert_way(isa, i, ending, first, texts);
    for (int k = 0; k < SUBJECT_KINDS; k++) {
        run_free(&first[k]);
        free(texts[k]);
    }
}

static void test_machines(void **state)
{
    (void)state;
    assert_every_way(GOES_ON);
}

static void test_machines_stopped_between(void **state)
{
    (void)state;
    assert_every_way(STOPPED);
}

static void test_machines_killed_between(void **state)
{
    (void)state;
    assert_every_way(KILLED);
}

/* ---- rows ---------------------------------------------------------------------------------- */

enum { INPUTS = 70, ROWS = 37, READERS = 8 }; /* whole tiles, and what is left of them */

struct rows {
    pthread_t thread;
    char *output[ROWS]; /* of each row */
};
static struct text row[ROWS]; /* "[0.5,…]" */

static void make_rows(void)
{
    uint64_t dice = 5;
    for (int i = 0; i < ROWS; i++) {
        text_free(&row[i]);
        for (int k = 0; k < INPUTS; k++)
            text_print(&row[i], "%s%.3f", k ? "," : "[",
                       (double)dice_between(&dice, -1000, 1000) / 1000);
        text_print(&row[i], "]");
    }
}

/* Forward of the rows from `from` on; output[i] gets each one's. */
static void forward(struct model_client *m, int from, int count, char **output)
{
    struct text body = {0};
    text_print(&body, "{\"inputs\":[");
    for (int i = from; i < from + count; i++)
        text_print(&body, "%s%s", i > from ? "," : "", row[i].at);
    text_print(&body, "]}");
    long status = try_ask(m, "POST", body.at, "/models/rows/forward");
    for (int i = 0; i < count; i++) {
        char path[32];
        snprintf(path, sizeof path, "outputs/%d", i);
        const cJSON *item = member(m->json, path);
        output[from + i] = status == 200 && item ? cJSON_PrintUnformatted(item) : NULL;
    }
    text_free(&body);
}

/* 1 to 5 of them at a time. */
static void *read_rows(void *arg)
{
    struct rows *r = arg;
    struct model_client m;
    uint64_t dice = (uintptr_t)r / sizeof *r;
    model_client_open(&m, d.url);
    for (int from = 0; from < ROWS;) {
        int left = ROWS - from, count = (int)dice_between(&dice, 1, 5);
        count = count < left ? count : left;
        forward(&m, from, count, r->output);
        from += count;
    }
    model_client_close(&m);
    return NULL;
}

static void assert_rows(struct rows *r, const struct rows *alone)
{
    for (int i = 0; i < ROWS; i++) {
        assert_non_null(r->output[i]);
        assert_string_equal(r->output[i], alone->output[i]);
        if (r != alone)
            free(r->output[i]);
    }
}

/* The parameters are those of the seed, so that each machine has the same. */
static void make_model(struct model_client *m)
{
    ask(m, 201, "POST",
        "{\"id\":\"rows\",\"seed\":3,\"loss\":\"mse\",\"layers\":[{\"type\":\"linear\","
        "\"in_features\":70,\"out_features\":51},{\"type\":\"silu\"},{\"type\":\"linear\","
        "\"in_features\":51,\"out_features\":19},{\"type\":\"softmax\",\"dim\":1}]}",
        "/models");
}

static void assert_rows_here(struct rows *alone, bool first)
{
    static struct rows whole, reader[READERS];
    struct model_client m;
    model_client_open(&m, d.url);
    make_model(&m);
    for (int i = 0; first && i < ROWS; i++)
        forward(&m, i, 1, alone->output);
    forward(&m, 0, ROWS, whole.output);
    assert_rows(&whole, alone);
    for (int i = 0; i < READERS; i++)
        assert_int_equal(pthread_create(&reader[i].thread, NULL, read_rows, &reader[i]), 0);
    for (int i = 0; i < READERS; i++)
        pthread_join(reader[i].thread, NULL);
    for (int i = 0; i < READERS; i++)
        assert_rows(&reader[i], alone);
    model_client_close(&m);
}

static void test_a_row_alone_and_with_others(void **state)
{
    static struct rows alone;
    (void)state;
    make_rows();
    for (int isa = 0; isa < machine_isas(); isa++)
        for (int i = 0; i < WORKERS; i++) {
            start(isa, i);
            assert_rows_here(&alone, isa == 0 && i == 0);
            daemon_remove(&d);
        }
    for (int i = 0; i < ROWS; i++) {
        free(alone.output[i]);
        text_free(&row[i]);
    }
}

#define BITS_TEST(f) cmocka_unit_test_teardown(f, clean_up)

int main(void)
{
    const struct CMUnitTest tests[] = {
        BITS_TEST(test_machines),
        BITS_TEST(test_machines_stopped_between),
        BITS_TEST(test_machines_killed_between),
        BITS_TEST(test_a_row_alone_and_with_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
