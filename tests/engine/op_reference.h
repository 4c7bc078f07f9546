/* tests/engine/op_reference.h - the rows of OPS in plain double arithmetic; see op_rules.h. */
#ifndef TESTS_OP_REFERENCE_H
#define TESTS_OP_REFERENCE_H

#include "tests/engine/op_rules.h"

#define REFERENCE(id, fn, node, arity, saves, flags)                                               \
    void reference_##fn(const struct op_args *a, const struct values *in, struct values *y);
OPS(REFERENCE)
#define PLAIN_REFERENCE(id, fn, inputs, flags) REFERENCE(id, fn, NULL, inputs, SAVE_NONE, flags)
PLAIN_OPS(PLAIN_REFERENCE)
#undef PLAIN_REFERENCE
#undef REFERENCE

/* The i-th element of v, seen as a tensor of a shape that it broadcasts to. */
double seen(const struct values *v, const struct shape *as, int64_t i);
void broadcast(const struct shape *a, const struct shape *b, struct shape *out);

/* value is of p and q, the elements of the inputs. */
#define BINARY(fn, value)                                                                          \
    void reference_##fn(const struct op_args *a, const struct values *in, struct values *y)        \
    {                                                                                              \
        const double alpha = a->alpha;                                                             \
        (void)alpha;                                                                               \
        broadcast(&in[0].shape, &in[1].shape, &y->shape);                                          \
        for (int64_t i = 0; i < shape_count(&y->shape); i++) {                                     \
            const double p = seen(&in[0], &y->shape, i), q = seen(&in[1], &y->shape, i);           \
            y->x[i] = value;                                                                       \
        }                                                                                          \
    }

/* value is of x, the i-th element of the input. */
#define UNARY(fn, value)                                                                           \
    void reference_##fn(const struct op_args *a, const struct values *in, struct values *y)        \
    {                                                                                              \
        (void)a;                                                                                   \
        y->shape = in->shape;                                                                      \
        for (int64_t i = 0; i < shape_count(&y->shape); i++) {                                     \
            const double x = in->x[i];                                                             \
            y->x[i] = value;                                                                       \
        }                                                                                          \
    }

#endif
