/* POST /admin/backup, and what `gradd backup` does without a daemon. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/mem.h"
#include "tests/api/client.h"

/* A file of the client's folder. */
static const char *in_folder(const struct client *c, const char *name)
{
    static char path[2][160];
    static int next;
    next = !next;
    snprintf(path[next], sizeof path[next], "%s/%s", c->folder, name);
    return path[next];
}

static bool is_there(const char *path)
{
    struct stat info;
    return lstat(path, &info) == 0;
}

/* Some megabytes, so that a backup takes more than a slice. */
static void fill_store(struct client *c)
{
    size_t n = 400000;
    char *text = malloc(6 * n + 100);
    assert_non_null(text);
    create_net(c, "a", "");
    for (int batch = 0; batch < 3; batch++) {
        char *p = text + sprintf(text, "{\"inputs\":[");
        for (size_t i = 0; i < n / 2; i++)
            p += sprintf(p, "%s[1,%d]", i ? "," : "", (int)(i % 10));
        p += sprintf(p, "],\"targets\":[");
        for (size_t i = 0; i < n / 2; i++)
            p += sprintf(p, "%s[%d]", i ? "," : "", batch);
        strcpy(p, "]}");
        expect_of(c, 201, "POST", "a", "/batches", text);
    }
    free(text);
}

/* Another client over the copy has what c has, but for what training was not kept yet. */
static void assert_copied(struct client *c, const char *path)
{
    struct client *copy = client_new("auto");
    client_close(copy);
    unlink(copy->path);
    assert_int_equal(rename(path, copy->path), 0);
    client_open(copy);
    assert_same_answer(c, "/models/a/batches", copy, "/models/a/batches");
    assert_same_answer(c, "/models/a/batches/3", copy, "/models/a/batches/3");
    assert_same_answer(c, "/models/a/checkpoints", copy, "/models/a/checkpoints");
    client_free(copy);
}

static void test_backup_is_made(void **state)
{
    struct client *c = *state;
    struct stat info;
    fill_store(c);
    const struct reply *r = expect(c, 201, "POST", "/admin/backup", "{\"file\":\"copy.db\"}");
    assert_true(r->slices > 1);
    assert_string_equal(string_at(r, "/file"), in_folder(c, "copy.db"));
    assert_int_equal(stat(in_folder(c, "copy.db"), &info), 0);
    assert_int_equal(number_at(r, "/bytes"), info.st_size);
    assert_false(is_there(in_folder(c, "copy.db.part")));
    assert_copied(c, in_folder(c, "copy.db"));
}

static void test_name_by_default(void **state)
{
    static const char shape[] = "gradd-dddddddTddddddZ.db";
    struct client *c = *state;
    const struct reply *r = expect(c, 201, "POST", "/admin/backup", NULL);
    const char *file = string_at(r, "/file"), *name = strrchr(file, '/') + 1;
    assert_true(is_there(file));
    assert_int_equal(strlen(name), sizeof shape); /* the year has four digits */
    assert_int_equal(strncmp(name, "gradd-20", 8), 0);
    assert_int_equal(name[14], 'T');
    assert_string_equal(name + 21, "Z.db");
    assert_int_equal(strspn(name + 6, "0123456789"), 8);
    assert_int_equal(strspn(name + 15, "0123456789"), 6);
}

static void test_it_may_be_there(void **state)
{
    struct client *c = *state;
    expect(c, 201, "POST", "/admin/backup", "{\"file\":\"copy.db\"}");
    const struct reply *r = ask(c, "POST", "/admin/backup", "{\"file\":\"copy.db\"}");
    assert_problem(r, 409, "conflict", "");
    assert_non_null(strstr(string_at(r, "/detail"), "copy.db: it exists already"));
    assert_problem(ask(c, "POST", "/admin/backup", "{\"file\":\"gradd.db\"}"), 409, "conflict", "");
}

static void test_bad_requests(void **state)
{
    static const struct {
        const char *body, *pointer;
    } row[] = {
        {"{\"file\":\"\"}", "/file"},
        {"{\"file\":\".hidden\"}", "/file"},
        {"{\"file\":\"..\"}", "/file"},
        {"{\"file\":\"a/b\"}", "/file"},
        {"{\"file\":\"/tmp/b\"}", "/file"},
        {"{\"file\":\"a\\nb\"}", "/file"},
        {"{\"file\":7}", "/file"},
        {"{\"file\":\"gradd.db-wal\"}", "/file"},
        {"{\"file\":\"x-journal\"}", "/file"},
        {"{\"files\":\"x\"}", "/files"},
        {"{\"folder\":\"/nowhere\"}", "/folder"},
        {"{\"data\":\"/nowhere/gradd.db\"}", "/data"},
        {"{\"folder\":\"\"}", "/folder"},
    };
    struct client *c = *state;
    char long_name[300];
    for (size_t i = 0; i < sizeof row / sizeof *row; i++)
        assert_problem(ask_plain(c, "POST", "/admin/backup", row[i].body), 422, "invalid-argument",
                       row[i].pointer);
    memset(long_name, 'x', sizeof long_name);
    long_name[201] = '\0';
    assert_problem(ask(c, "POST", "/admin/backup", "{\"file\":\"%s\"}", long_name), 422,
                   "invalid-argument", "/file");
    long_name[200] = '\0';
    expect(c, 201, "POST", "/admin/backup", "{\"file\":\"%s\"}", long_name);
}

