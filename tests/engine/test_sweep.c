/* engine/sweep.c: the passes over a block, on every instruction set, against plain loops, and the
 * update against PyTorch 1.13.1. */
#include "engine/kernels.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/optim.h"

enum { N = 5, STEPS = 3, GOLDEN = 6 };
static const struct sgd_options golden_options[GOLDEN] = {
    {.lr = 0.1},
    {.lr = 0.03, .weight_decay = 0.7},
    {.lr = 0.1, .momentum = 0.9},
    {.lr = 0.07, .momentum = 0.9, .dampening = 0.3, .weight_decay = 0.01},
    {.lr = 0.01, .momentum = 0.95, .weight_decay = 0.1, .nesterov = true},
    {.lr = 0.1, .momentum = 0.6, .maximize = true},
};
static const float start_f32[N] = {-0x1.f276a8p-2f, -0x1.35281ap-1f, -0x1.1dbecap-1f,
                                   0x1.55c5bep-1f, -0x1.944e5ep-3f};
static const float gradients_f32[STEPS][N] = {
    {0x1.f15a42p+0f, -0x1.66d5f2p+0f, -0x1.866de4p-1f, 0x1.432e68p-1f, -0x1.cc5b72p-1f},
    {-0x1.1d971ap-1f, 0x1.61a5e4p-1f, 0x1.c7985ep-3f, -0x1.551b7ap-1f, 0x1.5e896cp-1f},
    {0x1.25e38ap-1f, -0x1.2a6f9ap-1f, 0x1.892fa2p-1f, 0x1.d3b3fcp-5f, -0x1.307adap+0f}};
static const float golden_f32[GOLDEN][N] = {
    {-0x1.5d883ap-1f, -0x1.e5d248p-2f, -0x1.29692cp-1f, 0x1.54a454p-1f, -0x1.d32d1ap-5f},
    {-0x1.06e33p-1f, -0x1.0ee256p-1f, -0x1.10088cp-1f, 0x1.4089e6p-1f, -0x1.26865cp-3f},
    {-0x1.edec7p-1f, -0x1.3008dp-2f, -0x1.e1cbf2p-2f, 0x1.3c13dcp-1f, 0x1.1f968ep-5f},
    {-0x1.a8ca4p-1f, -0x1.7cc032p-2f, -0x1.e14d8ap-2f, 0x1.35b0aep-1f, -0x1.04252ep-5f},
    {-0x1.19803ap-1f, -0x1.1c3d52p-1f, -0x1.17c9b4p-1f, 0x1.500fc6p-1f, -0x1.453462p-3f},
    {-0x1.1a4ce4p-3f, -0x1.a71486p-1f, -0x1.30ba1ep-1f, 0x1.61764p-1f, -0x1.883bb8p-2f},
};
static const double start_f64[N] = {-0x1.f276a732875fep-2, -0x1.35281a692942ap-1,
                                    -0x1.1dbeca06d12ebp-1, 0x1.55c5bec8c072cp-1,
                                    -0x1.944e5d496a2dap-3};
static const double gradients_f64[STEPS][N] = {
    {0x1.f15a42f915178p+0, -0x1.66d5f16ed5a14p+0, -0x1.866de39125c9ep-1, 0x1.432e6758d64e7p-1,
     -0x1.cc5b71ae8fe52p-1},
    {-0x1.1d971a2c2f071p-1, 0x1.61a5e49e0b1fdp-1, 0x1.c7985d0392357p-3, -0x1.551b7a7428464p-1,
     0x1.5e896c4b9fa8dp-1},
    {0x1.25e38949c5ba6p-1, -0x1.2a6f99b3acb11p-1, 0x1.892fa1110587fp-1, 0x1.d3b3fb3fea4cdp-5,
     -0x1.307ada4d52bf4p+0}};
