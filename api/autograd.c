/* api/autograd.c - POST /autograd: reads a program and its tensors, and runs it. */
#include <stdio.h>
#include <string.h>

#include "api/fields.h"
#include "api/handlers.h"
#include "api/run.h"
#include "api/state.h"
#include "api/tensor_in.h"
#include "engine/utf8.h"

#define SEED_MAX         (((int64_t)1 << 53) - 1)
#define TENSORS_MAX      1024
#define NAME_BYTES       256
#define RETURN_MAX       256
#define RETURN_BYTES_MAX 4096
#define WORK_MAX         1e12 /* multiplications: some tens of seconds */

#define STDOUT_BYTES ((size_t)64 << 10)
#define CALLS_MAX    10000

static void run_free(void *state)
{
    struct run *r = state;
    r->tape.workspace = NULL;
    tape_close(&r->tape);
    run_close_program(r, &r->program);
    mem_budget_give(&r->call->api->autograd, r->held);
    mem_free(r);
}

/* ---- errors -------------------------------------------------------------------------------- */

/* What was refused is too much for this program alone, or only while others run. */
static enum err_kind no_memory(const struct run *r, struct err *e)
{
    size_t max = r->call->api->config.autograd_memory;
    size_t own = r->tape.arena.total + r->held, refused = r->tape.arena.refused;
    if (refused == 0) /* it was the machine's */
        return e->kind;
    if (own > max || refused > max - own)
        return err_set(e, ERR_INVALID, "/program",
                       "the program needs more than %zu bytes of memory", max);
    return err_set(e, ERR_UNAVAILABLE, "", "other programs have the memory that this one needs");
}

void run_write_output(const struct run *r, struct json_out *w)
{
    const struct text *out = &r->interp.out;
    const char *at = out->at ? out->at : "";
    json_key(w, "stdout");
    json_string_n(w, at, out->cut ? utf8_whole(at, out->bytes) : out->bytes);
}

enum err_kind run_mistake(struct run *r, const char *pointer, const struct place *where,
                          struct err *e)
{
    if (e->kind == ERR_NOMEM)
        return e->kind;
    e->kind = ERR_INVALID; /* to the client a graph that was given up is a mistake like others */
    json_key_int(call_extra(r->call), "line", where->line);
    json_key_int(call_extra(r->call), "column", where->column);
    run_write_output(r, call_extra(r->call));
    return err_prefix(e, "%s", pointer);
}

enum err_kind run_hold(struct run *r, size_t bytes, struct err *e)
{
    if (!mem_budget_take(&r->call->api->autograd, bytes)) {
        r->tape.arena.refused = bytes;
        return err_set(e, ERR_NOMEM, "", "no memory for the program");
    }
    r->held += bytes;
    return ERR_OK;
}

/* ---- time ---------------------------------------------------------------------------------- */

static bool time_is_up(const struct run *r)
{
    return r->ran + clock_ns() - r->began > r->call->api->config.autograd_seconds * 1000000000;
}

static enum err_kind too_long(const struct run *r, struct err *e)
{
    return err_set(e, ERR_INVALID, "", "the program took longer than %lld seconds",
                   (long long)r->call->api->config.autograd_seconds);
}

/* Asked before each call of the program, for a single statement may make thousands. */
static enum err_kind allow(void *arg, struct err *e)
{
    const struct run *r = arg;
    return time_is_up(r) ? too_long(r, e) : ERR_OK;
}

/* ---- programs ------------------------------------------------------------------------------ */

enum err_kind run_open_program(struct run *r, const char *text, const char *pointer,
                               struct program *out, struct err *e)
{
    struct place where = {1, 1};
    enum err_kind rc = program_parse(text, strlen(text), out, &where, e);
    if (!rc)
        rc = program_bind(out, false, &where, e);
    if (rc)
        rc = run_mistake(r, pointer, &where, e);
    if (!rc)
        rc = run_hold(r, out->arena.total, e);
    if (rc)
        program_close(out);
    return rc;
}

void run_close_program(struct run *r, struct program *p)
{
    size_t bytes = p->arena.total;
    program_close(p);
    mem_budget_give(&r->call->api->autograd, bytes);
    r->held -= bytes;
}

/* ---- reading the request ------------------------------------------------------------------- */

static enum err_kind read_tensor(struct run *r, const cJSON *item, struct err *e)
{
    const struct json *j = &r->call->in;
    struct tensor_in in = {.dtype = DTYPE_FLOAT32};
    enum err_kind rc = variable_check(item->string, NAME_BYTES, e);
    if (!rc)
        rc = tensor_in_read(j, item, &in, e);
    if (rc)
        return rc;
    struct tensor *t = tape_tensor(&r->tape, in.dtype, &in.shape);
    if (!t)
        return err_set(e, ERR_NOMEM, "", "no memory for the tensor");
    t->requires_grad = in.requires_grad;
    rc = tensor_in_numbers(j, &in, tensor_data(t), e);
    struct value value = {.kind = VALUE_TENSOR, .tensor = t};
    return rc ? rc : interp_set(&r->interp, item->string, value, e);
}

static enum err_kind read_tensors(struct run *r, struct err *e)
{
    const cJSON *tensors;
    char key[2 * NAME_BYTES];
    enum err_kind rc = field_object(r->call->in.root, "tensors", OPTIONAL, &tensors, e);
    if (rc || !tensors)
        return rc;
    if (cJSON_GetArraySize(tensors) > TENSORS_MAX)
        return err_set(e, ERR_INVALID, "/tensors", "must be at most %d", TENSORS_MAX);
    for (const cJSON *item = tensors->child; item; item = item->next)
        if (read_tensor(r, item, e) != ERR_OK) {
            err_escape(item->string, key, sizeof key);
            return err_prefix(e, "/tensors/%s", key);
        }
    return ERR_OK;
}

