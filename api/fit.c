#include "api/fit.h"

#include <math.h>
#include <string.h>

#include "api/call.h"
#include "engine/train.h"

/* ---- life ---------------------------------------------------------------------------------- */

void fit_forget_work(struct fit *f)
{
    if (!f)
        return;
    batch_free(f->mini);
    mem_free(f->run);
    mem_free(f->order);
    f->mini = NULL;
    f->run = NULL;
    f->order = NULL;
    f->runs = 0;
    f->order_of = -1;
}

void fit_free(struct fit *f)
{
    fit_forget_work(f);
    if (f)
        mem_free(f->verdict);
    mem_free(f);
}

size_t fit_bytes(const struct fit *f)
{
    if (!f)
        return 0;
    size_t mini = f->mini ? mem_size(f->mini) + mem_size(f->mini->storage.data) : 0;
    return mem_size(f) + mem_size(f->verdict) + mem_size(f->run) + mem_size(f->order) + mini;
}

enum err_kind fit_begin(struct session *s, const struct fit_plan *plan, struct err *e)
{
    struct fit *f = mem_array(1, sizeof *f);
    if (!f)
        return err_set(e, ERR_NOMEM, "", "no memory for the job");
    f->plan = *plan;
    f->place = (struct fit_place){.base_lr = s->sgd.options.lr,
                                  .lr = s->sgd.options.lr,
                                  .loss = NAN,
                                  .validation_loss = NAN,
                                  .best = NAN,
                                  .started_at = clock_millis()};
    f->order_of = -1;
    rng_seed(&f->rng, (uint64_t)plan->seed);
    fit_free(s->fit);
    s->fit = f;
    return ERR_OK;
}

/* ---- the data ------------------------------------------------------------------------------ */

static int64_t rows_of(const struct batch *b)
{
    return b->x.shape.dim[0];
}

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

int64_t fit_plan_steps(const struct fit_plan *p)
{
    return p->epochs * ((p->train_rows - 1) / p->batch_size + 1);
}

static enum err_kind find_runs(const struct session *s, struct fit *f, struct err *e)
{
    int64_t rows = 0;
    f->run = mem_array(s->batches, sizeof *f->run);
    if (!f->run)
        return err_set(e, ERR_NOMEM, "", "no memory for the job's data");
    for (size_t i = 0; i < s->batches && s->batch[i]->n <= f->plan.last_batch; i++) {
        f->run[f->runs++] = (struct fit_run){rows, s->batch[i]};
        rows += rows_of(s->batch[i]);
    }
    return rows == f->plan.rows
               ? ERR_OK
               : err_set(e, ERR_CONFLICT, "", "the job's data is not there any more");
}

/* What is drawn for an epoch, as a DataLoader draws it: the seed of workers that there are not; the
 * order; and one order more, of which nothing is used. */
#define SEED_WORDS 2

static uint64_t order_words(const struct fit *f)
{
    return (uint64_t)(f->plan.train_rows - 1);
}

static enum err_kind shuffle(struct fit *f, struct err *e)
{
    if (!f->plan.shuffle || f->order_of == f->place.epoch)
        return ERR_OK;
    if (!f->order)
        f->order = mem_array((size_t)f->plan.train_rows, sizeof *f->order);
    if (!f->order)
        return err_set(e, ERR_NOMEM, "", "no memory for the order of the rows");
    f->drawn = f->rng;
    rng_skip(&f->drawn, SEED_WORDS);
    rng_permutation(&f->drawn, f->order, (uint32_t)f->plan.train_rows);
    f->order_of = f->place.epoch;
    return ERR_OK;
}

static void advance_generator(struct fit *f)
{
    if (!f->plan.shuffle)
        return;
    if (f->order_of == f->place.epoch)
        f->rng = f->drawn;
    else
        rng_skip(&f->rng, SEED_WORDS + order_words(f));
    rng_skip(&f->rng, order_words(f));
}

enum err_kind fit_ready(struct session *s, struct fit *f, struct err *e)
{
    struct batch_rules rules = session_rules(s);
    int64_t held = f->plan.rows - f->plan.train_rows;
    int64_t most = f->plan.train_rows > held ? f->plan.train_rows : held;
    enum err_kind rc = ERR_OK;
    if (!f->mini) {
        rc = find_runs(s, f, e);
        if (!rc)
            rc = batch_like(f->run[0].batch, least(f->plan.batch_size, most), &rules, &f->mini, e);
    }
    if (!rc)
        rc = shuffle(f, e);
    if (rc)
        fit_forget_work(f);
    return rc;
}

static const struct fit_run *find_run(const struct fit *f, int64_t row)
{
    size_t low = 0, high = f->runs;
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (f->run[middle].first <= row)
            low = middle;
        else
            high = middle;
    }
    return &f->run[low];
}