static const double golden_f64[GOLDEN][N] = {
    {-0x1.5d8838e7a3c69p-1, -0x1.e5d249a1a98e2p-2, -0x1.29692c1a1803p-1, 0x1.54a453ecaf2e4p-1,
     -0x1.d32d185cb9251p-5},
    {-0x1.06e32ef76ed7p-1, -0x1.0ee2562d91f51p-1, -0x1.10088ce3d4d4fp-1, 0x1.4089e51ebdf0cp-1,
     -0x1.26865c108baa5p-3},
    {-0x1.edec6fc210bdap-1, -0x1.3008d1bd0d258p-2, -0x1.e1cbf05a840c2p-2, 0x1.3c13db9bea51bp-1,
     0x1.1f96910fe2735p-5},
    {-0x1.a8ca42349eb15p-1, -0x1.7cc0328fe8ab6p-2, -0x1.e14d86f6d775fp-2, 0x1.35b0ae8ef5697p-1,
     -0x1.04252d6217b58p-5},
    {-0x1.198039295e10cp-1, -0x1.1c3d52aa9da9fp-1, -0x1.17c9b333e6e69p-1, 0x1.500fc8cc43188p-1,
     -0x1.453461de1d87bp-3},
    {-0x1.1a4ce4148fa0ap-3, -0x1.a71485a2caf4ep-1, -0x1.30ba1c25845d1p-1, 0x1.617641b8cf649p-1,
     -0x1.883bb6c8f4147p-2},
};

/* Lengths around those of vectors, lanes and chunks. */
static const size_t lengths[] = {0, 1, 2, 7, 8, 15, 16, 17, 33, 511, 512, 513, 1300};
#define COUNT(array) (sizeof(array) / sizeof *(array))
#define MOST         1300

static double number(uint64_t *seed)
{
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return ((double)(*seed >> 33) - 0x1p30) * 0x1p-29;
}

static void fill_f32(float *x, size_t n, uint64_t seed)
{
    for (size_t i = 0; i < n; i++)
        x[i] = (float)number(&seed);
}

static void fill_f64(double *x, size_t n, uint64_t seed)
{
    for (size_t i = 0; i < n; i++)
        x[i] = number(&seed);
}

static void fill_words(uint32_t *x, size_t n, uint64_t seed)
{
    for (size_t i = 0; i < n; i++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        x[i] = (uint32_t)(seed >> 32);
    }
}

/* The i-th variant that this CPU runs, NULL after the last. */
static const struct kernels *variant(size_t i)
{
    for (const char *const *isa = kernels_names; *isa; isa++)
        if (kernels_find(*isa) && i-- == 0)
            return kernels_find(*isa);
    return NULL;
}

/* 16 lanes, over all rows of n, first what fills them and then what is left of each; then halves
 * onto halves. */
static double sum_rows_in_lanes(const double *x, size_t rows, size_t next, size_t n)
{
    double lane[16] = {0};
    for (int last = 0; last < 2; last++)
        for (size_t row = 0; row < rows; row++)
            for (size_t i = last ? n - n % 16 : 0; i < (last ? n : n - n % 16); i++)
                lane[i % 16] += x[row * next + i] * x[row * next + i];
    for (int width = 8; width > 0; width /= 2)
        for (int i = 0; i < width; i++)
            lane[i] += lane[i + width];
    return lane[0];
}

static double sum_in_lanes(const double *x, size_t n)
{
    return sum_rows_in_lanes(x, 1, n, n);
}

static void sum_squares_adds_in_fixed_order(void **state)
{
    (void)state;
    float x[MOST];
    double y[MOST], wide[MOST];
    fill_f32(x, MOST, 1);
    fill_f64(y, MOST, 2);
    for (size_t i = 0; i < MOST; i++)
        wide[i] = (double)x[i];
    for (size_t l = 0; l < COUNT(lengths); l++)
        for (size_t v = 0; variant(v); v++) {
            size_t n = lengths[l];
            assert_true(variant(v)->sum_squares(DTYPE_FLOAT32, x, n) == sum_in_lanes(wide, n));
            assert_true(variant(v)->sum_squares(DTYPE_FLOAT64, y, n) == sum_in_lanes(y, n));
        }
}

