/* One bit of the file is flipped. Whatever the api then shows is as it was, or it says that it is
 * not: the file is refused, a call is answered 503, a model is "damaged" and in an earlier state
 * that is proven, or the operator has a notice. Never is anything silently wrong.
 *
 *     test_bitflip         some places, as a test
 *     test_bitflip N       the place N; exit status 0: it went well
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "storage/store.h"
#include "tests/api/saga.h"
#include "tests/storage/fault_vfs.h"

#define PLACES  60
#define DRAWS   60
#define SEED    2
#define REPEATS 8 /* acts whose keys are asked again */
#define LOOKS   4 /* after steps, and after restores */

/* ---- files --------------------------------------------------------------------------------- */

struct bytes {
    unsigned char *data;
    size_t count;
};

/* A store's file and its log. */
struct files {
    struct bytes main, log;
};

enum kind {
    STOPPED, /* by a clean stop */
    SETTLED, /* killed, but its log is in the file */
    KILLED,
    KINDS
};

static struct bytes read_bytes(const char *path)
{
    struct bytes b = {NULL, 0};
    FILE *f = fopen(path, "rb");
    if (!f)
        return b;
    fseek(f, 0, SEEK_END);
    b.count = (size_t)ftell(f);
    rewind(f);
    b.data = malloc(b.count + 1);
    assert_int_equal(fread(b.data, 1, b.count, f), b.count);
    fclose(f);
    return b;
}

static void write_bytes(const char *path, const struct bytes *b)
{
    if (b->count == 0) {
        unlink(path);
        return;
    }
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(b->data, 1, b->count, f), b->count);
    assert_int_equal(fclose(f), 0);
}

static void write_files(const struct client *c, const struct files *f)
{
    char log[100];
    snprintf(log, sizeof log, "%s-wal", c->path);
    write_bytes(c->path, &f->main);
    write_bytes(log, &f->log);
}

static struct files read_files(const struct client *c)
{
    char log[100];
    snprintf(log, sizeof log, "%s-wal", c->path);
    return (struct files){read_bytes(c->path), read_bytes(log)};
}

static void free_files(struct files *f)
{
    free(f->main.data);
    free(f->log.data);
}

/* What the saga leaves behind. */
static struct files make_files(const struct saga *s, struct client *c, enum kind kind)
{
    struct store *store;
    struct err e;
    write_files(c, &(struct files){{NULL, 0}, {NULL, 0}});
    client_open(c);
    saga_go_on(s, c, 0);
    struct files killed = read_files(c);
    client_close(c);
    if (kind == KILLED)
        return killed;
    if (kind == SETTLED) {
        write_files(c, &killed);
        if (store_open(c->path, &(struct store_options){.network_files = true}, &store, &e) !=
            ERR_OK)
            fail_msg("%s", e.message);
        store_close(store);
    }
    free_files(&killed);
    return read_files(c);
}

/* ---- what can be seen ---------------------------------------------------------------------- */

/* All that is asked of one file, in this order. */
struct view {
    char *look[SAGA_MODELS];
    char *list;
    char *repeat[REPEATS];
    char *later[SAGA_MODELS][LOOKS];
    char *notices;
};

static char *ask_for(struct client *c, const char *method, const char *target, const char *body)
{
    struct reply r;
    char *text;
    size_t bytes;
    FILE *out = open_memstream(&text, &bytes);
    client_exchange(c->api, c->scratch, 0,
                    &(struct request){.method = method, .target = target, .body = body}, &r);
    fprintf(out, "%d %s\n", r.status, r.text ? r.text : "");
    fclose(out);
    reply_close(&r);
    return text;
}

/* The keys of the last acts that have one. */
static void see_repeats(const struct saga *s, struct client *c, struct view *v)
{
    int n = 0;
    for (size_t i = s->acts; i-- > 0 && n < REPEATS;) {
        struct reply r;
        if (s->act[i].kind != ACT_CALL || s->act[i].model == SAGA_LOOSE ||
            strcmp(s->act[i].method, "POST") != 0 || s->act[i].status >= 400)
            continue;
        saga_play(s, i, c, 0, &r);
        v->repeat[n] = calloc(1, strlen(r.text) + 80);
        sprintf(v->repeat[n++], "%d %s%s\n", r.status, r.text, r.replayed ? " again" : "");
        reply_close(&r);
    }
}

