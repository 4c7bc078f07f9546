/* Accuracy and special values of engine/vmath.h, against libm's long double functions. */
#include "engine/vmath.h"

#include <float.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static long double sigmoid(long double x)
{
    return 1.0L / (1.0L + expl(-x));
}

static long double log1p_exp(long double x)
{
    return log1pl(expl(-fabsl(x)));
}

static long double normal_cdf(long double x)
{
    return 0.5L * erfcl(-x * 0.707106781186547524400844362104849L);
}

static long double normal_pdf(long double x)
{
    return expl(-0.5L * x * x) * 0.398942280401432677939946059934382L;
}

/* Errors allowed, in units in the last place of the result, or of `size` if that is larger. */
static const struct function {
    const char *name;
    float (*f32)(float);
    double (*f64)(double);
    long double (*exact)(long double);
    double ulps_f32, ulps_f64;
    double low, high; /* where it is defined, open interval */
    double size;
} functions[] = {
    {"exp", exp_f32, exp_f64, expl, 1, 1, -INFINITY, INFINITY, 0},
    {"expm1", expm1_f32, expm1_f64, expm1l, 1.5, 1.5, -INFINITY, INFINITY, 0},
    {"log", log_f32, log_f64, logl, 1, 1, 0, INFINITY, 0},
    {"log1p", log1p_f32, log1p_f64, log1pl, 1, 1, -1, INFINITY, 0},
    {"tanh", tanh_f32, tanh_f64, tanhl, 2.5, 2.5, -INFINITY, INFINITY, 0},
    {"sigmoid", sigmoid_f32, sigmoid_f64, sigmoid, 2.5, 2.5, -INFINITY, INFINITY, 0},
    {"log1p_exp", log1p_exp_f32, log1p_exp_f64, log1p_exp, 2, 2, -INFINITY, INFINITY, 0},
    {"erf", erf_f32, erf_f64, erfl, 1.5, 1.5, -INFINITY, INFINITY, 0},
    {"sin", sin_f32, sin_f64, sinl, 0.51, 1.5, -0x1p20, 0x1p20, 0},
    {"cos", cos_f32, cos_f64, cosl, 0.51, 1.5, -0x1p20, 0x1p20, 0},
    {"normal_cdf", normal_cdf_f32, normal_cdf_f64, normal_cdf, 1.5, 1.5, -INFINITY, INFINITY, 1},
    {"normal_pdf", normal_pdf_f32, normal_pdf_f64, normal_pdf, 2, 2, -INFINITY, INFINITY, 0.4},
};
#define FUNCTIONS (sizeof functions / sizeof *functions)

/* splitmix64: arguments that repeat. */
static uint64_t next(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
}

static double between(uint64_t *state, double low, double high)
{
    return low + (high - low) * 0x1p-53 * (double)(next(state) >> 11);
}

/* |y - exact| in units of the last of `digits` places of exact (or of size); 0 when both are the
 * same infinity or NaN, infinity when only one is. */
static double ulps(double y, long double exact, double size, int digits, int min_exponent)
{
    double as_double = (double)exact;
    if (isnan(y) || isnan(as_double))
        return isnan(y) && isnan(as_double) ? 0 : (double)INFINITY;
    long double limit = digits == FLT_MANT_DIG ? (long double)FLT_MAX : (long double)DBL_MAX;
    if (isinf(y)) /* right if the exact value rounds to it, or nearly */
        return fabsl(exact) >= limit && (exact > 0) == (y > 0) ? 0 : (double)INFINITY;
    if (isinf(as_double))
        exact = exact > 0 ? limit : -limit;
    int exponent;
    frexpl(fmaxl(fabsl(exact), (long double)size), &exponent);
    exponent = exponent < min_exponent ? min_exponent : exponent;
    return (double)ldexpl(fabsl((long double)y - exact), digits - exponent);
}

static double error_f32(const struct function *f, float x)
{
    if (!((double)x > f->low && (double)x < f->high))
        return 0;
    return ulps((double)f->f32(x), f->exact((long double)x), f->size, FLT_MANT_DIG, FLT_MIN_EXP);
}

static double error_f64(const struct function *f, double x)
{
    if (!(x > f->low && x < f->high))
        return 0;
    return ulps(f->f64(x), f->exact((long double)x), f->size, DBL_MANT_DIG, DBL_MIN_EXP);
}

struct worst {
    double error, at;
};

static void note(struct worst *worst, double error, double at)
{
    if (error > worst->error)
        *worst = (struct worst){error, at};
}

static void check(const struct function *f, const char *type, struct worst worst, double allowed)
{
    print_message("%-10s %s: %.3f ulp at %a\n", f->name, type, worst.error, worst.at);
    assert_true(worst.error <= allowed);
}

/* Every exponent and sign, and densely where the functions bend. */
static void stays_within_its_ulps_f32(void **state)
{
    (void)state;
    for (const struct function *f = functions; f < functions + FUNCTIONS; f++) {
        struct worst worst = {0, 0};
        uint64_t seed = 1;
        for (uint32_t high = 0; high < 512; high++)
            for (int i = 0; i < 60; i++) {
                float x = f32_of_bits(high << 23 | (uint32_t)(next(&seed) >> 41));
                note(&worst, error_f32(f, x), (double)x);
            }
        for (int i = 0; i < 40000; i++) {
            float wide = (float)between(&seed, -106, 106), near = (float)between(&seed, -3, 3);
            note(&worst, error_f32(f, wide), (double)wide);
            note(&worst, error_f32(f, near), (double)near);
        }
        check(f, "f32", worst, f->ulps_f32);
    }
}