static void sum_squares_of_floats_does_not_overflow(void **state)
{
    (void)state;
    const float x[2] = {0x1p127f, 0x1p127f};
    const double y[1] = {0x1p1000};
    for (size_t v = 0; variant(v); v++) {
        assert_true(variant(v)->sum_squares(DTYPE_FLOAT32, x, 2) == 0x1p255);
        assert_true(isinf(variant(v)->sum_squares(DTYPE_FLOAT64, y, 1)));
    }
}

/* Wherever in the block the odd one is. */
static void largest_sees_each_element(void **state)
{
    (void)state;
    const double odd[] = {(double)NAN, -(double)NAN, (double)INFINITY, -(double)INFINITY};
    float x[67];
    double y[67];
    fill_f32(x, 67, 3);
    fill_f64(y, 67, 3);
    x[5] = 0x1.fffffep127f;
    y[5] = -0x1.fffffffffffffp1023;
    for (size_t v = 0; variant(v); v++) {
        assert_true(isfinite(variant(v)->largest(DTYPE_FLOAT32, x, 67)));
        assert_true(isfinite(variant(v)->largest(DTYPE_FLOAT64, y, 67)));
        assert_true(isfinite(variant(v)->largest(DTYPE_FLOAT32, x, 0)));
        for (size_t i = 0; i < 67; i++)
            for (size_t o = 0; o < COUNT(odd); o++) {
                float kept = x[i];
                double kept_too = y[i];
                x[i] = (float)odd[o], y[i] = odd[o];
                assert_true(!isfinite(variant(v)->largest(DTYPE_FLOAT32, x, 67)));
                assert_true(!isfinite(variant(v)->largest(DTYPE_FLOAT64, y, 67)));
                assert_true(isfinite(variant(v)->largest(DTYPE_FLOAT64, y, i)));
                x[i] = kept, y[i] = kept_too;
            }
    }
}

static void accumulate_adds_each_element(void **state)
{
    (void)state;
    float x[MOST], y[MOST];
    double z[MOST], w[MOST];
    for (size_t l = 0; l < COUNT(lengths); l++)
        for (size_t v = 0; variant(v); v++) {
            size_t n = lengths[l];
            fill_f32(x, MOST, 4), fill_f32(y, MOST, 5);
            fill_f64(z, MOST, 6), fill_f64(w, MOST, 7);
            float after = y[MOST - 1];
            variant(v)->accumulate(DTYPE_FLOAT32, y, x, n);
            variant(v)->accumulate(DTYPE_FLOAT64, w, z, n);
            float y0[MOST];
            double w0[MOST];
            fill_f32(y0, MOST, 5), fill_f64(w0, MOST, 7);
            for (size_t i = 0; i < n; i++)
                assert_true(y[i] == y0[i] + x[i] && w[i] == w0[i] + z[i]);
            assert_true(n == MOST || y[MOST - 1] == after);
        }
}

static void sgd_equals_pytorch_to_the_bit(void **state)
{
    (void)state;
    for (size_t v = 0; variant(v); v++)
        for (size_t o = 0; o < GOLDEN; o++) {
            float p[N], buffer[N];
            double q[N], wide_buffer[N];
            memcpy(p, start_f32, sizeof p);
            memcpy(q, start_f64, sizeof q);
            bool has_momentum = golden_options[o].momentum != 0;
            for (int step = 0; step < STEPS; step++) {
                struct sgd_sweep s = {.dtype = DTYPE_FLOAT32,
                                      .n = N,
                                      .options = &golden_options[o],
                                      .first = step == 0,
                                      .gradient = gradients_f32[step],
                                      .momentum = has_momentum ? buffer : NULL,
                                      .parameter = p};
                variant(v)->sgd(&s);
                s.dtype = DTYPE_FLOAT64;
                s.gradient = gradients_f64[step];
                s.momentum = has_momentum ? wide_buffer : NULL;
                s.parameter = q;
                variant(v)->sgd(&s);
            }
            assert_memory_equal(p, golden_f32[o], sizeof p);
            assert_memory_equal(q, golden_f64[o], sizeof q);
        }
}

