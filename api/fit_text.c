/* api/fit_text.c - plans and places of jobs in JSON. */
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "api/call.h"
#include "api/fields.h"
#include "api/fit.h"

#define EPOCHS_MAX INT64_C(1000000000)
#define ROWS_MAX   (UINT32_MAX / 20) /* see rng_permutation */
#define SEED_MAX   (((int64_t)1 << 53) - 1)

/* ---- what a client gives ------------------------------------------------------------------- */

const char *const fit_plan_fields[] = {"epochs",           "batch_size",     "shuffle",     "seed",
                                       "validation_split", "early_stopping", "lr_schedule", NULL};

enum { STOPPING_PATIENCE, STOPPING_MIN_DELTA };
static const struct options stopping = {
    NULL,
    {[STOPPING_PATIENCE] = {.name = "patience",
                            .kind = OPTION_INTEGER,
                            .required = true,
                            .min = 1,
                            .max = OPTION_INT_MAX},
     [STOPPING_MIN_DELTA] = {.name = "min_delta", .kind = OPTION_NUMBER, .max = INFINITY}}};

static enum err_kind stopping_read(const cJSON *root, struct fit_plan *p, struct err *e)
{
    double value[OPTIONS_MAX];
    const cJSON *object;
    if (field_object(root, "early_stopping", OPTIONAL, &object, e) != ERR_OK)
        return e->kind;
    p->stops_early = object != NULL;
    if (!object)
        return ERR_OK;
    if (field_find(object, "type"))
        err_set(e, ERR_INVALID, "/type", "there is no such field");
    else if (options_read(&stopping, object, NULL, value, e) == ERR_OK) {
        p->patience = (int64_t)value[STOPPING_PATIENCE];
        p->min_delta = value[STOPPING_MIN_DELTA];
        return ERR_OK;
    }
    return err_prefix(e, "/early_stopping");
}

static enum err_kind schedule_read(const cJSON *root, struct schedule *out, struct err *e)
{
    const char *type = NULL;
    const cJSON *object;
    if (field_object(root, "lr_schedule", OPTIONAL, &object, e) != ERR_OK)
        return e->kind;
    if (!object)
        return ERR_OK;
    if (field_string(object, "type", REQUIRED, 64, &type, e) != ERR_OK)
        return err_prefix(e, "/lr_schedule");
    out->type = schedule_find(type);
    if (!out->type)
        return err_set(e, ERR_INVALID, "/lr_schedule/type", "there is no schedule \"%s\"", type);
    if (options_read(&out->type->options, object, NULL, out->value, e) != ERR_OK)
        return err_prefix(e, "/lr_schedule");
    return ERR_OK;
}

static enum err_kind split_read(const cJSON *root, double *out, struct err *e)
{
    const cJSON *field = field_find(root, "validation_split");
    if (!field || cJSON_IsNull(field))
        return ERR_OK;
    if (!cJSON_IsNumber(field) || !(field->valuedouble >= 0 && field->valuedouble < 1))
        return err_set(e, ERR_INVALID, "/validation_split",
                       "must be a number of at least 0 and below 1");
    *out = field->valuedouble;
    return ERR_OK;
}

enum err_kind fit_plan_read(const cJSON *object, struct fit_plan *out, struct err *e)
{
    *out = (struct fit_plan){.epochs = 1, .batch_size = 32};
    enum err_kind rc = field_int(object, "epochs", OPTIONAL, 1, EPOCHS_MAX, &out->epochs, e);
    if (!rc)
        rc = field_int(object, "batch_size", OPTIONAL, 1, ROWS_MAX, &out->batch_size, e);
    if (!rc)
        rc = field_bool(object, "shuffle", OPTIONAL, &out->shuffle, e);
    if (!rc)
        rc = field_int(object, "seed", OPTIONAL, 0, SEED_MAX, &out->seed, e);
    if (!rc)
        rc = split_read(object, &out->validation_split, e);
    if (!rc)
        rc = stopping_read(object, out, e);
    return rc ? rc : schedule_read(object, &out->schedule, e);
}

/* ---- which data it means ------------------------------------------------------------------- */

static bool same_rows(const struct shape *a, const struct shape *b)
{
    struct shape other = *b;
    other.dim[0] = a->dim[0];
    return shape_equal(a, &other);
}

