/* Bad input: every row of the error table, one request each. After all of them the models are as
 * they were, to the bit, and work. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/mem.h"
#include "tests/api/client.h"

struct row {
    const char *method, *target, *body;
    int status;
    const char *slug, *pointer;
    const char *detail; /* a part of it */
};

#define L(in, out)  "{\"type\":\"linear\",\"in_features\":" #in ",\"out_features\":" #out "}"
#define MODEL(rest) "{\"layers\":[" L(2, 1) "],\"loss\":\"mse\"," rest "}"
#define LAYER(text) "{\"layers\":[" text "],\"loss\":\"mse\"}"
#define LOSS(text)  "{\"layers\":[" L(2, 1) "],\"loss\":" text "}"
#define SGD(text)   MODEL("\"optimizer\":{" text "}")
#define DATA(x, y)  "{\"inputs\":" x ",\"targets\":" y "}"
#define INVALID     422, "invalid-argument"
#define MALFORMED   400, "malformed-request"

/* clang-format off */
static const struct row rows[] = {
    /* no JSON */
    {"POST", "/models", "{", MALFORMED, "", "line 1"},
    {"POST", "/models", "{\"layers\":[}", MALFORMED, "", "line 1"},
    {"POST", "/models", "{\"loss\":\"mse\",}", MALFORMED, "", "line 1"},
    {"POST", "/models", "{'loss':1}", MALFORMED, "", "line 1"},
    {"POST", "/models", "{\"loss\":\"\xFF\"}", MALFORMED, "", ""},
    {"POST", "/models", "{\"seed\":01}", MALFORMED, "", ""},
    {"POST", "/models", "{\"seed\":NaN}", MALFORMED, "", ""},
    {"POST", "/models", "{} {}", MALFORMED, "", ""},
    {"POST", "/models", "\xEF\xBB\xBF{}", MALFORMED, "", ""},
    {"POST", "/models", "{\"id\":\"a\\u0000b\"}", MALFORMED, "", ""},
    {"POST", "/models", "{\"seed\":1,\"loss\":\"mse\",\"seed\":2}", MALFORMED, "/seed", "twice"},
    {"POST", "/models", SGD("\"lr\":1,\"lr\":1"), MALFORMED, "/optimizer/lr", "twice"},
    {"POST", "/models/a/step", "{\"steps\":1", MALFORMED, "", "line 1"},
    {"PUT", "/models/a/parameters", "[1,2", MALFORMED, "", "line 1"},
    /* no object */
    {"POST", "/models", "[]", INVALID, "", "object"},
    {"POST", "/models", "[[1,2]]", INVALID, "", "object"},
    {"POST", "/models/a/step", "3", INVALID, "", "object"},
    {"POST", "/models/a/step", "\"steps\"", INVALID, "", "object"},
    {"PATCH", "/models/a", "null", INVALID, "", "object"},
    {"POST", "/models/a/batches", "true", INVALID, "", "object"},
    /* required */
    {"POST", "/models", NULL, INVALID, "/layers", "is required"},
    {"POST", "/models", "{}", INVALID, "/layers", "is required"},
    {"POST", "/models", "{\"layers\":[" L(1, 1) "]}", INVALID, "/loss", "is required"},
    {"POST", "/models/a/batches", NULL, INVALID, "/inputs", "is required"},
    {"POST", "/models/a/batches", "{\"inputs\":[[1,2]]}", INVALID, "/targets", "is required"},
    {"POST", "/models/a/step", "{\"inputs\":[[1,2]]}", INVALID, "/targets", "is required"},
    {"POST", "/models/a/step", "{\"targets\":[[1]]}", INVALID, "/inputs", "is required"},
    {"POST", "/models/a/forward", NULL, INVALID, "/inputs", "is required"},
    {"PUT", "/models/a/parameters", NULL, INVALID, "/parameters", "is required"},
    {"PUT", "/models/a/parameters", "{\"parameters\":{}}", INVALID, "/parameters/0.weight", "is missing"},
    /* unknown fields */
    {"POST", "/models", MODEL("\"lr\":0.1"), INVALID, "/lr", "no such field"},
    {"POST", "/models", MODEL("\"LOSS\":0.1"), INVALID, "/LOSS", "no such field"},
    {"POST", "/models", MODEL("\"a/b~\":1"), INVALID, "/a~1b~0", "no such field"},
    {"POST", "/models", SGD("\"beta\":1"), INVALID, "/optimizer/beta", "no such field"},
    {"POST", "/models", LAYER("{\"type\":\"relu\",\"slope\":1}"), INVALID, "/layers/0/slope", "no such field"},
    {"POST", "/models", LOSS("{\"type\":\"mse\",\"beta\":1}"), INVALID, "/loss/beta", "no such field"},
    {"PATCH", "/models/a", "{\"seed\":1}", INVALID, "/seed", "no such field"},
    {"PATCH", "/models/a", "{\"layers\":[]}", INVALID, "/layers", "no such field"},
    {"POST", "/models/a/batches", "{\"input\":[[1,2]],\"targets\":[[1]]}", INVALID, "/input", "no such field"},
    {"POST", "/models/a/step", "{\"epochs\":1}", INVALID, "/epochs", "no such field"},
    {"POST", "/models/a/backward", "{\"steps\":1}", INVALID, "/steps", "no such field"},
    {"POST", "/models/a/zero_grad", "{\"x\":1}", INVALID, "/x", "no such field"},
    {"POST", "/models/a/optimizer/step", "{\"lr\":1}", INVALID, "/lr", "no such field"},
    {"POST", "/models/a/forward", "{\"inputs\":[[1,2]],\"n\":1}", INVALID, "/n", "no such field"},
    {"POST", "/models/a/checkpoints", "{\"name\":\"x\"}", INVALID, "/name", "no such field"},
    {"POST", "/models/a/checkpoints/1/restore", "{\"n\":1}", INVALID, "/n", "no such field"},
    {"PUT", "/models/a/parameters", "{\"0.weight\":{}}", INVALID, "/0.weight", "no such field"},
    /* another type */
    {"POST", "/models", "{\"layers\":3,\"loss\":\"mse\"}", INVALID, "/layers", "list"},
    {"POST", "/models", "{\"layers\":{},\"loss\":\"mse\"}", INVALID, "/layers", "list"},
    {"POST", "/models", "{\"layers\":[],\"loss\":\"mse\"}", INVALID, "/layers", "at least one layer"},
    {"POST", "/models", "{\"layers\":[1,2],\"loss\":\"mse\"}", INVALID, "/layers", "list"},
    {"POST", "/models", LAYER("\"relu\""), INVALID, "/layers/0", "object"},
    {"POST", "/models", LAYER("null"), INVALID, "/layers/0", "object"},
    {"POST", "/models", LAYER("{}"), INVALID, "/layers/0/type", "is required"},
    {"POST", "/models", LAYER("{\"type\":7}"), INVALID, "/layers/0/type", "string"},
    {"POST", "/models", LOSS("3"), INVALID, "/loss", "loss's name"},
    {"POST", "/models", LOSS("null"), INVALID, "/loss", "loss's name"},
    {"POST", "/models", LOSS("{}"), INVALID, "/loss/type", "is required"},
    {"POST", "/models", LOSS("{\"type\":\"mse\",\"reduction\":1}"), INVALID, "/loss/reduction", "mean, sum"},
    {"POST", "/models", MODEL("\"optimizer\":\"sgd\""), INVALID, "/optimizer", "object"},
    {"POST", "/models", MODEL("\"optimizer\":[]"), INVALID, "/optimizer", "object"},
    {"POST", "/models", SGD("\"type\":1"), INVALID, "/optimizer/type", "string"},
    {"POST", "/models", SGD("\"lr\":\"0.1\""), INVALID, "/optimizer/lr", "finite number"},
    {"POST", "/models", SGD("\"nesterov\":1"), INVALID, "/optimizer/nesterov", "true or false"},
    {"POST", "/models", SGD("\"maximize\":\"no\""), INVALID, "/optimizer/maximize", "true or false"},
    {"POST", "/models", MODEL("\"dtype\":32"), INVALID, "/dtype", "float32, float64"},
    {"POST", "/models", MODEL("\"seed\":\"1\""), INVALID, "/seed", "whole number"},
    {"POST", "/models", MODEL("\"seed\":[1]"), INVALID, "/seed", "whole number"},
    {"POST", "/models", MODEL("\"id\":7"), INVALID, "/id", "string"},
    {"POST", "/models", MODEL("\"on_divergence\":true"), INVALID, "/on_divergence", "stop, continue"},
    {"POST", "/models", MODEL("\"durability\":0"), INVALID, "/durability", "process, power, none"},
    {"POST", "/models", LAYER("{\"type\":\"linear\",\"in_features\":\"2\",\"out_features\":1}"), INVALID, "/layers/0/in_features", "whole number"},
    {"POST", "/models", LAYER("{\"type\":\"linear\",\"in_features\":2,\"out_features\":1,\"bias\":0}"), INVALID, "/layers/0/bias", "true or false"},
    {"POST", "/models", LAYER("{\"type\":\"gelu\",\"approximate\":true}"), INVALID, "/layers/0/approximate", "none, tanh"},
    {"PATCH", "/models/a", "{\"optimizer\":1}", INVALID, "/optimizer", "object"},
    {"PATCH", "/models/a", "{\"optimizer\":{\"lr\":true}}", INVALID, "/optimizer/lr", "finite number"},
    {"PATCH", "/models/a", "{\"requires_grad\":[]}", INVALID, "/requires_grad", "object"},
    {"PATCH", "/models/a", "{\"requires_grad\":{\"0.bias\":0}}", INVALID, "/requires_grad/0.bias", "true or false"},
    {"PATCH", "/models/a", "{\"requires_grad\":{\"9.bias\":true}}", INVALID, "/requires_grad/9.bias", "no parameter"},
    {"POST", "/models/a/batches", DATA("3", "[[1]]"), INVALID, "/inputs", ""},
    {"POST", "/models/a/batches", DATA("{}", "[[1]]"), INVALID, "/inputs", ""},
    {"POST", "/models/a/batches", DATA("null", "[[1]]"), INVALID, "/inputs", ""},
    {"POST", "/models/a/batches", DATA("\"[[1,2]]\"", "[[1]]"), INVALID, "/inputs", ""},
    {"POST", "/models/a/batches", DATA("[[1,2],[3,true]]", "[[1],[2]]"), INVALID, "/inputs/1/1", ""},
    {"POST", "/models/a/batches", DATA("[[1,2],[3,\"4\"]]", "[[1],[2]]"), INVALID, "/inputs/1/1", ""},
    {"POST", "/models/a/batches", DATA("[[1,2],[3,null]]", "[[1],[2]]"), INVALID, "/inputs/1/1", ""},
    {"POST", "/models/a/batches", DATA("[[1,2],{}]", "[[1],[2]]"), INVALID, "/inputs/1", ""},
    {"POST", "/models/a/batches", DATA("[[1,2]]", "\"1\""), INVALID, "/targets", ""},
    {"POST", "/models/a/step", "{\"steps\":\"5\"}", INVALID, "/steps", "whole number"},
    {"POST", "/models/a/step", "{\"batch\":[1]}", INVALID, "/batch", "whole number"},
    {"POST", "/models/a/backward", "{\"input_gradients\":1}", INVALID, "/input_gradients", "true or false"},
    {"POST", "/models/a/checkpoints", "{\"label\":5}", INVALID, "/label", "string"},
    {"PUT", "/models/a/parameters", "{\"parameters\":[]}", INVALID, "/parameters", "object"},
    {"PUT", "/models/a/parameters", "{\"parameters\":{\"0.weight\":3}}", INVALID, "/parameters/0.weight", "object"},
    {"PUT", "/models/a/parameters", "{\"step\":-1,\"parameters\":{}}", INVALID, "/step", ""},
    /* out of bounds */
    {"POST", "/models", SGD("\"lr\":-0.1"), INVALID, "/optimizer/lr", "at least 0"},
    {"POST", "/models", SGD("\"lr\":\"NaN\""), INVALID, "/optimizer/lr", "finite number"},
    {"POST", "/models", SGD("\"lr\":\"Infinity\""), INVALID, "/optimizer/lr", "finite number"},
    {"POST", "/models", SGD("\"lr\":1e400"), INVALID, "/optimizer/lr", ""},
    {"POST", "/models", SGD("\"momentum\":-1e-300"), INVALID, "/optimizer/momentum", "at least 0"},
    {"POST", "/models", SGD("\"weight_decay\":-1"), INVALID, "/optimizer/weight_decay", "at least 0"},
    {"POST", "/models", SGD("\"nesterov\":true"), INVALID, "/optimizer/nesterov", "Nesterov"},
    {"POST", "/models", SGD("\"nesterov\":true,\"momentum\":1,\"dampening\":0.1"), INVALID, "/optimizer/nesterov", "Nesterov"},
    {"PATCH", "/models/a", "{\"optimizer\":{\"nesterov\":true,\"momentum\":0}}", INVALID, "/optimizer/nesterov", "Nesterov"},
    {"PATCH", "/models/a", "{\"optimizer\":{\"lr\":-1}}", INVALID, "/optimizer/lr", "at least 0"},
    {"POST", "/models", MODEL("\"seed\":-1"), INVALID, "/seed", ""},
    {"POST", "/models", MODEL("\"seed\":1.5"), INVALID, "/seed", "whole number"},
    {"POST", "/models", MODEL("\"seed\":9007199254740993"), INVALID, "/seed", "below 2^53"},
    {"POST", "/models", MODEL("\"seed\":1e400"), INVALID, "/seed", ""},
    {"POST", "/models", LAYER(L(0, 1)), INVALID, "/layers/0/in_features", "at least 1"},
    {"POST", "/models", LAYER(L(1, -1)), INVALID, "/layers/0/out_features", "at least 1"},
    {"POST", "/models", LAYER(L(1.5, 1)), INVALID, "/layers/0/in_features", "whole number"},
    {"POST", "/models", LAYER(L(9007199254740993, 1)), INVALID, "/layers/0/in_features", "below 2^53"},
    {"POST", "/models", LAYER("{\"type\":\"linear\",\"in_features\":1}"), INVALID, "/layers/0/out_features", "given"},
    {"POST", "/models", LAYER("{\"type\":\"softmax\",\"dim\":99}"), INVALID, "/layers/0/dim", "at most"},
    {"POST", "/models", LOSS("{\"type\":\"huber\",\"delta\":0}"), INVALID, "/loss/delta", "greater than 0"},
    {"POST", "/models", LOSS("{\"type\":\"smooth_l1\",\"beta\":-1}"), INVALID, "/loss/beta", "at least 0"},
    {"POST", "/models", LOSS("{\"type\":\"mse\",\"reduction\":\"none\"}"), INVALID, "/loss/reduction", "mean, sum"},
    {"POST", "/models", LAYER(L(1000000000, 1000000000)), INVALID, "/layers", "bytes"},
    {"POST", "/models", LAYER(L(9007199254740991, 9007199254740991)), INVALID, "/layers", "bytes"},
    {"POST", "/models/a/step", "{\"steps\":0}", INVALID, "/steps", "1 to 1000000"},
    {"POST", "/models/a/step", "{\"steps\":-1}", INVALID, "/steps", "1 to 1000000"},
    {"POST", "/models/a/step", "{\"steps\":1.5}", INVALID, "/steps", "whole number"},
    {"POST", "/models/a/step", "{\"steps\":1000001}", INVALID, "/steps", "1 to 1000000"},
    {"POST", "/models/a/step", "{\"steps\":1e400}", INVALID, "/steps", ""},
    {"POST", "/models/a/step", "{\"batch\":0}", INVALID, "/batch", ""},
    {"POST", "/models/a/step", "{\"batch\":7}", INVALID, "/batch", "no batch 7"},
    {"POST", "/models/a/backward", "{\"batch\":9007199254740993}", INVALID, "/batch", ""},
    {"POST", "/models/a/step", "{\"batch\":1,\"inputs\":[[1,2]],\"targets\":[[1]]}", INVALID, "/batch", "not both"},
    /* names that are not there */
    {"POST", "/models", LAYER("{\"type\":\"conv2d\"}"), INVALID, "/layers/0/type", "conv2d"},
    {"POST", "/models", LAYER("{\"type\":\"Linear\"}"), INVALID, "/layers/0/type", "Linear"},
    {"POST", "/models", LOSS("\"mae\""), INVALID, "/loss", "mae"},
    {"POST", "/models", LOSS("{\"type\":\"mae\"}"), INVALID, "/loss/type", "mae"},
    {"POST", "/models", SGD("\"type\":\"adam\""), INVALID, "/optimizer/type", "adam"},
    {"POST", "/models", MODEL("\"dtype\":\"float16\""), INVALID, "/dtype", "float32, float64"},
    {"POST", "/models", MODEL("\"on_divergence\":\"Stop\""), INVALID, "/on_divergence", "stop, continue"},
    {"POST", "/models", MODEL("\"durability\":\"disk\""), INVALID, "/durability", "process, power, none"},
    /* ids */
    {"POST", "/models", MODEL("\"id\":\"\""), INVALID, "/id", "must match"},
    {"POST", "/models", MODEL("\"id\":\".hidden\""), INVALID, "/id", "must match"},
    {"POST", "/models", MODEL("\"id\":\"a b\""), INVALID, "/id", "must match"},
    {"POST", "/models", MODEL("\"id\":\"a/b\""), INVALID, "/id", "must match"},
    {"POST", "/models", MODEL("\"id\":\"\\u00e9\""), INVALID, "/id", "must match"},
    {"POST", "/models", MODEL("\"id\":\"12345678901234567890123456789012345678901234567890123456789012345\""), INVALID, "/id", "must match"},
    {"POST", "/models", MODEL("\"id\":\"a\""), 409, "conflict", "/id", "taken"},
    /* layers that do not fit each other, or their data */
    {"POST", "/models", LAYER(L(2, 3) ",{\"type\":\"relu\"}," L(4, 1)), INVALID, "/layers/2/in_features", "must be 3"},
    {"POST", "/models/a/batches", DATA("[[1,2,3]]", "[[1]]"), INVALID, "/inputs", "mat1 and mat2 shapes cannot be multiplied (1x3 and 2x3)"},
    {"POST", "/models/a/batches", DATA("[1,2]", "[1]"), INVALID, "/inputs", "one dimension"},
    {"POST", "/models/a/batches", DATA("[]", "[]"), INVALID, "/inputs", "at least one row"},
    {"POST", "/models/a/batches", DATA("[[]]", "[[1]]"), INVALID, "/inputs", ""},
    {"POST", "/models/a/batches", DATA("[[[[[[[[[1]]]]]]]]]", "[[1]]"), INVALID, "/inputs/0/0/0/0/0/0/0/0", "too deep"},
    {"POST", "/models/a/batches", DATA("[[1,2]]", "[1]"), INVALID, "/targets", "[1, 1]"},
    {"POST", "/models/a/batches", DATA("[[1,2]]", "[[1],[2]]"), INVALID, "/targets", "[1, 1]"},
    {"POST", "/models/a/batches", DATA("[[1,2]]", "[[1,2]]"), INVALID, "/targets", "[1, 1]"},
    {"POST", "/models/a/batches", DATA("[[1,2]]", "1"), INVALID, "/targets", "[1, 1]"},
    {"POST", "/models/a/batches", DATA("[[1,2],[3,4],[5,6],[7,8],[9,0],[1,2],[3,4],[5]]", "[[1]]"), INVALID, "/inputs/7", ""},
    {"POST", "/models/a/forward", "{\"inputs\":[[1,2],[3]]}", INVALID, "/inputs/1", ""},
    {"POST", "/models/a/step", DATA("[[1,2],[3]]", "[[1],[2]]"), INVALID, "/inputs/1", ""},
    {"POST", "/models/a/step", DATA("[[1,2],[3,4,5]]", "[[1],[2]]"), INVALID, "/inputs/1", ""},
    {"POST", "/models/a/batches", DATA("[[1,2],3]", "[[1],[2]]"), INVALID, "/inputs/1", ""},
    /* numbers that training cannot take */
    {"POST", "/models/a/batches", DATA("[[1,2],[3,4],[5,6],[7,\"NaN\"]]", "[[1],[2],[3],[4]]"), INVALID, "/inputs/3/1", "finite"},
    {"POST", "/models/a/step", DATA("[[\"-Infinity\",2]]", "[[1]]"), INVALID, "/inputs/0/0", "finite"},
    {"POST", "/models/a/backward", DATA("[[1,2]]", "[[\"Infinity\"]]"), INVALID, "/targets/0/0", "finite"},
    {"POST", "/models/a/step", DATA("[[1e39,2]]", "[[1]]"), INVALID, "/inputs/0/0", ""},
    {"POST", "/models/a/forward", "{\"inputs\":[[1,1e400]]}", INVALID, "/inputs/0/1", ""},
    {"POST", "/models/k/batches", DATA("[[1,2],[1,2],[1,2],[1,2],[1,2],[1,2]]", "[0,1,2,0,1,3]"), INVALID, "/targets/5", "Target 3 is out of bounds"},
    {"POST", "/models/k/step", DATA("[[1,2]]", "[-1]"), INVALID, "/targets/0", "Target -1 is out of bounds"},
    {"POST", "/models/k/forward", DATA("[[1,2]]", "[3]"), INVALID, "/targets/0", "out of bounds"},
    {"POST", "/models/k/step", DATA("[[1,2]]", "[1.5]"), INVALID, "/targets/0", ""},
    {"POST", "/models/k/step", DATA("[[1,2]]", "[\"NaN\"]"), INVALID, "/targets/0", ""},
    {"POST", "/models/k/step", DATA("[[1,2]]", "[1e30]"), INVALID, "/targets/0", ""},
    {"POST", "/models/k/step", DATA("[[1,2]]", "[[0,1,0]]"), INVALID, "/targets", "[1]"},
    /* not there */
    {"GET", "/models/nobody", NULL, 404, "not-found", "", "nobody"},
    {"POST", "/models/nobody/step", "{}", 404, "not-found", "", "nobody"},
    {"GET", "/models/12345678901234567890123456789012345678901234567890123456789012345", NULL, 404, "not-found", "", ""},
    {"GET", "/models/%61", NULL, 404, "not-found", "", ""},
    {"GET", "/models/a/batches/9", NULL, 404, "not-found", "", "9"},
    {"GET", "/models/a/batches/x", NULL, 404, "not-found", "", ""},
    {"GET", "/models/a/batches/0", NULL, 404, "not-found", "", ""},
    {"GET", "/models/a/batches/-1", NULL, 404, "not-found", "", ""},
    {"GET", "/models/a/batches/99999999999999999999", NULL, 404, "not-found", "", ""},
    {"DELETE", "/models/a/batches/9", NULL, 404, "not-found", "", "9"},
    {"DELETE", "/models/a/checkpoints/9", NULL, 404, "not-found", "", "9"},
    {"POST", "/models/a/checkpoints/9/restore", NULL, 404, "not-found", "", "9"},
    {"GET", "/models/a/parameters/1.weight", NULL, 404, "not-found", "", "1.weight"},
    {"GET", "/models/a/gradients/x", NULL, 404, "not-found", "", "x"},
    {"PUT", "/models/a/parameters/x", "{\"parameters\":{}}", 404, "not-found", "", "x"},
    {"GET", "/", NULL, 404, "not-found", "", ""},
    {"GET", "/models/", NULL, 404, "not-found", "", ""},
    {"GET", "/Models", NULL, 404, "not-found", "", ""},
    {"GET", "//models", NULL, 404, "not-found", "", ""},
    {"GET", "/models/a/b/c/d/e/f/g/h/i", NULL, 404, "not-found", "", ""},
    {"POST", "/models/a/steps", "{}", 404, "not-found", "", ""},
    /* query */
    {"GET", "/models?limit=0", NULL, MALFORMED, "", "1 to 100"},
    {"GET", "/models?limit=101", NULL, MALFORMED, "", "1 to 100"},
    {"GET", "/models?limit=1x", NULL, MALFORMED, "", "limit"},
    {"GET", "/models?limit=-1", NULL, MALFORMED, "", "limit"},
    {"GET", "/models?limit=", NULL, MALFORMED, "", "limit"},
    {"GET", "/models?limit", NULL, MALFORMED, "", "name=value"},
    {"GET", "/models?limit=1&limit=2", NULL, MALFORMED, "", "two"},
    {"GET", "/models?page=1", NULL, MALFORMED, "", "page"},
    {"GET", "/models?after=%41", NULL, MALFORMED, "", ""},
    {"GET", "/models/a/losses?points=1", NULL, MALFORMED, "", "points"},
    {"GET", "/models/a/losses?after=9999999999999999999", NULL, MALFORMED, "", "after"},
    {"GET", "/models/a/gradients?summary=2", NULL, MALFORMED, "", "summary"},
    {"POST", "/models/a/step?steps=3", "{}", MALFORMED, "", "steps"},
    /* a body where none is taken */
    {"GET", "/models", "{}", 413, "too-large", "", "no body"},
    {"DELETE", "/models/a", "{}", 413, "too-large", "", "no body"},
};
/* clang-format on */
#define ROWS (sizeof rows / sizeof *rows)