/* A list of numbers comes as a literal, which the document shows as an empty list. */
static bool has_numbers(const struct run *r, const cJSON *list)
{
    struct shape shape;
    struct err ignored;
    return json_is_tensor(list) && (shape_of_data(&r->call->in, list, &shape, &ignored) != ERR_OK ||
                                    shape.rank != 1 || shape.dim[0] != 0);
}

/* A list of expressions, no two the same: they are the keys of `values`. */
static enum err_kind read_return(struct run *r, struct err *e)
{
    const cJSON *list = field_find(r->call->in.root, "return");
    char pointer[32];
    int i = 0;
    if (!list || cJSON_IsNull(list))
        return ERR_OK;
    if (!cJSON_IsArray(list) || has_numbers(r, list) || cJSON_GetArraySize(list) > RETURN_MAX)
        return err_set(e, ERR_INVALID, "/return", "must be a list of at most %d expressions",
                       RETURN_MAX);
    for (const cJSON *item = list->child; item; item = item->next, i++) {
        snprintf(pointer, sizeof pointer, "/return/%d", i);
        if (!cJSON_IsString(item) || strlen(item->valuestring) > RETURN_BYTES_MAX)
            return err_set(e, ERR_INVALID, pointer,
                           "must be an expression, as a string of at most %d bytes",
                           RETURN_BYTES_MAX);
        for (const cJSON *other = list->child; other != item; other = other->next)
            if (!strcmp(other->valuestring, item->valuestring))
                return err_set(e, ERR_INVALID, pointer, "is there twice");
    }
    r->wanted = list;
    r->next = list->child;
    return ERR_OK;
}

static enum err_kind read_request(struct run *r, struct err *e)
{
    static const char *const names[] = {"program", "seed", "tensors", "return", "graph", NULL};
    const cJSON *root = r->call->in.root;
    const char *text;
    int64_t seed = 0;
    enum err_kind rc = fields_check(root, names, e);
    if (!rc)
        rc = field_string(root, "program", REQUIRED, PROGRAM_BYTES_MAX, &text, e);
    if (!rc)
        rc = field_int(root, "seed", OPTIONAL, 0, SEED_MAX, &seed, e);
    if (!rc)
        rc = field_bool(root, "graph", OPTIONAL, &r->graph, e);
    if (rc)
        return rc;
    interp_init(&r->interp, &r->tape, (uint64_t)seed,
                &(struct interp_limits){
                    .stdout_bytes = STDOUT_BYTES, .calls = CALLS_MAX, .allow = allow, .arg = r});
    rc = read_return(r, e);
    if (!rc)
        rc = run_open_program(r, text, "/program", &r->program, e);
    return rc ? rc : read_tensors(r, e);
}

static enum err_kind begin(struct call *c, struct err *e)
{
    struct run *r = mem_array(1, sizeof *r);
    if (!r)
        return err_set(e, ERR_NOMEM, "", "no memory for the call");
    c->state = r;
    c->state_free = run_free;
    r->call = c;
    tape_init_dry(&r->tape, c->api->kernels);
    r->tape.dry = false; /* only without a workspace: that is lent */
    r->tape.work_max = WORK_MAX;
    r->tape.arena.budget = &c->api->autograd;
    return read_request(r, e);
}

/* ---- running ------------------------------------------------------------------------------- */

/* At least one statement a slice, however short that is. */
static bool must_stop(void *arg)
{
    struct run *r = arg;
    bool first = !r->asked;
    r->asked = true;
    return (!first && call_slice_is_over(r->call)) || time_is_up(r);
}

/* The program, and when it has ended the values, until all is done or the slice is over. */
static enum err_kind run_slice(struct run *r, bool *again, struct err *e)
{
    enum err_kind rc = ERR_OK;
    *again = false;
    if (!r->done) {
        rc = interp_run(&r->interp, &r->program, must_stop, r, again, e);
        if (rc)
            return run_mistake(r, "/program", &r->interp.where, e);
        if (!*again)
            rc = run_begin_values(r, e);
    }
    while (!rc && r->done && r->next && !*again) {
        rc = run_write_value(r, e);
        *again = r->next && (call_slice_is_over(r->call) || time_is_up(r));
    }
    return rc;
}

static enum err_kind work(struct run *r, bool *again, struct err *e)
{
    r->asked = false;
    r->began = clock_ns();
    r->tape.workspace = r->call->scratch->tape.workspace;
    r->tape.crew = r->call->scratch->tape.crew;
    enum err_kind rc = run_slice(r, again, e);
    if (!rc && *again && time_is_up(r) && too_long(r, e))
        rc = run_mistake(r, "/program", &r->interp.statement, e);
    if (!rc && !*again)
        rc = run_write_rest(r, e);
    r->ran += clock_ns() - r->began;
    return rc;
}

enum err_kind post_autograd(struct call *c, struct err *e)
{
    bool first = !c->state, again = false;
    enum err_kind rc = first ? begin(c, e) : ERR_OK;
    struct run *r = c->state;
    if (!rc && !first && atomic_load(&c->api->draining))
        rc = err_set(e, ERR_UNAVAILABLE, "", "the daemon is shutting down");
    if (!rc)
        rc = work(r, &again, e);
    c->again = !rc && again;
    return rc == ERR_NOMEM && r ? no_memory(r, e) : rc;
}
