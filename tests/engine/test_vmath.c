/* Accuracy and special values of engine/vmath.h, vmath_angle.h and vmath_log.h, against libm's long
 * double functions. */
#include "engine/angle.h"
#include "engine/vmath_angle.h"
#include "engine/vmath_log.h"

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
    {"exp2", exp2_f32, exp2_f64, exp2l, 0.51, 1.1, -INFINITY, INFINITY, 0},
    {"log2", log2_f32, log2_f64, log2l, 0.51, 0.51, 0, INFINITY, 0},
    {"log10", log10_f32, log10_f64, log10l, 0.51, 0.51, 0, INFINITY, 0},
    {"sinh", sinh_f32, sinh_f64, sinhl, 0.51, 2, -INFINITY, INFINITY, 0},
    {"cosh", cosh_f32, cosh_f64, coshl, 0.51, 1.5, -INFINITY, INFINITY, 0},
    {"atan", atan_f32, atan_f64, atanl, 0.51, 2, -INFINITY, INFINITY, 0},
    {"sin", sin_f32, sin_f64, sinl, 0.51, 1.5, -0x1p20, 0x1p20, 0},
    {"cos", cos_f32, cos_f64, cosl, 0.51, 1.5, -0x1p20, 0x1p20, 0},
    {"tan", tan_f32, tan_f64, tanl, 0.51, 1.5, -0x1p20, 0x1p20, 0},
    {"normal_cdf", normal_cdf_f32, normal_cdf_f64, normal_cdf, 1.5, 1.5, -INFINITY, INFINITY, 1},
    {"normal_pdf", normal_pdf_f32, normal_pdf_f64, normal_pdf, 2, 2, -INFINITY, INFINITY, 0.4},
};
#define FUNCTIONS (sizeof functions / sizeof *functions)

static const struct function *named(const char *name)
{
    const struct function *f = functions;
    while (strcmp(f->name, name) != 0)
        f++;
    return f;
}

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
static void angles_hold_near_the_zeros(void **state)
{
    (void)state;
    static const char *const names[] = {"sin", "cos", "tan"};
    for (size_t k = 0; k < sizeof names / sizeof *names; k++) {
        const struct function *f = named(names[k]);
        struct worst worst = {0, 0};
        for (int i = 1; i < 20000; i++)
            note(&worst, error_f64(f, i * 1.57079632679489661923), i);
        check(f, "f64", worst, 1);
        assert_true(isnan(f->f64(0x1p20)) && isnan(f->f64(-0x1p20)));
    }
}

/* Of any size, once they are reduced. */
static void far_angles_are_reduced(void **state)
{
    (void)state;
    uint64_t seed = 3, turns;
    struct worst worst = {0, 0};
    for (int i = 0; i < 200000; i++) {
        uint64_t exponent = 1023 + 20 + next(&seed) % 1004;
        double x = f64_of_bits(exponent << 52 | next(&seed) >> 12);
        x = i & 1 ? -x : x;
        double r = angle_far(x, &turns);
        assert_true(fabs(r) < 0.7853981633974485 && turns < 5);
        note(&worst, ulps(sine_f64(r, turns), sinl(x), 0, DBL_MANT_DIG, DBL_MIN_EXP), x);
        note(&worst, ulps(sine_f64(r, turns + 1), cosl(x), 0, DBL_MANT_DIG, DBL_MIN_EXP), x);
        note(&worst, ulps(tangent_f64(r, turns), tanl(x), 0, DBL_MANT_DIG, DBL_MIN_EXP), x);
    }
    print_message("far angles: %.3f ulp at %a\n", worst.error, worst.at);
    assert_true(worst.error <= 4.5); /* of tan: what r lost counts twice */
    double nearest = angle_far(0x1.6ac5b262ca1ffp+849, &turns); /* no double is nearer to a zero */
    assert_true(turns == 1 && fabs(nearest - 4.6871659242546277e-19) < 1e-33);
}

static double draw_exponent(uint64_t *seed, double x, int i)
{
    switch (i % 4) {
    case 0:
        return between(seed, -2000, 2000);
    case 1:
        return between(seed, -20, 20);
    case 2: /* up to where the result overflows */
        return between(seed, -745, 709) / log(x);
    default:
        return (double)(i % 64 - 32) * 0.5;
    }
}

static void pow_stays_within_its_ulps(void **state)
{
    (void)state;
    struct worst wide = {0, 0}, narrow = {0, 0};
    uint64_t seed = 4;
    for (int i = 0; i < 200000; i++) {
        double x = i & 16 ? between(&seed, 0, 3) : exp(between(&seed, -700, 700));
        double y = draw_exponent(&seed, x, i);
        note(&wide, ulps(pow_f64(x, y), powl(x, y), 0, DBL_MANT_DIG, DBL_MIN_EXP), x);
        float fx = (float)(i & 16 ? x : exp(between(&seed, -87, 88))), fy = (float)(y / 10);
        note(&narrow,
             ulps((double)pow_f32(fx, fy), powl((long double)fx, (long double)fy), 0, FLT_MANT_DIG,
                  FLT_MIN_EXP),
             (double)fx);
    }
    print_message("pow: %.3f ulp at %a, float32 %.3f at %a\n", wide.error, wide.at, narrow.error,
                  narrow.at);
    assert_true(wide.error <= 1.1 && narrow.error <= 0.51);
}

