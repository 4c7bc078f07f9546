#include "engine/pass.h"

#include "engine/crew.h"

/* Of an owed gradient, what is made at a time: it should stay in the second-level cache. At least
 * so many whole rows, or else so many at most, and a multiple of so many columns; of a few columns
 * of all rows a multiple of OWED_ROWS. */
#define OWED_BYTES      ((size_t)64 << 10)
#define OWED_ROWS_LEAST 12
#define OWED_ROWS       96
#define OWED_COLUMNS    32

/* The products that the sweep itself makes: they have at most so many steps, and so long rows. */
#define FLAT_DEPTH 4
#define FLAT_WIDTH 64

/* A sweep in so many parts at most, by several threads: of so many elements, or flops, at least.
 * A part is so many elements, or rows; or, of a weight that the threads' caches can hold, so many
 * columns: these are what a thread's parts of the product forward read (matmul_parts.c), and so the
 * weight need not go from one core to the other in every step. Not so where squares are summed, the
 * last step of a call: sums over runs as short as that take longer than all else. */
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

/* Does the product that makes the gradient update the parameters, too? Worth it where the threads'
 * caches hold them: what lies beyond is to be fetched earlier than it does. */
static bool updates_itself(const struct pass *p, const struct owed *w)
{
    const struct matmul_args *x = &w->product;
    return !p->dry && !p->sums && !p->squares && x->k > 1 && x->k <= MATMUL_DEPTH &&
           x->n >= PART_COLUMNS && x->m * x->n <= CACHED_ELEMENTS;
}

static double update_part(const struct pass *p, int i, const struct owed *w, struct part x)
{
    int64_t n = w->product.n;
    struct sgd_sweep s =
        sweep_at(p, i, (size_t)(p->m->parameter[i].tensor.offset + x.row * n + x.col));
    struct matmul_update u = {.options = s.options, .momentum = s.momentum, .first = s.first};
    struct matmul_args product = matmul_part(&w->product, x.row, x.rows, x.col, x.cols);
    product.c = (struct matrix){s.parameter, n, 1};
    if (w->product.m * n > FAR_ELEMENTS)
        product.beside = product.c;
    product.update = &u;
    product.workspace = p->workspace;
    p->k->matmul(&product);
    return u.largest;
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
        int64_t parts = (to - from + OWED_ROWS - 1) / OWED_ROWS;
        rows = (to - from + parts - 1) / parts;
        cols = most / rows / OWED_COLUMNS * OWED_COLUMNS;
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

static struct part part_of(const struct run *r, int64_t from, int64_t to)
{
    const struct matmul_args *x = &r->w->product;
    return r->by_columns ? (struct part){0, x->m, from, to - from}
                         : (struct part){from, to - from, 0, x->n};
}

static double sweep_units(const struct pass *p, const struct run *r, int64_t from, int64_t to)
{
    if (r->w && updates_itself(p, r->w))
        return update_part(p, r->first, r->w, part_of(r, from, to));
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
    r->by_columns = !p->squares && r->w && !is_flat(&r->w->product) && r->n <= CACHED_ELEMENTS &&
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

double pass_run(const struct pass *p)
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
