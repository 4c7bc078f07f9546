/* engine/matmul.h: every instruction set gives the bits of the chain that the header promises. */
#include "engine/kernels.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/mem.h"
#include "engine/optim.h"

/* How a matrix lies in memory. */
enum layout {
    ROWS,        /* dense in rows */
    COLUMNS,     /* dense in columns */
    PADDED_ROWS, /* rows a little apart */
    PADDED_COLUMNS,
    ONE_ROW,    /* broadcast: row stride 0 */
    ONE_COLUMN, /* broadcast: column stride 0 */
    SPREAD,     /* neither stride is 1 */
    NOTHING     /* no matrix: for `add` */
};
static const enum layout of_input[] = {ROWS,    COLUMNS,    PADDED_ROWS, PADDED_COLUMNS,
                                       ONE_ROW, ONE_COLUMN, SPREAD};
static const enum layout of_add[] = {NOTHING, ONE_ROW, ROWS, ONE_COLUMN, COLUMNS, SPREAD};
static const enum layout of_result[] = {ROWS, COLUMNS, PADDED_ROWS, PADDED_COLUMNS, SPREAD};
#define COUNT(array) (sizeof(array) / sizeof *(array))

static uint64_t seed;
static void *workspace;

static uint64_t next(void)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return seed >> 33;
}

static double number(void)
{
    return ((double)next() - 0x1p30) * 0x1p-29;
}

static double get(enum dtype dtype, const void *data, int64_t i)
{
    return dtype == DTYPE_FLOAT32 ? (double)((const float *)data)[i] : ((const double *)data)[i];
}

static void set(enum dtype dtype, void *data, int64_t i, double x)
{
    if (dtype == DTYPE_FLOAT32)
        ((float *)data)[i] = (float)x;
    else
        ((double *)data)[i] = x;
}

static double at(enum dtype dtype, struct matrix x, int64_t i, int64_t j)
{
    return get(dtype, x.data, i * x.row_stride + j * x.col_stride);
}

static struct matrix strides(enum layout layout, int64_t rows, int64_t columns)
{
    switch (layout) {
    case ROWS:
        return (struct matrix){NULL, columns, 1};
    case COLUMNS:
        return (struct matrix){NULL, 1, rows};
    case PADDED_ROWS:
        return (struct matrix){NULL, columns + 3, 1};
    case PADDED_COLUMNS:
        return (struct matrix){NULL, 1, rows + 5};
    case ONE_ROW:
        return (struct matrix){NULL, 0, 1};
    case ONE_COLUMN:
        return (struct matrix){NULL, 1, 0};
    case SPREAD:
        return (struct matrix){NULL, 2 * columns + 1, 2};
    case NOTHING:
        break;
    }
    return (struct matrix){NULL, 0, 0};
}

static int64_t extent(struct matrix x, int64_t rows, int64_t columns)
{
    if (rows == 0 || columns == 0)
        return 0;
    return (rows - 1) * x.row_stride + (columns - 1) * x.col_stride + 1;
}

/* Exactly as long as it must be, so that AddressSanitizer sees a read or write beyond. */
static struct matrix make(enum dtype dtype, enum layout layout, int64_t rows, int64_t columns)
{
    struct matrix x = strides(layout, rows, columns);
    if (layout == NOTHING)
        return x;
    int64_t count = extent(x, rows, columns);
    x.data = malloc((size_t)count * dtype_bytes(dtype) + 1);
    assert_non_null(x.data);
    for (int64_t i = 0; i < count; i++)
        set(dtype, x.data, i, number());
    return x;
}

static double gated(const struct matmul_args *p, int64_t i, int64_t j, double x)
{
    if (!p->gate.data)
        return x;
    double gate = p->gate.data == p->c.data ? x : at(p->dtype, p->gate, i, j);
    return gate <= 0 ? 0 : x;
}

