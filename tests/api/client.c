#include "tests/api/client.h"

#include <dirent.h>
#include <semaphore.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "api/call.h"
#include "api/state.h"
#include "storage/checksum.h"
#include "tests/storage/journal_table.h"

/* ---- life ---------------------------------------------------------------------------------- */

enum err_kind client_try_open(struct client *c, struct err *e)
{
    c->config.data = c->path;
    c->api = NULL;
    enum err_kind rc = api_open(&c->config, &c->api, e);
    if (!rc)
        c->scratch = scratch_new(c->api);
    return rc;
}

void client_open(struct client *c)
{
    struct err e = {.kind = ERR_OK};
    if (client_try_open(c, &e) != ERR_OK)
        fail_msg("api_open: %s", e.message);
    assert_non_null(c->scratch);
}

enum err_kind client_try_close(struct client *c, struct err *e)
{
    scratch_free(c->scratch);
    c->scratch = NULL;
    enum err_kind rc = api_close(c->api, NULL, NULL, e);
    c->api = NULL;
    return rc;
}

void client_close(struct client *c)
{
    struct err e = {.kind = ERR_OK};
    if (client_try_close(c, &e) != ERR_OK)
        fail_msg("api_close: %s", e.message);
}

void client_reopen(struct client *c)
{
    client_close(c);
    client_open(c);
}

struct client *client_new(const char *isa)
{
    struct client *c = calloc(1, sizeof *c);
    assert_non_null(c);
    c->config = (struct api_config){.version = "test",
                                    .isa = isa,
                                    .network_files = true,
                                    .max_body = (size_t)64 << 20,
                                    .max_model_bytes = (size_t)64 << 20,
                                    .max_batches = 100,
                                    .max_streams = 8,
                                    .max_batch_bytes = (size_t)64 << 20,
                                    .memory = (size_t)1 << 30,
                                    .checkpoint_steps = 1000000,
                                    .checkpoint_seconds = 3600,
                                    .autograd_memory = (size_t)64 << 20,
                                    .autograd_seconds = 20};
    c->slice_ns = 1000000000;
    snprintf(c->folder, sizeof c->folder, "%s", "/tmp/gradd_api_XXXXXX");
    assert_non_null(mkdtemp(c->folder));
    snprintf(c->path, sizeof c->path, "%s/gradd.db", c->folder);
    client_open(c);
    return c;
}

static void remove_folder(const char *folder)
{
    DIR *d = opendir(folder);
    char path[400];
    for (struct dirent *f = d ? readdir(d) : NULL; f; f = readdir(d)) {
        snprintf(path, sizeof path, "%s/%s", folder, f->d_name);
        if (f->d_name[0] != '.')
            unlink(path);
    }
    if (d)
        closedir(d);
    rmdir(folder);
}

void client_free(struct client *c)
{
    if (!c)
        return;
    for (size_t i = 0; i < CLIENT_REPLIES; i++)
        reply_close(&c->reply[i]);
    if (c->api)
        client_close(c);
    remove_folder(c->folder);
    free(c);
}

int client_setup(void **state)
{
    *state = client_new("auto");
    return 0;
}

int client_teardown(void **state)
{
    client_free(*state);
    return 0;
}

static void copy_file(const char *from, const char *to)
{
    char block[4096];
    FILE *in = fopen(from, "rb"), *out = fopen(to, "wb");
    assert_non_null(in);
    assert_non_null(out);
    for (size_t n; (n = fread(block, 1, sizeof block, in)) > 0;)
        assert_int_equal(fwrite(block, 1, n, out), n);
    fclose(in);
    assert_int_equal(fclose(out), 0);
}

static uint32_t seal_blob(uint32_t before, sqlite3_value *blob)
{
    int bytes = sqlite3_value_bytes(blob);
    return checksum(checksum_i64(before, bytes), sqlite3_value_blob(blob), (size_t)bytes);
}

/* change_seal(model, seq, prior, kind, step, body, data): of a row of the journal whose data stands
 * in it (storage/pack.c). */
