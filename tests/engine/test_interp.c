/* Programs of the expression language, as they run: values and order, errors and where they are,
 * what a run may not exceed, and what a model's forward may do. What PyTorch gives for them is
 * judged in tests/api/test_autograd_golden.c. */
#include <stdio.h>

#include "engine/decimal.h"
#include "tests/engine/lab.h"
#include "tests/engine/programs.h"

/* ---- values -------------------------------------------------------------------------------- */

static void numbers_are_those_of_python(void **state)
{
    (void)state;
    assert_prints("print(7 // 2, -7 // 2, 7 % -3, -7 % 3, 2 ** 10, 2 ** -1)",
                  "3 -4 -2 2 1024 0.5\n");
    assert_prints("print(7.5 // 2, -7.5 % 2, 1 / 2, 3 * 1.5)", "3.0 0.5 0.5 4.5\n");
    assert_prints("print(True + 1, 5 & 3, 5 | 3, 5 ^ 3, ~5, True & False)", "2 1 7 6 -6 False\n");
    assert_prints("print(1 < 2 < 3, 1 < 3 < 2, 1 == 1.0, None is None, 2 in (1, 2))",
                  "True False True True True\n");
    assert_prints("print(0 or 'a', 1 and 2, not 0, 3 if 0 else 4)", "a 2 True 4\n");
    assert_prints("a = b = 3\na += 2\n(c, d), e = (1, 2), 3\nprint(a, b, c, d, e)", "5 3 1 2 3\n");
    assert_prints("print('a' + 'b', (1,) + (2, 3), [1, 2][-1], (1, 2, 3)[1:], 'abc'[1])",
                  "ab (1, 2, 3) 2 (2, 3) b\n");
    assert_prints("print(len((1, 2)), float('inf'), int(3.9), round(2.5), max(1, 3), sum([1, 2]))",
                  "2 inf 3 2 3 3\n");
    assert_prints("print(f'{1.5:.2f} {3!r} {2 + 2=}')", "1.50 3 2 + 2=4\n");
    assert_prints("import math\nprint(math.sqrt(2), math.pi, math.floor(-1.5))",
                  "1.4142135623730951 3.141592653589793 -2\n");
}

static void wrong_numbers_are_refused(void **state)
{
    (void)state;
    assert_fails("x = 9223372036854775807 + 1", 1, 5, "too large");
    assert_fails("x = 2 ** 64", 1, 5, "too large");
    assert_fails("x = 9007199254740993 - torch.tensor([1])", 1, 5, "up to 2^53 is exact");
    assert_fails("x = torch.tensor([1]).fill_(9007199254740993)", 1, 5, "up to 2^53 is exact");
    assert_fails("a = -9223372036854775807 - 1\nx = a // -1", 2, 5, "too large");
    assert_fails("x = 1 // 0", 1, 5, "integer division or modulo by zero");
    assert_fails("x = 1.0 / 0", 1, 5, "float division by zero");
    assert_fails("x = 1 + 'a'", 1, 5, "unsupported operand type(s) for +: 'int' and 'str'");
    assert_fails("x = (1, 2)[2]", 1, 5, "tuple index out of range");
    assert_fails("x = y + 1", 1, 5, "name 'y' is not defined");
    assert_fails("a, b = 1, 2, 3", 1, 1, "too many values to unpack (expected 2)");
    assert_fails("x = 1\nx()", 2, 1, "'int' object is not callable");
    assert_fails("x = 1\nx.foo", 2, 1, "'int' object has no attribute 'foo'");
    assert_fails("torch.foo(1)", 1, 1, "module 'torch' has no attribute 'foo'");
    assert_fails("assert 1 == 2, 'no'", 1, 1, "no");
    assert_fails("import numpy", 1, 1, "No module named 'numpy'");
}