static const char *text_at(const struct reply *r, const char *pointer)
{
    const cJSON *item = json_find(r->json, pointer);
    return cJSON_IsString(item) ? item->valuestring : "";
}

static bool is_answered(struct client *c, const struct row *row)
{
    struct request q = {.method = row->method, .target = row->target, .body = row->body};
    struct reply r;
    client_exchange(c->api, c->scratch, c->slice_ns, &q, &r);
    r.json = cJSON_Parse(r.text);
    const char *type = text_at(&r, "/type");
    bool right = r.status == row->status && !strcmp(r.type, "application/problem+json") &&
                 !strncmp(type, "/problems/", 10) && !strcmp(type + 10, row->slug) &&
                 !strcmp(text_at(&r, "/pointer"), row->pointer) &&
                 strstr(text_at(&r, "/detail"), row->detail);
    if (!right)
        print_error("%s %s %s\n  not %d %s at \"%s\" with \"%s\":\n  %s\n", row->method,
                    row->target, row->body ? row->body : "", row->status, row->slug, row->pointer,
                    row->detail, r.text);
    reply_close(&r);
    return right;
}

/* Two models with all their state in motion. */
static void make_models(struct client *c)
{
    create_net(c, "a", ",\"optimizer\":{\"type\":\"sgd\",\"lr\":0.1,\"momentum\":0.9}");
    push_batch(c, "a", 1);
    expect_of(c, 200, "POST", "a", "/step", "{\"steps\":3}");
    expect_of(c, 201, "POST", "a", "/checkpoints", NULL);
    expect_of(c, 200, "POST", "a", "/backward", NULL);
    expect(c, 201, "POST", "/models",
           "{\"id\":\"k\",\"layers\":[" L(2, 3) "],\"loss\":\"cross_entropy\"}");
}

