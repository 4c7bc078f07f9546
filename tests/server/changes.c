#include "tests/server/changes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/server/dice.h"

#define STEPS_AT_ONCE 300
#define STEPS_LONG    6000  /* more than one slice of the daemon's, which has some 5 ms */
#define STEPS_IN_ALL  40000 /* then the model makes room for a new one */
#define ROWS_SMALL    6
#define ROWS_LARGE    5000 /* some 200 KB of text */

/* ---- the kinds ----------------------------------------------------------------------------- */

struct parameter {
    const char *name;
    int rows, columns; /* columns 0: a vector */
};
enum { INPUTS = 3, HIDDEN = 17, OUTPUTS = 2 };

#define LAYERS                                                                                     \
    "\"layers\":[{\"type\":\"linear\",\"in_features\":3,\"out_features\":17},{\"type\":\"gelu\"}," \
    "{\"type\":\"linear\",\"in_features\":17,\"out_features\":2}]"
#define EXPRESSION                                                                                 \
    "\"parameters\":{\"w\":{\"data\":[[1,0.5],[-1,0.25],[0.125,2]]},\"b\":{\"data\":[0,1]}},"      \
    "\"forward\":\"torch.tanh(x @ w + b)\""
#define SGD "\"optimizer\":{\"type\":\"sgd\",\"lr\":"

static const struct parameter of_layers[] = {{"0.weight", HIDDEN, INPUTS},
                                             {"0.bias", HIDDEN, 0},
                                             {"2.weight", OUTPUTS, HIDDEN},
                                             {"2.bias", OUTPUTS, 0},
                                             {.name = NULL}};
static const struct parameter of_expression[] = {
    {"w", INPUTS, OUTPUTS}, {"b", OUTPUTS, 0}, {.name = NULL}};

static const struct kind {
    const struct parameter *parameter; /* a name of NULL ends them */
    const char *spec;
} kinds[SUBJECT_KINDS] = {
    {of_layers, LAYERS ",\"loss\":\"smooth_l1\"," SGD "0.05}"},
    {of_layers, LAYERS ",\"loss\":\"mse\"," SGD "0.02,\"momentum\":0.9,\"nesterov\":true,"
                       "\"weight_decay\":0.01}"},
    {of_layers, LAYERS ",\"loss\":\"huber\",\"dtype\":\"float64\"," SGD "0.05,\"momentum\":0.5,"
                       "\"dampening\":0.1}"},
    {of_expression, EXPRESSION ",\"loss\":\"mse\"," SGD "0.02}"},
    {of_layers, LAYERS ",\"loss\":\"l1\",\"on_divergence\":\"continue\"," SGD "0.05,"
                       "\"momentum\":0.8}"},
    {of_layers, LAYERS ",\"loss\":\"mse\",\"durability\":\"power\"," SGD "0.05}"},
};

/* ---- pieces of bodies ---------------------------------------------------------------------- */

/* -1 to 1 */
static void add_number(struct text *t, uint64_t *dice)
{
    text_print(t, "%.3f", (double)dice_between(dice, -1000, 1000) / 1000);
}

static void add_row(struct text *t, uint64_t *dice, int numbers)
{
    for (int i = 0; i < numbers; i++) {
        text_print(t, i ? "," : "[");
        add_number(t, dice);
    }
    text_print(t, "]");
}

/* columns 0: a vector */
static void add_values(struct text *t, uint64_t *dice, int rows, int columns)
{
    if (columns == 0) {
        add_row(t, dice, rows);
        return;
    }
    for (int i = 0; i < rows; i++) {
        text_print(t, i ? "," : "[");
        add_row(t, dice, columns);
    }
    text_print(t, "]");
}

static void add_data(struct text *t, uint64_t *dice, int rows)
{
    text_print(t, "\"inputs\":");
    add_values(t, dice, rows, INPUTS);
    text_print(t, ",\"targets\":");
    add_values(t, dice, rows, OUTPUTS);
}

