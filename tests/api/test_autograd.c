/* POST /autograd: programs, what they show, and what becomes of mistakes and excess. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/api/client.h"

static const struct reply *run(struct client *c, int status, const char *body)
{
    const struct reply *r = ask_plain(c, "POST", "/autograd", body);
    if (r->status != status)
        fail_msg("%d, not %d: %.600s\n%s", r->status, status, r->text, body);
    return r;
}

static void assert_close(const struct reply *r, const char *pointer, double want)
{
    double got = number_at(r, pointer);
    if (!(got - want < 1e-6 && want - got < 1e-6))
        fail_msg("%s is %.9g, not %.9g", pointer, got, want);
}

/* ---- what works ---------------------------------------------------------------------------- */

/* The example of API.md; the numbers are PyTorch's. */
static void test_tutorial(void **state)
{
    const struct reply *r =
        run(*state, 200,
            "{\"program\":\"import torch\\nx = torch.ones(5)\\ny = torch.zeros(3)\\n"
            "w = torch.randn(5, 3, requires_grad=True)\\nb = torch.randn(3, requires_grad=True)\\n"
            "z = torch.matmul(x, w) + b\\n"
            "loss = torch.nn.functional.binary_cross_entropy_with_logits(z, y)\\n"
            "loss.backward(retain_graph=True)\\nprint(w.shape)\","
            "\"seed\":0,\"return\":[\"loss\",\"w.grad\",\"b.grad\"],\"graph\":true}");
    assert_close(r, "/values/loss/data", 0.681851327419281);
    assert_json(r, "/values/loss/shape", "[]");
    assert_json(r, "/values/loss/dtype", "\"float32\"");
    assert_json(r, "/values/loss/requires_grad", "true");
    assert_json(r, "/values/loss/grad_fn", "\"BinaryCrossEntropyWithLogitsBackward0\"");
    assert_json(r, "/values/w.grad/shape", "[5,3]");
    assert_json(r, "/values/w.grad/requires_grad", "false");
    assert_json(r, "/values/w.grad/grad_fn", "null");
    assert_close(r, "/values/w.grad/data/4/0", 0.2660868167877197);
    assert_close(r, "/values/b.grad/data/1", 0.1179412305355072);
    assert_json(r, "/stdout", "\"torch.Size([5, 3])\\n\"");
    assert_json(r, "/warnings", "[]");
    assert_null(json_find(r->json, "/stdout_truncated"));
    assert_json(r, "/graph/roots", "{\"loss\":0}");
    assert_json(r, "/graph/nodes/0/name", "\"BinaryCrossEntropyWithLogitsBackward0\"");
    assert_json(r, "/graph/nodes/1/name", "\"AddBackward0\"");
    assert_non_null(strstr(r->text, "\"variable\":\"w\""));
    assert_non_null(strstr(r->text, "\"variable\":\"b\""));
    assert_json(r, "/graph/edges/0", "{\"from\":0,\"to\":1,\"input\":0}");
}

static void test_seeds(void **state)
{
    static const char body[] =
        "{\"program\":\"x = torch.randn(3)\",\"return\":[\"x\"],\"seed\":%d}";
    char text[200], *first;
    snprintf(text, sizeof text, body, 0);
    first = strdup(run(*state, 200, text)->text);
    assert_string_equal(run(*state, 200, text)->text, first);
    assert_string_equal(
        run(*state, 200, "{\"program\":\"x = torch.randn(3)\",\"return\":[\"x\"]}")->text, first);
    snprintf(text, sizeof text, body, 1);
    assert_string_not_equal(run(*state, 200, text)->text, first);
    free(first);
}