/* optim.h's lines for one element; fused where PyTorch's are. */
static float one_update(const struct sgd_options *o, bool first, float g, float *buffer, float p)
{
    g = o->maximize ? -g : g;
    if (o->weight_decay != 0)
        g = fmaf(p, (float)o->weight_decay, g);
    if (o->momentum != 0) {
        float kept = *buffer * (float)o->momentum;
        *buffer = first ? g : fmaf(g, (float)(1 - o->dampening), kept);
        g = o->nesterov ? fmaf(*buffer, (float)o->momentum, g) : *buffer;
    }
    return fmaf(g, (float)-o->lr, p);
}

static void check_lengths(const struct kernels *k, const struct sgd_options *o, size_t n)
{
    float g[MOST], p[MOST], buffer[MOST], p0[MOST], buffer0[MOST], most = 0;
    fill_f32(g, MOST, 8), fill_f32(p, MOST, 9), fill_f32(buffer, MOST, 10);
    memcpy(p0, p, sizeof p), memcpy(buffer0, buffer, sizeof buffer);
    struct sgd_sweep s = {.n = n, .dtype = DTYPE_FLOAT32, .options = o, .gradient = g};
    s.parameter = p;
    s.momentum = o->momentum != 0 ? buffer : NULL;
    s.dry = true;
    double dry = k->sgd(&s);
    assert_memory_equal(p, p0, sizeof p);
    assert_memory_equal(buffer, buffer0, sizeof buffer);
    s.dry = false;
    double wet = k->sgd(&s);
    for (size_t i = 0; i < n; i++) {
        p0[i] = one_update(o, false, g[i], &buffer0[i], p0[i]);
        most = fmaxf(most, fabsf(p0[i]));
        most = o->momentum != 0 ? fmaxf(most, fabsf(buffer0[i])) : most;
    }
    assert_memory_equal(p, p0, sizeof p);
    assert_memory_equal(buffer, buffer0, sizeof buffer);
    assert_true(dry == (double)most && wet == (double)most);
}

/* The elements behind n stay as they are, and a dry run writes nothing but says the same. */
static void sgd_covers_its_run_and_says_the_largest(void **state)
{
    (void)state;
    for (size_t v = 0; variant(v); v++)
        for (size_t o = 0; o < GOLDEN; o++)
            for (size_t l = 0; l < COUNT(lengths); l++)
                check_lengths(variant(v), &golden_options[o], lengths[l]);
}

static void sgd_tells_of_infinity_and_nan(void **state)
{
    (void)state;
    const struct sgd_options plain = {.lr = 1}, heavy = {.lr = 0, .momentum = 0.5};
    for (size_t v = 0; variant(v); v++) {
        double p[3] = {-0x1.8p1023, 1, 2}, g[3] = {0x1p1023, 0, 0}, buffer[3] = {0};
        struct sgd_sweep s = {.n = 3, .dtype = DTYPE_FLOAT64, .options = &plain, .gradient = g};
        s.parameter = p;
        assert_true(isinf(variant(v)->sgd(&s)) && isinf(p[0]));
        p[0] = 0, g[0] = 0, g[1] = (double)NAN, g[2] = (double)INFINITY;
        assert_true(isnan(variant(v)->sgd(&s)));
        s.options = &heavy;
        s.momentum = buffer;
        s.first = true;
        p[1] = 0, p[2] = 0, g[1] = 0, g[2] = 7;
        assert_true(variant(v)->sgd(&s) == 7.0 && buffer[2] == 7.0 && p[2] == 0.0);
    }
}