static int small(uint64_t *dice)
{
    return (int)dice_between(dice, 1, ROWS_SMALL);
}

static int64_t one_of(const struct numbers *numbers, uint64_t *dice)
{
    return numbers->n[dice_between(dice, 0, numbers->count - 1)];
}

static const struct parameter *some_parameter(const struct subject *m, uint64_t *dice)
{
    const struct parameter *all = kinds[m->kind].parameter;
    int64_t count = 0;
    while (all[count].name)
        count++;
    return &all[dice_between(dice, 0, count - 1)];
}

/* ---- training ------------------------------------------------------------------------------ */

/* The path under the model's, and what begins the body of a step call. */
static void begin_step(struct change *c, uint64_t *dice, int64_t most)
{
    strcat(c->path, "/step");
    int64_t steps = dice_between(dice, 1, most);
    c->steps = c->steps ? c->steps : steps;
    text_print(&c->body, "{\"steps\":%lld", (long long)c->steps);
}

static void make_step(const struct subject *m, uint64_t *dice, struct change *c)
{
    (void)m;
    begin_step(c, dice, 1);
    text_print(&c->body, "}");
}

static void make_numbered_step(const struct subject *m, uint64_t *dice, struct change *c)
{
    begin_step(c, dice, 3);
    if (m->batches.count) /* without one it is refused */
        text_print(&c->body, ",\"batch\":%lld", (long long)one_of(&m->batches, dice));
    text_print(&c->body, "}");
}

static void make_steps(const struct subject *m, uint64_t *dice, struct change *c)
{
    (void)m;
    begin_step(c, dice, STEPS_AT_ONCE);
    text_print(&c->body, "}");
}

/* It may be ended in the middle, with some of its steps made. */
static void make_long_call(const struct subject *m, uint64_t *dice, struct change *c)
{
    (void)m;
    begin_step(c, dice, STEPS_LONG);
    text_print(&c->body, "}");
}

/* Of one slice, or of many. */
static void make_fit(const struct subject *m, uint64_t *dice, struct change *c)
{
    static const char *const schedule[] = {
        "null", "{\"type\":\"step_lr\",\"step_size\":2}",
        "{\"type\":\"exponential_lr\",\"gamma\":0.95}",
        "{\"type\":\"cosine_annealing_lr\",\"T_max\":3,\"eta_min\":0.001}"};
    bool is_long = dice_between(dice, 0, 2) == 0;
    (void)m;
    strcat(c->path, "/fit");
    c->waits = true;
    text_print(&c->body, "{\"epochs\":%lld,\"batch_size\":%lld,\"shuffle\":%s,\"seed\":%lld,",
               (long long)dice_between(dice, 1, is_long ? 150 : 4),
               (long long)dice_between(dice, 1, 9), dice_between(dice, 0, 2) ? "true" : "false",
               (long long)dice_between(dice, 0, 99));
    text_print(&c->body, "\"validation_split\":%s,\"lr_schedule\":%s,\"early_stopping\":%s}",
               dice_between(dice, 0, 1) ? "0.3" : "0", schedule[dice_between(dice, 0, 3)],
               dice_between(dice, 0, 3) ? "null" : "{\"patience\":2}");
}

static void make_inline_step(const struct subject *m, uint64_t *dice, struct change *c)
{
    (void)m;
    begin_step(c, dice, 4);
    text_print(&c->body, ",");
    add_data(&c->body, dice, small(dice));
    text_print(&c->body, "}");
}

static void make_large_step(const struct subject *m, uint64_t *dice, struct change *c)
{
    (void)m;
    begin_step(c, dice, 2);
    text_print(&c->body, ",");
    add_data(&c->body, dice, ROWS_LARGE);
    text_print(&c->body, "}");
}