/* The chains, in rows; of a row all go on together, since a large b is read as it lies. */
static double *chains(const struct matmul_args *p)
{
    double *sums = calloc((size_t)(p->m * p->n) + 1, sizeof *sums);
    assert_non_null(sums);
    for (int64_t i = 0; i < p->m; i++)
        for (int64_t k = 0; k < p->k; k++) {
            const double a = at(p->dtype, p->a, i, k);
            double *s = sums + i * p->n;
            for (int64_t j = 0; j < p->n; j++) {
                const double b = at(p->dtype, p->b, k, j);
                s[j] = p->dtype == DTYPE_FLOAT32 ? (double)fmaf((float)a, (float)b, (float)s[j])
                                                 : fma(a, b, s[j]);
            }
        }
    return sums;
}

static double with_add(const struct matmul_args *p, int64_t i, int64_t j, double x)
{
    if (!p->add.data)
        return x;
    const double add = at(p->dtype, p->add, i, j);
    return p->dtype == DTYPE_FLOAT32 ? (double)((float)x + (float)add) : x + add;
}

static bool same(double x, double y)
{
    return (isnan(x) && isnan(y)) || (x == y && signbit(x) == signbit(y));
}

/* What c must hold: the chains with what the product ends with, and in the gaps between its rows
 * or columns what was there. */
static void *expected(const struct matmul_args *p, const double *sums, int64_t count)
{
    size_t bytes = (size_t)count * dtype_bytes(p->dtype);
    void *c = malloc(bytes + 1);
    assert_non_null(c);
    memcpy(c, p->c.data, bytes);
    for (int64_t i = 0; i < p->m; i++)
        for (int64_t j = 0; j < p->n; j++)
            set(p->dtype, c, i * p->c.row_stride + j * p->c.col_stride,
                gated(p, i, j, with_add(p, i, j, sums[i * p->n + j])));
    return c;
}

static void check_against(const struct matmul_args *p, const double *sums)
{
    int64_t count = extent(p->c, p->m, p->n);
    void *want = expected(p, sums, count);
    for (const char *const *isa = kernels_names; *isa; isa++) {
        const struct kernels *k = kernels_find(*isa);
        if (!k)
            continue;
        for (int64_t i = 0; i < p->m; i++)
            for (int64_t j = 0; j < p->n; j++)
                set(p->dtype, p->c.data, i * p->c.row_stride + j * p->c.col_stride, 12345);
        k->matmul(p);
        for (int64_t i = 0; i < count; i++)
            if (!same(get(p->dtype, p->c.data, i), get(p->dtype, want, i)))
                fail_msg("%s %s m=%lld n=%lld k=%lld element %lld: %a, not %a", *isa,
                         dtype_name(p->dtype), (long long)p->m, (long long)p->n, (long long)p->k,
                         (long long)i, get(p->dtype, p->c.data, i), get(p->dtype, want, i));
    }
    free(want);
}

static void check_variants(const struct matmul_args *p)
{
    double *sums = chains(p);
    check_against(p, sums);
    free(sums);
}

struct layouts {
    enum layout a, b, add, c;
};

/* The product without a gate, with itself for one, and with one of that layout. */
static void check_gates(const struct matmul_args *product, enum layout gate)
{
    struct matmul_args p = *product;
    double *sums = chains(&p);
    check_against(&p, sums);
    p.gate = p.c;
    check_against(&p, sums);
    p.gate = make(p.dtype, gate, p.m, p.n);
    if (extent(p.gate, p.m, p.n) > 2) {
        set(p.dtype, p.gate.data, 0, NAN);
        set(p.dtype, p.gate.data, 1, 0);
        set(p.dtype, p.gate.data, 2, -0.0);
    }
    check_against(&p, sums);
    free(p.gate.data);
    free(sums);
}