static enum err_kind check_batches(const struct session *s, struct err *e)
{
    const struct batch *first = s->batch[0];
    for (size_t i = 1; i < s->batches; i++) {
        const struct batch *b = s->batch[i];
        if (!same_rows(&first->x.shape, &b->x.shape) || !same_rows(&first->y.shape, &b->y.shape))
            return err_set(e, ERR_INVALID, "",
                           "the rows of batches %lld and %lld have different shapes",
                           (long long)first->n, (long long)b->n);
    }
    return ERR_OK;
}

/* The model takes minibatches of all the sizes that come. */
static enum err_kind check_sizes(const struct fit_plan *p, const struct session *s, struct err *e)
{
    struct batch_rules rules = session_rules(s);
    const int64_t part[] = {p->train_rows, p->rows - p->train_rows};
    enum err_kind rc = ERR_OK;
    for (int i = 0; !rc && i < 2; i++) {
        int64_t whole = part[i] < p->batch_size ? part[i] : p->batch_size;
        if (whole)
            rc = batch_fits_like(s->batch[0], whole, &rules, e);
        if (!rc && part[i] % p->batch_size)
            rc = batch_fits_like(s->batch[0], part[i] % p->batch_size, &rules, e);
    }
    return rc ? err_prefix(e, "/batch_size") : ERR_OK;
}

enum err_kind fit_plan_data(struct fit_plan *p, const struct session *s, struct err *e)
{
    if (s->batches == 0)
        return err_set(e, ERR_CONFLICT, "", "the model has no batches: push one");
    p->last_batch = s->batch[s->batches - 1]->n;
    for (size_t i = 0; i < s->batches; i++)
        p->rows += s->batch[i]->x.shape.dim[0];
    if (p->rows > ROWS_MAX)
        return err_set(e, ERR_INVALID, "", "a job takes at most %lld rows", (long long)ROWS_MAX);
    p->train_rows = (int64_t)floor((double)p->rows * (1 - p->validation_split));
    if (p->train_rows < 1 || (p->validation_split > 0 && p->train_rows == p->rows))
        return err_set(e, ERR_INVALID, "/validation_split",
                       "leaves no rows to train with, or none to validate with, of %lld",
                       (long long)p->rows);
    enum err_kind rc = check_batches(s, e);
    return rc ? rc : check_sizes(p, s, e);
}

/* ---- writing ------------------------------------------------------------------------------- */

void fit_plan_write(struct json_out *w, const struct fit_plan *p)
{
    json_key_int(w, "batch_size", p->batch_size);
    json_key_bool(w, "shuffle", p->shuffle);
    json_key_int(w, "seed", p->seed);
    json_key_f64(w, "validation_split", p->validation_split);
    json_key(w, "early_stopping");
    if (p->stops_early) {
        json_begin_object(w);
        json_key_int(w, "patience", p->patience);
        json_key_f64(w, "min_delta", p->min_delta);
        json_end_object(w);
    } else {
        json_null(w);
    }
    json_key(w, "lr_schedule");
    if (p->schedule.type)
        options_write(w, &p->schedule.type->options, p->schedule.value);
    else
        json_null(w);
}

/* The members of a place, and those of a plan that no client gives: one list to write and read. */
enum member_kind { MEMBER_INT, MEMBER_REAL, MEMBER_BOOL };
struct member {
    const char *name;
    enum member_kind kind;
    size_t at;
};
static const struct member members[] = {
    {"job", MEMBER_INT, offsetof(struct fit, plan.job)},
    {"last_batch", MEMBER_INT, offsetof(struct fit, plan.last_batch)},
    {"rows", MEMBER_INT, offsetof(struct fit, plan.rows)},
    {"train_rows", MEMBER_INT, offsetof(struct fit, plan.train_rows)},
    {"epoch", MEMBER_INT, offsetof(struct fit, place.epoch)},
    {"position", MEMBER_INT, offsetof(struct fit, place.position)},
    {"step", MEMBER_INT, offsetof(struct fit, place.step)},
    {"waited", MEMBER_INT, offsetof(struct fit, place.waited)},
    {"base_lr", MEMBER_REAL, offsetof(struct fit, place.base_lr)},
    {"lr", MEMBER_REAL, offsetof(struct fit, place.lr)},
    {"sum", MEMBER_REAL, offsetof(struct fit, place.sum)},
    {"validation_sum", MEMBER_REAL, offsetof(struct fit, place.validation_sum)},
    {"loss", MEMBER_REAL, offsetof(struct fit, place.loss)},
    {"validation_loss", MEMBER_REAL, offsetof(struct fit, place.validation_loss)},
    {"best", MEMBER_REAL, offsetof(struct fit, place.best)},
    {"ended", MEMBER_BOOL, offsetof(struct fit, place.ended)},
    {"stopped_early", MEMBER_BOOL, offsetof(struct fit, place.stopped_early)},
    {"started_at", MEMBER_INT, offsetof(struct fit, place.started_at)},
};
#define MEMBERS (sizeof members / sizeof *members)