static void stays_within_its_ulps_f64(void **state)
{
    (void)state;
    for (const struct function *f = functions; f < functions + FUNCTIONS; f++) {
        struct worst worst = {0, 0};
        uint64_t seed = 2;
        for (uint64_t high = 0; high < 4096; high++)
            for (int i = 0; i < 8; i++) {
                double x = f64_of_bits(high << 52 | next(&seed) >> 12);
                note(&worst, error_f64(f, x), x);
            }
        for (int i = 0; i < 40000; i++) {
            double wide = between(&seed, -750, 750), near = between(&seed, -7, 7);
            note(&worst, error_f64(f, wide), wide);
            note(&worst, error_f64(f, near), near);
        }
        check(f, "f64", worst, f->ulps_f64);
    }
}

/* Zeros near which a function must keep its relative accuracy. */
static void sin_and_cos_hold_near_their_zeros(void **state)
{
    (void)state;
    struct worst worst = {0, 0};
    for (int i = 1; i < 20000; i++) {
        double x = i * 1.57079632679489661923;
        note(&worst, error_f64(&functions[8], x), x);
        note(&worst, error_f64(&functions[9], x), x);
    }
    check(&functions[8], "f64", worst, 1);
    assert_true(isnan(sin_f64(0x1p20)) && isnan(cos_f64(-0x1p20)));
}

static void check_f64(double x, double y)
{
    if (isnan(y))
        assert_true(isnan(x));
    else
        assert_int_equal(bits_of_f64(x), bits_of_f64(y));
}

static void check_f32(float x, double y)
{
    check_f64((double)x, y);
}

#define BOTH(name, x, y) (check_f32(name##_f32((float)(x)), (y)), check_f64(name##_f64(x), (y)))
#define INF              ((double)INFINITY)
#define NAN64            ((double)NAN)

/* To the bit, signs of zeros included. */
static void special_values_are_exact(void **state)
{
    (void)state;
    BOTH(exp, 0.0, 1.0), BOTH(exp, -0.0, 1.0), BOTH(exp, INF, INF), BOTH(exp, -INF, 0.0);
    BOTH(exp, 1e4, INF), BOTH(exp, -1e4, 0.0), BOTH(exp, NAN64, NAN64);
    BOTH(expm1, 0.0, 0.0), BOTH(expm1, -0.0, -0.0), BOTH(expm1, INF, INF);
    BOTH(expm1, -INF, -1.0), BOTH(expm1, NAN64, NAN64), BOTH(expm1, 1e4, INF);
    BOTH(log, 1.0, 0.0), BOTH(log, 0.0, -INF), BOTH(log, -0.0, -INF), BOTH(log, INF, INF);
    BOTH(log, -1.0, NAN64), BOTH(log, -INF, NAN64), BOTH(log, NAN64, NAN64);
    BOTH(log1p, 0.0, 0.0), BOTH(log1p, -0.0, -0.0), BOTH(log1p, -1.0, -INF);
    BOTH(log1p, -2.0, NAN64), BOTH(log1p, INF, INF), BOTH(log1p, NAN64, NAN64);
    BOTH(tanh, 0.0, 0.0), BOTH(tanh, -0.0, -0.0), BOTH(tanh, INF, 1.0), BOTH(tanh, -INF, -1.0);
    BOTH(tanh, NAN64, NAN64), BOTH(tanh, 30.0, 1.0);
    BOTH(sigmoid, 0.0, 0.5), BOTH(sigmoid, INF, 1.0), BOTH(sigmoid, -INF, 0.0);
    BOTH(sigmoid, NAN64, NAN64), BOTH(log1p_exp, INF, 0.0), BOTH(log1p_exp, -INF, 0.0);
    BOTH(log1p_exp, NAN64, NAN64);
    BOTH(erf, 0.0, 0.0), BOTH(erf, -0.0, -0.0), BOTH(erf, INF, 1.0), BOTH(erf, -INF, -1.0);
    BOTH(erf, NAN64, NAN64), BOTH(erf, 10.0, 1.0);
    BOTH(sin, 0.0, 0.0), BOTH(sin, -0.0, -0.0), BOTH(cos, 0.0, 1.0), BOTH(sin, INF, NAN64);
    BOTH(cos, -INF, NAN64), BOTH(cos, NAN64, NAN64);
    BOTH(normal_cdf, INF, 1.0), BOTH(normal_cdf, -INF, 0.0), BOTH(normal_cdf, 0.0, 0.5);
    BOTH(normal_pdf, INF, 0.0), BOTH(normal_pdf, NAN64, NAN64);
}

static void denormal_numbers_survive(void **state)
{
    (void)state;
    float tiny = 0x1p-149f;
    double tiniest = 0x1p-1074;
    assert_true(expm1_f32(tiny) == tiny && expm1_f64(-tiniest) == -tiniest);
    assert_true(log1p_f32(-tiny) == -tiny && log1p_f64(tiniest) == tiniest);
    assert_true(tanh_f32(-tiny) == -tiny && tanh_f64(tiniest) == tiniest);
    assert_true(erf_f32(tiny) == tiny && sin_f64(tiniest) == tiniest);
    assert_true(exp_f32(-103.0f) == tiny && exp_f64(-744.5) == tiniest);
    assert_true(sigmoid_f32(-100.0f) > 0.0f && sigmoid_f64(-740.0) > 0.0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stays_within_its_ulps_f32),
        cmocka_unit_test(stays_within_its_ulps_f64),
        cmocka_unit_test(sin_and_cos_hold_near_their_zeros),
        cmocka_unit_test(special_values_are_exact),
        cmocka_unit_test(denormal_numbers_survive),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