static void arguments_are_those_of_the_signature(void **state)
{
    (void)state;
    assert_fails("torch.add(torch.ones(2))", 1, 1,
                 "add() missing 1 required positional arguments: \"other\"");
    assert_fails("torch.add(torch.ones(2), 1, beta=2)", 1, 1,
                 "add() got an unexpected keyword argument 'beta'");
    assert_fails("torch.add(torch.ones(2), 1, 2)", 1, 1,
                 "add() takes 2 positional arguments but 3 were given");
    assert_fails("torch.mm(torch.ones(2, 2), 'a')", 1, 1,
                 "mm(): argument 'mat2' (position 2) must be Tensor, not str");
    assert_fails("torch.conv2d(torch.ones(1, 1, 2, 2), torch.ones(1, 1, 1, 1), padding=(1.5, 2))",
                 1, 1, "argument 'padding' (position 5) must be tuple of ints, not tuple");
    assert_fails("torch.ones(2).sum('a')", 1, 1,
                 "sum() received an invalid combination of arguments - got (str)");
    assert_fails("torch.ones(2).sum(1)", 1, 1,
                 "Dimension out of range (expected to be in range of [-1, 0], but got 1)");
    assert_prints(
        "print(torch.ones(2, 3).shape, torch.ones((2, 3)).shape, torch.ones([2]).size(0))",
        "torch.Size([2, 3]) torch.Size([2, 3]) 2\n");
}

/* ---- autograd ------------------------------------------------------------------------------ */

static void gradients_flow(void **state)
{
    (void)state;
    assert_prints("x = torch.tensor([1., 2.], requires_grad=True)\n"
                  "y = (x * x).sum()\n"
                  "y.backward()\n"
                  "print(x.grad, y.grad_fn.name())",
                  "tensor([2., 4.]) SumBackward0\n");
    assert_prints("inp = torch.eye(2, requires_grad=True)\n"
                  "out = (inp + 1).pow(2)\n"
                  "out.backward(torch.ones_like(inp), retain_graph=True)\n"
                  "out.backward(torch.ones_like(inp), retain_graph=True)\n"
                  "print(inp.grad)\n"
                  "inp.grad.zero_()\n"
                  "out.backward(torch.ones_like(inp))\n"
                  "print(inp.grad)",
                  "tensor([[8., 4.],\n        [4., 8.]])\ntensor([[4., 2.],\n        [2., 4.]])\n");
    assert_prints("w = torch.ones(2, requires_grad=True)\n"
                  "with torch.no_grad():\n"
                  "    y = w * 2\n"
                  "    w -= 0.5\n"
                  "print(y.requires_grad, w.detach(), w.requires_grad, torch.is_grad_enabled())",
                  "False tensor([0.5000, 0.5000]) True True\n");
    assert_prints("x = torch.ones(2, requires_grad=True)\n"
                  "y = x * 3\ny.retain_grad()\ny.sum().backward()\nprint(y.grad, x.grad)",
                  "tensor([1., 1.]) tensor([3., 3.])\n");
    assert_prints("x = torch.ones(2, requires_grad=True)\nz = torch.zeros(1, requires_grad=True)\n"
                  "y = (x * 3).sum()\n"
                  "print(torch.autograd.grad(y, (x, z), allow_unused=True), x.grad)",
                  "(tensor([3., 3.]), None) None\n");
}

static void in_place_changes_are_seen(void **state)
{
    (void)state;
    assert_prints("x = torch.ones(3)\ny = x\nx += 1\nx[0] = 5\nx.mul_(2)\nprint(y, x._version)",
                  "tensor([10.,  4.,  4.]) 3\n");
    assert_prints(
        "a = torch.ones(2, requires_grad=True)\nb = a * 2\nb.mul_(3)\nb.sum().backward()\n"
        "print(a.grad, b.grad_fn.name())",
        "tensor([6., 6.]) MulBackward0\n");
    assert_fails("a = torch.ones(2, requires_grad=True)\nb = a.sigmoid()\nb.add_(1)\n"
                 "b.sum().backward()",
                 4, 1, "is at version 1; expected version 0 instead");
    assert_fails("a = torch.ones(2, requires_grad=True)\na += 1", 2, 1,
                 "a leaf Variable that requires grad is being used in an in-place operation.");
    assert_fails("x = torch.ones(2)\nx.data = torch.ones(3)", 2, 1, "cannot become [3] here");
}

