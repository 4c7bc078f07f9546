/* engine/rng.h against what PyTorch 1.13.1 gives on a CPU with AVX2. */
#include "engine/rng.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static const float uniform_f32[] = {0x1.2a1f32p-1f, 0x1.3ae1ccp-1f, 0x1.5368fp-4f,
                                    0x1.519082p-1f, 0x1.7279dp-4f,  0x1.341de8p-2f};
static const float linear_f32[] = {0x1.4a57dp-5f,   -0x1.64239ep-2f, 0x1.78821p-3f,
                                   0x1.7304bp-3f,   -0x1.3bfc7ep-2f, -0x1.626efep-4f,
                                   -0x1.5a586cp-2f, 0x1.32cdd4p-3f};
static const float single_f32[] = {0x1.529ccp-1f,  0x1.11548ep-2f, 0x1.f94296p-5f,
                                   0x1.3e1d4ep-1f, -0x1.cec07p-2f, -0x1.543c16p-3f};
static const float block_f32[] = {
    -0x1.0a71f2p+0f, 0x1.d54d24p-1f,  -0x1.4ddf6cp+0f, -0x1.1c13e2p+0f,
    -0x1.3801d8p+0f, 0x1.2ae756p+0f,  -0x1.0eb14p+0f,  -0x1.e6c41ep-4f,
    -0x1.d0d062p-1f, 0x1.6181fp-2f,   -0x1.2485ep-1f,  -0x1.e180cap-3f,
    0x1.01f26ap+0f,  -0x1.8179aep-1f, -0x1.cccc62p-3f, -0x1.bb120cp-2f};
static const float tail_f32[] = {-0x1.39ef5ep-4f, 0x1.dcbc58p-1f, -0x1.07679p-1f,  -0x1.a6d38cp+0f,
                                 0x1.0bc826p+0f,  0x1.0b5c18p-1f, -0x1.55a00ap-3f, 0x1.b2731ap-5f,
                                 0x1.9e5156p-2f,  0x1.20d6dep+1f, 0x1.de87d4p+0f,  -0x1.31faep+0f,
                                 0x1.feefbp-1f,   0x1.d63366p-2f, 0x1.37dbdcp+1f,  -0x1.2ca9c4p-3f,
                                 0x1.f0c1bap-2f};
static const float long31_f32[] = {-0x1.e20158p-1f, -0x1.c4619p+0f,  -0x1.563658p+0f,
                                   -0x1.ed1888p-2f, -0x1.563658p+0f, -0x1.1265d8p+1f};
static const float long100_f32[] = {-0x1.e20158p-1f, -0x1.c4619p+0f,  -0x1.0f6b38p+1f,
                                    0x1.84e38ap+0f,  -0x1.634d2ap-1f, -0x1.919cb2p-1f};
static const double uniform_f64[] = {-0x1.ef4cb36bd6f9ap-3, -0x1.e58f5aa90122ep-3,
                                     -0x1.694bb47ff154ap-3, -0x1.fab740339b616p-3,
                                     0x1.cf3336221fb7ep-3,  0x1.6a0e1fff96cf2p-3};
static const double linear_f64[] = {
    -0x1.04dd0ffd6b60fp-2, -0x1.0b966b47a77a1p-2, 0x1.ac24bfd2c746fp-2,  0x1.728a7df837cc1p-3,
    0x1.f39ab7b0bd5c9p-2,  0x1.917ba4f2f927ep-2,  -0x1.e57864d6f6b65p-3, 0x1.1f312e1b486c8p-4};
static const double single_f64[] = {0x1.529cc078113dap-1,  0x1.11548d02b8fe5p-2,
                                    0x1.f94295e129d76p-5,  0x1.3e1d4e0e48b01p-1,
                                    -0x1.cec06fed14fffp-2, -0x1.543c16a1a81f7p-3};
static const double block_f64[] = {
    -0x1.927456bea661dp-1, -0x1.c16d94793eec2p-2, 0x1.5dca86ea989edp+0,  -0x1.04d59bd77bbdcp-1,
    -0x1.9d54a05b8602ap+0, 0x1.bdac3ea23a702p-2,  -0x1.be8f91a299477p-5, -0x1.0d74fff131d41p-1,
    -0x1.0baf98fb1c3f5p+1, 0x1.b26e6be0f863p-4,   0x1.8ca7729d19935p-1,  -0x1.234902c7118acp+0,
    -0x1.82c9960675459p+0, -0x1.242929703a29bp+0, -0x1.01d8d17926a86p-1, 0x1.2c57097eb7e67p-1};