static const char *const shown[] = {"/models",           "/models/a/parameters",
                                    "/models/a/losses",  "/models/a/gradients",
                                    "/models/a/batches", "/models/a/checkpoints"};
#define SHOWN (sizeof shown / sizeof *shown)

static void test_every_row(void **state)
{
    struct client *c = *state, *twin = client_new("auto");
    char *before[SHOWN];
    make_models(c);
    make_models(twin);
    for (size_t i = 0; i < SHOWN; i++)
        before[i] = text_of(c, shown[i]);
    size_t wrong = 0;
    for (size_t i = 0; i < ROWS; i++)
        wrong += !is_answered(c, &rows[i]);
    assert_int_equal(wrong, 0);
    for (size_t i = 0; i < SHOWN; i++) {
        char *after = text_of(c, shown[i]);
        assert_string_equal(before[i], after);
        free(before[i]);
        free(after);
    }
    for (int i = 0; i < 2; i++) {
        struct client *at_work = i ? twin : c;
        expect_of(at_work, 200, "POST", "a", "/optimizer/step", NULL);
        expect_of(at_work, 200, "POST", "a", "/step", "{\"steps\":5}");
    }
    assert_same_answer(c, "/models/a/parameters", twin, "/models/a/parameters");
    client_free(twin);
}

