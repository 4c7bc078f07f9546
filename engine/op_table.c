/* engine/op_table.c - the rows and loops of one instruction set, as one table. */
#include "engine/cross_entropy.h"
#include "engine/op_reduce.h"
#include "engine/regress.h"
#include "engine/sweep.h"

#define STRING(x)  #x
#define NAME_OF(x) STRING(x)

static const struct op rows[] = {
#define OP_ROW(id, fn, node, inputs, saves, flags)                                                 \
    [OP_##id] = {#fn,                                                                              \
                 node,                                                                             \
                 inputs,                                                                           \
                 saves,                                                                            \
                 flags,                                                                            \
                 ISA_FN(fn##_infer),                                                               \
                 ISA_FN(fn##_forward),                                                             \
                 ISA_FN(fn##_backward)},
    OPS(OP_ROW)
#undef OP_ROW
#define PLAIN_OP_ROW(id, fn, inputs, flags)                                                        \
    [OP_##id] = {#fn, NULL, inputs, SAVE_NONE, flags, ISA_FN(fn##_infer), ISA_FN(fn##_forward),    \
                 NULL},
        PLAIN_OPS(PLAIN_OP_ROW)
#undef PLAIN_OP_ROW
};

extern const struct kernels ISA_FN(kernels);
const struct kernels ISA_FN(kernels) = {.isa = NAME_OF(ISA),
                                        .ops = rows,
                                        .matmul = ISA_FN(matmul),
                                        .sum_squares = ISA_FN(sum_squares),
                                        .regress = ISA_FN(regress),
                                        .cross_entropy = ISA_FN(cross_entropy),
                                        .largest = ISA_FN(largest),
                                        .accumulate = ISA_FN(accumulate),
                                        .sum_to = ISA_FN(sum_to),
                                        .sgd = ISA_FN(sgd),
                                        .digest = ISA_FN(digest),
                                        .read_floats = ISA_FN(read_floats),
                                        .write_floats = ISA_FN(write_floats)};