static void test_own_folder_and_data(void **state)
{
    struct client *c = *state;
    expect(c, 201, "POST", "/admin/backup",
           "{\"file\":\"copy.db\",\"folder\":\"%s\",\"data\":\"%s\"}", c->folder, c->path);
    const struct reply *r =
        ask(c, "POST", "/admin/backup", "{\"folder\":\"/tmp\",\"data\":\"%s\"}", c->path);
    assert_problem(r, 422, "invalid-argument", "/folder");
    assert_non_null(strstr(string_at(r, "/detail"), c->folder));
    r = ask(c, "POST", "/admin/backup", "{\"data\":\"/tmp/other.db\"}");
    assert_problem(r, 422, "invalid-argument", "/data");
    assert_non_null(strstr(string_at(r, "/detail"), c->path));
}

static void test_configured_folder(void **state)
{
    struct client *c = *state, *other = client_new("auto");
    client_close(c);
    c->config.backup_dir = other->folder;
    client_open(c);
    const struct reply *r = expect(c, 201, "POST", "/admin/backup", "{\"file\":\"copy.db\"}");
    assert_string_equal(string_at(r, "/file"), in_folder(other, "copy.db"));
    assert_true(is_there(in_folder(other, "copy.db")));
    assert_false(is_there(in_folder(c, "copy.db")));
    client_free(other);
}

static void test_folder_that_is_not_there(void **state)
{
    struct client *c = *state;
    struct api *api;
    struct err e;
    client_close(c);
    c->config.backup_dir = "/nowhere/at/all";
    assert_int_equal(api_open(&c->config, &api, &e), ERR_IO);
    assert_non_null(strstr(e.message, "/nowhere/at/all"));
    c->config.backup_dir = "";
    client_open(c);
}

/* A long one goes on while others are answered, and ends when the daemon does. */
static void test_between_its_slices(void **state)
{
    struct client *c = *state;
    fill_store(c);
    struct call *call = client_start(c, "POST", "/admin/backup", "{\"file\":\"copy.db\"}");
    assert_false(client_slice(c, call));
    assert_true(is_there(in_folder(c, "copy.db.part")));
    assert_problem(ask(c, "POST", "/admin/backup", "{\"file\":\"two.db\"}"), 409, "conflict", "");
    expect_of(c, 200, "POST", "a", "/step", "{\"steps\":2}");
    expect_of(c, 201, "POST", "a", "/checkpoints", "{\"label\":\"meanwhile\"}");
    while (!client_slice(c, call))
        continue;
    assert_int_equal(client_finish(c, call)->status, 201);
    assert_copied(c, in_folder(c, "copy.db"));
}

static void test_draining(void **state)
{
    struct client *c = *state;
    fill_store(c);
    struct call *call = client_start(c, "POST", "/admin/backup", "{\"file\":\"copy.db\"}");
    assert_false(client_slice(c, call));
    api_drain(c->api);
    assert_true(client_slice(c, call));
    assert_problem(client_finish(c, call), 503, "unavailable", "");
    assert_false(is_there(in_folder(c, "copy.db")));
    assert_false(is_there(in_folder(c, "copy.db.part")));
    assert_problem(ask(c, "POST", "/admin/backup", NULL), 503, "unavailable", "");
}

/* The call that is dropped in the middle takes its file with it. */
static void test_dropped(void **state)
{
    struct client *c = *state;
    fill_store(c);
    struct call *call = client_start(c, "POST", "/admin/backup", "{\"file\":\"copy.db\"}");
    assert_false(client_slice(c, call));
    call_free(call);
    assert_false(is_there(in_folder(c, "copy.db.part")));
    expect(c, 201, "POST", "/admin/backup", "{\"file\":\"copy.db\"}");
}

static atomic_long countdown;

static bool fail_one(size_t bytes)
{
    (void)bytes;
    return atomic_fetch_sub(&countdown, 1) == 1;
}

static void test_every_allocation(void **state)
{
    struct client *c = *state;
    struct request q = {
        .method = "POST", .target = "/admin/backup", .body = "{\"file\":\"copy.db\"}"};
    struct reply r;
    int status = 0;
    create_net(c, "a", "");
    for (long n = 1; status != 201; n++) {
        atomic_store(&countdown, n);
        mem_fault = fail_one;
        client_exchange(c->api, c->scratch, c->slice_ns, &q, &r);
        mem_fault = NULL;
        status = r.status;
        assert_true(status == 201 || status == 503);
        assert_false(is_there(in_folder(c, "copy.db.part")));
        /* without memory for the answer the copy is made all the same */
        if (status == 503)
            unlink(in_folder(c, "copy.db"));
        reply_close(&r);
        assert_true(n < 1000);
    }
}