static const double tail_f64[] = {
    -0x1.bdf3141b7769p-3,  0x1.105ac960342d8p+0,  -0x1.1ca01f71c2c89p+1, -0x1.e3c649fe18a24p-2,
    -0x1.58b00262894eap+0, -0x1.22fd442498a6ap-2, 0x1.57f36ae91fd8bp-3,  0x1.84201715d87bcp-1,
    0x1.14145507c1061p+0,  0x1.407234ade86a2p-1,  0x1.00f8a01c8dbfap+0,  -0x1.c56b764e2958p-3,
    -0x1.2b0357cac1146p-1, -0x1.3998a41aaac51p+0, -0x1.1431260ac76f8p-2, 0x1.a11d054c8d713p-3,
    0x1.d71644d19eb06p-6};
static const double long31_f64[] = {0x1.c629a5eecbf09p-1, -0x1.3e473dcc1a9e2p-2,
                                    0x1.6a5d2d94451a8p-3, 0x1.444295b06a718p-1,
                                    0x1.6a5d2d94451a8p-3, 0x1.8064f1584d3e2p-1};
static const double long100_f64[] = {0x1.c629a5eecbf09p-1, -0x1.3e473dcc1a9e2p-2,
                                     0x1.6d10268ec492bp+0, -0x1.44b624bdff339p-1,
                                     0x1.d0b5d4408982p-1,  -0x1.55b88e8472af9p-4};

#define COUNT(array) (sizeof(array) / sizeof *(array))

static struct rng seeded(uint64_t seed)
{
    struct rng r;
    rng_seed(&r, seed);
    return r;
}

/* PyTorch's log and cosine are good to a few units in the last place, and ours to one. */
static void assert_close_f32(float x, float expected)
{
    assert_true(fabsf(x - expected) <=
                4.0f * (nextafterf(fabsf(expected), INFINITY) - fabsf(expected)));
}

static void assert_close_f64(double x, double expected)
{
    assert_true(fabs(x - expected) <=
                4.0 * (nextafter(fabs(expected), (double)INFINITY) - fabs(expected)));
}

/* The 10000th word after seed 5489 is the one that the C++ standard names for mt19937. */
static void words_are_those_of_mt19937(void **state)
{
    (void)state;
    struct rng r = seeded(5489);
    assert_int_equal(rng_next(&r), 3499211612u);
    for (int i = 1; i < 9999; i++)
        rng_next(&r);
    assert_int_equal(rng_next(&r), 4123659995u);
}

static void seed_counts_by_its_low_32_bits(void **state)
{
    (void)state;
    struct rng a = seeded(5), b = seeded(5 + ((uint64_t)1 << 33)), c = seeded(6);
    assert_memory_equal(&a, &b, sizeof a);
    assert_int_not_equal(rng_next(&a), rng_next(&c));
}

static void uniform_equals_pytorch_to_the_bit(void **state)
{
    (void)state;
    float x[COUNT(uniform_f32)];
    double y[COUNT(uniform_f64)];
    struct rng r = seeded(42);
    rng_uniform_f32(&r, x, COUNT(x), -0.3, 0.7);
    assert_memory_equal(x, uniform_f32, sizeof x);
    r = seeded(42);
    rng_uniform_f64(&r, y, COUNT(y), -0.3, 0.7);
    assert_memory_equal(y, uniform_f64, sizeof y);
}

/* torch.nn.Linear(3, 2): weight by kaiming_uniform_(a = sqrt(5)), then bias. */
static void linear_init_equals_pytorch_to_the_bit(void **state)
{
    (void)state;
    float x[COUNT(linear_f32)];
    double y[COUNT(linear_f64)];
    double weight = sqrt(3.0) * (sqrt(2.0 / 6.0) / sqrt(3.0)), bias = 1.0 / sqrt(3.0);
    struct rng r = seeded(7);
    rng_uniform_f32(&r, x, 6, -weight, weight);
    rng_uniform_f32(&r, x + 6, 2, -bias, bias);
    assert_memory_equal(x, linear_f32, sizeof x);
    r = seeded(7);
    rng_uniform_f64(&r, y, 6, -weight, weight);
    rng_uniform_f64(&r, y + 6, 2, -bias, bias);
    assert_memory_equal(y, linear_f64, sizeof y);
}