static struct matmul_args product_of(enum dtype dtype, int64_t m, int64_t n, int64_t k,
                                     struct layouts l)
{
    return (struct matmul_args){.dtype = dtype,
                                .m = m,
                                .n = n,
                                .k = k,
                                .a = make(dtype, l.a, m, k),
                                .b = make(dtype, l.b, k, n),
                                .add = make(dtype, l.add, m, n),
                                .c = make(dtype, l.c, m, n),
                                .workspace = workspace};
}

static void check_product(enum dtype dtype, int64_t m, int64_t n, int64_t k, struct layouts l)
{
    struct matmul_args p = product_of(dtype, m, n, k, l);
    check_gates(&p, l.add != NOTHING ? l.add : l.c);
    free(p.a.data), free(p.b.data), free(p.add.data), free(p.c.data);
}

static struct layouts any_layouts(void)
{
    return (struct layouts){of_input[next() % COUNT(of_input)], of_input[next() % COUNT(of_input)],
                            of_add[next() % COUNT(of_add)], of_result[next() % COUNT(of_result)]};
}

static void every_small_shape_is_the_chain(void **state)
{
    (void)state;
    static const int64_t sizes[] = {0, 1, 2, 3, 7, 8, 13, 16, 17, 33, 65};
    seed = 1;
    for (size_t m = 0; m < COUNT(sizes); m++)
        for (size_t n = 0; n < COUNT(sizes); n++)
            for (size_t k = 0; k < COUNT(sizes); k++) {
                check_product(DTYPE_FLOAT32, sizes[m], sizes[n], sizes[k], any_layouts());
                check_product(DTYPE_FLOAT64, sizes[m], sizes[n], sizes[k], any_layouts());
            }
}

static void check_all_layouts(int64_t m, int64_t n, int64_t k)
{
    for (size_t a = 0; a < COUNT(of_input); a++)
        for (size_t b = 0; b < COUNT(of_input); b++)
            for (size_t add = 0; add < COUNT(of_add); add++)
                for (size_t c = 0; c < COUNT(of_result); c++) {
                    struct layouts l = {of_input[a], of_input[b], of_add[add], of_result[c]};
                    check_product(DTYPE_FLOAT32, m, n, k, l);
                    check_product(DTYPE_FLOAT64, m, n, k, l);
                }
}

static void every_layout_is_the_chain(void **state)
{
    (void)state;
    seed = 2;
    check_all_layouts(1, 1, 1);
    check_all_layouts(13, 19, 21);
    check_all_layouts(2, 35, 17);
    check_all_layouts(34, 3, 18);
}

/* Beyond every block of rows, columns and depth, for wide, high and deep products. */
static void blocks_continue_the_chain(void **state)
{
    (void)state;
    static const int64_t shapes[][3] = {{200, 40, 530},  {40, 200, 530},  {1, 2200, 530},
                                        {3, 300, 1100},  {2200, 1, 530},  {33, 33, 1030},
                                        {400, 33, 10},   {14, 2200, 520}, {30, 530, 1100},
                                        {300, 40, 1030}, {12, 10, 600},   {2, 35, 1024}};
    static const struct layouts layouts[] = {{ROWS, COLUMNS, ONE_ROW, ROWS},
                                             {ROWS, ROWS, NOTHING, ROWS},
                                             {COLUMNS, ROWS, ROWS, COLUMNS}};
    seed = 3;
    for (size_t s = 0; s < COUNT(shapes); s++)
        for (size_t l = 0; l < COUNT(layouts); l++)
            check_product((s + l) % 2 ? DTYPE_FLOAT32 : DTYPE_FLOAT64, shapes[s][0], shapes[s][1],
                          shapes[s][2], layouts[l]);
}

/* Of few k's, for every number of them: rows of c pass by, near and far, and what is left of the
 * rows and columns does not. */