/* Two steps, then back to two checkpoints: what cannot be seen at once has its effect. */
static void see_later(const struct saga *s, struct client *c, int m, struct view *v)
{
    char target[100];
    for (int i = 0; i < LOOKS; i++) {
        if (i < 2)
            snprintf(target, sizeof target, "/models/%s/step", s->id[m]);
        else
            snprintf(target, sizeof target, "/models/%s/checkpoints/%d/restore", s->id[m], i - 1);
        char *answer = ask_for(c, "POST", target, NULL), *look = saga_look(c, s->id[m]);
        size_t bytes = strlen(look) + 5;
        v->later[m][i] = malloc(bytes);
        assert_non_null(v->later[m][i]);
        snprintf(v->later[m][i], bytes, "%.3s\n%s", answer, look);
        free(answer);
        free(look);
    }
}

static char *see_notices(struct client *c)
{
    char text[API_NOTICE_BYTES], *all;
    size_t bytes;
    FILE *out = open_memstream(&all, &bytes);
    while (api_next_notice(c->api, text))
        fprintf(out, "%s\n", text);
    fclose(out);
    return all;
}

static struct view see(const struct saga *s, struct client *c)
{
    struct view v = {.list = NULL};
    for (int m = 0; m < SAGA_MODELS; m++)
        v.look[m] = saga_look(c, s->id[m]);
    v.list = ask_for(c, "GET", "/models?limit=100", NULL);
    see_repeats(s, c, &v);
    for (int m = 0; m < SAGA_MODELS; m++)
        see_later(s, c, m, &v);
    v.notices = see_notices(c);
    return v;
}

static void free_view(struct view *v)
{
    for (int m = 0; m < SAGA_MODELS; m++) {
        free(v->look[m]);
        for (int i = 0; i < LOOKS; i++)
            free(v->later[m][i]);
    }
    for (int i = 0; i < REPEATS; i++)
        free(v->repeat[i]);
    free(v->list);
    free(v->notices);
}

/* ---- is it told? --------------------------------------------------------------------------- */

enum verdict { SAME, TOLD, SILENT };

static enum verdict worse(enum verdict a, enum verdict b)
{
    return a > b ? a : b;
}

/* Line by line: as it was, or an answer that says what is wrong with the storage. */
static enum verdict compare(const char *want, const char *is)
{
    enum verdict v = SAME;
    for (; *want && *is; want += strcspn(want, "\n") + 1, is += strcspn(is, "\n") + 1) {
        size_t n = strcspn(want, "\n") + 1;
        if (!strncmp(want, is, n))
            continue;
        if (strncmp(is, "503", 3) != 0)
            return SILENT;
        v = TOLD;
        if (!want[n] || !is[strcspn(is, "\n") + 1])
            return TOLD;
    }
    return *want || *is ? SILENT : v;
}

/* Lines of a look: what it holds that a replay proves. */
static bool has_line(const char *look, const char *line)
{
    const char *at = strstr(look, line);
    return at && at[strlen(line)] == '\n';
}

/* Does the moment have these parameters, gradients and outputs? */
static bool is_state_of(const char *moment, const char *is)
{
    char line[200000];
    bool same = true;
    for (const char *at = is; *at && same; at += strcspn(at, "\n") + 1) {
        size_t n = strcspn(at, "\n");
        if (!strstr(at, "\"parameters\":{") && !strstr(at, "\"gradients\":{") &&
            !strstr(at, "\"outputs\":"))
            continue;
        if (n >= sizeof line)
            return false;
        memcpy(line, at, n);
        line[n] = '\0';
        bool counts = strstr(line, "{\"step\":") && !strstr(line, "\"last_step\"");
        same = !counts || !strncmp(line, "503", 3) || has_line(moment, line);
    }
    return same;
}

static enum verdict judge_model(const struct saga *s, int m, const struct view *want,
                                const struct view *is)
{
    const char *look = is->look[m];
    enum verdict v = compare(want->look[m], look);
    if (v != SILENT)
        return v;
    if (!strstr(look, "\"state\":\"damaged\",\"damage\":\""))
        return SILENT;
    for (size_t i = s->moments; i-- > 0;)
        if (is_state_of(s->moment[i][m], look))
            return TOLD;
    return SILENT;
}

/* What was refused has not changed the model. */
static enum verdict judge_later(const char *want, const char *is)
{
    if (strncmp(want, "503", 3) != 0 && !strncmp(is, "503", 3))
        return TOLD;
    enum verdict v = compare(want, is);
    if (v == SILENT)
        print_message("later: %.300s\n", is);
    return v;
}

/* The end of the log is lost, which a notice tells: then all of it is as it was at some moment. */
static bool is_cut(const struct saga *s, const struct view *is)
{
    if (!strstr(is->notices, "its log"))
        return false;
    for (size_t i = s->moments; i-- > 0;) {
        bool same = true;
        for (int m = 0; m < SAGA_MODELS && same; m++)
            same = m == SAGA_LOOSE || !strcmp(s->moment[i][m], is->look[m]);
        if (same)
            return true;
    }
    return false;
}

