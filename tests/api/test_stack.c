/* Forward calls that are run together: each answer is the very one it gets alone, whatever the
 * others are; and what can be stacked is one product. */
#include "tests/api/client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/call.h"

#define MODEL(id, dtype, layers)                                                                   \
    "{\"id\":\"" id "\",\"seed\":3,\"dtype\":\"" dtype "\",\"loss\":\"mse\",\"layers\":[" layers   \
    "]}"
#define LINEAR(in, out) "{\"type\":\"linear\",\"in_features\":" #in ",\"out_features\":" #out "}"

static struct client *client_of(void **state)
{
    return *state;
}

/* Runs the bodies together and each one alone; all that is answered must be the same. Returns how
 * many rounds of the tape it took together. */
static uint64_t compare(struct client *c, const char *id, const char *const *body, size_t calls,
                        int status[])
{
    struct call *call[CALLS_TOGETHER_MAX];
    char target[64];
    snprintf(target, sizeof target, "/models/%s/forward", id);
    for (size_t i = 0; i < calls; i++) {
        call[i] = client_start(c, "POST", target, body[i]);
        assert_string_equal(call_group(call[i]), id);
    }
    uint64_t rounds = c->scratch->tape.round;
    call_work_together(call, calls, c->scratch, 0);
    rounds = c->scratch->tape.round - rounds;
    for (size_t i = 0; i < calls; i++) {
        char *together = strdup(client_finish(c, call[i])->text);
        const struct reply *last = &c->reply[(c->replies - 1) % CLIENT_REPLIES];
        char etag[sizeof last->etag], type[sizeof last->type];
        snprintf(etag, sizeof etag, "%s", last->etag);
        snprintf(type, sizeof type, "%s", last->type);
        int was = last->status;
        const struct reply *alone = ask_plain(c, "POST", target, body[i]);
        assert_string_equal(together, alone->text);
        assert_string_equal(etag, alone->etag);
        assert_string_equal(type, alone->type);
        assert_int_equal(was, alone->status);
        if (status)
            assert_int_equal(was, status[i]);
        free(together);
    }
    return rounds;
}

/* {"inputs": rows × columns of numbers that no other k has}; free() it. */
static char *inputs(int rows, int columns, int k)
{
    size_t room = 32 + (size_t)rows * ((size_t)columns * 14 + 4);
    char *text = malloc(room), *p = text;
    assert_non_null(text);
    p += sprintf(p, "{\"inputs\":[");
    for (int r = 0; r < rows; r++) {
        p += sprintf(p, "%s[", r ? "," : "");
        for (int i = 0; i < columns; i++)
            p += sprintf(p, "%s%.7f", i ? "," : "", ((r * 31 + i * 7 + k * 13) % 101 - 50) / 37.0);
        p += sprintf(p, "]");
    }
    sprintf(p, "]}");
    return text;
}

/* Of many shapes of models and of rows, both types: bits. */
static void test_same_bits(void **state)
{
    struct client *c = client_of(state);
    static const char *const model[] = {
        MODEL("a", "float32", LINEAR(37, 64) ",{\"type\":\"relu\"}," LINEAR(64, 10)),
        MODEL("b", "float64", LINEAR(37, 19) ",{\"type\":\"tanh\"}," LINEAR(19, 5)),
        MODEL("c", "float32",
              LINEAR(37, 130) ",{\"type\":\"gelu\"},{\"type\":\"identity\"}," LINEAR(
                  130, 33) ",{\"type\":\"softmax\",\"dim\":1}"),
        MODEL("d", "float32", LINEAR(37, 8) ",{\"type\":\"log_softmax\",\"dim\":-1}"),
        MODEL("e", "float32",
              LINEAR(37, 9) ",{\"type\":\"silu\"}," LINEAR(
                  9, 9) ",{\"type\":\"leaky_relu\"},{\"type\":\"sigmoid\"}"),
    };
    char *body[CALLS_TOGETHER_MAX];
    for (size_t m = 0; m < sizeof model / sizeof *model; m++) {
        char id[2] = {(char)('a' + m), '\0'};
        expect(c, 201, "POST", "/models", "%s", model[m]);
        for (size_t calls = 1; calls <= CALLS_TOGETHER_MAX; calls = 2 * calls + (calls == 1)) {
            if (calls > CALLS_TOGETHER_MAX / 2 && calls < CALLS_TOGETHER_MAX)
                calls = CALLS_TOGETHER_MAX;
            for (size_t i = 0; i < calls; i++)
                body[i] = inputs(1 + (int)(i * i % 5), 37, (int)i);
            assert_int_equal(compare(c, id, (const char *const *)body, calls, NULL), 1);
            for (size_t i = 0; i < calls; i++)
                free(body[i]);
        }
    }
}

