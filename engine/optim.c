#include "engine/optim.h"

#include <float.h>

#include "engine/crew.h"

const struct options optimizer_types[] = {
    {"sgd",
     {[SGD_LR] = {.name = "lr", .kind = OPTION_NUMBER, .fallback = 1e-3, .max = INFINITY},
      [SGD_MOMENTUM] = {.name = "momentum", .kind = OPTION_NUMBER, .max = INFINITY},
      [SGD_DAMPENING] =
          {.name = "dampening", .kind = OPTION_NUMBER, .min = -INFINITY, .max = INFINITY},
      [SGD_WEIGHT_DECAY] = {.name = "weight_decay", .kind = OPTION_NUMBER, .max = INFINITY},
      [SGD_NESTEROV] = {.name = "nesterov", .kind = OPTION_BOOL},
      [SGD_MAXIMIZE] = {.name = "maximize", .kind = OPTION_BOOL}}},
    {.type = NULL},
};

enum err_kind sgd_set(struct sgd_options *o, const double value[OPTIONS_MAX], struct err *e)
{
    if (value[SGD_NESTEROV] != 0 && (value[SGD_MOMENTUM] <= 0 || value[SGD_DAMPENING] != 0))
        return err_set(e, ERR_INVALID, "/nesterov",
                       "Nesterov momentum requires a momentum and zero dampening");
    *o = (struct sgd_options){.lr = value[SGD_LR],
                              .momentum = value[SGD_MOMENTUM],
                              .dampening = value[SGD_DAMPENING],
                              .weight_decay = value[SGD_WEIGHT_DECAY],
                              .nesterov = value[SGD_NESTEROV] != 0,
                              .maximize = value[SGD_MAXIMIZE] != 0};
    return ERR_OK;
}

void sgd_get(const struct sgd_options *o, double value[OPTIONS_MAX])
{
    value[SGD_LR] = o->lr;
    value[SGD_MOMENTUM] = o->momentum;
    value[SGD_DAMPENING] = o->dampening;
    value[SGD_WEIGHT_DECAY] = o->weight_decay;
    value[SGD_NESTEROV] = o->nesterov;
    value[SGD_MAXIMIZE] = o->maximize;
}

enum err_kind sgd_init(struct sgd *o, const struct module *m, struct err *e)
{
    *o = (struct sgd){.reach = INFINITY};
    o->has_momentum = mem_array((size_t)m->parameters, sizeof *o->has_momentum);
    return o->has_momentum ? ERR_OK : err_set(e, ERR_NOMEM, "", "no memory for the optimizer");
}

void sgd_close(struct sgd *o)
{
    mem_free(o->momentum);
    mem_free(o->has_momentum);
    *o = (struct sgd){.reach = INFINITY};
}

void sgd_know_reach(struct sgd *o, const struct module *m, const struct kernels *k)
{
    if (isfinite(o->reach))
        return;
    double values = k->largest(m->dtype, m->values.data, (size_t)m->count);
    double momentum = o->momentum ? k->largest(m->dtype, o->momentum, (size_t)m->count) : 0;
    if (isfinite(values) && isfinite(momentum))
        o->reach = values > momentum ? values : momentum;
}

enum err_kind sgd_need_momentum(struct sgd *o, const struct module *m, struct err *e)
{
    if (o->momentum)
        return ERR_OK;
    o->momentum = mem_array((size_t)m->count, dtype_bytes(m->dtype));
    return o->momentum ? ERR_OK : err_set(e, ERR_NOMEM, "", "no memory for the momentum");
}

void sgd_touch(struct sgd *o)
{
    o->reach = INFINITY;
}

/* Of an owed gradient, what is made at a time: it should stay in the second-level cache. At least
 * so many rows, or else so many, and a multiple of so many columns. */
#define OWED_BYTES      ((size_t)32 << 10)
#define OWED_ROWS_LEAST 12
#define OWED_ROWS       24
#define OWED_COLUMNS    32

/* The products that the sweep itself makes: they have at most so many steps, and so long rows. */
#define FLAT_DEPTH 4
#define FLAT_WIDTH 64

/* A sweep in so many parts at most, by several threads: of so many elements, or flops, at least.
 * A part is so many elements, or rows; or, of a weight that the threads' caches can hold, so many
 * columns: these are what a thread's parts of the product forward read (matmul_parts.c), and so the
 * weight need not go from one core to the other in every step. */
#define SHARED_ELEMENTS (1 << 18)
#define SHARED_FLOPS    3e6
#define PARTS_MAX       32
#define PART_ELEMENTS   4096
#define PART_ROWS       8
#define PART_COLUMNS    32
#define CACHED_ELEMENTS (1 << 20)