/* 405 names what the path takes. */
static void test_methods(void **state)
{
    static const struct {
        const char *method, *target, *allow;
    } wrong[] = {
        {"PUT", "/models", "POST, GET, HEAD"},
        {"POST", "/models/a", "GET, HEAD, PATCH, DELETE"},
        {"GET", "/models/a/step", "POST"},
        {"DELETE", "/models/a/losses", "GET, HEAD"},
        {"POST", "/models/a/parameters", "GET, HEAD, PUT"},
        {"OPTIONS", "/healthz", "GET, HEAD"},
        {"BREW", "/models/a/batches/1", "GET, HEAD, DELETE"},
        {"HEAD", "/models/a/step", "POST"},
        {"get", "/models", "POST, GET, HEAD"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        const struct reply *r = ask(*state, wrong[i].method, wrong[i].target, NULL);
        assert_problem(r, 405, "method-not-allowed", "");
        assert_string_equal(r->allow, wrong[i].allow);
    }
}

static void test_content_types(void **state)
{
    struct client *c = *state;
    static const struct {
        const char *method, *target, *type;
        bool taken;
    } types[] = {
        {"POST", "/models", "application/x-www-form-urlencoded", false},
        {"POST", "/models", "text/plain", false},
        {"POST", "/models", "", false},
        {"POST", "/models", "application/jsonp", false},
        {"POST", "/models", "application/merge-patch+json", false},
        {"PATCH", "/models/a", "application/merge-patch+json", true},
        {"PATCH", "/models/a", "APPLICATION/JSON ; charset=utf-8", true},
        {"POST", "/models/a/batches", "text/csv", true},
        {"POST", "/models/a/step", "text/csv", false},
        {"POST", "/models/a/step", "application/x-npy", false},
        {"POST", "/models/a/step", "application/x-safetensors", true},
        {"POST", "/models/a/forward", "Application/X-Npy", true},
    };
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        struct call *call = call_new(c->api);
        assert_true(call_target(call, types[i].method, types[i].target));
        assert_true(call_header(call, "content-type", types[i].type));
        assert_int_equal(call_admit(call, 2), types[i].taken);
        if (!types[i].taken)
            assert_problem(client_finish(c, call), 415, "unsupported-media-type", "");
        else
            call_free(call);
    }
}