/* Some rows have a node of their own in place. */
static void in_place_forms_have_their_nodes(void **state)
{
    (void)state;
    const char *before = "from torch.nn import functional as F\n"
                         "x = torch.tensor([-1., 2.], requires_grad=True)\ny = x * 2\n";
    static const char *const cases[][2] = {
        {"F.leaky_relu_(y, 0.5)", "[1.0, 2.0] LeakyReluBackward1 (2,)\n"},
        {"F.leaky_relu(y, 0.5, inplace=True)", "[1.0, 2.0] LeakyReluBackward1 (2,)\n"},
        {"F.elu_(y, 0.)", "[0.0, 2.0] EluBackward1 (2,)\n"},
        {"y.eq_(4)", "[0.0, 0.0] EqBackward0 (2,)\n"},
        {"y.lt_(x)", "[0.0, 0.0] LtBackward1 (2,)\n"},
        {"y.div_(x, rounding_mode='floor')", "[0.0, 0.0] DivBackward2 (2,)\n"},
        {"y.clamp_max_(1)", "[2.0, 0.0] ClampMaxBackward0 (2,)\n"},
        {"y.cumprod_(0)", "[10.0, -4.0] CumprodBackward0 (2,)\n"},
        {"y.round_(decimals=1)", "[0.0, 0.0] RoundBackward1 (2,)\n"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        char text[512];
        snprintf(text, sizeof text,
                 "%s%s\ny.sum().backward()\n"
                 "print(x.grad.tolist(), y.grad_fn.name(), tuple(y.shape))",
                 before, cases[i][0]);
        assert_prints(text, cases[i][1]);
    }
    assert_fails("x = torch.ones(2, requires_grad=True)\ny = x * 2\ny.logical_not_()", 3, 1,
                 "logical_not_() has no derivative");
    assert_fails("x = torch.ones(2, requires_grad=True)\n"
                 "torch.nn.functional.elu_(x * 2, -1.0)",
                 2, 1, "In-place elu backward calculation is triggered with a negative slope");
}

static void padding_cuts_before_it_adds(void **state)
{
    (void)state;
    assert_prints("print(torch.nn.functional.pad(torch.ones(3), (2, -2), value=7).tolist())",
                  "[7.0, 7.0, 1.0]\n");
    assert_fails("torch.nn.functional.pad(torch.ones(3), (5, -7))", 1, 1,
                 "start (0) + length (-4) exceeds dimension size (3).");
    assert_fails("torch.nn.functional.pad(torch.ones(3), (1,))", 1, 1,
                 "Padding length must be divisible by 2");
}

/* PyTorch's gradient there is none at all, or an error. */
static void some_gradients_are_none(void **state)
{
    (void)state;
    assert_prints("x = torch.tensor([1., 0.], requires_grad=True)\n"
                  "y = torch.norm(x, 0)\ny.backward()\n"
                  "z = torch.linalg.vector_norm(x, 0)\nz.backward()\nprint(y.item(), x.grad)",
                  "1.0 None\n");
    assert_fails("x = torch.ones(2, requires_grad=True)\ny = x // 2\ny.sum().backward()", 3, 1,
                 "derivative for aten::floor_divide is not implemented");
    assert_fails("x = torch.ones(2, requires_grad=True)\ny = x * 2\ny //= x\ny.sum().backward()", 4,
                 1, "derivative for aten::floor_divide_ is not implemented");
    assert_prints("x = torch.ones(2, requires_grad=True)\ny = x // torch.ones(2)\n"
                  "print(y.grad_fn.name(), len(y.grad_fn.next_functions))",
                  "torch::autograd::NotImplemented 1\n");
}

static void what_is_not_supported_says_so(void **state)
{
    (void)state;
    assert_fails("x = torch.ones(1, requires_grad=True)\nx.backward(create_graph=True)", 2, 1,
                 "create_graph=True is not supported");
    assert_fails("x = torch.ones(1, dtype=torch.float16)", 1, 25, "float16 is not supported here");
}

/* ---- bounds -------------------------------------------------------------------------------- */

static bool stop_each_time(void *arg)
{
    ++*(int *)arg;
    return true;
}

/* A run that is stopped before every statement goes on where it was, in blocks too. */
static void runs_stop_and_go_on(void **state)
{
    (void)state;
    struct run r;
    int stops = 0, rounds = 0;
    bool again = true;
    assert_int_equal(
        run_start(&r, "a = 1\nwith torch.no_grad():\n    a += 1\n    a += 1\nprint(a)", false),
        ERR_OK);
    for (; again; rounds++) {
        int before = stops;
        assert_int_equal(
            interp_run(&r.in, &r.program, rounds % 2 ? NULL : stop_each_time, &stops, &again, &r.e),
            ERR_OK);
        assert_int_equal(stops - before, rounds % 2 ? 0 : 1);
    }
    assert_string_equal(r.in.out.at, "3\n");
    assert_false(r.tape.grad_disabled);
    run_end(&r);
}

static void bounds_are_errors(void **state)
{
    (void)state;
    struct run r;
    char text[16 * 1100];
    text[0] = '\0';
    for (int i = 0; i < 1001; i++)
        strcat(text, "-1\n+1 + 1\n");
    assert_int_equal(run_start(&r, text, false), ERR_OK);
    assert_int_equal(run_all(&r), ERR_INVALID);
    assert_non_null(strstr(r.e.message, "more than 1000 calls"));
    run_end(&r);
    assert_int_equal(run_start(&r, "print('ab' * 1 if 0 else 'ab', end='')", false), ERR_OK);
    r.in.out.max = 1;
    assert_int_equal(run_all(&r), ERR_OK);
    assert_true(r.in.out.cut);
    run_end(&r);
    assert_int_equal(run_start(&r, "x = torch.ones(100, 100)\ny = x @ x", false), ERR_OK);
    r.tape.work_max = 1e5;
    assert_int_equal(run_all(&r), ERR_INVALID);
    assert_non_null(strstr(r.e.message, "multiplications"));
    run_end(&r);
    struct mem_budget budget = {100000};
    assert_int_equal(run_start(&r, "x = torch.ones(1000)\ny = torch.ones(100000)", false), ERR_OK);
    r.tape.arena.budget = &budget;
    assert_int_equal(run_all(&r), ERR_NOMEM);
    assert_int_equal(r.where.line, 2);
    run_end(&r);
    assert_int_equal(budget.left, 100000);
}

/* What has no elements, or all of them in one place, can still be long to walk through. */
static void extents_are_bounded(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "x = torch.zeros(6, 2000000000000, 0, 5).std()",
        "x = torch.zeros(2000000000000, 0)\ny = x.sum(1)",
        "x = torch.ones(1).expand(2000000000000)\ny = x.sum()",
        "x = torch.ones(1).expand(2000000, 1000000).argmax()",
    };
    for (size_t i = 0; i < COUNT(texts); i++) {
        struct run r;
        assert_int_equal(run_start(&r, texts[i], false), ERR_OK);
        r.tape.work_max = 1e9;
        assert_int_equal(run_all(&r), ERR_INVALID);
        assert_non_null(strstr(r.e.message, "a tensor of more than 1073741824 elements"));
        run_end(&r);
    }
}