static void make_backward(const struct subject *m, uint64_t *dice, struct change *c)
{
    int64_t form = dice_between(dice, 0, 2);
    strcat(c->path, "/backward");
    text_print(&c->body, "{");
    if (form == 0)
        add_data(&c->body, dice, small(dice));
    else if (form == 1 && m->batches.count)
        text_print(&c->body, "\"batch\":%lld", (long long)one_of(&m->batches, dice));
    text_print(&c->body, "}");
}

static void make_zero_grad(const struct subject *m, uint64_t *dice, struct change *c)
{
    (void)m, (void)dice;
    strcat(c->path, "/zero_grad");
}

static void make_apply(const struct subject *m, uint64_t *dice, struct change *c)
{
    (void)m, (void)dice;
    strcat(c->path, "/optimizer/step");
}

/* ---- settings and parameters --------------------------------------------------------------- */

/* One in eight is a rate at which nothing stays finite. */
static void patch_rate(const struct subject *m, uint64_t *dice, struct change *c)
{
    (void)m;
    bool wild = dice_between(dice, 0, 7) == 0;
    double rate = (double)dice_between(dice, 1, 60) / 1000;
    c->method = "PATCH";
    text_print(&c->body, "{\"optimizer\":{\"lr\":%g}}", wild ? 1e30 : rate);
}

static void patch_frozen(const struct subject *m, uint64_t *dice, struct change *c)
{
    const struct parameter *p = some_parameter(m, dice);
    c->method = "PATCH";
    text_print(&c->body, "{\"requires_grad\":{\"%s\":%s}}", p->name,
               dice_between(dice, 0, 2) ? "true" : "false");
}

/* Between the two that keep what is acknowledged. */
static void patch_durability(const struct subject *m, uint64_t *dice, struct change *c)
{
    (void)m;
    c->method = "PATCH";
    text_print(&c->body, "{\"durability\":\"%s\"}", dice_between(dice, 0, 2) ? "process" : "power");
}

static void patch_divergence(const struct subject *m, uint64_t *dice, struct change *c)
{
    (void)m;
    c->method = "PATCH";
    text_print(&c->body, "{\"on_divergence\":\"%s\"}",
               dice_between(dice, 0, 2) ? "stop" : "continue");
}

static void put_all(const struct subject *m, uint64_t *dice, struct change *c)
{
    const struct parameter *first = kinds[m->kind].parameter;
    c->method = "PUT";
    strcat(c->path, "/parameters");
    text_print(&c->body, "{\"parameters\":{");
    for (const struct parameter *p = first; p->name; p++) {
        text_print(&c->body, "%s\"%s\":{\"data\":", p == first ? "" : ",", p->name);
        add_values(&c->body, dice, p->rows, p->columns);
        text_print(&c->body, "}");
    }
    text_print(&c->body, "}}");
}

static void put_one(const struct subject *m, uint64_t *dice, struct change *c)
{
    const struct parameter *p = some_parameter(m, dice);
    c->method = "PUT";
    strcat(c->path, "/parameters/");
    strcat(c->path, p->name);
    text_print(&c->body, "{\"data\":");
    add_values(&c->body, dice, p->rows, p->columns);
    text_print(&c->body, "}");
}

/* ---- batches, checkpoints, the model itself ------------------------------------------------- */

static void push_batch(const struct subject *m, uint64_t *dice, struct change *c)
{
    (void)m;
    strcat(c->path, "/batches");
    c->effect = EFFECT_BATCH;
    text_print(&c->body, "{");
    add_data(&c->body, dice, small(dice));
    text_print(&c->body, "}");
}

static void delete_batch(const struct subject *m, uint64_t *dice, struct change *c)
{
    c->n = one_of(&m->batches, dice);
    c->method = "DELETE";
    c->effect = EFFECT_NO_BATCH;
    sprintf(c->path + strlen(c->path), "/batches/%lld", (long long)c->n);
}

static void make_checkpoint(const struct subject *m, uint64_t *dice, struct change *c)
{
    (void)m;
    strcat(c->path, "/checkpoints");
    c->effect = EFFECT_CHECKPOINT;
    text_print(&c->body, "{\"label\":\"%lld\"}", (long long)dice_between(dice, 0, 999));
}