/* 413 is said from the header alone, before any byte of the body has come. */
static void test_too_large(void **state)
{
    struct client *c = *state;
    static const struct {
        const char *target;
        int64_t length;
        bool fits;
    } bodies[] = {
        {"/models/a/batches", (int64_t)64 << 20, true},
        {"/models/a/batches", ((int64_t)64 << 20) + 1, false},
        {"/models/a/batches", INT64_MAX, false},
        {"/models/a/zero_grad", (int64_t)1 << 20, true},
        {"/models/a/zero_grad", ((int64_t)1 << 20) + 1, false}, /* carries no tensors */
    };
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        struct call *call = call_new(c->api);
        assert_true(call_target(call, "POST", bodies[i].target));
        assert_true(call_header(call, "Content-Type", "Application/JSON; charset=utf-8"));
        assert_int_equal(call_admit(call, bodies[i].length), bodies[i].fits);
        if (!bodies[i].fits)
            assert_problem(client_finish(c, call), 413, "too-large", "");
        else
            call_free(call);
    }
}

/* Without a length it is said as soon as the body is over the limit. */
static void test_too_large_in_chunks(void **state)
{
    struct client *c = *state;
    static char block[65536];
    struct call *call = call_new(c->api);
    assert_true(call_target(call, "POST", "/models/a/zero_grad"));
    assert_true(call_header(call, "Content-Type", "application/json"));
    assert_true(call_admit(call, -1));
    for (int i = 0; i < 16; i++)
        assert_true(call_body(call, block, sizeof block));
    assert_false(call_body(call, block, 1));
    assert_problem(client_finish(c, call), 413, "too-large", "");
    call = call_new(c->api);
    assert_true(call_target(call, "POST", "/models/a/zero_grad"));
    assert_false(call_admit(call, -1)); /* a body of no type */
    assert_problem(client_finish(c, call), 415, "unsupported-media-type", "");
}