static enum verdict judge(const struct saga *s, const struct view *want, const struct view *is)
{
    enum verdict all = SAME, v;
    if (is_cut(s, is))
        return TOLD;
    for (int m = 0; m < SAGA_MODELS; m++) {
        v = judge_model(s, m, want, is);
        if (v == SILENT)
            saga_assert_same(want->look[m], is->look[m]);
        for (int i = 0; i < LOOKS && v == SAME; i++)
            v = judge_later(want->later[m][i], is->later[m][i]);
        all = worse(all, v);
    }
    if (all != SAME)
        return all;
    all = compare(want->list, is->list);
    for (int i = 0; i < REPEATS; i++) {
        v = compare(want->repeat[i], is->repeat[i]);
        if (v == SILENT)
            print_message("again: %.300s\n and not %.300s\n", is->repeat[i], want->repeat[i]);
        all = worse(all, v);
    }
    return all == SAME && is->notices[0] ? TOLD : all;
}

/* ---- flipping ------------------------------------------------------------------------------ */

/* Evenly over the files, and mostly where there is something. */
static unsigned char *find_place(const struct files *f, uint64_t number)
{
    size_t all = f->main.count + f->log.count;
    size_t at = (size_t)((double)(number * 2654435769u % 4294967296u) / 4294967296.0 * (double)all);
    const struct bytes *b = at < f->main.count ? &f->main : &f->log;
    at -= b == &f->log ? f->main.count : 0;
    while (number % 10 && at + 1 < b->count && b->data[at] == 0)
        at++;
    return b->data + at;
}

static enum verdict try_file(const struct saga *s, struct client *c, const struct files *f,
                             const struct view *want)
{
    struct err e = {.kind = ERR_OK};
    write_files(c, f);
    if (client_try_open(c, &e) != ERR_OK) {
        assert_int_equal(e.kind, ERR_IO);
        return TOLD;
    }
    struct view is = see(s, c);
    enum verdict v = judge(s, want, &is);
    free_view(&is);
    (void)client_try_close(c, &e);
    return v;
}

/* What is there without a flip. */
static struct view see_whole(const struct saga *s, struct client *c, const struct files *f)
{
    write_files(c, f);
    client_open(c);
    struct view v = see(s, c);
    assert_string_equal(v.notices, "");
    client_close(c);
    return v;
}

static enum verdict flip(const struct saga *s, struct client *c, struct files *f,
                         const struct view *want, uint64_t number)
{
    unsigned char *at = find_place(f, number), bit = (unsigned char)(1 << number * 7 % 8);
    *at ^= bit;
    enum verdict v = try_file(s, c, f, want);
    *at ^= bit;
    bool in_main = at >= f->main.data && at < f->main.data + f->main.count;
    if (v == SILENT)
        fail_msg("place %llu: bit %d at byte %zu of the %s went unnoticed",
                 (unsigned long long)number, bit,
                 (size_t)(at - (in_main ? f->main.data : f->log.data)), in_main ? "file" : "log");
    return v;
}

static struct client *new_client(void)
{
    struct client *c = client_new("auto");
    client_close(c);
    c->config.checkpoint_seconds = 0;
    return c;
}

/* Some places of files of that kind; number of those that were told. */
static int flip_places(enum kind kind, uint64_t first, uint64_t last, uint64_t stride)
{
    struct saga *s = saga_new(SEED, DRAWS);
    struct client *c = new_client();
    struct files f = make_files(s, c, kind);
    struct view want = see_whole(s, c, &f);
    int told = 0;
    for (uint64_t n = first; n <= last; n += stride)
        told += flip(s, c, &f, &want, n) == TOLD;
    free_view(&want);
    free_files(&f);
    client_free(c);
    saga_free(s);
    return told;
}

static void test_flipped_bits(void **state)
{
    int told = 0;
    (void)state;
    for (int kind = 0; kind < KINDS; kind++)
        told += flip_places((enum kind)kind, 1 + (uint64_t)kind, PLACES, KINDS);
    print_message("%d of %d were told, the others without effect\n", told, PLACES);
    assert_true(told > PLACES / 4);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_flipped_bits),
    };
    fault_vfs_install(); /* syncs are not real: so it is fast */
    if (argc > 1) {      /* a failed assertion ends the process */
        uint64_t n = strtoull(argv[1], NULL, 10);
        flip_places((enum kind)((n - 1) % KINDS), n, n, 1);
        return 0;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