/* Whatever is wrong with one is told to that one alone; targets, other ranks and no body too. */
static void test_each_its_own(void **state)
{
    struct client *c = client_of(state);
    static const char *const body[] = {
        "{\"inputs\":[[1,2,3]]}",
        "{\"inputs\":[[1,2]]}",
        "{\"inputs\":[[1,2,3],[4,5,6]],\"targets\":[[1,0],[0,1]]}",
        "{\"inputs\":",
        "{\"inputs\":[[0.5,-2,1e-3],[7,8,9]]}",
        "[1]",
        "{\"inputs\":[[1,2,3]],\"other\":1}",
        "{\"inputs\":[[[1,2,3],[4,5,6]]]}",
        NULL,
        "{\"inputs\":[[\"NaN\",2,\"-Infinity\"]]}",
        "{\"inputs\":[[1e39,2,3]]}",
    };
    static int status[] = {200, 422, 200, 400, 200, 422, 422, 200, 422, 200, 422};
    expect(c, 201, "POST", "/models", "%s",
           MODEL("m", "float32", LINEAR(3, 4) ",{\"type\":\"relu\"}," LINEAR(4, 2)));
    /* one stack, the targets, the three dimensions */
    assert_int_equal(compare(c, "m", body, sizeof body / sizeof *body, status), 3);
    /* and after a step, which the tags tell of */
    expect_of(c, 200, "POST", "m", "/step",
              "{\"inputs\":[[1,2,3],[4,5,6]],\"targets\":[[1,0],[0,1]]}");
    compare(c, "m", body, sizeof body / sizeof *body, status);
    /* a stack is not made of one */
    assert_int_equal(compare(c, "m", body, 2, status), 1);
}

/* A forward of three numbers a row by the bytes of an .npy file, answered as one. */
static struct call *start_binary(struct client *c, const float *x, int rows)
{
    char body[256];
    int head =
        snprintf(body, sizeof body,
                 "%cNUMPY%c%cv%c{'descr': '<f4', 'fortran_order': False, 'shape': (%d, 3), }", 0x93,
                 1, 0, 0, rows);
    body[7] = '\0';
    memset(body + head, ' ', (size_t)(127 - head));
    body[8] = 118;
    body[9] = '\0';
    body[127] = '\n';
    size_t bytes = 128 + (size_t)rows * 3 * sizeof *x;
    memcpy(body + 128, x, bytes - 128);
    struct call *call = call_new(c->api);
    assert_non_null(call);
    assert_true(call_target(call, "POST", "/models/m/forward"));
    assert_true(call_header(call, "Content-Type", "application/x-npy"));
    assert_true(call_admit(call, (int64_t)bytes));
    assert_true(call_body(call, body, bytes));
    return call;
}

/* Bytes and text in one stack, each answered in its own form. */
static void test_mixed_forms(void **state)
{
    struct client *c = client_of(state);
    static const float x[] = {1, 2, 3, -4, 5.5F, 1e-3F, 7, 8, 9};
    expect(c, 201, "POST", "/models", "%s",
           MODEL("m", "float32", LINEAR(3, 40) ",{\"type\":\"tanh\"}," LINEAR(40, 2)));
    for (int alone = 1; alone >= 0; alone--) {
        static char text[2][4096];
        static size_t size[2];
        struct call *call[] = {
            start_binary(c, x, 2),
            client_start(c, "POST", "/models/m/forward", "{\"inputs\":[[0.5,1,2]]}"),
            start_binary(c, x + 3, 2)};
        uint64_t rounds = c->scratch->tape.round;
        for (int i = 0; alone && i < 3; i++)
            call_work_together(&call[i], 1, c->scratch, 0);
        if (!alone)
            call_work_together(call, 3, c->scratch, 0);
        assert_int_equal(c->scratch->tape.round - rounds, alone ? 3 : 1);
        for (int i = 0; i < 3; i++) {
            const struct answer *a = call_answer(call[i]);
            assert_int_equal(a->status, 200);
            assert_string_equal(a->header[1], i == 1 ? "application/json" : "application/x-npy");
            if (i != 1 && alone) {
                size[i / 2] = a->bytes;
                assert_true(a->bytes <= sizeof text[0]);
                memcpy(text[i / 2], a->body, a->bytes);
            } else if (i != 1) {
                assert_int_equal(a->bytes, size[i / 2]);
                assert_memory_equal(a->body, text[i / 2], a->bytes);
            }
            call_free(call[i]);
        }
    }
}

