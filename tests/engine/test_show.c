/* engine/show.h against Python and PyTorch: what they print is in tests/data/golden/show.txt
 * (tests/data/README.md says how), the rest is what the file cannot hold. */
#include "engine/show.h"

#include <stdio.h>
#include <stdlib.h>

#include "engine/decimal.h"
#include "tests/engine/lab.h"
#include "tests/engine/show_golden.h"

static int start(void **state)
{
    lab_start(state);
    decimal_init();
    golden_open();
    return 0;
}

static int finish(void **state)
{
    golden_close();
    return lab_finish(state);
}

/* ---- what Python and PyTorch say ----------------------------------------------------------- */

static void assert_text(const struct text *got, const struct text *want, const char *line)
{
    assert_false(got->cut);
    if (got->bytes != want->bytes || memcmp(got->at, want->at, want->bytes) != 0)
        fail_msg("%.*s\nis shown as\n%.*s\nnot\n%.*s", (int)strcspn(line, "\n"), line,
                 (int)got->bytes, got->at, (int)want->bytes, want->at);
}

static void check_shown(void (*show)(struct text *, const struct value *), const char *line)
{
    struct value x = golden_value();
    struct text want = golden_lines('|'), got = golden_text(SIZE_MAX);
    show(&got, &x);
    assert_text(&got, &want, line);
}

static void check_format(const char *line)
{
    struct value x = golden_value();
    struct text spec = golden_lines(':'), got = golden_text(SIZE_MAX);
    bool refused = golden_refused();
    struct text want = golden_lines(refused ? '!' : '|');
    enum err_kind rc = show_format(&got, &x, spec.at, spec.bytes, &lab.e);
    if (rc)
        text_puts(&got, lab.e.message);
    assert_text(&got, &want, line);
    assert_int_equal(rc, refused ? ERR_INVALID : ERR_OK);
}

static void test_golden(void **state)
{
    (void)state;
    int cases = 0;
    for (const char *line; (line = golden_next()); cases++) {
        if (golden_skip("repr"))
            check_shown(show_repr, line);
        else if (golden_skip("str"))
            check_shown(show_str, line);
        else if (golden_skip("ascii"))
            check_shown(show_ascii, line);
        else if (golden_skip("format"))
            check_format(line);
        else
            fail_msg("no case: %.40s", line);
        lab_clear(&lab);
    }
    assert_true(cases > 2500);
}

/* ---- what the file does not hold ----------------------------------------------------------- */

static void assert_repr(struct value x, const char *want)
{
    struct text got = golden_text(SIZE_MAX);
    show_repr(&got, &x);
    assert_string_equal(got.at, want);
}

/* The layout of a float by another way: the fewest digits of printf that read back. */
static void python_repr(double x, char *out)
{
    char digits[40];
    int precision = 0;
    do
        snprintf(digits, sizeof digits, "%.*e", precision++, x);
    while (strtod(digits, NULL) != x);
    int exponent = atoi(strchr(digits, 'e') + 1);
    if (exponent < -4 || exponent >= 16)
        strcpy(out, digits);
    else
        sprintf(out, "%.*f", precision - 1 - exponent > 1 ? precision - 1 - exponent : 1, x);
}

static void test_floats(void **state)
{
    (void)state;
    for (int i = 0; i < 20000; i++) {
        char want[400];
        double x = ldexp(lab_draw(&lab), (int)(lab_draw(&lab) * (i % 2 ? 1000 : 60)));
        python_repr(x, want);
        assert_repr((struct value){.kind = VALUE_FLOAT, .number = x}, want);
        lab_clear(&lab);
    }
}

static void test_bytes(void **state)
{
    (void)state;
    struct value x = {.kind = VALUE_STRING, .text = "a\xff\xc3\0\xa9\xed\xa0\x80", .count = 8};
    assert_repr(x, "'a\\udcff\\udcc3\\x00\\udca9\\udced\\udca0\\udc80'");
}

static struct value of_tensor(struct tensor *x)
{
    return (struct value){.kind = VALUE_TENSOR, .tensor = x};
}

static struct value of_node(const struct node *n)
{
    return (struct value){.kind = VALUE_NODE, .node = n};
}

static void test_nodes(void **state)
{
    (void)state;
    struct tensor *w = lab_leaf(&lab, DTYPE_FLOAT32, SHAPE(2));
    struct tensor *y = lab_apply(&lab, OP_ADD, NULL, w, w, NULL);
    struct tensor *z = lab_apply(&lab, OP_MUL, NULL, y, y, NULL);
    assert_repr(of_node(w->accumulate), "<AccumulateGrad object at 0x7f0000000040>");
    assert_repr(of_node(y->grad_fn), "<AddBackward0 object at 0x7f0000000080>");
    assert_repr(of_node(z->grad_fn), "<MulBackward0 object at 0x7f00000000c0>");
    struct value next[] = {of_node(y->grad_fn), {.kind = VALUE_INT}};
    assert_repr((struct value){.kind = VALUE_TUPLE, .item = next, .count = 2},
                "(<AddBackward0 object at 0x7f0000000080>, 0)");
    struct value node = of_node(z->grad_fn);
    assert_string_equal(value_type_name(&node), "MulBackward0");
    lab_clear(&lab);
}