/* Lists that share lists are larger than their text. */
static void shared_lists_are_bounded(void **state)
{
    (void)state;
    struct run r;
    char text[2000] = "a = [1] + [2]\n";
    for (int i = 0; i < 7; i++)
        strcat(text, "a = [a, a, a, a, a, a, a, a, a, a, a, a, a, a, a, a]\n");
    strcat(text, "t = torch.tensor(a)\n");
    assert_int_equal(run_start(&r, text, false), ERR_OK);
    assert_int_equal(run_all(&r), ERR_INVALID);
    assert_non_null(strstr(r.e.message, "a literal of more than"));
    run_end(&r);
    strcpy(text, "a = [1]\nb = [1]\n");
    for (int i = 0; i < 8; i++)
        strcat(text, "a = [a, a, a, a, a, a, a, a]\nb = [b, b, b, b, b, b, b, b]\n");
    strcat(text, "print(a == b)");
    assert_fails(text, 19, 7, "too deep or too long to compare");
}

static const char everything[] =
    "import torch.nn.functional as F\n"
    "torch.manual_seed(1)\n"
    "x = torch.randn(2, 3, requires_grad=True)\n"
    "w = torch.tensor([[1., 2., 3.], [4., 5., 6.]], requires_grad=True)\n"
    "y = F.relu(F.linear(x, w)) + x.sum(1, keepdim=True)\n"
    "z = torch.cat([y, y.t()], dim=1)[:, 1:].reshape(-1)\n"
    "loss = F.cross_entropy(torch.stack([z, z * 2]), torch.tensor([1, 0]))\n"
    "loss.backward()\n"
    "c = x * 1\n"
    "v = c[0]\n"
    "v *= v.clone()\n"
    "c[:, 1] = w[:, 0].exp()\n"
    "(v.sum() + c.as_strided((3,), (2,)).sum()).backward()\n"
    "with torch.no_grad():\n"
    "    w -= 0.1 * w.grad\n"
    "print(f'{loss.item():.3f}', w.grad.shape, x.grad is None, [1, (2, w)], z.max(0))\n";

