#include "api/routes.h"

#include <stdio.h>
#include <string.h>

#include "api/handlers.h"

/* What takes arrays takes safetensors, and .npy where it is one; and so do answers. */
#define IN      TAKES_SAFETENSORS
#define IN_NPY  (TAKES_SAFETENSORS | TAKES_NPY)
#define IN_CSV  (TAKES_SAFETENSORS | TAKES_CSV)
#define OUT     GIVES_SAFETENSORS
#define OUT_NPY (GIVES_SAFETENSORS | GIVES_NPY)

/* A row may leave out its last column. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"
/* clang-format off */
const struct route routes[] = {
    {"GET",    "/healthz", get_healthz, CALL_INLINE, 200, BODY_NONE, 0,     {NULL}, "the process is alive"},
    {"GET",    "/readyz",  get_readyz,  CALL_INLINE, 200, BODY_NONE, 0,     {NULL}, "the storage is open and nothing is draining; 503 while not"},

    {"GET",    "/memory",  get_memory,  CALL_READ,   200, BODY_NONE, 0,     {NULL}, "what the process's memory holds, by classes, in bytes"},
    {"GET",    "/metrics", get_metrics, CALL_READ,   200, BODY_NONE, 0,     {NULL}, "the same, and what else a monitor watches, as Prometheus reads it"},

    {"POST",   "/autograd", post_autograd, CALL_READ, 200, BODY_DATA, 0,     {NULL}, "run a program; `return` names what to show, `graph` shows the graph"},

    {"POST",   "/models",      post_models,  CALL_READ,   201, BODY_DATA, 0,     {NULL}, "create a model"},
    {"GET",    "/models",      get_models,   CALL_READ,   200, BODY_NONE, 0,     {"limit", "after"}, "list"},
    {"GET",    "/models/{id}", get_model,    CALL_READ,   200, BODY_NONE, LIGHT, {NULL}, "one, whole"},
    {"PATCH",  "/models/{id}", patch_model,  CALL_CHANGE, 200, BODY_JSON, TAKES_MERGE_PATCH, {NULL}, "change `optimizer`, `requires_grad`, `on_divergence`, `durability`"},
    {"DELETE", "/models/{id}", delete_model, CALL_CHANGE, 204, BODY_NONE, MENDS, {NULL}, "remove it with all it owns"},

    {"POST",   "/models/{id}/batches",     post_batches, CALL_CHANGE, 201, BODY_DATA, IN_CSV, {"targets"}, "push a batch"},
    {"GET",    "/models/{id}/batches",     get_batches,  CALL_READ,   200, BODY_NONE, 0,     {"limit", "after"}, "list"},
    {"GET",    "/models/{id}/batches/{n}", get_batch,    CALL_READ,   200, BODY_NONE, OUT,   {NULL}, "its data"},
    {"DELETE", "/models/{id}/batches/{n}", delete_batch, CALL_CHANGE, 204, BODY_NONE, 0,     {NULL}, "remove it"},

    {"POST",   "/models/{id}/step",           post_step,           CALL_CHANGE, 200, BODY_DATA, LIGHT | IN, {NULL}, "`zero_grad`, forward, loss, `backward`, `optimizer.step`; `steps` times"},
    {"POST",   "/models/{id}/backward",       post_backward,       CALL_CHANGE, 200, BODY_DATA, LIGHT | IN | OUT, {NULL}, "forward, loss, `backward`; gradients add up"},
    {"POST",   "/models/{id}/zero_grad",      post_zero_grad,      CALL_CHANGE, 200, BODY_JSON, LIGHT, {NULL}, "clear the gradients"},
    {"POST",   "/models/{id}/optimizer/step", post_optimizer_step, CALL_CHANGE, 200, BODY_JSON, LIGHT, {NULL}, "apply the accumulated gradients"},

    {"POST",   "/models/{id}/fit",                 post_fit,            CALL_CHANGE, 202, BODY_JSON, 0,     {NULL}, "a job: `epochs` over all batches, in minibatches"},

    {"GET",    "/jobs",     get_jobs,   CALL_READ,   200, BODY_NONE, 0,     {"limit", "after", "model"}, "list"},
    {"GET",    "/jobs/{n}", get_job,    CALL_READ,   200, BODY_NONE, 0,     {NULL}, "one: its state, how far it is, and what came of it"},
    {"DELETE", "/jobs/{n}", delete_job, CALL_CHANGE, 204, BODY_NONE, OF_JOB, {NULL}, "cancel it between two steps; a finished one is removed"},

    {"POST",   "/models/{id}/forward",           post_forward,   CALL_READ,    200, BODY_DATA, LIGHT | IN_NPY | OUT_NPY, {NULL}, "outputs, and with `targets` the loss; no graph", forward_together},
    {"GET",    "/models/{id}/gradients",         get_gradients,  CALL_BETWEEN, 200, BODY_NONE, OUT,   {"summary"}, "of every parameter; `?summary=1` leaves `data` out"},
    {"GET",    "/models/{id}/gradients/{name}",  get_gradients,  CALL_BETWEEN, 200, BODY_NONE, OUT_NPY, {"summary"}, "of one"},
    {"GET",    "/models/{id}/parameters",        get_parameters, CALL_READ,    200, BODY_NONE, OUT,   {NULL}, "the `state_dict`"},
    {"GET",    "/models/{id}/parameters/{name}", get_parameters, CALL_READ,    200, BODY_NONE, OUT_NPY, {NULL}, "one of it"},
    {"PUT",    "/models/{id}/parameters",        put_parameters, CALL_CHANGE,  200, BODY_DATA, IN,    {NULL}, "replace it, all or nothing"},
    {"PUT",    "/models/{id}/parameters/{name}", put_parameters, CALL_CHANGE,  200, BODY_DATA, IN_NPY, {NULL}, "replace one"},
    {"GET",    "/models/{id}/graph",             get_graph,      CALL_BETWEEN, 200, BODY_NONE, 0,     {NULL}, "the autograd graph of one training step, by PyTorch's names"},
    {"GET",    "/models/{id}/losses",            get_losses,     CALL_READ,    200, BODY_NONE, 0,     {"after", "limit", "points"}, "the loss of every step; `points` downsamples and keeps the extremes"},
    {"GET",    "/models/{id}/events",            get_events,     CALL_BETWEEN, 200, BODY_NONE, 0,     {NULL}, "what happens to it, as Server-Sent Events; `Last-Event-ID` goes on from there"},

    {"POST",   "/models/{id}/checkpoints",             post_checkpoints,  CALL_CHANGE, 201, BODY_JSON, 0,     {NULL}, "keep this state, with a `label`"},
    {"GET",    "/models/{id}/checkpoints",             get_checkpoints,   CALL_READ,   200, BODY_NONE, 0,     {"limit", "after"}, "list"},
    {"GET",    "/models/{id}/checkpoints/{n}",         get_checkpoint,    CALL_READ,   200, BODY_NONE, OUT,   {NULL}, "its parameters, as safetensors"},
    {"POST",   "/models/{id}/checkpoints/{n}/restore", post_restore,      CALL_CHANGE, 200, BODY_JSON, MENDS, {NULL}, "go back to it, bit for bit"},
    {"POST",   "/models/{id}/restore",                 post_restore_step, CALL_CHANGE, 200, BODY_JSON, MENDS, {NULL}, "go back to a `step`, bit for bit"},
    {"POST",   "/models/{id}/fork",                    post_fork,         CALL_CHANGE, 201, BODY_JSON, MENDS, {NULL}, "a second model, `id`, from here or from a `step`"},
    {"DELETE", "/models/{id}/checkpoints/{n}",         delete_checkpoint, CALL_CHANGE, 204, BODY_NONE, 0,     {NULL}, "remove it"},

    {"POST",   "/admin/backup", post_backup, CALL_READ, 201, BODY_JSON, 0, {NULL}, "copy all that is kept to one file of `--backup-dir`, named by `file`"},
    {.method = NULL},
};
/* clang-format on */
#pragma GCC diagnostic pop