static void few_terms_are_the_chain(void **state)
{
    (void)state;
    static const struct layouts layouts[] = {{ROWS, ROWS, NOTHING, ROWS},
                                             {ROWS, COLUMNS, ONE_ROW, PADDED_ROWS},
                                             {COLUMNS, PADDED_ROWS, ROWS, ROWS},
                                             {COLUMNS, COLUMNS, ONE_COLUMN, ROWS}};
    seed = 12;
    for (size_t l = 0; l < COUNT(layouts); l++) {
        for (int64_t k = 1; k <= 17; k++) {
            check_product(DTYPE_FLOAT32, 4 + k % 7, 64 + k % 3, k, layouts[l]);
            check_product(DTYPE_FLOAT64, 4 + k % 5, 48 + k % 3, k, layouts[l]);
        }
        check_product(DTYPE_FLOAT32, 530, 530, 5, layouts[l]);
        check_product(DTYPE_FLOAT32, 147, 2048, 14, layouts[l]);
        check_product(DTYPE_FLOAT64, 300, 550, 3, layouts[l]);
        check_product(DTYPE_FLOAT32, 993, 280, 3, layouts[l]); /* the last block has a row */
    }
}

/* Rows and columns of a that are whole pages apart, or half of one, are copied. */
static void a_crowded_a_is_copied(void **state)
{
    (void)state;
    static const struct layouts rows = {ROWS, ROWS, NOTHING, ROWS};
    static const struct layouts columns = {COLUMNS, ROWS, ONE_ROW, ROWS};
    seed = 11;
    check_product(DTYPE_FLOAT32, 20, 260, 1024, rows);
    check_product(DTYPE_FLOAT64, 20, 260, 512, rows);
    check_product(DTYPE_FLOAT32, 1024, 260, 5, columns);
    check_product(DTYPE_FLOAT64, 512, 260, 5, columns);
    check_product(DTYPE_FLOAT32, 512, 260, 270, columns);
}

/* A b with more columns than a block has: of few k's, and of as many that a is copied beside it. */
static void a_wide_b_is_packed_in_blocks(void **state)
{
    (void)state;
    static const struct {
        int64_t m, n, k;
        struct layouts layouts;
    } products[] = {{290, 8203, 17, {ROWS, ROWS, NOTHING, ROWS}},
                    {48, 2100, 130, {PADDED_COLUMNS, PADDED_ROWS, ONE_ROW, ROWS}}};
    seed = 14;
    for (size_t i = 0; i < COUNT(products); i++) {
        struct matmul_args p = product_of(DTYPE_FLOAT64, products[i].m, products[i].n,
                                          products[i].k, products[i].layouts);
        check_variants(&p);
        free(p.a.data), free(p.b.data), free(p.add.data), free(p.c.data);
    }
}

/* The k's in two calls give what they give in one, summand and gate coming with the last. */
static void check_halves(struct matmul_args p, int64_t first)
{
    const enum dtype dtype = p.dtype;
    struct matmul_args head = p, tail = p;
    size_t bytes = (size_t)extent(p.c, p.m, p.n) * dtype_bytes(dtype);
    void *whole = malloc(bytes + 1);
    assert_non_null(whole);
    head.k = first;
    head.add.data = head.gate.data = NULL;
    tail.k = p.k - first;
    tail.continues = true;
    tail.a.data = (char *)p.a.data + (size_t)(first * p.a.col_stride) * dtype_bytes(dtype);
    tail.b.data = (char *)p.b.data + (size_t)(first * p.b.row_stride) * dtype_bytes(dtype);
    for (const char *const *isa = kernels_names; *isa; isa++) {
        const struct kernels *kernels = kernels_find(*isa);
        if (!kernels)
            continue;
        kernels->matmul(&p);
        memcpy(whole, p.c.data, bytes);
        kernels->matmul(&head);
        kernels->matmul(&tail);
        assert_memory_equal(p.c.data, whole, bytes);
    }
    free(whole);
}