/* ---- sizes --------------------------------------------------------------------------------- */

static size_t largest;

static bool note_size(size_t bytes)
{
    largest = bytes > largest ? bytes : largest;
    return false;
}

static void test_nothing_big_is_allocated(void **state)
{
    struct client *c = *state;
    expect(c, 200, "GET", "/models", NULL); /* the first call brings the workspace */
    largest = 0;
    mem_fault = note_size;
    uint64_t before = mem_allocations();
    const struct reply *r = ask(c, "POST", "/models", LAYER(L(1000000000, 1000000000)));
    uint64_t made = mem_allocations() - before;
    mem_fault = NULL;
    assert_problem(r, 422, "invalid-argument", "/layers");
    assert_true(largest < 10000);
    assert_true(made < 200);
}

static void send_repeated(struct client *c, const char *text, size_t times, int status,
                          const char *slug)
{
    size_t n = strlen(text);
    struct request q = {.method = "POST", .target = "/models/a/batches", .bytes = n * times};
    char *body = malloc(n * times);
    struct reply r;
    assert_non_null(body);
    for (size_t i = 0; i < times; i++)
        memcpy(body + i * n, text, n);
    q.body = body;
    largest = 0;
    mem_fault = note_size;
    client_exchange(c->api, c->scratch, c->slice_ns, &q, &r);
    mem_fault = NULL;
    free(body);
    r.json = cJSON_Parse(r.text);
    assert_problem(&r, status, slug, "");
    assert_true(largest <= 3 * n * times);
    reply_close(&r);
}