const struct route route_checkpoint_due = {
    .method = "-", .path = "-", .handler = checkpoint_due, .mode = CALL_CHANGE, .status = 204};
const struct route route_job_due = {
    .method = "-", .path = "-", .handler = job_due, .mode = CALL_CHANGE, .status = 204};
const struct route route_put_away_due = {
    .method = "-", .path = "-", .handler = put_away_due, .mode = CALL_READ, .status = 204};

unsigned route_takes(const struct route *r)
{
    return MEDIA_BIT(MEDIA_JSON) | (r->traits >> 16 & 0xff);
}

unsigned route_gives(const struct route *r)
{
    return MEDIA_BIT(MEDIA_JSON) | r->traits >> 24;
}

#define SEGMENTS_MAX 8

/* Cuts "/a/b" into its segments in place; -1: too many, or one is empty. */
static int cut(char *path, char *segment[SEGMENTS_MAX])
{
    int n = 0;
    while (*path == '/') {
        *path++ = '\0';
        if (n == SEGMENTS_MAX)
            return -1;
        segment[n++] = path;
        path += strcspn(path, "/");
    }
    for (int i = 0; i < n; i++)
        if (!segment[i][0])
            return -1;
    return n;
}

/* Do the segments fit the pattern? Then param gets those at its {…}. */
static bool fits(const char *pattern, char *const *segment, int segments,
                 const char *param[ROUTE_PARAMS_MAX])
{
    int i = 0, params = 0;
    for (; *pattern == '/'; i++) {
        size_t n = strcspn(++pattern, "/");
        if (i == segments)
            return false;
        if (*pattern == '{')
            param[params++] = segment[i];
        else if (strlen(segment[i]) != n || memcmp(segment[i], pattern, n) != 0)
            return false;
        pattern += n;
    }
    return i == segments;
}