/* A tensor that has no numbers. */
static void test_dry(void **state)
{
    (void)state;
    struct tape dry;
    struct tensor *in[2], *y;
    tape_init_dry(&dry, lab.tape.kernels);
    in[0] = tape_tensor(&dry, DTYPE_FLOAT64, &SHAPE(2, 3));
    in[1] = tape_tensor(&dry, DTYPE_FLOAT64, &SHAPE(3));
    assert_non_null(in[0]);
    assert_non_null(in[1]);
    in[1]->requires_grad = true;
    assert_repr(of_tensor(in[1]),
                "tensor(..., size=(3,), dtype=torch.float64, requires_grad=True)");
    assert_int_equal(op_apply(&dry, OP_ADD, NULL, in, &y, &lab.e), ERR_OK);
    assert_repr(of_tensor(y),
                "tensor(..., size=(2, 3), dtype=torch.float64, grad_fn=<AddBackward0>)");
    struct tensor *scalar = tape_tensor(&dry, DTYPE_FLOAT32, &SHAPE(0));
    assert_non_null(scalar);
    scalar->shape.rank = 0;
    struct value x = of_tensor(scalar);
    assert_repr(x, "tensor(..., size=())");
    struct text got = golden_text(SIZE_MAX);
    assert_int_equal(show_format(&got, &x, ".2f", 3, &lab.e), ERR_INVALID);
    assert_string_equal(lab.e.message, "unsupported format string passed to Tensor.__format__");
    tape_close(&dry);
    lab_clear(&lab);
}

static void test_objects(void **state)
{
    (void)state;
    struct tensor *x = lab_zeros(&lab, DTYPE_FLOAT32, SHAPE(1));
    struct value self = of_tensor(x);
    assert_repr((struct value){.kind = VALUE_MODULE, .text = "torch.nn"},
                "<module 'torch.nn' (built-in)>");
    assert_repr((struct value){.kind = VALUE_BUILTIN, .names = "add"}, "<built-in function add>");
    assert_repr((struct value){.kind = VALUE_BUILTIN, .names = "sum", .item = &self},
                "<built-in method sum of Tensor object at 0x7f0000000000>");
    assert_repr((struct value){.kind = VALUE_GUARD},
                "<torch.autograd.grad_mode.no_grad object at 0x7f0000000000>");
    lab_clear(&lab);
}

/* ---- hostile sizes ------------------------------------------------------------------------- */

/* One number, seen as a tensor of any shape. */
static struct tensor *expanded(struct shape shape)
{
    struct tensor *x = lab_zeros(&lab, DTYPE_FLOAT64, SHAPE(1));
    *(double *)x->storage->data = 0.25;
    x->shape = shape;
    memset(x->stride, 0, sizeof x->stride);
    return x;
}

static void test_large_tensors(void **state)
{
    (void)state;
    const int64_t many = (int64_t)1 << 30;
    struct text t = golden_text(SIZE_MAX);
    struct value x = of_tensor(expanded(SHAPE(many, many)));
    show_repr(&t, &x);
    assert_true(t.bytes < 1000);
    /* no dimension is cut short: all 6^8 elements count for the layout, few are written */
    t = golden_text(100);
    x = of_tensor(expanded(SHAPE(6, 6, 6, 6, 6, 6, 6, 6)));
    show_repr(&t, &x);
    assert_true(t.cut);
    assert_int_equal(t.bytes, 100);
    lab_clear(&lab);
}

static void test_deep_lists(void **state)
{
    (void)state;
    enum { DEPTH = 100000 };
    struct value *list = golden_room(DEPTH, sizeof *list);
    for (size_t i = 0; i < DEPTH; i++)
        list[i] = (struct value){.kind = i % 2 ? VALUE_LIST : VALUE_TUPLE,
                                 .item = i ? &list[i - 1] : NULL,
                                 .count = i > 0};
    struct text t = golden_text(SIZE_MAX);
    show_repr(&t, &list[DEPTH - 1]);
    assert_int_equal(strspn(t.at, "[("), SHOW_DEPTH_MAX + 1);
    assert_int_equal(strncmp(t.at + SHOW_DEPTH_MAX, "[...],)", 7), 0);
    lab_clear(&lab);
}

/* A list of the same list twice, 60 times: 2^60 items. */
static void test_doubling_lists(void **state)
{
    (void)state;
    struct value list[61] = {{.kind = VALUE_LIST}}, pair[60][2];
    for (size_t i = 0; i < 60; i++) {
        pair[i][0] = pair[i][1] = list[i];
        list[i + 1] = (struct value){.kind = VALUE_LIST, .item = pair[i], .count = 2};
    }
    struct text t = golden_text(5000);
    show_repr(&t, &list[60]);
    assert_true(t.cut);
    assert_int_equal(t.bytes, 5000);
    lab_clear(&lab);
}