static void check_in_parts(enum dtype dtype, int64_t m, int64_t n, int64_t k, int64_t first,
                           struct layouts l)
{
    struct matmul_args p = product_of(dtype, m, n, k, l);
    check_halves(p, first);
    p.gate = p.c;
    check_halves(p, first);
    p.gate = make(dtype, l.c, m, n);
    check_halves(p, first);
    free(p.a.data), free(p.b.data), free(p.add.data), free(p.c.data), free(p.gate.data);
}

static void a_chain_may_come_in_parts(void **state)
{
    (void)state;
    static const int64_t sizes[] = {1, 2, 7, 16, 33};
    seed = 6;
    for (size_t m = 0; m < COUNT(sizes); m++)
        for (size_t n = 0; n < COUNT(sizes); n++)
            for (int64_t first = 0; first <= 300; first += 75) {
                check_in_parts(DTYPE_FLOAT32, sizes[m], sizes[n], 300, first, any_layouts());
                check_in_parts(DTYPE_FLOAT64, sizes[m], sizes[n], 300, first, any_layouts());
            }
}

/* A single row, and columns of b that stand whole pages apart, or part of one. */
static void a_crowded_b_is_the_chain(void **state)
{
    (void)state;
    static const struct layouts whole = {ROWS, COLUMNS, ONE_ROW, ROWS};
    static const struct layouts longer = {ROWS, PADDED_COLUMNS, ONE_ROW, ROWS};
    seed = 13;
    for (int64_t apart = 256; apart <= 1024; apart *= 2) {
        check_product(DTYPE_FLOAT32, 1, 75, apart, whole);
        check_product(DTYPE_FLOAT64, 1, 64, apart, whole);
        check_in_parts(DTYPE_FLOAT32, 1, 64, apart - 5, 150, longer);
        check_in_parts(DTYPE_FLOAT64, 1, 43, apart - 5, 150, longer);
    }
}

/* The last n of that many columns, as far as b's end. */
static void check_last_columns(enum dtype dtype, int64_t m, int64_t n, int64_t columns, int64_t k,
                               struct layouts l)
{
    struct matmul_args p = product_of(dtype, m, columns, k, l);
    void *b = p.b.data;
    p.b.data = (char *)b + (size_t)(columns - n) * dtype_bytes(dtype);
    p.n = n;
    check_variants(&p);
    check_halves(p, k - 5);
    p.gate = p.c;
    check_variants(&p);
    free(p.a.data), free(b), free(p.add.data), free(p.c.data);
}

/* A b of more than 16 MB whose rows stand whole pages apart, of which a part is multiplied: whole
 * panels, and one that is none; and one of more columns than a block has, with an a to be copied.
 */
static void a_crowded_b_of_memory_is_packed(void **state)
{
    (void)state;
    static const struct layouts rows = {ROWS, ROWS, ONE_ROW, ROWS},
                                columns = {PADDED_COLUMNS, ROWS, NOTHING, COLUMNS},
                                copied = {PADDED_COLUMNS, ROWS, ONE_ROW, ROWS};
    seed = 15;
    for (int64_t m = 2; m <= 33; m = 3 * m + 1)
        for (enum dtype dtype = DTYPE_FLOAT32; dtype <= DTYPE_FLOAT64; dtype++) {
            int64_t page = 4096 / (int64_t)dtype_bytes(dtype);
            check_last_columns(dtype, m, 107, page, 4103, rows);
            check_last_columns(dtype, m, 43, page, 4103, columns);
        }
    check_last_columns(DTYPE_FLOAT32, 7, 4077, 4096, 1030, copied);
}

/* A b of more than 16 MB, with a few rows of a, and last columns and k's that are no whole vectors
 * and blocks. */