/* Row i of what t is a batch of. */
static char *row_at(const struct tensor *t, int64_t i, size_t *bytes)
{
    *bytes = (size_t)(tensor_count(t) / t->shape.dim[0]) * dtype_bytes(t->dtype);
    return (char *)tensor_data(t) + (size_t)i * *bytes;
}

static void copy_rows(const struct tensor *to, int64_t at, const struct tensor *from, int64_t first,
                      int64_t count)
{
    size_t bytes;
    char *out = row_at(to, at, &bytes);
    memcpy(out, row_at(from, first, &bytes), bytes * (size_t)count);
}

/* Fills the minibatch with the next count rows. */
static void gather(struct fit *f, int64_t count)
{
    bool shuffled = f->plan.shuffle && fit_is_training(f);
    batch_resize(f->mini, count);
    for (int64_t i = 0, n; i < count; i += n) {
        int64_t row = f->place.position + i;
        row = shuffled ? f->order[row] : row;
        const struct fit_run *run = find_run(f, row);
        n = shuffled ? 1 : least(count - i, run->first + rows_of(run->batch) - row);
        copy_rows(&f->mini->x, i, &run->batch->x, row - run->first, n);
        copy_rows(&f->mini->y, i, &run->batch->y, row - run->first, n);
    }
}

/* ---- what is done with it ------------------------------------------------------------------ */

static bool is_mean(const struct session *s)
{
    return !strcmp(loss_reduction(&s->spec.loss), "mean");
}

static double weighted(const struct session *s, double loss, int64_t rows)
{
    return is_mean(s) ? loss * (double)rows : loss;
}

bool fit_goes_on(const struct fit *f)
{
    if (f->place.position + f->plan.batch_size < f->plan.train_rows)
        return true;
    return f->plan.rows == f->plan.train_rows && !f->plan.stops_early &&
           f->place.epoch + 1 < f->plan.epochs;
}

enum err_kind fit_step(struct session *s, struct fit *f, struct scratch *scratch, enum step_end end,
                       struct step_result *r, struct err *e)
{
    struct fit_place *p = &f->place;
    int64_t rows = least(f->plan.batch_size, f->plan.train_rows - p->position);
    gather(f, rows);
    enum err_kind rc = session_step(s, scratch, f->mini, end, r, e);
    if (rc)
        return rc;
    p->position += rows;
    p->step++;
    p->sum += weighted(s, r->loss, rows);
    return ERR_OK;
}

enum err_kind fit_validate(struct session *s, struct fit *f, struct scratch *scratch, struct err *e)
{
    struct fit_place *p = &f->place;
    int64_t rows = least(f->plan.batch_size, f->plan.rows - p->position);
    struct tensor *output;
    double loss;
    gather(f, rows);
    enum err_kind rc = train_evaluate(s->module, &s->spec.loss, &scratch->tape, &f->mini->x,
                                      &f->mini->y, &output, &loss, e);
    if (rc)
        return rc;
    p->position += rows;
    p->validation_sum += weighted(s, loss, rows);
    return ERR_OK;
}

static double mean_over(const struct session *s, double sum, int64_t rows)
{
    return is_mean(s) ? sum / (double)rows : sum;
}

/* As Keras counts: an epoch that is not better than the best one by more than min_delta is waited
 * for. */
static bool has_waited(struct fit *f, double loss)
{
    struct fit_place *p = &f->place;
    bool better = isnan(p->best) ? !isnan(loss) : loss < p->best - f->plan.min_delta;
    if (better)
        p->best = loss;
    p->waited = better ? 0 : p->waited + 1;
    return f->plan.stops_early && p->waited >= f->plan.patience;
}

static void change_rate(struct session *s, struct fit *f)
{
    double lr =
        schedule_next(&f->plan.schedule, f->place.base_lr, f->place.epoch, s->sgd.options.lr);
    if (lr == s->sgd.options.lr)
        return;
    session_begin_change(s);
    s->sgd.options.lr = s->spec.options.optimizer.lr = lr;
    session_end_change(s);
}

void fit_end_epoch(struct session *s, struct fit *f)
{
    struct fit_place *p = &f->place;
    int64_t held = f->plan.rows - f->plan.train_rows;
    advance_generator(f);
    p->epoch++;
    p->position = 0;
    p->loss = mean_over(s, p->sum, f->plan.train_rows);
    p->validation_loss = held ? mean_over(s, p->validation_sum, held) : NAN;
    p->sum = p->validation_sum = 0;
    p->stopped_early = has_waited(f, held ? p->validation_loss : p->loss);
    p->ended = p->stopped_early || p->epoch == f->plan.epochs;
    change_rate(s, f);
}