static enum err_kind format(struct value x, const char *spec, struct text *t)
{
    *t = golden_text(SIZE_MAX);
    return show_format(t, &x, spec, strlen(spec), &lab.e);
}

static void test_format_bounds(void **state)
{
    (void)state;
    struct text t;
    struct value x = {.kind = VALUE_FLOAT, .number = -1.7976931348623157e308};
    assert_int_equal(format(x, "=+#0999,.1000f", &t), ERR_OK);
    assert_int_equal(t.bytes, 1 + 309 + 102 + 1 + 1000);
    assert_int_equal(format(x, "#01000,.1000", &t), ERR_OK);
    assert_int_equal(t.bytes, 1 + 309 + 102 + 1 + 691);
    x.number = 1e305;
    assert_int_equal(format(x, "_.1000%", &t), ERR_OK);
    assert_int_equal(t.bytes, 307 + 102 + 1 + 1000 + 1); /* 9.99…e306 % */
    assert_int_equal(format(x, "1001", &t), ERR_INVALID);
    assert_string_equal(lab.e.message, "a format's width and precision are at most 1000, got 1001");
    assert_int_equal(format(x, ".1001f", &t), ERR_INVALID);
    x = (struct value){.kind = VALUE_INT, .integer = INT64_MIN};
    assert_int_equal(format(x, "01000_b", &t), ERR_OK);
    assert_int_equal(t.bytes, 1000);
    assert_int_equal(format(x, "🙂^1000", &t), ERR_OK);
    assert_int_equal(t.bytes, 980 * 4 + 20);
    lab_clear(&lab);
}

static void test_format_characters(void **state)
{
    (void)state;
    struct text t;
    struct value x = {.kind = VALUE_INT};
    assert_int_equal(format(x, "c", &t), ERR_OK);
    assert_memory_equal(t.at, "\0", 2);
    assert_int_equal(t.bytes, 1);
    x.integer = 0xD800;
    assert_int_equal(format(x, "c", &t), ERR_INVALID);
    struct value s = {.kind = VALUE_STRING, .text = "x", .count = 1};
    assert_int_equal(show_format(&t, &s, "", 1, &lab.e), ERR_INVALID);
    assert_string_equal(lab.e.message, "Unknown format code '\\x0' for object of type 'str'");
    lab_clear(&lab);
}

/* ---- no room, no memory -------------------------------------------------------------------- */

/* Something of every kind that is long. */
static struct value sample(struct value *item)
{
    struct tensor *x = lab_leaf(&lab, DTYPE_FLOAT32, SHAPE(2, 3, 7));
    item[0] = (struct value){.kind = VALUE_STRING, .text = "naïve\n", .count = 7};
    item[1] = of_tensor(x);
    item[2] = (struct value){.kind = VALUE_FLOAT, .number = 0.1};
    return (struct value){.kind = VALUE_LIST, .item = item, .count = 3};
}

/* However little is let through, it is what comes first. */
static void test_max(void **state)
{
    (void)state;
    struct value item[3], x = sample(item);
    struct text whole = golden_text(SIZE_MAX);
    show_repr(&whole, &x);
    for (size_t max = 0; max <= whole.bytes + 1; max++) {
        struct text t = golden_text(max);
        show_repr(&t, &x);
        assert_int_equal(t.cut, max < whole.bytes);
        assert_false(t.failed);
        assert_true(t.bytes <= max && t.bytes + 1 >= (max < whole.bytes ? max : whole.bytes));
        assert_memory_equal(t.at, whole.at, t.bytes);
        assert_int_equal(t.at[t.bytes], 0);
    }
    lab_clear(&lab);
}

static void test_faults(void **state)
{
    (void)state;
    struct value item[3], x = sample(item);
    bool fired = true;
    for (int n = 0; fired; n++) {
        struct arena arena = {.chunks = NULL};
        struct text t = {.arena = &arena, .max = SIZE_MAX};
        lab_fail_allocation(n);
        for (int i = 0; i < 200; i++) /* more than an arena's first block */
            show_repr(&t, &x);
        fired = lab_faults_fired() > 0;
        lab_fail_allocation(-1);
        assert_int_equal(t.failed, fired);
        assert_int_equal(t.cut, fired);
        assert_true(!t.at || t.at[t.bytes] == '\0');
        arena_close(&arena);
    }
    lab_clear(&lab);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden),
        cmocka_unit_test(test_floats),
        cmocka_unit_test(test_bytes),
        cmocka_unit_test(test_nodes),
        cmocka_unit_test(test_dry),
        cmocka_unit_test(test_objects),
        cmocka_unit_test(test_large_tensors),
        cmocka_unit_test(test_deep_lists),
        cmocka_unit_test(test_doubling_lists),
        cmocka_unit_test(test_format_bounds),
        cmocka_unit_test(test_format_characters),
        cmocka_unit_test(test_max),
        cmocka_unit_test(test_faults),
    };
    return cmocka_run_group_tests_name("show", tests, start, finish);
}
