#include "engine/schedule.h"

#include <float.h>
#include <stddef.h>
#include <string.h>

#include "engine/vmath_angle.h"

#define PI 0x1.921fb54442d18p+1

enum { STEP_SIZE, STEP_GAMMA };
enum { EXPONENTIAL_GAMMA };
enum { COSINE_T_MAX, COSINE_ETA_MIN };

static double next_step(const double *value, double base, int64_t epoch, double lr)
{
    (void)base;
    return epoch % (int64_t)value[STEP_SIZE] ? lr : lr * value[STEP_GAMMA];
}

static double next_exponential(const double *value, double base, int64_t epoch, double lr)
{
    (void)base;
    (void)epoch;
    return lr * value[EXPONENTIAL_GAMMA];
}

static double next_cosine(const double *value, double base, int64_t epoch, double lr)
{
    int64_t t_max = (int64_t)value[COSINE_T_MAX];
    double t = value[COSINE_T_MAX], least = value[COSINE_ETA_MIN];
    if ((epoch - 1 - t_max) % (2 * t_max) == 0)
        return lr + (base - least) * (1 - cos_f64(PI / t)) / 2;
    double at = (double)(epoch % (2 * t_max)), before = (double)((epoch - 1) % (2 * t_max));
    return (1 + cos_f64(PI * at / t)) / (1 + cos_f64(PI * before / t)) * (lr - least) + least;
}

const struct schedule_type schedule_types[] = {
    {{"step_lr",
      {[STEP_SIZE] = {.name = "step_size",
                      .kind = OPTION_INTEGER,
                      .required = true,
                      .min = 1,
                      .max = OPTION_INT_MAX},
       [STEP_GAMMA] = {.name = "gamma", .kind = OPTION_NUMBER, .fallback = 0.1, .max = DBL_MAX}}},
     next_step},
    {{"exponential_lr",
      {[EXPONENTIAL_GAMMA] =
           {.name = "gamma", .kind = OPTION_NUMBER, .required = true, .max = DBL_MAX}}},
     next_exponential},
    {{"cosine_annealing_lr",
      {[COSINE_T_MAX] =
           {.name = "T_max", .kind = OPTION_INTEGER, .required = true, .min = 1, .max = 1e9},
       [COSINE_ETA_MIN] = {.name = "eta_min", .kind = OPTION_NUMBER, .max = DBL_MAX}}},
     next_cosine},
    {.options = {.type = NULL}},
};

const struct schedule_type *schedule_find(const char *type)
{
    for (const struct schedule_type *t = schedule_types; t->options.type; t++)
        if (!strcmp(t->options.type, type))
            return t;
    return NULL;
}

double schedule_next(const struct schedule *s, double base, int64_t epoch, double lr)
{
    double next = s->type ? s->type->next(s->value, base, epoch, lr) : lr;
    if (!(next >= 0)) /* rounded below it, or no number */
        return 0;
    return next < DBL_MAX ? next : DBL_MAX;
}