static void test_kinds_of_values(void **state)
{
    const struct reply *r =
        run(*state, 200,
            "{\"program\":\"x = torch.ones(2, 3)\\ns = 'a\\\\tb'\\nf = float('nan')\","
            "\"return\":[\"None\",\"True\",\"3\",\"2.5\",\"f\",\"s\",\"(1, [2.0, None])\","
            "\"x.shape\",\"x.dtype\",\"x > 0\",\"x.t()\",\"torch.arange(3)\","
            "\"torch.zeros(2, 0)\",\"x.grad\"]}");
    assert_json(r, "/values/None", "null");
    assert_json(r, "/values/True", "true");
    assert_json(r, "/values/3", "3");
    assert_json(r, "/values/2.5", "2.5");
    assert_json(r, "/values/f", "\"NaN\"");
    assert_json(r, "/values/s", "\"a\\tb\"");
    assert_json(r, "/values/(1, [2.0, None])", "[1,[2,null]]");
    assert_json(r, "/values/x.shape", "[2,3]");
    assert_json(r, "/values/x.dtype", "{\"repr\":\"torch.float32\"}");
    assert_json(r, "/values/x > 0/data", "[[true,true,true],[true,true,true]]");
    assert_json(r, "/values/x > 0/dtype", "\"bool\"");
    assert_json(r, "/values/x.t()/data", "[[1,1],[1,1],[1,1]]");
    assert_json(r, "/values/torch.arange(3)",
                "{\"dtype\":\"int64\",\"shape\":[3],\"requires_grad\":false,\"grad_fn\":null,"
                "\"data\":[0,1,2]}");
    assert_json(r, "/values/torch.zeros(2, 0)/data", "[[],[]]");
    assert_json(r, "/values/x.grad", "null");
}

static void test_tensors(void **state)
{
    const struct reply *r =
        run(*state, 200,
            "{\"program\":\"y = (a * b).sum()\\ny.backward()\",\"tensors\":{"
            "\"a\":{\"data\":[1,2,3,4],\"shape\":[2,2],\"requires_grad\":true},"
            "\"b\":{\"data\":[[0.1,0.2],[0.3,0.4]],\"dtype\":\"float64\"},"
            "\"i\":{\"data\":[9007199254740993,-9223372036854775808],\"dtype\":\"int64\"},"
            "\"t\":{\"data\":[[true,false],[false,true]],\"dtype\":\"bool\"},"
            "\"u\":{\"data\":[1,0],\"dtype\":\"bool\"},\"v\":{\"data\":true,\"dtype\":\"bool\"},"
            "\"e\":{\"data\":[],\"shape\":[0,3]},\"s\":{\"data\":2.5},"
            "\"n\":{\"data\":[\"NaN\",\"-Infinity\"]}},"
            "\"return\":[\"y\",\"a.grad\",\"i\",\"t\",\"u\",\"v\",\"e\",\"s\",\"n\"]}");
    assert_json(r, "/values/y/dtype", "\"float64\"");
    assert_close(r, "/values/y/data", 3);
    assert_json(r, "/values/a.grad",
                "{\"dtype\":\"float32\",\"shape\":[2,2],\"requires_grad\":false,\"grad_fn\":null,"
                "\"data\":[[0.1,0.2],[0.3,0.4]]}");
    assert_non_null(strstr(r->text, "[9007199254740993,-9223372036854775808]"));
    assert_json(r, "/values/t/data", "[[true,false],[false,true]]");
    assert_json(r, "/values/u/data", "[true,false]");
    assert_json(r, "/values/v/data", "true");
    assert_json(r, "/values/e/shape", "[0,3]");
    assert_json(r, "/values/s/shape", "[]");
    assert_json(r, "/values/n/data", "[\"NaN\",\"-Infinity\"]");
}

/* Without `return` the graph is that of all that has a history. */
static void test_graph_of_variables(void **state)
{
    const struct reply *r = run(*state, 200,
                                "{\"program\":\"a = w * 2\\nb = a.exp()\\nc = w.detach()\","
                                "\"tensors\":{\"w\":{\"data\":[1],\"requires_grad\":true}},"
                                "\"graph\":true}");
    assert_json(r, "/graph/roots", "{\"b\":0,\"a\":1}");
    assert_json(r, "/values", "{}");
    assert_json(r, "/graph/nodes/0/saved", "{\"result\":{\"shape\":[1],\"dtype\":\"float32\"}}");
    assert_json(r, "/graph/nodes/2",
                "{\"id\":2,\"name\":\"AccumulateGrad\",\"shape\":[1],\"dtype\":\"float32\","
                "\"variable\":\"w\"}");
    assert_json(r, "/graph/edges",
                "[{\"from\":0,\"to\":1,\"input\":0},{\"from\":1,\"to\":2,\"input\":0}]");
    /* What was freed is not saved any more. */
    r = run(*state, 200,
            "{\"program\":\"b = w.exp().sum()\\nb.backward()\",\"return\":[\"b\"],"
            "\"tensors\":{\"w\":{\"data\":[1],\"requires_grad\":true}},\"graph\":true}");
    assert_json(r, "/graph/nodes/1/saved", "{}");
}