/* A weight of more elements is fetched while the gradient's next piece is made: else the sweep
 * would wait for what lies beyond a thread's own cache, and the multipliers for the sweep. */
#define FAR_ELEMENTS (1 << 17)

/* What every sweep of one step has in common. */
struct pass {
    struct sgd *o;
    struct module *m;
    const struct kernels *k;
    const struct tape *t;  /* NULL: it owes nothing */
    bool dry;              /* nothing is written */
    struct sgd_sums *sums; /* NULL, or gets the digests of what is written */
    double *squares;       /* NULL, or gets those of a gradient that is deferred */
    void *workspace;       /* as a tape's; NULL without one */
};

static const struct owed *owed_of(const struct pass *p, int i)
{
    return p->t ? tape_owed(p->t, &p->m->parameter[i].tensor) : NULL;
}

/* Does parameter i take part, in the same way as parameter j? */
static bool alike(const struct pass *p, int i, int j)
{
    const struct parameter *at = p->m->parameter;
    return !at[i].tensor.grad == !at[j].tensor.grad &&
           p->o->has_momentum[i] == p->o->has_momentum[j] && !owed_of(p, i) && !owed_of(p, j);
}

/* The sweep over elements from `at` on of the blocks, of which parameter i is the first. */
static struct sgd_sweep sweep_at(const struct pass *p, int i, size_t at)
{
    size_t bytes = dtype_bytes(p->m->dtype);
    struct sgd_sweep s = {.dtype = p->m->dtype,
                          .options = &p->o->options,
                          .first = !p->o->has_momentum[i],
                          .parameter = (char *)p->m->values.data + at * bytes,
                          .dry = p->dry,
                          .at = at,
                          .sums = p->sums,
                          .squares = p->squares};
    if (p->o->options.momentum != 0)
        s.momentum = (char *)p->o->momentum + at * bytes;
    return s;
}

/* Of n elements, whose gradient is there or a product. */
static double sweep_run(const struct pass *p, int i, size_t at, size_t n, const void *gradient,
                        const struct matmul_args *product)
{
    struct sgd_sweep s = sweep_at(p, i, at);
    s.n = n;
    s.gradient = gradient;
    s.product = product;
    return p->k->sgd(&s);
}

static double larger(double a, double b)
{
    return a > b || isnan(a) ? a : b;
}

static int64_t smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* Does the update make the product faster by itself than in pieces? */
static bool is_flat(const struct matmul_args *x)
{
    return x->k >= 1 && x->k <= FLAT_DEPTH && x->n >= FLAT_WIDTH && x->b.col_stride == 1;
}

/* A part of an owed gradient. */
struct part {
    int64_t row, rows, col, cols;
};

static double sweep_part(const struct pass *p, int i, const struct owed *w, const struct part *x)
{
    int64_t offset = p->m->parameter[i].tensor.offset, n = w->product.n;
    struct sgd_sweep s = sweep_at(p, i, (size_t)(offset + x->row * n + x->col));
    struct matrix beside = {w->product.m * n > FAR_ELEMENTS ? s.parameter : NULL, n, 1};
    char *made = (char *)p->workspace + MATMUL_WORKSPACE_BYTES;
    tape_owed_part(p->t, w, x->row, x->rows, x->col, x->cols, made, x->cols, beside, p->workspace);
    bool whole = x->cols == n; /* one run */
    s.n = (size_t)(whole ? x->rows * n : x->cols);
    s.rows = whole ? 1 : (size_t)x->rows;
    s.next = (size_t)n;
    s.next_gradient = (size_t)x->cols;
    s.gradient = made;
    return p->k->sgd(&s);
}

/* The columns [from, to) of all rows, so many of these at a time. */
static double sweep_columns(const struct pass *p, int i, const struct owed *w, int64_t from,
                            int64_t to)
{
    int64_t bytes = (int64_t)dtype_bytes(p->m->dtype);
    int64_t rows = (int64_t)OWED_BYTES / bytes / (to - from) / OWED_ROWS * OWED_ROWS;
    double largest = 0;
    for (struct part x = {.col = from, .cols = to - from}; x.row < w->product.m; x.row += rows) {
        x.rows = smaller(rows, w->product.m - x.row);
        largest = larger(sweep_part(p, i, w, &x), largest);
    }
    return largest;
}

/* The rows [from, to), in parts: whole rows, or, where these are long, columns of a few rows, since
 * a single one would leave the product nothing to share. */
