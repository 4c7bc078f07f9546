/* api/admin.c - what an operator asks: backups, of a daemon and without one.
 *
 * A daemon makes backups in one folder only, whoever asks. `gradd backup FILE` therefore tells it
 * which folder and whose data it means, and is refused where that is not this daemon's own.
 */
#define _XOPEN_SOURCE 700 /* realpath */

#include "api/admin.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "api/fields.h"
#include "api/handlers.h"
#include "api/state.h"
#include "engine/mem.h"
#include "storage/filesystem.h"

#define NAME_BYTES_MAX 200 /* so that SQLite's suffixes fit into a file's name */

/* ---- folders ------------------------------------------------------------------------------- */

static enum err_kind resolve(const char *path, char out[PATH_MAX], struct err *e)
{
    char text[128] = "";
    if (realpath(path, out))
        return ERR_OK;
    strerror_r(errno, text, sizeof text);
    return err_set(e, ERR_IO, "", "%s: %s", path, text);
}

/* The folder that a file lies, or is to lie, in. */
static enum err_kind resolve_folder(const char *path, char out[PATH_MAX], struct err *e)
{
    char *folder = filesystem_folder(path);
    if (!folder)
        return err_set(e, ERR_NOMEM, "", "no memory for a file's name");
    enum err_kind rc = resolve(folder, out, e);
    mem_free(folder);
    return rc;
}

static enum err_kind find_folder(const struct api_config *config, char out[PATH_MAX], struct err *e)
{
    if (!config->backup_dir || !*config->backup_dir)
        return resolve_folder(config->data, out, e);
    return resolve(config->backup_dir, out, e);
}

enum err_kind admin_open(struct api *a, struct err *e)
{
    char data[PATH_MAX], folder[PATH_MAX];
    enum err_kind rc = resolve(a->config.data, data, e);
    if (!rc)
        rc = find_folder(&a->config, folder, e);
    if (rc)
        return err_wrap(e, "no backups can be made: ");
    a->data_file = mem_string(data);
    a->backup_folder = mem_string(folder);
    bool ok = a->data_file && a->backup_folder;
    return ok ? ERR_OK : err_set(e, ERR_NOMEM, "", "no memory for a file's name");
}

void admin_close(struct api *a)
{
    mem_free(a->data_file);
    mem_free(a->backup_folder);
}

/* ---- POST /admin/backup: reading ----------------------------------------------------------- */

/* A backup between the slices of its call. */
struct copying {
    struct store_backup *backup;
    char path[PATH_MAX];
};

static void copying_free(void *state)
{
    struct copying *k = state;
    store_backup_end(k->backup);
    mem_free(k);
}

static bool is_file_name(const char *name)
{
    for (const char *p = name; *p; p++)
        if (*p == '/' || (unsigned char)*p < ' ' || *p == 0x7f)
            return false;
    return *name && *name != '.';
}

static enum err_kind read_name(const cJSON *root, char name[NAME_BYTES_MAX + 1], struct err *e)
{
    const char *given = NULL;
    time_t now = (time_t)(clock_millis() / 1000);
    struct tm utc;
    enum err_kind rc = field_string(root, "file", OPTIONAL, NAME_BYTES_MAX, &given, e);
    if (rc)
        return rc;
    if (given && !is_file_name(given))
        return err_set(e, ERR_INVALID, "/file",
                       "must be a file's name, without a folder and without a dot at its front");
    if (given)
        mem_fit(name, NAME_BYTES_MAX + 1, given);
    else
        strftime(name, NAME_BYTES_MAX + 1, "gradd-%Y%m%dT%H%M%SZ.db", gmtime_r(&now, &utc));
    return ERR_OK;
}

/* A field by which the client says what it takes for `own`; without it nothing is taken for
 * anything. */
static enum err_kind check_own(const cJSON *root, const char *name, const char *own,
                               const char *what, struct err *e)
{
    char pointer[16];
    const char *taken = own;
    enum err_kind rc = field_string(root, name, OPTIONAL, PATH_MAX, &taken, e);
    if (rc || !strcmp(taken, own))
        return rc;
    snprintf(pointer, sizeof pointer, "/%s", name);
    return err_set(e, ERR_INVALID, pointer, "the daemon %s %s, not %s", what, own, taken);
}