static void a_large_b_is_streamed(void **state)
{
    (void)state;
    static const struct layouts layouts[] = {{ROWS, PADDED_ROWS, ONE_ROW, ROWS},
                                             {COLUMNS, ROWS, NOTHING, PADDED_ROWS},
                                             {ROWS, ROWS, ROWS, COLUMNS}};
    seed = 9;
    for (int64_t m = 1; m <= 4; m++)
        for (size_t l = 0; l < COUNT(layouts); l++) {
            check_product(DTYPE_FLOAT32, m, 4203, 1030, layouts[l]);
            check_product(DTYPE_FLOAT64, m, 2101, 1029, layouts[l]);
            check_in_parts(DTYPE_FLOAT32, m, 4203, 1030, 27, layouts[l]);
        }
}

/* ---- a product that updates ---------------------------------------------------------------- */

static void *copy_of(const void *x, size_t bytes)
{
    void *copy = malloc(bytes + 1);
    assert_non_null(copy);
    return memcpy(copy, x, bytes);
}

/* The product, and then the update by it. Returns the largest magnitude written. */
static double multiply_and_step(const struct kernels *k, const struct matmul_args *p,
                                const struct matmul_update *u, void *parameter, void *momentum)
{
    struct matmul_args plain = *p;
    plain.c = make(p->dtype, ROWS, p->m, p->n);
    k->matmul(&plain);
    struct sgd_sweep s = {.dtype = p->dtype,
                          .n = (size_t)p->n,
                          .rows = (size_t)p->m,
                          .next = (size_t)p->c.row_stride,
                          .next_gradient = (size_t)p->n,
                          .options = u->options,
                          .first = u->first,
                          .gradient = plain.c.data,
                          .momentum = momentum,
                          .parameter = parameter};
    double largest = k->sgd(&s);
    free(plain.c.data);
    return largest;
}

/* On parameters with gaps between the rows, in which nothing may change, as behind the last. */
static void check_update(enum dtype dtype, int64_t m, int64_t n, int64_t k,
                         const struct sgd_options *o, bool first)
{
    enum layout layout = next() % 2 ? ROWS : PADDED_ROWS;
    struct matmul_args p = {.dtype = dtype,
                            .m = m,
                            .n = n,
                            .k = k,
                            .a = make(dtype, of_input[next() % COUNT(of_input)], m, k),
                            .b = make(dtype, of_input[next() % COUNT(of_input)], k, n),
                            .c = make(dtype, layout, m, n),
                            .workspace = workspace};
    struct matrix buffer = make(dtype, layout, m, n);
    size_t bytes = (size_t)extent(p.c, m, n) * dtype_bytes(dtype);
    for (const char *const *isa = kernels_names; *isa; isa++) {
        const struct kernels *kernels = kernels_find(*isa);
        if (!kernels)
            continue;
        struct matmul_args fused = p;
        struct matmul_update u = {.options = o, .first = first};
        void *want = copy_of(p.c.data, bytes), *momentum = copy_of(buffer.data, bytes);
        void *is = copy_of(p.c.data, bytes), *is_momentum = copy_of(buffer.data, bytes);
        bool has = o->momentum != 0;
        double largest = multiply_and_step(kernels, &p, &u, want, has ? momentum : NULL);
        u.momentum = has ? is_momentum : NULL;
        fused.update = &u;
        fused.c.data = is;
        memset(workspace, 0xff, MATMUL_WORKSPACE_BYTES / 8); /* NaN, where a panel is padded */
        kernels->matmul(&fused);
        assert_memory_equal(is, want, bytes);
        assert_memory_equal(is_momentum, momentum, bytes);
        assert_true(same(u.largest, largest));
        free(want), free(momentum), free(is), free(is_momentum);
    }
    free(p.a.data), free(p.b.data), free(p.c.data), free(buffer.data);
}