/* Each allocation fails in turn: no crash, no leak, and the error is that there is no memory. */
static void allocations_may_fail(void **state)
{
    (void)state;
    struct run r;
    for (int n = 0;; n++) {
        lab_fail_allocation(n);
        enum err_kind rc = run_start(&r, everything, false);
        if (!rc)
            rc = run_all(&r);
        int fired = lab_faults_fired();
        lab_fail_allocation(-1);
        run_end(&r);
        if (!fired) {
            assert_int_equal(rc, ERR_OK);
            break;
        }
        assert_int_equal(rc, ERR_NOMEM);
    }
}

/* ---- expressions and forwards -------------------------------------------------------------- */

static void expressions_have_values(void **state)
{
    (void)state;
    struct run r;
    struct program p;
    struct value out;
    struct place where;
    assert_int_equal(
        run_start(&r, "x = torch.ones(2, requires_grad=True)\n(x * 2).sum().backward()", false),
        ERR_OK);
    assert_int_equal(run_all(&r), ERR_OK);
    assert_int_equal(program_parse("x.grad", 6, &p, &where, &r.e), ERR_OK);
    assert_int_equal(program_bind(&p, false, &where, &r.e), ERR_OK);
    assert_int_equal(interp_evaluate(&r.in, &p, &out, &r.e), ERR_OK);
    assert_int_equal(out.kind, VALUE_TENSOR);
    assert_true(lab_get(out.tensor, 1) == 2);
    program_close(&p);
    assert_int_equal(program_parse("x = 1", 5, &p, &where, &r.e), ERR_OK);
    assert_int_equal(interp_evaluate(&r.in, &p, &out, &r.e), ERR_INVALID);
    program_close(&p);
    run_end(&r);
}