static enum err_kind read_request(struct call *c, struct copying *k, struct err *e)
{
    static const char *const names[] = {"file", "folder", "data", NULL};
    const cJSON *root = c->in.root;
    const char *folder = c->api->backup_folder;
    char name[NAME_BYTES_MAX + 1];
    enum err_kind rc = fields_check(root, names, e);
    if (!rc)
        rc = check_own(root, "data", c->api->data_file, "asked has the data", e);
    if (!rc)
        rc = check_own(root, "folder", folder, "makes backups in", e);
    if (!rc)
        rc = read_name(root, name, e);
    if (rc)
        return rc;
    bool top = !strcmp(folder, "/");
    int bytes = snprintf(k->path, sizeof k->path, "%s/%s", top ? "" : folder, name);
    if (bytes >= (int)sizeof k->path)
        return err_set(e, ERR_INVALID, "/file", "is too long for its folder");
    return ERR_OK;
}

/* ---- POST /admin/backup: copying ----------------------------------------------------------- */

static enum err_kind begin(struct call *c, struct err *e)
{
    struct copying *k = mem_array(1, sizeof *k);
    if (!k)
        return err_set(e, ERR_NOMEM, "", "no memory for a backup");
    c->state = k;
    c->state_free = copying_free;
    enum err_kind rc = read_request(c, k, e);
    if (!rc) {
        rc = store_backup_begin(c->api->store, k->path, &k->backup, e);
        if (rc == ERR_INVALID)
            err_prefix(e, "/file");
    }
    return rc;
}

/* A slice is a step: the worker waits for the store's thread, and then others have their turn. */
enum err_kind post_backup(struct call *c, struct err *e)
{
    int64_t bytes = 0;
    enum err_kind rc = c->state ? ERR_OK : begin(c, e);
    if (!rc && atomic_load(&c->api->draining))
        rc = err_set(e, ERR_UNAVAILABLE, "", "the daemon is shutting down");
    struct copying *k = c->state;
    if (!rc)
        rc = store_backup_step(k->backup, &bytes, e);
    c->again = !rc && bytes == 0;
    if (!rc && bytes > 0) {
        json_begin_object(&c->out);
        json_key_string(&c->out, "file", k->path);
        json_key_int(&c->out, "bytes", bytes);
        json_end_object(&c->out);
    }
    return rc;
}

/* ---- gradd backup -------------------------------------------------------------------------- */

enum err_kind api_backup(const struct api_config *config, const char *path, int64_t *bytes,
                         bool *in_use, struct err *e)
{
    const struct store_options options = {.network_files = config->network_files};
    struct store *s;
    struct stat info;
    *bytes = 0;
    *in_use = false;
    if (stat(config->data, &info))
        return err_set(e, ERR_NOT_FOUND, "", "there is no data at %s", config->data);
    enum err_kind rc = store_open(config->data, &options, &s, e);
    *in_use = rc == ERR_CONFLICT;
    if (rc)
        return rc;
    rc = store_backup(s, path, bytes, e);
    store_close(s);
    return rc;
}

enum err_kind api_backup_ask(const struct api_config *config, const char *path, char **body,
                             struct err *e)
{
    char folder[PATH_MAX], data[PATH_MAX];
    const char *slash = strrchr(path, '/');
    struct json_out out = {.text = NULL};
    *body = NULL;
    enum err_kind rc = resolve_folder(path, folder, e);
    if (!rc)
        rc = resolve(config->data, data, e);
    if (rc)
        return rc;
    json_begin_object(&out);
    json_key_string(&out, "file", slash ? slash + 1 : path);
    json_key_string(&out, "folder", folder);
    json_key_string(&out, "data", data);
    json_end_object(&out);
    if (json_out_end(&out))
        *body = json_out_take(&out, &(size_t){0});
    json_out_close(&out);
    return *body ? ERR_OK : err_set(e, ERR_NOMEM, "", "no memory for a request");
}

/* The problem's own words, if it is one. */
static enum err_kind repeat_problem(int status, const struct json *j, struct err *e)
{
    const cJSON *detail = field_find(j->root, "detail");
    if (cJSON_IsString(detail))
        return err_set(e, ERR_UNAVAILABLE, "", "%s", detail->valuestring);
    return err_set(e, ERR_UNAVAILABLE, "", "the answer, with the status %d, is not a gradd's",
                   status);
}

enum err_kind api_backup_answer(int status, const char *body, size_t bytes, int64_t *copied,
                                struct err *e)
{
    struct json j = {.root = NULL};
    json_init();
    enum err_kind rc = json_parse(body, bytes, &j, e);
    if (!rc && status == 201)
        rc = field_int(j.root, "bytes", REQUIRED, 0, INT64_MAX, copied, e);
    if (rc || status != 201)
        rc = repeat_problem(status, &j, e);
    json_close(&j);
    return rc;
}