static void an_update_is_as_behind_the_product(void **state)
{
    (void)state;
    static const struct sgd_options options[] = {
        {.lr = 0.1},
        {.lr = 0.1, .maximize = true},
        {.lr = 0.03, .weight_decay = 0.7},
        {.lr = 0.07, .momentum = 0.9, .dampening = 0.3},
        {.lr = 0.01, .momentum = 0.95, .weight_decay = 0.1, .nesterov = true},
    };
    static const int64_t shapes[][3] = {
        {1, 1, 1},   {1, 16, 2},   {13, 1, 5},    {5, 7, 0},    {12, 32, 32},
        {14, 37, 3}, {3, 300, 20}, {2, 128, 256}, {33, 65, 17}, {400, 70, MATMUL_DEPTH},
        {70, 64, 9}, {9, 97, 14},  {9, 40, 7}};
    seed = 7;
    for (size_t s = 0; s < COUNT(shapes); s++)
        for (size_t o = 0; o < COUNT(options); o++)
            for (int kind = 0; kind < 4; kind++)
                check_update(kind & 1 ? DTYPE_FLOAT64 : DTYPE_FLOAT32, shapes[s][0], shapes[s][1],
                             shapes[s][2], &options[o], kind & 2);
}

/* Wherever the odd one is. */
static void an_update_tells_of_what_is_not_finite(void **state)
{
    (void)state;
    enum { M = 5, N = 35, K = 2 };
    const struct sgd_options plain = {.lr = 0.1};
    float a[M * K] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1}, b[K * N] = {0}, c[M * N] = {0};
    for (const char *const *isa = kernels_names; *isa; isa++)
        for (int i = 0; kernels_find(*isa) && i < M * N; i++) {
            struct matmul_update u = {.options = &plain};
            struct matmul_args p = {.dtype = DTYPE_FLOAT32, .m = M, .n = N, .k = K};
            p.update = &u;
            p.workspace = workspace;
            p.a = (struct matrix){a, K, 1};
            p.b = (struct matrix){b, N, 1};
            p.c = (struct matrix){c, N, 1};
            c[i] = NAN;
            kernels_find(*isa)->matmul(&p);
            assert_true(isnan(u.largest));
            c[i] = -INFINITY;
            kernels_find(*isa)->matmul(&p);
            assert_true(isinf(u.largest));
            c[i] = 0;
        }
}

/* -------------------------------------------------------------------------------------------- */

/* One NaN and one infinity in each operand, and a row of zeros that must not hide them. */
static void nan_and_infinity_spread_as_in_the_chain(void **state)
{
    (void)state;
    enum { M = 14, N = 37, K = 19 };
    seed = 4;
    struct matmul_args p = {.dtype = DTYPE_FLOAT32,
                            .m = M,
                            .n = N,
                            .k = K,
                            .a = make(DTYPE_FLOAT32, ROWS, M, K),
                            .b = make(DTYPE_FLOAT32, COLUMNS, K, N),
                            .c = make(DTYPE_FLOAT32, ROWS, M, N),
                            .workspace = workspace};
    float *a = p.a.data, *b = p.b.data, *c = p.c.data;
    memset(a + 3 * K, 0, K * sizeof *a);
    a[5 * K + 2] = NAN, a[6 * K + 3] = INFINITY;
    b[7 * K + 4] = NAN, b[8 * K + 5] = -INFINITY;
    /* A sum of minus 0: of what is below the least number, and less than 0. */
    for (int k = 0; k < K; k++)
        a[9 * K + k] = -0x1p-100f, b[10 * K + k] = 0x1p-100f;
    check_gates(&p, ROWS);
    kernels_best()->matmul(&p);
    assert_true(isnan(c[3 * N + 7]) && isnan(c[3 * N + 8]) && isnan(c[5 * N + 0]));
    assert_true(isinf(c[6 * N + 0]) && c[3 * N + 0] == 0.0f && isfinite(c[0]));
    assert_true(c[9 * N + 10] == 0 && signbit(c[9 * N + 10]));
    free(a), free(b), free(c);
}