static double sweep_owed(const struct pass *p, int i, const struct owed *w, int64_t from,
                         int64_t to)
{
    int64_t n = w->product.n, bytes = (int64_t)dtype_bytes(p->m->dtype);
    int64_t most = (int64_t)OWED_BYTES / bytes, cols = n, rows = most / n;
    int64_t offset = p->m->parameter[i].tensor.offset;
    double largest = 0;
    if (is_flat(&w->product)) {
        struct matmul_args product = matmul_part(&w->product, from, to - from, 0, n);
        return sweep_run(p, i, (size_t)(offset + from * n), (size_t)((to - from) * n), NULL,
                         &product);
    }
    if (rows < OWED_ROWS_LEAST) {
        cols = most / OWED_ROWS / OWED_COLUMNS * OWED_COLUMNS;
        rows = OWED_ROWS;
    }
    for (struct part x = {.row = from}; x.row < to; x.row += rows)
        for (x.col = 0; x.col < n; x.col += cols) {
            x.rows = smaller(rows, to - x.row);
            x.cols = smaller(cols, n - x.col);
            largest = larger(sweep_part(p, i, w, &x), largest);
        }
    return largest;
}

/* Neighbours that are swept in one go. */
struct run {
    int first;
    size_t at, n;         /* elements of the blocks */
    const struct owed *w; /* their gradient, or NULL: it is there */
    bool by_columns;      /* of w */
    int64_t units;        /* columns or rows of w, or elements */
};

static double sweep_units(const struct pass *p, const struct run *r, int64_t from, int64_t to)
{
    if (r->by_columns)
        return sweep_columns(p, r->first, r->w, from, to);
    if (r->w)
        return sweep_owed(p, r->first, r->w, from, to);
    size_t at = r->at + (size_t)from;
    const void *gradient = (char *)p->m->gradients.data + at * dtype_bytes(p->m->dtype);
    return sweep_run(p, r->first, at, (size_t)(to - from), gradient, NULL);
}

/* A run that is shared, and what each part has led to. */
struct sharing {
    const struct pass *pass;
    const struct run *run;
    int64_t units; /* of a part */
    double largest[PARTS_MAX], squares[PARTS_MAX];
    struct sgd_sums sums[PARTS_MAX];
};

static void sweep_share(void *arg, size_t i, void *workspace)
{
    struct sharing *s = arg;
    struct pass p = *s->pass;
    int64_t from = (int64_t)i * s->units;
    p.sums = p.sums ? &s->sums[i] : NULL;
    p.squares = p.squares ? &s->squares[i] : NULL;
    p.workspace = workspace;
    s->largest[i] = sweep_units(&p, s->run, from, smaller(from + s->units, s->run->units));
}

/* Squares are summed part by part whether there is a crew or not: so the sum has the same bits. */
static bool is_shared(const struct pass *p, const struct run *r)
{
    double flops = r->w ? 2 * (double)r->n * (double)r->w->product.k : 0;
    return p->t && (p->t->crew || p->squares) && (r->n >= SHARED_ELEMENTS || flops >= SHARED_FLOPS);
}

/* Digests and squares of parts add up to the whole's, and the largest is the largest of theirs. */
static double sweep_shared(const struct pass *p, const struct run *whole)
{
    struct run run = *whole, *r = &run;
    struct sharing s = {.pass = p, .run = r};
    r->by_columns = r->w && !is_flat(&r->w->product) && r->n <= CACHED_ELEMENTS &&
                    r->w->product.n >= 2 * PART_COLUMNS &&
                    r->w->product.n <= PARTS_MAX * PART_COLUMNS;
    if (r->by_columns)
        r->units = r->w->product.n;
    int64_t grain = r->by_columns ? PART_COLUMNS : r->w ? PART_ROWS : PART_ELEMENTS;
    int64_t most = grain * PARTS_MAX;
    s.units = (r->units + most - 1) / most * grain;
    size_t parts = (size_t)((r->units + s.units - 1) / s.units);
    crew_do(p->t->crew, sweep_share, &s, parts, p->workspace);
    double largest = 0;
    for (size_t i = 0; i < parts; i++) {
        largest = larger(s.largest[i], largest);
        if (p->sums) {
            p->sums->parameters += s.sums[i].parameters;
            p->sums->momentum += s.sums[i].momentum;
        }
        if (p->squares)
            *p->squares += s.squares[i];
    }
    return largest;
}

/* Sweeps over all parameters with a gradient, neighbours in one run. Returns the largest magnitude
 * that is (or would be) written, NaN if any is. */