static void restore(const struct subject *m, uint64_t *dice, struct change *c)
{
    const struct numbers r = m->checkpoints;
    c->effect = EFFECT_RESTORED;
    sprintf(c->path + strlen(c->path), "/checkpoints/%lld/restore", (long long)one_of(&r, dice));
}

static void delete_checkpoint(const struct subject *m, uint64_t *dice, struct change *c)
{
    c->n = one_of(&m->checkpoints, dice);
    c->method = "DELETE";
    c->effect = EFFECT_NO_CHECKPOINT;
    sprintf(c->path + strlen(c->path), "/checkpoints/%lld", (long long)c->n);
}

static void make_model(const struct subject *m, uint64_t *dice, struct change *c)
{
    strcpy(c->path, "/models");
    c->effect = EFFECT_MODEL;
    text_print(&c->body, "{\"id\":\"%s\",\"seed\":%lld,%s}", m->id,
               (long long)dice_between(dice, 0, 1000), kinds[m->kind].spec);
}

static void delete_model(const struct subject *m, uint64_t *dice, struct change *c)
{
    (void)m, (void)dice;
    c->method = "DELETE";
    c->effect = EFFECT_NO_MODEL;
}

/* ---- reads --------------------------------------------------------------------------------- */

/* Adds what to the path; it may hold the last step before those that are wanted. */
static void read_part(const struct subject *m, uint64_t *dice, struct change *c)
{
    static const char *const part[] = {"", "/parameters", "/gradients", "/batches", "/checkpoints"};
    int64_t i = dice_between(dice, 0, sizeof part / sizeof part[0]);
    c->method = "GET";
    c->reads = true;
    if (i < (int64_t)(sizeof part / sizeof part[0]))
        strcat(c->path, part[i]);
    else
        sprintf(c->path + strlen(c->path), "/losses?after=%lld&limit=100",
                (long long)(m->step > 50 ? m->step - 50 : 0));
}

/* ---- drawing one --------------------------------------------------------------------------- */

typedef void making(const struct subject *m, uint64_t *dice, struct change *c);

enum { MODEL_MADE, MODEL_DELETED, BATCH_PUSHED, BATCH_DELETED, CHECKPOINT, RESTORED, KEPT_DELETED };

/* Of a thousand, so many are this. The first ones are named by the places above. */
static const struct verb {
    int weight;
    const char *name;
    making *make;
} verbs[] = {
    [MODEL_MADE] = {0, "creation", make_model},
    [MODEL_DELETED] = {4, "deletion", delete_model},
    [BATCH_PUSHED] = {40, "batch", push_batch},
    [BATCH_DELETED] = {25, "deletion of a batch", delete_batch},
    [CHECKPOINT] = {25, "checkpoint", make_checkpoint},
    [RESTORED] = {25, "restore", restore},
    [KEPT_DELETED] = {15, "deletion of a checkpoint", delete_checkpoint},
    {260, "step", make_step},
    {80, "step by number", make_numbered_step},
    {80, "call of many steps", make_steps},
    {10, "call of several slices", make_long_call},
    {25, "job", make_fit},
    {90, "inline step", make_inline_step},
    {6, "large inline step", make_large_step},
    {100, "backward", make_backward},
    {30, "zero_grad", make_zero_grad},
    {60, "optimizer step", make_apply},
    {40, "rate", patch_rate},
    {10, "freezing", patch_frozen},
    {5, "durability", patch_durability},
    {5, "on_divergence", patch_divergence},
    {10, "PUT of all", put_all},
    {10, "PUT of one", put_one},
    {80, "read", read_part},
};