static void test_deep_nesting(void **state)
{
    create_net(*state, "a", "");
    send_repeated(*state, "[", 250000, 400, "malformed-request");
    send_repeated(*state, "{\"a\":", 250000, 400, "malformed-request");
    send_repeated(*state, "[{\"a\":", 100000, 400, "malformed-request");
}

/* A text that would be a million nodes of a document. */
static void test_many_values(void **state)
{
    struct client *c = *state;
    size_t n = 200000;
    char *body = malloc(4 * n + 40);
    assert_non_null(body);
    size_t at_end = (size_t)sprintf(body, "{\"x\":[{}");
    for (size_t i = 0; i < n; i++, at_end += 3)
        memcpy(body + at_end, ",{}", 3);
    memcpy(body + at_end, "]}", 3);
    assert_problem(ask(c, "POST", "/models", "%s", body), 422, "invalid-argument", "");
    free(body);
}

static void test_too_many_layers(void **state)
{
    char *body = malloc(40000), *end = body;
    assert_non_null(body);
    end += sprintf(end, "{\"loss\":\"mse\",\"layers\":[{\"type\":\"relu\"}");
    for (int i = 0; i < 1024; i++)
        end += sprintf(end, ",{\"type\":\"relu\"}");
    strcpy(end, "]}");
    assert_problem(ask(*state, "POST", "/models", "%s", body), 422, "invalid-argument", "/layers");
    free(body);
}

static void test_label_of_257_bytes(void **state)
{
    char label[258];
    memset(label, 'x', 257);
    label[257] = '\0';
    create_net(*state, "a", "");
    assert_problem(ask(*state, "POST", "/models/a/checkpoints", "{\"label\":\"%s\"}", label), 422,
                   "invalid-argument", "/label");
    label[256] = '\0';
    expect(*state, 201, "POST", "/models/a/checkpoints", "{\"label\":\"%s\"}", label);
}

#define ROW(test) cmocka_unit_test_setup_teardown(test, client_setup, client_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ROW(test_every_row),           ROW(test_methods),
        ROW(test_content_types),       ROW(test_too_large),
        ROW(test_too_large_in_chunks), ROW(test_nothing_big_is_allocated),
        ROW(test_deep_nesting),        ROW(test_many_values),
        ROW(test_too_many_layers),     ROW(test_label_of_257_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