static void change_seal(sqlite3_context *context, int n, sqlite3_value **value)
{
    uint32_t seal = 0;
    for (int i = 0; i < n - 2; i++)
        seal = checksum_i64(seal, sqlite3_value_int64(value[i]));
    seal = seal_blob(seal_blob(seal, value[n - 2]), value[n - 1]);
    sqlite3_result_int64(context, seal);
}

static void run_sql(const char *path, const char *sql)
{
    sqlite3 *db;
    char *why = NULL;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    /* without shared memory, which tests/storage/fault_vfs.h has none of */
    assert_int_equal(sqlite3_exec(db, "PRAGMA locking_mode = EXCLUSIVE", NULL, NULL, NULL),
                     SQLITE_OK);
    sqlite3_create_function(db, "change_seal", 7, SQLITE_UTF8, NULL, change_seal, NULL, NULL);
    journal_table_open(db);
    if (sqlite3_exec(db, sql, NULL, NULL, &why))
        fail_msg("%s: %s", sql, why);
    journal_table_close(db);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

/* The file and its WAL as they stand now are what a killed process leaves behind. */
static void copy_store(struct client *c, const char *name)
{
    char wal[100], copy[100], copy_wal[112];
    snprintf(wal, sizeof wal, "%s-wal", c->path);
    snprintf(copy, sizeof copy, "%s/%s", c->folder, name);
    snprintf(copy_wal, sizeof copy_wal, "%s-wal", copy);
    copy_file(c->path, copy);
    if (access(wal, F_OK) == 0)
        copy_file(wal, copy_wal);
}

static void put_store_back(struct client *c, const char *name)
{
    char wal[100], copy[100], copy_wal[112];
    snprintf(wal, sizeof wal, "%s-wal", c->path);
    snprintf(copy, sizeof copy, "%s/%s", c->folder, name);
    snprintf(copy_wal, sizeof copy_wal, "%s-wal", copy);
    assert_int_equal(rename(copy, c->path), 0);
    if (access(copy_wal, F_OK) == 0)
        assert_int_equal(rename(copy_wal, wal), 0);
}

/* The newest changes go to their places, where SQL finds them (tests/storage/journal_table.h). */
static void settle(const char *path)
{
    struct store *store;
    struct err e;
    assert_int_equal(store_open(path, &(struct store_options){.network_files = true}, &store, &e),
                     ERR_OK);
    store_close(store);
}

void client_make(struct client *c, const char *sql)
{
    run_sql(c->path, sql);
    client_open(c);
}

void client_damage(struct client *c, const char *sql)
{
    copy_store(c, "kept");
    client_close(c);
    put_store_back(c, "kept");
    if (sql) {
        settle(c->path);
        run_sql(c->path, sql);
    }
    client_open(c);
}

void client_kill(struct client *c)
{
    client_damage(c, NULL);
}

int64_t client_sql(struct client *c, const char *sql)
{
    char copy[100];
    sqlite3 *db;
    sqlite3_stmt *stmt;
    copy_store(c, "looked-at");
    snprintf(copy, sizeof copy, "%s/looked-at", c->folder);
    assert_int_equal(sqlite3_open(copy, &db), SQLITE_OK);
    journal_table_open(db);
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &stmt, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
    int64_t number = sqlite3_column_int64(stmt, 0);
    sqlite3_finalize(stmt);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    return number;
}

/* ---- one request --------------------------------------------------------------------------- */

static void copy_header(struct reply *r, const char *name, const char *value)
{
    if (!strcasecmp(name, "Content-Type"))
        snprintf(r->type, sizeof r->type, "%s", value);
    else if (!strcasecmp(name, "Location"))
        snprintf(r->location, sizeof r->location, "%s", value);
    else if (!strcasecmp(name, "Allow"))
        snprintf(r->allow, sizeof r->allow, "%s", value);
    else if (!strcasecmp(name, "Retry-After"))
        snprintf(r->retry_after, sizeof r->retry_after, "%s", value);
    else if (!strcasecmp(name, "ETag"))
        snprintf(r->etag, sizeof r->etag, "%s", value);
    else if (!strcasecmp(name, "X-State-Digest"))
        snprintf(r->digest, sizeof r->digest, "%s", value);
    else if (!strcasecmp(name, "Idempotent-Replayed"))
        r->replayed = !strcmp(value, "true");
}

static void copy_answer(const struct call *c, struct reply *r)
{
    const struct answer *a = call_answer(c);
    r->status = a->status;
    for (size_t i = 0; a->header[i]; i += 2)
        copy_header(r, a->header[i], a->header[i + 1]);
    r->text = calloc(1, a->bytes + 1);
    r->bytes = a->bytes;
    if (a->bytes)
        memcpy(r->text, a->body, a->bytes);
}

/* Everything before the worker; false: it is answered already. */
static bool submit(struct call *c, const struct request *q)
{
    size_t bytes = q->body && !q->bytes ? strlen(q->body) : q->bytes;
    const char *type = q->type ? q->type : "application/json";
    if (!call_target(c, q->method, q->target) || !call_header(c, "Host", "localhost") ||
        (q->body && !call_header(c, "Content-Type", type)))
        return false;
    for (int i = 0; q->header[i]; i += 2)
        if (!call_header(c, q->header[i], q->header[i + 1]))
            return false;
    if (!call_admit(c, (int64_t)bytes))
        return false;
    size_t half = bytes / 2; /* a body comes in pieces */
    return !bytes || (call_body(c, q->body, half) && call_body(c, q->body + half, bytes - half));
}

static void post_kept(void *arg)
{
    sem_post(arg);
}

bool client_work(struct call *call, struct scratch *s, int64_t slice_ns)
{
    sem_t kept;
    enum call_progress progress = call_work(call, s, slice_ns);
    if (progress != CALL_UNKEPT)
        return progress == CALL_ANSWERED;
    struct api *api = call->api;
    sem_init(&kept, 0, 0);
    call_keep(call, post_kept, &kept);
    api_flush(api);
    while (sem_wait(&kept))
        continue;
    sem_destroy(&kept);
    return true;
}

void client_exchange(struct api *a, struct scratch *s, int64_t slice_ns, const struct request *q,
                     struct reply *out)
{
    *out = (struct reply){.status = 0};
    struct call *c = call_new(a);
    if (!c) { /* what the server answers then */
        out->status = 503;
        return;
    }
    bool again = submit(c, q);
    for (; again; out->slices++)
        again = !client_work(c, s, slice_ns);
    copy_answer(c, out);
    call_free(c);
}

/* The place for the next reply. */
static struct reply *next_reply(struct client *c)
{
    struct reply *r = &c->reply[c->replies++ % CLIENT_REPLIES];
    reply_close(r);
    return r;
}

static void parse(struct reply *r)
{
    if (r->text && r->text[0] && strstr(r->type, "json")) {
        r->json = cJSON_Parse(r->text);
        if (!r->json)
            fail_msg("no JSON: %s", r->text);
    }
}

const struct reply *ask_headed(struct client *c, const struct request *q)
{
    struct reply *r = next_reply(c);
    client_exchange(c->api, c->scratch, c->slice_ns, q, r);
    parse(r);
    return r;
}

const struct reply *ask_plain(struct client *c, const char *method, const char *target,
                              const char *body)
{
    return ask_headed(c, &(struct request){.method = method, .target = target, .body = body});
}

static const struct reply *ask_with(struct client *c, const char *method, const char *target,
                                    const char *body, va_list args) PRINTF_LIKE(4, 0);
static const struct reply *ask_with(struct client *c, const char *method, const char *target,
                                    const char *body, va_list args)
{
    char *text = NULL;
    size_t bytes;
    FILE *out = open_memstream(&text, &bytes);
    assert_non_null(out);
    if (body)
        vfprintf(out, body, args);
    assert_int_equal(fclose(out), 0);
    const struct reply *r = ask_plain(c, method, target, body ? text : NULL);
    free(text);
    return r;
}

const struct reply *ask(struct client *c, const char *method, const char *target, const char *body,
                        ...)
{
    va_list args;
    va_start(args, body);
    const struct reply *r = ask_with(c, method, target, body, args);
    va_end(args);
    return r;
}

static void check_status(const struct reply *r, int status, const char *method, const char *target)
{
    if (r->status != status)
        fail_msg("%s %s: %d, not %d: %.600s", method, target, r->status, status, r->text);
    assert_string_equal(r->type, status == 204   ? ""
                                 : status >= 400 ? "application/problem+json"
                                                 : "application/json");
}

const struct reply *expect(struct client *c, int status, const char *method, const char *target,
                           const char *body, ...)
{
    va_list args;
    va_start(args, body);
    const struct reply *r = ask_with(c, method, target, body, args);
    va_end(args);
    check_status(r, status, method, target);
    return r;
}

struct call *client_start(struct client *c, const char *method, const char *target,
                          const char *body)
{
    struct request q = {.method = method, .target = target, .body = body};
    struct call *call = call_new(c->api);
    assert_non_null(call);
    assert_true(submit(call, &q));
    return call;
}

bool client_slice(struct client *c, struct call *call)
{
    return client_work(call, c->scratch, c->slice_ns);
}

const struct reply *client_finish(struct client *c, struct call *call)
{
    struct reply *r = next_reply(c);
    copy_answer(call, r);
    call_free(call);
    parse(r);
    return r;
}

void client_checkpoint(struct client *c, const char *id)
{
    struct session *s;
    struct err e;
    assert_int_equal(registry_get(&c->api->registry, id, NULL, &s, &e), ERR_OK);
    session_checkpoint(s);
    registry_put(&c->api->registry, s);
    store_wait(c->api->store);
}

bool client_run_due(struct client *c)
{
    struct call *due = api_due(c->api);
    if (!due)
        return false;
    assert_int_equal(call_mode(due), CALL_CHANGE);
    assert_true(client_slice(c, due));
    assert_int_equal(client_finish(c, due)->status, 204);
    expect(c, 200, "GET", "/models?limit=1", NULL); /* the store answers in order: it is there */
    return true;
}

bool client_job_slice(struct client *c)
{
    struct call *due = api_job_due(c->api);
    if (!due)
        return false;
    assert_int_equal(call_mode(due), CALL_CHANGE);
    assert_true(client_slice(c, due));
    assert_int_equal(call_answer(due)->status, 204);
    call_free(due);
    return true;
}

void client_run_jobs(struct client *c)
{
    while (client_job_slice(c))
        continue;
}

void create_net(struct client *c, const char *id, const char *more)
{
    expect(c, 201, "POST", "/models",
           "{\"id\":\"%s\",\"layers\":[{\"type\":\"linear\",\"in_features\":2,\"out_features\":3},"
           "{\"type\":\"tanh\"},{\"type\":\"linear\",\"in_features\":3,\"out_features\":1}],"
           "\"loss\":\"mse\"%s}",
           id, more);
}

char *batch_text(int k)
{
    char text[200];
    double x = 0.25 * k;
    snprintf(text, sizeof text,
             "{\"inputs\":[[%g,1],[-0.5,%g],[0.75,-1],[%g,%g]],\"targets\":[[1],[%g],[-1],[0.5]]}",
             x, x, -x, 1 - x, x);
    return strdup(text);
}

void push_batch(struct client *c, const char *id, int k)
{
    char *text = batch_text(k);
    expect_of(c, 201, "POST", id, "/batches", text);
    free(text);
}

const struct reply *expect_of(struct client *c, int status, const char *method, const char *id,
                              const char *rest, const char *body)
{
    char target[160];
    snprintf(target, sizeof target, "/models/%s%s", id, rest);
    const struct reply *r = ask_plain(c, method, target, body);
    check_status(r, status, method, target);
    return r;
}

char *text_of(struct client *c, const char *target)
{
    char *text = strdup(expect(c, 200, "GET", target, NULL)->text);
    assert_non_null(text);
    return text;
}

void assert_same_answer(struct client *a, const char *target_a, struct client *b,
                        const char *target_b)
{
    char *first = text_of(a, target_a), *second = text_of(b, target_b);
    assert_string_equal(first, second);
    free(first);
    free(second);
}