/* w * x + b, with w and b that require gradients; on a dry tape for shapes alone. */
static void forwards_give_a_tensor(void **state)
{
    (void)state;
    static const char text[] = "h = w * x\nh + b";
    for (int dry = 0; dry < 2; dry++) {
        struct run r;
        struct tensor *y = NULL;
        assert_int_equal(run_start(&r, text, true), ERR_OK);
        r.tape.dry = dry;
        struct tensor *x = tape_tensor(&r.tape, DTYPE_FLOAT64, &SHAPE(5, 1));
        struct tensor *w = tape_tensor(&r.tape, DTYPE_FLOAT32, &SHAPE(1));
        struct tensor *b = tape_tensor(&r.tape, DTYPE_FLOAT32, &SHAPE(1));
        for (int i = 0; !dry && i < 5; i++)
            lab_put(x, i, i);
        if (!dry) {
            lab_put(w, 0, 2);
            lab_put(b, 0, 1);
        }
        w->requires_grad = b->requires_grad = true;
        assert_int_equal(
            interp_set(&r.in, "x", (struct value){.kind = VALUE_TENSOR, .tensor = x}, &r.e),
            ERR_OK);
        assert_int_equal(
            interp_set(&r.in, "w", (struct value){.kind = VALUE_TENSOR, .tensor = w}, &r.e),
            ERR_OK);
        assert_int_equal(
            interp_set(&r.in, "b", (struct value){.kind = VALUE_TENSOR, .tensor = b}, &r.e),
            ERR_OK);
        assert_int_equal(interp_forward(&r.in, &r.program, &y, &r.e), ERR_OK);
        assert_int_equal(y->dtype, DTYPE_FLOAT64);
        assert_true(shape_equal(&y->shape, &SHAPE(5, 1)));
        assert_true(y->requires_grad);
        if (!dry)
            assert_true(lab_get(y, 3) == 7);
        run_end(&r);
    }
}

static void assert_no_forward(const char *text, const char *words)
{
    struct run r;
    struct tensor *y;
    enum err_kind rc = run_start(&r, text, true);
    if (!rc) {
        struct tensor *x = tape_tensor(&r.tape, DTYPE_FLOAT32, &SHAPE(2, 2));
        memset(tensor_data(x), 0, 16);
        assert_int_equal(
            interp_set(&r.in, "x", (struct value){.kind = VALUE_TENSOR, .tensor = x}, &r.e),
            ERR_OK);
        rc = interp_forward(&r.in, &r.program, &y, &r.e);
    }
    if (rc != ERR_INVALID || !strstr(r.e.message, words))
        fail_msg("%s: %s", text, rc ? r.e.message : "is taken");
    run_end(&r);
}

static void forwards_have_no_effects(void **state)
{
    (void)state;
    assert_no_forward("print(x)\nx", "'print' is not possible in a model's forward");
    assert_no_forward("x + torch.rand(2)", "'rand' is not possible");
    assert_no_forward("x * x.sum().item()", "'item' is not possible");
    assert_no_forward("x.add_(1)", "'add_' is not possible");
    assert_no_forward("x += 1\nx", "changes nothing in place");
    assert_no_forward("x[0] = 1\nx", "changes nothing in place");
    assert_no_forward("x.requires_grad = True\nx", "changes nothing in place");
    assert_no_forward("x if x.sum() > 0 else -x", "cannot look at numbers");
    assert_no_forward("f = torch.rand_like\nf(x)", "'rand_like' is not possible");
    assert_no_forward("y = x", "the last line must be an expression");
    assert_no_forward("3", "must give a tensor, not int");
    assert_no_forward("x.grad", "is not possible in a model's forward");
}

int main(void)
{
    decimal_init();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_those_of_python),
        cmocka_unit_test(wrong_numbers_are_refused),
        cmocka_unit_test(arguments_are_those_of_the_signature),
        cmocka_unit_test(gradients_flow),
        cmocka_unit_test(in_place_changes_are_seen),
        cmocka_unit_test(in_place_forms_have_their_nodes),
        cmocka_unit_test(some_gradients_are_none),
        cmocka_unit_test(padding_cuts_before_it_adds),
        cmocka_unit_test(what_is_not_supported_says_so),
        cmocka_unit_test(runs_stop_and_go_on),
        cmocka_unit_test(bounds_are_errors),
        cmocka_unit_test(extents_are_bounded),
        cmocka_unit_test(shared_lists_are_bounded),
        cmocka_unit_test(allocations_may_fail),
        cmocka_unit_test(expressions_have_values),
        cmocka_unit_test(forwards_give_a_tensor),
        cmocka_unit_test(forwards_have_no_effects),
    };
    return cmocka_run_group_tests_name("interp", tests, lab_start, lab_finish);
}