/* What cannot be done is replaced by what makes it possible. */
static const struct verb *possible(const struct subject *m, const struct verb *v)
{
    if (!m->exists)
        return &verbs[MODEL_MADE];
    if (m->step > STEPS_IN_ALL)
        return &verbs[MODEL_DELETED];
    if (v == &verbs[BATCH_DELETED] && m->batches.count == 0)
        return &verbs[BATCH_PUSHED];
    if (v == &verbs[BATCH_PUSHED] && m->batches.count == SUBJECT_KEEPS)
        return &verbs[BATCH_DELETED];
    if ((v == &verbs[RESTORED] && m->checkpoints.count == 0) ||
        (v == &verbs[KEPT_DELETED] && m->checkpoints.count == 0))
        v = &verbs[CHECKPOINT];
    if (v == &verbs[CHECKPOINT] && m->checkpoints.count == SUBJECT_KEEPS)
        v = &verbs[KEPT_DELETED];
    return v;
}

static const struct verb *draw(const struct subject *m, uint64_t *dice)
{
    enum { VERBS = sizeof verbs / sizeof verbs[0] };
    int all = 0, i = 0;
    for (int k = 0; k < VERBS; k++)
        all += verbs[k].weight;
    int64_t place = dice_between(dice, 0, all - 1);
    while (place >= verbs[i].weight)
        place -= verbs[i++].weight;
    return possible(m, &verbs[i]);
}

void change_make(const struct subject *m, uint64_t number, int64_t steps, struct change *out)
{
    uint64_t dice = number;
    const struct verb *v = draw(m, &dice);
    *out = (struct change){.method = "POST", .name = v->name, .steps = steps};
    snprintf(out->path, sizeof out->path, "/models/%s", m->id);
    v->make(m, &dice, out);
}

void change_free(struct change *c)
{
    text_free(&c->body);
}

/* ---- what came of it ----------------------------------------------------------------------- */

static void numbers_add(struct numbers *numbers, const cJSON *n, int64_t step)
{
    if (!n || numbers->count == SUBJECT_KEEPS)
        return;
    numbers->n[numbers->count] = (int64_t)n->valuedouble;
    numbers->step[numbers->count++] = step;
}

static void numbers_remove(struct numbers *numbers, int64_t n)
{
    int left = 0;
    for (int i = 0; i < numbers->count; i++) {
        if (numbers->n[i] == n)
            continue;
        numbers->n[left] = numbers->n[i];
        numbers->step[left++] = numbers->step[i];
    }
    numbers->count = left;
}

/* Those behind the model are of another past from now on. */
static void leave_behind(struct numbers *checkpoints, const cJSON *step)
{
    for (int i = 0; step && i < checkpoints->count; i++)
        if (checkpoints->step[i] > (int64_t)step->valuedouble)
            checkpoints->step[i] = -1;
}

static void take_effect(struct subject *m, const struct change *c, const cJSON *json)
{
    switch (c->effect) {
    case EFFECT_NONE:
        break;
    case EFFECT_MODEL:
    case EFFECT_NO_MODEL:
        m->exists = c->effect == EFFECT_MODEL;
        m->step = 0;
        m->batches.count = m->checkpoints.count = 0;
        break;
    case EFFECT_BATCH:
        numbers_add(&m->batches, member(json, "batch"), m->step);
        break;
    case EFFECT_NO_BATCH:
        numbers_remove(&m->batches, c->n);
        break;
    case EFFECT_CHECKPOINT:
        numbers_add(&m->checkpoints, member(json, "n"), m->step);
        break;
    case EFFECT_NO_CHECKPOINT:
        numbers_remove(&m->checkpoints, c->n);
        break;
    case EFFECT_RESTORED:
        leave_behind(&m->checkpoints, member(json, "step"));
        break;
    }
}

void subject_learn(struct subject *m, const struct change *c, long status, const cJSON *json)
{
    if (status >= 200 && status < 300)
        take_effect(m, c, json);
    /* Errors that have had an effect tell it too. Of a job the model was asked at last. */
    const cJSON *step = c->reads ? NULL : member(json, "step");
    if (step && cJSON_IsNumber(step))
        m->step = (int64_t)step->valuedouble;
}
