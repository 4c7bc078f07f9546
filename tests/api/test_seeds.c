/* What PyTorch makes of a seed: a model's first parameters, bit for bit, and the generator's own
 * numbers (golden/init.json, golden/randn.json). */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/rng.h"
#include "tests/api/client.h"

/* zlib's, bit by bit. */
static uint32_t crc32_of(const void *data, size_t bytes)
{
    const unsigned char *p = data;
    uint32_t crc = 0xFFFFFFFFu;
    for (size_t i = 0; i < bytes; i++) {
        crc ^= p[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc & 1 ? crc >> 1 ^ 0xEDB88320u : crc >> 1;
    }
    return ~crc;
}

static uint32_t crc32_of_values(const double *x, size_t count, bool f32)
{
    if (!f32)
        return crc32_of(x, count * sizeof *x);
    float *narrow = calloc(count, sizeof *narrow);
    assert_non_null(narrow);
    for (size_t i = 0; i < count; i++)
        narrow[i] = (float)x[i];
    uint32_t crc = crc32_of(narrow, count * sizeof *narrow);
    free(narrow);
    return crc;
}

static void check_first(const double *got, size_t count, const cJSON *want, bool f32)
{
    size_t n;
    double *x = json_flat(want, &n);
    assert_true(n >= 1 && n <= count);
    for (size_t i = 0; i < n; i++)
        assert_true(f32 ? (float)got[i] == (float)x[i] : got[i] == x[i]);
    free(x);
}

static void check_parameter(const struct reply *r, const cJSON *want, bool f32)
{
    char pointer[80];
    size_t count;
    const cJSON *data = cJSON_GetObjectItemCaseSensitive(want, "data");
    snprintf(pointer, sizeof pointer, "/parameters/%s/shape", want->string);
    char *shape = cJSON_PrintUnformatted(cJSON_GetObjectItemCaseSensitive(want, "shape"));
    assert_json(r, pointer, shape);
    cJSON_free(shape);
    snprintf(pointer, sizeof pointer, "/parameters/%s/data", want->string);
    double *x = json_flat(at(r, pointer), &count);
    check_first(x, count, data ? data : cJSON_GetObjectItemCaseSensitive(want, "first"), f32);
    uint32_t crc = crc32_of_values(x, count, f32);
    double want_crc = cJSON_GetObjectItemCaseSensitive(want, "crc32")->valuedouble;
    if (crc != (uint32_t)want_crc)
        fail_msg("%s: not PyTorch's bits: %.100s", pointer, r->text);
    free(x);
}

static void test_initial_parameters(void **state)
{
    cJSON *cases = json_file("tests/data/golden/init.json");
    for (const cJSON *golden = cases->child; golden; golden = golden->next) {
        const cJSON *model = cJSON_GetObjectItemCaseSensitive(golden, "model"), *want;
        const char *dtype = cJSON_GetObjectItemCaseSensitive(model, "dtype")->valuestring;
        char target[128], *body = json_text(model);
        expect(*state, 201, "POST", "/models", "%s", body);
        free(body);
        snprintf(target, sizeof target, "/models/%s/parameters",
                 cJSON_GetObjectItemCaseSensitive(model, "id")->valuestring);
        const struct reply *r = expect(*state, 200, "GET", target, NULL);
        want = cJSON_GetObjectItemCaseSensitive(golden, "parameters");
        assert_int_equal(cJSON_GetArraySize(at(r, "/parameters")), cJSON_GetArraySize(want));
        for (const cJSON *p = want->child; p; p = p->next)
            check_parameter(r, p, !strcmp(dtype, "float32"));
    }
    assert_true(cJSON_GetArraySize(cases) > 0);
    cJSON_Delete(cases);
}

/* ---- the generator ------------------------------------------------------------------------- */

static void draw(struct rng *rng, const char *function, bool f32, double *out, size_t n)
{
    float *narrow = calloc(n, sizeof *narrow);
    assert_non_null(narrow);
    bool normal = !strcmp(function, "randn");
    if (f32 && normal)
        rng_normal_f32(rng, narrow, n);
    else if (f32)
        rng_uniform_f32(rng, narrow, n, 0, 1);
    else if (normal)
        rng_normal_f64(rng, out, n);
    else
        rng_uniform_f64(rng, out, n, 0, 1);
    for (size_t i = 0; f32 && i < n; i++)
        out[i] = (double)narrow[i];
    free(narrow);
}

/* As tests/data/README.md measures it. */
static double allowed(const char *function, bool f32, size_t n)
{
    if (!strcmp(function, "rand"))
        return 0;
    if (!f32)
        return 4e-15;
    return n >= 16 ? 1e-6 : 2.4e-7;
}

static void check_draw(struct rng *rng, double seed, const cJSON *want)
{
    const char *function = cJSON_GetObjectItemCaseSensitive(want, "function")->valuestring;
    const char *dtype = cJSON_GetObjectItemCaseSensitive(want, "dtype")->valuestring;
    bool f32 = !strcmp(dtype, "float32");
    size_t n;
    double *x = json_flat(cJSON_GetObjectItemCaseSensitive(want, "data"), &n);
    double *got = calloc(n, sizeof *got);
    assert_non_null(got);
    assert_int_equal(cJSON_GetObjectItemCaseSensitive(want, "n")->valuedouble, n);
    draw(rng, function, f32, got, n);
    for (size_t i = 0; i < n; i++) {
        double w = f32 ? (double)(float)x[i] : x[i];
        if (!(fabs(got[i] - w) <= allowed(function, f32, n)))
            fail_msg("seed %.0f: %s(%zu) %s: %zu: got %.17g, want %.17g", seed, function, n, dtype,
                     i, got[i], w);
    }
    free(x);
    free(got);
}

static void test_generator(void **state)
{
    (void)state;
    cJSON *cases = json_file("tests/data/golden/randn.json");
    for (const cJSON *golden = cases->child; golden; golden = golden->next) {
        struct rng rng;
        double seed = cJSON_GetObjectItemCaseSensitive(golden, "seed")->valuedouble;
        const cJSON *draws = cJSON_GetObjectItemCaseSensitive(golden, "draws");
        rng_seed(&rng, (uint64_t)seed);
        for (const cJSON *want = draws->child; want; want = want->next)
            check_draw(&rng, seed, want);
    }
    assert_true(cJSON_GetArraySize(cases) > 100);
    cJSON_Delete(cases);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_initial_parameters, client_setup, client_teardown),
        cmocka_unit_test(test_generator),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