/* Wherever in a row the odd one is, and in whichever row. */
static void sgd_sees_each_element(void **state)
{
    (void)state;
    enum { ROWS = 2, ROW = 37 };
    const struct sgd_options plain = {.lr = 0.1};
    const float odd[] = {NAN, -NAN, INFINITY, -INFINITY, 0x1p100f};
    float p[ROWS * ROW] = {0}, g[ROWS * ROW];
    fill_f32(g, ROWS * ROW, 17);
    for (size_t v = 0; variant(v); v++)
        for (size_t i = 0; i < ROWS * ROW; i++)
            for (size_t o = 0; o < COUNT(odd); o++)
                for (size_t rows = 1; rows <= ROWS; rows++) {
                    struct sgd_sweep s = {.dtype = DTYPE_FLOAT32,
                                          .options = &plain,
                                          .n = ROWS * ROW / rows,
                                          .rows = rows,
                                          .next = ROW,
                                          .next_gradient = ROW,
                                          .gradient = g,
                                          .parameter = p};
                    p[i] = odd[o];
                    double most = variant(v)->sgd(&s);
                    assert_true(isnan(odd[o]) ? isnan(most) : most == (double)fabsf(odd[o]));
                    p[i] = 0;
                }
}

/* ---- the digest ---------------------------------------------------------------------------- */

/* The definition, letter by letter. */
static uint64_t plain_digest(size_t first, const void *x, size_t words)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < words; i++) {
        uint32_t word;
        memcpy(&word, (const char *)x + 4 * i, 4);
        uint32_t weight = (uint32_t)((first + i) * 0x9E3779B1u + 0x85EBCA77u);
        sum += (uint64_t)word * ((weight ^ weight >> 15) | 1);
    }
    return sum;
}

/* Wherever the piece begins, in its block and in memory, and where the index outgrows 32 bits. */
static void digest_is_the_weighted_sum(void **state)
{
    (void)state;
    static const size_t firsts[] = {0, 1, 2, 3, 15, 16, 512, 99999, 0xfffffff9, SIZE_MAX / 3};
    uint32_t x[MOST + 3];
    fill_words(x, COUNT(x), 11);
    for (size_t v = 0; variant(v); v++) {
        assert_true(variant(v)->digest(7, NULL, 0) == 0);
        for (size_t f = 0; f < COUNT(firsts); f++)
            for (size_t n = 0; n <= MOST; n += n < 70 ? 1 : 205)
                for (size_t from = 0; from < 3; from++) {
                    const char *piece = (const char *)(x + from) + from;
                    assert_true(variant(v)->digest(firsts[f], piece, n) ==
                                plain_digest(firsts[f], piece, n));
                }
    }
}

static void digests_of_pieces_add_up(void **state)
{
    (void)state;
    uint32_t x[131];
    fill_words(x, COUNT(x), 12);
    for (size_t v = 0; variant(v); v++)
        for (size_t cut = 0; cut <= COUNT(x); cut++)
            assert_true(variant(v)->digest(5, x, cut) +
                            variant(v)->digest(5 + cut, x + cut, COUNT(x) - cut) ==
                        variant(v)->digest(5, x, COUNT(x)));
}

/* A flipped bit, and a change of all bits that a multiple of 2^32 could have hidden. */
static void digest_sees_each_bit(void **state)
{
    (void)state;
    uint32_t x[67];
    fill_words(x, COUNT(x), 13);
    for (size_t v = 0; variant(v); v++) {
        uint64_t whole = variant(v)->digest(0, x, COUNT(x));
        for (size_t i = 0; i < COUNT(x); i++) {
            uint32_t kept = x[i];
            for (int bit = 0; bit < 32; bit++) {
                x[i] = kept ^ (uint32_t)1 << bit;
                assert_true(variant(v)->digest(0, x, COUNT(x)) != whole);
            }
            x[i] = ~kept;
            assert_true(variant(v)->digest(0, x, COUNT(x)) != whole);
            x[i] = kept;
        }
        assert_true(variant(v)->digest(0, x, COUNT(x)) == whole);
    }
}

