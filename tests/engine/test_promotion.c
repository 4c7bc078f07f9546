/* Operands of mixed types: tensors with dimensions and without, and Python's numbers. The type and
 * the value of what comes out are PyTorch's (promotion_golden.inc). */
#include <stdlib.h>

#include "tests/engine/lab.h"

/* Outcomes as text: a letter for the type, or - for an error, ? for no case; then the value. */
#define OPERANDS 11 /* 4 types with a dimension, the 4 without, and 3 types of numbers */
#define TENSORS  8
#define TYPES    4

struct mixed {
    enum op_id id;
    const char *outcomes[OPERANDS]; /* a line per first operand, a word per second */
};

struct alone {
    enum op_id id;
    double alpha, beta;
    const char *outcomes; /* a word per type */
};

struct by_number {
    enum op_id id;
    const char *outcomes[TENSORS]; /* a line per tensor, a word per number */
};

#include "tests/engine/promotion_golden.inc"

static const double tensor_value[TYPES] = {1, 3, 2.5, -0.75};
static const struct {
    enum dtype dtype;
    double value;
} numbers[] = {{DTYPE_BOOL, 1}, {DTYPE_INT64, 2}, {DTYPE_FLOAT64, 1.5}};

static struct tensor *operand(struct lab *l, int i)
{
    bool number = i >= TENSORS;
    enum dtype dtype = number ? numbers[i - TENSORS].dtype : (enum dtype)(i % TYPES);
    struct shape scalar = SCALAR;
    struct tensor *x = lab_zeros(l, dtype, i < TYPES ? SHAPE(1) : scalar);
    lab_put(x, 0, number ? numbers[i - TENSORS].value : tensor_value[i % TYPES]);
    x->number = number;
    return x;
}

/* Applies the row and compares with the outcome at *text, which is stepped over. */
static void check(struct lab *l, enum op_id id, const struct op_args *args, struct tensor **in,
                  const char **text)
{
    static const char letters[] = "bifd";
    char kind = **text, *end;
    double want = strtod(*text + 1, &end);
    const char *name = l->tape.kernels->ops[id].name;
    *text = end + strspn(end, " ");
    if (kind == '?')
        return;
    struct tensor *y = NULL;
    enum err_kind rc = op_apply(&l->tape, id, args, in, &y, &l->e);
    if (kind == '-') {
        if (rc != ERR_INVALID)
            fail_msg("%s takes %s, %s", name, dtype_name(in[0]->dtype), dtype_name(in[1]->dtype));
        return;
    }
    if (rc)
        fail_msg("%s: %s", name, l->e.message);
    double got = lab_get(y, 0), tolerance = y->dtype == DTYPE_FLOAT64 ? 1e-12 : 3e-7;
    bool near = got == want || fabs(got - want) <= tolerance * fabs(want);
    if (letters[y->dtype] != kind || !(near || (isnan(got) && isnan(want))))
        fail_msg("%s of %s %g and %s %g is %s %.12g, not %c %.12g", name, dtype_name(in[0]->dtype),
                 lab_get(in[0], 0), dtype_name(in[1]->dtype), lab_get(in[1], 0),
                 dtype_name(y->dtype), got, kind, want);
}

static void pairs_promote_as_in_pytorch(void **state)
{
    (void)state;
    struct lab *l = &isa_lab[0];
    for (size_t k = 0; k < COUNT(mixed); k++)
        for (int i = 0; i < OPERANDS; i++) {
            const char *text = mixed[k].outcomes[i];
            for (int j = 0; j < OPERANDS; j++) {
                lab_clear(l);
                struct tensor *no = lab_zeros(l, DTYPE_BOOL, SHAPE(1)); /* where: false */
                struct tensor *in[] = {no, operand(l, i), operand(l, j)};
                no->shape.rank = 0;
                check(l, mixed[k].id, NULL, in + (mixed[k].id == OP_WHERE ? 0 : 1), &text);
            }
            assert_int_equal(*text, 0);
        }
}

static void single_tensors_promote_as_in_pytorch(void **state)
{
    (void)state;
    for (int k = 0; k < isa_labs; k++)
        for (size_t i = 0; i < COUNT(alone); i++) {
            const struct op_args args = {.alpha = alone[i].alpha, .beta = alone[i].beta};
            const char *text = alone[i].outcomes;
            for (int t = 0; t < TYPES; t++) {
                lab_clear(&isa_lab[k]);
                struct tensor *x = operand(&isa_lab[k], t);
                check(&isa_lab[k], alone[i].id, &args, (struct tensor *[]){x, x}, &text);
            }
            assert_int_equal(*text, 0);
        }
}

/* The bounds that a row has are both the number. */
static void arguments_promote_as_in_pytorch(void **state)
{
    (void)state;
    struct lab *l = &isa_lab[0];
    for (size_t i = 0; i < COUNT(by_number); i++)
        for (int t = 0; t < TENSORS; t++) {
            const char *text = by_number[i].outcomes[t];
            for (size_t n = 0; n < COUNT(numbers); n++) {
                double x = numbers[n].value;
                struct op_args args = {.alpha = x, .beta = x, .number = numbers[n].dtype};
                if (by_number[i].id == OP_RSUB)
                    args.beta = 1;
                if (by_number[i].id == OP_CLAMP_MIN)
                    args.beta = NAN;
                if (by_number[i].id == OP_CLAMP_MAX)
                    args.alpha = NAN;
                lab_clear(l);
                struct tensor *in = operand(l, t);
                check(l, by_number[i].id, &args, (struct tensor *[]){in, in}, &text);
            }
            assert_int_equal(*text, 0);
        }
}

/* The gradient of an operand is of the operand's own type. */
static void gradients_come_back_in_their_own_type(void **state)
{
    (void)state;
    struct lab *l = &isa_lab[0];
    static const enum op_id ids[] = {OP_DIV, OP_POW_TENSOR, OP_MAXIMUM, OP_REMAINDER};
    for (size_t i = 0; i < COUNT(ids); i++) {
        lab_clear(l);
        struct tensor *narrow = lab_leaf(l, DTYPE_FLOAT32, SHAPE(3));
        struct tensor *wide = lab_leaf(l, DTYPE_FLOAT64, SHAPE(2, 1)), *y;
        for (int j = 0; j < 3; j++)
            lab_put(narrow, j, 1.5 + j);
        y = lab_apply(l, ids[i], NULL, narrow, wide, NULL);
        assert_int_equal(y->dtype, DTYPE_FLOAT64);
        y = lab_apply(l, OP_SUM, NULL, y, NULL, NULL);
        lab_backward(l, y, NULL, false);
        assert_int_equal(narrow->grad->dtype, DTYPE_FLOAT32);
        assert_int_equal(wide->grad->dtype, DTYPE_FLOAT64);
        assert_true(shape_equal(&narrow->grad->shape, &narrow->shape));
        assert_true(shape_equal(&wide->grad->shape, &wide->shape));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pairs_promote_as_in_pytorch),
        cmocka_unit_test(single_tensors_promote_as_in_pytorch),
        cmocka_unit_test(arguments_promote_as_in_pytorch),
        cmocka_unit_test(gradients_come_back_in_their_own_type),
    };
    return cmocka_run_group_tests(tests, isa_labs_open, isa_labs_close);
}