static void member_write(struct json_out *w, const struct member *m, const struct fit *f)
{
    const void *at = (const char *)f + m->at;
    switch (m->kind) {
    case MEMBER_INT:
        json_key_int(w, m->name, *(const int64_t *)at);
        break;
    case MEMBER_REAL:
        json_key_f64(w, m->name, *(const double *)at);
        break;
    case MEMBER_BOOL:
        json_key_bool(w, m->name, *(const bool *)at);
        break;
    }
}

/* As hexadecimal digits, the words one after the other, and then how many are used. */
#define GENERATOR_DIGITS (8 * (RNG_WORDS + 1))

static void generator_write(struct json_out *w, const struct rng *r)
{
    char text[GENERATOR_DIGITS + 1];
    for (size_t i = 0; i <= RNG_WORDS; i++)
        snprintf(text + 8 * i, 9, "%08x", (unsigned)(i < RNG_WORDS ? r->word[i] : r->next));
    json_key_string(w, "generator", text);
}

void fit_write(struct json_out *w, const struct fit *f, bool whole)
{
    json_begin_object(w);
    json_key_int(w, "epochs", f->plan.epochs);
    fit_plan_write(w, &f->plan);
    for (size_t i = 0; i < MEMBERS; i++)
        member_write(w, &members[i], f);
    if (whole && f->plan.shuffle)
        generator_write(w, &f->rng);
    json_end_object(w);
}

/* ---- reading ------------------------------------------------------------------------------- */

static bool member_read(const struct member *m, const cJSON *object, struct fit *f)
{
    struct err ignored;
    void *at = (char *)f + m->at;
    switch (m->kind) {
    case MEMBER_INT:
        return field_int(object, m->name, REQUIRED, 0, INT64_MAX, at, &ignored) == ERR_OK;
    case MEMBER_REAL:
        return json_number(field_find(object, m->name), at);
    case MEMBER_BOOL:
        return field_bool(object, m->name, REQUIRED, at, &ignored) == ERR_OK;
    }
    return false;
}

static bool generator_read(const cJSON *object, struct rng *out)
{
    const cJSON *field = field_find(object, "generator");
    const char *text = cJSON_IsString(field) ? field->valuestring : "";
    if (!field)
        return true;
    if (strlen(text) != GENERATOR_DIGITS || strspn(text, "0123456789abcdef") != GENERATOR_DIGITS)
        return false;
    for (size_t i = 0; i <= RNG_WORDS; i++) {
        unsigned word = 0;
        for (const char *c = text + 8 * i; c < text + 8 * i + 8; c++)
            word = word << 4 | (unsigned)(*c <= '9' ? *c - '0' : *c - 'a' + 10);
        *(i < RNG_WORDS ? &out->word[i] : &out->next) = word;
    }
    return out->next <= RNG_WORDS;
}

static bool is_possible(const struct fit *f)
{
    const struct fit_plan *p = &f->plan;
    return p->train_rows >= 1 && p->train_rows <= p->rows && p->rows <= ROWS_MAX &&
           f->place.position <= p->rows && f->place.epoch <= p->epochs;
}

enum err_kind fit_read(const cJSON *object, struct fit *out, struct err *e)
{
    *out = (struct fit){.order_of = -1};
    bool sound = fit_plan_read(object, &out->plan, e) == ERR_OK;
    rng_seed(&out->rng, (uint64_t)out->plan.seed);
    for (size_t i = 0; sound && i < MEMBERS; i++)
        sound = member_read(&members[i], object, out);
    sound = sound && generator_read(object, &out->rng) && is_possible(out);
    return sound ? ERR_OK : err_set(e, ERR_IO, "", "the state of a job cannot be read");
}

enum err_kind fit_read_text(const char *text, struct fit *out, struct err *e)
{
    struct json j = {.root = NULL};
    enum err_kind rc = json_parse(text, strlen(text), &j, e);
    if (!rc)
        rc = fit_read(j.root, out, e);
    json_close(&j);
    return rc;
}