/* -0 products sum to +0, since a chain starts from +0; overflow and denormal sums are kept. */
static void edges_of_the_range_are_kept(void **state)
{
    (void)state;
    float a[3] = {-0.0f, 0x1p-149f, 0x1p127f}, b[1] = {1.0f}, c[3], zero[3] = {-0.0f, 0, 0x1p127f};
    struct matmul_args p = {.dtype = DTYPE_FLOAT32,
                            .m = 3,
                            .n = 1,
                            .k = 1,
                            .a = {a, 1, 1},
                            .b = {b, 1, 1},
                            .add = {zero, 1, 1},
                            .c = {c, 1, 1},
                            .workspace = workspace};
    for (const char *const *isa = kernels_names; *isa; isa++) {
        const struct kernels *k = kernels_find(*isa);
        if (!k)
            continue;
        k->matmul(&p);
        assert_true(c[0] == 0.0f && !signbit(c[0]) && c[1] == 0x1p-149f && isinf(c[2]));
    }
}

static void a_row_is_the_same_alone_and_in_a_batch(void **state)
{
    (void)state;
    enum { M = 35, N = 70, K = 300 };
    seed = 5;
    struct matmul_args p = {.dtype = DTYPE_FLOAT32,
                            .m = M,
                            .n = N,
                            .k = K,
                            .a = make(DTYPE_FLOAT32, ROWS, M, K),
                            .b = make(DTYPE_FLOAT32, COLUMNS, K, N),
                            .add = make(DTYPE_FLOAT32, ONE_ROW, M, N),
                            .c = make(DTYPE_FLOAT32, ROWS, M, N),
                            .workspace = workspace};
    kernels_best()->matmul(&p);
    for (int i = 0; i < M; i++) {
        float row[N];
        struct matmul_args one = p;
        one.m = 1;
        one.a.data = (float *)p.a.data + i * K;
        one.c.data = row;
        kernels_best()->matmul(&one);
        assert_memory_equal(row, (float *)p.c.data + i * N, sizeof row);
    }
    free(p.a.data), free(p.b.data), free(p.add.data), free(p.c.data);
}

static void variants_are_found_by_name(void **state)
{
    (void)state;
    assert_null(kernels_find("sse9"));
    assert_non_null(kernels_find("baseline"));
    for (const char *const *isa = kernels_names; *isa; isa++)
        if (kernels_find(*isa)) {
            assert_string_equal(kernels_find(*isa)->isa, *isa);
            assert_ptr_equal(kernels_find(kernels_best()->isa), kernels_best());
        }
}

static int make_workspace(void **state)
{
    (void)state;
    workspace = mem_array(MATMUL_WORKSPACE_BYTES, 1);
    return workspace ? 0 : -1;
}

static int free_workspace(void **state)
{
    (void)state;
    mem_free(workspace);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_small_shape_is_the_chain),
        cmocka_unit_test(every_layout_is_the_chain),
        cmocka_unit_test(blocks_continue_the_chain),
        cmocka_unit_test(few_terms_are_the_chain),
        cmocka_unit_test(a_crowded_a_is_copied),
        cmocka_unit_test(a_crowded_b_is_the_chain),
        cmocka_unit_test(a_wide_b_is_packed_in_blocks),
        cmocka_unit_test(a_chain_may_come_in_parts),
        cmocka_unit_test(a_crowded_b_of_memory_is_packed),
        cmocka_unit_test(a_large_b_is_streamed),
        cmocka_unit_test(an_update_is_as_behind_the_product),
        cmocka_unit_test(an_update_tells_of_what_is_not_finite),
        cmocka_unit_test(nan_and_infinity_spread_as_in_the_chain),
        cmocka_unit_test(edges_of_the_range_are_kept),
        cmocka_unit_test(a_row_is_the_same_alone_and_in_a_batch),
        cmocka_unit_test(variants_are_found_by_name),
    };
    return cmocka_run_group_tests(tests, make_workspace, free_workspace);
}