/* ---- gradd backup -------------------------------------------------------------------------- */

static enum err_kind backup(struct client *c, const char *path, bool *in_use, struct err *e)
{
    int64_t bytes;
    enum err_kind rc = api_backup(&c->config, path, &bytes, in_use, e);
    assert_int_equal(bytes > 0, rc == ERR_OK);
    return rc;
}

static void test_without_a_daemon(void **state)
{
    struct client *c = *state;
    struct err e;
    bool in_use;
    fill_store(c);
    assert_int_equal(backup(c, in_folder(c, "copy.db"), &in_use, &e), ERR_CONFLICT);
    assert_true(in_use);
    client_close(c);
    assert_int_equal(backup(c, in_folder(c, "copy.db"), &in_use, &e), ERR_OK);
    assert_false(in_use);
    assert_int_equal(backup(c, in_folder(c, "copy.db"), &in_use, &e), ERR_CONFLICT);
    assert_false(in_use);
    client_open(c);
    assert_copied(c, in_folder(c, "copy.db"));
}

static void test_without_data(void **state)
{
    struct client *c = *state;
    struct err e;
    bool in_use;
    struct api_config was = c->config;
    c->config.data = in_folder(c, "missing.db");
    assert_int_equal(backup(c, in_folder(c, "copy.db"), &in_use, &e), ERR_NOT_FOUND);
    assert_non_null(strstr(e.message, "missing.db"));
    assert_false(in_use);
    assert_false(is_there(in_folder(c, "missing.db")));
    assert_false(is_there(in_folder(c, "missing.db.lock")));
    c->config = was;
}

/* What is asked is what a daemon on that data, with that folder, takes. */
static void test_asking_a_daemon(void **state)
{
    struct client *c = *state;
    struct err e;
    char *body;
    int64_t bytes;
    assert_int_equal(api_backup_ask(&c->config, in_folder(c, "a \"b\".db"), &body, &e), ERR_OK);
    const struct reply *r = ask_plain(c, "POST", "/admin/backup", body);
    assert_int_equal(r->status, 201);
    assert_string_equal(string_at(r, "/file"), in_folder(c, "a \"b\".db"));
    assert_int_equal(api_backup_answer(r->status, r->text, strlen(r->text), &bytes, &e), ERR_OK);
    assert_int_equal(bytes, number_at(r, "/bytes"));
    r = ask_plain(c, "POST", "/admin/backup", body);
    assert_int_equal(api_backup_answer(r->status, r->text, strlen(r->text), &bytes, &e),
                     ERR_UNAVAILABLE);
    assert_string_equal(e.message, string_at(r, "/detail"));
    mem_free(body);
    assert_int_equal(api_backup_ask(&c->config, "/tmp/elsewhere.db", &body, &e), ERR_OK);
    assert_problem(ask_plain(c, "POST", "/admin/backup", body), 422, "invalid-argument", "/folder");
    mem_free(body);
    assert_int_equal(api_backup_ask(&c->config, "/nowhere/at/all.db", &body, &e), ERR_IO);
    assert_null(body);
}

static void test_strange_answers(void **state)
{
    static const struct {
        int status;
        const char *body, *said;
    } row[] = {
        {502, "<html>", "502"},
        {500, "", "500"},
        {404, "{\"detail\":7}", "404"},
        {503, "{\"detail\":\"later\"}", "later"},
        {201, "[]", "201"},
        {201, "", "201"},
        {201, "{\"bytes\":\"x\"}", "201"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        struct err e;
        int64_t bytes;
        enum err_kind rc =
            api_backup_answer(row[i].status, row[i].body, strlen(row[i].body), &bytes, &e);
        assert_true(rc != ERR_OK);
        if (!strstr(e.message, row[i].said))
            fail_msg("%d %s: %s", row[i].status, row[i].body, e.message);
    }
}

#define ROW(test) cmocka_unit_test_setup_teardown(test, client_setup, client_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ROW(test_backup_is_made),
        ROW(test_name_by_default),
        ROW(test_it_may_be_there),
        ROW(test_bad_requests),
        ROW(test_own_folder_and_data),
        ROW(test_configured_folder),
        ROW(test_folder_that_is_not_there),
        ROW(test_between_its_slices),
        ROW(test_draining),
        ROW(test_dropped),
        ROW(test_every_allocation),
        ROW(test_without_a_daemon),
        ROW(test_without_data),
        ROW(test_asking_a_daemon),
        ROW(test_strange_answers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