union block {
    float narrow[MOST];
    double wide[MOST];
};

static void fill_block(union block *x, enum dtype dtype, uint64_t seed)
{
    if (dtype == DTYPE_FLOAT32)
        fill_f32(x->narrow, MOST, seed);
    else
        fill_f64(x->wide, MOST, seed);
}

static void check_sums(const struct kernels *k, const struct sgd_options *o, enum dtype dtype,
                       bool first, size_t n)
{
    static union block g, p, momentum;
    size_t words = dtype == DTYPE_FLOAT32 ? 1 : 2;
    bool has_momentum = o->momentum != 0;
    fill_block(&g, dtype, 14), fill_block(&p, dtype, 15), fill_block(&momentum, dtype, 16);
    struct sgd_sums sums = {.parameters = 3, .momentum = 4}, dry = sums;
    struct sgd_sweep s = {.dtype = dtype, .n = n, .options = o, .first = first, .gradient = &g};
    s.parameter = &p;
    s.momentum = has_momentum ? &momentum : NULL;
    s.at = 1001;
    s.sums = &dry, s.dry = true;
    k->sgd(&s);
    s.sums = &sums, s.dry = false;
    k->sgd(&s);
    uint64_t of_momentum = has_momentum ? plain_digest(1001 * words, &momentum, n * words) : 0;
    assert_true(sums.parameters == 3 + plain_digest(1001 * words, &p, n * words));
    assert_true(sums.momentum == 4 + of_momentum);
    assert_memory_equal(&dry, &sums, sizeof sums);
}

/* They are added to what was there, and a dry run says what would have been written. */
static void sgd_sums_the_digests_of_what_it_writes(void **state)
{
    (void)state;
    for (size_t v = 0; variant(v); v++)
        for (size_t o = 0; o < GOLDEN; o++)
            for (size_t l = 0; l < COUNT(lengths); l++)
                for (int kind = 0; kind < 4; kind++)
                    check_sums(variant(v), &golden_options[o],
                               kind & 1 ? DTYPE_FLOAT64 : DTYPE_FLOAT32, kind & 2, lengths[l]);
}

/* The squares of a sweep, by themselves and with digests. */
static void check_squares(const struct kernels *k, const struct sgd_options *o, enum dtype dtype,
                          size_t rows, size_t n)
{
    enum { NEXT = MOST / 5 };
    static union block g, p, momentum;
    static double wide[MOST];
    fill_block(&g, dtype, 14), fill_block(&p, dtype, 15), fill_block(&momentum, dtype, 16);
    for (size_t i = 0; i < MOST; i++)
        wide[i] = dtype == DTYPE_FLOAT32 ? (double)g.narrow[i] : g.wide[i];
    double expected = 0.5 + sum_rows_in_lanes(wide, rows, NEXT, n), squares[2] = {0.5, 0.5};
    struct sgd_sums sums = {0};
    struct sgd_sweep s = {.dtype = dtype, .n = n, .options = o, .gradient = &g, .parameter = &p};
    s.momentum = o->momentum != 0 ? &momentum : NULL;
    s.rows = rows, s.next = NEXT, s.next_gradient = NEXT;
    s.squares = &squares[0];
    k->sgd(&s);
    s.squares = &squares[1], s.sums = &sums;
    k->sgd(&s);
    assert_true(squares[0] == expected);
    assert_true(squares[1] == expected);
}