static void test_warnings(void **state)
{
    const struct reply *r =
        run(*state, 200,
            "{\"program\":\"y = w * 2\\n\\ny.grad\",\"tensors\":{\"w\":{\"data\":[1],"
            "\"requires_grad\":true}}}");
    assert_json(r, "/warnings/0/category", "\"UserWarning\"");
    assert_json(r, "/warnings/0/line", "3");
    assert_non_null(strstr(string_at(r, "/warnings/0/message"), "not a leaf Tensor"));
}

/* ---- mistakes ------------------------------------------------------------------------------ */

static void test_mistakes_are_placed(void **state)
{
    static const struct {
        const char *body, *pointer;
        int line, column; /* 0: none are told */
        const char *detail;
    } rows[] = {
        {"{\"program\":\"x = (1\"}", "/program", 1, 0, ""},
        {"{\"program\":\"x = 1\\nfor i in x: pass\"}", "/program", 2, 1, "for"},
        {"{\"program\":\"\\nx = torch.foo(1)\"}", "/program", 2, 5,
         "module 'torch' has no attribute 'foo'"},
        {"{\"program\":\"print(1)\\ny = x + 1\"}", "/program", 2, 5, "name 'x' is not defined"},
        {"{\"program\":\"x = torch.ones(2)\",\"return\":[\"x\",\"x +\"]}", "/return/1", 1, 0, ""},
        {"{\"program\":\"x = torch.ones(2)\",\"return\":[\"x\",\"  y\"]}", "/return/1", 1, 0, ""},
        {"{\"program\":\"x = torch.ones(2)\",\"return\":[\"x = 1\"]}", "/return/0", 1, 1,
         "expression"},
        {"{\"program\":\"x = torch.ones(2)\",\"return\":[\"\"]}", "/return/0", 1, 1, "expression"},
        {"{\"program\":\"w = torch.ones(2, requires_grad=True)\\ny = (w * w).sum()\\n"
         "y.backward()\\ny.backward()\"}",
         "/program", 4, 1, "Trying to backward through the graph a second time"},
        {"{\"program\":\"w = torch.ones(2, requires_grad=True)\\n(w * 2).backward()\"}", "/program",
         2, 1, "grad can be implicitly created only for scalar outputs"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct reply *r = run(*state, 422, rows[i].body);
        assert_problem(r, 422, "invalid-argument", rows[i].pointer);
        assert_int_equal(number_at(r, "/line"), rows[i].line);
        if (rows[i].column)
            assert_int_equal(number_at(r, "/column"), rows[i].column);
        assert_true(number_at(r, "/column") > 0);
        string_at(r, "/stdout");
        if (!strstr(string_at(r, "/detail"), rows[i].detail))
            fail_msg("%s: %s", rows[i].body, r->text);
    }
    const struct reply *r = run(*state, 422, "{\"program\":\"print('so far')\\n1 / 0\"}");
    assert_string_equal(string_at(r, "/stdout"), "so far\n");
}

#define X(rest) "{\"program\":\"\",\"tensors\":{\"x\":{" rest "}}}"

static void test_fields_are_checked(void **state)
{
    static const struct {
        const char *body, *pointer, *detail;
    } rows[] = {
        {"{}", "/program", "is required"},
        {"{\"program\":3}", "/program", "string"},
        {"{\"program\":\"\",\"x\":1}", "/x", "no such field"},
        {"{\"program\":\"\",\"seed\":-1}", "/seed", ""},
        {"{\"program\":\"\",\"seed\":0.5}", "/seed", "whole"},
        {"{\"program\":\"\",\"graph\":1}", "/graph", "true or false"},
        {"{\"program\":\"\",\"return\":\"x\"}", "/return", "list"},
        {"{\"program\":\"\",\"return\":{}}", "/return", "list"},
        {"{\"program\":\"\",\"return\":[1]}", "/return", "list"},
        {"{\"program\":\"\",\"return\":[\"NaN\"]}", "/return", "list"},
        {"{\"program\":\"\",\"return\":[[]]}", "/return", "list"},
        {"{\"program\":\"\",\"return\":[\"1\",2]}", "/return/1", "string"},
        {"{\"program\":\"\",\"return\":[\"1\",\"2\",\"1\"]}", "/return/2", "twice"},
        {"{\"program\":\"\",\"tensors\":[]}", "/tensors", "object"},
        {"{\"program\":\"\",\"tensors\":{\"x\":3}}", "/tensors/x", "object"},
        {"{\"program\":\"\",\"tensors\":{\"torch\":{\"data\":1}}}", "/tensors/torch", "name"},
        {"{\"program\":\"\",\"tensors\":{\"for\":{\"data\":1}}}", "/tensors/for", "name"},
        {"{\"program\":\"\",\"tensors\":{\"True\":{\"data\":1}}}", "/tensors/True", "name"},
        {"{\"program\":\"\",\"tensors\":{\"\":{\"data\":1}}}", "/tensors/", "name"},
        {"{\"program\":\"\",\"tensors\":{\"a b\":{\"data\":1}}}", "/tensors/a b", "name"},
        {"{\"program\":\"\",\"tensors\":{\"(a)\":{\"data\":1}}}", "/tensors/(a)", "name"},
        {"{\"program\":\"\",\"tensors\":{\"a/b\":{\"data\":1}}}", "/tensors/a~1b", "name"},
        {"{\"program\":\"\",\"tensors\":{\"1\":{\"data\":1}}}", "/tensors/1", "name"},
        {X(""), "/tensors/x/data", "is required"},
        {X("\"data\":1,\"y\":1"), "/tensors/x/y", "no such field"},
        {X("\"data\":\"a\""), "/tensors/x/data", "number"},
        {X("\"data\":null"), "/tensors/x/data", "number"},
        {X("\"data\":[1,[2]]"), "/tensors/x/data/1", ""},
        {X("\"data\":[[1,2],[3]]"), "/tensors/x/data/1", "2 elements"},
        {X("\"data\":[1e39]"), "/tensors/x/data/0", "float32"},
        {X("\"data\":[true]"), "/tensors/x/data/0", "number"},
        {X("\"data\":[0,2],\"dtype\":\"bool\""), "/tensors/x/data/1", "0 or 1"},
        {X("\"data\":[true,3],\"dtype\":\"bool\""), "/tensors/x/data/1", "true or false"},
        {X("\"data\":[[true],[false,true]],\"dtype\":\"bool\""), "/tensors/x/data/1", "1 elements"},
        {X("\"data\":[[true],false],\"dtype\":\"bool\""), "/tensors/x/data/1", "1 elements"},
        {X("\"data\":[1,0.5],\"dtype\":\"int64\""), "/tensors/x/data/1", "integer"},
        {X("\"data\":[1],\"dtype\":\"float16\""), "/tensors/x/dtype", "one of"},
        {X("\"data\":[1],\"dtype\":\"int64\",\"requires_grad\":true"), "/tensors/x/requires_grad",
         "Only Tensors of floating point and complex dtype can require gradients"},
        {X("\"data\":[1],\"shape\":[2]"), "/tensors/x/data", "must be of shape [2]"},
        {X("\"data\":[[1,2]],\"shape\":[2,1]"), "/tensors/x/data", "got [1, 2]"},
        {X("\"data\":[1],\"shape\":[-1]"), "/tensors/x/shape", ""},
        {X("\"data\":[1],\"shape\":3"), "/tensors/x/shape", "list"},
        {X("\"data\":[1],\"shape\":[0.5]"), "/tensors/x/shape/0", "integer"},
        {X("\"data\":[],\"shape\":[4611686018427387904,4,0]"), "/tensors/x/shape", ""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct reply *r = run(*state, 422, rows[i].body);
        assert_problem(r, 422, "invalid-argument", rows[i].pointer);
        if (!strstr(string_at(r, "/detail"), rows[i].detail))
            fail_msg("%s: %s", rows[i].body, r->text);
    }
    assert_problem(ask(*state, "POST", "/autograd", NULL), 422, "invalid-argument", "/program");
    assert_problem(ask(*state, "GET", "/autograd", NULL), 405, "method-not-allowed", "");
}

/* ---- bounds -------------------------------------------------------------------------------- */

static char *repeated(const char *head, const char *piece, int times, const char *tail)
{
    char *text = NULL;
    size_t bytes;
    FILE *out = open_memstream(&text, &bytes);
    assert_non_null(out);
    fputs(head, out);
    while (times-- > 0)
        fputs(piece, out);
    fputs(tail, out);
    assert_int_equal(fclose(out), 0);
    return text;
}

static void assert_refused(struct client *c, char *body, const char *pointer, const char *detail)
{
    const struct reply *r = run(c, 422, body);
    assert_problem(r, 422, "invalid-argument", pointer);
    if (!strstr(string_at(r, "/detail"), detail))
        fail_msg("%.200s: %s", body, r->text);
    free(body);
}

static void test_bounds(void **state)
{
    struct client *c = *state;
    assert_refused(c, repeated("{\"program\":\"", "x=1\\n", 20000, "\"}"), "/program", "65536");
    assert_refused(c, repeated("{\"program\":\"", "(", 5000, "\"}"), "/program", "");
    assert_refused(c, repeated("{\"program\":\"x=torch.ones(1)\\n", "x+x\\n", 10001, "\"}"),
                   "/program", "10000 calls");
    assert_refused(c, repeated("{\"program\":\"\",\"return\":[", "\"1\",", 300, "\"2\"]}"),
                   "/return", "256");
    assert_refused(c, repeated("{\"program\":\"\",\"return\":[\"", " ", 5000, "2\"]}"), "/return/0",
                   "4096 bytes");
    assert_refused(c, repeated("{\"program\":\"l=[]\\n", "l=[l]\\n", 100, "\",\"return\":[\"l\"]}"),
                   "/return/0", "64 deep");
    /* What is printed over the bound is left out, and said to be. */
    char *body = repeated("{\"program\":\"s='", "ä", 20000, "'\\nprint(s)\\nprint(s)\"}");
    const struct reply *r = run(c, 200, body);
    free(body);
    assert_json(r, "/stdout_truncated", "true");
    assert_in_range(strlen(string_at(r, "/stdout")), 65530, 65536);
    assert_null(strstr(r->text, "\xEF\xBF\xBD"));
}

static void test_memory(void **state)
{
    static const char *const too_large[] = {
        "{\"program\":\"x = torch.zeros(20000000)\"}",
        "{\"program\":\"x = torch.zeros(4611686018427387904)\"}",
        "{\"program\":\"x = torch.zeros(4000000)\\ny = x + 1\\nz = y + 1\\nw = z + 1\\n"
        "v = w + 1\"}",
        "{\"program\":\"x = torch.zeros(1).expand(1000000000)\",\"return\":[\"x\"]}",
        "{\"program\":\"x = torch.zeros(1000000000000, 0)\",\"return\":[\"x\"]}",
        "{\"program\":\"x = torch.zeros(3000000)\",\"return\":[\"x\",\"x + 1\"]}",
        "{\"program\":\"a=[1]*1\\nb=[a,a,a,a,a,a,a,a]\\nc=[b,b,b,b,b,b,b,b]\\n"
        "d=[c,c,c,c,c,c,c,c]\\ne=[d,d,d,d,d,d,d,d]\\nf=[e,e,e,e,e,e,e,e]\\n"
        "g=[f,f,f,f,f,f,f,f]\\nh=[g,g,g,g,g,g,g,g]\",\"return\":[\"h\"]}",
    };
    struct client *c = *state;
    for (size_t i = 0; i < sizeof too_large / sizeof *too_large; i++) {
        const struct reply *r = run(c, 422, too_large[i]);
        if (i == 6 && strstr(r->text, "unsupported operand"))
            continue; /* the language has no product of lists */
        assert_problem(r, 422, "invalid-argument", "/program");
        assert_non_null(strstr(string_at(r, "/detail"), "more than 67108864 bytes"));
    }
    run(c, 200, "{\"program\":\"x = torch.zeros(15000000)\"}"); /* all of it is there again */
}

/* One program holds most of the memory, so another has to come again. */
static void test_memory_is_shared(void **state)
{
    struct client *c = *state;
    static const char small[] = "{\"program\":\"x = torch.zeros(5000000)\"}";
    c->slice_ns = 0;
    struct call *large = client_start(
        c, "POST", "/autograd", "{\"program\":\"x = torch.zeros(14000000)\\ny = 1\\nz = 2\"}");
    assert_false(client_slice(c, large));
    const struct reply *r = run(c, 503, small);
    assert_problem(r, 503, "unavailable", "");
    assert_string_equal(r->retry_after, "1");
    run(c, 422, "{\"program\":\"x = torch.zeros(50000000)\"}");
    while (!client_slice(c, large))
        continue;
    assert_int_equal(client_finish(c, large)->status, 200);
    run(c, 200, small);
}

static void test_work(void **state)
{
    const struct reply *r =
        run(*state, 422, "{\"program\":\"x = torch.zeros(1).expand(100000, 100000)\\nx @ x\"}");
    assert_problem(r, 422, "invalid-argument", "/program");
}

static void test_time(void **state)
{
    struct client *c = *state;
    client_close(c);
    c->config.autograd_seconds = 0;
    client_open(c);
    const struct reply *r = run(c, 422, "{\"program\":\"print(1)\\nprint(2)\"}");
    assert_problem(r, 422, "invalid-argument", "/program");
    assert_non_null(strstr(string_at(r, "/detail"), "took longer than 0 seconds"));
    string_at(r, "/stdout");
    client_close(c);
    c->config.autograd_seconds = 1;
    client_open(c);
    /* One statement of many seconds. */
    char *body = repeated("{\"program\":\"x = torch.ones(3000000)\\nprint(1)\\ny = [", "x.sum(), ",
                          7000, "0]\"}");
    assert_refused(c, body, "/program", "took longer than 1 seconds");
}

/* ---- slices -------------------------------------------------------------------------------- */

static void test_slices(void **state)
{
    struct client *c = *state;
    static const char body[] =
        "{\"program\":\"w = torch.ones(3, requires_grad=True)\\nwith torch.no_grad():\\n"
        "    a = w * 2\\ny = (w.exp() @ torch.randn(3, 3)).sum()\\ny.backward()\\nprint(a)\","
        "\"return\":[\"y\",\"w.grad\",\"a\"],\"graph\":true}";
    char *whole = strdup(run(c, 200, body)->text);
    c->slice_ns = 0;
    const struct reply *r = run(c, 200, body);
    assert_true(r->slices > 6);
    assert_string_equal(r->text, whole);
    free(whole);
}

/* Between two slices nothing of a worker's is kept: each may be another's. */
static void test_slices_on_two_workers(void **state)
{
    struct client *c = *state;
    static const char body[] =
        "{\"program\":\"w = torch.randn(40, 50, requires_grad=True)\\nx = torch.randn(30, 40)\\n"
        "y = torch.tanh(x @ w)\\nz = (y @ w.t()).sum()\\nz.backward()\",\"return\":[\"w.grad\"]}";
    struct scratch *mine = c->scratch, *other = scratch_new(c->api);
    char *whole = strdup(run(c, 200, body)->text);
    c->slice_ns = 0;
    struct call *call = client_start(c, "POST", "/autograd", body);
    for (int i = 0;; i++) {
        c->scratch = i % 2 ? mine : other;
        if (client_slice(c, call))
            break;
        scratch_free(other); /* what it lent is gone */
        other = scratch_new(c->api);
        assert_non_null(other);
    }
    c->scratch = mine;
    assert_string_equal(client_finish(c, call)->text, whole);
    scratch_free(other);
    free(whole);
}

static void test_drain(void **state)
{
    struct client *c = *state;
    c->slice_ns = 0;
    struct call *call =
        client_start(c, "POST", "/autograd", "{\"program\":\"a = 1\\nb = 2\\nc = 3\\nd = 4\"}");
    assert_false(client_slice(c, call));
    api_drain(c->api);
    assert_true(client_slice(c, call));
    assert_problem(client_finish(c, call), 503, "unavailable", "");
}

static void test_it_stands_in_no_line(void **state)
{
    struct client *c = *state;
    struct call *call = client_start(c, "POST", "/autograd", "{\"program\":\"\"}");
    assert_int_equal(call_mode(call), CALL_READ);
    assert_string_equal(call_model(call), "");
    assert_false(call_is_light(call, false));
    call_free(call);
}

#define ROW(test) cmocka_unit_test_setup_teardown(test, client_setup, client_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ROW(test_tutorial),
        ROW(test_seeds),
        ROW(test_kinds_of_values),
        ROW(test_tensors),
        ROW(test_graph_of_variables),
        ROW(test_warnings),
        ROW(test_mistakes_are_placed),
        ROW(test_fields_are_checked),
        ROW(test_bounds),
        ROW(test_memory),
        ROW(test_memory_is_shared),
        ROW(test_work),
        ROW(test_time),
        ROW(test_slices),
        ROW(test_slices_on_two_workers),
        ROW(test_drain),
        ROW(test_it_stands_in_no_line),
    };
    return cmocka_run_group_tests_name("autograd", tests, NULL, NULL);
}