/* Where rows look at each other they are never stacked. */
static void test_not_stacked(void **state)
{
    struct client *c = client_of(state);
    static const char *const body[] = {"{\"inputs\":[[1,2],[3,5]]}", "{\"inputs\":[[7,-8]]}",
                                       "{\"inputs\":[[0.25,1],[2,2],[3,1]]}"};
    static const char *const layer[] = {"softmax\",\"dim\":0", "softmax\",\"dim\":-2",
                                        "log_softmax\",\"dim\":0", "flatten\",\"start_dim\":0"};
    for (size_t i = 0; i < sizeof layer / sizeof *layer; i++) {
        char id[2] = {(char)('a' + i), '\0'};
        const struct reply *r =
            ask(c, "POST", "/models",
                "{\"id\":\"%s\",\"loss\":\"mse\",\"layers\":[" LINEAR(2, 2) ","
                                                                            "{\"type\":\"%s}]}",
                id, layer[i]);
        if (r->status != 201) { /* refused where it is made: cannot be stacked either */
            assert_int_equal(r->status, 422);
            continue;
        }
        assert_int_equal(compare(c, id, body, 3, NULL), 3);
    }
    expect(c, 201, "POST", "/models",
           "{\"id\":\"p\",\"loss\":\"mse\",\"parameters\":{\"w\":{\"data\":[2]}},"
           "\"forward\":\"w * x / x.sum()\"}");
    compare(c, "p", body, 3, NULL);
}

/* A stack that would take more than a forward may is not made. */
static void test_too_large_a_stack(void **state)
{
    struct client *c = client_of(state);
    char *body[4];
    int limit = 0;
    client_close(c);
    c->config.max_model_bytes = 1 << 20;
    client_open(c);
    expect(c, 201, "POST", "/models", "%s", MODEL("w", "float32", LINEAR(2, 1000)));
    for (int rows = 1; limit == 0; rows *= 2) { /* the most rows that one call may have */
        char *text = inputs(rows, 2, 0);
        if (ask_plain(c, "POST", "/models/w/forward", text)->status == 422)
            limit = rows / 2;
        free(text);
    }
    assert_in_range(limit, 2, 1000);
    for (int i = 0; i < 4; i++)
        body[i] = inputs(limit, 2, i);
    assert_int_equal(compare(c, "w", (const char *const *)body, 4, NULL), 4);
    for (int i = 0; i < 4; i++)
        free(body[i]);
}

/* Deleted while they wait, or gone at all. */
static void test_deleted(void **state)
{
    struct client *c = client_of(state);
    struct call *call[3];
    expect(c, 201, "POST", "/models", "%s", MODEL("gone", "float32", LINEAR(1, 1)));
    for (int i = 0; i < 3; i++) {
        call[i] = client_start(c, "POST", "/models/gone/forward", "{\"inputs\":[[1]]}");
        if (i < 2) /* it holds the session from here on, as a call that was tried where it came */
            assert_true(call_is_light(call[i], false));
    }
    expect(c, 204, "DELETE", "/models/gone", NULL);
    call_work_together(call, 3, c->scratch, 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(client_finish(c, call[i])->status, i < 2 ? 200 : 404);
}

/* A call with a key is no part of a group: its repeat waits for nobody else's answer. */
static void test_key_is_alone(void **state)
{
    struct client *c = client_of(state);
    expect(c, 201, "POST", "/models", "%s", MODEL("m", "float32", LINEAR(1, 1)));
    struct call *call = client_start(c, "POST", "/models/m/forward", "{\"inputs\":[[1]]}");
    assert_string_equal(call_group(call), "m");
    assert_true(call_header(call, "Idempotency-Key", "k"));
    assert_string_equal(call_group(call), "");
    call_free(call);
    call = client_start(c, "POST", "/models/m/step", "{}");
    assert_string_equal(call_group(call), "");
    call_free(call);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, client_setup, client_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_same_bits),    TEST(test_each_its_own),      TEST(test_mixed_forms),
        TEST(test_not_stacked),  TEST(test_too_large_a_stack), TEST(test_deleted),
        TEST(test_key_is_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