static void sgd_sums_the_squares_of_the_gradient(void **state)
{
    static const size_t runs[] = {1, 15, 16, 31, 250};
    (void)state;
    for (size_t v = 0; variant(v); v++)
        for (size_t o = 0; o < GOLDEN; o++)
            for (size_t n = 0; n < COUNT(runs); n++)
                for (int kind = 0; kind < 4; kind++)
                    check_squares(variant(v), &golden_options[o],
                                  kind & 1 ? DTYPE_FLOAT64 : DTYPE_FLOAT32, kind & 2 ? 5 : 1,
                                  runs[n]);
}

/* The sweep over 5 runs of n elements that lie apart, and one over each of them. */
static void check_apart(const struct kernels *k, const struct sgd_options *o, enum dtype dtype,
                        size_t n, int kind)
{
    enum { ROWS = 5, NEXT = MOST / ROWS, NEXT_GRADIENT = NEXT - 3 };
    static union block g, block[2], momentum[2];
    size_t bytes = dtype_bytes(dtype);
    struct sgd_sums sums[2] = {{1, 2}, {1, 2}};
    double most = 0, largest;
    fill_block(&g, dtype, 14);
    for (int b = 0; b < 2; b++)
        fill_block(&block[b], dtype, 15), fill_block(&momentum[b], dtype, 16);
    struct sgd_sweep s = {.dtype = dtype, .n = n, .options = o, .gradient = &g, .at = 7};
    s.rows = ROWS, s.next = NEXT, s.next_gradient = NEXT_GRADIENT;
    s.parameter = &block[0];
    s.momentum = o->momentum != 0 ? &momentum[0] : NULL;
    s.first = kind & 1, s.dry = kind & 2;
    s.sums = kind & 4 ? &sums[0] : NULL;
    largest = k->sgd(&s);
    s.rows = 0;
    s.sums = kind & 4 ? &sums[1] : NULL;
    for (size_t i = 0; i < ROWS; i++) {
        s.at = 7 + i * NEXT;
        s.gradient = (char *)&g + i * NEXT_GRADIENT * bytes;
        s.parameter = (char *)&block[1] + i * NEXT * bytes;
        s.momentum = o->momentum != 0 ? (char *)&momentum[1] + i * NEXT * bytes : NULL;
        most = fmax(most, k->sgd(&s));
    }
    assert_true(largest == most);
    assert_memory_equal(&block[0], &block[1], sizeof block[0]);
    assert_memory_equal(&momentum[0], &momentum[1], sizeof momentum[0]);
    assert_memory_equal(&sums[0], &sums[1], sizeof sums[0]);
}

static void sgd_sweeps_over_runs_apart(void **state)
{
    static const size_t runs[] = {1, 16, 31, 32, MOST / 5 - 3};
    (void)state;
    for (size_t v = 0; variant(v); v++)
        for (size_t o = 0; o < GOLDEN; o++)
            for (size_t n = 0; n < COUNT(runs); n++)
                for (int kind = 0; kind < 16; kind++)
                    check_apart(variant(v), &golden_options[o],
                                kind & 8 ? DTYPE_FLOAT64 : DTYPE_FLOAT32, runs[n], kind);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sum_squares_adds_in_fixed_order),
        cmocka_unit_test(sum_squares_of_floats_does_not_overflow),
        cmocka_unit_test(largest_sees_each_element),
        cmocka_unit_test(accumulate_adds_each_element),
        cmocka_unit_test(sgd_equals_pytorch_to_the_bit),
        cmocka_unit_test(sgd_covers_its_run_and_says_the_largest),
        cmocka_unit_test(sgd_tells_of_infinity_and_nan),
        cmocka_unit_test(sgd_sees_each_element),
        cmocka_unit_test(digest_is_the_weighted_sum),
        cmocka_unit_test(digests_of_pieces_add_up),
        cmocka_unit_test(digest_sees_each_bit),
        cmocka_unit_test(sgd_sums_the_digests_of_what_it_writes),
        cmocka_unit_test(sgd_sums_the_squares_of_the_gradient),
        cmocka_unit_test(sgd_sweeps_over_runs_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