static double sweep(const struct pass *p)
{
    const struct module *m = p->m;
    double largest = 0;
    for (int i = 0, end; i < m->parameters; i = end) {
        const struct tensor *first = &m->parameter[i].tensor;
        struct run r = {i, (size_t)first->offset, (size_t)tensor_count(first), owed_of(p, i), false,
                        0};
        for (end = i + 1; end < m->parameters && alike(p, i, end); end++)
            r.n += (size_t)tensor_count(&m->parameter[end].tensor);
        if (!first->grad)
            continue;
        r.units = r.w ? r.w->product.m : (int64_t)r.n;
        struct pass here = *p;
        here.squares =
            !p->dry && r.w && m->parameter[i].deferred ? &m->parameter[i].deferred->squares : NULL;
        double written =
            is_shared(&here, &r) ? sweep_shared(&here, &r) : sweep_units(&here, &r, 0, r.units);
        largest = larger(written, largest);
    }
    return largest;
}

bool sgd_is_safe(const struct sgd *o, const struct module *m, double gradient_norm)
{
    const struct sgd_options *p = &o->options;
    double g = gradient_norm + p->weight_decay * o->reach;
    double buffer = p->momentum * o->reach + (1 + fabs(p->dampening)) * g;
    double direction = g + (1 + p->momentum) * buffer;
    double next = o->reach + p->lr * direction;
    /* An option that the type cannot hold is infinite there: times 0 it would make a NaN. */
    double options = p->lr + p->momentum + p->weight_decay + fabs(p->dampening);
    double limit = (m->dtype == DTYPE_FLOAT32 ? (double)FLT_MAX : DBL_MAX) / 4;
    return next < limit && direction < limit && options < limit;
}

/* ---- the digest ---------------------------------------------------------------------------- */

/* Of the momentum's sum. Without it, words that the two blocks exchanged would not be seen; odd, so
 * that no bit of the sum is lost. */
#define MOMENTUM_FACTOR 0xD6E8FEB86659FD93u

static uint64_t digest_of(const struct sgd *o, const struct module *m, struct sgd_sums sums)
{
    for (int i = 0; i < m->parameters; i++)
        if (o->has_momentum[i])
            sums.momentum += digest_mark((size_t)i);
    return sums.parameters + sums.momentum * MOMENTUM_FACTOR;
}

uint64_t sgd_digest(const struct sgd *o, const struct module *m, const struct kernels *k)
{
    struct sgd_sums sums = {0};
    for (int i = 0; i < m->parameters; i++) {
        sums.parameters += module_part_digest(m, i, m->values.data, k);
        if (o->has_momentum[i])
            sums.momentum += module_part_digest(m, i, o->momentum, k);
    }
    return digest_of(o, m, sums);
}

/* Adds what a sweep did not write, and so did not see. */
static void add_unwritten(const struct sgd *o, const struct module *m, const struct kernels *k,
                          struct sgd_sums *sums)
{
    for (int i = 0; i < m->parameters; i++) {
        bool took_part = m->parameter[i].tensor.grad;
        if (!took_part)
            sums->parameters += module_part_digest(m, i, m->values.data, k);
        if (o->has_momentum[i] && !(took_part && o->options.momentum != 0))
            sums->momentum += module_part_digest(m, i, o->momentum, k);
    }
}

/* ---- the step ------------------------------------------------------------------------------ */

/* Keeps in mind what a sweep did: who has momentum from now on, and the largest magnitude. */
static void remember(struct sgd *o, const struct module *m, double written)
{
    if (!isfinite(written))
        written = INFINITY;
    /* Was everything written? Momentum that is switched off stays as it was. */
    bool all = o->options.momentum != 0 || !o->momentum;
    for (int i = 0; i < m->parameters; i++) {
        bool took_part = m->parameter[i].tensor.grad;
        all = all && took_part;
        o->has_momentum[i] = o->has_momentum[i] || (took_part && o->options.momentum != 0);
    }
    if (all || written > o->reach)
        o->reach = written;
}

enum err_kind sgd_step(struct sgd *o, struct module *m, const struct kernels *k,
                       const struct tape *t, bool finite, double gradient_norm, uint64_t *digest,
                       struct err *e)
{
    struct sgd_sums sums = {0};
    struct pass real = {o, m, k, t, false, digest ? &sums : NULL, NULL, t ? t->workspace : NULL};
    struct pass dry = real;
    dry.dry = true;
    dry.sums = NULL;
    if (o->options.momentum != 0) {
        enum err_kind rc = sgd_need_momentum(o, m, e);
        if (rc)
            return rc;
    }
    if (finite && !sgd_is_safe(o, m, gradient_norm)) {
        double would = sweep(&dry);
        if (!isfinite(would))
            return err_set(e, ERR_DIVERGED, "", "the update would leave the range of %s",
                           dtype_name(m->dtype));
    }
    remember(o, m, sweep(&real));
    if (digest) {
        add_unwritten(o, m, k, &sums);
        *digest = digest_of(o, m, sums);
    }
    module_touch(m);
    return ERR_OK;
}