/* libm's pow is the judge of every pair of special numbers, signs of zeros included. */
static void pow_follows_annex_f(void **state)
{
    (void)state;
    static const double x[] = {0.0,     -0.0,        1.0,      -1.0,      2.0,     -2.0,
                               0.5,     -0.5,        3.0,      -3.0,      2.5,     -2.5,
                               1e300,   -1e300,      1e-300,   0x1p-1074, -1e-310, 0x1p52 + 1,
                               -0x1p53, -0x1p52 - 1, INFINITY, -INFINITY, NAN};
    for (size_t i = 0; i < sizeof x / sizeof *x; i++)
        for (size_t j = 0; j < sizeof x / sizeof *x; j++) {
            double y = pow_f64(x[i], x[j]), want = pow(x[i], x[j]);
            assert_true(isnan(want) ? isnan(y) : ulps(y, (long double)want, 0, 53, -1021) <= 1);
            assert_true(isnan(want) || signbit(y) == signbit(want));
            float f = pow_f32((float)x[i], (float)x[j]), wanted = powf((float)x[i], (float)x[j]);
            assert_true(isnan(wanted) ? isnan(f) : f == wanted || fabsf(f / wanted - 1) < 2e-7f);
            assert_true(isnan(wanted) || signbit(f) == signbit(wanted));
        }
}

static void whole_logarithms_are_exact(void **state)
{
    (void)state;
    double ten = 1;
    for (int k = 0; k <= 22; k++, ten *= 10) /* the powers that are exact */
        assert_true(log10_f64(ten) == k);
    for (int k = -1074; k < 1024; k++) {
        assert_true(log2_f64(ldexp(1, k)) == k);
        assert_true(exp2_f64(k) == ldexp(1, k));
    }
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
    BOTH(tan, 0.0, 0.0), BOTH(tan, -0.0, -0.0), BOTH(tan, INF, NAN64), BOTH(tan, NAN64, NAN64);
    BOTH(exp2, 0.0, 1.0), BOTH(exp2, INF, INF), BOTH(exp2, -INF, 0.0), BOTH(exp2, NAN64, NAN64);
    BOTH(exp2, 1e4, INF), BOTH(exp2, -1e4, 0.0);
    BOTH(log2, 1.0, 0.0), BOTH(log2, 0.0, -INF), BOTH(log2, -0.0, -INF), BOTH(log2, INF, INF);
    BOTH(log2, -1.0, NAN64), BOTH(log10, -INF, NAN64), BOTH(log10, NAN64, NAN64);
    BOTH(log10, 1.0, 0.0), BOTH(log10, 0.0, -INF), BOTH(log10, INF, INF);
    BOTH(sinh, 0.0, 0.0), BOTH(sinh, -0.0, -0.0), BOTH(sinh, INF, INF), BOTH(sinh, -INF, -INF);
    BOTH(sinh, -1e4, -INF), BOTH(sinh, NAN64, NAN64), BOTH(cosh, NAN64, NAN64);
    BOTH(cosh, 0.0, 1.0), BOTH(cosh, INF, INF), BOTH(cosh, -INF, INF), BOTH(cosh, -1e4, INF);
    BOTH(atan, 0.0, 0.0), BOTH(atan, -0.0, -0.0), BOTH(atan, NAN64, NAN64);
    check_f64(atan_f64(INF), 0x1.921fb54442d18p+0),
        check_f64(atan_f64(-INF), -0x1.921fb54442d18p+0);
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
    assert_true(tan_f64(tiniest) == tiniest && atan_f64(tiniest) == tiniest);
    assert_true(sinh_f64(-tiniest) == -tiniest && exp2_f64(-1074) == tiniest);
    assert_true(pow_f64(2, -1074) == tiniest && pow_f64(tiniest, 0.5) == 0x1p-537);
    assert_true(exp_f32(-103.0f) == tiny && exp_f64(-744.5) == tiniest);
    assert_true(sigmoid_f32(-100.0f) > 0.0f && sigmoid_f64(-740.0) > 0.0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stays_within_its_ulps_f32),  cmocka_unit_test(stays_within_its_ulps_f64),
        cmocka_unit_test(angles_hold_near_the_zeros), cmocka_unit_test(far_angles_are_reduced),
        cmocka_unit_test(pow_stays_within_its_ulps),  cmocka_unit_test(pow_follows_annex_f),
        cmocka_unit_test(whole_logarithms_are_exact), cmocka_unit_test(special_values_are_exact),
        cmocka_unit_test(denormal_numbers_survive),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