static void allow_one_more(char *allow, size_t bytes, const char *method)
{
    size_t n = strlen(allow);
    snprintf(allow + n, bytes - n, "%s%s", n ? ", " : "", method);
    if (!strcmp(method, "GET"))
        snprintf(allow + strlen(allow), bytes - strlen(allow), ", HEAD");
}

/* The methods of the path. */
static void list_methods(char *const *segment, int segments, char *allow, size_t allow_bytes)
{
    for (const struct route *r = routes; r->method; r++) {
        const char *ignored[ROUTE_PARAMS_MAX];
        if (fits(r->path, segment, segments, ignored))
            allow_one_more(allow, allow_bytes, r->method);
    }
}

const struct route *route_match(const char *method, char *path, const char *param[ROUTE_PARAMS_MAX],
                                char *allow, size_t allow_bytes)
{
    char *segment[SEGMENTS_MAX];
    int segments = cut(path, segment);
    const char *wanted = strcmp(method, "HEAD") != 0 ? method : "GET";
    allow[0] = '\0';
    for (const struct route *r = routes; r->method && segments > 0; r++) {
        const char *found[ROUTE_PARAMS_MAX] = {"", ""};
        if (strcmp(r->method, wanted) != 0 || !fits(r->path, segment, segments, found))
            continue;
        memcpy(param, found, sizeof found);
        return r;
    }
    if (segments > 0)
        list_methods(segment, segments, allow, allow_bytes);
    return NULL;
}

void routes_write_markdown(void (*write)(void *arg, const char *line), void *arg)
{
    char line[256];
    write(arg, "| method | path | does |");
    write(arg, "|---|---|---|");
    for (const struct route *r = routes; r->method; r++) {
        snprintf(line, sizeof line, "| `%s` | `%s` | %s |", r->method, r->path, r->does);
        write(arg, line);
    }
}

void routes_write_media(void (*write)(void *arg, const char *line), void *arg)
{
    const unsigned json = MEDIA_BIT(MEDIA_JSON) | MEDIA_BIT(MEDIA_MERGE_PATCH);
    char line[256], takes[100], gives[100];
    write(arg, "| method | path | takes | gives |");
    write(arg, "|---|---|---|---|");
    for (const struct route *r = routes; r->method; r++) {
        media_join(route_takes(r) & ~json, takes, sizeof takes);
        media_join(route_gives(r) & ~json, gives, sizeof gives);
        snprintf(line, sizeof line, "| `%s` | `%s` | %s | %s |", r->method, r->path, takes, gives);
        if (takes[0] || gives[0])
            write(arg, line);
    }
}