/* Three calls of 3, 2 and 1: the sine left over by one is the next one's first. */
static void few_normals_equal_pytorch(void **state)
{
    (void)state;
    float x[COUNT(single_f32)];
    double y[COUNT(single_f64)];
    struct rng r = seeded(1);
    rng_normal_f32(&r, x, 3), rng_normal_f32(&r, x + 3, 2), rng_normal_f32(&r, x + 5, 1);
    for (size_t i = 0; i < COUNT(x); i++)
        assert_close_f32(x[i], single_f32[i]);
    r = seeded(1);
    rng_normal_f64(&r, y, 3), rng_normal_f64(&r, y + 3, 2), rng_normal_f64(&r, y + 5, 1);
    for (size_t i = 0; i < COUNT(y); i++)
        assert_close_f64(y[i], single_f64[i]);
}

static void check_normals(uint64_t seed, size_t n, const size_t *at, size_t count,
                          const float *expected_f32, const double *expected_f64)
{
    float x[100];
    double y[100];
    struct rng r = seeded(seed);
    rng_normal_f32(&r, x, n);
    r = seeded(seed);
    rng_normal_f64(&r, y, n);
    for (size_t i = 0; i < count; i++) {
        assert_close_f32(x[at ? at[i] : i], expected_f32[i]);
        assert_close_f64(y[at ? at[i] : i], expected_f64[i]);
    }
}

/* 16 make one block; with 17, 31 and 100 the last 16 are drawn anew. */
static void blocks_of_normals_equal_pytorch(void **state)
{
    (void)state;
    check_normals(2, 16, NULL, 16, block_f32, block_f64);
    check_normals(3, 17, NULL, 17, tail_f32, tail_f64);
    check_normals(4, 31, (const size_t[]){0, 14, 15, 16, 15, 30}, 6, long31_f32, long31_f64);
    check_normals(4, 100, (const size_t[]){0, 14, 15, 16, 84, 99}, 6, long100_f32, long100_f64);
}

/* A block of normals leaves a waiting sine alone. */
static void the_waiting_sine_outlives_a_block(void **state)
{
    (void)state;
    double one, other, block[16];
    struct rng r = seeded(9);
    rng_normal_f64(&r, &one, 1);
    double sine = r.sine;
    rng_normal_f64(&r, block, 16);
    rng_normal_f64(&r, &other, 1);
    assert_true(other == sine && r.has_sine == 0);
}

static void a_copy_goes_on_alike(void **state)
{
    (void)state;
    double x[50], y[50];
    struct rng r = seeded(11);
    rng_normal_f64(&r, x, 7);
    struct rng copy = r;
    rng_normal_f64(&r, x, 50);
    rng_normal_f64(&copy, y, 50);
    assert_memory_equal(x, y, sizeof x);
    assert_memory_equal(&r, &copy, sizeof r);
}

static void check_permutation(uint64_t seed, uint32_t n, const uint32_t *first,
                              const uint32_t *second)
{
    uint32_t x[16];
    struct rng r = seeded(seed);
    rng_permutation(&r, x, n);
    assert_memory_equal(x, first, n * sizeof *x);
    rng_permutation(&r, x, n);
    assert_memory_equal(x, second, n * sizeof *x);
}

/* torch.randperm, twice from one generator. */
static void permutations_equal_pytorch(void **state)
{
    (void)state;
    check_permutation(0, 10, (const uint32_t[]){4, 1, 7, 5, 3, 9, 0, 8, 6, 2},
                      (const uint32_t[]){3, 9, 4, 2, 7, 8, 6, 0, 5, 1});
    check_permutation(42, 7, (const uint32_t[]){1, 6, 3, 5, 4, 0, 2},
                      (const uint32_t[]){5, 3, 2, 4, 0, 1, 6});
    check_permutation(3, 1, (const uint32_t[]){0}, (const uint32_t[]){0});
    check_permutation(9, 2, (const uint32_t[]){0, 1}, (const uint32_t[]){0, 1});
}

/* One order takes a word less than it has elements. */
static void what_is_skipped_is_drawn(void **state)
{
    uint32_t x[10];
    struct rng r = seeded(0), other = seeded(0);
    (void)state;
    rng_permutation(&r, x, 10);
    rng_skip(&other, 9);
    assert_memory_equal(&r, &other, sizeof r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_are_those_of_mt19937),
        cmocka_unit_test(seed_counts_by_its_low_32_bits),
        cmocka_unit_test(uniform_equals_pytorch_to_the_bit),
        cmocka_unit_test(linear_init_equals_pytorch_to_the_bit),
        cmocka_unit_test(few_normals_equal_pytorch),
        cmocka_unit_test(blocks_of_normals_equal_pytorch),
        cmocka_unit_test(the_waiting_sine_outlives_a_block),
        cmocka_unit_test(a_copy_goes_on_alike),
        cmocka_unit_test(permutations_equal_pytorch),
        cmocka_unit_test(what_is_skipped_is_drawn),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
