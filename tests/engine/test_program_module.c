/* Modules that a program computes: what is known of a forward before it runs, and the forward. */
#include "engine/tree.h"
#include "tests/engine/nets.h"

#define F32 DTYPE_FLOAT32
#define F64 DTYPE_FLOAT64

static float w_data[] = {0.5f, -1, 2, 0.25f, 3, -0.125f}, b_data[] = {1, -2};
static const struct declaration declared[] = {
    {.name = "w", .shape = DIMS(3, 2), .requires_grad = true, .data = w_data},
    {.name = "b", .shape = DIMS(2), .requires_grad = true, .data = b_data},
};

static enum err_kind open_program(struct program *p, const char *text, struct place *where)
{
    enum err_kind rc = program_parse(text, strlen(text), p, where, &lab.e);
    return rc ? rc : module_bind_program(p, declared, 2, where, &lab.e);
}

static struct module *make(struct program *p, const char *text, enum dtype input)
{
    struct place where;
    if (open_program(p, text, &where) != ERR_OK)
        fail_msg("%s: %s at %d:%d", text, lab.e.message, where.line, where.column);
    struct module *m = module_new_program(p, declared, 2, F32, input);
    assert_non_null(m);
    return m;
}

/* What is foretold is what comes. */
static void facts_come_true(void **state)
{
    (void)state;
    static const char *const programs[] = {
        "x @ w + b",
        "import torch.nn.functional as F\nF.linear(x, w.t(), b)",
        "h = torch.relu(torch.nn.functional.linear(x, w.t(), b))\nh.sum(dim=1, keepdim=True)",
        "x",
        "w",
        "x.t()",
        "x[:, :1] * 2",
        "torch.cat([x @ w, (x @ w).exp()], dim=1)",
        "with torch.no_grad():\n    scale = x.abs().max()\nx / scale",
        "(x @ w).mean()",
        "torch.where(x > 0, x, x * 0.1)",
    };
    for (size_t i = 0; i < 2 * COUNT(programs); i++) {
        struct program p;
        struct module_facts facts;
        struct tensor *y;
        enum dtype input = i % 2 ? F64 : F32;
        lab_clear(&lab);
        struct module *m = make(&p, programs[i / 2], input);
        struct tensor *x = lab_leaf(&lab, input, SHAPE(4, 3));
        x->requires_grad = false;
        struct err foretold = {.message = ""};
        enum err_kind rc = module_facts(m, &x->shape, &facts, &foretold);
        assert_null(m->parameter[0].tensor.accumulate); /* parameters were not even looked at */
        size_t before = lab.tape.bytes;
        lab.tape.grad_disabled = true;
        assert_int_equal(module_forward(m, &lab.tape, x, &y, &lab.e), rc);
        lab.tape.grad_disabled = false;
        if (rc) { /* products do not promote */
            assert_int_equal(input, F64);
            assert_string_equal(lab.e.message, foretold.message);
        } else {
            assert_true(shape_equal(&y->shape, &facts.output));
            assert_int_equal(y->dtype, facts.dtype);
            assert_true(facts.bytes >= lab.tape.bytes - before);
        }
        module_free(m);
        program_close(&p);
    }
}

static void a_widened_module_computes_the_same(void **state)
{
    (void)state;
    struct program p;
    struct tensor *y, *wide_y;
    lab_clear(&lab);
    struct module *m = make(&p, "torch.tanh(x @ w) * b", F32), *wide = module_widened(m);
    assert_non_null(wide);
    assert_int_equal(wide->dtype, F64);
    assert_int_equal(wide->input_dtype, F64);
    assert_string_equal(wide->parameter[1].name, "b");
    struct tensor *x = lab_leaf(&lab, F32, SHAPE(5, 3)), *wide_x = lab_zeros(&lab, F64, x->shape);
    tensor_copy(wide_x, x);
    assert_int_equal(module_forward(m, &lab.tape, x, &y, &lab.e), ERR_OK);
    assert_int_equal(module_forward(wide, &lab.tape, wide_x, &wide_y, &lab.e), ERR_OK);
    assert_int_equal(wide_y->dtype, F64);
    lab_assert_close(y, wide_y, 1e-6);
    module_free(wide);
    module_free(m);
    program_close(&p);
}

static void names_are_known_in_order(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int line, column; /* 0: fine */
    } cases[] = {
        {"a = x\na * w", 0, 0},
        {"a, (c, d) = x, (w, b)\nc + d", 0, 0},
        {"a = c = x\nc += a\nc", 0, 0},
        {"import torch.nn.functional as F\nfrom torch import tanh\nF.relu(tanh(x))", 0, 0},
        {"with torch.no_grad():\n    s = x\ns", 0, 0},
        {"abs(-1) * x", 0, 0},
        {"a * x\na = x\na", 1, 1},
        {"x * (w + a)", 1, 10},
        {"a += x\na", 1, 1},
        {"y = x[a:]\ny", 1, 7},
        {"torch.cat([x, a])", 1, 15},
        {"torch.sum(x, dim=a)", 1, 18},
        {"x if a else w", 1, 6},
        {"x\ny = x", 2, 1},
        {"with torch.no_grad():\n    x", 1, 1},
        {"", 1, 1},
        {"torch.nothing(x)", 1, 1},
        {"torch.nn.functional.nothing(x)", 1, 1},
        {"torch.nn.nothing", 1, 1},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct program p;
        struct place where = {0, 0};
        enum err_kind rc = open_program(&p, cases[i].text, &where);
        if (rc != (cases[i].line ? ERR_INVALID : ERR_OK) ||
            (rc && (where.line != cases[i].line || where.column != cases[i].column)))
            fail_msg("%s: %s at %d:%d", cases[i].text, rc ? lab.e.message : "fine", where.line,
                     where.column);
        program_close(&p);
    }
}

/* What a forward would take is refused before it is taken. */
static void excess_is_foretold(void **state)
{
    (void)state;
    struct program p;
    struct module_facts facts;
    struct shape x = SHAPE(2, 3);
    struct module *m = make(&p, "torch.ones(1073741824) * b[0]", F32);
    assert_int_equal(module_facts(m, &x, &facts, &lab.e), ERR_OK);
    assert_true(facts.bytes >= (size_t)4 << 30);
    module_free(m);
    program_close(&p);
    m = make(&p, "torch.ones(1099511627776) * b[0]", F32);
    assert_int_equal(module_facts(m, &x, &facts, &lab.e), ERR_INVALID);
    assert_non_null(strstr(lab.e.message, "elements"));
    module_free(m);
    program_close(&p);
    m = make(&p, "torch.zeros(1099511627776, 0)", F32);
    assert_int_equal(module_facts(m, &x, &facts, &lab.e), ERR_OK);
    assert_true(facts.bytes >= (size_t)4 << 40); /* nobody could walk through it */
    module_free(m);
    program_close(&p);
    m = make(&p, "torch.ones(100000, 100000) @ torch.ones(100000, 100000)", F32);
    assert_int_equal(module_facts(m, &x, &facts, &lab.e), ERR_INVALID);
    assert_non_null(strstr(lab.e.message, "multiplications"));
    module_free(m);
    program_close(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(facts_come_true, lab_start, lab_finish),
        cmocka_unit_test_setup_teardown(a_widened_module_computes_the_same, lab_start, lab_finish),
        cmocka_unit_test_setup_teardown(names_are_known_in_order, lab_start, lab_finish),
        cmocka_unit_test_setup_teardown(excess_is_foretold, lab_start, lab_finish),
    };
    return cmocka_run_group_tests_name("program module", tests, NULL, NULL);
}
